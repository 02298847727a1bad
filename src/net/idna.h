/* SPDX-License-Identifier: EUPL-1.2
 * net/idna.h — domain names in the one form that the DNS knows: ASCII in lower
 * case, international labels as A-labels (IDNA 2008, RFC 5890 and 5891). Names
 * as people write them are mapped first (UTS #46, non-transitional: "ß" stays
 * itself) and brought to normal form C. Pure; reads no file at any time. */
#ifndef VGM_NET_IDNA_H
#define VGM_NET_IDNA_H

#include "base/buf.h"
#include "base/err.h"

#define VGM_IDNA_MAX 253u /* bytes of the result */

/* Appends the ASCII form of domain (UTF-8): a name that vgm_dns_name_valid takes.
 * A name that is ASCII already is only lower-cased and bounded: "xn--" labels in
 * it are not looked into. VGM_E_INVALID: no such name can exist (an empty or too
 * long label, a character that is not allowed, mixed directions, an address
 * literal); VGM_E_LIMIT: out is full. On failure nothing is appended. */
int vgm_idna_to_ascii(struct vgm_slice domain, struct vgm_buf *out, struct vgm_err *) VGM_MUST_USE;

/* For comparing: the ASCII form, kept in room (ceiling VGM_IDNA_MAX), which is
 * emptied first. The domain itself when it is ASCII, in whatever case, or when no
 * such name can exist. */
struct vgm_slice vgm_idna_plain(struct vgm_slice domain, struct vgm_buf *room);

/* Whether both are the same domain, each in any form. What is no domain name is
 * the same as what equals it but for ASCII case. */
bool vgm_idna_same(struct vgm_slice a, struct vgm_slice b);

#endif
