/* SPDX-License-Identifier: EUPL-1.2
 * role/resolverd.c — the process that asks the DNS, validates (DNSSEC) and keeps
 * a cache: libunbound, which works in a helper process that it forks at its first
 * question. Both are in the sandbox by then (rule 14); the helper, which reads
 * what strangers send, keeps none of our channels.
 *
 * Each question gets one answer, at the latest when its time is over. At most
 * so many are with libunbound at one time, the others wait here. If the helper
 * dies we end too, and master starts both anew. */
#include "base/clock.h"
#include "log/log.h"
#include "net/dns.h"
#include "os/file.h"
#include "role/role.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unbound.h>
#include <unistd.h>

#define ANSWER_MS 8000u
#define ASKED_MAX 250u   /* fits the pipe to the helper, so that asking never blocks */
#define WAITING_MAX 20000u
#define ANSWERS_MAX 100u
#define DATA_MAX 50000u  /* of all answers to one question */
#define ANCHOR_FILE_MAX 65536u
#define FDS_MAX 1024
#define CLASS_IN 1
#define NXDOMAIN 3

struct question {
	struct question *next, *previous;
	struct resolver *resolver;
	struct vgm_channel *asker; /* NULL: has gone */
	uint64_t tag;
	uint64_t due_ms;
	uint16_t type;
	bool asked; /* libunbound has it, under this id */
	int id;
	char name[256];
};

/* In order of arrival, which is the order of deadlines. */
struct questions {
	struct question *first, *last;
	size_t count;
};

struct resolver {
	struct ub_ctx *unbound;
	struct vgm_buf anchors; /* of the root, read before the sandbox */
	struct vgm_io *io;
	struct vgm_timer *due;
	struct questions asked, waiting;
};

/* ---- lists ---- */

static void append(struct questions *list, struct question *q)
{
	q->previous = list->last;
	q->next = NULL;
	*(list->last ? &list->last->next : &list->first) = q;
	list->last = q;
	list->count++;
}

static void take_out(struct questions *list, struct question *q)
{
	*(q->previous ? &q->previous->next : &list->first) = q->next;
	*(q->next ? &q->next->previous : &list->last) = q->previous;
	list->count--;
}

/* ---- answers ---- */

static enum vgm_dns_status status_of(int error, const struct ub_result *result)
{
	if (error || !result)
		return VGM_DNS_TEMPORARY;
	if (result->bogus)
		return VGM_DNS_BOGUS;
	if (result->nxdomain || result->rcode == NXDOMAIN)
		return VGM_DNS_NXDOMAIN;
	return result->rcode == 0 ? VGM_DNS_OK : VGM_DNS_TEMPORARY;
}

/* What does not decode is left out: one bad record must not hide good ones. */
static size_t decode_answers(const struct ub_result *result, uint16_t type, struct vgm_buf *data,
    struct vgm_dns_answer answers[ANSWERS_MAX])
{
	size_t starts[ANSWERS_MAX], count = 0;
	for (size_t i = 0; result->data && result->data[i] && count < ANSWERS_MAX; i++) {
		struct vgm_slice rdata = vgm_slice(result->data[i], (size_t)result->len[i]);
		starts[count] = data->len;
		if (vgm_dns_decode(type, rdata, data, &answers[count].preference) == 0)
			count++;
	}
	for (size_t i = 0; i < count; i++) {
		size_t end = i + 1 < count ? starts[i + 1] : data->len;
		answers[i].data = vgm_slice_sub(vgm_buf_slice(data), starts[i], end);
	}
	return count;
}

/* Answers (if the asker is still there) and frees the question. */
static void answer(struct question *q, enum vgm_dns_status status, const struct ub_result *result)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf data = VGM_BUF_INIT(DATA_MAX);
	struct vgm_dns_answer answers[ANSWERS_MAX];
	struct vgm_msg_resolved m = {.tag = q->tag, .status = (uint8_t)status, .answers = answers};
	if (status == VGM_DNS_OK)
		m.answers_count = decode_answers(result, q->type, &data, answers);
	if (status == VGM_DNS_OK || status == VGM_DNS_NXDOMAIN) {
		m.secure = result && result->secure;
		m.ttl = result && result->ttl > 0 ? (uint32_t)result->ttl : 0;
	}
	/* An asker that takes no more answers has timed out long ago. */
	if (q->asker)
		(void)!vgm_channel_send(q->asker, VGM_MSG_resolved, &m);
	vgm_free(q);
}

