/* SPDX-License-Identifier: EUPL-1.2
 * cmd/sink.c — the sink's server: sockets around the protocol of smtp/server,
 * one loop, one process. See sink.h. */
#include "cmd/sink.h"

#include <errno.h>
#include <openssl/evp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/addr.h"
#include "net/stream.h"
#include "os/loop.h"
#include "smtp/server/session.h"

#define READ_BYTES 65536
#define READS_AT_ONCE 32
#define SILENCE_MS 300000
#define ACCEPT_PAUSE_MS 100

struct sink;

struct door {
	struct sink *sink;
	struct vgm_addr at; /* with the port that the kernel chose for 0 */
	int fd;             /* -1 while the sink is down */
	struct vgm_io *io;
};

struct client {
	struct sink *sink;
	struct client *before, *after;
	struct vgm_stream stream;
	struct vgm_io *io;
	struct vgm_timer *silence;
	struct vgm_smtp_session *session;
	struct vgm_buf body, peer;
	EVP_MD_CTX *hash;
	bool shaking_hands;
};

struct sink {
	const struct vgm_sink_options *options;
	struct vgm_sink_rule rules[VGM_SINK_RULES_MAX];
	struct vgm_loop *loop;
	struct vgm_sink_store store;
	struct vgm_smtp_settings settings;
	struct vgm_tls *tls;
	struct vgm_sink_key *key;
	struct door doors[VGM_SINK_LISTEN_MAX];
	struct client *clients;
	struct vgm_timer *back, *accept_again;
	struct vgm_io *signal_io;
	int signals;
	uint64_t started_ms;
	char postmaster[300];
	bool announced;
	struct vgm_err *err;
	int result;
};

/* ---- what the protocol asks ---- */

static struct vgm_smtp_answer ordered(
    struct sink *s, enum vgm_sink_stage stage, struct vgm_slice address)
{
	const struct vgm_sink_rule *rule = vgm_sink_rule_take(
	    s->rules, s->options->rules_count, stage, address, vgm_clock_mono_ms() - s->started_ms);
	if (!rule)
		return (struct vgm_smtp_answer){0};
	return (struct vgm_smtp_answer){rule->code, rule->enhanced, VGM_WORDS_sink_ordered};
}

static struct vgm_smtp_answer on_mail(void *context, struct vgm_slice sender)
{
	struct client *c = context;
	return ordered(c->sink, VGM_SINK_MAIL, sender);
}

static struct vgm_smtp_answer on_recipient(void *context, struct vgm_slice mailbox)
{
	struct client *c = context;
	return ordered(c->sink, VGM_SINK_RCPT, mailbox);
}

static struct vgm_smtp_answer on_body_begin(void *context)
{
	struct client *c = context;
	vgm_buf_clear(&c->body);
	VGM_BUG_ON(EVP_DigestInit_ex(c->hash, EVP_sha256(), NULL) != 1);
	return (struct vgm_smtp_answer){0};
}

static int on_body(void *context, const struct vgm_slice *pieces, size_t count)
{
	struct client *c = context;
	int r = 0;
	for (size_t i = 0; i < count && r == 0; i++) {
		if (c->sink->store.log >= 0)
			VGM_BUG_ON(EVP_DigestUpdate(c->hash, pieces[i].data, pieces[i].len) != 1);
		if (c->sink->store.directory >= 0)
			r = vgm_buf_add_slice(&c->body, pieces[i]);
	}
	return r;
}

static void on_body_drop(void *context)
{
	struct client *c = context;
	vgm_buf_release(&c->body);
}

/* Keeps the message; 0 or a failure. */
static int keep(struct client *c, const struct vgm_smtp_transaction *t)
{
	const struct vgm_smtp_connection *known = vgm_smtp_session_connection(c->session);
	struct vgm_slice *recipients = vgm_alloc((t->recipients_count + 1) * sizeof(*recipients));
	uint8_t sha256[EVP_MAX_MD_SIZE];
	struct vgm_err err;
	VGM_BUG_ON(EVP_DigestFinal_ex(c->hash, sha256, NULL) != 1);
	for (size_t i = 0; i < t->recipients_count; i++)
		recipients[i] = t->recipients[i].address;
	struct vgm_sink_message m = {.sender = t->sender,
	    .recipients = recipients,
	    .recipients_count = t->recipients_count,
	    .body = vgm_buf_slice(&c->body),
	    .size = t->size,
	    .sha256 = sha256,
	    .helo = vgm_buf_slice(&known->helo),
	    .tls = vgm_buf_slice(&known->tls),
	    .peer = vgm_buf_slice(&c->peer)};
	int r = vgm_sink_store_add(&c->sink->store, &m, &err);
	vgm_free(recipients);
	return r;
}

