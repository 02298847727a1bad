/* SPDX-License-Identifier: EUPL-1.2
 * role/keyd_tls.c and keyd's TLS instance: the certificate that it makes, the
 * ones that are configured, what it signs and how often, and a whole handshake
 * of smtpd's kind against the role in its own process. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "../crypt/store_fixture.h"
#include "../net/tls_fixture.h"
#include "role_fixture.h"

#include "role/keyd_tls.h"

#define NOW_S 1800000000ull
#define DAY_S 86400ull

static X509 *leaf_of(const struct vgm_keyd_tls *t)
{
	struct vgm_slice pem = vgm_keyd_tls_chain(t);
	BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
	X509 *leaf = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	BIO_free(bio);
	assert_non_null(leaf);
	return leaf;
}

static void test_own_certificate(void **state)
{
	static const struct {
		const char *hostname;
		uint64_t after_s;
		const char *names; /* what it must be good for */
		bool same_certificate;
	} cases[] = {
	    {"mx.example.org", 0, "mx.example.org", false},
	    {"mx.example.org", DAY_S, "mx.example.org", true},
	    {"mx.example.org", 3600 * DAY_S, "mx.example.org", true},
	    {"mx.example.org", 3621 * DAY_S, "mx.example.org", false},
	    {"mx2.example.org", 3621 * DAY_S, "mx2.example.org", false},
	    {"", 3621 * DAY_S, "localhost", false},
	    {"a,email:b", 3621 * DAY_S, "localhost", true},
	    {"a-very-long-name-that-does-not-fit-a-common-name-at-all-not.one.bit.example.org",
	        3621 * DAY_S,
	        "a-very-long-name-that-does-not-fit-a-common-name-at-all-not.one.bit.example.org",
	        false},
	};
	struct store *s = *state;
	uint8_t first_id[32], id[32];
	X509 *last = NULL;
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_keyd_tls *t;
		struct vgm_err err;
		assert_int_equal(store_again(s, NULL, NULL), 0);
		assert_int_equal(vgm_keyd_tls_own(s->keys, cases[i].hostname,
		                     NOW_S + cases[i].after_s, &t, &err),
		    0);
		X509 *leaf = leaf_of(t);
		assert_int_equal(X509_check_host(leaf, cases[i].names, 0, 0, NULL), 1);
		assert_int_equal(last && X509_cmp(last, leaf) == 0, cases[i].same_certificate);
		/* The key stays through it all. */
		assert_int_equal(vgm_tls_key_id(X509_get0_pubkey(leaf), id), 0);
		if (!last)
			memcpy(first_id, id, 32);
		assert_memory_equal(first_id, id, 32);
		X509_free(last);
		last = leaf;
		vgm_keyd_tls_free(&t);
	}
	X509_free(last);
	/* A key that does not open is an alarm, not a reason to make another. */
	int fd = openat(s->dir, "tls.key", O_RDWR);
	assert_int_equal(pwrite(fd, "?", 1, 70), 1);
	close(fd);
	struct vgm_keyd_tls *t = NULL;
	assert_int_equal(
	    vgm_keyd_tls_own(s->keys, "mx.example.org", NOW_S, &t, NULL), VGM_E_CORRUPT);
	assert_null(t);
}

/* ---- configured files ---- */

static void write_pem(const char *path, EVP_PKEY *key, const char *password, X509 *a, X509 *b)
{
	BIO *bio = BIO_new_file(path, "w");
	assert_non_null(bio);
	if (a)
		PEM_write_bio_X509(bio, a);
	if (b)
		PEM_write_bio_X509(bio, b);
	if (key)
		PEM_write_bio_PKCS8PrivateKey(bio, key, password ? EVP_aes_256_cbc() : NULL, password,
		    password ? (int)strlen(password) : 0, NULL, NULL);
	BIO_free(bio);
}