static void log_bogus(const struct question *q, const struct ub_result *result)
{
	struct vgm_log_line line;
	vgm_log_start_limited(&line, VGM_LOG_WARNING, "dns_bogus");
	vgm_log_text(&line, "name", q->name);
	vgm_log_u64(&line, "type", q->type);
	vgm_log_text(&line, "why", result->why_bogus ? result->why_bogus : "");
	vgm_log_end(&line);
}

/* ---- questions ---- */

static void ask_more(struct resolver *r);

static void arrived(void *context, int error, struct ub_result *result)
{
	struct question *q = context;
	struct resolver *r = q->resolver;
	enum vgm_dns_status status = status_of(error, result);
	if (status == VGM_DNS_BOGUS)
		log_bogus(q, result);
	take_out(&r->asked, q);
	answer(q, status, result);
	ub_resolve_free(result);
}

static void ask_more(struct resolver *r)
{
	while (r->waiting.first && r->asked.count < ASKED_MAX) {
		struct question *q = r->waiting.first;
		take_out(&r->waiting, q);
		if (ub_resolve_async(r->unbound, q->name, q->type, CLASS_IN, q, arrived, &q->id) !=
		    0) {
			answer(q, VGM_DNS_TEMPORARY, NULL);
			continue;
		}
		append(&r->asked, q);
	}
}

static void on_resolve(
    struct resolver *r, struct vgm_channel *from, const struct vgm_msg_resolve *m)
{
	struct question *q = vgm_alloc(sizeof *q);
	*q = (struct question){.resolver = r, .asker = from, .tag = m->tag, .type = m->type,
	    .due_ms = vgm_clock_mono_ms() + ANSWER_MS};
	VGM_BUG_ON(!vgm_dns_known(m->type));
	if (!vgm_dns_name_valid(m->name)) {
		answer(q, VGM_DNS_NXDOMAIN, NULL);
		return;
	}
	if (r->waiting.count >= WAITING_MAX) {
		answer(q, VGM_DNS_TEMPORARY, NULL);
		return;
	}
	memcpy(q->name, m->name.data, m->name.len);
	append(&r->waiting, q);
	ask_more(r);
	if (!vgm_timer_is_set(r->due))
		vgm_timer_in(r->due, ANSWER_MS);
}

static void give_up(struct questions *list, struct resolver *r, uint64_t now_ms)
{
	while (list->first && list->first->due_ms <= now_ms) {
		struct question *q = list->first;
		take_out(list, q);
		if (list == &r->asked)
			(void)ub_cancel(r->unbound, q->id);
		answer(q, VGM_DNS_TEMPORARY, NULL);
	}
}

static void time_is_over(void *context)
{
	struct resolver *r = context;
	uint64_t now_ms = vgm_clock_mono_ms();
	give_up(&r->asked, r, now_ms);
	give_up(&r->waiting, r, now_ms);
	ask_more(r);
	const struct question *first = r->asked.first ? r->asked.first : r->waiting.first;
	if (first)
		vgm_timer_in(r->due, first->due_ms - now_ms);
}

static void unbound_ready(void *context, unsigned events)
{
	struct resolver *r = context;
	(void)events;
	int error = ub_process(r->unbound);
	if (error)
		vgm_fatal("resolverd: the DNS helper has gone: %s", ub_strerror(error));
	ask_more(r);
}

/* ---- peers ---- */

static void resolverd_message(
    struct vgm_role_run *run, struct vgm_channel *from, int type, void *message)
{
	VGM_BUG_ON(type != VGM_MSG_resolve);
	on_resolve(run->state, from, message);
}

