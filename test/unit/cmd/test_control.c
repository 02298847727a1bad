/* SPDX-License-Identifier: EUPL-1.2
 * cmd/control.c, messages.c and the commands over them: what is asked of the
 * server and what is made of its answer. The server is played by a child. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "cmd/control.h"
#include "ipc/channel.h"
#include "os/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROW "{\"reference\":\"0123456789\",\"sender\":\"a@b\",\"recipients\":[]}"

/* A call, what the server is asked by it, and what comes of the answer. */
struct call {
	const char *argv[8];
	const char *asked;    /* "verb|word|word"; NULL: the server is not asked */
	const char *rows[3];  /* its answer */
	const char *bytes;    /* carried by the last row */
	int code;
	const char *words, *detail;
	int status;
	const char *out, *err; /* parts of what is printed; NULL: nothing */
};

static const struct call calls[] = {
    {{"queue"}, "queue list|--limit=100", {0}, NULL, 0, "", "", 0, "nothing waits", NULL},
    {{"queue", "list", "from:a", "--limit", "3"}, "queue list|--limit=3|from:a", {ROW}, NULL, 0,
        "view_more", "3", 0, "0123456789", "more than 3"},
    {{"queue", "list", "--json"}, "queue list|--limit=100", {ROW, ROW}, NULL, 0, "", "", 0,
        ROW "\n" ROW "\n", NULL},
    {{"queue", "list", "--json"}, "queue list|--limit=100", {0}, NULL, 0, "", "", 0, NULL, NULL},
    {{"queue", "count"}, "queue count", {"{\"queued\":3,\"deferred\":2,\"held\":1}"}, NULL, 0, "",
        "", 0, "queued      3\ndeferred    2\nheld        1\n", NULL},
    {{"queue", "flush"}, "queue flush|--all", {"{\"messages\":2}"}, NULL, 0, "", "", 0,
        "messages concerned: 2", NULL},
    {{"queue", "flush", "012345"}, "queue flush|012345", {"{\"messages\":1}"}, NULL, 0, "", "", 0,
        "messages concerned: 1", NULL},
    {{"queue", "hold", "--all"}, "queue hold|--all", {"{\"messages\":1}"}, NULL, 0, "", "", 0,
        "messages concerned: 1", NULL},
    {{"queue", "remove", "012345"}, "queue remove|012345", {0}, NULL, 1, "view_no_such_message",
        "012345", 1, NULL, "`vgm track 012345`"},
    {{"queue", "hold"}, NULL, {0}, NULL, 0, "", "", VGM_EXIT_USAGE, NULL, "--all"},
    {{"queue", "hold", "012345", "--all"}, NULL, {0}, NULL, 0, "", "", VGM_EXIT_USAGE, NULL,
        "not both"},
    {{"queue", "hold", "a", "b"}, NULL, {0}, NULL, 0, "", "", VGM_EXIT_USAGE, NULL, "Expected form"},
    {{"queue", "eat"}, NULL, {0}, NULL, 0, "", "", VGM_EXIT_USAGE, NULL, "eat"},
    {{"queue", "list", "--limit", "0"}, NULL, {0}, NULL, 0, "", "", VGM_EXIT_USAGE, NULL,
        "--limit"},
    {{"quarantine"}, "quarantine list|--limit=100", {0}, NULL, 0, "", "", 0, "nothing is held",
        NULL},
    {{"quarantine", "release", "012345"}, "quarantine release|012345", {"{\"messages\":1}"}, NULL,
        0, "", "", 0, "concerned: 1", NULL},
    {{"quarantine", "release"}, NULL, {0}, NULL, 0, "", "", VGM_EXIT_USAGE, NULL, "id"},
    {{"track", "012345"}, "track|--limit=100|012345", {ROW}, NULL, 0, "", "", 0, "sender", NULL},
    {{"track", "012345"}, "track|--limit=100|012345", {0}, NULL, 1, "view_nothing", "", 1, NULL,
        "no message"},
    {{"search", "x", "status:held"}, "search|--limit=100|x|status:held", {ROW}, NULL, 0, "", "", 0,
        "0123456789", NULL},
    {{"search", "subject:x"}, "search|--limit=100|subject:x", {0}, NULL, 2, "view_term_unknown",
        "subject:x", 2, NULL, "does not exist yet"},
    {{"search", "subject:x", "--json"}, "search|--limit=100|subject:x", {0}, NULL, 2,
        "view_term_unknown", "subject:x", 2, NULL, "{\"error\":\"view_term_unknown\",\"text\":"},
    {{"show", "--raw", "012345", "--why", "plainte"}, "show raw|012345|--why=plainte",
        {"{\"size\":5}"}, "a\r\n\xff.", 0, "", "", 0, "a\r\n\xff.", NULL},
    {{"show", "--raw", "--json", "012345"}, "show raw|012345", {"{\"size\":2}"}, "ok", 0, "", "", 0,
        "ok", NULL},
    {{"show", "012345"}, "show head|012345", {ROW, "{\"subject\":\"Re: x\\u001b\"}"}, NULL, 0, "",
        "", 0, "Re: x\\x1b", NULL},
    {{"show", "012345"}, "show head|012345",
        {ROW, "{\"client\":\"192.0.2.7\",\"origin\":\"203.0.113.9\",\"helo\":\"mx\"}"}, NULL, 0,
        "", "", 0,
        "  address       192.0.2.7\n  origin        203.0.113.9\n  greeted as    mx\n", NULL},
    {{"show", "012345"}, "show head|012345",
        {ROW, "{\"client\":\"192.0.2.7\",\"origin\":\"192.0.2.7\",\"helo\":\"mx\"}"}, NULL, 0,
        "", "", 0, "  address       192.0.2.7\n  greeted as    mx\n", NULL},
    {{"show", "012345"}, "show head|012345",
        {ROW, "{\"subject\":\"x\",\"client\":\"\",\"origin\":\"\",\"helo\":\"mx\"}"}, NULL, 0,
        "", "", 0, "  subject       x\n  greeted as    mx\n", NULL},
    {{"show", "012345", "--json"}, "show head|012345", {ROW, "{\"subject\":\"x\"}"}, NULL, 0, "", "",
        0, "\"recipients\":[],\"head\":{\"subject\":\"x\"}}\n", NULL},
    {{"show", "012345"}, "show head|012345", {0}, NULL, 1, "view_closed", "012345", 1, NULL,
        "cannot be opened"},
    {{"devices"}, "devices",
        {"{\"machine\":\"copieur \\u001b\",\"configured\":true,\"messages\":12,\"repaired\":3,"
         "\"undelivered\":1,\"last\":\"2001-01-01T00:00:00Z\","
         "\"faults\":{\"bare_lf\":2,\"bare_cr\":0,\"path\":3,\"name\":0}}"},
        NULL, 0, "", "", 0,
        "    line ends of LF alone: 2; addresses without <>: 3\n", NULL},
    {{"devices"}, "devices",
        {"{\"machine\":\"lab\",\"configured\":true,\"messages\":0,\"faults\":{}}",
            "{\"machine\":\"old\",\"configured\":false,\"messages\":1}"},
        NULL, 0, "", "", 0,
        "lab                         never     0         0         0\n"
        "old                         never     1         0         0\n"
        "    is not in the configuration any more\n",
        NULL},
    {{"devices", "--json"}, "devices", {"{\"machine\":\"lab\"}"}, NULL, 0, "", "", 0,
        "{\"machine\":\"lab\"}\n", NULL},
    {{"devices"}, "devices", {0}, NULL, 0, "", "", 0, "no machine is named", NULL},
    {{"devices", "x"}, NULL, {0}, NULL, 0, "", "", VGM_EXIT_USAGE, NULL, "x"},
    {{"ledger"}, "ledger info",
        {"{\"records\":7,\"segment\":1,\"offset\":99,\"viewed\":5,\"behind\":2}",
            "{\"view\":\"queue\",\"class\":\"A\",\"rows\":3}"},
        NULL, 0, "", "", 0, "views: 2 records behind\nqueue         class A, 3 rows\n", NULL},
    {{"ledger", "events"}, "ledger events|--limit=100",
        {"{\"time\":\"2026-11-23T21:30:00Z\",\"type\":\"access\",\"kind\":\"show\","
         "\"who\":\"marie (uid 0)\",\"record\":\"0123456789abcdef\"}"},
        NULL, 0, "", "", 0, "2026-11-23 21:30:00  access  show  marie (uid 0)  0123456789\n", NULL},
    {{"ledger", "rebuild"}, "ledger rebuild",
        {"{\"rebuilt\":1,\"of\":7}", "{\"view\":\"queue\",\"class\":\"A\",\"rows\":3}"}, NULL, 0, "",
        "", 0, "class A, 3 rows", NULL},
    {{"ledger", "rebuild"}, "ledger rebuild", {0}, NULL, 3, "view_rebuild_busy", "", 3, NULL,
        "already under way"},
    {{"queue", "count"}, "queue count", {0}, NULL, 5, "not_in_the_catalogue", "", 5, NULL, NULL},
};

