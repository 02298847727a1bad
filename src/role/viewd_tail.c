/* SPDX-License-Identifier: EUPL-1.2
 * role/viewd_tail.c — see viewd_tail.h.
 *
 * A follower is a store and a reader that stand at the same place of the ledger.
 * There is one behind the views that answer, and during a rebuild a second one
 * behind new views, which starts from nothing; when both stand at the same place
 * the new file takes the old one's. Neither ever delays mail: ledgerd only
 * learns how far the views have come, and puts new mail off when that is too
 * far behind (rule 11). */
#include "role/viewd_tail.h"

#include "base/clock.h"
#include "ledger/reader.h"
#include "ledger/seal.h"
#include "log/log.h"
#include "role/viewd_keys.h"

#define VIEWS_FILE "state.db"
#define REBUILT_FILE "state.db.new"

#define BATCH_MS 500	   /* from a record's sync to its rows */
#define BATCH_RECORDS 400  /* or so many, about 200 mails */
#define SLICE_RECORDS 5000 /* in one transaction while catching up */
#define SLICE_MS 100
#define FRESHEN_MS 200
#define RETRY_MS 1000	      /* after the disk or a key was refused */
#define FORGET_FIRST_MS 60000 /* looks for days that have been closed */
#define FORGET_EVERY_MS 3600000
#define FORGET_MESSAGES 2000 /* in one transaction */
#define DAY_US 86400000000ull
#define WINDOW_DAYS_MIN 2 /* no key of a younger day is ever destroyed */

enum follow {
	FOLLOW_DONE,  /* stands at the end */
	FOLLOW_MORE,  /* the slice was over */
	FOLLOW_WAITS, /* for a key */
	FOLLOW_FAILED,
};

struct follower {
	struct vgm_views *views;
	struct vgm_reader *reader;
	struct vgm_view_place place; /* applied so far, committed or not */
};

struct vgm_viewd_tail {
	struct vgm_role_run *run;
	struct vgm_viewd_keys *keys;
	struct follower live, rebuilt; /* rebuilt.views is NULL when there is none */
	struct vgm_views *read;
	struct vgm_view_place synced;
	struct vgm_timer *work, *batch, *forget;
	bool due;	    /* live has something to do now, not only at the batch's time */
	bool rebuilt_waits; /* for a key */
	bool forgetting;    /* forget_day is closed and has messages left */
	bool forget_asked;
	uint32_t forget_day;
	void (*rebuilt_done)(void *context, int result);
	void *rebuilt_context;
	struct vgm_buf plain;
	struct vgm_arena arena;
};

static void log_err(enum vgm_log_level level, const char *event, const struct vgm_err *err)
{
	struct vgm_log_line line;
	vgm_log_start(&line, level, event);
	vgm_log_err(&line, err);
	vgm_log_end(&line);
}

static void log_place(enum vgm_log_level level, const char *event, struct vgm_view_place place)
{
	struct vgm_log_line line;
	vgm_log_start(&line, level, event);
	vgm_log_u64(&line, "records", place.tree_size);
	vgm_log_u64(&line, "segment", place.segment);
	vgm_log_u64(&line, "offset", place.offset);
	vgm_log_end(&line);
}

/* ---- followers ---- */

static void follow_from(struct follower *f, struct vgm_view_place place)
{
	f->place = place;
	vgm_reader_seek(f->reader, (struct vgm_ledger_place){place.segment, place.offset});
}

static void follower_init(struct follower *f, struct vgm_views *views, int ledger_fd)
{
	f->views = views;
	f->reader = vgm_reader_new(ledger_fd);
	follow_from(f, vgm_views_place(views));
}

static void follower_release(struct follower *f)
{
	vgm_reader_free(&f->reader);
	vgm_views_close(&f->views);
}

/* Opens the store; one that is damaged is made anew, from the ledger. */
static int open_views(const char *path, struct vgm_views **out, struct vgm_err *err)
{
	int r = vgm_views_open(path, out, err);
	if (r != VGM_E_CORRUPT)
		return r;
	log_err(VGM_LOG_ERROR, "views_damaged", err);
	r = vgm_views_drop(path, err);
	return r < 0 ? r : vgm_views_open(path, out, err);
}

/* ---- keys ---- */

