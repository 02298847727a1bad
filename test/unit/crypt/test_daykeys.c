/* SPDX-License-Identifier: EUPL-1.2
 * crypt/daykeys.c: keys of today and tomorrow, wraps that fit one day and one
 * entity, and how reluctantly a day is destroyed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "store_fixture.h"

#include "crypt/daykeys.h"

#define TODAY 20780u

static void test_today_and_tomorrow_exist(void **state)
{
	struct store *s = *state;
	struct vgm_daykeys *k = vgm_daykeys_new(s->keys);
	uint8_t today[32], tomorrow[32], again[32];
	assert_int_equal(vgm_daykeys_routing(k, TODAY, today, NULL), VGM_E_NOTFOUND);
	assert_int_equal(vgm_daykeys_prepare(k, TODAY, NULL), 0);
	assert_int_equal(vgm_daykeys_routing(k, TODAY, today, NULL), 0);
	assert_int_equal(vgm_daykeys_routing(k, TODAY + 1, tomorrow, NULL), 0);
	assert_memory_not_equal(today, tomorrow, 32);
	assert_int_equal(vgm_daykeys_routing(k, TODAY + 2, again, NULL), VGM_E_NOTFOUND);
	assert_int_equal(vgm_daykeys_routing(k, TODAY - 1, again, NULL), VGM_E_NOTFOUND);
	/* Tomorrow's key is the one that was made today, also after a restart. */
	vgm_daykeys_free(&k);
	assert_int_equal(store_again(s, NULL, NULL), 0);
	k = vgm_daykeys_new(s->keys);
	assert_int_equal(vgm_daykeys_prepare(k, TODAY + 1, NULL), 0);
	assert_int_equal(vgm_daykeys_routing(k, TODAY + 1, again, NULL), 0);
	assert_memory_equal(tomorrow, again, 32);
	assert_int_equal(vgm_daykeys_routing(k, TODAY, again, NULL), 0);
	assert_memory_equal(today, again, 32);
	vgm_daykeys_free(&k);
	vgm_daykeys_free(&k);
}

static void test_wraps(void **state)
{
	static const struct {
		uint32_t day, entity;
		int byte; /* of the wrap to change; -1: none */
		int expected;
	} cases[] = {
	    {TODAY, 1, -1, 0},
	    {TODAY + 1, 1, -1, VGM_E_CRYPTO},
	    {TODAY, 2, -1, VGM_E_CRYPTO},
	    {TODAY, 0x01000000, -1, VGM_E_CRYPTO},
	    {TODAY + 2, 1, -1, VGM_E_NOTFOUND},
	    {0, 1, -1, VGM_E_NOTFOUND},
	};
	struct store *s = *state;
	struct vgm_daykeys *k = vgm_daykeys_new(s->keys);
	uint8_t key[32], wrap[VGM_WRAP_BYTES], second[VGM_WRAP_BYTES], out[32];
	vgm_random(key, sizeof key);
	assert_int_equal(vgm_daykeys_wrap(k, TODAY, 1, key, wrap, NULL), VGM_E_NOTFOUND);
	assert_int_equal(vgm_daykeys_prepare(k, TODAY, NULL), 0);
	assert_int_equal(vgm_daykeys_wrap(k, TODAY, 1, key, wrap, NULL), 0);
	assert_int_equal(vgm_daykeys_wrap(k, TODAY, 1, key, second, NULL), 0);
	assert_memory_not_equal(wrap, second, sizeof wrap);
	assert_null(memmem(wrap, sizeof wrap, key, 8));
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		memset(out, 0xEE, sizeof out);
		int r = vgm_daykeys_unwrap(k, cases[i].day, cases[i].entity, wrap, out, NULL);
		assert_int_equal(r, cases[i].expected);
		if (r == 0)
			assert_memory_equal(out, key, 32);
		else
			assert_int_equal(out[0], 0xEE);
	}
	for (size_t i = 0; i < sizeof wrap; i++) {
		wrap[i] ^= 0x80;
		assert_int_equal(vgm_daykeys_unwrap(k, TODAY, 1, wrap, out, NULL), VGM_E_CRYPTO);
		wrap[i] ^= 0x80;
	}
	assert_int_equal(vgm_daykeys_unwrap(k, TODAY, 1, wrap, out, NULL), 0);
	vgm_daykeys_free(&k);
}

/* More days than are kept in memory. */
static void test_many_days(void **state)
{
	enum { DAYS = 100 };
	struct store *s = *state;
	struct vgm_daykeys *k = vgm_daykeys_new(s->keys);
	uint8_t key[32] = {1, 2, 3}, wraps[DAYS][VGM_WRAP_BYTES], out[32];
	for (uint32_t d = 0; d < DAYS; d++) {
		assert_int_equal(vgm_daykeys_prepare(k, TODAY + d, NULL), 0);
		assert_int_equal(vgm_daykeys_wrap(k, TODAY + d, 1, key, wraps[d], NULL), 0);
	}
	for (uint32_t round = 0; round < 2; round++)
		for (uint32_t d = 0; d < DAYS; d++) {
			uint32_t day = round ? DAYS - 1 - d : d;
			assert_int_equal(
			    vgm_daykeys_unwrap(k, TODAY + day, 1, wraps[day], out, NULL), 0);
			assert_memory_equal(out, key, 32);
		}
	vgm_daykeys_free(&k);
}

