/* SPDX-License-Identifier: EUPL-1.2
 * Tests of view/store.c and of the views themselves: records in, rows out;
 * the place in the ledger; restarts; old and broken files. */
#include "play.h"

#include <fcntl.h>
#include <sys/stat.h>

/* ---- records in, rows out ---- */

/* After the first `steps` of the story, this question has this answer. */
static const struct {
	size_t steps;
	const char *sql, *answer;
} states[] = {
    {0, "SELECT count(*) FROM mail", "0"},
    {1, "SELECT state FROM mail WHERE seq = 0", "8"},
    {1, "SELECT hex(id) FROM open", "01010101010101010101010101010101"},
    {1, "SELECT sender FROM mail", "a@out.example"},
    {1, "SELECT address || ' ' || route || ' ' || reason FROM recipient",
        "x@in.example route:main rule main"},
    {1, "SELECT time || ' ' || day || ' ' || size || ' ' || segment || ' ' || offset FROM mail",
        "1728000000000 20000 4000 1 0"},
    {2, "SELECT count(*) FROM recipient WHERE seq = 1", "2"},
    {3, "SELECT state FROM mail WHERE seq = 0", "2"},
    {3, "SELECT count(*) FROM open WHERE seq = 0", "0"},
    {3, "SELECT reply || '|' || code || '|' || peer || '|' || tls FROM outcome",
        "250 2.0.0 ok|2.0.0|mx.example [192.0.2.1]:25|TLSv1.3"},
    {4, "SELECT state FROM mail WHERE seq = 1", "9"},
    {5, "SELECT state FROM mail WHERE seq = 1", "9"}, /* the other one still waits */
    {5, "SELECT group_concat(state) FROM recipient WHERE seq = 1", "9,2"},
    {6, "SELECT state FROM mail WHERE seq = 5", "10"},
    {6, "SELECT why || ' ' || since FROM held WHERE seq = 5", "rule main 1728000005000"},
    {6, "SELECT count(*) FROM open WHERE seq = 5", "1"},
    {7, "SELECT group_concat(state) FROM recipient WHERE seq = 6", "10,5"},
    {8, "SELECT group_concat(state) FROM recipient WHERE seq = 1", "10,2"},
    {8, "SELECT why FROM held WHERE seq = 1", "root (uid 0)"},
    {9, "SELECT group_concat(state) FROM recipient WHERE seq = 1", "10,2"}, /* stays held */
    {9, "SELECT count(*) FROM outcome WHERE seq = 1", "3"},
    {10, "SELECT count(*) FROM held WHERE seq = 5", "0"},
    {10, "SELECT state FROM mail WHERE seq = 5", "8"},
    {11, "SELECT state FROM mail WHERE seq = 5", "3"},
    {12, "SELECT count(*) FROM held", "0"}, /* all were released */
    {12, "SELECT group_concat(state) FROM recipient WHERE seq = 6", "8,5"},
    {13, "SELECT state FROM mail WHERE seq = 1", "7"},
    {13, "SELECT group_concat(attempt) FROM outcome WHERE seq = 1 AND n = 0", "1,2,3"},
    {14, "SELECT type || hex(related) FROM mail WHERE seq = 13",
        "377777777777777777777777777777777"},
    {15, "SELECT kind || '|' || who || '|' || why || '|' || detail FROM event WHERE seq = 14",
        "show|root (uid 0)|a test|d"},
    {15, "SELECT hex(record) FROM event WHERE seq = 14", "01010101010101010101010101010101"},
    {15, "SELECT record IS NULL FROM event WHERE seq = 11", "1"},
    {16, "SELECT count(*) FROM mail WHERE seq = 15", "0"}, /* its day is closed */
    {18, "SELECT state FROM mail WHERE seq = 16", "4"},
    {19, "SELECT state FROM mail WHERE seq = 16", "4"}, /* and stays so */
    {20, "SELECT count(*) FROM outcome WHERE at = 19", "0"},
    {22, "SELECT group_concat(state) FROM recipient WHERE seq = 20", "8,8"},
    {23, "SELECT group_concat(state) FROM recipient WHERE seq = 20", "8,6"},
    {23, "SELECT count(*) FROM event", "5"},
    {23, "SELECT tree_size || ' ' || segment || ' ' || offset FROM place", "23 1 23000"},
    {23, "SELECT count(*) FROM open", "3"},
};

