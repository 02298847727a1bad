/* SPDX-License-Identifier: EUPL-1.2
 * role/ledgerd_fact.c — ledgerd's own records. A fact stays in memory until its
 * record is durable: a write that fails, or a sync that takes written batches
 * away, only means that it is written once more. They may use the reserve. */
#include "role/ledgerd.h"

#include "base/clock.h"
#include "base/secret.h"
#include "ipc/codec.h"
#include "ledger/seal.h"

#define DAY_US 86400000000ull

struct vgm_ledgerd_fact *vgm_ledgerd_fact_new(struct vgm_ledgerd *l, enum vgm_record_type type,
    const uint8_t *related, enum vgm_msg_type facts, const void *message)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf plain = VGM_BUF_INIT(VGM_MSG_MAX_BYTES);
	struct vgm_ledgerd_fact *f = vgm_alloc(sizeof *f);
	/* What is in it came in one datagram, or is shorter. */
	VGM_BUG_ON(vgm_msg_encode(facts, message, &plain, NULL, NULL) < 0);
	f->type = (uint8_t)type;
	vgm_random(f->id, sizeof f->id);
	if (related)
		memcpy(f->related, related, sizeof f->related);
	f->plain = vgm_alloc(plain.len);
	f->plain_len = plain.len;
	memcpy(f->plain, plain.data, plain.len);
	*l->facts_end = f;
	l->facts_end = &f->next;
	vgm_ledgerd_again(l);
	return f;
}

/* Today's key; until it is here, the last one that was. */
static const uint8_t *own_key(struct vgm_ledgerd *l)
{
	uint32_t today = (uint32_t)(vgm_clock_wall_us() / DAY_US);
	const uint8_t *key = vgm_ledgerd_key(l, today);
	if (key)
		l->own_day = today;
	else if (l->own_day)
		key = vgm_ledgerd_key(l, l->own_day);
	return key;
}

static int write_fact(
    struct vgm_ledgerd *l, struct vgm_ledgerd_fact *f, const uint8_t *key, struct vgm_err *err)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf sealed = VGM_BUF_INIT(2 * VGM_MSG_MAX_BYTES);
	struct vgm_writer_record in = {.may_use_reserve = true};
	struct vgm_seal_name name = {.key = key,
	    .id = f->id,
	    .entity = (uint32_t)l->run->conf.entity,
	    .part = VGM_PART_ROUTING};
	int r = vgm_seal(&name, vgm_slice(f->plain, f->plain_len), &sealed, err);
	if (r < 0)
		return r;
	in.record.type = f->type;
	in.record.conf_version = l->run->conf_version;
	in.record.day = l->own_day;
	memcpy(in.record.id, f->id, sizeof f->id);
	memcpy(in.record.related, f->related, sizeof f->related);
	in.record.part[VGM_PART_ROUTING].plain = f->plain_len;
	in.part[VGM_PART_ROUTING] = vgm_buf_slice(&sealed);
	r = vgm_writer_append(l->writer, &in, &f->place, err);
	if (r < 0)
		return r;
	f->written = true;
	f->sequence = in.record.sequence;
	l->bytes += vgm_record_bytes(&in.record);
	vgm_ledgerd_leaf(l, in.leaf);
	return 0;
}

bool vgm_ledgerd_facts_wait(const struct vgm_ledgerd *l)
{
	for (const struct vgm_ledgerd_fact *f = l->facts; f; f = f->next)
		if (!f->written)
			return true;
	return false;
}

bool vgm_ledgerd_facts_write(struct vgm_ledgerd *l)
{
	struct vgm_err err = {.code = 0};
	if (!vgm_ledgerd_facts_wait(l))
		return true;
	const uint8_t *key = vgm_writer_fault(l->writer) ? NULL : own_key(l);
	if (!key)
		return false;
	for (struct vgm_ledgerd_fact *f = l->facts; f; f = f->next) {
		if (f->written || write_fact(l, f, key, &err) == 0)
			continue;
		vgm_ledgerd_log(VGM_LOG_ERROR, "fact_not_written", &err);
		vgm_ledgerd_settle(l);
		return false;
	}
	return true;
}

void vgm_ledgerd_facts_framed(struct vgm_ledgerd *l)
{
	for (struct vgm_ledgerd_fact *f = l->facts; f; f = f->next) {
		if (!f->written || f->told)
			continue;
		f->told = true;
		if (f->on_written)
			f->on_written(l, f);
	}
}

void vgm_ledgerd_facts_settle(struct vgm_ledgerd *l)
{
	struct vgm_ledgerd_fact **at = &l->facts, *f;
	while ((f = *at)) {
		if (f->written && f->sequence >= vgm_writer_size(l->writer))
			f->written = false;
		if (!f->written || f->sequence >= vgm_writer_synced_size(l->writer)) {
			at = &f->next;
			continue;
		}
		/* A sync may come before the round's own frame was looked at. */
		if (!f->told && f->on_written)
			f->on_written(l, f);
		*at = f->next;
		if (!*at)
			l->facts_end = at;
		if (f->on_synced)
			f->on_synced(l, f);
		vgm_free(f->plain);
		vgm_free(f);
	}
}
