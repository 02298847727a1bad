/* SPDX-License-Identifier: EUPL-1.2
 * Tests of mime/head.h: tables of blocks and of texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mime/head.h"
#include "net/addr.h"

static void test_text(void **state)
{
	(void)state;
	static const struct {
		const char *in, *out;
		size_t max;
	} cases[] = {
	    {"plain", "plain", 100},
	    {"", "", 100},
	    {" folded\r\n text \r\n", "folded text", 100},
	    {"=?utf-8?Q?R=C3=A9sultats_d'analyse?=", "Résultats d'analyse", 100},
	    {"=?UTF-8?B?UsOpc3VsdGF0cw==?=", "Résultats", 100},
	    {"=?iso-8859-1?q?d=E9c=E8s?= ok", "décès ok", 100},
	    {"=?utf-8?q?a?= =?utf-8?q?b?=", "ab", 100},
	    {"=?utf-8?q?a?=\r\n =?utf-8?q?b?= c", "ab c", 100},
	    {"a =?utf-8?q?b?=", "a b", 100},
	    {"=?utf-8*fr?q?a?=", "a", 100},
	    {"=?koi8-r?B?1MXT1A==?=", "=?koi8-r?B?1MXT1A==?=", 100},
	    {"=?utf-8?Q?=FF?=", "=?utf-8?Q?=FF?=", 100},
	    {"=?utf-8?Q?cut", "=?utf-8?Q?cut", 100},
	    {"=?utf-8?Q?=4?=", "=4", 100},
	    {"=?", "=?", 100},
	    {"=?utf-8", "=?utf-8", 100},
	    {"=?utf-8?X?a?=", "=?utf-8?X?a?=", 100},
	    {"bad \xff byte", "bad ? byte", 100},
	    {"esc \x1b[2J", "esc  [2J", 100},
	    {"=?utf-8?Q?line=0D=0Abreak?=", "line  break", 100},
	    {"ééé", "éé", 5},
	    {"abc", "ab", 2},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		VGM_CLEANUP(vgm_buf_release) struct vgm_buf out = VGM_BUF_INIT(1000);
		assert_int_equal(vgm_head_text(vgm_slice_str(cases[i].in), cases[i].max, &out), 0);
		assert_string_equal(vgm_buf_str(&out), cases[i].out);
	}
}

static void test_facts(void **state)
{
	(void)state;
	static const struct {
		const char *block, *body, *from, *subject;
		size_t fields, received, own;
		bool has_8bit;
	} cases[] = {
	    {"From: a@b\r\nSubject: s\r\n\r\n", "body", "a@b", "s", 2, 0, 0, false},
	    {"subject: one\r\n two\r\nSubject: three\r\n\r\n", "", "", "one\r\n two", 2, 0, 0, false},
	    {"From : spaced@x\r\n\r\n", "", "spaced@x", "", 1, 0, 0, false},
	    {"no header at all", "", "", "", 0, 0, 0, false},
	    {"\r\n", "body", "", "", 0, 0, 0, false},
	    {"", "", "", "", 0, 0, 0, false},
	    {" starts folded\r\nFrom: a@b\r\n\r\n", "x", "a@b", "", 1, 0, 0, false},
	    {": nameless\r\nFrom: a@b\r\n\r\n", "", "a@b", "", 1, 0, 0, false},
	    {"junk\r\nFrom: a@b\r\n\r\n", "", "a@b", "", 1, 0, 0, false},
	    {"From: a@b\n\n", "lf only", "a@b", "", 1, 0, 0, false},
	    {"From: a@b\r\n\r\n", "d\xc3\xa9j\xc3\xa0", "a@b", "", 1, 0, 0, true},
	    {"Received: from x by gw.test (Vaguemestre) id 1; d\r\nRECEIVED: by gw.test.other; d\r\n\r\n",
	        "", "", "", 2, 2, 1, false},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		VGM_CLEANUP(vgm_buf_release) struct vgm_buf message = VGM_BUF_INIT(1000);
		struct vgm_head_facts f;
		assert_int_equal(vgm_buf_addf(&message, "%s%s", cases[i].block, cases[i].body), 0);
		vgm_head_read(vgm_buf_slice(&message), VGM_SLICE_LIT("gw.test"), &f);
		assert_true(vgm_slice_eq(f.from, vgm_slice_str(cases[i].from)));
		assert_true(vgm_slice_eq(f.subject, vgm_slice_str(cases[i].subject)));
		assert_int_equal(f.fields, cases[i].fields);
		assert_int_equal(f.received, cases[i].received);
		assert_int_equal(f.own_hops, cases[i].own);
		assert_int_equal(f.length, strlen(cases[i].block));
		assert_int_equal(f.has_8bit, cases[i].has_8bit);
	}
}

static void test_received_from(void **state)
{
	(void)state;
	static const struct {
		const char *value, *ip; /* NULL: none */
	} cases[] = {
	    {" from a.example (a.example [192.0.2.7])\r\n\tby gw.example with ESMTP; d", "192.0.2.7"},
	    {" from [IPv6:2001:db8::7] by gw.example; d", "2001:db8::7"},
	    {" from a ([ipv6:2001:db8::8]) by gw.example; d", "2001:db8::8"},
	    {" from a.example by gw.example ([192.0.2.9]); d", NULL},
	    {" from a.example (a.example [192.0.2.7) by gw.example; d", NULL},
	    {" from a.example (a.example [300.0.2.7]) by gw.example; d", NULL},
	    {" from a.example [] by gw.example; d", NULL},
	    {" from ruby [192.0.2.7]", "192.0.2.7"},
	    {"", NULL},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		uint8_t got[16], want[16];
		bool found = vgm_head_received_from(vgm_slice_str(cases[i].value), got);
		assert_int_equal(found, cases[i].ip != NULL);
		if (!found)
			continue;
		assert_int_equal(vgm_ip_parse(vgm_slice_str(cases[i].ip), want, NULL), 0);
		assert_memory_equal(got, want, 16);
	}
}

/* Every prefix of a block is walked to its end without reading past it. */
static void test_every_cut(void **state)
{
	(void)state;
	static const char block[] =
	    "From: =?utf-8?B?w6k=?= <a@b>\r\nTo: c\r\n\td\r\nbad\r\n: x\r\n\r\nbody";
	for (size_t cut = 0; cut < sizeof block; cut++) {
		char *copy = vgm_alloc(cut ? cut : 1);
		memcpy(copy, block, cut);
		struct vgm_head_walk walk;
		struct vgm_head_field field;
		size_t seen = 0;
		vgm_head_walk_init(&walk, vgm_slice(copy, cut));
		while (vgm_head_next(&walk, &field)) {
			VGM_CLEANUP(vgm_buf_release) struct vgm_buf out = VGM_BUF_INIT(1000);
			assert_int_equal(vgm_head_text(field.value, 100, &out), 0);
			seen += field.raw.len;
		}
		assert_true(seen <= cut);
		assert_true(vgm_head_length(vgm_slice(copy, cut)) <= cut);
		vgm_free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_text),
	    cmocka_unit_test(test_facts),
	    cmocka_unit_test(test_received_from),
	    cmocka_unit_test(test_every_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
