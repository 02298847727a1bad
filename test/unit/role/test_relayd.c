/* SPDX-License-Identifier: EUPL-1.2
 * role/relayd.c: the whole role in its sandbox. The test is its master, ledgerd,
 * render pool and resolverd, and every next hop. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "../net/tls_fixture.h"
#include "role_fixture.h"
#include "smtp_peer.h"

#include "net/dns.h"

#include <fcntl.h>

struct world {
	struct role_process relayd;
	int ledgerd, render, resolverd;
	int hop, hop2;   /* listeners */
	uint16_t port, port2, closed_port;
	uint64_t delivery;
	uint64_t unanswered; /* the pool's latest job */
	struct vgm_received got;
};

static void start(struct world *w)
{
	char options[2000];

	w->relayd = role_fork(&vgm_role_relayd);
	(void)snprintf(options, sizeof(options),
	    "{hostname: gw.test, language: en, tls: {authorities: /nonexistent},"
	    " relay: {reply_timeout: 500ms, connect_timeout: 500ms, reuse_timeout: 60s,"
	    " reuse_messages: 4}, routes: ["
	    "{name: hop, domains: [x], to: ['127.0.0.1:%u'], connections: 2},"
	    "{name: safe, domains: [x], to: ['127.0.0.1:%u'], tls: encrypt},"
	    "{name: sure, domains: [x], to: ['127.0.0.1:%u'], tls: verify},"
	    "{name: dead, domains: [x], to: ['127.0.0.1:%u']},"
	    "{name: two, domains: [x], to: ['127.0.0.1:%u', '127.0.0.1:%u']},"
	    "{name: both, domains: [x], to: ['127.0.0.1:%u', '127.0.0.1:%u']},"
	    "{name: named, domains: [x], to: ['inside.test:%u']}]}",
	    w->port, w->port, w->port, w->closed_port, w->closed_port, w->port, w->port, w->port2,
	    w->port);
	role_configure(&w->relayd, VGM_INSTANCE_ONLY, options, -1);
	w->ledgerd = role_peer(&w->relayd, VGM_ROLE_LEDGERD, VGM_INSTANCE_ONLY);
	w->render = role_peer(&w->relayd, VGM_ROLE_RENDER, VGM_INSTANCE_ONLY);
	w->resolverd = role_peer(&w->relayd, VGM_ROLE_RESOLVERD, VGM_INSTANCE_ONLY);
	assert_int_equal(role_start(&w->relayd), 0);
}

static int world_up(void **state)
{
	struct world *w = vgm_alloc(sizeof(*w));
	uint16_t port = 0;

	w->got = (struct vgm_received)VGM_RECEIVED_INIT;
	w->hop = peer_listen("127.0.0.1", &w->port);
	w->hop2 = peer_listen("127.0.0.1", &w->port2);
	(void)close(peer_listen("127.0.0.1", &port));
	w->closed_port = port;
	start(w);
	*state = w;
	return 0;
}

static int world_down(void **state)
{
	struct world *w = *state;

	assert_int_equal(role_stop(&w->relayd), 0);
	(void)close(w->ledgerd);
	(void)close(w->render);
	(void)close(w->resolverd);
	(void)close(w->hop);
	(void)close(w->hop2);
	vgm_received_release(&w->got);
	vgm_free(w);
	return 0;
}

/* ---- ledgerd ---- */

struct given {
	const char *route;
	const char *to[3]; /* none: b@d */
	uint8_t tls_need, flags, notify;
	uint64_t size;
};

static void deliver(struct world *w, struct given g)
{
	struct vgm_recipient to[3] = {{.address = VGM_SLICE_LIT("b@d")}};
	struct vgm_index indexes[3] = {{7}, {8}, {9}};
	struct vgm_msg_deliver m = {
	    .delivery = ++w->delivery,
	    .record_offset = 4096,
	    .route = vgm_slice_str(g.route),
	    .tls_need = g.tls_need,
	    .flags = g.flags,
	    .sender = VGM_SLICE_LIT("a@s"),
	    .size = g.size ? g.size : 10,
	    .attempt = 1,
	    .recipients = to,
	    .recipients_count = 1,
	    .indexes = indexes,
	    .indexes_count = 1,
	    .segment = -1,
	};

	memset(m.record, 1, sizeof(m.record));
	memset(m.token, (int)w->delivery, sizeof(m.token));
	for (size_t i = 0; i < 3 && g.to[i]; i++) {
		to[i].address = vgm_slice_str(g.to[i]);
		m.recipients_count = m.indexes_count = i + 1;
	}
	for (size_t i = 0; i < 3; i++)
		to[i].notify = g.notify;
	assert_int_equal(vgm_memfd_of("segment", VGM_SLICE_LIT("x"), &m.segment, NULL), 0);
	role_send(w->ledgerd, VGM_MSG_deliver, &m);
	(void)close(m.segment);
}

