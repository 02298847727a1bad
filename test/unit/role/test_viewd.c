/* SPDX-License-Identifier: EUPL-1.2
 * role/viewd.c, viewd_tail.c, viewd_keys.c: the ledger is followed through
 * restarts, kills, missing keys and broken files. */
#include "viewd_house.h"

/* ---- following ---- */

static void test_follows(void **state)
{
	struct house *h = *state;
	fill(h);
	struct answer a = put(h, "queue list", NULL);
	assert_int_equal(a.code, 0);
	assert_int_equal(json_array_size(a.rows), 2);
	assert_string_equal(text_at(&a, 0, "sender"), "dupont@out.example");
	assert_string_equal(text_at(&a, 1, "sender"), "durand@out.example");
	answer_release(&a);
	a = put(h, "track", "222222");
	assert_int_equal(json_array_size(a.rows), 1);
	assert_string_equal(text_at(&a, 0, "status"), "delivered");
	answer_release(&a);
	a = put(h, "queue count", NULL);
	assert_int_equal(number_at(&a, 0, "queued"), 2);
	answer_release(&a);
}

/* What was synced a moment ago is in the answer, without waiting for the batch. */
static void test_fresh(void **state)
{
	struct house *h = *state;
	fill(h);
	for (uint8_t i = 0; i < 5; i++) {
		append_outcome(h, 0x11, VGM_OUTCOME_DEFERRED);
		append_mail(h, (uint8_t)(0x40 + i), h->today, "x@out.example");
		sync_ledger(h);
		struct answer a = put(h, "search", "from:x@out");
		assert_int_equal(json_array_size(a.rows), i + 1);
		answer_release(&a);
	}
}

static void test_goes_on_after_restart(void **state)
{
	struct house *h = *state;
	fill(h);
	stop(h);
	append_mail(h, 0x44, h->today, "petit@out.example");
	append_outcome(h, 0x11, VGM_OUTCOME_FAILED);
	start(h);
	sync_ledger(h);
	lend(h, true);
	await_viewed(h, 6);
	struct answer a = put(h, "search", "out.example");
	assert_int_equal(json_array_size(a.rows), 4);
	assert_string_equal(text_at(&a, 0, "sender"), "petit@out.example");
	assert_string_equal(text_at(&a, 3, "status"), "failed");
	answer_release(&a);
}

static void test_survives_kill(void **state)
{
	struct house *h = *state;
	fill(h);
	append_mail(h, 0x44, h->today, "petit@out.example");
	sync_ledger(h);
	kill(h->viewd.pid, SIGKILL);
	assert_int_equal(waitpid(h->viewd.pid, NULL, 0), h->viewd.pid);
	close(h->viewd.master);
	close_peers(h);
	start(h);
	sync_ledger(h);
	lend(h, true);
	await_viewed(h, 5);
	struct answer a = put(h, "queue count", NULL);
	assert_int_equal(number_at(&a, 0, "queued"), 3);
	answer_release(&a);
}

/* ---- keys ---- */

static void test_waits_for_key(void **state)
{
	struct house *h = *state;
	append_mail(h, 0x11, h->today, "a@out.example");
	sync_ledger(h);
	lend(h, false); /* a key of today cannot have been destroyed */
	assert_true(silent(h->ledgerd, 300));
	lend(h, true); /* asked again after a while */
	await_viewed(h, 1);
}

static void test_closed_day(void **state)
{
	struct house *h = *state;
	append_mail(h, 0x11, h->today - 40, "a@out.example");
	append_mail(h, 0x22, h->today, "b@out.example");
	sync_ledger(h);
	assert_int_equal(lend(h, false), h->today - 40);
	assert_int_equal(lend(h, true), h->today);
	await_viewed(h, 2);
	struct answer a = put(h, "search", "out.example");
	assert_int_equal(json_array_size(a.rows), 1);
	answer_release(&a);
}

