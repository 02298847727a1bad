/* SPDX-License-Identifier: EUPL-1.2
 * Every message of messages.def, there and back. Three things are made of the
 * table here that do not know ipc/codec.c: a filler, a comparer, and a writer
 * that checks no ceiling and notes where each count stands, so that the wire
 * form is held against a second opinion and every count can be forged. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ipc/codec.h"

#include <fcntl.h>
#include <unistd.h>

#define ROOM (8u << 20)

/* ---- filling ---- */

enum fullness { EMPTY, SOME, FULL };

struct filler {
	struct vgm_arena arena;
	enum fullness how;
	uint64_t seed;
	int next_fd; /* made up: nobody opens or closes it */
	/* The place-th slice or list of the message itself gets one element too many. */
	int place, over;
};

static uint64_t chance(struct filler *f)
{
	f->seed ^= f->seed << 13;
	f->seed ^= f->seed >> 7;
	f->seed ^= f->seed << 17;
	return f->seed;
}

static uint64_t fill_uint(struct filler *f, uint64_t max)
{
	return f->how == EMPTY ? 0 : f->how == FULL ? max : chance(f) & max;
}

static size_t fill_count(struct filler *f, size_t max, size_t some, bool top)
{
	size_t n = f->how == EMPTY ? 0 : f->how == FULL ? max : (size_t)(chance(f) % (some + 1));
	n = vgm_min_size(n, max);
	return top && f->place++ == f->over ? max + 1 : n;
}

static void fill_bytes(struct filler *f, uint8_t *out, size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)fill_uint(f, 255);
}

static struct vgm_slice fill_slice(struct filler *f, size_t max, bool top)
{
	size_t len = fill_count(f, max, 40, top);
	uint8_t *bytes = vgm_arena_alloc(&f->arena, len ? len : 1, 1);
	assert_non_null(bytes);
	memset(bytes, (int)(chance(f) & 255), len);
	return vgm_slice(bytes, len);
}

static void *fill_list(struct filler *f, size_t count, size_t size)
{
	void *list = vgm_arena_alloc(&f->arena, count ? count : 1, size);
	assert_non_null(list);
	return list;
}

static int fill_fd(struct filler *f)
{
	return f->how == EMPTY || (f->how == SOME && chance(f) % 2) ? -1 : f->next_fd++;
}

/* Elements of full lists are kept small, or one message would be megabytes. */
#define GROUP(name)                                                                                \
	static void fill_group_##name(struct filler *f, struct vgm_##name *m)                      \
	{                                                                                          \
		const bool top = false;
#define GROUP_END(name)                                                                            \
		(void)top;                                                                         \
	}
#define MESSAGE(name, type, version)                                                               \
	static void fill_##name(struct filler *f, void *message)                                   \
	{                                                                                          \
		struct vgm_msg_##name *m = message;                                                \
		const bool top = true;
#define MESSAGE_END(name)                                                                          \
		(void)m;                                                                           \
		(void)f;                                                                           \
		(void)top;                                                                         \
	}
