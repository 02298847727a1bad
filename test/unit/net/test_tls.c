/* SPDX-License-Identifier: EUPL-1.2
 * net/tls.c, net/tls_remote_key.c: what is agreed on and what is refused, names
 * and authorities, and a private key that is in another process. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tls_fixture.h"

#include "base/clock.h"
#include "ipc/channel.h"

#include <openssl/err.h>
#include <pthread.h>
#include <signal.h>

static struct vgm_tls *server_of(EVP_PKEY *key, X509 *cert, vgm_tls_signer *signer, void *context,
    bool ask)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf pem = VGM_BUF_INIT(1 << 16);
	struct vgm_tls *tls;
	struct vgm_err err;
	fixture_pem(cert, &pem);
	assert_int_equal(vgm_tls_server_new(vgm_buf_slice(&pem), signer ? signer : fixture_sign,
	                     signer ? context : key, ask, &tls, &err),
	    0);
	assert_true(vgm_tls_is_server(tls));
	return tls;
}

static X509 *self_signed(EVP_PKEY *key)
{
	return fixture_certificate(
	    key, "mx.example.org", "DNS:mx.example.org,IP:192.0.2.7", NULL, NULL);
}

static void assert_facts(const struct vgm_stream *s, const char *expected)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf facts = VGM_BUF_INIT(200);
	assert_int_equal(vgm_stream_tls_facts(s, &facts), 0);
	assert_string_equal(vgm_buf_str(&facts), expected);
}

/* One echo each way, to see that the keys agree. */
static void exchange(struct vgm_stream *a, struct vgm_stream *b)
{
	char buf[10];
	size_t n;
	assert_int_equal(vgm_stream_write(a, "ping", 4, &n), 0);
	assert_int_equal(vgm_stream_read(b, buf, sizeof buf, &n), 0);
	assert_int_equal(vgm_stream_write(b, "pong", 4, &n), 0);
	assert_int_equal(vgm_stream_read(a, buf, sizeof buf, &n), 0);
	assert_memory_equal(buf, "pong", 4);
}

/* ---- versions, ciphers, kinds of keys ---- */

static void test_what_is_agreed_on(void **state)
{
	static const struct {
		const char *key;
		int min, max;        /* the client's versions */
		const char *ciphers; /* the client's, TLS 1.2 and before */
		const char *facts;   /* NULL: refused */
	} cases[] = {
	    {"P-256", 0, 0, NULL, "TLSv1.3 TLS_AES_256_GCM_SHA384"},
	    {"P-384", 0, 0, NULL, "TLSv1.3 TLS_AES_256_GCM_SHA384"},
	    {"RSA", 0, 0, NULL, "TLSv1.3 TLS_AES_256_GCM_SHA384"},
	    {"P-256", 0, TLS1_2_VERSION, NULL, "TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384"},
	    {"RSA", 0, TLS1_2_VERSION, NULL, "TLSv1.2 ECDHE-RSA-AES256-GCM-SHA384"},
	    {"RSA", 0, TLS1_2_VERSION, "ECDHE-RSA-AES128-SHA", "TLSv1.2 ECDHE-RSA-AES128-SHA"},
	    {"RSA", 0, TLS1_1_VERSION, NULL, NULL},
	    {"RSA", 0, TLS1_VERSION, NULL, NULL},
	    {"P-256", 0, TLS1_1_VERSION, NULL, NULL},
	    {"RSA", 0, TLS1_2_VERSION, "aNULL", NULL},
	    {"RSA", 0, TLS1_2_VERSION, "eNULL", NULL},
	    {"RSA", 0, TLS1_2_VERSION, "kRSA", NULL},
	    {"P-256", 0, TLS1_2_VERSION, "AECDH-AES256-SHA", NULL},
	};
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		EVP_PKEY *key = fixture_key(cases[i].key);
		X509 *cert = self_signed(key);
		struct vgm_tls *server = server_of(key, cert, NULL, NULL, false), *client;
		struct vgm_stream c, s;
		int rc, rs;
		/* A client with none of our restrictions. */
		assert_int_equal(vgm_tls_client_new(NULL, &client, NULL), 0);
		SSL_CTX *ctx = vgm_tls_context(client);
		SSL_CTX_set_security_level(ctx, 0);
		SSL_CTX_set_min_proto_version(ctx, cases[i].min);
		SSL_CTX_set_max_proto_version(ctx, cases[i].max);
		assert_true(!cases[i].ciphers || SSL_CTX_set_cipher_list(ctx, cases[i].ciphers));
		fixture_pair(&c, &s);
		assert_int_equal(vgm_stream_start_tls(&c, client, "mx.example.org", false, NULL), 0);
		assert_int_equal(vgm_stream_start_tls(&s, server, NULL, false, NULL), 0);
		fixture_handshake(&c, &s, &rc, &rs, NULL);
		if (cases[i].facts) {
			assert_int_equal(rc, 0);
			assert_int_equal(rs, 0);
			exchange(&c, &s);
			assert_facts(&s, cases[i].facts);
			assert_facts(&c, cases[i].facts);
		} else {
			assert_int_equal(rs, VGM_E_CRYPTO);
			assert_int_not_equal(rc, 0);
			assert_facts(&s, "");
		}
		vgm_stream_release(&c);
		vgm_stream_release(&s);
		vgm_tls_free(&server);
		vgm_tls_free(&client);
		X509_free(cert);
		EVP_PKEY_free(key);
	}
}

