/* SPDX-License-Identifier: EUPL-1.2
 * cmd/cmd_config.c — vgm config: check, show, password, man. */
#include <errno.h>
#include <sodium.h>
#include <termios.h>
#include <unistd.h>

#include "base/secret.h"
#include "cmd/cmd.h"
#include "conf/conf.h"
#include "os/platform.h"
#include "role/master_state.h"

#define DEFAULT_FILE "/etc/vaguemestre/vgm.yaml"
#define CONF_TEXT_BYTES (16u << 20)

static const char *file_of(const struct vgm_cmd_run *run)
{
	return run->words_count > 1 ? run->words[1] : DEFAULT_FILE;
}

/* ---- check ---- */

/* The files that the configuration names. */
static int check_files(const struct vgm_cmd_run *run, const struct vgm_conf *conf)
{
	const char *const files[] = {conf->tls_certificate, conf->tls_key, conf->directory_file};
	struct vgm_err err;
	int fd = -1;
	for (size_t i = 0; i < VGM_ARRAY_LEN(files); i++)
		if (files[i][0] && access(files[i], R_OK) < 0)
			return vgm_cmd_fail(run, VGM_EXIT_CONF, VGM_WORDS_cmd_failed, "what",
			    files[i], "why", strerrordesc_np(errno), NULL);
	if (vgm_master_check_tls(conf, &err) < 0)
		return vgm_cmd_fail(run, VGM_EXIT_CONF, VGM_WORDS_cmd_failed, "what",
		    conf->tls_certificate, "why", err.text, NULL);
	if (vgm_master_read_people(conf, &fd, &err) < 0)
		return vgm_cmd_fail(run, VGM_EXIT_CONF, VGM_WORDS_cmd_failed, "what",
		    conf->directory_file, "why", err.text, NULL);
	if (fd >= 0)
		close(fd);
	return VGM_EXIT_OK;
}

/* Rule 11: swap off, encrypted, or said. */
static void say_swap(const struct vgm_cmd_run *run)
{
	struct vgm_buf areas = VGM_BUF_INIT(4000);
	struct vgm_err err;
	if (vgm_platform_swap_in_clear(&areas, &err) < 0)
		vgm_cmd_say(run, stdout, VGM_WORDS_config_swap, "areas", err.text, NULL);
	else if (areas.len)
		vgm_cmd_say(run, stdout, VGM_WORDS_config_swap, "areas", vgm_buf_str(&areas), NULL);
	else
		vgm_cmd_say(run, stdout, VGM_WORDS_config_no_swap, NULL);
	vgm_buf_release(&areas);
}

static void say_right(const struct vgm_cmd_run *run, const struct vgm_conf *conf)
{
	if (run->json) {
		fputs("{\"file\":", stdout);
		vgm_cmd_json_string(stdout, vgm_slice_str(file_of(run)));
		fputs(",\"right\":true}\n", stdout);
	} else {
		vgm_cmd_say(run, stdout, VGM_WORDS_config_right, "file", file_of(run), NULL);
		vgm_cmd_say(run, stdout,
		    strcmp(conf->root_key, "file") == 0 ? VGM_WORDS_config_root_file
		                                        : VGM_WORDS_config_root_passphrase,
		    NULL);
		vgm_cmd_say(run, stdout, VGM_WORDS_config_disk, "state", conf->state, NULL);
		say_swap(run);
	}
}

static int check(const struct vgm_cmd_run *run)
{
	struct vgm_conf conf;
	int status = vgm_cmd_load_conf(run, file_of(run), &conf);
	if (status != VGM_EXIT_OK)
		return status;
	status = check_files(run, &conf);
	if (status == VGM_EXIT_OK)
		say_right(run, &conf);
	vgm_conf_release(&conf);
	return status;
}

/* ---- show ---- */

static int show(const struct vgm_cmd_run *run)
{
	struct vgm_conf conf;
	struct vgm_buf text = VGM_BUF_INIT(CONF_TEXT_BYTES);
	if (vgm_cmd_option(run, "defaults")) {
		vgm_conf_init(&conf);
	} else {
		int status = vgm_cmd_load_conf(run, file_of(run), &conf);
		if (status != VGM_EXIT_OK)
			return status;
	}
	int r = vgm_conf_write(&conf, C_ALL, vgm_cmd_option(run, "changed") != NULL, &text);
	VGM_BUG_ON(r < 0); /* no more than was read */
	if (run->json) {
		fputs("{\"yaml\":", stdout);
		vgm_cmd_json_string(stdout, vgm_buf_slice(&text));
		fputs("}\n", stdout);
	} else if (text.len > 0) {
		fwrite(text.data, 1, text.len, stdout);
	}
	vgm_buf_release(&text);
	vgm_conf_release(&conf);
	return VGM_EXIT_OK;
}

