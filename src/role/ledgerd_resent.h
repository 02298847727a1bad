/* SPDX-License-Identifier: EUPL-1.2
 * role/ledgerd_resent.h — mail that is durable but whose 250 its sender may never
 * have heard: a crash came between. The sender will send it again; the same
 * envelope and bytes within 24 hours are then answered with the first record
 * (rule 13). Pure. Only doubtful mail is remembered: in ordinary running the same
 * message sent twice is two messages. */
#ifndef VGM_ROLE_LEDGERD_RESENT_H
#define VGM_ROLE_LEDGERD_RESENT_H

#include "base/base.h"

#define VGM_RESENT_MAX 4096u /* the oldest make room */

struct vgm_resent;

struct vgm_resent *vgm_resent_new(void);
void vgm_resent_free(struct vgm_resent **);
/* fingerprint: 32 bytes, zeros are not remembered. now_ms: running time. */
void vgm_resent_add(
    struct vgm_resent *, const uint8_t *fingerprint, const uint8_t id[16], uint64_t now_ms);
/* True: it is known; *out_id is the record that has it. */
bool vgm_resent_find(
    const struct vgm_resent *, const uint8_t *fingerprint, uint64_t now_ms, uint8_t out_id[16]);

#endif
