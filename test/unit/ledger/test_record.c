/* SPDX-License-Identifier: EUPL-1.2
 * A record's prefix: there and back, every bit of it guarded, its place in the
 * tree, its parts' places. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <unistd.h>

#include "ledger/hash.h"
#include "ledger/record.h"
#include "os/memfd.h"

static struct vgm_record sample(void)
{
	struct vgm_record r = {.type = VGM_RECORD_MAIL,
	    .clock = VGM_CLOCK_SYNCHRONISED,
	    .packing = VGM_PACKING_ZSTD,
	    .entity = 7,
	    .conf_version = 3,
	    .day = 20780,
	    .sequence = 123456789,
	    .time_us = 1795467890123456};
	for (size_t i = 0; i < sizeof r.id; i++) {
		r.id[i] = (uint8_t)(i + 1);
		r.related[i] = (uint8_t)(0xf0 + i);
	}
	memset(r.wrap, 0x5a, sizeof r.wrap);
	memset(r.ephemeral, 0x11, sizeof r.ephemeral);
	memset(r.commitment, 0x22, sizeof r.commitment);
	for (int i = 0; i < 3; i++) {
		r.part[i] = (struct vgm_part_size){(uint64_t)100 * (i + 1), (uint64_t)84 * (i + 1)};
		memset(r.hash[i], 0x30 + i, 32);
	}
	return r;
}

static void test_round_trip(void **state)
{
	(void)state;
	uint8_t prefix[VGM_RECORD_PREFIX_BYTES], again[VGM_RECORD_PREFIX_BYTES];
	struct vgm_record in = sample(), out;
	vgm_record_encode(&in, prefix);
	assert_int_equal(vgm_record_decode(prefix, &out, NULL), 0);
	vgm_record_encode(&out, again);
	assert_memory_equal(prefix, again, sizeof prefix);
	assert_int_equal(out.sequence, in.sequence);
	assert_int_equal(out.time_us, in.time_us);
	assert_int_equal(out.part[VGM_PART_BODY].plain, 252);
	assert_memory_equal(out.wrap, in.wrap, sizeof in.wrap);
}

static void test_places_of_parts(void **state)
{
	(void)state;
	struct vgm_record r = sample();
	assert_int_equal(vgm_record_part_offset(&r, VGM_PART_ROUTING), 512);
	assert_int_equal(vgm_record_part_offset(&r, VGM_PART_HEAD), 612);
	assert_int_equal(vgm_record_part_offset(&r, VGM_PART_BODY), 812);
	assert_int_equal(vgm_record_bytes(&r), 1112);
}

static void test_every_bit_is_guarded(void **state)
{
	(void)state;
	uint8_t prefix[VGM_RECORD_PREFIX_BYTES];
	uint8_t leaf[32], other[32];
	struct vgm_record in = sample(), out;
	vgm_record_encode(&in, prefix);
	vgm_record_leaf(prefix, leaf);
	for (size_t bit = 0; bit < 8 * sizeof prefix; bit++) {
		prefix[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(vgm_record_decode(prefix, &out, NULL), VGM_E_CORRUPT);
		vgm_record_leaf(prefix, other);
		assert_memory_not_equal(leaf, other, 32);
		prefix[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void test_refuses_what_no_writer_writes(void **state)
{
	(void)state;
	uint8_t prefix[VGM_RECORD_PREFIX_BYTES];
	struct vgm_record out, bad[6];
	for (size_t i = 0; i < VGM_ARRAY_LEN(bad); i++)
		bad[i] = sample();
	bad[0].type = 0;
	bad[1].type = VGM_RECORD_KEY + 1;
	bad[2].clock = 0;
	bad[3].packing = 9;
	bad[4].part[VGM_PART_BODY].stored = UINT64_MAX;
	bad[5].hash[VGM_PART_CLEAR][0] = 1;
	for (size_t i = 0; i < VGM_ARRAY_LEN(bad); i++) {
		struct vgm_err err = {0};
		vgm_record_encode(&bad[i], prefix);
		assert_int_equal(vgm_record_decode(prefix, &out, &err), VGM_E_CORRUPT);
		assert_true(err.text[0] != 0);
	}
}

static void test_reads_from_a_file(void **state)
{
	(void)state;
	uint8_t prefix[VGM_RECORD_PREFIX_BYTES + 10] = {0};
	struct vgm_record in = sample(), out;
	int fd;
	vgm_record_encode(&in, prefix + 10);
	assert_int_equal(vgm_memfd_of("r", vgm_slice(prefix, sizeof prefix), &fd, NULL), 0);
	assert_int_equal(vgm_record_read(fd, 10, &out, NULL), 0);
	assert_int_equal(out.entity, 7);
	assert_int_equal(vgm_record_read(fd, 9, &out, NULL), VGM_E_CORRUPT);
	assert_int_equal(vgm_record_read(fd, 11, &out, NULL), VGM_E_CORRUPT);
	assert_int_equal(vgm_record_read(fd, UINT64_MAX, &out, NULL), VGM_E_CORRUPT);
	assert_int_equal(vgm_record_read(-1, 0, &out, NULL), VGM_E_IO);
	close(fd);
}

/* FIPS 180-2, "abc", whole and in pieces. */
static void test_sha256(void **state)
{
	(void)state;
	static const uint8_t expected[32] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41,
	    0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a,
	    0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
	const struct vgm_slice pieces[] = {VGM_SLICE_LIT("a"), VGM_SLICE_NONE, VGM_SLICE_LIT("bc")};
	struct vgm_hash_stream stream = VGM_HASH_STREAM_INIT;
	uint8_t out[32];
	vgm_hash(VGM_SLICE_LIT("abc"), out);
	assert_memory_equal(out, expected, 32);
	vgm_hash_join(pieces, 3, out);
	assert_memory_equal(out, expected, 32);
	for (int i = 0; i < 2; i++) {
		vgm_hash_begin(&stream);
		vgm_hash_add(&stream, VGM_SLICE_LIT("ab"));
		vgm_hash_add(&stream, VGM_SLICE_LIT("c"));
		vgm_hash_end(&stream, out);
		assert_memory_equal(out, expected, 32);
	}
	vgm_hash_stream_release(&stream);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_places_of_parts),
	    cmocka_unit_test(test_every_bit_is_guarded),
	    cmocka_unit_test(test_refuses_what_no_writer_writes),
	    cmocka_unit_test(test_reads_from_a_file),
	    cmocka_unit_test(test_sha256),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
