/* SPDX-License-Identifier: EUPL-1.2
 * role/smtpd_rules.c — who may send to whom, at each door:
 *   receive  anybody, to people of our domains
 *   submit   internal relays (by address or certificate) and who signed in,
 *            anywhere; a login under its own addresses only
 *   devices  declared machines, to people of our domains, and anywhere if the
 *            configuration says so
 * A network whose mail kills filters is put off at every door (rule 12). */
#include "role/smtpd.h"

#include "base/clock.h"
#include "base/text.h"
#include "net/idna.h"
#include "smtp/address.h"

#define ROOM_MARGIN_BYTES ((uint64_t)256 * 1024)

static const struct vgm_smtp_answer fine = {0};

/* ---- configuration ---- */

static void load_networks(struct vgm_smtpd_networks *n, const struct vgm_conf_list *list)
{
	vgm_free(n->network);
	n->network = vgm_alloc((list->count + 1) * sizeof *n->network);
	n->count = 0;
	/* The configuration's own check has passed: all of them parse. */
	for (size_t i = 0; i < list->count; i++) {
		struct vgm_slice text = vgm_slice_str(list->text[i]);
		n->count += vgm_network_parse(text, &n->network[n->count], NULL) == 0;
	}
}

static void load_machines(struct vgm_smtpd *d)
{
	const struct vgm_conf *conf = &d->run->conf;
	vgm_free(d->machines);
	d->machines = vgm_alloc((conf->devices_count + 1) * sizeof *d->machines);
	d->machines_count = 0;
	for (size_t i = 0; i < conf->devices_count; i++) {
		struct vgm_smtpd_machine *m = &d->machines[d->machines_count];
		m->conf = &conf->devices[i];
		if (vgm_network_parse(vgm_slice_str(m->conf->address), &m->network, NULL) == 0)
			d->machines_count++;
	}
}

static void load_postmaster(struct vgm_smtpd *d)
{
	const struct vgm_conf *conf = &d->run->conf;
	struct vgm_buf b = VGM_BUF_INIT(400);
	const char *domain = conf->domains.count ? conf->domains.text[0] : conf->hostname;
	int r = conf->postmaster[0] ? vgm_buf_add_str(&b, conf->postmaster)
				    : vgm_buf_addf(&b, "postmaster@%s", domain);
	VGM_BUG_ON(r < 0);
	vgm_free(d->postmaster);
	d->postmaster = vgm_strdup(vgm_buf_str(&b));
	vgm_buf_release(&b);
}

void vgm_smtpd_rules_load(struct vgm_smtpd *d)
{
	const struct vgm_conf *conf = &d->run->conf;
	struct vgm_smtp_settings *s = &d->settings;
	load_networks(&d->proxies, &conf->receive_proxies);
	load_networks(&d->trusted_hops, &conf->receive_trusted_hops);
	load_networks(&d->relays, &conf->submit_relays);
	if (d->run->instance != VGM_INSTANCE_RECEIVE)
		d->proxies.count = d->trusted_hops.count = 0;
	load_machines(d);
	load_postmaster(d);
	s->hostname = conf->hostname;
	s->phone = conf->phone;
	s->postmaster = d->postmaster;
	s->language = VGM_FR;
	(void)vgm_lang_parse(conf->language, &s->language);
	s->max_size = conf->max_size;
	s->max_recipients = conf->max_recipients;
	s->max_commands = (unsigned)conf->max_commands;
	s->machines = d->run->instance == VGM_INSTANCE_DEVICES;
}

bool vgm_smtpd_networks_have(const struct vgm_smtpd_networks *n, const uint8_t ip[16])
{
	for (size_t i = 0; i < n->count; i++)
		if (vgm_network_has(&n->network[i], ip))
			return true;
	return false;
}

struct vgm_smtpd_machine *vgm_smtpd_machine_at(struct vgm_smtpd *d, const uint8_t ip[16])
{
	for (size_t i = 0; i < d->machines_count; i++)
		if (vgm_network_has(&d->machines[i].network, ip))
			return &d->machines[i];
	return NULL;
}

bool vgm_smtpd_rule_certificate(const struct vgm_smtpd *d, const uint8_t sha256[32])
{
	const struct vgm_conf_list *list = &d->run->conf.submit_relay_certificates;
	uint8_t wanted[32];
	for (size_t i = 0; i < list->count; i++)
		if (vgm_hex_decode(vgm_slice_str(list->text[i]), wanted, sizeof wanted) == 0 &&
		    memcmp(wanted, sha256, sizeof wanted) == 0)
			return true;
	return false;
}

/* ---- before the first word ---- */

/* A trial without a word on who may submit: this machine, nobody else. */
static bool nobody_is_named(const struct vgm_conf *conf)
{
	return conf->submit_relays.count == 0 && conf->submit_relay_certificates.count == 0 &&
	       conf->logins_count == 0;
}

struct vgm_smtp_answer vgm_smtpd_rule_connect(struct vgm_smtpd_session *s)
{
	struct vgm_smtpd *d = s->door;
	bool devices = d->run->instance == VGM_INSTANCE_DEVICES;
	if (devices && !vgm_smtpd_machine_at(d, s->address.ip))
		return (struct vgm_smtp_answer){554, "5.7.1", VGM_WORDS_smtp_not_a_machine};
	if (d->run->instance == VGM_INSTANCE_SUBMIT)
		s->may_relay |=
		    vgm_smtpd_networks_have(&d->relays, s->address.ip) ||
		    (nobody_is_named(&d->run->conf) && vgm_ip_is_loopback(s->address.ip));
	return fine;
}

