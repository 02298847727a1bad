/* SPDX-License-Identifier: EUPL-1.2
 * ledger/seal.h — encryption of a record's parts: AES-256-GCM in chunks of
 * 64 KiB, STREAM construction (chunk counter and last-chunk flag in the nonce),
 * key = HKDF-Expand-SHA256(record key, record id, part), associated data = record id,
 * entity, part. A chunk that is cut, moved, dropped or from another record does
 * not open. Routing parts use the day's routing key in the record key's place. */
#ifndef VGM_LEDGER_SEAL_H
#define VGM_LEDGER_SEAL_H

#include "ledger/record.h"

#define VGM_SEAL_CHUNK_BYTES 65536u
#define VGM_SEAL_TAG_BYTES 16u

struct vgm_seal_name {
	const uint8_t *key; /* 32 bytes; borrowed */
	const uint8_t *id;  /* record id, 16 bytes; borrowed */
	uint32_t entity;
	enum vgm_part part;
};

/* Stored size of a part of plain bytes (an empty part has one empty chunk). */
uint64_t vgm_seal_size(uint64_t plain);
/* The inverse: plain bytes behind a stored size (0 for sizes that no part has). */
uint64_t vgm_seal_plain_size(uint64_t stored);
/* Largest part that vgm_unseal_part takes: all but bodies are far below. */
#define VGM_SEAL_PART_MAX (1u << 20)

/* Whole part in memory. out gets vgm_seal_size(in.len) bytes. VGM_E_LIMIT, VGM_E_CRYPTO. */
int vgm_seal(const struct vgm_seal_name *, struct vgm_slice in, struct vgm_buf *out,
    struct vgm_err *) VGM_MUST_USE;
/* VGM_E_CRYPTO: not what was sealed; nothing is put out. VGM_E_LIMIT. */
int vgm_unseal(const struct vgm_seal_name *, struct vgm_slice in, struct vgm_buf *out,
    struct vgm_err *) VGM_MUST_USE;

/* ---- a body, as a stream: pack, encrypt, commit ---- */

/* Where packed and sealed bytes go, or plain bytes come out; negative = stop. */
typedef int vgm_seal_sink(void *context, const uint8_t *data, size_t len);

/* Packs (zstd) and seals plain; *commitment = SHA-256(salt || plain);
 * *stored = bytes given to sink. The context memory of zstd is kept between
 * calls in *tools. */
struct vgm_seal_tools; /* one per worker process */
struct vgm_seal_tools *vgm_seal_tools_new(void);
void vgm_seal_tools_free(struct vgm_seal_tools **);

int vgm_seal_body(struct vgm_seal_tools *, const struct vgm_seal_name *, const uint8_t salt[32],
    struct vgm_slice plain, uint8_t *out_packing, uint8_t out_commitment[32], vgm_seal_sink *sink,
    void *context, uint64_t *out_stored, struct vgm_err *) VGM_MUST_USE;

/* Opens the body of the record at offset in segment_fd (which may be any place
 * of the file), unpacks, gives plain bytes to sink. Every chunk's GCM tag is
 * checked: no changed byte comes out. With salt not NULL also the stored hash and
 * the commitment, for eyes and evidence (two more passes of SHA-256, which a
 * delivery does not need). VGM_E_CORRUPT, VGM_E_CRYPTO, VGM_E_LIMIT when more
 * than record->part[BODY].plain would come out. */
int vgm_unseal_body(struct vgm_seal_tools *, const struct vgm_seal_name *,
    const struct vgm_record *, int segment_fd, uint64_t offset, const uint8_t *salt,
    vgm_seal_sink *sink, void *context, struct vgm_err *) VGM_MUST_USE;

/* Reads and opens a small part (head; routing with the routing key) of a record. */
int vgm_unseal_part(const struct vgm_seal_name *, const struct vgm_record *, int segment_fd,
    uint64_t offset, struct vgm_buf *out, struct vgm_err *) VGM_MUST_USE;

#endif
