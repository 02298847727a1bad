/* SPDX-License-Identifier: EUPL-1.2
 * role/filter_seal.c — the steps that several filter jobs share: keys, sealing,
 * opening. The record's key exists in this process for one message. */
#include "role/filter.h"

#include "base/clock.h"
#include "base/secret.h"
#include "os/memfd.h"

#include <unistd.h>

/* An inline body leaves room in the datagram for routing and head. */
#define INLINE_TOTAL_BYTES 60000u
#define KEYS_KEPT_MS 60000u

/* ---- keys ---- */

static int refill_keys(struct vgm_filter_worker *w, struct vgm_err *err)
{
	struct vgm_msg_wrap ask = {.count = VGM_FILTER_KEYS};
	int r = vgm_ipc_call(w->keyd_fd, VGM_MSG_wrap, &ask, VGM_MSG_wrapped, &w->answer,
	    w->deadline_ms, err);
	if (r < 0)
		return r;
	const struct vgm_msg_wrapped *got = w->answer.message;
	if (got->keys_count == 0 || got->keys_count > VGM_FILTER_KEYS)
		return vgm_err_set(err, VGM_E_CRYPTO, "keyd has no day key");
	memcpy(w->keys, got->keys, got->keys_count * sizeof *w->keys);
	w->keys_count = got->keys_count;
	w->keys_day = got->day;
	w->keys_until_ms = vgm_clock_mono_ms() + KEYS_KEPT_MS;
	vgm_received_clear(&w->answer); /* wipes them there */
	return 0;
}

int vgm_filter_take_key(struct vgm_filter_worker *w, struct vgm_wrapped_key *out, uint32_t *out_day,
    struct vgm_err *err)
{
	if (w->keys_count && vgm_clock_mono_ms() > w->keys_until_ms) {
		vgm_wipe(w->keys, sizeof w->keys);
		w->keys_count = 0;
	}
	int r = w->keys_count ? 0 : refill_keys(w, err);
	if (r < 0)
		return r;
	w->keys_count--;
	*out = w->keys[w->keys_count];
	*out_day = w->keys_day;
	vgm_wipe(&w->keys[w->keys_count], sizeof w->keys[0]);
	return 0;
}

int vgm_filter_unwrap(
    struct vgm_filter_worker *w, const uint8_t token[16], uint8_t out_key[32], struct vgm_err *err)
{
	struct vgm_msg_unwrap ask;
	memcpy(ask.token, token, sizeof ask.token);
	int r = vgm_ipc_call(w->keyd_fd, VGM_MSG_unwrap, &ask, VGM_MSG_unwrapped, &w->answer,
	    w->deadline_ms, err);
	if (r < 0)
		return r;
	struct vgm_msg_unwrapped *got = w->answer.message;
	if (!got->ok)
		return vgm_err_set(err, VGM_E_NOTFOUND, "no key for this job");
	memcpy(out_key, got->key, 32);
	vgm_received_clear(&w->answer); /* wipes it there */
	return 0;
}

/* ---- bytes that grow ---- */

void vgm_filter_spill_init(struct vgm_filter_spill *s, size_t small_max)
{
	*s = (struct vgm_filter_spill){.small_max = small_max, .fd = -1};
	vgm_buf_init(&s->small, small_max);
}

void vgm_filter_spill_release(struct vgm_filter_spill *s)
{
	vgm_buf_release(&s->small);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

int vgm_filter_spill_put(void *context, const uint8_t *data, size_t len)
{
	struct vgm_filter_spill *s = context;
	s->size += len;
	if (s->fd < 0 && vgm_buf_add(&s->small, data, len) == 0)
		return 0;
	if (s->fd < 0) {
		int r = vgm_memfd_new("vgm-record", &s->fd, NULL);
		if (r == 0)
			r = vgm_memfd_write(s->fd, s->small.data, s->small.len, NULL);
		if (r < 0)
			return r;
		vgm_buf_release(&s->small);
	}
	return vgm_memfd_write(s->fd, data, len, NULL);
}

int vgm_filter_spill_end(struct vgm_filter_spill *s, struct vgm_err *err)
{
	return s->fd >= 0 ? vgm_memfd_seal(s->fd, err) : 0;
}

/* ---- sealing ---- */

static int seal_head(const struct vgm_seal_name *name, struct vgm_msg_head head,
    const uint8_t salt[32], struct vgm_buf *out, struct vgm_err *err)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf plain = VGM_BUF_INIT(8000);
	memcpy(head.salt, salt, sizeof head.salt);
	int r = vgm_msg_encode(VGM_MSG_head, &head, &plain, NULL, err);
	return r < 0 ? r : vgm_seal(name, vgm_buf_slice(&plain), out, err);
}

