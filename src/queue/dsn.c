/* SPDX-License-Identifier: EUPL-1.2
 * queue/dsn.c — the notice as a whole: which one, its header, its three parts.
 * How facts are written safely is dsn_text.c's part. */
#include "queue/dsn_text.h"

#include "base/clock.h"
#include "base/text.h"
#include "words/words.h"

int vgm_dsn_wanted(uint8_t outcome_status, uint8_t notify)
{
	if (notify & VGM_NOTIFY_NEVER)
		return 0;
	switch (outcome_status) {
	case VGM_OUTCOME_FAILED:
	case VGM_OUTCOME_EXPIRED:
		return !notify || notify & VGM_NOTIFY_FAILURE ? VGM_DSN_FAILED : 0;
	case VGM_OUTCOME_DEFERRED:
		return !notify || notify & VGM_NOTIFY_DELAY ? VGM_DSN_DELAYED : 0;
	case VGM_OUTCOME_RELAYED:
		return notify & VGM_NOTIFY_SUCCESS ? VGM_DSN_RELAYED : 0;
	default: /* DELIVERED: the next hop has promised; REMOVED: a person decided */
		return 0;
	}
}

/* Words and defaults of each action. */
static const struct action {
	const char *name;
	const char *status; /* where the outcome has none */
	enum vgm_words_id subject, intro, meaning;
} actions[] = {
    [VGM_DSN_FAILED] = {"failed", "5.0.0", VGM_WORDS_dsn_subject_failed, VGM_WORDS_dsn_intro_failed,
	VGM_WORDS_dsn_meaning_failed},
    [VGM_DSN_DELAYED] = {"delayed", "4.0.0", VGM_WORDS_dsn_subject_delayed,
	VGM_WORDS_dsn_intro_delayed, VGM_WORDS_dsn_meaning_delayed},
    [VGM_DSN_RELAYED] = {"relayed", "2.0.0", VGM_WORDS_dsn_subject_relayed,
	VGM_WORDS_dsn_intro_relayed, VGM_WORDS_dsn_meaning_relayed},
    [VGM_DSN_DELIVERED] = {"delivered", "2.0.0", VGM_WORDS_dsn_subject_delivered,
	VGM_WORDS_dsn_intro_delivered, VGM_WORDS_dsn_meaning_delivered},
};

/* Composing writes many small pieces into one buffer: the first that does not
 * fit is remembered, the rest is skipped. */
#define TRY(w, call)                                                                               \
	do {                                                                                       \
		if ((w)->failed == 0)                                                              \
			(w)->failed = (call);                                                      \
	} while (0)

struct writer {
	const struct vgm_dsn *dsn;
	const struct action *action;
	struct vgm_buf *out;
	int failed;
	char boundary[48];
	const char *postmaster;
};

static void put(struct writer *w, const char *text)
{
	TRY(w, vgm_buf_add_str(w->out, text));
}

/* "Name: value" where the value came from outside. */
static void field(struct writer *w, const char *name, struct vgm_slice value)
{
	put(w, name);
	put(w, ": ");
	TRY(w, vgm_dsn_add_text(w->out, value, VGM_DSN_VALUE_MAX));
	put(w, "\r\n");
}

static void field_date(struct writer *w, const char *name, uint64_t wall_us)
{
	put(w, name);
	put(w, ": ");
	TRY(w, vgm_date_rfc5322(wall_us, w->out));
	put(w, "\r\n");
}

/* ---- header ---- */

static void put_message_id(struct writer *w)
{
	put(w, "Message-ID: <");
	TRY(w, vgm_hex_encode(vgm_slice(w->dsn->id, sizeof(w->dsn->id)), w->out));
	put(w, "@");
	TRY(w, vgm_dsn_add_text(w->out, vgm_slice_str(w->dsn->hostname), 255));
	put(w, ">\r\n");
}

/* A notice belongs to the thread of the message that it is about. */
static void put_thread(struct writer *w)
{
	struct vgm_slice id = vgm_dsn_message_id(w->dsn->original);

	if (id.len == 0)
		return;
	field(w, "In-Reply-To", id);
	field(w, "References", id);
}

