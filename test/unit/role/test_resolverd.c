/* SPDX-License-Identifier: EUPL-1.2
 * role/resolverd.c: the whole role in its sandbox, in front of a small server
 * that is sometimes bad. Validation with a signed zone is a scenario. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "dns_server.h"
#include "role_fixture.h"

#include "net/dns.h"

#include <dirent.h>

#define DATA(text) text, sizeof text - 1
#define ANSWER_MS 8000u

static const struct dns_record records[] = {
    {"hospital.test", VGM_DNS_MX, DATA("\x00\x0A\x02mx\x08hospital\x04test\x00"), 0},
    {"hospital.test", VGM_DNS_MX, DATA("\x00\x14\x03mx2\x08hospital\x04test\x00"), 0},
    {"hospital.test", VGM_DNS_TXT, DATA("\x06v=spf1\x05 -all"), 0},
    {"mx.hospital.test", VGM_DNS_A, DATA("\xC0\x00\x02\x01"), 0},
    {"mx.hospital.test", VGM_DNS_AAAA, DATA("0123456789abcdef"), 0},
    {"_25._tcp.mx.hospital.test", VGM_DNS_TLSA, DATA("\x03\x01\x01hash"), 0},
    {"nomail.test", VGM_DNS_MX, DATA("\x00\x00\x00"), 0},
    {"odd.test", VGM_DNS_MX, DATA("\x00\x0A\x03m x\x04test\x00"), 0},
    {"odd.test", VGM_DNS_MX, DATA("\x00\x0B\x02ok\x04test\x00"), 0},
    {"broken.test", 0, NULL, 0, 2},
    {"refused.test", 0, NULL, 0, 5},
    {"silent.test", 0, NULL, 0, -1},
    {NULL, 0, NULL, 0, 0},
};

struct world {
	struct dns_server server;
	struct role_process resolverd;
	int relayd;
};

static void start(struct world *w, const char *more)
{
	char options[300];
	snprintf(options, sizeof options,
	    "{dns: {servers: [\"127.0.0.1:%u\"], root_anchor: \"\"%s}}", w->server.port, more);
	w->resolverd = role_fork(&vgm_role_resolverd);
	role_configure(&w->resolverd, VGM_INSTANCE_ONLY, options, -1);
	w->relayd = role_peer(&w->resolverd, VGM_ROLE_RELAYD, VGM_INSTANCE_ONLY);
}

static int world_up(void **state)
{
	struct world *w = vgm_alloc(sizeof *w);
	w->server = dns_server_start(records);
	start(w, "");
	*state = w;
	return role_start(&w->resolverd);
}

static int world_down(void **state)
{
	struct world *w = *state;
	int r = role_stop(&w->resolverd);
	dns_server_stop(&w->server);
	close(w->relayd);
	vgm_free(w);
	return r;
}

static void ask(struct world *w, uint64_t tag, const char *name, uint16_t type)
{
	struct vgm_msg_resolve m = {.tag = tag, .name = vgm_slice_str(name), .type = type};
	role_send(w->relayd, VGM_MSG_resolve, &m);
}

static const struct vgm_msg_resolved *hear(struct world *w, struct vgm_received *got)
{
	assert_int_equal(vgm_ipc_receive(w->relayd, got, fixture_deadline(), NULL), 0);
	assert_int_equal(got->type, VGM_MSG_resolved);
	return got->message;
}

static void test_answers(void **state)
{
	static const struct {
		const char *name;
		uint16_t type;
		uint8_t status;
		size_t count;
		uint16_t preference; /* of the one whose data are these: */
		const char *data;
		size_t data_len;
	} cases[] = {
	    {"hospital.test", VGM_DNS_MX, VGM_DNS_OK, 2, 20, DATA("mx2.hospital.test")},
	    {"HOSPITAL.Test", VGM_DNS_MX, VGM_DNS_OK, 2, 10, DATA("mx.hospital.test")},
	    {"hospital.test", VGM_DNS_TXT, VGM_DNS_OK, 1, 0, DATA("v=spf1 -all")},
	    {"mx.hospital.test", VGM_DNS_A, VGM_DNS_OK, 1, 0, DATA("\xC0\x00\x02\x01")},
	    {"mx.hospital.test", VGM_DNS_AAAA, VGM_DNS_OK, 1, 0, DATA("0123456789abcdef")},
	    {"_25._tcp.mx.hospital.test", VGM_DNS_TLSA, VGM_DNS_OK, 1, 0, DATA("\x03\x01\x01hash")},
	    {"nomail.test", VGM_DNS_MX, VGM_DNS_OK, 1, 0, DATA("")},
	    {"odd.test", VGM_DNS_MX, VGM_DNS_OK, 1, 11, DATA("ok.test")},
	    {"mx.hospital.test", VGM_DNS_MX, VGM_DNS_OK, 0, 0, NULL, 0},
	    {"nowhere.test", VGM_DNS_MX, VGM_DNS_NXDOMAIN, 0, 0, NULL, 0},
	    {"broken.test", VGM_DNS_MX, VGM_DNS_TEMPORARY, 0, 0, NULL, 0},
	    {"refused.test", VGM_DNS_MX, VGM_DNS_TEMPORARY, 0, 0, NULL, 0},
	    {"localhost", VGM_DNS_A, VGM_DNS_OK, 1, 0, DATA("\x7F\x00\x00\x01")},
	    {"not a name.test", VGM_DNS_A, VGM_DNS_NXDOMAIN, 0, 0, NULL, 0},
	    {"dot.test.", VGM_DNS_A, VGM_DNS_NXDOMAIN, 0, 0, NULL, 0},
	    {"", VGM_DNS_A, VGM_DNS_NXDOMAIN, 0, 0, NULL, 0},
	};
	struct world *w = *state;
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	for (int round = 0; round < 2; round++) /* from the server, from the cache */
		for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
			ask(w, i + 100, cases[i].name, cases[i].type);
			const struct vgm_msg_resolved *m = hear(w, &got);
			if (m->status != cases[i].status || m->answers_count != cases[i].count)
				print_error("%s: status %u, %zu answers\n", cases[i].name, m->status,
				    m->answers_count);
			assert_int_equal(m->tag, i + 100);
			assert_int_equal(m->status, cases[i].status);
			assert_int_equal(m->secure, 0);
			assert_int_equal(m->answers_count, cases[i].count);
			bool found = cases[i].count == 0;
			struct vgm_slice data = vgm_slice(cases[i].data, cases[i].data_len);
			for (size_t a = 0; a < m->answers_count; a++)
				if (vgm_slice_eq(m->answers[a].data, data)) {
					found = true;
					assert_int_equal(
					    m->answers[a].preference, cases[i].preference);
				}
			assert_true(found);
			assert_true(m->ttl <= 86400);
		}
}

