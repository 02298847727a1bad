/* SPDX-License-Identifier: EUPL-1.2
 * What a process in a sandbox might try, and which flags of its rules let it.
 * Shared by the unit test of the sandbox and by the isolation test of the roles
 * (test/torture/isolation.c). Each act runs in a process of its own. */
#ifndef VGM_TEST_ACTS_H
#define VGM_TEST_ACTS_H

#include "os/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What stands ready when the sandbox closes. */
struct stage {
	char path[64];
	int own, readable, other; /* directories, each with a "file" */
	int listener, port;       /* with one connection waiting */
	int client;               /* that connection */
	int tcp, udp;             /* sockets, not connected */
	int pair[2];
	int memfd;
};

enum fate { GOES, DENIED, KILLED, FAILS, NEVER_BEGAN };

struct act {
	const char *name;
	int (*attempt)(const struct stage *); /* 0 or errno */
	unsigned any_of, all_of;              /* flags that let it: one of the first, all of the second */
	enum fate otherwise;
	bool everywhere; /* every role may do it */
	bool sanitized;  /* also refused by sanitizer builds */
};

static int result(long r)
{
	return r < 0 ? errno : 0;
}

static int closed(int fd)
{
	int r = result(fd);
	if (fd >= 0)
		close(fd);
	return r;
}

#define ACT(name) static int act_##name(const struct stage *s __attribute__((unused)))

ACT(open_outside) { return closed(open("/etc/passwd", O_RDONLY)); }
ACT(open_proc_parent)
{
	char path[40];
	snprintf(path, sizeof path, "/proc/%d/maps", getppid());
	return closed(open(path, O_RDONLY));
}
ACT(open_own) { return closed(openat(s->own, "file", O_RDWR)); }
ACT(create_own) { return closed(openat(s->own, "new", O_CREAT | O_WRONLY, 0600)); }
ACT(mkdir_own) { return result(mkdirat(s->own, "dir", 0700)); }
ACT(list_own) { char b[512]; return result(syscall(SYS_getdents64, s->own, b, sizeof b)); }
ACT(rename_own) { return result(renameat(s->own, "file", s->own, "file")); }
ACT(unlink_own) { return result(unlinkat(s->own, "new", 0)) == ENOENT ? 0 : errno; }
ACT(sync_own) { return result(fsync(s->own)); }
ACT(lock_own)
{
	struct flock lock = {.l_type = F_RDLCK};
	return result(fcntl(s->memfd, F_SETLK, &lock));
}
ACT(open_readable) { return closed(openat(s->readable, "file", O_RDONLY)); }
ACT(write_readable) { return closed(openat(s->readable, "file", O_WRONLY)); }
ACT(create_readable) { return closed(openat(s->readable, "new", O_CREAT | O_WRONLY, 0600)); }
ACT(unlink_readable) { return result(unlinkat(s->readable, "file", 0)); }
ACT(open_other) { return closed(openat(s->other, "file", O_RDONLY)); }
ACT(open_other_by_dots) { return closed(openat(s->own, "../other/file", O_RDONLY)); }
ACT(unlink_other) { return result(unlinkat(s->other, "file", 0)); }
ACT(stat_outside) { struct stat st; return result(stat("/etc/passwd", &st)); }
ACT(access_outside) { return result(access("/etc/passwd", R_OK)); }
ACT(readlink_outside) { char b[99]; return result(readlink("/proc/self/exe", b, sizeof b)); }
ACT(chmod_any) { return result(fchmodat(s->own, "file", 0666, 0)); }
ACT(link_any) { return result(linkat(s->own, "file", s->own, "new", 0)); }
ACT(symlink_any) { return result(symlinkat("x", s->own, "new")); }
ACT(mknod_any) { return result(mknodat(s->own, "fifo", S_IFIFO | 0600, 0)); }
ACT(chdir_any) { return result(chdir("/")); }
ACT(chroot_any) { return result(chroot("/")); }
ACT(mount_any) { return result(mount("none", "/mnt", "tmpfs", 0, "")); }

