/* SPDX-License-Identifier: EUPL-1.2
 * cmd/messages.c — see messages.h. */
#include "cmd/messages.h"

#include <unistd.h>

#include "base/clock.h"

#define LIMIT_MAX 100000

int vgm_messages_list(const struct vgm_cmd_run *run, const char *verb, size_t first,
    vgm_control_row *row, enum vgm_words_id none)
{
	struct vgm_control_question q = {.verb = verb};
	struct vgm_rows_list list = {.out = stdout, .now_us = vgm_clock_wall_us()};
	char limit[40];
	uint64_t n;
	if (!vgm_cmd_option_number(run, "limit", VGM_MESSAGES_LIMIT, 1, LIMIT_MAX, &n))
		return VGM_EXIT_USAGE;
	snprintf(limit, sizeof limit, "--limit=%llu", (unsigned long long)n);
	if (!vgm_control_word(run, &q, limit))
		return VGM_EXIT_USAGE;
	for (size_t i = first; i < run->words_count; i++)
		if (!vgm_control_word(run, &q, run->words[i]))
			return VGM_EXIT_USAGE;
	int status = vgm_control_ask(run, &q, row, &list);
	if (status == VGM_EXIT_OK && list.count == 0 && !run->json)
		vgm_cmd_say(run, stdout, none, NULL);
	return status;
}

static int acted(void *context, const struct vgm_cmd_run *run, json_t *row, int fd)
{
	char number[24];
	(void)context;
	if (fd >= 0)
		close(fd);
	snprintf(number, sizeof number, "%lld",
	    (long long)json_integer_value(json_object_get(row, "messages")));
	vgm_cmd_say(run, stdout, VGM_WORDS_messages_acted, "count", number, NULL);
	return VGM_EXIT_OK;
}

int vgm_messages_act(const struct vgm_cmd_run *run, const char *verb, size_t first, bool all)
{
	struct vgm_control_question q = {.verb = verb};
	bool one = run->words_count > first;
	all = all || vgm_cmd_option(run, "all");
	if (one && vgm_cmd_option(run, "all"))
		return vgm_cmd_fail(run, VGM_EXIT_USAGE, VGM_WORDS_messages_id_and_all, NULL);
	if (!one && !all)
		return vgm_cmd_fail(run, VGM_EXIT_USAGE, VGM_WORDS_messages_id_or_all, NULL);
	if (!vgm_control_word(run, &q, one ? run->words[first] : "--all"))
		return VGM_EXIT_USAGE;
	return vgm_control_ask(run, &q, acted, NULL);
}

int vgm_messages_sub(
    const struct vgm_cmd_run *run, const struct vgm_messages_sub *table, size_t count)
{
	const struct vgm_messages_sub *sub = run->words_count ? NULL : table;
	for (size_t i = 0; !sub && i < count; i++)
		if (strcmp(run->words[0], table[i].name) == 0)
			sub = &table[i];
	if (!sub)
		return vgm_cmd_fail_usage(run, run->words[0]);
	if (run->words_count > sub->words_max)
		return vgm_cmd_fail_usage(run, run->words[sub->words_max]);
	return sub->run(run);
}
