/* SPDX-License-Identifier: EUPL-1.2
 * net/addr.c — see addr.h. */
#include "net/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* ---- text ---- */

int vgm_ip_parse(struct vgm_slice text, uint8_t out[16], struct vgm_err *err)
{
	char copy[INET6_ADDRSTRLEN];
	uint8_t ip[16];
	bool bracketed = text.len >= 2 && text.data[0] == '[' && text.data[text.len - 1] == ']';
	if (bracketed)
		text = vgm_slice_sub(text, 1, text.len - 1);
	if (text.len == 0 || text.len >= sizeof copy || memchr(text.data, 0, text.len))
		return vgm_err_set(err, VGM_E_INVALID, "not an address");
	memcpy(copy, text.data, text.len);
	copy[text.len] = 0;
	if (inet_pton(AF_INET6, copy, ip) == 1) {
		memcpy(out, ip, 16);
		return 0;
	}
	memcpy(ip, v4_prefix, 12);
	if (bracketed || inet_pton(AF_INET, copy, ip + 12) != 1)
		return vgm_err_set(err, VGM_E_INVALID, "not an address");
	memcpy(out, ip, 16);
	return 0;
}

int vgm_ip_format(const uint8_t ip[16], struct vgm_buf *out)
{
	char text[INET6_ADDRSTRLEN];
	bool v4 = vgm_ip_is_v4(ip);
	VGM_BUG_ON(!inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? ip + 12 : ip, text, sizeof text));
	return vgm_buf_add_str(out, text);
}

int vgm_ip_format_literal(const uint8_t ip[16], struct vgm_buf *out)
{
	size_t before = out->len;
	int r = vgm_buf_add_str(out, vgm_ip_is_v4(ip) ? "[" : "[IPv6:");
	if (r == 0)
		r = vgm_ip_format(ip, out);
	if (r == 0)
		r = vgm_buf_add_byte(out, ']');
	if (r < 0)
		vgm_buf_truncate(out, before);
	return r;
}

static int split(struct vgm_slice text, uint64_t least, struct vgm_slice *out_host,
    uint16_t *out_port, struct vgm_err *err)
{
	size_t colon = vgm_slice_rfind(text, ':');
	struct vgm_slice host = vgm_slice_sub(text, 0, colon);
	uint64_t port;
	if (colon == text.len || !vgm_slice_to_u64(vgm_slice_from(text, colon + 1), 65535, &port) ||
	    port < least)
		return vgm_err_set(err, VGM_E_INVALID, "no port up to 65535 behind a colon");
	bool bracketed = host.len > 2 && host.data[0] == '[' && host.data[host.len - 1] == ']';
	if (bracketed)
		host = vgm_slice_sub(host, 1, host.len - 1);
	else if (host.len == 0 || host.data[0] == '[' || vgm_slice_find(host, ':') < host.len)
		return vgm_err_set(err, VGM_E_INVALID, "no host before the port");
	*out_host = host;
	*out_port = (uint16_t)port;
	return 0;
}

int vgm_addr_split(
    struct vgm_slice text, struct vgm_slice *out_host, uint16_t *out_port, struct vgm_err *err)
{
	return split(text, 1, out_host, out_port, err);
}

int vgm_addr_parse(struct vgm_slice text, struct vgm_addr *out, struct vgm_err *err)
{
	struct vgm_slice host;
	struct vgm_addr a = {.port = 0};
	int r = split(text, 0, &host, &a.port, err);
	if (r < 0)
		return r;
	if (vgm_slice_eq_nocase(host, VGM_SLICE_LIT("localhost")))
		host = VGM_SLICE_LIT("127.0.0.1");
	if (!vgm_slice_eq(host, VGM_SLICE_LIT("*")))
		r = vgm_ip_parse(host, a.ip, err);
	if (r == 0)
		*out = a;
	return r;
}

