/* SPDX-License-Identifier: EUPL-1.2
 * base/arena.h — memory of one message or one request, freed in one act.
 *
 * Allocation takes from blocks; going over the ceiling returns NULL, so sizes
 * that come from input are bounded here. */
#ifndef VGM_BASE_ARENA_H
#define VGM_BASE_ARENA_H

#include "base/slice.h"

struct vgm_arena {
	struct vgm_arena_block *blocks;
	size_t used; /* bytes handed out since the last clear */
	size_t ceiling;
};

#define VGM_ARENA_INIT(ceiling_bytes) {NULL, 0, (ceiling_bytes)}
void vgm_arena_release(struct vgm_arena *);
/* Empties and keeps one block for the next message. */
void vgm_arena_clear(struct vgm_arena *);

/* Zeroed, aligned for any type. NULL when count * size is over the ceiling. */
void *vgm_arena_alloc(struct vgm_arena *, size_t count, size_t size) VGM_MUST_USE;
/* A terminated copy; NULL over the ceiling. */
char *vgm_arena_dup(struct vgm_arena *, struct vgm_slice) VGM_MUST_USE;

#endif
