/* SPDX-License-Identifier: EUPL-1.2
 * ledger/checkpoint.h — signed statements "the tree of ORIGIN had SIZE leaves
 * and this ROOT", in the text form of C2SP tlog-checkpoint, inside a C2SP
 * signed-note with Ed25519 signatures, so that auditors' own tools read them.
 *
 *	ORIGIN
 *	SIZE
 *	base64(ROOT)
 *
 *	— NAME base64(key id, signature) */
#ifndef VGM_LEDGER_CHECKPOINT_H
#define VGM_LEDGER_CHECKPOINT_H

#include "base/buf.h"
#include "base/err.h"

struct vgm_checkpoint {
	struct vgm_slice origin; /* 1 to 200 bytes of UTF-8, no control characters */
	uint64_t size;
	uint8_t root[32];
};

/* The text that is signed; VGM_E_INVALID for an origin that cannot be written. */
int vgm_checkpoint_format(
    const struct vgm_checkpoint *, struct vgm_buf *out, struct vgm_err *) VGM_MUST_USE;
/* Of such a text; extension lines are let through. out borrows. VGM_E_INVALID. */
int vgm_checkpoint_parse(
    struct vgm_slice text, struct vgm_checkpoint *out, struct vgm_err *) VGM_MUST_USE;

/* ---- notes ---- */

struct vgm_note {
	struct vgm_slice text;	     /* with its last newline */
	struct vgm_slice signatures; /* lines */
};
/* The first note of several that stand one after the other, each followed by an
 * empty line but the last. *used = its bytes, with that line. VGM_E_INVALID. */
int vgm_note_split(
    struct vgm_slice in, struct vgm_note *out, size_t *used, struct vgm_err *) VGM_MUST_USE;

#define VGM_NOTE_NAME_BYTES 201

struct vgm_verifier {
	char name[VGM_NOTE_NAME_BYTES];
	uint8_t id[4];
	uint8_t key[32];
};
/* "NAME+HEXID+BASE64KEY". VGM_E_INVALID, also when the id is not that of name and key. */
int vgm_verifier_parse(
    struct vgm_slice line, struct vgm_verifier *out, struct vgm_err *) VGM_MUST_USE;
/* VGM_E_INVALID for names with spaces, '+' or control characters. */
int vgm_verifier_of(struct vgm_slice name, const uint8_t public_key[32], struct vgm_verifier *out,
    struct vgm_err *) VGM_MUST_USE;
int vgm_verifier_format(const struct vgm_verifier *, struct vgm_buf *out) VGM_MUST_USE;

/* Appends text, an empty line and one signature line. seed: the Ed25519 private
 * key (RFC 8032). VGM_E_INVALID, VGM_E_LIMIT. */
int vgm_note_sign(struct vgm_slice text, struct vgm_slice name, const uint8_t seed[32],
    struct vgm_buf *out, struct vgm_err *) VGM_MUST_USE;
/* 0: a known verifier signed it, and no known one's signature is wrong.
 * VGM_E_NOTFOUND: signed by none of them. VGM_E_CRYPTO: a signature is wrong.
 * VGM_E_INVALID: a signature line is malformed. */
int vgm_note_verify(const struct vgm_note *, const struct vgm_verifier *known, size_t known_count,
    struct vgm_err *) VGM_MUST_USE;

#endif
