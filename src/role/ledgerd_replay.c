/* SPDX-License-Identifier: EUPL-1.2
 * role/ledgerd_replay.c — the schedule at the start: what the snapshot says was
 * queued, then every record since, in slices, while new mail already comes in.
 * Nothing is delivered before the end of it (rule 13).
 *
 * Records of a day whose key is destroyed are passed over: they are closed, and
 * can be neither queued nor delivered any more. */
#include "role/ledgerd.h"

#include "base/clock.h"
#include "os/memfd.h"
#include "policy/policy.h"

#define SLICE_MS 20
#define INDEXES_MAX 1000
/* Mail so shortly before an end that was no stop may not have been answered. */
#define DOUBT_US ((uint64_t)120 * 1000000)

struct vgm_ledgerd_replay {
	struct vgm_ledgerd_snapshot snapshot;
	size_t next_queued;
	struct vgm_reader *reader;
	struct vgm_ledger_place end;
	uint64_t records, passed_over, started_ms;
	bool stopped; /* by a fault: a person must look */
};

/* Running time at a ledger time, by the snapshot's pair. */
static uint64_t run_at(const struct vgm_ledgerd_replay *r, uint64_t time_us)
{
	uint64_t since = time_us > r->snapshot.time_us ? time_us - r->snapshot.time_us : 0;
	return r->snapshot.run_ms + since / 1000;
}

/* ---- acts of an administrator, now or in the past ---- */

struct held {
	const uint8_t *only; /* NULL = all */
	struct vgm_ledgerd_queued *found;
	size_t count, room;
};

static void collect_held(
    void *context, const struct vgm_schedule_message *m, const uint32_t *attempts)
{
	struct held *h = context;
	bool hold_route = false;
	if (h->only && memcmp(h->only, m->record, sizeof m->record) != 0)
		return;
	for (size_t i = 0; i < m->recipients_count; i++)
		hold_route |= vgm_slice_eq(m->recipients[i].route, VGM_SLICE_LIT("hold")) &&
			      attempts[i] != UINT32_MAX;
	if (!hold_route)
		return;
	if (h->count == h->room) {
		h->room = h->room ? 2 * h->room : 16;
		h->found = vgm_realloc(h->found, h->room * sizeof *h->found);
	}
	struct vgm_ledgerd_queued *q = &h->found[h->count++];
	*q = (struct vgm_ledgerd_queued){.place = {m->segment, m->offset},
	    .expire_ms = m->expire_ms,
	    .attempts_count = m->recipients_count};
	memcpy(q->record, m->record, sizeof q->record);
	q->attempts = vgm_alloc(m->recipients_count * sizeof *q->attempts);
	memcpy(q->attempts, attempts, m->recipients_count * sizeof *q->attempts);
}

/* What was tried before, put on a message that was just added. */
static void set_attempts(struct vgm_ledgerd *l, const struct vgm_ledgerd_queued *q, uint64_t now_ms)
{
	for (uint32_t i = 0; i < q->attempts_count; i++) {
		uint8_t status =
		    q->attempts[i] == UINT32_MAX ? VGM_OUTCOME_REMOVED : VGM_OUTCOME_DEFERRED;
		if (q->attempts[i])
			(void)vgm_schedule_outcome(
			    l->schedule, q->record, i, status, q->attempts[i], now_ms);
	}
}

/* A recipient held by the policy has no route yet: it gets the one that the
 * configuration has for it today. */
