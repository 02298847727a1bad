/* SPDX-License-Identifier: EUPL-1.2
 * net/stream.c: the same bytes through clear and TLS streams in every size of
 * step, the ends told apart, and the switch between the two. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tls_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>

struct world {
	EVP_PKEY *key;
	X509 *cert;
	struct vgm_tls *server, *client;
};

static int world_up(void **state)
{
	struct world *w = vgm_alloc(sizeof *w);
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf pem = VGM_BUF_INIT(1 << 16);
	signal(SIGPIPE, SIG_IGN);
	w->key = fixture_key("P-256");
	w->cert = fixture_certificate(w->key, "mx.example.org", "DNS:mx.example.org", NULL, NULL);
	fixture_pem(w->cert, &pem);
	assert_int_equal(vgm_tls_server_new(
	                     vgm_buf_slice(&pem), fixture_sign, w->key, false, &w->server, NULL),
	    0);
	assert_int_equal(vgm_tls_client_new(NULL, &w->client, NULL), 0);
	*state = w;
	return 0;
}

static int world_down(void **state)
{
	struct world *w = *state;
	vgm_tls_free(&w->server);
	vgm_tls_free(&w->client);
	X509_free(w->cert);
	EVP_PKEY_free(w->key);
	vgm_free(w);
	return 0;
}

/* A connected pair, under TLS where asked. */
static void connect_pair(struct world *w, bool tls, struct vgm_stream *c, struct vgm_stream *s)
{
	int rc, rs;
	fixture_pair(c, s);
	if (!tls)
		return;
	assert_int_equal(vgm_stream_start_tls(c, w->client, "mx.example.org", false, NULL), 0);
	assert_int_equal(vgm_stream_start_tls(s, w->server, NULL, false, NULL), 0);
	fixture_handshake(c, s, &rc, &rs, NULL);
	assert_int_equal(rc, 0);
	assert_int_equal(rs, 0);
}

/* Moves total bytes in given steps while the reader now and then stalls. */
static void move(struct vgm_stream *from, struct vgm_stream *to, size_t total, size_t write_step,
    size_t read_step)
{
	size_t written = 0, seen = 0, n;
	bool was_busy = false;
	uint8_t *out = vgm_alloc(write_step), *in = vgm_alloc(read_step);
	while (seen < total) {
		while (written < total) {
			size_t len = vgm_min_size(write_step, total - written);
			for (size_t i = 0; i < len; i++)
				out[i] = (uint8_t)((written + i) * 31 >> 3);
			int r = vgm_stream_write(from, out, len, &n);
			if (r == VGM_E_BUSY) {
				assert_int_equal(from->want, VGM_IO_WRITE);
				was_busy = true;
				break;
			}
			assert_int_equal(r, 0);
			assert_in_range(n, 1, len);
			written += n;
		}
		int r = vgm_stream_read(to, in, read_step, &n);
		if (r == VGM_E_BUSY) {
			assert_int_equal(to->want, VGM_IO_READ);
			assert_int_equal(vgm_stream_pending(to), 0);
			continue;
		}
		assert_int_equal(r, 0);
		assert_in_range(n, 1, read_step);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(in[i], (uint8_t)((seen + i) * 31 >> 3));
		seen += n;
	}
	assert_true(was_busy || total < 100000);
	vgm_free(out);
	vgm_free(in);
}

static void test_every_step_size(void **state)
{
	static const struct {
		size_t total, write_step, read_step;
	} cases[] = {{1, 1, 1}, {5000, 1, 1}, {5000, 7, 4096}, {5000, 5000, 1}, {70000, 1000, 33},
	    {2000000, 65536, 65536}, {2000000, 300000, 4096}, {2000000, 16384, 16385}};
	for (int tls = 0; tls < 2; tls++)
		for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
			struct vgm_stream c, s;
			connect_pair(*state, tls, &c, &s);
			assert_int_equal(vgm_stream_is_tls(&c), tls);
			move(&c, &s, cases[i].total, cases[i].write_step, cases[i].read_step);
			move(&s, &c, cases[i].total, cases[i].write_step, cases[i].read_step);
			vgm_stream_release(&c);
			vgm_stream_release(&s);
		}
}

