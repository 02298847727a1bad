/* SPDX-License-Identifier: EUPL-1.2
 * cmd/cmd.c — the frame of every command: arguments against the command's table,
 * what is said and how (cmd.h). */
#include "cmd/cmd.h"

#include <errno.h>
#include <stdarg.h>

#include "base/text.h"
#include "words/suggest.h"

#define TEXT_MAX_BYTES (64u << 10)

/* Options that every command takes. */
static const struct vgm_cmd_option common[] = {
    {"json", NULL, VGM_WORDS_opt_json},
    {"lang", "LANG", VGM_WORDS_opt_lang},
    {"help", NULL, VGM_WORDS_opt_help},
    {NULL, NULL, VGM_WORDS_COUNT},
};
static const struct vgm_cmd_option control[] = {
    {"state", "DIR", VGM_WORDS_opt_state},
    {"config", "FILE", VGM_WORDS_opt_config},
    {NULL, NULL, VGM_WORDS_COUNT},
};

const struct vgm_cmd_option *vgm_cmd_options_at(const struct vgm_cmd *cmd, size_t table)
{
	const struct vgm_cmd_option *tables[3] = {
	    cmd->options, cmd->flags & VGM_CMD_CONTROL ? control : NULL, common};
	return table < VGM_ARRAY_LEN(tables) ? tables[table] : NULL;
}

/* ---- what was given ---- */

const char *vgm_cmd_option(const struct vgm_cmd_run *run, const char *name)
{
	for (size_t i = run->given_count; i > 0; i--)
		if (strcmp(run->given[i - 1].name, name) == 0)
			return run->given[i - 1].value;
	return NULL;
}

const char *vgm_cmd_option_at(const struct vgm_cmd_run *run, const char *name, size_t nth)
{
	for (size_t i = 0; i < run->given_count; i++)
		if (strcmp(run->given[i].name, name) == 0 && nth-- == 0)
			return run->given[i].value;
	return NULL;
}

bool vgm_cmd_option_number(const struct vgm_cmd_run *run, const char *name, uint64_t fallback,
    uint64_t min, uint64_t max, uint64_t *out)
{
	const char *value = vgm_cmd_option(run, name);
	uint64_t number = fallback;
	if (value && (!vgm_slice_to_u64(vgm_slice_str(value), max, &number) || number < min)) {
		char low[24], high[24], option[64];
		snprintf(low, sizeof(low), "%llu", (unsigned long long)min);
		snprintf(high, sizeof(high), "%llu", (unsigned long long)max);
		snprintf(option, sizeof(option), "--%s", name);
		vgm_cmd_fail(run, VGM_EXIT_USAGE, VGM_WORDS_cmd_option_not_number, "option", option,
		    "min", low, "max", high, "value", value, NULL);
		return false;
	}
	*out = number;
	return true;
}

/* ---- what is said ---- */

void vgm_cmd_json_string(FILE *file, struct vgm_slice s)
{
	putc('"', file);
	for (size_t i = 0; i < s.len;) {
		uint8_t c = s.data[i];
		size_t n = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
		bool valid = n <= s.len - i && vgm_utf8_valid(vgm_slice_sub(s, i, i + n));
		n = valid ? n : 1;
		if (!valid)
			fputs("\\ufffd", file);
		else if (c == '"' || c == '\\')
			fprintf(file, "\\%c", c);
		else if (c < 0x20 || c == 0x7F)
			fprintf(file, "\\u%04x", c);
		else
			fwrite(s.data + i, 1, n, file);
		i += n;
	}
	putc('"', file);
}

static void fill(
    const struct vgm_cmd_run *run, struct vgm_buf *out, enum vgm_words_id id, va_list ap)
{
	if (vgm_words_fill_list(id, run->lang, out, ap) < 0) {
		vgm_buf_clear(out); /* a value of 64 KiB: the bare text is better than none */
		int r = vgm_buf_add_str(out, vgm_words(id, run->lang));
		VGM_BUG_ON(r < 0);
	}
}

