/* SPDX-License-Identifier: EUPL-1.2
 * smtp/data, smtp/dot, smtp/scan: where a message ends, in any split of its
 * bytes; what goes out again never ends it anywhere else. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "smtp/data.h"
#include "smtp/dot.h"
#include "smtp/scan.h"

#include <stdio.h>

#define CR VGM_SMTP_DATA_BARE_CR
#define LF VGM_SMTP_DATA_BARE_LF
#define NUL VGM_SMTP_DATA_NUL
#define BIT8 VGM_SMTP_DATA_8BIT
#define S(literal)                                                                                 \
	{                                                                                          \
		(const uint8_t *)(literal), sizeof(literal) - 1                                    \
	}

/* What one feeding gives; rest = bytes behind the end, not taken. */
struct result {
	struct vgm_buf body;
	unsigned seen;
	bool ended, refused;
	size_t taken;
	uint64_t bare_lf, bare_cr;
};

static void collect(void *context, const struct vgm_slice *pieces, size_t count)
{
	struct vgm_buf *b = context;
	assert_true(count > 0);
	for (size_t i = 0; i < count; i++) {
		assert_true(pieces[i].len > 0);
		assert_int_equal(vgm_buf_add_slice(b, pieces[i]), 0);
	}
}

/* Feeds in pieces: the first of cut bytes, then of step bytes. */
static void run(
    struct vgm_slice in, bool repair, bool chunked, size_t cut, size_t step, struct result *out)
{
	struct vgm_smtp_data d;
	vgm_smtp_data_init(&d, repair, chunked);
	vgm_buf_clear(&out->body);
	size_t at = 0, n = cut;
	while (at < in.len && !vgm_smtp_data_ended(&d)) {
		struct vgm_slice piece = vgm_slice_sub(in, at, at + n);
		/* a copy of its own, so that a sanitizer sees any look beyond it */
		uint8_t *copy = vgm_alloc(piece.len ? piece.len : 1);
		memcpy(copy, piece.data, piece.len);
		size_t taken =
		    vgm_smtp_data_feed(&d, vgm_slice(copy, piece.len), collect, &out->body);
		vgm_free(copy);
		at += taken;
		assert_true(taken == piece.len || vgm_smtp_data_ended(&d));
		n = step;
	}
	if (chunked)
		vgm_smtp_data_finish(&d, collect, &out->body);
	if (vgm_smtp_data_refused(&d))
		vgm_buf_clear(&out->body); /* what was given before the fault is void */
	else
		assert_int_equal(d.size, out->body.len);
	out->seen = d.seen;
	out->ended = vgm_smtp_data_ended(&d);
	out->refused = vgm_smtp_data_refused(&d);
	out->taken = at;
	out->bare_lf = d.bare_lf;
	out->bare_cr = d.bare_cr;
}

