/* SPDX-License-Identifier: EUPL-1.2
 * role/viewd.c — the role "viewd": tails synced records, is the sole writer of
 * the views, answers people's commands. It sees envelopes of the open window;
 * never subjects, bodies or message keys. Nothing waits for it: mail is accepted
 * and delivered while it is away.
 *
 *	viewd_tail.c      the ledger → the views
 *	viewd_keys.c      routing keys that keyd lends, by day
 *	viewd_control.c   people's questions → rows, acts, openings */
#include "role/viewd_control.h"
#include "role/viewd_tail.h"

#include <unistd.h>

struct viewd {
	struct vgm_viewd_tail *tail;
	struct vgm_viewd_control *control;
};

/* Everything that SQLite opens is named without a directory (view/store.c). */
static int prepare(struct vgm_role_run *run, struct vgm_err *err)
{
	if (fchdir(run->extra_fd) < 0)
		return vgm_err_sys(err, "the directory of the views");
	return 0;
}

static int begin(struct vgm_role_run *run, struct vgm_err *err)
{
	struct vgm_viewd_tail *tail;
	int r = vgm_viewd_tail_new(run, &tail, err);
	if (r < 0)
		return r;
	struct viewd *viewd = vgm_alloc(sizeof *viewd);
	viewd->tail = tail;
	viewd->control = vgm_viewd_control_new(run, tail);
	run->state = viewd;
	return 0;
}

static void message(struct vgm_role_run *run, struct vgm_channel *from, int type, void *m)
{
	struct viewd *viewd = run->state;
	(void)from;
	switch (type) {
	case VGM_MSG_synced:
		vgm_viewd_tail_synced(viewd->tail, m);
		break;
	case VGM_MSG_lent:
		vgm_viewd_tail_lent(viewd->tail, m);
		break;
	case VGM_MSG_schedule_acted:
		vgm_viewd_control_acted(viewd->control, m);
		break;
	case VGM_MSG_record_opened:
		vgm_viewd_control_opened(viewd->control, m);
		break;
	case VGM_MSG_shown:
		vgm_viewd_control_shown(viewd->control, m);
		break;
	case VGM_MSG_filter_died:
		vgm_viewd_control_filter_died(viewd->control, m);
		break;
	default:
		VGM_BUG_ON(true); /* a row of ipc/allow.c without a handler */
	}
}

static void peer_came(struct vgm_role_run *run, struct vgm_channel *peer)
{
	struct viewd *viewd = run->state;
	if (viewd && vgm_channel_peer(peer) == VGM_ROLE_KEYD)
		vgm_viewd_tail_keyd_came(viewd->tail);
}

static void peer_gone(struct vgm_role_run *run, struct vgm_channel *peer)
{
	struct viewd *viewd = run->state;
	if (viewd)
		vgm_viewd_control_lost(viewd->control, vgm_channel_peer(peer));
}

static void stop(struct vgm_role_run *run)
{
	struct viewd *viewd = run->state;
	vgm_viewd_control_free(&viewd->control);
	vgm_viewd_tail_free(&viewd->tail);
	vgm_free(viewd);
	run->state = NULL;
	vgm_role_done(run);
}

const struct vgm_role vgm_role_viewd = {
    .id = VGM_ROLE_VIEWD,
    .prepare = prepare,
    .begin = begin,
    .message = message,
    .peer_came = peer_came,
    .peer_gone = peer_gone,
    .stop = stop,
    .sandbox =
	{
	    .flags = VGM_SANDBOX_FILES | VGM_SANDBOX_READ_ONLY_FILES | VGM_SANDBOX_ACCEPT,
	    .memory_bytes = 1u << 30,
	    .files = 256,
	},
};
