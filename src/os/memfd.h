/* SPDX-License-Identifier: EUPL-1.2
 * os/memfd.h — bytes in memory that travel between processes: written with
 * write() (a writable mapping would make sealing fail), then sealed. */
#ifndef VGM_OS_MEMFD_H
#define VGM_OS_MEMFD_H

#include "base/err.h"
#include "base/slice.h"

/* VGM_E_IO. */
int vgm_memfd_new(const char *name, int *out_fd, struct vgm_err *) VGM_MUST_USE;
/* Writes all. VGM_E_IO, VGM_E_NOSPACE. */
int vgm_memfd_write(int fd, const void *data, size_t len, struct vgm_err *) VGM_MUST_USE;
/* No more writing, growing, shrinking by anybody. */
int vgm_memfd_seal(int fd, struct vgm_err *) VGM_MUST_USE;
/* New, written, sealed. */
int vgm_memfd_of(const char *name, struct vgm_slice, int *out_fd, struct vgm_err *) VGM_MUST_USE;

/* A received memfd, read only: refuses one that is not fully sealed or not
 * exactly of size bytes (VGM_E_INVALID). Size 0 maps to an empty slice. */
struct vgm_mapping {
	struct vgm_slice bytes;
};
int vgm_mapping_open(int fd, uint64_t size, struct vgm_mapping *out, struct vgm_err *) VGM_MUST_USE;
void vgm_mapping_release(struct vgm_mapping *);

#endif
