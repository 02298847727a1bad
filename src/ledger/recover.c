/* SPDX-License-Identifier: EUPL-1.2
 * ledger/recover.c — open a ledger whose writer may have died at any point
 * (rule 5 of the design, with each frame's `synced`).
 *
 * Adopted: everything up to the last batch that is whole and right. Before any
 * role acts on it, what is not known to have been synced is written again (a
 * kernel that failed to write a page may have marked it clean) and synced.
 *
 * Bytes after that are dropped only if nothing speaks for them: a later valid
 * frame that knew the missing batch as synced, or a checkpoint that covers it,
 * means that durable bytes were lost. Then nothing is cut: read only, alarm. */
#include "ledger/writer_state.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "ledger/checkpoint.h"
#include "ledger/scan.h"
#include "ledger/seal_chunk.h"
#include "os/file.h"

#define COPY_BYTES ((size_t)64 * 1024)

struct recovery {
	struct vgm_writer *w;
	struct vgm_scan scan;
	uint64_t file_size;
	bool was_cut;		/* a note ends the segment */
	uint64_t synced;	/* the last batch that a later frame knows as synced */
	uint64_t unsynced_from; /* where the first batch after it starts */
	bool has_checkpoint;
	bool checkpoint_met; /* a batch ends where the checkpoint says */
	struct vgm_checkpoint checkpoint;
	struct vgm_buf checkpoint_bytes;
};

static void set_fault(struct recovery *r, const char *what, const struct vgm_err *err)
{
	if (r->w->fault.code == 0)
		vgm_err_set(&r->w->fault, VGM_E_CORRUPT, "segment %llu: %.100s%s%.100s",
		    (unsigned long long)r->w->segment, what, err ? ": " : "", err ? err->text : "");
}

/* ---- what speaks for lost bytes ---- */

static int read_checkpoint(struct recovery *r, struct vgm_err *err)
{
	struct vgm_note note;
	size_t used;
	int result =
	    vgm_file_read_at(r->w->dir_fd, VGM_LEDGER_CHECKPOINT, &r->checkpoint_bytes, err);
	if (result == VGM_E_NOTFOUND)
		return 0;
	if (result == 0)
		result = vgm_note_split(vgm_buf_slice(&r->checkpoint_bytes), &note, &used, err);
	if (result == 0)
		result = vgm_checkpoint_parse(note.text, &r->checkpoint, err);
	r->has_checkpoint = result == 0;
	if (result == VGM_E_INVALID || result == VGM_E_LIMIT) {
		set_fault(r, "the checkpoint file is damaged", err);
		return 0;
	}
	return result;
}

/* The tree at a batch's end against the checkpoint. */
static void meet_checkpoint(struct recovery *r)
{
	uint8_t root[32];
	if (!r->has_checkpoint || r->scan.tree.size != r->checkpoint.size)
		return;
	vgm_merkle_root(&r->scan.tree, root);
	r->checkpoint_met = memcmp(root, r->checkpoint.root, 32) == 0;
}

static void check_checkpoint(struct recovery *r)
{
	if (r->has_checkpoint && !r->checkpoint_met &&
	    r->checkpoint.size >= r->scan.header.tree.size)
		set_fault(r,
		    r->checkpoint.size > r->scan.tree.size
			? "records that a checkpoint covers are missing"
			: "the records are not those of the checkpoint",
		    NULL);
}

/* A valid frame further on that knew the missing batch as synced. */
static int check_later_frames(struct recovery *r, struct vgm_err *err)
{
	uint64_t from = r->scan.at, at;
	struct vgm_frame frame;
	int found;
	while ((found = vgm_scan_find_frame(&r->scan, from, &frame, &at, err)) > 0) {
		if (frame.synced > r->scan.batch)
			set_fault(r, "a batch that was synced is damaged or missing", NULL);
		from = at + 1;
	}
	return found;
}

