/* SPDX-License-Identifier: EUPL-1.2
 * net/idna.c: international domains as they are written, and as the DNS has them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/dns.h"
#include "net/idna.h"

#define L10 "aaaaaaaaaa"
#define L63 L10 L10 L10 L10 L10 L10 "aaa"
#define U10 "üüüüüüüüüü"

static const struct {
	const char *domain, *ascii; /* NULL: no such name */
} cases[] = {
    /* ASCII */
    {"example.org", "example.org"},
    {"Example.ORG", "example.org"},
    {"localhost", "localhost"},
    {"xn--bcher-kva.example", "xn--bcher-kva.example"},
    {"XN--BCHER-KVA.Example", "xn--bcher-kva.example"},
    {"xn--not-what-it-seems.example", "xn--not-what-it-seems.example"},
    {"a_b.example", "a_b.example"},
    {"_25._tcp.bücher.example", "_25._tcp.xn--bcher-kva.example"},
    {"é_x.example", "xn--_x-9ia.example"}, /* no host's, and not another's either */
    {"", NULL},
    {".", NULL},
    {"a..example", NULL},
    {".a.example", NULL},
    {"a.example.", NULL},
    {"a b.example", NULL},
    {"[192.0.2.1]", NULL},
    {"[IPv6:2001:db8::1]", NULL},
    {L63 ".example", L63 ".example"},
    {L63 "a.example", NULL},
    {L63 "." L63 "." L63 "." L10 L10 L10 L10 L10 L10 "a",
        L63 "." L63 "." L63 "." L10 L10 L10 L10 L10 L10 "a"},
    {L63 "." L63 "." L63 "." L10 L10 L10 L10 L10 L10 "aa", NULL},
    /* umlauts, accents, case, forms */
    {"bücher.example", "xn--bcher-kva.example"},
    {"BÜCHER.Example", "xn--bcher-kva.example"},
    {"hôpital.example", "xn--hpital-ixa.example"},
    {"ho\xcc\x82pital.example", "xn--hpital-ixa.example"}, /* o and a combining circumflex */
    {"xn--bcher-kva.münchen.example", "xn--bcher-kva.xn--mnchen-3ya.example"},
    {"æsop.example", "xn--sop-xla.example"},
    {"ａｂｃ.example", "abc.example"},                          /* full width */
    {"b\xc2\xadücher.example", "xn--bcher-kva.example"},       /* a soft hyphen */
    /* deviations: as registries take them, not as IDNA 2003 had them */
    {"straße.example", "xn--strae-oqa.example"},
    {"strasse.example", "strasse.example"},
    {"βόλος.example", "xn--nxasmm1c.example"},
    /* other scripts */
    {"例え.テスト", "xn--r8jz45g.xn--zckzah"},
    {"日本語。ＪＰ", "xn--wgv71a119e.jp"}, /* the ideographic full stop parts labels */
    {"почта.рф", "xn--80a1acny.xn--p1ai"},
    {"قطر.example", "xn--wgbl6a.example"},
    /* directions that mix (RFC 5893) */
    {"אabc.example", NULL},
    {"abcא.example", NULL},
    {"1قطر.example", NULL},
    /* nothing that may be registered */
    {"☃.example", NULL},
    {"💩.example", NULL},
    {"é..example", NULL},
    {".é.example", NULL},
    {"é.example.", NULL},
    {"-é.example", NULL},
    {"é-.example", NULL},
    {"ab--é.example", NULL},
    {"é x.example", NULL},
    {"é/x.example", NULL},
    {"é\xef\xbc\x8fx.example", NULL}, /* a slash of full width */
    {"[é]", NULL},
    {"\xcc\x81" "e.example", NULL},          /* begins with a combining mark */
    {"a\xe2\x80\x8d" "b.example", NULL},     /* a joiner where nothing joins */
    {"a\xe2\x80\xae" "b.example", NULL},     /* turns the direction of writing */
    {"xn--a.é.example", NULL},              /* an A-label of nothing beside a U-label */
    {"\xff.example", NULL},
    {"\xc3", NULL},
    {"\xed\xa0\x80.example", NULL},
    /* too long once it is ASCII */
    {U10 U10 U10 U10 U10 ".example",
        "xn--tdaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example"},
    {U10 U10 U10 U10 U10 U10 "üüü.example", NULL},
    {L63 "." L63 "." L63 "." L10 L10 L10 L10 L10 "aaaaé", NULL},
};

