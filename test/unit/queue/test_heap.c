/* SPDX-License-Identifier: EUPL-1.2 */
#include "queue/heap.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

enum { NODES = 500 };

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* Random sets, moves and removals against a plain search for the smallest. */
static void test_against_search(void **state)
{
	struct vgm_heap h = {0};
	struct vgm_heap_node n[NODES] = {0};
	uint32_t seed = 7;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		uint32_t i = next_random(&seed) % NODES;

		if (next_random(&seed) % 3)
			vgm_heap_set(&h, &n[i], next_random(&seed) % 50);
		else
			vgm_heap_remove(&h, &n[i]);
		const struct vgm_heap_node *least = NULL;
		size_t count = 0;
		for (i = 0; i < NODES; i++) {
			if (!vgm_heap_has(&n[i]))
				continue;
			count++;
			if (!least || n[i].key < least->key ||
			    (n[i].key == least->key && n[i].order < least->order))
				least = &n[i];
		}
		assert_int_equal(count, h.count);
		assert_ptr_equal(least, vgm_heap_first(&h));
	}
	vgm_heap_release(&h);
}

static void test_equal_keys_keep_their_order(void **state)
{
	struct vgm_heap h = {0};
	struct vgm_heap_node n[NODES] = {0};

	(void)state;
	for (size_t i = 0; i < NODES; i++)
		vgm_heap_set(&h, &n[i], 5);
	for (size_t i = 0; i < NODES; i++) {
		assert_ptr_equal(vgm_heap_first(&h), &n[i]);
		vgm_heap_remove(&h, &n[i]);
	}
	assert_null(vgm_heap_first(&h));
	vgm_heap_release(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_against_search),
	    cmocka_unit_test(test_equal_keys_keep_their_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
