/* SPDX-License-Identifier: EUPL-1.2
 * role/relayd_job.c — one delivery: its copy from the render pool, the outcome of
 * each recipient, the report to ledgerd and one log line for each. */
#include "role/relayd_parts.h"

#include "base/clock.h"
#include "base/text.h"
#include "log/log.h"

#include <stdio.h>
#include <unistd.h>

#define JOB_BYTES 8388608u /* a DELIVER and the outcomes of 1,000 recipients */

/* ---- life cycle ---- */

static struct vgm_slice keep(struct relayd_job *j, struct vgm_slice s)
{
	char *copy = vgm_arena_dup(&j->arena, s);

	VGM_BUG_ON(!copy);
	return vgm_slice(copy, s.len);
}

static void *take(struct relayd_job *j, size_t count, size_t size)
{
	void *memory = vgm_arena_alloc(&j->arena, count, size);

	VGM_BUG_ON(!memory);
	return memory;
}

/* The message's slices live as long as its handler only. */
static void copy_message(struct relayd_job *j, struct vgm_msg_deliver *m)
{
	size_t n = m->recipients_count;

	j->m = *m;
	m->segment = -1;
	j->m.route = keep(j, m->route);
	j->m.sender = keep(j, m->sender);
	j->m.envid = keep(j, m->envid);
	j->m.recipients = take(j, n, sizeof(*m->recipients));
	j->m.indexes = take(j, n, sizeof(*m->indexes));
	memcpy(j->m.indexes, m->indexes, n * sizeof(*m->indexes));
	j->outcomes = take(j, n, sizeof(*j->outcomes));
	for (size_t i = 0; i < n; i++) {
		j->m.recipients[i] = m->recipients[i];
		j->m.recipients[i].address = keep(j, m->recipients[i].address);
		j->m.recipients[i].orcpt = keep(j, m->recipients[i].orcpt);
		j->m.recipients[i].route = j->m.recipients[i].reason = VGM_SLICE_NONE;
		j->outcomes[i].index = m->indexes[i].value;
	}
}

struct relayd_job *relayd_job_new(struct relayd *r, struct vgm_msg_deliver *m)
{
	struct relayd_job *j = vgm_alloc(sizeof(*j));

	VGM_BUG_ON(m->recipients_count == 0 || m->indexes_count != m->recipients_count);
	j->arena = (struct vgm_arena)VGM_ARENA_INIT(JOB_BYTES);
	vgm_buf_init(&j->body_small, VGM_MSG_MAX_BYTES);
	copy_message(j, m);
	j->tag = ++r->next_tag;
	j->tag_next = r->jobs[j->tag % RELAYD_BUCKETS];
	r->jobs[j->tag % RELAYD_BUCKETS] = j;
	r->jobs_count++;
	return j;
}

struct relayd_job *relayd_job_find(struct relayd *r, uint64_t tag)
{
	struct relayd_job *j = r->jobs[tag % RELAYD_BUCKETS];

	while (j && j->tag != tag)
		j = j->tag_next;
	return j;
}

void relayd_job_free(struct relayd *r, struct relayd_job *j)
{
	struct relayd_job **at = &r->jobs[j->tag % RELAYD_BUCKETS];

	while (*at != j)
		at = &(*at)->tag_next;
	*at = j->tag_next;
	r->jobs_count--;
	relayd_job_leave_line(j);
	if (j->m.segment >= 0)
		(void)close(j->m.segment);
	vgm_buf_wipe(&j->body_small);
	vgm_mapping_release(&j->body_large);
	vgm_arena_release(&j->arena);
	vgm_free(j);
}

void relayd_job_line_up(struct relayd_job *j, bool front)
{
	struct relayd_destination *d = j->destination;

	VGM_BUG_ON(j->in_line || j->connection);
	j->line_prev = front ? NULL : d->line_last;
	j->line_next = front ? d->line_first : NULL;
	*(j->line_prev ? &j->line_prev->line_next : &d->line_first) = j;
	*(j->line_next ? &j->line_next->line_prev : &d->line_last) = j;
	j->in_line = true;
	d->line_count++;
	relayd_mark_dirty(d);
}

void relayd_job_leave_line(struct relayd_job *j)
{
	struct relayd_destination *d = j->destination;

	if (!j->in_line)
		return;
	*(j->line_prev ? &j->line_prev->line_next : &d->line_first) = j->line_next;
	*(j->line_next ? &j->line_next->line_prev : &d->line_last) = j->line_prev;
	j->in_line = false;
	d->line_count--;
}

/* ---- the copy ---- */

