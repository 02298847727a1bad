/* SPDX-License-Identifier: EUPL-1.2
 * Secrets: out of core dumps, gone after release, compared to the last byte. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/secret.h"

#include <stdio.h>

/* Does the mapping that holds address have this flag in /proc/self/smaps? */
static bool mapping_has(const void *address, const char *flag)
{
	char line[512];
	bool here = false, found = false;
	FILE *f = fopen("/proc/self/smaps", "r");
	assert_non_null(f);
	while (fgets(line, sizeof line, f)) {
		unsigned long from, end;
		if (sscanf(line, "%lx-%lx ", &from, &end) == 2)
			here = (unsigned long)(uintptr_t)address >= from &&
			    (unsigned long)(uintptr_t)address < end;
		else if (here && strncmp(line, "VmFlags:", 8) == 0)
			found = strstr(line, flag) != NULL;
	}
	fclose(f);
	return found;
}

static bool is_mapped(const void *address)
{
	return mapping_has(address, " ");
}

static void test_life_cycle(void **state)
{
	(void)state;
	static const size_t sizes[] = {1, 32, 4096, 4097, 100000};
	for (size_t i = 0; i < VGM_ARRAY_LEN(sizes); i++) {
		struct vgm_secret s;
		vgm_secret_init(&s, sizes[i]);
		assert_int_equal(s.len, sizes[i]);
		for (size_t k = 0; k < s.len; k++)
			assert_int_equal(s.data[k], 0);
		memset(s.data, 0x5A, s.len);
		assert_true(mapping_has(s.data, " dd"));
		const uint8_t *where = s.data;
		vgm_secret_release(&s);
		assert_null(s.data);
		assert_false(is_mapped(where));
		vgm_secret_release(&s);
	}
}

static void test_comparison_sees_every_bit(void **state)
{
	(void)state;
	uint8_t a[33], b[33];
	vgm_random(a, sizeof a);
	memcpy(b, a, sizeof a);
	assert_true(vgm_secret_eq(a, b, sizeof a));
	assert_true(vgm_secret_eq(a, b, 0));
	for (size_t bit = 0; bit < sizeof a * 8; bit++) {
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(vgm_secret_eq(a, b, sizeof a));
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void test_wipe(void **state)
{
	(void)state;
	uint8_t a[64], zeros[64] = {0};
	memset(a, 7, sizeof a);
	vgm_wipe(a, 32);
	assert_memory_equal(a, zeros, 32);
	assert_int_equal(a[32], 7);
}

static void test_random_differs(void **state)
{
	(void)state;
	uint8_t a[32], b[32], large[5000];
	vgm_random(a, sizeof a);
	vgm_random(b, sizeof b);
	assert_memory_not_equal(a, b, sizeof a);
	memset(large, 0, sizeof large);
	vgm_random(large, sizeof large);
	size_t zeros = 0;
	for (size_t i = 0; i < sizeof large; i++)
		zeros += large[i] == 0;
	assert_true(zeros < 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_life_cycle),
	    cmocka_unit_test(test_comparison_sees_every_bit),
	    cmocka_unit_test(test_wipe),
	    cmocka_unit_test(test_random_differs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
