/* SPDX-License-Identifier: EUPL-1.2
 * smtp/server/vrfy.c — VRFY and EXPN (RFC 5321 section 3.5): we tell strangers
 * nothing about who exists. */
#include "smtp/server/internal.h"

void vgm_smtp_vrfy(struct vgm_smtp_session *s, struct vgm_slice args)
{
	if (vgm_slice_trim(args).len == 0)
		vgm_smtp_error(
		    s, 501, "5.5.4", VGM_WORDS_smtp_bad_parameter, VGM_SLICE_LIT("VRFY"));
	else
		vgm_smtp_say(s, 252, "2.1.5", VGM_WORDS_smtp_not_verified);
}

void vgm_smtp_expn(struct vgm_smtp_session *s, struct vgm_slice args)
{
	(void)args;
	vgm_smtp_error(s, 502, "5.5.1", VGM_WORDS_smtp_unknown_command, VGM_SLICE_LIT("EXPN"));
}
