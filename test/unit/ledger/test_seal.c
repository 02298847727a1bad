/* SPDX-License-Identifier: EUPL-1.2
 * Sealed parts: sizes at every edge of a chunk, what does not open, bodies as
 * streams with every packing, and the construction checked against a second
 * writing of it with libsodium. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sodium.h>
#include <unistd.h>

#include "base/secret.h"
#include "ledger/hash.h"
#include "ledger/seal.h"
#include "os/memfd.h"

static const uint8_t key[32] = {1, 2, 3}, other_key[32] = {1, 2, 4};
static const uint8_t id[16] = {9, 8, 7}, other_id[16] = {9, 8, 6};
static const uint8_t salt[32] = {5};
static const struct vgm_seal_name head = {key, id, 1, VGM_PART_HEAD};

#define CHUNK VGM_SEAL_CHUNK_BYTES
static const size_t sizes[] = {0, 1, 15, 300, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1,
    262143, 262144, 262145, 1000000};

/* Bytes that pack well (kind 0), not at all (1), or a little (2, like base64). */
static uint8_t *bytes_of(size_t len, int kind)
{
	uint8_t *p = vgm_alloc(len + 1);
	uint32_t x = 12345;
	for (size_t i = 0; i < len; i++) {
		x = x * 1664525 + 1013904223;
		p[i] = kind == 0 ? (uint8_t)("vaguemestre"[i % 11]) : (uint8_t)(x >> 24);
		if (kind == 2)
			p[i] = (uint8_t)('A' + p[i] % 26);
	}
	return p;
}

static void test_sizes(void **state)
{
	(void)state;
	assert_int_equal(vgm_seal_size(0), 16);
	assert_int_equal(vgm_seal_size(CHUNK), CHUNK + 16);
	assert_int_equal(vgm_seal_size(CHUNK + 1), CHUNK + 33);
	for (size_t i = 0; i < VGM_ARRAY_LEN(sizes); i++)
		assert_int_equal(vgm_seal_plain_size(vgm_seal_size(sizes[i])), sizes[i]);
	assert_int_equal(vgm_seal_plain_size(3), 0);
	assert_int_equal(vgm_seal_plain_size(0), 0);
}

static void test_round_trips(void **state)
{
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(sizes); i++) {
		uint8_t *plain = bytes_of(sizes[i], 1);
		struct vgm_slice in = vgm_slice(plain, sizes[i]);
		struct vgm_buf sealed = VGM_BUF_INIT(2000000), opened = VGM_BUF_INIT(2000000);
		assert_int_equal(vgm_seal(&head, in, &sealed, NULL), 0);
		assert_int_equal(sealed.len, vgm_seal_size(sizes[i]));
		assert_int_equal(vgm_unseal(&head, vgm_buf_slice(&sealed), &opened, NULL), 0);
		assert_true(vgm_slice_eq(vgm_buf_slice(&opened), in));
		vgm_buf_release(&sealed);
		vgm_buf_release(&opened);
		vgm_free(plain);
	}
}

/* The same with other means: HMAC and AES-GCM of libsodium, nonce by hand. */
static void test_construction(void **state)
{
	(void)state;
	uint8_t info[15 + 16 + 2], part_key[32], nonce[12] = {0}, associated[21] = {0};
	uint8_t expected[5 + 16];
	unsigned long long n;
	if (sodium_init() < 0 || !crypto_aead_aes256gcm_is_available())
		skip();
	memcpy(info, "vgm part key v1", 15);
	memcpy(info + 15, id, 16);
	info[31] = VGM_PART_HEAD;
	info[32] = 1;
	crypto_auth_hmacsha256(part_key, info, sizeof info, key);
	memcpy(associated, id, 16);
	associated[19] = 1; /* entity */
	associated[20] = VGM_PART_HEAD;
	nonce[11] = 1; /* first and last chunk */
	crypto_aead_aes256gcm_encrypt(expected, &n, (const uint8_t *)"salut", 5, associated,
	    sizeof associated, NULL, nonce, part_key);
	struct vgm_buf sealed = VGM_BUF_INIT(100);
	assert_int_equal(vgm_seal(&head, VGM_SLICE_LIT("salut"), &sealed, NULL), 0);
	assert_int_equal(sealed.len, sizeof expected);
	assert_memory_equal(sealed.data, expected, sizeof expected);
	vgm_buf_release(&sealed);
}

