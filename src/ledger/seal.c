/* SPDX-License-Identifier: EUPL-1.2
 * ledger/seal.c — see seal.h. Encryption alone; packing is in seal_body.c.
 *
 * Key of a part = HMAC-SHA256(record key, label || id || part || 0x01): the
 * expand step of HKDF (RFC 5869) for one block. The extract step evens out
 * keys that are not uniform; record keys and routing keys come from the
 * kernel's generator and are, so it is left out (RFC 5869, section 3.3).
 *
 * That key seals one part of one record, so nonces count from zero: seven zero
 * bytes, the chunk's number, and 1 for the last chunk (STREAM). Associated data
 * = id || entity || part. */
#include "ledger/seal.h"

#include <errno.h>
#include <sodium.h>
#include <unistd.h>

#include "base/secret.h"
#include "ledger/bytes.h"
#include "ledger/seal_chunk.h"

#include <openssl/evp.h>

static const EVP_CIPHER *aes(void)
{
	static EVP_CIPHER *fetched;
	if (!fetched)
		fetched = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	VGM_BUG_ON(!fetched);
	return fetched;
}

static EVP_CIPHER_CTX *shared_context(void)
{
	static EVP_CIPHER_CTX *context;
	if (!context)
		context = EVP_CIPHER_CTX_new();
	VGM_BUG_ON(!context);
	return context;
}

static void part_key(const struct vgm_seal_name *name, uint8_t out[32])
{
	static const char label[15] = "vgm part key v1";
	uint8_t info[sizeof label + 16 + 1 + 1];
	memcpy(info, label, sizeof label);
	memcpy(info + sizeof label, name->id, 16);
	info[sizeof label + 16] = (uint8_t)name->part;
	info[sizeof label + 17] = 1;
	crypto_auth_hmacsha256(out, info, sizeof info, name->key);
}

void vgm_chunks_begin(struct vgm_chunks *c, const struct vgm_seal_name *name, bool sealing)
{
	uint8_t key[32];
	c->context = shared_context();
	c->number = 0;
	c->sealing = sealing;
	memcpy(c->associated, name->id, 16);
	vgm_put_be(c->associated + 16, name->entity, 4);
	c->associated[20] = (uint8_t)name->part;
	part_key(name, key);
	int ok = EVP_CipherInit_ex2(c->context, aes(), key, NULL, sealing, NULL);
	vgm_wipe(key, sizeof key);
	VGM_BUG_ON(ok != 1);
}

/* The nonce and the associated data of the next chunk. */
static void begin_chunk(struct vgm_chunks *c, bool last)
{
	uint8_t nonce[12] = {0};
	int n;
	vgm_put_be(nonce + 7, c->number++, 4);
	nonce[11] = last;
	VGM_BUG_ON(
	    EVP_CipherInit_ex2(c->context, NULL, NULL, nonce, c->sealing, NULL) != 1 ||
	    EVP_CipherUpdate(c->context, NULL, &n, c->associated, sizeof c->associated) != 1);
}

void vgm_chunks_seal(struct vgm_chunks *c, struct vgm_slice plain, bool last, uint8_t *out)
{
	int n = 0;
	VGM_BUG_ON(plain.len > VGM_SEAL_CHUNK_BYTES || !c->sealing);
	begin_chunk(c, last);
	if (plain.len)
		VGM_BUG_ON(EVP_CipherUpdate(c->context, out, &n, plain.data, (int)plain.len) != 1);
	VGM_BUG_ON(EVP_CipherFinal_ex(c->context, out + n, &n) != 1 ||
		   EVP_CIPHER_CTX_ctrl(c->context, EVP_CTRL_AEAD_GET_TAG, VGM_SEAL_TAG_BYTES,
		       out + plain.len) != 1);
}

int vgm_chunks_open(struct vgm_chunks *c, struct vgm_slice stored, bool last, uint8_t *out)
{
	int n = 0;
	VGM_BUG_ON(c->sealing);
	if (stored.len < VGM_SEAL_TAG_BYTES ||
	    stored.len > VGM_SEAL_CHUNK_BYTES + VGM_SEAL_TAG_BYTES)
		return VGM_E_CRYPTO;
	size_t plain = stored.len - VGM_SEAL_TAG_BYTES;
	begin_chunk(c, last);
	VGM_BUG_ON(EVP_CIPHER_CTX_ctrl(c->context, EVP_CTRL_AEAD_SET_TAG, VGM_SEAL_TAG_BYTES,
		       (void *)(uintptr_t)(stored.data + plain)) != 1);
	if (plain && EVP_CipherUpdate(c->context, out, &n, stored.data, (int)plain) != 1)
		return VGM_E_CRYPTO;
	if (EVP_CipherFinal_ex(c->context, out + n, &n) == 1)
		return 0;
	vgm_wipe(out, plain);
	return VGM_E_CRYPTO;
}