/* ---- the server, in a child ---- */

static void serve(int door, const struct call *call)
{
	struct vgm_received got = VGM_RECEIVED_INIT;
	char asked[500];
	uint64_t deadline = vgm_clock_mono_ms() + 10000;
	int fd = accept(door, NULL, NULL);
	if (fd < 0 || vgm_ipc_receive(fd, &got, deadline, NULL) < 0 || got.type != VGM_MSG_control)
		_exit(1);
	const struct vgm_msg_control *m = got.message;
	int n = snprintf(asked, sizeof asked, "%.*s", VGM_SLICE_ARG(m->verb));
	for (size_t i = 0; i < m->words_count; i++)
		n += snprintf(asked + n, sizeof asked - (size_t)n, "|%.*s",
		    VGM_SLICE_ARG(m->words[i].text));
	if (strcmp(asked, call->asked) != 0) {
		fprintf(stderr, "asked \"%s\", expected \"%s\"\n", asked, call->asked);
		_exit(2);
	}
	for (size_t i = 0; i < 3 && call->rows[i]; i++) {
		struct vgm_msg_control_row row = {.json = vgm_slice_str(call->rows[i]), .fd = -1};
		bool last = i == 2 || !call->rows[i + 1];
		if (last && call->bytes &&
		    vgm_memfd_of("x", vgm_slice_str(call->bytes), &row.fd, NULL) < 0)
			_exit(3);
		if (vgm_ipc_send(fd, VGM_MSG_control_row, &row, deadline, NULL) < 0)
			_exit(4);
	}
	struct vgm_msg_control_end end = {.code = (uint8_t)call->code,
	    .words_id = vgm_slice_str(call->words), .detail = vgm_slice_str(call->detail)};
	_exit(vgm_ipc_send(fd, VGM_MSG_control_end, &end, deadline, NULL) < 0 ? 5 : 0);
}

