/* SPDX-License-Identifier: EUPL-1.2
 * Checkpoints and notes: the note and key that the Go project published with the
 * format, our own signed and read back, every byte changed, malformed ones. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sodium.h>

#include "ledger/checkpoint.h"

#define DASH "\xe2\x80\x94 "

static const char published_key[] =
    "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
static const char published_note[] =
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n" DASH
    "PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngo"
    "tpRZb6KE6RyyBwJnAM=\n";

static const uint8_t seed[32] = {7, 7, 7};

static void test_published_note(void **state)
{
	(void)state;
	struct vgm_verifier v;
	struct vgm_note note;
	struct vgm_buf again = VGM_BUF_INIT(400);
	size_t used;
	assert_int_equal(vgm_verifier_parse(vgm_slice_str(published_key), &v, NULL), 0);
	assert_string_equal(v.name, "PeterNeumann");
	assert_int_equal(vgm_verifier_format(&v, &again), 0);
	assert_string_equal(vgm_buf_str(&again), published_key);
	assert_int_equal(vgm_note_split(vgm_slice_str(published_note), &note, &used, NULL), 0);
	assert_int_equal(used, sizeof published_note - 1);
	assert_int_equal(vgm_note_verify(&note, &v, 1, NULL), 0);
	vgm_buf_release(&again);
}

static void test_keys_that_are_none(void **state)
{
	(void)state;
	static const char *const cases[] = {"", "+", "++", "PeterNeumann", "PeterNeumann+c74f20a3",
	    "PeterNeumann+c74f20a3+",
	    "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
	    "PeterNeumanm+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
	    "PeterNeumann+c74f20a3+AhpC2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
	    "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
	    "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
	    "PeterNeumann+c74f20a3-ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"};
	struct vgm_verifier v;
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++)
		assert_int_equal(
		    vgm_verifier_parse(vgm_slice_str(cases[i]), &v, NULL), VGM_E_INVALID);
}

static void make(struct vgm_buf *note, struct vgm_verifier *v, uint64_t size)
{
	struct vgm_checkpoint c = {VGM_SLICE_LIT("chu.example/vgm/1"), size, {1, 2, 3}};
	struct vgm_buf text = VGM_BUF_INIT(500);
	struct vgm_note split;
	size_t used, before = note->len;
	assert_int_equal(vgm_checkpoint_format(&c, &text, NULL), 0);
	assert_int_equal(vgm_note_sign(vgm_buf_slice(&text), c.origin, seed, note, NULL), 0);
	vgm_buf_release(&text);
	uint8_t public_key[crypto_sign_PUBLICKEYBYTES], secret[crypto_sign_SECRETKEYBYTES];
	crypto_sign_seed_keypair(public_key, secret, seed);
	assert_int_equal(vgm_verifier_of(c.origin, public_key, v, NULL), 0);
	assert_int_equal(
	    vgm_note_split(vgm_slice_from(vgm_buf_slice(note), before), &split, &used, NULL), 0);
}

static void test_round_trip(void **state)
{
	(void)state;
	struct vgm_buf bytes = VGM_BUF_INIT(4000);
	struct vgm_checkpoint c;
	struct vgm_verifier v;
	struct vgm_note note;
	size_t used;
	make(&bytes, &v, 1234567890123);
	assert_int_equal(vgm_note_split(vgm_buf_slice(&bytes), &note, &used, NULL), 0);
	assert_int_equal(vgm_note_verify(&note, &v, 1, NULL), 0);
	assert_int_equal(vgm_checkpoint_parse(note.text, &c, NULL), 0);
	assert_int_equal(c.size, 1234567890123);
	assert_int_equal(c.root[2], 3);
	assert_true(vgm_slice_eq(c.origin, VGM_SLICE_LIT("chu.example/vgm/1")));
	assert_int_equal(vgm_note_verify(&note, NULL, 0, NULL), VGM_E_NOTFOUND);
	vgm_buf_release(&bytes);
}

/* Whatever byte is changed, the note does not pass as signed by us. */
static void test_every_byte_counts(void **state)
{
	(void)state;
	struct vgm_buf bytes = VGM_BUF_INIT(4000);
	struct vgm_verifier v;
	make(&bytes, &v, 42);
	for (size_t i = 0; i < bytes.len; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			struct vgm_note note;
			size_t used = 0;
			bytes.data[i] ^= (uint8_t)(1u << bit);
			int r = vgm_note_split(vgm_buf_slice(&bytes), &note, &used, NULL);
			if (r == 0 && used == bytes.len)
				r = vgm_note_verify(&note, &v, 1, NULL);
			assert_true(r < 0 || used != bytes.len);
			bytes.data[i] ^= (uint8_t)(1u << bit);
		}
	}
	for (size_t n = 0; n < bytes.len; n++) {
		struct vgm_note note;
		size_t used;
		int r = vgm_note_split(vgm_slice(bytes.data, n), &note, &used, NULL);
		assert_true(r < 0);
	}
	vgm_buf_release(&bytes);
}

