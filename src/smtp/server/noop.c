/* SPDX-License-Identifier: EUPL-1.2
 * smtp/server/noop.c — NOOP (RFC 5321 section 4.1.1.9); its argument is ignored. */
#include "smtp/server/internal.h"

void vgm_smtp_noop(struct vgm_smtp_session *s, struct vgm_slice args)
{
	(void)args;
	vgm_smtp_say(s, 250, "2.0.0", VGM_WORDS_smtp_ok);
}
