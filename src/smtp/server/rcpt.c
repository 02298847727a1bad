/* SPDX-License-Identifier: EUPL-1.2
 * smtp/server/rcpt.c — RCPT (RFC 5321 section 4.1.1.3) with NOTIFY and ORCPT. */
#include "base/text.h"
#include "smtp/address.h"
#include "smtp/server/internal.h"

#define ORCPT_MAX 500
#define ENVELOPE_OVERHEAD 32 /* of a recipient in an IPC message, besides its texts */

static const struct vgm_smtp_answer fine = {0};
static const struct vgm_smtp_answer bad_value = {501, "5.5.4", VGM_WORDS_smtp_bad_parameter};
static const struct vgm_smtp_answer unknown = {555, "5.5.4", VGM_WORDS_smtp_unknown_parameter};

static struct vgm_smtp_answer param_notify(struct vgm_slice list, uint8_t *notify)
{
	static const struct {
		const char *word;
		uint8_t bit;
	} words[] = {{"NEVER", VGM_NOTIFY_NEVER}, {"SUCCESS", VGM_NOTIFY_SUCCESS},
	    {"FAILURE", VGM_NOTIFY_FAILURE}, {"DELAY", VGM_NOTIFY_DELAY}};
	if (*notify)
		return bad_value;
	do {
		size_t comma = vgm_slice_find(list, ','), i = 0;
		struct vgm_slice word = vgm_slice_sub(list, 0, comma);
		while (i < VGM_ARRAY_LEN(words) &&
		       !vgm_slice_eq_nocase(word, vgm_slice_str(words[i].word)))
			i++;
		/* "a," ends with an empty word */
		if (i == VGM_ARRAY_LEN(words) || comma + 1 == list.len)
			return bad_value;
		*notify |= words[i].bit;
		list = vgm_slice_from(list, comma + 1);
	} while (list.len);
	bool never = *notify & VGM_NOTIFY_NEVER;
	return never && *notify != VGM_NOTIFY_NEVER ? bad_value : fine;
}

/* "rfc822;xtext" */
static struct vgm_smtp_answer param_orcpt(struct vgm_slice value, struct vgm_buf *orcpt)
{
	size_t semicolon = vgm_slice_find(value, ';');
	if (orcpt->len || semicolon == 0 || semicolon + 1 >= value.len)
		return bad_value;
	for (size_t i = 0; i < semicolon; i++)
		if (!vgm_is_alnum(value.data[i]) && value.data[i] != '-')
			return bad_value;
	if (vgm_buf_add_slice(orcpt, vgm_slice_sub(value, 0, semicolon + 1)) < 0 ||
	    vgm_smtp_xtext_decode(vgm_slice_from(value, semicolon + 1), orcpt, NULL) < 0)
		return bad_value;
	return fine;
}

static struct vgm_smtp_answer read_params(
    struct vgm_slice rest, uint8_t *notify, struct vgm_buf *orcpt)
{
	struct vgm_smtp_answer no = fine;
	struct vgm_smtp_param p;
	int r;
	while (no.code == 0 && (r = vgm_smtp_next_param(&rest, &p)) != 0) {
		if (r < 0)
			no = bad_value;
		else if (vgm_slice_eq_nocase(p.key, VGM_SLICE_LIT("NOTIFY")))
			no = param_notify(p.value, notify);
		else if (vgm_slice_eq_nocase(p.key, VGM_SLICE_LIT("ORCPT")))
			no = param_orcpt(p.value, orcpt);
		else
			no = unknown;
	}
	return no;
}

static bool is_listed(const struct transaction *t, struct vgm_slice mailbox)
{
	for (size_t i = 0; i < t->seen.recipients_count; i++)
		if (vgm_slice_eq(t->seen.recipients[i].address, mailbox))
			return true;
	return false;
}

