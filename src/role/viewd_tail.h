/* SPDX-License-Identifier: EUPL-1.2
 * role/viewd_tail.h — viewd's side of the ledger: reads synced records, opens
 * their routing parts with lent keys, writes the views in batches; rebuilds
 * them beside the old ones; drops messages of days whose key is destroyed.
 *
 * Everything happens in slices of at most a tenth of a second, on the loop. */
#ifndef VGM_ROLE_VIEWD_TAIL_H
#define VGM_ROLE_VIEWD_TAIL_H

#include "role/role.h"
#include "view/query.h"

struct vgm_viewd_tail;

struct vgm_viewd_status {
	struct vgm_view_place views;  /* covered by the views */
	struct vgm_view_place synced; /* said by ledgerd */
	bool rebuilding;
	uint64_t rebuilt; /* records that the new views cover */
};

/* Opens the views in the working directory. VGM_E_IO, VGM_E_NOSPACE. */
int vgm_viewd_tail_new(struct vgm_role_run *, struct vgm_viewd_tail **out, struct vgm_err *)
    VGM_MUST_USE;
/* Commits what is in hand; the rest waits for the next start. */
void vgm_viewd_tail_free(struct vgm_viewd_tail **);

/* ---- what peers say ---- */
void vgm_viewd_tail_synced(struct vgm_viewd_tail *, const struct vgm_msg_synced *);
void vgm_viewd_tail_lent(struct vgm_viewd_tail *, const struct vgm_msg_lent *);
void vgm_viewd_tail_keyd_came(struct vgm_viewd_tail *); /* asks again for what it waits for */

/* ---- what people ask ---- */

/* Takes in what is synced and waits for its batch, for at most 200 ms: a person
 * sees the mail that was accepted a moment ago. */
void vgm_viewd_tail_freshen(struct vgm_viewd_tail *);
/* To query; NULL while there is none. Changes at the end of a rebuild: never kept. */
struct vgm_views *vgm_viewd_tail_read(struct vgm_viewd_tail *);
struct vgm_viewd_status vgm_viewd_tail_status(const struct vgm_viewd_tail *);
/* Begins to make the views anew; the old ones answer until the end. done is
 * called once, with 0 or what went wrong. VGM_E_BUSY: one is under way. */
int vgm_viewd_tail_rebuild(struct vgm_viewd_tail *, void (*done)(void *context, int result),
    void *context, struct vgm_err *) VGM_MUST_USE;

#endif