void vgm_cmd_say(const struct vgm_cmd_run *run, FILE *file, enum vgm_words_id id, ...)
{
	struct vgm_buf text = VGM_BUF_INIT(TEXT_MAX_BYTES);
	va_list ap;
	va_start(ap, id);
	fill(run, &text, id, ap);
	va_end(ap);
	fprintf(file, "%s\n", vgm_buf_str(&text));
	vgm_buf_release(&text);
}

int vgm_cmd_fail(const struct vgm_cmd_run *run, int code, enum vgm_words_id id, ...)
{
	struct vgm_buf text = VGM_BUF_INIT(TEXT_MAX_BYTES),
		       shown = VGM_BUF_INIT(4 * TEXT_MAX_BYTES);
	va_list ap;
	va_start(ap, id);
	fill(run, &text, id, ap);
	va_end(ap);
	if (run->json) {
		fprintf(stderr, "{\"error\":\"%s\",\"text\":", vgm_words_name(id));
		vgm_cmd_json_string(stderr, vgm_buf_slice(&text));
		fputs("}\n", stderr);
	} else {
		/* Values are argv and file names: nothing in them may move the terminal. */
		int r = vgm_text_escape(vgm_buf_slice(&text), TEXT_MAX_BYTES, &shown);
		VGM_BUG_ON(r < 0);
		const char *name = run->cmd ? run->cmd->name : "";
		fprintf(stderr, "vgm%s%s: %s\n", name[0] ? " " : "", name, vgm_buf_str(&shown));
	}
	vgm_buf_release(&text);
	vgm_buf_release(&shown);
	return code;
}

int vgm_cmd_fail_err(const struct vgm_cmd_run *run, const char *what, const struct vgm_err *err)
{
	bool later =
	    err->code == VGM_E_CLOSED || err->code == VGM_E_TIMEOUT || err->code == VGM_E_BUSY;
	return vgm_cmd_fail(run, later ? VGM_EXIT_UNREACHABLE : VGM_EXIT_SYSTEM,
	    VGM_WORDS_cmd_failed, "what", what, "why", err->text, NULL);
}

/* All forms in one line: "vgm config check [FILE] | vgm config man". */
static int add_forms(const struct vgm_cmd *cmd, struct vgm_buf *out)
{
	struct vgm_slice rest = vgm_slice_str(cmd->usage);
	int r;
	do {
		size_t end = vgm_slice_find(rest, '\n');
		r = vgm_buf_addf(out, "%svgm %s%s%.*s", out->len ? " | " : "", cmd->name,
		    cmd->name[0] && end ? " " : "", VGM_SLICE_ARG(vgm_slice_sub(rest, 0, end)));
		rest = vgm_slice_from(rest, end + 1);
	} while (r == 0 && rest.len > 0);
	return r;
}

int vgm_cmd_fail_usage(const struct vgm_cmd_run *run, const char *word)
{
	struct vgm_buf forms = VGM_BUF_INIT(TEXT_MAX_BYTES);
	int r = add_forms(run->cmd, &forms);
	VGM_BUG_ON(r < 0);
	vgm_cmd_fail(run, VGM_EXIT_USAGE, word ? VGM_WORDS_cmd_too_many : VGM_WORDS_cmd_too_few,
	    "word", word ? word : "", "usage", vgm_buf_str(&forms), NULL);
	vgm_buf_release(&forms);
	return VGM_EXIT_USAGE;
}

/* ---- arguments ---- */

static const struct vgm_cmd_option *find_option(const struct vgm_cmd *cmd, struct vgm_slice name)
{
	for (size_t t = 0; t < VGM_CMD_TABLES; t++) {
		const struct vgm_cmd_option *o = vgm_cmd_options_at(cmd, t);
		for (; o && o->name; o++)
			if (vgm_slice_eq(name, vgm_slice_str(o->name)))
				return o;
	}
	return NULL;
}

