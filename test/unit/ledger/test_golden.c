/* SPDX-License-Identifier: EUPL-1.2
 * A ledger of version 1 as it was written when the format was fixed: every later
 * program must read it. Made with VGM_WRITE_GOLDEN=DIRECTORY (an empty one); never
 * again once a release has written this version: then golden-2 comes beside it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sodium.h>

#include "base/arena.h"
#include "base/text.h"
#include "ipc/codec.h"
#include "ledger/checkpoint.h"
#include "ledger/reader.h"
#include "ledger/seal.h"
#include "ledger/tiles.h"
#include "ledger/verify.h"
#include "os/file.h"
#include "sample.h"

static const uint8_t record_key[32] = {0x11}, routing_key[32] = {0x22}, seed[32] = {0x33};
static const uint8_t salt[32] = {0x44}, mail_id[16] = {0x55}, outcome_id[16] = {0x66};
#define BODY "From: marie@chu.example\r\nSubject: essai\r\n\r\n" LINES LINES LINES LINES
#define LINES "Bonjour, ceci est le corps du message.\r\n"

/* ---- writing ---- */

static int to_buf(void *context, const uint8_t *data, size_t len)
{
	return vgm_buf_add(context, data, len);
}

static struct vgm_seal_name name_of(const uint8_t *key, const uint8_t *id, enum vgm_part part)
{
	return (struct vgm_seal_name){key, id, 7, part};
}

static void seal_message(const uint8_t *key, const uint8_t *id, enum vgm_part part,
    enum vgm_msg_type type, const void *message, struct vgm_buf *out)
{
	struct vgm_buf plain = VGM_BUF_INIT(4000);
	struct vgm_seal_name name = name_of(key, id, part);
	assert_int_equal(vgm_msg_encode(type, message, &plain, NULL, NULL), 0);
	assert_int_equal(vgm_seal(&name, vgm_buf_slice(&plain), out, NULL), 0);
	vgm_buf_release(&plain);
}

static void append(struct vgm_writer *w, struct vgm_writer_record *in, const uint8_t id[16],
    const struct vgm_buf parts[3])
{
	struct vgm_ledger_place place;
	memcpy(in->record.id, id, 16);
	in->record.conf_version = 3;
	in->record.day = 20780;
	for (int i = 0; i < 3; i++)
		in->part[i] = vgm_buf_slice(&parts[i]);
	assert_int_equal(vgm_writer_append(w, in, &place, NULL), 0);
}

