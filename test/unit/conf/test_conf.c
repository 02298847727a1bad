/* SPDX-License-Identifier: EUPL-1.2
 * test/unit/conf/test_conf.c — conf/conf.c, value.c, write.c, table.c. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf/table.h"

static void test_times(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t ms;
	} good[] = {{"0", 0}, {"1ms", 1}, {"1s", 1000}, {"90s", 90000}, {"5m", 300000}, {"2h", 7200000},
	    {"5d", 432000000}, {"1h30m", 5400000}, {"1d2h3m4s5ms", 93784005}, {"1H", 3600000}, {"0s", 0}};
	static const char *const bad[] = {"", "s", "5", "-1s", "1.5s", "1 s", "1s ", "1w", "1s1h", "1m1m",
	    "99999999999999999999s", "18446744073709551615d", "18446744073709551615ms1ms", "1sm"};
	for (size_t i = 0; i < VGM_ARRAY_LEN(good); i++) {
		uint64_t ms = 77;
		assert_int_equal(vgm_conf_read_time(vgm_slice_str(good[i].text), &ms), 0);
		assert_int_equal(ms, good[i].ms);
	}
	for (size_t i = 0; i < VGM_ARRAY_LEN(bad); i++) {
		uint64_t ms = 77;
		assert_int_equal(vgm_conf_read_time(vgm_slice_str(bad[i]), &ms), VGM_E_INVALID);
		assert_int_equal(ms, 77);
	}
}

static void test_bytes(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {{"0", 0}, {"1", 1}, {"64K", 65536}, {"50m", 52428800}, {"1G", 1073741824}};
	static const char *const bad[] = {"", "K", "1KB", "1T", "1 K", "1.5M", "-1", "1K1",
	    "18446744073709551616", "18446744073709551615K"};
	for (size_t i = 0; i < VGM_ARRAY_LEN(good); i++) {
		uint64_t bytes = 77;
		assert_int_equal(vgm_conf_read_bytes(vgm_slice_str(good[i].text), &bytes), 0);
		assert_int_equal(bytes, good[i].bytes);
	}
	for (size_t i = 0; i < VGM_ARRAY_LEN(bad); i++) {
		uint64_t bytes = 77;
		assert_int_equal(vgm_conf_read_bytes(vgm_slice_str(bad[i]), &bytes), VGM_E_INVALID);
	}
}

/* Every option: default within its own range, help in both languages, and the
 * reader takes what the writer wrote. */
static void test_table(void **state)
{
	(void)state;
	for (const struct vgm_conf_option *o = vgm_conf_options(); o->path; o++) {
		assert_ptr_equal(vgm_conf_option_find(vgm_slice_str(o->path)), o); /* no path twice */
		assert_true(o->roles != 0);
		assert_true(strlen(o->path) < sizeof(((struct vgm_conf_fault *)0)->path));
		if (vgm_conf_option_help(o, NULL, VGM_FR) == o->help)
			fail_msg("%s: no French help", o->path);
		for (const struct vgm_conf_option *c = o->columns ? o->columns() : NULL; c && c->path; c++)
			if (vgm_conf_option_help(c, o, VGM_FR) == c->help)
				fail_msg("%s.%s: no French help", o->path, c->path);
	}
	assert_null(vgm_conf_option_find(VGM_SLICE_LIT("nothing")));
}

static void assert_same(const struct vgm_conf *a, const struct vgm_conf *b)
{
	for (const struct vgm_conf_option *o = vgm_conf_options(); o->path; o++)
		if (!vgm_conf_option_eq(a, b, o))
			fail_msg("%s differs", o->path);
}

/* Writes, reads back, compares. */
static void round_trip(const struct vgm_conf *c, bool only_changed)
{
	struct vgm_buf out = VGM_BUF_INIT(1u << 20);
	struct vgm_conf again;
	struct vgm_err err = {0};
	assert_int_equal(vgm_conf_write(c, C_ALL, only_changed, &out), 0);
	if (vgm_conf_parse(vgm_buf_slice(&out), &again, NULL, &err) < 0)
		fail_msg("%s\n%s", err.text, vgm_buf_str(&out));
	assert_same(c, &again);
	vgm_conf_release(&again);
	vgm_buf_release(&out);
}

