/* SPDX-License-Identifier: EUPL-1.2
 * role/role.c — the skeleton of every daemon process; see role.h for the order
 * of its life. Whatever a role does differently stands in its struct vgm_role,
 * so what this file does is true of all of them. */
#include "role/role.h"

#include "base/clock.h"
#include "ipc/allow.h"
#include "log/log.h"
#include "os/memfd.h"
#include "role/build.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#define MASTER_FD 3
#define START_DEADLINE_MS 60000

/* ---- log lines go to master ---- */

static void log_to_master(void *context, enum vgm_log_level level, struct vgm_slice line)
{
	struct vgm_role_run *run = context;
	struct vgm_msg_log log = {.level = (uint8_t)level, .line = line};
	/* Without a loop yet, or with a master that does not keep up: stderr. */
	if (!run->master || vgm_channel_send(run->master, VGM_MSG_log, &log) < 0)
		fprintf(stderr, "%.*s\n", VGM_SLICE_ARG(line));
}

static void set_up_log(struct vgm_role_run *run)
{
	enum vgm_log_level level = VGM_LOG_INFO;
	(void)vgm_log_level_parse(run->conf.log_level, &level);
	vgm_log_setup(
	    vgm_role_name(run->role->id), level, run->conf.log_personal, log_to_master, run);
}

/* ---- peers ---- */

static void peer_message(void *context, struct vgm_channel *from, int type, void *message)
{
	struct vgm_role_run *run = context;
	run->role->message(run, from, type, message);
}

static void peer_closed(void *context, struct vgm_channel *from)
{
	struct vgm_role_run *run = context;
	for (size_t i = 0; i < run->peers_count; i++)
		if (run->peers[i] == from)
			run->peers[i] = run->peers[--run->peers_count];
	if (run->role->peer_gone)
		run->role->peer_gone(run, from);
}

struct vgm_channel *vgm_role_adopt(
    struct vgm_role_run *run, int fd, enum vgm_role_id peer, enum vgm_instance instance)
{
	struct vgm_channel_events events = {peer_message, peer_closed, run};
	return vgm_channel_new(run->loop, fd, run->role->id, peer, instance, events);
}

struct vgm_channel *vgm_role_peer(
    const struct vgm_role_run *run, enum vgm_role_id peer, enum vgm_instance instance)
{
	for (size_t i = 0; i < run->peers_count; i++)
		if (vgm_channel_peer(run->peers[i]) == peer &&
		    vgm_channel_instance(run->peers[i]) == instance)
			return run->peers[i];
	return NULL;
}

/* What the one before said before it died still counts: an outcome that is not
 * heard is a mail sent twice. A peer whose channel is paused is not ours to read. */
static void hear_out(struct vgm_role_run *run, const struct vgm_msg_peer *successor)
{
	struct vgm_channel *old = vgm_role_peer(run, (enum vgm_role_id)successor->role,
	    (enum vgm_instance)successor->instance);
	if (old && !vgm_channel_is_paused(old))
		vgm_channel_drain(old);
}

static void add_peer(struct vgm_role_run *run, struct vgm_msg_peer *peer)
{
	enum vgm_role_id id = (enum vgm_role_id)peer->role;
	enum vgm_instance instance = (enum vgm_instance)peer->instance;
	struct vgm_channel *old = vgm_role_peer(run, id, instance);
	/* Its death may not have been seen yet when its successor comes. */
	if (old) {
		peer_closed(run, old);
		vgm_channel_free(&old);
	}
	VGM_BUG_ON(run->peers_count == VGM_ROLE_PEERS_MAX);
	struct vgm_channel *channel = vgm_role_adopt(run, peer->channel, id, instance);
	peer->channel = -1;
	run->peers[run->peers_count++] = channel;
	if (run->role->peer_came)
		run->role->peer_came(run, channel);
}

/* ---- what master says ---- */

static int configure(struct vgm_role_run *run, struct vgm_msg_configure *m, struct vgm_err *err)
{
	struct vgm_conf_fault fault;
	struct vgm_mapping options;
	struct vgm_conf conf;
	if (!vgm_slice_eq(m->build, vgm_slice_str(vgm_build_id())))
		return vgm_err_set(err, VGM_E_VERSION, "master is of another build");
	int r = vgm_mapping_open(m->options, m->options_size, &options, err);
	if (r < 0)
		return r;
	r = vgm_conf_parse(options.bytes, &conf, &fault, err);
	vgm_mapping_release(&options);
	if (r < 0)
		return r;
	vgm_conf_release(&run->conf);
	run->conf = conf;
	run->conf_version = m->version;
	run->instance = (enum vgm_instance)m->instance;
	if (run->directory_fd >= 0)
		close(run->directory_fd);
	run->directory_fd = m->directory;
	m->directory = -1;
	if (run->extra_fd < 0) {
		run->extra_fd = m->extra;
		run->ledger_fd = m->ledger;
		m->extra = m->ledger = -1;
	}
	set_up_log(run);
	return 0;
}

