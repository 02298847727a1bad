/* SPDX-License-Identifier: EUPL-1.2
 * net/dns.h — the data of DNS records, from their wire form into what the mail
 * roles use (RFC 1035, 3596, 6698). Pure; the messages around them are libunbound's
 * affair, which gives names here uncompressed. */
#ifndef VGM_NET_DNS_H
#define VGM_NET_DNS_H

#include "base/buf.h"
#include "base/err.h"

enum vgm_dns_type {
	VGM_DNS_A = 1,
	VGM_DNS_MX = 15,
	VGM_DNS_TXT = 16,
	VGM_DNS_AAAA = 28,
	VGM_DNS_TLSA = 52,
};

#define VGM_DNS_DATA_MAX 1024u /* of one decoded record */

/* True for the types above. */
bool vgm_dns_known(uint16_t type);

/* True for a host or domain name that may be asked for: ASCII letters, digits,
 * '-', '_', labels of 1 to 63 bytes, 253 in all, no dot at the end. */
bool vgm_dns_name_valid(struct vgm_slice name);

/* Appends what the record says, at most VGM_DNS_DATA_MAX bytes:
 *   MX    host name in lower case without its last dot; empty: no mail here (RFC 7505)
 *   A     4 bytes     AAAA  16 bytes
 *   TXT   its strings, joined
 *   TLSA  usage, selector, matching type, data, as they are
 * *out_preference: of an MX, else 0. VGM_E_INVALID: malformed, or an MX that names
 * no possible host; VGM_E_LIMIT. On failure nothing is appended. */
int vgm_dns_decode(uint16_t type, struct vgm_slice rdata, struct vgm_buf *out,
    uint16_t *out_preference) VGM_MUST_USE;

#endif
