/* SPDX-License-Identifier: EUPL-1.2
 * role/smtpd_body.c — the body of a message: into a memfd as it arrives, sealed
 * at its end, handed to the admit filters, and kept until they have answered,
 * since a body that kills its filter must be named (rule 12). All bodies count
 * against one budget (rule 11). */
#include "role/smtpd.h"

#include "base/clock.h"
#include "os/memfd.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

#define PIECES 64
#define QUEUE_MAX 1000 /* messages that wait for a filter: more are put off at once */
#define LATE_MS 5000   /* behind filter.timeout, which the pool itself watches */
#define SLOT_BITS 16
#define BODY_STRUCK_MS 86400000u   /* a day */
#define NETWORK_STRUCK_MS 3600000u /* an hour */

_Static_assert(VGM_SMTPD_SLOTS <= 1 << SLOT_BITS, "a slot fits its part of the id");

bool vgm_smtpd_memory_is_full(const struct vgm_smtpd *d)
{
	return d->body_bytes >= d->run->conf.body_memory;
}

/* ---- in ---- */

struct vgm_smtp_answer vgm_smtpd_body_begin(void *context)
{
	struct vgm_smtpd_session *s = context;
	s->no_memory = false;
	if (vgm_smtpd_memory_is_full(s->door))
		return (struct vgm_smtp_answer){452, "4.3.1", VGM_WORDS_smtp_no_room};
	return (struct vgm_smtp_answer){0};
}

static int write_all(int fd, struct iovec *part, size_t count)
{
	while (count) {
		ssize_t n = writev(fd, part, (int)count);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return VGM_E_IO;
		while (count && (size_t)n >= part->iov_len) {
			n -= (ssize_t)part->iov_len;
			part++;
			count--;
		}
		if (count) {
			part->iov_base = (char *)part->iov_base + n;
			part->iov_len -= (size_t)n;
		}
	}
	return 0;
}

int vgm_smtpd_body_add(void *context, const struct vgm_slice *pieces, size_t count)
{
	struct vgm_smtpd_session *s = context;
	struct iovec part[PIECES];
	uint64_t bytes = 0;
	if (s->no_memory || count > PIECES)
		return VGM_E_LIMIT;
	if (s->body_fd < 0 && vgm_memfd_new("body", &s->body_fd, NULL) < 0)
		return VGM_E_IO;
	for (size_t i = 0; i < count; i++) {
		part[i] = (struct iovec){(void *)(uintptr_t)pieces[i].data, pieces[i].len};
		bytes += pieces[i].len;
	}
	/* Counted first: what was written in part is given back by the drop. */
	s->body_bytes += bytes;
	s->door->body_bytes += bytes;
	return write_all(s->body_fd, part, count);
}

void vgm_smtpd_body_drop(void *context)
{
	struct vgm_smtpd_session *s = context;
	if (s->body_fd >= 0)
		close(s->body_fd);
	s->body_fd = -1;
	s->door->body_bytes -= s->body_bytes;
	s->body_bytes = 0;
	s->door->admits_waiting -= s->admit_id != 0;
	s->admit_id = 0;
	vgm_smtpd_resume_paused(s->door);
}

/* ---- strikes ---- */

static int hash_body(const struct vgm_smtpd_session *s, uint8_t out[32])
{
	struct vgm_mapping body;
	int r = vgm_mapping_open(s->body_fd, s->body_bytes, &body, NULL);
	if (r < 0)
		return r;
	crypto_hash_sha256(out, body.bytes.data, body.bytes.len);
	vgm_mapping_release(&body);
	return 0;
}

void vgm_smtpd_struck(struct vgm_smtpd *d, const struct vgm_msg_struck *m)
{
	struct vgm_smtpd_struck *e = &d->struck[d->struck_count % VGM_SMTPD_STRUCK];
	d->struck_count++; /* the oldest makes room */
	*e = (struct vgm_smtpd_struck){.body_size = m->body_size, .is_body = m->kind == 1};
	memcpy(e->body_sha256, m->body_sha256, sizeof e->body_sha256);
	memcpy(e->network, m->network, sizeof e->network);
	e->until_ms = vgm_clock_mono_ms() + (e->is_body ? BODY_STRUCK_MS : NETWORK_STRUCK_MS);
}

