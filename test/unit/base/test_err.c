/* SPDX-License-Identifier: EUPL-1.2
 * Errors: codes, texts that are cut but terminated, the last words of a process. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_set(void **state)
{
	(void)state;
	struct vgm_err e;
	assert_int_equal(vgm_err_set(&e, VGM_E_LIMIT, "%d parts of %s", 7, "x"), VGM_E_LIMIT);
	assert_int_equal(e.code, VGM_E_LIMIT);
	assert_int_equal(e.sys_errno, 0);
	assert_string_equal(e.text, "7 parts of x");
	assert_int_equal(vgm_err_set(NULL, VGM_E_CLOSED, "nobody listens"), VGM_E_CLOSED);
}

static void test_sys(void **state)
{
	(void)state;
	static const struct {
		int number, code;
	} cases[] = {
	    {ENOSPC, VGM_E_NOSPACE},
	    {EDQUOT, VGM_E_NOSPACE},
	    {EIO, VGM_E_IO},
	    {EACCES, VGM_E_IO},
	    {EMFILE, VGM_E_IO},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_err e;
		char expected[VGM_ERR_TEXT_BYTES];
		errno = cases[i].number;
		assert_int_equal(vgm_err_sys(&e, "opening %s", "f"), cases[i].code);
		assert_int_equal(e.sys_errno, cases[i].number);
		snprintf(expected, sizeof expected, "opening f: %s", strerrordesc_np(cases[i].number));
		assert_string_equal(e.text, expected);
		errno = cases[i].number;
		assert_int_equal(vgm_err_sys(NULL, "x"), cases[i].code);
	}
}

static void test_text_is_cut(void **state)
{
	(void)state;
	char text[2 * VGM_ERR_TEXT_BYTES];
	memset(text, 'a', sizeof text);
	for (size_t len = VGM_ERR_TEXT_BYTES - 30; len < VGM_ERR_TEXT_BYTES + 30; len++) {
		struct vgm_err e;
		memset(&e, 0xFF, sizeof e);
		errno = EIO;
		vgm_err_sys(&e, "%.*s", (int)len, text);
		assert_true(memchr(e.text, 0, sizeof e.text) != NULL);
		assert_true(strlen(e.text) >= vgm_min_size(len, VGM_ERR_TEXT_BYTES - 1));
	}
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(vgm_err_name(VGM_OK), "ok");
	assert_string_equal(vgm_err_name(VGM_E_VERSION), "version");
	for (int code = VGM_OK; code >= VGM_E_VERSION; code--)
		assert_string_not_equal(vgm_err_name(code), "unknown");
	assert_string_equal(vgm_err_name(VGM_E_VERSION - 1), "unknown");
	assert_string_equal(vgm_err_name(INT_MIN), "unknown");
	assert_string_equal(vgm_err_name(1), "unknown");
}

enum last_words { BUG, FATAL, OUT_OF_MEMORY };

/* The wait status of a child that ends so; what it says goes to out. */
static int status_of(enum last_words how, char *out, size_t out_len)
{
	int fds[2], status;
	assert_int_equal(pipe(fds), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct rlimit no_core = {0, 0};
		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGABRT, SIG_DFL);
		dup2(fds[1], 2);
		VGM_BUG_ON(how == BUG);
		if (how == FATAL)
			vgm_fatal("cannot %s", "start");
		vgm_free(vgm_alloc(SIZE_MAX / 2));
		_exit(4);
	}
	close(fds[1]);
	size_t len = 0;
	for (ssize_t n = 1; n > 0; len += (size_t)n) {
		n = read(fds[0], out + len, out_len - 1 - len);
		assert_true(n >= 0);
	}
	out[len] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void test_last_words(void **state)
{
	(void)state;
	char said[4096];
	int status = status_of(BUG, said, sizeof said);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_non_null(strstr(said, "bug at "));
	assert_non_null(strstr(said, "how == BUG"));
	status = status_of(FATAL, said, sizeof said);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	assert_string_equal(said, "vgm: cannot start\n");
#ifndef VGM_SANITIZED /* sanitizers end the process in their own way */
	status = status_of(OUT_OF_MEMORY, said, sizeof said);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_non_null(strstr(said, "out of memory"));
#endif
}

static void test_heap(void **state)
{
	(void)state;
	uint8_t *p = vgm_alloc(0);
	assert_non_null(p);
	p = vgm_realloc(p, 10);
	memset(p, 1, 10);
	p = vgm_realloc(p, 0);
	assert_non_null(p);
	vgm_free(p);
	vgm_free(NULL);
	char *s = vgm_strdup("pli");
	assert_string_equal(s, "pli");
	vgm_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_set),
	    cmocka_unit_test(test_sys),
	    cmocka_unit_test(test_text_is_cut),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_last_words),
	    cmocka_unit_test(test_heap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
