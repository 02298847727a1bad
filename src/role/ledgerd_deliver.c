/* SPDX-License-Identifier: EUPL-1.2
 * role/ledgerd_deliver.c — mail goes out: what the schedule says is due becomes
 * a job for keyd and a DELIVER for relayd; what relayd reports becomes an
 * outcome record, and only then moves the schedule on (rule 13).
 *
 * Nothing is handed out while the ledger cannot be written: an outcome that
 * cannot be kept would be a delivery made twice. */
#include "role/ledgerd.h"

#include "base/clock.h"
#include "base/secret.h"
#include "base/text.h"
#include "queue/dsn.h"
#include "queue/route.h"

#define RETRY_MAX 64

static struct vgm_ledgerd_flight **flight_at(struct vgm_ledgerd *l, uint64_t delivery)
{
	struct vgm_ledgerd_flight **at = &l->flights[delivery % VGM_ARRAY_LEN(l->flights)];
	while (*at && (*at)->delivery != delivery)
		at = &(*at)->next;
	return at;
}

/* ---- limits ---- */

void vgm_ledgerd_limits(struct vgm_ledgerd *l)
{
	const struct vgm_conf *conf = &l->run->conf;
	uint64_t retry[RETRY_MAX];
	struct vgm_schedule_limits limits = {.retry_ms = retry,
	    .expire_ms = conf->expire,
	    .warn_ms = conf->warn_after,
	    .in_flight = (size_t)conf->in_flight,
	    .connections = vgm_route_connections,
	    .context = &l->run->conf};
	for (size_t i = 0; i < conf->retry.count && limits.retry_count < RETRY_MAX; i++)
		if (vgm_conf_read_time(
			vgm_slice_str(conf->retry.text[i]), &retry[limits.retry_count]) == 0)
			limits.retry_count++;
	if (limits.retry_count == 0)
		retry[limits.retry_count++] = 60000;
	if (l->schedule)
		vgm_schedule_set_limits(l->schedule, &limits);
	else
		l->schedule = vgm_schedule_new(&limits);
}

/* ---- out ---- */

bool vgm_ledgerd_job(struct vgm_ledgerd *l, const struct vgm_record *record,
    enum vgm_purpose purpose, const uint8_t token[16])
{
	struct vgm_channel *keyd = vgm_role_peer(l->run, VGM_ROLE_KEYD, VGM_INSTANCE_ONLY);
	struct vgm_msg_job job = {
	    .entity = record->entity, .day = record->day, .purpose = (uint8_t)purpose};
	memcpy(job.token, token, sizeof job.token);
	memcpy(job.record, record->id, sizeof job.record);
	memcpy(job.wrap, record->wrap, sizeof job.wrap);
	return keyd && vgm_channel_send(keyd, VGM_MSG_job, &job) == 0;
}

static struct vgm_ledgerd_flight *new_flight(
    struct vgm_ledgerd *l, const struct vgm_schedule_delivery *d)
{
	struct vgm_ledgerd_flight *f =
	    vgm_alloc(sizeof *f + d->indexes_count * sizeof f->indexes[0]);
	f->delivery = d->delivery;
	f->place = (struct vgm_ledger_place){d->segment, d->offset};
	f->attempt = d->attempt;
	f->count = d->indexes_count;
	memcpy(f->record, d->record, sizeof f->record);
	memcpy(f->indexes, d->indexes, d->indexes_count * sizeof f->indexes[0]);
	vgm_random(f->token, sizeof f->token);
	*flight_at(l, f->delivery) = f;
	return f;
}

static void end_flight(struct vgm_ledgerd *l, uint64_t delivery)
{
	struct vgm_ledgerd_flight **at = flight_at(l, delivery), *f = *at;
	if (f)
		*at = f->next;
	vgm_free(f);
}

