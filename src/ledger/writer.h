/* SPDX-License-Identifier: EUPL-1.2
 * ledger/writer.h — append records to the ledger (one writer: ledgerd).
 *
 * Calling sequence: open, then rounds of append*, frame, sync. After sync gives
 * 0 every record appended before survives a power cut; before, none counts.
 * Records that a failure took away are those with a sequence at or above
 * vgm_writer_size afterwards. Never logs.
 *
 * Disk: two segments stand preallocated (spares), and a reserve that only
 * records with may_use_reserve may eat into (rule 20). */
#ifndef VGM_LEDGER_WRITER_H
#define VGM_LEDGER_WRITER_H

#include "ledger/record.h"
#include "ledger/segment.h"

struct vgm_writer;

struct vgm_writer_options {
	uint32_t entity;
	uint64_t segment_bytes;
	uint64_t reserve_bytes;
	bool clock_synchronised; /* a time server steers the wall clock */
};

/* What opening found; for logs. */
struct vgm_writer_opening {
	uint64_t adopted_batches; /* whole, but not known to have been synced: they are now */
	bool unfinished;          /* a batch that was never whole was dropped */
	uint64_t last_time_us;    /* ledger time of the last batch; 0 in a new ledger */
	struct vgm_ledger_place segment_start; /* of the segment at hand, and ... */
	struct vgm_merkle segment_tree;        /* ... the tree before it */
};

/* ---- life cycle ---- */

/* Locks the directory, recovers (rule 5), makes a new ledger in an empty one.
 * dir_fd stays the caller's. VGM_E_BUSY: another writer has it. VGM_E_NOSPACE,
 * VGM_E_IO, VGM_E_VERSION, VGM_E_INVALID (another entity's ledger). Corruption is
 * no failure: the writer is read only then, and vgm_writer_fault says why. */
int vgm_writer_open(int dir_fd, const struct vgm_writer_options *, struct vgm_writer **out,
    struct vgm_writer_opening *opening, struct vgm_err *) VGM_MUST_USE;
void vgm_writer_free(struct vgm_writer **);

/* NULL while the ledger can be written. VGM_E_CORRUPT: found at opening;
 * VGM_E_IO: neither the segment nor a new one could be synced. Final. */
const struct vgm_err *vgm_writer_fault(const struct vgm_writer *);

/* ---- write ---- */

struct vgm_writer_record {
	/* type, packing, entity is the writer's, conf_version, day, id, related,
	 * wrap, commitment and part[].plain are the caller's; the rest is filled in. */
	struct vgm_record record;
	struct vgm_slice part[VGM_PART_COUNT]; /* as stored; empty = no such part */
	bool may_use_reserve;
	uint8_t leaf[32]; /* out: its hash in the tree */
};

/* Copies the parts (at once or by the next frame) and fills the record's
 * sequence, time, clock state, sizes and hashes. VGM_E_NOSPACE, VGM_E_IO,
 * VGM_E_CORRUPT (read only). */
int vgm_writer_append(struct vgm_writer *, struct vgm_writer_record *,
    struct vgm_ledger_place *out, struct vgm_err *) VGM_MUST_USE;
/* Commits what was appended since the last frame; nothing to do is fine. */
int vgm_writer_frame(struct vgm_writer *, struct vgm_err *) VGM_MUST_USE;
/* Frames if need be and makes all durable. A failure is final for the segment:
 * the writer has gone on in a new one, or vgm_writer_fault says that it could
 * not. VGM_E_IO, VGM_E_NOSPACE. Blocks on the disk. */
int vgm_writer_sync(struct vgm_writer *, struct vgm_err *) VGM_MUST_USE;
/* Makes spares and reserve where they are missing; call when there is time.
 * VGM_E_NOSPACE, VGM_E_IO: try again later. */
int vgm_writer_prepare(struct vgm_writer *, struct vgm_err *) VGM_MUST_USE;

/* ---- read ---- */

uint64_t vgm_writer_size(const struct vgm_writer *);        /* records, the unsynced too */
uint64_t vgm_writer_synced_size(const struct vgm_writer *); /* records that are durable */
bool vgm_writer_is_synced(const struct vgm_writer *);       /* nothing waits for a sync */
/* Everything before this place is durable. */
struct vgm_ledger_place vgm_writer_synced_place(const struct vgm_writer *);
const struct vgm_merkle *vgm_writer_synced_tree(const struct vgm_writer *);
/* Number of the last durable batch: a position in the ledger that files kept
 * beside it can be compared with. */
uint64_t vgm_writer_synced_batch(const struct vgm_writer *);
/* Bytes that mail may still take before it must be refused. */
uint64_t vgm_writer_room(const struct vgm_writer *);
/* Ledger time of now, as the next record would get it. */
uint64_t vgm_writer_now_us(struct vgm_writer *);

#endif
