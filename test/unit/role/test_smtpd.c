/* SPDX-License-Identifier: EUPL-1.2
 * role/smtpd: the real process in its sandbox. The test is its master, its pool
 * of filters and its clients; keyd is the real one where TLS is spoken. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "role_fixture.h"

#include "net/addr.h"
#include "net/stream.h"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sodium.h>
#include <sys/socket.h>

#define BASE "hostname: mx.in.example\ndomains: [in.example]\nlanguage: en\n"
#define ENVELOPE "MAIL FROM:<a@out.example>\r\nRCPT TO:<b@in.example>\r\n"

struct door {
	struct role_process smtpd, keyd;
	int pool; /* we are the filters */
	int keyd_dir;
	char keyd_path[40];
	struct vgm_addr at;
};

static int listener(struct vgm_addr *at)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof ss;
	assert_int_equal(vgm_addr_parse(VGM_SLICE_LIT("127.0.0.1:1"), at, NULL), 0);
	at->port = 0;
	len = vgm_addr_to_sockaddr(at, &ss);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
	assert_int_equal(listen(fd, 512), 0);
	len = sizeof ss;
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(vgm_addr_from_sockaddr((struct sockaddr *)&ss, at), 0);
	return fd;
}

static void start_keyd(struct door *d, int *out_line)
{
	int fds[2];
	snprintf(d->keyd_path, sizeof d->keyd_path, "/tmp/vgm-test-smtpd-XXXXXX");
	assert_non_null(mkdtemp(d->keyd_path));
	d->keyd_dir = open(d->keyd_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(vgm_ipc_pair(fds, false, NULL), 0);
	d->keyd = role_fork(&vgm_role_keyd);
	role_configure(&d->keyd, VGM_INSTANCE_TLS, "hostname: mx.in.example\n", d->keyd_dir);
	struct vgm_msg_peer m = {
	    .role = VGM_ROLE_SMTPD, .instance = VGM_INSTANCE_SUBMIT, .channel = fds[0]};
	role_send(d->keyd.master, VGM_MSG_peer, &m);
	close(fds[0]);
	assert_int_equal(role_start(&d->keyd), 0);
	*out_line = fds[1];
}

static void send_listener(struct door *d, int fd, bool tls)
{
	struct vgm_msg_listener m = {.tls = tls, .socket = fd};
	role_send(d->smtpd.master, VGM_MSG_listener, &m);
	close(fd);
}

static void configure(
    struct door *d, enum vgm_instance instance, const char *options, const char *directory)
{
	struct vgm_msg_configure m = {.build = vgm_slice_str(vgm_build_id()),
	    .instance = (uint8_t)instance,
	    .version = 1,
	    .options_size = strlen(options),
	    .directory = -1,
	    .extra = -1,
	    .ledger = -1};
	assert_int_equal(vgm_memfd_of("options", vgm_slice_str(options), &m.options, NULL), 0);
	if (directory)
		assert_int_equal(
		    vgm_memfd_of("directory", vgm_slice_str(directory), &m.directory, NULL), 0);
	role_send(d->smtpd.master, VGM_MSG_configure, &m);
	close(m.options);
	if (directory)
		close(m.directory);
}

static void open_door_full(struct door *d, enum vgm_instance instance, const char *options,
    const char *directory, bool with_keyd, bool tls_first)
{
	int keyd_line = -1;
	*d = (struct door){.keyd_dir = -1};
	if (with_keyd)
		start_keyd(d, &keyd_line);
	d->smtpd = role_fork(&vgm_role_smtpd);
	configure(d, instance, options, directory);
	d->pool = role_peer(&d->smtpd, VGM_ROLE_ADMIT, VGM_INSTANCE_ONLY);
	if (with_keyd) {
		struct vgm_msg_peer m = {
		    .role = VGM_ROLE_KEYD, .instance = VGM_INSTANCE_TLS, .channel = keyd_line};
		role_send(d->smtpd.master, VGM_MSG_peer, &m);
		close(keyd_line);
	}
	send_listener(d, listener(&d->at), tls_first);
	assert_int_equal(role_start(&d->smtpd), 0);
}

static void open_door(struct door *d, enum vgm_instance instance, const char *options)
{
	open_door_full(d, instance, options, NULL, false, false);
}

/* keyd's store and what it made there. */
static void remove_store(struct door *d)
{
	struct dirent *e;
	DIR *dir = fdopendir(d->keyd_dir);
	assert_non_null(dir);
	while ((e = readdir(dir)))
		if (e->d_name[0] != '.')
			assert_int_equal(unlinkat(d->keyd_dir, e->d_name, 0), 0);
	closedir(dir);
	assert_int_equal(rmdir(d->keyd_path), 0);
}

static void close_door(struct door *d)
{
	assert_int_equal(role_stop(&d->smtpd), 0);
	if (d->keyd_dir >= 0) {
		assert_int_equal(role_stop(&d->keyd), 0);
		remove_store(d);
	}
	if (d->pool >= 0)
		close(d->pool);
}

/* ---- a client ---- */

static int connect_to(const struct door *d)
{
	struct sockaddr_storage ss;
	socklen_t len = vgm_addr_to_sockaddr(&d->at, &ss);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	size_t len = strlen(text), at = 0;
	while (at < len) {
		ssize_t n = send(fd, text + at, len - at, MSG_NOSIGNAL);
		assert_true(n > 0);
		at += (size_t)n;
	}
}

/* Reads replies until count final lines have come, or the end; codes "250 354". */
static const char *hear(int fd, int count)
{
	static char codes[4096];
	char line[2048];
	size_t at = 0, used = 0;
	codes[0] = 0;
	while (count) {
		struct pollfd p = {fd, POLLIN, 0};
		assert_int_equal(poll(&p, 1, FIXTURE_MS), 1);
		ssize_t n = recv(fd, line + at, 1, 0);
		if (n <= 0) {
			snprintf(codes + used, sizeof codes - used, "%send", used ? " " : "");
			return codes;
		}
		if (line[at++] != '\n')
			continue;
		if (line[3] == ' ') {
			used += (size_t)snprintf(
			    codes + used, sizeof codes - used, "%s%.3s", used ? " " : "", line);
			count--;
		}
		at = 0;
	}
	return codes;
}

static int greeted(const struct door *d)
{
	int fd = connect_to(d);
	assert_string_equal(hear(fd, 1), "220");
	say(fd, "EHLO client.example\r\n");
	assert_string_equal(hear(fd, 1), "250");
	return fd;
}

/* ---- the pool ---- */

static const struct vgm_msg_admit *take_job(const struct door *d, struct vgm_received *got)
{
	struct vgm_err err;
	if (vgm_ipc_receive(d->pool, got, fixture_deadline(), &err) < 0)
		print_error("%s\n", err.text);
	assert_int_equal(got->type, VGM_MSG_admit);
	return got->message;
}

static void answer(const struct door *d, uint64_t session, uint16_t code)
{
	struct vgm_msg_admitted m = {.session = session,
	    .code = code,
	    .enhanced = vgm_slice_str(code == 250 ? "2.0.0" : "5.7.1"),
	    .text = VGM_SLICE_LIT("so be it")};
	role_send(d->pool, VGM_MSG_admitted, &m);
}

static void assert_body(const struct vgm_msg_admit *m, const char *text)
{
	struct vgm_mapping body;
	assert_int_equal(m->size, strlen(text));
	assert_int_equal(vgm_mapping_open(m->body, m->size, &body, NULL), 0);
	assert_memory_equal(body.bytes.data, text, strlen(text));
	vgm_mapping_release(&body);
}

static size_t open_files(pid_t pid)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
	DIR *dir = opendir(path);
	size_t n = 0;
	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* ---- mail ---- */

static void test_mail(void **state)
{
	(void)state;
	struct door d;
	open_door(&d, VGM_INSTANCE_RECEIVE, BASE);
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	int fd = greeted(&d);
	size_t files = open_files(d.smtpd.pid);
	for (int i = 0; i < 3; i++) {
		say(fd, ENVELOPE "DATA\r\n");
		assert_string_equal(hear(fd, 3), "250 250 354");
		say(fd, "Subject: x\r\n\r\n..dot\r\n.\r\n"
			"NOOP\r\n");
		const struct vgm_msg_admit *m = take_job(&d, &got);
		assert_body(m, "Subject: x\r\n\r\n.dot\r\n");
		assert_int_equal(m->instance, VGM_INSTANCE_RECEIVE);
		assert_int_equal(m->flags, VGM_ADMIT_ESMTP);
		assert_true(vgm_slice_eq(m->sender, VGM_SLICE_LIT("a@out.example")));
		assert_int_equal(m->recipients_count, 1);
		assert_true(vgm_slice_eq(m->recipients[0].address, VGM_SLICE_LIT("b@in.example")));
		assert_true(vgm_slice_eq(m->helo, VGM_SLICE_LIT("client.example")));
		assert_true(vgm_ip_is_loopback(m->client));
		assert_true(m->client_port && m->received_us);
		answer(&d, m->session, i == 1 ? 550 : 250);
		assert_string_equal(hear(fd, 2), i == 1 ? "550 250" : "250 250");
	}
	assert_int_equal(open_files(d.smtpd.pid), files);
	/* nobody of ours, nobody of others */
	say(fd, "MAIL FROM:<>\r\nRCPT TO:<x@elsewhere.example>\r\nRCPT TO:<y@IN.EXAMPLE>\r\n"
		"RCPT TO:<y@sub.in.example>\r\nRCPT TO:<postmaster>\r\nRSET\r\nAUTH PLAIN "
		"AA==\r\nSTARTTLS\r\nQUIT\r\n");
	assert_string_equal(hear(fd, 10), "250 550 250 550 250 250 502 502 221 end");
	close(fd);
	close_door(&d);
}

static void test_directory(void **state)
{
	(void)state;
	struct door d;
	open_door_full(
	    &d, VGM_INSTANCE_RECEIVE, BASE, "anna@in.example alias=a.b@in.example\n", false, false);
	int fd = greeted(&d);
	say(fd, "MAIL FROM:<x@y>\r\nRCPT TO:<anna@in.example>\r\nRCPT TO:<A.B@in.example>\r\n"
		"RCPT TO:<nobody@in.example>\r\nRCPT TO:<postmaster@in.example>\r\nRCPT "
		"TO:<postmaster>\r\nQUIT\r\n");
	assert_string_equal(hear(fd, 8), "250 250 250 550 250 250 221 end");
	close(fd);
	close_door(&d);
}

static void test_big_body(void **state)
{
	(void)state;
	struct door d;
	open_door(&d, VGM_INSTANCE_RECEIVE, BASE "smtp: {max_size: 6M}\n");
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	enum { LINES = 70000 };
	char *text = vgm_alloc(LINES * 72 + 4);
	for (size_t i = 0; i < LINES; i++) {
		memset(text + i * 72, 'a' + (int)(i % 26), 70);
		memcpy(text + i * 72 + 70, "\r\n", 2);
	}
	int fd = greeted(&d);
	for (int times = 1; times <= 2; times++) {
		say(fd, ENVELOPE "DATA\r\n");
		assert_string_equal(hear(fd, 3), "250 250 354");
		for (int i = 0; i < times; i++)
			say(fd, text);
		say(fd, ".\r\n");
		if (times == 1) {
			const struct vgm_msg_admit *m = take_job(&d, &got);
			assert_body(m, text);
			answer(&d, m->session, 250);
		}
		assert_string_equal(hear(fd, 1), times == 1 ? "250" : "552");
	}
	vgm_free(text);
	close(fd);
	close_door(&d);
}

/* Case 24: the client leaves at any stage; no job, no descriptor is left. */
static void test_leaving(void **state)
{
	(void)state;
	struct door d;
	open_door(&d, VGM_INSTANCE_RECEIVE, BASE);
	static const char *const stages[] = {"", "EH", "EHLO x\r\n",
	    "EHLO x\r\nMAIL FROM:<a@b>\r\n", "EHLO x\r\n" ENVELOPE,
	    "EHLO x\r\n" ENVELOPE "BDAT 100\r\nhalf a", "EHLO x\r\n" ENVELOPE "BDAT 4\r\na\r\n"};
	int probe = greeted(&d);
	size_t files = open_files(d.smtpd.pid);
	for (int reset = 0; reset < 2; reset++)
		for (size_t i = 0; i < VGM_ARRAY_LEN(stages); i++) {
			struct linger now = {reset, 0};
			int fd = connect_to(&d);
			say(fd, stages[i]);
			assert_int_equal(
			    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
			close(fd);
		}
	for (int wait = 0; wait < 100 && open_files(d.smtpd.pid) != files; wait++)
		poll(NULL, 0, 50);
	assert_int_equal(open_files(d.smtpd.pid), files);
	struct pollfd nothing = {d.pool, POLLIN, 0};
	assert_int_equal(poll(&nothing, 1, 0), 0);
	close(probe);
	close_door(&d);
}

/* ---- filters that die, or are away ---- */

static void send_mail(int fd, const char *body)
{
	say(fd, ENVELOPE "DATA\r\n");
	assert_string_equal(hear(fd, 3), "250 250 354");
	say(fd, body);
	say(fd, ".\r\n");
}

static void next_from_master(const struct door *d, enum vgm_msg_type type, struct vgm_received *got)
{
	do
		assert_int_equal(
		    vgm_ipc_receive(d->smtpd.master, got, fixture_deadline(), NULL), 0);
	while (got->type == VGM_MSG_log);
	assert_int_equal(got->type, type);
}

static void test_strikes(void **state)
{
	(void)state;
	struct door d;
	open_door(&d, VGM_INSTANCE_RECEIVE, BASE);
	VGM_CLEANUP(vgm_received_release)
	struct vgm_received got = VGM_RECEIVED_INIT,
			    told = VGM_RECEIVED_INIT;
	static const char body[] = "killer\r\n";
	uint8_t sha256[32];
	crypto_hash_sha256(sha256, (const unsigned char *)body, sizeof body - 1);
	int fd = greeted(&d);
	send_mail(fd, body);
	struct vgm_msg_filter_died died = {
	    .session = take_job(&d, &got)->session, .cause = VGM_DEATH_CRASH};
	role_send(d.pool, VGM_MSG_filter_died, &died);
	assert_string_equal(hear(fd, 1), "451");
	next_from_master(&d, VGM_MSG_strike, &told);
	const struct vgm_msg_strike *strike = told.message;
	assert_memory_equal(strike->body_sha256, sha256, 32);
	assert_int_equal(strike->body_size, sizeof body - 1);
	assert_int_equal(strike->cause, VGM_DEATH_CRASH);
	assert_int_equal(strike->network[15], 0);
	/* wall time is no strike: the next message from the door is of another kind */
	send_mail(fd, body);
	died = (struct vgm_msg_filter_died){
	    .session = take_job(&d, &got)->session, .cause = VGM_DEATH_WALL};
	role_send(d.pool, VGM_MSG_filter_died, &died);
	assert_string_equal(hear(fd, 1), "451");
	/* the body is struck: sealed only; another of its size is not */
	struct vgm_msg_struck struck = {.kind = 1, .body_size = sizeof body - 1};
	memcpy(struck.body_sha256, sha256, 32);
	role_send(d.smtpd.master, VGM_MSG_struck, &struck);
	send_mail(fd, body);
	const struct vgm_msg_admit *m = take_job(&d, &got);
	assert_true(m->flags & VGM_ADMIT_SEAL_ONLY);
	answer(&d, m->session, 250);
	assert_string_equal(hear(fd, 1), "250");
	send_mail(fd, "kitten\r\n");
	m = take_job(&d, &got);
	assert_false(m->flags & VGM_ADMIT_SEAL_ONLY);
	answer(&d, m->session, 250);
	assert_string_equal(hear(fd, 1), "250");
	/* the network is struck */
	struck = (struct vgm_msg_struck){.kind = 2};
	memcpy(struck.network, strike->network, 16);
	role_send(d.smtpd.master, VGM_MSG_struck, &struck);
	do {
		poll(NULL, 0, 20);
		say(fd, "MAIL FROM:<a@b>\r\nRSET\r\n");
	} while (strcmp(hear(fd, 2), "451 250") != 0);
	close(fd);
	close_door(&d);
}

static void test_pool_goes_away(void **state)
{
	(void)state;
	struct door d;
	open_door(&d, VGM_INSTANCE_RECEIVE, BASE);
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	int fd = greeted(&d);
	send_mail(fd, "x\r\n");
	take_job(&d, &got);
	close(d.pool);
	assert_string_equal(hear(fd, 1), "451");
	send_mail(fd, "x\r\n");
	assert_string_equal(hear(fd, 1), "451");
	/* and comes again */
	d.pool = role_peer(&d.smtpd, VGM_ROLE_ADMIT, VGM_INSTANCE_ONLY);
	const char *code;
	do {
		poll(NULL, 0, 20);
		send_mail(fd, "x\r\n");
		struct pollfd job = {d.pool, POLLIN, 0};
		if (poll(&job, 1, 200) == 1)
			answer(&d, take_job(&d, &got)->session, 250);
		code = hear(fd, 1);
	} while (strcmp(code, "250") != 0);
	close(fd);
	close_door(&d);
}

static void test_filter_is_late(void **state)
{
	(void)state;
	struct door d;
	open_door(&d, VGM_INSTANCE_RECEIVE, BASE "filter: {timeout: 1s}\n");
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	int fd = greeted(&d);
	send_mail(fd, "x\r\n");
	uint64_t session = take_job(&d, &got)->session;
	assert_string_equal(hear(fd, 1), "451");
	/* the late answer harms nobody */
	answer(&d, session, 250);
	say(fd, "NOOP\r\nQUIT\r\n");
	assert_string_equal(hear(fd, 3), "250 221 end");
	close(fd);
	close_door(&d);
}

/* ---- time, memory, numbers ---- */

static void test_timeouts(void **state)
{
	(void)state;
	struct door d;
	open_door(&d, VGM_INSTANCE_RECEIVE,
	    BASE "smtp: {command_timeout: 1s, min_rate_after: 1s, min_rate: 1000}\n");
	int silent = connect_to(&d), dripping = greeted(&d), stuck = greeted(&d),
	    slow = greeted(&d);
	assert_string_equal(hear(silent, 1), "220");
	say(stuck, ENVELOPE "DATA\r\n");
	say(slow, ENVELOPE "DATA\r\n");
	assert_string_equal(hear(stuck, 3), "250 250 354");
	assert_string_equal(hear(slow, 3), "250 250 354");
	for (int i = 0; i < 25; i++) {
		send(dripping, "N", 1, MSG_NOSIGNAL);
		send(slow, "slow\r\n", 6, MSG_NOSIGNAL);
		poll(NULL, 0, 150);
	}
	assert_string_equal(hear(silent, 2), "421 end");
	assert_string_equal(hear(dripping, 1), "421");
	assert_string_equal(hear(stuck, 2), "421 end");
	assert_string_equal(hear(slow, 1), "421");
	close(silent);
	close(dripping);
	close(stuck);
	close(slow);
	close_door(&d);
}

/* Two bodies of which the second finds no memory: it waits, then goes on when
 * the first is done. */
static void test_memory_pause(void **state)
{
	(void)state;
	struct door d;
	open_door(&d, VGM_INSTANCE_RECEIVE, BASE "smtp: {body_memory: 1M}\n");
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	static char block[1 << 16];
	for (size_t i = 0; i + 64 <= sizeof block; i += 64)
		memcpy(block + i,
		    "..............................................................\r\n", 64);
	memset(block, 'x', 1);
	int first = greeted(&d), second = greeted(&d);
	say(second, ENVELOPE "DATA\r\n");
	assert_string_equal(hear(second, 3), "250 250 354");
	say(first, ENVELOPE "DATA\r\n");
	assert_string_equal(hear(first, 3), "250 250 354");
	for (int i = 0; i < 20; i++) /* 1.25 MB: over the budget, but finished */
		assert_int_equal(send(first, block, sizeof block, MSG_NOSIGNAL), sizeof block);
	send(first, ".\r\n", 3, MSG_NOSIGNAL);
	say(second, "little\r\n.\r\n");
	/* The first one is paused as well when it is over: whoever sees memory goes on. */
	const struct vgm_msg_admit *m = take_job(&d, &got);
	uint64_t size = m->size;
	answer(&d, m->session, 250);
	int one = size > 1000 ? first : second, other = size > 1000 ? second : first;
	assert_string_equal(hear(one, 1), "250");
	if (other == second) {
		answer(&d, take_job(&d, &got)->session, 250);
		assert_string_equal(hear(second, 1), "250");
	} else {
		assert_string_equal(hear(first, 1), "452"); /* paused for too long */
	}
	say(second, ENVELOPE "DATA\r\n");
	assert_string_equal(hear(second, 3), "250 250 354");
	close(first);
	close(second);
	close_door(&d);
}

static void test_proxy_and_limits(void **state)
{
	(void)state;
	struct door d;
	open_door(&d, VGM_INSTANCE_RECEIVE,
	    BASE "receive: {proxies: [127.0.0.1]}\nsmtp: {max_per_client: 2}\n");
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	int fd[4];
	for (int i = 0; i < 4; i++) {
		fd[i] = connect_to(&d);
		say(fd[i], "PROXY TCP4 198.51.");
		poll(NULL, 0, 10);
		say(fd[i], i < 3 ? "100.7 192.0.2.1 4321 25\r\n" : "100.8 192.0.2.1 4321 25\r\n");
		assert_string_equal(hear(fd[i], i == 2 ? 2 : 1), i == 2 ? "421 end" : "220");
	}
	say(fd[0], "HELO c\r\n");
	assert_string_equal(hear(fd[0], 1), "250");
	send_mail(fd[0], "x\r\n");
	const struct vgm_msg_admit *m = take_job(&d, &got);
	assert_int_equal(m->client[12], 198);
	assert_int_equal(m->client[15], 7);
	assert_int_equal(m->client_port, 4321);
	answer(&d, m->session, 250);
	assert_string_equal(hear(fd[0], 1), "250");
	int stranger = connect_to(&d);
	say(stranger, "EHLO x\r\n");
	assert_string_equal(hear(stranger, 1), "end");
	close(stranger);
	for (int i = 0; i < 4; i++)
		close(fd[i]);
	close_door(&d);
}

static void test_total_limit(void **state)
{
	(void)state;
	struct door d;
	open_door(&d, VGM_INSTANCE_RECEIVE, BASE "smtp: {max_clients: 5}\n");
	int fd[7];
	for (int i = 0; i < 7; i++) {
		fd[i] = connect_to(&d);
		assert_string_equal(hear(fd[i], 1), i < 5 ? "220" : "421");
	}
	for (int i = 0; i < 7; i++)
		close(fd[i]);
	int again;
	const char *code;
	do {
		again = connect_to(&d);
		code = hear(again, 1);
		close(again);
	} while (strcmp(code, "220") != 0);
	close_door(&d);
}

static size_t resident_kib(pid_t pid)
{
	char path[64], line[256];
	size_t kib = 0;
	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof line, f))
		sscanf(line, "VmRSS: %zu kB", &kib);
	fclose(f);
	return kib;
}