static void resolverd_peer_gone(struct vgm_role_run *run, struct vgm_channel *channel)
{
	struct resolver *r = run->state;
	struct questions *lists[] = {&r->asked, &r->waiting};
	for (size_t i = 0; i < VGM_ARRAY_LEN(lists); i++)
		for (struct question *q = lists[i]->first; q; q = q->next)
			if (q->asker == channel)
				q->asker = NULL;
}

/* ---- life ---- */

/* What was open before libunbound came: not the helper's. The one variable of
 * this file, because the hook on fork takes no argument. */
static bool ours[FDS_MAX];

static void close_ours(void)
{
	for (int fd = STDERR_FILENO + 1; fd < FDS_MAX; fd++)
		if (ours[fd])
			close(fd);
}

static int read_anchor_file(const char *path, struct vgm_buf *out, struct vgm_err *err)
{
	size_t slash = vgm_slice_rfind(vgm_slice_str(path), '/');
	bool has_folder = path[slash] == '/';
	char *folder = has_folder ? vgm_slice_dup(vgm_slice(path, slash + 1)) : vgm_strdup(".");
	int dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	vgm_free(folder);
	if (dir < 0)
		return vgm_err_sys(err, "dns.root_anchor: %s", path);
	int result = vgm_file_read_at(dir, has_folder ? path + slash + 1 : path, out, err);
	close(dir);
	return result;
}

static int resolverd_prepare(struct vgm_role_run *run, struct vgm_err *err)
{
	struct resolver *r = vgm_alloc(sizeof *r);
	run->state = r;
	vgm_buf_init(&r->anchors, ANCHOR_FILE_MAX);
	for (int fd = 0; fd < FDS_MAX; fd++)
		ours[fd] = fcntl(fd, F_GETFD) >= 0;
	if (pthread_atfork(NULL, NULL, close_ours) != 0)
		return vgm_err_set(err, VGM_E_IO, "no hook on fork");
	const char *path = run->conf.dns_root_anchor;
	return path[0] ? read_anchor_file(path, &r->anchors, err) : 0;
}

static int set_option(struct resolver *r, const char *name, const char *value, struct vgm_err *err)
{
	int error = ub_ctx_set_option(r->unbound, name, value);
	return error ? vgm_err_set(err, VGM_E_INVALID, "DNS option %s %s: %s", name, value,
	                   ub_strerror(error)) :
	               0;
}

static int set_options(struct resolver *r, struct vgm_err *err)
{
	static const char *const options[][2] = {
	    {"do-not-query-localhost:", "no"}, /* a forwarder may run beside us */
	    {"num-queries-per-thread:", "512"},
	    {"outgoing-range:", "700"},
	    {"msg-cache-size:", "4m"},
	    {"rrset-cache-size:", "8m"},
	    {"key-cache-size:", "2m"},
	    {"neg-cache-size:", "1m"},
	    {"cache-max-ttl:", "86400"},
	    {"cache-max-negative-ttl:", "900"},
	    {"infra-host-ttl:", "30"}, /* a server that was down is tried again soon */
	    {"edns-buffer-size:", "1232"},
	    {"use-syslog:", "no"},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(options); i++) {
		int result = set_option(r, options[i][0], options[i][1], err);
		if (result < 0)
			return result;
	}
	return 0;
}

/* "127.0.0.1:53", "[::1]:53" to libunbound's "127.0.0.1@53", "::1@53". */
static int add_server(struct resolver *r, const char *server, struct vgm_err *err)
{
	struct vgm_slice s = vgm_slice_str(server), host, port;
	char text[80];
	size_t colon = vgm_slice_rfind(s, ':');
	host = vgm_slice_sub(s, 0, colon);
	port = vgm_slice_from(s, colon + 1);
	if (host.len > 2 && host.data[0] == '[' && host.data[host.len - 1] == ']')
		host = vgm_slice_sub(host, 1, host.len - 1);
	int n = snprintf(text, sizeof text, "%.*s@%.*s", VGM_SLICE_ARG(host), VGM_SLICE_ARG(port));
	int error =
	    n < 0 || (size_t)n >= sizeof text ? UB_SYNTAX : ub_ctx_set_fwd(r->unbound, text);
	return error ? vgm_err_set(err, VGM_E_INVALID, "dns.servers: %s: %s", server,
	                   ub_strerror(error)) :
	               0;
}

