/* SPDX-License-Identifier: EUPL-1.2
 * role/keyd_tls.c — see keyd_tls.h. */
#include "role/keyd_tls.h"

#include "net/tls_remote_key.h"
#include "os/file.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#define CHAIN_MAX 60000u /* as much as a message carries */
#define CERTIFICATE_FILE "tls.crt"
#define LIFE_DAYS 3650
#define RENEW_DAYS 30
#define DAY_S 86400

struct vgm_keyd_tls {
	struct vgm_buf chain;
	EVP_PKEY *key;
	uint8_t key_id[32];
};

void vgm_keyd_tls_free(struct vgm_keyd_tls **tls)
{
	struct vgm_keyd_tls *t = *tls;
	*tls = NULL;
	if (!t)
		return;
	EVP_PKEY_free(t->key);
	vgm_buf_release(&t->chain);
	vgm_free(t);
}

struct vgm_slice vgm_keyd_tls_chain(const struct vgm_keyd_tls *t)
{
	return vgm_buf_slice(&t->chain);
}

/* ---- reading ---- */

/* Re-encoded, so that nothing but certificates leaves: a private key may stand
 * in the same file. */
static int add_certificate(struct vgm_buf *chain, X509 *certificate, struct vgm_err *err)
{
	char *text;
	BIO *pem = BIO_new(BIO_s_mem());
	VGM_BUG_ON(!pem || !PEM_write_bio_X509(pem, certificate));
	long len = BIO_get_mem_data(pem, &text);
	int r = vgm_buf_add(chain, text, (size_t)len);
	BIO_free(pem);
	return r < 0 ? vgm_err_set(err, VGM_E_INVALID, "the certificate chain is too long") : 0;
}

static int read_chain(struct vgm_keyd_tls *t, BIO *file, struct vgm_err *err)
{
	int r = 0;
	X509 *certificate;
	bool first = true;
	while (r == 0 && (certificate = PEM_read_bio_X509(file, NULL, NULL, NULL))) {
		if (first && X509_check_private_key(certificate, t->key) != 1)
			r = vgm_err_set(err, VGM_E_INVALID,
			    "the first certificate is not that of the private key");
		if (r == 0)
			r = add_certificate(&t->chain, certificate, err);
		X509_free(certificate);
		first = false;
	}
	ERR_clear_error();
	return r == 0 && first ? vgm_err_set(err, VGM_E_INVALID, "no certificate there") : r;
}

static int use_key(struct vgm_keyd_tls *t, EVP_PKEY *key, struct vgm_err *err)
{
	if (!key)
		return vgm_err_set(err, VGM_E_INVALID, "no unencrypted private key there");
	t->key = key;
	if (!EVP_PKEY_is_a(key, "EC") && !EVP_PKEY_is_a(key, "RSA"))
		return vgm_err_set(err, VGM_E_INVALID, "the private key is neither EC nor RSA");
	return vgm_tls_key_id(key, t->key_id) < 0 ?
	    vgm_err_set(err, VGM_E_CRYPTO, "the private key has no public half") :
	    0;
}

static struct vgm_keyd_tls *empty(void)
{
	struct vgm_keyd_tls *t = vgm_alloc(sizeof *t);
	vgm_buf_init(&t->chain, CHAIN_MAX);
	return t;
}

/* Instead of asking on the terminal. */
static int no_passphrase(char *buf, int size, int writing, void *context)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)context;
	return -1;
}

static BIO *open_file(const char *path, struct vgm_err *err)
{
	BIO *file = BIO_new_file(path, "r");
	if (!file)
		vgm_err_set(err, VGM_E_NOTFOUND, "%.200s cannot be read", path);
	return file;
}

/* Puts the path before what was said about the file. */
static int about(const char *path, int code, struct vgm_err *err)
{
	if (code < 0 && err) {
		struct vgm_err said = *err;
		vgm_err_set(err, code, "%.120s: %.120s", path, said.text);
	}
	return code;
}

