/* SPDX-License-Identifier: EUPL-1.2
 * role/filter.c: a whole pool in its sandbox, one worker. The test is its master,
 * two doors of smtpd, keyd and ledgerd. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "role_fixture.h"

struct world {
	struct role_process admit;
	int receive, submit, keyd, ledgerd;
	struct vgm_received got;
};

static int world_up(void **state)
{
	struct world *w = vgm_alloc(sizeof *w);
	w->got = (struct vgm_received)VGM_RECEIVED_INIT;
	w->admit = role_fork(&vgm_role_admit);
	role_configure(&w->admit, VGM_INSTANCE_ONLY, "{filter: {admit: 1}, domains: [d]}", -1);
	w->receive = role_peer(&w->admit, VGM_ROLE_SMTPD, VGM_INSTANCE_RECEIVE);
	w->submit = role_peer(&w->admit, VGM_ROLE_SMTPD, VGM_INSTANCE_SUBMIT);
	w->keyd = role_peer(&w->admit, VGM_ROLE_KEYD, VGM_INSTANCE_ONLY);
	w->ledgerd = role_peer(&w->admit, VGM_ROLE_LEDGERD, VGM_INSTANCE_ONLY);
	assert_int_equal(role_start(&w->admit), 0);
	*state = w;
	return 0;
}

static int world_down(void **state)
{
	struct world *w = *state;
	assert_int_equal(role_stop(&w->admit), 0);
	close(w->receive);
	close(w->submit);
	close(w->keyd);
	close(w->ledgerd);
	vgm_received_release(&w->got);
	vgm_free(w);
	return 0;
}

static void admit(int door, uint64_t session)
{
	struct vgm_recipient to = {.address = VGM_SLICE_LIT("b@d")};
	struct vgm_msg_admit m = {.session = session, .sender = VGM_SLICE_LIT("a@s"),
	    .recipients = &to, .recipients_count = 1, .size = 4};
	assert_int_equal(vgm_memfd_of("body", VGM_SLICE_LIT("\r\nx\n"), &m.body, NULL), 0);
	role_send(door, VGM_MSG_admit, &m);
	close(m.body);
}

/* The worker's own line to keyd; asks there for keys when it has a job. */
static int line_of_worker(struct world *w)
{
	struct vgm_err err;
	assert_int_equal(vgm_ipc_receive(w->keyd, &w->got, fixture_deadline(), &err), 0);
	assert_int_equal(w->got.type, VGM_MSG_worker);
	struct vgm_msg_worker *m = w->got.message;
	int fd = m->channel;
	m->channel = -1;
	return fd;
}

static pid_t worker_of(const struct role_process *p)
{
	char path[100];
	int child = 0;
	snprintf(path, sizeof path, "/proc/%d/task/%d/children", p->pid, p->pid);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &child), 1);
	fclose(f);
	return child;
}

/* While a worker is at a job, another door gets a new owner: the death is still
 * told at the door that the job came from. */
static void test_death_is_told_at_its_door(void **state)
{
	struct world *w = *state;
	struct vgm_err err;
	int line = line_of_worker(w);
	admit(w->submit, 42);
	assert_int_equal(vgm_ipc_receive(line, &w->got, fixture_deadline(), &err), 0);
	assert_int_equal(w->got.type, VGM_MSG_wrap);
	pid_t worker = worker_of(&w->admit);
	close(w->receive);
	w->receive = role_peer(&w->admit, VGM_ROLE_SMTPD, VGM_INSTANCE_RECEIVE);
	usleep(100000); /* it has heard of that */
	kill(worker, SIGKILL);
	assert_int_equal(vgm_ipc_receive(w->submit, &w->got, fixture_deadline(), &err), 0);
	assert_int_equal(w->got.type, VGM_MSG_filter_died);
	assert_int_equal(((struct vgm_msg_filter_died *)w->got.message)->session, 42);
	assert_int_equal(vgm_ipc_receive(w->receive, &w->got, vgm_clock_mono_ms() + 100, &err),
	    VGM_E_TIMEOUT);
	close(line);
}

/* The owner itself has gone: its successor, whose sessions have the same numbers,
 * hears nothing. */
static void test_successor_hears_nothing(void **state)
{
	struct world *w = *state;
	struct vgm_err err;
	int line = line_of_worker(w);
	admit(w->submit, 1);
	assert_int_equal(vgm_ipc_receive(line, &w->got, fixture_deadline(), &err), 0);
	pid_t worker = worker_of(&w->admit);
	close(w->submit);
	w->submit = role_peer(&w->admit, VGM_ROLE_SMTPD, VGM_INSTANCE_SUBMIT);
	usleep(100000);
	kill(worker, SIGKILL);
	assert_int_equal(
	    vgm_ipc_receive(w->submit, &w->got, vgm_clock_mono_ms() + 500, &err), VGM_E_TIMEOUT);
	close(line);
	/* and its jobs are done by a new worker */
	line = line_of_worker(w);
	admit(w->submit, 2);
	assert_int_equal(vgm_ipc_receive(line, &w->got, fixture_deadline(), &err), 0);
	assert_int_equal(w->got.type, VGM_MSG_wrap);
	struct vgm_msg_wrapped none = {.day = 1};
	role_send(line, VGM_MSG_wrapped, &none);
	assert_int_equal(vgm_ipc_receive(w->submit, &w->got, fixture_deadline(), &err), 0);
	assert_int_equal(w->got.type, VGM_MSG_admitted);
	assert_int_equal(((struct vgm_msg_admitted *)w->got.message)->code, 451);
	close(line);
}

/* Many changes in a row end workers in their first moments; none dies of it. */
static void test_told_to_leave_at_once(void **state)
{
	struct world *w = *state;
	struct vgm_err err;
	for (int i = 0; i < 60; i++) {
		role_configure(&w->admit, VGM_INSTANCE_ONLY, "{filter: {admit: 1}, domains: [d]}", -1);
		usleep((useconds_t)(i % 7) * 500);
	}
	while (vgm_ipc_receive(w->admit.master, &w->got, vgm_clock_mono_ms() + 300, &err) == 0)
		if (w->got.type == VGM_MSG_log)
			fail_msg("%.*s", VGM_SLICE_ARG(((struct vgm_msg_log *)w->got.message)->line));
}

#ifndef VGM_SANITIZED
/* filter.memory holds for each worker. */
static void test_memory_limit(void **state)
{
	struct world *w = *state;
	char path[60], line[200];
	bool found = false;
	close(line_of_worker(w)); /* it is there */
	snprintf(path, sizeof path, "/proc/%d/limits", worker_of(&w->admit));
	usleep(100000);
	FILE *f = fopen(path, "r");
	while (f && fgets(line, sizeof line, f))
		found |= strncmp(line, "Max address space", 17) == 0 && strstr(line, "1073741824");
	if (f)
		fclose(f);
	assert_true(found);
}
#endif

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_up, world_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_death_is_told_at_its_door),
	    TEST(test_successor_hears_nothing),
	    TEST(test_told_to_leave_at_once),
#ifndef VGM_SANITIZED
	    TEST(test_memory_limit),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
