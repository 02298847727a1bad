/* SPDX-License-Identifier: EUPL-1.2
 * role/ledgerd.h — what the files of ledgerd share.
 *
 *	ledgerd.c            the role: messages, rounds, timers
 *	ledgerd_append.c     mail comes in: APPEND, group commit, APPENDED
 *	ledgerd_resent.c     mail that a crash left in doubt, sent again
 *	ledgerd_fact.c       ledgerd's own records: outcomes, acts, accesses
 *	ledgerd_deliver.c    mail goes out: the schedule, DELIVER, OUTCOMES
 *	ledgerd_notice.c     senders are told: NOTIFY, once for each failure
 *	ledgerd_replay.c     the schedule from snapshot and tail at the start
 *	ledgerd_snapshot.c   that snapshot's file
 *	ledgerd_checkpoint.c tiles and signed checkpoints
 *	ledgerd_act.c        what people ask through viewd
 *	ledgerd_read.c       records read back: routing parts, segments' descriptors
 *
 * Order of a round: facts and mail that arrived are appended, one sync, answers,
 * then what is due goes out. Nothing is answered before its sync but
 * OUTCOMES_WRITTEN, which follows its frame (rule 13). */
#ifndef VGM_ROLE_LEDGERD_H
#define VGM_ROLE_LEDGERD_H

#include "base/arena.h"
#include "directory/directory.h"
#include "ledger/reader.h"
#include "ledger/tiles.h"
#include "ledger/writer.h"
#include "log/log.h"
#include "queue/schedule.h"
#include "role/ledgerd_resent.h"
#include "role/role.h"
#include "role/viewd_keys.h"

struct vgm_ledgerd;
struct vgm_ledgerd_fact;
struct vgm_ledgerd_snapshot;

/* ---- mail waiting for its sync ---- */
struct vgm_ledgerd_pending {
	struct vgm_channel *from; /* NULL: gone meanwhile */
	uint8_t type;
	uint8_t id[16], related[16];
	uint64_t sequence;
	struct vgm_ledger_place place;
	uint8_t *routing; /* in clear, for the schedule; on the heap */
	size_t routing_len;
};

/* ---- a delivery in relayd's hands ---- */
struct vgm_ledgerd_flight {
	struct vgm_ledgerd_flight *next;
	uint64_t delivery;
	uint8_t record[16], token[16];
	struct vgm_ledger_place place;
	uint32_t attempt;
	bool success_asked; /* NOTIFY=SUCCESS by one of them */
	size_t count;
	uint32_t indexes[];
};

/* ---- a notice that is due ---- */
struct vgm_ledgerd_notice {
	struct vgm_ledgerd_notice *next;
	uint8_t failure[16];	       /* id of the outcome record */
	struct vgm_ledger_place place; /* of that record */
	uint64_t tag;		       /* of the NOTIFY in a worker's hands; 0 = none */
	uint64_t not_before_ms;
	uint32_t tries;
};

struct vgm_ledgerd {
	struct vgm_role_run *run;
	struct vgm_writer *writer;
	struct vgm_writer_opening opening;
	struct vgm_viewd_keys *keys;
	struct vgm_directory *directory; /* NULL when we are not told */
	uint32_t own_day;		 /* of the key for our own records */
	bool clock_synchronised;

	/* ledgerd_append.c */
	struct vgm_ledgerd_pending *pending;
	size_t pending_count, pending_room;
	size_t pending_company; /* as many APPENDs as are worth waiting for */
	uint64_t pending_since_us;
	struct vgm_ledgerd_waiting *waiting; /* for a routing key */
	struct vgm_resent *resent;	     /* mail whose 250 may not have been heard */

	/* ledgerd_fact.c */
	struct vgm_ledgerd_fact *facts, **facts_end;

	/* ledgerd_deliver.c */
	struct vgm_schedule *schedule;
	struct vgm_ledgerd_flight *flights[256];

	/* ledgerd_notice.c */
	struct vgm_ledgerd_notice *notices;
	size_t notices_count, notices_flying;
	uint64_t last_tag;

	/* ledgerd_act.c */
	struct vgm_ledgerd_waiting_act *acts; /* for the end of the replay */

	/* ledgerd_replay.c */
	struct vgm_ledgerd_replay *replay; /* NULL: done */
	uint64_t run_base_ms, mono_start_ms;

	/* ledgerd_snapshot.c */
	uint64_t snapshot_size; /* records when the last one was written */
	uint64_t snapshot_segment, snapshot_ms;

	/* ledgerd_checkpoint.c */
	struct vgm_tiles *tiles;
	struct vgm_reader *tiles_reader; /* catching up; NULL: done */
	uint8_t (*leaves)[32]; /* appended, not in tiles; the first is leaf leaves_first */
	uint64_t leaves_first;
	size_t leaves_count, leaves_room;
	uint64_t checkpoint_size; /* of the newest signed one */
	uint64_t asked_size;	  /* for which keyd was asked; 0 = it was not */

