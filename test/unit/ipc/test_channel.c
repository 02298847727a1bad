/* SPDX-License-Identifier: EUPL-1.2
 * Tests of ipc/channel.h over real sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "ipc/channel.h"
#include "os/memfd.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t in_ms(uint64_t ms)
{
	return vgm_clock_mono_ms() + ms;
}

static void test_call(void **state)
{
	(void)state;
	int ends[2];
	VGM_CLEANUP(vgm_received_release) struct vgm_received a = VGM_RECEIVED_INIT;
	VGM_CLEANUP(vgm_received_release) struct vgm_received b = VGM_RECEIVED_INIT;
	struct vgm_msg_wrap ask = {.count = 2};
	struct vgm_wrapped_key keys[2] = {{.key = {1}}, {.key = {2}}};
	struct vgm_msg_wrapped answer = {.day = 7, .keys = keys, .keys_count = 2};
	struct vgm_err err;
	assert_int_equal(vgm_ipc_pair(ends, false, &err), 0);
	assert_int_equal(vgm_ipc_take(ends[1], &b, &err), 0);
	assert_int_equal(vgm_ipc_send(ends[1], VGM_MSG_wrapped, &answer, in_ms(1000), &err), 0);
	assert_int_equal(
	    vgm_ipc_call(ends[0], VGM_MSG_wrap, &ask, VGM_MSG_wrapped, &a, in_ms(1000), &err), 0);
	const struct vgm_msg_wrapped *got = a.message;
	assert_int_equal(got->keys_count, 2);
	assert_int_equal(got->keys[1].key[0], 2);
	assert_int_equal(vgm_ipc_take(ends[1], &b, &err), 1);
	assert_int_equal(((struct vgm_msg_wrap *)b.message)->count, 2);
	/* Another answer than the one asked for. */
	assert_int_equal(vgm_ipc_send(ends[1], VGM_MSG_wrap, &ask, in_ms(1000), &err), 0);
	assert_int_equal(vgm_ipc_call(ends[0], VGM_MSG_wrap, &ask, VGM_MSG_wrapped, &a, in_ms(1000), &err),
	    VGM_E_INVALID);
	assert_int_equal(vgm_ipc_receive(ends[0], &a, in_ms(20), &err), VGM_E_TIMEOUT);
	close(ends[1]);
	assert_int_equal(vgm_ipc_receive(ends[0], &a, in_ms(1000), &err), VGM_E_CLOSED);
	assert_int_equal(vgm_ipc_send(ends[0], VGM_MSG_wrap, &ask, in_ms(1000), &err), VGM_E_CLOSED);
	close(ends[0]);
}

static void test_descriptor(void **state)
{
	(void)state;
	int ends[2], fd;
	VGM_CLEANUP(vgm_received_release) struct vgm_received a = VGM_RECEIVED_INIT;
	struct vgm_err err;
	assert_int_equal(vgm_ipc_pair(ends, false, &err), 0);
	assert_int_equal(vgm_memfd_of("test", VGM_SLICE_LIT("hello"), &fd, &err), 0);
	struct vgm_msg_worker m = {.pool = VGM_ROLE_ADMIT, .channel = fd};
	assert_int_equal(vgm_ipc_send(ends[0], VGM_MSG_worker, &m, in_ms(1000), &err), 0);
	close(fd);
	assert_int_equal(vgm_ipc_receive(ends[1], &a, in_ms(1000), &err), 0);
	struct vgm_msg_worker *got = a.message;
	struct vgm_mapping map;
	assert_int_equal(vgm_mapping_open(got->channel, 5, &map, &err), 0);
	assert_memory_equal(map.bytes.data, "hello", 5);
	vgm_mapping_release(&map);
	assert_int_equal(vgm_mapping_open(got->channel, 4, &map, &err), VGM_E_INVALID);
	fd = got->channel;
	vgm_received_clear(&a); /* closes what was not taken */
	assert_int_equal(write(fd, "x", 1), -1);
	close(ends[0]);
	close(ends[1]);
}

static size_t descriptors(void)
{
	size_t n = 0;
	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* A datagram without a byte can carry descriptors all the same. */
static void test_empty_with_descriptor(void **state)
{
	(void)state;
	int ends[2], gift = 1;
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof gift)];
	} control = {.align = {0}};
	struct iovec nothing = {&gift, 0};
	struct msghdr msg = {.msg_iov = &nothing, .msg_iovlen = 1, .msg_control = control.room,
	    .msg_controllen = sizeof control.room};
	VGM_CLEANUP(vgm_received_release) struct vgm_received a = VGM_RECEIVED_INIT;
	struct vgm_err err;
	assert_int_equal(vgm_ipc_pair(ends, false, &err), 0);
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof gift);
	memcpy(CMSG_DATA(c), &gift, sizeof gift);
	size_t before = descriptors();
	assert_int_equal(sendmsg(ends[0], &msg, 0), 0);
	assert_int_equal(vgm_ipc_take(ends[1], &a, &err), VGM_E_CLOSED);
	assert_int_equal(descriptors(), before);
	close(ends[0]);
	close(ends[1]);
}

