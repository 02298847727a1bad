/* SPDX-License-Identifier: EUPL-1.2
 * role/strikes.h — bodies that killed filters, and the networks they came from
 * (rule 12). Pure: kept 24 hours, time given in wall seconds since it outlives
 * restarts; saved as one small file by the caller. */
#ifndef VGM_ROLE_STRIKES_H
#define VGM_ROLE_STRIKES_H

#include "base/buf.h"
#include "base/err.h"

#define VGM_STRIKES_OF_BODY 3u     /* then it is sealed unread */
#define VGM_STRIKES_OF_NETWORK 10u /* in an hour: then it is put off */
#define VGM_STRIKES_KEPT 1000u     /* the oldest make room */

struct vgm_strike {
	uint8_t body_sha256[32];
	uint64_t body_size;
	uint8_t network[16];
	uint64_t at_s;
};
struct vgm_strikes {
	struct vgm_strike strike[VGM_STRIKES_KEPT]; /* oldest first */
	size_t count;
};

/* Adds one and forgets what is older than a day. */
void vgm_strikes_add(struct vgm_strikes *, const struct vgm_strike *);
size_t vgm_strikes_of_body(
    const struct vgm_strikes *, const uint8_t body_sha256[32], uint64_t now_s);
size_t vgm_strikes_of_network(
    const struct vgm_strikes *, const uint8_t network[16], uint64_t now_s);

/* The file's bytes and back. VGM_E_CORRUPT, VGM_E_VERSION. */
int vgm_strikes_write(const struct vgm_strikes *, struct vgm_buf *out) VGM_MUST_USE;
int vgm_strikes_read(struct vgm_slice, struct vgm_strikes *out, struct vgm_err *) VGM_MUST_USE;

#endif
