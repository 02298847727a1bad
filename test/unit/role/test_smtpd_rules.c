/* SPDX-License-Identifier: EUPL-1.2
 * role/smtpd_rules: a table of doors, clients, logins and addresses. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "role/smtpd.h"

static const char options[] =
    "hostname: mx.in.example\n"
    "domains: [in.example, also.example, h\xc3\xb4pital.example, xn--bcher-kva.example]\n"
    "postmaster: chief@in.example\n"
    "submit:\n"
    "  relays: [10.0.0.0/8, \"2001:db8::/32\"]\n"
    "  relay_certificates: [\"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"]\n"
    "  logins:\n"
    "    - {name: anna, password: \"$argon2id$x\"}\n"
    "    - {name: ward, password: \"$argon2id$x\", "
    "senders: [ward@in.example, \"@lab.example\", \"@xn--bcher-kva.example\"]}\n"
    "devices:\n"
    "  machines:\n"
    "    - {name: copieur, address: 10.1.0.0/16}\n"
    "    - {name: lab, address: 10.2.0.1, outside: yes}\n"
    "receive:\n"
    "  trusted_hops: [192.0.2.0/24]\n";

static const char people[] = "anna@in.example alias=a@in.example\n"
			     "max@b\xc3\xbc" "cher.example\n";

enum { R = VGM_INSTANCE_RECEIVE, S = VGM_INSTANCE_SUBMIT, D = VGM_INSTANCE_DEVICES };

/* A door with one session, without any socket. */
struct house {
	struct vgm_role_run run;
	struct vgm_smtpd *door;
	struct vgm_smtpd_session session;
};

static void no_refused(void *c, unsigned code, enum vgm_words_id why, struct vgm_slice about)
{
	(void)c, (void)code, (void)why, (void)about;
}

static struct vgm_smtp_answer no_mail(void *c, struct vgm_slice s)
{
	(void)c, (void)s;
	return (struct vgm_smtp_answer){0};
}

static void let_in(void *context, struct vgm_slice login, struct vgm_slice password)
{
	struct vgm_smtpd_session *s = context;
	(void)login, (void)password;
	vgm_smtp_session_authenticated(s->smtp, (struct vgm_smtp_answer){0});
}

static const struct vgm_smtp_events events = {
    .mail = no_mail, .authenticate = let_in, .refused = no_refused};

static void build(struct house *h, int instance, const char *client, const char *auth)
{
	struct vgm_conf_fault fault;
	*h = (struct house){.run = {.instance = (enum vgm_instance)instance, .directory_fd = -1}};
	assert_int_equal(vgm_conf_parse(vgm_slice_str(options), &h->run.conf, &fault, NULL), 0);
	h->door = vgm_alloc(sizeof *h->door);
	h->door->run = &h->run;
	h->door->ledger_room = UINT64_MAX;
	vgm_smtpd_rules_load(h->door);
	assert_int_equal(
	    vgm_directory_parse(vgm_slice_str(people), &h->door->directory, NULL, NULL), 0);
	struct vgm_smtpd_session *s = &h->session;
	s->door = h->door;
	assert_int_equal(vgm_ip_parse(vgm_slice_str(client), s->address.ip, NULL), 0);
	h->door->settings.offer_auth = true;
	h->door->settings.max_errors = 20;
	s->smtp = vgm_smtp_session_new(&h->door->settings, &events, s, "R");
	vgm_smtp_session_tls_started(s->smtp, VGM_SLICE_LIT("TLS"));
	vgm_smtp_session_greet(s->smtp, (struct vgm_smtp_answer){0});
	vgm_smtp_session_feed(s->smtp, VGM_SLICE_LIT("EHLO x\r\n"));
	if (auth)
		vgm_smtp_session_feed(s->smtp, vgm_slice_str(auth));
}

static void demolish(struct house *h)
{
	vgm_smtp_session_free(&h->session.smtp);
	vgm_directory_free(&h->door->directory);
	vgm_free(h->door->proxies.network);
	vgm_free(h->door->trusted_hops.network);
	vgm_free(h->door->relays.network);
	vgm_free(h->door->machines);
	vgm_free(h->door->postmaster);
	vgm_free(h->door);
	vgm_conf_release(&h->run.conf);
}

#define ANNA "AUTH PLAIN AGFubmEAeA==\r\n"
#define WARD "AUTH PLAIN AHdhcmQAeA==\r\n"
#define EVE "AUTH PLAIN AGV2ZQB4\r\n" /* dropped from the configuration since */

