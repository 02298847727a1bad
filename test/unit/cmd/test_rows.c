/* SPDX-License-Identifier: EUPL-1.2
 * cmd/rows.c: rows for people's eyes, whatever is in them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "cmd/rows.h"

/* 2026-11-23T21:30:00Z */
#define NOW_US 1795469400000000ull

/* ---- pieces ---- */

static void test_sizes(void **state)
{
	(void)state;
	static const struct {
		uint64_t bytes;
		const char *fr, *en;
	} sizes[] = {
	    {0, "0 o", "0 B"},
	    {1, "1 o", "1 B"},
	    {1023, "1023 o", "1023 B"},
	    {1024, "1,0 Ko", "1.0 KB"},
	    {4300, "4,2 Ko", "4.2 KB"},
	    {102399, "100 Ko", "100 KB"},
	    {1048576, "1,0 Mo", "1.0 MB"},
	    {52428800, "50,0 Mo", "50.0 MB"},
	    {1ull << 40, "1,0 To", "1.0 TB"},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(sizes); i++) {
		char out[32];
		vgm_rows_size(VGM_FR, sizes[i].bytes, out);
		assert_string_equal(out, sizes[i].fr);
		vgm_rows_size(VGM_EN, sizes[i].bytes, out);
		assert_string_equal(out, sizes[i].en);
	}
	char out[32];
	vgm_rows_size(VGM_FR, UINT64_MAX, out); /* any number is some text */
	assert_non_null(strstr(out, "To"));
}

static void test_ages(void **state)
{
	(void)state;
	static const struct {
		const char *time, *fr, *en;
	} ages[] = {
	    {"2026-11-23T21:30:00.123Z", "0 s", "0 s"},
	    {"2026-11-23T21:28:01Z", "119 s", "119 s"},
	    {"2026-11-23T21:28:00Z", "2 min", "2 min"},
	    {"2026-11-23T19:30:01Z", "119 min", "119 min"},
	    {"2026-11-23T19:30:00Z", "2 h", "2 h"},
	    {"2026-11-22T21:30:00Z", "24 h", "24 h"},
	    {"2026-11-21T21:30:00Z", "2 j", "2 d"},
	    {"2026-11-24T21:30:00Z", "0 s", "0 s"}, /* another clock */
	    {"yesterday", "", ""},
	    {"", "", ""},
	    {NULL, "", ""},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(ages); i++) {
		char out[32];
		vgm_rows_age(VGM_FR, ages[i].time, NOW_US, out);
		assert_string_equal(out, ages[i].fr);
		vgm_rows_age(VGM_EN, ages[i].time, NOW_US, out);
		assert_string_equal(out, ages[i].en);
	}
}

static void test_statuses(void **state)
{
	(void)state;
	assert_string_equal(vgm_rows_status(VGM_FR, "deferred"), "différé");
	assert_string_equal(vgm_rows_status(VGM_EN, "deferred"), "deferred");
	assert_string_equal(vgm_rows_status(VGM_FR, "delivered"), "remis");
	assert_string_equal(vgm_rows_status(VGM_FR, "new one"), "new one");
	assert_string_equal(vgm_rows_status(VGM_FR, NULL), "");
}

static void test_texts(void **state)
{
	(void)state;
	static const struct {
		const char *json, *shown;
	} texts[] = {
	    {"{\"x\":\"a@b.example\"}", "a@b.example"},
	    {"{\"x\":\"élève\"}", "élève"},
	    {"{\"x\":\"a\\u001b[2Jb\"}", "a\\x1b[2Jb"},
	    {"{\"x\":\"a\\nb\\r\"}", "a\\x0ab\\x0d"},
	    {"{\"x\":\"a\\u0000b\"}", "a\\x00b"},
	    {"{\"x\":\"\\u202egpj.exe\"}", "?gpj.exe"},
	    {"{\"x\":\"a\\u2066b\\u2069c\\u200fd\"}", "a?b?c?d"},
	    {"{\"x\":\"\\u20ac\"}", "€"},
	    {"{\"x\":\"\\u009b2J\"}", "\\xc2\\x9b2J"},
	    {"{\"x\":7}", ""},
	    {"{}", ""},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(texts); i++) {
		struct vgm_buf out = VGM_BUF_INIT(1000);
		json_t *o = json_loads(texts[i].json, JSON_ALLOW_NUL, NULL);
		assert_non_null(o);
		assert_string_equal(vgm_rows_text(o, "x", &out), texts[i].shown);
		json_decref(o);
		vgm_buf_release(&out);
	}
}

/* ---- rows ---- */

static char *print_rows(vgm_control_row *row, enum vgm_lang lang, const char *const *rows)
{
	char *text = NULL;
	size_t size = 0;
	struct vgm_cmd_run run = {.lang = lang};
	struct vgm_rows_list list = {.out = open_memstream(&text, &size), .now_us = NOW_US};
	for (; *rows; rows++) {
		json_t *o = json_loads(*rows, JSON_ALLOW_NUL, NULL);
		assert_non_null(o);
		assert_int_equal(row(&list, &run, o, -1), VGM_EXIT_OK);
		json_decref(o);
	}
	fclose(list.out);
	return text; /* of the C library: free() */
}

