/* SPDX-License-Identifier: EUPL-1.2
 * role/relayd_resolve.c — from a route to the addresses to try: hosts of the
 * configuration, or MX (RFC 5321 section 5.1, null MX RFC 7505), then A and AAAA
 * of each by resolverd. IPv4 first: a hospital without IPv6 loses no time. */
#include "role/relayd_parts.h"

#include "base/clock.h"
#include "net/dns.h"
#include "net/idna.h"

#include <stdio.h>

#define KNOWN_MIN_MS 10000u
#define KNOWN_MAX_MS 300000u

/* A question to resolverd; host is an index into the destination's hosts. */
struct relayd_query {
	struct relayd_query *next;
	struct relayd_destination *destination;
	uint64_t tag;
	size_t host;
	uint16_t type;
};

static void forget_hosts(struct relayd_destination *d)
{
	vgm_free(d->hosts);
	d->hosts = NULL;
	d->hosts_count = 0;
}

void relayd_fail_line(
    struct relayd_destination *d, const struct relayd_failure *why, bool destination_down)
{
	while (d->line_first) {
		struct relayd_job *j = d->line_first;

		relayd_job_leave_line(j);
		relayd_job_settle_rest(j, why);
		relayd_job_finish(d->relayd, j, destination_down);
	}
}

/* No address: the line learns why. */
static void give_up(
    struct relayd_destination *d, uint8_t status, const char *enhanced, enum vgm_words_id words)
{
	struct relayd_failure why = {0};
	const char *colon = strchr(d->key, ':');
	bool whole = words == VGM_WORDS_relay_no_route || !colon;

	forget_hosts(d);
	d->resolution = ADDRESSES_NONE;
	relayd_failure_set(
	    d->relayd, &why, status, enhanced, words, whole ? d->key : colon + 1, NULL);
	relayd_fail_line(d, &why, status == VGM_OUTCOME_DEFERRED);
}

/* ---- asking ---- */

static bool ask(struct relayd_destination *d, const char *name, uint16_t type, size_t host)
{
	struct relayd *r = d->relayd;
	struct vgm_channel *resolverd =
	    vgm_role_peer(r->run, VGM_ROLE_RESOLVERD, VGM_INSTANCE_ONLY);
	struct vgm_msg_resolve m = {
	    .tag = ++r->next_tag, .name = vgm_slice_str(name), .type = type};

	if (!resolverd || vgm_channel_send(resolverd, VGM_MSG_resolve, &m) < 0)
		return false;
	struct relayd_query *q = vgm_alloc(sizeof(*q));
	*q = (struct relayd_query){r->queries, d, m.tag, host, type};
	r->queries = q;
	d->queries++;
	return true;
}

static void add_found(struct relayd_host *h, const uint8_t ip[16])
{
	if (h->found_count == VGM_ARRAY_LEN(h->found))
		return;
	struct vgm_addr *a = &h->found[h->found_count++];
	memcpy(a->ip, ip, sizeof(a->ip));
	a->port = h->port;
}

/* International names become those that the DNS and certificates have. */
static bool set_host(struct relayd_host *h, struct vgm_slice name, uint16_t port)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf ascii = VGM_BUF_INIT(VGM_IDNA_MAX);

	name = vgm_idna_plain(name, &ascii);
	if (name.len == 0 || name.len >= sizeof(h->name))
		return false;
	*h = (struct relayd_host){.port = port};
	(void)snprintf(h->name, sizeof(h->name), "%.*s", VGM_SLICE_ARG(name));
	return true;
}

/* An address instead of a name needs no DNS. */
static bool is_address(struct relayd_host *h)
{
	uint8_t ip[16];
	struct vgm_slice text = vgm_slice_str(h->name);

	if (vgm_slice_eq_nocase(text, VGM_SLICE_LIT("localhost")))
		text = VGM_SLICE_LIT("127.0.0.1");
	if (vgm_ip_parse(text, ip, NULL) < 0)
		return false;
	add_found(h, ip);
	return true;
}

static void gather(struct relayd_destination *d)
{
	size_t n = 0;

	vgm_free(d->addresses);
	d->addresses = vgm_alloc(RELAYD_ADDRESSES_MAX * sizeof(*d->addresses));
	for (size_t i = 0; i < d->hosts_count; i++) {
		const struct relayd_host *h = &d->hosts[i];

		for (int v4 = 1; v4 >= 0; v4--) {
			for (size_t k = 0; k < h->found_count && n < RELAYD_ADDRESSES_MAX; k++) {
				if (vgm_ip_is_v4(h->found[k].ip) != (v4 == 1))
					continue;
				d->addresses[n].addr = h->found[k];
				memcpy(d->addresses[n++].host, h->name, sizeof(h->name));
			}
		}
	}
	d->addresses_count = n;
}

