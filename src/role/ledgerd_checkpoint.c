/* SPDX-License-Identifier: EUPL-1.2
 * role/ledgerd_checkpoint.c — the tree's tiles and its signed checkpoints, off
 * the path of mail. Only synced leaves go into tiles; tiles are written before
 * the checkpoint that needs them is asked for.
 *
 * checkpoint      the newest, as C2SP tlog-tiles has it
 * seg-N.ckp       all that were made while segment N was written
 * checkpoint.keys the public keys that signed them */
#include "role/ledgerd.h"

#include "base/clock.h"
#include "ledger/checkpoint.h"
#include "os/file.h"

#define SLICE_MS 20
#define LEAVES_PER_CHECKPOINT 1000
#define NOTES_MAX ((size_t)64 << 20)
#define KEYS_MAX 65536

/* ---- catching up at the start ---- */

void vgm_ledgerd_tiles_begin(struct vgm_ledgerd *l)
{
	struct vgm_err err = {.code = 0};
	struct vgm_ledger_place from = l->opening.segment_start;
	l->leaves_first = vgm_writer_synced_size(l->writer);
	if (vgm_writer_fault(l->writer))
		return;
	if (vgm_tiles_open(l->run->extra_fd, &l->opening.segment_tree, &l->tiles, &err) < 0) {
		vgm_ledgerd_log(VGM_LOG_WARNING, "tiles_made_anew", &err);
		l->tiles = vgm_tiles_new(l->run->extra_fd);
		from = (struct vgm_ledger_place){0, 0};
	}
	l->tiles_reader = vgm_reader_new(l->run->extra_fd);
	vgm_reader_seek(l->tiles_reader, from);
}

static int catch_up_one(struct vgm_ledgerd *l, struct vgm_err *err)
{
	uint8_t prefix[VGM_RECORD_PREFIX_BYTES], leaf[32];
	struct vgm_reader_entry entry;
	if (vgm_tiles_size(l->tiles) == l->leaves_first)
		return 0;
	int r = vgm_reader_next(l->tiles_reader, vgm_writer_synced_place(l->writer), &entry, err);
	if (r == 0)
		return vgm_err_set(err, VGM_E_CORRUPT, "the ledger has fewer records than leaves");
	if (r < 0)
		return r;
	vgm_record_encode(&entry.record, prefix);
	vgm_record_leaf(prefix, leaf);
	r = vgm_tiles_add(l->tiles, leaf, err);
	return r < 0 ? r : 1;
}

bool vgm_ledgerd_tiles_some(struct vgm_ledgerd *l)
{
	uint64_t stop = vgm_clock_mono_ms() + SLICE_MS;
	struct vgm_err err = {.code = 0};
	int r;
	if (!l->tiles_reader)
		return false;
	do
		r = catch_up_one(l, &err);
	while (r > 0 && vgm_clock_mono_ms() < stop);
	if (r > 0)
		return true;
	vgm_reader_free(&l->tiles_reader);
	if (r < 0) {
		vgm_ledgerd_log(VGM_LOG_ERROR, "no_tiles", &err);
		vgm_tiles_free(&l->tiles);
	} else {
		/* A power cut may have taken the unfinished tiles of the last one. */
		vgm_ledgerd_checkpoint(l);
	}
	return false;
}

/* ---- leaves ---- */

void vgm_ledgerd_leaf(struct vgm_ledgerd *l, const uint8_t leaf[32])
{
	if (l->leaves_count == l->leaves_room) {
		l->leaves_room = l->leaves_room ? 2 * l->leaves_room : 256;
		l->leaves = vgm_realloc(l->leaves, l->leaves_room * sizeof *l->leaves);
	}
	memcpy(l->leaves[l->leaves_count++], leaf, 32);
}

void vgm_ledgerd_leaves_settle(struct vgm_ledgerd *l)
{
	uint64_t size = vgm_writer_size(l->writer);
	if (l->leaves_first + l->leaves_count > size)
		l->leaves_count = (size_t)(size - l->leaves_first);
	if (!l->tiles && !l->tiles_reader) { /* nobody will want them */
		l->leaves_first += l->leaves_count;
		l->leaves_count = 0;
	}
	if (vgm_writer_synced_size(l->writer) - l->checkpoint_size >= LEAVES_PER_CHECKPOINT)
		vgm_ledgerd_checkpoint(l);
}

static int leaves_to_tiles(struct vgm_ledgerd *l, struct vgm_err *err)
{
	size_t synced = (size_t)(vgm_writer_synced_size(l->writer) - l->leaves_first), done = 0;
	int r = 0;
	while (r == 0 && done < synced) {
		r = vgm_tiles_add(l->tiles, l->leaves[done], err);
		done += r == 0;
	}
	if (done)
		memmove(l->leaves, l->leaves + done, (l->leaves_count - done) * sizeof *l->leaves);
	l->leaves_first += done;
	l->leaves_count -= done;
	return r < 0 ? r : vgm_tiles_flush(l->tiles, err);
}

