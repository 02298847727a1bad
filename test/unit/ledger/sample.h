/* SPDX-License-Identifier: EUPL-1.2
 * A writer with options for tests, and records whose parts are easy to tell. */
#ifndef VGM_TEST_LEDGER_SAMPLE_H
#define VGM_TEST_LEDGER_SAMPLE_H

#include "ledger/writer.h"
#include "scratch.h"

static const struct vgm_writer_options sample_options = {
    .entity = 1, .segment_bytes = 64 * 1024, .reserve_bytes = 4096, .clock_synchronised = true};

static inline struct vgm_writer *sample_open(const struct scratch *s)
{
	struct vgm_writer_opening opening;
	struct vgm_writer *w;
	assert_int_equal(vgm_writer_open(s->fd, &sample_options, &w, &opening, NULL), 0);
	return w;
}

/* Record number `n`: a routing part of 10 + n % 7 bytes, a head of 5, a body. */
static inline int sample_append(struct vgm_writer *w, unsigned n, size_t body,
    struct vgm_ledger_place *place, struct vgm_err *err)
{
	struct vgm_writer_record in = {.record = {.type = VGM_RECORD_MAIL,
					   .packing = VGM_PACKING_NONE,
					   .conf_version = 1,
					   .day = 20000,
					   .id = {(uint8_t)n, (uint8_t)(n >> 8), 1}}};
	uint8_t small[32];
	uint8_t *large = vgm_alloc(body + 1);
	memset(small, (int)(n % 251) + 1, sizeof small);
	memset(large, (int)(n % 241) + 2, body);
	in.part[VGM_PART_ROUTING] = vgm_slice(small, 10 + n % 7);
	in.part[VGM_PART_HEAD] = vgm_slice(small, 5);
	in.part[VGM_PART_BODY] = vgm_slice(large, body);
	in.record.part[VGM_PART_BODY].plain = body;
	int r = vgm_writer_append(w, &in, place, err);
	vgm_free(large);
	return r;
}

/* `batches` batches of two records each, all synced. */
static inline void sample_fill(struct vgm_writer *w, unsigned first, unsigned batches, size_t body)
{
	struct vgm_ledger_place place;
	for (unsigned i = 0; i < batches; i++) {
		assert_int_equal(sample_append(w, first + 2 * i, body, &place, NULL), 0);
		assert_int_equal(sample_append(w, first + 2 * i + 1, body, &place, NULL), 0);
		assert_int_equal(vgm_writer_sync(w, NULL), 0);
	}
}

static inline void sample_copy_file(const char *from, const char *to)
{
	uint8_t buffer[65536];
	int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ssize_t n;
	assert_true(in >= 0 && out >= 0);
	while ((n = read(in, buffer, sizeof buffer)) > 0)
		assert_int_equal(write(out, buffer, (size_t)n), n);
	close(in);
	close(out);
}

#endif
