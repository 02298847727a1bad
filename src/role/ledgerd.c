/* SPDX-License-Identifier: EUPL-1.2
 * role/ledgerd.c — the sole writer of the ledger, and the delivery schedule in
 * memory. It sees envelopes of the open window and ciphertext; never subjects,
 * bodies or message keys; no SQLite, no network. It blocks on nobody but the
 * disk (rules 4, 5, 11, 13). See ledgerd.h for its files.
 *
 * Group commit: what arrives while the disk syncs waits in the sockets, and the
 * next round writes and syncs it all together. */
#include "role/ledgerd.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <unistd.h>

#include "base/clock.h"
#include "ledger/checkpoint.h"
#include "ledger/hash.h"
#include "ledger/seal.h"
#include "os/file.h"
#include "os/memfd.h"

#define DAY_US 86400000000ull
#define WINDOW_DAYS_MIN 2 /* no key of a younger day is ever destroyed */
#define SYNC_MS 100	  /* outcomes are durable after this, mail or not (rule 13) */
#define TOLD_MS 50	  /* between two SYNCED to viewd */
#define HOUSEKEEPING_MS 1000
#define GROUP_MAILS 12u
#define LAST_CHECKPOINT_MS 2000
#define GROUP_WAIT_US 2000u
#define SNAPSHOT_EVERY_MS (10u * 60 * 1000)
#define DEAD_MS 30000 /* refuses mail so long, then starts anew and recovers */
#define DIRECTORY_MAX ((size_t)256 << 20)

uint64_t vgm_ledgerd_run_ms(const struct vgm_ledgerd *l)
{
	return l->run_base_ms + (vgm_clock_mono_ms() - l->mono_start_ms);
}

void vgm_ledgerd_log(enum vgm_log_level level, const char *event, const struct vgm_err *err)
{
	struct vgm_log_line line;
	vgm_log_start(&line, level, event);
	if (err)
		vgm_log_err(&line, err);
	vgm_log_end(&line);
}

void vgm_ledgerd_again(struct vgm_ledgerd *l)
{
	vgm_timer_in(l->work, 0);
}

/* ---- how far viewd is told, and how far it is ---- */

static void tell_viewd(void *context)
{
	struct vgm_ledgerd *l = context;
	struct vgm_channel *viewd = vgm_role_peer(l->run, VGM_ROLE_VIEWD, VGM_INSTANCE_ONLY);
	struct vgm_ledger_place place = vgm_writer_synced_place(l->writer);
	struct vgm_msg_synced m = {.segment = place.segment,
	    .offset = place.offset,
	    .tree_size = vgm_writer_synced_size(l->writer)};
	if (!viewd || m.tree_size == l->told_size ||
	    vgm_channel_send(viewd, VGM_MSG_synced, &m) < 0)
		return;
	l->told_size = m.tree_size;
	l->told_ms = vgm_clock_mono_ms();
}

static void tell_viewd_soon(struct vgm_ledgerd *l)
{
	uint64_t since = vgm_clock_mono_ms() - l->told_ms;
	if (since >= TOLD_MS)
		tell_viewd(l);
	else if (!vgm_timer_is_set(l->told))
		vgm_timer_in(l->told, TOLD_MS - since);
}

/* A mark stands where the ledger was when the views were seen behind; how long
 * they need to reach it is their lag. */
static void measure_lag(struct vgm_ledgerd *l)
{
	uint64_t size = vgm_writer_synced_size(l->writer);
	if (l->mark_size && l->viewed_size < l->mark_size)
		return;
	l->mark_size = l->viewed_size < size ? size : 0;
	l->mark_ms = vgm_clock_mono_ms();
	l->mark_bytes = l->bytes;
}

/* ---- rounds ---- */

