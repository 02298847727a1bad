/* SPDX-License-Identifier: EUPL-1.2
 * role/keyd_passphrase.h — where keyd gets the passphrase of its store from,
 * when keys.root asks for one: a systemd credential named "vgm-passphrase" if
 * there is one, so that a machine can start alone, else the terminal. */
#ifndef VGM_ROLE_KEYD_PASSPHRASE_H
#define VGM_ROLE_KEYD_PASSPHRASE_H

#include "base/err.h"
#include "base/secret.h"
#include "words/words.h"

#define VGM_PASSPHRASE_MAX 1024u /* bytes */
#define VGM_PASSPHRASE_MIN 8u    /* of a new one */

/* store: its name for the prompt ("keys"). Where is_new, the terminal asks twice
 * until both agree. Blocks until somebody has typed; Ctrl-C goes to master. *out
 * is the caller's to release. VGM_E_NOTFOUND: neither credential nor terminal;
 * VGM_E_INVALID: empty, too short where new, or too long; VGM_E_CLOSED: given up. */
int vgm_keyd_passphrase(const char *store, bool is_new, enum vgm_lang, struct vgm_secret *out,
    struct vgm_err *) VGM_MUST_USE;

#endif
