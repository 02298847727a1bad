/* SPDX-License-Identifier: EUPL-1.2
 * mime/head.c — see head.h. */
#include "mime/head.h"

#include "base/err.h"
#include "base/text.h"
#include "net/addr.h"

/* The line at the front of s, with its LF; all of s when none comes. */
static struct vgm_slice first_line(struct vgm_slice s)
{
	size_t lf = vgm_slice_find(s, '\n');
	return vgm_slice_sub(s, 0, lf < s.len ? lf + 1 : s.len);
}

static bool is_empty_line(struct vgm_slice line)
{
	return vgm_slice_eq(line, VGM_SLICE_LIT("\r\n")) || vgm_slice_eq(line, VGM_SLICE_LIT("\n"));
}

static bool is_continuation(struct vgm_slice s)
{
	return s.len && (s.data[0] == ' ' || s.data[0] == '\t');
}

size_t vgm_head_length(struct vgm_slice message)
{
	struct vgm_slice rest = message;
	while (rest.len) {
		struct vgm_slice line = first_line(rest);
		rest = vgm_slice_from(rest, line.len);
		if (is_empty_line(line))
			break;
	}
	return message.len - rest.len;
}

void vgm_head_walk_init(struct vgm_head_walk *w, struct vgm_slice message)
{
	*w = (struct vgm_head_walk){.rest = message};
}

bool vgm_head_next(struct vgm_head_walk *w, struct vgm_head_field *out)
{
	while (w->rest.len) {
		struct vgm_slice start = w->rest, line = first_line(start);
		if (is_empty_line(line))
			return false;
		size_t len = line.len;
		while (is_continuation(vgm_slice_from(start, len)))
			len += first_line(vgm_slice_from(start, len)).len;
		w->rest = vgm_slice_from(start, len);
		size_t colon = vgm_slice_find(line, ':');
		if (colon == line.len || colon == 0 || is_continuation(line)) {
			w->junk_lines++;
			continue;
		}
		out->raw = vgm_slice_sub(start, 0, len);
		out->name = vgm_slice_trim(vgm_slice_sub(line, 0, colon));
		out->value = vgm_slice_from(out->raw, colon + 1);
		return true;
	}
	return false;
}

static bool contains(struct vgm_slice s, struct vgm_slice part)
{
	return part.len == 0 || (s.len && memmem(s.data, s.len, part.data, part.len));
}

static bool any_8bit(struct vgm_slice s)
{
	const uint64_t high = 0x8080808080808080u;
	size_t i = 0;
	for (; i + 8 <= s.len; i += 8) {
		uint64_t word;
		memcpy(&word, s.data + i, 8);
		if (word & high)
			return true;
	}
	return !vgm_is_ascii(vgm_slice_from(s, i));
}

static bool is_own_hop(struct vgm_slice value, struct vgm_slice hostname)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf mark = VGM_BUF_INIT(400);
	return vgm_buf_addf(&mark, "by %.*s (Vaguemestre)", VGM_SLICE_ARG(hostname)) == 0 &&
	    contains(value, vgm_buf_slice(&mark));
}

void vgm_head_read(struct vgm_slice message, struct vgm_slice hostname, struct vgm_head_facts *out)
{
	*out = (struct vgm_head_facts){.length = vgm_head_length(message)};
	const struct {
		struct vgm_slice name;
		struct vgm_slice *place;
	} wanted[] = {
	    {VGM_SLICE_LIT("From"), &out->from},
	    {VGM_SLICE_LIT("To"), &out->to},
	    {VGM_SLICE_LIT("Subject"), &out->subject},
	    {VGM_SLICE_LIT("Date"), &out->date},
	    {VGM_SLICE_LIT("Message-ID"), &out->message_id},
	};
	struct vgm_head_walk walk;
	struct vgm_head_field field;
	vgm_head_walk_init(&walk, message);
	while (vgm_head_next(&walk, &field)) {
		out->fields++;
		if (vgm_slice_eq_nocase(field.name, VGM_SLICE_LIT("Received"))) {
			if (out->received++ == 0)
				out->first_received = field.value;
			out->own_hops += is_own_hop(field.value, hostname);
		}
		for (size_t i = 0; i < VGM_ARRAY_LEN(wanted); i++)
			if (wanted[i].place->len == 0 &&
			    vgm_slice_eq_nocase(field.name, wanted[i].name))
				*wanted[i].place = vgm_slice_trim(field.value);
	}
	out->has_8bit = any_8bit(message);
}

static bool starts_by(struct vgm_slice s)
{
	return s.len > 4 && (s.data[0] == ' ' || s.data[0] == '\t' || s.data[0] == '\n') &&
	    vgm_slice_starts_nocase(vgm_slice_from(s, 1), VGM_SLICE_LIT("by "));
}

bool vgm_head_received_from(struct vgm_slice value, uint8_t out_ip[16])
{
	size_t end = 0;
	while (end < value.len && !starts_by(vgm_slice_from(value, end)))
		end++;
	struct vgm_slice clause = vgm_slice_sub(value, 0, end);
	struct vgm_slice rest = vgm_slice_from(clause, vgm_slice_find(clause, '[') + 1);
	struct vgm_slice literal = vgm_slice_sub(rest, 0, vgm_slice_find(rest, ']'));
	if (literal.len == rest.len)
		return false;
	if (vgm_slice_starts_nocase(literal, VGM_SLICE_LIT("IPv6:")))
		literal = vgm_slice_from(literal, 5);
	return vgm_ip_parse(literal, out_ip, NULL) == 0;
}

