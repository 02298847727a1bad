/* SPDX-License-Identifier: EUPL-1.2
 * test/unit/log/test_log.c — log/log.c: form, escaping, masks, limits. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#include "log/log.h"

static char last[VGM_LOG_LINE_BYTES + 1];
static size_t lines;
static enum vgm_log_level last_level;

static void keep(void *context, enum vgm_log_level level, struct vgm_slice line)
{
	assert_ptr_equal(context, &lines);
	assert_true(line.len <= VGM_LOG_LINE_BYTES);
	memcpy(last, line.data, line.len);
	last[line.len] = '\0';
	last_level = level;
	lines++;
}

static void begin(enum vgm_log_level max, bool personal)
{
	lines = 0;
	last[0] = '\0';
	vgm_log_setup("test", max, personal, keep, &lines);
}

static json_t *parsed(void)
{
	json_error_t error;
	json_t *j = json_loads(last, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	if (!j)
		fail_msg("not JSON: %s: %s", error.text, last);
	return j;
}

static const char *text_of(json_t *j, const char *name)
{
	const char *s = json_string_value(json_object_get(j, name));
	assert_non_null(s);
	return s;
}

static void test_form(void **state)
{
	(void)state;
	static const uint8_t v4[16] = {[10] = 0xFF, [11] = 0xFF, 192, 0, 2, 7};
	static const uint8_t v6[16] = {0x20, 0x01, 0x0D, 0xB8, [15] = 1};
	struct vgm_log_line l;
	struct vgm_err err = {0};
	begin(VGM_LOG_INFO, false);
	vgm_log_start(&l, VGM_LOG_INFO, "delivery");
	vgm_log_text(&l, "peer", "mail.example.org");
	vgm_log_u64(&l, "size", INT64_MAX);
	vgm_log_flag(&l, "tls", true);
	vgm_log_hex(&l, "record", "\x01\xAB", 2);
	vgm_log_ip(&l, "v4", v4);
	vgm_log_ip(&l, "v6", v6);
	vgm_err_set(&err, VGM_E_TIMEOUT, "nobody answered");
	vgm_log_err(&l, &err);
	vgm_log_end(&l);
	assert_int_equal(lines, 1);
	assert_int_equal(last_level, VGM_LOG_INFO);
	json_t *j = parsed();
	assert_int_equal(strlen(text_of(j, "at")), strlen("2026-11-23T21:00:00.123Z"));
	assert_string_equal(text_of(j, "level"), "info");
	assert_string_equal(text_of(j, "source"), "test");
	assert_string_equal(text_of(j, "event"), "delivery");
	assert_string_equal(text_of(j, "peer"), "mail.example.org");
	assert_non_null(strstr(last, "\"size\":9223372036854775807,\"tls\":true"));
	assert_string_equal(text_of(j, "record"), "01ab");
	assert_string_equal(text_of(j, "v4"), "192.0.2.7");
	assert_string_equal(text_of(j, "v6"), "2001:db8::1");
	assert_string_equal(text_of(j, "error"), vgm_err_name(VGM_E_TIMEOUT));
	assert_string_equal(text_of(j, "detail"), "nobody answered");
	assert_null(json_object_get(j, "errno"));
	json_decref(j);
}

static void test_levels(void **state)
{
	(void)state;
	struct vgm_log_line l;
	enum vgm_log_level level;
	begin(VGM_LOG_WARNING, false);
	vgm_log_start(&l, VGM_LOG_INFO, "quiet");
	vgm_log_text(&l, "a", "b");
	vgm_log_end(&l);
	assert_int_equal(lines, 0);
	vgm_log_start(&l, VGM_LOG_ERROR, "loud");
	vgm_log_end(&l);
	assert_int_equal(lines, 1);
	for (int i = VGM_LOG_ERROR; i <= VGM_LOG_DEBUG; i++) {
		assert_true(vgm_log_level_parse(vgm_log_level_name((enum vgm_log_level)i), &level));
		assert_int_equal(level, i);
	}
	assert_false(vgm_log_level_parse("", &level));
	assert_false(vgm_log_level_parse("loud", &level));
	/* Without a sink nothing happens. */
	vgm_log_setup("test", VGM_LOG_DEBUG, false, NULL, NULL);
	vgm_log_start(&l, VGM_LOG_ERROR, "nowhere");
	vgm_log_end(&l);
}

