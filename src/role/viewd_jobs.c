/* SPDX-License-Identifier: EUPL-1.2
 * role/viewd_jobs.c — the verbs of the control socket, and the steps of those
 * that take a while. A search gives rows as fast as the client takes them; a
 * question about one message (show, hold, ...) first looks for it by its id, and
 * goes on only when exactly one is found. Whoever asks has a time limit. */
#include "role/viewd_client.h"

#include "base/clock.h"

#include <stdio.h>

#define SEARCH_MS 10000
#define PAUSE_MS 5
#define PROGRESS_MS 1000
#define LOOK_MS 500

/* ---- steps ---- */

static int give_message(void *context, uint64_t sequence)
{
	struct vgm_viewd_client *c = context;
	return vgm_view_row_message(vgm_viewd_tail_read(c->control->tail), sequence,
	    c->verb->history, vgm_viewd_send_row, c, &c->err);
}

static int note_message(void *context, uint64_t sequence)
{
	struct vgm_viewd_client *c = context;
	c->found = sequence;
	return 0;
}

static void search_over(struct vgm_viewd_client *c)
{
	bool more = vgm_view_search_more(c->search);
	bool none = vgm_view_search_count(c->search) == 0;
	char number[24];
	snprintf(number, sizeof number, "%zu", c->limit);
	if (more)
		vgm_viewd_end(c, VGM_VIEWD_OK, VGM_WORDS_view_more, vgm_slice_str(number));
	else if (none && c->verb->none_is_no)
		vgm_viewd_end(c, VGM_VIEWD_NO, VGM_WORDS_view_nothing, VGM_SLICE_NONE);
	else
		vgm_viewd_end_well(c);
}

static void step_search(struct vgm_viewd_client *c)
{
	struct vgm_views *views = vgm_viewd_client_views(c);
	if (!views)
		return;
	if (vgm_clock_mono_ms() >= c->deadline_ms) {
		vgm_viewd_end(c, VGM_VIEWD_UNREACHABLE, VGM_WORDS_view_timeout, VGM_SLICE_NONE);
		return;
	}
	int r = vgm_view_search_step(c->search, views, give_message, c, &c->err);
	if (r == 0)
		search_over(c);
	else if (r < 0 && c->sent == 0)
		vgm_viewd_end_err(c, &c->err);
	else if (r < 0) /* the client does not keep up, or has gone */
		vgm_viewd_client_clear(c);
}

static void one_found(struct vgm_viewd_client *c)
{
	struct vgm_err err = {.code = 0};
	struct vgm_view_spot spot;
	struct vgm_views *views = vgm_viewd_client_views(c);
	if (!views)
		return;
	if (vgm_view_locate(views, c->found, &spot, &err) < 0)
		vgm_viewd_end_err(c, &err);
	else if (c->verb->act)
		vgm_viewd_act(c, &spot);
	else
		vgm_viewd_open(c, &spot);
}

static void step_one(struct vgm_viewd_client *c)
{
	struct vgm_err err = {.code = 0};
	struct vgm_views *views = vgm_viewd_client_views(c);
	if (!views)
		return;
	if (vgm_clock_mono_ms() >= c->deadline_ms) {
		vgm_viewd_end(c, VGM_VIEWD_UNREACHABLE, VGM_WORDS_view_timeout, VGM_SLICE_NONE);
		return;
	}
	int r = vgm_view_search_step(c->search, views, note_message, c, &err);
	if (r < 0)
		vgm_viewd_end_err(c, &err);
	else if (r == 0 && vgm_view_search_count(c->search) == 0)
		vgm_viewd_end(
		    c, VGM_VIEWD_NO, VGM_WORDS_view_no_such_message, vgm_buf_slice(&c->terms[0]));
	else if (r == 0 && vgm_view_search_more(c->search))
		vgm_viewd_end(
		    c, VGM_VIEWD_USAGE, VGM_WORDS_view_ambiguous, vgm_buf_slice(&c->terms[0]));
	else if (r == 0)
		one_found(c);
}

static void step_rebuild(struct vgm_viewd_client *c)
{
	struct vgm_viewd_status status = vgm_viewd_tail_status(c->control->tail);
	char row[200];
	if (vgm_clock_mono_ms() < c->deadline_ms)
		return;
	c->deadline_ms = vgm_clock_mono_ms() + PROGRESS_MS;
	snprintf(row, sizeof row, "{\"rebuilt\":%llu,\"of\":%llu}",
	    (unsigned long long)status.rebuilt, (unsigned long long)status.synced.tree_size);
	/* A client that does not keep up misses some progress, not the end. */
	(void)!vgm_viewd_send_row(c, row);
}

