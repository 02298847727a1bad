/* SPDX-License-Identifier: EUPL-1.2
 * smtp/client/reply.h — a server's reply (RFC 5321 section 4.2), read byte by
 * byte from somebody who may wish us ill.
 *
 * A reply has at most VGM_SMTP_REPLY_LINES lines and VGM_SMTP_REPLY_BYTES in
 * all; its lines carry one code from 200 to 599. CR LF and LF end a line. All
 * else is VGM_E_INVALID and the connection is of no more use. */
#ifndef VGM_SMTP_CLIENT_REPLY_H
#define VGM_SMTP_CLIENT_REPLY_H

#include "base/buf.h"
#include "base/err.h"

#define VGM_SMTP_REPLY_LINES 128
#define VGM_SMTP_REPLY_BYTES 16384
#define VGM_SMTP_REPLY_TEXT_MAX 512 /* of vgm_smtp_reply_text */
#define VGM_SMTP_ENHANCED_BYTES 16

struct vgm_smtp_reply {
	uint16_t code;	      /* valid when complete */
	struct vgm_buf lines; /* raw texts of the lines, each ended by LF */
	/* ---- inside ---- */
	struct vgm_buf line;
	size_t bytes, count;
	bool complete;
};

void vgm_smtp_reply_init(struct vgm_smtp_reply *);
void vgm_smtp_reply_release(struct vgm_smtp_reply *);

/* Reads from *in, which moves on. 1: a reply is complete and stands until the
 * next call, which starts a new one. 0: more bytes are needed. VGM_E_INVALID,
 * VGM_E_LIMIT; err says what is wrong. */
int vgm_smtp_reply_feed(
    struct vgm_smtp_reply *, struct vgm_slice *in, struct vgm_err *) VGM_MUST_USE;

/* ---- a complete reply ---- */

/* Takes the next line's text off *rest (start with vgm_buf_slice(&lines)). */
bool vgm_smtp_reply_line(struct vgm_slice *rest, struct vgm_slice *out);
/* "250 2.0.0 Ok", lines joined by a space, escaped (no control byte, valid
 * UTF-8); at most VGM_SMTP_REPLY_TEXT_MAX bytes with "..." where cut. out is
 * emptied first; its ceiling must be at least that. */
void vgm_smtp_reply_text(const struct vgm_smtp_reply *, struct vgm_buf *out);
/* RFC 3463 code: the one in the text when it fits the reply's class, else the
 * class with ".0.0". */
void vgm_smtp_reply_enhanced(const struct vgm_smtp_reply *, char out[VGM_SMTP_ENHANCED_BYTES]);
/* The queue id that a 250 names ("queued as X", "id=X", "InternalId=X"); empty
 * when none is found. Printable ASCII, at most 200 bytes; borrows from lines. */
struct vgm_slice vgm_smtp_reply_reference(const struct vgm_smtp_reply *);

#endif