static void set(struct vgm_conf *c, const char *path, const char *value)
{
	struct vgm_err err = {0};
	if (vgm_conf_set(c, path, value, NULL, &err) < 0)
		fail_msg("%s = %s: %s", path, value, err.text);
}

static void test_round_trip(void **state)
{
	(void)state;
	struct vgm_conf c;
	vgm_conf_init(&c);
	round_trip(&c, false);
	round_trip(&c, true);
	set(&c, "phone", "01 \"poste\" 42 \\ # : - é € {a} 'x'");
	set(&c, "domains", "hopital.example");
	set(&c, "domains", "chu.example");
	set(&c, "smtp.max_size", "1025");
	set(&c, "queue.expire", "90s");
	set(&c, "allow_no_seccomp", "yes");
	set(&c, "routes", "name=exchange,domains=hopital.example,to=a.example:25,to=b.example:25,tls=encrypt");
	set(&c, "routes", "name=rest,to=mx");
	set(&c, "submit.logins", "name=scan,password=$argon2id$v");
	set(&c, "devices.machines", "name=copieur étage 2,address=10.0.0.0/8,outside=yes");
	assert_int_equal(vgm_conf_empty(&c, "receive.listen", NULL), 0);
	round_trip(&c, false);
	round_trip(&c, true);
	vgm_conf_release(&c);
}

static void test_written_text(void **state)
{
	(void)state;
	struct vgm_conf c;
	struct vgm_buf out = VGM_BUF_INIT(4000);
	vgm_conf_init(&c);
	assert_int_equal(vgm_conf_write(&c, C_ALL, true, &out), 0);
	assert_string_equal(vgm_buf_str(&out), "");
	set(&c, "submit.relays", "10.0.0.0/8");
	set(&c, "devices.machines", "name=a,address=10.0.0.1");
	set(&c, "submit.logins", "name=b,password=$argon2id$v,senders=@c.example");
	set(&c, "log.level", "debug");
	assert_int_equal(vgm_conf_write(&c, C_ALL, true, &out), 0);
	assert_string_equal(vgm_buf_str(&out),
	    "submit:\n"
	    "  relays: [\"10.0.0.0/8\"]\n"
	    "  logins:\n"
	    "    - name: \"b\"\n"
	    "      password: \"$argon2id$v\"\n"
	    "      senders: [\"@c.example\"]\n"
	    "devices:\n"
	    "  machines:\n"
	    "    - name: \"a\"\n"
	    "      address: \"10.0.0.1\"\n"
	    "      outside: no\n"
	    "log:\n"
	    "  level: \"debug\"\n");
	/* What a role is not told does not reach it. */
	vgm_buf_clear(&out);
	assert_int_equal(vgm_conf_write(&c, C_RELAYD, true, &out), 0);
	assert_string_equal(vgm_buf_str(&out), "log:\n  level: \"debug\"\n");
	/* No room: nothing is left behind. */
	struct vgm_buf small = VGM_BUF_INIT(20);
	assert_int_equal(vgm_buf_add_str(&small, "x"), 0);
	assert_int_equal(vgm_conf_write(&c, C_ALL, false, &small), VGM_E_LIMIT);
	assert_string_equal(vgm_buf_str(&small), "x");
	vgm_buf_release(&small);
	vgm_buf_release(&out);
	vgm_conf_release(&c);
}