static void test_states(void **state)
{
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(states); i++) {
		char path[64], answer[200];
		play_path(path);
		struct vgm_views *v = play_open(path);
		play_range(v, play_story, 0, states[i].steps, 4);
		vgm_views_close(&v);
		play_ask(path, states[i].sql, answer, sizeof answer);
		if (strcmp(answer, states[i].answer) != 0)
			fail_msg("after %zu steps: %s\n\tis       %s\n\texpected %s",
			    states[i].steps, states[i].sql, answer, states[i].answer);
		play_clean(path);
	}
}

/* ---- the place ---- */

static void dump_story(size_t batch, struct vgm_buf *out)
{
	char path[64];
	play_path(path);
	struct vgm_views *v = play_open(path);
	play_range(v, play_story, 0, PLAY_STORY_LEN, batch);
	vgm_views_close(&v);
	play_dump(path, out);
	play_clean(path);
}

/* Closed and opened again after every batch, and every size of batch: the same
 * file. That is also what a rebuild is: the same records from the start. */
static void test_restart_everywhere(void **state)
{
	(void)state;
	struct vgm_buf expected;
	dump_story(PLAY_STORY_LEN, &expected);
	for (size_t batch = 1; batch <= PLAY_STORY_LEN; batch++) {
		char path[64];
		struct vgm_buf got;
		play_path(path);
		for (size_t from = 0; from < PLAY_STORY_LEN; from += batch) {
			struct vgm_views *v = play_open(path);
			assert_int_equal(vgm_views_place(v).tree_size, from);
			size_t end = from + batch;
			play_range(v, play_story, from, end < PLAY_STORY_LEN ? end : PLAY_STORY_LEN,
			    batch);
			vgm_views_close(&v);
		}
		play_dump(path, &got);
		assert_string_equal(vgm_buf_str(&expected), vgm_buf_str(&got));
		vgm_buf_release(&got);
		play_clean(path);
	}
	vgm_buf_release(&expected);
}

/* Dies with a transaction open, after every step: stands where it stood. */
static void test_crash_everywhere(void **state)
{
	(void)state;
	struct vgm_buf expected;
	dump_story(PLAY_STORY_LEN, &expected);
	for (size_t at = 0; at < PLAY_STORY_LEN; at++) {
		char path[64];
		struct vgm_buf got;
		struct vgm_err err;
		play_path(path);
		struct vgm_views *v = play_open(path);
		play_range(v, play_story, 0, at, 5);
		assert_int_equal(vgm_views_begin(v, &err), 0);
		for (size_t i = at; i < PLAY_STORY_LEN; i++)
			assert_int_equal(play_apply(v, &play_story[i], i, &err), 0);
		vgm_views_close(&v); /* without a commit */
		v = play_open(path);
		assert_int_equal(vgm_views_place(v).tree_size, at);
		play_range(v, play_story, at, PLAY_STORY_LEN, 5);
		vgm_views_close(&v);
		play_dump(path, &got);
		assert_string_equal(vgm_buf_str(&expected), vgm_buf_str(&got));
		vgm_buf_release(&got);
		play_clean(path);
	}
	vgm_buf_release(&expected);
}

