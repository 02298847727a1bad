/* SPDX-License-Identifier: EUPL-1.2
 * cmd/sink_store.c — what became of each message that a sink took: see sink.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "cmd/sink.h"
#include "os/file.h"

#define LINE_MAX_BYTES (4u << 20) /* a thousand recipients, escaped */

static int make_directory(const char *path, const char *sub, int *out_fd, struct vgm_err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return vgm_err_sys(err, "%s", path);
	if (mkdirat(fd, sub, 0700) < 0 && errno != EEXIST) {
		int r = vgm_err_sys(err, "%s/%s", path, sub);
		close(fd);
		return r;
	}
	*out_fd = openat(fd, sub, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = *out_fd < 0 ? vgm_err_sys(err, "%s/%s", path, sub) : 0;
	close(fd);
	return r;
}

/* DIR with its three parts, as mail readers expect them. */
static int open_maildir(const char *path, int *out_fd, struct vgm_err *err)
{
	static const char *const parts[] = {"tmp", "cur", "new"};
	int r = 0, fd = -1;
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return vgm_err_sys(err, "%s", path);
	for (size_t i = 0; i < VGM_ARRAY_LEN(parts) && r == 0; i++) {
		if (fd >= 0)
			close(fd);
		r = make_directory(path, parts[i], &fd, err);
	}
	if (r == 0)
		*out_fd = fd;
	return r;
}

int vgm_sink_store_open(
    struct vgm_sink_store *s, const char *maildir, const char *log, struct vgm_err *err)
{
	int r = 0;
	*s = (struct vgm_sink_store){.directory = -1, .log = -1};
	if (maildir)
		r = open_maildir(maildir, &s->directory, err);
	if (r == 0 && log) {
		s->log = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		r = s->log < 0 ? vgm_err_sys(err, "%s", log) : 0;
	}
	if (r < 0)
		vgm_sink_store_close(s);
	return r;
}

void vgm_sink_store_close(struct vgm_sink_store *s)
{
	if (s->directory >= 0)
		close(s->directory);
	if (s->log >= 0)
		close(s->log);
	s->directory = s->log = -1;
}

/* ---- the log ---- */

static int add_string(struct vgm_buf *out, struct vgm_slice s)
{
	int r = vgm_buf_add_byte(out, '"');
	for (size_t i = 0; i < s.len && r == 0; i++) {
		uint8_t c = s.data[i];
		if (c == '"' || c == '\\')
			r = vgm_buf_addf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7F)
			r = vgm_buf_addf(out, "\\u%04x", c);
		else
			r = vgm_buf_add_byte(out, c);
	}
	return r ? r : vgm_buf_add_byte(out, '"');
}

static int add_field(struct vgm_buf *out, const char *name, struct vgm_slice value)
{
	int r = vgm_buf_addf(out, ",\"%s\":", name);
	return r ? r : add_string(out, value);
}

static int add_recipients(struct vgm_buf *out, const struct vgm_sink_message *m)
{
	int r = vgm_buf_add_str(out, ",\"recipients\":[");
	for (size_t i = 0; i < m->recipients_count && r == 0; i++) {
		r = i ? vgm_buf_add_byte(out, ',') : 0;
		if (r == 0)
			r = add_string(out, m->recipients[i]);
	}
	return r ? r : vgm_buf_add_byte(out, ']');
}

static int make_line(const struct vgm_sink_message *m, const char *file, struct vgm_buf *out)
{
	int r = vgm_buf_add_str(out, "{\"time\":\"");
	if (r == 0)
		r = vgm_date_rfc3339(vgm_clock_wall_us(), out);
	if (r == 0)
		r = vgm_buf_add_byte(out, '"');
	if (r == 0)
		r = add_field(out, "sender", m->sender);
	if (r == 0)
		r = add_recipients(out, m);
	if (r == 0)
		r = vgm_buf_addf(out, ",\"size\":%llu,\"sha256\":\"", (unsigned long long)m->size);
	if (r == 0)
		r = vgm_hex_encode(vgm_slice(m->sha256, 32), out);
	if (r == 0)
		r = vgm_buf_add_byte(out, '"');
	if (r == 0)
		r = add_field(out, "file", vgm_slice_str(file));
	if (r == 0)
		r = add_field(out, "helo", m->helo);
	if (r == 0)
		r = add_field(out, "tls", m->tls);
	if (r == 0)
		r = add_field(out, "peer", m->peer);
	return r ? r : vgm_buf_add_str(out, "}\n");
}

static int log_message(const struct vgm_sink_store *s, const struct vgm_sink_message *m,
    const char *file, struct vgm_err *err)
{
	struct vgm_buf line = VGM_BUF_INIT(LINE_MAX_BYTES);
	int r = make_line(m, file, &line);
	if (r < 0)
		vgm_err_set(err, r, "a line of the log is too long");
	else if (write(s->log, line.data, line.len) != (ssize_t)line.len)
		r = vgm_err_sys(err, "write the log");
	vgm_buf_release(&line);
	return r;
}

int vgm_sink_store_add(
    struct vgm_sink_store *s, const struct vgm_sink_message *m, struct vgm_err *err)
{
	char file[80] = "";
	int r = 0;
	s->sequence++;
	if (s->directory >= 0) {
		snprintf(file, sizeof(file), "%llu.P%ldQ%llu.sink",
		    (unsigned long long)vgm_clock_wall_us(), (long)getpid(),
		    (unsigned long long)s->sequence);
		r = vgm_file_replace_at(s->directory, file, m->body, 0600, err);
	}
	if (r == 0 && s->log >= 0)
		r = log_message(s, m, file, err);
	if (r == 0) {
		s->messages++;
		s->bytes += m->size;
	}
	return r;
}
