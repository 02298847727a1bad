/* SPDX-License-Identifier: EUPL-1.2
 * conf/parse.c — vgm.yaml to struct vgm_conf.
 *
 * Reads libyaml's events against the option table and stops at the first
 * mistake. YAML's clever parts (anchors, aliases, tags, several documents) are
 * mistakes here: a configuration says what it means where it stands. */
#include <yaml.h>

#include "conf/fault.h"

/* More than the largest sensible file: 10,000 machines and 1,000 routes. */
#define YAML_MAX_BYTES (8u << 20)
#define OPTIONS_MAX 128

struct reader {
	yaml_parser_t yaml;
	yaml_event_t event; /* the one under the eye; deleted by the next */
	bool has_event;
	struct vgm_slice text; /* the whole file */
	struct vgm_conf *conf;
	struct vgm_conf_fault *fault;
	struct vgm_err *err;
	bool seen[OPTIONS_MAX];    /* by place in the table */
	bool section[OPTIONS_MAX]; /* by place of the section's first option */
};

static void set_place(struct reader *r, yaml_mark_t mark)
{
	if (r->fault) {
		r->fault->line = mark.line + 1;
		r->fault->column = mark.column + 1;
	}
}

/* A mistake at the event under the eye. */
static int mistake(struct reader *r, enum vgm_words_id words, struct vgm_slice path,
    const char *expected, struct vgm_slice found)
{
	set_place(r, r->event.start_mark);
	return vgm_conf_fault_set(r->fault, r->err, words, path, expected, found);
}

/* ---- events ---- */

static int scanner_mistake(struct reader *r)
{
	yaml_mark_t mark = r->yaml.problem_mark;
	const char *problem = r->yaml.problem ? r->yaml.problem : "";
	enum vgm_words_id words = VGM_WORDS_conf_not_yaml;
	if (r->yaml.error == YAML_READER_ERROR)
		words = VGM_WORDS_conf_not_utf8;
	else if (mark.index < r->text.len && r->text.data[mark.index] == '\t')
		words = VGM_WORDS_conf_tab;
	set_place(r, mark);
	return vgm_conf_fault_set(
	    r->fault, r->err, words, VGM_SLICE_NONE, NULL, vgm_slice_str(problem));
}

static bool is_clever(const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_ALIAS_EVENT:
		return true;
	case YAML_SCALAR_EVENT:
		return e->data.scalar.anchor || e->data.scalar.tag;
	case YAML_SEQUENCE_START_EVENT:
		return e->data.sequence_start.anchor || e->data.sequence_start.tag;
	case YAML_MAPPING_START_EVENT:
		return e->data.mapping_start.anchor || e->data.mapping_start.tag;
	case YAML_DOCUMENT_START_EVENT:
		return e->data.document_start.version_directive ||
		    e->data.document_start.tag_directives.start !=
		    e->data.document_start.tag_directives.end;
	default:
		return false;
	}
}

static int next(struct reader *r)
{
	if (r->has_event)
		yaml_event_delete(&r->event);
	r->has_event = yaml_parser_parse(&r->yaml, &r->event) == 1;
	if (!r->has_event)
		return scanner_mistake(r);
	if (is_clever(&r->event))
		return mistake(r, VGM_WORDS_conf_yaml_clever, VGM_SLICE_NONE, NULL, VGM_SLICE_NONE);
	return 0;
}

static struct vgm_slice scalar(const struct reader *r)
{
	return vgm_slice(r->event.data.scalar.value, r->event.data.scalar.length);
}

/* "smtp.max_size" of a section and a key; the caller frees it. */
static char *join(struct vgm_slice section, struct vgm_slice key)
{
	size_t dot = section.len ? 1 : 0;
	char *path = vgm_alloc(section.len + dot + key.len + 1);
	if (section.len) {
		memcpy(path, section.data, section.len);
		path[section.len] = '.';
	}
	memcpy(path + section.len + dot, key.data, key.len);
	return path;
}

/* ---- values ---- */

/* The scalar under the eye becomes the value, or one more element. */
static int take_scalar(struct reader *r, void *base, const struct vgm_conf_option *o,
    const struct vgm_conf_option *rows)
{
	struct vgm_conf_wrong wrong;
	struct vgm_slice path = vgm_slice_str(o->path);
	if (r->event.type != YAML_SCALAR_EVENT)
		return mistake(r, VGM_WORDS_conf_not_scalar, path, NULL, VGM_SLICE_NONE);
	struct vgm_slice text = scalar(r);
	bool plain = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	if (text.len == 0 && plain)
		return mistake(r, VGM_WORDS_conf_empty, path, NULL, VGM_SLICE_NONE);
	if (vgm_conf_value_set(base, o, rows, text, &wrong) < 0)
		return mistake(r, wrong.words, path, wrong.expected, text);
	return 0;
}

