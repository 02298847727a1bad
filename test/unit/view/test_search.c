/* SPDX-License-Identifier: EUPL-1.2
 * Tests of view/search.c: which messages a question finds, in which order, in
 * how many steps. */
#include "play.h"

#include "base/clock.h"

/* ---- finding ---- */

struct list {
	char text[4000];
	size_t count;
};

static int note(void *context, uint64_t sequence)
{
	struct list *list = context;
	size_t used = strlen(list->text);
	snprintf(list->text + used, sizeof list->text - used, "%s%llu", used ? " " : "",
	    (unsigned long long)sequence);
	list->count++;
	return 0;
}

static bool search(struct vgm_views *v, const struct vgm_view_filter *filter, size_t limit,
    struct list *list)
{
	struct vgm_err err = {0};
	struct vgm_view_search *s = vgm_view_search_new(filter, limit);
	int r;
	*list = (struct list){.count = 0};
	while ((r = vgm_view_search_step(s, v, note, list, &err)) == 1)
		;
	if (r < 0)
		fail_msg("search: %s", err.text);
	assert_int_equal(vgm_view_search_count(s), list->count);
	bool more = vgm_view_search_more(s);
	vgm_view_search_free(&s);
	assert_null(s);
	return more;
}

/* Over the whole story (play.h). */
static const struct {
	enum vgm_view_source source;
	const char *terms[4];
	size_t limit;
	const char *found;
	bool more;
} cases[] = {
    {VGM_VIEW_FROM_ALL, {0}, 100, "20 16 13 6 5 1 0", false},
    {VGM_VIEW_FROM_ALL, {0}, 7, "20 16 13 6 5 1 0", false},
    {VGM_VIEW_FROM_ALL, {0}, 6, "20 16 13 6 5 1", true},
    {VGM_VIEW_FROM_ALL, {0}, 1, "20", true},
    {VGM_VIEW_FROM_QUEUE, {0}, 100, "6 13 20", false},
    {VGM_VIEW_FROM_QUEUE, {0}, 3, "6 13 20", false},
    {VGM_VIEW_FROM_QUEUE, {0}, 2, "6 13", true},
    {VGM_VIEW_FROM_QUARANTINE, {0}, 100, "", false},
    {VGM_VIEW_FROM_WAITING, {0}, 100, "6 13 20", false},
    {VGM_VIEW_FROM_ALL, {"from:out.example"}, 100, "20 16 5 1 0", false},
    {VGM_VIEW_FROM_ALL, {"from:B@OUT"}, 100, "1", false},
    {VGM_VIEW_FROM_ALL, {"to:b@out"}, 100, "13", false},
    {VGM_VIEW_FROM_ALL, {"b@out"}, 100, "13 1", false},
    {VGM_VIEW_FROM_ALL, {"to:y@in.example"}, 100, "20 1", false},
    {VGM_VIEW_FROM_ALL, {"to:y@in.example", "from:e@"}, 100, "20", false},
    {VGM_VIEW_FROM_QUEUE, {"to:y@in.example"}, 100, "20", false},
    {VGM_VIEW_FROM_ALL, {"from:%"}, 100, "", false},
    {VGM_VIEW_FROM_ALL, {"from:_@out"}, 100, "", false},
    {VGM_VIEW_FROM_ALL, {"from:\\"}, 100, "", false},
    {VGM_VIEW_FROM_ALL, {"from:' OR 1=1 --"}, 100, "", false},
    {VGM_VIEW_FROM_ALL, {"status:delivered"}, 100, "1 0", false},
    {VGM_VIEW_FROM_ALL, {"status:refused"}, 100, "6", false},
    {VGM_VIEW_FROM_ALL, {"status:expired"}, 100, "20", false},
    {VGM_VIEW_FROM_ALL, {"status:removed", "status:failed"}, 100, "16 1", false},
    {VGM_VIEW_FROM_ALL, {"030303"}, 100, "5", false},
    {VGM_VIEW_FROM_ALL, {"id:03030303030303030303030303030303"}, 100, "5", false},
    {VGM_VIEW_FROM_ALL, {"id:03030303030303030303030303030304"}, 100, "", false},
    {VGM_VIEW_FROM_QUEUE, {"040404"}, 100, "6", false},
    {VGM_VIEW_FROM_QUEUE, {"030303"}, 100, "", false},
    /* the story begins 20,000 days after 1970-01-01, one step a second */
    {VGM_VIEW_FROM_ALL, {"after:2024-10-04T00:00:06"}, 100, "20 16 13 6", false},
    {VGM_VIEW_FROM_ALL, {"before:2024-10-04T00:00:06"}, 100, "5 1 0", false},
    {VGM_VIEW_FROM_ALL, {"after:2024-10-04T00:00:01", "before:2024-10-04T00:00:06"}, 100, "5 1",
        false},
    {VGM_VIEW_FROM_ALL, {"after:2024-10-05"}, 100, "", false},
    {VGM_VIEW_FROM_ALL, {"before:2024-10-04"}, 100, "", false},
};