void vgm_chunks_end(struct vgm_chunks *c)
{
	EVP_CIPHER_CTX_reset(c->context); /* wipes the key */
}

uint64_t vgm_seal_size(uint64_t plain)
{
	uint64_t chunks = plain / VGM_SEAL_CHUNK_BYTES + (plain % VGM_SEAL_CHUNK_BYTES != 0);
	return plain + (chunks ? chunks : 1) * VGM_SEAL_TAG_BYTES;
}

uint64_t vgm_seal_plain_size(uint64_t stored)
{
	const uint64_t whole = VGM_SEAL_CHUNK_BYTES + VGM_SEAL_TAG_BYTES;
	uint64_t chunks = stored / whole + (stored % whole != 0);
	return stored < chunks * VGM_SEAL_TAG_BYTES ? 0 : stored - chunks * VGM_SEAL_TAG_BYTES;
}

int vgm_seal(
    const struct vgm_seal_name *name, struct vgm_slice in, struct vgm_buf *out, struct vgm_err *err)
{
	struct vgm_chunks chunks;
	uint8_t *to;
	if (vgm_buf_extend(out, (size_t)vgm_seal_size(in.len), &to) < 0)
		return vgm_err_set(
		    err, VGM_E_LIMIT, "no room for a sealed part of %zu bytes", in.len);
	vgm_chunks_begin(&chunks, name, true);
	do {
		struct vgm_slice piece = vgm_slice_sub(in, 0, VGM_SEAL_CHUNK_BYTES);
		in = vgm_slice_from(in, piece.len);
		vgm_chunks_seal(&chunks, piece, in.len == 0, to);
		to += piece.len + VGM_SEAL_TAG_BYTES;
	} while (in.len);
	vgm_chunks_end(&chunks);
	return 0;
}

int vgm_unseal(
    const struct vgm_seal_name *name, struct vgm_slice in, struct vgm_buf *out, struct vgm_err *err)
{
	struct vgm_chunks chunks;
	uint8_t *to;
	size_t before = out->len;
	if (vgm_buf_extend(out, (size_t)vgm_seal_plain_size(in.len), &to) < 0)
		return vgm_err_set(err, VGM_E_LIMIT, "no room for a part of %zu bytes", in.len);
	vgm_chunks_begin(&chunks, name, false);
	int result;
	do {
		struct vgm_slice piece =
		    vgm_slice_sub(in, 0, VGM_SEAL_CHUNK_BYTES + VGM_SEAL_TAG_BYTES);
		in = vgm_slice_from(in, piece.len);
		result = vgm_chunks_open(&chunks, piece, in.len == 0, to);
		to += VGM_SEAL_CHUNK_BYTES;
	} while (result == 0 && in.len);
	vgm_chunks_end(&chunks);
	if (result == 0)
		return 0;
	if (out->len > before)
		vgm_wipe(out->data + before, out->len - before);
	vgm_buf_truncate(out, before);
	return vgm_err_set(err, VGM_E_CRYPTO, "a sealed part does not open");
}

int vgm_seal_read(int fd, uint64_t offset, uint8_t *out, size_t len, struct vgm_err *err)
{
	while (len) {
		ssize_t n = pread(fd, out, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return vgm_err_sys(
			    err, "reading at offset %llu of a segment", (unsigned long long)offset);
		if (n == 0)
			return vgm_err_set(err, VGM_E_CORRUPT, "the segment ends within a part");
		out += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int vgm_unseal_part(const struct vgm_seal_name *name, const struct vgm_record *record,
    int segment_fd, uint64_t offset, struct vgm_buf *out, struct vgm_err *err)
{
	uint64_t stored = record->part[name->part].stored;
	uint8_t *bytes;
	if (stored == 0)
		return vgm_err_set(err, VGM_E_NOTFOUND, "the record has no part %d", name->part);
	if (stored > VGM_SEAL_PART_MAX)
		return vgm_err_set(
		    err, VGM_E_LIMIT, "part %d is too large to open at once", name->part);
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf sealed = VGM_BUF_INIT(VGM_SEAL_PART_MAX);
	int result = vgm_buf_extend(&sealed, (size_t)stored, &bytes);
	if (result < 0)
		return vgm_err_set(err, result, "part %d does not fit", name->part);
	result = vgm_seal_read(segment_fd, offset + vgm_record_part_offset(record, name->part),
	    bytes, (size_t)stored, err);
	return result < 0 ? result : vgm_unseal(name, vgm_buf_slice(&sealed), out, err);
}
