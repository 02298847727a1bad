/* SPDX-License-Identifier: EUPL-1.2
 * Tests of role/ledgerd_resent.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "role/ledgerd_resent.h"

static void of(uint32_t number, uint8_t fingerprint[32], uint8_t id[16])
{
	memset(fingerprint, 0, 32);
	memset(id, 0, 16);
	memcpy(fingerprint, &number, sizeof number);
	memcpy(id, &number, sizeof number);
}

static void test_find(void **state)
{
	(void)state;
	static const struct {
		uint32_t asked;
		uint64_t after_ms;
		bool found;
	} cases[] = {
	    {1, 0, true},
	    {2, 1000, true},
	    {3, 0, false},
	    {0, 0, false}, /* without a fingerprint nothing is remembered */
	    {1, 86400000, true},
	    {1, 86400001, false},
	};
	struct vgm_resent *r = vgm_resent_new();
	uint8_t fingerprint[32], id[16], got[16];
	assert_false(vgm_resent_find(r, (uint8_t[32]){1}, 0, got));
	for (uint32_t i = 0; i < 3; i++) {
		of(i, fingerprint, id);
		vgm_resent_add(r, fingerprint, id, 5000);
	}
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		of(cases[i].asked, fingerprint, id);
		assert_int_equal(
		    vgm_resent_find(r, fingerprint, 5000 + cases[i].after_ms, got), cases[i].found);
		if (cases[i].found)
			assert_memory_equal(got, id, 16);
	}
	vgm_resent_free(&r);
	assert_null(r);
}

static void test_oldest_makes_room(void **state)
{
	(void)state;
	struct vgm_resent *r = vgm_resent_new();
	uint8_t fingerprint[32], id[16], got[16];
	for (uint32_t i = 1; i <= VGM_RESENT_MAX + 2; i++) {
		of(i, fingerprint, id);
		vgm_resent_add(r, fingerprint, id, i);
	}
	for (uint32_t i = 1; i <= VGM_RESENT_MAX + 2; i++) {
		of(i, fingerprint, id);
		assert_int_equal(vgm_resent_find(r, fingerprint, VGM_RESENT_MAX + 2, got), i > 2);
	}
	vgm_resent_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_find),
	    cmocka_unit_test(test_oldest_makes_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
