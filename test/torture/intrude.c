/* SPDX-License-Identifier: EUPL-1.2
 * test/torture/intrude.c — makes a running process try a system call, as one
 * who has taken it over would: stops it at its next call, puts another in its
 * place, and lets the kernel judge (its filter sees what a tracer has put in).
 *
 *   intrude PID ACT [PATH]
 *
 * Prints "killed", "denied" (EACCES, EPERM), "failed ERRNO" or "done"; after
 * all but the first the process goes on with its own call as if nothing had
 * been. Needs the right to trace it. x86-64 only. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define SCRATCH_BELOW 8192 /* bytes under the stack pointer: nobody's */
#define STRING (-1)        /* an argument: where the string was put */
#define PARENT (-2)        /* an argument: the target's parent */

static const struct act {
	const char *name;
	long call;
	long arguments[6];
} acts[] = {
    {"open", SYS_openat, {AT_FDCWD, STRING, O_RDONLY}},
    {"create", SYS_openat, {AT_FDCWD, STRING, O_WRONLY | O_CREAT, 0600}},
    {"unlink", SYS_unlinkat, {AT_FDCWD, STRING, 0}},
    {"socket-tcp", SYS_socket, {AF_INET, SOCK_STREAM}},
    {"socket-unix", SYS_socket, {AF_UNIX, SOCK_STREAM}},
    {"socket-raw", SYS_socket, {AF_INET, SOCK_RAW, 1}},
    {"exec", SYS_execve, {STRING, 0, 0}},
    {"ptrace", SYS_ptrace, {PTRACE_SEIZE, PARENT}},
    {"kill", SYS_kill, {PARENT, 0}},
    {"read-memory", SYS_process_vm_readv, {PARENT, 0, 0, 0, 0, 0}},
    {"fork", SYS_clone, {SIGCHLD}},
    {"name-space", SYS_unshare, {CLONE_NEWUSER}},
    {"executable", SYS_mmap, {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}},
    {"setuid", SYS_setuid, {0}},
    {"mount", SYS_mount, {STRING, STRING, STRING, 0, 0}},
    {"bpf", SYS_bpf, {0, 0, 0}},
};

static pid_t parent_of(pid_t pid)
{
	char path[40];
	int parent = 0;
	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	FILE *f = fopen(path, "r");
	if (!f || fscanf(f, "%*d (%*[^)]) %*c %d", &parent) != 1)
		parent = 0;
	if (f)
		fclose(f);
	return parent;
}

static void die(const char *what)
{
	perror(what);
	exit(2);
}

/* Lets the target run until it is before (or, with after, behind) a call. 0 when
 * it has died. */
static int next_stop(pid_t pid, int after, int *status)
{
	struct __ptrace_syscall_info info;
	unsigned char wanted = after ? PTRACE_SYSCALL_INFO_EXIT : PTRACE_SYSCALL_INFO_ENTRY;
	for (;;) {
		if (ptrace(PTRACE_SYSCALL, pid, 0, 0) < 0 || waitpid(pid, status, 0) != pid)
			die("running the target");
		if (WIFSIGNALED(*status) || WIFEXITED(*status))
			return 0;
		if (WIFSTOPPED(*status) && WSTOPSIG(*status) == (SIGTRAP | 0x80) &&
		    ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) > 0 && info.op == wanted)
			return 1;
	}
}

static void put_string(pid_t pid, unsigned long at, const char *s)
{
	size_t len = strlen(s) + 1;
	for (size_t i = 0; i < len; i += 8) {
		unsigned long word = 0;
		memcpy(&word, s + i, len - i < 8 ? len - i : 8);
		if (ptrace(PTRACE_POKEDATA, pid, at + i, word) < 0)
			die("writing to the target");
	}
}

static void say(long result)
{
	if (result >= 0)
		printf("done\n");
	else if (result == -EACCES || result == -EPERM)
		printf("denied\n");
	else
		printf("failed %ld\n", -result);
}

static void intrude(pid_t pid, const struct act *act, const char *string)
{
	struct user_regs_struct before, now;
	int status;
	if (!next_stop(pid, 0, &status))
		die("the target had ended");
	if (ptrace(PTRACE_GETREGS, pid, 0, &before) < 0)
		die("reading registers");
	unsigned long scratch = (before.rsp - SCRATCH_BELOW) & ~15ul;
	put_string(pid, scratch, string);
	unsigned long a[6];
	for (int i = 0; i < 6; i++)
		a[i] = act->arguments[i] == STRING  ? scratch
		    : act->arguments[i] == PARENT ? (unsigned long)parent_of(pid)
		                                  : (unsigned long)act->arguments[i];
	now = before;
	now.orig_rax = (unsigned long)act->call;
	now.rdi = a[0], now.rsi = a[1], now.rdx = a[2], now.r10 = a[3], now.r8 = a[4], now.r9 = a[5];
	if (ptrace(PTRACE_SETREGS, pid, 0, &now) < 0)
		die("writing registers");
	int alive = next_stop(pid, 1, &status);
	if (alive) {
		if (ptrace(PTRACE_GETREGS, pid, 0, &now) < 0)
			die("reading registers");
		/* Its own call once more, from the start. */
		before.rip -= 2;
		before.rax = before.orig_rax;
		before.orig_rax = (unsigned long)-1;
		if (ptrace(PTRACE_SETREGS, pid, 0, &before) < 0)
			die("writing registers");
		/* One that is killed passes here too, on its way out. */
		alive = next_stop(pid, 0, &status);
	}
	if (!alive)
		printf(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS ? "killed\n" : "ended\n");
	else if (ptrace(PTRACE_DETACH, pid, 0, 0) < 0)
		die("letting the target go");
	else
		say((long)now.rax);
}

int main(int argc, char **argv)
{
	int status;
	if (argc < 3)
		return 2;
	pid_t pid = (pid_t)strtol(argv[1], NULL, 10);
	for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++) {
		if (strcmp(argv[2], acts[i].name) != 0)
			continue;
		if (ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD) < 0 ||
		    ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0 || waitpid(pid, &status, 0) != pid)
			die("stopping the target");
		intrude(pid, &acts[i], argc > 3 ? argv[3] : "/");
		return 0;
	}
	return 2;
}
