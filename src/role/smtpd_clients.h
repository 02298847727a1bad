/* SPDX-License-Identifier: EUPL-1.2
 * role/smtpd_clients.h — how many sessions each client has, and how often it
 * signed in wrongly of late. A client is an IPv4 address, or an IPv6 /64. Pure:
 * time is given. The hash is keyed, so that no client can choose its place. */
#ifndef VGM_ROLE_SMTPD_CLIENTS_H
#define VGM_ROLE_SMTPD_CLIENTS_H

#include "base/base.h"

#define VGM_SMTPD_WRONG_LOGINS 8u      /* then a client waits */
#define VGM_SMTPD_WRONG_FORGET_MS 60000u /* so long */

struct vgm_smtpd_client {
	struct vgm_smtpd_client *next;
	uint8_t key[16];
	uint32_t sessions;
	uint32_t wrong_logins;
	uint64_t wrong_at_ms; /* the last one */
};

struct vgm_smtpd_clients;

struct vgm_smtpd_clients *vgm_smtpd_clients_new(void);
void vgm_smtpd_clients_free(struct vgm_smtpd_clients **);

/* One session more; the entry stays valid until left. */
struct vgm_smtpd_client *vgm_smtpd_clients_enter(struct vgm_smtpd_clients *, const uint8_t ip[16]);
/* One less; *client becomes NULL. */
void vgm_smtpd_clients_leave(struct vgm_smtpd_clients *, struct vgm_smtpd_client **client);
/* Forgets wrong logins that are old enough. Now and then. */
void vgm_smtpd_clients_sweep(struct vgm_smtpd_clients *, uint64_t now_ms);
size_t vgm_smtpd_clients_count(const struct vgm_smtpd_clients *);

void vgm_smtpd_client_wrong_login(struct vgm_smtpd_client *, uint64_t now_ms);
bool vgm_smtpd_client_may_sign_in(const struct vgm_smtpd_client *, uint64_t now_ms);

#endif
