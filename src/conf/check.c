/* SPDX-License-Identifier: EUPL-1.2
 * conf/check.c — what an option takes beyond its kind: one row of a table for
 * each option that has more to say than "a text". */
#include "conf/value.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/text.h"

/* ---- forms ---- */

static bool is_domain(struct vgm_slice s)
{
	size_t label = 0;
	if (s.len == 0 || s.len > 253)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.data[i];
		bool hyphen_at_end =
		    c == '-' && (label == 0 || i + 1 == s.len || s.data[i + 1] == '.');
		if (c == '.' ? label == 0
			     : hyphen_at_end || (!vgm_is_alnum(c) && c != '-' && c < 0x80))
			return false;
		label = c == '.' ? 0 : label + 1;
		if (label > 63)
			return false;
	}
	return label > 0;
}

/* Fills address (4 or 16 bytes) and its length in bits. */
static bool read_ip(struct vgm_slice s, uint8_t address[16], unsigned *out_bits)
{
	char text[INET6_ADDRSTRLEN + 1];
	if (s.len >= sizeof(text))
		return false;
	memcpy(text, s.data, s.len);
	text[s.len] = '\0';
	if (inet_pton(AF_INET, text, address) == 1)
		*out_bits = 32;
	else if (inet_pton(AF_INET6, text, address) == 1)
		*out_bits = 128;
	else
		return false;
	return true;
}

static bool is_ip(struct vgm_slice s)
{
	uint8_t address[16];
	unsigned bits;
	return read_ip(s, address, &bits);
}

/* 192.0.2.0/24, 2001:db8::/32, or one address. Bits set behind the prefix are a
 * slip of the pen. */
static bool is_network(struct vgm_slice s)
{
	size_t slash = vgm_slice_find(s, '/');
	uint8_t address[16];
	unsigned bits;
	uint64_t prefix;
	if (!read_ip(vgm_slice_sub(s, 0, slash), address, &bits))
		return false;
	prefix = bits;
	if (slash < s.len && !vgm_slice_to_u64(vgm_slice_from(s, slash + 1), bits, &prefix))
		return false;
	for (uint64_t i = prefix; i < bits; i++)
		if (address[i / 8] >> (7 - i % 8) & 1)
			return false;
	return true;
}

/* HOST:PORT; an IPv6 address stands in brackets. */
static bool split_place(struct vgm_slice s, struct vgm_slice *host, struct vgm_slice *port)
{
	size_t colon = vgm_slice_rfind(s, ':');
	if (colon == s.len)
		return false;
	*host = vgm_slice_sub(s, 0, colon);
	*port = vgm_slice_from(s, colon + 1);
	return true;
}

static bool is_host(struct vgm_slice s)
{
	struct vgm_slice inside = vgm_slice_sub(s, 1, s.len ? s.len - 1 : 0);
	if (s.len > 2 && s.data[0] == '[' && s.data[s.len - 1] == ']')
		return vgm_slice_find(inside, ':') < inside.len && is_ip(inside);
	return is_domain(s);
}

static bool is_port(struct vgm_slice s, uint64_t least)
{
	uint64_t number;
	return vgm_slice_to_u64(s, 65535, &number) && number >= least;
}

static bool is_place(struct vgm_slice s)
{
	struct vgm_slice host, port;
	return split_place(s, &host, &port) && is_host(host) && is_port(port, 1);
}

/* What a socket is bound to: names are not looked up; port 0 is any free one. */
static bool is_listen(struct vgm_slice s)
{
	struct vgm_slice host, port;
	if (!split_place(s, &host, &port) || host.len == 0 || !is_port(port, 0))
		return false;
	return host.data[0] == '[' ? is_host(host)
				   : (is_ip(host) && vgm_slice_find(host, ':') == host.len) ||
					 vgm_slice_eq(host, VGM_SLICE_LIT("localhost")) ||
					 vgm_slice_eq(host, VGM_SLICE_LIT("*"));
}