static void test_cases(void **state)
{
	(void)state;
	char path[64];
	play_path(path);
	struct vgm_views *v = play_open(path);
	play_range(v, play_story, 0, PLAY_STORY_LEN, 7);
	struct vgm_views *reader = play_open_read(path);
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_view_filter filter = {.source = cases[i].source};
		struct list list;
		for (size_t t = 0; t < 4 && cases[i].terms[t]; t++)
			assert_int_equal(
			    vgm_view_filter_add(&filter, vgm_slice_str(cases[i].terms[t])), 0);
		bool more = search(reader, &filter, cases[i].limit, &list);
		if (strcmp(list.text, cases[i].found) != 0 || more != cases[i].more)
			fail_msg("case %zu (%s): found %s%s", i,
			    cases[i].terms[0] ? cases[i].terms[0] : "all", list.text,
			    more ? " and more" : "");
	}
	vgm_views_close(&reader);
	vgm_views_close(&v);
	play_clean(path);
}

static void test_empty(void **state)
{
	(void)state;
	char path[64];
	play_path(path);
	struct vgm_views *v = play_open(path), *reader = play_open_read(path);
	for (int source = VGM_VIEW_FROM_ALL; source <= VGM_VIEW_FROM_WAITING; source++) {
		struct vgm_view_filter filter = {.source = (enum vgm_view_source)source};
		struct list list;
		assert_false(search(reader, &filter, 10, &list));
		assert_int_equal(list.count, 0);
	}
	vgm_views_close(&reader);
	vgm_views_close(&v);
	play_clean(path);
}

/* ---- many messages, far apart ---- */

#define MANY 1000
#define GAP 137 /* sequences that are not mail between two that are */

static void fill(struct vgm_views *v)
{
	struct vgm_err err = {0};
	assert_int_equal(vgm_views_begin(v, &err), 0);
	for (size_t i = 0; i < MANY; i++) {
		struct play mail = {.what = i % 3 ? MAIL : HELD_MAIL, .id = (uint8_t)(i % 200),
		    .sender = i % 100 == 0 ? "rare@out.example" : "often@out.example",
		    .to = {"x@in.example"}};
		struct vgm_record record = {.type = VGM_RECORD_MAIL, .sequence = i * GAP,
		    .time_us = PLAY_START_US + i, .day = PLAY_DAY};
		struct vgm_recipient to = {.address = play_text(mail.to[0])};
		struct vgm_msg_routing routing = {.sender = play_text(mail.sender),
		    .recipients = &to, .recipients_count = 1,
		    .flags = mail.what == HELD_MAIL ? VGM_ROUTING_HELD : 0};
		struct vgm_view_entry entry = {.record = &record, .mail = &routing};
		memset(record.id, (int)(i & 0xff), 16);
		record.id[15] = (uint8_t)(i >> 8);
		if (vgm_views_apply(v, &entry, &err) < 0)
			fail_msg("%s", err.text);
	}
	assert_int_equal(vgm_views_commit(v, play_place(MANY * GAP), &err), 0);
}

