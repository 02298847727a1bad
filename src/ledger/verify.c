/* SPDX-License-Identifier: EUPL-1.2
 * ledger/verify.c — see verify.h: segment after segment, batch after batch. After
 * a fault it goes on behind the next valid frame, so that one damaged byte does
 * not hide another; the tree is known again from the next segment's header. */
#include "ledger/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ledger/hash.h"
#include "ledger/scan.h"
#include "ledger/verify_tree.h"
#include "os/file.h"

#define SNAPSHOT_MAX ((size_t)1 << 30)
/* A batch that ledgerd is just writing looks unfinished for a moment. */
#define LIVE_TRIES 5
#define LIVE_WAIT_NS (100 * 1000 * 1000)

/* One segment under way. */
struct walk {
	struct vgm_verify *v;
	struct vgm_scan scan;
	char name[VGM_SEGMENT_NAME_BYTES];
	bool last;
};

/* What the segments before left behind. */
struct chain {
	bool known;	 /* the segment before was read to its end */
	bool tree_known; /* and its tree is what its last frame says */
	uint64_t end, batch;
	struct vgm_merkle tree;
};

static void part_fault(void *context, uint64_t offset, const char *what)
{
	struct walk *w = context;
	vgm_verify_fault(w->v, w->name, offset, what);
}

static void take_batch(struct walk *w)
{
	struct vgm_verify *v = w->v;
	for (size_t i = 0; i < w->scan.items_count; i++)
		vgm_verify_leaf(v, w->scan.items[i].leaf);
	v->result->batches++;
	v->result->records += w->scan.items_count;
	vgm_verify_meet_checkpoints(v, w->scan.tree.size, w->scan.tree_lost ? NULL : &w->scan.tree);
}

/* Behind the next valid frame; false when there is none. */
static bool go_on_after(struct walk *w, uint64_t fault)
{
	struct vgm_frame frame;
	uint64_t at;
	if (vgm_scan_find_frame(&w->scan, fault + 1, &frame, &at, NULL) <= 0)
		return false;
	w->scan.at = at + VGM_FRAME_BYTES;
	w->scan.batch = frame.batch;
	w->scan.time_us = frame.time_us;
	w->scan.tree.size = frame.tree_size;
	w->scan.tree_lost = true;
	w->v->tiles_lost = true;
	return true;
}

static int grown_limit(struct walk *w, struct vgm_err *err)
{
	struct stat st;
	if (fstat(w->scan.fd, &st) < 0)
		return vgm_err_sys(err, "looking at %s", w->name);
	w->scan.limit = (uint64_t)st.st_size;
	w->scan.window_len = 0;
	return 0;
}

/* The end of the last segment, where ledgerd may be writing: true when it was
 * only unfinished and there is more to read now. */
static bool look_again(struct walk *w, unsigned *tries, struct vgm_err *err)
{
	static const struct timespec wait = {0, LIVE_WAIT_NS};
	struct vgm_frame frame;
	uint64_t at;
	if (!w->last || !w->v->live || ++*tries > LIVE_TRIES ||
	    vgm_scan_find_frame(&w->scan, w->scan.at, &frame, &at, NULL) != 0)
		return false;
	nanosleep(&wait, NULL);
	return grown_limit(w, err) == 0;
}

/* Nothing but zeros may follow the last batch, and nothing at all in a segment
 * that another one follows. */
static int check_tail(struct walk *w, unsigned *tries, struct vgm_err *err)
{
	uint64_t at = w->scan.at;
	int r = vgm_scan_find_data(&w->scan, at, &at, err);
	/* Cut to its length under our eyes: its last batch was written meanwhile. */
	if ((r > 0 || r == VGM_E_CORRUPT) && look_again(w, tries, err))
		return 1;
	if (r <= 0)
		return r;
	vgm_verify_fault(w->v, w->name, at, "bytes after the last batch");
	return 0;
}

static int walk_batches(struct walk *w, struct vgm_err *err)
{
	unsigned tries = 0;
	for (;;) {
		uint64_t fault = w->scan.at, before = w->scan.at;
		int r = vgm_scan_next(&w->scan, &fault, err);
		if (r > 0) {
			take_batch(w);
		} else if (r == 0) {
			r = check_tail(w, &tries, err);
			if (r <= 0)
				return r;
		} else if (r == VGM_E_CORRUPT || r == VGM_E_VERSION) {
			struct vgm_err why = *err;
			if (look_again(w, &tries, err))
				continue;
			vgm_verify_fault(w->v, w->name, fault, why.text);
			if (!go_on_after(w, fault))
				return 0;
		} else {
			return r;
		}
		if (w->scan.at != before)
			tries = 0;
	}
}

/* ---- the chain of segments ---- */

static void check_chain(struct walk *w, const struct chain *c, const struct vgm_cut *cut)
{
	const struct vgm_segment_header *h = &w->scan.header;
	uint8_t ours[32], before[32];
	vgm_merkle_root(&h->tree, ours);
	vgm_merkle_root(&c->tree, before);
	const struct {
		bool wrong;
		const char *what;
	} checks[] = {
	    {c->known && h->previous_end != c->end,
		"the segment before does not end where this one says"},
	    {c->known && h->batch != c->batch, "batches are missing between two segments"},
	    {c->known && h->tree.size != c->tree.size, "records are missing between two segments"},
	    {c->tree_known && memcmp(ours, before, 32) != 0,
		"this segment begins with another tree than the one before ended with"},
	    {cut && (cut->end != h->previous_end || cut->batch != h->batch ||
			cut->tree_size != h->tree.size || memcmp(cut->root, ours, 32) != 0),
		"it does not go on where the cut note says"},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(checks); i++)
		if (checks[i].wrong)
			vgm_verify_fault(w->v, w->name, 0, checks[i].what);
}

