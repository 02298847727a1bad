/* SPDX-License-Identifier: EUPL-1.2
 * role/viewd_control.c, viewd_jobs.c, viewd_asks.c: what people ask, rightly and
 * wrongly, and what becomes of it when others do not answer. */
#include "viewd_house.h"

/* ---- questions that are wrong ---- */

static void test_wrong_questions(void **state)
{
	struct house *h = *state;
	static const struct {
		const char *verb, *word;
		int code;
		const char *words, *detail;
	} wrong[] = {
	    {"queue eat", NULL, 2, "view_verb_unknown", "queue eat"},
	    {"track", NULL, 2, "view_term_unknown", ""},
	    {"search", "subject:facture", 2, "view_term_unknown", "subject:facture"},
	    {"search", "after:demain", 2, "view_term_date", "after:demain"},
	    {"search", "status:lost", 2, "view_term_status", "status:lost"},
	    {"search", "id:xyz", 2, "view_term_id", "id:xyz"},
	    {"search", "--limit=0", 2, "view_term_unknown", "--limit=0"},
	    {"search", "--limit=x", 2, "view_term_unknown", "--limit=x"},
	    {"search", "--drop", 2, "view_term_unknown", "--drop"},
	    {"search", "nobody@nowhere", 1, "view_nothing", ""},
	    {"track", "abcdef", 1, "view_nothing", ""},
	    {"queue hold", NULL, 2, "view_term_id", ""},
	    {"queue hold", "a@b", 2, "view_term_id", "a@b"},
	    {"queue hold", "abcdef", 1, "view_no_such_message", "abcdef"},
	    {"queue hold", "222222", 1, "view_no_such_message", "222222"}, /* delivered */
	    {"quarantine release", "111111", 1, "view_no_such_message", "111111"},
	    {"show raw", "abcdef", 1, "view_no_such_message", "abcdef"},
	};
	fill(h);
	for (size_t i = 0; i < VGM_ARRAY_LEN(wrong); i++) {
		struct answer a = put(h, wrong[i].verb, wrong[i].word);
		if (a.code != wrong[i].code || strcmp(a.words, wrong[i].words) != 0 ||
		    strcmp(a.detail, wrong[i].detail) != 0)
			fail_msg("%s %s: %d %s \"%s\"", wrong[i].verb,
			    wrong[i].word ? wrong[i].word : "", a.code, a.words, a.detail);
		answer_release(&a);
	}
}

static void test_ambiguous(void **state)
{
	struct house *h = *state;
	append_mail(h, 0x11, h->today, "a@out.example");
	h->id_tail = 1;
	append_mail(h, 0x11, h->today, "b@out.example");
	sync_ledger(h);
	lend(h, true);
	await_viewed(h, 2);
	struct answer a = put(h, "show raw", "1111111111");
	assert_int_equal(a.code, 2);
	assert_string_equal(a.words, "view_ambiguous");
	answer_release(&a);
	a = put(h, "track", "1111111111");
	assert_int_equal(json_array_size(a.rows), 2);
	answer_release(&a);
}

static void test_limit(void **state)
{
	struct house *h = *state;
	fill(h);
	const char *const words[] = {"out.example", "--limit=2", NULL};
	int fd = person(h);
	ask(fd, "search", words);
	struct answer a = hear(fd);
	assert_int_equal(a.code, 0);
	assert_string_equal(a.words, "view_more");
	assert_string_equal(a.detail, "2");
	assert_int_equal(json_array_size(a.rows), 2);
	answer_release(&a);
	ask(fd, "search", words); /* the same person may ask again */
	a = hear(fd);
	assert_int_equal(json_array_size(a.rows), 2);
	answer_release(&a);
	close(fd);
}

