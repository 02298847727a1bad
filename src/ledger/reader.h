/* SPDX-License-Identifier: EUPL-1.2
 * ledger/reader.h — the records of a ledger in order, from any place on up to a
 * place that is known to be synced: for viewd, for the schedule's replay, for
 * rebuilds. Checks each record's header; whole-file checks are verify's.
 *
 * Works on a read-only directory while ledgerd appends behind the given end. */
#ifndef VGM_LEDGER_READER_H
#define VGM_LEDGER_READER_H

#include "ledger/record.h"
#include "ledger/segment.h"

struct vgm_reader;

/* One record. Borrowed until the next call on the reader. */
struct vgm_reader_entry {
	struct vgm_ledger_place at;   /* of its first byte */
	struct vgm_ledger_place next; /* where to go on: store this */
	struct vgm_record record;
	struct vgm_slice routing;     /* its routing part as stored (sealed) */
	int segment_fd;               /* to read other parts from */
};

/* dir_fd stays the caller's. */
struct vgm_reader *vgm_reader_new(int dir_fd);
void vgm_reader_free(struct vgm_reader **);

/* Goes on at a place: an entry's `next`, or {0, 0} for the first record. */
void vgm_reader_seek(struct vgm_reader *, struct vgm_ledger_place from);
/* 1 = a record; 0 = everything before end was given. VGM_E_CORRUPT, VGM_E_VERSION,
 * VGM_E_NOTFOUND (a segment is missing), VGM_E_IO: the place stays, so that the
 * caller may try again. */
int vgm_reader_next(struct vgm_reader *, struct vgm_ledger_place end,
    struct vgm_reader_entry *out, struct vgm_err *) VGM_MUST_USE;

/* Where a ledger that nobody writes ends: the end of its last whole batch.
 * {0, 0} when it is empty. For commands; a running ledgerd says it in SYNCED. */
int vgm_reader_find_end(int dir_fd, struct vgm_ledger_place *out, uint64_t *out_tree_size,
    struct vgm_err *) VGM_MUST_USE;

#endif
