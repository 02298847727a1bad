/* SPDX-License-Identifier: EUPL-1.2
 * net/tls_remote_key.c — see tls_remote_key.h; provider(7), provider-keymgmt(7)
 * and provider-signature(7) describe the functions of the tables below.
 *
 * A key object wraps the public key as OpenSSL's own provider holds it, and
 * hands every question about it (sizes, group, comparison, export) on to that. */
#include "net/tls_remote_key.h"

#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>

#define PROVIDER "vgm-remote"
#define QUERY "provider=" PROVIDER
#define PARAM_INNER "vgm-inner"   /* the public key: pointer to EVP_PKEY */
#define PARAM_REMOTE "vgm-remote" /* the signer: pointer to struct vgm_tls_remote */
#define SIGNATURE_MAX 1024

int vgm_tls_key_id(const EVP_PKEY *key, uint8_t out[32])
{
	uint8_t *der = NULL;
	int len = i2d_PUBKEY(key, &der);
	if (len <= 0)
		return VGM_E_CRYPTO;
	int ok = EVP_Digest(der, (size_t)len, out, NULL, EVP_sha256(), NULL);
	OPENSSL_free(der);
	return ok ? 0 : VGM_E_CRYPTO;
}

/* ---- keys ---- */

struct remote_key {
	const char *type; /* "EC", "RSA" */
	EVP_PKEY *inner;
	const struct vgm_tls_remote *remote; /* NULL: a public key only, to compare with */
};

static void *key_new(const char *type)
{
	struct remote_key *key = vgm_alloc(sizeof *key);
	key->type = type;
	return key;
}

static void *key_new_ec(void *provider)
{
	(void)provider;
	return key_new("EC");
}

static void *key_new_rsa(void *provider)
{
	(void)provider;
	return key_new("RSA");
}

static void key_free(void *data)
{
	struct remote_key *key = data;
	if (!key)
		return;
	EVP_PKEY_free(key->inner);
	vgm_free(key);
}

static int key_has(const void *data, int selection)
{
	const struct remote_key *key = data;
	if (!key->inner)
		return 0;
	return !(selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) || key->remote;
}

static int key_match(const void *a, const void *b, int selection)
{
	const struct remote_key *x = a, *y = b;
	(void)selection;
	return x->inner && y->inner && EVP_PKEY_eq(x->inner, y->inner) == 1;
}

static void *pointer_param(const OSSL_PARAM params[], const char *name)
{
	void *pointer = NULL;
	const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, name);
	if (!p || p->data_type != OSSL_PARAM_OCTET_STRING || p->data_size != sizeof pointer)
		return NULL;
	memcpy(&pointer, p->data, sizeof pointer);
	return pointer;
}

/* From vgm_tls_remote_key: our two pointers. From libcrypto, when it compares a
 * certificate's public key with ours: the public parameters. */
static int key_import(void *data, int selection, const OSSL_PARAM params[])
{
	struct remote_key *key = data;
	EVP_PKEY *inner = pointer_param(params, PARAM_INNER);
	(void)selection;
	if (key->inner)
		return 0;
	if (inner && EVP_PKEY_up_ref(inner)) {
		key->inner = inner;
		key->remote = pointer_param(params, PARAM_REMOTE);
		return 1;
	}
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, key->type, NULL);
	int ok = ctx && EVP_PKEY_fromdata_init(ctx) == 1 &&
	    EVP_PKEY_fromdata(ctx, &key->inner, EVP_PKEY_PUBLIC_KEY,
	        (OSSL_PARAM *)(uintptr_t)params) == 1;
	EVP_PKEY_CTX_free(ctx);
	return ok;
}

static const OSSL_PARAM *key_import_types(int selection)
{
	static const OSSL_PARAM types[] = {
	    OSSL_PARAM_octet_string(PARAM_INNER, NULL, 0),
	    OSSL_PARAM_octet_string(PARAM_REMOTE, NULL, 0),
	    OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
	    OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
	    OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
	    OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0), OSSL_PARAM_END};
	(void)selection;
	return types;
}

static int key_export(void *data, int selection, OSSL_CALLBACK *callback, void *context)
{
	const struct remote_key *key = data;
	if (!key->inner || (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY))
		return 0;
	return EVP_PKEY_export(key->inner, EVP_PKEY_PUBLIC_KEY, callback, context);
}

static const OSSL_PARAM *key_export_types(int selection)
{
	return key_import_types(selection) + 2;
}

static int key_get_params(void *data, OSSL_PARAM params[])
{
	const struct remote_key *key = data;
	return key->inner && EVP_PKEY_get_params(key->inner, params);
}