static void test_garbage(void **state)
{
	struct house *h = *state;
	static const char *const garbage[] = {"", "x", "\0\x5a\0\1", "\0\x5a\0\1\xff\xff\xff\xff",
	    "\0\x01\0\1"};
	static const size_t lengths[] = {0, 1, 4, 8, 4};
	for (size_t i = 0; i < VGM_ARRAY_LEN(garbage); i++) {
		struct vgm_received got = VGM_RECEIVED_INIT;
		int fd = person(h);
		assert_true(send(fd, garbage[i], lengths[i], MSG_NOSIGNAL) >= 0);
		assert_int_equal(
		    vgm_ipc_receive(fd, &got, fixture_deadline(), NULL), VGM_E_CLOSED);
		vgm_received_release(&got);
		close(fd);
	}
	fill(h); /* the role stands */
	int fd = person(h);
	struct vgm_msg_control other = {.build = VGM_SLICE_LIT("other"),
	    .verb = VGM_SLICE_LIT("queue list")};
	role_send(fd, VGM_MSG_control, &other);
	struct answer a = hear(fd);
	assert_int_equal(a.code, 3);
	assert_string_equal(a.words, "view_other_build");
	answer_release(&a);
	close(fd);
}

/* ---- machines ---- */

static void test_devices(void **state)
{
	struct house *h = *state;
	static const struct {
		const char *machine;
		bool configured;
		int messages, repaired;
	} expected[] = {{"copieur", true, 2, 1}, {"automate", true, 0, 0}, {"ancien", false, 1, 0}};
	static const struct {
		const char *machine;
		uint8_t faults;
	} sent[] = {{"copieur", 0}, {"ancien", 0}, {"copieur", VGM_FAULT_BARE_LF}};
	struct vgm_recipient to = {.address = VGM_SLICE_LIT("infirmier@hopital.example"),
	    .route = VGM_SLICE_LIT("route:main")};
	fill(h);
	for (size_t i = 0; i < VGM_ARRAY_LEN(sent); i++) {
		struct vgm_msg_routing mail = {.instance = VGM_INSTANCE_DEVICES,
		    .machine = vgm_slice_str(sent[i].machine), .faults = sent[i].faults,
		    .recipients = &to, .recipients_count = 1};
		append(h, VGM_RECORD_MAIL, (uint8_t)(0x44 + i), h->today, VGM_MSG_routing, &mail);
	}
	sync_ledger(h);
	struct answer a = put(h, "devices", NULL);
	assert_int_equal(a.code, 0);
	assert_int_equal(json_array_size(a.rows), VGM_ARRAY_LEN(expected));
	for (size_t i = 0; i < VGM_ARRAY_LEN(expected); i++) {
		const json_t *row = json_array_get(a.rows, i);
		assert_string_equal(text_at(&a, i, "machine"), expected[i].machine);
		assert_int_equal(
		    json_is_true(json_object_get(row, "configured")), expected[i].configured);
		assert_int_equal(number_at(&a, i, "messages"), expected[i].messages);
		assert_int_equal(number_at(&a, i, "repaired"), expected[i].repaired);
	}
	answer_release(&a);
	a = put(h, "track", "444444");
	assert_string_equal(text_at(&a, 0, "machine"), "copieur");
	answer_release(&a);
}

/* ---- acts ---- */

static void test_acts(void **state)
{
	struct house *h = *state;
	static const struct {
		const char *verb, *word;
		int act;
		uint8_t record;
		uint32_t count;
		int code;
	} acts[] = {
	    {"queue flush", "--all", VGM_ACT_FLUSH, 0, 0, 0},
	    {"queue flush", "111111", VGM_ACT_FLUSH, 0x11, 1, 0},
	    {"queue hold", "333333", VGM_ACT_HOLD, 0x33, 1, 0},
	    {"queue release", "--all", VGM_ACT_RELEASE, 0, 2, 0},
	    {"queue remove", "1111111111", VGM_ACT_REMOVE, 0x11, 0, 1},
	};
	fill(h);
	for (size_t i = 0; i < VGM_ARRAY_LEN(acts); i++) {
		const char *const words[] = {acts[i].word, NULL};
		uint8_t record[16];
		int fd = person(h);
		memset(record, acts[i].record, 16);
		ask(fd, acts[i].verb, words);
		struct vgm_received got = receive(h->ledgerd, VGM_MSG_schedule_act);
		const struct vgm_msg_schedule_act *m = got.message;
		char who[100];
		assert_int_equal(m->act, acts[i].act);
		assert_memory_equal(m->record, record, 16);
		copy_text(who, sizeof who, m->who);
		assert_memory_equal(who, "marie (uid ", 11);
		struct vgm_msg_schedule_acted acted = {m->session, acts[i].count};
		vgm_received_release(&got);
		struct vgm_msg_schedule_acted stale = {acted.session + 100, 7};
		role_send(h->ledgerd, VGM_MSG_schedule_acted, &stale); /* of nobody */
		role_send(h->ledgerd, VGM_MSG_schedule_acted, &acted);
		struct answer a = hear(fd);
		assert_int_equal(a.code, acts[i].code);
		assert_int_equal(number_at(&a, 0, "messages"), acts[i].count);
		answer_release(&a);
		close(fd);
	}
}