static int unknown_option(
    const struct vgm_cmd_run *run, const char *argument, struct vgm_slice name)
{
	struct vgm_suggest s = VGM_SUGGEST_INIT(name);
	char near[64];
	for (size_t t = 0; t < VGM_CMD_TABLES; t++) {
		const struct vgm_cmd_option *o = vgm_cmd_options_at(run->cmd, t);
		for (; o && o->name; o++)
			vgm_suggest_try(&s, o->name);
	}
	snprintf(near, sizeof(near), "--%s", s.best ? s.best : "");
	return vgm_cmd_fail(run, VGM_EXIT_USAGE,
	    s.best ? VGM_WORDS_cmd_option_unknown_near : VGM_WORDS_cmd_option_unknown, "option",
	    argument, "near", near, "command", run->cmd->name, NULL);
}

/* An argument "--name", "--name=value" or "--name" "value"; *i moves to the last
 * one used. */
static int take_option(struct vgm_cmd_run *run, int argc, char **argv, int *i)
{
	struct vgm_slice whole = vgm_slice_str(argv[*i] + 2);
	size_t equals = vgm_slice_find(whole, '=');
	struct vgm_slice name = vgm_slice_sub(whole, 0, equals);
	const struct vgm_cmd_option *o = find_option(run->cmd, name);
	const char *value = equals < whole.len ? argv[*i] + 2 + equals + 1 : NULL;
	if (!o)
		return unknown_option(run, argv[*i], name);
	if (!o->value && value)
		return vgm_cmd_fail(
		    run, VGM_EXIT_USAGE, VGM_WORDS_cmd_option_takes_none, "option", argv[*i], NULL);
	if (o->value && !value && *i + 1 == argc)
		return vgm_cmd_fail(run, VGM_EXIT_USAGE, VGM_WORDS_cmd_option_needs_value, "option",
		    argv[*i], "value", o->value, NULL);
	if (o->value && !value)
		value = argv[++*i];
	if (run->given_count == VGM_CMD_ARGUMENTS_MAX)
		return vgm_cmd_fail_usage(run, argv[*i]);
	run->given[run->given_count].name = o->name;
	run->given[run->given_count++].value = value ? value : "";
	return VGM_EXIT_OK;
}

static int take_word(struct vgm_cmd_run *run, const char *word)
{
	if (run->words_count == run->cmd->words_max || run->words_count == VGM_CMD_ARGUMENTS_MAX)
		return vgm_cmd_fail_usage(run, word);
	run->words[run->words_count++] = word;
	return VGM_EXIT_OK;
}

/* --lang and --json hold for what the reading itself may have to say. */
static int settle(struct vgm_cmd_run *run, bool *out_help)
{
	const char *lang = vgm_cmd_option(run, "lang");
	run->json = vgm_cmd_option(run, "json") != NULL;
	*out_help = vgm_cmd_option(run, "help") != NULL;
	if (lang && !vgm_lang_parse(lang, &run->lang))
		return vgm_cmd_fail(
		    run, VGM_EXIT_USAGE, VGM_WORDS_cmd_lang_unknown, "value", lang, NULL);
	return VGM_EXIT_OK;
}

/* What --lang says, wherever it stands: mistakes before it are told in it too. */
static const char *said_lang(int argc, char **argv)
{
	const char *lang = NULL;
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strncmp(argv[i], "--lang=", 7) == 0)
			lang = argv[i] + 7;
		else if (strcmp(argv[i], "--lang") == 0 && i + 1 < argc)
			lang = argv[i + 1];
	}
	return lang;
}

