/* SPDX-License-Identifier: EUPL-1.2
 * role/ledgerd_act.c — what people ask through viewd: acts on the queue and the
 * quarantine, the opening of a record. Each is a record first, synced, and only
 * then done. */
#include "role/ledgerd.h"

#include "base/secret.h"
#include "ledger/bytes.h"

static const char *const act_names[] = {[VGM_ACT_FLUSH] = "flush",
    [VGM_ACT_HOLD] = "hold",
    [VGM_ACT_RELEASE] = "release",
    [VGM_ACT_REMOVE] = "remove"};

static void acted(struct vgm_ledgerd *l, uint64_t session, uint32_t count)
{
	struct vgm_channel *viewd = vgm_role_peer(l->run, VGM_ROLE_VIEWD, VGM_INSTANCE_ONLY);
	struct vgm_msg_schedule_acted m = {.session = session, .count = count};
	if (viewd && vgm_channel_send(viewd, VGM_MSG_schedule_acted, &m) < 0)
		vgm_ledgerd_log(VGM_LOG_WARNING, "acted_not_sent", NULL);
}

static void act_is_durable(struct vgm_ledgerd *l, struct vgm_ledgerd_fact *f)
{
	uint32_t count = 0;
	bool all = vgm_is_zero(f->record, sizeof f->record);
	vgm_ledgerd_act_on(l, (enum vgm_schedule_act)f->what, all ? NULL : f->record,
	    vgm_ledgerd_run_ms(l), &count);
	acted(l, f->number, count);
	vgm_ledgerd_again(l);
}

/* An act that came during the replay: it would meet half a queue. */
struct vgm_ledgerd_waiting_act {
	struct vgm_ledgerd_waiting_act *next;
	struct vgm_msg_schedule_act message;
	char *who;
};

static void wait_for_replay(struct vgm_ledgerd *l, const struct vgm_msg_schedule_act *m)
{
	struct vgm_ledgerd_waiting_act *w = vgm_alloc(sizeof *w), **end = &l->acts;
	w->message = *m;
	w->who = vgm_slice_dup(m->who);
	w->message.who = vgm_slice_str(w->who);
	while (*end)
		end = &(*end)->next;
	*end = w;
}

void vgm_ledgerd_acts_go_on(struct vgm_ledgerd *l)
{
	struct vgm_ledgerd_waiting_act *w = l->acts, *next;
	l->acts = NULL;
	for (; w; w = next) {
		next = w->next;
		vgm_ledgerd_schedule_act(l, &w->message);
		vgm_free(w->who);
		vgm_free(w);
	}
}

void vgm_ledgerd_schedule_act(struct vgm_ledgerd *l, const struct vgm_msg_schedule_act *m)
{
	struct vgm_msg_event_facts facts = {.who = m->who};
	if (m->act < VGM_ACT_FLUSH || m->act > VGM_ACT_REMOVE || vgm_writer_fault(l->writer)) {
		acted(l, m->session, 0);
		return;
	}
	if (l->replay) {
		wait_for_replay(l, m);
		return;
	}
	facts.kind = vgm_slice_str(act_names[m->act]);
	memcpy(facts.record, m->record, sizeof facts.record);
	struct vgm_ledgerd_fact *f =
	    vgm_ledgerd_fact_new(l, VGM_RECORD_ACTION, m->record, VGM_MSG_event_facts, &facts);
	f->number = m->session;
	f->what = m->act;
	memcpy(f->record, m->record, sizeof f->record);
	f->on_synced = act_is_durable;
}

/* ---- opening a record ---- */

static void opened(struct vgm_ledgerd *l, struct vgm_msg_record_opened *m)
{
	struct vgm_channel *viewd = vgm_role_peer(l->run, VGM_ROLE_VIEWD, VGM_INSTANCE_ONLY);
	if (viewd && vgm_channel_send(viewd, VGM_MSG_record_opened, m) < 0)
		vgm_ledgerd_log(VGM_LOG_WARNING, "opened_not_sent", NULL);
}

static void access_is_durable(struct vgm_ledgerd *l, struct vgm_ledgerd_fact *f)
{
	struct vgm_msg_record_opened m = {.session = f->number, .segment = -1};
	struct vgm_err err = {.code = 0};
	struct vgm_record record;
	int fd = vgm_ledgerd_segment_fd(l, f->original.segment, &err);
	vgm_random(m.token, sizeof m.token);
	if (fd < 0 || vgm_record_read(fd, f->original.offset, &record, &err) < 0)
		vgm_ledgerd_log(VGM_LOG_ERROR, "record_not_opened", &err);
	else if (memcmp(record.id, f->record, sizeof record.id) == 0 &&
		 vgm_ledgerd_job(l, &record, VGM_PURPOSE_SHOW, m.token))
		m.ok = 1;
	if (m.ok)
		m.segment = fd;
	else
		memset(m.token, 0, sizeof m.token);
	opened(l, &m);
}

void vgm_ledgerd_open_record(struct vgm_ledgerd *l, const struct vgm_msg_open_record *m)
{
	struct vgm_msg_event_facts facts = {.kind = VGM_SLICE_LIT("show"),
	    .who = m->who,
	    .why = m->why,
	    .detail = m->what == VGM_SHOW_RAW ? VGM_SLICE_LIT("raw") : VGM_SLICE_LIT("head")};
	struct vgm_msg_record_opened refused = {.session = m->session, .segment = -1};
	if (vgm_writer_fault(l->writer)) {
		opened(l, &refused);
		return;
	}
	memcpy(facts.record, m->record, sizeof facts.record);
	struct vgm_ledgerd_fact *f =
	    vgm_ledgerd_fact_new(l, VGM_RECORD_ACCESS, m->record, VGM_MSG_event_facts, &facts);
	f->number = m->session;
	f->what = m->what;
	f->original = (struct vgm_ledger_place){m->segment, m->record_offset};
	memcpy(f->record, m->record, sizeof f->record);
	f->on_synced = access_is_durable;
}

void vgm_ledgerd_note_start(struct vgm_ledgerd *l, const char *kind)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf detail = VGM_BUF_INIT(200);
	struct vgm_msg_event_facts facts = {
	    .kind = vgm_slice_str(kind), .who = VGM_SLICE_LIT("ledgerd")};
	VGM_BUG_ON(vgm_buf_addf(&detail, "program %s, configuration %u", VGM_VERSION,
		       l->run->conf_version) < 0);
	facts.detail = vgm_buf_slice(&detail);
	(void)vgm_ledgerd_fact_new(l, VGM_RECORD_CONFIG, NULL, VGM_MSG_event_facts, &facts);
}
