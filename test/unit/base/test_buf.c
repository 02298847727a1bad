/* SPDX-License-Identifier: EUPL-1.2
 * Buffer: growth, the ceiling to the byte, the terminator, removal. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"

#include <stdio.h>

static void test_empty(void **state)
{
	(void)state;
	struct vgm_buf b = VGM_BUF_INIT(10);
	assert_string_equal(vgm_buf_str(&b), "");
	assert_int_equal(vgm_buf_slice(&b).len, 0);
	vgm_buf_clear(&b);
	vgm_buf_consume(&b, 0);
	assert_int_equal(vgm_buf_add(&b, NULL, 0), 0);
	vgm_buf_release(&b);
	vgm_buf_release(&b);
}

static void test_ceiling_to_the_byte(void **state)
{
	(void)state;
	for (size_t ceiling = 0; ceiling < 300; ceiling++) {
		struct vgm_buf b;
		vgm_buf_init(&b, ceiling);
		for (size_t i = 0; i < ceiling; i++) {
			assert_int_equal(vgm_buf_add_byte(&b, (uint8_t)i), 0);
			assert_int_equal(b.data[b.len], 0);
			assert_true(b.len <= b.capacity && b.capacity <= b.ceiling);
		}
		assert_int_equal(vgm_buf_add_byte(&b, 'x'), VGM_E_LIMIT);
		assert_int_equal(b.len, ceiling);
		for (size_t i = 0; i < ceiling; i++)
			assert_int_equal(b.data[i], (uint8_t)i);
		vgm_buf_release(&b);
	}
}

static void test_refused_add_changes_nothing(void **state)
{
	(void)state;
	struct vgm_buf b = VGM_BUF_INIT(8);
	uint8_t *room;
	assert_int_equal(vgm_buf_add_str(&b, "12345"), 0);
	assert_int_equal(vgm_buf_add_str(&b, "6789"), VGM_E_LIMIT);
	assert_int_equal(vgm_buf_addf(&b, "%d", 6789), VGM_E_LIMIT);
	assert_int_equal(vgm_buf_extend(&b, 4, &room), VGM_E_LIMIT);
	assert_int_equal(vgm_buf_extend(&b, SIZE_MAX, &room), VGM_E_LIMIT);
	assert_string_equal(vgm_buf_str(&b), "12345");
	assert_int_equal(vgm_buf_addf(&b, "%s", "678"), 0);
	assert_string_equal(vgm_buf_str(&b), "12345678");
	vgm_buf_release(&b);
}

static void test_addf(void **state)
{
	(void)state;
	struct vgm_buf b = VGM_BUF_INIT(5000);
	char wide[3000];
	memset(wide, 'w', sizeof wide);
	assert_int_equal(vgm_buf_addf(&b, "%s", ""), 0);
	assert_int_equal(vgm_buf_addf(&b, "%d %.3s|", -7, "abcdef"), 0);
	assert_int_equal(vgm_buf_addf(&b, "%.*s", (int)sizeof wide, wide), 0);
	assert_int_equal(b.len, 7 + sizeof wide);
	assert_memory_equal(b.data, "-7 abc|www", 10);
	vgm_buf_release(&b);
}

static void test_consume_and_truncate(void **state)
{
	(void)state;
	const char text[] = "0123456789";
	for (size_t from = 0; from <= 10; from++) {
		for (size_t keep = 0; keep <= 10 - from; keep++) {
			struct vgm_buf b = VGM_BUF_INIT(10);
			assert_int_equal(vgm_buf_add_slice(&b, VGM_SLICE_LIT("0123456789")), 0);
			vgm_buf_consume(&b, from);
			vgm_buf_truncate(&b, keep);
			assert_int_equal(b.len, keep);
			assert_memory_equal(b.data, text + from, keep);
			assert_int_equal(b.data[keep], 0);
			vgm_buf_release(&b);
		}
	}
}

static void test_clear_keeps_wipe_frees(void **state)
{
	(void)state;
	struct vgm_buf b = VGM_BUF_INIT(100);
	assert_int_equal(vgm_buf_add_str(&b, "secret"), 0);
	uint8_t *before = b.data;
	vgm_buf_clear(&b);
	assert_ptr_equal(b.data, before);
	assert_int_equal(b.len, 0);
	vgm_buf_wipe(&b);
	assert_null(b.data);
	assert_int_equal(b.ceiling, 100);
	vgm_buf_wipe(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_empty),
	    cmocka_unit_test(test_ceiling_to_the_byte),
	    cmocka_unit_test(test_refused_add_changes_nothing),
	    cmocka_unit_test(test_addf),
	    cmocka_unit_test(test_consume_and_truncate),
	    cmocka_unit_test(test_clear_keeps_wipe_frees),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
