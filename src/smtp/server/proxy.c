/* SPDX-License-Identifier: EUPL-1.2
 * smtp/server/proxy.c — see proxy.h. */
#include "smtp/server/proxy.h"

#define V1_MAX 107 /* with CR LF */
#define V2_HEAD 16

static const struct vgm_slice v2_signature = {(const uint8_t *)"\r\n\r\n\0\r\nQUIT\n", 12};

/* ---- version 1: "PROXY TCP4 192.0.2.1 198.51.100.1 56324 25\r\n" ---- */

static struct vgm_slice word(struct vgm_slice *rest)
{
	size_t space = vgm_slice_find(*rest, ' ');
	struct vgm_slice w = vgm_slice_sub(*rest, 0, space);
	*rest = vgm_slice_from(*rest, space + 1);
	return w;
}

static bool port(struct vgm_slice text, uint16_t *out)
{
	uint64_t value;
	if (!vgm_slice_to_u64(text, 65535, &value))
		return false;
	*out = (uint16_t)value;
	return true;
}

static bool v1_addresses(struct vgm_slice rest, bool v4, struct vgm_addr *client)
{
	struct vgm_addr server;
	struct vgm_slice from = word(&rest), to = word(&rest);
	struct vgm_slice from_port = word(&rest), to_port = rest;
	return vgm_ip_parse(from, client->ip, NULL) == 0 &&
	       vgm_ip_parse(to, server.ip, NULL) == 0 && vgm_ip_is_v4(client->ip) == v4 &&
	       port(from_port, &client->port) && port(to_port, &server.port);
}

static int parse_v1(struct vgm_slice in, struct vgm_proxy *out, size_t *out_used)
{
	size_t lf = vgm_slice_find(vgm_slice_sub(in, 0, V1_MAX), '\n');
	if (lf >= in.len)
		return in.len < V1_MAX ? 0 : VGM_E_INVALID;
	if (lf >= V1_MAX || lf == 0 || in.data[lf - 1] != '\r')
		return VGM_E_INVALID;
	struct vgm_slice rest = vgm_slice_sub(in, 0, lf - 1);
	word(&rest);
	struct vgm_slice family = word(&rest);
	struct vgm_proxy p = {.local = vgm_slice_eq(family, VGM_SLICE_LIT("UNKNOWN"))};
	bool v4 = vgm_slice_eq(family, VGM_SLICE_LIT("TCP4"));
	bool v6 = vgm_slice_eq(family, VGM_SLICE_LIT("TCP6"));
	if (!p.local && !((v4 || v6) && v1_addresses(rest, v4, &p.client)))
		return VGM_E_INVALID;
	*out = p;
	*out_used = lf + 1;
	return 1;
}

/* ---- version 2: binary ---- */

static uint16_t u16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static int v2_addresses(uint8_t family, struct vgm_slice body, struct vgm_proxy *p)
{
	static const uint8_t v4_prefix[12] = {[10] = 0xff, [11] = 0xff};
	if (family == 0x11 && body.len >= 12) {
		memcpy(p->client.ip, v4_prefix, 12);
		memcpy(p->client.ip + 12, body.data, 4);
		p->client.port = u16(body.data + 8);
	} else if (family == 0x21 && body.len >= 36) {
		memcpy(p->client.ip, body.data, 16);
		p->client.port = u16(body.data + 32);
	} else if (family == 0) {
		p->local = true;
	} else {
		return VGM_E_INVALID;
	}
	return 1;
}

static int parse_v2(struct vgm_slice in, struct vgm_proxy *out, size_t *out_used)
{
	struct vgm_proxy p = {.local = false};
	if (in.len < V2_HEAD)
		return 0;
	size_t length = u16(in.data + 14);
	uint8_t command = in.data[12];
	if ((command != 0x20 && command != 0x21) || V2_HEAD + length > VGM_PROXY_MAX)
		return VGM_E_INVALID;
	if (in.len < V2_HEAD + length)
		return 0;
	struct vgm_slice body = vgm_slice_sub(in, V2_HEAD, V2_HEAD + length);
	p.local = command == 0x20;
	if (!p.local && v2_addresses(in.data[13], body, &p) < 0)
		return VGM_E_INVALID;
	*out = p;
	*out_used = V2_HEAD + length;
	return 1;
}

int vgm_proxy_parse(struct vgm_slice in, struct vgm_proxy *out, size_t *out_used)
{
	static const struct vgm_slice v1_start = {(const uint8_t *)"PROXY ", 6};
	size_t n1 = vgm_min_size(in.len, v1_start.len), n2 = vgm_min_size(in.len, v2_signature.len);
	if (vgm_slice_eq(vgm_slice_sub(in, 0, n1), vgm_slice_sub(v1_start, 0, n1)))
		return n1 < v1_start.len ? 0 : parse_v1(in, out, out_used);
	if (vgm_slice_eq(vgm_slice_sub(in, 0, n2), vgm_slice_sub(v2_signature, 0, n2)))
		return n2 < v2_signature.len ? 0 : parse_v2(in, out, out_used);
	return VGM_E_INVALID;
}
