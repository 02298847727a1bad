/* SPDX-License-Identifier: EUPL-1.2
 * role/master_units.c — see master_units.h: two tables. What may be said over a
 * channel stands in ipc/allow.c. */
#include "role/master_units.h"

#include "base/base.h"
#include "conf/conf.h"

#define ONLY VGM_INSTANCE_ONLY

const struct vgm_unit_kind vgm_unit_kinds[] = {
    {VGM_ROLE_KEYD, VGM_INSTANCE_TLS, C_KEYD, "keys-tls", 5},
    {VGM_ROLE_KEYD, ONLY, C_KEYD, "keys", 5},
    {VGM_ROLE_LEDGERD, ONLY, C_LEDGERD, "ledger", 4},
    {VGM_ROLE_VIEWD, ONLY, C_VIEWD, "views", 3},
    {VGM_ROLE_RESOLVERD, ONLY, C_RESOLVERD, NULL, 5},
    {VGM_ROLE_ADMIT, ONLY, C_FILTER, NULL, 1},
    {VGM_ROLE_RENDER, ONLY, C_FILTER, NULL, 3},
    {VGM_ROLE_SHOW, ONLY, C_FILTER, NULL, 3},
    {VGM_ROLE_RELAYD, ONLY, C_RELAYD, NULL, 2},
    {VGM_ROLE_SMTPD, VGM_INSTANCE_RECEIVE, C_SMTPD, NULL, 0},
    {VGM_ROLE_SMTPD, VGM_INSTANCE_SUBMIT, C_SMTPD, NULL, 0},
    {VGM_ROLE_SMTPD, VGM_INSTANCE_DEVICES, C_SMTPD, NULL, 0},
};
const size_t vgm_unit_count = VGM_ARRAY_LEN(vgm_unit_kinds);

#define SMTPD_LINKS(instance)                                                                      \
	{VGM_ROLE_SMTPD, instance, VGM_ROLE_ADMIT, ONLY},                                          \
	    {VGM_ROLE_SMTPD, instance, VGM_ROLE_KEYD, VGM_INSTANCE_TLS}

const struct vgm_unit_link vgm_unit_links[] = {
    SMTPD_LINKS(VGM_INSTANCE_RECEIVE),
    SMTPD_LINKS(VGM_INSTANCE_SUBMIT),
    SMTPD_LINKS(VGM_INSTANCE_DEVICES),
    {VGM_ROLE_ADMIT, ONLY, VGM_ROLE_KEYD, ONLY},
    {VGM_ROLE_ADMIT, ONLY, VGM_ROLE_LEDGERD, ONLY},
    {VGM_ROLE_RENDER, ONLY, VGM_ROLE_KEYD, ONLY},
    {VGM_ROLE_RENDER, ONLY, VGM_ROLE_LEDGERD, ONLY},
    {VGM_ROLE_SHOW, ONLY, VGM_ROLE_KEYD, ONLY},
    {VGM_ROLE_LEDGERD, ONLY, VGM_ROLE_KEYD, ONLY},
    {VGM_ROLE_LEDGERD, ONLY, VGM_ROLE_RELAYD, ONLY},
    {VGM_ROLE_LEDGERD, ONLY, VGM_ROLE_VIEWD, ONLY},
    {VGM_ROLE_RELAYD, ONLY, VGM_ROLE_RENDER, ONLY},
    {VGM_ROLE_RELAYD, ONLY, VGM_ROLE_RESOLVERD, ONLY},
    {VGM_ROLE_VIEWD, ONLY, VGM_ROLE_KEYD, ONLY},
    {VGM_ROLE_VIEWD, ONLY, VGM_ROLE_SHOW, ONLY},
};
const size_t vgm_unit_link_count = VGM_ARRAY_LEN(vgm_unit_links);

static size_t find(enum vgm_role_id role, enum vgm_instance instance)
{
	for (size_t i = 0; i < vgm_unit_count; i++)
		if (vgm_unit_kinds[i].role == role && vgm_unit_kinds[i].instance == instance)
			return i;
	VGM_BUG_ON(true);
}

bool vgm_unit_link_of(const struct vgm_unit_link *link, size_t unit, size_t *other)
{
	size_t a = find(link->a, link->a_instance), b = find(link->b, link->b_instance);
	if (a != unit && b != unit)
		return false;
	*other = a == unit ? b : a;
	return true;
}
