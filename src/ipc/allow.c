/* SPDX-License-Identifier: EUPL-1.2
 * ipc/allow.c — the table of allow.h. Read it as the list of everything that a
 * process which has been taken over could still ask of the others. */
#include "ipc/allow.h"

#include "base/base.h"

#define M(name) VGM_MSG_##name
#define MASTER VGM_ROLE_MASTER
#define SMTPD VGM_ROLE_SMTPD
#define ADMIT VGM_ROLE_ADMIT
#define RENDER VGM_ROLE_RENDER
#define SHOW VGM_ROLE_SHOW
#define KEYD VGM_ROLE_KEYD
#define LEDGERD VGM_ROLE_LEDGERD
#define VIEWD VGM_ROLE_VIEWD
#define RESOLVERD VGM_ROLE_RESOLVERD
#define RELAYD VGM_ROLE_RELAYD
#define CONTROL VGM_ROLE_CONTROL
#define WAITS VGM_ALLOW_WAITS

/* What master says to every role, and every role to master. */
#define FROM_MASTER(role)                                                                          \
	{MASTER, role, M(configure), 0}, {MASTER, role, M(peer), 0},                               \
	    {MASTER, role, M(start), VGM_ALLOW_ONCE}, {MASTER, role, M(stop), VGM_ALLOW_ONCE},     \
	    {role, MASTER, M(ready), VGM_ALLOW_ONCE}, {role, MASTER, M(log), 0}

const struct vgm_allow vgm_allow_table[] = {
    FROM_MASTER(SMTPD), FROM_MASTER(ADMIT), FROM_MASTER(RENDER), FROM_MASTER(SHOW),
    FROM_MASTER(KEYD), FROM_MASTER(LEDGERD), FROM_MASTER(VIEWD), FROM_MASTER(RESOLVERD),
    FROM_MASTER(RELAYD),
    {MASTER, SMTPD, M(listener), 0},
    {MASTER, VIEWD, M(listener), VGM_ALLOW_ONCE},
    {MASTER, SMTPD, M(struck), 0},
    {LEDGERD, MASTER, M(room), 0},
    {MASTER, SMTPD, M(room), 0},
    {SMTPD, MASTER, M(strike), 0},

    /* a mail comes in */
    {SMTPD, ADMIT, M(admit), 0},
    {ADMIT, SMTPD, M(admitted), 0},
    {ADMIT, SMTPD, M(filter_died), 0},
    {SMTPD, KEYD, M(tls_certificates), WAITS},
    {KEYD, SMTPD, M(tls_chain), 0},
    {SMTPD, KEYD, M(tls_sign), WAITS},
    {KEYD, SMTPD, M(tls_signed), 0},

    /* filters ask for keys and seal */
    {ADMIT, KEYD, M(worker), 0},
    {RENDER, KEYD, M(worker), 0},
    {SHOW, KEYD, M(worker), 0},
    {ADMIT, LEDGERD, M(worker), 0},
    {RENDER, LEDGERD, M(worker), 0},
    {ADMIT, KEYD, M(wrap), WAITS},
    {RENDER, KEYD, M(wrap), WAITS}, /* for notices */
    {KEYD, ADMIT, M(wrapped), 0},
    {KEYD, RENDER, M(wrapped), 0},
    {RENDER, KEYD, M(unwrap), WAITS},
    {SHOW, KEYD, M(unwrap), WAITS},
    {KEYD, RENDER, M(unwrapped), 0},
    {KEYD, SHOW, M(unwrapped), 0},
    {ADMIT, LEDGERD, M(append), WAITS},
    {RENDER, LEDGERD, M(append), WAITS}, /* notices only: ledgerd checks the type */
    {LEDGERD, ADMIT, M(appended), 0},
    {LEDGERD, RENDER, M(appended), 0},

    /* the ledger and its keys; nobody waits */
    {LEDGERD, KEYD, M(job), 0},
    {LEDGERD, KEYD, M(lend), 0},
    {VIEWD, KEYD, M(lend), 0},
    {KEYD, LEDGERD, M(lent), 0},
    {KEYD, VIEWD, M(lent), 0},
    {LEDGERD, KEYD, M(sign_checkpoint), 0},
    {KEYD, LEDGERD, M(signed_checkpoint), 0},
    {LEDGERD, KEYD, M(close_day), 0},
    {KEYD, LEDGERD, M(day_closed), 0},

    /* a mail goes out */
    {LEDGERD, RELAYD, M(deliver), 0},
    {RELAYD, LEDGERD, M(outcomes), 0},
    {LEDGERD, RELAYD, M(outcomes_written), 0},
    {RELAYD, RENDER, M(render), 0},
    {RENDER, RELAYD, M(rendered), 0},
    {RENDER, RELAYD, M(filter_died), 0},
    {RELAYD, RESOLVERD, M(resolve), 0},
    {RESOLVERD, RELAYD, M(resolved), 0},
    {LEDGERD, RENDER, M(notify), 0},
    {RENDER, LEDGERD, M(notified), 0},
    {RENDER, LEDGERD, M(filter_died), 0},

    /* people look */
    {LEDGERD, VIEWD, M(synced), 0},
    {VIEWD, LEDGERD, M(viewed), 0},
    {CONTROL, VIEWD, M(control), 0},
    {VIEWD, CONTROL, M(control_row), 0},
    {VIEWD, CONTROL, M(control_end), 0},
    {VIEWD, LEDGERD, M(schedule_act), 0},
    {LEDGERD, VIEWD, M(schedule_acted), 0},
    {VIEWD, LEDGERD, M(open_record), 0},
    {LEDGERD, VIEWD, M(record_opened), 0},
    {VIEWD, SHOW, M(show), 0},
    {SHOW, VIEWD, M(shown), 0},
    {SHOW, VIEWD, M(filter_died), 0},
    {0, 0, 0, 0},
};

const struct vgm_allow *vgm_allow_find(enum vgm_role_id from, enum vgm_role_id to, int type)
{
	for (const struct vgm_allow *row = vgm_allow_table; row->type; row++)
		if (row->type == type && row->from == from && row->to == to)
			return row;
	return NULL;
}

const char *vgm_role_name(enum vgm_role_id role)
{
	static const char *const names[VGM_ROLE_COUNT] = {"?", "master", "smtpd", "admit", "render",
	    "show", "keyd", "ledgerd", "viewd", "resolverd", "relayd", "control"};
	return (unsigned)role < VGM_ROLE_COUNT ? names[role] : names[0];
}