ACT(socket_tcp) { return closed(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)); }
ACT(socket_tcp6) { return closed(socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0)); }
ACT(socket_udp) { return closed(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)); }
ACT(socket_raw) { return closed(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)); }
ACT(socket_unix) { return closed(socket(AF_UNIX, SOCK_STREAM, 0)); }
ACT(socket_netlink) { return closed(socket(AF_NETLINK, SOCK_RAW, 0)); }
ACT(socket_packet) { return closed(socket(AF_PACKET, SOCK_RAW, 0)); }
static struct sockaddr_in at_port(int port)
{
	return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
	    .sin_addr = {htonl(INADDR_LOOPBACK)}};
}
ACT(connect_tcp)
{
	struct sockaddr_in a = at_port(s->port);
	return result(connect(s->tcp, (struct sockaddr *)&a, sizeof a));
}
ACT(bind_udp)
{
	struct sockaddr_in a = at_port(0);
	return result(bind(s->udp, (struct sockaddr *)&a, sizeof a));
}
ACT(listen_any) { return result(listen(s->tcp, 1)); }
ACT(accept_one) { return closed(accept4(s->listener, NULL, NULL, SOCK_CLOEXEC)); }
ACT(send_to_address)
{
	struct sockaddr_in a = at_port(s->port);
	return result(sendto(s->udp, "x", 1, 0, (struct sockaddr *)&a, sizeof a));
}
ACT(send_to_peer) { return result(send(s->pair[0], "x", 1, MSG_NOSIGNAL)); }
ACT(pair_of_sockets)
{
	int fds[2];
	return result(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds));
}

ACT(exec_any)
{
	char *arguments[] = {NULL}, *environment[] = {NULL};
	return result(execve("/bin/true", arguments, environment));
}
ACT(exec_fd)
{
	char *arguments[] = {NULL};
	return result(syscall(SYS_execveat, s->own, "file", arguments, arguments, 0));
}
ACT(ptrace_parent) { return result(ptrace(PTRACE_SEIZE, getppid(), NULL, NULL)); }
ACT(read_parent)
{
	char there = 0, here = 0;
	struct iovec a = {&here, 1}, b = {&there, 1};
	return result(process_vm_readv(getppid(), &a, 1, &b, 1, 0));
}
ACT(pidfd_of_parent) { return closed((int)syscall(SYS_pidfd_open, getppid(), 0)); }
ACT(kill_parent) { return result(kill(getppid(), 0)); }
ACT(kill_parent_by_thread) { return result(syscall(SYS_tgkill, getppid(), getppid(), 0)); }
/* The kernel reads the low half only. */
ACT(kill_parent_disguised) { return result(syscall(SYS_kill, (1L << 32) | getppid(), 0)); }
ACT(kill_everybody) { return result(kill(-1, 0)); }
ACT(limit_parent)
{
	struct rlimit l;
	return result(prlimit(getppid(), RLIMIT_NOFILE, NULL, &l));
}
ACT(fork_one)
{
	int status;
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	return pid < 0 ? errno : result(waitpid(pid, &status, 0));
}
ACT(fork_and_kill)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		sleep(1);
		_exit(0);
	}
	if (pid < 0 || kill(pid, SIGKILL) < 0)
		return errno;
	return result(waitpid(pid, &status, 0));
}
ACT(clone_name_space)
{
	long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		_exit(0);
	return result(pid);
}
ACT(unshare_any) { return result(unshare(CLONE_NEWUSER)); }
ACT(set_user) { return result(syscall(SYS_setuid, 0)); }
ACT(set_groups) { return result(syscall(SYS_setgroups, 0, NULL)); }
ACT(own_signals_of_others) { return result(fcntl(s->pair[0], F_SETOWN, getppid())); }
ACT(prctl_any) { return result(prctl(PR_SET_NAME, "x")); }
ACT(memory_executable)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? errno : 0;
}
ACT(memory_made_executable)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? errno : result(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}
ACT(push_terminal_input) { return result(ioctl(0, TIOCSTI, "x")); }
ACT(set_clock)
{
	struct timeval tv = {0, 0};
	return result(syscall(SYS_settimeofday, &tv, NULL));
}
ACT(bpf_any) { return closed((int)syscall(SYS_bpf, 0, NULL, 0)); }
ACT(perf_any) { return closed((int)syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0)); }
ACT(io_uring_any) { return closed((int)syscall(SYS_io_uring_setup, 1, NULL)); }
ACT(userfaultfd_any) { return closed((int)syscall(SYS_userfaultfd, 0)); }
ACT(keyring_any) { return result(syscall(SYS_keyctl, 0, -3, 0)); }
ACT(inotify_any) { return closed((int)syscall(SYS_inotify_init1, 0)); }
ACT(foreign_numbers) { return result(syscall(0x40000000L | SYS_getpid)); }

