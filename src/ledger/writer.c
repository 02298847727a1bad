/* SPDX-License-Identifier: EUPL-1.2
 * ledger/writer.c — see writer.h: a batch is gathered, framed, synced.
 *
 * Small records gather in memory and go out with their frame in one write; a
 * part of BIG_BYTES or more goes out straight from the caller's memory. Nothing
 * before the frame counts, so a failed write only moves back to the last frame. */
#include "ledger/writer_state.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "ledger/bytes.h"
#include "ledger/seal.h"
#include "os/file.h"

#define BIG_BYTES ((size_t)64 * 1024)
#define PENDING_BYTES ((size_t)256 * 1024)
#define PENDING_CEILING (PENDING_BYTES + VGM_PART_COUNT * BIG_BYTES + 4096)

/* ---- life cycle ---- */

int vgm_writer_open(int dir_fd, const struct vgm_writer_options *options, struct vgm_writer **out,
    struct vgm_writer_opening *opening, struct vgm_err *err)
{
	struct vgm_writer *w = vgm_alloc(sizeof *w);
	uint64_t last = 0;
	*w = (struct vgm_writer){.dir_fd = dir_fd, .lock_fd = -1, .fd = -1, .options = *options};
	vgm_buf_init(&w->pending, PENDING_CEILING);
	*opening = (struct vgm_writer_opening){.segment_start = {1, VGM_SEGMENT_HEADER_BYTES}};
	int r = vgm_file_lock_at(dir_fd, VGM_LEDGER_LOCK, &w->lock_fd, err);
	if (r == 0)
		r = vgm_segment_last(dir_fd, &last, err);
	if (r == 0) {
		vgm_ledger_clock_init(&w->clock, 0, vgm_clock_wall_us(), vgm_clock_mono_us(),
		    options->clock_synchronised);
		vgm_writer_count_spares(w);
		r = last ? vgm_writer_recover(w, last, opening, err)
			 : vgm_writer_roll(w, false, err);
	}
	if (r < 0)
		vgm_writer_free(&w);
	else
		*out = w;
	return r;
}

void vgm_writer_free(struct vgm_writer **writer)
{
	struct vgm_writer *w = *writer;
	if (!w)
		return;
	if (w->fd >= 0)
		close(w->fd);
	if (w->lock_fd >= 0)
		close(w->lock_fd);
	vgm_buf_release(&w->pending);
	vgm_hash_stream_release(&w->batch_hash);
	vgm_free(w);
	*writer = NULL;
}

const struct vgm_err *vgm_writer_fault(const struct vgm_writer *w)
{
	return w->fault.code < 0 ? &w->fault : NULL;
}

/* ---- append ---- */

void vgm_writer_rewind(struct vgm_writer *w, const struct vgm_writer_mark *mark)
{
	w->framed = *mark;
	w->tree = mark->tree;
	w->count = 0;
	w->written = mark->end;
	vgm_buf_clear(&w->pending);
}

