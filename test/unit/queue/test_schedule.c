/* SPDX-License-Identifier: EUPL-1.2
 * The schedule against a virtual clock. Most cases are scripts: a list of steps,
 * each an act at a time with what must come of it. */
#include "queue/schedule.h"

#include <malloc.h>
#include <stdio.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#pragma GCC diagnostic ignored "-Wmissing-field-initializers" /* steps name what they use */

enum { S = 1000, MIN = 60 * S, HOUR = 60 * MIN };

static const uint64_t waits[] = {1 * MIN, 5 * MIN, 15 * MIN};

static size_t connections(void *context, struct vgm_slice route)
{
	const size_t *n = context;

	return vgm_slice_eq(route, VGM_SLICE_LIT("route:narrow")) ? 1 : *n;
}

static struct vgm_schedule *fresh_with(size_t in_flight, size_t *wide)
{
	struct vgm_schedule_limits limits = {
	    .retry_ms = waits,
	    .retry_count = VGM_ARRAY_LEN(waits),
	    .expire_ms = 24 * HOUR,
	    .warn_ms = 4 * HOUR,
	    .in_flight = in_flight,
	    .connections = connections,
	    .context = wide,
	};

	return vgm_schedule_new(&limits);
}

static size_t wide = 20;

static struct vgm_schedule *fresh(void)
{
	return fresh_with(200, &wide);
}

static void id_of(uint32_t n, uint8_t out[16])
{
	memset(out, 0, 16);
	memcpy(out, &n, sizeof(n));
}

/* Adds message n with these routes, parted by spaces. */
static int add_at(struct vgm_schedule *s, uint32_t n, const char *routes, uint64_t accepted,
    uint64_t now, bool held)
{
	struct vgm_recipient r[64] = {0};
	struct vgm_schedule_message m = {
	    .segment = 1, .offset = n, .accepted_ms = accepted, .held = held, .recipients = r};

	id_of(n, m.record);
	while (*routes) {
		size_t len = strcspn(routes, " ");

		r[m.recipients_count++].route = vgm_slice(routes, len);
		routes += len + (routes[len] == ' ');
	}
	return vgm_schedule_add(s, &m, now, NULL);
}

static bool outcome(struct vgm_schedule *s, uint32_t n, uint32_t index, uint8_t status,
    uint32_t attempt, uint64_t now)
{
	uint8_t id[16];

	id_of(n, id);
	return vgm_schedule_outcome(s, id, index, status, attempt, now);
}

static uint32_t act(struct vgm_schedule *s, enum vgm_schedule_act what, uint32_t n, uint64_t now)
{
	uint8_t id[16];

	id_of(n, id);
	return vgm_schedule_act(s, what, n ? id : NULL, now);
}

/* ---- scripts ---- */

enum verb {
	END,
	ADD,       /* message n, routes text */
	ADD_HELD,
	DUE,       /* next() hands out message n, its indexes as text, attempt count; kept in slot */
	LATE,      /* next() says late for n, indexes text */
	EXPIRED,   /* next() says expired for n, indexes text */
	NOTHING,
	WAKE,      /* wake() == count (UINT64_MAX as NEVER) */
	OK,        /* outcome DELIVERED for recipients text of n */
	PUT_OFF,   /* outcome DEFERRED for recipients text of n, attempt count */
	FAIL,      /* outcome FAILED */
	DONE,      /* delivery of n is over */
	DOWN,      /* ... nobody answered */
	LOST,      /* relay_lost */
	FLUSH, HOLD, RELEASE, REMOVE, /* n = 0: all; count = messages it took effect on */
	WARNED,    /* n, recipient 0 */
	COUNT,     /* count messages */
};
#define NEVER UINT64_MAX

struct step {
	enum verb verb;
	uint64_t at;
	uint32_t n;
	const char *text;
	uint64_t count;
};

static uint64_t deliveries[10000]; /* of message n, the latest */

static void join(const uint32_t *indexes, size_t count, char *out, size_t size)
{
	size_t used = 0;

	*out = '\0';
	for (size_t i = 0; i < count; i++)
		used += (size_t)snprintf(out + used, size - used, "%s%u", i ? " " : "", indexes[i]);
}

