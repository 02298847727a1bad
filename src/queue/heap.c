/* SPDX-License-Identifier: EUPL-1.2
 * queue/heap.c — see heap.h. Invariant: nodes[i]->slot == i + 1, and no node is
 * smaller than its parent at (i - 1) / 2. */
#include "queue/heap.h"

static bool before(const struct vgm_heap_node *a, const struct vgm_heap_node *b)
{
	return a->key != b->key ? a->key < b->key : a->order < b->order;
}

static void put(struct vgm_heap *h, size_t i, struct vgm_heap_node *n)
{
	h->nodes[i] = n;
	n->slot = (uint32_t)(i + 1);
}

static void sift_up(struct vgm_heap *h, size_t i, struct vgm_heap_node *n)
{
	while (i > 0) {
		size_t parent = (i - 1) / 2;

		if (!before(n, h->nodes[parent]))
			break;
		put(h, i, h->nodes[parent]);
		i = parent;
	}
	put(h, i, n);
}

static void sift_down(struct vgm_heap *h, size_t i, struct vgm_heap_node *n)
{
	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= h->count)
			break;
		if (child + 1 < h->count && before(h->nodes[child + 1], h->nodes[child]))
			child++;
		if (!before(h->nodes[child], n))
			break;
		put(h, i, h->nodes[child]);
		i = child;
	}
	put(h, i, n);
}

/* n stands, or will stand, at i: moves it to where it belongs. */
static void settle(struct vgm_heap *h, size_t i, struct vgm_heap_node *n)
{
	if (i > 0 && before(n, h->nodes[(i - 1) / 2]))
		sift_up(h, i, n);
	else
		sift_down(h, i, n);
}

void vgm_heap_set(struct vgm_heap *h, struct vgm_heap_node *n, uint64_t key)
{
	n->key = key;
	n->order = h->next_order++;
	if (n->slot) {
		settle(h, n->slot - 1, n);
		return;
	}
	if (h->count == h->capacity) {
		VGM_BUG_ON(h->capacity > UINT32_MAX / 2);
		h->capacity = h->capacity ? 2 * h->capacity : 64;
		h->nodes = vgm_realloc(h->nodes, h->capacity * sizeof(*h->nodes));
	}
	sift_up(h, h->count++, n);
}

void vgm_heap_remove(struct vgm_heap *h, struct vgm_heap_node *n)
{
	if (!n->slot)
		return;
	size_t i = n->slot - 1;
	struct vgm_heap_node *last = h->nodes[--h->count];

	n->slot = 0;
	if (last != n)
		settle(h, i, last);
}

void vgm_heap_release(struct vgm_heap *h)
{
	vgm_free(h->nodes);
	*h = (struct vgm_heap){0};
}
