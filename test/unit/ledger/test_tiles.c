/* SPDX-License-Identifier: EUPL-1.2
 * Tiles: names as C2SP tlog-tiles writes them, trees of every awkward size read
 * back through them, going on after a restart, damaged and missing files. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ledger/bytes.h"
#include "ledger/hash.h"
#include "ledger/tiles.h"
#include "scratch.h"

static void leaf_of(uint64_t i, uint8_t out[32])
{
	uint8_t data[9] = {0};
	vgm_put_be(data + 1, i, 8);
	vgm_hash(vgm_slice(data, 9), out);
}

static void test_names(void **state)
{
	(void)state;
	static const struct {
		unsigned level;
		uint64_t index;
		unsigned width;
		const char *path;
	} cases[] = {
	    {0, 0, 256, "tile/0/000"},
	    {0, 67, 1, "tile/0/067.p/1"},
	    {1, 999, 255, "tile/1/999.p/255"},
	    {0, 1000, 256, "tile/0/x001/000"},
	    {0, 1234067, 256, "tile/0/x001/x234/067"},
	    {3, 1234067, 8, "tile/3/x001/x234/067.p/8"},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		char path[VGM_TILE_PATH_BYTES];
		unsigned level, width;
		uint64_t index;
		vgm_tile_path(cases[i].level, cases[i].index, cases[i].width, path);
		assert_string_equal(path, cases[i].path);
		assert_true(vgm_tile_parse(path, &level, &index, &width));
		assert_int_equal(level, cases[i].level);
		assert_int_equal(index, cases[i].index);
		assert_int_equal(width, cases[i].width);
	}
}

static void test_names_that_are_none(void **state)
{
	(void)state;
	static const char *const cases[] = {"", "tile", "tile/", "tile/0", "tile/0/", "tile/0/1",
	    "tile/0/0000", "tile/0/abc", "tile/64/000", "tile/-1/000", "tile/0/x000/001",
	    "tile/0/x001", "tile/0/001.p/0", "tile/0/001.p/256", "tile/0/001.p/", "tile/0/001.p",
	    "tile/0/001.p/01", "tile/0/001/", "tile/00/001", "tile/0/001.q/1", "tile/0/x0.p/1",
	    "tile/0/x999/x999/x999/x999/x999/x999/x999/999", "entry/0/000",
	    "tile/0/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/999"};
	unsigned level, width;
	uint64_t index;
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++)
		assert_false(vgm_tile_parse(cases[i], &level, &index, &width));
}

/* Grows a tree in files, flushed at `size`, and the same in memory. */
static struct vgm_merkle grow(int dir_fd, uint64_t size)
{
	struct vgm_merkle m = VGM_MERKLE_EMPTY;
	struct vgm_tiles *t = vgm_tiles_new(dir_fd);
	uint8_t leaf[32];
	for (uint64_t i = 0; i < size; i++) {
		leaf_of(i, leaf);
		vgm_merkle_add(&m, leaf);
		assert_int_equal(vgm_tiles_add(t, leaf, NULL), 0);
	}
	assert_int_equal(vgm_tiles_size(t), size);
	assert_int_equal(vgm_tiles_flush(t, NULL), 0);
	vgm_tiles_free(&t);
	return m;
}

static void assert_reads(int dir_fd, const struct vgm_merkle *m)
{
	struct vgm_tile_source source = {dir_fd, m->size};
	uint8_t expected[32], got[32];
	vgm_merkle_root(m, expected);
	assert_int_equal(vgm_merkle_fetch_root(m->size, vgm_tile_fetch, &source, got, NULL), 0);
	assert_memory_equal(got, expected, 32);
}

static const uint64_t sizes[] = {
    1, 2, 255, 256, 257, 511, 512, 513, 1000, 65535, 65536, 65537, 66000};

static void test_trees_through_tiles(void **state)
{
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(sizes); i++) {
		struct scratch s;
		scratch_open(&s);
		struct vgm_merkle m = grow(s.fd, sizes[i]);
		struct vgm_tile_source source = {s.fd, m.size};
		assert_reads(s.fd, &m);
		for (uint64_t k = 0; k < sizes[i]; k += 1 + sizes[i] / 5) {
			struct vgm_merkle_proof proof;
			uint8_t leaf[32], root[32];
			leaf_of(k, leaf);
			vgm_merkle_root(&m, root);
			assert_int_equal(vgm_merkle_prove_inclusion(
					     k, sizes[i], vgm_tile_fetch, &source, &proof, NULL),
			    0);
			assert_true(vgm_merkle_check_inclusion(k, sizes[i], leaf, &proof, root));
		}
		uint8_t beyond[32];
		assert_int_equal(
		    vgm_tile_fetch(&source, 0, sizes[i], beyond, NULL), VGM_E_NOTFOUND);
		scratch_close(&s);
	}
}

