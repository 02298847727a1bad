/* SPDX-License-Identifier: EUPL-1.2
 * crypt/daykeys.c — see daykeys.h. In the store, a day is a secret of 64 bytes
 * (wrap key, routing key), a closed one of a single byte; the secret "closing"
 * is the last wall day on which one was destroyed. Opened days are kept in
 * memory, the least recently used one makes room. */
#include "crypt/daykeys.h"

#include <openssl/evp.h>

#define CACHE_DAYS 64 /* a window and a half at its default */
#define DAY_BYTES 64u
#define CLOSED_BYTES 1u
#define NONCE_BYTES 12u
#define KEY_BYTES 32u
#define TAG_BYTES 16u

struct day {
	uint32_t number;
	uint64_t used;            /* 0: the place is free */
	struct vgm_secret secret; /* DAY_BYTES, or CLOSED_BYTES */
};

struct vgm_daykeys {
	struct vgm_keystore *store;
	EVP_CIPHER_CTX *cipher;
	uint64_t uses;
	struct day days[CACHE_DAYS];
};

struct vgm_daykeys *vgm_daykeys_new(struct vgm_keystore *store)
{
	struct vgm_daykeys *k = vgm_alloc(sizeof *k);
	k->store = store;
	k->cipher = EVP_CIPHER_CTX_new();
	VGM_BUG_ON(!k->cipher);
	return k;
}

static void forget(struct day *day)
{
	vgm_secret_release(&day->secret);
	day->used = 0;
}

void vgm_daykeys_free(struct vgm_daykeys **keys)
{
	struct vgm_daykeys *k = *keys;
	*keys = NULL;
	if (!k)
		return;
	for (size_t i = 0; i < CACHE_DAYS; i++)
		forget(&k->days[i]);
	EVP_CIPHER_CTX_free(k->cipher);
	vgm_free(k);
}

/* ---- days ---- */

/* The day's place, or the one to take for it. */
static struct day *place_of(struct vgm_daykeys *k, uint32_t number)
{
	struct day *oldest = &k->days[0];
	for (size_t i = 0; i < CACHE_DAYS; i++) {
		if (k->days[i].used && k->days[i].number == number)
			return &k->days[i];
		if (k->days[i].used < oldest->used)
			oldest = &k->days[i];
	}
	forget(oldest);
	oldest->number = number;
	return oldest;
}

/* *out is open and has its keys. */
static int open_day(
    struct vgm_daykeys *k, uint32_t number, const struct day **out, struct vgm_err *err)
{
	struct day *day = place_of(k, number);
	if (!day->used) {
		int r = vgm_keystore_read(k->store, VGM_KEYSTORE_DAY, number, &day->secret, err);
		if (r < 0)
			return r;
	}
	day->used = ++k->uses;
	if (day->secret.len == CLOSED_BYTES)
		return vgm_err_set(err, VGM_E_DENIED, "the keys of day %u are destroyed", number);
	if (day->secret.len != DAY_BYTES)
		return vgm_err_set(err, VGM_E_CORRUPT, "day-%u.key has the wrong length", number);
	*out = day;
	return 0;
}

static int make_day(struct vgm_daykeys *k, uint32_t number, struct vgm_err *err)
{
	struct vgm_secret secret;
	vgm_secret_init(&secret, DAY_BYTES);
	vgm_random(secret.data, secret.len);
	int r = vgm_keystore_write(
	    k->store, VGM_KEYSTORE_DAY, number, vgm_slice(secret.data, secret.len), err);
	vgm_secret_release(&secret);
	return r;
}

