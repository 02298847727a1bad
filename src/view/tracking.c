/* SPDX-License-Identifier: EUPL-1.2
 * view/tracking.c — the view "tracking": every message of the open window, its
 * recipients, and each attempt to deliver to them. It keeps the states; queue
 * and quarantine follow its moves.
 *
 * Rows only ever grow at the end: seq is the record's sequence in the ledger,
 * outcomes are keyed by message and then by their own sequence. What changes in
 * place is a state of one byte, so that no row grows and no page splits. */
#include "view/store.h"

#include "ledger/bytes.h"

#include <sqlite3.h>

static const char schema[] =
    "CREATE TABLE mail(seq INTEGER PRIMARY KEY, id BLOB NOT NULL, time INTEGER NOT NULL,"
    " day INTEGER NOT NULL, type INTEGER NOT NULL, door INTEGER NOT NULL,"
    " state INTEGER NOT NULL, size INTEGER NOT NULL, segment INTEGER NOT NULL,"
    " offset INTEGER NOT NULL, related BLOB, sender TEXT NOT NULL, machine TEXT) STRICT;"
    "CREATE TABLE recipient(seq INTEGER NOT NULL, n INTEGER NOT NULL, state INTEGER NOT NULL,"
    " address TEXT NOT NULL, route TEXT NOT NULL, reason TEXT NOT NULL,"
    " PRIMARY KEY(seq, n)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE outcome(seq INTEGER NOT NULL, at INTEGER NOT NULL, n INTEGER NOT NULL,"
    " time INTEGER NOT NULL, attempt INTEGER NOT NULL, status INTEGER NOT NULL,"
    " code TEXT NOT NULL, reply TEXT NOT NULL, peer TEXT NOT NULL, tls TEXT NOT NULL,"
    " reference TEXT NOT NULL, PRIMARY KEY(seq, at, n)) STRICT, WITHOUT ROWID;";

static const char count[] = "SELECT count(*) FROM mail";

/* ---- a message ---- */

static int first_state(const struct vgm_msg_routing *mail, const struct vgm_recipient *recipient)
{
	if (vgm_slice_eq(recipient->route, VGM_SLICE_LIT("refuse")))
		return VGM_VIEW_REFUSED;
	if ((mail->flags & VGM_ROUTING_HELD) ||
	    vgm_slice_eq(recipient->route, VGM_SLICE_LIT("hold")))
		return VGM_VIEW_HELD;
	return VGM_VIEW_QUEUED;
}

static int add_recipient(struct vgm_views *v, uint64_t seq, size_t n,
    const struct vgm_recipient *recipient, int state, struct vgm_err *err)
{
	static const char sql[] = "INSERT INTO recipient VALUES(?1, ?2, ?3, ?4, ?5, ?6)";
	sqlite3_stmt *st;
	int r = vgm_views_statement(v, sql, &st, err);
	if (r < 0)
		return r;
	vgm_views_bind_u64(st, 1, seq);
	vgm_views_bind_u64(st, 2, n);
	vgm_views_bind_u64(st, 3, (uint64_t)state);
	vgm_views_bind_text(st, 4, recipient->address);
	vgm_views_bind_text(st, 5, recipient->route);
	vgm_views_bind_text(st, 6, recipient->reason);
	return vgm_views_run(v, st, err);
}

static int add_mail(
    struct vgm_views *v, const struct vgm_view_entry *entry, int state, struct vgm_err *err)
{
	static const char sql[] =
	    "INSERT INTO mail VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
	const struct vgm_record *record = entry->record;
	sqlite3_stmt *st;
	int r = vgm_views_statement(v, sql, &st, err);
	if (r < 0)
		return r;
	vgm_views_bind_u64(st, 1, record->sequence);
	vgm_views_bind_blob(st, 2, record->id, sizeof record->id);
	vgm_views_bind_u64(st, 3, record->time_us / 1000);
	vgm_views_bind_u64(st, 4, record->day);
	vgm_views_bind_u64(st, 5, record->type);
	vgm_views_bind_u64(st, 6, entry->mail->instance);
	vgm_views_bind_u64(st, 7, (uint64_t)state);
	vgm_views_bind_u64(st, 8, entry->mail->size);
	vgm_views_bind_u64(st, 9, entry->segment);
	vgm_views_bind_u64(st, 10, entry->offset);
	if (!vgm_is_zero(record->related, sizeof record->related))
		vgm_views_bind_blob(st, 11, record->related, sizeof record->related);
	vgm_views_bind_text(st, 12, entry->mail->sender);
	if (entry->mail->machine.len)
		vgm_views_bind_text(st, 13, entry->mail->machine);
	return vgm_views_run(v, st, err);
}

