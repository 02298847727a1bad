/* SPDX-License-Identifier: EUPL-1.2
 * cmd/sink_tls.c — a certificate for the length of one run: see sink.h. */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "cmd/sink.h"
#include "net/tls.h"

#define LIFE_SECONDS (30L * 86400)

struct vgm_sink_key {
	EVP_PKEY *key;
};

/* The library's signer: the key is in this process. */
static int sign(void *context, const uint8_t key_id[32], const char *digest_name, uint8_t padding,
    struct vgm_slice digest, uint8_t *out, size_t out_max, size_t *out_len)
{
	const struct vgm_sink_key *k = context;
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(k->key, NULL);
	const EVP_MD *md = EVP_get_digestbyname(digest_name);
	size_t n = out_max;
	(void)key_id; /* there is only this one */
	(void)padding; /* it is EC */
	bool ok = c && md && EVP_PKEY_sign_init(c) == 1 &&
	    EVP_PKEY_CTX_set_signature_md(c, md) == 1 &&
	    EVP_PKEY_sign(c, out, &n, digest.data, digest.len) == 1;
	EVP_PKEY_CTX_free(c);
	if (!ok)
		return VGM_E_CRYPTO;
	*out_len = n;
	return 0;
}

static bool fill_certificate(X509 *x, EVP_PKEY *key, const char *hostname)
{
	X509_NAME *name = X509_get_subject_name(x);
	return X509_set_version(x, X509_VERSION_3) == 1 &&
	    ASN1_INTEGER_set(X509_get_serialNumber(x), 1) == 1 &&
	    X509_gmtime_adj(X509_getm_notBefore(x), -3600) != NULL &&
	    X509_gmtime_adj(X509_getm_notAfter(x), LIFE_SECONDS) != NULL &&
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
	        (const unsigned char *)hostname, -1, -1, 0) == 1 &&
	    X509_set_issuer_name(x, name) == 1 && X509_set_pubkey(x, key) == 1 &&
	    X509_sign(x, key, EVP_sha256()) > 0;
}

int vgm_sink_tls_new(const char *hostname, struct vgm_sink_key **out_key, struct vgm_tls **out,
    struct vgm_err *err)
{
	struct vgm_sink_key *k = vgm_alloc(sizeof(*k));
	X509 *x = X509_new();
	BIO *pem = BIO_new(BIO_s_mem());
	char *text = NULL;
	int r = VGM_E_CRYPTO;
	vgm_tls_library_init();
	k->key = EVP_EC_gen("P-256");
	if (x && pem && k->key && fill_certificate(x, k->key, hostname) &&
	    PEM_write_bio_X509(pem, x) == 1) {
		long n = BIO_get_mem_data(pem, &text);
		r = vgm_tls_server_new(vgm_slice(text, (size_t)n), sign, k, false, out, err);
	} else {
		vgm_err_set(err, r, "a certificate for %s could not be made", hostname);
	}
	BIO_free(pem);
	X509_free(x);
	if (r < 0)
		vgm_sink_key_free(&k);
	else
		*out_key = k;
	return r;
}

void vgm_sink_key_free(struct vgm_sink_key **key)
{
	if (*key)
		EVP_PKEY_free((*key)->key);
	vgm_free(*key);
	*key = NULL;
}
