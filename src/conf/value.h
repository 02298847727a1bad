/* SPDX-License-Identifier: EUPL-1.2
 * conf/value.h — one value of one option: from text, to text, compared, released.
 * check.c adds what a kind alone does not say (a list of choices, HOST:PORT). */
#ifndef VGM_CONF_VALUE_H
#define VGM_CONF_VALUE_H

#include "conf/table.h"

/* What is wrong with a value. */
struct vgm_conf_wrong {
	enum vgm_words_id words;
	char expected[200];
};

/* Sets a scalar, or adds one element to a LIST; text is UTF-8. rows: of a
 * column, else NULL. Returns 0, or VGM_E_INVALID and *wrong. */
int vgm_conf_value_set(void *base, const struct vgm_conf_option *,
    const struct vgm_conf_option *rows, struct vgm_slice text,
    struct vgm_conf_wrong *wrong) VGM_MUST_USE;
/* The default. */
void vgm_conf_value_init(void *base, const struct vgm_conf_option *);
void vgm_conf_value_release(void *base, const struct vgm_conf_option *);
void vgm_conf_list_clear(struct vgm_conf_list *);
bool vgm_conf_value_eq(const void *a, const void *b, const struct vgm_conf_option *);
/* As in a file, without quotes; a LIST's elements are written by the caller. */
int vgm_conf_value_write(const void *base, const struct vgm_conf_option *, struct vgm_buf *out)
    VGM_MUST_USE;

/* check.c: is the text one that this option takes? 0, or VGM_E_INVALID and *wrong. */
int vgm_conf_check(const struct vgm_conf_option *, const struct vgm_conf_option *rows,
    struct vgm_slice text, struct vgm_conf_wrong *wrong) VGM_MUST_USE;
/* What no single value shows: names given twice, a key without its certificate.
 * 0, or VGM_E_INVALID, *wrong and the path that it is about. */
int vgm_conf_check_whole(const struct vgm_conf *, struct vgm_conf_wrong *wrong,
    const char **out_path, struct vgm_buf *out_found) VGM_MUST_USE;
/* "fr, en" for an option with choices, else NULL. */
const char *vgm_conf_choices(const char *path);

#endif
