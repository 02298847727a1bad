/* SPDX-License-Identifier: EUPL-1.2
 * test/unit/conf/test_parse.c — conf/parse.c: good files, and each mistake with
 * the place and the words that it must be told with. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf/conf.h"
#include "words/words.h"

static void parse_good(const char *yaml, struct vgm_conf *out)
{
	struct vgm_conf_fault fault;
	struct vgm_err err = {0};
	if (vgm_conf_parse(vgm_slice_str(yaml), out, &fault, &err) < 0)
		fail_msg("%s\n%s", err.text, yaml);
}

static void test_empty(void **state)
{
	(void)state;
	static const char *const files[] = {"", "\n", "# nothing\n", "---\n", "---\n...\n", "{}\n", "   \n"};
	for (size_t i = 0; i < VGM_ARRAY_LEN(files); i++) {
		struct vgm_conf c;
		parse_good(files[i], &c);
		assert_string_equal(c.hostname, "localhost");
		assert_int_equal(c.max_size, 50u << 20);
		assert_int_equal(c.retry.count, 7);
		assert_string_equal(c.retry.text[0], "1m");
		assert_int_equal(c.routes_count, 0);
		vgm_conf_release(&c);
	}
}

static void test_everything(void **state)
{
	(void)state;
	struct vgm_conf c;
	parse_good("hostname: mx.hopital.example\n"
	           "domains: [hopital.example, \"chu.example\"]\n"
	           "language: en\n"
	           "phone: '+33 1 23 45 67 89'\n"
	           "allow_no_seccomp: Yes\n"
	           "receive:\n"
	           "  listen:\n"
	           "    - 0.0.0.0:25\n"
	           "    - '[::]:25'\n"
	           "  proxies: 192.0.2.0/24\n"
	           "submit:\n"
	           "  listen: \"*:587\"\n"
	           "  listen_tls: [localhost:0, '127.0.0.1:465']\n"
	           "  logins:\n"
	           "    - {name: scanner, password: $argon2id$v=19$x, senders: ['@hopital.example', a@b.fr]}\n"
	           "    - name: other\n"
	           "      password: $argon2id$v=19$y\n"
	           "devices:\n"
	           "  machines:\n"
	           "  - name: copieur radiologie\n"
	           "    address: 10.1.2.3\n"
	           "    outside: on\n"
	           "smtp: {max_size: 10M, command_timeout: 1m30s, max_errors: 5}\n"
	           "routes:\n"
	           "  - name: exchange\n"
	           "    domains: [hopital.example]\n"
	           "    to: [mail1.hopital.example:25, '[2001:db8::1]:25']\n"
	           "    tls: verify\n"
	           "  - {name: rest, domains: '*', to: mx}\n"
	           "queue:\n"
	           "  retry: [1m, 10m, 1h]\n"
	           "  expire: 2d\n"
	           "log: {level: debug, personal_data: true}\n",
	    &c);
	assert_string_equal(c.hostname, "mx.hopital.example");
	assert_int_equal(c.domains.count, 2);
	assert_string_equal(c.domains.text[1], "chu.example");
	assert_true(c.allow_no_seccomp);
	assert_int_equal(c.receive_listen.count, 2);
	assert_string_equal(c.receive_listen.text[1], "[::]:25");
	assert_int_equal(c.receive_proxies.count, 1);
	assert_int_equal(c.submit_listen.count, 1);
	assert_int_equal(c.logins_count, 2);
	assert_string_equal(c.logins[0].name, "scanner");
	assert_int_equal(c.logins[0].senders.count, 2);
	assert_int_equal(c.logins[1].senders.count, 0);
	assert_int_equal(c.devices_count, 1);
	assert_true(c.devices[0].outside);
	assert_int_equal(c.max_size, 10u << 20);
	assert_int_equal(c.command_timeout, 90000);
	assert_int_equal(c.max_errors, 5);
	assert_int_equal(c.routes_count, 2);
	assert_string_equal(c.routes[0].to.text[1], "[2001:db8::1]:25");
	assert_string_equal(c.routes[0].tls, "verify");
	assert_int_equal(c.routes[0].connections, 20);
	assert_string_equal(c.routes[1].to.text[0], "mx");
	assert_string_equal(c.routes[1].tls, "may");
	assert_int_equal(c.retry.count, 3);
	assert_int_equal(c.expire, 2 * 86400000);
	assert_true(c.log_personal);
	vgm_conf_release(&c);
	vgm_conf_release(&c); /* harmless */
}

