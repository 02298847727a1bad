/* SPDX-License-Identifier: EUPL-1.2
 * cmd/man.c — the manual pages, made of the tables of commands and options, so
 * that they say what the program does. Roff with the man macros; UTF-8. */
#include "cmd/cmd.h"
#include "conf/value.h"

struct page {
	struct vgm_buf *out;
	enum vgm_lang lang;
	int result; /* the first failure; nothing is added after it */
};

/* ---- roff ---- */

static void add(struct page *p, const char *text)
{
	if (p->result == 0)
		p->result = vgm_buf_add_str(p->out, text);
}

/* Text in which nothing is a request, an escape or a hyphen. */
static void add_text(struct page *p, struct vgm_slice s)
{
	for (size_t i = 0; i < s.len && p->result == 0; i++) {
		uint8_t c = s.data[i];
		bool line_begins = p->out->len > 0 && p->out->data[p->out->len - 1] == '\n';
		if (line_begins && (c == '.' || c == '\''))
			add(p, "\\&");
		if (c == '\\')
			add(p, "\\e");
		else if (c == '-')
			add(p, "\\-");
		else if (p->result == 0)
			p->result = vgm_buf_add_byte(p->out, c);
	}
}

static void add_str(struct page *p, const char *s)
{
	add_text(p, vgm_slice_str(s));
}

static void add_words(struct page *p, enum vgm_words_id id)
{
	add_str(p, vgm_words(id, p->lang));
}

/* A catalogue text with one place. */
static void add_filled(struct page *p, enum vgm_words_id id, const char *name, const char *value)
{
	struct vgm_buf text = VGM_BUF_INIT(64u << 10);
	int r = vgm_words_fill(id, p->lang, &text, name, value, NULL);
	add_text(p, vgm_buf_slice(&text));
	p->result = p->result ? p->result : r;
	vgm_buf_release(&text);
}

static void section(struct page *p, enum vgm_words_id title)
{
	add(p, ".SH ");
	add_words(p, title);
	add(p, "\n");
}

static void heading(struct page *p, const char *name, const char *number, enum vgm_words_id what)
{
	add(p, ".\\\" SPDX-License-Identifier: EUPL-1.2\n.\\\" Made by vgm; not written by "
	       "hand.\n.TH ");
	add(p, name);
	add(p, " ");
	add(p, number);
	add(p, " \"\" Vaguemestre\n");
	section(p, VGM_WORDS_man_name);
	add_str(p, strcmp(number, "1") == 0 ? "vgm" : "vgm.yaml");
	add(p, " \\- ");
	add_words(p, what);
	add(p, "\n");
}

static void item(struct page *p, const char *left, const char *value, const char *text)
{
	add(p, ".TP\n.B ");
	add_str(p, left);
	if (value) {
		add(p, " \\fI");
		add_str(p, value);
		add(p, "\\fR");
	}
	add(p, "\n");
	add_str(p, text);
	add(p, "\n");
}

/* ---- vgm(1) ---- */

static void options(struct page *p, const struct vgm_cmd_option *o)
{
	for (; o && o->name; o++) {
		char name[80];
		snprintf(name, sizeof(name), "--%s", o->name);
		item(p, name, o->value, vgm_words(o->help, p->lang));
	}
}

static void forms(struct page *p, const struct vgm_cmd *cmd)
{
	struct vgm_slice rest = vgm_slice_str(cmd->usage);
	do {
		size_t end = vgm_slice_find(rest, '\n');
		add(p, ".br\n.B vgm ");
		add_str(p, cmd->name);
		add(p, "\n");
		if (end > 0) {
			add_text(p, vgm_slice_sub(rest, 0, end));
			add(p, "\n");
		}
		rest = vgm_slice_from(rest, end + 1);
	} while (rest.len > 0);
}

