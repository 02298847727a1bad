/* SPDX-License-Identifier: EUPL-1.2
 * Notices: which one is wanted; what they contain; that no fact can break one.
 * Python's email package is the independent reader (skipped, and said so, where
 * there is no python3). */
#include "queue/dsn.h"

#include "base/text.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static const struct {
	uint8_t status, notify;
	int action;
} wanted[] = {
    {VGM_OUTCOME_FAILED, 0, VGM_DSN_FAILED},
    {VGM_OUTCOME_EXPIRED, 0, VGM_DSN_FAILED},
    {VGM_OUTCOME_FAILED, VGM_NOTIFY_NEVER, 0},
    {VGM_OUTCOME_FAILED, VGM_NOTIFY_SUCCESS, 0},
    {VGM_OUTCOME_FAILED, VGM_NOTIFY_DELAY, 0},
    {VGM_OUTCOME_FAILED, VGM_NOTIFY_SUCCESS | VGM_NOTIFY_FAILURE, VGM_DSN_FAILED},
    {VGM_OUTCOME_DEFERRED, 0, VGM_DSN_DELAYED},
    {VGM_OUTCOME_DEFERRED, VGM_NOTIFY_FAILURE, 0},
    {VGM_OUTCOME_DEFERRED, VGM_NOTIFY_DELAY, VGM_DSN_DELAYED},
    {VGM_OUTCOME_DEFERRED, VGM_NOTIFY_NEVER, 0},
    {VGM_OUTCOME_RELAYED, 0, 0},
    {VGM_OUTCOME_RELAYED, VGM_NOTIFY_FAILURE, 0},
    {VGM_OUTCOME_RELAYED, VGM_NOTIFY_SUCCESS, VGM_DSN_RELAYED},
    {VGM_OUTCOME_DELIVERED, VGM_NOTIFY_SUCCESS, 0},
    {VGM_OUTCOME_REMOVED, 0, 0},
};

static void test_wanted(void **state)
{
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(wanted); i++)
		assert_int_equal(
		    vgm_dsn_wanted(wanted[i].status, wanted[i].notify), wanted[i].action);
}

#define ORIGINAL                                                                                   \
	"Received: from a by b\r\n\twith SMTP\r\nFrom: a@example.org\r\nMessage-ID: <m1@x>\r\n"    \
	"Subject: Facture\r\n\r\nSECRET BODY\r\n"

static struct vgm_dsn fresh(struct vgm_recipient *r, struct vgm_outcome *o)
{
	*r = (struct vgm_recipient){.address = VGM_SLICE_LIT("b@example.net")};
	*o = (struct vgm_outcome){.status = VGM_OUTCOME_FAILED,
	    .enhanced = VGM_SLICE_LIT("5.1.1"),
	    .reply = VGM_SLICE_LIT("550 5.1.1 no such user"),
	    .peer = VGM_SLICE_LIT("mx.example.net [192.0.2.1]:25")};
	struct vgm_dsn d = {
	    .action = VGM_DSN_FAILED,
	    .language = VGM_FR,
	    .hostname = "gw.hopital.example",
	    .postmaster = "postmaster@hopital.example",
	    .phone = "01 23 45 67 89",
	    .sender = VGM_SLICE_LIT("a@example.org"),
	    .envid = VGM_SLICE_LIT("QQ314159"),
	    .received_us = 1795478400u * UINT64_C(1000000),
	    .now_us = 1795478460u * UINT64_C(1000000),
	    .recipients = r,
	    .outcomes = o,
	    .recipients_count = 1,
	    .original = VGM_SLICE_LIT(ORIGINAL),
	};

	memset(d.id, 0xab, sizeof(d.id));
	memset(d.record, 0xcd, sizeof(d.record));
	return d;
}

/* What holds for each notice whatever the facts are. */
static void check_form(struct vgm_slice m)
{
	size_t line = 0;

	for (size_t i = 0; i < m.len; i++) {
		uint8_t c = m.data[i];

		if (c == '\n') {
			assert_true(i > 0 && m.data[i - 1] == '\r');
			line = 0;
			continue;
		}
		if (c == '\r')
			assert_true(i + 1 < m.len && m.data[i + 1] == '\n');
		else
			assert_true(c == '\t' || (c >= ' ' && c != 127));
		assert_true(++line <= 999); /* the CR counted */
	}
	assert_true(m.len > 2 && m.data[m.len - 1] == '\n');
}

