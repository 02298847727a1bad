/* SPDX-License-Identifier: EUPL-1.2
 * role/filter_admit.c — the path of a message on its way in, top to bottom:
 * open, examine, identify, decide, seal. It runs inside the SMTP session: what
 * it answers is the reply to the end of data. */
#include "role/filter.h"

#include "base/clock.h"
#include "base/text.h"
#include "ledger/hash.h"
#include "mime/head.h"
#include "net/addr.h"
#include "os/memfd.h"
#include "policy/policy.h"
#include "words/words.h"

#define FINGERPRINT_FRONT_BYTES 16384u

struct reply {
	uint16_t code;
	const char *enhanced;
	enum vgm_words_id words;
};

/* Why nothing was kept, by enum vgm_refusal. */
static struct reply refusal_reply(uint8_t refusal)
{
	switch (refusal) {
	case VGM_REFUSED_SPACE:
		return (struct reply){452, "4.3.1", VGM_WORDS_smtp_disk_full};
	case VGM_REFUSED_LAG:
		return (struct reply){451, "4.3.2", VGM_WORDS_smtp_catching_up};
	default:
		return (struct reply){451, "4.3.0", VGM_WORDS_smtp_not_kept};
	}
}

static struct reply verdict_reply(enum vgm_policy_verdict verdict)
{
	if (verdict == VGM_POLICY_LOOP)
		return (struct reply){554, "5.4.6", VGM_WORDS_smtp_loop};
	return (struct reply){552, "5.3.4", VGM_WORDS_smtp_too_large};
}

static int answer(struct vgm_filter_worker *w, int door, const struct vgm_msg_admit *m,
    struct reply reply, const uint8_t *record, struct vgm_err *err)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf id = VGM_BUF_INIT(40);
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf text = VGM_BUF_INIT(1000);
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf ascii = VGM_BUF_INIT(500);
	struct vgm_msg_admitted a = {
	    .session = m->session, .code = reply.code, .enhanced = vgm_slice_str(reply.enhanced)};
	enum vgm_lang lang = VGM_FR;
	(void)vgm_lang_parse(w->conf->language, &lang);
	if (record)
		memcpy(a.record, record, sizeof a.record);
	int r = record ? vgm_hex_encode(vgm_slice(record, 5), &id) : 0;
	if (r == 0)
		r = vgm_words_fill(reply.words, lang, &text, "reference", vgm_buf_str(&id), "phone",
		    w->conf->phone, NULL);
	if (r == 0)
		r = vgm_words_ascii(vgm_buf_slice(&text), &ascii);
	VGM_BUG_ON(r < 0);
	a.text = vgm_buf_slice(&ascii);
	return vgm_ipc_send(door, VGM_MSG_admitted, &a, w->deadline_ms, err);
}

/* A header's value as lists show it. */
static struct vgm_slice shown(struct vgm_slice value, size_t max, struct vgm_arena *arena)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf text = VGM_BUF_INIT(1000);
	if (vgm_head_text(value, max, &text) < 0)
		return VGM_SLICE_NONE;
	const char *copy = vgm_arena_dup(arena, vgm_buf_slice(&text));
	return copy ? vgm_slice(copy, text.len) : VGM_SLICE_NONE;
}

/* What makes two arrivals the same mail: envelope, size, and the front of the
 * bytes, in which Message-ID and Date stand. */
static void find_fingerprint(
    const struct vgm_msg_admit *m, struct vgm_slice body, uint8_t out[VGM_HASH_BYTES])
{
	struct vgm_hash_stream hash = VGM_HASH_STREAM_INIT;
	uint64_t size = m->size;
	vgm_hash_begin(&hash);
	vgm_hash_add(&hash, m->sender);
	for (size_t i = 0; i < m->recipients_count; i++) {
		vgm_hash_add(&hash, VGM_SLICE_LIT("\0"));
		vgm_hash_add(&hash, m->recipients[i].address);
	}
	vgm_hash_add(&hash, vgm_slice(&size, sizeof size));
	vgm_hash_add(&hash, vgm_slice_sub(body, 0, FINGERPRINT_FRONT_BYTES));
	vgm_hash_end(&hash, out);
	vgm_hash_stream_release(&hash);
}

/* Who really sent it: behind a hop that we trust, whom that hop's own header
 * names; else who is connected. */
