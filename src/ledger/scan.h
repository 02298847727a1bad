/* SPDX-License-Identifier: EUPL-1.2
 * ledger/scan.h — a segment read batch by batch, each checked against its frame:
 * what recovery adopts and verify confirms. Bodies are hashed only when asked. */
#ifndef VGM_LEDGER_SCAN_H
#define VGM_LEDGER_SCAN_H

#include "ledger/record.h"
#include "ledger/segment.h"

struct vgm_scan_item {
	struct vgm_record record;
	uint64_t offset;
	uint8_t leaf[32];
};

struct vgm_scan {
	/* set by begin; the caller may set the rest */
	int fd;
	struct vgm_segment_header header;
	uint64_t limit;         /* no byte from here on is looked at */
	bool parts;             /* hash the stored parts too */
	bool tree_lost;         /* the tree before `at` is not known: no root is compared */
	/* Takes faults of parts, which do not end a batch then; or NULL. */
	void (*part_fault)(void *context, uint64_t offset, const char *what);
	void *context;
	/* after the last good batch */
	uint64_t at;
	struct vgm_merkle tree;
	uint64_t batch, time_us;
	struct vgm_frame frame; /* its frame; count 0 before the first */
	struct vgm_scan_item *items;
	size_t items_count;
	/* the rest is the scan's own */
	size_t items_room;
	uint8_t *window;
	uint64_t window_at;
	size_t window_len;
};

/* Reads the header of segment `number` from fd (which stays the caller's).
 * limit: the file's size, or less. VGM_E_CORRUPT, VGM_E_VERSION, VGM_E_IO. */
int vgm_scan_begin(struct vgm_scan *, int fd, uint64_t number, uint64_t limit, struct vgm_err *)
    VGM_MUST_USE;
void vgm_scan_release(struct vgm_scan *);

/* 1: the next batch is whole and good, its records stand in items. 0: nothing
 * more: only zeros where a batch would start, or the limit. VGM_E_CORRUPT: what
 * stands at *out_fault is wrong; the scan stays before that batch. VGM_E_IO. */
int vgm_scan_next(struct vgm_scan *, uint64_t *out_fault, struct vgm_err *) VGM_MUST_USE;

/* The first valid frame of this segment at or after `from`: 1 and its place (to
 * go on after damage, to tell a cut from a hole), or 0. VGM_E_IO. */
int vgm_scan_find_frame(struct vgm_scan *, uint64_t from, struct vgm_frame *out,
    uint64_t *out_at, struct vgm_err *) VGM_MUST_USE;
/* 1: a byte that is not zero stands between from and the limit, the first at
 * *out_at; 0: none does. VGM_E_IO. */
int vgm_scan_find_data(struct vgm_scan *, uint64_t from, uint64_t *out_at, struct vgm_err *)
    VGM_MUST_USE;

#endif
