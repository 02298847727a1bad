/* SPDX-License-Identifier: EUPL-1.2
 * smtp/address: paths of MAIL and RCPT, domains, xtext. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "smtp/address.h"

enum {
	N = VGM_SMTP_PATH_NULL,
	P = VGM_SMTP_PATH_POSTMASTER,
	U = VGM_SMTP_PATH_UTF8,
	B = VGM_SMTP_PATH_BARE
};

/* out NULL = refused with code; rest = what stays unread behind the path. */
static const struct {
	const char *in;
	unsigned flags;
	const char *out, *rest;
	int code;
} paths[] = {
    {"<a@b.example>", 0, "a@b.example", "", 0},
    {"<a@b.example> SIZE=1", 0, "a@b.example", " SIZE=1", 0},
    {"<User.Name@B.EXAMPLE>", 0, "User.Name@b.example", "", 0},
    {"<>", N, "", "", 0},
    {"<>", 0, NULL, "", VGM_E_INVALID},
    {"<> BODY=8BITMIME", N, "", " BODY=8BITMIME", 0},
    {"<postmaster>", P, "postmaster", "", 0},
    {"<PostMaster>", P, "PostMaster", "", 0},
    {"<postmaster>", N, NULL, "", VGM_E_INVALID},
    {"<webmaster>", P, NULL, "", VGM_E_INVALID},
    {"<@one.example,@two.example:a@b.example>", 0, "a@b.example", "", 0},
    {"<@one.example:a@b.example>", 0, "a@b.example", "", 0},
    {"<@one.example a@b.example>", 0, NULL, "", VGM_E_INVALID},
    {"<@:a@b.example>", 0, NULL, "", VGM_E_INVALID},
    {"<one.example,@two.example:a@b.example>", 0, NULL, "", VGM_E_INVALID},
    /* quoting: equal addresses get equal form */
    {"<\"a\"@b.example>", 0, "a@b.example", "", 0},
    {"<\"a.b\"@b.example>", 0, "a.b@b.example", "", 0},
    {"<\"\\a\\b\"@b.example>", 0, "ab@b.example", "", 0},
    {"<\"a b\"@b.example>", 0, "\"a b\"@b.example", "", 0},
    {"<\"a\\\"b\"@b.example>", 0, "\"a\\\"b\"@b.example", "", 0},
    {"<\"a\\\\b\"@b.example>", 0, "\"a\\\\b\"@b.example", "", 0},
    {"<\"a@b\"@b.example>", 0, "\"a@b\"@b.example", "", 0},
    {"<\"a>b\"@b.example>", 0, "\"a>b\"@b.example", "", 0},
    {"<\"\"@b.example>", 0, "\"\"@b.example", "", 0},
    {"<\".a\"@b.example>", 0, "\".a\"@b.example", "", 0},
    {"<\"a..b\"@b.example>", 0, "\"a..b\"@b.example", "", 0},
    {"<\"a@b.example>", 0, NULL, "", VGM_E_INVALID},
    {"<\"a\"b@b.example>", 0, NULL, "", VGM_E_INVALID},
    {"<\"a\\", 0, NULL, "", VGM_E_INVALID},
    {"<\"a\nb\"@b.example>", 0, NULL, "", VGM_E_INVALID},
    {"<\"a\\\rb\"@b.example>", 0, NULL, "", VGM_E_INVALID},
    {"<\"a\x1b[0m\"@b.example>", 0, NULL, "", VGM_E_INVALID},
    {"<\"a\x7f\"@b.example>", 0, NULL, "", VGM_E_INVALID},
    {"<\"a\tb\"@b.example>", 0, NULL, "", VGM_E_INVALID},
    /* shell and expansion texts are only texts */
    {"<`id`@b.example>", 0, "`id`@b.example", "", 0},
    {"<${run{/bin/sh}}@b.example>", 0, "${run{/bin/sh}}@b.example", "", 0},
    {"<|cmd@b.example>", 0, "|cmd@b.example", "", 0},
    {"<$(id)@b.example>", 0, NULL, "", VGM_E_INVALID},
    {"<;touch@b.example>", 0, NULL, "", VGM_E_INVALID},
    {"<\";touch /x\"@b.example>", 0, "\";touch /x\"@b.example", "", 0},
    {"<a!#$%&'*+-/=?^_`{|}~b@b.example>", 0, "a!#$%&'*+-/=?^_`{|}~b@b.example", "", 0},
    /* broken */
    {"", 0, NULL, "", VGM_E_INVALID},
    {"<", N, NULL, "", VGM_E_INVALID},
    {"a@b.example", 0, NULL, "", VGM_E_INVALID},
    {"<a@b.example", 0, NULL, "", VGM_E_INVALID},
    {"< a@b.example>", 0, NULL, "", VGM_E_INVALID},
    {"<a@b.example >", 0, NULL, "", VGM_E_INVALID},
    {"<a b@b.example>", 0, NULL, "", VGM_E_INVALID},
    {"<a@@b.example>", 0, NULL, "", VGM_E_INVALID},
    {"<@b.example>", 0, NULL, "", VGM_E_INVALID},
    {"<a@>", 0, NULL, "", VGM_E_INVALID},
    {"<a>", 0, NULL, "", VGM_E_INVALID},
    {"<.a@b.example>", 0, NULL, "", VGM_E_INVALID},
    {"<a.@b.example>", 0, NULL, "", VGM_E_INVALID},
    {"<a..b@b.example>", 0, NULL, "", VGM_E_INVALID},
    {"<a@b..example>", 0, NULL, "", VGM_E_INVALID},
    {"<a@b.example.>", 0, NULL, "", VGM_E_INVALID},
    {"<a@.example>", 0, NULL, "", VGM_E_INVALID},
    {"<a@-b.example>", 0, NULL, "", VGM_E_INVALID},
    {"<a@b-.example>", 0, NULL, "", VGM_E_INVALID},
    {"<a@b/c.example>", 0, NULL, "", VGM_E_INVALID},
    {"<a@b_c.example>", 0, "a@b_c.example", "", 0},
    {"<a@b>", 0, "a@b", "", 0},
    /* address literals */
    {"<a@[192.0.2.1]>", 0, "a@[192.0.2.1]", "", 0},
    {"<a@[IPv6:2001:DB8::1]>", 0, "a@[ipv6:2001:db8::1]", "", 0},
    {"<a@[2001:db8::1]>", 0, NULL, "", VGM_E_INVALID},
    {"<a@[192.0.2.300]>", 0, NULL, "", VGM_E_INVALID},
    {"<a@[192.0.2.1>", 0, NULL, "", VGM_E_INVALID},
    {"<a@[]>", 0, NULL, "", VGM_E_INVALID},
    {"<a@[x]y>", 0, NULL, "", VGM_E_INVALID},
    /* UTF-8 */
    {"<h\xc3\xa9l\xc3\xa8ne@h\xc3\xb4pital.example>", U,
	"h\xc3\xa9l\xc3\xa8ne@h\xc3\xb4pital.example", "", 0},
    {"<h\xc3\xa9@b.example>", 0, NULL, "", VGM_E_DENIED},
    {"<h\xc3@b.example>", U, NULL, "", VGM_E_INVALID},
    {"<h\xc0\xafx@b.example>", U, NULL, "", VGM_E_INVALID},
    {"<h\xed\xa0\x80x@b.example>", U, NULL, "", VGM_E_INVALID},
    {"<h\xf4\x90\x80\x80@b.example>", U, NULL, "", VGM_E_INVALID},
    {"<a@b\xff.example>", U, NULL, "", VGM_E_INVALID},
    {"<a@b.example> \xc3\xa9", 0, "a@b.example", " \xc3\xa9", 0},
    /* machines */
    {"a@b.example", B, "a@b.example", "", 0},
    {"a@b.example SIZE=3", B, "a@b.example", " SIZE=3", 0},
    {"<a@b.example>", B, "a@b.example", "", 0},
};

