/* SPDX-License-Identifier: EUPL-1.2
 * smtp/client/client_parts.h — inside of the machine, shared by client.c (what
 * replies do) and client_say.c (what is said). Nobody else includes it. */
#ifndef VGM_SMTP_CLIENT_PARTS_H
#define VGM_SMTP_CLIENT_PARTS_H

#include "smtp/client/client.h"

/* More than any mail can need whose recipients came in one datagram. */
#define VGM_SMTP_CLIENT_OUT_MAX 1048576

/* Which reply is due. */
enum vgm_smtp_client_state {
	CLIENT_GREETING = 0,
	CLIENT_EHLO,
	CLIENT_HELO,
	CLIENT_STARTTLS,
	CLIENT_HANDSHAKE, /* none: the caller is at it */
	CLIENT_READY,	  /* none */
	CLIENT_MAIL,
	CLIENT_RCPT, /* of recipient `next` */
	CLIENT_DATA,
	CLIENT_BODY, /* none before the caller has sent it */
	CLIENT_FINAL,
	CLIENT_RSET,
	CLIENT_OVER,
};

/* Beside enum vgm_peer_caps, which others see. */
enum { CAP_PIPELINING = 256, CAP_STARTTLS = 512, CAP_SIZE = 1024 };

struct vgm_smtp_client {
	struct vgm_smtp_client_options options;
	char *hostname;
	enum vgm_smtp_client_state state;
	enum vgm_smtp_client_failure failure;
	struct vgm_err why;
	struct vgm_smtp_reply reply;
	uint64_t replies;
	struct vgm_buf out;
	bool secured;
	bool announce_ready; /* READY is the next event */

	unsigned caps;
	uint64_t size_max;

	/* the transaction */
	struct vgm_smtp_mail mail;
	bool in_hand; /* begun, and not every recipient has its result */
	bool mail_refused;
	size_t next, accepted;
	struct vgm_smtp_result *results; /* results_count >= mail.count */
	size_t results_count;
	struct vgm_smtp_result final;
	struct vgm_buf reference;
};

void vgm_smtp_client_say(struct vgm_smtp_client *, const char *text);
void vgm_smtp_client_say_hello(struct vgm_smtp_client *, const char *verb);
void vgm_smtp_client_say_mail(struct vgm_smtp_client *);
void vgm_smtp_client_say_rcpt(struct vgm_smtp_client *, size_t i);
/* No fact of the mail can end a line or a path. VGM_E_INVALID. */
int vgm_smtp_client_check(const struct vgm_smtp_mail *, struct vgm_err *) VGM_MUST_USE;

#endif