/* ---- a call, with what it prints ---- */

struct printed {
	char out[20000], err[20000];
	int status;
};

static void read_all(int fd, char *text, size_t room)
{
	ssize_t n = pread(fd, text, room - 1, 0);
	assert_true(n >= 0);
	text[n] = 0;
	close(fd);
}

static void run_command(const char *state_dir, const char *const *argv, struct printed *p)
{
	const char *all[16] = {"vgm", "--lang", "en"};
	char *words[16];
	int argc = 3, files[2], saved[2];
	for (size_t i = 0; i < 8 && argv[i]; i++)
		all[argc++] = argv[i];
	all[argc++] = "--state";
	all[argc++] = state_dir;
	for (int i = 0; i < argc; i++)
		words[i] = (char *)(uintptr_t)all[i];
	words[argc] = NULL;
	fflush(NULL);
	for (int i = 0; i < 2; i++) {
		files[i] = memfd_create("printed", MFD_CLOEXEC);
		saved[i] = dup(i + 1);
		assert_int_equal(dup2(files[i], i + 1), i + 1);
	}
	p->status = vgm_cmd_main(vgm_cmd_table, argc, words);
	fflush(NULL);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(dup2(saved[i], i + 1), i + 1);
		close(saved[i]);
	}
	read_all(files[0], p->out, sizeof p->out);
	read_all(files[1], p->err, sizeof p->err);
}

static int open_door(const char *dir)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	snprintf(sa.sun_path, sizeof sa.sun_path, "%s/control.sock", dir);
	int door = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(door, (struct sockaddr *)&sa, sizeof sa), 0);
	assert_int_equal(listen(door, 4), 0);
	return door;
}

static void close_door(int door, const char *dir)
{
	char path[200];
	snprintf(path, sizeof path, "%s/control.sock", dir);
	close(door);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

static bool part_of(const char *printed, const char *part)
{
	return part ? strstr(printed, part) != NULL : printed[0] == 0;
}

static void test_calls(void **state)
{
	(void)state;
	char dir[] = "/tmp/vgm-control-XXXXXX";
	assert_non_null(mkdtemp(dir));
	int door = open_door(dir);
	for (size_t i = 0; i < VGM_ARRAY_LEN(calls); i++) {
		const struct call *call = &calls[i];
		struct printed p;
		int served = 0;
		fflush(NULL);
		pid_t pid = call->asked ? fork() : 0;
		if (call->asked && pid == 0)
			serve(door, call);
		run_command(dir, call->argv, &p);
		if (call->asked)
			assert_int_equal(waitpid(pid, &served, 0), pid);
		if (served != 0 || p.status != call->status || !part_of(p.out, call->out) ||
		    !part_of(p.err, call->err))
			fail_msg("call %zu (%s): server %d, status %d\nout: %s\nerr: %s", i,
			    call->argv[0], served, p.status, p.out, p.err);
	}
	close_door(door, dir);
}

/* ---- no server ---- */

static void test_nobody(void **state)
{
	(void)state;
	static const char *const commands[][3] = {{"queue"}, {"track", "012345"}, {"quarantine"},
	    {"search", "x"}, {"show", "012345"}, {"ledger"}};
	char dir[] = "/tmp/vgm-control-XXXXXX";
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < VGM_ARRAY_LEN(commands); i++) {
		const char *const argv[9] = {commands[i][0], commands[i][1]};
		struct printed p;
		run_command(dir, argv, &p); /* never started */
		assert_int_equal(p.status, VGM_EXIT_UNREACHABLE);
		assert_non_null(strstr(p.err, "Start `vgm serve`"));
		assert_string_equal(p.out, "");
		run_command("/nonexistent", argv, &p);
		assert_int_equal(p.status, VGM_EXIT_UNREACHABLE);
	}
	int door = open_door(dir);
	close(door); /* the socket's name stays behind, as after a kill */
	const char *const argv[9] = {"queue"};
	struct printed p;
	run_command(dir, argv, &p);
	assert_int_equal(p.status, VGM_EXIT_UNREACHABLE);
	close_door(-1, dir);
}

