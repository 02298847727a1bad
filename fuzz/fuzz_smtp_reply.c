/* SPDX-License-Identifier: EUPL-1.2
 * Whatever a server says: what we learn from it is printable and bounded, and
 * nobody counts as delivered before the body went out. */
#include "base/text.h"
#include "smtp/client/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vgm_smtp_client_options o = {.hostname = "h", .tls_never = size & 1};
	struct vgm_smtp_client *c = vgm_smtp_client_new(&o);
	struct vgm_recipient to[2] = {{.address = VGM_SLICE_LIT("a@b")}, {.address = VGM_SLICE_LIT("c@d")}};
	struct vgm_smtp_mail m = {.recipients = to, .count = 2, .needs_8bit = true};
	struct vgm_slice in = vgm_slice(data, size);
	enum vgm_smtp_client_event e;
	size_t mails = 0, bodies = 0;

	while ((e = vgm_smtp_client_feed(c, &in)) != VGM_SMTP_CLIENT_WAIT && e != VGM_SMTP_CLIENT_FAILED) {
		if (e == VGM_SMTP_CLIENT_TLS)
			vgm_smtp_client_secured(c);
		else if (e == VGM_SMTP_CLIENT_BODY && ++bodies)
			vgm_smtp_client_body_sent(c);
		else if (e == VGM_SMTP_CLIENT_READY && ++mails)
			VGM_BUG_ON(vgm_smtp_client_begin(c, &m, NULL) < 0);
	}
	vgm_smtp_client_lost(c);
	for (size_t i = 0; mails && i < 2; i++)
		VGM_BUG_ON(vgm_smtp_client_result(c, i)->code / 100 == 2 && bodies == 0);
	VGM_BUG_ON(!vgm_utf8_valid(vgm_buf_slice(&vgm_smtp_client_final(c)->text)));
	vgm_smtp_client_free(&c);
	return 0;
}
