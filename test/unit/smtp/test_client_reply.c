/* SPDX-License-Identifier: EUPL-1.2
 * Replies of servers, kind and unkind, whole and split at every byte. */
#include "smtp/client/reply.h"

#include "base/text.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static const struct {
	const char *name, *in;
	int result; /* of the first feed: 1, 0 or a code */
	uint16_t code;
	const char *text, *enhanced, *reference;
	const char *rest; /* not read */
} cases[] = {
    {"one line", "250 Ok\r\n", 1, 250, "250 Ok", "2.0.0", "", ""},
    {"code alone", "250\r\n", 1, 250, "250", "2.0.0", "", ""},
    {"bare LF", "250 Ok\n", 1, 250, "250 Ok", "2.0.0", "", ""},
    {"two lines", "250-a\r\n250 b\r\n", 1, 250, "250 a b", "2.0.0", "", ""},
    {"empty lines", "250-\r\n250-\r\n250 \r\n", 1, 250, "250", "2.0.0", "", ""},
    {"the next reply is left", "250 a\r\n354 b\r\n", 1, 250, "250 a", "2.0.0", "", "354 b\r\n"},
    {"enhanced", "550 5.1.1 no such user\r\n", 1, 550, "550 5.1.1 no such user", "5.1.1", "", ""},
    {"enhanced of three digits", "452 4.123.456 x\r\n", 1, 452, "452 4.123.456 x", "4.123.456", "", ""},
    {"enhanced alone", "452 4.2.2\r\n", 1, 452, "452 4.2.2", "4.2.2", "", ""},
    {"enhanced of another class", "450 5.1.1 x\r\n", 1, 450, "450 5.1.1 x", "4.0.0", "", ""},
    {"no enhanced: four digits", "550 5.1111.1 x\r\n", 1, 550, "550 5.1111.1 x", "5.0.0", "", ""},
    {"no enhanced: cut", "550 5.1\r\n", 1, 550, "550 5.1", "5.0.0", "", ""},
    {"no enhanced: version", "550 5.1.1beta\r\n", 1, 550, "550 5.1.1beta", "5.0.0", "", ""},
    {"postfix id", "250 2.0.0 Ok: queued as 4F2Ab\r\n", 1, 250, "250 2.0.0 Ok: queued as 4F2Ab",
	"2.0.0", "4F2Ab", ""},
    {"exchange id", "250 2.6.0 <a@b> [InternalId=123, Hostname=x] Queued mail\r\n", 1, 250,
	"250 2.6.0 <a@b> [InternalId=123, Hostname=x] Queued mail", "2.6.0", "123", ""},
    {"exim id", "250 OK id=1a2B-3\r\n", 1, 250, "250 OK id=1a2B-3", "2.0.0", "1a2B-3", ""},
    {"id empty", "250 queued as \r\n", 1, 250, "250 queued as", "2.0.0", "", ""},
    {"control bytes are escaped", "550 \033[2J\001\r\n", 1, 550, "550 \\x1b[2J\\x01", "5.0.0", "", ""},
    {"CR within", "550 a\rb\r\n", 1, 550, "550 a\\x0db", "5.0.0", "", ""},
    {"UTF-8 stays", "550 \303\251t\303\251\r\n", 1, 550, "550 \303\251t\303\251", "5.0.0", "", ""},
    {"half", "250-a\r\n250", 0, 0, NULL, NULL, NULL, ""},
    {"no digits", "Ok\r\n", VGM_E_INVALID, 0, NULL, NULL, NULL, ""},
    {"two digits", "25 Ok\r\n", VGM_E_INVALID, 0, NULL, NULL, NULL, ""},
    {"empty line", "\r\n", VGM_E_INVALID, 0, NULL, NULL, NULL, ""},
    {"sign", "+25 a\r\n", VGM_E_INVALID, 0, NULL, NULL, NULL, ""},
    {"1xx", "150 a\r\n", VGM_E_INVALID, 0, NULL, NULL, NULL, ""},
    {"6xx", "600 a\r\n", VGM_E_INVALID, 0, NULL, NULL, NULL, ""},
    {"four digits", "2500 a\r\n", VGM_E_INVALID, 0, NULL, NULL, NULL, ""},
    {"other separator", "250/a\r\n", VGM_E_INVALID, 0, NULL, NULL, NULL, ""},
    {"mixed codes", "250-a\r\n550 b\r\n", VGM_E_INVALID, 0, NULL, NULL, NULL, ""},
    {"HTTP", "HTTP/1.1 400 Bad Request\r\n", VGM_E_INVALID, 0, NULL, NULL, NULL, ""},
};

