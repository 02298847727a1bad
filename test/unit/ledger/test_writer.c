/* SPDX-License-Identifier: EUPL-1.2
 * The writer and its recovery: batches, segments, every place where a crash may
 * cut, damage of every byte, disks that are full or fail. The system calls that
 * fail do so in this file: the program's own definitions come before libc's. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "ledger/checkpoint.h"
#include "ledger/reader.h"
#include "os/file.h"
#include "sample.h"

static int fail_syncs, fail_writes, fail_allocations, syncs, writes;

int fdatasync(int fd)
{
	syncs++;
	if (fail_syncs > 0 && fail_syncs-- > 0) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
	writes++;
	if (fail_writes > 0 && fail_writes-- > 0) {
		errno = ENOSPC;
		return -1;
	}
	return syscall(SYS_pwritev, fd, iov, count, offset, 0);
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
	if (fail_allocations > 0 && fail_allocations-- > 0) {
		errno = ENOSPC;
		return -1;
	}
	return (int)syscall(SYS_fallocate, fd, mode, offset, len);
}

/* Reads everything up to what is synced; checks order; returns the count. */
static unsigned count_records(const struct scratch *s, struct vgm_ledger_place end)
{
	struct vgm_reader *r = vgm_reader_new(s->fd);
	struct vgm_reader_entry entry;
	unsigned n = 0;
	int result;
	while ((result = vgm_reader_next(r, end, &entry, NULL)) > 0) {
		struct vgm_record again;
		assert_int_equal(entry.record.sequence, n++);
		assert_int_equal(entry.routing.len, entry.record.part[VGM_PART_ROUTING].stored);
		assert_int_equal(
		    vgm_record_read(entry.segment_fd, entry.at.offset, &again, NULL), 0);
		assert_memory_equal(again.id, entry.record.id, 16);
	}
	assert_int_equal(result, 0);
	vgm_reader_free(&r);
	return n;
}

static void assert_holds(const struct scratch *s, struct vgm_writer *w, unsigned records)
{
	struct vgm_ledger_place end;
	uint64_t size;
	assert_null(vgm_writer_fault(w));
	assert_int_equal(vgm_writer_size(w), records);
	assert_int_equal(vgm_writer_synced_size(w), records);
	assert_int_equal(count_records(s, vgm_writer_synced_place(w)), records);
	assert_int_equal(vgm_reader_find_end(s->fd, &end, &size, NULL), 0);
	assert_int_equal(size, records);
	assert_int_equal(end.segment, vgm_writer_synced_place(w).segment);
	assert_int_equal(end.offset, vgm_writer_synced_place(w).offset);
}

/* ---- ordinary life ---- */

static void test_batches(void **state)
{
	(void)state;
	struct scratch s;
	struct vgm_ledger_place place;
	scratch_open(&s);
	struct vgm_writer *w = sample_open(&s);
	assert_int_equal(vgm_writer_size(w), 0);
	assert_true(vgm_writer_is_synced(w));
	assert_int_equal(vgm_writer_frame(w, NULL), 0);
	assert_int_equal(vgm_writer_sync(w, NULL), 0);
	syncs = writes = 0;
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(sample_append(w, i, 100, &place, NULL), 0);
	assert_int_equal(writes, 0);
	assert_false(vgm_writer_is_synced(w));
	assert_int_equal(vgm_writer_synced_size(w), 0);
	assert_int_equal(vgm_writer_sync(w, NULL), 0);
	assert_int_equal(writes, 1); /* ten records, one write, one sync */
	assert_int_equal(syncs, 1);
	assert_int_equal(vgm_writer_synced_batch(w), 1);
	assert_holds(&s, w, 10);
	vgm_writer_free(&w);
	assert_null(w);
	vgm_writer_free(&w);
	scratch_close(&s);
}