static void reroute(struct vgm_ledgerd *l, const struct vgm_ledgerd_queued *q, uint64_t now_ms)
{
	VGM_CLEANUP(vgm_arena_release) struct vgm_arena names = VGM_ARENA_INIT(1u << 20);
	struct vgm_msg_routing routing;
	struct vgm_record record;
	struct vgm_err err = {.code = 0};
	if (vgm_ledgerd_read(l, q->place, q->record, &record, VGM_MSG_routing, &routing, &err) <
		0 ||
	    routing.recipients_count != q->attempts_count) {
		vgm_ledgerd_log(VGM_LOG_ERROR, "not_released", &err);
		return;
	}
	for (size_t i = 0; i < routing.recipients_count; i++) {
		struct vgm_recipient *to = &routing.recipients[i];
		struct vgm_slice route = to->route;
		if (vgm_slice_eq(route, VGM_SLICE_LIT("hold")))
			route = vgm_policy_route(&l->run->conf, l->directory, to->address,
			    &to->policy, &to->reason, &names);
		if (route.len)
			to->route = route;
	}
	routing.flags &= (uint8_t)~VGM_ROUTING_HELD;
	(void)vgm_schedule_act(l->schedule, VGM_ACT_REMOVE, q->record, now_ms);
	vgm_ledgerd_schedule(l, q->record, q->place, &routing, now_ms);
	set_attempts(l, q, now_ms);
}

void vgm_ledgerd_act_on(struct vgm_ledgerd *l, enum vgm_schedule_act act, const uint8_t *record,
    uint64_t now_ms, uint32_t *out_count)
{
	struct held held = {.only = record};
	if (act == VGM_ACT_RELEASE)
		vgm_schedule_each(l->schedule, collect_held, &held);
	for (size_t i = 0; i < held.count; i++) {
		reroute(l, &held.found[i], now_ms);
		vgm_free(held.found[i].attempts);
	}
	vgm_free(held.found);
	uint32_t count = vgm_schedule_act(l->schedule, act, record, now_ms);
	if (out_count)
		*out_count = count + (uint32_t)held.count;
}

static void replay_act(struct vgm_ledgerd *l, const struct vgm_msg_event_facts *event, uint64_t at)
{
	static const struct {
		const char *kind;
		enum vgm_schedule_act act;
	} acts[] = {{"hold", VGM_ACT_HOLD}, {"release", VGM_ACT_RELEASE},
	    {"remove", VGM_ACT_REMOVE}, {"flush", VGM_ACT_FLUSH}};
	static const uint8_t zeros[16];
	uint8_t record[16];
	memcpy(record, event->record, sizeof record);
	for (size_t i = 0; i < VGM_ARRAY_LEN(acts); i++) {
		if (!vgm_slice_eq(event->kind, vgm_slice_str(acts[i].kind)))
			continue;
		bool all = memcmp(record, zeros, sizeof record) == 0;
		vgm_ledgerd_act_on(l, acts[i].act, all ? NULL : record, at, NULL);
		return;
	}
}

/* ---- outcomes ---- */

/* A delivered message asks for a notice only by its own routing part; failures
 * are looked at when their turn comes. */
static bool success_asked(struct vgm_ledgerd *l, struct vgm_ledger_place original,
    const uint8_t record[16], const uint32_t *indexes, size_t count)
{
	struct vgm_msg_routing routing;
	struct vgm_record got;
	bool asked = false;
	if (vgm_ledgerd_read(l, original, record, &got, VGM_MSG_routing, &routing, NULL) < 0)
		return false;
	for (size_t i = 0; i < count; i++) {
		struct vgm_outcome o = {.index = indexes[i], .status = VGM_OUTCOME_RELAYED};
		asked |= vgm_ledgerd_notice_action(&routing, &o) != 0;
	}
	return asked;
}

static void replay_outcome(struct vgm_ledgerd *l, const struct vgm_reader_entry *entry,
    const struct vgm_msg_outcome_facts *facts, uint64_t at)
{
	struct vgm_ledger_place original = {facts->segment, facts->offset};
	uint32_t relayed[INDEXES_MAX];
	size_t relayed_count = 0;
	uint8_t record[16];
	bool notice = false;
	memcpy(record, facts->record, sizeof record);
	for (size_t i = 0; i < facts->outcomes_count; i++) {
		const struct vgm_outcome *o = &facts->outcomes[i];
		if (o->status == VGM_OUTCOME_LATE)
			vgm_schedule_warned(l->schedule, facts->record, o->index);
		else
			(void)vgm_schedule_outcome(
			    l->schedule, facts->record, o->index, o->status, facts->attempt, at);
		notice |= o->status == VGM_OUTCOME_LATE || o->status == VGM_OUTCOME_FAILED ||
			  o->status == VGM_OUTCOME_EXPIRED;
		if (o->status == VGM_OUTCOME_RELAYED && relayed_count < INDEXES_MAX)
			relayed[relayed_count++] = o->index;
	}
	if (!notice && relayed_count)
		notice = success_asked(l, original, record, relayed, relayed_count);
	if (notice)
		vgm_ledgerd_notice_add(l, entry->record.id, entry->at);
}