static void write_golden(int dir_fd)
{
	struct vgm_writer_options options = {
	    .entity = 7, .segment_bytes = 16384, .clock_synchronised = true};
	struct vgm_writer_opening opening;
	struct vgm_writer *w;
	struct vgm_buf parts[3], note = VGM_BUF_INIT(2000), text = VGM_BUF_INIT(1000);
	struct vgm_recipient to = {.address = VGM_SLICE_LIT("jean@chu.example"),
	    .route = VGM_SLICE_LIT("route:main"),
	    .reason = VGM_SLICE_LIT("routes")};
	struct vgm_msg_routing routing = {.sender = VGM_SLICE_LIT("marie@chu.example"),
	    .size = sizeof BODY - 1,
	    .recipients = &to,
	    .recipients_count = 1};
	struct vgm_msg_head head = {.subject = VGM_SLICE_LIT("essai")};
	struct vgm_outcome outcome = {
	    .status = VGM_OUTCOME_DELIVERED, .reply = VGM_SLICE_LIT("ok")};
	struct vgm_msg_outcome_facts facts = {.segment = 1,
	    .offset = VGM_SEGMENT_HEADER_BYTES,
	    .attempt = 1,
	    .outcomes = &outcome,
	    .outcomes_count = 1};
	struct vgm_writer_record mail = {.record = {.type = VGM_RECORD_MAIL}};
	struct vgm_writer_record done = {.record = {.type = VGM_RECORD_OUTCOME}};
	struct vgm_seal_name body = name_of(record_key, mail_id, VGM_PART_BODY);
	uint64_t stored;
	for (int i = 0; i < 3; i++)
		vgm_buf_init(&parts[i], 10000);
	assert_int_equal(vgm_writer_open(dir_fd, &options, &w, &opening, NULL), 0);
	seal_message(routing_key, mail_id, VGM_PART_ROUTING, VGM_MSG_routing, &routing, &parts[0]);
	memcpy(head.salt, salt, sizeof salt);
	seal_message(record_key, mail_id, VGM_PART_HEAD, VGM_MSG_head, &head, &parts[1]);
	struct vgm_seal_tools *tools = vgm_seal_tools_new();
	assert_int_equal(
	    vgm_seal_body(tools, &body, salt, VGM_SLICE_LIT(BODY), &mail.record.packing,
		mail.record.commitment, to_buf, &parts[2], &stored, NULL),
	    0);
	vgm_seal_tools_free(&tools);
	mail.record.part[VGM_PART_BODY].plain = sizeof BODY - 1;
	append(w, &mail, mail_id, parts);
	for (int i = 0; i < 3; i++)
		vgm_buf_clear(&parts[i]);
	memcpy(facts.record, mail_id, 16);
	memcpy(done.record.related, mail_id, 16);
	seal_message(
	    routing_key, outcome_id, VGM_PART_ROUTING, VGM_MSG_outcome_facts, &facts, &parts[0]);
	append(w, &done, outcome_id, parts);
	assert_int_equal(vgm_writer_sync(w, NULL), 0);
	struct vgm_tiles *tiles = vgm_tiles_new(dir_fd);
	assert_int_equal(vgm_tiles_add(tiles, mail.leaf, NULL), 0);
	assert_int_equal(vgm_tiles_add(tiles, done.leaf, NULL), 0);
	assert_int_equal(vgm_tiles_flush(tiles, NULL), 0);
	vgm_tiles_free(&tiles);
	struct vgm_checkpoint c = {.origin = VGM_SLICE_LIT("golden/vgm/7"), .size = 2};
	vgm_merkle_root(vgm_writer_synced_tree(w), c.root);
	assert_int_equal(vgm_checkpoint_format(&c, &text, NULL), 0);
	assert_int_equal(vgm_note_sign(vgm_buf_slice(&text), c.origin, seed, &note, NULL), 0);
	assert_int_equal(
	    vgm_file_replace_at(dir_fd, VGM_LEDGER_CHECKPOINT, vgm_buf_slice(&note), 0600, NULL),
	    0);
	uint8_t public_key[crypto_sign_PUBLICKEYBYTES], secret[crypto_sign_SECRETKEYBYTES];
	struct vgm_verifier v;
	crypto_sign_seed_keypair(public_key, secret, seed);
	vgm_buf_clear(&note);
	assert_int_equal(vgm_verifier_of(c.origin, public_key, &v, NULL), 0);
	assert_int_equal(vgm_verifier_format(&v, &note), 0);
	assert_int_equal(vgm_buf_add_byte(&note, '\n'), 0);
	assert_int_equal(
	    vgm_file_replace_at(dir_fd, VGM_LEDGER_VERIFIERS, vgm_buf_slice(&note), 0600, NULL), 0);
	vgm_buf_clear(&text);
	assert_int_equal(vgm_hex_encode(vgm_slice(c.root, 32), &text), 0);
	assert_int_equal(vgm_file_replace_at(dir_fd, "root", vgm_buf_slice(&text), 0600, NULL), 0);
	vgm_writer_free(&w);
}

/* ---- reading ---- */

