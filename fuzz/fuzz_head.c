/* SPDX-License-Identifier: EUPL-1.2
 * The header block: walked to its end, every value made text. */
#include "mime/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vgm_head_walk walk;
	struct vgm_head_field field;
	struct vgm_head_facts facts;
	struct vgm_slice message = vgm_slice(data, size);
	vgm_head_read(message, VGM_SLICE_LIT("gw.test"), &facts);
	VGM_BUG_ON(facts.length > size);
	vgm_head_walk_init(&walk, message);
	while (vgm_head_next(&walk, &field)) {
		VGM_CLEANUP(vgm_buf_release) struct vgm_buf out = VGM_BUF_INIT(2000);
		VGM_BUG_ON(vgm_head_text(field.value, 1000, &out) != 0 || out.len > 1000);
	}
	return 0;
}