/* Our client does not speak old versions to an old server either. */
static void test_client_refuses_old_servers(void **state)
{
	static const int versions[] = {TLS1_VERSION, TLS1_1_VERSION};
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(versions); i++) {
		EVP_PKEY *key = fixture_key("RSA");
		X509 *cert = self_signed(key);
		struct vgm_tls *server = server_of(key, cert, NULL, NULL, false), *client;
		struct vgm_stream c, s;
		int rc, rs;
		SSL_CTX *ctx = vgm_tls_context(server);
		SSL_CTX_set_security_level(ctx, 0);
		SSL_CTX_set_min_proto_version(ctx, versions[i]);
		SSL_CTX_set_max_proto_version(ctx, versions[i]);
		assert_int_equal(vgm_tls_client_new(NULL, &client, NULL), 0);
		fixture_pair(&c, &s);
		assert_int_equal(vgm_stream_start_tls(&c, client, "mx.example.org", false, NULL), 0);
		assert_int_equal(vgm_stream_start_tls(&s, server, NULL, false, NULL), 0);
		fixture_handshake(&c, &s, &rc, &rs, NULL);
		assert_int_not_equal(rc, 0);
		assert_int_not_equal(rs, 0);
		vgm_stream_release(&c);
		vgm_stream_release(&s);
		vgm_tls_free(&server);
		vgm_tls_free(&client);
		X509_free(cert);
		EVP_PKEY_free(key);
	}
}

/* ---- names and authorities ---- */

static char *write_authorities(X509 *ca)
{
	char *path = vgm_strdup("/tmp/vgm-test-ca-XXXXXX");
	int fd = mkstemp(path);
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf pem = VGM_BUF_INIT(1 << 16);
	fixture_pem(ca, &pem);
	assert_int_equal(write(fd, pem.data, pem.len), (ssize_t)pem.len);
	close(fd);
	return path;
}

