/* SPDX-License-Identifier: EUPL-1.2
 * net/stream.h — a byte stream over a connected, non-blocking socket, in clear
 * or under TLS, with the same calls.
 *
 * Calling sequence: init → read/write* → [start_tls → handshake until 0 →
 * read/write*] → shutdown → release. Nothing here waits: a call that cannot go
 * on returns VGM_E_BUSY and says in want which event it needs.
 *
 * The stream keeps no byte of its own in clear: what the peer sent behind its
 * STARTTLS command is either in the caller's buffer (who must refuse it) or
 * still in the socket (where TLS refuses it).
 *
 * A TLS stream that ends without close_notify is VGM_E_IO, never VGM_E_CLOSED:
 * the end may have been cut off by a stranger. The process ignores SIGPIPE. */
#ifndef VGM_NET_STREAM_H
#define VGM_NET_STREAM_H

#include "base/buf.h"
#include "base/err.h"
#include "net/tls.h"
#include "os/loop.h"

struct ssl_st;

struct vgm_stream {
	int fd;
	unsigned want;       /* after VGM_E_BUSY: VGM_IO_READ or VGM_IO_WRITE */
	struct ssl_st *ssl;  /* NULL while in clear */
	struct vgm_tls *tls; /* a reference, so that a reload does not pull it away */
	bool broken;         /* a fatal TLS error was seen: no close_notify is sent */
};

/* Takes the descriptor over; it must be non-blocking. */
void vgm_stream_init(struct vgm_stream *, int fd);
/* Frees and closes. fd becomes -1; releasing twice is harmless. */
void vgm_stream_release(struct vgm_stream *);
/* TLS: says close_notify if the socket takes it now. Both: no more writing. */
void vgm_stream_shutdown(struct vgm_stream *);

/* At most len (> 0) bytes. 0 and *out_n > 0; VGM_E_BUSY; VGM_E_CLOSED: the peer
 * ended cleanly (FIN in clear, close_notify under TLS); VGM_E_IO: reset, or cut. */
int vgm_stream_read(struct vgm_stream *, void *buf, size_t len, size_t *out_n) VGM_MUST_USE;
/* Some of len (> 0) bytes. 0 and *out_n > 0; VGM_E_BUSY: call again with the
 * same bytes first (they may have moved); VGM_E_IO. */
int vgm_stream_write(struct vgm_stream *, const void *buf, size_t len, size_t *out_n) VGM_MUST_USE;
/* Bytes that a read would give without the socket becoming readable: after a
 * read that filled its buffer, read again while this is not 0. */
size_t vgm_stream_pending(const struct vgm_stream *);

/* Puts TLS on the stream, as server or client by the kind of tls. Clients: host
 * (name, or address) goes into SNI and is what the certificate is compared
 * with; with must_verify the handshake fails unless the certificate names it
 * and comes from a known authority. Servers: host is NULL. VGM_E_CRYPTO. */
int vgm_stream_start_tls(struct vgm_stream *, struct vgm_tls *, const char *host,
    bool must_verify, struct vgm_err *) VGM_MUST_USE;
/* 0: done. VGM_E_BUSY. VGM_E_CRYPTO: no agreement, or not verified; err says
 * why in words for logs. VGM_E_CLOSED, VGM_E_IO: the peer left in the middle. */
int vgm_stream_handshake(struct vgm_stream *, struct vgm_err *) VGM_MUST_USE;

/* Under TLS, after the handshake. */
static inline bool vgm_stream_is_tls(const struct vgm_stream *s)
{
	return s->ssl != NULL;
}
/* Appends "TLSv1.3 TLS_AES_256_GCM_SHA384", and " verified" on a client whose
 * peer's certificate names the host; nothing in clear. VGM_E_LIMIT. */
int vgm_stream_tls_facts(const struct vgm_stream *, struct vgm_buf *out) VGM_MUST_USE;
/* SHA-256 of the peer's certificate (DER). VGM_E_NOTFOUND: it showed none. */
int vgm_stream_peer_fingerprint(const struct vgm_stream *, uint8_t out[32]) VGM_MUST_USE;

#endif
