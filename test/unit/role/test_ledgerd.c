/* SPDX-License-Identifier: EUPL-1.2
 * role/ledgerd*.c: what each peer sees, and what is still true after it was
 * killed. */
#include "ledgerd_house.h"

#include "ledger/checkpoint.h"

#include <sodium.h>

static int house_up(void **state)
{
	struct house *h = vgm_alloc(sizeof *h);
	*state = h;
	if (house_new(h, plain_options) < 0)
		return -1;
	house_open(h);
	return 0;
}

/* Whatever happened: what is left verifies. */
static int house_down(void **state)
{
	struct house *h = *state;
	struct vgm_verify_result result;
	house_stop(h);
	assert_int_equal(vgm_verify(h->dir, NULL, NULL, &result, NULL), 0);
	assert_int_equal(result.faults, 0);
	house_free(h);
	vgm_free(h);
	return 0;
}

/* ---- in and out ---- */

static void test_mail_in_and_out(void **state)
{
	struct house *h = *state;
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	VGM_CLEANUP(vgm_received_release) struct vgm_received job_got = VGM_RECEIVED_INIT;
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf routing = VGM_BUF_INIT(10000);
	struct vgm_record record;
	uint8_t id[16];
	assert_int_equal(append_mail(h, &simple, id), 0);
	struct vgm_msg_deliver *m = house_expect(h, h->relayd, VGM_MSG_deliver, &got);
	struct vgm_msg_job *job = house_expect(h, h->keyd, VGM_MSG_job, &job_got);
	assert_memory_equal(m->record, id, 16);
	assert_memory_equal(job->record, id, 16);
	assert_memory_equal(job->token, m->token, 16);
	assert_int_equal(job->purpose, VGM_PURPOSE_DELIVER);
	assert_int_equal(job->wrap[59], id[0]);
	assert_int_equal(m->attempt, 1);
	assert_int_equal(m->size, 300);
	assert_true(vgm_slice_eq(m->sender, VGM_SLICE_LIT(SENDER)));
	assert_true(vgm_slice_eq(m->route, VGM_SLICE_LIT("route:main")));
	assert_true(vgm_slice_eq(m->recipients[0].address, VGM_SLICE_LIT("jean@chu.example")));
	/* What stands in the segment opens with the day's key, and nowhere in clear. */
	assert_int_equal(vgm_record_read(m->segment, m->record_offset, &record, NULL), 0);
	assert_memory_equal(record.id, id, 16);
	assert_int_equal(record.part[VGM_PART_HEAD].stored, 12);
	struct vgm_seal_name name = {
	    .key = h->key, .id = id, .entity = 1, .part = VGM_PART_ROUTING};
	assert_int_equal(
	    vgm_unseal_part(&name, &record, m->segment, m->record_offset, &routing, NULL), 0);
	struct delivery d = {.number = m->delivery, .count = 1};
	memcpy(d.record, id, 16);
	report_and_wait(h, &d, VGM_OUTCOME_DELIVERED);
	house_expect_none(h, h->relayd, VGM_MSG_deliver, 200);
	house_expect(h, h->viewd, VGM_MSG_synced, &got);
}

static void test_large_bodies(void **state)
{
	struct house *h = *state;
	struct mail large = simple;
	/* over several segments of 1 MB, one mail larger than a segment */
	static const size_t sizes[] = {200000, 900000, 2500000, 10, 600000};
	for (size_t i = 0; i < VGM_ARRAY_LEN(sizes); i++) {
		large.body = sizes[i];
		assert_int_equal(append_mail(h, &large, NULL), 0);
		struct delivery d = take_delivery(h);
		report_and_wait(h, &d, VGM_OUTCOME_DELIVERED);
	}
}