static bool is_zero(const void *memory, size_t len)
{
	const uint8_t *p = memory;
	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

/* Keys do not stay in the buffers that they came through. */
static void test_keys_are_wiped(void **state)
{
	(void)state;
	int ends[2];
	VGM_CLEANUP(vgm_received_release) struct vgm_received a = VGM_RECEIVED_INIT;
	struct vgm_wrapped_key keys[32];
	struct vgm_err err;
	memset(keys, 0xA5, sizeof keys);
	struct vgm_msg_wrapped wrapped = {.day = 1, .keys = keys, .keys_count = 32};
	struct vgm_msg_unwrapped unwrapped = {.ok = 1};
	struct vgm_msg_lent lent = {.ok = 1};
	memset(unwrapped.key, 0xA5, sizeof unwrapped.key);
	memset(lent.key, 0xA5, sizeof lent.key);
	const struct {
		enum vgm_msg_type type;
		const void *message;
	} cases[] = {{VGM_MSG_wrapped, &wrapped}, {VGM_MSG_unwrapped, &unwrapped},
	    {VGM_MSG_lent, &lent}};
	assert_int_equal(vgm_ipc_pair(ends, false, &err), 0);
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		assert_true(vgm_msg_is_secret((int)cases[i].type));
		assert_int_equal(
		    vgm_ipc_send(ends[0], cases[i].type, cases[i].message, in_ms(1000), &err), 0);
		assert_int_equal(vgm_ipc_receive(ends[1], &a, in_ms(1000), &err), 0);
		assert_false(is_zero(a.bytes, VGM_MSG_MAX_BYTES));
		void *message = a.message;
		const struct vgm_wrapped_key *list =
		    cases[i].type == VGM_MSG_wrapped ? ((struct vgm_msg_wrapped *)message)->keys : NULL;
		vgm_received_clear(&a);
		assert_true(is_zero(a.bytes, VGM_MSG_MAX_BYTES));
		assert_true(is_zero(message, vgm_msg_struct_size((int)cases[i].type)));
		assert_true(!list || is_zero(list, sizeof keys));
	}
	assert_false(vgm_msg_is_secret(VGM_MSG_wrap));
	close(ends[0]);
	close(ends[1]);
}

/* ---- in a loop ---- */

struct side {
	struct vgm_loop *loop;
	struct vgm_channel *channel;
	unsigned got, closed;
	unsigned until;
};

static void on_message(void *context, struct vgm_channel *from, int type, void *message)
{
	struct side *s = context;
	(void)from;
	assert_int_equal(type, VGM_MSG_synced);
	assert_int_equal(((struct vgm_msg_synced *)message)->offset, s->got);
	if (++s->got == s->until)
		vgm_loop_stop(s->loop);
}

static void on_closed(void *context, struct vgm_channel *from)
{
	struct side *s = context;
	(void)from;
	s->closed++;
	s->channel = NULL;
	vgm_loop_stop(s->loop);
}

/* More than the socket holds: the rest waits, keeps its order, and arrives. */
static void test_queue_and_close(void **state)
{
	(void)state;
	int ends[2];
	struct vgm_loop *loop = vgm_loop_new();
	struct side ledgerd = {.loop = loop}, viewd = {.loop = loop, .until = 15000};
	struct vgm_channel_events le = {on_message, on_closed, &ledgerd}, ve = {on_message, on_closed, &viewd};
	assert_int_equal(vgm_ipc_pair(ends, true, NULL), 0);
	ledgerd.channel =
	    vgm_channel_new(loop, ends[0], VGM_ROLE_LEDGERD, VGM_ROLE_VIEWD, VGM_INSTANCE_ONLY, le);
	viewd.channel =
	    vgm_channel_new(loop, ends[1], VGM_ROLE_VIEWD, VGM_ROLE_LEDGERD, VGM_INSTANCE_ONLY, ve);
	for (unsigned i = 0; i < viewd.until; i++) {
		struct vgm_msg_synced m = {.offset = i};
		assert_int_equal(vgm_channel_send(ledgerd.channel, VGM_MSG_synced, &m), 0);
	}
	assert_true(vgm_channel_waiting(ledgerd.channel) > 0);
	vgm_loop_run(loop);
	assert_int_equal(viewd.got, viewd.until);
	assert_int_equal(vgm_channel_waiting(ledgerd.channel), 0);
	vgm_channel_free(&ledgerd.channel);
	assert_null(ledgerd.channel);
	vgm_loop_run(loop);
	assert_int_equal(viewd.closed, 1);
	vgm_loop_free(&loop);
}

