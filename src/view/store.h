/* SPDX-License-Identifier: EUPL-1.2
 * view/store.h — the database that the views of class A live in (SQLite, WAL,
 * synchronous=NORMAL), and where in the ledger it stands (rule 4).
 *
 * Calling sequence: open → (begin → apply* → commit)* → close. The place is
 * stored in the same transaction as the rows: after a crash the store stands at
 * a place that it really covers, and records are applied from there. A record
 * that it covers already changes nothing. Holds envelopes: file mode 0600.
 *
 * After an error inside a transaction the store has rolled back and stands
 * where it stood. Codes: VGM_E_IO, VGM_E_NOSPACE (try again later), VGM_E_BUSY,
 * VGM_E_CORRUPT (drop it and apply the ledger from its start). */
#ifndef VGM_VIEW_STORE_H
#define VGM_VIEW_STORE_H

#include "view/view.h"

struct sqlite3;
struct sqlite3_stmt;

/* Everything before it is in the views. {0, 0, 0}: nothing yet. */
struct vgm_view_place {
	uint64_t segment, offset;
	uint64_t tree_size; /* records */
};

/* ---- life cycle ---- */

/* Creates what is missing. A file that another version of the schema wrote is
 * emptied: it stands at {0, 0, 0}. */
int vgm_views_open(const char *path, struct vgm_views **out, struct vgm_err *) VGM_MUST_USE;
/* For queries only, beside the one that writes. VGM_E_NOTFOUND. */
int vgm_views_open_read(const char *path, struct vgm_views **out, struct vgm_err *) VGM_MUST_USE;
void vgm_views_close(struct vgm_views **);
/* Takes the files of a closed store away; missing ones do not matter. */
int vgm_views_drop(const char *path, struct vgm_err *) VGM_MUST_USE;
/* A closed store takes the place of another closed one. */
int vgm_views_replace(const char *path, const char *by, struct vgm_err *) VGM_MUST_USE;

/* ---- write ---- */

int vgm_views_begin(struct vgm_views *, struct vgm_err *) VGM_MUST_USE;
int vgm_views_apply(struct vgm_views *, const struct vgm_view_entry *, struct vgm_err *)
    VGM_MUST_USE;
int vgm_views_commit(struct vgm_views *, struct vgm_view_place, struct vgm_err *) VGM_MUST_USE;
void vgm_views_rollback(struct vgm_views *); /* takes one that has not begun */

/* Messages of a day whose key is destroyed leave the open window: at most max of
 * those that are finished go, and what machines sent that day is not counted any
 * more. In a transaction of its own. */
int vgm_views_forget(
    struct vgm_views *, uint32_t day, size_t max, size_t *out_count, struct vgm_err *) VGM_MUST_USE;

/* ---- read ---- */

struct vgm_view_place vgm_views_place(const struct vgm_views *);
/* The day of the oldest finished message. VGM_E_NOTFOUND: there is none. */
int vgm_views_oldest_day(struct vgm_views *, uint32_t *out, struct vgm_err *) VGM_MUST_USE;

/* ---- for views and queries: statements ---- */

/* sql must be static: the prepared statement is kept under its address. It comes
 * reset and without bindings. */
int vgm_views_statement(
    struct vgm_views *, const char *sql, struct sqlite3_stmt **out, struct vgm_err *) VGM_MUST_USE;
/* One step. 1 = a row is there; 0 = done, and the statement is reset. */
int vgm_views_step(struct vgm_views *, struct sqlite3_stmt *, struct vgm_err *) VGM_MUST_USE;
/* For a statement without rows. */
int vgm_views_run(struct vgm_views *, struct sqlite3_stmt *, struct vgm_err *) VGM_MUST_USE;
void vgm_views_bind_text(struct sqlite3_stmt *, int place, struct vgm_slice); /* borrowed */
void vgm_views_bind_blob(struct sqlite3_stmt *, int place, const void *, size_t len);
void vgm_views_bind_u64(struct sqlite3_stmt *, int place, uint64_t);
uint64_t vgm_views_column_u64(struct sqlite3_stmt *, int column);
/* Valid until the next step. */
struct vgm_slice vgm_views_column(struct sqlite3_stmt *, int column);
/* Tells every view of a message's new state. */
int vgm_views_moved(struct vgm_views *, const struct vgm_view_move *, struct vgm_err *)
    VGM_MUST_USE;
/* Steps of a read-only store fail with VGM_E_TIMEOUT from this moment on (on
 * vgm_clock_mono_ms); 0 = never. */
void vgm_views_deadline(struct vgm_views *, uint64_t mono_ms);

#endif