int vgm_keyd_tls_load(const char *chain_path, const char *key_path, struct vgm_keyd_tls **out,
    struct vgm_err *err)
{
	struct vgm_keyd_tls *t = empty();
	int r = VGM_E_NOTFOUND;
	BIO *file = open_file(key_path, err);
	if (file)
		r = about(key_path,
		    use_key(t, PEM_read_bio_PrivateKey(file, NULL, no_passphrase, NULL), err), err);
	BIO_free(file);
	file = r == 0 ? open_file(chain_path, err) : NULL;
	if (file)
		r = about(chain_path, read_chain(t, file, err), err);
	else if (r == 0)
		r = VGM_E_NOTFOUND;
	BIO_free(file);
	ERR_clear_error();
	if (r < 0)
		vgm_keyd_tls_free(&t);
	else
		*out = t;
	return r;
}

/* ---- our own ---- */

/* A name that goes into a certificate as it is: no comma could add another. */
static const char *clean_name(const char *hostname)
{
	static const char letters[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";
	return hostname[0] && strspn(hostname, letters) == strlen(hostname) ? hostname
									    : "localhost";
}

static bool add_extension(X509 *certificate, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	bool ok = e && X509_add_ext(certificate, e, -1);
	X509_EXTENSION_free(e);
	return ok;
}

static bool fill_certificate(X509 *c, EVP_PKEY *key, const char *hostname, time_t now)
{
	uint8_t serial[16];
	char alt[260];
	X509_NAME *name = X509_get_subject_name(c);
	vgm_random(serial, sizeof serial);
	serial[0] = (serial[0] & 0x7F) | 0x40;
	snprintf(alt, sizeof alt, "DNS:%.250s", hostname);
	BIGNUM *number = BN_bin2bn(serial, sizeof serial, NULL);
	bool ok = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(c)) &&
	    X509_set_version(c, X509_VERSION_3) && X509_set_pubkey(c, key) &&
	    X509_time_adj_ex(X509_getm_notBefore(c), -1, 0, &now) &&
	    X509_time_adj_ex(X509_getm_notAfter(c), LIFE_DAYS, 0, &now) &&
	    /* 64 letters at most fit a common name; the alternative name has all. */
	    X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC,
	        (const unsigned char *)hostname, (int)vgm_min_size(strlen(hostname), 64), -1, 0) &&
	    X509_set_issuer_name(c, name) &&
	    add_extension(c, NID_basic_constraints, "critical,CA:FALSE") &&
	    add_extension(c, NID_ext_key_usage, "serverAuth") &&
	    add_extension(c, NID_subject_alt_name, alt) && X509_sign(c, key, EVP_sha256()) > 0;
	BN_free(number);
	return ok;
}

/* A certificate for t's key. The key stays when a certificate ends: people may
 * have published its hash (DANE). */
static int certify(struct vgm_keystore *store, struct vgm_keyd_tls *t, const char *hostname,
    uint64_t now_s, struct vgm_err *err)
{
	X509 *certificate = X509_new();
	VGM_BUG_ON(!certificate);
	vgm_buf_clear(&t->chain);
	int r = fill_certificate(certificate, t->key, hostname, (time_t)now_s) ?
	    add_certificate(&t->chain, certificate, err) :
	    vgm_err_set(err, VGM_E_CRYPTO, "a certificate for %.100s cannot be made", hostname);
	X509_free(certificate);
	return r < 0 ? r :
	               vgm_file_replace_at(vgm_keystore_dir(store), CERTIFICATE_FILE,
	                   vgm_buf_slice(&t->chain), 0644, err);
}

static int keep_key(struct vgm_keystore *store, EVP_PKEY *key, struct vgm_err *err)
{
	uint8_t *der = NULL;
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
	int len = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : -1;
	PKCS8_PRIV_KEY_INFO_free(info);
	if (len <= 0)
		return vgm_err_set(err, VGM_E_CRYPTO, "the key cannot be written down");
	int r = vgm_keystore_write(store, VGM_KEYSTORE_TLS, 0, vgm_slice(der, (size_t)len), err);
	OPENSSL_clear_free(der, (size_t)len);
	return r;
}

static int own_key(struct vgm_keystore *store, struct vgm_keyd_tls *t, struct vgm_err *err)
{
	struct vgm_secret der;
	int r = vgm_keystore_read(store, VGM_KEYSTORE_TLS, 0, &der, err);
	if (r == VGM_E_NOTFOUND) {
		r = use_key(t, EVP_EC_gen("P-256"), err);
		return r < 0 ? r : keep_key(store, t->key, err);
	}
	if (r < 0)
		return r;
	const uint8_t *p = der.data;
	r = use_key(t, d2i_AutoPrivateKey(NULL, &p, (long)der.len), err);
	vgm_secret_release(&der);
	return r;
}

