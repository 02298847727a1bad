/* SPDX-License-Identifier: EUPL-1.2
 * smtp/data.c — see data.h. Two gears: a quick look at a window (smtp/scan.h)
 * that passes it whole when nothing in it is special, else one byte at a time
 * through the table of states. The window grows while all is plain and shrinks
 * at each special byte, so that neither many dots nor many faults cost much. */
#include "smtp/data.h"

#include "smtp/scan.h"

#define WINDOW_MIN 64
#define WINDOW_MAX 16384
#define PIECES 64

/* What goes to the sink, gathered; runs that touch are joined. */
struct output {
	struct vgm_smtp_data *data;
	vgm_smtp_data_sink *sink;
	void *context;
	struct vgm_slice pieces[PIECES];
	size_t count;
};

static void flush(struct output *o)
{
	if (o->count)
		o->sink(o->context, o->pieces, o->count);
	o->count = 0;
}

static void emit(struct output *o, const void *bytes, size_t len)
{
	if (vgm_smtp_data_refused(o->data) || len == 0)
		return;
	o->data->size += len;
	struct vgm_slice *last = o->count ? &o->pieces[o->count - 1] : NULL;
	if (last && last->data + last->len == bytes) {
		last->len += len;
		return;
	}
	if (o->count == PIECES)
		flush(o);
	o->pieces[o->count++] = vgm_slice(bytes, len);
}

void vgm_smtp_data_init(struct vgm_smtp_data *d, bool repair, bool chunked)
{
	*d = (struct vgm_smtp_data){.state = VGM_SMTP_DATA_LINE,
	    .repair = repair,
	    .chunked = chunked,
	    .window = WINDOW_MAX};
}

bool vgm_smtp_data_refused(const struct vgm_smtp_data *d)
{
	unsigned fatal = VGM_SMTP_DATA_NUL;
	if (!d->repair)
		fatal |= VGM_SMTP_DATA_BARE_CR | VGM_SMTP_DATA_BARE_LF;
	return (d->seen & fatal) != 0;
}

/* ---- one byte at a time ---- */

/* A line ended with one half of CR LF. */
static void broken_end(struct output *o, unsigned which)
{
	struct vgm_smtp_data *d = o->data;
	d->seen |= which;
	if (which == VGM_SMTP_DATA_BARE_CR)
		d->bare_cr++;
	else
		d->bare_lf++;
	emit(o, "\r\n", 2);
	d->state = d->repair ? VGM_SMTP_DATA_BROKEN_LINE : VGM_SMTP_DATA_MIDDLE;
}

/* A byte where no dot and no CR is pending. */
static void plain(struct output *o, const uint8_t *p)
{
	struct vgm_smtp_data *d = o->data;
	d->state = VGM_SMTP_DATA_MIDDLE;
	if (*p == '\r') {
		d->state = VGM_SMTP_DATA_CR;
	} else if (*p == '\n') {
		broken_end(o, VGM_SMTP_DATA_BARE_LF);
	} else {
		d->seen |= *p == 0 ? VGM_SMTP_DATA_NUL : 0u;
		d->seen |= *p & 0x80 ? VGM_SMTP_DATA_8BIT : 0u;
		emit(o, p, 1);
	}
}

/* A byte where a line begins; may_end: behind a true CR LF. */
static void line_start(struct output *o, const uint8_t *p, bool may_end)
{
	if (*p == '.' && !o->data->chunked)
		o->data->state = may_end ? VGM_SMTP_DATA_DOT : VGM_SMTP_DATA_BROKEN_DOT;
	else
		plain(o, p);
}

/* Behind a CR, whose fate *p decides. */
static void after_cr(struct output *o, const uint8_t *p)
{
	struct vgm_smtp_data *d = o->data;
	if (*p == '\n') {
		emit(o, "\r\n", 2);
		d->state = VGM_SMTP_DATA_LINE;
		return;
	}
	broken_end(o, VGM_SMTP_DATA_BARE_CR);
	if (d->state == VGM_SMTP_DATA_BROKEN_LINE)
		line_start(o, p, false);
	else
		plain(o, p);
}