static void test_delivered_is_not_repeated(void **state)
{
	struct house *h = *state;
	struct delivery d;
	assert_int_equal(append_mail(h, &simple, NULL), 0);
	assert_int_equal(append_mail(h, &simple, NULL), 0);
	d = take_delivery(h);
	assert_int_equal(d.record[0], 1);
	report_and_wait(h, &d, VGM_OUTCOME_DELIVERED);
	house_kill(h);
	house_open(h);
	d = take_delivery(h);
	assert_int_equal(d.record[0], 2); /* in flight at the kill: again */
	report_and_wait(h, &d, VGM_OUTCOME_DELIVERED);
	/* And from the snapshot that a clean end leaves. */
	assert_int_equal(append_mail(h, &simple, NULL), 0);
	d = take_delivery(h);
	house_stop(h);
	house_open(h);
	d = take_delivery(h);
	assert_int_equal(d.record[0], 3);
	report_and_wait(h, &d, VGM_OUTCOME_DELIVERED);
	house_expect_none(h, h->relayd, VGM_MSG_deliver, 200);
}

static void test_several_recipients(void **state)
{
	struct house *h = *state;
	struct mail two = simple;
	two.to[1] = "paul@chu.example";
	assert_int_equal(append_mail(h, &two, NULL), 0);
	struct delivery d = take_delivery(h);
	assert_int_equal(d.count, 2);
	struct delivery first = d;
	first.count = 1;
	report_and_wait(h, &first, VGM_OUTCOME_DELIVERED);
	house_kill(h);
	house_open(h);
	d = take_delivery(h);
	assert_int_equal(d.count, 1);
	assert_int_equal(d.index, 1);
}

/* ---- who may append what ---- */

static void test_appends_that_are_refused(void **state)
{
	struct house *h = *state;
	const uint8_t nothing[16] = {1};
	struct mail mail = simple;
	assert_int_equal(
	    append_as(h, h->render_worker, &mail, VGM_RECORD_MAIL, NULL, NULL), VGM_REFUSED_IO);
	assert_int_equal(append_as(h, h->render_worker, &mail, VGM_RECORD_NOTICE, nothing, NULL),
	    VGM_REFUSED_IO);
	assert_int_equal(
	    append_as(h, h->admit_worker, &mail, VGM_RECORD_NOTICE, nothing, NULL), VGM_REFUSED_IO);
	assert_int_equal(
	    append_as(h, h->admit_worker, &mail, VGM_RECORD_ACCESS, NULL, NULL), VGM_REFUSED_IO);
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	for (int i = 0; i < 5; i++) {
		struct vgm_buf routing, body;
		struct vgm_msg_append m;
		fill_append(h, &mail, &routing, &body, &m);
		switch (i) {
		case 0:
			m.entity = 2;
			break;
		case 1:
			m.routing = VGM_SLICE_LIT("rubbish");
			break;
		case 2:
			m.body_size++;
			break;
		case 3:
			m.body_packing = 9;
			break;
		default:
			assert_int_equal(vgm_memfd_new("open", &m.body_fd, NULL), 0);
			break;
		}
		const struct vgm_msg_appended *a =
		    role_call(h->admit_worker, VGM_MSG_append, &m, VGM_MSG_appended, &got);
		assert_int_equal(a->why, VGM_REFUSED_IO);
		if (m.body_fd >= 0)
			close(m.body_fd);
		vgm_buf_release(&routing);
		vgm_buf_release(&body);
	}
	assert_int_equal(append_mail(h, &simple, NULL), 0);
}

static void test_outcomes_that_are_not_believed(void **state)
{
	struct house *h = *state;
	assert_int_equal(append_mail(h, &simple, NULL), 0);
	struct delivery d = take_delivery(h), wrong;
	wrong = d, wrong.number++;
	report(h, &wrong, VGM_OUTCOME_DELIVERED);
	wrong = d, wrong.record[3] ^= 1;
	report(h, &wrong, VGM_OUTCOME_DELIVERED);
	wrong = d, wrong.index = 5;
	report(h, &wrong, VGM_OUTCOME_DELIVERED);
	report(h, &d, VGM_OUTCOME_REMOVED);
	report(h, &d, VGM_OUTCOME_EXPIRED);
	house_expect_none(h, h->relayd, VGM_MSG_outcomes_written, 200);
	report_and_wait(h, &d, VGM_OUTCOME_DELIVERED);
}

