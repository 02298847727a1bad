/* SPDX-License-Identifier: EUPL-1.2
 * Verify against every single damaged byte and every cut of a small ledger that
 * has everything: segments, one of them left after a failed sync, tiles and
 * checkpoints. Each must be named by file and place. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <sodium.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "ledger/checkpoint.h"
#include "ledger/hash.h"
#include "ledger/reader.h"
#include "ledger/tiles.h"
#include "ledger/verify.h"
#include "os/file.h"
#include "sample.h"

static int fail_syncs;

int fdatasync(int fd)
{
	if (fail_syncs > 0 && fail_syncs-- > 0) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

static const uint8_t seed[32] = {42};
#define ORIGIN VGM_SLICE_LIT("chu.example/vgm/1")

/* ---- a ledger as ledgerd leaves it ---- */

static void append_file(const struct scratch *s, const char *name, struct vgm_slice bytes)
{
	int fd = openat(s->fd, name, O_WRONLY | O_CREAT | O_APPEND, 0600);
	assert_int_equal(write(fd, bytes.data, bytes.len), (ssize_t)bytes.len);
	close(fd);
}

static void add_checkpoint(const struct scratch *s, struct vgm_writer *w, struct vgm_tiles *tiles)
{
	struct vgm_buf text = VGM_BUF_INIT(1000), note = VGM_BUF_INIT(2000);
	struct vgm_checkpoint c = {.origin = ORIGIN, .size = vgm_writer_synced_size(w)};
	char name[VGM_SEGMENT_NAME_BYTES];
	assert_int_equal(vgm_tiles_flush(tiles, NULL), 0);
	vgm_merkle_root(vgm_writer_synced_tree(w), c.root);
	assert_int_equal(vgm_checkpoint_format(&c, &text, NULL), 0);
	assert_int_equal(vgm_note_sign(vgm_buf_slice(&text), ORIGIN, seed, &note, NULL), 0);
	assert_int_equal(
	    vgm_file_replace_at(s->fd, VGM_LEDGER_CHECKPOINT, vgm_buf_slice(&note), 0600, NULL), 0);
	assert_int_equal(vgm_buf_add_byte(&note, '\n'), 0);
	vgm_segment_notes_name(vgm_writer_synced_place(w).segment, name);
	append_file(s, name, vgm_buf_slice(&note));
	vgm_buf_release(&text);
	vgm_buf_release(&note);
}

static void add_keys(const struct scratch *s)
{
	uint8_t public_key[crypto_sign_PUBLICKEYBYTES], secret[crypto_sign_SECRETKEYBYTES];
	struct vgm_verifier v;
	struct vgm_buf line = VGM_BUF_INIT(500);
	crypto_sign_seed_keypair(public_key, secret, seed);
	assert_int_equal(vgm_verifier_of(ORIGIN, public_key, &v, NULL), 0);
	assert_int_equal(vgm_verifier_format(&v, &line), 0);
	assert_int_equal(vgm_buf_add_byte(&line, '\n'), 0);
	append_file(s, VGM_LEDGER_VERIFIERS, vgm_buf_slice(&line));
	vgm_buf_release(&line);
}

/* batches of two records, all leaves in tiles, a checkpoint after every third. */
static void add_batches(const struct scratch *s, struct vgm_writer *w, struct vgm_tiles *tiles,
    unsigned batches, size_t body)
{
	for (unsigned i = 0; i < batches; i++) {
		uint64_t before = vgm_writer_size(w);
		sample_fill(w, (unsigned)before, 1, body);
		struct vgm_reader *r = vgm_reader_new(s->fd);
		struct vgm_reader_entry entry;
		while (vgm_reader_next(r, vgm_writer_synced_place(w), &entry, NULL) > 0) {
			uint8_t prefix[VGM_RECORD_PREFIX_BYTES], leaf[32];
			if (entry.record.sequence < before)
				continue;
			vgm_record_encode(&entry.record, prefix);
			vgm_record_leaf(prefix, leaf);
			assert_int_equal(vgm_tiles_add(tiles, leaf, NULL), 0);
		}
		vgm_reader_free(&r);
		if (i % 3 == 2)
			add_checkpoint(s, w, tiles);
	}
}