static void test_names_and_authorities(void **state)
{
	static const struct {
		const char *host;
		bool known_authority, must_verify;
		const char *error; /* NULL: handshake done */
		bool verified;
	} cases[] = {
	    {"mx.example.org", true, true, NULL, true},
	    {"mx.example.org", true, false, NULL, true},
	    {"MX.Example.ORG", true, true, NULL, true},
	    {"192.0.2.7", true, true, NULL, true},
	    {"192.0.2.8", true, true, "TLS handshake: IP address mismatch", false},
	    {"192.0.2.8", true, false, NULL, false},
	    {"other.example.org", true, true, "TLS handshake: hostname mismatch", false},
	    {"other.example.org", true, false, NULL, false},
	    {"a.mx.example.org", true, true, "TLS handshake: hostname mismatch", false},
	    {"mx.example.org", false, true, "TLS handshake: unable to get local issuer certificate",
	        false},
	    {"mx.example.org", false, false, NULL, false},
	};
	EVP_PKEY *ca_key = fixture_key("P-256"), *key = fixture_key("P-256");
	(void)state;
	X509 *ca = fixture_certificate(ca_key, "Test CA", NULL, NULL, NULL);
	X509 *cert = fixture_certificate(
	    key, "ignored.example", "DNS:mx.example.org,IP:192.0.2.7", ca, ca_key);
	char *path = write_authorities(ca);
	struct vgm_tls *server = server_of(key, cert, NULL, NULL, false);
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_tls *client;
		struct vgm_stream c, s;
		struct vgm_err err;
		int rc, rs;
		assert_int_equal(
		    vgm_tls_client_new(cases[i].known_authority ? path : NULL, &client, &err), 0);
		fixture_pair(&c, &s);
		assert_int_equal(
		    vgm_stream_start_tls(&c, client, cases[i].host, cases[i].must_verify, &err), 0);
		assert_int_equal(vgm_stream_start_tls(&s, server, NULL, false, &err), 0);
		fixture_handshake(&c, &s, &rc, &rs, &err);
		if (cases[i].error) {
			assert_int_equal(rc, VGM_E_CRYPTO);
			assert_string_equal(err.text, cases[i].error);
		} else {
			assert_int_equal(rc, 0);
			assert_facts(&c, cases[i].verified ?
			        "TLSv1.3 TLS_AES_256_GCM_SHA384 verified" :
			        "TLSv1.3 TLS_AES_256_GCM_SHA384");
			assert_facts(&s, "TLSv1.3 TLS_AES_256_GCM_SHA384");
		}
		vgm_stream_release(&c);
		vgm_stream_release(&s);
		vgm_tls_free(&client);
	}
	unlink(path);
	struct vgm_tls *client = NULL;
	assert_int_equal(vgm_tls_client_new(path, &client, NULL), VGM_E_NOTFOUND);
	assert_null(client);
	vgm_free(path);
	vgm_tls_free(&server);
	X509_free(cert);
	X509_free(ca);
	EVP_PKEY_free(key);
	EVP_PKEY_free(ca_key);
}

/* ---- certificates of clients ---- */

static void test_client_certificates(void **state)
{
	EVP_PKEY *key = fixture_key("P-256"), *client_key = fixture_key("P-256");
	X509 *cert = self_signed(key), *client_cert = self_signed(client_key);
	(void)state;
	for (int shows = 0; shows < 2; shows++)
		for (int ask = 0; ask < 2; ask++) {
			struct vgm_tls *server = server_of(key, cert, NULL, NULL, ask), *client;
			struct vgm_stream c, s;
			int rc, rs;
			uint8_t print[32], expected[32];
			assert_int_equal(vgm_tls_client_new(NULL, &client, NULL), 0);
			if (shows) {
				SSL_CTX_use_certificate(vgm_tls_context(client), client_cert);
				SSL_CTX_use_PrivateKey(vgm_tls_context(client), client_key);
			}
			fixture_pair(&c, &s);
			assert_int_equal(vgm_stream_peer_fingerprint(&c, print), VGM_E_NOTFOUND);
			assert_int_equal(vgm_stream_start_tls(&c, client, "h", false, NULL), 0);
			assert_int_equal(vgm_stream_start_tls(&s, server, NULL, false, NULL), 0);
			fixture_handshake(&c, &s, &rc, &rs, NULL);
			assert_int_equal(rc, 0);
			assert_int_equal(rs, 0);
			assert_int_equal(vgm_stream_peer_fingerprint(&s, print),
			    shows && ask ? 0 : VGM_E_NOTFOUND);
			X509_digest(client_cert, EVP_sha256(), expected, NULL);
			if (shows && ask)
				assert_memory_equal(print, expected, 32);
			assert_int_equal(vgm_stream_peer_fingerprint(&c, print), 0);
			X509_digest(cert, EVP_sha256(), expected, NULL);
			assert_memory_equal(print, expected, 32);
			vgm_stream_release(&c);
			vgm_stream_release(&s);
			vgm_tls_free(&server);
			vgm_tls_free(&client);
		}
	X509_free(cert);
	X509_free(client_cert);
	EVP_PKEY_free(key);
	EVP_PKEY_free(client_key);
}

