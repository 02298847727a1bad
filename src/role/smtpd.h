/* SPDX-License-Identifier: EUPL-1.2
 * role/smtpd.h — what the files of smtpd share:
 *   smtpd.c          the role: listeners, time, start and stop
 *   smtpd_session.c  one connection's bytes: socket, TLS, PROXY header, output
 *   smtpd_body.c     a message's body: memory, the way to the filter, its answer
 *   smtpd_rules.c    who may send to whom, at each of the three doors
 *   smtpd_login.c    passwords
 *   smtpd_clients.c  counts for each client */
#ifndef VGM_ROLE_SMTPD_H
#define VGM_ROLE_SMTPD_H

#include "directory/directory.h"
#include "log/log.h"
#include "net/addr.h"
#include "net/stream.h"
#include "role/role.h"
#include "role/smtpd_clients.h"
#include "smtp/server/session.h"

#define VGM_SMTPD_INPUT_BYTES 65536 /* one buffer for all sessions: they are read in turn */
#define VGM_SMTPD_SLOTS 20000       /* = the ceiling of smtp.max_clients */
#define VGM_SMTPD_STRUCK 256

enum vgm_smtpd_phase {
	VGM_SMTPD_PROXY,     /* the proxy's header comes first */
	VGM_SMTPD_HANDSHAKE, /* TLS */
	VGM_SMTPD_TALK,
	VGM_SMTPD_LINGER,    /* the last reply is sent; the client may still read it */
};

struct vgm_smtpd_session {
	struct vgm_smtpd *door;
	struct vgm_smtpd_session *next, *previous;
	struct vgm_stream stream;
	struct vgm_io *io;
	struct vgm_smtp_session *smtp;
	struct vgm_smtpd_client *client; /* NULL: not counted */
	struct vgm_addr address;         /* of the client, behind a proxy too */
	enum vgm_smtpd_phase phase;
	bool tls_first;                  /* TLS from the first byte */
	bool may_relay;                  /* submit: by address or certificate */
	bool paused;                     /* not read: no memory for bodies */
	bool no_memory;                  /* paused too long: what comes of the body is dropped */
	uint64_t heard_ms;               /* last byte from the client */
	uint64_t spoke_ms;               /* last reply to it, or the start of a phase */
	uint64_t body_from_ms;           /* when the body began, pauses not counted */
	uint64_t body_heard;             /* bytes of it, kept or not */
	uint64_t paused_ms;
	int body_fd;                     /* memfd, or -1 */
	uint64_t body_bytes;
	uint64_t admit_id;               /* 0 = nothing is with the filter */
	uint64_t admit_until_ms;
	size_t slot;
	struct vgm_smtpd_attempt *attempt; /* a login that waits its turn */
	char reference[24];
};

/* What master has said about bodies and networks that kill filters. */
struct vgm_smtpd_struck {
	uint8_t body_sha256[32];
	uint64_t body_size;
	uint8_t network[16];
	bool is_body;
	uint64_t until_ms;
};

struct vgm_smtpd_networks {
	struct vgm_network *network;
	size_t count;
};

/* A copier or lab machine. */
struct vgm_smtpd_machine {
	struct vgm_network network;
	const struct vgm_conf_device *conf;
};

/* The whole of one smtpd. */
struct vgm_smtpd {
	struct vgm_role_run *run;
	struct vgm_smtp_settings settings;
	struct vgm_smtpd_session *sessions; /* all, newest first */
	size_t sessions_count;
	struct vgm_smtpd_session *slots[VGM_SMTPD_SLOTS];
	size_t slots_top;                   /* slots from here on were never used */
	size_t free_slots[VGM_SMTPD_SLOTS], free_count;
	struct vgm_smtpd_clients *clients;
	struct vgm_smtpd_listener {
		struct vgm_smtpd *door;
		struct vgm_role_listener *socket;
		struct vgm_io *io;
	} listeners[VGM_ROLE_LISTENERS_MAX];
	struct vgm_timer *tick, *login_turn;
	uint8_t *input;
	uint64_t body_bytes;                /* of all sessions */
	uint64_t ledger_room;               /* bytes that mail may still take */
	size_t paused_count;
	uint64_t admits;                    /* serial of the last */
	size_t admits_waiting;              /* with filters now */
	char *postmaster;
	struct vgm_directory *directory;    /* NULL: every address of the domains exists */
	struct vgm_smtpd_networks proxies, trusted_hops, relays;
	struct vgm_smtpd_machine *machines;
	size_t machines_count;
	struct vgm_tls *tls;                /* NULL: no certificate yet */
	int keyd_fd;                        /* for signatures; -1 = away */
	struct vgm_smtpd_attempt *attempts, **attempts_end;
	struct vgm_smtpd_struck struck[VGM_SMTPD_STRUCK];
	size_t struck_count;
	uint32_t reference_base, references;
	uint64_t stop_until_ms;
	uint64_t ticks;
	bool listening_paused;              /* no descriptor or slot was left */
};

