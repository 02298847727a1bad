/* SPDX-License-Identifier: EUPL-1.2
 * view/store.c — see store.h.
 *
 * What is dirtied on disk per mail is the measure of this file and of the
 * schemas: rows are appended in the ledger's order, nothing is indexed by a
 * random key except messages that are open (few), and a batch of records is one
 * transaction. A page costs once in the WAL for each transaction that touches
 * it and once more at the checkpoint, so a checkpoint comes late (4 MB). */
#include "view/store.h"

#include "base/clock.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

#define SCHEMA_VERSION 2
#define APPLICATION_ID 0x56674d56 /* "VgMV" */
#define STATEMENTS_MAX 64
#define PROGRESS_STEPS 20000 /* virtual machine steps between two looks at the clock */

struct vgm_views {
	sqlite3 *db;
	struct vgm_view_place place;
	bool in_transaction;
	uint64_t deadline_ms;
	struct {
		const char *sql;
		sqlite3_stmt *prepared;
	} statements[STATEMENTS_MAX];
	size_t statements_count;
};

static const char base_schema[] =
    "CREATE TABLE place(one INTEGER PRIMARY KEY CHECK(one = 1), segment INTEGER NOT NULL,"
    " offset INTEGER NOT NULL, tree_size INTEGER NOT NULL) STRICT;"
    "INSERT INTO place VALUES(1, 0, 0, 0);";

/* ---- errors ---- */

static int fail(struct vgm_views *v, int rc, struct vgm_err *err)
{
	int code = VGM_E_IO;
	switch (rc & 0xff) {
	case SQLITE_FULL:
		code = VGM_E_NOSPACE;
		break;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		code = VGM_E_BUSY;
		break;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_MISMATCH:
	case SQLITE_CONSTRAINT:
	case SQLITE_SCHEMA:
		code = VGM_E_CORRUPT;
		break;
	case SQLITE_INTERRUPT:
		code = VGM_E_TIMEOUT;
		break;
	}
	/* The message may quote a row: only its general form goes on. */
	const char *text = sqlite3_errstr(rc);
	vgm_err_set(err, code, "views: %s (%d)", text, rc);
	if (err && v && v->db)
		err->sys_errno = sqlite3_system_errno(v->db);
	return code;
}

/* ---- names of files ---- */

/* A name without directory stays one: viewd stands in the views' directory, and
 * its sandbox does not let it look at the path that leads there. */
static int full_name(sqlite3_vfs *vfs, const char *name, int room, char *out)
{
	(void)vfs;
	size_t len = strlen(name);
	if (room < 0 || len >= (size_t)room)
		return SQLITE_CANTOPEN;
	memcpy(out, name, len + 1);
	return SQLITE_OK;
}

/* SQLite keeps the registered object: the one static variable here. */
static const char *file_system(void)
{
	static sqlite3_vfs ours;
	if (!ours.zName) {
		sqlite3_vfs *theirs = sqlite3_vfs_find("unix");
		VGM_BUG_ON(!theirs);
		ours = *theirs;
		ours.pNext = NULL;
		ours.zName = "vgm-views";
		ours.xFullPathname = full_name;
		VGM_BUG_ON(sqlite3_vfs_register(&ours, 0) != SQLITE_OK);
	}
	return ours.zName;
}

static const char *const suffixes[] = {"", "-wal", "-shm"};
#define NAME_BYTES 4096

static int file_name(
    char out[NAME_BYTES], const char *path, const char *suffix, struct vgm_err *err)
{
	int n = snprintf(out, NAME_BYTES, "%s%s", path, suffix);
	if (n < 0 || n >= NAME_BYTES)
		return vgm_err_set(err, VGM_E_LIMIT, "views: the path is too long");
	return 0;
}

int vgm_views_drop(const char *path, struct vgm_err *err)
{
	char name[NAME_BYTES];
	for (size_t i = 0; i < VGM_ARRAY_LEN(suffixes); i++) {
		int r = file_name(name, path, suffixes[i], err);
		if (r < 0)
			return r;
		if (unlink(name) < 0 && errno != ENOENT)
			return vgm_err_sys(err, "views: removing an old file");
	}
	return 0;
}

int vgm_views_replace(const char *path, const char *by, struct vgm_err *err)
{
	/* A closed store has no WAL: what is left of the old one's must not meet
	 * the new file. A crash in between leaves no store, which is made anew. */
	int r = vgm_views_drop(path, err);
	return r < 0 ? r : vgm_file_take_name_at(AT_FDCWD, by, path, err);
}

/* ---- statements ---- */

