/* SPDX-License-Identifier: EUPL-1.2
 * ledger/scan.c — see scan.h. Reads through a window, so that small records cost
 * no system call each. */
#include "ledger/scan.h"

#include <errno.h>
#include <unistd.h>

#include "ledger/bytes.h"
#include "ledger/hash.h"
#include "ledger/seal_chunk.h"

#define WINDOW_BYTES ((size_t)128 * 1024)

int vgm_scan_begin(struct vgm_scan *s, int fd, uint64_t number, uint64_t limit, struct vgm_err *err)
{
	uint8_t bytes[VGM_SEGMENT_HEADER_BYTES];
	struct vgm_segment_header header;
	int r = limit < sizeof bytes
		    ? vgm_err_set(err, VGM_E_CORRUPT, "the segment is shorter than its header")
		    : vgm_seal_read(fd, 0, bytes, sizeof bytes, err);
	if (r == 0)
		r = vgm_segment_header_decode(bytes, &header, err);
	if (r == 0 && header.number != number)
		r = vgm_err_set(err, VGM_E_CORRUPT, "the header is of another segment");
	if (r < 0)
		return r;
	*s = (struct vgm_scan){.fd = fd,
	    .header = header,
	    .limit = limit,
	    .at = sizeof bytes,
	    .tree = header.tree,
	    .batch = header.batch,
	    .time_us = header.time_us,
	    .window = vgm_alloc(WINDOW_BYTES)};
	return 0;
}

void vgm_scan_release(struct vgm_scan *s)
{
	vgm_free(s->window);
	vgm_free(s->items);
	s->window = NULL;
	s->items = NULL;
}

/* Bytes at offset, at least `need` of them unless the limit is nearer; as many
 * as the window holds. */
static int look(
    struct vgm_scan *s, uint64_t offset, size_t need, struct vgm_slice *out, struct vgm_err *err)
{
	uint64_t left = offset < s->limit ? s->limit - offset : 0;
	size_t want = left < need ? (size_t)left : need;
	bool inside = offset >= s->window_at && offset - s->window_at <= s->window_len &&
		      s->window_len - (offset - s->window_at) >= want;
	if (!inside) {
		size_t len = left < WINDOW_BYTES ? (size_t)left : WINDOW_BYTES;
		s->window_len = 0;
		int r = vgm_seal_read(s->fd, offset, s->window, len, err);
		if (r < 0)
			return r;
		s->window_at = offset;
		s->window_len = len;
	}
	size_t skip = (size_t)(offset - s->window_at);
	*out = vgm_slice(s->window + skip, s->window_len - skip);
	return 0;
}

static int hash_range(
    struct vgm_scan *s, uint64_t offset, uint64_t len, uint8_t out[32], struct vgm_err *err)
{
	struct vgm_hash_stream hash = VGM_HASH_STREAM_INIT;
	struct vgm_slice bytes;
	int r = 0;
	vgm_hash_begin(&hash);
	while (r == 0 && len) {
		r = look(s, offset, 1, &bytes, err);
		if (r == 0 && bytes.len == 0)
			r = vgm_err_set(err, VGM_E_CORRUPT, "the segment ends within a part");
		if (r < 0)
			break;
		bytes = vgm_slice_sub(bytes, 0, len < bytes.len ? (size_t)len : bytes.len);
		vgm_hash_add(&hash, bytes);
		offset += bytes.len;
		len -= bytes.len;
	}
	vgm_hash_end(&hash, out);
	vgm_hash_stream_release(&hash);
	return r;
}

static int check_part(struct vgm_scan *s, const struct vgm_scan_item *item, int part, uint64_t at,
    uint64_t *fault, struct vgm_err *err)
{
	static const char *const names[] = {"routing", "head", "body", "clear body"};
	struct vgm_err mine;
	uint8_t hash[32];
	int r = hash_range(s, at, item->record.part[part].stored, hash, err);
	if (r < 0 || memcmp(hash, item->record.hash[part], sizeof hash) == 0)
		return r;
	*fault = at;
	vgm_err_set(&mine, VGM_E_CORRUPT, "the %s part of record %llu does not match its hash",
	    names[part], (unsigned long long)item->record.sequence);
	if (err)
		*err = mine;
	if (!s->part_fault)
		return mine.code;
	s->part_fault(s->context, at, mine.text);
	return 0;
}

