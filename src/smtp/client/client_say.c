/* SPDX-License-Identifier: EUPL-1.2
 * smtp/client/client_say.c — the commands. An extension's parameter is said only
 * to a server that offers the extension. */
#include "smtp/client/client_parts.h"

#include "base/text.h"
#include "smtp/address.h"

#define SAY(call) VGM_BUG_ON((call) < 0) /* VGM_SMTP_CLIENT_OUT_MAX holds it all */

void vgm_smtp_client_say(struct vgm_smtp_client *c, const char *text)
{
	SAY(vgm_buf_add_str(&c->out, text));
}

void vgm_smtp_client_say_hello(struct vgm_smtp_client *c, const char *verb)
{
	SAY(vgm_buf_addf(&c->out, "%s %s\r\n", verb, c->hostname));
}

static void say_path(struct vgm_smtp_client *c, const char *verb, struct vgm_slice address)
{
	vgm_smtp_client_say(c, verb);
	SAY(vgm_buf_add_slice(&c->out, address));
	vgm_smtp_client_say(c, ">");
}

static void say_xtext(struct vgm_smtp_client *c, const char *name, struct vgm_slice value)
{
	vgm_smtp_client_say(c, name);
	SAY(vgm_smtp_xtext_encode(value, &c->out));
}

void vgm_smtp_client_say_mail(struct vgm_smtp_client *c)
{
	const struct vgm_smtp_mail *m = &c->mail;

	say_path(c, "MAIL FROM:<", m->sender);
	if (c->caps & CAP_SIZE)
		SAY(vgm_buf_addf(&c->out, " SIZE=%llu", (unsigned long long)m->size));
	if (m->needs_8bit && c->caps & VGM_PEER_8BIT)
		vgm_smtp_client_say(c, " BODY=8BITMIME");
	if (m->needs_utf8 && c->caps & VGM_PEER_UTF8)
		vgm_smtp_client_say(c, " SMTPUTF8");
	if (c->caps & VGM_PEER_DSN) {
		if (m->ret)
			vgm_smtp_client_say(c, m->ret == 1 ? " RET=FULL" : " RET=HDRS");
		if (m->envid.len)
			say_xtext(c, " ENVID=", m->envid);
	}
	vgm_smtp_client_say(c, "\r\n");
}

static void say_notify(struct vgm_smtp_client *c, uint8_t notify)
{
	static const struct {
		uint8_t bit;
		const char *word;
	} words[] = {{VGM_NOTIFY_SUCCESS, "SUCCESS"}, {VGM_NOTIFY_FAILURE, "FAILURE"},
	    {VGM_NOTIFY_DELAY, "DELAY"}};
	const char *separator = " NOTIFY=";

	if (notify & VGM_NOTIFY_NEVER) {
		vgm_smtp_client_say(c, " NOTIFY=NEVER");
		return;
	}
	for (size_t i = 0; i < VGM_ARRAY_LEN(words); i++) {
		if (!(notify & words[i].bit))
			continue;
		vgm_smtp_client_say(c, separator);
		vgm_smtp_client_say(c, words[i].word);
		separator = ",";
	}
}

/* "rfc822;a@b": the type as it is, the address as xtext. */
static void say_orcpt(struct vgm_smtp_client *c, struct vgm_slice orcpt)
{
	size_t n = vgm_slice_find(orcpt, ';');

	if (n == 0 || n == orcpt.len)
		return;
	for (size_t i = 0; i < n; i++)
		if (!vgm_is_alnum(orcpt.data[i]) && orcpt.data[i] != '-')
			return;
	vgm_smtp_client_say(c, " ORCPT=");
	SAY(vgm_buf_add_slice(&c->out, vgm_slice_sub(orcpt, 0, n + 1)));
	SAY(vgm_smtp_xtext_encode(vgm_slice_from(orcpt, n + 1), &c->out));
}

void vgm_smtp_client_say_rcpt(struct vgm_smtp_client *c, size_t i)
{
	const struct vgm_recipient *r = &c->mail.recipients[i];

	say_path(c, "RCPT TO:<", r->address);
	if (c->caps & VGM_PEER_DSN) {
		say_notify(c, r->notify);
		say_orcpt(c, r->orcpt);
	}
	vgm_smtp_client_say(c, "\r\n");
}

/* An address that was accepted once is well formed; this is the second lock. */
static bool is_sayable(struct vgm_slice address, bool utf8)
{
	bool quoted = false, escaped = false;

	for (size_t i = 0; i < address.len; i++) {
		uint8_t c = address.data[i];

		if (c < ' ' || c == 127 || (c > 127 && !utf8))
			return false;
		if (escaped)
			escaped = false;
		else if (c == '\\' && quoted)
			escaped = true;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '<' || c == '>' || c == ' '))
			return false;
	}
	return !quoted;
}

int vgm_smtp_client_check(const struct vgm_smtp_mail *m, struct vgm_err *err)
{
	if (!is_sayable(m->sender, m->needs_utf8))
		return vgm_err_set(err, VGM_E_INVALID, "the sender cannot stand in a command");
	for (size_t i = 0; i < m->count; i++)
		if (m->recipients[i].address.len == 0 ||
		    !is_sayable(m->recipients[i].address, m->needs_utf8))
			return vgm_err_set(
			    err, VGM_E_INVALID, "a recipient cannot stand in a command");
	return 0;
}
