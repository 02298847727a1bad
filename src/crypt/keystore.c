/* SPDX-License-Identifier: EUPL-1.2
 * crypt/keystore.c — see keystore.h. Files, integers big endian:
 *
 *   sealed   "VGMSEAL\n" | u32 version 1 | u32 kind | u32 number | nonce 24 |
 *            XChaCha20-Poly1305(root key; all before the nonce authenticated)
 *   root.key "VGMROOT\n" | u32 version 1 | u32 1 | key 32 | SHA-256 of all before
 *         or "VGMROOT\n" | u32 version 1 | u32 2 | u32 passes | u32 KiB | salt 16 |
 *            nonce 24 | XChaCha20-Poly1305(Argon2id key; all before the nonce) */
#include "crypt/keystore.h"

#include "base/buf.h"
#include "os/file.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERSION 1u
#define KEY_BYTES 32u
#define NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_BYTES crypto_aead_xchacha20poly1305_ietf_ABYTES
#define HEAD_BYTES 20u /* of a sealed file, before the nonce */
#define FILE_MAX (HEAD_BYTES + NONCE_BYTES + VGM_KEYSTORE_SECRET_MAX + TAG_BYTES)
#define SALT_BYTES crypto_pwhash_argon2id_SALTBYTES
#define ROOT_FILE_BYTES (16u + KEY_BYTES + 32u)
#define ROOT_PHRASE_HEAD (24u + SALT_BYTES)
#define ROOT_PHRASE_BYTES (ROOT_PHRASE_HEAD + NONCE_BYTES + KEY_BYTES + TAG_BYTES)
#define PASSES 3u
#define PASSES_MAX 100u
#define PHRASE_KIB 65536u
#define PHRASE_KIB_MAX (1u << 20)

enum { ROOT_IN_FILE = 1, ROOT_UNDER_PHRASE = 2 };

struct vgm_keystore {
	int dir_fd;
	int lock_fd;
	struct vgm_secret root;
};

static const uint8_t sealed_magic[8] = "VGMSEAL\n", root_magic[8] = "VGMROOT\n";

static void put_u32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Magic and version, which come first in both kinds of files. */
static int check_start(
    struct vgm_slice file, const uint8_t magic[8], const char *what, struct vgm_err *err)
{
	if (file.len < 16 || memcmp(file.data, magic, 8) != 0)
		return vgm_err_set(err, VGM_E_CORRUPT, "%s is not what its name says", what);
	if (get_u32(file.data + 8) != VERSION)
		return vgm_err_set(err, VGM_E_VERSION, "%s was written by a newer version", what);
	return 0;
}

/* ---- sealed files ---- */

static void file_name(enum vgm_keystore_kind kind, uint32_t number, char out[40])
{
	static const char *const names[] = {
	    [VGM_KEYSTORE_DAY] = "day",
	    [VGM_KEYSTORE_VIEW] = "view",
	    [VGM_KEYSTORE_CHECKPOINT] = "checkpoint",
	    [VGM_KEYSTORE_TLS] = "tls",
	    [VGM_KEYSTORE_CLOSING] = "closing",
	};
	if (kind == VGM_KEYSTORE_DAY)
		snprintf(out, 40, "%s-%u.key", names[kind], number);
	else
		snprintf(out, 40, "%s.key", names[kind]);
}

static void head_of(enum vgm_keystore_kind kind, uint32_t number, uint8_t out[HEAD_BYTES])
{
	memcpy(out, sealed_magic, 8);
	put_u32(out + 8, VERSION);
	put_u32(out + 12, (uint32_t)kind);
	put_u32(out + 16, number);
}

int vgm_keystore_unseal(const uint8_t root[32], enum vgm_keystore_kind kind, uint32_t number,
    struct vgm_slice file, struct vgm_secret *out, struct vgm_err *err)
{
	uint8_t head[HEAD_BYTES];
	char name[40];
	file_name(kind, number, name);
	head_of(kind, number, head);
	int r = check_start(file, sealed_magic, name, err);
	if (r < 0)
		return r;
	size_t least = HEAD_BYTES + NONCE_BYTES + TAG_BYTES;
	if (file.len <= least || file.len > FILE_MAX || memcmp(file.data, head, HEAD_BYTES) != 0)
		return vgm_err_set(err, VGM_E_CORRUPT, "%s is not what its name says", name);
	struct vgm_secret opened;
	vgm_secret_init(&opened, file.len - least);
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(opened.data, NULL, NULL,
	        file.data + HEAD_BYTES + NONCE_BYTES, file.len - HEAD_BYTES - NONCE_BYTES,
	        file.data, HEAD_BYTES, file.data + HEAD_BYTES, root) != 0) {
		vgm_secret_release(&opened);
		return vgm_err_set(err, VGM_E_CORRUPT,
		    "%s does not open: it was changed, or the root key is another", name);
	}
	*out = opened;
	return 0;
}