int vgm_views_statement(
    struct vgm_views *v, const char *sql, sqlite3_stmt **out, struct vgm_err *err)
{
	for (size_t i = 0; i < v->statements_count; i++)
		if (v->statements[i].sql == sql) {
			*out = v->statements[i].prepared;
			sqlite3_reset(*out);
			sqlite3_clear_bindings(*out);
			return 0;
		}
	VGM_BUG_ON(v->statements_count == STATEMENTS_MAX);
	sqlite3_stmt *st;
	int rc = sqlite3_prepare_v3(v->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL);
	if (rc != SQLITE_OK)
		return fail(v, rc, err);
	v->statements[v->statements_count].sql = sql;
	v->statements[v->statements_count++].prepared = st;
	*out = st;
	return 0;
}

int vgm_views_step(struct vgm_views *v, sqlite3_stmt *st, struct vgm_err *err)
{
	int rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		return 1;
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : fail(v, rc, err);
}

int vgm_views_run(struct vgm_views *v, sqlite3_stmt *st, struct vgm_err *err)
{
	int r = vgm_views_step(v, st, err);
	VGM_BUG_ON(r == 1);
	return r;
}

void vgm_views_bind_text(sqlite3_stmt *st, int place, struct vgm_slice s)
{
	const char *data = s.len ? (const char *)s.data : "";
	VGM_BUG_ON(sqlite3_bind_text(st, place, data, (int)s.len, SQLITE_STATIC) != SQLITE_OK);
}

void vgm_views_bind_blob(sqlite3_stmt *st, int place, const void *data, size_t len)
{
	VGM_BUG_ON(sqlite3_bind_blob(st, place, data, (int)len, SQLITE_STATIC) != SQLITE_OK);
}

void vgm_views_bind_u64(sqlite3_stmt *st, int place, uint64_t value)
{
	int64_t n = value > INT64_MAX ? INT64_MAX : (int64_t)value;
	VGM_BUG_ON(sqlite3_bind_int64(st, place, n) != SQLITE_OK);
}

uint64_t vgm_views_column_u64(sqlite3_stmt *st, int column)
{
	int64_t n = sqlite3_column_int64(st, column);
	return n < 0 ? 0 : (uint64_t)n;
}

struct vgm_slice vgm_views_column(sqlite3_stmt *st, int column)
{
	/* The order of the two calls is SQLite's. */
	const void *data = sqlite3_column_blob(st, column);
	return vgm_slice(data, (size_t)sqlite3_column_bytes(st, column));
}

static int run_text(struct vgm_views *v, const char *sql, struct vgm_err *err)
{
	int rc = sqlite3_exec(v->db, sql, NULL, NULL, NULL);
	return rc == SQLITE_OK ? 0 : fail(v, rc, err);
}

static int read_number(struct vgm_views *v, const char *sql, int64_t *out, struct vgm_err *err)
{
	sqlite3_stmt *st;
	int rc = sqlite3_prepare_v2(v->db, sql, -1, &st, NULL);
	if (rc == SQLITE_OK) {
		rc = sqlite3_step(st);
		*out = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
		sqlite3_finalize(st);
	}
	return rc == SQLITE_ROW ? 0 : fail(v, rc, err);
}

/* ---- opening ---- */

static int out_of_time(void *context)
{
	const struct vgm_views *v = context;
	return v->deadline_ms && vgm_clock_mono_ms() >= v->deadline_ms;
}