static const struct {
	int door;
	const char *client, *auth;
	unsigned connect; /* 0 = welcome */
	const char *sender;
	unsigned mail;
	const char *recipient;
	unsigned rcpt;
} rules[] = {
    /* receive */
    {R, "203.0.113.1", NULL, 0, "x@out.example", 0, "anna@in.example", 0},
    {R, "203.0.113.1", NULL, 0, "x@out.example", 0, "A@IN.example", 0},
    {R, "203.0.113.1", NULL, 0, "", 0, "nobody@in.example", 550},
    {R, "203.0.113.1", NULL, 0, "x@out.example", 0, "anna@also.example", 550},
    {R, "203.0.113.1", NULL, 0, "x@out.example", 0, "postmaster@also.example", 0},
    {R, "203.0.113.1", NULL, 0, "x@out.example", 0, "Postmaster@in.example", 0},
    {R, "203.0.113.1", NULL, 0, "x@out.example", 0, "chief@in.example", 0},
    {R, "203.0.113.1", NULL, 0, "x@out.example", 0, "y@out.example", 550},
    {R, "203.0.113.1", NULL, 0, "x@out.example", 0, "y%out.example@in.example", 550},
    {R, "203.0.113.1", NULL, 0, "x@out.example", 0, "\"y@in.example\"@out.example", 550},
    {R, "203.0.113.1", NULL, 0, "x@out.example", 0, "y@notin.example", 550},
    {R, "203.0.113.1", NULL, 0, "x@out.example", 0, "y@[192.0.2.1]", 550},
    {R, "203.0.113.1", NULL, 0, "x@out.example", 0, "max@b\xc3\xbc" "cher.example", 0},
    {R, "203.0.113.1", NULL, 0, "x@out.example", 0, "max@xn--bcher-kva.example", 0},
    {R, "203.0.113.1", NULL, 0, "x@out.example", 0, "postmaster@xn--hpital-ixa.example", 0},
    {R, "203.0.113.1", NULL, 0, "x@out.example", 0, "postmaster@h\xc3\xb4pital.example", 0},
    {R, "203.0.113.1", NULL, 0, "x@out.example", 0, "max@h\xc3\xb4pital.example", 550},
    {R, "203.0.113.1", NULL, 0, "x@out.example", 0, "postmaster@h\xc3\xb4tel.example", 550},
    {R, "10.0.0.1", NULL, 0, "anna@in.example", 0, "y@out.example", 550},
    {R, "127.0.0.1", NULL, 0, "anna@in.example", 0, "y@out.example", 550},
    /* submit */
    {S, "203.0.113.1", NULL, 0, "anna@in.example", 530, NULL, 0},
    {S, "203.0.113.1", NULL, 0, "", 530, NULL, 0},
    {S, "127.0.0.1", NULL, 0, "anna@in.example", 530, NULL, 0},
    {S, "10.200.0.1", NULL, 0, "any@where.example", 0, "y@out.example", 0},
    {S, "2001:db8::7", NULL, 0, "", 0, "y@out.example", 0},
    {S, "11.0.0.1", NULL, 0, "x@in.example", 530, NULL, 0},
    {S, "203.0.113.1", ANNA, 0, "anna@in.example", 0, "y@out.example", 0},
    {S, "203.0.113.1", ANNA, 0, "other@also.example", 0, "nobody@in.example", 550},
    {S, "203.0.113.1", ANNA, 0, "", 0, "y@out.example", 0},
    {S, "203.0.113.1", ANNA, 0, "anna@out.example", 550, NULL, 0},
    {S, "203.0.113.1", WARD, 0, "ward@in.example", 0, "y@out.example", 0},
    {S, "203.0.113.1", WARD, 0, "WARD@in.example", 0, "y@out.example", 0},
    {S, "203.0.113.1", WARD, 0, "any@LAB.example", 0, "y@out.example", 0},
    {S, "203.0.113.1", WARD, 0, "any@b\xc3\xbc" "cher.example", 0, "y@out.example", 0},
    {S, "203.0.113.1", WARD, 0, "anna@in.example", 550, NULL, 0},
    {S, "203.0.113.1", WARD, 0, "x@sub.lab.example", 550, NULL, 0},
    {S, "203.0.113.1", EVE, 0, "anna@in.example", 550, NULL, 0},
    /* devices */
    {D, "10.1.2.3", NULL, 0, "scan@in.example", 0, "anna@in.example", 0},
    {D, "10.1.2.3", NULL, 0, "scan@in.example", 0, "nobody@in.example", 550},
    {D, "10.1.2.3", NULL, 0, "scan@in.example", 0, "y@out.example", 550},
    {D, "10.2.0.1", NULL, 0, "lab@in.example", 0, "y@out.example", 0},
    {D, "10.2.0.2", NULL, 554, NULL, 0, NULL, 0},
    {D, "127.0.0.1", NULL, 554, NULL, 0, NULL, 0},
};

static void test_rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(rules); i++) {
		struct house h;
		build(&h, rules[i].door, rules[i].client, rules[i].auth);
		struct vgm_smtpd_session *s = &h.session;
		unsigned connect = vgm_smtpd_rule_connect(s).code, mail = 0, rcpt = 0;
		if (rules[i].sender)
			mail = vgm_smtpd_rule_mail(s, vgm_slice_str(rules[i].sender)).code;
		if (rules[i].recipient)
			rcpt = vgm_smtpd_rule_recipient(s, vgm_slice_str(rules[i].recipient)).code;
		if (connect != rules[i].connect || mail != rules[i].mail || rcpt != rules[i].rcpt)
			print_message("rule %zu: %u %u %u\n", i, connect, mail, rcpt);
		assert_int_equal(connect, rules[i].connect);
		assert_int_equal(mail, rules[i].mail);
		assert_int_equal(rcpt, rules[i].rcpt);
		demolish(&h);
	}
}