static const OSSL_PARAM *key_gettable(void *provider)
{
	static const OSSL_PARAM types[] = {OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
	    OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
	    OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
	    OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0), OSSL_PARAM_END};
	(void)provider;
	return types;
}

static const char *operation_ec(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

static const char *operation_rsa(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "RSA" : NULL;
}

#define FUNCTION(id, function) {id, (void (*)(void))(function)}
#define KEY_FUNCTIONS(create, operation)                                                           \
	{                                                                                          \
		FUNCTION(OSSL_FUNC_KEYMGMT_NEW, create),                                           \
		    FUNCTION(OSSL_FUNC_KEYMGMT_FREE, key_free),                                    \
		    FUNCTION(OSSL_FUNC_KEYMGMT_HAS, key_has),                                      \
		    FUNCTION(OSSL_FUNC_KEYMGMT_MATCH, key_match),                                  \
		    FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT, key_import),                                \
		    FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, key_import_types),                    \
		    FUNCTION(OSSL_FUNC_KEYMGMT_EXPORT, key_export),                                \
		    FUNCTION(OSSL_FUNC_KEYMGMT_EXPORT_TYPES, key_export_types),                    \
		    FUNCTION(OSSL_FUNC_KEYMGMT_GET_PARAMS, key_get_params),                        \
		    FUNCTION(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, key_gettable),                     \
		    FUNCTION(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, operation),                   \
		    {0, NULL},                                                                     \
	}
static const OSSL_DISPATCH ec_functions[] = KEY_FUNCTIONS(key_new_ec, operation_ec);
static const OSSL_DISPATCH rsa_functions[] = KEY_FUNCTIONS(key_new_rsa, operation_rsa);

/* ---- signatures ---- */

struct signature {
	const struct remote_key *key; /* borrowed from the EVP_PKEY of the operation */
	char digest[50];
	uint8_t padding;
};

static void *signature_new(void *provider, const char *query)
{
	(void)provider;
	(void)query;
	return vgm_alloc(sizeof(struct signature));
}

static void signature_free(void *data)
{
	vgm_free(data);
}

static bool is_rsa(const struct remote_key *key)
{
	return key->type[0] == 'R';
}

static int set_padding(struct signature *s, const OSSL_PARAM *p)
{
	int number = 0;
	const char *text = NULL;
	if (p->data_type == OSSL_PARAM_UTF8_STRING && OSSL_PARAM_get_utf8_string_ptr(p, &text))
		number = strcmp(text, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0 ? RSA_PKCS1_PSS_PADDING :
		    strcmp(text, OSSL_PKEY_RSA_PAD_MODE_PKCSV15) == 0  ? RSA_PKCS1_PADDING :
		                                                         0;
	else if (!OSSL_PARAM_get_int(p, &number))
		return 0;
	if (number != RSA_PKCS1_PADDING && number != RSA_PKCS1_PSS_PADDING)
		return 0;
	s->padding = (uint8_t)number;
	return 1;
}

/* The signer's salts are as long as the digest, which is what TLS wants. */
static int check_salt(const OSSL_PARAM *p)
{
	int number;
	const char *text;
	if (p->data_type == OSSL_PARAM_UTF8_STRING)
		return OSSL_PARAM_get_utf8_string_ptr(p, &text) &&
		    strcmp(text, OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST) == 0;
	return OSSL_PARAM_get_int(p, &number) && number == RSA_PSS_SALTLEN_DIGEST;
}

static int signature_set(void *data, const OSSL_PARAM params[])
{
	struct signature *s = data;
	const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE);
	if (p && !set_padding(s, p))
		return 0;
	p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN);
	return !p || check_salt(p);
}

static const OSSL_PARAM *signature_settable(void *data, void *provider)
{
	static const OSSL_PARAM types[] = {
	    OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
	    OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0), OSSL_PARAM_END};
	(void)data;
	(void)provider;
	return types;
}

static int signature_init(void *data, const char *digest, void *key, const OSSL_PARAM params[])
{
	struct signature *s = data;
	s->key = key;
	if (!s->key || !s->key->remote || !digest || strlen(digest) >= sizeof s->digest)
		return 0;
	memcpy(s->digest, digest, strlen(digest) + 1);
	s->padding = is_rsa(s->key) ? RSA_PKCS1_PADDING : 0;
	return params ? signature_set(s, params) : 1;
}