static void compose(const struct vgm_dsn *d, struct vgm_buf *out)
{
	vgm_buf_init(out, VGM_DSN_MAX);
	assert_int_equal(vgm_dsn_compose(d, out, NULL), 0);
	check_form(vgm_buf_slice(out));
}

static const struct {
	enum vgm_dsn_action action;
	enum vgm_lang language;
	const char *present[8];
} contents[] = {
    {VGM_DSN_FAILED, VGM_FR,
	{"From: MAILER-DAEMON <postmaster@hopital.example>\r\n", "\r\nTo: <a@example.org>\r\n",
	    "\r\nIn-Reply-To: <m1@x>\r\n", "\r\nReferences: <m1@x>\r\n",
	    "\r\nAuto-Submitted: auto-replied\r\n", "\r\nAction: failed\r\nStatus: 5.1.1\r\n",
	    "\r\nContent-Language: fr, en\r\n", "\r\nOriginal-Envelope-Id: QQ314159\r\n"}},
    {VGM_DSN_FAILED, VGM_EN,
	{"\r\nContent-Language: en, fr\r\n", "\r\nFinal-Recipient: rfc822; b@example.net\r\n",
	    "\r\nDiagnostic-Code: smtp; 550 5.1.1 no such user\r\n",
	    "\r\nRemote-MTA: dns; mx.example.net [192.0.2.1]:25\r\n",
	    "\r\nReporting-MTA: dns; gw.hopital.example\r\n",
	    "\r\nContent-Type: text/rfc822-headers\r\n\r\nReceived: from a by b\r\n\twith",
	    "\r\nArrival-Date: Tue, 24 Nov 2026 00:00:00 +0000\r\n",
	    "\r\nLast-Attempt-Date: Tue, 24 Nov 2026 00:01:00 +0000\r\n"}},
    {VGM_DSN_DELAYED, VGM_FR,
	{"\r\nAction: delayed\r\nStatus: 4.0.0\r\n", "\r\nWill-Retry-Until: Tue, 24 Nov 2026 01:"}},
    {VGM_DSN_RELAYED, VGM_FR, {"\r\nAction: relayed\r\nStatus: 2.0.0\r\n"}},
    {VGM_DSN_DELIVERED, VGM_FR, {"\r\nAction: delivered\r\nStatus: 2.0.0\r\n"}},
};

static void test_contents(void **state)
{
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(contents); i++) {
		struct vgm_recipient r;
		struct vgm_outcome o;
		struct vgm_dsn d = fresh(&r, &o);
		struct vgm_buf out;

		d.action = contents[i].action;
		d.language = contents[i].language;
		d.retry_until_us = d.received_us + UINT64_C(3600000000);
		compose(&d, &out);
		for (size_t k = 0; k < 8 && contents[i].present[k]; k++)
			if (!strstr(vgm_buf_str(&out), contents[i].present[k]))
				fail_msg("missing %s in\n%s", contents[i].present[k],
				    vgm_buf_str(&out));
		assert_null(strstr(vgm_buf_str(&out), "SECRET"));
		assert_true(vgm_is_ascii(vgm_buf_slice(&out)));
		vgm_buf_release(&out);
	}
}

/* Each of these stands in every fact in turn. */
static const char *const attacks[] = {
    "\r\nX-Injected: yes",
    "\n\nX-Injected: yes",
    "x\r\n.\r\nX-Injected: yes",
    "\r\n--=_vgm_abababababababababababababababab--\r\nX-Injected: yes",
    "\033[2J\a\177\001",
    "\377\376\300\200 not UTF-8",
    "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 UTF-8",
    "<<\"\\>>(;:,@=?utf-8?B?WA==?=",
    "", /* replaced by 5,000 x */
};

static void test_no_fact_breaks_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(attacks); i++) {
		char large[5001];
		struct vgm_slice a = vgm_slice_str(attacks[i]);

		memset(large, 'x', sizeof(large));
		if (a.len == 0)
			a = vgm_slice(large, sizeof(large));
		for (int fact = 0; fact < 7; fact++) {
			struct vgm_recipient r;
			struct vgm_outcome o;
			struct vgm_dsn d = fresh(&r, &o);
			struct vgm_buf out;
			struct vgm_slice *const facts[] = {&r.address, &r.orcpt, &o.reply,
			    &o.peer, &o.enhanced, &d.sender, &d.envid};

			*facts[fact] = a;
			compose(&d, &out);
			/* neither a header field nor a field of a part */
			assert_null(strstr(vgm_buf_str(&out), "\r\nX-Injected"));
			vgm_buf_release(&out);
		}
	}
}

