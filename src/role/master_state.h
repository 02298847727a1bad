/* SPDX-License-Identifier: EUPL-1.2
 * role/master_state.h — what master opens before anything runs: the state
 * directory with its lock, the units' directories, the listening sockets, the
 * configuration and the directory file. */
#ifndef VGM_ROLE_MASTER_STATE_H
#define VGM_ROLE_MASTER_STATE_H

#include "base/err.h"
#include "conf/conf.h"
#include "ipc/message.h"

#define VGM_MASTER_LISTENERS_MAX 48
#define VGM_MASTER_DIRECTORIES_MAX 8

struct vgm_master_listener {
	enum vgm_role_id role;
	enum vgm_instance instance;
	bool tls;
	int fd;
	char name[64]; /* HOST:PORT that it got; empty: the control socket */
};

struct vgm_master_state {
	int state_fd, lock_fd;
	int people_fd; /* sealed memfd of the directory file; -1 = none */
	struct {
		const char *name;
		int fd;
	} directories[VGM_MASTER_DIRECTORIES_MAX];
	size_t directories_count;
	struct vgm_master_listener listeners[VGM_MASTER_LISTENERS_MAX];
	size_t listeners_count;
};

/* Makes what is missing (mode 0700, owned by conf->user when root), takes the
 * lock, binds every address and the control socket. VGM_E_BUSY: another
 * instance has the lock. VGM_E_IO, VGM_E_INVALID. */
int vgm_master_state_open(const struct vgm_conf *, struct vgm_master_state *, struct vgm_err *)
    VGM_MUST_USE;
void vgm_master_state_release(struct vgm_master_state *);

int vgm_master_directory(const struct vgm_master_state *, const char *name); /* borrowed */
/* The first listener of that door, or NULL. */
const struct vgm_master_listener *vgm_master_listener_of(
    const struct vgm_master_state *, enum vgm_role_id, enum vgm_instance);

/* The configuration file. VGM_E_INVALID with *fault; VGM_E_IO, VGM_E_NOTFOUND. */
int vgm_master_read_conf(const char *path, struct vgm_conf *out, struct vgm_conf_fault *fault,
    struct vgm_err *) VGM_MUST_USE;
/* Whether the configured certificate and key can be read and belong together. A
 * child looks: private keys are never in this process. VGM_E_INVALID, VGM_E_IO. */
int vgm_master_check_tls(const struct vgm_conf *, struct vgm_err *) VGM_MUST_USE;
/* A number that changes with the configuration's text; stands in each record. */
uint32_t vgm_master_conf_version(const struct vgm_conf *);
/* Reads and checks the directory file into a sealed memfd (-1 when none is
 * configured). VGM_E_INVALID: err says line and reason. */
int vgm_master_read_people(const struct vgm_conf *, int *out_fd, struct vgm_err *) VGM_MUST_USE;

#endif
