/* SPDX-License-Identifier: EUPL-1.2
 * test/unit/words/test_suggest.c — words/suggest.c. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "words/suggest.h"

static void test_distance(void **state)
{
	(void)state;
	static const struct {
		const char *a, *b;
		size_t distance;
	} cases[] = {
	    {"", "", 0}, {"a", "", 1}, {"", "abc", 3}, {"queue", "queue", 0}, {"Queue", "qUEUE", 0},
	    {"queue", "quue", 1}, {"quue", "queue", 1}, {"queue", "qeuue", 1}, {"track", "trakc", 1},
	    {"kitten", "sitting", 3}, {"ca", "abc", 3}, {"flaw", "lawn", 2}, {"abcdef", "fedcba", 5},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++)
		assert_int_equal(vgm_suggest_distance(vgm_slice_str(cases[i].a), vgm_slice_str(cases[i].b)),
		    cases[i].distance);
}

static void test_too_long(void **state)
{
	(void)state;
	uint8_t text[101];
	memset(text, 'a', sizeof(text));
	assert_int_equal(vgm_suggest_distance(vgm_slice(text, 100), vgm_slice(text, 100)), 0);
	assert_true(vgm_suggest_distance(vgm_slice(text, 101), vgm_slice(text, 5)) == SIZE_MAX);
	struct vgm_suggest s = VGM_SUGGEST_INIT(vgm_slice(text, 101));
	vgm_suggest_try(&s, "aaaa");
	assert_null(s.best);
}

static void test_best(void **state)
{
	(void)state;
	static const char *const names[] = {"queue", "quarantine", "track", "search", "show"};
	static const struct {
		const char *given, *best;
	} cases[] = {{"queu", "queue"}, {"quarentine", "quarantine"}, {"serach", "search"},
	    {"trak", "track"}, {"shw", "show"}, {"zebra", NULL}, {"", NULL}, {"q", NULL}};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_suggest s = VGM_SUGGEST_INIT(vgm_slice_str(cases[i].given));
		for (size_t k = 0; k < VGM_ARRAY_LEN(names); k++)
			vgm_suggest_try(&s, names[k]);
		if (cases[i].best)
			assert_string_equal(s.best, cases[i].best);
		else
			assert_null(s.best);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_distance),
	    cmocka_unit_test(test_too_long),
	    cmocka_unit_test(test_best),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
