/* SPDX-License-Identifier: EUPL-1.2
 * cmd/main.c — the program: a command of the table, or, started by the master
 * with `--role NAME`, one of the daemons. */
#include "cmd/cmd.h"
#include "role/role.h"

static const struct {
	const char *name;
	const struct vgm_role *role;
} roles[] = {
#define ROLE(name) {#name, &vgm_role_##name},
#include "cmd/roles.def"
#undef ROLE
    {NULL, NULL},
};

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--role") == 0) {
		for (size_t i = 0; roles[i].name; i++)
			if (strcmp(argv[2], roles[i].name) == 0)
				vgm_role_main(roles[i].role);
		vgm_fatal("no role is called %s", argv[2]);
	}
	return vgm_cmd_main(vgm_cmd_table, argc, argv);
}
