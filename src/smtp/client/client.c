/* SPDX-License-Identifier: EUPL-1.2
 * smtp/client/client.c — see client.h. One function for each reply that can be
 * due; which one is due is the state. What is said is in client_say.c. */
#include "smtp/client/client_parts.h"

#include "base/text.h"

#define TO(state) (1u << (state))

/* Which states may follow; CLIENT_OVER may follow any. */
static const unsigned follows[] = {
    [CLIENT_GREETING] = TO(CLIENT_EHLO),
    [CLIENT_EHLO] = TO(CLIENT_HELO) | TO(CLIENT_STARTTLS) | TO(CLIENT_READY),
    [CLIENT_HELO] = TO(CLIENT_READY),
    [CLIENT_STARTTLS] = TO(CLIENT_HANDSHAKE) | TO(CLIENT_READY),
    [CLIENT_HANDSHAKE] = TO(CLIENT_EHLO),
    [CLIENT_READY] = TO(CLIENT_MAIL),
    [CLIENT_MAIL] = TO(CLIENT_RCPT) | TO(CLIENT_RSET),
    [CLIENT_RCPT] = TO(CLIENT_DATA) | TO(CLIENT_RSET),
    [CLIENT_DATA] = TO(CLIENT_BODY) | TO(CLIENT_RSET),
    [CLIENT_BODY] = TO(CLIENT_FINAL),
    [CLIENT_FINAL] = TO(CLIENT_READY),
    [CLIENT_RSET] = TO(CLIENT_READY),
    [CLIENT_OVER] = 0,
};

/* The one place where the state changes. */
static void set_state(struct vgm_smtp_client *c, enum vgm_smtp_client_state to)
{
	VGM_BUG_ON(c->state == CLIENT_OVER);
	VGM_BUG_ON(to != CLIENT_OVER && !(follows[c->state] & TO(to)));
	c->state = to;
}

/* ---- life cycle ---- */

struct vgm_smtp_client *vgm_smtp_client_new(const struct vgm_smtp_client_options *options)
{
	struct vgm_smtp_client *c = vgm_alloc(sizeof(*c));

	c->options = *options;
	c->options.hostname = c->hostname = vgm_strdup(options->hostname);
	vgm_smtp_reply_init(&c->reply);
	vgm_buf_init(&c->out, VGM_SMTP_CLIENT_OUT_MAX);
	vgm_buf_init(&c->final.text, VGM_SMTP_REPLY_TEXT_MAX);
	vgm_buf_init(&c->reference, 256);
	return c;
}

static void drop_results(struct vgm_smtp_client *c)
{
	for (size_t i = 0; i < c->results_count; i++)
		vgm_buf_release(&c->results[i].text);
	vgm_free(c->results);
	c->results = NULL;
	c->results_count = 0;
}

void vgm_smtp_client_free(struct vgm_smtp_client **cp)
{
	struct vgm_smtp_client *c = *cp;

	if (!c)
		return;
	drop_results(c);
	vgm_smtp_reply_release(&c->reply);
	vgm_buf_release(&c->out);
	vgm_buf_release(&c->final.text);
	vgm_buf_release(&c->reference);
	vgm_free(c->hostname);
	vgm_free(c);
	*cp = NULL;
}

/* ---- ends ---- */

static enum vgm_smtp_client_event fail(struct vgm_smtp_client *c, enum vgm_smtp_client_failure why)
{
	if (c->state == CLIENT_OVER)
		return VGM_SMTP_CLIENT_FAILED;
	/* An acceptance at RCPT is no delivery. */
	for (size_t i = 0; c->in_hand && i < c->mail.count; i++)
		if (c->results[i].code / 100 == 2)
			c->results[i].code = 0;
	set_state(c, CLIENT_OVER);
	c->failure = why;
	return VGM_SMTP_CLIENT_FAILED;
}

