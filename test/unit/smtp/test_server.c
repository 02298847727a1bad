/* SPDX-License-Identifier: EUPL-1.2
 * smtp/server: conversations as tables. What the client says stands in full; of
 * the replies the codes. Each conversation is held whole, byte by byte, and cut
 * in two at every place: the replies and the messages must be the same. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "smtp/scan.h"
#include "smtp/server/session.h"

#include <stdio.h>

#define HELLO "EHLO client.example\r\n"
#define ENVELOPE "MAIL FROM:<a@out.example>\r\nRCPT TO:<b@in.example>\r\n"

/* What an owner saw, as text: "mail from a@x to b@y,c@z 12 bytes: ..." */
struct owner {
	struct vgm_smtp_session *session;
	struct vgm_buf seen, body;
	bool later; /* answers when the test says so, not at once */
	bool waiting;
	bool no_room;
	unsigned opened, dropped, refused;
};

static struct vgm_smtp_answer fine(void)
{
	return (struct vgm_smtp_answer){0};
}

static struct vgm_smtp_answer on_mail(void *context, struct vgm_slice sender)
{
	(void)context;
	if (vgm_slice_eq(sender, VGM_SLICE_LIT("later@out.example")))
		return (struct vgm_smtp_answer){451, "4.7.1", VGM_WORDS_smtp_network_put_off};
	return fine();
}

static struct vgm_smtp_answer on_recipient(void *context, struct vgm_slice mailbox)
{
	(void)context;
	if (vgm_slice_eq(mailbox, VGM_SLICE_LIT("unknown@in.example")))
		return (struct vgm_smtp_answer){550, "5.1.1", VGM_WORDS_smtp_unknown_user};
	return fine();
}

static struct vgm_smtp_answer on_begin(void *context)
{
	struct owner *o = context;
	if (o->no_room)
		return (struct vgm_smtp_answer){452, "4.3.1", VGM_WORDS_smtp_no_room};
	o->opened++;
	vgm_buf_clear(&o->body);
	return fine();
}

static int on_body(void *context, const struct vgm_slice *pieces, size_t count)
{
	struct owner *o = context;
	for (size_t i = 0; i < count; i++)
		if (vgm_buf_add_slice(&o->body, pieces[i]) < 0)
			return VGM_E_LIMIT;
	return 0;
}

static void on_drop(void *context)
{
	struct owner *o = context;
	o->dropped++;
}

static void on_message(void *context, const struct vgm_smtp_transaction *t)
{
	struct owner *o = context;
	int r = vgm_buf_addf(&o->seen, "[%.*s>", VGM_SLICE_ARG(t->sender));
	for (size_t i = 0; i < t->recipients_count; i++) {
		const struct vgm_recipient *to = &t->recipients[i];
		r |= vgm_buf_addf(&o->seen, "%s%.*s", i ? "," : "", VGM_SLICE_ARG(to->address));
		if (to->notify || to->orcpt.len)
			r |= vgm_buf_addf(
			    &o->seen, " %u %.*s", to->notify, VGM_SLICE_ARG(to->orcpt));
	}
	if (t->envid.len || t->ret)
		r |= vgm_buf_addf(&o->seen, " envid %.*s ret %u", VGM_SLICE_ARG(t->envid), t->ret);
	r |=
	    vgm_buf_addf(&o->seen, " f%u: %.*s]", t->flags, VGM_SLICE_ARG(vgm_buf_slice(&o->body)));
	assert_int_equal(r, 0);
	assert_int_equal(t->size, o->body.len);
	assert_int_equal(vgm_smtp_scan(vgm_buf_slice(&o->body)) & VGM_SMTP_SCAN_NUL, 0);
	if (o->later)
		o->waiting = true;
	else
		vgm_smtp_session_answer(o->session, 250, "2.0.0", VGM_SLICE_LIT("taken"));
}

static void on_authenticate(void *context, struct vgm_slice login, struct vgm_slice password)
{
	struct owner *o = context;
	bool right = vgm_slice_eq(login, VGM_SLICE_LIT("anna")) &&
		     vgm_slice_eq(password, VGM_SLICE_LIT("secret"));
	assert_int_equal(vgm_buf_addf(&o->seen, "(%.*s)", VGM_SLICE_ARG(login)), 0);
	vgm_smtp_session_authenticated(o->session,
	    right ? fine() : (struct vgm_smtp_answer){535, "5.7.8", VGM_WORDS_smtp_wrong_login});
}

static void on_refused(void *context, unsigned code, enum vgm_words_id why, struct vgm_slice about)
{
	struct owner *o = context;
	(void)about;
	assert_true(code >= 400 && code < 600);
	assert_true(why < VGM_WORDS_COUNT);
	o->refused++;
}

static const struct vgm_smtp_events events = {
    on_mail, on_recipient, on_begin, on_body, on_drop, on_message, on_authenticate, on_refused};

static struct vgm_smtp_settings door(void)
{
	return (struct vgm_smtp_settings){.hostname = "mx.in.example",
	    .phone = "",
	    .postmaster = "postmaster@in.example",
	    .language = VGM_EN,
	    .max_size = 2000,
	    .max_recipients = 100,
	    .max_errors = 20,
	    .max_commands = 90,
	    .offer_tls = true,
	    .offer_auth = true};
}

/* ---- holding a conversation ---- */

struct held {
	struct owner owner;
	struct vgm_buf codes;	/* "220 250 ..." */
	struct vgm_buf replies; /* in full */
	bool closed, wants_tls;
};

static void hold_init(struct held *h)
{
	*h = (struct held){.codes = VGM_BUF_INIT(1 << 20), .replies = VGM_BUF_INIT(4 << 20)};
	h->owner.seen = (struct vgm_buf)VGM_BUF_INIT(1 << 20);
	h->owner.body = (struct vgm_buf)VGM_BUF_INIT(1 << 20);
}

static void hold_release(struct held *h)
{
	vgm_smtp_session_free(&h->owner.session);
	vgm_buf_release(&h->codes);
	vgm_buf_release(&h->replies);
	vgm_buf_release(&h->owner.seen);
	vgm_buf_release(&h->owner.body);
}

/* Checks the form of each reply line and notes the codes. */
static void read_replies(struct held *h, struct vgm_buf *out)
{
	struct vgm_slice rest = vgm_buf_slice(out);
	assert_int_equal(vgm_buf_add_slice(&h->replies, rest), 0);
	while (rest.len) {
		size_t lf = vgm_slice_find(rest, '\n');
		assert_true(lf < rest.len && lf >= 4 && lf < 512);
		assert_int_equal(rest.data[lf - 1], '\r');
		for (size_t i = 0; i + 1 < lf; i++)
			assert_true(rest.data[i] >= 32 && rest.data[i] != 127);
		assert_true(rest.data[3] == ' ' || rest.data[3] == '-');
		if (rest.data[3] == ' ')
			assert_int_equal(vgm_buf_addf(&h->codes, "%s%.3s", h->codes.len ? " " : "",
					     (const char *)rest.data),
			    0);
		rest = vgm_slice_from(rest, lf + 1);
	}
	vgm_buf_clear(out);
}

static void open_session(struct held *h, const struct vgm_smtp_settings *set, bool tls)
{
	h->owner.session = vgm_smtp_session_new(set, &events, &h->owner, "R-1");
	if (tls)
		vgm_smtp_session_tls_started(h->owner.session, VGM_SLICE_LIT("TLSv1.3 X"));
	vgm_smtp_session_greet(h->owner.session, fine());
}

static void feed(struct held *h, struct vgm_slice in)
{
	struct vgm_smtp_session *s = h->owner.session;
	/* memory of its own: a sanitizer sees any look beyond */
	uint8_t *copy = vgm_alloc(in.len ? in.len : 1);
	memcpy(copy, in.data, in.len);
	vgm_smtp_session_feed(s, vgm_slice(copy, in.len));
	vgm_free(copy);
	if (vgm_smtp_session_wants(s) == VGM_SMTP_WANT_TLS) {
		h->wants_tls = true;
		vgm_smtp_session_tls_started(s, VGM_SLICE_LIT("TLSv1.3 X"));
	}
	h->closed = vgm_smtp_session_wants(s) == VGM_SMTP_WANT_CLOSE;
}

