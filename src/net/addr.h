/* SPDX-License-Identifier: EUPL-1.2
 * net/addr.h — internet addresses and networks as 16 bytes: IPv6, or IPv4 in
 * its mapped form (::ffff:a.b.c.d), so that one comparison serves both.
 *
 * Names are never looked up here. IPv4 is dotted decimal without leading zeros;
 * zone ids are refused. */
#ifndef VGM_NET_ADDR_H
#define VGM_NET_ADDR_H

#include "base/buf.h"
#include "base/err.h"

#include <sys/socket.h>

struct vgm_addr {
	uint8_t ip[16];
	uint16_t port; /* 0 where there is none */
};

struct vgm_network {
	uint8_t ip[16]; /* bits behind the prefix are 0 */
	uint8_t bits;   /* of the 16-byte form: an IPv4 /24 is 120 */
};

/* ---- text ---- */

/* "192.0.2.1", "2001:db8::1" (brackets allowed around IPv6). VGM_E_INVALID. */
int vgm_ip_parse(struct vgm_slice text, uint8_t out[16], struct vgm_err *) VGM_MUST_USE;
/* Appends "192.0.2.1" or "2001:db8::1". VGM_E_LIMIT. */
int vgm_ip_format(const uint8_t ip[16], struct vgm_buf *out) VGM_MUST_USE;
/* As in an RFC 5321 address literal or Received header: "[192.0.2.1]",
 * "[IPv6:2001:db8::1]". VGM_E_LIMIT. */
int vgm_ip_format_literal(const uint8_t ip[16], struct vgm_buf *out) VGM_MUST_USE;

/* Cuts "host:25", "192.0.2.1:25", "[2001:db8::1]:25" in two; the host comes
 * without brackets, is not empty and holds no colon unless it was bracketed.
 * VGM_E_INVALID; port 1 to 65535. */
int vgm_addr_split(struct vgm_slice text, struct vgm_slice *out_host, uint16_t *out_port,
    struct vgm_err *) VGM_MUST_USE;
/* The same for listening: host must be an address, and port 0 lets the kernel
 * choose one; "*" is every address of the machine,
 * "localhost" is 127.0.0.1. VGM_E_INVALID. */
int vgm_addr_parse(struct vgm_slice text, struct vgm_addr *out, struct vgm_err *) VGM_MUST_USE;

/* "192.0.2.0/24", "2001:db8::/32", or one address. VGM_E_INVALID, also when
 * bits behind the prefix are set (a slip of the pen in nearly all cases). */
int vgm_network_parse(struct vgm_slice text, struct vgm_network *out, struct vgm_err *)
    VGM_MUST_USE;

/* ---- questions ---- */

bool vgm_ip_is_v4(const uint8_t ip[16]);
bool vgm_ip_is_loopback(const uint8_t ip[16]); /* 127.0.0.0/8, ::1 */
bool vgm_network_has(const struct vgm_network *, const uint8_t ip[16]);
/* The network that an address belongs to: the first v4_bits (of 32) or v6_bits
 * (of 128) are kept, the others 0. */
void vgm_ip_network(const uint8_t ip[16], unsigned v4_bits, unsigned v6_bits, uint8_t out[16]);

/* ---- the kernel's form ---- */

/* IPv4-mapped becomes AF_INET. */
socklen_t vgm_addr_to_sockaddr(const struct vgm_addr *, struct sockaddr_storage *out);
/* VGM_E_INVALID for any other family. */
int vgm_addr_from_sockaddr(const struct sockaddr *, struct vgm_addr *out) VGM_MUST_USE;

#endif
