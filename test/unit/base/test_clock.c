/* SPDX-License-Identifier: EUPL-1.2
 * Clock: dates against known values and against the C library's own calendar;
 * the running clock never goes backwards. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"

#include <time.h>

static void test_known_dates(void **state)
{
	(void)state;
	static const struct {
		uint64_t seconds;
		const char *rfc5322, *rfc3339;
	} cases[] = {
	    {0, "Thu, 01 Jan 1970 00:00:00 +0000", "1970-01-01T00:00:00.000Z"},
	    {86399, "Thu, 01 Jan 1970 23:59:59 +0000", "1970-01-01T23:59:59.000Z"},
	    {68169600, "Tue, 29 Feb 1972 00:00:00 +0000", "1972-02-29T00:00:00.000Z"},
	    {946684799, "Fri, 31 Dec 1999 23:59:59 +0000", "1999-12-31T23:59:59.000Z"},
	    {951782400, "Tue, 29 Feb 2000 00:00:00 +0000", "2000-02-29T00:00:00.000Z"},
	    {951868800, "Wed, 01 Mar 2000 00:00:00 +0000", "2000-03-01T00:00:00.000Z"},
	    {1000000000, "Sun, 09 Sep 2001 01:46:40 +0000", "2001-09-09T01:46:40.000Z"},
	    {1234567890, "Fri, 13 Feb 2009 23:31:30 +0000", "2009-02-13T23:31:30.000Z"},
	    {2147483647, "Tue, 19 Jan 2038 03:14:07 +0000", "2038-01-19T03:14:07.000Z"},
	    {2147483648, "Tue, 19 Jan 2038 03:14:08 +0000", "2038-01-19T03:14:08.000Z"},
	    {4107542400, "Mon, 01 Mar 2100 00:00:00 +0000", "2100-03-01T00:00:00.000Z"},
	    {4294967296, "Sun, 07 Feb 2106 06:28:16 +0000", "2106-02-07T06:28:16.000Z"},
	    {253402300799, "Fri, 31 Dec 9999 23:59:59 +0000", "9999-12-31T23:59:59.000Z"},
	};
	struct vgm_buf b = VGM_BUF_INIT(100);
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		vgm_buf_clear(&b);
		assert_int_equal(vgm_date_rfc5322(cases[i].seconds * 1000000, &b), 0);
		assert_string_equal(vgm_buf_str(&b), cases[i].rfc5322);
		vgm_buf_clear(&b);
		assert_int_equal(vgm_date_rfc3339(cases[i].seconds * 1000000, &b), 0);
		assert_string_equal(vgm_buf_str(&b), cases[i].rfc3339);
	}
	vgm_buf_release(&b);
}

static void test_milliseconds_are_cut(void **state)
{
	(void)state;
	struct vgm_buf b = VGM_BUF_INIT(100);
	assert_int_equal(vgm_date_rfc3339(1999999, &b), 0);
	assert_string_equal(vgm_buf_str(&b), "1970-01-01T00:00:01.999Z");
	vgm_buf_release(&b);
}

/* Every day for 1,100 years, and a stride through the seconds. */
static void test_agrees_with_the_c_library(void **state)
{
	(void)state;
	for (uint64_t day = 0; day < 400000; day++) {
		time_t t = (time_t)(day * 86400 + day * 7919 % 86400);
		struct tm tm;
		assert_non_null(gmtime_r(&t, &tm));
		struct vgm_date d = vgm_date_utc((uint64_t)t * 1000000);
		if (d.year != tm.tm_year + 1900 || d.month != tm.tm_mon + 1 || d.day != tm.tm_mday ||
		    d.hour != tm.tm_hour || d.minute != tm.tm_min || d.second != tm.tm_sec ||
		    d.weekday != tm.tm_wday)
			fail_msg("day %llu differs", (unsigned long long)day);
	}
}

static void test_running_clock(void **state)
{
	(void)state;
	uint64_t last = vgm_clock_mono_us();
	for (int i = 0; i < 10000; i++) {
		uint64_t now = vgm_clock_mono_us();
		assert_true(now >= last);
		last = now;
	}
	assert_true(vgm_clock_mono_ms() >= last / 1000);
	assert_true(vgm_clock_wall_us() > 1700000000ull * 1000000);
}

static void test_no_room(void **state)
{
	(void)state;
	struct vgm_buf b = VGM_BUF_INIT(10);
	assert_true(vgm_date_rfc5322(0, &b) < 0);
	assert_true(vgm_date_rfc3339(0, &b) < 0);
	assert_int_equal(b.len, 0);
	vgm_buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_known_dates),
	    cmocka_unit_test(test_milliseconds_are_cut),
	    cmocka_unit_test(test_agrees_with_the_c_library),
	    cmocka_unit_test(test_running_clock),
	    cmocka_unit_test(test_no_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
