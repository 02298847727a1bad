/* SPDX-License-Identifier: EUPL-1.2
 * smtp/address.c — see address.h. A recursive descent over RFC 5321's grammar:
 * each function reads its part at in->at and leaves in->at behind it. */
#include "smtp/address.h"

#include "base/text.h"

#include <arpa/inet.h>

#define LABEL_MAX 63

struct input {
	struct vgm_slice text;
	size_t at;
	unsigned flags;
	struct vgm_err *err;
};

static int invalid(const struct input *in, const char *what)
{
	return vgm_err_set(in->err, VGM_E_INVALID, "%s", what);
}

static int too_long(const struct input *in, const char *what)
{
	return vgm_err_set(in->err, VGM_E_LIMIT, "%s is too long", what);
}

/* The next byte, or -1 at the end. */
static int peek(const struct input *in)
{
	return in->at < in->text.len ? in->text.data[in->at] : -1;
}

static bool take(struct input *in, int c)
{
	if (peek(in) != c)
		return false;
	in->at++;
	return true;
}

static bool is_atext(int c)
{
	if (c < 33 || c > 126)
		return c > 127;
	return vgm_is_alnum((uint8_t)c) || strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL;
}

/* ---- local part ---- */

static int dot_string(struct input *in, struct vgm_buf *out)
{
	size_t start = in->at;
	do {
		size_t atom = in->at;
		while (is_atext(peek(in)))
			in->at++;
		if (in->at == atom)
			return invalid(in, "an empty part in the name before @");
	} while (take(in, '.'));
	return vgm_buf_add_slice(out, vgm_slice_sub(in->text, start, in->at));
}

/* The content of a quoted string without its quoting. */
static int quoted_string(struct input *in, struct vgm_buf *out)
{
	in->at++;
	for (;;) {
		if (take(in, '"'))
			return 0;
		(void)take(in, '\\');
		int c = peek(in);
		if (c < 32 || c == 127)
			return invalid(in, "a control byte or no end in a quoted name");
		int r = vgm_buf_add_byte(out, (uint8_t)c);
		if (r < 0)
			return r;
		in->at++;
	}
}

static bool is_dot_string(struct vgm_slice s)
{
	bool after_dot = true;
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] == '.' ? after_dot : !is_atext(s.data[i]))
			return false;
		after_dot = s.data[i] == '.';
	}
	return !after_dot;
}

static int add_quoted(struct vgm_slice s, struct vgm_buf *out)
{
	int r = vgm_buf_add_byte(out, '"');
	for (size_t i = 0; r == 0 && i < s.len; i++) {
		if (s.data[i] == '"' || s.data[i] == '\\')
			r = vgm_buf_add_byte(out, '\\');
		if (r == 0)
			r = vgm_buf_add_byte(out, s.data[i]);
	}
	return r < 0 ? r : vgm_buf_add_byte(out, '"');
}

static int local_part(struct input *in, struct vgm_buf *out)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf plain = VGM_BUF_INIT(VGM_SMTP_LOCAL_MAX);
	int r = peek(in) == '"' ? quoted_string(in, &plain) : dot_string(in, &plain);
	if (r == VGM_E_LIMIT)
		return too_long(in, "the name before @");
	if (r < 0)
		return r;
	struct vgm_slice s = vgm_buf_slice(&plain);
	return is_dot_string(s) ? vgm_buf_add_slice(out, s) : add_quoted(s, out);
}

/* ---- domain ---- */

static bool is_label_byte(int c)
{
	/* The underscore is not in the RFC's grammar, but in the names of real hosts. */
	return c > 127 || c == '-' || c == '_' || (c >= 0 && vgm_is_alnum((uint8_t)c));
}

static int host_name(struct input *in)
{
	do {
		size_t start = in->at;
		while (is_label_byte(peek(in)))
			in->at++;
		size_t len = in->at - start;
		if (len == 0 || in->text.data[start] == '-' || in->text.data[in->at - 1] == '-')
			return invalid(in, "an empty part of the domain, or a hyphen at its edge");
		if (len > LABEL_MAX)
			return too_long(in, "a part of the domain");
	} while (take(in, '.'));
	return 0;
}

/* "[192.0.2.1]" or "[IPv6:2001:db8::1]". */
static int address_literal(struct input *in)
{
	char copy[INET6_ADDRSTRLEN];
	uint8_t ip[16];
	size_t end = in->at + vgm_slice_find(vgm_slice_from(in->text, in->at), ']');
	struct vgm_slice s = vgm_slice_sub(in->text, in->at + 1, end);
	bool v6 = vgm_slice_starts_nocase(s, VGM_SLICE_LIT("IPv6:"));
	if (v6)
		s = vgm_slice_from(s, 5);
	if (end >= in->text.len || s.len >= sizeof copy || memchr(s.data, 0, s.len))
		return invalid(in, "not an address literal");
	memcpy(copy, s.data, s.len);
	copy[s.len] = 0;
	if (inet_pton(v6 ? AF_INET6 : AF_INET, copy, ip) != 1)
		return invalid(in, "not an address literal");
	in->at = end + 1;
	return 0;
}

static int domain(struct input *in, struct vgm_buf *out)
{
	size_t start = in->at;
	int r = peek(in) == '[' ? address_literal(in) : host_name(in);
	if (r < 0)
		return r;
	if (in->at - start > VGM_SMTP_DOMAIN_MAX)
		return too_long(in, "the domain");
	for (size_t i = start; r == 0 && i < in->at; i++)
		r = vgm_buf_add_byte(out, vgm_ascii_lower(in->text.data[i]));
	return r;
}