static void ask(struct vgm_viewd_tail *t, uint32_t day)
{
	struct vgm_channel *keyd = vgm_role_peer(t->run, VGM_ROLE_KEYD, VGM_INSTANCE_ONLY);
	struct vgm_msg_lend lend = {.kind = VGM_LENT_ROUTING, .day = day};
	/* Without keyd: asked again when it comes. */
	if (keyd && vgm_channel_send(keyd, VGM_MSG_lend, &lend) == 0)
		vgm_viewd_keys_set(t->keys, day, VGM_VIEWD_KEY_ASKED, NULL);
}

/* keyd refuses keys that it has destroyed. For a day that cannot be over yet
 * that is a fault, and what waits for the key goes on waiting. */
static bool may_be_closed(uint32_t day)
{
	return day + WINDOW_DAYS_MIN <= vgm_clock_wall_us() / DAY_US;
}

/* ---- one record ---- */

struct opened {
	union {
		struct vgm_msg_routing mail;
		struct vgm_msg_outcome_facts outcome;
		struct vgm_msg_event_facts event;
	} facts;
	enum vgm_msg_type type;
};

static enum vgm_msg_type facts_of(uint8_t record_type)
{
	switch (record_type) {
	case VGM_RECORD_MAIL:
	case VGM_RECORD_NOTICE:
		return VGM_MSG_routing;
	case VGM_RECORD_OUTCOME:
		return VGM_MSG_outcome_facts;
	default:
		return VGM_MSG_event_facts;
	}
}

static int open_facts(struct vgm_viewd_tail *t, const struct vgm_reader_entry *got,
    const uint8_t *key, struct opened *out, struct vgm_err *err)
{
	struct vgm_seal_name name = {.key = key,
	    .id = got->record.id,
	    .entity = got->record.entity,
	    .part = VGM_PART_ROUTING};
	vgm_buf_clear(&t->plain);
	vgm_arena_clear(&t->arena);
	int r = vgm_unseal(&name, got->routing, &t->plain, err);
	if (r < 0)
		return r;
	out->type = facts_of(got->record.type);
	return vgm_msg_decode(
	    out->type, vgm_buf_slice(&t->plain), NULL, &t->arena, &out->facts, err);
}

static int apply(struct vgm_viewd_tail *t, struct follower *f, const struct vgm_reader_entry *got,
    const uint8_t *key, struct vgm_err *err)
{
	struct vgm_view_entry entry = {
	    .record = &got->record, .segment = got->at.segment, .offset = got->at.offset};
	struct opened opened;
	if (key) {
		int r = open_facts(t, got, key, &opened, err);
		if (r < 0) {
			/* The views go on without it; `vgm verify` says whether the
			 * ledger is whole. */
			log_err(VGM_LOG_ERROR, "routing_part_unreadable", err);
		} else if (opened.type == VGM_MSG_routing) {
			entry.mail = &opened.facts.mail;
		} else if (opened.type == VGM_MSG_outcome_facts) {
			entry.outcome = &opened.facts.outcome;
		} else {
			entry.event = &opened.facts.event;
		}
	}
	int r = vgm_views_apply(f->views, &entry, err);
	if (r == 0)
		f->place = (struct vgm_view_place){
		    got->next.segment, got->next.offset, got->record.sequence + 1};
	return r;
}

/* Reads and applies one record. */
static enum follow follow_one(
    struct vgm_viewd_tail *t, struct follower *f, struct vgm_view_place end, struct vgm_err *err)
{
	struct vgm_reader_entry got;
	const uint8_t *key = NULL;
	int r = vgm_reader_next(
	    f->reader, (struct vgm_ledger_place){end.segment, end.offset}, &got, err);
	if (r <= 0)
		return r < 0 ? FOLLOW_FAILED : FOLLOW_DONE;
	if (got.routing.len) {
		enum vgm_viewd_key state = vgm_viewd_keys_get(t->keys, got.record.day, &key);
		if (state == VGM_VIEWD_KEY_UNKNOWN)
			ask(t, got.record.day);
		if (state == VGM_VIEWD_KEY_UNKNOWN || state == VGM_VIEWD_KEY_ASKED)
			return FOLLOW_WAITS;
	}
	return apply(t, f, &got, key, err) < 0 ? FOLLOW_FAILED : FOLLOW_MORE;
}

