/* SPDX-License-Identifier: EUPL-1.2
 * ledger/tiles.c — see tiles.h. A hash at tile level L is the root of 256^L
 * leaves; a tile that gets full gives one hash to the level above. */
#include "ledger/tiles.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

/* ---- names ---- */

void vgm_tile_path(unsigned level, uint64_t index, unsigned width, char out[VGM_TILE_PATH_BYTES])
{
	char groups[8][5];
	size_t n = 0, at;
	VGM_BUG_ON(width == 0 || width > VGM_TILE_WIDTH || level >= 64);
	do {
		snprintf(
		    groups[n], sizeof groups[n], "%s%03u", n ? "x" : "", (unsigned)(index % 1000));
		index /= 1000;
		n++;
	} while (index && n < VGM_ARRAY_LEN(groups));
	VGM_BUG_ON(index);
	at = (size_t)snprintf(out, VGM_TILE_PATH_BYTES, "tile/%u", level);
	while (n)
		at += (size_t)snprintf(out + at, VGM_TILE_PATH_BYTES - at, "/%s", groups[--n]);
	if (width < VGM_TILE_WIDTH)
		snprintf(out + at, VGM_TILE_PATH_BYTES - at, ".p/%u", width);
}

static struct vgm_slice next_name(struct vgm_slice *path)
{
	struct vgm_slice name = vgm_slice_sub(*path, 0, vgm_slice_find(*path, '/'));
	*path = vgm_slice_from(*path, name.len + 1);
	return name;
}

bool vgm_tile_parse(const char *path, unsigned *out_level, uint64_t *out_index, unsigned *out_width)
{
	struct vgm_slice rest = vgm_slice_str(path);
	uint64_t level, index = 0, group, width = VGM_TILE_WIDTH;
	char again[VGM_TILE_PATH_BYTES];
	if (!vgm_slice_eq(next_name(&rest), VGM_SLICE_LIT("tile")) ||
	    !vgm_slice_to_u64(next_name(&rest), 63, &level))
		return false;
	for (bool more = true; more;) {
		struct vgm_slice name = next_name(&rest);
		more = name.len == 4 && name.data[0] == 'x';
		if (!more && name.len == 5 && memcmp(name.data + 3, ".p", 2) == 0) {
			name = vgm_slice_sub(name, 0, 3);
			if (!vgm_slice_to_u64(next_name(&rest), VGM_TILE_WIDTH - 1, &width) ||
			    width == 0)
				return false;
		}
		if (!vgm_slice_to_u64(vgm_slice_from(name, more), 999, &group) ||
		    index > UINT64_MAX / 100000)
			return false;
		index = index * 1000 + group;
	}
	/* Leading zeros, other spellings, left-overs: not ours. */
	vgm_tile_path((unsigned)level, index, (unsigned)width, again);
	if (strcmp(again, path) != 0)
		return false;
	*out_level = (unsigned)level;
	*out_index = index;
	*out_width = (unsigned)width;
	return true;
}

/* ---- reading ---- */

static int read_file(int dir_fd, const char *path, size_t exact, uint8_t *out, struct vgm_err *err)
{
	uint8_t bytes[VGM_TILE_BYTES + 1];
	size_t have = 0;
	int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR
			   ? vgm_err_set(err, VGM_E_NOTFOUND, "%s is missing", path)
			   : vgm_err_sys(err, "opening %s", path);
	for (;;) {
		ssize_t n = read(fd, bytes + have, sizeof bytes - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int r = vgm_err_sys(err, "reading %s", path);
			close(fd);
			return r;
		}
		if (n == 0 || (have += (size_t)n) == sizeof bytes)
			break;
	}
	close(fd);
	if (have != exact)
		return vgm_err_set(err, VGM_E_CORRUPT, "%s has not its length", path);
	memcpy(out, bytes, exact);
	return 0;
}

int vgm_tile_read(int dir_fd, unsigned level, uint64_t index, unsigned width,
    uint8_t out[VGM_TILE_BYTES], struct vgm_err *err)
{
	char path[VGM_TILE_PATH_BYTES];
	uint8_t full[VGM_TILE_BYTES];
	vgm_tile_path(level, index, VGM_TILE_WIDTH, path);
	int r = read_file(dir_fd, path, VGM_TILE_BYTES, full, err);
	if (r == 0)
		memcpy(out, full, (size_t)width * 32);
	if (r != VGM_E_NOTFOUND || width == VGM_TILE_WIDTH)
		return r;
	vgm_tile_path(level, index, width, path);
	return read_file(dir_fd, path, (size_t)width * 32, out, err);
}

