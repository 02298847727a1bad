/* SPDX-License-Identifier: EUPL-1.2
 * view/quarantine.c — the view "quarantine": messages that are held, since when
 * and by which rule or person. */
#include "view/store.h"

#include <sqlite3.h>

static const char schema[] =
    "CREATE TABLE held(id BLOB PRIMARY KEY, seq INTEGER NOT NULL, since INTEGER NOT NULL,"
    " why TEXT NOT NULL) STRICT, WITHOUT ROWID;";

static const char count[] = "SELECT count(*) FROM held";

static int moved(struct vgm_views *v, const struct vgm_view_move *move, struct vgm_err *err)
{
	static const char add[] = "INSERT OR IGNORE INTO held VALUES(?1, ?2, ?3, ?4)";
	static const char take[] = "DELETE FROM held WHERE id = ?1";
	bool was = move->before == VGM_VIEW_HELD, is = move->after == VGM_VIEW_HELD;
	sqlite3_stmt *st;
	if (was == is)
		return 0;
	int r = vgm_views_statement(v, is ? add : take, &st, err);
	if (r < 0)
		return r;
	vgm_views_bind_blob(st, 1, move->id, 16);
	if (is) {
		vgm_views_bind_u64(st, 2, move->sequence);
		vgm_views_bind_u64(st, 3, move->time_us / 1000);
		vgm_views_bind_text(st, 4, move->why);
	}
	return vgm_views_run(v, st, err);
}

const struct vgm_view vgm_view_quarantine = {
    .name = "quarantine",
    .class = VGM_VIEW_STATE,
    .schema = schema,
    .count = count,
    .moved = moved,
};
