/* SPDX-License-Identifier: EUPL-1.2
 * words/suggest.c — see suggest.h. Optimal string alignment distance, three rows
 * of the matrix at a time. */
#include "words/suggest.h"

#include "base/text.h"

#define LENGTH_MAX 100

static size_t least(size_t a, size_t b, size_t c)
{
	return vgm_min_size(a, vgm_min_size(b, c));
}

size_t vgm_suggest_distance(struct vgm_slice a, struct vgm_slice b)
{
	size_t rows[3][LENGTH_MAX + 1];
	if (a.len > LENGTH_MAX || b.len > LENGTH_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= b.len; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= a.len; i++) {
		size_t *now = rows[i % 3], *before = rows[(i - 1) % 3], *two = rows[(i + 1) % 3];
		uint8_t x = vgm_ascii_lower(a.data[i - 1]);
		now[0] = i;
		for (size_t j = 1; j <= b.len; j++) {
			uint8_t y = vgm_ascii_lower(b.data[j - 1]);
			now[j] = least(before[j] + 1, now[j - 1] + 1, before[j - 1] + (x != y));
			if (i > 1 && j > 1 && x == vgm_ascii_lower(b.data[j - 2]) &&
			    y == vgm_ascii_lower(a.data[i - 2]))
				now[j] = vgm_min_size(now[j], two[j - 2] + 1);
		}
	}
	return rows[a.len % 3][b.len];
}

void vgm_suggest_try(struct vgm_suggest *s, const char *name)
{
	struct vgm_slice candidate = vgm_slice_str(name);
	size_t distance = vgm_suggest_distance(s->given, candidate);
	size_t longer = candidate.len > s->given.len ? candidate.len : s->given.len;
	size_t near = longer / 3 > 1 ? longer / 3 : 1;
	if (distance <= near && (!s->best || distance < s->distance)) {
		s->best = name;
		s->distance = distance;
	}
}
