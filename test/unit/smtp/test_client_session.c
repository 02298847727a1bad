/* SPDX-License-Identifier: EUPL-1.2
 * The sending machine against scripted servers. A case gives what the server
 * says, step by step, and the whole transcript that must come of it: commands as
 * they are sent, events in brackets. Each case runs with the server's words
 * whole, byte by byte, and cut in two at every place; the transcript must not
 * change. */
#include "smtp/client/client.h"

#include <stdio.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#pragma GCC diagnostic ignored "-Wmissing-field-initializers" /* cases name what they use */

enum { MAILS_MAX = 3 };

struct setup {
	uint8_t tls_need;
	bool tls_never, refuse_ourselves;
	bool needs_8bit, needs_utf8, dsn;
	const char *sender;     /* NULL: a@s */
	const char *to[4];      /* NULL first: b@d */
	size_t mails;           /* to send; 0 = 1 */
	bool quits;             /* when all are sent */
};

struct run {
	const struct setup *setup;
	struct vgm_smtp_client *c;
	struct vgm_buf transcript;
	struct vgm_recipient to[4];
	size_t count, sent;
	bool over;
};

static void say(struct run *r, const char *text)
{
	assert_int_equal(vgm_buf_add_str(&r->transcript, text), 0);
}

static void take_output(struct run *r)
{
	struct vgm_buf *out = vgm_smtp_client_out(r->c);

	assert_int_equal(vgm_buf_add_slice(&r->transcript, vgm_buf_slice(out)), 0);
	vgm_buf_clear(out);
}

static void begin(struct run *r)
{
	const struct setup *s = r->setup;
	struct vgm_smtp_mail m = {
	    .sender = vgm_slice_str(s->sender ? s->sender : "a@s"),
	    .size = 123,
	    .needs_8bit = s->needs_8bit,
	    .needs_utf8 = s->needs_utf8,
	    .recipients = r->to,
	};

	for (r->count = 0; r->count < 4 && s->to[r->count]; r->count++)
		r->to[r->count].address = vgm_slice_str(s->to[r->count]);
	if (r->count == 0)
		r->to[r->count++].address = VGM_SLICE_LIT("b@d");
	if (s->dsn) {
		m.ret = 2;
		m.envid = VGM_SLICE_LIT("id+1");
		r->to[0].notify = VGM_NOTIFY_SUCCESS | VGM_NOTIFY_DELAY;
		r->to[0].orcpt = VGM_SLICE_LIT("rfc822;x=y@d");
	}
	m.count = r->count;
	r->sent++;
	if (vgm_smtp_client_begin(r->c, &m, NULL) < 0) {
		say(r, "[unsayable]");
		r->over = true;
	}
}

static void results(struct run *r)
{
	for (size_t i = 0; i < r->count; i++) {
		char code[32];

		(void)snprintf(code, sizeof(code), " %u", vgm_smtp_client_result(r->c, i)->code);
		say(r, code);
	}
	say(r, "]");
}

static void failed(struct run *r)
{
	static const char *const names[] = {
	    "none", "refused", "protocol", "tls missing", "self", "lost"};

	say(r, "[failed ");
	say(r, names[vgm_smtp_client_failure(r->c)]);
	if (vgm_smtp_client_failure(r->c) == VGM_SMTP_FAILURE_REFUSED) {
		say(r, " ");
		say(r, vgm_buf_str(&vgm_smtp_client_final(r->c)->text));
	}
	if (r->sent)
		results(r);
	else
		say(r, "]");
	r->over = true;
}

static void ready(struct run *r)
{
	size_t mails = r->setup->mails ? r->setup->mails : 1;

	say(r, "[ready]");
	if (r->sent < mails)
		begin(r);
	else if (r->setup->quits) {
		vgm_smtp_client_quit(r->c);
		r->over = true;
	}
}

