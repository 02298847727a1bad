/* SPDX-License-Identifier: EUPL-1.2
 * smtp/server/internal.h — what the files of the server library share. The
 * connection (struct vgm_smtp_connection), the transaction (struct transaction)
 * and the reading of lines (struct line_reader) are apart; the state is changed
 * by vgm_smtp_set_state alone, which knows the legal steps. */
#ifndef VGM_SMTP_SERVER_INTERNAL_H
#define VGM_SMTP_SERVER_INTERNAL_H

#include "base/arena.h"
#include "smtp/data.h"
#include "smtp/server/session.h"

#define VGM_SMTP_LINE_MAX 2048        /* the longest command: MAIL, RCPT with all they may carry */
#define VGM_SMTP_LINE_SHORT 512       /* all other commands */
#define VGM_SMTP_LINE_ENDLESS 65536   /* behind this a line is no mistake any more */
#define VGM_SMTP_KEPT_MAX (256u << 10) /* input that waits for an answer */
#define VGM_SMTP_ENVELOPE_MAX 48000   /* of recipients; they travel in one message of 64 KB */
#define VGM_SMTP_LOGIN_MAX 255

enum vgm_smtp_state {
	VGM_SMTP_CONNECTED,    /* nothing said */
	VGM_SMTP_GREETED,      /* 220 sent, no EHLO yet */
	VGM_SMTP_READY,        /* EHLO or HELO heard */
	VGM_SMTP_MAIL,         /* sender known, no recipient */
	VGM_SMTP_RCPT,         /* at least one recipient */
	VGM_SMTP_DATA,         /* the body comes, dots and all */
	VGM_SMTP_CHUNK,        /* a BDAT chunk comes */
	VGM_SMTP_BETWEEN,      /* between two chunks */
	VGM_SMTP_AUTH,         /* the client's next line answers a challenge */
	VGM_SMTP_WAIT_MESSAGE, /* for the owner's verdict */
	VGM_SMTP_WAIT_AUTH,
	VGM_SMTP_WAIT_TLS,
	VGM_SMTP_CLOSING,
	VGM_SMTP_STATES,
};

/* A command line being gathered. */
struct line_reader {
	struct vgm_buf part;  /* of a line that has not ended yet */
	uint64_t length;      /* of that line so far, kept or not */
	uint8_t last;         /* its last byte so far */
	bool skipping;        /* the rest of a line that is already answered */
};

struct transaction {
	struct vgm_smtp_transaction seen; /* what the owner sees */
	struct vgm_arena arena;
	size_t recipients_room;
	size_t envelope_bytes;
	struct vgm_smtp_data data;
	uint64_t raw_bytes;    /* of the body as it came */
	uint64_t chunk_left;   /* BDAT */
	bool last_chunk;
	bool too_big, body_failed, refused_recipient;
	bool body_open;        /* body_begin was called; message or drop is due */
};

struct vgm_smtp_session {
	const struct vgm_smtp_settings *settings;
	const struct vgm_smtp_events *events;
	void *context;
	struct vgm_smtp_connection connection;
	struct transaction *transaction; /* from MAIL on */
	struct line_reader line;
	struct vgm_buf output;
	struct vgm_buf kept;       /* input behind a command that waits */
	struct vgm_buf auth_login; /* LOGIN: the first answer */
	enum vgm_smtp_state state;
	uint64_t announced;        /* SIZE of the MAIL that is being judged; 0 = none */
	uint64_t swallow;          /* bytes of a refused chunk still to come */
	size_t unread;             /* bytes of this feed behind the command at work */
	unsigned errors, commands;
	bool first_command;        /* none was read yet */
	bool working;              /* inside the reading loop */
	bool was_cut;
	bool auth_plain;           /* which answer VGM_SMTP_AUTH awaits */
	char reference[24];
};

/* ---- session.c ---- */
void vgm_smtp_set_state(struct vgm_smtp_session *, enum vgm_smtp_state);

/* ---- line.c ---- */
/* Takes one line from *in if it ends there: true, and *out is its text without
 * CR LF (valid until the next call). Wrong lines are answered here. */
bool vgm_smtp_take_line(
    struct vgm_smtp_session *, struct vgm_slice *in, struct vgm_slice *out);

/* ---- reply.c ---- */
/* "code enhanced text", in the door's language, long texts over several lines. */
void vgm_smtp_say(struct vgm_smtp_session *, unsigned code, const char *enhanced,
    enum vgm_words_id);
