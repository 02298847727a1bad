/* SPDX-License-Identifier: EUPL-1.2
 * conf/conf.c — defaults, single changes, differences (conf.h). */
#include "conf/fault.h"

#include "base/text.h"

static void init_row(void *row, const struct vgm_conf_option *rows)
{
	for (const struct vgm_conf_option *c = rows->columns(); c->path; c++)
		vgm_conf_value_init(row, c);
}

static void release_rows(struct vgm_conf *conf, const struct vgm_conf_option *rows)
{
	for (size_t i = 0; i < vgm_conf_row_count(conf, rows); i++)
		for (const struct vgm_conf_option *c = rows->columns(); c->path; c++)
			vgm_conf_value_release(vgm_conf_row(conf, rows, i), c);
	vgm_conf_rows_drop(conf, rows);
}

void vgm_conf_row_drop_last(struct vgm_conf *conf, const struct vgm_conf_option *rows)
{
	size_t last = vgm_conf_row_count(conf, rows) - 1;
	for (const struct vgm_conf_option *c = rows->columns(); c->path; c++)
		vgm_conf_value_release(vgm_conf_row(conf, rows, last), c);
	*(size_t *)(void *)((char *)conf + rows->count_offset) = last;
}

void vgm_conf_init(struct vgm_conf *conf)
{
	*conf = (struct vgm_conf){0};
	for (const struct vgm_conf_option *o = vgm_conf_options(); o->path; o++)
		vgm_conf_value_init(conf, o);
}

void vgm_conf_release(struct vgm_conf *conf)
{
	for (const struct vgm_conf_option *o = vgm_conf_options(); o->path; o++) {
		if (o->kind == VGM_CONF_ROWS)
			release_rows(conf, o);
		else
			vgm_conf_value_release(conf, o);
	}
}

/* ---- single changes ---- */

static int set_value(void *base, const struct vgm_conf_option *o,
    const struct vgm_conf_option *rows, struct vgm_slice value, struct vgm_conf_fault *fault,
    struct vgm_err *err)
{
	struct vgm_conf_wrong wrong;
	if (vgm_conf_value_set(base, o, rows, value, &wrong) == 0)
		return 0;
	return vgm_conf_fault_set(
	    fault, err, wrong.words, vgm_slice_str(o->path), wrong.expected, value);
}

/* "to=mail.example.org:25" of a row. */
static int set_column(void *row, const struct vgm_conf_option *rows, struct vgm_slice pair,
    struct vgm_conf_fault *fault, struct vgm_err *err)
{
	size_t equals = vgm_slice_find(pair, '=');
	struct vgm_slice name = vgm_slice_trim(vgm_slice_sub(pair, 0, equals));
	for (const struct vgm_conf_option *c = rows->columns(); c->path; c++)
		if (equals < pair.len && vgm_slice_eq(name, vgm_slice_str(c->path)))
			return set_value(
			    row, c, rows, vgm_slice_from(pair, equals + 1), fault, err);
	return vgm_conf_fault_unknown(fault, err, name, rows);
}

static int set_row(struct vgm_conf *conf, const struct vgm_conf_option *rows,
    struct vgm_slice value, struct vgm_conf_fault *fault, struct vgm_err *err)
{
	if (vgm_conf_row_count(conf, rows) >= rows->max)
		return vgm_conf_fault_set(fault, err, VGM_WORDS_conf_too_many,
		    vgm_slice_str(rows->path), NULL, VGM_SLICE_NONE);
	void *row = vgm_conf_row_add(conf, rows);
	int r = 0;
	init_row(row, rows);
	while (r == 0 && value.len > 0) {
		size_t comma = vgm_slice_find(value, ',');
		r = set_column(row, rows, vgm_slice_sub(value, 0, comma), fault, err);
		value = vgm_slice_from(value, comma + 1);
	}
	for (const struct vgm_conf_option *c = rows->columns(); c->path && r == 0; c++) {
		char *const *text = vgm_conf_field_const(row, c);
		if (vgm_conf_column_required(c) && (*text)[0] == '\0')
			r = vgm_conf_fault_set(fault, err, VGM_WORDS_conf_column_missing,
			    vgm_slice_str(rows->path), c->path, VGM_SLICE_NONE);
	}
	if (r < 0)
		vgm_conf_row_drop_last(conf, rows);
	return r;
}

