/* SPDX-License-Identifier: EUPL-1.2
 * role/strikes.c — see strikes.h. */
#include "role/strikes.h"

#define DAY_S 86400u
#define HOUR_S 3600u
#define MAGIC "VGMSTRK1"
#define ROW_BYTES (32 + 8 + 16 + 8)

static bool within(const struct vgm_strike *s, uint64_t now_s, uint64_t age_s)
{
	/* A clock that went back makes strikes young, not old. */
	return s->at_s + age_s > now_s;
}

void vgm_strikes_add(struct vgm_strikes *t, const struct vgm_strike *fresh)
{
	size_t kept = 0;
	for (size_t i = 0; i < t->count; i++)
		if (within(&t->strike[i], fresh->at_s, DAY_S))
			t->strike[kept++] = t->strike[i];
	if (kept == VGM_STRIKES_KEPT) {
		memmove(t->strike, t->strike + 1, (kept - 1) * sizeof *t->strike);
		kept--;
	}
	t->strike[kept] = *fresh;
	t->count = kept + 1;
}

size_t vgm_strikes_of_body(const struct vgm_strikes *t, const uint8_t sha256[32], uint64_t now_s)
{
	size_t n = 0;
	for (size_t i = 0; i < t->count; i++)
		n += within(&t->strike[i], now_s, DAY_S) &&
		    memcmp(t->strike[i].body_sha256, sha256, 32) == 0;
	return n;
}

size_t vgm_strikes_of_network(
    const struct vgm_strikes *t, const uint8_t network[16], uint64_t now_s)
{
	size_t n = 0;
	for (size_t i = 0; i < t->count; i++)
		n += within(&t->strike[i], now_s, HOUR_S) &&
		    memcmp(t->strike[i].network, network, 16) == 0;
	return n;
}

static void put_u64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (56 - 8 * i));
}

static uint64_t get_u64(const uint8_t *p)
{
	uint64_t v = 0;
	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

int vgm_strikes_write(const struct vgm_strikes *t, struct vgm_buf *out)
{
	int r = vgm_buf_add_str(out, MAGIC);
	for (size_t i = 0; r == 0 && i < t->count; i++) {
		uint8_t row[ROW_BYTES];
		memcpy(row, t->strike[i].body_sha256, 32);
		put_u64(row + 32, t->strike[i].body_size);
		memcpy(row + 40, t->strike[i].network, 16);
		put_u64(row + 56, t->strike[i].at_s);
		r = vgm_buf_add(out, row, sizeof row);
	}
	return r;
}

int vgm_strikes_read(struct vgm_slice in, struct vgm_strikes *out, struct vgm_err *err)
{
	struct vgm_slice magic = VGM_SLICE_LIT(MAGIC);
	if (!vgm_slice_eq(vgm_slice_sub(in, 0, magic.len), magic))
		return vgm_err_set(err, VGM_E_VERSION, "not a strike file of this version");
	struct vgm_slice rows = vgm_slice_from(in, magic.len);
	if (rows.len % ROW_BYTES || rows.len / ROW_BYTES > VGM_STRIKES_KEPT)
		return vgm_err_set(err, VGM_E_CORRUPT, "a cut strike file");
	out->count = rows.len / ROW_BYTES;
	for (size_t i = 0; i < out->count; i++) {
		const uint8_t *row = rows.data + i * ROW_BYTES;
		memcpy(out->strike[i].body_sha256, row, 32);
		out->strike[i].body_size = get_u64(row + 32);
		memcpy(out->strike[i].network, row + 40, 16);
		out->strike[i].at_s = get_u64(row + 56);
	}
	return 0;
}
