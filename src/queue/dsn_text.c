/* SPDX-License-Identifier: EUPL-1.2
 * queue/dsn_text.c — see dsn_text.h. */
#include "queue/dsn_text.h"

#include "base/text.h"

#include <stdio.h>

#define TRY(call)                                                                                  \
	do {                                                                                       \
		int r_ = (call);                                                                   \
		if (r_ < 0)                                                                        \
			return r_;                                                                 \
	} while (0)

/* Takes the next line off text, without its end. False at the end of text. */
static bool next_line(struct vgm_slice *text, struct vgm_slice *out)
{
	if (text->len == 0)
		return false;
	size_t end = vgm_slice_find(*text, '\n');
	size_t cut = end > 0 && end < text->len && text->data[end - 1] == '\r' ? end - 1 : end;

	*out = vgm_slice_sub(*text, 0, cut);
	*text = vgm_slice_from(*text, end + 1);
	return true;
}

/* ---- escaped text ---- */

/* Length of the UTF-8 sequence at the start of s and its code point; a byte that
 * starts none counts alone. */
static size_t code_point(struct vgm_slice s, uint32_t *out)
{
	static const uint8_t masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint8_t c = s.data[0];
	size_t len = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;

	*out = c;
	if (len == 1 || len > s.len || !vgm_utf8_valid(vgm_slice_sub(s, 0, len)))
		return 1;
	*out = c & masks[len];
	for (size_t i = 1; i < len; i++)
		*out = *out << 6 | (s.data[i] & 0x3f);
	return len;
}

/* also: printable bytes that must be escaped too. */
static int add_escaped(struct vgm_buf *out, struct vgm_slice s, size_t max, const char *also)
{
	size_t start = out->len;

	while (s.len) {
		uint32_t c;
		size_t used = code_point(s, &c);
		char piece[16];
		bool plain = c >= ' ' && c <= '~' && !strchr(also, (int)c);
		int len = snprintf(piece, sizeof(piece), plain ? "%c" : "\\x{%02X}", (int)c);

		if (out->len - start + (size_t)len + 3 > max)
			return vgm_buf_add_str(out, "...");
		TRY(vgm_buf_add(out, piece, (size_t)len));
		s = vgm_slice_from(s, used);
	}
	return 0;
}

int vgm_dsn_add_text(struct vgm_buf *out, struct vgm_slice s, size_t max)
{
	return add_escaped(out, s, max, "");
}

int vgm_dsn_add_typed_address(struct vgm_buf *out, struct vgm_slice address)
{
	bool ascii = vgm_is_ascii(address);

	TRY(vgm_buf_add_str(out, ascii ? "rfc822; " : "utf-8; "));
	return add_escaped(out, address, VGM_DSN_VALUE_MAX, ascii ? "" : "\\+=");
}

int vgm_dsn_add_mailbox(struct vgm_buf *out, struct vgm_slice address)
{
	bool fit = address.len > 0 && address.len <= VGM_DSN_VALUE_MAX && vgm_utf8_valid(address);

	for (size_t i = 0; i < address.len; i++)
		fit = fit && address.data[i] >= ' ' && address.data[i] != 127;
	if (!fit)
		return vgm_buf_add_str(out, "undisclosed-recipients:;");
	return vgm_buf_addf(out, "<%.*s>", VGM_SLICE_ARG(address));
}

/* ---- encodings ---- */

int vgm_dsn_add_encoded_words(struct vgm_buf *out, struct vgm_slice utf8)
{
	bool first = true;

	if (vgm_dsn_is_plain(utf8) && utf8.len <= 70)
		return vgm_buf_add_slice(out, utf8);
	while (utf8.len) {
		/* 45 bytes make 60 characters; a code point is never cut in two. */
		size_t n = vgm_min_size(45, utf8.len);

		while (n > 1 && n < utf8.len && (utf8.data[n] & 0xc0) == 0x80)
			n--;
		TRY(vgm_buf_add_str(out, first ? "=?utf-8?B?" : "\r\n =?utf-8?B?"));
		TRY(vgm_base64_encode(vgm_slice_sub(utf8, 0, n), out));
		TRY(vgm_buf_add_str(out, "?="));
		utf8 = vgm_slice_from(utf8, n);
		first = false;
	}
	return 0;
}

