/* SPDX-License-Identifier: EUPL-1.2
 * base/arena.c — see arena.h. */
#include "base/arena.h"

#include <stdalign.h>

#define BLOCK_BYTES 16384

struct vgm_arena_block {
	struct vgm_arena_block *next;
	size_t capacity, used;
	alignas(max_align_t) uint8_t memory[];
};

void vgm_arena_release(struct vgm_arena *a)
{
	while (a->blocks) {
		struct vgm_arena_block *b = a->blocks;
		a->blocks = b->next;
		vgm_free(b);
	}
	a->used = 0;
}

void vgm_arena_clear(struct vgm_arena *a)
{
	struct vgm_arena_block *keep = NULL;
	while (a->blocks) {
		struct vgm_arena_block *b = a->blocks;
		a->blocks = b->next;
		if (!keep && b->capacity == BLOCK_BYTES)
			keep = b;
		else
			vgm_free(b);
	}
	if (keep) {
		memset(keep->memory, 0, keep->used);
		keep->used = 0;
		keep->next = NULL;
	}
	a->blocks = keep;
	a->used = 0;
}

void *vgm_arena_alloc(struct vgm_arena *a, size_t count, size_t size)
{
	size_t bytes;
	if (__builtin_mul_overflow(count, size, &bytes) || bytes > a->ceiling - a->used)
		return NULL;
	bytes = (bytes + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	struct vgm_arena_block *b = a->blocks;
	if (!b || bytes > b->capacity - b->used) {
		size_t capacity = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
		b = vgm_alloc(sizeof *b + capacity);
		b->capacity = capacity;
		b->next = a->blocks;
		a->blocks = b;
	}
	void *p = b->memory + b->used;
	b->used += bytes;
	a->used = vgm_min_size(a->used + bytes, a->ceiling);
	return p;
}

char *vgm_arena_dup(struct vgm_arena *a, struct vgm_slice s)
{
	char *p = vgm_arena_alloc(a, s.len + 1, 1);
	if (p && s.len)
		memcpy(p, s.data, s.len);
	return p;
}
