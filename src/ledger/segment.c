/* SPDX-License-Identifier: EUPL-1.2
 * ledger/segment.c — see segment.h. */
#include "ledger/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "ledger/bytes.h"
#include "ledger/hash.h"
#include "ledger/seal_chunk.h"
#include "os/file.h"

#define VERSION 1
#define MAGIC_BYTES 8u
static const char segment_magic[] = "VGMSEGMT", frame_magic[] = "VGMFRAME",
		  cut_magic[] = "VGMCUTAT";

/* ---- names ---- */

void vgm_segment_name(uint64_t number, char out[VGM_SEGMENT_NAME_BYTES])
{
	snprintf(out, VGM_SEGMENT_NAME_BYTES, "seg-%016llx.vgl", (unsigned long long)number);
}

void vgm_segment_notes_name(uint64_t number, char out[VGM_SEGMENT_NAME_BYTES])
{
	snprintf(out, VGM_SEGMENT_NAME_BYTES, "seg-%016llx.ckp", (unsigned long long)number);
}

void vgm_segment_cut_name(uint64_t number, char out[VGM_SEGMENT_NAME_BYTES])
{
	snprintf(out, VGM_SEGMENT_NAME_BYTES, "seg-%016llx.cut", (unsigned long long)number);
}

uint64_t vgm_segment_number(const char *name)
{
	char again[VGM_SEGMENT_NAME_BYTES];
	unsigned long long number = 0;
	if (strncmp(name, "seg-", 4) != 0)
		return 0;
	number = strtoull(name + 4, NULL, 16);
	vgm_segment_name(number, again);
	return strcmp(again, name) == 0 ? number : 0;
}

int vgm_segment_last(int dir_fd, uint64_t *out, struct vgm_err *err)
{
	uint64_t last = 0;
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		int r = vgm_err_sys(err, "reading the ledger's directory");
		if (fd >= 0)
			close(fd);
		return r;
	}
	for (struct dirent *entry; (entry = readdir(dir));) {
		uint64_t number = vgm_segment_number(entry->d_name);
		last = number > last ? number : last;
	}
	closedir(dir);
	*out = last;
	return 0;
}

/* ---- what the three have in common: magic, version, a hash at the end ---- */

static void close_block(uint8_t *block, size_t len, const char *magic)
{
	memcpy(block, magic, MAGIC_BYTES);
	vgm_put_be(block + 8, VERSION, 2);
	vgm_hash(vgm_slice(block, len - 32), block + len - 32);
}

static int check_block(
    const uint8_t *block, size_t len, const char *magic, const char *what, struct vgm_err *err)
{
	uint8_t hash[32];
	if (memcmp(block, magic, MAGIC_BYTES) != 0)
		return vgm_err_set(err, VGM_E_CORRUPT, "no %s stands here", what);
	vgm_hash(vgm_slice(block, len - 32), hash);
	if (memcmp(hash, block + len - 32, 32) != 0)
		return vgm_err_set(err, VGM_E_CORRUPT, "a %s does not match its hash", what);
	if (vgm_get_be(block + 8, 2) != VERSION)
		return vgm_err_set(err, VGM_E_VERSION, "a %s of version %u; this program reads %u",
		    what, (unsigned)vgm_get_be(block + 8, 2), VERSION);
	return 0;
}

/* ---- header ---- */

enum {
	H_ENTITY = 12,
	H_NUMBER = 16,
	H_PREVIOUS_END = 24,
	H_BATCH = 32,
	H_TIME = 40,
	H_TREE_SIZE = 48,
	H_ROOT = 56,
	H_EDGE = 128, /* one hash per level, zeros where the tree has none */
	H_END = H_EDGE + 32 * VGM_MERKLE_LEVELS,
};
_Static_assert(H_END + 32 <= VGM_SEGMENT_HEADER_BYTES, "header layout");

