/* SPDX-License-Identifier: EUPL-1.2
 * role/keyd_passphrase.c: a person at a terminal (a pseudo-terminal here, with
 * the asker behind it in a process group of its own, as roles run), and a
 * credential of systemd's kind. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "role/keyd_passphrase.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

struct outcome {
	int code;
	size_t len;
	bool interrupted, echo_is_back, front_is_back;
	char text[1100];
};

static volatile sig_atomic_t interrupts;

static void count_interrupt(int signal_number)
{
	(void)signal_number;
	interrupts++;
}

/* The asker, two processes below the test. */
static void ask_and_report(int report_fd, bool is_new)
{
	struct outcome o = {.code = 0};
	struct vgm_secret secret = {NULL, 0};
	setpgid(0, 0);
	o.code = vgm_keyd_passphrase("keys", is_new, VGM_EN, &secret, NULL);
	o.len = secret.len;
	if (o.code == 0 && secret.len < sizeof o.text)
		memcpy(o.text, secret.data, secret.len);
	_exit(write(report_fd, &o, sizeof o) == (ssize_t)sizeof o ? 0 : 1);
}

/* The leader of the terminal's session: what master is to keyd. */
static void lead(int report_fd, bool is_new)
{
	int inner[2];
	struct outcome o = {.code = 1};
	struct termios after;
	signal(SIGINT, count_interrupt);
	signal(SIGTTOU, SIG_IGN);
	if (pipe(inner) < 0)
		_exit(1);
	pid_t asker = fork();
	if (asker == 0)
		ask_and_report(inner[1], is_new);
	close(inner[1]);
	while (waitpid(asker, NULL, 0) < 0)
		;
	if (read(inner[0], &o, sizeof o) != (ssize_t)sizeof o)
		_exit(1);
	o.interrupted = interrupts > 0;
	o.echo_is_back = tcgetattr(0, &after) == 0 && (after.c_lflag & ECHO) && (after.c_lflag & ISIG);
	o.front_is_back = tcgetpgrp(0) == getpgrp();
	_exit(write(report_fd, &o, sizeof o) == (ssize_t)sizeof o ? 0 : 1);
}

/* Reads what the terminal shows until it ends in ": " (a prompt), or for good. */
static void read_screen(int fd, char *screen, size_t size, bool to_prompt)
{
	size_t len = strlen(screen);
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n = poll(&p, 1, 5000) == 1 ? read(fd, screen + len, size - 1 - len) : 0;
		if (n <= 0)
			return;
		len += (size_t)n;
		screen[len] = '\0';
		if (to_prompt && len > 2 && strcmp(screen + len - 2, ": ") == 0)
			return;
	}
}

/* Types the lines, each at its prompt. */
static struct outcome at_terminal(bool is_new, const char *const *lines, char screen[8192])
{
	struct outcome o;
	int terminal, report[2];
	screen[0] = '\0';
	assert_int_equal(pipe(report), 0);
	fflush(NULL);
	pid_t leader = forkpty(&terminal, NULL, NULL, NULL);
	assert_true(leader >= 0);
	if (leader == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		lead(report[1], is_new);
	}
	close(report[1]);
	for (size_t i = 0; lines[i]; i++) {
		read_screen(terminal, screen, 8192, true);
		assert_int_equal(write(terminal, lines[i], strlen(lines[i])), (ssize_t)strlen(lines[i]));
		/* So that the next prompt is the one that is waited for. */
		usleep(50000);
	}
	read_screen(terminal, screen, 8192, false);
	assert_int_equal(read(report[0], &o, sizeof o), sizeof o);
	close(report[0]);
	close(terminal);
	waitpid(leader, NULL, 0);
	return o;
}