int vgm_keystore_read(struct vgm_keystore *store, enum vgm_keystore_kind kind, uint32_t number,
    struct vgm_secret *out, struct vgm_err *err)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf file = VGM_BUF_INIT(FILE_MAX);
	char name[40];
	file_name(kind, number, name);
	int r = vgm_file_read_at(store->dir_fd, name, &file, err);
	if (r == VGM_E_LIMIT)
		return vgm_err_set(err, VGM_E_CORRUPT, "%s is not what its name says", name);
	return r < 0 ? r :
	               vgm_keystore_unseal(
	                   store->root.data, kind, number, vgm_buf_slice(&file), out, err);
}

/* Best effort: copies in a journal, a snapshot or a flash chip's spare blocks
 * are out of reach from here. */
static void overwrite(int fd)
{
	uint8_t zeros[512] = {0};
	struct stat st;
	if (fstat(fd, &st) < 0)
		return;
	for (off_t at = 0; at < st.st_size; at += (off_t)sizeof zeros) {
		size_t n = vgm_min_size(sizeof zeros, (size_t)(st.st_size - at));
		if (pwrite(fd, zeros, n, at) < 0)
			return;
	}
	(void)fdatasync(fd);
}

/* Held open over the replacement, so that the old bytes can be reached after it:
 * the other order could lose the old file and the new one together. */