static void expect_next(struct vgm_schedule *s, const struct step *st, enum vgm_schedule_due due)
{
	struct vgm_schedule_delivery d;
	uint8_t id[16];
	char indexes[400];

	assert_int_equal(vgm_schedule_next(s, st->at, &d), due);
	if (due == VGM_DUE_NOTHING)
		return;
	id_of(st->n, id);
	assert_memory_equal(d.record, id, 16);
	assert_int_equal(d.offset, st->n);
	join(d.indexes, d.indexes_count, indexes, sizeof(indexes));
	assert_string_equal(indexes, st->text);
	assert_int_equal(d.attempt, st->count);
	if (due == VGM_DUE_DELIVERY)
		deliveries[st->n] = d.delivery;
}

static void outcomes(struct vgm_schedule *s, const struct step *st, uint8_t status)
{
	char *end;

	for (const char *p = st->text; *p; p = end)
		outcome(s, st->n, (uint32_t)strtoul(p, &end, 10), status, (uint32_t)st->count,
		    st->at);
}

static void take(struct vgm_schedule *s, const struct step *st)
{
	uint8_t id[16];

	id_of(st->n, id);
	switch (st->verb) {
	case ADD:
	case ADD_HELD:
		assert_int_equal(
		    add_at(s, st->n, st->text, st->at, st->at, st->verb == ADD_HELD), 0);
		break;
	case DUE:
		expect_next(s, st, VGM_DUE_DELIVERY);
		break;
	case LATE:
		expect_next(s, st, VGM_DUE_LATE);
		break;
	case EXPIRED:
		expect_next(s, st, VGM_DUE_EXPIRED);
		break;
	case NOTHING:
		expect_next(s, st, VGM_DUE_NOTHING);
		break;
	case WAKE:
		assert_true(vgm_schedule_wake(s, st->at) == st->count);
		break;
	case OK:
		outcomes(s, st, VGM_OUTCOME_DELIVERED);
		break;
	case PUT_OFF:
		outcomes(s, st, VGM_OUTCOME_DEFERRED);
		break;
	case FAIL:
		outcomes(s, st, VGM_OUTCOME_FAILED);
		break;
	case DONE:
	case DOWN:
		vgm_schedule_done(s, deliveries[st->n], st->verb == DOWN, st->at);
		break;
	case LOST:
		vgm_schedule_relay_lost(s, st->at);
		break;
	case FLUSH:
	case HOLD:
	case RELEASE:
	case REMOVE:
		assert_int_equal(act(s, (enum vgm_schedule_act)(st->verb - FLUSH + VGM_ACT_FLUSH),
				     st->n, st->at),
		    st->count);
		break;
	case WARNED:
		vgm_schedule_warned(s, id, 0);
		break;
	case COUNT:
		assert_int_equal(vgm_schedule_count(s), st->count);
		break;
	case END:
		break;
	}
}

struct script {
	const char *name;
	struct step steps[40];
};

