/* SPDX-License-Identifier: EUPL-1.2
 * smtp/server/session.c — a session's life: its states, and the loop that gives
 * each byte to whom the state says. */
#include "smtp/server/internal.h"

#define OUTPUT_MAX (1u << 20) /* replies to one feed of pipelined commands */

/* ---- states ---- */

#define TO(state) (1u << VGM_SMTP_##state)

/* From each state, where a session may go. Everything may end in CLOSING. */
static const unsigned legal[VGM_SMTP_STATES] = {
    [VGM_SMTP_CONNECTED] = TO(GREETED),
    [VGM_SMTP_GREETED] = TO(READY) | TO(WAIT_TLS),
    [VGM_SMTP_READY] = TO(MAIL) | TO(AUTH) | TO(WAIT_AUTH) | TO(WAIT_TLS),
    [VGM_SMTP_MAIL] = TO(READY) | TO(RCPT),
    [VGM_SMTP_RCPT] = TO(READY) | TO(DATA) | TO(CHUNK),
    [VGM_SMTP_DATA] = TO(READY) | TO(WAIT_MESSAGE),
    [VGM_SMTP_CHUNK] = TO(READY) | TO(BETWEEN) | TO(WAIT_MESSAGE),
    [VGM_SMTP_BETWEEN] = TO(READY) | TO(CHUNK),
    [VGM_SMTP_AUTH] = TO(READY) | TO(WAIT_AUTH),
    [VGM_SMTP_WAIT_MESSAGE] = TO(READY),
    [VGM_SMTP_WAIT_AUTH] = TO(READY),
    [VGM_SMTP_WAIT_TLS] = TO(GREETED),
    [VGM_SMTP_CLOSING] = 0,
};

void vgm_smtp_set_state(struct vgm_smtp_session *s, enum vgm_smtp_state to)
{
	if (s->state == to)
		return;
	VGM_BUG_ON(to != VGM_SMTP_CLOSING && !(legal[s->state] & (1u << to)));
	s->state = to;
}

/* ---- life cycle ---- */

struct vgm_smtp_session *vgm_smtp_session_new(const struct vgm_smtp_settings *settings,
    const struct vgm_smtp_events *events, void *context, const char *reference)
{
	struct vgm_smtp_session *s = vgm_alloc(sizeof *s);
	s->settings = settings;
	s->events = events;
	s->context = context;
	s->first_command = true;
	size_t len = vgm_min_size(strlen(reference), sizeof s->reference - 1);
	memcpy(s->reference, reference, len);
	vgm_buf_init(&s->connection.helo, VGM_SMTP_LINE_SHORT);
	vgm_buf_init(&s->connection.tls, 200);
	vgm_buf_init(&s->connection.login, VGM_SMTP_LOGIN_MAX);
	vgm_buf_init(&s->line.part, VGM_SMTP_LINE_MAX);
	vgm_buf_init(&s->output, OUTPUT_MAX);
	vgm_buf_init(&s->kept, VGM_SMTP_KEPT_MAX);
	vgm_buf_init(&s->auth_login, VGM_SMTP_LOGIN_MAX);
	return s;
}

void vgm_smtp_session_free(struct vgm_smtp_session **session)
{
	struct vgm_smtp_session *s = *session;
	if (!s)
		return;
	vgm_smtp_transaction_drop(s);
	vgm_buf_release(&s->connection.helo);
	vgm_buf_release(&s->connection.tls);
	vgm_buf_release(&s->connection.login);
	vgm_buf_wipe(&s->line.part);
	vgm_buf_release(&s->output);
	vgm_buf_wipe(&s->kept);
	vgm_buf_release(&s->auth_login);
	vgm_free(s);
	*session = NULL;
}

/* ---- reading ---- */

static bool reads(const struct vgm_smtp_session *s)
{
	return vgm_smtp_session_wants(s) == VGM_SMTP_WANT_INPUT && s->state != VGM_SMTP_CONNECTED;
}

static void take(struct vgm_smtp_session *s, struct vgm_slice *in)
{
	struct vgm_slice line;
	size_t n = 0;
	if (s->state == VGM_SMTP_DATA) {
		n = vgm_smtp_body_feed(s, *in);
		if (s->state == VGM_SMTP_DATA && vgm_smtp_data_ended(&s->transaction->data))
			vgm_smtp_body_end(s);
	} else if (s->state == VGM_SMTP_CHUNK) {
		n = vgm_smtp_bdat_feed(s, *in);
	} else if (s->swallow) {
		n = (size_t)(s->swallow < in->len ? s->swallow : in->len);
		s->swallow -= n;
	} else if (vgm_smtp_take_line(s, in, &line)) {
		s->unread = in->len;
		if (s->state == VGM_SMTP_AUTH)
			vgm_smtp_auth_line(s, line);
		else
			vgm_smtp_command(s, line);
		vgm_buf_wipe(&s->line.part);
	}
	*in = vgm_slice_from(*in, n);
}

static void work(struct vgm_smtp_session *s, struct vgm_slice *in)
{
	s->working = true;
	while (in->len && reads(s))
		take(s, in);
	s->working = false;
}

/* Goes on with kept input as far as it gets. */
static void resume(struct vgm_smtp_session *s)
{
	if (s->working || s->kept.len == 0)
		return;
	/* Taken out first: what is fed here may have to be kept again. */
	struct vgm_buf kept = s->kept;
	vgm_buf_init(&s->kept, VGM_SMTP_KEPT_MAX);
	vgm_smtp_session_feed(s, vgm_buf_slice(&kept));
	vgm_buf_wipe(&kept);
}

