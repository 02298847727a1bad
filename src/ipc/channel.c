/* SPDX-License-Identifier: EUPL-1.2
 * ipc/channel.c — see channel.h. One datagram is one message; a reader that
 * sees a cut one, or descriptors that no field names, refuses it. */
#include "ipc/channel.h"

#include "base/clock.h"
#include "base/secret.h"
#include "ipc/allow.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVE_BYTES (VGM_MSG_MAX_BYTES + 1) /* one more: a longer datagram shows */
#define ROUND_MESSAGES 64  /* read from one channel before others have their turn */
#define QUEUE_MESSAGES 20000
#define QUEUE_BYTES (64u << 20)
#define SOCKET_BUFFER (1 << 20)
#define SECRET_BYTES 4096 /* more than any message that carries keys */

/* ---- received messages ---- */

void vgm_received_clear(struct vgm_received *r)
{
	if (r->message)
		vgm_msg_close_fds(r->type, r->message);
	if (r->message && vgm_msg_is_secret(r->type)) {
		vgm_msg_wipe(r->type, r->message);
		vgm_wipe(r->bytes, SECRET_BYTES);
	}
	r->type = 0;
	r->message = NULL;
	vgm_arena_clear(&r->arena);
}

void vgm_received_release(struct vgm_received *r)
{
	vgm_received_clear(r);
	vgm_arena_release(&r->arena);
	vgm_free(r->bytes);
	r->bytes = NULL;
}

/* ---- one datagram ---- */

static void close_all(struct vgm_fds *fds)
{
	for (size_t i = 0; i < fds->count; i++)
		close(fds->fd[i]);
	fds->count = 0;
}

static void take_fds(struct msghdr *msg, struct vgm_fds *fds)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			if (fds->count < VGM_MSG_MAX_FDS)
				fds->fd[fds->count++] = fd;
			else
				close(fd);
		}
	}
}

/* Room for a message that carries keys, so that its bytes never move and leave a
 * copy behind. */
static void reserve(struct vgm_buf *out, enum vgm_msg_type type)
{
	uint8_t *unused;
	if (!vgm_msg_is_secret((int)type))
		return;
	VGM_BUG_ON(vgm_buf_extend(out, SECRET_BYTES, &unused) < 0);
	vgm_buf_clear(out);
}

/* What was sent, or copied to be sent, has no more business in this buffer. */
static void forget(struct vgm_buf *out, enum vgm_msg_type type)
{
	if (!vgm_msg_is_secret((int)type))
		return;
	VGM_BUG_ON(out->len > SECRET_BYTES);
	vgm_wipe(out->data, out->len);
}

/* Reads and decodes one message if one is there. 1 = yes, 0 = none now. */
static int receive_one(int fd, struct vgm_received *r, struct vgm_err *err)
{
	struct vgm_fds fds = {.count = 0};
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * VGM_MSG_MAX_FDS)];
	} control;
	vgm_received_clear(r);
	if (!r->bytes)
		r->bytes = vgm_alloc(RECEIVE_BYTES);
	struct iovec iov = {r->bytes, RECEIVE_BYTES};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room,
	    .msg_controllen = sizeof control.room};
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0 && errno != ECONNRESET)
		return vgm_err_sys(err, "recvmsg");
	if (n >= 0)
		take_fds(&msg, &fds);
	if (n <= 0) {
		close_all(&fds); /* an empty datagram can bring some */
		return vgm_err_set(err, VGM_E_CLOSED, "the other end has gone");
	}
	struct vgm_slice bytes = vgm_slice(r->bytes, (size_t)n);
	int type = vgm_msg_type(bytes);
	int result = VGM_E_INVALID;
	if (n > VGM_MSG_MAX_BYTES || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		vgm_err_set(err, result, "a message over the limit");
	else if (!vgm_msg_name(type))
		vgm_err_set(err, result, "a message of unknown type %d", type);
	else {
		void *message = vgm_arena_alloc(&r->arena, 1, vgm_msg_struct_size(type));
		VGM_BUG_ON(!message);
		result =
		    vgm_msg_decode((enum vgm_msg_type)type, bytes, &fds, &r->arena, message, err);
		if (result == 0) {
			r->type = type;
			r->message = message;
			return 1;
		}
	}
	close_all(&fds);
	return result;
}