static void *receive(struct world *w, int fd, enum vgm_msg_type type)
{
	struct vgm_err err;

	if (vgm_ipc_receive(fd, &w->got, fixture_deadline(), &err) < 0)
		fail_msg("no %s: %s", vgm_msg_name(type), err.text);
	assert_int_equal(w->got.type, type);
	return w->got.message;
}

/* One outcome, of the latest delivery; confirms it. */
static const struct vgm_outcome *outcomes(struct world *w, size_t count, bool down)
{
	struct vgm_msg_outcomes *m = receive(w, w->ledgerd, VGM_MSG_outcomes);
	struct vgm_msg_outcomes_written written = {.delivery = m->delivery};

	assert_int_equal(m->outcomes_count, count);
	assert_int_equal(m->destination_down, down);
	assert_int_equal(m->outcomes[0].index, 7);
	role_send(w->ledgerd, VGM_MSG_outcomes_written, &written);
	return m->outcomes;
}

static bool contains(struct vgm_slice s, const char *words)
{
	return memmem(s.data, s.len, words, strlen(words)) != NULL;
}

static void outcome_is(
    struct world *w, uint8_t status, const char *enhanced, const char *reply, bool down)
{
	const struct vgm_outcome *o = outcomes(w, 1, down);

	if (o->status != status || !vgm_slice_eq(o->enhanced, vgm_slice_str(enhanced)) ||
	    !contains(o->reply, reply))
		fail_msg("status %u, %.*s, \"%.*s\"", o->status, VGM_SLICE_ARG(o->enhanced),
		    VGM_SLICE_ARG(o->reply));
}

/* ---- render pool ---- */

static struct vgm_msg_render *asked(struct world *w)
{
	struct vgm_msg_render *m = receive(w, w->render, VGM_MSG_render);

	assert_int_equal(m->record_offset, 4096);
	assert_true(m->segment >= 0);
	w->unanswered = m->session;
	return m;
}

static void answer(struct world *w, uint8_t ok, struct vgm_slice bytes)
{
	struct vgm_msg_rendered m = {
	    .session = w->unanswered, .ok = ok, .size = bytes.len, .bytes = bytes, .fd = -1};

	if (bytes.len > 50000) {
		m.bytes = VGM_SLICE_NONE;
		assert_int_equal(vgm_memfd_of("copy", bytes, &m.fd, NULL), 0);
	}
	role_send(w->render, VGM_MSG_rendered, &m);
	if (m.fd >= 0)
		(void)close(m.fd);
}

#define BODY VGM_SLICE_LIT("S: x\r\n\r\nhello\r\n")
#define SENT "S: x\r\n\r\nhello\r\n.\r\n"

static void render(struct world *w)
{
	(void)asked(w);
	answer(w, VGM_RENDER_OK, BODY);
}

/* ---- next hops ---- */

#define PIPE "250-hop\r\n250-SIZE 1000000\r\n250 PIPELINING\r\n"
#define TRANSACTION "MAIL FROM:<a@s> SIZE=15\r\nRCPT TO:<b@d>\r\nDATA\r\n"

static int greet(int listener, const char *ehlo)
{
	int fd = peer_accept(listener);

	peer_say(fd, "220 hop ESMTP\r\n");
	peer_hear(fd, "EHLO gw.test\r\n");
	peer_say(fd, ehlo);
	return fd;
}

static void take_mail(int fd, const char *last)
{
	peer_hear(fd, TRANSACTION);
	peer_say(fd, "250 ok\r\n250 ok\r\n354 go\r\n");
	peer_hear(fd, SENT);
	peer_say(fd, last);
}

/* ---- tests ---- */

