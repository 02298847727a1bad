/* SPDX-License-Identifier: EUPL-1.2
 * queue/route.h — what a route key means: "route:NAME" is a row of the
 * configuration's routes, "mx:DOMAIN" is where the DNS says. Pure: DNS answers
 * are given. Which key a recipient gets is the policy's part. */
#ifndef VGM_QUEUE_ROUTE_H
#define VGM_QUEUE_ROUTE_H

#include "base/err.h"
#include "conf/conf.h"
#include "ipc/message.h"

#define VGM_ROUTE_CONNECTIONS 20 /* of a route without a row */
#define VGM_ROUTE_HOSTS_MAX 20	 /* tried for one delivery; the others are left out */
#define VGM_ROUTE_MX_PORT 25

struct vgm_route {
	const struct vgm_conf_route *row; /* NULL: none matches */
	struct vgm_slice mx_domain;	  /* not empty: the hosts are this domain's MX */
	enum vgm_tls_need tls;		  /* the least that the row asks for */
	size_t connections;
};

/* An element of a row's `to`. Slices borrow from the configuration. */
struct vgm_route_host {
	struct vgm_slice host; /* name or address without brackets; empty: by MX */
	uint16_t port;
};

/* Everything borrows from conf and key. For "mx:DOMAIN" the row, if any, is the
 * first whose domains match and whose hosts are "mx". A row with "mx" named as
 * "route:NAME" leaves mx_domain empty: its domain is the recipients'.
 * VGM_E_NOTFOUND: no such row (any more). VGM_E_INVALID: not a key for delivery. */
int vgm_route_find(const struct vgm_conf *, struct vgm_slice key, struct vgm_route *out,
    struct vgm_err *) VGM_MUST_USE;

/* "host:25" or "mx". VGM_E_INVALID. */
int vgm_route_host_parse(
    struct vgm_slice text, struct vgm_route_host *out, struct vgm_err *) VGM_MUST_USE;

/* Connections at one time, for ledgerd's schedule: limits.connections with a
 * const struct vgm_conf * as context. */
size_t vgm_route_connections(void *context, struct vgm_slice key);

enum vgm_mx_verdict {
	VGM_MX_HOSTS = 0,
	VGM_MX_NULL,	  /* the domain takes no mail (RFC 7505) */
	VGM_MX_OURSELVES, /* the best host is this one: mail for it would loop */
	VGM_MX_NONE,	  /* no usable name among the answers */
};

/* Host names of an MX answer (not empty) in the order to try them: by
 * preference, equal ones shuffled by seed. Hosts no better than ourselves are
 * left out (RFC 5321 section 5.1), as are names that no host can have. */
enum vgm_mx_verdict vgm_route_mx_order(const struct vgm_dns_answer *answers, size_t count,
    const char *own_name, uint64_t seed, struct vgm_slice out[VGM_ROUTE_HOSTS_MAX],
    size_t *out_count);

#endif