/* 1 = sent, 0 = the socket is full. */
static int send_bytes(
    int fd, struct vgm_slice bytes, const struct vgm_fds *fds, struct vgm_err *err)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * VGM_MSG_MAX_FDS)];
	} control = {.align = {0}};
	struct iovec iov = {(void *)(uintptr_t)bytes.data, bytes.len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	if (fds->count) {
		size_t len = sizeof(int) * fds->count;
		msg.msg_control = control.room;
		msg.msg_controllen = CMSG_SPACE(len);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(len);
		memcpy(CMSG_DATA(c), fds->fd, len);
	}
	ssize_t n;
	do
		n = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	/* ETOOMANYREFS: too many descriptors under way; it passes as they are taken. */
	if (n < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS))
		return 0;
	if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
		return vgm_err_set(err, VGM_E_CLOSED, "the other end has gone");
	if (n < 0)
		return vgm_err_sys(err, "sendmsg");
	return 1;
}

int vgm_ipc_pair(int out_fds[2], bool nonblocking, struct vgm_err *err)
{
	int type = SOCK_SEQPACKET | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0);
	int fds[2], size = SOCKET_BUFFER;
	if (socketpair(AF_UNIX, type, 0, fds) < 0)
		return vgm_err_sys(err, "socketpair");
	for (int i = 0; i < 2; i++)
		/* Best effort: the system's own maximum holds for ordinary users. */
		(void)setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	out_fds[0] = fds[0];
	out_fds[1] = fds[1];
	return 0;
}

/* ---- blocking ---- */

static int wait_for(int fd, short events, uint64_t deadline_ms, struct vgm_err *err)
{
	uint64_t now = vgm_clock_mono_ms();
	if (now >= deadline_ms)
		return vgm_err_set(err, VGM_E_TIMEOUT, "no answer in time");
	uint64_t left = deadline_ms - now;
	struct pollfd p = {.fd = fd, .events = events};
	if (poll(&p, 1, left > INT_MAX ? INT_MAX : (int)left) < 0 && errno != EINTR)
		return vgm_err_sys(err, "poll");
	return 0;
}

int vgm_ipc_send(int fd, enum vgm_msg_type type, const void *message, uint64_t deadline_ms,
    struct vgm_err *err)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf out = VGM_BUF_INIT(VGM_MSG_MAX_BYTES);
	struct vgm_fds fds = {.count = 0};
	reserve(&out, type);
	int r = vgm_msg_encode(type, message, &out, &fds, err);
	while (r == 0) {
		r = send_bytes(fd, vgm_buf_slice(&out), &fds, err);
		if (r == 0)
			r = wait_for(fd, POLLOUT, deadline_ms, err);
	}
	forget(&out, type);
	return r < 0 ? r : 0;
}

int vgm_ipc_receive(
    int fd, struct vgm_received *received, uint64_t deadline_ms, struct vgm_err *err)
{
	for (;;) {
		int r = wait_for(fd, POLLIN, deadline_ms, err);
		if (r == 0)
			r = receive_one(fd, received, err);
		if (r != 0)
			return r < 0 ? r : 0;
	}
}

int vgm_ipc_take(int fd, struct vgm_received *received, struct vgm_err *err)
{
	return receive_one(fd, received, err);
}

int vgm_ipc_call(int fd, enum vgm_msg_type type, const void *message, enum vgm_msg_type answer_type,
    struct vgm_received *answer, uint64_t deadline_ms, struct vgm_err *err)
{
	int r = vgm_ipc_send(fd, type, message, deadline_ms, err);
	if (r == 0)
		r = vgm_ipc_receive(fd, answer, deadline_ms, err);
	if (r == 0 && answer->type != (int)answer_type)
		r = vgm_err_set(err, VGM_E_INVALID, "%s where %s was expected",
		    vgm_msg_name(answer->type), vgm_msg_name((int)answer_type));
	return r;
}

/* ---- in a loop ---- */

struct waiting {
	struct waiting *next;
	struct vgm_fds fds; /* duplicates of ours */
	bool secret;
	size_t len;
	uint8_t bytes[];
};

