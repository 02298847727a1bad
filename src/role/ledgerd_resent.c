/* SPDX-License-Identifier: EUPL-1.2
 * role/ledgerd_resent.c — see ledgerd_resent.h. A ring, searched from end to end:
 * it is empty unless something crashed. */
#include "role/ledgerd_resent.h"

#define KEPT_MS (24u * 3600 * 1000)
#define FINGERPRINT_BYTES 32

struct doubtful {
	uint8_t fingerprint[FINGERPRINT_BYTES];
	uint8_t id[16];
	uint64_t at_ms;
};

struct vgm_resent {
	struct doubtful *ring; /* taken when the first comes */
	size_t count, next;
};

struct vgm_resent *vgm_resent_new(void)
{
	return vgm_alloc(sizeof(struct vgm_resent));
}

void vgm_resent_free(struct vgm_resent **r)
{
	if (!*r)
		return;
	vgm_free((*r)->ring);
	vgm_free(*r);
	*r = NULL;
}

void vgm_resent_add(
    struct vgm_resent *r, const uint8_t *fingerprint, const uint8_t id[16], uint64_t now_ms)
{
	static const uint8_t zeros[FINGERPRINT_BYTES];
	if (memcmp(fingerprint, zeros, sizeof zeros) == 0)
		return;
	if (!r->ring)
		r->ring = vgm_alloc(VGM_RESENT_MAX * sizeof *r->ring);
	struct doubtful *d = &r->ring[r->next];
	memcpy(d->fingerprint, fingerprint, sizeof d->fingerprint);
	memcpy(d->id, id, sizeof d->id);
	d->at_ms = now_ms;
	r->next = (r->next + 1) % VGM_RESENT_MAX;
	if (r->count < VGM_RESENT_MAX)
		r->count++;
}

bool vgm_resent_find(
    const struct vgm_resent *r, const uint8_t *fingerprint, uint64_t now_ms, uint8_t out_id[16])
{
	for (size_t i = 0; i < r->count; i++) {
		const struct doubtful *d = &r->ring[i];
		if (memcmp(d->fingerprint, fingerprint, sizeof d->fingerprint) != 0 ||
		    now_ms - d->at_ms > KEPT_MS)
			continue;
		memcpy(out_id, d->id, sizeof d->id);
		return true;
	}
	return false;
}