/* ---- checkpoints ---- */

static int format(struct vgm_ledgerd *l, struct vgm_buf *out, struct vgm_err *err)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf origin = VGM_BUF_INIT(400);
	const struct vgm_merkle *tree = vgm_writer_synced_tree(l->writer);
	struct vgm_checkpoint c = {.size = tree->size};
	int r = vgm_buf_addf(
	    &origin, "%s/vgm/%u", l->run->conf.hostname, (unsigned)l->run->conf.entity);
	if (r < 0)
		return vgm_err_set(err, r, "the host's name is too long for a checkpoint");
	c.origin = vgm_buf_slice(&origin);
	vgm_merkle_root(tree, c.root);
	return vgm_checkpoint_format(&c, out, err);
}

void vgm_ledgerd_checkpoint(struct vgm_ledgerd *l)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf body = VGM_BUF_INIT(1000);
	struct vgm_channel *keyd = vgm_role_peer(l->run, VGM_ROLE_KEYD, VGM_INSTANCE_ONLY);
	uint64_t size = vgm_writer_synced_size(l->writer);
	struct vgm_err err = {.code = 0};
	if (!keyd || !l->tiles || l->tiles_reader || l->asked_size || size == l->checkpoint_size ||
	    size == 0)
		return;
	int r = leaves_to_tiles(l, &err);
	if (r == 0)
		r = format(l, &body, &err);
	if (r < 0) {
		vgm_ledgerd_log(VGM_LOG_ERROR, "checkpoint_put_off", &err);
		return;
	}
	struct vgm_msg_sign_checkpoint m = {.body = vgm_buf_slice(&body)};
	if (vgm_channel_send(keyd, VGM_MSG_sign_checkpoint, &m) == 0)
		l->asked_size = size;
}

static int append_note(struct vgm_ledgerd *l, struct vgm_slice note, struct vgm_err *err)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf bytes = VGM_BUF_INIT(8192);
	char name[VGM_SEGMENT_NAME_BYTES];
	vgm_segment_notes_name(vgm_writer_synced_place(l->writer).segment, name);
	if (vgm_buf_add_slice(&bytes, note) < 0 || vgm_buf_add_byte(&bytes, '\n') < 0)
		return vgm_err_set(err, VGM_E_LIMIT, "a checkpoint of %zu bytes", note.len);
	return vgm_file_append_at(l->run->extra_fd, name, vgm_buf_slice(&bytes), err);
}

/* A key that is new is added; old ones stay, for old checkpoints. */
static int keep_key(struct vgm_ledgerd *l, struct vgm_slice verifier, struct vgm_err *err)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf keys = VGM_BUF_INIT(KEYS_MAX);
	int r = vgm_file_read_at(l->run->extra_fd, VGM_LEDGER_VERIFIERS, &keys, err);
	if (r < 0 && r != VGM_E_NOTFOUND)
		return r;
	if (verifier.len == 0 ||
	    (keys.len && memmem(keys.data, keys.len, verifier.data, verifier.len)))
		return 0;
	r = vgm_buf_add_slice(&keys, verifier);
	if (r == 0)
		r = vgm_buf_add_byte(&keys, '\n');
	return r < 0 ? r
		     : vgm_file_replace_at(
			   l->run->extra_fd, VGM_LEDGER_VERIFIERS, vgm_buf_slice(&keys), 0600, err);
}

void vgm_ledgerd_signed(struct vgm_ledgerd *l, const struct vgm_msg_signed_checkpoint *m)
{
	struct vgm_err err = {.code = 0};
	struct vgm_checkpoint c;
	int r = m->note.len ? vgm_checkpoint_parse(m->body, &c, &err)
			    : vgm_err_set(&err, VGM_E_DENIED, "keyd did not sign");
	if (r == 0 && (l->asked_size == 0 || c.size != l->asked_size))
		r = vgm_err_set(&err, VGM_E_INVALID, "a checkpoint that nobody asked for");
	l->asked_size = 0;
	if (r == 0)
		r = keep_key(l, m->verifier, &err);
	if (r == 0)
		r = append_note(l, m->note, &err);
	if (r == 0)
		r = vgm_file_replace_at(
		    l->run->extra_fd, VGM_LEDGER_CHECKPOINT, m->note, 0600, &err);
	if (r < 0)
		vgm_ledgerd_log(VGM_LOG_ERROR, "checkpoint_not_kept", &err);
	else
		l->checkpoint_size = c.size;
}