/* First cut bytes, then step bytes at a time. */
static void hold(struct held *h, const struct vgm_smtp_settings *set, bool tls,
    struct vgm_slice says, size_t cut, size_t step)
{
	hold_init(h);
	open_session(h, set, tls);
	size_t at = 0, n = cut;
	while (at < says.len) {
		feed(h, vgm_slice_sub(says, at, at + n));
		at += vgm_min_size(n, says.len - at);
		n = step;
	}
	read_replies(h, vgm_smtp_session_output(h->owner.session));
	vgm_smtp_session_free(&h->owner.session);
	/* Every body that was begun came to an end. */
	unsigned messages = 0;
	for (const char *p = vgm_buf_str(&h->owner.seen); *p; p++)
		messages += *p == '[';
	assert_int_equal(h->owner.opened, h->owner.dropped + messages);
}

struct conversation {
	const char *name;
	struct vgm_slice says;
	const char *codes, *seen;
	bool closed;
	bool tls;	 /* from the start */
	bool whole_only; /* what it tries needs bytes to come together */
};

#define S(literal)                                                                                 \
	{                                                                                          \
		(const uint8_t *)(literal), sizeof(literal) - 1                                    \
	}

static void check(
    const struct conversation *c, const struct vgm_smtp_settings *set, size_t cut, size_t step)
{
	struct held h;
	hold(&h, set, c->tls, c->says, cut, step);
	bool same = strcmp(vgm_buf_str(&h.codes), c->codes) == 0 &&
		    strcmp(vgm_buf_str(&h.owner.seen), c->seen) == 0 && h.closed == c->closed;
	if (!same)
		print_message(
		    "%s, cut %zu, step %zu:\n got  %s %s closed %d\n want %s %s closed %d\n%s\n",
		    c->name, cut, step, vgm_buf_str(&h.codes), vgm_buf_str(&h.owner.seen), h.closed,
		    c->codes, c->seen, c->closed, vgm_buf_str(&h.replies));
	assert_true(same);
	hold_release(&h);
}

static void check_all(
    const struct conversation *c, size_t count, const struct vgm_smtp_settings *set)
{
	for (size_t i = 0; i < count; i++) {
		size_t len = c[i].says.len;
		check(&c[i], set, len, len);
		if (c[i].whole_only)
			continue;
		check(&c[i], set, 1, 1);
		for (size_t cut = 1; cut < len; cut++)
			check(&c[i], set, cut, len);
	}
}

/* ---- ordinary mail ---- */

/* DATA and the body come apart, as clients must: \x01 stands between feeds. */
static const struct conversation ordinary[] = {
    {"one mail", S(HELLO ENVELOPE "DATA\r\n\1Subject: x\r\n\r\nhi\r\n.\r\nQUIT\r\n"),
	"220 250 250 250 354 250 221", "[a@out.example>b@in.example f16: Subject: x\r\n\r\nhi\r\n]",
	true, 0, 0},
    {"HELO", S("HELO c\r\n" ENVELOPE "DATA\r\n\1hi\r\n.\r\n"), "220 250 250 250 354 250",
	"[a@out.example>b@in.example f0: hi\r\n]", false, 0, 0},
    {"lower case",
	S("ehlo c\r\nmail from:<a@x>\r\nrcpt to:<b@in.example>\r\ndata\r\n\1.\r\nquit\r\n"),
	"220 250 250 250 354 250 221", "[a@x>b@in.example f16: ]", true, 0, 0},
    {"space behind colon",
	S(HELLO "MAIL FROM: <a@x>\r\nRCPT TO: <b@in.example>\r\nDATA\r\n\1.\r\n"),
	"220 250 250 250 354 250", "[a@x>b@in.example f16: ]", false, 0, 0},
    {"null sender", S(HELLO "MAIL FROM:<>\r\nRCPT TO:<b@in.example>\r\nDATA\r\n\1x\r\n.\r\n"),
	"220 250 250 250 354 250", "[>b@in.example f16: x\r\n]", false, 0, 0},
    {"two mails",
	S(HELLO ENVELOPE "DATA\r\n\0011\r\n.\r\n" ENVELOPE "DATA\r\n\0012\r\n.\r\nQUIT\r\n"),
	"220 250 250 250 354 250 250 250 354 250 221",
	"[a@out.example>b@in.example f16: 1\r\n][a@out.example>b@in.example f16: 2\r\n]", true, 0,
	0},
    {"several recipients, one unknown, one twice",
	S(HELLO ENVELOPE "RCPT TO:<unknown@in.example>\r\nRCPT TO:<c@IN.example>\r\nRCPT "
			 "TO:<c@in.example>\r\nDATA\r\n\1x\r\n.\r\n"),
	"220 250 250 250 550 250 250 354 250",
	"[a@out.example>b@in.example,c@in.example f16: x\r\n]", false, 0, 0},
    {"nobody accepted",
	S(HELLO "MAIL FROM:<a@x>\r\nRCPT TO:<unknown@in.example>\r\nDATA\r\n\1RSET\r\n"),
	"220 250 250 550 554 250", "", false, 0, 0},
    {"postmaster", S(HELLO "MAIL FROM:<a@x>\r\nRCPT TO:<Postmaster>\r\nDATA\r\n\1x\r\n.\r\n"),
	"220 250 250 250 354 250", "[a@x>postmaster@in.example f16: x\r\n]", false, 0, 0},
    {"dots", S(HELLO ENVELOPE "DATA\r\n\1..\r\n.a\r\n...b\r\n.\r\n"), "220 250 250 250 354 250",
	"[a@out.example>b@in.example f16: .\r\na\r\n..b\r\n]", false, 0, 0},
    {"8 bit announced",
	S(HELLO "MAIL FROM:<a@x> BODY=8BITMIME SIZE=12\r\nRCPT "
		"TO:<b@in.example>\r\nDATA\r\n\1x\r\n.\r\n"),
	"220 250 250 250 354 250", "[a@x>b@in.example f17: x\r\n]", false, 0, 0},
    {"8 bit seen", S(HELLO ENVELOPE "DATA\r\n\1\xc3\xa9\r\n.\r\n"), "220 250 250 250 354 250",
	"[a@out.example>b@in.example f17: \xc3\xa9\r\n]", false, 0, 0},
    {"SMTPUTF8",
	S(HELLO "MAIL FROM:<h\xc3\xa9@x> SMTPUTF8\r\nRCPT "
		"TO:<z\xc3\xb6@in.example>\r\nDATA\r\n\1x\r\n.\r\n"),
	"220 250 250 250 354 250", "[h\xc3\xa9@x>z\xc3\xb6@in.example f18: x\r\n]", false, 0, 0},
    {"DSN",
	S(HELLO "MAIL FROM:<a@x> RET=HDRS ENVID=QQ+2B1\r\nRCPT TO:<b@in.example> "
		"NOTIFY=SUCCESS,delay ORCPT=rfc822;b+2Bc@in.example\r\nRCPT TO:<c@in.example> "
		"NOTIFY=NEVER\r\nDATA\r\n\1x\r\n.\r\n"),
	"220 250 250 250 250 354 250",
	"[a@x>b@in.example 10 rfc822;b+c@in.example,c@in.example 1  envid QQ+1 ret 2 f16: x\r\n]",
	false, 0, 0},
    {"RSET", S(HELLO ENVELOPE "RSET\r\nDATA\r\n\1" ENVELOPE "DATA\r\n\1x\r\n.\r\n"),
	"220 250 250 250 250 503 250 250 354 250", "[a@out.example>b@in.example f16: x\r\n]", false,
	0, 0},
    {"EHLO resets", S(HELLO ENVELOPE HELLO "RCPT TO:<b@in.example>\r\n"), "220 250 250 250 250 503",
	"", false, 0, 0},
    {"small talk",
	S("NOOP\r\nNOOP x y\r\nHELP\r\nVRFY b\r\nEXPN l\r\nRSET\r\n" HELLO "NOOP\r\nRSET\r\n"),
	"220 250 250 214 252 502 250 250 250 250", "", false, 0, 0},
    {"source route",
	S(HELLO "MAIL FROM:<@r.example:a@x>\r\nRCPT "
		"TO:<@r.example,@q.example:b@in.example>\r\nDATA\r\n\1x\r\n.\r\n"),
	"220 250 250 250 354 250", "[a@x>b@in.example f16: x\r\n]", false, 0, 0},
    {"BDAT", S(HELLO ENVELOPE "BDAT 4\r\nab\r\nBDAT 5 LAST\r\n.\r\nc\nQUIT\r\n"),
	"220 250 250 250 250 550 221", "", true, 0, 0},
    {"BDAT clean", S(HELLO ENVELOPE "BDAT 4\r\nab\r\nBDAT 6 last\r\n.\r\nc\r\nQUIT\r\n"),
	"220 250 250 250 250 250 221", "[a@out.example>b@in.example f16: ab\r\n.\r\nc\r\n]", true,
	0, 0},
    {"BDAT cut inside CR LF", S(HELLO ENVELOPE "BDAT 3\r\nab\rBDAT 1 LAST\r\n\nQUIT\r\n"),
	"220 250 250 250 250 250 221", "[a@out.example>b@in.example f16: ab\r\n]", true, 0, 0},
    {"BDAT 0 LAST alone", S(HELLO ENVELOPE "BDAT 0 LAST\r\nNOOP\r\n"), "220 250 250 250 250 250",
	"[a@out.example>b@in.example f16: ]", false, 0, 0},
    {"BDAT 0 LAST behind chunks", S(HELLO ENVELOPE "BDAT 3\r\na\r\nBDAT 0\r\nBDAT 0 LAST\r\n"),
	"220 250 250 250 250 250 250", "[a@out.example>b@in.example f16: a\r\n]", false, 0, 0},
    {"deferred sender", S(HELLO "MAIL FROM:<later@out.example>\r\nRCPT TO:<b@in.example>\r\n"),
	"220 250 451 503", "", false, 0, 0},
};

