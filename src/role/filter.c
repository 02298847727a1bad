/* SPDX-License-Identifier: EUPL-1.2
 * role/filter.c — the template of a pool: forks workers, watches them, tells the
 * asker when one has died on its job (rule 12: the asker counts strikes), and
 * replaces them. It never reads a job: the doors' sockets are paused here and
 * read by the workers alone. */
#include "role/filter.h"

#include "base/clock.h"
#include "ipc/allow.h"
#include "log/log.h"
#include "os/memfd.h"
#include "role/filter_worker.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORKERS_MAX 64
#define WATCH_EVERY_MS 500
#define FORK_PAUSE_MS 100 /* a pool whose workers die at once does not spin */

struct worker {
	pid_t pid; /* 0 = none */
	uint32_t seen_serial;   /* of the last look */
	uint64_t seen_ms;       /* when that job was first seen */
	uint64_t seen_cpu_us;
	enum vgm_death killed_for; /* 0, or why we killed it */
};

struct pool {
	struct vgm_role_run *run;
	pid_t pid; /* ours */
	struct vgm_directory *directory;
	struct vgm_seal_tools *tools;
	struct vgm_channel *doors[VGM_FILTER_DOORS_MAX];
	size_t doors_count;
	uintptr_t last_door; /* number given to a door; kept as its channel's data */
	struct vgm_filter_slot *slots; /* shared with the workers */
	struct worker workers[WORKERS_MAX];
	size_t wanted;
	int signals;
	struct vgm_io *signal_io;
	struct vgm_timer *watch, *again;
};

/* ---- who asks ---- */

static bool is_door(enum vgm_role_id pool, enum vgm_role_id peer)
{
	switch (pool) {
	case VGM_ROLE_ADMIT:
		return peer == VGM_ROLE_SMTPD;
	case VGM_ROLE_RENDER:
		return peer == VGM_ROLE_RELAYD || peer == VGM_ROLE_LEDGERD;
	case VGM_ROLE_SHOW:
		return peer == VGM_ROLE_VIEWD;
	default:
		return false;
	}
}

static bool appends(enum vgm_role_id pool)
{
	return pool != VGM_ROLE_SHOW;
}

/* ---- forking ---- */

/* A worker's own channel to a server: one end travels there in a WORKER. */
static int open_line(struct pool *p, enum vgm_role_id server, int *out_fd)
{
	struct vgm_channel *channel = vgm_role_peer(p->run, server, VGM_INSTANCE_ONLY);
	int ends[2];
	if (!channel || vgm_ipc_pair(ends, false, NULL) < 0)
		return VGM_E_CLOSED;
	struct vgm_msg_worker hello = {.pool = (uint8_t)p->run->role->id, .channel = ends[1]};
	int r = vgm_channel_send(channel, VGM_MSG_worker, &hello);
	close(ends[1]);
	if (r < 0) {
		close(ends[0]);
		return r;
	}
	*out_fd = ends[0];
	return 0;
}

static uintptr_t door_number(const struct vgm_channel *door)
{
	return (uintptr_t)vgm_channel_data(door);
}

/* The signal with which a worker is told to look at its slot. */
static void wake_up_set(sigset_t *out)
{
	sigemptyset(out);
	sigaddset(out, SIGUSR1);
}

/* In the child: only what its jobs need stays open. */
static void become_worker(struct pool *p, size_t index, int keyd_fd, int ledgerd_fd)
{
	struct vgm_filter_worker *w = vgm_alloc(sizeof *w);
	struct vgm_err err;
	sigset_t blocked;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != p->pid)
		_exit(0);
	/* SIGUSR1 stays blocked until there is a handler for it. */
	wake_up_set(&blocked);
	sigprocmask(SIG_SETMASK, &blocked, NULL);
	*w = (struct vgm_filter_worker){.run = p->run, .conf = &p->run->conf,
	    .directory = p->directory, .keyd_fd = keyd_fd, .ledgerd_fd = ledgerd_fd,
	    .slot = &p->slots[index], .tools = p->tools, .job = VGM_RECEIVED_INIT,
	    .answer = VGM_RECEIVED_INIT};
	for (size_t i = 0; i < p->doors_count; i++)
		w->doors[w->doors_count++] = (struct vgm_filter_door){
		    vgm_channel_peer(p->doors[i]), vgm_channel_pause(p->doors[i]),
		    (uint32_t)door_number(p->doors[i])};
	vgm_filter_worker_close_others(w);
	if (vgm_sandbox_enter_worker(p->run->conf.filter_memory, &err) < 0)
		vgm_fatal("a filter worker cannot start: %s", err.text);
	vgm_filter_worker_run(w);
}

