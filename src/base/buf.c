/* SPDX-License-Identifier: EUPL-1.2
 * base/buf.c — see buf.h. */
#include "base/buf.h"

#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

void vgm_buf_init(struct vgm_buf *b, size_t ceiling_bytes)
{
	*b = (struct vgm_buf)VGM_BUF_INIT(ceiling_bytes);
}

void vgm_buf_release(struct vgm_buf *b)
{
	vgm_free(b->data);
	vgm_buf_init(b, b->ceiling);
}

void vgm_buf_wipe(struct vgm_buf *b)
{
	if (b->data)
		explicit_bzero(b->data, b->capacity);
	vgm_buf_release(b);
}

void vgm_buf_clear(struct vgm_buf *b)
{
	vgm_buf_truncate(b, 0);
}

static int reserve(struct vgm_buf *b, size_t more)
{
	VGM_BUG_ON(b->len > b->capacity || b->capacity > b->ceiling);
	if (more > b->ceiling - b->len)
		return VGM_E_LIMIT;
	size_t need = b->len + more;
	if (need <= b->capacity && b->data)
		return 0;
	size_t capacity = b->capacity < 64 ? 64 : b->capacity;
	while (capacity < need)
		capacity += capacity / 2;
	capacity = vgm_min_size(capacity, b->ceiling);
	b->data = vgm_realloc(b->data, capacity + 1);
	b->capacity = capacity;
	return 0;
}

int vgm_buf_extend(struct vgm_buf *b, size_t len, uint8_t **out)
{
	int r = reserve(b, len);
	if (r < 0)
		return r;
	*out = b->data + b->len;
	b->len += len;
	b->data[b->len] = '\0';
	return 0;
}

int vgm_buf_add(struct vgm_buf *b, const void *data, size_t len)
{
	uint8_t *room;
	int r = vgm_buf_extend(b, len, &room);
	if (r == 0 && len)
		memcpy(room, data, len);
	return r;
}

int vgm_buf_add_slice(struct vgm_buf *b, struct vgm_slice s)
{
	return vgm_buf_add(b, s.data, s.len);
}

int vgm_buf_add_str(struct vgm_buf *b, const char *s)
{
	return vgm_buf_add(b, s, strlen(s));
}

int vgm_buf_add_byte(struct vgm_buf *b, uint8_t c)
{
	return vgm_buf_add(b, &c, 1);
}

int vgm_buf_addf(struct vgm_buf *b, const char *fmt, ...)
{
	va_list args, again;
	va_start(args, fmt);
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	VGM_BUG_ON(n < 0);
	uint8_t *room;
	int r = vgm_buf_extend(b, (size_t)n, &room);
	if (r == 0)
		vsnprintf((char *)room, (size_t)n + 1, fmt, again);
	va_end(again);
	return r;
}

void vgm_buf_consume(struct vgm_buf *b, size_t n)
{
	VGM_BUG_ON(n > b->len);
	if (n == 0)
		return;
	memmove(b->data, b->data + n, b->len - n);
	vgm_buf_truncate(b, b->len - n);
}

void vgm_buf_truncate(struct vgm_buf *b, size_t len)
{
	VGM_BUG_ON(len > b->len);
	b->len = len;
	if (b->data)
		b->data[len] = '\0';
}
