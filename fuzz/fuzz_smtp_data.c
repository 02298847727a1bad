/* SPDX-License-Identifier: EUPL-1.2
 * A body (mode in the first byte: repair, chunked): one feed and single bytes
 * must agree, and nothing bare may pass. */
#include "base/buf.h"
#include "smtp/data.h"
#include "smtp/scan.h"

static void collect(void *out, const struct vgm_slice *pieces, size_t count)
{
	for (size_t i = 0; i < count; i++)
		VGM_BUG_ON(vgm_buf_add_slice(out, pieces[i]) < 0);
}

static size_t run(struct vgm_smtp_data *d, struct vgm_slice in, size_t step, struct vgm_buf *out)
{
	size_t at = 0;
	while (at < in.len && !vgm_smtp_data_ended(d))
		at += vgm_smtp_data_feed(d, vgm_slice_sub(in, at, at + step), collect, out);
	return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vgm_buf whole = VGM_BUF_INIT(64u << 20), bytes = VGM_BUF_INIT(64u << 20);
	struct vgm_slice in = vgm_slice_from(vgm_slice(data, size), 1);
	struct vgm_smtp_data a, b;
	vgm_smtp_data_init(&a, size && (data[0] & 1), size && (data[0] & 2));
	b = a;
	size_t taken = run(&a, in, in.len, &whole);
	VGM_BUG_ON(run(&b, in, 1, &bytes) != taken || a.seen != b.seen || a.state != b.state);
	bool passes = !vgm_smtp_data_refused(&a);
	VGM_BUG_ON(passes && !vgm_slice_eq(vgm_buf_slice(&whole), vgm_buf_slice(&bytes)));
	unsigned found = vgm_smtp_scan(vgm_buf_slice(&whole));
	VGM_BUG_ON(passes && (found & (VGM_SMTP_SCAN_BARE | VGM_SMTP_SCAN_NUL)));
	vgm_buf_release(&whole);
	vgm_buf_release(&bytes);
	return 0;
}
