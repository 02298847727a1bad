/* SPDX-License-Identifier: EUPL-1.2
 * role/master_state.c — see master_state.h. */
#include "role/master_state.h"

#include "directory/directory.h"
#include "net/addr.h"
#include "os/file.h"
#include "os/memfd.h"
#include "role/keyd_tls.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACKLOG 1024
#define BIND_TRIES 20
#define CONF_MAX_BYTES (4u << 20)
#define CONF_WRITTEN_MAX_BYTES (64u << 20)
#define PEOPLE_MAX_BYTES (256u << 20)

static const char *const directory_names[] = {"keys-tls", "keys", "ledger", "views"};

/* ---- files ---- */

static int read_file(const char *path, struct vgm_buf *out, struct vgm_err *err)
{
	const char *slash = strrchr(path, '/');
	char *parent =
	    slash ? vgm_slice_dup(vgm_slice(path, (size_t)(slash - path) + 1)) : vgm_strdup(".");
	int dir = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	vgm_free(parent);
	if (dir < 0)
		return vgm_err_sys(err, "%s", path);
	int r = vgm_file_read_at(dir, slash ? slash + 1 : path, out, err);
	close(dir);
	return r;
}

int vgm_master_read_conf(
    const char *path, struct vgm_conf *out, struct vgm_conf_fault *fault, struct vgm_err *err)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf text = VGM_BUF_INIT(CONF_MAX_BYTES);
	int r = read_file(path, &text, err);
	return r < 0 ? r : vgm_conf_parse(vgm_buf_slice(&text), out, fault, err);
}

#define TLS_CHECK_S 10 /* a file that blocks is no certificate */

/* In the child: what is wrong goes into the pipe. */
static void VGM_NORETURN look_at_tls(const struct vgm_conf *conf, int pipe_fd)
{
	struct vgm_keyd_tls *tls = NULL;
	struct vgm_err err = {.code = 0};
	alarm(TLS_CHECK_S);
	int r = vgm_keyd_tls_load(conf->tls_certificate, conf->tls_key, &tls, &err);
	if (r < 0)
		(void)!write(pipe_fd, err.text, strlen(err.text));
	vgm_keyd_tls_free(&tls);
	_exit(r < 0);
}

int vgm_master_check_tls(const struct vgm_conf *conf, struct vgm_err *err)
{
	char text[VGM_ERR_TEXT_BYTES] = "";
	int fds[2], status = -1;
	if (conf->tls_certificate[0] == '\0')
		return 0;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return vgm_err_sys(err, "pipe");
	pid_t pid = fork();
	if (pid == 0)
		look_at_tls(conf, fds[1]);
	close(fds[1]);
	if (pid > 0) {
		(void)!read(fds[0], text, sizeof text - 1);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	close(fds[0]);
	if (pid < 0)
		return vgm_err_sys(err, "fork");
	if (status != 0)
		return vgm_err_set(err, VGM_E_INVALID, "%s",
		    text[0] ? text : "tls.certificate and tls.key could not be read");
	return 0;
}

uint32_t vgm_master_conf_version(const struct vgm_conf *conf)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf text = VGM_BUF_INIT(CONF_WRITTEN_MAX_BYTES);
	uint8_t hash[EVP_MAX_MD_SIZE];
	VGM_BUG_ON(vgm_conf_write(conf, C_ALL, false, &text) < 0 ||
	    EVP_Digest(text.data, text.len, hash, NULL, EVP_sha256(), NULL) != 1);
	return (uint32_t)hash[0] << 24 | (uint32_t)hash[1] << 16 | (uint32_t)hash[2] << 8 | hash[3];
}

int vgm_master_read_people(const struct vgm_conf *conf, int *out_fd, struct vgm_err *err)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf text = VGM_BUF_INIT(PEOPLE_MAX_BYTES);
	struct vgm_directory *checked = NULL;
	if (conf->directory_file[0] == '\0') {
		*out_fd = -1;
		return 0;
	}
	int r = read_file(conf->directory_file, &text, err);
	if (r == 0)
		r = vgm_directory_parse(vgm_buf_slice(&text), &checked, NULL, err);
	vgm_directory_free(&checked);
	return r < 0 ? r : vgm_memfd_of("vgm-people", vgm_buf_slice(&text), out_fd, err);
}

