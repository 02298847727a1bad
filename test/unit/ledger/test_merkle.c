/* SPDX-License-Identifier: EUPL-1.2
 * The tree: third-party vectors (those that Certificate Transparency's programs
 * share, RFC 6962 hashing), then every proof of every small tree both ways. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/text.h"
#include "ledger/hash.h"
#include "ledger/merkle.h"

static const char *const inputs[8] = {"", "00", "10", "2021", "3031", "40414243",
    "5051525354555657", "606162636465666768696a6b6c6d6e6f"};
static const char *const roots[9] = {
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
};

static const struct {
	uint64_t index, size;
	const char *path[3];
} paths[] = {
    {0, 1, {NULL}},
    {0, 8,
	{"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
	    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
	    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"}},
    {5, 8,
	{"bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
	    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
	    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"}},
    {2, 3, {"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"}},
    {1, 5,
	{"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
	    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
	    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"}},
};

static void unhex(const char *hex, uint8_t out[32])
{
	assert_int_equal(vgm_hex_decode(vgm_slice_str(hex), out, 32), 0);
}

static void leaf_of(const char *hex, uint8_t out[32])
{
	uint8_t data[16];
	size_t len = strlen(hex) / 2;
	assert_int_equal(vgm_hex_decode(vgm_slice_str(hex), data, len), 0);
	const struct vgm_slice pieces[] = {VGM_SLICE_LIT("\0"), vgm_slice(data, len)};
	vgm_hash_join(pieces, 2, out);
}

/* A whole tree in memory: the reference, by definition only. */
static uint8_t leaves[80][32];

static void mth(uint64_t from, uint64_t end, uint8_t out[32])
{
	uint8_t left[32], right[32];
	uint64_t k = 1;
	if (end - from == 1) {
		memcpy(out, leaves[from], 32);
		return;
	}
	while (k * 2 < end - from)
		k *= 2;
	mth(from, from + k, left);
	mth(from + k, end, right);
	vgm_merkle_node(left, right, out);
}

static int fetch(
    void *context, unsigned level, uint64_t index, uint8_t out[32], struct vgm_err *err)
{
	uint64_t size = *(uint64_t *)context;
	assert_true((index + 1) << level <= size);
	(void)err;
	mth(index << level, (index + 1) << level, out);
	return 0;
}

static void test_roots(void **state)
{
	(void)state;
	struct vgm_merkle m = VGM_MERKLE_EMPTY;
	uint8_t expected[32], got[32], leaf[32];
	for (size_t n = 0; n <= 8; n++) {
		unhex(roots[n], expected);
		vgm_merkle_root(&m, got);
		assert_memory_equal(got, expected, 32);
		if (n < 8) {
			leaf_of(inputs[n], leaf);
			vgm_merkle_add(&m, leaf);
		}
	}
}

static void test_known_paths(void **state)
{
	(void)state;
	struct vgm_merkle_proof proof;
	uint8_t expected[32];
	for (size_t i = 0; i < 8; i++)
		leaf_of(inputs[i], leaves[i]);
	for (size_t i = 0; i < VGM_ARRAY_LEN(paths); i++) {
		uint64_t size = paths[i].size;
		assert_int_equal(
		    vgm_merkle_prove_inclusion(paths[i].index, size, fetch, &size, &proof, NULL),
		    0);
		for (size_t k = 0; k < 3 && paths[i].path[k]; k++) {
			unhex(paths[i].path[k], expected);
			assert_true(k < proof.count);
			assert_memory_equal(proof.hash[k], expected, 32);
		}
	}
}

static void make_leaves(void)
{
	for (size_t i = 0; i < VGM_ARRAY_LEN(leaves); i++) {
		uint8_t data[2] = {0, (uint8_t)i};
		vgm_hash(vgm_slice(data, 2), leaves[i]);
	}
}

