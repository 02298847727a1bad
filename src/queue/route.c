/* SPDX-License-Identifier: EUPL-1.2
 * queue/route.c — see route.h. */
#include "queue/route.h"

#include "base/text.h"
#include "net/addr.h"
#include "net/idna.h"

static enum vgm_tls_need tls_of(const struct vgm_conf_route *row)
{
	if (strcmp(row->tls, "verify") == 0)
		return VGM_TLS_VERIFY;
	return strcmp(row->tls, "encrypt") == 0 ? VGM_TLS_ENCRYPT : VGM_TLS_MAY;
}

static bool says_mx(const struct vgm_conf_route *row)
{
	return row->to.count == 1 && strcmp(row->to.text[0], "mx") == 0;
}

static bool matches(const struct vgm_conf_route *row, struct vgm_slice domain)
{
	for (size_t i = 0; i < row->domains.count; i++) {
		struct vgm_slice d = vgm_slice_str(row->domains.text[i]);

		if (vgm_slice_eq(d, VGM_SLICE_LIT("*")) || vgm_idna_same(d, domain))
			return true;
	}
	return false;
}

static const struct vgm_conf_route *row_for_mx(const struct vgm_conf *conf, struct vgm_slice domain)
{
	for (size_t i = 0; i < conf->routes_count; i++)
		if (matches(&conf->routes[i], domain))
			return says_mx(&conf->routes[i]) ? &conf->routes[i] : NULL;
	return NULL;
}

static const struct vgm_conf_route *row_named(const struct vgm_conf *conf, struct vgm_slice name)
{
	for (size_t i = 0; i < conf->routes_count; i++)
		if (vgm_slice_eq(vgm_slice_str(conf->routes[i].name), name))
			return &conf->routes[i];
	return NULL;
}

int vgm_route_find(
    const struct vgm_conf *conf, struct vgm_slice key, struct vgm_route *out, struct vgm_err *err)
{
	struct vgm_slice route = VGM_SLICE_LIT("route:"), mx = VGM_SLICE_LIT("mx:");
	struct vgm_route r = {.connections = VGM_ROUTE_CONNECTIONS};

	if (vgm_slice_starts_nocase(key, route)) {
		r.row = row_named(conf, vgm_slice_from(key, route.len));
		if (!r.row)
			return vgm_err_set(
			    err, VGM_E_NOTFOUND, "the configuration has no route of this name");
	} else if (vgm_slice_starts_nocase(key, mx) && key.len > mx.len) {
		r.mx_domain = vgm_slice_from(key, mx.len);
		r.row = row_for_mx(conf, r.mx_domain);
	} else {
		return vgm_err_set(err, VGM_E_INVALID, "no route for delivery");
	}
	if (r.row) {
		r.tls = tls_of(r.row);
		r.connections = (size_t)r.row->connections;
	}
	*out = r;
	return 0;
}

int vgm_route_host_parse(struct vgm_slice text, struct vgm_route_host *out, struct vgm_err *err)
{
	struct vgm_route_host h = {VGM_SLICE_NONE, VGM_ROUTE_MX_PORT};

	if (!vgm_slice_eq(text, VGM_SLICE_LIT("mx"))) {
		int r = vgm_addr_split(text, &h.host, &h.port, err);

		if (r < 0)
			return r;
	}
	*out = h;
	return 0;
}

size_t vgm_route_connections(void *context, struct vgm_slice key)
{
	struct vgm_route r;

	return vgm_route_find(context, key, &r, NULL) < 0 ? VGM_ROUTE_CONNECTIONS : r.connections;
}

/* ---- MX ---- */

static struct vgm_slice without_dot(struct vgm_slice name)
{
	return name.len && name.data[name.len - 1] == '.' ? vgm_slice_sub(name, 0, name.len - 1)
							  : name;
}

static bool is_host_name(struct vgm_slice name)
{
	if (name.len == 0 || name.len > 253)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		uint8_t c = name.data[i];

		if (!vgm_is_alnum(c) && c != '-' && c != '.' && c != '_')
			return false;
	}
	return true;
}

/* Small and fast is enough here: it spreads load, it keeps no secret. */
static uint64_t next_random(uint64_t *seed)
{
	*seed += 0x9e3779b97f4a7c15u;
	uint64_t z = *seed;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

struct candidate {
	struct vgm_slice name;
	uint64_t rank; /* preference, then chance */
};

static void insert(struct candidate *list, size_t *count, struct candidate c)
{
	size_t i = *count;

	if (i == VGM_ROUTE_HOSTS_MAX) {
		if (list[i - 1].rank <= c.rank)
			return;
		i--;
	} else {
		(*count)++;
	}
	for (; i > 0 && list[i - 1].rank > c.rank; i--)
		list[i] = list[i - 1];
	list[i] = c;
}

/* The preference at which our own name stands; above all others if nowhere. */
static uint32_t own_preference(
    const struct vgm_dns_answer *answers, size_t count, const char *own_name)
{
	uint32_t own = UINT32_MAX;

	for (size_t i = 0; i < count; i++)
		if (vgm_slice_eq_nocase(without_dot(answers[i].data), vgm_slice_str(own_name)) &&
		    answers[i].preference < own)
			own = answers[i].preference;
	return own;
}

enum vgm_mx_verdict vgm_route_mx_order(const struct vgm_dns_answer *answers, size_t count,
    const char *own_name, uint64_t seed, struct vgm_slice out[VGM_ROUTE_HOSTS_MAX],
    size_t *out_count)
{
	struct candidate list[VGM_ROUTE_HOSTS_MAX];
	uint32_t own = own_preference(answers, count, own_name);
	size_t kept = 0;

	*out_count = 0;
	if (count == 1 && without_dot(answers[0].data).len == 0)
		return VGM_MX_NULL;
	for (size_t i = 0; i < count; i++) {
		struct candidate c = {without_dot(answers[i].data),
		    (uint64_t)answers[i].preference << 32 | next_random(&seed) >> 32};

		if (is_host_name(c.name) && answers[i].preference < own)
			insert(list, &kept, c);
	}
	for (size_t i = 0; i < kept; i++)
		out[i] = list[i].name;
	*out_count = kept;
	if (kept)
		return VGM_MX_HOSTS;
	return own != UINT32_MAX ? VGM_MX_OURSELVES : VGM_MX_NONE;
}
