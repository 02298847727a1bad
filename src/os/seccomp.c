/* SPDX-License-Identifier: EUPL-1.2
 * os/seccomp.c — the system call half of the sandbox: tables of what a role may
 * call, by the flags of its rules. What stands in no table kills the process.
 *
 * Three layers, all of them loaded with libseccomp:
 *   the role's own list (default: kill);
 *   with FORK or UDP, a guard against signals to the parent (default: allow);
 *   in forked workers, what they have no more use for (default: allow).
 * Layers add up: the kernel takes the strictest answer. */
#include "os/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANY 0u /* every role */
#define FILES VGM_SANDBOX_FILES
#define FORK VGM_SANDBOX_FORK
#define UDP VGM_SANDBOX_UDP
#define ACCEPT VGM_SANDBOX_ACCEPT
#define CONNECT VGM_SANDBOX_CONNECT
#define MEMFD VGM_SANDBOX_MEMFD
#define SOCKETPAIR VGM_SANDBOX_SOCKETPAIR

#ifndef VGM_SANITIZED
/* Allowed, whatever the arguments, to roles with any of these flags. */
static const struct {
	int call;
	unsigned flags;
} allowed[] = {
    /* descriptors that one has */
    {SCMP_SYS(read), ANY}, {SCMP_SYS(readv), ANY}, {SCMP_SYS(pread64), ANY},
    {SCMP_SYS(preadv), ANY}, {SCMP_SYS(write), ANY}, {SCMP_SYS(writev), ANY},
    {SCMP_SYS(pwrite64), ANY}, {SCMP_SYS(pwritev), ANY}, {SCMP_SYS(sendfile), ANY},
    {SCMP_SYS(lseek), ANY}, {SCMP_SYS(close), ANY}, {SCMP_SYS(close_range), ANY},
    {SCMP_SYS(fstat), ANY}, {SCMP_SYS(dup), ANY}, {SCMP_SYS(dup2), ANY}, {SCMP_SYS(dup3), ANY},
    /* messages over sockets that one has */
    {SCMP_SYS(sendmsg), ANY}, {SCMP_SYS(recvmsg), ANY}, {SCMP_SYS(recvfrom), ANY},
    {SCMP_SYS(shutdown), ANY}, {SCMP_SYS(getsockopt), ANY}, {SCMP_SYS(setsockopt), ANY},
    {SCMP_SYS(getsockname), ANY}, {SCMP_SYS(getpeername), ANY},
    /* waiting */
    {SCMP_SYS(poll), ANY}, {SCMP_SYS(ppoll), ANY}, {SCMP_SYS(epoll_create1), ANY},
    {SCMP_SYS(epoll_ctl), ANY}, {SCMP_SYS(epoll_wait), ANY}, {SCMP_SYS(epoll_pwait), ANY},
    {SCMP_SYS(epoll_pwait2), ANY}, {SCMP_SYS(eventfd2), ANY}, {SCMP_SYS(timerfd_create), ANY},
    {SCMP_SYS(timerfd_settime), ANY}, {SCMP_SYS(futex), ANY}, {SCMP_SYS(restart_syscall), ANY},
    {SCMP_SYS(nanosleep), ANY}, {SCMP_SYS(clock_nanosleep), ANY}, {SCMP_SYS(sched_yield), ANY},
    /* memory; mmap and mprotect are below */
    {SCMP_SYS(brk), ANY}, {SCMP_SYS(munmap), ANY}, {SCMP_SYS(mremap), ANY},
    {SCMP_SYS(madvise), ANY}, {SCMP_SYS(mlock), ANY}, {SCMP_SYS(mlock2), ANY},
    {SCMP_SYS(munlock), ANY},
    /* time, chance, and what one is */
    {SCMP_SYS(clock_gettime), ANY}, {SCMP_SYS(clock_getres), ANY}, {SCMP_SYS(gettimeofday), ANY},
    {SCMP_SYS(time), ANY}, {SCMP_SYS(getrandom), ANY}, {SCMP_SYS(getpid), ANY},
    {SCMP_SYS(gettid), ANY}, {SCMP_SYS(getppid), ANY}, {SCMP_SYS(getuid), ANY},
    {SCMP_SYS(geteuid), ANY}, {SCMP_SYS(getgid), ANY}, {SCMP_SYS(getegid), ANY},
    {SCMP_SYS(getrusage), ANY}, {SCMP_SYS(getrlimit), ANY}, {SCMP_SYS(setrlimit), ANY},
    {SCMP_SYS(sysinfo), ANY}, {SCMP_SYS(uname), ANY}, {SCMP_SYS(sched_getaffinity), ANY},
    {SCMP_SYS(getcpu), ANY},
    /* signals to oneself, timers, the end */
    {SCMP_SYS(rt_sigaction), ANY}, {SCMP_SYS(rt_sigprocmask), ANY}, {SCMP_SYS(rt_sigreturn), ANY},
    {SCMP_SYS(sigaltstack), ANY}, {SCMP_SYS(setitimer), ANY}, {SCMP_SYS(alarm), ANY},
    {SCMP_SYS(set_robust_list), ANY}, {SCMP_SYS(rseq), ANY}, {SCMP_SYS(exit), ANY},
    {SCMP_SYS(exit_group), ANY},
    /* a directory of one's own */
    {SCMP_SYS(open), FILES}, {SCMP_SYS(openat), FILES}, {SCMP_SYS(stat), FILES},
    {SCMP_SYS(lstat), FILES}, {SCMP_SYS(newfstatat), FILES}, {SCMP_SYS(statx), FILES},
    {SCMP_SYS(access), FILES}, {SCMP_SYS(faccessat), FILES}, {SCMP_SYS(faccessat2), FILES},
    {SCMP_SYS(statfs), FILES}, {SCMP_SYS(fstatfs), FILES}, {SCMP_SYS(getcwd), FILES},
    {SCMP_SYS(readlink), FILES}, {SCMP_SYS(readlinkat), FILES}, {SCMP_SYS(getdents64), FILES},
    {SCMP_SYS(unlink), FILES}, {SCMP_SYS(unlinkat), FILES}, {SCMP_SYS(rename), FILES},
    {SCMP_SYS(renameat), FILES}, {SCMP_SYS(renameat2), FILES}, {SCMP_SYS(mkdir), FILES},
    {SCMP_SYS(mkdirat), FILES}, {SCMP_SYS(rmdir), FILES}, {SCMP_SYS(fchmod), FILES},
    {SCMP_SYS(fchown), FILES}, {SCMP_SYS(umask), FILES}, {SCMP_SYS(flock), FILES},
    {SCMP_SYS(fsync), FILES}, {SCMP_SYS(fdatasync), FILES}, {SCMP_SYS(fadvise64), FILES},
    {SCMP_SYS(sync_file_range), FILES}, {SCMP_SYS(fallocate), FILES}, {SCMP_SYS(msync), FILES},
    {SCMP_SYS(ftruncate), FILES | MEMFD},
    /* the rest, by trade */
    {SCMP_SYS(memfd_create), MEMFD}, {SCMP_SYS(accept), ACCEPT}, {SCMP_SYS(accept4), ACCEPT},
    {SCMP_SYS(connect), CONNECT | UDP}, {SCMP_SYS(bind), UDP}, {SCMP_SYS(sendto), UDP},
    {SCMP_SYS(sendmmsg), UDP}, {SCMP_SYS(recvmmsg), UDP}, {SCMP_SYS(select), UDP},
    {SCMP_SYS(pselect6), UDP}, {SCMP_SYS(pipe), UDP}, {SCMP_SYS(pipe2), UDP | FORK},
    {SCMP_SYS(wait4), FORK | UDP}, {SCMP_SYS(waitid), FORK | UDP}, {SCMP_SYS(tgkill), FORK | UDP},
    /* a template's workers load their own layer, and die with it */
    {SCMP_SYS(seccomp), FORK}, {SCMP_SYS(prctl), FORK},
};