static int signature_sign(void *data, unsigned char *out, size_t *out_len, size_t out_max,
    const unsigned char *message, size_t message_len)
{
	struct signature *s = data;
	uint8_t key_id[32], digest[EVP_MAX_MD_SIZE], made[SIGNATURE_MAX];
	unsigned digest_len;
	size_t made_len;
	if (!out) {
		*out_len = (size_t)EVP_PKEY_get_size(s->key->inner);
		return 1;
	}
	EVP_MD *md = EVP_MD_fetch(NULL, s->digest, NULL);
	int ok = md && EVP_Digest(message, message_len, digest, &digest_len, md, NULL);
	struct vgm_slice hashed = vgm_slice(digest, ok ? digest_len : 0);
	const struct vgm_tls_remote *remote = s->key->remote;
	ok = ok && vgm_tls_key_id(s->key->inner, key_id) == 0 &&
	    remote->sign(remote->context, key_id, EVP_MD_get0_name(md), s->padding, hashed, made,
	        sizeof made, &made_len) == 0 &&
	    made_len <= out_max;
	EVP_MD_free(md);
	if (!ok)
		return 0;
	memcpy(out, made, made_len);
	*out_len = made_len;
	return 1;
}

static const OSSL_DISPATCH signature_functions[] = {
    FUNCTION(OSSL_FUNC_SIGNATURE_NEWCTX, signature_new),
    FUNCTION(OSSL_FUNC_SIGNATURE_FREECTX, signature_free),
    FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, signature_init),
    FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, signature_sign),
    FUNCTION(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, signature_set),
    FUNCTION(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, signature_settable),
    {0, NULL},
};

/* ---- the provider ---- */

static const OSSL_ALGORITHM *query_operation(void *provider, int operation, int *no_store)
{
	static const OSSL_ALGORITHM keys[] = {
	    {"EC:id-ecPublicKey:1.2.840.10045.2.1", QUERY, ec_functions, NULL},
	    {"RSA:rsaEncryption:1.2.840.113549.1.1.1", QUERY, rsa_functions, NULL},
	    {NULL, NULL, NULL, NULL}};
	static const OSSL_ALGORITHM signatures[] = {
	    {"ECDSA", QUERY, signature_functions, NULL},
	    {"RSA:rsaEncryption:1.2.840.113549.1.1.1", QUERY, signature_functions, NULL},
	    {NULL, NULL, NULL, NULL}};
	(void)provider;
	*no_store = 0;
	return operation == OSSL_OP_KEYMGMT ? keys :
	    operation == OSSL_OP_SIGNATURE  ? signatures :
	                                      NULL;
}

static int provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
    const OSSL_DISPATCH **out, void **provider)
{
	static const OSSL_DISPATCH functions[] = {
	    FUNCTION(OSSL_FUNC_PROVIDER_QUERY_OPERATION, query_operation), {0, NULL}};
	(void)in;
	*out = functions;
	*provider = (void *)(uintptr_t)handle;
	return 1;
}

int vgm_tls_remote_load(OSSL_LIB_CTX *library, OSSL_PROVIDER **out, struct vgm_err *err)
{
	bool known = OSSL_PROVIDER_available(library, PROVIDER);
	OSSL_PROVIDER *provider = NULL;
	if (known || OSSL_PROVIDER_add_builtin(library, PROVIDER, provider_init))
		/* The last argument keeps the default provider for everything else. */
		provider = OSSL_PROVIDER_try_load(library, PROVIDER, 1);
	if (!provider)
		return vgm_err_set(err, VGM_E_CRYPTO, "the provider of remote keys does not load");
	*out = provider;
	return 0;
}

int vgm_tls_remote_key(OSSL_LIB_CTX *library, EVP_PKEY *public_key,
    const struct vgm_tls_remote *remote, EVP_PKEY **out, struct vgm_err *err)
{
	const char *type = EVP_PKEY_is_a(public_key, "EC") ? "EC" :
	    EVP_PKEY_is_a(public_key, "RSA")               ? "RSA" :
	                                                     NULL;
	if (!type)
		return vgm_err_set(err, VGM_E_INVALID, "a certificate's key is neither EC nor RSA");
	OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_octet_string(PARAM_INNER, &public_key, sizeof public_key),
	    OSSL_PARAM_construct_octet_string(PARAM_REMOTE, &remote, sizeof remote),
	    OSSL_PARAM_construct_end()};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(library, type, QUERY);
	EVP_PKEY *key = NULL;
	int ok = ctx && EVP_PKEY_fromdata_init(ctx) == 1 &&
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) == 1;
	EVP_PKEY_CTX_free(ctx);
	if (!ok)
		return vgm_err_set(err, VGM_E_CRYPTO, "a remote key cannot be made");
	*out = key;
	return 0;
}