static void test_configured_files(void **state)
{
	struct store *s = *state;
	char chain[100], key_path[100], none[100];
	snprintf(chain, sizeof chain, "%s/chain.pem", s->path);
	snprintf(key_path, sizeof key_path, "%s/key.pem", s->path);
	snprintf(none, sizeof none, "%s/none.pem", s->path);
	EVP_PKEY *ca_key = fixture_key("P-256"), *ec = fixture_key("P-256"), *rsa = fixture_key("RSA"),
	         *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	X509 *ca = fixture_certificate(ca_key, "CA", NULL, NULL, NULL);
	X509 *ec_cert = fixture_certificate(ec, "ec", "DNS:mx.example.org", ca, ca_key);
	X509 *rsa_cert = fixture_certificate(rsa, "rsa", "DNS:mx.example.org", ca, ca_key);
	const struct {
		EVP_PKEY *key;
		X509 *first, *second;
		bool one_file;
		const char *password;
		const char *chain, *key_path; /* NULL: the usual ones */
		const char *error;
	} cases[] = {
	    {ec, ec_cert, ca, false, NULL, NULL, NULL, NULL},
	    {rsa, rsa_cert, ca, false, NULL, NULL, NULL, NULL},
	    {rsa, rsa_cert, NULL, true, NULL, NULL, NULL, NULL},
	    {ec, rsa_cert, ca, false, NULL, NULL, NULL, "is not that of the private key"},
	    {ec, ca, ec_cert, false, NULL, NULL, NULL, "is not that of the private key"},
	    {ec, NULL, NULL, false, NULL, NULL, NULL, "no certificate there"},
	    {NULL, ec_cert, ca, false, NULL, NULL, NULL, "no unencrypted private key there"},
	    {ec, ec_cert, ca, false, "secret", NULL, NULL, "no unencrypted private key there"},
	    {ed, ec_cert, ca, false, NULL, NULL, NULL, "neither EC nor RSA"},
	    {ec, ec_cert, ca, false, NULL, none, NULL, "none.pem cannot be read"},
	    {ec, ec_cert, ca, false, NULL, NULL, none, "none.pem cannot be read"},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_keyd_tls *t = NULL;
		struct vgm_err err = {.text = ""};
		write_pem(key_path, cases[i].key, cases[i].password, NULL, NULL);
		write_pem(chain, cases[i].one_file ? cases[i].key : NULL, NULL, cases[i].first,
		    cases[i].second);
		int r = vgm_keyd_tls_load(cases[i].chain ? cases[i].chain : chain,
		    cases[i].one_file     ? chain :
		        cases[i].key_path ? cases[i].key_path :
		                            key_path,
		    &t, &err);
		assert_int_equal(r == 0, !cases[i].error);
		if (cases[i].error)
			assert_non_null(strstr(err.text, cases[i].error));
		else {
			/* Certificates only, however the file was. */
			struct vgm_slice pem = vgm_keyd_tls_chain(t);
			assert_null(memmem(pem.data, pem.len, "PRIVATE", 7));
			X509 *leaf = leaf_of(t);
			assert_int_equal(X509_cmp(leaf, cases[i].first), 0);
			X509_free(leaf);
		}
		vgm_keyd_tls_free(&t);
	}
	X509_free(ca);
	X509_free(ec_cert);
	X509_free(rsa_cert);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(ec);
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(ed);
}

/* ---- signatures ---- */

static void test_what_is_signed(void **state)
{
	static const struct {
		const char *digest;
		size_t len;
		uint8_t padding;
		bool wrong_key;
		int ec, rsa;
	} cases[] = {
	    {"SHA256", 32, 0, false, 0, VGM_E_DENIED},
	    {"SHA2-384", 48, 0, false, 0, VGM_E_DENIED},
	    {"SHA512", 64, RSA_PKCS1_PADDING, false, VGM_E_DENIED, 0},
	    {"SHA256", 32, RSA_PKCS1_PSS_PADDING, false, VGM_E_DENIED, 0},
	    {"SHA256", 32, RSA_NO_PADDING, false, VGM_E_DENIED, VGM_E_DENIED},
	    {"SHA256", 31, 0, false, VGM_E_DENIED, VGM_E_DENIED},
	    {"SHA256", 48, RSA_PKCS1_PADDING, false, VGM_E_DENIED, VGM_E_DENIED},
	    {"SHA1", 20, RSA_PKCS1_PADDING, false, VGM_E_DENIED, VGM_E_DENIED},
	    {"MD5", 16, 0, false, VGM_E_DENIED, VGM_E_DENIED},
	    {"", 0, 0, false, VGM_E_DENIED, VGM_E_DENIED},
	    {"SHA256", 32, 0, true, VGM_E_NOTFOUND, VGM_E_NOTFOUND},
	};
	struct store *s = *state;
	char path[100];
	snprintf(path, sizeof path, "%s/chain.pem", s->path);
	for (int rsa = 0; rsa < 2; rsa++) {
		EVP_PKEY *key = fixture_key(rsa ? "RSA" : "P-256");
		X509 *cert = fixture_certificate(key, "x", NULL, NULL, NULL);
		struct vgm_keyd_tls *t;
		write_pem(path, key, NULL, cert, NULL);
		assert_int_equal(vgm_keyd_tls_load(path, path, &t, NULL), 0);
		for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
			uint8_t digest[64] = {7}, out[VGM_KEYD_TLS_SIGNATURE_MAX];
			size_t len;
			struct vgm_msg_tls_sign m = {
			    .digest_name = vgm_slice_str(cases[i].digest),
			    .padding = cases[i].padding,
			    .digest = vgm_slice(digest, cases[i].len)};
			assert_int_equal(vgm_tls_key_id(key, m.key_id), 0);
			m.key_id[31] ^= cases[i].wrong_key;
			int r = vgm_keyd_tls_sign(t, &m, out, &len);
			assert_int_equal(r, rsa ? cases[i].rsa : cases[i].ec);
			if (r < 0)
				continue;
			EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
			EVP_PKEY_verify_init(ctx);
			if (cases[i].padding)
				EVP_PKEY_CTX_set_rsa_padding(ctx, cases[i].padding);
			EVP_PKEY_CTX_set_signature_md(ctx, EVP_get_digestbyname(cases[i].digest));
			assert_int_equal(
			    EVP_PKEY_verify(ctx, out, len, digest, cases[i].len), 1);
			EVP_PKEY_CTX_free(ctx);
		}
		vgm_keyd_tls_free(&t);
		X509_free(cert);
		EVP_PKEY_free(key);
	}
}

