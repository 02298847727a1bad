/* SPDX-License-Identifier: EUPL-1.2
 * The sandbox: a table of flags by acts (acts.h), limits, capabilities, ids. On
 * sanitizer builds only what their wider profile refuses is looked at. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "acts.h"

#include "os/memfd.h"

#include <poll.h>

/* No flag, each alone, each two, and what the roles have. */
static size_t flag_sets(unsigned *out)
{
	static const unsigned roles[] = {
	    VGM_SANDBOX_ACCEPT | VGM_SANDBOX_MEMFD,
	    VGM_SANDBOX_FORK | VGM_SANDBOX_MEMFD | VGM_SANDBOX_SOCKETPAIR,
	    VGM_SANDBOX_FILES | VGM_SANDBOX_READ_ONLY_FILES | VGM_SANDBOX_ACCEPT,
	    VGM_SANDBOX_CONNECT | VGM_SANDBOX_MEMFD,
	    255,
	};
	size_t n = 0;
	out[n++] = 0;
	for (unsigned a = 1; a < 256; a <<= 1)
		for (unsigned b = a; b < 256; b <<= 1)
			out[n++] = a | b;
	for (size_t i = 0; i < VGM_ARRAY_LEN(roles); i++)
		out[n++] = roles[i];
	return n;
}

/* What must become of an act under these flags, on this build. */
static enum fate expected_fate(const struct act *act, unsigned flags)
{
	bool all = act->all_of && (act->all_of & flags) == act->all_of;
	if (act->everywhere || all || (act->any_of & flags))
		return GOES;
#ifdef VGM_SANITIZED
	bool execs = act->attempt == act_exec_any || act->attempt == act_exec_fd;
	return execs ? DENIED : act->otherwise;
#else
	/* Landlock denies it to roles that may unlink at all. */
	bool unlinks = act->attempt == act_unlink_readable || act->attempt == act_unlink_other;
	return unlinks && !(flags & VGM_SANDBOX_FILES) ? KILLED : act->otherwise;
#endif
}

static void test_flags_by_acts(void **state)
{
	(void)state;
	unsigned sets[64];
	size_t count = flag_sets(sets), tried = 0, skipped = 0, wrong = 0;
	for (size_t i = 0; i < count; i++) {
		struct stage stage;
		assert_int_equal(set_stage(&stage), 0);
		for (size_t k = 0; k < VGM_ARRAY_LEN(acts); k++) {
			struct vgm_sandbox_rules rules = {.flags = sets[i], .files = 256};
			if (!can_be_judged(&acts[k], sets[i])) {
				skipped++;
				continue;
			}
			enum fate want = expected_fate(&acts[k], sets[i]);
			enum fate got = fate_of(&stage, &acts[k], &rules, false);
			tried++;
			if (got != want)
				print_message("flags %u: %s: %s, expected: %s\n", sets[i], acts[k].name,
				    fate_names[got], fate_names[want]);
			wrong += got != want;
		}
		clear_stage(&stage);
	}
	print_message("sandbox profile %s, Landlock ABI %d: %zu tried, %zu skipped\n",
	    vgm_sandbox_profile(), vgm_sandbox_landlock_abi(), tried, skipped);
	assert_int_equal(wrong, 0);
}

/* What a filter does all day: maps, makes a memfd, waits, says. */
ACT(work)
{
	struct pollfd p = {.fd = s->own, .events = POLLIN};
	int fd;
	void *m = mmap(NULL, 1u << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED || munmap(m, 1u << 20) < 0 || poll(&p, 1, 0) < 0)
		return errno;
	if (vgm_memfd_of("work", VGM_SLICE_LIT("x"), &fd, NULL) < 0)
		return errno;
	char c;
	return pread(fd, &c, 1, 0) == 1 && close(fd) == 0 ? 0 : errno;
}

static void test_workers_have_less(void **state)
{
	(void)state;
#ifdef VGM_SANITIZED
	skip();
#endif
	static const struct vgm_sandbox_rules rules = {
	    .flags = VGM_SANDBOX_FORK | VGM_SANDBOX_SOCKETPAIR | VGM_SANDBOX_MEMFD};
	static const struct {
		int (*attempt)(const struct stage *);
		enum fate want;
	} cases[] = {
	    {act_work, GOES}, {act_plain_life, KILLED}, {act_send_to_peer, KILLED},
	    {act_truncate_fd, KILLED}, {act_memfd_new, GOES}, {act_memfd_seal, GOES},
	    {act_open_outside, DENIED}, {act_fork_one, KILLED}, {act_pair_of_sockets, KILLED},
	    {act_prctl_any, KILLED}, {act_kill_parent, KILLED}, {act_kill_everybody, KILLED},
	    {act_exec_any, KILLED}, {act_socket_tcp, KILLED},
	};
	struct stage stage;
	assert_int_equal(set_stage(&stage), 0);
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct act act = {.attempt = cases[i].attempt};
		assert_int_equal(fate_of(&stage, &act, &rules, true), cases[i].want);
	}
	clear_stage(&stage);
}

