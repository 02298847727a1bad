/* SPDX-License-Identifier: EUPL-1.2
 * Text: UTF-8 (RFC 3629, table by table and every code point), base64 (vectors
 * of RFC 4648, section 10), hexadecimal, escaping, masking. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/text.h"

#include "base/err.h"

#define B(text) {(const uint8_t *)(text), sizeof(text) - 1}

static void test_utf8_table(void **state)
{
	(void)state;
	static const struct {
		struct vgm_slice text;
		bool valid;
	} cases[] = {
	    {B(""), true}, {B("abc"), true}, {B("\x00"), true}, {B("\x7F"), true},
	    {B("\xC2\x80"), true}, {B("\xDF\xBF"), true},
	    {B("\xE0\xA0\x80"), true}, {B("\xEF\xBF\xBF"), true},
	    {B("\xED\x9F\xBF"), true}, {B("\xEE\x80\x80"), true},
	    {B("\xF0\x90\x80\x80"), true}, {B("\xF4\x8F\xBF\xBF"), true},
	    /* overlong */
	    {B("\xC0\x80"), false}, {B("\xC1\xBF"), false}, {B("\xE0\x9F\xBF"), false},
	    {B("\xE0\x80\x80"), false}, {B("\xF0\x8F\xBF\xBF"), false},
	    {B("\xF0\x80\x80\x80"), false}, {B("\xC0\xAF"), false},
	    /* surrogates */
	    {B("\xED\xA0\x80"), false}, {B("\xED\xBF\xBF"), false},
	    {B("\xED\xA0\xBD\xED\xB8\x80"), false},
	    /* above U+10FFFF, and lengths that RFC 3629 took away */
	    {B("\xF4\x90\x80\x80"), false}, {B("\xF5\x80\x80\x80"), false},
	    {B("\xF8\x88\x80\x80\x80"), false}, {B("\xFC\x84\x80\x80\x80\x80"), false},
	    {B("\xFE"), false}, {B("\xFF"), false},
	    /* cut, and continuations alone */
	    {B("\x80"), false}, {B("\xBF"), false}, {B("\xC3"), false}, {B("\xE2\x82"), false},
	    {B("\xF0\x9F\x98"), false}, {B("\xC3\xC3"), false}, {B("\xE2\x82\x41"), false},
	    {B("a\xC3\xA9z"), true}, {B("a\xE9z"), false},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++)
		assert_int_equal(vgm_utf8_valid(cases[i].text), cases[i].valid);
}

static size_t utf8_of(uint32_t c, uint8_t out[4])
{
	if (c < 0x80)
		return out[0] = (uint8_t)c, 1;
	if (c < 0x800)
		return out[0] = (uint8_t)(0xC0 | c >> 6), out[1] = (uint8_t)(0x80 | (c & 63)), 2;
	if (c < 0x10000)
		return out[0] = (uint8_t)(0xE0 | c >> 12), out[1] = (uint8_t)(0x80 | (c >> 6 & 63)),
		       out[2] = (uint8_t)(0x80 | (c & 63)), 3;
	return out[0] = (uint8_t)(0xF0 | c >> 18), out[1] = (uint8_t)(0x80 | (c >> 12 & 63)),
	       out[2] = (uint8_t)(0x80 | (c >> 6 & 63)), out[3] = (uint8_t)(0x80 | (c & 63)), 4;
}

static void test_every_code_point(void **state)
{
	(void)state;
	for (uint32_t c = 0; c < 0x120000; c++) {
		uint8_t bytes[4];
		size_t n = utf8_of(c, bytes);
		bool expected = c <= 0x10FFFF && !(c >= 0xD800 && c <= 0xDFFF);
		if (vgm_utf8_valid(vgm_slice(bytes, n)) != expected)
			fail_msg("U+%04X", (unsigned)c);
		for (size_t cut = 1; cut < n; cut++)
			assert_false(vgm_utf8_valid(vgm_slice(bytes, cut)));
	}
}

static void test_ascii(void **state)
{
	(void)state;
	assert_true(vgm_is_ascii(VGM_SLICE_LIT("plain\x7F")));
	assert_false(vgm_is_ascii(VGM_SLICE_LIT("pl\xC3\xA9")));
	assert_true(vgm_is_ascii(VGM_SLICE_NONE));
	assert_int_equal(vgm_ascii_lower('Z'), 'z');
	assert_int_equal(vgm_ascii_lower('['), '[');
	assert_int_equal(vgm_ascii_lower(0xC9), 0xC9);
	assert_true(vgm_is_alnum('9') && vgm_is_alnum('Q') && !vgm_is_alnum('_') && !vgm_is_alnum(0xE9));
}

static const char *const rfc4648[][2] = {
    {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"},
};

static void test_base64_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(rfc4648); i++) {
		struct vgm_buf b = VGM_BUF_INIT(100);
		assert_int_equal(vgm_base64_encode(vgm_slice_str(rfc4648[i][0]), &b), 0);
		assert_string_equal(vgm_buf_str(&b), rfc4648[i][1]);
		vgm_buf_clear(&b);
		assert_int_equal(vgm_base64_decode(vgm_slice_str(rfc4648[i][1]), &b), 0);
		assert_string_equal(vgm_buf_str(&b), rfc4648[i][0]);
		vgm_buf_release(&b);
	}
}