static void test_delivered_and_reused(void **state)
{
	struct world *w = *state;

	deliver(w, (struct given){.route = "route:hop"});
	int fd = greet(w->hop, PIPE);
	const struct vgm_msg_render *m = asked(w);
	uint8_t token[16];
	memset(token, (int)w->delivery, sizeof(token));
	assert_memory_equal(m->token, token, 16);
	assert_true(vgm_slice_eq(m->for_address, VGM_SLICE_LIT("b@d")));
	assert_int_equal(m->capabilities, 0);
	answer(w, VGM_RENDER_OK, BODY);
	take_mail(fd, "250 2.0.0 Ok: queued as ABC\r\n");
	const struct vgm_outcome *o = outcomes(w, 1, false);
	assert_int_equal(o->status, VGM_OUTCOME_DELIVERED);
	assert_true(vgm_slice_eq(o->reference, VGM_SLICE_LIT("ABC")));
	assert_true(vgm_slice_eq(o->reply, VGM_SLICE_LIT("250 2.0.0 Ok: queued as ABC")));
	assert_int_equal(o->tls.len, 0);
	assert_true(contains(o->peer, "127.0.0.1"));
	/* reuse_messages: 4 */
	for (int i = 0; i < 3; i++) {
		deliver(w, (struct given){.route = "route:hop"});
		render(w);
		take_mail(fd, "250 ok\r\n");
		outcome_is(w, VGM_OUTCOME_DELIVERED, "2.0.0", "250 ok", false);
	}
	peer_hear(fd, "QUIT\r\n");
	peer_hear_end(fd);
}

static void test_each_recipient_its_own(void **state)
{
	struct world *w = *state;

	deliver(w, (struct given){.route = "route:hop", .to = {"b@d", "c@d", "e@d"},
		       .notify = VGM_NOTIFY_SUCCESS});
	int fd = greet(w->hop, PIPE);
	assert_int_equal(asked(w)->for_address.len, 0);
	answer(w, VGM_RENDER_OK, BODY);
	peer_hear(fd, "MAIL FROM:<a@s> SIZE=15\r\nRCPT TO:<b@d>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@d>\r\n"
		      "DATA\r\n");
	peer_say(fd, "250 ok\r\n250 ok\r\n550 5.1.1 who\r\n450 later\r\n354 go\r\n");
	peer_hear(fd, SENT);
	peer_say(fd, "250 ok\r\n");
	const struct vgm_outcome *o = outcomes(w, 3, false);
	assert_int_equal(o[0].status, VGM_OUTCOME_RELAYED); /* success asked, no DSN there */
	assert_int_equal(o[1].status, VGM_OUTCOME_FAILED);
	assert_true(vgm_slice_eq(o[1].enhanced, VGM_SLICE_LIT("5.1.1")));
	assert_int_equal(o[2].status, VGM_OUTCOME_DEFERRED);
	assert_int_equal(o[2].index, 9);
	(void)close(fd);
}

/* Everything that ends before a body is on its way, on a fresh connection. */
static void test_servers_that_refuse(void **state)
{
	static const struct {
		const char *ehlo; /* NULL: greeting instead */
		const char *reply;
		uint8_t flags;
		uint64_t size;
		uint8_t status;
		const char *enhanced, *words;
		bool down;
	} cases[] = {
	    {NULL, "421 busy\r\n", 0, 0, VGM_OUTCOME_DEFERRED, "4.0.0", "421 busy", true},
	    {NULL, "554 5.7.1 go away\r\n", 0, 0, VGM_OUTCOME_DEFERRED, "4.7.1", "554 5.7.1 go", true},
	    {NULL, "HTTP/1.0 400\r\n", 0, 0, VGM_OUTCOME_DEFERRED, "4.5.0", "not SMTP", true},
	    {NULL, "", 0, 0, VGM_OUTCOME_DEFERRED, "4.4.2", "cut the connection", true},
	    {"451 later\r\n", NULL, 0, 0, VGM_OUTCOME_DEFERRED, "4.0.0", "451 later", true},
	    {PIPE, NULL, VGM_ROUTING_8BIT, 0, VGM_OUTCOME_FAILED, "5.6.3", "7-bit", false},
	    {PIPE, NULL, VGM_ROUTING_UTF8, 0, VGM_OUTCOME_FAILED, "5.6.7", "international", false},
	    {PIPE, NULL, 0, 2000000, VGM_OUTCOME_FAILED, "5.3.4", "1000000", false},
	};
	struct world *w = *state;

	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		int fd;

		deliver(w, (struct given){.route = "route:hop", .flags = cases[i].flags,
			       .size = cases[i].size});
		if (cases[i].ehlo) {
			fd = greet(w->hop, cases[i].ehlo);
		} else {
			fd = peer_accept(w->hop);
			peer_say(fd, cases[i].reply);
			if (!cases[i].reply[0])
				(void)shutdown(fd, SHUT_WR);
		}
		outcome_is(w, cases[i].status, cases[i].enhanced, cases[i].words, cases[i].down);
		(void)close(fd);
		/* an idle connection that was closed is noticed before the next case */
		(void)usleep(20000);
	}
}

