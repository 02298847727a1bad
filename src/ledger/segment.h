/* SPDX-License-Identifier: EUPL-1.2
 * ledger/segment.h — what stands in a segment besides records: its header, the
 * commit frames; the note about a segment that a failed sync ended early; and the
 * names of the ledger's files. doc/ledger-format.md has all of it byte by byte.
 *
 * Each carries a hash of itself, so that a damaged one is not believed. */
#ifndef VGM_LEDGER_SEGMENT_H
#define VGM_LEDGER_SEGMENT_H

#include "base/err.h"
#include "ledger/merkle.h"

/* A byte of the ledger. Segments count from 1; {0, 0} is before everything. */
struct vgm_ledger_place {
	uint64_t segment, offset;
};

/* ---- names in the ledger's directory ---- */
#define VGM_SEGMENT_NAME_BYTES 32
void vgm_segment_name(
    uint64_t number, char out[VGM_SEGMENT_NAME_BYTES]); /* seg-0000000000000001.vgl */
void vgm_segment_notes_name(
    uint64_t number, char out[VGM_SEGMENT_NAME_BYTES]); /* .ckp: its checkpoints */
void vgm_segment_cut_name(uint64_t number, char out[VGM_SEGMENT_NAME_BYTES]);   /* .cut */
/* The number in a segment's name; 0 for other names. */
uint64_t vgm_segment_number(const char *name);
#define VGM_LEDGER_LOCK "lock"
#define VGM_LEDGER_RESERVE "reserve"
#define VGM_LEDGER_SCHEDULE "schedule"         /* ledgerd's snapshot; ends with a SHA-256 */
#define VGM_LEDGER_CHECKPOINT "checkpoint"     /* the newest */
#define VGM_LEDGER_VERIFIERS "checkpoint.keys" /* public keys that signed, one a line */

/* The highest-numbered segment, 0 when there is none. VGM_E_IO. */
int vgm_segment_last(int dir_fd, uint64_t *out, struct vgm_err *) VGM_MUST_USE;

/* ---- header ---- */
#define VGM_SEGMENT_HEADER_BYTES 4096u

struct vgm_segment_header {
	uint32_t entity;
	uint64_t number;
	uint64_t previous_end; /* where the segment before ends; 0 in the first */
	uint64_t batch;        /* the last batch before this segment */
	uint64_t time_us;      /* ledger time when it was begun */
	struct vgm_merkle tree; /* of all records before this segment */
};

void vgm_segment_header_encode(
    const struct vgm_segment_header *, uint8_t out[VGM_SEGMENT_HEADER_BYTES]);
/* VGM_E_CORRUPT, VGM_E_VERSION. */
int vgm_segment_header_decode(const uint8_t in[VGM_SEGMENT_HEADER_BYTES],
    struct vgm_segment_header *out, struct vgm_err *) VGM_MUST_USE;
/* Of the segment with that number; also checks the number. VGM_E_NOTFOUND, VGM_E_IO too. */
int vgm_segment_header_read(int dir_fd, uint64_t number, struct vgm_segment_header *out,
    struct vgm_err *) VGM_MUST_USE;

/* ---- commit frame: stands right after the batch that it commits ---- */
#define VGM_FRAME_BYTES 192u

struct vgm_frame {
	uint32_t count;          /* records in the batch, at least 1 */
	uint64_t segment;
	uint64_t batch;          /* from 1, over all segments */
	uint64_t synced;         /* the last batch known durable when this was written */
	uint64_t offset, length; /* of the batch's records */
	uint64_t tree_size;      /* with them */
	uint64_t time_us;        /* ledger time */
	uint8_t root[32];
	uint8_t hash[32];        /* SHA-256 over each record's u64 length and leaf */
};

bool vgm_frame_starts(const uint8_t *bytes, size_t len);
void vgm_frame_encode(const struct vgm_frame *, uint8_t out[VGM_FRAME_BYTES]);
/* VGM_E_CORRUPT, VGM_E_VERSION. */
int vgm_frame_decode(
    const uint8_t in[VGM_FRAME_BYTES], struct vgm_frame *out, struct vgm_err *) VGM_MUST_USE;

/* ---- a segment that ended early: its sync failed ---- */
#define VGM_CUT_BYTES 128u

struct vgm_cut {
	uint64_t segment;
	uint64_t end; /* last good offset: what follows does not count */
	uint64_t batch;
	uint64_t tree_size;
	uint8_t root[32];
};
void vgm_cut_encode(const struct vgm_cut *, uint8_t out[VGM_CUT_BYTES]);
int vgm_cut_decode(
    const uint8_t in[VGM_CUT_BYTES], struct vgm_cut *out, struct vgm_err *) VGM_MUST_USE;
/* VGM_E_NOTFOUND: the segment has none. VGM_E_CORRUPT, VGM_E_VERSION, VGM_E_IO. */
int vgm_cut_read(int dir_fd, uint64_t segment, struct vgm_cut *out, struct vgm_err *) VGM_MUST_USE;

#endif
