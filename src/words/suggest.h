/* SPDX-License-Identifier: EUPL-1.2
 * words/suggest.h — "did you mean ...?" for mistyped names. */
#ifndef VGM_WORDS_SUGGEST_H
#define VGM_WORDS_SUGGEST_H

#include "base/slice.h"

struct vgm_suggest {
	struct vgm_slice given;
	const char *best; /* NULL while nothing is near enough */
	size_t distance;
};

#define VGM_SUGGEST_INIT(given_slice) {(given_slice), NULL, 0}
/* Looks at one name that exists (borrowed). A name is near when at most a third
 * of the longer one differs (one letter for short names); the first of equals
 * stays. */
void vgm_suggest_try(struct vgm_suggest *, const char *name);

/* Letters added, dropped, changed, or swapped with their neighbour, case
 * ignored. SIZE_MAX when either is longer than 100 bytes. */
size_t vgm_suggest_distance(struct vgm_slice a, struct vgm_slice b);

#endif