/* The third message with a body that kills filters is sealed unread. Bodies are
 * hashed only when one of their size is wanted. */
static bool must_seal_only(const struct vgm_smtpd_session *s)
{
	const struct vgm_smtpd *d = s->door;
	uint8_t sha256[32];
	bool hashed = false;
	uint64_t now = vgm_clock_mono_ms();
	for (size_t i = 0; i < vgm_min_size(d->struck_count, VGM_SMTPD_STRUCK); i++) {
		const struct vgm_smtpd_struck *e = &d->struck[i];
		if (!e->is_body || e->body_size != s->body_bytes || now >= e->until_ms)
			continue;
		if (!hashed && hash_body(s, sha256) < 0)
			return false;
		hashed = true;
		if (memcmp(sha256, e->body_sha256, sizeof sha256) == 0)
			return true;
	}
	return false;
}

static void report_strike(struct vgm_smtpd_session *s, uint8_t cause)
{
	struct vgm_msg_strike m = {.body_size = s->body_bytes, .cause = cause};
	struct vgm_log_line line;
	if (cause == VGM_DEATH_WALL || hash_body(s, m.body_sha256) < 0)
		return;
	vgm_ip_network(s->address.ip, 24, 48, m.network);
	vgm_channel_offer(s->door->run->master, VGM_MSG_strike, &m);
	vgm_log_start(&line, VGM_LOG_WARNING, "body_killed_filter");
	vgm_log_ip(&line, "client", s->address.ip);
	vgm_log_text(&line, "reference", s->reference);
	vgm_log_hex(&line, "sha256", m.body_sha256, sizeof m.body_sha256);
	vgm_log_u64(&line, "cause", cause);
	vgm_log_end(&line);
}

/* ---- to the filter ---- */

static void refuse(struct vgm_smtpd_session *s, enum vgm_words_id why)
{
	struct vgm_smtp_answer no = {451, "4.3.0", why};
	if (why == VGM_WORDS_smtp_no_room)
		no = (struct vgm_smtp_answer){452, "4.3.1", why};
	vgm_smtpd_body_drop(s);
	vgm_smtp_session_answer_words(s->smtp, no);
	s->spoke_ms = vgm_clock_mono_ms();
}

/* A machine's mistakes, for the people who look after it. The ledger gets them
 * with the message (vgm devices); how many there were stands in the log only. */
static void note_machine(struct vgm_smtpd_session *s, const struct vgm_smtp_transaction *t)
{
	const struct vgm_smtpd_machine *m = vgm_smtpd_machine_at(s->door, s->address.ip);
	struct vgm_log_line line;
	if (!m || !t->faults)
		return;
	vgm_log_start(&line, VGM_LOG_WARNING, "machine_faults");
	vgm_log_text(&line, "machine", m->conf->name);
	vgm_log_ip(&line, "client", s->address.ip);
	vgm_log_u64(&line, "bare_cr", t->bare_cr);
	vgm_log_u64(&line, "bare_lf", t->bare_lf);
	vgm_log_u64(&line, "path", (t->faults & VGM_FAULT_PATH) != 0);
	vgm_log_u64(&line, "name", (t->faults & VGM_FAULT_NAME) != 0);
	vgm_log_end(&line);
}

static struct vgm_msg_admit job(struct vgm_smtpd_session *s, const struct vgm_smtp_transaction *t)
{
	const struct vgm_smtp_connection *c = vgm_smtp_session_connection(s->smtp);
	bool devices = s->door->run->instance == VGM_INSTANCE_DEVICES;
	const struct vgm_smtpd_machine *machine =
	    devices ? vgm_smtpd_machine_at(s->door, s->address.ip) : NULL;
	struct vgm_msg_admit m = {.session = s->admit_id,
	    .instance = (uint8_t)s->door->run->instance,
	    .flags = (uint8_t)(t->flags | (must_seal_only(s) ? VGM_ADMIT_SEAL_ONLY : 0u)),
	    .client_port = s->address.port,
	    .helo = vgm_buf_slice(&c->helo),
	    .tls = vgm_buf_slice(&c->tls),
	    .login = vgm_buf_slice(&c->login),
	    .received_us = vgm_clock_wall_us(),
	    .sender = t->sender,
	    .ret = t->ret,
	    .envid = t->envid,
	    .recipients = t->recipients,
	    .recipients_count = t->recipients_count,
	    .machine = machine ? vgm_slice_str(machine->conf->name) : VGM_SLICE_NONE,
	    .faults = machine ? (uint8_t)t->faults : 0,
	    .size = t->size,
	    .company = (uint16_t)vgm_min_size(s->door->admits_waiting, UINT16_MAX),
	    .body = s->body_fd};
	memcpy(m.client, s->address.ip, sizeof m.client);
	return m;
}