int vgm_daykeys_prepare(struct vgm_daykeys *k, uint32_t today, struct vgm_err *err)
{
	for (uint32_t number = today; number <= today + 1; number++) {
		const struct day *day;
		int r = open_day(k, number, &day, err);
		if (r == VGM_E_NOTFOUND)
			r = make_day(k, number, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- wraps ---- */

static void associated_data(uint32_t day, uint32_t entity, uint8_t out[8])
{
	for (int i = 0; i < 4; i++) {
		out[i] = (uint8_t)(day >> (24 - 8 * i));
		out[4 + i] = (uint8_t)(entity >> (24 - 8 * i));
	}
}

int vgm_daykeys_wrap(struct vgm_daykeys *k, uint32_t number, uint32_t entity,
    const uint8_t key[32], uint8_t out[VGM_WRAP_BYTES], struct vgm_err *err)
{
	uint8_t aad[8], wrap[VGM_WRAP_BYTES];
	const struct day *day;
	int n, r = open_day(k, number, &day, err);
	if (r < 0)
		return r;
	associated_data(number, entity, aad);
	vgm_random(wrap, NONCE_BYTES);
	if (!EVP_EncryptInit_ex(k->cipher, EVP_aes_256_gcm(), NULL, day->secret.data, wrap) ||
	    !EVP_EncryptUpdate(k->cipher, NULL, &n, aad, sizeof aad) ||
	    !EVP_EncryptUpdate(k->cipher, wrap + NONCE_BYTES, &n, key, KEY_BYTES) ||
	    !EVP_EncryptFinal_ex(k->cipher, wrap + NONCE_BYTES + KEY_BYTES, &n) ||
	    !EVP_CIPHER_CTX_ctrl(k->cipher, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES,
	        wrap + NONCE_BYTES + KEY_BYTES))
		return vgm_err_set(err, VGM_E_CRYPTO, "a key could not be wrapped");
	memcpy(out, wrap, sizeof wrap);
	return 0;
}

int vgm_daykeys_unwrap(struct vgm_daykeys *k, uint32_t number, uint32_t entity,
    const uint8_t wrap[VGM_WRAP_BYTES], uint8_t out[32], struct vgm_err *err)
{
	uint8_t aad[8], tag[TAG_BYTES], key[KEY_BYTES];
	const struct day *day;
	int n, r = open_day(k, number, &day, err);
	if (r < 0)
		return r;
	associated_data(number, entity, aad);
	memcpy(tag, wrap + NONCE_BYTES + KEY_BYTES, sizeof tag);
	if (!EVP_DecryptInit_ex(k->cipher, EVP_aes_256_gcm(), NULL, day->secret.data, wrap) ||
	    !EVP_DecryptUpdate(k->cipher, NULL, &n, aad, sizeof aad) ||
	    !EVP_DecryptUpdate(k->cipher, key, &n, wrap + NONCE_BYTES, KEY_BYTES) ||
	    !EVP_CIPHER_CTX_ctrl(k->cipher, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) ||
	    EVP_DecryptFinal_ex(k->cipher, key + KEY_BYTES, &n) <= 0)
		r = vgm_err_set(
		    err, VGM_E_CRYPTO, "not a wrap of day %u, entity %u", number, entity);
	else
		memcpy(out, key, sizeof key);
	vgm_wipe(key, sizeof key);
	return r;
}

int vgm_daykeys_routing(
    struct vgm_daykeys *k, uint32_t number, uint8_t out[32], struct vgm_err *err)
{
	const struct day *day;
	int r = open_day(k, number, &day, err);
	if (r == 0)
		memcpy(out, day->secret.data + KEY_BYTES, KEY_BYTES);
	return r;
}

/* ---- the end of a day ---- */

static bool agree(uint32_t a, uint32_t b)
{
	return (a > b ? a - b : b - a) <= 1;
}

static int last_closing(struct vgm_daykeys *k, uint32_t *out, struct vgm_err *err)
{
	struct vgm_secret last;
	int r = vgm_keystore_read(k->store, VGM_KEYSTORE_CLOSING, 0, &last, err);
	*out = 0;
	if (r == VGM_E_NOTFOUND)
		return 0;
	if (r < 0)
		return r;
	for (size_t i = 0; i < last.len && i < 4; i++)
		*out = *out << 8 | last.data[i];
	vgm_secret_release(&last);
	return 0;
}

static int may_destroy(struct vgm_daykeys *k, uint32_t day, uint32_t window_days,
    const struct vgm_daykeys_clocks *clocks, struct vgm_err *err)
{
	uint32_t last;
	if (!agree(clocks->wall, clocks->ledger) || !agree(clocks->wall, clocks->stamp) ||
	    !agree(clocks->ledger, clocks->stamp))
		return vgm_err_set(err, VGM_E_DENIED,
		    "the clocks do not agree: wall %u, ledger %u, last stamp %u", clocks->wall,
		    clocks->ledger, clocks->stamp);
	if (day >= clocks->wall || clocks->wall - day <= window_days)
		return vgm_err_set(err, VGM_E_DENIED, "day %u is inside the window", day);
	int r = last_closing(k, &last, err);
	if (r == 0 && last >= clocks->wall)
		r = vgm_err_set(err, VGM_E_DENIED, "one day was destroyed today already");
	return r;
}

static int note_closing(struct vgm_daykeys *k, uint32_t wall, struct vgm_err *err)
{
	uint8_t be[4] = {(uint8_t)(wall >> 24), (uint8_t)(wall >> 16), (uint8_t)(wall >> 8),
	    (uint8_t)wall};
	return vgm_keystore_write(
	    k->store, VGM_KEYSTORE_CLOSING, 0, vgm_slice(be, sizeof be), err);
}

int vgm_daykeys_destroy(struct vgm_daykeys *k, uint32_t number, uint32_t window_days,
    const struct vgm_daykeys_clocks *clocks, struct vgm_err *err)
{
	static const uint8_t closed[CLOSED_BYTES] = {1};
	const struct day *day;
	int r = open_day(k, number, &day, err);
	if (r == VGM_E_DENIED)
		return vgm_err_set(err, VGM_E_NOTFOUND, "day %u is closed already", number);
	if (r == 0)
		r = may_destroy(k, number, window_days, clocks, err);
	/* Counted before it is done: a crash in between costs a day, not a key. */
	if (r == 0)
		r = note_closing(k, clocks->wall, err);
	if (r == 0)
		r = vgm_keystore_destroy(
		    k->store, VGM_KEYSTORE_DAY, number, vgm_slice(closed, sizeof closed), err);
	if (r == 0)
		forget(place_of(k, number));
	return r;
}