static void make_ledger(const struct scratch *s)
{
	struct vgm_writer_opening opening;
	struct vgm_writer_options options = sample_options;
	struct vgm_ledger_place place;
	struct vgm_writer *w;
	uint8_t snapshot[40 + 32] = "VGMSCHED";
	options.segment_bytes = 9000;
	assert_int_equal(vgm_writer_open(s->fd, &options, &w, &opening, NULL), 0);
	struct vgm_tiles *tiles = vgm_tiles_new(s->fd);
	add_batches(s, w, tiles, 3, 30);
	/* A failed sync: what it held does not count, the segment ends early. */
	assert_int_equal(sample_append(w, 99, 20, &place, NULL), 0);
	fail_syncs = 1;
	assert_int_equal(vgm_writer_sync(w, NULL), VGM_E_IO);
	add_batches(s, w, tiles, 4, 30);
	add_batches(s, w, tiles, 1, 700);
	add_checkpoint(s, w, tiles);
	vgm_hash(vgm_slice(snapshot, 40), snapshot + 40);
	append_file(s, VGM_LEDGER_SCHEDULE, vgm_slice(snapshot, sizeof snapshot));
	add_keys(s);
	vgm_tiles_free(&tiles);
	vgm_writer_free(&w);
}

/* ---- what verify says ---- */

struct said {
	const char *file; /* the one that should be named */
	uint64_t nearest; /* the largest offset said about it that is not behind `at` */
	uint64_t at;
	bool named;
	bool print;
};

static void hear(void *context, const struct vgm_verify_fault *fault)
{
	struct said *said = context;
	assert_true(fault->what[0] != 0);
	if (said->print)
		print_message(
		    "%s:%llu: %s\n", fault->file, (unsigned long long)fault->offset, fault->what);
	if (!said->file || strcmp(said->file, fault->file) != 0 || fault->offset > said->at)
		return;
	if (!said->named || fault->offset > said->nearest)
		said->nearest = fault->offset;
	said->named = true;
}

static void test_a_good_ledger(void **state)
{
	(void)state;
	struct scratch s;
	struct vgm_verify_result result;
	struct said said = {.print = true};
	scratch_open(&s);
	make_ledger(&s);
	assert_int_equal(vgm_verify(s.fd, hear, &said, &result, NULL), 0);
	assert_int_equal(result.faults, 0);
	assert_int_equal(result.records, 16);
	assert_int_equal(result.tree_size, 16);
	assert_true(result.batches >= 8);
	assert_true(result.segments >= 3);
	assert_int_equal(result.checkpoints, 4); /* three in segments' files, the newest again */
	assert_true(result.tiles >= 2);
	scratch_close(&s);
}

static void test_no_ledger(void **state)
{
	(void)state;
	struct scratch s;
	struct vgm_verify_result result;
	scratch_open(&s);
	assert_int_equal(vgm_verify(s.fd, hear, NULL, &result, NULL), VGM_E_NOTFOUND);
	assert_int_equal(vgm_verify(-1, hear, NULL, &result, NULL), VGM_E_IO);
	scratch_close(&s);
}

/* ---- every byte ---- */

static bool is_evidence(const char *name)
{
	return strncmp(name, "spare-", 6) != 0 && strcmp(name, "reserve") != 0 &&
	       strcmp(name, "lock") != 0;
}

/* Calls each for every file that verify answers for, also in folders. */
static void each_file(const struct scratch *s, const char *folder,
    void (*each)(const struct scratch *, const char *path, uint64_t size))
{
	char path[512];
	DIR *dir = fdopendir(openat(s->fd, *folder ? folder : ".", O_RDONLY | O_DIRECTORY));
	assert_non_null(dir);
	for (struct dirent *e; (e = readdir(dir));) {
		struct stat st;
		if (e->d_name[0] == '.' || !is_evidence(e->d_name))
			continue;
		assert_true(strlen(folder) + strlen(e->d_name) + 2 < sizeof path);
		(void)!snprintf(
		    path, sizeof path, "%.200s%s%.255s", folder, *folder ? "/" : "", e->d_name);
		assert_int_equal(fstatat(s->fd, path, &st, 0), 0);
		if (S_ISDIR(st.st_mode))
			each_file(s, path, each);
		else
			each(s, path, (uint64_t)st.st_size);
	}
	closedir(dir);
}

