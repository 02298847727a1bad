/* SPDX-License-Identifier: EUPL-1.2
 * os/platform.h — what the machine under us does with our memory: keys and mail
 * that are swapped out stay on the disk. */
#ifndef VGM_OS_PLATFORM_H
#define VGM_OS_PLATFORM_H

#include "base/buf.h"
#include "base/err.h"

/* Names of the swap areas in text (the form of /proc/swaps) that is_safe does not
 * vouch for, "a, b", to out. Returns 0, VGM_E_LIMIT. */
int vgm_platform_swaps(
    struct vgm_slice text, bool (*is_safe)(const char *name), struct vgm_buf *out) VGM_MUST_USE;

/* The same for this machine. Safe is what is in memory (zram) and what is a
 * dm-crypt device or stands on nothing else; a swap file is not, whatever its file
 * system stands on: that cannot be seen from here. VGM_E_IO. */
int vgm_platform_swap_in_clear(struct vgm_buf *out, struct vgm_err *) VGM_MUST_USE;

#endif
