/* SPDX-License-Identifier: EUPL-1.2
 * role/relayd_connection.c — one connection: from one address to the next until
 * somebody answers, hello, TLS, then one job after another.
 *
 * A job whose connection is lost before the server has said anything about it (an
 * idle connection that the server closed in the same moment) goes back to the
 * front of its line. From the first byte of the body on, a loss defers: nobody
 * knows what the server made of it. */
#include "role/relayd_parts.h"

#include "base/clock.h"
#include "base/text.h"
#include "log/log.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

#define COPY_GRACE_MS 5000u

static void on_io(void *context, unsigned events);
static void on_timer(void *context);
static void try_address(struct relayd_connection *c);
static void flush(struct relayd_connection *c);

static struct relayd *relayd_of(const struct relayd_connection *c)
{
	return c->destination->relayd;
}

static const struct vgm_conf *conf_of(const struct relayd_connection *c)
{
	return &relayd_of(c)->run->conf;
}

/* ---- beginning and end ---- */

void relayd_connection_open(struct relayd_destination *d)
{
	struct relayd_connection *c = vgm_alloc(sizeof(*c));

	c->destination = d;
	c->opening = true;
	c->stream.fd = -1;
	vgm_buf_init(&c->chunk, RELAYD_CHUNK_BYTES);
	c->timer = vgm_timer_new(d->relayd->run->loop, "relay", on_timer, c);
	c->next = d->connections;
	if (c->next)
		c->next->prev = c;
	d->connections = c;
	d->connections_count++;
	d->opening++;
	try_address(c);
}

/* The socket and all that hangs on it. */
static void hang_up(struct relayd_connection *c)
{
	vgm_io_free(&c->io);
	vgm_stream_release(&c->stream);
	vgm_smtp_client_free(&c->client);
	c->out_sent = 0;
	c->tls[0] = '\0';
}

static void no_longer_opening(struct relayd_connection *c)
{
	c->destination->opening -= c->opening;
	c->opening = false;
}

/* Out of its destination's list; relayd_round frees it. */
static void die(struct relayd_connection *c)
{
	struct relayd_destination *d = c->destination;
	struct relayd *r = relayd_of(c);

	VGM_BUG_ON(c->job || c->state == CONNECTION_DEAD);
	no_longer_opening(c);
	*(c->prev ? &c->prev->next : &d->connections) = c->next;
	if (c->next)
		c->next->prev = c->prev;
	d->connections_count--;
	c->state = CONNECTION_DEAD;
	vgm_timer_off(c->timer);
	vgm_io_free(&c->io);
	c->next = r->dead;
	r->dead = c;
	relayd_mark_dirty(d);
}

void relayd_connection_end(struct relayd_connection *c)
{
	if (c->client && vgm_smtp_client_is_ready(c->client)) {
		vgm_smtp_client_quit(c->client);
		flush(c); /* one try; its answer interests nobody */
	}
	if (c->state != CONNECTION_DEAD)
		die(c);
}

void relayd_connection_free(struct relayd_connection *c)
{
	hang_up(c);
	vgm_timer_free(&c->timer);
	vgm_buf_release(&c->chunk);
	vgm_free(c);
}

/* ---- addresses ---- */

static void name_peer(struct relayd_connection *c, const struct relayd_address *a)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf ip = VGM_BUF_INIT(64);

	(void)!vgm_ip_format(a->addr.ip, &ip);
	(void)snprintf(c->peer, sizeof(c->peer), "%.200s [%s]:%u", a->host, vgm_buf_str(&ip),
	    a->addr.port);
}

static void wants(struct relayd_connection *c, unsigned events)
{
	vgm_io_want(c->io, events);
}

