/* SPDX-License-Identifier: EUPL-1.2
 * A real role in a process of its own, sandbox and all; the test is its master
 * and its peers. */
#ifndef VGM_TEST_ROLE_FIXTURE_H
#define VGM_TEST_ROLE_FIXTURE_H

#include "base/clock.h"
#include "conf/conf.h"
#include "ipc/channel.h"
#include "os/memfd.h"
#include "role/build.h"
#include "role/role.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIXTURE_MS 20000

struct role_process {
	pid_t pid;
	int master; /* our end of its descriptor 3 */
};

static inline uint64_t fixture_deadline(void)
{
	return vgm_clock_mono_ms() + FIXTURE_MS;
}

static inline void role_send(int fd, enum vgm_msg_type type, const void *message)
{
	struct vgm_err err;
	int r = vgm_ipc_send(fd, type, message, fixture_deadline(), &err);
	if (r < 0)
		print_error("sending %s: %s\n", vgm_msg_name(type), err.text);
	assert_int_equal(r, 0);
}

/* Forks; the child is the role and never returns. */
static inline struct role_process role_fork(const struct vgm_role *role)
{
	int fds[2];
	assert_int_equal(vgm_ipc_pair(fds, false, NULL), 0);
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setsid(); /* no terminal to ask anything at */
		if (fds[1] != 3 && dup2(fds[1], 3) < 0)
			_exit(9);
		/* As after exec: nothing of the parent's is open. */
		if (close_range(4, ~0u, 0) < 0)
			_exit(9);
		vgm_role_main(role);
	}
	close(fds[1]);
	return (struct role_process){pid, fds[0]};
}

/* CONFIGURE: options is a part of vgm.yaml; extra a directory or -1. */
static inline void role_configure(
    const struct role_process *p, enum vgm_instance instance, const char *options, int extra)
{
	struct vgm_msg_configure m = {.build = vgm_slice_str(vgm_build_id()),
	    .instance = (uint8_t)instance, .version = 1, .options_size = strlen(options),
	    .directory = -1, .extra = extra, .ledger = -1};
	assert_int_equal(vgm_memfd_of("test", vgm_slice_str(options), &m.options, NULL), 0);
	role_send(p->master, VGM_MSG_configure, &m);
	close(m.options);
}

/* PEER: our end of a channel on which we are that role. */
static inline int role_peer(
    const struct role_process *p, enum vgm_role_id role, enum vgm_instance instance)
{
	int fds[2];
	assert_int_equal(vgm_ipc_pair(fds, false, NULL), 0);
	struct vgm_msg_peer m = {
	    .role = (uint8_t)role, .instance = (uint8_t)instance, .channel = fds[1]};
	role_send(p->master, VGM_MSG_peer, &m);
	close(fds[1]);
	return fds[0];
}

/* START; 0 when READY came, else the status with which it exited. */
static inline int role_start(const struct role_process *p)
{
	struct vgm_msg_start start;
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	role_send(p->master, VGM_MSG_start, &start);
	while (vgm_ipc_receive(p->master, &got, fixture_deadline(), NULL) == 0) {
		if (got.type == VGM_MSG_ready)
			return 0;
		assert_true(got.type == VGM_MSG_log || got.type == VGM_MSG_room);
	}
	int status = 0;
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* STOP; the exit status (1000 + signal when killed). */
static inline int role_stop(struct role_process *p)
{
	struct vgm_msg_stop stop;
	int status = 0;
	role_send(p->master, VGM_MSG_stop, &stop);
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	close(p->master);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* Asks and returns the answer, which stays in *got. */
static inline void *role_call(int fd, enum vgm_msg_type type, const void *message,
    enum vgm_msg_type answer, struct vgm_received *got)
{
	struct vgm_err err;
	int r = vgm_ipc_call(fd, type, message, answer, got, fixture_deadline(), &err);
	if (r < 0)
		print_error("%s: %s\n", vgm_msg_name(type), err.text);
	assert_int_equal(r, 0);
	return got->message;
}

#endif
