/* SPDX-License-Identifier: EUPL-1.2
 * cmd/cmd.h — what a `vgm` command is: one file cmd_<name>.c with one const
 * struct vgm_cmd vgm_cmd_<name>, and one line COMMAND(<name>) in commands.def.
 *
 * The frame (cmd.c) reads the arguments against the command's table before run()
 * is called: unknown options, missing and superfluous values are refused there,
 * --help, --json and --lang work for every command. run() returns an exit status
 * of enum vgm_cmd_exit; the process ends with it. Results go to stdout, all else
 * to stderr. Texts come from the catalogue; syntax (usage, value names) is the
 * same in all languages. */
#ifndef VGM_CMD_CMD_H
#define VGM_CMD_CMD_H

#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "words/words.h"

enum vgm_cmd_exit {
	VGM_EXIT_OK = 0,          /* done; the answer is yes */
	VGM_EXIT_NO = 1,          /* done; the answer is no, nothing was found, a fault was found */
	VGM_EXIT_USAGE = 2,       /* the arguments are wrong */
	VGM_EXIT_UNREACHABLE = 3, /* the server does not answer; try again later */
	VGM_EXIT_CONF = 4,        /* the configuration is wrong */
	VGM_EXIT_SYSTEM = 5,      /* a file, the disk, the system refused */
};

enum vgm_cmd_flags {
	VGM_CMD_CONTROL = 1, /* talks to a running server: also takes --state and --config */
	VGM_CMD_HIDDEN = 2,  /* not in the list of commands */
};

struct vgm_cmd_option {
	const char *name;       /* "limit": written --limit; NULL ends the table */
	const char *value;      /* what follows, "N"; NULL: a flag */
	enum vgm_words_id help; /* one line */
};

struct vgm_cmd_run;

struct vgm_cmd {
	const char *name;           /* "queue" */
	enum vgm_words_id summary;  /* one line, for the list of commands */
	const char *usage;          /* after "vgm <name>"; several forms on lines of their own:
	                             * "list [--route NAME]\nflush [ID]" */
	enum vgm_words_id about;    /* paragraphs for --help and the man page */
	enum vgm_words_id negative; /* what exit status 1 means here */
	const struct vgm_cmd_option *options; /* ended by a NULL name; NULL: none */
	size_t words_min, words_max;          /* arguments that are not options */
	unsigned flags;                       /* enum vgm_cmd_flags */
	int (*run)(struct vgm_cmd_run *);
};

#define VGM_CMD_ARGUMENTS_MAX 256

/* One call of one command. Texts are those of argv. */
struct vgm_cmd_run {
	const struct vgm_cmd *cmd;
	enum vgm_lang lang;
	bool json;
	const char *words[VGM_CMD_ARGUMENTS_MAX];
	size_t words_count;
	struct {
		const char *name, *value; /* value "" for a flag */
	} given[VGM_CMD_ARGUMENTS_MAX];
	size_t given_count;
};

/* ---- what was given ---- */

/* The option's last value ("" for a flag), or NULL: not given. */
const char *vgm_cmd_option(const struct vgm_cmd_run *, const char *name);
/* The nth value of an option that may be repeated, from 0; NULL: no more. */
const char *vgm_cmd_option_at(const struct vgm_cmd_run *, const char *name, size_t nth);
/* A number within min..max, or fallback when not given. False: said why; the
 * caller returns VGM_EXIT_USAGE. */
bool vgm_cmd_option_number(const struct vgm_cmd_run *, const char *name, uint64_t fallback,
    uint64_t min, uint64_t max, uint64_t *out) VGM_MUST_USE;

/* ---- what is said ---- */

/* Prints the text and a newline; pairs as vgm_words_fill. */
void vgm_cmd_say(const struct vgm_cmd_run *, FILE *, enum vgm_words_id, ...)
    __attribute__((sentinel));
/* The same on stderr as a failure: "vgm queue: ..."; with --json an object
 * {"error": id, "text": ...}. Returns code, so that run() writes
 * return vgm_cmd_fail(run, VGM_EXIT_NO, VGM_WORDS_..., NULL). */
int vgm_cmd_fail(const struct vgm_cmd_run *, int code, enum vgm_words_id, ...)
    __attribute__((sentinel));
/* A failure that a library reported: {what} with err's text. VGM_E_CLOSED,
 * VGM_E_TIMEOUT, VGM_E_BUSY end with UNREACHABLE, all else with SYSTEM. */
int vgm_cmd_fail_err(const struct vgm_cmd_run *, const char *what, const struct vgm_err *);
/* The words do not fit the command's usage: word is too much or not known here;
 * NULL: something is missing. Returns VGM_EXIT_USAGE. */
int vgm_cmd_fail_usage(const struct vgm_cmd_run *, const char *word);
/* s as a JSON string, quotes included. */
void vgm_cmd_json_string(FILE *, struct vgm_slice s);

/* ---- the configuration and where the server's files are ---- */

struct vgm_conf;
/* Reads and parses the file; says the fault as FILE:LINE:COLUMN. Returns an exit
 * status; *out is to be released only when that is VGM_EXIT_OK. */
int vgm_cmd_load_conf(const struct vgm_cmd_run *, const char *path, struct vgm_conf *out)
    VGM_MUST_USE;
/* The state directory of the server meant by --state, else by --config, else by
 * /etc/vaguemestre/vgm.yaml, else the default. Returns an exit status. */
int vgm_cmd_state_dir(const struct vgm_cmd_run *, struct vgm_buf *out) VGM_MUST_USE;

/* ---- the frame ---- */

/* Ended by NULL, in the order of the help. */
extern const struct vgm_cmd *const vgm_cmd_table[];
/* Runs the command that the arguments name; returns the exit status. */
int vgm_cmd_main(const struct vgm_cmd *const *table, int argc, char **argv);
/* Reads arguments (without program and command name). Returns an exit status;
 * *out_help is set when --help is among them. */
int vgm_cmd_read(const struct vgm_cmd *, int argc, char **argv, struct vgm_cmd_run *out,
    bool *out_help) VGM_MUST_USE;

/* The tables of a command's options, from 0: its own, those of VGM_CMD_CONTROL,
 * those of every command. NULL where there is none. */
#define VGM_CMD_TABLES 3
const struct vgm_cmd_option *vgm_cmd_options_at(const struct vgm_cmd *, size_t table);

/* Help for people: all commands, or one (help.c). */
void vgm_cmd_print_help_all(const struct vgm_cmd *const *table, enum vgm_lang, FILE *);
void vgm_cmd_print_help(const struct vgm_cmd *, enum vgm_lang, FILE *);
/* The manual page vgm(1) in roff (man.c). VGM_E_LIMIT. */
int vgm_cmd_man(
    const struct vgm_cmd *const *table, enum vgm_lang, struct vgm_buf *out) VGM_MUST_USE;
/* The manual page vgm.yaml(5) (man.c). */
int vgm_cmd_man_conf(enum vgm_lang, struct vgm_buf *out) VGM_MUST_USE;

#endif
