/* SPDX-License-Identifier: EUPL-1.2
 * One datagram between two processes. The first byte is the direction (from,
 * to; 0 = a record's part read from disk), the second the descriptors that came
 * along. What the table allows and the decoder takes is written the same way. */
#include "ipc/allow.h"
#include "ipc/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static _Alignas(max_align_t) uint8_t message[4096];
	struct vgm_arena arena = VGM_ARENA_INIT(4u << 20);
	struct vgm_buf again = VGM_BUF_INIT(1u << 20);
	struct vgm_slice bytes = vgm_slice_from(vgm_slice(data, size), 2);
	int type = vgm_msg_type(bytes);
	if (size < 2 || !vgm_msg_name(type))
		return 0;
	if (data[0] && !vgm_allow_find(data[0] >> 4, data[0] & 15, type))
		return 0;
	VGM_BUG_ON(vgm_msg_struct_max() > sizeof message);
	size_t count = data[1] % (VGM_MSG_MAX_FDS + 1u);
	struct vgm_fds fds = {{100, 101, 102, 103}, count}, fds_again = {{0}, 0};
	if (vgm_msg_decode((enum vgm_msg_type)type, bytes, &fds, &arena, message, NULL) == 0) {
		VGM_BUG_ON(fds.count != 0 ||
		    vgm_msg_encode((enum vgm_msg_type)type, message, &again, &fds_again, NULL) < 0 ||
		    !vgm_slice_eq(bytes, vgm_buf_slice(&again)) || fds_again.count != count);
	}
	vgm_arena_release(&arena);
	vgm_buf_release(&again);
	return 0;
}
