/* SPDX-License-Identifier: EUPL-1.2
 * cmd/cmd_queue.c — vgm queue: what waits to be delivered, and acts on it. */
#include "cmd/messages.h"

#include <unistd.h>

static int list(const struct vgm_cmd_run *run)
{
	return vgm_messages_list(run, "queue list", 1, vgm_rows_message, VGM_WORDS_queue_empty);
}

static int put_counts(void *context, const struct vgm_cmd_run *run, json_t *row, int fd)
{
	static const char *const states[] = {"queued", "deferred", "held"};
	(void)context;
	if (fd >= 0)
		close(fd);
	for (size_t i = 0; i < VGM_ARRAY_LEN(states); i++) {
		vgm_rows_pad(stdout, vgm_rows_status(run->lang, states[i]), 12);
		printf("%lld\n", (long long)json_integer_value(json_object_get(row, states[i])));
	}
	return VGM_EXIT_OK;
}

static int count(const struct vgm_cmd_run *run)
{
	struct vgm_control_question q = {.verb = "queue count"};
	return vgm_control_ask(run, &q, put_counts, NULL);
}

static int flush(const struct vgm_cmd_run *run)
{
	return vgm_messages_act(run, "queue flush", 1, true);
}

static int hold(const struct vgm_cmd_run *run)
{
	return vgm_messages_act(run, "queue hold", 1, false);
}

static int release(const struct vgm_cmd_run *run)
{
	return vgm_messages_act(run, "queue release", 1, false);
}

static int take_off(const struct vgm_cmd_run *run)
{
	return vgm_messages_act(run, "queue remove", 1, false);
}

static int run_queue(struct vgm_cmd_run *run)
{
	static const struct vgm_messages_sub subs[] = {
	    {"list", VGM_CMD_ARGUMENTS_MAX, list},
	    {"count", 1, count},
	    {"flush", 2, flush},
	    {"hold", 2, hold},
	    {"release", 2, release},
	    {"remove", 2, take_off},
	};
	return vgm_messages_sub(run, subs, VGM_ARRAY_LEN(subs));
}

static const struct vgm_cmd_option options[] = {
    {"limit", "N", VGM_WORDS_messages_opt_limit},
    {"all", NULL, VGM_WORDS_messages_opt_all},
    {NULL, NULL, VGM_WORDS_COUNT},
};

const struct vgm_cmd vgm_cmd_queue = {
    .name = "queue",
    .summary = VGM_WORDS_queue_summary,
    .usage = "[list [--limit N] [CRITERION...]]\ncount\nflush [ID]\nhold ID\nhold --all\n"
             "release ID\nrelease --all\nremove ID\nremove --all",
    .about = VGM_WORDS_queue_about,
    .negative = VGM_WORDS_messages_negative,
    .options = options,
    .words_max = VGM_CMD_ARGUMENTS_MAX,
    .flags = VGM_CMD_CONTROL,
    .run = run_queue,
};
