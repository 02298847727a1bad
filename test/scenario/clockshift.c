/* SPDX-License-Identifier: EUPL-1.2
 * clockshift.c — a library put before all others (ld.so.preload in a mount namespace): the wall
 * clock is moved by the seconds that stand, as a 64-bit number, at the start of SHIFT_FILE. The
 * file is mapped before main(), so that a sandboxed process needs no call to see a jump. Monotonic
 * clocks are left alone. libfaketime cannot do this: it reads its file again at each look. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *shift;

__attribute__((constructor)) static void map_shift(void)
{
	int fd = open(SHIFT_FILE, O_RDONLY | O_CLOEXEC);
	void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *shift, PROT_READ, MAP_SHARED, fd, 0);
	if (map != MAP_FAILED)
		shift = map;
	if (fd >= 0)
		close(fd);
}

int clock_gettime(clockid_t which, struct timespec *out)
{
	static int (*real)(clockid_t, struct timespec *);
	if (!real)
		real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	int r = real(which, out);
	if (r == 0 && shift && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE))
		out->tv_sec += *shift;
	return r;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
	struct timespec now;
	(void)zone;
	clock_gettime(CLOCK_REALTIME, &now);
	out->tv_sec = now.tv_sec;
	out->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *out)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	if (out)
		*out = now.tv_sec;
	return now.tv_sec;
}
