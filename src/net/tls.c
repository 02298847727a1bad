/* SPDX-License-Identifier: EUPL-1.2
 * net/tls.c — see tls.h. Everything lives in OpenSSL's default library context;
 * the provider of remote keys is beside the default provider there, and only a
 * key that names it uses it. */
#include "net/tls.h"

#include "base/clock.h"
#include "ipc/channel.h"
#include "net/tls_remote_key.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>

#define SIGN_DEADLINE_MS 2000
#define CHAIN_MAX 10
#define CIPHERS                                                                                    \
	"ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES256:ECDHE+AES128:"                                   \
	"!aNULL:!eNULL:!PSK:!SRP:!DSS:!RC4:!3DES:!MD5:!EXPORT"

struct vgm_tls {
	SSL_CTX *ctx;
	bool is_server;
	struct vgm_tls_remote remote;
	OSSL_PROVIDER *provider; /* of the remote key; NULL for clients */
	unsigned references;
};

void vgm_tls_library_init(void)
{
	uint64_t options = OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_LOAD_SSL_STRINGS |
	    OPENSSL_INIT_LOAD_CRYPTO_STRINGS;
	VGM_BUG_ON(!OPENSSL_init_ssl(options, NULL));
}

bool vgm_tls_is_server(const struct vgm_tls *tls)
{
	return tls->is_server;
}

struct ssl_ctx_st *vgm_tls_context(const struct vgm_tls *tls)
{
	return tls->ctx;
}

struct vgm_tls *vgm_tls_ref(struct vgm_tls *tls)
{
	tls->references++;
	return tls;
}

void vgm_tls_free(struct vgm_tls **tls)
{
	struct vgm_tls *t = *tls;
	*tls = NULL;
	if (!t || --t->references)
		return;
	SSL_CTX_free(t->ctx);
	if (t->provider)
		OSSL_PROVIDER_unload(t->provider);
	vgm_free(t);
}

/* ---- what servers and clients share ---- */

static struct vgm_tls *new_tls(bool is_server)
{
	vgm_tls_library_init();
	struct vgm_tls *t = vgm_alloc(sizeof *t);
	t->references = 1;
	t->is_server = is_server;
	t->ctx = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
	VGM_BUG_ON(!t->ctx);
	SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(t->ctx,
	    SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
	        SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	/* Idle sessions keep no record buffers. */
	SSL_CTX_set_mode(t->ctx,
	    SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
	        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(t->ctx, 0);
	VGM_BUG_ON(!SSL_CTX_set_cipher_list(t->ctx, CIPHERS));
	return t;
}

/* ---- client ---- */

int vgm_tls_client_new(const char *authorities, struct vgm_tls **out, struct vgm_err *err)
{
	struct vgm_tls *t = new_tls(false);
	/* Opportunistic TLS takes what it gets (RFC 7435): weak is better than clear.
	 * A stream that must verify raises the level for itself. */
	SSL_CTX_set_security_level(t->ctx, 1);
	SSL_CTX_set_verify(t->ctx, SSL_VERIFY_NONE, NULL);
	ERR_clear_error();
	if (authorities && authorities[0] && !SSL_CTX_load_verify_file(t->ctx, authorities)) {
		vgm_tls_free(&t);
		return vgm_err_set(
		    err, VGM_E_NOTFOUND, "no certificate authorities in %s", authorities);
	}
	*out = t;
	return 0;
}

/* ---- server ---- */

static int let_in(int ok, X509_STORE_CTX *store)
{
	(void)ok;
	(void)store;
	return 1;
}

static int use_chain(struct vgm_tls *t, BIO *pem, struct vgm_err *err)
{
	X509 *leaf = PEM_read_bio_X509(pem, NULL, NULL, NULL);
	int ok = leaf && SSL_CTX_use_certificate(t->ctx, leaf);
	X509_free(leaf);
	for (int i = 0; ok && i < CHAIN_MAX; i++) {
		X509 *issuer = PEM_read_bio_X509(pem, NULL, NULL, NULL);
		if (!issuer)
			break;
		ok = (int)SSL_CTX_add0_chain_cert(t->ctx, issuer);
		if (!ok)
			X509_free(issuer);
	}
	ERR_clear_error();
	return ok ? 0 : vgm_err_set(err, VGM_E_INVALID, "not a usable certificate chain");
}

static int use_remote_key(struct vgm_tls *t, struct vgm_err *err)
{
	EVP_PKEY *public_key = X509_get0_pubkey(SSL_CTX_get0_certificate(t->ctx)), *key = NULL;
	int r = vgm_tls_remote_load(NULL, &t->provider, err);
	if (r == 0)
		r = vgm_tls_remote_key(NULL, public_key, &t->remote, &key, err);
	if (r == 0 && !SSL_CTX_use_PrivateKey(t->ctx, key))
		r = vgm_err_set(err, VGM_E_CRYPTO, "the key does not fit its certificate");
	EVP_PKEY_free(key);
	return r;
}

int vgm_tls_server_new(struct vgm_slice chain_pem, vgm_tls_signer *signer, void *context,
    bool ask_certificate, struct vgm_tls **out, struct vgm_err *err)
{
	if (chain_pem.len == 0 || chain_pem.len > INT_MAX)
		return vgm_err_set(err, VGM_E_INVALID, "no certificate chain");
	struct vgm_tls *t = new_tls(true);
	t->remote = (struct vgm_tls_remote){signer, context};
	BIO *pem = BIO_new_mem_buf(chain_pem.data, (int)chain_pem.len);
	VGM_BUG_ON(!pem);
	int r = use_chain(t, pem, err);
	BIO_free(pem);
	if (r == 0)
		r = use_remote_key(t, err);
	if (r < 0) {
		vgm_tls_free(&t);
		return r;
	}
	if (ask_certificate)
		SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, let_in);
	*out = t;
	return 0;
}

/* ---- signatures from keyd ---- */

/* An answer that came too late for an earlier call may still be in the socket:
 * each answer repeats its digest, and others are thrown away. */
static int receive_signature(int fd, struct vgm_slice digest, uint64_t deadline_ms, uint8_t *out,
    size_t out_max, size_t *out_len)
{
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	for (;;) {
		int r = vgm_ipc_receive(fd, &got, deadline_ms, NULL);
		if (r < 0)
			return r;
		if (got.type != VGM_MSG_tls_signed)
			return VGM_E_INVALID;
		const struct vgm_msg_tls_signed *m = got.message;
		if (!vgm_slice_eq(m->digest, digest))
			continue;
		if (m->signature.len == 0 || m->signature.len > out_max)
			return VGM_E_DENIED;
		memcpy(out, m->signature.data, m->signature.len);
		*out_len = m->signature.len;
		return 0;
	}
}

int vgm_tls_sign_over_ipc(void *context, const uint8_t key_id[32], const char *digest_name,
    uint8_t padding, struct vgm_slice digest, uint8_t *out, size_t out_max, size_t *out_len)
{
	int fd = *(const int *)context;
	struct vgm_msg_tls_sign ask = {
	    .digest_name = vgm_slice_str(digest_name), .padding = padding, .digest = digest};
	if (fd < 0)
		return VGM_E_CLOSED;
	memcpy(ask.key_id, key_id, sizeof ask.key_id);
	uint64_t deadline_ms = vgm_clock_mono_ms() + SIGN_DEADLINE_MS;
	int r = vgm_ipc_send(fd, VGM_MSG_tls_sign, &ask, deadline_ms, NULL);
	return r < 0 ? r : receive_signature(fd, digest, deadline_ms, out, out_max, out_len);
}
