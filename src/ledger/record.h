/* SPDX-License-Identifier: EUPL-1.2
 * ledger/record.h — one record: its fixed header, the hashes of its parts, and
 * how parts are encrypted. doc/ledger-format.md has it byte by byte. */
#ifndef VGM_LEDGER_RECORD_H
#define VGM_LEDGER_RECORD_H

#include "base/buf.h"
#include "base/err.h"
#include "ipc/message.h"

enum vgm_part {
	VGM_PART_ROUTING = 0, /* under the day's routing key, written by ledgerd */
	VGM_PART_HEAD = 1,    /* under the record's key */
	VGM_PART_BODY = 2,    /* the exact bytes as received */
	VGM_PART_CLEAR = 3,   /* the decrypted form, where it arrived encrypted (later) */
	VGM_PART_COUNT = 4,
};

enum vgm_clock_state {
	VGM_CLOCK_SYNCHRONISED = 1,
	VGM_CLOCK_FREE_RUNNING = 2,
	VGM_CLOCK_DOUBTFUL = 3, /* wall clock went backwards or leapt */
};

struct vgm_part_size {
	uint64_t stored; /* ciphertext bytes in the segment; 0 = no such part */
	uint64_t plain;  /* bytes after opening and unpacking */
};

/* No field is personal data (rule 2). */
struct vgm_record {
	uint8_t type;             /* enum vgm_record_type */
	uint8_t clock;            /* enum vgm_clock_state */
	uint8_t packing;          /* enum vgm_packing of the body */
	uint32_t entity;
	uint32_t conf_version;
	uint32_t day;             /* of day key and routing key */
	uint64_t sequence;        /* leaf index in the tree */
	uint64_t time_us;         /* ledger time: never backwards (rule 6) */
	uint8_t id[16];
	uint8_t related[16];
	uint8_t wrap[60]; /* record key under the day key; zeros when there is no head or body */
	uint8_t ephemeral[32]; /* R of the archive wrap (rule 8); zeros until there are officers */
	uint8_t commitment[32];   /* SHA-256(salt || plaintext of the body) */
	struct vgm_part_size part[VGM_PART_COUNT];
	uint8_t hash[VGM_PART_COUNT][32]; /* SHA-256 of each stored part */
};

#define VGM_RECORD_PREFIX_BYTES 512u /* header and hashes; parts follow */

/* Total bytes in the segment: prefix and parts. */
uint64_t vgm_record_bytes(const struct vgm_record *);
/* Where a part starts, from the record's first byte. */
uint64_t vgm_record_part_offset(const struct vgm_record *, enum vgm_part);

void vgm_record_encode(const struct vgm_record *, uint8_t out[VGM_RECORD_PREFIX_BYTES]);
/* VGM_E_CORRUPT (with what is wrong), VGM_E_VERSION. */
int vgm_record_decode(const uint8_t in[VGM_RECORD_PREFIX_BYTES], struct vgm_record *out,
    struct vgm_err *) VGM_MUST_USE;
/* RFC 9162 leaf hash of the record: SHA-256(0x00 || header || part hashes). */
void vgm_record_leaf(const uint8_t prefix[VGM_RECORD_PREFIX_BYTES], uint8_t out[32]);

/* Reads and decodes the prefix at offset of a segment. VGM_E_IO, VGM_E_CORRUPT. */
int vgm_record_read(int segment_fd, uint64_t offset, struct vgm_record *out, struct vgm_err *)
    VGM_MUST_USE;

#endif
