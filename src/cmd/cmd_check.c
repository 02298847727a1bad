/* SPDX-License-Identifier: EUPL-1.2
 * cmd/cmd_check.c — vgm check TOPIC: one of the program's parsers over JSON
 * lines, without network, clock or files of its own. Each topic is a row of a
 * table; conformance tests and the curious use it. */
#include <jansson.h>

#include "cmd/cmd.h"
#include "smtp/address.h"

#define LINE_BYTES (4u << 20)

/* ---- topics: an object in, an object out ---- */

static struct vgm_slice text_of(json_t *in, const char *name)
{
	json_t *value = json_object_get(in, name);
	const char *text = json_string_value(value);
	return text ? vgm_slice(text, json_string_length(value)) : VGM_SLICE_NONE;
}

static json_t *json_of(struct vgm_slice s)
{
	return json_stringn((const char *)s.data, s.len);
}

/* {"text": mailbox} as it may stand in an envelope → its normal form. */
static void check_address(json_t *in, json_t *out)
{
	struct vgm_buf mailbox = VGM_BUF_INIT(4 * VGM_SMTP_MAILBOX_MAX);
	struct vgm_err err = {0};
	int r = vgm_smtp_mailbox_parse(text_of(in, "text"), VGM_SMTP_PATH_UTF8, &mailbox, &err);
	json_object_set_new(out, "valid", json_boolean(r == 0));
	if (r == 0) {
		struct vgm_slice whole = vgm_buf_slice(&mailbox);
		json_object_set_new(out, "mailbox", json_of(whole));
		json_object_set_new(out, "local", json_of(vgm_smtp_local_of(whole)));
		json_object_set_new(out, "domain", json_of(vgm_smtp_domain_of(whole)));
	} else {
		json_object_set_new(out, "reason", json_string(err.text));
	}
	vgm_buf_release(&mailbox);
}

static const struct {
	const char *name;
	void (*check)(json_t *in, json_t *out);
} topics[] = {
    {"address", check_address},
};

/* ---- lines ---- */

static int check_line(void (*check)(json_t *, json_t *), const struct vgm_cmd_run *run,
    struct vgm_slice line, const char *number)
{
	json_t *in = json_loadb((const char *)line.data, line.len, JSON_ALLOW_NUL, NULL);
	if (!json_is_object(in)) {
		json_decref(in);
		return vgm_cmd_fail(
		    run, VGM_EXIT_USAGE, VGM_WORDS_check_not_json, "line", number, NULL);
	}
	json_t *out = json_object();
	json_t *id = json_object_get(in, "id");
	if (id)
		json_object_set(out, "id", id);
	check(in, out);
	json_dumpf(out, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(out);
	json_decref(in);
	return VGM_EXIT_OK;
}

static int check_lines(void (*check)(json_t *, json_t *), const struct vgm_cmd_run *run)
{
	char *line = NULL, number[24];
	size_t room = 0;
	ssize_t n;
	int status = VGM_EXIT_OK;
	for (unsigned long i = 1; status == VGM_EXIT_OK && (n = getline(&line, &room, stdin)) >= 0;
	     i++) {
		struct vgm_slice text = vgm_slice_trim(vgm_slice(line, (size_t)n));
		snprintf(number, sizeof(number), "%lu", i);
		if (text.len > LINE_BYTES)
			status = vgm_cmd_fail(
			    run, VGM_EXIT_USAGE, VGM_WORDS_check_not_json, "line", number, NULL);
		else if (text.len > 0)
			status = check_line(check, run, text, number);
	}
	vgm_free(line);
	return status;
}

static int run_check(struct vgm_cmd_run *run)
{
	for (size_t i = 0; i < VGM_ARRAY_LEN(topics); i++) {
		if (run->words_count == 0)
			printf(run->json ? "{\"topic\":\"%s\"}\n" : "%s\n", topics[i].name);
		else if (strcmp(run->words[0], topics[i].name) == 0)
			return check_lines(topics[i].check, run);
	}
	if (run->words_count == 0)
		return VGM_EXIT_OK;
	return vgm_cmd_fail(
	    run, VGM_EXIT_USAGE, VGM_WORDS_check_no_topic, "topic", run->words[0], NULL);
}

const struct vgm_cmd vgm_cmd_check = {
    .name = "check",
    .summary = VGM_WORDS_check_summary,
    .usage = "[TOPIC]",
    .about = VGM_WORDS_check_about,
    .negative = VGM_WORDS_config_negative,
    .words_max = 1,
    .run = run_check,
};