static int fork_worker(struct pool *p, size_t index)
{
	int keyd_fd = -1, ledgerd_fd = -1;
	int r = open_line(p, VGM_ROLE_KEYD, &keyd_fd);
	if (r == 0 && appends(p->run->role->id))
		r = open_line(p, VGM_ROLE_LEDGERD, &ledgerd_fd);
	if (r == 0) {
		p->slots[index] = (struct vgm_filter_slot){.serial = 0};
		p->workers[index] = (struct worker){.pid = fork()};
		if (p->workers[index].pid == 0)
			become_worker(p, index, keyd_fd, ledgerd_fd);
		if (p->workers[index].pid < 0) {
			p->workers[index].pid = 0;
			r = VGM_E_IO;
		}
	}
	if (keyd_fd >= 0)
		close(keyd_fd);
	if (ledgerd_fd >= 0)
		close(ledgerd_fd);
	return r;
}

/* Brings the pool to strength; tries again soon when a server is away. */
static void fill(void *context)
{
	struct pool *p = context;
	if (p->doors_count == 0 || p->run->stopping)
		return;
	for (size_t i = 0; i < p->wanted; i++)
		if (p->workers[i].pid == 0 && fork_worker(p, i) < 0) {
			vgm_timer_in(p->again, FORK_PAUSE_MS);
			return;
		}
}

/* Every worker leaves after its job: doors or configuration have changed. */
static void retire_all(struct pool *p)
{
	for (size_t i = 0; i < p->wanted; i++) {
		p->slots[i].retire = 1;
		if (p->workers[i].pid)
			kill(p->workers[i].pid, SIGUSR1); /* wakes one that waits for a job */
	}
}

/* ---- death ---- */

static enum vgm_death cause_of(const struct worker *w, int status)
{
	if (w->killed_for)
		return w->killed_for;
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS ? VGM_DEATH_SYSCALL
								 : VGM_DEATH_CRASH;
}

static void worker_died(struct pool *p, size_t index, int status)
{
	struct worker *w = &p->workers[index];
	const struct vgm_filter_slot *slot = &p->slots[index];
	bool busy = slot->serial & 1;
	bool left = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	w->pid = 0;
	if (left && !busy)
		return;
	enum vgm_death cause = cause_of(w, status);
	struct vgm_log_line line;
	vgm_log_start(&line, VGM_LOG_ERROR, "filter_died");
	vgm_log_text(&line, "pool", vgm_role_name(p->run->role->id));
	vgm_log_u64(&line, "cause", cause);
	vgm_log_u64(&line, "signal", WIFSIGNALED(status) ? (uint64_t)WTERMSIG(status) : 0);
	vgm_log_flag(&line, "busy", busy);
	vgm_log_end(&line);
	/* An asker that has gone needs no answer, and its successor must not get it. */
	struct vgm_msg_filter_died died = {.session = slot->session, .cause = (uint8_t)cause};
	for (size_t d = 0; busy && d < p->doors_count; d++)
		if (door_number(p->doors[d]) == slot->door)
			vgm_channel_offer(p->doors[d], VGM_MSG_filter_died, &died);
}

static void child_signal(void *context, unsigned events)
{
	struct pool *p = context;
	struct signalfd_siginfo info;
	int status;
	pid_t pid;
	(void)events;
	while (read(p->signals, &info, sizeof info) > 0)
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (size_t i = 0; i < p->wanted; i++)
			if (p->workers[i].pid == pid)
				worker_died(p, i, status);
	vgm_timer_in(p->again, p->run->stopping ? 0 : 1);
}

/* ---- budgets ---- */

static uint64_t cpu_us(pid_t pid)
{
	clockid_t id;
	struct timespec t;
	if (clock_getcpuclockid(pid, &id) != 0 || clock_gettime(id, &t) < 0)
		return 0;
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void watch_worker(struct pool *p, size_t index, uint64_t now)
{
	struct worker *w = &p->workers[index];
	uint32_t serial = p->slots[index].serial;
	if (w->pid == 0 || !(serial & 1) || w->killed_for)
		return;
	if (serial != w->seen_serial) {
		w->seen_serial = serial;
		w->seen_ms = now;
		w->seen_cpu_us = cpu_us(w->pid);
		return;
	}
	uint64_t wall_ms = now - w->seen_ms, cpu_ms = (cpu_us(w->pid) - w->seen_cpu_us) / 1000;
	if (cpu_ms <= p->run->conf.filter_cpu && wall_ms <= p->run->conf.filter_timeout)
		return;
	/* A strike needs the CPU to have been used (rule 12). */
	w->killed_for = cpu_ms * 10 >= wall_ms * 9 ? VGM_DEATH_CPU : VGM_DEATH_WALL;
	kill(w->pid, SIGKILL);
}

static void watch(void *context)
{
	struct pool *p = context;
	uint64_t now = vgm_clock_mono_ms();
	for (size_t i = 0; i < p->wanted; i++)
		watch_worker(p, i, now);
	vgm_timer_in(p->watch, WATCH_EVERY_MS);
}

/* ---- the role ---- */

static int load_directory(struct vgm_role_run *run, struct vgm_directory **out, struct vgm_err *err)
{
	struct vgm_mapping text = {VGM_SLICE_NONE};
	struct stat st;
	if (run->directory_fd < 0) {
		*out = NULL;
		return 0;
	}
	if (fstat(run->directory_fd, &st) < 0)
		return vgm_err_sys(err, "directory file");
	int r = vgm_mapping_open(run->directory_fd, (uint64_t)st.st_size, &text, err);
	if (r == 0)
		r = vgm_directory_parse(text.bytes, out, NULL, err);
	vgm_mapping_release(&text);
	return r;
}

static size_t strength(const struct vgm_role_run *run)
{
	uint64_t n = run->role->id == VGM_ROLE_ADMIT ? run->conf.filter_admit
	    : run->role->id == VGM_ROLE_RENDER       ? run->conf.filter_render
	                                             : run->conf.filter_show;
	return vgm_min_size((size_t)n, WORKERS_MAX);
}

static int prepare(struct vgm_role_run *run, struct vgm_err *err)
{
	struct pool *p = vgm_alloc(sizeof *p);
	sigset_t child, wake;
	p->run = run;
	p->pid = getpid();
	p->wanted = strength(run);
	p->slots = mmap(NULL, WORKERS_MAX * sizeof *p->slots, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p->slots == MAP_FAILED)
		return vgm_err_sys(err, "mapping the pool's slots");
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	/* A worker that is told to leave in its first moment must not die of it. */
	wake_up_set(&wake);
	sigprocmask(SIG_BLOCK, &wake, NULL);
	p->signals = signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC);
	if (p->signals < 0)
		return vgm_err_sys(err, "signalfd");
	p->tools = vgm_seal_tools_new();
	run->state = p;
	return load_directory(run, &p->directory, err);
}

