/* SPDX-License-Identifier: EUPL-1.2
 * net/dns.c: records whole, cut, and made to mislead. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/dns.h"

#define L10 "aaaaaaaaaa"
#define L63 L10 L10 L10 L10 L10 L10 "aaa"
#define WIRE(text) text, sizeof text - 1

static void test_decode(void **state)
{
	static const struct {
		uint16_t type;
		const char *wire;
		size_t wire_len;
		int expected;
		const char *data;
		size_t data_len;
		uint16_t preference;
	} cases[] = {
	    {VGM_DNS_A, WIRE("\xC0\x00\x02\x01"), 0, WIRE("\xC0\x00\x02\x01"), 0},
	    {VGM_DNS_A, WIRE("\xC0\x00\x02"), VGM_E_INVALID, WIRE(""), 0},
	    {VGM_DNS_A, WIRE("\xC0\x00\x02\x01\x00"), VGM_E_INVALID, WIRE(""), 0},
	    {VGM_DNS_AAAA, WIRE("0123456789abcdef"), 0, WIRE("0123456789abcdef"), 0},
	    {VGM_DNS_AAAA, WIRE("\xC0\x00\x02\x01"), VGM_E_INVALID, WIRE(""), 0},
	    {VGM_DNS_MX, WIRE("\x01\x02\x02Mx\x07" "Example\x03org\x00"), 0, WIRE("mx.example.org"),
	        258},
	    {VGM_DNS_MX, WIRE("\xFF\xFF\x01" "a\x00"), 0, WIRE("a"), 65535},
	    {VGM_DNS_MX, WIRE("\x00\x00\x00"), 0, WIRE(""), 0},
	    {VGM_DNS_MX, WIRE("\x00\x00"), VGM_E_INVALID, WIRE(""), 0},
	    {VGM_DNS_MX, WIRE(""), VGM_E_INVALID, WIRE(""), 0},
	    /* no end, bytes after the end, a label that leads out, a pointer */
	    {VGM_DNS_MX, WIRE("\x00\x0A\x02mx"), VGM_E_INVALID, WIRE(""), 0},
	    {VGM_DNS_MX, WIRE("\x00\x0A\x02mx\x00x"), VGM_E_INVALID, WIRE(""), 0},
	    {VGM_DNS_MX, WIRE("\x00\x0A\x3Fmx\x00"), VGM_E_INVALID, WIRE(""), 0},
	    {VGM_DNS_MX, WIRE("\x00\x0A\x02mx\xC0\x00"), VGM_E_INVALID, WIRE(""), 0},
	    {VGM_DNS_MX, WIRE("\x00\x0A\x40" L63 "a\x00"), VGM_E_INVALID, WIRE(""), 0},
	    {VGM_DNS_MX, WIRE("\x00\x0A\x3F" L63 "\x00"), 0, WIRE(L63), 10},
	    /* 253 bytes and one more */
	    {VGM_DNS_MX, WIRE("\x00\x0A\x3F" L63 "\x3F" L63 "\x3F" L63 "\x3D" L10 L10 L10 L10 L10
	        L10 "a\x00"), 0,
	        WIRE(L63 "." L63 "." L63 "." L10 L10 L10 L10 L10 L10 "a"), 10},
	    {VGM_DNS_MX, WIRE("\x00\x0A\x3F" L63 "\x3F" L63 "\x3F" L63 "\x3E" L10 L10 L10 L10 L10
	        L10 "aa\x00"), VGM_E_INVALID, WIRE(""), 0},
	    /* names that are no host: they end up in logs and in connections */
	    {VGM_DNS_MX, WIRE("\x00\x0A\x04m x.\x00"), VGM_E_INVALID, WIRE(""), 0},
	    {VGM_DNS_MX, WIRE("\x00\x0A\x03" "a.b\x00"), VGM_E_INVALID, WIRE(""), 0},
	    {VGM_DNS_MX, WIRE("\x00\x0A\x03" "a\x00" "b\x00"), VGM_E_INVALID, WIRE(""), 0},
	    {VGM_DNS_MX, WIRE("\x00\x0A\x02\xC3\xA9\x00"), VGM_E_INVALID, WIRE(""), 0},
	    {VGM_DNS_TXT, WIRE("\x06v=spf1\x05 -all"), 0, WIRE("v=spf1 -all"), 0},
	    {VGM_DNS_TXT, WIRE("\x00"), 0, WIRE(""), 0},
	    {VGM_DNS_TXT, WIRE("\x00\x01x\x00"), 0, WIRE("x"), 0},
	    {VGM_DNS_TXT, WIRE("\x02\x00\x01"), 0, WIRE("\x00\x01"), 0},
	    {VGM_DNS_TXT, WIRE(""), VGM_E_INVALID, WIRE(""), 0},
	    {VGM_DNS_TXT, WIRE("\x06v=spf"), VGM_E_INVALID, WIRE(""), 0},
	    {VGM_DNS_TXT, WIRE("\x01x\x05y"), VGM_E_INVALID, WIRE(""), 0},
	    {VGM_DNS_TLSA, WIRE("\x03\x01\x01hash"), 0, WIRE("\x03\x01\x01hash"), 0},
	    {VGM_DNS_TLSA, WIRE("\x03\x01\x01"), VGM_E_INVALID, WIRE(""), 0},
	    {2, WIRE("\x02ns\x00"), VGM_E_INVALID, WIRE(""), 0},
	    {0, WIRE(""), VGM_E_INVALID, WIRE(""), 0},
	};
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		VGM_CLEANUP(vgm_buf_release) struct vgm_buf out = VGM_BUF_INIT(2000);
		uint16_t preference = 9999;
		assert_int_equal(vgm_buf_add_str(&out, "before"), 0);
		int r = vgm_dns_decode(cases[i].type, vgm_slice(cases[i].wire, cases[i].wire_len),
		    &out, &preference);
		if (r != cases[i].expected)
			print_error("case %zu\n", i);
		assert_int_equal(r, cases[i].expected);
		assert_int_equal(out.len, 6 + cases[i].data_len);
		assert_memory_equal(out.data + 6, cases[i].data, cases[i].data_len);
		assert_int_equal(preference, r < 0 ? 9999 : cases[i].preference);
	}
}