	/* ledgerd.c */
	uint64_t told_size, told_ms;			      /* SYNCED to viewd */
	uint64_t viewed_size, mark_size, mark_ms, mark_bytes; /* how far behind the views are */
	uint64_t told_room;				      /* to smtpd, through master */
	uint64_t bytes;					      /* appended since the start */
	struct vgm_timer *end, *group, *work, *sync, *told, *checkpoint, *housekeeping, *dead;

	/* ledgerd_read.c */
	struct vgm_ledgerd_segment {
		uint64_t number, used;
		int fd;
	} segments[8];
	uint64_t segments_used;
	struct vgm_arena arena; /* of the message at hand; cleared by each read */
	struct vgm_buf plain;
};

/* ---- ledgerd.c ---- */
uint64_t vgm_ledgerd_run_ms(const struct vgm_ledgerd *); /* running time, over restarts */
void vgm_ledgerd_log(enum vgm_log_level, const char *event, const struct vgm_err *);
/* Another round soon: something was put aside that can go on. */
void vgm_ledgerd_again(struct vgm_ledgerd *);
/* After a sync or a failed write: tells everybody what became of their records. */
void vgm_ledgerd_settle(struct vgm_ledgerd *);
/* Syncs and settles. */
void vgm_ledgerd_sync(struct vgm_ledgerd *);

/* ---- ledgerd_read.c ---- */
/* The day's routing key (32 bytes, borrowed); NULL: asked for, or closed. */
const uint8_t *vgm_ledgerd_key(struct vgm_ledgerd *, uint32_t day);
bool vgm_ledgerd_day_is_closed(struct vgm_ledgerd *, uint32_t day);
/* Read-only descriptor of a segment, kept open. -1 and err. */
int vgm_ledgerd_segment_fd(struct vgm_ledgerd *, uint64_t number, struct vgm_err *);
/* Opens and decodes the sealed routing part of a record into *out, a struct of
 * that type, which borrows from l until the next read. VGM_E_BUSY: the key is on
 * its way; VGM_E_NOTFOUND: its day is closed; VGM_E_CRYPTO, VGM_E_INVALID. */
int vgm_ledgerd_open(struct vgm_ledgerd *, const struct vgm_record *, struct vgm_slice sealed,
    enum vgm_msg_type, void *out, struct vgm_err *) VGM_MUST_USE;
/* The same for a record at a place. id may be NULL; else the record must have it
 * (VGM_E_CORRUPT). */
int vgm_ledgerd_read(struct vgm_ledgerd *, struct vgm_ledger_place, const uint8_t *id,
    struct vgm_record *out_record, enum vgm_msg_type, void *out, struct vgm_err *) VGM_MUST_USE;

/* ---- ledgerd_append.c ---- */
void vgm_ledgerd_append(struct vgm_ledgerd *, struct vgm_channel *from, struct vgm_msg_append *);
void vgm_ledgerd_append_settle(struct vgm_ledgerd *);
void vgm_ledgerd_append_gone(struct vgm_ledgerd *, struct vgm_channel *);
void vgm_ledgerd_append_key_came(struct vgm_ledgerd *);
/* Puts a mail or notice that is in the ledger into the schedule. */
void vgm_ledgerd_schedule(struct vgm_ledgerd *, const uint8_t id[16], struct vgm_ledger_place,
    const struct vgm_msg_routing *, uint64_t accepted_ms);

/* ---- ledgerd_fact.c ---- */
struct vgm_ledgerd_fact {
	struct vgm_ledgerd_fact *next;
	uint8_t type; /* enum vgm_record_type */
	uint8_t id[16], related[16];
	uint8_t *plain; /* the encoded facts; on the heap */
	size_t plain_len;
	bool written, told; /* framed; on_written was called */
	uint64_t sequence;
	struct vgm_ledger_place place;
	/* Called once each; may be NULL. */
	void (*on_written)(struct vgm_ledgerd *, struct vgm_ledgerd_fact *);
	void (*on_synced)(struct vgm_ledgerd *, struct vgm_ledgerd_fact *);
	/* theirs */
	uint64_t number;
	uint8_t what;
	uint8_t record[16];
	struct vgm_ledger_place original;
	bool notify;
};
/* Queues a record with these facts (a struct vgm_msg_<type>). It is written in
 * this round, or as soon as disk and key allow. The fact is ledgerd's; the
 * caller may fill its callbacks. */
struct vgm_ledgerd_fact *vgm_ledgerd_fact_new(struct vgm_ledgerd *, enum vgm_record_type,
    const uint8_t *related, enum vgm_msg_type, const void *message);
