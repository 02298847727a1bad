/* SPDX-License-Identifier: EUPL-1.2
 * Tests of view/devices.c and its rows: what machines sent, day by day. */
#include "play.h"

#include <jansson.h>

enum { LF = VGM_FAULT_BARE_LF, CR = VGM_FAULT_BARE_CR, PATH = VGM_FAULT_PATH, NAME = VGM_FAULT_NAME };

/* A message of a machine (or of nobody's: ""), then the end of an earlier one. */
struct step {
	const char *machine; /* NULL: an outcome */
	uint8_t id, faults;
	uint32_t day;
	uint8_t status;
	uint8_t recipients;
	uint32_t index;
};

static const struct step story[] = {
    {"copieur", 1, LF, 20000, 0, 1, 0},
    {"copieur", 2, LF | PATH | NAME, 20000, 0, 2, 0},
    {"automate", 3, 0, 20000, 0, 1, 0},
    {"", 4, 0, 20000, 0, 1, 0},
    {NULL, 1, 0, 20000, VGM_OUTCOME_DELIVERED, 0, 0},
    {NULL, 2, 0, 20000, VGM_OUTCOME_FAILED, 0, 0},
    {NULL, 2, 0, 20000, VGM_OUTCOME_DELIVERED, 0, 1}, /* with this one it has ended */
    {NULL, 4, 0, 20000, VGM_OUTCOME_FAILED, 0, 0},
    {"copieur", 5, 0, 20001, 0, 1, 0},
    {NULL, 5, 0, 20001, VGM_OUTCOME_DEFERRED, 0, 0},
    {NULL, 5, 0, 20001, VGM_OUTCOME_EXPIRED, 0, 0},
    {NULL, 3, 0, 20001, VGM_OUTCOME_REMOVED, 0, 0}, /* by a person: not a failure */
    {"ancien", 6, CR, 20001, 0, 1, 0},
    {"z'; DROP TABLE device; --", 7, LF | CR | PATH | NAME, 20001, 0, 1, 0},
};
#define STORY_LEN VGM_ARRAY_LEN(story)

static int apply(struct vgm_views *v, size_t i)
{
	const struct step *s = &story[i];
	struct vgm_err err = {.code = 0};
	struct vgm_recipient to[2] = {{.address = VGM_SLICE_LIT("x@in.example")},
	    {.address = VGM_SLICE_LIT("y@in.example")}};
	struct vgm_record record = {.type = s->machine ? VGM_RECORD_MAIL : VGM_RECORD_OUTCOME,
	    .day = s->day, .sequence = i, .time_us = (s->day * 86400ull + i) * 1000000};
	struct vgm_msg_routing mail = {.instance = VGM_INSTANCE_DEVICES, .faults = s->faults,
	    .machine = play_text(s->machine), .recipients = to, .recipients_count = s->recipients};
	struct vgm_outcome outcome = {.index = s->index, .status = s->status};
	struct vgm_msg_outcome_facts facts = {.outcomes = &outcome, .outcomes_count = 1};
	struct vgm_view_entry entry = {.record = &record, .mail = s->machine ? &mail : NULL,
	    .outcome = s->machine ? NULL : &facts};
	memset(record.id, s->machine ? s->id : 0xee, sizeof record.id);
	memset(facts.record, s->id, sizeof facts.record);
	int r = vgm_views_apply(v, &entry, &err);
	if (r < 0)
		fail_msg("step %zu: %s", i, err.text);
	return r;
}

static struct vgm_views *played(char path[64], size_t steps)
{
	struct vgm_err err;
	play_path(path);
	struct vgm_views *v = play_open(path);
	assert_int_equal(vgm_views_begin(v, &err), 0);
	for (size_t i = 0; i < steps; i++)
		assert_int_equal(apply(v, i), 0);
	assert_int_equal(vgm_views_commit(v, play_place(steps), &err), 0);
	return v;
}

/* ---- counters ---- */

#define COUNTS(machine, day)                                                                       \
	"SELECT messages || ' ' || repaired || ' ' || undelivered || ' ' || bare_lf || ' ' || "    \
	"bare_cr || ' ' || path || ' ' || name FROM device WHERE machine = '" machine              \
	"' AND day = " #day