static void put_header(struct writer *w)
{
	enum vgm_lang first = w->dsn->language, second = first == VGM_FR ? VGM_EN : VGM_FR;
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf subject = VGM_BUF_INIT(1000);

	put(w, "From: MAILER-DAEMON <");
	TRY(w, vgm_dsn_add_text(w->out, vgm_slice_str(w->postmaster), 320));
	put(w, ">\r\nTo: ");
	TRY(w, vgm_dsn_add_mailbox(w->out, w->dsn->sender));
	put(w, "\r\nSubject: ");
	TRY(w, vgm_buf_addf(&subject, "%s / %s", vgm_words(w->action->subject, first),
		   vgm_words(w->action->subject, second)));
	TRY(w, vgm_dsn_add_encoded_words(w->out, vgm_buf_slice(&subject)));
	put(w, "\r\n");
	field_date(w, "Date", w->dsn->now_us);
	put_message_id(w);
	put_thread(w);
	put(w, "Auto-Submitted: auto-replied\r\n"
	       "MIME-Version: 1.0\r\n"
	       "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"");
	put(w, w->boundary);
	put(w, "\"\r\n\r\n");
}

static void put_boundary(struct writer *w, const char *end)
{
	put(w, "\r\n--");
	put(w, w->boundary);
	put(w, end);
	put(w, "\r\n");
}

/* ---- first part: for people ---- */

static void add_recipient_words(struct writer *w, struct vgm_buf *text, enum vgm_lang lang,
    const struct vgm_recipient *r, const struct vgm_outcome *o)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf address = VGM_BUF_INIT(8192);
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf peer = VGM_BUF_INIT(8192);
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf reply = VGM_BUF_INIT(8192);

	TRY(w, vgm_text_escape(r->address, 1024, &address));
	TRY(w, vgm_text_escape(o->peer, 300, &peer));
	TRY(w, vgm_text_escape(o->reply, 512, &reply));
	TRY(w, vgm_buf_addf(text, "  %s\n", vgm_buf_str(&address)));
	bool expired = o->status == VGM_OUTCOME_EXPIRED;
	if (reply.len == 0 && !expired)
		return;
	/* Our own words may stand beside the peer that did not answer. */
	enum vgm_words_id id = reply.len == 0				 ? VGM_WORDS_dsn_expired
			       : peer.len && vgm_is_digit(reply.data[0]) ? VGM_WORDS_dsn_reply_of
									 : VGM_WORDS_dsn_reply_own;
	TRY(w, vgm_buf_add_str(text, "    "));
	TRY(w, vgm_words_fill(
		   id, lang, text, "peer", vgm_buf_str(&peer), "reply", vgm_buf_str(&reply), NULL));
	TRY(w, vgm_buf_add_str(text, "\n"));
}

static void add_date_words(struct writer *w, struct vgm_buf *out, enum vgm_lang lang)
{
	struct vgm_date t = vgm_date_utc(w->dsn->received_us);

	if (lang == VGM_FR)
		TRY(w, vgm_buf_addf(out, "%02d/%02d/%04d %02d:%02d UTC", t.day, t.month, t.year,
			   t.hour, t.minute));
	else
		TRY(w, vgm_buf_addf(out, "%04d-%02d-%02d %02d:%02d UTC", t.year, t.month, t.day,
			   t.hour, t.minute));
}

static void add_words(struct writer *w, struct vgm_buf *text, enum vgm_lang lang)
{
	const struct vgm_dsn *d = w->dsn;
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf date = VGM_BUF_INIT(64);
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf reference = VGM_BUF_INIT(64);

	add_date_words(w, &date, lang);
	TRY(w, vgm_hex_encode(vgm_slice(d->record, sizeof(d->record)), &reference));
	TRY(w, vgm_words_fill(w->action->intro, lang, text, "date", vgm_buf_str(&date), NULL));
	TRY(w, vgm_buf_add_str(text, "\n\n"));
	for (size_t i = 0; i < d->recipients_count; i++)
		add_recipient_words(w, text, lang, &d->recipients[i], &d->outcomes[i]);
	TRY(w, vgm_buf_add_str(text, "\n"));
	TRY(w, vgm_words_fill(w->action->meaning, lang, text, NULL));
	TRY(w, vgm_buf_add_str(text, "\n"));
	TRY(w, vgm_words_fill(d->phone[0] ? VGM_WORDS_dsn_contact_phone : VGM_WORDS_dsn_contact,
		   lang, text, "phone", d->phone, "postmaster", w->postmaster, NULL));
	TRY(w, vgm_buf_add_str(text, "\n"));
	TRY(w, vgm_words_fill(VGM_WORDS_dsn_reference, lang, text, "reference",
		   vgm_buf_str(&reference), NULL));
	TRY(w, vgm_buf_add_str(text, "\n"));
}

static void put_words(struct writer *w)
{
	enum vgm_lang first = w->dsn->language;
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf text = VGM_BUF_INIT(VGM_DSN_MAX);

	put_boundary(w, "");
	put(w, "Content-Type: text/plain; charset=utf-8\r\nContent-Language: ");
	put(w, first == VGM_FR ? "fr, en" : "en, fr");
	put(w, "\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n");
	add_words(w, &text, first);
	TRY(w, vgm_buf_add_str(&text, "\n-- \n\n"));
	add_words(w, &text, first == VGM_FR ? VGM_EN : VGM_FR);
	TRY(w, vgm_dsn_add_quoted_printable(w->out, vgm_buf_slice(&text)));
}