/* ---- directories ---- */

static int own(int fd, const struct vgm_conf *conf, struct vgm_err *err)
{
	if (geteuid() != 0 || conf->user[0] == '\0')
		return 0;
	const struct passwd *pw = getpwnam(conf->user);
	if (!pw)
		return vgm_err_set(err, VGM_E_NOTFOUND, "there is no user %s", conf->user);
	return fchown(fd, pw->pw_uid, pw->pw_gid) < 0 ? vgm_err_sys(err, "fchown") : 0;
}

static int open_directory(int parent, const char *name, const struct vgm_conf *conf, int *out_fd,
    struct vgm_err *err)
{
	int r = vgm_file_directory_at(parent, name, 0700, out_fd, err);
	return r < 0 ? r : own(*out_fd, conf, err);
}

int vgm_master_directory(const struct vgm_master_state *s, const char *name)
{
	for (size_t i = 0; i < s->directories_count; i++)
		if (strcmp(s->directories[i].name, name) == 0)
			return s->directories[i].fd;
	VGM_BUG_ON(true);
}

/* ---- sockets ---- */

static int add_listener(
    struct vgm_master_state *s, struct vgm_master_listener l, struct vgm_err *err)
{
	if (s->listeners_count == VGM_MASTER_LISTENERS_MAX) {
		close(l.fd);
		return vgm_err_set(err, VGM_E_LIMIT, "more than %d addresses to listen on",
		    VGM_MASTER_LISTENERS_MAX);
	}
	s->listeners[s->listeners_count++] = l;
	return 0;
}

/* The port that the kernel gave shows only now. */
static void name_listener(struct vgm_master_listener *l)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf ip = VGM_BUF_INIT(60);
	struct sockaddr_storage sa = {.ss_family = AF_UNSPEC};
	socklen_t len = sizeof sa;
	struct vgm_addr addr;
	if (getsockname(l->fd, (struct sockaddr *)&sa, &len) < 0 ||
	    vgm_addr_from_sockaddr((struct sockaddr *)&sa, &addr) < 0 ||
	    vgm_ip_format(addr.ip, &ip) < 0)
		return;
	snprintf(l->name, sizeof l->name, vgm_ip_is_v4(addr.ip) ? "%s:%u" : "[%s]:%u",
	    vgm_buf_str(&ip), addr.port);
}

/* After a kill of master its roles, which hold the same sockets, need a moment to
 * die too. */
static int bind_patiently(int fd, const struct sockaddr *sa, socklen_t len)
{
	const struct timespec pause = {.tv_nsec = 100000000};
	for (int i = 0; i < BIND_TRIES; i++) {
		if (bind(fd, sa, len) == 0)
			return 0;
		if (errno != EADDRINUSE)
			return -1;
		nanosleep(&pause, NULL);
	}
	return -1;
}