static const struct script scripts[] = {
    {"delivered at once", {
	{ADD, 10, 1, "mx:a"}, {WAKE, 10, .count = 10}, {DUE, 10, 1, "0", 1}, {NOTHING, 10},
	{COUNT, 10, .count = 1}, {OK, 20, 1, "0"}, {COUNT, 20, .count = 0}, {DONE, 20, 1},
	{NOTHING, 30}, {WAKE, 30, .count = NEVER}}},
    {"waits grow and the last one repeats", {
	{ADD, 0, 1, "mx:a"}, {DUE, 0, 1, "0", 1}, {PUT_OFF, 0, 1, "0", 1}, {DONE, 0, 1},
	{WAKE, 0, .count = 1 * MIN}, {NOTHING, 1 * MIN - 1},
	{DUE, 1 * MIN, 1, "0", 2}, {PUT_OFF, 1 * MIN, 1, "0", 2}, {DONE, 1 * MIN, 1},
	{NOTHING, 6 * MIN - 1},
	{DUE, 6 * MIN, 1, "0", 3}, {PUT_OFF, 6 * MIN, 1, "0", 3}, {DONE, 6 * MIN, 1},
	{NOTHING, 21 * MIN - 1},
	{DUE, 21 * MIN, 1, "0", 4}, {PUT_OFF, 21 * MIN, 1, "0", 4}, {DONE, 21 * MIN, 1},
	{WAKE, 21 * MIN, .count = 36 * MIN}, {DUE, 36 * MIN, 1, "0", 5}}},
    {"recipients of one route go together, others apart", {
	{ADD, 0, 1, "mx:a mx:b mx:a mx:b mx:c"}, {DUE, 0, 1, "0 2", 1}, {DUE, 0, 1, "1 3", 1},
	{DUE, 0, 1, "4", 1}, {NOTHING, 0}}},
    {"only those put off are tried again", {
	{ADD, 0, 1, "mx:a mx:a mx:a"}, {DUE, 0, 1, "0 1 2", 1}, {OK, 0, 1, "0"},
	{PUT_OFF, 0, 1, "1", 1}, {FAIL, 0, 1, "2"}, {DONE, 0, 1}, {COUNT, 0, .count = 1},
	{DUE, 1 * MIN, 1, "1", 2}, {OK, 1 * MIN, 1, "1"}, {COUNT, 0, .count = 0}}},
    {"a delivery without outcomes waits, not loops", {
	{ADD, 0, 1, "mx:a"}, {DUE, 0, 1, "0", 1}, {DONE, 5, 1}, {NOTHING, 5},
	{DUE, 1 * MIN, 1, "0", 1}}},
    {"late once, then expired", {
	{ADD, 0, 1, "mx:a"}, {DUE, 0, 1, "0", 1}, {PUT_OFF, 0, 1, "0", 3}, {DONE, 0, 1},
	{DUE, 4 * HOUR - 1, 1, "0", 4}, {PUT_OFF, 4 * HOUR - 1, 1, "0", 4},
	{DONE, 4 * HOUR - 1, 1}, {LATE, 4 * HOUR, 1, "0", 4}, {NOTHING, 4 * HOUR},
	{DUE, 5 * HOUR, 1, "0", 5}, {PUT_OFF, 5 * HOUR, 1, "0", 5}, {DONE, 5 * HOUR, 1},
	{EXPIRED, 24 * HOUR, 1, "0", 5}, {COUNT, 24 * HOUR, .count = 0}, {NOTHING, 24 * HOUR},
	{WAKE, 24 * HOUR, .count = NEVER}}},
    {"late and expired while the route is down", {
	{ADD, 0, 1, "mx:a"}, {ADD, 1, 2, "mx:a"}, {DUE, 1, 1, "0", 1}, {DUE, 1, 2, "0", 1},
	{PUT_OFF, 2, 1, "0", 1}, {DOWN, 2, 1}, {PUT_OFF, 2, 2, "0", 1}, {DOWN, 2, 2},
	{LATE, 4 * HOUR, 1, "0", 1}, {LATE, 4 * HOUR + 1, 2, "0", 1},
	{EXPIRED, 24 * HOUR, 1, "0", 1}, {EXPIRED, 24 * HOUR + 1, 2, "0", 1}}},
    {"in flight nothing expires", {
	{ADD, 0, 1, "mx:a"}, {DUE, 0, 1, "0", 1}, {NOTHING, 25 * HOUR},
	{PUT_OFF, 25 * HOUR, 1, "0", 1}, {DONE, 25 * HOUR, 1}, {EXPIRED, 25 * HOUR, 1, "0", 1}}},
    {"a warning that was sent before a restart is not sent again", {
	{ADD, 0, 1, "mx:a"}, {WARNED, 0, 1}, {DUE, 0, 1, "0", 1}, {PUT_OFF, 0, 1, "0", 3},
	{DONE, 0, 1}, {DUE, 4 * HOUR, 1, "0", 4}}},
    {"routes take turns, first in first out in each", {
	{ADD, 0, 1, "mx:a"}, {ADD, 0, 2, "mx:a"}, {ADD, 0, 3, "mx:a"}, {ADD, 0, 4, "mx:b"},
	{ADD, 0, 5, "mx:b"}, {ADD, 0, 6, "mx:c"},
	{DUE, 0, 1, "0", 1}, {DUE, 0, 4, "0", 1}, {DUE, 0, 6, "0", 1}, {DUE, 0, 2, "0", 1},
	{DUE, 0, 5, "0", 1}, {DUE, 0, 3, "0", 1}, {NOTHING, 0}}},
    {"connections of a route are its most", {
	{ADD, 0, 1, "route:narrow"}, {ADD, 0, 2, "route:narrow"}, {DUE, 0, 1, "0", 1},
	{NOTHING, 0}, {WAKE, 0, .count = 4 * HOUR}, {OK, 5, 1, "0"}, {DONE, 5, 1}, {DUE, 5, 2, "0", 1}}},
    {"one outage, many deliveries: one pause; then slow start", {
	{ADD, 0, 1, "mx:a"}, {ADD, 0, 2, "mx:a"}, {ADD, 0, 3, "mx:a"}, {ADD, 0, 4, "mx:a"},
	{DUE, 0, 1, "0", 1}, {DUE, 0, 2, "0", 1}, {PUT_OFF, 1, 1, "0", 1}, {DOWN, 1, 1},
	{NOTHING, 1}, {PUT_OFF, 2, 2, "0", 1}, {DOWN, 2, 2}, {NOTHING, 1 * MIN},
	/* the first in line tries alone; it fails: the second wait */
	{DUE, 1 * MIN + 1, 3, "0", 1}, {NOTHING, 1 * MIN + 1}, {PUT_OFF, 1 * MIN + 1, 3, "0", 1},
	{DOWN, 1 * MIN + 1, 3}, {WAKE, 1 * MIN + 1, .count = 6 * MIN + 1}, {NOTHING, 6 * MIN},
	/* answered: two at a time, then four, those of the outage among them at once */
	{DUE, 6 * MIN + 1, 4, "0", 1}, {NOTHING, 6 * MIN + 1}, {OK, 6 * MIN + 2, 4, "0"},
	{DONE, 6 * MIN + 2, 4}, {DUE, 6 * MIN + 2, 1, "0", 2}, {DUE, 6 * MIN + 2, 2, "0", 2},
	{NOTHING, 6 * MIN + 2}, {OK, 6 * MIN + 3, 1, "0"}, {DONE, 6 * MIN + 3, 1},
	{DUE, 6 * MIN + 3, 3, "0", 2}}},
    {"an outage of one route leaves the others alone", {
	{ADD, 0, 1, "mx:a"}, {ADD, 0, 2, "mx:b"}, {DUE, 0, 1, "0", 1}, {DUE, 0, 2, "0", 1},
	{PUT_OFF, 1, 1, "0", 1}, {DOWN, 1, 1}, {ADD, 2, 3, "mx:b"}, {ADD, 2, 4, "mx:a"},
	{DUE, 2, 3, "0", 1}, {NOTHING, 2}}},
    {"relay lost: due again at once, in order", {
	{ADD, 0, 1, "mx:a"}, {ADD, 0, 2, "mx:a"}, {ADD, 0, 3, "mx:b mx:b"}, {ADD, 0, 4, "mx:a"},
	{DUE, 0, 1, "0", 1}, {DUE, 0, 3, "0 1", 1}, {DUE, 0, 2, "0", 1}, {OK, 1, 3, "1"},
	{LOST, 5}, {DUE, 5, 1, "0", 1}, {DUE, 5, 3, "0", 1}, {DUE, 5, 2, "0", 1},
	{DUE, 5, 4, "0", 1}, {NOTHING, 5}}},
    {"held: nothing leaves, nothing expires, time held does not count", {
	{ADD_HELD, 0, 1, "mx:a"}, {NOTHING, 0}, {WAKE, 0, .count = NEVER}, {NOTHING, 48 * HOUR},
	{FLUSH, 48 * HOUR, .count = 0}, {NOTHING, 48 * HOUR},
	{RELEASE, 48 * HOUR, 1, .count = 1}, {RELEASE, 48 * HOUR, 1, .count = 0},
	{DUE, 48 * HOUR, 1, "0", 1}, {PUT_OFF, 48 * HOUR, 1, "0", 3}, {DONE, 48 * HOUR, 1},
	{DUE, 49 * HOUR, 1, "0", 4}, {PUT_OFF, 51 * HOUR, 1, "0", 4}, {DONE, 51 * HOUR, 1},
	{LATE, 52 * HOUR, 1, "0", 4}, {EXPIRED, 72 * HOUR, 1, "0", 4}}},
    {"held while waiting, while ready, while in flight", {
	{ADD, 0, 1, "mx:a"}, {DUE, 0, 1, "0", 1}, {PUT_OFF, 0, 1, "0", 1}, {DONE, 0, 1},
	{ADD, 0, 2, "mx:a"}, {ADD, 0, 3, "mx:b"}, {DUE, 0, 2, "0", 1}, {HOLD, 1, .count = 3},
	{HOLD, 1, .count = 0}, {NOTHING, 1}, {PUT_OFF, 2, 2, "0", 1}, {DONE, 2, 2},
	{NOTHING, 1 * HOUR}, {RELEASE, 1 * HOUR, 2, .count = 1}, {DUE, 1 * HOUR, 2, "0", 2},
	{NOTHING, 1 * HOUR}, {RELEASE, 2 * HOUR, .count = 2}, {DUE, 2 * HOUR, 1, "0", 2},
	{DUE, 2 * HOUR, 3, "0", 1}}},
    {"routes hold and refuse are never due", {
	{ADD, 0, 1, "hold mx:a refuse"}, {ADD, 0, 2, "hold"}, {DUE, 0, 1, "1", 1}, {NOTHING, 0},
	{OK, 0, 1, "1"}, {DONE, 0, 1}, {COUNT, 0, .count = 2}, {NOTHING, 48 * HOUR},
	{FLUSH, 48 * HOUR, .count = 2}, {NOTHING, 48 * HOUR}, {REMOVE, 48 * HOUR, .count = 2},
	{COUNT, 0, .count = 0}}},
    {"flush ends waits and pauses", {
	{ADD, 0, 1, "mx:a"}, {ADD, 0, 2, "mx:b"}, {DUE, 0, 1, "0", 1}, {DUE, 0, 2, "0", 1},
	{PUT_OFF, 0, 1, "0", 1}, {DONE, 0, 1}, {PUT_OFF, 0, 2, "0", 1}, {DOWN, 0, 2},
	{NOTHING, 1}, {FLUSH, 2, 1, .count = 1}, {DUE, 2, 1, "0", 2}, {NOTHING, 2},
	{FLUSH, 3, .count = 2}, {DUE, 3, 2, "0", 2}, {NOTHING, 3}, {FLUSH, 3, 9, .count = 0}}},
    {"removed: waiting, ready, in flight", {
	{ADD, 0, 1, "mx:a"}, {DUE, 0, 1, "0", 1}, {ADD, 0, 2, "mx:a mx:b"}, {ADD, 0, 3, "mx:c"},
	{DUE, 0, 2, "0", 1}, {REMOVE, 1, 1, .count = 1}, {REMOVE, 1, 2, .count = 1},
	{REMOVE, 1, 1, .count = 0}, {OK, 2, 1, "0"}, {DONE, 2, 1}, {DONE, 2, 2},
	{DUE, 2, 3, "0", 1}, {NOTHING, 2}, {COUNT, 2, .count = 1}}},
    {"replay out of order: the latest try counts", {
	{ADD, 0, 1, "mx:a"}, {PUT_OFF, 10 * MIN, 1, "0", 3}, {PUT_OFF, 1 * MIN, 1, "0", 1},
	{PUT_OFF, 2 * MIN, 1, "0", 2}, {NOTHING, 25 * MIN - 1}, {DUE, 25 * MIN, 1, "0", 4}}},
    {"replay: done before put off, done twice, unknown", {
	{ADD, 0, 1, "mx:a mx:a"}, {OK, 1, 1, "0"}, {PUT_OFF, 1, 1, "0", 1}, {OK, 1, 1, "0"},
	{OK, 1, 1, "7"}, {OK, 1, 2, "0"}, {COUNT, 1, .count = 1}, {DUE, 1, 1, "1", 1},
	{DONE, 2, 1}, {DONE, 2, 1}}},
    {"attempts survive a removal of the leading recipient", {
	{ADD, 0, 1, "mx:a mx:a"}, {PUT_OFF, 0, 1, "0 1", 2}, {FAIL, 0, 1, "0"},
	{DUE, 5 * MIN, 1, "1", 3}}},
};

