/* SPDX-License-Identifier: EUPL-1.2
 * smtp/server/param.c — parameters behind a path (RFC 5321 section 4.1.2:
 * esmtp-param). A value holds no space, no "=" and no control byte; the "=" of
 * our own grammar is the first one. */
#include "base/err.h"
#include "base/text.h"
#include "smtp/server/internal.h"

static bool is_key(struct vgm_slice key)
{
	for (size_t i = 0; i < key.len; i++)
		if (!vgm_is_alnum(key.data[i]) && (i == 0 || key.data[i] != '-'))
			return false;
	return key.len > 0;
}

struct vgm_slice vgm_smtp_behind(struct vgm_slice args, struct vgm_slice keyword)
{
	if (!vgm_slice_starts_nocase(args, keyword))
		return VGM_SLICE_NONE;
	struct vgm_slice rest = vgm_slice_from(args, keyword.len);
	/* "MAIL FROM: <...>" is wrong, harmless, and sent by many. */
	while (rest.len && rest.data[0] == ' ')
		rest = vgm_slice_from(rest, 1);
	return rest;
}

unsigned vgm_smtp_path_faults(struct vgm_slice rest)
{
	return rest.len && rest.data[0] == '<' ? 0 : VGM_FAULT_PATH;
}

int vgm_smtp_next_param(struct vgm_slice *rest, struct vgm_smtp_param *out)
{
	size_t start = 0;
	while (start < rest->len && rest->data[start] == ' ')
		start++;
	if (start == rest->len)
		return 0;
	/* A path and its parameters are apart by a space. */
	if (start == 0)
		return VGM_E_INVALID;
	struct vgm_slice word = vgm_slice_from(*rest, start);
	word.len = vgm_slice_find(word, ' ');
	size_t equals = vgm_slice_find(word, '=');
	struct vgm_smtp_param p = {.key = vgm_slice_sub(word, 0, equals),
	    .has_value = equals < word.len,
	    .value = vgm_slice_from(word, equals + 1)};
	bool more_equals = vgm_slice_find(p.value, '=') < p.value.len;
	if (!is_key(p.key) || more_equals || (p.has_value && p.value.len == 0))
		return VGM_E_INVALID;
	*rest = vgm_slice_from(*rest, start + word.len);
	*out = p;
	return 1;
}
