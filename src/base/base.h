/* SPDX-License-Identifier: EUPL-1.2
 * base/base.h — what every file of the tree includes first: attributes, the
 * ban on dangerous libc calls, the assertion, checked sizes. */
#ifndef VGM_BASE_BASE_H
#define VGM_BASE_BASE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define VGM_MUST_USE __attribute__((warn_unused_result))
#define VGM_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define VGM_NORETURN __attribute__((noreturn))
#define VGM_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Releases the variable with its module's destructor when the scope ends:
 * VGM_CLEANUP(vgm_buf_release) struct vgm_buf b = ...; */
#define VGM_CLEANUP(destructor) __attribute__((cleanup(destructor)))

/* Our own mistake: says where, dumps core, and the master starts the role
 * anew. Stays on in release builds; never has a side effect. */
#define VGM_BUG_ON(condition)                                                                      \
	do {                                                                                       \
		if (__builtin_expect(!!(condition), 0))                                            \
			vgm_bug(__FILE__, __LINE__, #condition);                                   \
	} while (0)
void vgm_bug(const char *file, int line, const char *what) VGM_NORETURN;

/* A daemon that cannot start says why on stderr and exits with status 1. */
void vgm_fatal(const char *fmt, ...) VGM_PRINTF(1, 2) VGM_NORETURN;

/* Heap memory. Running out aborts: sizes that come from input must have been
 * checked against a ceiling before. The memory is zeroed. */
void *vgm_alloc(size_t bytes) __attribute__((malloc, returns_nonnull));
void *vgm_realloc(void *old, size_t bytes) __attribute__((returns_nonnull));
char *vgm_strdup(const char *s) __attribute__((malloc, returns_nonnull));
void vgm_free(void *memory); /* takes NULL */

static inline size_t vgm_min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

#endif