/* Answered EACCES by roles without FILES: libraries try them in passing. */
static const int refused[] = {
    SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(openat2), SCMP_SYS(creat), SCMP_SYS(stat),
    SCMP_SYS(lstat), SCMP_SYS(statx), SCMP_SYS(access), SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(statfs),
    SCMP_SYS(getcwd),
};

/* Allowed when one argument, under a mask, has this value. */
static const struct {
	int call;
	unsigned flags;
	unsigned argument;
	uint64_t mask, value;
} conditional[] = {
    /* no memory becomes executable */
    {SCMP_SYS(mmap), ANY, 2, PROT_EXEC, 0},
    {SCMP_SYS(mprotect), ANY, 2, PROT_EXEC, 0},
    /* send(), to the peer that the socket has */
    {SCMP_SYS(sendto), ANY, 4, UINT64_MAX, 0},
    /* one's own limits only */
    {SCMP_SYS(prlimit64), ANY, 0, UINT32_MAX, 0},
    {SCMP_SYS(ioctl), ANY, 1, UINT32_MAX, FIONBIO},
    {SCMP_SYS(ioctl), ANY, 1, UINT32_MAX, FIONREAD},
    {SCMP_SYS(ioctl), ANY, 1, UINT32_MAX, TCGETS}, /* stdio asks whether it is a terminal */
    {SCMP_SYS(fcntl), ANY, 1, UINT32_MAX, F_DUPFD},
    {SCMP_SYS(fcntl), ANY, 1, UINT32_MAX, F_DUPFD_CLOEXEC},
    {SCMP_SYS(fcntl), ANY, 1, UINT32_MAX, F_GETFD},
    {SCMP_SYS(fcntl), ANY, 1, UINT32_MAX, F_SETFD},
    {SCMP_SYS(fcntl), ANY, 1, UINT32_MAX, F_GETFL},
    {SCMP_SYS(fcntl), ANY, 1, UINT32_MAX, F_SETFL},
    {SCMP_SYS(fcntl), ANY, 1, UINT32_MAX, F_GET_SEALS},
    {SCMP_SYS(fcntl), MEMFD, 1, UINT32_MAX, F_ADD_SEALS},
    {SCMP_SYS(fcntl), FILES, 1, UINT32_MAX, F_GETLK},
    {SCMP_SYS(fcntl), FILES, 1, UINT32_MAX, F_SETLK},
    {SCMP_SYS(fcntl), FILES, 1, UINT32_MAX, F_SETLKW},
    {SCMP_SYS(fcntl), FILES, 1, UINT32_MAX, F_OFD_GETLK},
    {SCMP_SYS(fcntl), FILES, 1, UINT32_MAX, F_OFD_SETLK},
    {SCMP_SYS(socketpair), SOCKETPAIR | UDP, 0, UINT32_MAX, AF_UNIX},
    /* no new name spaces */
    {SCMP_SYS(clone), FORK | UDP, 0,
        CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
            CLONE_NEWCGROUP, 0},
    /* one process, never a group */
    {SCMP_SYS(kill), FORK, 0, 0x80000000u, 0},
};
#endif

