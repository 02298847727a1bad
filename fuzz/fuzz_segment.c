/* SPDX-License-Identifier: EUPL-1.2
 * A segment file: scanned batch by batch, searched for frames. Hashes are made
 * right first where something claims to be a header or a record, or nothing
 * behind them would ever be reached. */
#include <unistd.h>

#include "ledger/hash.h"
#include "ledger/scan.h"
#include "os/memfd.h"

static void mend_record(uint8_t *p)
{
	uint8_t check[32];
	const struct vgm_slice covered[] = {vgm_slice(p, 368), vgm_slice(p + 384, 128)};
	vgm_hash_join(covered, 2, check);
	memcpy(p + 368, check, 16);
}

static void scan(int fd, size_t size)
{
	struct vgm_scan s;
	struct vgm_frame frame;
	uint64_t at = 0, fault = 0;
	if (vgm_scan_begin(&s, fd, 1, size, NULL) < 0)
		return;
	s.parts = true;
	while (vgm_scan_next(&s, &fault, NULL) > 0)
		VGM_BUG_ON(s.at > size || s.items_count == 0);
	VGM_BUG_ON(vgm_scan_find_frame(&s, s.at, &frame, &at, NULL) > 0 && at < s.at);
	VGM_BUG_ON(vgm_scan_find_data(&s, s.at, &at, NULL) < 0);
	vgm_scan_release(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = vgm_alloc(size + 1);
	int fd;
	memcpy(copy, data, size);
	if (size >= VGM_SEGMENT_HEADER_BYTES)
		vgm_hash(vgm_slice(copy, VGM_SEGMENT_HEADER_BYTES - 32),
		    copy + VGM_SEGMENT_HEADER_BYTES - 32);
	for (size_t i = VGM_SEGMENT_HEADER_BYTES; i + VGM_RECORD_PREFIX_BYTES <= size; i++)
		if (memcmp(copy + i, "VGMRECRD", 8) == 0)
			mend_record(copy + i);
		else if (memcmp(copy + i, "VGMFRAME", 8) == 0)
			vgm_hash(vgm_slice(copy + i, VGM_FRAME_BYTES - 32),
			    copy + i + VGM_FRAME_BYTES - 32);
	if (vgm_memfd_of("segment", vgm_slice(copy, size), &fd, NULL) == 0) {
		scan(fd, size);
		close(fd);
	}
	vgm_free(copy);
	return 0;
}
