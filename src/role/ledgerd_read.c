/* SPDX-License-Identifier: EUPL-1.2
 * role/ledgerd_read.c — see ledgerd.h: keys that keyd lends, segments that stay
 * open, routing parts in clear. */
#include "role/ledgerd.h"

#include <fcntl.h>
#include <unistd.h>

#include "ledger/seal.h"

const uint8_t *vgm_ledgerd_key(struct vgm_ledgerd *l, uint32_t day)
{
	const uint8_t *key = NULL;
	struct vgm_channel *keyd;
	struct vgm_msg_lend lend = {.kind = VGM_LENT_ROUTING, .day = day};
	switch (vgm_viewd_keys_get(l->keys, day, &key)) {
	case VGM_VIEWD_KEY_HERE:
		return key;
	case VGM_VIEWD_KEY_UNKNOWN:
		keyd = vgm_role_peer(l->run, VGM_ROLE_KEYD, VGM_INSTANCE_ONLY);
		if (keyd && vgm_channel_send(keyd, VGM_MSG_lend, &lend) == 0)
			vgm_viewd_keys_set(l->keys, day, VGM_VIEWD_KEY_ASKED, NULL);
		return NULL;
	case VGM_VIEWD_KEY_ASKED:
	case VGM_VIEWD_KEY_CLOSED:
		return NULL;
	}
	return NULL;
}

bool vgm_ledgerd_day_is_closed(struct vgm_ledgerd *l, uint32_t day)
{
	const uint8_t *key;
	return vgm_viewd_keys_get(l->keys, day, &key) == VGM_VIEWD_KEY_CLOSED;
}

int vgm_ledgerd_segment_fd(struct vgm_ledgerd *l, uint64_t number, struct vgm_err *err)
{
	struct vgm_ledgerd_segment *oldest = &l->segments[0];
	char name[VGM_SEGMENT_NAME_BYTES];
	for (size_t i = 0; i < VGM_ARRAY_LEN(l->segments); i++) {
		struct vgm_ledgerd_segment *s = &l->segments[i];
		if (s->number == number && s->number) {
			s->used = ++l->segments_used;
			return s->fd;
		}
		if (s->used < oldest->used)
			oldest = s;
	}
	vgm_segment_name(number, name);
	int fd = openat(l->run->extra_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		vgm_err_sys(err, "opening %s", name);
		return -1;
	}
	if (oldest->number)
		close(oldest->fd);
	*oldest = (struct vgm_ledgerd_segment){number, ++l->segments_used, fd};
	return fd;
}

int vgm_ledgerd_open(struct vgm_ledgerd *l, const struct vgm_record *record,
    struct vgm_slice sealed, enum vgm_msg_type type, void *out, struct vgm_err *err)
{
	const uint8_t *key = vgm_ledgerd_key(l, record->day);
	struct vgm_seal_name name = {
	    .key = key, .id = record->id, .entity = record->entity, .part = VGM_PART_ROUTING};
	if (!key)
		return vgm_ledgerd_day_is_closed(l, record->day)
			   ? vgm_err_set(err, VGM_E_NOTFOUND, "day %u is closed", record->day)
			   : vgm_err_set(
				 err, VGM_E_BUSY, "the key of day %u is not here yet", record->day);
	vgm_buf_clear(&l->plain);
	vgm_arena_clear(&l->arena);
	int r = vgm_unseal(&name, sealed, &l->plain, err);
	return r < 0 ? r
		     : vgm_msg_decode(type, vgm_buf_slice(&l->plain), NULL, &l->arena, out, err);
}

int vgm_ledgerd_read(struct vgm_ledgerd *l, struct vgm_ledger_place place, const uint8_t *id,
    struct vgm_record *out_record, enum vgm_msg_type type, void *out, struct vgm_err *err)
{
	struct vgm_record record;
	int fd = vgm_ledgerd_segment_fd(l, place.segment, err);
	if (fd < 0)
		return err ? err->code : VGM_E_IO;
	int r = vgm_record_read(fd, place.offset, &record, err);
	if (r < 0)
		return r;
	if (id && memcmp(record.id, id, sizeof record.id) != 0)
		return vgm_err_set(err, VGM_E_CORRUPT, "another record stands there");
	const uint8_t *key = vgm_ledgerd_key(l, record.day);
	if (!key)
		return vgm_ledgerd_open(l, &record, VGM_SLICE_NONE, type, out, err);
	struct vgm_seal_name name = {
	    .key = key, .id = record.id, .entity = record.entity, .part = VGM_PART_ROUTING};
	vgm_buf_clear(&l->plain);
	vgm_arena_clear(&l->arena);
	r = vgm_unseal_part(&name, &record, fd, place.offset, &l->plain, err);
	if (r == 0)
		r = vgm_msg_decode(type, vgm_buf_slice(&l->plain), NULL, &l->arena, out, err);
	if (r == 0)
		*out_record = record;
	return r;
}
