/* SPDX-License-Identifier: EUPL-1.2
 * Tests of role/strikes.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "role/strikes.h"

static struct vgm_strike strike(uint8_t body, uint8_t network, uint64_t at_s)
{
	struct vgm_strike s = {.body_size = body * 10u, .at_s = at_s};
	memset(s.body_sha256, body, sizeof s.body_sha256);
	memset(s.network, network, sizeof s.network);
	return s;
}

static void test_counts(void **state)
{
	(void)state;
	static const struct {
		uint8_t body, network;
		uint64_t at_s;
		size_t bodies, networks; /* of this body and network, just after */
	} rows[] = {
	    {1, 1, 1000000, 1, 1},
	    {1, 2, 1000010, 2, 1},
	    {2, 1, 1000020, 1, 2},
	    {1, 1, 1003599, 3, 3},
	    {1, 1, 1003601, 4, 3}, /* the network's first is over an hour old */
	    {1, 3, 1086405, 4, 1}, /* the body's first is over a day old */
	    {1, 3, 900000, 6, 2},  /* the clock went back: nothing is forgotten */
	};
	struct vgm_strikes t = {.count = 0};
	for (size_t i = 0; i < VGM_ARRAY_LEN(rows); i++) {
		struct vgm_strike s = strike(rows[i].body, rows[i].network, rows[i].at_s);
		vgm_strikes_add(&t, &s);
		if (i < 6) {
			assert_int_equal(vgm_strikes_of_body(&t, s.body_sha256, s.at_s), rows[i].bodies);
			assert_int_equal(vgm_strikes_of_network(&t, s.network, s.at_s), rows[i].networks);
		}
	}
}

static void test_oldest_makes_room(void **state)
{
	(void)state;
	struct vgm_strikes t = {.count = 0};
	for (size_t i = 0; i < VGM_STRIKES_KEPT + 5; i++) {
		struct vgm_strike s = strike((uint8_t)(i < 5 ? 200 : 1), 1, 1000 + i);
		vgm_strikes_add(&t, &s);
	}
	struct vgm_strike gone = strike(200, 1, 0);
	assert_int_equal(t.count, VGM_STRIKES_KEPT);
	assert_int_equal(vgm_strikes_of_body(&t, gone.body_sha256, 1000), 0);
}

static void test_file(void **state)
{
	(void)state;
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf out = VGM_BUF_INIT(1 << 20);
	struct vgm_strikes t = {.count = 0}, back = {.count = 0};
	struct vgm_err err;
	for (uint8_t i = 0; i < 3; i++) {
		struct vgm_strike s = strike(i, (uint8_t)(i + 1), 5000u + i);
		vgm_strikes_add(&t, &s);
	}
	assert_int_equal(vgm_strikes_write(&t, &out), 0);
	assert_int_equal(vgm_strikes_read(vgm_buf_slice(&out), &back, &err), 0);
	assert_int_equal(back.count, 3);
	assert_memory_equal(back.strike, t.strike, 3 * sizeof t.strike[0]);
	/* Every cut is refused, but one between rows, which cannot be told. */
	for (size_t cut = 0; cut < out.len; cut++) {
		int r = vgm_strikes_read(vgm_slice_sub(vgm_buf_slice(&out), 0, cut), &back, &err);
		assert_true(cut >= 8 && (cut - 8) % 64 == 0 ? r == 0 : r < 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_counts),
	    cmocka_unit_test(test_oldest_makes_room),
	    cmocka_unit_test(test_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
