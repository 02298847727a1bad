/* SPDX-License-Identifier: EUPL-1.2
 * Keys, certificates and connected pairs for the tests of streams and TLS. */
#ifndef VGM_TEST_TLS_FIXTURE_H
#define VGM_TEST_TLS_FIXTURE_H

#include "base/buf.h"
#include "net/stream.h"
#include "net/tls_remote_key.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static inline EVP_PKEY *fixture_key(const char *kind)
{
	EVP_PKEY *key = strcmp(kind, "RSA") == 0 ? EVP_RSA_gen(2048) : EVP_EC_gen(kind);
	assert_non_null(key);
	return key;
}

static inline void fixture_extension(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	assert_non_null(e);
	X509_add_ext(cert, e, -1);
	X509_EXTENSION_free(e);
}

/* A certificate for "DNS:name" style alt names, signed by issuer_key (its own key: NULL). */
static inline X509 *fixture_certificate(EVP_PKEY *key, const char *cn, const char *alt, X509 *issuer,
    EVP_PKEY *issuer_key)
{
	X509 *cert = X509_new();
	X509_NAME *name = X509_get_subject_name(cert);
	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 7);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer) : name);
	fixture_extension(cert, NID_basic_constraints, issuer ? "CA:FALSE" : "critical,CA:TRUE");
	if (alt)
		fixture_extension(cert, NID_subject_alt_name, alt);
	assert_true(X509_sign(cert, issuer_key ? issuer_key : key, EVP_sha256()) > 0);
	return cert;
}

static inline void fixture_pem(X509 *cert, struct vgm_buf *out)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data;
	PEM_write_bio_X509(bio, cert);
	long len = BIO_get_mem_data(bio, &data);
	assert_int_equal(vgm_buf_add(out, data, (size_t)len), 0);
	BIO_free(bio);
}

/* A signer with the private key at hand: context is the EVP_PKEY. */
static inline int fixture_sign(void *context, const uint8_t key_id[32], const char *digest_name,
    uint8_t padding, struct vgm_slice digest, uint8_t *out, size_t out_max, size_t *out_len)
{
	EVP_PKEY *key = context;
	uint8_t own_id[32];
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	assert_int_equal(vgm_tls_key_id(key, own_id), 0);
	assert_memory_equal(own_id, key_id, 32);
	assert_int_equal(EVP_PKEY_sign_init(ctx), 1);
	if (padding)
		assert_true(EVP_PKEY_CTX_set_rsa_padding(ctx, padding) > 0);
	if (padding == RSA_PKCS1_PSS_PADDING)
		assert_true(EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0);
	assert_true(EVP_PKEY_CTX_set_signature_md(ctx, EVP_get_digestbyname(digest_name)) > 0);
	*out_len = out_max;
	int ok = EVP_PKEY_sign(ctx, out, out_len, digest.data, digest.len);
	EVP_PKEY_CTX_free(ctx);
	return ok == 1 ? 0 : VGM_E_CRYPTO;
}

static inline void fixture_pair(struct vgm_stream *a, struct vgm_stream *b)
{
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	vgm_stream_init(a, fds[0]);
	vgm_stream_init(b, fds[1]);
}

/* Steps both handshakes by turns; the results of each end. */
static inline void fixture_handshake(struct vgm_stream *client, struct vgm_stream *server, int *out_client,
    int *out_server, struct vgm_err *client_err)
{
	int c = VGM_E_BUSY, s = VGM_E_BUSY;
	for (int i = 0; i < 50 && (c == VGM_E_BUSY || s == VGM_E_BUSY); i++) {
		if (c == VGM_E_BUSY)
			c = vgm_stream_handshake(client, client_err);
		if (c != VGM_E_BUSY && c != 0)
			vgm_stream_release(client);
		if (s == VGM_E_BUSY)
			s = vgm_stream_handshake(server, NULL);
		if (s != VGM_E_BUSY && s != 0 && server->fd >= 0)
			shutdown(server->fd, SHUT_RDWR);
	}
	*out_client = c;
	*out_server = s;
}

#endif