/* ---- text for people ---- */

static int add_latin1(struct vgm_buf *out, uint8_t c)
{
	uint8_t two[2] = {(uint8_t)(0xC0 | c >> 6), (uint8_t)(0x80 | (c & 0x3F))};
	return c < 0x80 ? vgm_buf_add_byte(out, c) : vgm_buf_add(out, two, 2);
}

static int hex_digit(uint8_t c)
{
	c = vgm_ascii_lower(c);
	return vgm_is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 2047, section 4.2. */
static int decode_q(struct vgm_slice in, struct vgm_buf *out)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < in.len; i++) {
		uint8_t c = in.data[i];
		if (c == '=' && i + 2 < in.len && hex_digit(in.data[i + 1]) >= 0 &&
		    hex_digit(in.data[i + 2]) >= 0) {
			c = (uint8_t)(hex_digit(in.data[i + 1]) << 4 | hex_digit(in.data[i + 2]));
			i += 2;
		} else if (c == '_') {
			c = ' ';
		}
		r = vgm_buf_add_byte(out, c);
	}
	return r;
}

/* "=?charset?B?text?=" at the front of s: its length with the text decoded to
 * UTF-8 in out, or 0 when it is none that we know. */
static size_t encoded_word(struct vgm_slice s, struct vgm_buf *out)
{
	if (!vgm_slice_starts_nocase(s, VGM_SLICE_LIT("=?")))
		return 0;
	size_t q1 = 2 + vgm_slice_find(vgm_slice_from(s, 2), '?');
	if (q1 + 3 >= s.len || s.data[q1 + 2] != '?')
		return 0;
	struct vgm_slice charset = vgm_slice_sub(s, 2, q1);
	charset = vgm_slice_sub(charset, 0, vgm_slice_find(charset, '*')); /* RFC 2231 language */
	size_t start = q1 + 3, end = start + vgm_slice_find(vgm_slice_from(s, start), '?');
	if (end + 1 >= s.len || s.data[end + 1] != '=')
		return 0;
	struct vgm_slice text = vgm_slice_sub(s, start, end);
	bool latin = vgm_slice_eq_nocase(charset, VGM_SLICE_LIT("iso-8859-1"));
	if (!latin && !vgm_slice_eq_nocase(charset, VGM_SLICE_LIT("utf-8")) &&
	    !vgm_slice_eq_nocase(charset, VGM_SLICE_LIT("us-ascii")))
		return 0;
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf bytes = VGM_BUF_INIT(4096);
	uint8_t how = vgm_ascii_lower(s.data[q1 + 1]);
	int r = how == 'b'   ? vgm_base64_decode(text, &bytes)
		: how == 'q' ? decode_q(text, &bytes)
			     : -1;
	if (r < 0 || (!latin && !vgm_utf8_valid(vgm_buf_slice(&bytes))))
		return 0;
	for (size_t i = 0; r == 0 && i < bytes.len; i++)
		r = latin ? add_latin1(out, bytes.data[i]) : vgm_buf_add_byte(out, bytes.data[i]);
	return r < 0 ? 0 : end + 2;
}

static size_t blanks(struct vgm_slice s)
{
	size_t n = 0;
	while (n < s.len &&
	       (s.data[n] == ' ' || s.data[n] == '\t' || s.data[n] == '\r' || s.data[n] == '\n'))
		n++;
	return n;
}

/* Makes what was gathered printable, and cuts it between characters. */
static int put_clean(struct vgm_slice in, size_t max, struct vgm_buf *out)
{
	int r = 0;
	size_t start = out->len;
	for (size_t i = 0; r == 0 && i < in.len;) {
		size_t n = 1;
		while (n < 4 && i + n < in.len && (in.data[i + n] & 0xC0) == 0x80)
			n++;
		struct vgm_slice c = vgm_slice_sub(in, i, i + n);
		bool control = in.data[i] < 0x20 || in.data[i] == 0x7F;
		if (!vgm_utf8_valid(c)) {
			c = VGM_SLICE_LIT("?");
			n = 1;
		} else if (control) {
			c = VGM_SLICE_LIT(" ");
		}
		if (out->len - start + c.len > max)
			break;
		r = vgm_buf_add_slice(out, c);
		i += n;
	}
	return r;
}

int vgm_head_text(struct vgm_slice value, size_t max, struct vgm_buf *out)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf text = VGM_BUF_INIT(65536);
	struct vgm_slice in = vgm_slice_trim(vgm_slice_sub(value, 0, 16384));
	bool after_word = false;
	int r = 0;
	for (size_t i = 0; r == 0 && i < in.len;) {
		struct vgm_slice rest = vgm_slice_from(in, i);
		size_t gap = blanks(rest);
		size_t before = text.len;
		/* Blanks between two encoded words are not shown (RFC 2047, 6.2). */
		if (gap)
			r = vgm_buf_add_byte(&text, ' ');
		size_t n = r == 0 ? encoded_word(vgm_slice_from(rest, gap), &text) : 0;
		if (n && gap && after_word) {
			memmove(text.data + before, text.data + before + 1, text.len - before - 1);
			vgm_buf_truncate(&text, text.len - 1);
		}
		after_word = n > 0;
		if (n == 0 && gap == 0) {
			r = vgm_buf_add_byte(&text, in.data[i]);
			n = 1;
		}
		i += gap + n;
	}
	return r < 0 ? r : put_clean(vgm_buf_slice(&text), max, out);
}