static void on_message(void *context, const struct vgm_smtp_transaction *t)
{
	struct client *c = context;
	struct vgm_smtp_answer a = {0};
	for (size_t i = 0; i < t->recipients_count && a.code == 0; i++)
		a = ordered(c->sink, VGM_SINK_DATA, t->recipients[i].address);
	if (a.code == 0 && keep(c, t) < 0)
		a = (struct vgm_smtp_answer){451, "4.3.0", VGM_WORDS_sink_not_kept};
	if (a.code == 0)
		a = (struct vgm_smtp_answer){250, "2.0.0", VGM_WORDS_sink_kept};
	if (c->body.capacity > READ_BYTES)
		vgm_buf_release(&c->body);
	vgm_smtp_session_answer_words(c->session, a);
}

static void on_refused(void *context, unsigned code, enum vgm_words_id why, struct vgm_slice about)
{
	(void)context; /* a sink tells its client and nobody else */
	(void)code;
	(void)why;
	(void)about;
}

static const struct vgm_smtp_events events = {
    .mail = on_mail,
    .recipient = on_recipient,
    .body_begin = on_body_begin,
    .body = on_body,
    .body_drop = on_body_drop,
    .message = on_message,
    .refused = on_refused,
};

/* ---- clients ---- */

static void client_free(struct client *c)
{
	if (c->before)
		c->before->after = c->after;
	else
		c->sink->clients = c->after;
	if (c->after)
		c->after->before = c->before;
	vgm_io_free(&c->io);
	vgm_timer_free(&c->silence);
	vgm_smtp_session_free(&c->session);
	vgm_stream_release(&c->stream);
	vgm_buf_release(&c->body);
	vgm_buf_release(&c->peer);
	EVP_MD_CTX_free(c->hash);
	vgm_free(c);
}

/* Each step returns 0 to go on, VGM_E_BUSY to wait for the socket, or why the
 * client is to go. */

static int shake_hands(struct client *c)
{
	struct vgm_buf facts = VGM_BUF_INIT(200);
	int r = vgm_stream_handshake(&c->stream, NULL);
	if (r == 0) {
		c->shaking_hands = false;
		r = vgm_stream_tls_facts(&c->stream, &facts);
	}
	if (r == 0)
		vgm_smtp_session_tls_started(c->session, vgm_buf_slice(&facts));
	vgm_buf_release(&facts);
	return r;
}

static int send_output(struct client *c)
{
	struct vgm_buf *out = vgm_smtp_session_output(c->session);
	size_t done = 0, n;
	int r = 0;
	while (r == 0 && done < out->len) {
		r = vgm_stream_write(&c->stream, out->data + done, out->len - done, &n);
		done += r == 0 ? n : 0;
	}
	vgm_buf_consume(out, done);
	return r;
}

static int read_input(struct client *c)
{
	static uint8_t bytes[READ_BYTES]; /* one loop, one client at a time */
	size_t n;
	int r = vgm_stream_read(&c->stream, bytes, sizeof(bytes), &n);
	if (r == 0)
		vgm_smtp_session_feed(c->session, vgm_slice(bytes, n));
	return r;
}

static int step(struct client *c)
{
	if (c->shaking_hands)
		return shake_hands(c);
	int r = send_output(c);
	if (r < 0)
		return r;
	switch (vgm_smtp_session_wants(c->session)) {
	case VGM_SMTP_WANT_TLS:
		c->shaking_hands = true;
		return vgm_stream_start_tls(&c->stream, c->sink->tls, NULL, false, NULL);
	case VGM_SMTP_WANT_INPUT:
		return read_input(c);
	case VGM_SMTP_WANT_ANSWER: /* every message is answered at once */
	case VGM_SMTP_WANT_CLOSE:
		break;
	}
	vgm_stream_shutdown(&c->stream);
	return VGM_E_CLOSED;
}

