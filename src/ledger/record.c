/* SPDX-License-Identifier: EUPL-1.2
 * ledger/record.c — see record.h; the layout is in doc/ledger-format.md.
 *
 * The prefix ends its header with a check of its own (half a SHA-256 of header
 * and hashes): a rotten size is found before it is believed, and the fault is
 * named at this record and not somewhere after it. The Merkle leaf covers the
 * whole prefix, so the check is covered too. */
#include "ledger/record.h"

#include <errno.h>
#include <unistd.h>

#include "ledger/bytes.h"
#include "ledger/hash.h"

static const uint8_t magic[8] = {'V', 'G', 'M', 'R', 'E', 'C', 'R', 'D'};

enum {
	VERSION = 1,
	AT_VERSION = 8,
	AT_TYPE = 10,
	AT_CLOCK = 11,
	AT_PACKING = 12,
	AT_ENTITY = 16,
	AT_CONF_VERSION = 20,
	AT_DAY = 24,
	AT_SEQUENCE = 32,
	AT_TIME = 40,
	AT_ID = 48,
	AT_RELATED = 64,
	AT_WRAP = 80,
	AT_EPHEMERAL = 144,
	AT_COMMITMENT = 176,
	AT_PARTS = 208,
	AT_SPARE = AT_PARTS + 16 * VGM_PART_COUNT,
	AT_CHECK = 368,
	CHECK_BYTES = 16,
	AT_HASHES = 384,
};
_Static_assert(AT_HASHES + 32 * VGM_PART_COUNT == VGM_RECORD_PREFIX_BYTES, "prefix layout");
_Static_assert(AT_SPARE < AT_CHECK && AT_CHECK + CHECK_BYTES == AT_HASHES, "prefix layout");

/* Sizes beyond this are not believed: sums of all parts stay far from 2^64. */
#define PART_MAX ((uint64_t)1 << 48)

uint64_t vgm_record_part_offset(const struct vgm_record *record, enum vgm_part part)
{
	uint64_t at = VGM_RECORD_PREFIX_BYTES;
	for (int i = 0; i < (int)part; i++)
		at += record->part[i].stored;
	return at;
}

uint64_t vgm_record_bytes(const struct vgm_record *record)
{
	return vgm_record_part_offset(record, VGM_PART_COUNT);
}

static void check_of(const uint8_t *prefix, uint8_t out[32])
{
	const struct vgm_slice covered[] = {
	    vgm_slice(prefix, AT_CHECK),
	    vgm_slice(prefix + AT_HASHES, VGM_RECORD_PREFIX_BYTES - AT_HASHES),
	};
	vgm_hash_join(covered, VGM_ARRAY_LEN(covered), out);
}

void vgm_record_encode(const struct vgm_record *r, uint8_t out[VGM_RECORD_PREFIX_BYTES])
{
	uint8_t check[32];
	memset(out, 0, VGM_RECORD_PREFIX_BYTES);
	memcpy(out, magic, sizeof magic);
	vgm_put_be(out + AT_VERSION, VERSION, 2);
	out[AT_TYPE] = r->type;
	out[AT_CLOCK] = r->clock;
	out[AT_PACKING] = r->packing;
	vgm_put_be(out + AT_ENTITY, r->entity, 4);
	vgm_put_be(out + AT_CONF_VERSION, r->conf_version, 4);
	vgm_put_be(out + AT_DAY, r->day, 4);
	vgm_put_be(out + AT_SEQUENCE, r->sequence, 8);
	vgm_put_be(out + AT_TIME, r->time_us, 8);
	memcpy(out + AT_ID, r->id, sizeof r->id);
	memcpy(out + AT_RELATED, r->related, sizeof r->related);
	memcpy(out + AT_WRAP, r->wrap, sizeof r->wrap);
	memcpy(out + AT_EPHEMERAL, r->ephemeral, sizeof r->ephemeral);
	memcpy(out + AT_COMMITMENT, r->commitment, sizeof r->commitment);
	for (int i = 0; i < VGM_PART_COUNT; i++) {
		vgm_put_be(out + AT_PARTS + 16 * i, r->part[i].stored, 8);
		vgm_put_be(out + AT_PARTS + 16 * i + 8, r->part[i].plain, 8);
		memcpy(out + AT_HASHES + 32 * i, r->hash[i], 32);
	}
	check_of(out, check);
	memcpy(out + AT_CHECK, check, CHECK_BYTES);
}

/* What is wrong with the bytes themselves, before any field is believed. */
static int check_bytes(const uint8_t *in, struct vgm_err *err)
{
	uint8_t check[32];
	if (memcmp(in, magic, sizeof magic) != 0)
		return vgm_err_set(err, VGM_E_CORRUPT, "no record starts here");
	check_of(in, check);
	if (memcmp(in + AT_CHECK, check, CHECK_BYTES) != 0)
		return vgm_err_set(
		    err, VGM_E_CORRUPT, "the record's header does not match its check");
	if (vgm_get_be(in + AT_VERSION, 2) != VERSION)
		return vgm_err_set(err, VGM_E_VERSION,
		    "record of version %u; this program reads %u",
		    (unsigned)vgm_get_be(in + AT_VERSION, 2), VERSION);
	return 0;
}

