/* SPDX-License-Identifier: EUPL-1.2
 * cmd/cmd_search.c — vgm search: messages by sender, recipient, date, status. */
#include "cmd/messages.h"

static int run_search(struct vgm_cmd_run *run)
{
	return vgm_messages_list(run, "search", 0, vgm_rows_message, VGM_WORDS_view_nothing);
}

static const struct vgm_cmd_option options[] = {
    {"limit", "N", VGM_WORDS_messages_opt_limit},
    {NULL, NULL, VGM_WORDS_COUNT},
};

const struct vgm_cmd vgm_cmd_search = {
    .name = "search",
    .summary = VGM_WORDS_search_summary,
    .usage = "[--limit N] CRITERION...",
    .about = VGM_WORDS_search_about,
    .negative = VGM_WORDS_messages_negative,
    .options = options,
    .words_min = 1,
    .words_max = VGM_CMD_ARGUMENTS_MAX,
    .flags = VGM_CMD_CONTROL,
    .run = run_search,
};
