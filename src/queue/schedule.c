/* SPDX-License-Identifier: EUPL-1.2
 * queue/schedule.c — what happens to a message when: see schedule.h for the
 * promises and schedule_parts.h for the shape in memory.
 *
 * Every step is O(log n) in the number of groups. Time given back to front does
 * no harm: nothing becomes due earlier than its own time. */
#include "queue/schedule_parts.h"

#include "base/secret.h"

#define OWNER(node, type, member) ((type *)(void *)((uint8_t *)(node)-offsetof(type, member)))

/* ---- where a group belongs ---- */

static uint64_t expires_at(const struct vgm_schedule *s, const struct vgm_schedule_group *g)
{
	const struct vgm_schedule_entry *e = g->entry;

	return vgm_schedule_plus(e->accepted_ms, e->expire_ms ? e->expire_ms : s->limits.expire_ms);
}

static uint64_t warns_at(const struct vgm_schedule *s, const struct vgm_schedule_group *g)
{
	if (g->warned)
		return UINT64_MAX;
	return vgm_schedule_plus(g->entry->accepted_ms, s->limits.warn_ms);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void group_unplace(struct vgm_schedule *s, struct vgm_schedule_group *g)
{
	vgm_heap_remove(&s->timers, &g->timer);
	if (g->state == GROUP_READY) {
		vgm_schedule_route_take(g);
		vgm_schedule_route_settle(s, g->route);
	}
	if (g->state != GROUP_FLYING)
		g->state = GROUP_IDLE;
}

/* Puts a group where its facts say. One that is ready keeps its place in the
 * line; front is for one that had its turn and lost it. */
static void group_place(
    struct vgm_schedule *s, struct vgm_schedule_group *g, uint64_t now_ms, bool front)
{
	if (g->state == GROUP_FLYING)
		return;
	bool idle = g->count == 0 || g->entry->held || g->route->never;
	bool ready = !idle && g->due_ms <= now_ms;

	if (!ready || g->state != GROUP_READY)
		group_unplace(s, g);
	if (idle)
		return;
	uint64_t wake = earlier(expires_at(s, g), warns_at(s, g));
	if (!ready) {
		g->state = GROUP_WAITING;
		wake = earlier(wake, g->due_ms);
	} else if (g->state != GROUP_READY) {
		g->state = GROUP_READY;
		vgm_schedule_route_push(g, front);
		vgm_schedule_route_settle(s, g->route);
	}
	if (!vgm_heap_has(&g->timer) || g->timer.key != wake)
		vgm_heap_set(&s->timers, &g->timer, wake);
}

/* ---- life cycle ---- */

static void take_limits(struct vgm_schedule *s, const struct vgm_schedule_limits *limits)
{
	VGM_BUG_ON(limits->retry_count == 0);
	size_t bytes = limits->retry_count * sizeof(*limits->retry_ms);
	uint64_t *waits = vgm_alloc(bytes);

	memcpy(waits, limits->retry_ms, bytes);
	s->limits = *limits;
	s->limits.retry_ms = waits;
	if (s->limits.in_flight == 0)
		s->limits.in_flight = 1;
}

struct vgm_schedule *vgm_schedule_new(const struct vgm_schedule_limits *limits)
{
	struct vgm_schedule *s = vgm_alloc(sizeof(*s));

	vgm_random(s->hash_key, sizeof(s->hash_key));
	take_limits(s, limits);
	return s;
}

void vgm_schedule_free(struct vgm_schedule **sp)
{
	struct vgm_schedule *s = *sp;

	if (!s)
		return;
	for (struct vgm_schedule_entry *e = s->first, *next; e; e = next) {
		next = e->next;
		vgm_free(e);
	}
	vgm_free(s->entries);
	vgm_schedule_routes_release(s);
	vgm_heap_release(&s->timers);
	vgm_heap_release(&s->pauses);
	vgm_free(s->flights);
	vgm_free((void *)(uintptr_t)s->limits.retry_ms);
	vgm_free(s);
	*sp = NULL;
}

void vgm_schedule_set_limits(struct vgm_schedule *s, const struct vgm_schedule_limits *limits)
{
	const uint64_t *old = s->limits.retry_ms;

	take_limits(s, limits);
	vgm_free((void *)(uintptr_t)old);
	vgm_schedule_route_limits(s);
	/* Deadlines follow the new limits; a wait that has begun is kept. */
	for (struct vgm_schedule_entry *e = s->first; e; e = e->next) {
		for (uint32_t i = 0; i < e->groups_count; i++) {
			struct vgm_schedule_group *g = &e->groups[i];

			if (g->state == GROUP_WAITING || g->state == GROUP_READY)
				group_place(s, g, g->state == GROUP_READY ? UINT64_MAX : 0, false);
		}
	}
}

int vgm_schedule_add(struct vgm_schedule *s, const struct vgm_schedule_message *m, uint64_t now_ms,
    struct vgm_err *err)
{
	if (vgm_schedule_find(s, m->record))
		return vgm_err_set(err, VGM_E_BUSY, "the record is scheduled already");
	if (m->recipients_count == 0 || m->recipients_count > VGM_SCHEDULE_RECIPIENTS_MAX)
		return vgm_err_set(
		    err, VGM_E_LIMIT, "%zu recipients in one record", m->recipients_count);
	struct vgm_schedule_entry *e = vgm_schedule_store(s, m);
	if (!e)
		return vgm_err_set(err, VGM_E_LIMIT, "the name of a route is too long");
	for (uint32_t i = 0; i < e->groups_count; i++) {
		e->groups[i].due_ms = m->accepted_ms;
		e->groups[i].warned = m->warned;
		group_place(s, &e->groups[i], now_ms, false);
	}
	return 0;
}

/* ---- outcomes ---- */

/* Takes the whole message out. */
static void drop(struct vgm_schedule *s, struct vgm_schedule_entry *e)
{
	for (uint32_t i = 0; i < e->groups_count; i++)
		group_unplace(s, &e->groups[i]);
	vgm_schedule_forget(s, e);
}

static void take_off(struct vgm_schedule_entry *e, struct vgm_schedule_group *g, uint32_t index)
{
	uint8_t kept = 0;

	for (uint8_t i = 0; i < g->count; i++)
		if (g->indexes[i] != index)
			g->indexes[kept++] = g->indexes[i];
	g->count = kept;
	e->places[index].attempts = VGM_SCHEDULE_OFF;
	e->left--;
}

bool vgm_schedule_outcome(struct vgm_schedule *s, const uint8_t record[16], uint32_t index,
    uint8_t status, uint32_t attempt, uint64_t now_ms)
{
	struct vgm_schedule_entry *e = vgm_schedule_find(s, record);

	if (!e || index >= e->places_count || e->places[index].attempts == VGM_SCHEDULE_OFF)
		return false;
	struct vgm_schedule_group *g = &e->groups[e->places[index].group];
	if (status == VGM_OUTCOME_DEFERRED) {
		/* Out of order: an older try says nothing new. */
		if (attempt == VGM_SCHEDULE_OFF || attempt < e->places[index].attempts)
			return false;
		e->places[index].attempts = attempt;
		g->due_ms = vgm_schedule_plus(now_ms, vgm_schedule_backoff(s, attempt));
		group_place(s, g, now_ms, false);
		return false;
	}
	take_off(e, g, index);
	if (e->left == 0) {
		drop(s, e);
		return true;
	}
	if (g->count == 0)
		group_place(s, g, now_ms, false);
	return false;
}

void vgm_schedule_warned(struct vgm_schedule *s, const uint8_t record[16], uint32_t index)
{
	struct vgm_schedule_entry *e = vgm_schedule_find(s, record);

	if (e && index < e->places_count)
		/* Its timer, if set for the warning, wakes up for nothing once. */
		e->groups[e->places[index].group].warned = true;
}

/* ---- what is due ---- */

static uint32_t attempts_of(const struct vgm_schedule_group *g)
{
	uint32_t most = 0;

	for (uint8_t i = 0; i < g->count; i++) {
		uint32_t n = g->entry->places[g->indexes[i]].attempts;

		most = n > most ? n : most;
	}
	return most;
}

/* Copies, because the group may be gone when the caller reads it. */
static void describe(
    struct vgm_schedule *s, const struct vgm_schedule_group *g, struct vgm_schedule_delivery *out)
{
	const struct vgm_schedule_entry *e = g->entry;

	*out = (struct vgm_schedule_delivery){
	    .segment = e->segment,
	    .offset = e->offset,
	    .route = vgm_slice(s->out_route, g->route->name_len),
	    .indexes = s->out_indexes,
	    .indexes_count = g->count,
	    .attempt = attempts_of(g),
	};
	memcpy(out->record, e->record, 16);
	memcpy(s->out_route, g->route->name, g->route->name_len);
	memcpy(s->out_indexes, g->indexes, g->count * sizeof(*g->indexes));
}

static void expire(struct vgm_schedule *s, struct vgm_schedule_group *g)
{
	struct vgm_schedule_entry *e = g->entry;

	group_unplace(s, g);
	while (g->count)
		take_off(e, g, g->indexes[g->count - 1]);
	if (e->left == 0)
		drop(s, e);
}

/* Handles one timer that has run out. */
static enum vgm_schedule_due fire(struct vgm_schedule *s, struct vgm_schedule_group *g,
    uint64_t now_ms, struct vgm_schedule_delivery *out)
{
	if (expires_at(s, g) <= now_ms) {
		describe(s, g, out);
		expire(s, g);
		return VGM_DUE_EXPIRED;
	}
	bool late = warns_at(s, g) <= now_ms;
	if (late) {
		describe(s, g, out);
		g->warned = true;
	}
	group_place(s, g, now_ms, false);
	return late ? VGM_DUE_LATE : VGM_DUE_NOTHING;
}

static enum vgm_schedule_due deliver(
    struct vgm_schedule *s, uint64_t now_ms, struct vgm_schedule_delivery *out)
{
	struct vgm_schedule_route *r = s->ring;

	if (!r || s->flying >= s->limits.in_flight)
		return VGM_DUE_NOTHING;
	struct vgm_schedule_group *g = r->ready_first;
	s->ring = r->ring_next; /* the others' turn */
	describe(s, g, out);
	group_unplace(s, g);
	vgm_schedule_flight_open(s, g);
	g->state = GROUP_FLYING;
	out->delivery = s->flights[g->slot].delivery;
	out->attempt++;
	/* Stands if a recipient's outcome should never be noted. */
	g->due_ms = vgm_schedule_plus(now_ms, vgm_schedule_backoff(s, out->attempt));
	vgm_schedule_route_settle(s, r);
	return VGM_DUE_DELIVERY;
}

enum vgm_schedule_due vgm_schedule_next(
    struct vgm_schedule *s, uint64_t now_ms, struct vgm_schedule_delivery *out)
{
	struct vgm_heap_node *n;

	while ((n = vgm_heap_first(&s->pauses)) && n->key <= now_ms) {
		vgm_heap_remove(&s->pauses, n);
		vgm_schedule_route_settle(s, OWNER(n, struct vgm_schedule_route, pause));
	}
	while ((n = vgm_heap_first(&s->timers)) && n->key <= now_ms) {
		enum vgm_schedule_due due =
		    fire(s, OWNER(n, struct vgm_schedule_group, timer), now_ms, out);

		if (due != VGM_DUE_NOTHING)
			return due;
	}
	return deliver(s, now_ms, out);
}

uint64_t vgm_schedule_wake(const struct vgm_schedule *s, uint64_t now_ms)
{
	const struct vgm_heap_node *timer = vgm_heap_first(&s->timers);
	const struct vgm_heap_node *pause = vgm_heap_first(&s->pauses);

	if (s->ring && s->flying < s->limits.in_flight)
		return now_ms;
	return earlier(timer ? timer->key : UINT64_MAX, pause ? pause->key : UINT64_MAX);
}

/* ---- ends of deliveries ---- */

/* The delivery is over; its group goes back to where it belongs. */
static void land(struct vgm_schedule *s, struct vgm_schedule_flight *f, uint64_t now_ms, bool front)
{
	struct vgm_schedule_group *g = f->group;
	struct vgm_schedule_route *r = f->route;

	vgm_schedule_flight_close(s, f);
	if (g) {
		g->state = GROUP_IDLE;
		group_place(s, g, now_ms, front);
	}
	vgm_schedule_route_settle(s, r);
	vgm_schedule_route_put(s, r);
}

void vgm_schedule_done(
    struct vgm_schedule *s, uint64_t delivery, bool destination_down, uint64_t now_ms)
{
	struct vgm_schedule_flight *f = vgm_schedule_flight_find(s, delivery);

	if (!f)
		return;
	if (destination_down) {
		vgm_schedule_route_down(s, f->route, now_ms);
		/* Not the message's fault: it goes when the route does, and does not
		 * sit out a long wait of its own when everybody else is through. */
		if (f->group)
			f->group->due_ms = now_ms;
	} else {
		vgm_schedule_route_up(s, f->route);
	}
	land(s, f, now_ms, false);
}

void vgm_schedule_relay_lost(struct vgm_schedule *s, uint64_t now_ms)
{
	for (size_t i = s->flights_count; i > 0; i--) {
		struct vgm_schedule_flight *f = &s->flights[i - 1];

		if (!f->delivery)
			continue;
		if (f->group)
			f->group->due_ms = now_ms;
		land(s, f, now_ms, true);
	}
}

/* ---- acts of an administrator ---- */

static void flush(struct vgm_schedule *s, struct vgm_schedule_entry *e, uint64_t now_ms)
{
	for (uint32_t i = 0; i < e->groups_count; i++) {
		struct vgm_schedule_group *g = &e->groups[i];

		g->due_ms = now_ms;
		group_place(s, g, now_ms, false);
		vgm_heap_remove(&s->pauses, &g->route->pause);
		vgm_schedule_route_settle(s, g->route);
	}
}

static void hold(struct vgm_schedule *s, struct vgm_schedule_entry *e, bool held, uint64_t now_ms)
{
	e->held = held;
	if (held)
		e->held_ms = now_ms;
	else if (now_ms > e->held_ms) /* time spent held does not count */
		e->accepted_ms = vgm_schedule_plus(e->accepted_ms, now_ms - e->held_ms);
	for (uint32_t i = 0; i < e->groups_count; i++) {
		if (!held)
			e->groups[i].due_ms = now_ms;
		group_place(s, &e->groups[i], now_ms, false);
	}
}

static bool act(struct vgm_schedule *s, enum vgm_schedule_act what, struct vgm_schedule_entry *e,
    uint64_t now_ms)
{
	switch (what) {
	case VGM_ACT_FLUSH:
		if (e->held)
			return false;
		flush(s, e, now_ms);
		return true;
	case VGM_ACT_HOLD:
	case VGM_ACT_RELEASE:
		if (e->held == (what == VGM_ACT_HOLD))
			return false;
		hold(s, e, what == VGM_ACT_HOLD, now_ms);
		return true;
	case VGM_ACT_REMOVE:
		drop(s, e);
		return true;
	}
	return false;
}

uint32_t vgm_schedule_act(
    struct vgm_schedule *s, enum vgm_schedule_act what, const uint8_t *record, uint64_t now_ms)
{
	uint32_t count = 0;

	if (record) {
		struct vgm_schedule_entry *e = vgm_schedule_find(s, record);

		return e && act(s, what, e, now_ms);
	}
	for (struct vgm_schedule_entry *e = s->first, *next; e; e = next) {
		next = e->next;
		count += act(s, what, e, now_ms);
	}
	return count;
}

/* ---- reading ---- */

size_t vgm_schedule_count(const struct vgm_schedule *s)
{
	return s->entry_count;
}

static void show(const struct vgm_schedule_entry *e,
    void (*each)(void *context, const struct vgm_schedule_message *, const uint32_t *attempts),
    void *context)
{
	struct vgm_recipient *recipients = vgm_alloc(e->places_count * sizeof(*recipients));
	uint32_t *attempts = vgm_alloc(e->places_count * sizeof(*attempts));
	struct vgm_schedule_message m = {
	    .segment = e->segment,
	    .offset = e->offset,
	    .accepted_ms = e->accepted_ms,
	    .expire_ms = e->expire_ms,
	    .held = e->held,
	    .recipients = recipients,
	    .recipients_count = e->places_count,
	};

	memcpy(m.record, e->record, 16);
	for (uint32_t i = 0; i < e->places_count; i++) {
		const struct vgm_schedule_group *g = &e->groups[e->places[i].group];

		recipients[i].route = vgm_slice(g->route->name, g->route->name_len);
		attempts[i] = e->places[i].attempts;
		m.warned |= g->warned;
	}
	each(context, &m, attempts);
	vgm_free(recipients);
	vgm_free(attempts);
}

void vgm_schedule_each(const struct vgm_schedule *s,
    void (*each)(void *context, const struct vgm_schedule_message *, const uint32_t *attempts),
    void *context)
{
	for (const struct vgm_schedule_entry *e = s->first; e; e = e->next)
		show(e, each, context);
}