/* What waits for a peer that does not read has a limit in bytes too. */
static void test_queue_limit(void **state)
{
	(void)state;
	int ends[2], r = 0;
	static char text[8000];
	struct vgm_loop *loop = vgm_loop_new();
	struct side s = {.loop = loop};
	struct vgm_channel_events e = {on_message, on_closed, &s};
	struct vgm_msg_log m = {.line = vgm_slice(text, sizeof text)};
	size_t sent = 0;
	assert_int_equal(vgm_ipc_pair(ends, true, NULL), 0);
	s.channel = vgm_channel_new(loop, ends[0], VGM_ROLE_KEYD, VGM_ROLE_MASTER, VGM_INSTANCE_ONLY, e);
	while (r == 0 && sent < 20000) {
		r = vgm_channel_send(s.channel, VGM_MSG_log, &m);
		sent += r == 0;
	}
	assert_int_equal(r, VGM_E_LIMIT);
	assert_in_range(sent * sizeof text, 32u << 20, 70u << 20);
	vgm_channel_free(&s.channel);
	close(ends[1]);
	vgm_loop_free(&loop);
}

/* A sibling that says what it may not: the reader aborts. */
static void test_violation(void **state)
{
	(void)state;
	static const int types[] = {VGM_MSG_append, 0}; /* forbidden; unknown */
	for (size_t i = 0; i < VGM_ARRAY_LEN(types); i++) {
		pid_t pid = fork();
		if (pid == 0) {
			int ends[2];
			struct vgm_loop *loop = vgm_loop_new();
			struct side s = {.loop = loop};
			struct vgm_channel_events e = {on_message, on_closed, &s};
			struct vgm_msg_append m = {.body_fd = -1};
			signal(SIGABRT, SIG_DFL);
			close(STDERR_FILENO);
			if (vgm_ipc_pair(ends, true, NULL) < 0)
				_exit(1);
			s.channel = vgm_channel_new(
			    loop, ends[1], VGM_ROLE_LEDGERD, VGM_ROLE_VIEWD, VGM_INSTANCE_ONLY, e);
			if (types[i] == 0)
				(void)!write(ends[0], "\0\0junk", 6);
			else if (vgm_ipc_send(ends[0], VGM_MSG_append, &m, in_ms(1000), NULL) < 0)
				_exit(1);
			vgm_loop_run(loop);
			_exit(0);
		}
		int status;
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	}
}

/* A command or a worker that does so is only let go. */
static void test_expendable(void **state)
{
	(void)state;
	static const struct {
		enum vgm_role_id me, peer;
		enum vgm_instance instance;
		bool worker; /* says WORKER, which its template alone may; else junk */
	} cases[] = {
	    {VGM_ROLE_VIEWD, VGM_ROLE_CONTROL, VGM_INSTANCE_ONLY, false},
	    {VGM_ROLE_KEYD, VGM_ROLE_ADMIT, VGM_INSTANCE_WORKER, false},
	    {VGM_ROLE_LEDGERD, VGM_ROLE_RENDER, VGM_INSTANCE_WORKER, true},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		int ends[2];
		struct vgm_loop *loop = vgm_loop_new();
		struct side s = {.loop = loop};
		struct vgm_channel_events e = {on_message, on_closed, &s};
		struct vgm_msg_worker m = {.pool = VGM_ROLE_RENDER, .channel = -1};
		assert_int_equal(vgm_ipc_pair(ends, true, NULL), 0);
		s.channel = vgm_channel_new(
		    loop, ends[1], cases[i].me, cases[i].peer, cases[i].instance, e);
		if (cases[i].worker)
			assert_int_equal(
			    vgm_ipc_send(ends[0], VGM_MSG_worker, &m, in_ms(1000), NULL), 0);
		else
			assert_int_equal(write(ends[0], "\0\0junk", 6), 6);
		vgm_loop_run(loop);
		assert_int_equal(s.closed, 1);
		close(ends[0]);
		vgm_loop_free(&loop);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_call),
	    cmocka_unit_test(test_descriptor),
	    cmocka_unit_test(test_empty_with_descriptor),
	    cmocka_unit_test(test_keys_are_wiped),
	    cmocka_unit_test(test_queue_and_close),
	    cmocka_unit_test(test_queue_limit),
	    cmocka_unit_test(test_violation),
	    cmocka_unit_test(test_expendable),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
