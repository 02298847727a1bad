/* SPDX-License-Identifier: EUPL-1.2
 * cmd/cmd_policy.c — vgm policy test: what would become of a message, recipient
 * by recipient, and why. Decides with the same function as the filters, on the
 * same configuration and directory files; nothing is sent. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "mime/head.h"
#include "policy/policy.h"
#include "role/master_state.h"
#include "os/memfd.h"

#define DEFAULT_FILE "/etc/vaguemestre/vgm.yaml"
#define MESSAGE_MAX_BYTES (1u << 28)

static const struct vgm_cmd_option options[] = {
    {"config", "FILE", VGM_WORDS_policy_option_config},
    {"message", "FILE", VGM_WORDS_policy_option_message},
    {"size", "BYTES", VGM_WORDS_policy_option_size},
    {NULL, NULL, 0},
};

static int read_message(const struct vgm_cmd_run *run, const char *path, struct vgm_buf *out)
{
	uint8_t piece[65536];
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return vgm_cmd_fail(
		    run, VGM_EXIT_SYSTEM, VGM_WORDS_cmd_no_file, "file", path, NULL);
	while ((n = read(fd, piece, sizeof piece)) > 0)
		if (vgm_buf_add(out, piece, (size_t)n) < 0)
			break;
	close(fd);
	return n == 0 ? VGM_EXIT_OK
		      : vgm_cmd_fail(
			    run, VGM_EXIT_SYSTEM, VGM_WORDS_policy_unreadable, "file", path, NULL);
}

/* What filters know of the message: all of it, or only the size that was named. */
static int gather(const struct vgm_cmd_run *run, const struct vgm_conf *conf,
    struct vgm_policy_facts *facts)
{
	struct vgm_buf message = VGM_BUF_INIT(MESSAGE_MAX_BYTES);
	struct vgm_head_facts head;
	const char *path = vgm_cmd_option(run, "message");
	if (!vgm_cmd_option_number(run, "size", 1000, 0, 1u << 31, &facts->size))
		return VGM_EXIT_USAGE;
	if (!path)
		return VGM_EXIT_OK;
	int status = read_message(run, path, &message);
	if (status == VGM_EXIT_OK) {
		vgm_head_read(vgm_buf_slice(&message), vgm_slice_str(conf->hostname), &head);
		facts->size = message.len;
		facts->received = head.received;
		facts->own_hops = head.own_hops;
	}
	vgm_buf_release(&message);
	return status;
}

static int read_people(
    const struct vgm_cmd_run *run, const struct vgm_conf *conf, struct vgm_directory **out)
{
	struct vgm_mapping text;
	struct vgm_err err;
	struct stat st;
	int fd = -1;
	int r = vgm_master_read_people(conf, &fd, &err);
	if (r < 0)
		return vgm_cmd_fail_err(run, conf->directory_file, &err);
	if (fd < 0)
		return VGM_EXIT_OK;
	VGM_BUG_ON(fstat(fd, &st) < 0);
	r = vgm_mapping_open(fd, (uint64_t)st.st_size, &text, &err);
	if (r == 0) {
		r = vgm_directory_parse(text.bytes, out, NULL, &err);
		vgm_mapping_release(&text);
	}
	close(fd);
	return r < 0 ? vgm_cmd_fail_err(run, conf->directory_file, &err) : VGM_EXIT_OK;
}

static const char *tls_words(const struct vgm_cmd_run *run, uint8_t need)
{
	enum vgm_words_id id = need == VGM_TLS_VERIFY ? VGM_WORDS_policy_tls_verify
	    : need == VGM_TLS_ENCRYPT             ? VGM_WORDS_policy_tls_encrypt
	                                          : VGM_WORDS_policy_tls_may;
	return vgm_words(id, run->lang);
}

static const char *reason_words(const struct vgm_cmd_run *run, struct vgm_slice reason)
{
	enum vgm_words_id id = vgm_slice_eq(reason, VGM_SLICE_LIT("directory"))
	    ? VGM_WORDS_policy_reason_directory
	    : vgm_slice_eq(reason, VGM_SLICE_LIT("routes")) ? VGM_WORDS_policy_reason_routes
	                                                    : VGM_WORDS_policy_reason_mx;
	return vgm_words(id, run->lang);
}

