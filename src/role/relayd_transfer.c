/* SPDX-License-Identifier: EUPL-1.2
 * role/relayd_transfer.c — what a connection carries: one job after another, its
 * copy, its commands and body on their way out, its results.
 *
 * A job whose connection is lost before the server has said anything about it (an
 * idle connection that the server closed in the same moment) goes back to the
 * front of its line. From the first byte of the body on, a loss defers: nobody
 * knows what the server made of it. */
#include "role/relayd_parts.h"

#include <stdio.h>

#define COPY_GRACE_MS 5000u

static struct relayd *relayd_of(const struct relayd_connection *c)
{
	return c->destination->relayd;
}

static const struct vgm_conf *conf_of(const struct relayd_connection *c)
{
	return &relayd_of(c)->run->conf;
}

static void detach(struct relayd_connection *c)
{
	c->job->connection = NULL;
	c->job = NULL;
}

/* ---- sending ---- */

/* 1: all of it is gone. 0: the socket is full. Negative: so is the connection. */
static int send_some(struct relayd_connection *c, const struct vgm_buf *from, size_t *sent)
{
	while (*sent < from->len) {
		size_t n;
		int r = vgm_stream_write(&c->stream, from->data + *sent, from->len - *sent, &n);

		if (r == VGM_E_BUSY)
			return 0;
		if (r < 0)
			return r;
		*sent += n;
	}
	return 1;
}

/* The next part of the body, dots doubled and lines ended; the end with the last. */
static void fill_chunk(struct relayd_connection *c)
{
	vgm_buf_clear(&c->chunk);
	c->chunk_sent = 0;
	/* Time for each chunk (RFC 5321 section 4.5.3.2.5), not for each byte. */
	vgm_timer_in(c->timer, conf_of(c)->reply_timeout);
	for (;;) {
		size_t n = vgm_min_size(c->piece.len, RELAYD_CHUNK_BYTES - c->chunk.len);

		VGM_BUG_ON(vgm_buf_add(&c->chunk, c->piece.data, n) < 0);
		c->piece = vgm_slice_from(c->piece, n);
		if (c->piece.len || c->chunk.len == RELAYD_CHUNK_BYTES)
			return;
		if (c->chunk_last)
			return;
		if (!vgm_smtp_dot_next(&c->dot, &c->body, &c->piece)) {
			c->piece = vgm_smtp_dot_end(&c->dot);
			c->chunk_last = true;
		}
	}
}

static int send_body(struct relayd_connection *c)
{
	for (;;) {
		int r = send_some(c, &c->chunk, &c->chunk_sent);

		if (r <= 0)
			return r;
		if (c->chunk_last && c->piece.len == 0)
			break;
		fill_chunk(c);
	}
	c->state = CONNECTION_TALKING;
	vgm_buf_clear(&c->chunk);
	c->chunk_sent = 0;
	vgm_smtp_client_body_sent(c->client);
	vgm_timer_in(c->timer, 2 * conf_of(c)->reply_timeout);
	return 1;
}

void relayd_transfer_flush(struct relayd_connection *c)
{
	struct vgm_buf *out = vgm_smtp_client_out(c->client);
	int r = send_some(c, out, &c->out_sent);

	if (r == 1) {
		vgm_buf_clear(out);
		c->out_sent = 0;
		if (c->state == CONNECTION_BODY)
			r = send_body(c);
	}
	if (r < 0)
		relayd_connection_lost(c);
	else if (c->io)
		vgm_io_want(c->io, r == 1 ? VGM_IO_READ : VGM_IO_READ | c->stream.want);
}

/* ---- results ---- */