/* A socket under way, or a negative errno. */
static int start_connect(const struct vgm_addr *a)
{
	struct sockaddr_storage to;
	socklen_t len = vgm_addr_to_sockaddr(a, &to);
	int one = 1;
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	/* Commands and the end of a body must not wait for an acknowledgement. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (struct sockaddr *)&to, len) < 0 && errno != EINPROGRESS) {
		int failed = -errno;

		(void)close(fd);
		return failed;
	}
	return fd;
}

/* The route's name, or the domain. */
static const char *subject_of(const struct relayd_connection *c)
{
	const char *colon = strchr(c->destination->key, ':');

	return colon ? colon + 1 : c->destination->key;
}

static void unreachable(struct relayd_connection *c, const char *why)
{
	relayd_failure_set(relayd_of(c), &c->failure, VGM_OUTCOME_DEFERRED, "4.4.1",
	    VGM_WORDS_relay_unreachable, subject_of(c), why);
	(void)snprintf(c->failure.peer, sizeof(c->failure.peer), "%s", c->peer);
}

/* Nobody answered. As long as another connection lives, the line waits for it:
 * the other side may just allow no more of them. */
static void out_of_addresses(struct relayd_connection *c)
{
	struct relayd_destination *d = c->destination;
	struct relayd_failure why = c->failure;

	die(c);
	if (d->connections_count == 0)
		relayd_fail_line(d, &why, why.status == VGM_OUTCOME_DEFERRED);
	else if (d->connections_max > d->connections_count)
		d->connections_max = d->connections_count;
}

/* This address was no good; c->failure says why. */
static void next_address(struct relayd_connection *c)
{
	hang_up(c);
	c->address++;
	c->plain = false;
	try_address(c);
}

static void try_address(struct relayd_connection *c)
{
	struct relayd_destination *d = c->destination;

	for (; c->address < d->addresses_count; c->address++) {
		const struct relayd_address *a = &d->addresses[c->address];
		int fd = start_connect(&a->addr);

		name_peer(c, a);
		if (fd < 0) {
			unreachable(c, strerror(-fd));
			continue;
		}
		vgm_stream_init(&c->stream, fd);
		c->io = vgm_io_new(d->relayd->run->loop, fd, on_io, c);
		c->state = CONNECTION_CONNECTING;
		c->timed_out = false;
		wants(c, VGM_IO_WRITE);
		vgm_timer_in(c->timer, conf_of(c)->connect_timeout);
		return;
	}
	out_of_addresses(c);
}

static void on_connected(struct relayd_connection *c)
{
	struct relayd_destination *d = c->destination;
	int failed = 0;
	socklen_t len = sizeof(failed);

	if (getsockopt(c->stream.fd, SOL_SOCKET, SO_ERROR, &failed, &len) < 0)
		failed = errno;
	if (failed) {
		unreachable(c, strerror(failed));
		next_address(c);
		return;
	}
	struct vgm_smtp_client_options options = {
	    .hostname = conf_of(c)->hostname,
	    .tls_need = d->need,
	    .tls_never = c->plain,
	    .refuse_ourselves = d->by_mx,
	};
	c->client = vgm_smtp_client_new(&options);
	c->state = CONNECTION_TALKING;
	wants(c, VGM_IO_READ);
	vgm_timer_in(c->timer, conf_of(c)->reply_timeout);
}

/* ---- failures ---- */

/* What the machine's failure means for those who wait. */
static void describe_failure(struct relayd_connection *c, struct relayd_failure *f)
{
	struct relayd *r = relayd_of(c);
	const struct vgm_smtp_result *said = vgm_smtp_client_final(c->client);
	const uint8_t deferred = VGM_OUTCOME_DEFERRED;

	switch (vgm_smtp_client_failure(c->client)) {
	case VGM_SMTP_FAILURE_REFUSED:
		/* Said to us, not about a message: another hour may be better. */
		f->status = deferred;
		(void)snprintf(f->enhanced, sizeof(f->enhanced), "4%s", said->enhanced + 1);
		(void)snprintf(f->reply, sizeof(f->reply), "%s", vgm_buf_str(&said->text));
		break;
	case VGM_SMTP_FAILURE_PROTOCOL:
		relayd_failure_set(r, f, deferred, "4.5.0", VGM_WORDS_relay_protocol, NULL,
		    vgm_smtp_client_why(c->client));
		break;
	case VGM_SMTP_FAILURE_TLS_MISSING:
		relayd_failure_set(
		    r, f, deferred, "4.7.10", VGM_WORDS_relay_tls_missing, NULL, NULL);
		break;
	case VGM_SMTP_FAILURE_SELF:
		relayd_failure_set(r, f, VGM_OUTCOME_FAILED, "5.4.6", VGM_WORDS_relay_ourselves,
		    subject_of(c), NULL);
		break;
	case VGM_SMTP_FAILURE_LOST:
	case VGM_SMTP_FAILURE_NONE:
		relayd_failure_set(r, f, deferred, "4.4.2",
		    c->timed_out ? VGM_WORDS_relay_timeout : VGM_WORDS_relay_lost, NULL, NULL);
		break;
	}
	(void)snprintf(f->peer, sizeof(f->peer), "%s", c->peer);
}

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
		o.reference = said->code < 300 ? vgm_smtp_client_reference(c->client)
					       : VGM_SLICE_NONE;
		relayd_job_settle(j, i, &o);
	}
}