static void test_goes_on_after_reopening(void **state)
{
	(void)state;
	struct scratch s;
	scratch_open(&s);
	for (unsigned i = 0; i < 5; i++) {
		struct vgm_writer *w = sample_open(&s);
		assert_holds(&s, w, 6 * i);
		sample_fill(w, 6 * i, 3, 200);
		assert_holds(&s, w, 6 * i + 6);
		vgm_writer_free(&w);
	}
	scratch_close(&s);
}

static void test_framed_is_adopted(void **state)
{
	(void)state;
	struct scratch s;
	struct vgm_ledger_place place;
	struct vgm_writer_opening opening;
	scratch_open(&s);
	struct vgm_writer *w = sample_open(&s);
	sample_fill(w, 0, 2, 50);
	assert_int_equal(sample_append(w, 4, 50, &place, NULL), 0);
	assert_int_equal(vgm_writer_frame(w, NULL), 0);
	assert_int_equal(sample_append(w, 5, 50, &place, NULL), 0); /* never framed */
	vgm_writer_free(&w);
	assert_int_equal(vgm_writer_open(s.fd, &sample_options, &w, &opening, NULL), 0);
	assert_int_equal(opening.adopted_batches, 1);
	assert_true(opening.unfinished == false);
	assert_holds(&s, w, 5);
	vgm_writer_free(&w);
	scratch_close(&s);
}

static void test_one_writer(void **state)
{
	(void)state;
	struct scratch s;
	struct vgm_writer_opening opening;
	struct vgm_writer *second = NULL;
	scratch_open(&s);
	struct vgm_writer *w = sample_open(&s);
	assert_int_equal(
	    vgm_writer_open(s.fd, &sample_options, &second, &opening, NULL), VGM_E_BUSY);
	assert_null(second);
	vgm_writer_free(&w);
	struct vgm_writer_options other = sample_options;
	other.entity = 2;
	assert_int_equal(vgm_writer_open(s.fd, &other, &second, &opening, NULL), VGM_E_INVALID);
	w = sample_open(&s);
	vgm_writer_free(&w);
	scratch_close(&s);
}

static void test_segments(void **state)
{
	(void)state;
	static const size_t bodies[] = {10, 3000, 20000, 63000, 70000, 400000};
	for (size_t i = 0; i < VGM_ARRAY_LEN(bodies); i++) {
		struct scratch s;
		scratch_open(&s);
		struct vgm_writer *w = sample_open(&s);
		assert_int_equal(vgm_writer_prepare(w, NULL), 0);
		sample_fill(w, 0, 10, bodies[i]);
		assert_int_equal(vgm_writer_prepare(w, NULL), 0);
		assert_holds(&s, w, 20);
		if (bodies[i] >= 20000)
			assert_true(vgm_writer_synced_place(w).segment > 3);
		vgm_writer_free(&w);
		w = sample_open(&s);
		assert_holds(&s, w, 20);
		sample_fill(w, 20, 2, bodies[i]);
		assert_holds(&s, w, 24);
		vgm_writer_free(&w);
		scratch_close(&s);
	}
}

/* A batch that goes over a segment's end: what came before is synced first. */
static void test_batch_over_two_segments(void **state)
{
	(void)state;
	struct scratch s;
	struct vgm_ledger_place place;
	scratch_open(&s);
	struct vgm_writer *w = sample_open(&s);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(sample_append(w, i, 20000, &place, NULL), 0);
	assert_int_equal(place.segment, 3);
	assert_int_equal(vgm_writer_synced_size(w), 4);
	assert_int_equal(vgm_writer_sync(w, NULL), 0);
	assert_holds(&s, w, 5);
	vgm_writer_free(&w);
	scratch_close(&s);
}