static void test_paths(void **state)
{
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(paths); i++) {
		VGM_CLEANUP(vgm_buf_release) struct vgm_buf out = VGM_BUF_INIT(2000);
		struct vgm_slice in = vgm_slice_str(paths[i].in);
		struct vgm_err err = {0};
		size_t used = 0;
		int r = vgm_smtp_path_parse(in, paths[i].flags, &out, &used, &err);
		if (r != paths[i].code)
			print_message("case %zu: %s\n", i, paths[i].in);
		assert_int_equal(r, paths[i].code);
		if (r < 0) {
			assert_int_equal(err.code, r);
			assert_int_equal(out.len, 0);
			continue;
		}
		assert_string_equal(vgm_buf_str(&out), paths[i].out);
		assert_true(vgm_slice_eq(vgm_slice_from(in, used), vgm_slice_str(paths[i].rest)));
		/* Read again, what was written comes out the same. */
		VGM_CLEANUP(vgm_buf_release) struct vgm_buf again = VGM_BUF_INIT(2000);
		if (out.len)
			assert_int_equal(vgm_smtp_mailbox_parse(
					     vgm_buf_slice(&out), paths[i].flags | P, &again, NULL),
			    0);
		assert_true(vgm_slice_eq(vgm_buf_slice(&again), vgm_buf_slice(&out)));
	}
}

