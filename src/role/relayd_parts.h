/* SPDX-License-Identifier: EUPL-1.2
 * role/relayd_parts.h — inside of relayd. What is what:
 *
 *   job          one DELIVER: some recipients of one message, all by one route
 *   destination  where jobs of one route and one need of TLS go: a line of jobs,
 *                the addresses found for it, the connections to it
 *   connection   one TCP connection, which takes one job after another
 *
 * relayd.c speaks with the other roles, relayd_resolve.c finds addresses,
 * relayd_connection.c keeps the connection, relayd_transfer.c sends over it,
 * relayd_job.c has the copy made and reports.
 *
 * Nothing is freed while its own event is being handled: what ends is marked, and
 * relayd_round does away with it after the round; there too, lines and
 * connections are brought together. So no function finds the ground gone that it
 * stands on. */
#ifndef VGM_ROLE_RELAYD_PARTS_H
#define VGM_ROLE_RELAYD_PARTS_H

#include "net/addr.h"
#include "net/stream.h"
#include "os/memfd.h"
#include "queue/route.h"
#include "role/role.h"
#include "smtp/client/client.h"
#include "smtp/dot.h"
#include "words/words.h"

#define RELAYD_BUCKETS 256
#define RELAYD_ADDRESSES_MAX 32
#define RELAYD_INPUT_BYTES 16384
#define RELAYD_CHUNK_BYTES 65536 /* of a body on its way into a socket */
#define RELAYD_EARLY_BYTES 65536 /* copies of small messages are made ahead */
#define RELAYD_TRIES 3		 /* connections that one job may try in vain */
#define RELAYD_HOST_BYTES 256
#define RELAYD_PEER_BYTES 300

struct relayd_destination;
struct relayd_connection;
struct relayd_query;

/* Why nobody could be reached, for all that wait. */
struct relayd_failure {
	uint8_t status; /* enum vgm_outcome_status */
	char enhanced[VGM_SMTP_ENHANCED_BYTES];
	char reply[VGM_SMTP_REPLY_TEXT_MAX + 1];
	char peer[RELAYD_PEER_BYTES];
};

enum relayd_copy { COPY_NONE = 0, COPY_ASKED, COPY_MADE };

struct relayd_job {
	struct relayd_job *tag_next;
	struct relayd_job *line_prev, *line_next;
	bool in_line;
	uint64_t tag; /* its name with the render pool */
	struct relayd_destination *destination;
	struct relayd_connection *connection; /* or NULL */
	struct vgm_arena arena;		      /* m and outcomes */
	struct vgm_msg_deliver m;
	struct vgm_outcome *outcomes; /* of each recipient; status 0 = none yet */
	unsigned tries;

	enum relayd_copy copy;
	uint8_t copy_caps; /* the next hop's, as the pool was told */
	struct vgm_slice body;
	struct vgm_buf body_small;
	struct vgm_mapping body_large;
	uint8_t sha256[32], salt[16];
};

struct relayd_address {
	struct vgm_addr addr;
	char host[RELAYD_HOST_BYTES]; /* name that certificates are compared with */
};

struct relayd_host {
	char name[RELAYD_HOST_BYTES];
	uint16_t port;
	struct vgm_addr found[8];
	size_t found_count;
	bool temporary; /* an answer is missing */
};

enum relayd_resolution { ADDRESSES_NONE = 0, ADDRESSES_ASKED, ADDRESSES_KNOWN };

struct relayd_destination {
	struct relayd_destination *next; /* in its bucket */
	struct relayd_destination *dirty_next;
	bool dirty;
	struct relayd *relayd;
	uint8_t need; /* enum vgm_tls_need */
	char *key;
	size_t connections_max;
	bool by_mx;

	struct relayd_job *line_first, *line_last;
	size_t line_count;

	enum relayd_resolution resolution;
	uint64_t known_until_ms;
	struct relayd_host *hosts; /* while ASKED */
	size_t hosts_count;
	size_t queries; /* not answered yet */
	uint32_t ttl;
	struct relayd_address *addresses;
	size_t addresses_count;

	struct relayd_connection *connections;
	size_t connections_count, opening;
	bool caps_known;
	uint8_t caps; /* of the last one that was ready */
};

enum relayd_connection_state {
	CONNECTION_CONNECTING = 0,
	CONNECTION_TALKING, /* hello, or commands of a transaction */
	CONNECTION_HANDSHAKE,
	CONNECTION_IDLE,
	CONNECTION_PREPARING, /* has a job, waits for its copy */
	CONNECTION_BODY,
	CONNECTION_DEAD,
};