/* ---- keys ---- */

static void test_a_key_that_comes_late(void **state)
{
	struct house *h = *state;
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	struct vgm_buf routing, body;
	struct vgm_msg_append m;
	fill_append(h, &simple, &routing, &body, &m);
	m.day = h->today + 1; /* the filter's midnight came first */
	role_send(h->admit_worker, VGM_MSG_append, &m);
	struct vgm_msg_lend *lend = NULL;
	do {
		assert_int_equal(vgm_ipc_receive(h->keyd, &got, fixture_deadline(), NULL), 0);
		lend = got.message;
	} while (got.type != VGM_MSG_lend || lend->day != h->today + 1);
	house_expect_none(h, h->admit_worker, VGM_MSG_appended, 100);
	struct vgm_msg_lent lent = {.kind = VGM_LENT_ROUTING, .day = h->today + 1, .ok = 1};
	memset(lent.key, 7, 32);
	role_send(h->keyd, VGM_MSG_lent, &lent);
	const struct vgm_msg_appended *a = house_expect(h, h->admit_worker, VGM_MSG_appended, &got);
	assert_int_equal(a->ok, 1);
	vgm_buf_release(&routing);
	vgm_buf_release(&body);
	take_delivery(h);
}

static void test_peers_that_start_anew(void **state)
{
	struct house *h = *state;
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	uint8_t token[16];
	assert_int_equal(append_mail(h, &simple, NULL), 0);
	memcpy(
	    token, ((struct vgm_msg_job *)house_expect(h, h->keyd, VGM_MSG_job, &got))->token, 16);
	struct delivery d = take_delivery(h);
	/* A new keyd hears of the job again. */
	close(h->keyd);
	h->keyd = role_peer(&h->ledgerd, VGM_ROLE_KEYD, VGM_INSTANCE_ONLY);
	struct vgm_msg_job *again = house_expect(h, h->keyd, VGM_MSG_job, &got);
	assert_memory_equal(again->token, token, 16);
	/* A new relayd gets the delivery again, under another number. */
	close(h->relayd);
	h->relayd = role_peer(&h->ledgerd, VGM_ROLE_RELAYD, VGM_INSTANCE_ONLY);
	struct delivery e = take_delivery(h);
	assert_memory_equal(e.record, d.record, 16);
	assert_true(e.number != d.number);
	report_and_wait(h, &e, VGM_OUTCOME_DELIVERED);
	/* A new viewd is told where the ledger stands. */
	close(h->viewd);
	h->viewd = role_peer(&h->ledgerd, VGM_ROLE_VIEWD, VGM_INSTANCE_ONLY);
	struct vgm_msg_synced *synced = house_expect(h, h->viewd, VGM_MSG_synced, &got);
	assert_true(synced->tree_size >= 2);
}

/* ---- notices ---- */

static void take_notify(struct house *h, uint8_t action, uint64_t *tag, uint8_t failure[16])
{
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	struct vgm_msg_notify *m = house_expect(h, h->render, VGM_MSG_notify, &got);
	assert_int_equal(m->action, action);
	assert_true(m->segment >= 0);
	assert_int_equal(m->recipients_count, m->outcomes_count);
	assert_true(vgm_slice_eq(m->sender, VGM_SLICE_LIT(SENDER)));
	*tag = m->tag;
	memcpy(failure, m->failure, 16);
}

static const struct mail notice = {.sender = "",
    .to = {SENDER},
    .route = "mx:outside.example",
    .notify = VGM_NOTIFY_NEVER,
    .flags = VGM_ROUTING_NOTICE,
    .body = 500};