static void settle_from_results(struct relayd_connection *c)
{
	struct relayd_job *j = c->job;
	bool dsn = vgm_smtp_client_caps(c->client) & VGM_PEER_DSN;
	struct vgm_outcome o = {.peer = vgm_slice_str(c->peer), .tls = vgm_slice_str(c->tls)};

	for (size_t i = 0; i < j->m.recipients_count; i++) {
		const struct vgm_smtp_result *said = vgm_smtp_client_result(c->client, i);
		bool asked = j->m.recipients[i].notify & VGM_NOTIFY_SUCCESS;

		if (said->code == 0)
			continue;
		o.status = said->code >= 500   ? VGM_OUTCOME_FAILED
			   : said->code >= 400 ? VGM_OUTCOME_DEFERRED
			   : asked && !dsn     ? VGM_OUTCOME_RELAYED
					       : VGM_OUTCOME_DELIVERED;
		o.enhanced = vgm_slice_str(said->enhanced);
		o.reply = vgm_buf_slice(&said->text);
		o.reference =
		    said->code < 300 ? vgm_smtp_client_reference(c->client) : VGM_SLICE_NONE;
		relayd_job_settle(j, i, &o);
	}
}

bool relayd_transfer_is_untouched(const struct relayd_connection *c)
{
	if (c->state == CONNECTION_PREPARING)
		return true;
	if (c->messages == 0 || c->timed_out || c->state == CONNECTION_BODY ||
	    vgm_smtp_client_awaits_final(c->client) ||
	    vgm_smtp_client_failure(c->client) != VGM_SMTP_FAILURE_LOST)
		return false;
	for (size_t i = 0; i < c->job->m.recipients_count; i++)
		if (vgm_smtp_client_result(c->client, i)->code)
			return false;
	return true;
}

void relayd_transfer_fail(struct relayd_connection *c, bool untouched)
{
	struct relayd *r = relayd_of(c);
	struct relayd_job *j = c->job;
	struct relayd_failure why = {0};

	if (untouched && ++j->tries < RELAYD_TRIES) {
		detach(c);
		relayd_job_line_up(j, true);
		return;
	}
	relayd_connection_describe_failure(c, &why);
	if (!untouched)
		settle_from_results(c);
	relayd_job_settle_rest(j, &why);
	detach(c);
	relayd_job_finish(r, j, false);
}

/* ---- jobs ---- */

static void refuse_job(
    struct relayd_connection *c, const char *enhanced, enum vgm_words_id words, const char *detail)
{
	struct relayd_failure why = {0};
	struct relayd_job *j = c->job;

	relayd_failure_set(relayd_of(c), &why, VGM_OUTCOME_FAILED, enhanced, words, NULL, detail);
	(void)snprintf(why.peer, sizeof(why.peer), "%s", c->peer);
	relayd_job_settle_rest(j, &why);
	detach(c);
	relayd_job_finish(relayd_of(c), j, false);
}

/* False: the server cannot take this message at all; it is settled. */
static bool suits(struct relayd_connection *c)
{
	unsigned caps = vgm_smtp_client_caps(c->client);
	uint64_t size_max = vgm_smtp_client_size_max(c->client);
	const struct relayd_job *j = c->job;
	char limit[32];

	if (j->m.flags & VGM_ROUTING_UTF8 && !(caps & VGM_PEER_UTF8)) {
		refuse_job(c, "5.6.7", VGM_WORDS_relay_needs_utf8, NULL);
		return false;
	}
	if (j->m.flags & VGM_ROUTING_8BIT && !(caps & VGM_PEER_8BIT)) {
		refuse_job(c, "5.6.3", VGM_WORDS_relay_needs_8bit, NULL);
		return false;
	}
	if (size_max && (j->copy == COPY_MADE ? j->body.len : j->m.size) > size_max) {
		(void)snprintf(limit, sizeof(limit), "%llu", (unsigned long long)size_max);
		refuse_job(c, "5.3.4", VGM_WORDS_relay_size, limit);
		return false;
	}
	return true;
}