static const struct {
	struct vgm_slice in;
	bool ends;
	const char *rest;      /* not taken */
	struct vgm_slice body; /* when not refused */
	unsigned seen;
	struct vgm_slice repaired; /* the body on a door that repairs */
} cases[] = {
    {S(".\r\n"), true, "", S(""), 0, S("")},
    {S("a\r\n.\r\n"), true, "", S("a\r\n"), 0, S("a\r\n")},
    {S("a\r\n.\r\nQUIT\r\n"), true, "QUIT\r\n", S("a\r\n"), 0, S("a\r\n")},
    {S("a\r\n.\r\nMAIL FROM:<\xc3\xa9>\r\n"), true, "MAIL FROM:<\xc3\xa9>\r\n", S("a\r\n"), 0,
	S("a\r\n")},
    {S("..\r\n.\r\n"), true, "", S(".\r\n"), 0, S(".\r\n")},
    {S("...\r\n.\r\n"), true, "", S("..\r\n"), 0, S("..\r\n")},
    {S(".a\r\n.b\r\n.\r\n"), true, "", S("a\r\nb\r\n"), 0, S("a\r\nb\r\n")},
    {S("a.\r\n.\r\n"), true, "", S("a.\r\n"), 0, S("a.\r\n")},
    {S("\r\n\r\n.\r\n"), true, "", S("\r\n\r\n"), 0, S("\r\n\r\n")},
    {S("\xc3\xa9\r\n.\r\n"), true, "", S("\xc3\xa9\r\n"), BIT8, S("\xc3\xa9\r\n")},
    {S("a\r\n..\xc3\xa9\r\n.\r\n"), true, "", S("a\r\n.\xc3\xa9\r\n"), BIT8,
	S("a\r\n.\xc3\xa9\r\n")},
    {S("no end\r\n"), false, "", S("no end\r\n"), 0, S("no end\r\n")},
    {S("no end\r\n."), false, "", S("no end\r\n"), 0, S("no end\r\n")},
    {S("no end\r\n.\r"), false, "", S("no end\r\n"), 0, S("no end\r\n")},
    /* ends that are none, then the true one */
    {S("a\n.\nb\r\n.\r\n"), true, "", S(""), LF, S("a\r\n.\r\nb\r\n")},
    {S("a\n.\r\nb\r\n.\r\n"), true, "", S(""), LF, S("a\r\n.\r\nb\r\n")},
    {S("a\r\n.\nb\r\n.\r\n"), true, "", S(""), LF, S("a\r\n.\r\nb\r\n")},
    {S("a\n..b\n.c\r\n.\r\n"), true, "", S(""), LF, S("a\r\n.b\r\n.c\r\n")},
    {S("a\r.\rb\r\n.\r\n"), true, "", S(""), CR, S("a\r\n.\r\nb\r\n")},
    {S("a\r.\r\nb\r\n.\r\n"), true, "", S(""), CR, S("a\r\n.\r\nb\r\n")},
    {S("a\r\n.\rb\r\n.\r\n"), true, "", S(""), CR, S("a\r\n.\r\nb\r\n")},
    {S("a\r.\nb\r\n.\r\n"), true, "", S(""), CR | LF, S("a\r\n.\r\nb\r\n")},
    {S("a\n.\rb\r\n.\r\n"), true, "", S(""), CR | LF, S("a\r\n.\r\nb\r\n")},
    {S("a\r\r\n.\r\n"), true, "", S(""), CR, S("a\r\n\r\n")},
    {S("a\r\r\n.\r\r\nb\r\n.\r\n"), true, "", S(""), CR, S("a\r\n\r\n.\r\n\r\nb\r\n")},
    {S("a\r\n.\r\r\nb\r\n.\r\n"), true, "", S(""), CR, S("a\r\n.\r\n\r\nb\r\n")},
    {S("a\n\n.\n\nb\r\n.\r\n"), true, "", S(""), LF, S("a\r\n\r\n.\r\n\r\nb\r\n")},
    {S("a\r\n.\0\r\nb\r\n.\r\n"), true, "", S(""), NUL, S("")},
    {S("a\r\n\0.\r\nb\r\n.\r\n"), true, "", S(""), NUL, S("")},
    {S("a\r\0\n.\r\nb\r\n.\r\n"), true, "", S(""), CR | LF | NUL, S("")},
    {S("a\r\n.\r\0\nb\r\n.\r\n"), true, "", S(""), CR | LF | NUL, S("")},
    {S("\0"), false, "", S(""), NUL, S("")},
    {S("a\n"), false, "", S(""), LF, S("a\r\n")},
    {S("a\rb"), false, "", S(""), CR, S("a\r\nb")},
    {S("\n.\r\n.\r\n"), true, "", S(""), LF, S("\r\n.\r\n")},
    {S("\r.\r\n.\r\n"), true, "", S(""), CR, S("\r\n.\r\n")},
};

static void check(size_t i, size_t cut, size_t step, bool repair, struct result *got)
{
	struct vgm_slice in = cases[i].in;
	run(in, repair, false, cut, step, got);
	bool refused = cases[i].seen & (repair ? NUL : CR | LF | NUL);
	struct vgm_slice body = repair ? cases[i].repaired : cases[i].body;
	struct vgm_slice rest = vgm_slice_from(in, got->taken);
	bool ok = got->ended == cases[i].ends && got->refused == refused &&
		  got->seen == cases[i].seen && vgm_slice_eq(rest, vgm_slice_str(cases[i].rest)) &&
		  (refused || vgm_slice_eq(vgm_buf_slice(&got->body), body));
	if (!ok)
		print_message("case %zu, cut %zu, step %zu, repair %d\n", i, cut, step, repair);
	assert_true(ok);
}

