/* SPDX-License-Identifier: EUPL-1.2
 * role/filter_notify.c — a notice (DSN) about a message: opened, composed by
 * queue/dsn.c, sealed like any mail, related to the record of the failure, so
 * that a crash neither loses nor doubles it (rule 13). */
#include "role/filter.h"

#include "base/clock.h"
#include "base/secret.h"
#include "mime/head.h"
#include "policy/policy.h"
#include "queue/dsn.h"

#define ORIGINAL_MAX_BYTES (256u << 10) /* of the original's front: its header */
#define NOTICE_MAX_BYTES (1u << 20)

/* Takes the front of the original and has the rest go by. */
static int keep_front(void *context, const uint8_t *data, size_t len)
{
	struct vgm_buf *front = context;
	size_t room = front->ceiling - front->len;
	return vgm_buf_add(front, data, vgm_min_size(room, len));
}

/* The original's first bytes; nothing when it cannot be opened any more: a
 * notice without the header is better than none. */
static int open_front(struct vgm_filter_worker *w, const struct vgm_msg_notify *m,
    struct vgm_buf *front, struct vgm_err *err)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf bytes = VGM_BUF_INIT(16384);
	struct vgm_record record;
	struct vgm_msg_head head;
	uint8_t key[32];
	int r = vgm_filter_unwrap(w, m->token, key, err);
	if (r < 0)
		return r == VGM_E_NOTFOUND ? 0 : r;
	r = vgm_filter_open_head(m->segment, m->record_offset, m->record, key, &record, &bytes,
	    &w->job.arena, &head, err);
	if (r == 0) {
		struct vgm_seal_name name = {
		    .key = key, .id = record.id, .entity = record.entity, .part = VGM_PART_BODY};
		r = vgm_unseal_body(w->tools, &name, &record, m->segment, m->record_offset,
		    head.salt, keep_front, front, err);
	}
	vgm_wipe(key, sizeof key);
	if (r < 0)
		vgm_buf_clear(front);
	return 0;
}

static int compose(const struct vgm_filter_worker *w, const struct vgm_msg_notify *m,
    struct vgm_slice original, uint64_t now_us, struct vgm_buf *out, struct vgm_err *err)
{
	enum vgm_lang lang = VGM_FR;
	(void)vgm_lang_parse(w->conf->language, &lang);
	struct vgm_dsn dsn = {.action = (enum vgm_dsn_action)m->action, .language = lang,
	    .hostname = w->conf->hostname, .postmaster = w->conf->postmaster,
	    .phone = w->conf->phone, .sender = m->sender, .envid = m->envid,
	    .received_us = m->received_us, .now_us = now_us,
	    .retry_until_us = m->received_us + w->conf->expire * 1000, .recipients = m->recipients,
	    .outcomes = m->outcomes, .recipients_count = m->recipients_count, .original = original};
	vgm_random(dsn.id, sizeof dsn.id);
	memcpy(dsn.record, m->record, sizeof dsn.record);
	return vgm_dsn_compose(&dsn, out, err);
}

/* The notice goes to the original's sender from the null reverse-path. */
static int seal_notice(struct vgm_filter_worker *w, const struct vgm_msg_notify *m,
    struct vgm_slice notice, uint64_t now_us, uint8_t *refusal, struct vgm_err *err)
{
	struct vgm_head_facts head;
	struct vgm_recipient to = {.address = m->sender, .notify = VGM_NOTIFY_NEVER};
	struct vgm_policy_facts facts = {.size = 0};
	uint8_t id[16];
	vgm_head_read(notice, vgm_slice_str(w->conf->hostname), &head);
	(void)vgm_policy_decide(&facts, w->conf, w->directory, &to, 1, &w->job.arena);
	bool utf8 = head.has_8bit;
	struct vgm_filter_record rec = {.type = VGM_RECORD_NOTICE, .related = m->failure,
	    .body = notice, .conf_version = w->run->conf_version,
	    .routing = {.flags = (uint8_t)(VGM_ROUTING_NOTICE | (utf8 ? VGM_ROUTING_UTF8 : 0)),
	        .received_us = now_us, .size = notice.len, .expires_ms = w->conf->expire,
	        .recipients = &to, .recipients_count = 1},
	    .head = {.from = head.from, .to = head.to, .subject = head.subject, .date = head.date,
	        .message_id = head.message_id, .helo = vgm_slice_str(w->conf->hostname),
	        .flags = (uint8_t)(utf8 ? VGM_ADMIT_8BIT | VGM_ADMIT_UTF8 : 0)}};
	rec.head.client[15] = rec.head.origin[15] = 1; /* ::1, ourselves */
	return vgm_filter_seal(w, &rec, id, refusal, err);
}

int vgm_filter_notify(
    struct vgm_filter_worker *w, int door, struct vgm_msg_notify *m, struct vgm_err *err)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf front = VGM_BUF_INIT(ORIGINAL_MAX_BYTES);
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf notice = VGM_BUF_INIT(NOTICE_MAX_BYTES);
	uint64_t now_us = vgm_clock_wall_us();
	uint8_t refusal = 0;
	VGM_BUG_ON(m->recipients_count != m->outcomes_count || m->sender.len == 0);
	int r = open_front(w, m, &front, err);
	if (r == 0)
		r = compose(w, m, vgm_buf_slice(&front), now_us, &notice, err);
	if (r == 0)
		r = seal_notice(w, m, vgm_buf_slice(&notice), now_us, &refusal, err);
	/* ledgerd tries again later when it was not kept. */
	struct vgm_msg_notified done = {.tag = m->tag, .ok = r == 0 && refusal == 0};
	int sent = vgm_ipc_send(door, VGM_MSG_notified, &done, w->deadline_ms, err);
	return r == VGM_E_CLOSED || r == VGM_E_TIMEOUT ? VGM_E_CLOSED : sent;
}
