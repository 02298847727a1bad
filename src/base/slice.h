/* SPDX-License-Identifier: EUPL-1.2
 * base/slice.h — a borrowed run of bytes: pointer and length, never owned,
 * never terminated. Valid as long as what it was cut from. */
#ifndef VGM_BASE_SLICE_H
#define VGM_BASE_SLICE_H

#include "base/base.h"

struct vgm_slice {
	const uint8_t *data; /* may be NULL when len is 0 */
	size_t len;
};

#define VGM_SLICE_NONE ((struct vgm_slice){NULL, 0})
#define VGM_SLICE_LIT(literal) ((struct vgm_slice){(const uint8_t *)(literal), sizeof(literal) - 1})
/* For printf's "%.*s". */
#define VGM_SLICE_ARG(s) (int)vgm_min_size((s).len, INT_MAX), (const char *)(s).data

static inline struct vgm_slice vgm_slice(const void *data, size_t len)
{
	return (struct vgm_slice){data, len};
}

static inline struct vgm_slice vgm_slice_str(const char *s)
{
	return (struct vgm_slice){(const uint8_t *)s, strlen(s)};
}

/* Bytes from..end, both clipped to the slice. */
static inline struct vgm_slice vgm_slice_sub(struct vgm_slice s, size_t from, size_t end)
{
	end = vgm_min_size(end, s.len);
	from = vgm_min_size(from, end);
	return (struct vgm_slice){s.data ? s.data + from : NULL, end - from};
}

static inline struct vgm_slice vgm_slice_from(struct vgm_slice s, size_t from)
{
	return vgm_slice_sub(s, from, s.len);
}

static inline bool vgm_slice_eq(struct vgm_slice a, struct vgm_slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* ASCII case folded; bytes above 127 compare as they are. */
bool vgm_slice_eq_nocase(struct vgm_slice a, struct vgm_slice b);
bool vgm_slice_starts_nocase(struct vgm_slice s, struct vgm_slice prefix);

/* Position of the first byte c, or s.len. */
static inline size_t vgm_slice_find(struct vgm_slice s, uint8_t c)
{
	const uint8_t *p = s.len ? memchr(s.data, c, s.len) : NULL;
	return p ? (size_t)(p - s.data) : s.len;
}

/* Position of the last byte c, or s.len. */
size_t vgm_slice_rfind(struct vgm_slice s, uint8_t c);

/* Without spaces, tabs, CR and LF at both ends. */
struct vgm_slice vgm_slice_trim(struct vgm_slice s);

/* A decimal number that fills the whole slice. False when empty, not digits,
 * or over max. */
bool vgm_slice_to_u64(struct vgm_slice s, uint64_t max, uint64_t *out);

/* A terminated copy on the heap; the caller frees it with vgm_free. */
char *vgm_slice_dup(struct vgm_slice s);

#endif
