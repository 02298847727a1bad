/* SPDX-License-Identifier: EUPL-1.2
 * role/viewd_control.c — see viewd_control.h. A client asks one question at a
 * time. A question becomes a job that runs in steps on the loop, so that a long
 * search for one person holds up neither the others nor the ledger. */
#include "role/viewd_client.h"

#include "base/clock.h"
#include "base/text.h"
#include "log/log.h"
#include "role/build.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS_MAX 32
#define ROWS_DEFAULT 100
#define ROWS_MAX 100000
#define STEP_MS 2000 /* of SQLite at a time; never reached on a sound disk */

/* ---- answering ---- */

void vgm_viewd_client_clear(struct vgm_viewd_client *c)
{
	vgm_view_search_free(&c->search);
	for (size_t i = 0; i < c->terms_count; i++)
		vgm_buf_release(&c->terms[i]);
	vgm_buf_release(&c->why);
	c->terms_count = 0;
	c->job = VGM_VIEWD_JOB_NONE;
	c->session = 0;
	c->all = false;
	c->sent = 0;
}

int vgm_viewd_send_row(void *context, const char *json)
{
	struct vgm_viewd_client *c = context;
	struct vgm_msg_control_row row = {.json = vgm_slice_str(json), .fd = -1};
	c->sent = vgm_channel_send(c->channel, VGM_MSG_control_row, &row);
	return c->sent;
}

void vgm_viewd_end(struct vgm_viewd_client *c, enum vgm_viewd_code code, enum vgm_words_id words,
    struct vgm_slice detail)
{
	struct vgm_msg_control_end m = {
	    .code = (uint8_t)code, .detail = vgm_slice_sub(detail, 0, 500)};
	if (words != VGM_WORDS_COUNT)
		m.words_id = vgm_slice_str(vgm_words_name(words));
	/* A client that no longer listens is noticed by its channel. */
	(void)!vgm_channel_send(c->channel, VGM_MSG_control_end, &m);
	vgm_viewd_client_clear(c);
}

void vgm_viewd_end_well(struct vgm_viewd_client *c)
{
	vgm_viewd_end(c, VGM_VIEWD_OK, VGM_WORDS_COUNT, VGM_SLICE_NONE);
}

void vgm_viewd_end_err(struct vgm_viewd_client *c, const struct vgm_err *err)
{
	bool later = err->code == VGM_E_TIMEOUT || err->code == VGM_E_BUSY;
	vgm_viewd_end(c, later ? VGM_VIEWD_UNREACHABLE : VGM_VIEWD_SYSTEM,
	    err->code == VGM_E_TIMEOUT ? VGM_WORDS_view_timeout : VGM_WORDS_view_failed,
	    vgm_slice_str(err->text));
}

struct vgm_views *vgm_viewd_client_views(struct vgm_viewd_client *c)
{
	struct vgm_views *views = vgm_viewd_tail_read(c->control->tail);
	if (views)
		vgm_views_deadline(views, vgm_clock_mono_ms() + STEP_MS);
	else
		vgm_viewd_end(c, VGM_VIEWD_UNREACHABLE, VGM_WORDS_view_not_ready, VGM_SLICE_NONE);
	return views;
}

/* ---- steps ---- */

void vgm_viewd_work_soon(struct vgm_viewd_control *control, uint64_t ms)
{
	uint64_t due = vgm_clock_mono_ms() + ms;
	if (vgm_timer_is_set(control->work) && control->work_due_ms <= due)
		return;
	control->work_due_ms = due;
	vgm_timer_in(control->work, ms);
}

static void work(void *context)
{
	struct vgm_viewd_control *control = context;
	uint64_t next_ms = UINT64_MAX;
	for (struct vgm_viewd_client *c = control->clients; c; c = c->next) {
		uint64_t ms = vgm_viewd_step(c);
		next_ms = ms < next_ms ? ms : next_ms;
	}
	if (next_ms != UINT64_MAX)
		vgm_viewd_work_soon(control, next_ms);
}

/* ---- a question ---- */

static enum vgm_words_id term_words(enum vgm_view_term term)
{
	switch (term) {
	case VGM_VIEW_TERM_DATE:
		return VGM_WORDS_view_term_date;
	case VGM_VIEW_TERM_STATUS:
		return VGM_WORDS_view_term_status;
	case VGM_VIEW_TERM_ID:
		return VGM_WORDS_view_term_id;
	case VGM_VIEW_TERM_LONG:
		return VGM_WORDS_view_term_long;
	default:
		return VGM_WORDS_view_term_unknown;
	}
}

static bool take_option(struct vgm_viewd_client *c, struct vgm_slice word)
{
	struct vgm_slice limit = VGM_SLICE_LIT("--limit="), why = VGM_SLICE_LIT("--why=");
	uint64_t number;
	if (vgm_slice_eq(word, VGM_SLICE_LIT("--all"))) {
		c->all = true;
		return true;
	}
	if (vgm_slice_starts_nocase(word, limit) &&
	    vgm_slice_to_u64(vgm_slice_from(word, limit.len), ROWS_MAX, &number) && number) {
		c->limit = (size_t)number;
		return true;
	}
	return vgm_slice_starts_nocase(word, why) && c->why.len == 0 &&
	       vgm_buf_add_slice(&c->why, vgm_slice_from(word, why.len)) == 0;
}

/* The words are copied: searches outlive the message. False: the client has
 * been told what is wrong. */