static void test_idle_sessions_are_small(void **state)
{
	(void)state;
	struct door d;
	open_door(&d, VGM_INSTANCE_RECEIVE, BASE);
	enum { MANY = 400 };
	int fd[MANY];
	fd[0] = greeted(&d);
	size_t before = resident_kib(d.smtpd.pid);
	for (int i = 1; i < MANY; i++)
		fd[i] = greeted(&d);
	size_t each = (resident_kib(d.smtpd.pid) - before) * 1024 / MANY;
	print_message("%zu bytes for each idle session\n", each);
#ifndef VGM_SANITIZED
	assert_true(each <= 8192);
#endif
	for (int i = 0; i < MANY; i++)
		close(fd[i]);
	close_door(&d);
}

/* ---- the other doors ---- */

static void test_devices(void **state)
{
	(void)state;
	struct door d;
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	open_door(&d, VGM_INSTANCE_DEVICES,
	    BASE "devices: {machines: [{name: copieur, address: 127.0.0.1}]}\n");
	int fd = connect_to(&d);
	assert_string_equal(hear(fd, 1), "220");
	say(fd, "HELO copier room 3\r\nMAIL FROM:scan@in.example\r\nRCPT "
		"TO:<x@out.example>\r\nRCPT TO:b@in.example\r\nDATA\r\n");
	assert_string_equal(hear(fd, 5), "250 250 550 250 354");
	say(fd, "Subject: scan\n\nhello\r\n.\r\n");
	const struct vgm_msg_admit *m = take_job(&d, &got);
	assert_body(m, "Subject: scan\r\n\r\nhello\r\n");
	assert_int_equal(m->flags, VGM_ADMIT_REPAIRED);
	assert_int_equal(m->faults, VGM_FAULT_BARE_LF | VGM_FAULT_PATH | VGM_FAULT_NAME);
	assert_true(vgm_slice_eq(m->machine, VGM_SLICE_LIT("copieur")));
	assert_int_equal(m->instance, VGM_INSTANCE_DEVICES);
	answer(&d, m->session, 250);
	assert_string_equal(hear(fd, 1), "250");
	close(fd);
	close_door(&d);
	open_door(&d, VGM_INSTANCE_DEVICES,
	    BASE "devices: {machines: [{name: lab, address: 127.0.0.1, outside: yes}]}\n");
	fd = greeted(&d);
	say(fd, "MAIL FROM:<a@in.example>\r\nRCPT TO:<x@out.example>\r\n");
	assert_string_equal(hear(fd, 2), "250 250");
	close(fd);
	close_door(&d);
	open_door(&d, VGM_INSTANCE_DEVICES,
	    BASE "devices: {machines: [{name: lab, address: 192.0.2.1}]}\n");
	fd = connect_to(&d);
	assert_string_equal(hear(fd, 2), "554 end");
	close(fd);
	close_door(&d);
}