static bool is_route_target(struct vgm_slice s)
{
	return vgm_slice_eq(s, VGM_SLICE_LIT("mx")) || is_place(s);
}

static bool is_route_domain(struct vgm_slice s)
{
	return vgm_slice_eq(s, VGM_SLICE_LIT("*")) || is_domain(s);
}

static bool is_address(struct vgm_slice s)
{
	size_t at = vgm_slice_rfind(s, '@');
	return s.len == 0 || (at > 0 && at < s.len && is_domain(vgm_slice_from(s, at + 1)));
}

static bool is_sender(struct vgm_slice s)
{
	return s.data[0] == '@' ? is_domain(vgm_slice_from(s, 1)) : is_address(s);
}

static bool is_fingerprint(struct vgm_slice s)
{
	uint8_t bytes[32];
	return vgm_hex_decode(s, bytes, sizeof(bytes)) == 0;
}

static bool is_wait(struct vgm_slice s)
{
	uint64_t ms;
	return vgm_conf_read_time(s, &ms) == 0 && ms >= 1000 && ms <= 2592000000;
}

static bool is_password(struct vgm_slice s)
{
	return vgm_slice_starts_nocase(s, VGM_SLICE_LIT("$argon2id$"));
}

/* A name that ends up in "route:NAME". */
static bool is_name(struct vgm_slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!vgm_is_alnum(s.data[i]) && s.data[i] != '-' && s.data[i] != '_')
			return false;
	return true;
}

/* ---- the table ---- */

static const struct check {
	const char *path;
	bool (*is)(struct vgm_slice);
	const char *choices; /* instead of is */
	enum vgm_words_id words;
} checks[] = {
    {"hostname", is_domain, NULL, VGM_WORDS_conf_not_domain},
    {"domains", is_domain, NULL, VGM_WORDS_conf_not_domain},
    {"language", NULL, "fr, en", VGM_WORDS_conf_not_choice},
    {"postmaster", is_address, NULL, VGM_WORDS_conf_not_address},
    {"receive.listen", is_listen, NULL, VGM_WORDS_conf_not_listen},
    {"receive.proxies", is_network, NULL, VGM_WORDS_conf_not_network},
    {"receive.trusted_hops", is_network, NULL, VGM_WORDS_conf_not_network},
    {"submit.listen", is_listen, NULL, VGM_WORDS_conf_not_listen},
    {"submit.listen_tls", is_listen, NULL, VGM_WORDS_conf_not_listen},
    {"submit.relays", is_network, NULL, VGM_WORDS_conf_not_network},
    {"submit.relay_certificates", is_fingerprint, NULL, VGM_WORDS_conf_not_fingerprint},
    {"devices.listen", is_listen, NULL, VGM_WORDS_conf_not_listen},
    {"submit.logins.password", is_password, NULL, VGM_WORDS_conf_not_password},
    {"submit.logins.senders", is_sender, NULL, VGM_WORDS_conf_not_address},
    {"devices.machines.address", is_network, NULL, VGM_WORDS_conf_not_network},
    {"keys.root", NULL, "file, passphrase", VGM_WORDS_conf_not_choice},
    {"routes.name", is_name, NULL, VGM_WORDS_conf_not_name},
    {"routes.domains", is_route_domain, NULL, VGM_WORDS_conf_not_domain},
    {"routes.to", is_route_target, NULL, VGM_WORDS_conf_not_place},
    {"routes.tls", NULL, "may, encrypt, verify", VGM_WORDS_conf_not_choice},
    {"queue.retry", is_wait, NULL, VGM_WORDS_conf_not_time},
    {"dns.servers", is_place, NULL, VGM_WORDS_conf_not_place},
    {"log.level", NULL, "error, warning, info, debug", VGM_WORDS_conf_not_choice},
};

