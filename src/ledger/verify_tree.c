/* SPDX-License-Identifier: EUPL-1.2
 * ledger/verify_tree.c — see verify_tree.h. Tiles are compared with hashes made
 * here from the leaves, never the other way round. */
#include "ledger/verify_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "ledger/segment.h"
#include "os/file.h"

#define NOTES_MAX ((size_t)256 << 20)
#define KEYS_MAX ((size_t)65536)

void vgm_verify_fault(struct vgm_verify *v, const char *file, uint64_t offset, const char *what)
{
	const struct vgm_verify_fault fault = {file, offset, what};
	v->result->faults++;
	if (v->report)
		v->report(v->context, &fault);
}

/* ---- checkpoints ---- */

static void read_keys(struct vgm_verify *v)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf bytes = VGM_BUF_INIT(KEYS_MAX);
	struct vgm_err err = {.code = 0};
	int r = vgm_file_read_at(v->dir_fd, VGM_LEDGER_VERIFIERS, &bytes, &err);
	if (r < 0 && r != VGM_E_NOTFOUND)
		vgm_verify_fault(v, VGM_LEDGER_VERIFIERS, 0, err.text);
	struct vgm_slice rest = vgm_buf_slice(&bytes);
	while (rest.len) {
		size_t end = vgm_slice_find(rest, '\n');
		v->keys = vgm_realloc(v->keys, (v->keys_count + 1) * sizeof *v->keys);
		if (end == rest.len || vgm_verifier_parse(vgm_slice_sub(rest, 0, end),
					   &v->keys[v->keys_count], &err) < 0)
			vgm_verify_fault(v, VGM_LEDGER_VERIFIERS, bytes.len - rest.len,
			    "a line that is no public key");
		else
			v->keys_count++;
		rest = vgm_slice_from(rest, end + 1);
	}
}

static void keep(
    struct vgm_verify *v, const struct vgm_checkpoint *c, uint64_t segment, uint64_t offset)
{
	if (v->checkpoints_count == v->checkpoints_room) {
		v->checkpoints_room = v->checkpoints_room ? 2 * v->checkpoints_room : 64;
		v->checkpoints =
		    vgm_realloc(v->checkpoints, v->checkpoints_room * sizeof *v->checkpoints);
	}
	struct vgm_verify_checkpoint *kept = &v->checkpoints[v->checkpoints_count++];
	*kept =
	    (struct vgm_verify_checkpoint){.size = c->size, .offset = offset, .segment = segment};
	memcpy(kept->root, c->root, sizeof kept->root);
}

static void file_of(uint64_t segment, char out[VGM_SEGMENT_NAME_BYTES])
{
	if (segment)
		vgm_segment_notes_name(segment, out);
	else
		snprintf(out, VGM_SEGMENT_NAME_BYTES, "%s", VGM_LEDGER_CHECKPOINT);
}

static void read_notes(struct vgm_verify *v, uint64_t segment)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf bytes = VGM_BUF_INIT(NOTES_MAX);
	char name[VGM_SEGMENT_NAME_BYTES];
	struct vgm_err err = {.code = 0};
	file_of(segment, name);
	int r = vgm_file_read_at(v->dir_fd, name, &bytes, &err);
	if (r < 0) {
		if (r != VGM_E_NOTFOUND)
			vgm_verify_fault(v, name, 0, err.text);
		return;
	}
	struct vgm_slice rest = vgm_buf_slice(&bytes);
	do {
		uint64_t offset = bytes.len - rest.len;
		struct vgm_checkpoint c;
		struct vgm_note note;
		size_t used = rest.len;
		r = vgm_note_split(rest, &note, &used, &err);
		if (r == 0)
			r = vgm_note_verify(&note, v->keys, v->keys_count, &err);
		if (r == 0)
			r = vgm_checkpoint_parse(note.text, &c, &err);
		if (r == 0 && segment && used == note.text.len + 1 + note.signatures.len)
			r = vgm_err_set(&err, VGM_E_INVALID, "the empty line after it is missing");
		if (r == 0)
			keep(v, &c, segment, offset);
		else
			vgm_verify_fault(v, name, offset, err.text);
		rest = vgm_slice_from(rest, used);
	} while (rest.len);
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = ((const struct vgm_verify_checkpoint *)a)->size;
	uint64_t y = ((const struct vgm_verify_checkpoint *)b)->size;
	return x < y ? -1 : x > y;
}

void vgm_verify_read_checkpoints(struct vgm_verify *v, uint64_t last_segment)
{
	read_keys(v);
	for (uint64_t segment = 0; segment <= last_segment; segment++)
		read_notes(v, segment);
	if (v->checkpoints_count)
		qsort(v->checkpoints, v->checkpoints_count, sizeof *v->checkpoints, by_size);
}

static void checkpoint_fault(
    struct vgm_verify *v, const struct vgm_verify_checkpoint *c, const char *what)
{
	char name[VGM_SEGMENT_NAME_BYTES];
	file_of(c->segment, name);
	vgm_verify_fault(v, name, c->offset, what);
}