static void test_copies_that_fail(void **state)
{
	static const struct {
		uint8_t ok, status;
		const char *enhanced;
	} cases[] = {
	    {VGM_RENDER_NO_KEY, VGM_OUTCOME_DEFERRED, "4.3.0"},
	    {VGM_RENDER_CORRUPT, VGM_OUTCOME_DEFERRED, "4.3.0"},
	    {VGM_RENDER_NEEDS_8BIT, VGM_OUTCOME_FAILED, "5.6.3"},
	};
	struct world *w = *state;

	deliver(w, (struct given){.route = "route:hop"});
	int fd = greet(w->hop, PIPE);
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		(void)asked(w);
		answer(w, cases[i].ok, VGM_SLICE_NONE);
		outcome_is(w, cases[i].status, cases[i].enhanced, "", false);
		deliver(w, (struct given){.route = "route:hop"});
	}
	struct vgm_msg_filter_died died = {.session = asked(w)->session};
	role_send(w->render, VGM_MSG_filter_died, &died);
	outcome_is(w, VGM_OUTCOME_DEFERRED, "4.3.0", "could not be prepared", false);
	/* the connection is as good as before */
	deliver(w, (struct given){.route = "route:hop"});
	render(w);
	take_mail(fd, "250 ok\r\n");
	outcome_is(w, VGM_OUTCOME_DELIVERED, "2.0.0", "250 ok", false);
	(void)close(fd);
}

static void test_lost_after_the_dot(void **state)
{
	struct world *w = *state;

	deliver(w, (struct given){.route = "route:hop"});
	int fd = greet(w->hop, PIPE);
	render(w);
	take_mail(fd, "");
	(void)close(fd);
	outcome_is(w, VGM_OUTCOME_DEFERRED, "4.4.2", "cut the connection", false);
}

static void test_silence(void **state)
{
	struct world *w = *state;
	uint64_t from = vgm_clock_mono_ms();

	/* at MAIL: 500 ms */
	deliver(w, (struct given){.route = "route:hop"});
	int fd = greet(w->hop, PIPE);
	render(w);
	outcome_is(w, VGM_OUTCOME_DEFERRED, "4.4.2", "in time", false);
	assert_in_range(vgm_clock_mono_ms() - from, 450, 3000);
	(void)close(fd);
	/* after the dot: twice as long */
	deliver(w, (struct given){.route = "route:hop"});
	fd = greet(w->hop, PIPE);
	render(w);
	take_mail(fd, "");
	from = vgm_clock_mono_ms();
	outcome_is(w, VGM_OUTCOME_DEFERRED, "4.4.2", "in time", false);
	assert_in_range(vgm_clock_mono_ms() - from, 950, 3000);
	(void)close(fd);
	/* and before any word */
	deliver(w, (struct given){.route = "route:hop"});
	fd = peer_accept(w->hop);
	outcome_is(w, VGM_OUTCOME_DEFERRED, "4.4.2", "in time", true);
	(void)close(fd);
}

/* A byte now and then is not an answer: the reply has its time, not its bytes. */
static void test_trickle(void **state)
{
	struct world *w = *state;
	uint64_t from = vgm_clock_mono_ms();

	deliver(w, (struct given){.route = "route:hop"});
	int fd = greet(w->hop, PIPE);
	render(w);
	peer_hear(fd, TRANSACTION);
	for (int i = 0; i < 20 && !peer_waits(w->ledgerd, 100); i++)
		(void)!send(fd, i == 0 ? "250-" : "x", i == 0 ? 4 : 1, MSG_NOSIGNAL);
	outcome_is(w, VGM_OUTCOME_DEFERRED, "4.4.2", "in time", false);
	assert_in_range(vgm_clock_mono_ms() - from, 450, 1500);
	(void)close(fd);
}

/* An idle connection is closed in the moment in which it is used again. */
static void test_stale_connection(void **state)
{
	struct world *w = *state;

	deliver(w, (struct given){.route = "route:hop"});
	int fd = greet(w->hop, PIPE);
	render(w);
	take_mail(fd, "250 ok\r\n");
	outcome_is(w, VGM_OUTCOME_DELIVERED, "2.0.0", "250 ok", false);
	deliver(w, (struct given){.route = "route:hop"});
	render(w);
	peer_hear(fd, TRANSACTION);
	(void)close(fd);
	fd = greet(w->hop, PIPE); /* the copy is kept: the pool is not asked again */
	take_mail(fd, "250 ok\r\n");
	outcome_is(w, VGM_OUTCOME_DELIVERED, "2.0.0", "250 ok", false);
	(void)close(fd);
}

