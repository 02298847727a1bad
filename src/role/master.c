/* SPDX-License-Identifier: EUPL-1.2
 * role/master.c — the life of the gateway: state directory, ports, the units of
 * master_units.c, their deaths and successors, reload, stop. Everything it knows
 * of a unit is which process it is and what is said on descriptor 3. */
#include "role/master.h"

#include "base/clock.h"
#include "directory/directory.h"
#include "ipc/allow.h"
#include "ipc/channel.h"
#include "log/log.h"
#include "net/addr.h"
#include "os/file.h"
#include "os/memfd.h"
#include "os/process.h"
#include "os/sandbox.h"
#include "role/build.h"
#include "role/master_log.h"
#include "role/master_state.h"
#include "role/master_units.h"
#include "role/strikes.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNITS_MAX 16
#define RESTART_FIRST_MS 50
#define RESTART_LAST_MS 1000 /* service is back within two seconds of any death */
#define LIVED_WELL_MS 10000  /* after so long a life the next restart is quick again */
#define STOP_DEADLINE_MS 15000
#define OPTIONS_MAX_BYTES (64u << 20) /* the file may be 4 MB; written out it is longer */

enum { EXIT_BUSY = 3, EXIT_CONF = 4, EXIT_SYSTEM = 5 };

struct unit {
	struct master *master;
	const struct vgm_unit_kind *kind;
	bool wanted;                 /* smtpd's doors without an address are not */
	pid_t pid;                   /* 0 = not running */
	struct vgm_channel *channel; /* NULL once it has gone */
	bool ready;
	uint64_t started_ms, restart_ms;
	struct vgm_timer *restart;
	int directory_fd;
};

struct master {
	struct vgm_loop *loop;
	struct vgm_conf conf;
	const char *conf_path;
	enum vgm_lang lang;
	struct vgm_master_state state; /* directories, sockets, directory file */
	struct unit units[UNITS_MAX];
	uint32_t conf_version;
	bool announced, stopping;
	unsigned stop_stage;
	uint64_t stage_since_ms;
	struct vgm_timer *stop_timer;
	int signals;
	struct vgm_io *signal_io;
	struct vgm_strikes strikes;
	struct vgm_msg_room room; /* as ledgerd said last */
	bool room_known;
	int status;
};

/* ---- starting a unit ---- */

static int send_configuration(struct master *m, struct unit *u)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf options = VGM_BUF_INIT(OPTIONS_MAX_BYTES);
	int r = vgm_conf_write(&m->conf, u->kind->conf_roles, true, &options);
	int options_fd = -1;
	/* Thousands of machines do not fit a datagram. */
	if (r == 0)
		r = vgm_memfd_of("vgm-options", vgm_buf_slice(&options), &options_fd, NULL);
	if (r < 0)
		return r;
	bool reads_people = u->kind->role == VGM_ROLE_SMTPD || u->kind->role == VGM_ROLE_LEDGERD ||
	    u->kind->conf_roles == C_FILTER;
	struct vgm_msg_configure c = {.build = vgm_slice_str(vgm_build_id()),
	    .instance = (uint8_t)u->kind->instance, .version = m->conf_version,
	    .options_size = options.len, .options = options_fd,
	    .directory = reads_people ? m->state.people_fd : -1, .extra = u->directory_fd,
	    .ledger = -1};
	if (u->kind->role == VGM_ROLE_VIEWD)
		c.ledger = vgm_master_directory(&m->state, "ledger");
	r = vgm_channel_send(u->channel, VGM_MSG_configure, &c);
	close(options_fd);
	return r;
}

static int send_listeners(struct master *m, struct unit *u)
{
	for (size_t i = 0; i < m->state.listeners_count; i++) {
		const struct vgm_master_listener *l = &m->state.listeners[i];
		if (l->role != u->kind->role || l->instance != u->kind->instance)
			continue;
		struct vgm_msg_listener message = {.tls = l->tls, .socket = l->fd};
		int r = vgm_channel_send(u->channel, VGM_MSG_listener, &message);
		if (r < 0)
			return r;
	}
	return 0;
}

static int send_peer(struct unit *to, const struct unit *other, int fd)
{
	struct vgm_msg_peer peer = {.role = (uint8_t)other->kind->role,
	    .instance = (uint8_t)other->kind->instance, .channel = fd};
	return vgm_channel_send(to->channel, VGM_MSG_peer, &peer);
}

