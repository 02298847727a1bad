/* SPDX-License-Identifier: EUPL-1.2
 * role/keyd.c: the whole role in a process of its own, asked by every peer that
 * it has. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "../crypt/store_fixture.h"
#include "role_fixture.h"

#include "ledger/checkpoint.h"

#define DAY_US 86400000000ull

/* A running keyd and our ends of its channels. */
struct world {
	struct store *store; /* its directory; not open here while keyd runs */
	struct role_process keyd;
	int admit, render, show, ledgerd, viewd;
	int worker; /* an admit worker's own channel */
};

static int worker_of(int template, enum vgm_role_id pool)
{
	int fds[2];
	assert_int_equal(vgm_ipc_pair(fds, false, NULL), 0);
	struct vgm_msg_worker m = {.pool = (uint8_t)pool, .channel = fds[1]};
	role_send(template, VGM_MSG_worker, &m);
	close(fds[1]);
	return fds[0];
}

static void start_with(struct world *w, const char *options)
{
	w->keyd = role_fork(&vgm_role_keyd);
	role_configure(&w->keyd, VGM_INSTANCE_ONLY, options, w->store->dir);
	w->admit = role_peer(&w->keyd, VGM_ROLE_ADMIT, VGM_INSTANCE_ONLY);
	w->render = role_peer(&w->keyd, VGM_ROLE_RENDER, VGM_INSTANCE_ONLY);
	w->show = role_peer(&w->keyd, VGM_ROLE_SHOW, VGM_INSTANCE_ONLY);
	w->ledgerd = role_peer(&w->keyd, VGM_ROLE_LEDGERD, VGM_INSTANCE_ONLY);
	w->viewd = role_peer(&w->keyd, VGM_ROLE_VIEWD, VGM_INSTANCE_ONLY);
	assert_int_equal(role_start(&w->keyd), 0);
	w->worker = worker_of(w->admit, VGM_ROLE_ADMIT);
}

static void start(struct world *w)
{
	start_with(w, "{entity: 7, ledger: {window_days: 30}}");
}

static void stop(struct world *w)
{
	assert_int_equal(role_stop(&w->keyd), 0);
	close(w->admit);
	close(w->render);
	close(w->show);
	close(w->ledgerd);
	close(w->viewd);
	close(w->worker);
}

static int world_up(void **state)
{
	struct world *w = vgm_alloc(sizeof *w);
	void *store;
	if (store_up(&store) < 0)
		return -1;
	w->store = store;
	vgm_keystore_close(&w->store->keys);
	start(w);
	*state = w;
	return 0;
}

static int world_down(void **state)
{
	struct world *w = *state;
	void *store = w->store;
	stop(w);
	vgm_free(w);
	return store_down(&store);
}

static uint32_t today(void)
{
	return (uint32_t)(vgm_clock_wall_us() / DAY_US);
}

/* One fresh key and its wrap; the day goes to *day. */
static struct vgm_wrapped_key wrap_one(struct world *w, uint32_t *day)
{
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	struct vgm_msg_wrap ask = {.count = 1};
	struct vgm_msg_wrapped *m =
	    role_call(w->worker, VGM_MSG_wrap, &ask, VGM_MSG_wrapped, &got);
	assert_int_equal(m->keys_count, 1);
	*day = m->day;
	return m->keys[0];
}

static void test_wrap(void **state)
{
	static const struct {
		uint32_t asked, given;
	} cases[] = {{1, 1}, {32, 32}, {33, 32}, {UINT32_MAX, 32}, {0, 0}};
	struct world *w = *state;
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_msg_wrap ask = {.count = cases[i].asked};
		uint32_t before = today();
		struct vgm_msg_wrapped *m =
		    role_call(w->worker, VGM_MSG_wrap, &ask, VGM_MSG_wrapped, &got);
		assert_in_range(m->day, before, today());
		assert_int_equal(m->keys_count, cases[i].given);
		for (size_t a = 0; a < m->keys_count; a++)
			for (size_t b = 0; b < a; b++) {
				assert_memory_not_equal(m->keys[a].key, m->keys[b].key, 32);
				assert_memory_not_equal(m->keys[a].wrap, m->keys[b].wrap, 12);
			}
	}
}

struct job_case {
	uint8_t purpose;
	bool by_show;
	uint32_t entity;
	bool ok;
};

