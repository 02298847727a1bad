/* SPDX-License-Identifier: EUPL-1.2
 * role/smtpd.c — the door: SMTP sessions of one instance (receive, submit,
 * devices). Holds the bytes of connections and nothing longer than a session;
 * has no disk, no private key, no network of its own but what it accepted.
 *
 * A message's way: its bytes go to a memfd as they arrive; at the end of data
 * the sealed memfd goes to the pool of admit filters (ADMIT), and what the
 * filter answers is what the client hears. Pipelined commands wait meanwhile.
 *
 * Time is looked at once a second for all sessions: nothing here needs better. */
#include "role/smtpd.h"

#include "base/clock.h"
#include "base/secret.h"
#include "os/memfd.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#define TICK_MS 1000
#define ACCEPTS_AT_ONCE 32
#define STOP_MS 10000 /* messages in hand get so long to finish */
#define SWEEP_TICKS 60
#define CHAIN_TICKS 5 /* keyd is asked again when it did not answer */
#define CHAIN_DEADLINE_MS 2000
#define STRESS_PERCENT 80
#define STRESS_ERRORS 3
#define FILES 45000 /* two for each session, and some */

/* ---- load ---- */

bool vgm_smtpd_in_stress(const struct vgm_smtpd *d)
{
	return d->sessions_count * 100 > d->run->conf.max_clients * STRESS_PERCENT;
}

static void listen_on(struct vgm_smtpd *d, bool on)
{
	for (size_t i = 0; i < d->run->listeners_count; i++)
		vgm_io_want(d->listeners[i].io, on ? VGM_IO_READ : 0);
	d->listening_paused = !on;
}

void vgm_smtpd_count_changed(struct vgm_smtpd *d)
{
	d->settings.max_errors = (unsigned)d->run->conf.max_errors;
	if (vgm_smtpd_in_stress(d) && d->settings.max_errors > STRESS_ERRORS)
		d->settings.max_errors = STRESS_ERRORS;
	if (d->run->stopping && d->sessions_count == 0)
		vgm_role_done(d->run);
	else if (d->listening_paused && !d->run->stopping)
		listen_on(d, true);
}

void vgm_smtpd_resume_paused(struct vgm_smtpd *d)
{
	if (d->paused_count == 0 || vgm_smtpd_memory_is_full(d))
		return;
	for (struct vgm_smtpd_session *s = d->sessions; s; s = s->next)
		if (s->paused) {
			s->paused = false;
			s->body_from_ms += vgm_clock_mono_ms() - s->paused_ms;
			vgm_io_want(s->io, VGM_IO_READ);
		}
	d->paused_count = 0;
}

/* ---- new connections ---- */