static void test_at_the_terminal(void **state)
{
	static const struct {
		bool is_new;
		const char *lines[6];
		int code;
		const char *text;
		const char *shown; /* on the screen, besides the prompts */
	} cases[] = {
	    {false, {"correct horse\n"}, 0, "correct horse", "Passphrase of the key store \"keys\""},
	    {false, {"x\n"}, 0, "x", NULL},
	    {false, {"phrase secr\xC3\xA8te\n"}, 0, "phrase secr\xC3\xA8te", NULL},
	    {false, {"\n"}, VGM_E_INVALID, "", NULL},
	    {false, {"\x04"}, VGM_E_CLOSED, "", NULL},
	    {false, {"half a phr\x03\n"}, VGM_E_CLOSED, "", NULL},
	    {true, {"long enough\n", "long enough\n"}, 0, "long enough", "Once more"},
	    {true, {"long enough\n", "long enouhg\n", "second try\n", "second try\n"}, 0,
	        "second try", "not the same"},
	    {true, {"short\n", "long enough\n", "long enough\n"}, 0, "long enough",
	        "Eight characters"},
	    {true, {"long enough\n", "\x03\n"}, VGM_E_CLOSED, "", NULL},
	};
	char screen[8192];
	(void)state;
	unsetenv("CREDENTIALS_DIRECTORY");
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct outcome o = at_terminal(cases[i].is_new, cases[i].lines, screen);
		if (o.code != cases[i].code)
			print_error("case %zu: %d\n%s\n", i, o.code, screen);
		assert_int_equal(o.code, cases[i].code);
		assert_int_equal(o.len, strlen(cases[i].text));
		assert_string_equal(o.text, cases[i].text);
		assert_true(!cases[i].shown || strstr(screen, cases[i].shown));
		/* What was typed was not shown, and the terminal is as before. */
		assert_null(strstr(screen, "long eno"));
		assert_null(strstr(screen, "horse"));
		assert_true(o.echo_is_back);
		assert_true(o.front_is_back);
		bool ctrl_c = false;
		for (size_t l = 0; cases[i].lines[l]; l++)
			ctrl_c |= strchr(cases[i].lines[l], 3) != NULL;
		assert_int_equal(o.interrupted, ctrl_c);
	}
}

static void test_credential(void **state)
{
	static const struct {
		bool is_new;
		const char *content;
		int code;
		const char *text;
	} cases[] = {
	    {false, "a phrase\n", 0, "a phrase"},
	    {false, "a phrase\r\n", 0, "a phrase"},
	    {false, "with spaces \t", 0, "with spaces \t"},
	    {false, "short", 0, "short"},
	    {true, "short", VGM_E_INVALID, ""},
	    {true, "long enough", 0, "long enough"},
	    {false, "", VGM_E_INVALID, ""},
	    {false, "\n", VGM_E_INVALID, ""},
	};
	char dir[] = "/tmp/vgm-test-cred-XXXXXX", path[100];
	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/vgm-passphrase", dir);
	setenv("CREDENTIALS_DIRECTORY", dir, 1);
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_secret s = {NULL, 0};
		FILE *f = fopen(path, "w");
		fputs(cases[i].content, f);
		fclose(f);
		assert_int_equal(vgm_keyd_passphrase("keys", cases[i].is_new, VGM_FR, &s, NULL),
		    cases[i].code);
		assert_int_equal(s.len, strlen(cases[i].text));
		assert_memory_equal(s.data ? (const char *)s.data : "", cases[i].text, s.len);
		vgm_secret_release(&s);
	}
	/* Longer than is taken. */
	struct vgm_secret s = {NULL, 0};
	FILE *f = fopen(path, "w");
	for (size_t i = 0; i <= VGM_PASSPHRASE_MAX; i++)
		fputc('x', f);
	fclose(f);
	assert_int_equal(vgm_keyd_passphrase("keys", false, VGM_FR, &s, NULL), VGM_E_INVALID);
	unlink(path);
	rmdir(dir);
	unsetenv("CREDENTIALS_DIRECTORY");
}

/* A service without either says what to do. */
static void test_neither(void **state)
{
	int status;
	(void)state;
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		struct vgm_secret s;
		struct vgm_err err = {.text = ""};
		setsid(); /* no terminal any more */
		unsetenv("CREDENTIALS_DIRECTORY");
		int r = vgm_keyd_passphrase("keys", false, VGM_FR, &s, &err);
		_exit(r == VGM_E_NOTFOUND && strstr(err.text, "vgm-passphrase") ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_at_the_terminal),
	    cmocka_unit_test(test_credential),
	    cmocka_unit_test(test_neither),
	};
	alarm(110);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