static void test_scripts(void **state)
{
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(scripts); i++) {
		struct vgm_schedule *s = fresh();

		print_message("  %s\n", scripts[i].name);
		for (const struct step *st = scripts[i].steps; st->verb != END; st++)
			take(s, st);
		vgm_schedule_free(&s);
		assert_null(s);
	}
}

/* ---- what a script cannot say ---- */

static void test_refusals(void **state)
{
	struct vgm_schedule *s = fresh();
	char name[302];
	struct vgm_err err = {0};
	struct vgm_schedule_message none = {0};

	(void)state;
	memset(name, 'x', 301);
	name[301] = '\0';
	assert_int_equal(add_at(s, 1, "mx:a", 0, 0, false), 0);
	assert_int_equal(add_at(s, 1, "mx:a", 0, 0, false), VGM_E_BUSY);
	assert_int_equal(add_at(s, 2, name, 0, 0, false), VGM_E_LIMIT);
	assert_int_equal(add_at(s, 2, name + 1, 0, 0, false), 0);
	assert_int_equal(vgm_schedule_add(s, &none, 0, &err), VGM_E_LIMIT);
	none.recipients_count = 1001;
	assert_int_equal(vgm_schedule_add(s, &none, 0, &err), VGM_E_LIMIT);
	assert_int_equal(vgm_schedule_count(s), 2);
	vgm_schedule_free(&s);
}