static void test_ledgerd_goes(void **state)
{
	struct house *h = *state;
	const char *const words[] = {"111111", NULL};
	fill(h);
	int fd = person(h);
	ask(fd, "queue hold", words);
	struct vgm_received got = receive(h->ledgerd, VGM_MSG_schedule_act);
	vgm_received_release(&got);
	ask(fd, "queue hold", words); /* impatient */
	struct answer a = hear(fd);
	assert_string_equal(a.words, "view_one_at_a_time");
	answer_release(&a);
	ask(fd, "queue hold", words);
	got = receive(h->ledgerd, VGM_MSG_schedule_act);
	vgm_received_release(&got);
	close(h->ledgerd);
	a = hear(fd);
	assert_int_equal(a.code, 3);
	assert_string_equal(a.words, "view_no_answer");
	assert_string_equal(a.detail, "ledgerd");
	answer_release(&a);
	close(fd);
	a = put(h, "queue hold", "111111"); /* still away */
	assert_string_equal(a.words, "view_no_answer");
	answer_release(&a);
	h->ledgerd = role_peer(&h->viewd, VGM_ROLE_LEDGERD, VGM_INSTANCE_ONLY);
}

/* ---- opening ---- */

/* Plays ledgerd and the show pool up to the answer; returns the show's session. */
static uint64_t open_and_show(struct house *h, uint8_t record, enum vgm_show what)
{
	uint8_t id[16];
	memset(id, record, sizeof id);
	struct vgm_received got = receive(h->ledgerd, VGM_MSG_open_record);
	const struct vgm_msg_open_record *open = got.message;
	char why[100];
	copy_text(why, sizeof why, open->why);
	assert_string_equal(why, "plainte 12");
	assert_memory_equal(open->record, id, 16);
	assert_int_equal(open->what, what);
	int segment;
	assert_int_equal(vgm_memfd_of("segment", VGM_SLICE_LIT("a segment"), &segment, NULL), 0);
	struct vgm_msg_record_opened opened = {
	    .session = open->session, .ok = 1, .segment = segment};
	memset(opened.token, 0x77, sizeof opened.token);
	uint64_t offset = open->record_offset;
	vgm_received_release(&got);
	role_send(h->ledgerd, VGM_MSG_record_opened, &opened);
	close(segment);
	got = receive(h->show, VGM_MSG_show);
	const struct vgm_msg_show *show = got.message;
	assert_memory_equal(show->token, opened.token, 16);
	assert_memory_equal(show->record, id, 16);
	assert_int_equal(show->record_offset, offset);
	assert_int_equal(show->what, what);
	assert_true(show->segment >= 0);
	uint64_t session = show->session;
	vgm_received_release(&got);
	return session;
}

static void test_show_raw(void **state)
{
	struct house *h = *state;
	const char *const words[] = {"111111", "--why=plainte 12", NULL};
	static const char raw[] = "Subject: x\r\n\r\nbonjour\0\xff\r\n";
	char read_back[100];
	fill(h);
	int fd = person(h), bytes;
	ask(fd, "show raw", words);
	struct vgm_msg_shown shown = {.session = open_and_show(h, 0x11, VGM_SHOW_RAW), .ok = 1,
	    .size = sizeof raw};
	assert_int_equal(vgm_memfd_of("raw", vgm_slice(raw, sizeof raw), &bytes, NULL), 0);
	shown.fd = bytes;
	role_send(h->show, VGM_MSG_shown, &shown);
	close(bytes);
	struct answer a = hear(fd);
	assert_int_equal(a.code, 0);
	assert_int_equal(number_at(&a, 0, "size"), sizeof raw);
	assert_int_equal(pread(a.fd, read_back, sizeof read_back, 0), sizeof raw);
	assert_memory_equal(read_back, raw, sizeof raw);
	answer_release(&a);
	close(fd);
}