#define DEFERRED                                                                                   \
	"{\"id\":\"0123456789abcdef0123456789abcdef\",\"reference\":\"0123456789\","               \
	"\"time\":\"2026-11-23T21:20:00.000Z\",\"sender\":\"\",\"size\":4300,\"door\":\"submit\"," \
	"\"type\":\"notice\",\"status\":\"deferred\",\"recipients\":["                             \
	"{\"address\":\"a@b\",\"status\":\"delivered\",\"route\":\"mx:b\",\"reason\":\"\","        \
	"\"last\":{\"reply\":\"250 ok\"}},"                                                        \
	"{\"address\":\"c@d\",\"status\":\"deferred\",\"route\":\"mx:d\",\"reason\":\"others\","   \
	"\"last\":{\"reply\":\"451 later\",\"peer\":\"mx.d\",\"tls\":\"TLSv1.3\"},"                \
	"\"history\":[{\"time\":\"2026-11-23T21:25:00.000Z\",\"attempt\":1,"                       \
	"\"status\":\"deferred\",\"reply\":\"451 later\",\"peer\":\"mx.d\"}]}]}"
#define SCANNED                                                                                    \
	"{\"id\":\"cc\",\"time\":\"2026-11-23T21:20:00.000Z\",\"sender\":\"s@t\",\"size\":1,"         \
	"\"door\":\"devices\",\"machine\":\"copieur %s\\u001b\",\"status\":\"queued\","              \
	"\"recipients\":[]}"
#define HELD                                                                                       \
	"{\"reference\":\"ffff\",\"status\":\"held\",\"sender\":\"x@y\\u001b\","                   \
	"\"held\":{\"why\":\"rule 1\",\"since\":\"2026-11-23T21:20:00Z\"},\"recipients\":[]}"

static void test_list(void **state)
{
	(void)state;
	const char *const rows[] = {DEFERRED, HELD, NULL};
	char *text = print_rows(vgm_rows_message, VGM_FR, rows);
	assert_string_equal(text,
	    "RÉFÉRENCE   ÂGE     TAILLE   ÉTAT       EXPÉDITEUR → DESTINATAIRE\n"
	    "0123456789  10 min  4,2 Ko   différé    <> → a@b (+1)\n"
	    "            451 later (mx.d, TLSv1.3)\n"
	    "ffff                0 o      retenu     x@y\\x1b → <>\n"
	    "            retenu par rule 1\n");
	free(text);
}

static void test_track(void **state)
{
	(void)state;
	const char *const rows[] = {DEFERRED, HELD, SCANNED, NULL};
	char *text = print_rows(vgm_rows_track, VGM_EN, rows);
	assert_string_equal(text,
	    "Notice 0123456789abcdef0123456789abcdef\n"
	    "  accepted      2026-11-23 21:20:00 UTC (10 min), 4.2 KB, submit\n"
	    "  sender        <>\n"
	    "  status        deferred\n"
	    "  → a@b: delivered (mx:b)\n"
	    "  → c@d: deferred (mx:d; others)\n"
	    "      1. 2026-11-23 21:25:00 UTC (5 min) deferred: 451 later (mx.d)\n"
	    "\nMessage \n"
	    "  accepted      , 0 B\n"
	    "  sender        x@y\\x1b\n"
	    "  status        held\n"
	    "  held by       rule 1, 2026-11-23 21:20:00 UTC (10 min)\n"
	    "\nMessage cc\n"
	    "  accepted      2026-11-23 21:20:00 UTC (10 min), 1 B, devices (copieur %s\\x1b)\n"
	    "  sender        s@t\n"
	    "  status        queued\n");
	free(text);
}

/* A long list of recipients comes in several rows: one head. */
static void test_continued(void **state)
{
	(void)state;
	const char *const rows[] = {
	    "{\"id\":\"aa\",\"continued\":true,\"recipients\":[{\"address\":\"a@b\"}]}",
	    "{\"id\":\"aa\",\"recipients\":[{\"address\":\"c@d\"}]}",
	    "{\"id\":\"bb\",\"recipients\":[]}", NULL};
	char *text = print_rows(vgm_rows_track, VGM_EN, rows);
	const char *first = strstr(text, "Message aa");
	assert_non_null(first);
	assert_null(strstr(first + 1, "Message aa"));
	assert_non_null(strstr(text, "→ a@b"));
	assert_non_null(strstr(text, "→ c@d"));
	assert_non_null(strstr(text, "Message bb"));
	free(text);
}

/* Rows of another shape are printed as well as can be, and never crash. */
static void test_strange_rows(void **state)
{
	(void)state;
	static const char *const strange[] = {"{}", "{\"recipients\":{}}", "{\"recipients\":[1,[],{}]}",
	    "{\"time\":\"x\",\"size\":-5,\"sender\":null}", "{\"held\":[]}", "{\"status\":{}}",
	    "{\"recipients\":[{\"last\":{\"reply\":{}},\"history\":[{},3]}]}"};
	for (size_t i = 0; i < VGM_ARRAY_LEN(strange); i++) {
		const char *const rows[] = {strange[i], NULL};
		char *list = print_rows(vgm_rows_message, VGM_FR, rows);
		char *track = print_rows(vgm_rows_track, VGM_FR, rows);
		assert_true(strlen(list) > 0 && strlen(track) > 0);
		free(list);
		free(track);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sizes),
	    cmocka_unit_test(test_ages),
	    cmocka_unit_test(test_statuses),
	    cmocka_unit_test(test_texts),
	    cmocka_unit_test(test_list),
	    cmocka_unit_test(test_track),
	    cmocka_unit_test(test_continued),
	    cmocka_unit_test(test_strange_rows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