static void feed(struct run *r, struct vgm_slice in)
{
	while (!r->over) {
		enum vgm_smtp_client_event event = vgm_smtp_client_feed(r->c, &in);

		if (event != VGM_SMTP_CLIENT_DONE) /* a RSET comes after */
			take_output(r);
		switch (event) {
		case VGM_SMTP_CLIENT_WAIT:
			assert_int_equal(in.len, 0);
			return;
		case VGM_SMTP_CLIENT_READY:
			ready(r);
			break;
		case VGM_SMTP_CLIENT_TLS:
			say(r, "[tls]");
			assert_int_equal(in.len, 0);
			vgm_smtp_client_secured(r->c);
			break;
		case VGM_SMTP_CLIENT_BODY:
			say(r, "[body]");
			if (in.len == 0)
				vgm_smtp_client_body_sent(r->c);
			break;
		case VGM_SMTP_CLIENT_DONE:
			say(r, "[done");
			results(r);
			break;
		case VGM_SMTP_CLIENT_FAILED:
			failed(r);
			break;
		}
		take_output(r);
	}
}

struct dialogue {
	const char *name;
	struct setup setup;
	const char *server[12]; /* "" = the connection ends */
	const char *transcript;
};

#define HI "220 mx ESMTP\r\n"
#define PLAIN "250 mx\r\n"
#define PIPE "250-mx\r\n250 PIPELINING\r\n"
#define E "EHLO gw\r\n"
#define M "MAIL FROM:<a@s>\r\n"
#define R "RCPT TO:<b@d>\r\n"
#define D "DATA\r\n"

