/* SPDX-License-Identifier: EUPL-1.2
 * test/unit/cmd/test_sink.c — cmd/sink_rules.c and cmd/sink_store.c. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd/sink.h"

static void test_rules_good(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum vgm_sink_stage stage;
		const char *pattern;
		uint64_t first, for_ms;
		unsigned code;
		const char *enhanced;
	} cases[] = {
	    {"RCPT=450", VGM_SINK_RCPT, "*", UINT64_MAX, UINT64_MAX, 450, "4.0.0"},
	    {"RCPT=550", VGM_SINK_RCPT, "*", UINT64_MAX, UINT64_MAX, 550, "5.0.0"},
	    {"rcpt * = 450 4.2.1 ", VGM_SINK_RCPT, "*", UINT64_MAX, UINT64_MAX, 450, "4.2.1"},
	    {"RCPT @example.org first 3=450 4.2.1", VGM_SINK_RCPT, "@example.org", 3, UINT64_MAX, 450, "4.2.1"},
	    {"DATA a@b.c for 60s=451 4.3.0", VGM_SINK_DATA, "a@b.c", UINT64_MAX, 60000, 451, "4.3.0"},
	    {"DATA for 1m first 2=599", VGM_SINK_DATA, "*", 2, 60000, 599, "5.0.0"},
	    {"CONNECT=421 4.3.2", VGM_SINK_CONNECT, "*", UINT64_MAX, UINT64_MAX, 421, "4.3.2"},
	    {"MAIL first 0=450", VGM_SINK_MAIL, "*", 0, UINT64_MAX, 450, "4.0.0"},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_sink_rule r;
		assert_int_equal(vgm_sink_rule_parse(vgm_slice_str(cases[i].text), &r), 0);
		assert_int_equal(r.stage, cases[i].stage);
		assert_string_equal(r.pattern, cases[i].pattern);
		assert_true(r.first == cases[i].first);
		assert_true(r.for_ms == cases[i].for_ms);
		assert_int_equal(r.code, cases[i].code);
		assert_string_equal(r.enhanced, cases[i].enhanced);
	}
}

static void test_rules_bad(void **state)
{
	(void)state;
	static const char *const cases[] = {"", "=", "RCPT", "RCPT=", "=450", "VRFY=450", "RCPT=250",
	    "RCPT=4500", "RCPT=45", "RCPT=600", "RCPT=450 5.0.0", "RCPT=450 x", "RCPT=450 4.2.1 text",
	    "RCPT x=450", "RCPT first=450", "RCPT first x=450", "RCPT for=450", "RCPT for 5=450",
	    "RCPT a@b c@d=450", "RCPT last 3=450", "RCPT=450 4.1234567890123456"};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_sink_rule r;
		assert_int_equal(vgm_sink_rule_parse(vgm_slice_str(cases[i]), &r), VGM_E_INVALID);
	}
	char text[400] = "RCPT @";
	struct vgm_sink_rule r;
	memset(text + 6, 'a', 300);
	memcpy(text + 306, "=450", 5);
	assert_int_equal(vgm_sink_rule_parse(vgm_slice_str(text), &r), VGM_E_INVALID);
}

static unsigned take(struct vgm_sink_rule *rules, size_t n, enum vgm_sink_stage stage,
    const char *address, uint64_t ms)
{
	const struct vgm_sink_rule *r = vgm_sink_rule_take(rules, n, stage, vgm_slice_str(address), ms);
	return r ? r->code : 0;
}

static void test_rules_taken(void **state)
{
	(void)state;
	static const char *const texts[] = {"RCPT @slow.example first 2=450", "RCPT Bad@x.example=550",
	    "DATA for 10s=451", "RCPT @slow.example for 5s=452"};
	struct vgm_sink_rule rules[4];
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(vgm_sink_rule_parse(vgm_slice_str(texts[i]), &rules[i]), 0);
	assert_int_equal(take(rules, 4, VGM_SINK_RCPT, "a@x.example", 0), 0);
	assert_int_equal(take(rules, 4, VGM_SINK_RCPT, "bad@X.example", 0), 550);
	assert_int_equal(take(rules, 4, VGM_SINK_MAIL, "bad@x.example", 0), 0);
	assert_int_equal(take(rules, 4, VGM_SINK_RCPT, "a@SLOW.example", 0), 450);
	assert_int_equal(take(rules, 4, VGM_SINK_RCPT, "b@slow.example", 0), 450);
	assert_int_equal(take(rules, 4, VGM_SINK_RCPT, "b@slow.example", 4999), 452);
	assert_int_equal(take(rules, 4, VGM_SINK_RCPT, "b@slow.example", 5000), 0);
	assert_int_equal(take(rules, 4, VGM_SINK_RCPT, "b@notslow.example", 0), 0);
	assert_int_equal(take(rules, 4, VGM_SINK_RCPT, "", 0), 0);
	assert_int_equal(take(rules, 4, VGM_SINK_DATA, "x", 9999), 451);
	assert_int_equal(take(rules, 4, VGM_SINK_DATA, "x", 10000), 0);
}

static void read_whole(int dir, const char *name, char *out, size_t bytes)
{
	int fd = openat(dir, name, O_RDONLY);
	assert_true(fd >= 0);
	ssize_t n = read(fd, out, bytes - 1);
	assert_true(n >= 0);
	out[n] = '\0';
	close(fd);
}

static void test_store(void **state)
{
	(void)state;
	char place[] = "/tmp/vgm-test-sink-XXXXXX", maildir[100], log[100], text[2000];
	struct vgm_sink_store s;
	struct vgm_err err;
	static const uint8_t sha256[32] = {0xAB};
	const struct vgm_slice recipients[] = {VGM_SLICE_LIT("b@c.example"), VGM_SLICE_LIT("\"q\\\"x\"@d.example")};
	struct vgm_sink_message m = {.sender = VGM_SLICE_LIT("a@b.example"), .recipients = recipients,
	    .recipients_count = 2, .body = VGM_SLICE_LIT("Subject: x\r\n\r\n.\r\n"), .size = 17, .sha256 = sha256};
	assert_non_null(mkdtemp(place));
	snprintf(maildir, sizeof(maildir), "%s/md", place);
	snprintf(log, sizeof(log), "%s/log", place);
	assert_int_equal(vgm_sink_store_open(&s, maildir, log, &err), 0);
	assert_int_equal(vgm_sink_store_add(&s, &m, &err), 0);
	assert_int_equal(vgm_sink_store_add(&s, &m, &err), 0);
	assert_int_equal(s.messages, 2);
	assert_int_equal(s.bytes, 34);
	read_whole(AT_FDCWD, log, text, sizeof(text));
	*strchr(text, '\n') = '\0';
	json_t *j = json_loads(text, 0, NULL);
	assert_non_null(j);
	assert_string_equal(json_string_value(json_object_get(j, "sender")), "a@b.example");
	assert_string_equal(json_string_value(json_array_get(json_object_get(j, "recipients"), 1)),
	    "\"q\\\"x\"@d.example");
	assert_int_equal(json_integer_value(json_object_get(j, "size")), 17);
	assert_memory_equal(json_string_value(json_object_get(j, "sha256")), "ab0000", 6);
	char kept[200];
	read_whole(s.directory, json_string_value(json_object_get(j, "file")), kept, sizeof(kept));
	assert_string_equal(kept, "Subject: x\r\n\r\n.\r\n");
	json_decref(j);
	vgm_sink_store_close(&s);
	/* Opened again it goes on where it was. */
	assert_int_equal(vgm_sink_store_open(&s, maildir, log, &err), 0);
	vgm_sink_store_close(&s);
	assert_int_equal(vgm_sink_store_open(&s, "/nonexistent/x", NULL, &err), VGM_E_IO);
	char command[200];
	snprintf(command, sizeof(command), "%s/md/new", place);
	DIR *d = opendir(command);
	assert_non_null(d);
	for (struct dirent *e = readdir(d); e; e = readdir(d))
		unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
	static const char *const gone[] = {"md/new", "md/cur", "md/tmp", "md", ""};
	unlink(log);
	for (size_t i = 0; i < VGM_ARRAY_LEN(gone); i++) {
		snprintf(command, sizeof(command), "%s/%s", place, gone[i]);
		assert_int_equal(rmdir(command), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rules_good),
	    cmocka_unit_test(test_rules_bad),
	    cmocka_unit_test(test_rules_taken),
	    cmocka_unit_test(test_store),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