static void check(size_t i, struct vgm_smtp_reply *r, int result, struct vgm_slice rest)
{
	struct vgm_buf text = VGM_BUF_INIT(VGM_SMTP_REPLY_TEXT_MAX);
	char enhanced[VGM_SMTP_ENHANCED_BYTES];

	assert_int_equal(result, cases[i].result);
	if (result == 1) {
		assert_int_equal(r->code, cases[i].code);
		vgm_smtp_reply_text(r, &text);
		assert_string_equal(vgm_buf_str(&text), cases[i].text);
		vgm_smtp_reply_enhanced(r, enhanced);
		assert_string_equal(enhanced, cases[i].enhanced);
		assert_true(vgm_slice_eq(
		    vgm_smtp_reply_reference(r), vgm_slice_str(cases[i].reference)));
		assert_true(vgm_slice_eq(rest, vgm_slice_str(cases[i].rest)));
	}
	vgm_buf_release(&text);
}

static void test_cases_at_every_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_slice whole = vgm_slice_str(cases[i].in);

		print_message("  %s\n", cases[i].name);
		for (size_t split = 0; split <= whole.len; split++) {
			struct vgm_smtp_reply r;
			struct vgm_slice head = vgm_slice_sub(whole, 0, split), tail;

			vgm_smtp_reply_init(&r);
			int result = vgm_smtp_reply_feed(&r, &head, NULL);
			if (result == 1 || result < 0) {
				tail = vgm_slice_sub(whole, split - head.len, whole.len);
			} else {
				tail = vgm_slice_from(whole, split);
				result = vgm_smtp_reply_feed(&r, &tail, NULL);
			}
			check(i, &r, result, tail);
			vgm_smtp_reply_release(&r);
		}
	}
}

static int feed_many(const char *piece, size_t times, struct vgm_smtp_reply *r)
{
	int result = 0;

	vgm_smtp_reply_init(r);
	for (size_t i = 0; i < times && result == 0; i++) {
		struct vgm_slice s = vgm_slice_str(piece);

		result = vgm_smtp_reply_feed(r, &s, NULL);
	}
	return result;
}

static void test_ceilings(void **state)
{
	struct vgm_smtp_reply r;

	(void)state;
	assert_int_equal(feed_many("250-x\r\n", VGM_SMTP_REPLY_LINES, &r), 0);
	vgm_smtp_reply_release(&r);
	assert_int_equal(feed_many("250-x\r\n", VGM_SMTP_REPLY_LINES + 1, &r), VGM_E_LIMIT);
	vgm_smtp_reply_release(&r);
	assert_int_equal(feed_many("250 and never an end", 100000, &r), VGM_E_LIMIT);
	vgm_smtp_reply_release(&r);
	assert_int_equal(feed_many("2", 100000, &r), VGM_E_LIMIT);
	vgm_smtp_reply_release(&r);
}

/* The escaped text is cut at its ceiling, no code point in two. */
static void test_long_text_is_cut(void **state)
{
	static const char *const units[] = {"x", "\303\251", "\001", "\\", "\342\202\254"};
	struct vgm_buf text = VGM_BUF_INIT(VGM_SMTP_REPLY_TEXT_MAX);

	(void)state;
	for (size_t u = 0; u < VGM_ARRAY_LEN(units); u++) {
		for (size_t lead = 0; lead < 5; lead++) {
			struct vgm_smtp_reply r;
			struct vgm_buf in = VGM_BUF_INIT(8000);

			assert_int_equal(vgm_buf_addf(&in, "550 %.*s", (int)lead, "abcde"), 0);
			while (in.len < 2000)
				assert_int_equal(vgm_buf_add_str(&in, units[u]), 0);
			assert_int_equal(vgm_buf_add_str(&in, "\r\n"), 0);
			vgm_smtp_reply_init(&r);
			struct vgm_slice s = vgm_buf_slice(&in);
			assert_int_equal(vgm_smtp_reply_feed(&r, &s, NULL), 1);
			vgm_smtp_reply_text(&r, &text);
			assert_in_range(text.len, 500, VGM_SMTP_REPLY_TEXT_MAX);
			assert_true(vgm_utf8_valid(vgm_buf_slice(&text)));
			assert_non_null(strstr(vgm_buf_str(&text), "..."));
			vgm_smtp_reply_release(&r);
			vgm_buf_release(&in);
		}
	}
	vgm_buf_release(&text);
}

static void test_used_again(void **state)
{
	struct vgm_smtp_reply r;
	struct vgm_slice s = VGM_SLICE_LIT("250-a\r\n250 b\r\n550 c\r\n220 d\r\n");

	(void)state;
	vgm_smtp_reply_init(&r);
	for (uint16_t code = 250; code; code = code == 250 ? 550 : code == 550 ? 220 : 0) {
		assert_int_equal(vgm_smtp_reply_feed(&r, &s, NULL), 1);
		assert_int_equal(r.code, code);
	}
	assert_int_equal(vgm_smtp_reply_feed(&r, &s, NULL), 0);
	vgm_smtp_reply_release(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cases_at_every_split),
	    cmocka_unit_test(test_ceilings),
	    cmocka_unit_test(test_long_text_is_cut),
	    cmocka_unit_test(test_used_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