static const struct {
	size_t steps;
	const char *sql, *answer;
} counts[] = {
    {0, "SELECT count(*) FROM device", "0"},
    {1, COUNTS("copieur", 20000), "1 1 0 1 0 0 0"},
    {2, COUNTS("copieur", 20000), "2 2 0 2 0 1 1"},
    {2, "SELECT last FROM device", "1728000001000"},
    {3, COUNTS("automate", 20000), "1 0 0 0 0 0 0"},
    {4, "SELECT count(*) FROM device", "2"}, /* other doors' mail is no machine's */
    {4, "SELECT machine IS NULL FROM mail WHERE seq = 3", "1"},
    {4, "SELECT machine FROM mail WHERE seq = 2", "automate"},
    {6, COUNTS("copieur", 20000), "2 2 0 2 0 1 1"}, /* one recipient waits still */
    {7, COUNTS("copieur", 20000), "2 2 1 2 0 1 1"},
    {8, "SELECT sum(undelivered) FROM device", "1"},
    {9, COUNTS("copieur", 20001), "1 0 0 0 0 0 0"},
    {10, COUNTS("copieur", 20001), "1 0 0 0 0 0 0"},
    {11, COUNTS("copieur", 20001), "1 0 1 0 0 0 0"},
    {12, COUNTS("automate", 20000), "1 0 0 0 0 0 0"},
    {14, COUNTS("z''; DROP TABLE device; --", 20001), "1 1 0 1 1 1 1"},
};

static void test_counts(void **state)
{
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(counts); i++) {
		char path[64], answer[100];
		struct vgm_views *v = played(path, counts[i].steps);
		vgm_views_close(&v);
		play_ask(path, counts[i].sql, answer, sizeof answer);
		if (strcmp(answer, counts[i].answer) != 0)
			fail_msg("after %zu steps: %s\n\tis       %s\n\texpected %s",
			    counts[i].steps, counts[i].sql, answer, counts[i].answer);
		play_clean(path);
	}
}

/* A closed day takes its counters along; what ends later is counted nowhere. */
static void test_forget(void **state)
{
	(void)state;
	char path[64], answer[100];
	struct vgm_err err;
	size_t count;
	struct vgm_views *v = played(path, 6);
	assert_int_equal(vgm_views_forget(v, 20000, 100, &count, &err), 0);
	assert_int_equal(vgm_views_forget(v, 20000, 100, &count, &err), 0);
	assert_int_equal(vgm_views_begin(v, &err), 0);
	for (size_t i = 6; i < STORY_LEN; i++)
		assert_int_equal(apply(v, i), 0);
	assert_int_equal(vgm_views_commit(v, play_place(STORY_LEN), &err), 0);
	vgm_views_close(&v);
	play_ask(path, "SELECT group_concat(DISTINCT day) FROM device", answer, sizeof answer);
	assert_string_equal(answer, "20001");
	play_ask(path, COUNTS("copieur", 20001), answer, sizeof answer);
	assert_string_equal(answer, "1 0 1 0 0 0 0");
	play_clean(path);
}

/* ---- rows ---- */

static int collect(void *context, const char *json)
{
	json_t *row = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(row);
	json_array_append_new(context, row);
	return 0;
}

static json_t *rows_of(struct vgm_views *v, const struct vgm_conf_device *named, size_t count)
{
	struct vgm_view_device_cursor at = {.named = 0};
	struct vgm_err err = {.code = 0};
	json_t *rows = json_array();
	int r = 1;
	while (r == 1)
		r = vgm_view_row_devices(v, named, count, &at, collect, rows, &err);
	if (r < 0)
		fail_msg("%s", err.text);
	return rows;
}

static void row_is(const json_t *rows, size_t i, const char *expected)
{
	char *text = json_dumps(json_array_get(rows, i), JSON_COMPACT);
	assert_non_null(text);
	assert_string_equal(text, expected);
	free(text); /* jansson's own */
}