static void add(
    struct transaction *t, struct vgm_slice mailbox, struct vgm_slice orcpt, uint8_t notify)
{
	struct vgm_smtp_transaction *seen = &t->seen;
	if (seen->recipients_count == t->recipients_room) {
		t->recipients_room = t->recipients_room ? t->recipients_room * 2 : 4;
		seen->recipients =
		    vgm_realloc(seen->recipients, t->recipients_room * sizeof *seen->recipients);
	}
	t->envelope_bytes += mailbox.len + orcpt.len + ENVELOPE_OVERHEAD;
	seen->recipients[seen->recipients_count++] =
	    (struct vgm_recipient){.address = vgm_smtp_transaction_keep(t, mailbox),
		.orcpt = vgm_smtp_transaction_keep(t, orcpt),
		.notify = notify};
}

static struct vgm_smtp_answer read_path(
    struct vgm_smtp_session *s, struct vgm_slice *rest, struct vgm_buf *mailbox)
{
	unsigned flags = VGM_SMTP_PATH_POSTMASTER;
	struct vgm_err err = {0};
	size_t used;
	if (s->transaction->seen.flags & VGM_ADMIT_UTF8)
		flags |= VGM_SMTP_PATH_UTF8;
	if (s->settings->machines)
		flags |= VGM_SMTP_PATH_BARE;
	if (!rest->data || vgm_smtp_path_parse(*rest, flags, mailbox, &used, &err) < 0) {
		if (err.code == VGM_E_DENIED)
			return (struct vgm_smtp_answer){553, "5.6.7", VGM_WORDS_smtp_needs_utf8};
		return (struct vgm_smtp_answer){501, "5.1.3", VGM_WORDS_smtp_bad_recipient};
	}
	s->transaction->seen.faults |= vgm_smtp_path_faults(*rest);
	*rest = vgm_slice_from(*rest, used);
	if (vgm_smtp_domain_of(vgm_buf_slice(mailbox)).len)
		return fine;
	/* <postmaster>: whom the site has named */
	vgm_buf_clear(mailbox);
	VGM_BUG_ON(vgm_buf_add_str(mailbox, s->settings->postmaster) < 0);
	return fine;
}

static struct vgm_smtp_answer judge(struct vgm_smtp_session *s, struct vgm_slice mailbox)
{
	struct transaction *t = s->transaction;
	bool full = t->seen.recipients_count >= s->settings->max_recipients ||
		    t->envelope_bytes >= VGM_SMTP_ENVELOPE_MAX;
	if (full)
		return (struct vgm_smtp_answer){452, "4.5.3", VGM_WORDS_smtp_too_many_recipients};
	return s->events->recipient(s->context, mailbox);
}

static void refuse(struct vgm_smtp_session *s, struct vgm_smtp_answer no, struct vgm_slice about)
{
	s->transaction->refused_recipient = true;
	/* A list that is too long is no mistake: the rest comes in a next message. */
	if (no.code == 452)
		vgm_smtp_say_about(s, no, about);
	else
		vgm_smtp_error(s, no.code, no.enhanced, no.why, about);
}

void vgm_smtp_rcpt(struct vgm_smtp_session *s, struct vgm_slice args)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf mailbox = VGM_BUF_INIT(1024);
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf orcpt = VGM_BUF_INIT(ORCPT_MAX);
	struct vgm_slice rest = vgm_smtp_behind(args, VGM_SLICE_LIT("TO:"));
	uint8_t notify = 0;
	struct vgm_smtp_answer no = read_path(s, &rest, &mailbox);
	if (no.code == 0)
		no = read_params(rest, &notify, &orcpt);
	bool utf8 = s->transaction->seen.flags & VGM_ADMIT_UTF8;
	if (no.code == 0 && !utf8 && !vgm_is_ascii(args))
		no = (struct vgm_smtp_answer){553, "5.6.7", VGM_WORDS_smtp_needs_utf8};
	if (no.code) {
		refuse(s, no, args);
		return;
	}
	struct vgm_slice address = vgm_buf_slice(&mailbox);
	if (!is_listed(s->transaction, address)) {
		no = judge(s, address);
		if (no.code) {
			refuse(s, no, address);
			return;
		}
		add(s->transaction, address, vgm_buf_slice(&orcpt), notify);
	}
	vgm_smtp_set_state(s, VGM_SMTP_RCPT);
	vgm_smtp_say(s, 250, "2.1.5", VGM_WORDS_smtp_recipient_ok);
}