static void test_submit_from_loopback(void **state)
{
	(void)state;
	struct door d;
	open_door(&d, VGM_INSTANCE_SUBMIT, BASE);
	int fd = greeted(&d);
	say(fd,
	    "MAIL FROM:<a@in.example>\r\nRCPT TO:<x@out.example>\r\nRCPT TO:<b@in.example>\r\n");
	assert_string_equal(hear(fd, 3), "250 250 250");
	close(fd);
	close_door(&d);
}

/* ---- TLS and logins, with the real keyd ---- */

struct tls_client {
	struct vgm_stream stream;
	struct vgm_tls *tls;
};

static void wait_for(const struct vgm_stream *s)
{
	struct pollfd p = {s->fd, s->want == VGM_IO_WRITE ? POLLOUT : POLLIN, 0};
	assert_int_equal(poll(&p, 1, FIXTURE_MS), 1);
}

static void tls_begin(struct tls_client *c, int fd)
{
	struct vgm_err err = {0};
	int r;
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(vgm_tls_client_new("", &c->tls, &err), 0);
	vgm_stream_init(&c->stream, fd);
	assert_int_equal(vgm_stream_start_tls(&c->stream, c->tls, "mx.in.example", false, &err), 0);
	while ((r = vgm_stream_handshake(&c->stream, &err)) == VGM_E_BUSY)
		wait_for(&c->stream);
	if (r < 0)
		print_error("%s\n", err.text);
	assert_int_equal(r, 0);
}

