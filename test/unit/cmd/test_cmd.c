/* SPDX-License-Identifier: EUPL-1.2
 * test/unit/cmd/test_cmd.c — cmd/cmd.c: arguments against a command's table. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "cmd/cmd.h"

static struct vgm_cmd_run seen;
static int answer;

static int keep(struct vgm_cmd_run *run)
{
	seen = *run;
	return answer;
}

static const struct vgm_cmd_option options[] = {
    {"limit", "N", VGM_WORDS_opt_json},
    {"full", NULL, VGM_WORDS_opt_json},
    {NULL, NULL, VGM_WORDS_COUNT},
};
static const struct vgm_cmd first = {.name = "first", .usage = "WORD [WORD]\n--full", .options = options,
    .words_min = 1, .words_max = 2, .run = keep};
static const struct vgm_cmd second = {.name = "second", .usage = "", .flags = VGM_CMD_CONTROL,
    .run = keep};
static const struct vgm_cmd hidden = {.name = "hidden", .usage = "", .flags = VGM_CMD_HIDDEN,
    .run = keep};
static const struct vgm_cmd *const table[] = {&first, &second, &hidden, NULL};

#define ARGS 12
static const struct {
	const char *argv[ARGS];
	int status;
	const char *words; /* joined by "|"; NULL: run() was not called */
	const char *given; /* "name=value|..." */
} cases[] = {
    {{"first", "a"}, 0, "a", ""},
    {{"first", "a", "b"}, 0, "a|b", ""},
    {{"first", "a", "--full", "b"}, 0, "a|b", "full="},
    {{"first", "--limit", "5", "a"}, 0, "a", "limit=5"},
    {{"first", "--limit=5", "a"}, 0, "a", "limit=5"},
    {{"first", "--limit=", "a"}, 0, "a", "limit="},
    {{"first", "--limit=a=b", "a"}, 0, "a", "limit=a=b"},
    {{"first", "--limit", "--full", "a"}, 0, "a", "limit=--full"},
    {{"first", "--limit", "1", "--limit", "2", "a"}, 0, "a", "limit=1|limit=2"},
    {{"first", "--", "--full"}, 0, "--full", ""},
    {{"first", "--", "--", "x"}, 0, "--|x", ""},
    {{"first", "-"}, 0, "-", ""},
    {{"first", ""}, 0, "", ""},
    {{"first", "a", "--json", "--lang", "en"}, 0, "a", "json=|lang=en"},
    {{"--lang", "en", "first", "a"}, 0, "a", "lang=en"},
    {{"--json", "--lang=en", "first", "a"}, 0, "a", "json=|lang=en"},
    {{"second", "--state", "/x", "--config=/y"}, 0, "", "state=/x|config=/y"},
    {{"hidden"}, 0, "", ""},
    {{"first"}, VGM_EXIT_USAGE, NULL, NULL},
    {{"first", "a", "b", "c"}, VGM_EXIT_USAGE, NULL, NULL},
    {{"first", "a", "--limit"}, VGM_EXIT_USAGE, NULL, NULL},
    {{"first", "a", "--full=1"}, VGM_EXIT_USAGE, NULL, NULL},
    {{"first", "a", "--none"}, VGM_EXIT_USAGE, NULL, NULL},
    {{"first", "a", "--ful"}, VGM_EXIT_USAGE, NULL, NULL},
    {{"first", "a", "-f"}, VGM_EXIT_USAGE, NULL, NULL},
    {{"first", "a", "--lang", "de"}, VGM_EXIT_USAGE, NULL, NULL},
    {{"first", "a", "--state", "/x"}, VGM_EXIT_USAGE, NULL, NULL},
    {{"second", "a"}, VGM_EXIT_USAGE, NULL, NULL},
    {{"frist", "a"}, VGM_EXIT_USAGE, NULL, NULL},
    {{"hiddn"}, VGM_EXIT_USAGE, NULL, NULL},
    {{""}, VGM_EXIT_USAGE, NULL, NULL},
    {{NULL}, VGM_EXIT_USAGE, NULL, NULL},
    {{"--nothing", "first"}, VGM_EXIT_USAGE, NULL, NULL},
    {{"--lang"}, VGM_EXIT_USAGE, NULL, NULL},
    {{"--lang", "de", "first", "a"}, VGM_EXIT_USAGE, NULL, NULL},
};

