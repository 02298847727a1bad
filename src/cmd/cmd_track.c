/* SPDX-License-Identifier: EUPL-1.2
 * cmd/cmd_track.c — vgm track: what became of a message, attempt by attempt. */
#include "cmd/messages.h"

static int run_track(struct vgm_cmd_run *run)
{
	return vgm_messages_list(run, "track", 0, vgm_rows_track, VGM_WORDS_view_nothing);
}

static const struct vgm_cmd_option options[] = {
    {"limit", "N", VGM_WORDS_messages_opt_limit},
    {NULL, NULL, VGM_WORDS_COUNT},
};

const struct vgm_cmd vgm_cmd_track = {
    .name = "track",
    .summary = VGM_WORDS_track_summary,
    .usage = "[--limit N] ID\n[--limit N] ADDRESS\n[--limit N] CRITERION...",
    .about = VGM_WORDS_track_about,
    .negative = VGM_WORDS_messages_negative,
    .options = options,
    .words_min = 1,
    .words_max = VGM_CMD_ARGUMENTS_MAX,
    .flags = VGM_CMD_CONTROL,
    .run = run_track,
};