/* New channels between u and every running unit that it is linked with. At the
 * first start each pair is made once, by the later of the two. */
static int link_unit(struct master *m, struct unit *u)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < vgm_unit_link_count; i++) {
		size_t other;
		int ends[2];
		if (!vgm_unit_link_of(&vgm_unit_links[i], (size_t)(u - m->units), &other) ||
		    !m->units[other].channel)
			continue;
		r = vgm_ipc_pair(ends, true, NULL);
		if (r < 0)
			break;
		r = send_peer(u, &m->units[other], ends[0]);
		/* The other may be dying itself: its successor will be linked again. */
		(void)send_peer(&m->units[other], u, ends[1]);
		close(ends[0]);
		close(ends[1]);
	}
	return r;
}

static void unit_message(void *context, struct vgm_channel *from, int type, void *message);

static void unit_closed(void *context, struct vgm_channel *from)
{
	struct unit *u = context;
	(void)from;
	u->channel = NULL; /* its death is seen by SIGCHLD */
}

/* Everything but START, which comes when its peers are there too. */
static int start_unit(struct master *m, struct unit *u, struct vgm_err *err)
{
	int ends[2];
	int r = vgm_ipc_pair(ends, true, err);
	if (r < 0)
		return r;
	r = vgm_process_start_role(vgm_role_name(u->kind->role), ends[1], &u->pid, err);
	close(ends[1]);
	if (r < 0) {
		close(ends[0]);
		return r;
	}
	struct vgm_channel_events events = {unit_message, unit_closed, u};
	u->channel = vgm_channel_new(
	    m->loop, ends[0], VGM_ROLE_MASTER, u->kind->role, u->kind->instance, events);
	u->ready = false;
	u->started_ms = vgm_clock_mono_ms();
	if (send_configuration(m, u) < 0 || send_listeners(m, u) < 0 || link_unit(m, u) < 0)
		return vgm_err_set(
		    err, VGM_E_IO, "telling %s its part", vgm_role_name(u->kind->role));
	return 0;
}

static int send_start(struct unit *u)
{
	struct vgm_msg_start start;
	return u->channel ? vgm_channel_send(u->channel, VGM_MSG_start, &start) : VGM_E_CLOSED;
}

static void restart_unit(void *context)
{
	struct unit *u = context;
	struct vgm_err err = {.code = 0};
	if (u->master->stopping)
		return;
	int r = start_unit(u->master, u, &err);
	if (r == 0 && send_start(u) == 0)
		return;
	if (r == 0)
		vgm_err_set(
		    &err, VGM_E_CLOSED, "%s ended at its start", vgm_role_name(u->kind->role));
	vgm_master_log_failure("restart_failed", &err);
	if (u->pid == 0)
		vgm_timer_in(u->restart, RESTART_LAST_MS);
}

/* ---- what units say ---- */

static const char *door_name(const struct master *m, enum vgm_instance instance)
{
	const struct vgm_master_listener *l =
	    vgm_master_listener_of(&m->state, VGM_ROLE_SMTPD, instance);
	return l ? l->name : "-";
}

static void announce(struct master *m)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf text = VGM_BUF_INIT(4096);
	for (size_t i = 0; i < vgm_unit_count; i++)
		if (m->units[i].wanted && !m->units[i].ready)
			return;
	if (m->announced)
		return;
	m->announced = true;
	if (vgm_words_fill(VGM_WORDS_master_ready, m->lang, &text, "receive",
	        door_name(m, VGM_INSTANCE_RECEIVE), "submit", door_name(m, VGM_INSTANCE_SUBMIT),
	        "state", m->conf.state, NULL) == 0)
		printf("%s\n", vgm_buf_str(&text));
	fflush(stdout);
}

static uint64_t wall_s(void)
{
	return vgm_clock_wall_us() / 1000000;
}

static void struck(struct unit *u, uint8_t kind, const struct vgm_strike *s)
{
	struct vgm_msg_struck message = {.kind = kind, .body_size = s->body_size};
	memcpy(message.body_sha256, s->body_sha256, sizeof message.body_sha256);
	memcpy(message.network, s->network, sizeof message.network);
	if (u->channel && u->kind->role == VGM_ROLE_SMTPD)
		vgm_channel_offer(u->channel, VGM_MSG_struck, &message);
}

