/* SPDX-License-Identifier: EUPL-1.2
 * mime/head.h — the header block of a message (RFC 5322, section 2.2): its
 * fields one after the other, and the few that lists and loops need.
 *
 * Works on borrowed bytes, iterative, bounded by the slice. A line that is no
 * field does not stop the walk: it is counted as junk. */
#ifndef VGM_MIME_HEAD_H
#define VGM_MIME_HEAD_H

#include "base/buf.h"

struct vgm_head_field {
	struct vgm_slice name;  /* without colon and the blanks before it */
	struct vgm_slice value; /* after the colon, folds and line ends still in it */
	struct vgm_slice raw;   /* the whole field with its last CRLF */
};

struct vgm_head_walk {
	struct vgm_slice rest; /* what has not been walked */
	size_t junk_lines;     /* lines without a colon, or that start blank before any field */
};

/* Bytes of the block with the empty line that ends it; the whole message when
 * no empty line comes. */
size_t vgm_head_length(struct vgm_slice message);

void vgm_head_walk_init(struct vgm_head_walk *, struct vgm_slice message);
/* The next field; false at the end of the block. */
bool vgm_head_next(struct vgm_head_walk *, struct vgm_head_field *out);

/* What the spine reads of a message. Slices are the first such field's raw
 * value; empty when there is none. */
struct vgm_head_facts {
	struct vgm_slice from, to, subject, date, message_id;
	struct vgm_slice first_received; /* the topmost: written by the last hop */
	size_t fields, received; /* how many */
	size_t own_hops;         /* Received fields that say "by <hostname> (Vaguemestre)" */
	size_t length;           /* bytes of the block */
	bool has_8bit;           /* in header or body */
};
void vgm_head_read(struct vgm_slice message, struct vgm_slice hostname, struct vgm_head_facts *out);

/* The address that a Received value says it had the message from: the first
 * literal in brackets before "by" (RFC 5321, section 4.4). False: it says none. */
bool vgm_head_received_from(struct vgm_slice value, uint8_t out_ip[16]);

/* For people: unfolded, encoded words (RFC 2047) of UTF-8, US-ASCII and
 * ISO-8859-1 decoded, other bytes that are not UTF-8 shown as "?", controls as
 * blanks; at most max bytes, cut between characters. */
int vgm_head_text(struct vgm_slice value, size_t max, struct vgm_buf *out) VGM_MUST_USE;

#endif