static int add_quoted_line(struct vgm_buf *out, struct vgm_slice line)
{
	size_t column = 0;

	for (size_t i = 0; i < line.len; i++) {
		uint8_t c = line.data[i];
		bool last = i + 1 == line.len;
		bool plain =
		    (c > ' ' && c <= '~' && c != '=') || ((c == ' ' || c == '\t') && !last);
		size_t width = plain ? 1 : 3;

		if (column + width > 75) {
			TRY(vgm_buf_add_str(out, "=\r\n"));
			column = 0;
		}
		/* A line "." or one that begins "From " is changed by some servers. */
		if (plain && column == 0 && (c == '.' || c == 'F'))
			plain = false;
		TRY(plain ? vgm_buf_add_byte(out, c) : vgm_buf_addf(out, "=%02X", c));
		column += plain ? 1 : 3;
	}
	return vgm_buf_add_str(out, "\r\n");
}

int vgm_dsn_add_quoted_printable(struct vgm_buf *out, struct vgm_slice text)
{
	struct vgm_slice line;

	while (next_line(&text, &line))
		TRY(add_quoted_line(out, line));
	return 0;
}

int vgm_dsn_add_lines(struct vgm_buf *out, struct vgm_slice text)
{
	struct vgm_slice line;

	while (next_line(&text, &line)) {
		TRY(vgm_buf_add_slice(out, line));
		TRY(vgm_buf_add_str(out, "\r\n"));
	}
	return 0;
}

/* ---- the original's header ---- */

struct vgm_slice vgm_dsn_header_block(struct vgm_slice message)
{
	bool cut = message.len > VGM_DSN_HEADER_MAX;
	struct vgm_slice rest = vgm_slice_sub(message, 0, VGM_DSN_HEADER_MAX), line;
	size_t end = 0;

	while (next_line(&rest, &line)) {
		/* The last piece of a cut block may be half a line. */
		if (line.len == 0 || (cut && rest.len == 0))
			break;
		end = (size_t)(rest.data - message.data);
	}
	return vgm_slice_sub(message, 0, end);
}

bool vgm_dsn_is_plain(struct vgm_slice lines)
{
	struct vgm_slice line;

	while (next_line(&lines, &line)) {
		if (line.len > VGM_DSN_VALUE_MAX)
			return false;
		for (size_t i = 0; i < line.len; i++)
			if (line.data[i] != '\t' && (line.data[i] < ' ' || line.data[i] > '~'))
				return false;
	}
	return true;
}

/* A message id that may stand in our own header: one word in angle brackets. */
static bool is_message_id(struct vgm_slice s)
{
	if (s.len < 3 || s.len > 250 || s.data[0] != '<' || s.data[s.len - 1] != '>')
		return false;
	for (size_t i = 1; i + 1 < s.len; i++)
		if (s.data[i] <= ' ' || s.data[i] > '~' || s.data[i] == '<' || s.data[i] == '>')
			return false;
	return true;
}

struct vgm_slice vgm_dsn_message_id(struct vgm_slice message)
{
	struct vgm_slice rest = vgm_dsn_header_block(message), line;

	while (next_line(&rest, &line)) {
		if (!vgm_slice_starts_nocase(line, VGM_SLICE_LIT("message-id:")))
			continue;
		struct vgm_slice id = vgm_slice_trim(vgm_slice_from(line, 11));
		/* The id may stand alone on the line after. */
		if (id.len == 0 && rest.len && (rest.data[0] == ' ' || rest.data[0] == '\t') &&
		    next_line(&rest, &line))
			id = vgm_slice_trim(line);
		return is_message_id(id) ? id : VGM_SLICE_NONE;
	}
	return VGM_SLICE_NONE;
}