/* Where nobody is named, this machine may submit; and nobody else. */
static void test_trial(void **state)
{
	(void)state;
	static const struct {
		const char *client;
		unsigned mail;
	} cases[] = {{"127.0.0.1", 0}, {"127.1.2.3", 0}, {"::1", 0}, {"10.0.0.1", 530},
	    {"2001:db8::1", 530}};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct house h;
		build(&h, S, cases[i].client, NULL);
		h.run.conf.submit_relays.count = h.run.conf.submit_relay_certificates.count = 0;
		size_t logins = h.run.conf.logins_count;
		h.run.conf.logins_count = 0;
		vgm_smtpd_rules_load(h.door);
		assert_int_equal(vgm_smtpd_rule_connect(&h.session).code, 0);
		assert_int_equal(
		    vgm_smtpd_rule_mail(&h.session, VGM_SLICE_NONE).code, cases[i].mail);
		h.run.conf.logins_count = logins;
		h.run.conf.submit_relays.count = 2;
		h.run.conf.submit_relay_certificates.count = 1;
		demolish(&h);
	}
}

static void test_certificate(void **state)
{
	(void)state;
	struct house h;
	uint8_t known[32], other[32] = {1};
	for (size_t i = 0; i < 32; i++)
		known[i] = (uint8_t)(0x11 * (i % 16));
	build(&h, S, "203.0.113.1", NULL);
	assert_true(vgm_smtpd_rule_certificate(h.door, known));
	assert_false(vgm_smtpd_rule_certificate(h.door, other));
	/* such a client is a relay */
	h.session.may_relay = true;
	assert_int_equal(vgm_smtpd_rule_connect(&h.session).code, 0);
	assert_int_equal(vgm_smtpd_rule_mail(&h.session, VGM_SLICE_LIT("x@y.example")).code, 0);
	demolish(&h);
}

static void test_struck_network(void **state)
{
	(void)state;
	struct house h;
	struct vgm_msg_struck m = {.kind = 2};
	build(&h, R, "203.0.113.77", NULL);
	vgm_ip_network(h.session.address.ip, 24, 48, m.network);
	assert_int_equal(vgm_smtpd_rule_mail(&h.session, VGM_SLICE_NONE).code, 0);
	vgm_smtpd_struck(h.door, &m);
	assert_int_equal(vgm_smtpd_rule_mail(&h.session, VGM_SLICE_NONE).code, 451);
	/* a neighbour network, and the same one when its hour is over */
	h.session.address.ip[14]++;
	assert_int_equal(vgm_smtpd_rule_mail(&h.session, VGM_SLICE_NONE).code, 0);
	h.session.address.ip[14]--;
	h.door->struck[0].until_ms = vgm_clock_mono_ms();
	assert_int_equal(vgm_smtpd_rule_mail(&h.session, VGM_SLICE_NONE).code, 0);
	/* the oldest make room */
	for (size_t i = 0; i < VGM_SMTPD_STRUCK + 3; i++)
		vgm_smtpd_struck(h.door, &m);
	assert_int_equal(vgm_smtpd_rule_mail(&h.session, VGM_SLICE_NONE).code, 451);
	demolish(&h);
}

static void test_disk(void **state)
{
	(void)state;
	static const struct {
		uint64_t room;
		int code; /* of a MAIL that announces nothing */
	} cases[] = {{UINT64_MAX, 0}, {1 << 20, 0}, {256 * 1024, 0}, {256 * 1024 - 1, 452}, {0, 452}};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct house h;
		build(&h, R, "203.0.113.77", NULL);
		h.door->ledger_room = cases[i].room;
		assert_int_equal(vgm_smtpd_rule_mail(&h.session, VGM_SLICE_NONE).code, cases[i].code);
		demolish(&h);
	}
}

static void test_memory(void **state)
{
	(void)state;
	struct house h;
	build(&h, R, "203.0.113.1", NULL);
	h.door->body_bytes = h.run.conf.body_memory - 1;
	assert_int_equal(vgm_smtpd_rule_mail(&h.session, VGM_SLICE_NONE).code, 0);
	h.door->body_bytes++;
	assert_int_equal(vgm_smtpd_rule_mail(&h.session, VGM_SLICE_NONE).code, 452);
	assert_int_equal(vgm_smtpd_body_begin(&h.session).code, 452);
	demolish(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rules),
	    cmocka_unit_test(test_trial), cmocka_unit_test(test_certificate),
	    cmocka_unit_test(test_struck_network), cmocka_unit_test(test_disk),
	    cmocka_unit_test(test_memory)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