static void check_fault(struct vgm_ledgerd *l)
{
	const struct vgm_err *fault = vgm_writer_fault(l->writer);
	if (!fault || fault->code == VGM_E_CORRUPT || vgm_timer_is_set(l->dead))
		return;
	vgm_ledgerd_log(VGM_LOG_ERROR, "ledger_cannot_be_written", fault);
	vgm_timer_in(l->dead, DEAD_MS);
}

void vgm_ledgerd_settle(struct vgm_ledgerd *l)
{
	vgm_ledgerd_append_settle(l);
	vgm_ledgerd_facts_settle(l);
	vgm_ledgerd_leaves_settle(l);
	check_fault(l);
	if (vgm_writer_synced_size(l->writer) != l->told_size)
		tell_viewd_soon(l);
	measure_lag(l);
	vgm_ledgerd_snapshot_consider(l);
}

void vgm_ledgerd_sync(struct vgm_ledgerd *l)
{
	struct vgm_err err = {.code = 0};
	vgm_timer_off(l->sync);
	if (vgm_writer_sync(l->writer, &err) < 0 && err.code != VGM_E_CORRUPT)
		vgm_ledgerd_log(VGM_LOG_ERROR, "sync_failed", &err);
	vgm_ledgerd_settle(l);
}

/* Outcomes are framed at once, so that relayd may go on, and synced with the
 * next mail or soon. */
static void frame_facts(struct vgm_ledgerd *l)
{
	struct vgm_err err = {.code = 0};
	if (vgm_writer_is_synced(l->writer))
		return;
	if (vgm_writer_frame(l->writer, &err) < 0) {
		vgm_ledgerd_log(VGM_LOG_ERROR, "frame_failed", &err);
		vgm_ledgerd_settle(l);
		return;
	}
	vgm_ledgerd_facts_framed(l);
	if (!vgm_timer_is_set(l->sync))
		vgm_timer_in(l->sync, SYNC_MS);
}

/* On a fast disk a sync is over before the next mail of a busy door is there, and
 * each would cost one. Where others are known to be on their way, the sync waits
 * for them, up to GROUP_WAIT_US; a mail alone never waits. */
static bool company_is_coming(struct vgm_ledgerd *l)
{
	size_t wanted = vgm_min_size(l->pending_company, GROUP_MAILS);
	if (l->pending_count >= wanted ||
	    vgm_clock_mono_us() - l->pending_since_us >= GROUP_WAIT_US)
		return false;
	if (!vgm_timer_is_set(l->group))
		vgm_timer_in(l->group, 1);
	return true;
}

static void commit(struct vgm_ledgerd *l)
{
	(void)vgm_ledgerd_facts_write(l);
	if (l->pending_count && !company_is_coming(l))
		vgm_ledgerd_sync(l);
	else
		frame_facts(l);
}

static void round_over(void *context)
{
	struct vgm_ledgerd *l = context;
	bool more = vgm_ledgerd_tiles_some(l);
	if (l->replay)
		vgm_ledgerd_replay_some(l);
	commit(l);
	vgm_ledgerd_deliver(l);
	vgm_ledgerd_notices_send(l);
	if (vgm_ledgerd_facts_wait(l)) /* made by the delivery just now */
		commit(l);
	if (more)
		vgm_ledgerd_again(l);
}

static void work_due(void *context)
{
	(void)context; /* the round that follows does it */
}

/* The round that follows does it. */
static void group_due(void *context)
{
	(void)context;
}

static void sync_due(void *context)
{
	vgm_ledgerd_sync(context);
}

static void checkpoint_due(void *context)
{
	struct vgm_ledgerd *l = context;
	vgm_ledgerd_checkpoint(l);
	vgm_timer_in(l->checkpoint, l->run->conf.checkpoint_every);
}

static void dead(void *context)
{
	struct vgm_ledgerd *l = context;
	vgm_fatal("ledgerd starts anew: %s", vgm_writer_fault(l->writer)->text);
}

/* The doors turn mail away at its announcement when there is no room for it. They
 * hear when the room has changed by an eighth: near its end that is often. */
