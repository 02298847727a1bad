/* SPDX-License-Identifier: EUPL-1.2
 * smtp/server/line.c — command lines. Only CR LF ends one. A bare LF is answered
 * at once (its sender may wait), then everything up to the next CR LF is skipped
 * without being read: what hides behind a wrong line end is never a command. */
#include "smtp/server/internal.h"

#define TLS_HANDSHAKE 0x16 /* first byte of a client that speaks TLS to a clear port */

/* Bytes that no command may hold. UTF-8 is judged where it may stand. */
static bool has_control(struct vgm_slice line)
{
	for (size_t i = 0; i < line.len; i++)
		if (line.data[i] < 32 || line.data[i] == 127)
			return true;
	return false;
}

/* Keeps what fits of a line that comes in pieces; its length goes on counting. */
static void gather(struct vgm_smtp_session *s, struct vgm_slice part)
{
	struct line_reader *l = &s->line;
	if (part.len == 0)
		return;
	l->length += part.len;
	l->last = part.data[part.len - 1];
	struct vgm_slice fits = vgm_slice_sub(part, 0, VGM_SMTP_LINE_MAX - l->part.len);
	VGM_BUG_ON(vgm_buf_add_slice(&l->part, fits) < 0);
	if (l->length > VGM_SMTP_LINE_ENDLESS)
		vgm_smtp_close_with(s, 500, "5.5.2", VGM_WORDS_smtp_line_too_long);
}

/* A line without its LF: is it a command? If not, it is answered here. */
static bool accept_line(
    struct vgm_smtp_session *s, struct vgm_slice *line, uint64_t length, bool cr)
{
	struct line_reader *l = &s->line;
	bool skipped = l->skipping;
	l->skipping = !cr;
	if (!cr) {
		vgm_smtp_error(s, 500, "5.5.2", VGM_WORDS_smtp_line_end, VGM_SLICE_NONE);
		return false;
	}
	if (skipped)
		return false;
	if (length > VGM_SMTP_LINE_MAX) {
		vgm_smtp_error(s, 500, "5.5.2", VGM_WORDS_smtp_line_too_long, VGM_SLICE_NONE);
		return false;
	}
	line->len--;
	if (has_control(*line)) {
		vgm_smtp_error(s, 500, "5.5.2", VGM_WORDS_smtp_line_control, *line);
		return false;
	}
	return true;
}

bool vgm_smtp_take_line(struct vgm_smtp_session *s, struct vgm_slice *in, struct vgm_slice *out)
{
	struct line_reader *l = &s->line;
	size_t lf = vgm_slice_find(*in, '\n');
	struct vgm_slice part = vgm_slice_sub(*in, 0, lf);
	bool ended = lf < in->len, alone = ended && l->length == 0;
	if (s->first_command && l->length == 0 && in->data[0] == TLS_HANDSHAKE) {
		vgm_smtp_close_with(s, 500, "5.5.1", VGM_WORDS_smtp_not_smtp);
		return false;
	}
	*in = vgm_slice_from(*in, lf + 1);
	/* Nearly always a line stands whole in the input and needs no copy. */
	if (!alone)
		gather(s, part);
	if (!ended || s->state == VGM_SMTP_CLOSING)
		return false;
	*out = alone ? part : vgm_buf_slice(&l->part);
	uint64_t length = alone ? part.len : l->length;
	bool cr = alone ? part.len && part.data[part.len - 1] == '\r' : l->last == '\r';
	l->length = 0;
	bool taken = accept_line(s, out, length, cr);
	if (!taken)
		vgm_buf_wipe(&l->part);
	return taken;
}
