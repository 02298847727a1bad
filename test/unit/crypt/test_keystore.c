/* SPDX-License-Identifier: EUPL-1.2
 * crypt/keystore.c: what is written comes back after a restart, what was changed
 * in any byte does not open, a failed write leaves the old secret. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "store_fixture.h"

#include "base/buf.h"
#include "os/file.h"

#include <signal.h>
#include <sys/resource.h>

static void assert_secret(struct store *s, enum vgm_keystore_kind kind, uint32_t number,
    const char *expected)
{
	struct vgm_secret got;
	struct vgm_err err;
	assert_int_equal(vgm_keystore_read(s->keys, kind, number, &got, &err), 0);
	assert_int_equal(got.len, strlen(expected));
	assert_memory_equal(got.data, expected, got.len);
	vgm_secret_release(&got);
}

static void test_written_comes_back(void **state)
{
	static const struct {
		enum vgm_keystore_kind kind;
		uint32_t number;
		const char *secret;
	} cases[] = {
	    {VGM_KEYSTORE_DAY, 20780, "the day's"},
	    {VGM_KEYSTORE_DAY, 20781, "the next day's"},
	    {VGM_KEYSTORE_DAY, UINT32_MAX, "x"},
	    {VGM_KEYSTORE_VIEW, 0, "the view's"},
	    {VGM_KEYSTORE_TLS, 0, "tls"},
	    {VGM_KEYSTORE_DAY, 20780, "the day's, written again"},
	};
	struct store *s = *state;
	struct vgm_secret none = {NULL, 77};
	assert_int_equal(vgm_keystore_read(s->keys, VGM_KEYSTORE_VIEW, 0, &none, NULL), VGM_E_NOTFOUND);
	assert_int_equal(none.len, 77);
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		assert_int_equal(vgm_keystore_write(s->keys, cases[i].kind, cases[i].number,
		                     vgm_slice_str(cases[i].secret), NULL),
		    0);
		assert_secret(s, cases[i].kind, cases[i].number, cases[i].secret);
	}
	assert_int_equal(store_again(s, NULL, NULL), 0);
	for (size_t i = 1; i < VGM_ARRAY_LEN(cases); i++)
		assert_secret(s, cases[i].kind, cases[i].number, cases[i].secret);
	struct stat st;
	assert_int_equal(fstatat(s->dir, "root.key", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(fstatat(s->dir, "day-20780.key", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_sizes(void **state)
{
	static const struct {
		size_t len;
		int expected;
	} cases[] = {{0, VGM_E_LIMIT}, {1, 0}, {VGM_KEYSTORE_SECRET_MAX, 0},
	    {VGM_KEYSTORE_SECRET_MAX + 1, VGM_E_LIMIT}};
	struct store *s = *state;
	uint8_t *big = vgm_alloc(VGM_KEYSTORE_SECRET_MAX + 1);
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_secret got;
		assert_int_equal(vgm_keystore_write(s->keys, VGM_KEYSTORE_TLS, 0,
		                     vgm_slice(big, cases[i].len), NULL),
		    cases[i].expected);
		if (cases[i].expected < 0)
			continue;
		assert_int_equal(vgm_keystore_read(s->keys, VGM_KEYSTORE_TLS, 0, &got, NULL), 0);
		assert_int_equal(got.len, cases[i].len);
		vgm_secret_release(&got);
	}
	vgm_free(big);
}

static void read_file(struct store *s, const char *name, struct vgm_buf *out)
{
	assert_int_equal(vgm_file_read_at(s->dir, name, out, NULL), 0);
}

static void put_file(struct store *s, const char *name, struct vgm_slice bytes)
{
	assert_int_equal(vgm_file_replace_at(s->dir, name, bytes, 0600, NULL), 0);
}

static void test_secret_is_not_in_the_file(void **state)
{
	struct store *s = *state;
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf file = VGM_BUF_INIT(1 << 16);
	assert_int_equal(vgm_keystore_write(
	                     s->keys, VGM_KEYSTORE_VIEW, 0, VGM_SLICE_LIT("0123456789"), NULL),
	    0);
	read_file(s, "view.key", &file);
	assert_null(memmem(file.data, file.len, "0123", 4));
	assert_memory_equal(file.data, "VGMSEAL\n\0\0\0\1", 12);
}

/* Every byte flipped, every length cut, bytes added: never a wrong secret. */
static void test_tampered_anywhere(void **state)
{
	struct store *s = *state;
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf file = VGM_BUF_INIT(1 << 16);
	struct vgm_secret got;
	assert_int_equal(vgm_keystore_write(
	                     s->keys, VGM_KEYSTORE_DAY, 7, VGM_SLICE_LIT("sixteen bytes..."), NULL),
	    0);
	read_file(s, "day-7.key", &file);
	for (size_t i = 0; i < file.len; i++)
		for (int bit = 0; bit < 8; bit++) {
			file.data[i] ^= (uint8_t)(1u << bit);
			put_file(s, "day-7.key", vgm_buf_slice(&file));
			int r = vgm_keystore_read(s->keys, VGM_KEYSTORE_DAY, 7, &got, NULL);
			assert_int_equal(r, i >= 8 && i < 12 ? VGM_E_VERSION : VGM_E_CORRUPT);
			file.data[i] ^= (uint8_t)(1u << bit);
		}
	for (size_t len = 0; len < file.len; len++) {
		put_file(s, "day-7.key", vgm_slice(file.data, len));
		assert_int_equal(
		    vgm_keystore_read(s->keys, VGM_KEYSTORE_DAY, 7, &got, NULL), VGM_E_CORRUPT);
	}
	assert_int_equal(vgm_buf_add_byte(&file, 0), 0);
	put_file(s, "day-7.key", vgm_buf_slice(&file));
	assert_int_equal(
	    vgm_keystore_read(s->keys, VGM_KEYSTORE_DAY, 7, &got, NULL), VGM_E_CORRUPT);
	vgm_buf_truncate(&file, file.len - 1);
	put_file(s, "day-7.key", vgm_buf_slice(&file));
	assert_secret(s, VGM_KEYSTORE_DAY, 7, "sixteen bytes...");
	/* Under another day's name, or as another kind, it does not open either. */
	put_file(s, "day-8.key", vgm_buf_slice(&file));
	put_file(s, "view.key", vgm_buf_slice(&file));
	assert_int_equal(
	    vgm_keystore_read(s->keys, VGM_KEYSTORE_DAY, 8, &got, NULL), VGM_E_CORRUPT);
	assert_int_equal(
	    vgm_keystore_read(s->keys, VGM_KEYSTORE_VIEW, 0, &got, NULL), VGM_E_CORRUPT);
}