static void find_origin(const struct vgm_conf *conf, const uint8_t client[16],
    const struct vgm_head_facts *head, uint8_t out[16])
{
	struct vgm_network hop;
	memcpy(out, client, 16);
	for (size_t i = 0; i < conf->receive_trusted_hops.count; i++) {
		struct vgm_slice text = vgm_slice_str(conf->receive_trusted_hops.text[i]);
		if (vgm_network_parse(text, &hop, NULL) == 0 && vgm_network_has(&hop, client) &&
		    vgm_head_received_from(head->first_received, out))
			return;
	}
}

static void fill_record(struct vgm_filter_record *rec, const struct vgm_filter_worker *w,
    const struct vgm_msg_admit *m, const struct vgm_head_facts *head, const uint8_t origin[16],
    struct vgm_slice body, struct vgm_arena *arena)
{
	uint8_t flags = (uint8_t)(m->flags | (head->has_8bit ? VGM_ADMIT_8BIT : 0));
	*rec = (struct vgm_filter_record){
	    .type = VGM_RECORD_MAIL,
	    .body = body,
	    .conf_version = w->run->conf_version,
	    .company =
		m->company < w->conf->filter_admit ? m->company : (uint16_t)w->conf->filter_admit,
	    .routing = {.instance = m->instance,
		.sender = m->sender,
		.ret = m->ret,
		.envid = m->envid,
		.received_us = m->received_us,
		.size = m->size,
		.expires_ms = w->conf->expire,
		.machine = m->machine,
		.faults = m->faults,
		.recipients = m->recipients,
		.recipients_count = m->recipients_count,
		.flags = (uint8_t)((flags & VGM_ADMIT_8BIT ? VGM_ROUTING_8BIT : 0) |
				   (flags & VGM_ADMIT_UTF8 ? VGM_ROUTING_UTF8 : 0) |
				   (flags & VGM_ADMIT_SEAL_ONLY ? VGM_ROUTING_HELD : 0))},
	    .head = {.from = shown(head->from, 1000, arena),
		.to = shown(head->to, 1000, arena),
		.subject = shown(head->subject, 1000, arena),
		.date = shown(head->date, 100, arena),
		.message_id = shown(head->message_id, 998, arena),
		.client_port = m->client_port,
		.helo = m->helo,
		.tls = m->tls,
		.login = m->login,
		.instance = m->instance,
		.flags = flags},
	};
	memcpy(rec->head.client, m->client, sizeof rec->head.client);
	memcpy(rec->head.origin, origin, sizeof rec->head.origin);
}

int vgm_filter_admit(
    struct vgm_filter_worker *w, int door, struct vgm_msg_admit *m, struct vgm_err *err)
{
	struct vgm_arena *arena = &w->job.arena;
	struct vgm_mapping body = {VGM_SLICE_NONE};
	struct vgm_head_facts head = {.received = 0};
	struct vgm_filter_record record;
	uint8_t id[16], origin[16], refusal = 0;

	/* Open: the exact bytes as they came. */
	int r = vgm_mapping_open(m->body, m->size, &body, err);
	if (r < 0)
		return answer(w, door, m, refusal_reply(VGM_REFUSED_IO), NULL, err);

	/* Examine: the header block. A struck body is not even looked at (rule 12). */
	bool seal_only = m->flags & VGM_ADMIT_SEAL_ONLY;
	if (!seal_only)
		vgm_head_read(body.bytes, vgm_slice_str(w->conf->hostname), &head);

	/* Identify: who sent it. */
	find_origin(w->conf, m->client, &head, origin);

	/* Decide: one plan for each recipient. */
	struct vgm_policy_facts facts = {.size = m->size, .received = head.received,
	    .own_hops = head.own_hops, .seal_only = seal_only};
	enum vgm_policy_verdict verdict = vgm_policy_decide(
	    &facts, w->conf, w->directory, m->recipients, m->recipients_count, arena);
	if (verdict != VGM_POLICY_KEEP) {
		vgm_mapping_release(&body);
		return answer(w, door, m, verdict_reply(verdict), NULL, err);
	}

	/* Seal: 250 only after the ledger says that it is durable. */
	fill_record(&record, w, m, &head, origin, body.bytes, arena);
	find_fingerprint(m, body.bytes, record.routing.fingerprint);
	r = vgm_filter_seal(w, &record, id, &refusal, err);
	vgm_mapping_release(&body);
	if (r < 0 || refusal) {
		struct vgm_err ignored;
		int sent = answer(w, door, m, refusal_reply(refusal), NULL, &ignored);
		/* After a time-out an answer may still come: this worker's line is spoilt. */
		w->retire = w->retire || r < 0;
		return r < 0 ? r : sent;
	}
	return answer(w, door, m, (struct reply){250, "2.0.0", VGM_WORDS_smtp_kept}, id, err);
}
