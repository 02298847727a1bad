/* SPDX-License-Identifier: EUPL-1.2
 * base/secret.h — keys in memory: not in core dumps, not swapped where the
 * limit allows, wiped when released, compared in constant time, never printed. */
#ifndef VGM_BASE_SECRET_H
#define VGM_BASE_SECRET_H

#include "base/base.h"

/* Page-aligned memory of its own; wiped and unmapped by release. */
struct vgm_secret {
	uint8_t *data;
	size_t len;
};
void vgm_secret_init(struct vgm_secret *, size_t len); /* zeroed; aborts when out of memory */
void vgm_secret_release(struct vgm_secret *);

void vgm_wipe(void *memory, size_t len);
bool vgm_secret_eq(const void *a, const void *b, size_t len);
/* From the kernel; aborts when it has none to give. */
void vgm_random(void *out, size_t len);

#endif