/* A sequence of texts, or one text: replaces the default. */
static int take_list(struct reader *r, void *base, const struct vgm_conf_option *o,
    const struct vgm_conf_option *rows)
{
	vgm_conf_list_clear(vgm_conf_field(base, o));
	if (r->event.type != YAML_SEQUENCE_START_EVENT)
		return take_scalar(r, base, o, rows);
	int result = next(r);
	while (result == 0 && r->event.type != YAML_SEQUENCE_END_EVENT) {
		result = take_scalar(r, base, o, rows);
		if (result == 0)
			result = next(r);
	}
	return result;
}

static int take_value(struct reader *r, void *base, const struct vgm_conf_option *o,
    const struct vgm_conf_option *rows)
{
	return o->kind == VGM_CONF_LIST ? take_list(r, base, o, rows)
					: take_scalar(r, base, o, rows);
}

/* ---- rows ---- */

/* The columns that must be given and were not. */
static int check_columns(
    struct reader *r, const struct vgm_conf_option *rows, const bool *given)
{
	const struct vgm_conf_option *columns = rows->columns();
	for (size_t i = 0; columns[i].path; i++)
		if (!given[i] && vgm_conf_column_required(&columns[i]))
			return mistake(r, VGM_WORDS_conf_column_missing, vgm_slice_str(rows->path),
			    columns[i].path, VGM_SLICE_NONE);
	return 0;
}

/* One key and its value in a row. */
static int take_column(
    struct reader *r, void *row, const struct vgm_conf_option *rows, bool *given)
{
	const struct vgm_conf_option *columns = rows->columns();
	if (r->event.type != YAML_SCALAR_EVENT)
		return mistake(
		    r, VGM_WORDS_conf_not_key, vgm_slice_str(rows->path), NULL, VGM_SLICE_NONE);
	struct vgm_slice key = scalar(r);
	size_t i = 0;
	while (columns[i].path && !vgm_slice_eq(key, vgm_slice_str(columns[i].path)))
		i++;
	if (!columns[i].path) {
		set_place(r, r->event.start_mark);
		return vgm_conf_fault_unknown(r->fault, r->err, key, rows);
	}
	if (given[i])
		return mistake(r, VGM_WORDS_conf_twice, key, NULL, key);
	given[i] = true;
	int result = next(r);
	return result ? result : take_value(r, row, &columns[i], rows);
}

static int take_row(struct reader *r, const struct vgm_conf_option *rows)
{
	bool given[16] = {false};
	const struct vgm_conf_option *columns = rows->columns();
	struct vgm_slice path = vgm_slice_str(rows->path);
	if (r->event.type != YAML_MAPPING_START_EVENT)
		return mistake(r, VGM_WORDS_conf_not_rows, path, NULL, VGM_SLICE_NONE);
	if (vgm_conf_row_count(r->conf, rows) >= rows->max)
		return mistake(r, VGM_WORDS_conf_too_many, path, NULL, VGM_SLICE_NONE);
	void *row = vgm_conf_row_add(r->conf, rows);
	for (size_t i = 0; columns[i].path; i++) {
		VGM_BUG_ON(i >= VGM_ARRAY_LEN(given));
		vgm_conf_value_init(row, &columns[i]);
	}
	int result = next(r);
	while (result == 0 && r->event.type != YAML_MAPPING_END_EVENT) {
		result = take_column(r, row, rows, given);
		if (result == 0)
			result = next(r);
	}
	return result ? result : check_columns(r, rows, given);
}

static int take_rows(struct reader *r, const struct vgm_conf_option *rows)
{
	if (r->event.type != YAML_SEQUENCE_START_EVENT)
		return mistake(
		    r, VGM_WORDS_conf_not_rows, vgm_slice_str(rows->path), NULL, VGM_SLICE_NONE);
	int result = next(r);
	while (result == 0 && r->event.type != YAML_SEQUENCE_END_EVENT) {
		result = take_row(r, rows);
		if (result == 0)
			result = next(r);
	}
	return result;
}

/* ---- sections ---- */

/* The first option of the section called name, or NULL. */
static const struct vgm_conf_option *find_section(struct vgm_slice name)
{
	for (const struct vgm_conf_option *o = vgm_conf_options(); o->path; o++)
		if (name.len > 0 && vgm_slice_eq(vgm_conf_section(o->path), name))
			return o;
	return NULL;
}

static int take_mapping(struct reader *r, struct vgm_slice section);

