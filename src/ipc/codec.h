/* SPDX-License-Identifier: EUPL-1.2
 * ipc/codec.h — messages to bytes and back.
 *
 * Form: u16 type, u16 version, then the fields in order, integers big endian,
 * slices and lists behind a u32 count. A decoder consumes everything or
 * refuses; every count is checked against its ceiling and against the bytes
 * that are left before memory is taken. The same form is used for the encrypted
 * parts of ledger records (types from 200 on). */
#ifndef VGM_IPC_CODEC_H
#define VGM_IPC_CODEC_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "ipc/message.h"

#define VGM_MSG_MAX_BYTES 65536 /* one datagram (rule 11) */
#define VGM_MSG_MAX_FDS 4

/* The descriptors of one message, in field order. */
struct vgm_fds {
	int fd[VGM_MSG_MAX_FDS];
	size_t count;
};

/* Appends the message to out (ceiling VGM_MSG_MAX_BYTES suits) and its
 * descriptors to fds (borrowed; NULL for messages without). VGM_E_LIMIT when a
 * field is over its ceiling. message points to a struct vgm_msg_<name>. */
int vgm_msg_encode(enum vgm_msg_type type, const void *message, struct vgm_buf *out,
    struct vgm_fds *fds, struct vgm_err *err) VGM_MUST_USE;

/* Decodes into *message. Slices borrow from bytes; lists are taken from arena.
 * Descriptors move from fds into the message (count becomes 0); on failure they
 * stay in fds and the caller closes them. VGM_E_INVALID, VGM_E_VERSION, VGM_E_LIMIT. */
int vgm_msg_decode(enum vgm_msg_type type, struct vgm_slice bytes, struct vgm_fds *fds,
    struct vgm_arena *arena, void *message, struct vgm_err *err) VGM_MUST_USE;

/* The type that the bytes claim; 0 when there are fewer than four. */
int vgm_msg_type(struct vgm_slice bytes);
/* "admit", or NULL for a type that does not exist. */
const char *vgm_msg_name(int type);
/* sizeof the struct, or 0 for a type that does not exist. */
size_t vgm_msg_struct_size(int type);
/* Closes every descriptor that a decoded message holds. */
void vgm_msg_close_fds(int type, void *message);
/* Whether messages of this type carry keys: their bytes are wiped after use. */
bool vgm_msg_is_secret(int type);
/* Wipes a decoded message of such a type, its lists too. */
void vgm_msg_wipe(int type, void *message);
/* The largest struct of all: a receiver's buffer. */
size_t vgm_msg_struct_max(void);

#endif