/* Silence is answered when the time is over, and holds nobody else up. */
static void test_silence(void **state)
{
	struct world *w = *state;
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	uint64_t before = vgm_clock_mono_ms();
	ask(w, 1, "silent.test", VGM_DNS_MX);
	ask(w, 2, "mx.hospital.test", VGM_DNS_A);
	const struct vgm_msg_resolved *m = hear(w, &got);
	assert_int_equal(m->tag, 2);
	assert_true(vgm_clock_mono_ms() - before < 2000);
	m = hear(w, &got);
	assert_int_equal(m->tag, 1);
	assert_int_equal(m->status, VGM_DNS_TEMPORARY);
	assert_in_range(vgm_clock_mono_ms() - before, 1000, ANSWER_MS + 1500);
	/* And it is still there. */
	ask(w, 3, "hospital.test", VGM_DNS_TXT);
	m = hear(w, &got);
	assert_int_equal(m->tag, 3);
	assert_int_equal(m->status, VGM_DNS_OK);
}

/* Far more than are asked at one time; each tag is answered once. */
static void test_flood(void **state)
{
	enum { COUNT = 3000 };
	struct world *w = *state;
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	static bool seen[COUNT];
	size_t sent = 0, heard = 0;
	while (heard < COUNT) {
		/* 500 under way, so that neither socket is ever full of ours */
		while (sent < COUNT && sent - heard < 500) {
			char name[40];
			snprintf(name, sizeof name, sent % 3 ? "n%zu.nowhere.test" : "mx.hospital.test", sent);
			ask(w, sent++, name, VGM_DNS_A);
		}
		const struct vgm_msg_resolved *m = hear(w, &got);
		assert_true(m->tag < COUNT && !seen[m->tag]);
		seen[m->tag] = true;
		assert_int_equal(m->status, m->tag % 3 ? VGM_DNS_NXDOMAIN : VGM_DNS_OK);
		heard++;
	}
}