/* Every question has its answer. */
static void conclude(struct relayd_destination *d)
{
	bool temporary = false;

	gather(d);
	for (size_t i = 0; i < d->hosts_count; i++)
		temporary |= d->hosts[i].temporary;
	if (d->addresses_count) {
		uint64_t ms = (uint64_t)d->ttl * 1000;

		ms = ms < KNOWN_MIN_MS ? KNOWN_MIN_MS : ms > KNOWN_MAX_MS ? KNOWN_MAX_MS : ms;
		d->resolution = ADDRESSES_KNOWN;
		d->known_until_ms = vgm_clock_mono_ms() + ms;
		forget_hosts(d);
		relayd_mark_dirty(d);
	} else if (temporary) {
		give_up(d, VGM_OUTCOME_DEFERRED, "4.4.3", VGM_WORDS_relay_dns);
	} else if (d->by_mx) {
		give_up(d, VGM_OUTCOME_FAILED, "5.4.4", VGM_WORDS_relay_no_address);
	} else {
		/* A name of our own configuration: ours to mend, not the sender's. */
		give_up(d, VGM_OUTCOME_DEFERRED, "4.4.4", VGM_WORDS_relay_no_route);
	}
}

/* Hosts are named; their addresses are next. */
static void ask_addresses(struct relayd_destination *d)
{
	for (size_t i = 0; i < d->hosts_count; i++) {
		struct relayd_host *h = &d->hosts[i];

		if (is_address(h) || !vgm_dns_name_valid(vgm_slice_str(h->name)))
			continue;
		if (!ask(d, h->name, VGM_DNS_A, i) || !ask(d, h->name, VGM_DNS_AAAA, i))
			h->temporary = true;
	}
	if (d->queries == 0)
		conclude(d);
}

/* ---- beginning ---- */

/* "[192.0.2.1]", "[IPv6:2001:db8::1]" (RFC 5321 section 4.1.3). */
static struct vgm_slice without_brackets(struct vgm_slice domain)
{
	struct vgm_slice tag = VGM_SLICE_LIT("IPv6:");

	if (domain.len < 3 || domain.data[0] != '[' || domain.data[domain.len - 1] != ']')
		return VGM_SLICE_NONE;
	domain = vgm_slice_sub(domain, 1, domain.len - 1);
	return vgm_slice_starts_nocase(domain, tag) ? vgm_slice_from(domain, tag.len) : domain;
}

static bool begin_mx(struct relayd_destination *d, struct vgm_slice domain)
{
	struct vgm_slice literal = without_brackets(domain);

	d->hosts = vgm_alloc(VGM_ROUTE_HOSTS_MAX * sizeof(*d->hosts));
	d->hosts_count = 1;
	if (!set_host(&d->hosts[0], literal.len ? literal : domain, VGM_ROUTE_MX_PORT)) {
		give_up(d, VGM_OUTCOME_FAILED, "5.1.2", VGM_WORDS_relay_no_domain);
		return true;
	}
	if (!literal.len && vgm_dns_name_valid(vgm_slice_str(d->hosts[0].name)))
		return ask(d, d->hosts[0].name, VGM_DNS_MX, 0);
	if (literal.len && is_address(&d->hosts[0]))
		conclude(d);
	else
		give_up(d, VGM_OUTCOME_FAILED, "5.1.2", VGM_WORDS_relay_no_domain);
	return true;
}

static void begin_row(struct relayd_destination *d, const struct vgm_conf_route *row)
{
	size_t n = vgm_min_size(row->to.count, VGM_ROUTE_HOSTS_MAX);

	d->hosts = vgm_alloc(VGM_ROUTE_HOSTS_MAX * sizeof(*d->hosts));
	d->hosts_count = 0;
	for (size_t i = 0; i < n; i++) {
		struct vgm_route_host h;

		if (vgm_route_host_parse(vgm_slice_str(row->to.text[i]), &h, NULL) == 0 &&
		    set_host(&d->hosts[d->hosts_count], h.host, h.port))
			d->hosts_count++;
	}
	ask_addresses(d);
}

