/* SPDX-License-Identifier: EUPL-1.2
 * base/secret.c — see secret.h. */
#include "base/secret.h"

#include <sys/mman.h>
#include <sys/random.h>

void vgm_secret_init(struct vgm_secret *s, size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	VGM_BUG_ON(p == MAP_FAILED);
	/* Both are best effort: an ordinary user may lock little. */
	(void)mlock(p, len);
	(void)madvise(p, len, MADV_DONTDUMP);
	*s = (struct vgm_secret){p, len};
}

void vgm_secret_release(struct vgm_secret *s)
{
	if (!s->data)
		return;
	vgm_wipe(s->data, s->len);
	munmap(s->data, s->len);
	*s = (struct vgm_secret){NULL, 0};
}

void vgm_wipe(void *memory, size_t len)
{
	if (len) /* an empty list has no place */
		explicit_bzero(memory, len);
}

bool vgm_secret_eq(const void *a, const void *b, size_t len)
{
	const volatile uint8_t *x = a, *y = b;
	uint8_t difference = 0;
	for (size_t i = 0; i < len; i++)
		difference |= x[i] ^ y[i];
	return difference == 0;
}

void vgm_random(void *out, size_t len)
{
	uint8_t *p = out;
	while (len) {
		ssize_t n = getrandom(p, len, 0);
		VGM_BUG_ON(n <= 0);
		p += n;
		len -= (size_t)n;
	}
}