ACT(memfd_new) { return closed(memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING)); }
ACT(memfd_seal) { return result(fcntl(s->memfd, F_ADD_SEALS, F_SEAL_SHRINK)); }
ACT(truncate_fd) { return result(ftruncate(s->memfd, 10)); }
ACT(plain_life)
{
	struct stat st;
	struct timespec t;
	char b[16];
	void *volatile p = malloc(5000000);
	free(p);
	if (getrandom(b, sizeof b, 0) < 0 || clock_gettime(CLOCK_BOOTTIME, &t) < 0)
		return errno;
	return fstat(s->pair[0], &st) < 0 ? errno : closed(epoll_create1(EPOLL_CLOEXEC));
}

static const struct act acts[] = {
    {"plain life", act_plain_life, 0, 0, KILLED, true, true},
    {"send to the peer", act_send_to_peer, 0, 0, KILLED, true, true},

    {"open a system file", act_open_outside, 0, 0, DENIED, false, true},
    {"open the parent's /proc", act_open_proc_parent, 0, 0, DENIED, false, false},
    {"open in the own directory", act_open_own, VGM_SANDBOX_FILES, 0, DENIED, false, true},
    {"create in the own directory", act_create_own, VGM_SANDBOX_FILES, 0, DENIED, false, true},
    {"mkdir in the own directory", act_mkdir_own, VGM_SANDBOX_FILES, 0, KILLED, false, false},
    {"list the own directory", act_list_own, VGM_SANDBOX_FILES, 0, KILLED, false, false},
    {"rename in the own directory", act_rename_own, VGM_SANDBOX_FILES, 0, KILLED, false, false},
    {"unlink in the own directory", act_unlink_own, VGM_SANDBOX_FILES, 0, KILLED, false, false},
    {"sync the own directory", act_sync_own, VGM_SANDBOX_FILES, 0, KILLED, false, false},
    {"lock a file", act_lock_own, VGM_SANDBOX_FILES, 0, KILLED, false, false},
    {"open in the readable directory", act_open_readable, 0,
        VGM_SANDBOX_FILES | VGM_SANDBOX_READ_ONLY_FILES, DENIED, false, true},
    {"write in the readable directory", act_write_readable, 0, 0, DENIED, false, true},
    {"create in the readable directory", act_create_readable, 0, 0, DENIED, false, true},
    {"unlink in the readable directory", act_unlink_readable, 0, 0, DENIED, false, true},
    {"open another role's file", act_open_other, 0, 0, DENIED, false, true},
    {"open another role's file by ..", act_open_other_by_dots, 0, 0, DENIED, false, true},
    {"unlink another role's file", act_unlink_other, 0, 0, DENIED, false, true},
    /* Landlock does not hold back looking at names. */
    {"stat a system file", act_stat_outside, VGM_SANDBOX_FILES, 0, DENIED, false, false},
    {"access of a system file", act_access_outside, VGM_SANDBOX_FILES, 0, DENIED, false, false},
    {"readlink", act_readlink_outside, VGM_SANDBOX_FILES, 0, DENIED, false, false},
    {"chmod", act_chmod_any, 0, 0, KILLED, false, false},
    {"link", act_link_any, 0, 0, KILLED, false, false},
    {"symlink", act_symlink_any, 0, 0, KILLED, false, false},
    {"mknod", act_mknod_any, 0, 0, KILLED, false, false},
    {"chdir", act_chdir_any, 0, 0, KILLED, false, false},
    {"chroot", act_chroot_any, 0, 0, KILLED, false, false},
    {"mount", act_mount_any, 0, 0, KILLED, false, false},

    {"TCP socket", act_socket_tcp, VGM_SANDBOX_CONNECT | VGM_SANDBOX_UDP, 0, KILLED, false, true},
    {"TCP socket over IPv6", act_socket_tcp6, VGM_SANDBOX_CONNECT | VGM_SANDBOX_UDP, 0, KILLED,
        false, true},
    {"UDP socket", act_socket_udp, VGM_SANDBOX_UDP, 0, KILLED, false, false},
    {"raw socket", act_socket_raw, 0, 0, KILLED, false, false},
    {"unix socket", act_socket_unix, 0, 0, KILLED, false, false},
    {"netlink socket", act_socket_netlink, 0, 0, KILLED, false, false},
    {"packet socket", act_socket_packet, 0, 0, KILLED, false, false},
    {"connect", act_connect_tcp, VGM_SANDBOX_CONNECT | VGM_SANDBOX_UDP, 0, KILLED, false, true},
    {"bind", act_bind_udp, VGM_SANDBOX_UDP, 0, KILLED, false, true},
    {"listen", act_listen_any, 0, 0, KILLED, false, false},
    {"accept", act_accept_one, VGM_SANDBOX_ACCEPT, 0, KILLED, false, true},
    {"send to an address", act_send_to_address, VGM_SANDBOX_UDP, 0, KILLED, false, false},
    {"pair of sockets", act_pair_of_sockets, VGM_SANDBOX_SOCKETPAIR | VGM_SANDBOX_UDP, 0, KILLED,
        false, false},

    {"exec", act_exec_any, 0, 0, KILLED, false, true},
    {"exec of a descriptor", act_exec_fd, 0, 0, KILLED, false, true},
    {"ptrace the parent", act_ptrace_parent, 0, 0, KILLED, false, false},
    {"read the parent's memory", act_read_parent, 0, 0, KILLED, false, false},
    {"get a handle on the parent", act_pidfd_of_parent, 0, 0, KILLED, false, false},
    {"kill the parent", act_kill_parent, 0, 0, KILLED, false, false},
    {"kill the parent's thread", act_kill_parent_by_thread, 0, 0, KILLED, false, false},
    {"kill the parent by a long number", act_kill_parent_disguised, 0, 0, KILLED, false, false},
    {"kill everybody", act_kill_everybody, 0, 0, KILLED, false, false},
    {"ask for the parent's limits", act_limit_parent, 0, 0, KILLED, false, false},
    {"fork", act_fork_one, VGM_SANDBOX_FORK | VGM_SANDBOX_UDP, 0, KILLED, false, false},
    {"fork and kill the child", act_fork_and_kill, VGM_SANDBOX_FORK, 0, KILLED, false, false},
    {"clone with a name space", act_clone_name_space, 0, 0, KILLED, false, false},
    {"unshare", act_unshare_any, 0, 0, KILLED, false, false},
    {"setuid", act_set_user, 0, 0, KILLED, false, false},
    {"setgroups", act_set_groups, 0, 0, KILLED, false, false},
    {"signals by a descriptor", act_own_signals_of_others, 0, 0, KILLED, false, false},
    {"prctl", act_prctl_any, VGM_SANDBOX_FORK, 0, KILLED, false, false},
    {"executable memory", act_memory_executable, 0, 0, KILLED, false, false},
    {"memory made executable", act_memory_made_executable, 0, 0, KILLED, false, false},
    {"terminal input", act_push_terminal_input, 0, 0, KILLED, false, false},
    {"set the clock", act_set_clock, 0, 0, KILLED, false, false},
    {"bpf", act_bpf_any, 0, 0, KILLED, false, false},
    {"perf_event_open", act_perf_any, 0, 0, KILLED, false, false},
    {"io_uring", act_io_uring_any, 0, 0, KILLED, false, false},
    {"userfaultfd", act_userfaultfd_any, 0, 0, KILLED, false, false},
    {"keyring", act_keyring_any, 0, 0, KILLED, false, false},
    {"inotify", act_inotify_any, 0, 0, KILLED, false, false},
    {"a call by a foreign number", act_foreign_numbers, 0, 0, KILLED, false, false},

    {"memfd", act_memfd_new, VGM_SANDBOX_MEMFD, 0, KILLED, false, false},
    {"seal a memfd", act_memfd_seal, VGM_SANDBOX_MEMFD, 0, KILLED, false, false},
    {"ftruncate", act_truncate_fd, VGM_SANDBOX_MEMFD | VGM_SANDBOX_FILES, 0, KILLED, false, false},
};