bool relayd_resolve(struct relayd_destination *d)
{
	struct vgm_route route;

	d->resolution = ADDRESSES_ASKED;
	d->ttl = KNOWN_MAX_MS / 1000;
	if (vgm_route_find(&d->relayd->run->conf, vgm_slice_str(d->key), &route, NULL) < 0) {
		give_up(d, VGM_OUTCOME_DEFERRED, "4.3.5", VGM_WORDS_relay_no_route);
		return true;
	}
	d->by_mx = route.mx_domain.len > 0;
	d->connections_max = route.connections;
	if (!d->by_mx) {
		begin_row(d, route.row);
		return true;
	}
	if (begin_mx(d, route.mx_domain))
		return true;
	forget_hosts(d);
	d->resolution = ADDRESSES_NONE;
	return false;
}

/* ---- answers ---- */

static void shorten_ttl(struct relayd_destination *d, uint32_t ttl)
{
	if (ttl < d->ttl)
		d->ttl = ttl;
}

static void take_mx(struct relayd_destination *d, const struct vgm_msg_resolved *m)
{
	struct vgm_slice names[VGM_ROUTE_HOSTS_MAX];
	size_t n;

	if (m->answers_count == 0) { /* no MX: the domain is the host */
		ask_addresses(d);
		return;
	}
	switch (vgm_route_mx_order(m->answers, m->answers_count, d->relayd->run->conf.hostname,
	    ++d->relayd->seed, names, &n)) {
	case VGM_MX_NULL:
		give_up(d, VGM_OUTCOME_FAILED, "5.1.10", VGM_WORDS_relay_null_mx);
		return;
	case VGM_MX_OURSELVES:
		give_up(d, VGM_OUTCOME_FAILED, "5.4.6", VGM_WORDS_relay_ourselves);
		return;
	case VGM_MX_NONE:
		give_up(d, VGM_OUTCOME_FAILED, "5.4.4", VGM_WORDS_relay_no_address);
		return;
	case VGM_MX_HOSTS:
		break;
	}
	d->hosts_count = 0;
	for (size_t i = 0; i < n; i++)
		d->hosts_count += set_host(&d->hosts[d->hosts_count], names[i], VGM_ROUTE_MX_PORT);
	ask_addresses(d);
}

static void on_mx(struct relayd_destination *d, const struct vgm_msg_resolved *m)
{
	shorten_ttl(d, m->ttl);
	if (m->status == VGM_DNS_NXDOMAIN)
		give_up(d, VGM_OUTCOME_FAILED, "5.1.2", VGM_WORDS_relay_no_domain);
	else if (m->status != VGM_DNS_OK)
		give_up(d, VGM_OUTCOME_DEFERRED, "4.4.3", VGM_WORDS_relay_dns);
	else
		take_mx(d, m);
}

static void on_address(
    struct relayd_destination *d, const struct relayd_query *q, const struct vgm_msg_resolved *m)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	struct relayd_host *h = &d->hosts[q->host];
	size_t len = q->type == VGM_DNS_A ? 4 : 16;

	if (m->status == VGM_DNS_TEMPORARY || m->status == VGM_DNS_BOGUS)
		h->temporary = true;
	for (size_t i = 0; m->status == VGM_DNS_OK && i < m->answers_count; i++) {
		uint8_t ip[16];

		if (m->answers[i].data.len != len)
			continue;
		memcpy(ip, mapped, sizeof(mapped));
		memcpy(ip + 16 - len, m->answers[i].data.data, len);
		add_found(h, ip);
		shorten_ttl(d, m->ttl);
	}
	if (d->queries == 0)
		conclude(d);
}

static void answer(struct relayd_query **at, const struct vgm_msg_resolved *m)
{
	struct relayd_query *q = *at;
	struct relayd_destination *d = q->destination;

	*at = q->next;
	d->queries--;
	if (q->type == VGM_DNS_MX)
		on_mx(d, m);
	else
		on_address(d, q, m);
	relayd_mark_dirty(d);
	vgm_free(q);
}

void relayd_resolved(struct relayd *r, const struct vgm_msg_resolved *m)
{
	for (struct relayd_query **at = &r->queries; *at; at = &(*at)->next) {
		if ((*at)->tag == m->tag) {
			answer(at, m);
			return;
		}
	}
}

void relayd_resolver_gone(struct relayd *r)
{
	struct vgm_msg_resolved nothing = {.status = VGM_DNS_TEMPORARY};

	while (r->queries)
		answer(&r->queries, &nothing);
}
