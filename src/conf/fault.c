/* SPDX-License-Identifier: EUPL-1.2
 * conf/fault.c — what is wrong with a configuration, for programs and in words. */
#include "conf/fault.h"

#include <stdio.h>

#include "base/text.h"
#include "words/suggest.h"

/* Escaped, and cut with "..." when it does not fit. */
static void copy_escaped(char *out, size_t bytes, struct vgm_slice s)
{
	struct vgm_buf b = VGM_BUF_INIT(bytes - 1);
	size_t max = (bytes - 1) / 4 - 1; /* the worst byte becomes four */
	out[0] = '\0';
	if (vgm_is_ascii(s) && s.len < bytes - 4)
		max = s.len;
	if (vgm_text_escape(s, max, &b) == 0)
		memcpy(out, vgm_buf_str(&b), b.len + 1);
	vgm_buf_release(&b);
}

int vgm_conf_fault_set(struct vgm_conf_fault *fault, struct vgm_err *err, enum vgm_words_id words,
    struct vgm_slice path, const char *expected, struct vgm_slice found)
{
	struct vgm_conf_fault unused;
	if (!fault) {
		unused = (struct vgm_conf_fault){0};
		fault = &unused;
	}
	copy_escaped(fault->path, sizeof(fault->path), path);
	copy_escaped(fault->found, sizeof(fault->found), found);
	snprintf(fault->words_id, sizeof(fault->words_id), "%s", vgm_words_name(words));
	snprintf(fault->expected, sizeof(fault->expected), "%s", expected ? expected : "");
	return vgm_err_set(err, VGM_E_INVALID, "configuration: line %zu, column %zu: %s: %s %s",
	    fault->line, fault->column, fault->path, fault->words_id, fault->expected);
}

int vgm_conf_fault_unknown(struct vgm_conf_fault *fault, struct vgm_err *err, struct vgm_slice path,
    const struct vgm_conf_option *rows)
{
	struct vgm_suggest s = VGM_SUGGEST_INIT(path);
	const struct vgm_conf_option *o = rows ? rows->columns() : vgm_conf_options();
	for (; o->path; o++)
		vgm_suggest_try(&s, o->path);
	/* The right word in the wrong place: "max_size" at the top. */
	for (o = vgm_conf_options(); o->path && !rows && !s.best; o++) {
		struct vgm_slice last = vgm_slice_str(o->path);
		struct vgm_slice given = path;
		size_t dot = vgm_slice_rfind(given, '.');
		last = vgm_slice_from(
		    last, vgm_conf_section(o->path).len ? vgm_slice_rfind(last, '.') + 1 : 0);
		given = vgm_slice_from(given, dot == given.len ? 0 : dot + 1);
		if (vgm_slice_eq_nocase(last, given))
			s.best = o->path;
	}
	return vgm_conf_fault_set(fault, err,
	    s.best ? VGM_WORDS_conf_unknown_near : VGM_WORDS_conf_unknown, path, s.best, path);
}

int vgm_conf_fault_text(const struct vgm_conf_fault *fault, const char *file, enum vgm_lang lang,
    struct vgm_buf *out)
{
	enum vgm_words_id id = VGM_WORDS_conf_unknown;
	bool known = vgm_words_find(fault->words_id, &id);
	int r = 0;
	if (file)
		r = vgm_buf_addf(out, "%s:", file);
	if (r == 0 && fault->line > 0)
		r = vgm_buf_addf(out, "%zu:%zu:", fault->line, fault->column);
	if (r == 0 && out->len > 0 && (file || fault->line > 0))
		r = vgm_buf_add_byte(out, ' ');
	if (r == 0 && known)
		r = vgm_words_fill(id, lang, out, "path", fault->path, "expected", fault->expected,
		    "found", fault->found, NULL);
	return r;
}
