/* SPDX-License-Identifier: EUPL-1.2
 * net/stream.c — see stream.h. The library's error queue is emptied before each
 * call, so that what it holds afterwards is of this call. */
#include "net/stream.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

void vgm_stream_init(struct vgm_stream *s, int fd)
{
	*s = (struct vgm_stream){.fd = fd};
}

void vgm_stream_release(struct vgm_stream *s)
{
	SSL_free(s->ssl);
	vgm_tls_free(&s->tls);
	if (s->fd >= 0)
		close(s->fd);
	*s = (struct vgm_stream){.fd = -1};
}

void vgm_stream_shutdown(struct vgm_stream *s)
{
	if (s->ssl && !s->broken && SSL_is_init_finished(s->ssl)) {
		ERR_clear_error();
		/* One attempt: a peer that does not read does not hold us up. */
		(void)SSL_shutdown(s->ssl);
	}
	(void)shutdown(s->fd, SHUT_WR);
}

/* ---- in clear ---- */

static int busy(struct vgm_stream *s, unsigned want)
{
	s->want = want;
	return VGM_E_BUSY;
}

static int read_clear(struct vgm_stream *s, void *buf, size_t len, size_t *out_n)
{
	ssize_t n;
	do
		n = recv(s->fd, buf, len, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? busy(s, VGM_IO_READ) : VGM_E_IO;
	if (n == 0)
		return VGM_E_CLOSED;
	*out_n = (size_t)n;
	return 0;
}

static int write_clear(struct vgm_stream *s, const void *buf, size_t len, size_t *out_n)
{
	ssize_t n;
	do
		n = send(s->fd, buf, len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? busy(s, VGM_IO_WRITE) : VGM_E_IO;
	*out_n = (size_t)n;
	return 0;
}

/* ---- under TLS ---- */

/* What a failed call means. Anything fatal forbids a later close_notify. */
static int tls_result(struct vgm_stream *s, int returned)
{
	switch (SSL_get_error(s->ssl, returned)) {
	case SSL_ERROR_WANT_READ:
		return busy(s, VGM_IO_READ);
	case SSL_ERROR_WANT_WRITE:
		return busy(s, VGM_IO_WRITE);
	case SSL_ERROR_ZERO_RETURN:
		return VGM_E_CLOSED;
	case SSL_ERROR_SSL:
		s->broken = true;
		return ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING ?
		    VGM_E_IO :
		    VGM_E_CRYPTO;
	default:
		s->broken = true;
		return VGM_E_IO;
	}
}

int vgm_stream_read(struct vgm_stream *s, void *buf, size_t len, size_t *out_n)
{
	if (!s->ssl)
		return read_clear(s, buf, len, out_n);
	ERR_clear_error();
	int r = SSL_read_ex(s->ssl, buf, len, out_n);
	if (r > 0)
		return 0;
	r = tls_result(s, r);
	return r == VGM_E_CRYPTO ? VGM_E_IO : r;
}

int vgm_stream_write(struct vgm_stream *s, const void *buf, size_t len, size_t *out_n)
{
	if (!s->ssl)
		return write_clear(s, buf, len, out_n);
	ERR_clear_error();
	int r = SSL_write_ex(s->ssl, buf, len, out_n);
	if (r > 0)
		return 0;
	r = tls_result(s, r);
	return r == VGM_E_BUSY ? r : VGM_E_IO;
}

size_t vgm_stream_pending(const struct vgm_stream *s)
{
	int n = s->ssl ? SSL_pending(s->ssl) : 0;
	return n > 0 ? (size_t)n : 0;
}

/* ---- the switch ---- */

static bool is_address(const char *host)
{
	ASN1_OCTET_STRING *ip = a2i_IPADDRESS(host);
	ASN1_OCTET_STRING_free(ip);
	return ip != NULL;
}

/* The name goes into SNI (RFC 6066: never an address) and into the check of the
 * certificate, which runs even where its result does not stop the handshake. */
static int expect_host(SSL *ssl, const char *host)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	if (is_address(host))
		return X509_VERIFY_PARAM_set1_ip_asc(param, host);
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return X509_VERIFY_PARAM_set1_host(param, host, 0) && SSL_set_tlsext_host_name(ssl, host);
}

int vgm_stream_start_tls(struct vgm_stream *s, struct vgm_tls *tls, const char *host,
    bool must_verify, struct vgm_err *err)
{
	VGM_BUG_ON(s->ssl || vgm_tls_is_server(tls) != !host);
	ERR_clear_error();
	SSL *ssl = SSL_new(vgm_tls_context(tls));
	if (!ssl || !SSL_set_fd(ssl, s->fd) || (host && !expect_host(ssl, host))) {
		SSL_free(ssl);
		return vgm_err_set(err, VGM_E_CRYPTO, "TLS could not be put on the connection");
	}
	if (host && must_verify) {
		SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
		SSL_set_security_level(ssl, 2);
	}
	if (host)
		SSL_set_connect_state(ssl);
	else
		SSL_set_accept_state(ssl);
	s->ssl = ssl;
	s->tls = vgm_tls_ref(tls);
	return 0;
}

static int handshake_failed(struct vgm_stream *s, int code, struct vgm_err *err)
{
	if (code == VGM_E_CLOSED || code == VGM_E_IO)
		return vgm_err_set(err, code, "the peer left during the TLS handshake");
	unsigned long e = ERR_peek_error();
	long verify = SSL_get_verify_result(s->ssl);
	const char *reason = ERR_reason_error_string(e);
	if (ERR_GET_REASON(e) == SSL_R_CERTIFICATE_VERIFY_FAILED)
		reason = X509_verify_cert_error_string(verify);
	return vgm_err_set(err, VGM_E_CRYPTO, "TLS handshake: %s", reason ? reason : "refused");
}

int vgm_stream_handshake(struct vgm_stream *s, struct vgm_err *err)
{
	VGM_BUG_ON(!s->ssl);
	ERR_clear_error();
	int r = SSL_do_handshake(s->ssl);
	if (r == 1)
		return 0;
	r = tls_result(s, r);
	return r == VGM_E_BUSY ? r : handshake_failed(s, r, err);
}

/* ---- facts ---- */

static bool peer_verified(const struct vgm_stream *s)
{
	return !vgm_tls_is_server(s->tls) && SSL_get0_peer_certificate(s->ssl) &&
	    SSL_get_verify_result(s->ssl) == X509_V_OK;
}

int vgm_stream_tls_facts(const struct vgm_stream *s, struct vgm_buf *out)
{
	if (!s->ssl || !SSL_is_init_finished(s->ssl))
		return 0;
	return vgm_buf_addf(out, "%s %s%s", SSL_get_version(s->ssl), SSL_get_cipher_name(s->ssl),
	    peer_verified(s) ? " verified" : "");
}

int vgm_stream_peer_fingerprint(const struct vgm_stream *s, uint8_t out[32])
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	X509 *certificate = s->ssl ? SSL_get0_peer_certificate(s->ssl) : NULL;
	if (!certificate || !X509_digest(certificate, EVP_sha256(), digest, &len) || len != 32)
		return VGM_E_NOTFOUND;
	memcpy(out, digest, 32);
	return 0;
}
