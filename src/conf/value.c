/* SPDX-License-Identifier: EUPL-1.2
 * conf/value.c — see value.h. */
#include "conf/value.h"

#include <stdio.h>

#include "base/text.h"

/* ---- times and sizes ---- */

struct unit {
	const char *name;
	uint64_t factor;
};
/* Largest first: what is written takes the largest that divides it. */
static const struct unit times[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
static const struct unit sizes[] = {{"G", 1u << 30}, {"M", 1u << 20}, {"K", 1u << 10}, {"", 1}};

/* Takes digits off text. False: there are none, or too many. */
static bool take_number(struct vgm_slice *text, uint64_t *out)
{
	size_t n = 0;
	while (n < text->len && vgm_is_digit(text->data[n]))
		n++;
	bool ok = vgm_slice_to_u64(vgm_slice_sub(*text, 0, n), UINT64_MAX, out);
	*text = vgm_slice_from(*text, n);
	return ok;
}

/* Takes a unit's name off text: the letters up to the next digit. */
static const struct unit *take_unit(struct vgm_slice *text, const struct unit *units, size_t count)
{
	size_t n = 0;
	while (n < text->len && !vgm_is_digit(text->data[n]))
		n++;
	for (size_t i = 0; i < count; i++) {
		if (vgm_slice_eq_nocase(vgm_slice_sub(*text, 0, n), vgm_slice_str(units[i].name))) {
			*text = vgm_slice_from(*text, n);
			return &units[i];
		}
	}
	return NULL;
}

int vgm_conf_read_time(struct vgm_slice text, uint64_t *out_ms)
{
	uint64_t sum = 0, number, part;
	const struct unit *before = NULL;
	if (vgm_slice_eq(text, VGM_SLICE_LIT("0"))) {
		*out_ms = 0;
		return 0;
	}
	do {
		const struct unit *unit;
		if (!take_number(&text, &number) ||
		    (unit = take_unit(&text, times, VGM_ARRAY_LEN(times))) == NULL)
			return VGM_E_INVALID;
		if ((before && unit <= before) ||
		    __builtin_mul_overflow(number, unit->factor, &part) ||
		    __builtin_add_overflow(sum, part, &sum))
			return VGM_E_INVALID;
		before = unit;
	} while (text.len > 0);
	*out_ms = sum;
	return 0;
}

int vgm_conf_read_bytes(struct vgm_slice text, uint64_t *out_bytes)
{
	uint64_t number;
	const struct unit *unit;
	if (!take_number(&text, &number) ||
	    (unit = take_unit(&text, sizes, VGM_ARRAY_LEN(sizes))) == NULL || text.len > 0 ||
	    __builtin_mul_overflow(number, unit->factor, &number))
		return VGM_E_INVALID;
	*out_bytes = number;
	return 0;
}

static int write_units(uint64_t value, const struct unit *units, struct vgm_buf *out)
{
	if (value == 0)
		return vgm_buf_add_str(out, "0");
	while (value % units->factor)
		units++;
	return vgm_buf_addf(
	    out, "%llu%s", (unsigned long long)(value / units->factor), units->name);
}

static int read_flag(struct vgm_slice text, bool *out)
{
	static const char *const names[] = {"no", "yes", "false", "true", "off", "on"};
	for (size_t i = 0; i < VGM_ARRAY_LEN(names); i++) {
		if (vgm_slice_eq_nocase(text, vgm_slice_str(names[i]))) {
			*out = i % 2;
			return 0;
		}
	}
	return VGM_E_INVALID;
}

/* ---- set ---- */

static int wrong_value(struct vgm_conf_wrong *wrong, enum vgm_words_id words)
{
	wrong->words = words;
	wrong->expected[0] = '\0';
	return VGM_E_INVALID;
}

/* The range as it would be written in a file: "1s-10m". */
static int wrong_range(
    struct vgm_conf_wrong *wrong, enum vgm_words_id words, const struct vgm_conf_option *o)
{
	struct vgm_buf text = VGM_BUF_INIT(sizeof(wrong->expected) - 1);
	const struct unit *units = o->kind == VGM_CONF_TIME ? times : sizes;
	int r = wrong_value(wrong, words), written;
	if (o->kind == VGM_CONF_NUMBER || o->kind == VGM_CONF_TEXT || o->kind == VGM_CONF_LIST) {
		written = vgm_buf_addf(&text, "%llu - %llu", (unsigned long long)o->min,
		    (unsigned long long)o->max);
	} else {
		written = write_units(o->min, units, &text);
		if (written == 0)
			written = vgm_buf_add_str(&text, " - ");
		if (written == 0)
			written = write_units(o->max, units, &text);
	}
	if (written == 0)
		memcpy(wrong->expected, vgm_buf_str(&text), text.len + 1);
	vgm_buf_release(&text);
	return r;
}

static int read_integer(const struct vgm_conf_option *o, struct vgm_slice text, uint64_t *out,
    struct vgm_conf_wrong *wrong)
{
	uint64_t value = 0;
	if (o->kind == VGM_CONF_TIME && vgm_conf_read_time(text, &value) < 0)
		return wrong_value(wrong, VGM_WORDS_conf_not_time);
	if (o->kind == VGM_CONF_BYTES && vgm_conf_read_bytes(text, &value) < 0)
		return wrong_value(wrong, VGM_WORDS_conf_not_bytes);
	if (o->kind == VGM_CONF_NUMBER && !vgm_slice_to_u64(text, UINT64_MAX, &value))
		return wrong_value(wrong, VGM_WORDS_conf_not_number);
	if (value < o->min || value > o->max)
		return wrong_range(wrong, VGM_WORDS_conf_range, o);
	*out = value;
	return 0;
}

/* UTF-8 without what YAML takes for a line break or cannot hold, and without
 * what moves a terminal: such a text would not survive vgm_conf_write. */
static bool is_plain_text(struct vgm_slice s)
{
	static const char *const banned[] = {
	    "\xE2\x80\xA8", "\xE2\x80\xA9", "\xEF\xBB\xBF", "\xEF\xBF\xBE", "\xEF\xBF\xBF"};
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] < 0x20 || s.data[i] == 0x7F)
			return false;
		if (s.data[i] == 0xC2 && i + 1 < s.len && s.data[i + 1] < 0xA0)
			return false;
		for (size_t k = 0; k < VGM_ARRAY_LEN(banned) && s.data[i] >= 0xE2; k++)
			if (s.len - i >= 3 && memcmp(s.data + i, banned[k], 3) == 0)
				return false;
	}
	return vgm_utf8_valid(s);
}