/* What is left of a record after a short read makes no socket readable. */
static void test_pending_bytes_are_told(void **state)
{
	struct vgm_stream c, s;
	char buf[10];
	size_t n;
	connect_pair(*state, true, &c, &s);
	assert_int_equal(vgm_stream_write(&c, "0123456789abcdef", 16, &n), 0);
	assert_int_equal(vgm_stream_read(&s, buf, 10, &n), 0);
	assert_int_equal(n, 10);
	assert_int_equal(vgm_stream_pending(&s), 6);
	struct pollfd p = {.fd = s.fd, .events = POLLIN};
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_int_equal(vgm_stream_read(&s, buf, 10, &n), 0);
	assert_int_equal(n, 6);
	assert_int_equal(vgm_stream_pending(&s), 0);
	vgm_stream_release(&c);
	vgm_stream_release(&s);
}

enum ending { SHUTDOWN, CUT, RELEASED };

static void test_ends_are_told_apart(void **state)
{
	static const struct {
		bool tls;
		enum ending ending;
		int expected;
	} cases[] = {
	    {false, SHUTDOWN, VGM_E_CLOSED},
	    {false, CUT, VGM_E_CLOSED},
	    {true, SHUTDOWN, VGM_E_CLOSED},
	    {true, CUT, VGM_E_IO},
	    {true, RELEASED, VGM_E_IO},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_stream c, s;
		char buf[100];
		size_t n;
		connect_pair(*state, cases[i].tls, &c, &s);
		assert_int_equal(vgm_stream_write(&c, "last words", 10, &n), 0);
		if (cases[i].ending == SHUTDOWN)
			vgm_stream_shutdown(&c);
		else if (cases[i].ending == CUT)
			shutdown(c.fd, SHUT_WR);
		else
			vgm_stream_release(&c);
		assert_int_equal(vgm_stream_read(&s, buf, sizeof buf, &n), 0);
		assert_int_equal(n, 10);
		for (int again = 0; again < 2; again++)
			assert_int_equal(vgm_stream_read(&s, buf, sizeof buf, &n), cases[i].expected);
		vgm_stream_shutdown(&s);
		vgm_stream_release(&c);
		vgm_stream_release(&s);
	}
}

/* A record cut at any byte is an error, never an end. */
static void test_tls_cut_at_every_byte(void **state)
{
	for (size_t cut = 0; cut < 60; cut++) {
		struct vgm_stream c, s, relay;
		uint8_t record[200], buf[100];
		size_t n;
		connect_pair(*state, true, &c, &s);
		assert_int_equal(vgm_stream_write(&c, "DATA that is all or nothing", 27, &n), 0);
		ssize_t have = recv(s.fd, record, sizeof record, 0);
		assert_true(have > 0);
		if (cut >= (size_t)have) {
			vgm_stream_release(&c);
			vgm_stream_release(&s);
			break;
		}
		/* The server's socket is fed by us from here on. */
		int fds[2];
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
		assert_true(dup2(fds[1], s.fd) >= 0);
		close(fds[1]);
		vgm_stream_init(&relay, fds[0]);
		if (cut)
			assert_int_equal(send(relay.fd, record, cut, 0), (ssize_t)cut);
		vgm_stream_release(&relay);
		assert_int_equal(vgm_stream_read(&s, buf, sizeof buf, &n), VGM_E_IO);
		vgm_stream_release(&c);
		vgm_stream_release(&s);
	}
}

static void test_forged_byte_is_an_error(void **state)
{
	struct vgm_stream c, s;
	uint8_t record[300];
	char buf[100];
	size_t n;
	connect_pair(*state, true, &c, &s);
	assert_int_equal(vgm_stream_write(&c, "genuine", 7, &n), 0);
	ssize_t have = recv(s.fd, record, sizeof record, 0);
	record[have - 1] ^= 1;
	assert_int_equal(send(c.fd, record, (size_t)have, 0), have);
	assert_int_equal(vgm_stream_read(&s, buf, sizeof buf, &n), VGM_E_IO);
	vgm_stream_release(&c);
	vgm_stream_release(&s);
}

