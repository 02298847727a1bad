/* SPDX-License-Identifier: EUPL-1.2
 * role/ledgerd_snapshot.c — the schedule as a file: which messages are queued,
 * where they are, how often each recipient was tried, which notices are due.
 * No personal data: addresses and routes are read again from the records.
 *
 * It speaks for one synced place of the ledger; replay goes on from there. A
 * missing or damaged one only makes the replay longer.
 *
 *	"VGMSCHED" u16 version, u16 0, u32 entity
 *	u64 segment, offset, tree size, running time ms, ledger time us
 *	u32 messages, u32 notices
 *	message: record id 16, u64 segment, offset, accepted ms, expire ms,
 *	         u8 held | warned << 1, u32 recipients, u32 attempts of each
 *	notice:  failure id 16, u64 segment, offset
 *	SHA-256 over all before */
#include "role/ledgerd.h"

#include "base/clock.h"
#include "ledger/bytes.h"
#include "ledger/hash.h"
#include "os/file.h"

#define VERSION 1
#define HEADER_BYTES 64u
#define MESSAGE_BYTES 53u
#define NOTICE_BYTES 32u
#define SNAPSHOT_MAX ((size_t)1 << 30)
#define EVERY_RECORDS 10000
static const char magic[] = "VGMSCHED";

/* ---- writing ---- */

struct output {
	struct vgm_buf bytes;
	uint32_t messages;
};

static void put(struct vgm_buf *out, uint64_t value, size_t bytes)
{
	uint8_t be[8];
	vgm_put_be(be, value, bytes);
	VGM_BUG_ON(vgm_buf_add(out, be, bytes) < 0);
}

static void put_message(
    void *context, const struct vgm_schedule_message *m, const uint32_t *attempts)
{
	struct output *o = context;
	VGM_BUG_ON(vgm_buf_add(&o->bytes, m->record, sizeof m->record) < 0);
	put(&o->bytes, m->segment, 8);
	put(&o->bytes, m->offset, 8);
	put(&o->bytes, m->accepted_ms, 8);
	put(&o->bytes, m->expire_ms, 8);
	put(&o->bytes, (uint64_t)m->held | (uint64_t)m->warned << 1, 1);
	put(&o->bytes, m->recipients_count, 4);
	for (size_t i = 0; i < m->recipients_count; i++)
		put(&o->bytes, attempts[i], 4);
	o->messages++;
}

static void encode(struct vgm_ledgerd *l, struct output *o)
{
	struct vgm_ledger_place place = vgm_writer_synced_place(l->writer);
	uint8_t hash[32];
	VGM_BUG_ON(vgm_buf_add(&o->bytes, magic, 8) < 0);
	put(&o->bytes, VERSION, 2);
	put(&o->bytes, 0, 2);
	put(&o->bytes, l->run->conf.entity, 4);
	put(&o->bytes, place.segment, 8);
	put(&o->bytes, place.offset, 8);
	put(&o->bytes, vgm_writer_synced_size(l->writer), 8);
	put(&o->bytes, vgm_ledgerd_run_ms(l), 8);
	put(&o->bytes, vgm_writer_now_us(l->writer), 8);
	put(&o->bytes, 0, 4);
	put(&o->bytes, l->notices_count, 4);
	vgm_schedule_each(l->schedule, put_message, o);
	vgm_put_be(o->bytes.data + HEADER_BYTES - 8, o->messages, 4);
	for (const struct vgm_ledgerd_notice *n = l->notices; n; n = n->next) {
		VGM_BUG_ON(vgm_buf_add(&o->bytes, n->failure, sizeof n->failure) < 0);
		put(&o->bytes, n->place.segment, 8);
		put(&o->bytes, n->place.offset, 8);
	}
	vgm_hash(vgm_buf_slice(&o->bytes), hash);
	VGM_BUG_ON(vgm_buf_add(&o->bytes, hash, sizeof hash) < 0);
}

bool vgm_ledgerd_snapshot_write(struct vgm_ledgerd *l)
{
	struct output o = {.bytes = VGM_BUF_INIT(SNAPSHOT_MAX)};
	struct vgm_err err = {.code = 0};
	/* What the schedule has learned must be what the ledger has. */
	if (l->replay || vgm_writer_fault(l->writer) || l->facts || l->pending_count ||
	    !vgm_writer_is_synced(l->writer))
		return false;
	encode(l, &o);
	if (vgm_file_replace_at(
		l->run->extra_fd, VGM_LEDGER_SCHEDULE, vgm_buf_slice(&o.bytes), 0600, &err) < 0)
		vgm_ledgerd_log(VGM_LOG_WARNING, "snapshot_not_written", &err);
	vgm_buf_release(&o.bytes);
	l->snapshot_size = vgm_writer_synced_size(l->writer);
	l->snapshot_segment = vgm_writer_synced_place(l->writer).segment;
	l->snapshot_ms = vgm_clock_mono_ms();
	return true;
}

