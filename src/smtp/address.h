/* SPDX-License-Identifier: EUPL-1.2
 * smtp/address.h — mailboxes as they stand in an envelope (RFC 5321 section
 * 4.1.2, RFC 6531), and xtext (RFC 3461 section 4).
 *
 * An address is data: nothing in it is ever expanded, and no control byte is
 * taken in any form of quoting. Ceilings are wider than RFC 5321 section 4.5.3.1
 * asks, because lists' return addresses exceed its 64 bytes every day. */
#ifndef VGM_SMTP_ADDRESS_H
#define VGM_SMTP_ADDRESS_H

#include "base/buf.h"
#include "base/err.h"

#define VGM_SMTP_LOCAL_MAX 256
#define VGM_SMTP_DOMAIN_MAX 255
#define VGM_SMTP_MAILBOX_MAX (VGM_SMTP_LOCAL_MAX + 1 + VGM_SMTP_DOMAIN_MAX)

enum vgm_smtp_path_flags {
	VGM_SMTP_PATH_NULL = 1,       /* <> is allowed (MAIL) */
	VGM_SMTP_PATH_POSTMASTER = 2, /* <postmaster> without a domain is allowed (RCPT) */
	VGM_SMTP_PATH_UTF8 = 4,       /* SMTPUTF8 was said: UTF-8 is allowed */
	VGM_SMTP_PATH_BARE = 8,       /* without <> too: machines that cannot be mended */
};

/* Reads a path from the start of text: "<mailbox>", source routes read over.
 * Appends its mailbox to out in one form for equal addresses: domain in lower
 * case, local part quoted only where it must be; nothing for <>. *out_used is
 * the length of the path in text. VGM_E_INVALID; VGM_E_LIMIT: longer than the
 * ceilings; VGM_E_DENIED: UTF-8 without VGM_SMTP_PATH_UTF8. out is as before
 * on failure; its own ceiling must leave room for VGM_SMTP_MAILBOX_MAX * 2. */
int vgm_smtp_path_parse(struct vgm_slice text, unsigned flags, struct vgm_buf *out,
    size_t *out_used, struct vgm_err *) VGM_MUST_USE;

/* The same for a whole text without brackets: "user@example.org". */
int vgm_smtp_mailbox_parse(struct vgm_slice text, unsigned flags, struct vgm_buf *out,
    struct vgm_err *) VGM_MUST_USE;

/* A domain or address literal, appended in lower case. VGM_E_INVALID,
 * VGM_E_LIMIT, VGM_E_DENIED. */
int vgm_smtp_domain_parse(struct vgm_slice text, unsigned flags, struct vgm_buf *out,
    struct vgm_err *) VGM_MUST_USE;

/* What stands behind the last @ of a parsed mailbox, or nothing. */
struct vgm_slice vgm_smtp_domain_of(struct vgm_slice mailbox);
/* What stands before it. */
struct vgm_slice vgm_smtp_local_of(struct vgm_slice mailbox);

/* xtext: "+HH" for what is not printable ASCII, and for "+", "=" themselves.
 * Decoding refuses (VGM_E_INVALID) lower-case digits, forbidden bytes, and any
 * control byte in the result. */
int vgm_smtp_xtext_decode(struct vgm_slice text, struct vgm_buf *out, struct vgm_err *)
    VGM_MUST_USE;
/* VGM_E_LIMIT; out is then as before. */
int vgm_smtp_xtext_encode(struct vgm_slice bytes, struct vgm_buf *out) VGM_MUST_USE;

#endif
