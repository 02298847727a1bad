/* SPDX-License-Identifier: EUPL-1.2
 * view/filter.c — what people type, as a filter. */
#include "base/clock.h"
#include "base/text.h"
#include "view/query.h"

#define ID_DIGITS_MIN 6
#define ID_DIGITS_MAX 32

/* ---- ids ---- */

static int digit_of(uint8_t c)
{
	c = vgm_ascii_lower(c);
	if (vgm_is_digit(c))
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The least and the greatest id that begin with these digits. */
static bool id_range(struct vgm_slice digits, struct vgm_view_filter *filter)
{
	if (digits.len < ID_DIGITS_MIN || digits.len > ID_DIGITS_MAX)
		return false;
	uint8_t low[16], high[16];
	memset(low, 0, sizeof low);
	memset(high, 0xff, sizeof high);
	for (size_t i = 0; i < digits.len; i++) {
		int d = digit_of(digits.data[i]);
		if (d < 0)
			return false;
		unsigned shift = i % 2 ? 0 : 4;
		low[i / 2] |= (uint8_t)(d << shift);
		high[i / 2] &= (uint8_t)(d << shift | (shift ? 0x0f : 0xf0));
	}
	memcpy(filter->id_min, low, sizeof low);
	memcpy(filter->id_max, high, sizeof high);
	filter->by_id = true;
	return true;
}

/* ---- dates ---- */

static bool number_at(
    struct vgm_slice s, size_t from, size_t len, uint64_t min, uint64_t max, uint64_t *out)
{
	return from + len <= s.len &&
	       vgm_slice_to_u64(vgm_slice_sub(s, from, from + len), max, out) && *out >= min;
}

static bool byte_at(struct vgm_slice s, size_t at, uint8_t c)
{
	return at < s.len && s.data[at] == c;
}

/* Days from 1970-01-01 to a civil date: years begin in March, so that the day
 * that is sometimes missing comes last. */
static uint64_t days_since_epoch(uint64_t year, uint64_t month, uint64_t day)
{
	uint64_t y = month > 2 ? year : year - 1;
	uint64_t m = month > 2 ? month - 3 : month + 9;
	uint64_t days = y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1;
	return days - 719468;
}

static bool parse_date(struct vgm_slice s, uint64_t *out_ms)
{
	uint64_t year, month, day, hour = 0, minute = 0, second = 0;
	if (s.len && (s.data[s.len - 1] == 'Z' || s.data[s.len - 1] == 'z'))
		s.len--;
	bool ok = (s.len == 10 || s.len == 16 || s.len == 19) && byte_at(s, 4, '-') &&
		  byte_at(s, 7, '-') && number_at(s, 0, 4, 1970, 9999, &year) &&
		  number_at(s, 5, 2, 1, 12, &month) && number_at(s, 8, 2, 1, 31, &day);
	if (ok && s.len > 10)
		ok = (byte_at(s, 10, 'T') || byte_at(s, 10, 't') || byte_at(s, 10, ' ')) &&
		     byte_at(s, 13, ':') && number_at(s, 11, 2, 0, 23, &hour) &&
		     number_at(s, 14, 2, 0, 59, &minute);
	if (ok && s.len > 16)
		ok = byte_at(s, 16, ':') && number_at(s, 17, 2, 0, 60, &second);
	if (!ok)
		return false;
	uint64_t days = days_since_epoch(year, month, day);
	struct vgm_date back = vgm_date_utc(days * 86400 * 1000000);
	if (back.month != (int)month || back.day != (int)day) /* 30 February */
		return false;
	*out_ms = (days * 86400 + hour * 3600 + minute * 60 + second) * 1000;
	return true;
}

/* ---- terms ---- */

static enum vgm_view_term set_from(struct vgm_view_filter *f, struct vgm_slice value)
{
	f->from = value;
	return VGM_VIEW_TERM_OK;
}

static enum vgm_view_term set_to(struct vgm_view_filter *f, struct vgm_slice value)
{
	f->to = value;
	return VGM_VIEW_TERM_OK;
}

static enum vgm_view_term set_before(struct vgm_view_filter *f, struct vgm_slice value)
{
	return parse_date(value, &f->before_ms) ? VGM_VIEW_TERM_OK : VGM_VIEW_TERM_DATE;
}

static enum vgm_view_term set_after(struct vgm_view_filter *f, struct vgm_slice value)
{
	return parse_date(value, &f->after_ms) ? VGM_VIEW_TERM_OK : VGM_VIEW_TERM_DATE;
}

static enum vgm_view_term set_status(struct vgm_view_filter *f, struct vgm_slice value)
{
	enum vgm_view_state state;
	if (!vgm_view_state_parse(value, &state))
		return VGM_VIEW_TERM_STATUS;
	f->states |= 1u << state;
	return VGM_VIEW_TERM_OK;
}

static enum vgm_view_term set_id(struct vgm_view_filter *f, struct vgm_slice value)
{
	return id_range(value, f) ? VGM_VIEW_TERM_OK : VGM_VIEW_TERM_ID;
}

static const struct {
	const char *prefix;
	enum vgm_view_term (*set)(struct vgm_view_filter *, struct vgm_slice);
} keys[] = {
    {"from:", set_from},
    {"to:", set_to},
    {"before:", set_before},
    {"after:", set_after},
    {"status:", set_status},
    {"id:", set_id},
};

enum vgm_view_term vgm_view_filter_add(struct vgm_view_filter *filter, struct vgm_slice term)
{
	if (term.len > VGM_VIEW_TERM_BYTES)
		return VGM_VIEW_TERM_LONG;
	for (size_t i = 0; i < VGM_ARRAY_LEN(keys); i++) {
		struct vgm_slice prefix = vgm_slice_str(keys[i].prefix);
		if (!vgm_slice_starts_nocase(term, prefix))
			continue;
		struct vgm_slice value = vgm_slice_from(term, prefix.len);
		return value.len ? keys[i].set(filter, value) : VGM_VIEW_TERM_UNKNOWN;
	}
	if (id_range(term, filter))
		return VGM_VIEW_TERM_OK;
	/* "subject:x" must not pass for an address. */
	size_t colon = vgm_slice_find(term, ':'), at = vgm_slice_find(term, '@');
	if (term.len == 0 || (colon < term.len && colon < at))
		return VGM_VIEW_TERM_UNKNOWN;
	filter->party = term;
	return VGM_VIEW_TERM_OK;
}