static int check_parts(
    struct vgm_scan *s, const struct vgm_scan_item *item, uint64_t *fault, struct vgm_err *err)
{
	int r = 0;
	for (int i = 0; r == 0 && i < VGM_PART_COUNT; i++)
		if (item->record.part[i].stored)
			r = check_part(s, item, i,
			    item->offset + vgm_record_part_offset(&item->record, (enum vgm_part)i),
			    fault, err);
	return r;
}

static struct vgm_scan_item *new_item(struct vgm_scan *s)
{
	if (s->items_count == s->items_room) {
		s->items_room = s->items_room ? 2 * s->items_room : 64;
		s->items = vgm_realloc(s->items, s->items_room * sizeof *s->items);
	}
	return &s->items[s->items_count++];
}

static int take_record(
    struct vgm_scan *s, uint64_t at, const uint8_t *prefix, uint64_t *fault, struct vgm_err *err)
{
	struct vgm_scan_item *item = new_item(s);
	uint64_t before = s->items_count > 1 ? item[-1].record.time_us : s->time_us;
	item->offset = at;
	int r = vgm_record_decode(prefix, &item->record, err);
	if (r < 0)
		return r == VGM_E_VERSION ? r : VGM_E_CORRUPT;
	if (vgm_record_bytes(&item->record) > s->limit - at)
		return vgm_err_set(err, VGM_E_CORRUPT, "a record goes beyond the segment's end");
	if (item->record.sequence != s->tree.size + s->items_count - 1)
		return vgm_err_set(err, VGM_E_CORRUPT, "record %llu where %llu should be",
		    (unsigned long long)item->record.sequence,
		    (unsigned long long)(s->tree.size + s->items_count - 1));
	if (item->record.time_us < before)
		return vgm_err_set(err, VGM_E_CORRUPT, "ledger time runs backwards");
	if (item->record.entity != s->header.entity)
		return vgm_err_set(err, VGM_E_CORRUPT, "a record of another entity");
	vgm_record_leaf(prefix, item->leaf);
	return s->parts ? check_parts(s, item, fault, err) : 0;
}

/* The frame at `at` against the records since s->at. */
static int check_frame(struct vgm_scan *s, uint64_t at, const struct vgm_frame *f,
    struct vgm_merkle *tree, struct vgm_err *err)
{
	struct vgm_hash_stream hash = VGM_HASH_STREAM_INIT;
	uint8_t root[32], batch[32], length[8];
	*tree = s->tree;
	vgm_hash_begin(&hash);
	for (size_t i = 0; i < s->items_count; i++) {
		vgm_put_be(length, vgm_record_bytes(&s->items[i].record), 8);
		vgm_hash_add(&hash, vgm_slice(length, sizeof length));
		vgm_hash_add(&hash, vgm_slice(s->items[i].leaf, 32));
		vgm_merkle_add(tree, s->items[i].leaf);
	}
	vgm_hash_end(&hash, batch);
	vgm_hash_stream_release(&hash);
	vgm_merkle_root(tree, root);
	uint64_t last = s->items_count ? s->items[s->items_count - 1].record.time_us : s->time_us;
	const struct {
		bool wrong;
		const char *what;
	} checks[] = {
	    {f->segment != s->header.number, "the frame is of another segment"},
	    {f->batch != s->batch + 1, "a frame is missing before this one"},
	    {f->synced >= f->batch, "the frame claims to be synced before it was written"},
	    {f->offset != s->at || f->length != at - s->at, "the frame is for other bytes"},
	    {f->count == 0 || f->count != s->items_count, "the frame counts other records"},
	    {f->tree_size != tree->size, "the frame has another tree size"},
	    {f->time_us < last, "ledger time runs backwards"},
	    {memcmp(f->hash, batch, 32) != 0, "the records are not those that the frame commits"},
	    {!s->tree_lost && memcmp(f->root, root, 32) != 0,
		"the tree has another root than the frame says"},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(checks); i++)
		if (checks[i].wrong)
			return vgm_err_set(err, VGM_E_CORRUPT, "%s", checks[i].what);
	return 0;
}