int vgm_writer_put(
    int fd, uint64_t offset, struct vgm_slice first, struct vgm_slice second, struct vgm_err *err)
{
	while (first.len + second.len) {
		struct iovec iov[2] = {{(void *)(uintptr_t)first.data, first.len},
		    {(void *)(uintptr_t)second.data, second.len}};
		bool skip = first.len == 0;
		ssize_t n = pwritev(fd, iov + skip, 2 - skip, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = ENOSPC;
		if (n <= 0)
			return vgm_err_sys(err, "writing to a segment");
		offset += (uint64_t)n;
		size_t of_first = vgm_min_size((size_t)n, first.len);
		first = vgm_slice_from(first, of_first);
		second = vgm_slice_from(second, (size_t)n - of_first);
	}
	return 0;
}

/* What is gathered, and after it one big part. */
static int flush(struct vgm_writer *w, struct vgm_slice big, struct vgm_err *err)
{
	int r = vgm_writer_put(w->fd, w->written, vgm_buf_slice(&w->pending), big, err);
	if (r < 0)
		return r;
	w->written += w->pending.len + big.len;
	vgm_buf_clear(&w->pending);
	return 0;
}

static int gather(struct vgm_writer *w, struct vgm_slice bytes, struct vgm_err *err)
{
	if (bytes.len >= BIG_BYTES)
		return flush(w, bytes, err);
	VGM_BUG_ON(vgm_buf_add_slice(&w->pending, bytes) < 0);
	return 0;
}

/* Everything of the record that the writer decides. */
static void fill_in(struct vgm_writer *w, struct vgm_writer_record *in)
{
	struct vgm_record *r = &in->record;
	enum vgm_clock_state state;
	r->entity = w->options.entity;
	r->sequence = w->tree.size;
	r->time_us =
	    vgm_ledger_clock_now(&w->clock, vgm_clock_wall_us(), vgm_clock_mono_us(), &state);
	r->clock = (uint8_t)state;
	for (int i = 0; i < VGM_PART_COUNT; i++) {
		r->part[i].stored = in->part[i].len;
		memset(r->hash[i], 0, sizeof r->hash[i]);
		if (in->part[i].len)
			vgm_hash(in->part[i], r->hash[i]);
		else
			r->part[i].plain = 0;
	}
}

static uint64_t end_of_batch(const struct vgm_writer *w)
{
	return w->written + w->pending.len;
}

/* Records do not go over a segment's end; one that is larger than a segment has
 * one of its own, which grows. */
static int make_room(
    struct vgm_writer *w, uint64_t bytes, bool may_use_reserve, struct vgm_err *err)
{
	uint64_t end = end_of_batch(w) + bytes + VGM_FRAME_BYTES;
	if (end <= w->capacity || (w->count == 0 && w->framed.end == VGM_SEGMENT_HEADER_BYTES))
		return 0;
	int r = vgm_writer_sync(w, err);
	return r < 0 ? r : vgm_writer_roll(w, may_use_reserve, err);
}

static int put_record(struct vgm_writer *w, struct vgm_writer_record *in, struct vgm_err *err)
{
	uint8_t prefix[VGM_RECORD_PREFIX_BYTES], length[8];
	fill_in(w, in);
	vgm_record_encode(&in->record, prefix);
	int r = gather(w, vgm_slice(prefix, sizeof prefix), err);
	for (int i = 0; r == 0 && i < VGM_PART_COUNT; i++)
		r = gather(w, in->part[i], err);
	if (r == 0 && w->pending.len >= PENDING_BYTES)
		r = flush(w, VGM_SLICE_NONE, err);
	if (r < 0)
		return r;
	vgm_record_leaf(prefix, in->leaf);
	vgm_put_be(length, vgm_record_bytes(&in->record), 8);
	if (w->count++ == 0)
		vgm_hash_begin(&w->batch_hash);
	vgm_hash_add(&w->batch_hash, vgm_slice(length, sizeof length));
	vgm_hash_add(&w->batch_hash, vgm_slice(in->leaf, sizeof in->leaf));
	vgm_merkle_add(&w->tree, in->leaf);
	return 0;
}

int vgm_writer_append(struct vgm_writer *w, struct vgm_writer_record *in,
    struct vgm_ledger_place *out, struct vgm_err *err)
{
	uint64_t bytes = VGM_RECORD_PREFIX_BYTES;
	if (w->fault.code < 0)
		return vgm_err_set(err, w->fault.code, "%s", w->fault.text);
	for (int i = 0; i < VGM_PART_COUNT; i++)
		bytes += in->part[i].len;
	int r = make_room(w, bytes, in->may_use_reserve, err);
	if (r < 0)
		return r;
	struct vgm_ledger_place place = {w->segment, end_of_batch(w)};
	r = put_record(w, in, err);
	if (r < 0) {
		vgm_writer_rewind(w, &w->framed);
		return r;
	}
	*out = place;
	return 0;
}

/* ---- frame and sync ---- */

int vgm_writer_frame(struct vgm_writer *w, struct vgm_err *err)
{
	uint8_t bytes[VGM_FRAME_BYTES];
	if (w->count == 0)
		return 0;
	struct vgm_frame frame = {.count = w->count,
	    .segment = w->segment,
	    .batch = w->framed.batch + 1,
	    .synced = w->synced.batch,
	    .offset = w->framed.end,
	    .length = end_of_batch(w) - w->framed.end,
	    .tree_size = w->tree.size,
	    .time_us = w->clock.time_us};
	vgm_merkle_root(&w->tree, frame.root);
	vgm_hash_end(&w->batch_hash, frame.hash);
	vgm_frame_encode(&frame, bytes);
	VGM_BUG_ON(vgm_buf_add(&w->pending, bytes, sizeof bytes) < 0);
	int r = flush(w, VGM_SLICE_NONE, err);
	if (r < 0) {
		vgm_writer_rewind(w, &w->framed);
		return r;
	}
	w->framed = (struct vgm_writer_mark){w->written, frame.batch, w->tree};
	w->count = 0;
	return 0;
}

int vgm_writer_sync(struct vgm_writer *w, struct vgm_err *err)
{
	struct vgm_err mine = {.code = 0};
	if (w->fault.code < 0)
		return vgm_err_set(err, w->fault.code, "%s", w->fault.text);
	int r = vgm_writer_frame(w, err);
	if (r < 0 || w->synced.batch == w->framed.batch)
		return r;
	do
		r = fdatasync(w->fd);
	while (r < 0 && errno == EINTR);
	if (r == 0) {
		w->synced = w->framed;
		return 0;
	}
	r = vgm_err_sys(&mine, "syncing segment %llu", (unsigned long long)w->segment);
	vgm_writer_leave_segment(w, &mine);
	if (err)
		*err = mine;
	return r;
}

/* ---- read ---- */

uint64_t vgm_writer_size(const struct vgm_writer *w)
{
	return w->tree.size;
}

uint64_t vgm_writer_synced_size(const struct vgm_writer *w)
{
	return w->synced.tree.size;
}

bool vgm_writer_is_synced(const struct vgm_writer *w)
{
	return w->synced.tree.size == w->tree.size;
}

struct vgm_ledger_place vgm_writer_synced_place(const struct vgm_writer *w)
{
	return (struct vgm_ledger_place){w->segment, w->synced.end};
}

const struct vgm_merkle *vgm_writer_synced_tree(const struct vgm_writer *w)
{
	return &w->synced.tree;
}

uint64_t vgm_writer_synced_batch(const struct vgm_writer *w)
{
	return w->synced.batch;
}

uint64_t vgm_writer_room(const struct vgm_writer *w)
{
	uint64_t end = end_of_batch(w), free_bytes = 0;
	if (vgm_file_free_bytes(w->dir_fd, &free_bytes, NULL) < 0)
		free_bytes = 0;
	/* A missing reserve is filled first: what it will take is not mail's. */
	uint64_t reserve = w->reserve ? 0 : w->options.reserve_bytes;
	free_bytes = free_bytes > reserve ? free_bytes - reserve : 0;
	return (w->capacity > end ? w->capacity - end : 0) + w->spares * w->options.segment_bytes +
	       free_bytes;
}

uint64_t vgm_writer_now_us(struct vgm_writer *w)
{
	enum vgm_clock_state state;
	return vgm_ledger_clock_now(&w->clock, vgm_clock_wall_us(), vgm_clock_mono_us(), &state);
}