/* The group's recipients and what they need, out of the whole routing part. */
static int choose(struct vgm_ledgerd *l, struct vgm_ledgerd_flight *f,
    const struct vgm_msg_routing *routing, struct vgm_msg_deliver *out, struct vgm_err *err)
{
	out->recipients = vgm_arena_alloc(&l->arena, f->count, sizeof *out->recipients);
	out->indexes = vgm_arena_alloc(&l->arena, f->count, sizeof *out->indexes);
	if (!out->recipients || !out->indexes)
		return vgm_err_set(err, VGM_E_LIMIT, "no room for the recipients of a delivery");
	for (size_t i = 0; i < f->count; i++) {
		if (f->indexes[i] >= routing->recipients_count)
			return vgm_err_set(err, VGM_E_CORRUPT, "a recipient that is not there");
		const struct vgm_recipient *to = &routing->recipients[f->indexes[i]];
		out->recipients[i] = *to;
		out->indexes[i].value = f->indexes[i];
		if (to->policy > out->tls_need)
			out->tls_need = to->policy;
		f->success_asked |= (to->notify & VGM_NOTIFY_SUCCESS) != 0;
	}
	out->recipients_count = out->indexes_count = f->count;
	return 0;
}

static int send_delivery(struct vgm_ledgerd *l, struct vgm_ledgerd_flight *f,
    struct vgm_slice route, struct vgm_err *err)
{
	struct vgm_channel *relayd = vgm_role_peer(l->run, VGM_ROLE_RELAYD, VGM_INSTANCE_ONLY);
	struct vgm_msg_deliver m = {.delivery = f->delivery,
	    .record_offset = f->place.offset,
	    .route = route,
	    .attempt = f->attempt};
	struct vgm_msg_routing routing;
	struct vgm_record record;
	int r = vgm_ledgerd_read(l, f->place, f->record, &record, VGM_MSG_routing, &routing, err);
	if (r == 0)
		r = choose(l, f, &routing, &m, err);
	if (r < 0)
		return r;
	memcpy(m.record, f->record, sizeof m.record);
	memcpy(m.token, f->token, sizeof m.token);
	m.flags = routing.flags;
	m.sender = routing.sender;
	m.ret = routing.ret;
	m.envid = routing.envid;
	m.size = routing.size;
	m.received_us = routing.received_us;
	m.segment = vgm_ledgerd_segment_fd(l, f->place.segment, err);
	if (m.segment < 0 || !vgm_ledgerd_job(l, &record, VGM_PURPOSE_DELIVER, f->token) ||
	    !relayd || vgm_channel_send(relayd, VGM_MSG_deliver, &m) < 0)
		return vgm_err_set(err, VGM_E_BUSY, "relay or keys are away");
	return 0;
}

static void hand_out(struct vgm_ledgerd *l, const struct vgm_schedule_delivery *d)
{
	struct vgm_err err = {.code = 0};
	struct vgm_ledgerd_flight *f = new_flight(l, d);
	int r = send_delivery(l, f, d->route, &err);
	if (r == 0)
		return;
	/* It is tried again at the time of its next attempt. */
	vgm_ledgerd_log(r == VGM_E_BUSY ? VGM_LOG_WARNING : VGM_LOG_ERROR, "not_handed_out", &err);
	uint64_t delivery = d->delivery;
	end_flight(l, delivery);
	vgm_schedule_done(l->schedule, delivery, false, vgm_ledgerd_run_ms(l));
}

/* ---- what ledgerd decides by itself: given up, late ---- */

static void synced_facts(struct vgm_ledgerd *l, struct vgm_ledgerd_fact *f)
{
	if (f->notify)
		vgm_ledgerd_notice_add(l, f->id, f->place);
}

