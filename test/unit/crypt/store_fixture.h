/* SPDX-License-Identifier: EUPL-1.2
 * A key store in a directory of its own, for the tests that need one. */
#ifndef VGM_TEST_STORE_FIXTURE_H
#define VGM_TEST_STORE_FIXTURE_H

#include "crypt/keystore.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct store {
	char path[64];
	int dir;
	struct vgm_keystore *keys;
};

static int store_up(void **state)
{
	struct store *s = vgm_alloc(sizeof *s);
	snprintf(s->path, sizeof s->path, "/tmp/vgm-test-store-XXXXXX");
	if (!mkdtemp(s->path))
		return -1;
	s->dir = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = s;
	return vgm_keystore_open(s->dir, VGM_SLICE_NONE, &s->keys, NULL);
}

static int store_down(void **state)
{
	struct store *s = *state;
	vgm_keystore_close(&s->keys);
	DIR *d = fdopendir(s->dir);
	for (struct dirent *e = readdir(d); e; e = readdir(d))
		(void)unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
	int r = rmdir(s->path);
	vgm_free(s);
	return r;
}

/* Closes and opens again, as after a restart. */
static inline int store_again(struct store *s, const char *passphrase, struct vgm_err *err)
{
	vgm_keystore_close(&s->keys);
	return vgm_keystore_open(
	    s->dir, passphrase ? vgm_slice_str(passphrase) : VGM_SLICE_NONE, &s->keys, err);
}

#endif