static void tell_room(struct vgm_ledgerd *l)
{
	struct vgm_msg_room m = {
	    .bytes = vgm_writer_fault(l->writer) ? 0 : vgm_writer_room(l->writer)};
	uint64_t change = m.bytes > l->told_room ? m.bytes - l->told_room : l->told_room - m.bytes;
	if (change <= l->told_room / 8)
		return;
	l->told_room = m.bytes;
	vgm_channel_offer(l->run->master, VGM_MSG_room, &m);
}

/* What no event brings about: spares, retries, the day's key, an old snapshot. */
static void housekeeping(void *context)
{
	struct vgm_ledgerd *l = context;
	struct vgm_err err = {.code = 0};
	if (vgm_writer_prepare(l->writer, &err) < 0)
		vgm_ledgerd_log(VGM_LOG_WARNING, "no_spare_segments", &err);
	(void)vgm_ledgerd_key(l, (uint32_t)(vgm_clock_wall_us() / DAY_US));
	vgm_ledgerd_append_key_came(l);
	tell_room(l);
	if (vgm_clock_mono_ms() - l->snapshot_ms >= SNAPSHOT_EVERY_MS &&
	    l->snapshot_size != vgm_writer_synced_size(l->writer))
		(void)vgm_ledgerd_snapshot_write(l);
	vgm_timer_in(l->housekeeping, HOUSEKEEPING_MS);
}

/* A stop leaves no record that no signed checkpoint covers, where keyd answers. */
static void last_checkpoint(struct vgm_ledgerd *l)
{
	vgm_ledgerd_checkpoint(l);
	if (l->asked_size == 0)
		vgm_role_done(l->run);
}

static void end_due(void *context)
{
	struct vgm_ledgerd *l = context;
	vgm_role_done(l->run);
}

/* ---- messages ---- */

static void lent(struct vgm_ledgerd *l, const struct vgm_msg_lent *m)
{
	uint32_t today = (uint32_t)(vgm_clock_wall_us() / DAY_US);
	if (m->kind != VGM_LENT_ROUTING)
		return;
	if (m->ok) {
		vgm_viewd_keys_set(l->keys, m->day, VGM_VIEWD_KEY_HERE, m->key);
	} else if (m->day + WINDOW_DAYS_MIN <= today) {
		vgm_viewd_keys_set(l->keys, m->day, VGM_VIEWD_KEY_CLOSED, NULL);
	} else {
		/* It cannot be destroyed yet: asked again, what needs it waits. */
		vgm_viewd_keys_set(l->keys, m->day, VGM_VIEWD_KEY_UNKNOWN, NULL);
		vgm_ledgerd_log(VGM_LOG_ERROR, "routing_key_refused", NULL);
		return;
	}
	vgm_ledgerd_append_key_came(l);
	vgm_ledgerd_again(l);
}

static void worker(struct vgm_ledgerd *l, struct vgm_channel *from, struct vgm_msg_worker *m)
{
	VGM_BUG_ON(m->pool != (uint8_t)vgm_channel_peer(from) || m->channel < 0);
	(void)vgm_role_adopt(l->run, m->channel, vgm_channel_peer(from), VGM_INSTANCE_WORKER);
	m->channel = -1;
}

