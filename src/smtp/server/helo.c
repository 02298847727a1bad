/* SPDX-License-Identifier: EUPL-1.2
 * smtp/server/helo.c — HELO (RFC 5321 section 4.1.1.1), and what it has in
 * common with EHLO. */
#include "base/text.h"
#include "smtp/server/internal.h"

bool vgm_smtp_greeted_as(struct vgm_smtp_session *s, struct vgm_slice args)
{
	struct vgm_smtp_connection *c = &s->connection;
	struct vgm_slice name = vgm_slice_trim(args);
	/* Copiers call themselves "copier room 3". */
	bool spaces = vgm_slice_find(name, ' ') < name.len && !s->settings->machines;
	if (name.len == 0 || name.len > 255 || spaces || !vgm_is_ascii(name)) {
		vgm_smtp_error(s, 501, "5.5.4", VGM_WORDS_smtp_helo_name, args);
		return false;
	}
	vgm_smtp_transaction_drop(s);
	vgm_buf_clear(&c->helo);
	VGM_BUG_ON(vgm_buf_add_slice(&c->helo, name) < 0);
	vgm_smtp_set_state(s, VGM_SMTP_READY);
	return true;
}

void vgm_smtp_helo(struct vgm_smtp_session *s, struct vgm_slice args)
{
	if (!vgm_smtp_greeted_as(s, args))
		return;
	s->connection.esmtp = false;
	vgm_smtp_say_list(s, true, "%s", s->settings->hostname);
}