static void test_a_failure_is_told_once(void **state)
{
	struct house *h = *state;
	uint8_t failure[16], again[16];
	uint64_t tag;
	assert_int_equal(append_mail(h, &simple, NULL), 0);
	struct delivery d = take_delivery(h);
	report_and_wait(h, &d, VGM_OUTCOME_FAILED);
	take_notify(h, VGM_DSN_FAILED, &tag, failure);
	/* Not composed yet at the kill: due again, for the same failure. */
	house_kill(h);
	house_open(h);
	take_notify(h, VGM_DSN_FAILED, &tag, again);
	assert_memory_equal(failure, again, 16);
	assert_int_equal(
	    append_as(h, h->render_worker, &notice, VGM_RECORD_NOTICE, failure, NULL), 0);
	/* A second one is not taken, and the first goes out. */
	assert_int_equal(append_as(h, h->render_worker, &notice, VGM_RECORD_NOTICE, failure, NULL),
	    VGM_REFUSED_IO);
	d = take_delivery(h);
	house_kill(h);
	house_open(h);
	d = take_delivery(h);
	/* A notice that fails is told to nobody. */
	report_and_wait(h, &d, VGM_OUTCOME_FAILED);
	house_expect_none(h, h->render, VGM_MSG_notify, 400);
}

static void test_notices_survive_a_snapshot(void **state)
{
	struct house *h = *state;
	uint8_t failure[16], again[16];
	uint64_t tag;
	assert_int_equal(append_mail(h, &simple, NULL), 0);
	struct delivery d = take_delivery(h);
	report_and_wait(h, &d, VGM_OUTCOME_FAILED);
	take_notify(h, VGM_DSN_FAILED, &tag, failure);
	house_stop(h);
	house_open(h);
	take_notify(h, VGM_DSN_FAILED, &tag, again);
	assert_memory_equal(failure, again, 16);
	/* The pool starts anew: asked again at once. */
	close(h->render);
	h->render = role_peer(&h->ledgerd, VGM_ROLE_RENDER, VGM_INSTANCE_ONLY);
	take_notify(h, VGM_DSN_FAILED, &tag, again);
	assert_memory_equal(failure, again, 16);
}

static void test_who_wants_a_notice(void **state)
{
	static const struct {
		const char *sender;
		uint8_t notify, status, action; /* action 0: none */
	} cases[] = {
	    {SENDER, 0, VGM_OUTCOME_FAILED, VGM_DSN_FAILED},
	    {SENDER, VGM_NOTIFY_FAILURE, VGM_OUTCOME_FAILED, VGM_DSN_FAILED},
	    {SENDER, VGM_NOTIFY_NEVER, VGM_OUTCOME_FAILED, 0},
	    {SENDER, VGM_NOTIFY_SUCCESS, VGM_OUTCOME_FAILED, 0},
	    {"", 0, VGM_OUTCOME_FAILED, 0},
	    {SENDER, 0, VGM_OUTCOME_RELAYED, 0},
	    {SENDER, VGM_NOTIFY_SUCCESS, VGM_OUTCOME_RELAYED, VGM_DSN_RELAYED},
	    {SENDER, VGM_NOTIFY_SUCCESS, VGM_OUTCOME_DELIVERED, 0},
	};
	struct house *h = *state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct mail mail = simple;
		uint8_t failure[16];
		uint64_t tag;
		mail.sender = cases[i].sender;
		mail.notify = cases[i].notify;
		assert_int_equal(append_mail(h, &mail, NULL), 0);
		struct delivery d = take_delivery(h);
		report_and_wait(h, &d, cases[i].status);
		if (cases[i].action)
			take_notify(h, cases[i].action, &tag, failure);
		else
			house_expect_none(h, h->render, VGM_MSG_notify, 300);
	}
	/* The same after a restart: those three, and no other. */
	uint8_t seen = 0;
	house_kill(h);
	house_open(h);
	for (int i = 0; i < 3; i++) {
		VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
		struct vgm_msg_notify *m = house_expect(h, h->render, VGM_MSG_notify, &got);
		seen = (uint8_t)(seen + m->action);
	}
	assert_int_equal(seen, 2 * VGM_DSN_FAILED + VGM_DSN_RELAYED);
	house_expect_none(h, h->render, VGM_MSG_notify, 300);
}

/* ---- time runs out ---- */