/* Every single byte in a name, bare and quoted: never a control byte. */
static void test_every_byte(void **state)
{
	(void)state;
	for (int c = 0; c < 256; c++) {
		uint8_t bare[] = {'<', 'a', (uint8_t)c, 'b', '@', 'x', '>'};
		uint8_t quoted[] = {'<', '"', 'a', '\\', (uint8_t)c, 'b', '"', '@', 'x', '>'};
		VGM_CLEANUP(vgm_buf_release) struct vgm_buf out = VGM_BUF_INIT(2000);
		size_t used;
		int r = vgm_smtp_path_parse(vgm_slice(bare, sizeof bare), 0, &out, &used, NULL);
		bool atom = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
			    (c >= 'a' && c <= 'z') || (c && strchr(".!#$%&'*+-/=?^_`{|}~", c));
		/* "<a@b@x>" and "<a>b..." are other things, and wrong as well */
		assert_int_equal(r == 0, atom);
		r = vgm_smtp_path_parse(vgm_slice(quoted, sizeof quoted), 0, &out, &used, NULL);
		assert_int_equal(r == 0, c >= 32 && c < 127);
	}
}

static char *repeat(const char *head, char c, size_t n, const char *tail)
{
	size_t h = strlen(head), t = strlen(tail);
	char *s = vgm_alloc(h + n + t + 1);
	memcpy(s, head, h);
	memset(s + h, c, n);
	memcpy(s + h + n, tail, t + 1);
	return s;
}

static int parse_str(char *s)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf out = VGM_BUF_INIT(2000);
	size_t used;
	int r = vgm_smtp_path_parse(vgm_slice_str(s), 0, &out, &used, NULL);
	vgm_free(s);
	return r;
}

static void test_ceilings(void **state)
{
	(void)state;
	assert_int_equal(parse_str(repeat("<", 'a', VGM_SMTP_LOCAL_MAX, "@b.example>")), 0);
	assert_int_equal(
	    parse_str(repeat("<", 'a', VGM_SMTP_LOCAL_MAX + 1, "@b.example>")), VGM_E_LIMIT);
	assert_int_equal(parse_str(repeat("<\"", ' ', VGM_SMTP_LOCAL_MAX, "\"@b.example>")), 0);
	assert_int_equal(
	    parse_str(repeat("<\"", ' ', VGM_SMTP_LOCAL_MAX + 1, "\"@b.example>")), VGM_E_LIMIT);
	assert_int_equal(parse_str(repeat("<\"", '"', 1, "")), VGM_E_INVALID);
	assert_int_equal(parse_str(repeat("<a@", 'b', 63, ".example>")), 0);
	assert_int_equal(parse_str(repeat("<a@", 'b', 64, ".example>")), VGM_E_LIMIT);
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf longest = VGM_BUF_INIT(4000);
	assert_int_equal(vgm_buf_add_str(&longest, "<a@b"), 0);
	for (int i = 0; i < 127; i++)
		assert_int_equal(vgm_buf_add_str(&longest, ".b"), 0);
	assert_int_equal(vgm_buf_add_str(&longest, ">"), 0);
	assert_int_equal(parse_str(vgm_strdup(vgm_buf_str(&longest))), 0); /* 255 */
	vgm_buf_truncate(&longest, longest.len - 1);
	assert_int_equal(vgm_buf_add_str(&longest, "b>"), 0);
	assert_int_equal(parse_str(vgm_strdup(vgm_buf_str(&longest))), VGM_E_LIMIT); /* 256 */
}