static enum vgm_smtp_client_event fail_protocol(struct vgm_smtp_client *c, const char *why)
{
	(void)vgm_err_set(&c->why, VGM_E_INVALID, "%s", why);
	return fail(c, VGM_SMTP_FAILURE_PROTOCOL);
}

static void note(struct vgm_smtp_client *c, struct vgm_smtp_result *to)
{
	to->code = c->reply.code;
	vgm_smtp_reply_enhanced(&c->reply, to->enhanced);
	vgm_smtp_reply_text(&c->reply, &to->text);
}

/* The last reply of all stands for those whose own code is 0 or 2xx. */
static void note_final(struct vgm_smtp_client *c)
{
	note(c, &c->final);
	for (size_t i = 0; c->in_hand && i < c->mail.count; i++) {
		struct vgm_smtp_result *r = &c->results[i];

		if (r->code >= 300)
			continue;
		r->code = c->final.code;
		memcpy(r->enhanced, c->final.enhanced, sizeof(r->enhanced));
		vgm_buf_clear(&r->text);
		VGM_BUG_ON(vgm_buf_add_slice(&r->text, vgm_buf_slice(&c->final.text)) < 0);
	}
}

/* The reply ends the connection, and the transaction if there is one. */
static enum vgm_smtp_client_event refused(struct vgm_smtp_client *c)
{
	if (c->reply.code < 400)
		return fail_protocol(c, "an odd reply");
	note_final(c);
	return fail(c, VGM_SMTP_FAILURE_REFUSED);
}

void vgm_smtp_client_lost(struct vgm_smtp_client *c)
{
	(void)fail(c, VGM_SMTP_FAILURE_LOST);
}

/* ---- greeting, EHLO, TLS ---- */

static enum vgm_smtp_client_event on_greeting(struct vgm_smtp_client *c)
{
	if (c->reply.code != 220)
		return refused(c);
	vgm_smtp_client_say_hello(c, "EHLO");
	set_state(c, CLIENT_EHLO);
	return VGM_SMTP_CLIENT_WAIT;
}

static void take_capability(struct vgm_smtp_client *c, struct vgm_slice line)
{
	size_t n = vgm_slice_find(line, ' ');
	struct vgm_slice word = vgm_slice_sub(line, 0, n), rest = vgm_slice_from(line, n + 1);
	static const struct {
		const char *word;
		unsigned flag;
	} known[] = {{"8BITMIME", VGM_PEER_8BIT}, {"SMTPUTF8", VGM_PEER_UTF8},
	    {"DSN", VGM_PEER_DSN}, {"PIPELINING", CAP_PIPELINING}, {"STARTTLS", CAP_STARTTLS},
	    {"SIZE", CAP_SIZE}};

	for (size_t i = 0; i < VGM_ARRAY_LEN(known); i++)
		if (vgm_slice_eq_nocase(word, vgm_slice_str(known[i].word)))
			c->caps |= known[i].flag;
	if (vgm_slice_eq_nocase(word, VGM_SLICE_LIT("SIZE")) &&
	    !vgm_slice_to_u64(vgm_slice_trim(rest), UINT64_MAX, &c->size_max))
		c->size_max = 0;
}

static void take_capabilities(struct vgm_smtp_client *c)
{
	struct vgm_slice rest = vgm_buf_slice(&c->reply.lines), line;

	c->caps = 0;
	c->size_max = 0;
	for (size_t i = 0; vgm_smtp_reply_line(&rest, &line); i++)
		if (i > 0)
			take_capability(c, vgm_slice_trim(line));
}

static bool is_ourselves(const struct vgm_smtp_client *c)
{
	struct vgm_slice rest = vgm_buf_slice(&c->reply.lines), line;

	if (!c->options.refuse_ourselves || !vgm_smtp_reply_line(&rest, &line))
		return false;
	line = vgm_slice_trim(line);
	return vgm_slice_eq_nocase(
	    vgm_slice_sub(line, 0, vgm_slice_find(line, ' ')), vgm_slice_str(c->hostname));
}

