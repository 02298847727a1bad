/* SPDX-License-Identifier: EUPL-1.2
 * ledger/hash.c — see hash.h. Fetching a digest by name takes longer than
 * hashing a record's header with it, so both are kept; a failing digest means
 * that the library is broken, and the process stops. */
#include "ledger/hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

static const EVP_MD *sha256(void)
{
	static EVP_MD *fetched;
	if (!fetched) {
		/* No openssl.cnf: what the library does is ours to say (rule 14). */
		OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
		fetched = EVP_MD_fetch(NULL, "SHA256", NULL);
		VGM_BUG_ON(!fetched);
	}
	return fetched;
}

void vgm_hash_begin(struct vgm_hash_stream *h)
{
	if (!h->context)
		h->context = EVP_MD_CTX_new();
	VGM_BUG_ON(!h->context || EVP_DigestInit_ex2(h->context, sha256(), NULL) != 1);
}

void vgm_hash_add(struct vgm_hash_stream *h, struct vgm_slice s)
{
	if (s.len)
		VGM_BUG_ON(EVP_DigestUpdate(h->context, s.data, s.len) != 1);
}

void vgm_hash_end(struct vgm_hash_stream *h, uint8_t out[VGM_HASH_BYTES])
{
	VGM_BUG_ON(EVP_DigestFinal_ex(h->context, out, NULL) != 1);
}

void vgm_hash_stream_release(struct vgm_hash_stream *h)
{
	EVP_MD_CTX_free(h->context);
	h->context = NULL;
}

void vgm_hash_join(const struct vgm_slice *pieces, size_t count, uint8_t out[VGM_HASH_BYTES])
{
	static struct vgm_hash_stream shared;
	vgm_hash_begin(&shared);
	for (size_t i = 0; i < count; i++)
		vgm_hash_add(&shared, pieces[i]);
	vgm_hash_end(&shared, out);
}

void vgm_hash(struct vgm_slice s, uint8_t out[VGM_HASH_BYTES])
{
	vgm_hash_join(&s, 1, out);
}
