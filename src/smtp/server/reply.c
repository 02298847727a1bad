/* SPDX-License-Identifier: EUPL-1.2
 * smtp/server/reply.c — replies (RFC 5321 section 4.2, RFC 2034). ASCII, unless
 * the transaction speaks SMTPUTF8. Each refusal says whom to call and under
 * which reference the site finds it. */
#include "smtp/server/internal.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>

#define LINE_MAX_TEXT 480 /* of a reply line, leaving room for code and CR LF */
#define TEXT_MAX 2000
#define ABOUT_MAX 320

static bool speaks_utf8(const struct vgm_smtp_session *s)
{
	return s->transaction && (s->transaction->seen.flags & VGM_ADMIT_UTF8);
}

/* Where to break text that does not fit one line: at a space if there is one. */
static size_t line_end(struct vgm_slice text)
{
	if (text.len <= LINE_MAX_TEXT)
		return text.len;
	size_t space = vgm_slice_rfind(vgm_slice_sub(text, 0, LINE_MAX_TEXT), ' ');
	return space > 0 && space < LINE_MAX_TEXT ? space : LINE_MAX_TEXT;
}

static void put(
    struct vgm_smtp_session *s, unsigned code, const char *enhanced, struct vgm_slice text)
{
	int r = 0;
	do {
		size_t n = line_end(text);
		struct vgm_slice line = vgm_slice_sub(text, 0, n);
		text = vgm_slice_trim(vgm_slice_from(text, n));
		r = vgm_buf_addf(&s->output, "%u%c%s%s%.*s\r\n", code, text.len ? '-' : ' ',
		    enhanced ? enhanced : "", enhanced ? " " : "", VGM_SLICE_ARG(line));
	} while (r == 0 && text.len);
	/* A client that makes so many replies reads none of them. */
	if (r < 0)
		vgm_smtp_set_state(s, VGM_SMTP_CLOSING);
}

/* "Help: telephone ... reference ..." behind a refusal. */
static int add_help(struct vgm_smtp_session *s, struct vgm_buf *text)
{
	const char *phone = s->settings->phone;
	int r = vgm_buf_add_byte(text, ' ');
	if (r < 0)
		return r;
	if (phone[0])
		return vgm_words_fill(VGM_WORDS_smtp_help_phone, s->settings->language, text,
		    "phone", phone, "reference", s->reference, NULL);
	return vgm_words_fill(
	    VGM_WORDS_smtp_help, s->settings->language, text, "reference", s->reference, NULL);
}

static void send_text(
    struct vgm_smtp_session *s, unsigned code, const char *enhanced, struct vgm_slice text)
{
	if (speaks_utf8(s) || vgm_is_ascii(text)) {
		put(s, code, enhanced, text);
		return;
	}
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf ascii = VGM_BUF_INIT(TEXT_MAX * 2);
	if (vgm_words_ascii(text, &ascii) == 0)
		put(s, code, enhanced, vgm_buf_slice(&ascii));
	else
		put(s, code, enhanced, VGM_SLICE_NONE);
}

void vgm_smtp_say_text(
    struct vgm_smtp_session *s, unsigned code, const char *enhanced, struct vgm_slice text)
{
	send_text(s, code, enhanced, text);
}

/* In a unit that reads well: "50 M", "900 k". */
static void size_text(uint64_t bytes, char out[32])
{
	if (bytes >= 1u << 20)
		snprintf(out, 32, "%llu M", (unsigned long long)(bytes >> 20));
	else
		snprintf(out, 32, "%llu k", (unsigned long long)((bytes + 1023) >> 10));
}

static int fill(struct vgm_smtp_session *s, struct vgm_smtp_answer a, struct vgm_slice about,
    struct vgm_buf *text)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf shown = VGM_BUF_INIT(ABOUT_MAX * 4 + 4);
	char max[32];
	size_text(s->settings->max_size, max);
	int r = vgm_text_escape(about, ABOUT_MAX, &shown);
	if (r < 0)
		return r;
	r = vgm_words_fill(a.why, s->settings->language, text, "address", vgm_buf_str(&shown),
	    "max", max, "hostname", s->settings->hostname, NULL);
	return r < 0 ? r : add_help(s, text);
}

void vgm_smtp_say_about(
    struct vgm_smtp_session *s, struct vgm_smtp_answer a, struct vgm_slice about)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf text = VGM_BUF_INIT(TEXT_MAX);
	if (a.code < 400) {
		vgm_smtp_say(s, a.code, a.enhanced, a.why);
		return;
	}
	/* A text that is too long for a reply is our mistake, not worth a session. */
	if (fill(s, a, about, &text) < 0)
		vgm_buf_clear(&text);
	send_text(s, a.code, a.enhanced, vgm_buf_slice(&text));
	s->events->refused(s->context, a.code, a.why, about);
}

void vgm_smtp_say(
    struct vgm_smtp_session *s, unsigned code, const char *enhanced, enum vgm_words_id why)
{
	struct vgm_smtp_answer a = {code, enhanced, why};
	if (code >= 400) {
		vgm_smtp_say_about(s, a, VGM_SLICE_NONE);
		return;
	}
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf text = VGM_BUF_INIT(TEXT_MAX);
	if (vgm_words_fill(
		why, s->settings->language, &text, "hostname", s->settings->hostname, NULL) < 0)
		vgm_buf_clear(&text);
	send_text(s, code, enhanced, vgm_buf_slice(&text));
}

void vgm_smtp_say_line(struct vgm_smtp_session *s, const char *line)
{
	if (vgm_buf_addf(&s->output, "%s\r\n", line) < 0)
		vgm_smtp_set_state(s, VGM_SMTP_CLOSING);
}

void vgm_smtp_say_list(struct vgm_smtp_session *s, bool last, const char *fmt, ...)
{
	char text[VGM_SMTP_LINE_SHORT];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (vgm_buf_addf(&s->output, "250%c%s\r\n", last ? ' ' : '-', text) < 0)
		vgm_smtp_set_state(s, VGM_SMTP_CLOSING);
}

void vgm_smtp_close_with(
    struct vgm_smtp_session *s, unsigned code, const char *enhanced, enum vgm_words_id why)
{
	vgm_smtp_say(s, code, enhanced, why);
	s->was_cut |= code >= 400;
	vgm_smtp_transaction_drop(s);
	vgm_smtp_set_state(s, VGM_SMTP_CLOSING);
}

void vgm_smtp_error(struct vgm_smtp_session *s, unsigned code, const char *enhanced,
    enum vgm_words_id why, struct vgm_slice about)
{
	struct vgm_smtp_answer a = {code, enhanced, why};
	vgm_smtp_say_about(s, a, about);
	if (++s->errors >= s->settings->max_errors && s->state != VGM_SMTP_CLOSING)
		vgm_smtp_close_with(s, 421, "4.7.0", VGM_WORDS_smtp_too_many_errors);
}