static void assert_shut(const struct vgm_seal_name *name, struct vgm_slice sealed)
{
	struct vgm_buf out = VGM_BUF_INIT(1000000);
	assert_int_equal(vgm_buf_add_str(&out, "before"), 0);
	assert_int_equal(vgm_unseal(name, sealed, &out, NULL), VGM_E_CRYPTO);
	assert_int_equal(out.len, 6);
	vgm_buf_release(&out);
}

static void test_another_name_does_not_open(void **state)
{
	(void)state;
	const struct vgm_seal_name wrong[] = {
	    {other_key, id, 1, VGM_PART_HEAD},
	    {key, other_id, 1, VGM_PART_HEAD},
	    {key, id, 2, VGM_PART_HEAD},
	    {key, id, 1, VGM_PART_BODY},
	};
	struct vgm_buf sealed = VGM_BUF_INIT(1000);
	assert_int_equal(vgm_seal(&head, VGM_SLICE_LIT("secret"), &sealed, NULL), 0);
	for (size_t i = 0; i < VGM_ARRAY_LEN(wrong); i++)
		assert_shut(&wrong[i], vgm_buf_slice(&sealed));
	for (size_t bit = 0; bit < 8 * sealed.len; bit++) {
		sealed.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_shut(&head, vgm_buf_slice(&sealed));
		sealed.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t n = 0; n < sealed.len; n++)
		assert_shut(&head, vgm_slice(sealed.data, n));
	vgm_buf_release(&sealed);
}

/* Chunks cut off, doubled, exchanged: the count and the last mark tell. */
static void test_chunks_keep_their_place(void **state)
{
	(void)state;
	const size_t whole = CHUNK + VGM_SEAL_TAG_BYTES;
	uint8_t *plain = bytes_of(3 * CHUNK, 1), *moved = vgm_alloc(4 * whole);
	struct vgm_buf sealed = VGM_BUF_INIT(1000000);
	assert_int_equal(vgm_seal(&head, vgm_slice(plain, 3 * CHUNK), &sealed, NULL), 0);
	assert_int_equal(sealed.len, 3 * whole);
	assert_shut(&head, vgm_slice(sealed.data, whole));
	assert_shut(&head, vgm_slice(sealed.data, 2 * whole));
	assert_shut(&head, vgm_slice(sealed.data + whole, 2 * whole));
	memcpy(moved, sealed.data, 3 * whole);
	memcpy(moved, sealed.data + whole, whole);
	memcpy(moved + whole, sealed.data, whole);
	assert_shut(&head, vgm_slice(moved, 3 * whole));
	memcpy(moved, sealed.data, 3 * whole);
	memcpy(moved + 3 * whole, sealed.data + 2 * whole, whole);
	assert_shut(&head, vgm_slice(moved, 4 * whole));
	vgm_buf_release(&sealed);
	vgm_free(moved);
	vgm_free(plain);
}

static void test_ceilings(void **state)
{
	(void)state;
	struct vgm_buf small = VGM_BUF_INIT(20), sealed = VGM_BUF_INIT(100);
	assert_int_equal(vgm_seal(&head, VGM_SLICE_LIT("12345"), &small, NULL), VGM_E_LIMIT);
	assert_int_equal(vgm_seal(&head, VGM_SLICE_LIT("123456789012345678901"), &sealed, NULL), 0);
	assert_int_equal(vgm_unseal(&head, vgm_buf_slice(&sealed), &small, NULL), VGM_E_LIMIT);
	vgm_buf_release(&small);
	vgm_buf_release(&sealed);
}

/* ---- bodies ---- */

static int to_buf(void *context, const uint8_t *data, size_t len)
{
	return vgm_buf_add(context, data, len);
}

static int stop_at_once(void *context, const uint8_t *data, size_t len)
{
	(void)context, (void)data, (void)len;
	return VGM_E_NOSPACE;
}

struct body {
	struct vgm_record record;
	struct vgm_buf sealed;
	int fd; /* 512 + 7 bytes, then the sealed body: a record at offset 7 */
};

