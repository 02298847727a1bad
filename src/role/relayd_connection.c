/* SPDX-License-Identifier: EUPL-1.2
 * role/relayd_connection.c — one connection: from one address to the next until
 * somebody answers, hello, TLS, what is read, silence, the end. What it carries
 * is relayd_transfer.c's part. */
#include "role/relayd_parts.h"

#include "base/clock.h"
#include "base/text.h"
#include "log/log.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

static void on_io(void *context, unsigned events);
static void on_timer(void *context);
static void try_address(struct relayd_connection *c);

static struct relayd *relayd_of(const struct relayd_connection *c)
{
	return c->destination->relayd;
}

static const struct vgm_conf *conf_of(const struct relayd_connection *c)
{
	return &relayd_of(c)->run->conf;
}

/* ---- beginning and end ---- */

void relayd_connection_open(struct relayd_destination *d)
{
	struct relayd_connection *c = vgm_alloc(sizeof(*c));

	c->destination = d;
	c->opening = true;
	c->stream.fd = -1;
	vgm_buf_init(&c->chunk, RELAYD_CHUNK_BYTES);
	c->timer = vgm_timer_new(d->relayd->run->loop, "relay", on_timer, c);
	c->next = d->connections;
	if (c->next)
		c->next->prev = c;
	d->connections = c;
	d->connections_count++;
	d->opening++;
	try_address(c);
}

/* The socket and all that hangs on it. */
static void hang_up(struct relayd_connection *c)
{
	vgm_io_free(&c->io);
	vgm_stream_release(&c->stream);
	vgm_smtp_client_free(&c->client);
	c->out_sent = 0;
	c->tls[0] = '\0';
}

static void no_longer_opening(struct relayd_connection *c)
{
	c->destination->opening -= c->opening;
	c->opening = false;
}

/* Out of its destination's list; relayd_round frees it. */
static void die(struct relayd_connection *c)
{
	struct relayd_destination *d = c->destination;
	struct relayd *r = relayd_of(c);

	VGM_BUG_ON(c->job || c->state == CONNECTION_DEAD);
	no_longer_opening(c);
	*(c->prev ? &c->prev->next : &d->connections) = c->next;
	if (c->next)
		c->next->prev = c->prev;
	d->connections_count--;
	c->state = CONNECTION_DEAD;
	vgm_timer_off(c->timer);
	vgm_io_free(&c->io);
	c->next = r->dead;
	r->dead = c;
	relayd_mark_dirty(d);
}

void relayd_connection_end(struct relayd_connection *c)
{
	if (c->client && vgm_smtp_client_is_ready(c->client)) {
		vgm_smtp_client_quit(c->client);
		relayd_transfer_flush(c); /* one try; its answer interests nobody */
	}
	if (c->state != CONNECTION_DEAD)
		die(c);
}

void relayd_connection_free(struct relayd_connection *c)
{
	hang_up(c);
	vgm_timer_free(&c->timer);
	vgm_buf_release(&c->chunk);
	vgm_free(c);
}

/* ---- addresses ---- */

static void name_peer(struct relayd_connection *c, const struct relayd_address *a)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf ip = VGM_BUF_INIT(64);

	(void)!vgm_ip_format(a->addr.ip, &ip);
	(void)snprintf(
	    c->peer, sizeof(c->peer), "%.200s [%s]:%u", a->host, vgm_buf_str(&ip), a->addr.port);
}

static void wants(struct relayd_connection *c, unsigned events)
{
	vgm_io_want(c->io, events);
}