/* The copy is there: MAIL, RCPT, DATA. False: settled without. */
static bool begin(struct relayd_connection *c)
{
	const struct relayd_job *j = c->job;
	struct vgm_smtp_mail mail = {
	    .sender = j->m.sender,
	    .size = j->body.len,
	    .needs_8bit = j->m.flags & VGM_ROUTING_8BIT,
	    .needs_utf8 = j->m.flags & VGM_ROUTING_UTF8,
	    .ret = j->m.ret,
	    .envid = j->m.envid,
	    .recipients = j->m.recipients,
	    .count = j->m.recipients_count,
	};

	if (!suits(c))
		return false;
	if (vgm_smtp_client_begin(c->client, &mail, NULL) < 0) {
		refuse_job(c, "5.1.3", VGM_WORDS_relay_bad_address, NULL);
		return false;
	}
	c->state = CONNECTION_TALKING;
	vgm_timer_in(c->timer, conf_of(c)->reply_timeout);
	return true;
}

/* Has a job in hand and a server that is ready. False: settled at once. */
static bool prepare(struct relayd_connection *c)
{
	struct relayd *r = relayd_of(c);
	uint8_t caps = (uint8_t)vgm_smtp_client_caps(c->client);
	struct relayd_job *j = c->job;

	if (!suits(c))
		return false;
	if (j->copy == COPY_MADE)
		return begin(c);
	if (j->copy == COPY_NONE && !relayd_job_ask_copy(r, j, caps)) {
		detach(c);
		relayd_job_copy_failed(r, j);
		return false;
	}
	c->state = CONNECTION_PREPARING;
	vgm_timer_in(c->timer, conf_of(c)->filter_timeout + COPY_GRACE_MS);
	return true;
}

static void rest(struct relayd_connection *c)
{
	c->state = CONNECTION_IDLE;
	vgm_buf_release(&c->chunk);
	vgm_timer_in(c->timer, conf_of(c)->reuse_timeout);
}

/* Ready: the next job, or a rest, or the end. */
void relayd_transfer_go_on(struct relayd_connection *c)
{
	struct relayd_destination *d = c->destination;
	bool pool = vgm_role_peer(relayd_of(c)->run, VGM_ROLE_RENDER, VGM_INSTANCE_ONLY);

	d->opening -= c->opening;
	c->opening = false;
	d->caps_known = true;
	d->caps = (uint8_t)vgm_smtp_client_caps(c->client);
	relayd_mark_dirty(d);
	while (pool && d->line_first && c->messages < conf_of(c)->reuse_messages &&
	       !relayd_of(c)->run->stopping) {
		struct relayd_job *j = d->line_first;

		relayd_job_leave_line(j);
		c->job = j;
		j->connection = c;
		if (prepare(c))
			return;
	}
	if (c->messages >= conf_of(c)->reuse_messages || conf_of(c)->reuse_timeout == 0 ||
	    relayd_of(c)->run->stopping)
		relayd_connection_end(c);
	else
		rest(c);
}

void relayd_connection_take(struct relayd_connection *c)
{
	VGM_BUG_ON(c->state != CONNECTION_IDLE);
	relayd_transfer_go_on(c);
	if (c->state == CONNECTION_TALKING)
		relayd_transfer_flush(c);
}

void relayd_connection_copy_ready(struct relayd_connection *c)
{
	VGM_BUG_ON(c->state != CONNECTION_PREPARING);
	if (!begin(c))
		relayd_transfer_go_on(c);
	if (c->state == CONNECTION_TALKING)
		relayd_transfer_flush(c);
}

void relayd_connection_release_job(struct relayd_connection *c)
{
	c->job = NULL;
	relayd_transfer_go_on(c);
	if (c->state == CONNECTION_TALKING)
		relayd_transfer_flush(c);
}

void relayd_transfer_done(struct relayd_connection *c)
{
	struct relayd_job *j = c->job;

	c->messages++;
	settle_from_results(c);
	detach(c);
	relayd_job_finish(relayd_of(c), j, false);
	vgm_timer_in(c->timer, conf_of(c)->reply_timeout);
}

void relayd_transfer_body(struct relayd_connection *c)
{
	c->state = CONNECTION_BODY;
	vgm_smtp_dot_init(&c->dot);
	c->body = c->job->body;
	c->piece = VGM_SLICE_NONE;
	c->chunk_last = false;
	c->chunk_sent = 0;
	vgm_buf_clear(&c->chunk);
}
