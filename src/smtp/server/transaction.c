/* SPDX-License-Identifier: EUPL-1.2
 * smtp/server/transaction.c — one message on its way in: from MAIL to the
 * owner's verdict, or to the moment it is given up. Nothing of it outlives its
 * transaction; an idle session holds none. */
#include "smtp/server/internal.h"

#define ARENA_MAX (2u << 20) /* twice what the envelope's ceiling lets through */

void vgm_smtp_transaction_open(struct vgm_smtp_session *s)
{
	VGM_BUG_ON(s->transaction);
	s->transaction = vgm_alloc(sizeof *s->transaction);
	s->transaction->arena = (struct vgm_arena)VGM_ARENA_INIT(ARENA_MAX);
	if (s->connection.esmtp)
		s->transaction->seen.flags |= VGM_ADMIT_ESMTP;
}

static void drop_body(struct vgm_smtp_session *s)
{
	if (s->transaction->body_open)
		s->events->body_drop(s->context);
	s->transaction->body_open = false;
}

void vgm_smtp_transaction_drop(struct vgm_smtp_session *s)
{
	struct transaction *t = s->transaction;
	if (!t)
		return;
	drop_body(s);
	vgm_arena_release(&t->arena);
	vgm_free(t->seen.recipients);
	vgm_free(t);
	s->transaction = NULL;
}

void vgm_smtp_transaction_refuse(
    struct vgm_smtp_session *s, struct vgm_smtp_answer why, struct vgm_slice about)
{
	vgm_smtp_error(s, why.code, why.enhanced, why.why, about);
	if (s->state == VGM_SMTP_CLOSING)
		return;
	vgm_smtp_transaction_drop(s);
	vgm_smtp_set_state(s, VGM_SMTP_READY);
}

struct vgm_slice vgm_smtp_transaction_keep(struct transaction *t, struct vgm_slice text)
{
	/* The ceilings of lines and envelope keep far below the arena's. */
	char *copy = vgm_arena_dup(&t->arena, text);
	VGM_BUG_ON(!copy);
	return vgm_slice(copy, text.len);
}

/* ---- body ---- */

bool vgm_smtp_body_begin(struct vgm_smtp_session *s, bool chunked)
{
	struct transaction *t = s->transaction;
	struct vgm_smtp_answer no = s->events->body_begin(s->context);
	if (no.code) {
		vgm_smtp_transaction_refuse(s, no, t->seen.sender);
		return false;
	}
	vgm_smtp_data_init(&t->data, s->settings->machines, chunked);
	t->body_open = true;
	return true;
}

static void take_pieces(void *context, const struct vgm_slice *pieces, size_t count)
{
	struct vgm_smtp_session *s = context;
	struct transaction *t = s->transaction;
	t->too_big |= t->data.size > s->settings->max_size;
	if (t->body_open && !t->too_big && s->events->body(s->context, pieces, count) < 0)
		t->body_failed = true;
	if (t->too_big || t->body_failed)
		drop_body(s);
}

size_t vgm_smtp_body_feed(struct vgm_smtp_session *s, struct vgm_slice in)
{
	struct transaction *t = s->transaction;
	size_t n = vgm_smtp_data_feed(&t->data, in, take_pieces, s);
	t->raw_bytes += n;
	if (vgm_smtp_data_refused(&t->data))
		drop_body(s);
	/* What is refused is still read to its end, within reason. */
	if (t->raw_bytes / 4 > s->settings->max_size)
		vgm_smtp_close_with(s, 552, "5.3.4", VGM_WORDS_smtp_too_big);
	return n;
}

void vgm_smtp_body_finish(struct vgm_smtp_session *s)
{
	vgm_smtp_data_finish(&s->transaction->data, take_pieces, s);
}

struct vgm_smtp_answer vgm_smtp_body_fault(const struct vgm_smtp_session *s)
{
	const struct transaction *t = s->transaction;
	if (t->data.seen & VGM_SMTP_DATA_NUL)
		return (struct vgm_smtp_answer){550, "5.6.0", VGM_WORDS_smtp_nul_in_body};
	if (vgm_smtp_data_refused(&t->data))
		return (struct vgm_smtp_answer){550, "5.6.0", VGM_WORDS_smtp_bare_in_body};
	if (t->too_big)
		return (struct vgm_smtp_answer){552, "5.3.4", VGM_WORDS_smtp_too_big};
	if (t->body_failed)
		return (struct vgm_smtp_answer){452, "4.3.1", VGM_WORDS_smtp_no_room};
	return (struct vgm_smtp_answer){0};
}

static unsigned body_faults(const struct vgm_smtp_session *s)
{
	const struct vgm_smtp_data *data = &s->transaction->data;
	struct vgm_slice name = vgm_buf_slice(&s->connection.helo);
	return (data->bare_lf ? VGM_FAULT_BARE_LF : 0u) | (data->bare_cr ? VGM_FAULT_BARE_CR : 0u) |
	       (vgm_slice_find(name, ' ') < name.len ? VGM_FAULT_NAME : 0u);
}

void vgm_smtp_body_end(struct vgm_smtp_session *s)
{
	struct transaction *t = s->transaction;
	struct vgm_smtp_answer fault = vgm_smtp_body_fault(s);
	if (fault.code) {
		vgm_smtp_transaction_refuse(s, fault, t->seen.sender);
		return;
	}
	t->seen.size = t->data.size;
	t->seen.bare_cr = t->data.bare_cr;
	t->seen.bare_lf = t->data.bare_lf;
	t->seen.flags |= t->data.seen & VGM_SMTP_DATA_8BIT ? VGM_ADMIT_8BIT : 0u;
	t->seen.flags |= t->data.bare_cr || t->data.bare_lf ? VGM_ADMIT_REPAIRED : 0u;
	t->seen.faults |= body_faults(s);
	/* The body is the owner's from here on. */
	t->body_open = false;
	vgm_smtp_set_state(s, VGM_SMTP_WAIT_MESSAGE);
	s->events->message(s->context, &t->seen);
}
