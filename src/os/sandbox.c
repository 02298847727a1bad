/* SPDX-License-Identifier: EUPL-1.2
 * os/sandbox.c — see sandbox.h. Order: no new privileges, limits, no core and
 * no tracing by others, capabilities, files (landlock.c), and system calls last
 * (seccomp.c), since the steps before need calls that it refuses. */
#include "os/sandbox.h"

#include "os/confine.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

bool vgm_sandbox_has_seccomp(void)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;
	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

const char *vgm_sandbox_profile(void)
{
#ifdef VGM_SANITIZED
	return "sanitized";
#else
	return "full";
#endif
}

static int limit(int resource, uint64_t value, struct vgm_err *err)
{
	struct rlimit now;
	if (getrlimit((__rlimit_resource_t)resource, &now) < 0)
		return vgm_err_sys(err, "asking for limit %d", resource);
	rlim_t wanted = now.rlim_max < value ? now.rlim_max : (rlim_t)value;
	struct rlimit then = {wanted, wanted};
	if (setrlimit((__rlimit_resource_t)resource, &then) < 0)
		return vgm_err_sys(err, "setting limit %d", resource);
	return 0;
}

static int set_limits(const struct vgm_sandbox_rules *rules, struct vgm_err *err)
{
	int r = limit(RLIMIT_CORE, 0, err);
	if (r == 0 && rules->files)
		r = limit(RLIMIT_NOFILE, rules->files, err);
	/* Root is not bound by it; there the system call filter forbids clone alone. */
	if (r == 0 && !(rules->flags & (VGM_SANDBOX_FORK | VGM_SANDBOX_UDP)))
		r = limit(RLIMIT_NPROC, 0, err);
#ifndef VGM_SANITIZED /* the shadow memory of AddressSanitizer is 16 TB of addresses */
	if (r == 0 && rules->memory_bytes)
		r = limit(RLIMIT_AS, rules->memory_bytes, err);
#endif
	return r;
}

static int drop_capabilities(struct vgm_err *err)
{
	/* The bounding set can be emptied by one who has CAP_SETPCAP: root. */
	for (unsigned long cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (prctl(PR_CAPBSET_READ, cap) == 1 && prctl(PR_CAPBSET_DROP, cap) < 0 &&
		    errno != EPERM)
			return vgm_err_sys(err, "dropping capability %lu", cap);
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return vgm_err_sys(err, "clearing ambient capabilities");
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
	if (syscall(SYS_capset, &header, none) < 0)
		return vgm_err_sys(err, "dropping capabilities");
	return 0;
}

int vgm_sandbox_enter(const struct vgm_sandbox_rules *rules, int dir_fd, int read_fd,
    bool required, struct vgm_err *err)
{
	bool seccomp = vgm_sandbox_has_seccomp();
	if (!seccomp && required)
		return vgm_err_set(err, VGM_E_DENIED, "this kernel cannot filter system calls");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return vgm_err_sys(err, "renouncing new privileges");
	int r = set_limits(rules, err);
	if (r == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		r = vgm_err_sys(err, "becoming untraceable");
	if (r == 0)
		r = drop_capabilities(err);
	if (r == 0)
		r = vgm_landlock_enter(rules->flags, dir_fd, read_fd, err);
	if (r == 0 && seccomp)
		r = vgm_seccomp_enter(rules->flags, err);
	return r;
}

int vgm_sandbox_enter_worker(size_t memory_bytes, struct vgm_err *err)
{
#ifndef VGM_SANITIZED
	int r = memory_bytes ? limit(RLIMIT_AS, memory_bytes, err) : 0;
	if (r < 0)
		return r;
#else
	(void)memory_bytes;
#endif
	return vgm_sandbox_has_seccomp() ? vgm_seccomp_enter_worker(err) : 0;
}

static int become(const struct passwd *who, struct vgm_err *err)
{
	int death_signal = 0;
	/* A change of ids makes the kernel forget the signal at the parent's death. */
	(void)prctl(PR_GET_PDEATHSIG, &death_signal);
	if (initgroups(who->pw_name, who->pw_gid) < 0 ||
	    setresgid(who->pw_gid, who->pw_gid, who->pw_gid) < 0 ||
	    setresuid(who->pw_uid, who->pw_uid, who->pw_uid) < 0)
		return vgm_err_sys(err, "becoming user %s", who->pw_name);
	if (who->pw_uid != 0 && setuid(0) == 0)
		return vgm_err_set(err, VGM_E_DENIED, "root could be had back");
	if (death_signal && prctl(PR_SET_PDEATHSIG, death_signal) < 0)
		return vgm_err_sys(err, "setting the signal at the parent's death");
	return 0;
}

int vgm_sandbox_drop_user(const char *user, struct vgm_err *err)
{
	int r = 0;
	if (geteuid() == 0 && *user) {
		errno = 0;
		const struct passwd *who = getpwnam(user);
		if (!who && errno)
			return vgm_err_sys(err, "looking up user %s", user);
		if (!who)
			return vgm_err_set(err, VGM_E_NOTFOUND, "there is no user %s", user);
		r = become(who, err);
	}
	return r < 0 ? r : drop_capabilities(err);
}
