/* SPDX-License-Identifier: EUPL-1.2
 * directory/directory.c — see directory.h. An open-addressing table of addresses
 * without regard to case; texts live in one arena. The table is filled from a file that an
 * administrator wrote, so a plain hash will do. */
#include "directory/directory.h"

#include "base/arena.h"
#include "base/text.h"
#include "net/idna.h"

#define LINE_MAX_BYTES 4000u
#define ADDRESS_MAX_BYTES 320u
#define MEMORY_MAX (1u << 30)

struct entry {
	struct vgm_slice address; /* its domain in ASCII */
	struct vgm_person *person;
};

struct vgm_directory {
	struct vgm_arena arena;
	struct entry *table; /* size is a power of two; empty: person NULL */
	size_t size, used, people;
};

static uint64_t hash_of(struct vgm_slice address)
{
	uint64_t h = 14695981039346656037u; /* FNV-1a */
	for (size_t i = 0; i < address.len; i++)
		h = (h ^ vgm_ascii_lower(address.data[i])) * 1099511628211u;
	return h;
}

static struct entry *place_of(const struct vgm_directory *d, struct vgm_slice address)
{
	size_t i = (size_t)hash_of(address) & (d->size - 1);
	while (d->table[i].person && !vgm_slice_eq_nocase(d->table[i].address, address))
		i = (i + 1) & (d->size - 1);
	return &d->table[i];
}

/* What an address is found by: international domains in their one ASCII form. */
static struct vgm_slice key_of(struct vgm_slice address, struct vgm_buf *room)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf ascii = VGM_BUF_INIT(VGM_IDNA_MAX);
	size_t behind = vgm_slice_rfind(address, '@') + 1;
	struct vgm_slice domain = vgm_slice_from(address, behind);
	if (vgm_is_ascii(domain))
		return address;
	domain = vgm_idna_plain(domain, &ascii);
	bool fits = vgm_buf_add_slice(room, vgm_slice_sub(address, 0, behind)) == 0 &&
	    vgm_buf_add_slice(room, domain) == 0;
	return fits ? vgm_buf_slice(room) : address; /* too long for any entry */
}
#define KEY_INIT VGM_BUF_INIT(ADDRESS_MAX_BYTES + VGM_IDNA_MAX)

static void grow(struct vgm_directory *d)
{
	struct entry *old = d->table;
	size_t old_size = d->size;
	d->size = old_size ? old_size * 2 : 64;
	d->table = vgm_alloc(d->size * sizeof *d->table);
	for (size_t i = 0; i < old_size; i++)
		if (old[i].person)
			*place_of(d, old[i].address) = old[i];
	vgm_free(old);
}

static int add(struct vgm_directory *d, struct vgm_slice address, struct vgm_person *person,
    const char **out_copy, struct vgm_err *err)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf room = KEY_INIT;
	size_t at = vgm_slice_rfind(address, '@');
	if (at == 0 || at + 1 >= address.len || address.len > ADDRESS_MAX_BYTES)
		return vgm_err_set(err, VGM_E_INVALID, "an address is expected");
	if (d->used >= VGM_DIRECTORY_MAX)
		return vgm_err_set(err, VGM_E_LIMIT, "more than %u addresses", VGM_DIRECTORY_MAX);
	if (d->used * 2 >= d->size)
		grow(d);
	struct vgm_slice key = key_of(address, &room);
	struct entry *place = place_of(d, key);
	if (place->person)
		return vgm_err_set(err, VGM_E_INVALID, "this address stands there twice");
	char *copy = vgm_arena_dup(&d->arena, address);
	char *found_by = key.data == address.data ? copy : vgm_arena_dup(&d->arena, key);
	if (!copy || !found_by)
		return vgm_err_set(err, VGM_E_LIMIT, "too large");
	*place = (struct entry){vgm_slice(found_by, key.len), person};
	d->used++;
	*out_copy = copy;
	return 0;
}

/* ---- a line ---- */

static struct vgm_slice next_word(struct vgm_slice *rest)
{
	size_t from = 0;
	while (from < rest->len && (rest->data[from] == ' ' || rest->data[from] == '\t'))
		from++;
	size_t end = from;
	while (end < rest->len && rest->data[end] != ' ' && rest->data[end] != '\t')
		end++;
	struct vgm_slice word = vgm_slice_sub(*rest, from, end);
	*rest = vgm_slice_from(*rest, end);
	return word;
}

