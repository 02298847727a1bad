/* SPDX-License-Identifier: EUPL-1.2
 * The directory file: parsed, and every address of it found again. */
#include "directory/directory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vgm_directory *d = NULL;
	struct vgm_slice text = vgm_slice(data, size);
	size_t line = 0;
	if (vgm_directory_parse(text, &d, &line, NULL) < 0) {
		VGM_BUG_ON(d || line == 0);
		return 0;
	}
	size_t end = vgm_slice_find(text, ' ');
	const struct vgm_person *p = vgm_directory_find(d, vgm_slice_sub(text, 0, end));
	VGM_BUG_ON(p && !vgm_directory_find(d, vgm_slice_str(p->address)));
	vgm_directory_free(&d);
	return 0;
}
