/* SPDX-License-Identifier: EUPL-1.2
 * directory/directory.h — the people, groups and shared mailboxes that mail may
 * be for, as one file says them: a line each,
 *
 *	marie.durand@chu.example alias=m.durand@chu.example route=cloud language=fr
 *	# comment
 *	accueil@chu.example kind=shared
 *
 * Keys: alias (may be repeated), route (name of a row of the configuration's
 * routes), language (fr, en), kind (person, shared, group, machine). Addresses
 * compare without regard to ASCII case, international domains in any form.
 * Unknown keys, doubled addresses and lines over 4,000 bytes are mistakes. Pure;
 * the text need not stay. */
#ifndef VGM_DIRECTORY_DIRECTORY_H
#define VGM_DIRECTORY_DIRECTORY_H

#include "base/buf.h"
#include "base/err.h"
#include "words/words.h"

#define VGM_DIRECTORY_MAX 1000000u /* addresses and aliases */

enum vgm_person_kind {
	VGM_PERSON = 0,
	VGM_PERSON_SHARED,
	VGM_PERSON_GROUP,
	VGM_PERSON_MACHINE,
};

struct vgm_person {
	const char *address;   /* the primary one */
	const char *route;     /* "" = by the configuration's routes */
	enum vgm_lang language;
	bool language_known;
	enum vgm_person_kind kind;
};

struct vgm_directory;

/* VGM_E_INVALID: err says line and reason, *out_line (may be NULL) the line
 * from 1. VGM_E_LIMIT. */
int vgm_directory_parse(struct vgm_slice text, struct vgm_directory **out, size_t *out_line,
    struct vgm_err *) VGM_MUST_USE;
void vgm_directory_free(struct vgm_directory **);

/* By address or alias; NULL: nobody, or no directory (NULL). Borrowed. */
const struct vgm_person *vgm_directory_find(const struct vgm_directory *, struct vgm_slice address);
size_t vgm_directory_count(const struct vgm_directory *); /* people, aliases not counted */

#endif