/* Records that are covered already change nothing, from wherever they come. */
static void test_replay(void **state)
{
	(void)state;
	for (size_t from = 0; from < PLAY_STORY_LEN; from++) {
		char path[64];
		struct vgm_buf before, after;
		struct vgm_err err;
		play_path(path);
		struct vgm_views *v = play_open(path);
		play_range(v, play_story, 0, PLAY_STORY_LEN, 7);
		play_dump(path, &before);
		assert_int_equal(vgm_views_begin(v, &err), 0);
		for (size_t i = from; i < PLAY_STORY_LEN; i++)
			assert_int_equal(play_apply(v, &play_story[i], i, &err), 0);
		assert_int_equal(vgm_views_commit(v, play_place(PLAY_STORY_LEN), &err), 0);
		vgm_views_close(&v);
		play_dump(path, &after);
		assert_string_equal(vgm_buf_str(&before), vgm_buf_str(&after));
		vgm_buf_release(&before);
		vgm_buf_release(&after);
		play_clean(path);
	}
}

/* ---- files ---- */

static void test_file_is_private(void **state)
{
	(void)state;
	static const char *const suffixes[] = {"", "-wal", "-shm"};
	char path[64];
	play_path(path);
	struct vgm_views *v = play_open(path);
	play_range(v, play_story, 0, PLAY_STORY_LEN, 7);
	for (size_t i = 0; i < VGM_ARRAY_LEN(suffixes); i++) {
		char name[80];
		struct stat st;
		snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
		assert_int_equal(stat(name, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
	vgm_views_close(&v);
	play_clean(path);
}

static void test_other_schema_is_emptied(void **state)
{
	(void)state;
	static const char *const changes[] = {"PRAGMA user_version = 99",
	    "PRAGMA application_id = 1", "PRAGMA user_version = 0"};
	for (size_t i = 0; i < VGM_ARRAY_LEN(changes); i++) {
		char path[64], answer[50];
		play_path(path);
		struct vgm_views *v = play_open(path);
		play_range(v, play_story, 0, PLAY_STORY_LEN, 7);
		vgm_views_close(&v);
		play_ask(path, changes[i], answer, sizeof answer);
		v = play_open(path);
		assert_int_equal(vgm_views_place(v).tree_size, 0);
		play_range(v, play_story, 0, PLAY_STORY_LEN, 7);
		vgm_views_close(&v);
		play_clean(path);
	}
}

static void test_damaged_file(void **state)
{
	(void)state;
	char path[64];
	struct vgm_views *v = NULL;
	struct vgm_err err;
	play_path(path);
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(write(fd, "not a database at all", 21), 21);
	close(fd);
	assert_int_equal(vgm_views_open(path, &v, &err), VGM_E_CORRUPT);
	assert_null(v);
	assert_int_equal(vgm_views_drop(path, &err), 0);
	v = play_open(path);
	vgm_views_close(&v);
	play_clean(path);
}

static void test_no_such_place(void **state)
{
	(void)state;
	struct vgm_views *v = NULL;
	struct vgm_err err;
	assert_int_equal(vgm_views_open("/nonexistent/v.db", &v, &err), VGM_E_IO);
	assert_int_equal(vgm_views_open_read("/nonexistent/v.db", &v, &err), VGM_E_NOTFOUND);
	assert_null(v);
}

/* A store that was made aside takes the place of the old one. */
static void test_replace(void **state)
{
	(void)state;
	char path[64], aside[80];
	struct vgm_err err;
	play_path(path);
	snprintf(aside, sizeof aside, "%s.new", path);
	struct vgm_views *v = play_open(path);
	play_range(v, play_story, 0, 5, 7);
	struct vgm_views *other = play_open(aside);
	play_range(other, play_story, 0, PLAY_STORY_LEN, 7);
	vgm_views_close(&v);
	vgm_views_close(&other);
	assert_int_equal(vgm_views_replace(path, aside, &err), 0);
	assert_int_equal(access(aside, F_OK), -1);
	v = play_open(path);
	assert_int_equal(vgm_views_place(v).tree_size, PLAY_STORY_LEN);
	vgm_views_close(&v);
	play_clean(path);
}

/* A second writer waits and is then refused; a reader sees whole batches only. */
static void test_one_writer(void **state)
{
	(void)state;
	char path[64];
	struct vgm_err err;
	uint64_t seq;
	uint8_t id[16];
	memset(id, 1, sizeof id);
	play_path(path);
	struct vgm_views *v = play_open(path), *second = play_open(path);
	struct vgm_views *reader = play_open_read(path);
	assert_int_equal(vgm_views_begin(v, &err), 0);
	assert_int_equal(play_apply(v, &play_story[0], 0, &err), 0);
	assert_int_equal(vgm_views_begin(second, &err), VGM_E_BUSY);
	assert_int_equal(vgm_view_queue_find(reader, id, &seq, &err), VGM_E_NOTFOUND);
	assert_int_equal(vgm_views_commit(v, play_place(1), &err), 0);
	assert_int_equal(vgm_view_queue_find(reader, id, &seq, &err), 0);
	assert_int_equal(seq, 0);
	assert_true(vgm_views_begin(reader, &err) < 0);
	vgm_views_close(&reader);
	vgm_views_close(&second);
	vgm_views_close(&v);
	play_clean(path);
}

/* An error in the middle of a batch leaves what stood before. */
static void test_error_rolls_back(void **state)
{
	(void)state;
	char path[64], answer[50];
	struct vgm_err err;
	play_path(path);
	struct vgm_views *v = play_open(path);
	play_range(v, play_story, 0, 2, 2);
	play_ask(path, "ALTER TABLE outcome RENAME TO away", answer, sizeof answer);
	assert_int_equal(vgm_views_begin(v, &err), 0);
	assert_int_equal(play_apply(v, &play_story[6], 2, &err), 0);
	assert_int_equal(play_apply(v, &play_story[2], 3, &err), VGM_E_IO);
	play_ask(path, "SELECT count(*) FROM mail", answer, sizeof answer);
	assert_string_equal(answer, "2");
	play_ask(path, "ALTER TABLE away RENAME TO outcome", answer, sizeof answer);
	play_range(v, play_story, 2, PLAY_STORY_LEN, 3); /* usable as before */
	vgm_views_close(&v);
	play_clean(path);
}

/* A stranger cannot make an id come twice; if it did, nothing would stop. */
static void test_id_twice(void **state)
{
	(void)state;
	static const struct play twice[] = {
	    {HELD_MAIL, 1, "a@out.example", {"x@in.example"}, 0, 0, NULL, 0},
	    {HELD_MAIL, 1, "b@out.example", {"y@in.example"}, 0, 0, NULL, 0},
	    {ACTION, 1, "root (uid 0)", {0}, 0, 0, "release", 0},
	    {OUTCOME, 1, NULL, {0}, 0, VGM_OUTCOME_DELIVERED, "250 ok", 1},
	    {OUTCOME, 1, NULL, {0}, 0, VGM_OUTCOME_DELIVERED, "250 ok", 1},
	};
	char path[64], answer[50];
	play_path(path);
	struct vgm_views *v = play_open(path);
	play_range(v, twice, 0, VGM_ARRAY_LEN(twice), 1);
	vgm_views_close(&v);
	play_ask(path, "SELECT group_concat(state) FROM mail", answer, sizeof answer);
	assert_string_equal(answer, "2,10");
	play_clean(path);
}

/* ---- the end of the window ---- */

static void test_forget(void **state)
{
	(void)state;
	char path[64], answer[50];
	struct vgm_err err;
	uint32_t day = 0;
	size_t count = 9;
	play_path(path);
	struct vgm_views *v = play_open(path);
	assert_int_equal(vgm_views_oldest_day(v, &day, &err), VGM_E_NOTFOUND);
	play_range(v, play_story, 0, PLAY_STORY_LEN, 7);
	assert_int_equal(vgm_views_oldest_day(v, &day, &err), 0);
	assert_int_equal(day, PLAY_DAY);
	assert_int_equal(vgm_views_forget(v, PLAY_DAY + 1, 100, &count, &err), 0);
	assert_int_equal(count, 0);
	assert_int_equal(vgm_views_forget(v, PLAY_DAY, 2, &count, &err), 0);
	assert_int_equal(count, 2);
	assert_int_equal(vgm_views_forget(v, PLAY_DAY, 100, &count, &err), 0);
	assert_int_equal(count, 2);
	assert_int_equal(vgm_views_forget(v, PLAY_DAY, 100, &count, &err), 0);
	assert_int_equal(count, 0);
	assert_int_equal(vgm_views_oldest_day(v, &day, &err), VGM_E_NOTFOUND);
	assert_int_equal(vgm_views_place(v).tree_size, PLAY_STORY_LEN);
	vgm_views_close(&v);
	/* What is open stays, with its recipients and outcomes. */
	play_ask(path, "SELECT group_concat(seq) FROM mail", answer, sizeof answer);
	assert_string_equal(answer, "6,13,20");
	play_ask(path, "SELECT count(*) FROM recipient", answer, sizeof answer);
	assert_string_equal(answer, "5");
	play_ask(path, "SELECT count(*) FROM outcome", answer, sizeof answer);
	assert_string_equal(answer, "2");
	play_clean(path);
}

/* ---- classes ---- */

static void test_classes(void **state)
{
	(void)state;
	static const struct vgm_view closed = {.name = "closed", .class = VGM_VIEW_CLOSED};
	static const struct vgm_view window = {.name = "window", .class = VGM_VIEW_WINDOW};
	const struct vgm_view *keep = NULL;
	const struct vgm_view *with_closed[] = {&vgm_view_queue, &closed, &vgm_view_audit};
	const struct vgm_view *with_window[] = {&window};
	assert_true(vgm_view_droppable(vgm_view_table, vgm_view_table_len, &keep));
	assert_null(keep);
	assert_false(vgm_view_droppable(with_closed, 3, &keep));
	assert_ptr_equal(keep, &closed);
	assert_false(vgm_view_droppable(with_window, 1, &keep));
	assert_ptr_equal(keep, &window);
}

static void test_state_names(void **state)
{
	(void)state;
	for (int i = VGM_VIEW_DELIVERED; i < VGM_VIEW_STATE_COUNT; i++) {
		enum vgm_view_state got;
		assert_true(vgm_view_state_parse(vgm_slice_str(vgm_view_state_name(i)), &got));
		assert_int_equal(got, i);
	}
	static const int none[] = {-1, 0, 1, VGM_VIEW_STATE_COUNT, 1000};
	for (size_t i = 0; i < VGM_ARRAY_LEN(none); i++)
		assert_string_equal(vgm_view_state_name(none[i]), "?");
	enum vgm_view_state got;
	assert_false(vgm_view_state_parse(VGM_SLICE_LIT("?"), &got));
	assert_false(vgm_view_state_parse(VGM_SLICE_NONE, &got));
	assert_true(vgm_view_state_parse(VGM_SLICE_LIT("HELD"), &got));
	assert_int_equal(got, VGM_VIEW_HELD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_states),
	    cmocka_unit_test(test_restart_everywhere),
	    cmocka_unit_test(test_crash_everywhere),
	    cmocka_unit_test(test_replay),
	    cmocka_unit_test(test_file_is_private),
	    cmocka_unit_test(test_other_schema_is_emptied),
	    cmocka_unit_test(test_damaged_file),
	    cmocka_unit_test(test_no_such_place),
	    cmocka_unit_test(test_replace),
	    cmocka_unit_test(test_one_writer),
	    cmocka_unit_test(test_error_rolls_back),
	    cmocka_unit_test(test_id_twice),
	    cmocka_unit_test(test_forget),
	    cmocka_unit_test(test_classes),
	    cmocka_unit_test(test_state_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
