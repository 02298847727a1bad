/* SPDX-License-Identifier: EUPL-1.2
 * sink PORT COUNTERS LIMIT — an SMTP server that acknowledges everything and keeps nothing but
 * counts: how many messages, and whether a number from 0 to LIMIT-1 came twice. One process, one
 * epoll loop, commands may be pipelined. Ends by SIGTERM. */
#include "common.h"

enum state { COMMAND, HEADER, BODY };

struct peer {
	int fd;
	enum state state;
	size_t used, out_used;
	long number;
	unsigned tail; /* how much of CRLF.CRLF was just seen, 0 to 5 */
	char in[65536], out[4096];
};

static struct sink_counters *counters;
static unsigned char *seen;
static long limit;

static void say(struct peer *p, const char *text)
{
	size_t n = strlen(text);
	if (p->out_used + n <= sizeof p->out) {
		memcpy(p->out + p->out_used, text, n);
		p->out_used += n;
	}
}

static void count(struct peer *p)
{
	uint64_t now = now_ns();
	counters->messages++;
	if (counters->first_ns == 0)
		counters->first_ns = now;
	counters->last_ns = now;
	if (p->number < 0 || p->number >= limit)
		counters->unnumbered++;
	else if (seen[p->number]++ != 0)
		counters->duplicates++;
	say(p, "250 2.0.0 counted\r\n");
	p->state = COMMAND;
}

/* Returns false when the session is over. */
static bool command(struct peer *p, const char *line)
{
	if (strncasecmp(line, "DATA", 4) == 0) {
		say(p, "354 go on\r\n");
		p->state = HEADER;
		p->number = -1;
		p->tail = 2;
	} else if (strncasecmp(line, "EHLO", 4) == 0) {
		say(p, "250-sink\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n250-8BITMIME\r\n250 DSN\r\n");
	} else if (strncasecmp(line, "QUIT", 4) == 0) {
		say(p, "221 2.0.0 bye\r\n");
		return false;
	} else {
		say(p, "250 2.0.0 ok\r\n");
	}
	return true;
}

/* Looks for the end of the body from `from`; returns the place behind it, or 0. */
static size_t find_end(struct peer *p, size_t from)
{
	static const char end[] = "\r\n.\r\n";
	for (size_t i = from; i < p->used; i++) {
		if (p->tail == 0) {
			const char *cr = memchr(p->in + i, '\r', p->used - i);
			if (cr == NULL)
				return 0;
			i = (size_t)(cr - p->in);
		}
		p->tail = p->in[i] == end[p->tail] ? p->tail + 1 : p->in[i] == '\r' ? 1 : 0;
		if (p->tail == 5)
			return i + 1;
	}
	return 0;
}

static void drop(struct peer *p, size_t bytes)
{
	memmove(p->in, p->in + bytes, p->used - bytes);
	p->used -= bytes;
}

/* Header lines until the number is found; then the rest is body. */
static bool header(struct peer *p)
{
	char *nl = memchr(p->in, '\n', p->used);
	if (nl == NULL && p->used < sizeof p->in)
		return false;
	size_t n = nl != NULL ? (size_t)(nl - p->in) + 1 : p->used;
	if (n > sizeof NUMBER_FIELD && memcmp(p->in, NUMBER_FIELD, sizeof NUMBER_FIELD - 1) == 0) {
		p->number = strtol(p->in + sizeof NUMBER_FIELD - 1, NULL, 10);
		p->state = BODY;
		p->tail = 2;
	} else if (n <= 2) {
		p->state = BODY;
		p->tail = 2;
	}
	drop(p, n);
	return true;
}

static bool eat(struct peer *p)
{
	while (p->used > 0) {
		if (p->state == COMMAND) {
			char *nl = memchr(p->in, '\n', p->used);
			if (nl == NULL)
				return true;
			*nl = '\0';
			if (!command(p, p->in))
				return false;
			drop(p, (size_t)(nl - p->in) + 1);
		} else if (p->state == HEADER) {
			if (!header(p))
				return true;
		} else {
			size_t end = find_end(p, 0);
			if (end == 0) {
				p->used = 0;
				return true;
			}
			count(p);
			drop(p, end);
		}
	}
	return true;
}

static void serve(struct peer *p)
{
	ssize_t n = recv(p->fd, p->in + p->used, sizeof p->in - p->used, MSG_DONTWAIT);
	bool open = n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
	if (n > 0) {
		p->used += (size_t)n;
		open = eat(p);
		if (p->out_used > 0 && send(p->fd, p->out, p->out_used, MSG_NOSIGNAL) < 0)
			open = false;
		p->out_used = 0;
	}
	if (!open) {
		close(p->fd);
		free(p);
	}
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	limit = strtol(argv[3], NULL, 10);
	int file = open(argv[2], O_RDWR | O_CREAT, 0644);
	if (file < 0 || ftruncate(file, sizeof *counters) != 0)
		die(argv[2]);
	counters = mmap(NULL, sizeof *counters, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	seen = calloc((size_t)limit + 1, 1);
	struct sockaddr_in address = loopback(argv[1]);
	int one = 1, door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), poll = epoll_create1(0);
	setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (counters == MAP_FAILED || seen == NULL || poll < 0 ||
	    bind(door, (struct sockaddr *)&address, sizeof address) != 0 || listen(door, 1024) != 0)
		die("sink");
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[128];
	epoll_ctl(poll, EPOLL_CTL_ADD, door, &event);
	for (;;) {
		int n = epoll_wait(poll, events, 128, -1);
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr != NULL) {
				serve(events[i].data.ptr);
				continue;
			}
			struct peer *p = calloc(1, sizeof *p);
			if (p == NULL || (p->fd = accept4(door, NULL, NULL, SOCK_CLOEXEC)) < 0) {
				free(p);
				continue;
			}
			setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
			event = (struct epoll_event){.events = EPOLLIN, .data.ptr = p};
			epoll_ctl(poll, EPOLL_CTL_ADD, p->fd, &event);
			if (send(p->fd, "220 sink ESMTP\r\n", 16, MSG_NOSIGNAL) < 0)
				continue;
		}
	}
}
