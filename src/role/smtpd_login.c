/* SPDX-License-Identifier: EUPL-1.2
 * role/smtpd_login.c — passwords of the submit door. Argon2id is slow and takes
 * much memory on purpose: attempts wait in one queue, one is checked at a time,
 * and between two of them the other sessions have their turn. A client that was
 * wrong too often is not even queued. */
#include "role/smtpd.h"

#include "base/clock.h"
#include "base/secret.h"

#include <sodium.h>

#define PAUSE_MS 50 /* between two attempts: other sessions go first */
#define ATTEMPTS_MAX 200

struct vgm_smtpd_attempt {
	struct vgm_smtpd_attempt *next;
	struct vgm_smtpd_session *session;
	char *login;
	char *password;
	size_t password_len;
};

static void attempt_free(struct vgm_smtpd_attempt *a)
{
	a->session->attempt = NULL;
	vgm_wipe(a->password, a->password_len);
	vgm_free(a->password);
	vgm_free(a->login);
	vgm_free(a);
}

/* Takes a out of the queue. */
static void unlink_attempt(struct vgm_smtpd *d, struct vgm_smtpd_attempt *a)
{
	struct vgm_smtpd_attempt **at = &d->attempts;
	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	if (!*at)
		d->attempts_end = at;
}

void vgm_smtpd_attempt_drop(struct vgm_smtpd_session *s)
{
	struct vgm_smtpd_attempt *a = s->attempt;
	if (!a)
		return;
	unlink_attempt(s->door, a);
	attempt_free(a);
}

static size_t waiting(const struct vgm_smtpd *d)
{
	size_t n = 0;
	for (const struct vgm_smtpd_attempt *a = d->attempts; a; a = a->next)
		n++;
	return n;
}

void vgm_smtpd_authenticate(void *context, struct vgm_slice login, struct vgm_slice password)
{
	struct vgm_smtpd_session *s = context;
	struct vgm_smtpd *d = s->door;
	bool may = vgm_smtpd_client_may_sign_in(s->client, vgm_clock_mono_ms());
	if (!may || waiting(d) >= ATTEMPTS_MAX) {
		struct vgm_smtp_answer later = {454, "4.7.0", VGM_WORDS_smtp_login_busy};
		vgm_smtp_session_authenticated(s->smtp, later);
		return;
	}
	struct vgm_smtpd_attempt *a = vgm_alloc(sizeof *a);
	a->session = s;
	a->login = vgm_slice_dup(login);
	a->password = vgm_slice_dup(password);
	a->password_len = password.len;
	s->attempt = a;
	*d->attempts_end = a;
	d->attempts_end = &a->next;
	if (!vgm_timer_is_set(d->login_turn))
		vgm_timer_in(d->login_turn, 1);
}

/* An unknown name costs as much time as a known one with a wrong password. */
static bool is_right(const struct vgm_smtpd *d, const struct vgm_smtpd_attempt *a)
{
	const struct vgm_conf *conf = &d->run->conf;
	const struct vgm_conf_login *known = NULL;
	for (size_t i = 0; i < conf->logins_count; i++)
		if (strcmp(conf->logins[i].name, a->login) == 0)
			known = &conf->logins[i];
	const struct vgm_conf_login *checked = known ? known : conf->logins;
	if (conf->logins_count == 0)
		return false;
	int wrong = crypto_pwhash_str_verify(checked->password, a->password, a->password_len);
	return known && wrong == 0;
}

static void log_login(const struct vgm_smtpd_attempt *a, bool right)
{
	struct vgm_log_line line;
	if (right)
		vgm_log_start(&line, VGM_LOG_INFO, "signed_in");
	else
		vgm_log_start(&line, VGM_LOG_WARNING, "wrong_login");
	vgm_log_ip(&line, "client", a->session->address.ip);
	vgm_log_text(&line, "reference", a->session->reference);
	vgm_log_personal(&line, "login", vgm_slice_str(a->login));
	vgm_log_end(&line);
}

void vgm_smtpd_login_turn(void *context)
{
	struct vgm_smtpd *d = context;
	struct vgm_smtpd_attempt *a = d->attempts;
	struct vgm_smtp_answer answer = {0};
	if (!a)
		return;
	struct vgm_smtpd_session *s = a->session;
	bool right = is_right(d, a);
	log_login(a, right);
	if (!right) {
		vgm_smtpd_client_wrong_login(s->client, vgm_clock_mono_ms());
		answer = (struct vgm_smtp_answer){535, "5.7.8", VGM_WORDS_smtp_wrong_login};
	}
	vgm_smtpd_attempt_drop(s);
	s->spoke_ms = vgm_clock_mono_ms();
	vgm_smtp_session_authenticated(s->smtp, answer);
	vgm_smtpd_session_serve(s);
	if (d->attempts)
		vgm_timer_in(d->login_turn, PAUSE_MS);
}