static int check_previous(struct recovery *r, struct vgm_err *err)
{
	char name[VGM_SEGMENT_NAME_BYTES];
	struct stat st;
	if (r->scan.header.number == 1)
		return 0;
	vgm_segment_name(r->scan.header.number - 1, name);
	if (fstatat(r->w->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			return vgm_err_sys(err, "looking at %s", name);
		set_fault(r, "the segment before it is missing", NULL);
	} else if ((uint64_t)st.st_size < r->scan.header.previous_end) {
		set_fault(r, "the segment before it is too short", NULL);
	}
	return 0;
}

/* ---- reading ---- */

static int open_segment(struct recovery *r, uint64_t number, struct vgm_err *err)
{
	char name[VGM_SEGMENT_NAME_BYTES];
	struct vgm_cut cut;
	struct stat st;
	vgm_segment_name(number, name);
	r->w->fd = openat(r->w->dir_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (r->w->fd < 0 || fstat(r->w->fd, &st) < 0)
		return vgm_err_sys(err, "opening %s", name);
	r->file_size = (uint64_t)st.st_size;
	int result = vgm_cut_read(r->w->dir_fd, number, &cut, err);
	if (result < 0 && result != VGM_E_NOTFOUND)
		return result;
	r->was_cut = result == 0;
	uint64_t limit = r->was_cut && cut.end < r->file_size ? cut.end : r->file_size;
	return vgm_scan_begin(&r->scan, r->w->fd, number, limit, err);
}

/* Which batches later frames know as synced. */
static int learn_synced(struct recovery *r, struct vgm_err *err)
{
	struct vgm_scan start = r->scan;
	uint64_t fault;
	int result;
	r->synced = r->scan.batch;
	while ((result = vgm_scan_next(&r->scan, &fault, err)) > 0)
		if (r->scan.frame.synced > r->synced)
			r->synced = r->scan.frame.synced;
	/* Back to the start, with the memory that the pass has taken. */
	start.items = r->scan.items;
	start.items_room = r->scan.items_room;
	start.window_at = r->scan.window_at;
	start.window_len = r->scan.window_len;
	r->scan = start;
	return result == VGM_E_CORRUPT ? 0 : result;
}

/* Up to the last batch that is whole; the parts of those that may never have
 * been synced are hashed too. */
static int adopt(struct recovery *r, struct vgm_writer_opening *opening, struct vgm_err *err)
{
	uint64_t fault;
	int result;
	meet_checkpoint(r);
	r->unsynced_from = r->scan.at;
	do {
		r->scan.parts = r->scan.batch >= r->synced && !r->was_cut;
		result = vgm_scan_next(&r->scan, &fault, err);
		if (result > 0) {
			meet_checkpoint(r);
			if (r->scan.batch <= r->synced)
				r->unsynced_from = r->scan.at;
			else
				opening->adopted_batches++;
		}
	} while (result > 0);
	if (result == VGM_E_VERSION || result == VGM_E_IO)
		return result;
	if (r->was_cut && r->scan.at != r->scan.limit)
		set_fault(r, "it ends before its cut note says", NULL);
	return 0;
}

/* ---- making it ours ---- */

static int write_again(int fd, uint64_t from, uint64_t end, struct vgm_err *err)
{
	uint8_t bytes[COPY_BYTES];
	while (from < end) {
		size_t len = end - from < sizeof bytes ? (size_t)(end - from) : sizeof bytes;
		int r = vgm_seal_read(fd, from, bytes, len, err);
		if (r == 0)
			r = vgm_writer_put(fd, from, vgm_slice(bytes, len), VGM_SLICE_NONE, err);
		if (r < 0)
			return r;
		from += len;
	}
	return 0;
}

/* Old bytes after the end must not be taken for new ones later. */
static int clear_tail(struct recovery *r, struct vgm_writer_opening *opening, struct vgm_err *err)
{
	static const uint8_t zeros[COPY_BYTES];
	uint64_t at = r->scan.at;
	int found;
	while ((found = vgm_scan_find_data(&r->scan, at, &at, err)) > 0) {
		size_t len =
		    r->scan.limit - at < sizeof zeros ? (size_t)(r->scan.limit - at) : sizeof zeros;
		opening->unfinished = true;
		int result =
		    vgm_writer_put(r->w->fd, at, vgm_slice(zeros, len), VGM_SLICE_NONE, err);
		if (result < 0)
			return result;
		r->scan.window_len = 0;
		at += len;
	}
	return found;
}

static int take_over(struct recovery *r, struct vgm_writer_opening *opening, struct vgm_err *err)
{
	int result = write_again(r->w->fd, r->unsynced_from, r->scan.at, err);
	if (result == 0)
		result = clear_tail(r, opening, err);
	if (result == 0 && (fdatasync(r->w->fd) < 0 || fsync(r->w->dir_fd) < 0))
		result = vgm_err_sys(err, "syncing what was adopted");
	return result;
}

static void set_state(struct recovery *r)
{
	struct vgm_writer *w = r->w;
	w->capacity = r->file_size;
	w->synced = (struct vgm_writer_mark){r->scan.at, r->scan.batch, r->scan.tree};
	vgm_writer_rewind(w, &w->synced);
	vgm_ledger_clock_init(&w->clock, r->scan.time_us, vgm_clock_wall_us(), vgm_clock_mono_us(),
	    w->options.clock_synchronised);
}

static int recover(
    struct recovery *r, uint64_t last, struct vgm_writer_opening *opening, struct vgm_err *err)
{
	struct vgm_writer *w = r->w;
	w->segment = last;
	int result = open_segment(r, last, err);
	if (result == VGM_E_CORRUPT) {
		set_fault(r, "", err);
		return 0;
	}
	if (result == 0 && r->scan.header.entity != w->options.entity)
		result = vgm_err_set(
		    err, VGM_E_INVALID, "this is the ledger of entity %u", r->scan.header.entity);
	if (result == 0)
		result = read_checkpoint(r, err);
	if (result == 0)
		result = check_previous(r, err);
	if (result == 0)
		result = learn_synced(r, err);
	if (result == 0)
		result = adopt(r, opening, err);
	if (result == 0 && !r->was_cut)
		result = check_later_frames(r, err);
	if (result < 0)
		return result;
	check_checkpoint(r);
	set_state(r);
	opening->last_time_us = r->scan.time_us;
	opening->segment_start.segment = last;
	opening->segment_tree = r->scan.header.tree;
	if (w->fault.code < 0)
		return 0;
	return r->was_cut ? vgm_writer_roll(w, true, err) : take_over(r, opening, err);
}

int vgm_writer_recover(struct vgm_writer *w, uint64_t last_segment,
    struct vgm_writer_opening *opening, struct vgm_err *err)
{
	struct recovery r = {.w = w, .checkpoint_bytes = VGM_BUF_INIT(8192)};
	int result = recover(&r, last_segment, opening, err);
	vgm_scan_release(&r.scan);
	vgm_buf_release(&r.checkpoint_bytes);
	return result;
}
