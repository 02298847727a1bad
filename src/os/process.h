/* SPDX-License-Identifier: EUPL-1.2
 * os/process.h — starting a role: fork and exec of this same program, so that
 * nothing of the parent's memory comes along and addresses are laid out anew. */
#ifndef VGM_OS_PROCESS_H
#define VGM_OS_PROCESS_H

#include "base/buf.h"
#include "base/err.h"

#include <sys/types.h>

/* Starts `vgm --role NAME`. The child has descriptor 3 = channel_fd, 0 =
 * /dev/null, 1 and 2 = ours, and no other; default signals, none blocked, a
 * process group of its own (Ctrl-C does not reach it); it is killed
 * when the calling process dies. The file that runs now is executed even if an
 * upgrade has replaced it meanwhile. channel_fd stays the caller's. The caller
 * reaps *out_pid. A failed exec shows as exit status 127. VGM_E_IO. */
int vgm_process_start_role(const char *name, int channel_fd, pid_t *out_pid, struct vgm_err *)
    VGM_MUST_USE;

/* A wait status in words, for logs: "exit status 1", "signal 31 (SYS)". */
int vgm_process_describe(int status, struct vgm_buf *out) VGM_MUST_USE;

#endif
