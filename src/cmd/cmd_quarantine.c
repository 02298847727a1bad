/* SPDX-License-Identifier: EUPL-1.2
 * cmd/cmd_quarantine.c — vgm quarantine: what is held, and what becomes of it. */
#include "cmd/messages.h"

static int list(const struct vgm_cmd_run *run)
{
	return vgm_messages_list(
	    run, "quarantine list", 1, vgm_rows_message, VGM_WORDS_quarantine_empty);
}

static int release(const struct vgm_cmd_run *run)
{
	return vgm_messages_act(run, "quarantine release", 1, false);
}

static int take_off(const struct vgm_cmd_run *run)
{
	return vgm_messages_act(run, "quarantine remove", 1, false);
}

static int run_quarantine(struct vgm_cmd_run *run)
{
	static const struct vgm_messages_sub subs[] = {
	    {"list", VGM_CMD_ARGUMENTS_MAX, list},
	    {"release", 2, release},
	    {"remove", 2, take_off},
	};
	return vgm_messages_sub(run, subs, VGM_ARRAY_LEN(subs));
}

static const struct vgm_cmd_option options[] = {
    {"limit", "N", VGM_WORDS_messages_opt_limit},
    {NULL, NULL, VGM_WORDS_COUNT},
};

const struct vgm_cmd vgm_cmd_quarantine = {
    .name = "quarantine",
    .summary = VGM_WORDS_quarantine_summary,
    .usage = "[list [--limit N] [CRITERION...]]\nrelease ID\nremove ID",
    .about = VGM_WORDS_quarantine_about,
    .negative = VGM_WORDS_messages_negative,
    .options = options,
    .words_max = VGM_CMD_ARGUMENTS_MAX,
    .flags = VGM_CMD_CONTROL,
    .run = run_quarantine,
};