static void message(struct vgm_role_run *run, struct vgm_channel *from, int type, void *m)
{
	struct vgm_ledgerd *l = run->state;
	switch (type) {
	case VGM_MSG_worker:
		worker(l, from, m);
		break;
	case VGM_MSG_append:
		vgm_ledgerd_append(l, from, m);
		break;
	case VGM_MSG_outcomes:
		vgm_ledgerd_outcomes(l, m);
		break;
	case VGM_MSG_lent:
		lent(l, m);
		break;
	case VGM_MSG_signed_checkpoint:
		vgm_ledgerd_signed(l, m);
		if (l->run->stopping)
			last_checkpoint(l);
		break;
	case VGM_MSG_notified:
		vgm_ledgerd_notified(
		    l, ((struct vgm_msg_notified *)m)->tag, ((struct vgm_msg_notified *)m)->ok);
		break;
	case VGM_MSG_filter_died:
		vgm_ledgerd_notified(l, ((struct vgm_msg_filter_died *)m)->session, false);
		break;
	case VGM_MSG_viewed:
		l->viewed_size = ((struct vgm_msg_viewed *)m)->tree_size;
		measure_lag(l);
		break;
	case VGM_MSG_schedule_act:
		vgm_ledgerd_schedule_act(l, m);
		break;
	case VGM_MSG_open_record:
		vgm_ledgerd_open_record(l, m);
		break;
	case VGM_MSG_day_closed: /* keys are closed by request of a later part only */
		break;
	default:
		VGM_BUG_ON(true); /* a row of ipc/allow.c without a handler */
	}
}

static void peer_came(struct vgm_role_run *run, struct vgm_channel *peer)
{
	struct vgm_ledgerd *l = run->state;
	if (!l || !l->writer) /* before begin(), which looks for itself */
		return;
	switch (vgm_channel_peer(peer)) {
	case VGM_ROLE_KEYD:
		l->asked_size = 0;
		vgm_viewd_keys_unask(l->keys);
		vgm_ledgerd_append_key_came(l);
		vgm_ledgerd_jobs_again(l);
		break;
	case VGM_ROLE_VIEWD:
		l->told_size = 0;
		tell_viewd(l);
		break;
	default:
		break;
	}
	vgm_ledgerd_again(l);
}

static void peer_gone(struct vgm_role_run *run, struct vgm_channel *peer)
{
	struct vgm_ledgerd *l = run->state;
	if (!l || !l->writer)
		return;
	vgm_ledgerd_append_gone(l, peer);
	if (vgm_channel_peer(peer) == VGM_ROLE_RELAYD)
		vgm_ledgerd_relay_lost(l);
	/* A worker's own channel ends with each worker; the pool's is found by name. */
	if (vgm_channel_peer(peer) == VGM_ROLE_RENDER &&
	    !vgm_role_peer(run, VGM_ROLE_RENDER, VGM_INSTANCE_ONLY))
		vgm_ledgerd_notices_lost(l);
}

/* ---- life ---- */

/* Loads what the sandbox would keep us from: ciphers, digests, the kernel's
 * opinion of the clock. */
static int prepare(struct vgm_role_run *run, struct vgm_err *err)
{
	struct vgm_ledgerd *l = vgm_alloc(sizeof *l);
	struct timex clock = {.modes = 0};
	static const uint8_t zeros[32];
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf sealed = VGM_BUF_INIT(64);
	struct vgm_seal_name name = {.key = zeros, .id = zeros, .part = VGM_PART_ROUTING};
	uint8_t hash[32];
	run->state = l;
	l->run = run;
	l->facts_end = &l->facts;
	vgm_hash(VGM_SLICE_NONE, hash);
	l->clock_synchronised = adjtimex(&clock) >= 0 && !(clock.status & STA_UNSYNC);
	return vgm_seal(&name, VGM_SLICE_NONE, &sealed, err);
}

static void make_timers(struct vgm_ledgerd *l)
{
	struct vgm_loop *loop = l->run->loop;
	l->work = vgm_timer_new(loop, "work", work_due, l);
	l->sync = vgm_timer_new(loop, "sync", sync_due, l);
	l->group = vgm_timer_new(loop, "group", group_due, l);
	l->end = vgm_timer_new(loop, "end", end_due, l);
	l->told = vgm_timer_new(loop, "synced", tell_viewd, l);
	l->checkpoint = vgm_timer_new(loop, "checkpoint", checkpoint_due, l);
	l->housekeeping = vgm_timer_new(loop, "housekeeping", housekeeping, l);
	l->dead = vgm_timer_new(loop, "dead", dead, l);
}

