/* SPDX-License-Identifier: EUPL-1.2
 * conf/table.h — options.def as data: what the reader, the writer, the man page
 * and the comparisons walk over. */
#ifndef VGM_CONF_TABLE_H
#define VGM_CONF_TABLE_H

#include "conf/conf.h"
#include "words/words.h"

enum vgm_conf_kind {
	VGM_CONF_TEXT,
	VGM_CONF_FLAG,
	VGM_CONF_NUMBER,
	VGM_CONF_BYTES,
	VGM_CONF_TIME,
	VGM_CONF_LIST,
	VGM_CONF_ROWS,
};

/* An option, or a column of a row. */
struct vgm_conf_option {
	enum vgm_conf_kind kind;
	const char *path;     /* column: its name in the row */
	size_t offset;        /* in struct vgm_conf, or in the row's struct */
	const char *fallback; /* as in a file; a LIST's elements between spaces */
	uint64_t min, max;    /* ROWS: max is the most rows */
	unsigned roles;
	bool reload;
	const char *help;     /* English */
	/* ROWS only */
	const struct vgm_conf_option *(*columns)(void); /* ended by a NULL path */
	size_t row_bytes;
	size_t count_offset;  /* of the size_t beside the rows */
};

/* All options in the order of options.def, ended by a NULL path. */
const struct vgm_conf_option *vgm_conf_options(void);
/* By path, or NULL. */
const struct vgm_conf_option *vgm_conf_option_find(struct vgm_slice path);
/* Its help in a language; rows is the ROWS option of a column, else NULL. */
const char *vgm_conf_option_help(
    const struct vgm_conf_option *, const struct vgm_conf_option *rows, enum vgm_lang);
/* "smtp" of "smtp.max_size"; empty for an option at the top. */
struct vgm_slice vgm_conf_section(const char *path);

/* A TEXT or LIST column with a minimum and no default must be given. */
bool vgm_conf_column_required(const struct vgm_conf_option *column);

/* The field in a struct vgm_conf, or in a row. */
static inline void *vgm_conf_field(void *base, const struct vgm_conf_option *o)
{
	return (char *)base + o->offset;
}
static inline const void *vgm_conf_field_const(const void *base, const struct vgm_conf_option *o)
{
	return (const char *)base + o->offset;
}
/* Row number n, and how many there are. */
void *vgm_conf_row(const struct vgm_conf *, const struct vgm_conf_option *rows, size_t n);
size_t vgm_conf_row_count(const struct vgm_conf *, const struct vgm_conf_option *rows);
/* One more row, all zero; and none any more (their fields were released). */
void *vgm_conf_row_add(struct vgm_conf *, const struct vgm_conf_option *rows);
void vgm_conf_rows_drop(struct vgm_conf *, const struct vgm_conf_option *rows);
/* Takes the last row off and releases its fields (conf.c). */
void vgm_conf_row_drop_last(struct vgm_conf *, const struct vgm_conf_option *rows);
/* Whether two configurations agree on an option (conf.c). */
bool vgm_conf_option_eq(
    const struct vgm_conf *a, const struct vgm_conf *b, const struct vgm_conf_option *);

#endif