static int impatient_up(void **state)
{
	struct house *h = vgm_alloc(sizeof *h);
	*state = h;
	if (house_new(h, "{ledger: {segment_size: 1M, reserve: 1M, view_lag: 10m},"
			 " queue: {retry: [1s], expire: 3s, warn_after: 1s}}") < 0)
		return -1;
	house_open(h);
	return 0;
}

static void test_late_and_given_up(void **state)
{
	struct house *h = *state;
	uint8_t failure[16], late[16];
	uint64_t tag;
	assert_int_equal(append_mail(h, &simple, NULL), 0);
	struct delivery d = take_delivery(h);
	report_and_wait(h, &d, VGM_OUTCOME_DEFERRED);
	take_notify(h, VGM_DSN_DELAYED, &tag, late);
	d = take_delivery(h);
	assert_int_equal(d.attempt, 2);
	/* Killed: it is late still, told once still, and its time runs on. */
	assert_int_equal(append_as(h, h->render_worker, &notice, VGM_RECORD_NOTICE, late, NULL), 0);
	house_kill(h);
	house_open(h);
	struct delivery e;
	do { /* the notice's own delivery, and the message's next attempts */
		e = take_delivery(h);
		report(h, &e,
		    e.record[0] == d.record[0] ? VGM_OUTCOME_DEFERRED : VGM_OUTCOME_DELIVERED);
	} while (e.record[0] != d.record[0]);
	e = take_delivery(h);
	assert_int_equal(e.attempt, 3);
	report(h, &e, VGM_OUTCOME_DEFERRED);
	take_notify(h, VGM_DSN_FAILED, &tag, failure);
	assert_memory_not_equal(late, failure, 16);
	house_expect_none(h, h->relayd, VGM_MSG_deliver, 1500);
}

/* ---- people ---- */

static uint32_t act(struct house *h, uint8_t what, const uint8_t *record)
{
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	struct vgm_msg_schedule_act m = {.session = 77, .act = what, .who = VGM_SLICE_LIT("uid 0")};
	if (record)
		memcpy(m.record, record, 16);
	role_send(h->viewd, VGM_MSG_schedule_act, &m);
	struct vgm_msg_schedule_acted *a = house_expect(h, h->viewd, VGM_MSG_schedule_acted, &got);
	assert_int_equal(a->session, 77);
	return a->count;
}

static void test_quarantine(void **state)
{
	struct house *h = *state;
	struct mail held = simple;
	uint8_t a[16], b[16], unknown[16] = {9, 9};
	held.flags = VGM_ROUTING_HELD;
	held.route = "hold";
	assert_int_equal(append_mail(h, &held, a), 0);
	held.route = "route:main";
	assert_int_equal(append_mail(h, &held, b), 0);
	house_expect_none(h, h->relayd, VGM_MSG_deliver, 200);
	assert_int_equal(act(h, VGM_ACT_RELEASE, unknown), 0);
	assert_int_equal(act(h, 99, a), 0);
	assert_int_equal(act(h, VGM_ACT_RELEASE, b), 1);
	struct delivery d = take_delivery(h);
	assert_memory_equal(d.record, b, 16);
	report_and_wait(h, &d, VGM_OUTCOME_DELIVERED);
	house_kill(h);
	house_open(h);
	house_expect_none(h, h->relayd, VGM_MSG_deliver, 300); /* a is held still */
	/* Released, it gets the route that the configuration has for it. */
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	assert_int_equal(act(h, VGM_ACT_RELEASE, a), 1);
	struct vgm_msg_deliver *m = house_expect(h, h->relayd, VGM_MSG_deliver, &got);
	assert_memory_equal(m->record, a, 16);
	assert_true(vgm_slice_eq(m->route, VGM_SLICE_LIT("mx:chu.example")));
	house_kill(h);
	house_open(h);
	d = take_delivery(h); /* the release is replayed */
	assert_memory_equal(d.record, a, 16);
}

