/* SPDX-License-Identifier: EUPL-1.2
 * role/smtpd_session.c — one connection: moves bytes between its socket and its
 * protocol (smtp/server/session.h), and ends it in time.
 *
 * Replies are sent once for each batch of input. A client that does not take its
 * replies is not read any more; while the filter works, nobody reads at all. */
#include "role/smtpd.h"

#include "base/clock.h"
#include "smtp/server/proxy.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define HANDSHAKE_MS 30000
#define LINGER_MS 2000
#define PAUSE_MS 10000 /* without memory for so long, a body is given up */
#define STRESS_DIVISOR 6

static void refused(void *context, unsigned code, enum vgm_words_id why, struct vgm_slice about);

static const struct vgm_smtp_events events = {vgm_smtpd_rule_mail, vgm_smtpd_rule_recipient,
    vgm_smtpd_body_begin, vgm_smtpd_body_add, vgm_smtpd_body_drop, vgm_smtpd_message,
    vgm_smtpd_authenticate, refused};

/* ---- log ---- */

static void log_session(struct vgm_log_line *line, const struct vgm_smtpd_session *s)
{
	const struct vgm_smtpd_machine *machine = NULL;
	if (s->door->run->instance == VGM_INSTANCE_DEVICES)
		machine = vgm_smtpd_machine_at(s->door, s->address.ip);
	vgm_log_ip(line, "client", s->address.ip);
	if (machine)
		vgm_log_text(line, "machine", machine->conf->name);
	vgm_log_text(line, "reference", s->reference);
}

static void refused(void *context, unsigned code, enum vgm_words_id why, struct vgm_slice about)
{
	struct vgm_smtpd_session *s = context;
	struct vgm_log_line line;
	vgm_log_start_limited(&line, VGM_LOG_INFO, "smtp_refused");
	log_session(&line, s);
	vgm_log_u64(&line, "code", code);
	vgm_log_text(&line, "why", vgm_words_name(why));
	vgm_log_address(&line, "about", about);
	vgm_log_end(&line);
}

static void log_tls_failure(const struct vgm_smtpd_session *s, const struct vgm_err *err)
{
	struct vgm_log_line line;
	vgm_log_start_limited(&line, VGM_LOG_INFO, "tls_failed");
	log_session(&line, s);
	vgm_log_err(&line, err);
	vgm_log_end(&line);
}

/* ---- life cycle ---- */

static void take_slot(struct vgm_smtpd *d, struct vgm_smtpd_session *s)
{
	VGM_BUG_ON(d->free_count == 0 && d->slots_top == VGM_SMTPD_SLOTS);
	s->slot = d->free_count ? d->free_slots[--d->free_count] : d->slots_top++;
	d->slots[s->slot] = s;
	s->next = d->sessions;
	if (s->next)
		s->next->previous = s;
	d->sessions = s;
	d->sessions_count++;
}

static void give_slot(struct vgm_smtpd *d, struct vgm_smtpd_session *s)
{
	d->slots[s->slot] = NULL;
	d->free_slots[d->free_count++] = s->slot;
	if (s->next)
		s->next->previous = s->previous;
	if (s->previous)
		s->previous->next = s->next;
	else
		d->sessions = s->next;
	d->sessions_count--;
}

void vgm_smtpd_session_close(struct vgm_smtpd_session *s)
{
	struct vgm_smtpd *d = s->door;
	vgm_smtpd_attempt_drop(s);
	vgm_smtp_session_free(&s->smtp);
	vgm_smtpd_body_drop(s);
	vgm_io_free(&s->io);
	vgm_stream_release(&s->stream);
	vgm_smtpd_clients_leave(d->clients, &s->client);
	d->paused_count -= s->paused;
	give_slot(d, s);
	vgm_free(s);
	vgm_smtpd_count_changed(d);
}

/* ---- output ---- */

/* False: the client has gone. */
static bool flush(struct vgm_smtpd_session *s)
{
	struct vgm_buf *out = vgm_smtp_session_output(s->smtp);
	while (out->len) {
		size_t n;
		int r = vgm_stream_write(&s->stream, out->data, out->len, &n);
		if (r == VGM_E_BUSY)
			return true;
		if (r < 0)
			return false;
		vgm_buf_consume(out, n);
	}
	vgm_buf_release(out); /* idle sessions hold no buffer */
	return true;
}

/* The protocol is over. A refusal must not be lost to a reset, which bytes that
 * nobody read would cause: such a client's socket is read for a while yet. */
