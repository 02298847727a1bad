/* SPDX-License-Identifier: EUPL-1.2
 * view/view.h — what a view is: a name, a class, tables, and what a record of
 * the ledger changes in them. view/table.c lists them all; a new view is a new
 * row there and a file beside it.
 *
 * A record is given to each view's apply in the order of the table. When the
 * state of a message changes, the view that keeps it (tracking) tells all of
 * them through moved. Views write through the statements of their store and
 * nowhere else, inside the transaction that their caller has begun. */
#ifndef VGM_VIEW_VIEW_H
#define VGM_VIEW_VIEW_H

#include "base/err.h"
#include "ipc/message.h"
#include "ledger/record.h"

struct vgm_views;

/* Rule 3: what a view is made of again when it is lost. */
enum vgm_view_class {
	VGM_VIEW_STATE = 'A',  /* from headers and routing parts */
	VGM_VIEW_WINDOW = 'B', /* by a filter job, under day keys */
	VGM_VIEW_CLOSED = 'C', /* from nothing: primary data */
};

/* What has become of a message for one recipient. A message as a whole is in
 * the greatest state of its recipients; from QUEUED on it is still open. On
 * disk: numbers are never reused, and all take one byte. */
enum vgm_view_state {
	VGM_VIEW_DELIVERED = 2,
	VGM_VIEW_RELAYED = 3,
	VGM_VIEW_REMOVED = 4,
	VGM_VIEW_REFUSED = 5,
	VGM_VIEW_EXPIRED = 6,
	VGM_VIEW_FAILED = 7,
	VGM_VIEW_QUEUED = 8,
	VGM_VIEW_DEFERRED = 9,
	VGM_VIEW_HELD = 10,
	VGM_VIEW_STATE_COUNT,
};
/* "delivered", ..., or "?". */
const char *vgm_view_state_name(int state);
bool vgm_view_state_parse(struct vgm_slice name, enum vgm_view_state *out);
static inline bool vgm_view_state_open(int state)
{
	return state >= VGM_VIEW_QUEUED;
}

/* A record and what its routing part says; all NULL: the day is closed. */
struct vgm_view_entry {
	const struct vgm_record *record;
	uint64_t segment, offset;
	const struct vgm_msg_routing *mail;
	const struct vgm_msg_outcome_facts *outcome;
	const struct vgm_msg_event_facts *event;
};

/* A message that is new (before = 0) or has changed its state. */
struct vgm_view_move {
	uint64_t sequence;
	const uint8_t *id; /* 16 bytes */
	int before, after;
	uint64_t time_us;
	struct vgm_slice why; /* the rule or the person that held it; else empty */
};

struct vgm_view {
	const char *name;
	enum vgm_view_class class;
	const char *schema;     /* CREATE statements */
	const char *count;      /* SELECT of the number that `vgm ledger info` shows */
	/* Each may be NULL. */
	int (*apply)(struct vgm_views *, const struct vgm_view_entry *, struct vgm_err *);
	int (*moved)(struct vgm_views *, const struct vgm_view_move *, struct vgm_err *);
	/* The day's key is destroyed; may be told more than once. */
	int (*forget)(struct vgm_views *, uint32_t day, struct vgm_err *);
};

extern const struct vgm_view vgm_view_tracking, vgm_view_queue, vgm_view_quarantine,
    vgm_view_audit, vgm_view_devices;
extern const struct vgm_view *const vgm_view_table[];
extern const size_t vgm_view_table_len;

/* Whether all of these may be dropped and made anew from the ledger. False:
 * *out_keep is the first that may not. */
bool vgm_view_droppable(
    const struct vgm_view *const *table, size_t count, const struct vgm_view **out_keep);

/* The sequence of an open message. VGM_E_NOTFOUND; VGM_E_IO, VGM_E_CORRUPT. */
int vgm_view_queue_find(struct vgm_views *, const uint8_t id[16], uint64_t *out, struct vgm_err *)
    VGM_MUST_USE;

#endif
