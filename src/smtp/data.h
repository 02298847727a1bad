/* SPDX-License-Identifier: EUPL-1.2
 * smtp/data.h — the bytes of a message as they come in: where they end, and
 * what is wrong with their line ends (RFC 5321 sections 2.3.8 and 4.1.1.4).
 *
 * There is one end of data: CR LF . CR LF. No fault in between changes that, so
 * nothing that a fault hides is ever read as a command (SMTP smuggling). A bare
 * CR, a bare LF or a NUL is noted; what the sender meant is not guessed at,
 * except on a door for machines that cannot be mended, where a bare CR or LF is
 * made a line end (repair). A NUL is never repaired.
 *
 * BDAT gives the same bytes without dots and with a count (chunked). */
#ifndef VGM_SMTP_DATA_H
#define VGM_SMTP_DATA_H

#include "base/slice.h"

enum vgm_smtp_data_seen {
	VGM_SMTP_DATA_BARE_CR = 1,
	VGM_SMTP_DATA_BARE_LF = 2,
	VGM_SMTP_DATA_NUL = 4,
	VGM_SMTP_DATA_8BIT = 8, /* not a fault: bytes above 127 */
};

enum vgm_smtp_data_state {
	VGM_SMTP_DATA_LINE,        /* at the start of a line that CR LF began */
	VGM_SMTP_DATA_MIDDLE,      /* in a line */
	VGM_SMTP_DATA_CR,          /* behind a CR */
	VGM_SMTP_DATA_DOT,         /* behind a dot that begins a line */
	VGM_SMTP_DATA_DOT_CR,      /* behind that and CR: LF ends the data */
	VGM_SMTP_DATA_BROKEN_LINE, /* repair: at the start of a line behind a bare CR or LF */
	VGM_SMTP_DATA_BROKEN_DOT,  /* repair: behind a dot there; it never ends the data */
	VGM_SMTP_DATA_END,
};

struct vgm_smtp_data {
	enum vgm_smtp_data_state state;
	bool repair, chunked;
	unsigned seen;             /* enum vgm_smtp_data_seen */
	uint64_t size;             /* bytes given to the sink */
	uint64_t bare_cr, bare_lf; /* how many */
	size_t window;             /* bytes for the next quick look */
};

/* Gets runs of the message in order, dot-stuffing undone. They point into the
 * input, or to static text. */
typedef void vgm_smtp_data_sink(void *context, const struct vgm_slice *pieces, size_t count);

void vgm_smtp_data_init(struct vgm_smtp_data *, bool repair, bool chunked);

/* Takes bytes up to the end of data at most; returns how many. The sink is
 * called as rarely as possible, and not at all any more once the message is
 * refused for a fault. */
size_t vgm_smtp_data_feed(
    struct vgm_smtp_data *, struct vgm_slice in, vgm_smtp_data_sink *sink, void *context);
/* Chunked: there is no more. A CR at the very end turns out to be bare. */
void vgm_smtp_data_finish(struct vgm_smtp_data *, vgm_smtp_data_sink *sink, void *context);

static inline bool vgm_smtp_data_ended(const struct vgm_smtp_data *d)
{
	return d->state == VGM_SMTP_DATA_END;
}
/* A fault that is not repaired here: the message must be refused. */
bool vgm_smtp_data_refused(const struct vgm_smtp_data *);

#endif
