/* SPDX-License-Identifier: EUPL-1.2
 * role/master.h — starts, watches, restarts and reloads the other processes;
 * binds ports; counts strikes. Never sees mail bytes or keys. */
#ifndef VGM_ROLE_MASTER_H
#define VGM_ROLE_MASTER_H

#include "conf/conf.h"
#include "words/words.h"

/* Runs the gateway in the foreground until SIGTERM or SIGINT. Prints one line
 * on stdout when every role serves. SIGHUP reads conf_path (may be NULL) again:
 * a wrong file changes nothing. conf is taken over and released. Returns the
 * process's exit status: 0 after a clean stop, 3 when another instance has the
 * state directory, 4 when the directory file is wrong, 5 for anything else. */
int vgm_master_run(struct vgm_conf *conf, const char *conf_path, enum vgm_lang lang);

#endif
