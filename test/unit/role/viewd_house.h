/* SPDX-License-Identifier: EUPL-1.2
 * A real viewd in a process of its own, sandbox and all, over a real ledger; the
 * test is keyd, ledgerd, the show pool and the people. */
#ifndef VGM_TEST_ROLE_VIEWD_HOUSE_H
#define VGM_TEST_ROLE_VIEWD_HOUSE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "role_fixture.h"

#include "base/secret.h"
#include "ledger/seal.h"
#include "ledger/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define DAY_US 86400000000ull

struct house {
	char root[64];
	int ledger_dir, views_dir, door;
	struct vgm_writer *writer;
	struct role_process viewd;
	int ledgerd, keyd, show;
	uint32_t today;
	uint8_t key[32];
	uint8_t id_tail; /* of the records that follow */
};

/* ---- the house ---- */

static const char house_options[] =
    "devices: {machines: [{name: copieur, address: 10.0.0.1}, {name: automate, address: 10.0.0.2}]}";

static inline int make_dir(const struct house *h, const char *name)
{
	char path[100];
	snprintf(path, sizeof path, "%s/%s", h->root, name);
	assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static inline int control_address(const struct house *h, struct sockaddr_un *sa)
{
	*sa = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(sa->sun_path, sizeof sa->sun_path, "%s/control.sock", h->root);
	return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
}

static inline void start(struct house *h)
{
	struct vgm_msg_configure m = {.build = vgm_slice_str(vgm_build_id()), .version = 1,
	    .options_size = strlen(house_options), .directory = -1, .extra = h->views_dir, .ledger = h->ledger_dir};
	struct vgm_msg_listener l = {.socket = h->door};
	h->viewd = role_fork(&vgm_role_viewd);
	assert_int_equal(vgm_memfd_of("test", vgm_slice_str(house_options), &m.options, NULL), 0);
	role_send(h->viewd.master, VGM_MSG_configure, &m);
	close(m.options);
	role_send(h->viewd.master, VGM_MSG_listener, &l);
	h->ledgerd = role_peer(&h->viewd, VGM_ROLE_LEDGERD, VGM_INSTANCE_ONLY);
	h->keyd = role_peer(&h->viewd, VGM_ROLE_KEYD, VGM_INSTANCE_ONLY);
	h->show = role_peer(&h->viewd, VGM_ROLE_SHOW, VGM_INSTANCE_ONLY);
	assert_int_equal(role_start(&h->viewd), 0);
}

static inline void close_peers(struct house *h)
{
	close(h->ledgerd);
	close(h->keyd);
	close(h->show);
}

static inline void stop(struct house *h)
{
	assert_int_equal(role_stop(&h->viewd), 0);
	close_peers(h);
}

static inline int house_up(void **state)
{
	struct house *h = vgm_alloc(sizeof *h);
	struct vgm_writer_options options = {.entity = 1, .segment_bytes = 1u << 20};
	struct vgm_writer_opening opening;
	struct vgm_err err;
	struct sockaddr_un sa;
	snprintf(h->root, sizeof h->root, "/tmp/vgm-viewd-XXXXXX");
	assert_non_null(mkdtemp(h->root));
	h->ledger_dir = make_dir(h, "ledger");
	h->views_dir = make_dir(h, "views");
	h->today = (uint32_t)(vgm_clock_wall_us() / DAY_US);
	vgm_random(h->key, sizeof h->key);
	if (vgm_writer_open(h->ledger_dir, &options, &h->writer, &opening, &err) < 0)
		fail_msg("%s", err.text);
	h->door = control_address(h, &sa);
	assert_int_equal(bind(h->door, (struct sockaddr *)&sa, sizeof sa), 0);
	assert_int_equal(listen(h->door, 8), 0);
	start(h);
	*state = h;
	return 0;
}

static inline int house_down(void **state)
{
	struct house *h = *state;
	char command[100];
	if (h->viewd.pid)
		stop(h);
	vgm_writer_free(&h->writer);
	close(h->ledger_dir);
	close(h->views_dir);
	close(h->door);
	snprintf(command, sizeof command, "%s", h->root);
	char *const argv[] = {"rm", "-rf", command, NULL};
	pid_t pid = fork();
	if (pid == 0) {
		execvp("rm", argv);
		_exit(9);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	vgm_free(h);
	return 0;
}

/* ---- the ledger ---- */

static inline void append(struct house *h, enum vgm_record_type type, uint8_t id, uint32_t day,
    enum vgm_msg_type facts_type, const void *facts)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf plain = VGM_BUF_INIT(65536);
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf sealed = VGM_BUF_INIT(131072);
	struct vgm_writer_record w = {.record = {.type = (uint8_t)type, .day = day, .entity = 1}};
	struct vgm_ledger_place place;
	struct vgm_err err;
	memset(w.record.id, id, 16);
	w.record.id[15] ^= h->id_tail;
	struct vgm_seal_name name = {
	    .key = h->key, .id = w.record.id, .entity = 1, .part = VGM_PART_ROUTING};
	assert_int_equal(vgm_msg_encode(facts_type, facts, &plain, NULL, &err), 0);
	assert_int_equal(vgm_seal(&name, vgm_buf_slice(&plain), &sealed, &err), 0);
	w.part[VGM_PART_ROUTING] = vgm_buf_slice(&sealed);
	w.record.part[VGM_PART_ROUTING].plain = plain.len;
	if (vgm_writer_append(h->writer, &w, &place, &err) < 0)
		fail_msg("%s", err.text);
}

static inline void append_mail(struct house *h, uint8_t id, uint32_t day, const char *sender)
{
	struct vgm_recipient to = {.address = VGM_SLICE_LIT("infirmier@hopital.example"),
	    .route = VGM_SLICE_LIT("route:main"), .reason = VGM_SLICE_LIT("main")};
	struct vgm_msg_routing mail = {.instance = VGM_INSTANCE_RECEIVE, .size = 1234,
	    .sender = vgm_slice_str(sender), .recipients = &to, .recipients_count = 1};
	append(h, VGM_RECORD_MAIL, id, day, VGM_MSG_routing, &mail);
}

static inline void append_outcome(struct house *h, uint8_t id, enum vgm_outcome_status status)
{
	struct vgm_outcome outcome = {.status = (uint8_t)status, .reply = VGM_SLICE_LIT("250 ok")};
	struct vgm_msg_outcome_facts facts = {.attempt = 1, .outcomes = &outcome,
	    .outcomes_count = 1};
	memset(facts.record, id, 16);
	append(h, VGM_RECORD_OUTCOME, 0xee, h->today, VGM_MSG_outcome_facts, &facts);
}

static inline void sync_ledger(struct house *h)
{
	struct vgm_err err;
	if (vgm_writer_sync(h->writer, &err) < 0)
		fail_msg("%s", err.text);
	struct vgm_ledger_place place = vgm_writer_synced_place(h->writer);
	struct vgm_msg_synced synced = {.segment = place.segment, .offset = place.offset,
	    .tree_size = vgm_writer_synced_size(h->writer)};
	role_send(h->ledgerd, VGM_MSG_synced, &synced);
}

/* ---- keyd, ledgerd ---- */

static inline struct vgm_received receive(int fd, enum vgm_msg_type type)
{
	struct vgm_received got = VGM_RECEIVED_INIT;
	struct vgm_err err;
	if (vgm_ipc_receive(fd, &got, fixture_deadline(), &err) < 0)
		fail_msg("waiting for %s: %s", vgm_msg_name((int)type), err.text);
	assert_string_equal(vgm_msg_name(got.type), vgm_msg_name((int)type));
	return got;
}

static inline bool silent(int fd, uint64_t ms)
{
	struct vgm_received got = VGM_RECEIVED_INIT;
	int r = vgm_ipc_receive(fd, &got, vgm_clock_mono_ms() + ms, NULL);
	vgm_received_release(&got);
	return r == VGM_E_TIMEOUT;
}

/* Waits for the question and lends, or refuses. Returns the day. */
static inline uint32_t lend(struct house *h, bool ok)
{
	struct vgm_received got = receive(h->keyd, VGM_MSG_lend);
	const struct vgm_msg_lend *m = got.message;
	struct vgm_msg_lent lent = {.kind = m->kind, .day = m->day, .ok = ok};
	assert_int_equal(m->kind, VGM_LENT_ROUTING);
	if (ok)
		memcpy(lent.key, h->key, sizeof lent.key);
	role_send(h->keyd, VGM_MSG_lent, &lent);
	vgm_received_release(&got);
	return lent.day;
}

static inline void await_viewed(struct house *h, uint64_t tree_size)
{
	uint64_t seen = 0;
	while (seen < tree_size) {
		struct vgm_received got = receive(h->ledgerd, VGM_MSG_viewed);
		seen = ((const struct vgm_msg_viewed *)got.message)->tree_size;
		vgm_received_release(&got);
	}
	assert_int_equal(seen, tree_size);
}

/* Three mails, of which the second is delivered; all in the views. */
static inline void fill(struct house *h)
{
	append_mail(h, 0x11, h->today, "dupont@out.example");
	append_mail(h, 0x22, h->today, "martin@out.example");
	append_outcome(h, 0x22, VGM_OUTCOME_DELIVERED);
	append_mail(h, 0x33, h->today, "durand@out.example");
	sync_ledger(h);
	assert_int_equal(lend(h, true), h->today);
	await_viewed(h, 4);
}

/* ---- people ---- */

struct answer {
	json_t *rows;
	int fd; /* of the last row that had one */
	int code;
	char words[64], detail[501];
};

static inline int person(const struct house *h)
{
	struct sockaddr_un sa;
	int fd = control_address(h, &sa);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
	return fd;
}

static inline void ask(int fd, const char *verb, const char *const *words)
{
	struct vgm_word list[8];
	struct vgm_msg_control m = {.build = vgm_slice_str(vgm_build_id()),
	    .verb = vgm_slice_str(verb), .who = VGM_SLICE_LIT("marie"), .words = list};
	for (; words && words[m.words_count]; m.words_count++)
		list[m.words_count].text = vgm_slice_str(words[m.words_count]);
	role_send(fd, VGM_MSG_control, &m);
}

static inline void copy_text(char *out, size_t room, struct vgm_slice s)
{
	snprintf(out, room, "%.*s", VGM_SLICE_ARG(s));
}

static inline struct answer hear(int fd)
{
	struct answer a = {.rows = json_array(), .fd = -1, .code = -1};
	struct vgm_received got = VGM_RECEIVED_INIT;
	while (a.code < 0) {
		struct vgm_err err;
		if (vgm_ipc_receive(fd, &got, fixture_deadline(), &err) < 0)
			fail_msg("waiting for the answer: %s", err.text);
		if (got.type == VGM_MSG_control_row) {
			struct vgm_msg_control_row *row = got.message;
			json_t *j = json_loadb((const char *)row->json.data,
			    row->json.len, 0, NULL);
			assert_non_null(j);
			json_array_append_new(a.rows, j);
			a.fd = row->fd >= 0 ? row->fd : a.fd;
			row->fd = -1;
		} else {
			const struct vgm_msg_control_end *end = got.message;
			assert_int_equal(got.type, VGM_MSG_control_end);
			a.code = end->code;
			copy_text(a.words, sizeof a.words, end->words_id);
			copy_text(a.detail, sizeof a.detail, end->detail);
		}
	}
	vgm_received_release(&got);
	return a;
}

static inline void answer_release(struct answer *a)
{
	json_decref(a->rows);
	if (a->fd >= 0)
		close(a->fd);
}

static inline struct answer put(const struct house *h, const char *verb, const char *word)
{
	const char *const words[] = {word, NULL};
	int fd = person(h);
	ask(fd, verb, words);
	struct answer a = hear(fd);
	close(fd);
	return a;
}

static const char *text_at(const struct answer *a, size_t row, const char *name)
{
	const char *s = json_string_value(json_object_get(json_array_get(a->rows, row), name));
	return s ? s : "(none)";
}

static inline long long number_at(const struct answer *a, size_t row, const char *name)
{
	return json_integer_value(json_object_get(json_array_get(a->rows, row), name));
}

#define HOUSE_TEST(name) cmocka_unit_test_setup_teardown(name, house_up, house_down)

#endif