/* What a door must know of this strike's body and network. */
static void tell_strike(struct master *m, struct unit *u, const struct vgm_strike *s)
{
	if (vgm_strikes_of_body(&m->strikes, s->body_sha256, wall_s()) >= VGM_STRIKES_OF_BODY)
		struck(u, 1, s);
	if (vgm_strikes_of_network(&m->strikes, s->network, wall_s()) >= VGM_STRIKES_OF_NETWORK)
		struck(u, 2, s);
}

static void send_strikes(struct master *m, struct unit *u)
{
	for (size_t i = 0; i < m->strikes.count; i++)
		tell_strike(m, u, &m->strikes.strike[i]);
}

static void send_room(struct master *m, struct unit *u)
{
	if (m->room_known && u->channel && u->kind->role == VGM_ROLE_SMTPD)
		vgm_channel_offer(u->channel, VGM_MSG_room, &m->room);
}

static void save_strikes(struct master *m)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf bytes = VGM_BUF_INIT(1 << 20);
	struct vgm_err err;
	int r = vgm_strikes_write(&m->strikes, &bytes);
	if (r == 0)
		r = vgm_file_replace_at(
		    m->state.state_fd, "strikes", vgm_buf_slice(&bytes), 0600, &err);
	if (r < 0)
		vgm_master_log_failure("strikes_not_saved", &err);
}

static void on_strike(struct master *m, const struct vgm_msg_strike *s)
{
	struct vgm_strike strike = {.body_size = s->body_size, .at_s = wall_s()};
	memcpy(strike.body_sha256, s->body_sha256, sizeof strike.body_sha256);
	memcpy(strike.network, s->network, sizeof strike.network);
	vgm_strikes_add(&m->strikes, &strike);
	save_strikes(m);
	struct vgm_log_line line;
	vgm_log_start(&line, VGM_LOG_ERROR, "strike");
	vgm_log_hex(&line, "body", s->body_sha256, sizeof s->body_sha256);
	vgm_log_u64(&line, "size", s->body_size);
	vgm_log_u64(&line, "count", vgm_strikes_of_body(&m->strikes, s->body_sha256, strike.at_s));
	vgm_log_u64(&line, "cause", s->cause);
	vgm_log_end(&line);
	for (size_t i = 0; i < vgm_unit_count; i++)
		tell_strike(m, &m->units[i], &strike);
}

static void unit_message(void *context, struct vgm_channel *from, int type, void *message)
{
	struct unit *u = context;
	(void)from;
	switch (type) {
	case VGM_MSG_ready:
		u->ready = true;
		send_strikes(u->master, u);
		send_room(u->master, u);
		announce(u->master);
		break;
	case VGM_MSG_log: {
		const struct vgm_msg_log *log = message;
		vgm_log_to_stderr(NULL, (enum vgm_log_level)log->level, log->line);
		break;
	}
	case VGM_MSG_room:
		u->master->room = *(const struct vgm_msg_room *)message;
		u->master->room_known = true;
		for (size_t i = 0; i < vgm_unit_count; i++)
			send_room(u->master, &u->master->units[i]);
		break;
	case VGM_MSG_strike:
		on_strike(u->master, message);
		break;
	default:
		VGM_BUG_ON(true);
	}
}

/* ---- deaths and the end ---- */

static bool stage_runs(const struct master *m, unsigned stage)
{
	for (size_t i = 0; i < vgm_unit_count; i++)
		if (m->units[i].pid && m->units[i].kind->stop_stage == stage)
			return true;
	return false;
}

static unsigned last_stage(void)
{
	unsigned last = 0;
	for (size_t i = 0; i < vgm_unit_count; i++)
		last = vgm_unit_kinds[i].stop_stage > last ? vgm_unit_kinds[i].stop_stage : last;
	return last;
}

static void enter_stage(struct master *m, unsigned stage)
{
	static const struct vgm_msg_stop stop;
	m->stop_stage = stage;
	m->stage_since_ms = vgm_clock_mono_ms();
	for (size_t i = 0; i < vgm_unit_count; i++)
		if (m->units[i].channel && m->units[i].kind->stop_stage == stage)
			vgm_channel_offer(m->units[i].channel, VGM_MSG_stop, &stop);
}

