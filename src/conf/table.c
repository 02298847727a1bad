/* SPDX-License-Identifier: EUPL-1.2
 * conf/table.c — options.def as data (table.h). */
#include "conf/table.h"

/* ---- the columns of each kind of row ----
 * COLUMN does not say whose it is; a local name for the row's struct does. */
#define OPTION(kind, field, path, def, min, max, roles, reload, help)
#define ROWS(field, type, path, max, roles, reload, help)                                          \
	static const struct vgm_conf_option *columns_of_##type(void)                               \
	{                                                                                          \
		typedef struct vgm_conf_##type row;                                                \
		static const struct vgm_conf_option columns[] = {
#define COLUMN(kind, field, name, def, min, max, help)                                             \
	{VGM_CONF_##kind, name, offsetof(row, field), def, min, max, C_ALL, true, help, NULL, 0, 0},
#define ROW_END                                                                                    \
	{.path = NULL},                                                                            \
	}                                                                                          \
	;                                                                                          \
	return columns;                                                                            \
	}
#include "conf/options.def"
#undef OPTION
#undef ROWS
#undef COLUMN
#undef ROW_END

/* ---- the options ---- */
static const struct vgm_conf_option options[] = {
#define OPTION(kind, field, path, def, min, max, roles, reload, help)                              \
	{VGM_CONF_##kind, path, offsetof(struct vgm_conf, field), def, min, max, roles, reload,    \
	    help, NULL, 0, 0},
#define ROWS(field, type, path, max, roles, reload, help)                                          \
	{VGM_CONF_ROWS, path, offsetof(struct vgm_conf, field), "", 0, max, roles, reload, help,   \
	    columns_of_##type, sizeof(struct vgm_conf_##type),                                     \
	    offsetof(struct vgm_conf, field##_count)},
#define COLUMN(kind, field, name, def, min, max, help)
#define ROW_END
#include "conf/options.def"
#undef OPTION
#undef ROWS
#undef COLUMN
#undef ROW_END
    {.path = NULL},
};

const struct vgm_conf_option *vgm_conf_options(void)
{
	return options;
}

const struct vgm_conf_option *vgm_conf_option_find(struct vgm_slice path)
{
	for (const struct vgm_conf_option *o = options; o->path; o++)
		if (vgm_slice_eq(path, vgm_slice_str(o->path)))
			return o;
	return NULL;
}

static const struct {
	const char *path, *help;
} french[] = {
#define HELP_FR(path, help) {path, help},
#include "conf/help_fr.def"
#undef HELP_FR
};

const char *vgm_conf_option_help(
    const struct vgm_conf_option *o, const struct vgm_conf_option *rows, enum vgm_lang lang)
{
	size_t n = rows ? strlen(rows->path) : 0;
	for (size_t i = 0; i < VGM_ARRAY_LEN(french) && lang == VGM_FR; i++) {
		const char *path = french[i].path;
		if (rows && (strncmp(path, rows->path, n) != 0 || path[n] != '.'))
			continue;
		if (strcmp(rows ? path + n + 1 : path, o->path) == 0)
			return french[i].help;
	}
	return o->help;
}

struct vgm_slice vgm_conf_section(const char *path)
{
	struct vgm_slice whole = vgm_slice_str(path);
	size_t dot = vgm_slice_find(whole, '.');
	return vgm_slice_sub(whole, 0, dot == whole.len ? 0 : dot);
}

bool vgm_conf_column_required(const struct vgm_conf_option *column)
{
	return column->kind == VGM_CONF_TEXT && column->min > 0 && column->fallback[0] == '\0';
}

/* ---- rows ----
 * struct vgm_conf holds a pointer to the type's own struct; it is read and
 * written as bytes so that no pointer type is misused. */

static void *rows_of(const struct vgm_conf *conf, const struct vgm_conf_option *rows)
{
	void *first;
	memcpy(&first, vgm_conf_field_const(conf, rows), sizeof(first));
	return first;
}

size_t vgm_conf_row_count(const struct vgm_conf *conf, const struct vgm_conf_option *rows)
{
	return *(const size_t *)(const void *)((const char *)conf + rows->count_offset);
}

void *vgm_conf_row(const struct vgm_conf *conf, const struct vgm_conf_option *rows, size_t n)
{
	return (char *)rows_of(conf, rows) + n * rows->row_bytes;
}

void *vgm_conf_row_add(struct vgm_conf *conf, const struct vgm_conf_option *rows)
{
	size_t n = vgm_conf_row_count(conf, rows);
	void *first = vgm_realloc(rows_of(conf, rows), (n + 1) * rows->row_bytes);
	memcpy(vgm_conf_field(conf, rows), &first, sizeof(first));
	*(size_t *)(void *)((char *)conf + rows->count_offset) = n + 1;
	void *row = (char *)first + n * rows->row_bytes;
	memset(row, 0, rows->row_bytes);
	return row;
}

void vgm_conf_rows_drop(struct vgm_conf *conf, const struct vgm_conf_option *rows)
{
	void *first = rows_of(conf, rows), *none = NULL;
	vgm_free(first);
	memcpy(vgm_conf_field(conf, rows), &none, sizeof(none));
	*(size_t *)(void *)((char *)conf + rows->count_offset) = 0;
}