/* One transaction: up to end, or as much as fits in a slice. */
static enum follow follow(
    struct vgm_viewd_tail *t, struct follower *f, struct vgm_view_place end, struct vgm_err *err)
{
	uint64_t stop = vgm_clock_mono_ms() + SLICE_MS;
	enum follow result = FOLLOW_MORE;
	if (f->place.tree_size == end.tree_size)
		return FOLLOW_DONE;
	if (vgm_views_begin(f->views, err) < 0)
		return FOLLOW_FAILED;
	for (size_t i = 0; result == FOLLOW_MORE && i < SLICE_RECORDS; i++) {
		result = follow_one(t, f, end, err);
		if (i % 64 == 63 && vgm_clock_mono_ms() >= stop)
			break;
	}
	bool changed = f->place.tree_size != vgm_views_place(f->views).tree_size;
	int r = 0;
	if (result != FOLLOW_FAILED && changed)
		r = vgm_views_commit(f->views, f->place, err);
	else
		vgm_views_rollback(f->views);
	if (result == FOLLOW_FAILED || r < 0 || result == FOLLOW_WAITS)
		follow_from(f, vgm_views_place(f->views));
	return r < 0 ? FOLLOW_FAILED : result;
}

/* ---- the views that answer ---- */

static void tell_ledgerd(struct vgm_viewd_tail *t)
{
	struct vgm_channel *ledgerd = vgm_role_peer(t->run, VGM_ROLE_LEDGERD, VGM_INSTANCE_ONLY);
	struct vgm_msg_viewed viewed = {.tree_size = vgm_views_place(t->live.views).tree_size};
	/* A ledgerd that does not keep up, or is away, hears it from the next batch. */
	if (ledgerd && vgm_channel_send(ledgerd, VGM_MSG_viewed, &viewed) < 0)
		log_place(VGM_LOG_WARNING, "viewed_not_sent", vgm_views_place(t->live.views));
}

/* New, empty views in the place of what is there. They cannot do without. */
static void start_over(struct vgm_viewd_tail *t)
{
	struct vgm_err err = {.code = 0};
	vgm_views_close(&t->read);
	follower_release(&t->live);
	struct vgm_views *views = NULL;
	int r = vgm_views_drop(VIEWS_FILE, &err);
	if (r == 0)
		r = vgm_views_open(VIEWS_FILE, &views, &err);
	if (r < 0)
		vgm_fatal("viewd: the views cannot be made anew: %s", err.text);
	follower_init(&t->live, views, t->run->ledger_fd);
	vgm_timer_in(t->batch, 0);
}

static void follow_live(struct vgm_viewd_tail *t)
{
	struct vgm_err err = {.code = 0};
	uint64_t before = vgm_views_place(t->live.views).tree_size;
	enum follow result = follow(t, &t->live, t->synced, &err);
	if (result == FOLLOW_FAILED) {
		log_err(VGM_LOG_ERROR, "views_stand_still", &err);
		if (err.code == VGM_E_CORRUPT && strncmp(err.text, "views:", 6) == 0)
			start_over(t);
	}
	if (vgm_views_place(t->live.views).tree_size != before)
		tell_ledgerd(t);
	if (result == FOLLOW_DONE && t->live.place.tree_size != t->synced.tree_size)
		log_place(VGM_LOG_ERROR, "ledger_shorter_than_said", t->live.place);
	t->due = result == FOLLOW_MORE;
	if (result == FOLLOW_FAILED)
		vgm_timer_in(t->batch, RETRY_MS);
}

/* ---- a rebuild ---- */

static void rebuild_over(struct vgm_viewd_tail *t, int result, const struct vgm_err *err)
{
	struct vgm_err dropped;
	void (*done)(void *, int) = t->rebuilt_done;
	follower_release(&t->rebuilt);
	if (result < 0) {
		log_err(VGM_LOG_ERROR, "rebuild_failed", err);
		if (vgm_views_drop(REBUILT_FILE, &dropped) < 0)
			log_err(VGM_LOG_WARNING, "rebuild_left_behind", &dropped);
	} else {
		log_place(VGM_LOG_INFO, "views_rebuilt", t->live.place);
	}
	t->rebuilt_done = NULL;
	done(t->rebuilt_context, result);
}