int vgm_conf_set(struct vgm_conf *conf, const char *path, const char *value,
    struct vgm_conf_fault *fault, struct vgm_err *err)
{
	const struct vgm_conf_option *o = vgm_conf_option_find(vgm_slice_str(path));
	if (fault)
		*fault = (struct vgm_conf_fault){0};
	if (!o)
		return vgm_conf_fault_unknown(fault, err, vgm_slice_str(path), NULL);
	if (o->kind == VGM_CONF_ROWS)
		return set_row(conf, o, vgm_slice_str(value), fault, err);
	return set_value(conf, o, NULL, vgm_slice_str(value), fault, err);
}

int vgm_conf_empty(struct vgm_conf *conf, const char *path, struct vgm_err *err)
{
	const struct vgm_conf_option *o = vgm_conf_option_find(vgm_slice_str(path));
	if (o && o->kind == VGM_CONF_ROWS)
		release_rows(conf, o);
	else if (o && o->kind == VGM_CONF_LIST)
		vgm_conf_list_clear(vgm_conf_field(conf, o));
	else
		return vgm_err_set(err, VGM_E_NOTFOUND, "no list of options is called %s", path);
	return 0;
}

/* ---- differences ---- */

static bool rows_eq(const struct vgm_conf *a, const struct vgm_conf *b,
    const struct vgm_conf_option *rows)
{
	size_t count = vgm_conf_row_count(a, rows);
	if (count != vgm_conf_row_count(b, rows))
		return false;
	for (size_t i = 0; i < count; i++)
		for (const struct vgm_conf_option *c = rows->columns(); c->path; c++)
			if (!vgm_conf_value_eq(
				vgm_conf_row(a, rows, i), vgm_conf_row(b, rows, i), c))
				return false;
	return true;
}

bool vgm_conf_option_eq(
    const struct vgm_conf *a, const struct vgm_conf *b, const struct vgm_conf_option *o)
{
	return o->kind == VGM_CONF_ROWS ? rows_eq(a, b, o) : vgm_conf_value_eq(a, b, o);
}

int vgm_conf_restart_needed(
    const struct vgm_conf *old, const struct vgm_conf *new, struct vgm_buf *out)
{
	size_t before = out->len;
	int r = 0;
	for (const struct vgm_conf_option *o = vgm_conf_options(); o->path && r == 0; o++)
		if (!o->reload && !vgm_conf_option_eq(old, new, o))
			r = vgm_buf_addf(out, "%s%s", out->len > before ? ", " : "", o->path);
	return r;
}

static void swap(void *a, void *b, size_t len)
{
	uint8_t *x = a, *y = b;
	for (size_t i = 0; i < len; i++) {
		uint8_t byte = x[i];
		x[i] = y[i];
		y[i] = byte;
	}
}

static size_t field_bytes(enum vgm_conf_kind kind)
{
	switch (kind) {
	case VGM_CONF_TEXT:
	case VGM_CONF_ROWS:
		return sizeof(void *);
	case VGM_CONF_FLAG:
		return sizeof(bool);
	case VGM_CONF_LIST:
		return sizeof(struct vgm_conf_list);
	default:
		return sizeof(uint64_t);
	}
}

void vgm_conf_keep(struct vgm_conf *fresh, struct vgm_conf *old)
{
	for (const struct vgm_conf_option *o = vgm_conf_options(); o->path; o++) {
		if (o->reload)
			continue;
		swap(vgm_conf_field(fresh, o), vgm_conf_field(old, o), field_bytes(o->kind));
		if (o->kind == VGM_CONF_ROWS)
			swap((char *)fresh + o->count_offset, (char *)old + o->count_offset,
			    sizeof(size_t));
	}
}