static void test_every_split(void **state)
{
	(void)state;
	struct result got = {.body = VGM_BUF_INIT(1000)};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++)
		for (size_t cut = 1; cut <= cases[i].in.len; cut++)
			for (int repair = 0; repair < 2; repair++) {
				check(i, cut, cases[i].in.len, repair, &got);
				check(i, cut, 1, repair, &got);
			}
	vgm_buf_release(&got.body);
}

/* The same cases behind and before runs of plain lines, so that both gears and
 * their changes are passed. */
static void test_in_long_messages(void **state)
{
	(void)state;
	static const size_t lines[] = {0, 1, 3, 20, 300};
	struct result whole = {.body = VGM_BUF_INIT(1 << 20)},
		      split = {.body = VGM_BUF_INIT(1 << 20)};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++)
		for (size_t l = 0; l < VGM_ARRAY_LEN(lines); l++) {
			VGM_CLEANUP(vgm_buf_release) struct vgm_buf in = VGM_BUF_INIT(1 << 20);
			for (size_t n = 0; n < lines[l]; n++)
				assert_int_equal(
				    vgm_buf_add_str(&in, "0123456789 plain text.\r\n"), 0);
			assert_int_equal(vgm_buf_add_slice(&in, cases[i].in), 0);
			struct vgm_slice s = vgm_buf_slice(&in);
			for (int repair = 0; repair < 2; repair++) {
				run(s, repair, false, s.len, s.len, &whole);
				assert_int_equal(whole.ended, cases[i].ends);
				assert_int_equal(whole.seen, cases[i].seen);
				for (size_t step = lines[l] > 20 ? 61 : 1; step < 200;
				     step = step * 3 + 1) {
					run(s, repair, false, step, step, &split);
					assert_int_equal(split.seen, whole.seen);
					assert_int_equal(split.taken, whole.taken);
					assert_true(vgm_slice_eq(vgm_buf_slice(&split.body),
					    vgm_buf_slice(&whole.body)));
				}
			}
		}
	vgm_buf_release(&whole.body);
	vgm_buf_release(&split.body);
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

/* Random text of the bytes that matter: big feeds agree with single bytes. */
static void test_random(void **state)
{
	(void)state;
	static const char alphabet[][12] = {
	    "\r\n.", "\r\n.aaaa", "\r\n\r\n.\0b", "aaaaaa\xe9\r\n."};
	struct result whole = {.body = VGM_BUF_INIT(1 << 16)},
		      split = {.body = VGM_BUF_INIT(1 << 16)};
	uint32_t seed = 20261123;
	uint8_t text[700];
	for (int round = 0; round < 1000; round++) {
		const char *letters = alphabet[round % 4];
		size_t kinds = round % 4 == 2 ? 7 : strlen(letters),
		       len = 1 + next_random(&seed) % sizeof text;
		for (size_t i = 0; i < len; i++)
			text[i] = (uint8_t)letters[next_random(&seed) % kinds];
		for (int mode = 0; mode < 4; mode++) {
			run(vgm_slice(text, len), mode & 1, mode & 2, len, len, &whole);
			run(vgm_slice(text, len), mode & 1, mode & 2, 1, 1, &split);
			assert_int_equal(split.seen, whole.seen);
			assert_int_equal(split.taken, whole.taken);
			assert_int_equal(split.ended, whole.ended);
			assert_int_equal(split.bare_lf, whole.bare_lf);
			assert_int_equal(split.bare_cr, whole.bare_cr);
			assert_true(
			    vgm_slice_eq(vgm_buf_slice(&split.body), vgm_buf_slice(&whole.body)));
		}
	}
	vgm_buf_release(&whole.body);
	vgm_buf_release(&split.body);
}

/* What is let through holds no bare CR, bare LF, NUL — repaired or not. */
static void test_nothing_bare_passes(void **state)
{
	(void)state;
	struct result got = {.body = VGM_BUF_INIT(1000)};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++)
		for (int repair = 0; repair < 2; repair++) {
			run(cases[i].in, repair, false, cases[i].in.len, 1, &got);
			if (!got.ended || got.refused || got.body.len == 0)
				continue;
			assert_int_equal(vgm_smtp_scan(vgm_buf_slice(&got.body)) &
					     (VGM_SMTP_SCAN_BARE | VGM_SMTP_SCAN_NUL),
			    0);
		}
	vgm_buf_release(&got.body);
}

