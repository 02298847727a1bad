/* SPDX-License-Identifier: EUPL-1.2
 * role/filter_worker.h — the life of a forked filter process. */
#ifndef VGM_ROLE_FILTER_WORKER_H
#define VGM_ROLE_FILTER_WORKER_H

#include "role/filter.h"

/* Closes every descriptor that the worker's jobs do not need: the template's
 * channels to master, keyd and ledgerd above all. */
void vgm_filter_worker_close_others(const struct vgm_filter_worker *);

/* Takes jobs until it is time to leave, then exits 0. */
void vgm_filter_worker_run(struct vgm_filter_worker *) VGM_NORETURN;

#endif
