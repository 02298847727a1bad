/* SPDX-License-Identifier: EUPL-1.2
 * Slices: cutting, comparing, searching, numbers. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/slice.h"

#define S(text) VGM_SLICE_LIT(text)

static void test_sub_is_clipped(void **state)
{
	(void)state;
	static const struct {
		size_t from, end;
		const char *expected;
	} cases[] = {
	    {0, 5, "hello"}, {0, 99, "hello"}, {1, 3, "el"}, {3, 1, ""}, {5, 5, ""},
	    {9, 12, ""}, {4, SIZE_MAX, "o"}, {SIZE_MAX, SIZE_MAX, ""},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_slice s = vgm_slice_sub(S("hello"), cases[i].from, cases[i].end);
		assert_true(vgm_slice_eq(s, vgm_slice_str(cases[i].expected)));
	}
	assert_int_equal(vgm_slice_from(VGM_SLICE_NONE, 3).len, 0);
	assert_null(vgm_slice_from(VGM_SLICE_NONE, 3).data);
}

static void test_comparing(void **state)
{
	(void)state;
	static const struct {
		struct vgm_slice a, b;
		bool same, same_nocase, starts;
	} cases[] = {
	    {{NULL, 0}, {(const uint8_t *)"", 0}, true, true, true},
	    {{(const uint8_t *)"RCPT", 4}, {(const uint8_t *)"rcpt", 4}, false, true, true},
	    {{(const uint8_t *)"RCPT TO", 7}, {(const uint8_t *)"rcpt", 4}, false, false, true},
	    {{(const uint8_t *)"rcp", 3}, {(const uint8_t *)"rcpt", 4}, false, false, false},
	    {{(const uint8_t *)"\xC9", 1}, {(const uint8_t *)"\xE9", 1}, false, false, false},
	    {{(const uint8_t *)"[", 1}, {(const uint8_t *)"{", 1}, false, false, false},
	    {{(const uint8_t *)"@", 1}, {(const uint8_t *)"`", 1}, false, false, false},
	    {{(const uint8_t *)"a\0b", 3}, {(const uint8_t *)"a\0b", 3}, true, true, true},
	    {{(const uint8_t *)"a\0b", 3}, {(const uint8_t *)"a\0c", 3}, false, false, false},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		assert_int_equal(vgm_slice_eq(cases[i].a, cases[i].b), cases[i].same);
		assert_int_equal(vgm_slice_eq_nocase(cases[i].a, cases[i].b), cases[i].same_nocase);
		assert_int_equal(vgm_slice_starts_nocase(cases[i].a, cases[i].b), cases[i].starts);
	}
}

static void test_finding(void **state)
{
	(void)state;
	assert_int_equal(vgm_slice_find(S("a@b@c"), '@'), 1);
	assert_int_equal(vgm_slice_rfind(S("a@b@c"), '@'), 3);
	assert_int_equal(vgm_slice_find(S("abc"), '@'), 3);
	assert_int_equal(vgm_slice_rfind(S("abc"), '@'), 3);
	assert_int_equal(vgm_slice_find(VGM_SLICE_NONE, 0), 0);
	assert_int_equal(vgm_slice_rfind(VGM_SLICE_NONE, 0), 0);
}

static void test_trim(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
	    {"", ""}, {" \t\r\n", ""}, {"a", "a"}, {"  a b\r\n", "a b"}, {"\ta", "a"},
	    {"\va", "\va"},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++)
		assert_true(vgm_slice_eq(vgm_slice_trim(vgm_slice_str(cases[i][0])),
		    vgm_slice_str(cases[i][1])));
}

static void test_numbers(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t max;
		bool good;
		uint64_t value;
	} cases[] = {
	    {"0", 0, true, 0}, {"1", 0, false, 0}, {"", 10, false, 0}, {"00012", 99, true, 12},
	    {"10", 10, true, 10}, {"11", 10, false, 0}, {"9", 8, false, 0}, {"100", 99, false, 0},
	    {"-1", 10, false, 0}, {"+1", 10, false, 0}, {" 1", 10, false, 0}, {"1 ", 10, false, 0},
	    {"0x1", 99, false, 0}, {"1a", 99, false, 0}, {"\xB2", 99, false, 0},
	    {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
	    {"18446744073709551616", UINT64_MAX, false, 0},
	    {"99999999999999999999", UINT64_MAX, false, 0},
	    {"184467440737095516150", UINT64_MAX, false, 0},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		uint64_t value = 4242;
		bool good = vgm_slice_to_u64(vgm_slice_str(cases[i].text), cases[i].max, &value);
		assert_int_equal(good, cases[i].good);
		assert_int_equal(value, cases[i].good ? cases[i].value : 4242);
	}
	/* every number under every small maximum */
	for (uint64_t max = 0; max < 130; max++) {
		for (uint64_t n = 0; n < 1300; n++) {
			char text[5] = {(char)('0' + n / 1000), (char)('0' + n / 100 % 10),
			    (char)('0' + n / 10 % 10), (char)('0' + n % 10), 0};
			uint64_t value = 0;
			assert_int_equal(vgm_slice_to_u64(vgm_slice_str(text), max, &value), n <= max);
			assert_int_equal(value, n <= max ? n : 0);
		}
	}
}

static void test_dup(void **state)
{
	(void)state;
	char *s = vgm_slice_dup(vgm_slice("abc", 2));
	assert_string_equal(s, "ab");
	vgm_free(s);
	s = vgm_slice_dup(VGM_SLICE_NONE);
	assert_string_equal(s, "");
	vgm_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sub_is_clipped),
	    cmocka_unit_test(test_comparing),
	    cmocka_unit_test(test_finding),
	    cmocka_unit_test(test_trim),
	    cmocka_unit_test(test_numbers),
	    cmocka_unit_test(test_dup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
