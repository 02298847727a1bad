/* SPDX-License-Identifier: EUPL-1.2
 * conf/conf.h — the configuration: one struct, one table (options.def), one
 * reader (YAML). The same table cuts it down to what each role needs. */
#ifndef VGM_CONF_CONF_H
#define VGM_CONF_CONF_H

#include "base/buf.h"
#include "base/err.h"
#include "words/words.h"

enum vgm_conf_role {
	C_MASTER = 1, C_SMTPD = 2, C_FILTER = 4, C_KEYD = 8, C_LEDGERD = 16, C_VIEWD = 32,
	C_RESOLVERD = 64, C_RELAYD = 128, C_ALL = 255,
};

struct vgm_conf_list {
	char **text;
	size_t count;
};

/* ---- struct vgm_conf_login, vgm_conf_device, vgm_conf_route: a row each ---- */
#define CONF_TYPE_TEXT char *
#define CONF_TYPE_FLAG bool
#define CONF_TYPE_NUMBER uint64_t
#define CONF_TYPE_BYTES uint64_t
#define CONF_TYPE_TIME uint64_t /* milliseconds */
#define CONF_TYPE_LIST struct vgm_conf_list
#define OPTION(kind, field, path, def, min, max, roles, reload, help)
#define ROWS(field, type, path, max, roles, reload, help) struct vgm_conf_##type {
#define COLUMN(kind, field, name, def, min, max, help) CONF_TYPE_##kind field;
#define ROW_END };
#include "conf/options.def"
#undef OPTION
#undef ROWS
#undef COLUMN
#undef ROW_END

/* A row's columns belong to the row's struct above, not to struct vgm_conf. */
struct vgm_conf {
#define OPTION(kind, field, path, def, min, max, roles, reload, help) CONF_TYPE_##kind field;
#define ROWS(field, type, path, max, roles, reload, help)                                          \
	struct vgm_conf_##type *field;                                                             \
	size_t field##_count;
#define COLUMN(kind, field, name, def, min, max, help)
#define ROW_END
#include "conf/options.def"
#undef OPTION
#undef ROWS
#undef COLUMN
#undef ROW_END
};

/* All defaults. Every text is on the heap, never NULL. */
void vgm_conf_init(struct vgm_conf *);
void vgm_conf_release(struct vgm_conf *);

/* Where and why a file is wrong. line and column count from 1; 0 = not a place. */
struct vgm_conf_fault {
	size_t line, column;
	char path[120];     /* the option, or the unknown key */
	char words_id[60];  /* catalogue entry that says what is wrong */
	char expected[200]; /* in no language: a range, the choices, the name that was meant */
	char found[120];    /* what stood there, escaped */
};

/* Parses YAML text over the defaults. VGM_E_INVALID: *fault says the first
 * mistake and *out is released. Unknown keys, doubled keys, values out of range,
 * aliases and anchors are mistakes. */
int vgm_conf_parse(struct vgm_slice yaml, struct vgm_conf *out, struct vgm_conf_fault *fault,
    struct vgm_err *) VGM_MUST_USE;

/* Sets one option from the command line or `vgm serve`: path and value as in
 * the file; a LIST or ROWS gets one more element (ROWS: "name=x,to=y"). */
int vgm_conf_set(struct vgm_conf *, const char *path, const char *value,
    struct vgm_conf_fault *fault, struct vgm_err *) VGM_MUST_USE;

/* Empties a LIST or ROWS, whose default would otherwise stay before what
 * vgm_conf_set adds. VGM_E_NOTFOUND: no such option, or one of another kind. */
int vgm_conf_empty(struct vgm_conf *, const char *path, struct vgm_err *) VGM_MUST_USE;

/* "90s", "5m", "1h30m", "500ms", "2d", "0". VGM_E_INVALID; also the elements of
 * queue.retry, which were checked when the file was read. */
int vgm_conf_read_time(struct vgm_slice text, uint64_t *out_ms) VGM_MUST_USE;
/* "1024", "64K", "50M", "1G" (of 1024). VGM_E_INVALID. */
int vgm_conf_read_bytes(struct vgm_slice text, uint64_t *out_bytes) VGM_MUST_USE;

/* YAML with the options of these roles; vgm_conf_parse reads it back. With
 * only_changed, those that differ from their default. */
int vgm_conf_write(const struct vgm_conf *, unsigned roles, bool only_changed, struct vgm_buf *out)
    VGM_MUST_USE;

/* Names of options that differ and cannot be taken without a restart, "a, b";
 * empty when there are none. */
int vgm_conf_restart_needed(const struct vgm_conf *old, const struct vgm_conf *new,
    struct vgm_buf *out) VGM_MUST_USE;

/* Reload: options that cannot be taken without a restart go back to what they are
 * in old, which gets what stood in fresh and is only fit to be released. */
void vgm_conf_keep(struct vgm_conf *fresh, struct vgm_conf *old);

/* The fault for people: "FILE:LINE:COLUMN: what is wrong". file may be NULL.
 * VGM_E_LIMIT. */
int vgm_conf_fault_text(const struct vgm_conf_fault *, const char *file, enum vgm_lang,
    struct vgm_buf *out) VGM_MUST_USE;

#endif
