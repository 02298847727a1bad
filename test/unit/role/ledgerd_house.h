/* SPDX-License-Identifier: EUPL-1.2
 * A real ledgerd in a process of its own, sandbox and all; the test is keyd, the
 * filters, relayd and viewd. */
#ifndef VGM_TEST_ROLE_LEDGERD_HOUSE_H
#define VGM_TEST_ROLE_LEDGERD_HOUSE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "role_fixture.h"

#include "base/secret.h"
#include "ledger/reader.h"
#include "ledger/seal.h"
#include "ledger/verify.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#define DAY_US 86400000000ull
#define SENDER "marie@outside.example"

struct house {
	char root[64];
	int dir;
	const char *options;
	struct role_process ledgerd;
	int keyd, admit, render, relayd, viewd;
	int admit_worker, render_worker;
	uint32_t today;
	uint8_t key[32];
	uint8_t last_id;
};

static const char *const plain_options =
    "{hostname: mx.chu.example, ledger: {segment_size: 1M, reserve: 1M, view_lag: 10m}}";

static inline int house_worker(int template, enum vgm_role_id pool)
{
	int fds[2];
	assert_int_equal(vgm_ipc_pair(fds, false, NULL), 0);
	struct vgm_msg_worker m = {.pool = (uint8_t)pool, .channel = fds[1]};
	role_send(template, VGM_MSG_worker, &m);
	close(fds[1]);
	return fds[0];
}

static inline void house_close_peers(struct house *h)
{
	const int fds[] = {
	    h->keyd, h->admit, h->render, h->relayd, h->viewd, h->admit_worker, h->render_worker};
	for (size_t i = 0; i < VGM_ARRAY_LEN(fds); i++)
		close(fds[i]);
}

/* Waits for a message of that type from ledgerd; others before it are let go,
 * but a key that it asks for is lent. */
static inline void *house_expect(
    struct house *h, int fd, enum vgm_msg_type type, struct vgm_received *got)
{
	for (;;) {
		struct vgm_err err = {.code = 0};
		int r = vgm_ipc_receive(fd, got, fixture_deadline(), &err);
		if (r < 0)
			print_error("waiting for %s: %s\n", vgm_msg_name(type), err.text);
		assert_int_equal(r, 0);
		if (got->type == VGM_MSG_lend && fd == h->keyd) {
			const struct vgm_msg_lend *lend = got->message;
			struct vgm_msg_lent lent = {.kind = lend->kind, .day = lend->day, .ok = 1};
			memcpy(lent.key, h->key, 32);
			role_send(fd, VGM_MSG_lent, &lent);
		}
		if (got->type == (int)type)
			return got->message;
	}
}

/* Nothing of that type within some time. */
static inline void house_expect_none(struct house *h, int fd, enum vgm_msg_type type, uint64_t ms)
{
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	uint64_t deadline = vgm_clock_mono_ms() + ms;
	(void)h;
	while (vgm_ipc_receive(fd, &got, deadline, NULL) == 0)
		if (got.type == (int)type)
			fail_msg("%s came", vgm_msg_name((int)type));
}

static inline void house_start(struct house *h)
{
	h->ledgerd = role_fork(&vgm_role_ledgerd);
	role_configure(&h->ledgerd, VGM_INSTANCE_ONLY, h->options, h->dir);
	h->keyd = role_peer(&h->ledgerd, VGM_ROLE_KEYD, VGM_INSTANCE_ONLY);
	h->admit = role_peer(&h->ledgerd, VGM_ROLE_ADMIT, VGM_INSTANCE_ONLY);
	h->render = role_peer(&h->ledgerd, VGM_ROLE_RENDER, VGM_INSTANCE_ONLY);
	h->relayd = role_peer(&h->ledgerd, VGM_ROLE_RELAYD, VGM_INSTANCE_ONLY);
	h->viewd = role_peer(&h->ledgerd, VGM_ROLE_VIEWD, VGM_INSTANCE_ONLY);
	assert_int_equal(role_start(&h->ledgerd), 0);
	h->admit_worker = house_worker(h->admit, VGM_ROLE_ADMIT);
	h->render_worker = house_worker(h->render, VGM_ROLE_RENDER);
}

/* The same, and its first key is lent. */
static inline void house_open(struct house *h)
{
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	house_start(h);
	house_expect(h, h->keyd, VGM_MSG_lend, &got);
}

static inline void house_kill(struct house *h)
{
	int status;
	kill(h->ledgerd.pid, SIGKILL);
	assert_int_equal(waitpid(h->ledgerd.pid, &status, 0), h->ledgerd.pid);
	close(h->ledgerd.master);
	house_close_peers(h);
}

static inline void house_stop(struct house *h)
{
	assert_int_equal(role_stop(&h->ledgerd), 0);
	house_close_peers(h);
}

