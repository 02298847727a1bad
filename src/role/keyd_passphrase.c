/* SPDX-License-Identifier: EUPL-1.2
 * role/keyd_passphrase.c — see keyd_passphrase.h. A role runs in a process group
 * of its own, behind the terminal's; it comes to the front for as long as it
 * asks. The two instances of keyd take turns by a lock on the terminal. */
#include "role/keyd_passphrase.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define CREDENTIAL "vgm-passphrase"
#define TERMINAL "/dev/tty"
#define CTRL_C 3

/* ---- the credential ---- */

/* Without the newline that editors leave at the end. */
static size_t without_newline(const uint8_t *text, size_t len)
{
	while (len && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		len--;
	return len;
}

static int keep(struct vgm_secret *typed, size_t len, struct vgm_secret *out, struct vgm_err *err)
{
	if (len == 0 || len > VGM_PASSPHRASE_MAX)
		return vgm_err_set(err, VGM_E_INVALID, "the passphrase is empty or too long");
	vgm_secret_init(out, len);
	memcpy(out->data, typed->data, len);
	return 0;
}

/* VGM_E_NOTFOUND: none was given. */
static int read_credential(struct vgm_secret *out, struct vgm_err *err)
{
	const char *directory = getenv("CREDENTIALS_DIRECTORY");
	int dir = directory ? open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	int fd = dir < 0 ? -1 : openat(dir, CREDENTIAL, O_RDONLY | O_CLOEXEC);
	if (dir >= 0)
		close(dir);
	if (fd < 0)
		return VGM_E_NOTFOUND;
	struct vgm_secret text;
	vgm_secret_init(&text, VGM_PASSPHRASE_MAX + 3);
	ssize_t n = read(fd, text.data, text.len);
	close(fd);
	int r = n < 0 ? vgm_err_sys(err, "reading the credential " CREDENTIAL) :
	                keep(&text, without_newline(text.data, (size_t)n), out, err);
	vgm_secret_release(&text);
	return r;
}

/* ---- the terminal ---- */

struct terminal {
	int fd;
	pid_t front; /* the process group that was in front */
	struct termios before;
	void (*ttou)(int);
};

static void say(const struct terminal *t, const char *text)
{
	(void)!write(t->fd, text, strlen(text));
}

static int open_terminal(struct terminal *t, struct vgm_err *err)
{
	t->fd = open(TERMINAL, O_RDWR | O_CLOEXEC);
	if (t->fd < 0)
		return vgm_err_set(err, VGM_E_NOTFOUND,
		    "keys.root is \"passphrase\": start at a terminal, or give the systemd "
		    "credential " CREDENTIAL);
	while (flock(t->fd, LOCK_EX) < 0 && errno == EINTR)
		;
	/* Changing the terminal from behind would stop us otherwise. */
	t->ttou = signal(SIGTTOU, SIG_IGN);
	t->front = tcgetpgrp(t->fd);
	if (tcgetattr(t->fd, &t->before) < 0 || tcsetpgrp(t->fd, getpgrp()) < 0) {
		close(t->fd);
		return vgm_err_sys(err, "the terminal");
	}
	struct termios quiet = t->before;
	/* No echo; Ctrl-C comes as a byte, because in front of it is only us. */
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
	(void)tcsetattr(t->fd, TCSAFLUSH, &quiet);
	return 0;
}

static void close_terminal(struct terminal *t)
{
	(void)tcsetattr(t->fd, TCSAFLUSH, &t->before);
	if (t->front > 0)
		(void)tcsetpgrp(t->fd, t->front);
	(void)signal(SIGTTOU, t->ttou);
	close(t->fd);
}

/* One line into text, without its newline. */
static int read_line(
    const struct terminal *t, struct vgm_secret *text, size_t *out_len, struct vgm_err *err)
{
	ssize_t n;
	do
		n = read(t->fd, text->data, text->len);
	while (n < 0 && errno == EINTR);
	say(t, "\n");
	if (n > 0 && memchr(text->data, CTRL_C, (size_t)n)) {
		(void)kill(getppid(), SIGINT);
		n = 0;
	}
	if (n <= 0)
		return vgm_err_set(err, VGM_E_CLOSED, "no passphrase was given");
	*out_len = without_newline(text->data, (size_t)n);
	return 0;
}

static int prompt(const struct terminal *t, enum vgm_words_id id, const char *store,
    enum vgm_lang lang, struct vgm_secret *text, size_t *out_len, struct vgm_err *err)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf words = VGM_BUF_INIT(2000);
	if (vgm_words_fill(id, lang, &words, "store", store, NULL) < 0)
		return vgm_err_set(err, VGM_E_LIMIT, "the prompt is too long");
	say(t, vgm_buf_str(&words));
	return read_line(t, text, out_len, err);
}

/* A new one twice, and long enough. */
static int ask(const struct terminal *t, const char *store, bool is_new, enum vgm_lang lang,
    struct vgm_secret *text, size_t *out_len, struct vgm_err *err)
{
	struct vgm_secret again;
	size_t again_len;
	vgm_secret_init(&again, text->len);
	for (;;) {
		int r = prompt(t,
		    is_new ? VGM_WORDS_keyd_passphrase_new : VGM_WORDS_keyd_passphrase, store, lang,
		    text, out_len, err);
		bool short_one = r == 0 && is_new && *out_len < VGM_PASSPHRASE_MIN;
		if (r == 0 && is_new && !short_one)
			r = prompt(t, VGM_WORDS_keyd_passphrase_again, store, lang, &again,
			    &again_len, err);
		if (r < 0 || !is_new ||
		    (!short_one && again_len == *out_len &&
		        vgm_secret_eq(again.data, text->data, again_len))) {
			vgm_secret_release(&again);
			return r;
		}
		say(t, vgm_words(short_one ? VGM_WORDS_keyd_passphrase_short :
		                             VGM_WORDS_keyd_passphrase_differ,
		           lang));
		say(t, "\n");
	}
}

int vgm_keyd_passphrase(const char *store, bool is_new, enum vgm_lang lang, struct vgm_secret *out,
    struct vgm_err *err)
{
	struct terminal t;
	struct vgm_secret text;
	size_t len;
	int r = read_credential(out, err);
	if (r == 0 && is_new && out->len < VGM_PASSPHRASE_MIN) {
		vgm_secret_release(out);
		return vgm_err_set(err, VGM_E_INVALID, "the passphrase is shorter than %u bytes",
		    VGM_PASSPHRASE_MIN);
	}
	if (r != VGM_E_NOTFOUND)
		return r;
	r = open_terminal(&t, err);
	if (r < 0)
		return r;
	vgm_secret_init(&text, VGM_PASSPHRASE_MAX + 3);
	r = ask(&t, store, is_new, lang, &text, &len, err);
	close_terminal(&t);
	if (r == 0)
		r = keep(&text, len, out, err);
	vgm_secret_release(&text);
	return r;
}