/* A relayd that goes in the middle, and its successor. */
static void test_asker_leaves(void **state)
{
	struct world *w = *state;
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	ask(w, 1, "silent.test", VGM_DNS_A);
	ask(w, 2, "n.nowhere.test", VGM_DNS_A);
	close(w->relayd);
	w->relayd = role_peer(&w->resolverd, VGM_ROLE_RELAYD, VGM_INSTANCE_ONLY);
	ask(w, 3, "mx.hospital.test", VGM_DNS_A);
	const struct vgm_msg_resolved *m = hear(w, &got);
	assert_int_equal(m->tag, 3);
	assert_int_equal(m->answers_count, 1);
}

static pid_t child_of(pid_t parent)
{
	char path[64];
	int child = 0;
	snprintf(path, sizeof path, "/proc/%d/task/%d/children", parent, parent);
	FILE *f = fopen(path, "r");
	if (f && fscanf(f, "%d", &child) != 1)
		child = 0;
	if (f)
		fclose(f);
	return child;
}

/* The helper has none of our channels: of sockets, only its own to us. */
static void test_helper_has_no_channels(void **state)
{
	struct world *w = *state;
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	ask(w, 1, "mx.hospital.test", VGM_DNS_A);
	hear(w, &got);
	pid_t helper = child_of(w->resolverd.pid);
	if (!helper)
		skip();
	char ours[64], theirs[64], path[400], a[100] = "", b[100] = "";
	snprintf(ours, sizeof ours, "/proc/%d/fd/3", w->resolverd.pid);
	assert_true(readlink(ours, a, sizeof a - 1) > 0);
	snprintf(theirs, sizeof theirs, "/proc/%d/fd", helper);
	DIR *d = opendir(theirs);
	assert_non_null(d);
	size_t count = 0;
	for (struct dirent *e = readdir(d); e; e = readdir(d)) {
		snprintf(path, sizeof path, "%s/%s", theirs, e->d_name);
		memset(b, 0, sizeof b);
		if (readlink(path, b, sizeof b - 1) > 0) {
			assert_string_not_equal(a, b);
			count++;
		}
	}
	closedir(d);
	assert_true(count >= 3 && count < 20);
}

/* Without its helper it ends with status 1; the helper ends with it. */
static void test_both_die_together(void **state)
{
	struct world *w = *state;
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	ask(w, 1, "mx.hospital.test", VGM_DNS_A);
	hear(w, &got);
	pid_t helper = child_of(w->resolverd.pid);
	int status;
	if (!helper)
		skip();
	kill(helper, SIGKILL);
	assert_int_equal(waitpid(w->resolverd.pid, &status, 0), w->resolverd.pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	close(w->resolverd.master);
	close(w->relayd);
	start(w, "");
	assert_int_equal(role_start(&w->resolverd), 0);
	ask(w, 2, "mx.hospital.test", VGM_DNS_A);
	assert_int_equal(hear(w, &got)->answers_count, 1);
	helper = child_of(w->resolverd.pid);
	kill(w->resolverd.pid, SIGKILL);
	waitpid(w->resolverd.pid, NULL, 0);
	uint64_t until = vgm_clock_mono_ms() + 5000;
	while (kill(helper, 0) == 0 && vgm_clock_mono_ms() < until)
		usleep(10000);
	assert_int_not_equal(kill(helper, 0), 0);
	close(w->resolverd.master);
	close(w->relayd);
	start(w, "");
	assert_int_equal(role_start(&w->resolverd), 0);
}

static void test_wrong_options_do_not_start(void **state)
{
	static const char *const cases[] = {
	    "{dns: {servers: [\"127.0.0.1:no\"], root_anchor: \"\"}}",
	    "{dns: {servers: [\"name:53\"], root_anchor: \"\"}}",
	    "{dns: {root_anchor: \"/nowhere/root.key\"}}",
	    "{dns: {root_anchor: \"\", trust_anchors: [\"this is no anchor\"]}}",
	};
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct role_process p = role_fork(&vgm_role_resolverd);
		role_configure(&p, VGM_INSTANCE_ONLY, cases[i], -1);
		assert_int_equal(role_start(&p), 1);
		close(p.master);
	}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, world_up, world_down)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_answers),
	    CASE(test_silence),
	    CASE(test_flood),
	    CASE(test_asker_leaves),
	    CASE(test_helper_has_no_channels),
	    CASE(test_both_die_together),
	    cmocka_unit_test(test_wrong_options_do_not_start),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
