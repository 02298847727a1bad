/* SPDX-License-Identifier: EUPL-1.2
 * smtp/server/ehlo.c — EHLO (RFC 5321 section 4.1.1.1): what we can do. */
#include "smtp/server/internal.h"

void vgm_smtp_ehlo(struct vgm_smtp_session *s, struct vgm_slice args)
{
	const struct vgm_smtp_settings *set = s->settings;
	bool tls = s->connection.tls.len > 0;
	if (!vgm_smtp_greeted_as(s, args))
		return;
	s->connection.esmtp = true;
	vgm_smtp_say_list(s, false, "%s", set->hostname);
	vgm_smtp_say_list(s, false, "PIPELINING");
	vgm_smtp_say_list(s, false, "SIZE %llu", (unsigned long long)set->max_size);
	if (set->offer_tls && !tls)
		vgm_smtp_say_list(s, false, "STARTTLS");
	if (set->offer_auth && tls)
		vgm_smtp_say_list(s, false, "AUTH PLAIN LOGIN");
	vgm_smtp_say_list(s, false, "ENHANCEDSTATUSCODES");
	vgm_smtp_say_list(s, false, "8BITMIME");
	vgm_smtp_say_list(s, false, "SMTPUTF8");
	vgm_smtp_say_list(s, false, "DSN");
	vgm_smtp_say_list(s, false, "LIMITS RCPTMAX=%zu", set->max_recipients);
	vgm_smtp_say_list(s, true, "CHUNKING");
}