/* Root of a perfect subtree from its 2^n hashes. */
static void fold(const uint8_t *hashes, size_t count, uint8_t out[32])
{
	struct vgm_merkle m = VGM_MERKLE_EMPTY;
	for (size_t i = 0; i < count; i++)
		vgm_merkle_add(&m, hashes + 32 * i);
	vgm_merkle_root(&m, out);
}

/* How many hashes tile `index` of a level has in a tree of that size. */
static unsigned tile_width(uint64_t size, unsigned level, uint64_t index)
{
	uint64_t hashes = level >= VGM_TILE_LEVELS ? 0 : size >> (8 * level);
	uint64_t before = index * VGM_TILE_WIDTH;
	if (hashes <= before)
		return 0;
	return hashes - before < VGM_TILE_WIDTH ? (unsigned)(hashes - before) : VGM_TILE_WIDTH;
}

int vgm_tile_fetch(
    void *context, unsigned level, uint64_t index, uint8_t out[32], struct vgm_err *err)
{
	const struct vgm_tile_source *source = context;
	uint8_t tile[VGM_TILE_BYTES];
	unsigned count = 1u << level % 8;
	uint64_t first = index << level % 8;
	unsigned width = tile_width(source->size, level / 8, first / VGM_TILE_WIDTH);
	unsigned at = (unsigned)(first % VGM_TILE_WIDTH);
	if (at + count > width)
		return vgm_err_set(err, VGM_E_NOTFOUND, "the tree has not grown that far");
	int r = vgm_tile_read(source->dir_fd, level / 8, first / VGM_TILE_WIDTH, width, tile, err);
	if (r == 0)
		fold(tile + (size_t)at * 32, count, out);
	return r;
}

/* ---- writing ---- */

struct vgm_tiles {
	int dir_fd;
	uint64_t size;
	struct {
		uint8_t hash[VGM_TILE_BYTES];
		unsigned partial; /* width of the newest unfinished file, or 0 */
	} level[VGM_TILE_LEVELS];
};

struct vgm_tiles *vgm_tiles_new(int dir_fd)
{
	struct vgm_tiles *t = vgm_alloc(sizeof *t);
	t->dir_fd = dir_fd;
	return t;
}

void vgm_tiles_free(struct vgm_tiles **t)
{
	vgm_free(*t);
	*t = NULL;
}

uint64_t vgm_tiles_size(const struct vgm_tiles *t)
{
	return t->size;
}

static int read_unfinished(struct vgm_tiles *t, unsigned level, struct vgm_err *err)
{
	uint64_t hashes = t->size >> (8 * level);
	unsigned width = (unsigned)(hashes % VGM_TILE_WIDTH);
	uint64_t index = hashes / VGM_TILE_WIDTH;
	if (width == 0)
		return 0;
	int r = VGM_E_NOTFOUND;
	/* A flush after this tree's size may have left a wider one; it begins the same. */
	for (unsigned w = width; r == VGM_E_NOTFOUND && w <= VGM_TILE_WIDTH; w++) {
		r = vgm_tile_read(t->dir_fd, level, index, w, t->level[level].hash, err);
		t->level[level].partial = w < VGM_TILE_WIDTH ? w : 0;
	}
	return r;
}

int vgm_tiles_open(
    int dir_fd, const struct vgm_merkle *at, struct vgm_tiles **out, struct vgm_err *err)
{
	struct vgm_tiles *t = vgm_tiles_new(dir_fd);
	struct vgm_merkle edge = VGM_MERKLE_EMPTY;
	int r = 0;
	t->size = at->size;
	for (unsigned level = 0; r == 0 && level < VGM_TILE_LEVELS; level++)
		r = read_unfinished(t, level, err);
	/* The unfinished tiles of all levels are the whole edge. */
	for (unsigned level = 0; r == 0 && level < VGM_TILE_LEVELS; level++) {
		unsigned width = (unsigned)(t->size >> (8 * level)) % VGM_TILE_WIDTH;
		struct vgm_merkle part = VGM_MERKLE_EMPTY;
		for (unsigned i = 0; i < width; i++)
			vgm_merkle_add(&part, t->level[level].hash + (size_t)i * 32);
		memcpy(edge.edge[8 * level], part.edge, 8 * sizeof part.edge[0]);
	}
	for (unsigned bit = 0; r == 0 && bit < VGM_MERKLE_LEVELS; bit++)
		if ((at->size >> bit & 1) && memcmp(edge.edge[bit], at->edge[bit], 32) != 0)
			r = vgm_err_set(err, VGM_E_CORRUPT, "tiles of another tree");
	if (r < 0) {
		vgm_tiles_free(&t);
		return r;
	}
	*out = t;
	return 0;
}

