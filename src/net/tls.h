/* SPDX-License-Identifier: EUPL-1.2
 * net/tls.h — what all TLS streams of one kind have in common: versions,
 * ciphers, certificate, authorities. Made before the sandbox closes (a server's
 * may also be made inside: its certificate comes in a message).
 *
 * TLS 1.2 and later, forward secrecy always; no anonymous, NULL, RC4, 3DES or
 * export cipher, no renegotiation, no compression, no resumption (a ticket's
 * key would be a long-term key in smtpd). No openssl.cnf is ever read.
 *
 * The server's private key is not here: each handshake asks a signer, which is
 * a message to keyd (rule 11). */
#ifndef VGM_NET_TLS_H
#define VGM_NET_TLS_H

#include "base/err.h"
#include "base/slice.h"

/* Must come before any other use of the library in a process; again is harmless. */
void vgm_tls_library_init(void);

/* Signs digest with the private key of key_id (SHA-256 of its public key, as
 * SubjectPublicKeyInfo). padding: RSA_PKCS1_PADDING (1), RSA_PKCS1_PSS_PADDING
 * (6; the salt is as long as the digest); EC: 0, the signature in DER.
 * Returns 0 and fills out, or a negative code: the handshake fails. */
typedef int vgm_tls_signer(void *context, const uint8_t key_id[32], const char *digest_name,
    uint8_t padding, struct vgm_slice digest, uint8_t *out, size_t out_max, size_t *out_len);

/* The signer of smtpd: asks keyd over a SEQPACKET socket and waits, at most two
 * seconds. context is a const int *: the descriptor (vgm_channel_pause gives it),
 * or -1 while keyd is away. VGM_E_DENIED: keyd refused. */
int vgm_tls_sign_over_ipc(void *context, const uint8_t key_id[32], const char *digest_name,
    uint8_t padding, struct vgm_slice digest, uint8_t *out, size_t out_max, size_t *out_len);

struct vgm_tls; /* counted: each stream holds a reference */

/* chain_pem: leaf first, EC P-256/P-384 or RSA key. With ask_certificate clients
 * are asked for a certificate; any (or none) is let in, the caller looks at its
 * fingerprint. VGM_E_INVALID: not such a chain. VGM_E_CRYPTO. */
int vgm_tls_server_new(struct vgm_slice chain_pem, vgm_tls_signer *signer, void *context,
    bool ask_certificate, struct vgm_tls **out, struct vgm_err *) VGM_MUST_USE;

/* authorities: PEM file that names are verified against; NULL or "": none, so
 * that nothing ever verifies. VGM_E_NOTFOUND: no such file, or nothing in it. */
int vgm_tls_client_new(
    const char *authorities, struct vgm_tls **out, struct vgm_err *) VGM_MUST_USE;

struct vgm_tls *vgm_tls_ref(struct vgm_tls *);
void vgm_tls_free(struct vgm_tls **); /* gives one reference back; NULL-safe */

bool vgm_tls_is_server(const struct vgm_tls *);
struct ssl_ctx_st *vgm_tls_context(const struct vgm_tls *); /* for net/stream.c */

#endif
