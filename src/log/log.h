/* SPDX-License-Identifier: EUPL-1.2
 * log/log.h — events with typed fields, one JSON object a line.
 *
 * Only roles and commands log; the floors between never do. A process calls
 * vgm_log_setup once: where lines go, which level, whether personal data is
 * written in full (log.personal_data). That choice is the only state here.
 *
 *	struct vgm_log_line l;
 *	vgm_log_start(&l, VGM_LOG_INFO, "delivery");
 *	vgm_log_hex(&l, "record", record, 16);
 *	vgm_log_address(&l, "recipient", address);
 *	vgm_log_str(&l, "reply", reply);
 *	vgm_log_end(&l);
 *
 * Warnings and errors of one event name are limited to VGM_LOG_BURST at once and
 * VGM_LOG_PER_SECOND lasting; the next line that passes counts the ones left out
 * in "suppressed". Information is not limited (one line for each delivery), but
 * for what strangers can cause at will vgm_log_start_limited is. A field that no
 * longer fits in VGM_LOG_LINE_BYTES is left out and "cut":true says so. */
#ifndef VGM_LOG_LOG_H
#define VGM_LOG_LOG_H

#include "base/buf.h"
#include "base/err.h"

enum vgm_log_level {
	VGM_LOG_ERROR = 1,   /* somebody must act */
	VGM_LOG_WARNING = 2, /* somebody should look */
	VGM_LOG_INFO = 3,    /* what was done */
	VGM_LOG_DEBUG = 4,
};

#define VGM_LOG_LINE_BYTES 8192 /* of a line, the newline not counted */
#define VGM_LOG_VALUE_BYTES 1000 /* of a text field before escaping */
#define VGM_LOG_BURST 20u
#define VGM_LOG_PER_SECOND 2u

/* Gets a JSON object without newline. */
typedef void vgm_log_sink(void *context, enum vgm_log_level, struct vgm_slice line);

/* ---- the process's choice ---- */

/* source (static) stands in each line: "smtpd", "master". Lines above max and
 * everything before the first setup are dropped. */
void vgm_log_setup(const char *source, enum vgm_log_level max, bool personal_data,
    vgm_log_sink *sink, void *context);
/* Writes the line and a newline to stderr in one write. */
vgm_log_sink vgm_log_to_stderr;
/* "error", "warning", "info", "debug". False: none of them. */
bool vgm_log_level_parse(const char *name, enum vgm_log_level *out);
const char *vgm_log_level_name(enum vgm_log_level);

/* ---- a line ---- */

struct vgm_log_line {
	struct vgm_buf out;
	enum vgm_log_level level;
	bool off; /* dropped by level or rate: the field functions do nothing */
	bool cut;
};

/* event: static text, letters and underscores; it names the cause for the rate
 * limit. Each started line must be ended. */
void vgm_log_start(struct vgm_log_line *, enum vgm_log_level, const char *event);
void vgm_log_start_limited(struct vgm_log_line *, enum vgm_log_level, const char *event);
void vgm_log_end(struct vgm_log_line *);

/* name: static, letters and underscores. Text: invalid UTF-8 becomes U+FFFD,
 * more than VGM_LOG_VALUE_BYTES is cut with "...". */
void vgm_log_str(struct vgm_log_line *, const char *name, struct vgm_slice);
void vgm_log_text(struct vgm_log_line *, const char *name, const char *);
void vgm_log_u64(struct vgm_log_line *, const char *name, uint64_t);
void vgm_log_flag(struct vgm_log_line *, const char *name, bool);
void vgm_log_hex(struct vgm_log_line *, const char *name, const void *bytes, size_t len);
/* 16 bytes: IPv6, or IPv4-mapped (written as IPv4). */
void vgm_log_ip(struct vgm_log_line *, const char *name, const uint8_t ip[16]);
/* Adds "error" (the code's name), "errno" when there is one, and "detail". */
void vgm_log_err(struct vgm_log_line *, const struct vgm_err *);

/* Personal data, masked unless the configuration says otherwise: an address
 * keeps its first letter and its domain; any other text becomes "***". */
void vgm_log_address(struct vgm_log_line *, const char *name, struct vgm_slice);
void vgm_log_personal(struct vgm_log_line *, const char *name, struct vgm_slice);

#endif
