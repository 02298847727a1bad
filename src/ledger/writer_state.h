/* SPDX-License-Identifier: EUPL-1.2
 * ledger/writer_state.h — what the files of the writer share: appending
 * (writer.c), segments (writer_segment.c), opening (recover.c). */
#ifndef VGM_LEDGER_WRITER_STATE_H
#define VGM_LEDGER_WRITER_STATE_H

#include "base/buf.h"
#include "ledger/clock.h"
#include "ledger/hash.h"
#include "ledger/writer.h"

#define VGM_WRITER_SPARES 2

/* A place in the ledger with all that must be known to go on from it. */
struct vgm_writer_mark {
	uint64_t end; /* offset in the segment */
	uint64_t batch;
	struct vgm_merkle tree;
};

struct vgm_writer {
	int dir_fd;
	int lock_fd;
	struct vgm_writer_options options;
	struct vgm_err fault; /* code 0: none */
	struct vgm_ledger_clock clock;

	int fd; /* of the segment */
	uint64_t segment;
	uint64_t capacity;             /* the segment's preallocated bytes */
	struct vgm_writer_mark synced; /* in this segment */
	struct vgm_writer_mark framed;

	/* the batch at hand: records after framed.end */
	struct vgm_merkle tree; /* with them */
	uint32_t count;
	uint64_t written; /* offset up to which they are in the file; the rest is in pending */
	struct vgm_buf pending;
	struct vgm_hash_stream batch_hash;

	unsigned spares;     /* that stand ready */
	bool reserve;        /* stands */
};

/* ---- writer_segment.c ---- */

/* Ends the segment at the synced mark and begins the next, from a spare or new.
 * may_use_reserve: give the reserve up if nothing else is left. On failure the
 * old segment stays. */
int vgm_writer_roll(struct vgm_writer *, bool may_use_reserve, struct vgm_err *) VGM_MUST_USE;
/* After a failed sync: note the segment's last good place, go on in a new one.
 * On failure: fault is set. */
void vgm_writer_leave_segment(struct vgm_writer *, const struct vgm_err *why);
/* Back to a mark: what was appended after it is forgotten. */
void vgm_writer_rewind(struct vgm_writer *, const struct vgm_writer_mark *);
/* Drops spares that are not what a spare should be; counts the good ones. */
void vgm_writer_count_spares(struct vgm_writer *);
/* All of it at offset, in as many calls as the kernel wants. */
int vgm_writer_put(int fd, uint64_t offset, struct vgm_slice first, struct vgm_slice second,
    struct vgm_err *) VGM_MUST_USE;

/* ---- recover.c ---- */

/* Opens the last segment at the end of what counts; read only sets fault. */
int vgm_writer_recover(struct vgm_writer *, uint64_t last_segment, struct vgm_writer_opening *,
    struct vgm_err *) VGM_MUST_USE;

#endif
