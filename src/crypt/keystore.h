/* SPDX-License-Identifier: EUPL-1.2
 * crypt/keystore.h — small secrets on disk, each in a file of its own, sealed
 * under one root key. The directory belongs to one keyd.
 *
 * Every file starts with magic and version. Contents are sealed with
 * XChaCha20-Poly1305; kind and number (a day, or 0) are authenticated with them,
 * so a file that was renamed does not open. Writing is durable or nothing.
 *
 * What the root key protects against (rule 23): in a file beside the store, a
 * copy of single files and a lost backup of the rest; under a passphrase, also
 * a stolen disk or machine that is off. Neither protects against root on the
 * running machine. */
#ifndef VGM_CRYPT_KEYSTORE_H
#define VGM_CRYPT_KEYSTORE_H

#include "base/err.h"
#include "base/secret.h"
#include "base/slice.h"

#define VGM_KEYSTORE_SECRET_MAX 16384u

/* Order is part of the file format. */
enum vgm_keystore_kind {
	VGM_KEYSTORE_DAY = 1,        /* number: the day; crypt/daykeys.h */
	VGM_KEYSTORE_VIEW = 2,       /* 32 bytes: viewd's pages at rest */
	VGM_KEYSTORE_CHECKPOINT = 3, /* 32 bytes: Ed25519 seed */
	VGM_KEYSTORE_TLS = 4,        /* PKCS #8 key of the certificate that we made */
	VGM_KEYSTORE_CLOSING = 5,    /* when a day was last destroyed; crypt/daykeys.h */
};

struct vgm_keystore;

/* Opens the store, makes the root key the first time, and locks the directory
 * against a second opener. passphrase: VGM_SLICE_NONE = root key in a file. A
 * store with a root file goes over to a passphrase when one is given; not back.
 * dir_fd stays the caller's and open. VGM_E_BUSY, VGM_E_IO, VGM_E_NOSPACE,
 * VGM_E_CORRUPT, VGM_E_VERSION, VGM_E_DENIED (wrong passphrase, or one is needed). */
int vgm_keystore_open(int dir_fd, struct vgm_slice passphrase, struct vgm_keystore **out,
    struct vgm_err *) VGM_MUST_USE;
void vgm_keystore_close(struct vgm_keystore **); /* NULL-safe; wipes the root key */

/* True when the store of the directory stands under a passphrase already. */
bool vgm_keystore_has_passphrase(int dir_fd);

/* *out is set up and then the caller's to release. VGM_E_NOTFOUND; VGM_E_CORRUPT:
 * another file than was written; VGM_E_VERSION; VGM_E_IO. */
int vgm_keystore_read(struct vgm_keystore *, enum vgm_keystore_kind, uint32_t number,
    struct vgm_secret *out, struct vgm_err *) VGM_MUST_USE;
/* Durable when it returns 0. VGM_E_LIMIT over VGM_KEYSTORE_SECRET_MAX, VGM_E_IO,
 * VGM_E_NOSPACE. */
int vgm_keystore_write(struct vgm_keystore *, enum vgm_keystore_kind, uint32_t number,
    struct vgm_slice secret, struct vgm_err *) VGM_MUST_USE;
/* Puts replacement in the secret's place, durably, and then overwrites the bytes
 * where the old one stood, as far as the file system writes in place. */
int vgm_keystore_destroy(struct vgm_keystore *, enum vgm_keystore_kind, uint32_t number,
    struct vgm_slice replacement, struct vgm_err *) VGM_MUST_USE;

/* 32 random bytes that are made and kept the first time. Same errors as read, write. */
int vgm_keystore_key(struct vgm_keystore *, enum vgm_keystore_kind, struct vgm_secret *out,
    struct vgm_err *) VGM_MUST_USE;

/* Public things beside the secrets (certificate, public keys), not sealed. */
int vgm_keystore_dir(const struct vgm_keystore *); /* borrowed descriptor */

/* Opens a sealed file's bytes with a root key: what read does, for tests. */
int vgm_keystore_unseal(const uint8_t root[32], enum vgm_keystore_kind, uint32_t number,
    struct vgm_slice file, struct vgm_secret *out, struct vgm_err *) VGM_MUST_USE;

#endif