static void note_by_ourselves(
    struct vgm_ledgerd *l, const struct vgm_schedule_delivery *d, enum vgm_outcome_status status)
{
	struct vgm_msg_outcome_facts facts = {.segment = d->segment,
	    .offset = d->offset,
	    .at_us = vgm_clock_wall_us(),
	    .attempt = d->attempt,
	    .outcomes_count = d->indexes_count};
	facts.outcomes = vgm_alloc(d->indexes_count * sizeof *facts.outcomes);
	memcpy(facts.record, d->record, sizeof facts.record);
	for (size_t i = 0; i < d->indexes_count; i++)
		facts.outcomes[i] = (struct vgm_outcome){.index = d->indexes[i],
		    .status = (uint8_t)status,
		    .enhanced = status == VGM_OUTCOME_EXPIRED ? VGM_SLICE_LIT("5.4.7")
							      : VGM_SLICE_LIT("4.4.7")};
	struct vgm_ledgerd_fact *f =
	    vgm_ledgerd_fact_new(l, VGM_RECORD_OUTCOME, d->record, VGM_MSG_outcome_facts, &facts);
	f->notify = true;
	f->on_synced = synced_facts;
	vgm_free(facts.outcomes);
	struct vgm_log_line line;
	vgm_log_start(&line, VGM_LOG_INFO, status == VGM_OUTCOME_EXPIRED ? "expired" : "late");
	vgm_log_hex(&line, "record", d->record, sizeof d->record);
	vgm_log_u64(&line, "recipients", d->indexes_count);
	vgm_log_u64(&line, "attempts", d->attempt);
	vgm_log_end(&line);
}

static bool can_deliver(struct vgm_ledgerd *l)
{
	return !l->replay && !l->run->stopping && !vgm_writer_fault(l->writer) &&
	       vgm_role_peer(l->run, VGM_ROLE_RELAYD, VGM_INSTANCE_ONLY) &&
	       vgm_role_peer(l->run, VGM_ROLE_KEYD, VGM_INSTANCE_ONLY);
}

void vgm_ledgerd_deliver(struct vgm_ledgerd *l)
{
	struct vgm_schedule_delivery d;
	enum vgm_schedule_due due;
	if (!can_deliver(l))
		return;
	uint64_t now = vgm_ledgerd_run_ms(l);
	while ((due = vgm_schedule_next(l->schedule, now, &d)) != VGM_DUE_NOTHING) {
		if (due == VGM_DUE_DELIVERY)
			hand_out(l, &d);
		else
			note_by_ourselves(
			    l, &d, due == VGM_DUE_EXPIRED ? VGM_OUTCOME_EXPIRED : VGM_OUTCOME_LATE);
	}
	uint64_t wake = vgm_schedule_wake(l->schedule, now);
	if (wake == UINT64_MAX)
		vgm_timer_off(l->work);
	else
		vgm_timer_in(l->work, wake > now ? wake - now : 1);
}

/* ---- what relayd reports ---- */

static bool has_index(const struct vgm_ledgerd_flight *f, uint32_t index)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->indexes[i] == index)
			return true;
	return false;
}

/* One record for each kind of notice that may follow, so that a notice answers
 * exactly one record: 0 nothing more to tell, 1 failed, 2 relayed. */
static unsigned class_of(const struct vgm_ledgerd_flight *f, const struct vgm_outcome *o)
{
	if (o->status == VGM_OUTCOME_FAILED)
		return 1;
	return o->status == VGM_OUTCOME_RELAYED && f->success_asked ? 2 : 0;
}

/* The schedule moves with the frame; relayd may go on when all its records of
 * this delivery are framed: they are framed together. */
static void outcomes_written(struct vgm_ledgerd *l, struct vgm_ledgerd_fact *fact)
{
	struct vgm_channel *relayd = vgm_role_peer(l->run, VGM_ROLE_RELAYD, VGM_INSTANCE_ONLY);
	struct vgm_msg_outcomes_written m = {.delivery = fact->number};
	if (!*flight_at(l, fact->number)) /* the relay that reported it has gone */
		return;
	vgm_schedule_done(l->schedule, fact->number, fact->what != 0, vgm_ledgerd_run_ms(l));
	end_flight(l, fact->number);
	if (relayd && vgm_channel_send(relayd, VGM_MSG_outcomes_written, &m) < 0)
		vgm_ledgerd_log(VGM_LOG_WARNING, "outcomes_written_not_sent", NULL);
}

