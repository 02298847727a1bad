/* SPDX-License-Identifier: EUPL-1.2
 * view/queue.c — the view "queue": messages with a recipient whose fate is not
 * final. The only table with random keys: it holds what is open now, so it
 * stays small, and outcomes, which name a message by its id, find it here. */
#include "view/store.h"

#include <sqlite3.h>

static const char schema[] = "CREATE TABLE open(id BLOB PRIMARY KEY, seq INTEGER NOT NULL)"
			     " STRICT, WITHOUT ROWID;";

static const char count[] = "SELECT count(*) FROM open";

static int moved(struct vgm_views *v, const struct vgm_view_move *move, struct vgm_err *err)
{
	/* Ids are random; were one to come twice, the first keeps it, so that no
	 * record can ever make the views stand still. */
	static const char add[] = "INSERT OR IGNORE INTO open VALUES(?1, ?2)";
	static const char take[] = "DELETE FROM open WHERE id = ?1";
	bool was = vgm_view_state_open(move->before), is = vgm_view_state_open(move->after);
	sqlite3_stmt *st;
	if (was == is)
		return 0;
	int r = vgm_views_statement(v, is ? add : take, &st, err);
	if (r < 0)
		return r;
	vgm_views_bind_blob(st, 1, move->id, 16);
	if (is)
		vgm_views_bind_u64(st, 2, move->sequence);
	return vgm_views_run(v, st, err);
}

int vgm_view_queue_find(
    struct vgm_views *v, const uint8_t id[16], uint64_t *out, struct vgm_err *err)
{
	static const char sql[] = "SELECT seq FROM open WHERE id = ?1";
	sqlite3_stmt *st;
	int r = vgm_views_statement(v, sql, &st, err);
	if (r < 0)
		return r;
	vgm_views_bind_blob(st, 1, id, 16);
	r = vgm_views_step(v, st, err);
	if (r == 0)
		return vgm_err_set(err, VGM_E_NOTFOUND, "views: that message is not open");
	if (r < 0)
		return r;
	*out = vgm_views_column_u64(st, 0);
	sqlite3_reset(st);
	return 0;
}

const struct vgm_view vgm_view_queue = {
    .name = "queue",
    .class = VGM_VIEW_STATE,
    .schema = schema,
    .count = count,
    .moved = moved,
};