static void test_reader_goes_on_from_any_record(void **state)
{
	(void)state;
	struct scratch s;
	scratch_open(&s);
	struct vgm_writer *w = sample_open(&s);
	sample_fill(w, 0, 12, 9000);
	struct vgm_ledger_place end = vgm_writer_synced_place(w), at[24];
	struct vgm_reader *r = vgm_reader_new(s.fd);
	struct vgm_reader_entry entry;
	for (unsigned i = 0; i < 24; i++) {
		assert_int_equal(vgm_reader_next(r, end, &entry, NULL), 1);
		at[i] = entry.next;
	}
	for (unsigned i = 0; i < 24; i++) {
		vgm_reader_seek(r, at[i]);
		assert_int_equal(vgm_reader_next(r, end, &entry, NULL), i < 23);
		if (i < 23)
			assert_int_equal(entry.record.sequence, i + 1);
	}
	vgm_reader_seek(r, (struct vgm_ledger_place){end.segment + 1, 0});
	assert_int_equal(vgm_reader_next(r, end, &entry, NULL), 0);
	vgm_reader_seek(r, (struct vgm_ledger_place){1, 5000}); /* the middle of a record */
	assert_int_equal(vgm_reader_next(r, end, &entry, NULL), VGM_E_CORRUPT);
	vgm_reader_free(&r);
	vgm_reader_free(&r);
	vgm_writer_free(&w);
	scratch_close(&s);
}

/* ---- crashes ---- */

#define SEGMENT_1 "seg-0000000000000001.vgl"

/* A copy of the first segment, changed, in a directory of its own. */
static void copy_segment(const struct scratch *from, struct scratch *to)
{
	char a[128], b[128];
	scratch_open(to);
	snprintf(a, sizeof a, "%s/" SEGMENT_1, from->path);
	snprintf(b, sizeof b, "%s/" SEGMENT_1, to->path);
	sample_copy_file(a, b);
}

/* Cut at every byte, with zeros behind (a preallocated file whose last pages
 * never arrived) and without: whole batches stay, and it goes on. */
static void test_cut_at_every_byte(void **state)
{
	(void)state;
	struct scratch s, t;
	struct vgm_ledger_place ends[5];
	scratch_open(&s);
	struct vgm_writer *w = sample_open(&s);
	ends[0] = vgm_writer_synced_place(w);
	for (unsigned i = 0; i < 4; i++) {
		sample_fill(w, 2 * i, 1, 40);
		ends[i + 1] = vgm_writer_synced_place(w);
	}
	vgm_writer_free(&w);
	for (uint64_t cut = ends[0].offset; cut <= ends[4].offset; cut += 1 + (cut % 3 == 0)) {
		unsigned whole = 0;
		char path[128];
		while (whole < 4 && ends[whole + 1].offset <= cut)
			whole++;
		copy_segment(&s, &t);
		snprintf(path, sizeof path, "%s/" SEGMENT_1, t.path);
		assert_int_equal(truncate(path, (off_t)cut), 0);
		if (cut % 2)
			assert_int_equal(truncate(path, 65536), 0);
		w = sample_open(&t);
		assert_holds(&t, w, 2 * whole);
		sample_fill(w, 100, 1, 40);
		assert_holds(&t, w, 2 * whole + 2);
		vgm_writer_free(&w);
		w = sample_open(&t);
		assert_holds(&t, w, 2 * whole + 2);
		vgm_writer_free(&w);
		scratch_close(&t);
	}
	for (uint64_t cut = 0; cut < ends[0].offset; cut += 97) {
		char path[128];
		copy_segment(&s, &t);
		snprintf(path, sizeof path, "%s/" SEGMENT_1, t.path);
		assert_int_equal(truncate(path, (off_t)cut), 0);
		w = sample_open(&t);
		assert_int_equal(vgm_writer_fault(w)->code, VGM_E_CORRUPT);
		vgm_writer_free(&w);
		scratch_close(&t);
	}
	scratch_close(&s);
}

/* Every byte of a ledger of three synced batches changed: a header or frame that
 * later frames know as synced is corruption; in the last batch it may be a cut;
 * never is a wrong record adopted as an unsynced one. */