static int call(const char *const *given)
{
	char *argv[ARGS + 2] = {(char *)(uintptr_t)"vgm"};
	int argc = 1;
	for (size_t i = 0; i < ARGS && given[i]; i++)
		argv[argc++] = (char *)(uintptr_t)given[i];
	seen = (struct vgm_cmd_run){0};
	return vgm_cmd_main(table, argc, argv);
}

static void test_arguments(void **state)
{
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		char words[200] = "", given[200] = "";
		answer = 0;
		int status = call(cases[i].argv);
		for (size_t k = 0; k < seen.words_count; k++)
			snprintf(words + strlen(words), sizeof(words) - strlen(words), "%s%s",
			    k ? "|" : "", seen.words[k]);
		for (size_t k = 0; k < seen.given_count; k++)
			snprintf(given + strlen(given), sizeof(given) - strlen(given), "%s%s=%s",
			    k ? "|" : "", seen.given[k].name, seen.given[k].value);
		if (status != cases[i].status)
			fail_msg("case %zu: status %d", i, status);
		assert_int_equal(seen.cmd != NULL, cases[i].words != NULL);
		if (cases[i].words) {
			assert_string_equal(words, cases[i].words);
			assert_string_equal(given, cases[i].given);
		}
	}
}

static void test_settled(void **state)
{
	(void)state;
	const char *const argv[ARGS] = {"first", "a", "--json", "--lang", "en", "--limit", "3", "--limit", "4"};
	answer = VGM_EXIT_NO;
	assert_int_equal(call(argv), VGM_EXIT_NO);
	assert_true(seen.json);
	assert_int_equal(seen.lang, VGM_EN);
	assert_string_equal(vgm_cmd_option(&seen, "limit"), "4");
	assert_string_equal(vgm_cmd_option_at(&seen, "limit", 0), "3");
	assert_string_equal(vgm_cmd_option_at(&seen, "limit", 1), "4");
	assert_null(vgm_cmd_option_at(&seen, "limit", 2));
	assert_null(vgm_cmd_option(&seen, "full"));
}

static void test_numbers(void **state)
{
	(void)state;
	static const struct {
		const char *value;
		bool good;
		uint64_t number;
	} numbers[] = {{NULL, true, 7}, {"1", true, 1}, {"100", true, 100}, {"0", false, 0},
	    {"101", false, 0}, {"-1", false, 0}, {"x", false, 0}, {"", false, 0}};
	for (size_t i = 0; i < VGM_ARRAY_LEN(numbers); i++) {
		struct vgm_cmd_run run = {.cmd = &first};
		uint64_t n = 0;
		run.given[0].name = "limit";
		run.given[0].value = numbers[i].value;
		run.given_count = numbers[i].value ? 1 : 0;
		assert_int_equal(vgm_cmd_option_number(&run, "limit", 7, 1, 100, &n), numbers[i].good);
		assert_int_equal(n, numbers[i].number);
	}
}

/* More of everything than there is room for. */
static void test_too_many(void **state)
{
	(void)state;
	static char *argv[2 + 2 * VGM_CMD_ARGUMENTS_MAX + 2];
	int argc = 0;
	argv[argc++] = (char *)(uintptr_t)"vgm";
	argv[argc++] = (char *)(uintptr_t)"first";
	for (int i = 0; i < 2 * VGM_CMD_ARGUMENTS_MAX; i++)
		argv[argc++] = (char *)(uintptr_t)"--full";
	assert_int_equal(vgm_cmd_main(table, argc, argv), VGM_EXIT_USAGE);
}

static void test_json_string(void **state)
{
	(void)state;
	char text[200] = "";
	FILE *file = fmemopen(text, sizeof(text), "w");
	assert_non_null(file);
	vgm_cmd_json_string(file, VGM_SLICE_LIT("a\"b\\\n\x7F\xC3\xA9\xFF"));
	fclose(file);
	assert_string_equal(text, "\"a\\\"b\\\\\\u000a\\u007f\xC3\xA9\\ufffd\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_arguments),
	    cmocka_unit_test(test_settled),
	    cmocka_unit_test(test_numbers),
	    cmocka_unit_test(test_too_many),
	    cmocka_unit_test(test_json_string),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
