/* SPDX-License-Identifier: EUPL-1.2
 * One command line in a state that the first byte chooses: exactly one reply,
 * whatever stands in it. */
#include "smtp_owner.h"

static const char *const ways[] = {"", "EHLO c\r\n", "EHLO c\r\nMAIL FROM:<a@b> SMTPUTF8\r\n",
    "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", "EHLO c\r\nAUTH LOGIN\r\n",
    "EHLO c\r\nAUTH PLAIN\r\n", "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 2\r\n\r\n",
    "HELO c\r\n"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vgm_slice line = vgm_slice_from(vgm_slice(data, size), 1);
	if (size < 1 || vgm_slice_find(line, '\n') < line.len)
		return 0;
	struct vgm_smtp_settings door = owner_door(data[0] >> 3 | 2);
	struct owner o = {0};
	o.session = vgm_smtp_session_new(&door, &owner_events, &o, "R");
	if (data[0] & 0x80)
		vgm_smtp_session_tls_started(o.session, VGM_SLICE_LIT("TLS"));
	vgm_smtp_session_greet(o.session, (struct vgm_smtp_answer){0});
	vgm_smtp_session_feed(o.session, vgm_slice_str(ways[data[0] & 7]));
	owner_replies(&o);
	vgm_smtp_session_feed(o.session, line);
	vgm_smtp_session_feed(o.session, VGM_SLICE_LIT("\r\n"));
	bool chunk = line.len >= 4 && vgm_slice_starts_nocase(line, VGM_SLICE_LIT("BDAT"));
	size_t replies = owner_replies(&o);
	VGM_BUG_ON(replies > 1 || (replies == 0 && !chunk));
	vgm_smtp_session_free(&o.session);
	VGM_BUG_ON(o.bodies != 0);
	return 0;
}
