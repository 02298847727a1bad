/* SPDX-License-Identifier: EUPL-1.2
 * A path of MAIL or RCPT (flags in the first byte), and xtext: what is accepted
 * is written in one form, which is accepted again as itself. */
#include "smtp/address.h"

static void fuzz_xtext(struct vgm_slice in)
{
	struct vgm_buf plain = VGM_BUF_INIT(1u << 20), coded = VGM_BUF_INIT(3u << 20),
		       again = VGM_BUF_INIT(1u << 20);
	if (vgm_smtp_xtext_decode(in, &plain, NULL) == 0)
		VGM_BUG_ON(vgm_smtp_xtext_encode(vgm_buf_slice(&plain), &coded) < 0 ||
			   vgm_smtp_xtext_decode(vgm_buf_slice(&coded), &again, NULL) < 0 ||
			   !vgm_slice_eq(vgm_buf_slice(&plain), vgm_buf_slice(&again)));
	vgm_buf_release(&plain);
	vgm_buf_release(&coded);
	vgm_buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vgm_buf box = VGM_BUF_INIT(4096), again = VGM_BUF_INIT(4096);
	unsigned flags = size ? data[0] & 15u : 0;
	struct vgm_slice in = vgm_slice_from(vgm_slice(data, size), 1);
	size_t used = 0;
	if (vgm_smtp_path_parse(in, flags, &box, &used, NULL) == 0 && box.len)
		VGM_BUG_ON(used > in.len || memchr(box.data, '\n', box.len) ||
			   vgm_smtp_mailbox_parse(vgm_buf_slice(&box), flags, &again, NULL) < 0 ||
			   !vgm_slice_eq(vgm_buf_slice(&box), vgm_buf_slice(&again)));
	fuzz_xtext(in);
	vgm_buf_release(&box);
	vgm_buf_release(&again);
	return 0;
}