static uint64_t flips, cuts;

/* How far before the byte the place that is named may be: the largest structure. */
static uint64_t reach(const char *path, uint64_t at)
{
	if (strncmp(path, "tile/", 5) == 0)
		return 32;
	if (strstr(path, ".vgl"))
		return at < VGM_SEGMENT_HEADER_BYTES ? VGM_SEGMENT_HEADER_BYTES : 750;
	return 400;
}

static void flip_bytes(const struct scratch *s, const char *path, uint64_t size)
{
	int fd = openat(s->fd, path, O_RDWR);
	for (uint64_t at = 0; at < size; at++) {
		struct said said = {.file = path, .at = at};
		struct vgm_verify_result result;
		uint8_t byte, other;
		assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
		other = byte ^ (uint8_t)(1u << at % 8);
		assert_int_equal(pwrite(fd, &other, 1, (off_t)at), 1);
		assert_int_equal(vgm_verify(s->fd, hear, &said, &result, NULL), 0);
		if (!said.named || at - said.nearest >= reach(path, at)) {
			said.print = true;
			assert_int_equal(vgm_verify(s->fd, hear, &said, &result, NULL), 0);
			fail_msg("byte %llu of %s: %s", (unsigned long long)at, path,
			    said.named ? "named too far before" : "not named");
		}
		assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
		flips++;
	}
	close(fd);
}

static void test_every_byte(void **state)
{
	(void)state;
	struct scratch s;
	scratch_open(&s);
	make_ledger(&s);
	each_file(&s, "", flip_bytes);
	print_message("%llu bytes changed, each one named\n", (unsigned long long)flips);
	scratch_close(&s);
}

/* ---- every cut ---- */

static struct vgm_ledger_place end_of_ledger;

/* Zeros after the last batch of the last segment are no loss. */
static bool is_loss(const char *path, uint64_t to)
{
	return vgm_segment_number(path) != end_of_ledger.segment || to < end_of_ledger.offset;
}

static void cut_bytes(const struct scratch *s, const char *path, uint64_t size)
{
	uint8_t *content = vgm_alloc((size_t)size + 1);
	int fd = openat(s->fd, path, O_RDWR);
	assert_int_equal(pread(fd, content, (size_t)size, 0), (ssize_t)size);
	for (uint64_t to = 0; to < size; to++) {
		struct said said = {.file = NULL};
		struct vgm_verify_result result;
		if (!is_loss(path, to))
			break;
		assert_int_equal(ftruncate(fd, (off_t)to), 0);
		assert_int_equal(vgm_verify(s->fd, hear, &said, &result, NULL), 0);
		if (result.faults == 0)
			fail_msg("%s cut to %llu is not seen", path, (unsigned long long)to);
		assert_int_equal(pwrite(fd, content, (size_t)size, 0), (ssize_t)size);
		cuts++;
	}
	close(fd);
	vgm_free(content);
}

static void test_every_cut(void **state)
{
	(void)state;
	struct scratch s;
	uint64_t size;
	scratch_open(&s);
	make_ledger(&s);
	assert_int_equal(vgm_reader_find_end(s.fd, &end_of_ledger, &size, NULL), 0);
	each_file(&s, "", cut_bytes);
	print_message("%llu cuts, each one seen\n", (unsigned long long)cuts);
	scratch_close(&s);
}

/* ---- whole files ---- */

static void test_missing_files(void **state)
{
	(void)state;
	static const char *const names[] = {
	    "seg-0000000000000001.vgl", "seg-0000000000000002.vgl", "checkpoint.keys"};
	for (size_t i = 0; i < VGM_ARRAY_LEN(names); i++) {
		struct scratch s;
		struct vgm_verify_result result;
		scratch_open(&s);
		make_ledger(&s);
		assert_int_equal(unlinkat(s.fd, names[i], 0), 0);
		assert_int_equal(vgm_verify(s.fd, NULL, NULL, &result, NULL), 0);
		assert_true(result.faults > 0);
		scratch_close(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_good_ledger),
	    cmocka_unit_test(test_no_ledger),
	    cmocka_unit_test(test_every_byte),
	    cmocka_unit_test(test_every_cut),
	    cmocka_unit_test(test_missing_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
