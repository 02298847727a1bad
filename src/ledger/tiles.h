/* SPDX-License-Identifier: EUPL-1.2
 * ledger/tiles.h — the tree's hashes as files, in the layout of C2SP tlog-tiles:
 * tile/<level>/<index>, 256 hashes each; index 1234067 is "x001/x234/067"; the
 * last tile of a level, while it is not full, is "067.p/<width>".
 *
 * Tiles are made of synced leaves only and can be made again from the segments,
 * so the writer syncs each tile's content but not its name: after a power cut a
 * tile is whole or missing. */
#ifndef VGM_LEDGER_TILES_H
#define VGM_LEDGER_TILES_H

#include "ledger/merkle.h"

#define VGM_TILE_WIDTH 256u
#define VGM_TILE_BYTES (VGM_TILE_WIDTH * 32u)
#define VGM_TILE_LEVELS 8u
#define VGM_TILE_PATH_BYTES 80

/* "tile/0/x001/067" or "tile/0/x001/067.p/17"; width 1..256. */
void vgm_tile_path(unsigned level, uint64_t index, unsigned width, char out[VGM_TILE_PATH_BYTES]);
/* The inverse. False for anything that vgm_tile_path does not make. */
bool vgm_tile_parse(
    const char *path, unsigned *out_level, uint64_t *out_index, unsigned *out_width);

/* The first `width` hashes of a tile, from the full file or the partial one of
 * exactly that width. VGM_E_NOTFOUND, VGM_E_CORRUPT (wrong length), VGM_E_IO. */
int vgm_tile_read(int dir_fd, unsigned level, uint64_t index, unsigned width,
    uint8_t out[VGM_TILE_BYTES], struct vgm_err *) VGM_MUST_USE;

/* ---- reading: a vgm_merkle_fetch ---- */
struct vgm_tile_source {
	int dir_fd;
	uint64_t size; /* of the tree that the tiles cover: a checkpoint's */
};
int vgm_tile_fetch(void *source, unsigned level, uint64_t index, uint8_t out[32], struct vgm_err *);

/* ---- writing ---- */
struct vgm_tiles;
/* For an empty tree; dir_fd stays the caller's. */
struct vgm_tiles *vgm_tiles_new(int dir_fd);
/* Goes on at tree `at`, taking the unfinished tiles from files. VGM_E_NOTFOUND,
 * VGM_E_CORRUPT: they are missing or of another tree, make them again from the
 * first leaf. */
int vgm_tiles_open(
    int dir_fd, const struct vgm_merkle *at, struct vgm_tiles **out, struct vgm_err *) VGM_MUST_USE;
void vgm_tiles_free(struct vgm_tiles **);
/* Writes each tile that becomes full. VGM_E_IO, VGM_E_NOSPACE: try again later;
 * the leaf is not taken. */
int vgm_tiles_add(struct vgm_tiles *, const uint8_t leaf[32], struct vgm_err *) VGM_MUST_USE;
/* Writes the unfinished tiles, so that the tree of vgm_tiles_size can be read. */
int vgm_tiles_flush(struct vgm_tiles *, struct vgm_err *) VGM_MUST_USE;
uint64_t vgm_tiles_size(const struct vgm_tiles *);

#endif
