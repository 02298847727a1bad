/* SPDX-License-Identifier: EUPL-1.2
 * test/unit/words/test_words.c — words/words.c and the catalogue itself. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/text.h"
#include "words/words.h"

static void test_lang_names(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		int lang; /* -1: not ours */
	} cases[] = {{"fr", VGM_FR}, {"en", VGM_EN}, {"FR", VGM_FR}, {"fr_FR.UTF-8", VGM_FR},
	    {"en_GB", VGM_EN}, {"en-US", VGM_EN}, {"de_DE", -1}, {"C", -1}, {"", -1}, {"f", -1},
	    {"fra", -1}, {"english", -1}, {"fr@euro", VGM_FR}};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		enum vgm_lang lang = VGM_FR;
		bool found = vgm_lang_parse(cases[i].name, &lang);
		assert_int_equal(found ? (int)lang : -1, cases[i].lang);
	}
	assert_string_equal(vgm_lang_name(VGM_FR), "fr");
	assert_string_equal(vgm_lang_name(VGM_EN), "en");
}

static void test_lang_choice(void **state)
{
	(void)state;
	static const struct {
		const char *option, *all, *messages, *lang;
		enum vgm_lang expected;
	} cases[] = {
	    {NULL, NULL, NULL, NULL, VGM_FR},
	    {NULL, NULL, NULL, "en_US.UTF-8", VGM_EN},
	    {NULL, NULL, "fr_FR", "en_US.UTF-8", VGM_FR},
	    {NULL, "en_GB", "fr_FR", "fr_FR", VGM_EN},
	    {"fr", "en_GB", "en_GB", "en_GB", VGM_FR},
	    {NULL, "C", NULL, NULL, VGM_FR},
	    {NULL, "", "", "en", VGM_EN},
	    {"xx", NULL, NULL, "en", VGM_EN},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		const char *names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
		const char *values[] = {cases[i].all, cases[i].messages, cases[i].lang};
		for (size_t k = 0; k < 3; k++) {
			unsetenv(names[k]);
			if (values[k])
				setenv(names[k], values[k], 1);
		}
		assert_int_equal(vgm_lang_choose(cases[i].option), cases[i].expected);
	}
}

/* The next place {name} at or after *from; its length in *out_len, 0: no more. */
static const char *next_place(const char *from, size_t *out_len)
{
	for (; *from; from++) {
		size_t n = strspn(from + 1, "abcdefghijklmnopqrstuvwxyz0123456789_");
		if (*from == '{' && n > 0 && from[1 + n] == '}') {
			*out_len = n + 2;
			return from;
		}
	}
	*out_len = 0;
	return from;
}

static bool has_place(const char *text, const char *place, size_t len)
{
	size_t n;
	for (const char *p = next_place(text, &n); n; p = next_place(p + n, &n))
		if (n == len && memcmp(p, place, len) == 0)
			return true;
	return false;
}

static void test_catalogue(void **state)
{
	(void)state;
	for (size_t i = 0; i < VGM_WORDS_COUNT; i++) {
		enum vgm_words_id id = (enum vgm_words_id)i, found = VGM_WORDS_COUNT;
		for (int lang = VGM_FR; lang <= VGM_EN; lang++) {
			const char *here = vgm_words(id, (enum vgm_lang)lang);
			const char *there = vgm_words(id, (enum vgm_lang)!lang);
			size_t n;
			if (here[0] == '\0' || !vgm_utf8_valid(vgm_slice_str(here)))
				fail_msg("%s: empty or not UTF-8", vgm_words_name(id));
			for (const char *p = next_place(here, &n); n; p = next_place(p + n, &n))
				if (!has_place(there, p, n))
					fail_msg("%s: place %.*s stands in one language only",
					    vgm_words_name(id), (int)n, p);
		}
		assert_true(vgm_words_find(vgm_words_name(id), &found));
		assert_int_equal(found, id); /* no name twice */
		assert_true(strlen(vgm_words_name(id)) < 60); /* fits control_end.words_id */
	}
}