/* BDAT: dots mean nothing; a CR at the very end is bare. */
static void test_chunked(void **state)
{
	(void)state;
	static const struct {
		struct vgm_slice in;
		unsigned seen;
	} chunks[] = {{S("..a\r\n.\r\nb\r\n"), 0}, {S("a\r\n"), 0}, {S("a"), 0}, {S("a\r"), CR},
	    {S("a\r\n\r"), CR}, {S("a\nb"), LF}, {S("\0"), NUL}, {S("\xff"), BIT8}};
	struct result got = {.body = VGM_BUF_INIT(1000)};
	for (size_t i = 0; i < VGM_ARRAY_LEN(chunks); i++)
		for (size_t cut = 1; cut <= chunks[i].in.len; cut++) {
			run(chunks[i].in, false, true, cut, 1, &got);
			assert_int_equal(got.seen, chunks[i].seen);
			assert_int_equal(got.taken, chunks[i].in.len);
			if (!got.refused)
				assert_true(vgm_slice_eq(vgm_buf_slice(&got.body), chunks[i].in));
		}
	vgm_buf_release(&got.body);
}

/* ---- the way out ---- */

static void stuff(struct vgm_slice in, size_t cut, struct vgm_buf *out)
{
	struct vgm_smtp_dot d;
	struct vgm_slice parts[2] = {vgm_slice_sub(in, 0, cut), vgm_slice_from(in, cut)}, piece;
	vgm_smtp_dot_init(&d);
	vgm_buf_clear(out);
	for (int i = 0; i < 2; i++)
		while (vgm_smtp_dot_next(&d, &parts[i], &piece))
			assert_int_equal(vgm_buf_add_slice(out, piece), 0);
	assert_int_equal(vgm_buf_add_slice(out, vgm_smtp_dot_end(&d)), 0);
}

static void test_dot(void **state)
{
	(void)state;
	static const struct {
		struct vgm_slice in;
		const char *out;
	} dots[] = {
	    {S(""), ".\r\n"},
	    {S("a\r\n"), "a\r\n.\r\n"},
	    {S("a"), "a\r\n.\r\n"},
	    {S("."), "..\r\n.\r\n"},
	    {S(".\r\n"), "..\r\n.\r\n"},
	    {S("..\r\n.a\r\n"), "...\r\n..a\r\n.\r\n"},
	    {S("a.\r\nb."), "a.\r\nb.\r\n.\r\n"},
	    {S("a\n.\nb"), "a\r\n..\r\nb\r\n.\r\n"},
	    {S("a\r.\rb"), "a\r\n..\r\nb\r\n.\r\n"},
	    {S("a\r\r\n.\r\r\n"), "a\r\n\r\n..\r\n\r\n.\r\n"},
	    {S("a\r"), "a\r\n.\r\n"},
	    {S("\n\n"), "\r\n\r\n.\r\n"},
	    {S("\r\n.\r"), "\r\n..\r\n.\r\n"},
	};
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf out = VGM_BUF_INIT(1000);
	for (size_t i = 0; i < VGM_ARRAY_LEN(dots); i++)
		for (size_t cut = 0; cut <= dots[i].in.len; cut++) {
			stuff(dots[i].in, cut, &out);
			assert_string_equal(vgm_buf_str(&out), dots[i].out);
		}
}

