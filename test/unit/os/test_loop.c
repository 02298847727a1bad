/* SPDX-License-Identifier: EUPL-1.2
 * The event loop: readiness, timers, rounds, and freeing inside a callback. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "os/loop.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

struct world {
	struct vgm_loop *loop;
	struct vgm_io *io;
	struct vgm_timer *timer, *late;
	int fds[2];
	int reads, writes, ticks, rounds;
	char order[32];
};

static void note(struct world *w, char what)
{
	size_t n = strlen(w->order);
	if (n + 1 < sizeof w->order)
		w->order[n] = what;
}

static int build(void **state)
{
	struct world *w = vgm_alloc(sizeof *w);
	w->loop = vgm_loop_new();
	*state = w;
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, w->fds);
}

static int tear_down(void **state)
{
	struct world *w = *state;
	vgm_io_free(&w->io);
	vgm_timer_free(&w->timer);
	vgm_timer_free(&w->late);
	vgm_io_free(&w->io);
	vgm_timer_free(&w->timer);
	vgm_loop_free(&w->loop);
	vgm_loop_free(&w->loop);
	close(w->fds[0]);
	close(w->fds[1]);
	vgm_free(w);
	return 0;
}

static void stop(void *context)
{
	struct world *w = context;
	note(w, 's');
	vgm_loop_stop(w->loop);
}

static void on_io(void *context, unsigned events)
{
	struct world *w = context;
	char c;
	if (events & VGM_IO_READ) {
		w->reads++;
		note(w, 'r');
		assert_int_equal(read(w->fds[0], &c, 1), 1);
	}
	if (events & VGM_IO_WRITE) {
		w->writes++;
		vgm_io_want(w->io, VGM_IO_READ);
	}
}

static void on_round(void *context)
{
	struct world *w = context;
	w->rounds++;
	note(w, '.');
}

static void test_level_triggered(void **state)
{
	struct world *w = *state;
	assert_int_equal(write(w->fds[1], "abc", 3), 3);
	w->io = vgm_io_new(w->loop, w->fds[0], on_io, w);
	vgm_io_want(w->io, VGM_IO_READ | VGM_IO_WRITE);
	vgm_io_want(w->io, VGM_IO_READ | VGM_IO_WRITE);
	w->timer = vgm_timer_new(w->loop, "stop", stop, w);
	vgm_timer_in(w->timer, 50);
	vgm_loop_run(w->loop);
	assert_int_equal(w->reads, 3);
	assert_int_equal(w->writes, 1);
	vgm_io_want(w->io, 0);
	assert_int_equal(write(w->fds[1], "x", 1), 1);
	vgm_timer_in(w->timer, 30);
	vgm_loop_run(w->loop);
	assert_int_equal(w->reads, 3);
}

static void test_a_round_follows_what_was_ready(void **state)
{
	struct world *w = *state;
	assert_int_equal(write(w->fds[1], "a", 1), 1);
	w->io = vgm_io_new(w->loop, w->fds[0], on_io, w);
	vgm_io_want(w->io, VGM_IO_READ);
	vgm_loop_on_round(w->loop, on_round, w);
	w->timer = vgm_timer_new(w->loop, "stop", stop, w);
	vgm_timer_in(w->timer, 60);
	vgm_loop_run(w->loop);
	assert_string_equal(w->order, "r.s.");
}

static void test_timers(void **state)
{
	struct world *w = *state;
	w->timer = vgm_timer_new(w->loop, "stop", stop, w);
	w->late = vgm_timer_new(w->loop, "late", stop, w);
	assert_false(vgm_timer_is_set(w->timer));
	vgm_timer_in(w->timer, 10000);
	vgm_timer_in(w->timer, 40); /* moves it */
	vgm_timer_in(w->late, 20);
	vgm_timer_off(w->late);
	assert_true(vgm_timer_is_set(w->timer));
	assert_false(vgm_timer_is_set(w->late));
	uint64_t from = vgm_clock_mono_ms();
	vgm_loop_run(w->loop);
	uint64_t took = vgm_clock_mono_ms() - from;
	assert_true(took >= 39 && took < 5000);
	assert_string_equal(w->order, "s");
	assert_false(vgm_timer_is_set(w->timer));
}

static void free_oneself(void *context, unsigned events)
{
	struct world *w = context;
	(void)events;
	vgm_io_free(&w->io);
	vgm_timer_in(w->timer, 0);
}

static void free_timer_and_stop(void *context)
{
	struct world *w = context;
	vgm_timer_free(&w->timer);
	vgm_loop_stop(w->loop);
}

static void test_callbacks_may_free(void **state)
{
	struct world *w = *state;
	assert_int_equal(write(w->fds[1], "a", 1), 1);
	w->io = vgm_io_new(w->loop, w->fds[0], free_oneself, w);
	w->timer = vgm_timer_new(w->loop, "free", free_timer_and_stop, w);
	vgm_io_want(w->io, VGM_IO_READ);
	vgm_loop_run(w->loop);
	assert_null(w->io);
	assert_null(w->timer);
}

static void test_nothing_to_watch_ends(void **state)
{
	struct world *w = *state;
	vgm_loop_run(w->loop);
	assert_int_equal(w->reads, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, build, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_level_triggered),
	    TEST(test_a_round_follows_what_was_ready),
	    TEST(test_timers),
	    TEST(test_callbacks_may_free),
	    TEST(test_nothing_to_watch_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