/* The same with a value for {address} or {size}, whichever stands there. */
void vgm_smtp_say_about(struct vgm_smtp_session *, struct vgm_smtp_answer, struct vgm_slice about);
/* Text that is ready. */
void vgm_smtp_say_text(
    struct vgm_smtp_session *, unsigned code, const char *enhanced, struct vgm_slice text);
/* A challenge: one line as it stands. */
void vgm_smtp_say_line(struct vgm_smtp_session *, const char *line);
/* One line of the list that answers EHLO: "250-" or, for the last, "250 ". */
void vgm_smtp_say_list(struct vgm_smtp_session *, bool last, const char *fmt, ...)
    VGM_PRINTF(3, 4);
/* A refusal that counts towards max_errors; the session is cut at the limit. */
void vgm_smtp_error(struct vgm_smtp_session *, unsigned code, const char *enhanced,
    enum vgm_words_id, struct vgm_slice about);
/* Last reply, then CLOSING. */
void vgm_smtp_close_with(struct vgm_smtp_session *, unsigned code, const char *enhanced,
    enum vgm_words_id);

/* ---- command.c ---- */
/* Carries out a line in a state that takes commands. */
void vgm_smtp_command(struct vgm_smtp_session *, struct vgm_slice line);

/* ---- param.c: ESMTP parameters, " KEY=VALUE KEY" ---- */
struct vgm_smtp_param {
	struct vgm_slice key, value;
	bool has_value;
};
/* What stands behind "FROM:" or "TO:" and spaces; data is NULL when args begin
 * with something else. */
struct vgm_slice vgm_smtp_behind(struct vgm_slice args, struct vgm_slice keyword);
/* Of a path that was read: enum vgm_machine_faults. */
unsigned vgm_smtp_path_faults(struct vgm_slice rest);
/* 1 = one was read; 0 = none left; VGM_E_INVALID. */
int vgm_smtp_next_param(struct vgm_slice *rest, struct vgm_smtp_param *out) VGM_MUST_USE;

/* ---- transaction.c ---- */
void vgm_smtp_transaction_open(struct vgm_smtp_session *);
/* Drops the transaction, whatever its stage; a body that was begun is dropped. */
void vgm_smtp_transaction_drop(struct vgm_smtp_session *);
/* A refusal that ends it: the reply, then READY. */
void vgm_smtp_transaction_refuse(
    struct vgm_smtp_session *, struct vgm_smtp_answer, struct vgm_slice about);
/* A copy that lives as long as the transaction. */
struct vgm_slice vgm_smtp_transaction_keep(struct transaction *, struct vgm_slice);
/* Before the body's first byte: true = go on; else the refusal has been sent. */
bool vgm_smtp_body_begin(struct vgm_smtp_session *, bool chunked);
/* Takes body bytes; returns how many. */
size_t vgm_smtp_body_feed(struct vgm_smtp_session *, struct vgm_slice in);
/* Chunked: the last byte was fed. */
void vgm_smtp_body_finish(struct vgm_smtp_session *);
/* What speaks against the body so far; code 0 = nothing. */
struct vgm_smtp_answer vgm_smtp_body_fault(const struct vgm_smtp_session *);
/* The body is whole: hands it to the owner, or refuses it. */
void vgm_smtp_body_end(struct vgm_smtp_session *);

/* ---- one file for each verb ---- */
typedef void vgm_smtp_verb(struct vgm_smtp_session *, struct vgm_slice args);
vgm_smtp_verb vgm_smtp_helo, vgm_smtp_ehlo, vgm_smtp_mail, vgm_smtp_rcpt, vgm_smtp_data,
    vgm_smtp_bdat, vgm_smtp_rset, vgm_smtp_noop, vgm_smtp_vrfy, vgm_smtp_expn, vgm_smtp_help,
    vgm_smtp_quit, vgm_smtp_starttls, vgm_smtp_auth;
/* Takes the name of a HELO or EHLO; false: refused. */
bool vgm_smtp_greeted_as(struct vgm_smtp_session *, struct vgm_slice args);
/* The client's line behind a 334. */
void vgm_smtp_auth_line(struct vgm_smtp_session *, struct vgm_slice line);
/* A piece of a BDAT chunk; returns how many bytes it took. */
size_t vgm_smtp_bdat_feed(struct vgm_smtp_session *, struct vgm_slice in);

#endif