/* ---- records ---- */

static int replay_record(
    struct vgm_ledgerd *l, const struct vgm_reader_entry *entry, struct vgm_err *err)
{
	union {
		struct vgm_msg_routing routing;
		struct vgm_msg_outcome_facts outcome;
		struct vgm_msg_event_facts event;
	} facts;
	uint64_t at = run_at(l->replay, entry->record.time_us);
	enum vgm_msg_type type = VGM_MSG_routing;
	switch (entry->record.type) {
	case VGM_RECORD_NOTICE:
		vgm_ledgerd_notice_done(l, entry->record.related);
		break;
	case VGM_RECORD_MAIL:
		break;
	case VGM_RECORD_OUTCOME:
		type = VGM_MSG_outcome_facts;
		break;
	case VGM_RECORD_ACTION:
		type = VGM_MSG_event_facts;
		break;
	default:
		return 0;
	}
	int r = vgm_ledgerd_open(l, &entry->record, entry->routing, type, &facts, err);
	if (r < 0)
		return r;
	if (type == VGM_MSG_routing) {
		if (entry->record.time_us + DOUBT_US >= l->opening.last_time_us)
			vgm_resent_add(l->resent, facts.routing.fingerprint, entry->record.id,
			    vgm_ledgerd_run_ms(l));
		vgm_ledgerd_schedule(l, entry->record.id, entry->at, &facts.routing, at);
	}
	if (type == VGM_MSG_outcome_facts)
		replay_outcome(l, entry, &facts.outcome, at);
	if (type == VGM_MSG_event_facts)
		replay_act(l, &facts.event, at);
	return 0;
}

static int replay_queued(struct vgm_ledgerd *l, struct vgm_err *err)
{
	struct vgm_ledgerd_replay *r = l->replay;
	const struct vgm_ledgerd_queued *q = &r->snapshot.queued[r->next_queued];
	struct vgm_msg_routing routing;
	struct vgm_record record;
	int result =
	    vgm_ledgerd_read(l, q->place, q->record, &record, VGM_MSG_routing, &routing, err);
	if (result == 0 && routing.recipients_count != q->attempts_count)
		result = vgm_err_set(err, VGM_E_CORRUPT, "the snapshot counts other recipients");
	if (result < 0)
		return result;
	struct vgm_schedule_message m = {.segment = q->place.segment,
	    .offset = q->place.offset,
	    .accepted_ms = q->accepted_ms,
	    .expire_ms = q->expire_ms,
	    .held = q->held,
	    .warned = q->warned,
	    .recipients = routing.recipients,
	    .recipients_count = routing.recipients_count};
	memcpy(m.record, q->record, sizeof m.record);
	result = vgm_schedule_add(l->schedule, &m, vgm_ledgerd_run_ms(l), err);
	if (result == 0)
		set_attempts(l, q, r->snapshot.run_ms);
	return result;
}

/* One step: 1 = done something, 0 = the end, negative = wait or pass over. */
static int step(struct vgm_ledgerd *l, struct vgm_err *err)
{
	struct vgm_ledgerd_replay *r = l->replay;
	struct vgm_reader_entry entry;
	if (r->next_queued < r->snapshot.queued_count) {
		int result = replay_queued(l, err);
		if (result != VGM_E_BUSY)
			r->next_queued++;
		return result < 0 ? result : 1;
	}
	int got = vgm_reader_next(r->reader, r->end, &entry, err);
	if (got < 0)
		r->stopped = true;
	if (got <= 0)
		return got;
	int result = replay_record(l, &entry, err);
	if (result == VGM_E_BUSY)
		vgm_reader_seek(r->reader, entry.at);
	else
		r->records++;
	return result < 0 ? result : 1;
}