static void test_hosts_in_order(void **state)
{
	struct world *w = *state;

	deliver(w, (struct given){.route = "route:dead"});
	outcome_is(w, VGM_OUTCOME_DEFERRED, "4.4.1", "refused", true);
	deliver(w, (struct given){.route = "route:two"});
	int fd = greet(w->hop, PIPE);
	render(w);
	take_mail(fd, "250 ok\r\n");
	outcome_is(w, VGM_OUTCOME_DELIVERED, "2.0.0", "250 ok", false);
	(void)close(fd);
	deliver(w, (struct given){.route = "route:both"});
	fd = peer_accept(w->hop);
	peer_say(fd, "421 not I\r\n");
	int fd2 = greet(w->hop2, PIPE);
	render(w);
	take_mail(fd2, "250 ok\r\n");
	outcome_is(w, VGM_OUTCOME_DELIVERED, "2.0.0", "250 ok", false);
	(void)close(fd);
	(void)close(fd2);
	deliver(w, (struct given){.route = "route:gone"});
	outcome_is(w, VGM_OUTCOME_DEFERRED, "4.3.5", "route:gone", true);
}

/* Two connections are the route's most; the third job waits for one of them, and
 * its copy is made meanwhile. */
static void test_connections_and_line(void **state)
{
	struct world *w = *state;
	int fd[2];

	for (int i = 0; i < 3; i++)
		deliver(w, (struct given){.route = "route:hop"});
	for (int i = 0; i < 2; i++) {
		fd[i] = greet(w->hop, PIPE);
		render(w);
	}
	assert_false(peer_waits(w->hop, 100));
	render(w);
	for (int i = 0; i < 2; i++)
		take_mail(fd[i], "250 ok\r\n");
	/* whichever was free first has the third */
	take_mail(peer_waits(fd[0], 300) ? fd[0] : fd[1], "250 ok\r\n");
	for (int i = 0; i < 3; i++)
		outcome_is(w, VGM_OUTCOME_DELIVERED, "2.0.0", "250 ok", false);
	(void)close(fd[0]);
	(void)close(fd[1]);
}

/* 1 MB with every kind of line end and leading dots, against a server that reads
 * slowly. */
static void test_large_body(void **state)
{
	struct world *w = *state;
	struct vgm_buf in = VGM_BUF_INIT(4 << 20), out = VGM_BUF_INIT(4 << 20);

	for (int i = 0; in.len < 1 << 20; i++) {
		const char *end = i % 97 == 0 ? "\n" : "\r\n";

		assert_int_equal(vgm_buf_addf(&in, "%s%d line of text%s", i % 5 ? "" : "..", i, end), 0);
		assert_int_equal(vgm_buf_addf(&out, "%s%d line of text\r\n", i % 5 ? "" : "...", i), 0);
	}
	assert_int_equal(vgm_buf_add_str(&out, ".\r\n"), 0);
	deliver(w, (struct given){.route = "route:hop"});
	int fd = greet(w->hop, "250-hop\r\n250 PIPELINING\r\n");
	(void)asked(w);
	answer(w, VGM_RENDER_OK, vgm_buf_slice(&in));
	peer_hear(fd, "MAIL FROM:<a@s>\r\nRCPT TO:<b@d>\r\nDATA\r\n");
	peer_say(fd, "250 ok\r\n250 ok\r\n354 go\r\n");
	(void)usleep(100000);
	peer_hear(fd, vgm_buf_str(&out));
	peer_say(fd, "250 ok\r\n");
	outcome_is(w, VGM_OUTCOME_DELIVERED, "2.0.0", "250 ok", false);
	(void)close(fd);
	vgm_buf_release(&in);
	vgm_buf_release(&out);
}

/* ---- TLS ---- */

#define TLS "250-hop\r\n250 STARTTLS\r\n"

static void secure(struct vgm_stream *s, int fd, struct vgm_tls *tls)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	peer_hear(fd, "STARTTLS\r\n");
	peer_say(fd, "220 go\r\n");
	vgm_stream_init(s, fd);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(vgm_stream_start_tls(s, tls, NULL, false, NULL), 0);
	while (vgm_stream_handshake(s, NULL) == VGM_E_BUSY)
		assert_int_equal(poll(&p, 1, PEER_MS), 1);
}

static void tls_hear(struct vgm_stream *s, const char *text)
{
	char got[200] = "";
	size_t have = 0, n;
	struct pollfd p = {.fd = s->fd, .events = POLLIN};

	while (have < strlen(text)) {
		if (vgm_stream_read(s, got + have, strlen(text) - have, &n) == 0)
			have += n;
		else
			assert_int_equal(poll(&p, 1, PEER_MS), 1);
	}
	assert_string_equal(got, text);
}

static void tls_say(struct vgm_stream *s, const char *text)
{
	size_t n;

	assert_int_equal(vgm_stream_write(s, text, strlen(text), &n), 0);
	assert_int_equal(n, strlen(text));
}