/* Peers come before begin() too: doors are taken from the run's list each time. */
static void find_doors(struct pool *p)
{
	p->doors_count = 0;
	for (size_t i = 0; i < p->run->peers_count; i++) {
		struct vgm_channel *peer = p->run->peers[i];
		if (!is_door(p->run->role->id, vgm_channel_peer(peer)))
			continue;
		VGM_BUG_ON(p->doors_count == VGM_FILTER_DOORS_MAX);
		vgm_channel_pause(peer);
		if (!door_number(peer))
			vgm_channel_set_data(peer, (void *)++p->last_door);
		p->doors[p->doors_count++] = peer;
	}
}

static int begin(struct vgm_role_run *run, struct vgm_err *err)
{
	struct pool *p = run->state;
	(void)err;
	p->signal_io = vgm_io_new(run->loop, p->signals, child_signal, p);
	vgm_io_want(p->signal_io, VGM_IO_READ);
	p->watch = vgm_timer_new(run->loop, "filter watch", watch, p);
	p->again = vgm_timer_new(run->loop, "filter fill", fill, p);
	vgm_timer_in(p->watch, WATCH_EVERY_MS);
	find_doors(p);
	fill(p);
	return 0;
}

static void message(struct vgm_role_run *run, struct vgm_channel *from, int type, void *m)
{
	(void)run;
	(void)from;
	(void)m;
	/* The doors are paused and keyd and ledgerd answer workers, never us. */
	VGM_BUG_ON(type);
}

static void peers_changed(struct vgm_role_run *run, struct vgm_channel *peer)
{
	struct pool *p = run->state;
	(void)peer;
	if (!p || !p->watch)
		return;
	find_doors(p);
	retire_all(p);
	vgm_timer_in(p->again, 1);
}

static void reconfigured(struct vgm_role_run *run)
{
	struct pool *p = run->state;
	struct vgm_directory *fresh;
	struct vgm_err err;
	/* Master has parsed this directory before it sent it. */
	VGM_BUG_ON(load_directory(run, &fresh, &err) < 0);
	vgm_directory_free(&p->directory);
	p->directory = fresh;
	retire_all(p);
}

/* Workers end with their job; the template goes when the last has. */
static void wait_for_workers(void *context)
{
	struct pool *p = context;
	for (size_t i = 0; i < p->wanted; i++)
		if (p->workers[i].pid)
			return;
	vgm_role_done(p->run);
}

static void stop(struct vgm_role_run *run)
{
	struct pool *p = run->state;
	vgm_timer_free(&p->again);
	p->again = vgm_timer_new(run->loop, "filter end", wait_for_workers, p);
	retire_all(p);
	vgm_timer_in(p->again, 1);
}

#define POOL(name, role_id)                                                                        \
	const struct vgm_role name = {                                                             \
	    .id = role_id,                                                                         \
	    .prepare = prepare,                                                                    \
	    .begin = begin,                                                                        \
	    .message = message,                                                                    \
	    .peer_came = peers_changed,                                                            \
	    .peer_gone = peers_changed,                                                            \
	    .reconfigured = reconfigured,                                                          \
	    .stop = stop,                                                                          \
	    .sandbox = {.flags = VGM_SANDBOX_FORK | VGM_SANDBOX_SOCKETPAIR | VGM_SANDBOX_MEMFD},   \
	}

POOL(vgm_role_admit, VGM_ROLE_ADMIT);
POOL(vgm_role_render, VGM_ROLE_RENDER);
POOL(vgm_role_show, VGM_ROLE_SHOW);