/* ---- a signer in another process ---- */

enum conduct { HONEST, REFUSES, SIGNS_WRONG, WRONG_MESSAGE, LEAVES, LATE_FIRST };

struct far_end {
	int fd;
	EVP_PKEY *key;
	enum conduct conduct;
};

static void answer(struct far_end *f, const struct vgm_msg_tls_sign *ask)
{
	uint8_t signature[1024];
	size_t len = 0;
	struct vgm_err err;
	char name[21] = {0};
	memcpy(name, ask->digest_name.data, ask->digest_name.len);
	if (f->conduct != REFUSES)
		assert_int_equal(fixture_sign(f->key, ask->key_id, name, ask->padding, ask->digest,
		                     signature, sizeof signature, &len),
		    0);
	if (f->conduct == SIGNS_WRONG)
		signature[len - 1] ^= 1;
	struct vgm_msg_tls_signed m = {.digest = ask->digest, .signature = vgm_slice(signature, len)};
	uint8_t other[32] = {1, 2, 3};
	struct vgm_msg_tls_signed late = {
	    .digest = vgm_slice(other, 32), .signature = vgm_slice(other, 32)};
	uint64_t deadline = vgm_clock_mono_ms() + 5000;
	if (f->conduct == LATE_FIRST)
		assert_int_equal(vgm_ipc_send(f->fd, VGM_MSG_tls_signed, &late, deadline, &err), 0);
	assert_int_equal(vgm_ipc_send(f->fd, VGM_MSG_tls_signed, &m, deadline, &err), 0);
}

static void *serve_one(void *context)
{
	struct far_end *f = context;
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	uint64_t deadline = vgm_clock_mono_ms() + 5000;
	assert_int_equal(vgm_ipc_receive(f->fd, &got, deadline, NULL), 0);
	assert_int_equal(got.type, VGM_MSG_tls_sign);
	struct vgm_msg_ready odd;
	if (f->conduct == WRONG_MESSAGE)
		assert_int_equal(vgm_ipc_send(f->fd, VGM_MSG_ready, &odd, deadline, NULL), 0);
	else if (f->conduct != LEAVES)
		answer(f, got.message);
	close(f->fd);
	return NULL;
}

