/* SPDX-License-Identifier: EUPL-1.2
 * role/master_log.h — what master itself has to say. */
#ifndef VGM_ROLE_MASTER_LOG_H
#define VGM_ROLE_MASTER_LOG_H

#include "conf/conf.h"
#include "log/log.h"
#include "role/master_units.h"

/* How a process ended; status as of waitpid. */
void vgm_master_log_unit(
    enum vgm_log_level, const char *event, const struct vgm_unit_kind *, int status);
void vgm_master_log_failure(const char *event, const struct vgm_err *);
/* A reload is refused for this. */
void vgm_master_log_fault(const struct vgm_conf_fault *);
/* Options that a reload does not take. Nothing when there are none. */
void vgm_master_log_restart_needed(const struct vgm_conf *old, const struct vgm_conf *fresh);
/* What this machine gives the sandbox, and what it does with memory (rule 11: swap
 * off, encrypted, or said at start). */
void vgm_master_log_platform(void);

#endif
