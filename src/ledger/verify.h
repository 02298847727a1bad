/* SPDX-License-Identifier: EUPL-1.2
 * ledger/verify.h — checks everything that can be checked of a ledger without
 * any secret key and without a server: each byte of every segment, the chain of
 * segments, the tree, its tiles, and each checkpoint's root and signature.
 *
 * What it proves: nothing was changed, removed or put in between since the
 * newest checkpoint was signed, if the public key is the right one (compare
 * `checkpoint.keys` with the copy kept elsewhere). What it cannot see: that the
 * whole directory was set back to an older state; for that a newer checkpoint
 * must be known from outside. */
#ifndef VGM_LEDGER_VERIFY_H
#define VGM_LEDGER_VERIFY_H

#include "base/err.h"

struct vgm_verify_fault {
	const char *file; /* in the ledger's directory */
	uint64_t offset;  /* of what is wrong, or of the structure that holds it */
	const char *what;
};

struct vgm_verify_result {
	uint64_t segments, batches, records, bytes;
	uint64_t tiles;	      /* files compared */
	uint64_t checkpoints; /* root and signature are right */
	uint64_t tree_size;
	uint8_t root[32];
	uint64_t checkpoint_size; /* of the newest good checkpoint */
	uint64_t faults;
};

typedef void vgm_verify_report(void *context, const struct vgm_verify_fault *);

/* 0: looked at everything; out->faults counts what was reported. Works beside a
 * running ledgerd. VGM_E_IO, VGM_E_NOTFOUND (no ledger there). Blocks. */
int vgm_verify(int dir_fd, vgm_verify_report *report, void *context, struct vgm_verify_result *out,
    struct vgm_err *) VGM_MUST_USE;

#endif