/* 1,000 recipients of one route and some of another: no delivery over 40
 * recipients or 16,000 bytes, each recipient exactly once. */
static void test_large_message_is_cut(void **state)
{
	struct vgm_schedule *s = fresh_with(200, &(size_t){1000});
	static struct vgm_recipient r[1000];
	static char address[1000];
	struct vgm_schedule_message m = {.recipients = r, .recipients_count = 1000};
	struct vgm_schedule_delivery d;
	unsigned seen[1000] = {0};
	size_t parts = 0;

	(void)state;
	for (size_t i = 0; i < 1000; i++) {
		r[i].route = i % 10 ? VGM_SLICE_LIT("mx:a") : VGM_SLICE_LIT("mx:b");
		r[i].address = vgm_slice(address, i % 50 ? 30 : 1000);
	}
	assert_int_equal(vgm_schedule_add(s, &m, 0, NULL), 0);
	while (vgm_schedule_next(s, 0, &d) == VGM_DUE_DELIVERY) {
		size_t bytes = 0;

		assert_true(d.indexes_count <= 40);
		for (size_t i = 0; i < d.indexes_count; i++) {
			seen[d.indexes[i]]++;
			bytes += r[d.indexes[i]].address.len;
			assert_true(vgm_slice_eq(r[d.indexes[i]].route, d.route));
		}
		assert_true(bytes <= 16000);
		parts++;
	}
	assert_in_range(parts, 26, 30);
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(seen[i], 1);
	vgm_schedule_free(&s);
}