static void test_wrong_key(void **state)
{
	struct house *h = *state;
	append_mail(h, 0x11, h->today, "a@out.example");
	vgm_random(h->key, sizeof h->key); /* the first record does not open */
	append_mail(h, 0x22, h->today, "b@out.example");
	sync_ledger(h);
	lend(h, true);
	await_viewed(h, 2);
	struct answer a = put(h, "search", "out.example");
	assert_int_equal(json_array_size(a.rows), 1);
	assert_string_equal(text_at(&a, 0, "sender"), "b@out.example");
	answer_release(&a);
}

static void test_keyd_comes_back(void **state)
{
	struct house *h = *state;
	append_mail(h, 0x11, h->today, "a@out.example");
	sync_ledger(h);
	struct vgm_received got = receive(h->keyd, VGM_MSG_lend); /* and dies */
	vgm_received_release(&got);
	close(h->keyd);
	h->keyd = role_peer(&h->viewd, VGM_ROLE_KEYD, VGM_INSTANCE_ONLY);
	lend(h, true);
	await_viewed(h, 1);
}

/* ---- files ---- */

static void test_damaged_views(void **state)
{
	struct house *h = *state;
	fill(h);
	stop(h);
	int fd = openat(h->views_dir, "state.db", O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "broken broken broken", 20, 0), 20);
	close(fd);
	start(h);
	sync_ledger(h);
	lend(h, true);
	await_viewed(h, 4);
	struct answer a = put(h, "queue count", NULL);
	assert_int_equal(number_at(&a, 0, "queued"), 2);
	answer_release(&a);
}

static void test_older_ledger(void **state)
{
	struct house *h = *state;
	append_mail(h, 0x11, h->today, "a@out.example");
	sync_ledger(h);
	lend(h, true);
	await_viewed(h, 1);
	struct vgm_ledger_place first = vgm_writer_synced_place(h->writer);
	append_mail(h, 0x22, h->today, "b@out.example");
	sync_ledger(h);
	await_viewed(h, 2);
	struct vgm_msg_synced synced = {first.segment, first.offset, 1};
	role_send(h->ledgerd, VGM_MSG_synced, &synced);
	await_viewed(h, 1);
	struct answer a = put(h, "queue list", NULL);
	assert_int_equal(json_array_size(a.rows), 1);
	assert_string_equal(text_at(&a, 0, "sender"), "a@out.example");
	answer_release(&a);
}

static void test_rebuild(void **state)
{
	struct house *h = *state;
	fill(h);
	struct answer before = put(h, "track", "out.example");
	struct answer a = put(h, "ledger rebuild", NULL);
	assert_int_equal(a.code, 0);
	assert_string_equal(text_at(&a, 0, "view"), "tracking");
	assert_string_equal(text_at(&a, 0, "class"), "A");
	assert_int_equal(number_at(&a, 0, "rows"), 3);
	answer_release(&a);
	struct answer after = put(h, "track", "out.example");
	assert_true(json_equal(before.rows, after.rows));
	answer_release(&before);
	answer_release(&after);
	assert_int_equal(faccessat(h->views_dir, "state.db.new", F_OK, 0), -1);
	append_mail(h, 0x44, h->today, "petit@out.example"); /* and it goes on */
	sync_ledger(h);
	await_viewed(h, 5);
	a = put(h, "ledger info", NULL);
	assert_int_equal(number_at(&a, 0, "records"), 5);
	assert_int_equal(number_at(&a, 0, "viewed"), 5);
	assert_int_equal(number_at(&a, 0, "behind"), 0);
	answer_release(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    HOUSE_TEST(test_follows),
	    HOUSE_TEST(test_fresh),
	    HOUSE_TEST(test_goes_on_after_restart),
	    HOUSE_TEST(test_survives_kill),
	    HOUSE_TEST(test_waits_for_key),
	    HOUSE_TEST(test_closed_day),
	    HOUSE_TEST(test_wrong_key),
	    HOUSE_TEST(test_keyd_comes_back),
	    HOUSE_TEST(test_damaged_views),
	    HOUSE_TEST(test_older_ledger),
	    HOUSE_TEST(test_rebuild),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
