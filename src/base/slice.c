/* SPDX-License-Identifier: EUPL-1.2
 * base/slice.c — see slice.h. */
#include "base/slice.h"

#include "base/text.h"

bool vgm_slice_eq_nocase(struct vgm_slice a, struct vgm_slice b)
{
	return a.len == b.len && vgm_slice_starts_nocase(a, b);
}

bool vgm_slice_starts_nocase(struct vgm_slice s, struct vgm_slice prefix)
{
	if (s.len < prefix.len)
		return false;
	for (size_t i = 0; i < prefix.len; i++)
		if (vgm_ascii_lower(s.data[i]) != vgm_ascii_lower(prefix.data[i]))
			return false;
	return true;
}

size_t vgm_slice_rfind(struct vgm_slice s, uint8_t c)
{
	const uint8_t *p = s.len ? memrchr(s.data, c, s.len) : NULL;
	return p ? (size_t)(p - s.data) : s.len;
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct vgm_slice vgm_slice_trim(struct vgm_slice s)
{
	size_t from = 0, end = s.len;
	while (from < end && is_blank(s.data[from]))
		from++;
	while (end > from && is_blank(s.data[end - 1]))
		end--;
	return vgm_slice_sub(s, from, end);
}

bool vgm_slice_to_u64(struct vgm_slice s, uint64_t max, uint64_t *out)
{
	uint64_t value = 0;
	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		uint8_t digit = (uint8_t)(s.data[i] - '0');
		if (digit > 9 || value > (max - vgm_min_size(digit, max)) / 10)
			return false;
		value = value * 10 + digit;
	}
	if (value > max)
		return false;
	*out = value;
	return true;
}

char *vgm_slice_dup(struct vgm_slice s)
{
	char *copy = vgm_alloc(s.len + 1);
	if (s.len)
		memcpy(copy, s.data, s.len);
	return copy;
}