/* The value of a key, whose full path is given; the eye is on the value. */
static int take_option(struct reader *r, struct vgm_slice path, const struct vgm_conf_option *o)
{
	if (!o)
		return take_mapping(r, path);
	return o->kind == VGM_CONF_ROWS ? take_rows(r, o) : take_value(r, r->conf, o, NULL);
}

/* The eye is on a key. */
static int take_key(struct reader *r, struct vgm_slice path)
{
	const struct vgm_conf_option *o = vgm_conf_option_find(path);
	const struct vgm_conf_option *section = o ? NULL : find_section(path);
	if (!o && !section) {
		set_place(r, r->event.start_mark);
		return vgm_conf_fault_unknown(r->fault, r->err, path, NULL);
	}
	size_t place = (size_t)((o ? o : section) - vgm_conf_options());
	VGM_BUG_ON(place >= OPTIONS_MAX);
	bool *seen = o ? &r->seen[place] : &r->section[place];
	if (*seen)
		return mistake(r, VGM_WORDS_conf_twice, path, NULL, path);
	*seen = true;
	int result = next(r);
	return result ? result : take_option(r, path, o);
}

/* A map of keys: the file's own, or a section's. */
static int take_mapping(struct reader *r, struct vgm_slice section)
{
	if (r->event.type != YAML_MAPPING_START_EVENT)
		return mistake(r, VGM_WORDS_conf_not_section, section, NULL, VGM_SLICE_NONE);
	int result = next(r);
	while (result == 0 && r->event.type != YAML_MAPPING_END_EVENT) {
		if (r->event.type != YAML_SCALAR_EVENT)
			return mistake(r, VGM_WORDS_conf_not_key, section, NULL, VGM_SLICE_NONE);
		char *path = join(section, scalar(r));
		result = take_key(r, vgm_slice_str(path));
		vgm_free(path);
		if (result == 0)
			result = next(r);
	}
	return result;
}

/* ---- the file ---- */

static int take_document(struct reader *r)
{
	int result = next(r); /* stream start */
	if (result == 0)
		result = next(r); /* document start, or the end of an empty file */
	if (result || r->event.type == YAML_STREAM_END_EVENT)
		return result;
	result = next(r);
	/* "---" and nothing: an empty plain scalar. */
	bool nothing = result == 0 && r->event.type == YAML_SCALAR_EVENT && scalar(r).len == 0;
	if (result == 0 && !nothing)
		result = take_mapping(r, VGM_SLICE_NONE);
	if (result == 0)
		result = next(r); /* document end */
	if (result == 0)
		result = next(r);
	if (result == 0 && r->event.type != YAML_STREAM_END_EVENT)
		result =
		    mistake(r, VGM_WORDS_conf_yaml_clever, VGM_SLICE_NONE, NULL, VGM_SLICE_NONE);
	return result;
}

static int check_whole(struct reader *r)
{
	struct vgm_buf found = VGM_BUF_INIT(1024);
	struct vgm_conf_wrong wrong = {VGM_WORDS_COUNT, ""};
	const char *path = "";
	int result = vgm_conf_check_whole(r->conf, &wrong, &path, &found);
	if (result < 0) {
		set_place(r, (yaml_mark_t){0, 0, 0});
		if (r->fault)
			r->fault->line = r->fault->column = 0;
		result = vgm_conf_fault_set(r->fault, r->err, wrong.words, vgm_slice_str(path),
		    wrong.expected, vgm_buf_slice(&found));
	}
	vgm_buf_release(&found);
	return result;
}

int vgm_conf_parse(struct vgm_slice text, struct vgm_conf *out, struct vgm_conf_fault *fault,
    struct vgm_err *err)
{
	struct reader r = {.text = text, .conf = out, .fault = fault, .err = err};
	if (fault)
		*fault = (struct vgm_conf_fault){0};
	vgm_conf_init(out);
	if (text.len > YAML_MAX_BYTES || !yaml_parser_initialize(&r.yaml)) {
		vgm_conf_release(out);
		return vgm_conf_fault_set(
		    fault, err, VGM_WORDS_conf_too_large, VGM_SLICE_NONE, "8M", VGM_SLICE_NONE);
	}
	yaml_parser_set_input_string(
	    &r.yaml, text.data ? text.data : (const uint8_t *)"", text.len);
	yaml_parser_set_encoding(&r.yaml, YAML_UTF8_ENCODING);
	int result = take_document(&r);
	if (result == 0)
		result = check_whole(&r);
	if (r.has_event)
		yaml_event_delete(&r.event);
	yaml_parser_delete(&r.yaml);
	if (result < 0)
		vgm_conf_release(out);
	return result;
}
