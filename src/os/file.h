/* SPDX-License-Identifier: EUPL-1.2
 * os/file.h — files that survive a power cut, relative to an open directory.
 *
 * The only place besides the ledger's group commit where a rename or a sync
 * decides that something is kept. A sync error is never retried: the kernel may
 * have dropped the pages and say yes the second time. Names hold no slash. */
#ifndef VGM_OS_FILE_H
#define VGM_OS_FILE_H

#include "base/buf.h"
#include "base/err.h"

/* Replaces (or makes) the file, all or nothing: temporary name, write, fsync,
 * close, rename, fsync of the directory. After 0 the content survives a power
 * cut; after a failure the old content stands, or the whole new one when only
 * the directory's sync failed. One writer per name: the temporary name is fixed
 * (".NAME.new"), so that a crash leaves at most one behind.
 * VGM_E_NOSPACE, VGM_E_IO. Blocks on the disk. */
int vgm_file_replace_at(int dir_fd, const char *name, struct vgm_slice content, unsigned mode,
    struct vgm_err *) VGM_MUST_USE;

/* One file takes the name, and the place, of another. Not durable: for what can
 * be made again (views). dir_fd may be AT_FDCWD. VGM_E_NOTFOUND, VGM_E_IO. */
int vgm_file_take_name_at(int dir_fd, const char *from, const char *to, struct vgm_err *)
    VGM_MUST_USE;

/* Adds content to the end of the file, which is made if it is missing, and syncs
 * it. A failure leaves what stood there before, unless the power goes too.
 * VGM_E_NOSPACE, VGM_E_IO. */
int vgm_file_append_at(int dir_fd, const char *name, struct vgm_slice content, struct vgm_err *)
    VGM_MUST_USE;

/* Appends the whole regular file to out. VGM_E_NOTFOUND; VGM_E_LIMIT when it is
 * larger than out's ceiling allows; VGM_E_INVALID when it is no regular file;
 * VGM_E_IO. */
int vgm_file_read_at(int dir_fd, const char *name, struct vgm_buf *out, struct vgm_err *)
    VGM_MUST_USE;

/* Opens the directory, made if it is missing. Its name survives a power cut
 * afterwards: the directory above is synced, also when it was there already (the
 * process that made it may have died before). parent_fd may be AT_FDCWD, and
 * then name a path. VGM_E_IO. */
int vgm_file_directory_at(int parent_fd, const char *name, unsigned mode, int *out_fd,
    struct vgm_err *) VGM_MUST_USE;

/* Makes the file if it is missing and locks it for this process until *out_fd
 * is closed; the kernel drops the lock when the process dies. VGM_E_BUSY:
 * another one holds it. VGM_E_IO. */
int vgm_file_lock_at(int dir_fd, const char *name, int *out_fd, struct vgm_err *) VGM_MUST_USE;

/* Takes the disk space of the first size_bytes now, so that later writes there
 * cannot run out of it. Not durable before a sync. VGM_E_NOSPACE, VGM_E_IO. */
int vgm_file_preallocate(int fd, uint64_t size_bytes, struct vgm_err *) VGM_MUST_USE;

/* Bytes that an ordinary user may still write on the file system of fd. VGM_E_IO. */
int vgm_file_free_bytes(int fd, uint64_t *out_bytes, struct vgm_err *) VGM_MUST_USE;

#endif
