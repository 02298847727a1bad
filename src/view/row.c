/* SPDX-License-Identifier: EUPL-1.2
 * view/row.c — rows of the views as JSON objects. All text in them came from
 * strangers once: what is not UTF-8 is escaped, the rest is jansson's work, and
 * a row that would be too long is cut into several. */
#include "base/clock.h"
#include "base/text.h"
#include "view/query.h"

#include <jansson.h>
#include <sqlite3.h>

#define HISTORY_MAX 10
#define RECIPIENTS_BYTES 40000 /* of one row; the rest is for the message itself */

/* ---- values ---- */

static json_t *json_text(struct vgm_slice s)
{
	json_t *text = s.len ? json_stringn((const char *)s.data, s.len) : json_string("");
	if (text)
		return text;
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf escaped = VGM_BUF_INIT(65536);
	int r = vgm_text_escape(s, 8000, &escaped);
	text = r < 0 ? NULL : json_stringn(vgm_buf_str(&escaped), escaped.len);
	return text ? text : json_string("?");
}

static json_t *json_hex(struct vgm_slice s)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf hex = VGM_BUF_INIT(256);
	return vgm_hex_encode(s, &hex) < 0 ? json_string("?") : json_string(vgm_buf_str(&hex));
}

static json_t *json_time(uint64_t ms)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf text = VGM_BUF_INIT(64);
	return vgm_date_rfc3339(ms * 1000, &text) < 0 ? json_null()
						      : json_string(vgm_buf_str(&text));
}

/* Memory is the only way in which this can fail, and then the process ends. */
static void set(json_t *object, const char *name, json_t *value)
{
	VGM_BUG_ON(json_object_set_new(object, name, value) < 0);
}

static json_t *json_column(sqlite3_stmt *st, int column)
{
	return json_text(vgm_views_column(st, column));
}

static json_t *json_count(sqlite3_stmt *st, int column)
{
	return json_integer(sqlite3_column_int64(st, column));
}

static int add_bytes(const char *bytes, size_t len, void *context)
{
	return vgm_buf_add(context, bytes, len);
}

/* Takes the object. */
static int give(json_t *object, vgm_view_emit *emit, void *context)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf text = VGM_BUF_INIT(VGM_VIEW_ROW_BYTES);
	VGM_BUG_ON(json_dump_callback(object, add_bytes, &text, JSON_COMPACT) < 0);
	json_decref(object);
	return emit(context, vgm_buf_str(&text));
}

static void json_release(json_t **j)
{
	json_decref(*j);
}

static size_t json_size(const json_t *j)
{
	return json_dumpb(j, NULL, 0, JSON_COMPACT);
}

/* ---- a message ---- */

static const char *door_name(int door)
{
	static const char *const names[] = {"", "receive", "submit", "devices"};
	return door > 0 && (size_t)door < VGM_ARRAY_LEN(names) ? names[door] : "";
}

static void set_held(json_t *mail, sqlite3_stmt *st)
{
	if (sqlite3_column_type(st, 9) == SQLITE_NULL)
		return;
	json_t *held = json_object();
	set(held, "since", json_time(vgm_views_column_u64(st, 9)));
	set(held, "why", json_column(st, 10));
	set(mail, "held", held);
}

/* *out is a new object, or NULL when there is no such message. */
static int read_mail(struct vgm_views *v, uint64_t seq, json_t **out, struct vgm_err *err)
{
	static const char sql[] =
	    "SELECT m.id, m.seq, m.type, m.time, m.door, m.sender, m.size, m.state, m.related,"
	    " h.since, h.why, m.machine FROM mail m"
	    " LEFT JOIN held h ON m.state = 10 AND h.id = m.id WHERE m.seq = ?1";
	_Static_assert(VGM_VIEW_HELD == 10, "as the statement has it");
	sqlite3_stmt *st;
	int r = vgm_views_statement(v, sql, &st, err);
	if (r < 0)
		return r;
	vgm_views_bind_u64(st, 1, seq);
	r = vgm_views_step(v, st, err);
	*out = NULL;
	if (r != 1)
		return r;
	json_t *mail = json_object();
	struct vgm_slice id = vgm_views_column(st, 0);
	set(mail, "id", json_hex(id));
	set(mail, "reference", json_hex(vgm_slice_sub(id, 0, 5)));
	set(mail, "sequence", json_count(st, 1));
	bool notice = sqlite3_column_int(st, 2) == VGM_RECORD_NOTICE;
	set(mail, "type", json_string(notice ? "notice" : "mail"));
	set(mail, "time", json_time(vgm_views_column_u64(st, 3)));
	set(mail, "door", json_string(door_name(sqlite3_column_int(st, 4))));
	if (sqlite3_column_type(st, 11) != SQLITE_NULL)
		set(mail, "machine", json_column(st, 11));
	set(mail, "sender", json_column(st, 5));
	set(mail, "size", json_count(st, 6));
	set(mail, "status", json_string(vgm_view_state_name(sqlite3_column_int(st, 7))));
	if (sqlite3_column_type(st, 8) != SQLITE_NULL)
		set(mail, "related", json_hex(vgm_views_column(st, 8)));
	set_held(mail, st);
	sqlite3_reset(st);
	*out = mail;
	return 0;
}