/* ---- smtpd.c ---- */
void vgm_smtpd_count_changed(struct vgm_smtpd *);  /* stress or not; done or not */
bool vgm_smtpd_in_stress(const struct vgm_smtpd *);
void vgm_smtpd_resume_paused(struct vgm_smtpd *);

/* ---- smtpd_session.c ---- */
/* Takes fd over. */
void vgm_smtpd_session_open(
    struct vgm_smtpd *, int fd, const struct vgm_addr *from, bool tls_first);
void vgm_smtpd_session_close(struct vgm_smtpd_session *);
/* After something was said to the session from outside its reading: sends the
 * output and goes where the protocol wants. May free it. */
void vgm_smtpd_session_serve(struct vgm_smtpd_session *);
/* Time: cuts what is too slow. May free it. */
void vgm_smtpd_session_tick(struct vgm_smtpd_session *, uint64_t now_ms);

/* ---- smtpd_body.c ---- */
struct vgm_smtp_answer vgm_smtpd_body_begin(void *session);
int vgm_smtpd_body_add(void *session, const struct vgm_slice *pieces, size_t count);
void vgm_smtpd_body_drop(void *session);
void vgm_smtpd_message(void *session, const struct vgm_smtp_transaction *);
void vgm_smtpd_admitted(struct vgm_smtpd *, const struct vgm_msg_admitted *);
void vgm_smtpd_filter_died(struct vgm_smtpd *, const struct vgm_msg_filter_died *);
/* The pool went away: nothing that was with it will be answered. */
void vgm_smtpd_pool_gone(struct vgm_smtpd *);
/* 451 when the filter's time is over. */
void vgm_smtpd_admit_late(struct vgm_smtpd_session *);
void vgm_smtpd_struck(struct vgm_smtpd *, const struct vgm_msg_struck *);
bool vgm_smtpd_memory_is_full(const struct vgm_smtpd *);

/* ---- smtpd_rules.c ---- */
/* Takes the configuration over: networks, machines, settings. */
void vgm_smtpd_rules_load(struct vgm_smtpd *);
bool vgm_smtpd_networks_have(const struct vgm_smtpd_networks *, const uint8_t ip[16]);
/* What speaks against a client before its first word. */
struct vgm_smtp_answer vgm_smtpd_rule_connect(struct vgm_smtpd_session *);
struct vgm_smtp_answer vgm_smtpd_rule_mail(void *session, struct vgm_slice sender);
struct vgm_smtp_answer vgm_smtpd_rule_recipient(void *session, struct vgm_slice mailbox);
/* A certificate with this fingerprint may submit. */
bool vgm_smtpd_rule_certificate(const struct vgm_smtpd *, const uint8_t sha256[32]);
/* The machine at this address, or NULL. */
struct vgm_smtpd_machine *vgm_smtpd_machine_at(struct vgm_smtpd *, const uint8_t ip[16]);

/* ---- smtpd_login.c ---- */
void vgm_smtpd_authenticate(void *session, struct vgm_slice login, struct vgm_slice password);
/* A session that ends takes its attempt with it. */
void vgm_smtpd_attempt_drop(struct vgm_smtpd_session *);
/* The next attempt, if any; hashing takes long, so only one at a time. */
void vgm_smtpd_login_turn(void *door);

#endif