static void test_escape(void **state)
{
	(void)state;
	static const struct {
		struct vgm_slice in;
		const char *inside; /* how it stands in the line */
	} cases[] = {
	    {VGM_SLICE_LIT(""), "\"v\":\"\"}"},
	    {VGM_SLICE_LIT("a\"b\\c"), "\"v\":\"a\\\"b\\\\c\"}"},
	    {VGM_SLICE_LIT("line\r\n{\"event\":1}"), "line\\u000d\\u000a{\\\"event\\\":1}"},
	    {VGM_SLICE_LIT("\0\x1B[2J\x7F"), "\\u0000\\u001b[2J\\u007f"},
	    {VGM_SLICE_LIT("h\xC3\xB4pital"), "h\xC3\xB4pital"},
	    {VGM_SLICE_LIT("\xC2\x9B" "x"), "\\u009bx"},
	    {VGM_SLICE_LIT("\xFFz"), "\\ufffdz"},
	    {VGM_SLICE_LIT("\xC3"), "\\ufffd"},
	    {VGM_SLICE_LIT("\xC0\xAF"), "\\ufffd\\ufffd"},
	    {VGM_SLICE_LIT("\xF0\x9F\x98\x80"), "\xF0\x9F\x98\x80"},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_log_line l;
		begin(VGM_LOG_INFO, false);
		vgm_log_start(&l, VGM_LOG_INFO, "escape");
		vgm_log_str(&l, "v", cases[i].in);
		vgm_log_end(&l);
		assert_non_null(strstr(last, cases[i].inside));
		json_t *j = parsed();
		json_decref(j);
	}
}

/* Every byte, alone: the line stays one line of printable JSON. */
static void test_every_byte(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		struct vgm_log_line l;
		uint8_t byte = (uint8_t)c;
		begin(VGM_LOG_INFO, false);
		vgm_log_start(&l, VGM_LOG_INFO, "byte");
		vgm_log_str(&l, "v", vgm_slice(&byte, 1));
		vgm_log_end(&l);
		for (const char *p = last; *p; p++)
			assert_true((uint8_t)*p >= 0x20 && (uint8_t)*p < 0x7F);
		if (c != 0) { /* jansson refuses \u0000 by default */
			json_t *j = parsed();
			json_decref(j);
		}
	}
}

static void test_masks(void **state)
{
	(void)state;
	static const struct {
		const char *in, *masked;
	} cases[] = {{"marie.curie@hopital.example", "m***@hopital.example"}, {"", ""}, {"x", "x***"},
	    {"@odd.example", "***@odd.example"}};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		for (int personal = 0; personal < 2; personal++) {
			struct vgm_log_line l;
			begin(VGM_LOG_INFO, personal);
			vgm_log_start(&l, VGM_LOG_INFO, "mask");
			vgm_log_address(&l, "recipient", vgm_slice_str(cases[i].in));
			vgm_log_personal(&l, "subject", vgm_slice_str(cases[i].in));
			vgm_log_end(&l);
			json_t *j = parsed();
			const char *subject = cases[i].in[0] ? "***" : "";
			assert_string_equal(text_of(j, "recipient"), personal ? cases[i].in : cases[i].masked);
			assert_string_equal(text_of(j, "subject"), personal ? cases[i].in : subject);
			json_decref(j);
		}
	}
}