/* A unit has ended, or its stage's time is over. */
static void go_on_stopping(void *context)
{
	struct master *m = context;
	while (!stage_runs(m, m->stop_stage)) {
		if (m->stop_stage == last_stage()) {
			vgm_loop_stop(m->loop);
			return;
		}
		enter_stage(m, m->stop_stage + 1);
	}
	uint64_t spent = vgm_clock_mono_ms() - m->stage_since_ms;
	if (spent < STOP_DEADLINE_MS) {
		vgm_timer_in(m->stop_timer, STOP_DEADLINE_MS - spent);
		return;
	}
	for (size_t i = 0; i < vgm_unit_count; i++)
		if (m->units[i].pid && m->units[i].kind->stop_stage == m->stop_stage)
			kill(m->units[i].pid, SIGKILL);
}

static void begin_stop(struct master *m)
{
	if (m->stopping)
		return;
	m->stopping = true;
	enter_stage(m, 0);
	vgm_timer_in(m->stop_timer, 0);
}

static void unit_died(struct master *m, struct unit *u, int status)
{
	uint64_t lived = vgm_clock_mono_ms() - u->started_ms;
	u->pid = 0;
	u->ready = false;
	vgm_channel_free(&u->channel);
	if (m->stopping) {
		if (status != 0)
			vgm_master_log_unit(VGM_LOG_WARNING, "role_ended_badly", u->kind, status);
		vgm_timer_in(m->stop_timer, 0);
		return;
	}
	/* keyd, to read new certificates. */
	bool meant = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	vgm_master_log_unit(meant ? VGM_LOG_INFO : VGM_LOG_ERROR,
	    meant ? "role_restarts" : "role_died", u->kind, status);
	/* Before the first time that all serve, a role that cannot start is the end. */
	if (!m->announced && WIFEXITED(status) && !meant) {
		m->status = EXIT_SYSTEM;
		begin_stop(m);
		return;
	}
	bool quick = meant || lived > LIVED_WELL_MS || u->restart_ms == 0;
	u->restart_ms = quick ? RESTART_FIRST_MS : u->restart_ms * 2;
	if (u->restart_ms > RESTART_LAST_MS)
		u->restart_ms = RESTART_LAST_MS;
	vgm_timer_in(u->restart, meant ? 0 : u->restart_ms);
}

/* ---- reload ---- */

/* The old configuration stays unless all of the new one is good. */
static void reload(struct master *m)
{
	struct vgm_conf fresh;
	struct vgm_conf_fault fault = {.line = 0};
	struct vgm_err err = {.code = 0};
	int people = -1;
	if (!m->conf_path)
		return;
	int r = vgm_master_read_conf(m->conf_path, &fresh, &fault, &err);
	if (r < 0) {
		if (fault.path[0] || fault.line)
			vgm_master_log_fault(&fault);
		else
			vgm_master_log_failure("reload_refused", &err);
		return;
	}
	r = vgm_master_check_tls(&fresh, &err);
	if (r == 0)
		r = vgm_master_read_people(&fresh, &people, &err);
	if (r < 0) {
		vgm_conf_release(&fresh);
		vgm_master_log_failure("reload_refused", &err);
		return;
	}
	vgm_master_log_restart_needed(&m->conf, &fresh);
	/* Roles must agree on these, those too that are started anew: a key that keyd
	 * wrapped for one entity does not open for another. */
	vgm_conf_keep(&fresh, &m->conf);
	vgm_conf_release(&m->conf);
	m->conf = fresh;
	m->conf_version = vgm_master_conf_version(&m->conf);
	if (m->state.people_fd >= 0)
		close(m->state.people_fd);
	m->state.people_fd = people;
	for (size_t i = 0; i < vgm_unit_count; i++)
		if (m->units[i].channel)
			(void)send_configuration(m, &m->units[i]);
	struct vgm_log_line line;
	vgm_log_start(&line, VGM_LOG_INFO, "reloaded");
	vgm_log_u64(&line, "version", m->conf_version);
	vgm_log_end(&line);
}

/* ---- signals ---- */

static void reap(struct master *m)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (size_t i = 0; i < vgm_unit_count; i++)
			if (m->units[i].pid == pid)
				unit_died(m, &m->units[i], status);
}

static void on_signal(void *context, unsigned events)
{
	struct master *m = context;
	struct signalfd_siginfo info;
	(void)events;
	while (read(m->signals, &info, sizeof info) == (ssize_t)sizeof info) {
		if (info.ssi_signo == SIGCHLD)
			reap(m);
		else if (info.ssi_signo == SIGHUP)
			reload(m);
		else
			begin_stop(m);
	}
}

