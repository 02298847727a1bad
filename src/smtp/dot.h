/* SPDX-License-Identifier: EUPL-1.2
 * smtp/dot.h — a message on its way out through DATA: every line ends with CR
 * LF, a dot at its start is doubled, and the end is written. What comes in is
 * written anew, never copied on trust: no bare CR or LF can leave, so that
 * nothing in a message can end it at the next hop.
 *
 * Calling sequence: init → [next until false]* for each piece of input → end. */
#ifndef VGM_SMTP_DOT_H
#define VGM_SMTP_DOT_H

#include "base/slice.h"

struct vgm_smtp_dot {
	bool line_start, after_cr;
	size_t window; /* bytes for the next quick look */
};

void vgm_smtp_dot_init(struct vgm_smtp_dot *);

/* Takes some of *in (which moves on) and sets *out_piece to what must be sent
 * for it: a run of the input, or static text; may be empty. False when *in is
 * used up. */
bool vgm_smtp_dot_next(struct vgm_smtp_dot *, struct vgm_slice *in, struct vgm_slice *out_piece);

/* The rest and the end of data, static text. */
struct vgm_slice vgm_smtp_dot_end(struct vgm_smtp_dot *);

#endif