static void add_listener(struct vgm_role_run *run, struct vgm_msg_listener *m)
{
	VGM_BUG_ON(run->listeners_count == VGM_ROLE_LISTENERS_MAX);
	run->listeners[run->listeners_count++] =
	    (struct vgm_role_listener){.fd = m->socket, .tls = m->tls != 0};
	m->socket = -1;
}

/* Everything up to START, before there is a loop. */
static int gather(struct vgm_role_run *run, struct vgm_err *err)
{
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	uint64_t deadline = vgm_clock_mono_ms() + START_DEADLINE_MS;
	for (;;) {
		int r = vgm_ipc_receive(MASTER_FD, &got, deadline, err);
		if (r < 0)
			return r;
		if (got.type == VGM_MSG_start)
			return 0;
		if (got.type == VGM_MSG_configure)
			r = configure(run, got.message, err);
		else if (got.type == VGM_MSG_peer)
			add_peer(run, got.message);
		else if (got.type == VGM_MSG_listener)
			add_listener(run, got.message);
		else
			r = vgm_err_set(
			    err, VGM_E_INVALID, "%s before start", vgm_msg_name(got.type));
		if (r < 0)
			return r;
	}
}

static void from_master(void *context, struct vgm_channel *from, int type, void *message)
{
	struct vgm_role_run *run = context;
	struct vgm_err err;
	(void)from;
	switch (type) {
	case VGM_MSG_peer:
		hear_out(run, message);
		add_peer(run, message);
		break;
	case VGM_MSG_configure:
		/* Master parsed the same text before: it cannot be wrong here. */
		VGM_BUG_ON(configure(run, message, &err) < 0);
		if (run->role->reconfigured)
			run->role->reconfigured(run);
		break;
	case VGM_MSG_stop:
		run->stopping = true;
		if (run->role->stop)
			run->role->stop(run);
		else
			vgm_role_done(run);
		break;
	default:
		VGM_BUG_ON(!run->role->from_master);
		run->role->from_master(run, type, message);
	}
}

static void master_gone(void *context, struct vgm_channel *from)
{
	(void)context;
	(void)from;
	_exit(1);
}

void vgm_role_done(struct vgm_role_run *run)
{
	vgm_loop_stop(run->loop);
}

/* ---- the life ---- */

static int start(struct vgm_role_run *run, struct vgm_err *err)
{
	const struct vgm_role *role = run->role;
	struct vgm_channel_events events = {from_master, master_gone, run};
	int r = gather(run, err);
	if (r == 0 && role->prepare)
		r = role->prepare(run, err);
	if (r == 0)
		r = vgm_sandbox_drop_user(run->conf.user, err);
	if (r < 0)
		return r;
	run->master = vgm_channel_new(
	    run->loop, MASTER_FD, role->id, VGM_ROLE_MASTER, VGM_INSTANCE_ONLY, events);
	r = vgm_sandbox_enter(&role->sandbox, run->extra_fd, run->ledger_fd,
	    !run->conf.allow_no_seccomp, err);
	if (r == 0 && role->begin)
		r = role->begin(run, err);
	return r;
}

void vgm_role_main(const struct vgm_role *role)
{
	struct vgm_role_run *run = vgm_alloc(sizeof *run);
	struct vgm_err err = {.code = 0};
	char name[16]; /* as ps and top show it */
	snprintf(name, sizeof name, "vgm-%s", vgm_role_name(role->id));
	prctl(PR_SET_NAME, name);
	*run = (struct vgm_role_run){
	    .role = role, .directory_fd = -1, .extra_fd = -1, .ledger_fd = -1};
	vgm_conf_init(&run->conf);
	set_up_log(run);
	run->loop = vgm_loop_new();
	if (start(run, &err) < 0)
		vgm_fatal("%s cannot start: %s", vgm_role_name(role->id), err.text);
	struct vgm_msg_ready ready;
	if (vgm_channel_send(run->master, VGM_MSG_ready, &ready) < 0)
		_exit(1);
	vgm_loop_run(run->loop);
	_exit(0);
}
