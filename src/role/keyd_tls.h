/* SPDX-License-Identifier: EUPL-1.2
 * role/keyd_tls.h — the certificate of the gateway and its private key, which
 * signs handshakes and is shown to nobody. */
#ifndef VGM_ROLE_KEYD_TLS_H
#define VGM_ROLE_KEYD_TLS_H

#include "crypt/keystore.h"
#include "ipc/message.h"

#define VGM_KEYD_TLS_SIGNATURE_MAX 1024u

struct vgm_keyd_tls;

/* The configured files (before the sandbox; they may be one file): chain with the
 * leaf first, key unencrypted, EC or RSA. VGM_E_NOTFOUND, VGM_E_INVALID with what
 * is wrong. */
int vgm_keyd_tls_load(const char *chain_path, const char *key_path, struct vgm_keyd_tls **out,
    struct vgm_err *) VGM_MUST_USE;
/* The one of the store, made there when it is missing, is for another host name,
 * or ends within 30 days: P-256, self-signed. now_s: seconds since 1970. */
int vgm_keyd_tls_own(struct vgm_keystore *, const char *hostname, uint64_t now_s,
    struct vgm_keyd_tls **out, struct vgm_err *) VGM_MUST_USE;
void vgm_keyd_tls_free(struct vgm_keyd_tls **);

/* PEM, leaf first. */
struct vgm_slice vgm_keyd_tls_chain(const struct vgm_keyd_tls *);
/* VGM_E_NOTFOUND: another key is meant; VGM_E_DENIED: not a digest or padding
 * that TLS 1.2 and later use; VGM_E_CRYPTO. */
int vgm_keyd_tls_sign(const struct vgm_keyd_tls *, const struct vgm_msg_tls_sign *,
    uint8_t out[VGM_KEYD_TLS_SIGNATURE_MAX], size_t *out_len) VGM_MUST_USE;

/* ---- how many signatures one asker gets ---- */

#define VGM_KEYD_TLS_PER_SECOND 500u /* and as many at once after a pause */

struct vgm_keyd_rate {
	uint64_t at_ms;
	uint64_t used; /* thousandths of a signature */
};
/* True and counted, or false: too many. A zeroed struct is a fresh one. */
bool vgm_keyd_rate_take(struct vgm_keyd_rate *, uint64_t now_ms);

#endif