static void test_show_head(void **state)
{
	struct house *h = *state;
	const char *const words[] = {"222222", "--why=plainte 12", NULL};
	fill(h);
	int fd = person(h);
	ask(fd, "show head", words);
	struct vgm_msg_shown shown = {.session = open_and_show(h, 0x22, VGM_SHOW_HEAD), .ok = 1,
	    .text = VGM_SLICE_LIT("{\"subject\":\"x\"}"), .fd = -1};
	role_send(h->show, VGM_MSG_shown, &shown);
	struct answer a = hear(fd);
	assert_int_equal(a.code, 0);
	assert_int_equal(json_array_size(a.rows), 2);
	assert_string_equal(text_at(&a, 0, "sender"), "martin@out.example");
	assert_string_equal(text_at(&a, 1, "subject"), "x");
	answer_release(&a);
	close(fd);
}

static void test_show_fails(void **state)
{
	struct house *h = *state;
	const char *const words[] = {"111111", "--why=plainte 12", NULL};
	fill(h);
	int fd = person(h);
	/* ledgerd refuses */
	ask(fd, "show raw", words);
	struct vgm_received got = receive(h->ledgerd, VGM_MSG_open_record);
	struct vgm_msg_record_opened refused = {
	    .session = ((const struct vgm_msg_open_record *)got.message)->session, .segment = -1};
	vgm_received_release(&got);
	role_send(h->ledgerd, VGM_MSG_record_opened, &refused);
	struct answer a = hear(fd);
	assert_int_equal(a.code, 1);
	assert_string_equal(a.words, "view_closed");
	answer_release(&a);
	/* the filter fails */
	ask(fd, "show raw", words);
	struct vgm_msg_shown failed = {.session = open_and_show(h, 0x11, VGM_SHOW_RAW), .fd = -1};
	role_send(h->show, VGM_MSG_shown, &failed);
	a = hear(fd);
	assert_int_equal(a.code, 5);
	assert_string_equal(a.words, "view_not_shown");
	answer_release(&a);
	/* the filter dies */
	ask(fd, "show raw", words);
	struct vgm_msg_filter_died died = {.session = open_and_show(h, 0x11, VGM_SHOW_RAW)};
	role_send(h->show, VGM_MSG_filter_died, &died);
	a = hear(fd);
	assert_int_equal(a.code, 5);
	answer_release(&a);
	/* the pool goes */
	ask(fd, "show raw", words);
	open_and_show(h, 0x11, VGM_SHOW_RAW);
	close(h->show);
	a = hear(fd);
	assert_int_equal(a.code, 3);
	assert_string_equal(a.detail, "show");
	answer_release(&a);
	h->show = role_peer(&h->viewd, VGM_ROLE_SHOW, VGM_INSTANCE_ONLY);
	close(fd);
}

/* Whoever asks and leaves harms nobody. */
static void test_leaves(void **state)
{
	struct house *h = *state;
	static const char *const verbs[] = {
	    "queue list", "queue hold", "show raw", "ledger rebuild"};
	const char *const words[] = {"111111", NULL};
	fill(h);
	for (size_t i = 0; i < VGM_ARRAY_LEN(verbs); i++) {
		int fd = person(h);
		ask(fd, verbs[i], words);
		close(fd);
	}
	struct answer a = put(h, "queue count", NULL);
	assert_int_equal(number_at(&a, 0, "queued"), 2);
	answer_release(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    HOUSE_TEST(test_wrong_questions),
	    HOUSE_TEST(test_ambiguous),
	    HOUSE_TEST(test_limit),
	    HOUSE_TEST(test_devices),
	    HOUSE_TEST(test_garbage),
	    HOUSE_TEST(test_acts),
	    HOUSE_TEST(test_ledgerd_goes),
	    HOUSE_TEST(test_show_raw),
	    HOUSE_TEST(test_show_head),
	    HOUSE_TEST(test_show_fails),
	    HOUSE_TEST(test_leaves),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