static void test_several_one_after_the_other(void **state)
{
	(void)state;
	struct vgm_buf bytes = VGM_BUF_INIT(4000);
	struct vgm_verifier v;
	for (uint64_t size = 1; size <= 3; size++) {
		make(&bytes, &v, size);
		assert_int_equal(vgm_buf_add_byte(&bytes, '\n'), 0);
	}
	struct vgm_slice rest = vgm_buf_slice(&bytes);
	for (uint64_t size = 1; size <= 3; size++) {
		struct vgm_note note;
		struct vgm_checkpoint c;
		size_t used;
		assert_int_equal(vgm_note_split(rest, &note, &used, NULL), 0);
		assert_int_equal(vgm_note_verify(&note, &v, 1, NULL), 0);
		assert_int_equal(vgm_checkpoint_parse(note.text, &c, NULL), 0);
		assert_int_equal(c.size, size);
		rest = vgm_slice_from(rest, used);
	}
	assert_int_equal(rest.len, 0);
	vgm_buf_release(&bytes);
}

#define ROOT "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
static void test_checkpoints_that_are_none(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int expected;
	} cases[] = {
	    {"o\n1\n" ROOT, 0},
	    {"o\n0\n" ROOT, 0},
	    {"o\n1\n" ROOT "extension\n", 0},
	    {"o\n18446744073709551615\n" ROOT, 0},
	    {"", VGM_E_INVALID},
	    {"o\n1\n", VGM_E_INVALID},
	    {"\n1\n" ROOT, VGM_E_INVALID},
	    {"o\n01\n" ROOT, VGM_E_INVALID},
	    {"o\n-1\n" ROOT, VGM_E_INVALID},
	    {"o\n18446744073709551616\n" ROOT, VGM_E_INVALID},
	    {"o\n\n" ROOT, VGM_E_INVALID},
	    {"o\n1\nAAAA\n", VGM_E_INVALID},
	    {"o\n1\n!!!!\n", VGM_E_INVALID},
	    {"o\n1\n" ROOT "\n", VGM_E_INVALID},
	    {"o\n1\n" ROOT "no newline", VGM_E_INVALID},
	    {"o\t\n1\n" ROOT, VGM_E_INVALID},
	    {"o\xff\n1\n" ROOT, VGM_E_INVALID},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_checkpoint c;
		assert_int_equal(vgm_checkpoint_parse(vgm_slice_str(cases[i].text), &c, NULL),
		    cases[i].expected);
	}
}

static void test_notes_that_are_none(void **state)
{
	(void)state;
	static const char *const split[] = {"", "\n", "text\n", "text\n\n", "\n" DASH "a b\n",
	    "text\n\nno dash\n", "text\n\n" DASH "a b\nmore\n"};
	static const char *const lines[] = {DASH "\n", DASH "name\n", DASH "name \n",
	    DASH "name ????\n", DASH " AAAAAAAA\n", DASH "name AAAA\n"};
	struct vgm_note note;
	size_t used;
	for (size_t i = 0; i < VGM_ARRAY_LEN(split); i++)
		assert_int_equal(
		    vgm_note_split(vgm_slice_str(split[i]), &note, &used, NULL), VGM_E_INVALID);
	for (size_t i = 0; i < VGM_ARRAY_LEN(lines); i++) {
		note = (struct vgm_note){VGM_SLICE_LIT("text\n"), vgm_slice_str(lines[i])};
		assert_int_equal(vgm_note_verify(&note, NULL, 0, NULL), VGM_E_INVALID);
	}
}

static void test_names_and_ceilings(void **state)
{
	(void)state;
	struct vgm_buf out = VGM_BUF_INIT(100), tiny = VGM_BUF_INIT(20);
	struct vgm_checkpoint c = {VGM_SLICE_LIT("a\nb"), 1, {0}};
	assert_int_equal(vgm_checkpoint_format(&c, &out, NULL), VGM_E_INVALID);
	c.origin = VGM_SLICE_NONE;
	assert_int_equal(vgm_checkpoint_format(&c, &out, NULL), VGM_E_INVALID);
	c.origin = VGM_SLICE_LIT("origin");
	assert_int_equal(vgm_checkpoint_format(&c, &tiny, NULL), VGM_E_LIMIT);
	assert_int_equal(tiny.len, 0);
	assert_int_equal(
	    vgm_note_sign(VGM_SLICE_LIT("t\n"), VGM_SLICE_LIT("a b"), seed, &out, NULL),
	    VGM_E_INVALID);
	assert_int_equal(
	    vgm_note_sign(VGM_SLICE_LIT("t\n"), VGM_SLICE_LIT("ab"), seed, &tiny, NULL),
	    VGM_E_LIMIT);
	assert_int_equal(tiny.len, 0);
	assert_int_equal(out.len, 0);
	vgm_buf_release(&out);
	vgm_buf_release(&tiny);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_published_note),
	    cmocka_unit_test(test_keys_that_are_none),
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_every_byte_counts),
	    cmocka_unit_test(test_several_one_after_the_other),
	    cmocka_unit_test(test_checkpoints_that_are_none),
	    cmocka_unit_test(test_notes_that_are_none),
	    cmocka_unit_test(test_names_and_ceilings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