static const struct dialogue dialogues[] = {
    {"one mail, no extensions", {.quits = true},
	{HI, PLAIN, "250 ok\r\n", "250 ok\r\n", "354 go\r\n", "250 done\r\n"},
	E "[ready]" M R D "[body][done 250][ready]QUIT\r\n"},
    {"one mail, pipelining", {.quits = true},
	{HI, PIPE, "250 ok\r\n250 ok\r\n354 go\r\n", "250 done\r\n"},
	E "[ready]" M R D "[body][done 250][ready]QUIT\r\n"},
    {"three mails over one connection", {.mails = 3, .quits = true},
	{HI, PIPE, "250 ok\r\n250 ok\r\n354 go\r\n", "250 1\r\n", "250 ok\r\n250 ok\r\n354 go\r\n",
	    "250 2\r\n", "250 ok\r\n250 ok\r\n354 go\r\n", "250 3\r\n"},
	E "[ready]" M R D "[body][done 250][ready]" M R D "[body][done 250][ready]" M R D
	  "[body][done 250][ready]QUIT\r\n"},
    {"HELO where EHLO is unknown", {0},
	{HI, "500 what?\r\n", "250 mx\r\n", "250 ok\r\n"}, E "HELO gw\r\n[ready]" M R},
    {"EHLO put off", {0}, {HI, "451 later\r\n"}, E "[failed refused 451 later]"},
    {"greeting refused", {0}, {"554 go away\r\n"}, "[failed refused 554 go away]"},
    {"greeting put off", {0}, {"421 busy\r\n"}, "[failed refused 421 busy]"},
    {"greeting odd", {0}, {"250 hello\r\n"}, "[failed protocol]"},
    {"greeting of something else", {0}, {"SSH-2.0-OpenSSH_9.2\r\n"}, "[failed protocol]"},
    {"all extensions", {.needs_8bit = true, .needs_utf8 = true, .dsn = true},
	{HI, "250-mx\r\n250-8BITMIME\r\n250-size 1000\r\n250-SmtpUtf8\r\n250-DSN\r\n250 PIPELINING\r\n"},
	E "[ready]MAIL FROM:<a@s> SIZE=123 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=id+2B1\r\n"
	  "RCPT TO:<b@d> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+3Dy@d\r\n" D},
    {"no extension that was not offered", {.needs_8bit = true, .dsn = true},
	{HI, "250-mx\r\n250-XDSN\r\n250-8BITMIMEX\r\n250 SIZEX\r\n"}, E "[ready]" M},
    {"extensions named in the first line are none", {.dsn = true}, {HI, "250 DSN\r\n"}, E "[ready]" M},
    {"one refused, others delivered", {.to = {"b@d", "c@d", "e@d"}},
	{HI, PIPE, "250 ok\r\n250 ok\r\n550 no\r\n450 later\r\n354 go\r\n", "250 done\r\n"},
	E "[ready]" M R "RCPT TO:<c@d>\r\nRCPT TO:<e@d>\r\n" D "[body][done 250 550 450][ready]"},
    {"the same without pipelining", {.to = {"b@d", "c@d", "e@d"}},
	{HI, PLAIN, "250 ok\r\n", "250 ok\r\n", "550 no\r\n", "450 later\r\n", "354 go\r\n",
	    "250 done\r\n"},
	E "[ready]" M R "RCPT TO:<c@d>\r\nRCPT TO:<e@d>\r\n" D "[body][done 250 550 450][ready]"},
    {"all refused, pipelining", {.to = {"b@d", "c@d"}},
	{HI, PIPE, "250 ok\r\n550 no\r\n450 later\r\n554 nobody\r\n", "250 reset\r\n"},
	E "[ready]" M R "RCPT TO:<c@d>\r\n" D "[done 550 450]RSET\r\n[ready]"},
    {"all refused, no pipelining", {0},
	{HI, PLAIN, "250 ok\r\n", "550 no\r\n", "250 reset\r\n"},
	E "[ready]" M R "[done 550]RSET\r\n[ready]"},
    {"all refused, yet a go-ahead: no body goes out", {0},
	{HI, PIPE, "250 ok\r\n550 no\r\n354 go\r\n"}, E "[ready]" M R D "[failed protocol 550]"},
    {"sender refused", {.to = {"b@d", "c@d"}},
	{HI, PIPE, "550 no\r\n503 a\r\n503 b\r\n503 c\r\n", "250 reset\r\n"},
	E "[ready]" M R "RCPT TO:<c@d>\r\n" D "[done 550 550]RSET\r\n[ready]"},
    {"sender refused, no pipelining", {0}, {HI, PLAIN, "451 later\r\n", "250 reset\r\n"},
	E "[ready]" M "[done 451]RSET\r\n[ready]"},
    {"sender refused, recipient taken: still refused", {0},
	{HI, PIPE, "550 no\r\n250 fine\r\n503 c\r\n"}, E "[ready]" M R D "[done 550]RSET\r\n"},
    {"DATA refused", {.to = {"b@d", "c@d"}},
	{HI, PIPE, "250 ok\r\n250 ok\r\n550 no\r\n451 no room\r\n", "250 reset\r\n"},
	E "[ready]" M R "RCPT TO:<c@d>\r\n" D "[done 451 550]RSET\r\n[ready]"},
    {"DATA answered 250", {0}, {HI, PIPE, "250 ok\r\n250 ok\r\n250 ok\r\n"},
	E "[ready]" M R D "[failed protocol 0]"},
    {"body refused", {.to = {"b@d", "c@d"}},
	{HI, PIPE, "250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n", "554 spam\r\n"},
	E "[ready]" M R "RCPT TO:<c@d>\r\n" D "[body][done 554 550][ready]"},
    {"early go-ahead for MAIL", {0}, {HI, PIPE, "354 go\r\n"}, E "[ready]" M R D "[failed protocol 0]"},
    {"early go-ahead for RCPT", {0}, {HI, PIPE, "250 ok\r\n354 go\r\n"},
	E "[ready]" M R D "[failed protocol 0]"},
    {"closed at MAIL", {0}, {HI, PIPE, "421 bye\r\n"}, E "[ready]" M R D "[failed refused 421 bye 421]"},
    {"closed among recipients", {.to = {"b@d", "c@d", "e@d"}},
	{HI, PIPE, "250 ok\r\n250 ok\r\n550 no\r\n421 bye\r\n"},
	E "[ready]" M R "RCPT TO:<c@d>\r\nRCPT TO:<e@d>\r\n" D "[failed refused 421 bye 421 550 421]"},
    {"closed after the dot", {0}, {HI, PIPE, "250 ok\r\n250 ok\r\n354 go\r\n", "421 bye\r\n"},
	E "[ready]" M R D "[body][failed refused 421 bye 421]"},
    {"closed while idle", {.mails = 1},
	{HI, PIPE, "250 ok\r\n250 ok\r\n354 go\r\n", "250 done\r\n", "421 idle\r\n"},
	E "[ready]" M R D "[body][done 250][ready][failed refused 421 idle 250]"},
    {"gone before the reply to the dot", {0}, {HI, PIPE, "250 ok\r\n250 ok\r\n354 go\r\n", ""},
	E "[ready]" M R D "[body][failed lost 0]"},
    {"gone in the middle of a reply", {0}, {HI, PIPE, "250 ok\r\n250 ok\r\n354 go\r\n", "250 do", ""},
	E "[ready]" M R D "[body][failed lost 0]"},
    {"gone after DONE: delivered all the same", {0},
	{HI, PIPE, "250 ok\r\n250 ok\r\n354 go\r\n", "250 done\r\n", ""},
	E "[ready]" M R D "[body][done 250][ready][failed lost 250]"},
    {"odd reply to the dot", {0}, {HI, PIPE, "250 ok\r\n250 ok\r\n354 go\r\n", "354 more\r\n"},
	E "[ready]" M R D "[body][failed protocol 0]"},
    {"words between", {0}, {HI, PIPE, "250 ok\r\n", "garbage\r\n"}, E "[ready]" M R D "[failed protocol 0]"},
    {"TLS", {.tls_need = VGM_TLS_ENCRYPT},
	{HI, "250-mx\r\n250-STARTTLS\r\n250 DSN\r\n", "220 go\r\n", "250-mx\r\n250 PIPELINING\r\n"},
	E "STARTTLS\r\n[tls]" E "[ready]" M R D},
    {"what was said in clear is forgotten", {.dsn = true},
	{HI, "250-mx\r\n250-STARTTLS\r\n250 DSN\r\n", "220 go\r\n", "250 mx\r\n"},
	E "STARTTLS\r\n[tls]" E "[ready]" M},
    {"no second STARTTLS", {0},
	{HI, "250-mx\r\n250 STARTTLS\r\n", "220 go\r\n", "250-mx\r\n250 STARTTLS\r\n"},
	E "STARTTLS\r\n[tls]" E "[ready]" M},
    {"TLS required, not offered", {.tls_need = VGM_TLS_ENCRYPT}, {HI, PLAIN}, E "[failed tls missing]"},
    {"TLS required, HELO only", {.tls_need = VGM_TLS_VERIFY}, {HI, "502 what\r\n", "250 mx\r\n"},
	E "HELO gw\r\n[failed tls missing]"},
    {"TLS required, refused", {.tls_need = VGM_TLS_VERIFY},
	{HI, "250-mx\r\n250 STARTTLS\r\n", "454 not now\r\n"}, E "STARTTLS\r\n[failed tls missing]"},
    {"TLS refused, not required", {0}, {HI, "250-mx\r\n250 STARTTLS\r\n", "454 not now\r\n"},
	E "STARTTLS\r\n[ready]" M},
    {"TLS offered, not wanted", {.tls_never = true}, {HI, "250-mx\r\n250 STARTTLS\r\n"}, E "[ready]" M},
    {"ourselves", {.refuse_ourselves = true}, {HI, "250-GW hello\r\n250 PIPELINING\r\n"},
	E "[failed self]"},
    {"a namesake on a named route", {0}, {HI, "250 gw\r\n"}, E "[ready]" M},
    {"null sender", {.sender = ""}, {HI, PLAIN}, E "[ready]MAIL FROM:<>\r\n"},
    {"sender with a line end", {.sender = "a@s>\r\nRSET"}, {HI, PLAIN}, E "[ready][unsayable]"},
    {"sender that ends its path", {.sender = "a@s> BODY=x <"}, {HI, PLAIN}, E "[ready][unsayable]"},
    {"sender with an open quote", {.sender = "\"a@s"}, {HI, PLAIN}, E "[ready][unsayable]"},
    {"sender with an escaped line end", {.sender = "\"a\\\r\n\"@s"}, {HI, PLAIN}, E "[ready][unsayable]"},
    {"sender in quotes", {.sender = "\"a> \\\"b\"@s"}, {HI, PLAIN},
	E "[ready]MAIL FROM:<\"a> \\\"b\"@s>\r\n"},
    {"recipient with NUL's cousin", {.to = {"b\001@d"}}, {HI, PLAIN}, E "[ready][unsayable]"},
    {"UTF-8 without being asked", {.to = {"\303\251@d"}}, {HI, PLAIN}, E "[ready][unsayable]"},
};