static void test_hold_and_remove(void **state)
{
	struct house *h = *state;
	uint8_t a[16], b[16];
	assert_int_equal(append_mail(h, &simple, a), 0);
	struct delivery d = take_delivery(h);
	report_and_wait(h, &d, VGM_OUTCOME_DEFERRED);
	assert_int_equal(act(h, VGM_ACT_HOLD, a), 1);
	assert_int_equal(act(h, VGM_ACT_FLUSH, NULL), 0);
	house_kill(h);
	house_open(h);
	assert_int_equal(act(h, VGM_ACT_HOLD, a), 0); /* it is held */
	assert_int_equal(act(h, VGM_ACT_RELEASE, NULL), 1);
	d = take_delivery(h);
	assert_int_equal(d.attempt, 2);
	report_and_wait(h, &d, VGM_OUTCOME_DEFERRED);
	assert_int_equal(append_mail(h, &simple, b), 0);
	d = take_delivery(h);
	report_and_wait(h, &d, VGM_OUTCOME_DEFERRED);
	assert_int_equal(act(h, VGM_ACT_FLUSH, NULL), 2);
	take_delivery(h);
	take_delivery(h);
	assert_int_equal(act(h, VGM_ACT_REMOVE, NULL), 2);
	house_kill(h);
	house_open(h);
	house_expect_none(h, h->relayd, VGM_MSG_deliver, 300);
}

static void test_open_a_record(void **state)
{
	struct house *h = *state;
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	VGM_CLEANUP(vgm_received_release) struct vgm_received job_got = VGM_RECEIVED_INIT;
	struct vgm_msg_open_record ask = {.session = 5,
	    .segment = 1,
	    .what = VGM_SHOW_RAW,
	    .who = VGM_SLICE_LIT("uid 0"),
	    .why = VGM_SLICE_LIT("test")};
	assert_int_equal(append_mail(h, &simple, ask.record), 0);
	struct vgm_msg_deliver *d = house_expect(h, h->relayd, VGM_MSG_deliver, &got);
	ask.record_offset = d->record_offset;
	house_expect(h, h->keyd, VGM_MSG_job, &job_got);
	role_send(h->viewd, VGM_MSG_open_record, &ask);
	struct vgm_msg_record_opened *o = house_expect(h, h->viewd, VGM_MSG_record_opened, &got);
	struct vgm_msg_job *job = house_expect(h, h->keyd, VGM_MSG_job, &job_got);
	assert_int_equal(o->ok, 1);
	assert_int_equal(o->session, 5);
	assert_true(o->segment >= 0);
	assert_int_equal(job->purpose, VGM_PURPOSE_SHOW);
	assert_memory_equal(job->token, o->token, 16);
	/* another record's id, no record there, no such segment */
	for (int i = 0; i < 3; i++) {
		struct vgm_msg_open_record bad = ask;
		bad.record[0] ^= i == 0;
		bad.record_offset += i == 1;
		bad.segment += i == 2;
		role_send(h->viewd, VGM_MSG_open_record, &bad);
		o = house_expect(h, h->viewd, VGM_MSG_record_opened, &got);
		assert_int_equal(o->ok, 0);
		assert_int_equal(o->segment, -1);
	}
}

/* ---- when new mail is put off ---- */

static void test_views_that_lag(void **state)
{
	struct house *h = *state;
	house_stop(h);
	h->options = "{ledger: {segment_size: 1M, reserve: 1M, view_lag: 1s}}";
	house_open(h);
	assert_int_equal(append_mail(h, &simple, NULL), 0);
	usleep(1300 * 1000);
	assert_int_equal(append_mail(h, &simple, NULL), VGM_REFUSED_LAG);
	struct vgm_msg_viewed viewed = {.tree_size = 1000};
	role_send(h->viewd, VGM_MSG_viewed, &viewed);
	usleep(100 * 1000);
	assert_int_equal(append_mail(h, &simple, NULL), 0);
}

