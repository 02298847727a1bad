/* SPDX-License-Identifier: EUPL-1.2
 * os/loop.h — the event loop of a process (libevent inside, hidden).
 *
 * One thread, no callback may block: DNS, files of unknown speed and SQL belong
 * to other processes. A callback may free its own io or timer. */
#ifndef VGM_OS_LOOP_H
#define VGM_OS_LOOP_H

#include "base/base.h"

struct vgm_loop;
struct vgm_io;
struct vgm_timer;

enum { VGM_IO_READ = 1, VGM_IO_WRITE = 2 };

/* life cycle */
struct vgm_loop *vgm_loop_new(void); /* aborts when the kernel has no epoll left to give */
void vgm_loop_free(struct vgm_loop **);
void vgm_loop_run(struct vgm_loop *); /* until vgm_loop_stop */
void vgm_loop_stop(struct vgm_loop *);

/* Called once after each round of ready events: the place where what the round
 * gathered is done together (ledgerd's group commit). */
void vgm_loop_on_round(struct vgm_loop *, void (*callback)(void *context), void *context);

/* Watches fd, which stays the caller's. Starts wanting nothing. */
struct vgm_io *vgm_io_new(struct vgm_loop *, int fd,
    void (*callback)(void *context, unsigned events), void *context);
void vgm_io_want(struct vgm_io *, unsigned events); /* VGM_IO_*, level triggered */
void vgm_io_free(struct vgm_io **);

/* One-shot. The name is for traces; it must outlive the timer. */
struct vgm_timer *vgm_timer_new(struct vgm_loop *, const char *name,
    void (*callback)(void *context), void *context);
void vgm_timer_in(struct vgm_timer *, uint64_t ms); /* sets or moves it */
void vgm_timer_off(struct vgm_timer *);
bool vgm_timer_is_set(const struct vgm_timer *);
void vgm_timer_free(struct vgm_timer **);

#endif
