/* SPDX-License-Identifier: EUPL-1.2
 * role/filter_worker.c — one job at a time, blocking, from whichever door has
 * one. The kernel hands each datagram of a shared socket to one worker. */
#include "role/filter_worker.h"

#include "base/clock.h"
#include "base/secret.h"
#include "ipc/allow.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

static bool keeps(const struct vgm_filter_worker *w, int fd)
{
	if (fd <= STDERR_FILENO || fd == w->keyd_fd || fd == w->ledgerd_fd)
		return true;
	for (size_t i = 0; i < w->doors_count; i++)
		if (w->doors[i].fd == fd)
			return true;
	return false;
}

void vgm_filter_worker_close_others(const struct vgm_filter_worker *w)
{
	/* A template holds few descriptors, all of them low numbers. */
	for (int fd = 0; fd < 256; fd++)
		if (!keeps(w, fd))
			close(fd);
}

static void woken(int signal_number)
{
	(void)signal_number; /* only ends ppoll() */
}

/* Which job this is stands in the slot before anything of it is looked at. */
static void note_job(struct vgm_filter_worker *w, size_t door, uint64_t session)
{
	w->slot->door = w->doors[door].number;
	w->slot->session = session;
	w->slot->serial++; /* odd */
	w->deadline_ms = vgm_clock_mono_ms() + w->conf->filter_timeout;
}

static int do_job(struct vgm_filter_worker *w, size_t door, struct vgm_err *err)
{
	void *m = w->job.message;
	int fd = w->doors[door].fd;
	switch (w->job.type) {
	case VGM_MSG_admit:
		note_job(w, door, ((struct vgm_msg_admit *)m)->session);
		return vgm_filter_admit(w, fd, m, err);
	case VGM_MSG_render:
		note_job(w, door, ((struct vgm_msg_render *)m)->session);
		return vgm_filter_render(w, fd, m, err);
	case VGM_MSG_notify:
		note_job(w, door, ((struct vgm_msg_notify *)m)->tag);
		return vgm_filter_notify(w, fd, m, err);
	case VGM_MSG_show:
		note_job(w, door, ((struct vgm_msg_show *)m)->session);
		return vgm_filter_show(w, fd, m, err);
	default:
		vgm_bug(__FILE__, __LINE__, "a job of no filter");
	}
}

/* Takes one job from a door if one is there. Negative: the worker must leave. */
static int serve_door(struct vgm_filter_worker *w, size_t door, uint64_t *done)
{
	struct vgm_err err = {.code = 0};
	struct vgm_filter_door *d = &w->doors[door];
	int r = vgm_ipc_take(d->fd, &w->job, &err);
	if (r == VGM_E_CLOSED) {
		d->fd = -1; /* the template hears of its successor and replaces us */
		return 0;
	}
	if (r <= 0)
		return r;
	/* The table of ipc/allow.c holds here too. */
	VGM_BUG_ON(!vgm_allow_find(d->peer, w->run->role->id, w->job.type));
	r = do_job(w, door, &err);
	vgm_received_clear(&w->job);
	w->slot->serial++; /* even: nothing in hand */
	(*done)++;
	return r == VGM_E_CLOSED ? r : 0;
}

static int wait_for_jobs(struct vgm_filter_worker *w, struct pollfd *polled)
{
	for (size_t i = 0; i < w->doors_count; i++)
		polled[i] = (struct pollfd){.fd = w->doors[i].fd, .events = POLLIN};
	sigset_t none; /* the wake-up signal gets through here and nowhere else */
	sigemptyset(&none);
	if (w->slot->retire)
		return 0;
	int r = ppoll(polled, w->doors_count, NULL, &none);
	return r < 0 && errno != EINTR ? -1 : r;
}

void vgm_filter_worker_run(struct vgm_filter_worker *w)
{
	struct pollfd polled[VGM_FILTER_DOORS_MAX];
	struct sigaction wake = {.sa_handler = woken}; /* no SA_RESTART */
	sigset_t blocked;
	uint64_t done = 0;
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	sigaction(SIGUSR1, &wake, NULL);
	while (!w->retire && !w->slot->retire && done < w->conf->filter_messages) {
		int r = wait_for_jobs(w, polled);
		if (r < 0)
			break;
		for (size_t i = 0; r > 0 && i < w->doors_count && !w->retire; i++)
			if (polled[i].revents && serve_door(w, i, &done) < 0)
				w->retire = true;
	}
	vgm_wipe(w->keys, sizeof w->keys);
	_exit(0);
}