static void log_opening(const struct vgm_ledgerd *l)
{
	const struct vgm_err *fault = vgm_writer_fault(l->writer);
	struct vgm_log_line line;
	vgm_log_start(&line, fault ? VGM_LOG_ERROR : VGM_LOG_INFO,
	    fault ? "ledger_is_read_only" : "ledger_open");
	vgm_log_u64(&line, "records", vgm_writer_synced_size(l->writer));
	vgm_log_u64(&line, "segment", vgm_writer_synced_place(l->writer).segment);
	vgm_log_u64(&line, "adopted", l->opening.adopted_batches);
	vgm_log_flag(&line, "unfinished", l->opening.unfinished);
	if (fault)
		vgm_log_err(&line, fault);
	vgm_log_end(&line);
}

static void read_directory(struct vgm_ledgerd *l)
{
	struct vgm_err err = {.code = 0};
	struct vgm_mapping text;
	struct stat st;
	vgm_directory_free(&l->directory);
	if (l->run->directory_fd < 0 || fstat(l->run->directory_fd, &st) < 0)
		return;
	int r = vgm_mapping_open(l->run->directory_fd, (uint64_t)st.st_size, &text, &err);
	if (r == 0) {
		r = vgm_directory_parse(text.bytes, &l->directory, NULL, &err);
		vgm_mapping_release(&text);
	}
	if (r < 0)
		vgm_ledgerd_log(VGM_LOG_ERROR, "directory_not_read", &err);
}

static int begin(struct vgm_role_run *run, struct vgm_err *err)
{
	struct vgm_ledgerd *l = run->state;
	struct vgm_writer_options options = {.entity = (uint32_t)run->conf.entity,
	    .segment_bytes = run->conf.segment_size,
	    .reserve_bytes = run->conf.reserve,
	    .clock_synchronised = l->clock_synchronised};
	int r = vgm_writer_open(run->extra_fd, &options, &l->writer, &l->opening, err);
	if (r < 0)
		return r;
	l->keys = vgm_viewd_keys_new();
	l->resent = vgm_resent_new();
	vgm_buf_init(&l->plain, 2 * VGM_MSG_MAX_BYTES);
	l->arena = (struct vgm_arena)VGM_ARENA_INIT(1u << 20);
	make_timers(l);
	log_opening(l);
	read_directory(l);
	vgm_ledgerd_limits(l);
	vgm_ledgerd_tiles_begin(l);
	vgm_ledgerd_replay_begin(l);
	vgm_ledgerd_note_start(l, "start");
	vgm_loop_on_round(run->loop, round_over, l);
	housekeeping(l);
	tell_viewd(l);
	vgm_timer_in(l->checkpoint, run->conf.checkpoint_every);
	return 0;
}

static void reconfigured(struct vgm_role_run *run)
{
	struct vgm_ledgerd *l = run->state;
	read_directory(l);
	vgm_ledgerd_limits(l);
	vgm_ledgerd_note_start(l, "configuration");
	vgm_ledgerd_again(l);
}

static void stop(struct vgm_role_run *run)
{
	struct vgm_ledgerd *l = run->state;
	(void)vgm_ledgerd_facts_write(l);
	vgm_ledgerd_sync(l);
	(void)vgm_ledgerd_snapshot_write(l);
	vgm_timer_in(l->end, LAST_CHECKPOINT_MS);
	last_checkpoint(l);
}

const struct vgm_role vgm_role_ledgerd = {
    .id = VGM_ROLE_LEDGERD,
    .prepare = prepare,
    .begin = begin,
    .message = message,
    .peer_came = peer_came,
    .peer_gone = peer_gone,
    .reconfigured = reconfigured,
    .stop = stop,
    .sandbox = {.flags = VGM_SANDBOX_FILES, .files = 4096},
};