static int add_anchor(struct resolver *r, struct vgm_slice line, struct vgm_err *err)
{
	/* "; keytag 20326" behind the record, or a line of its own */
	line = vgm_slice_trim(vgm_slice_sub(line, 0, vgm_slice_find(line, ';')));
	if (line.len == 0)
		return 0;
	char *text = vgm_slice_dup(line);
	int error = ub_ctx_add_ta(r->unbound, text);
	vgm_free(text);
	return error ? vgm_err_set(
			   err, VGM_E_INVALID, "a DNSSEC trust anchor: %s", ub_strerror(error))
		     : 0;
}

static int add_anchors(struct resolver *r, const struct vgm_conf *conf, struct vgm_err *err)
{
	struct vgm_slice rest = vgm_buf_slice(&r->anchors);
	int result = 0;
	while (rest.len && result == 0) {
		size_t end = vgm_slice_find(rest, '\n');
		result = add_anchor(r, vgm_slice_sub(rest, 0, end), err);
		rest = vgm_slice_from(rest, end + 1);
	}
	for (size_t i = 0; i < conf->dns_anchors.count && result == 0; i++)
		result = add_anchor(r, vgm_slice_str(conf->dns_anchors.text[i]), err);
	return result;
}

static void nobody_asks(void *context, int error, struct ub_result *result)
{
	(void)context;
	(void)error;
	ub_resolve_free(result);
}

/* libunbound reads its options and forks its helper at the first question: that
 * one is about itself, and answered without the network. */
static int start_helper(struct resolver *r, struct vgm_err *err)
{
	int id;
	int error = ub_ctx_async(r->unbound, 0);
	/* RFC 6761 keeps "test" for what it is used for here, private zones. This
	 * closes the options, so it comes last. */
	if (!error)
		error = ub_ctx_zone_add(r->unbound, "test.", "transparent");
	/* What was wrong with the options was said on stderr; from here on it would
	 * be about strangers' servers, and about the end of one process of the two. */
	if (!error)
		error = ub_ctx_debugout(r->unbound, NULL);
	if (!error)
		error = ub_resolve_async(
		    r->unbound, "localhost", VGM_DNS_A, CLASS_IN, NULL, nobody_asks, &id);
	if (error)
		return vgm_err_set(err, VGM_E_IO, "the DNS helper: %s", ub_strerror(error));
	return 0;
}

static int resolverd_begin(struct vgm_role_run *run, struct vgm_err *err)
{
	struct resolver *r = run->state;
	r->unbound = ub_ctx_create();
	if (!r->unbound)
		return vgm_err_set(err, VGM_E_IO, "libunbound does not start");
	int result = set_options(r, err);
	for (size_t i = 0; i < run->conf.dns_servers.count && result == 0; i++)
		result = add_server(r, run->conf.dns_servers.text[i], err);
	if (result == 0)
		result = add_anchors(r, &run->conf, err);
	if (result == 0)
		result = start_helper(r, err);
	if (result < 0)
		return result;
	r->due = vgm_timer_new(run->loop, "DNS answers", time_is_over, r);
	r->io = vgm_io_new(run->loop, ub_fd(r->unbound), unbound_ready, r);
	vgm_io_want(r->io, VGM_IO_READ);
	return 0;
}

const struct vgm_role vgm_role_resolverd = {
    .id = VGM_ROLE_RESOLVERD,
    .prepare = resolverd_prepare,
    .begin = resolverd_begin,
    .message = resolverd_message,
    .peer_gone = resolverd_peer_gone,
    .sandbox = {.flags = VGM_SANDBOX_UDP, .files = 2048},
};
