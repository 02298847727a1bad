/* SPDX-License-Identifier: EUPL-1.2
 * words/words.c — see words.h. */
#include "words/words.h"

#include "base/err.h"
#include "base/text.h"

static const struct {
	const char *name;
	const char *text[2]; /* by enum vgm_lang */
} catalogue[] = {
#define WORDS(id, fr, en) {#id, {fr, en}},
#include "words/catalogue.def"
#undef WORDS
};

/* ---- language ---- */

bool vgm_lang_parse(const char *name, enum vgm_lang *out)
{
	for (int lang = VGM_FR; lang <= VGM_EN; lang++) {
		struct vgm_slice wanted = vgm_slice_str(vgm_lang_name((enum vgm_lang)lang));
		struct vgm_slice given = vgm_slice_str(name);
		if (!vgm_slice_starts_nocase(given, wanted))
			continue;
		if (given.len > 2 && vgm_is_alnum(given.data[2]))
			continue;
		*out = (enum vgm_lang)lang;
		return true;
	}
	return false;
}

enum vgm_lang vgm_lang_choose(const char *option)
{
	const char *said[] = {option, getenv("LC_ALL"), getenv("LC_MESSAGES"), getenv("LANG")};
	enum vgm_lang lang;
	for (size_t i = 0; i < VGM_ARRAY_LEN(said); i++)
		if (said[i] && said[i][0] && vgm_lang_parse(said[i], &lang))
			return lang;
	return VGM_FR;
}

const char *vgm_lang_name(enum vgm_lang lang)
{
	return lang == VGM_EN ? "en" : "fr";
}

/* ---- texts ---- */

const char *vgm_words(enum vgm_words_id id, enum vgm_lang lang)
{
	VGM_BUG_ON((size_t)id >= VGM_ARRAY_LEN(catalogue));
	return catalogue[id].text[lang == VGM_EN];
}

const char *vgm_words_name(enum vgm_words_id id)
{
	VGM_BUG_ON((size_t)id >= VGM_ARRAY_LEN(catalogue));
	return catalogue[id].name;
}

bool vgm_words_find(const char *name, enum vgm_words_id *out)
{
	for (size_t i = 0; i < VGM_ARRAY_LEN(catalogue); i++) {
		if (strcmp(catalogue[i].name, name) == 0) {
			*out = (enum vgm_words_id)i;
			return true;
		}
	}
	return false;
}

/* Length of the place "{name}" at the start of text, braces included, or 0. */
static size_t place_length(struct vgm_slice text)
{
	size_t end = vgm_slice_find(text, '}');
	if (text.data[0] != '{' || end == text.len || end < 2)
		return 0;
	for (size_t i = 1; i < end; i++)
		if (!vgm_is_alnum(text.data[i]) && text.data[i] != '_')
			return 0;
	return end + 1;
}

/* The value of name among the pairs, or NULL when there is no such pair. */
static const char *value_of(struct vgm_slice name, va_list pairs)
{
	va_list ap;
	const char *key, *found = NULL;
	va_copy(ap, pairs);
	while (!found && (key = va_arg(ap, const char *)) != NULL) {
		const char *value = va_arg(ap, const char *);
		if (vgm_slice_eq(name, vgm_slice_str(key)))
			found = value ? value : "";
	}
	va_end(ap);
	return found;
}

static int fill(struct vgm_slice text, struct vgm_buf *out, va_list pairs)
{
	int r = 0;
	while (r == 0 && text.len > 0) {
		size_t place = place_length(text);
		const char *value =
		    place ? value_of(vgm_slice_sub(text, 1, place - 1), pairs) : NULL;
		size_t n = place;
		if (value) {
			r = vgm_buf_add_str(out, value);
		} else {
			n = 1 + vgm_slice_find(vgm_slice_from(text, 1), '{');
			r = vgm_buf_add(out, text.data, n);
		}
		text = vgm_slice_from(text, n);
	}
	return r;
}

int vgm_words_fill_list(
    enum vgm_words_id id, enum vgm_lang lang, struct vgm_buf *out, va_list pairs)
{
	return fill(vgm_slice_str(vgm_words(id, lang)), out, pairs);
}

int vgm_words_fill(enum vgm_words_id id, enum vgm_lang lang, struct vgm_buf *out, ...)
{
	va_list ap;
	va_start(ap, out);
	int r = vgm_words_fill_list(id, lang, out, ap);
	va_end(ap);
	return r;
}

/* ---- ASCII form ---- */

/* U+00C0 to U+017F by base letter; '?' where one letter is not enough. */
static const char base_letters[] =
    "AAAAAA?CEEEEIIII" "DNOOOOOxOUUUUY??" "aaaaaa?ceeeeiiii" "dnooooo?ouuuuy?y" /* C0 */
    "AaAaAaCcCcCcCcDd" "DdEeEeEeEeEeGgGg" "GgGgHhHhIiIiIiIi" "Ii??JjKk?LlLlLlL" /* 100 */
    "lLlNnNnNn???OoOo" "Oo??RrRrRrSsSsSs" "SsTtTtTtUuUuUuUu" "UuUuWwYyYZzZzZzs"; /* 140 */

static const struct {
	uint32_t point;
	const char *ascii;
} signs[] = {
    {0xA0, " "}, {0xAB, "\""}, {0xB0, "o"}, {0xB7, "-"}, {0xBB, "\""}, {0xC6, "AE"},
    {0xDF, "ss"}, {0xE6, "ae"}, {0x152, "OE"}, {0x153, "oe"}, {0x2009, " "}, {0x2010, "-"},
    {0x2011, "-"}, {0x2013, "-"}, {0x2014, "-"}, {0x2018, "'"}, {0x2019, "'"}, {0x201C, "\""},
    {0x201D, "\""}, {0x2026, "..."}, {0x202F, " "}, {0x20AC, "EUR"}, {0x2192, "->"},
};

/* Takes one character off a slice that is not empty; a byte that begins no
 * well-formed sequence counts as U+FFFD. */
static uint32_t take_point(struct vgm_slice *s)
{
	uint8_t c = s->data[0];
	size_t n = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
	uint32_t point = n == 1 ? c : n == 2 ? c & 0x1Fu : n == 3 ? c & 0x0Fu : c & 0x07u;
	if (n > s->len || !vgm_utf8_valid(vgm_slice_sub(*s, 0, n))) {
		*s = vgm_slice_from(*s, 1);
		return 0xFFFD;
	}
	for (size_t i = 1; i < n; i++)
		point = point << 6 | (s->data[i] & 0x3Fu);
	*s = vgm_slice_from(*s, n);
	return point;
}

int vgm_words_ascii(struct vgm_slice text, struct vgm_buf *out)
{
	_Static_assert(sizeof(base_letters) - 1 == 0x180 - 0xC0, "one letter for each character");
	int r = 0;
	while (r == 0 && text.len > 0) {
		uint32_t point = take_point(&text);
		const char *sign = NULL;
		for (size_t i = 0; i < VGM_ARRAY_LEN(signs) && !sign; i++)
			if (signs[i].point == point)
				sign = signs[i].ascii;
		if (point < 0x80)
			r = vgm_buf_add_byte(out, (uint8_t)point);
		else if (sign)
			r = vgm_buf_add_str(out, sign);
		else if (point >= 0xC0 && point < 0x180)
			r = vgm_buf_add_byte(out, (uint8_t)base_letters[point - 0xC0]);
		else
			r = vgm_buf_add_byte(out, '?');
	}
	return r;
}