static bool unwrap(int worker, const uint8_t token[16], uint8_t out[32])
{
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	struct vgm_msg_unwrap ask;
	memcpy(ask.token, token, 16);
	struct vgm_msg_unwrapped *m =
	    role_call(worker, VGM_MSG_unwrap, &ask, VGM_MSG_unwrapped, &got);
	memcpy(out, m->key, 32);
	return m->ok == 1;
}

static void register_job(
    struct world *w, const struct vgm_wrapped_key *key, uint32_t day, uint32_t entity,
    uint8_t purpose, uint8_t token[16])
{
	struct vgm_msg_job job = {.entity = entity, .day = day, .purpose = purpose};
	vgm_random(token, 16);
	memcpy(job.token, token, 16);
	memcpy(job.wrap, key->wrap, sizeof job.wrap);
	role_send(w->ledgerd, VGM_MSG_job, &job);
}

/* A key is handed out for a job, once, to the right pool. */
static void test_jobs(void **state)
{
	static const struct job_case cases[] = {
	    {VGM_PURPOSE_DELIVER, false, 7, true},
	    {VGM_PURPOSE_NOTICE, false, 7, true},
	    {VGM_PURPOSE_SHOW, true, 7, true},
	    {VGM_PURPOSE_SHOW, false, 7, false},
	    {VGM_PURPOSE_DELIVER, true, 7, false},
	    {VGM_PURPOSE_DELIVER, false, 8, false},
	};
	struct world *w = *state;
	int render = worker_of(w->render, VGM_ROLE_RENDER), show = worker_of(w->show, VGM_ROLE_SHOW);
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		uint32_t day;
		uint8_t token[16], out[32], zeros[32] = {0};
		struct vgm_wrapped_key key = wrap_one(w, &day);
		/* The job is in ledgerd's channel, not yet read: the asker must not lose. */
		register_job(w, &key, day, cases[i].entity, cases[i].purpose, token);
		int worker = cases[i].by_show ? show : render;
		assert_int_equal(unwrap(worker, token, out), cases[i].ok);
		assert_memory_equal(out, cases[i].ok ? key.key : zeros, 32);
		assert_false(unwrap(worker, token, out));
		assert_memory_equal(out, zeros, 32);
	}
	close(render);
	close(show);
}

/* The wrap survives a restart, also of an unclean kind. */
static void test_keys_survive_a_kill(void **state)
{
	struct world *w = *state;
	uint32_t day;
	uint8_t token[16], out[32];
	struct vgm_wrapped_key key = wrap_one(w, &day);
	kill(w->keyd.pid, SIGKILL);
	assert_int_equal(waitpid(w->keyd.pid, NULL, 0), w->keyd.pid);
	close(w->keyd.master);
	start(w);
	int render = worker_of(w->render, VGM_ROLE_RENDER);
	register_job(w, &key, day, 7, VGM_PURPOSE_DELIVER, token);
	assert_true(unwrap(render, token, out));
	assert_memory_equal(out, key.key, 32);
	close(render);
}

static bool lend(int fd, uint8_t kind, uint32_t day, uint8_t out[32])
{
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	struct vgm_msg_lend ask = {.kind = kind, .day = day};
	struct vgm_msg_lent *m = role_call(fd, VGM_MSG_lend, &ask, VGM_MSG_lent, &got);
	assert_int_equal(m->kind, kind);
	assert_int_equal(m->day, day);
	memcpy(out, m->key, 32);
	return m->ok == 1;
}

static void test_what_is_lent_to_whom(void **state)
{
	static const struct {
		bool to_viewd;
		uint8_t kind;
		int day; /* from today */
		bool ok;
	} cases[] = {
	    {false, VGM_LENT_ROUTING, 0, true},
	    {false, VGM_LENT_ROUTING, 1, true},
	    {false, VGM_LENT_ROUTING, 2, false},
	    {false, VGM_LENT_ROUTING, -1, false},
	    {false, VGM_LENT_VIEW, 0, false},
	    {true, VGM_LENT_ROUTING, 0, true},
	    {true, VGM_LENT_VIEW, 0, true},
	    {true, 3, 0, false},
	    {false, 0, 0, false},
	};
	struct world *w = *state;
	uint32_t now = today();
	uint8_t a[32], b[32], zeros[32] = {0};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		int fd = cases[i].to_viewd ? w->viewd : w->ledgerd;
		bool ok = lend(fd, cases[i].kind, now + (uint32_t)cases[i].day, a);
		assert_int_equal(ok, cases[i].ok);
		assert_int_equal(memcmp(a, zeros, 32) != 0, cases[i].ok);
	}
	assert_true(lend(w->viewd, VGM_LENT_ROUTING, now, a));
	assert_true(lend(w->ledgerd, VGM_LENT_ROUTING, now, b));
	assert_memory_equal(a, b, 32);
	assert_true(lend(w->ledgerd, VGM_LENT_ROUTING, now + 1, b));
	assert_memory_not_equal(a, b, 32);
}