static int take_frame(struct vgm_scan *s, uint64_t at, const uint8_t *bytes, struct vgm_err *err)
{
	struct vgm_merkle tree;
	struct vgm_frame frame;
	int r = vgm_frame_decode(bytes, &frame, err);
	if (r == 0)
		r = check_frame(s, at, &frame, &tree, err);
	if (r < 0)
		return r;
	s->tree = tree;
	s->frame = frame;
	s->batch = frame.batch;
	s->time_us = frame.time_us;
	s->at = at + VGM_FRAME_BYTES;
	return 1;
}

/* What stands at `at`: a record moves it on and gives 0; a frame ends the batch
 * and gives 1. */
static int step(struct vgm_scan *s, uint64_t *at, uint64_t *fault, struct vgm_err *err)
{
	struct vgm_slice bytes;
	*fault = *at;
	int r = look(s, *at, VGM_RECORD_PREFIX_BYTES, &bytes, err);
	if (r < 0)
		return r;
	if (vgm_frame_starts(bytes.data, bytes.len)) {
		if (bytes.len < VGM_FRAME_BYTES)
			return vgm_err_set(err, VGM_E_CORRUPT, "the segment ends within a frame");
		return take_frame(s, *at, bytes.data, err);
	}
	if (bytes.len < VGM_RECORD_PREFIX_BYTES)
		return vgm_err_set(err, VGM_E_CORRUPT, "the segment ends within a batch");
	r = take_record(s, *at, bytes.data, fault, err);
	if (r == 0)
		*at += vgm_record_bytes(&s->items[s->items_count - 1].record);
	return r;
}

int vgm_scan_next(struct vgm_scan *s, uint64_t *out_fault, struct vgm_err *err)
{
	struct vgm_slice bytes;
	uint64_t at = s->at;
	s->items_count = 0;
	int r = look(s, at, VGM_RECORD_PREFIX_BYTES, &bytes, err);
	if (r < 0)
		return r;
	if (bytes.len == 0 ||
	    vgm_is_zero(bytes.data, vgm_min_size(bytes.len, VGM_RECORD_PREFIX_BYTES)))
		return 0;
	do
		r = step(s, &at, out_fault, err);
	while (r == 0);
	if (r < 0)
		s->items_count = 0;
	return r;
}

int vgm_scan_find_frame(
    struct vgm_scan *s, uint64_t from, struct vgm_frame *out, uint64_t *out_at, struct vgm_err *err)
{
	while (from < s->limit) {
		struct vgm_slice bytes;
		int r = look(s, from, VGM_FRAME_BYTES, &bytes, err);
		if (r < 0)
			return r;
		if (bytes.len < VGM_FRAME_BYTES)
			return 0;
		const uint8_t *hit = memmem(bytes.data, bytes.len, "VGMFRAME", 8);
		size_t skip = hit ? (size_t)(hit - bytes.data) : bytes.len - 7;
		if (hit && bytes.len - skip >= VGM_FRAME_BYTES) {
			if (vgm_frame_decode(hit, out, NULL) == 0 &&
			    out->segment == s->header.number) {
				*out_at = from + skip;
				return 1;
			}
			skip++;
		} else if (hit && from + bytes.len >= s->limit) {
			return 0; /* begins too near the end to be whole */
		}
		from += skip;
	}
	return 0;
}

int vgm_scan_find_data(struct vgm_scan *s, uint64_t from, uint64_t *out_at, struct vgm_err *err)
{
	while (from < s->limit) {
		struct vgm_slice bytes;
		int r = look(s, from, 1, &bytes, err);
		if (r < 0)
			return r;
		if (!vgm_is_zero(bytes.data, bytes.len)) {
			while (*bytes.data == 0)
				bytes.data++, from++;
			*out_at = from;
			return 1;
		}
		from += bytes.len;
	}
	return 0;
}