/* ---- its outcomes ---- */

static json_t *json_outcome(sqlite3_stmt *st)
{
	static const char *const names[] = {"code", "reply", "peer", "tls", "reference"};
	static const char *const statuses[] = {
	    "?", "delivered", "deferred", "failed", "expired", "removed", "relayed"};
	json_t *o = json_object();
	int status = sqlite3_column_int(st, 3);
	set(o, "time", json_time(vgm_views_column_u64(st, 1)));
	set(o, "attempt", json_count(st, 2));
	bool known = status >= 0 && (size_t)status < VGM_ARRAY_LEN(statuses);
	set(o, "status", json_string(statuses[known ? status : 0]));
	for (size_t i = 0; i < VGM_ARRAY_LEN(names); i++)
		if (sqlite3_column_bytes(st, 4 + (int)i))
			set(o, names[i], json_column(st, 4 + (int)i));
	return o;
}

/* For each recipient the list of its last outcomes, oldest first. */
static int read_outcomes(
    struct vgm_views *v, uint64_t seq, size_t keep, json_t **out, struct vgm_err *err)
{
	static const char sql[] =
	    "SELECT n, time, attempt, status, code, reply, peer, tls, reference"
	    " FROM outcome WHERE seq = ?1 ORDER BY at, n";
	sqlite3_stmt *st;
	int r = vgm_views_statement(v, sql, &st, err);
	if (r < 0)
		return r;
	vgm_views_bind_u64(st, 1, seq);
	json_t *by_recipient = json_object();
	while ((r = vgm_views_step(v, st, err)) == 1) {
		char n[24];
		snprintf(n, sizeof n, "%lld", (long long)sqlite3_column_int64(st, 0));
		json_t *list = json_object_get(by_recipient, n);
		if (!list) {
			list = json_array();
			set(by_recipient, n, list);
		}
		VGM_BUG_ON(json_array_append_new(list, json_outcome(st)) < 0);
		if (json_array_size(list) > keep)
			json_array_remove(list, 0);
	}
	if (r < 0) {
		json_decref(by_recipient);
		return r;
	}
	*out = by_recipient;
	return 0;
}

static json_t *json_recipient(sqlite3_stmt *st, json_t *outcomes, bool history)
{
	char n[24];
	json_t *o = json_object();
	set(o, "address", json_column(st, 1));
	set(o, "status", json_string(vgm_view_state_name(sqlite3_column_int(st, 2))));
	set(o, "route", json_column(st, 3));
	set(o, "reason", json_column(st, 4));
	snprintf(n, sizeof n, "%lld", (long long)sqlite3_column_int64(st, 0));
	json_t *list = json_object_get(outcomes, n);
	size_t count = json_array_size(list);
	if (count)
		set(o, "last", json_incref(json_array_get(list, count - 1)));
	if (history)
		set(o, "history", list ? json_incref(list) : json_array());
	/* One recipient alone must fit. */
	while (json_size(o) > RECIPIENTS_BYTES && json_array_size(json_object_get(o, "history")))
		json_array_remove(json_object_get(o, "history"), 0);
	return o;
}

/* ---- rows of a message ---- */

struct rows {
	json_t *mail; /* without recipients */
	json_t *recipients;
	size_t bytes; /* of the recipients so far */
	vgm_view_emit *emit;
	void *context;
};

static int flush(struct rows *rows, bool continued)
{
	json_t *row = json_copy(rows->mail);
	set(row, "recipients", rows->recipients);
	rows->recipients = json_array();
	rows->bytes = 0;
	if (continued)
		set(row, "continued", json_true());
	return give(row, rows->emit, rows->context);
}

static int add(struct rows *rows, json_t *recipient)
{
	size_t bytes = json_size(recipient) + 1;
	int r = 0;
	if (rows->bytes && rows->bytes + bytes > RECIPIENTS_BYTES)
		r = flush(rows, true);
	rows->bytes += bytes;
	VGM_BUG_ON(json_array_append_new(rows->recipients, recipient) < 0);
	return r;
}

