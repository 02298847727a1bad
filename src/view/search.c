/* SPDX-License-Identifier: EUPL-1.2
 * view/search.c — finds messages by their envelopes. There is no index but the
 * order of time: the newest messages are looked at first, a fixed number in one
 * step (see doc/views.md for what that costs, and why an index would cost more). */
#include "base/buf.h"
#include "view/query.h"

#include <sqlite3.h>

#define SPAN 20000    /* sequences looked at in one step */
#define FOUND_MAX 100 /* and found */

struct vgm_view_search {
	struct vgm_view_filter filter;	/* slices point into the patterns below */
	struct vgm_buf from, to, party; /* as patterns of LIKE */
	size_t limit, count;
	uint64_t next; /* ALL: sequences below it are left; else: above it */
	bool started, more;
};

/* ?1, ?2: sequences above and below; ?3 to ?10: the filter. A state is asked of
 * the message first, since most have one recipient. */
#define CONDITIONS                                                                                 \
	" AND (?3 IS NULL OR m.id BETWEEN ?3 AND ?4)"                                              \
	" AND (?8 IS NULL OR m.time >= ?8) AND (?9 IS NULL OR m.time < ?9)"                        \
	" AND (?10 IS NULL OR (1 << m.state) & ?10 OR EXISTS(SELECT 1 FROM recipient r"            \
	"      WHERE r.seq = m.seq AND (1 << r.state) & ?10))"                                     \
	" AND (?5 IS NULL OR m.sender LIKE ?5 ESCAPE '\\')"                                        \
	" AND (?6 IS NULL OR EXISTS(SELECT 1 FROM recipient r"                                     \
	"      WHERE r.seq = m.seq AND r.address LIKE ?6 ESCAPE '\\'))"                            \
	" AND (?7 IS NULL OR m.sender LIKE ?7 ESCAPE '\\' OR EXISTS(SELECT 1 FROM recipient r"     \
	"      WHERE r.seq = m.seq AND r.address LIKE ?7 ESCAPE '\\'))"

static const char sql_all[] = "SELECT m.seq FROM mail m WHERE m.seq > ?1 AND m.seq < ?2" CONDITIONS
			      " ORDER BY m.seq DESC LIMIT ?11";
#define FROM_TABLE(table, also)                                                                    \
	"SELECT m.seq FROM " table " o CROSS JOIN mail m ON m.seq = o.seq"                         \
	" WHERE o.seq > ?1 AND o.seq < ?2" also CONDITIONS " ORDER BY o.seq LIMIT ?11"
static const char sql_queue[] = FROM_TABLE("open", "");
static const char sql_quarantine[] = FROM_TABLE("held", "");
static const char sql_waiting[] = FROM_TABLE("open", " AND m.state < 10");
_Static_assert(VGM_VIEW_HELD == 10, "as the statement has it");

/* ---- life cycle ---- */

static void make_pattern(struct vgm_buf *out, struct vgm_slice text)
{
	int r = 0;
	vgm_buf_init(out, 2 * VGM_VIEW_TERM_BYTES + 2);
	if (text.len == 0)
		return;
	r |= vgm_buf_add_byte(out, '%');
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] == '%' || text.data[i] == '_' || text.data[i] == '\\')
			r |= vgm_buf_add_byte(out, '\\');
		r |= vgm_buf_add_byte(out, text.data[i]);
	}
	r |= vgm_buf_add_byte(out, '%');
	VGM_BUG_ON(r < 0); /* the filter's terms are short enough */
}

struct vgm_view_search *vgm_view_search_new(const struct vgm_view_filter *filter, size_t limit)
{
	struct vgm_view_search *s = vgm_alloc(sizeof *s);
	s->filter = *filter;
	s->limit = limit;
	make_pattern(&s->from, filter->from);
	make_pattern(&s->to, filter->to);
	make_pattern(&s->party, filter->party);
	s->filter.from = s->filter.to = s->filter.party = VGM_SLICE_NONE;
	return s;
}

void vgm_view_search_free(struct vgm_view_search **search)
{
	if (!*search)
		return;
	vgm_buf_release(&(*search)->from);
	vgm_buf_release(&(*search)->to);
	vgm_buf_release(&(*search)->party);
	vgm_free(*search);
	*search = NULL;
}

size_t vgm_view_search_count(const struct vgm_view_search *s)
{
	return s->count;
}

bool vgm_view_search_more(const struct vgm_view_search *s)
{
	return s->more;
}

/* ---- one step ---- */

static void bind(
    sqlite3_stmt *st, const struct vgm_view_search *s, uint64_t above, uint64_t below, size_t max)
{
	const struct vgm_view_filter *f = &s->filter;
	vgm_views_bind_u64(st, 1, above);
	vgm_views_bind_u64(st, 2, below);
	if (f->by_id) {
		vgm_views_bind_blob(st, 3, f->id_min, sizeof f->id_min);
		vgm_views_bind_blob(st, 4, f->id_max, sizeof f->id_max);
	}
	if (s->from.len)
		vgm_views_bind_text(st, 5, vgm_buf_slice(&s->from));
	if (s->to.len)
		vgm_views_bind_text(st, 6, vgm_buf_slice(&s->to));
	if (s->party.len)
		vgm_views_bind_text(st, 7, vgm_buf_slice(&s->party));
	if (f->after_ms)
		vgm_views_bind_u64(st, 8, f->after_ms);
	if (f->before_ms)
		vgm_views_bind_u64(st, 9, f->before_ms);
	if (f->states)
		vgm_views_bind_u64(st, 10, f->states);
	vgm_views_bind_u64(st, 11, max);
}