/* Cuts a conversation at \1 and feeds what lies between in pieces. */
static void check_turns(
    const struct conversation *c, const struct vgm_smtp_settings *set, size_t step)
{
	struct held h;
	hold_init(&h);
	open_session(&h, set, c->tls);
	struct vgm_slice rest = c->says;
	while (rest.len) {
		size_t end = vgm_slice_find(rest, 1);
		struct vgm_slice turn = vgm_slice_sub(rest, 0, end);
		for (size_t at = 0; at < turn.len; at += step)
			feed(&h, vgm_slice_sub(turn, at, at + step));
		rest = vgm_slice_from(rest, end + 1);
	}
	read_replies(&h, vgm_smtp_session_output(h.owner.session));
	if (strcmp(vgm_buf_str(&h.codes), c->codes) || strcmp(vgm_buf_str(&h.owner.seen), c->seen))
		print_message("%s, step %zu:\n%s\n%s\n%s\n", c->name, step, vgm_buf_str(&h.codes),
		    c->codes, vgm_buf_str(&h.replies));
	assert_string_equal(vgm_buf_str(&h.codes), c->codes);
	assert_string_equal(vgm_buf_str(&h.owner.seen), c->seen);
	assert_int_equal(h.closed, c->closed);
	hold_release(&h);
}

static void test_ordinary(void **state)
{
	(void)state;
	struct vgm_smtp_settings set = door();
	for (size_t i = 0; i < VGM_ARRAY_LEN(ordinary); i++)
		for (size_t step = 1; step <= ordinary[i].says.len; step++)
			check_turns(&ordinary[i], &set, step);
}

/* ---- wrong line ends, wrong bytes (cases 32, 33, 34, 45) ---- */

static const struct conversation lines[] = {
    {"LF", S("EHLO c\n"), "220 500", "", false, 0, 0},
    {"LF hides a command", S(HELLO "NOOP\nNOOP\r\nNOOP\r\n"), "220 250 500 250", "", false, 0, 0},
    {"LF each time", S("NOOP\nNOOP\nNOOP\n"), "220 500 500 500", "", false, 0, 0},
    {"CR hides a command", S(HELLO "NOOP\rQUIT\r\nNOOP\r\n"), "220 250 500 250", "", false, 0, 0},
    {"CR CR LF", S(HELLO "NOOP\r\r\nNOOP\r\n"), "220 250 500 250", "", false, 0, 0},
    {"NUL", S(HELLO "NOOP\0\r\nNO\0OP\r\nNOOP\r\n"), "220 250 500 500 250", "", false, 0, 0},
    {"NUL in MAIL", S(HELLO "MAIL FROM:<a\0@x>\r\n"), "220 250 500", "", false, 0, 0},
    {"escape in EHLO", S("EHLO \x1b[2Jx\r\n"), "220 500", "", false, 0, 0},
    {"escape in MAIL", S(HELLO "MAIL FROM:<a\x1b@x>\r\n"), "220 250 500", "", false, 0, 0},
    {"TAB", S(HELLO "MAIL\tFROM:<a@x>\r\n"), "220 250 500", "", false, 0, 0},
    {"empty line", S(HELLO "\r\nNOOP\r\n"), "220 250 500 250", "", false, 0, 0},
    {"unfinished", S(HELLO "NOO"), "220 250", "", false, 0, 0},
    {"EHLO without name", S("EHLO\r\nEHLO  \r\nHELO\r\nEHLO a b\r\nEHLO h\xc3\xa9\r\n"),
	"220 501 501 501 501 501", "", false, 0, 0},
    {"unknown verbs", S(HELLO "XCLIENT ADDR=1.2.3.4\r\nXFORWARD NAME=x\r\nETRN x\r\nTURN\r\n"),
	"220 250 500 500 500 500", "", false, 0, 0},
    {"verbs run on", S(HELLO "NOOPX\r\nMAILFROM:<a@x>\r\nQUIT.\r\n"), "220 250 500 500 500", "",
	false, 0, 0},
    {"arguments where none go", S(HELLO "RSET x\r\nQUIT now\r\nSTARTTLS x\r\n"),
	"220 250 501 501 501", "", false, 0, 0},
};

static void test_lines(void **state)
{
	(void)state;
	struct vgm_smtp_settings set = door();
	check_all(lines, VGM_ARRAY_LEN(lines), &set);
}

/* ---- wrong order, for each verb in each state (cases 31, 40, 54) ---- */

/* The states, and how one gets there. */
static const struct {
	const char *name, *way, *codes;
} places[] = {
    {"greeted", "", ""},
    {"ready", HELLO, " 250"},
    {"mail", HELLO "MAIL FROM:<a@x>\r\n", " 250 250"},
    {"rcpt", HELLO ENVELOPE, " 250 250 250"},
    {"between", HELLO ENVELOPE "BDAT 3\r\na\r\n", " 250 250 250 250"},
};

/* A verb's code in each of these states. */
static const struct {
	const char *says;
	unsigned code[VGM_ARRAY_LEN(places)];
} verbs[] = {
    {"EHLO c\r\n", {250, 250, 250, 250, 250}},
    {"HELO c\r\n", {250, 250, 250, 250, 250}},
    {"MAIL FROM:<a@x>\r\n", {503, 250, 503, 503, 503}},
    {"RCPT TO:<c@in.example>\r\n", {503, 503, 250, 250, 503}},
    {"DATA\r\n", {503, 503, 503, 354, 503}},
    {"BDAT 0\r\n", {503, 503, 503, 250, 250}},
    {"BDAT 0 LAST\r\n", {503, 503, 503, 250, 250}},
    {"RSET\r\n", {250, 250, 250, 250, 250}},
    {"NOOP\r\n", {250, 250, 250, 250, 250}},
    {"VRFY b\r\n", {252, 252, 252, 252, 252}},
    {"EXPN b\r\n", {502, 502, 502, 502, 502}},
    {"HELP\r\n", {214, 214, 214, 214, 214}},
    {"QUIT\r\n", {221, 221, 221, 221, 221}},
    {"STARTTLS\r\n", {220, 220, 503, 503, 503}},
    {"AUTH PLAIN\r\n", {503, 538, 503, 503, 503}},
    {"TURN\r\n", {500, 500, 500, 500, 500}},
};