static void tls_end(struct tls_client *c)
{
	vgm_stream_release(&c->stream);
	vgm_tls_free(&c->tls);
}

/* Says something and returns the code of the last line that comes. */
static const char *tls_ask(struct tls_client *c, const char *text)
{
	static char reply[8192];
	size_t at = 0, n;
	int r;
	while (text && *text) {
		r = vgm_stream_write(&c->stream, text, strlen(text), &n);
		if (r == VGM_E_BUSY)
			wait_for(&c->stream);
		else
			assert_int_equal(r, 0);
		text += r == 0 ? n : 0;
	}
	for (;;) {
		r = vgm_stream_read(&c->stream, reply + at, sizeof reply - at - 1, &n);
		if (r == VGM_E_BUSY) {
			wait_for(&c->stream);
			continue;
		}
		if (r < 0)
			return "end";
		at += n;
		reply[at] = 0;
		size_t last = at < 2 ? 0 : at - 2;
		while (last && reply[last - 1] != '\n')
			last--;
		if (reply[at - 1] == '\n' && reply[last + 3] == ' ')
			return reply + last;
	}
}

#define assert_code(reply, code) assert_memory_equal(reply, code, 3)

static void login_options(struct vgm_buf *out, const char *password)
{
	char hash[crypto_pwhash_STRBYTES];
	assert_true(sodium_init() >= 0);
	assert_int_equal(crypto_pwhash_str(hash, password, strlen(password),
			     crypto_pwhash_OPSLIMIT_MIN, 64 << 10),
	    0);
	assert_int_equal(vgm_buf_addf(out,
			     BASE "submit:\n  logins:\n    - {name: anna, password: \"%s\"}\n"
				  "    - {name: ward, password: \"%s\", senders: [ward@in.example, "
				  "\"@lab.example\"]}\n",
			     hash, hash),
	    0);
}

