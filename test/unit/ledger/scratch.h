/* SPDX-License-Identifier: EUPL-1.2
 * A directory of its own for each test, gone afterwards. */
#ifndef VGM_TEST_LEDGER_SCRATCH_H
#define VGM_TEST_LEDGER_SCRATCH_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

#include "base/base.h"

struct scratch {
	char path[64];
	int fd;
};

static inline int scratch_remove(
    const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st, (void)type, (void)where;
	return remove(path);
}

/* In /dev/shm where there is one: these tests sync a lot. */
static inline void scratch_open(struct scratch *s)
{
	snprintf(s->path, sizeof s->path, "%s/vgm-test-XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(s->path))
		abort();
	s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->fd < 0)
		abort();
}

static inline void scratch_close(struct scratch *s)
{
	close(s->fd);
	nftw(s->path, scratch_remove, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
