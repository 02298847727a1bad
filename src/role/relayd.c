/* SPDX-License-Identifier: EUPL-1.2
 * role/relayd.c — SMTP out. Holds the messages that are being sent and sockets to
 * next hops; never keys, never disk.
 *
 *   ledgerd DELIVER → line of its destination → a connection takes it
 *   → RENDER to the pool, once the server's extensions are known → MAIL … dot
 *   → OUTCOMES to ledgerd → OUTCOMES_WRITTEN: over for good
 *
 * Nothing is decided here about when to try again: that is ledgerd's schedule.
 * When ledgerd goes, what has not been sent to the last byte is dropped, for it
 * will be handed out again. See relayd_parts.h for the shape. */
#include "role/relayd_parts.h"

#include "base/clock.h"
#include "base/secret.h"
#include "log/log.h"

#include <signal.h>

#define STOP_MS 10000u

/* ---- destinations ---- */

void relayd_mark_dirty(struct relayd_destination *d)
{
	if (d->dirty)
		return;
	d->dirty = true;
	d->dirty_next = d->relayd->dirty;
	d->relayd->dirty = d;
}

static size_t bucket_of(const char *key)
{
	uint32_t h = 2166136261u;

	for (; *key; key++)
		h = (h ^ (uint8_t)*key) * 16777619u;
	return h % RELAYD_BUCKETS;
}

static struct relayd_destination *find_destination(struct relayd *r, const char *key, uint8_t need)
{
	struct relayd_destination **bucket = &r->destinations[bucket_of(key)], *d;

	for (d = *bucket; d; d = d->next)
		if (d->need == need && strcmp(d->key, key) == 0)
			return d;
	d = vgm_alloc(sizeof(*d));
	d->relayd = r;
	d->need = need;
	d->key = vgm_strdup(key);
	d->next = *bucket;
	*bucket = d;
	return d;
}

static void free_destination(struct relayd *r, struct relayd_destination *d)
{
	struct relayd_destination **at = &r->destinations[bucket_of(d->key)];

	while (*at != d)
		at = &(*at)->next;
	*at = d->next;
	vgm_free(d->key);
	vgm_free(d->hosts);
	vgm_free(d->addresses);
	vgm_free(d);
}

static void mark_all_dirty(struct relayd *r)
{
	for (size_t i = 0; i < RELAYD_BUCKETS; i++)
		for (struct relayd_destination *d = r->destinations[i]; d; d = d->next)
			relayd_mark_dirty(d);
}

/* ---- the end of a round ---- */

static struct relayd_connection *idle_connection(struct relayd_destination *d)
{
	struct relayd_connection *c = d->connections;

	while (c && c->state != CONNECTION_IDLE)
		c = c->next;
	return c;
}

static bool offers_enough(const struct relayd_destination *d, uint8_t flags)
{
	return (!(flags & VGM_ROUTING_8BIT) || d->caps & VGM_PEER_8BIT) &&
	       (!(flags & VGM_ROUTING_UTF8) || d->caps & VGM_PEER_UTF8);
}

/* While all connections are busy, the copies of small messages are made, so that
 * the next free one need not wait. */
static void prepare_line(struct relayd_destination *d)
{
	size_t ahead = 0;

	for (struct relayd_job *j = d->line_first; j && d->caps_known; j = j->line_next) {
		if (ahead++ == d->connections_count)
			return;
		if (j->copy == COPY_NONE && j->m.size <= RELAYD_EARLY_BYTES &&
		    offers_enough(d, j->m.flags) && !relayd_job_ask_copy(d->relayd, j, d->caps))
			return;
	}
}

static bool addresses_good(const struct relayd_destination *d)
{
	/* Those who are just trying one by one must not lose the list. */
	return d->resolution == ADDRESSES_KNOWN &&
	       (d->opening || vgm_clock_mono_ms() < d->known_until_ms);
}

