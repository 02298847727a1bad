/* SPDX-License-Identifier: EUPL-1.2
 * role/viewd_keys.h — the routing keys that keyd has lent, by day. */
#ifndef VGM_ROLE_VIEWD_KEYS_H
#define VGM_ROLE_VIEWD_KEYS_H

#include "base/base.h"

enum vgm_viewd_key {
	VGM_VIEWD_KEY_UNKNOWN = 0, /* ask for it */
	VGM_VIEWD_KEY_ASKED,
	VGM_VIEWD_KEY_HERE,
	VGM_VIEWD_KEY_CLOSED, /* keyd has destroyed it */
};

struct vgm_viewd_keys;
struct vgm_viewd_keys *vgm_viewd_keys_new(void);
void vgm_viewd_keys_free(struct vgm_viewd_keys **); /* wipes them */

/* *out_key (32 bytes, borrowed until the next set) only when HERE. */
enum vgm_viewd_key vgm_viewd_keys_get(
    const struct vgm_viewd_keys *, uint32_t day, const uint8_t **out_key);
/* key may be NULL unless HERE. The day that was set longest ago makes room. */
void vgm_viewd_keys_set(
    struct vgm_viewd_keys *, uint32_t day, enum vgm_viewd_key, const uint8_t *key);
/* keyd has gone: what was asked must be asked again. */
void vgm_viewd_keys_unask(struct vgm_viewd_keys *);

#endif
