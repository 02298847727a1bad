/* SPDX-License-Identifier: EUPL-1.2
 * Ledger time under a wall clock that steps, leaps, goes back and comes again. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ledger/clock.h"

#define SECOND ((uint64_t)1000000)
#define HOUR (3600 * SECOND)
#define YEAR (8766 * HOUR)
#define NOW (56 * YEAR)

#define SYNC VGM_CLOCK_SYNCHRONISED
#define FREE VGM_CLOCK_FREE_RUNNING
#define DOUBT VGM_CLOCK_DOUBTFUL

/* wall and time are seconds from NOW; each step is at `mono` seconds. */
struct step {
	uint64_t mono;
	int64_t wall, time;
	enum vgm_clock_state state;
};
#define STEPS 6
static const struct {
	const char *what;
	int64_t last; /* the newest record's time, from NOW */
	bool synchronised;
	struct step steps[STEPS];
} cases[] = {
    {"ordinary", -10, true, {{0, 0, 0, SYNC}, {1, 1, 1, SYNC}, {100, 100, 100, SYNC}}},
    {"no time server", -10, false, {{0, 0, 0, FREE}, {5, 5, 5, FREE}}},
    {"small steps back", -10, true,
	{{0, 0, 0, SYNC}, {10, 10, 10, SYNC}, {11, 9, 10, SYNC}, {12, 11, 11, SYNC}}},
    {"ten years ahead and back", -10, true,
	{{0, 0, 0, SYNC}, {1, 1, 1, SYNC}, {2, 315360000, 2, DOUBT}, {60, 315360058, 60, DOUBT},
	    {61, 61, 61, SYNC}, {62, 62, 62, SYNC}}},
    {"ahead for good: taken after an hour", -10, true,
	{{0, 0, 0, SYNC}, {1, 1, 1, SYNC}, {2, 90000, 2, DOUBT}, {3601, 93599, 3601, DOUBT},
	    {3603, 93601, 93601, SYNC}, {3604, 93602, 93602, SYNC}}},
    {"back to 1970: never backwards", -10, true,
	{{0, 0, 0, SYNC}, {1, -1700000000, 1, DOUBT}, {4000, -1699996001, 4000, DOUBT},
	    {4001, 4001, 4001, SYNC}}},
    {"started behind the last record", 3600, true,
	{{0, 0, 3600, DOUBT}, {10, 10, 3610, DOUBT}, {20, 3620, 3620, SYNC}}},
    {"the machine was off", -1000000, true, {{0, 0, 0, SYNC}}},
    {"started a little behind", 2, true, {{0, 0, 2, SYNC}, {1, 1, 2, SYNC}, {3, 3, 3, SYNC}}},
};

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_ledger_clock c;
		vgm_ledger_clock_init(&c, NOW + (uint64_t)cases[i].last * SECOND, NOW, 7 * HOUR,
		    cases[i].synchronised);
		for (size_t k = 0; k < STEPS && cases[i].steps[k].state; k++) {
			const struct step *s = &cases[i].steps[k];
			enum vgm_clock_state got;
			uint64_t time = vgm_ledger_clock_now(&c, NOW + (uint64_t)s->wall * SECOND,
			    7 * HOUR + s->mono * SECOND, &got);
			if (got != s->state || time != NOW + (uint64_t)s->time * SECOND)
				fail_msg("%s, step %zu", cases[i].what, k);
		}
	}
}

/* Whatever the clocks do, time does not go back. */
static void test_never_backwards(void **state)
{
	(void)state;
	struct vgm_ledger_clock c;
	uint64_t last = NOW, mono = 0;
	uint32_t x = 1;
	vgm_ledger_clock_init(&c, NOW, NOW, mono, false);
	for (int i = 0; i < 100000; i++) {
		enum vgm_clock_state got;
		x = x * 1664525 + 1013904223;
		mono += x % (i % 2 ? 100 : 10 * SECOND);
		x = x * 1664525 + 1013904223;
		uint64_t wall = NOW + mono + (x >> 28 == 0 ? (uint64_t)(x % 1000) * HOUR : 0) -
				(x >> 28 == 1 ? (uint64_t)(x % 1000) * HOUR : 0);
		uint64_t now = vgm_ledger_clock_now(&c, wall, mono, &got);
		assert_true(now >= last);
		last = now;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cases),
	    cmocka_unit_test(test_never_backwards),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
