/* SPDX-License-Identifier: EUPL-1.2
 * role/ledgerd_append.c — mail comes in: an APPEND is checked, its routing part
 * sealed under the day's routing key, the record appended. It waits here until
 * the round's sync; then the filter is told and the schedule has it.
 *
 * A render worker may append notices only, and only for a failure whose notice
 * is due: taken over, it cannot put mail of its own into the queue. */
#include "role/ledgerd.h"

#include <unistd.h>

#include "base/clock.h"
#include "ipc/codec.h"
#include "ledger/seal.h"
#include "os/memfd.h"

#define ROUTING_MAX_BYTES 65536
#define ROOM_MARGIN_BYTES ((uint64_t)256 * 1024)
#define LAG_MAX_BYTES ((uint64_t)256 << 20)

/* An APPEND whose day's routing key is on its way. */
struct vgm_ledgerd_waiting {
	struct vgm_ledgerd_waiting *next;
	struct vgm_channel *from;
	struct vgm_buf bytes; /* the message again, encoded */
	int body_fd;
};

static void answer_all(struct vgm_channel *to, const uint8_t id[16], uint8_t why,
    uint64_t sequence, const uint8_t *existing)
{
	struct vgm_msg_appended m = {.ok = why == 0, .why = why, .sequence = sequence};
	memcpy(m.id, id, sizeof m.id);
	if (existing)
		memcpy(m.existing, existing, sizeof m.existing);
	/* A worker that has gone hears nothing; it has told nobody 250. */
	if (to && vgm_channel_send(to, VGM_MSG_appended, &m) < 0)
		vgm_ledgerd_log(VGM_LOG_WARNING, "appended_not_sent", NULL);
}

static void answer(struct vgm_channel *to, const uint8_t id[16], uint8_t why, uint64_t sequence)
{
	answer_all(to, id, why, sequence, NULL);
}

static uint8_t refusal_of(int code)
{
	return code == VGM_E_NOSPACE   ? VGM_REFUSED_SPACE
	       : code == VGM_E_CORRUPT ? VGM_REFUSED_READONLY
				       : VGM_REFUSED_IO;
}

/* ---- whether new mail may come in ---- */

static bool views_lag(const struct vgm_ledgerd *l)
{
	if (l->mark_size == 0)
		return false;
	return vgm_clock_mono_ms() - l->mark_ms > l->run->conf.view_lag ||
	       l->bytes - l->mark_bytes > LAG_MAX_BYTES;
}

static uint8_t check_state(struct vgm_ledgerd *l, const struct vgm_msg_append *m)
{
	const struct vgm_err *fault = vgm_writer_fault(l->writer);
	if (fault)
		return refusal_of(fault->code);
	if (m->type == VGM_RECORD_MAIL && views_lag(l))
		return VGM_REFUSED_LAG;
	/* Twice its size: a segment's end may cost as much again (rule 20). */
	if (vgm_writer_room(l->writer) < 2 * m->body_size + ROOM_MARGIN_BYTES)
		return VGM_REFUSED_SPACE;
	return 0;
}

static bool may_append(
    struct vgm_ledgerd *l, struct vgm_channel *from, const struct vgm_msg_append *m)
{
	bool notice = vgm_channel_peer(from) == VGM_ROLE_RENDER;
	if (m->entity != l->run->conf.entity || m->body_packing > VGM_PACKING_ZSTD)
		return false;
	if (!notice)
		return m->type == VGM_RECORD_MAIL;
	return m->type == VGM_RECORD_NOTICE && vgm_ledgerd_notice_expected(l, m->related);
}

/* ---- into the ledger ---- */

static int seal_routing(
    const struct vgm_msg_append *m, const uint8_t *key, struct vgm_buf *out, struct vgm_err *err)
{
	struct vgm_seal_name name = {
	    .key = key, .id = m->id, .entity = m->entity, .part = VGM_PART_ROUTING};
	return vgm_seal(&name, m->routing, out, err);
}

static void fill_record(const struct vgm_msg_append *m, struct vgm_writer_record *in)
{
	in->record.type = m->type;
	in->record.packing = m->body_packing;
	in->record.conf_version = m->conf_version;
	in->record.day = m->day;
	memcpy(in->record.id, m->id, sizeof m->id);
	memcpy(in->record.related, m->related, sizeof m->related);
	memcpy(in->record.wrap, m->wrap, sizeof m->wrap);
	memcpy(in->record.commitment, m->commitment, sizeof m->commitment);
	in->record.part[VGM_PART_ROUTING].plain = m->routing.len;
	in->record.part[VGM_PART_HEAD].plain = vgm_seal_plain_size(m->head.len);
	in->record.part[VGM_PART_BODY].plain = m->body_plain_size;
	in->part[VGM_PART_HEAD] = m->head;
}