static void test_in_flight_of_all(void **state)
{
	struct vgm_schedule *s = fresh_with(3, &wide);
	struct vgm_schedule_delivery d;
	uint64_t first = 0;
	char route[20];

	(void)state;
	for (uint32_t i = 1; i <= 9; i++) {
		(void)snprintf(route, sizeof(route), "mx:%u", i);
		assert_int_equal(add_at(s, i, route, 0, 0, false), 0);
	}
	for (int i = 0; i < 3; i++) {
		assert_int_equal(vgm_schedule_next(s, 0, &d), VGM_DUE_DELIVERY);
		first = first ? first : d.delivery;
	}
	assert_int_equal(vgm_schedule_next(s, 0, &d), VGM_DUE_NOTHING);
	assert_true(vgm_schedule_wake(s, 0) > 0);
	vgm_schedule_done(s, first, false, 0);
	assert_int_equal(vgm_schedule_wake(s, 0), 0);
	assert_int_equal(vgm_schedule_next(s, 0, &d), VGM_DUE_DELIVERY);
	/* the slot is used again, its old number means nothing now */
	assert_true(d.delivery != first);
	vgm_schedule_done(s, first, false, 0);
	assert_int_equal(vgm_schedule_next(s, 0, &d), VGM_DUE_NOTHING);
	vgm_schedule_free(&s);
}

