/* SPDX-License-Identifier: EUPL-1.2
 * view/audit.c — the view "audit": who opened, who acted, which configuration
 * and which keys. The journal itself is the ledger; this is its index for
 * people. When the day of a record is closed only its header is known. */
#include "view/store.h"

#include <sqlite3.h>

static const char schema[] =
    "CREATE TABLE event(seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, type INTEGER NOT NULL,"
    " record BLOB, kind TEXT NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL,"
    " detail TEXT NOT NULL) STRICT;";

static const char count[] = "SELECT count(*) FROM event";

static bool is_event(uint8_t type)
{
	return type == VGM_RECORD_ACCESS || type == VGM_RECORD_ACTION ||
	       type == VGM_RECORD_CONFIG || type == VGM_RECORD_KEY;
}

static int apply(struct vgm_views *v, const struct vgm_view_entry *entry, struct vgm_err *err)
{
	static const char sql[] = "INSERT INTO event VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
	static const struct vgm_msg_event_facts unknown;
	const struct vgm_msg_event_facts *event = entry->event ? entry->event : &unknown;
	sqlite3_stmt *st;
	if (!is_event(entry->record->type))
		return 0;
	int r = vgm_views_statement(v, sql, &st, err);
	if (r < 0)
		return r;
	vgm_views_bind_u64(st, 1, entry->record->sequence);
	vgm_views_bind_u64(st, 2, entry->record->time_us / 1000);
	vgm_views_bind_u64(st, 3, entry->record->type);
	if (memcmp(event->record, unknown.record, sizeof event->record) != 0)
		vgm_views_bind_blob(st, 4, event->record, sizeof event->record);
	vgm_views_bind_text(st, 5, event->kind);
	vgm_views_bind_text(st, 6, event->who);
	vgm_views_bind_text(st, 7, event->why);
	vgm_views_bind_text(st, 8, event->detail);
	return vgm_views_run(v, st, err);
}

const struct vgm_view vgm_view_audit = {
    .name = "audit",
    .class = VGM_VIEW_STATE,
    .schema = schema,
    .count = count,
    .apply = apply,
};
