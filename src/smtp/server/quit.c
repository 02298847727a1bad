/* SPDX-License-Identifier: EUPL-1.2
 * smtp/server/quit.c — QUIT (RFC 5321 section 4.1.1.10). */
#include "smtp/server/internal.h"

void vgm_smtp_quit(struct vgm_smtp_session *s, struct vgm_slice args)
{
	(void)args;
	vgm_smtp_close_with(s, 221, "2.0.0", VGM_WORDS_smtp_goodbye);
}