static void detach(struct relayd_connection *c)
{
	c->job->connection = NULL;
	c->job = NULL;
}

/* Nothing was said about the job yet, so that another connection may have it. */
static bool is_untouched(const struct relayd_connection *c)
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

static void fail_job(struct relayd_connection *c, bool untouched)
{
	struct relayd *r = relayd_of(c);
	struct relayd_job *j = c->job;
	struct relayd_failure why = {0};

	if (untouched && ++j->tries < RELAYD_TRIES) {
		detach(c);
		relayd_job_line_up(j, true);
		return;
	}
	describe_failure(c, &why);
	if (!untouched)
		settle_from_results(c);
	relayd_job_settle_rest(j, &why);
	detach(c);
	relayd_job_finish(r, j, false);
}

/* The machine has failed: the connection is of no more use. */
static void on_failed(struct relayd_connection *c, bool untouched)
{
	if (c->opening) {
		describe_failure(c, &c->failure);
		next_address(c);
		return;
	}
	if (c->job)
		fail_job(c, untouched);
	die(c);
}

static void lost(struct relayd_connection *c)
{
	bool body = c->state == CONNECTION_BODY || vgm_smtp_client_awaits_final(c->client);

	vgm_smtp_client_lost(c->client);
	on_failed(c, c->job && !body && is_untouched(c));
}

/* ---- TLS ---- */

static void tls_failed(struct relayd_connection *c, const char *why)
{
	struct relayd *r = relayd_of(c);
	struct vgm_log_line l;

	vgm_log_start(&l, VGM_LOG_WARNING, "tls_failed");
	vgm_log_text(&l, "peer", c->peer);
	vgm_log_text(&l, "detail", why);
	vgm_log_flag(&l, "required", c->destination->need != VGM_TLS_MAY);
	vgm_log_end(&l);
	if (c->destination->need == VGM_TLS_MAY && !c->plain) {
		/* Opportunistic (RFC 7435): better in clear than not at all. */
		hang_up(c);
		c->plain = true;
		try_address(c);
		return;
	}
	relayd_failure_set(r, &c->failure, VGM_OUTCOME_DEFERRED, "4.7.5",
	    VGM_WORDS_relay_tls_failed, NULL, why);
	(void)snprintf(c->failure.peer, sizeof(c->failure.peer), "%s", c->peer);
	next_address(c);
}

static void shake_hands(struct relayd_connection *c)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf facts = VGM_BUF_INIT(sizeof(c->tls) - 1);
	struct vgm_err err = {0};
	int r = vgm_stream_handshake(&c->stream, &err);

	if (r == VGM_E_BUSY) {
		wants(c, c->stream.want);
		return;
	}
	if (r < 0) {
		tls_failed(c, err.text[0] ? err.text : "the other side left");
		return;
	}
	(void)!vgm_stream_tls_facts(&c->stream, &facts);
	(void)snprintf(c->tls, sizeof(c->tls), "%s", vgm_buf_str(&facts));
	c->state = CONNECTION_TALKING;
	vgm_smtp_client_secured(c->client);
	flush(c);
}

static void start_tls(struct relayd_connection *c)
{
	const struct relayd_destination *d = c->destination;
	struct vgm_err err = {0};

	c->state = CONNECTION_HANDSHAKE;
	if (vgm_stream_start_tls(&c->stream, relayd_of(c)->tls, d->addresses[c->address].host,
		d->need == VGM_TLS_VERIFY, &err) < 0)
		tls_failed(c, err.text);
	else
		shake_hands(c);
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

static void flush(struct relayd_connection *c)
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
		lost(c);
	else if (c->io)
		wants(c, r == 1 ? VGM_IO_READ : VGM_IO_READ | c->stream.want);
}

/* ---- jobs ---- */

