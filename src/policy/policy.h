/* SPDX-License-Identifier: EUPL-1.2
 * policy/policy.h — what is to become of a message, recipient by recipient. Pure:
 * facts and configuration in, a plan out; nothing is done here.
 *
 * First form: loops, size, and where each recipient's mail goes. The plan says
 * what is required (route, least TLS), never with which key (rule 16). */
#ifndef VGM_POLICY_POLICY_H
#define VGM_POLICY_POLICY_H

#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"
#include "directory/directory.h"
#include "ipc/message.h"

struct vgm_policy_facts {
	uint64_t size;
	size_t received;   /* Received fields */
	size_t own_hops;   /* of them, ours */
	bool seal_only;    /* unread: hold it (rule 12) */
};

enum vgm_policy_verdict {
	VGM_POLICY_KEEP = 0,   /* each recipient's route says where it goes, or "hold" */
	VGM_POLICY_LOOP,       /* 5.4.6, all recipients */
	VGM_POLICY_TOO_LARGE,  /* 5.3.4, all recipients */
};

/* Own hops at which a message is looping: a message may pass here on its way in
 * and, forwarded, on its way out again. */
#define VGM_POLICY_OWN_HOPS 4u

/* Fills route, policy and reason of each recipient. route_names is memory for
 * the routes; the slices borrow from it, from conf and from directory. */
enum vgm_policy_verdict vgm_policy_decide(const struct vgm_policy_facts *, const struct vgm_conf *,
    const struct vgm_directory *, struct vgm_recipient *recipients, size_t count,
    struct vgm_arena *route_names);

/* The route of one address: the directory's, else the first row of routes whose
 * domains match, else MX of its domain. International domains match in any form;
 * in "mx:" they are ASCII. VGM_SLICE_NONE when the arena is full. */
struct vgm_slice vgm_policy_route(const struct vgm_conf *, const struct vgm_directory *,
    struct vgm_slice address, uint8_t *out_tls_need, struct vgm_slice *out_reason,
    struct vgm_arena *);

#endif
