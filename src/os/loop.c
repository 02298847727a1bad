/* SPDX-License-Identifier: EUPL-1.2
 * os/loop.c — see loop.h. Rounds are libevent's EVLOOP_ONCE, so that "after all
 * that was ready" has a meaning. */
#include "os/loop.h"

#include <event2/event.h>

struct vgm_loop {
	struct event_base *base;
	void (*on_round)(void *);
	void *round_context;
	bool stopping;
};

struct vgm_io {
	struct vgm_loop *loop;
	struct event *event;
	int fd;
	unsigned wanted;
	void (*callback)(void *, unsigned);
	void *context;
};

struct vgm_timer {
	struct event *event;
	const char *name;
	void (*callback)(void *);
	void *context;
};

struct vgm_loop *vgm_loop_new(void)
{
	struct vgm_loop *loop = vgm_alloc(sizeof *loop);
	struct event_config *config = event_config_new();
	VGM_BUG_ON(!config);
	/* Timers that follow no one's clock changes, without a call per round. */
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	loop->base = event_base_new_with_config(config);
	event_config_free(config);
	VGM_BUG_ON(!loop->base);
	return loop;
}

void vgm_loop_free(struct vgm_loop **loop)
{
	if (!*loop)
		return;
	event_base_free((*loop)->base);
	vgm_free(*loop);
	*loop = NULL;
}

void vgm_loop_run(struct vgm_loop *loop)
{
	loop->stopping = false;
	while (!loop->stopping) {
		int r = event_base_loop(loop->base, EVLOOP_ONCE);
		VGM_BUG_ON(r < 0);
		if (loop->on_round)
			loop->on_round(loop->round_context);
		if (r == 1) /* nothing is watched any more */
			break;
	}
}

void vgm_loop_stop(struct vgm_loop *loop)
{
	loop->stopping = true;
	event_base_loopbreak(loop->base);
}

void vgm_loop_on_round(struct vgm_loop *loop, void (*callback)(void *), void *context)
{
	loop->on_round = callback;
	loop->round_context = context;
}

static void io_ready(evutil_socket_t fd, short what, void *context)
{
	struct vgm_io *io = context;
	(void)fd;
	unsigned events =
	    (what & EV_READ ? VGM_IO_READ : 0u) | (what & EV_WRITE ? VGM_IO_WRITE : 0u);
	io->callback(io->context, events);
}

struct vgm_io *vgm_io_new(
    struct vgm_loop *loop, int fd, void (*callback)(void *, unsigned), void *context)
{
	struct vgm_io *io = vgm_alloc(sizeof *io);
	*io = (struct vgm_io){.loop = loop, .fd = fd, .callback = callback, .context = context};
	io->event = event_new(loop->base, fd, 0, io_ready, io);
	VGM_BUG_ON(!io->event);
	return io;
}

void vgm_io_want(struct vgm_io *io, unsigned events)
{
	if (events == io->wanted)
		return;
	if (io->wanted)
		event_del(io->event);
	io->wanted = events;
	if (!events)
		return;
	short what = (short)(EV_PERSIST | (events & VGM_IO_READ ? EV_READ : 0) |
	    (events & VGM_IO_WRITE ? EV_WRITE : 0));
	VGM_BUG_ON(event_assign(io->event, io->loop->base, io->fd, what, io_ready, io) < 0);
	VGM_BUG_ON(event_add(io->event, NULL) < 0);
}

void vgm_io_free(struct vgm_io **io)
{
	if (!*io)
		return;
	event_free((*io)->event);
	vgm_free(*io);
	*io = NULL;
}

static void timer_due(evutil_socket_t fd, short what, void *context)
{
	struct vgm_timer *timer = context;
	(void)fd;
	(void)what;
	timer->callback(timer->context);
}

struct vgm_timer *vgm_timer_new(
    struct vgm_loop *loop, const char *name, void (*callback)(void *), void *context)
{
	struct vgm_timer *timer = vgm_alloc(sizeof *timer);
	*timer = (struct vgm_timer){.name = name, .callback = callback, .context = context};
	timer->event = event_new(loop->base, -1, 0, timer_due, timer);
	VGM_BUG_ON(!timer->event);
	return timer;
}

void vgm_timer_in(struct vgm_timer *timer, uint64_t ms)
{
	struct timeval tv = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};
	VGM_BUG_ON(event_add(timer->event, &tv) < 0);
}

void vgm_timer_off(struct vgm_timer *timer)
{
	event_del(timer->event);
}

bool vgm_timer_is_set(const struct vgm_timer *timer)
{
	return event_pending(timer->event, EV_TIMEOUT, NULL) != 0;
}

void vgm_timer_free(struct vgm_timer **timer)
{
	if (!*timer)
		return;
	event_free((*timer)->event);
	vgm_free(*timer);
	*timer = NULL;
}
