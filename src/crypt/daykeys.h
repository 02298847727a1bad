/* SPDX-License-Identifier: EUPL-1.2
 * crypt/daykeys.h — the keys of each day: one that wraps record keys, one that
 * encrypts routing parts (rules 1 and 4). Days count from 1970-01-01 UTC.
 *
 * A day's keys are made and synced the day before. As long as they exist the
 * day is open; destroying them closes all its records for good. A destroyed day
 * leaves a mark, so that a clock that goes back does not open it again. */
#ifndef VGM_CRYPT_DAYKEYS_H
#define VGM_CRYPT_DAYKEYS_H

#include "crypt/keystore.h"

#define VGM_WRAP_BYTES 60u /* nonce 12, key 32, tag 16 */

struct vgm_daykeys;

/* Keeps a reference to the store, which must outlive it. */
struct vgm_daykeys *vgm_daykeys_new(struct vgm_keystore *);
void vgm_daykeys_free(struct vgm_daykeys **); /* wipes */

/* Makes what is missing of the keys of today and tomorrow. A closed day is not
 * made anew (VGM_E_DENIED). VGM_E_IO, VGM_E_NOSPACE, VGM_E_CORRUPT. */
int vgm_daykeys_prepare(struct vgm_daykeys *, uint32_t today, struct vgm_err *) VGM_MUST_USE;

/* Wraps a record key: AES-256-GCM, day and entity authenticated. VGM_E_NOTFOUND:
 * no such day; VGM_E_DENIED: closed; VGM_E_IO, VGM_E_CORRUPT. */
int vgm_daykeys_wrap(struct vgm_daykeys *, uint32_t day, uint32_t entity, const uint8_t key[32],
    uint8_t out[VGM_WRAP_BYTES], struct vgm_err *) VGM_MUST_USE;
/* The way back. Also VGM_E_CRYPTO: not a wrap of this day and entity. */
int vgm_daykeys_unwrap(struct vgm_daykeys *, uint32_t day, uint32_t entity,
    const uint8_t wrap[VGM_WRAP_BYTES], uint8_t out[32], struct vgm_err *) VGM_MUST_USE;
/* The day's routing key. Same errors as wrap. */
int vgm_daykeys_routing(struct vgm_daykeys *, uint32_t day, uint8_t out[32], struct vgm_err *)
    VGM_MUST_USE;

/* Three clocks, in days (rule 6). stamp: of the last stamp from outside, or 0
 * where there is none yet; then nothing is destroyed. */
struct vgm_daykeys_clocks {
	uint32_t wall, ledger, stamp;
};
/* Destroys a day's keys for good. VGM_E_DENIED, with the reason, unless the
 * clocks agree within a day, the day is older than window_days, and no other was
 * destroyed on this day of the wall clock or a later one. VGM_E_NOTFOUND: no
 * such day, or closed already. VGM_E_IO, VGM_E_NOSPACE: nothing was destroyed. */
int vgm_daykeys_destroy(struct vgm_daykeys *, uint32_t day, uint32_t window_days,
    const struct vgm_daykeys_clocks *, struct vgm_err *) VGM_MUST_USE;

#endif
