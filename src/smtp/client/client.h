/* SPDX-License-Identifier: EUPL-1.2
 * smtp/client/client.h — the sending side of SMTP (RFC 5321) as a machine
 * without sockets: it is fed what the server said and leaves what to say in out.
 * STARTTLS (3207), PIPELINING (2920), SIZE (1870), 8BITMIME (6152), SMTPUTF8
 * (6531), DSN (3461). It trusts the server in nothing.
 *
 * Calling sequence: new → feed until READY; then for each message begin → feed
 * → BODY: send it, body_sent → feed → DONE, read the results → feed until READY
 * again; at the end quit. In between: TLS asks for a handshake, then secured.
 * FAILED comes at any time and is the last event of a connection.
 *
 * After each call the caller sends out->data and empties it. Time is the
 * caller's: while the machine waits for a reply, silence ends the connection
 * (vgm_smtp_client_lost), never the message. */
#ifndef VGM_SMTP_CLIENT_CLIENT_H
#define VGM_SMTP_CLIENT_CLIENT_H

#include "ipc/message.h"
#include "smtp/client/reply.h"

struct vgm_smtp_client;

enum vgm_smtp_client_event {
	VGM_SMTP_CLIENT_WAIT = 0, /* all that was fed is used; more is needed */
	VGM_SMTP_CLIENT_READY,	  /* a transaction may begin */
	VGM_SMTP_CLIENT_TLS,	  /* do the handshake, then vgm_smtp_client_secured */
	VGM_SMTP_CLIENT_BODY,	  /* send the body with its final dot */
	VGM_SMTP_CLIENT_DONE,	  /* each recipient has its result */
	VGM_SMTP_CLIENT_FAILED,	  /* of no more use: see vgm_smtp_client_failure */
};

enum vgm_smtp_client_failure {
	VGM_SMTP_FAILURE_NONE = 0,
	VGM_SMTP_FAILURE_REFUSED,     /* greeting, EHLO or 421: see vgm_smtp_client_final */
	VGM_SMTP_FAILURE_PROTOCOL,    /* no SMTP: see vgm_smtp_client_why */
	VGM_SMTP_FAILURE_TLS_MISSING, /* required, not offered or refused */
	VGM_SMTP_FAILURE_SELF,	      /* the server is ourselves */
	VGM_SMTP_FAILURE_LOST,	      /* vgm_smtp_client_lost */
};

/* What a server said to one recipient, or to all that are left. */
struct vgm_smtp_result {
	uint16_t code; /* 0: nothing; the connection ended before */
	char enhanced[VGM_SMTP_ENHANCED_BYTES];
	struct vgm_buf text; /* escaped; see vgm_smtp_reply_text */
};

struct vgm_smtp_client_options {
	const char *hostname;  /* for EHLO; copied */
	uint8_t tls_need;      /* enum vgm_tls_need */
	bool tls_never;	       /* not even when offered (a handshake failed before) */
	bool refuse_ourselves; /* a server that calls itself hostname is ourselves */
};

/* What to send; borrowed until DONE or FAILED. Extensions that the server does
 * not have are left out; whether the message may go without them is the
 * caller's question, before. */
struct vgm_smtp_mail {
	struct vgm_slice sender; /* empty: null reverse-path */
	uint64_t size;
	bool needs_8bit, needs_utf8;
	uint8_t ret; /* as in DELIVER: 1 FULL, 2 HDRS */
	struct vgm_slice envid;
	const struct vgm_recipient *recipients;
	size_t count; /* at least 1 */
};

/* life cycle */
struct vgm_smtp_client *vgm_smtp_client_new(const struct vgm_smtp_client_options *);
void vgm_smtp_client_free(struct vgm_smtp_client **);

/* Reads from *in, which moves on, until something happens. Call again with the
 * rest while the answer is not WAIT or FAILED. */
enum vgm_smtp_client_event vgm_smtp_client_feed(struct vgm_smtp_client *, struct vgm_slice *in);

/* The handshake is done; input from before it has been thrown away. */
void vgm_smtp_client_secured(struct vgm_smtp_client *);
/* In READY only. VGM_E_INVALID: an address that cannot stand in a command. */
int vgm_smtp_client_begin(
    struct vgm_smtp_client *, const struct vgm_smtp_mail *, struct vgm_err *) VGM_MUST_USE;
/* The last byte of the dot has been given to the kernel. */
void vgm_smtp_client_body_sent(struct vgm_smtp_client *);
/* The connection ended, or time ran out. Recipients without a reply keep code 0. */
void vgm_smtp_client_lost(struct vgm_smtp_client *);
void vgm_smtp_client_quit(struct vgm_smtp_client *);

/* what to send */
struct vgm_buf *vgm_smtp_client_out(struct vgm_smtp_client *);

/* read */
unsigned vgm_smtp_client_caps(const struct vgm_smtp_client *);	   /* enum vgm_peer_caps */
uint64_t vgm_smtp_client_size_max(const struct vgm_smtp_client *); /* 0: not said */
bool vgm_smtp_client_is_ready(const struct vgm_smtp_client *);
bool vgm_smtp_client_awaits_final(const struct vgm_smtp_client *); /* the dot was sent */
enum vgm_smtp_client_failure vgm_smtp_client_failure(const struct vgm_smtp_client *);
const char *vgm_smtp_client_why(
    const struct vgm_smtp_client *); /* for PROTOCOL; English, for logs */
/* Of recipient i of the mail in hand, or of the last one. */
const struct vgm_smtp_result *vgm_smtp_client_result(const struct vgm_smtp_client *, size_t i);
/* The last reply that concerned all: to the dot, or one that ended the connection. */
/* Complete replies so far: what tells progress from a trickle. */
uint64_t vgm_smtp_client_replies(const struct vgm_smtp_client *);
const struct vgm_smtp_result *vgm_smtp_client_final(const struct vgm_smtp_client *);
/* The queue id that the server gave; empty when none. */
struct vgm_slice vgm_smtp_client_reference(const struct vgm_smtp_client *);

#endif
