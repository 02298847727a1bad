/* SPDX-License-Identifier: EUPL-1.2
 * Notes, checkpoints, public keys and tile names: what is read is written again
 * as the same bytes. */
#include "ledger/checkpoint.h"
#include "ledger/tiles.h"

static void fuzz_note(struct vgm_slice in)
{
	struct vgm_buf out = VGM_BUF_INIT(4096);
	struct vgm_checkpoint c;
	struct vgm_note note;
	size_t used = 0;
	if (vgm_note_split(in, &note, &used, NULL) < 0)
		return;
	VGM_BUG_ON(used > in.len || note.text.len + 1 + note.signatures.len > used);
	VGM_BUG_ON(vgm_note_verify(&note, NULL, 0, NULL) == 0);
	if (vgm_checkpoint_parse(note.text, &c, NULL) == 0)
		VGM_BUG_ON(vgm_checkpoint_format(&c, &out, NULL) < 0 || out.len > note.text.len ||
			   memcmp(out.data, note.text.data, out.len) != 0);
	vgm_buf_release(&out);
}

static void fuzz_names(struct vgm_slice in)
{
	struct vgm_buf out = VGM_BUF_INIT(4096);
	char *text = vgm_slice_dup(in), path[VGM_TILE_PATH_BYTES];
	struct vgm_verifier v;
	unsigned level, width;
	uint64_t index;
	if (vgm_verifier_parse(in, &v, NULL) == 0)
		VGM_BUG_ON(vgm_verifier_format(&v, &out) < 0 ||
			   !vgm_slice_eq(vgm_buf_slice(&out), in));
	if (vgm_tile_parse(text, &level, &index, &width)) {
		vgm_tile_path(level, index, width, path);
		VGM_BUG_ON(strcmp(path, text) != 0);
	}
	vgm_free(text);
	vgm_buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_note(vgm_slice(data, size));
	fuzz_names(vgm_slice(data, size));
	return 0;
}