static size_t take(struct vgm_keyd_rate *rate, uint64_t now_ms, size_t tries)
{
	size_t n = 0;
	for (size_t i = 0; i < tries; i++)
		n += vgm_keyd_rate_take(rate, now_ms);
	return n;
}

static void test_rate(void **state)
{
	struct vgm_keyd_rate rate = {0, 0};
	uint64_t t = 1000000;
	(void)state;
	assert_int_equal(take(&rate, t, 2000), 500);
	assert_int_equal(take(&rate, t, 10), 0);
	assert_int_equal(take(&rate, t + 1, 10), 0);
	assert_int_equal(take(&rate, t + 2, 10), 1);
	assert_int_equal(take(&rate, t + 102, 2000), 50);
	assert_int_equal(take(&rate, t + 100000, 2000), 500);
	/* In steps it comes to the same. */
	size_t n = 0;
	for (uint64_t ms = 1; ms <= 1000; ms++)
		n += take(&rate, t + 100000 + ms, 5);
	assert_int_equal(n, 500);
}

/* ---- the role ---- */

/* As smtpd does: asks for the chain, then shakes hands with the key far away. */
static void shake_hands(int keyd, const char *expected_host)
{
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	struct vgm_msg_tls_certificates ask;
	struct vgm_tls *server, *client;
	struct vgm_stream c, s;
	int rc, rs;
	struct vgm_msg_tls_chain *m =
	    role_call(keyd, VGM_MSG_tls_certificates, &ask, VGM_MSG_tls_chain, &got);
	assert_int_equal(
	    vgm_tls_server_new(m->pem, vgm_tls_sign_over_ipc, &keyd, false, &server, NULL), 0);
	assert_int_equal(vgm_tls_client_new(NULL, &client, NULL), 0);
	fixture_pair(&c, &s);
	assert_int_equal(vgm_stream_start_tls(&c, client, expected_host, false, NULL), 0);
	assert_int_equal(vgm_stream_start_tls(&s, server, NULL, false, NULL), 0);
	fixture_handshake(&c, &s, &rc, &rs, NULL);
	assert_int_equal(rc, 0);
	assert_int_equal(rs, 0);
	assert_int_equal(
	    X509_check_host(SSL_get0_peer_certificate(c.ssl), expected_host, 0, 0, NULL), 1);
	vgm_stream_release(&c);
	vgm_stream_release(&s);
	vgm_tls_free(&server);
	vgm_tls_free(&client);
}

static void test_role_with_own_certificate(void **state)
{
	struct store *s = *state;
	vgm_keystore_close(&s->keys);
	for (int restart = 0; restart < 2; restart++) {
		struct role_process p = role_fork(&vgm_role_keyd);
		role_configure(&p, VGM_INSTANCE_TLS, "{hostname: mx.example.org}", s->dir);
		int receive = role_peer(&p, VGM_ROLE_SMTPD, VGM_INSTANCE_RECEIVE);
		int submit = role_peer(&p, VGM_ROLE_SMTPD, VGM_INSTANCE_SUBMIT);
		assert_int_equal(role_start(&p), 0);
		shake_hands(receive, "mx.example.org");
		shake_hands(submit, "mx.example.org");
		assert_int_equal(role_stop(&p), 0);
		close(receive);
		close(submit);
	}
}

