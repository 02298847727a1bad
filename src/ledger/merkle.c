/* SPDX-License-Identifier: EUPL-1.2
 * ledger/merkle.c — see merkle.h. The provers follow the recursive definitions
 * of RFC 9162 (2.1.3.1, 2.1.4.1), the checkers its loops (2.1.3.2, 2.1.4.2):
 * they are written from different texts, so that one tests the other. */
#include "ledger/merkle.h"

#include "ledger/hash.h"

void vgm_merkle_node(const uint8_t left[32], const uint8_t right[32], uint8_t out[32])
{
	const struct vgm_slice pieces[] = {
	    VGM_SLICE_LIT("\1"), vgm_slice(left, 32), vgm_slice(right, 32)};
	vgm_hash_join(pieces, VGM_ARRAY_LEN(pieces), out);
}

void vgm_merkle_add(struct vgm_merkle *m, const uint8_t leaf[32])
{
	uint8_t hash[32];
	unsigned level = 0;
	memcpy(hash, leaf, 32);
	for (; m->size >> level & 1; level++)
		vgm_merkle_node(m->edge[level], hash, hash);
	memcpy(m->edge[level], hash, 32);
	m->size++;
}

void vgm_merkle_root(const struct vgm_merkle *m, uint8_t out[32])
{
	bool any = false;
	vgm_hash(VGM_SLICE_NONE, out);
	for (unsigned level = 0; level < VGM_MERKLE_LEVELS; level++) {
		if (!(m->size >> level & 1))
			continue;
		if (any)
			vgm_merkle_node(m->edge[level], out, out);
		else
			memcpy(out, m->edge[level], 32);
		any = true;
	}
}

/* ---- proofs ---- */

struct prover {
	vgm_merkle_fetch *fetch;
	void *context;
	struct vgm_merkle_proof *proof;
	struct vgm_err *err;
};

/* The largest power of two below n (n > 1), as its exponent. */
static unsigned split_level(uint64_t n)
{
	return 63u - (unsigned)__builtin_clzll(n - 1);
}

/* MTH of leaves from..end. from is a multiple of the largest power of two that
 * fits, since every range comes from splitting the whole tree. */
static int range_hash(const struct prover *p, uint64_t from, uint64_t end, uint8_t out[32])
{
	uint64_t n = end - from;
	if ((n & (n - 1)) == 0) {
		unsigned level = (unsigned)__builtin_ctzll(n);
		return p->fetch(p->context, level, from >> level, out, p->err);
	}
	uint64_t middle = from + ((uint64_t)1 << split_level(n));
	uint8_t left[32], right[32];
	int r = range_hash(p, from, middle, left);
	if (r == 0)
		r = range_hash(p, middle, end, right);
	if (r == 0)
		vgm_merkle_node(left, right, out);
	return r;
}

static int prove_range(const struct prover *p, uint64_t from, uint64_t end)
{
	VGM_BUG_ON(p->proof->count == VGM_MERKLE_LEVELS);
	int r = range_hash(p, from, end, p->proof->hash[p->proof->count]);
	if (r == 0)
		p->proof->count++;
	return r;
}

static int prove_path(const struct prover *p, uint64_t index, uint64_t from, uint64_t end)
{
	if (end - from == 1)
		return 0;
	uint64_t middle = from + ((uint64_t)1 << split_level(end - from));
	bool in_left = index < middle;
	int r = prove_path(p, index, in_left ? from : middle, in_left ? middle : end);
	if (r == 0)
		r = prove_range(p, in_left ? middle : from, in_left ? end : middle);
	return r;
}

int vgm_merkle_prove_inclusion(uint64_t index, uint64_t size, vgm_merkle_fetch *fetch,
    void *context, struct vgm_merkle_proof *out, struct vgm_err *err)
{
	struct vgm_merkle_proof proof = {.count = 0};
	struct prover p = {fetch, context, &proof, err};
	if (index >= size)
		return vgm_err_set(err, VGM_E_INVALID, "no such leaf in a tree of that size");
	int r = prove_path(&p, index, 0, size);
	if (r == 0)
		*out = proof;
	return r;
}