static void finish(struct vgm_smtpd_session *s)
{
	bool polite = vgm_smtp_session_was_cut(s->smtp) || vgm_stream_is_tls(&s->stream);
	if (!polite || s->phase == VGM_SMTPD_LINGER) {
		vgm_smtpd_session_close(s);
		return;
	}
	vgm_stream_shutdown(&s->stream);
	s->phase = VGM_SMTPD_LINGER;
	s->spoke_ms = vgm_clock_mono_ms();
	vgm_io_want(s->io, VGM_IO_READ);
}

/* ---- TLS ---- */

static void greet(struct vgm_smtpd_session *s)
{
	s->phase = VGM_SMTPD_TALK;
	s->spoke_ms = vgm_clock_mono_ms();
	vgm_smtp_session_greet(s->smtp, vgm_smtpd_rule_connect(s));
	vgm_smtpd_session_serve(s);
}

static void handshake_done(struct vgm_smtpd_session *s)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf facts = VGM_BUF_INIT(100);
	uint8_t fingerprint[32];
	if (vgm_stream_tls_facts(&s->stream, &facts) < 0)
		vgm_buf_clear(&facts);
	if (vgm_stream_peer_fingerprint(&s->stream, fingerprint) == 0)
		s->may_relay |= vgm_smtpd_rule_certificate(s->door, fingerprint);
	vgm_smtp_session_tls_started(s->smtp, vgm_buf_slice(&facts));
	s->phase = VGM_SMTPD_TALK;
	s->spoke_ms = vgm_clock_mono_ms();
	if (s->tls_first)
		greet(s);
	else
		vgm_smtpd_session_serve(s);
}

static void handshake(struct vgm_smtpd_session *s)
{
	struct vgm_err err;
	int r = vgm_stream_handshake(&s->stream, &err);
	if (r == VGM_E_BUSY) {
		vgm_io_want(s->io, s->stream.want);
	} else if (r < 0) {
		log_tls_failure(s, &err);
		vgm_smtpd_session_close(s);
	} else {
		handshake_done(s);
	}
}

static void start_tls(struct vgm_smtpd_session *s)
{
	struct vgm_err err;
	struct vgm_tls *tls = s->door->tls;
	if (!tls || vgm_stream_start_tls(&s->stream, tls, NULL, false, &err) < 0) {
		vgm_smtpd_session_close(s);
		return;
	}
	s->phase = VGM_SMTPD_HANDSHAKE;
	s->spoke_ms = vgm_clock_mono_ms();
	handshake(s);
}

/* ---- input ---- */

/* More bytes for a body than there is memory: wait, and let others finish. */
static bool must_pause(struct vgm_smtpd_session *s)
{
	return vgm_smtp_session_in_body(s->smtp) && !s->no_memory &&
	       vgm_smtpd_memory_is_full(s->door);
}

static void pause_reading(struct vgm_smtpd_session *s)
{
	s->paused = true;
	s->paused_ms = vgm_clock_mono_ms();
	s->door->paused_count++;
	vgm_io_want(s->io, 0);
}

/* Reads once. False: the session is freed, or has nothing more to read. */
static bool read_once(struct vgm_smtpd_session *s)
{
	struct vgm_smtpd *d = s->door;
	size_t n;
	if (must_pause(s)) {
		pause_reading(s);
		return false;
	}
	int r = vgm_stream_read(&s->stream, d->input, VGM_SMTPD_INPUT_BYTES, &n);
	if (r == VGM_E_BUSY) {
		vgm_io_want(s->io, s->stream.want);
		return false;
	}
	if (r < 0) {
		vgm_smtpd_session_close(s);
		return false;
	}
	bool was_in_body = vgm_smtp_session_in_body(s->smtp);
	s->heard_ms = vgm_clock_mono_ms();
	vgm_smtp_session_feed(s->smtp, vgm_slice(d->input, n));
	if (vgm_smtp_session_output(s->smtp)->len)
		s->spoke_ms = s->heard_ms;
	if (!was_in_body && vgm_smtp_session_in_body(s->smtp)) {
		s->body_from_ms = s->heard_ms;
		s->body_heard = 0;
	}
	s->body_heard += n;
	return true;
}

/* After the last message before a shutdown, and between commands then. */
static void cut_when_stopping(struct vgm_smtpd_session *s)
{
	struct vgm_smtp_answer bye = {421, "4.3.2", VGM_WORDS_smtp_stopping};
	bool idle = s->phase == VGM_SMTPD_TALK && vgm_smtp_session_is_idle(s->smtp);
	if (s->door->run->stopping && idle)
		vgm_smtp_session_cut(s->smtp, bye);
}