/* Acts whose fate hangs on Landlock cannot be judged without it. */
static bool can_be_judged(const struct act *act, unsigned flags)
{
#ifdef VGM_SANITIZED
	if (!act->sanitized)
		return false;
	bool files = true;
#else
	bool files = flags & VGM_SANDBOX_FILES;
#endif
	(void)flags;
	return !(files && act->otherwise == DENIED && vgm_sandbox_landlock_abi() == 0);
}

static int make_file(int dir, const char *name)
{
	int fd = openat(dir, name, O_CREAT | O_RDWR, 0700);
	return fd < 0 || write(fd, "x", 1) != 1 ? -1 : close(fd);
}

static int make_directory(const struct stage *s, const char *name)
{
	char path[96];
	snprintf(path, sizeof path, "%s/%s", s->path, name);
	if (mkdir(path, 0700) < 0)
		return -1;
	int fd = open(path, O_RDONLY | O_DIRECTORY);
	return fd < 0 || make_file(fd, "file") < 0 ? -1 : fd;
}

static int set_stage(struct stage *s)
{
	struct sockaddr_in a = at_port(0);
	socklen_t len = sizeof a;
	snprintf(s->path, sizeof s->path, "/tmp/vgm-test-stage-XXXXXX");
	if (!mkdtemp(s->path))
		return -1;
	s->own = make_directory(s, "own");
	s->readable = make_directory(s, "readable");
	s->other = make_directory(s, "other");
	s->listener = socket(AF_INET, SOCK_STREAM, 0);
	s->client = socket(AF_INET, SOCK_STREAM, 0);
	s->tcp = socket(AF_INET, SOCK_STREAM, 0);
	s->udp = socket(AF_INET, SOCK_DGRAM, 0);
	s->memfd = memfd_create("stage", MFD_ALLOW_SEALING);
	if (s->own < 0 || s->readable < 0 || s->other < 0 || s->udp < 0 || s->memfd < 0 ||
	    bind(s->listener, (struct sockaddr *)&a, sizeof a) < 0 || listen(s->listener, 64) < 0 ||
	    getsockname(s->listener, (struct sockaddr *)&a, &len) < 0)
		return -1;
	s->port = ntohs(a.sin_port);
	return socketpair(AF_UNIX, SOCK_STREAM, 0, s->pair);
}

