/* SPDX-License-Identifier: EUPL-1.2
 * Arena: ceilings, alignment, zeroes, and what clear keeps. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/arena.h"

#include <stdalign.h>

static void test_gives_zeroed_aligned_memory(void **state)
{
	(void)state;
	struct vgm_arena a = VGM_ARENA_INIT(1 << 20);
	for (size_t size = 1; size < 40000; size = size * 3 + 1) {
		uint8_t *p = vgm_arena_alloc(&a, 1, size);
		assert_non_null(p);
		assert_int_equal((uintptr_t)p % alignof(max_align_t), 0);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xEE, size);
	}
	vgm_arena_release(&a);
	assert_null(a.blocks);
	vgm_arena_release(&a);
}

static void test_ceiling(void **state)
{
	(void)state;
	static const struct {
		size_t ceiling, count, size;
		bool fits;
	} cases[] = {
	    {100, 1, 100, true},
	    {100, 1, 101, false},
	    {100, 0, 50, true},
	    {100, 10, 10, true},
	    {100, 11, 10, false},
	    {0, 1, 1, false},
	    {SIZE_MAX / 2, SIZE_MAX, 2, false},
	    {SIZE_MAX / 2, SIZE_MAX / 2, 3, false},
	    {100000, 1, 65536, true},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_arena a = VGM_ARENA_INIT(cases[i].ceiling);
		assert_int_equal(
		    vgm_arena_alloc(&a, cases[i].count, cases[i].size) != NULL, cases[i].fits);
		vgm_arena_release(&a);
	}
}

static void test_ceiling_over_many(void **state)
{
	(void)state;
	struct vgm_arena a = VGM_ARENA_INIT(1000);
	size_t given = 0;
	while (vgm_arena_alloc(&a, 1, 16))
		given += 16;
	assert_int_equal(given, 992);
	assert_null(vgm_arena_alloc(&a, 1, 16));
	vgm_arena_clear(&a);
	assert_non_null(vgm_arena_alloc(&a, 1, 16));
	vgm_arena_release(&a);
}

static void test_clear_zeroes_what_it_keeps(void **state)
{
	(void)state;
	struct vgm_arena a = VGM_ARENA_INIT(1 << 20);
	memset(vgm_arena_alloc(&a, 1, 5000), 0xAA, 5000);
	memset(vgm_arena_alloc(&a, 1, 50000), 0xBB, 50000);
	vgm_arena_clear(&a);
	assert_int_equal(a.used, 0);
	uint8_t *p = vgm_arena_alloc(&a, 1, 16000);
	for (size_t i = 0; i < 16000; i++)
		assert_int_equal(p[i], 0);
	vgm_arena_release(&a);
}

static void test_dup(void **state)
{
	(void)state;
	struct vgm_arena a = VGM_ARENA_INIT(64);
	char *s = vgm_arena_dup(&a, VGM_SLICE_LIT("vaguemestre"));
	assert_string_equal(s, "vaguemestre");
	assert_string_equal(vgm_arena_dup(&a, VGM_SLICE_NONE), "");
	assert_null(vgm_arena_dup(&a, vgm_slice("x", 64)));
	vgm_arena_release(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_gives_zeroed_aligned_memory),
	    cmocka_unit_test(test_ceiling),
	    cmocka_unit_test(test_ceiling_over_many),
	    cmocka_unit_test(test_clear_zeroes_what_it_keeps),
	    cmocka_unit_test(test_dup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
