/* SPDX-License-Identifier: EUPL-1.2
 * role/filter.h — the three pools of filters (rule 10) and what their processes
 * share. A template has loaded everything, is sandboxed, and has never seen mail;
 * it forks workers. A worker takes one job at a time from the sockets of those
 * who ask, in straight-line blocking code, and is replaced after
 * filter.messages jobs, after anything suspicious, and when it dies. */
#ifndef VGM_ROLE_FILTER_H
#define VGM_ROLE_FILTER_H

#include "directory/directory.h"
#include "ledger/seal.h"
#include "role/role.h"

#define VGM_FILTER_DOORS_MAX 4
#define VGM_FILTER_KEYS 16 /* asked of keyd at a time */

/* One worker's line in memory shared with its template: which job it is at. */
struct vgm_filter_slot {
	_Atomic uint32_t serial; /* odd while a job is in hand; counts up */
	_Atomic uint32_t retire; /* set by the template: leave after this job */
	uint32_t door;           /* whose job: the door's number */
	uint64_t session;        /* its number there */
};

/* A socket that jobs come from and answers go to. */
struct vgm_filter_door {
	enum vgm_role_id peer;
	int fd; /* -1: its owner has gone */
	uint32_t number; /* never given twice: a restarted owner counts its sessions anew */
};

struct vgm_filter_worker {
	const struct vgm_role_run *run;
	const struct vgm_conf *conf;
	const struct vgm_directory *directory;
	struct vgm_filter_door doors[VGM_FILTER_DOORS_MAX];
	size_t doors_count;
	int keyd_fd, ledgerd_fd; /* the worker's own channels */
	struct vgm_filter_slot *slot;
	struct vgm_seal_tools *tools;
	struct vgm_received job, answer;
	struct vgm_wrapped_key keys[VGM_FILTER_KEYS]; /* fresh, each used once */
	size_t keys_count;
	uint32_t keys_day;
	uint64_t keys_until_ms; /* a day key must not be used long after its day */
	uint64_t deadline_ms;   /* of the job in hand */
	bool retire;            /* after this job */
};

/* The jobs, each one function from top to bottom; the answer is sent on door.
 * VGM_E_CLOSED: a server that the worker needs has gone, the worker leaves. */
int vgm_filter_admit(
    struct vgm_filter_worker *, int door, struct vgm_msg_admit *, struct vgm_err *);
int vgm_filter_render(
    struct vgm_filter_worker *, int door, struct vgm_msg_render *, struct vgm_err *);
int vgm_filter_notify(
    struct vgm_filter_worker *, int door, struct vgm_msg_notify *, struct vgm_err *);
int vgm_filter_show(struct vgm_filter_worker *, int door, struct vgm_msg_show *, struct vgm_err *);

/* ---- shared steps (role/filter_seal.c) ---- */

/* A fresh record key, asked of keyd in batches. VGM_E_CLOSED, VGM_E_TIMEOUT. */
int vgm_filter_take_key(struct vgm_filter_worker *, struct vgm_wrapped_key *out, uint32_t *out_day,
    struct vgm_err *) VGM_MUST_USE;

/* What stands in a record, in clear; vgm_filter_seal encrypts it and has it kept. */
struct vgm_filter_record {
	uint8_t type;
	const uint8_t *related; /* 16 bytes or NULL */
	struct vgm_msg_routing routing;
	struct vgm_msg_head head; /* the salt is filled by sealing */
	struct vgm_slice body;
	uint32_t conf_version;
	uint16_t company; /* of struct vgm_msg_append */
};
/* Seals, appends, waits until it is durable. out_id is the record that has it
 * (an earlier one, when it was sent again after a crash). *refusal is 0 when it is, else why
 * nothing was kept (enum vgm_refusal). VGM_E_CLOSED, VGM_E_TIMEOUT: unknown. */
int vgm_filter_seal(struct vgm_filter_worker *, const struct vgm_filter_record *,
    uint8_t out_id[16], uint8_t *out_refusal, struct vgm_err *) VGM_MUST_USE;

/* Bytes that grow in memory and move to a memfd when they are many. */
struct vgm_filter_spill {
	struct vgm_buf small;
	size_t small_max;
	int fd; /* -1 while small */
	uint64_t size;
};
void vgm_filter_spill_init(struct vgm_filter_spill *, size_t small_max);
void vgm_filter_spill_release(struct vgm_filter_spill *);
vgm_seal_sink vgm_filter_spill_put; /* context: the spill */
/* Seals the memfd if there is one. */
int vgm_filter_spill_end(struct vgm_filter_spill *, struct vgm_err *) VGM_MUST_USE;

/* The key of a registered job, once. VGM_E_NOTFOUND. */
int vgm_filter_unwrap(struct vgm_filter_worker *, const uint8_t token[16], uint8_t out_key[32],
    struct vgm_err *) VGM_MUST_USE;

/* Reads a record's prefix and opens its head into *out (slices borrow from
 * *bytes, lists from *arena). */
int vgm_filter_open_head(int segment, uint64_t offset,
    const uint8_t id[16], const uint8_t key[32], struct vgm_record *record, struct vgm_buf *bytes,
    struct vgm_arena *arena, struct vgm_msg_head *out, struct vgm_err *) VGM_MUST_USE;

#endif