void vgm_smtpd_session_serve(struct vgm_smtpd_session *s)
{
	if (s->phase != VGM_SMTPD_TALK)
		return;
	do {
		cut_when_stopping(s);
		if (!flush(s)) {
			vgm_smtpd_session_close(s);
			return;
		}
		if (vgm_smtp_session_output(s->smtp)->len) {
			vgm_io_want(s->io, s->stream.want);
			return;
		}
		switch (vgm_smtp_session_wants(s->smtp)) {
		case VGM_SMTP_WANT_CLOSE:
			finish(s);
			return;
		case VGM_SMTP_WANT_TLS:
			start_tls(s);
			return;
		case VGM_SMTP_WANT_ANSWER:
			vgm_io_want(s->io, VGM_IO_READ);
			return;
		case VGM_SMTP_WANT_INPUT:
			vgm_io_want(s->io, s->paused ? 0 : VGM_IO_READ);
		}
		/* Bytes that TLS has decrypted already wake nobody. */
	} while (!s->paused && vgm_stream_pending(&s->stream) && read_once(s));
}

static void talk(struct vgm_smtpd_session *s)
{
	if (vgm_smtp_session_output(s->smtp)->len)
		vgm_smtpd_session_serve(s);
	else if (vgm_smtp_session_wants(s->smtp) != VGM_SMTP_WANT_INPUT)
		vgm_io_want(s->io, 0); /* pipelined input stays in the socket until the verdict */
	else if (read_once(s))
		vgm_smtpd_session_serve(s);
}

/* Nothing that comes now is of interest, only that it ends. */
static void linger(struct vgm_smtpd_session *s)
{
	size_t n;
	int r = vgm_stream_read(&s->stream, s->door->input, VGM_SMTPD_INPUT_BYTES, &n);
	if (r < 0 && r != VGM_E_BUSY)
		vgm_smtpd_session_close(s);
}

/* ---- the beginning ---- */

static struct vgm_smtp_answer too_many(const struct vgm_smtpd_session *s)
{
	const struct vgm_conf *conf = &s->door->run->conf;
	if (s->door->sessions_count > conf->max_clients)
		return (struct vgm_smtp_answer){421, "4.3.2", VGM_WORDS_smtp_busy};
	if (s->client && s->client->sessions > conf->max_per_client)
		return (struct vgm_smtp_answer){421, "4.7.0", VGM_WORDS_smtp_client_busy};
	return (struct vgm_smtp_answer){0};
}

/* The client's address is known. */
static void meet(struct vgm_smtpd_session *s)
{
	struct vgm_smtpd *d = s->door;
	bool counted = !vgm_ip_is_loopback(s->address.ip) &&
		       !vgm_smtpd_networks_have(&d->trusted_hops, s->address.ip);
	/* Login attempts are counted for everybody, sessions not for our own hops. */
	s->client = vgm_smtpd_clients_enter(d->clients, s->address.ip);
	struct vgm_smtp_answer no = too_many(s);
	if (no.code == 421 && no.why == VGM_WORDS_smtp_client_busy && !counted)
		no.code = 0;
	if (no.code) {
		s->phase = VGM_SMTPD_TALK;
		vgm_smtp_session_greet(s->smtp, no);
		vgm_smtpd_session_serve(s);
	} else if (s->tls_first) {
		start_tls(s);
	} else {
		greet(s);
	}
}

/* Looks without taking, so that TLS finds its first byte in the socket. */
static void read_proxy(struct vgm_smtpd_session *s)
{
	uint8_t header[VGM_PROXY_MAX];
	struct vgm_proxy proxy;
	size_t used = 0;
	ssize_t n = recv(s->stream.fd, header, sizeof header, MSG_PEEK);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	int r = n > 0 ? vgm_proxy_parse(vgm_slice(header, (size_t)n), &proxy, &used) : VGM_E_CLOSED;
	if (r == 0) {
		/* Half a header: a peek would wake us for ever. The tick looks again. */
		vgm_io_want(s->io, 0);
		return;
	}
	if (r < 0 || recv(s->stream.fd, header, used, 0) != (ssize_t)used) {
		vgm_smtpd_session_close(s);
		return;
	}
	if (!proxy.local)
		s->address = proxy.client;
	meet(s);
}

static void ready(void *context, unsigned events_ready)
{
	struct vgm_smtpd_session *s = context;
	(void)events_ready; /* each phase tries, and learns what it must wait for */
	switch (s->phase) {
	case VGM_SMTPD_PROXY:
		read_proxy(s);
		break;
	case VGM_SMTPD_HANDSHAKE:
		handshake(s);
		break;
	case VGM_SMTPD_TALK:
		talk(s);
		break;
	case VGM_SMTPD_LINGER:
		linger(s);
		break;
	}
}