static int make_directories(int dir_fd, const char *path, struct vgm_err *err)
{
	char part[VGM_TILE_PATH_BYTES];
	for (size_t i = 0; path[i]; i++) {
		if (path[i] == '/') {
			part[i] = 0;
			if (mkdirat(dir_fd, part, 0700) < 0 && errno != EEXIST)
				return vgm_err_sys(err, "making %s", part);
		}
		part[i] = path[i];
	}
	return 0;
}

static int write_bytes(int fd, const uint8_t *bytes, size_t len)
{
	while (len) {
		ssize_t n = write(fd, bytes, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		bytes += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Under another name first (in the same directory: the sandbox lets no file
 * change its directory), so that no reader meets half a tile. */
static int write_tile(struct vgm_tiles *t, unsigned level, uint64_t index, unsigned width,
    const uint8_t *hashes, struct vgm_err *err)
{
	char path[VGM_TILE_PATH_BYTES], fresh[VGM_TILE_PATH_BYTES + 8];
	vgm_tile_path(level, index, width, path);
	snprintf(fresh, sizeof fresh, "%s.new", path);
	const int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;
	int fd = openat(t->dir_fd, fresh, flags, 0600);
	if (fd < 0 && errno == ENOENT) {
		int r = make_directories(t->dir_fd, path, err);
		if (r < 0)
			return r;
		fd = openat(t->dir_fd, fresh, flags, 0600);
	}
	if (fd < 0)
		return vgm_err_sys(err, "making %s", path);
	/* Unfinished ones too: a power cut may take a tile, never leave half of one. */
	bool ok = write_bytes(fd, hashes, (size_t)width * 32) == 0 && fdatasync(fd) == 0;
	int r = ok ? 0 : vgm_err_sys(err, "writing %s", path);
	close(fd);
	if (r == 0 && renameat(t->dir_fd, fresh, t->dir_fd, path) < 0)
		r = vgm_err_sys(err, "naming %s", path);
	if (r < 0)
		unlinkat(t->dir_fd, fresh, 0);
	return r;
}

/* What stood for a tile before it was full. Until then every width stays: a
 * checkpoint of that size may have been published. */
static void drop_partials(struct vgm_tiles *t, unsigned level, uint64_t index)
{
	char path[VGM_TILE_PATH_BYTES];
	for (unsigned width = 1; width < VGM_TILE_WIDTH; width++) {
		vgm_tile_path(level, index, width, path);
		unlinkat(t->dir_fd, path, 0);
	}
	*strrchr(path, '/') = 0;
	unlinkat(t->dir_fd, path, AT_REMOVEDIR);
	t->level[level].partial = 0;
}

/* Files first, then memory: a failure leaves the writer where it was. Files of
 * upper tiles are written before, so a repeated leaf writes the same again. */
int vgm_tiles_add(struct vgm_tiles *t, const uint8_t leaf[32], struct vgm_err *err)
{
	uint8_t hash[32];
	unsigned full = 0;
	memcpy(hash, leaf, 32);
	for (unsigned level = 0; level < VGM_TILE_LEVELS; level++) {
		uint64_t index = t->size >> (8 * level);
		unsigned at = (unsigned)(index % VGM_TILE_WIDTH);
		memcpy(t->level[level].hash + (size_t)at * 32, hash, 32);
		if (at + 1 < VGM_TILE_WIDTH)
			break;
		int r = write_tile(
		    t, level, index / VGM_TILE_WIDTH, VGM_TILE_WIDTH, t->level[level].hash, err);
		if (r < 0)
			return r;
		fold(t->level[level].hash, VGM_TILE_WIDTH, hash);
		full = level + 1;
	}
	for (unsigned level = 0; level < full; level++)
		drop_partials(t, level, t->size >> (8 * level) >> 8);
	t->size++;
	return 0;
}

int vgm_tiles_flush(struct vgm_tiles *t, struct vgm_err *err)
{
	for (unsigned level = 0; level < VGM_TILE_LEVELS; level++) {
		uint64_t hashes = t->size >> (8 * level);
		unsigned width = (unsigned)(hashes % VGM_TILE_WIDTH);
		uint64_t index = hashes / VGM_TILE_WIDTH;
		if (width == 0 || width == t->level[level].partial)
			continue;
		int r = write_tile(t, level, index, width, t->level[level].hash, err);
		if (r < 0)
			return r;
		t->level[level].partial = width;
	}
	return 0;
}