bool relayd_job_ask_copy(struct relayd *r, struct relayd_job *j, uint8_t caps)
{
	struct vgm_channel *pool = vgm_role_peer(r->run, VGM_ROLE_RENDER, VGM_INSTANCE_ONLY);
	struct vgm_msg_render m = {
	    .session = j->tag,
	    .record_offset = j->m.record_offset,
	    .capabilities = caps,
	    .segment = j->m.segment,
	};

	if (j->m.recipients_count == 1)
		m.for_address = j->m.recipients[0].address;
	memcpy(m.token, j->m.token, sizeof(m.token));
	memcpy(m.record, j->m.record, sizeof(m.record));
	if (!pool || vgm_channel_send(pool, VGM_MSG_render, &m) < 0)
		return false;
	j->copy = COPY_ASKED;
	j->copy_caps = caps;
	/* Nothing more is read from it here. */
	(void)close(j->m.segment);
	j->m.segment = -1;
	return true;
}

/* No copy, so no delivery: all recipients are settled, the connection goes on. */
static void end_unsent(struct relayd *r, struct relayd_job *j, const struct relayd_failure *why)
{
	struct relayd_connection *c = j->connection;

	relayd_job_settle_rest(j, why);
	relayd_job_finish(r, j, false);
	if (c)
		relayd_connection_release_job(c);
}

void relayd_job_copy_failed(struct relayd *r, struct relayd_job *j)
{
	struct relayd_failure why = {0};

	relayd_failure_set(
	    r, &why, VGM_OUTCOME_DEFERRED, "4.3.0", VGM_WORDS_relay_render, NULL, NULL);
	end_unsent(r, j, &why);
}

/* The bytes, wherever they came. */
static int take_body(struct relayd_job *j, struct vgm_msg_rendered *m, struct vgm_err *err)
{
	if (m->fd >= 0) {
		int r = vgm_mapping_open(m->fd, m->size, &j->body_large, err);

		if (r == 0)
			j->body = j->body_large.bytes;
		return r;
	}
	if (m->bytes.len != m->size)
		return vgm_err_set(err, VGM_E_INVALID, "a copy of another size");
	int r = vgm_buf_add_slice(&j->body_small, m->bytes);
	j->body = vgm_buf_slice(&j->body_small);
	return r;
}

static void complain(const struct relayd_job *j, const char *event, const struct vgm_err *err)
{
	struct vgm_log_line l;

	vgm_log_start(&l, VGM_LOG_ERROR, event);
	vgm_log_hex(&l, "record", j->m.record, sizeof(j->m.record));
	if (err)
		vgm_log_err(&l, err);
	vgm_log_end(&l);
}

void relayd_job_copy_came(struct relayd *r, struct relayd_job *j, struct vgm_msg_rendered *m)
{
	struct relayd_failure why = {0};
	struct vgm_err err = {0};
	bool utf8 = j->m.flags & VGM_ROUTING_UTF8;

	switch (m->ok) {
	case VGM_RENDER_OK:
		if (take_body(j, m, &err) < 0)
			break;
		memcpy(j->sha256, m->sha256, sizeof(j->sha256));
		memcpy(j->salt, m->salt, sizeof(j->salt));
		j->copy = COPY_MADE;
		if (j->connection)
			relayd_connection_copy_ready(j->connection);
		return;
	case VGM_RENDER_NEEDS_8BIT:
		relayd_failure_set(r, &why, VGM_OUTCOME_FAILED, utf8 ? "5.6.7" : "5.6.3",
		    utf8 ? VGM_WORDS_relay_needs_utf8 : VGM_WORDS_relay_needs_8bit, NULL, NULL);
		end_unsent(r, j, &why);
		return;
	case VGM_RENDER_CORRUPT:
		complain(j, "stored_message_corrupt", NULL);
		break;
	default:
		break;
	}
	if (err.code)
		complain(j, "copy_refused", &err);
	relayd_job_copy_failed(r, j);
}

/* ---- outcomes ---- */

void relayd_failure_set(struct relayd *r, struct relayd_failure *f, uint8_t status,
    const char *enhanced, enum vgm_words_id words, const char *subject, const char *detail)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf text = VGM_BUF_INIT(8192);

	f->status = status;
	(void)snprintf(f->enhanced, sizeof(f->enhanced), "%s", enhanced);
	(void)!vgm_words_fill(words, r->lang, &text, "destination", subject, "route", subject,
	    "why", detail, "limit", detail, NULL);
	(void)snprintf(f->reply, sizeof(f->reply), "%s", vgm_buf_str(&text));
}

void relayd_job_settle(struct relayd_job *j, size_t i, const struct vgm_outcome *o)
{
	struct vgm_outcome *to = &j->outcomes[i];

	VGM_BUG_ON(to->status || !o->status);
	to->status = o->status;
	to->enhanced = keep(j, o->enhanced);
	to->reply = keep(j, o->reply);
	to->peer = keep(j, o->peer);
	to->tls = keep(j, o->tls);
	to->reference = keep(j, o->reference);
}