static enum vgm_smtp_client_event become_ready(struct vgm_smtp_client *c)
{
	set_state(c, CLIENT_READY);
	return VGM_SMTP_CLIENT_READY;
}

/* TLS comes first, if it comes at all. */
static enum vgm_smtp_client_event after_hello(struct vgm_smtp_client *c)
{
	if (is_ourselves(c))
		return fail(c, VGM_SMTP_FAILURE_SELF);
	if (c->secured)
		return become_ready(c);
	if (c->caps & CAP_STARTTLS && !c->options.tls_never) {
		vgm_smtp_client_say(c, "STARTTLS\r\n");
		set_state(c, CLIENT_STARTTLS);
		return VGM_SMTP_CLIENT_WAIT;
	}
	if (c->options.tls_need != VGM_TLS_MAY)
		return fail(c, VGM_SMTP_FAILURE_TLS_MISSING);
	return become_ready(c);
}

static enum vgm_smtp_client_event on_ehlo(struct vgm_smtp_client *c)
{
	if (c->reply.code / 100 == 5) {
		vgm_smtp_client_say_hello(c, "HELO");
		set_state(c, CLIENT_HELO);
		return VGM_SMTP_CLIENT_WAIT;
	}
	if (c->reply.code != 250)
		return refused(c);
	take_capabilities(c);
	return after_hello(c);
}

static enum vgm_smtp_client_event on_helo(struct vgm_smtp_client *c)
{
	if (c->reply.code != 250)
		return refused(c);
	c->caps = 0;
	c->size_max = 0;
	return after_hello(c);
}

static enum vgm_smtp_client_event on_starttls(struct vgm_smtp_client *c)
{
	if (c->reply.code == 220) {
		set_state(c, CLIENT_HANDSHAKE);
		return VGM_SMTP_CLIENT_TLS;
	}
	if (c->options.tls_need != VGM_TLS_MAY)
		return fail(c, VGM_SMTP_FAILURE_TLS_MISSING);
	return become_ready(c);
}

void vgm_smtp_client_secured(struct vgm_smtp_client *c)
{
	VGM_BUG_ON(c->state != CLIENT_HANDSHAKE);
	c->secured = true;
	c->caps = 0; /* said in clear: forget it (RFC 3207 section 4.2) */
	vgm_smtp_client_say_hello(c, "EHLO");
	set_state(c, CLIENT_EHLO);
}

/* ---- a transaction ---- */

int vgm_smtp_client_begin(
    struct vgm_smtp_client *c, const struct vgm_smtp_mail *mail, struct vgm_err *err)
{
	VGM_BUG_ON(c->state != CLIENT_READY || mail->count == 0);
	int r = vgm_smtp_client_check(mail, err);
	if (r < 0)
		return r;
	if (mail->count > c->results_count) {
		drop_results(c);
		c->results = vgm_alloc(mail->count * sizeof(*c->results));
		for (size_t i = 0; i < mail->count; i++)
			vgm_buf_init(&c->results[i].text, VGM_SMTP_REPLY_TEXT_MAX);
		c->results_count = mail->count;
	}
	for (size_t i = 0; i < c->results_count; i++)
		c->results[i].code = 0;
	c->final.code = 0;
	c->announce_ready = false;
	vgm_buf_clear(&c->reference);
	c->mail = *mail;
	c->in_hand = true;
	c->next = c->accepted = 0;
	vgm_smtp_client_say_mail(c);
	if (c->caps & CAP_PIPELINING) {
		for (size_t i = 0; i < mail->count; i++)
			vgm_smtp_client_say_rcpt(c, i);
		vgm_smtp_client_say(c, "DATA\r\n");
	}
	set_state(c, CLIENT_MAIL);
	return 0;
}

