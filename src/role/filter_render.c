/* SPDX-License-Identifier: EUPL-1.2
 * role/filter_render.c — makes the bytes for one delivery: our trace header,
 * then the message exactly as it was received. Nothing rendered is ever stored. */
#include "role/filter.h"

#include "base/clock.h"
#include "base/secret.h"
#include "base/text.h"
#include "ledger/hash.h"
#include "net/addr.h"

/* "ESMTPSA" and so on (RFC 3848, RFC 6531). */
static void add_protocol(const struct vgm_msg_head *head, struct vgm_buf *out, int *r)
{
	bool esmtp = head->flags & VGM_ADMIT_ESMTP;
	const char *base = head->flags & VGM_ADMIT_UTF8 ? "UTF8SMTP" : esmtp ? "ESMTP" : "SMTP";
	if (*r == 0)
		*r = vgm_buf_addf(out, "%s%s%s", base, esmtp && head->tls.len ? "S" : "",
		    esmtp && head->login.len ? "A" : "");
}

/* A greeting name may hold anything printable; what would end the clause or
 * start a comment becomes "?". */
static int add_safe(struct vgm_slice s, struct vgm_buf *out)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < s.len && i < 255; i++) {
		uint8_t c = s.data[i];
		bool plain = vgm_is_alnum(c) || (c && strchr(".-_:[]", c));
		r = vgm_buf_add_byte(out, plain ? c : '?');
	}
	return r;
}

/* RFC 5321, section 4.4. The recipient stands in it only when there is one: a
 * list would tell Bcc recipients of each other. */
static int add_received(const struct vgm_filter_worker *w, const struct vgm_msg_render *m,
    const struct vgm_record *record, const struct vgm_msg_head *head, struct vgm_buf *out)
{
	int r = vgm_buf_add_str(out, "Received: from ");
	if (r == 0)
		r = add_safe(head->helo.len ? head->helo : VGM_SLICE_LIT("unknown"), out);
	if (r == 0)
		r = vgm_buf_add_str(out, " (");
	if (r == 0)
		r = vgm_ip_format_literal(head->client, out);
	if (r == 0)
		r = vgm_buf_addf(out, ")\r\n\tby %s (Vaguemestre) with ", w->conf->hostname);
	add_protocol(head, out, &r);
	if (r == 0)
		r = vgm_buf_add_str(out, " id ");
	if (r == 0)
		r = vgm_hex_encode(vgm_slice(record->id, 16), out);
	if (r == 0 && m->for_address.len && m->for_address.len < 900 &&
	    vgm_is_ascii(m->for_address))
		r = vgm_buf_addf(out, "\r\n\tfor <%.*s>", VGM_SLICE_ARG(m->for_address));
	if (r == 0)
		r = vgm_buf_add_str(out, ";\r\n\t");
	if (r == 0)
		r = vgm_date_rfc5322(record->time_us, out);
	return r == 0 ? vgm_buf_add_str(out, "\r\n") : r;
}

static bool needs_more_than(uint8_t flags, uint8_t capabilities)
{
	return ((flags & VGM_ADMIT_UTF8) && !(capabilities & VGM_PEER_UTF8)) ||
	    ((flags & VGM_ADMIT_8BIT) && !(capabilities & VGM_PEER_8BIT));
}

/* Commits to what is sent: the trace header, and the record's own commitment for
 * the body, which goes out as it came. Nothing is hashed twice. */
static void commit_to(struct vgm_msg_rendered *a, struct vgm_slice trace, const uint8_t body[32])
{
	const struct vgm_slice pieces[] = {
	    vgm_slice(a->salt, sizeof a->salt), trace, vgm_slice(body, 32)};
	vgm_hash_join(pieces, VGM_ARRAY_LEN(pieces), a->sha256);
}

/* Opens and writes the copy. a->ok: enum vgm_render_result. */
static int render(struct vgm_filter_worker *w, const struct vgm_msg_render *m,
    const uint8_t key[32], struct vgm_filter_spill *out, struct vgm_msg_rendered *a,
    struct vgm_err *err)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf bytes = VGM_BUF_INIT(16384);
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf trace = VGM_BUF_INIT(4096);
	struct vgm_record record;
	struct vgm_msg_head head;
	int r = vgm_filter_open_head(m->segment, m->record_offset, m->record, key, &record, &bytes,
	    &w->job.arena, &head, err);
	if (r < 0)
		return r;
	if (needs_more_than(head.flags, m->capabilities)) {
		a->ok = VGM_RENDER_NEEDS_8BIT;
		return 0;
	}
	r = add_received(w, m, &record, &head, &trace);
	if (r == 0)
		r = vgm_filter_spill_put(out, trace.data, trace.len);
	struct vgm_seal_name name = {
	    .key = key, .id = record.id, .entity = record.entity, .part = VGM_PART_BODY};
	if (r == 0)
		r = vgm_unseal_body(w->tools, &name, &record, m->segment, m->record_offset, NULL,
		    vgm_filter_spill_put, out, err);
	if (r < 0)
		return r;
	commit_to(a, vgm_buf_slice(&trace), record.commitment);
	a->ok = VGM_RENDER_OK;
	return 0;
}

int vgm_filter_render(
    struct vgm_filter_worker *w, int door, struct vgm_msg_render *m, struct vgm_err *err)
{
	VGM_CLEANUP(vgm_filter_spill_release) struct vgm_filter_spill out;
	struct vgm_msg_rendered a = {.session = m->session, .ok = VGM_RENDER_NO_KEY, .fd = -1};
	uint8_t key[32];
	vgm_filter_spill_init(&out, 50000);
	vgm_random(a.salt, sizeof a.salt);
	int r = vgm_filter_unwrap(w, m->token, key, err);
	if (r == 0) {
		r = render(w, m, key, &out, &a, err);
		vgm_wipe(key, sizeof key);
		if (r == VGM_E_CORRUPT || r == VGM_E_CRYPTO || r == VGM_E_INVALID)
			a.ok = VGM_RENDER_CORRUPT;
	}
	if (r == 0)
		r = vgm_filter_spill_end(&out, err);
	if (r == 0 && a.ok == VGM_RENDER_OK) {
		a.size = out.size;
		a.bytes = vgm_buf_slice(&out.small);
		a.fd = out.fd;
	} else if (a.ok == VGM_RENDER_OK) {
		a.ok = VGM_RENDER_NO_KEY; /* made, but it cannot travel: later */
	}
	int sent = vgm_ipc_send(door, VGM_MSG_rendered, &a, w->deadline_ms, err);
	return r == VGM_E_CLOSED || r == VGM_E_TIMEOUT ? VGM_E_CLOSED : sent;
}