/* The stored certificate, when it is still good for this host name and a while. */
static bool own_certificate(
    struct vgm_keystore *store, struct vgm_keyd_tls *t, const char *hostname, uint64_t now_s)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf pem = VGM_BUF_INIT(CHAIN_MAX);
	time_t soon = (time_t)now_s + RENEW_DAYS * DAY_S;
	if (vgm_file_read_at(vgm_keystore_dir(store), CERTIFICATE_FILE, &pem, NULL) < 0)
		return false;
	BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
	bool good = read_chain(t, bio, NULL) == 0 && BIO_reset(bio) == 1;
	X509 *leaf = good ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	good = leaf && X509_check_host(leaf, hostname, 0, 0, NULL) == 1 &&
	    X509_cmp_time(X509_get0_notAfter(leaf), &soon) > 0;
	X509_free(leaf);
	BIO_free(bio);
	return good;
}

int vgm_keyd_tls_own(struct vgm_keystore *store, const char *hostname, uint64_t now_s,
    struct vgm_keyd_tls **out, struct vgm_err *err)
{
	struct vgm_keyd_tls *t = empty();
	hostname = clean_name(hostname);
	int r = own_key(store, t, err);
	if (r == 0 && !own_certificate(store, t, hostname, now_s))
		r = certify(store, t, hostname, now_s, err);
	if (r < 0)
		vgm_keyd_tls_free(&t);
	else
		*out = t;
	return r;
}

/* ---- signing ---- */

static const EVP_MD *digest_of(const struct vgm_msg_tls_sign *m)
{
	static const struct {
		const char *names[2];
		const EVP_MD *(*digest)(void);
		size_t len;
	} known[] = {
	    {{"SHA256", "SHA2-256"}, EVP_sha256, 32},
	    {{"SHA384", "SHA2-384"}, EVP_sha384, 48},
	    {{"SHA512", "SHA2-512"}, EVP_sha512, 64},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(known); i++)
		for (size_t n = 0; n < 2; n++)
			if (vgm_slice_eq(m->digest_name, vgm_slice_str(known[i].names[n])))
				return m->digest.len == known[i].len ? known[i].digest() : NULL;
	return NULL;
}

static bool set_padding(EVP_PKEY_CTX *ctx, bool rsa, uint8_t padding)
{
	if (!rsa)
		return padding == 0;
	if (padding != RSA_PKCS1_PADDING && padding != RSA_PKCS1_PSS_PADDING)
		return false;
	return EVP_PKEY_CTX_set_rsa_padding(ctx, padding) > 0 &&
	    (padding == RSA_PKCS1_PADDING ||
	        EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0);
}

int vgm_keyd_tls_sign(const struct vgm_keyd_tls *t, const struct vgm_msg_tls_sign *m,
    uint8_t out[VGM_KEYD_TLS_SIGNATURE_MAX], size_t *out_len)
{
	const EVP_MD *digest = digest_of(m);
	size_t len = VGM_KEYD_TLS_SIGNATURE_MAX;
	if (memcmp(m->key_id, t->key_id, sizeof t->key_id) != 0)
		return VGM_E_NOTFOUND;
	if (!digest)
		return VGM_E_DENIED;
	int r = 0;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(t->key, NULL);
	if (!ctx || EVP_PKEY_sign_init(ctx) != 1)
		r = VGM_E_CRYPTO;
	else if (!set_padding(ctx, EVP_PKEY_is_a(t->key, "RSA"), m->padding))
		r = VGM_E_DENIED;
	else if (EVP_PKEY_CTX_set_signature_md(ctx, digest) <= 0 ||
	    EVP_PKEY_sign(ctx, out, &len, m->digest.data, m->digest.len) != 1)
		r = VGM_E_CRYPTO;
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	if (r == 0)
		*out_len = len;
	return r;
}

/* A leaking bucket. */
bool vgm_keyd_rate_take(struct vgm_keyd_rate *rate, uint64_t now_ms)
{
	uint64_t leaked = (now_ms - rate->at_ms) * VGM_KEYD_TLS_PER_SECOND;
	rate->used = leaked > rate->used ? 0 : rate->used - leaked;
	rate->at_ms = now_ms;
	if (rate->used + 1000 > VGM_KEYD_TLS_PER_SECOND * 1000ull)
		return false;
	rate->used += 1000;
	return true;
}
