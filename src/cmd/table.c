/* SPDX-License-Identifier: EUPL-1.2
 * cmd/table.c — the commands of commands.def as a table. */
#include "cmd/cmd.h"

#define COMMAND(name) extern const struct vgm_cmd vgm_cmd_##name;
#include "cmd/commands.def"
#undef COMMAND

const struct vgm_cmd *const vgm_cmd_table[] = {
#define COMMAND(name) &vgm_cmd_##name,
#include "cmd/commands.def"
#undef COMMAND
    NULL,
};
