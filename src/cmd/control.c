/* SPDX-License-Identifier: EUPL-1.2
 * cmd/control.c — see control.h. */
#include "cmd/control.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "ipc/channel.h"
#include "role/build.h"
#include "role/viewd_control.h"
#include "view/query.h"

#define CONNECT_MS 5000
#define SILENCE_MS 75000 /* the server gives up on others after 60 s */

_Static_assert((int)VGM_VIEWD_OK == VGM_EXIT_OK && (int)VGM_VIEWD_NO == VGM_EXIT_NO &&
    (int)VGM_VIEWD_USAGE == VGM_EXIT_USAGE && (int)VGM_VIEWD_SYSTEM == VGM_EXIT_SYSTEM &&
    (int)VGM_VIEWD_UNREACHABLE == VGM_EXIT_UNREACHABLE, "the server ends with exit statuses");

/* ---- connecting ---- */

int vgm_control_connect(const char *state_dir)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int dir = open(state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -1;
	snprintf(sa.sun_path, sizeof sa.sun_path, "/proc/self/fd/%d/control.sock", dir);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof sa) < 0) {
		int why = errno;
		close(fd);
		errno = why;
		fd = -1;
	}
	int why = errno;
	close(dir);
	errno = why;
	return fd;
}

static int not_connected(const struct vgm_cmd_run *run, const char *state_dir)
{
	switch (errno) {
	case ENOENT:
	case ENOTDIR:
	case ECONNREFUSED:
		return vgm_cmd_fail(run, VGM_EXIT_UNREACHABLE, VGM_WORDS_control_not_running,
		    "state", state_dir, NULL);
	case EACCES:
	case EPERM:
		return vgm_cmd_fail(run, VGM_EXIT_UNREACHABLE, VGM_WORDS_control_not_allowed,
		    "state", state_dir, NULL);
	default:
		return vgm_cmd_fail(run, VGM_EXIT_UNREACHABLE, VGM_WORDS_cmd_failed, "what",
		    state_dir, "why", strerror(errno), NULL);
	}
}

/* For the journal: who types, even behind sudo. The server adds the uid that the
 * kernel vouches for. */
static const char *who(void)
{
	const char *behind = getenv("SUDO_USER");
	const struct passwd *pw = getpwuid(getuid());
	if (getuid() == 0 && behind && *behind)
		return behind;
	return pw ? pw->pw_name : "?";
}

/* ---- asking ---- */

bool vgm_control_word(
    const struct vgm_cmd_run *run, struct vgm_control_question *q, const char *word)
{
	if (q->count == VGM_ARRAY_LEN(q->words)) {
		vgm_cmd_fail(run, VGM_EXIT_USAGE, VGM_WORDS_control_too_many, "max", "64", NULL);
		return false;
	}
	if (strlen(word) > VGM_VIEW_TERM_BYTES) {
		vgm_cmd_fail(run, VGM_EXIT_USAGE, VGM_WORDS_view_term_long, "detail", "", NULL);
		return false;
	}
	q->words[q->count++] = word;
	return true;
}

static int send_question(
    const struct vgm_cmd_run *run, int fd, const struct vgm_control_question *q)
{
	struct vgm_word words[VGM_ARRAY_LEN(q->words)];
	struct vgm_msg_control m = {.build = vgm_slice_str(vgm_build_id()),
	    .verb = vgm_slice_str(q->verb), .words = words, .words_count = q->count};
	struct vgm_err err;
	m.who = vgm_slice_sub(vgm_slice_str(who()), 0, 200);
	for (size_t i = 0; i < q->count; i++)
		words[i].text = vgm_slice_str(q->words[i]);
	int r = vgm_ipc_send(fd, VGM_MSG_control, &m, vgm_clock_mono_ms() + CONNECT_MS, &err);
	return r < 0 ? vgm_cmd_fail_err(run, "control.sock", &err) : VGM_EXIT_OK;
}

static int take_row(const struct vgm_cmd_run *run, struct vgm_msg_control_row *m, bool as_it_comes,
    vgm_control_row *row, void *context)
{
	if (as_it_comes && m->fd < 0) {
		fwrite(m->json.data, 1, m->json.len, stdout);
		putchar('\n');
		return ferror(stdout) ? VGM_EXIT_SYSTEM : VGM_EXIT_OK;
	}
	json_t *json = json_loadb((const char *)m->json.data, m->json.len, JSON_ALLOW_NUL, NULL);
	int fd = m->fd;
	m->fd = -1;
	int status = row(context, run, json, fd);
	json_decref(json);
	return status;
}

/* The server's last word. */
static int take_end(const struct vgm_cmd_run *run, const struct vgm_msg_control_end *end)
{
	enum vgm_words_id words;
	char *name = vgm_slice_dup(end->words_id), *detail = vgm_slice_dup(end->detail);
	bool known = vgm_words_find(name, &words);
	vgm_free(name);
	if (known)
		vgm_cmd_fail(run, end->code, words, "detail", detail, NULL);
	vgm_free(detail);
	return end->code;
}

static int converse(const struct vgm_cmd_run *run, int fd, bool as_it_comes, vgm_control_row *row,
    void *context)
{
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	struct vgm_err err;
	int status = VGM_EXIT_OK;
	while (status == VGM_EXIT_OK) {
		int r = vgm_ipc_receive(fd, &got, vgm_clock_mono_ms() + SILENCE_MS, &err);
		if (r == VGM_E_CLOSED)
			return vgm_cmd_fail(
			    run, VGM_EXIT_UNREACHABLE, VGM_WORDS_control_hung_up, NULL);
		if (r < 0)
			return vgm_cmd_fail_err(run, "control.sock", &err);
		if (got.type == VGM_MSG_control_end)
			return take_end(run, got.message);
		if (got.type == VGM_MSG_control_row)
			status = take_row(run, got.message, as_it_comes, row, context);
	}
	return status;
}

int vgm_control_ask(const struct vgm_cmd_run *run, const struct vgm_control_question *q,
    vgm_control_row *row, void *context)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf state = VGM_BUF_INIT(8192);
	int status = vgm_cmd_state_dir(run, &state);
	if (status != VGM_EXIT_OK)
		return status;
	int fd = vgm_control_connect(vgm_buf_str(&state));
	if (fd < 0)
		return not_connected(run, vgm_buf_str(&state));
	status = send_question(run, fd, q);
	if (status == VGM_EXIT_OK)
		status = converse(run, fd, run->json && !q->every_row, row, context);
	close(fd);
	return status;
}
