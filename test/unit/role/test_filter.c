/* SPDX-License-Identifier: EUPL-1.2
 * Tests of the admit job: what the client hears, and that what ledgerd gets
 * opens to exactly what came in. keyd and ledgerd are played by a child process
 * at the other ends of the worker's lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "ledger/hash.h"
#include "os/memfd.h"
#include "role/filter.h"

#include <sys/wait.h>
#include <unistd.h>

struct scene {
	const char *name, *header;
	size_t body_bytes;   /* after the header */
	uint8_t flags;
	uint8_t refusal;     /* ledgerd's answer; 255: it dies instead */
	bool no_day_key;
	uint16_t code;
	const char *enhanced;
	bool keyd_asked, ledgerd_asked;
	uint8_t origin; /* last byte, when not the client's */
};

static const struct scene scenes[] = {
    {"plain", "From: a@b\r\nSubject: s\r\n\r\n", 100, 0, 0, false, 250, "2.0.0", true, true, 0},
    {"behind a trusted hop", "Received: from x [192.0.2.77] by hop\r\n\r\n", 10, 0, 0, false, 250,
        "2.0.0", true, true, 77},
    {"empty", "", 0, 0, 0, false, 250, "2.0.0", true, true, 0},
    {"large", "From: a@b\r\n\r\n", 900000, 0, 0, false, 250, "2.0.0", true, true, 0},
    {"disk refuses", "From: a@b\r\n\r\n", 10, 0, VGM_REFUSED_IO, false, 451, "4.3.0", true, true, 0},
    {"disk full", "From: a@b\r\n\r\n", 10, 0, VGM_REFUSED_SPACE, false, 452, "4.3.1", true, true, 0},
    {"views lag", "From: a@b\r\n\r\n", 10, 0, VGM_REFUSED_LAG, false, 451, "4.3.2", true, true, 0},
    {"read only", "From: a@b\r\n\r\n", 10, 0, VGM_REFUSED_READONLY, false, 451, "4.3.0", true, true, 0},
    {"ledgerd dies", "From: a@b\r\n\r\n", 10, 0, 255, false, 451, "4.3.0", true, true, 0},
    {"no day key", "From: a@b\r\n\r\n", 10, 0, 0, true, 451, "4.3.0", true, false, 0},
    {"loop", "Received: a\r\nReceived: b\r\nReceived: c\r\nReceived: d\r\nReceived: e\r\n\r\n", 5, 0, 0,
        false, 554, "5.4.6", false, false, 0},
    {"too large", "From: a@b\r\n\r\n", 1100000, 0, 0, false, 552, "5.3.4", false, false, 0},
    {"struck: unread, held", "Received: a\r\nReceived: b\r\nReceived: c\r\nReceived: d\r\n"
        "Received: e\r\n\r\n", 5, VGM_ADMIT_SEAL_ONLY, 0, false, 250, "2.0.0", true, true, 0},
};

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			_exit(__LINE__ % 200 + 20);                                                \
	} while (0)

static int collect(void *context, const uint8_t *data, size_t len)
{
	return vgm_buf_add(context, data, len);
}

/* The record as ledgerd would write it, opened again. */
static void check_append(const struct scene *s, const struct vgm_msg_append *m, struct vgm_slice sent)
{
	static const uint8_t key[32] = {7};
	struct vgm_msg_routing routing;
	struct vgm_msg_head head;
	struct vgm_arena arena = VGM_ARENA_INIT(100000);
	struct vgm_buf plain = VGM_BUF_INIT(2 << 20), file = VGM_BUF_INIT(2 << 20);
	struct vgm_record record = {.type = m->type, .clock = 1, .packing = m->body_packing,
	    .entity = m->entity, .part[VGM_PART_BODY] = {m->body_size, m->body_plain_size}};
	struct vgm_seal_name name = {key, m->id, m->entity, VGM_PART_HEAD};
	CHECK(m->type == VGM_RECORD_MAIL && m->day == 42 && m->wrap[0] == 9);
	CHECK(vgm_msg_decode(VGM_MSG_routing, m->routing, NULL, &arena, &routing, NULL) == 0);
	CHECK(routing.recipients_count == 1 && routing.size == sent.len);
	CHECK(vgm_slice_eq(routing.machine, VGM_SLICE_LIT("copieur")) && routing.faults == 5);
	CHECK(vgm_slice_eq(routing.recipients[0].route,
	    s->flags & VGM_ADMIT_SEAL_ONLY ? VGM_SLICE_LIT("hold") : VGM_SLICE_LIT("mx:else.example")));
	CHECK(vgm_unseal(&name, m->head, &plain, NULL) == 0);
	CHECK(vgm_msg_decode(VGM_MSG_head, vgm_buf_slice(&plain), NULL, &arena, &head, NULL) == 0);
	CHECK(head.origin[15] == (s->origin ? s->origin : 1));
	/* The body, from a file that stands for the segment. */
	memcpy(record.id, m->id, sizeof record.id);
	memcpy(record.commitment, m->commitment, sizeof record.commitment);
	struct vgm_mapping map = {m->body};
	CHECK(m->body_fd < 0 || vgm_mapping_open(m->body_fd, m->body_size, &map, NULL) == 0);
	CHECK(map.bytes.len == m->body_size);
	name.part = VGM_PART_BODY;
	int segment;
	uint8_t prefix[VGM_RECORD_PREFIX_BYTES];
	vgm_hash(map.bytes, record.hash[VGM_PART_BODY]);
	vgm_record_encode(&record, prefix);
	CHECK(vgm_buf_add(&file, prefix, sizeof prefix) == 0);
	CHECK(vgm_buf_add_slice(&file, map.bytes) == 0);
	CHECK(vgm_memfd_of("segment", vgm_buf_slice(&file), &segment, NULL) == 0);
	vgm_buf_clear(&plain);
	struct vgm_seal_tools *tools = vgm_seal_tools_new();
	CHECK(vgm_unseal_body(tools, &name, &record, segment, 0, head.salt, collect, &plain, NULL) == 0);
	CHECK(vgm_slice_eq(vgm_buf_slice(&plain), sent));
}