static void test_verb_in_state(void **state)
{
	(void)state;
	struct vgm_smtp_settings set = door();
	for (size_t p = 0; p < VGM_ARRAY_LEN(places); p++)
		for (size_t v = 0; v < VGM_ARRAY_LEN(verbs); v++) {
			VGM_CLEANUP(vgm_buf_release)
			struct vgm_buf says = VGM_BUF_INIT(1000),
				       codes = VGM_BUF_INIT(100);
			assert_int_equal(
			    vgm_buf_addf(&says, "%s%s", places[p].way, verbs[v].says), 0);
			assert_int_equal(
			    vgm_buf_addf(&codes, "220%s %u", places[p].codes, verbs[v].code[p]), 0);
			struct held h;
			hold(&h, &set, false, vgm_buf_slice(&says), says.len, 1);
			if (strcmp(vgm_buf_str(&h.codes), vgm_buf_str(&codes)))
				print_message("%s in state %s\n", verbs[v].says, places[p].name);
			assert_string_equal(vgm_buf_str(&h.codes), vgm_buf_str(&codes));
			assert_int_equal(h.closed, verbs[v].code[p] == 221);
			hold_release(&h);
		}
}

static const struct conversation order[] = {
    {"after QUIT nothing", S(HELLO "QUIT\r\n" ENVELOPE "DATA\r\n"), "220 250 221", "", true, 0, 0},
    {"MAIL twice keeps the first", S(HELLO ENVELOPE "MAIL FROM:<z@x>\r\nBDAT 3 LAST\r\nx\r\n"),
	"220 250 250 250 503 250", "[a@out.example>b@in.example f16: x\r\n]", false, 0, 0},
    {"DATA behind BDAT", S(HELLO ENVELOPE "BDAT 3\r\nx\r\nDATA\r\n"), "220 250 250 250 250 503", "",
	false, 0, 0},
    {"second STARTTLS", S("EHLO c\r\nSTARTTLS\r\n"), "220 250 503", "", false, true, 0},
};

static void test_order(void **state)
{
	(void)state;
	struct vgm_smtp_settings set = door();
	check_all(order, VGM_ARRAY_LEN(order), &set);
}

/* ---- parameters (cases 44, 46, 48, 50) ---- */

static const struct {
	const char *says; /* behind EHLO; then, for RCPT, a MAIL */
	unsigned code;
} parameters[] = {
    {"MAIL FROM:<a@x> SIZE=2000", 250},
    {"MAIL FROM:<a@x> SIZE=2001", 552},
    {"MAIL FROM:<a@x> SIZE=18446744073709551615", 552},
    {"MAIL FROM:<a@x> SIZE=99999999999999999999", 552},
    {"MAIL FROM:<a@x> SIZE=999999999999999999999", 501},
    {"MAIL FROM:<a@x> SIZE=-1", 501},
    {"MAIL FROM:<a@x> SIZE=", 501},
    {"MAIL FROM:<a@x> SIZE", 501},
    {"MAIL FROM:<a@x> SIZE=1 SIZE=1", 501},
    {"MAIL FROM:<a@x> SIZE=1x", 501},
    {"MAIL FROM:<a@x> BODY=7BIT", 250},
    {"MAIL FROM:<a@x> body=8bitmime", 250},
    {"MAIL FROM:<a@x> BODY=BINARYMIME", 501},
    {"MAIL FROM:<a@x> BODY=", 501},
    {"MAIL FROM:<a@x> BODY=7BIT BODY=8BITMIME", 501},
    {"MAIL FROM:<a@x> SMTPUTF8", 250},
    {"MAIL FROM:<a@x> SMTPUTF8=1", 501},
    {"MAIL FROM:<h\xc3\xa9@x>", 553},
    {"MAIL FROM:<h\xc3@x> SMTPUTF8", 501},
    {"MAIL FROM:<h\xc0\xafx@x> SMTPUTF8", 501},
    {"MAIL FROM:<h\xed\xa0\x80x@x> SMTPUTF8", 501},
    {"MAIL FROM:<a@x> RET=FULL", 250},
    {"MAIL FROM:<a@x> RET=HDRS ENVID=abc", 250},
    {"MAIL FROM:<a@x> RET=BOTH", 501},
    {"MAIL FROM:<a@x> RET=FULL RET=HDRS", 501},
    {"MAIL FROM:<a@x> ENVID=", 501},
    {"MAIL FROM:<a@x> ENVID=a+0D+0AMAIL", 501},
    {"MAIL FROM:<a@x> ENVID=a+0a", 501},
    {"MAIL FROM:<a@x> ENVID=a+00", 501},
    {"MAIL FROM:<a@x> AUTH=<>", 250},
    {"MAIL FROM:<a@x> AUTH=e+3Dmc2@x.example", 250},
    {"MAIL FROM:<a@x> AUTH=a+0D+0A", 501},
    {"MAIL FROM:<a@x> AUTH=", 501},
    {"MAIL FROM:<a@x> XYZ=1", 555},
    {"MAIL FROM:<a@x> =1", 501},
    {"MAIL FROM:<a@x> A==1", 501},
    {"MAIL FROM:<a@x>SIZE=1", 501},
    {"MAIL FROM:<a@x> ", 250},
    {"MAIL FROM:<a@x>  SIZE=1  RET=FULL ", 250},
    {"MAIL FROM:<;touch /tmp/x@x>", 501},
    {"MAIL FROM:<${run{id}}@x>", 250},
    {"MAIL FROM:<`id`|x@x>", 250},
    {"MAIL FROM:a@x", 501},
    {"MAIL FROM:", 501},
    {"MAIL FROM", 501},
    {"MAIL", 501},
    {"MAIL TO:<a@x>", 501},
    {"MAIL FROM:<postmaster>", 501},
    {"RCPT TO:<>", 501},
    {"RCPT FROM:<b@in.example>", 501},
    {"RCPT TO:<b@in.example> NOTIFY=NEVER", 250},
    {"RCPT TO:<b@in.example> NOTIFY=SUCCESS,FAILURE,DELAY", 250},
    {"RCPT TO:<b@in.example> NOTIFY=NEVER,SUCCESS", 501},
    {"RCPT TO:<b@in.example> NOTIFY=SOMETIMES", 501},
    {"RCPT TO:<b@in.example> NOTIFY=SUCCESS,", 501},
    {"RCPT TO:<b@in.example> NOTIFY=,SUCCESS", 501},
    {"RCPT TO:<b@in.example> NOTIFY=", 501},
    {"RCPT TO:<b@in.example> NOTIFY=NEVER NOTIFY=NEVER", 501},
    {"RCPT TO:<b@in.example> ORCPT=rfc822;x@y", 250},
    {"RCPT TO:<b@in.example> ORCPT=rfc822;x+0D+0ARCPT", 501},
    {"RCPT TO:<b@in.example> ORCPT=rfc822;", 501},
    {"RCPT TO:<b@in.example> ORCPT=;x", 501},
    {"RCPT TO:<b@in.example> ORCPT=x", 501},
    {"RCPT TO:<b@in.example> ORCPT=r f;x", 501},
    {"RCPT TO:<b@in.example> SIZE=1", 555},
    {"RCPT TO:<h\xc3\xa9@in.example>", 553},
    {"RCPT TO:<b@in.example> ORCPT=rfc822;\xc3\xa9", 553},
    {"RCPT TO:<b@in.example", 501},
};

static void test_parameters(void **state)
{
	(void)state;
	struct vgm_smtp_settings set = door();
	for (size_t i = 0; i < VGM_ARRAY_LEN(parameters); i++) {
		bool rcpt = parameters[i].says[0] == 'R';
		VGM_CLEANUP(vgm_buf_release)
		struct vgm_buf says = VGM_BUF_INIT(1000),
			       codes = VGM_BUF_INIT(100);
		assert_int_equal(vgm_buf_addf(&says, HELLO "%s%s\r\nNOOP\r\n",
				     rcpt ? "MAIL FROM:<a@x>\r\n" : "", parameters[i].says),
		    0);
		assert_int_equal(vgm_buf_addf(&codes, "220 250%s %u 250", rcpt ? " 250" : "",
				     parameters[i].code),
		    0);
		struct conversation c = {parameters[i].says, vgm_buf_slice(&says),
		    vgm_buf_str(&codes), "", false, false, false};
		check_all(&c, 1, &set);
	}
}

/* ---- ends of data that are none (case 27), NUL in bodies (34) ---- */