static void take_over(struct vgm_viewd_tail *t)
{
	struct vgm_err err = {.code = 0};
	struct vgm_views *views = NULL;
	vgm_views_close(&t->read);
	follower_release(&t->live);
	follower_release(&t->rebuilt);
	int r = vgm_views_replace(VIEWS_FILE, REBUILT_FILE, &err);
	if (r == 0)
		r = vgm_views_open(VIEWS_FILE, &views, &err);
	if (r < 0)
		vgm_fatal("viewd: the new views cannot take their place: %s", err.text);
	follower_init(&t->live, views, t->run->ledger_fd);
	rebuild_over(t, 0, NULL);
}

static void follow_rebuilt(struct vgm_viewd_tail *t)
{
	struct vgm_err err = {.code = 0};
	switch (follow(t, &t->rebuilt, vgm_views_place(t->live.views), &err)) {
	case FOLLOW_DONE:
		take_over(t);
		break;
	case FOLLOW_MORE:
		break;
	case FOLLOW_WAITS:
		t->rebuilt_waits = true;
		break;
	case FOLLOW_FAILED:
		rebuild_over(t, err.code, &err);
		break;
	}
}

int vgm_viewd_tail_rebuild(struct vgm_viewd_tail *t, void (*done)(void *context, int result),
    void *context, struct vgm_err *err)
{
	struct vgm_views *views = NULL;
	if (t->rebuilt.views)
		return vgm_err_set(err, VGM_E_BUSY, "views: a rebuild is under way");
	int r = vgm_views_drop(REBUILT_FILE, err);
	if (r == 0)
		r = vgm_views_open(REBUILT_FILE, &views, err);
	if (r < 0)
		return r;
	follower_init(&t->rebuilt, views, t->run->ledger_fd);
	t->rebuilt_waits = false;
	t->rebuilt_done = done;
	t->rebuilt_context = context;
	vgm_timer_in(t->work, 0);
	return 0;
}

/* ---- the end of the window ---- */

static void look_for_closed_day(void *context)
{
	struct vgm_viewd_tail *t = context;
	struct vgm_err err;
	vgm_timer_in(t->forget, FORGET_EVERY_MS);
	if (t->forgetting || vgm_views_oldest_day(t->live.views, &t->forget_day, &err) < 0 ||
	    !may_be_closed(t->forget_day))
		return;
	/* The key in our table may have been destroyed since: only keyd knows. */
	t->forget_asked = true;
	ask(t, t->forget_day);
}

static void forget_some(struct vgm_viewd_tail *t)
{
	struct vgm_err err = {.code = 0};
	size_t count = 0;
	int r = vgm_views_forget(t->live.views, t->forget_day, FORGET_MESSAGES, &count, &err);
	if (r < 0) {
		log_err(VGM_LOG_ERROR, "views_keep_closed_day", &err);
		t->forgetting = false;
		return;
	}
	t->forgetting = count > 0;
	if (!t->forgetting)
		look_for_closed_day(t); /* the next one */
}

/* ---- work, one slice at a time: the live views go first ---- */

static void work(void *context)
{
	struct vgm_viewd_tail *t = context;
	if (t->due)
		follow_live(t);
	else if (t->rebuilt.views && !t->rebuilt_waits)
		follow_rebuilt(t);
	else if (t->forgetting)
		forget_some(t);
	if (!vgm_timer_is_set(t->work) &&
	    (t->due || (t->rebuilt.views && !t->rebuilt_waits) || t->forgetting))
		vgm_timer_in(t->work, 0);
}

static void work_now(struct vgm_viewd_tail *t)
{
	t->due = true;
	vgm_timer_in(t->work, 0);
}

static void batch_over(void *context)
{
	work_now(context);
}

void vgm_viewd_tail_synced(struct vgm_viewd_tail *t, const struct vgm_msg_synced *synced)
{
	t->synced = (struct vgm_view_place){synced->segment, synced->offset, synced->tree_size};
	uint64_t have = t->live.place.tree_size;
	if (have > t->synced.tree_size) {
		/* The ledger was restored from a copy that is older than the views. */
		log_place(VGM_LOG_ERROR, "views_ahead_of_ledger", t->live.place);
		start_over(t);
		have = 0;
	}
	if (t->synced.tree_size - have >= BATCH_RECORDS)
		work_now(t);
	else if (t->synced.tree_size > have && !vgm_timer_is_set(t->batch))
		vgm_timer_in(t->batch, BATCH_MS);
}

