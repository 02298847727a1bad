/* SPDX-License-Identifier: EUPL-1.2
 * ledger/verify_tree.h — the part of verify that follows the tree as it grows:
 * tiles and checkpoints. See verify_tree.c. */
#ifndef VGM_LEDGER_VERIFY_TREE_H
#define VGM_LEDGER_VERIFY_TREE_H

#include "ledger/checkpoint.h"
#include "ledger/tiles.h"
#include "ledger/verify.h"

struct vgm_verify {
	int dir_fd;
	vgm_verify_report *report;
	void *context;
	struct vgm_verify_result *result;
	bool live; /* ledgerd is writing */

	/* tiles: the unfinished one of each level */
	bool tiles_lost; /* a leaf was missed: no tile can be compared any more */
	uint64_t leaves;
	uint8_t level[VGM_TILE_LEVELS][VGM_TILE_BYTES];

	/* checkpoints, by size */
	struct vgm_verify_checkpoint {
		uint64_t size, offset, segment; /* segment 0: the file "checkpoint" */
		uint8_t root[32];
	} * checkpoints;
	size_t checkpoints_count, checkpoints_room, next_checkpoint;
	struct vgm_verifier *keys;
	size_t keys_count;
};

void vgm_verify_fault(struct vgm_verify *, const char *file, uint64_t offset, const char *what);

/* Reads keys and all checkpoints of segments 1..last, checks their signatures. */
void vgm_verify_read_checkpoints(struct vgm_verify *, uint64_t last_segment);
/* The tree has reached a batch's end. tree NULL: its root is not known here. */
void vgm_verify_meet_checkpoints(struct vgm_verify *, uint64_t size, const struct vgm_merkle *tree);
/* At the end: checkpoints of a larger tree. */
void vgm_verify_left_checkpoints(struct vgm_verify *);
void vgm_verify_leaf(struct vgm_verify *, const uint8_t leaf[32]);
void vgm_verify_last_tiles(struct vgm_verify *);

#endif
