/* SPDX-License-Identifier: EUPL-1.2
 * smtp/server/starttls.c — STARTTLS (RFC 3207). What the client sent in clear
 * behind the command is dropped by the reading loop: it could have been put
 * there by anybody on the way. */
#include "smtp/server/internal.h"

void vgm_smtp_starttls(struct vgm_smtp_session *s, struct vgm_slice args)
{
	(void)args;
	if (s->connection.tls.len) {
		vgm_smtp_error(s, 503, "5.5.1", VGM_WORDS_smtp_sequence, VGM_SLICE_LIT("STARTTLS"));
	} else if (!s->settings->offer_tls) {
		vgm_smtp_error(s, 502, "5.5.1", VGM_WORDS_smtp_no_tls, VGM_SLICE_NONE);
	} else {
		vgm_smtp_say(s, 220, "2.0.0", VGM_WORDS_smtp_start_tls);
		vgm_smtp_set_state(s, VGM_SMTP_WAIT_TLS);
	}
}