void vgm_viewd_tail_lent(struct vgm_viewd_tail *t, const struct vgm_msg_lent *lent)
{
	struct vgm_log_line line;
	if (lent->kind != VGM_LENT_ROUTING)
		return;
	if (lent->ok) {
		vgm_viewd_keys_set(t->keys, lent->day, VGM_VIEWD_KEY_HERE, lent->key);
	} else if (may_be_closed(lent->day)) {
		vgm_viewd_keys_set(t->keys, lent->day, VGM_VIEWD_KEY_CLOSED, NULL);
	} else {
		vgm_viewd_keys_set(t->keys, lent->day, VGM_VIEWD_KEY_UNKNOWN, NULL);
		vgm_log_start(&line, VGM_LOG_ERROR, "routing_key_refused");
		vgm_log_u64(&line, "day", lent->day);
		vgm_log_end(&line);
		vgm_timer_in(t->batch, RETRY_MS);
		return;
	}
	if (t->forget_asked && lent->day == t->forget_day) {
		t->forget_asked = false;
		t->forgetting = !lent->ok;
	}
	t->rebuilt_waits = false;
	work_now(t);
}

void vgm_viewd_tail_keyd_came(struct vgm_viewd_tail *t)
{
	vgm_viewd_keys_unask(t->keys);
	t->rebuilt_waits = false;
	work_now(t);
}

/* ---- for people ---- */

void vgm_viewd_tail_freshen(struct vgm_viewd_tail *t)
{
	uint64_t stop = vgm_clock_mono_ms() + FRESHEN_MS;
	do
		if (t->live.place.tree_size != t->synced.tree_size)
			follow_live(t);
	while (t->due && vgm_clock_mono_ms() < stop);
	if (t->due)
		work_now(t);
}

struct vgm_views *vgm_viewd_tail_read(struct vgm_viewd_tail *t)
{
	struct vgm_err err = {.code = 0};
	if (!t->read && vgm_views_open_read(VIEWS_FILE, &t->read, &err) < 0)
		log_err(VGM_LOG_ERROR, "views_unreadable", &err);
	return t->read;
}

struct vgm_viewd_status vgm_viewd_tail_status(const struct vgm_viewd_tail *t)
{
	return (struct vgm_viewd_status){
	    .views = vgm_views_place(t->live.views),
	    .synced = t->synced,
	    .rebuilding = t->rebuilt.views != NULL,
	    .rebuilt = t->rebuilt.views ? t->rebuilt.place.tree_size : 0,
	};
}

/* ---- life cycle ---- */

int vgm_viewd_tail_new(struct vgm_role_run *run, struct vgm_viewd_tail **out, struct vgm_err *err)
{
	struct vgm_views *views = NULL;
	int r = vgm_views_drop(REBUILT_FILE, err);
	if (r == 0)
		r = open_views(VIEWS_FILE, &views, err);
	if (r < 0)
		return r;
	struct vgm_viewd_tail *t = vgm_alloc(sizeof *t);
	t->run = run;
	t->keys = vgm_viewd_keys_new();
	vgm_buf_init(&t->plain, 65536);
	t->arena = (struct vgm_arena)VGM_ARENA_INIT(1u << 20);
	follower_init(&t->live, views, run->ledger_fd);
	t->synced = t->live.place;
	t->work = vgm_timer_new(run->loop, "views", work, t);
	t->batch = vgm_timer_new(run->loop, "batch", batch_over, t);
	t->forget = vgm_timer_new(run->loop, "forget", look_for_closed_day, t);
	vgm_timer_in(t->forget, FORGET_FIRST_MS);
	*out = t;
	return 0;
}

void vgm_viewd_tail_free(struct vgm_viewd_tail **tail)
{
	struct vgm_viewd_tail *t = *tail;
	if (!t)
		return;
	vgm_timer_free(&t->work);
	vgm_timer_free(&t->batch);
	vgm_timer_free(&t->forget);
	vgm_views_close(&t->read);
	follower_release(&t->live);
	follower_release(&t->rebuilt);
	vgm_viewd_keys_free(&t->keys);
	vgm_buf_release(&t->plain);
	vgm_arena_release(&t->arena);
	vgm_free(t);
	*tail = NULL;
}