struct vgm_channel {
	struct vgm_loop *loop;
	int fd;
	enum vgm_role_id me, peer;
	enum vgm_instance instance;
	struct vgm_channel_events events;
	void *data;
	struct vgm_io *io;
	struct vgm_received received;
	struct vgm_buf out;
	struct waiting *first, **last;
	size_t waiting_count, waiting_bytes;
	uint8_t once_seen[256 / 8]; /* VGM_ALLOW_ONCE types that have come */
	unsigned depth;             /* handlers of this channel that are running */
	unsigned reads;             /* VGM_IO_READ, or 0 when paused */
	bool gone;                  /* freed as soon as depth is 0 */
};

/* The first that waits goes, sent or not. */
static void drop_first(struct vgm_channel *c)
{
	struct waiting *w = c->first;
	c->first = w->next;
	if (!c->first)
		c->last = &c->first;
	c->waiting_count--;
	c->waiting_bytes -= w->len;
	close_all(&w->fds);
	if (w->secret)
		vgm_wipe(w->bytes, w->len);
	vgm_free(w);
}

static void destroy(struct vgm_channel *c)
{
	vgm_io_free(&c->io);
	close(c->fd);
	while (c->first)
		drop_first(c);
	vgm_received_release(&c->received);
	vgm_buf_release(&c->out);
	vgm_free(c);
}

void vgm_channel_free(struct vgm_channel **channel)
{
	struct vgm_channel *c = *channel;
	*channel = NULL;
	if (!c)
		return;
	c->gone = true;
	vgm_io_want(c->io, 0);
	if (c->depth == 0)
		destroy(c);
}

/* Workers open strangers' mail and may be taken over by it; commands are anybody's.
 * Such a line is cut and nothing else suffers. */
static bool is_expendable(const struct vgm_channel *c)
{
	return c->peer == VGM_ROLE_CONTROL || c->instance == VGM_INSTANCE_WORKER;
}

/* A sibling that breaks the protocol is a bug or taken over: stop. */
static void violation(struct vgm_channel *c, const char *what)
{
	if (is_expendable(c))
		return;
	char text[VGM_ERR_TEXT_BYTES + 100];
	snprintf(text, sizeof text, "%s from %s to %s", what, vgm_role_name(c->peer),
	    vgm_role_name(c->me));
	vgm_bug(__FILE__, __LINE__, text);
}

static bool permitted(struct vgm_channel *c, int type)
{
	const struct vgm_allow *row = vgm_allow_find(c->peer, c->me, type);
	uint8_t bit = (uint8_t)(1u << (type & 7)), *seen = &c->once_seen[type >> 3];
	if (!row || ((row->flags & VGM_ALLOW_ONCE) && (*seen & bit)))
		return false;
	/* New workers come from the template, on its own channel. */
	if (type == VGM_MSG_worker && c->instance == VGM_INSTANCE_WORKER)
		return false;
	*seen |= bit;
	return true;
}

static void lost(struct vgm_channel *c)
{
	c->gone = true;
	vgm_io_want(c->io, 0);
	if (c->events.closed)
		c->events.closed(c->events.context, c);
}

/* Handles at most max messages that are there now. */
static void read_some(struct vgm_channel *c, size_t max)
{
	c->depth++;
	/* A handler that drains its own channel gets a fresh place to read into. */
	struct vgm_received mine = c->received;
	c->received = (struct vgm_received)VGM_RECEIVED_INIT;
	for (size_t i = 0; i < max && !c->gone; i++) {
		struct vgm_err err;
		int r = receive_one(c->fd, &mine, &err);
		if (r == 0)
			break;
		if (r < 0 && r != VGM_E_CLOSED && r != VGM_E_IO)
			violation(c, err.text);
		if (r == 1 && !permitted(c, mine.type)) {
			violation(c, vgm_msg_name(mine.type));
			r = VGM_E_DENIED;
		}
		if (r < 0) {
			lost(c);
			break;
		}
		c->events.message(c->events.context, c, mine.type, mine.message);
	}
	vgm_received_clear(&mine);
	vgm_received_release(&c->received);
	c->received = mine;
	if (--c->depth == 0 && c->gone)
		destroy(c);
}