static void step(struct output *o, const uint8_t *p)
{
	struct vgm_smtp_data *d = o->data;
	switch (d->state) {
	case VGM_SMTP_DATA_LINE:
		line_start(o, p, true);
		break;
	case VGM_SMTP_DATA_BROKEN_LINE:
		line_start(o, p, false);
		break;
	case VGM_SMTP_DATA_MIDDLE:
		plain(o, p);
		break;
	case VGM_SMTP_DATA_CR:
		after_cr(o, p);
		break;
	case VGM_SMTP_DATA_DOT:
		/* A line of a dot and a bare LF is a line, not the end. */
		if (*p == '\n')
			emit(o, ".", 1);
		if (*p == '\r')
			d->state = VGM_SMTP_DATA_DOT_CR;
		else
			plain(o, p);
		break;
	case VGM_SMTP_DATA_DOT_CR:
		if (*p == '\n') {
			d->state = VGM_SMTP_DATA_END;
		} else {
			emit(o, ".", 1);
			after_cr(o, p);
		}
		break;
	case VGM_SMTP_DATA_BROKEN_DOT:
		/* Stuffed or not? Two dots: yes. Else the dot belongs to the text. */
		if (*p != '.')
			emit(o, ".", 1);
		plain(o, p);
		break;
	case VGM_SMTP_DATA_END:
		VGM_BUG_ON(true);
	}
}

/* ---- a window at a time ---- */

static bool between_tokens(const struct vgm_smtp_data *d)
{
	return d->state == VGM_SMTP_DATA_LINE || d->state == VGM_SMTP_DATA_MIDDLE;
}

/* Passes what is plain of the window; 0 = its first byte needs a step. */
static size_t pass_plain(struct output *o, struct vgm_slice w)
{
	struct vgm_smtp_data *d = o->data;
	if (w.data[w.len - 1] == '\r')
		w.len--;
	bool dot_first = d->state == VGM_SMTP_DATA_LINE && !d->chunked && w.len && w.data[0] == '.';
	unsigned found = vgm_smtp_scan(w);
	if (w.len == 0 || dot_first || (found & (VGM_SMTP_SCAN_BARE | VGM_SMTP_SCAN_NUL)))
		return 0;
	size_t end = w.len;
	if ((found & VGM_SMTP_SCAN_DOT) && !d->chunked) {
		end = 0;
		do
			end += 1 + vgm_slice_find(vgm_slice_from(w, end), '\n');
		while (w.data[end] != '.');
	}
	/* What stands behind end may belong to the next command. */
	if ((found & VGM_SMTP_SCAN_HIGH) && end < w.len)
		found = vgm_smtp_scan(vgm_slice(w.data, end));
	d->seen |= found & VGM_SMTP_SCAN_HIGH ? VGM_SMTP_DATA_8BIT : 0u;
	emit(o, w.data, end);
	d->state = w.data[end - 1] == '\n' ? VGM_SMTP_DATA_LINE : VGM_SMTP_DATA_MIDDLE;
	return end;
}

size_t vgm_smtp_data_feed(
    struct vgm_smtp_data *d, struct vgm_slice in, vgm_smtp_data_sink *sink, void *context)
{
	struct output o = {.data = d, .sink = sink, .context = context, .count = 0};
	size_t at = 0;
	while (at < in.len && d->state != VGM_SMTP_DATA_END) {
		size_t n = vgm_min_size(d->window, in.len - at);
		size_t passed = 0;
		if (between_tokens(d))
			passed = pass_plain(&o, vgm_slice(in.data + at, n));
		at += passed;
		if (passed == n) {
			d->window = vgm_min_size(d->window * 2, WINDOW_MAX);
			continue;
		}
		/* Steps until the window's start is plain again, a few lines at most. */
		size_t stop = passed ? at + 1 : at + vgm_min_size(n, WINDOW_MIN);
		d->window = WINDOW_MIN;
		while (at < stop && at < in.len && d->state != VGM_SMTP_DATA_END)
			step(&o, in.data + at++);
	}
	flush(&o);
	return at;
}

void vgm_smtp_data_finish(struct vgm_smtp_data *d, vgm_smtp_data_sink *sink, void *context)
{
	struct output o = {.data = d, .sink = sink, .context = context, .count = 0};
	if (d->state == VGM_SMTP_DATA_CR)
		broken_end(&o, VGM_SMTP_DATA_BARE_CR);
	flush(&o);
	d->state = VGM_SMTP_DATA_END;
}
