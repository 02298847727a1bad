/* SPDX-License-Identifier: EUPL-1.2
 * A whole conversation from the client's side. The first byte chooses the door,
 * the second how the bytes are cut; a byte 0xff ends a feed as well, so that DATA
 * and body can come apart. */
#include "smtp_owner.h"

static void feed(struct owner *o, struct vgm_slice in)
{
	vgm_smtp_session_feed(o->session, in);
	owner_replies(o);
	if (vgm_smtp_session_wants(o->session) == VGM_SMTP_WANT_TLS)
		vgm_smtp_session_tls_started(o->session, VGM_SLICE_LIT("TLS"));
	VGM_BUG_ON(vgm_smtp_session_wants(o->session) == VGM_SMTP_WANT_ANSWER);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	struct vgm_smtp_settings door = owner_door(data[0]);
	struct owner o = {0};
	struct vgm_slice rest = vgm_slice(data + 2, size - 2);
	o.session = vgm_smtp_session_new(&door, &owner_events, &o, "R");
	vgm_smtp_session_greet(o.session, (struct vgm_smtp_answer){0});
	while (rest.len) {
		size_t n = vgm_min_size(vgm_slice_find(rest, 0xff), 1u + data[1]);
		feed(&o, vgm_slice_sub(rest, 0, n));
		rest = vgm_slice_from(rest, n < rest.len && rest.data[n] == 0xff ? n + 1 : n);
	}
	vgm_smtp_session_free(&o.session);
	VGM_BUG_ON(o.bodies != 0);
	return 0;
}