static const struct {
	const char *name;
	struct vgm_slice end;
	unsigned repaired; /* the code on a door that repairs */
} ends[] = {
    {"LF.LF", S("\n.\n"), 250},
    {"LF.CR", S("\n.\r"), 250},
    {"LF.CRLF", S("\n.\r\n"), 250},
    {"CR.LF", S("\r.\n"), 250},
    {"CR.CR", S("\r.\r"), 250},
    {"CR.CRLF", S("\r.\r\n"), 250},
    {"CRLF.LF", S("\r\n.\n"), 250},
    {"CRLF.CR", S("\r\n.\rx"), 250},
    {"CRLF.NUL CRLF", S("\r\n.\0\r\n"), 550},
    {"CRLF NUL.CRLF", S("\r\n\0.\r\n"), 550},
    {"CRCRLF.CRCRLF", S("\r\r\n.\r\r\n"), 250},
    {"LFLF.LFLF", S("\n\n.\n\n"), 250},
    {"CRLF.CRCRLF", S("\r\n.\r\r\n"), 250},
    {"CR NUL LF", S("\r\0\n.\r\n"), 550},
    {"NUL", S("a\0b"), 550},
    {"bare LF", S("a\nb"), 250},
    {"bare CR", S("a\rb"), 250},
    {"LF CR", S("\n\r.\n\r"), 250},
    {"VT", S("\r\n.\v\r\n"), 0},
    {"space", S("\r\n. \r\n"), 0},
};

static void test_smuggling(void **state)
{
	(void)state;
	static const char hidden[] =
	    "MAIL FROM:<evil@x>\r\nRCPT TO:<b@in.example>\r\nDATA\r\nx\r\n.\r\n";
	struct vgm_smtp_settings strict = door(), repairs = door();
	repairs.machines = true;
	for (size_t i = 0; i < VGM_ARRAY_LEN(ends); i++)
		for (int repair = 0; repair < 2; repair++) {
			VGM_CLEANUP(vgm_buf_release)
			struct vgm_buf text = VGM_BUF_INIT(1000),
				       codes = VGM_BUF_INIT(100);
			assert_int_equal(vgm_buf_add_str(&text, "outer"), 0);
			assert_int_equal(vgm_buf_add_slice(&text, ends[i].end), 0);
			/* The hidden mail ends with the first true end: one message, never two. */
			assert_int_equal(vgm_buf_add(&text, hidden, sizeof hidden - 1), 0);
			unsigned code = repair ? ends[i].repaired : 550;
			if (ends[i].repaired == 0)
				code = 250;
			assert_int_equal(vgm_buf_addf(&codes, "220 250 250 250 354 %u", code), 0);
			for (size_t step = 1; step <= text.len; step++) {
				struct held h;
				hold_init(&h);
				open_session(&h, repair ? &repairs : &strict, false);
				feed(&h, VGM_SLICE_LIT(HELLO ENVELOPE "DATA\r\n"));
				for (size_t at = 0; at < text.len; at += step)
					feed(
					    &h, vgm_slice_sub(vgm_buf_slice(&text), at, at + step));
				read_replies(&h, vgm_smtp_session_output(h.owner.session));
				if (strcmp(vgm_buf_str(&h.codes), vgm_buf_str(&codes)))
					print_message("%s, repair %d, step %zu\n", ends[i].name,
					    repair, step);
				assert_string_equal(vgm_buf_str(&h.codes), vgm_buf_str(&codes));
				if (code == 250)
					assert_int_equal(
					    vgm_smtp_scan(vgm_buf_slice(&h.owner.body)) &
						(VGM_SMTP_SCAN_BARE | VGM_SMTP_SCAN_NUL),
					    0);
				hold_release(&h);
			}
		}
}

/* ---- cuts (cases 30, 33, 38, 39, 41, 49, 52) ---- */

static const struct conversation cuts[] = {
    {"HTTP", S("POST / HTTP/1.1\r\nHost: mx\r\n\r\nMAIL FROM:<a@x>\r\n"), "220 500", "", true, 0,
	0},
    {"HTTP later", S(HELLO "GET / HTTP/1.1\r\nNOOP\r\n"), "220 250 500", "", true, 0, 0},
    {"header line", S("Content-Length: 12\r\nNOOP\r\n"), "220 500", "", true, 0, 0},
    {"Redis", S("*1\r\n$4\r\nPING\r\n"), "220 500", "", true, 0, 0},
    {"Redis inline", S("PING\r\n"), "220 500", "", true, 0, 0},
    {"TLS on a clear port", S("\x16\x03\x01\x02"), "220 500", "", true, 0, 0},
    {"PROXY from a stranger", S("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nNOOP\r\n"), "220 500", "", true,
	0, 0},
    {"early body", S(HELLO ENVELOPE "DATA\r\nSubject: x\r\n\r\n.\r\n"), "220 250 250 250 554", "",
	true, 0, true},
    {"early body, DATA refused", S(HELLO "MAIL FROM:<a@x>\r\nDATA\r\nMAIL FROM:<z@x>\r\n"),
	"220 250 250 554", "", true, 0, true},
    {"BDAT without a number", S(HELLO ENVELOPE "BDAT x\r\nNOOP\r\n"), "220 250 250 250 501", "",
	true, 0, 0},
    {"BDAT -1", S(HELLO ENVELOPE "BDAT -1\r\nNOOP\r\n"), "220 250 250 250 501", "", true, 0, 0},
    {"BDAT nothing", S(HELLO ENVELOPE "BDAT\r\nNOOP\r\n"), "220 250 250 250 501", "", true, 0, 0},
    {"BDAT 1 FIRST", S(HELLO ENVELOPE "BDAT 1 FIRST\r\nx"), "220 250 250 250 501", "", true, 0, 0},
    {"BDAT 10 times", S(HELLO ENVELOPE "BDAT 20000\r\n"), "220 250 250 250 552", "", true, 0, 0},
    {"BDAT 2^32", S(HELLO ENVELOPE "BDAT 4294967296 LAST\r\n"), "220 250 250 250 552", "", true, 0,
	0},
    {"BDAT 2^64-1", S(HELLO ENVELOPE "BDAT 18446744073709551615\r\n"), "220 250 250 250 552", "",
	true, 0, 0},
    {"BDAT 2^64", S(HELLO ENVELOPE "BDAT 18446744073709551616\r\n"), "220 250 250 250 501", "",
	true, 0, 0},
    {"BDAT without MAIL is read over", S(HELLO "BDAT 6\r\nQUIT\r\nNOOP\r\n"), "220 250 503 250", "",
	false, 0, 0},
    {"BDAT without RCPT is read over",
	S(HELLO "MAIL FROM:<a@x>\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"), "220 250 250 503 250", "",
	false, 0, 0},
    {"STARTTLS drops what follows", S(HELLO "STARTTLS\r\nMAIL FROM:<evil@x>\r\nQUIT\r\n"),
	"220 250 220", "", false, 0, true},
};

static void test_cuts(void **state)
{
	(void)state;
	struct vgm_smtp_settings set = door();
	check_all(cuts, VGM_ARRAY_LEN(cuts), &set);
}

static void test_after_starttls(void **state)
{
	(void)state;
	struct vgm_smtp_settings set = door();
	struct held h;
	hold_init(&h);
	open_session(&h, &set, false);
	feed(&h, VGM_SLICE_LIT(HELLO "STARTTLS\r\nNOOP\r\n"));
	assert_true(h.wants_tls);
	/* all is forgotten: MAIL needs a new EHLO; STARTTLS is not offered again */
	feed(&h, VGM_SLICE_LIT("MAIL FROM:<a@x>\r\n" HELLO "STARTTLS\r\n"));
	read_replies(&h, vgm_smtp_session_output(h.owner.session));
	assert_string_equal(vgm_buf_str(&h.codes), "220 250 220 503 250 503");
	const char *behind = strstr(vgm_buf_str(&h.replies), "503");
	assert_null(strstr(behind, "STARTTLS\r\n"));
	assert_non_null(strstr(behind, "AUTH PLAIN LOGIN\r\n"));
	hold_release(&h);
}

