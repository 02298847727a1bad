/* SPDX-License-Identifier: EUPL-1.2
 * cmd/cmd_help.c — vgm help: the commands, one command, or the manual page. */
#include "cmd/cmd.h"

static int print_man(const struct vgm_cmd_run *run)
{
	struct vgm_buf page = VGM_BUF_INIT(1u << 20);
	int r = vgm_cmd_man(vgm_cmd_table, run->lang, &page);
	VGM_BUG_ON(r < 0); /* our own texts are not that long */
	fwrite(page.data, 1, page.len, stdout);
	vgm_buf_release(&page);
	return VGM_EXIT_OK;
}

static int run_help(struct vgm_cmd_run *run)
{
	if (vgm_cmd_option(run, "man"))
		return print_man(run);
	if (run->words_count == 0) {
		vgm_cmd_print_help_all(vgm_cmd_table, run->lang, stdout);
		return VGM_EXIT_OK;
	}
	for (const struct vgm_cmd *const *cmd = vgm_cmd_table; *cmd; cmd++) {
		if (strcmp((*cmd)->name, run->words[0]) == 0) {
			vgm_cmd_print_help(*cmd, run->lang, stdout);
			return VGM_EXIT_OK;
		}
	}
	return vgm_cmd_fail(
	    run, VGM_EXIT_NO, VGM_WORDS_cmd_unknown, "command", run->words[0], NULL);
}

static const struct vgm_cmd_option options[] = {
    {"man", NULL, VGM_WORDS_help_opt_man},
    {NULL, NULL, VGM_WORDS_COUNT},
};

const struct vgm_cmd vgm_cmd_help = {
    .name = "help",
    .summary = VGM_WORDS_help_summary,
    .usage = "[COMMAND]\n--man",
    .about = VGM_WORDS_help_about,
    .negative = VGM_WORDS_help_negative,
    .options = options,
    .words_max = 1,
    .run = run_help,
};