static void test_tls(void **state)
{
	struct world *w = *state;
	struct vgm_buf pem = VGM_BUF_INIT(65536);
	struct vgm_tls *tls;
	struct vgm_stream s;
	EVP_PKEY *key = fixture_key("P-256");
	X509 *cert = fixture_certificate(key, "hop", "DNS:hop", NULL, NULL);

	fixture_pem(cert, &pem);
	assert_int_equal(
	    vgm_tls_server_new(vgm_buf_slice(&pem), fixture_sign, key, false, &tls, NULL), 0);
	/* any certificate will do */
	deliver(w, (struct given){.route = "route:safe"});
	secure(&s, greet(w->hop, TLS), tls);
	tls_hear(&s, "EHLO gw.test\r\n");
	tls_say(&s, PIPE);
	render(w);
	tls_hear(&s, TRANSACTION);
	tls_say(&s, "250 ok\r\n250 ok\r\n354 go\r\n");
	tls_hear(&s, SENT);
	tls_say(&s, "250 ok\r\n");
	const struct vgm_outcome *o = outcomes(w, 1, false);
	assert_int_equal(o->status, VGM_OUTCOME_DELIVERED);
	assert_true(vgm_slice_starts_nocase(o->tls, VGM_SLICE_LIT("TLSv1.3 ")));
	vgm_stream_release(&s);
	/* one that names nobody will not */
	deliver(w, (struct given){.route = "route:sure"});
	secure(&s, greet(w->hop, TLS), tls);
	outcome_is(w, VGM_OUTCOME_DEFERRED, "4.7.5", "encryption", true);
	vgm_stream_release(&s);
	/* required, not offered */
	deliver(w, (struct given){.route = "route:hop", .tls_need = VGM_TLS_ENCRYPT});
	int fd = greet(w->hop, PIPE);
	outcome_is(w, VGM_OUTCOME_DEFERRED, "4.7.10", "encryption", true);
	(void)close(fd);
	/* offered, broken, not required: in clear on a new connection */
	deliver(w, (struct given){.route = "route:hop"});
	fd = greet(w->hop, TLS);
	peer_hear(fd, "STARTTLS\r\n");
	peer_say(fd, "220 go\r\n");
	peer_say(fd, "250 this is not TLS at all, whatever it may look like\r\n");
	int fd2 = greet(w->hop, "250-hop\r\n250-SIZE\r\n250-STARTTLS\r\n250 PIPELINING\r\n");
	render(w);
	take_mail(fd2, "250 ok\r\n");
	outcome_is(w, VGM_OUTCOME_DELIVERED, "2.0.0", "250 ok", false);
	(void)close(fd);
	(void)close(fd2);
	vgm_tls_free(&tls);
	X509_free(cert);
	EVP_PKEY_free(key);
	vgm_buf_release(&pem);
}

/* ---- DNS ---- */

static void resolve(struct world *w, const char *name, uint16_t type, uint8_t status,
    const struct vgm_dns_answer *answers, size_t count)
{
	struct vgm_msg_resolve *m = receive(w, w->resolverd, VGM_MSG_resolve);
	struct vgm_msg_resolved a = {.tag = m->tag, .status = status, .ttl = 1,
	    .answers = (struct vgm_dns_answer *)(uintptr_t)answers, .answers_count = count};

	assert_int_equal(m->type, type);
	assert_true(vgm_slice_eq(m->name, vgm_slice_str(name)));
	role_send(w->resolverd, VGM_MSG_resolved, &a);
}

