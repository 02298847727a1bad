/* SPDX-License-Identifier: EUPL-1.2
 * os/process.c — see process.h. */
#include "os/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROLE_CHANNEL 3
#define EXEC_FAILED 127

static void reset_signals(void)
{
	sigset_t none;
	for (int sig = 1; sig < NSIG; sig++)
		(void)signal(sig, SIG_DFL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* 0 = /dev/null, 3 = the channel, nothing from 4 on. False when that fails. */
static bool arrange_descriptors(int channel_fd)
{
	/* Out of the way of 0..3 first; a copy by dup2 is not close-on-exec. */
	int channel = fcntl(channel_fd, F_DUPFD, ROLE_CHANNEL + 1);
	int null = open("/dev/null", O_RDWR);
	if (channel < 0 || null < 0 || dup2(null, 0) < 0 || dup2(channel, ROLE_CHANNEL) < 0)
		return false;
	for (int fd = 1; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && dup2(0, fd) < 0)
			return false;
	return close_range(ROLE_CHANNEL + 1, ~0u, 0) == 0;
}

/* Between fork and exec: async-signal-safe calls only. */
static void VGM_NORETURN become_role(const char *name, int channel_fd, pid_t parent)
{
	char *arguments[] = {(char *)(uintptr_t) "vgm", (char *)(uintptr_t) "--role",
	    (char *)(uintptr_t)name, NULL};
	/* Ctrl-C on a terminal is for the master, which then stops us in order. */
	(void)setpgid(0, 0);
	reset_signals();
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(EXEC_FAILED);
	if (arrange_descriptors(channel_fd))
		execv("/proc/self/exe", arguments);
	_exit(EXEC_FAILED);
}

int vgm_process_start_role(const char *name, int channel_fd, pid_t *out_pid, struct vgm_err *err)
{
	sigset_t all, before;
	pid_t parent = getpid();
	/* No handler of ours runs in the child. */
	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	pid_t pid = fork();
	if (pid == 0)
		become_role(name, channel_fd, parent);
	int r = pid < 0 ? vgm_err_sys(err, "forking for role %s", name) : 0;
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	if (r == 0)
		*out_pid = pid;
	return r;
}

int vgm_process_describe(int status, struct vgm_buf *out)
{
	if (WIFEXITED(status))
		return vgm_buf_addf(out, "exit status %d", WEXITSTATUS(status));
	if (!WIFSIGNALED(status))
		return vgm_buf_addf(out, "status %d", status);
	const char *name = sigabbrev_np(WTERMSIG(status));
	return vgm_buf_addf(out, "signal %d (%s)", WTERMSIG(status), name ? name : "?");
}