static int replace_and_overwrite(
    struct vgm_keystore *store, const char *name, struct vgm_slice file, struct vgm_err *err)
{
	int old = openat(store->dir_fd, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	int r = vgm_file_replace_at(store->dir_fd, name, file, 0600, err);
	if (old < 0)
		return r;
	if (r == 0)
		overwrite(old);
	close(old);
	return r;
}

static int seal_and_write(struct vgm_keystore *store, enum vgm_keystore_kind kind,
    uint32_t number, struct vgm_slice secret, bool destroy_old, struct vgm_err *err)
{
	char name[40];
	if (secret.len == 0 || secret.len > VGM_KEYSTORE_SECRET_MAX)
		return vgm_err_set(err, VGM_E_LIMIT, "a secret of %zu bytes", secret.len);
	size_t len = HEAD_BYTES + NONCE_BYTES + secret.len + TAG_BYTES;
	uint8_t *file = vgm_alloc(len), *nonce = file + HEAD_BYTES;
	head_of(kind, number, file);
	vgm_random(nonce, NONCE_BYTES);
	crypto_aead_xchacha20poly1305_ietf_encrypt(nonce + NONCE_BYTES, NULL, secret.data,
	    secret.len, file, HEAD_BYTES, NULL, nonce, store->root.data);
	file_name(kind, number, name);
	int r = destroy_old ?
	    replace_and_overwrite(store, name, vgm_slice(file, len), err) :
	    vgm_file_replace_at(store->dir_fd, name, vgm_slice(file, len), 0600, err);
	vgm_free(file);
	return r;
}

int vgm_keystore_write(struct vgm_keystore *store, enum vgm_keystore_kind kind, uint32_t number,
    struct vgm_slice secret, struct vgm_err *err)
{
	return seal_and_write(store, kind, number, secret, false, err);
}

int vgm_keystore_destroy(struct vgm_keystore *store, enum vgm_keystore_kind kind, uint32_t number,
    struct vgm_slice replacement, struct vgm_err *err)
{
	return seal_and_write(store, kind, number, replacement, true, err);
}

int vgm_keystore_key(struct vgm_keystore *store, enum vgm_keystore_kind kind,
    struct vgm_secret *out, struct vgm_err *err)
{
	int r = vgm_keystore_read(store, kind, 0, out, err);
	if (r == 0 && out->len != KEY_BYTES) {
		vgm_secret_release(out);
		return vgm_err_set(err, VGM_E_CORRUPT, "a key of the wrong length");
	}
	if (r != VGM_E_NOTFOUND)
		return r;
	struct vgm_secret made;
	vgm_secret_init(&made, KEY_BYTES);
	vgm_random(made.data, made.len);
	r = vgm_keystore_write(store, kind, 0, vgm_slice(made.data, made.len), err);
	if (r == 0)
		*out = made;
	else
		vgm_secret_release(&made);
	return r;
}

int vgm_keystore_dir(const struct vgm_keystore *store)
{
	return store->dir_fd;
}

/* ---- the root key ---- */

static int open_root_file(struct vgm_keystore *store, struct vgm_slice file, struct vgm_err *err)
{
	uint8_t sum[32];
	if (file.len != ROOT_FILE_BYTES)
		return vgm_err_set(err, VGM_E_CORRUPT, "root.key has the wrong length");
	crypto_hash_sha256(sum, file.data, ROOT_FILE_BYTES - sizeof sum);
	if (!vgm_secret_eq(sum, file.data + ROOT_FILE_BYTES - sizeof sum, sizeof sum))
		return vgm_err_set(err, VGM_E_CORRUPT, "root.key was changed");
	memcpy(store->root.data, file.data + 16, KEY_BYTES);
	return 0;
}

/* The key that a passphrase gives, by the costs and the salt of the head. */
static int phrase_key(const uint8_t *head, struct vgm_slice phrase, struct vgm_secret *out,
    struct vgm_err *err)
{
	uint32_t passes = get_u32(head + 16), kib = get_u32(head + 20);
	if (passes == 0 || passes > PASSES_MAX || kib < 8 || kib > PHRASE_KIB_MAX)
		return vgm_err_set(err, VGM_E_CORRUPT, "root.key was changed");
	vgm_secret_init(out, KEY_BYTES);
	if (crypto_pwhash_argon2id(out->data, KEY_BYTES, (const char *)phrase.data, phrase.len,
	        head + 24, passes, (size_t)kib * 1024, crypto_pwhash_argon2id_ALG_ARGON2ID13) == 0)
		return 0;
	vgm_secret_release(out);
	return vgm_err_set(err, VGM_E_LIMIT, "not enough memory for the passphrase's %u KiB", kib);
}

static int open_root_phrase(struct vgm_keystore *store, struct vgm_slice file,
    struct vgm_slice phrase, struct vgm_err *err)
{
	struct vgm_secret key;
	if (file.len != ROOT_PHRASE_BYTES)
		return vgm_err_set(err, VGM_E_CORRUPT, "root.key has the wrong length");
	if (phrase.len == 0)
		return vgm_err_set(err, VGM_E_DENIED, "the key store needs its passphrase");
	int r = phrase_key(file.data, phrase, &key, err);
	if (r < 0)
		return r;
	const uint8_t *nonce = file.data + ROOT_PHRASE_HEAD;
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(store->root.data, NULL, NULL,
	        nonce + NONCE_BYTES, KEY_BYTES + TAG_BYTES, file.data, ROOT_PHRASE_HEAD, nonce,
	        key.data) != 0)
		r = vgm_err_set(err, VGM_E_DENIED, "not the passphrase of this key store");
	vgm_secret_release(&key);
	return r;
}

static void start_root(uint8_t *file, uint32_t form)
{
	memcpy(file, root_magic, 8);
	put_u32(file + 8, VERSION);
	put_u32(file + 12, form);
}

static int write_root_file(struct vgm_keystore *store, struct vgm_err *err)
{
	uint8_t file[ROOT_FILE_BYTES];
	start_root(file, ROOT_IN_FILE);
	memcpy(file + 16, store->root.data, KEY_BYTES);
	crypto_hash_sha256(file + 16 + KEY_BYTES, file, 16 + KEY_BYTES);
	int r = replace_and_overwrite(store, "root.key", vgm_slice(file, sizeof file), err);
	vgm_wipe(file, sizeof file);
	return r;
}