/* The transaction is over; the server may still hold its half of one. */
static enum vgm_smtp_client_event end_transaction(struct vgm_smtp_client *c, bool reset)
{
	c->in_hand = false;
	if (reset) {
		vgm_smtp_client_say(c, "RSET\r\n");
		set_state(c, CLIENT_RSET);
	} else {
		set_state(c, CLIENT_READY);
		c->announce_ready = true;
	}
	return VGM_SMTP_CLIENT_DONE;
}

/* MAIL was refused: so is everybody. */
static void refuse_all(struct vgm_smtp_client *c)
{
	for (size_t i = 0; i < c->mail.count; i++)
		note(c, &c->results[i]);
}

static enum vgm_smtp_client_event on_mail(struct vgm_smtp_client *c)
{
	bool pipelining = c->caps & CAP_PIPELINING;

	if (c->reply.code / 100 == 3)
		return fail_protocol(c, "a go-ahead that nobody asked for");
	c->mail_refused = c->reply.code / 100 != 2;
	if (c->mail_refused) {
		refuse_all(c);
		if (!pipelining)
			return end_transaction(c, true);
	} else if (!pipelining) {
		vgm_smtp_client_say_rcpt(c, 0);
	}
	set_state(c, CLIENT_RCPT);
	return VGM_SMTP_CLIENT_WAIT;
}

static enum vgm_smtp_client_event on_rcpt(struct vgm_smtp_client *c)
{
	bool pipelining = c->caps & CAP_PIPELINING;

	if (c->reply.code / 100 == 3)
		return fail_protocol(c, "a go-ahead that nobody asked for");
	if (!c->mail_refused) {
		/* What a server says kindly here, nobody reads. */
		c->results[c->next].code = c->reply.code;
		if (c->reply.code >= 300)
			note(c, &c->results[c->next]);
		else
			c->accepted++;
	}
	if (++c->next < c->mail.count) {
		if (!pipelining)
			vgm_smtp_client_say_rcpt(c, c->next);
		return VGM_SMTP_CLIENT_WAIT;
	}
	if (!pipelining) {
		if (c->accepted == 0)
			return end_transaction(c, true);
		vgm_smtp_client_say(c, "DATA\r\n");
	}
	set_state(c, CLIENT_DATA);
	return VGM_SMTP_CLIENT_WAIT;
}

static enum vgm_smtp_client_event on_data(struct vgm_smtp_client *c)
{
	if (c->reply.code == 354) {
		/* A server that would take a body for nobody: we have none for it,
		 * and the only way out of DATA is the end of the connection. */
		if (c->accepted == 0)
			return fail_protocol(c, "a go-ahead without a recipient");
		set_state(c, CLIENT_BODY);
		return VGM_SMTP_CLIENT_BODY;
	}
	if (c->reply.code < 400)
		return fail_protocol(c, "an odd reply to DATA");
	if (c->accepted)
		note_final(c);
	return end_transaction(c, true);
}

/* Before the dot nothing can have been accepted, whatever the server says. */
static enum vgm_smtp_client_event on_early_final(struct vgm_smtp_client *c)
{
	if (c->reply.code >= 400)
		return refused(c);
	return fail_protocol(c, "a reply before the end of the message");
}

static enum vgm_smtp_client_event on_final(struct vgm_smtp_client *c)
{
	if (c->reply.code / 100 == 3)
		return fail_protocol(c, "an odd reply to the end of the message");
	note_final(c);
	if (c->reply.code / 100 == 2)
		(void)!vgm_buf_add_slice(&c->reference, vgm_smtp_reply_reference(&c->reply));
	return end_transaction(c, false);
}

static enum vgm_smtp_client_event on_rset(struct vgm_smtp_client *c)
{
	if (c->reply.code / 100 != 2)
		return refused(c);
	return become_ready(c);
}

static enum vgm_smtp_client_event on_unasked(struct vgm_smtp_client *c)
{
	return fail_protocol(c, "a reply that nobody asked for");
}

