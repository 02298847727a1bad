/* SPDX-License-Identifier: EUPL-1.2
 * Records for the tests of views, as a table of steps: what happened, in the
 * order of the ledger. The nth step is the record of sequence n. */
#ifndef VGM_TEST_VIEW_PLAY_H
#define VGM_TEST_VIEW_PLAY_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "view/query.h"

enum play_what { MAIL, HELD_MAIL, NOTICE, OUTCOME, ACTION, ACCESS, CLOSED };

struct play {
	enum play_what what;
	uint8_t id;           /* of the message: fills the record id; 0 = all (ACTION) */
	const char *sender;   /* MAIL; ACTION, ACCESS: who */
	const char *to[3];    /* "address" or "address route" */
	uint32_t index;       /* OUTCOME */
	uint8_t status;
	const char *reply;    /* OUTCOME; ACTION: kind */
	uint32_t attempt;
};

#define PLAY_DAY 20000u
#define PLAY_START_US (PLAY_DAY * 86400ull * 1000000)
#define PLAY_STEP_US 1000000ull

static inline struct vgm_slice play_text(const char *s)
{
	return s ? vgm_slice_str(s) : VGM_SLICE_NONE;
}

/* Applies one step; expects success. */
static inline int play_apply(
    struct vgm_views *v, const struct play *step, uint64_t sequence, struct vgm_err *err)
{
	static const uint8_t types[] = {VGM_RECORD_MAIL, VGM_RECORD_MAIL, VGM_RECORD_NOTICE,
	    VGM_RECORD_OUTCOME, VGM_RECORD_ACTION, VGM_RECORD_ACCESS, VGM_RECORD_MAIL};
	struct vgm_record record = {.type = types[step->what], .day = PLAY_DAY,
	    .sequence = sequence, .time_us = PLAY_START_US + sequence * PLAY_STEP_US, .entity = 1};
	struct vgm_recipient recipients[3] = {0};
	struct vgm_msg_routing mail = {.instance = VGM_INSTANCE_RECEIVE, .size = 4000,
	    .flags = step->what == HELD_MAIL ? VGM_ROUTING_HELD : 0,
	    .sender = play_text(step->sender), .recipients = recipients};
	struct vgm_outcome outcome = {.index = step->index, .status = step->status,
	    .enhanced = play_text("2.0.0"), .reply = play_text(step->reply),
	    .peer = play_text("mx.example [192.0.2.1]:25"), .tls = play_text("TLSv1.3")};
	struct vgm_msg_outcome_facts facts = {.at_us = record.time_us,
	    .attempt = step->attempt ? step->attempt : 1, .outcomes = &outcome,
	    .outcomes_count = 1};
	struct vgm_msg_event_facts event = {.kind = play_text(step->reply),
	    .who = play_text(step->sender), .why = play_text("a test"), .detail = play_text("d")};
	struct vgm_view_entry entry = {.record = &record, .segment = 1, .offset = sequence * 1000};

	memset(record.id, step->what == OUTCOME || step->what >= ACTION ? 0xee : step->id, 16);
	memset(facts.record, step->id, 16);
	memset(event.record, step->id, 16);
	if (step->what == NOTICE)
		memset(record.related, 0x77, 16);
	for (size_t i = 0; i < 3 && step->to[i]; i++) {
		struct vgm_slice both = vgm_slice_str(step->to[i]);
		size_t space = vgm_slice_find(both, ' ');
		recipients[i].address = vgm_slice_sub(both, 0, space);
		recipients[i].route = space < both.len ? vgm_slice_from(both, space + 1)
		                                       : play_text("route:main");
		recipients[i].reason = play_text("rule main");
		mail.recipients_count++;
	}
	if (step->what <= NOTICE)
		entry.mail = &mail;
	else if (step->what == OUTCOME)
		entry.outcome = &facts;
	else if (step->what != CLOSED)
		entry.event = &event;
	return vgm_views_apply(v, &entry, err);
}

static inline struct vgm_view_place play_place(uint64_t tree_size)
{
	return (struct vgm_view_place){.segment = 1, .offset = tree_size * 1000,
	    .tree_size = tree_size};
}

/* Steps from..end, a commit after every batch of them. */
static inline void play_range(
    struct vgm_views *v, const struct play *steps, size_t from, size_t end, size_t batch)
{
	struct vgm_err err = {0};
	while (from < end) {
		size_t stop = from + batch < end ? from + batch : end;
		assert_int_equal(vgm_views_begin(v, &err), 0);
		for (; from < stop; from++)
			if (play_apply(v, &steps[from], from, &err) < 0)
				fail_msg("step %zu: %s", from, err.text);
		assert_int_equal(vgm_views_commit(v, play_place(stop), &err), 0);
	}
}

/* A fresh path in a directory of its own; play_clean takes both away. */
static inline void play_path(char out[64])
{
	snprintf(out, 64, "/tmp/vgm-view-XXXXXX");
	assert_non_null(mkdtemp(out));
	strncat(out, "/v.db", 63 - strlen(out));
}

static inline void play_clean(char path[64])
{
	struct vgm_err err;
	assert_int_equal(vgm_views_drop(path, &err), 0);
	*strrchr(path, '/') = 0;
	assert_int_equal(rmdir(path), 0);
}

