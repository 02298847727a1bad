/* SPDX-License-Identifier: EUPL-1.2
 * smtp/server/rset.c — RSET (RFC 5321 section 4.1.1.5). */
#include "smtp/server/internal.h"

void vgm_smtp_rset(struct vgm_smtp_session *s, struct vgm_slice args)
{
	(void)args;
	vgm_smtp_transaction_drop(s);
	if (s->state != VGM_SMTP_GREETED)
		vgm_smtp_set_state(s, VGM_SMTP_READY);
	vgm_smtp_say(s, 250, "2.0.0", VGM_WORDS_smtp_ok);
}