static void test_dotted_keys(void **state)
{
	(void)state;
	struct vgm_conf c;
	parse_good("smtp.max_errors: 7\nqueue:\n  expire: 1h\n", &c);
	assert_int_equal(c.max_errors, 7);
	assert_int_equal(c.expire, 3600000);
	vgm_conf_release(&c);
}

static const struct {
	const char *yaml;
	size_t line, column;
	enum vgm_words_id words;
	const char *path, *expected; /* NULL: not looked at */
} mistakes[] = {
    /* names */
    {"hostnam: x\n", 1, 1, VGM_WORDS_conf_unknown_near, "hostnam", "hostname"},
    {"zebra: x\n", 1, 1, VGM_WORDS_conf_unknown, "zebra", ""},
    {"# c\n\nsmtp:\n  max_sise: 5M\n", 4, 3, VGM_WORDS_conf_unknown_near, "smtp.max_sise", "smtp.max_size"},
    {"max_size: 5M\n", 1, 1, VGM_WORDS_conf_unknown_near, "max_size", "smtp.max_size"},
    {"smtp:\n  expire: 5M\n", 2, 3, VGM_WORDS_conf_unknown_near, "smtp.expire", "queue.expire"},
    {"'': x\n", 1, 1, VGM_WORDS_conf_unknown, "", ""},
    {"routes:\n- name: a\n  two: b\n", 3, 3, VGM_WORDS_conf_unknown_near, "two", "to"},
    {"<<: {a: b}\n", 1, 1, VGM_WORDS_conf_unknown, "<<", ""},
    /* twice */
    {"phone: a\nphone: b\n", 2, 1, VGM_WORDS_conf_twice, "phone", NULL},
    {"smtp: {max_errors: 2}\nsmtp: {min_rate: 5}\n", 2, 1, VGM_WORDS_conf_twice, "smtp", NULL},
    {"smtp: {max_errors: 2, max_errors: 3}\n", 1, 23, VGM_WORDS_conf_twice, "smtp.max_errors", NULL},
    {"smtp.max_errors: 2\nsmtp: {max_errors: 3}\n", 2, 8, VGM_WORDS_conf_twice, NULL, NULL},
    {"routes: [{name: a, to: mx, to: mx}]\n", 1, 28, VGM_WORDS_conf_twice, "to", NULL},
    {"routes: [{name: a, to: mx}, {name: a, to: mx}]\n", 0, 0, VGM_WORDS_conf_name_twice, "routes", NULL},
    /* kinds */
    {"smtp:\n  max_size: lots\n", 2, 13, VGM_WORDS_conf_not_bytes, "smtp.max_size", NULL},
    {"smtp: {max_size: 5MB}\n", 1, 18, VGM_WORDS_conf_not_bytes, NULL, NULL},
    {"smtp: {max_size: -5}\n", 1, 18, VGM_WORDS_conf_not_bytes, NULL, NULL},
    {"smtp: {max_size: 99999999999999999999}\n", 1, 18, VGM_WORDS_conf_not_bytes, NULL, NULL},
    {"smtp: {max_size: 99999999999999G}\n", 1, 18, VGM_WORDS_conf_not_bytes, NULL, NULL},
    {"smtp: {command_timeout: 60}\n", 1, 25, VGM_WORDS_conf_not_time, NULL, NULL},
    {"smtp: {command_timeout: 5 m}\n", 1, 25, VGM_WORDS_conf_not_time, NULL, NULL},
    {"smtp: {command_timeout: 1m1m}\n", 1, 25, VGM_WORDS_conf_not_time, NULL, NULL},
    {"smtp: {command_timeout: 1s1m}\n", 1, 25, VGM_WORDS_conf_not_time, NULL, NULL},
    {"smtp: {command_timeout: m}\n", 1, 25, VGM_WORDS_conf_not_time, NULL, NULL},
    {"queue: {expire: 999999999999999999d}\n", 1, 17, VGM_WORDS_conf_not_time, NULL, NULL},
    {"smtp: {max_errors: 5.5}\n", 1, 20, VGM_WORDS_conf_not_number, NULL, NULL},
    {"smtp: {max_errors: 0x5}\n", 1, 20, VGM_WORDS_conf_not_number, NULL, NULL},
    {"allow_no_seccomp: maybe\n", 1, 19, VGM_WORDS_conf_not_flag, NULL, NULL},
    {"allow_no_seccomp: 1\n", 1, 19, VGM_WORDS_conf_not_flag, NULL, NULL},
    {"hostname: [a, b]\n", 1, 11, VGM_WORDS_conf_not_scalar, "hostname", NULL},
    {"domains: [[a]]\n", 1, 11, VGM_WORDS_conf_not_scalar, "domains", NULL},
    {"domains: {a: b}\n", 1, 10, VGM_WORDS_conf_not_scalar, "domains", NULL},
    {"smtp: 5\n", 1, 7, VGM_WORDS_conf_not_section, "smtp", NULL},
    {"smtp: [a]\n", 1, 7, VGM_WORDS_conf_not_section, "smtp", NULL},
    {"smtp:\nphone: a\n", 1, 6, VGM_WORDS_conf_not_section, "smtp", NULL},
    {"just words\n", 1, 1, VGM_WORDS_conf_not_section, "", NULL},
    {"- a\n", 1, 1, VGM_WORDS_conf_not_section, "", NULL},
    {"? [a]\n: b\n", 1, 3, VGM_WORDS_conf_not_key, NULL, NULL},
    {"routes: x\n", 1, 9, VGM_WORDS_conf_not_rows, "routes", NULL},
    {"routes: {name: a}\n", 1, 9, VGM_WORDS_conf_not_rows, "routes", NULL},
    {"routes: [a]\n", 1, 10, VGM_WORDS_conf_not_rows, "routes", NULL},
    {"routes: [{[a]: b}]\n", 1, 11, VGM_WORDS_conf_not_key, "routes", NULL},
    {"routes: [{to: mx}]\n", 1, 17, VGM_WORDS_conf_column_missing, "routes", "name"},
    {"submit: {logins: [{name: a}]}\n", 1, 27, VGM_WORDS_conf_column_missing, "submit.logins", "password"},
    {"routes: [{name: a, domains: b}]\n", 0, 0, VGM_WORDS_conf_route_nowhere, "routes.to", NULL},
    {"hostname:\n", 1, 10, VGM_WORDS_conf_empty, "hostname", NULL},
    {"hostname: ''\n", 1, 11, VGM_WORDS_conf_empty, "hostname", NULL},
    {"domains:\n", 1, 9, VGM_WORDS_conf_empty, "domains", NULL},
    /* ranges */
    {"smtp: {max_errors: 0}\n", 1, 20, VGM_WORDS_conf_range, "smtp.max_errors", "1 - 1000"},
    {"smtp: {max_errors: 1001}\n", 1, 20, VGM_WORDS_conf_range, NULL, "1 - 1000"},
    {"smtp: {max_size: 1}\n", 1, 18, VGM_WORDS_conf_range, NULL, "1K - 2G"},
    {"smtp: {command_timeout: 1h}\n", 1, 25, VGM_WORDS_conf_range, NULL, "1s - 10m"},
    {"user: abcdefghijklmnopqrstuvwxyz0123456789\n", 1, 7, VGM_WORDS_conf_length, "user", "0 - 32"},
    /* what a text must be */
    {"language: de\n", 1, 11, VGM_WORDS_conf_not_choice, "language", "fr, en"},
    {"log: {level: loud}\n", 1, 14, VGM_WORDS_conf_not_choice, NULL, "error, warning, info, debug"},
    {"routes: [{name: a, tls: maybe}]\n", 1, 25, VGM_WORDS_conf_not_choice, NULL, "may, encrypt, verify"},
    {"domains: [a..b]\n", 1, 11, VGM_WORDS_conf_not_domain, NULL, NULL},
    {"domains: [-a.b]\n", 1, 11, VGM_WORDS_conf_not_domain, NULL, NULL},
    {"domains: [a-.b]\n", 1, 11, VGM_WORDS_conf_not_domain, NULL, NULL},
    {"domains: ['a b']\n", 1, 11, VGM_WORDS_conf_not_domain, NULL, NULL},
    {"domains: [a@b]\n", 1, 11, VGM_WORDS_conf_not_domain, NULL, NULL},
    {"domains: [b.]\n", 1, 11, VGM_WORDS_conf_not_domain, NULL, NULL},
    {"postmaster: nobody\n", 1, 13, VGM_WORDS_conf_not_address, NULL, NULL},
    {"receive: {listen: 25}\n", 1, 19, VGM_WORDS_conf_not_listen, NULL, NULL},
    {"receive: {listen: '0.0.0.0'}\n", 1, 19, VGM_WORDS_conf_not_listen, NULL, NULL},
    {"receive: {listen: '0.0.0.0:x'}\n", 1, 19, VGM_WORDS_conf_not_listen, NULL, NULL},
    {"receive: {listen: '0.0.0.0:65536'}\n", 1, 19, VGM_WORDS_conf_not_listen, NULL, NULL},
    {"receive: {listen: 'mx.example.org:25'}\n", 1, 19, VGM_WORDS_conf_not_listen, NULL, NULL},
    {"receive: {listen: '*:'}\n", 1, 19, VGM_WORDS_conf_not_listen, NULL, NULL},
    {"receive: {listen: ':25'}\n", 1, 19, VGM_WORDS_conf_not_listen, NULL, NULL},
    {"receive: {listen: '**:25'}\n", 1, 19, VGM_WORDS_conf_not_listen, NULL, NULL},
    {"receive: {listen: '[1.2.3.4]:25'}\n", 1, 19, VGM_WORDS_conf_not_listen, NULL, NULL},
    {"receive: {proxies: 10.0.0.1/8}\n", 1, 20, VGM_WORDS_conf_not_network, NULL, NULL},
    {"receive: {proxies: '2001:db8::1/32'}\n", 1, 20, VGM_WORDS_conf_not_network, NULL, NULL},
    {"receive: {listen: '::1:25'}\n", 1, 19, VGM_WORDS_conf_not_listen, NULL, NULL},
    {"receive: {proxies: 10.0.0.0/33}\n", 1, 20, VGM_WORDS_conf_not_network, NULL, NULL},
    {"receive: {proxies: 10.0.0}\n", 1, 20, VGM_WORDS_conf_not_network, NULL, NULL},
    {"receive: {proxies: '::/129'}\n", 1, 20, VGM_WORDS_conf_not_network, NULL, NULL},
    {"routes: [{name: a, to: host}]\n", 1, 24, VGM_WORDS_conf_not_place, NULL, NULL},
    {"routes: [{name: a, to: 'host:0'}]\n", 1, 24, VGM_WORDS_conf_not_place, NULL, NULL},
    {"routes: [{name: 'a b', to: mx}]\n", 1, 17, VGM_WORDS_conf_not_name, NULL, NULL},
    {"queue: {retry: [1m, 5]}\n", 1, 21, VGM_WORDS_conf_not_time, NULL, NULL},
    {"queue: {retry: [10ms]}\n", 1, 17, VGM_WORDS_conf_not_time, NULL, NULL},
    {"submit: {logins: [{name: a, password: secret}]}\n", 1, 39, VGM_WORDS_conf_not_password, NULL, NULL},
    {"tls: {key: /k.pem}\n", 0, 0, VGM_WORDS_conf_half_pair, "tls.certificate", NULL},
    {"tls: {certificate: /c.pem}\n", 0, 0, VGM_WORDS_conf_half_pair, "tls.key", NULL},
    {"phone: \"a\\0b\"\n", 1, 8, VGM_WORDS_conf_control_character, NULL, NULL},
    {"phone: \"a\\nb\"\n", 1, 8, VGM_WORDS_conf_control_character, NULL, NULL},
    {"phone: \"a\\u2028b\"\n", 1, 8, VGM_WORDS_conf_control_character, NULL, NULL},
    {"phone: \"a\\x9bb\"\n", 1, 8, VGM_WORDS_conf_control_character, NULL, NULL},
    /* YAML */
    {"smtp:\n\tmax_size: 5M\n", 2, 1, VGM_WORDS_conf_tab, NULL, NULL},
    {"phone: 'a\n", 2, 1, VGM_WORDS_conf_not_yaml, NULL, NULL},
    {"phone: a: b\n", 1, 9, VGM_WORDS_conf_not_yaml, NULL, NULL},
    {"phone: \"\\q\"\n", 1, 9, VGM_WORDS_conf_not_yaml, NULL, NULL},
    {"phone: \xFF\n", 1, 1, VGM_WORDS_conf_not_utf8, NULL, NULL},
    {"phone: a\x01\n", 1, 1, VGM_WORDS_conf_not_utf8, NULL, NULL},
    {"phone: &a x\n", 1, 8, VGM_WORDS_conf_yaml_clever, NULL, NULL},
    {"phone: *a\n", 1, 8, VGM_WORDS_conf_yaml_clever, NULL, NULL},
    {"phone: !!str x\n", 1, 8, VGM_WORDS_conf_yaml_clever, NULL, NULL},
    {"smtp: &a {}\n", 1, 7, VGM_WORDS_conf_yaml_clever, NULL, NULL},
    {"domains: !x [a]\n", 1, 10, VGM_WORDS_conf_yaml_clever, NULL, NULL},
    {"%YAML 1.1\n---\nphone: a\n", 1, 1, VGM_WORDS_conf_yaml_clever, NULL, NULL},
    {"phone: a\n---\nphone: b\n", 2, 1, VGM_WORDS_conf_yaml_clever, NULL, NULL},
};