static void test_every_byte_damaged(void **state)
{
	(void)state;
	struct scratch s, t;
	scratch_open(&s);
	struct vgm_writer *w = sample_open(&s);
	sample_fill(w, 0, 2, 40);
	struct vgm_ledger_place two = vgm_writer_synced_place(w);
	sample_fill(w, 4, 1, 40);
	struct vgm_ledger_place end = vgm_writer_synced_place(w);
	vgm_writer_free(&w);
	copy_segment(&s, &t);
	int fd = openat(t.fd, SEGMENT_1, O_RDWR);
	for (uint64_t at = 0; at < end.offset; at += at < 4000 ? 61 : 1) {
		uint8_t byte, flipped;
		struct vgm_ledger_place place;
		assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
		flipped = byte ^ 0x10;
		assert_int_equal(pwrite(fd, &flipped, 1, (off_t)at), 1);
		w = sample_open(&t);
		if (at < VGM_SEGMENT_HEADER_BYTES) {
			assert_non_null(vgm_writer_fault(w));
			assert_int_equal(sample_append(w, 1, 1, &place, NULL), VGM_E_CORRUPT);
			assert_int_equal(vgm_writer_sync(w, NULL), VGM_E_CORRUPT);
		} else if (at >= two.offset) {
			assert_null(vgm_writer_fault(w));
			assert_int_equal(vgm_writer_size(w), 4);
		} else {
			/* Parts of batches known as synced are verify's business. */
			assert_true(vgm_writer_fault(w) || vgm_writer_size(w) >= 4);
		}
		vgm_writer_free(&w);
		/* Opening may have cleared what it dropped: the original again. */
		scratch_close(&t);
		close(fd);
		copy_segment(&s, &t);
		fd = openat(t.fd, SEGMENT_1, O_RDWR);
	}
	close(fd);
	scratch_close(&t);
	scratch_close(&s);
}

static void damage(const struct scratch *s, const char *name, uint64_t at)
{
	uint8_t byte;
	int fd = openat(s->fd, name, O_RDWR);
	assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
	byte ^= 0xff;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
	close(fd);
}

/* Several batches framed and not synced, the first of them lost, later ones on
 * the disk: the kernel may write pages in any order. That is no corruption. */
static void test_unsynced_batches_in_any_order(void **state)
{
	(void)state;
	struct scratch s;
	struct vgm_ledger_place place, lost = {0, 0};
	struct vgm_writer_opening opening;
	scratch_open(&s);
	struct vgm_writer *w = sample_open(&s);
	sample_fill(w, 0, 2, 40);
	for (unsigned i = 4; i < 8; i++) {
		assert_int_equal(sample_append(w, i, 40, &place, NULL), 0);
		assert_int_equal(vgm_writer_frame(w, NULL), 0);
		if (i == 5)
			lost = place;
	}
	vgm_writer_free(&w);
	damage(&s, SEGMENT_1, lost.offset + 100);
	assert_int_equal(vgm_writer_open(s.fd, &sample_options, &w, &opening, NULL), 0);
	assert_true(opening.unfinished);
	assert_holds(&s, w, 5);
	sample_fill(w, 10, 3, 10);
	vgm_writer_free(&w);
	w = sample_open(&s);
	assert_holds(&s, w, 11);
	vgm_writer_free(&w);
	scratch_close(&s);
}

/* The same with a sync in between: the last frame knows better. */
static void test_synced_batches_are_not_cut(void **state)
{
	(void)state;
	struct scratch s;
	struct vgm_ledger_place place, lost;
	scratch_open(&s);
	struct vgm_writer *w = sample_open(&s);
	sample_fill(w, 0, 2, 40);
	assert_int_equal(sample_append(w, 4, 40, &lost, NULL), 0);
	assert_int_equal(vgm_writer_sync(w, NULL), 0);
	assert_int_equal(sample_append(w, 5, 40, &place, NULL), 0);
	assert_int_equal(vgm_writer_frame(w, NULL), 0);
	vgm_writer_free(&w);
	damage(&s, SEGMENT_1, lost.offset + 100);
	w = sample_open(&s);
	assert_int_equal(vgm_writer_fault(w)->code, VGM_E_CORRUPT);
	assert_int_equal(vgm_writer_synced_size(w), 4);
	vgm_writer_free(&w);
	scratch_close(&s);
}