/* In a process of its own, inside the sandbox; 0 = as it should be. */
static int status_inside(const struct vgm_sandbox_rules *rules, bool worker, int (*check)(void))
{
	int status = -1;
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		signal(SIGABRT, SIG_DFL);
		if (vgm_sandbox_enter(rules, -1, -1, true, NULL) < 0)
			_exit(99);
		if (worker && vgm_sandbox_enter_worker(0, NULL) < 0)
			_exit(98);
		_exit(check());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int check_limits(void)
{
	struct rlimit core, files, processes;
	if (getrlimit(RLIMIT_CORE, &core) < 0 || core.rlim_max != 0)
		return 1;
	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_max != 40)
		return 2;
	if (getrlimit(RLIMIT_NPROC, &processes) < 0 || processes.rlim_max != 0)
		return 3;
	files.rlim_cur = files.rlim_max = 41;
	if (setrlimit(RLIMIT_NOFILE, &files) == 0)
		return 4;
#ifndef VGM_SANITIZED
	if (mmap(NULL, 300u << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
		return 5;
#endif
	return 0;
}

static void test_limits(void **state)
{
	(void)state;
	const struct vgm_sandbox_rules rules = {.memory_bytes = 256u << 20, .files = 40};
	assert_int_equal(status_inside(&rules, false, check_limits), 0);
}

/* The number behind a name in /proc/PID/status, read as hexadecimal. */
static unsigned long status_line(pid_t pid, const char *name)
{
	char path[40], line[256];
	unsigned long value = 0xBAD;
	snprintf(path, sizeof path, "/proc/%d/status", pid);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof line, f))
		if (strncmp(line, name, strlen(name)) == 0)
			value = strtoul(line + strlen(name), NULL, 16);
	fclose(f);
	return value;
}

static void test_what_was_given_up(void **state)
{
	(void)state;
	static const char *const none[] = {"CapInh:", "CapPrm:", "CapEff:", "CapAmb:"};
	const struct vgm_sandbox_rules rules = {0};
	int ready[2], status;
	char c;
	assert_int_equal(pipe(ready), 0);
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (vgm_sandbox_enter(&rules, -1, -1, true, NULL) == 0 && write(ready[1], "", 1) == 1)
			for (;;)
				poll(NULL, 0, -1);
		_exit(1);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	for (size_t i = 0; i < VGM_ARRAY_LEN(none); i++)
		assert_int_equal(status_line(pid, none[i]), 0);
	if (geteuid() == 0)
		assert_int_equal(status_line(pid, "CapBnd:"), 0);
	assert_int_equal(status_line(pid, "NoNewPrivs:"), 1);
	assert_int_equal(status_line(pid, "Seccomp:"), 2);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(ready[0]);
	close(ready[1]);
}

static int check_dumpable(void)
{
	return prctl(PR_GET_DUMPABLE);
}

static void test_not_dumpable(void **state)
{
	(void)state;
	const struct vgm_sandbox_rules rules = {.flags = VGM_SANDBOX_FORK}; /* may call prctl */
	assert_int_equal(status_inside(&rules, false, check_dumpable), 0);
}

static int call_abort(void)
{
	abort();
}

/* A bug must be told from a forbidden call. */
static void test_abort_is_no_forbidden_call(void **state)
{
	(void)state;
	static const unsigned flags[] = {0, VGM_SANDBOX_FORK, VGM_SANDBOX_UDP, VGM_SANDBOX_FILES};
	for (size_t i = 0; i < VGM_ARRAY_LEN(flags); i++) {
		const struct vgm_sandbox_rules rules = {.flags = flags[i]};
		int status = status_inside(&rules, flags[i] == VGM_SANDBOX_FORK, call_abort);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGABRT);
	}
}

static int check_nobody(void)
{
	uid_t r, e, s;
	gid_t groups[8];
	int death_signal = 0;
	prctl(PR_GET_PDEATHSIG, &death_signal);
	if (getresuid(&r, &e, &s) < 0 || r == 0 || e != r || s != r || getegid() == 0)
		return 1;
	if (getgroups(8, groups) > 1 || setuid(0) == 0 || setgid(0) == 0)
		return 2;
	return death_signal == SIGTERM ? 0 : 3;
}

static void test_drop_user(void **state)
{
	(void)state;
	int status;
	struct vgm_err err;
	if (geteuid() != 0)
		skip();
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (vgm_sandbox_drop_user("no-such-user-here", &err) != VGM_E_NOTFOUND)
			_exit(50);
		if (vgm_sandbox_drop_user("nobody", &err) < 0)
			_exit(51);
		_exit(check_nobody());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_what_the_kernel_offers(void **state)
{
	(void)state;
	assert_true(vgm_sandbox_has_seccomp());
	assert_true(vgm_sandbox_landlock_abi() >= 0);
#ifdef VGM_SANITIZED
	assert_string_equal(vgm_sandbox_profile(), "sanitized");
#else
	assert_string_equal(vgm_sandbox_profile(), "full");
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_flags_by_acts),
	    cmocka_unit_test(test_workers_have_less),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_what_was_given_up),
	    cmocka_unit_test(test_not_dumpable),
	    cmocka_unit_test(test_abort_is_no_forbidden_call),
	    cmocka_unit_test(test_drop_user),
	    cmocka_unit_test(test_what_the_kernel_offers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
