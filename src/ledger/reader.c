/* SPDX-License-Identifier: EUPL-1.2
 * ledger/reader.c — see reader.h. */
#include "ledger/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ledger/scan.h"
#include "ledger/seal_chunk.h"

#define WINDOW_BYTES ((size_t)128 * 1024)

struct vgm_reader {
	int dir_fd;
	int fd; /* of segment at.segment, or -1 */
	struct vgm_ledger_place at;
	uint64_t segment_end; /* when a later segment says where this one ends; else 0 */
	uint8_t *window;
	uint64_t window_at;
	size_t window_len;
};

struct vgm_reader *vgm_reader_new(int dir_fd)
{
	struct vgm_reader *r = vgm_alloc(sizeof *r);
	r->dir_fd = dir_fd;
	r->fd = -1;
	r->window = vgm_alloc(WINDOW_BYTES);
	return r;
}

static void close_segment(struct vgm_reader *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	r->window_len = 0;
	r->segment_end = 0;
}

void vgm_reader_free(struct vgm_reader **r)
{
	if (!*r)
		return;
	close_segment(*r);
	vgm_free((*r)->window);
	vgm_free(*r);
	*r = NULL;
}

void vgm_reader_seek(struct vgm_reader *r, struct vgm_ledger_place from)
{
	if (from.segment == 0)
		from = (struct vgm_ledger_place){1, 0};
	if (from.offset < VGM_SEGMENT_HEADER_BYTES)
		from.offset = VGM_SEGMENT_HEADER_BYTES;
	if (from.segment != r->at.segment)
		close_segment(r);
	r->at = from;
}