/* split < 0: byte by byte; 0: whole; else every step is cut there. */
static void play(const struct dialogue *d, int split)
{
	struct run r = {.setup = &d->setup, .transcript = VGM_BUF_INIT(100000)};
	struct vgm_smtp_client_options options = {.hostname = "gw", .tls_need = d->setup.tls_need,
	    .tls_never = d->setup.tls_never, .refuse_ourselves = d->setup.refuse_ourselves};

	r.c = vgm_smtp_client_new(&options);
	for (size_t i = 0; i < VGM_ARRAY_LEN(d->server) && d->server[i] && !r.over; i++) {
		struct vgm_slice step = vgm_slice_str(d->server[i]);

		if (step.len == 0) {
			vgm_smtp_client_lost(r.c);
			failed(&r);
		} else if (split >= 0) {
			feed(&r, vgm_slice_sub(step, 0, (size_t)split));
			feed(&r, vgm_slice_from(step, (size_t)split));
		} else {
			for (size_t k = 0; k < step.len; k++)
				feed(&r, vgm_slice_sub(step, k, k + 1));
		}
	}
	assert_string_equal(vgm_buf_str(&r.transcript), d->transcript);
	vgm_smtp_client_free(&r.c);
	vgm_buf_release(&r.transcript);
}

static void test_dialogues(void **state)
{
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(dialogues); i++) {
		print_message("  %s\n", dialogues[i].name);
		for (int split = -1; split < 120; split++)
			play(&dialogues[i], split);
	}
}

