/* SPDX-License-Identifier: EUPL-1.2
 * cmd/help.c — what --help prints, made of the commands' tables. */
#include "cmd/cmd.h"

#define COLUMNS 80u

/* Width on the screen: one for each character of our texts. */
static size_t width(struct vgm_slice s)
{
	size_t n = 0;
	for (size_t i = 0; i < s.len; i++)
		n += (s.data[i] & 0xC0) != 0x80;
	return n;
}

/* Prints text folded to COLUMNS, each line after the first indented. at = column
 * where the text begins. A newline in the text stays one. */
static void print_folded(FILE *file, const char *text, size_t at, size_t indent)
{
	struct vgm_slice rest = vgm_slice_str(text);
	bool begins = true;
	while (rest.len > 0) {
		size_t end = 0;
		while (end < rest.len && rest.data[end] != ' ' && rest.data[end] != '\n')
			end++;
		struct vgm_slice word = vgm_slice_sub(rest, 0, end);
		if (!begins && at + 1 + width(word) > COLUMNS) {
			fprintf(file, "\n%*s", (int)indent, "");
			at = indent;
			begins = true;
		}
		fprintf(file, "%s%.*s", begins ? "" : " ", VGM_SLICE_ARG(word));
		at += width(word) + !begins;
		begins = false;
		if (end < rest.len && rest.data[end] == '\n') {
			fprintf(file, "\n%*s", (int)indent, "");
			at = indent;
			begins = true;
		}
		rest = vgm_slice_from(rest, end + 1);
	}
	putc('\n', file);
}

/* "  left        text", text in a column of its own. */
static void print_pair(FILE *file, const char *left, const char *text)
{
	const size_t column = 24;
	size_t n = 2 + width(vgm_slice_str(left));
	fprintf(file, "  %s", left);
	if (n + 2 > column) {
		putc('\n', file);
		n = 0;
	}
	fprintf(file, "%*s", (int)(column - n), "");
	print_folded(file, text, column, column);
}

static void print_exits(const struct vgm_cmd *cmd, enum vgm_lang lang, FILE *file)
{
	const enum vgm_words_id exits[] = {VGM_WORDS_exit_ok,
	    cmd ? cmd->negative : VGM_WORDS_exit_no, VGM_WORDS_exit_usage,
	    VGM_WORDS_exit_unreachable, VGM_WORDS_exit_conf, VGM_WORDS_exit_system};
	fprintf(file, "\n%s\n", vgm_words(VGM_WORDS_cmd_exits, lang));
	for (size_t i = 0; i < VGM_ARRAY_LEN(exits); i++) {
		fprintf(file, "  %zu  ", i);
		print_folded(file, vgm_words(exits[i], lang), 5, 5);
	}
}

void vgm_cmd_print_help_all(const struct vgm_cmd *const *table, enum vgm_lang lang, FILE *file)
{
	fprintf(file, "%s\n\n", vgm_words(VGM_WORDS_cmd_what_is_vgm, lang));
	fprintf(file, "%s vgm COMMAND [--help]\n\n%s\n", vgm_words(VGM_WORDS_cmd_usage, lang),
	    vgm_words(VGM_WORDS_cmd_commands, lang));
	for (; *table; table++)
		if (!((*table)->flags & VGM_CMD_HIDDEN))
			print_pair(file, (*table)->name, vgm_words((*table)->summary, lang));
	print_exits(NULL, lang, file);
	fputc('\n', file);
	print_folded(file, vgm_words(VGM_WORDS_cmd_more, lang), 0, 0);
}

/* "usage: vgm queue list" and the other forms under it. */
static void print_usage(const struct vgm_cmd *cmd, enum vgm_lang lang, FILE *file)
{
	const char *title = vgm_words(VGM_WORDS_cmd_usage, lang);
	struct vgm_slice rest = vgm_slice_str(cmd->usage);
	int indent = (int)width(vgm_slice_str(title));
	bool first = true;
	do {
		size_t end = vgm_slice_find(rest, '\n');
		struct vgm_slice form = vgm_slice_sub(rest, 0, end);
		fprintf(file, "%*s vgm %s%s%.*s\n", first ? 0 : indent, first ? title : "",
		    cmd->name, form.len ? " " : "", VGM_SLICE_ARG(form));
		first = false;
		rest = vgm_slice_from(rest, end + 1);
	} while (rest.len > 0);
}

void vgm_cmd_print_help(const struct vgm_cmd *cmd, enum vgm_lang lang, FILE *file)
{
	print_usage(cmd, lang, file);
	fputc('\n', file);
	print_folded(file, vgm_words(cmd->about, lang), 0, 0);
	fprintf(file, "\n%s\n", vgm_words(VGM_WORDS_cmd_options, lang));
	for (size_t t = 0; t < VGM_CMD_TABLES; t++) {
		const struct vgm_cmd_option *o = vgm_cmd_options_at(cmd, t);
		for (; o && o->name; o++) {
			char left[80];
			snprintf(left, sizeof(left), "--%s%s%s", o->name, o->value ? " " : "",
			    o->value ? o->value : "");
			print_pair(file, left, vgm_words(o->help, lang));
		}
	}
	print_exits(cmd, lang, file);
}
