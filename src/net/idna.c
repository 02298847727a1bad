/* SPDX-License-Identifier: EUPL-1.2
 * net/idna.c — see idna.h. Most mail never reaches libidn2: what is ASCII is
 * done here. idn2_strerror is not called: it would look for translated texts,
 * which are files. */
#include "net/idna.h"

#include "base/text.h"
#include "net/dns.h"

#include <idn2.h>

/* Bytes of UTF-8 that may still become 253: a character has at most four, and
 * becomes at least one. Names padded with characters that the mapping drops are
 * nobody's. */
#define INPUT_MAX (4u * VGM_IDNA_MAX)

static int add_lower(struct vgm_slice domain, struct vgm_buf *out, struct vgm_err *err)
{
	uint8_t *to;
	if (!vgm_dns_name_valid(domain))
		return vgm_err_set(err, VGM_E_INVALID, "not a domain name");
	if (vgm_buf_extend(out, domain.len, &to) < 0)
		return vgm_err_set(err, VGM_E_LIMIT, "no room for a domain name");
	for (size_t i = 0; i < domain.len; i++)
		to[i] = vgm_ascii_lower(domain.data[i]);
	return 0;
}

static int convert(struct vgm_slice domain, struct vgm_buf *out, struct vgm_err *err)
{
	uint8_t text[INPUT_MAX + 1], *ascii = NULL;
	if (domain.len > INPUT_MAX || vgm_slice_find(domain, 0) < domain.len ||
	    !vgm_utf8_valid(domain))
		return vgm_err_set(err, VGM_E_INVALID, "not a domain name");
	memcpy(text, domain.data, domain.len);
	text[domain.len] = 0;
	/* Not IDN2_USE_STD3_ASCII_RULES: it drops what it should refuse ("a_b" is "ab"). */
	int rc = idn2_lookup_u8(text, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	VGM_BUG_ON(rc == IDN2_MALLOC);
	if (rc != IDN2_OK)
		return vgm_err_set(
		    err, VGM_E_INVALID, "not a domain name: %s", idn2_strerror_name(rc));
	/* The library lets pass what no host can be called. */
	int r = add_lower(vgm_slice_str((const char *)ascii), out, err);
	idn2_free(ascii);
	return r;
}

int vgm_idna_to_ascii(struct vgm_slice domain, struct vgm_buf *out, struct vgm_err *err)
{
	return vgm_is_ascii(domain) ? add_lower(domain, out, err) : convert(domain, out, err);
}

struct vgm_slice vgm_idna_plain(struct vgm_slice domain, struct vgm_buf *room)
{
	vgm_buf_clear(room);
	if (vgm_is_ascii(domain) || convert(domain, room, NULL) < 0)
		return domain;
	return vgm_buf_slice(room);
}

bool vgm_idna_same(struct vgm_slice a, struct vgm_slice b)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf x = VGM_BUF_INIT(VGM_IDNA_MAX);
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf y = VGM_BUF_INIT(VGM_IDNA_MAX);
	return vgm_slice_eq_nocase(a, b) ||
	    vgm_slice_eq_nocase(vgm_idna_plain(a, &x), vgm_idna_plain(b, &y));
}