void vgm_smtp_session_feed(struct vgm_smtp_session *s, struct vgm_slice in)
{
	VGM_BUG_ON(s->working);
	if (s->kept.len == 0)
		work(s, &in);
	/* Behind STARTTLS nothing said in clear counts (CVE-2011-0411). */
	if (in.len == 0 || s->state == VGM_SMTP_CLOSING || s->state == VGM_SMTP_WAIT_TLS)
		return;
	if (vgm_buf_add_slice(&s->kept, in) < 0)
		vgm_smtp_close_with(s, 421, "4.7.0", VGM_WORDS_smtp_flood);
}

/* ---- the owner's part ---- */

void vgm_smtp_session_greet(struct vgm_smtp_session *s, struct vgm_smtp_answer refusal)
{
	VGM_BUG_ON(s->state != VGM_SMTP_CONNECTED);
	if (refusal.code) {
		vgm_smtp_close_with(s, refusal.code, refusal.enhanced, refusal.why);
		return;
	}
	vgm_smtp_set_state(s, VGM_SMTP_GREETED);
	vgm_smtp_say(s, 220, NULL, VGM_WORDS_smtp_greeting);
	resume(s);
}

static void message_answered(struct vgm_smtp_session *s, unsigned code)
{
	vgm_smtp_transaction_drop(s);
	vgm_smtp_set_state(s, VGM_SMTP_READY);
	if (code < 300)
		s->commands = 0;
	resume(s);
}

void vgm_smtp_session_answer(
    struct vgm_smtp_session *s, unsigned code, const char *enhanced, struct vgm_slice text)
{
	if (s->state == VGM_SMTP_CLOSING)
		return;
	VGM_BUG_ON(s->state != VGM_SMTP_WAIT_MESSAGE);
	vgm_smtp_say_text(s, code, enhanced, text);
	message_answered(s, code);
}

void vgm_smtp_session_answer_words(struct vgm_smtp_session *s, struct vgm_smtp_answer answer)
{
	if (s->state == VGM_SMTP_CLOSING)
		return;
	VGM_BUG_ON(s->state != VGM_SMTP_WAIT_MESSAGE);
	vgm_smtp_say_about(s, answer, s->transaction->seen.sender);
	message_answered(s, answer.code);
}

void vgm_smtp_session_authenticated(struct vgm_smtp_session *s, struct vgm_smtp_answer refusal)
{
	if (s->state == VGM_SMTP_CLOSING)
		return;
	VGM_BUG_ON(s->state != VGM_SMTP_WAIT_AUTH);
	vgm_smtp_set_state(s, VGM_SMTP_READY);
	if (refusal.code) {
		vgm_buf_release(&s->connection.login);
		vgm_smtp_error(s, refusal.code, refusal.enhanced, refusal.why, VGM_SLICE_NONE);
	} else {
		vgm_smtp_say(s, 235, "2.7.0", VGM_WORDS_smtp_signed_in);
	}
	resume(s);
}

void vgm_smtp_session_tls_started(struct vgm_smtp_session *s, struct vgm_slice facts)
{
	struct vgm_smtp_connection *c = &s->connection;
	VGM_BUG_ON(s->state != VGM_SMTP_WAIT_TLS && s->state != VGM_SMTP_CONNECTED);
	vgm_smtp_transaction_drop(s);
	vgm_buf_release(&c->helo);
	vgm_buf_release(&c->login);
	vgm_buf_clear(&c->tls);
	c->esmtp = false;
	facts = vgm_slice_sub(facts, 0, c->tls.ceiling);
	VGM_BUG_ON(vgm_buf_add_slice(&c->tls, facts) < 0);
	if (s->state == VGM_SMTP_WAIT_TLS)
		vgm_smtp_set_state(s, VGM_SMTP_GREETED);
}

void vgm_smtp_session_cut(struct vgm_smtp_session *s, struct vgm_smtp_answer last)
{
	if (s->state != VGM_SMTP_CLOSING)
		vgm_smtp_close_with(s, last.code, last.enhanced, last.why);
}

enum vgm_smtp_want vgm_smtp_session_wants(const struct vgm_smtp_session *s)
{
	switch (s->state) {
	case VGM_SMTP_WAIT_MESSAGE:
	case VGM_SMTP_WAIT_AUTH:
		return VGM_SMTP_WANT_ANSWER;
	case VGM_SMTP_WAIT_TLS:
		return VGM_SMTP_WANT_TLS;
	case VGM_SMTP_CLOSING:
		return VGM_SMTP_WANT_CLOSE;
	default:
		return VGM_SMTP_WANT_INPUT;
	}
}

struct vgm_buf *vgm_smtp_session_output(struct vgm_smtp_session *s)
{
	return &s->output;
}

uint64_t vgm_smtp_session_announced(const struct vgm_smtp_session *s)
{
	return s->announced;
}

const struct vgm_smtp_connection *vgm_smtp_session_connection(const struct vgm_smtp_session *s)
{
	return &s->connection;
}

bool vgm_smtp_session_in_body(const struct vgm_smtp_session *s)
{
	return s->state == VGM_SMTP_DATA || s->state == VGM_SMTP_CHUNK;
}

bool vgm_smtp_session_was_cut(const struct vgm_smtp_session *s)
{
	return s->was_cut;
}

bool vgm_smtp_session_is_idle(const struct vgm_smtp_session *s)
{
	return s->state <= VGM_SMTP_READY;
}
