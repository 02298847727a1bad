/* SPDX-License-Identifier: EUPL-1.2
 * smtp/server/proxy.h — the PROXY protocol, versions 1 and 2 (haproxy.org,
 * proxy-protocol.txt): a load balancer names the client before the first byte of
 * the session. Only believed from configured addresses. */
#ifndef VGM_SMTP_SERVER_PROXY_H
#define VGM_SMTP_SERVER_PROXY_H

#include "base/err.h"
#include "base/slice.h"
#include "net/addr.h"

#define VGM_PROXY_MAX 536 /* longest header that is read: version 2 with 520 bytes behind */

struct vgm_proxy {
	bool local;             /* the proxy's own connection (health check): no client named */
	struct vgm_addr client; /* when not local */
};

/* Reads a header at the start of in. 1 = done, *out_used bytes long; 0 = more
 * bytes are needed; VGM_E_INVALID: none, or a broken one. */
int vgm_proxy_parse(struct vgm_slice in, struct vgm_proxy *out, size_t *out_used) VGM_MUST_USE;

#endif
