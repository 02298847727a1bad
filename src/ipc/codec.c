/* SPDX-License-Identifier: EUPL-1.2
 * ipc/codec.c — see codec.h. messages.def is read three times: encoders,
 * decoders, and the table that finds them by type. */
#include "ipc/codec.h"

#include "base/secret.h"

#include <unistd.h>

/* ---- writing ---- */

struct writer {
	struct vgm_buf *out;
	struct vgm_fds *fds;
	int error;
};

static void put_bytes(struct writer *w, const void *data, size_t len)
{
	if (w->error == 0)
		w->error = vgm_buf_add(w->out, data, len);
}

static void put_uint(struct writer *w, uint64_t value, size_t bytes)
{
	uint8_t be[8];
	for (size_t i = 0; i < bytes; i++)
		be[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
	put_bytes(w, be, bytes);
}

static void put_count(struct writer *w, size_t count, size_t max)
{
	if (count > max)
		w->error = VGM_E_LIMIT;
	put_uint(w, count, 4);
}

static void put_slice(struct writer *w, struct vgm_slice s, size_t max)
{
	put_count(w, s.len, max);
	put_bytes(w, s.data, s.len);
}

static void put_fd(struct writer *w, int fd)
{
	put_uint(w, fd >= 0, 1);
	if (fd < 0)
		return;
	VGM_BUG_ON(!w->fds || w->fds->count == VGM_MSG_MAX_FDS);
	w->fds->fd[w->fds->count++] = fd;
}

#define GROUP(name)                                                                                \
	static void encode_group_##name(struct writer *w, const struct vgm_##name *m)              \
	{
#define GROUP_END(name) }
#define MESSAGE(name, type, version)                                                               \
	static void encode_##name(struct writer *w, const void *message)                           \
	{                                                                                          \
		const struct vgm_msg_##name *m = message;                                          \
		(void)m;                                                                           \
		put_uint(w, type, 2);                                                              \
		put_uint(w, version, 2);
#define MESSAGE_END(name) }
#define U8(field) put_uint(w, m->field, 1);
#define U16(field) put_uint(w, m->field, 2);
#define U32(field) put_uint(w, m->field, 4);
#define U64(field) put_uint(w, m->field, 8);
#define FIXED(field, bytes) put_bytes(w, m->field, bytes);
#define SLICE(field, max) put_slice(w, m->field, max);
#define LIST(field, group, max)                                                                    \
	put_count(w, m->field##_count, max);                                                       \
	for (size_t i = 0; w->error == 0 && i < m->field##_count; i++)                             \
		encode_group_##group(w, &m->field[i]);
#define FD(field) put_fd(w, m->field);
#include "ipc/messages.def"
#include "ipc/undef.def"

/* ---- reading ---- */

struct reader {
	struct vgm_slice in;
	struct vgm_fds *fds;
	size_t fds_used;
	struct vgm_arena *arena;
	int error; /* sticky: after it every get answers zero */
};

static const uint8_t *get_bytes(struct reader *r, size_t len)
{
	if (r->error == 0 && len > r->in.len)
		r->error = VGM_E_INVALID;
	if (r->error < 0)
		return NULL;
	const uint8_t *p = r->in.data;
	r->in = vgm_slice_from(r->in, len);
	return p;
}

static uint64_t get_uint(struct reader *r, size_t bytes)
{
	const uint8_t *p = get_bytes(r, bytes);
	uint64_t value = 0;
	for (size_t i = 0; p && i < bytes; i++)
		value = value << 8 | p[i];
	return value;
}

static void get_fixed(struct reader *r, uint8_t *out, size_t len)
{
	const uint8_t *p = get_bytes(r, len);
	if (p)
		memcpy(out, p, len);
}

/* A count over its ceiling, or more elements than bytes are left, is refused
 * before anything is allocated for it. */
static size_t get_count(struct reader *r, size_t max)
{
	size_t n = (size_t)get_uint(r, 4);
	if (r->error == 0 && n > max)
		r->error = VGM_E_LIMIT;
	if (r->error == 0 && n > r->in.len)
		r->error = VGM_E_INVALID;
	return r->error < 0 ? 0 : n;
}

static struct vgm_slice get_slice(struct reader *r, size_t max)
{
	size_t n = get_count(r, max);
	const uint8_t *p = get_bytes(r, n);
	return p ? vgm_slice(p, n) : VGM_SLICE_NONE;
}

static void *get_list(struct reader *r, size_t count, size_t size)
{
	void *list = count ? vgm_arena_alloc(r->arena, count, size) : NULL;
	if (count && !list)
		r->error = VGM_E_LIMIT;
	return list;
}

static int get_fd(struct reader *r)
{
	uint64_t present = get_uint(r, 1);
	if (r->error < 0 || present == 0)
		return -1;
	if (present != 1 || !r->fds || r->fds_used == r->fds->count) {
		r->error = VGM_E_INVALID;
		return -1;
	}
	return r->fds->fd[r->fds_used++];
}

#define GROUP(name)                                                                                \
	static void decode_group_##name(struct reader *r, struct vgm_##name *m)                    \
	{
#define GROUP_END(name) }
#define MESSAGE(name, type, version)                                                               \
	static void decode_##name(struct reader *r, void *message)                                 \
	{                                                                                          \
		struct vgm_msg_##name *m = message;                                                \
		(void)m;                                                                           \
		if (get_uint(r, 2) != type && r->error == 0)                                       \
			r->error = VGM_E_INVALID;                                                  \
		if (get_uint(r, 2) != version && r->error == 0)                                    \
			r->error = VGM_E_VERSION;
#define MESSAGE_END(name) }
#define U8(field) m->field = (uint8_t)get_uint(r, 1);
#define U16(field) m->field = (uint16_t)get_uint(r, 2);
#define U32(field) m->field = (uint32_t)get_uint(r, 4);
#define U64(field) m->field = get_uint(r, 8);
#define FIXED(field, bytes) get_fixed(r, m->field, bytes);
#define SLICE(field, max) m->field = get_slice(r, max);
#define LIST(field, group, max)                                                                    \
	m->field##_count = get_count(r, max);                                                      \
	m->field = get_list(r, m->field##_count, sizeof *m->field);                                \
	for (size_t i = 0; r->error == 0 && i < m->field##_count; i++)                             \
		decode_group_##group(r, &m->field[i]);
#define FD(field) m->field = get_fd(r);
#include "ipc/messages.def"
#include "ipc/undef.def"

/* ---- closing descriptors ---- */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

#define GROUP(name)
#define GROUP_END(name)
#define MESSAGE(name, type, version)                                                               \
	static void close_fds_##name(void *message)                                                \
	{                                                                                          \
		struct vgm_msg_##name *m = message;                                                \
		(void)m;
#define MESSAGE_END(name) }
#define U8(field)
#define U16(field)
#define U32(field)
#define U64(field)
#define FIXED(field, bytes)
#define SLICE(field, max)
#define LIST(field, group, max)
#define FD(field) close_fd(&m->field);
#include "ipc/messages.def"
#include "ipc/undef.def"

/* ---- the table ---- */

static const struct message_kind {
	int type;
	const char *name;
	size_t size;
	void (*encode)(struct writer *, const void *);
	void (*decode)(struct reader *, void *);
	void (*close_fds)(void *);
} kinds[] = {
#define GROUP(name)
#define GROUP_END(name)
#define MESSAGE(name, type, version)                                                               \
	{type, #name, sizeof(struct vgm_msg_##name), encode_##name, decode_##name,                 \
	    close_fds_##name},
#define MESSAGE_END(name)
#define U8(field)
#define U16(field)
#define U32(field)
#define U64(field)
#define FIXED(field, bytes)
#define SLICE(field, max)
#define LIST(field, group, max)
#define FD(field)
#include "ipc/messages.def"
#include "ipc/undef.def"
};

static const struct message_kind *kind_of(int type)
{
	static const struct message_kind *by_type[256];
	if (type < 0 || type >= 256)
		return NULL;
	if (!by_type[kinds[0].type])
		for (size_t i = 0; i < VGM_ARRAY_LEN(kinds); i++)
			by_type[kinds[i].type] = &kinds[i];
	return by_type[type];
}

int vgm_msg_encode(enum vgm_msg_type type, const void *message, struct vgm_buf *out,
    struct vgm_fds *fds, struct vgm_err *err)
{
	const struct message_kind *kind = kind_of((int)type);
	VGM_BUG_ON(!kind);
	size_t before = out->len;
	struct writer w = {.out = out, .fds = fds};
	kind->encode(&w, message);
	if (w.error == 0)
		return 0;
	vgm_buf_truncate(out, before);
	if (fds)
		fds->count = 0;
	return vgm_err_set(err, w.error, "message %s: a field is over its ceiling", kind->name);
}

int vgm_msg_decode(enum vgm_msg_type type, struct vgm_slice bytes, struct vgm_fds *fds,
    struct vgm_arena *arena, void *message, struct vgm_err *err)
{
	const struct message_kind *kind = kind_of((int)type);
	VGM_BUG_ON(!kind);
	struct reader r = {.in = bytes, .fds = fds, .arena = arena};
	memset(message, 0, kind->size);
	kind->decode(&r, message);
	if (r.error == 0 && (r.in.len || (fds && r.fds_used != fds->count)))
		r.error = VGM_E_INVALID;
	if (r.error < 0)
		return vgm_err_set(err, r.error, "message %s: %s", kind->name,
		    r.error == VGM_E_VERSION ? "written by another version" : "malformed");
	if (fds)
		fds->count = 0;
	return 0;
}

int vgm_msg_type(struct vgm_slice bytes)
{
	return bytes.len < 4 ? 0 : bytes.data[0] << 8 | bytes.data[1];
}

const char *vgm_msg_name(int type)
{
	const struct message_kind *kind = kind_of(type);
	return kind ? kind->name : NULL;
}

size_t vgm_msg_struct_size(int type)
{
	const struct message_kind *kind = kind_of(type);
	return kind ? kind->size : 0;
}

size_t vgm_msg_struct_max(void)
{
	size_t max = 0;
	for (size_t i = 0; i < VGM_ARRAY_LEN(kinds); i++)
		max = kinds[i].size > max ? kinds[i].size : max;
	return max;
}

void vgm_msg_close_fds(int type, void *message)
{
	const struct message_kind *kind = kind_of(type);
	if (kind)
		kind->close_fds(message);
}

bool vgm_msg_is_secret(int type)
{
	return type == VGM_MSG_wrapped || type == VGM_MSG_unwrapped || type == VGM_MSG_lent;
}

void vgm_msg_wipe(int type, void *message)
{
	if (type == VGM_MSG_wrapped) {
		struct vgm_msg_wrapped *m = message;
		vgm_wipe(m->keys, m->keys_count * sizeof *m->keys);
	}
	vgm_wipe(message, vgm_msg_struct_size(type));
}