static int give_recipients(struct vgm_views *v, uint64_t seq, json_t *outcomes, bool history,
    struct rows *rows, struct vgm_err *err)
{
	static const char sql[] =
	    "SELECT n, address, state, route, reason FROM recipient WHERE seq = ?1 ORDER BY n";
	sqlite3_stmt *st;
	int r = vgm_views_statement(v, sql, &st, err), given = 0;
	if (r < 0)
		return r;
	vgm_views_bind_u64(st, 1, seq);
	while (given >= 0 && (r = vgm_views_step(v, st, err)) == 1)
		given = add(rows, json_recipient(st, outcomes, history));
	sqlite3_reset(st);
	if (r < 0 || given < 0)
		return r < 0 ? r : given;
	return flush(rows, false);
}

int vgm_view_row_message(struct vgm_views *v, uint64_t sequence, bool history, vgm_view_emit *emit,
    void *context, struct vgm_err *err)
{
	VGM_CLEANUP(json_release) json_t *mail = NULL;
	VGM_CLEANUP(json_release) json_t *outcomes = NULL;
	int r = read_mail(v, sequence, &mail, err);
	if (r < 0 || !mail)
		return r;
	r = read_outcomes(v, sequence, history ? HISTORY_MAX : 1, &outcomes, err);
	if (r < 0)
		return r;
	struct rows rows = {mail, json_array(), 0, emit, context};
	r = give_recipients(v, sequence, outcomes, history, &rows, err);
	json_decref(rows.recipients);
	return r;
}

/* ---- events ---- */

static const char *event_type(int type)
{
	switch (type) {
	case VGM_RECORD_ACCESS:
		return "access";
	case VGM_RECORD_ACTION:
		return "action";
	case VGM_RECORD_CONFIG:
		return "configuration";
	case VGM_RECORD_KEY:
		return "key";
	}
	return "?";
}

static json_t *json_event(sqlite3_stmt *st)
{
	json_t *o = json_object();
	set(o, "sequence", json_count(st, 0));
	set(o, "time", json_time(vgm_views_column_u64(st, 1)));
	set(o, "type", json_string(event_type(sqlite3_column_int(st, 2))));
	set(o, "kind", json_column(st, 4));
	set(o, "who", json_column(st, 5));
	set(o, "why", json_column(st, 6));
	if (sqlite3_column_type(st, 3) != SQLITE_NULL)
		set(o, "record", json_hex(vgm_views_column(st, 3)));
	set(o, "detail", json_column(st, 7));
	return o;
}

int vgm_view_row_events(struct vgm_views *v, uint64_t before, size_t limit, uint64_t *out_last,
    size_t *out_count, vgm_view_emit *emit, void *context, struct vgm_err *err)
{
	static const char sql[] =
	    "SELECT seq, time, type, record, kind, who, why, detail FROM event"
	    " WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2";
	sqlite3_stmt *st;
	size_t count = 0;
	int r = vgm_views_statement(v, sql, &st, err), given = 0;
	if (r < 0)
		return r;
	vgm_views_bind_u64(st, 1, before);
	vgm_views_bind_u64(st, 2, limit);
	while (given >= 0 && (r = vgm_views_step(v, st, err)) == 1) {
		*out_last = vgm_views_column_u64(st, 0);
		given = give(json_event(st), emit, context);
		count++;
	}
	sqlite3_reset(st);
	*out_count = count;
	return r < 0 ? r : given < 0 ? given : 0;
}

/* ---- machines ---- */

#define DEVICES_AT_ONCE 50
#define DEVICE_SUMS                                                                                \
	"SELECT machine, sum(messages), sum(repaired), sum(undelivered), max(last), sum(bare_lf)," \
	" sum(bare_cr), sum(path), sum(name) FROM device "

/* Without messages the sums are NULL, which is 0. */
static json_t *json_device(sqlite3_stmt *st, const char *name, const char *address)
{
	static const char *const faults[] = {"bare_lf", "bare_cr", "path", "name"};
	json_t *o = json_object(), *found = json_object();
	set(o, "machine", name ? json_text(vgm_slice_str(name)) : json_column(st, 0));
	if (address)
		set(o, "address", json_text(vgm_slice_str(address)));
	set(o, "configured", json_boolean(name != NULL));
	set(o, "messages", json_count(st, 1));
	set(o, "repaired", json_count(st, 2));
	set(o, "undelivered", json_count(st, 3));
	if (sqlite3_column_type(st, 4) != SQLITE_NULL)
		set(o, "last", json_time(vgm_views_column_u64(st, 4)));
	for (size_t i = 0; i < VGM_ARRAY_LEN(faults); i++)
		set(found, faults[i], json_count(st, 5 + (int)i));
	set(o, "faults", found);
	return o;
}