void relayd_job_settle_rest(struct relayd_job *j, const struct relayd_failure *f)
{
	struct vgm_outcome o = {
	    .status = f->status,
	    .enhanced = vgm_slice_str(f->enhanced),
	    .reply = vgm_slice_str(f->reply),
	    .peer = vgm_slice_str(f->peer),
	};

	for (size_t i = 0; i < j->m.recipients_count; i++)
		if (!j->outcomes[i].status)
			relayd_job_settle(j, i, &o);
}

/* No more than so many bytes, no code point cut in two. */
static struct vgm_slice at_most(struct vgm_slice s, size_t max)
{
	size_t end = vgm_min_size(s.len, max);

	while (end > 0 && end < s.len && (s.data[end] & 0xc0) == 0x80)
		end--;
	return vgm_slice_sub(s, 0, end);
}

/* Many recipients with long replies would not fit one datagram. */
static void make_fit(struct relayd_job *j)
{
	size_t room = 60000 / j->m.recipients_count;

	for (size_t i = 0; i < j->m.recipients_count; i++) {
		struct vgm_outcome *o = &j->outcomes[i];
		size_t used = o->reply.len + o->peer.len + o->tls.len + o->reference.len + 60;

		o->reply = at_most(o->reply, 512);
		o->peer = at_most(o->peer, 300);
		if (used <= room)
			continue;
		o->reply = at_most(o->reply, room > 200 ? room - 200 : 0);
		o->peer = at_most(o->peer, 60);
		o->reference = at_most(o->reference, 40);
		o->tls = at_most(o->tls, 40);
	}
}

static const char *status_name(uint8_t status)
{
	switch (status) {
	case VGM_OUTCOME_DELIVERED:
		return "delivered";
	case VGM_OUTCOME_RELAYED:
		return "relayed";
	case VGM_OUTCOME_FAILED:
		return "failed";
	default:
		return "deferred";
	}
}

static void log_outcome(const struct relayd_job *j, size_t i)
{
	const struct vgm_outcome *o = &j->outcomes[i];
	uint64_t now = vgm_clock_wall_us();
	struct vgm_log_line l;

	vgm_log_start(&l, VGM_LOG_INFO, "delivery");
	vgm_log_hex(&l, "record", j->m.record, sizeof(j->m.record));
	vgm_log_address(&l, "recipient", j->m.recipients[i].address);
	vgm_log_text(&l, "status", status_name(o->status));
	vgm_log_str(&l, "enhanced", o->enhanced);
	vgm_log_str(&l, "route", j->m.route);
	vgm_log_str(&l, "peer", o->peer);
	vgm_log_str(&l, "tls", o->tls);
	vgm_log_str(&l, "reference", o->reference);
	/* Servers like to repeat the address in their replies. */
	vgm_log_personal(&l, "reply", o->reply);
	vgm_log_u64(&l, "attempt", j->m.attempt);
	vgm_log_u64(&l, "bytes", j->body.len);
	vgm_log_u64(&l, "age_ms", now > j->m.received_us ? (now - j->m.received_us) / 1000 : 0);
	vgm_log_end(&l);
}

void relayd_job_finish(struct relayd *r, struct relayd_job *j, bool destination_down)
{
	struct vgm_channel *ledgerd = vgm_role_peer(r->run, VGM_ROLE_LEDGERD, VGM_INSTANCE_ONLY);
	struct vgm_msg_outcomes m = {
	    .delivery = j->m.delivery,
	    .outcomes = j->outcomes,
	    .outcomes_count = j->m.recipients_count,
	    .sent_size = j->body.len,
	    .destination_down = destination_down,
	};

	make_fit(j);
	memcpy(m.record, j->m.record, sizeof(m.record));
	memcpy(m.sent_sha256, j->sha256, sizeof(m.sent_sha256));
	memcpy(m.sent_salt, j->salt, sizeof(m.sent_salt));
	for (size_t i = 0; i < j->m.recipients_count; i++) {
		VGM_BUG_ON(!j->outcomes[i].status);
		log_outcome(j, i);
	}
	if (ledgerd) {
		int sent = vgm_channel_send(ledgerd, VGM_MSG_outcomes, &m);

		/* An outcome that cannot be said would hold its message for ever. */
		VGM_BUG_ON(sent < 0 && sent != VGM_E_CLOSED && sent != VGM_E_IO);
		r->unwritten += sent == 0;
	}
	relayd_mark_dirty(j->destination);
	relayd_job_free(r, j);
}