static void write_checkpoint(const struct scratch *s, uint64_t size, const uint8_t root[32])
{
	struct vgm_checkpoint c = {.origin = VGM_SLICE_LIT("o"), .size = size};
	struct vgm_buf text = VGM_BUF_INIT(1000), note = VGM_BUF_INIT(1000);
	static const uint8_t seed[32];
	memcpy(c.root, root, 32);
	assert_int_equal(vgm_checkpoint_format(&c, &text, NULL), 0);
	assert_int_equal(
	    vgm_note_sign(vgm_buf_slice(&text), VGM_SLICE_LIT("o"), seed, &note, NULL), 0);
	assert_int_equal(
	    vgm_file_replace_at(s->fd, VGM_LEDGER_CHECKPOINT, vgm_buf_slice(&note), 0600, NULL), 0);
	vgm_buf_release(&text);
	vgm_buf_release(&note);
}

/* Whole batches cut off behind a checkpoint: a rolled-back disk. */
static void test_checkpoints_are_remembered(void **state)
{
	(void)state;
	struct scratch s;
	uint8_t root[32], wrong[32] = {1};
	scratch_open(&s);
	struct vgm_writer *w = sample_open(&s);
	sample_fill(w, 0, 2, 40);
	struct vgm_ledger_place two = vgm_writer_synced_place(w);
	sample_fill(w, 4, 1, 40);
	vgm_merkle_root(vgm_writer_synced_tree(w), root);
	vgm_writer_free(&w);

	write_checkpoint(&s, 6, root);
	w = sample_open(&s);
	assert_holds(&s, w, 6);
	sample_fill(w, 6, 1, 40);
	vgm_writer_free(&w);
	w = sample_open(&s);
	assert_holds(&s, w, 8);
	vgm_writer_free(&w);

	write_checkpoint(&s, 6, wrong);
	w = sample_open(&s);
	assert_non_null(vgm_writer_fault(w));
	vgm_writer_free(&w);
	write_checkpoint(&s, 5, root); /* within a batch: nobody signs there */
	w = sample_open(&s);
	assert_non_null(vgm_writer_fault(w));
	vgm_writer_free(&w);

	write_checkpoint(&s, 6, root);
	char path[128];
	snprintf(path, sizeof path, "%s/" SEGMENT_1, s.path);
	assert_int_equal(truncate(path, (off_t)two.offset), 0);
	w = sample_open(&s);
	assert_int_equal(vgm_writer_fault(w)->code, VGM_E_CORRUPT);
	vgm_writer_free(&w);
	assert_int_equal(
	    vgm_file_replace_at(s.fd, VGM_LEDGER_CHECKPOINT, VGM_SLICE_LIT("rubbish"), 0600, NULL),
	    0);
	w = sample_open(&s);
	assert_non_null(vgm_writer_fault(w));
	vgm_writer_free(&w);
	scratch_close(&s);
}

static void test_missing_segments(void **state)
{
	(void)state;
	struct scratch s;
	char path[128];
	scratch_open(&s);
	struct vgm_writer *w = sample_open(&s);
	sample_fill(w, 0, 3, 40000);
	assert_int_equal(vgm_writer_synced_place(w).segment, 6);
	vgm_writer_free(&w);
	snprintf(path, sizeof path, "%s/seg-0000000000000005.vgl", s.path);
	assert_int_equal(truncate(path, 5000), 0);
	w = sample_open(&s);
	assert_non_null(vgm_writer_fault(w));
	vgm_writer_free(&w);
	assert_int_equal(unlink(path), 0);
	w = sample_open(&s);
	assert_non_null(vgm_writer_fault(w));
	vgm_writer_free(&w);
	scratch_close(&s);
}

