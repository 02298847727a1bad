/* SPDX-License-Identifier: EUPL-1.2
 * view/query.h — questions to the views, in slices: no step takes longer than
 * some milliseconds, so that one process can follow the ledger and answer
 * people. Stores are those of vgm_views_open_read. */
#ifndef VGM_VIEW_QUERY_H
#define VGM_VIEW_QUERY_H

#include "conf/conf.h"
#include "view/store.h"

enum vgm_view_source {
	VGM_VIEW_FROM_ALL = 0,   /* every message, newest first */
	VGM_VIEW_FROM_QUEUE = 1, /* open ones, oldest first */
	VGM_VIEW_FROM_QUARANTINE = 2, /* held ones, oldest first */
	VGM_VIEW_FROM_WAITING = 3,    /* open ones that are not held, oldest first */
};

#define VGM_VIEW_TERM_BYTES 400

/* All that is set must hold. */
struct vgm_view_filter {
	enum vgm_view_source source;
	uint8_t id_min[16], id_max[16]; /* of record ids; used when by_id */
	bool by_id;
	/* part of the address, ASCII case folded, not terminated; len 0 = any */
	struct vgm_slice from, to, party; /* party: sender or a recipient */
	uint64_t after_ms, before_ms;     /* wall time; 0 = any */
	uint32_t states;                  /* bits 1 << state of a recipient; 0 = any */
};

/* ---- terms: "from:x", "to:x", "before:2026-11-23", "status:held", "id:HEX" ---- */

enum vgm_view_term {
	VGM_VIEW_TERM_OK = 0,
	VGM_VIEW_TERM_UNKNOWN,  /* no such key, or nothing after it */
	VGM_VIEW_TERM_DATE,     /* not YYYY-MM-DD[THH:MM[:SS]] (UTC) */
	VGM_VIEW_TERM_STATUS,   /* no such status */
	VGM_VIEW_TERM_ID,       /* not 6 to 32 hex digits */
	VGM_VIEW_TERM_LONG,     /* over VGM_VIEW_TERM_BYTES */
};
/* Adds a term to the filter, which borrows from it. A term without key is an id
 * when it is 6 to 32 hex digits, else a part of an address. */
enum vgm_view_term vgm_view_filter_add(struct vgm_view_filter *, struct vgm_slice term);

/* ---- searching ---- */

struct vgm_view_search;
/* Negative stops the search with that code. */
typedef int vgm_view_found(void *context, uint64_t sequence);

/* Copies what the filter borrows. */
struct vgm_view_search *vgm_view_search_new(const struct vgm_view_filter *, size_t limit);
void vgm_view_search_free(struct vgm_view_search **);
/* One slice. 1 = call again; 0 = done. VGM_E_TIMEOUT, VGM_E_IO, VGM_E_CORRUPT, or
 * what found returned. */
int vgm_view_search_step(struct vgm_view_search *, struct vgm_views *, vgm_view_found *found,
    void *context, struct vgm_err *) VGM_MUST_USE;
size_t vgm_view_search_count(const struct vgm_view_search *);
/* After the end: there was more than the limit. */
bool vgm_view_search_more(const struct vgm_view_search *);

/* Where a message's record is. VGM_E_NOTFOUND. */
struct vgm_view_spot {
	uint8_t id[16];
	uint64_t segment, offset;
	int state;
};
int vgm_view_locate(struct vgm_views *, uint64_t sequence, struct vgm_view_spot *out,
    struct vgm_err *) VGM_MUST_USE;

/* ---- rows: JSON objects, one a line, described in doc/views.md ---- */

#define VGM_VIEW_ROW_BYTES 60000

/* Negative stops. json is terminated and at most VGM_VIEW_ROW_BYTES long. */
typedef int vgm_view_emit(void *context, const char *json);

/* The message and its recipients; several rows when they do not fit in one (all
 * but the last have "continued": true). With history every attempt (the last
 * ten of a recipient), else the last. A message that is gone gives no row. */
int vgm_view_row_message(struct vgm_views *, uint64_t sequence, bool history, vgm_view_emit *,
    void *context, struct vgm_err *) VGM_MUST_USE;
/* The newest events before a sequence, newest first. *out_last = the sequence of
 * the last one given. */
int vgm_view_row_events(struct vgm_views *, uint64_t before, size_t limit, uint64_t *out_last,
    size_t *out_count, vgm_view_emit *, void *context, struct vgm_err *) VGM_MUST_USE;
/* One slice of a row for each machine: those named by the configuration in its
 * order, then others that sent in the open window, by name. Begins with a cursor
 * of zeros. 1 = call again; 0 = done. */
struct vgm_view_device_cursor {
	size_t named;
	uint8_t last[100];
	size_t last_len;
};
int vgm_view_row_devices(struct vgm_views *, const struct vgm_conf_device *named, size_t count,
    struct vgm_view_device_cursor *, vgm_view_emit *, void *context, struct vgm_err *) VGM_MUST_USE;
/* One row for each view: name, class, rows. */
int vgm_view_row_views(struct vgm_views *, vgm_view_emit *, void *context, struct vgm_err *)
    VGM_MUST_USE;
/* Messages in each state that is open: {"queued": n, "deferred": n, "held": n}. */
int vgm_view_row_counts(struct vgm_views *, vgm_view_emit *, void *context, struct vgm_err *)
    VGM_MUST_USE;

#endif