/* The note of a segment that ended early; false: it has none that can be read. */
static bool read_cut(struct vgm_verify *v, uint64_t number, struct vgm_cut *out)
{
	char name[VGM_SEGMENT_NAME_BYTES];
	struct vgm_err err = {.code = 0};
	int r = vgm_cut_read(v->dir_fd, number, out, &err);
	if (r < 0 && r != VGM_E_NOTFOUND) {
		vgm_segment_cut_name(number, name);
		vgm_verify_fault(v, name, 0, err.text);
	}
	return r == 0;
}

static int open_walk(struct walk *w, uint64_t number, struct vgm_err *err)
{
	struct vgm_cut cut;
	struct stat st;
	vgm_segment_name(number, w->name);
	int fd = openat(w->v->dir_fd, w->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0) {
		int r = errno == ENOENT ? vgm_err_set(err, VGM_E_NOTFOUND, "the segment is missing")
					: vgm_err_sys(err, "opening the segment");
		if (fd >= 0)
			close(fd);
		return r;
	}
	uint64_t limit = (uint64_t)st.st_size;
	if (read_cut(w->v, number, &cut) && cut.end < limit)
		limit = cut.end;
	int r = vgm_scan_begin(&w->scan, fd, number, limit, err);
	if (r < 0)
		close(fd);
	return r;
}

static int verify_segment(
    struct vgm_verify *v, uint64_t number, uint64_t last, struct chain *c, struct vgm_err *err)
{
	struct walk w = {.v = v, .last = number == last};
	struct vgm_cut cut;
	int r = open_walk(&w, number, err);
	if (r < 0) {
		vgm_verify_fault(v, w.name, 0, err->text);
		*c = (struct chain){.known = false};
		v->tiles_lost = true;
		return 0;
	}
	w.scan.parts = true;
	w.scan.part_fault = part_fault;
	w.scan.context = &w;
	bool was_cut = number > 1 && read_cut(v, number - 1, &cut);
	check_chain(&w, c, was_cut ? &cut : NULL);
	if (v->leaves != w.scan.tree.size)
		v->tiles_lost = true;
	vgm_verify_meet_checkpoints(v, w.scan.tree.size, &w.scan.tree);
	r = walk_batches(&w, err);
	*c = (struct chain){.known = r == 0,
	    .tree_known = r == 0 && !w.scan.tree_lost,
	    .end = w.scan.at,
	    .batch = w.scan.batch,
	    .tree = w.scan.tree};
	v->result->segments++;
	v->result->bytes += w.scan.at;
	vgm_scan_release(&w.scan);
	close(w.scan.fd);
	return r;
}

/* ledgerd's snapshot is no evidence, but a damaged one is worth knowing. */
static void verify_snapshot(struct vgm_verify *v)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf bytes = VGM_BUF_INIT(SNAPSHOT_MAX);
	struct vgm_err err = {.code = 0};
	uint8_t hash[32];
	int r = vgm_file_read_at(v->dir_fd, VGM_LEDGER_SCHEDULE, &bytes, &err);
	if (r == VGM_E_NOTFOUND)
		return;
	if (r == 0 && bytes.len < sizeof hash)
		r = vgm_err_set(&err, VGM_E_CORRUPT, "it is too short");
	if (r == 0) {
		vgm_hash(vgm_slice(bytes.data, bytes.len - sizeof hash), hash);
		if (memcmp(hash, bytes.data + bytes.len - sizeof hash, sizeof hash) != 0)
			r = vgm_err_set(&err, VGM_E_CORRUPT, "it does not match its hash");
	}
	if (r < 0)
		vgm_verify_fault(v, VGM_LEDGER_SCHEDULE, 0, err.text);
}

/* The writer holds the lock as long as it lives. */
static bool is_live(int dir_fd)
{
	int fd = openat(dir_fd, VGM_LEDGER_LOCK, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool live = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
	if (fd >= 0)
		close(fd);
	return live;
}

int vgm_verify(int dir_fd, vgm_verify_report *report, void *context, struct vgm_verify_result *out,
    struct vgm_err *err)
{
	struct vgm_verify *v = vgm_alloc(sizeof *v);
	struct chain chain = {.known = true, .tree_known = true};
	struct vgm_err mine = {.code = 0};
	uint64_t last = 0;
	*out = (struct vgm_verify_result){0};
	*v = (struct vgm_verify){
	    .dir_fd = dir_fd, .report = report, .context = context, .result = out};
	v->live = is_live(dir_fd);
	int r = vgm_segment_last(dir_fd, &last, &mine);
	if (r == 0 && last == 0)
		r = vgm_err_set(&mine, VGM_E_NOTFOUND, "there is no ledger");
	if (r == 0)
		vgm_verify_read_checkpoints(v, last);
	for (uint64_t number = 1; r == 0 && number <= last; number++)
		r = verify_segment(v, number, last, &chain, &mine);
	if (r == 0) {
		vgm_verify_left_checkpoints(v);
		vgm_verify_last_tiles(v);
		verify_snapshot(v);
		out->tree_size = chain.tree.size;
		vgm_merkle_root(&chain.tree, out->root);
	}
	vgm_free(v->checkpoints);
	vgm_free(v->keys);
	vgm_free(v);
	if (r < 0 && err)
		*err = mine;
	return r;
}
