/* SPDX-License-Identifier: EUPL-1.2
 * ledger/seal_chunk.h — the chunks of one part, one after the other: what
 * seal.c (whole parts) and seal_body.c (streams) have in common.
 *
 * One context serves the process, so one part is worked on at a time: begin,
 * all its chunks, end. */
#ifndef VGM_LEDGER_SEAL_CHUNK_H
#define VGM_LEDGER_SEAL_CHUNK_H

#include "ledger/seal.h"

struct vgm_chunks {
	struct evp_cipher_ctx_st *context;
	uint32_t number;
	bool sealing;
	uint8_t associated[21];
};

void vgm_chunks_begin(struct vgm_chunks *, const struct vgm_seal_name *, bool sealing);
/* out gets plain.len + VGM_SEAL_TAG_BYTES; every chunk but the last is full. */
void vgm_chunks_seal(struct vgm_chunks *, struct vgm_slice plain, bool last, uint8_t *out);
/* out gets stored.len - VGM_SEAL_TAG_BYTES. VGM_E_CRYPTO: wiped again. */
int vgm_chunks_open(
    struct vgm_chunks *, struct vgm_slice stored, bool last, uint8_t *out) VGM_MUST_USE;
void vgm_chunks_end(struct vgm_chunks *);

/* All of len bytes at offset. VGM_E_IO, VGM_E_CORRUPT when the file is shorter. */
int vgm_seal_read(int fd, uint64_t offset, uint8_t *out, size_t len, struct vgm_err *) VGM_MUST_USE;

#endif