static void test_starttls_and_auth(void **state)
{
	(void)state;
	struct door d;
	struct tls_client c;
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf options = VGM_BUF_INIT(4096);
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	login_options(&options, "secret");
	open_door_full(&d, VGM_INSTANCE_SUBMIT, vgm_buf_str(&options), NULL, true, false);
	int fd = greeted(&d);
	say(fd, "AUTH PLAIN AGFubmEAc2VjcmV0\r\nSTARTTLS\r\n");
	assert_string_equal(hear(fd, 2), "538 220");
	tls_begin(&c, fd);
	assert_code(tls_ask(&c, "MAIL FROM:<a@in.example>\r\n"), "503");
	assert_code(tls_ask(&c, "EHLO c\r\n"), "250");
	assert_code(tls_ask(&c, "MAIL FROM:<a@in.example>\r\n"), "530");
	assert_code(tls_ask(&c, "AUTH PLAIN AGFubmEAd3Jvbmc=\r\n"), "535");
	assert_code(tls_ask(&c, "AUTH PLAIN AG5vYm9keQBzZWNyZXQ=\r\n"), "535");
	assert_code(tls_ask(&c, "AUTH PLAIN AGFubmEAc2VjcmV0\r\n"), "235");
	assert_code(tls_ask(&c, "MAIL FROM:<a@in.example>\r\n"), "250");
	assert_code(tls_ask(&c, "RCPT TO:<x@out.example>\r\n"), "250");
	assert_code(tls_ask(&c, "BDAT 6 LAST\r\nhello\r"), "550"); /* a bare CR */
	assert_code(tls_ask(&c, "MAIL FROM:<a@in.example>\r\n"), "250");
	assert_code(tls_ask(&c, "RCPT TO:<x@out.example>\r\n"), "250");
	assert_code(tls_ask(&c, "DATA\r\n"), "354");
	size_t n;
	assert_int_equal(vgm_stream_write(&c.stream, "x\r\n.\r\n", 6, &n), 0);
	const struct vgm_msg_admit *m = take_job(&d, &got);
	assert_true(vgm_slice_eq(m->login, VGM_SLICE_LIT("anna")));
	assert_true(vgm_slice_starts_nocase(m->tls, VGM_SLICE_LIT("TLSv1.")));
	answer(&d, m->session, 250);
	assert_code(tls_ask(&c, NULL), "250");
	assert_code(tls_ask(&c, "QUIT\r\n"), "221");
	tls_end(&c);
	close_door(&d);
}