static int golden(void)
{
	char path[512];
	const char *source = getenv("VGM_SOURCE");
	snprintf(path, sizeof path, "%s/test/unit/ledger/data/golden-1", source ? source : ".");
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void report(void *context, const struct vgm_verify_fault *f)
{
	(void)context;
	print_error("%s:%llu: %s\n", f->file, (unsigned long long)f->offset, f->what);
}

static void test_verifies(void **state)
{
	(void)state;
	struct vgm_verify_result result;
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf root = VGM_BUF_INIT(64);
	uint8_t expected[32];
	int fd = golden();
	assert_int_equal(vgm_file_read_at(fd, "root", &root, NULL), 0);
	assert_int_equal(vgm_hex_decode(vgm_buf_slice(&root), expected, 32), 0);
	assert_int_equal(vgm_verify(fd, report, NULL, &result, NULL), 0);
	assert_int_equal(result.faults, 0);
	assert_int_equal(result.records, 2);
	assert_int_equal(result.checkpoints, 1);
	assert_int_equal(result.tiles, 1);
	assert_memory_equal(result.root, expected, 32);
	close(fd);
}

static void open_message(const struct vgm_reader_entry *entry, const uint8_t *key,
    enum vgm_part part, enum vgm_msg_type type, struct vgm_buf *plain, struct vgm_arena *arena,
    void *out)
{
	struct vgm_seal_name name = name_of(key, entry->record.id, part);
	vgm_buf_clear(plain);
	assert_int_equal(vgm_unseal_part(&name, &entry->record, entry->segment_fd, entry->at.offset,
			     plain, NULL),
	    0);
	assert_int_equal(vgm_msg_decode(type, vgm_buf_slice(plain), NULL, arena, out, NULL), 0);
}

static void test_opens(void **state)
{
	(void)state;
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf plain = VGM_BUF_INIT(10000);
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf body = VGM_BUF_INIT(10000);
	VGM_CLEANUP(vgm_arena_release) struct vgm_arena arena = VGM_ARENA_INIT(100000);
	struct vgm_reader_entry entry;
	struct vgm_ledger_place end;
	struct vgm_msg_routing routing;
	struct vgm_msg_outcome_facts facts;
	struct vgm_msg_head head;
	uint64_t size;
	int fd = golden();
	struct vgm_reader *reader = vgm_reader_new(fd);
	assert_int_equal(vgm_reader_find_end(fd, &end, &size, NULL), 0);
	assert_int_equal(size, 2);

	assert_int_equal(vgm_reader_next(reader, end, &entry, NULL), 1);
	assert_int_equal(entry.record.type, VGM_RECORD_MAIL);
	assert_int_equal(entry.record.entity, 7);
	assert_int_equal(entry.record.day, 20780);
	open_message(
	    &entry, routing_key, VGM_PART_ROUTING, VGM_MSG_routing, &plain, &arena, &routing);
	assert_true(vgm_slice_eq(routing.recipients[0].route, VGM_SLICE_LIT("route:main")));
	open_message(&entry, record_key, VGM_PART_HEAD, VGM_MSG_head, &plain, &arena, &head);
	assert_true(vgm_slice_eq(head.subject, VGM_SLICE_LIT("essai")));
	struct vgm_seal_tools *tools = vgm_seal_tools_new();
	struct vgm_seal_name name = name_of(record_key, entry.record.id, VGM_PART_BODY);
	assert_int_equal(entry.record.packing, VGM_PACKING_ZSTD);
	assert_int_equal(vgm_unseal_body(tools, &name, &entry.record, entry.segment_fd,
			     entry.at.offset, salt, to_buf, &body, NULL),
	    0);
	vgm_seal_tools_free(&tools);
	assert_true(vgm_slice_eq(vgm_buf_slice(&body), VGM_SLICE_LIT(BODY)));

	assert_int_equal(vgm_reader_next(reader, end, &entry, NULL), 1);
	assert_int_equal(entry.record.type, VGM_RECORD_OUTCOME);
	assert_memory_equal(entry.record.related, mail_id, 16);
	open_message(
	    &entry, routing_key, VGM_PART_ROUTING, VGM_MSG_outcome_facts, &plain, &arena, &facts);
	assert_int_equal(facts.outcomes[0].status, VGM_OUTCOME_DELIVERED);
	assert_int_equal(vgm_reader_next(reader, end, &entry, NULL), 0);
	vgm_reader_free(&reader);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_verifies),
	    cmocka_unit_test(test_opens),
	};
	const char *fresh = getenv("VGM_WRITE_GOLDEN");
	if (fresh) {
		write_golden(open(fresh, O_RDONLY | O_DIRECTORY));
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
