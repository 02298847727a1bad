/* SPDX-License-Identifier: EUPL-1.2
 * queue/dsn_text.h — how facts from outside are written into a notice so that
 * they can break nothing; inside of dsn.c. All functions that append return 0 or
 * VGM_E_LIMIT. */
#ifndef VGM_QUEUE_DSN_TEXT_H
#define VGM_QUEUE_DSN_TEXT_H

#include "queue/dsn.h"

#define VGM_DSN_VALUE_MAX 900 /* of one field: its line stays under 998 bytes */

/* Printable ASCII as it is, all else as \x{HEX} by code point (by byte where it
 * is no UTF-8); at most max bytes, "..." where cut. */
int vgm_dsn_add_text(struct vgm_buf *out, struct vgm_slice, size_t max) VGM_MUST_USE;
/* "rfc822; a@b", or "utf-8; ..." with RFC 6533's utf-8-addr-xtext. */
int vgm_dsn_add_typed_address(struct vgm_buf *out, struct vgm_slice address) VGM_MUST_USE;
/* "<address>" for a header field, or an empty group when no line can hold it. */
int vgm_dsn_add_mailbox(struct vgm_buf *out, struct vgm_slice address) VGM_MUST_USE;
/* RFC 2047, folded. */
int vgm_dsn_add_encoded_words(struct vgm_buf *out, struct vgm_slice utf8) VGM_MUST_USE;
/* RFC 2045: lines (LF or CRLF) of at most 76 bytes, each ended by CRLF. */
int vgm_dsn_add_quoted_printable(struct vgm_buf *out, struct vgm_slice) VGM_MUST_USE;
/* The lines of a plain text, each ended by CRLF. */
int vgm_dsn_add_lines(struct vgm_buf *out, struct vgm_slice) VGM_MUST_USE;

/* Whole lines of a message up to its first empty one, at most VGM_DSN_HEADER_MAX. */
struct vgm_slice vgm_dsn_header_block(struct vgm_slice message);
/* Printable ASCII and tabs in lines of at most 900 bytes: needs no encoding. */
bool vgm_dsn_is_plain(struct vgm_slice lines);
/* "<...>" of the Message-ID field; empty when it has none that is fit to repeat. */
struct vgm_slice vgm_dsn_message_id(struct vgm_slice message);

#endif