static void step_devices(struct vgm_viewd_client *c)
{
	const struct vgm_conf *conf = &c->control->run->conf;
	struct vgm_err err = {.code = 0};
	struct vgm_views *views = vgm_viewd_client_views(c);
	if (!views)
		return;
	int r = vgm_view_row_devices(views, conf->devices, conf->devices_count, &c->device,
	    vgm_viewd_send_row, c, &err);
	if (r == 0)
		vgm_viewd_end_well(c);
	else if (r < 0 && c->sent == 0)
		vgm_viewd_end_err(c, &err);
	else if (r < 0)
		vgm_viewd_client_clear(c);
}

uint64_t vgm_viewd_step(struct vgm_viewd_client *c)
{
	bool paused = vgm_channel_waiting(c->channel) > VGM_VIEWD_ROWS_WAITING;
	if (c->job == VGM_VIEWD_JOB_SEARCH && !paused)
		step_search(c);
	else if (c->job == VGM_VIEWD_JOB_ONE)
		step_one(c);
	else if (c->job == VGM_VIEWD_JOB_DEVICES && !paused)
		step_devices(c);
	else if (c->job == VGM_VIEWD_JOB_REBUILD && !paused)
		step_rebuild(c);
	else if (c->job == VGM_VIEWD_JOB_ANSWER && vgm_clock_mono_ms() >= c->deadline_ms)
		vgm_viewd_no_answer(c);
	if (c->job == VGM_VIEWD_JOB_NONE)
		return UINT64_MAX;
	if (c->job == VGM_VIEWD_JOB_SEARCH || c->job == VGM_VIEWD_JOB_ONE ||
	    c->job == VGM_VIEWD_JOB_DEVICES)
		return paused ? PAUSE_MS : 0;
	return LOOK_MS;
}

/* ---- verbs ---- */

static void start_search(struct vgm_viewd_client *c, size_t limit, enum vgm_viewd_job job)
{
	c->filter.source = c->verb->source;
	c->search = vgm_view_search_new(&c->filter, limit);
	c->deadline_ms = vgm_clock_mono_ms() + SEARCH_MS;
	c->job = job;
	vgm_viewd_work_soon(c->control, 0);
}

static void begin_list(struct vgm_viewd_client *c)
{
	start_search(c, c->limit, VGM_VIEWD_JOB_SEARCH);
}

static void begin_one(struct vgm_viewd_client *c)
{
	if (c->verb->act && c->all) {
		vgm_viewd_act(c, NULL);
		return;
	}
	if (!c->filter.by_id) {
		vgm_viewd_end(c, VGM_VIEWD_USAGE, VGM_WORDS_view_term_id,
		    c->terms_count ? vgm_buf_slice(&c->terms[0]) : VGM_SLICE_NONE);
		return;
	}
	start_search(c, 1, VGM_VIEWD_JOB_ONE);
}

static void begin_devices(struct vgm_viewd_client *c)
{
	c->device = (struct vgm_view_device_cursor){.named = 0};
	c->job = VGM_VIEWD_JOB_DEVICES;
	vgm_viewd_work_soon(c->control, 0);
}

static void begin_count(struct vgm_viewd_client *c)
{
	struct vgm_err err = {.code = 0};
	struct vgm_views *views = vgm_viewd_client_views(c);
	if (!views)
		return;
	if (vgm_view_row_counts(views, vgm_viewd_send_row, c, &err) < 0)
		vgm_viewd_end_err(c, &err);
	else
		vgm_viewd_end_well(c);
}

static void begin_info(struct vgm_viewd_client *c)
{
	struct vgm_err err = {.code = 0};
	struct vgm_viewd_status s = vgm_viewd_tail_status(c->control->tail);
	struct vgm_views *views = vgm_viewd_client_views(c);
	char row[400];
	if (!views)
		return;
	snprintf(row, sizeof row,
	    "{\"records\":%llu,\"segment\":%llu,\"offset\":%llu,\"viewed\":%llu,\"behind\":%llu,"
	    "\"rebuilding\":%s}",
	    (unsigned long long)s.synced.tree_size, (unsigned long long)s.synced.segment,
	    (unsigned long long)s.synced.offset, (unsigned long long)s.views.tree_size,
	    (unsigned long long)(s.synced.tree_size - s.views.tree_size),
	    s.rebuilding ? "true" : "false");
	int r = vgm_viewd_send_row(c, row);
	if (r == 0)
		r = vgm_view_row_views(views, vgm_viewd_send_row, c, &err);
	if (r < 0)
		vgm_viewd_end_err(c, &err);
	else
		vgm_viewd_end_well(c);
}

