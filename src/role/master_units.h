/* SPDX-License-Identifier: EUPL-1.2
 * role/master_units.h — the processes that make a gateway, and which two of them
 * have a channel between them. */
#ifndef VGM_ROLE_MASTER_UNITS_H
#define VGM_ROLE_MASTER_UNITS_H

#include "ipc/message.h"

#include <stddef.h>

struct vgm_unit_kind {
	enum vgm_role_id role;
	enum vgm_instance instance;
	unsigned conf_roles;    /* enum vgm_conf_role bits: its part of the configuration */
	const char *directory;  /* its own, under the state directory; NULL = none */
	unsigned stop_stage;    /* lower stops first; a stage waits for the one before */
};
extern const struct vgm_unit_kind vgm_unit_kinds[];
extern const size_t vgm_unit_count;

struct vgm_unit_link {
	enum vgm_role_id a;
	enum vgm_instance a_instance;
	enum vgm_role_id b;
	enum vgm_instance b_instance;
};
extern const struct vgm_unit_link vgm_unit_links[];
extern const size_t vgm_unit_link_count;

/* True if the link joins this unit to another; *other gets that one's index. */
bool vgm_unit_link_of(const struct vgm_unit_link *, size_t unit, size_t *other);

#endif
