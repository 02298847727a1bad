/* SPDX-License-Identifier: EUPL-1.2
 * cmd/cmd_serve.c — vgm serve: the gateway, from a configuration file, or for a
 * trial from options alone. */
#include <stdio.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "conf/conf.h"
#include "role/master.h"

#define DEFAULT_FILE "/etc/vaguemestre/vgm.yaml"

/* Options of a trial and what they are in a configuration file. */
static const struct {
	const char *name, *path;
	const char *before; /* what stands before the value */
} trial[] = {
    {"domain", "domains", ""},
    {"hostname", "hostname", ""},
    {"listen", "receive.listen", ""},
    {"submit", "submit.listen", ""},
    {"devices", "devices.listen", ""},
    {"relay", "routes", "name=relay,domains=*,to="},
    {"state", "state", ""},
    {"dns", "dns.servers", ""},
    {"directory", "directory", ""},
};

static int put(
    const struct vgm_cmd_run *run, struct vgm_conf *conf, const char *path, const char *value)
{
	struct vgm_conf_fault fault;
	struct vgm_err err;
	struct vgm_buf text = VGM_BUF_INIT(8192);
	int status = VGM_EXIT_OK;
	if (vgm_conf_set(conf, path, value, &fault, &err) < 0) {
		int r = vgm_conf_fault_text(&fault, NULL, run->lang, &text);
		status = vgm_cmd_fail(run, VGM_EXIT_USAGE, VGM_WORDS_cmd_said, "text",
		    r < 0 ? err.text : vgm_buf_str(&text), NULL);
	}
	vgm_buf_release(&text);
	return status;
}

/* Every value of one trial option; the first displaces a list's default. */
static int put_option(const struct vgm_cmd_run *run, struct vgm_conf *conf, size_t which)
{
	int status = VGM_EXIT_OK;
	const char *value;
	for (size_t n = 0; status == VGM_EXIT_OK; n++) {
		value = vgm_cmd_option_at(run, trial[which].name, n);
		if (!value)
			break;
		struct vgm_buf text = VGM_BUF_INIT(8192);
		if (n == 0) /* single options have nothing to empty */
			(void)!vgm_conf_empty(conf, trial[which].path, NULL);
		if (vgm_buf_addf(&text, "%s%s", trial[which].before, value) < 0)
			status = vgm_cmd_fail_usage(run, value);
		else
			status = put(run, conf, trial[which].path, vgm_buf_str(&text));
		vgm_buf_release(&text);
	}
	return status;
}

/* --set PATH=VALUE. A list's default goes at its first --set. */
static int put_set(const struct vgm_cmd_run *run, struct vgm_conf *conf, size_t nth)
{
	struct vgm_slice pair = vgm_slice_str(vgm_cmd_option_at(run, "set", nth));
	size_t equals = vgm_slice_find(pair, '=');
	if (equals == pair.len)
		return vgm_cmd_fail(run, VGM_EXIT_USAGE, VGM_WORDS_cmd_option_needs_value, "option",
		    "--set", "value", "PATH=VALUE", NULL);
	char *path = vgm_slice_dup(vgm_slice_sub(pair, 0, equals));
	char *value = vgm_slice_dup(vgm_slice_from(pair, equals + 1));
	bool first = true;
	for (size_t i = 0; i < nth; i++) {
		struct vgm_slice other = vgm_slice_str(vgm_cmd_option_at(run, "set", i));
		first = first && !vgm_slice_eq(vgm_slice_sub(other, 0, equals + 1),
		                     vgm_slice_sub(pair, 0, equals + 1));
	}
	if (first)
		(void)!vgm_conf_empty(conf, path, NULL);
	int status = put(run, conf, path, value);
	vgm_free(path);
	vgm_free(value);
	return status;
}

/* A trial's people sit at the same machine: they submit without signing in. */
static int trial_conf(const struct vgm_cmd_run *run, struct vgm_conf *conf)
{
	int status = put(run, conf, "submit.relays", "127.0.0.0/8");
	if (status == VGM_EXIT_OK)
		status = put(run, conf, "submit.relays", "::1");
	/* Any free port: two trials on one machine do not get in each other's way. */
	if (status == VGM_EXIT_OK && vgm_conf_empty(conf, "submit.listen", NULL) == 0)
		status = put(run, conf, "submit.listen", "127.0.0.1:0");
	for (size_t i = 0; i < VGM_ARRAY_LEN(trial) && status == VGM_EXIT_OK; i++)
		status = put_option(run, conf, i);
	for (size_t i = 0; vgm_cmd_option_at(run, "set", i) && status == VGM_EXIT_OK; i++)
		status = put_set(run, conf, i);
	return status;
}

static int run_serve(struct vgm_cmd_run *run)
{
	const char *path = vgm_cmd_option(run, "config");
	struct vgm_conf conf;
	int status;
	for (size_t i = 0; path && i < run->given_count; i++)
		for (size_t k = 0; k < VGM_ARRAY_LEN(trial); k++)
			if (strcmp(run->given[i].name, trial[k].name) == 0 ||
			    strcmp(run->given[i].name, "set") == 0)
				return vgm_cmd_fail(run, VGM_EXIT_USAGE, VGM_WORDS_serve_either,
				    "option", run->given[i].name, NULL);
	if (!path && !vgm_cmd_option(run, "domain"))
		path = DEFAULT_FILE;
	if (path) {
		status = vgm_cmd_load_conf(run, path, &conf);
		if (status != VGM_EXIT_OK)
			return status;
	} else {
		vgm_conf_init(&conf);
		status = trial_conf(run, &conf);
		if (status != VGM_EXIT_OK) {
			vgm_conf_release(&conf);
			return status;
		}
	}
	return vgm_master_run(&conf, path, run->lang);
}

static const struct vgm_cmd_option options[] = {
    {"config", "FILE", VGM_WORDS_opt_config},
    {"domain", "DOMAIN", VGM_WORDS_serve_opt_domain},
    {"listen", "HOST:PORT", VGM_WORDS_serve_opt_listen},
    {"relay", "HOST:PORT", VGM_WORDS_serve_opt_relay},
    {"state", "DIR", VGM_WORDS_serve_opt_state},
    {"submit", "HOST:PORT", VGM_WORDS_serve_opt_submit},
    {"devices", "HOST:PORT", VGM_WORDS_serve_opt_devices},
    {"dns", "HOST:PORT", VGM_WORDS_serve_opt_dns},
    {"hostname", "NAME", VGM_WORDS_serve_opt_hostname},
    {"directory", "FILE", VGM_WORDS_serve_opt_directory},
    {"set", "PATH=VALUE", VGM_WORDS_serve_opt_set},
    {NULL, NULL, VGM_WORDS_COUNT},
};

const struct vgm_cmd vgm_cmd_serve = {
    .name = "serve",
    .summary = VGM_WORDS_serve_summary,
    .usage = "[--config FILE]\n--domain DOMAIN --listen HOST:PORT --relay HOST:PORT --state DIR "
             "[OPTION...]",
    .about = VGM_WORDS_serve_about,
    .negative = VGM_WORDS_config_negative,
    .options = options,
    .run = run_serve,
};