struct relayd_connection {
	struct relayd_connection *prev, *next; /* of the destination; or of the dead */
	struct relayd_destination *destination;
	enum relayd_connection_state state;
	bool opening; /* not ready for the first time yet */
	size_t address;
	bool plain; /* the handshake failed and TLS is not required: without */
	struct vgm_stream stream;
	struct vgm_io *io;
	struct vgm_timer *timer;
	struct vgm_smtp_client *client;
	struct relayd_job *job;
	size_t messages;
	bool timed_out;
	size_t out_sent; /* of the client's output */
	struct vgm_smtp_dot dot;
	struct vgm_slice body, piece;
	struct vgm_buf chunk;
	size_t chunk_sent;
	bool chunk_last;
	struct relayd_failure failure; /* of the latest address */
	char peer[RELAYD_PEER_BYTES];
	char tls[100];
};

struct relayd {
	struct vgm_role_run *run;
	struct vgm_tls *tls;
	bool no_authorities;
	enum vgm_lang lang;
	uint64_t next_tag;
	uint64_t seed; /* of shuffles among equal MX */
	struct relayd_job *jobs[RELAYD_BUCKETS];
	size_t jobs_count;
	size_t unwritten; /* outcomes that ledgerd has not confirmed */
	struct relayd_destination *destinations[RELAYD_BUCKETS];
	struct relayd_destination *dirty;
	struct relayd_connection *dead;
	struct relayd_query *queries;
	struct vgm_timer *stop_timer;
	uint8_t input[RELAYD_INPUT_BYTES];
};

/* ---- relayd.c ---- */
void relayd_mark_dirty(struct relayd_destination *);

/* ---- relayd_job.c ---- */
/* Takes the message's descriptor. The job stands in its destination's line. */
struct relayd_job *relayd_job_new(struct relayd *, struct vgm_msg_deliver *);
struct relayd_job *relayd_job_find(struct relayd *, uint64_t tag);
void relayd_job_free(struct relayd *, struct relayd_job *);
void relayd_job_line_up(struct relayd_job *, bool front);
void relayd_job_leave_line(struct relayd_job *);
/* Asks for the copy, once. False: the pool is away. */
bool relayd_job_ask_copy(struct relayd *, struct relayd_job *, uint8_t caps);
/* An answer of the pool has come. */
void relayd_job_copy_came(struct relayd *, struct relayd_job *, struct vgm_msg_rendered *);
void relayd_job_copy_failed(struct relayd *, struct relayd_job *);
/* Settles one recipient; texts are copied. */
void relayd_job_settle(struct relayd_job *, size_t i, const struct vgm_outcome *);
/* Settles all who have no outcome yet. */
void relayd_job_settle_rest(struct relayd_job *, const struct relayd_failure *);
/* Reports, logs, frees: every recipient must be settled. */
void relayd_job_finish(struct relayd *, struct relayd_job *, bool destination_down);
/* The words' places: subject for {destination} and {route}, detail for {why} and
 * {limit}; NULL where there is none. */
void relayd_failure_set(struct relayd *, struct relayd_failure *, uint8_t status,
    const char *enhanced, enum vgm_words_id, const char *subject, const char *detail);

/* ---- relayd_resolve.c ---- */
/* Begins to find addresses; at the end the destination is KNOWN, or its line was
 * failed. False: cannot ask now, resolverd is away. */
bool relayd_resolve(struct relayd_destination *);
void relayd_resolved(struct relayd *, const struct vgm_msg_resolved *);
void relayd_resolver_gone(struct relayd *);
void relayd_fail_line(
    struct relayd_destination *, const struct relayd_failure *, bool destination_down);

/* ---- relayd_connection.c ---- */
void relayd_connection_open(struct relayd_destination *);
/* Leaves politely if it can. Its job, if any, is the caller's. */
void relayd_connection_end(struct relayd_connection *);
/* The other side has gone, or is silent: the job, if any, is put back or settled. */
void relayd_connection_lost(struct relayd_connection *);
/* What the machine's failure means for those who wait. */
void relayd_connection_describe_failure(struct relayd_connection *, struct relayd_failure *);
void relayd_connection_free(struct relayd_connection *);

/* ---- relayd_transfer.c ---- */
/* An idle one takes the first job of the line. */
void relayd_connection_take(struct relayd_connection *);
/* The job's copy has been made: go on. */
void relayd_connection_copy_ready(struct relayd_connection *);
/* The job in hand was settled without being sent. */
void relayd_connection_release_job(struct relayd_connection *);
/* The server is ready: the next job, or a rest, or the end. */
void relayd_transfer_go_on(struct relayd_connection *);
/* It takes the body; flush sends it. */
void relayd_transfer_body(struct relayd_connection *);
/* Every recipient has the server's answer. */
void relayd_transfer_done(struct relayd_connection *);
/* Writes what there is as far as the socket takes it. */
void relayd_transfer_flush(struct relayd_connection *);
/* Nothing was said about the job yet, so that another connection may have it. */
bool relayd_transfer_is_untouched(const struct relayd_connection *);
/* The connection is of no more use: the job goes back, or is settled. */
void relayd_transfer_fail(struct relayd_connection *, bool untouched);

#endif