/* ---- disks that fail ---- */

static void test_sync_fails_once(void **state)
{
	(void)state;
	struct scratch s;
	struct vgm_ledger_place place;
	struct vgm_cut cut;
	scratch_open(&s);
	struct vgm_writer *w = sample_open(&s);
	sample_fill(w, 0, 2, 40);
	struct vgm_ledger_place good = vgm_writer_synced_place(w);
	assert_int_equal(sample_append(w, 4, 40, &place, NULL), 0);
	assert_int_equal(vgm_writer_frame(w, NULL), 0);
	assert_int_equal(sample_append(w, 5, 40, &place, NULL), 0);
	fail_syncs = 1;
	assert_int_equal(vgm_writer_sync(w, NULL), VGM_E_IO);
	assert_null(vgm_writer_fault(w));
	assert_int_equal(vgm_writer_size(w), 4); /* both batches are gone */
	assert_int_equal(vgm_writer_synced_place(w).segment, 2);
	assert_int_equal(vgm_cut_read(s.fd, 1, &cut, NULL), 0);
	assert_int_equal(cut.end, good.offset);
	assert_int_equal(cut.tree_size, 4);
	sample_fill(w, 10, 2, 40);
	assert_holds(&s, w, 8);
	vgm_writer_free(&w);
	w = sample_open(&s);
	assert_holds(&s, w, 8);
	vgm_writer_free(&w);
	scratch_close(&s);
}

/* A crash right after the note: opened, the note still ends the segment, though
 * the frames behind it are there and whole. */
static void test_note_without_a_new_segment(void **state)
{
	(void)state;
	struct scratch s;
	struct vgm_ledger_place place;
	scratch_open(&s);
	struct vgm_writer *w = sample_open(&s);
	sample_fill(w, 0, 2, 40);
	assert_int_equal(sample_append(w, 4, 40, &place, NULL), 0);
	assert_int_equal(vgm_writer_frame(w, NULL), 0);
	fail_syncs = 1;
	fail_allocations = 1;
	assert_int_equal(vgm_writer_sync(w, NULL), VGM_E_IO);
	assert_int_equal(vgm_writer_fault(w)->code, VGM_E_IO);
	assert_int_equal(sample_append(w, 5, 40, &place, NULL), VGM_E_IO);
	assert_int_equal(vgm_writer_sync(w, NULL), VGM_E_IO);
	vgm_writer_free(&w);
	w = sample_open(&s);
	assert_int_equal(vgm_writer_synced_place(w).segment, 2);
	assert_holds(&s, w, 4);
	sample_fill(w, 10, 2, 40);
	vgm_writer_free(&w);
	w = sample_open(&s);
	assert_holds(&s, w, 8);
	vgm_writer_free(&w);
	scratch_close(&s);
}

static void test_disk_is_full(void **state)
{
	(void)state;
	struct scratch s;
	struct vgm_ledger_place place;
	scratch_open(&s);
	struct vgm_writer *w = sample_open(&s);
	sample_fill(w, 0, 1, 40);
	assert_int_equal(sample_append(w, 2, 40, &place, NULL), 0);
	assert_int_equal(vgm_writer_frame(w, NULL), 0);
	assert_int_equal(sample_append(w, 3, 40, &place, NULL), 0);
	fail_writes = 1;
	assert_int_equal(vgm_writer_sync(w, NULL), VGM_E_NOSPACE);
	assert_int_equal(vgm_writer_size(w), 3); /* the framed one is still there */
	fail_writes = 1;
	assert_int_equal(sample_append(w, 4, 70000, &place, NULL), VGM_E_NOSPACE);
	assert_int_equal(sample_append(w, 5, 40, &place, NULL), 0); /* room again, no restart */
	assert_int_equal(vgm_writer_sync(w, NULL), 0);
	assert_holds(&s, w, 4);
	vgm_writer_free(&w);
	w = sample_open(&s);
	assert_holds(&s, w, 4);
	vgm_writer_free(&w);
	scratch_close(&s);
}

