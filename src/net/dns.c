/* SPDX-License-Identifier: EUPL-1.2
 * net/dns.c — see dns.h. */
#include "net/dns.h"

#include "base/text.h"

#define LABEL_MAX 63u
#define NAME_MAX_BYTES 253u
#define TLSA_LEAST 4u /* usage, selector, matching type, something */

/* Underscores are no host's, but stand in names that are asked for (TLSA). */
static bool name_byte(uint8_t c)
{
	return vgm_is_alnum(c) || c == '-' || c == '_';
}

bool vgm_dns_name_valid(struct vgm_slice name)
{
	if (name.len == 0 || name.len > NAME_MAX_BYTES)
		return false;
	size_t label = 0;
	for (size_t i = 0; i < name.len; i++) {
		if (name.data[i] == '.') {
			if (label == 0)
				return false;
			label = 0;
		} else if (!name_byte(name.data[i]) || ++label > LABEL_MAX)
			return false;
	}
	return label > 0;
}

/* An uncompressed name that fills the slice; "" for the root. */
static int decode_name(struct vgm_slice in, struct vgm_buf *out)
{
	size_t before = out->len;
	for (;;) {
		size_t len = in.len ? in.data[0] : SIZE_MAX;
		if (len > LABEL_MAX || len >= in.len)
			return VGM_E_INVALID;
		if (len == 0)
			return in.len == 1 ? 0 : VGM_E_INVALID;
		if (out->len > before && vgm_buf_add_byte(out, '.') < 0)
			return VGM_E_LIMIT;
		for (size_t i = 1; i <= len; i++) {
			if (!name_byte(in.data[i]))
				return VGM_E_INVALID;
			if (vgm_buf_add_byte(out, vgm_ascii_lower(in.data[i])) < 0)
				return VGM_E_LIMIT;
		}
		if (out->len - before > NAME_MAX_BYTES)
			return VGM_E_INVALID;
		in = vgm_slice_from(in, 1 + len);
	}
}

static int decode_mx(struct vgm_slice in, struct vgm_buf *out, uint16_t *preference)
{
	if (in.len < 3)
		return VGM_E_INVALID;
	*preference = (uint16_t)(in.data[0] << 8 | in.data[1]);
	return decode_name(vgm_slice_from(in, 2), out);
}

static int decode_txt(struct vgm_slice in, struct vgm_buf *out)
{
	size_t before = out->len;
	if (in.len == 0)
		return VGM_E_INVALID;
	while (in.len) {
		size_t len = in.data[0];
		if (len >= in.len)
			return VGM_E_INVALID;
		if (out->len - before + len > VGM_DNS_DATA_MAX)
			return VGM_E_LIMIT;
		if (vgm_buf_add(out, in.data + 1, len) < 0)
			return VGM_E_LIMIT;
		in = vgm_slice_from(in, 1 + len);
	}
	return 0;
}

static int copy(struct vgm_slice in, size_t least, size_t most, struct vgm_buf *out)
{
	if (in.len < least)
		return VGM_E_INVALID;
	if (in.len > most)
		return most == VGM_DNS_DATA_MAX ? VGM_E_LIMIT : VGM_E_INVALID;
	return vgm_buf_add_slice(out, in);
}

static int decode(uint16_t type, struct vgm_slice in, struct vgm_buf *out, uint16_t *preference)
{
	switch (type) {
	case VGM_DNS_A:
		return copy(in, 4, 4, out);
	case VGM_DNS_AAAA:
		return copy(in, 16, 16, out);
	case VGM_DNS_MX:
		return decode_mx(in, out, preference);
	case VGM_DNS_TXT:
		return decode_txt(in, out);
	case VGM_DNS_TLSA:
		return copy(in, TLSA_LEAST, VGM_DNS_DATA_MAX, out);
	default:
		return VGM_E_INVALID;
	}
}

bool vgm_dns_known(uint16_t type)
{
	return type == VGM_DNS_A || type == VGM_DNS_AAAA || type == VGM_DNS_MX ||
	    type == VGM_DNS_TXT || type == VGM_DNS_TLSA;
}

int vgm_dns_decode(
    uint16_t type, struct vgm_slice rdata, struct vgm_buf *out, uint16_t *out_preference)
{
	size_t before = out->len;
	uint16_t preference = 0;
	int r = decode(type, rdata, out, &preference);
	if (r < 0)
		vgm_buf_truncate(out, before);
	else
		*out_preference = preference;
	return r;
}
