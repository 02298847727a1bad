/* SPDX-License-Identifier: EUPL-1.2
 * Any facts make a notice whose lines end with CR LF, are at most 998 bytes long
 * and hold no control byte. */
#include "queue/dsn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vgm_slice s = vgm_slice(data, size), third = vgm_slice_sub(s, 0, size / 3);
	struct vgm_recipient r = {.address = third, .orcpt = vgm_slice_sub(s, 0, size / 9)};
	struct vgm_outcome o = {.enhanced = vgm_slice_sub(s, size / 9, size / 8),
	    .reply = vgm_slice_sub(s, size / 8, size / 3), .peer = vgm_slice_from(third, size / 6)};
	struct vgm_dsn d = {.action = VGM_DSN_FAILED, .hostname = "h", .postmaster = "p@h",
	    .phone = "", .sender = third, .envid = third, .recipients = &r, .outcomes = &o,
	    .recipients_count = 1, .original = vgm_slice_from(s, size / 3)};
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf out = VGM_BUF_INIT(VGM_DSN_MAX);

	VGM_BUG_ON(vgm_dsn_compose(&d, &out, NULL) < 0);
	for (size_t i = 0, line = 0; i < out.len; i++) {
		uint8_t c = out.data[i];

		line = c == '\n' ? 0 : line + 1;
		VGM_BUG_ON(line > 999 || c == 127 || (c < ' ' && !strchr("\t\r\n", c)) || c == 0);
		VGM_BUG_ON(c == '\n' && (i == 0 || out.data[i - 1] != '\r'));
		VGM_BUG_ON(c == '\r' && (i + 1 == out.len || out.data[i + 1] != '\n'));
	}
	return 0;
}