/* Brings the line and the connections together. */
static void serve(struct relayd_destination *d)
{
	struct relayd *r = d->relayd;
	bool pool = vgm_role_peer(r->run, VGM_ROLE_RENDER, VGM_INSTANCE_ONLY);
	struct relayd_connection *idle;

	if (r->run->stopping || !pool)
		return;
	while (d->line_first && (idle = idle_connection(d)))
		relayd_connection_take(idle);
	if (!d->line_first || d->resolution == ADDRESSES_ASKED)
		return;
	if (!addresses_good(d) && (!relayd_resolve(d) || d->resolution != ADDRESSES_KNOWN))
		return;
	while (d->opening < d->line_count && d->connections_count < d->connections_max)
		relayd_connection_open(d);
	prepare_line(d);
}

static void each_job(struct relayd *r, void (*act)(struct relayd *, struct relayd_job *));
static void drop_if_waiting(struct relayd *r, struct relayd_job *j);

static void on_round(void *context)
{
	struct relayd *r = context;

	/* Handed out since STOP, or put back by a connection that was lost. */
	if (r->run->stopping)
		each_job(r, drop_if_waiting);
	while (r->dirty) {
		struct relayd_destination *d = r->dirty;

		r->dirty = d->dirty_next;
		d->dirty = false;
		serve(d);
		if (!d->dirty && !d->line_first && !d->connections && !d->queries)
			free_destination(r, d);
	}
	while (r->dead) {
		struct relayd_connection *c = r->dead;

		r->dead = c->next;
		relayd_connection_free(c);
	}
	if (r->run->stopping && r->jobs_count == 0 && r->unwritten == 0)
		vgm_role_done(r->run);
}

/* ---- messages ---- */

static uint8_t least_tls(const struct relayd *r, const struct vgm_msg_deliver *m)
{
	struct vgm_route route;

	if (vgm_route_find(&r->run->conf, m->route, &route, NULL) < 0 || route.tls < m->tls_need)
		return m->tls_need;
	return (uint8_t)route.tls;
}

static void on_deliver(struct relayd *r, struct vgm_msg_deliver *m)
{
	char *key = vgm_slice_dup(m->route);
	struct relayd_destination *d = find_destination(r, key, least_tls(r, m));
	struct relayd_job *j = relayd_job_new(r, m);

	j->destination = d;
	relayd_job_line_up(j, false);
	vgm_free(key);
}

static void on_rendered(struct relayd *r, struct vgm_msg_rendered *m)
{
	struct relayd_job *j = relayd_job_find(r, m->session);

	if (j && j->copy == COPY_ASKED)
		relayd_job_copy_came(r, j, m);
}

static void on_filter_died(struct relayd *r, const struct vgm_msg_filter_died *m)
{
	struct relayd_job *j = relayd_job_find(r, m->session);

	if (j && j->copy == COPY_ASKED)
		relayd_job_copy_failed(r, j);
}

static void relayd_message(
    struct vgm_role_run *run, struct vgm_channel *from, int type, void *message)
{
	struct relayd *r = run->state;

	(void)from;
	switch (type) {
	case VGM_MSG_deliver:
		on_deliver(r, message);
		break;
	case VGM_MSG_outcomes_written:
		r->unwritten -= r->unwritten > 0;
		break;
	case VGM_MSG_rendered:
		on_rendered(r, message);
		break;
	case VGM_MSG_filter_died:
		on_filter_died(r, message);
		break;
	case VGM_MSG_resolved:
		relayd_resolved(r, message);
		break;
	default:
		break;
	}
}

/* ---- peers that come and go ---- */

static void relayd_peer_came(struct vgm_role_run *run, struct vgm_channel *peer)
{
	(void)peer;
	if (run->state)
		mark_all_dirty(run->state);
}

/* Every job, or those whose copy was asked for. */
static void each_job(struct relayd *r, void (*act)(struct relayd *, struct relayd_job *))
{
	for (size_t i = 0; i < RELAYD_BUCKETS; i++) {
		for (struct relayd_job *j = r->jobs[i], *next; j; j = next) {
			next = j->tag_next;
			act(r, j);
		}
	}
}