static void test_reserve(void **state)
{
	(void)state;
	struct scratch s;
	struct vgm_ledger_place place;
	struct vgm_writer_record outcome = {.record = {.type = VGM_RECORD_OUTCOME, .day = 20000}};
	uint8_t facts[30000] = {1};
	struct stat st;
	scratch_open(&s);
	struct vgm_writer *w = sample_open(&s);
	assert_int_equal(vgm_writer_prepare(w, NULL), 0);
	assert_int_equal(fstatat(s.fd, "reserve", &st, 0), 0);
	assert_int_equal(fstatat(s.fd, "spare-1.vgl", &st, 0), 0);
	sample_fill(w, 0, 3, 29000); /* three segments: the first and both spares */
	assert_int_equal(fstatat(s.fd, "spare-0.vgl", &st, 0), -1);
	fail_allocations = 1000;
	assert_int_equal(vgm_writer_prepare(w, NULL), VGM_E_NOSPACE);
	assert_int_equal(sample_append(w, 6, 29000, &place, NULL), VGM_E_NOSPACE);
	assert_holds(&s, w, 6);
	/* An outcome may: the reserve goes, and the disk has room. */
	outcome.part[VGM_PART_ROUTING] = vgm_slice(facts, sizeof facts);
	outcome.may_use_reserve = true;
	fail_allocations = 1;
	assert_int_equal(vgm_writer_append(w, &outcome, &place, NULL), 0);
	assert_int_equal(fstatat(s.fd, "reserve", &st, 0), -1);
	assert_int_equal(vgm_writer_sync(w, NULL), 0);
	assert_holds(&s, w, 7);
	fail_allocations = 0;
	assert_int_equal(vgm_writer_prepare(w, NULL), 0);
	assert_int_equal(fstatat(s.fd, "reserve", &st, 0), 0);
	vgm_writer_free(&w);
	scratch_close(&s);
}

/* Spares that a crash left half-way to a segment. */
static void test_used_spares_are_made_anew(void **state)
{
	(void)state;
	struct scratch s;
	scratch_open(&s);
	struct vgm_writer *w = sample_open(&s);
	assert_int_equal(vgm_writer_prepare(w, NULL), 0);
	vgm_writer_free(&w);
	damage(&s, "spare-0.vgl", 8);
	w = sample_open(&s);
	sample_fill(w, 0, 3, 29000);
	assert_holds(&s, w, 6);
	vgm_writer_free(&w);
	w = sample_open(&s);
	assert_holds(&s, w, 6);
	vgm_writer_free(&w);
	scratch_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_batches),
	    cmocka_unit_test(test_goes_on_after_reopening),
	    cmocka_unit_test(test_framed_is_adopted),
	    cmocka_unit_test(test_one_writer),
	    cmocka_unit_test(test_segments),
	    cmocka_unit_test(test_batch_over_two_segments),
	    cmocka_unit_test(test_reader_goes_on_from_any_record),
	    cmocka_unit_test(test_cut_at_every_byte),
	    cmocka_unit_test(test_every_byte_damaged),
	    cmocka_unit_test(test_unsynced_batches_in_any_order),
	    cmocka_unit_test(test_synced_batches_are_not_cut),
	    cmocka_unit_test(test_checkpoints_are_remembered),
	    cmocka_unit_test(test_missing_segments),
	    cmocka_unit_test(test_sync_fails_once),
	    cmocka_unit_test(test_note_without_a_new_segment),
	    cmocka_unit_test(test_disk_is_full),
	    cmocka_unit_test(test_reserve),
	    cmocka_unit_test(test_used_spares_are_made_anew),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