static int hand_over(struct vgm_smtpd_session *s, const struct vgm_smtp_transaction *t)
{
	struct vgm_smtpd *d = s->door;
	struct vgm_channel *pool = vgm_role_peer(d->run, VGM_ROLE_ADMIT, VGM_INSTANCE_ONLY);
	if (!pool || vgm_channel_waiting(pool) > QUEUE_MAX)
		return VGM_E_BUSY;
	if (s->body_fd < 0 && vgm_memfd_new("body", &s->body_fd, NULL) < 0)
		return VGM_E_IO;
	if (vgm_memfd_seal(s->body_fd, NULL) < 0)
		return VGM_E_IO;
	s->admit_id = ++d->admits << SLOT_BITS | s->slot;
	d->admits_waiting++;
	s->admit_until_ms = vgm_clock_mono_ms() + d->run->conf.filter_timeout + LATE_MS;
	struct vgm_msg_admit m = job(s, t);
	return vgm_channel_send(pool, VGM_MSG_admit, &m);
}

void vgm_smtpd_message(void *context, const struct vgm_smtp_transaction *t)
{
	struct vgm_smtpd_session *s = context;
	if (s->no_memory) {
		refuse(s, VGM_WORDS_smtp_no_room);
		return;
	}
	VGM_BUG_ON(t->size != s->body_bytes);
	if (s->door->run->instance == VGM_INSTANCE_DEVICES)
		note_machine(s, t);
	if (hand_over(s, t) < 0)
		refuse(s, VGM_WORDS_smtp_busy);
}

/* ---- and back ---- */

/* The session that still waits for this answer, or NULL. */
static struct vgm_smtpd_session *asker(struct vgm_smtpd *d, uint64_t id)
{
	size_t slot = id & ((1u << SLOT_BITS) - 1);
	struct vgm_smtpd_session *s = slot < d->slots_top ? d->slots[slot] : NULL;
	return s && s->admit_id == id && id ? s : NULL;
}

void vgm_smtpd_admitted(struct vgm_smtpd *d, const struct vgm_msg_admitted *m)
{
	struct vgm_smtpd_session *s = asker(d, m->session);
	char enhanced[17] = "";
	if (!s)
		return;
	vgm_smtpd_body_drop(s);
	memcpy(enhanced, m->enhanced.data, vgm_min_size(m->enhanced.len, sizeof enhanced - 1));
	s->spoke_ms = vgm_clock_mono_ms();
	vgm_smtp_session_answer(s->smtp, m->code, enhanced[0] ? enhanced : NULL, m->text);
	vgm_smtpd_session_serve(s);
}

void vgm_smtpd_filter_died(struct vgm_smtpd *d, const struct vgm_msg_filter_died *m)
{
	struct vgm_smtpd_session *s = asker(d, m->session);
	if (!s)
		return;
	report_strike(s, m->cause);
	refuse(s, VGM_WORDS_smtp_examination_failed);
	vgm_smtpd_session_serve(s);
}

void vgm_smtpd_pool_gone(struct vgm_smtpd *d)
{
	for (struct vgm_smtpd_session *s = d->sessions, *next; s; s = next) {
		next = s->next;
		if (!s->admit_id)
			continue;
		refuse(s, VGM_WORDS_smtp_examination_failed);
		vgm_smtpd_session_serve(s);
	}
}

void vgm_smtpd_admit_late(struct vgm_smtpd_session *s)
{
	if (!s->admit_id || vgm_clock_mono_ms() < s->admit_until_ms)
		return;
	refuse(s, VGM_WORDS_smtp_examination_failed);
	vgm_smtpd_session_serve(s);
}
