/* SPDX-License-Identifier: EUPL-1.2
 * queue/heap.h — a binary heap of nodes that live inside the caller's own
 * structs: the smallest key first, equal keys in the order they were set.
 * Setting, moving and removing are O(log n). */
#ifndef VGM_QUEUE_HEAP_H
#define VGM_QUEUE_HEAP_H

#include "base/base.h"

struct vgm_heap_node {
	uint64_t key;	/* read only for the caller */
	uint64_t order; /* among equal keys */
	uint32_t slot;	/* 1-based place in the heap; 0 = in none */
};

struct vgm_heap {
	struct vgm_heap_node **nodes;
	size_t count, capacity;
	uint64_t next_order;
};

/* A zeroed heap and zeroed nodes are ready for use. */
void vgm_heap_release(struct vgm_heap *); /* the nodes stay the caller's */
/* Puts the node in, or moves it. Room for 2^32 - 1 nodes. */
void vgm_heap_set(struct vgm_heap *, struct vgm_heap_node *, uint64_t key);
void vgm_heap_remove(struct vgm_heap *, struct vgm_heap_node *); /* in or not */

static inline bool vgm_heap_has(const struct vgm_heap_node *n)
{
	return n->slot != 0;
}
/* The node with the smallest key, or NULL. */
static inline struct vgm_heap_node *vgm_heap_first(const struct vgm_heap *h)
{
	return h->count ? h->nodes[0] : NULL;
}

#endif
