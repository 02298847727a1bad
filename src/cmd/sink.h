/* SPDX-License-Identifier: EUPL-1.2
 * cmd/sink.h — a small honest SMTP store: takes every message, keeps it or only
 * counts it, and can be told to misbehave. It plays main systems and the outside
 * world in trials, the demo and benchmarks; it is no part of the gateway.
 *
 * 250 is said when the message is durable (with a directory) or counted. */
#ifndef VGM_CMD_SINK_H
#define VGM_CMD_SINK_H

#include "base/buf.h"
#include "base/err.h"
#include "words/words.h"

/* ---- rules: answers on order (sink_rules.c) ---- */

enum vgm_sink_stage {
	VGM_SINK_CONNECT,
	VGM_SINK_MAIL,
	VGM_SINK_RCPT,
	VGM_SINK_DATA, /* the end of data */
};

/* "RCPT @example.org first 3=450 4.2.1": at that stage, for what matches, the
 * first three times (or "for 60s" from the start), this reply. */
struct vgm_sink_rule {
	enum vgm_sink_stage stage;
	char pattern[256];   /* "*", "@domain" or an address */
	uint64_t first;      /* times left; UINT64_MAX = always */
	uint64_t for_ms;     /* from the sink's start; UINT64_MAX = always */
	unsigned code;       /* 400 to 599 */
	char enhanced[16];
};

/* VGM_E_INVALID. */
int vgm_sink_rule_parse(struct vgm_slice text, struct vgm_sink_rule *out) VGM_MUST_USE;
/* The first rule that holds now, used once; NULL: none. elapsed_ms: since the start. */
const struct vgm_sink_rule *vgm_sink_rule_take(struct vgm_sink_rule *rules, size_t count,
    enum vgm_sink_stage, struct vgm_slice address, uint64_t elapsed_ms);

/* ---- where messages go (sink_store.c) ---- */

struct vgm_sink_store {
	int directory;     /* DIR/new of a maildir, or -1: only counted */
	int log;           /* descriptor, or -1 */
	uint64_t messages, bytes, sequence;
};

struct vgm_sink_message {
	struct vgm_slice sender;
	const struct vgm_slice *recipients;
	size_t recipients_count;
	struct vgm_slice body; /* exact bytes, dot-stuffing undone; empty when only counted */
	uint64_t size;
	const uint8_t *sha256; /* of the body; NULL when there is no log */
	struct vgm_slice helo, tls, peer;
};

/* maildir, log: paths or NULL. VGM_E_IO. */
int vgm_sink_store_open(struct vgm_sink_store *, const char *maildir, const char *log,
    struct vgm_err *) VGM_MUST_USE;
void vgm_sink_store_close(struct vgm_sink_store *);
/* Durable on return, then one line in the log. VGM_E_IO, VGM_E_NOSPACE. */
int vgm_sink_store_add(struct vgm_sink_store *, const struct vgm_sink_message *, struct vgm_err *)
    VGM_MUST_USE;

/* ---- TLS with a certificate of its own making (sink_tls.c) ---- */

struct vgm_tls;
struct vgm_sink_key; /* private key; must outlive the TLS context */
/* A fresh self-signed P-256 certificate for hostname. VGM_E_CRYPTO. */
int vgm_sink_tls_new(const char *hostname, struct vgm_sink_key **out_key, struct vgm_tls **out,
    struct vgm_err *) VGM_MUST_USE;
void vgm_sink_key_free(struct vgm_sink_key **);

/* ---- the server (sink.c) ---- */

#define VGM_SINK_LISTEN_MAX 16
#define VGM_SINK_RULES_MAX 64

struct vgm_sink_options {
	const char *listen[VGM_SINK_LISTEN_MAX];
	size_t listen_count;
	struct vgm_sink_rule rules[VGM_SINK_RULES_MAX];
	size_t rules_count;
	const char *maildir, *log, *hostname;
	bool tls;
	bool down;          /* unreachable from the start and after each SIGUSR1, for: */
	uint64_t down_ms;
	uint64_t max_size;
	enum vgm_lang lang;
	void (*ready)(void *context, struct vgm_slice where); /* listening */
	void *context;
};

/* Serves until SIGTERM or SIGINT. *out_messages, *out_bytes: what was taken. */
int vgm_sink_run(const struct vgm_sink_options *, uint64_t *out_messages, uint64_t *out_bytes,
    struct vgm_err *) VGM_MUST_USE;

#endif