static void seal_body(struct vgm_seal_tools *tools, struct vgm_slice plain, struct body *b)
{
	const struct vgm_seal_name name = {key, id, 1, VGM_PART_BODY};
	uint8_t zeros[7 + VGM_RECORD_PREFIX_BYTES] = {0};
	memset(b, 0, sizeof *b);
	vgm_buf_init(&b->sealed, 4000000);
	struct vgm_part_size *part = &b->record.part[VGM_PART_BODY];
	assert_int_equal(vgm_seal_body(tools, &name, salt, plain, &b->record.packing,
			     b->record.commitment, to_buf, &b->sealed, &part->stored, NULL),
	    0);
	assert_int_equal(part->stored, b->sealed.len);
	part->plain = plain.len;
	vgm_hash(vgm_buf_slice(&b->sealed), b->record.hash[VGM_PART_BODY]);
	assert_int_equal(vgm_memfd_new("b", &b->fd, NULL), 0);
	assert_int_equal(vgm_memfd_write(b->fd, zeros, sizeof zeros, NULL), 0);
	assert_int_equal(vgm_memfd_write(b->fd, b->sealed.data, b->sealed.len, NULL), 0);
}

static int open_body(struct vgm_seal_tools *tools, const struct body *b, const uint8_t *with_salt,
    struct vgm_buf *out)
{
	const struct vgm_seal_name name = {key, id, 1, VGM_PART_BODY};
	return vgm_unseal_body(tools, &name, &b->record, b->fd, 7, with_salt, to_buf, out, NULL);
}

static void body_release(struct body *b)
{
	vgm_buf_release(&b->sealed);
	close(b->fd);
}

static void test_bodies_round_trip(void **state)
{
	(void)state;
	struct vgm_seal_tools *tools = vgm_seal_tools_new();
	for (size_t i = 0; i < VGM_ARRAY_LEN(sizes); i++) {
		for (int kind = 0; kind < 3; kind++) {
			uint8_t *plain = bytes_of(sizes[i], kind), expected[32];
			struct vgm_buf out = VGM_BUF_INIT(4000000);
			struct body b;
			seal_body(tools, vgm_slice(plain, sizes[i]), &b);
			assert_int_equal(open_body(tools, &b, salt, &out), 0);
			assert_true(vgm_slice_eq(vgm_buf_slice(&out), vgm_slice(plain, sizes[i])));
			const struct vgm_slice pieces[] = {
			    vgm_slice(salt, 32), vgm_slice(plain, sizes[i])};
			vgm_hash_join(pieces, 2, expected);
			assert_memory_equal(expected, b.record.commitment, 32);
			if (kind == 0 && sizes[i] >= 300)
				assert_true(b.sealed.len < sizes[i] / 2 + 300);
			body_release(&b);
			vgm_buf_release(&out);
			vgm_free(plain);
		}
	}
	vgm_seal_tools_free(&tools);
	assert_null(tools);
	vgm_seal_tools_free(&tools);
}

static void test_packing_is_dropped_when_it_gains_nothing(void **state)
{
	(void)state;
	struct vgm_seal_tools *tools = vgm_seal_tools_new();
	uint8_t *plain = bytes_of(5000, 1);
	struct body b;
	seal_body(tools, vgm_slice(plain, 5000), &b);
	assert_int_equal(b.record.packing, VGM_PACKING_NONE);
	assert_int_equal(b.sealed.len, 5016);
	body_release(&b);
	vgm_free(plain);
	vgm_seal_tools_free(&tools);
}

/* One change each to a good body of two chunks. */
static void test_bodies_that_lie(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		int expected;
	} cases[] = {{"hash", VGM_E_CORRUPT}, {"commitment", VGM_E_CORRUPT},
	    {"larger", VGM_E_CORRUPT}, {"smaller", VGM_E_LIMIT}, {"cut", VGM_E_CORRUPT},
	    {"packing", VGM_E_LIMIT}, {"none", VGM_E_NOTFOUND}, {"flip", VGM_E_CRYPTO}};
	struct vgm_seal_tools *tools = vgm_seal_tools_new();
	uint8_t *plain = bytes_of(90000, 2);
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_buf out = VGM_BUF_INIT(4000000);
		struct body b;
		seal_body(tools, vgm_slice(plain, 90000), &b);
		struct vgm_part_size *part = &b.record.part[VGM_PART_BODY];
		switch (i) {
		case 0:
			b.record.hash[VGM_PART_BODY][3] ^= 1;
			break;
		case 1:
			b.record.commitment[0] ^= 1;
			break;
		case 2:
			part->plain++;
			break;
		case 3:
			part->plain--;
			break;
		case 4:
			assert_int_equal(ftruncate(b.fd, 30000), 0);
			break;
		case 5:
			b.record.packing = VGM_PACKING_NONE, part->plain = 10;
			break;
		case 6:
			part->stored = 0;
			break;
		default:
			assert_int_equal(pwrite(b.fd, "\1\2\3", 3, 600), 3);
			break;
		}
		assert_int_equal(open_body(tools, &b, salt, &out), cases[i].expected);
		body_release(&b);
		vgm_buf_release(&out);
	}
	vgm_free(plain);
	vgm_seal_tools_free(&tools);
}