static void test_mx_without_hosts(void **state)
{
	static const struct {
		uint8_t dns;
		const char *mx; /* NULL: no answer */
		uint8_t status;
		const char *enhanced, *words;
	} cases[] = {
	    {VGM_DNS_NXDOMAIN, NULL, VGM_OUTCOME_FAILED, "5.1.2", "does not exist"},
	    {VGM_DNS_TEMPORARY, NULL, VGM_OUTCOME_DEFERRED, "4.4.3", "DNS"},
	    {VGM_DNS_BOGUS, NULL, VGM_OUTCOME_DEFERRED, "4.4.3", "DNS"},
	    {VGM_DNS_OK, "", VGM_OUTCOME_FAILED, "5.1.10", "takes no mail"},
	    {VGM_DNS_OK, "GW.test", VGM_OUTCOME_FAILED, "5.4.6", "back to this server"},
	};
	struct world *w = *state;

	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_dns_answer mx = {.preference = 10};

		if (cases[i].mx)
			mx.data = vgm_slice_str(cases[i].mx);
		deliver(w, (struct given){.route = "mx:d.test"});
		resolve(w, "d.test", VGM_DNS_MX, cases[i].dns, &mx, cases[i].mx != NULL);
		outcome_is(w, cases[i].status, cases[i].enhanced, cases[i].words,
		    cases[i].status == VGM_OUTCOME_DEFERRED);
	}
	/* an MX whose host has no address; a domain that is none */
	static const struct vgm_dns_answer mx = {10, VGM_SLICE_LIT("mx.d.test")};
	deliver(w, (struct given){.route = "mx:d.test"});
	resolve(w, "d.test", VGM_DNS_MX, VGM_DNS_OK, &mx, 1);
	resolve(w, "mx.d.test", VGM_DNS_A, VGM_DNS_NXDOMAIN, NULL, 0);
	resolve(w, "mx.d.test", VGM_DNS_AAAA, VGM_DNS_NXDOMAIN, NULL, 0);
	outcome_is(w, VGM_OUTCOME_FAILED, "5.4.4", "no mail server", false);
	deliver(w, (struct given){.route = "mx:d\303\251..test"});
	outcome_is(w, VGM_OUTCOME_FAILED, "5.1.2", "does not exist", false);
	/* an international one is asked for in ASCII */
	deliver(w, (struct given){.route = "mx:d\303\251.test"});
	resolve(w, "xn--d-bga.test", VGM_DNS_MX, VGM_DNS_NXDOMAIN, NULL, 0);
	outcome_is(w, VGM_OUTCOME_FAILED, "5.1.2", "does not exist", false);
}

static void test_named_host(void **state)
{
	static const struct vgm_dns_answer a = {0, VGM_SLICE_LIT("\x7f\x00\x00\x01")};
	struct world *w = *state;

	deliver(w, (struct given){.route = "route:named"});
	resolve(w, "inside.test", VGM_DNS_A, VGM_DNS_OK, &a, 1);
	resolve(w, "inside.test", VGM_DNS_AAAA, VGM_DNS_TEMPORARY, NULL, 0);
	int fd = greet(w->hop, PIPE);
	render(w);
	take_mail(fd, "250 ok\r\n");
	outcome_is(w, VGM_OUTCOME_DELIVERED, "2.0.0", "250 ok", false);
	(void)close(fd);
	(void)usleep(20000);
	/* our own name, unknown: ours to mend, so it waits */
	deliver(w, (struct given){.route = "route:named"});
	resolve(w, "inside.test", VGM_DNS_A, VGM_DNS_NXDOMAIN, NULL, 0);
	resolve(w, "inside.test", VGM_DNS_AAAA, VGM_DNS_NXDOMAIN, NULL, 0);
	outcome_is(w, VGM_OUTCOME_DEFERRED, "4.4.4", "leads nowhere", true);
}

static void test_mx_delivery(void **state)
{
	static const struct vgm_dns_answer mx[] = {
	    {20, VGM_SLICE_LIT("b.d.test")}, {10, VGM_SLICE_LIT("a.d.test")}};
	static const struct vgm_dns_answer a = {0, VGM_SLICE_LIT("\x7f\x21\x00\x02")},
					   b = {0, VGM_SLICE_LIT("\x7f\x21\x00\x01")};
	struct world *w = *state;
	uint16_t port = 25;
	int hop = peer_listen("127.33.0.1", &port);

	if (hop < 0)
		skip();
	deliver(w, (struct given){.route = "mx:d.test"});
	resolve(w, "d.test", VGM_DNS_MX, VGM_DNS_OK, mx, 2);
	resolve(w, "a.d.test", VGM_DNS_A, VGM_DNS_OK, &a, 1);
	resolve(w, "a.d.test", VGM_DNS_AAAA, VGM_DNS_OK, NULL, 0);
	resolve(w, "b.d.test", VGM_DNS_A, VGM_DNS_OK, &b, 1);
	resolve(w, "b.d.test", VGM_DNS_AAAA, VGM_DNS_OK, NULL, 0);
	int fd = greet(hop, PIPE);
	render(w);
	take_mail(fd, "250 ok\r\n");
	outcome_is(w, VGM_OUTCOME_DELIVERED, "2.0.0", "250 ok", false);
	(void)close(fd);
	/* a server there that has our own name: mail would go in a circle */
	(void)usleep(20000);
	deliver(w, (struct given){.route = "mx:[127.33.0.1]"});
	fd = greet(hop, "250 gw.test\r\n");
	outcome_is(w, VGM_OUTCOME_FAILED, "5.4.6", "back to this server", false);
	(void)close(fd);
	(void)close(hop);
}

/* ---- siblings that go ---- */

