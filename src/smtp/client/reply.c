/* SPDX-License-Identifier: EUPL-1.2
 * smtp/client/reply.c — see reply.h. */
#include "smtp/client/reply.h"

#include "base/text.h"

#include <stdio.h>

void vgm_smtp_reply_init(struct vgm_smtp_reply *r)
{
	*r = (struct vgm_smtp_reply){
	    .lines = VGM_BUF_INIT(VGM_SMTP_REPLY_BYTES),
	    .line = VGM_BUF_INIT(VGM_SMTP_REPLY_BYTES),
	};
}

void vgm_smtp_reply_release(struct vgm_smtp_reply *r)
{
	vgm_buf_release(&r->lines);
	vgm_buf_release(&r->line);
}

static void start(struct vgm_smtp_reply *r)
{
	vgm_buf_clear(&r->lines);
	vgm_buf_clear(&r->line);
	r->bytes = r->count = 0;
	r->code = 0;
	r->complete = false;
}

/* One line without its end: "250-text", "250 text", "250". */
static int take_line(struct vgm_smtp_reply *r, struct vgm_slice line, struct vgm_err *err)
{
	const uint8_t *d = line.data;
	uint64_t code;

	if (line.len < 3 || !vgm_slice_to_u64(vgm_slice_sub(line, 0, 3), 999, &code))
		return vgm_err_set(err, VGM_E_INVALID, "a reply line without code");
	if (code < 200 || code > 599)
		return vgm_err_set(err, VGM_E_INVALID, "a reply code that does not exist");
	if (line.len > 3 && d[3] != ' ' && d[3] != '-')
		return vgm_err_set(err, VGM_E_INVALID, "a reply code without separator");
	if (r->count > 0 && code != r->code)
		return vgm_err_set(err, VGM_E_INVALID, "two codes in one reply");
	if (++r->count > VGM_SMTP_REPLY_LINES)
		return vgm_err_set(err, VGM_E_LIMIT, "a reply of too many lines");
	r->code = (uint16_t)code;
	r->complete = line.len == 3 || d[3] == ' ';
	/* Within the ceiling: bytes counts more than what is kept. */
	int result = vgm_buf_add_slice(&r->lines, vgm_slice_from(line, 4));
	return result < 0 ? result : vgm_buf_add_byte(&r->lines, '\n');
}

static int end_line(struct vgm_smtp_reply *r, struct vgm_slice tail, struct vgm_err *err)
{
	struct vgm_slice line = tail;

	if (r->line.len) {
		int result = vgm_buf_add_slice(&r->line, tail);

		if (result < 0)
			return result;
		line = vgm_buf_slice(&r->line);
	}
	if (line.len && line.data[line.len - 1] == '\r')
		line.len--;
	int result = take_line(r, line, err);
	vgm_buf_clear(&r->line);
	return result;
}

int vgm_smtp_reply_feed(struct vgm_smtp_reply *r, struct vgm_slice *in, struct vgm_err *err)
{
	if (r->complete)
		start(r);
	while (in->len) {
		size_t n = vgm_slice_find(*in, '\n');
		struct vgm_slice piece = vgm_slice_sub(*in, 0, n);
		bool ends = n < in->len;
		int result;

		*in = vgm_slice_from(*in, n + 1);
		r->bytes += piece.len + 1;
		if (r->bytes > VGM_SMTP_REPLY_BYTES)
			return vgm_err_set(err, VGM_E_LIMIT, "a reply without end");
		result = ends ? end_line(r, piece, err) : vgm_buf_add_slice(&r->line, piece);
		if (result < 0)
			return result;
		if (r->complete)
			return 1;
	}
	return 0;
}

/* ---- a complete reply ---- */

bool vgm_smtp_reply_line(struct vgm_slice *rest, struct vgm_slice *out)
{
	if (rest->len == 0)
		return false;
	size_t n = vgm_slice_find(*rest, '\n');
	*out = vgm_slice_sub(*rest, 0, n);
	*rest = vgm_slice_from(*rest, n + 1);
	return true;
}