static struct vgm_smtp_client *at_ready(const char *ehlo)
{
	struct vgm_smtp_client *c =
	    vgm_smtp_client_new(&(struct vgm_smtp_client_options){.hostname = "gw"});
	struct vgm_slice in = VGM_SLICE_LIT(HI);

	assert_int_equal(vgm_smtp_client_feed(c, &in), VGM_SMTP_CLIENT_WAIT);
	in = vgm_slice_str(ehlo);
	assert_int_equal(vgm_smtp_client_feed(c, &in), VGM_SMTP_CLIENT_READY);
	return c;
}

/* A server that says 250 while the body is on its way has not got the dot. */
static void test_reply_before_the_dot(void **state)
{
	static const struct {
		const char *early;
		uint16_t code;
	} cases[] = {{"250 done\r\n", 0}, {"554 too much\r\n", 554}, {"421 bye\r\n", 421},
	    {"354 go on\r\n", 0}};

	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_smtp_client *c = at_ready(PIPE);
		struct vgm_recipient to = {.address = VGM_SLICE_LIT("b@d")};
		struct vgm_smtp_mail m = {.recipients = &to, .count = 1};
		struct vgm_slice in = VGM_SLICE_LIT("250 ok\r\n250 ok\r\n354 go\r\n");

		assert_int_equal(vgm_smtp_client_begin(c, &m, NULL), 0);
		assert_int_equal(vgm_smtp_client_feed(c, &in), VGM_SMTP_CLIENT_BODY);
		in = vgm_slice_str(cases[i].early);
		assert_int_equal(vgm_smtp_client_feed(c, &in), VGM_SMTP_CLIENT_FAILED);
		assert_int_equal(vgm_smtp_client_result(c, 0)->code, cases[i].code);
		vgm_smtp_client_free(&c);
	}
}