static int apply_mail(struct vgm_views *v, const struct vgm_view_entry *entry, struct vgm_err *err)
{
	const struct vgm_msg_routing *mail = entry->mail;
	struct vgm_view_move move = {.sequence = entry->record->sequence,
	    .id = entry->record->id,
	    .after = VGM_VIEW_REMOVED,
	    .time_us = entry->record->time_us};
	int r = 0;
	for (size_t i = 0; r == 0 && i < mail->recipients_count; i++) {
		int state = first_state(mail, &mail->recipients[i]);
		if (i == 0 || state > move.after) {
			move.after = state;
			move.why = mail->recipients[i].reason;
		}
		r = add_recipient(v, entry->record->sequence, i, &mail->recipients[i], state, err);
	}
	if (r == 0)
		r = add_mail(v, entry, move.after, err);
	return r < 0 ? r : vgm_views_moved(v, &move, err);
}

/* ---- states ---- */

static int read_state(
    struct vgm_views *v, const char *sql, uint64_t seq, int *out_state, struct vgm_err *err)
{
	sqlite3_stmt *st;
	int r = vgm_views_statement(v, sql, &st, err);
	if (r < 0)
		return r;
	vgm_views_bind_u64(st, 1, seq);
	r = vgm_views_step(v, st, err);
	if (r < 0)
		return r;
	*out_state = r == 1 ? sqlite3_column_int(st, 0) : 0;
	sqlite3_reset(st);
	return 0;
}

/* The message's state is the greatest of its recipients'. */
static int settle(struct vgm_views *v, struct vgm_view_move *move, struct vgm_err *err)
{
	static const char was[] = "SELECT state FROM mail WHERE seq = ?1";
	static const char is[] = "SELECT max(state) FROM recipient WHERE seq = ?1";
	static const char set[] = "UPDATE mail SET state = ?2 WHERE seq = ?1";
	sqlite3_stmt *st;
	int r = read_state(v, was, move->sequence, &move->before, err);
	if (r == 0)
		r = read_state(v, is, move->sequence, &move->after, err);
	if (r < 0 || move->before == move->after)
		return r;
	r = vgm_views_statement(v, set, &st, err);
	if (r < 0)
		return r;
	vgm_views_bind_u64(st, 1, move->sequence);
	vgm_views_bind_u64(st, 2, (uint64_t)move->after);
	r = vgm_views_run(v, st, err);
	return r < 0 ? r : vgm_views_moved(v, move, err);
}

/* ---- an outcome ---- */

static int state_of(uint8_t status)
{
	static const uint8_t states[] = {
	    [VGM_OUTCOME_DELIVERED] = VGM_VIEW_DELIVERED,
	    [VGM_OUTCOME_DEFERRED] = VGM_VIEW_DEFERRED,
	    [VGM_OUTCOME_FAILED] = VGM_VIEW_FAILED,
	    [VGM_OUTCOME_EXPIRED] = VGM_VIEW_EXPIRED,
	    [VGM_OUTCOME_REMOVED] = VGM_VIEW_REMOVED,
	    [VGM_OUTCOME_RELAYED] = VGM_VIEW_RELAYED,
	};
	return status < VGM_ARRAY_LEN(states) ? states[status] : 0;
}

static int add_outcome(struct vgm_views *v, uint64_t seq, const struct vgm_view_entry *entry,
    const struct vgm_outcome *outcome, struct vgm_err *err)
{
	static const char sql[] = "INSERT OR IGNORE INTO outcome"
				  " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
	sqlite3_stmt *st;
	int r = vgm_views_statement(v, sql, &st, err);
	if (r < 0)
		return r;
	vgm_views_bind_u64(st, 1, seq);
	vgm_views_bind_u64(st, 2, entry->record->sequence);
	vgm_views_bind_u64(st, 3, outcome->index);
	vgm_views_bind_u64(st, 4, entry->outcome->at_us / 1000);
	vgm_views_bind_u64(st, 5, entry->outcome->attempt);
	vgm_views_bind_u64(st, 6, outcome->status);
	vgm_views_bind_text(st, 7, outcome->enhanced);
	vgm_views_bind_text(st, 8, outcome->reply);
	vgm_views_bind_text(st, 9, outcome->peer);
	vgm_views_bind_text(st, 10, outcome->tls);
	vgm_views_bind_text(st, 11, outcome->reference);
	return vgm_views_run(v, st, err);
}

/* A hold stays over an attempt that was under way when it came. */
static int set_recipient(
    struct vgm_views *v, uint64_t seq, uint32_t n, int state, struct vgm_err *err)
{
	static const char sql[] = "UPDATE recipient SET state = ?3 WHERE seq = ?1 AND n = ?2"
				  " AND state >= 8 AND NOT (state = 10 AND ?3 = 9)";
	_Static_assert(VGM_VIEW_QUEUED == 8 && VGM_VIEW_DEFERRED == 9 && VGM_VIEW_HELD == 10, "");
	sqlite3_stmt *st;
	int r = vgm_views_statement(v, sql, &st, err);
	if (r < 0)
		return r;
	vgm_views_bind_u64(st, 1, seq);
	vgm_views_bind_u64(st, 2, n);
	vgm_views_bind_u64(st, 3, (uint64_t)state);
	return vgm_views_run(v, st, err);
}