static void write_some(struct vgm_channel *c)
{
	while (c->first) {
		struct waiting *w = c->first;
		int r = send_bytes(c->fd, vgm_slice(w->bytes, w->len), &w->fds, NULL);
		if (r == 0)
			return;
		/* A closed peer shows on the reading side too; what waits is dropped there. */
		drop_first(c);
	}
	vgm_io_want(c->io, c->reads);
}

static void io_ready(void *context, unsigned events)
{
	struct vgm_channel *c = context;
	if (events & VGM_IO_WRITE)
		write_some(c);
	if (events & VGM_IO_READ)
		read_some(c, ROUND_MESSAGES);
}

struct vgm_channel *vgm_channel_new(struct vgm_loop *loop, int fd, enum vgm_role_id me,
    enum vgm_role_id peer, enum vgm_instance peer_instance, struct vgm_channel_events events)
{
	struct vgm_channel *c = vgm_alloc(sizeof *c);
	*c = (struct vgm_channel){.loop = loop,
	    .fd = fd,
	    .me = me,
	    .peer = peer,
	    .instance = peer_instance,
	    .events = events,
	    .reads = VGM_IO_READ,
	    .received = VGM_RECEIVED_INIT,
	    .out = VGM_BUF_INIT(VGM_MSG_MAX_BYTES)};
	c->last = &c->first;
	int flags = fcntl(fd, F_GETFL);
	VGM_BUG_ON(flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0);
	c->io = vgm_io_new(loop, fd, io_ready, c);
	vgm_io_want(c->io, VGM_IO_READ);
	return c;
}

static int queue_up(struct vgm_channel *c, enum vgm_msg_type type, const struct vgm_fds *fds)
{
	if (c->waiting_count >= QUEUE_MESSAGES || c->waiting_bytes + c->out.len > QUEUE_BYTES)
		return VGM_E_LIMIT;
	struct waiting *w = vgm_alloc(sizeof *w + c->out.len);
	w->secret = vgm_msg_is_secret((int)type);
	w->len = c->out.len;
	memcpy(w->bytes, c->out.data, c->out.len);
	for (size_t i = 0; i < fds->count; i++) {
		int copy = fcntl(fds->fd[i], F_DUPFD_CLOEXEC, 0);
		if (copy < 0) {
			close_all(&w->fds);
			if (w->secret)
				vgm_wipe(w->bytes, w->len);
			vgm_free(w);
			return VGM_E_LIMIT;
		}
		w->fds.fd[w->fds.count++] = copy;
	}
	*c->last = w;
	c->last = &w->next;
	c->waiting_count++;
	c->waiting_bytes += w->len;
	vgm_io_want(c->io, c->reads | VGM_IO_WRITE);
	return 0;
}

int vgm_channel_send(struct vgm_channel *c, enum vgm_msg_type type, const void *message)
{
	struct vgm_fds fds = {.count = 0};
	struct vgm_err err;
	VGM_BUG_ON(!vgm_allow_find(c->me, c->peer, (int)type));
	if (c->gone)
		return VGM_E_CLOSED;
	vgm_buf_clear(&c->out);
	reserve(&c->out, type);
	int r = vgm_msg_encode(type, message, &c->out, &fds, &err);
	if (r < 0)
		return r;
	r = c->first ? 0 : send_bytes(c->fd, vgm_buf_slice(&c->out), &fds, &err);
	if (r == 0)
		r = queue_up(c, type, &fds);
	forget(&c->out, type);
	return r < 0 ? r : 0;
}

void vgm_channel_drain(struct vgm_channel *c)
{
	read_some(c, SIZE_MAX);
}

int vgm_channel_pause(struct vgm_channel *c)
{
	c->reads = 0;
	vgm_io_want(c->io, c->first ? VGM_IO_WRITE : 0);
	return c->fd;
}

bool vgm_channel_is_paused(const struct vgm_channel *c)
{
	return c->reads == 0;
}

size_t vgm_channel_waiting(const struct vgm_channel *c)
{
	return c->waiting_count;
}

enum vgm_role_id vgm_channel_peer(const struct vgm_channel *c)
{
	return c->peer;
}

enum vgm_instance vgm_channel_instance(const struct vgm_channel *c)
{
	return c->instance;
}

void *vgm_channel_data(const struct vgm_channel *c)
{
	return c->data;
}

void vgm_channel_set_data(struct vgm_channel *c, void *data)
{
	c->data = data;
}
