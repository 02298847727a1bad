/* SPDX-License-Identifier: EUPL-1.2
 * smtp/server/session.h — one SMTP session from the server's side, as pure
 * protocol: bytes go in, reply bytes and events come out. No socket, no clock,
 * no process; the owner moves bytes, keeps time and takes decisions.
 *
 * RFC 5321, 1870 SIZE, 2034 enhanced codes, 2920 PIPELINING, 3030 CHUNKING (no
 * BINARYMIME), 3207 STARTTLS, 3461 DSN, 4954 AUTH (PLAIN, LOGIN), 6152 8BITMIME,
 * 6531 SMTPUTF8, 9422 LIMITS.
 *
 * Calling sequence: new → greet → [feed, send what is in output]* → free.
 * vgm_smtp_session_wants says what the session needs next:
 *   INPUT   bytes from the client
 *   ANSWER  the owner's answer to a message or a login; input given meanwhile
 *           is kept, so that pipelined commands wait in their order
 *   TLS     send all output, do the handshake, then vgm_smtp_session_tls_started
 *   CLOSE   send all output, then close
 *
 * Commands end with CR LF; a command with a bare CR or LF, a NUL or a control
 * byte is answered 500 as a whole, and nothing in it is ever carried out. */
#ifndef VGM_SMTP_SERVER_SESSION_H
#define VGM_SMTP_SERVER_SESSION_H

#include "base/buf.h"
#include "ipc/message.h"
#include "words/words.h"

/* Of one door; borrowed by its sessions, and may change under them. */
struct vgm_smtp_settings {
	const char *hostname;
	const char *phone;       /* "" = none; stands behind each refusal */
	const char *postmaster;  /* whom <postmaster> without a domain reaches */
	enum vgm_lang language;
	uint64_t max_size;       /* bytes of a message */
	size_t max_recipients;
	unsigned max_errors;     /* wrong commands until 421 */
	unsigned max_commands;   /* commands without a message in between until 421 */
	bool offer_tls;          /* STARTTLS */
	bool offer_auth;         /* AUTH, once under TLS */
	bool machines;           /* a door for copiers: paths without <> and bare line ends pass */
};

/* A refusal in words; code 0 = no objection. */
struct vgm_smtp_answer {
	unsigned code;
	const char *enhanced;    /* "5.1.1" */
	enum vgm_words_id why;   /* places {address}, {max} may stand in it */
};

/* What is known of the client so far. */
struct vgm_smtp_connection {
	struct vgm_buf helo;  /* as given; printable ASCII */
	struct vgm_buf tls;   /* facts, empty in clear */
	struct vgm_buf login; /* who signed in, or empty */
	bool esmtp;
};

/* One message on its way in. */
struct vgm_smtp_transaction {
	struct vgm_slice sender;            /* empty = null reverse-path */
	struct vgm_slice envid;
	uint8_t ret;                        /* as in struct vgm_msg_admit */
	unsigned flags;                     /* enum vgm_admit_flags: 8BIT, UTF8, REPAIRED, ESMTP */
	struct vgm_recipient *recipients;
	size_t recipients_count;
	uint64_t declared_size;             /* 0 = not said */
	uint64_t size;                      /* of the body, when it is whole */
	uint64_t bare_cr, bare_lf;          /* repaired line ends */
	unsigned faults;                    /* enum vgm_machine_faults */
};

/* What the owner decides and takes; context is the one given to new. Functions
 * may call answer or authenticated at once. */
struct vgm_smtp_events {
	/* Envelope. The mailbox is in normal form (smtp/address.h). */
	struct vgm_smtp_answer (*mail)(void *context, struct vgm_slice sender);
	struct vgm_smtp_answer (*recipient)(void *context, struct vgm_slice mailbox);
	/* Body: begin, [pieces]*, then message — or drop at any time. Pieces are
	 * valid during the call. A failure of body (negative) ends in 452. */
	struct vgm_smtp_answer (*body_begin)(void *context);
	int (*body)(void *context, const struct vgm_slice *pieces, size_t count);
	void (*body_drop)(void *context);
	/* The whole message: vgm_smtp_session_answer must follow. */
	void (*message)(void *context, const struct vgm_smtp_transaction *);
	/* vgm_smtp_session_authenticated must follow. Borrowed for the call. */
	void (*authenticate)(void *context, struct vgm_slice login, struct vgm_slice password);
	/* For the log: a reply of 4xx or 5xx, and the address or command that it is
	 * about (raw bytes). */
	void (*refused)(
	    void *context, unsigned code, enum vgm_words_id why, struct vgm_slice about);
};

enum vgm_smtp_want {
	VGM_SMTP_WANT_INPUT,
	VGM_SMTP_WANT_ANSWER,
	VGM_SMTP_WANT_TLS,
	VGM_SMTP_WANT_CLOSE,
};

struct vgm_smtp_session;

/* ---- life cycle ---- */

/* reference: what a refusal names so that the site finds it in its log; copied,
 * at most 23 bytes. */
struct vgm_smtp_session *vgm_smtp_session_new(const struct vgm_smtp_settings *,
    const struct vgm_smtp_events *, void *context, const char *reference);
void vgm_smtp_session_free(struct vgm_smtp_session **);

/* ---- write ---- */

/* 220; or, with a code, that refusal and CLOSE. */
void vgm_smtp_session_greet(struct vgm_smtp_session *, struct vgm_smtp_answer);
/* Bytes from the client, any split. Ignored after CLOSE. */
void vgm_smtp_session_feed(struct vgm_smtp_session *, struct vgm_slice);
/* The verdict on the message; 0 < code. Text without CR, LF. Then goes on with
 * kept input. */
void vgm_smtp_session_answer(
    struct vgm_smtp_session *, unsigned code, const char *enhanced, struct vgm_slice text);
/* The same in words of the catalogue. */
void vgm_smtp_session_answer_words(struct vgm_smtp_session *, struct vgm_smtp_answer);
/* The verdict on a login; code 0 = welcome. */
void vgm_smtp_session_authenticated(struct vgm_smtp_session *, struct vgm_smtp_answer);
/* The handshake is done; all that was said before is forgotten (RFC 3207). */
void vgm_smtp_session_tls_started(struct vgm_smtp_session *, struct vgm_slice facts);
/* Ends the session from our side with a last reply (time-out, shutdown). */
void vgm_smtp_session_cut(struct vgm_smtp_session *, struct vgm_smtp_answer);

/* ---- read ---- */

enum vgm_smtp_want vgm_smtp_session_wants(const struct vgm_smtp_session *);
/* What must be sent; the owner consumes it. */
struct vgm_buf *vgm_smtp_session_output(struct vgm_smtp_session *);
/* SIZE of the MAIL command that the owner is asked about; 0 = not said. */
uint64_t vgm_smtp_session_announced(const struct vgm_smtp_session *);
const struct vgm_smtp_connection *vgm_smtp_session_connection(const struct vgm_smtp_session *);
/* Within DATA or a BDAT chunk: the owner watches the rate. */
bool vgm_smtp_session_in_body(const struct vgm_smtp_session *);
/* CLOSE came from our side, with a refusal that the client should get to read. */
bool vgm_smtp_session_was_cut(const struct vgm_smtp_session *);
/* Nothing is half done: a good moment for a shutdown. */
bool vgm_smtp_session_is_idle(const struct vgm_smtp_session *);

#endif
