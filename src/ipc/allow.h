/* SPDX-License-Identifier: EUPL-1.2
 * ipc/allow.h — who may send what to whom: the whole surface between processes
 * on one screen (ipc/allow.c), and the order in which roles may block. */
#ifndef VGM_IPC_ALLOW_H
#define VGM_IPC_ALLOW_H

#include "ipc/message.h"

enum vgm_allow_flags {
	VGM_ALLOW_ONCE = 1,   /* at most once on a channel */
	VGM_ALLOW_WAITS = 2,  /* the sender blocks until the answer (rule 11's order) */
};

struct vgm_allow {
	enum vgm_role_id from, to;
	int type;             /* enum vgm_msg_type */
	unsigned flags;
};

/* The table, ended by a row of type 0. */
extern const struct vgm_allow vgm_allow_table[];
/* The row, or NULL: forbidden. */
const struct vgm_allow *vgm_allow_find(enum vgm_role_id from, enum vgm_role_id to, int type);
/* "smtpd", "admit", ... */
const char *vgm_role_name(enum vgm_role_id);

#endif