/* "@one.example,@two.example:" — to be accepted and ignored (appendix C). */
static int source_route(struct input *in)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf ignored = VGM_BUF_INIT(VGM_SMTP_DOMAIN_MAX);
	do {
		vgm_buf_clear(&ignored);
		int r = take(in, '@') ? domain(in, &ignored) : invalid(in, "a broken source route");
		if (r < 0)
			return r;
	} while (take(in, ','));
	return take(in, ':') ? 0 : invalid(in, "a broken source route");
}

/* ---- whole addresses ---- */

static int mailbox(struct input *in, struct vgm_buf *out)
{
	int r = local_part(in, out);
	if (r < 0)
		return r;
	if (take(in, '@')) {
		r = vgm_buf_add_byte(out, '@');
		return r < 0 ? r : domain(in, out);
	}
	if ((in->flags & VGM_SMTP_PATH_POSTMASTER) &&
	    vgm_slice_eq_nocase(vgm_buf_slice(out), VGM_SLICE_LIT("postmaster")))
		return 0;
	return invalid(in, "no domain");
}

/* UTF-8 only where it was announced, and only well formed. */
static int check_bytes(const struct input *in, struct vgm_slice read)
{
	if (vgm_is_ascii(read))
		return 0;
	if (!vgm_utf8_valid(read))
		return invalid(in, "not valid UTF-8");
	if (in->flags & VGM_SMTP_PATH_UTF8)
		return 0;
	return vgm_err_set(in->err, VGM_E_DENIED, "UTF-8 without SMTPUTF8");
}

static int path(struct input *in, struct vgm_buf *out)
{
	bool bracketed = take(in, '<');
	if (!bracketed && !(in->flags & VGM_SMTP_PATH_BARE))
		return invalid(in, "no <");
	if (bracketed && (in->flags & VGM_SMTP_PATH_NULL) && take(in, '>'))
		return 0;
	int r = bracketed && peek(in) == '@' ? source_route(in) : 0;
	if (r == 0)
		r = mailbox(in, out);
	if (r == 0 && bracketed && !take(in, '>'))
		r = invalid(in, "no >");
	return r;
}

static int run(struct input *in, int (*reader)(struct input *, struct vgm_buf *), bool whole,
    struct vgm_buf *out)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf read = VGM_BUF_INIT(VGM_SMTP_MAILBOX_MAX * 2);
	int r = reader(in, &read);
	if (r == 0 && whole && in->at < in->text.len)
		r = invalid(in, "something behind the address");
	if (r == 0)
		r = check_bytes(in, vgm_slice_sub(in->text, 0, in->at));
	return r < 0 ? r : vgm_buf_add_slice(out, vgm_buf_slice(&read));
}

int vgm_smtp_path_parse(struct vgm_slice text, unsigned flags, struct vgm_buf *out,
    size_t *out_used, struct vgm_err *err)
{
	struct input in = {text, 0, flags, err};
	int r = run(&in, path, false, out);
	if (r == 0)
		*out_used = in.at;
	return r;
}

int vgm_smtp_mailbox_parse(
    struct vgm_slice text, unsigned flags, struct vgm_buf *out, struct vgm_err *err)
{
	struct input in = {text, 0, flags, err};
	return run(&in, mailbox, true, out);
}

int vgm_smtp_domain_parse(
    struct vgm_slice text, unsigned flags, struct vgm_buf *out, struct vgm_err *err)
{
	struct input in = {text, 0, flags, err};
	return run(&in, domain, true, out);
}

struct vgm_slice vgm_smtp_domain_of(struct vgm_slice box)
{
	size_t at = vgm_slice_rfind(box, '@');
	return vgm_slice_from(box, at == box.len ? at : at + 1);
}

struct vgm_slice vgm_smtp_local_of(struct vgm_slice box)
{
	return vgm_slice_sub(box, 0, vgm_slice_rfind(box, '@'));
}

/* ---- xtext ---- */

static int hex_upper(uint8_t c)
{
	if (vgm_is_digit(c))
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int vgm_smtp_xtext_decode(struct vgm_slice text, struct vgm_buf *out, struct vgm_err *err)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf plain = VGM_BUF_INIT(text.len);
	for (size_t i = 0; i < text.len; i++) {
		int c = text.data[i];
		if (c == '+' && i + 2 < text.len) {
			int high = hex_upper(text.data[i + 1]), low = hex_upper(text.data[i + 2]);
			c = high < 0 || low < 0 ? -1 : high * 16 + low;
			i += 2;
		} else if (c <= 32 || c == '+' || c == '=') {
			c = -1;
		}
		if (c < 32 || c == 127)
			return vgm_err_set(err, VGM_E_INVALID, "not valid xtext");
		int r = vgm_buf_add_byte(&plain, (uint8_t)c);
		if (r < 0)
			return r;
	}
	if (!vgm_utf8_valid(vgm_buf_slice(&plain)))
		return vgm_err_set(err, VGM_E_INVALID, "xtext of invalid UTF-8");
	return vgm_buf_add_slice(out, vgm_buf_slice(&plain));
}

int vgm_smtp_xtext_encode(struct vgm_slice bytes, struct vgm_buf *out)
{
	size_t before = out->len;
	int r = 0;
	for (size_t i = 0; r == 0 && i < bytes.len; i++) {
		uint8_t c = bytes.data[i];
		if (c > 32 && c < 127 && c != '+' && c != '=')
			r = vgm_buf_add_byte(out, c);
		else
			r = vgm_buf_addf(out, "+%02X", c);
	}
	if (r < 0)
		vgm_buf_truncate(out, before);
	return r;
}
