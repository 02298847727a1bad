/* SPDX-License-Identifier: EUPL-1.2
 * cmd/rows.h — rows of the views for people's eyes: aligned, in their language,
 * nothing in them can move the terminal. Rows are described in doc/views.md. */
#ifndef VGM_CMD_ROWS_H
#define VGM_CMD_ROWS_H

#include "cmd/control.h"

/* ---- pieces ---- */

/* The text of a member, escaped; "" when there is none. Valid until the buffer
 * is cleared. Ceiling of out: 64 KiB suits. */
const char *vgm_rows_text(const json_t *object, const char *name, struct vgm_buf *out);
/* "4,2 Ko", "4.2 KB". */
void vgm_rows_size(enum vgm_lang, uint64_t bytes, char out[32]);
/* "3 min", "2 h", "5 j": how long ago an RFC 3339 time was; "" when it is none. */
void vgm_rows_age(enum vgm_lang, const char *time, uint64_t now_us, char out[32]);
/* "remis", "delivered", ...; the word itself when it is not known. */
const char *vgm_rows_status(enum vgm_lang, const char *status);
/* Prints s and spaces up to width columns (characters, not bytes). */
void vgm_rows_pad(FILE *, const char *s, size_t width);

/* ---- a list of messages: one line each, a second one with what went wrong ---- */

struct vgm_rows_list {
	FILE *out;
	size_t count;
	uint64_t now_us;
	bool inside; /* of a message whose recipients take several rows */
};
/* A vgm_control_row whose context is the list. */
int vgm_rows_message(void *list, const struct vgm_cmd_run *, json_t *row, int fd);

/* ---- one message in full ---- */

/* A vgm_control_row whose context is a struct vgm_rows_list. */
int vgm_rows_track(void *list, const struct vgm_cmd_run *, json_t *row, int fd);

#endif
