/* SPDX-License-Identifier: EUPL-1.2
 * ledger/checkpoint.c — see checkpoint.h. */
#include "ledger/checkpoint.h"

#include <sodium.h>
#include <stdio.h>

#include "base/secret.h"
#include "base/text.h"
#include "ledger/hash.h"

#define ORIGIN_MAX 200
#define DASH "\xe2\x80\x94 " /* em dash and space start a signature line */
#define ED25519 1	     /* signature type of C2SP signed-note */
#define SIGNATURE_BYTES (4 + crypto_sign_BYTES)

/* One line without its newline; false when there is no complete one. */
static bool next_line(struct vgm_slice *in, struct vgm_slice *out)
{
	size_t end = vgm_slice_find(*in, '\n');
	if (end == in->len)
		return false;
	*out = vgm_slice_sub(*in, 0, end);
	*in = vgm_slice_from(*in, end + 1);
	return true;
}

static bool printable(struct vgm_slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] < 0x20 || s.data[i] == 0x7f)
			return false;
	return vgm_utf8_valid(s);
}

static bool good_origin(struct vgm_slice s)
{
	return s.len > 0 && s.len <= ORIGIN_MAX && printable(s);
}

int vgm_checkpoint_format(const struct vgm_checkpoint *c, struct vgm_buf *out, struct vgm_err *err)
{
	size_t before = out->len;
	if (!good_origin(c->origin))
		return vgm_err_set(err, VGM_E_INVALID, "an origin that no checkpoint can have");
	int r = vgm_buf_add_slice(out, c->origin);
	if (r == 0)
		r = vgm_buf_addf(out, "\n%llu\n", (unsigned long long)c->size);
	if (r == 0)
		r = vgm_base64_encode(vgm_slice(c->root, 32), out);
	if (r == 0)
		r = vgm_buf_add_byte(out, '\n');
	if (r < 0) {
		vgm_buf_truncate(out, before);
		return vgm_err_set(err, r, "no room for a checkpoint");
	}
	return 0;
}

/* Exactly len bytes of base64. */
static bool decode(struct vgm_slice text, uint8_t *out, size_t len)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf bytes = VGM_BUF_INIT(256);
	if (text.len > 256 || vgm_base64_decode(text, &bytes) < 0 || bytes.len != len)
		return false;
	memcpy(out, bytes.data, len);
	return true;
}

int vgm_checkpoint_parse(struct vgm_slice text, struct vgm_checkpoint *out, struct vgm_err *err)
{
	struct vgm_checkpoint c;
	struct vgm_slice size, root, extension;
	bool ok = next_line(&text, &c.origin) && good_origin(c.origin) && next_line(&text, &size) &&
		  vgm_slice_to_u64(size, UINT64_MAX, &c.size) &&
		  (size.len == 1 || size.data[0] != '0') && next_line(&text, &root) &&
		  decode(root, c.root, 32);
	while (ok && text.len)
		ok = next_line(&text, &extension) && extension.len > 0 && printable(extension);
	if (!ok)
		return vgm_err_set(err, VGM_E_INVALID, "not a checkpoint");
	*out = c;
	return 0;
}

/* ---- notes ---- */

int vgm_note_split(struct vgm_slice in, struct vgm_note *out, size_t *used, struct vgm_err *err)
{
	struct vgm_slice rest = in, line;
	size_t text = 0, end;
	/* The text, up to the empty line. */
	while (next_line(&rest, &line) && line.len)
		text = in.len - rest.len;
	if (text == 0 || in.len - rest.len != text + 1)
		return vgm_err_set(err, VGM_E_INVALID, "a note without signatures");
	end = text + 1;
	while (vgm_slice_starts_nocase(rest, VGM_SLICE_LIT(DASH)) && next_line(&rest, &line))
		end = in.len - rest.len;
	if (end == text + 1)
		return vgm_err_set(err, VGM_E_INVALID, "a note without signatures");
	if (end < in.len && in.data[end] != '\n')
		return vgm_err_set(err, VGM_E_INVALID, "a note that does not end");
	*out = (struct vgm_note){vgm_slice_sub(in, 0, text), vgm_slice_sub(in, text + 1, end)};
	*used = end + (end < in.len);
	return 0;
}

int vgm_verifier_of(struct vgm_slice name, const uint8_t public_key[32], struct vgm_verifier *out,
    struct vgm_err *err)
{
	struct vgm_verifier v = {0};
	uint8_t hash[32];
	static const uint8_t type[2] = {'\n', ED25519};
	const struct vgm_slice pieces[] = {
	    name, vgm_slice(type, sizeof type), vgm_slice(public_key, 32)};
	if (name.len == 0 || name.len >= sizeof v.name || !printable(name) ||
	    vgm_slice_find(name, ' ') < name.len || vgm_slice_find(name, '+') < name.len)
		return vgm_err_set(err, VGM_E_INVALID, "a name that no signer can have");
	vgm_hash_join(pieces, VGM_ARRAY_LEN(pieces), hash);
	memcpy(v.name, name.data, name.len);
	memcpy(v.id, hash, sizeof v.id);
	memcpy(v.key, public_key, sizeof v.key);
	*out = v;
	return 0;
}

