/* SPDX-License-Identifier: EUPL-1.2
 * role/viewd_client.h — a person's command at work, for the viewd_*.c that share
 * it: viewd_control.c (clients, words), viewd_jobs.c (verbs that viewd answers
 * itself), viewd_asks.c (those for which it asks ledgerd and the show pool). */
#ifndef VGM_ROLE_VIEWD_CLIENT_H
#define VGM_ROLE_VIEWD_CLIENT_H

#include "role/viewd_control.h"
#include "words/words.h"

#include <sys/types.h>

#define VGM_VIEWD_TERMS_MAX 64
#define VGM_VIEWD_ROWS_WAITING 100 /* not yet taken by the client: the job pauses */

enum vgm_viewd_job {
	VGM_VIEWD_JOB_NONE = 0,
	VGM_VIEWD_JOB_SEARCH, /* rows of messages */
	VGM_VIEWD_JOB_ONE,    /* looks for the one message that an act or show names */
	VGM_VIEWD_JOB_ANSWER, /* ledgerd or the show pool has been asked */
	VGM_VIEWD_JOB_REBUILD,
	VGM_VIEWD_JOB_DEVICES, /* rows of machines */
};

struct vgm_viewd_client;

struct vgm_viewd_verb {
	const char *name;
	void (*begin)(struct vgm_viewd_client *);
	enum vgm_view_source source; /* of its search */
	uint8_t act;                 /* enum vgm_schedule_act */
	uint8_t what;                /* enum vgm_show */
	bool history;
	bool none_is_no; /* nothing found is exit status 1 */
	bool needs_word;
};

struct vgm_viewd_client {
	struct vgm_viewd_client *next;
	struct vgm_viewd_control *control;
	struct vgm_channel *channel;
	const struct vgm_viewd_verb *verb;
	enum vgm_viewd_job job;
	enum vgm_role_id waits_for; /* JOB_ANSWER */
	uint64_t session, deadline_ms;
	struct vgm_view_filter filter;
	struct vgm_view_search *search;
	struct vgm_view_device_cursor device; /* JOB_DEVICES: how far it is */
	uint64_t found; /* JOB_ONE: its sequence */
	size_t limit;
	bool all;
	int sent; /* the first failure of sending */
	struct vgm_err err;
	uid_t uid;
	char who[200];
	struct vgm_buf why;
	struct vgm_buf terms[VGM_VIEWD_TERMS_MAX]; /* what the filter borrows from */
	size_t terms_count;
};

struct vgm_viewd_control {
	struct vgm_role_run *run;
	struct vgm_viewd_tail *tail;
	struct vgm_io *door;
	int door_fd;
	struct vgm_timer *work;
	uint64_t work_due_ms;
	struct vgm_viewd_client *clients;
	size_t clients_count;
	uint64_t last_session;
};

/* ---- viewd_control.c ---- */

/* A vgm_view_emit whose context is the client. */
int vgm_viewd_send_row(void *client, const char *json);
/* The answer is complete; words may be VGM_WORDS_COUNT: none. The client may ask
 * again. */
void vgm_viewd_end(struct vgm_viewd_client *, enum vgm_viewd_code, enum vgm_words_id words,
    struct vgm_slice detail);
void vgm_viewd_end_well(struct vgm_viewd_client *);
void vgm_viewd_end_err(struct vgm_viewd_client *, const struct vgm_err *);
/* Forgets the question without an answer: the client does not listen. */
void vgm_viewd_client_clear(struct vgm_viewd_client *);
/* The views to query, with a deadline; NULL: none, and the client has been told. */
struct vgm_views *vgm_viewd_client_views(struct vgm_viewd_client *);
/* Has the jobs stepped at the latest in so many ms. */
void vgm_viewd_work_soon(struct vgm_viewd_control *, uint64_t ms);

/* ---- viewd_jobs.c ---- */
const struct vgm_viewd_verb *vgm_viewd_verb_find(struct vgm_slice name);
/* One step of the client's job. Returns in how many ms the next one is due;
 * UINT64_MAX: it has none. */
uint64_t vgm_viewd_step(struct vgm_viewd_client *);

/* ---- viewd_asks.c ---- */

/* The act, or opening, that the verb stands for. spot NULL: every message. */
void vgm_viewd_act(struct vgm_viewd_client *, const struct vgm_view_spot *spot);
void vgm_viewd_open(struct vgm_viewd_client *, const struct vgm_view_spot *spot);
/* Nobody has answered in time. */
void vgm_viewd_no_answer(struct vgm_viewd_client *);

#endif