static void test_base64_refuses(void **state)
{
	(void)state;
	static const char *const bad[] = {
	    "Z", "Zg", "Zg=", "=", "====", "Zg===", "Z===", "Zm9v=", "Zg==Zg==", "Zm8=Zm9v", "Zm 9v",
	    "Zm9v\n", "Zm9-", "Zm9_", "Zm9\x80", "=m9v", "Zm=v", "Z=9v",
	    "Zh==", /* bits that no byte uses */
	    "Zm9=",
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(bad); i++) {
		struct vgm_buf b = VGM_BUF_INIT(100);
		assert_int_equal(vgm_buf_add_str(&b, "kept"), 0);
		assert_int_equal(vgm_base64_decode(vgm_slice_str(bad[i]), &b), VGM_E_INVALID);
		assert_string_equal(vgm_buf_str(&b), "kept");
		vgm_buf_release(&b);
	}
}

static void test_base64_every_byte_and_length(void **state)
{
	(void)state;
	uint8_t data[300];
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i * 167 + 13);
	for (size_t len = 0; len <= sizeof data; len++) {
		struct vgm_buf text = VGM_BUF_INIT(500), back = VGM_BUF_INIT(sizeof data);
		assert_int_equal(vgm_base64_encode(vgm_slice(data, len), &text), 0);
		assert_int_equal(text.len, (len + 2) / 3 * 4);
		assert_int_equal(vgm_base64_decode(vgm_buf_slice(&text), &back), 0);
		assert_int_equal(back.len, len);
		assert_memory_equal(back.data ? back.data : data, data, len);
		vgm_buf_release(&text);
		vgm_buf_release(&back);
	}
}

static void test_ceilings(void **state)
{
	(void)state;
	struct vgm_buf b = VGM_BUF_INIT(3);
	assert_int_equal(vgm_base64_encode(VGM_SLICE_LIT("f"), &b), VGM_E_LIMIT);
	assert_int_equal(vgm_hex_encode(VGM_SLICE_LIT("ab"), &b), VGM_E_LIMIT);
	assert_int_equal(vgm_base64_decode(VGM_SLICE_LIT("Zm9vYg=="), &b), VGM_E_LIMIT);
	assert_int_equal(b.len, 0);
	vgm_buf_release(&b);
}

static void test_hex(void **state)
{
	(void)state;
	struct vgm_buf b = VGM_BUF_INIT(100);
	uint8_t out[3] = {1, 2, 3};
	assert_int_equal(vgm_hex_encode(vgm_slice("\x00\xAB\xFF", 3), &b), 0);
	assert_string_equal(vgm_buf_str(&b), "00abff");
	assert_int_equal(vgm_hex_decode(VGM_SLICE_LIT("00AbfF"), out, 3), 0);
	assert_memory_equal(out, "\x00\xAB\xFF", 3);
	static const char *const bad[] = {"", "0", "00ab", "00abff00", "00abf", "00abfg", "00ab f", "0x00ab"};
	for (size_t i = 0; i < VGM_ARRAY_LEN(bad); i++)
		assert_int_equal(vgm_hex_decode(vgm_slice_str(bad[i]), out, 3), VGM_E_INVALID);
	assert_memory_equal(out, "\x00\xAB\xFF", 3);
	vgm_buf_release(&b);
}

static void test_escape(void **state)
{
	(void)state;
	static const struct {
		struct vgm_slice in;
		size_t max;
		const char *out;
	} cases[] = {
	    {B("plain text"), 100, "plain text"},
	    {B("caf\xC3\xA9"), 100, "caf\xC3\xA9"},
	    {B("caf\xE9"), 100, "caf\\xe9"},
	    {B("a\\b"), 100, "a\\\\b"},
	    {B("a\r\nb\t\x1B[31m\x7F"), 100, "a\\x0d\\x0ab\\x09\\x1b[31m\\x7f"},
	    {B("nul\0end"), 100, "nul\\x00end"},
	    {B("\xC2\x9B" "31m"), 100, "\\xc2\\x9b31m"}, /* C1: CSI */
	    {B("\xC2\xA0"), 100, "\xC2\xA0"},
	    {B("abcdef"), 3, "abc..."},
	    {B("abc"), 3, "abc"},
	    {B("\xC3\xA9\xC3\xA9"), 3, "\xC3\xA9\\xc3..."},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_buf b = VGM_BUF_INIT(200);
		assert_int_equal(vgm_text_escape(cases[i].in, cases[i].max, &b), 0);
		assert_string_equal(vgm_buf_str(&b), cases[i].out);
		vgm_buf_release(&b);
	}
	struct vgm_buf small = VGM_BUF_INIT(2);
	assert_int_equal(vgm_text_escape(VGM_SLICE_LIT("\n"), 10, &small), VGM_E_LIMIT);
	vgm_buf_release(&small);
}

static void test_mask(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
	    {"marie.durand@chu.example", "m***@chu.example"},
	    {"\xC3\xA9lodie@chu.example", "\xC3\xA9***@chu.example"},
	    {"", "<>"},
	    {"nodomain", "n***"},
	    {"@chu.example", "***@chu.example"},
	    {"\"a@b\"@chu.example", "\"***@chu.example"},
	    {"\n@x", "\\x0a***@x"},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_buf b = VGM_BUF_INIT(400);
		assert_int_equal(vgm_text_mask_address(vgm_slice_str(cases[i][0]), &b), 0);
		assert_string_equal(vgm_buf_str(&b), cases[i][1]);
		vgm_buf_release(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_utf8_table),
	    cmocka_unit_test(test_every_code_point),
	    cmocka_unit_test(test_ascii),
	    cmocka_unit_test(test_base64_vectors),
	    cmocka_unit_test(test_base64_refuses),
	    cmocka_unit_test(test_base64_every_byte_and_length),
	    cmocka_unit_test(test_ceilings),
	    cmocka_unit_test(test_hex),
	    cmocka_unit_test(test_escape),
	    cmocka_unit_test(test_mask),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