static scmp_filter_ctx new_filter(uint32_t otherwise, int *r)
{
	scmp_filter_ctx filter = seccomp_init(otherwise);
	VGM_BUG_ON(!filter);
	/* A foreign architecture's calls would go by other numbers. */
	*r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (*r == 0) /* as a tree, not as a list */
		*r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	return filter;
}

/* Frees the filter. r: what went wrong while it was made, -errno. */
static int load_filter(scmp_filter_ctx filter, int r, struct vgm_err *err)
{
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	errno = -r;
	return r < 0 ? vgm_err_sys(err, "the system call filter") : 0;
}

#ifndef VGM_SANITIZED
/* All 64 bits count: a call with others above the int that the kernel reads is
 * never taken for the one that is allowed. */
static struct scmp_arg_cmp argument_is(unsigned argument, enum scmp_compare how, uint64_t value)
{
	return (struct scmp_arg_cmp){argument, how, value, 0};
}

static bool applies(unsigned wanted, unsigned flags)
{
	return wanted == ANY || (wanted & flags);
}

static int add_tables(scmp_filter_ctx filter, unsigned flags)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < VGM_ARRAY_LEN(allowed); i++)
		if (applies(allowed[i].flags, flags))
			r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i].call, 0);
	for (size_t i = 0; r == 0 && i < VGM_ARRAY_LEN(conditional); i++)
		if (applies(conditional[i].flags, flags))
			r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, conditional[i].call, 1,
			    SCMP_CMP(conditional[i].argument, SCMP_CMP_MASKED_EQ,
			        conditional[i].mask, conditional[i].value));
	for (size_t i = 0; r == 0 && !(flags & FILES) && i < VGM_ARRAY_LEN(refused); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), refused[i], 0);
	return r;
}

/* What a table row cannot say. */
static int add_special(scmp_filter_ctx filter, unsigned flags)
{
	static const int families[] = {AF_INET, AF_INET6};
	static const int types[] = {SOCK_STREAM, SOCK_DGRAM};
	/* A tracer that makes a call fail puts -1 in its place, which the kernel
	 * answers ENOSYS: so the program that ships can be tested with faults. */
	int r = seccomp_attr_set(filter, SCMP_FLTATR_API_TSKIP, 1);
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, -1, 0);
	for (size_t i = 0; r == 0 && i < 4; i++) {
		int type = types[i / 2];
		if (!(flags & UDP) && !((flags & CONNECT) && type == SOCK_STREAM))
			continue;
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
		    argument_is(0, SCMP_CMP_EQ, (uint64_t)families[i % 2]),
		    SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, (uint64_t)type));
	}
	/* glibc's fstat is newfstatat of an empty name; it falls back from clone3. */
	if (r == 0 && !(flags & FILES))
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
		    SCMP_A3(SCMP_CMP_MASKED_EQ, 0x1000 /* AT_EMPTY_PATH */, 0x1000));
	if (r == 0 && !(flags & FILES))
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(newfstatat), 1,
		    SCMP_A3(SCMP_CMP_MASKED_EQ, 0x1000, 0));
	if (r == 0 && (flags & (FORK | UDP)))
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	/* abort() of one that does not fork: the only signal it may send. */
	if (r == 0 && !(flags & (FORK | UDP)))
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
		    argument_is(0, SCMP_CMP_EQ, (uint64_t)getpid()));
	return r;
}