static void command(struct page *p, const struct vgm_cmd *cmd)
{
	add(p, ".SS ");
	add_str(p, cmd->name);
	add(p, " \\- ");
	add_words(p, cmd->summary);
	add(p, "\n");
	forms(p, cmd);
	add(p, ".PP\n");
	add_words(p, cmd->about);
	add(p, "\n");
	options(p, cmd->options);
	add(p, ".PP\n");
	add_filled(p, VGM_WORDS_man_exit_one, "meaning", vgm_words(cmd->negative, p->lang));
	add(p, "\n");
}

static void exits(struct page *p)
{
	static const enum vgm_words_id ids[] = {VGM_WORDS_exit_ok, VGM_WORDS_exit_no,
	    VGM_WORDS_exit_usage, VGM_WORDS_exit_unreachable, VGM_WORDS_exit_conf,
	    VGM_WORDS_exit_system};
	section(p, VGM_WORDS_man_exits);
	for (size_t i = 0; i < VGM_ARRAY_LEN(ids); i++) {
		char number[8];
		snprintf(number, sizeof(number), "%zu", i);
		item(p, number, NULL, vgm_words(ids[i], p->lang));
	}
}

static void files(struct page *p)
{
	section(p, VGM_WORDS_man_files);
	item(p, "/etc/vaguemestre/vgm.yaml", NULL, vgm_words(VGM_WORDS_man_file_conf, p->lang));
	item(p, "/var/lib/vaguemestre", NULL, vgm_words(VGM_WORDS_man_file_state, p->lang));
}

int vgm_cmd_man(const struct vgm_cmd *const *table, enum vgm_lang lang, struct vgm_buf *out)
{
	struct page p = {out, lang, 0};
	static const struct vgm_cmd asks_server = {.flags = VGM_CMD_CONTROL};
	heading(&p, "VGM", "1", VGM_WORDS_man_vgm_name);
	section(&p, VGM_WORDS_man_synopsis);
	add(&p, ".B vgm\n\\fICOMMAND\\fR [\\fIOPTION\\fR...] [\\fIARGUMENT\\fR...]\n");
	section(&p, VGM_WORDS_man_description);
	add_words(&p, VGM_WORDS_man_vgm_about);
	add(&p, "\n");
	section(&p, VGM_WORDS_man_commands);
	for (; *table; table++)
		if (!((*table)->flags & VGM_CMD_HIDDEN))
			command(&p, *table);
	section(&p, VGM_WORDS_man_common);
	options(&p, vgm_cmd_options_at(&asks_server, 2));
	add(&p, ".PP\n");
	add_words(&p, VGM_WORDS_man_control);
	add(&p, "\n");
	options(&p, vgm_cmd_options_at(&asks_server, 1));
	exits(&p);
	files(&p);
	section(&p, VGM_WORDS_man_see_also);
	add(&p, ".BR vgm.yaml (5)\n");
	return p.result;
}

/* ---- vgm.yaml(5) ---- */

static const enum vgm_words_id kinds[] = {
    [VGM_CONF_TEXT] = VGM_WORDS_man_kind_text,
    [VGM_CONF_FLAG] = VGM_WORDS_man_kind_flag,
    [VGM_CONF_NUMBER] = VGM_WORDS_man_kind_number,
    [VGM_CONF_BYTES] = VGM_WORDS_man_kind_bytes,
    [VGM_CONF_TIME] = VGM_WORDS_man_kind_time,
    [VGM_CONF_LIST] = VGM_WORDS_man_kind_list,
};

/* The range as a file would say it. */
static void add_range(struct page *p, const struct vgm_conf_option *o)
{
	struct vgm_buf low = VGM_BUF_INIT(100), high = VGM_BUF_INIT(100), text = VGM_BUF_INIT(1000);
	struct vgm_conf_option at_zero = *o;
	at_zero.offset = 0;
	int r = vgm_conf_value_write(&o->min, &at_zero, &low);
	if (r == 0)
		r = vgm_conf_value_write(&o->max, &at_zero, &high);
	if (r == 0)
		r = vgm_words_fill(VGM_WORDS_man_range, p->lang, &text, "min", vgm_buf_str(&low),
		    "max", vgm_buf_str(&high), NULL);
	add(p, "; ");
	add_text(p, vgm_buf_slice(&text));
	p->result = p->result ? p->result : r;
	vgm_buf_release(&low);
	vgm_buf_release(&high);
	vgm_buf_release(&text);
}