static void test_many(void **state)
{
	(void)state;
	static const struct {
		enum vgm_view_source source;
		const char *term;
		size_t limit, count;
		bool more;
	} many[] = {
	    {VGM_VIEW_FROM_ALL, NULL, MANY, MANY, false},
	    {VGM_VIEW_FROM_ALL, NULL, MANY - 1, MANY - 1, true},
	    {VGM_VIEW_FROM_ALL, NULL, 99, 99, true},
	    {VGM_VIEW_FROM_ALL, NULL, 100, 100, true},
	    {VGM_VIEW_FROM_ALL, NULL, 101, 101, true},
	    {VGM_VIEW_FROM_ALL, "from:rare", MANY, 10, false},
	    {VGM_VIEW_FROM_ALL, "from:rare", 10, 10, false},
	    {VGM_VIEW_FROM_ALL, "from:rare", 9, 9, true},
	    {VGM_VIEW_FROM_QUEUE, NULL, MANY, MANY, false},
	    {VGM_VIEW_FROM_QUEUE, NULL, 200, 200, true},
	    {VGM_VIEW_FROM_QUARANTINE, NULL, MANY, 334, false},
	    {VGM_VIEW_FROM_WAITING, NULL, MANY, 666, false},
	    {VGM_VIEW_FROM_WAITING, "status:held", MANY, 0, false},
	    {VGM_VIEW_FROM_QUARANTINE, "from:rare", MANY, 4, false},
	};
	char path[64];
	play_path(path);
	struct vgm_views *v = play_open(path);
	fill(v);
	struct vgm_views *reader = play_open_read(path);
	for (size_t i = 0; i < VGM_ARRAY_LEN(many); i++) {
		struct vgm_view_filter filter = {.source = many[i].source};
		struct list list;
		if (many[i].term)
			assert_int_equal(
			    vgm_view_filter_add(&filter, vgm_slice_str(many[i].term)), 0);
		bool more = search(reader, &filter, many[i].limit, &list);
		if (list.count != many[i].count || more != many[i].more)
			fail_msg("case %zu: %zu%s", i, list.count, more ? " and more" : "");
	}
	vgm_views_close(&reader);
	vgm_views_close(&v);
	play_clean(path);
}

static int refuse(void *context, uint64_t sequence)
{
	(void)context;
	(void)sequence;
	return VGM_E_LIMIT;
}

static void test_stops(void **state)
{
	(void)state;
	char path[64];
	struct vgm_err err;
	struct vgm_view_filter filter = {.source = VGM_VIEW_FROM_ALL};
	struct list list = {.count = 0};
	play_path(path);
	struct vgm_views *v = play_open(path);
	fill(v);
	struct vgm_views *reader = play_open_read(path);
	struct vgm_view_search *s = vgm_view_search_new(&filter, 10);
	assert_int_equal(vgm_view_search_step(s, reader, refuse, NULL, &err), VGM_E_LIMIT);
	vgm_view_search_free(&s);
	/* A deadline that has passed ends any step that takes a while. */
	assert_int_equal(vgm_view_filter_add(&filter, VGM_SLICE_LIT("from:nobody")), 0);
	s = vgm_view_search_new(&filter, 10);
	vgm_views_deadline(reader, 1);
	int r = 1;
	while (r == 1)
		r = vgm_view_search_step(s, reader, note, &list, &err);
	assert_true(r == 0 || r == VGM_E_TIMEOUT);
	vgm_views_deadline(reader, 0);
	vgm_view_search_free(&s);
	vgm_views_close(&reader);
	vgm_views_close(&v);
	play_clean(path);
}

static void test_locate(void **state)
{
	(void)state;
	char path[64];
	struct vgm_err err;
	struct vgm_view_spot spot;
	play_path(path);
	struct vgm_views *v = play_open(path);
	play_range(v, play_story, 0, PLAY_STORY_LEN, 7);
	assert_int_equal(vgm_view_locate(v, 5, &spot, &err), 0);
	assert_int_equal(spot.id[0], 3);
	assert_int_equal(spot.segment, 1);
	assert_int_equal(spot.offset, 5000);
	assert_int_equal(spot.state, VGM_VIEW_RELAYED);
	assert_int_equal(vgm_view_locate(v, 2, &spot, &err), VGM_E_NOTFOUND);
	vgm_views_close(&v);
	play_clean(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cases),
	    cmocka_unit_test(test_empty),
	    cmocka_unit_test(test_many),
	    cmocka_unit_test(test_stops),
	    cmocka_unit_test(test_locate),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
