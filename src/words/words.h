/* SPDX-License-Identifier: EUPL-1.2
 * words/words.h — every text that a person can see, in French and in English
 * (rule 24). catalogue.def is the one table; its ids become VGM_WORDS_<id>.
 *
 * A text may hold places written {name}; vgm_words_fill puts values there. The
 * same places stand in both languages, in any order (a test checks it). */
#ifndef VGM_WORDS_WORDS_H
#define VGM_WORDS_WORDS_H

#include <stdarg.h>

#include "base/buf.h"
#include "base/slice.h"

enum vgm_lang {
	VGM_FR = 0,
	VGM_EN = 1,
};

enum vgm_words_id {
#define WORDS(id, fr, en) VGM_WORDS_##id,
#include "words/catalogue.def"
#undef WORDS
	VGM_WORDS_COUNT,
};

/* ---- language ---- */

/* "fr", "en", and locale names that begin so ("fr_FR.UTF-8", "EN-gb"). */
bool vgm_lang_parse(const char *name, enum vgm_lang *out);
/* The first that says something: option (--lang; may be NULL), LC_ALL,
 * LC_MESSAGES, LANG. French when none names a language that we have. */
enum vgm_lang vgm_lang_choose(const char *option);
const char *vgm_lang_name(enum vgm_lang); /* "fr", "en" */

/* ---- texts ---- */

/* Static UTF-8 text, places not filled. */
const char *vgm_words(enum vgm_words_id, enum vgm_lang);
/* The id as it stands in catalogue.def. */
const char *vgm_words_name(enum vgm_words_id);
/* By that name (ids travel between processes as names). False: no such entry. */
bool vgm_words_find(const char *name, enum vgm_words_id *out);

/* Appends the text to out, each {name} replaced by its value. The arguments are
 * pairs of const char *: name, value, ..., NULL. A place without a pair stays as
 * it is written; a NULL value counts as "". Values are not interpreted: those
 * that come from outside must have been escaped. VGM_E_LIMIT. */
int vgm_words_fill(enum vgm_words_id, enum vgm_lang, struct vgm_buf *out, ...)
    __attribute__((sentinel)) VGM_MUST_USE;

/* The same with the pairs in a va_list. */
int vgm_words_fill_list(enum vgm_words_id, enum vgm_lang, struct vgm_buf *out, va_list pairs)
    VGM_MUST_USE;

/* Appends text to out in ASCII, for SMTP replies: accents are dropped, ligatures
 * and typographic signs written out, anything else above 127 becomes "?".
 * VGM_E_LIMIT. */
int vgm_words_ascii(struct vgm_slice text, struct vgm_buf *out) VGM_MUST_USE;

#endif