static bool take_words(struct vgm_viewd_client *c, const struct vgm_msg_control *m)
{
	for (size_t i = 0; i < m->words_count; i++) {
		struct vgm_slice word = m->words[i].text;
		enum vgm_view_term term = VGM_VIEW_TERM_UNKNOWN;
		if (word.len > 2 && word.data[0] == '-' && word.data[1] == '-') {
			if (take_option(c, word))
				continue;
		} else if (word.len > VGM_VIEW_TERM_BYTES) {
			term = VGM_VIEW_TERM_LONG;
		} else {
			VGM_BUG_ON(c->terms_count == VGM_VIEWD_TERMS_MAX); /* as in messages.def */
			struct vgm_buf *copy = &c->terms[c->terms_count++];
			vgm_buf_init(copy, VGM_VIEW_TERM_BYTES);
			VGM_BUG_ON(vgm_buf_add_slice(copy, word) < 0);
			term = vgm_view_filter_add(&c->filter, vgm_buf_slice(copy));
		}
		if (term != VGM_VIEW_TERM_OK) {
			vgm_viewd_end(
			    c, VGM_VIEWD_USAGE, term_words(term), vgm_slice_sub(word, 0, 100));
			return false;
		}
	}
	return true;
}

static void set_who(struct vgm_viewd_client *c, struct vgm_slice claimed)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf name = VGM_BUF_INIT(500);
	if (vgm_text_escape(claimed, 100, &name) < 0)
		vgm_buf_clear(&name);
	snprintf(c->who, sizeof c->who, "%.150s (uid %u)", vgm_buf_str(&name), (unsigned)c->uid);
}

static void ask_verb(struct vgm_viewd_client *c, const struct vgm_msg_control *m)
{
	c->verb = vgm_viewd_verb_find(m->verb);
	if (!c->verb) {
		vgm_viewd_end(
		    c, VGM_VIEWD_USAGE, VGM_WORDS_view_verb_unknown, vgm_slice_sub(m->verb, 0, 40));
		return;
	}
	if (!take_words(c, m))
		return;
	if (c->verb->needs_word && c->terms_count == 0) {
		vgm_viewd_end(c, VGM_VIEWD_USAGE, VGM_WORDS_view_term_unknown, VGM_SLICE_NONE);
		return;
	}
	vgm_viewd_tail_freshen(c->control->tail);
	c->verb->begin(c);
}

static void question(void *context, struct vgm_channel *from, int type, void *message)
{
	struct vgm_viewd_client *c = context;
	const struct vgm_msg_control *m = message;
	VGM_BUG_ON(type != VGM_MSG_control || from != c->channel);
	if (c->job != VGM_VIEWD_JOB_NONE) {
		vgm_viewd_end(c, VGM_VIEWD_USAGE, VGM_WORDS_view_one_at_a_time, VGM_SLICE_NONE);
		return;
	}
	vgm_viewd_client_clear(c);
	memset(&c->filter, 0, sizeof c->filter);
	c->verb = NULL;
	c->limit = ROWS_DEFAULT;
	vgm_buf_init(&c->why, 500);
	set_who(c, m->who);
	if (!vgm_slice_eq(m->build, vgm_slice_str(vgm_build_id())))
		vgm_viewd_end(c, VGM_VIEWD_UNREACHABLE, VGM_WORDS_view_other_build, VGM_SLICE_NONE);
	else
		ask_verb(c, m);
}

/* ---- clients ---- */

static void client_free(struct vgm_viewd_client *c)
{
	struct vgm_viewd_client **at = &c->control->clients;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->control->clients_count--;
	vgm_viewd_client_clear(c);
	vgm_free(c);
}

static void client_gone(void *context, struct vgm_channel *from)
{
	(void)from; /* frees itself */
	client_free(context);
}

static bool may_ask(int fd, uid_t *out_uid)
{
	struct ucred peer;
	socklen_t len = sizeof peer;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || len != sizeof peer)
		return false;
	*out_uid = peer.uid;
	return peer.uid == 0 || peer.uid == geteuid();
}

static void door_ready(void *context, unsigned events)
{
	struct vgm_viewd_control *control = context;
	uid_t uid = 0;
	(void)events;
	int fd = accept4(control->door_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	if (control->clients_count == CLIENTS_MAX || !may_ask(fd, &uid)) {
		struct vgm_log_line line;
		vgm_log_start(&line, VGM_LOG_WARNING, "command_refused");
		vgm_log_u64(&line, "uid", uid);
		vgm_log_u64(&line, "clients", control->clients_count);
		vgm_log_end(&line);
		close(fd);
		return;
	}
	struct vgm_viewd_client *c = vgm_alloc(sizeof *c);
	c->control = control;
	c->uid = uid;
	c->channel = vgm_channel_new(control->run->loop, fd, VGM_ROLE_VIEWD, VGM_ROLE_CONTROL,
	    VGM_INSTANCE_ONLY, (struct vgm_channel_events){question, client_gone, c});
	c->next = control->clients;
	control->clients = c;
	control->clients_count++;
}

struct vgm_viewd_control *vgm_viewd_control_new(
    struct vgm_role_run *run, struct vgm_viewd_tail *tail)
{
	struct vgm_viewd_control *control = vgm_alloc(sizeof *control);
	control->run = run;
	control->tail = tail;
	control->door_fd = run->listeners_count ? run->listeners[0].fd : -1;
	control->work = vgm_timer_new(run->loop, "control", work, control);
	if (control->door_fd >= 0) {
		control->door = vgm_io_new(run->loop, control->door_fd, door_ready, control);
		vgm_io_want(control->door, VGM_IO_READ);
	}
	return control;
}

void vgm_viewd_control_free(struct vgm_viewd_control **control)
{
	struct vgm_viewd_control *v = *control;
	if (!v)
		return;
	while (v->clients) {
		struct vgm_viewd_client *c = v->clients;
		vgm_channel_free(&c->channel);
		client_free(c);
	}
	vgm_io_free(&v->door);
	vgm_timer_free(&v->work);
	vgm_free(v);
	*control = NULL;
}
