/* SPDX-License-Identifier: EUPL-1.2
 * ledger/hash.h — SHA-256 at little cost per call: the digest is fetched once a
 * process, contexts are kept. Processes have one thread each; so has this file.
 *
 * The first call must come before the sandbox (a role's prepare()). */
#ifndef VGM_LEDGER_HASH_H
#define VGM_LEDGER_HASH_H

#include "base/slice.h"

#define VGM_HASH_BYTES 32u

/* One piece, or up to a few, hashed as if joined. */
void vgm_hash(struct vgm_slice, uint8_t out[VGM_HASH_BYTES]);
void vgm_hash_join(const struct vgm_slice *pieces, size_t count, uint8_t out[VGM_HASH_BYTES]);

/* ---- as a stream: begin, add*, end; then begin again ---- */
struct vgm_hash_stream {
	struct evp_md_ctx_st *context;
};
#define VGM_HASH_STREAM_INIT                                                                       \
	{                                                                                          \
		NULL                                                                               \
	}
void vgm_hash_begin(struct vgm_hash_stream *);
void vgm_hash_add(struct vgm_hash_stream *, struct vgm_slice);
void vgm_hash_end(struct vgm_hash_stream *, uint8_t out[VGM_HASH_BYTES]);
void vgm_hash_stream_release(struct vgm_hash_stream *);

#endif