static void play_servers(const struct scene *s, int keyd, int ledgerd, struct vgm_slice sent)
{
	struct vgm_received got = VGM_RECEIVED_INIT;
	struct vgm_wrapped_key key = {.key = {7}, .wrap = {9}};
	struct vgm_msg_wrapped wrapped = {.day = 42, .keys = &key, .keys_count = s->no_day_key ? 0 : 1};
	uint64_t deadline = vgm_clock_mono_ms() + 5000;
	if (s->keyd_asked) {
		CHECK(vgm_ipc_receive(keyd, &got, deadline, NULL) == 0 && got.type == VGM_MSG_wrap);
		CHECK(vgm_ipc_send(keyd, VGM_MSG_wrapped, &wrapped, deadline, NULL) == 0);
	}
	if (s->ledgerd_asked) {
		CHECK(vgm_ipc_receive(ledgerd, &got, deadline, NULL) == 0 && got.type == VGM_MSG_append);
		const struct vgm_msg_append *m = got.message;
		struct vgm_msg_appended done = {.ok = s->refusal == 0, .why = s->refusal};
		check_append(s, m, sent);
		memcpy(done.id, m->id, sizeof done.id);
		if (s->refusal != 255)
			CHECK(vgm_ipc_send(ledgerd, VGM_MSG_appended, &done, deadline, NULL) == 0);
	}
	/* Nothing more is asked. */
	close(ledgerd);
	CHECK(vgm_ipc_receive(keyd, &got, deadline, NULL) == VGM_E_CLOSED);
	_exit(0);
}

static void play(const struct scene *s)
{
	int door[2], keyd[2], ledgerd[2], status;
	struct vgm_buf message = VGM_BUF_INIT(2 << 20);
	struct vgm_role_run run = {.conf_version = 5};
	struct vgm_filter_slot slot = {.serial = 0};
	struct vgm_err err;
	vgm_conf_init(&run.conf);
	run.conf.max_size = 1000000;
	run.conf.max_hops = 5;
	assert_int_equal(vgm_conf_set(&run.conf, "receive.trusted_hops", "::1", NULL, NULL), 0);
	assert_int_equal(vgm_buf_add_str(&message, s->header), 0);
	for (size_t i = 0; i < s->body_bytes; i++)
		assert_int_equal(vgm_buf_add_byte(&message, (uint8_t)("abc \r\n"[i * 7919 % 6])), 0);
	assert_int_equal(vgm_ipc_pair(door, false, NULL), 0);
	assert_int_equal(vgm_ipc_pair(keyd, false, NULL), 0);
	assert_int_equal(vgm_ipc_pair(ledgerd, false, NULL), 0);
	pid_t pid = fork();
	if (pid == 0) {
		close(keyd[0]);
		close(ledgerd[0]);
		play_servers(s, keyd[1], ledgerd[1], vgm_buf_slice(&message));
	}
	close(keyd[1]);
	close(ledgerd[1]);

	struct vgm_filter_worker w = {.run = &run, .conf = &run.conf, .keyd_fd = keyd[0],
	    .ledgerd_fd = ledgerd[0], .slot = &slot, .tools = vgm_seal_tools_new(),
	    .job = VGM_RECEIVED_INIT, .answer = VGM_RECEIVED_INIT,
	    .deadline_ms = vgm_clock_mono_ms() + 5000};
	w.job.arena.ceiling = 1 << 20;
	struct vgm_recipient to = {.address = VGM_SLICE_LIT("x@else.example")};
	struct vgm_msg_admit m = {.session = 77, .instance = VGM_INSTANCE_RECEIVE, .flags = s->flags,
	    .client[15] = 1,
	    .helo = VGM_SLICE_LIT("client.example"), .sender = VGM_SLICE_LIT("s@else.example"),
	    .recipients = &to, .recipients_count = 1, .size = message.len,
	    .machine = VGM_SLICE_LIT("copieur"), .faults = VGM_FAULT_BARE_LF | VGM_FAULT_PATH};
	assert_int_equal(vgm_memfd_of("body", vgm_buf_slice(&message), &m.body, NULL), 0);
	int r = vgm_filter_admit(&w, door[0], &m, &err);
	assert_int_equal(r, s->refusal == 255 ? VGM_E_CLOSED : s->no_day_key ? VGM_E_CRYPTO : 0);

	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	assert_int_equal(vgm_ipc_take(door[1], &got, &err), 1);
	assert_int_equal(got.type, VGM_MSG_admitted);
	const struct vgm_msg_admitted *a = got.message;
	assert_int_equal(a->session, 77);
	assert_int_equal(a->code, s->code);
	assert_true(vgm_slice_eq(a->enhanced, vgm_slice_str(s->enhanced)));
	assert_true(a->text.len > 10);
	assert_int_equal(w.keys_count, 0);

	close(m.body);
	close(keyd[0]);
	close(ledgerd[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(door[0]);
	close(door[1]);
	vgm_seal_tools_free(&w.tools);
	vgm_received_release(&w.answer);
	vgm_arena_release(&w.job.arena);
	vgm_conf_release(&run.conf);
	vgm_buf_release(&message);
}

static void test_scenes(void **state)
{
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(scenes); i++) {
		print_message("%s\n", scenes[i].name);
		play(&scenes[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_scenes)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