/* A socket under way, or a negative errno. */
static int start_connect(const struct vgm_addr *a)
{
	struct sockaddr_storage to;
	socklen_t len = vgm_addr_to_sockaddr(a, &to);
	int one = 1;
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	/* Commands and the end of a body must not wait for an acknowledgement. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (struct sockaddr *)&to, len) < 0 && errno != EINPROGRESS) {
		int failed = -errno;

		(void)close(fd);
		return failed;
	}
	return fd;
}

/* The route's name, or the domain. */
static const char *subject_of(const struct relayd_connection *c)
{
	const char *colon = strchr(c->destination->key, ':');

	return colon ? colon + 1 : c->destination->key;
}

static void unreachable(struct relayd_connection *c, const char *why)
{
	relayd_failure_set(relayd_of(c), &c->failure, VGM_OUTCOME_DEFERRED, "4.4.1",
	    VGM_WORDS_relay_unreachable, subject_of(c), why);
	(void)snprintf(c->failure.peer, sizeof(c->failure.peer), "%s", c->peer);
}

/* Nobody answered. As long as another connection lives, the line waits for it:
 * the other side may just allow no more of them. */
static void out_of_addresses(struct relayd_connection *c)
{
	struct relayd_destination *d = c->destination;
	struct relayd_failure why = c->failure;

	die(c);
	if (d->connections_count == 0)
		relayd_fail_line(d, &why, why.status == VGM_OUTCOME_DEFERRED);
	else if (d->connections_max > d->connections_count)
		d->connections_max = d->connections_count;
}

/* This address was no good; c->failure says why. */
static void next_address(struct relayd_connection *c)
{
	hang_up(c);
	c->address++;
	c->plain = false;
	try_address(c);
}

static void try_address(struct relayd_connection *c)
{
	struct relayd_destination *d = c->destination;

	for (; c->address < d->addresses_count; c->address++) {
		const struct relayd_address *a = &d->addresses[c->address];
		int fd = start_connect(&a->addr);

		name_peer(c, a);
		if (fd < 0) {
			unreachable(c, strerror(-fd));
			continue;
		}
		vgm_stream_init(&c->stream, fd);
		c->io = vgm_io_new(d->relayd->run->loop, fd, on_io, c);
		c->state = CONNECTION_CONNECTING;
		c->timed_out = false;
		wants(c, VGM_IO_WRITE);
		vgm_timer_in(c->timer, conf_of(c)->connect_timeout);
		return;
	}
	out_of_addresses(c);
}

static void on_connected(struct relayd_connection *c)
{
	struct relayd_destination *d = c->destination;
	int failed = 0;
	socklen_t len = sizeof(failed);

	if (getsockopt(c->stream.fd, SOL_SOCKET, SO_ERROR, &failed, &len) < 0)
		failed = errno;
	if (failed) {
		unreachable(c, strerror(failed));
		next_address(c);
		return;
	}
	struct vgm_smtp_client_options options = {
	    .hostname = conf_of(c)->hostname,
	    .tls_need = d->need,
	    .tls_never = c->plain,
	    .refuse_ourselves = d->by_mx,
	};
	c->client = vgm_smtp_client_new(&options);
	c->state = CONNECTION_TALKING;
	wants(c, VGM_IO_READ);
	vgm_timer_in(c->timer, conf_of(c)->reply_timeout);
}

/* ---- failures ---- */

/* What the machine's failure means for those who wait. */
void relayd_connection_describe_failure(struct relayd_connection *c, struct relayd_failure *f)
{
	struct relayd *r = relayd_of(c);
	const struct vgm_smtp_result *said = vgm_smtp_client_final(c->client);
	const uint8_t deferred = VGM_OUTCOME_DEFERRED;

	switch (vgm_smtp_client_failure(c->client)) {
	case VGM_SMTP_FAILURE_REFUSED:
		/* Said to us, not about a message: another hour may be better. */
		f->status = deferred;
		(void)snprintf(f->enhanced, sizeof(f->enhanced), "4%s", said->enhanced + 1);
		(void)snprintf(f->reply, sizeof(f->reply), "%s", vgm_buf_str(&said->text));
		break;
	case VGM_SMTP_FAILURE_PROTOCOL:
		relayd_failure_set(r, f, deferred, "4.5.0", VGM_WORDS_relay_protocol, NULL,
		    vgm_smtp_client_why(c->client));
		break;
	case VGM_SMTP_FAILURE_TLS_MISSING:
		relayd_failure_set(
		    r, f, deferred, "4.7.10", VGM_WORDS_relay_tls_missing, NULL, NULL);
		break;
	case VGM_SMTP_FAILURE_SELF:
		relayd_failure_set(r, f, VGM_OUTCOME_FAILED, "5.4.6", VGM_WORDS_relay_ourselves,
		    subject_of(c), NULL);
		break;
	case VGM_SMTP_FAILURE_LOST:
	case VGM_SMTP_FAILURE_NONE:
		relayd_failure_set(r, f, deferred, "4.4.2",
		    c->timed_out ? VGM_WORDS_relay_timeout : VGM_WORDS_relay_lost, NULL, NULL);
		break;
	}
	(void)snprintf(f->peer, sizeof(f->peer), "%s", c->peer);
}

/* The machine has failed: the connection is of no more use. */
static void on_failed(struct relayd_connection *c, bool untouched)
{
	if (c->opening) {
		relayd_connection_describe_failure(c, &c->failure);
		next_address(c);
		return;
	}
	if (c->job)
		relayd_transfer_fail(c, untouched);
	die(c);
}

void relayd_connection_lost(struct relayd_connection *c)
{
	bool body = c->state == CONNECTION_BODY || vgm_smtp_client_awaits_final(c->client);

	vgm_smtp_client_lost(c->client);
	on_failed(c, c->job && !body && relayd_transfer_is_untouched(c));
}

/* ---- TLS ---- */

static void tls_failed(struct relayd_connection *c, const char *why)
{
	struct relayd *r = relayd_of(c);
	struct vgm_log_line l;

	vgm_log_start(&l, VGM_LOG_WARNING, "tls_failed");
	vgm_log_text(&l, "peer", c->peer);
	vgm_log_text(&l, "detail", why);
	vgm_log_flag(&l, "required", c->destination->need != VGM_TLS_MAY);
	vgm_log_end(&l);
	if (c->destination->need == VGM_TLS_MAY && !c->plain) {
		/* Opportunistic (RFC 7435): better in clear than not at all. */
		hang_up(c);
		c->plain = true;
		try_address(c);
		return;
	}
	relayd_failure_set(
	    r, &c->failure, VGM_OUTCOME_DEFERRED, "4.7.5", VGM_WORDS_relay_tls_failed, NULL, why);
	(void)snprintf(c->failure.peer, sizeof(c->failure.peer), "%s", c->peer);
	next_address(c);
}

static void shake_hands(struct relayd_connection *c)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf facts = VGM_BUF_INIT(sizeof(c->tls) - 1);
	struct vgm_err err = {0};
	int r = vgm_stream_handshake(&c->stream, &err);

	if (r == VGM_E_BUSY) {
		wants(c, c->stream.want);
		return;
	}
	if (r < 0) {
		tls_failed(c, err.text[0] ? err.text : "the other side left");
		return;
	}
	(void)!vgm_stream_tls_facts(&c->stream, &facts);
	(void)snprintf(c->tls, sizeof(c->tls), "%s", vgm_buf_str(&facts));
	c->state = CONNECTION_TALKING;
	vgm_smtp_client_secured(c->client);
	relayd_transfer_flush(c);
}