static void test_tls_first(void **state)
{
	(void)state;
	struct door d;
	struct tls_client c;
	open_door_full(&d, VGM_INSTANCE_SUBMIT, BASE, NULL, true, true);
	tls_begin(&c, connect_to(&d));
	assert_code(tls_ask(&c, NULL), "220");
	assert_code(tls_ask(&c, "EHLO c\r\n"), "250");
	assert_code(tls_ask(&c, "STARTTLS\r\n"), "503");
	tls_end(&c);
	/* one that speaks in clear there */
	int fd = connect_to(&d);
	say(fd, "EHLO x\r\n");
	char byte;
	while (recv(fd, &byte, 1, 0) > 0)
		;
	close(fd);
	close_door(&d);
}

/* Case 26: TLS that ends without close_notify inside the body delivers nothing. */
static void test_tls_cut(void **state)
{
	(void)state;
	struct door d;
	struct tls_client c;
	open_door_full(&d, VGM_INSTANCE_SUBMIT, BASE, NULL, true, true);
	tls_begin(&c, connect_to(&d));
	assert_code(tls_ask(&c, NULL), "220");
	assert_code(tls_ask(&c, "EHLO c\r\n"), "250");
	assert_code(tls_ask(&c, "MAIL FROM:<a@in.example>\r\n"), "250");
	assert_code(tls_ask(&c, "RCPT TO:<x@out.example>\r\n"), "250");
	assert_code(tls_ask(&c, "DATA\r\n"), "354");
	size_t n;
	assert_int_equal(vgm_stream_write(&c.stream, "half\r\n.\r", 8, &n), 0);
	tls_end(&c);
	struct pollfd nothing = {d.pool, POLLIN, 0};
	assert_int_equal(poll(&nothing, 1, 300), 0);
	close_door(&d);
}