int vgm_seccomp_enter(unsigned flags, struct vgm_err *err)
{
	int r;
	if (flags & (FORK | UDP)) {
		uint64_t parent = (uint64_t)getppid();
		scmp_filter_ctx guard = new_filter(SCMP_ACT_ALLOW, &r);
		if (r == 0)
			r = seccomp_rule_add(guard, SCMP_ACT_KILL_PROCESS, SCMP_SYS(kill), 1,
			    SCMP_A0(SCMP_CMP_MASKED_EQ, UINT32_MAX, parent));
		if (r == 0)
			r = seccomp_rule_add(guard, SCMP_ACT_KILL_PROCESS, SCMP_SYS(tgkill), 1,
			    SCMP_A0(SCMP_CMP_MASKED_EQ, UINT32_MAX, parent));
		r = load_filter(guard, r, err);
		if (r < 0)
			return r;
	}
	scmp_filter_ctx filter = new_filter(SCMP_ACT_KILL_PROCESS, &r);
	if (r == 0)
		r = add_tables(filter, flags);
	if (r == 0)
		r = add_special(filter, flags);
	return load_filter(filter, r, err);
}

int vgm_seccomp_enter_worker(struct vgm_err *err)
{
	/* Straight-line code that reads, writes and maps what it was given: nothing
	 * here is needed by it (a worker under strace uses 20 calls). */
	static const int over[] = {
	    SCMP_SYS(clone), SCMP_SYS(wait4), SCMP_SYS(waitid), SCMP_SYS(kill),
	    SCMP_SYS(socketpair), SCMP_SYS(pipe2), SCMP_SYS(prctl), SCMP_SYS(seccomp),
	    SCMP_SYS(setsockopt), SCMP_SYS(getsockopt), SCMP_SYS(getsockname),
	    SCMP_SYS(getpeername), SCMP_SYS(shutdown), SCMP_SYS(recvfrom), SCMP_SYS(sendto),
	    SCMP_SYS(sendfile), SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait),
	    SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2), SCMP_SYS(eventfd2),
	    SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime), SCMP_SYS(setitimer),
	    SCMP_SYS(alarm), SCMP_SYS(setrlimit), SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3),
	    SCMP_SYS(pwrite64), SCMP_SYS(pwritev), SCMP_SYS(ftruncate),
	};
	int r;
	scmp_filter_ctx filter = new_filter(SCMP_ACT_ALLOW, &r);
	for (size_t i = 0; r == 0 && i < VGM_ARRAY_LEN(over); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, over[i], 0);
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(tgkill), 1,
		    argument_is(0, SCMP_CMP_NE, (uint64_t)getpid()));
	return load_filter(filter, r, err);
}
#else
/* The profile "sanitized" (vgm_sandbox_profile): all but these. */
int vgm_seccomp_enter(unsigned flags, struct vgm_err *err)
{
	static const struct {
		int call;
		unsigned unless;
	} forbidden[] = {
	    {SCMP_SYS(socket), CONNECT | UDP},
	    {SCMP_SYS(connect), CONNECT | UDP},
	    {SCMP_SYS(bind), UDP},
	    {SCMP_SYS(accept), ACCEPT},
	    {SCMP_SYS(accept4), ACCEPT},
	};
	int r;
	scmp_filter_ctx filter = new_filter(SCMP_ACT_ALLOW, &r);
	for (size_t i = 0; r == 0 && i < VGM_ARRAY_LEN(forbidden); i++)
		if (!(flags & forbidden[i].unless))
			r = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, forbidden[i].call, 0);
	/* Refused, not deadly: a report without line numbers is better than none. */
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(execve), 0);
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(execveat), 0);
	return load_filter(filter, r, err);
}

int vgm_seccomp_enter_worker(struct vgm_err *err)
{
	(void)err;
	return 0;
}
#endif