static void client_run(struct client *c)
{
	int r = 0;
	vgm_timer_in(c->silence, SILENCE_MS);
	/* Others have their turn after a while, unless TLS holds bytes that no
	 * event would announce. */
	for (int i = 0; r == 0 && (i < READS_AT_ONCE || vgm_stream_pending(&c->stream) > 0); i++)
		r = step(c);
	if (r == 0)
		vgm_io_want(c->io, VGM_IO_READ | VGM_IO_WRITE);
	else if (r == VGM_E_BUSY)
		vgm_io_want(c->io, c->stream.want);
	else
		client_free(c);
}

static void on_client(void *context, unsigned ready)
{
	(void)ready;
	client_run(context);
}

static void on_silence(void *context)
{
	client_free(context);
}

static void client_new(struct sink *s, int fd, const struct sockaddr_storage *peer)
{
	struct client *c = vgm_alloc(sizeof(*c));
	struct vgm_addr addr;
	c->sink = s;
	c->after = s->clients;
	if (c->after)
		c->after->before = c;
	s->clients = c;
	vgm_buf_init(&c->body, s->options->max_size);
	vgm_buf_init(&c->peer, 100);
	if (vgm_addr_from_sockaddr((const struct sockaddr *)peer, &addr) == 0)
		(void)!vgm_ip_format(addr.ip, &c->peer);
	c->hash = EVP_MD_CTX_new();
	VGM_BUG_ON(!c->hash);
	vgm_stream_init(&c->stream, fd);
	c->io = vgm_io_new(s->loop, fd, on_client, c);
	c->silence = vgm_timer_new(s->loop, "silence", on_silence, c);
	c->session = vgm_smtp_session_new(&s->settings, &events, c, "sink");
	vgm_smtp_session_greet(c->session, ordered(s, VGM_SINK_CONNECT, VGM_SLICE_NONE));
	client_run(c);
}

/* ---- doors ---- */

static void want_clients(struct sink *s, bool wanted)
{
	for (size_t i = 0; i < s->options->listen_count; i++)
		if (s->doors[i].io)
			vgm_io_want(s->doors[i].io, wanted ? VGM_IO_READ : 0);
}

static void on_door(void *context, unsigned ready)
{
	struct door *d = context;
	(void)ready;
	for (int i = 0; i < READS_AT_ONCE; i++) {
		struct sockaddr_storage peer;
		socklen_t length = sizeof(peer);
		int fd =
		    accept4(d->fd, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			client_new(d->sink, fd, &peer);
		} else if (errno == EMFILE || errno == ENFILE) {
			/* Those that wait stay in the kernel's queue until some leave. */
			want_clients(d->sink, false);
			vgm_timer_in(d->sink->accept_again, ACCEPT_PAUSE_MS);
			return;
		} else if (errno != ECONNABORTED && errno != EINTR) {
			return;
		}
	}
}

static void on_accept_again(void *context)
{
	want_clients(context, true);
}

