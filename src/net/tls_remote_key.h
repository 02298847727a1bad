/* SPDX-License-Identifier: EUPL-1.2
 * net/tls_remote_key.h — a private key that is somewhere else, for OpenSSL.
 *
 * A provider inside the process (OpenSSL 3 interface, no ENGINE) with key
 * managers and signature algorithms for EC and RSA. Its keys hold the public
 * half and a signer; signing hashes here and asks the signer for the rest.
 * Nothing can be exported but the public half. */
#ifndef VGM_NET_TLS_REMOTE_KEY_H
#define VGM_NET_TLS_REMOTE_KEY_H

#include "net/tls.h"

#include <openssl/evp.h>
#include <openssl/provider.h>

struct vgm_tls_remote {
	vgm_tls_signer *sign;
	void *context;
};

/* Adds the provider to a library context. Its keys need it until they are freed;
 * then OSSL_PROVIDER_unload. VGM_E_CRYPTO. */
int vgm_tls_remote_load(OSSL_LIB_CTX *, OSSL_PROVIDER **out, struct vgm_err *) VGM_MUST_USE;

/* A key whose public half is that of public_key (EC or RSA). remote must outlive
 * it. VGM_E_INVALID: another kind of key. VGM_E_CRYPTO. */
int vgm_tls_remote_key(OSSL_LIB_CTX *, EVP_PKEY *public_key, const struct vgm_tls_remote *remote,
    EVP_PKEY **out, struct vgm_err *) VGM_MUST_USE;

/* SHA-256 of the public key as SubjectPublicKeyInfo: its name in messages. VGM_E_CRYPTO. */
int vgm_tls_key_id(const EVP_PKEY *, uint8_t out[32]) VGM_MUST_USE;

#endif