/* Stops at `first`, is opened again there, goes on to `size`. */
static void test_goes_on(void **state)
{
	(void)state;
	static const uint64_t firsts[] = {0, 1, 200, 256, 300, 512, 65536, 65800};
	for (size_t i = 0; i < VGM_ARRAY_LEN(firsts); i++) {
		struct scratch s;
		scratch_open(&s);
		struct vgm_merkle m = grow(s.fd, firsts[i]);
		struct vgm_tiles *t;
		uint8_t leaf[32];
		assert_int_equal(vgm_tiles_open(s.fd, &m, &t, NULL), 0);
		for (uint64_t k = firsts[i]; k < firsts[i] + 600; k++) {
			leaf_of(k, leaf);
			vgm_merkle_add(&m, leaf);
			assert_int_equal(vgm_tiles_add(t, leaf, NULL), 0);
			if (k % 100 == 7) {
				assert_int_equal(vgm_tiles_flush(t, NULL), 0);
				assert_reads(s.fd, &m);
			}
		}
		assert_int_equal(vgm_tiles_flush(t, NULL), 0);
		assert_reads(s.fd, &m);
		/* what stood for unfinished tiles is gone */
		assert_int_equal(faccessat(s.fd, "tile/0/000.p", F_OK, 0), -1);
		assert_int_equal(faccessat(s.fd, "tile/0/001.p", F_OK, 0), -1);
		vgm_tiles_free(&t);
		scratch_close(&s);
	}
}

/* Opened at an older size than the files: a crash between tiles and segment. */
static void test_opens_behind_the_files(void **state)
{
	(void)state;
	struct scratch s;
	scratch_open(&s);
	grow(s.fd, 700);
	struct vgm_merkle m = VGM_MERKLE_EMPTY;
	uint8_t leaf[32];
	for (uint64_t k = 0; k < 600; k++) {
		struct vgm_tiles *t;
		if (k == 10 || k == 300 || k == 599) {
			assert_int_equal(vgm_tiles_open(s.fd, &m, &t, NULL), 0);
			vgm_tiles_free(&t);
		}
		leaf_of(k, leaf);
		vgm_merkle_add(&m, leaf);
	}
	scratch_close(&s);
}

static void test_damage(void **state)
{
	(void)state;
	struct scratch s;
	struct vgm_tiles *t = NULL;
	uint8_t tile[VGM_TILE_BYTES];
	char path[128];
	scratch_open(&s);
	struct vgm_merkle m = grow(s.fd, 300);
	struct vgm_merkle other = m;
	other.edge[2][0] ^= 1; /* 300 = 256 + 32 + 8 + 4 */
	assert_int_equal(vgm_tiles_open(s.fd, &other, &t, NULL), VGM_E_CORRUPT);
	snprintf(path, sizeof path, "%s/tile/0/000", s.path);
	assert_int_equal(truncate(path, 8191), 0);
	assert_int_equal(vgm_tile_read(s.fd, 0, 0, 256, tile, NULL), VGM_E_CORRUPT);
	assert_int_equal(truncate(path, 8193), 0);
	assert_int_equal(vgm_tile_read(s.fd, 0, 0, 256, tile, NULL), VGM_E_CORRUPT);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(vgm_tile_read(s.fd, 0, 0, 256, tile, NULL), VGM_E_NOTFOUND);
	assert_int_equal(vgm_tiles_open(s.fd, &m, &t, NULL), 0); /* it needs unfinished ones only */
	vgm_tiles_free(&t);
	snprintf(path, sizeof path, "%s/tile/0/001.p/44", s.path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(vgm_tiles_open(s.fd, &m, &t, NULL), VGM_E_NOTFOUND);
	assert_null(t);
	scratch_close(&s);
}

/* A disk that refuses: nothing is taken, and it goes on when it no longer does. */
static void test_a_disk_that_refuses(void **state)
{
	(void)state;
	struct scratch s;
	struct vgm_merkle m = VGM_MERKLE_EMPTY;
	uint8_t leaf[32];
	char path[128];
	scratch_open(&s);
	snprintf(path, sizeof path, "%s/tile", s.path);
	struct vgm_tiles *t = vgm_tiles_new(s.fd);
	for (uint64_t i = 0; i < 255; i++) {
		leaf_of(i, leaf);
		vgm_merkle_add(&m, leaf);
		assert_int_equal(vgm_tiles_add(t, leaf, NULL), 0);
	}
	close(open(path, O_CREAT | O_WRONLY, 0600)); /* a file where a directory should be */
	leaf_of(255, leaf);
	assert_int_equal(vgm_tiles_add(t, leaf, NULL), VGM_E_IO);
	assert_int_equal(vgm_tiles_flush(t, NULL), VGM_E_IO);
	assert_int_equal(vgm_tiles_size(t), 255);
	unlink(path);
	assert_int_equal(vgm_tiles_add(t, leaf, NULL), 0);
	vgm_merkle_add(&m, leaf);
	assert_int_equal(vgm_tiles_flush(t, NULL), 0);
	assert_reads(s.fd, &m);
	vgm_tiles_free(&t);
	scratch_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_names_that_are_none),
	    cmocka_unit_test(test_trees_through_tiles),
	    cmocka_unit_test(test_goes_on),
	    cmocka_unit_test(test_opens_behind_the_files),
	    cmocka_unit_test(test_damage),
	    cmocka_unit_test(test_a_disk_that_refuses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
