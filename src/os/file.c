/* SPDX-License-Identifier: EUPL-1.2
 * os/file.c — see file.h. */
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define READ_STEP 65536

static int temporary_name(const char *name, char out[NAME_MAX + 1], struct vgm_err *err)
{
	int n = snprintf(out, NAME_MAX + 1, ".%s.new", name);
	if (n < 0 || n > NAME_MAX || strchr(name, '/'))
		return vgm_err_set(err, VGM_E_INVALID, "a name that is too long or has a slash");
	return 0;
}

static int write_all(int fd, struct vgm_slice content)
{
	while (content.len) {
		ssize_t n = write(fd, content.data, content.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		content = vgm_slice_from(content, (size_t)n);
	}
	return 0;
}

/* The file under its temporary name, written, synced and closed. */
static int write_temporary(int dir_fd, const char *temporary, struct vgm_slice content,
    unsigned mode, struct vgm_err *err)
{
	int flags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(dir_fd, temporary, flags, (mode_t)mode);
	if (fd < 0)
		return vgm_err_sys(err, "making %s", temporary);
	/* The mode that was asked for, whatever the umask and an older left-over say. */
	if (fchmod(fd, (mode_t)mode) < 0 || write_all(fd, content) < 0 || fsync(fd) < 0) {
		int r = vgm_err_sys(err, "writing %s", temporary);
		close(fd);
		return r;
	}
	return close(fd) < 0 ? vgm_err_sys(err, "closing %s", temporary) : 0;
}

int vgm_file_replace_at(
    int dir_fd, const char *name, struct vgm_slice content, unsigned mode, struct vgm_err *err)
{
	char temporary[NAME_MAX + 1];
	int r = temporary_name(name, temporary, err);
	if (r < 0)
		return r;
	r = write_temporary(dir_fd, temporary, content, mode, err);
	if (r == 0 && renameat(dir_fd, temporary, dir_fd, name) < 0)
		r = vgm_err_sys(err, "renaming %s", temporary);
	if (r < 0) {
		(void)unlinkat(dir_fd, temporary, 0);
		return r;
	}
	return fsync(dir_fd) < 0 ? vgm_err_sys(err, "syncing the directory of %s", name) : 0;
}

int vgm_file_append_at(
    int dir_fd, const char *name, struct vgm_slice content, struct vgm_err *err)
{
	struct stat before;
	int r = 0;
	int fd = openat(
	    dir_fd, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return vgm_err_sys(err, "opening %s", name);
	if (fstat(fd, &before) < 0) {
		r = vgm_err_sys(err, "looking at %s", name);
	} else if (write_all(fd, content) < 0 || fdatasync(fd) < 0) {
		r = vgm_err_sys(err, "adding to %s", name);
		/* Half of it would be taken for damage. */
		(void)!ftruncate(fd, before.st_size);
	}
	close(fd);
	return r;
}

static int read_all(int fd, struct vgm_buf *out, struct vgm_err *err)
{
	for (;;) {
		uint8_t step[READ_STEP];
		ssize_t n = read(fd, step, sizeof step);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return vgm_err_sys(err, "reading");
		if (n == 0)
			return 0;
		if (vgm_buf_add(out, step, (size_t)n) < 0)
			return vgm_err_set(err, VGM_E_LIMIT, "larger than %zu bytes", out->ceiling);
	}
}

int vgm_file_read_at(int dir_fd, const char *name, struct vgm_buf *out, struct vgm_err *err)
{
	struct stat st;
	size_t before = out->len;
	/* Not blocking: a FIFO in the file's place must not hold us up. */
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return vgm_err_set(err, VGM_E_NOTFOUND, "%s is not there", name);
	if (fd < 0)
		return vgm_err_sys(err, "opening %s", name);
	int r = 0;
	if (fstat(fd, &st) < 0)
		r = vgm_err_sys(err, "fstat of %s", name);
	else if (!S_ISREG(st.st_mode))
		r = vgm_err_set(err, VGM_E_INVALID, "%s is not a regular file", name);
	if (r == 0)
		r = read_all(fd, out, err);
	close(fd);
	if (r < 0)
		vgm_buf_truncate(out, before);
	return r;
}

static int sync_above(int fd, const char *name, struct vgm_err *err)
{
	int above = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (above < 0)
		return vgm_err_sys(err, "opening the directory above %s", name);
	int r = fsync(above) < 0 ? vgm_err_sys(err, "syncing the directory above %s", name) : 0;
	close(above);
	return r;
}

int vgm_file_directory_at(
    int parent_fd, const char *name, unsigned mode, int *out_fd, struct vgm_err *err)
{
	if (mkdirat(parent_fd, name, (mode_t)mode) < 0 && errno != EEXIST)
		return vgm_err_sys(err, "making the directory %s", name);
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return vgm_err_sys(err, "opening the directory %s", name);
	int r = sync_above(fd, name, err);
	if (r < 0)
		close(fd);
	else
		*out_fd = fd;
	return r;
}

int vgm_file_lock_at(int dir_fd, const char *name, int *out_fd, struct vgm_err *err)
{
	int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return vgm_err_sys(err, "opening the lock file %s", name);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int r = errno == EWOULDBLOCK
		    ? vgm_err_set(err, VGM_E_BUSY, "%s is locked by another process", name)
		    : vgm_err_sys(err, "locking %s", name);
		close(fd);
		return r;
	}
	*out_fd = fd;
	return 0;
}

/* For file systems without fallocate: zeros where the file does not reach yet. */
static int fill_with_zeros(int fd, uint64_t size)
{
	static const uint8_t zeros[READ_STEP];
	struct stat st;
	if (fstat(fd, &st) < 0)
		return -1;
	for (uint64_t at = (uint64_t)st.st_size; at < size;) {
		size_t len = (size_t)(size - at < sizeof zeros ? size - at : sizeof zeros);
		ssize_t n = pwrite(fd, zeros, len, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		at += (uint64_t)n;
	}
	return 0;
}

int vgm_file_preallocate(int fd, uint64_t size_bytes, struct vgm_err *err)
{
	int r;
	if (size_bytes == 0)
		return 0;
	do
		r = fallocate(fd, 0, 0, (off_t)size_bytes);
	while (r < 0 && errno == EINTR);
	if (r < 0 && errno == EOPNOTSUPP)
		r = fill_with_zeros(fd, size_bytes);
	if (r < 0)
		return vgm_err_sys(err, "taking %ju bytes of disk", (uintmax_t)size_bytes);
	return 0;
}

int vgm_file_free_bytes(int fd, uint64_t *out_bytes, struct vgm_err *err)
{
	struct statvfs fs;
	if (fstatvfs(fd, &fs) < 0)
		return vgm_err_sys(err, "asking for free space");
	*out_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	return 0;
}

int vgm_file_take_name_at(int dir_fd, const char *from, const char *to, struct vgm_err *err)
{
	if (renameat(dir_fd, from, dir_fd, to) == 0)
		return 0;
	if (errno == ENOENT)
		return vgm_err_set(err, VGM_E_NOTFOUND, "there is no %s", from);
	return vgm_err_sys(err, "renaming %s to %s", from, to);
}