static void test_mistakes(void **state)
{
	(void)state;
	size_t wrong = 0;
	for (size_t i = 0; i < VGM_ARRAY_LEN(mistakes); i++) {
		struct vgm_conf c;
		struct vgm_conf_fault fault;
		struct vgm_err err = {0};
		int r = vgm_conf_parse(vgm_slice_str(mistakes[i].yaml), &c, &fault, &err);
		bool as_expected = r == VGM_E_INVALID && fault.line == mistakes[i].line &&
		    fault.column == mistakes[i].column &&
		    strcmp(fault.words_id, vgm_words_name(mistakes[i].words)) == 0 &&
		    (!mistakes[i].path || strcmp(fault.path, mistakes[i].path) == 0) &&
		    (!mistakes[i].expected || strcmp(fault.expected, mistakes[i].expected) == 0);
		if (r == 0)
			vgm_conf_release(&c);
		if (!as_expected) {
			print_error("%sgot %d at %zu:%zu %s path=%s expected=%s\n", mistakes[i].yaml, r,
			    fault.line, fault.column, fault.words_id, fault.path, fault.expected);
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

static void test_fault_text(void **state)
{
	(void)state;
	struct vgm_conf c;
	struct vgm_conf_fault fault;
	struct vgm_buf out = VGM_BUF_INIT(2000);
	assert_int_equal(vgm_conf_parse(VGM_SLICE_LIT("hostnam: x\n"), &c, &fault, NULL), VGM_E_INVALID);
	assert_int_equal(vgm_conf_fault_text(&fault, "vgm.yaml", VGM_EN, &out), 0);
	assert_string_equal(vgm_buf_str(&out),
	    "vgm.yaml:1:1: there is no option \"hostnam\". Did you mean \"hostname\"?");
	vgm_buf_clear(&out);
	assert_int_equal(vgm_conf_fault_text(&fault, NULL, VGM_FR, &out), 0);
	assert_string_equal(vgm_buf_str(&out),
	    "1:1: l'option « hostnam » n'existe pas. Vouliez-vous dire « hostname » ?");
	vgm_buf_clear(&out);
	assert_int_equal(vgm_conf_parse(VGM_SLICE_LIT("tls: {key: /k}"), &c, &fault, NULL), VGM_E_INVALID);
	assert_int_equal(vgm_conf_fault_text(&fault, "vgm.yaml", VGM_EN, &out), 0);
	assert_string_equal(vgm_buf_str(&out),
	    "vgm.yaml: tls.certificate and tls.key go together: \"tls.certificate\" is missing.");
	vgm_buf_release(&out);
}

/* What comes from the file is escaped and never longer than its field. */
static void test_fault_is_escaped(void **state)
{
	(void)state;
	char yaml[3000] = "\"";
	struct vgm_conf c;
	struct vgm_conf_fault fault;
	for (int i = 0; i < 100; i++)
		memcpy(yaml + strlen(yaml), "\\e\\\\", 5);
	memcpy(yaml + strlen(yaml), "\": x\n", 6);
	assert_int_equal(vgm_conf_parse(vgm_slice_str(yaml), &c, &fault, NULL), VGM_E_INVALID);
	assert_int_equal(strncmp(fault.path, "\\x1b\\\\\\x1b", 10), 0);
	assert_true(strlen(fault.path) < sizeof(fault.path));
	assert_string_equal(fault.path + strlen(fault.path) - 3, "...");
}

/* A file cut anywhere is read or refused, and nothing leaks (sanitizers). */
static void test_cut_anywhere(void **state)
{
	(void)state;
	static const char yaml[] =
	    "domains: [a.example, b.example]\nsubmit:\n  logins:\n  - name: \"a\"\n    password: '$argon2id$x'\n"
	    "routes: [{name: a, to: [mx]}]\nqueue: {retry: [1m], expire: 1d}\n";
	for (size_t n = 0; n < sizeof(yaml); n++) {
		struct vgm_conf c;
		if (vgm_conf_parse(vgm_slice(yaml, n), &c, NULL, NULL) == 0)
			vgm_conf_release(&c);
	}
}

static void test_too_many_rows(void **state)
{
	(void)state;
	struct vgm_buf yaml = VGM_BUF_INIT(1u << 20);
	struct vgm_conf c;
	struct vgm_conf_fault fault;
	assert_int_equal(vgm_buf_add_str(&yaml, "routes:\n"), 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(vgm_buf_addf(&yaml, "- {name: r%d, to: mx}\n", i), 0);
	assert_int_equal(vgm_conf_parse(vgm_buf_slice(&yaml), &c, NULL, NULL), 0);
	assert_int_equal(c.routes_count, 1000);
	vgm_conf_release(&c);
	assert_int_equal(vgm_buf_add_str(&yaml, "- {name: one_more, to: mx}\n"), 0);
	assert_int_equal(vgm_conf_parse(vgm_buf_slice(&yaml), &c, &fault, NULL), VGM_E_INVALID);
	assert_int_equal(fault.line, 1002);
	assert_string_equal(fault.words_id, "conf_too_many");
	vgm_buf_release(&yaml);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_empty),
	    cmocka_unit_test(test_everything),
	    cmocka_unit_test(test_dotted_keys),
	    cmocka_unit_test(test_mistakes),
	    cmocka_unit_test(test_fault_text),
	    cmocka_unit_test(test_fault_is_escaped),
	    cmocka_unit_test(test_cut_anywhere),
	    cmocka_unit_test(test_too_many_rows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
