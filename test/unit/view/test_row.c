/* SPDX-License-Identifier: EUPL-1.2
 * Tests of view/row.c: rows are JSON that a strict reader takes, whatever was
 * in the mail; long lists of recipients are cut into rows that fit. */
#include "play.h"

#include <jansson.h>

/* ---- collecting rows ---- */

struct rows {
	json_t *list;
};

static int collect(void *context, const char *json)
{
	struct rows *rows = context;
	json_error_t error;
	assert_true(strlen(json) <= VGM_VIEW_ROW_BYTES);
	assert_null(strchr(json, '\n'));
	json_t *row = json_loads(json, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	if (!row)
		fail_msg("not JSON: %s in %.200s", error.text, json);
	json_array_append_new(rows->list, row);
	return 0;
}

static json_t *message_rows(struct vgm_views *v, uint64_t sequence, bool history)
{
	struct rows rows = {json_array()};
	struct vgm_err err = {0};
	if (vgm_view_row_message(v, sequence, history, collect, &rows, &err) < 0)
		fail_msg("%s", err.text);
	return rows.list;
}

static const char *text_at(json_t *row, const char *name)
{
	const char *text = json_string_value(json_object_get(row, name));
	return text ? text : "(none)";
}

/* ---- the story ---- */

static void test_message(void **state)
{
	(void)state;
	char path[64];
	play_path(path);
	struct vgm_views *v = play_open(path);
	play_range(v, play_story, 0, PLAY_STORY_LEN, 7);
	json_t *rows = message_rows(v, 1, true);
	assert_int_equal(json_array_size(rows), 1);
	json_t *row = json_array_get(rows, 0);
	assert_string_equal(text_at(row, "id"), "02020202020202020202020202020202");
	assert_string_equal(text_at(row, "reference"), "0202020202");
	assert_string_equal(text_at(row, "type"), "mail");
	assert_string_equal(text_at(row, "time"), "2024-10-04T00:00:01.000Z");
	assert_string_equal(text_at(row, "door"), "receive");
	assert_string_equal(text_at(row, "sender"), "b@out.example");
	assert_string_equal(text_at(row, "status"), "failed");
	assert_int_equal(json_integer_value(json_object_get(row, "size")), 4000);
	assert_int_equal(json_integer_value(json_object_get(row, "sequence")), 1);
	assert_null(json_object_get(row, "held"));
	assert_null(json_object_get(row, "continued"));
	json_t *recipients = json_object_get(row, "recipients");
	assert_int_equal(json_array_size(recipients), 2);
	json_t *first = json_array_get(recipients, 0);
	assert_string_equal(text_at(first, "address"), "x@in.example");
	assert_string_equal(text_at(first, "status"), "failed");
	assert_int_equal(json_array_size(json_object_get(first, "history")), 3);
	json_t *last = json_object_get(first, "last");
	assert_string_equal(text_at(last, "reply"), "550 no");
	assert_string_equal(text_at(last, "status"), "failed");
	assert_int_equal(json_integer_value(json_object_get(last, "attempt")), 3);
	json_decref(rows);

	rows = message_rows(v, 1, false);
	first = json_array_get(json_object_get(json_array_get(rows, 0), "recipients"), 0);
	assert_null(json_object_get(first, "history"));
	assert_string_equal(text_at(json_object_get(first, "last"), "reply"), "550 no");
	json_decref(rows);

	rows = message_rows(v, 13, false);
	assert_string_equal(text_at(json_array_get(rows, 0), "type"), "notice");
	assert_string_equal(
	    text_at(json_array_get(rows, 0), "related"), "77777777777777777777777777777777");
	json_decref(rows);

	rows = message_rows(v, 2, false); /* an outcome is no message */
	assert_int_equal(json_array_size(rows), 0);
	json_decref(rows);
	vgm_views_close(&v);
	play_clean(path);
}

static void test_held(void **state)
{
	(void)state;
	char path[64];
	play_path(path);
	struct vgm_views *v = play_open(path);
	play_range(v, play_story, 0, 6, 7);
	json_t *rows = message_rows(v, 5, false);
	json_t *held = json_object_get(json_array_get(rows, 0), "held");
	assert_string_equal(text_at(held, "why"), "rule main");
	assert_string_equal(text_at(held, "since"), "2024-10-04T00:00:05.000Z");
	json_decref(rows);
	vgm_views_close(&v);
	play_clean(path);
}

/* ---- hostile strings ---- */

static const struct {
	struct vgm_slice in;
	const char *out; /* after a JSON reader, up to a NUL */
} hostile[] = {
    {{(const uint8_t *)"\"quoted\\ \"@x", 12}, "\"quoted\\ \"@x"},
    {{(const uint8_t *)"a\r\nb\t\x01\x1f\x7f", 8}, "a\r\nb\t\x01\x1f\x7f"},
    {{(const uint8_t *)"\xc3\xa9l\xc3\xa8ve@h\xc3\xb4pital.example", 24}, "élève@hôpital.example"},
    {{(const uint8_t *)"\xff\xfe@x", 4}, "\\xFF\\xFE@x"},
    {{(const uint8_t *)"\xc0\x80", 2}, "\\xC0\\x80"},
    {{(const uint8_t *)"\xed\xa0\x80", 3}, "\\xED\\xA0\\x80"},
    {{(const uint8_t *)"\xc3", 1}, "\\xC3"},
    {{(const uint8_t *)"', 1); DROP TABLE mail; --", 26}, "', 1); DROP TABLE mail; --"},
    {{(const uint8_t *)"</script>", 9}, "</script>"},
    {{(const uint8_t *)"%s%n%x", 6}, "%s%n%x"},
    {{(const uint8_t *)"\xe2\x80\xae" "evil", 7}, "\xe2\x80\xae" "evil"},
    {{(const uint8_t *)"a\0b", 3}, "a"},
    {{(const uint8_t *)"", 0}, ""},
};

static bool same_nocase(const char *a, const char *b)
{
	return vgm_slice_eq_nocase(vgm_slice_str(a), vgm_slice_str(b));
}

static void apply_hostile(struct vgm_views *v, uint64_t sequence, struct vgm_slice text)
{
	struct vgm_err err = {0};
	struct vgm_record mail_record = {.type = VGM_RECORD_MAIL, .sequence = sequence};
	struct vgm_record outcome_record = {.type = VGM_RECORD_OUTCOME, .sequence = sequence + 1};
	struct vgm_recipient recipient = {.address = text, .route = text, .reason = text};
	struct vgm_msg_routing routing = {.sender = text, .recipients = &recipient,
	    .recipients_count = 1, .flags = VGM_ROUTING_HELD};
	struct vgm_outcome outcome = {.status = VGM_OUTCOME_DEFERRED, .enhanced = text,
	    .reply = text, .peer = text, .tls = text, .reference = text};
	struct vgm_msg_outcome_facts facts = {.outcomes = &outcome, .outcomes_count = 1};
	struct vgm_view_entry mail = {.record = &mail_record, .mail = &routing};
	struct vgm_view_entry out = {.record = &outcome_record, .outcome = &facts};
	memset(mail_record.id, (int)sequence + 1, 16);
	memcpy(facts.record, mail_record.id, 16);
	assert_int_equal(vgm_views_begin(v, &err), 0);
	if (vgm_views_apply(v, &mail, &err) < 0 || vgm_views_apply(v, &out, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(vgm_views_commit(v, play_place(sequence + 2), &err), 0);
}

static void test_hostile(void **state)
{
	(void)state;
	char path[64];
	play_path(path);
	struct vgm_views *v = play_open(path);
	for (size_t i = 0; i < VGM_ARRAY_LEN(hostile); i++) {
		const char *expected = hostile[i].out;
		apply_hostile(v, i * 2, hostile[i].in);
		json_t *rows = message_rows(v, i * 2, true);
		json_t *row = json_array_get(rows, 0);
		json_t *recipient = json_array_get(json_object_get(row, "recipients"), 0);
		json_t *last = json_object_get(recipient, "last");
		const char *got[] = {text_at(row, "sender"),
		    text_at(json_object_get(row, "held"), "why"), text_at(recipient, "address"),
		    text_at(recipient, "route"), text_at(recipient, "reason"),
		    hostile[i].in.len ? text_at(last, "reply") : "",
		    hostile[i].in.len ? text_at(last, "peer") : ""};
		for (size_t f = 0; f < VGM_ARRAY_LEN(got); f++)
			if (!same_nocase(got[f], expected))
				fail_msg("case %zu, field %zu: \"%s\"", i, f, got[f]);
		json_decref(rows);
	}
	vgm_views_close(&v);
	play_clean(path);
}

/* ---- many recipients, long texts ---- */

static void apply_wide(struct vgm_views *v, size_t count, size_t attempts)
{
	struct vgm_err err = {0};
	uint8_t nasty[1000];
	memset(nasty, 1, sizeof nasty); /* six bytes each in JSON */
	struct vgm_slice address = vgm_slice(nasty, 1000), reply = vgm_slice(nasty, 512);
	struct vgm_recipient *recipients = vgm_alloc(count * sizeof *recipients);
	struct vgm_outcome *outcomes = vgm_alloc(count * sizeof *outcomes);
	for (size_t i = 0; i < count; i++) {
		recipients[i].address = address;
		outcomes[i] = (struct vgm_outcome){.index = (uint32_t)i,
		    .status = VGM_OUTCOME_DEFERRED, .reply = reply, .peer = vgm_slice(nasty, 300)};
	}
	struct vgm_record record = {.type = VGM_RECORD_MAIL, .sequence = 0};
	struct vgm_msg_routing routing = {.recipients = recipients, .recipients_count = count};
	struct vgm_view_entry entry = {.record = &record, .mail = &routing};
	memset(record.id, 9, 16);
	assert_int_equal(vgm_views_begin(v, &err), 0);
	assert_int_equal(vgm_views_apply(v, &entry, &err), 0);
	for (size_t i = 1; i <= attempts; i++) {
		struct vgm_msg_outcome_facts facts = {.outcomes = outcomes, .outcomes_count = count,
		    .attempt = (uint32_t)i};
		struct vgm_view_entry out = {.record = &record, .outcome = &facts};
		memset(facts.record, 9, 16);
		record.type = VGM_RECORD_OUTCOME;
		record.sequence = i;
		assert_int_equal(vgm_views_apply(v, &out, &err), 0);
	}
	assert_int_equal(vgm_views_commit(v, play_place(attempts + 1), &err), 0);
	vgm_free(recipients);
	vgm_free(outcomes);
}

static void test_wide(void **state)
{
	(void)state;
	static const struct {
		size_t recipients, attempts;
	} wide[] = {{1, 0}, {1, 40}, {3, 12}, {100, 2}, {1000, 1}};
	for (size_t i = 0; i < VGM_ARRAY_LEN(wide); i++)
		for (int history = 0; history <= 1; history++) {
			char path[64];
			play_path(path);
			struct vgm_views *v = play_open(path);
			apply_wide(v, wide[i].recipients, wide[i].attempts);
			json_t *rows = message_rows(v, 0, history);
			size_t total = 0, n = json_array_size(rows);
			for (size_t r = 0; r < n; r++) {
				json_t *row = json_array_get(rows, r);
				total += json_array_size(json_object_get(row, "recipients"));
				assert_int_equal(
				    json_is_true(json_object_get(row, "continued")), r + 1 < n);
			}
			assert_int_equal(total, wide[i].recipients);
			json_decref(rows);
			vgm_views_close(&v);
			play_clean(path);
		}
}

static int refuse(void *context, const char *json)
{
	(void)json;
	++*(int *)context;
	return VGM_E_CLOSED;
}

static void test_reader_goes_away(void **state)
{
	(void)state;
	char path[64];
	struct vgm_err err;
	int calls = 0;
	uint64_t last;
	size_t count;
	play_path(path);
	struct vgm_views *v = play_open(path);
	apply_wide(v, 100, 1);
	assert_int_equal(vgm_view_row_message(v, 0, true, refuse, &calls, &err), VGM_E_CLOSED);
	assert_int_equal(calls, 1);
	vgm_views_close(&v);
	play_clean(path);
	play_path(path);
	v = play_open(path);
	play_range(v, play_story, 0, PLAY_STORY_LEN, 7);
	int r = vgm_view_row_events(v, INT64_MAX, 10, &last, &count, refuse, &calls, &err);
	assert_int_equal(r, VGM_E_CLOSED);
	assert_int_equal(vgm_view_row_views(v, refuse, &calls, &err), VGM_E_CLOSED);
	assert_int_equal(vgm_view_row_counts(v, refuse, &calls, &err), VGM_E_CLOSED);
	assert_int_equal(calls, 4);
	vgm_views_close(&v);
	play_clean(path);
}

/* ---- events, views, counts ---- */

static void test_events(void **state)
{
	(void)state;
	char path[64];
	struct vgm_err err;
	struct rows rows = {json_array()};
	uint64_t last = 0;
	size_t count = 0;
	play_path(path);
	struct vgm_views *v = play_open(path);
	play_range(v, play_story, 0, PLAY_STORY_LEN, 7);
	int r = vgm_view_row_events(v, INT64_MAX, 2, &last, &count, collect, &rows, &err);
	assert_int_equal(r, 0);
	assert_int_equal(count, 2);
	assert_int_equal(last, 14);
	assert_string_equal(text_at(json_array_get(rows.list, 0), "kind"), "remove");
	assert_string_equal(text_at(json_array_get(rows.list, 0), "type"), "action");
	assert_string_equal(text_at(json_array_get(rows.list, 0), "record"),
	    "07070707070707070707070707070707");
	assert_string_equal(text_at(json_array_get(rows.list, 1), "type"), "access");
	assert_int_equal(vgm_view_row_events(v, last, 10, &last, &count, collect, &rows, &err), 0);
	assert_int_equal(count, 3);
	assert_null(json_object_get(json_array_get(rows.list, 2), "record"));
	json_decref(rows.list);
	vgm_views_close(&v);
	play_clean(path);
}

static void test_info(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		int rows;
	} expected[] = {{"tracking", 7}, {"queue", 3}, {"quarantine", 0}, {"audit", 5},
	    {"devices", 0}};
	char path[64];
	struct vgm_err err;
	struct rows rows = {json_array()};
	play_path(path);
	struct vgm_views *v = play_open(path);
	play_range(v, play_story, 0, PLAY_STORY_LEN, 7);
	assert_int_equal(vgm_view_row_views(v, collect, &rows, &err), 0);
	assert_int_equal(json_array_size(rows.list), VGM_ARRAY_LEN(expected));
	for (size_t i = 0; i < VGM_ARRAY_LEN(expected); i++) {
		json_t *row = json_array_get(rows.list, i);
		assert_string_equal(text_at(row, "view"), expected[i].name);
		assert_string_equal(text_at(row, "class"), "A");
		assert_int_equal(
		    json_integer_value(json_object_get(row, "rows")), expected[i].rows);
	}
	json_array_clear(rows.list);
	assert_int_equal(vgm_view_row_counts(v, collect, &rows, &err), 0);
	json_t *row = json_array_get(rows.list, 0);
	assert_int_equal(json_integer_value(json_object_get(row, "queued")), 3);
	assert_int_equal(json_integer_value(json_object_get(row, "deferred")), 0);
	assert_int_equal(json_integer_value(json_object_get(row, "held")), 0);
	json_decref(rows.list);
	vgm_views_close(&v);
	play_clean(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_message),
	    cmocka_unit_test(test_held),
	    cmocka_unit_test(test_hostile),
	    cmocka_unit_test(test_wide),
	    cmocka_unit_test(test_reader_goes_away),
	    cmocka_unit_test(test_events),
	    cmocka_unit_test(test_info),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
