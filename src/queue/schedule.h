/* SPDX-License-Identifier: EUPL-1.2
 * queue/schedule.h — which message goes out when: the delivery schedule that
 * ledgerd keeps in memory. Pure: no clock, no files, no network; time is given
 * (running time in ms, rule 6). One entry is a message; one delivery is the
 * recipients of a message that share a route and are due together.
 *
 * Per route: at most `connections` deliveries in flight, growing from 1 after
 * an outage (slow start: doubled after each success); a route that nobody
 * answered on waits with back-off as a whole, however much is queued on it.
 * Fair: routes take turns; within a route first in, first out among those due. */
#ifndef VGM_QUEUE_SCHEDULE_H
#define VGM_QUEUE_SCHEDULE_H

#include "base/err.h"
#include "ipc/message.h"

struct vgm_schedule;

struct vgm_schedule_limits {
	const uint64_t *retry_ms; /* waits between attempts; borrowed, copied */
	size_t retry_count;
	uint64_t expire_ms;
	uint64_t warn_ms;
	size_t in_flight; /* all routes together */
	/* connections of a route by name; called when a route is first seen */
	size_t (*connections)(void *context, struct vgm_slice route);
	void *context;
};

/* What a message is to the schedule. Strings are copied. */
struct vgm_schedule_message {
	uint8_t record[16];
	uint64_t segment, offset; /* where its record is */
	uint64_t accepted_ms; /* running time of acceptance; may be before this process started */
	uint64_t expire_ms;   /* 0: the limits' own */
	bool held;
	bool warned;				/* the sender has been told that it is late */
	const struct vgm_recipient *recipients; /* index = place; route "hold"/"refuse" never due */
	size_t recipients_count;
};

/* A delivery to hand to relayd. Borrowed until the next call on the schedule. */
struct vgm_schedule_delivery {
	uint64_t delivery;
	uint8_t record[16];
	uint64_t segment, offset;
	struct vgm_slice route;
	const uint32_t *indexes;
	size_t indexes_count;
	uint32_t attempt; /* of this delivery, from 1; EXPIRED, LATE: attempts made */
};

enum vgm_schedule_due {
	VGM_DUE_NOTHING = 0,
	VGM_DUE_DELIVERY, /* hand it out; it is in flight until vgm_schedule_done */
	VGM_DUE_EXPIRED,  /* its recipients are taken off; the caller writes EXPIRED outcomes */
	VGM_DUE_LATE,	  /* warn the sender; the recipients stay queued */
};

struct vgm_schedule *vgm_schedule_new(const struct vgm_schedule_limits *);
void vgm_schedule_free(struct vgm_schedule **);
/* New limits at reload; what is queued stays. */
void vgm_schedule_set_limits(struct vgm_schedule *, const struct vgm_schedule_limits *);

/* VGM_E_BUSY when the record is there already; VGM_E_LIMIT without recipients,
 * with more than 1000, or with a route's name over 300 bytes. A route's
 * recipients make deliveries of at most 40, and of 16,000 bytes of their texts,
 * so that each message between processes about a delivery fits its datagram. */
int vgm_schedule_add(struct vgm_schedule *, const struct vgm_schedule_message *, uint64_t now_ms,
    struct vgm_err *) VGM_MUST_USE;

/* Replays or notes an outcome of one recipient: DELIVERED, RELAYED, FAILED,
 * EXPIRED, REMOVED take it off; DEFERRED sets its next time. Unknown records
 * and indexes are ignored (replay of a finished message). Returns true when
 * that was the message's last recipient: the message is gone. */
bool vgm_schedule_outcome(struct vgm_schedule *, const uint8_t record[16], uint32_t index,
    uint8_t status, uint32_t attempt, uint64_t now_ms);

/* Replays a warning: the sender was told about this recipient's delivery (LATE
 * comes once for the recipients of a message that share a delivery). */
void vgm_schedule_warned(struct vgm_schedule *, const uint8_t record[16], uint32_t index);

/* What is due now, one thing a call, until NOTHING. */
enum vgm_schedule_due vgm_schedule_next(
    struct vgm_schedule *, uint64_t now_ms, struct vgm_schedule_delivery *out);
/* A delivery is over (its outcomes were noted before, each recipient's).
 * destination_down: nobody answered on the route: it pauses, and the delivery's
 * recipients go with it when it is tried again. */
void vgm_schedule_done(
    struct vgm_schedule *, uint64_t delivery, bool destination_down, uint64_t now_ms);
/* relayd has gone: everything in flight is due again at once. */
void vgm_schedule_relay_lost(struct vgm_schedule *, uint64_t now_ms);
/* Running time at which something will be due; UINT64_MAX = never. */
uint64_t vgm_schedule_wake(const struct vgm_schedule *, uint64_t now_ms);

/* Acts of an administrator; record NULL = all. Returns how many messages.
 * FLUSH ends waits and pauses; held ones stay. The time that a message was held
 * does not count for expiry. REMOVE ends a delivery in flight for the schedule
 * only. */
uint32_t vgm_schedule_act(
    struct vgm_schedule *, enum vgm_schedule_act, const uint8_t *record, uint64_t now_ms);

size_t vgm_schedule_count(const struct vgm_schedule *); /* messages */
/* Calls each for every message still queued, in order of arrival: for snapshots.
 * Recipients have their route only. attempts has one element per recipient;
 * UINT32_MAX = taken off. */
void vgm_schedule_each(const struct vgm_schedule *,
    void (*each)(void *context, const struct vgm_schedule_message *, const uint32_t *attempts),
    void *context);

#endif
