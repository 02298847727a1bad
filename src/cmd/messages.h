/* SPDX-License-Identifier: EUPL-1.2
 * cmd/messages.h — what the commands about messages share: lists, and acts on
 * one message or on all. Each returns an exit status. */
#ifndef VGM_CMD_MESSAGES_H
#define VGM_CMD_MESSAGES_H

#include "cmd/rows.h"

#define VGM_MESSAGES_LIMIT 100

/* The words from first on are criteria; --limit is taken. none is said when there
 * is nothing to show and that is no failure. */
int vgm_messages_list(const struct vgm_cmd_run *, const char *verb, size_t first,
    vgm_control_row *row, enum vgm_words_id none);

/* The word at first is an id. Without it: all messages, when all is true or
 * --all was given. */
int vgm_messages_act(const struct vgm_cmd_run *, const char *verb, size_t first, bool all);

/* A subcommand: its name, how many words it takes, what it does. */
struct vgm_messages_sub {
	const char *name;
	size_t words_max; /* its name included */
	int (*run)(const struct vgm_cmd_run *);
};
/* Runs the one that the first word names, or the first of the table when there
 * are no words. */
int vgm_messages_sub(
    const struct vgm_cmd_run *, const struct vgm_messages_sub *table, size_t count);

#endif