static int check_text(const struct vgm_conf_option *o, const struct vgm_conf_option *rows,
    struct vgm_slice text, struct vgm_conf_wrong *wrong)
{
	if (!is_plain_text(text))
		return wrong_value(wrong, VGM_WORDS_conf_control_character);
	if (text.len == 0)
		return o->min > 0 ? wrong_value(wrong, VGM_WORDS_conf_empty) : 0;
	int r = vgm_conf_check(o, rows, text, wrong);
	if (r == 0 && (text.len < o->min || text.len > o->max))
		r = wrong_range(wrong, VGM_WORDS_conf_length, o);
	return r;
}

static void list_add(struct vgm_conf_list *list, struct vgm_slice text)
{
	list->text = vgm_realloc(list->text, (list->count + 1) * sizeof(*list->text));
	list->text[list->count++] = vgm_slice_dup(text);
}

static int set_text(char **field, const struct vgm_conf_option *o,
    const struct vgm_conf_option *rows, struct vgm_slice text, struct vgm_conf_wrong *wrong)
{
	int r = check_text(o, rows, text, wrong);
	if (r < 0)
		return r;
	vgm_free(*field);
	*field = vgm_slice_dup(text);
	return 0;
}

int vgm_conf_value_set(void *base, const struct vgm_conf_option *o,
    const struct vgm_conf_option *rows, struct vgm_slice text, struct vgm_conf_wrong *wrong)
{
	void *field = vgm_conf_field(base, o);
	int r;
	switch (o->kind) {
	case VGM_CONF_TEXT:
		return set_text(field, o, rows, text, wrong);
	case VGM_CONF_FLAG:
		r = read_flag(text, field);
		return r < 0 ? wrong_value(wrong, VGM_WORDS_conf_not_flag) : 0;
	case VGM_CONF_NUMBER:
	case VGM_CONF_BYTES:
	case VGM_CONF_TIME:
		return read_integer(o, text, field, wrong);
	case VGM_CONF_LIST:
		r = check_text(o, rows, text, wrong);
		if (r == 0)
			list_add(field, text);
		return r;
	case VGM_CONF_ROWS:
		break;
	}
	vgm_bug(__FILE__, __LINE__, "rows have no single value");
}

