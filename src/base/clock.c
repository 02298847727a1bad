/* SPDX-License-Identifier: EUPL-1.2
 * base/clock.c — see clock.h. */
#include "base/clock.h"

#include <time.h>

static uint64_t read_us(clockid_t id)
{
	struct timespec t;
	VGM_BUG_ON(clock_gettime(id, &t) < 0);
	return t.tv_sec < 0 ? 0 : (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t vgm_clock_mono_us(void)
{
	/* Unlike CLOCK_MONOTONIC it counts the time a machine was suspended. */
	return read_us(CLOCK_BOOTTIME);
}

uint64_t vgm_clock_mono_ms(void)
{
	return vgm_clock_mono_us() / 1000;
}

uint64_t vgm_clock_wall_us(void)
{
	return read_us(CLOCK_REALTIME);
}

/* Days to civil date: eras of 400 years that start on 1 March. */
struct vgm_date vgm_date_utc(uint64_t wall_us)
{
	int64_t seconds = (int64_t)(wall_us / 1000000);
	int64_t days = seconds / 86400, in_day = seconds % 86400;
	int64_t z = days + 719468, era = z / 146097, doe = z % 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;
	int month = (int)(mp < 10 ? mp + 3 : mp - 9);
	return (struct vgm_date){
	    .year = (int)(yoe + era * 400 + (month <= 2)),
	    .month = month,
	    .day = (int)(doy - (153 * mp + 2) / 5 + 1),
	    .hour = (int)(in_day / 3600),
	    .minute = (int)(in_day / 60 % 60),
	    .second = (int)(in_day % 60),
	    .weekday = (int)((days + 4) % 7),
	};
}

int vgm_date_rfc5322(uint64_t wall_us, struct vgm_buf *out)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct vgm_date d = vgm_date_utc(wall_us);
	return vgm_buf_addf(out, "%.3s, %02d %.3s %04d %02d:%02d:%02d +0000", days + 3 * d.weekday,
	    d.day, months + 3 * (d.month - 1), d.year, d.hour, d.minute, d.second);
}

int vgm_date_rfc3339(uint64_t wall_us, struct vgm_buf *out)
{
	struct vgm_date d = vgm_date_utc(wall_us);
	return vgm_buf_addf(out, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", d.year, d.month, d.day,
	    d.hour, d.minute, d.second, (int)(wall_us / 1000 % 1000));
}
