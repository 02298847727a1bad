/* SPDX-License-Identifier: EUPL-1.2
 * cmd/cmd_ledger.c — vgm ledger: how far the ledger and its views are, who did
 * what, and the views made anew. */
#include "cmd/messages.h"

#include <unistd.h>

#include "base/clock.h"

#define TEXT_BYTES (64u << 10)

static long long number_at(const json_t *row, const char *name)
{
	return (long long)json_integer_value(json_object_get(row, name));
}

/* ---- info ---- */

static void put_view(const struct vgm_cmd_run *run, const json_t *row)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf text = VGM_BUF_INIT(TEXT_BYTES);
	char rows[24];
	snprintf(rows, sizeof rows, "%lld", number_at(row, "rows"));
	vgm_rows_pad(stdout, vgm_rows_text(row, "view", &text), 14);
	const char *class = json_string_value(json_object_get(row, "class"));
	vgm_cmd_say(run, stdout, VGM_WORDS_ledger_view, "class", class ? class : "?", "rows", rows,
	    NULL);
}

static int put_info(void *context, const struct vgm_cmd_run *run, json_t *row, int fd)
{
	char records[24], segment[24], offset[24], behind[24];
	(void)context;
	if (fd >= 0)
		close(fd);
	if (json_object_get(row, "view")) {
		put_view(run, row);
		return VGM_EXIT_OK;
	}
	snprintf(records, sizeof records, "%lld", number_at(row, "records"));
	snprintf(segment, sizeof segment, "%lld", number_at(row, "segment"));
	snprintf(offset, sizeof offset, "%lld", number_at(row, "offset"));
	snprintf(behind, sizeof behind, "%lld", number_at(row, "behind"));
	vgm_cmd_say(run, stdout, VGM_WORDS_ledger_stands, "records", records, "segment", segment,
	    "offset", offset, NULL);
	vgm_cmd_say(run, stdout, VGM_WORDS_ledger_behind, "behind", behind, NULL);
	if (json_is_true(json_object_get(row, "rebuilding")))
		vgm_cmd_say(run, stdout, VGM_WORDS_view_rebuild_busy, NULL);
	return VGM_EXIT_OK;
}

static int info(const struct vgm_cmd_run *run)
{
	struct vgm_control_question q = {.verb = "ledger info"};
	return vgm_control_ask(run, &q, put_info, NULL);
}

/* ---- events ---- */

static int put_event(void *context, const struct vgm_cmd_run *run, json_t *row, int fd)
{
	static const char *const names[] = {"type", "kind", "who", "why", "detail"};
	struct vgm_rows_list *list = context;
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf text = VGM_BUF_INIT(TEXT_BYTES);
	const char *time = json_string_value(json_object_get(row, "time"));
	const char *record = json_string_value(json_object_get(row, "record"));
	(void)run;
	if (fd >= 0)
		close(fd);
	list->count++;
	fprintf(list->out, "%.10s %.8s", time && strlen(time) >= 19 ? time : "",
	    time && strlen(time) >= 19 ? time + 11 : "");
	for (size_t i = 0; i < VGM_ARRAY_LEN(names); i++) {
		const char *value = vgm_rows_text(row, names[i], &text);
		if (*value)
			fprintf(list->out, "  %s", value);
	}
	fprintf(list->out, "%s%.10s\n", record ? "  " : "", record ? record : "");
	return VGM_EXIT_OK;
}

static int events(const struct vgm_cmd_run *run)
{
	return vgm_messages_list(run, "ledger events", 1, put_event, VGM_WORDS_ledger_no_events);
}

/* ---- rebuild ---- */

static int put_rebuilt(void *context, const struct vgm_cmd_run *run, json_t *row, int fd)
{
	bool *told = context;
	if (fd >= 0)
		close(fd);
	if (json_object_get(row, "view")) {
		if (!*told)
			vgm_cmd_say(run, stdout, VGM_WORDS_ledger_rebuilt, NULL);
		*told = true;
		put_view(run, row);
	} else if (isatty(STDERR_FILENO)) {
		fprintf(stderr, "\r%lld / %lld ", number_at(row, "rebuilt"), number_at(row, "of"));
		fflush(stderr);
	}
	return VGM_EXIT_OK;
}

static int rebuild(const struct vgm_cmd_run *run)
{
	struct vgm_control_question q = {.verb = "ledger rebuild"};
	bool told = false;
	return vgm_control_ask(run, &q, put_rebuilt, &told);
}

static int run_ledger(struct vgm_cmd_run *run)
{
	static const struct vgm_messages_sub subs[] = {
	    {"info", 1, info},
	    {"events", 1, events},
	    {"rebuild", 1, rebuild},
	};
	return vgm_messages_sub(run, subs, VGM_ARRAY_LEN(subs));
}

static const struct vgm_cmd_option options[] = {
    {"limit", "N", VGM_WORDS_messages_opt_limit},
    {NULL, NULL, VGM_WORDS_COUNT},
};

const struct vgm_cmd vgm_cmd_ledger = {
    .name = "ledger",
    .summary = VGM_WORDS_ledger_summary,
    .usage = "[info]\nevents [--limit N]\nrebuild",
    .about = VGM_WORDS_ledger_about,
    .negative = VGM_WORDS_ledger_negative,
    .options = options,
    .words_max = 1,
    .flags = VGM_CMD_CONTROL,
    .run = run_ledger,
};