static void test_long_values(void **state)
{
	(void)state;
	static uint8_t text[20000];
	struct vgm_log_line l;
	/* A character of two bytes at the cut is not halved, at either alignment. */
	for (size_t shift = 0; shift < 4; shift++) {
		memset(text, 'a', shift);
		for (size_t i = shift; i + 1 < sizeof(text); i += 2)
			memcpy(text + i, "\xC3\xA9", 2);
		begin(VGM_LOG_INFO, false);
		vgm_log_start(&l, VGM_LOG_INFO, "long");
		vgm_log_str(&l, "v", vgm_slice(text, sizeof(text) - 1));
		vgm_log_end(&l);
		json_t *j = parsed();
		const char *v = text_of(j, "v");
		assert_true(strlen(v) <= VGM_LOG_VALUE_BYTES + 3);
		assert_string_equal(v + strlen(v) - 3, "...");
		assert_null(strstr(v, "\xEF\xBF\xBD"));
		json_decref(j);
	}
}

static void test_full_line(void **state)
{
	(void)state;
	static uint8_t text[VGM_LOG_VALUE_BYTES];
	struct vgm_log_line l;
	memset(text, 1, sizeof(text)); /* six bytes each when escaped */
	begin(VGM_LOG_INFO, false);
	vgm_log_start(&l, VGM_LOG_INFO, "full");
	vgm_log_str(&l, "first", vgm_slice(text, sizeof(text)));
	vgm_log_str(&l, "second", vgm_slice(text, sizeof(text)));
	vgm_log_u64(&l, "third", 3);
	vgm_log_end(&l);
	json_t *j = parsed();
	assert_non_null(json_object_get(j, "first"));
	assert_null(json_object_get(j, "second"));
	assert_int_equal(json_integer_value(json_object_get(j, "third")), 3);
	assert_true(json_is_true(json_object_get(j, "cut")));
	json_decref(j);
}

static void warn(const char *event)
{
	struct vgm_log_line l;
	vgm_log_start(&l, VGM_LOG_WARNING, event);
	vgm_log_end(&l);
}

static void test_rate(void **state)
{
	(void)state;
	struct vgm_log_line l;
	begin(VGM_LOG_INFO, false);
	for (int i = 0; i < 1000; i++)
		warn("storm");
	assert_in_range(lines, VGM_LOG_BURST, VGM_LOG_BURST + 2);
	warn("other"); /* another cause is not held back */
	assert_non_null(strstr(last, "\"event\":\"other\"}"));
	usleep(600000);
	warn("storm");
	assert_non_null(strstr(last, "\"event\":\"storm\",\"suppressed\":9"));
	begin(VGM_LOG_INFO, false);
	for (int i = 0; i < 100; i++) {
		vgm_log_start(&l, VGM_LOG_INFO, "delivery");
		vgm_log_end(&l);
	}
	assert_int_equal(lines, 100);
	for (int i = 0; i < 100; i++) {
		vgm_log_start_limited(&l, VGM_LOG_INFO, "stranger");
		vgm_log_end(&l);
	}
	assert_in_range(lines, 100 + VGM_LOG_BURST, 100 + VGM_LOG_BURST + 2);
}

/* More causes than slots: still bounded, nothing breaks. */
static void test_many_causes(void **state)
{
	(void)state;
	static char names[200][16];
	begin(VGM_LOG_INFO, false);
	for (size_t i = 0; i < 200; i++) {
		snprintf(names[i], sizeof(names[i]), "cause_%zu", i);
		warn(names[i]);
	}
	assert_int_equal(lines, 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_form),
	    cmocka_unit_test(test_levels),
	    cmocka_unit_test(test_escape),
	    cmocka_unit_test(test_every_byte),
	    cmocka_unit_test(test_masks),
	    cmocka_unit_test(test_long_values),
	    cmocka_unit_test(test_full_line),
	    cmocka_unit_test(test_rate),
	    cmocka_unit_test(test_many_causes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