/* What a writer of this version would never have written. */
static int check_fields(const struct vgm_record *r, const uint8_t *in, struct vgm_err *err)
{
	if (r->type < VGM_RECORD_MAIL || r->type > VGM_RECORD_KEY)
		return vgm_err_set(err, VGM_E_CORRUPT, "record of unknown type %u", r->type);
	if (r->clock < VGM_CLOCK_SYNCHRONISED || r->clock > VGM_CLOCK_DOUBTFUL)
		return vgm_err_set(err, VGM_E_CORRUPT, "unknown clock state %u", r->clock);
	if (r->packing > VGM_PACKING_ZSTD)
		return vgm_err_set(err, VGM_E_CORRUPT, "unknown packing %u", r->packing);
	if (!vgm_is_zero(in + AT_PACKING + 1, AT_ENTITY - AT_PACKING - 1) ||
	    !vgm_is_zero(in + AT_DAY + 4, 4) || !vgm_is_zero(in + AT_WRAP + 60, 4) ||
	    !vgm_is_zero(in + AT_SPARE, AT_CHECK - AT_SPARE))
		return vgm_err_set(err, VGM_E_CORRUPT, "spare bytes of the header are not zero");
	for (int i = 0; i < VGM_PART_COUNT; i++) {
		if (r->part[i].stored > PART_MAX || r->part[i].plain > PART_MAX)
			return vgm_err_set(err, VGM_E_CORRUPT, "part %d is impossibly large", i);
		if (r->part[i].stored == 0 && !vgm_is_zero(r->hash[i], 32))
			return vgm_err_set(
			    err, VGM_E_CORRUPT, "hash of part %d, which is not there", i);
	}
	return 0;
}

int vgm_record_decode(
    const uint8_t in[VGM_RECORD_PREFIX_BYTES], struct vgm_record *out, struct vgm_err *err)
{
	struct vgm_record r = {0};
	int result = check_bytes(in, err);
	if (result < 0)
		return result;
	r.type = in[AT_TYPE];
	r.clock = in[AT_CLOCK];
	r.packing = in[AT_PACKING];
	r.entity = (uint32_t)vgm_get_be(in + AT_ENTITY, 4);
	r.conf_version = (uint32_t)vgm_get_be(in + AT_CONF_VERSION, 4);
	r.day = (uint32_t)vgm_get_be(in + AT_DAY, 4);
	r.sequence = vgm_get_be(in + AT_SEQUENCE, 8);
	r.time_us = vgm_get_be(in + AT_TIME, 8);
	memcpy(r.id, in + AT_ID, sizeof r.id);
	memcpy(r.related, in + AT_RELATED, sizeof r.related);
	memcpy(r.wrap, in + AT_WRAP, sizeof r.wrap);
	memcpy(r.ephemeral, in + AT_EPHEMERAL, sizeof r.ephemeral);
	memcpy(r.commitment, in + AT_COMMITMENT, sizeof r.commitment);
	for (int i = 0; i < VGM_PART_COUNT; i++) {
		r.part[i].stored = vgm_get_be(in + AT_PARTS + 16 * i, 8);
		r.part[i].plain = vgm_get_be(in + AT_PARTS + 16 * i + 8, 8);
		memcpy(r.hash[i], in + AT_HASHES + 32 * i, 32);
	}
	result = check_fields(&r, in, err);
	if (result == 0)
		*out = r;
	return result;
}

void vgm_record_leaf(const uint8_t prefix[VGM_RECORD_PREFIX_BYTES], uint8_t out[32])
{
	const struct vgm_slice pieces[] = {
	    VGM_SLICE_LIT("\0"), vgm_slice(prefix, VGM_RECORD_PREFIX_BYTES)};
	vgm_hash_join(pieces, VGM_ARRAY_LEN(pieces), out);
}

int vgm_record_read(int segment_fd, uint64_t offset, struct vgm_record *out, struct vgm_err *err)
{
	uint8_t prefix[VGM_RECORD_PREFIX_BYTES];
	size_t have = 0;
	if (offset > INT64_MAX - sizeof prefix)
		return vgm_err_set(err, VGM_E_CORRUPT, "record at an impossible offset");
	while (have < sizeof prefix) {
		ssize_t n =
		    pread(segment_fd, prefix + have, sizeof prefix - have, (off_t)(offset + have));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return vgm_err_sys(
			    err, "reading a record at offset %llu", (unsigned long long)offset);
		if (n == 0)
			return vgm_err_set(err, VGM_E_CORRUPT, "the segment ends within a record");
		have += (size_t)n;
	}
	return vgm_record_decode(prefix, out, err);
}
