/* SPDX-License-Identifier: EUPL-1.2
 * ledger/writer_segment.c — segments come and go: spares are made ahead, named
 * when they are needed, cut to length when they are full, left with a note when
 * a sync failed on them. See writer_state.h.
 *
 * A segment gets its name only when its header is on the disk, so a segment
 * with a name and without a good header is damage, never a crash. */
#include "ledger/writer_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "ledger/bytes.h"
#include "ledger/seal_chunk.h"
#include "os/file.h"

#define SPARE_NAME_BYTES 16

static void spare_name(unsigned i, char out[SPARE_NAME_BYTES])
{
	snprintf(out, SPARE_NAME_BYTES, "spare-%u.vgl", i % 10);
}

/* ---- spares and the reserve ---- */

static int preallocate(struct vgm_writer *w, const char *name, uint64_t bytes, struct vgm_err *err)
{
	int fd = openat(w->dir_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return vgm_err_sys(err, "making %s", name);
	int r = vgm_file_preallocate(fd, bytes, err);
	if (r == 0 && fsync(fd) < 0)
		r = vgm_err_sys(err, "syncing %s", name);
	close(fd);
	if (r < 0)
		unlinkat(w->dir_fd, name, 0);
	return r;
}

/* A spare that was about to become a segment holds a header; it is made anew. */
static bool good_spare(const struct vgm_writer *w, const char *name)
{
	uint8_t start[VGM_SEGMENT_HEADER_BYTES];
	struct stat st;
	int fd = openat(w->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return false;
	bool good = fstat(fd, &st) == 0 && (uint64_t)st.st_size == w->options.segment_bytes &&
		    vgm_seal_read(fd, 0, start, sizeof start, NULL) == 0 &&
		    vgm_is_zero(start, sizeof start);
	close(fd);
	return good;
}

void vgm_writer_count_spares(struct vgm_writer *w)
{
	struct stat st;
	w->spares = 0;
	for (unsigned i = 0; i < VGM_WRITER_SPARES; i++) {
		char name[SPARE_NAME_BYTES], wanted[SPARE_NAME_BYTES];
		spare_name(i, name);
		spare_name(w->spares, wanted);
		if (!good_spare(w, name))
			unlinkat(w->dir_fd, name, 0);
		else if (w->spares == i || renameat(w->dir_fd, name, w->dir_fd, wanted) == 0)
			w->spares++;
	}
	w->reserve = fstatat(w->dir_fd, VGM_LEDGER_RESERVE, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		     (uint64_t)st.st_size == w->options.reserve_bytes;
}

int vgm_writer_prepare(struct vgm_writer *w, struct vgm_err *err)
{
	int r = 0;
	if (w->fault.code < 0)
		return 0;
	if (!w->reserve && w->options.reserve_bytes) {
		r = preallocate(w, VGM_LEDGER_RESERVE, w->options.reserve_bytes, err);
		w->reserve = r == 0;
	}
	while (r == 0 && w->spares < VGM_WRITER_SPARES) {
		char name[SPARE_NAME_BYTES];
		spare_name(w->spares, name);
		r = preallocate(w, name, w->options.segment_bytes, err);
		w->spares += r == 0;
	}
	return r;
}

/* ---- the next segment ---- */

/* A spare's name with the file behind it: the last one, or a new one. */
static int take_spare(
    struct vgm_writer *w, bool may_use_reserve, char name[SPARE_NAME_BYTES], struct vgm_err *err)
{
	if (w->spares) {
		spare_name(--w->spares, name);
		return 0;
	}
	spare_name(0, name);
	int r = preallocate(w, name, w->options.segment_bytes, err);
	if (r == VGM_E_NOSPACE && may_use_reserve && w->reserve) {
		unlinkat(w->dir_fd, VGM_LEDGER_RESERVE, 0);
		w->reserve = false;
		r = preallocate(w, name, w->options.segment_bytes, err);
	}
	return r;
}

static int write_header(struct vgm_writer *w, int fd, struct vgm_err *err)
{
	uint8_t bytes[VGM_SEGMENT_HEADER_BYTES];
	struct vgm_segment_header header = {.entity = w->options.entity,
	    .number = w->segment + 1,
	    .previous_end = w->synced.end,
	    .batch = w->synced.batch,
	    .time_us = vgm_writer_now_us(w),
	    .tree = w->synced.tree};
	vgm_segment_header_encode(&header, bytes);
	int r = vgm_writer_put(fd, 0, vgm_slice(bytes, sizeof bytes), VGM_SLICE_NONE, err);
	if (r == 0 && fdatasync(fd) < 0)
		r = vgm_err_sys(err, "syncing a new segment");
	return r;
}

static int name_segment(struct vgm_writer *w, const char *spare, struct vgm_err *err)
{
	char name[VGM_SEGMENT_NAME_BYTES];
	vgm_segment_name(w->segment + 1, name);
	if (renameat(w->dir_fd, spare, w->dir_fd, name) < 0)
		return vgm_err_sys(err, "naming %s", name);
	if (fsync(w->dir_fd) == 0)
		return 0;
	int r = vgm_err_sys(err, "syncing the ledger's directory");
	/* We go on in the old segment: nothing may stand after it. */
	if (unlinkat(w->dir_fd, name, 0) < 0)
		vgm_err_set(&w->fault, VGM_E_IO, "a segment that must not stand: %s", name);
	return r;
}

int vgm_writer_roll(struct vgm_writer *w, bool may_use_reserve, struct vgm_err *err)
{
	char spare[SPARE_NAME_BYTES];
	int fd = -1;
	int r = take_spare(w, may_use_reserve, spare, err);
	if (r < 0)
		return r;
	fd = openat(w->dir_fd, spare, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		r = vgm_err_sys(err, "opening %s", spare);
	if (r == 0)
		r = write_header(w, fd, err);
	if (r == 0)
		r = name_segment(w, spare, err);
	if (r < 0) {
		if (fd >= 0)
			close(fd);
		vgm_writer_count_spares(w);
		return r;
	}
	if (w->fd >= 0) {
		/* Gives the rest back; that the file ends where the next says is
		 * checked by size as well as by its header. */
		(void)!ftruncate(w->fd, (off_t)w->synced.end);
		close(w->fd);
	}
	w->fd = fd;
	w->segment++;
	w->capacity = w->options.segment_bytes;
	w->synced.end = VGM_SEGMENT_HEADER_BYTES;
	vgm_writer_rewind(w, &w->synced);
	return 0;
}

void vgm_writer_leave_segment(struct vgm_writer *w, const struct vgm_err *why)
{
	char name[VGM_SEGMENT_NAME_BYTES];
	uint8_t bytes[VGM_CUT_BYTES];
	struct vgm_err err = {.code = 0};
	struct vgm_cut cut = {.segment = w->segment,
	    .end = w->synced.end,
	    .batch = w->synced.batch,
	    .tree_size = w->synced.tree.size};
	vgm_merkle_root(&w->synced.tree, cut.root);
	vgm_cut_encode(&cut, bytes);
	vgm_segment_cut_name(w->segment, name);
	vgm_writer_rewind(w, &w->synced);
	int r = vgm_file_replace_at(w->dir_fd, name, vgm_slice(bytes, sizeof bytes), 0600, &err);
	if (r == 0)
		r = vgm_writer_roll(w, true, &err);
	if (r < 0)
		vgm_err_set(
		    &w->fault, VGM_E_IO, "%.100s; and no new segment: %.100s", why->text, err.text);
}
