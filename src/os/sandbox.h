/* SPDX-License-Identifier: EUPL-1.2
 * os/sandbox.h — what a process gives up before it sees hostile bytes: limits,
 * capabilities, new privileges, files (Landlock) and system calls (seccomp).
 *
 * Works without root. Exec, ptrace, socket and connect kill the process unless
 * the rules say otherwise; open and stat answer EACCES (rule 14). */
#ifndef VGM_OS_SANDBOX_H
#define VGM_OS_SANDBOX_H

#include "base/err.h"

enum vgm_sandbox_flags {
	VGM_SANDBOX_ACCEPT = 1,      /* accept4 on inherited sockets (smtpd, viewd's control) */
	VGM_SANDBOX_CONNECT = 2,     /* socket + connect for TCP (relayd) */
	VGM_SANDBOX_FILES = 4,       /* openat, renameat, unlinkat ... relative to the one extra
	                              * directory, also confined there by Landlock */
	VGM_SANDBOX_FORK = 8,        /* clone, wait4, kill: a filter template */
	VGM_SANDBOX_MEMFD = 16,      /* memfd_create, fcntl seals */
	VGM_SANDBOX_UDP = 32,        /* socket + sendto for DNS (resolverd, its helper) */
	VGM_SANDBOX_READ_ONLY_FILES = 64, /* with FILES: a second directory (viewd: ledger) */
	VGM_SANDBOX_SOCKETPAIR = 128,
};

struct vgm_sandbox_rules {
	unsigned flags;
	size_t memory_bytes;   /* RLIMIT_AS; 0 = none. Not applied under sanitizers */
	unsigned files;        /* RLIMIT_NOFILE; 0 = leave */
};

/* What this kernel offers; text for logs goes to *out (static string). */
bool vgm_sandbox_has_seccomp(void);
int vgm_sandbox_landlock_abi(void); /* 0 = none */
/* "full", or "sanitized": the wider profile of sanitizer builds, which need
 * files, ptrace and clone for their reports. There only exec (EACCES), socket,
 * connect and accept are refused, and Landlock lets /proc be read; isolation is
 * shown on release builds (rule 14). For logs. */
const char *vgm_sandbox_profile(void);

/* Closes the sandbox for the rest of the process's life. dir_fd: the directory
 * of VGM_SANDBOX_FILES, read_fd: that of READ_ONLY_FILES; else -1. Without
 * Landlock in the kernel, files are kept from a role only by refusing open.
 * VGM_E_DENIED when seccomp is missing and required is true; VGM_E_IO. */
int vgm_sandbox_enter(const struct vgm_sandbox_rules *, int dir_fd, int read_fd, bool required,
    struct vgm_err *) VGM_MUST_USE;

/* A second, narrower filter for forked workers: drops FORK and SOCKETPAIR; and a
 * limit of address space (0 = none; not applied under sanitizers). */
int vgm_sandbox_enter_worker(size_t memory_bytes, struct vgm_err *) VGM_MUST_USE;

/* Ids: when root and user is not empty, becomes that user for good; drops all
 * capabilities either way. VGM_E_NOTFOUND, VGM_E_IO. */
int vgm_sandbox_drop_user(const char *user, struct vgm_err *) VGM_MUST_USE;

#endif