static void test_checkpoints(void **state)
{
	static const struct {
		const char *origin;
		uint64_t size;
		const char *raw; /* sent as it is */
		bool ok;
	} cases[] = {
	    {"mx.example.org/ledger", 0, NULL, true},
	    {"mx.example.org/ledger", 5, NULL, true},
	    {"mx.example.org/ledger", 5, NULL, true},
	    {"mx.example.org/ledger", 4, NULL, false},
	    {"mx.example.org/ledger", 1000000, NULL, true},
	    {"mx.example.org/ledger", 5, NULL, false},
	    {NULL, 0, "", false},
	    {NULL, 0, "an arbitrary text\n", false},
	    {NULL, 0, "origin\n99999999\nnot a root\n", false},
	};
	struct world *w = *state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		VGM_CLEANUP(vgm_buf_release) struct vgm_buf body = VGM_BUF_INIT(1000);
		VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
		struct vgm_checkpoint c = {.size = cases[i].size, .root = {1, 2, 3}};
		struct vgm_verifier verifier;
		struct vgm_note note;
		size_t used;
		if (cases[i].raw)
			assert_int_equal(vgm_buf_add_str(&body, cases[i].raw), 0);
		else {
			c.origin = vgm_slice_str(cases[i].origin);
			assert_int_equal(vgm_checkpoint_format(&c, &body, NULL), 0);
		}
		struct vgm_msg_sign_checkpoint ask = {.body = vgm_buf_slice(&body)};
		struct vgm_msg_signed_checkpoint *m = role_call(w->ledgerd,
		    VGM_MSG_sign_checkpoint, &ask, VGM_MSG_signed_checkpoint, &got);
		assert_true(vgm_slice_eq(m->body, ask.body));
		assert_int_equal(m->note.len != 0, cases[i].ok);
		assert_int_equal(m->verifier.len != 0, cases[i].ok);
		if (!cases[i].ok)
			continue;
		assert_int_equal(vgm_verifier_parse(m->verifier, &verifier, NULL), 0);
		assert_int_equal(vgm_note_split(m->note, &note, &used, NULL), 0);
		assert_int_equal(vgm_note_verify(&note, &verifier, 1, NULL), 0);
		assert_true(vgm_slice_eq(note.text, ask.body));
	}
}

static void test_days_do_not_close_lightly(void **state)
{
	struct world *w = *state;
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	uint64_t now = vgm_clock_wall_us();
	struct vgm_msg_close_day ask = {
	    .day = today(), .ledger_us = now, .stamp_us = now};
	uint8_t key[32];
	struct vgm_msg_day_closed *m =
	    role_call(w->ledgerd, VGM_MSG_close_day, &ask, VGM_MSG_day_closed, &got);
	assert_int_equal(m->ok, 0);
	assert_true(m->why.len > 0);
	assert_true(lend(w->ledgerd, VGM_LENT_ROUTING, today(), key));
}

/* Two days whose window is over, made ready before keyd starts. */
static void test_one_old_day_closes(void **state)
{
	struct world *w = *state;
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	uint64_t now = vgm_clock_wall_us();
	uint32_t old = today() - 40;
	uint8_t secret[64] = {1}, key[32];
	stop(w);
	assert_int_equal(store_again(w->store, NULL, NULL), 0);
	for (uint32_t day = old; day < old + 2; day++)
		assert_int_equal(vgm_keystore_write(w->store->keys, VGM_KEYSTORE_DAY, day,
		                     vgm_slice(secret, sizeof secret), NULL),
		    0);
	vgm_keystore_close(&w->store->keys);
	start(w);
	struct vgm_msg_close_day ask = {.day = old, .ledger_us = now, .stamp_us = 0};
	struct vgm_msg_day_closed *m;
	for (int stamped = 0; stamped < 2; stamped++) {
		assert_true(lend(w->ledgerd, VGM_LENT_ROUTING, old, key));
		ask.stamp_us = stamped ? now : 0;
		m = role_call(w->ledgerd, VGM_MSG_close_day, &ask, VGM_MSG_day_closed, &got);
		assert_int_equal(m->ok, stamped);
	}
	assert_false(lend(w->ledgerd, VGM_LENT_ROUTING, old, key));
	ask.day = old + 1;
	m = role_call(w->ledgerd, VGM_MSG_close_day, &ask, VGM_MSG_day_closed, &got);
	assert_int_equal(m->ok, 0);
	assert_true(lend(w->ledgerd, VGM_LENT_ROUTING, old + 1, key));
}

