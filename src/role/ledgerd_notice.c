/* SPDX-License-Identifier: EUPL-1.2
 * role/ledgerd_notice.c — senders are told, once for each failure (rule 13).
 *
 * A notice is due from the sync of the outcome record that asks for it until
 * the sync of the NOTICE record that answers it. In between a render worker is
 * asked to compose it, again and again if need be; only one that is due may be
 * appended, so it is neither lost nor doubled by a crash on either side. */
#include "role/ledgerd.h"

#include "base/clock.h"
#include "base/secret.h"
#include "queue/dsn.h"

#define FLYING_MAX 4
#define RETRY_MS ((uint64_t)30000)
#define RETRY_DOUBLED_MAX 7

static struct vgm_ledgerd_notice **find(struct vgm_ledgerd *l, const uint8_t failure[16])
{
	struct vgm_ledgerd_notice **at = &l->notices;
	while (*at && memcmp((*at)->failure, failure, sizeof(*at)->failure) != 0)
		at = &(*at)->next;
	return at;
}

static void drop(struct vgm_ledgerd *l, struct vgm_ledgerd_notice **at)
{
	struct vgm_ledgerd_notice *n = *at;
	*at = n->next;
	l->notices_count--;
	l->notices_flying -= n->tag != 0;
	vgm_free(n);
}

void vgm_ledgerd_notice_add(
    struct vgm_ledgerd *l, const uint8_t failure[16], struct vgm_ledger_place place)
{
	struct vgm_ledgerd_notice *n = vgm_alloc(sizeof *n);
	memcpy(n->failure, failure, sizeof n->failure);
	n->place = place;
	n->next = l->notices;
	l->notices = n;
	l->notices_count++;
	vgm_ledgerd_again(l);
}

void vgm_ledgerd_notice_done(struct vgm_ledgerd *l, const uint8_t failure[16])
{
	struct vgm_ledgerd_notice **at = find(l, failure);
	if (*at)
		drop(l, at);
}

bool vgm_ledgerd_notice_expected(const struct vgm_ledgerd *l, const uint8_t failure[16])
{
	const struct vgm_ledgerd_notice *n = l->notices;
	while (n && memcmp(n->failure, failure, sizeof n->failure) != 0)
		n = n->next;
	for (size_t i = 0; i < l->pending_count; i++)
		if (memcmp(l->pending[i].related, failure, sizeof l->pending[i].related) == 0)
			return false;
	return n && n->tag;
}

int vgm_ledgerd_notice_action(const struct vgm_msg_routing *routing, const struct vgm_outcome *o)
{
	/* A notice is never answered by another, nor is the null sender. */
	if (routing->sender.len == 0 || (routing->flags & VGM_ROUTING_NOTICE) ||
	    o->index >= routing->recipients_count)
		return 0;
	uint8_t status = o->status == VGM_OUTCOME_LATE ? VGM_OUTCOME_DEFERRED : o->status;
	return vgm_dsn_wanted(status, routing->recipients[o->index].notify);
}

/* ---- asking a worker ---- */

/* The outcome record's facts, in memory of their own: the original is read next. */
struct failure {
	struct vgm_buf plain;
	struct vgm_arena arena;
	struct vgm_msg_outcome_facts facts;
};

static void failure_release(struct failure *f)
{
	vgm_buf_release(&f->plain);
	vgm_arena_release(&f->arena);
}

static int read_failure(struct vgm_ledgerd *l, const struct vgm_ledgerd_notice *n,
    struct failure *out, struct vgm_err *err)
{
	struct vgm_record record;
	int r = vgm_ledgerd_read(
	    l, n->place, n->failure, &record, VGM_MSG_outcome_facts, &out->facts, err);
	if (r < 0)
		return r;
	struct vgm_buf plain = out->plain;
	struct vgm_arena arena = out->arena;
	out->plain = l->plain;
	out->arena = l->arena;
	l->plain = plain;
	l->arena = arena;
	return 0;
}

static int fill_notify(struct vgm_ledgerd *l, const struct failure *f,
    const struct vgm_msg_routing *routing, struct vgm_msg_notify *out, struct vgm_err *err)
{
	size_t count = f->facts.outcomes_count;
	out->recipients = vgm_arena_alloc(&l->arena, count + 1, sizeof *out->recipients);
	out->outcomes = vgm_arena_alloc(&l->arena, count + 1, sizeof *out->outcomes);
	if (!out->recipients || !out->outcomes)
		return vgm_err_set(err, VGM_E_LIMIT, "no room for the recipients of a notice");
	for (size_t i = 0; i < count; i++) {
		const struct vgm_outcome *o = &f->facts.outcomes[i];
		int action = vgm_ledgerd_notice_action(routing, o);
		if (action == 0)
			continue;
		out->action = (uint8_t)action;
		out->recipients[out->recipients_count++] = routing->recipients[o->index];
		out->outcomes[out->outcomes_count++] = *o;
	}
	out->sender = routing->sender;
	out->envid = routing->envid;
	out->ret = routing->ret;
	out->received_us = routing->received_us;
	return 0;
}

