/* SPDX-License-Identifier: EUPL-1.2
 * os/platform.c — see platform.h. */
#include "os/platform.h"

#include "os/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SWAPS_MAX_BYTES 65536
#define LAYERS_MAX 8 /* a volume on a volume on a disk ... */

int vgm_platform_swaps(
    struct vgm_slice text, bool (*is_safe)(const char *name), struct vgm_buf *out)
{
	size_t before = out->len, end = vgm_slice_find(text, '\n');
	int r = 0;
	/* The first line is the heading. */
	for (text = vgm_slice_from(text, end + 1); text.len && r == 0;
	     text = vgm_slice_from(text, end + 1)) {
		end = vgm_slice_find(text, '\n');
		struct vgm_slice line = vgm_slice_sub(text, 0, end);
		struct vgm_slice word = vgm_slice_sub(line, 0, vgm_slice_find(line, ' '));
		word = vgm_slice_sub(word, 0, vgm_slice_find(word, '\t'));
		char *name = vgm_slice_dup(word);
		if (word.len && !is_safe(name))
			r = vgm_buf_addf(out, "%s%s", out->len > before ? ", " : "", name);
		vgm_free(name);
	}
	return r;
}

/* What the kernel wrote into a file of /sys. */
static bool starts_with(const char *path, const char *start)
{
	char text[64] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	return n > 0 && strncmp(text, start, strlen(start)) == 0;
}

/* "dm-0": dm-crypt itself, or on nothing but dm-crypt. */
static bool is_encrypted(const char *block, unsigned layers)
{
	char path[PATH_MAX];
	snprintf(path, sizeof path, "/sys/class/block/%s/dm/uuid", block);
	if (starts_with(path, "CRYPT-"))
		return true;
	snprintf(path, sizeof path, "/sys/class/block/%s/slaves", block);
	DIR *slaves = layers ? opendir(path) : NULL;
	if (!slaves)
		return false;
	bool any = false, all = true;
	for (struct dirent *e; (e = readdir(slaves));) {
		if (e->d_name[0] == '.')
			continue;
		any = true;
		all = all && is_encrypted(e->d_name, layers - 1);
	}
	closedir(slaves);
	return any && all;
}

static bool is_safe(const char *name)
{
	char real[PATH_MAX];
	if (!realpath(name, real) || strncmp(real, "/dev/", 5) != 0 || strchr(real + 5, '/'))
		return false;
	return strncmp(real + 5, "zram", 4) == 0 || is_encrypted(real + 5, LAYERS_MAX);
}

int vgm_platform_swap_in_clear(struct vgm_buf *out, struct vgm_err *err)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf text = VGM_BUF_INIT(SWAPS_MAX_BYTES);
	int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0)
		return vgm_err_sys(err, "opening /proc");
	int r = vgm_file_read_at(proc, "swaps", &text, err);
	close(proc);
	if (r == VGM_E_NOTFOUND) /* a kernel without swap */
		return 0;
	return r < 0 ? r : vgm_platform_swaps(vgm_buf_slice(&text), is_safe, out);
}