static bool is_choice(struct vgm_slice text, const char *choices)
{
	struct vgm_slice rest = vgm_slice_str(choices);
	while (rest.len > 0) {
		size_t comma = vgm_slice_find(rest, ',');
		if (vgm_slice_eq(vgm_slice_trim(vgm_slice_sub(rest, 0, comma)), text))
			return true;
		rest = vgm_slice_from(rest, comma + 1);
	}
	return false;
}

/* Is the check's path that of the option (in its row)? */
static bool is_about(
    const char *path, const struct vgm_conf_option *o, const struct vgm_conf_option *rows)
{
	size_t n = rows ? strlen(rows->path) : 0;
	if (!rows)
		return strcmp(path, o->path) == 0;
	return strncmp(path, rows->path, n) == 0 && path[n] == '.' &&
	       strcmp(path + n + 1, o->path) == 0;
}

int vgm_conf_check(const struct vgm_conf_option *o, const struct vgm_conf_option *rows,
    struct vgm_slice text, struct vgm_conf_wrong *wrong)
{
	for (size_t i = 0; i < VGM_ARRAY_LEN(checks); i++) {
		const struct check *c = &checks[i];
		if (!is_about(c->path, o, rows))
			continue;
		if (c->is ? c->is(text) : is_choice(text, c->choices))
			return 0;
		wrong->words = c->words;
		snprintf(
		    wrong->expected, sizeof(wrong->expected), "%s", c->choices ? c->choices : "");
		return VGM_E_INVALID;
	}
	return 0;
}

const char *vgm_conf_choices(const char *path)
{
	for (size_t i = 0; i < VGM_ARRAY_LEN(checks); i++)
		if (checks[i].choices && strcmp(checks[i].path, path) == 0)
			return checks[i].choices;
	return NULL;
}

/* ---- the whole ---- */

static int whole_wrong(struct vgm_conf_wrong *wrong, enum vgm_words_id words, const char *path,
    const char **out_path, const char *found, struct vgm_buf *out_found)
{
	wrong->words = words;
	wrong->expected[0] = '\0';
	*out_path = path;
	int r = vgm_buf_add_str(out_found, found);
	return r < 0 ? r : VGM_E_INVALID;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The first column of each kind of row is its name; names are unique. */
static int check_names(const struct vgm_conf *conf, const struct vgm_conf_option *rows,
    struct vgm_conf_wrong *wrong, const char **out_path, struct vgm_buf *out_found)
{
	size_t count = vgm_conf_row_count(conf, rows);
	char **names = vgm_alloc((count + 1) * sizeof(*names));
	int r = 0;
	for (size_t i = 0; i < count; i++)
		memcpy(&names[i],
		    vgm_conf_field_const(vgm_conf_row(conf, rows, i), rows->columns()),
		    sizeof(*names));
	qsort(names, count, sizeof(*names), by_text);
	for (size_t i = 1; i < count && r == 0; i++)
		if (strcmp(names[i - 1], names[i]) == 0)
			r = whole_wrong(wrong, VGM_WORDS_conf_name_twice, rows->path, out_path,
			    names[i], out_found);
	vgm_free(names);
	return r;
}

int vgm_conf_check_whole(const struct vgm_conf *conf, struct vgm_conf_wrong *wrong,
    const char **out_path, struct vgm_buf *out_found)
{
	for (const struct vgm_conf_option *o = vgm_conf_options(); o->path; o++) {
		int r = o->kind == VGM_CONF_ROWS
		    ? check_names(conf, o, wrong, out_path, out_found)
		    : 0;
		if (r < 0)
			return r;
	}
	if ((conf->tls_certificate[0] == '\0') != (conf->tls_key[0] == '\0'))
		return whole_wrong(wrong, VGM_WORDS_conf_half_pair,
		    conf->tls_key[0] ? "tls.certificate" : "tls.key", out_path, "", out_found);
	for (size_t i = 0; i < conf->routes_count; i++)
		if (conf->routes[i].to.count == 0)
			return whole_wrong(wrong, VGM_WORDS_conf_route_nowhere, "routes.to",
			    out_path, conf->routes[i].name, out_found);
	return 0;
}