static void drop_job(struct relayd *r, struct relayd_job *j)
{
	struct relayd_connection *c = j->connection;

	relayd_mark_dirty(j->destination);
	if (c) {
		c->job = NULL;
		relayd_connection_end(c);
	}
	relayd_job_free(r, j);
}

static void fail_asked(struct relayd *r, struct relayd_job *j)
{
	if (j->copy == COPY_ASKED)
		relayd_job_copy_failed(r, j);
}

static void relayd_peer_gone(struct vgm_role_run *run, struct vgm_channel *peer)
{
	struct relayd *r = run->state;

	switch (vgm_channel_peer(peer)) {
	case VGM_ROLE_LEDGERD:
		r->unwritten = 0;
		each_job(r, drop_job);
		break;
	case VGM_ROLE_RENDER:
		each_job(r, fail_asked);
		break;
	case VGM_ROLE_RESOLVERD:
		relayd_resolver_gone(r);
		break;
	default:
		break;
	}
}

/* ---- life ---- */

static int relayd_prepare(struct vgm_role_run *run, struct vgm_err *err)
{
	struct relayd *r = vgm_alloc(sizeof(*r));
	int result;

	r->run = run;
	run->state = r;
	(void)signal(SIGPIPE, SIG_IGN);
	vgm_random(&r->seed, sizeof(r->seed));
	vgm_tls_library_init();
	result = vgm_tls_client_new(run->conf.tls_authorities, &r->tls, err);
	if (result == VGM_E_NOTFOUND) { /* TLS without names is still TLS */
		r->no_authorities = true;
		result = vgm_tls_client_new(NULL, &r->tls, err);
	}
	return result;
}

static void take_conf(struct relayd *r)
{
	r->lang = VGM_FR;
	(void)vgm_lang_parse(r->run->conf.language, &r->lang);
}

static int relayd_begin(struct vgm_role_run *run, struct vgm_err *err)
{
	struct relayd *r = run->state;

	(void)err;
	take_conf(r);
	vgm_loop_on_round(run->loop, on_round, r);
	if (r->no_authorities) {
		struct vgm_log_line l;

		vgm_log_start(&l, VGM_LOG_WARNING, "no_tls_authorities");
		vgm_log_text(&l, "file", run->conf.tls_authorities);
		vgm_log_end(&l);
	}
	return 0;
}

static void relayd_reconfigured(struct vgm_role_run *run)
{
	struct relayd *r = run->state;

	take_conf(r);
	for (size_t i = 0; i < RELAYD_BUCKETS; i++)
		for (struct relayd_destination *d = r->destinations[i]; d; d = d->next)
			d->known_until_ms = 0;
}

static void give_up_waiting(void *context)
{
	struct relayd *r = context;

	vgm_role_done(r->run);
}

static void drop_if_waiting(struct relayd *r, struct relayd_job *j)
{
	if (j->in_line)
		drop_job(r, j);
}

/* What is being sent is finished; what waits will be handed out again. */
static void relayd_stop(struct vgm_role_run *run)
{
	struct relayd *r = run->state;

	each_job(r, drop_if_waiting);
	for (size_t i = 0; i < RELAYD_BUCKETS; i++) {
		for (struct relayd_destination *d = r->destinations[i]; d; d = d->next) {
			struct relayd_connection *idle;

			while ((idle = idle_connection(d)))
				relayd_connection_end(idle);
		}
	}
	r->stop_timer = vgm_timer_new(run->loop, "stop", give_up_waiting, r);
	vgm_timer_in(r->stop_timer, STOP_MS);
}

const struct vgm_role vgm_role_relayd = {
    .id = VGM_ROLE_RELAYD,
    .prepare = relayd_prepare,
    .begin = relayd_begin,
    .message = relayd_message,
    .peer_came = relayd_peer_came,
    .peer_gone = relayd_peer_gone,
    .reconfigured = relayd_reconfigured,
    .stop = relayd_stop,
    /* per delivery in hand: its segment, its copy, a socket */
    .sandbox = {.flags = VGM_SANDBOX_CONNECT, .files = 16384},
};
