/* SPDX-License-Identifier: EUPL-1.2
 * role/keyd_jobs.c — see keyd_jobs.h. A ring in order of arrival, which is the
 * order of expiry too, and hash chains through it; tokens are random, so their
 * first bytes are the hash. Places count from 1, 0 is no place. */
#include "role/keyd_jobs.h"

#include "base/secret.h"

#define BUCKETS 32768u

struct place {
	struct vgm_keyd_job job;
	uint64_t expires_ms; /* 0: empty */
	uint32_t next;       /* in its chain */
};

struct vgm_keyd_jobs {
	uint32_t bucket[BUCKETS];
	uint32_t turn; /* the place that the next job takes */
	struct place place[VGM_KEYD_JOBS_MAX + 1];
};

struct vgm_keyd_jobs *vgm_keyd_jobs_new(void)
{
	struct vgm_keyd_jobs *j = vgm_alloc(sizeof *j);
	j->turn = 1;
	return j;
}

void vgm_keyd_jobs_free(struct vgm_keyd_jobs **jobs)
{
	if (*jobs)
		vgm_wipe(*jobs, sizeof **jobs);
	vgm_free(*jobs);
	*jobs = NULL;
}

static uint32_t *bucket_of(struct vgm_keyd_jobs *j, const uint8_t token[16])
{
	uint32_t hash = (uint32_t)token[0] << 8 | token[1];
	return &j->bucket[hash % BUCKETS];
}

/* The link that points to the token's place, or to 0 at its chain's end. */
static uint32_t *link_to(struct vgm_keyd_jobs *j, const uint8_t token[16])
{
	uint32_t *link = bucket_of(j, token);
	while (*link && !vgm_secret_eq(j->place[*link].job.token, token, 16))
		link = &j->place[*link].next;
	return link;
}

static void clear(struct vgm_keyd_jobs *j, uint32_t *link)
{
	struct place *p = &j->place[*link];
	*link = p->next;
	vgm_wipe(p, sizeof *p);
}

void vgm_keyd_jobs_add(struct vgm_keyd_jobs *j, const struct vgm_keyd_job *job, uint64_t now_ms)
{
	uint32_t *known = link_to(j, job->token);
	if (*known)
		clear(j, known);
	uint32_t at = j->turn;
	struct place *p = &j->place[at];
	if (p->expires_ms)
		clear(j, link_to(j, p->job.token));
	uint32_t *first = bucket_of(j, job->token);
	*p = (struct place){
	    .job = *job, .expires_ms = now_ms + VGM_KEYD_JOB_MS, .next = *first};
	*first = at;
	j->turn = at == VGM_KEYD_JOBS_MAX ? 1 : at + 1;
}

bool vgm_keyd_jobs_take(struct vgm_keyd_jobs *j, const uint8_t token[16], uint64_t now_ms,
    struct vgm_keyd_job *out)
{
	uint32_t *link = link_to(j, token);
	if (!*link)
		return false;
	bool fresh = now_ms < j->place[*link].expires_ms;
	if (fresh)
		*out = j->place[*link].job;
	clear(j, link);
	return fresh;
}