void vgm_smtp_client_body_sent(struct vgm_smtp_client *c)
{
	VGM_BUG_ON(c->state != CLIENT_BODY);
	set_state(c, CLIENT_FINAL);
}

void vgm_smtp_client_quit(struct vgm_smtp_client *c)
{
	if (c->state == CLIENT_OVER)
		return;
	vgm_smtp_client_say(c, "QUIT\r\n");
	set_state(c, CLIENT_OVER);
}

/* ---- the machine ---- */

static enum vgm_smtp_client_event (*const on_reply[])(struct vgm_smtp_client *) = {
    [CLIENT_GREETING] = on_greeting,
    [CLIENT_EHLO] = on_ehlo,
    [CLIENT_HELO] = on_helo,
    [CLIENT_STARTTLS] = on_starttls,
    [CLIENT_HANDSHAKE] = on_unasked,
    [CLIENT_READY] = on_unasked,
    [CLIENT_MAIL] = on_mail,
    [CLIENT_RCPT] = on_rcpt,
    [CLIENT_DATA] = on_data,
    [CLIENT_BODY] = on_early_final,
    [CLIENT_FINAL] = on_final,
    [CLIENT_RSET] = on_rset,
};

enum vgm_smtp_client_event vgm_smtp_client_feed(struct vgm_smtp_client *c, struct vgm_slice *in)
{
	while (c->state != CLIENT_OVER) {
		if (c->announce_ready) {
			c->announce_ready = false;
			return VGM_SMTP_CLIENT_READY;
		}
		int r = vgm_smtp_reply_feed(&c->reply, in, &c->why);

		if (r < 0)
			return fail_protocol(c, c->why.text);
		if (r == 0)
			return VGM_SMTP_CLIENT_WAIT;
		enum vgm_smtp_client_event event;
		c->replies++;
		if (c->reply.code == 421)
			event = refused(c); /* RFC 5321 section 3.8: it is closing */
		else
			event = on_reply[c->state](c);
		if (event == VGM_SMTP_CLIENT_TLS)
			*in = VGM_SLICE_NONE; /* said in clear, before the handshake */
		if (event != VGM_SMTP_CLIENT_WAIT)
			return event;
	}
	return VGM_SMTP_CLIENT_FAILED;
}

/* ---- read ---- */

struct vgm_buf *vgm_smtp_client_out(struct vgm_smtp_client *c)
{
	return &c->out;
}

unsigned vgm_smtp_client_caps(const struct vgm_smtp_client *c)
{
	return c->caps & (VGM_PEER_8BIT | VGM_PEER_UTF8 | VGM_PEER_DSN);
}

uint64_t vgm_smtp_client_size_max(const struct vgm_smtp_client *c)
{
	return c->size_max;
}

bool vgm_smtp_client_is_ready(const struct vgm_smtp_client *c)
{
	return c->state == CLIENT_READY;
}

bool vgm_smtp_client_awaits_final(const struct vgm_smtp_client *c)
{
	return c->state == CLIENT_FINAL;
}

enum vgm_smtp_client_failure vgm_smtp_client_failure(const struct vgm_smtp_client *c)
{
	return c->failure;
}

const char *vgm_smtp_client_why(const struct vgm_smtp_client *c)
{
	return c->why.text;
}

const struct vgm_smtp_result *vgm_smtp_client_result(const struct vgm_smtp_client *c, size_t i)
{
	VGM_BUG_ON(i >= c->results_count);
	return &c->results[i];
}

uint64_t vgm_smtp_client_replies(const struct vgm_smtp_client *c)
{
	return c->replies;
}

const struct vgm_smtp_result *vgm_smtp_client_final(const struct vgm_smtp_client *c)
{
	return &c->final;
}

struct vgm_slice vgm_smtp_client_reference(const struct vgm_smtp_client *c)
{
	return vgm_buf_slice(&c->reference);
}