static void test_new_limits(void **state)
{
	static const uint64_t quick[] = {1 * S};
	size_t few = 2;
	struct vgm_schedule_limits limits = {.retry_ms = quick, .retry_count = 1,
	    .expire_ms = 1 * HOUR, .warn_ms = 2 * HOUR, .in_flight = 50,
	    .connections = connections, .context = &few};
	struct vgm_schedule *s = fresh();
	struct vgm_schedule_delivery d;

	(void)state;
	for (uint32_t i = 1; i <= 5; i++)
		assert_int_equal(add_at(s, i, "mx:a", 0, 0, false), 0);
	vgm_schedule_set_limits(s, &limits);
	assert_int_equal(vgm_schedule_next(s, 0, &d), VGM_DUE_DELIVERY);
	vgm_schedule_outcome(s, d.record, 0, VGM_OUTCOME_DEFERRED, 1, 0);
	assert_int_equal(vgm_schedule_next(s, 0, &d), VGM_DUE_DELIVERY);
	assert_int_equal(vgm_schedule_next(s, 0, &d), VGM_DUE_NOTHING);
	assert_int_equal(vgm_schedule_next(s, 1 * HOUR, &d), VGM_DUE_EXPIRED);
	few = 20;
	vgm_schedule_set_limits(s, &limits);
	assert_int_equal(vgm_schedule_next(s, 2, &d), VGM_DUE_DELIVERY);
	vgm_schedule_free(&s);
}

static void keep(void *context, const struct vgm_schedule_message *m, const uint32_t *attempts)
{
	struct vgm_schedule *copy = context;

	assert_int_equal(vgm_schedule_add(copy, m, 0, NULL), 0);
	for (uint32_t i = 0; i < m->recipients_count; i++) {
		if (attempts[i] == UINT32_MAX)
			vgm_schedule_outcome(copy, m->record, i, VGM_OUTCOME_REMOVED, 0, 0);
		else if (attempts[i])
			vgm_schedule_outcome(
			    copy, m->record, i, VGM_OUTCOME_DEFERRED, attempts[i], 0);
	}
}

static void test_snapshot(void **state)
{
	struct vgm_schedule *s = fresh(), *copy = fresh();
	struct vgm_schedule_delivery d;
	static const struct step after[] = {
	    {DUE, 1, 3, "0", 1}, {NOTHING, 1}, {RELEASE, 2, 2, .count = 1}, {DUE, 2, 2, "0", 1},
	    {DUE, 5 * MIN, 1, "1", 3}, {LATE, 4 * HOUR + 3, 3, "0", 0}, {END, 0}};

	(void)state;
	add_at(s, 1, "mx:a mx:a mx:a", 0, 0, false);
	add_at(s, 2, "mx:b", 0, 0, true);
	add_at(s, 3, "mx:c", 3, 3, false);
	add_at(s, 4, "mx:c", 0, 0, false);
	outcome(s, 1, 0, VGM_OUTCOME_DELIVERED, 2, 0);
	outcome(s, 1, 1, VGM_OUTCOME_DEFERRED, 2, 0);
	outcome(s, 1, 2, VGM_OUTCOME_FAILED, 2, 0);
	assert_true(outcome(s, 4, 0, VGM_OUTCOME_DELIVERED, 1, 0));
	take(s, &(struct step){WARNED, 0, 1});
	vgm_schedule_each(s, keep, copy);
	assert_int_equal(vgm_schedule_count(copy), 3);
	vgm_schedule_relay_lost(copy, 0);
	assert_int_equal(vgm_schedule_next(copy, 1, &d), VGM_DUE_NOTHING);
	/* message 3 was accepted at 3 and is not due before */
	for (const struct step *st = &after[0]; st->verb != END; st++) {
		struct step late = *st;

		late.at = st->at < 3 ? 3 : st->at;
		if (late.verb == LATE) /* in flight: never late; so end it first */
			vgm_schedule_done(copy, deliveries[3], true, late.at);
		take(copy, &late);
	}
	vgm_schedule_free(&s);
	vgm_schedule_free(&copy);
}

/* Every act at random against a few simple truths; under the sanitizers this
 * looks for dangling pointers. */