static inline struct vgm_views *play_open(const char *path)
{
	struct vgm_views *v = NULL;
	struct vgm_err err = {0};
	if (vgm_views_open(path, &v, &err) < 0)
		fail_msg("open: %s", err.text);
	return v;
}

static inline struct vgm_views *play_open_read(const char *path)
{
	struct vgm_views *v = NULL;
	struct vgm_err err = {0};
	if (vgm_views_open_read(path, &v, &err) < 0)
		fail_msg("open: %s", err.text);
	return v;
}

/* Every table of the file, every row, every column, in the order of its key. */
static inline void play_dump(const char *path, struct vgm_buf *out)
{
	static const char *const tables[] = {"place", "mail", "recipient", "outcome", "open",
	    "held", "event", "device"};
	sqlite3 *db;
	vgm_buf_init(out, 16u << 20);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	for (size_t t = 0; t < VGM_ARRAY_LEN(tables); t++) {
		char sql[100];
		sqlite3_stmt *st;
		snprintf(sql, sizeof sql, "SELECT * FROM %s", tables[t]);
		assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
		assert_int_equal(vgm_buf_addf(out, "# %s\n", tables[t]), 0);
		while (sqlite3_step(st) == SQLITE_ROW) {
			for (int c = 0; c < sqlite3_column_count(st); c++) {
				int type = sqlite3_column_type(st, c);
				const uint8_t *bytes = sqlite3_column_blob(st, c);
				int n = sqlite3_column_bytes(st, c);
				assert_int_equal(vgm_buf_addf(out, "%d:", type), 0);
				for (int i = 0; i < n; i++)
					assert_int_equal(vgm_buf_addf(out, "%02x", bytes[i]), 0);
				assert_int_equal(vgm_buf_add_byte(out, ' '), 0);
			}
			assert_int_equal(vgm_buf_add_byte(out, '\n'), 0);
		}
		sqlite3_finalize(st);
	}
	sqlite3_close(db);
}

/* The first column of the first row, "" when there is none. */
static inline void play_ask(const char *path, const char *sql, char *out, size_t room)
{
	sqlite3 *db;
	sqlite3_stmt *st;
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	*out = 0;
	if (sqlite3_step(st) == SQLITE_ROW && sqlite3_column_text(st, 0))
		snprintf(out, room, "%s", (const char *)sqlite3_column_text(st, 0));
	sqlite3_finalize(st);
	sqlite3_close(db);
}

/* A small history with everything in it. */
static const struct play play_story[] = {
    {MAIL, 1, "a@out.example", {"x@in.example"}, 0, 0, NULL, 0},
    {MAIL, 2, "b@out.example", {"x@in.example", "y@in.example"}, 0, 0, NULL, 0},
    {OUTCOME, 1, NULL, {0}, 0, VGM_OUTCOME_DELIVERED, "250 2.0.0 ok", 1},
    {OUTCOME, 2, NULL, {0}, 0, VGM_OUTCOME_DEFERRED, "451 4.3.0 later", 1},
    {OUTCOME, 2, NULL, {0}, 1, VGM_OUTCOME_DELIVERED, "250 ok", 1},
    {HELD_MAIL, 3, "c@out.example", {"z@in.example"}, 0, 0, NULL, 0},
    {MAIL, 4, "", {"w@in.example hold", "v@in.example refuse"}, 0, 0, NULL, 0},
    {ACTION, 2, "root (uid 0)", {0}, 0, 0, "hold", 0},
    {OUTCOME, 2, NULL, {0}, 0, VGM_OUTCOME_DEFERRED, "451 again", 2},
    {ACTION, 3, "root (uid 0)", {0}, 0, 0, "release", 0},
    {OUTCOME, 3, NULL, {0}, 0, VGM_OUTCOME_RELAYED, "250 taken", 1},
    {ACTION, 0, "root (uid 0)", {0}, 0, 0, "release", 0},
    {OUTCOME, 2, NULL, {0}, 0, VGM_OUTCOME_FAILED, "550 no", 3},
    {NOTICE, 5, "", {"b@out.example mx:out.example"}, 0, 0, NULL, 0},
    {ACCESS, 1, "root (uid 0)", {0}, 0, 0, "show", 0},
    {CLOSED, 6, NULL, {0}, 0, 0, NULL, 0},
    {MAIL, 7, "d@out.example", {"x@in.example"}, 0, 0, NULL, 0},
    {ACTION, 7, "root (uid 0)", {0}, 0, 0, "remove", 0},
    {OUTCOME, 7, NULL, {0}, 0, VGM_OUTCOME_DELIVERED, "250 too late", 1},
    {OUTCOME, 99, NULL, {0}, 0, VGM_OUTCOME_DELIVERED, "250 of nobody", 1},
    {MAIL, 8, "e@out.example", {"x@in.example", "y@in.example"}, 0, 0, NULL, 0},
    {OUTCOME, 8, NULL, {0}, 7, VGM_OUTCOME_DELIVERED, "250 no such place", 1},
    {OUTCOME, 8, NULL, {0}, 1, VGM_OUTCOME_EXPIRED, "", 9},
};
#define PLAY_STORY_LEN VGM_ARRAY_LEN(play_story)

#endif
