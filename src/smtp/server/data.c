/* SPDX-License-Identifier: EUPL-1.2
 * smtp/server/data.c — DATA (RFC 5321 section 4.1.1.4). The body is read by
 * smtp/data.c through transaction.c.
 *
 * A client must wait for our reply to DATA (RFC 2920 section 3.1). One that has
 * sent more with it took a body's first lines for granted: whatever we replied,
 * those lines would be read as commands or as another body than it means. Such a
 * session ends here. */
#include "smtp/server/internal.h"

static struct vgm_smtp_answer objection(const struct vgm_smtp_session *s)
{
	if (s->state == VGM_SMTP_RCPT)
		return (struct vgm_smtp_answer){0};
	if (s->state == VGM_SMTP_MAIL && s->transaction->refused_recipient)
		return (struct vgm_smtp_answer){554, "5.5.1", VGM_WORDS_smtp_no_recipients};
	return (struct vgm_smtp_answer){503, "5.5.1", VGM_WORDS_smtp_sequence};
}

void vgm_smtp_data(struct vgm_smtp_session *s, struct vgm_slice args)
{
	struct vgm_smtp_answer no = objection(s);
	(void)args;
	if (s->unread) {
		vgm_smtp_close_with(s, 554, "5.5.0", VGM_WORDS_smtp_early_talker);
		return;
	}
	if (no.code) {
		vgm_smtp_error(s, no.code, no.enhanced, no.why, VGM_SLICE_LIT("DATA"));
		return;
	}
	if (!vgm_smtp_body_begin(s, false))
		return;
	vgm_smtp_set_state(s, VGM_SMTP_DATA);
	vgm_smtp_say(s, 354, NULL, VGM_WORDS_smtp_send_data);
}