void vgm_segment_header_encode(
    const struct vgm_segment_header *h, uint8_t out[VGM_SEGMENT_HEADER_BYTES])
{
	memset(out, 0, VGM_SEGMENT_HEADER_BYTES);
	vgm_put_be(out + H_ENTITY, h->entity, 4);
	vgm_put_be(out + H_NUMBER, h->number, 8);
	vgm_put_be(out + H_PREVIOUS_END, h->previous_end, 8);
	vgm_put_be(out + H_BATCH, h->batch, 8);
	vgm_put_be(out + H_TIME, h->time_us, 8);
	vgm_put_be(out + H_TREE_SIZE, h->tree.size, 8);
	vgm_merkle_root(&h->tree, out + H_ROOT);
	for (unsigned level = 0; level < VGM_MERKLE_LEVELS; level++)
		if (h->tree.size >> level & 1)
			memcpy(out + H_EDGE + 32 * level, h->tree.edge[level], 32);
	close_block(out, VGM_SEGMENT_HEADER_BYTES, segment_magic);
}

int vgm_segment_header_decode(
    const uint8_t in[VGM_SEGMENT_HEADER_BYTES], struct vgm_segment_header *out, struct vgm_err *err)
{
	struct vgm_segment_header h;
	uint8_t root[32];
	int r = check_block(in, VGM_SEGMENT_HEADER_BYTES, segment_magic, "segment header", err);
	if (r < 0)
		return r;
	if (!vgm_is_zero(in + 10, 2) || !vgm_is_zero(in + H_ROOT + 32, H_EDGE - H_ROOT - 32) ||
	    !vgm_is_zero(in + H_END, VGM_SEGMENT_HEADER_BYTES - 32 - H_END))
		return vgm_err_set(
		    err, VGM_E_CORRUPT, "spare bytes of a segment header are not zero");
	h.entity = (uint32_t)vgm_get_be(in + H_ENTITY, 4);
	h.number = vgm_get_be(in + H_NUMBER, 8);
	h.previous_end = vgm_get_be(in + H_PREVIOUS_END, 8);
	h.batch = vgm_get_be(in + H_BATCH, 8);
	h.time_us = vgm_get_be(in + H_TIME, 8);
	h.tree.size = vgm_get_be(in + H_TREE_SIZE, 8);
	memcpy(h.tree.edge, in + H_EDGE, sizeof h.tree.edge);
	vgm_merkle_root(&h.tree, root);
	if (memcmp(root, in + H_ROOT, 32) != 0)
		return vgm_err_set(
		    err, VGM_E_CORRUPT, "the tree of a segment header has another root");
	*out = h;
	return 0;
}

int vgm_segment_header_read(
    int dir_fd, uint64_t number, struct vgm_segment_header *out, struct vgm_err *err)
{
	char name[VGM_SEGMENT_NAME_BYTES];
	uint8_t bytes[VGM_SEGMENT_HEADER_BYTES];
	struct vgm_segment_header h;
	vgm_segment_name(number, name);
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? vgm_err_set(err, VGM_E_NOTFOUND, "%s is missing", name)
				       : vgm_err_sys(err, "opening %s", name);
	int r = vgm_seal_read(fd, 0, bytes, sizeof bytes, err);
	close(fd);
	if (r == 0)
		r = vgm_segment_header_decode(bytes, &h, err);
	if (r == 0 && h.number != number)
		r = vgm_err_set(err, VGM_E_CORRUPT, "%s holds another segment", name);
	if (r == 0)
		*out = h;
	return r;
}

/* ---- frame ---- */

enum {
	F_COUNT = 12,
	F_SEGMENT = 16,
	F_BATCH = 24,
	F_SYNCED = 32,
	F_OFFSET = 40,
	F_LENGTH = 48,
	F_TREE_SIZE = 56,
	F_TIME = 64,
	F_ROOT = 72,
	F_HASH = 104,
	F_END = 136,
};

bool vgm_frame_starts(const uint8_t *bytes, size_t len)
{
	return len >= MAGIC_BYTES && memcmp(bytes, frame_magic, MAGIC_BYTES) == 0;
}

void vgm_frame_encode(const struct vgm_frame *f, uint8_t out[VGM_FRAME_BYTES])
{
	memset(out, 0, VGM_FRAME_BYTES);
	vgm_put_be(out + F_COUNT, f->count, 4);
	vgm_put_be(out + F_SEGMENT, f->segment, 8);
	vgm_put_be(out + F_BATCH, f->batch, 8);
	vgm_put_be(out + F_SYNCED, f->synced, 8);
	vgm_put_be(out + F_OFFSET, f->offset, 8);
	vgm_put_be(out + F_LENGTH, f->length, 8);
	vgm_put_be(out + F_TREE_SIZE, f->tree_size, 8);
	vgm_put_be(out + F_TIME, f->time_us, 8);
	memcpy(out + F_ROOT, f->root, 32);
	memcpy(out + F_HASH, f->hash, 32);
	close_block(out, VGM_FRAME_BYTES, frame_magic);
}

