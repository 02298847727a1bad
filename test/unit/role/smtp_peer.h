/* SPDX-License-Identifier: EUPL-1.2
 * A next hop played by the test, word for word: it listens, says, and wants to
 * hear exact bytes. Blocking, with a deadline for each read. */
#ifndef VGM_TEST_SMTP_PEER_H
#define VGM_TEST_SMTP_PEER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PEER_MS 5000

/* Listens; 0 as port: any. -1 where the machine does not allow it. */
static inline int peer_listen(const char *ip, uint16_t *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(*port)};
	socklen_t len = sizeof(a);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)inet_pton(AF_INET, ip, &a.sin_addr);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 16) < 0) {
		(void)close(fd);
		return -1;
	}
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

static inline bool peer_waits(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, ms) == 1;
}

static inline int peer_accept(int listener)
{
	assert_true(peer_waits(listener, PEER_MS));
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static inline void peer_say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Reads exactly these bytes. */
static inline void peer_hear(int fd, const char *text)
{
	size_t want = strlen(text), have = 0;
	char *got = vgm_alloc(want + 1);

	while (have < want) {
		if (!peer_waits(fd, PEER_MS))
			fail_msg("heard \"%s\", waited for \"%s\"", got, text);
		ssize_t n = recv(fd, got + have, want - have, 0);
		if (n <= 0)
			fail_msg("heard \"%s\" and the end, waited for \"%s\"", got, text);
		have += (size_t)n;
	}
	assert_string_equal(got, text);
	vgm_free(got);
}

/* The other side closes, perhaps after some more words. */
static inline void peer_hear_end(int fd)
{
	char junk[4096];
	ssize_t n;

	do {
		assert_true(peer_waits(fd, PEER_MS));
		n = recv(fd, junk, sizeof(junk), 0);
	} while (n > 0);
	(void)close(fd);
}

#endif
