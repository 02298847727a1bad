/* SPDX-License-Identifier: EUPL-1.2
 * smtp/scan.h — one quick look at a run of message bytes: does anything in it
 * need a second look? Nearly always nothing does, and the run passes whole. */
#ifndef VGM_SMTP_SCAN_H
#define VGM_SMTP_SCAN_H

#include "base/slice.h"

enum vgm_smtp_scan_flags {
	VGM_SMTP_SCAN_BARE = 1, /* a CR without LF, or an LF without CR, within the run */
	VGM_SMTP_SCAN_NUL = 2,
	VGM_SMTP_SCAN_DOT = 4,  /* an LF with a dot behind it */
	VGM_SMTP_SCAN_HIGH = 8, /* a byte above 127 */
};

/* Flags of what stands in the run. A run that begins with LF or ends with CR
 * counts as BARE: what stands beyond its edges is the caller's to know. */
unsigned vgm_smtp_scan(struct vgm_slice run);

#endif
