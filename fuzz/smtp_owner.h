/* SPDX-License-Identifier: EUPL-1.2
 * An owner of SMTP sessions for fuzz targets: accepts all, counts bodies, and
 * stops at anything that should never reach it. */
#ifndef VGM_FUZZ_SMTP_OWNER_H
#define VGM_FUZZ_SMTP_OWNER_H

#include "smtp/scan.h"
#include "smtp/server/session.h"

struct owner {
	struct vgm_smtp_session *session;
	uint64_t bytes;
	int bodies; /* begun and not ended */
};

static struct vgm_smtp_answer owner_judge(void *o, struct vgm_slice mailbox)
{
	(void)o;
	VGM_BUG_ON(memchr(mailbox.data ? mailbox.data : (const uint8_t *)"", '\n', mailbox.len));
	return (struct vgm_smtp_answer){.code = mailbox.len && mailbox.data[0] == 'x' ? 550 : 0,
	    .enhanced = "5.1.1",
	    .why = VGM_WORDS_smtp_unknown_user};
}

static struct vgm_smtp_answer owner_begin(void *context)
{
	struct owner *o = context;
	o->bodies++;
	o->bytes = 0;
	return (struct vgm_smtp_answer){0};
}

static int owner_body(void *context, const struct vgm_slice *pieces, size_t count)
{
	struct owner *o = context;
	for (size_t i = 0; i < count; i++)
		o->bytes += pieces[i].len;
	return 0;
}

static void owner_drop(void *context)
{
	struct owner *o = context;
	o->bodies--;
}

static void owner_message(void *context, const struct vgm_smtp_transaction *t)
{
	struct owner *o = context;
	o->bodies--;
	VGM_BUG_ON(t->recipients_count == 0 || t->size != o->bytes || t->size > 5000);
	vgm_smtp_session_answer(o->session, 250, "2.0.0", VGM_SLICE_LIT("taken"));
}

static void owner_authenticate(void *context, struct vgm_slice login, struct vgm_slice password)
{
	struct owner *o = context;
	bool same = vgm_slice_eq(login, password);
	vgm_smtp_session_authenticated(o->session,
	    (struct vgm_smtp_answer){same ? 0 : 535, "5.7.8", VGM_WORDS_smtp_wrong_login});
}

static void owner_refused(void *o, unsigned code, enum vgm_words_id why, struct vgm_slice about)
{
	(void)o, (void)about;
	VGM_BUG_ON(code < 400 || code > 599 || why >= VGM_WORDS_COUNT);
}

static const struct vgm_smtp_events owner_events = {owner_judge, owner_judge, owner_begin,
    owner_body, owner_drop, owner_message, owner_authenticate, owner_refused};

static struct vgm_smtp_settings owner_door(unsigned bits)
{
	return (struct vgm_smtp_settings){.hostname = "mx",
	    .phone = "1",
	    .postmaster = "p@x",
	    .language = bits & 1 ? VGM_EN : VGM_FR,
	    .max_size = 5000,
	    .max_recipients = 5,
	    .max_errors = 1000,
	    .max_commands = 1000,
	    .offer_tls = bits & 2,
	    .offer_auth = bits & 4,
	    .machines = bits & 8};
}

/* Replies are lines of printable text with a code; returns how many are final. */
static inline size_t owner_replies(struct owner *o)
{
	struct vgm_buf *out = vgm_smtp_session_output(o->session);
	struct vgm_slice rest = vgm_buf_slice(out);
	size_t final = 0;
	while (rest.len) {
		size_t lf = vgm_slice_find(rest, '\n');
		VGM_BUG_ON(lf >= rest.len || lf < 4 || lf > 511 || rest.data[lf - 1] != '\r');
		for (size_t i = 0; i + 1 < lf; i++)
			VGM_BUG_ON(rest.data[i] < 32 || rest.data[i] == 127);
		final += rest.data[3] == ' ';
		rest = vgm_slice_from(rest, lf + 1);
	}
	vgm_buf_clear(out);
	return final;
}

#endif