static void start_tls(struct relayd_connection *c)
{
	const struct relayd_destination *d = c->destination;
	struct vgm_err err = {0};

	c->state = CONNECTION_HANDSHAKE;
	if (vgm_stream_start_tls(&c->stream, relayd_of(c)->tls, d->addresses[c->address].host,
		d->need == VGM_TLS_VERIFY, &err) < 0)
		tls_failed(c, err.text);
	else
		shake_hands(c);
}

/* ---- receiving ---- */

static void feed(struct relayd_connection *c, struct vgm_slice in)
{
	/* Each event may end the connection, or this machine of it. */
	for (;;) {
		switch (vgm_smtp_client_feed(c->client, &in)) {
		case VGM_SMTP_CLIENT_WAIT:
			relayd_transfer_flush(c);
			return;
		case VGM_SMTP_CLIENT_READY:
			relayd_transfer_go_on(c);
			break;
		case VGM_SMTP_CLIENT_TLS:
			start_tls(c);
			return;
		case VGM_SMTP_CLIENT_BODY:
			relayd_transfer_body(c);
			break;
		case VGM_SMTP_CLIENT_DONE:
			relayd_transfer_done(c);
			break;
		case VGM_SMTP_CLIENT_FAILED:
			on_failed(c, c->job && c->state == CONNECTION_PREPARING);
			return;
		}
		if (c->state == CONNECTION_DEAD)
			return;
	}
}

static void on_readable(struct relayd_connection *c)
{
	struct relayd *r = relayd_of(c);
	struct vgm_io *io = c->io;

	do {
		size_t n;
		int result = vgm_stream_read(&c->stream, r->input, sizeof(r->input), &n);

		if (result == VGM_E_BUSY) {
			wants(c, VGM_IO_READ | c->stream.want);
			return;
		}
		if (result < 0) {
			relayd_connection_lost(c);
			return;
		}
		uint64_t replies = vgm_smtp_client_replies(c->client);

		feed(c, vgm_slice(r->input, n));
		/* Each reply has its time; bytes that never become one gain nothing.
		 * While it sends a body or rests, its own clock runs. */
		if (c->io == io && c->state == CONNECTION_TALKING &&
		    vgm_smtp_client_replies(c->client) != replies &&
		    !vgm_smtp_client_awaits_final(c->client))
			vgm_timer_in(c->timer, conf_of(c)->reply_timeout);
	} while (c->io == io && c->state != CONNECTION_HANDSHAKE && vgm_stream_pending(&c->stream));
}

static void on_io(void *context, unsigned events)
{
	struct relayd_connection *c = context;

	switch (c->state) {
	case CONNECTION_DEAD:
		return;
	case CONNECTION_CONNECTING:
		on_connected(c);
		return;
	case CONNECTION_HANDSHAKE:
		shake_hands(c);
		return;
	default:
		break;
	}
	struct vgm_io *io = c->io;
	if (events & VGM_IO_WRITE)
		relayd_transfer_flush(c);
	if (events & VGM_IO_READ && c->io == io && c->client)
		on_readable(c);
}

static void on_timer(void *context)
{
	struct relayd_connection *c = context;

	c->timed_out = true;
	switch (c->state) {
	case CONNECTION_DEAD:
		return;
	case CONNECTION_CONNECTING:
		unreachable(c, strerror(ETIMEDOUT));
		next_address(c);
		return;
	case CONNECTION_HANDSHAKE:
		tls_failed(c, strerror(ETIMEDOUT));
		return;
	case CONNECTION_IDLE:
		relayd_connection_end(c);
		return;
	case CONNECTION_PREPARING:
		c->timed_out = false;
		relayd_job_copy_failed(relayd_of(c), c->job);
		return;
	case CONNECTION_TALKING:
	case CONNECTION_BODY:
		relayd_connection_lost(c);
		return;
	}
}
