/* SPDX-License-Identifier: EUPL-1.2
 * role/keyd_jobs.c: a token opens its job once, in time, and the table never
 * grows. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "role/keyd_jobs.h"

static struct vgm_keyd_job job_of(uint32_t n)
{
	/* Numbers that differ in the last bytes only: all in one chain. */
	struct vgm_keyd_job job = {.day = n, .entity = n + 1, .purpose = VGM_PURPOSE_DELIVER};
	memcpy(job.token + 12, &n, sizeof n);
	memcpy(job.wrap, &n, sizeof n);
	return job;
}

static bool take(struct vgm_keyd_jobs *j, uint32_t n, uint64_t now_ms)
{
	struct vgm_keyd_job wanted = job_of(n), out;
	if (!vgm_keyd_jobs_take(j, wanted.token, now_ms, &out))
		return false;
	assert_memory_equal(&out, &wanted, sizeof out);
	return true;
}

static void add(struct vgm_keyd_jobs *j, uint32_t n, uint64_t now_ms)
{
	struct vgm_keyd_job job = job_of(n);
	vgm_keyd_jobs_add(j, &job, now_ms);
}

static void test_once(void **state)
{
	struct vgm_keyd_jobs *j = vgm_keyd_jobs_new();
	(void)state;
	assert_false(take(j, 1, 0));
	for (uint32_t n = 1; n <= 5; n++)
		add(j, n, 0);
	/* From the middle, the end and the start of the chain. */
	static const uint32_t order[] = {3, 1, 5, 2, 4};
	for (size_t i = 0; i < VGM_ARRAY_LEN(order); i++) {
		assert_true(take(j, order[i], 0));
		assert_false(take(j, order[i], 0));
	}
	vgm_keyd_jobs_free(&j);
	vgm_keyd_jobs_free(&j);
}

static void test_in_time(void **state)
{
	struct vgm_keyd_jobs *j = vgm_keyd_jobs_new();
	(void)state;
	add(j, 1, 1000);
	add(j, 2, 1000);
	add(j, 3, 1001);
	assert_true(take(j, 1, 1000 + VGM_KEYD_JOB_MS - 1));
	assert_false(take(j, 2, 1000 + VGM_KEYD_JOB_MS));
	assert_false(take(j, 2, 1000));
	assert_true(take(j, 3, 1000 + VGM_KEYD_JOB_MS));
	vgm_keyd_jobs_free(&j);
}

static void test_known_token_is_replaced(void **state)
{
	struct vgm_keyd_jobs *j = vgm_keyd_jobs_new();
	struct vgm_keyd_job job = job_of(1), out;
	(void)state;
	vgm_keyd_jobs_add(j, &job, 0);
	job.day = 99;
	vgm_keyd_jobs_add(j, &job, 0);
	assert_true(vgm_keyd_jobs_take(j, job.token, 0, &out));
	assert_int_equal(out.day, 99);
	assert_false(vgm_keyd_jobs_take(j, job.token, 0, &out));
	vgm_keyd_jobs_free(&j);
}

static struct vgm_keyd_job spread(uint32_t n)
{
	struct vgm_keyd_job job = job_of(n);
	uint32_t mixed = n * 2654435761u;
	memcpy(job.token, &mixed, sizeof mixed);
	return job;
}

/* Far more jobs than places: the youngest are there, the others are not. */
static void test_bounded(void **state)
{
	enum { JOBS = 3 * VGM_KEYD_JOBS_MAX + 17 };
	struct vgm_keyd_jobs *j = vgm_keyd_jobs_new();
	(void)state;
	for (uint32_t n = 0; n < JOBS; n++) {
		struct vgm_keyd_job job = spread(n), out;
		vgm_keyd_jobs_add(j, &job, n);
		/* Some are taken at once, which leaves holes in the ring. */
		if (n % 7 == 0)
			assert_true(vgm_keyd_jobs_take(j, job.token, n, &out));
	}
	for (uint32_t n = 0; n < JOBS; n++) {
		struct vgm_keyd_job job = spread(n), out;
		bool expected = n >= JOBS - VGM_KEYD_JOBS_MAX && n % 7 != 0;
		assert_int_equal(vgm_keyd_jobs_take(j, job.token, JOBS, &out), expected);
		assert_true(!expected || out.day == n);
	}
	vgm_keyd_jobs_free(&j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_once),
	    cmocka_unit_test(test_in_time),
	    cmocka_unit_test(test_known_token_is_replaced),
	    cmocka_unit_test(test_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
