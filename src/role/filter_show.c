/* SPDX-License-Identifier: EUPL-1.2
 * role/filter_show.c — opens one record for somebody's eyes. The access is in
 * the ledger before keyd hands the key out: ledgerd registers the job. */
#include "role/filter.h"

#include "base/secret.h"
#include "base/text.h"
#include "net/addr.h"

#include <jansson.h>

static json_t *json_of(struct vgm_slice s)
{
	json_t *text = json_stringn((const char *)s.data, s.len);
	return text ? text : json_string("?"); /* not UTF-8: facts of a client's greeting */
}

/* A notice of our own came from nobody. */
static json_t *json_of_ip(const uint8_t ip[16])
{
	static const uint8_t nobody[16];
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf text = VGM_BUF_INIT(60);
	if (memcmp(ip, nobody, sizeof nobody) == 0)
		return json_string("");
	VGM_BUG_ON(vgm_ip_format(ip, &text) < 0);
	return json_string(vgm_buf_str(&text));
}

static int put_json(const char *text, size_t len, void *out)
{
	return vgm_buf_add(out, text, len);
}

static int head_json(const struct vgm_msg_head *head, struct vgm_buf *out)
{
	json_t *o = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "from",
	    json_of(head->from), "to", json_of(head->to), "subject", json_of(head->subject), "date",
	    json_of(head->date), "message_id", json_of(head->message_id), "helo",
	    json_of(head->helo), "tls", json_of(head->tls), "login", json_of(head->login),
	    "client", json_of_ip(head->client), "origin", json_of_ip(head->origin));
	int r = o && json_dump_callback(o, put_json, out, JSON_COMPACT) == 0 ? 0 : VGM_E_LIMIT;
	json_decref(o);
	return r;
}

/* The opened record into *shown; the spill holds what shown->fd names. */
static int open_record(struct vgm_filter_worker *w, const struct vgm_msg_show *m,
    const uint8_t key[32], struct vgm_buf *text, struct vgm_filter_spill *spill,
    struct vgm_msg_shown *shown, struct vgm_err *err)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf bytes = VGM_BUF_INIT(16384);
	struct vgm_record record;
	struct vgm_msg_head head;
	int r = vgm_filter_open_head(m->segment, m->record_offset, m->record, key, &record, &bytes,
	    &w->job.arena, &head, err);
	if (r < 0)
		return r;
	if (m->what == VGM_SHOW_HEAD) {
		r = head_json(&head, text);
		shown->text = vgm_buf_slice(text);
		return r;
	}
	struct vgm_seal_name name = {
	    .key = key, .id = record.id, .entity = record.entity, .part = VGM_PART_BODY};
	r = vgm_unseal_body(w->tools, &name, &record, m->segment, m->record_offset, head.salt,
	    vgm_filter_spill_put, spill, err);
	if (r == 0)
		r = vgm_filter_spill_end(spill, err);
	shown->fd = spill->fd;
	shown->size = spill->size;
	return r;
}

int vgm_filter_show(
    struct vgm_filter_worker *w, int door, struct vgm_msg_show *m, struct vgm_err *err)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf text = VGM_BUF_INIT(50000);
	VGM_CLEANUP(vgm_filter_spill_release) struct vgm_filter_spill spill;
	struct vgm_msg_shown shown = {.session = m->session, .fd = -1};
	uint8_t key[32];
	vgm_filter_spill_init(&spill, 0); /* raw bytes always travel in a memfd */
	int r = vgm_filter_unwrap(w, m->token, key, err);
	if (r == 0) {
		r = open_record(w, m, key, &text, &spill, &shown, err);
		vgm_wipe(key, sizeof key);
	}
	shown.ok = r == 0;
	if (r < 0)
		shown.fd = -1;
	int sent = vgm_ipc_send(door, VGM_MSG_shown, &shown, w->deadline_ms, err);
	return r == VGM_E_CLOSED || r == VGM_E_TIMEOUT ? VGM_E_CLOSED : sent;
}
