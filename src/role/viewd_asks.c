/* SPDX-License-Identifier: EUPL-1.2
 * role/viewd_asks.c — what viewd cannot do itself: ledgerd acts on the schedule
 * and writes down who asked; it also registers, in the ledger first, that a
 * record is opened; the show pool opens it. */
#include "role/viewd_client.h"

#include "base/clock.h"
#include "ipc/allow.h"

#include <stdio.h>

#define ANSWER_MS 60000

/* ---- asking ---- */

void vgm_viewd_no_answer(struct vgm_viewd_client *c)
{
	vgm_viewd_end(c, VGM_VIEWD_UNREACHABLE, VGM_WORDS_view_no_answer,
	    vgm_slice_str(vgm_role_name(c->waits_for)));
}

static void ask(
    struct vgm_viewd_client *c, enum vgm_role_id role, enum vgm_msg_type type, const void *m)
{
	struct vgm_channel *peer = vgm_role_peer(c->control->run, role, VGM_INSTANCE_ONLY);
	c->job = VGM_VIEWD_JOB_ANSWER;
	c->waits_for = role;
	c->deadline_ms = vgm_clock_mono_ms() + ANSWER_MS;
	if (!peer || vgm_channel_send(peer, type, m) < 0)
		vgm_viewd_no_answer(c);
	else
		vgm_viewd_work_soon(c->control, ANSWER_MS);
}

/* spot NULL: every message. */
void vgm_viewd_act(struct vgm_viewd_client *c, const struct vgm_view_spot *spot)
{
	struct vgm_msg_schedule_act act = {.act = c->verb->act, .who = vgm_slice_str(c->who)};
	c->session = act.session = ++c->control->last_session;
	if (spot)
		memcpy(act.record, spot->id, sizeof act.record);
	ask(c, VGM_ROLE_LEDGERD, VGM_MSG_schedule_act, &act);
}

void vgm_viewd_open(struct vgm_viewd_client *c, const struct vgm_view_spot *spot)
{
	struct vgm_msg_open_record open = {.segment = spot->segment,
	    .record_offset = spot->offset,
	    .what = c->verb->what,
	    .who = vgm_slice_str(c->who),
	    .why = vgm_buf_slice(&c->why)};
	c->session = open.session = ++c->control->last_session;
	memcpy(open.record, spot->id, sizeof open.record);
	ask(c, VGM_ROLE_LEDGERD, VGM_MSG_open_record, &open);
}

/* ---- answers ---- */

static struct vgm_viewd_client *waiting_client(struct vgm_viewd_control *control, uint64_t session)
{
	for (struct vgm_viewd_client *c = control->clients; c; c = c->next)
		if (c->job == VGM_VIEWD_JOB_ANSWER && c->session == session)
			return c;
	return NULL; /* gone meanwhile, or its time was over */
}

void vgm_viewd_control_acted(
    struct vgm_viewd_control *control, const struct vgm_msg_schedule_acted *m)
{
	struct vgm_viewd_client *c = waiting_client(control, m->session);
	char row[60];
	if (!c)
		return;
	snprintf(row, sizeof row, "{\"messages\":%u}", m->count);
	/* If this does not arrive, neither does the end. */
	(void)!vgm_viewd_send_row(c, row);
	if (m->count || c->all)
		vgm_viewd_end_well(c);
	else
		vgm_viewd_end(
		    c, VGM_VIEWD_NO, VGM_WORDS_view_not_acted, vgm_buf_slice(&c->terms[0]));
}

void vgm_viewd_control_opened(
    struct vgm_viewd_control *control, const struct vgm_msg_record_opened *m)
{
	struct vgm_viewd_client *c = waiting_client(control, m->session);
	struct vgm_err err = {.code = 0};
	struct vgm_view_spot spot;
	if (!c)
		return;
	if (!m->ok) {
		vgm_viewd_end(c, VGM_VIEWD_NO, VGM_WORDS_view_closed, vgm_buf_slice(&c->terms[0]));
		return;
	}
	struct vgm_views *views = vgm_viewd_client_views(c);
	if (!views)
		return;
	if (vgm_view_locate(views, c->found, &spot, &err) < 0) {
		vgm_viewd_end_err(c, &err);
		return;
	}
	struct vgm_msg_show show = {.session = m->session,
	    .record_offset = spot.offset,
	    .what = c->verb->what,
	    .segment = m->segment};
	memcpy(show.token, m->token, sizeof show.token);
	memcpy(show.record, spot.id, sizeof show.record);
	ask(c, VGM_ROLE_SHOW, VGM_MSG_show, &show);
}

void vgm_viewd_control_shown(struct vgm_viewd_control *control, const struct vgm_msg_shown *m)
{
	struct vgm_viewd_client *c = waiting_client(control, m->session);
	char json[60];
	if (!c)
		return;
	if (!m->ok) {
		vgm_viewd_end(
		    c, VGM_VIEWD_SYSTEM, VGM_WORDS_view_not_shown, vgm_buf_slice(&c->terms[0]));
		return;
	}
	struct vgm_msg_control_row row = {.json = m->text, .fd = m->fd};
	if (c->verb->what == VGM_SHOW_RAW) {
		snprintf(json, sizeof json, "{\"size\":%llu}", (unsigned long long)m->size);
		row.json = vgm_slice_str(json);
	} else {
		struct vgm_err err = {.code = 0};
		struct vgm_views *views = vgm_viewd_client_views(c);
		if (!views)
			return;
		/* The envelope first, then what the show pool read. */
		int r = vgm_view_row_message(views, c->found, false, vgm_viewd_send_row, c, &err);
		if (r < 0) {
			vgm_viewd_end_err(c, &err);
			return;
		}
	}
	if (vgm_channel_send(c->channel, VGM_MSG_control_row, &row) < 0)
		vgm_viewd_client_clear(c);
	else
		vgm_viewd_end_well(c);
}

void vgm_viewd_control_filter_died(
    struct vgm_viewd_control *control, const struct vgm_msg_filter_died *m)
{
	struct vgm_viewd_client *c = waiting_client(control, m->session);
	if (c)
		vgm_viewd_end(
		    c, VGM_VIEWD_SYSTEM, VGM_WORDS_view_not_shown, vgm_buf_slice(&c->terms[0]));
}

void vgm_viewd_control_lost(struct vgm_viewd_control *control, enum vgm_role_id role)
{
	for (struct vgm_viewd_client *c = control->clients; c; c = c->next)
		if (c->job == VGM_VIEWD_JOB_ANSWER && c->waits_for == role)
			vgm_viewd_no_answer(c);
}