static int connect_to(const char *path, int flags, struct vgm_views **out, struct vgm_err *err)
{
	struct vgm_views *v = vgm_alloc(sizeof *v);
	int rc = sqlite3_open_v2(path, &v->db, flags | SQLITE_OPEN_NOMUTEX, file_system());
	if (rc == SQLITE_OK) {
		sqlite3_extended_result_codes(v->db, 1);
		sqlite3_db_config(v->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
		sqlite3_busy_timeout(v->db, 1000);
		*out = v;
		return 0;
	}
	int r = fail(v, rc, err);
	vgm_views_close(&v);
	return r;
}

/* 1 = made by this version. */
static int is_ours(struct vgm_views *v, struct vgm_err *err)
{
	int64_t id = 0, version = 0;
	int r = read_number(v, "PRAGMA application_id", &id, err);
	if (r == 0)
		r = read_number(v, "PRAGMA user_version", &version, err);
	return r < 0 ? r : id == APPLICATION_ID && version == SCHEMA_VERSION;
}

static int create(struct vgm_views *v, struct vgm_err *err)
{
	char stamp[100];
	snprintf(stamp, sizeof stamp, "PRAGMA application_id=%d; PRAGMA user_version=%d",
	    APPLICATION_ID, SCHEMA_VERSION);
	int r = run_text(v, "PRAGMA page_size=4096; PRAGMA journal_mode=WAL; BEGIN IMMEDIATE", err);
	if (r == 0)
		r = run_text(v, base_schema, err);
	for (size_t i = 0; r == 0 && i < vgm_view_table_len; i++)
		r = run_text(v, vgm_view_table[i]->schema, err);
	if (r == 0)
		r = run_text(v, stamp, err);
	if (r == 0)
		r = run_text(v, "COMMIT", err);
	return r;
}

static int read_place(struct vgm_views *v, struct vgm_err *err)
{
	static const char sql[] = "SELECT segment, offset, tree_size FROM place";
	sqlite3_stmt *st;
	int r = vgm_views_statement(v, sql, &st, err);
	if (r == 0)
		r = vgm_views_step(v, st, err);
	if (r == 0)
		return vgm_err_set(err, VGM_E_CORRUPT, "views: the place in the ledger is missing");
	if (r < 0)
		return r;
	v->place = (struct vgm_view_place){
	    vgm_views_column_u64(st, 0), vgm_views_column_u64(st, 1), vgm_views_column_u64(st, 2)};
	sqlite3_reset(st);
	return 0;
}

/* Takes the mode for the files beside it too. */
static int make_file(const char *path, struct vgm_err *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return vgm_err_sys(err, "views: opening the database");
	close(fd);
	return 0;
}

static int open_once(const char *path, struct vgm_views **out, bool *out_other, struct vgm_err *err)
{
	struct vgm_views *v = NULL;
	int64_t tables = 0;
	int r = make_file(path, err);
	if (r == 0)
		r = connect_to(path, SQLITE_OPEN_READWRITE, &v, err);
	if (r == 0)
		r = read_number(v, "SELECT count(*) FROM sqlite_schema", &tables, err);
	int ours = r == 0 && tables ? is_ours(v, err) : 0;
	if (r == 0 && tables == 0)
		r = create(v, err);
	else if (r == 0 && ours < 0)
		r = ours;
	*out_other = r == 0 && tables && !ours;
	if (r == 0 && !*out_other)
		r = run_text(v,
		    "PRAGMA synchronous=NORMAL; PRAGMA secure_delete=FAST; PRAGMA "
		    "temp_store=MEMORY;"
		    "PRAGMA cache_size=-2000; PRAGMA wal_autocheckpoint=1000;"
		    "PRAGMA journal_size_limit=4194304",
		    err);
	if (r == 0 && !*out_other)
		r = read_place(v, err);
	if (r == 0 && !*out_other)
		*out = v;
	else
		vgm_views_close(&v);
	return r;
}

int vgm_views_open(const char *path, struct vgm_views **out, struct vgm_err *err)
{
	const struct vgm_view *keep;
	bool other = false;
	VGM_BUG_ON(!vgm_view_droppable(vgm_view_table, vgm_view_table_len, &keep));
	int r = open_once(path, out, &other, err);
	if (r == 0 && other)
		r = vgm_views_drop(path, err);
	if (r == 0 && other)
		r = open_once(path, out, &other, err);
	return r;
}

int vgm_views_open_read(const char *path, struct vgm_views **out, struct vgm_err *err)
{
	struct vgm_views *v = NULL;
	if (access(path, R_OK) < 0)
		return vgm_err_set(err, VGM_E_NOTFOUND, "views: there is no database yet");
	int r = connect_to(path, SQLITE_OPEN_READONLY, &v, err);
	if (r == 0)
		r = run_text(v,
		    "PRAGMA query_only=1; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-2000", err);
	if (r == 0)
		r = read_place(v, err);
	if (r < 0) {
		vgm_views_close(&v);
		return r;
	}
	sqlite3_progress_handler(v->db, PROGRESS_STEPS, out_of_time, v);
	*out = v;
	return 0;
}

void vgm_views_close(struct vgm_views **views)
{
	struct vgm_views *v = *views;
	*views = NULL;
	if (!v)
		return;
	vgm_views_rollback(v);
	for (size_t i = 0; i < v->statements_count; i++)
		sqlite3_finalize(v->statements[i].prepared);
	sqlite3_close(v->db);
	vgm_free(v);
}

/* ---- writing ---- */

void vgm_views_rollback(struct vgm_views *v)
{
	if (!v->in_transaction)
		return;
	for (size_t i = 0; i < v->statements_count; i++)
		sqlite3_reset(v->statements[i].prepared);
	/* After some errors SQLite has done it already; then this one fails. */
	(void)sqlite3_exec(v->db, "ROLLBACK", NULL, NULL, NULL);
	v->in_transaction = false;
}

static int run_static(struct vgm_views *v, const char *sql, struct vgm_err *err)
{
	sqlite3_stmt *st;
	int r = vgm_views_statement(v, sql, &st, err);
	return r < 0 ? r : vgm_views_run(v, st, err);
}

int vgm_views_begin(struct vgm_views *v, struct vgm_err *err)
{
	static const char sql[] = "BEGIN IMMEDIATE";
	VGM_BUG_ON(v->in_transaction);
	int r = run_static(v, sql, err);
	v->in_transaction = r == 0;
	return r;
}

int vgm_views_apply(struct vgm_views *v, const struct vgm_view_entry *entry, struct vgm_err *err)
{
	int r = 0;
	VGM_BUG_ON(!v->in_transaction);
	if (entry->record->sequence < v->place.tree_size)
		return 0;
	for (size_t i = 0; r == 0 && i < vgm_view_table_len; i++)
		if (vgm_view_table[i]->apply)
			r = vgm_view_table[i]->apply(v, entry, err);
	if (r < 0)
		vgm_views_rollback(v);
	return r;
}

int vgm_views_moved(struct vgm_views *v, const struct vgm_view_move *move, struct vgm_err *err)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < vgm_view_table_len; i++)
		if (vgm_view_table[i]->moved)
			r = vgm_view_table[i]->moved(v, move, err);
	return r;
}