static void remember(struct vgm_ledgerd *l, struct vgm_channel *from,
    const struct vgm_msg_append *m, const struct vgm_writer_record *in,
    struct vgm_ledger_place place)
{
	if (l->pending_count == l->pending_room) {
		l->pending_room = l->pending_room ? 2 * l->pending_room : 64;
		l->pending = vgm_realloc(l->pending, l->pending_room * sizeof *l->pending);
	}
	if (l->pending_count == 0) {
		l->pending_since_us = vgm_clock_mono_us();
		l->pending_company = 0;
	}
	if (m->company > l->pending_company)
		l->pending_company = m->company;
	struct vgm_ledgerd_pending *p = &l->pending[l->pending_count++];
	*p = (struct vgm_ledgerd_pending){.from = from,
	    .type = m->type,
	    .place = place,
	    .sequence = in->record.sequence,
	    .routing_len = m->routing.len};
	memcpy(p->id, m->id, sizeof p->id);
	memcpy(p->related, m->related, sizeof p->related);
	p->routing = vgm_alloc(m->routing.len + 1);
	memcpy(p->routing, m->routing.data, m->routing.len);
	l->bytes += vgm_record_bytes(&in->record);
	vgm_ledgerd_leaf(l, in->leaf);
}

static int write_record(struct vgm_ledgerd *l, struct vgm_channel *from,
    const struct vgm_msg_append *m, const uint8_t *key, struct vgm_err *err)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf routing = VGM_BUF_INIT(ROUTING_MAX_BYTES);
	VGM_CLEANUP(vgm_mapping_release) struct vgm_mapping body = {VGM_SLICE_NONE};
	struct vgm_writer_record in = {.may_use_reserve = false};
	struct vgm_ledger_place place;
	int r = seal_routing(m, key, &routing, err);
	if (r == 0 && m->body_fd >= 0)
		r = vgm_mapping_open(m->body_fd, m->body_size, &body, err);
	else if (r == 0 && m->body_size != m->body.len)
		r = vgm_err_set(err, VGM_E_INVALID, "a body of another size than announced");
	if (r < 0)
		return r;
	fill_record(m, &in);
	in.part[VGM_PART_ROUTING] = vgm_buf_slice(&routing);
	in.part[VGM_PART_BODY] = m->body_fd >= 0 ? body.bytes : m->body;
	r = vgm_writer_append(l->writer, &in, &place, err);
	if (r == 0)
		remember(l, from, m, &in, place);
	return r;
}

/* ---- waiting for a key ---- */

static void wait_for_key(struct vgm_ledgerd *l, struct vgm_channel *from, struct vgm_msg_append *m)
{
	struct vgm_ledgerd_waiting *w = vgm_alloc(sizeof *w), **end = &l->waiting;
	struct vgm_fds fds = {.count = 0};
	w->from = from;
	w->body_fd = -1;
	vgm_buf_init(&w->bytes, VGM_MSG_MAX_BYTES);
	/* It came in one datagram: it fits. */
	VGM_BUG_ON(vgm_msg_encode(VGM_MSG_append, m, &w->bytes, &fds, NULL) < 0);
	w->body_fd = m->body_fd;
	m->body_fd = -1;
	while (*end)
		end = &(*end)->next;
	*end = w;
}

static void free_waiting(struct vgm_ledgerd_waiting *w)
{
	if (w->body_fd >= 0)
		close(w->body_fd);
	vgm_buf_release(&w->bytes);
	vgm_free(w);
}

void vgm_ledgerd_append_key_came(struct vgm_ledgerd *l)
{
	struct vgm_ledgerd_waiting *w = l->waiting, *next;
	l->waiting = NULL;
	for (; w; w = next) {
		struct vgm_arena arena = VGM_ARENA_INIT(65536);
		struct vgm_fds fds = {.fd = {w->body_fd}, .count = w->body_fd >= 0};
		struct vgm_msg_append m;
		next = w->next;
		VGM_BUG_ON(vgm_msg_decode(VGM_MSG_append, vgm_buf_slice(&w->bytes), &fds, &arena,
			       &m, NULL) < 0);
		w->body_fd = -1;
		if (w->from)
			vgm_ledgerd_append(l, w->from, &m);
		vgm_msg_close_fds(VGM_MSG_append, &m);
		vgm_arena_release(&arena);
		free_waiting(w);
	}
}

/* The sender of a doubtful mail sends it again: what is kept already is its
 * answer, and a record links the two. */
static bool was_resent(struct vgm_ledgerd *l, struct vgm_channel *from,
    const struct vgm_msg_append *m, const struct vgm_msg_routing *routing)
{
	uint8_t first[16];
	if (m->type != VGM_RECORD_MAIL ||
	    !vgm_resent_find(l->resent, routing->fingerprint, vgm_ledgerd_run_ms(l), first))
		return false;
	struct vgm_msg_event_facts event = {.kind = VGM_SLICE_LIT("resent"),
	    .who = VGM_SLICE_LIT("ledgerd")};
	memcpy(event.record, first, sizeof event.record);
	(void)vgm_ledgerd_fact_new(l, VGM_RECORD_ACTION, first, VGM_MSG_event_facts, &event);
	vgm_ledgerd_again(l);
	answer_all(from, m->id, 0, 0, first);
	return true;
}