static void test_root_key_tampered_anywhere(void **state)
{
	static const char *const phrases[] = {NULL, "correct horse"};
	struct store *s = *state;
	for (size_t p = 0; p < VGM_ARRAY_LEN(phrases); p++) {
		VGM_CLEANUP(vgm_buf_release) struct vgm_buf file = VGM_BUF_INIT(1024);
		assert_int_equal(store_again(s, phrases[p], NULL), 0);
		read_file(s, "root.key", &file);
		/* Each try under a passphrase costs 64 MiB: one bit of some bytes. */
		for (size_t i = 0; i < file.len; i += p ? 9 : 1) {
			file.data[i] ^= 4;
			put_file(s, "root.key", vgm_buf_slice(&file));
			int r = store_again(s, phrases[p], NULL);
			assert_true(r == VGM_E_CORRUPT || r == VGM_E_VERSION || r == VGM_E_DENIED);
			file.data[i] ^= 4;
		}
		for (size_t len = 0; len < file.len; len += p ? 20 : 1) {
			put_file(s, "root.key", vgm_slice(file.data, len));
			assert_int_equal(store_again(s, phrases[p], NULL), VGM_E_CORRUPT);
		}
		put_file(s, "root.key", vgm_buf_slice(&file));
		assert_int_equal(store_again(s, phrases[p], NULL), 0);
	}
}

/* From a file to a passphrase and no way back; the secrets stay. */
static void test_passphrase(void **state)
{
	struct store *s = *state;
	struct vgm_err err;
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf before = VGM_BUF_INIT(1024);
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf after = VGM_BUF_INIT(1024);
	assert_int_equal(
	    vgm_keystore_write(s->keys, VGM_KEYSTORE_VIEW, 0, VGM_SLICE_LIT("kept"), NULL), 0);
	read_file(s, "root.key", &before);
	/* What stood in the old file is overwritten, not only unlinked. */
	int old = openat(s->dir, "root.key", O_RDONLY);
	assert_int_equal(store_again(s, "Zoé & café", NULL), 0);
	uint8_t left[200];
	ssize_t n = pread(old, left, sizeof left, 0);
	assert_int_equal(n, (ssize_t)before.len);
	for (ssize_t i = 0; i < n; i++)
		assert_int_equal(left[i], 0);
	close(old);
	assert_secret(s, VGM_KEYSTORE_VIEW, 0, "kept");
	read_file(s, "root.key", &after);
	assert_null(memmem(after.data, after.len, before.data + 16, 8));
	assert_int_equal(store_again(s, NULL, &err), VGM_E_DENIED);
	assert_string_equal(err.text, "the key store needs its passphrase");
	assert_int_equal(store_again(s, "Zoe & cafe", &err), VGM_E_DENIED);
	assert_string_equal(err.text, "not the passphrase of this key store");
	assert_int_equal(store_again(s, "Zoé & café", NULL), 0);
	assert_secret(s, VGM_KEYSTORE_VIEW, 0, "kept");
}

/* A lost root key is an alarm, not an empty store. */
static void test_lost_root_key(void **state)
{
	struct store *s = *state;
	struct vgm_err err;
	assert_int_equal(unlinkat(s->dir, "root.key", 0), 0);
	assert_int_equal(store_again(s, NULL, NULL), 0); /* nothing was kept yet */
	assert_int_equal(
	    vgm_keystore_write(s->keys, VGM_KEYSTORE_VIEW, 0, VGM_SLICE_LIT("kept"), NULL), 0);
	assert_int_equal(unlinkat(s->dir, "root.key", 0), 0);
	assert_int_equal(store_again(s, NULL, &err), VGM_E_CORRUPT);
	assert_non_null(strstr(err.text, "view.key is there"));
}