static void test_sizes(void **state)
{
	static const struct {
		uint16_t type;
		size_t strings, len; /* TXT: that many strings of 255; else len bytes */
		int expected;
	} cases[] = {
	    {VGM_DNS_TXT, 4, 0, 0},
	    {VGM_DNS_TXT, 5, 0, VGM_E_LIMIT},
	    {VGM_DNS_TXT, 250, 0, VGM_E_LIMIT},
	    {VGM_DNS_TLSA, 0, 1024, 0},
	    {VGM_DNS_TLSA, 0, 1025, VGM_E_LIMIT},
	    {VGM_DNS_TLSA, 0, 65535, VGM_E_LIMIT},
	};
	static uint8_t wire[65535];
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		VGM_CLEANUP(vgm_buf_release) struct vgm_buf out = VGM_BUF_INIT(1 << 20);
		size_t len = cases[i].strings ? cases[i].strings * 256 : cases[i].len;
		uint16_t preference;
		memset(wire, 'x', sizeof wire);
		for (size_t s = 0; s < cases[i].strings; s++)
			wire[s * 256] = 255;
		assert_int_equal(
		    vgm_dns_decode(cases[i].type, vgm_slice(wire, len), &out, &preference),
		    cases[i].expected);
	}
	/* The caller's own ceiling counts too. */
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf small = VGM_BUF_INIT(5);
	uint16_t preference;
	assert_int_equal(vgm_dns_decode(VGM_DNS_MX, VGM_SLICE_LIT("\x00\x01\x06" "abcdef\x00"),
	                     &small, &preference),
	    VGM_E_LIMIT);
	assert_int_equal(small.len, 0);
}

static void test_names_to_ask_for(void **state)
{
	static const struct {
		const char *name;
		bool valid;
	} cases[] = {
	    {"example.org", true}, {"localhost", true}, {"_25._tcp.mx.example.org", true},
	    {"xn--caf-dma.example", true}, {"1.2.3.4", true}, {"a", true}, {"", false}, {".", false},
	    {"example.org.", false}, {".example.org", false}, {"a..b", false}, {"a b", false},
	    {"caf\xC3\xA9.example", false}, {"a\nb", false}, {"a/b", false}, {"[192.0.2.1]", false},
	    {L63 ".org", true}, {L63 "a.org", false},
	    {L63 "." L63 "." L63 "." L10 L10 L10 L10 L10 L10 "a", true},
	    {L63 "." L63 "." L63 "." L10 L10 L10 L10 L10 L10 "aa", false},
	};
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++)
		assert_int_equal(
		    vgm_dns_name_valid(vgm_slice_str(cases[i].name)), cases[i].valid);
	assert_false(vgm_dns_name_valid(vgm_slice("a\0b", 3)));
	assert_true(vgm_dns_known(VGM_DNS_TLSA));
	assert_false(vgm_dns_known(2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_decode),
	    cmocka_unit_test(test_sizes),
	    cmocka_unit_test(test_names_to_ask_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