static int open_door(struct sink *s, struct door *d, const char *where)
{
	struct sockaddr_storage at;
	socklen_t length = vgm_addr_to_sockaddr(&d->at, &at);
	int one = 1;
	d->fd = socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (d->fd < 0 || setsockopt(d->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(d->fd, (struct sockaddr *)&at, length) < 0 || listen(d->fd, 1024) < 0 ||
	    getsockname(d->fd, (struct sockaddr *)&at, &length) < 0 ||
	    vgm_addr_from_sockaddr((struct sockaddr *)&at, &d->at) < 0)
		return vgm_err_sys(s->err, "%s", where);
	d->io = vgm_io_new(s->loop, d->fd, on_door, d);
	vgm_io_want(d->io, VGM_IO_READ);
	return 0;
}

static void announce(struct sink *s)
{
	struct vgm_buf where = VGM_BUF_INIT(4096);
	int r = 0;
	for (size_t i = 0; i < s->options->listen_count && r == 0; i++) {
		const struct vgm_addr *at = &s->doors[i].at;
		bool v4 = vgm_ip_is_v4(at->ip);
		r = vgm_buf_addf(&where, "%s%s", i ? ", " : "", v4 ? "" : "[");
		if (r == 0)
			r = vgm_ip_format(at->ip, &where);
		if (r == 0)
			r = vgm_buf_addf(&where, "%s:%u", v4 ? "" : "]", at->port);
	}
	VGM_BUG_ON(r < 0); /* 16 addresses fit */
	if (s->options->ready)
		s->options->ready(s->options->context, vgm_buf_slice(&where));
	vgm_buf_release(&where);
	s->announced = true;
}

static int read_doors(struct sink *s)
{
	int r = 0;
	for (size_t i = 0; i < s->options->listen_count && r == 0; i++) {
		s->doors[i].sink = s;
		r = vgm_addr_parse(vgm_slice_str(s->options->listen[i]), &s->doors[i].at, s->err);
	}
	return r;
}

static int go_up(struct sink *s)
{
	int r = 0;
	for (size_t i = 0; i < s->options->listen_count && r == 0; i++)
		r = open_door(s, &s->doors[i], s->options->listen[i]);
	if (r == 0 && !s->announced)
		announce(s);
	return r;
}

/* Nobody is reached and nobody is left connected. */
static void go_down(struct sink *s)
{
	for (size_t i = 0; i < VGM_SINK_LISTEN_MAX; i++) {
		vgm_io_free(&s->doors[i].io);
		if (s->doors[i].fd >= 0)
			close(s->doors[i].fd);
		s->doors[i].fd = -1;
	}
	while (s->clients)
		client_free(s->clients);
}

static void on_back(void *context)
{
	struct sink *s = context;
	s->result = go_up(s);
	if (s->result < 0)
		vgm_loop_stop(s->loop);
}

static void on_signal(void *context, unsigned ready)
{
	struct sink *s = context;
	struct signalfd_siginfo info;
	(void)ready;
	while (read(s->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo != SIGUSR1) {
			vgm_loop_stop(s->loop);
		} else if (s->options->down) {
			go_down(s);
			vgm_timer_in(s->back, s->options->down_ms);
		}
	}
}

/* ---- life ---- */

static int watch_signals(struct sink *s)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR1);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return vgm_err_sys(s->err, "sigprocmask");
	s->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (s->signals < 0)
		return vgm_err_sys(s->err, "signalfd");
	s->signal_io = vgm_io_new(s->loop, s->signals, on_signal, s);
	vgm_io_want(s->signal_io, VGM_IO_READ);
	return 0;
}

static void fill_settings(struct sink *s)
{
	const struct vgm_sink_options *o = s->options;
	snprintf(s->postmaster, sizeof(s->postmaster), "postmaster@%s", o->hostname);
	s->settings = (struct vgm_smtp_settings){.hostname = o->hostname,
	    .phone = "",
	    .postmaster = s->postmaster,
	    .language = o->lang,
	    .max_size = o->max_size,
	    .max_recipients = 1000,
	    .max_errors = 1000,
	    .max_commands = 100000,
	    .offer_tls = o->tls};
}

static int begin(struct sink *s)
{
	const struct vgm_sink_options *o = s->options;
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files); /* as many clients as may be; fewer do too */
	}
	int r = vgm_sink_store_open(&s->store, o->maildir, o->log, s->err);
	if (r == 0)
		r = read_doors(s);
	if (r == 0)
		r = watch_signals(s);
	if (r == 0 && o->tls)
		r = vgm_sink_tls_new(o->hostname, &s->key, &s->tls, s->err);
	s->back = vgm_timer_new(s->loop, "back", on_back, s);
	s->accept_again = vgm_timer_new(s->loop, "accept again", on_accept_again, s);
	s->started_ms = vgm_clock_mono_ms();
	if (r == 0 && o->down)
		vgm_timer_in(s->back, o->down_ms);
	else if (r == 0)
		r = go_up(s);
	return r;
}

int vgm_sink_run(const struct vgm_sink_options *options, uint64_t *out_messages,
    uint64_t *out_bytes, struct vgm_err *err)
{
	struct sink *s = vgm_alloc(sizeof(*s));
	s->options = options;
	s->err = err;
	s->signals = -1;
	memcpy(s->rules, options->rules, sizeof(s->rules));
	for (size_t i = 0; i < VGM_SINK_LISTEN_MAX; i++)
		s->doors[i].fd = -1;
	s->loop = vgm_loop_new();
	fill_settings(s);
	s->result = begin(s);
	if (s->result == 0)
		vgm_loop_run(s->loop);
	go_down(s);
	vgm_timer_free(&s->back);
	vgm_timer_free(&s->accept_again);
	vgm_io_free(&s->signal_io);
	if (s->signals >= 0)
		close(s->signals);
	vgm_tls_free(&s->tls);
	vgm_sink_key_free(&s->key);
	vgm_sink_store_close(&s->store);
	vgm_loop_free(&s->loop);
	*out_messages = s->store.messages;
	*out_bytes = s->store.bytes;
	int r = s->result;
	vgm_free(s);
	return r;
}