/* A worker that says what it may not loses its line, and keyd serves the others;
 * a template that does so stops keyd, and master starts it anew. */
static void test_break_in(void **state)
{
	struct world *w = *state;
	int status;
	uint8_t key[32];
	struct vgm_err err;
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	struct vgm_msg_lend lend_me = {.kind = VGM_LENT_ROUTING, .day = today()};
	role_send(w->worker, VGM_MSG_lend, &lend_me);
	assert_int_equal(
	    vgm_ipc_receive(w->worker, &got, vgm_clock_mono_ms() + 5000, &err), VGM_E_CLOSED);
	assert_true(lend(w->ledgerd, VGM_LENT_ROUTING, today(), key));
	role_send(w->admit, VGM_MSG_lend, &lend_me);
	assert_int_equal(waitpid(w->keyd.pid, &status, 0), w->keyd.pid);
	assert_true(WIFSIGNALED(status));
	close(w->keyd.master);
	start(w);
}

/* Under a passphrase from a credential: the keys are the same after a restart,
 * and the store does not open without it. */
static void test_passphrase(void **state)
{
	struct world *w = *state;
	char dir[] = "/tmp/vgm-test-cred-XXXXXX", path[100];
	uint8_t before[32], after[32];
	assert_true(lend(w->ledgerd, VGM_LENT_ROUTING, today(), before));
	stop(w);
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/vgm-passphrase", dir);
	FILE *f = fopen(path, "w");
	fputs("a phrase that is long enough\n", f);
	fclose(f);
	setenv("CREDENTIALS_DIRECTORY", dir, 1);
	for (int i = 0; i < 2; i++) {
		start_with(w, "{keys: {root: passphrase}}");
		assert_true(lend(w->ledgerd, VGM_LENT_ROUTING, today(), after));
		assert_memory_equal(before, after, 32);
		stop(w);
	}
	unsetenv("CREDENTIALS_DIRECTORY");
	unlink(path);
	rmdir(dir);
	struct role_process p = role_fork(&vgm_role_keyd);
	role_configure(&p, VGM_INSTANCE_ONLY, "{entity: 7}", w->store->dir);
	assert_int_equal(role_start(&p), 1);
	close(p.master);
	/* A fresh one for the end of the test. */
	assert_int_equal(unlinkat(w->store->dir, "root.key", 0), 0);
	assert_int_equal(unlinkat(w->store->dir, "view.key", 0), 0);
	assert_int_equal(unlinkat(w->store->dir, "checkpoint.key", 0), 0);
	start(w);
}

static void test_wrong_store_does_not_start(void **state)
{
	struct world *w = *state;
	static const char *const options[] = {"{keys: {root: passphrase}}", "{entity: 7}"};
	for (size_t i = 0; i < VGM_ARRAY_LEN(options); i++) {
		/* The first because nobody is there to type, the second because keyd
		 * runs on this store. */
		struct role_process p = role_fork(&vgm_role_keyd);
		role_configure(&p, VGM_INSTANCE_ONLY, options[i], w->store->dir);
		assert_int_equal(role_start(&p), 1);
		close(p.master);
	}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, world_up, world_down)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_wrap),
	    CASE(test_jobs),
	    CASE(test_keys_survive_a_kill),
	    CASE(test_what_is_lent_to_whom),
	    CASE(test_checkpoints),
	    CASE(test_days_do_not_close_lightly),
	    CASE(test_one_old_day_closes),
	    CASE(test_break_in),
	    CASE(test_passphrase),
	    CASE(test_wrong_store_does_not_start),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
