/* SPDX-License-Identifier: EUPL-1.2
 * cmd/cmd_verify.c — vgm verify: the ledger's files against themselves and their
 * signed checkpoints, without any key and without a server (ledger/verify.h). */
#include <fcntl.h>
#include <unistd.h>

#include "base/text.h"
#include "cmd/cmd.h"
#include "ledger/verify.h"

#define PLACE_BYTES 8192

static void say_fault(void *context, const struct vgm_verify_fault *f)
{
	const struct vgm_cmd_run *run = context;
	char offset[24];
	snprintf(offset, sizeof(offset), "%llu", (unsigned long long)f->offset);
	if (!run->json) {
		vgm_cmd_say(run, stdout, VGM_WORDS_verify_fault, "file", f->file, "offset", offset,
		    "what", f->what, NULL);
		return;
	}
	fputs("{\"file\":", stdout);
	vgm_cmd_json_string(stdout, vgm_slice_str(f->file));
	printf(",\"offset\":%s,\"what\":", offset);
	vgm_cmd_json_string(stdout, vgm_slice_str(f->what));
	fputs("}\n", stdout);
}

static void say_result(const struct vgm_cmd_run *run, const struct vgm_verify_result *v)
{
	struct vgm_buf root = VGM_BUF_INIT(64);
	char n[6][24];
	const uint64_t numbers[] = {
	    v->records, v->segments, v->bytes, v->checkpoints, v->checkpoint_size, v->faults};
	for (size_t i = 0; i < VGM_ARRAY_LEN(numbers); i++)
		snprintf(n[i], sizeof(n[i]), "%llu", (unsigned long long)numbers[i]);
	int r = vgm_hex_encode(vgm_slice(v->root, sizeof(v->root)), &root);
	VGM_BUG_ON(r < 0);
	if (run->json)
		printf("{\"records\":%s,\"segments\":%s,\"bytes\":%s,\"checkpoints\":%s,"
		       "\"checkpoint_size\":%s,\"faults\":%s,\"tree_size\":%llu,\"root\":\"%s\"}\n",
		    n[0], n[1], n[2], n[3], n[4], n[5], (unsigned long long)v->tree_size,
		    vgm_buf_str(&root));
	else
		vgm_cmd_say(run, stdout,
		    v->faults ? VGM_WORDS_verify_wrong : VGM_WORDS_verify_right, "records", n[0],
		    "segments", n[1], "bytes", n[2], "checkpoints", n[3], "covered", n[4], "faults",
		    n[5], "root", vgm_buf_str(&root), NULL);
	vgm_buf_release(&root);
}

/* What no checkpoint covers yet is not proved to be all there. */
static void say_uncovered(const struct vgm_cmd_run *run, const struct vgm_verify_result *v)
{
	char count[24];
	if (run->json || v->checkpoint_size >= v->tree_size)
		return;
	snprintf(count, sizeof(count), "%llu",
	    (unsigned long long)(v->tree_size - v->checkpoint_size));
	vgm_cmd_say(run, stdout, VGM_WORDS_verify_uncovered, "count", count, NULL);
}

static int verify(struct vgm_cmd_run *run, const char *place)
{
	struct vgm_verify_result result;
	struct vgm_err err;
	int fd = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return vgm_cmd_fail(
		    run, VGM_EXIT_SYSTEM, VGM_WORDS_verify_none, "place", place, NULL);
	int r = vgm_verify(fd, say_fault, run, &result, &err);
	close(fd);
	if (r == VGM_E_NOTFOUND)
		return vgm_cmd_fail(
		    run, VGM_EXIT_SYSTEM, VGM_WORDS_verify_none, "place", place, NULL);
	if (r < 0)
		return vgm_cmd_fail_err(run, place, &err);
	say_result(run, &result);
	say_uncovered(run, &result);
	return result.faults ? VGM_EXIT_NO : VGM_EXIT_OK;
}

static int run_verify(struct vgm_cmd_run *run)
{
	struct vgm_buf place = VGM_BUF_INIT(PLACE_BYTES);
	int status = VGM_EXIT_OK, r = 0;
	if (run->words_count > 0) {
		r = vgm_buf_add_str(&place, run->words[0]);
	} else {
		status = vgm_cmd_state_dir(run, &place);
		r = status == VGM_EXIT_OK ? vgm_buf_add_str(&place, "/ledger") : 0;
	}
	if (r < 0)
		status = vgm_cmd_fail_usage(run, run->words_count ? run->words[0] : "--state");
	else if (status == VGM_EXIT_OK)
		status = verify(run, vgm_buf_str(&place));
	vgm_buf_release(&place);
	return status;
}

const struct vgm_cmd vgm_cmd_verify = {
    .name = "verify",
    .summary = VGM_WORDS_verify_summary,
    .usage = "[DIR]",
    .about = VGM_WORDS_verify_about,
    .negative = VGM_WORDS_verify_negative,
    .words_max = 1,
    .flags = VGM_CMD_CONTROL,
    .run = run_verify,
};
