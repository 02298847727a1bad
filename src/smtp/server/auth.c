/* SPDX-License-Identifier: EUPL-1.2
 * smtp/server/auth.c — AUTH PLAIN (RFC 4616) and LOGIN, under TLS only (RFC 4954).
 * Who is let in is the owner's to say; nothing of a password stays here. */
#include "base/secret.h"
#include "base/text.h"
#include "smtp/server/internal.h"

#define RESPONSE_MAX (3 * VGM_SMTP_LOGIN_MAX + 2)

static void refuse(
    struct vgm_smtp_session *s, unsigned code, const char *enhanced, enum vgm_words_id why)
{
	vgm_buf_release(&s->auth_login);
	if (s->state == VGM_SMTP_AUTH)
		vgm_smtp_set_state(s, VGM_SMTP_READY);
	vgm_smtp_error(s, code, enhanced, why, VGM_SLICE_LIT("AUTH"));
}

static void ask_owner(struct vgm_smtp_session *s, struct vgm_slice login, struct vgm_slice password)
{
	struct vgm_buf *kept = &s->connection.login;
	/* An empty name is sound, and nobody's. */
	bool sound = login.len <= VGM_SMTP_LOGIN_MAX && vgm_utf8_valid(login) &&
		     vgm_slice_find(login, 0) == login.len;
	if (!sound) {
		refuse(s, 501, "5.5.2", VGM_WORDS_smtp_bad_login);
		return;
	}
	vgm_buf_clear(kept);
	VGM_BUG_ON(vgm_buf_add_slice(kept, login) < 0);
	vgm_buf_release(&s->auth_login);
	vgm_smtp_set_state(s, VGM_SMTP_WAIT_AUTH);
	s->events->authenticate(s->context, vgm_buf_slice(kept), password);
}

/* authorisation identity NUL login NUL password; the first is empty or the login. */
static void plain(struct vgm_smtp_session *s, struct vgm_slice response)
{
	size_t first = vgm_slice_find(response, 0);
	struct vgm_slice as = vgm_slice_sub(response, 0, first);
	struct vgm_slice rest = vgm_slice_from(response, first + 1);
	size_t second = vgm_slice_find(rest, 0);
	struct vgm_slice login = vgm_slice_sub(rest, 0, second);
	struct vgm_slice password = vgm_slice_from(rest, second + 1);
	bool other = as.len && !vgm_slice_eq(as, login);
	if (first == response.len || second == rest.len || other ||
	    vgm_slice_find(password, 0) < password.len)
		refuse(s, 501, "5.5.2", VGM_WORDS_smtp_bad_login);
	else
		ask_owner(s, login, password);
}

static void login_step(struct vgm_smtp_session *s, struct vgm_slice response)
{
	if (s->auth_login.len) {
		/* The login is taken out: asking releases its buffer. */
		struct vgm_buf login = s->auth_login;
		vgm_buf_init(&s->auth_login, VGM_SMTP_LOGIN_MAX);
		ask_owner(s, vgm_buf_slice(&login), response);
		vgm_buf_release(&login);
	} else if (response.len == 0 || vgm_buf_add_slice(&s->auth_login, response) < 0) {
		refuse(s, 501, "5.5.2", VGM_WORDS_smtp_bad_login);
	} else {
		vgm_smtp_set_state(s, VGM_SMTP_AUTH);
		vgm_smtp_say_line(s, "334 UGFzc3dvcmQ6");
	}
}

/* base64 of a response, from the AUTH line itself or from a line of its own. */
static void respond(struct vgm_smtp_session *s, struct vgm_slice base64)
{
	struct vgm_buf response = VGM_BUF_INIT(RESPONSE_MAX);
	if (vgm_base64_decode(base64, &response) < 0)
		refuse(s, 501, "5.5.2", VGM_WORDS_smtp_bad_login);
	else if (s->auth_plain)
		plain(s, vgm_buf_slice(&response));
	else
		login_step(s, vgm_buf_slice(&response));
	vgm_buf_wipe(&response);
}

void vgm_smtp_auth_line(struct vgm_smtp_session *s, struct vgm_slice line)
{
	if (vgm_slice_eq(line, VGM_SLICE_LIT("*")))
		refuse(s, 501, "5.7.0", VGM_WORDS_smtp_login_given_up);
	else
		respond(s, line);
}

void vgm_smtp_auth(struct vgm_smtp_session *s, struct vgm_slice args)
{
	size_t space = vgm_slice_find(args, ' ');
	struct vgm_slice mechanism = vgm_slice_sub(args, 0, space);
	struct vgm_slice initial = vgm_slice_from(args, space + 1);
	bool is_plain = vgm_slice_eq_nocase(mechanism, VGM_SLICE_LIT("PLAIN"));
	bool is_login = vgm_slice_eq_nocase(mechanism, VGM_SLICE_LIT("LOGIN"));
	if (!s->settings->offer_auth)
		refuse(s, 502, "5.5.1", VGM_WORDS_smtp_no_auth);
	else if (s->connection.tls.len == 0)
		refuse(s, 538, "5.7.11", VGM_WORDS_smtp_auth_needs_tls);
	else if (s->connection.login.len || !s->connection.esmtp)
		refuse(s, 503, "5.5.1", VGM_WORDS_smtp_sequence);
	else if (!is_plain && !is_login)
		refuse(s, 504, "5.5.4", VGM_WORDS_smtp_auth_mechanism);
	else {
		s->auth_plain = is_plain;
		if (initial.len) {
			respond(s, initial);
			return;
		}
		vgm_smtp_set_state(s, VGM_SMTP_AUTH);
		vgm_smtp_say_line(s, is_plain ? "334 " : "334 VXNlcm5hbWU6");
	}
}