void vgm_ledgerd_append(struct vgm_ledgerd *l, struct vgm_channel *from, struct vgm_msg_append *m)
{
	struct vgm_err err = {.code = 0};
	struct vgm_msg_routing routing;
	uint8_t why = check_state(l, m);
	if (why) {
		answer(from, m->id, why, 0);
		return;
	}
	vgm_arena_clear(&l->arena);
	if (!may_append(l, from, m) ||
	    vgm_msg_decode(VGM_MSG_routing, m->routing, NULL, &l->arena, &routing, &err) < 0) {
		if (err.code == 0)
			vgm_err_set(&err, VGM_E_DENIED, "a record that is not its to append");
		vgm_ledgerd_log(VGM_LOG_ERROR, "append_refused", &err);
		answer(from, m->id, VGM_REFUSED_IO, 0);
		return;
	}
	if (was_resent(l, from, m, &routing))
		return;
	const uint8_t *key = vgm_ledgerd_key(l, m->day);
	if (!key && !vgm_ledgerd_day_is_closed(l, m->day)) {
		wait_for_key(l, from, m);
		return;
	}
	int r = key ? write_record(l, from, m, key, &err)
		    : vgm_err_set(&err, VGM_E_NOTFOUND, "no routing key of day %u", m->day);
	if (r == 0)
		return;
	vgm_ledgerd_log(VGM_LOG_ERROR, "append_failed", &err);
	answer(from, m->id, refusal_of(r), 0);
	vgm_ledgerd_settle(l); /* the failure may have taken others with it */
}

/* ---- after the sync ---- */

void vgm_ledgerd_schedule(struct vgm_ledgerd *l, const uint8_t id[16],
    struct vgm_ledger_place place, const struct vgm_msg_routing *routing, uint64_t accepted_ms)
{
	struct vgm_err err;
	struct vgm_schedule_message m = {.segment = place.segment,
	    .offset = place.offset,
	    .accepted_ms = accepted_ms,
	    .expire_ms = routing->expires_ms,
	    .held = (routing->flags & VGM_ROUTING_HELD) != 0,
	    .recipients = routing->recipients,
	    .recipients_count = routing->recipients_count};
	memcpy(m.record, id, sizeof m.record);
	if (vgm_schedule_add(l->schedule, &m, vgm_ledgerd_run_ms(l), &err) < 0)
		vgm_ledgerd_log(VGM_LOG_ERROR, "not_scheduled", &err);
}

static void is_durable(struct vgm_ledgerd *l, const struct vgm_ledgerd_pending *p)
{
	struct vgm_msg_routing routing;
	answer(p->from, p->id, 0, p->sequence);
	if (p->type == VGM_RECORD_NOTICE)
		vgm_ledgerd_notice_done(l, p->related);
	vgm_arena_clear(&l->arena);
	/* Decoded before it was appended. */
	VGM_BUG_ON(vgm_msg_decode(VGM_MSG_routing, vgm_slice(p->routing, p->routing_len), NULL,
		       &l->arena, &routing, NULL) < 0);
	if (!p->from)
		vgm_resent_add(l->resent, routing.fingerprint, p->id, vgm_ledgerd_run_ms(l));
	vgm_ledgerd_schedule(l, p->id, p->place, &routing, vgm_ledgerd_run_ms(l));
}

void vgm_ledgerd_append_settle(struct vgm_ledgerd *l)
{
	const struct vgm_err *fault = vgm_writer_fault(l->writer);
	size_t kept = 0;
	for (size_t i = 0; i < l->pending_count; i++) {
		struct vgm_ledgerd_pending *p = &l->pending[i];
		if (p->sequence < vgm_writer_synced_size(l->writer)) {
			is_durable(l, p);
		} else if (p->sequence >= vgm_writer_size(l->writer)) {
			answer(p->from, p->id, fault ? refusal_of(fault->code) : VGM_REFUSED_IO, 0);
		} else {
			l->pending[kept++] = *p;
			continue;
		}
		vgm_free(p->routing);
	}
	l->pending_count = kept;
}

void vgm_ledgerd_append_gone(struct vgm_ledgerd *l, struct vgm_channel *channel)
{
	for (size_t i = 0; i < l->pending_count; i++)
		if (l->pending[i].from == channel)
			l->pending[i].from = NULL;
	for (struct vgm_ledgerd_waiting *w = l->waiting; w; w = w->next)
		if (w->from == channel)
			w->from = NULL;
}