static void test_sinks_may_stop(void **state)
{
	(void)state;
	const struct vgm_seal_name name = {key, id, 1, VGM_PART_BODY};
	struct vgm_seal_tools *tools = vgm_seal_tools_new();
	uint8_t *plain = bytes_of(300000, 2), packing = 77, commitment[32];
	uint64_t stored = 77;
	assert_int_equal(vgm_seal_body(tools, &name, salt, vgm_slice(plain, 300000), &packing,
			     commitment, stop_at_once, NULL, &stored, NULL),
	    VGM_E_NOSPACE);
	assert_int_equal(packing, 77);
	assert_int_equal(stored, 77);
	struct body b;
	seal_body(tools, vgm_slice(plain, 300000), &b);
	assert_int_equal(
	    vgm_unseal_body(tools, &name, &b.record, b.fd, 7, NULL, stop_at_once, NULL, NULL),
	    VGM_E_NOSPACE);
	struct vgm_buf out = VGM_BUF_INIT(300000);
	assert_int_equal(open_body(tools, &b, NULL, &out), 0);
	vgm_buf_release(&out);
	body_release(&b);
	vgm_free(plain);
	vgm_seal_tools_free(&tools);
}

static void test_small_parts_from_a_file(void **state)
{
	(void)state;
	struct vgm_record r = {0};
	struct vgm_buf sealed = VGM_BUF_INIT(100), out = VGM_BUF_INIT(100);
	uint8_t zeros[VGM_RECORD_PREFIX_BYTES] = {0};
	int fd;
	assert_int_equal(vgm_seal(&head, VGM_SLICE_LIT("tete"), &sealed, NULL), 0);
	r.part[VGM_PART_HEAD] = (struct vgm_part_size){sealed.len, 4};
	assert_int_equal(vgm_memfd_new("p", &fd, NULL), 0);
	assert_int_equal(vgm_memfd_write(fd, zeros, sizeof zeros, NULL), 0);
	assert_int_equal(vgm_memfd_write(fd, sealed.data, sealed.len, NULL), 0);
	assert_int_equal(vgm_unseal_part(&head, &r, fd, 0, &out, NULL), 0);
	assert_string_equal(vgm_buf_str(&out), "tete");
	assert_int_equal(vgm_unseal_part(&head, &r, fd, 1, &out, NULL), VGM_E_CORRUPT);
	r.part[VGM_PART_HEAD].stored = 0;
	assert_int_equal(vgm_unseal_part(&head, &r, fd, 0, &out, NULL), VGM_E_NOTFOUND);
	r.part[VGM_PART_HEAD].stored = VGM_SEAL_PART_MAX + 1;
	assert_int_equal(vgm_unseal_part(&head, &r, fd, 0, &out, NULL), VGM_E_LIMIT);
	close(fd);
	vgm_buf_release(&sealed);
	vgm_buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sizes),
	    cmocka_unit_test(test_round_trips),
	    cmocka_unit_test(test_construction),
	    cmocka_unit_test(test_another_name_does_not_open),
	    cmocka_unit_test(test_chunks_keep_their_place),
	    cmocka_unit_test(test_ceilings),
	    cmocka_unit_test(test_bodies_round_trip),
	    cmocka_unit_test(test_packing_is_dropped_when_it_gains_nothing),
	    cmocka_unit_test(test_bodies_that_lie),
	    cmocka_unit_test(test_sinks_may_stop),
	    cmocka_unit_test(test_small_parts_from_a_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
