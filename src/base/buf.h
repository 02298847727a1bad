/* SPDX-License-Identifier: EUPL-1.2
 * base/buf.h — a growing byte buffer with a ceiling given at its creation.
 *
 * Invariants: len <= capacity <= ceiling; data[len] is NUL whenever data is not
 * NULL (so text can be printed), that byte not counted. Appending beyond the
 * ceiling returns VGM_E_LIMIT and leaves the buffer as it was. */
#ifndef VGM_BASE_BUF_H
#define VGM_BASE_BUF_H

#include "base/slice.h"

struct vgm_buf {
	uint8_t *data;
	size_t len;
	size_t capacity;
	size_t ceiling;
};

/* life cycle */
#define VGM_BUF_INIT(ceiling_bytes) {NULL, 0, 0, (ceiling_bytes)}
void vgm_buf_init(struct vgm_buf *, size_t ceiling_bytes);
void vgm_buf_release(struct vgm_buf *); /* usable again afterwards */
void vgm_buf_wipe(struct vgm_buf *);    /* zeroes the content, then releases */
void vgm_buf_clear(struct vgm_buf *);   /* empties, keeps the memory */

/* write; each returns 0 or VGM_E_LIMIT */
int vgm_buf_add(struct vgm_buf *, const void *data, size_t len) VGM_MUST_USE;
int vgm_buf_add_slice(struct vgm_buf *, struct vgm_slice) VGM_MUST_USE;
int vgm_buf_add_str(struct vgm_buf *, const char *) VGM_MUST_USE;
int vgm_buf_add_byte(struct vgm_buf *, uint8_t) VGM_MUST_USE;
int vgm_buf_addf(struct vgm_buf *, const char *fmt, ...) VGM_PRINTF(2, 3) VGM_MUST_USE;
/* len uninitialised bytes at the end, for the caller to fill at *out. */
int vgm_buf_extend(struct vgm_buf *, size_t len, uint8_t **out) VGM_MUST_USE;
/* Removes the first n bytes (n <= len). */
void vgm_buf_consume(struct vgm_buf *, size_t n);
void vgm_buf_truncate(struct vgm_buf *, size_t len); /* len <= current */

/* read; the slice is valid until the next write */
static inline struct vgm_slice vgm_buf_slice(const struct vgm_buf *b)
{
	return (struct vgm_slice){b->data, b->len};
}
/* As a terminated string: "" when empty. */
static inline const char *vgm_buf_str(const struct vgm_buf *b)
{
	return b->data ? (const char *)b->data : "";
}

#endif