/* Appends those that wait. False: some could not be. */
bool vgm_ledgerd_facts_write(struct vgm_ledgerd *);
/* After a frame: calls on_written. */
void vgm_ledgerd_facts_framed(struct vgm_ledgerd *);
void vgm_ledgerd_facts_settle(struct vgm_ledgerd *);
bool vgm_ledgerd_facts_wait(const struct vgm_ledgerd *); /* some are not written */

/* ---- ledgerd_deliver.c ---- */
void vgm_ledgerd_limits(struct vgm_ledgerd *);	/* from the configuration, at start and reload */
void vgm_ledgerd_deliver(struct vgm_ledgerd *); /* hands out all that is due */
void vgm_ledgerd_outcomes(struct vgm_ledgerd *, struct vgm_msg_outcomes *);
void vgm_ledgerd_relay_lost(struct vgm_ledgerd *);
void vgm_ledgerd_jobs_again(struct vgm_ledgerd *); /* a new keyd knows no job */
/* JOB to keyd; false: it is away. */
bool vgm_ledgerd_job(
    struct vgm_ledgerd *, const struct vgm_record *, enum vgm_purpose, const uint8_t token[16]);

/* ---- ledgerd_notice.c ---- */
void vgm_ledgerd_notice_add(
    struct vgm_ledgerd *, const uint8_t failure[16], struct vgm_ledger_place);
/* A NOTICE record for this failure is durable. */
void vgm_ledgerd_notice_done(struct vgm_ledgerd *, const uint8_t failure[16]);
bool vgm_ledgerd_notice_expected(const struct vgm_ledgerd *, const uint8_t failure[16]);
void vgm_ledgerd_notices_send(struct vgm_ledgerd *);
void vgm_ledgerd_notified(struct vgm_ledgerd *, uint64_t tag, bool ok);
void vgm_ledgerd_notices_lost(struct vgm_ledgerd *); /* the render pool has gone */
/* Which action an outcome asks for, by the original's routing part; 0: none. */
int vgm_ledgerd_notice_action(const struct vgm_msg_routing *, const struct vgm_outcome *);

/* ---- ledgerd_replay.c ---- */
void vgm_ledgerd_replay_begin(struct vgm_ledgerd *);
void vgm_ledgerd_replay_some(struct vgm_ledgerd *); /* one slice */
void vgm_ledgerd_act_on(struct vgm_ledgerd *, enum vgm_schedule_act, const uint8_t *record,
    uint64_t now_ms, uint32_t *out_count);

/* ---- ledgerd_snapshot.c ---- */
struct vgm_ledgerd_queued {
	uint8_t record[16];
	struct vgm_ledger_place place;
	uint64_t accepted_ms, expire_ms;
	bool held, warned;
	uint32_t *attempts;
	size_t attempts_count;
};
struct vgm_ledgerd_snapshot {
	struct vgm_ledger_place place;
	uint64_t tree_size, run_ms, time_us;
	struct vgm_ledgerd_queued *queued;
	size_t queued_count;
	struct vgm_ledgerd_notice *notices; /* failure and place */
	size_t notices_count;
	uint32_t *attempts; /* of all */
};
/* VGM_E_NOTFOUND, VGM_E_CORRUPT, VGM_E_VERSION, VGM_E_IO. */
int vgm_ledgerd_snapshot_read(
    int dir_fd, struct vgm_ledgerd_snapshot *out, struct vgm_err *) VGM_MUST_USE;
void vgm_ledgerd_snapshot_release(struct vgm_ledgerd_snapshot *);
/* Writes one now if everything is synced; true when it was. */
bool vgm_ledgerd_snapshot_write(struct vgm_ledgerd *);
void vgm_ledgerd_snapshot_consider(struct vgm_ledgerd *); /* when it is time */

/* ---- ledgerd_checkpoint.c ---- */
void vgm_ledgerd_tiles_begin(struct vgm_ledgerd *);
bool vgm_ledgerd_tiles_some(struct vgm_ledgerd *); /* one slice; true: more is to do */
void vgm_ledgerd_leaf(struct vgm_ledgerd *, const uint8_t leaf[32]);
void vgm_ledgerd_leaves_settle(struct vgm_ledgerd *);
void vgm_ledgerd_checkpoint(struct vgm_ledgerd *); /* ask keyd for one */
void vgm_ledgerd_signed(struct vgm_ledgerd *, const struct vgm_msg_signed_checkpoint *);

/* ---- ledgerd_act.c ---- */
void vgm_ledgerd_schedule_act(struct vgm_ledgerd *, const struct vgm_msg_schedule_act *);
void vgm_ledgerd_acts_go_on(struct vgm_ledgerd *); /* the replay is over */
void vgm_ledgerd_open_record(struct vgm_ledgerd *, const struct vgm_msg_open_record *);
void vgm_ledgerd_note_start(struct vgm_ledgerd *, const char *kind);

#endif