static int write_root_phrase(
    struct vgm_keystore *store, struct vgm_slice phrase, struct vgm_err *err)
{
	uint8_t file[ROOT_PHRASE_BYTES], *nonce = file + ROOT_PHRASE_HEAD;
	struct vgm_secret key;
	start_root(file, ROOT_UNDER_PHRASE);
	put_u32(file + 16, PASSES);
	put_u32(file + 20, PHRASE_KIB);
	vgm_random(file + 24, SALT_BYTES + NONCE_BYTES);
	int r = phrase_key(file, phrase, &key, err);
	if (r < 0)
		return r;
	crypto_aead_xchacha20poly1305_ietf_encrypt(nonce + NONCE_BYTES, NULL, store->root.data,
	    KEY_BYTES, file, ROOT_PHRASE_HEAD, NULL, nonce, key.data);
	vgm_secret_release(&key);
	return replace_and_overwrite(store, "root.key", vgm_slice(file, sizeof file), err);
}

static int write_root(struct vgm_keystore *store, struct vgm_slice phrase, struct vgm_err *err)
{
	return phrase.len ? write_root_phrase(store, phrase, err) : write_root_file(store, err);
}

/* A store whose root key is gone must not get a new one over its sealed files. */
static int make_root(struct vgm_keystore *store, struct vgm_slice phrase, struct vgm_err *err)
{
	static const enum vgm_keystore_kind kinds[] = {
	    VGM_KEYSTORE_VIEW, VGM_KEYSTORE_CHECKPOINT, VGM_KEYSTORE_TLS, VGM_KEYSTORE_CLOSING};
	for (size_t i = 0; i < VGM_ARRAY_LEN(kinds); i++) {
		char name[40];
		file_name(kinds[i], 0, name);
		if (faccessat(store->dir_fd, name, F_OK, 0) == 0)
			return vgm_err_set(err, VGM_E_CORRUPT,
			    "root.key is missing, but %s is there: restore root.key", name);
	}
	vgm_random(store->root.data, KEY_BYTES);
	return write_root(store, phrase, err);
}

static int open_root(struct vgm_keystore *store, struct vgm_slice phrase, struct vgm_err *err)
{
	struct vgm_buf file = VGM_BUF_INIT(1024);
	int r = vgm_file_read_at(store->dir_fd, "root.key", &file, err);
	if (r == VGM_E_NOTFOUND)
		return make_root(store, phrase, err);
	if (r == 0)
		r = check_start(vgm_buf_slice(&file), root_magic, "root.key", err);
	uint32_t form = r == 0 ? get_u32(file.data + 12) : 0;
	if (form == ROOT_IN_FILE) {
		r = open_root_file(store, vgm_buf_slice(&file), err);
		if (r == 0 && phrase.len)
			r = write_root(store, phrase, err);
	} else if (form == ROOT_UNDER_PHRASE)
		r = open_root_phrase(store, vgm_buf_slice(&file), phrase, err);
	else if (r == 0 || r == VGM_E_LIMIT)
		r = vgm_err_set(err, VGM_E_CORRUPT, "root.key was changed");
	vgm_buf_wipe(&file);
	return r;
}

bool vgm_keystore_has_passphrase(int dir_fd)
{
	struct vgm_buf file = VGM_BUF_INIT(1024);
	bool has = vgm_file_read_at(dir_fd, "root.key", &file, NULL) == 0 &&
	    check_start(vgm_buf_slice(&file), root_magic, "root.key", NULL) == 0 &&
	    get_u32(file.data + 12) == ROOT_UNDER_PHRASE;
	vgm_buf_wipe(&file);
	return has;
}

int vgm_keystore_open(int dir_fd, struct vgm_slice passphrase, struct vgm_keystore **out,
    struct vgm_err *err)
{
	int lock_fd;
	VGM_BUG_ON(sodium_init() < 0);
	int r = vgm_file_lock_at(dir_fd, "lock", &lock_fd, err);
	if (r < 0)
		return r;
	struct vgm_keystore *store = vgm_alloc(sizeof *store);
	store->dir_fd = dir_fd;
	store->lock_fd = lock_fd;
	vgm_secret_init(&store->root, KEY_BYTES);
	r = open_root(store, passphrase, err);
	if (r < 0)
		vgm_keystore_close(&store);
	else
		*out = store;
	return r;
}

void vgm_keystore_close(struct vgm_keystore **store)
{
	struct vgm_keystore *s = *store;
	*store = NULL;
	if (!s)
		return;
	vgm_secret_release(&s->root);
	close(s->lock_fd);
	vgm_free(s);
}