static void test_find_unknown(void **state)
{
	(void)state;
	enum vgm_words_id id = VGM_WORDS_cmd_usage;
	assert_false(vgm_words_find("no_such_entry", &id));
	assert_false(vgm_words_find("", &id));
	assert_int_equal(id, VGM_WORDS_cmd_usage);
}

static void test_fill(void **state)
{
	(void)state;
	struct vgm_buf out = VGM_BUF_INIT(1000);
	assert_int_equal(
	    vgm_words_fill(VGM_WORDS_cmd_failed, VGM_FR, &out, "what", "a", "why", "b", NULL), 0);
	assert_string_equal(vgm_buf_str(&out), "a : b");
	/* Order of pairs is free; values are not looked into; the buffer is added to. */
	assert_int_equal(
	    vgm_words_fill(VGM_WORDS_cmd_failed, VGM_EN, &out, "why", "{what}", "what", "x", NULL), 0);
	assert_string_equal(vgm_buf_str(&out), "a : bx: {what}");
	vgm_buf_clear(&out);
	/* A missing pair shows; NULL counts as nothing. */
	assert_int_equal(vgm_words_fill(VGM_WORDS_cmd_failed, VGM_EN, &out, "what", NULL, NULL), 0);
	assert_string_equal(vgm_buf_str(&out), ": {why}");
	vgm_buf_release(&out);
	struct vgm_buf small = VGM_BUF_INIT(4);
	assert_int_equal(vgm_words_fill(VGM_WORDS_cmd_failed, VGM_EN, &small, "what", "abc", "why",
	                     "d", NULL), VGM_E_LIMIT);
	vgm_buf_release(&small);
}

static void test_ascii(void **state)
{
	(void)state;
	static const struct {
		const char *in, *out;
	} cases[] = {
	    {"", ""},
	    {"plain text 123", "plain text 123"},
	    {"refusé : la boîte de réception est à côté", "refuse : la boite de reception est a cote"},
	    {"ÀÂÄÇÉÈÊËÎÏÔÖÙÛÜŸ", "AAACEEEEIIOOUUUY"},
	    {"œuvre Œdipe æ ß", "oeuvre OEdipe ae ss"},
	    {"« l’hôpital » … – € 20°", "\" l'hopital \" ... - EUR 20o"},
	    {"ŁódźŽ", "LodzZ"},
	    {"日本", "??"},
	    {"a\xFF" "b", "a?b"},
	    {"cut \xC3", "cut ?"},
	    {"\xE2\x80", "??"},
	    {"\xF0\x9F\x98\x80!", "?!"},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_buf out = VGM_BUF_INIT(200);
		assert_int_equal(vgm_words_ascii(vgm_slice_str(cases[i].in), &out), 0);
		assert_string_equal(vgm_buf_str(&out), cases[i].out);
		vgm_buf_release(&out);
	}
	struct vgm_buf small = VGM_BUF_INIT(2);
	assert_int_equal(vgm_words_ascii(VGM_SLICE_LIT("abc"), &small), VGM_E_LIMIT);
	vgm_buf_release(&small);
}

/* Whatever the two-byte input, the output is ASCII. */
static void test_ascii_always(void **state)
{
	(void)state;
	struct vgm_buf out = VGM_BUF_INIT(200);
	for (unsigned a = 0; a < 256; a++) {
		for (unsigned b = 0; b < 256; b++) {
			uint8_t in[2] = {(uint8_t)a, (uint8_t)b};
			vgm_buf_clear(&out);
			assert_int_equal(vgm_words_ascii(vgm_slice(in, 2), &out), 0);
			assert_true(vgm_is_ascii(vgm_buf_slice(&out)));
		}
	}
	vgm_buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lang_names),
	    cmocka_unit_test(test_lang_choice),
	    cmocka_unit_test(test_catalogue),
	    cmocka_unit_test(test_find_unknown),
	    cmocka_unit_test(test_fill),
	    cmocka_unit_test(test_ascii),
	    cmocka_unit_test(test_ascii_always),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
