/* SPDX-License-Identifier: EUPL-1.2
 * base/text.h — small text helpers that do not depend on the locale. */
#ifndef VGM_BASE_TEXT_H
#define VGM_BASE_TEXT_H

#include "base/buf.h"
#include "base/slice.h"

static inline uint8_t vgm_ascii_lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}
static inline bool vgm_is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}
static inline bool vgm_is_alnum(uint8_t c)
{
	return vgm_is_digit(c) || (vgm_ascii_lower(c) >= 'a' && vgm_ascii_lower(c) <= 'z');
}

/* True if s is well-formed UTF-8 (RFC 3629: no overlong form, no surrogate,
 * nothing above U+10FFFF). */
bool vgm_utf8_valid(struct vgm_slice s);
/* True if every byte is below 128. */
bool vgm_is_ascii(struct vgm_slice s);

/* Lower-case hexadecimal; decode takes both cases and refuses what is not
 * exactly out_len bytes (VGM_E_INVALID). */
int vgm_hex_encode(struct vgm_slice in, struct vgm_buf *out) VGM_MUST_USE;     /* VGM_E_LIMIT */
int vgm_hex_decode(struct vgm_slice in, uint8_t *out, size_t out_len) VGM_MUST_USE;

/* RFC 4648 base64 with padding; decode is strict: no white space, no junk
 * (VGM_E_INVALID). VGM_E_LIMIT. */
int vgm_base64_encode(struct vgm_slice in, struct vgm_buf *out) VGM_MUST_USE;
int vgm_base64_decode(struct vgm_slice in, struct vgm_buf *out) VGM_MUST_USE;

/* For logs and terminals: control bytes and invalid UTF-8 become \xNN, a
 * backslash becomes \\; at most max_bytes of input, "..." where cut. */
int vgm_text_escape(struct vgm_slice in, size_t max_bytes, struct vgm_buf *out) VGM_MUST_USE;

/* Personal data for logs: "m***@example.org" keeps the first letter and the
 * domain of an address. */
int vgm_text_mask_address(struct vgm_slice address, struct vgm_buf *out) VGM_MUST_USE;

#endif