static void test_capabilities(void **state)
{
	static const struct {
		const char *ehlo;
		unsigned caps;
		uint64_t size_max;
	} cases[] = {
	    {PLAIN, 0, 0},
	    {"250-mx\r\n250-SIZE 35882577\r\n250 8BITMIME\r\n", VGM_PEER_8BIT, 35882577},
	    {"250-mx\r\n250-SIZE\r\n250 DSN\r\n", VGM_PEER_DSN, 0},
	    {"250-mx\r\n250-SIZE 99999999999999999999999\r\n250 SMTPUTF8\r\n", VGM_PEER_UTF8, 0},
	    {"250-mx\r\n250-SIZE -1\r\n250 X\r\n", 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_smtp_client *c = at_ready(cases[i].ehlo);

		assert_int_equal(vgm_smtp_client_caps(c), cases[i].caps);
		assert_int_equal(vgm_smtp_client_size_max(c), cases[i].size_max);
		vgm_smtp_client_free(&c);
	}
}

/* What recipients learn: text, enhanced code, the peer's queue id. */
static void test_words_of_results(void **state)
{
	struct vgm_smtp_client *c = at_ready(PIPE);
	struct vgm_recipient to[2] = {{.address = VGM_SLICE_LIT("b@d")},
	    {.address = VGM_SLICE_LIT("c@d")}};
	struct vgm_smtp_mail m = {.recipients = to, .count = 2};
	struct vgm_slice in = VGM_SLICE_LIT(
	    "250 ok\r\n250 ok\r\n550-5.1.1 not\r\n550 5.1.1 here\r\n354 go\r\n");
	const struct vgm_smtp_result *r;

	(void)state;
	assert_int_equal(vgm_smtp_client_begin(c, &m, NULL), 0);
	assert_int_equal(vgm_smtp_client_feed(c, &in), VGM_SMTP_CLIENT_BODY);
	assert_false(vgm_smtp_client_awaits_final(c));
	vgm_smtp_client_body_sent(c);
	assert_true(vgm_smtp_client_awaits_final(c));
	in = VGM_SLICE_LIT("250 2.6.0 Ok: queued as XYZ\r\n");
	assert_int_equal(vgm_smtp_client_feed(c, &in), VGM_SMTP_CLIENT_DONE);
	r = vgm_smtp_client_result(c, 0);
	assert_string_equal(vgm_buf_str(&r->text), "250 2.6.0 Ok: queued as XYZ");
	assert_string_equal(r->enhanced, "2.6.0");
	assert_true(vgm_slice_eq(vgm_smtp_client_reference(c), VGM_SLICE_LIT("XYZ")));
	r = vgm_smtp_client_result(c, 1);
	assert_string_equal(vgm_buf_str(&r->text), "550 5.1.1 not 5.1.1 here");
	assert_string_equal(r->enhanced, "5.1.1");
	/* the next mail starts clean */
	assert_int_equal(vgm_smtp_client_begin(c, &m, NULL), 0);
	assert_int_equal(vgm_smtp_client_result(c, 0)->code, 0);
	assert_int_equal(vgm_smtp_client_reference(c).len, 0);
	vgm_smtp_client_free(&c);
	assert_null(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_dialogues),
	    cmocka_unit_test(test_reply_before_the_dot),
	    cmocka_unit_test(test_capabilities),
	    cmocka_unit_test(test_words_of_results),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