/* Bytes in clear behind STARTTLS are not carried over into the session. */
static void test_injected_clear_text_breaks_the_handshake(void **state)
{
	struct world *w = *state;
	struct vgm_stream c, s;
	struct vgm_err err;
	fixture_pair(&c, &s);
	assert_int_equal(send(c.fd, "EHLO injected\r\n", 15, 0), 15);
	assert_int_equal(vgm_stream_start_tls(&s, w->server, NULL, false, NULL), 0);
	assert_int_equal(vgm_stream_handshake(&s, &err), VGM_E_CRYPTO);
	assert_non_null(strstr(err.text, "TLS handshake: "));
	vgm_stream_release(&c);
	vgm_stream_release(&s);
}

static void test_peer_leaves_in_the_handshake(void **state)
{
	struct world *w = *state;
	struct vgm_stream c, s;
	fixture_pair(&c, &s);
	assert_int_equal(vgm_stream_start_tls(&s, w->server, NULL, false, NULL), 0);
	assert_int_equal(vgm_stream_handshake(&s, NULL), VGM_E_BUSY);
	assert_int_equal(s.want, VGM_IO_READ);
	vgm_stream_release(&c);
	assert_int_equal(vgm_stream_handshake(&s, NULL), VGM_E_IO);
	vgm_stream_release(&s);
}

/* Over TCP, with an RST where a FIN should be. */
static void test_reset_is_not_an_end(void **state)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	struct linger now = {1, 0};
	struct vgm_stream s;
	char buf[10];
	size_t n;
	(void)state;
	int listener = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(connect(c, (struct sockaddr *)&a, sizeof a), 0);
	vgm_stream_init(&s, accept4(listener, NULL, NULL, SOCK_NONBLOCK));
	setsockopt(c, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	close(c);
	assert_int_equal(vgm_stream_read(&s, buf, sizeof buf, &n), VGM_E_IO);
	assert_int_equal(vgm_stream_write(&s, "x", 1, &n), VGM_E_IO);
	vgm_stream_release(&s);
	vgm_stream_release(&s);
	close(listener);
}

/* A reload frees the context while streams that were made with it go on. */
static void test_context_outlives_its_owner(void **state)
{
	struct world *w = *state;
	struct vgm_tls *client;
	struct vgm_stream c, s;
	int rc, rs;
	assert_int_equal(vgm_tls_client_new("", &client, NULL), 0);
	fixture_pair(&c, &s);
	assert_int_equal(vgm_stream_start_tls(&c, client, "192.0.2.1", false, NULL), 0);
	assert_int_equal(vgm_stream_start_tls(&s, w->server, NULL, false, NULL), 0);
	vgm_tls_free(&client);
	assert_null(client);
	vgm_tls_free(&client);
	fixture_handshake(&c, &s, &rc, &rs, NULL);
	assert_int_equal(rc, 0);
	assert_int_equal(rs, 0);
	move(&c, &s, 1000, 10, 10);
	vgm_stream_release(&c);
	vgm_stream_release(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_step_size),
	    cmocka_unit_test(test_pending_bytes_are_told),
	    cmocka_unit_test(test_ends_are_told_apart),
	    cmocka_unit_test(test_tls_cut_at_every_byte),
	    cmocka_unit_test(test_forged_byte_is_an_error),
	    cmocka_unit_test(test_injected_clear_text_breaks_the_handshake),
	    cmocka_unit_test(test_peer_leaves_in_the_handshake),
	    cmocka_unit_test(test_reset_is_not_an_end),
	    cmocka_unit_test(test_context_outlives_its_owner),
	};
	return cmocka_run_group_tests(tests, world_up, world_down);
}
