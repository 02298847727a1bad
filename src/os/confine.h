/* SPDX-License-Identifier: EUPL-1.2
 * os/confine.h — the two halves of the sandbox, for os/sandbox.c only: files
 * (landlock.c) and system calls (seccomp.c). Both need no_new_privs set. */
#ifndef VGM_OS_CONFINE_H
#define VGM_OS_CONFINE_H

#include "os/sandbox.h"

/* Confines path look-ups to dir_fd (read and write) and read_fd (read), -1 =
 * none; TCP and signals too where the kernel knows how. Without Landlock it
 * does nothing and returns 0. VGM_E_IO. */
int vgm_landlock_enter(unsigned flags, int dir_fd, int read_fd, struct vgm_err *) VGM_MUST_USE;

/* Loads the system call filter of the flags. VGM_E_IO. */
int vgm_seccomp_enter(unsigned flags, struct vgm_err *) VGM_MUST_USE;
/* On top of it: what a forked worker has no use for. VGM_E_IO. */
int vgm_seccomp_enter_worker(struct vgm_err *) VGM_MUST_USE;

#endif
