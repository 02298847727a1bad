/* SPDX-License-Identifier: EUPL-1.2
 * conf/write.c — struct vgm_conf to YAML that vgm_conf_parse reads back.
 *
 * Options of one section need not stand together in the table; they do in the
 * file. Texts are always in double quotes: nothing in them can mean anything. */
#include "conf/fault.h"

struct writer {
	const struct vgm_conf *conf;
	struct vgm_conf defaults;
	unsigned roles;
	bool only_changed;
	struct vgm_buf *out;
};

static bool is_wanted(const struct writer *w, const struct vgm_conf_option *o)
{
	return (o->roles & w->roles) != 0 &&
	    !(w->only_changed && vgm_conf_option_eq(w->conf, &w->defaults, o));
}

static int add_quoted(struct vgm_buf *out, const char *text)
{
	int r = vgm_buf_add_byte(out, '"');
	for (; *text && r == 0; text++)
		r = *text == '"' || *text == '\\' ? vgm_buf_addf(out, "\\%c", *text)
		                                  : vgm_buf_add_byte(out, (uint8_t)*text);
	return r ? r : vgm_buf_add_byte(out, '"');
}

static int add_list(struct vgm_buf *out, const struct vgm_conf_list *list)
{
	int r = vgm_buf_add_byte(out, '[');
	for (size_t i = 0; i < list->count && r == 0; i++) {
		r = i ? vgm_buf_add_str(out, ", ") : 0;
		if (r == 0)
			r = add_quoted(out, list->text[i]);
	}
	return r ? r : vgm_buf_add_byte(out, ']');
}

/* "name: value" and a newline. */
static int add_value(
    struct vgm_buf *out, const void *base, const struct vgm_conf_option *o, const char *name)
{
	int r = vgm_buf_addf(out, "%s: ", name);
	if (r == 0 && o->kind == VGM_CONF_TEXT)
		r = add_quoted(out, *(char *const *)vgm_conf_field_const(base, o));
	else if (r == 0 && o->kind == VGM_CONF_LIST)
		r = add_list(out, vgm_conf_field_const(base, o));
	else if (r == 0)
		r = vgm_conf_value_write(base, o, out);
	return r ? r : vgm_buf_add_byte(out, '\n');
}

static int add_rows(struct writer *w, const struct vgm_conf_option *rows, const char *name)
{
	size_t count = vgm_conf_row_count(w->conf, rows);
	int r = vgm_buf_addf(w->out, "%s:%s\n", name, count ? "" : " []");
	for (size_t i = 0; i < count; i++) {
		const char *lead = "    - ";
		for (const struct vgm_conf_option *c = rows->columns(); c->path && r == 0; c++) {
			r = vgm_buf_add_str(w->out, lead);
			if (r == 0)
				r = add_value(w->out, vgm_conf_row(w->conf, rows, i), c, c->path);
			lead = "      ";
		}
	}
	return r;
}

static int add_option(struct writer *w, const struct vgm_conf_option *o)
{
	struct vgm_slice section = vgm_conf_section(o->path);
	const char *name = o->path + (section.len ? section.len + 1 : 0);
	int r = section.len ? vgm_buf_add_str(w->out, "  ") : 0;
	if (r == 0)
		r = o->kind == VGM_CONF_ROWS ? add_rows(w, o, name)
		                             : add_value(w->out, w->conf, o, name);
	return r;
}

static bool same_section(const struct vgm_conf_option *a, const struct vgm_conf_option *b)
{
	return vgm_slice_eq(vgm_conf_section(a->path), vgm_conf_section(b->path));
}

/* Every wanted option of first's section, under its heading. */
static int add_section(struct writer *w, const struct vgm_conf_option *first)
{
	struct vgm_slice name = vgm_conf_section(first->path);
	int r = vgm_buf_addf(w->out, "%.*s:\n", VGM_SLICE_ARG(name));
	for (const struct vgm_conf_option *o = first; o->path && r == 0; o++)
		if (same_section(o, first) && is_wanted(w, o))
			r = add_option(w, o);
	return r;
}

/* Has an earlier wanted option opened the section? */
static bool is_open(const struct writer *w, const struct vgm_conf_option *o)
{
	for (const struct vgm_conf_option *p = vgm_conf_options(); p < o; p++)
		if (same_section(p, o) && is_wanted(w, p))
			return true;
	return false;
}

int vgm_conf_write(
    const struct vgm_conf *conf, unsigned roles, bool only_changed, struct vgm_buf *out)
{
	struct writer w = {.conf = conf, .roles = roles, .only_changed = only_changed, .out = out};
	size_t before = out->len;
	int r = 0;
	vgm_conf_init(&w.defaults);
	for (const struct vgm_conf_option *o = vgm_conf_options(); o->path && r == 0; o++) {
		if (!is_wanted(&w, o))
			continue;
		if (vgm_conf_section(o->path).len == 0)
			r = add_option(&w, o);
		else if (!is_open(&w, o))
			r = add_section(&w, o);
	}
	vgm_conf_release(&w.defaults);
	if (r < 0)
		vgm_buf_truncate(out, before);
	return r;
}