/* "Size (64K, 50M, 1G); default 50M; 1K to 2G; needs a restart." */
static void add_facts(
    struct page *p, const struct vgm_conf_option *o, const struct vgm_conf_option *rows)
{
	char path[200];
	snprintf(path, sizeof(path), "%s%s%s", rows ? rows->path : "", rows ? "." : "", o->path);
	const char *choices = vgm_conf_choices(path);
	add(p, "(");
	if (choices)
		add_filled(p, VGM_WORDS_man_choices, "choices", choices);
	else
		add_words(p, kinds[o->kind]);
	add(p, "; ");
	if (vgm_conf_column_required(o))
		add_words(p, VGM_WORDS_man_required);
	else if (o->fallback[0])
		add_filled(p, VGM_WORDS_man_default, "value", o->fallback);
	else
		add_words(p, VGM_WORDS_man_default_empty);
	if (o->kind == VGM_CONF_NUMBER || o->kind == VGM_CONF_BYTES || o->kind == VGM_CONF_TIME)
		add_range(p, o);
	if (!o->reload) {
		add(p, "; ");
		add_words(p, VGM_WORDS_man_restart);
	}
	add(p, ")\n");
}

static void option(
    struct page *p, const struct vgm_conf_option *o, const struct vgm_conf_option *rows)
{
	item(p, o->path, NULL, vgm_conf_option_help(o, rows, p->lang));
	if (o->kind != VGM_CONF_ROWS) {
		add_facts(p, o, rows);
		return;
	}
	char max[24];
	snprintf(max, sizeof(max), "%llu", (unsigned long long)o->max);
	add_filled(p, VGM_WORDS_man_kind_rows, "max", max);
	add(p, "\n.RS\n");
	for (const struct vgm_conf_option *c = o->columns(); c->path; c++)
		option(p, c, o);
	add(p, ".RE\n");
}

static bool same_section(const struct vgm_conf_option *a, const struct vgm_conf_option *b)
{
	return vgm_slice_eq(vgm_conf_section(a->path), vgm_conf_section(b->path));
}

/* All options of first's section, unless an earlier option brought them. */
static void option_section(struct page *p, const struct vgm_conf_option *first)
{
	struct vgm_slice name = vgm_conf_section(first->path);
	for (const struct vgm_conf_option *o = vgm_conf_options(); o < first; o++)
		if (same_section(o, first))
			return;
	add(p, ".SS ");
	if (name.len)
		add_text(p, name);
	else
		add_words(p, VGM_WORDS_man_top);
	add(p, "\n");
	for (const struct vgm_conf_option *o = first; o->path; o++)
		if (same_section(o, first))
			option(p, o, NULL);
}

int vgm_cmd_man_conf(enum vgm_lang lang, struct vgm_buf *out)
{
	struct page p = {out, lang, 0};
	heading(&p, "VGM.YAML", "5", VGM_WORDS_man_conf_name);
	section(&p, VGM_WORDS_man_description);
	add_words(&p, VGM_WORDS_man_conf_about);
	add(&p, "\n");
	section(&p, VGM_WORDS_man_options);
	for (const struct vgm_conf_option *o = vgm_conf_options(); o->path; o++)
		option_section(&p, o);
	section(&p, VGM_WORDS_man_directory);
	add_words(&p, VGM_WORDS_man_directory_about);
	add(&p, "\n.PP\n.nf\n");
	add_str(&p, "marie.durand@chu.example alias=m.durand@chu.example language=fr\n"
	            "accueil@chu.example kind=shared route=cloud\n");
	add(&p, ".fi\n");
	files(&p);
	section(&p, VGM_WORDS_man_see_also);
	add(&p, ".BR vgm (1)\n");
	return p.result;
}