#define U8(field) m->field = (uint8_t)fill_uint(f, UINT8_MAX);
#define U16(field) m->field = (uint16_t)fill_uint(f, UINT16_MAX);
#define U32(field) m->field = (uint32_t)fill_uint(f, UINT32_MAX);
#define U64(field) m->field = fill_uint(f, UINT64_MAX);
#define FIXED(field, bytes) fill_bytes(f, m->field, bytes);
#define SLICE(field, max) m->field = fill_slice(f, max, top);
#define LIST(field, group, max)                                                                    \
	m->field##_count = fill_count(f, max, 5, top);                                             \
	m->field = fill_list(f, m->field##_count, sizeof *m->field);                               \
	for (size_t i = 0; i < m->field##_count; i++) {                                            \
		enum fullness before = f->how;                                                     \
		f->how = before == FULL && i > 2 ? SOME : before;                                  \
		fill_group_##group(f, &m->field[i]);                                               \
		f->how = before;                                                                   \
	}
#define FD(field) m->field = fill_fd(f);
#include "ipc/messages.def"
#include "ipc/undef.def"

/* ---- comparing ---- */

#define GROUP(name)                                                                                \
	static bool same_group_##name(const struct vgm_##name *a, const struct vgm_##name *b)      \
	{                                                                                          \
		bool same = true;
#define GROUP_END(name)                                                                            \
		return same;                                                                       \
	}
#define MESSAGE(name, type, version)                                                               \
	static bool same_##name(const void *x, const void *y)                                      \
	{                                                                                          \
		const struct vgm_msg_##name *a = x, *b = y;                                        \
		bool same = a && b;
#define MESSAGE_END(name)                                                                          \
		return same;                                                                       \
	}
#define U8(field) same &= a->field == b->field;
#define U16(field) same &= a->field == b->field;
#define U32(field) same &= a->field == b->field;
#define U64(field) same &= a->field == b->field;
#define FIXED(field, bytes) same &= memcmp(a->field, b->field, bytes) == 0;
#define SLICE(field, max) same &= vgm_slice_eq(a->field, b->field);
#define LIST(field, group, max)                                                                    \
	same &= a->field##_count == b->field##_count;                                              \
	for (size_t i = 0; same && i < a->field##_count; i++)                                      \
		same &= same_group_##group(&a->field[i], &b->field[i]);
#define FD(field) same &= a->field == b->field;
#include "ipc/messages.def"
#include "ipc/undef.def"

/* ---- the second opinion ---- */

struct second {
	struct vgm_buf out;
	struct {
		size_t at, max;
	} counts[8192];
	size_t counts_count;
	size_t fd_marks[VGM_MSG_MAX_FDS], fd_marks_count;
};

static void say(struct second *s, uint64_t value, int bytes)
{
	while (bytes-- > 0)
		assert_int_equal(vgm_buf_add_byte(&s->out, (uint8_t)(value >> 8 * bytes)), 0);
}

static void say_count(struct second *s, size_t count, size_t max)
{
	if (s->counts_count < VGM_ARRAY_LEN(s->counts)) {
		s->counts[s->counts_count].at = s->out.len;
		s->counts[s->counts_count++].max = max;
	}
	say(s, count, 4);
}

#define GROUP(name)                                                                                \
	static void second_group_##name(struct second *s, const struct vgm_##name *m)              \
	{
#define GROUP_END(name) }
#define MESSAGE(name, type, version)                                                               \
	static void second_##name(struct second *s, const void *message)                           \
	{                                                                                          \
		const struct vgm_msg_##name *m = message;                                          \
		(void)m;                                                                           \
		say(s, type, 2);                                                                   \
		say(s, version, 2);
#define MESSAGE_END(name) }
#define U8(field) say(s, m->field, 1);
#define U16(field) say(s, m->field, 2);
#define U32(field) say(s, m->field, 4);
#define U64(field) say(s, m->field, 8);
#define FIXED(field, bytes) assert_int_equal(vgm_buf_add(&s->out, m->field, bytes), 0);
#define SLICE(field, max)                                                                          \
	say_count(s, m->field.len, max);                                                           \
	assert_int_equal(vgm_buf_add_slice(&s->out, m->field), 0);
#define LIST(field, group, max)                                                                    \
	say_count(s, m->field##_count, max);                                                       \
	for (size_t i = 0; i < m->field##_count; i++)                                              \
		second_group_##group(s, &m->field[i]);
#define FD(field)                                                                                  \
	s->fd_marks[s->fd_marks_count++] = s->out.len;                                             \
	say(s, m->field >= 0, 1);
#include "ipc/messages.def"
#include "ipc/undef.def"

/* ---- the table ---- */

static const struct {
	enum vgm_msg_type type;
	const char *name;
	size_t size;
	void (*fill)(struct filler *, void *);
	bool (*same)(const void *, const void *);
	void (*second)(struct second *, const void *);
} kinds[] = {
#define GROUP(name)
#define GROUP_END(name)
#define MESSAGE(name, type, version)                                                               \
	{type, #name, sizeof(struct vgm_msg_##name), fill_##name, same_##name, second_##name},
#define MESSAGE_END(name)
#define U8(field)
#define U16(field)
#define U32(field)
#define U64(field)
#define FIXED(field, bytes)
#define SLICE(field, max)
#define LIST(field, group, max)
#define FD(field)
#include "ipc/messages.def"
#include "ipc/undef.def"
};

/* One message of a kind, its bytes by us and by the second opinion. */
struct sample {
	size_t kind;
	struct filler filler;
	void *message;
	struct vgm_buf bytes;
	struct vgm_fds fds;
	struct second second;
};

static struct sample *sample_of(size_t kind, enum fullness how, uint64_t seed)
{
	struct sample *s = vgm_alloc(sizeof *s);
	s->kind = kind;
	s->filler = (struct filler){.arena = VGM_ARENA_INIT(64u << 20), .how = how,
	    .seed = seed * 2 + 1, .next_fd = 1000, .over = -1};
	s->message = vgm_alloc(kinds[kind].size);
	vgm_buf_init(&s->bytes, ROOM);
	vgm_buf_init(&s->second.out, ROOM);
	kinds[kind].fill(&s->filler, s->message);
	assert_int_equal(vgm_msg_encode(kinds[kind].type, s->message, &s->bytes, &s->fds, NULL), 0);
	kinds[kind].second(&s->second, s->message);
	return s;
}

static void sample_free(struct sample *s)
{
	vgm_arena_release(&s->filler.arena);
	vgm_free(s->message);
	vgm_buf_release(&s->bytes);
	vgm_buf_release(&s->second.out);
	vgm_free(s);
}

/* Decodes a copy of the exact size, so that a reader beyond the end is seen by
 * the sanitizers. */
static int decode_copy(const struct sample *s, struct vgm_slice bytes, void *out,
    struct vgm_fds *fds, struct vgm_arena *arena)
{
	char *copy = vgm_slice_dup(bytes);
	uint8_t *exact = malloc(bytes.len ? bytes.len : 1);
	assert_non_null(exact);
	if (bytes.len)
		memcpy(exact, copy, bytes.len);
	int r = vgm_msg_decode(
	    kinds[s->kind].type, vgm_slice(exact, bytes.len), fds, arena, out, NULL);
	free(exact);
	vgm_free(copy);
	return r;
}

static int decode_code(const struct sample *s, struct vgm_slice bytes)
{
	struct vgm_arena arena = VGM_ARENA_INIT(64u << 20);
	struct vgm_fds fds = s->fds;
	void *out = vgm_alloc(kinds[s->kind].size);
	int r = decode_copy(s, bytes, out, &fds, &arena);
	if (r < 0)
		assert_int_equal(fds.count, s->fds.count);
	vgm_arena_release(&arena);
	vgm_free(out);
	return r;
}

static void test_there_and_back(void **state)
{
	(void)state;
	for (size_t k = 0; k < VGM_ARRAY_LEN(kinds); k++) {
		for (unsigned n = 0; n < 42; n++) {
			struct sample *s = sample_of(k, n == 0 ? EMPTY : n == 1 ? FULL : SOME, n + 77 * k);
			struct vgm_arena arena = VGM_ARENA_INIT(64u << 20);
			struct vgm_fds fds = s->fds, again = {{0}, 0};
			struct vgm_buf bytes = VGM_BUF_INIT(ROOM);
			void *out = vgm_alloc(kinds[k].size);
			assert_true(
			    vgm_slice_eq(vgm_buf_slice(&s->bytes), vgm_buf_slice(&s->second.out)));
			assert_int_equal(vgm_msg_type(vgm_buf_slice(&s->bytes)), kinds[k].type);
			assert_int_equal(vgm_msg_decode(kinds[k].type, vgm_buf_slice(&s->bytes), &fds,
			                     &arena, out, NULL), 0);
			assert_int_equal(fds.count, 0);
			if (!kinds[k].same(s->message, out))
				fail_msg("%s came back changed", kinds[k].name);
			assert_int_equal(vgm_msg_encode(kinds[k].type, out, &bytes, &again, NULL), 0);
			assert_true(vgm_slice_eq(vgm_buf_slice(&s->bytes), vgm_buf_slice(&bytes)));
			assert_int_equal(again.count, s->fds.count);
			vgm_buf_release(&bytes);
			vgm_arena_release(&arena);
			vgm_free(out);
			sample_free(s);
		}
	}
}

static void test_cut_at_every_byte(void **state)
{
	(void)state;
	for (size_t k = 0; k < VGM_ARRAY_LEN(kinds); k++) {
		struct sample *s = sample_of(k, SOME, 4711 + k);
		for (size_t len = 0; len < s->bytes.len; len++)
			if (decode_code(s, vgm_slice_sub(vgm_buf_slice(&s->bytes), 0, len)) != VGM_E_INVALID)
				fail_msg("%s cut at %zu", kinds[k].name, len);
		assert_int_equal(vgm_buf_add_byte(&s->bytes, 0), 0);
		assert_int_equal(decode_code(s, vgm_buf_slice(&s->bytes)), VGM_E_INVALID);
		sample_free(s);
	}
}

static void forge(struct sample *s, size_t at, uint32_t count)
{
	for (size_t i = 0; i < 4; i++)
		s->bytes.data[at + i] = (uint8_t)(count >> (24 - 8 * i));
}

static void test_forged_counts(void **state)
{
	(void)state;
	size_t tried = 0;
	for (size_t k = 0; k < VGM_ARRAY_LEN(kinds); k++) {
		for (enum fullness how = EMPTY; how <= SOME; how++) {
			struct sample *s = sample_of(k, how, 99 + k);
			struct vgm_buf good = VGM_BUF_INIT(ROOM);
			assert_int_equal(vgm_buf_add_slice(&good, vgm_buf_slice(&s->bytes)), 0);
			for (size_t i = 0; i < s->second.counts_count; i++, tried++) {
				size_t at = s->second.counts[i].at, max = s->second.counts[i].max;
				size_t left = s->bytes.len - at - 4;
				forge(s, at, (uint32_t)max + 1);
				assert_int_equal(decode_code(s, vgm_buf_slice(&s->bytes)), VGM_E_LIMIT);
				forge(s, at, UINT32_MAX);
				assert_int_equal(decode_code(s, vgm_buf_slice(&s->bytes)), VGM_E_LIMIT);
				if (left + 1 <= max) { /* more elements than bytes */
					forge(s, at, (uint32_t)left + 1);
					assert_int_equal(
					    decode_code(s, vgm_buf_slice(&s->bytes)), VGM_E_INVALID);
				}
				memcpy(s->bytes.data, good.data, good.len);
			}
			vgm_buf_release(&good);
			sample_free(s);
		}
	}
	assert_true(tried > 150);
}

static void test_writer_keeps_ceilings(void **state)
{
	(void)state;
	for (size_t k = 0; k < VGM_ARRAY_LEN(kinds); k++) {
		for (int over = 0;; over++) {
			struct filler f = {.arena = VGM_ARENA_INIT(64u << 20), .how = SOME, .seed = 5,
			    .next_fd = 1000, .over = over};
			struct vgm_buf out = VGM_BUF_INIT(ROOM);
			struct vgm_fds fds = {{0}, 0};
			void *message = vgm_alloc(kinds[k].size);
			kinds[k].fill(&f, message);
			assert_int_equal(vgm_buf_add_str(&out, "kept"), 0);
			int r = vgm_msg_encode(kinds[k].type, message, &out, &fds, NULL);
			assert_int_equal(r, f.place > over ? VGM_E_LIMIT : 0);
			if (r < 0) {
				assert_string_equal(vgm_buf_str(&out), "kept");
				assert_int_equal(fds.count, 0);
			}
			vgm_arena_release(&f.arena);
			vgm_buf_release(&out);
			vgm_free(message);
			if (r == 0)
				break;
		}
	}
}

static void test_arena_ceiling(void **state)
{
	(void)state;
	struct vgm_arena small = VGM_ARENA_INIT(64);
	struct vgm_msg_deliver m;
	for (size_t k = 0; k < VGM_ARRAY_LEN(kinds); k++) {
		if (kinds[k].type != VGM_MSG_deliver)
			continue;
		struct sample *s = sample_of(k, FULL, 1);
		assert_int_equal(vgm_msg_decode(VGM_MSG_deliver, vgm_buf_slice(&s->bytes), &s->fds,
		                     &small, &m, NULL), VGM_E_LIMIT);
		sample_free(s);
	}
	vgm_arena_release(&small);
}

static void test_other_version_and_type(void **state)
{
	(void)state;
	for (size_t k = 0; k < VGM_ARRAY_LEN(kinds); k++) {
		struct sample *s = sample_of(k, SOME, 31 + k);
		for (size_t byte = 0; byte < 4; byte++) {
			s->bytes.data[byte] ^= 0x40;
			assert_int_equal(decode_code(s, vgm_buf_slice(&s->bytes)),
			    byte < 2 ? VGM_E_INVALID : VGM_E_VERSION);
			s->bytes.data[byte] ^= 0x40;
		}
		sample_free(s);
	}
}

static void test_descriptors(void **state)
{
	(void)state;
	for (size_t k = 0; k < VGM_ARRAY_LEN(kinds); k++) {
		struct sample *s = sample_of(k, FULL, 8 + k);
		assert_int_equal(s->fds.count, s->second.fd_marks_count);
		for (size_t i = 0; i < s->second.fd_marks_count; i++) {
			uint8_t *mark = s->bytes.data + s->second.fd_marks[i];
			*mark = 2;
			assert_int_equal(decode_code(s, vgm_buf_slice(&s->bytes)), VGM_E_INVALID);
			*mark = 0; /* one came that no field takes */
			assert_int_equal(decode_code(s, vgm_buf_slice(&s->bytes)), VGM_E_INVALID);
			*mark = 1;
		}
		if (s->fds.count > 0) { /* a field names one that did not come */
			s->fds.count--;
			assert_int_equal(decode_code(s, vgm_buf_slice(&s->bytes)), VGM_E_INVALID);
		} else {
			s->fds.count = 1;
			assert_int_equal(decode_code(s, vgm_buf_slice(&s->bytes)), VGM_E_INVALID);
		}
		sample_free(s);
	}
}

static void test_closing_descriptors(void **state)
{
	(void)state;
	struct vgm_msg_configure m = {
	    .options = -1, .directory = dup(2), .extra = -1, .ledger = dup(2)};
	int first = m.directory, second = m.ledger;
	assert_true(first >= 0 && second >= 0);
	vgm_msg_close_fds(VGM_MSG_configure, &m);
	assert_int_equal(fcntl(first, F_GETFD), -1);
	assert_int_equal(fcntl(second, F_GETFD), -1);
	assert_int_equal(m.directory, -1);
	vgm_msg_close_fds(VGM_MSG_configure, &m);
	vgm_msg_close_fds(9999, NULL);
}

/* Any change of one byte is refused, or means something that is written the
 * same way: there is one form for one message. */
static void test_one_form(void **state)
{
	(void)state;
	for (size_t k = 0; k < VGM_ARRAY_LEN(kinds); k++) {
		struct sample *s = sample_of(k, SOME, 1234 + k);
		void *out = vgm_alloc(kinds[k].size);
		for (size_t i = 0; i < s->bytes.len; i++) {
			struct vgm_arena arena = VGM_ARENA_INIT(64u << 20);
			struct vgm_buf again = VGM_BUF_INIT(ROOM);
			struct vgm_fds fds = s->fds, fds_again = {{0}, 0};
			s->bytes.data[i] ^= (uint8_t)(1 + i % 255);
			if (vgm_msg_decode(kinds[k].type, vgm_buf_slice(&s->bytes), &fds, &arena, out,
			        NULL) == 0) {
				assert_int_equal(
				    vgm_msg_encode(kinds[k].type, out, &again, &fds_again, NULL), 0);
				assert_true(vgm_slice_eq(vgm_buf_slice(&s->bytes), vgm_buf_slice(&again)));
			}
			s->bytes.data[i] ^= (uint8_t)(1 + i % 255);
			vgm_buf_release(&again);
			vgm_arena_release(&arena);
		}
		vgm_free(out);
		sample_free(s);
	}
}

static void test_names_and_sizes(void **state)
{
	(void)state;
	size_t known = 0, largest = 0;
	for (int type = -2; type < 70000; type++)
		known += vgm_msg_name(type) != NULL;
	assert_int_equal(known, VGM_ARRAY_LEN(kinds));
	for (size_t k = 0; k < VGM_ARRAY_LEN(kinds); k++) {
		assert_string_equal(vgm_msg_name((int)kinds[k].type), kinds[k].name);
		assert_int_equal(vgm_msg_struct_size((int)kinds[k].type), kinds[k].size);
		largest = kinds[k].size > largest ? kinds[k].size : largest;
	}
	assert_int_equal(vgm_msg_struct_max(), largest);
	assert_int_equal(vgm_msg_struct_size(0), 0);
	assert_int_equal(vgm_msg_type(VGM_SLICE_NONE), 0);
	assert_int_equal(vgm_msg_type(vgm_slice("\0\x14\0", 3)), 0);
	assert_int_equal(vgm_msg_type(vgm_slice("\0\x14\0\1", 4)), 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_there_and_back),
	    cmocka_unit_test(test_cut_at_every_byte),
	    cmocka_unit_test(test_forged_counts),
	    cmocka_unit_test(test_writer_keeps_ceilings),
	    cmocka_unit_test(test_arena_ceiling),
	    cmocka_unit_test(test_other_version_and_type),
	    cmocka_unit_test(test_descriptors),
	    cmocka_unit_test(test_closing_descriptors),
	    cmocka_unit_test(test_one_form),
	    cmocka_unit_test(test_names_and_sizes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
