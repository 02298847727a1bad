/* SPDX-License-Identifier: EUPL-1.2
 * A small DNS server on loopback for the tests of resolverd: fixed records, and
 * names that stand for every way in which a server can be bad. */
#ifndef VGM_TEST_DNS_SERVER_H
#define VGM_TEST_DNS_SERVER_H

#include "base/buf.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct dns_record {
	const char *name; /* without last dot */
	uint16_t type;
	const char *rdata;
	size_t rdata_len;
	int rcode; /* with no data; -1: no answer at all */
};

struct dns_server {
	pid_t pid;
	uint16_t port;
};

/* The question's name in text; its end in the packet. */
static inline size_t dns_question(const uint8_t *packet, size_t len, char out[256])
{
	size_t at = 12, n = 0;
	while (at < len && packet[at] && at + packet[at] < len && n + packet[at] + 1 < 256) {
		if (n)
			out[n++] = '.';
		memcpy(out + n, packet + at + 1, packet[at]);
		n += packet[at];
		at += 1u + packet[at];
	}
	out[n] = '\0';
	return at + 1;
}

static inline size_t dns_put(uint8_t *out, const struct dns_record *r, uint32_t ttl)
{
	uint8_t head[12] = {0xC0, 12, (uint8_t)(r->type >> 8), (uint8_t)r->type, 0, 1,
	    (uint8_t)(ttl >> 24), (uint8_t)(ttl >> 16), (uint8_t)(ttl >> 8), (uint8_t)ttl,
	    (uint8_t)(r->rdata_len >> 8), (uint8_t)r->rdata_len};
	memcpy(out, head, 12);
	memcpy(out + 12, r->rdata, r->rdata_len);
	return 12 + r->rdata_len;
}

/* Length of the reply in out, 0 = none. */
static inline size_t dns_reply(const struct dns_record *records, const uint8_t *in, size_t len,
    uint8_t *out)
{
	char name[256];
	size_t end = len > 16 ? dns_question(in, len, name) : len;
	if (end + 4 > len)
		return 0;
	uint16_t type = (uint16_t)(in[end] << 8 | in[end + 1]);
	bool exists = false;
	uint8_t answers = 0;
	memcpy(out, in, end + 4);
	out[2] = 0x84; /* answer, authoritative */
	out[3] = 0x80;
	memset(out + 4, 0, 8);
	out[5] = 1;
	size_t at = end + 4;
	for (const struct dns_record *r = records; r->name; r++) {
		if (strcasecmp(r->name, name) != 0)
			continue;
		exists = true;
		if (r->rcode < 0)
			return 0;
		if (r->rcode)
			out[3] = (uint8_t)(0x80 | r->rcode);
		else if (r->type == type && at + 12 + r->rdata_len < 4000) {
			at += dns_put(out + at, r, 300);
			answers++;
		}
	}
	out[7] = answers;
	if (!exists)
		out[3] = 0x83; /* no such name */
	return at;
}

static inline struct dns_server dns_server_start(const struct dns_record *records)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t a_len = sizeof a;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &a_len), 0);
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (pid == 0) {
		uint8_t in[4096], out[8192];
		struct sockaddr_in from;
		socklen_t from_len = sizeof from;
		ssize_t n = recvfrom(fd, in, sizeof in, 0, (struct sockaddr *)&from, &from_len);
		size_t len = n > 0 ? dns_reply(records, in, (size_t)n, out) : 0;
		if (len && sendto(fd, out, len, 0, (struct sockaddr *)&from, from_len) < 0)
			_exit(1);
	}
	close(fd);
	return (struct dns_server){pid, ntohs(a.sin_port)};
}

static inline void dns_server_stop(const struct dns_server *s)
{
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
}

#endif
