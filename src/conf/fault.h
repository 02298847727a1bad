/* SPDX-License-Identifier: EUPL-1.2
 * conf/fault.h — how parse.c and conf.c note what is wrong. */
#ifndef VGM_CONF_FAULT_H
#define VGM_CONF_FAULT_H

#include "conf/value.h"

/* Fills *fault (may be NULL; its line and column stay) and *err; returns
 * VGM_E_INVALID. expected and found may be NULL. */
int vgm_conf_fault_set(struct vgm_conf_fault *fault, struct vgm_err *err, enum vgm_words_id words,
    struct vgm_slice path, const char *expected, struct vgm_slice found);
/* No option has that path: the same, with the nearest name that exists. rows:
 * path is a column's name there. */
int vgm_conf_fault_unknown(struct vgm_conf_fault *fault, struct vgm_err *err, struct vgm_slice path,
    const struct vgm_conf_option *rows);

#endif