static void test_read_only(void **state)
{
	(void)state;
	struct house h;
	uint8_t byte = 0xff;
	assert_int_equal(house_new(&h, plain_options), 0);
	house_open(&h);
	for (int i = 0; i < 5; i++)
		assert_int_equal(append_mail(&h, &simple, NULL), 0);
	house_kill(&h);
	int fd = openat(h.dir, "seg-0000000000000001.vgl", O_WRONLY);
	assert_int_equal(pwrite(fd, &byte, 1, VGM_SEGMENT_HEADER_BYTES + 100), 1);
	close(fd);
	house_start(&h);
	assert_int_equal(append_mail(&h, &simple, NULL), VGM_REFUSED_READONLY);
	assert_int_equal(act(&h, VGM_ACT_FLUSH, NULL), 0);
	house_expect_none(&h, h.relayd, VGM_MSG_deliver, 200);
	house_stop(&h);
	house_free(&h);
}

/* ---- checkpoints ---- */

static void test_checkpoints(void **state)
{
	struct house *h = *state;
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	static const uint8_t seed[32] = {3};
	uint8_t public_key[crypto_sign_PUBLICKEYBYTES], secret[crypto_sign_SECRETKEYBYTES];
	struct vgm_verify_result result;
	house_stop(h);
	h->options =
	    "{hostname: mx.chu.example,"
	    " ledger: {segment_size: 1M, reserve: 1M, checkpoint_every: 1s, view_lag: 10m}}";
	house_open(h);
	crypto_sign_seed_keypair(public_key, secret, seed);
	for (int i = 0; i < 3; i++) {
		VGM_CLEANUP(vgm_buf_release) struct vgm_buf note = VGM_BUF_INIT(2000);
		VGM_CLEANUP(vgm_buf_release) struct vgm_buf key = VGM_BUF_INIT(400);
		struct vgm_checkpoint c;
		struct vgm_verifier v;
		assert_int_equal(append_mail(h, &simple, NULL), 0);
		struct vgm_msg_sign_checkpoint *m =
		    house_expect(h, h->keyd, VGM_MSG_sign_checkpoint, &got);
		assert_int_equal(vgm_checkpoint_parse(m->body, &c, NULL), 0);
		assert_true(vgm_slice_eq(c.origin, VGM_SLICE_LIT("mx.chu.example/vgm/1")));
		assert_int_equal(vgm_note_sign(m->body, c.origin, seed, &note, NULL), 0);
		assert_int_equal(vgm_verifier_of(c.origin, public_key, &v, NULL), 0);
		assert_int_equal(vgm_verifier_format(&v, &key), 0);
		struct vgm_msg_signed_checkpoint done = {.body = m->body,
		    .note = i == 1 ? VGM_SLICE_NONE : vgm_buf_slice(&note), /* refused once */
		    .verifier = vgm_buf_slice(&key)};
		role_send(h->keyd, VGM_MSG_signed_checkpoint, &done);
	}
	house_stop(h);
	assert_int_equal(vgm_verify(h->dir, NULL, NULL, &result, NULL), 0);
	assert_int_equal(result.faults, 0);
	assert_int_equal(result.checkpoints, 3); /* two, and the newest again */
	assert_true(result.tiles > 0);
	house_open(h);
}

#define HOUSE_TEST(f) cmocka_unit_test_setup_teardown(f, house_up, house_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    HOUSE_TEST(test_mail_in_and_out),
	    HOUSE_TEST(test_large_bodies),
	    HOUSE_TEST(test_delivered_is_not_repeated),
	    HOUSE_TEST(test_several_recipients),
	    HOUSE_TEST(test_appends_that_are_refused),
	    HOUSE_TEST(test_outcomes_that_are_not_believed),
	    HOUSE_TEST(test_a_key_that_comes_late),
	    HOUSE_TEST(test_peers_that_start_anew),
	    HOUSE_TEST(test_a_failure_is_told_once),
	    HOUSE_TEST(test_notices_survive_a_snapshot),
	    HOUSE_TEST(test_who_wants_a_notice),
	    cmocka_unit_test_setup_teardown(test_late_and_given_up, impatient_up, house_down),
	    HOUSE_TEST(test_quarantine),
	    HOUSE_TEST(test_hold_and_remove),
	    HOUSE_TEST(test_open_a_record),
	    HOUSE_TEST(test_views_that_lag),
	    cmocka_unit_test(test_read_only),
	    HOUSE_TEST(test_checkpoints),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
