/* SPDX-License-Identifier: EUPL-1.2
 * smtp/server/help.c — HELP (RFC 5321 section 4.1.1.8). */
#include "smtp/server/internal.h"

void vgm_smtp_help(struct vgm_smtp_session *s, struct vgm_slice args)
{
	(void)args;
	vgm_smtp_say(s, 214, "2.0.0", VGM_WORDS_smtp_help_text);
}
