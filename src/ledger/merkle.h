/* SPDX-License-Identifier: EUPL-1.2
 * ledger/merkle.h — the Merkle tree of RFC 9162, section 2.1: growing it leaf by
 * leaf with only its right edge in memory, and proofs about it.
 *
 * A perfect subtree of 2^level leaves is named by level and index: it covers
 * leaves index * 2^level up to (index + 1) * 2^level. */
#ifndef VGM_LEDGER_MERKLE_H
#define VGM_LEDGER_MERKLE_H

#include "base/err.h"

#define VGM_MERKLE_LEVELS 64

/* edge[level] is the root of a perfect subtree where bit `level` of size is set;
 * the highest one covers the first leaves. Copying the struct keeps a state. */
struct vgm_merkle {
	uint64_t size;
	uint8_t edge[VGM_MERKLE_LEVELS][32];
};
#define VGM_MERKLE_EMPTY ((struct vgm_merkle){0})

void vgm_merkle_node(const uint8_t left[32], const uint8_t right[32], uint8_t out[32]);
void vgm_merkle_add(struct vgm_merkle *, const uint8_t leaf[32]);
void vgm_merkle_root(const struct vgm_merkle *, uint8_t out[32]); /* empty: SHA-256 of nothing */

/* ---- proofs ---- */

struct vgm_merkle_proof {
	uint8_t hash[VGM_MERKLE_LEVELS][32];
	size_t count;
};
/* Where hashes of perfect subtrees come from: 0 or negative. */
typedef int vgm_merkle_fetch(
    void *context, unsigned level, uint64_t index, uint8_t out[32], struct vgm_err *);

/* That leaf `index` is in the tree of `size` leaves. VGM_E_INVALID unless index < size. */
int vgm_merkle_prove_inclusion(uint64_t index, uint64_t size, vgm_merkle_fetch *fetch,
    void *context, struct vgm_merkle_proof *out, struct vgm_err *) VGM_MUST_USE;
bool vgm_merkle_check_inclusion(uint64_t index, uint64_t size, const uint8_t leaf[32],
    const struct vgm_merkle_proof *, const uint8_t root[32]) VGM_MUST_USE;

/* That the tree of `old` leaves is the beginning of that of `size`.
 * VGM_E_INVALID unless 0 < old <= size. */
int vgm_merkle_prove_consistency(uint64_t old, uint64_t size, vgm_merkle_fetch *fetch,
    void *context, struct vgm_merkle_proof *out, struct vgm_err *) VGM_MUST_USE;
bool vgm_merkle_check_consistency(uint64_t old, uint64_t size, const uint8_t old_root[32],
    const uint8_t root[32], const struct vgm_merkle_proof *) VGM_MUST_USE;

/* Root of the first `size` leaves, from perfect subtrees. */
int vgm_merkle_fetch_root(uint64_t size, vgm_merkle_fetch *fetch, void *context, uint8_t out[32],
    struct vgm_err *) VGM_MUST_USE;

#endif