/* Cuts escaped text to max bytes, no code point in two. */
static void cut(struct vgm_buf *text, size_t max)
{
	if (text->len <= max)
		return;
	size_t keep = max - 3;
	while (keep > 0 && (text->data[keep] & 0xc0) == 0x80)
		keep--;
	vgm_buf_truncate(text, keep);
	VGM_BUG_ON(vgm_buf_add_str(text, "...") < 0);
}

void vgm_smtp_reply_text(const struct vgm_smtp_reply *r, struct vgm_buf *out)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf raw = VGM_BUF_INIT(VGM_SMTP_REPLY_BYTES + 8);
	VGM_CLEANUP(vgm_buf_release)
	struct vgm_buf text = VGM_BUF_INIT(8 * VGM_SMTP_REPLY_TEXT_MAX);
	struct vgm_slice rest = vgm_buf_slice(&r->lines), line;
	int failed = vgm_buf_addf(&raw, "%u", r->code);

	while (vgm_smtp_reply_line(&rest, &line)) {
		failed |= vgm_buf_add_byte(&raw, ' ');
		failed |= vgm_buf_add_slice(&raw, line);
	}
	failed |=
	    vgm_text_escape(vgm_slice_trim(vgm_buf_slice(&raw)), VGM_SMTP_REPLY_TEXT_MAX, &text);
	cut(&text, VGM_SMTP_REPLY_TEXT_MAX);
	vgm_buf_clear(out);
	failed |= vgm_buf_add_slice(out, vgm_buf_slice(&text));
	VGM_BUG_ON(failed < 0);
}

/* Length of "5.1.1" at the start of s, or 0. */
static size_t enhanced_length(struct vgm_slice s, uint8_t class)
{
	size_t i = 0;

	for (int part = 0; part < 3; part++) {
		size_t digits = 0;

		if (part && (i >= s.len || s.data[i++] != '.'))
			return 0;
		while (i < s.len && vgm_is_digit(s.data[i]) && digits < 3) {
			i++;
			digits++;
		}
		if (digits == 0)
			return 0;
	}
	if (s.data[0] != class || s.data[1] != '.')
		return 0;
	return i == s.len || s.data[i] == ' ' ? i : 0;
}

void vgm_smtp_reply_enhanced(const struct vgm_smtp_reply *r, char out[VGM_SMTP_ENHANCED_BYTES])
{
	uint8_t class = (uint8_t)('0' + r->code / 100);
	struct vgm_slice text = vgm_buf_slice(&r->lines);
	size_t n = enhanced_length(vgm_slice_sub(text, 0, vgm_slice_find(text, '\n')), class);

	if (n)
		(void)snprintf(
		    out, VGM_SMTP_ENHANCED_BYTES, "%.*s", (int)n, (const char *)text.data);
	else
		(void)snprintf(out, VGM_SMTP_ENHANCED_BYTES, "%c.0.0", class);
}

/* Where needle ends in s, ASCII case folded; 0 = nowhere. */
static size_t find_end(struct vgm_slice s, struct vgm_slice needle)
{
	for (size_t i = 0; i + needle.len <= s.len; i++)
		if (vgm_slice_starts_nocase(vgm_slice_from(s, i), needle))
			return i + needle.len;
	return 0;
}

struct vgm_slice vgm_smtp_reply_reference(const struct vgm_smtp_reply *r)
{
	static const struct vgm_slice marks[] = {{(const uint8_t *)"queued as ", 10},
	    {(const uint8_t *)"InternalId=", 11}, {(const uint8_t *)" id=", 4}};
	struct vgm_slice text = vgm_buf_slice(&r->lines);

	for (size_t i = 0; i < VGM_ARRAY_LEN(marks); i++) {
		size_t from = find_end(text, marks[i]), end = from;

		if (from == 0)
			continue;
		while (end < text.len && text.data[end] > ' ' && text.data[end] <= '~' &&
		       !strchr(",;])", text.data[end]))
			end++;
		if (end > from && end - from <= 200)
			return vgm_slice_sub(text, from, end);
	}
	return VGM_SLICE_NONE;
}