static void test_rows(void **state)
{
	(void)state;
	const struct vgm_conf_device named[] = {
	    {.name = (char[]){"neuf \"2\""}, .address = (char[]){"10.0.0.9"}},
	    {.name = (char[]){"copieur"}, .address = (char[]){"10.0.0.0/29"}},
	    {.name = (char[]){"automate"}, .address = (char[]){"10.0.0.10"}},
	};
	char path[64];
	struct vgm_views *v = played(path, STORY_LEN);
	json_t *rows = rows_of(v, named, VGM_ARRAY_LEN(named));
	assert_int_equal(json_array_size(rows), 5);
	row_is(rows, 0,
	    "{\"machine\":\"neuf \\\"2\\\"\",\"address\":\"10.0.0.9\",\"configured\":true,"
	    "\"messages\":0,\"repaired\":0,\"undelivered\":0,"
	    "\"faults\":{\"bare_lf\":0,\"bare_cr\":0,\"path\":0,\"name\":0}}");
	row_is(rows, 1,
	    "{\"machine\":\"copieur\",\"address\":\"10.0.0.0/29\",\"configured\":true,"
	    "\"messages\":3,\"repaired\":2,\"undelivered\":2,\"last\":\"2024-10-05T00:00:08.000Z\","
	    "\"faults\":{\"bare_lf\":2,\"bare_cr\":0,\"path\":1,\"name\":1}}");
	row_is(rows, 3,
	    "{\"machine\":\"ancien\",\"configured\":false,"
	    "\"messages\":1,\"repaired\":1,\"undelivered\":0,\"last\":\"2024-10-05T00:00:12.000Z\","
	    "\"faults\":{\"bare_lf\":0,\"bare_cr\":1,\"path\":0,\"name\":0}}");
	json_decref(rows);
	rows = rows_of(v, NULL, 0);
	assert_int_equal(json_array_size(rows), 4);
	json_decref(rows);
	vgm_views_close(&v);
	play_clean(path);
}

/* More than fit in one slice, named or not: each comes once. */
static void test_many(void **state)
{
	(void)state;
	enum { MANY = 173 };
	static const size_t named_counts[] = {0, 1, 49, 50, 51, 100, MANY};
	struct vgm_conf_device named[MANY];
	char address[] = "10.0.0.1";
	char path[64];
	struct vgm_err err;
	play_path(path);
	struct vgm_views *v = play_open(path);
	assert_int_equal(vgm_views_begin(v, &err), 0);
	for (size_t i = 0; i < MANY; i++) {
		char name[101];
		snprintf(name, sizeof name, "%0100zu", i);
		named[i] = (struct vgm_conf_device){
		    .name = vgm_strdup(name), .address = address};
		struct vgm_record record = {.type = VGM_RECORD_MAIL, .sequence = i};
		struct vgm_msg_routing mail = {.machine = vgm_slice_str(name)};
		struct vgm_view_entry entry = {.record = &record, .mail = &mail};
		memset(record.id, (int)i + 1, sizeof record.id);
		assert_int_equal(vgm_views_apply(v, &entry, &err), 0);
	}
	assert_int_equal(vgm_views_commit(v, play_place(MANY), &err), 0);
	for (size_t n = 0; n < VGM_ARRAY_LEN(named_counts); n++) {
		json_t *rows = rows_of(v, named, named_counts[n]);
		bool seen[MANY] = {false};
		assert_int_equal(json_array_size(rows), MANY);
		for (size_t i = 0; i < MANY; i++) {
			const json_t *row = json_array_get(rows, i);
			const char *name = json_string_value(json_object_get(row, "machine"));
			size_t which = strtoul(name, NULL, 10);
			assert_true(which < MANY && !seen[which]);
			seen[which] = true;
			assert_int_equal(json_is_true(json_object_get(row, "configured")),
			    which < named_counts[n]);
		}
		json_decref(rows);
	}
	for (size_t i = 0; i < MANY; i++)
		vgm_free(named[i].name);
	vgm_views_close(&v);
	play_clean(path);
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
	struct vgm_conf_device named = {.name = (char[]){"x"}, .address = (char[]){"10.0.0.1"}};
	struct vgm_view_device_cursor at = {.named = 0};
	struct vgm_err err;
	char path[64];
	int calls = 0;
	struct vgm_views *v = played(path, STORY_LEN);
	assert_int_equal(
	    vgm_view_row_devices(v, &named, 1, &at, refuse, &calls, &err), VGM_E_CLOSED);
	assert_int_equal(vgm_view_row_devices(v, NULL, 0, &at, refuse, &calls, &err), VGM_E_CLOSED);
	assert_int_equal(calls, 2);
	vgm_views_close(&v);
	play_clean(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_counts),
	    cmocka_unit_test(test_forget),
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_many),
	    cmocka_unit_test(test_reader_goes_away),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