static void test_to_ascii(void **state)
{
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		VGM_CLEANUP(vgm_buf_release) struct vgm_buf out = VGM_BUF_INIT(1000);
		struct vgm_err err = {.code = 0};
		assert_int_equal(vgm_buf_add_str(&out, "before"), 0);
		int r = vgm_idna_to_ascii(vgm_slice_str(cases[i].domain), &out, &err);
		const char *got = vgm_buf_str(&out) + 6;
		if (r != (cases[i].ascii ? 0 : VGM_E_INVALID) ||
		    strcmp(got, cases[i].ascii ? cases[i].ascii : "") != 0)
			fail_msg("\"%s\": %d \"%s\" %s", cases[i].domain, r, got, err.text);
		if (r == 0)
			assert_true(vgm_dns_name_valid(vgm_slice_from(vgm_buf_slice(&out), 6)));
	}
}

static void test_bounds(void **state)
{
	(void)state;
	static char domain[3000];
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf out = VGM_BUF_INIT(20);
	/* a NUL ends nothing */
	assert_int_equal(vgm_idna_to_ascii(vgm_slice("a\0b", 3), &out, NULL), VGM_E_INVALID);
	assert_int_equal(
	    vgm_idna_to_ascii(vgm_slice("\xc3\xa9\0b", 4), &out, NULL), VGM_E_INVALID);
	/* the caller's ceiling */
	assert_int_equal(vgm_idna_to_ascii(VGM_SLICE_LIT("xn--bcher-kva.example"), &out, NULL),
	    VGM_E_LIMIT);
	assert_int_equal(vgm_idna_to_ascii(VGM_SLICE_LIT("bücher.example"), &out, NULL), VGM_E_LIMIT);
	assert_int_equal(out.len, 0);
	/* long input: soft hyphens that come to nothing are not endless */
	for (size_t i = 0; i + 2 < sizeof domain; i += 2)
		memcpy(domain + i, "\xc2\xad", 2);
	assert_int_equal(vgm_idna_to_ascii(vgm_slice_str(domain), &out, NULL), VGM_E_INVALID);
	assert_int_equal(
	    vgm_idna_to_ascii(vgm_slice(domain, 1000), &out, NULL), VGM_E_INVALID);
}

static void test_same(void **state)
{
	(void)state;
	static const struct {
		const char *a, *b;
		bool same;
	} pairs[] = {
	    {"example.org", "EXAMPLE.org", true},
	    {"example.org", "example.net", false},
	    {"bücher.example", "bücher.example", true},
	    {"bücher.example", "BÜCHER.example", true},
	    {"bücher.example", "xn--bcher-kva.example", true},
	    {"bücher.example", "bucher.example", false},
	    {"straße.example", "strasse.example", false},
	    {"ｅxample.org", "example.org", true},
	    {"[192.0.2.1]", "[192.0.2.1]", true},
	    {"[192.0.2.1]", "[192.0.2.2]", false},
	    {"💩.example", "💩.EXAMPLE", true}, /* none, but no other either */
	    {"💩.example", "☃.example", false},
	    {"", "", true},
	    {"", "é", false},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(pairs); i++) {
		struct vgm_slice a = vgm_slice_str(pairs[i].a), b = vgm_slice_str(pairs[i].b);
		if (vgm_idna_same(a, b) != pairs[i].same || vgm_idna_same(b, a) != pairs[i].same)
			fail_msg("\"%s\", \"%s\"", pairs[i].a, pairs[i].b);
	}
}

static void test_plain(void **state)
{
	(void)state;
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf room = VGM_BUF_INIT(VGM_IDNA_MAX);
	static const char *const kept[] = {"Example.org", "", "[192.0.2.1]", "💩.example"};
	for (size_t i = 0; i < VGM_ARRAY_LEN(kept); i++) {
		struct vgm_slice s = vgm_slice_str(kept[i]);
		assert_ptr_equal(vgm_idna_plain(s, &room).data, s.data);
	}
	for (int twice = 0; twice < 2; twice++)
		assert_true(vgm_slice_eq(vgm_idna_plain(VGM_SLICE_LIT("bücher.example"), &room),
		    VGM_SLICE_LIT("xn--bcher-kva.example")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_to_ascii),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_same),
	    cmocka_unit_test(test_plain),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