void vgm_ledgerd_snapshot_consider(struct vgm_ledgerd *l)
{
	if (vgm_writer_synced_size(l->writer) - l->snapshot_size >= EVERY_RECORDS ||
	    vgm_writer_synced_place(l->writer).segment != l->snapshot_segment)
		(void)vgm_ledgerd_snapshot_write(l);
}

/* ---- reading ---- */

struct input {
	struct vgm_slice bytes;
	bool bad; /* sticky */
};

static const uint8_t *get(struct input *in, size_t len)
{
	if (in->bad || in->bytes.len < len) {
		in->bad = true;
		return NULL;
	}
	const uint8_t *p = in->bytes.data;
	in->bytes = vgm_slice_from(in->bytes, len);
	return p;
}

static uint64_t get_number(struct input *in, size_t bytes)
{
	const uint8_t *p = get(in, bytes);
	return p ? vgm_get_be(p, bytes) : 0;
}

static void get_id(struct input *in, uint8_t out[16])
{
	const uint8_t *p = get(in, 16);
	if (p)
		memcpy(out, p, 16);
}

static struct vgm_ledger_place get_place(struct input *in)
{
	uint64_t segment = get_number(in, 8);
	return (struct vgm_ledger_place){segment, get_number(in, 8)};
}

static void get_queued(struct input *in, struct vgm_ledgerd_queued *q, uint32_t **attempts)
{
	get_id(in, q->record);
	q->place = get_place(in);
	q->accepted_ms = get_number(in, 8);
	q->expire_ms = get_number(in, 8);
	uint64_t flags = get_number(in, 1);
	q->held = flags & 1;
	q->warned = flags >> 1 & 1;
	q->attempts_count = (size_t)get_number(in, 4);
	q->attempts = *attempts;
	if (q->attempts_count > in->bytes.len / 4)
		in->bad = true;
	for (size_t i = 0; !in->bad && i < q->attempts_count; i++)
		*(*attempts)++ = (uint32_t)get_number(in, 4);
}

static void get_all(struct input *in, struct vgm_ledgerd_snapshot *s)
{
	/* Every element is longer than its share of what follows here. */
	s->queued = vgm_alloc((s->queued_count + 1) * sizeof *s->queued);
	s->notices = vgm_alloc((s->notices_count + 1) * sizeof *s->notices);
	s->attempts = vgm_alloc(in->bytes.len + 4);
	uint32_t *attempts = s->attempts;
	for (size_t i = 0; !in->bad && i < s->queued_count; i++)
		get_queued(in, &s->queued[i], &attempts);
	for (size_t i = 0; !in->bad && i < s->notices_count; i++) {
		get_id(in, s->notices[i].failure);
		s->notices[i].place = get_place(in);
	}
}

static int decode(struct vgm_slice bytes, struct vgm_ledgerd_snapshot *out, struct vgm_err *err)
{
	struct input in = {vgm_slice_sub(bytes, 16, bytes.len - 32), false};
	struct vgm_ledgerd_snapshot s = {.queued = NULL};
	uint8_t hash[32];
	if (bytes.len < HEADER_BYTES + 32 || memcmp(bytes.data, magic, 8) != 0)
		return vgm_err_set(err, VGM_E_CORRUPT, "the schedule's file is none");
	vgm_hash(vgm_slice_sub(bytes, 0, bytes.len - 32), hash);
	if (memcmp(hash, bytes.data + bytes.len - 32, 32) != 0)
		return vgm_err_set(err, VGM_E_CORRUPT, "the schedule's file is damaged");
	if (vgm_get_be(bytes.data + 8, 2) != VERSION)
		return vgm_err_set(err, VGM_E_VERSION, "a schedule's file of another version");
	s.place = get_place(&in);
	s.tree_size = get_number(&in, 8);
	s.run_ms = get_number(&in, 8);
	s.time_us = get_number(&in, 8);
	s.queued_count = (size_t)get_number(&in, 4);
	s.notices_count = (size_t)get_number(&in, 4);
	if (s.queued_count > in.bytes.len / MESSAGE_BYTES ||
	    s.notices_count > in.bytes.len / NOTICE_BYTES)
		return vgm_err_set(err, VGM_E_CORRUPT, "the schedule's file is cut");
	get_all(&in, &s);
	if (in.bad || in.bytes.len) {
		vgm_ledgerd_snapshot_release(&s);
		return vgm_err_set(err, VGM_E_CORRUPT, "the schedule's file is malformed");
	}
	*out = s;
	return 0;
}

int vgm_ledgerd_snapshot_read(int dir_fd, struct vgm_ledgerd_snapshot *out, struct vgm_err *err)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf bytes = VGM_BUF_INIT(SNAPSHOT_MAX);
	int r = vgm_file_read_at(dir_fd, VGM_LEDGER_SCHEDULE, &bytes, err);
	return r < 0 ? r : decode(vgm_buf_slice(&bytes), out, err);
}

void vgm_ledgerd_snapshot_release(struct vgm_ledgerd_snapshot *s)
{
	vgm_free(s->queued);
	vgm_free(s->notices);
	vgm_free(s->attempts);
	*s = (struct vgm_ledgerd_snapshot){.queued = NULL};
}