/* ---- start and stop ---- */

static void test_stop_waits_for_mail(void **state)
{
	(void)state;
	struct door d;
	open_door(&d, VGM_INSTANCE_RECEIVE, BASE);
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	struct vgm_msg_stop stop;
	int idle = greeted(&d), busy = greeted(&d);
	send_mail(busy, "x\r\n");
	uint64_t session = take_job(&d, &got)->session;
	role_send(d.smtpd.master, VGM_MSG_stop, &stop);
	assert_string_equal(hear(idle, 2), "421 end");
	answer(&d, session, 250);
	assert_string_equal(hear(busy, 3), "250 421 end");
	close(idle);
	close(busy);
	int status = 1;
	assert_int_equal(waitpid(d.smtpd.pid, &status, 0), d.smtpd.pid);
	assert_int_equal(status, 0);
	close(d.smtpd.master);
	close(d.pool);
}

static void test_reload(void **state)
{
	(void)state;
	struct door d;
	open_door(&d, VGM_INSTANCE_RECEIVE, BASE);
	int fd = greeted(&d);
	say(fd, "MAIL FROM:<a@b>\r\nRCPT TO:<x@new.example>\r\nRCPT TO:<x@in.example>\r\nRSET\r\n");
	assert_string_equal(hear(fd, 4), "250 550 250 250");
	configure(
	    &d, VGM_INSTANCE_RECEIVE, "hostname: mx\ndomains: [new.example]\n", "x@new.example\n");
	const char *codes;
	do {
		say(fd, "MAIL FROM:<a@b>\r\nRCPT TO:<x@new.example>\r\nRCPT "
			"TO:<y@new.example>\r\nRSET\r\n");
		codes = hear(fd, 4);
	} while (strcmp(codes, "250 550 550 250") == 0);
	assert_string_equal(codes, "250 250 550 250");
	close(fd);
	close_door(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_mail),
	    cmocka_unit_test(test_directory),
	    cmocka_unit_test(test_big_body),
	    cmocka_unit_test(test_leaving),
	    cmocka_unit_test(test_strikes),
	    cmocka_unit_test(test_pool_goes_away),
	    cmocka_unit_test(test_filter_is_late),
	    cmocka_unit_test(test_timeouts),
	    cmocka_unit_test(test_memory_pause),
	    cmocka_unit_test(test_proxy_and_limits),
	    cmocka_unit_test(test_total_limit),
	    cmocka_unit_test(test_idle_sessions_are_small),
	    cmocka_unit_test(test_devices),
	    cmocka_unit_test(test_submit_from_loopback),
	    cmocka_unit_test(test_starttls_and_auth),
	    cmocka_unit_test(test_tls_first),
	    cmocka_unit_test(test_tls_cut),
	    cmocka_unit_test(test_stop_waits_for_mail),
	    cmocka_unit_test(test_reload),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
