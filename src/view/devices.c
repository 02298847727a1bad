/* SPDX-License-Identifier: EUPL-1.2
 * view/devices.c — the view "devices": what each copier and lab machine has sent
 * in the open window, what of it needed mending, and what was not delivered.
 *
 * Counters for each machine and day, so that a day that is closed takes its own
 * with it, and a rebuild, which cannot read that day any more, counts the same. */
#include "view/store.h"

#include <sqlite3.h>

static const char schema[] =
    "CREATE TABLE device(machine TEXT NOT NULL, day INTEGER NOT NULL, messages INTEGER NOT NULL,"
    " repaired INTEGER NOT NULL, undelivered INTEGER NOT NULL, last INTEGER NOT NULL,"
    " bare_lf INTEGER NOT NULL, bare_cr INTEGER NOT NULL, path INTEGER NOT NULL,"
    " name INTEGER NOT NULL, PRIMARY KEY(machine, day)) STRICT, WITHOUT ROWID;";

static const char count[] = "SELECT count(DISTINCT machine) FROM device";

static int apply(struct vgm_views *v, const struct vgm_view_entry *entry, struct vgm_err *err)
{
	static const char sql[] =
	    "INSERT INTO device VALUES(?1, ?2, 1, ?3 > 0, 0, ?4, (?3 & 1) > 0, (?3 & 2) > 0,"
	    " (?3 & 4) > 0, (?3 & 8) > 0) ON CONFLICT DO UPDATE SET messages = messages + 1,"
	    " repaired = repaired + excluded.repaired, last = max(last, excluded.last),"
	    " bare_lf = bare_lf + excluded.bare_lf, bare_cr = bare_cr + excluded.bare_cr,"
	    " path = path + excluded.path, name = name + excluded.name";
	_Static_assert(VGM_FAULT_BARE_LF == 1 && VGM_FAULT_BARE_CR == 2 && VGM_FAULT_PATH == 4 &&
		VGM_FAULT_NAME == 8,
	    "as the statement has them");
	sqlite3_stmt *st;
	if (!entry->mail || entry->mail->machine.len == 0)
		return 0;
	int r = vgm_views_statement(v, sql, &st, err);
	if (r < 0)
		return r;
	vgm_views_bind_text(st, 1, entry->mail->machine);
	vgm_views_bind_u64(st, 2, entry->record->day);
	vgm_views_bind_u64(st, 3, entry->mail->faults);
	vgm_views_bind_u64(st, 4, entry->record->time_us / 1000);
	return vgm_views_run(v, st, err);
}

/* A message that ends undelivered counts once: it was open, and is no more. */
static int moved(struct vgm_views *v, const struct vgm_view_move *move, struct vgm_err *err)
{
	static const char sql[] =
	    "UPDATE device SET undelivered = undelivered + 1 WHERE (machine, day) ="
	    " (SELECT machine, day FROM mail WHERE seq = ?1 AND machine IS NOT NULL)";
	sqlite3_stmt *st;
	if (move->after < VGM_VIEW_REFUSED || move->after > VGM_VIEW_FAILED)
		return 0;
	int r = vgm_views_statement(v, sql, &st, err);
	if (r < 0)
		return r;
	vgm_views_bind_u64(st, 1, move->sequence);
	return vgm_views_run(v, st, err);
}

static int forget(struct vgm_views *v, uint32_t day, struct vgm_err *err)
{
	static const char sql[] = "DELETE FROM device WHERE day = ?1";
	sqlite3_stmt *st;
	int r = vgm_views_statement(v, sql, &st, err);
	if (r < 0)
		return r;
	vgm_views_bind_u64(st, 1, day);
	return vgm_views_run(v, st, err);
}

const struct vgm_view vgm_view_devices = {
    .name = "devices",
    .class = VGM_VIEW_STATE,
    .schema = schema,
    .count = count,
    .apply = apply,
    .moved = moved,
    .forget = forget,
};