static void test_set_mistakes(void **state)
{
	(void)state;
	static const struct {
		const char *path, *value, *words;
	} cases[] = {
	    {"nothing", "x", "conf_unknown"},
	    {"log.levl", "info", "conf_unknown_near"},
	    {"log.level", "loud", "conf_not_choice"},
	    {"smtp.max_size", "x", "conf_not_bytes"},
	    {"domains", "a b", "conf_not_domain"},
	    {"domains", "", "conf_empty"},
	    {"routes", "name=x", NULL}, /* a route without "to" is told by the whole check of a file */
	    {"routes", "to=mx", "conf_column_missing"},
	    {"routes", "", "conf_column_missing"},
	    {"routes", "name", "conf_unknown_near"},
	    {"routes", "nam=x", "conf_unknown_near"},
	    {"routes", "name=x,tls=y", "conf_not_choice"},
	    {"phone", "a\nb", "conf_control_character"},
	    {"phone", "a\xFF", "conf_control_character"},
	    {"phone", "a\xC2\x9B", "conf_control_character"},
	    {"phone", "a\xEF\xBB\xBF", "conf_control_character"},
	};
	struct vgm_conf c;
	vgm_conf_init(&c);
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_conf_fault fault;
		size_t routes = c.routes_count;
		int r = vgm_conf_set(&c, cases[i].path, cases[i].value, &fault, NULL);
		assert_int_equal(r, cases[i].words ? VGM_E_INVALID : 0);
		if (cases[i].words) {
			assert_string_equal(fault.words_id, cases[i].words);
			assert_int_equal(fault.line, 0);
			assert_int_equal(c.routes_count, routes);
		}
	}
	assert_int_equal(vgm_conf_empty(&c, "nothing", NULL), VGM_E_NOTFOUND);
	assert_int_equal(vgm_conf_empty(&c, "phone", NULL), VGM_E_NOTFOUND);
	assert_int_equal(vgm_conf_empty(&c, "routes", NULL), 0);
	assert_int_equal(c.routes_count, 0);
	vgm_conf_release(&c);
}

static void test_restart_needed(void **state)
{
	(void)state;
	struct vgm_conf a, b;
	struct vgm_buf out = VGM_BUF_INIT(1000);
	vgm_conf_init(&a);
	vgm_conf_init(&b);
	set(&b, "phone", "15"); /* taken at reload */
	set(&b, "routes", "name=x,to=mx");
	assert_int_equal(vgm_conf_restart_needed(&a, &b, &out), 0);
	assert_string_equal(vgm_buf_str(&out), "");
	set(&b, "state", "/elsewhere");
	set(&b, "receive.listen", "127.0.0.1:26");
	assert_int_equal(vgm_conf_restart_needed(&a, &b, &out), 0);
	assert_string_equal(vgm_buf_str(&out), "state, receive.listen");
	/* at a reload they stay as they are, the others change */
	set(&b, "entity", "7");
	set(&b, "keys.root", "passphrase");
	vgm_conf_keep(&b, &a);
	assert_string_equal(b.state, "/var/lib/vaguemestre");
	assert_int_equal(b.receive_listen.count, 1);
	assert_int_equal(b.entity, 1);
	assert_string_equal(b.root_key, "file");
	assert_string_equal(b.phone, "15");
	assert_int_equal(b.routes_count, 1);
	assert_int_equal(a.entity, 7);
	vgm_conf_release(&a);
	vgm_conf_init(&a);
	vgm_buf_clear(&out);
	assert_int_equal(vgm_conf_restart_needed(&a, &b, &out), 0);
	assert_string_equal(vgm_buf_str(&out), "");
	vgm_buf_release(&out);
	vgm_conf_release(&a);
	vgm_conf_release(&b);
}

static void test_compare_rows(void **state)
{
	(void)state;
	const struct vgm_conf_option *routes = vgm_conf_option_find(VGM_SLICE_LIT("routes"));
	struct vgm_conf a, b;
	vgm_conf_init(&a);
	vgm_conf_init(&b);
	assert_true(vgm_conf_option_eq(&a, &b, routes));
	set(&a, "routes", "name=x,to=mx");
	assert_false(vgm_conf_option_eq(&a, &b, routes));
	set(&b, "routes", "name=x,to=mx");
	assert_true(vgm_conf_option_eq(&a, &b, routes));
	set(&a, "routes", "name=y,to=mx");
	set(&b, "routes", "name=y,to=mx,to=a.b:25");
	assert_false(vgm_conf_option_eq(&a, &b, routes));
	vgm_conf_release(&a);
	vgm_conf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_times),
	    cmocka_unit_test(test_bytes),
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_written_text),
	    cmocka_unit_test(test_set_mistakes),
	    cmocka_unit_test(test_restart_needed),
	    cmocka_unit_test(test_compare_rows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
