/* SPDX-License-Identifier: EUPL-1.2
 * queue/schedule_route.c — routes: their table, their line of ready groups, the
 * ring in which they take turns, pause and slow start.
 *
 * A route stands in the ring exactly when it has a ready group, a free
 * connection in its window, and is not paused. Names come from strangers'
 * domains, so the table is keyed (SipHash). */
#include "queue/schedule_parts.h"

#include <sodium.h>

static size_t bucket(const struct vgm_schedule *s, struct vgm_slice name)
{
	uint8_t h[crypto_shorthash_BYTES];
	uint64_t n;

	crypto_shorthash(h, name.data, name.len, s->hash_key);
	memcpy(&n, h, sizeof(n));
	return (size_t)n & (s->route_buckets - 1);
}

static struct vgm_slice name_of(const struct vgm_schedule_route *r)
{
	return vgm_slice(r->name, r->name_len);
}

static void grow(struct vgm_schedule *s)
{
	struct vgm_schedule_route **old = s->routes;
	size_t old_buckets = s->route_buckets;

	s->route_buckets = old_buckets ? 2 * old_buckets : 64;
	s->routes = vgm_alloc(s->route_buckets * sizeof(*s->routes));
	for (size_t i = 0; i < old_buckets; i++) {
		for (struct vgm_schedule_route *r = old[i], *next; r; r = next) {
			size_t b = bucket(s, name_of(r));

			next = r->hash_next;
			r->hash_next = s->routes[b];
			s->routes[b] = r;
		}
	}
	vgm_free(old);
}

static size_t connections(const struct vgm_schedule *s, struct vgm_slice name)
{
	size_t n = s->limits.connections ? s->limits.connections(s->limits.context, name) : 1;

	return n ? n : 1;
}

static struct vgm_schedule_route *make(struct vgm_slice name)
{
	struct vgm_schedule_route *r = vgm_alloc(sizeof(*r) + name.len);

	r->name_len = (uint16_t)name.len;
	if (name.len)
		memcpy(r->name, name.data, name.len);
	return r;
}

static struct vgm_schedule_route *never(struct vgm_schedule_route **at, struct vgm_slice name)
{
	if (!*at) {
		*at = make(name);
		(*at)->never = true;
	}
	return *at;
}

struct vgm_schedule_route *vgm_schedule_route_get(struct vgm_schedule *s, struct vgm_slice name)
{
	if (vgm_slice_eq(name, VGM_SLICE_LIT("hold")))
		return never(&s->never_hold, name);
	if (vgm_slice_eq(name, VGM_SLICE_LIT("refuse")))
		return never(&s->never_refuse, name);
	if (s->route_count >= s->route_buckets)
		grow(s);
	size_t b = bucket(s, name);
	for (struct vgm_schedule_route *r = s->routes[b]; r; r = r->hash_next)
		if (vgm_slice_eq(name_of(r), name))
			return r;
	struct vgm_schedule_route *r = make(name);
	r->connections = r->window = connections(s, name);
	r->hash_next = s->routes[b];
	s->routes[b] = r;
	s->route_count++;
	return r;
}

void vgm_schedule_route_put(struct vgm_schedule *s, struct vgm_schedule_route *r)
{
	if (r->never || r->groups || r->in_flight)
		return;
	vgm_schedule_route_settle(s, r);
	vgm_heap_remove(&s->pauses, &r->pause);
	struct vgm_schedule_route **at = &s->routes[bucket(s, name_of(r))];
	while (*at != r)
		at = &(*at)->hash_next;
	*at = r->hash_next;
	s->route_count--;
	vgm_free(r);
}

void vgm_schedule_route_settle(struct vgm_schedule *s, struct vgm_schedule_route *r)
{
	bool can = r->ready_first && r->in_flight < r->window && !vgm_heap_has(&r->pause);

	if (can == r->in_ring)
		return;
	r->in_ring = can;
	if (!can) {
		r->ring_prev->ring_next = r->ring_next;
		r->ring_next->ring_prev = r->ring_prev;
		if (s->ring == r)
			s->ring = r->ring_next != r ? r->ring_next : NULL;
	} else if (!s->ring) {
		s->ring = r->ring_prev = r->ring_next = r;
	} else {
		r->ring_next = s->ring;
		r->ring_prev = s->ring->ring_prev;
		r->ring_prev->ring_next = r->ring_next->ring_prev = r;
	}
}

void vgm_schedule_route_push(struct vgm_schedule_group *g, bool front)
{
	struct vgm_schedule_route *r = g->route;

	g->ready_prev = front ? NULL : r->ready_last;
	g->ready_next = front ? r->ready_first : NULL;
	*(g->ready_prev ? &g->ready_prev->ready_next : &r->ready_first) = g;
	*(g->ready_next ? &g->ready_next->ready_prev : &r->ready_last) = g;
}

void vgm_schedule_route_take(struct vgm_schedule_group *g)
{
	struct vgm_schedule_route *r = g->route;

	*(g->ready_prev ? &g->ready_prev->ready_next : &r->ready_first) = g->ready_next;
	*(g->ready_next ? &g->ready_next->ready_prev : &r->ready_last) = g->ready_prev;
}

void vgm_schedule_route_down(struct vgm_schedule *s, struct vgm_schedule_route *r, uint64_t now_ms)
{
	/* Deliveries that were under way together fail together: one outage. */
	if (vgm_heap_has(&r->pause))
		return;
	r->outages++;
	r->window = 1;
	vgm_heap_set(
	    &s->pauses, &r->pause, vgm_schedule_plus(now_ms, vgm_schedule_backoff(s, r->outages)));
	vgm_schedule_route_settle(s, r);
}

void vgm_schedule_route_up(struct vgm_schedule *s, struct vgm_schedule_route *r)
{
	r->outages = 0;
	r->window = vgm_min_size(2 * r->window, r->connections);
	vgm_heap_remove(&s->pauses, &r->pause);
	vgm_schedule_route_settle(s, r);
}

void vgm_schedule_route_limits(struct vgm_schedule *s)
{
	for (size_t i = 0; i < s->route_buckets; i++) {
		for (struct vgm_schedule_route *r = s->routes[i]; r; r = r->hash_next) {
			bool full = r->window == r->connections;

			r->connections = connections(s, name_of(r));
			r->window = full ? r->connections : vgm_min_size(r->window, r->connections);
			vgm_schedule_route_settle(s, r);
		}
	}
}

void vgm_schedule_routes_release(struct vgm_schedule *s)
{
	for (size_t i = 0; i < s->route_buckets; i++) {
		for (struct vgm_schedule_route *r = s->routes[i], *next; r; r = next) {
			next = r->hash_next;
			vgm_free(r);
		}
	}
	vgm_free(s->routes);
	vgm_free(s->never_hold);
	vgm_free(s->never_refuse);
}