/* A flood through one door is refused; the other door still gets signatures. */
static void test_role_limits_each_door(void **state)
{
	struct store *s = *state;
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	uint8_t digest[32] = {1};
	struct vgm_msg_tls_sign m = {
	    .digest_name = VGM_SLICE_LIT("SHA256"), .digest = vgm_slice(digest, sizeof digest)};
	size_t given = 0;
	vgm_keystore_close(&s->keys);
	struct role_process p = role_fork(&vgm_role_keyd);
	role_configure(&p, VGM_INSTANCE_TLS, "{hostname: mx.example.org}", s->dir);
	int receive = role_peer(&p, VGM_ROLE_SMTPD, VGM_INSTANCE_RECEIVE);
	int submit = role_peer(&p, VGM_ROLE_SMTPD, VGM_INSTANCE_SUBMIT);
	assert_int_equal(role_start(&p), 0);
	struct vgm_msg_tls_certificates ask;
	struct vgm_msg_tls_chain *chain =
	    role_call(receive, VGM_MSG_tls_certificates, &ask, VGM_MSG_tls_chain, &got);
	BIO *bio = BIO_new_mem_buf(chain->pem.data, (int)chain->pem.len);
	X509 *leaf = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	assert_int_equal(vgm_tls_key_id(X509_get0_pubkey(leaf), m.key_id), 0);
	X509_free(leaf);
	BIO_free(bio);
	uint64_t before = vgm_clock_mono_ms();
	for (size_t i = 0; i < 4000; i++) {
		struct vgm_msg_tls_signed *done =
		    role_call(receive, VGM_MSG_tls_sign, &m, VGM_MSG_tls_signed, &got);
		assert_true(vgm_slice_eq(done->digest, m.digest));
		given += done->signature.len > 0;
	}
	uint64_t took_ms = vgm_clock_mono_ms() - before;
	assert_in_range(given, 500, 501 + (took_ms + 1) * VGM_KEYD_TLS_PER_SECOND / 1000);
	shake_hands(submit, "mx.example.org");
	assert_int_equal(role_stop(&p), 0);
	close(receive);
	close(submit);
}

/* Configured files; a reload makes the role end, so that master starts it anew
 * with what the files say then. */
static void test_role_with_configured_files(void **state)
{
	struct store *s = *state;
	char path[100], options[300];
	int status;
	snprintf(path, sizeof path, "%s/chain.pem", s->path);
	snprintf(options, sizeof options, "{hostname: x, tls: {certificate: \"%s\", key: \"%s\"}}",
	    path, path);
	EVP_PKEY *key = fixture_key("RSA");
	X509 *cert = fixture_certificate(key, "x", "DNS:configured.example.org", NULL, NULL);
	write_pem(path, key, NULL, cert, NULL);
	vgm_keystore_close(&s->keys);
	struct role_process p = role_fork(&vgm_role_keyd);
	role_configure(&p, VGM_INSTANCE_TLS, options, s->dir);
	int receive = role_peer(&p, VGM_ROLE_SMTPD, VGM_INSTANCE_RECEIVE);
	assert_int_equal(role_start(&p), 0);
	shake_hands(receive, "configured.example.org");
	role_configure(&p, VGM_INSTANCE_TLS, options, -1);
	assert_int_equal(waitpid(p.pid, &status, 0), p.pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close(p.master);
	close(receive);
	/* A file that went bad in between stops the start, with a reason on stderr. */
	write_pem(path, NULL, NULL, cert, NULL);
	p = role_fork(&vgm_role_keyd);
	role_configure(&p, VGM_INSTANCE_TLS, options, s->dir);
	assert_int_equal(role_start(&p), 1);
	close(p.master);
	X509_free(cert);
	EVP_PKEY_free(key);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, store_up, store_down)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_own_certificate),
	    CASE(test_configured_files),
	    CASE(test_what_is_signed),
	    CASE(test_rate),
	    CASE(test_role_with_own_certificate),
	    CASE(test_role_limits_each_door),
	    CASE(test_role_with_configured_files),
	};
	signal(SIGPIPE, SIG_IGN);
	vgm_tls_library_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