/* ---- password ---- */

#define PASSWORD_MIN 8u
#define PASSWORD_MAX 200u

/* One line of standard input without its end, unseen when typed. Returns its
 * length, or SIZE_MAX when there is none or it is too long. */
static size_t read_line(const struct vgm_cmd_run *run, struct vgm_secret *line)
{
	struct termios as_it_was, silent;
	bool typed = tcgetattr(STDIN_FILENO, &as_it_was) == 0;
	size_t n = 0;
	char c;
	if (typed) {
		silent = as_it_was;
		silent.c_lflag &= ~(tcflag_t)ECHO;
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
		fputs(vgm_words(VGM_WORDS_config_password_prompt, run->lang), stderr);
	}
	/* Byte by byte and unbuffered: no copy stays in stdio. */
	ssize_t got = read(STDIN_FILENO, &c, 1);
	while (got == 1 && c != '\n' && n < line->len) {
		line->data[n++] = (uint8_t)c;
		got = read(STDIN_FILENO, &c, 1);
	}
	if (typed) {
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &as_it_was);
		fputc('\n', stderr);
	}
	return got < 0 || n == line->len ? SIZE_MAX : n;
}

/* 19 MiB and two passes: some 25 ms of the submission door for each sign-in. */
static int print_hash(const struct vgm_cmd_run *run, struct vgm_slice password)
{
	char hash[crypto_pwhash_STRBYTES];
	if (sodium_init() < 0 ||
	    crypto_pwhash_str_alg(hash, (const char *)password.data, password.len, 2, 19u << 20,
	        crypto_pwhash_ALG_ARGON2ID13) != 0) {
		struct vgm_err err;
		vgm_err_set(&err, VGM_E_CRYPTO, "Argon2id: no memory");
		return vgm_cmd_fail_err(run, "password", &err);
	}
	printf(run->json ? "{\"password\":\"%s\"}\n" : "%s\n", hash);
	return VGM_EXIT_OK;
}

static int password(const struct vgm_cmd_run *run)
{
	struct vgm_secret line;
	int status;
	vgm_secret_init(&line, PASSWORD_MAX + 1);
	size_t n = read_line(run, &line);
	if (n < PASSWORD_MIN || n > PASSWORD_MAX)
		status = vgm_cmd_fail(run, VGM_EXIT_USAGE, VGM_WORDS_config_password_bad, "min",
		    "8", "max", "200", NULL);
	else
		status = print_hash(run, vgm_slice(line.data, n));
	vgm_secret_release(&line);
	return status;
}

/* ---- man ---- */

static int man(const struct vgm_cmd_run *run)
{
	struct vgm_buf page = VGM_BUF_INIT(1u << 20);
	int r = vgm_cmd_man_conf(run->lang, &page);
	VGM_BUG_ON(r < 0); /* our own texts are not that long */
	fwrite(page.data, 1, page.len, stdout);
	vgm_buf_release(&page);
	return VGM_EXIT_OK;
}

static int run_config(struct vgm_cmd_run *run)
{
	static const struct {
		const char *name;
		int (*act)(const struct vgm_cmd_run *);
		size_t words_max;
	} acts[] = {
	    {"check", check, 2}, {"show", show, 2}, {"password", password, 1}, {"man", man, 1}};
	for (size_t i = 0; i < VGM_ARRAY_LEN(acts); i++)
		if (strcmp(run->words[0], acts[i].name) == 0)
			return run->words_count <= acts[i].words_max
				   ? acts[i].act(run)
				   : vgm_cmd_fail_usage(run, run->words[1]);
	return vgm_cmd_fail_usage(run, run->words[0]);
}

static const struct vgm_cmd_option options[] = {
    {"changed", NULL, VGM_WORDS_config_opt_changed},
    {"defaults", NULL, VGM_WORDS_config_opt_defaults},
    {NULL, NULL, VGM_WORDS_COUNT},
};

const struct vgm_cmd vgm_cmd_config = {
    .name = "config",
    .summary = VGM_WORDS_config_summary,
    .usage = "check [FILE]\nshow [FILE] [--changed] [--defaults]\npassword\nman",
    .about = VGM_WORDS_config_about,
    .negative = VGM_WORDS_config_negative,
    .options = options,
    .words_min = 1,
    .words_max = 2,
    .run = run_config,
};