static void say_recipient(const struct vgm_cmd_run *run, const struct vgm_recipient *to)
{
	static const char *const needs[] = {"may", "encrypt", "verify"};
	if (!run->json) {
		char *address = vgm_slice_dup(to->address), *route = vgm_slice_dup(to->route);
		vgm_cmd_say(run, stdout, VGM_WORDS_policy_goes, "address", address, "route", route,
		    "tls", tls_words(run, to->policy), "reason", reason_words(run, to->reason),
		    NULL);
		vgm_free(address);
		vgm_free(route);
		return;
	}
	fputs("{\"recipient\":", stdout);
	vgm_cmd_json_string(stdout, to->address);
	fputs(",\"route\":", stdout);
	vgm_cmd_json_string(stdout, to->route);
	fputs(",\"reason\":", stdout);
	vgm_cmd_json_string(stdout, to->reason);
	printf(",\"tls\":\"%s\"}\n", needs[to->policy]);
}

static int say_refused(const struct vgm_cmd_run *run, enum vgm_policy_verdict verdict)
{
	bool loop = verdict == VGM_POLICY_LOOP;
	if (run->json)
		printf("{\"refused\":\"%s\"}\n", loop ? "loop" : "too_large");
	else
		vgm_cmd_say(run, stdout,
		    loop ? VGM_WORDS_policy_refused_loop : VGM_WORDS_policy_refused_size, NULL);
	return VGM_EXIT_NO;
}

static int decide(const struct vgm_cmd_run *run, const struct vgm_conf *conf,
    const struct vgm_directory *people, const struct vgm_policy_facts *facts)
{
	struct vgm_recipient to[VGM_CMD_ARGUMENTS_MAX] = {{.notify = 0}};
	struct vgm_arena routes = VGM_ARENA_INIT(1 << 20);
	size_t count = run->words_count - 1;
	for (size_t i = 0; i < count; i++)
		to[i].address = vgm_slice_str(run->words[i + 1]);
	enum vgm_policy_verdict verdict =
	    vgm_policy_decide(facts, conf, people, to, count, &routes);
	for (size_t i = 0; verdict == VGM_POLICY_KEEP && i < count; i++)
		say_recipient(run, &to[i]);
	vgm_arena_release(&routes);
	return verdict == VGM_POLICY_KEEP ? VGM_EXIT_OK : say_refused(run, verdict);
}

static int policy(struct vgm_cmd_run *run)
{
	const char *file = vgm_cmd_option(run, "config");
	struct vgm_policy_facts facts = {.size = 0};
	struct vgm_directory *people = NULL;
	struct vgm_conf conf;
	if (strcmp(run->words[0], "test") != 0)
		return vgm_cmd_fail(run, VGM_EXIT_USAGE, VGM_WORDS_cmd_too_many, "word",
		    run->words[0], "usage", "vgm policy test RECIPIENT...", NULL);
	int status = vgm_cmd_load_conf(run, file ? file : DEFAULT_FILE, &conf);
	if (status != VGM_EXIT_OK)
		return status;
	status = gather(run, &conf, &facts);
	if (status == VGM_EXIT_OK)
		status = read_people(run, &conf, &people);
	if (status == VGM_EXIT_OK)
		status = decide(run, &conf, people, &facts);
	vgm_directory_free(&people);
	vgm_conf_release(&conf);
	return status;
}

const struct vgm_cmd vgm_cmd_policy = {
    .name = "policy",
    .summary = VGM_WORDS_policy_summary,
    .usage = "test [--config FILE] [--message FILE | --size BYTES] RECIPIENT...",
    .about = VGM_WORDS_policy_about,
    .negative = VGM_WORDS_policy_negative,
    .options = options,
    .words_min = 2,
    .words_max = VGM_CMD_ARGUMENTS_MAX,
    .run = policy,
};
