/* SPDX-License-Identifier: EUPL-1.2
 * role/master_log.c — see master_log.h. */
#include "role/master_log.h"

#include "ipc/allow.h"
#include "os/platform.h"
#include "os/process.h"
#include "os/sandbox.h"

void vgm_master_log_unit(
    enum vgm_log_level level, const char *event, const struct vgm_unit_kind *kind, int status)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf how = VGM_BUF_INIT(200);
	struct vgm_log_line line;
	vgm_log_start(&line, level, event);
	vgm_log_text(&line, "role", vgm_role_name(kind->role));
	vgm_log_u64(&line, "instance", kind->instance);
	if (vgm_process_describe(status, &how) == 0)
		vgm_log_str(&line, "how", vgm_buf_slice(&how));
	vgm_log_end(&line);
}

void vgm_master_log_failure(const char *event, const struct vgm_err *err)
{
	struct vgm_log_line line;
	vgm_log_start(&line, VGM_LOG_ERROR, event);
	vgm_log_err(&line, err);
	vgm_log_end(&line);
}

void vgm_master_log_fault(const struct vgm_conf_fault *fault)
{
	struct vgm_log_line line;
	vgm_log_start(&line, VGM_LOG_ERROR, "reload_refused");
	vgm_log_u64(&line, "line", fault->line);
	vgm_log_u64(&line, "column", fault->column);
	vgm_log_text(&line, "option", fault->path);
	vgm_log_text(&line, "expected", fault->expected);
	vgm_log_text(&line, "found", fault->found);
	vgm_log_end(&line);
}

void vgm_master_log_restart_needed(const struct vgm_conf *old, const struct vgm_conf *fresh)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf names = VGM_BUF_INIT(8000);
	struct vgm_log_line line;
	if (vgm_conf_restart_needed(old, fresh, &names) < 0 || names.len == 0)
		return;
	vgm_log_start(&line, VGM_LOG_WARNING, "restart_needed");
	vgm_log_str(&line, "options", vgm_buf_slice(&names));
	vgm_log_end(&line);
}

/* What this machine gives the sandbox, and what it does with memory (rule 11: swap
 * off, encrypted, or said at start). */
void vgm_master_log_platform(void)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf swaps = VGM_BUF_INIT(4000);
	struct vgm_log_line line;
	struct vgm_err err;
	vgm_log_start(&line, VGM_LOG_INFO, "platform");
	vgm_log_flag(&line, "seccomp", vgm_sandbox_has_seccomp());
	vgm_log_u64(&line, "landlock", (uint64_t)vgm_sandbox_landlock_abi());
	vgm_log_text(&line, "sandbox", vgm_sandbox_profile());
	vgm_log_end(&line);
	if (vgm_platform_swap_in_clear(&swaps, &err) < 0) {
		vgm_master_log_failure("swap_unknown", &err);
	} else if (swaps.len) {
		vgm_log_start(&line, VGM_LOG_WARNING, "swap_in_use");
		vgm_log_str(&line, "areas", vgm_buf_slice(&swaps));
		vgm_log_end(&line);
	}
}
