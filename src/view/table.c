/* SPDX-License-Identifier: EUPL-1.2
 * view/table.c — the list of views, in the order in which they are given a
 * record: tracking first, since the others follow its moves. */
#include "view/view.h"

const struct vgm_view *const vgm_view_table[] = {
    &vgm_view_tracking,
    &vgm_view_queue,
    &vgm_view_quarantine,
    &vgm_view_audit,
    &vgm_view_devices,
};
const size_t vgm_view_table_len = VGM_ARRAY_LEN(vgm_view_table);

bool vgm_view_droppable(
    const struct vgm_view *const *table, size_t count, const struct vgm_view **out_keep)
{
	for (size_t i = 0; i < count; i++) {
		if (table[i]->class == VGM_VIEW_STATE)
			continue;
		*out_keep = table[i];
		return false;
	}
	return true;
}

static const char *const state_names[VGM_VIEW_STATE_COUNT] = {
    [VGM_VIEW_DELIVERED] = "delivered",
    [VGM_VIEW_RELAYED] = "relayed",
    [VGM_VIEW_REMOVED] = "removed",
    [VGM_VIEW_REFUSED] = "refused",
    [VGM_VIEW_EXPIRED] = "expired",
    [VGM_VIEW_FAILED] = "failed",
    [VGM_VIEW_QUEUED] = "queued",
    [VGM_VIEW_DEFERRED] = "deferred",
    [VGM_VIEW_HELD] = "held",
};

const char *vgm_view_state_name(int state)
{
	if (state < 0 || state >= VGM_VIEW_STATE_COUNT || !state_names[state])
		return "?";
	return state_names[state];
}

bool vgm_view_state_parse(struct vgm_slice name, enum vgm_view_state *out)
{
	for (int i = VGM_VIEW_DELIVERED; i < VGM_VIEW_STATE_COUNT; i++)
		if (vgm_slice_eq_nocase(name, vgm_slice_str(state_names[i]))) {
			*out = (enum vgm_view_state)i;
			return true;
		}
	return false;
}