int vgm_frame_decode(const uint8_t in[VGM_FRAME_BYTES], struct vgm_frame *out, struct vgm_err *err)
{
	int r = check_block(in, VGM_FRAME_BYTES, frame_magic, "commit frame", err);
	if (r < 0)
		return r;
	if (!vgm_is_zero(in + 10, 2) || !vgm_is_zero(in + F_END, VGM_FRAME_BYTES - 32 - F_END))
		return vgm_err_set(
		    err, VGM_E_CORRUPT, "spare bytes of a commit frame are not zero");
	out->count = (uint32_t)vgm_get_be(in + F_COUNT, 4);
	out->segment = vgm_get_be(in + F_SEGMENT, 8);
	out->batch = vgm_get_be(in + F_BATCH, 8);
	out->synced = vgm_get_be(in + F_SYNCED, 8);
	out->offset = vgm_get_be(in + F_OFFSET, 8);
	out->length = vgm_get_be(in + F_LENGTH, 8);
	out->tree_size = vgm_get_be(in + F_TREE_SIZE, 8);
	out->time_us = vgm_get_be(in + F_TIME, 8);
	memcpy(out->root, in + F_ROOT, 32);
	memcpy(out->hash, in + F_HASH, 32);
	return 0;
}

/* ---- cut ---- */

enum { C_SEGMENT = 16, C_END = 24, C_BATCH = 32, C_TREE_SIZE = 40, C_ROOT = 48, C_SPARE = 80 };

void vgm_cut_encode(const struct vgm_cut *c, uint8_t out[VGM_CUT_BYTES])
{
	memset(out, 0, VGM_CUT_BYTES);
	vgm_put_be(out + C_SEGMENT, c->segment, 8);
	vgm_put_be(out + C_END, c->end, 8);
	vgm_put_be(out + C_BATCH, c->batch, 8);
	vgm_put_be(out + C_TREE_SIZE, c->tree_size, 8);
	memcpy(out + C_ROOT, c->root, 32);
	close_block(out, VGM_CUT_BYTES, cut_magic);
}

int vgm_cut_decode(const uint8_t in[VGM_CUT_BYTES], struct vgm_cut *out, struct vgm_err *err)
{
	int r = check_block(in, VGM_CUT_BYTES, cut_magic, "cut note", err);
	if (r < 0)
		return r;
	if (!vgm_is_zero(in + 10, 6) || !vgm_is_zero(in + C_SPARE, VGM_CUT_BYTES - 32 - C_SPARE))
		return vgm_err_set(err, VGM_E_CORRUPT, "spare bytes of a cut note are not zero");
	out->segment = vgm_get_be(in + C_SEGMENT, 8);
	out->end = vgm_get_be(in + C_END, 8);
	out->batch = vgm_get_be(in + C_BATCH, 8);
	out->tree_size = vgm_get_be(in + C_TREE_SIZE, 8);
	memcpy(out->root, in + C_ROOT, 32);
	return 0;
}

int vgm_cut_read(int dir_fd, uint64_t segment, struct vgm_cut *out, struct vgm_err *err)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf bytes = VGM_BUF_INIT(VGM_CUT_BYTES + 1);
	char name[VGM_SEGMENT_NAME_BYTES];
	struct vgm_cut cut;
	vgm_segment_cut_name(segment, name);
	int r = vgm_file_read_at(dir_fd, name, &bytes, err);
	if (r == VGM_E_LIMIT || (r == 0 && bytes.len != VGM_CUT_BYTES))
		return vgm_err_set(err, VGM_E_CORRUPT, "%s has not its length", name);
	if (r == 0)
		r = vgm_cut_decode(bytes.data, &cut, err);
	if (r == 0 && cut.segment != segment)
		r = vgm_err_set(err, VGM_E_CORRUPT, "%s is of another segment", name);
	if (r == 0)
		*out = cut;
	return r;
}