static int give_named(struct vgm_views *v, const struct vgm_conf_device *device,
    vgm_view_emit *emit, void *context, struct vgm_err *err)
{
	static const char sql[] = DEVICE_SUMS "WHERE machine = ?1";
	sqlite3_stmt *st;
	int r = vgm_views_statement(v, sql, &st, err);
	if (r < 0)
		return r;
	vgm_views_bind_text(st, 1, vgm_slice_str(device->name));
	r = vgm_views_step(v, st, err);
	if (r < 0)
		return r;
	json_t *o = json_device(st, device->name, device->address);
	sqlite3_reset(st);
	return give(o, emit, context);
}

static bool is_named(struct vgm_slice machine, const struct vgm_conf_device *named, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (vgm_slice_eq(machine, vgm_slice_str(named[i].name)))
			return true;
	return false;
}

/* Machines that have sent in the window and are named no more, after the cursor. */
static int give_others(struct vgm_views *v, const struct vgm_conf_device *named, size_t count,
    struct vgm_view_device_cursor *at, vgm_view_emit *emit, void *context, struct vgm_err *err)
{
	static const char sql[] =
	    DEVICE_SUMS "WHERE machine > ?1 GROUP BY machine ORDER BY machine LIMIT ?2";
	struct vgm_view_device_cursor from = *at;
	sqlite3_stmt *st;
	size_t seen = 0;
	int r = vgm_views_statement(v, sql, &st, err), given = 0;
	if (r < 0)
		return r;
	vgm_views_bind_text(st, 1, vgm_slice(from.last, from.last_len));
	vgm_views_bind_u64(st, 2, DEVICES_AT_ONCE);
	while (given >= 0 && (r = vgm_views_step(v, st, err)) == 1) {
		struct vgm_slice machine = vgm_views_column(st, 0);
		at->last_len = vgm_min_size(machine.len, sizeof at->last);
		memcpy(at->last, machine.data, at->last_len);
		seen++;
		if (!is_named(machine, named, count))
			given = give(json_device(st, NULL, NULL), emit, context);
	}
	sqlite3_reset(st);
	return r < 0 ? r : given < 0 ? given : seen == DEVICES_AT_ONCE;
}

int vgm_view_row_devices(struct vgm_views *v, const struct vgm_conf_device *named, size_t count,
    struct vgm_view_device_cursor *at, vgm_view_emit *emit, void *context, struct vgm_err *err)
{
	if (at->named >= count)
		return give_others(v, named, count, at, emit, context, err);
	for (size_t i = 0; i < DEVICES_AT_ONCE && at->named < count; i++) {
		int r = give_named(v, &named[at->named], emit, context, err);
		if (r < 0)
			return r;
		at->named++;
	}
	return 1;
}

/* ---- the views themselves ---- */

int vgm_view_row_views(struct vgm_views *v, vgm_view_emit *emit, void *context, struct vgm_err *err)
{
	int r = 0;
	for (size_t i = 0; r >= 0 && i < vgm_view_table_len; i++) {
		const struct vgm_view *view = vgm_view_table[i];
		const char class[2] = {(char)view->class, 0};
		sqlite3_stmt *st;
		r = vgm_views_statement(v, view->count, &st, err);
		if (r == 0)
			r = vgm_views_step(v, st, err);
		if (r < 0)
			return r;
		json_t *o = json_object();
		set(o, "view", json_string(view->name));
		set(o, "class", json_string(class));
		set(o, "rows", json_count(st, 0));
		sqlite3_reset(st);
		r = give(o, emit, context);
	}
	return r < 0 ? r : 0;
}

int vgm_view_row_counts(
    struct vgm_views *v, vgm_view_emit *emit, void *context, struct vgm_err *err)
{
	static const char sql[] = "SELECT m.state, count(*) FROM open o CROSS JOIN mail m"
				  " ON m.seq = o.seq GROUP BY m.state";
	sqlite3_stmt *st;
	int r = vgm_views_statement(v, sql, &st, err);
	if (r < 0)
		return r;
	json_t *o = json_object();
	for (int state = VGM_VIEW_QUEUED; state < VGM_VIEW_STATE_COUNT; state++)
		set(o, vgm_view_state_name(state), json_integer(0));
	while ((r = vgm_views_step(v, st, err)) == 1)
		set(o, vgm_view_state_name(sqlite3_column_int(st, 0)), json_count(st, 1));
	if (r < 0) {
		json_decref(o);
		return r;
	}
	return give(o, emit, context);
}