static void finish(struct vgm_ledgerd *l)
{
	struct vgm_ledgerd_replay *r = l->replay;
	struct vgm_log_line line;
	vgm_log_start(&line, VGM_LOG_INFO, "schedule_ready");
	vgm_log_u64(&line, "messages", vgm_schedule_count(l->schedule));
	vgm_log_u64(&line, "from_snapshot", r->snapshot.queued_count);
	vgm_log_u64(&line, "records", r->records);
	vgm_log_u64(&line, "passed_over", r->passed_over);
	vgm_log_u64(&line, "notices", l->notices_count);
	vgm_log_u64(&line, "ms", vgm_clock_mono_ms() - r->started_ms);
	vgm_log_end(&line);
	vgm_ledgerd_snapshot_release(&r->snapshot);
	vgm_reader_free(&r->reader);
	vgm_free(r);
	l->replay = NULL;
	l->snapshot_size = 0;
	l->snapshot_segment = 0;
	vgm_ledgerd_acts_go_on(l);
	vgm_ledgerd_again(l);
}

void vgm_ledgerd_replay_some(struct vgm_ledgerd *l)
{
	struct vgm_ledgerd_replay *r = l->replay;
	uint64_t stop = vgm_clock_mono_ms() + SLICE_MS;
	struct vgm_err err = {.code = 0};
	if (r->stopped)
		return;
	do {
		int result = step(l, &err);
		if (result == 0) {
			finish(l);
			return;
		}
		if (r->stopped) {
			/* The schedule would not be whole: deliveries wait for a person. */
			vgm_ledgerd_log(VGM_LOG_ERROR, "replay_stopped", &err);
			return;
		}
		if (result == VGM_E_BUSY)
			return; /* goes on when the key comes */
		if (result < 0) {
			if (result != VGM_E_NOTFOUND)
				vgm_ledgerd_log(VGM_LOG_ERROR, "record_passed_over", &err);
			r->passed_over++;
		}
	} while (vgm_clock_mono_ms() < stop);
	vgm_ledgerd_again(l);
}

static bool usable(const struct vgm_ledgerd *l, const struct vgm_ledgerd_snapshot *s)
{
	struct vgm_ledger_place end = vgm_writer_synced_place(l->writer);
	return s->tree_size <= vgm_writer_synced_size(l->writer) &&
	       (s->place.segment < end.segment ||
		   (s->place.segment == end.segment && s->place.offset <= end.offset));
}

void vgm_ledgerd_replay_begin(struct vgm_ledgerd *l)
{
	struct vgm_ledgerd_replay *r = vgm_alloc(sizeof *r);
	struct vgm_err err = {.code = 0};
	int result = vgm_ledgerd_snapshot_read(l->run->extra_fd, &r->snapshot, &err);
	if (result == 0 && !usable(l, &r->snapshot)) {
		vgm_ledgerd_snapshot_release(&r->snapshot);
		result =
		    vgm_err_set(&err, VGM_E_CORRUPT, "the schedule's file is ahead of the ledger");
	}
	if (result < 0 && result != VGM_E_NOTFOUND)
		vgm_ledgerd_log(VGM_LOG_ERROR, "snapshot_not_read", &err);
	for (size_t i = 0; i < r->snapshot.notices_count; i++)
		vgm_ledgerd_notice_add(
		    l, r->snapshot.notices[i].failure, r->snapshot.notices[i].place);
	r->reader = vgm_reader_new(l->run->extra_fd);
	vgm_reader_seek(r->reader, r->snapshot.place);
	r->end = vgm_writer_synced_place(l->writer);
	r->started_ms = vgm_clock_mono_ms();
	l->replay = r;
	l->mono_start_ms = r->started_ms;
	l->run_base_ms = run_at(r, l->opening.last_time_us);
	vgm_ledgerd_again(l);
}