/* VGM_E_NOTFOUND: there is nobody to tell, or nothing to tell any more. */
static int ask(struct vgm_ledgerd *l, struct vgm_ledgerd_notice *n, struct vgm_err *err)
{
	VGM_CLEANUP(failure_release)
	struct failure f = {
	    VGM_BUF_INIT(VGM_MSG_MAX_BYTES), VGM_ARENA_INIT(1u << 20), {.record = {0}}};
	struct vgm_channel *render = vgm_role_peer(l->run, VGM_ROLE_RENDER, VGM_INSTANCE_ONLY);
	struct vgm_msg_notify m = {.tag = l->last_tag + 1};
	struct vgm_msg_routing routing;
	struct vgm_record record;
	int r = read_failure(l, n, &f, err);
	if (r < 0)
		return r;
	struct vgm_ledger_place original = {f.facts.segment, f.facts.offset};
	r = vgm_ledgerd_read(l, original, f.facts.record, &record, VGM_MSG_routing, &routing, err);
	if (r == 0)
		r = fill_notify(l, &f, &routing, &m, err);
	if (r == 0 && m.recipients_count == 0)
		r = vgm_err_set(err, VGM_E_NOTFOUND, "nobody asked for a notice");
	if (r < 0)
		return r;
	vgm_random(m.token, sizeof m.token);
	memcpy(m.record, f.facts.record, sizeof m.record);
	memcpy(m.failure, n->failure, sizeof m.failure);
	m.record_offset = original.offset;
	m.segment = vgm_ledgerd_segment_fd(l, original.segment, err);
	if (m.segment < 0 || !render || !vgm_ledgerd_job(l, &record, VGM_PURPOSE_NOTICE, m.token) ||
	    vgm_channel_send(render, VGM_MSG_notify, &m) < 0)
		return vgm_err_set(err, VGM_E_BUSY, "render pool or keys are away");
	n->tag = ++l->last_tag;
	l->notices_flying++;
	return 0;
}

static void put_off(struct vgm_ledgerd_notice *n)
{
	uint32_t doubled = n->tries < RETRY_DOUBLED_MAX ? n->tries : RETRY_DOUBLED_MAX;
	n->not_before_ms = vgm_clock_mono_ms() + (RETRY_MS << doubled);
	n->tries++;
}

void vgm_ledgerd_notices_send(struct vgm_ledgerd *l)
{
	uint64_t now = vgm_clock_mono_ms();
	struct vgm_ledgerd_notice **at = &l->notices;
	if (!l->notices || l->replay || vgm_writer_fault(l->writer) || l->run->stopping ||
	    !vgm_role_peer(l->run, VGM_ROLE_RENDER, VGM_INSTANCE_ONLY) ||
	    !vgm_role_peer(l->run, VGM_ROLE_KEYD, VGM_INSTANCE_ONLY))
		return;
	while (*at && l->notices_flying < FLYING_MAX) {
		struct vgm_ledgerd_notice *n = *at;
		struct vgm_err err = {.code = 0};
		int r = n->tag || n->not_before_ms > now ? 0 : ask(l, n, &err);
		if (r == VGM_E_NOTFOUND) {
			drop(l, at);
			continue;
		}
		if (r < 0 && r != VGM_E_BUSY) { /* busy: a key or a peer is on its way */
			vgm_ledgerd_log(VGM_LOG_WARNING, "notice_put_off", &err);
			put_off(n);
		}
		at = &n->next;
	}
}

void vgm_ledgerd_notified(struct vgm_ledgerd *l, uint64_t tag, bool ok)
{
	for (struct vgm_ledgerd_notice *n = l->notices; n && tag; n = n->next) {
		if (n->tag != tag)
			continue;
		n->tag = 0;
		l->notices_flying--;
		/* With ok its record was synced before this, and it is not here. */
		put_off(n);
		if (!ok)
			vgm_ledgerd_log(VGM_LOG_WARNING, "notice_not_composed", NULL);
		return;
	}
}

void vgm_ledgerd_notices_lost(struct vgm_ledgerd *l)
{
	for (struct vgm_ledgerd_notice *n = l->notices; n; n = n->next)
		n->tag = 0;
	l->notices_flying = 0;
}