static void clear_stage(struct stage *s)
{
	static const char *const names[] = {"own/file", "own/new", "own/fifo", "own/dir", "own",
	    "readable/file", "readable/new", "readable", "other/file", "other", "."};
	char path[96];
	for (size_t i = 0; i < VGM_ARRAY_LEN(names); i++) {
		snprintf(path, sizeof path, "%s/%s", s->path, names[i]);
		if (unlink(path) < 0)
			(void)rmdir(path);
	}
	(void)rmdir(s->path);
	int fds[] = {s->own, s->readable, s->other, s->listener, s->client, s->tcp, s->udp, s->memfd,
	    s->pair[0], s->pair[1]};
	for (size_t i = 0; i < VGM_ARRAY_LEN(fds); i++)
		close(fds[i]);
}

/* The act, in a new process, under the rules (and as a worker). */
static enum fate fate_of(const struct stage *stage, const struct act *act,
    const struct vgm_sandbox_rules *rules, bool worker)
{
	int status;
	struct stage s = *stage;
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		struct sockaddr_in a = at_port(s.port);
		struct vgm_err err;
		signal(SIGSYS, SIG_DFL);
		alarm(20);
		if (act->attempt == act_accept_one) {
			int c = socket(AF_INET, SOCK_STREAM, 0);
			if (connect(c, (struct sockaddr *)&a, sizeof a) < 0)
				_exit(99);
		}
		if (vgm_sandbox_enter(rules, s.own, s.readable, true, &err) < 0 ||
		    (worker && vgm_sandbox_enter_worker(0, &err) < 0)) {
			fprintf(stderr, "%s\n", err.text);
			_exit(99);
		}
		int e = act->attempt(&s);
		_exit(e == 0 ? 0 : e == EACCES || e == EPERM ? 1 : 2);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return NEVER_BEGAN;
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS ? KILLED : FAILS;
	return WEXITSTATUS(status) == 0 ? GOES : WEXITSTATUS(status) == 1 ? DENIED
	    : WEXITSTATUS(status) == 2 ? FAILS : NEVER_BEGAN;
}

static const char *const fate_names[] = {
    "goes", "is denied", "kills", "fails", "never began"};

#endif
