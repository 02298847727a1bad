/* SPDX-License-Identifier: EUPL-1.2
 * ledger/clock.c — see clock.h. */
#include "ledger/clock.h"

/* Time servers steer by milliseconds; more than this is a leap. */
#define LEAP_US ((uint64_t)5 * 1000 * 1000)
#define SETTLED_US ((uint64_t)3600 * 1000 * 1000)

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

void vgm_ledger_clock_init(struct vgm_ledger_clock *c, uint64_t last_us, uint64_t wall_us,
    uint64_t mono_us, bool synchronised)
{
	/* Standing still while the machine was off is not a leap; going back is. */
	bool behind = last_us > wall_us && last_us - wall_us > LEAP_US;
	*c = (struct vgm_ledger_clock){.time_us = wall_us > last_us ? wall_us : last_us,
	    .mono_us = mono_us,
	    .wall_us = wall_us,
	    .synchronised = synchronised,
	    .doubtful_since_us = behind ? mono_us + 1 : 0};
}

uint64_t vgm_ledger_clock_now(
    struct vgm_ledger_clock *c, uint64_t wall_us, uint64_t mono_us, enum vgm_clock_state *out_state)
{
	uint64_t elapsed = mono_us > c->mono_us ? mono_us - c->mono_us : 0;
	uint64_t steady = c->time_us + elapsed; /* by running time alone */
	if (distance(wall_us, c->wall_us + elapsed) > LEAP_US)
		c->doubtful_since_us = mono_us + 1;
	if (c->doubtful_since_us) {
		bool back = distance(wall_us, steady) <= LEAP_US;
		bool settled = mono_us + 1 - c->doubtful_since_us >= SETTLED_US && wall_us > steady;
		if (back || settled)
			c->doubtful_since_us = 0;
	}
	uint64_t now = c->doubtful_since_us ? steady : wall_us;
	c->time_us = now > c->time_us ? now : c->time_us;
	c->wall_us = wall_us;
	c->mono_us = mono_us;
	*out_state = c->doubtful_since_us ? VGM_CLOCK_DOUBTFUL
		     : c->synchronised	  ? VGM_CLOCK_SYNCHRONISED
					  : VGM_CLOCK_FREE_RUNNING;
	return c->time_us;
}