static int open_segment(struct vgm_reader *r, struct vgm_err *err)
{
	char name[VGM_SEGMENT_NAME_BYTES];
	struct vgm_segment_header header;
	if (r->fd >= 0)
		return 0;
	int result = vgm_segment_header_read(r->dir_fd, r->at.segment, &header, err);
	if (result < 0)
		return result;
	vgm_segment_name(r->at.segment, name);
	r->fd = openat(r->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return r->fd < 0 ? vgm_err_sys(err, "opening %s", name) : 0;
}

/* Where the segment at hand ends, seen from `end`. */
static int find_segment_end(
    struct vgm_reader *r, struct vgm_ledger_place end, uint64_t *out, struct vgm_err *err)
{
	struct vgm_segment_header next;
	*out = end.offset;
	if (r->at.segment == end.segment)
		return 0;
	if (r->segment_end == 0) {
		int result = vgm_segment_header_read(r->dir_fd, r->at.segment + 1, &next, err);
		if (result < 0)
			return result;
		r->segment_end = next.previous_end;
	}
	*out = r->segment_end;
	return 0;
}

/* At least need bytes at the place, all of them before segment_end. */
static int look(struct vgm_reader *r, uint64_t segment_end, size_t need, struct vgm_slice *out,
    struct vgm_err *err)
{
	uint64_t offset = r->at.offset, left = segment_end - offset;
	if (need > left || need > WINDOW_BYTES)
		return vgm_err_set(err, VGM_E_CORRUPT, "a record goes beyond its segment's end");
	bool inside = offset >= r->window_at && offset - r->window_at <= r->window_len &&
		      r->window_len - (offset - r->window_at) >= need;
	if (!inside) {
		size_t len = left < WINDOW_BYTES ? (size_t)left : WINDOW_BYTES;
		r->window_len = 0;
		int result = vgm_seal_read(r->fd, offset, r->window, len, err);
		if (result < 0)
			return result;
		r->window_at = offset;
		r->window_len = len;
	}
	size_t skip = (size_t)(offset - r->window_at);
	*out = vgm_slice(r->window + skip, r->window_len - skip);
	return 0;
}

static int take_record(
    struct vgm_reader *r, uint64_t segment_end, struct vgm_reader_entry *out, struct vgm_err *err)
{
	struct vgm_reader_entry entry = {.at = r->at, .next = r->at, .segment_fd = r->fd};
	struct vgm_slice bytes = VGM_SLICE_NONE;
	int result = look(r, segment_end, VGM_RECORD_PREFIX_BYTES, &bytes, err);
	if (result == 0)
		result = vgm_record_decode(bytes.data, &entry.record, err);
	if (result < 0)
		return result;
	uint64_t routing = entry.record.part[VGM_PART_ROUTING].stored;
	if (vgm_record_bytes(&entry.record) > segment_end - r->at.offset ||
	    routing > WINDOW_BYTES - VGM_RECORD_PREFIX_BYTES)
		return vgm_err_set(err, VGM_E_CORRUPT, "a record goes beyond its segment's end");
	result = look(r, segment_end, VGM_RECORD_PREFIX_BYTES + (size_t)routing, &bytes, err);
	if (result < 0)
		return result;
	entry.routing = vgm_slice(bytes.data + VGM_RECORD_PREFIX_BYTES, (size_t)routing);
	entry.next.offset += vgm_record_bytes(&entry.record);
	r->at = entry.next;
	*out = entry;
	return 1;
}

static int next_here(
    struct vgm_reader *r, uint64_t segment_end, struct vgm_reader_entry *out, struct vgm_err *err)
{
	struct vgm_slice bytes = VGM_SLICE_NONE;
	struct vgm_frame frame;
	for (;;) {
		if (r->at.offset == segment_end)
			return 0;
		int result = look(r, segment_end, VGM_FRAME_BYTES, &bytes, err);
		if (result < 0)
			return result;
		if (!vgm_frame_starts(bytes.data, bytes.len))
			return take_record(r, segment_end, out, err);
		result = vgm_frame_decode(bytes.data, &frame, err);
		if (result < 0)
			return result;
		r->at.offset += VGM_FRAME_BYTES;
	}
}

int vgm_reader_next(struct vgm_reader *r, struct vgm_ledger_place end, struct vgm_reader_entry *out,
    struct vgm_err *err)
{
	if (r->at.segment == 0)
		vgm_reader_seek(r, (struct vgm_ledger_place){0, 0});
	while (r->at.segment <= end.segment) {
		uint64_t segment_end;
		if (r->at.segment == end.segment && r->at.offset >= end.offset)
			return 0;
		int result = open_segment(r, err);
		if (result == 0)
			result = find_segment_end(r, end, &segment_end, err);
		if (result == 0 && r->at.offset > segment_end)
			result =
			    vgm_err_set(err, VGM_E_CORRUPT, "a place beyond its segment's end");
		if (result == 0)
			result = next_here(r, segment_end, out, err);
		if (result != 0)
			return result;
		if (r->at.segment == end.segment)
			return 0;
		vgm_reader_seek(r, (struct vgm_ledger_place){r->at.segment + 1, 0});
	}
	return 0;
}

/* Batches of one segment up to the last whole one. */
static int scan_to_end(
    int fd, uint64_t number, uint64_t limit, struct vgm_scan *scan, struct vgm_err *err)
{
	uint64_t fault;
	int r = vgm_scan_begin(scan, fd, number, limit, err);
	if (r < 0)
		return r;
	do
		r = vgm_scan_next(scan, &fault, err);
	while (r > 0);
	return r == VGM_E_CORRUPT ? 0 : r;
}

int vgm_reader_find_end(
    int dir_fd, struct vgm_ledger_place *out, uint64_t *out_tree_size, struct vgm_err *err)
{
	char name[VGM_SEGMENT_NAME_BYTES];
	struct vgm_scan scan = {.window = NULL};
	struct vgm_cut cut;
	struct stat st;
	uint64_t last;
	int r = vgm_segment_last(dir_fd, &last, err);
	if (r < 0)
		return r;
	if (last == 0) {
		*out = (struct vgm_ledger_place){0, 0};
		*out_tree_size = 0;
		return 0;
	}
	vgm_segment_name(last, name);
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0)
		r = vgm_err_sys(err, "opening %s", name);
	uint64_t limit = (uint64_t)(r == 0 ? st.st_size : 0);
	if (r == 0 && vgm_cut_read(dir_fd, last, &cut, NULL) == 0 && cut.end < limit)
		limit = cut.end;
	if (r == 0)
		r = scan_to_end(fd, last, limit, &scan, err);
	if (r == 0) {
		*out = (struct vgm_ledger_place){last, scan.at};
		*out_tree_size = scan.tree.size;
	}
	vgm_scan_release(&scan);
	if (fd >= 0)
		close(fd);
	return r;
}
