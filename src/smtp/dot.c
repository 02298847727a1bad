/* SPDX-License-Identifier: EUPL-1.2
 * smtp/dot.c — see dot.h. */
#include "smtp/dot.h"

#include "smtp/scan.h"

#define WINDOW_MAX 65536
#define WINDOW_MIN 256

void vgm_smtp_dot_init(struct vgm_smtp_dot *d)
{
	*d = (struct vgm_smtp_dot){.line_start = true, .window = WINDOW_MAX};
}

static void advance(struct vgm_slice *in, size_t n)
{
	*in = vgm_slice_from(*in, n);
}

/* A run that can go out as it stands, from a place that is neither behind a CR
 * nor at a dot that begins a line. The window grows while all is plain and
 * shrinks where it is not, so that many dots do not cost much. */
static size_t clean_run(struct vgm_smtp_dot *d, struct vgm_slice in)
{
	size_t n = vgm_min_size(in.len, d->window);
	struct vgm_slice w = vgm_slice(in.data, in.data[n - 1] == '\r' ? n - 1 : n);
	if (!(vgm_smtp_scan(w) & (VGM_SMTP_SCAN_BARE | VGM_SMTP_SCAN_DOT))) {
		d->window = vgm_min_size(d->window * 2, WINDOW_MAX);
		return w.len;
	}
	d->window = WINDOW_MIN;
	n = vgm_min_size(n, WINDOW_MIN);
	/* Line by line up to the first thing that needs care. */
	size_t at = 0;
	while (at < n) {
		size_t lf = at + vgm_slice_find(vgm_slice_sub(in, at, n), '\n');
		size_t cr = at + vgm_slice_find(vgm_slice_sub(in, at, lf), '\r');
		if (lf == n || cr + 1 != lf)
			return cr;
		at = lf + 1;
		if (at < in.len && in.data[at] == '.')
			return at;
	}
	return at;
}

bool vgm_smtp_dot_next(struct vgm_smtp_dot *d, struct vgm_slice *in, struct vgm_slice *out_piece)
{
	if (in->len == 0)
		return false;
	uint8_t c = in->data[0];
	if (d->after_cr || c == '\n') {
		if (c == '\n')
			advance(in, 1);
		d->after_cr = false;
		d->line_start = true;
		*out_piece = VGM_SLICE_LIT("\r\n");
	} else if (c == '\r') {
		advance(in, 1);
		d->after_cr = true;
		d->line_start = false;
		*out_piece = VGM_SLICE_NONE;
	} else if (c == '.' && d->line_start) {
		advance(in, 1);
		d->line_start = false;
		*out_piece = VGM_SLICE_LIT("..");
	} else {
		size_t n = clean_run(d, *in);
		*out_piece = vgm_slice_sub(*in, 0, n);
		d->line_start = in->data[n - 1] == '\n';
		advance(in, n);
	}
	return true;
}

struct vgm_slice vgm_smtp_dot_end(struct vgm_smtp_dot *d)
{
	return d->line_start ? VGM_SLICE_LIT(".\r\n") : VGM_SLICE_LIT("\r\n.\r\n");
}
