/* SPDX-License-Identifier: EUPL-1.2
 * role/viewd_keys.c — see viewd_keys.h. A fixed table in locked memory. */
#include "role/viewd_keys.h"

#include "base/secret.h"

#define KEYS_MAX 64 /* days; a rebuild goes through them in order */

struct slot {
	uint32_t day;
	uint32_t state; /* enum vgm_viewd_key; UNKNOWN = free */
	uint8_t key[32];
};

struct vgm_viewd_keys {
	struct vgm_secret memory; /* KEYS_MAX slots */
	size_t next;		  /* to be replaced */
};

static struct slot *slots(const struct vgm_viewd_keys *keys)
{
	return (struct slot *)(void *)keys->memory.data; /* a page: aligned for anything */
}

struct vgm_viewd_keys *vgm_viewd_keys_new(void)
{
	struct vgm_viewd_keys *keys = vgm_alloc(sizeof *keys);
	vgm_secret_init(&keys->memory, KEYS_MAX * sizeof(struct slot));
	return keys;
}

void vgm_viewd_keys_free(struct vgm_viewd_keys **keys)
{
	if (!*keys)
		return;
	vgm_secret_release(&(*keys)->memory);
	vgm_free(*keys);
	*keys = NULL;
}

static struct slot *find(const struct vgm_viewd_keys *keys, uint32_t day)
{
	for (size_t i = 0; i < KEYS_MAX; i++)
		if (slots(keys)[i].state != VGM_VIEWD_KEY_UNKNOWN && slots(keys)[i].day == day)
			return &slots(keys)[i];
	return NULL;
}

enum vgm_viewd_key vgm_viewd_keys_get(
    const struct vgm_viewd_keys *keys, uint32_t day, const uint8_t **out_key)
{
	const struct slot *slot = find(keys, day);
	if (!slot)
		return VGM_VIEWD_KEY_UNKNOWN;
	if (slot->state == VGM_VIEWD_KEY_HERE)
		*out_key = slot->key;
	return (enum vgm_viewd_key)slot->state;
}

void vgm_viewd_keys_set(
    struct vgm_viewd_keys *keys, uint32_t day, enum vgm_viewd_key state, const uint8_t *key)
{
	struct slot *slot = find(keys, day);
	if (!slot) {
		slot = &slots(keys)[keys->next];
		keys->next = (keys->next + 1) % KEYS_MAX;
	}
	vgm_wipe(slot, sizeof *slot);
	slot->day = day;
	slot->state = (uint32_t)state;
	if (state == VGM_VIEWD_KEY_HERE)
		memcpy(slot->key, key, sizeof slot->key);
}

void vgm_viewd_keys_unask(struct vgm_viewd_keys *keys)
{
	for (size_t i = 0; i < KEYS_MAX; i++)
		if (slots(keys)[i].state == VGM_VIEWD_KEY_ASKED)
			slots(keys)[i].state = VGM_VIEWD_KEY_UNKNOWN;
}
