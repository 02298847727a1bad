/* SPDX-License-Identifier: EUPL-1.2
 * ledger/clock.h — the ledger's own time (rule 6): never backwards, and not
 * thrown about by a wall clock that leaps. Pure: both clocks are given.
 *
 * While wall clock and running time agree, ledger time is wall time. When the
 * wall clock leaps, ledger time goes on with running time and the state is
 * doubtful, until the wall clock is back, or has stayed ahead for an hour. */
#ifndef VGM_LEDGER_CLOCK_H
#define VGM_LEDGER_CLOCK_H

#include "ledger/record.h"

struct vgm_ledger_clock {
	uint64_t time_us;       /* the last one given */
	uint64_t mono_us;       /* when */
	uint64_t wall_us;       /* wall clock then */
	uint64_t doubtful_since_us; /* running time; 0 = the clock is trusted */
	bool synchronised;      /* a time server steered the clock when the process began */
};

/* last_us: time of the newest record, 0 for a new ledger. */
void vgm_ledger_clock_init(struct vgm_ledger_clock *, uint64_t last_us, uint64_t wall_us,
    uint64_t mono_us, bool synchronised);
uint64_t vgm_ledger_clock_now(struct vgm_ledger_clock *, uint64_t wall_us, uint64_t mono_us,
    enum vgm_clock_state *out_state);

#endif
