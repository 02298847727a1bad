/* SPDX-License-Identifier: EUPL-1.2
 * os/memfd.c — see memfd.h. */
#include "os/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALL_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

int vgm_memfd_new(const char *name, int *out_fd, struct vgm_err *err)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return vgm_err_sys(err, "memfd_create");
	*out_fd = fd;
	return 0;
}

int vgm_memfd_write(int fd, const void *data, size_t len, struct vgm_err *err)
{
	const uint8_t *p = data;
	while (len) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return vgm_err_sys(err, "write to memfd");
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int vgm_memfd_seal(int fd, struct vgm_err *err)
{
	return fcntl(fd, F_ADD_SEALS, ALL_SEALS) < 0 ? vgm_err_sys(err, "sealing a memfd") : 0;
}

int vgm_memfd_of(const char *name, struct vgm_slice bytes, int *out_fd, struct vgm_err *err)
{
	int fd = -1;
	int r = vgm_memfd_new(name, &fd, err);
	if (r < 0)
		return r;
	r = vgm_memfd_write(fd, bytes.data, bytes.len, err);
	if (r == 0)
		r = vgm_memfd_seal(fd, err);
	if (r < 0) {
		close(fd);
		return r;
	}
	*out_fd = fd;
	return 0;
}

int vgm_mapping_open(int fd, uint64_t size, struct vgm_mapping *out, struct vgm_err *err)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & ALL_SEALS) != ALL_SEALS)
		return vgm_err_set(err, VGM_E_INVALID, "a memfd that is not sealed");
	if (fstat(fd, &st) < 0)
		return vgm_err_sys(err, "fstat of a memfd");
	if (st.st_size < 0 || (uint64_t)st.st_size != size)
		return vgm_err_set(err, VGM_E_INVALID, "a memfd of another size than announced");
	if (size == 0) {
		out->bytes = VGM_SLICE_NONE;
		return 0;
	}
	void *p = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return vgm_err_sys(err, "mapping a memfd");
	out->bytes = vgm_slice(p, (size_t)size);
	return 0;
}

void vgm_mapping_release(struct vgm_mapping *m)
{
	if (m->bytes.len)
		munmap((void *)(uintptr_t)m->bytes.data, m->bytes.len);
	m->bytes = VGM_SLICE_NONE;
}
