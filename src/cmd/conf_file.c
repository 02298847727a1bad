/* SPDX-License-Identifier: EUPL-1.2
 * cmd/conf_file.c — the configuration file as commands meet it (cmd.h). */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "conf/conf.h"

#define DEFAULT_FILE "/etc/vaguemestre/vgm.yaml"
#define FILE_MAX_BYTES (8u << 20)

static int read_file(const char *path, struct vgm_buf *out, struct vgm_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return vgm_err_sys(err, "open");
	int r = 0;
	ssize_t n = 1;
	while (r == 0 && n > 0) {
		uint8_t part[16384];
		n = read(fd, part, sizeof(part));
		if (n > 0)
			r = vgm_buf_add(out, part, (size_t)n);
	}
	if (n < 0)
		r = vgm_err_sys(err, "read");
	else if (r < 0)
		r = vgm_err_set(err, r, "more than %u bytes", FILE_MAX_BYTES);
	close(fd);
	return r;
}

static int fail_read(const struct vgm_cmd_run *run, const char *path, const struct vgm_err *err)
{
	if (err->sys_errno == ENOENT)
		return vgm_cmd_fail(run, VGM_EXIT_CONF, VGM_WORDS_cmd_no_conf, "file", path, NULL);
	return vgm_cmd_fail(
	    run, VGM_EXIT_CONF, VGM_WORDS_cmd_failed, "what", path, "why", err->text, NULL);
}

static int fail_fault(const struct vgm_cmd_run *run, const char *path,
    const struct vgm_conf_fault *fault, const struct vgm_err *err)
{
	struct vgm_buf text = VGM_BUF_INIT(8192);
	int r = vgm_conf_fault_text(fault, path, run->lang, &text);
	vgm_cmd_fail(run, VGM_EXIT_CONF, VGM_WORDS_cmd_said, "text",
	    r < 0 ? err->text : vgm_buf_str(&text), NULL);
	vgm_buf_release(&text);
	return VGM_EXIT_CONF;
}

int vgm_cmd_load_conf(const struct vgm_cmd_run *run, const char *path, struct vgm_conf *out)
{
	struct vgm_buf yaml = VGM_BUF_INIT(FILE_MAX_BYTES);
	struct vgm_conf_fault fault;
	struct vgm_err err = {0};
	int status = VGM_EXIT_OK;
	if (read_file(path, &yaml, &err) < 0)
		status = fail_read(run, path, &err);
	else if (vgm_conf_parse(vgm_buf_slice(&yaml), out, &fault, &err) < 0)
		status = fail_fault(run, path, &fault, &err);
	vgm_buf_release(&yaml);
	return status;
}

int vgm_cmd_state_dir(const struct vgm_cmd_run *run, struct vgm_buf *out)
{
	const char *state = vgm_cmd_option(run, "state"), *path = vgm_cmd_option(run, "config");
	struct vgm_conf conf;
	int status = VGM_EXIT_OK;
	if (!state && !path && access(DEFAULT_FILE, F_OK) == 0)
		path = DEFAULT_FILE;
	if (!state && path)
		status = vgm_cmd_load_conf(run, path, &conf);
	else
		vgm_conf_init(&conf);
	if (status != VGM_EXIT_OK)
		return status;
	if (vgm_buf_add_str(out, state ? state : conf.state) < 0)
		status = vgm_cmd_fail(run, VGM_EXIT_USAGE, VGM_WORDS_cmd_option_unknown, "option",
		    "--state", "command", run->cmd->name, NULL);
	vgm_conf_release(&conf);
	return status;
}