static void test_one_opener(void **state)
{
	struct store *s = *state;
	struct vgm_keystore *other = NULL;
	assert_int_equal(vgm_keystore_open(s->dir, VGM_SLICE_NONE, &other, NULL), VGM_E_BUSY);
	assert_null(other);
	assert_int_equal(store_again(s, NULL, NULL), 0);
}

/* A full disk in the middle: the old secret stands, no half file is left. */
static void test_failed_write_keeps_the_old(void **state)
{
	struct store *s = *state;
	struct rlimit full, before;
	assert_int_equal(
	    vgm_keystore_write(s->keys, VGM_KEYSTORE_VIEW, 0, VGM_SLICE_LIT("first"), NULL), 0);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	for (rlim_t room = 0; room < 60; room += 7) {
		full = (struct rlimit){room, before.rlim_max};
		setrlimit(RLIMIT_FSIZE, &full);
		int w = vgm_keystore_write(
		    s->keys, VGM_KEYSTORE_VIEW, 0, VGM_SLICE_LIT("second"), NULL);
		int d = vgm_keystore_destroy(
		    s->keys, VGM_KEYSTORE_VIEW, 0, VGM_SLICE_LIT("third"), NULL);
		setrlimit(RLIMIT_FSIZE, &before);
		assert_int_equal(w, VGM_E_IO);
		assert_int_equal(d, VGM_E_IO);
		assert_secret(s, VGM_KEYSTORE_VIEW, 0, "first");
	}
	/* A crash between writing and renaming leaves the temporary file: harmless. */
	put_file(s, "left-over", VGM_SLICE_LIT("half of a fi"));
	assert_int_equal(renameat(s->dir, "left-over", s->dir, ".view.key.new"), 0);
	assert_int_equal(store_again(s, NULL, NULL), 0);
	assert_secret(s, VGM_KEYSTORE_VIEW, 0, "first");
	assert_int_equal(
	    vgm_keystore_write(s->keys, VGM_KEYSTORE_VIEW, 0, VGM_SLICE_LIT("fourth"), NULL), 0);
	assert_secret(s, VGM_KEYSTORE_VIEW, 0, "fourth");
}

static void test_destroyed_bytes_are_gone(void **state)
{
	struct store *s = *state;
	uint8_t left[200];
	assert_int_equal(
	    vgm_keystore_write(s->keys, VGM_KEYSTORE_DAY, 3, VGM_SLICE_LIT("a day's keys"), NULL), 0);
	int old = openat(s->dir, "day-3.key", O_RDONLY);
	assert_int_equal(
	    vgm_keystore_destroy(s->keys, VGM_KEYSTORE_DAY, 3, VGM_SLICE_LIT("closed"), NULL), 0);
	ssize_t n = pread(old, left, sizeof left, 0);
	assert_true(n > 40);
	for (ssize_t i = 0; i < n; i++)
		assert_int_equal(left[i], 0);
	close(old);
	assert_secret(s, VGM_KEYSTORE_DAY, 3, "closed");
	/* Destroying what is not there leaves the mark all the same. */
	assert_int_equal(
	    vgm_keystore_destroy(s->keys, VGM_KEYSTORE_DAY, 4, VGM_SLICE_LIT("closed"), NULL), 0);
	assert_secret(s, VGM_KEYSTORE_DAY, 4, "closed");
}

static void test_key_is_made_once(void **state)
{
	struct store *s = *state;
	struct vgm_secret a, b;
	assert_int_equal(vgm_keystore_key(s->keys, VGM_KEYSTORE_CHECKPOINT, &a, NULL), 0);
	assert_int_equal(a.len, 32);
	assert_int_equal(store_again(s, NULL, NULL), 0);
	assert_int_equal(vgm_keystore_key(s->keys, VGM_KEYSTORE_CHECKPOINT, &b, NULL), 0);
	assert_memory_equal(a.data, b.data, 32);
	vgm_secret_release(&a);
	vgm_secret_release(&b);
	assert_int_equal(
	    vgm_keystore_write(s->keys, VGM_KEYSTORE_VIEW, 0, VGM_SLICE_LIT("short"), NULL), 0);
	assert_int_equal(vgm_keystore_key(s->keys, VGM_KEYSTORE_VIEW, &a, NULL), VGM_E_CORRUPT);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, store_up, store_down)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_written_comes_back),
	    CASE(test_sizes),
	    CASE(test_secret_is_not_in_the_file),
	    CASE(test_tampered_anywhere),
	    CASE(test_root_key_tampered_anywhere),
	    CASE(test_passphrase),
	    CASE(test_lost_root_key),
	    CASE(test_one_opener),
	    CASE(test_failed_write_keeps_the_old),
	    CASE(test_destroyed_bytes_are_gone),
	    CASE(test_key_is_made_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