/* ---- second part: for programs (RFC 3464) ---- */

/* A status that does not fit the action would be worse than a general one. */
static struct vgm_slice status_of(const struct writer *w, const struct vgm_outcome *o)
{
	struct vgm_slice s = o->enhanced;

	if (s.len >= 5 && s.data[0] == (uint8_t)w->action->status[0])
		return s;
	return vgm_slice_str(w->action->status);
}

static void put_recipient_fields(
    struct writer *w, const struct vgm_recipient *r, const struct vgm_outcome *o)
{
	put(w, "\r\n");
	if (r->orcpt.len)
		field(w, "Original-Recipient", r->orcpt);
	put(w, "Final-Recipient: ");
	TRY(w, vgm_dsn_add_typed_address(w->out, r->address));
	put(w, "\r\nAction: ");
	put(w, w->action->name);
	put(w, "\r\n");
	field(w, "Status", status_of(w, o));
	if (o->peer.len) {
		put(w, "Remote-MTA: dns; ");
		TRY(w, vgm_dsn_add_text(w->out, o->peer, VGM_DSN_VALUE_MAX));
		put(w, "\r\n");
	}
	if (o->reply.len) {
		/* Our own words are no SMTP reply. */
		put(w, vgm_is_digit(o->reply.data[0]) ? "Diagnostic-Code: smtp; "
						      : "Diagnostic-Code: x-vaguemestre; ");
		TRY(w, vgm_dsn_add_text(w->out, o->reply, VGM_DSN_VALUE_MAX));
		put(w, "\r\n");
	}
	field_date(w, "Last-Attempt-Date", w->dsn->now_us);
	if (w->dsn->action == VGM_DSN_DELAYED && w->dsn->retry_until_us)
		field_date(w, "Will-Retry-Until", w->dsn->retry_until_us);
}

static void put_fields(struct writer *w)
{
	const struct vgm_dsn *d = w->dsn;

	put_boundary(w, "");
	put(w, "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; ");
	TRY(w, vgm_dsn_add_text(w->out, vgm_slice_str(d->hostname), 255));
	put(w, "\r\n");
	if (d->envid.len)
		field(w, "Original-Envelope-Id", d->envid);
	field_date(w, "Arrival-Date", d->received_us);
	for (size_t i = 0; i < d->recipients_count; i++)
		put_recipient_fields(w, &d->recipients[i], &d->outcomes[i]);
}

/* ---- third part: the original's header ---- */

static void put_original(struct writer *w)
{
	struct vgm_slice header = vgm_dsn_header_block(w->dsn->original);
	bool plain = vgm_dsn_is_plain(header);

	put_boundary(w, "");
	put(w, plain ? "Content-Type: text/rfc822-headers\r\n\r\n"
		     : "Content-Type: text/rfc822-headers; charset=utf-8\r\n"
		       "Content-Transfer-Encoding: quoted-printable\r\n\r\n");
	TRY(w, plain ? vgm_dsn_add_lines(w->out, header)
		     : vgm_dsn_add_quoted_printable(w->out, header));
}

int vgm_dsn_compose(const struct vgm_dsn *d, struct vgm_buf *out, struct vgm_err *err)
{
	VGM_BUG_ON(d->action < VGM_DSN_FAILED || d->action > VGM_DSN_DELIVERED);
	struct writer w = {.dsn = d, .action = &actions[d->action], .out = out};
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf hex = VGM_BUF_INIT(64);
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf postmaster = VGM_BUF_INIT(512);
	size_t before = out->len;

	TRY(&w, vgm_buf_add_str(&hex, "=_vgm_"));
	TRY(&w, vgm_hex_encode(vgm_slice(d->id, sizeof(d->id)), &hex));
	memcpy(w.boundary, vgm_buf_str(&hex), hex.len + 1);
	w.postmaster = d->postmaster;
	if (!d->postmaster[0]) {
		TRY(&w, vgm_buf_addf(&postmaster, "postmaster@%s", d->hostname));
		w.postmaster = vgm_buf_str(&postmaster);
	}
	put_header(&w);
	put_words(&w);
	put_fields(&w);
	put_original(&w);
	put_boundary(&w, "--");
	if (w.failed == 0)
		return 0;
	vgm_buf_truncate(out, before);
	return vgm_err_set(err, w.failed, "the notice does not fit");
}