static void begin_events(struct vgm_viewd_client *c)
{
	struct vgm_err err = {.code = 0};
	struct vgm_views *views = vgm_viewd_client_views(c);
	uint64_t last;
	size_t count;
	if (!views)
		return;
	size_t limit = vgm_min_size(c->limit, 1000);
	if (vgm_view_row_events(
		views, INT64_MAX, limit, &last, &count, vgm_viewd_send_row, c, &err) < 0)
		vgm_viewd_end_err(c, &err);
	else
		vgm_viewd_end_well(c);
}

static void rebuild_done(void *context, int result)
{
	struct vgm_viewd_control *control = context;
	for (struct vgm_viewd_client *c = control->clients; c; c = c->next) {
		if (c->job != VGM_VIEWD_JOB_REBUILD)
			continue;
		struct vgm_err err = {.code = 0};
		struct vgm_views *views = result < 0 ? NULL : vgm_viewd_client_views(c);
		if (result < 0)
			vgm_viewd_end(c, VGM_VIEWD_SYSTEM, VGM_WORDS_view_rebuild_failed,
			    vgm_slice_str(vgm_err_name(result)));
		else if (views && vgm_view_row_views(views, vgm_viewd_send_row, c, &err) < 0)
			vgm_viewd_end_err(c, &err);
		else if (views)
			vgm_viewd_end_well(c);
	}
}

static void begin_rebuild(struct vgm_viewd_client *c)
{
	const struct vgm_view *keep = NULL;
	struct vgm_err err = {.code = 0};
	/* Rule 3: what cannot be made anew is never dropped. */
	if (!vgm_view_droppable(vgm_view_table, vgm_view_table_len, &keep)) {
		vgm_viewd_end(
		    c, VGM_VIEWD_NO, VGM_WORDS_view_not_droppable, vgm_slice_str(keep->name));
		return;
	}
	int r = vgm_viewd_tail_rebuild(c->control->tail, rebuild_done, c->control, &err);
	if (r == VGM_E_BUSY) {
		vgm_viewd_end(
		    c, VGM_VIEWD_UNREACHABLE, VGM_WORDS_view_rebuild_busy, VGM_SLICE_NONE);
		return;
	}
	if (r < 0) {
		vgm_viewd_end_err(c, &err);
		return;
	}
	c->job = VGM_VIEWD_JOB_REBUILD;
	c->deadline_ms = vgm_clock_mono_ms() + PROGRESS_MS;
	vgm_viewd_work_soon(c->control, LOOK_MS);
}

#define ALL VGM_VIEW_FROM_ALL
#define QUEUE VGM_VIEW_FROM_QUEUE
#define QUARANTINE VGM_VIEW_FROM_QUARANTINE

static const struct vgm_viewd_verb verbs[] = {
    {.name = "queue list", .begin = begin_list, .source = VGM_VIEW_FROM_WAITING},
    {.name = "queue count", .begin = begin_count},
    {.name = "queue flush", .begin = begin_one, .source = QUEUE, .act = VGM_ACT_FLUSH},
    {.name = "queue hold", .begin = begin_one, .source = QUEUE, .act = VGM_ACT_HOLD},
    {.name = "queue release", .begin = begin_one, .source = QUEUE, .act = VGM_ACT_RELEASE},
    {.name = "queue remove", .begin = begin_one, .source = QUEUE, .act = VGM_ACT_REMOVE},
    {.name = "quarantine list", .begin = begin_list, .source = QUARANTINE},
    {.name = "quarantine release",
	.begin = begin_one,
	.source = QUARANTINE,
	.act = VGM_ACT_RELEASE},
    {.name = "quarantine remove", .begin = begin_one, .source = QUARANTINE, .act = VGM_ACT_REMOVE},
    {.name = "track",
	.begin = begin_list,
	.source = ALL,
	.history = true,
	.none_is_no = true,
	.needs_word = true},
    {.name = "search", .begin = begin_list, .source = ALL, .none_is_no = true, .needs_word = true},
    {.name = "show head", .begin = begin_one, .source = ALL, .what = VGM_SHOW_HEAD},
    {.name = "show raw", .begin = begin_one, .source = ALL, .what = VGM_SHOW_RAW},
    {.name = "devices", .begin = begin_devices},
    {.name = "ledger info", .begin = begin_info},
    {.name = "ledger events", .begin = begin_events},
    {.name = "ledger rebuild", .begin = begin_rebuild},
};

const struct vgm_viewd_verb *vgm_viewd_verb_find(struct vgm_slice name)
{
	for (size_t i = 0; i < VGM_ARRAY_LEN(verbs); i++)
		if (vgm_slice_eq(name, vgm_slice_str(verbs[i].name)))
			return &verbs[i];
	return NULL;
}