/* Whatever goes out through dot comes in through data as one message. */
static void test_round_trip(void **state)
{
	(void)state;
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf wire = VGM_BUF_INIT(1 << 20);
	struct result got = {.body = VGM_BUF_INIT(1 << 20)};
	uint8_t *text = vgm_alloc(40000);
	uint32_t seed = 7;
	for (int round = 0; round < 510; round++) {
		size_t len = round < 500 ? next_random(&seed) % 600 : 40000;
		for (size_t i = 0; i < len; i++)
			text[i] = (uint8_t) "\r\n.abcdefghijklmnop"[next_random(&seed) %
								    (round % 3 ? 19 : 4)];
		stuff(vgm_slice(text, len), len / 3, &wire);
		run(vgm_buf_slice(&wire), false, false, wire.len / 3, len > 1000 ? 997 : 1, &got);
		assert_true(got.ended);
		assert_false(got.refused);
		assert_int_equal(got.taken, wire.len);
	}
	/* clean text comes back as it was */
	size_t len = 0;
	while (len + 8 < 40000) {
		memcpy(text + len, len % 3 ? ".dot\r\n" : "plain\r\n", len % 3 ? 6 : 7);
		len += len % 3 ? 6 : 7;
	}
	stuff(vgm_slice(text, len), len / 2, &wire);
	run(vgm_buf_slice(&wire), false, false, 4099, 997, &got);
	assert_true(vgm_slice_eq(vgm_buf_slice(&got.body), vgm_slice(text, len)));
	vgm_free(text);
	vgm_buf_release(&got.body);
}

/* ---- end-of-data sequences collected by others ---- */

/* Undoes "\r", "\n", "\x00" of the JSON text "\\r", ... */
static size_t unescape(const char *in, const char *end, char *out)
{
	size_t n = 0;
	while (in < end) {
		unsigned byte = (unsigned char)*in;
		if (strncmp(in, "\\\\r", 3) == 0) {
			byte = '\r';
			in += 3;
		} else if (strncmp(in, "\\\\n", 3) == 0) {
			byte = '\n';
			in += 3;
		} else if (sscanf(in, "\\\\x%2x", &byte) == 1) {
			in += 5;
		} else {
			in++;
		}
		out[n++] = (char)byte;
	}
	return n;
}

static void check_sequence(const char *sequence, size_t len)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf in = VGM_BUF_INIT(1000);
	static const char hidden[] = "MAIL FROM:<x@y>\r\nRCPT TO:<z@y>\r\nDATA\r\n";
	assert_int_equal(vgm_buf_add_str(&in, "Subject: outer\r\n\r\ntext"), 0);
	assert_int_equal(vgm_buf_add(&in, sequence, len), 0);
	assert_int_equal(vgm_buf_add_str(&in, hidden), 0);
	assert_int_equal(vgm_buf_add_str(&in, "\r\n.\r\n"), 0);
	struct result got = {.body = VGM_BUF_INIT(1000)};
	for (int repair = 0; repair < 2; repair++)
		for (size_t cut = 1; cut <= in.len; cut++) {
			run(vgm_buf_slice(&in), repair, false, cut, in.len, &got);
			assert_true(got.ended);
			assert_int_equal(got.taken, in.len);
			if (!repair)
				assert_true(got.refused);
			else if (!got.refused)
				assert_int_equal(vgm_smtp_scan(vgm_buf_slice(&got.body)) &
						     (VGM_SMTP_SCAN_BARE | VGM_SMTP_SCAN_NUL),
				    0);
		}
	vgm_buf_release(&got.body);
}

static void test_collected_sequences(void **state)
{
	(void)state;
	const char *source = getenv("VGM_SOURCE");
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf path = VGM_BUF_INIT(4096);
	assert_int_equal(
	    vgm_buf_addf(&path, "%s/../shared/conformance/smtp/smuggling-eod.visible.json",
		source ? source : "."),
	    0);
	FILE *f = fopen(vgm_buf_str(&path), "r");
	if (!f) {
		print_message("0 collected sequences tried: the file is missing\n");
		skip();
	}
	char line[1000], sequence[1000];
	size_t tried = 0;
	while (fgets(line, sizeof line, f)) {
		char *from = strstr(line, "\"sequence_escaped\": \"");
		if (!from)
			continue;
		from += strlen("\"sequence_escaped\": \"");
		char *end = strchr(from, '"');
		assert_non_null(end);
		check_sequence(sequence, unescape(from, end, sequence));
		tried++;
	}
	fclose(f);
	print_message("%zu collected sequences tried\n", tried);
	assert_true(tried > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_split),
	    cmocka_unit_test(test_in_long_messages),
	    cmocka_unit_test(test_random),
	    cmocka_unit_test(test_nothing_bare_passes),
	    cmocka_unit_test(test_chunked),
	    cmocka_unit_test(test_dot),
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_collected_sequences),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