static void test_long_lines(void **state)
{
	(void)state;
	static const struct {
		size_t len;
		bool closed;
	} sizes[] = {{512, false}, {2046, false}, {2047, false}, {2048, false}, {2049, false},
	    {60000, false}, {65537, true}, {1 << 20, true}, {16 << 20, true}};
	struct vgm_smtp_settings set = door();
	uint8_t block[4096];
	memset(block, 'x', sizeof block);
	for (size_t i = 0; i < VGM_ARRAY_LEN(sizes); i++) {
		struct held h;
		hold_init(&h);
		open_session(&h, &set, false);
		feed(&h, VGM_SLICE_LIT("NOOP "));
		for (size_t left = sizes[i].len; left && !h.closed;) {
			size_t n = vgm_min_size(left, sizeof block);
			feed(&h, vgm_slice(block, n));
			left -= n;
		}
		feed(&h, VGM_SLICE_LIT("\r\nNOOP\r\n"));
		read_replies(&h, vgm_smtp_session_output(h.owner.session));
		assert_string_equal(
		    vgm_buf_str(&h.codes), sizes[i].closed ? "220 500" : "220 500 250");
		assert_int_equal(h.closed, sizes[i].closed);
		hold_release(&h);
	}
	/* whole in one feed, as from a socket */
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf line = VGM_BUF_INIT(10000);
	assert_int_equal(vgm_buf_add_str(&line, "NOOP "), 0);
	assert_int_equal(vgm_buf_add(&line, block, sizeof block), 0);
	assert_int_equal(vgm_buf_add_str(&line, "\r\n"), 0);
	struct held h;
	hold(&h, &set, false, vgm_buf_slice(&line), line.len, 1);
	assert_string_equal(vgm_buf_str(&h.codes), "220 500");
	hold_release(&h);
	/* 510 bytes and CR LF are allowed */
	vgm_buf_truncate(&line, 510);
	assert_int_equal(vgm_buf_add_str(&line, "\r\n"), 0);
	hold(&h, &set, false, vgm_buf_slice(&line), line.len, 1);
	assert_string_equal(vgm_buf_str(&h.codes), "220 250");
	hold_release(&h);
}

static void test_too_many_commands(void **state)
{
	(void)state;
	static const char *const says[] = {
	    "NOOP\r\n", "RSET\r\n", "VRFY x\r\n", "EHLO x\r\n", "HELP\r\n", "JUNK\r\n"};
	struct vgm_smtp_settings set = door();
	for (size_t i = 0; i < VGM_ARRAY_LEN(says); i++) {
		struct held h;
		hold_init(&h);
		open_session(&h, &set, false);
		size_t sent = 0;
		while (!h.closed && sent < 1000) {
			feed(&h, vgm_slice_str(says[i]));
			sent++;
		}
		assert_true(h.closed && sent <= 100);
		read_replies(&h, vgm_smtp_session_output(h.owner.session));
		assert_non_null(strstr(vgm_buf_str(&h.codes), " 421"));
		hold_release(&h);
	}
}

/* Mail in between makes room for more commands: a good client is never cut. */
static void test_commands_between_mails(void **state)
{
	(void)state;
	struct vgm_smtp_settings set = door();
	struct held h;
	hold_init(&h);
	open_session(&h, &set, false);
	feed(&h, VGM_SLICE_LIT(HELLO));
	for (int i = 0; i < 500 && !h.closed; i++) {
		feed(&h, VGM_SLICE_LIT("NOOP\r\nRSET\r\n" ENVELOPE "DATA\r\n"));
		feed(&h, VGM_SLICE_LIT("x\r\n.\r\n"));
	}
	assert_false(h.closed);
	hold_release(&h);
}

static void test_too_many_errors(void **state)
{
	(void)state;
	struct vgm_smtp_settings set = door();
	struct held h;
	hold_init(&h);
	open_session(&h, &set, false);
	feed(&h, VGM_SLICE_LIT(HELLO "MAIL FROM:<a@x>\r\n"));
	size_t sent = 0;
	while (!h.closed && sent++ < 100)
		feed(&h, VGM_SLICE_LIT("RCPT TO:<unknown@in.example>\r\n"));
	assert_int_equal(sent, set.max_errors);
	hold_release(&h);
}

/* Case 43: 452 behind the limit, nobody is cut, the first ones stand. */
static void test_many_recipients(void **state)
{
	(void)state;
	struct vgm_smtp_settings set = door();
	struct held h;
	hold_init(&h);
	open_session(&h, &set, false);
	feed(&h, VGM_SLICE_LIT(HELLO "MAIL FROM:<a@x>\r\n"));
	for (int i = 0; i < 5000; i++) {
		char line[60];
		int n = snprintf(line, sizeof line, "RCPT TO:<r%d@in.example>\r\n", i);
		feed(&h, vgm_slice(line, (size_t)n));
		read_replies(&h, vgm_smtp_session_output(h.owner.session));
	}
	assert_false(h.closed);
	feed(&h, VGM_SLICE_LIT("DATA\r\n"));
	feed(&h, VGM_SLICE_LIT("x\r\n.\r\n"));
	read_replies(&h, vgm_smtp_session_output(h.owner.session));
	unsigned accepted = 0, later = 0;
	for (const char *p = vgm_buf_str(&h.codes); (p = strstr(p, " 452")) != NULL; p++)
		later++;
	for (const char *p = vgm_buf_str(&h.owner.seen); (p = strchr(p, ',')) != NULL; p++)
		accepted++;
	assert_int_equal(accepted + 1, set.max_recipients);
	assert_int_equal(later, 5000 - set.max_recipients);
	hold_release(&h);
}

/* At least 100 of the longest ordinary addresses fit one message between processes. */
static void test_long_recipients(void **state)
{
	(void)state;
	struct vgm_smtp_settings set = door();
	set.max_recipients = 1000;
	struct held h;
	hold_init(&h);
	open_session(&h, &set, false);
	feed(&h, VGM_SLICE_LIT(HELLO "MAIL FROM:<a@x>\r\n"));
	unsigned accepted = 0;
	for (int i = 0; i < 1000; i++) {
		char line[400];
		int n = snprintf(line, sizeof line, "RCPT TO:<r%060d@%060d.%060d.%060d.%060d>\r\n",
		    i, 1, 2, 3, 4);
		feed(&h, vgm_slice(line, (size_t)n));
		struct vgm_buf *out = vgm_smtp_session_output(h.owner.session);
		accepted += vgm_slice_starts_nocase(vgm_buf_slice(out), VGM_SLICE_LIT("250")) ||
			    strstr(vgm_buf_str(out), "\n250 2.1.5") != NULL;
		vgm_buf_clear(out);
	}
	assert_true(accepted >= 100 && accepted < 300);
	hold_release(&h);
}

/* ---- sizes (case 44): refused, in step, memory given back early ---- */

static void test_too_big(void **state)
{
	(void)state;
	struct vgm_smtp_settings set = door();
	static const size_t steps[] = {1, 7, 100, 5000};
	for (size_t i = 0; i < VGM_ARRAY_LEN(steps); i++) {
		VGM_CLEANUP(vgm_buf_release) struct vgm_buf body = VGM_BUF_INIT(10000);
		while (body.len < 3000)
			assert_int_equal(vgm_buf_add_str(&body, "line of text\r\n"), 0);
		assert_int_equal(vgm_buf_add_str(&body, ".\r\nNOOP\r\n"), 0);
		struct held h;
		hold_init(&h);
		open_session(&h, &set, false);
		feed(&h, VGM_SLICE_LIT(HELLO ENVELOPE "DATA\r\n"));
		for (size_t at = 0; at < body.len; at += steps[i])
			feed(&h, vgm_slice_sub(vgm_buf_slice(&body), at, at + steps[i]));
		read_replies(&h, vgm_smtp_session_output(h.owner.session));
		assert_string_equal(vgm_buf_str(&h.codes), "220 250 250 250 354 552 250");
		assert_true(h.owner.body.len <= set.max_size);
		assert_int_equal(h.owner.dropped, 1);
		hold_release(&h);
	}
}

static void test_endless_body(void **state)
{
	(void)state;
	struct vgm_smtp_settings set = door();
	struct held h;
	hold_init(&h);
	open_session(&h, &set, false);
	feed(&h, VGM_SLICE_LIT(HELLO ENVELOPE "DATA\r\n"));
	size_t fed = 0;
	while (!h.closed && fed < 100000) {
		feed(&h, VGM_SLICE_LIT("endless text\r\n"));
		fed += 14;
	}
	assert_true(fed < set.max_size * 5);
	hold_release(&h);
}

