/* SPDX-License-Identifier: EUPL-1.2
 * cmd/cmd_sink.c — vgm sink: options of the sink (sink.h). */
#include "cmd/cmd.h"
#include "cmd/sink.h"
#include "conf/conf.h"

#define SIZE_MAX_DEFAULT (256u << 20)

static int fail_value(const struct vgm_cmd_run *run, const char *option, const char *value)
{
	return vgm_cmd_fail(
	    run, VGM_EXIT_USAGE, VGM_WORDS_sink_bad_value, "option", option, "value", value, NULL);
}

static int read_listen(const struct vgm_cmd_run *run, struct vgm_sink_options *o)
{
	const char *value;
	while ((value = vgm_cmd_option_at(run, "listen", o->listen_count)) != NULL) {
		if (o->listen_count == VGM_SINK_LISTEN_MAX)
			return fail_value(run, "--listen", value);
		o->listen[o->listen_count++] = value;
	}
	return o->listen_count ? VGM_EXIT_OK : vgm_cmd_fail_usage(run, NULL);
}

static int read_rules(const struct vgm_cmd_run *run, struct vgm_sink_options *o)
{
	const char *value;
	while ((value = vgm_cmd_option_at(run, "answer", o->rules_count)) != NULL) {
		if (o->rules_count == VGM_SINK_RULES_MAX ||
		    vgm_sink_rule_parse(vgm_slice_str(value), &o->rules[o->rules_count]) < 0)
			return fail_value(run, "--answer", value);
		o->rules_count++;
	}
	return VGM_EXIT_OK;
}

static int read_options(const struct vgm_cmd_run *run, struct vgm_sink_options *o)
{
	const char *down = vgm_cmd_option(run, "down-for"), *size = vgm_cmd_option(run, "max-size");
	const char *hostname = vgm_cmd_option(run, "hostname");
	o->maildir = vgm_cmd_option(run, "maildir");
	o->log = vgm_cmd_option(run, "log");
	o->hostname = hostname ? hostname : "sink.example";
	o->tls = vgm_cmd_option(run, "tls") != NULL;
	o->down = down != NULL;
	o->max_size = SIZE_MAX_DEFAULT;
	o->lang = run->lang;
	if (down && vgm_conf_read_time(vgm_slice_str(down), &o->down_ms) < 0)
		return fail_value(run, "--down-for", down);
	if (size && (vgm_conf_read_bytes(vgm_slice_str(size), &o->max_size) < 0 || o->max_size < 1))
		return fail_value(run, "--max-size", size);
	int status = read_listen(run, o);
	return status == VGM_EXIT_OK ? read_rules(run, o) : status;
}

static void ready(void *context, struct vgm_slice where)
{
	const struct vgm_cmd_run *run = context;
	char *text = vgm_slice_dup(where);
	vgm_cmd_say(run, stdout, VGM_WORDS_sink_ready, "where", text, NULL);
	fflush(stdout);
	vgm_free(text);
}

static void report(const struct vgm_cmd_run *run, uint64_t messages, uint64_t bytes)
{
	char a[24], b[24];
	snprintf(a, sizeof(a), "%llu", (unsigned long long)messages);
	snprintf(b, sizeof(b), "%llu", (unsigned long long)bytes);
	if (run->json)
		printf("{\"messages\":%s,\"bytes\":%s}\n", a, b);
	else
		vgm_cmd_say(run, stdout, VGM_WORDS_sink_took, "messages", a, "bytes", b, NULL);
}

static int run_sink(struct vgm_cmd_run *run)
{
	struct vgm_sink_options *o = vgm_alloc(sizeof(*o));
	uint64_t messages = 0, bytes = 0;
	struct vgm_err err;
	int status = read_options(run, o);
	o->ready = ready;
	o->context = run;
	if (status == VGM_EXIT_OK && vgm_sink_run(o, &messages, &bytes, &err) < 0)
		status = vgm_cmd_fail_err(run, "sink", &err);
	else if (status == VGM_EXIT_OK)
		report(run, messages, bytes);
	vgm_free(o);
	return status;
}

static const struct vgm_cmd_option options[] = {
    {"listen", "HOST:PORT", VGM_WORDS_sink_opt_listen},
    {"maildir", "DIR", VGM_WORDS_sink_opt_maildir},
    {"log", "FILE", VGM_WORDS_sink_opt_log},
    {"answer", "RULE", VGM_WORDS_sink_opt_answer},
    {"down-for", "TIME", VGM_WORDS_sink_opt_down},
    {"tls", NULL, VGM_WORDS_sink_opt_tls},
    {"hostname", "NAME", VGM_WORDS_sink_opt_hostname},
    {"max-size", "SIZE", VGM_WORDS_sink_opt_max_size},
    {NULL, NULL, VGM_WORDS_COUNT},
};

const struct vgm_cmd vgm_cmd_sink = {
    .name = "sink",
    .summary = VGM_WORDS_sink_summary,
    .usage = "--listen HOST:PORT [--maildir DIR] [--log FILE] [--answer RULE...] [OPTION...]",
    .about = VGM_WORDS_sink_about,
    .negative = VGM_WORDS_config_negative,
    .options = options,
    .run = run_sink,
};
