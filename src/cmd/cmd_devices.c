/* SPDX-License-Identifier: EUPL-1.2
 * cmd/cmd_devices.c — vgm devices: what copiers and lab machines have sent, and
 * what is wrong with how they send it. */
#include "cmd/rows.h"

#include <unistd.h>

#include "base/clock.h"

#define TEXT_BYTES (64u << 10)
#define NAME_COLUMNS 28
#define LAST_COLUMNS 10
#define NUMBER_COLUMNS 10

static long long number_at(const json_t *row, const char *name)
{
	return (long long)json_integer_value(json_object_get(row, name));
}

static void put_header(FILE *out, enum vgm_lang lang)
{
	vgm_rows_pad(out, vgm_words(VGM_WORDS_devices_machine, lang), NAME_COLUMNS);
	vgm_rows_pad(out, vgm_words(VGM_WORDS_devices_last, lang), LAST_COLUMNS);
	vgm_rows_pad(out, vgm_words(VGM_WORDS_devices_messages, lang), NUMBER_COLUMNS);
	vgm_rows_pad(out, vgm_words(VGM_WORDS_devices_repaired, lang), NUMBER_COLUMNS);
	fprintf(out, "%s\n", vgm_words(VGM_WORDS_devices_undelivered, lang));
}

static void put_number(FILE *out, const json_t *row, const char *name)
{
	char text[24];
	snprintf(text, sizeof text, "%lld", number_at(row, name));
	vgm_rows_pad(out, text, NUMBER_COLUMNS);
}

/* "    line ends of LF alone: 12; addresses without <>: 3" */
static void put_faults(FILE *out, enum vgm_lang lang, const json_t *row)
{
	static const struct {
		const char *name;
		enum vgm_words_id words;
	} faults[] = {
	    {"bare_lf", VGM_WORDS_devices_bare_lf},
	    {"bare_cr", VGM_WORDS_devices_bare_cr},
	    {"path", VGM_WORDS_devices_path},
	    {"name", VGM_WORDS_devices_name},
	};
	const json_t *found = json_object_get(row, "faults");
	const char *before = "    ";
	for (size_t i = 0; i < VGM_ARRAY_LEN(faults); i++) {
		VGM_CLEANUP(vgm_buf_release) struct vgm_buf text = VGM_BUF_INIT(TEXT_BYTES);
		char number[24];
		snprintf(number, sizeof number, "%lld", number_at(found, faults[i].name));
		if (number_at(found, faults[i].name) == 0 ||
		    vgm_words_fill(faults[i].words, lang, &text, "count", number, NULL) < 0)
			continue;
		fprintf(out, "%s%s", before, vgm_buf_str(&text));
		before = "; ";
	}
	if (*before == ';')
		putc('\n', out);
}

static int put_device(void *context, const struct vgm_cmd_run *run, json_t *row, int fd)
{
	struct vgm_rows_list *list = context;
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf text = VGM_BUF_INIT(TEXT_BYTES);
	const char *time = json_string_value(json_object_get(row, "last"));
	char last[32];
	if (fd >= 0)
		close(fd);
	if (list->count++ == 0)
		put_header(list->out, run->lang);
	vgm_rows_age(run->lang, time, list->now_us, last);
	/* A name that fills its column still ends before the next. */
	vgm_rows_pad(list->out, vgm_rows_text(row, "machine", &text), NAME_COLUMNS - 1);
	putc(' ', list->out);
	vgm_rows_pad(list->out, time ? last : vgm_words(VGM_WORDS_devices_never, run->lang),
	    LAST_COLUMNS);
	put_number(list->out, row, "messages");
	put_number(list->out, row, "repaired");
	fprintf(list->out, "%lld\n", number_at(row, "undelivered"));
	put_faults(list->out, run->lang, row);
	if (json_is_false(json_object_get(row, "configured")))
		fprintf(list->out, "    %s\n", vgm_words(VGM_WORDS_devices_gone, run->lang));
	return VGM_EXIT_OK;
}

static int run_devices(struct vgm_cmd_run *run)
{
	struct vgm_control_question q = {.verb = "devices"};
	struct vgm_rows_list list = {.out = stdout, .now_us = vgm_clock_wall_us()};
	int status = vgm_control_ask(run, &q, put_device, &list);
	if (status == VGM_EXIT_OK && list.count == 0 && !run->json)
		vgm_cmd_say(run, stdout, VGM_WORDS_devices_none, NULL);
	return status;
}

const struct vgm_cmd vgm_cmd_devices = {
    .name = "devices",
    .summary = VGM_WORDS_devices_summary,
    .usage = "",
    .about = VGM_WORDS_devices_about,
    .negative = VGM_WORDS_config_negative,
    .flags = VGM_CMD_CONTROL,
    .run = run_devices,
};