/* ---- defaults and memory ---- */

static void list_init(struct vgm_conf_list *list, const char *words)
{
	struct vgm_slice rest = vgm_slice_trim(vgm_slice_str(words));
	*list = (struct vgm_conf_list){NULL, 0};
	while (rest.len > 0) {
		size_t end = vgm_slice_find(rest, ' ');
		list_add(list, vgm_slice_sub(rest, 0, end));
		rest = vgm_slice_trim(vgm_slice_from(rest, end));
	}
}

void vgm_conf_value_init(void *base, const struct vgm_conf_option *o)
{
	struct vgm_slice fallback = vgm_slice_str(o->fallback);
	struct vgm_conf_wrong wrong;
	void *field = vgm_conf_field(base, o);
	if (o->kind == VGM_CONF_TEXT)
		*(char **)field = vgm_slice_dup(fallback);
	else if (o->kind == VGM_CONF_LIST)
		list_init(field, o->fallback);
	else if (o->kind != VGM_CONF_ROWS)
		VGM_BUG_ON(vgm_conf_value_set(base, o, NULL, fallback, &wrong) < 0);
}

void vgm_conf_list_clear(struct vgm_conf_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		vgm_free(list->text[i]);
	vgm_free(list->text);
	*list = (struct vgm_conf_list){NULL, 0};
}

void vgm_conf_value_release(void *base, const struct vgm_conf_option *o)
{
	void *field = vgm_conf_field(base, o);
	if (o->kind == VGM_CONF_TEXT) {
		vgm_free(*(char **)field);
		*(char **)field = NULL;
	} else if (o->kind == VGM_CONF_LIST) {
		vgm_conf_list_clear(field);
	}
}

/* ---- compare, write ---- */

static bool list_eq(const struct vgm_conf_list *a, const struct vgm_conf_list *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->text[i], b->text[i]) != 0)
			return false;
	return true;
}

bool vgm_conf_value_eq(const void *a, const void *b, const struct vgm_conf_option *o)
{
	const void *x = vgm_conf_field_const(a, o), *y = vgm_conf_field_const(b, o);
	switch (o->kind) {
	case VGM_CONF_TEXT:
		return strcmp(*(char *const *)x, *(char *const *)y) == 0;
	case VGM_CONF_FLAG:
		return *(const bool *)x == *(const bool *)y;
	case VGM_CONF_NUMBER:
	case VGM_CONF_BYTES:
	case VGM_CONF_TIME:
		return *(const uint64_t *)x == *(const uint64_t *)y;
	case VGM_CONF_LIST:
		return list_eq(x, y);
	case VGM_CONF_ROWS:
		break;
	}
	vgm_bug(__FILE__, __LINE__, "rows are compared row by row");
}

int vgm_conf_value_write(const void *base, const struct vgm_conf_option *o, struct vgm_buf *out)
{
	const void *field = vgm_conf_field_const(base, o);
	switch (o->kind) {
	case VGM_CONF_TEXT:
		return vgm_buf_add_str(out, *(char *const *)field);
	case VGM_CONF_FLAG:
		return vgm_buf_add_str(out, *(const bool *)field ? "yes" : "no");
	case VGM_CONF_NUMBER:
		return vgm_buf_addf(out, "%llu", (unsigned long long)*(const uint64_t *)field);
	case VGM_CONF_BYTES:
		return write_units(*(const uint64_t *)field, sizes, out);
	case VGM_CONF_TIME:
		return write_units(*(const uint64_t *)field, times, out);
	case VGM_CONF_LIST:
	case VGM_CONF_ROWS:
		break;
	}
	vgm_bug(__FILE__, __LINE__, "lists and rows have no single value");
}
