/* SPDX-License-Identifier: EUPL-1.2
 * base/err.h — how functions fail.
 *
 * A function that can fail returns 0 or one of the negative codes below and
 * takes, as its last argument, a struct vgm_err that the caller owns and that
 * receives the particulars. The argument may be NULL. Outputs are untouched on
 * failure. The code says what a caller can decide on; the text is for people
 * who operate the system and holds no personal data. */
#ifndef VGM_BASE_ERR_H
#define VGM_BASE_ERR_H

#include "base/base.h"

enum vgm_code {
	VGM_OK = 0,
	VGM_E_IO = -1,       /* the system refused: errno in sys_errno; temporary by default */
	VGM_E_INVALID = -2,  /* the input breaks its grammar; permanent */
	VGM_E_LIMIT = -3,    /* a named ceiling was reached */
	VGM_E_TIMEOUT = -4,  /* a deadline passed; temporary */
	VGM_E_CLOSED = -5,   /* the other side has gone */
	VGM_E_DENIED = -6,   /* the asker may not do this */
	VGM_E_NOTFOUND = -7, /* no such thing */
	VGM_E_CORRUPT = -8,  /* stored bytes are not what was stored */
	VGM_E_CRYPTO = -9,   /* a cryptographic check failed, or the library refused */
	VGM_E_BUSY = -10,    /* another one has it; try again */
	VGM_E_NOSPACE = -11, /* the disk or the reserve is full; temporary */
	VGM_E_VERSION = -12, /* a newer format or another build wrote this */
};

#define VGM_ERR_TEXT_BYTES 256

struct vgm_err {
	int code; /* enum vgm_code */
	int sys_errno;
	char text[VGM_ERR_TEXT_BYTES]; /* always terminated; cut if longer */
};

/* Fills err (if not NULL) and returns code, so that callers write
 * return vgm_err_set(err, VGM_E_INVALID, "..."). */
int vgm_err_set(struct vgm_err *err, int code, const char *fmt, ...) VGM_PRINTF(3, 4);

/* The same for a failed system call: keeps errno, appends its text. ENOSPC and
 * EDQUOT become VGM_E_NOSPACE, all else VGM_E_IO. */
int vgm_err_sys(struct vgm_err *err, const char *fmt, ...) VGM_PRINTF(2, 3);

/* The code's name in words, for logs: "invalid", "timeout", ... */
const char *vgm_err_name(int code);

#endif
