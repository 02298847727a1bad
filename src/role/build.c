/* SPDX-License-Identifier: EUPL-1.2
 * role/build.c — see build.h. The id is the note that the linker writes with
 * --build-id; it changes whenever the program does. */
#include "role/build.h"

#include "base/base.h"

#include <elf.h>
#include <link.h>
#include <stdio.h>

struct found {
	char *out;
	size_t room;
};

static int note_of(struct dl_phdr_info *info, size_t size, void *context)
{
	struct found *found = context;
	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		if (p->p_type != PT_NOTE)
			continue;
		const uint8_t *at = (const uint8_t *)(uintptr_t)(info->dlpi_addr + p->p_vaddr);
		const uint8_t *end = at + p->p_memsz;
		while ((size_t)(end - at) > sizeof(ElfW(Nhdr))) {
			ElfW(Nhdr) note;
			memcpy(&note, at, sizeof note);
			const uint8_t *value = at + sizeof note + ((note.n_namesz + 3) & ~3u);
			if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4)
				for (size_t k = 0; k < note.n_descsz && 2 * k + 2 < found->room;
				     k++)
					snprintf(found->out + 2 * k, 3, "%02x", value[k]);
			at = value + ((note.n_descsz + 3) & ~3u);
		}
	}
	return 1; /* the first object is the program itself */
}

const char *vgm_build_id(void)
{
	static char id[80];
	if (id[0] == '\0') {
		int n = snprintf(id, sizeof id, "%s-", VGM_VERSION);
		struct found found = {id + n, sizeof id - (size_t)n};
		dl_iterate_phdr(note_of, &found);
	}
	return id;
}
