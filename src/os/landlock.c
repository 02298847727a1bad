/* SPDX-License-Identifier: EUPL-1.2
 * os/landlock.c — the file half of the sandbox, by raw system calls: glibc has
 * no wrappers, and Debian 12's headers describe ABI 2 only, so later fields and
 * rights are spelled out here. A right that the kernel does not know must not
 * be asked for, hence the table by ABI. */
#include "os/confine.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FS_TRUNCATE (1ULL << 14)     /* ABI 3 */
#define FS_IOCTL_DEV (1ULL << 15)    /* ABI 5 */
#define NET_BIND_TCP (1ULL << 0)     /* ABI 4 */
#define NET_CONNECT_TCP (1ULL << 1)  /* ABI 4 */
#define SCOPE_ABSTRACT_UNIX (1ULL << 0) /* ABI 6 */
#define SCOPE_SIGNAL (1ULL << 1)     /* ABI 6 */

#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_WRITE                                                                                   \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                           \
	    LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |                         \
	    LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REFER | FS_TRUNCATE)

struct ruleset {
	uint64_t fs, net, scoped;
};

/* Everything that the kernel can hold back. */
static const struct {
	int abi;
	struct ruleset handled;
	size_t bytes; /* of struct ruleset that this kernel reads */
} by_abi[] = {
    {1, {.fs = (1ULL << 13) - 1}, 8},
    {2, {.fs = LANDLOCK_ACCESS_FS_REFER}, 8},
    {3, {.fs = FS_TRUNCATE}, 8},
    {4, {.net = NET_BIND_TCP | NET_CONNECT_TCP}, 16},
    {5, {.fs = FS_IOCTL_DEV}, 16},
    {6, {.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL}, 24},
};

int vgm_sandbox_landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	return abi < 0 ? 0 : (int)abi;
}

static int allow_beneath(
    int ruleset_fd, int dir_fd, uint64_t access, uint64_t handled, struct vgm_err *err)
{
	struct landlock_path_beneath_attr rule = {
	    .allowed_access = access & handled, .parent_fd = dir_fd};
	long r = syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	return r < 0 ? vgm_err_sys(err, "a Landlock rule") : 0;
}

/* Sanitizers read their own memory map before they report. */
static int allow_proc(int ruleset_fd, uint64_t handled, struct vgm_err *err)
{
#ifdef VGM_SANITIZED
	int proc_fd = open("/proc", O_PATH | O_CLOEXEC);
	if (proc_fd < 0)
		return 0;
	int r = allow_beneath(ruleset_fd, proc_fd, FS_READ, handled, err);
	close(proc_fd);
	return r;
#else
	(void)ruleset_fd;
	(void)handled;
	(void)err;
	return 0;
#endif
}

static struct ruleset handled_by(int abi, unsigned flags, size_t *out_bytes)
{
	struct ruleset all = {0, 0, 0};
	for (size_t i = 0; i < VGM_ARRAY_LEN(by_abi) && by_abi[i].abi <= abi; i++) {
		all.fs |= by_abi[i].handled.fs;
		all.net |= by_abi[i].handled.net;
		all.scoped |= by_abi[i].handled.scoped;
		*out_bytes = by_abi[i].bytes;
	}
	if (flags & VGM_SANDBOX_CONNECT)
		all.net &= ~NET_CONNECT_TCP;
	if (flags & VGM_SANDBOX_UDP)
		all.net = 0;
	return all;
}

static int restrict_self(int ruleset_fd, unsigned flags, int dir_fd, int read_fd, uint64_t handled,
    struct vgm_err *err)
{
	int r = 0;
	bool files = flags & VGM_SANDBOX_FILES;
	if (files && dir_fd >= 0)
		r = allow_beneath(ruleset_fd, dir_fd, FS_READ | FS_WRITE, handled, err);
	if (r == 0 && files && (flags & VGM_SANDBOX_READ_ONLY_FILES) && read_fd >= 0)
		r = allow_beneath(ruleset_fd, read_fd, FS_READ, handled, err);
	if (r == 0)
		r = allow_proc(ruleset_fd, handled, err);
	if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset_fd, 0) < 0)
		r = vgm_err_sys(err, "entering Landlock");
	return r;
}

int vgm_landlock_enter(unsigned flags, int dir_fd, int read_fd, struct vgm_err *err)
{
	size_t bytes = 0;
	int abi = vgm_sandbox_landlock_abi();
	if (abi == 0)
		return 0;
	struct ruleset handled = handled_by(abi, flags, &bytes);
	int fd = (int)syscall(SYS_landlock_create_ruleset, &handled, bytes, 0);
	if (fd < 0)
		return vgm_err_sys(err, "a Landlock ruleset");
	int r = restrict_self(fd, flags, dir_fd, read_fd, handled.fs, err);
	close(fd);
	return r;
}
