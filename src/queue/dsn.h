/* SPDX-License-Identifier: EUPL-1.2
 * queue/dsn.h — the notice that tells a sender what became of a message: RFC
 * 3461 to 3464 and 6522. Pure: facts in, a message out; the caller seals it with
 * the null reverse-path, so that it is never answered by another.
 *
 * Three parts: words for people (both languages, the site's first), fields for
 * programs, and the header of the original, never its body. The whole message is
 * 7-bit with lines of at most 998 bytes; facts that came from outside (addresses,
 * replies, the original's header) are encoded or escaped, and can end neither a
 * line nor a part. Only an address with SMTPUTF8 puts UTF-8 into the To field. */
#ifndef VGM_QUEUE_DSN_H
#define VGM_QUEUE_DSN_H

#include "base/buf.h"
#include "base/err.h"
#include "ipc/message.h"
#include "words/words.h"

#define VGM_DSN_HEADER_MAX 16384 /* bytes of the original's header that are returned */
#define VGM_DSN_MAX 2097152	 /* a buffer of this ceiling is large enough */

struct vgm_dsn {
	enum vgm_dsn_action action;
	enum vgm_lang language;	 /* of the site: stands first */
	const char *hostname;	 /* ours */
	const char *postmaster;	 /* address that the notice comes from; "" = at hostname */
	const char *phone;	 /* "" = none */
	uint8_t id[16];		 /* of the notice: makes its Message-ID and boundary */
	uint8_t record[16];	 /* of the original: the reference that `vgm track` finds */
	struct vgm_slice sender; /* of the original: whom we write to; not empty */
	struct vgm_slice envid;	 /* RFC 3461 ENVID, xtext undone; or empty */
	uint64_t received_us;	 /* the original, wall clock */
	uint64_t now_us;
	uint64_t retry_until_us;		/* delayed: 0 = not known */
	const struct vgm_recipient *recipients; /* address, orcpt */
	const struct vgm_outcome *outcomes;	/* of each recipient, in the same order */
	size_t recipients_count;
	struct vgm_slice original; /* the original from its first byte: header, and perhaps more */
};

/* Which notice, if any, a recipient's outcome asks for by RFC 3461's NOTIFY; 0:
 * none. RELAYED asks for one only where SUCCESS was asked and the next hop could
 * not promise it. */
int vgm_dsn_wanted(uint8_t outcome_status, uint8_t notify); /* enum vgm_dsn_action or 0 */

/* Appends the notice to out. VGM_E_LIMIT when it does not fit. */
int vgm_dsn_compose(const struct vgm_dsn *, struct vgm_buf *out, struct vgm_err *) VGM_MUST_USE;

#endif
