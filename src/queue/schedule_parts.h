/* SPDX-License-Identifier: EUPL-1.2
 * queue/schedule_parts.h — inside of the schedule, shared by schedule.c (what
 * happens when), schedule_store.c (messages and their groups in memory) and
 * schedule_route.c (whose turn it is). Nobody else includes it.
 *
 * A *group* is what one delivery carries: recipients of one message with one
 * route, at most VGM_SCHEDULE_GROUP_MAX of them and VGM_SCHEDULE_GROUP_BYTES of
 * text, so that every message between processes about it fits its datagram. All
 * recipients of a group are tried, put off and given up together.
 *
 * Where a group is follows from its state, and only group_place and
 * group_unplace change that:
 *   IDLE     nowhere: held, or without recipients
 *   WAITING  timer = its next try, or its next deadline if that is sooner
 *   READY    in its route's line, timer = its next deadline
 *   FLYING   with relayd; no timer */
#ifndef VGM_QUEUE_SCHEDULE_PARTS_H
#define VGM_QUEUE_SCHEDULE_PARTS_H

#include "queue/heap.h"
#include "queue/schedule.h"

#define VGM_SCHEDULE_GROUP_MAX 40
#define VGM_SCHEDULE_GROUP_BYTES 16000
#define VGM_SCHEDULE_RECIPIENTS_MAX 1000
#define VGM_SCHEDULE_ROUTE_BYTES 300
#define VGM_SCHEDULE_OFF UINT32_MAX /* attempts of a recipient that was taken off */

struct vgm_schedule_group;

struct vgm_schedule_route {
	struct vgm_schedule_route *hash_next;
	struct vgm_schedule_route *ring_prev, *ring_next; /* routes that can deliver now */
	struct vgm_schedule_group *ready_first, *ready_last;
	struct vgm_heap_node pause; /* in schedule->pauses while nobody answers there */
	size_t groups;		    /* that name this route */
	size_t in_flight;
	size_t connections; /* the configured most */
	size_t window;	    /* the present most: slow start */
	uint32_t outages;   /* pauses in a row */
	bool in_ring;
	bool never; /* "hold", "refuse" */
	uint16_t name_len;
	uint8_t name[];
};

enum vgm_schedule_state { GROUP_IDLE = 0, GROUP_WAITING, GROUP_READY, GROUP_FLYING };

struct vgm_schedule_group {
	struct vgm_heap_node timer;
	struct vgm_schedule_entry *entry;
	struct vgm_schedule_route *route;
	struct vgm_schedule_group *ready_prev, *ready_next;
	uint64_t due_ms;
	uint32_t *indexes; /* of those not taken off, ascending */
	uint32_t slot;	   /* of schedule->flights while FLYING */
	uint8_t count;
	uint8_t state; /* enum vgm_schedule_state */
	bool warned;
};

struct vgm_schedule_place {
	uint32_t attempts; /* or VGM_SCHEDULE_OFF */
	uint32_t group;
};

/* A message; one block of memory with its groups, places and indexes. */
struct vgm_schedule_entry {
	struct vgm_schedule_entry *hash_next;
	struct vgm_schedule_entry *prev, *next; /* in order of arrival */
	uint8_t record[16];
	uint64_t segment, offset;
	uint64_t accepted_ms; /* moved on by the time it was held */
	uint64_t expire_ms;   /* 0: the limits' own */
	uint64_t held_ms;     /* since when, if held */
	struct vgm_schedule_place *places;
	uint32_t places_count;
	uint32_t left; /* places not taken off */
	uint32_t groups_count;
	bool held;
	struct vgm_schedule_group groups[];
};

struct vgm_schedule_flight {
	uint64_t delivery;		  /* 0 = free slot */
	struct vgm_schedule_group *group; /* NULL: its message has gone meanwhile */
	struct vgm_schedule_route *route;
	uint32_t next_free; /* slot + 1; 0 = the last */
};

/* How the recipients of a message that is being added fall into groups. */
struct vgm_schedule_plan {
	struct vgm_schedule_route *route;
	uint32_t count, bytes;
};

struct vgm_schedule {
	struct vgm_schedule_limits limits; /* retry_ms is our copy */
	uint8_t hash_key[16];

	struct vgm_schedule_entry **entries; /* buckets, a power of two */
	size_t entry_buckets, entry_count;
	struct vgm_schedule_entry *first, *last;

	struct vgm_schedule_route **routes;
	size_t route_buckets, route_count;
	struct vgm_schedule_route *ring; /* the next in turn; ring->ring_prev is the last */
	struct vgm_schedule_route *never_hold, *never_refuse;

	struct vgm_heap timers; /* groups */
	struct vgm_heap pauses; /* routes */

	struct vgm_schedule_flight *flights;
	size_t flights_count, flying;
	uint32_t free_slot; /* slot + 1; 0 = none */
	uint64_t deliveries;

	struct vgm_schedule_plan plan[VGM_SCHEDULE_RECIPIENTS_MAX];
	uint32_t plan_of[VGM_SCHEDULE_RECIPIENTS_MAX];
	uint32_t out_indexes[VGM_SCHEDULE_GROUP_MAX];
	uint8_t out_route[VGM_SCHEDULE_ROUTE_BYTES];
};

static inline uint64_t vgm_schedule_plus(uint64_t ms, uint64_t more)
{
	return more > UINT64_MAX - ms ? UINT64_MAX : ms + more;
}
/* The wait after the nth try (n from 1). */
static inline uint64_t vgm_schedule_backoff(const struct vgm_schedule *s, uint32_t n)
{
	size_t last = s->limits.retry_count - 1;

	return s->limits.retry_ms[vgm_min_size(n ? n - 1 : 0, last)];
}

/* ---- schedule_route.c ---- */
/* The route of this name, made when it is new. */
struct vgm_schedule_route *vgm_schedule_route_get(struct vgm_schedule *, struct vgm_slice name);
/* Frees it when nothing refers to it any more. */
void vgm_schedule_route_put(struct vgm_schedule *, struct vgm_schedule_route *);
/* In the ring or out of it, as its facts say. */
void vgm_schedule_route_settle(struct vgm_schedule *, struct vgm_schedule_route *);
void vgm_schedule_route_push(struct vgm_schedule_group *, bool front);
void vgm_schedule_route_take(struct vgm_schedule_group *);
void vgm_schedule_route_down(struct vgm_schedule *, struct vgm_schedule_route *, uint64_t now_ms);
void vgm_schedule_route_up(struct vgm_schedule *, struct vgm_schedule_route *);
void vgm_schedule_route_limits(struct vgm_schedule *); /* asks for all connections anew */
void vgm_schedule_routes_release(struct vgm_schedule *);

/* ---- schedule_store.c ---- */
struct vgm_schedule_entry *vgm_schedule_find(const struct vgm_schedule *, const uint8_t record[16]);
/* The new entry stands in the tables, its groups IDLE. NULL: a route's name is too long. */
struct vgm_schedule_entry *vgm_schedule_store(
    struct vgm_schedule *, const struct vgm_schedule_message *);
/* Its groups must be unplaced. Flights of it go on without a group. */
void vgm_schedule_forget(struct vgm_schedule *, struct vgm_schedule_entry *);
void vgm_schedule_flight_open(struct vgm_schedule *, struct vgm_schedule_group *);
struct vgm_schedule_flight *vgm_schedule_flight_find(struct vgm_schedule *, uint64_t delivery);
void vgm_schedule_flight_close(struct vgm_schedule *, struct vgm_schedule_flight *);

#endif