/* Asks ledgerd and waits for the sync. */
static int append(struct vgm_filter_worker *w, const struct vgm_msg_append *m, uint8_t out_id[16],
    uint8_t *out_refusal, struct vgm_err *err)
{
	static const uint8_t none[16];
	int r = vgm_ipc_call(w->ledgerd_fd, VGM_MSG_append, m, VGM_MSG_appended, &w->answer,
	    w->deadline_ms, err);
	if (r < 0)
		return r;
	const struct vgm_msg_appended *got = w->answer.message;
	if (memcmp(got->id, m->id, sizeof got->id) != 0)
		return vgm_err_set(err, VGM_E_INVALID, "an answer for another record");
	bool first = memcmp(got->existing, none, sizeof none) == 0;
	memcpy(out_id, first ? m->id : got->existing, sizeof m->id);
	*out_refusal = got->ok ? 0 : got->why ? got->why : VGM_REFUSED_IO;
	return 0;
}

int vgm_filter_seal(struct vgm_filter_worker *w, const struct vgm_filter_record *rec,
    uint8_t out_id[16], uint8_t *out_refusal, struct vgm_err *err)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf routing = VGM_BUF_INIT(50000);
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf head = VGM_BUF_INIT(8192);
	VGM_CLEANUP(vgm_filter_spill_release) struct vgm_filter_spill body;
	struct vgm_wrapped_key key;
	uint8_t salt[32];
	struct vgm_msg_append m = {.type = rec->type,
	    .entity = (uint32_t)w->conf->entity,
	    .conf_version = rec->conf_version,
	    .company = rec->company,
	    .body_plain_size = rec->body.len,
	    .body_fd = -1};

	vgm_filter_spill_init(&body, 0);
	int r = vgm_filter_take_key(w, &key, &m.day, err);
	if (r < 0)
		return r;
	vgm_random(m.id, sizeof m.id);
	vgm_random(salt, sizeof salt);
	memcpy(m.wrap, key.wrap, sizeof m.wrap);
	if (rec->related)
		memcpy(m.related, rec->related, sizeof m.related);
	struct vgm_seal_name name = {.key = key.key, .id = m.id, .entity = m.entity};

	r = vgm_msg_encode(VGM_MSG_routing, &rec->routing, &routing, NULL, err);
	name.part = VGM_PART_HEAD;
	if (r == 0)
		r = seal_head(&name, rec->head, salt, &head, err);
	name.part = VGM_PART_BODY;
	if (r == 0) {
		vgm_filter_spill_init(&body,
		    vgm_min_size(50000, INLINE_TOTAL_BYTES - routing.len - head.len));
		r = vgm_seal_body(w->tools, &name, salt, rec->body, &m.body_packing, m.commitment,
		    vgm_filter_spill_put, &body, &m.body_size, err);
	}
	vgm_wipe(&key, sizeof key);
	if (r == 0)
		r = vgm_filter_spill_end(&body, err);
	if (r < 0)
		return r;
	m.routing = vgm_buf_slice(&routing);
	m.head = vgm_buf_slice(&head);
	m.body = vgm_buf_slice(&body.small);
	m.body_fd = body.fd;
	return append(w, &m, out_id, out_refusal, err);
}

/* ---- opening ---- */

int vgm_filter_open_head(int segment, uint64_t offset,
    const uint8_t id[16], const uint8_t key[32], struct vgm_record *record, struct vgm_buf *bytes,
    struct vgm_arena *arena, struct vgm_msg_head *out, struct vgm_err *err)
{
	int r = vgm_record_read(segment, offset, record, err);
	if (r < 0)
		return r;
	if (memcmp(record->id, id, sizeof record->id) != 0)
		return vgm_err_set(err, VGM_E_CORRUPT, "another record stands there");
	struct vgm_seal_name name = {
	    .key = key, .id = record->id, .entity = record->entity, .part = VGM_PART_HEAD};
	r = vgm_unseal_part(&name, record, segment, offset, bytes, err);
	if (r < 0)
		return r;
	return vgm_msg_decode(VGM_MSG_head, vgm_buf_slice(bytes), NULL, arena, out, err);
}
