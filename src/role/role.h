/* SPDX-License-Identifier: EUPL-1.2
 * role/role.h — the one skeleton on which every daemon process stands.
 *
 * Order in every role (role/role.c, vgm_role_main): read CONFIGURE and the PEER,
 * LISTENER messages from master on descriptor 3; prepare() loads everything that
 * needs files; limits; the user is dropped; the sandbox closes; begin() sets the
 * handlers to work; READY; the loop. On STOP: stop() finishes what is in hand.
 * A role that loses its master exits. */
#ifndef VGM_ROLE_ROLE_H
#define VGM_ROLE_ROLE_H

#include "base/err.h"
#include "conf/conf.h"
#include "ipc/channel.h"
#include "os/loop.h"
#include "os/sandbox.h"

#define VGM_ROLE_PEERS_MAX 16
#define VGM_ROLE_LISTENERS_MAX 16

struct vgm_role_listener {
	int fd;
	bool tls;
};

/* What a running role has. One per process. */
struct vgm_role_run {
	const struct vgm_role *role;
	enum vgm_instance instance;
	struct vgm_loop *loop;
	struct vgm_channel *master;
	struct vgm_conf conf;      /* only the role's own options are filled */
	uint32_t conf_version;
	int directory_fd;          /* sealed memfd, or -1 */
	int extra_fd; /* an open directory (keyd: key store, ledgerd: ledger, viewd: views), or -1
		       */
	int ledger_fd;             /* viewd: the ledger's directory, read only; else -1 */
	struct vgm_channel *peers[VGM_ROLE_PEERS_MAX];
	size_t peers_count;
	struct vgm_role_listener listeners[VGM_ROLE_LISTENERS_MAX];
	size_t listeners_count;
	void *state;               /* the role's own */
	bool stopping;
};

struct vgm_role {
	enum vgm_role_id id;
	/* Before the sandbox; may read files. May be NULL. */
	int (*prepare)(struct vgm_role_run *, struct vgm_err *);
	/* Inside the sandbox, before READY. */
	int (*begin)(struct vgm_role_run *, struct vgm_err *);
	/* A permitted message from a peer (not from master, whose messages the
	 * skeleton handles). */
	void (*message)(struct vgm_role_run *, struct vgm_channel *from, int type, void *message);
	/* A message from master that is the role's own (struck). May be NULL. */
	void (*from_master)(struct vgm_role_run *, int type, void *message);
	/* A peer came (again, after a restart) or went. May be NULL. */
	void (*peer_came)(struct vgm_role_run *, struct vgm_channel *);
	void (*peer_gone)(struct vgm_role_run *, struct vgm_channel *);
	/* New configuration (reload). May be NULL: restart needed. */
	void (*reconfigured)(struct vgm_role_run *);
	/* STOP: finish, then call vgm_role_done. May be NULL: done at once. */
	void (*stop)(struct vgm_role_run *);
	struct vgm_sandbox_rules sandbox;
};

/* Never returns: exits 0 after STOP, 1 when the role cannot start. */
void vgm_role_main(const struct vgm_role *) VGM_NORETURN;

/* The peer's channel, or NULL while it is away. */
struct vgm_channel *vgm_role_peer(
    const struct vgm_role_run *, enum vgm_role_id, enum vgm_instance);
/* A channel that came another way than PEER (keyd, ledgerd: WORKER). Its messages
 * and its end reach the same handlers; vgm_role_peer does not find it. */
struct vgm_channel *vgm_role_adopt(
    struct vgm_role_run *, int fd, enum vgm_role_id, enum vgm_instance);
/* Called by stop() when nothing is in hand any more: leaves the loop. */
void vgm_role_done(struct vgm_role_run *);

extern const struct vgm_role vgm_role_smtpd, vgm_role_admit, vgm_role_render, vgm_role_show,
    vgm_role_keyd, vgm_role_ledgerd, vgm_role_viewd, vgm_role_resolverd, vgm_role_relayd;

#endif