/* Hangs up, or says what is no message: an error, no crash, no wait. */
static void test_bad_server(void **state)
{
	(void)state;
	static const char *const says[] = {"", "x", "\0\x5c\0\1\xff\xff\xff\xff"};
	static const size_t lengths[] = {0, 1, 8};
	char dir[] = "/tmp/vgm-control-XXXXXX";
	assert_non_null(mkdtemp(dir));
	int door = open_door(dir);
	for (size_t i = 0; i < VGM_ARRAY_LEN(says); i++) {
		const char *const argv[9] = {"queue", "count"};
		struct printed p;
		fflush(NULL);
		pid_t pid = fork();
		if (pid == 0) {
			char question[1000];
			int fd = accept(door, NULL, NULL);
			if (fd < 0 || recv(fd, question, sizeof question, 0) <= 0)
				_exit(1);
			if (lengths[i] && send(fd, says[i], lengths[i], MSG_NOSIGNAL) < 0)
				_exit(2);
			_exit(0);
		}
		run_command(dir, argv, &p);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		if (p.status != VGM_EXIT_UNREACHABLE && p.status != VGM_EXIT_SYSTEM)
			fail_msg("server %zu: status %d", i, p.status);
		assert_true(p.err[0] != 0);
	}
	close_door(door, dir);
}

/* A state directory deeper than a socket's name may be long. */
static void test_deep_directory(void **state)
{
	(void)state;
	char dir[400] = "/tmp/vgm-control-XXXXXX", command[500];
	assert_non_null(mkdtemp(dir));
	size_t top = strlen(dir);
	for (int i = 0; i < 3; i++) {
		size_t n = strlen(dir);
		memset(dir + n, 'd', 100);
		dir[n] = '/';
		dir[n + 100] = 0;
		assert_int_equal(mkdir(dir, 0700), 0);
	}
	int back = open(".", O_RDONLY | O_DIRECTORY);
	assert_int_equal(chdir(dir), 0);
	int door = open_door(".");
	assert_int_equal(fchdir(back), 0);
	close(back);
	int fd = vgm_control_connect(dir);
	assert_true(fd >= 0);
	close(fd);
	close(door);
	snprintf(command, sizeof command, "%s/control.sock", dir);
	assert_int_equal(unlink(command), 0);
	while (strlen(dir) >= top && rmdir(dir) == 0)
		*strrchr(dir, '/') = 0;
}

static void test_too_many_words(void **state)
{
	(void)state;
	struct vgm_cmd_run run = {.lang = VGM_EN, .json = true};
	struct vgm_control_question q = {.verb = "search"};
	char word[500];
	fflush(NULL);
	int saved = dup(2), null = open("/dev/null", O_WRONLY);
	assert_int_equal(dup2(null, 2), 2);
	memset(word, 'x', sizeof word);
	word[401] = 0;
	bool long_one = vgm_control_word(&run, &q, word);
	word[400] = 0;
	bool all = true;
	for (int i = 0; i < 64; i++)
		all = all && vgm_control_word(&run, &q, word);
	bool one_more = vgm_control_word(&run, &q, "x");
	assert_int_equal(dup2(saved, 2), 2);
	close(saved);
	close(null);
	assert_false(long_one);
	assert_true(all);
	assert_false(one_more);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_calls),
	    cmocka_unit_test(test_nobody),
	    cmocka_unit_test(test_bad_server),
	    cmocka_unit_test(test_deep_directory),
	    cmocka_unit_test(test_too_many_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