static void test_parts(void **state)
{
	(void)state;
	static const char *const cases[][3] = {{"a@b.example", "a", "b.example"},
	    {"\"a@b\"@c.example", "\"a@b\"", "c.example"}, {"postmaster", "postmaster", ""},
	    {"", "", ""}};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_slice s = vgm_slice_str(cases[i][0]);
		assert_true(vgm_slice_eq(vgm_smtp_local_of(s), vgm_slice_str(cases[i][1])));
		assert_true(vgm_slice_eq(vgm_smtp_domain_of(s), vgm_slice_str(cases[i][2])));
	}
}

static void test_domains(void **state)
{
	(void)state;
	static const struct {
		const char *in, *out;
	} cases[] = {{"MX.Example.ORG", "mx.example.org"}, {"[192.0.2.1]", "[192.0.2.1]"},
	    {"localhost", "localhost"}, {"a b", NULL}, {"", NULL}, {"a.", NULL}, {"a@b", NULL},
	    {"a\r\nMAIL", NULL}, {"a\x1b", NULL}};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		VGM_CLEANUP(vgm_buf_release) struct vgm_buf out = VGM_BUF_INIT(2000);
		int r = vgm_smtp_domain_parse(vgm_slice_str(cases[i].in), 0, &out, NULL);
		assert_int_equal(r, cases[i].out ? 0 : VGM_E_INVALID);
		assert_string_equal(vgm_buf_str(&out), cases[i].out ? cases[i].out : "");
	}
}

/* out NULL = refused. From RFC 3461 section 4, and hostile ones. */
static const struct {
	const char *in, *out;
} xtexts[] = {
    {"", ""},
    {"abc", "abc"},
    {"rfc822;Bob@Example.org", "rfc822;Bob@Example.org"},
    {"+2B+3D", "+="},
    {"a+20b", "a b"},
    {"caf+C3+A9", "caf\xc3\xa9"},
    {"a+0D+0Ab", NULL},
    {"a+0Ab", NULL},
    {"a+00b", NULL},
    {"a+1B[0m", NULL},
    {"a+7F", NULL},
    {"a+2b", NULL},
    {"a+2", NULL},
    {"a+", NULL},
    {"a+GG", NULL},
    {"a=b", NULL},
    {"a b", NULL},
    {"a\rb", NULL},
    {"+C3", NULL},
    {"+FF+FE", NULL},
};

static void test_xtext(void **state)
{
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(xtexts); i++) {
		VGM_CLEANUP(vgm_buf_release)
		struct vgm_buf out = VGM_BUF_INIT(100),
			       back = VGM_BUF_INIT(300);
		int r = vgm_smtp_xtext_decode(vgm_slice_str(xtexts[i].in), &out, NULL);
		assert_int_equal(r, xtexts[i].out ? 0 : VGM_E_INVALID);
		if (r < 0)
			continue;
		assert_string_equal(vgm_buf_str(&out), xtexts[i].out);
		assert_int_equal(vgm_smtp_xtext_encode(vgm_buf_slice(&out), &back), 0);
		assert_string_equal(vgm_buf_str(&back), xtexts[i].in);
	}
}

static void test_xtext_limit(void **state)
{
	(void)state;
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf out = VGM_BUF_INIT(4);
	assert_int_equal(vgm_smtp_xtext_encode(VGM_SLICE_LIT("ab+"), &out), VGM_E_LIMIT);
	assert_int_equal(out.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_paths),
	    cmocka_unit_test(test_every_byte),
	    cmocka_unit_test(test_ceilings),
	    cmocka_unit_test(test_parts),
	    cmocka_unit_test(test_domains),
	    cmocka_unit_test(test_xtext),
	    cmocka_unit_test(test_xtext_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