static struct vgm_ledgerd_fact *note_class(struct vgm_ledgerd *l,
    const struct vgm_ledgerd_flight *f, const struct vgm_msg_outcomes *m, unsigned class)
{
	struct vgm_msg_outcome_facts facts = {.segment = f->place.segment,
	    .offset = f->place.offset,
	    .at_us = vgm_clock_wall_us(),
	    .attempt = f->attempt,
	    .sent_size = m->sent_size};
	facts.outcomes = vgm_alloc((m->outcomes_count + 1) * sizeof *facts.outcomes);
	for (size_t i = 0; i < m->outcomes_count; i++)
		if (has_index(f, m->outcomes[i].index) && class_of(f, &m->outcomes[i]) == class)
			facts.outcomes[facts.outcomes_count++] = m->outcomes[i];
	struct vgm_ledgerd_fact *fact = NULL;
	if (facts.outcomes_count) {
		memcpy(facts.record, f->record, sizeof facts.record);
		memcpy(facts.sent_sha256, m->sent_sha256, sizeof facts.sent_sha256);
		memcpy(facts.sent_salt, m->sent_salt, sizeof facts.sent_salt);
		fact = vgm_ledgerd_fact_new(
		    l, VGM_RECORD_OUTCOME, f->record, VGM_MSG_outcome_facts, &facts);
		fact->notify = class != 0;
		fact->on_synced = synced_facts;
	}
	vgm_free(facts.outcomes);
	return fact;
}

static bool is_report(uint8_t status)
{
	return status == VGM_OUTCOME_DELIVERED || status == VGM_OUTCOME_DEFERRED ||
	       status == VGM_OUTCOME_FAILED || status == VGM_OUTCOME_RELAYED;
}

/* A relay that reports on what it was not given has been taken over, or is of
 * another build: nothing of it is believed. */
static bool believable(const struct vgm_ledgerd_flight *f, const struct vgm_msg_outcomes *m)
{
	if (memcmp(f->record, m->record, sizeof f->record) != 0 || m->outcomes_count == 0)
		return false;
	for (size_t i = 0; i < m->outcomes_count; i++)
		if (!has_index(f, m->outcomes[i].index) || !is_report(m->outcomes[i].status))
			return false;
	return true;
}

void vgm_ledgerd_outcomes(struct vgm_ledgerd *l, struct vgm_msg_outcomes *m)
{
	struct vgm_ledgerd_flight *f = *flight_at(l, m->delivery);
	struct vgm_ledgerd_fact *last = NULL, *fact;
	if (!f || !believable(f, m)) {
		struct vgm_err err;
		vgm_err_set(&err, VGM_E_DENIED, "outcomes of a delivery that is not under way");
		vgm_ledgerd_log(VGM_LOG_ERROR, "outcomes_refused", &err);
		return;
	}
	for (unsigned class = 0; class < 3; class ++)
		if ((fact = note_class(l, f, m, class)))
			last = fact;
	last->number = m->delivery;
	last->what = m->destination_down;
	last->on_written = outcomes_written;
	uint64_t now = vgm_ledgerd_run_ms(l);
	for (size_t i = 0; i < m->outcomes_count; i++)
		(void)vgm_schedule_outcome(l->schedule, f->record, m->outcomes[i].index,
		    m->outcomes[i].status, f->attempt, now);
}

/* ---- peers come and go ---- */

void vgm_ledgerd_relay_lost(struct vgm_ledgerd *l)
{
	for (size_t i = 0; i < VGM_ARRAY_LEN(l->flights); i++) {
		while (l->flights[i]) {
			struct vgm_ledgerd_flight *f = l->flights[i];
			l->flights[i] = f->next;
			vgm_free(f);
		}
	}
	vgm_schedule_relay_lost(l->schedule, vgm_ledgerd_run_ms(l));
}

void vgm_ledgerd_jobs_again(struct vgm_ledgerd *l)
{
	for (size_t i = 0; i < VGM_ARRAY_LEN(l->flights); i++) {
		for (struct vgm_ledgerd_flight *f = l->flights[i]; f; f = f->next) {
			struct vgm_err err;
			struct vgm_record record;
			int fd = vgm_ledgerd_segment_fd(l, f->place.segment, &err);
			if (fd < 0 || vgm_record_read(fd, f->place.offset, &record, &err) < 0)
				vgm_ledgerd_log(VGM_LOG_ERROR, "job_not_renewed", &err);
			else
				(void)vgm_ledgerd_job(l, &record, VGM_PURPOSE_DELIVER, f->token);
		}
	}
}
