/* SPDX-License-Identifier: EUPL-1.2
 * ipc/channel.h — messages over one SOCK_SEQPACKET socket, in two ways of use:
 *
 * - blocking, for filter workers, commands and smtpd's handshake signature:
 *   vgm_ipc_send, vgm_ipc_receive, vgm_ipc_call, each with a deadline;
 * - in a loop, for daemons: struct vgm_channel, which checks each message
 *   against the who-may-ask table (ipc/allow.h) before its handler sees it.
 *
 * A malformed or forbidden message from a sibling is a bug or a break-in: the
 * reader stops (VGM_BUG). From VGM_ROLE_CONTROL and VGM_INSTANCE_WORKER it only
 * closes that line. */
#ifndef VGM_IPC_CHANNEL_H
#define VGM_IPC_CHANNEL_H

#include "ipc/codec.h"
#include "os/loop.h"

/* One received message. Release after use: closes descriptors left in it. Messages
 * that carry keys (vgm_msg_is_secret) are wiped by clear and release, and so are
 * the buffers that they were sent from. */
struct vgm_received {
	int type;            /* enum vgm_msg_type; 0 when nothing was received */
	void *message;       /* struct vgm_msg_<name>, in arena */
	struct vgm_arena arena;
	uint8_t *bytes;      /* what slices borrow from */
};
#define VGM_RECEIVED_INIT {0, NULL, VGM_ARENA_INIT(4u << 20), NULL}
void vgm_received_clear(struct vgm_received *);   /* for the next message */
void vgm_received_release(struct vgm_received *);

/* Both ends, close-on-exec, non-blocking when asked. VGM_E_IO. */
int vgm_ipc_pair(int out_fds[2], bool nonblocking, struct vgm_err *) VGM_MUST_USE;

/* ---- blocking ----
 * deadline_ms is on vgm_clock_mono_ms. VGM_E_TIMEOUT, VGM_E_CLOSED, VGM_E_IO;
 * receive also VGM_E_INVALID, VGM_E_VERSION. The descriptors of a sent message
 * stay the caller's. */
int vgm_ipc_send(int fd, enum vgm_msg_type, const void *message, uint64_t deadline_ms,
    struct vgm_err *) VGM_MUST_USE;
int vgm_ipc_receive(int fd, struct vgm_received *, uint64_t deadline_ms, struct vgm_err *)
    VGM_MUST_USE;
/* Receives if a message is there now: 1, or 0 when none is. For several readers
 * of one socket. */
int vgm_ipc_take(int fd, struct vgm_received *, struct vgm_err *) VGM_MUST_USE;
/* Sends, then receives; any type but answer_type is VGM_E_INVALID. */
int vgm_ipc_call(int fd, enum vgm_msg_type, const void *message, enum vgm_msg_type answer_type,
    struct vgm_received *answer, uint64_t deadline_ms, struct vgm_err *) VGM_MUST_USE;

/* ---- in a loop ---- */
struct vgm_channel;
typedef void vgm_channel_handler(
    void *context, struct vgm_channel *from, int type, void *message);

struct vgm_channel_events {
	vgm_channel_handler *message;                            /* a permitted message */
	void (*closed)(
	    void *context, struct vgm_channel *from); /* the other end has gone; the
						       * channel is freed after the call */
	void *context;
};

/* Takes fd over (non-blocking is set). me and peer choose the rows of ipc/allow.h. */
struct vgm_channel *vgm_channel_new(struct vgm_loop *, int fd, enum vgm_role_id me,
    enum vgm_role_id peer, enum vgm_instance peer_instance, struct vgm_channel_events);
void vgm_channel_free(struct vgm_channel **);

/* Sends now or, when the socket is full, as soon as it is not; descriptors are
 * duplicated if they must wait. VGM_E_LIMIT when too much waits already
 * (20,000 messages or 64 MB): the peer does not keep up. VGM_E_CLOSED. */
int vgm_channel_send(struct vgm_channel *, enum vgm_msg_type, const void *message) VGM_MUST_USE;
/* The same for what a peer that has gone, or does not keep up, need not hear. */
static inline void vgm_channel_offer(
    struct vgm_channel *to, enum vgm_msg_type type, const void *message)
{
	int r = vgm_channel_send(to, type, message);
	(void)r;
}
/* Handles what has arrived on this channel now, without waiting (keyd: a job
 * before the worker that asks for it). */
void vgm_channel_drain(struct vgm_channel *);
/* Stops reading: a filter template, whose workers read the jobs. Sending goes on;
 * that the other end has gone is not seen any more. Returns the descriptor, which
 * stays the channel's. */
int vgm_channel_pause(struct vgm_channel *);
bool vgm_channel_is_paused(const struct vgm_channel *);
size_t vgm_channel_waiting(const struct vgm_channel *); /* messages not yet sent */
enum vgm_role_id vgm_channel_peer(const struct vgm_channel *);
enum vgm_instance vgm_channel_instance(const struct vgm_channel *);
void *vgm_channel_data(const struct vgm_channel *); /* the handler's own, NULL at first */
void vgm_channel_set_data(struct vgm_channel *, void *);

#endif
