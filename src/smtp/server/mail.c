/* SPDX-License-Identifier: EUPL-1.2
 * smtp/server/mail.c — MAIL (RFC 5321 section 4.1.1.2) with SIZE, BODY,
 * SMTPUTF8, RET, ENVID and AUTH. */
#include "base/text.h"
#include "smtp/address.h"
#include "smtp/server/internal.h"

#define ENVID_MAX 100

/* What the parameters said; each may stand once. */
struct mail {
	struct vgm_smtp_transaction seen;
	struct vgm_buf envid;
	unsigned given; /* bit for each parameter already read */
};

typedef struct vgm_smtp_answer mail_param(
    struct vgm_smtp_session *, struct mail *, const struct vgm_smtp_param *);

static const struct vgm_smtp_answer fine = {0};
static const struct vgm_smtp_answer bad_value = {501, "5.5.4", VGM_WORDS_smtp_bad_parameter};

static struct vgm_smtp_answer param_size(
    struct vgm_smtp_session *s, struct mail *m, const struct vgm_smtp_param *p)
{
	for (size_t i = 0; i < p->value.len; i++)
		if (!vgm_is_digit(p->value.data[i]))
			return bad_value;
	if (!p->has_value || p->value.len > 20)
		return bad_value;
	if (!vgm_slice_to_u64(p->value, s->settings->max_size, &m->seen.declared_size))
		return (struct vgm_smtp_answer){552, "5.3.4", VGM_WORDS_smtp_too_big};
	return fine;
}

static struct vgm_smtp_answer param_body(
    struct vgm_smtp_session *s, struct mail *m, const struct vgm_smtp_param *p)
{
	(void)s;
	if (vgm_slice_eq_nocase(p->value, VGM_SLICE_LIT("8BITMIME")))
		m->seen.flags |= VGM_ADMIT_8BIT;
	else if (!vgm_slice_eq_nocase(p->value, VGM_SLICE_LIT("7BIT")))
		return bad_value;
	return fine;
}

static struct vgm_smtp_answer param_utf8(
    struct vgm_smtp_session *s, struct mail *m, const struct vgm_smtp_param *p)
{
	(void)s;
	if (p->has_value)
		return bad_value;
	m->seen.flags |= VGM_ADMIT_UTF8;
	return fine;
}

static struct vgm_smtp_answer param_ret(
    struct vgm_smtp_session *s, struct mail *m, const struct vgm_smtp_param *p)
{
	(void)s;
	if (vgm_slice_eq_nocase(p->value, VGM_SLICE_LIT("FULL")))
		m->seen.ret = 1;
	else if (vgm_slice_eq_nocase(p->value, VGM_SLICE_LIT("HDRS")))
		m->seen.ret = 2;
	else
		return bad_value;
	return fine;
}

static struct vgm_smtp_answer param_envid(
    struct vgm_smtp_session *s, struct mail *m, const struct vgm_smtp_param *p)
{
	(void)s;
	if (!p->has_value || vgm_smtp_xtext_decode(p->value, &m->envid, NULL) < 0)
		return bad_value;
	return fine;
}

/* Who first sent it (RFC 4954 section 5) is checked and not believed. */
static struct vgm_smtp_answer param_auth(
    struct vgm_smtp_session *s, struct mail *m, const struct vgm_smtp_param *p)
{
	(void)m;
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf who = VGM_BUF_INIT(VGM_SMTP_MAILBOX_MAX);
	if (!s->settings->offer_auth)
		return (struct vgm_smtp_answer){555, "5.5.4", VGM_WORDS_smtp_unknown_parameter};
	if (!p->has_value || vgm_smtp_xtext_decode(p->value, &who, NULL) < 0)
		return bad_value;
	return fine;
}

static const struct {
	const char *key;
	mail_param *read;
} params[] = {
    {"SIZE", param_size},
    {"BODY", param_body},
    {"SMTPUTF8", param_utf8},
    {"RET", param_ret},
    {"ENVID", param_envid},
    {"AUTH", param_auth},
};

static struct vgm_smtp_answer read_param(
    struct vgm_smtp_session *s, struct mail *m, const struct vgm_smtp_param *p)
{
	for (size_t i = 0; i < VGM_ARRAY_LEN(params); i++) {
		if (!vgm_slice_eq_nocase(p->key, vgm_slice_str(params[i].key)))
			continue;
		if (m->given & (1u << i))
			return bad_value;
		m->given |= 1u << i;
		return params[i].read(s, m, p);
	}
	return (struct vgm_smtp_answer){555, "5.5.4", VGM_WORDS_smtp_unknown_parameter};
}

static struct vgm_smtp_answer read_args(
    struct vgm_smtp_session *s, struct vgm_slice args, struct mail *m, struct vgm_buf *sender)
{
	struct vgm_smtp_param p;
	unsigned flags = VGM_SMTP_PATH_NULL | VGM_SMTP_PATH_UTF8;
	struct vgm_slice rest = vgm_smtp_behind(args, VGM_SLICE_LIT("FROM:"));
	size_t used;
	int r;
	if (s->settings->machines)
		flags |= VGM_SMTP_PATH_BARE;
	if (!rest.data || vgm_smtp_path_parse(rest, flags, sender, &used, NULL) < 0)
		return (struct vgm_smtp_answer){501, "5.1.7", VGM_WORDS_smtp_bad_sender};
	m->seen.faults |= vgm_smtp_path_faults(rest);
	rest = vgm_slice_from(rest, used);
	while ((r = vgm_smtp_next_param(&rest, &p)) > 0) {
		struct vgm_smtp_answer no = read_param(s, m, &p);
		if (no.code)
			return no;
	}
	if (r < 0)
		return bad_value;
	if (!(m->seen.flags & VGM_ADMIT_UTF8) && !vgm_is_ascii(args))
		return (struct vgm_smtp_answer){553, "5.6.7", VGM_WORDS_smtp_needs_utf8};
	s->announced = m->seen.declared_size;
	return s->events->mail(s->context, vgm_buf_slice(sender));
}

void vgm_smtp_mail(struct vgm_smtp_session *s, struct vgm_slice args)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf sender = VGM_BUF_INIT(1024);
	struct mail m = {.envid = VGM_BUF_INIT(ENVID_MAX)};
	struct vgm_smtp_answer no = read_args(s, args, &m, &sender);
	if (no.code) {
		vgm_smtp_error(s, no.code, no.enhanced, no.why, args);
	} else {
		vgm_smtp_transaction_open(s);
		struct transaction *t = s->transaction;
		m.seen.flags |= t->seen.flags;
		t->seen = m.seen;
		t->seen.sender = vgm_smtp_transaction_keep(t, vgm_buf_slice(&sender));
		t->seen.envid = vgm_smtp_transaction_keep(t, vgm_buf_slice(&m.envid));
		vgm_smtp_set_state(s, VGM_SMTP_MAIL);
		vgm_smtp_say(s, 250, "2.1.0", VGM_WORDS_smtp_sender_ok);
	}
	vgm_buf_release(&m.envid);
}
