/* SPDX-License-Identifier: EUPL-1.2
 * common.h — what load and sink share: how a run's result is laid out for bench.py, and a few
 * lines that both need. Both programs are made to cost next to nothing beside what is measured. */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NUMBER_FIELD "X-Bench: " /* then ten digits: which message this is */
#define NUMBER_DIGITS 10

/* The sink's counters, in a file that bench.py maps. */
struct sink_counters {
	uint64_t messages;    /* acknowledged, all */
	uint64_t duplicates;  /* of a number that was acknowledged before */
	uint64_t unnumbered;
	uint64_t first_ns, last_ns; /* CLOCK_MONOTONIC of the first and last acknowledgement */
};

static inline uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void die(const char *what)
{
	perror(what);
	exit(1);
}

static inline struct sockaddr_in loopback(const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

#endif