static int read_number(struct vgm_views *v, const char *sql, uint64_t argument, uint64_t *out,
    bool *out_there, struct vgm_err *err)
{
	sqlite3_stmt *st;
	int r = vgm_views_statement(v, sql, &st, err);
	if (r < 0)
		return r;
	vgm_views_bind_u64(st, 1, argument);
	r = vgm_views_step(v, st, err);
	if (r < 0)
		return r;
	*out_there = r == 1;
	if (r == 1)
		*out = vgm_views_column_u64(st, 0);
	sqlite3_reset(st);
	return 0;
}

/* ALL: where the next span ends; *out_done when nothing older can match. */
static int look_back(
    struct vgm_view_search *s, struct vgm_views *v, bool *out_done, struct vgm_err *err)
{
	static const char next[] = "SELECT seq FROM mail WHERE seq < ?1 ORDER BY seq DESC LIMIT 1";
	static const char when[] = "SELECT time FROM mail WHERE seq = ?1";
	uint64_t seq = 0, time = 0;
	bool there;
	int r = read_number(v, next, s->next, &seq, &there, err);
	if (r == 0 && there) {
		s->next = seq + 1;
		/* Ledger time never goes back: what is before it is older. */
		r = read_number(v, when, seq, &time, &there, err);
	}
	*out_done = r == 0 && (!there || time < s->filter.after_ms);
	return r;
}

static int collect(struct vgm_view_search *s, struct vgm_views *v, uint64_t found[FOUND_MAX],
    size_t *out_count, struct vgm_err *err)
{
	static const char *const sql[] = {
	    [VGM_VIEW_FROM_ALL] = sql_all,
	    [VGM_VIEW_FROM_QUEUE] = sql_queue,
	    [VGM_VIEW_FROM_QUARANTINE] = sql_quarantine,
	    [VGM_VIEW_FROM_WAITING] = sql_waiting,
	};
	bool back = s->filter.source == VGM_VIEW_FROM_ALL;
	/* One more than wanted shows whether there is more. */
	size_t max = vgm_min_size(FOUND_MAX, s->limit - s->count + 1), n = 0;
	uint64_t span = s->next > SPAN ? s->next - SPAN : 0;
	sqlite3_stmt *st;
	int r = vgm_views_statement(v, sql[s->filter.source], &st, err);
	if (r < 0)
		return r;
	/* Sequences begin at 0 and "above" excludes its own: 0 is bound as -1. */
	if (back)
		bind(st, s, span, s->next, max);
	else
		bind(st, s, s->next, INT64_MAX, max);
	if ((back && span == 0) || (!back && !s->started))
		VGM_BUG_ON(sqlite3_bind_int64(st, 1, -1) != SQLITE_OK);
	while ((r = vgm_views_step(v, st, err)) == 1 && n < FOUND_MAX)
		found[n++] = vgm_views_column_u64(st, 0);
	if (r < 0)
		return r;
	sqlite3_reset(st);
	/* A full step goes on behind the last one found, within the same span. */
	if (n == max)
		s->next = found[n - 1];
	else if (back)
		s->next = span + 1;
	s->started = true;
	*out_count = n;
	return n == max || (back && span > 0);
}

int vgm_view_search_step(struct vgm_view_search *s, struct vgm_views *v, vgm_view_found *found,
    void *context, struct vgm_err *err)
{
	uint64_t list[FOUND_MAX];
	size_t n = 0;
	bool done = false;
	int r = 0, go_on;
	if (s->filter.source == VGM_VIEW_FROM_ALL) {
		if (!s->started)
			s->next = INT64_MAX;
		r = look_back(s, v, &done, err);
	}
	if (r < 0 || done)
		return r;
	go_on = collect(s, v, list, &n, err);
	if (go_on < 0)
		return go_on;
	for (size_t i = 0; r == 0 && i < n && !s->more; i++) {
		if (s->count == s->limit) {
			s->more = true;
			break;
		}
		s->count++;
		r = found(context, list[i]);
	}
	return r < 0 ? r : go_on && !s->more;
}

int vgm_view_locate(
    struct vgm_views *v, uint64_t sequence, struct vgm_view_spot *out, struct vgm_err *err)
{
	static const char sql[] = "SELECT id, segment, offset, state FROM mail WHERE seq = ?1";
	sqlite3_stmt *st;
	int r = vgm_views_statement(v, sql, &st, err);
	if (r < 0)
		return r;
	vgm_views_bind_u64(st, 1, sequence);
	r = vgm_views_step(v, st, err);
	if (r == 0)
		return vgm_err_set(err, VGM_E_NOTFOUND, "views: no such message");
	if (r < 0)
		return r;
	struct vgm_slice id = vgm_views_column(st, 0);
	if (id.len != sizeof out->id) {
		sqlite3_reset(st);
		return vgm_err_set(err, VGM_E_CORRUPT, "views: an id of a wrong length");
	}
	memcpy(out->id, id.data, id.len);
	out->segment = vgm_views_column_u64(st, 1);
	out->offset = vgm_views_column_u64(st, 2);
	out->state = sqlite3_column_int(st, 3);
	sqlite3_reset(st);
	return 0;
}