/* ---- envelope ---- */

static bool is_ours(const struct vgm_smtpd *d, struct vgm_slice domain)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf ascii = VGM_BUF_INIT(VGM_IDNA_MAX);
	const struct vgm_conf_list *ours = &d->run->conf.domains;
	domain = vgm_idna_plain(domain, &ascii);
	for (size_t i = 0; i < ours->count; i++)
		if (vgm_idna_same(domain, vgm_slice_str(ours->text[i])))
			return true;
	return false;
}

static bool is_put_off(const struct vgm_smtpd_session *s)
{
	const struct vgm_smtpd *d = s->door;
	uint8_t network[16];
	vgm_ip_network(s->address.ip, 24, 48, network);
	for (size_t i = 0; i < vgm_min_size(d->struck_count, VGM_SMTPD_STRUCK); i++) {
		const struct vgm_smtpd_struck *e = &d->struck[i];
		if (!e->is_body && memcmp(e->network, network, sizeof network) == 0 &&
		    vgm_clock_mono_ms() < e->until_ms)
			return true;
	}
	return false;
}

static const struct vgm_conf_login *login_named(const struct vgm_smtpd *d, struct vgm_slice name)
{
	for (size_t i = 0; i < d->run->conf.logins_count; i++)
		if (vgm_slice_eq(name, vgm_slice_str(d->run->conf.logins[i].name)))
			return &d->run->conf.logins[i];
	return NULL;
}

/* "person@domain" or "@domain" of a login's senders. */
static bool allows(const char *pattern, struct vgm_slice sender)
{
	struct vgm_slice p = vgm_slice_str(pattern);
	if (p.len && p.data[0] == '@')
		return vgm_idna_same(vgm_slice_from(p, 1), vgm_smtp_domain_of(sender));
	return vgm_slice_eq_nocase(p, sender);
}

static bool may_send_as(const struct vgm_smtpd *d, struct vgm_slice login, struct vgm_slice sender)
{
	const struct vgm_conf_login *l = login_named(d, login);
	/* Receipts and notices of the main system have no sender. */
	if (sender.len == 0)
		return true;
	if (!l)
		return false;
	if (l->senders.count == 0)
		return is_ours(d, vgm_smtp_domain_of(sender));
	for (size_t i = 0; i < l->senders.count; i++)
		if (allows(l->senders.text[i], sender))
			return true;
	return false;
}

/* Twice what is announced must be free, and a margin for small mail that
 * announces nothing (rule 20). */
static bool disk_is_full(const struct vgm_smtpd *d, uint64_t announced)
{
	return d->ledger_room / 2 < announced || d->ledger_room < ROOM_MARGIN_BYTES;
}

struct vgm_smtp_answer vgm_smtpd_rule_mail(void *context, struct vgm_slice sender)
{
	struct vgm_smtpd_session *s = context;
	struct vgm_smtpd *d = s->door;
	struct vgm_slice login = vgm_buf_slice(&vgm_smtp_session_connection(s->smtp)->login);
	if (d->run->stopping)
		return (struct vgm_smtp_answer){421, "4.3.2", VGM_WORDS_smtp_stopping};
	if (is_put_off(s))
		return (struct vgm_smtp_answer){451, "4.7.1", VGM_WORDS_smtp_network_put_off};
	if (d->run->instance == VGM_INSTANCE_SUBMIT && !s->may_relay) {
		if (login.len == 0)
			return (struct vgm_smtp_answer){530, "5.7.0", VGM_WORDS_smtp_sign_in_first};
		if (!may_send_as(d, login, sender))
			return (struct vgm_smtp_answer){
			    550, "5.7.1", VGM_WORDS_smtp_sender_not_yours};
	}
	if (vgm_smtpd_memory_is_full(d) || disk_is_full(d, vgm_smtp_session_announced(s->smtp)))
		return (struct vgm_smtp_answer){452, "4.3.1", VGM_WORDS_smtp_no_room};
	return fine;
}

/* Whoever else exists, the postmaster does (RFC 5321 section 4.5.1). */
static bool exists(const struct vgm_smtpd *d, struct vgm_slice mailbox)
{
	return !d->directory || vgm_directory_count(d->directory) == 0 ||
	       vgm_directory_find(d->directory, mailbox) ||
	       vgm_slice_eq_nocase(mailbox, vgm_slice_str(d->postmaster)) ||
	       vgm_slice_eq_nocase(vgm_smtp_local_of(mailbox), VGM_SLICE_LIT("postmaster"));
}

struct vgm_smtp_answer vgm_smtpd_rule_recipient(void *context, struct vgm_slice mailbox)
{
	struct vgm_smtpd_session *s = context;
	struct vgm_smtpd *d = s->door;
	const struct vgm_smtpd_machine *m;
	if (is_ours(d, vgm_smtp_domain_of(mailbox)))
		return exists(d, mailbox)
			   ? fine
			   : (struct vgm_smtp_answer){550, "5.1.1", VGM_WORDS_smtp_unknown_user};
	switch (d->run->instance) {
	case VGM_INSTANCE_SUBMIT:
		return fine;
	case VGM_INSTANCE_DEVICES:
		m = vgm_smtpd_machine_at(d, s->address.ip);
		if (m && m->conf->outside)
			return fine;
		return (struct vgm_smtp_answer){550, "5.7.1", VGM_WORDS_smtp_machine_outside};
	default:
		return (struct vgm_smtp_answer){550, "5.7.1", VGM_WORDS_smtp_no_relay};
	}
}