static void test_bdat_too_big(void **state)
{
	(void)state;
	struct vgm_smtp_settings set = door();
	set.max_size = 10;
	static const struct conversation c[] = {
	    {"second chunk over",
		S(HELLO ENVELOPE
		    "BDAT 8\r\n123456\r\nBDAT 8\r\nQUIT\r\nZZNOOP\r\nBDAT 2 LAST\r\nxxNOOP\r\n"),
		"220 250 250 250 250 552 250 503 250", "", false, 0, 0},
	    {"first chunk over", S(HELLO ENVELOPE "BDAT 11 LAST\r\n01234567890NOOP\r\n"),
		"220 250 250 250 552 250", "", false, 0, 0},
	    {"just fits", S(HELLO ENVELOPE "BDAT 8\r\n12345678BDAT 2 LAST\r\n\r\nNOOP\r\n"),
		"220 250 250 250 250 250 250", "[a@out.example>b@in.example f16: 12345678\r\n]",
		false, 0, 0},
	};
	check_all(c, VGM_ARRAY_LEN(c), &set);
}

static void test_no_room(void **state)
{
	(void)state;
	struct vgm_smtp_settings set = door();
	struct held h;
	hold_init(&h);
	h.owner.no_room = true;
	open_session(&h, &set, false);
	feed(&h, VGM_SLICE_LIT(HELLO ENVELOPE "DATA\r\n"));
	feed(&h, VGM_SLICE_LIT(ENVELOPE "BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"));
	/* from now on there is room, but not for all of it */
	h.owner.no_room = false;
	h.owner.body.ceiling = 100;
	feed(&h, VGM_SLICE_LIT(ENVELOPE "DATA\r\n"));
	for (int i = 0; i < 20; i++)
		feed(&h, VGM_SLICE_LIT("line of text\r\n"));
	feed(&h, VGM_SLICE_LIT(".\r\nNOOP\r\n"));
	read_replies(&h, vgm_smtp_session_output(h.owner.session));
	assert_string_equal(
	    vgm_buf_str(&h.codes), "220 250 250 250 452 250 250 452 250 250 250 354 452 250");
	assert_int_equal(h.owner.dropped, 1);
	hold_release(&h);
}

/* ---- machines: wrong line ends pass, and are counted ---- */

static void test_machines(void **state)
{
	(void)state;
	struct vgm_smtp_settings set = door();
	set.machines = true;
	set.offer_tls = set.offer_auth = false;
	static const struct conversation c[] = {
	    {"bare addresses and line feeds",
		S("HELO copier room 3\r\nMAIL FROM:scan@in.example\r\nRCPT "
		  "TO:b@in.example\r\nDATA\r\n\1Subject: scan\n\na\rb\r\n.\r\n"),
		"220 250 250 250 354 250",
		"[scan@in.example>b@in.example f8: Subject: scan\r\n\r\na\r\nb\r\n]", false, 0, 0},
	    {"no TLS, no AUTH", S("EHLO c\r\nSTARTTLS\r\nAUTH PLAIN AAA=\r\n"), "220 250 502 502",
		"", false, 0, 0},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(c); i++)
		for (size_t step = 1; step < c[i].says.len; step++)
			check_turns(&c[i], &set, step);
}

/* ---- signing in ---- */

#define GOOD "AGFubmEAc2VjcmV0"		   /* \0anna\0secret */
#define GOOD_AS "YW5uYQBhbm5hAHNlY3JldA==" /* anna\0anna\0secret */
#define OTHER_AS "ZXZlAGFubmEAc2VjcmV0"	   /* eve\0anna\0secret */
#define WRONG "AGFubmEAd3Jvbmc="	   /* \0anna\0wrong */

static const struct conversation logins[] = {
    {"plain", S(HELLO "AUTH PLAIN " GOOD "\r\nMAIL FROM:<a@x>\r\n"), "220 250 235 250", "(anna)",
	false, true, 0},
    {"plain, own line", S(HELLO "AUTH PLAIN\r\n" GOOD "\r\nMAIL FROM:<a@x>\r\n"),
	"220 250 334 235 250", "(anna)", false, true, 0},
    {"plain as oneself", S(HELLO "auth plain " GOOD_AS "\r\n"), "220 250 235", "(anna)", false,
	true, 0},
    {"plain as another", S(HELLO "AUTH PLAIN " OTHER_AS "\r\n"), "220 250 501", "", false, true, 0},
    {"wrong password, then right", S(HELLO "AUTH PLAIN " WRONG "\r\nAUTH PLAIN " GOOD "\r\n"),
	"220 250 535 235", "(anna)(anna)", false, true, 0},
    {"login", S(HELLO "AUTH LOGIN\r\nYW5uYQ==\r\nc2VjcmV0\r\n"), "220 250 334 334 235", "(anna)",
	false, true, 0},
    {"login, name at once", S(HELLO "AUTH LOGIN YW5uYQ==\r\nc2VjcmV0\r\n"), "220 250 334 235",
	"(anna)", false, true, 0},
    {"login, wrong", S(HELLO "AUTH LOGIN\r\nYW5uYQ==\r\nYW5uYQ==\r\nNOOP\r\n"),
	"220 250 334 334 535 250", "(anna)", false, true, 0},
    {"login, empty name", S(HELLO "AUTH LOGIN\r\n\r\nNOOP\r\n"), "220 250 334 501 250", "", false,
	true, 0},
    {"given up", S(HELLO "AUTH LOGIN\r\n*\r\nAUTH PLAIN\r\n*\r\nNOOP\r\n"),
	"220 250 334 501 334 501 250", "", false, true, 0},
    {"not base64", S(HELLO "AUTH PLAIN !!!\r\nAUTH LOGIN\r\nx y\r\nAUTH PLAIN =\r\n"),
	"220 250 501 334 501 501", "", false, true, 0},
    {"nobody", S(HELLO "AUTH PLAIN AAA=\r\n"), "220 250 535", "()", false, true, 0},
    {"no NUL", S(HELLO "AUTH PLAIN YW5uYQ==\r\nAUTH PLAIN AGFubmE=\r\n"), "220 250 501 501", "",
	false, true, 0},
    {"NUL in password", S(HELLO "AUTH PLAIN AGFubmEAc2VjAHJldA==\r\n"), "220 250 501", "", false,
	true, 0},
    {"invalid UTF-8", S(HELLO "AUTH PLAIN AP/+AHg=\r\n"), "220 250 501", "", false, true, 0},
    {"other ways", S(HELLO "AUTH CRAM-MD5\r\nAUTH\r\nAUTH EXTERNAL =\r\n"), "220 250 504 504 504",
	"", false, true, 0},
    {"twice", S(HELLO "AUTH PLAIN " GOOD "\r\nAUTH PLAIN " GOOD "\r\n"), "220 250 235 503",
	"(anna)", false, true, 0},
    {"before TLS", S(HELLO "AUTH PLAIN " GOOD "\r\nAUTH LOGIN\r\n"), "220 250 538 538", "", false,
	false, 0},
    {"before EHLO", S("AUTH PLAIN " GOOD "\r\nHELO x\r\nAUTH PLAIN " GOOD "\r\n"),
	"220 503 250 503", "", false, true, 0},
    {"inside a mail", S(HELLO "MAIL FROM:<a@x>\r\nAUTH PLAIN " GOOD "\r\n"), "220 250 250 503", "",
	false, true, 0},
};

static void test_logins(void **state)
{
	(void)state;
	struct vgm_smtp_settings set = door();
	check_all(logins, VGM_ARRAY_LEN(logins), &set);
}

/* ---- waiting for the verdict: pipelined commands keep their order ---- */

