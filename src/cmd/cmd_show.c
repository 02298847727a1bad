/* SPDX-License-Identifier: EUPL-1.2
 * cmd/cmd_show.c — vgm show: the header of a message, or its exact bytes. The
 * server writes who asked, and why, into the ledger before it opens anything. */
#include "cmd/rows.h"

#include <errno.h>
#include <unistd.h>

#include "base/clock.h"

#define WHY_BYTES 400

struct shown {
	struct vgm_rows_list list;
	json_t *envelope; /* the first row; the head comes with the second */
};

/* ---- exact bytes ---- */

static int output_failed(const struct vgm_cmd_run *run)
{
	return vgm_cmd_fail(run, VGM_EXIT_SYSTEM, VGM_WORDS_cmd_output_failed, "why",
	    strerror(errno), NULL);
}

static int put_bytes(void *context, const struct vgm_cmd_run *run, json_t *row, int fd)
{
	uint8_t bytes[65536];
	ssize_t n = 0;
	(void)context;
	(void)row;
	/* A memfd, wherever its writer left its place. */
	for (off_t at = 0; (n = pread(fd, bytes, sizeof bytes, at)) > 0; at += n)
		if (fwrite(bytes, 1, (size_t)n, stdout) != (size_t)n)
			break;
	close(fd);
	if (n != 0 || fflush(stdout) != 0)
		return output_failed(run);
	return VGM_EXIT_OK;
}

/* ---- header ---- */

/* Who really sent it is said where that is somebody else: behind a trusted hop. */
static bool says_nothing(const json_t *head, const char *name)
{
	return strcmp(name, "origin") == 0 &&
	    json_equal(json_object_get(head, "client"), json_object_get(head, name));
}

static void put_fields(const struct vgm_cmd_run *run, const json_t *head)
{
	static const struct {
		const char *name;
		enum vgm_words_id words;
	} fields[] = {
	    {"from", VGM_WORDS_show_from},
	    {"to", VGM_WORDS_show_to},
	    {"subject", VGM_WORDS_show_subject},
	    {"date", VGM_WORDS_show_date},
	    {"message_id", VGM_WORDS_show_message_id},
	    {"client", VGM_WORDS_show_client},
	    {"origin", VGM_WORDS_show_origin},
	    {"helo", VGM_WORDS_show_helo},
	    {"tls", VGM_WORDS_show_tls},
	    {"login", VGM_WORDS_show_login},
	};
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf text = VGM_BUF_INIT(64u << 10);
	for (size_t i = 0; i < VGM_ARRAY_LEN(fields); i++) {
		const char *value = vgm_rows_text(head, fields[i].name, &text);
		if (!*value || says_nothing(head, fields[i].name))
			continue;
		fputs("  ", stdout);
		vgm_rows_pad(stdout, vgm_words(fields[i].words, run->lang), 14);
		printf("%s\n", value);
	}
}

static int put_head(void *context, const struct vgm_cmd_run *run, json_t *row, int fd)
{
	struct shown *shown = context;
	if (fd >= 0)
		close(fd);
	if (json_object_get(row, "recipients")) {
		if (!run->json)
			return vgm_rows_track(&shown->list, run, row, -1);
		if (!shown->envelope)
			shown->envelope = json_incref(row);
		return VGM_EXIT_OK;
	}
	if (!run->json) {
		put_fields(run, row);
		return VGM_EXIT_OK;
	}
	if (!shown->envelope || json_object_set(shown->envelope, "head", row) < 0 ||
	    json_dumpf(shown->envelope, stdout, JSON_COMPACT) < 0)
		return output_failed(run);
	putchar('\n');
	return VGM_EXIT_OK;
}

static int run_show(struct vgm_cmd_run *run)
{
	bool raw = vgm_cmd_option(run, "raw") != NULL;
	const char *reason = vgm_cmd_option(run, "why");
	struct shown shown = {.list = {.out = stdout, .now_us = vgm_clock_wall_us()}};
	struct vgm_control_question q = {
	    .verb = raw ? "show raw" : "show head", .every_row = true};
	char why[WHY_BYTES];
	int n = snprintf(why, sizeof why, "--why=%s", reason ? reason : "");
	if (n < 0 || n >= (int)sizeof why)
		return vgm_cmd_fail(
		    run, VGM_EXIT_USAGE, VGM_WORDS_view_term_long, "detail", "--why", NULL);
	if (!vgm_control_word(run, &q, run->words[0]) ||
	    (reason && !vgm_control_word(run, &q, why)))
		return VGM_EXIT_USAGE;
	int status = vgm_control_ask(run, &q, raw ? put_bytes : put_head, &shown);
	json_decref(shown.envelope);
	return status;
}

static const struct vgm_cmd_option options[] = {
    {"raw", NULL, VGM_WORDS_show_opt_raw},
    {"why", "TEXT", VGM_WORDS_show_opt_why},
    {NULL, NULL, VGM_WORDS_COUNT},
};

const struct vgm_cmd vgm_cmd_show = {
    .name = "show",
    .summary = VGM_WORDS_show_summary,
    .usage = "[--raw] [--why TEXT] ID",
    .about = VGM_WORDS_show_about,
    .negative = VGM_WORDS_messages_negative,
    .options = options,
    .words_min = 1,
    .words_max = 1,
    .flags = VGM_CMD_CONTROL,
    .run = run_show,
};