static inline int house_new(struct house *h, const char *options)
{
	*h = (struct house){.options = options, .today = (uint32_t)(vgm_clock_wall_us() / DAY_US)};
	snprintf(h->root, sizeof h->root, "%s/vgm-test-XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(h->root));
	h->dir = open(h->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	memset(h->key, 0x42, sizeof h->key);
	return h->dir < 0 ? -1 : 0;
}

static inline int house_remove(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st, (void)type, (void)where;
	return remove(path);
}

static inline void house_free(struct house *h)
{
	close(h->dir);
	nftw(h->root, house_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- mail ---- */

struct mail {
	const char *sender;
	const char *to[3];
	const char *route;
	uint8_t notify, flags;
	uint64_t expires_ms;
	size_t body;
};

static const struct mail simple = {
    .sender = SENDER, .to = {"jean@chu.example"}, .route = "route:main", .body = 300};

static inline void fill_append(struct house *h, const struct mail *mail, struct vgm_buf *routing,
    struct vgm_buf *body, struct vgm_msg_append *m)
{
	struct vgm_recipient to[3] = {{.notify = 0}};
	struct vgm_msg_routing r = {.flags = mail->flags,
	    .sender = vgm_slice_str(mail->sender),
	    .received_us = vgm_clock_wall_us(),
	    .size = mail->body,
	    .expires_ms = mail->expires_ms,
	    .recipients = to};
	for (; r.recipients_count < 3 && mail->to[r.recipients_count]; r.recipients_count++)
		to[r.recipients_count] =
		    (struct vgm_recipient){.address = vgm_slice_str(mail->to[r.recipients_count]),
			.route = vgm_slice_str(mail->route),
			.notify = mail->notify};
	uint8_t *bytes;
	vgm_buf_init(routing, 50000);
	vgm_buf_init(body, 4000000);
	assert_int_equal(vgm_msg_encode(VGM_MSG_routing, &r, routing, NULL, NULL), 0);
	assert_int_equal(vgm_buf_extend(body, mail->body + 16, &bytes), 0);
	memset(bytes, 'b', mail->body + 16);
	*m = (struct vgm_msg_append){.type = VGM_RECORD_MAIL,
	    .entity = 1,
	    .conf_version = 1,
	    .day = h->today,
	    .routing = vgm_buf_slice(routing),
	    .head = VGM_SLICE_LIT("head, sealed"),
	    .body_plain_size = mail->body,
	    .body_size = body->len,
	    .body_fd = -1};
	m->id[0] = ++h->last_id;
	m->id[15] = 0xee;
	memset(m->wrap, h->last_id, sizeof m->wrap);
	if (body->len <= 40000)
		m->body = vgm_buf_slice(body);
	else
		assert_int_equal(vgm_memfd_of("body", vgm_buf_slice(body), &m->body_fd, NULL), 0);
}

/* Appends from a worker; returns the refusal (0 = durable). id: of the record. */
static inline uint8_t append_as(struct house *h, int worker, const struct mail *mail, uint8_t type,
    const uint8_t *related, uint8_t id[16])
{
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	struct vgm_buf routing, body;
	struct vgm_msg_append m;
	fill_append(h, mail, &routing, &body, &m);
	m.type = type;
	if (related)
		memcpy(m.related, related, 16);
	const struct vgm_msg_appended *a =
	    role_call(worker, VGM_MSG_append, &m, VGM_MSG_appended, &got);
	assert_memory_equal(a->id, m.id, 16);
	assert_int_equal(a->ok, a->why == 0);
	if (id)
		memcpy(id, m.id, 16);
	if (m.body_fd >= 0)
		close(m.body_fd);
	vgm_buf_release(&routing);
	vgm_buf_release(&body);
	return a->why;
}

static inline uint8_t append_mail(struct house *h, const struct mail *mail, uint8_t id[16])
{
	return append_as(h, h->admit_worker, mail, VGM_RECORD_MAIL, NULL, id);
}

/* ---- deliveries ---- */

struct delivery {
	uint64_t number;
	uint8_t record[16];
	size_t count;
	uint32_t index;
	uint32_t attempt;
};

static inline struct delivery take_delivery(struct house *h)
{
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	struct vgm_msg_deliver *m = house_expect(h, h->relayd, VGM_MSG_deliver, &got);
	struct delivery d = {.number = m->delivery,
	    .count = m->recipients_count,
	    .index = m->indexes[0].value,
	    .attempt = m->attempt};
	memcpy(d.record, m->record, 16);
	assert_true(m->segment >= 0);
	assert_int_equal(m->indexes_count, m->recipients_count);
	return d;
}

static inline void report(struct house *h, const struct delivery *d, uint8_t status)
{
	struct vgm_outcome o[3];
	struct vgm_msg_outcomes m = {
	    .delivery = d->number, .outcomes = o, .outcomes_count = d->count};
	assert_true(d->count <= 3);
	for (uint32_t i = 0; i < d->count; i++)
		o[i] = (struct vgm_outcome){.index = d->index + i,
		    .status = status,
		    .enhanced = VGM_SLICE_LIT("5.1.1"),
		    .reply = VGM_SLICE_LIT("no such person")};
	memcpy(m.record, d->record, 16);
	role_send(h->relayd, VGM_MSG_outcomes, &m);
}

static inline void report_and_wait(struct house *h, const struct delivery *d, uint8_t status)
{
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	report(h, d, status);
	struct vgm_msg_outcomes_written *m =
	    house_expect(h, h->relayd, VGM_MSG_outcomes_written, &got);
	assert_int_equal(m->delivery, d->number);
}

#endif