int vgm_views_commit(struct vgm_views *v, struct vgm_view_place place, struct vgm_err *err)
{
	static const char move[] = "UPDATE place SET segment = ?1, offset = ?2, tree_size = ?3";
	static const char commit[] = "COMMIT";
	sqlite3_stmt *st;
	VGM_BUG_ON(!v->in_transaction);
	int r = vgm_views_statement(v, move, &st, err);
	if (r == 0) {
		vgm_views_bind_u64(st, 1, place.segment);
		vgm_views_bind_u64(st, 2, place.offset);
		vgm_views_bind_u64(st, 3, place.tree_size);
		r = vgm_views_run(v, st, err);
	}
	if (r == 0)
		r = run_static(v, commit, err);
	if (r < 0) {
		vgm_views_rollback(v);
		return r;
	}
	v->in_transaction = false;
	v->place = place;
	return 0;
}

/* ---- the end of the window ---- */

static int forget_rows(
    struct vgm_views *v, const char *sql, uint32_t day, size_t max, struct vgm_err *err)
{
	sqlite3_stmt *st;
	int r = vgm_views_statement(v, sql, &st, err);
	if (r < 0)
		return r;
	vgm_views_bind_u64(st, 1, day);
	vgm_views_bind_u64(st, 2, max);
	return vgm_views_run(v, st, err);
}

#define FORGOTTEN "(SELECT seq FROM mail WHERE day = ?1 AND state < 8 ORDER BY seq LIMIT ?2)"

int vgm_views_forget(
    struct vgm_views *v, uint32_t day, size_t max, size_t *out_count, struct vgm_err *err)
{
	static const char recipients[] = "DELETE FROM recipient WHERE seq IN " FORGOTTEN;
	static const char outcomes[] = "DELETE FROM outcome WHERE seq IN " FORGOTTEN;
	static const char mails[] = "DELETE FROM mail WHERE seq IN " FORGOTTEN;
	_Static_assert(VGM_VIEW_QUEUED == 8, "states below are final");
	int r = vgm_views_begin(v, err);
	for (size_t i = 0; r == 0 && i < vgm_view_table_len; i++)
		if (vgm_view_table[i]->forget)
			r = vgm_view_table[i]->forget(v, day, err);
	if (r == 0)
		r = forget_rows(v, recipients, day, max, err);
	if (r == 0)
		r = forget_rows(v, outcomes, day, max, err);
	if (r == 0)
		r = forget_rows(v, mails, day, max, err);
	size_t count = r == 0 ? (size_t)sqlite3_changes(v->db) : 0;
	if (r == 0)
		r = vgm_views_commit(v, v->place, err);
	if (r < 0) {
		vgm_views_rollback(v);
		return r;
	}
	*out_count = count;
	return 0;
}

int vgm_views_oldest_day(struct vgm_views *v, uint32_t *out, struct vgm_err *err)
{
	static const char sql[] = "SELECT day FROM mail WHERE state < 8 ORDER BY seq LIMIT 1";
	sqlite3_stmt *st;
	int r = vgm_views_statement(v, sql, &st, err);
	if (r == 0)
		r = vgm_views_step(v, st, err);
	if (r == 0)
		return vgm_err_set(err, VGM_E_NOTFOUND, "views: no finished message");
	if (r < 0)
		return r;
	*out = (uint32_t)vgm_views_column_u64(st, 0);
	sqlite3_reset(st);
	return 0;
}

struct vgm_view_place vgm_views_place(const struct vgm_views *v)
{
	return v->place;
}

void vgm_views_deadline(struct vgm_views *v, uint64_t mono_ms)
{
	v->deadline_ms = mono_ms;
}