static void test_key_in_another_process(void **state)
{
	static const struct {
		const char *key;
		enum conduct conduct;
		bool done;
	} cases[] = {
	    {"P-256", HONEST, true},
	    {"RSA", HONEST, true},
	    {"P-256", LATE_FIRST, true},
	    {"P-256", REFUSES, false},
	    {"RSA", SIGNS_WRONG, false},
	    {"P-256", WRONG_MESSAGE, false},
	    {"P-256", LEAVES, false},
	};
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++)
		for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
			int fds[2], rc, rs;
			EVP_PKEY *key = fixture_key(cases[i].key);
			X509 *cert = self_signed(key);
			pthread_t thread;
			assert_int_equal(vgm_ipc_pair(fds, false, NULL), 0);
			struct far_end far = {fds[1], key, cases[i].conduct};
			assert_int_equal(pthread_create(&thread, NULL, serve_one, &far), 0);
			struct vgm_tls *client, *server =
			    server_of(key, cert, vgm_tls_sign_over_ipc, &fds[0], false);
			assert_int_equal(vgm_tls_client_new(NULL, &client, NULL), 0);
			SSL_CTX_set_max_proto_version(vgm_tls_context(client), version);
			struct vgm_stream c, s;
			fixture_pair(&c, &s);
			assert_int_equal(vgm_stream_start_tls(&c, client, "h", false, NULL), 0);
			assert_int_equal(vgm_stream_start_tls(&s, server, NULL, false, NULL), 0);
			fixture_handshake(&c, &s, &rc, &rs, NULL);
			pthread_join(thread, NULL);
			assert_int_equal(rc == 0 && rs == 0, cases[i].done);
			if (cases[i].done)
				exchange(&c, &s);
			vgm_stream_release(&c);
			vgm_stream_release(&s);
			vgm_tls_free(&server);
			vgm_tls_free(&client);
			X509_free(cert);
			EVP_PKEY_free(key);
			close(fds[0]);
		}
}

/* keyd silent: the handshake fails after the deadline, not later; keyd away: at once. */
static void test_silent_or_absent_signer(void **state)
{
	int fds[2], away = -1;
	uint8_t id[32] = {0}, digest[32] = {0}, out[100];
	size_t len = 77;
	(void)state;
	assert_int_equal(vgm_ipc_pair(fds, true, NULL), 0);
	uint64_t before = vgm_clock_mono_ms();
	assert_int_equal(vgm_tls_sign_over_ipc(&fds[0], id, "SHA256", 0, vgm_slice(digest, 32), out,
	                     sizeof out, &len),
	    VGM_E_TIMEOUT);
	assert_in_range(vgm_clock_mono_ms() - before, 1900, 4000);
	assert_int_equal(vgm_tls_sign_over_ipc(
	                     &away, id, "SHA256", 0, vgm_slice(digest, 32), out, sizeof out, &len),
	    VGM_E_CLOSED);
	assert_int_equal(len, 77);
	close(fds[0]);
	close(fds[1]);
}

/* The far key proves nothing and gives nothing away. */
static void test_remote_key_has_no_private_half(void **state)
{
	static const char *const kinds[] = {"P-256", "RSA"};
	(void)state;
	vgm_tls_library_init();
	for (size_t i = 0; i < VGM_ARRAY_LEN(kinds); i++) {
		EVP_PKEY *key = fixture_key(kinds[i]), *other = fixture_key(kinds[i]), *far = NULL;
		struct vgm_tls_remote remote = {fixture_sign, key};
		OSSL_PROVIDER *provider;
		OSSL_PARAM *params = NULL;
		uint8_t a[32], b[32], *der = NULL;
		assert_int_equal(vgm_tls_remote_load(NULL, &provider, NULL), 0);
		assert_int_equal(vgm_tls_remote_key(NULL, key, &remote, &far, NULL), 0);
		assert_int_equal(EVP_PKEY_eq(far, key), 1);
		assert_int_equal(EVP_PKEY_eq(key, far), 1);
		assert_int_not_equal(EVP_PKEY_eq(far, other), 1);
		assert_int_equal(EVP_PKEY_get_bits(far), EVP_PKEY_get_bits(key));
		assert_int_not_equal(EVP_PKEY_todata(far, EVP_PKEY_KEYPAIR, &params), 1);
		assert_true(i2d_PrivateKey(far, &der) <= 0);
		assert_int_equal(vgm_tls_key_id(key, a), 0);
		assert_int_equal(vgm_tls_key_id(far, b), 0);
		assert_memory_equal(a, b, 32);
		EVP_PKEY_free(far);
		EVP_PKEY_free(key);
		EVP_PKEY_free(other);
		OSSL_PROVIDER_unload(provider);
	}
	EVP_PKEY *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), *far = NULL;
	assert_int_equal(vgm_tls_remote_key(NULL, ed, NULL, &far, NULL), VGM_E_INVALID);
	EVP_PKEY_free(ed);
}