static void test_when_a_day_may_go(void **state)
{
	static const struct {
		uint32_t day, window;
		struct vgm_daykeys_clocks clocks;
		int expected;
		const char *text;
	} cases[] = {
	    {TODAY, 30, {TODAY + 20, TODAY + 20, TODAY + 20}, VGM_E_DENIED, "inside the window"},
	    {TODAY, 30, {TODAY + 30, TODAY + 30, TODAY + 30}, VGM_E_DENIED, "inside the window"},
	    {TODAY, 30, {TODAY - 1, TODAY - 1, TODAY - 1}, VGM_E_DENIED, "inside the window"},
	    {TODAY, 0, {TODAY, TODAY, TODAY}, VGM_E_DENIED, "inside the window"},
	    {TODAY, 30, {TODAY + 40, TODAY + 40, 0}, VGM_E_DENIED, "clocks"},
	    {TODAY, 30, {TODAY + 40, TODAY + 38, TODAY + 40}, VGM_E_DENIED, "clocks"},
	    {TODAY, 30, {TODAY + 40, TODAY + 20, TODAY + 20}, VGM_E_DENIED, "clocks"},
	    {TODAY, 30, {TODAY + 41, TODAY + 40, TODAY + 39}, VGM_E_DENIED, "clocks"},
	    {TODAY + 9, 1, {TODAY + 40, TODAY + 40, TODAY + 40}, VGM_E_NOTFOUND, NULL},
	    {TODAY, 30, {TODAY + 40, TODAY + 41, TODAY + 40}, 0, NULL},
	    {TODAY, 30, {TODAY + 41, TODAY + 41, TODAY + 41}, VGM_E_NOTFOUND, "closed already"},
	    {TODAY + 1, 30, {TODAY + 40, TODAY + 40, TODAY + 40}, VGM_E_DENIED, "today already"},
	    {TODAY + 1, 30, {TODAY + 39, TODAY + 39, TODAY + 39}, VGM_E_DENIED, "today already"},
	    {TODAY + 1, 30, {TODAY + 41, TODAY + 41, TODAY + 41}, 0, NULL},
	};
	struct store *s = *state;
	struct vgm_daykeys *k = vgm_daykeys_new(s->keys);
	assert_int_equal(vgm_daykeys_prepare(k, TODAY, NULL), 0);
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_err err = {.text = ""};
		/* What was decided before holds after a restart. */
		vgm_daykeys_free(&k);
		assert_int_equal(store_again(s, NULL, NULL), 0);
		k = vgm_daykeys_new(s->keys);
		int r = vgm_daykeys_destroy(
		    k, cases[i].day, cases[i].window, &cases[i].clocks, &err);
		assert_int_equal(r, cases[i].expected);
		assert_true(!cases[i].text || strstr(err.text, cases[i].text));
	}
	vgm_daykeys_free(&k);
}

/* Nothing opens a destroyed day again, not even a clock that stands on it. */
static void test_destroyed_stays_destroyed(void **state)
{
	struct store *s = *state;
	struct vgm_daykeys *k = vgm_daykeys_new(s->keys);
	struct vgm_daykeys_clocks later = {TODAY + 50, TODAY + 50, TODAY + 50};
	uint8_t key[32] = {9}, wrap[VGM_WRAP_BYTES], out[32];
	assert_int_equal(vgm_daykeys_prepare(k, TODAY, NULL), 0);
	assert_int_equal(vgm_daykeys_wrap(k, TODAY, 1, key, wrap, NULL), 0);
	assert_int_equal(vgm_daykeys_destroy(k, TODAY, 30, &later, NULL), 0);
	for (int restart = 0; restart < 2; restart++) {
		assert_int_equal(vgm_daykeys_unwrap(k, TODAY, 1, wrap, out, NULL), VGM_E_DENIED);
		assert_int_equal(vgm_daykeys_wrap(k, TODAY, 1, key, wrap, NULL), VGM_E_DENIED);
		assert_int_equal(vgm_daykeys_routing(k, TODAY, out, NULL), VGM_E_DENIED);
		assert_int_equal(vgm_daykeys_prepare(k, TODAY, NULL), VGM_E_DENIED);
		assert_int_equal(vgm_daykeys_routing(k, TODAY + 1, out, NULL), 0);
		vgm_daykeys_free(&k);
		assert_int_equal(store_again(s, NULL, NULL), 0);
		k = vgm_daykeys_new(s->keys);
	}
	vgm_daykeys_free(&k);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, store_up, store_down)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_today_and_tomorrow_exist),
	    CASE(test_wraps),
	    CASE(test_many_days),
	    CASE(test_when_a_day_may_go),
	    CASE(test_destroyed_stays_destroyed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