void vgm_verify_meet_checkpoints(struct vgm_verify *v, uint64_t size, const struct vgm_merkle *tree)
{
	uint8_t root[32];
	bool known = false;
	for (; v->next_checkpoint < v->checkpoints_count; v->next_checkpoint++) {
		const struct vgm_verify_checkpoint *c = &v->checkpoints[v->next_checkpoint];
		if (c->size > size)
			return;
		if (!tree) /* passed over damage: a later one tells */
			continue;
		if (!known)
			vgm_merkle_root(tree, root);
		known = true;
		if (c->size < size) {
			checkpoint_fault(v, c, "no batch ends where this checkpoint stands");
		} else if (memcmp(c->root, root, sizeof root) != 0) {
			checkpoint_fault(v, c, "the ledger's tree has another root");
		} else {
			v->result->checkpoints++;
			v->result->checkpoint_size = size;
		}
	}
}

void vgm_verify_left_checkpoints(struct vgm_verify *v)
{
	for (; v->next_checkpoint < v->checkpoints_count; v->next_checkpoint++)
		checkpoint_fault(
		    v, &v->checkpoints[v->next_checkpoint], "it covers records that are not there");
}

/* ---- tiles ---- */

/* A file against the hashes that it should hold. must: it is missed when absent. */
static void compare(
    struct vgm_verify *v, const char *path, const uint8_t *hashes, unsigned width, bool must)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf bytes = VGM_BUF_INIT(VGM_TILE_BYTES + 1);
	const char *slash = strrchr(path, '/');
	char folder[VGM_TILE_PATH_BYTES];
	struct vgm_err err = {.code = 0};
	snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
	int fd = openat(v->dir_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? VGM_E_NOTFOUND : vgm_file_read_at(fd, slash + 1, &bytes, &err);
	if (fd >= 0)
		close(fd);
	if (r == VGM_E_NOTFOUND) {
		if (must)
			vgm_verify_fault(v, path, 0, "the tile is missing");
		return;
	}
	if (r < 0 && r != VGM_E_LIMIT) {
		vgm_verify_fault(v, path, 0, err.text);
		return;
	}
	v->result->tiles++;
	size_t expected = (size_t)width * 32;
	for (size_t at = 0; at + 32 <= vgm_min_size(bytes.len, expected); at += 32)
		if (memcmp(bytes.data + at, hashes + at, 32) != 0) {
			vgm_verify_fault(v, path, at, "a hash that is not the ledger's");
			return;
		}
	if (bytes.len != expected)
		vgm_verify_fault(
		    v, path, vgm_min_size(bytes.len, expected), "the tile has not its length");
}

static uint64_t largest_checkpoint(const struct vgm_verify *v)
{
	return v->checkpoints_count ? v->checkpoints[v->checkpoints_count - 1].size : 0;
}

/* The unfinished forms of a tile that has `width` hashes by now. Wider ones may
 * have been written while we read. */
static void compare_partials(struct vgm_verify *v, unsigned level, uint64_t index, unsigned width)
{
	char path[VGM_TILE_PATH_BYTES];
	uint64_t covered = largest_checkpoint(v) >> (8 * level);
	bool full = width == VGM_TILE_WIDTH;
	vgm_tile_path(level, index, 1, path);
	*strrchr(path, '/') = 0;
	if (full && faccessat(v->dir_fd, path, F_OK, 0) < 0)
		return;
	for (unsigned w = 1; w <= width && w < VGM_TILE_WIDTH; w++) {
		vgm_tile_path(level, index, w, path);
		compare(
		    v, path, v->level[level], w, !full && covered == index * VGM_TILE_WIDTH + w);
	}
}

void vgm_verify_leaf(struct vgm_verify *v, const uint8_t leaf[32])
{
	uint8_t hash[32];
	if (v->tiles_lost)
		return;
	memcpy(hash, leaf, sizeof hash);
	for (unsigned level = 0; level < VGM_TILE_LEVELS; level++) {
		uint64_t place = v->leaves >> (8 * level);
		unsigned at = (unsigned)(place % VGM_TILE_WIDTH);
		memcpy(v->level[level] + (size_t)at * 32, hash, sizeof hash);
		if (at + 1 < VGM_TILE_WIDTH)
			break;
		uint64_t index = place / VGM_TILE_WIDTH;
		char path[VGM_TILE_PATH_BYTES];
		struct vgm_merkle folded = VGM_MERKLE_EMPTY;
		vgm_tile_path(level, index, VGM_TILE_WIDTH, path);
		compare(v, path, v->level[level], VGM_TILE_WIDTH,
		    largest_checkpoint(v) >> (8 * level) >= (index + 1) * VGM_TILE_WIDTH);
		compare_partials(v, level, index, VGM_TILE_WIDTH);
		for (unsigned i = 0; i < VGM_TILE_WIDTH; i++)
			vgm_merkle_add(&folded, v->level[level] + (size_t)i * 32);
		vgm_merkle_root(&folded, hash);
	}
	v->leaves++;
}

void vgm_verify_last_tiles(struct vgm_verify *v)
{
	for (unsigned level = 0; level < VGM_TILE_LEVELS && !v->tiles_lost; level++) {
		uint64_t hashes = v->leaves >> (8 * level);
		compare_partials(
		    v, level, hashes / VGM_TILE_WIDTH, (unsigned)(hashes % VGM_TILE_WIDTH));
	}
}
