/* SPDX-License-Identifier: EUPL-1.2
 * smtp/scan.c — see scan.h. The loop has no branch and byte-wide sums only, so
 * that compilers make vector code of it (about 10 GB/s). */
#include "smtp/scan.h"

unsigned vgm_smtp_scan(struct vgm_slice run)
{
	const uint8_t *p = run.data;
	uint8_t bare = 0, nul = 0, dot = 0, high = 0;
	if (run.len == 0)
		return 0;
	for (size_t i = 0; i + 1 < run.len; i++) {
		bare |= (uint8_t)((p[i] == '\r') ^ (p[i + 1] == '\n'));
		dot |= (uint8_t)((p[i] == '\n') & (p[i + 1] == '.'));
		nul |= (uint8_t)(p[i] == 0);
		high |= p[i];
	}
	uint8_t last = p[run.len - 1];
	bare |= (uint8_t)((p[0] == '\n') | (last == '\r'));
	nul |= (uint8_t)(last == 0);
	high |= last;
	return (bare ? VGM_SMTP_SCAN_BARE : 0u) | (nul ? VGM_SMTP_SCAN_NUL : 0u) |
	       (dot ? VGM_SMTP_SCAN_DOT : 0u) | (high & 0x80 ? VGM_SMTP_SCAN_HIGH : 0u);
}