/* SUBPROOF: whole says that from..old is a subtree whose root the checker has. */
static int prove_subtree(
    const struct prover *p, uint64_t old, uint64_t from, uint64_t end, bool whole)
{
	if (old == end)
		return whole ? 0 : prove_range(p, from, end);
	uint64_t middle = from + ((uint64_t)1 << split_level(end - from));
	if (old <= middle) {
		int r = prove_subtree(p, old, from, middle, whole);
		return r < 0 ? r : prove_range(p, middle, end);
	}
	int r = prove_subtree(p, old, middle, end, false);
	return r < 0 ? r : prove_range(p, from, middle);
}

int vgm_merkle_prove_consistency(uint64_t old, uint64_t size, vgm_merkle_fetch *fetch,
    void *context, struct vgm_merkle_proof *out, struct vgm_err *err)
{
	struct vgm_merkle_proof proof = {.count = 0};
	struct prover p = {fetch, context, &proof, err};
	if (old == 0 || old > size)
		return vgm_err_set(
		    err, VGM_E_INVALID, "no consistency between trees of those sizes");
	int r = prove_subtree(&p, old, 0, size, true);
	if (r == 0)
		*out = proof;
	return r;
}

int vgm_merkle_fetch_root(
    uint64_t size, vgm_merkle_fetch *fetch, void *context, uint8_t out[32], struct vgm_err *err)
{
	const struct prover p = {fetch, context, NULL, err};
	if (size == 0) {
		vgm_hash(VGM_SLICE_NONE, out);
		return 0;
	}
	return range_hash(&p, 0, size, out);
}

bool vgm_merkle_check_inclusion(uint64_t index, uint64_t size, const uint8_t leaf[32],
    const struct vgm_merkle_proof *proof, const uint8_t root[32])
{
	uint8_t r[32];
	if (index >= size)
		return false;
	uint64_t fn = index, sn = size - 1;
	memcpy(r, leaf, 32);
	for (size_t i = 0; i < proof->count; i++) {
		if (sn == 0)
			return false;
		if ((fn & 1) || fn == sn) {
			vgm_merkle_node(proof->hash[i], r, r);
			for (; !(fn & 1) && fn; fn >>= 1)
				sn >>= 1;
		} else {
			vgm_merkle_node(r, proof->hash[i], r);
		}
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 && memcmp(r, root, 32) == 0;
}

bool vgm_merkle_check_consistency(uint64_t old, uint64_t size, const uint8_t old_root[32],
    const uint8_t root[32], const struct vgm_merkle_proof *proof)
{
	size_t next = 0;
	uint8_t fr[32], sr[32];
	if (old == 0 || old > size)
		return false;
	if (old == size)
		return proof->count == 0 && memcmp(old_root, root, 32) == 0;
	if (proof->count == 0 && (old & (old - 1)) != 0)
		return false;
	/* A perfect old tree is its own first step. */
	const uint8_t *first = (old & (old - 1)) == 0 ? old_root : proof->hash[next++];
	uint64_t fn = old - 1, sn = size - 1;
	for (; fn & 1; fn >>= 1)
		sn >>= 1;
	memcpy(fr, first, 32);
	memcpy(sr, first, 32);
	for (; next < proof->count; next++) {
		const uint8_t *c = proof->hash[next];
		if (sn == 0)
			return false;
		if ((fn & 1) || fn == sn) {
			vgm_merkle_node(c, fr, fr);
			vgm_merkle_node(c, sr, sr);
			for (; !(fn & 1) && fn; fn >>= 1)
				sn >>= 1;
		} else {
			vgm_merkle_node(sr, c, sr);
		}
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 && memcmp(fr, old_root, 32) == 0 && memcmp(sr, root, 32) == 0;
}