static int apply_outcome(
    struct vgm_views *v, const struct vgm_view_entry *entry, struct vgm_err *err)
{
	const struct vgm_msg_outcome_facts *facts = entry->outcome;
	struct vgm_view_move move = {.id = facts->record, .time_us = entry->record->time_us};
	int r = vgm_view_queue_find(v, facts->record, &move.sequence, err);
	if (r == VGM_E_NOTFOUND) /* of a message of a closed day */
		return 0;
	for (size_t i = 0; r == 0 && i < facts->outcomes_count; i++) {
		const struct vgm_outcome *outcome = &facts->outcomes[i];
		int state = state_of(outcome->status);
		if (!state)
			continue;
		r = add_outcome(v, move.sequence, entry, outcome, err);
		if (r == 0)
			r = set_recipient(v, move.sequence, outcome->index, state, err);
	}
	return r < 0 ? r : settle(v, &move, err);
}

/* ---- an administrator's act ---- */

static const struct act {
	const char *kind;
	const char *change; /* of the recipients of message ?1 */
} acts[] = {
    {"hold", "UPDATE recipient SET state = 10 WHERE seq = ?1 AND state >= 8"},
    {"release", "UPDATE recipient SET state = 8 WHERE seq = ?1 AND state = 10"},
    {"remove", "UPDATE recipient SET state = 4 WHERE seq = ?1 AND state >= 8"},
};
_Static_assert(VGM_VIEW_REMOVED == 4, "as the statements above have it");

static int act_on(
    struct vgm_views *v, const struct act *act, struct vgm_view_move *move, struct vgm_err *err)
{
	sqlite3_stmt *st;
	int r = vgm_views_statement(v, act->change, &st, err);
	if (r < 0)
		return r;
	vgm_views_bind_u64(st, 1, move->sequence);
	r = vgm_views_run(v, st, err);
	return r < 0 ? r : settle(v, move, err);
}

/* One message after another in the order of their ids: the table of open
 * messages changes on the way. */
static int act_on_all(
    struct vgm_views *v, const struct act *act, struct vgm_view_move *move, struct vgm_err *err)
{
	static const char sql[] = "SELECT id, seq FROM open WHERE id > ?1 ORDER BY id LIMIT 1";
	uint8_t id[16] = {0};
	move->id = id;
	for (;;) {
		sqlite3_stmt *st;
		int r = vgm_views_statement(v, sql, &st, err);
		if (r < 0)
			return r;
		vgm_views_bind_blob(st, 1, id, sizeof id);
		r = vgm_views_step(v, st, err);
		if (r != 1)
			return r;
		struct vgm_slice found = vgm_views_column(st, 0);
		if (found.len != sizeof id)
			return vgm_err_set(err, VGM_E_CORRUPT, "views: an id of a wrong length");
		memcpy(id, found.data, sizeof id);
		move->sequence = vgm_views_column_u64(st, 1);
		sqlite3_reset(st);
		r = act_on(v, act, move, err);
		if (r < 0)
			return r;
	}
}

static int apply_event(struct vgm_views *v, const struct vgm_view_entry *entry, struct vgm_err *err)
{
	const struct vgm_msg_event_facts *event = entry->event;
	struct vgm_view_move move = {
	    .id = event->record, .time_us = entry->record->time_us, .why = event->who};
	const struct act *act = NULL;
	for (size_t i = 0; i < VGM_ARRAY_LEN(acts); i++)
		if (vgm_slice_eq(event->kind, vgm_slice_str(acts[i].kind)))
			act = &acts[i];
	if (!act)
		return 0;
	if (vgm_is_zero(event->record, sizeof event->record))
		return act_on_all(v, act, &move, err);
	int r = vgm_view_queue_find(v, event->record, &move.sequence, err);
	if (r == VGM_E_NOTFOUND) /* delivered meanwhile */
		return 0;
	return r < 0 ? r : act_on(v, act, &move, err);
}

static int apply(struct vgm_views *v, const struct vgm_view_entry *entry, struct vgm_err *err)
{
	if (entry->mail)
		return apply_mail(v, entry, err);
	if (entry->outcome)
		return apply_outcome(v, entry, err);
	if (entry->event && entry->record->type == VGM_RECORD_ACTION)
		return apply_event(v, entry, err);
	return 0;
}

const struct vgm_view vgm_view_tracking = {
    .name = "tracking",
    .class = VGM_VIEW_STATE,
    .schema = schema,
    .count = count,
    .apply = apply,
};