static int set_kind(struct vgm_person *p, struct vgm_slice value, struct vgm_err *err)
{
	static const char *const kinds[] = {"person", "shared", "group", "machine"};
	for (size_t i = 0; i < VGM_ARRAY_LEN(kinds); i++)
		if (vgm_slice_eq(value, vgm_slice_str(kinds[i]))) {
			p->kind = (enum vgm_person_kind)i;
			return 0;
		}
	return vgm_err_set(err, VGM_E_INVALID, "kind is person, shared, group or machine");
}

static int set_language(struct vgm_person *p, struct vgm_slice value, struct vgm_err *err)
{
	if (vgm_slice_eq(value, VGM_SLICE_LIT("fr")))
		p->language = VGM_FR;
	else if (vgm_slice_eq(value, VGM_SLICE_LIT("en")))
		p->language = VGM_EN;
	else
		return vgm_err_set(err, VGM_E_INVALID, "language is fr or en");
	p->language_known = true;
	return 0;
}

static int set_key(
    struct vgm_directory *d, struct vgm_person *p, struct vgm_slice word, struct vgm_err *err)
{
	size_t equals = vgm_slice_find(word, '=');
	struct vgm_slice key = vgm_slice_sub(word, 0, equals);
	struct vgm_slice value = vgm_slice_from(word, equals + 1);
	const char *ignored;
	if (equals == word.len || value.len == 0)
		return vgm_err_set(err, VGM_E_INVALID, "KEY=VALUE is expected after the address");
	if (vgm_slice_eq(key, VGM_SLICE_LIT("alias")))
		return add(d, value, p, &ignored, err);
	if (vgm_slice_eq(key, VGM_SLICE_LIT("kind")))
		return set_kind(p, value, err);
	if (vgm_slice_eq(key, VGM_SLICE_LIT("language")))
		return set_language(p, value, err);
	if (!vgm_slice_eq(key, VGM_SLICE_LIT("route")))
		return vgm_err_set(err, VGM_E_INVALID, "the keys are alias, route, language, kind");
	p->route = vgm_arena_dup(&d->arena, value);
	return p->route ? 0 : vgm_err_set(err, VGM_E_LIMIT, "too large");
}

static int parse_line(struct vgm_directory *d, struct vgm_slice line, struct vgm_err *err)
{
	if (line.len > LINE_MAX_BYTES)
		return vgm_err_set(
		    err, VGM_E_INVALID, "the line is longer than %u bytes", LINE_MAX_BYTES);
	if (!vgm_utf8_valid(line))
		return vgm_err_set(err, VGM_E_INVALID, "the line is not UTF-8");
	struct vgm_slice rest = line, word = next_word(&rest);
	if (word.len == 0 || word.data[0] == '#')
		return 0;
	struct vgm_person *p = vgm_arena_alloc(&d->arena, 1, sizeof *p);
	if (!p)
		return vgm_err_set(err, VGM_E_LIMIT, "too large");
	p->route = "";
	int r = add(d, word, p, &p->address, err);
	d->people++;
	for (word = next_word(&rest); r == 0 && word.len; word = next_word(&rest))
		r = set_key(d, p, word, err);
	return r;
}

/* ---- all of it ---- */

int vgm_directory_parse(
    struct vgm_slice text, struct vgm_directory **out, size_t *out_line, struct vgm_err *err)
{
	struct vgm_directory *d = vgm_alloc(sizeof *d);
	struct vgm_err why = {.code = 0};
	size_t line_number = 0;
	*d = (struct vgm_directory){.arena = VGM_ARENA_INIT(MEMORY_MAX)};
	grow(d);
	for (struct vgm_slice rest = text; rest.len;) {
		size_t lf = vgm_slice_find(rest, '\n');
		struct vgm_slice line = vgm_slice_trim(vgm_slice_sub(rest, 0, lf));
		rest = vgm_slice_from(rest, lf + 1);
		line_number++;
		int r = parse_line(d, line, &why);
		if (r < 0) {
			vgm_directory_free(&d);
			if (out_line)
				*out_line = line_number;
			return vgm_err_set(err, r, "directory file, line %zu: %s", line_number,
			    why.text);
		}
	}
	*out = d;
	return 0;
}

void vgm_directory_free(struct vgm_directory **d)
{
	if (!*d)
		return;
	vgm_free((*d)->table);
	vgm_arena_release(&(*d)->arena);
	vgm_free(*d);
	*d = NULL;
}

const struct vgm_person *vgm_directory_find(const struct vgm_directory *d, struct vgm_slice address)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf room = KEY_INIT;
	return d && address.len ? place_of(d, key_of(address, &room))->person : NULL;
}

size_t vgm_directory_count(const struct vgm_directory *d)
{
	return d->people;
}
