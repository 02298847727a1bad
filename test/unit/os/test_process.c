/* SPDX-License-Identifier: EUPL-1.2
 * Starting a role. This program is its own role: /proc/self/exe is executed
 * with "--role", and then looks around and reports over descriptor 3. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "os/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct report {
	unsigned open_fds;     /* bit n: descriptor n */
	unsigned handled;      /* signals that are not at their default */
	unsigned blocked;
	int death_signal;
	pid_t parent, group;
	char null_at_0;
};

static unsigned open_descriptors(void)
{
	unsigned bits = 0;
	DIR *d = opendir("/proc/self/fd");
	for (struct dirent *e; d && (e = readdir(d));) {
		int fd = e->d_name[0] == '.' ? -1 : (int)strtol(e->d_name, NULL, 10);
		if (fd >= 0 && fd != dirfd(d))
			bits |= 1u << (fd < 31 ? fd : 31);
	}
	if (d)
		closedir(d);
	return bits;
}

static void look_around(struct report *out)
{
	char target[64] = "";
	sigset_t blocked;
	*out = (struct report){.parent = getppid(), .group = getpgrp()};
	out->open_fds = open_descriptors();
	sigprocmask(SIG_SETMASK, NULL, &blocked);
	for (int sig = 1; sig < 32; sig++) {
		struct sigaction now;
#ifdef VGM_SANITIZED /* their runtime takes these before main */
		if (sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE)
			continue;
#endif
		out->handled += sigaction(sig, NULL, &now) == 0 && now.sa_handler != SIG_DFL;
		out->blocked += sigismember(&blocked, sig) == 1;
	}
	prctl(PR_GET_PDEATHSIG, &out->death_signal);
	(void)!readlink("/proc/self/fd/0", target, sizeof target - 1);
	out->null_at_0 = strcmp(target, "/dev/null") == 0;
}

static int be_role(const char *name)
{
	struct report report;
	char c;
	if (strcmp(name, "reporter") == 0) {
		look_around(&report);
		return write(3, &report, sizeof report) == sizeof report ? 7 : 8;
	}
	/* "sleeper": says that it is there, then waits for its end. */
	if (write(3, "", 1) != 1)
		return 8;
	return read(3, &c, 1) < 0;
}

static void test_environment_of_a_role(void **state)
{
	(void)state;
	int pair[2], status, extra = open("/etc/passwd", O_RDONLY); /* not close-on-exec */
	pid_t pid = -1;
	struct report report;
	sigset_t some;
	assert_true(extra >= 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	signal(SIGUSR1, SIG_IGN);
	sigemptyset(&some);
	sigaddset(&some, SIGTERM);
	sigprocmask(SIG_BLOCK, &some, NULL);
	assert_int_equal(vgm_process_start_role("reporter", pair[1], &pid, NULL), 0);
	sigset_t after;
	sigprocmask(SIG_UNBLOCK, &some, &after);
	assert_true(sigismember(&after, SIGTERM));
	assert_false(sigismember(&after, SIGINT));
	assert_int_equal(read(pair[0], &report, sizeof report), sizeof report);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 7);
	assert_int_equal(report.open_fds, 0xF);
	assert_true(report.null_at_0);
	assert_int_equal(report.handled, 0);
	assert_int_equal(report.blocked, 0);
	assert_int_equal(report.death_signal, SIGKILL);
	assert_int_equal(report.parent, getpid());
	assert_int_equal(report.group, pid);
	close(extra);
	close(pair[0]);
	close(pair[1]);
}

/* Whatever descriptor the channel has, also one of 0 to 3. */
static void test_channel_at_any_place(void **state)
{
	(void)state;
	for (int place = 0; place < 6; place++) {
		int pair[2], status;
		pid_t pid = fork(); /* so that our own 0 to 3 stay */
		if (pid == 0) {
			struct report report;
			pid_t role;
			signal(SIGALRM, SIG_DFL);
			alarm(20);
			if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0 ||
			    fcntl(pair[0], F_DUPFD, 50) != 50 || dup2(pair[1], place) < 0 ||
			    vgm_process_start_role("reporter", place, &role, NULL) < 0 ||
			    read(50, &report, sizeof report) != sizeof report)
				_exit(1);
			_exit((report.open_fds & ~7u) == 8 ? 0 : 2);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
}

static void test_dies_with_its_parent(void **state)
{
	(void)state;
	int pair[2], status;
	char c;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	pid_t middle = fork();
	if (middle == 0) {
		pid_t role;
		if (vgm_process_start_role("sleeper", pair[1], &role, NULL) < 0)
			_exit(1);
		pause();
	}
	close(pair[1]);
	assert_int_equal(read(pair[0], &c, 1), 1);
	kill(middle, SIGKILL);
	assert_int_equal(waitpid(middle, &status, 0), middle);
	assert_int_equal(read(pair[0], &c, 1), 0); /* the other end is gone: so is the role */
	close(pair[0]);
}

static void test_describe(void **state)
{
	(void)state;
	static const struct {
		int status;
		const char *words;
	} cases[] = {
	    {W_EXITCODE(0, 0), "exit status 0"},
	    {W_EXITCODE(127, 0), "exit status 127"},
	    {SIGKILL, "signal 9 (KILL)"},
	    {SIGSYS, "signal 31 (SYS)"},
	    {SIGSEGV | WCOREFLAG, "signal 11 (SEGV)"},
	    {W_STOPCODE(SIGSTOP), "status 4991"},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_buf b = VGM_BUF_INIT(100);
		assert_int_equal(vgm_process_describe(cases[i].status, &b), 0);
		assert_string_equal(vgm_buf_str(&b), cases[i].words);
		vgm_buf_release(&b);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_environment_of_a_role),
	    cmocka_unit_test(test_channel_at_any_place),
	    cmocka_unit_test(test_dies_with_its_parent),
	    cmocka_unit_test(test_describe),
	};
	if (argc == 3 && strcmp(argv[1], "--role") == 0)
		return be_role(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
