/* SPDX-License-Identifier: EUPL-1.2
 * queue/schedule_store.c — messages in memory: table by record id, order of
 * arrival, groups, and the slots of deliveries in flight. */
#include "queue/schedule_parts.h"

#include <sodium.h>

static size_t bucket(const struct vgm_schedule *s, const uint8_t record[16])
{
	uint8_t h[crypto_shorthash_BYTES];
	uint64_t n;

	crypto_shorthash(h, record, 16, s->hash_key);
	memcpy(&n, h, sizeof(n));
	return (size_t)n & (s->entry_buckets - 1);
}

static void grow(struct vgm_schedule *s)
{
	vgm_free(s->entries);
	s->entry_buckets = s->entry_buckets ? 2 * s->entry_buckets : 256;
	s->entries = vgm_alloc(s->entry_buckets * sizeof(struct vgm_schedule_entry *));
	for (struct vgm_schedule_entry *e = s->first; e; e = e->next) {
		size_t b = bucket(s, e->record);

		e->hash_next = s->entries[b];
		s->entries[b] = e;
	}
}

struct vgm_schedule_entry *vgm_schedule_find(const struct vgm_schedule *s, const uint8_t record[16])
{
	if (!s->entry_buckets)
		return NULL;
	for (struct vgm_schedule_entry *e = s->entries[bucket(s, record)]; e; e = e->hash_next)
		if (memcmp(e->record, record, 16) == 0)
			return e;
	return NULL;
}

/* What a recipient takes in a message between processes. */
static uint32_t bytes_of(const struct vgm_recipient *r)
{
	return (uint32_t)(r->address.len + r->route.len + r->orcpt.len + r->reason.len + 18);
}

/* Fills s->plan; returns how many groups. */
static uint32_t plan_groups(struct vgm_schedule *s, const struct vgm_schedule_message *m)
{
	uint32_t groups = 0;

	for (size_t i = 0; i < m->recipients_count; i++) {
		struct vgm_schedule_route *r = vgm_schedule_route_get(s, m->recipients[i].route);
		uint32_t bytes = bytes_of(&m->recipients[i]), g = groups;

		/* The latest group of a route is the one that may have room. */
		while (g > 0 && s->plan[g - 1].route != r)
			g--;
		if (g == 0 || s->plan[g - 1].count == VGM_SCHEDULE_GROUP_MAX ||
		    s->plan[g - 1].bytes + bytes > VGM_SCHEDULE_GROUP_BYTES) {
			s->plan[groups] = (struct vgm_schedule_plan){.route = r};
			g = ++groups;
		}
		s->plan[g - 1].count++;
		s->plan[g - 1].bytes += bytes;
		s->plan_of[i] = g - 1;
	}
	return groups;
}

static struct vgm_schedule_entry *allocate(uint32_t groups, uint32_t places)
{
	size_t head =
	    sizeof(struct vgm_schedule_entry) + groups * sizeof(struct vgm_schedule_group);
	struct vgm_schedule_entry *e =
	    vgm_alloc(head + places * (sizeof(struct vgm_schedule_place) + sizeof(uint32_t)));

	e->places = (struct vgm_schedule_place *)((uint8_t *)e + head);
	e->places_count = e->left = places;
	e->groups_count = groups;
	return e;
}

static void fill_groups(struct vgm_schedule *s, struct vgm_schedule_entry *e)
{
	uint32_t *indexes = (uint32_t *)(e->places + e->places_count);

	for (uint32_t g = 0; g < e->groups_count; g++) {
		e->groups[g].entry = e;
		e->groups[g].route = s->plan[g].route;
		e->groups[g].route->groups++;
		e->groups[g].indexes = indexes;
		indexes += s->plan[g].count;
	}
	for (uint32_t i = 0; i < e->places_count; i++) {
		struct vgm_schedule_group *g = &e->groups[s->plan_of[i]];

		e->places[i].group = s->plan_of[i];
		g->indexes[g->count++] = i;
	}
}

struct vgm_schedule_entry *vgm_schedule_store(
    struct vgm_schedule *s, const struct vgm_schedule_message *m)
{
	for (size_t i = 0; i < m->recipients_count; i++)
		if (m->recipients[i].route.len > VGM_SCHEDULE_ROUTE_BYTES)
			return NULL;
	uint32_t groups = plan_groups(s, m);
	struct vgm_schedule_entry *e = allocate(groups, (uint32_t)m->recipients_count);
	memcpy(e->record, m->record, 16);
	e->segment = m->segment;
	e->offset = m->offset;
	e->accepted_ms = e->held_ms = m->accepted_ms;
	e->expire_ms = m->expire_ms;
	e->held = m->held;
	fill_groups(s, e);

	e->prev = s->last;
	*(s->last ? &s->last->next : &s->first) = e;
	s->last = e;
	if (s->entry_count++ >= s->entry_buckets) {
		grow(s);
	} else {
		size_t b = bucket(s, e->record);

		e->hash_next = s->entries[b];
		s->entries[b] = e;
	}
	return e;
}

void vgm_schedule_forget(struct vgm_schedule *s, struct vgm_schedule_entry *e)
{
	struct vgm_schedule_entry **at = &s->entries[bucket(s, e->record)];

	while (*at != e)
		at = &(*at)->hash_next;
	*at = e->hash_next;
	*(e->prev ? &e->prev->next : &s->first) = e->next;
	*(e->next ? &e->next->prev : &s->last) = e->prev;
	s->entry_count--;
	for (uint32_t i = 0; i < e->groups_count; i++) {
		struct vgm_schedule_group *g = &e->groups[i];

		if (g->state == GROUP_FLYING)
			s->flights[g->slot].group = NULL;
		g->route->groups--;
		vgm_schedule_route_put(s, g->route);
	}
	vgm_free(e);
}

void vgm_schedule_flight_open(struct vgm_schedule *s, struct vgm_schedule_group *g)
{
	if (!s->free_slot) {
		size_t old = s->flights_count;

		s->flights_count = old ? 2 * old : 32;
		s->flights = vgm_realloc(s->flights, s->flights_count * sizeof(*s->flights));
		for (size_t i = s->flights_count; i > old; i--) {
			s->flights[i - 1] = (struct vgm_schedule_flight){.next_free = s->free_slot};
			s->free_slot = (uint32_t)i;
		}
	}
	g->slot = s->free_slot - 1;
	struct vgm_schedule_flight *f = &s->flights[g->slot];
	s->free_slot = f->next_free;
	/* The low half finds the slot, the high half tells its users apart. */
	f->delivery = ++s->deliveries << 32 | g->slot;
	f->group = g;
	f->route = g->route;
	f->route->in_flight++;
	s->flying++;
}

struct vgm_schedule_flight *vgm_schedule_flight_find(struct vgm_schedule *s, uint64_t delivery)
{
	size_t slot = (size_t)(delivery & UINT32_MAX);

	if (slot >= s->flights_count || !delivery || s->flights[slot].delivery != delivery)
		return NULL;
	return &s->flights[slot];
}

void vgm_schedule_flight_close(struct vgm_schedule *s, struct vgm_schedule_flight *f)
{
	f->route->in_flight--;
	s->flying--;
	*f = (struct vgm_schedule_flight){.next_free = s->free_slot};
	s->free_slot = (uint32_t)(f - s->flights) + 1;
}