void vgm_smtpd_session_open(
    struct vgm_smtpd *d, int fd, const struct vgm_addr *from, bool tls_first)
{
	if (d->free_count == 0 && d->slots_top == VGM_SMTPD_SLOTS) {
		close(fd);
		return;
	}
	struct vgm_smtpd_session *s = vgm_alloc(sizeof *s);
	s->door = d;
	s->address = *from;
	s->tls_first = tls_first;
	s->body_fd = -1;
	s->heard_ms = s->spoke_ms = vgm_clock_mono_ms();
	snprintf(s->reference, sizeof s->reference, "%08x-%x", d->reference_base, d->references++);
	vgm_stream_init(&s->stream, fd);
	s->io = vgm_io_new(d->run->loop, fd, ready, s);
	s->smtp = vgm_smtp_session_new(&d->settings, &events, s, s->reference);
	take_slot(d, s);
	vgm_smtpd_count_changed(d);
	if (vgm_smtpd_networks_have(&d->proxies, from->ip)) {
		s->phase = VGM_SMTPD_PROXY;
		vgm_io_want(s->io, VGM_IO_READ);
	} else {
		meet(s);
	}
}

/* ---- time ---- */

static void cut(struct vgm_smtpd_session *s, enum vgm_words_id why)
{
	struct vgm_smtp_answer last = {421, "4.4.2", why};
	bool deaf = vgm_smtp_session_output(s->smtp)->len > 0;
	vgm_smtp_session_cut(s->smtp, last);
	if (deaf)
		vgm_smtpd_session_close(s); /* it has not taken the replies before this one */
	else
		vgm_smtpd_session_serve(s);
}

static bool is_too_slow(const struct vgm_smtpd_session *s, uint64_t now_ms)
{
	const struct vgm_conf *conf = &s->door->run->conf;
	uint64_t took = now_ms - s->body_from_ms;
	uint64_t after = conf->min_rate_after / (vgm_smtpd_in_stress(s->door) ? STRESS_DIVISOR : 1);
	return took > after && s->body_heard * 1000 / took < conf->min_rate;
}

static void tick_talk(struct vgm_smtpd_session *s, uint64_t now_ms)
{
	uint64_t limit = s->door->run->conf.command_timeout;
	if (vgm_smtpd_in_stress(s->door))
		limit /= STRESS_DIVISOR;
	if (s->paused) {
		if (now_ms - s->paused_ms < PAUSE_MS)
			return;
		/* What follows is read over, and 452 said at its end. Its memory
		 * lets the others go on, so that not all are given up together. */
		s->no_memory = true;
		s->paused = false;
		s->door->paused_count--;
		s->heard_ms = s->body_from_ms = now_ms;
		vgm_io_want(s->io, VGM_IO_READ);
		vgm_smtpd_body_drop(s);
	} else if (vgm_smtp_session_wants(s->smtp) == VGM_SMTP_WANT_ANSWER) {
		vgm_smtpd_admit_late(s);
	} else if (vgm_smtp_session_in_body(s->smtp)) {
		if (now_ms - s->heard_ms > limit)
			cut(s, VGM_WORDS_smtp_timeout);
		else if (is_too_slow(s, now_ms))
			cut(s, VGM_WORDS_smtp_too_slow);
	} else if (now_ms - s->spoke_ms > limit) {
		/* Counted from our last reply: a command that drips is as good as none. */
		cut(s, VGM_WORDS_smtp_timeout);
	}
}

void vgm_smtpd_session_tick(struct vgm_smtpd_session *s, uint64_t now_ms)
{
	uint64_t quiet = now_ms - s->spoke_ms;
	uint64_t limit = HANDSHAKE_MS / (vgm_smtpd_in_stress(s->door) ? STRESS_DIVISOR : 1);
	switch (s->phase) {
	case VGM_SMTPD_PROXY:
		if (quiet > limit)
			vgm_smtpd_session_close(s);
		else
			vgm_io_want(s->io, VGM_IO_READ);
		break;
	case VGM_SMTPD_HANDSHAKE:
		if (quiet > limit)
			vgm_smtpd_session_close(s);
		break;
	case VGM_SMTPD_TALK:
		tick_talk(s, now_ms);
		break;
	case VGM_SMTPD_LINGER:
		if (quiet > LINGER_MS)
			vgm_smtpd_session_close(s);
		break;
	}
}