static void refuse_job(struct relayd_connection *c, const char *enhanced, enum vgm_words_id words,
    const char *detail)
{
	struct relayd_failure why = {0};
	struct relayd_job *j = c->job;

	relayd_failure_set(
	    relayd_of(c), &why, VGM_OUTCOME_FAILED, enhanced, words, NULL, detail);
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
static void go_on(struct relayd_connection *c)
{
	struct relayd_destination *d = c->destination;
	bool pool = vgm_role_peer(relayd_of(c)->run, VGM_ROLE_RENDER, VGM_INSTANCE_ONLY);

	no_longer_opening(c);
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
	go_on(c);
	if (c->state == CONNECTION_TALKING)
		flush(c);
}

void relayd_connection_copy_ready(struct relayd_connection *c)
{
	VGM_BUG_ON(c->state != CONNECTION_PREPARING);
	if (!begin(c))
		go_on(c);
	if (c->state == CONNECTION_TALKING)
		flush(c);
}

void relayd_connection_release_job(struct relayd_connection *c)
{
	c->job = NULL;
	go_on(c);
	if (c->state == CONNECTION_TALKING)
		flush(c);
}

static void on_done(struct relayd_connection *c)
{
	struct relayd_job *j = c->job;

	c->messages++;
	settle_from_results(c);
	detach(c);
	relayd_job_finish(relayd_of(c), j, false);
	vgm_timer_in(c->timer, conf_of(c)->reply_timeout);
}

static void on_body(struct relayd_connection *c)
{
	c->state = CONNECTION_BODY;
	vgm_smtp_dot_init(&c->dot);
	c->body = c->job->body;
	c->piece = VGM_SLICE_NONE;
	c->chunk_last = false;
	c->chunk_sent = 0;
	vgm_buf_clear(&c->chunk);
}

/* ---- receiving ---- */

static void feed(struct relayd_connection *c, struct vgm_slice in)
{
	/* Each event may end the connection, or this machine of it. */
	for (;;) {
		switch (vgm_smtp_client_feed(c->client, &in)) {
		case VGM_SMTP_CLIENT_WAIT:
			flush(c);
			return;
		case VGM_SMTP_CLIENT_READY:
			go_on(c);
			break;
		case VGM_SMTP_CLIENT_TLS:
			start_tls(c);
			return;
		case VGM_SMTP_CLIENT_BODY:
			on_body(c);
			break;
		case VGM_SMTP_CLIENT_DONE:
			on_done(c);
			break;
		case VGM_SMTP_CLIENT_FAILED:
			on_failed(c, c->job && c->state == CONNECTION_PREPARING);
			return;
		}
		if (c->state == CONNECTION_DEAD)
			return;
	}
}

static void on_readable(struct relayd_connection *c)
{
	struct relayd *r = relayd_of(c);
	struct vgm_io *io = c->io;

	do {
		size_t n;
		int result = vgm_stream_read(&c->stream, r->input, sizeof(r->input), &n);

		if (result == VGM_E_BUSY) {
			wants(c, VGM_IO_READ | c->stream.want);
			return;
		}
		if (result < 0) {
			lost(c);
			return;
		}
		/* Silence ends a connection, words do not; while it sends a body or
		 * rests, its own clock runs. */
		if (c->state == CONNECTION_TALKING && !vgm_smtp_client_awaits_final(c->client))
			vgm_timer_in(c->timer, conf_of(c)->reply_timeout);
		feed(c, vgm_slice(r->input, n));
	} while (c->io == io && c->state != CONNECTION_HANDSHAKE && vgm_stream_pending(&c->stream));
}

static void on_io(void *context, unsigned events)
{
	struct relayd_connection *c = context;

	switch (c->state) {
	case CONNECTION_DEAD:
		return;
	case CONNECTION_CONNECTING:
		on_connected(c);
		return;
	case CONNECTION_HANDSHAKE:
		shake_hands(c);
		return;
	default:
		break;
	}
	struct vgm_io *io = c->io;
	if (events & VGM_IO_WRITE) {
		if (c->state == CONNECTION_BODY) /* it moves */
			vgm_timer_in(c->timer, conf_of(c)->reply_timeout);
		flush(c);
	}
	if (events & VGM_IO_READ && c->io == io && c->client)
		on_readable(c);
}

static void on_timer(void *context)
{
	struct relayd_connection *c = context;

	c->timed_out = true;
	switch (c->state) {
	case CONNECTION_DEAD:
		return;
	case CONNECTION_CONNECTING:
		unreachable(c, strerror(ETIMEDOUT));
		next_address(c);
		return;
	case CONNECTION_HANDSHAKE:
		tls_failed(c, strerror(ETIMEDOUT));
		return;
	case CONNECTION_IDLE:
		relayd_connection_end(c);
		return;
	case CONNECTION_PREPARING:
		c->timed_out = false;
		relayd_job_copy_failed(relayd_of(c), c->job);
		return;
	case CONNECTION_TALKING:
	case CONNECTION_BODY:
		lost(c);
		return;
	}
}