static bool accept_one(struct vgm_smtpd *d, const struct vgm_role_listener *l)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof from;
	struct vgm_addr address;
	int fd = accept4(l->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		/* Without descriptors a listening socket stays readable: look away. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			listen_on(d, false);
		return errno == ECONNABORTED || errno == EINTR;
	}
	if (vgm_addr_from_sockaddr((struct sockaddr *)&from, &address) < 0)
		close(fd);
	else
		vgm_smtpd_session_open(d, fd, &address, l->tls);
	return !d->listening_paused;
}

static void connections(void *context, unsigned events)
{
	struct vgm_smtpd_listener *l = context;
	int n = 0;
	(void)events;
	while (n < ACCEPTS_AT_ONCE && accept_one(l->door, l->socket))
		n++;
}

/* ---- TLS: the certificate; its key is keyd's ---- */

static int take_chain(struct vgm_smtpd *d, struct vgm_slice pem)
{
	struct vgm_tls *tls;
	struct vgm_err err;
	const struct vgm_conf *conf = &d->run->conf;
	bool submit = d->run->instance == VGM_INSTANCE_SUBMIT;
	bool ask = submit && conf->submit_relay_certificates.count;
	int r = vgm_tls_server_new(pem, vgm_tls_sign_over_ipc, &d->keyd_fd, ask, &tls, &err);
	if (r < 0) {
		struct vgm_log_line line;
		vgm_log_start(&line, VGM_LOG_ERROR, "tls_certificate");
		vgm_log_err(&line, &err);
		vgm_log_end(&line);
		return r;
	}
	vgm_tls_free(&d->tls);
	d->tls = tls;
	d->settings.offer_tls = d->run->instance != VGM_INSTANCE_DEVICES;
	d->settings.offer_auth = submit && conf->logins_count;
	return 0;
}

/* Everything said to keyd waits for its answer (rule 11), so its channel is not
 * read by the loop: the one reader is whoever asked. */
static void ask_chain(struct vgm_smtpd *d)
{
	VGM_CLEANUP(vgm_received_release) struct vgm_received answer = VGM_RECEIVED_INIT;
	struct vgm_msg_tls_certificates ask;
	struct vgm_channel *keyd = vgm_role_peer(d->run, VGM_ROLE_KEYD, VGM_INSTANCE_TLS);
	d->keyd_fd = -1;
	if (!keyd || d->run->instance == VGM_INSTANCE_DEVICES)
		return;
	int fd = vgm_channel_pause(keyd);
	uint64_t deadline = vgm_clock_mono_ms() + CHAIN_DEADLINE_MS;
	if (vgm_ipc_call(
		fd, VGM_MSG_tls_certificates, &ask, VGM_MSG_tls_chain, &answer, deadline, NULL) < 0)
		return;
	const struct vgm_msg_tls_chain *chain = answer.message;
	if (take_chain(d, chain->pem) == 0)
		d->keyd_fd = fd;
}

/* ---- time ---- */

static void tick(void *context)
{
	struct vgm_smtpd *d = context;
	uint64_t now = vgm_clock_mono_ms();
	for (struct vgm_smtpd_session *s = d->sessions, *next; s; s = next) {
		next = s->next;
		vgm_smtpd_session_tick(s, now);
	}
	d->ticks++;
	if (d->ticks % SWEEP_TICKS == 0)
		vgm_smtpd_clients_sweep(d->clients, now);
	if (d->keyd_fd < 0 && d->ticks % CHAIN_TICKS == 0)
		ask_chain(d);
	if (d->listening_paused && !d->run->stopping)
		listen_on(d, true);
	if (d->run->stopping && now >= d->stop_until_ms) {
		vgm_role_done(d->run);
		return;
	}
	vgm_timer_in(d->tick, TICK_MS);
}

/* ---- the role ---- */

static int load_directory(struct vgm_smtpd *d, struct vgm_err *err)
{
	struct vgm_mapping text = {VGM_SLICE_NONE};
	struct vgm_directory *fresh = NULL;
	struct stat st;
	int fd = d->run->directory_fd;
	if (fd >= 0 && fstat(fd, &st) < 0)
		return vgm_err_sys(err, "directory file");
	int r = fd < 0 ? 0 : vgm_mapping_open(fd, (uint64_t)st.st_size, &text, err);
	if (r == 0 && text.bytes.len)
		r = vgm_directory_parse(text.bytes, &fresh, NULL, err);
	vgm_mapping_release(&text);
	if (r < 0)
		return r;
	vgm_directory_free(&d->directory);
	d->directory = fresh;
	return 0;
}

static int prepare(struct vgm_role_run *run, struct vgm_err *err)
{
	struct vgm_smtpd *d = vgm_alloc(sizeof *d);
	d->ledger_room = UINT64_MAX; /* until ledgerd says otherwise */
	int on = 1;
	if (sodium_init() < 0)
		return vgm_err_set(err, VGM_E_CRYPTO, "libsodium cannot start");
	signal(SIGPIPE, SIG_IGN);
	vgm_tls_library_init();
	/* Accepted sockets inherit it. */
	for (size_t i = 0; i < run->listeners_count; i++)
		if (setsockopt(run->listeners[i].fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
			return vgm_err_sys(err, "TCP_NODELAY");
	d->run = run;
	d->keyd_fd = -1;
	d->clients = vgm_smtpd_clients_new();
	d->input = vgm_alloc(VGM_SMTPD_INPUT_BYTES);
	d->attempts_end = &d->attempts;
	vgm_random(&d->reference_base, sizeof d->reference_base);
	run->state = d;
	vgm_smtpd_rules_load(d);
	return load_directory(d, err);
}

static int begin(struct vgm_role_run *run, struct vgm_err *err)
{
	struct vgm_smtpd *d = run->state;
	(void)err;
	d->tick = vgm_timer_new(run->loop, "smtpd tick", tick, d);
	d->login_turn = vgm_timer_new(run->loop, "smtpd login", vgm_smtpd_login_turn, d);
	for (size_t i = 0; i < run->listeners_count; i++) {
		struct vgm_smtpd_listener *l = &d->listeners[i];
		*l = (struct vgm_smtpd_listener){.door = d, .socket = &run->listeners[i]};
		l->io = vgm_io_new(run->loop, l->socket->fd, connections, l);
	}
	ask_chain(d);
	vgm_smtpd_count_changed(d);
	listen_on(d, true);
	vgm_timer_in(d->tick, TICK_MS);
	return 0;
}

static void message(struct vgm_role_run *run, struct vgm_channel *from, int type, void *m)
{
	(void)from;
	switch (type) {
	case VGM_MSG_admitted:
		vgm_smtpd_admitted(run->state, m);
		break;
	case VGM_MSG_filter_died:
		vgm_smtpd_filter_died(run->state, m);
		break;
	default: /* keyd's answers are read by who asked */
		VGM_BUG_ON(true);
	}
}

static void from_master(struct vgm_role_run *run, int type, void *m)
{
	struct vgm_smtpd *d = run->state;
	if (type == VGM_MSG_room) {
		d->ledger_room = ((const struct vgm_msg_room *)m)->bytes;
		return;
	}
	VGM_BUG_ON(type != VGM_MSG_struck);
	vgm_smtpd_struck(d, m);
}

static void peer_came(struct vgm_role_run *run, struct vgm_channel *peer)
{
	struct vgm_smtpd *d = run->state;
	if (d && d->tick && vgm_channel_peer(peer) == VGM_ROLE_KEYD)
		ask_chain(d);
}

static void peer_gone(struct vgm_role_run *run, struct vgm_channel *peer)
{
	struct vgm_smtpd *d = run->state;
	if (vgm_channel_peer(peer) == VGM_ROLE_ADMIT)
		vgm_smtpd_pool_gone(d);
	else
		d->keyd_fd = -1;
}

static void reconfigured(struct vgm_role_run *run)
{
	struct vgm_smtpd *d = run->state;
	struct vgm_err err;
	vgm_smtpd_rules_load(d);
	/* Master has parsed this directory before it sent it. */
	VGM_BUG_ON(load_directory(d, &err) < 0);
	ask_chain(d);
	vgm_smtpd_count_changed(d);
}

static void stop(struct vgm_role_run *run)
{
	struct vgm_smtpd *d = run->state;
	d->stop_until_ms = vgm_clock_mono_ms() + STOP_MS;
	listen_on(d, false);
	for (struct vgm_smtpd_session *s = d->sessions, *next; s; s = next) {
		next = s->next;
		vgm_smtpd_session_serve(s);
	}
	vgm_smtpd_count_changed(d);
}

const struct vgm_role vgm_role_smtpd = {
    .id = VGM_ROLE_SMTPD,
    .prepare = prepare,
    .begin = begin,
    .message = message,
    .from_master = from_master,
    .peer_came = peer_came,
    .peer_gone = peer_gone,
    .reconfigured = reconfigured,
    .stop = stop,
    .sandbox = {.flags = VGM_SANDBOX_ACCEPT | VGM_SANDBOX_MEMFD, .files = FILES},
};