static void test_chains_that_are_none(void **state)
{
	static const char *const cases[] = {"", "hello", "-----BEGIN CERTIFICATE-----\n",
	    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"};
	struct vgm_tls *tls = NULL;
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++)
		assert_int_equal(vgm_tls_server_new(vgm_slice_str(cases[i]), fixture_sign, NULL, false,
		                     &tls, NULL),
		    VGM_E_INVALID);
	assert_null(tls);
}

/* Every certificate of the chain goes to the client, in order. */
static void test_whole_chain_is_sent(void **state)
{
	EVP_PKEY *ca_key = fixture_key("P-256"), *key = fixture_key("P-256");
	X509 *ca = fixture_certificate(ca_key, "Test CA", NULL, NULL, NULL);
	X509 *cert = fixture_certificate(key, "leaf", "DNS:mx.example.org", ca, ca_key);
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf pem = VGM_BUF_INIT(1 << 16);
	struct vgm_tls *server, *client;
	struct vgm_stream c, s;
	int rc, rs;
	(void)state;
	fixture_pem(cert, &pem);
	fixture_pem(ca, &pem);
	assert_int_equal(
	    vgm_tls_server_new(vgm_buf_slice(&pem), fixture_sign, key, false, &server, NULL), 0);
	assert_int_equal(vgm_tls_client_new(NULL, &client, NULL), 0);
	fixture_pair(&c, &s);
	assert_int_equal(vgm_stream_start_tls(&c, client, "h", false, NULL), 0);
	assert_int_equal(vgm_stream_start_tls(&s, server, NULL, false, NULL), 0);
	fixture_handshake(&c, &s, &rc, &rs, NULL);
	assert_int_equal(rc, 0);
	STACK_OF(X509) *chain = SSL_get_peer_cert_chain(c.ssl);
	assert_int_equal(sk_X509_num(chain), 2);
	assert_int_equal(X509_cmp(sk_X509_value(chain, 1), ca), 0);
	vgm_stream_release(&c);
	vgm_stream_release(&s);
	vgm_tls_free(&server);
	vgm_tls_free(&client);
	X509_free(cert);
	X509_free(ca);
	EVP_PKEY_free(key);
	EVP_PKEY_free(ca_key);
}

/* A machine's openssl.cnf must not change what we agree on. */
static char *write_configuration(void)
{
	static const char text[] = "openssl_conf = all\n[all]\nssl_conf = modules\n[modules]\n"
	                           "system_default = narrow\n[narrow]\nMinProtocol = TLSv1.3\n";
	char *path = vgm_strdup("/tmp/vgm-test-cnf-XXXXXX");
	int fd = mkstemp(path);
	VGM_BUG_ON(fd < 0 || write(fd, text, sizeof text - 1) != sizeof text - 1);
	close(fd);
	return path;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_is_agreed_on),
	    cmocka_unit_test(test_client_refuses_old_servers),
	    cmocka_unit_test(test_names_and_authorities),
	    cmocka_unit_test(test_client_certificates),
	    cmocka_unit_test(test_key_in_another_process),
	    cmocka_unit_test(test_silent_or_absent_signer),
	    cmocka_unit_test(test_remote_key_has_no_private_half),
	    cmocka_unit_test(test_chains_that_are_none),
	    cmocka_unit_test(test_whole_chain_is_sent),
	};
	/* Read by nobody, or the cases with TLS 1.2 fail. */
	char *configuration = write_configuration();
	setenv("OPENSSL_CONF", configuration, 1);
	vgm_tls_library_init();
	unlink(configuration);
	vgm_free(configuration);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
