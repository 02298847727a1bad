/* SPDX-License-Identifier: EUPL-1.2
 * cmd/cmd_version.c — vgm version. */
#include "cmd/cmd.h"
#include "role/build.h"

static int run_version(struct vgm_cmd_run *run)
{
	if (run->json)
		printf("{\"version\":\"%s\",\"build\":\"%s\"}\n", VGM_VERSION, vgm_build_id());
	else
		vgm_cmd_say(run, stdout, VGM_WORDS_version_is, "version", VGM_VERSION, "build",
		    vgm_build_id(), NULL);
	return VGM_EXIT_OK;
}

const struct vgm_cmd vgm_cmd_version = {
    .name = "version",
    .summary = VGM_WORDS_version_summary,
    .usage = "",
    .about = VGM_WORDS_version_about,
    .negative = VGM_WORDS_config_negative,
    .run = run_version,
};