int vgm_cmd_read(
    const struct vgm_cmd *cmd, int argc, char **argv, struct vgm_cmd_run *out, bool *out_help)
{
	bool only_words = false;
	int status = VGM_EXIT_OK;
	*out = (struct vgm_cmd_run){.cmd = cmd, .lang = vgm_lang_choose(said_lang(argc, argv))};
	*out_help = false;
	for (int i = 0; i < argc && status == VGM_EXIT_OK; i++) {
		if (!only_words && strcmp(argv[i], "--") == 0)
			only_words = true;
		else if (!only_words && strncmp(argv[i], "--", 2) == 0)
			status = take_option(out, argc, argv, &i);
		else if (!only_words && argv[i][0] == '-' && argv[i][1] != '\0')
			status = unknown_option(out, argv[i], vgm_slice_str(argv[i] + 1));
		else
			status = take_word(out, argv[i]);
		if (status == VGM_EXIT_OK)
			status = settle(out, out_help);
	}
	if (status == VGM_EXIT_OK && !*out_help && out->words_count < cmd->words_min)
		status = vgm_cmd_fail_usage(out, NULL);
	return status;
}

/* ---- the command line ---- */

static int unknown_command(
    const struct vgm_cmd *const *table, const struct vgm_cmd_run *run, const char *name)
{
	struct vgm_suggest s = VGM_SUGGEST_INIT(vgm_slice_str(name));
	for (; *table; table++)
		if (!((*table)->flags & VGM_CMD_HIDDEN))
			vgm_suggest_try(&s, (*table)->name);
	return vgm_cmd_fail(run, VGM_EXIT_USAGE,
	    s.best ? VGM_WORDS_cmd_unknown_near : VGM_WORDS_cmd_unknown, "command", name, "near",
	    s.best ? s.best : "", NULL);
}

/* A result that did not reach its reader is not a result. */
static int close_output(const struct vgm_cmd_run *run, int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	return vgm_cmd_fail(run, VGM_EXIT_SYSTEM, VGM_WORDS_cmd_output_failed, "why",
	    strerrordesc_np(errno), NULL);
}

static int run_command(const struct vgm_cmd *cmd, int argc, char **argv)
{
	struct vgm_cmd_run *run = vgm_alloc(sizeof(*run));
	bool help;
	int status = vgm_cmd_read(cmd, argc, argv, run, &help);
	if (status == VGM_EXIT_OK && help)
		vgm_cmd_print_help(cmd, run->lang, stdout);
	else if (status == VGM_EXIT_OK)
		status = cmd->run(run);
	status = close_output(run, status);
	vgm_free(run);
	return status;
}

int vgm_cmd_main(const struct vgm_cmd *const *table, int argc, char **argv)
{
	/* What may stand before the command's name belongs to no command. */
	static const struct vgm_cmd none = {.name = "", .usage = "COMMAND"};
	struct vgm_cmd_run *run = vgm_alloc(sizeof(*run));
	int first = 1, status;
	bool help;
	while (first < argc && argv[first][0] == '-' && strcmp(argv[first], "--version") != 0)
		first += strcmp(argv[first], "--lang") == 0 ? 2 : 1;
	first = first < argc ? first : argc;
	status = vgm_cmd_read(&none, first - 1, argv + 1, run, &help);
	run->cmd = NULL;
	run->lang = vgm_lang_choose(said_lang(argc, argv));
	if (status == VGM_EXIT_OK && (help || first == argc)) {
		vgm_cmd_print_help_all(table, run->lang, help ? stdout : stderr);
		status = close_output(run, help ? VGM_EXIT_OK : VGM_EXIT_USAGE);
	} else if (status == VGM_EXIT_OK) {
		const struct vgm_cmd *const *cmd = table;
		char *name = argv[first];
		if (strcmp(name, "--version") == 0)
			name += 2; /* as people try it */
		while (*cmd && strcmp((*cmd)->name, name) != 0)
			cmd++;
		/* Options before the name count as if they stood behind it. */
		memmove(argv + 2, argv + 1, (size_t)(first - 1) * sizeof(*argv));
		argv[1] = name;
		status = *cmd ? run_command(*cmd, argc - 2, argv + 2)
		              : unknown_command(table, run, name);
	}
	vgm_free(run);
	return status;
}