static int watch_signals(struct master *m, struct vgm_err *err)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	m->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (m->signals < 0)
		return vgm_err_sys(err, "signalfd");
	m->signal_io = vgm_io_new(m->loop, m->signals, on_signal, m);
	vgm_io_want(m->signal_io, VGM_IO_READ);
	return 0;
}

/* ---- the life ---- */

static void load_strikes(struct master *m)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf bytes = VGM_BUF_INIT(1 << 20);
	struct vgm_err err;
	int r = vgm_file_read_at(m->state.state_fd, "strikes", &bytes, &err);
	if (r == 0)
		r = vgm_strikes_read(vgm_buf_slice(&bytes), &m->strikes, &err);
	if (r < 0 && r != VGM_E_NOTFOUND)
		vgm_master_log_failure("strikes_not_read", &err);
}

static int start_all(struct master *m, struct vgm_err *err)
{
	for (size_t i = 0; i < vgm_unit_count; i++) {
		struct unit *u = &m->units[i];
		*u = (struct unit){.master = m, .kind = &vgm_unit_kinds[i], .directory_fd = -1};
		u->wanted = u->kind->role != VGM_ROLE_SMTPD ||
		    vgm_master_listener_of(&m->state, u->kind->role, u->kind->instance);
		u->restart = vgm_timer_new(m->loop, "restart", restart_unit, u);
		if (u->kind->directory)
			u->directory_fd = vgm_master_directory(&m->state, u->kind->directory);
	}
	for (size_t i = 0; i < vgm_unit_count; i++) {
		int r = m->units[i].wanted ? start_unit(m, &m->units[i], err) : 0;
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < vgm_unit_count; i++)
		if (m->units[i].wanted && send_start(&m->units[i]) < 0)
			return vgm_err_set(err, VGM_E_CLOSED, "a role ended at its start");
	return 0;
}

static int open_all(struct master *m, struct vgm_err *err)
{
	int r = vgm_master_state_open(&m->conf, &m->state, err);
	if (r == 0)
		r = vgm_master_read_people(&m->conf, &m->state.people_fd, err);
	if (r == 0)
		r = vgm_sandbox_drop_user(m->conf.user, err);
	if (r == 0)
		r = watch_signals(m, err);
	return r;
}

static void set_up_log(const struct vgm_conf *conf)
{
	enum vgm_log_level level = VGM_LOG_INFO;
	(void)vgm_log_level_parse(conf->log_level, &level);
	vgm_log_setup("master", level, conf->log_personal, vgm_log_to_stderr, NULL);
}

static void release(struct master *m)
{
	for (size_t i = 0; i < vgm_unit_count; i++) {
		vgm_channel_free(&m->units[i].channel);
		vgm_timer_free(&m->units[i].restart);
	}
	vgm_timer_free(&m->stop_timer);
	vgm_io_free(&m->signal_io);
	vgm_loop_free(&m->loop);
	vgm_master_state_release(&m->state);
	vgm_conf_release(&m->conf);
	vgm_free(m);
}

int vgm_master_run(struct vgm_conf *conf, const char *conf_path, enum vgm_lang lang)
{
	struct master *m = vgm_alloc(sizeof *m);
	struct vgm_err err = {.code = 0};
	*m = (struct master){.conf = *conf, .conf_path = conf_path, .lang = lang};
	set_up_log(&m->conf);
	vgm_master_log_platform();
	m->conf_version = vgm_master_conf_version(&m->conf);
	m->loop = vgm_loop_new();
	m->stop_timer = vgm_timer_new(m->loop, "stop", go_on_stopping, m);
	int r = open_all(m, &err);
	if (r == 0) {
		load_strikes(m);
		r = start_all(m, &err);
	}
	if (r == 0) {
		vgm_loop_run(m->loop);
	} else {
		fprintf(stderr, "vgm: %s\n", err.text);
		m->status = r == VGM_E_BUSY	 ? EXIT_BUSY
			    : r == VGM_E_INVALID ? EXIT_CONF
						 : EXIT_SYSTEM;
		for (size_t i = 0; i < vgm_unit_count; i++)
			if (m->units[i].pid)
				kill(m->units[i].pid, SIGKILL);
	}
	int status = m->status;
	release(m);
	return status;
}