static const struct {
	const char *name, *original;
	const char *present, *absent;
} originals[] = {
    {"bare LF", "From: a\nMessage-ID: <m@x>\n\nBODY", "\r\nFrom: a\r\nMessage-ID: <m@x>\r\n", "BODY"},
    {"bare CR", "From: a\rX: b\r\n\r\n", "=46rom: a=0DX: b\r\n", NULL},
    {"8-bit", "Subject: \303\251t\303\251\r\n\r\n", "Subject: =C3=A9t=C3=A9\r\n", NULL},
    {"no header at all", "\r\nBODY", "text/rfc822-headers", "BODY"},
    {"empty", "", "text/rfc822-headers", NULL},
    {"no end", "From: a", "\r\nFrom: a\r\n", NULL},
    {"id on the next line", "Message-ID:\r\n <m2@x>\r\n\r\n", "\r\nIn-Reply-To: <m2@x>\r\n", NULL},
    {"id with a space", "Message-ID: <m 2@x>\r\n\r\n", "text/rfc822-headers", "In-Reply-To"},
    {"id without brackets", "Message-ID: m2@x\r\n\r\n", "text/rfc822-headers", "In-Reply-To"},
    {"id behind the end of the header", "A: b\r\n\r\nMessage-ID: <m@x>\r\n", "A: b\r\n", "m@x"},
};

static void test_originals(void **state)
{
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(originals); i++) {
		struct vgm_recipient r;
		struct vgm_outcome o;
		struct vgm_dsn d = fresh(&r, &o);
		struct vgm_buf out;

		print_message("  %s\n", originals[i].name);
		d.original = vgm_slice_str(originals[i].original);
		compose(&d, &out);
		assert_non_null(strstr(vgm_buf_str(&out), originals[i].present));
		if (originals[i].absent)
			assert_null(strstr(vgm_buf_str(&out), originals[i].absent));
		vgm_buf_release(&out);
	}
}

static void test_long_header_is_cut_at_a_line(void **state)
{
	struct vgm_recipient r;
	struct vgm_outcome o;
	struct vgm_dsn d = fresh(&r, &o);
	struct vgm_buf header = VGM_BUF_INIT(1 << 20), out;

	(void)state;
	for (int i = 0; i < 3000; i++)
		assert_int_equal(vgm_buf_addf(&header, "X-%04d: some text\r\n", i), 0);
	d.original = vgm_buf_slice(&header);
	compose(&d, &out);
	assert_true(out.len < VGM_DSN_HEADER_MAX + 6000);
	assert_non_null(strstr(vgm_buf_str(&out), "some text\r\n\r\n--=_vgm_"));
	vgm_buf_release(&out);
	vgm_buf_release(&header);
}

static void test_addresses_in_utf8(void **state)
{
	struct vgm_recipient r;
	struct vgm_outcome o;
	struct vgm_dsn d = fresh(&r, &o);
	struct vgm_buf out;

	(void)state;
	r.address = VGM_SLICE_LIT("\303\251l+o@example.net");
	d.sender = VGM_SLICE_LIT("\346\234\250@example.org");
	compose(&d, &out);
	assert_non_null(
	    strstr(vgm_buf_str(&out), "\r\nFinal-Recipient: utf-8; \\x{E9}l\\x{2B}o@example.net\r\n"));
	assert_non_null(strstr(vgm_buf_str(&out), "\r\nTo: <\346\234\250@example.org>\r\n"));
	vgm_buf_release(&out);
}

/* What ledgerd knows least about: given up, no reply kept, no postmaster set. */
static void test_expired_without_a_reply(void **state)
{
	struct vgm_recipient r;
	struct vgm_outcome o;
	struct vgm_dsn d = fresh(&r, &o);
	struct vgm_buf out;

	(void)state;
	o = (struct vgm_outcome){
	    .status = VGM_OUTCOME_EXPIRED, .enhanced = VGM_SLICE_LIT("5.4.7")};
	d.postmaster = d.phone = "";
	compose(&d, &out);
	assert_non_null(strstr(vgm_buf_str(&out), "Cause: delivery was tried without success"));
	assert_non_null(strstr(vgm_buf_str(&out), "\r\nStatus: 5.4.7\r\nLast-Attempt-Date:"));
	assert_non_null(
	    strstr(vgm_buf_str(&out), "From: MAILER-DAEMON <postmaster@gw.hopital.example>\r\n"));
	vgm_buf_release(&out);
}

