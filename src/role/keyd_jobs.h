/* SPDX-License-Identifier: EUPL-1.2
 * role/keyd_jobs.h — the jobs that keyd knows of: who holds the token of one may
 * have its key, once, within ten minutes (rule 10). Pure: time is given.
 *
 * Bounded: the oldest job makes room for a new one; ledgerd, which registered
 * it, then sees a delivery that could not be rendered, and tries again. */
#ifndef VGM_ROLE_KEYD_JOBS_H
#define VGM_ROLE_KEYD_JOBS_H

#include "ipc/message.h"

#define VGM_KEYD_JOBS_MAX 16384u /* more than queue.in_flight can be */
#define VGM_KEYD_JOB_MS (10u * 60 * 1000)

struct vgm_keyd_job {
	uint8_t token[16];
	uint32_t entity;
	uint32_t day;
	uint8_t wrap[60];
	uint8_t purpose; /* enum vgm_purpose */
};

struct vgm_keyd_jobs;

struct vgm_keyd_jobs *vgm_keyd_jobs_new(void);
void vgm_keyd_jobs_free(struct vgm_keyd_jobs **);

/* A token that is known already is replaced. */
void vgm_keyd_jobs_add(struct vgm_keyd_jobs *, const struct vgm_keyd_job *, uint64_t now_ms);
/* Takes the job out. False: unknown, taken before, or too old. */
bool vgm_keyd_jobs_take(struct vgm_keyd_jobs *, const uint8_t token[16], uint64_t now_ms,
    struct vgm_keyd_job *out);

#endif