static void test_ledgerd_goes(void **state)
{
	struct world *w = *state;

	deliver(w, (struct given){.route = "route:hop"});
	int fd = greet(w->hop, PIPE);
	render(w);
	peer_hear(fd, TRANSACTION);
	(void)close(w->ledgerd);
	peer_hear_end(fd); /* the body never goes out */
	w->ledgerd = role_peer(&w->relayd, VGM_ROLE_LEDGERD, VGM_INSTANCE_ONLY);
	deliver(w, (struct given){.route = "route:hop"});
	fd = greet(w->hop, PIPE);
	render(w);
	take_mail(fd, "250 ok\r\n");
	outcome_is(w, VGM_OUTCOME_DELIVERED, "2.0.0", "250 ok", false);
	(void)close(fd);
}

static void test_pool_goes(void **state)
{
	struct world *w = *state;

	deliver(w, (struct given){.route = "route:hop"});
	int fd = greet(w->hop, PIPE);
	(void)asked(w);
	(void)close(w->render);
	outcome_is(w, VGM_OUTCOME_DEFERRED, "4.3.0", "could not be prepared", false);
	/* while it is away, jobs wait */
	deliver(w, (struct given){.route = "route:hop"});
	(void)usleep(100000);
	w->render = role_peer(&w->relayd, VGM_ROLE_RENDER, VGM_INSTANCE_ONLY);
	render(w);
	take_mail(fd, "250 ok\r\n");
	outcome_is(w, VGM_OUTCOME_DELIVERED, "2.0.0", "250 ok", false);
	(void)close(fd);
}

static void test_resolverd_goes(void **state)
{
	struct world *w = *state;

	deliver(w, (struct given){.route = "mx:d.test"});
	(void)receive(w, w->resolverd, VGM_MSG_resolve);
	(void)close(w->resolverd);
	outcome_is(w, VGM_OUTCOME_DEFERRED, "4.4.3", "DNS", true);
	deliver(w, (struct given){.route = "mx:d.test"});
	(void)usleep(50000);
	w->resolverd = role_peer(&w->relayd, VGM_ROLE_RESOLVERD, VGM_INSTANCE_ONLY);
	resolve(w, "d.test", VGM_DNS_MX, VGM_DNS_NXDOMAIN, NULL, 0);
	outcome_is(w, VGM_OUTCOME_FAILED, "5.1.2", "does not exist", false);
}

/* STOP: what is being sent is finished and reported, what waits is left. */
static void test_stop(void **state)
{
	struct world *w = *state;
	struct vgm_msg_stop stop;
	int status;

	deliver(w, (struct given){.route = "route:hop"});
	int fd = greet(w->hop, PIPE);
	render(w);
	peer_hear(fd, TRANSACTION);
	deliver(w, (struct given){.route = "mx:d.test"}); /* waits for the DNS */
	(void)receive(w, w->resolverd, VGM_MSG_resolve);
	role_send(w->relayd.master, VGM_MSG_stop, &stop);
	uint64_t from = vgm_clock_mono_ms();
	(void)usleep(50000);
	deliver(w, (struct given){.route = "mx:e.test"}); /* was under way: holds up nothing */
	peer_say(fd, "250 ok\r\n250 ok\r\n354 go\r\n");
	peer_hear(fd, SENT);
	peer_say(fd, "250 ok\r\n");
	outcome_is(w, VGM_OUTCOME_DELIVERED, "2.0.0", "250 ok", false);
	peer_hear(fd, "QUIT\r\n");
	peer_hear_end(fd);
	assert_int_equal(waitpid(w->relayd.pid, &status, 0), w->relayd.pid);
	assert_int_equal(status, 0);
	assert_in_range(vgm_clock_mono_ms() - from, 0, 5000);
	(void)close(w->relayd.master);
	(void)close(w->ledgerd);
	(void)close(w->render);
	(void)close(w->resolverd);
	start(w);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_up, world_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_delivered_and_reused),
	    TEST(test_each_recipient_its_own),
	    TEST(test_servers_that_refuse),
	    TEST(test_copies_that_fail),
	    TEST(test_lost_after_the_dot),
	    TEST(test_silence),
	    TEST(test_trickle),
	    TEST(test_stale_connection),
	    TEST(test_hosts_in_order),
	    TEST(test_connections_and_line),
	    TEST(test_large_body),
	    TEST(test_tls),
	    TEST(test_mx_without_hosts),
	    TEST(test_named_host),
	    TEST(test_mx_delivery),
	    TEST(test_ledgerd_goes),
	    TEST(test_pool_goes),
	    TEST(test_resolverd_goes),
	    TEST(test_stop),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