int vgm_verifier_format(const struct vgm_verifier *v, struct vgm_buf *out)
{
	uint8_t key[33] = {ED25519};
	memcpy(key + 1, v->key, 32);
	int r = vgm_buf_addf(
	    out, "%s+%02x%02x%02x%02x+", v->name, v->id[0], v->id[1], v->id[2], v->id[3]);
	return r < 0 ? r : vgm_base64_encode(vgm_slice(key, sizeof key), out);
}

int vgm_verifier_parse(struct vgm_slice line, struct vgm_verifier *out, struct vgm_err *err)
{
	size_t plus = vgm_slice_find(line, '+');
	struct vgm_slice name = vgm_slice_sub(line, 0, plus);
	struct vgm_slice id = vgm_slice_sub(line, plus + 1, plus + 9);
	struct vgm_slice key = vgm_slice_from(line, plus + 10);
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf again = VGM_BUF_INIT(512);
	struct vgm_verifier v;
	uint8_t claimed[4], bytes[33];
	bool ok = line.len > plus + 10 && line.data[plus + 9] == '+' &&
		  vgm_hex_decode(id, claimed, sizeof claimed) == 0 &&
		  decode(key, bytes, sizeof bytes) && bytes[0] == ED25519 &&
		  vgm_verifier_of(name, bytes + 1, &v, err) == 0 &&
		  memcmp(claimed, v.id, sizeof claimed) == 0;
	/* One text for one key: no capitals in the id. */
	ok =
	    ok && vgm_verifier_format(&v, &again) == 0 && vgm_slice_eq(line, vgm_buf_slice(&again));
	if (!ok)
		return vgm_err_set(err, VGM_E_INVALID, "not the public key of a signer");
	*out = v;
	return 0;
}

int vgm_note_sign(struct vgm_slice text, struct vgm_slice name, const uint8_t seed[32],
    struct vgm_buf *out, struct vgm_err *err)
{
	uint8_t public_key[crypto_sign_PUBLICKEYBYTES], secret[crypto_sign_SECRETKEYBYTES];
	uint8_t signature[SIGNATURE_BYTES];
	struct vgm_verifier v;
	size_t before = out->len;
	crypto_sign_seed_keypair(public_key, secret, seed);
	int r = vgm_verifier_of(name, public_key, &v, err);
	if (r == 0) {
		memcpy(signature, v.id, 4);
		crypto_sign_detached(signature + 4, NULL, text.data, text.len, secret);
	}
	vgm_wipe(secret, sizeof secret);
	if (r < 0)
		return r;
	r = vgm_buf_add_slice(out, text);
	if (r == 0)
		r = vgm_buf_addf(out, "\n" DASH "%s ", v.name);
	if (r == 0)
		r = vgm_base64_encode(vgm_slice(signature, sizeof signature), out);
	if (r == 0)
		r = vgm_buf_add_byte(out, '\n');
	if (r < 0) {
		vgm_buf_truncate(out, before);
		return vgm_err_set(err, r, "no room for a signature");
	}
	return 0;
}

/* 1: a known verifier's good signature; 0: somebody else's. */
static int check_line(const struct vgm_note *note, struct vgm_slice line,
    const struct vgm_verifier *known, size_t known_count, struct vgm_err *err)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf bytes = VGM_BUF_INIT(8192);
	line = vgm_slice_from(line, sizeof DASH - 1);
	size_t space = vgm_slice_find(line, ' ');
	struct vgm_slice name = vgm_slice_sub(line, 0, space);
	if (name.len == 0 || vgm_base64_decode(vgm_slice_from(line, space + 1), &bytes) < 0 ||
	    bytes.len < 5)
		return vgm_err_set(err, VGM_E_INVALID, "a malformed signature line");
	for (size_t i = 0; i < known_count; i++) {
		const struct vgm_verifier *v = &known[i];
		if (!vgm_slice_eq(name, vgm_slice_str(v->name)) ||
		    memcmp(bytes.data, v->id, 4) != 0)
			continue;
		if (bytes.len == SIGNATURE_BYTES &&
		    crypto_sign_verify_detached(
			bytes.data + 4, note->text.data, note->text.len, v->key) == 0)
			return 1;
		return vgm_err_set(err, VGM_E_CRYPTO, "the signature of %s is wrong", v->name);
	}
	return 0;
}

int vgm_note_verify(const struct vgm_note *note, const struct vgm_verifier *known,
    size_t known_count, struct vgm_err *err)
{
	struct vgm_slice rest = note->signatures, line;
	bool any = false;
	while (next_line(&rest, &line)) {
		int r = check_line(note, line, known, known_count, err);
		if (r < 0)
			return r;
		any |= r > 0;
	}
	return any ? 0 : vgm_err_set(err, VGM_E_NOTFOUND, "signed by nobody known");
}
