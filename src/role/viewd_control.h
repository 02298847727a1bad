/* SPDX-License-Identifier: EUPL-1.2
 * role/viewd_control.h — viewd's side of people: takes commands on the control
 * socket, answers with rows, hands acts to ledgerd and openings to the show
 * pool. Only root and the gateway's own user may ask. */
#ifndef VGM_ROLE_VIEWD_CONTROL_H
#define VGM_ROLE_VIEWD_CONTROL_H

#include "role/viewd_tail.h"

/* How CONTROL_END.code is to be read: exit statuses of the command. */
enum vgm_viewd_code {
	VGM_VIEWD_OK = 0,
	VGM_VIEWD_NO = 1,          /* nothing found */
	VGM_VIEWD_USAGE = 2,       /* the question is wrong */
	VGM_VIEWD_UNREACHABLE = 3, /* a part of the server is away, or took too long */
	VGM_VIEWD_SYSTEM = 5,
};

struct vgm_viewd_control;

struct vgm_viewd_control *vgm_viewd_control_new(struct vgm_role_run *, struct vgm_viewd_tail *);
void vgm_viewd_control_free(struct vgm_viewd_control **);

/* Answers of others to what was asked for a person. */
void vgm_viewd_control_acted(struct vgm_viewd_control *, const struct vgm_msg_schedule_acted *);
void vgm_viewd_control_opened(struct vgm_viewd_control *, const struct vgm_msg_record_opened *);
void vgm_viewd_control_shown(struct vgm_viewd_control *, const struct vgm_msg_shown *);
void vgm_viewd_control_filter_died(struct vgm_viewd_control *, const struct vgm_msg_filter_died *);
/* ledgerd or the show pool has gone: who waits for it is told. */
void vgm_viewd_control_lost(struct vgm_viewd_control *, enum vgm_role_id);

#endif