static void test_waiting(void **state)
{
	(void)state;
	struct vgm_smtp_settings set = door();
	static const char rest[] = ".\r\n" ENVELOPE "NOOP\r\nBDAT 3 LAST\r\ny\r\nQUIT\r\n";
	for (size_t step = 1; step < sizeof rest; step++) {
		struct held h;
		hold_init(&h);
		h.owner.later = true;
		open_session(&h, &set, false);
		feed(&h, VGM_SLICE_LIT(HELLO ENVELOPE "DATA\r\n"));
		feed(&h, VGM_SLICE_LIT("x\r\n"));
		for (size_t at = 0; at < sizeof rest - 1; at += step)
			feed(&h, vgm_slice_sub(vgm_slice_str(rest), at, at + step));
		read_replies(&h, vgm_smtp_session_output(h.owner.session));
		assert_string_equal(vgm_buf_str(&h.codes), "220 250 250 250 354");
		assert_int_equal(vgm_smtp_session_wants(h.owner.session), VGM_SMTP_WANT_ANSWER);
		vgm_smtp_session_answer(h.owner.session, 250, "2.0.0", VGM_SLICE_LIT("one"));
		read_replies(&h, vgm_smtp_session_output(h.owner.session));
		assert_string_equal(vgm_buf_str(&h.codes), "220 250 250 250 354 250 250 250 250");
		struct vgm_smtp_answer late = {451, "4.3.0", VGM_WORDS_smtp_examination_failed};
		vgm_smtp_session_answer_words(h.owner.session, late);
		read_replies(&h, vgm_smtp_session_output(h.owner.session));
		assert_string_equal(
		    vgm_buf_str(&h.codes), "220 250 250 250 354 250 250 250 250 451 221");
		assert_int_equal(vgm_smtp_session_wants(h.owner.session), VGM_SMTP_WANT_CLOSE);
		hold_release(&h);
	}
}

static void test_flood_while_waiting(void **state)
{
	(void)state;
	struct vgm_smtp_settings set = door();
	struct held h;
	hold_init(&h);
	h.owner.later = true;
	open_session(&h, &set, false);
	feed(&h, VGM_SLICE_LIT(HELLO ENVELOPE "BDAT 0 LAST\r\n"));
	for (int i = 0; i < 100000 && !h.closed; i++)
		feed(&h, VGM_SLICE_LIT("NOOP\r\n"));
	assert_true(h.closed);
	/* the verdict comes too late, and harms nobody */
	vgm_smtp_session_answer(h.owner.session, 250, "2.0.0", VGM_SLICE_LIT("one"));
	hold_release(&h);
}

/* ---- the client goes away at any byte (case 24): nothing is left ---- */

static void test_leaving_at_each_byte(void **state)
{
	(void)state;
	static const char says[] = HELLO ENVELOPE "DATA\r\n\1hello\r\n.\r";
	struct vgm_smtp_settings set = door();
	for (size_t end = 0; end < sizeof says; end++) {
		struct held h;
		hold_init(&h);
		open_session(&h, &set, false);
		for (size_t at = 0; at < end; at++)
			if (says[at] != 1)
				feed(&h, vgm_slice(says + at, 1));
		vgm_smtp_session_free(&h.owner.session);
		assert_int_equal(h.owner.seen.len, 0);
		assert_int_equal(h.owner.opened, h.owner.dropped);
		hold_release(&h);
	}
}

/* ---- words ---- */

static void test_words(void **state)
{
	(void)state;
	struct vgm_smtp_settings set = door();
	set.language = VGM_FR;
	set.phone = "01 23 45 67 89";
	struct held h;
	struct vgm_slice says =
	    VGM_SLICE_LIT(HELLO "MAIL FROM:<a@x>\r\nRCPT TO:<unknown@in.example>\r\n");
	hold(&h, &set, false, says, says.len, 1);
	const char *all = vgm_buf_str(&h.replies);
	assert_non_null(strstr(all, "220 mx.in.example ESMTP"));
	assert_non_null(strstr(all, "250 2.1.0 Expediteur note"));
	const char *refusal = strstr(all, "550 5.1.1 L'adresse unknown@in.example n'existe pas");
	assert_non_null(refusal);
	assert_non_null(strstr(refusal, "01 23 45 67 89"));
	assert_non_null(strstr(refusal, "R-1"));
	assert_true(vgm_smtp_scan(vgm_buf_slice(&h.replies)) == 0);
	hold_release(&h);
}

static void test_ehlo_list(void **state)
{
	(void)state;
	struct vgm_smtp_settings set = door();
	struct held h;
	struct vgm_slice says = VGM_SLICE_LIT(HELLO);
	hold(&h, &set, false, says, says.len, 1);
	static const char *const there[] = {"250-mx.in.example\r\n", "PIPELINING\r\n",
	    "SIZE 2000\r\n", "STARTTLS\r\n", "8BITMIME\r\n", "SMTPUTF8\r\n", "DSN\r\n",
	    "ENHANCEDSTATUSCODES\r\n", "CHUNKING\r\n", "LIMITS RCPTMAX=100\r\n"};
	for (size_t i = 0; i < VGM_ARRAY_LEN(there); i++)
		assert_non_null(strstr(vgm_buf_str(&h.replies), there[i]));
	assert_null(strstr(vgm_buf_str(&h.replies), "AUTH"));
	assert_null(strstr(vgm_buf_str(&h.replies), "BINARYMIME"));
	hold_release(&h);
}

static void test_refused_greeting(void **state)
{
	(void)state;
	struct vgm_smtp_settings set = door();
	struct held h;
	hold_init(&h);
	h.owner.session = vgm_smtp_session_new(&set, &events, &h.owner, "R-1");
	/* early talk before the greeting waits for it */
	vgm_smtp_session_feed(h.owner.session, VGM_SLICE_LIT(HELLO));
	assert_int_equal(vgm_smtp_session_output(h.owner.session)->len, 0);
	vgm_smtp_session_greet(
	    h.owner.session, (struct vgm_smtp_answer){421, "4.7.0", VGM_WORDS_smtp_busy});
	read_replies(&h, vgm_smtp_session_output(h.owner.session));
	assert_string_equal(vgm_buf_str(&h.codes), "421");
	assert_int_equal(vgm_smtp_session_wants(h.owner.session), VGM_SMTP_WANT_CLOSE);
	hold_release(&h);
}

static void test_cut_by_owner(void **state)
{
	(void)state;
	struct vgm_smtp_settings set = door();
	struct held h;
	hold_init(&h);
	open_session(&h, &set, false);
	feed(&h, VGM_SLICE_LIT(HELLO ENVELOPE "DATA\r\n"));
	feed(&h, VGM_SLICE_LIT("half a"));
	assert_true(vgm_smtp_session_in_body(h.owner.session));
	assert_false(vgm_smtp_session_is_idle(h.owner.session));
	vgm_smtp_session_cut(
	    h.owner.session, (struct vgm_smtp_answer){421, "4.4.2", VGM_WORDS_smtp_timeout});
	vgm_smtp_session_cut(
	    h.owner.session, (struct vgm_smtp_answer){421, "4.4.2", VGM_WORDS_smtp_timeout});
	read_replies(&h, vgm_smtp_session_output(h.owner.session));
	assert_string_equal(vgm_buf_str(&h.codes), "220 250 250 250 354 421");
	assert_int_equal(h.owner.dropped, 1);
	hold_release(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_ordinary),
	    cmocka_unit_test(test_lines),
	    cmocka_unit_test(test_verb_in_state),
	    cmocka_unit_test(test_order),
	    cmocka_unit_test(test_parameters),
	    cmocka_unit_test(test_smuggling),
	    cmocka_unit_test(test_cuts),
	    cmocka_unit_test(test_after_starttls),
	    cmocka_unit_test(test_long_lines),
	    cmocka_unit_test(test_too_many_commands),
	    cmocka_unit_test(test_commands_between_mails),
	    cmocka_unit_test(test_too_many_errors),
	    cmocka_unit_test(test_many_recipients),
	    cmocka_unit_test(test_long_recipients),
	    cmocka_unit_test(test_too_big),
	    cmocka_unit_test(test_endless_body),
	    cmocka_unit_test(test_bdat_too_big),
	    cmocka_unit_test(test_no_room),
	    cmocka_unit_test(test_machines),
	    cmocka_unit_test(test_logins),
	    cmocka_unit_test(test_waiting),
	    cmocka_unit_test(test_flood_while_waiting),
	    cmocka_unit_test(test_leaving_at_each_byte),
	    cmocka_unit_test(test_words),
	    cmocka_unit_test(test_ehlo_list),
	    cmocka_unit_test(test_refused_greeting),
	    cmocka_unit_test(test_cut_by_owner),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