static void test_random_acts(void **state)
{
	static const char *const routes[] = {"mx:a", "mx:a mx:b", "mx:b mx:c mx:b", "hold mx:a",
	    "route:narrow", "mx:d mx:e mx:f mx:g", "refuse"};
	struct vgm_schedule *s = fresh_with(7, &wide);
	struct vgm_schedule_delivery d;
	uint64_t now = 0, flying[8] = {0};
	uint32_t seed = 42, next_id = 1;
	size_t in_flight = 0;

	(void)state;
#define RANDOM(below) ((seed = seed * 1664525u + 1013904223u) >> 8) % (below)
	for (int round = 0; round < 200000; round++) {
		uint32_t n = next_id > 40 ? next_id - RANDOM(40) : RANDOM(next_id) + 1;
		size_t f = RANDOM(8);
		enum vgm_schedule_due due;
		uint8_t status;

		now += RANDOM(3) ? 0 : RANDOM(2 * MIN);
		switch (RANDOM(12)) {
		case 0:
		case 1:
			add_at(s, next_id++, routes[RANDOM(VGM_ARRAY_LEN(routes))], now, now, f == 0);
			break;
		case 2:
		case 3:
		case 4:
			due = vgm_schedule_next(s, now, &d);
			if (due == VGM_DUE_DELIVERY) {
				assert_true(in_flight < 7);
				in_flight++;
				for (f = 0; flying[f]; f++)
					;
				flying[f] = d.delivery;
			} else if (due == VGM_DUE_NOTHING) {
				assert_true(vgm_schedule_wake(s, now) > now);
			}
			break;
		case 5:
		case 6:
			status = (uint8_t)(1 + RANDOM(5));
			outcome(s, n, f & 3, status, (uint32_t)f, now);
			break;
		case 7:
		case 8:
			if (flying[f]) {
				vgm_schedule_done(s, flying[f], RANDOM(4) == 0, now);
				flying[f] = 0;
				in_flight--;
			}
			break;
		case 9:
			act(s, (enum vgm_schedule_act)(1 + RANDOM(4)), n, now);
			break;
		case 10:
			if (RANDOM(500) == 0)
				act(s, (enum vgm_schedule_act)(1 + RANDOM(4)), 0, now);
			break;
		default:
			if (RANDOM(300) == 0) {
				vgm_schedule_relay_lost(s, now);
				memset(flying, 0, sizeof(flying));
				in_flight = 0;
			}
		}
	}
	while (vgm_schedule_count(s)) { /* nothing gets stuck for ever */
		act(s, VGM_ACT_REMOVE, 0, now);
		assert_int_equal(vgm_schedule_next(s, now, &d), VGM_DUE_NOTHING);
	}
	vgm_schedule_free(&s);
}

/* 100,000 messages: memory, and that all go out, in order, one route each of 500. */
static void test_many(void **state)
{
	struct vgm_schedule *s = fresh_with(10000, &wide);
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
	struct vgm_schedule_delivery d;
	char route[40];
	uint32_t out = 0;

	(void)state;
	for (uint32_t i = 0; i < 100000; i++) {
		(void)snprintf(route, sizeof(route), "mx:hospital-%u.example", i % 500);
		assert_int_equal(add_at(s, i, route, i, i, false), 0);
	}
	size_t used = mallinfo2().uordblks + mallinfo2().hblkhd - before;
	print_message("  100,000 messages: %zu bytes each\n", used / 100000);
	assert_true(used < 60u << 20);
	while (vgm_schedule_next(s, 100000, &d) == VGM_DUE_DELIVERY) {
		uint32_t n;

		memcpy(&n, d.record, sizeof(n));
		assert_int_equal(n, out++);
		assert_true(vgm_schedule_outcome(
		    s, d.record, 0, VGM_OUTCOME_DELIVERED, d.attempt, 100000));
		vgm_schedule_done(s, d.delivery, false, 100000);
	}
	assert_int_equal(out, 100000);
	assert_int_equal(vgm_schedule_count(s), 0);
	vgm_schedule_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_scripts),
	    cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_large_message_is_cut),
	    cmocka_unit_test(test_in_flight_of_all),
	    cmocka_unit_test(test_new_limits),
	    cmocka_unit_test(test_snapshot),
	    cmocka_unit_test(test_random_acts),
	    cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
