/* SPDX-License-Identifier: EUPL-1.2
 * base/clock.h — the only places that ask what time it is.
 *
 * Timers, deadlines, retries and expiry count vgm_clock_mono_ms, which no
 * administrator and no time server can move. Wall time is for people and for
 * the ledger, which keeps its own rule about it (rule 6). */
#ifndef VGM_BASE_CLOCK_H
#define VGM_BASE_CLOCK_H

#include "base/buf.h"

uint64_t vgm_clock_mono_ms(void);
uint64_t vgm_clock_mono_us(void);
uint64_t vgm_clock_wall_us(void); /* since 1970-01-01 UTC; 0 if before */

struct vgm_date {
	int year, month, day, hour, minute, second, weekday; /* month 1..12, weekday 0 = Sunday */
};
/* Civil date in UTC of a wall time; any value (RFC 3339's calendar). */
struct vgm_date vgm_date_utc(uint64_t wall_us);

/* "Mon, 23 Nov 2026 21:00:00 +0000" (RFC 5322, section 3.3). */
int vgm_date_rfc5322(uint64_t wall_us, struct vgm_buf *out) VGM_MUST_USE;
/* "2026-11-23T21:00:00.123Z" (RFC 3339). */
int vgm_date_rfc3339(uint64_t wall_us, struct vgm_buf *out) VGM_MUST_USE;

#endif
