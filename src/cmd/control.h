/* SPDX-License-Identifier: EUPL-1.2
 * cmd/control.h — a command's conversation with a running server, over the
 * control socket in its state directory. */
#ifndef VGM_CMD_CONTROL_H
#define VGM_CMD_CONTROL_H

#include <jansson.h>

#include "cmd/cmd.h"

/* Gets each row that came. fd is -1, or a descriptor that the row carries (the
 * caller closes it). Returns VGM_EXIT_OK, or an exit status that ends it all. */
typedef int vgm_control_row(void *context, const struct vgm_cmd_run *, json_t *row, int fd);

/* The question: a verb of viewd and its words. */
struct vgm_control_question {
	const char *verb;
	const char *words[64];
	size_t count;
	bool every_row; /* row is called for all, with --json too */
};
/* Adds a word; more than 64 in all, or a word of more than 400 bytes is a usage
 * error that has been said. False then. */
bool vgm_control_word(const struct vgm_cmd_run *, struct vgm_control_question *, const char *word)
    VGM_MUST_USE;

/* Asks and hands each row to row; with --json, rows without descriptor are
 * printed as they come, one a line, and row is not called (but see every_row). Says on stderr what
 * the server says at the end. Returns the exit status: VGM_EXIT_UNREACHABLE when
 * no server listens. */
int vgm_control_ask(const struct vgm_cmd_run *, const struct vgm_control_question *,
    vgm_control_row *row, void *context);

/* The state directory may be as deep as it likes: a socket's own name may not.
 * Returns a connected descriptor, or -1 with errno. */
int vgm_control_connect(const char *state_dir);

#endif
