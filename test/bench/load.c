/* SPDX-License-Identifier: EUPL-1.2
 * load PORT SESSIONS COUNT PER_CONNECTION FIRST BODY — sends COUNT messages, numbered from FIRST,
 * over so many sessions at one time, PER_CONNECTION messages over each connection. MAIL, RCPT and
 * DATA are pipelined. A message is a few fields, its number, and the bytes of the file BODY.
 *
 * COUNT 0: SESSIONS connections greet with EHLO and then stay idle until standard input ends.
 * Prints one JSON object: accepted, refused, broken, seconds, and the time from the end of data
 * sent to its reply in microseconds (p50, p95, p99, max). */
#include "common.h"

enum state { GREETING, HELLO, ENVELOPE, SENDING, DOT, IDLE, BYE };

struct session {
	int fd;
	enum state state;
	unsigned replies; /* still due of the envelope */
	unsigned sent_here;
	size_t used, written;
	uint64_t dot_ns;
	char head[512];
	size_t head_bytes;
	char in[4096];
};

static struct sockaddr_in server;
static int poll_fd;
static const char *body;
static size_t body_bytes;
static unsigned long wanted, per_connection, first, started, accepted, refused, broken;
static uint64_t *latency_ns;
static unsigned active, idle;

static void watch(struct session *s, bool write)
{
	struct epoll_event event = {.events = write ? EPOLLOUT : EPOLLIN, .data.ptr = s};
	epoll_ctl(poll_fd, EPOLL_CTL_MOD, s->fd, &event);
}

static void open_session(struct session *s)
{
	int one = 1;
	*s = (struct session){.fd = socket(AF_INET, SOCK_STREAM, 0), .state = GREETING};
	if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&server, sizeof server) != 0)
		die("connect");
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	fcntl(s->fd, F_SETFL, O_NONBLOCK);
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};
	epoll_ctl(poll_fd, EPOLL_CTL_ADD, s->fd, &event);
	active++;
}

static void say(struct session *s, const char *text)
{
	if (send(s->fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		broken++;
}

static void begin_message(struct session *s)
{
	if (started == wanted || s->sent_here == per_connection) {
		s->state = BYE;
		say(s, "QUIT\r\n");
		return;
	}
	s->head_bytes = (size_t)snprintf(s->head, sizeof s->head,
	    "From: <bench@from.test>\r\nTo: <r@dest.test>\r\nSubject: bench %lu\r\n"
	    "Message-ID: <%lu.%ld@from.test>\r\n" NUMBER_FIELD "%0*lu\r\n",
	    first + started, first + started, (long)getpid(), NUMBER_DIGITS, first + started);
	started++;
	s->sent_here++;
	s->written = 0;
	s->replies = 3;
	s->state = ENVELOPE;
	say(s, "MAIL FROM:<bench@from.test>\r\nRCPT TO:<r@dest.test>\r\nDATA\r\n");
}

static void write_body(struct session *s)
{
	while (s->written < s->head_bytes + body_bytes) {
		bool in_head = s->written < s->head_bytes;
		const char *from = in_head ? s->head + s->written : body + (s->written - s->head_bytes);
		size_t left = in_head ? s->head_bytes - s->written : s->head_bytes + body_bytes - s->written;
		ssize_t n = send(s->fd, from, left, MSG_NOSIGNAL | (in_head ? MSG_MORE : 0));
		if (n < 0 && errno == EAGAIN) {
			watch(s, true);
			return;
		}
		if (n < 0) {
			broken++;
			break;
		}
		s->written += (size_t)n;
	}
	s->dot_ns = now_ns();
	s->state = DOT;
	watch(s, false);
}

static void reply(struct session *s, int code)
{
	switch (s->state) {
	case GREETING:
		s->state = HELLO;
		say(s, "EHLO bench.test\r\n");
		break;
	case HELLO:
		if (wanted == 0) {
			s->state = IDLE;
			idle++;
		} else {
			begin_message(s);
		}
		break;
	case ENVELOPE:
		if (code >= 400) {
			fprintf(stderr, "load: envelope refused with %d\n", code);
			exit(1);
		}
		if (--s->replies == 0) {
			s->state = SENDING;
			write_body(s);
		}
		break;
	case DOT:
		if (code == 250)
			latency_ns[accepted++] = now_ns() - s->dot_ns;
		else
			refused++;
		begin_message(s);
		break;
	default:
		break;
	}
}

static void read_replies(struct session *s)
{
	ssize_t n = recv(s->fd, s->in + s->used, sizeof s->in - s->used, 0);
	if (n <= 0) {
		if (n < 0 && errno == EAGAIN)
			return;
		if (s->state != BYE)
			broken++;
		close(s->fd);
		active--;
		if (started < wanted)
			open_session(s);
		return;
	}
	s->used += (size_t)n;
	char *at = s->in, *nl;
	while ((nl = memchr(at, '\n', s->used - (size_t)(at - s->in))) != NULL) {
		if (nl - at >= 4 && at[3] == ' ')
			reply(s, (int)strtol(at, NULL, 10));
		at = nl + 1;
	}
	s->used -= (size_t)(at - s->in);
	memmove(s->in, at, s->used);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static double quantile_us(double q)
{
	return accepted == 0 ? 0 : (double)latency_ns[(size_t)(q * (double)(accepted - 1))] / 1000;
}

static void load_body(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY);
	if (fd < 0 || fstat(fd, &st) != 0)
		die(path);
	body_bytes = (size_t)st.st_size;
	body = mmap(NULL, body_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	if (body == MAP_FAILED)
		die(path);
}

int main(int argc, char **argv)
{
	if (argc != 7)
		return 2;
	server = loopback(argv[1]);
	unsigned long sessions = strtoul(argv[2], NULL, 10);
	wanted = strtoul(argv[3], NULL, 10);
	per_connection = strtoul(argv[4], NULL, 10);
	first = strtoul(argv[5], NULL, 10);
	load_body(argv[6]);
	struct session *all = calloc(sessions, sizeof *all);
	latency_ns = calloc(wanted + 1, sizeof *latency_ns);
	poll_fd = epoll_create1(0);
	if (all == NULL || latency_ns == NULL || poll_fd < 0)
		die("load");
	uint64_t begin = now_ns();
	for (unsigned long i = 0; i < sessions && (wanted == 0 || i < wanted); i++)
		open_session(&all[i]);
	struct epoll_event events[256];
	while (active > 0 && !(wanted == 0 && idle == sessions)) {
		int n = epoll_wait(poll_fd, events, 256, -1);
		for (int i = 0; i < n; i++) {
			struct session *s = events[i].data.ptr;
			if (s->state == SENDING)
				write_body(s);
			else
				read_replies(s);
		}
	}
	double seconds = (double)(now_ns() - begin) / 1e9;
	qsort(latency_ns, accepted, sizeof *latency_ns, by_value);
	printf("{\"accepted\": %lu, \"refused\": %lu, \"broken\": %lu, \"idle\": %u, \"seconds\": %.6f, "
	       "\"p50\": %.1f, \"p95\": %.1f, \"p99\": %.1f, \"max\": %.1f}\n",
	    accepted, refused, broken, idle, seconds, quantile_us(0.5), quantile_us(0.95),
	    quantile_us(0.99), quantile_us(1));
	fflush(stdout);
	while (wanted == 0 && read(STDIN_FILENO, all, 1) > 0)
		;
	return 0;
}