int vgm_network_parse(struct vgm_slice text, struct vgm_network *out, struct vgm_err *err)
{
	struct vgm_network n;
	uint8_t masked[16];
	size_t slash = vgm_slice_find(text, '/');
	int r = vgm_ip_parse(vgm_slice_sub(text, 0, slash), n.ip, err);
	if (r < 0)
		return r;
	/* The written form decides: "::ffff:192.0.2.0/120" counts in 128 bits. */
	bool v4 = vgm_slice_find(text, ':') == text.len;
	uint64_t bits = v4 ? 32 : 128;
	if (slash < text.len && !vgm_slice_to_u64(vgm_slice_from(text, slash + 1), bits, &bits))
		return vgm_err_set(err, VGM_E_INVALID, "not a prefix length");
	n.bits = (uint8_t)(bits + (v4 ? 96 : 0));
	unsigned keep4 = n.bits > 96 ? n.bits - 96u : 0;
	vgm_ip_network(n.ip, keep4, n.bits, masked);
	if (memcmp(masked, n.ip, 16) != 0)
		return vgm_err_set(err, VGM_E_INVALID, "bits are set behind the prefix");
	*out = n;
	return 0;
}

/* ---- questions ---- */

bool vgm_ip_is_v4(const uint8_t ip[16])
{
	return memcmp(ip, v4_prefix, 12) == 0;
}

bool vgm_ip_is_loopback(const uint8_t ip[16])
{
	static const uint8_t v6[16] = {[15] = 1};
	return vgm_ip_is_v4(ip) ? ip[12] == 127 : memcmp(ip, v6, 16) == 0;
}

/* The first bits of a byte that lies from bit `start` on. */
static uint8_t mask_at(unsigned start, unsigned bits)
{
	if (bits >= start + 8)
		return 0xff;
	return bits <= start ? 0 : (uint8_t)(0xff << (start + 8 - bits));
}

bool vgm_network_has(const struct vgm_network *n, const uint8_t ip[16])
{
	for (unsigned i = 0; i < 16; i++)
		if ((ip[i] & mask_at(i * 8, n->bits)) != n->ip[i])
			return false;
	return true;
}

void vgm_ip_network(const uint8_t ip[16], unsigned v4_bits, unsigned v6_bits, uint8_t out[16])
{
	unsigned bits = vgm_ip_is_v4(ip) ? 96 + v4_bits : v6_bits;
	for (unsigned i = 0; i < 16; i++)
		out[i] = ip[i] & mask_at(i * 8, bits);
}

/* ---- the kernel's form ---- */

socklen_t vgm_addr_to_sockaddr(const struct vgm_addr *a, struct sockaddr_storage *out)
{
	memset(out, 0, sizeof *out);
	if (vgm_ip_is_v4(a->ip)) {
		struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(a->port)};
		memcpy(&sin.sin_addr, a->ip + 12, 4);
		memcpy(out, &sin, sizeof sin);
		return sizeof sin;
	}
	struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = htons(a->port)};
	memcpy(&sin6.sin6_addr, a->ip, 16);
	memcpy(out, &sin6, sizeof sin6);
	return sizeof sin6;
}

int vgm_addr_from_sockaddr(const struct sockaddr *sa, struct vgm_addr *out)
{
	if (sa->sa_family == AF_INET) {
		struct sockaddr_in sin;
		memcpy(&sin, sa, sizeof sin);
		memcpy(out->ip, v4_prefix, 12);
		memcpy(out->ip + 12, &sin.sin_addr, 4);
		out->port = ntohs(sin.sin_port);
		return 0;
	}
	if (sa->sa_family != AF_INET6)
		return VGM_E_INVALID;
	struct sockaddr_in6 sin6;
	memcpy(&sin6, sa, sizeof sin6);
	memcpy(out->ip, &sin6.sin6_addr, 16);
	out->port = ntohs(sin6.sin6_port);
	return 0;
}