static void test_ceiling(void **state)
{
	struct vgm_recipient r;
	struct vgm_outcome o;
	struct vgm_dsn d = fresh(&r, &o);
	struct vgm_buf whole, small;

	(void)state;
	compose(&d, &whole);
	for (size_t ceiling = 10; ceiling < whole.len; ceiling += 7) {
		vgm_buf_init(&small, ceiling);
		assert_int_equal(vgm_buf_add_str(&small, "kept"), 0);
		assert_int_equal(vgm_dsn_compose(&d, &small, NULL), VGM_E_LIMIT);
		assert_string_equal(vgm_buf_str(&small), "kept");
		vgm_buf_release(&small);
	}
	vgm_buf_release(&whole);
}

/* ---- an independent reader ---- */

static const char *const reader =
    "import sys, email, email.policy\n"
    "m = email.message_from_binary_file(sys.stdin.buffer, policy=email.policy.default)\n"
    "def all_defects(p):\n"
    "    return list(p.defects) + [d for h in p.values() for d in getattr(h, 'defects', ())]\n"
    "parts = list(m.iter_parts())\n"
    "defects = sum((all_defects(p) for p in [m] + parts), [])\n"
    "assert not defects, defects\n"
    "assert m.get_content_type() == 'multipart/report', m.get_content_type()\n"
    "assert m.get_param('report-type') == 'delivery-status'\n"
    "assert m['Subject'] == 'Message non remis / Message not delivered', m['Subject']\n"
    "assert m['From'].addresses[0].addr_spec == 'postmaster@hopital.example'\n"
    "assert m['To'].addresses[0].addr_spec == 'a@example.org'\n"
    "types = [p.get_content_type() for p in parts]\n"
    "assert types == ['text/plain', 'message/delivery-status', 'text/rfc822-headers'], types\n"
    "text = parts[0].get_content()\n"
    "assert \"n'a pas pu \\u00eatre remis\" in text and 'could not be delivered' in text, text\n"
    "assert '24/11/2026 00:00 UTC' in text and '2026-11-24 00:00 UTC' in text, text\n"
    "assert '01 23 45 67 89' in text and 'cd' * 16 in text\n"
    "fields = parts[1].get_payload()\n"
    "assert len(fields) == 3, len(fields)\n"
    "assert fields[0]['Reporting-MTA'] == 'dns; gw.hopital.example'\n"
    "assert fields[2]['Final-Recipient'] == 'rfc822; c@example.net'\n"
    "assert fields[1]['Status'] == '5.1.1' and fields[2]['Action'] == 'failed'\n"
    "assert 'X-Injected' not in fields[2].keys()\n"
    "h = email.message_from_string(parts[2].get_content())\n"
    "assert h['Message-ID'] == '<m1@x>' and not h.get_payload().strip()\n";

static void test_python_reads_it(void **state)
{
	struct vgm_recipient r[2] = {{.address = VGM_SLICE_LIT("b@example.net")},
	    {.address = VGM_SLICE_LIT("c@example.net"), .orcpt = VGM_SLICE_LIT("rfc822;d@e")}};
	struct vgm_outcome o[2];
	struct vgm_dsn d = fresh(&r[1], &o[0]);
	struct vgm_buf out;
	int in[2], status;

	(void)state;
	r[1] = (struct vgm_recipient){.address = VGM_SLICE_LIT("c@example.net"),
	    .orcpt = VGM_SLICE_LIT("rfc822;d@e")};
	o[1] = o[0];
	o[1].reply = VGM_SLICE_LIT("550 \303\251\r\nX-Injected: yes\r\n\r\n--=_vgm_");
	d.recipients = r;
	d.outcomes = o;
	d.recipients_count = 2;
	compose(&d, &out);
	assert_int_equal(pipe(in), 0);
	pid_t child = fork();
	if (child == 0) {
		(void)dup2(in[0], 0);
		(void)close(in[1]);
		(void)execlp("python3", "python3", "-c", reader, (char *)NULL);
		_exit(77);
	}
	(void)close(in[0]);
	assert_int_equal(write(in[1], out.data, out.len), (ssize_t)out.len);
	(void)close(in[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	vgm_buf_release(&out);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_wanted),
	    cmocka_unit_test(test_contents),
	    cmocka_unit_test(test_no_fact_breaks_it),
	    cmocka_unit_test(test_originals),
	    cmocka_unit_test(test_long_header_is_cut_at_a_line),
	    cmocka_unit_test(test_addresses_in_utf8),
	    cmocka_unit_test(test_expired_without_a_reply),
	    cmocka_unit_test(test_ceiling),
	    cmocka_unit_test(test_python_reads_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
