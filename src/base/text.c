/* SPDX-License-Identifier: EUPL-1.2
 * base/text.c — see text.h. */
#include "base/text.h"

#include "base/err.h"

/* Length of the well-formed sequence at s[i], or 0 (RFC 3629, section 4). */
static size_t utf8_sequence(struct vgm_slice s, size_t i)
{
	uint8_t c = s.data[i];
	if (c < 0x80)
		return 1;
	size_t n = c >= 0xC2 && c <= 0xDF ? 2
	    : (c & 0xF0) == 0xE0      ? 3
	    : c >= 0xF0 && c <= 0xF4  ? 4
	                              : 0;
	if (n == 0 || s.len - i < n)
		return 0;
	for (size_t k = 1; k < n; k++)
		if ((s.data[i + k] & 0xC0) != 0x80)
			return 0;
	uint8_t next = s.data[i + 1];
	bool wrong = (c == 0xE0 && next < 0xA0) || (c == 0xED && next > 0x9F) ||
	    (c == 0xF0 && next < 0x90) || (c == 0xF4 && next > 0x8F);
	return wrong ? 0 : n;
}

bool vgm_utf8_valid(struct vgm_slice s)
{
	for (size_t i = 0; i < s.len;) {
		size_t n = utf8_sequence(s, i);
		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

bool vgm_is_ascii(struct vgm_slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] >= 0x80)
			return false;
	return true;
}

int vgm_hex_encode(struct vgm_slice in, struct vgm_buf *out)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t *p;
	if (in.len > SIZE_MAX / 2)
		return VGM_E_LIMIT;
	int r = vgm_buf_extend(out, in.len * 2, &p);
	for (size_t i = 0; r == 0 && i < in.len; i++) {
		*p++ = (uint8_t)digits[in.data[i] >> 4];
		*p++ = (uint8_t)digits[in.data[i] & 15];
	}
	return r;
}

static int hex_value(uint8_t c)
{
	c = vgm_ascii_lower(c);
	return vgm_is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int vgm_hex_decode(struct vgm_slice in, uint8_t *out, size_t out_len)
{
	if (in.len % 2 || in.len / 2 != out_len)
		return VGM_E_INVALID;
	for (size_t i = 0; i < in.len; i++)
		if (hex_value(in.data[i]) < 0)
			return VGM_E_INVALID;
	for (size_t i = 0; i < out_len; i++)
		out[i] = (uint8_t)(hex_value(in.data[2 * i]) << 4 | hex_value(in.data[2 * i + 1]));
	return 0;
}

int vgm_base64_encode(struct vgm_slice in, struct vgm_buf *out)
{
	static const char alphabet[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t *p;
	if (in.len > SIZE_MAX / 2)
		return VGM_E_LIMIT;
	int r = vgm_buf_extend(out, (in.len + 2) / 3 * 4, &p);
	for (size_t i = 0; r == 0 && i < in.len; i += 3) {
		size_t left = in.len - i;
		uint32_t v = (uint32_t)in.data[i] << 16 |
		    (left > 1 ? (uint32_t)in.data[i + 1] << 8 : 0) |
		    (left > 2 ? in.data[i + 2] : 0);
		*p++ = (uint8_t)alphabet[v >> 18];
		*p++ = (uint8_t)alphabet[v >> 12 & 63];
		*p++ = left > 1 ? (uint8_t)alphabet[v >> 6 & 63] : '=';
		*p++ = left > 2 ? (uint8_t)alphabet[v & 63] : '=';
	}
	return r;
}

static int base64_value(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (vgm_is_digit(c))
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int vgm_base64_decode(struct vgm_slice in, struct vgm_buf *out)
{
	size_t before = out->len;
	if (in.len % 4)
		return VGM_E_INVALID;
	for (size_t i = 0; i < in.len; i += 4) {
		bool last = i + 4 == in.len, one = last && in.data[i + 3] == '=';
		size_t pad = one ? in.data[i + 2] == '=' ? 2 : 1 : 0;
		uint32_t v = 0;
		int r = 0;
		for (size_t k = 0; k < 4; k++) {
			int x = k >= 4 - pad ? 0 : base64_value(in.data[i + k]);
			if (x < 0)
				r = VGM_E_INVALID;
			v = v << 6 | (uint32_t)(x & 63);
		}
		/* Bits that no byte uses must be zero: one text for one value. */
		if ((pad == 1 && (v & 0xFF)) || (pad == 2 && (v & 0xFFFF)))
			r = VGM_E_INVALID;
		uint8_t bytes[3] = {(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
		if (r == 0)
			r = vgm_buf_add(out, bytes, 3 - pad);
		if (r < 0) {
			vgm_buf_truncate(out, before);
			return r;
		}
	}
	return 0;
}

int vgm_text_escape(struct vgm_slice in, size_t max_bytes, struct vgm_buf *out)
{
	struct vgm_slice s = vgm_slice_sub(in, 0, max_bytes);
	int r = 0;
	for (size_t i = 0; r == 0 && i < s.len;) {
		size_t n = utf8_sequence(s, i);
		uint8_t c = s.data[i];
		/* C1 controls (U+0080..U+009F) move a terminal as C0 does. */
		bool c1 = n == 2 && c == 0xC2 && s.data[i + 1] < 0xA0;
		if (n == 0 || c < 0x20 || c == 0x7F || c1) {
			r = vgm_buf_addf(out, "\\x%02x", c);
			i += 1;
		} else {
			r = c == '\\' ? vgm_buf_add_str(out, "\\\\")
			              : vgm_buf_add(out, s.data + i, n);
			i += n;
		}
	}
	if (r == 0 && s.len < in.len)
		r = vgm_buf_add_str(out, "...");
	return r;
}

int vgm_text_mask_address(struct vgm_slice address, struct vgm_buf *out)
{
	size_t at = vgm_slice_rfind(address, '@');
	if (address.len == 0)
		return vgm_buf_add_str(out, "<>");
	size_t first = utf8_sequence(address, 0);
	size_t kept = vgm_min_size(first ? first : 1, at);
	int r = vgm_text_escape(vgm_slice_sub(address, 0, kept), 4, out);
	if (r == 0)
		r = vgm_buf_add_str(out, "***");
	if (r == 0)
		r = vgm_text_escape(vgm_slice_from(address, at), 260, out);
	return r;
}