static void test_every_inclusion(void **state)
{
	(void)state;
	make_leaves();
	struct vgm_merkle m = VGM_MERKLE_EMPTY;
	struct vgm_merkle_proof proof;
	uint8_t root[32], other[32];
	for (uint64_t size = 1; size <= 70; size++) {
		vgm_merkle_add(&m, leaves[size - 1]);
		vgm_merkle_root(&m, root);
		mth(0, size, other);
		assert_memory_equal(root, other, 32);
		assert_int_equal(vgm_merkle_fetch_root(size, fetch, &size, other, NULL), 0);
		assert_memory_equal(root, other, 32);
		for (uint64_t i = 0; i < size; i++) {
			assert_int_equal(
			    vgm_merkle_prove_inclusion(i, size, fetch, &size, &proof, NULL), 0);
			assert_true(vgm_merkle_check_inclusion(i, size, leaves[i], &proof, root));
			/* another leaf, another place, another size, one hash more or less */
			assert_false(
			    vgm_merkle_check_inclusion(i, size, leaves[i + 1], &proof, root));
			if (size > 1)
				assert_false(vgm_merkle_check_inclusion(
				    (i + 1) % size, size, leaves[i], &proof, root));
			assert_false(
			    vgm_merkle_check_inclusion(size, size, leaves[i], &proof, root));
			proof.count++;
			assert_false(vgm_merkle_check_inclusion(i, size, leaves[i], &proof, root));
			proof.count--;
			if (proof.count) {
				proof.hash[proof.count / 2][7] ^= 1;
				assert_false(
				    vgm_merkle_check_inclusion(i, size, leaves[i], &proof, root));
				proof.count--;
				assert_false(
				    vgm_merkle_check_inclusion(i, size, leaves[i], &proof, root));
			}
		}
	}
}

static void test_every_consistency(void **state)
{
	(void)state;
	make_leaves();
	struct vgm_merkle_proof proof;
	uint8_t old_root[32], root[32], wrong[32] = {0};
	for (uint64_t size = 1; size <= 40; size++) {
		mth(0, size, root);
		for (uint64_t old = 1; old <= size; old++) {
			mth(0, old, old_root);
			assert_int_equal(
			    vgm_merkle_prove_consistency(old, size, fetch, &size, &proof, NULL), 0);
			assert_true(
			    vgm_merkle_check_consistency(old, size, old_root, root, &proof));
			assert_false(vgm_merkle_check_consistency(old, size, wrong, root, &proof));
			assert_false(
			    vgm_merkle_check_consistency(old, size, old_root, wrong, &proof));
			if (proof.count) {
				proof.hash[proof.count - 1][0] ^= 1;
				assert_false(vgm_merkle_check_consistency(
				    old, size, old_root, root, &proof));
				proof.count--;
				assert_false(vgm_merkle_check_consistency(
				    old, size, old_root, root, &proof));
			}
		}
	}
}

static int no_fetch(void *context, unsigned level, uint64_t i, uint8_t out[32], struct vgm_err *err)
{
	(void)context, (void)level, (void)i, (void)out;
	return vgm_err_set(err, VGM_E_NOTFOUND, "none");
}

static void test_refusals(void **state)
{
	(void)state;
	struct vgm_merkle_proof proof = {.count = 77};
	uint64_t size = 8;
	uint8_t out[32];
	assert_int_equal(
	    vgm_merkle_prove_inclusion(8, 8, fetch, &size, &proof, NULL), VGM_E_INVALID);
	assert_int_equal(
	    vgm_merkle_prove_consistency(0, 8, fetch, &size, &proof, NULL), VGM_E_INVALID);
	assert_int_equal(
	    vgm_merkle_prove_consistency(9, 8, fetch, &size, &proof, NULL), VGM_E_INVALID);
	assert_int_equal(
	    vgm_merkle_prove_inclusion(1, 8, no_fetch, NULL, &proof, NULL), VGM_E_NOTFOUND);
	assert_int_equal(
	    vgm_merkle_prove_consistency(3, 7, no_fetch, NULL, &proof, NULL), VGM_E_NOTFOUND);
	assert_int_equal(vgm_merkle_fetch_root(7, no_fetch, NULL, out, NULL), VGM_E_NOTFOUND);
	assert_int_equal(proof.count, 77);
	assert_int_equal(vgm_merkle_fetch_root(0, no_fetch, NULL, out, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_roots),
	    cmocka_unit_test(test_known_paths),
	    cmocka_unit_test(test_every_inclusion),
	    cmocka_unit_test(test_every_consistency),
	    cmocka_unit_test(test_refusals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
