/* SPDX-License-Identifier: EUPL-1.2
 * smtp/server/bdat.c — BDAT (RFC 3030 section 2), with or without LAST.
 *
 * A chunk follows its command whatever we think of it: a refusal is sent at
 * once, and exactly the announced bytes are swallowed, so that none of them is
 * read as a command. Where that cannot be (no number, or a number that nobody
 * would wait for) the session ends. */
#include "smtp/server/internal.h"

#define SWALLOW_TIMES 4 /* chunks up to so many times the largest message are read over */

/* "SIZE" or "SIZE LAST". False: not that. */
static bool parse(struct vgm_slice args, uint64_t *size, bool *last)
{
	size_t space = vgm_slice_find(args, ' ');
	struct vgm_slice word = vgm_slice_trim(vgm_slice_from(args, space));
	*last = vgm_slice_eq_nocase(word, VGM_SLICE_LIT("LAST"));
	return vgm_slice_to_u64(vgm_slice_sub(args, 0, space), UINT64_MAX, size) &&
	       (*last || word.len == 0);
}

/* Refuses the chunk; what comes of it is read over. */
static void refuse(struct vgm_smtp_session *s, struct vgm_smtp_answer no, uint64_t size)
{
	if (size / SWALLOW_TIMES > s->settings->max_size) {
		vgm_smtp_close_with(s, no.code, no.enhanced, no.why);
		return;
	}
	s->swallow = size;
	if (s->transaction && s->state != VGM_SMTP_MAIL)
		vgm_smtp_transaction_refuse(s, no, s->transaction->seen.sender);
	else
		vgm_smtp_error(s, no.code, no.enhanced, no.why, VGM_SLICE_LIT("BDAT"));
}

static bool in_order(const struct vgm_smtp_session *s)
{
	return s->state == VGM_SMTP_RCPT || s->state == VGM_SMTP_BETWEEN;
}

static bool fits(const struct vgm_smtp_session *s, uint64_t size)
{
	uint64_t before = s->state == VGM_SMTP_BETWEEN ? s->transaction->data.size : 0;
	uint64_t max = s->settings->max_size;
	return size <= max && before <= max - size;
}

static void chunk_done(struct vgm_smtp_session *s)
{
	struct transaction *t = s->transaction;
	if (t->last_chunk) {
		vgm_smtp_body_finish(s);
		vgm_smtp_body_end(s);
		return;
	}
	struct vgm_smtp_answer fault = vgm_smtp_body_fault(s);
	if (fault.code) {
		vgm_smtp_transaction_refuse(s, fault, t->seen.sender);
		return;
	}
	vgm_smtp_set_state(s, VGM_SMTP_BETWEEN);
	vgm_smtp_say(s, 250, "2.6.0", VGM_WORDS_smtp_chunk_ok);
}

void vgm_smtp_bdat(struct vgm_smtp_session *s, struct vgm_slice args)
{
	uint64_t size;
	bool last;
	if (!parse(args, &size, &last)) {
		vgm_smtp_close_with(s, 501, "5.5.4", VGM_WORDS_smtp_bad_chunk);
		return;
	}
	if (!in_order(s)) {
		refuse(s, (struct vgm_smtp_answer){503, "5.5.1", VGM_WORDS_smtp_sequence}, size);
		return;
	}
	if (!fits(s, size)) {
		refuse(s, (struct vgm_smtp_answer){552, "5.3.4", VGM_WORDS_smtp_too_big}, size);
		return;
	}
	if (s->state == VGM_SMTP_RCPT && !vgm_smtp_body_begin(s, true)) {
		s->swallow = size;
		return;
	}
	s->transaction->chunk_left = size;
	s->transaction->last_chunk = last;
	vgm_smtp_set_state(s, VGM_SMTP_CHUNK);
	if (size == 0)
		chunk_done(s);
}

size_t vgm_smtp_bdat_feed(struct vgm_smtp_session *s, struct vgm_slice in)
{
	struct transaction *t = s->transaction;
	size_t n = (size_t)(t->chunk_left < in.len ? t->chunk_left : in.len);
	t->chunk_left -= n;
	size_t taken = vgm_smtp_body_feed(s, vgm_slice_sub(in, 0, n));
	VGM_BUG_ON(taken != n);
	if (s->state == VGM_SMTP_CHUNK && t->chunk_left == 0)
		chunk_done(s);
	return n;
}