static int bind_tcp(const char *text, int *out_fd, struct vgm_err *err)
{
	struct vgm_addr addr;
	struct sockaddr_storage sa;
	int one = 1;
	int r = vgm_addr_parse(vgm_slice_str(text), &addr, err);
	if (r < 0)
		return r;
	socklen_t len = vgm_addr_to_sockaddr(&addr, &sa);
	int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return vgm_err_sys(err, "socket for %s", text);
	/* Accepted sockets inherit TCP_NODELAY. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0 ||
	    bind_patiently(fd, (struct sockaddr *)&sa, len) < 0 || listen(fd, BACKLOG) < 0) {
		r = vgm_err_sys(err, "listening on %s", text);
		close(fd);
		return r;
	}
	*out_fd = fd;
	return 0;
}

static int bind_list(struct vgm_master_state *s, const struct vgm_conf_list *list,
    enum vgm_instance instance, bool tls, struct vgm_err *err)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < list->count; i++) {
		struct vgm_master_listener l = {
		    .role = VGM_ROLE_SMTPD, .instance = instance, .tls = tls, .fd = -1};
		r = bind_tcp(list->text[i], &l.fd, err);
		if (r < 0)
			break;
		name_listener(&l);
		r = add_listener(s, l, err);
	}
	return r;
}

/* By a relative name: a socket's path holds only 107 bytes. */
static int bind_control(
    struct vgm_master_state *s, const struct vgm_conf *conf, struct vgm_err *err)
{
	struct vgm_master_listener l = {.role = VGM_ROLE_VIEWD, .fd = -1};
	struct sockaddr_un sa = {.sun_family = AF_UNIX, .sun_path = "control.sock"};
	int back = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r = 0;
	if (back < 0 || fd < 0 || fchdir(s->state_fd) < 0)
		r = vgm_err_sys(err, "control socket");
	if (r == 0 && unlink(sa.sun_path) < 0 && errno != ENOENT)
		r = vgm_err_sys(err, "removing an old control socket");
	if (r == 0) {
		/* Nobody else may connect, from its first moment on. */
		mode_t mask = umask(0177);
		if (bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0 || listen(fd, 64) < 0)
			r = vgm_err_sys(err, "control socket");
		umask(mask);
	}
	if (r == 0 && geteuid() == 0 && conf->user[0]) {
		const struct passwd *pw = getpwnam(conf->user);
		if (!pw || chown(sa.sun_path, pw->pw_uid, pw->pw_gid) < 0)
			r = vgm_err_sys(err, "owner of the control socket");
	}
	if (back >= 0 && fchdir(back) < 0 && r == 0)
		r = vgm_err_sys(err, "working directory");
	if (back >= 0)
		close(back);
	if (r < 0) {
		if (fd >= 0)
			close(fd);
		return r;
	}
	l.fd = fd;
	return add_listener(s, l, err);
}

const struct vgm_master_listener *vgm_master_listener_of(
    const struct vgm_master_state *s, enum vgm_role_id role, enum vgm_instance instance)
{
	for (size_t i = 0; i < s->listeners_count; i++)
		if (s->listeners[i].role == role && s->listeners[i].instance == instance)
			return &s->listeners[i];
	return NULL;
}

/* ---- all of it ---- */

static int open_directories(
    struct vgm_master_state *s, const struct vgm_conf *conf, struct vgm_err *err)
{
	int r = open_directory(AT_FDCWD, conf->state, conf, &s->state_fd, err);
	if (r == 0)
		r = vgm_file_lock_at(s->state_fd, "lock", &s->lock_fd, err);
	for (size_t i = 0; r == 0 && i < VGM_ARRAY_LEN(directory_names); i++) {
		int fd = -1;
		r = open_directory(s->state_fd, directory_names[i], conf, &fd, err);
		if (fd < 0)
			break;
		s->directories[s->directories_count].name = directory_names[i];
		s->directories[s->directories_count++].fd = fd;
	}
	return r;
}

int vgm_master_state_open(
    const struct vgm_conf *conf, struct vgm_master_state *s, struct vgm_err *err)
{
	*s = (struct vgm_master_state){.state_fd = -1, .lock_fd = -1, .people_fd = -1};
	int r = open_directories(s, conf, err);
	if (r == 0)
		r = bind_list(s, &conf->receive_listen, VGM_INSTANCE_RECEIVE, false, err);
	if (r == 0)
		r = bind_list(s, &conf->submit_listen, VGM_INSTANCE_SUBMIT, false, err);
	if (r == 0)
		r = bind_list(s, &conf->submit_listen_tls, VGM_INSTANCE_SUBMIT, true, err);
	if (r == 0)
		r = bind_list(s, &conf->devices_listen, VGM_INSTANCE_DEVICES, false, err);
	if (r == 0)
		r = bind_control(s, conf, err);
	return r;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void vgm_master_state_release(struct vgm_master_state *s)
{
	for (size_t i = 0; i < s->listeners_count; i++)
		close_fd(&s->listeners[i].fd);
	for (size_t i = 0; i < s->directories_count; i++)
		close_fd(&s->directories[i].fd);
	close_fd(&s->people_fd);
	if (s->state_fd >= 0)
		(void)unlinkat(s->state_fd, "control.sock", 0);
	close_fd(&s->state_fd);
	close_fd(&s->lock_fd);
}
