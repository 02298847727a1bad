/* SPDX-License-Identifier: EUPL-1.2
 * smtp/server/command.c — the table of commands: which verb is read by whom, in
 * which states, and what it costs. */
#include "base/text.h"
#include "smtp/server/internal.h"

#define IN(state) (1u << VGM_SMTP_##state)
#define ANY (IN(GREETED) | IN(READY) | IN(MAIL) | IN(RCPT) | IN(BETWEEN))

enum command_flags {
	EMPTY = 1, /* moves no message: counts towards max_commands */
	LONG = 2,  /* may be longer than 512 bytes */
	ALONE = 4, /* takes no argument: 501 with one */
	SELF = 8,  /* asks for its state itself (BDAT: its chunk comes in any case) */
};

static const struct command {
	const char *verb;
	vgm_smtp_verb *run;
	unsigned states;
	unsigned flags;
} commands[] = {
    {"EHLO", vgm_smtp_ehlo, ANY, EMPTY},
    {"HELO", vgm_smtp_helo, ANY, EMPTY},
    {"MAIL", vgm_smtp_mail, IN(READY), LONG},
    {"RCPT", vgm_smtp_rcpt, IN(MAIL) | IN(RCPT), LONG},
    {"DATA", vgm_smtp_data, ANY, ALONE | SELF},
    {"BDAT", vgm_smtp_bdat, ANY, SELF},
    {"RSET", vgm_smtp_rset, ANY, EMPTY | ALONE},
    {"NOOP", vgm_smtp_noop, ANY, EMPTY},
    {"VRFY", vgm_smtp_vrfy, ANY, EMPTY},
    {"EXPN", vgm_smtp_expn, ANY, EMPTY},
    {"HELP", vgm_smtp_help, ANY, EMPTY},
    {"QUIT", vgm_smtp_quit, ANY, ALONE},
    {"STARTTLS", vgm_smtp_starttls, IN(GREETED) | IN(READY), EMPTY | ALONE},
    {"AUTH", vgm_smtp_auth, IN(READY), EMPTY | LONG},
};

/* First words of protocols that browsers and worms can be made to speak to us:
 * the rest of what they send is not worth reading. */
static const char *const foreign[] = {"GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "DELETE",
    "PATCH", "TRACE", "PRI", "PROXY", "PING",
    "Host:", "User-Agent:", "Content-Length:", "Content-Type:", "Cookie:", "Referer:", "Accept:"};

static bool is_letter(uint8_t c)
{
	return vgm_ascii_lower(c) >= 'a' && vgm_ascii_lower(c) <= 'z';
}

static bool is_foreign(struct vgm_smtp_session *s, struct vgm_slice verb)
{
	for (size_t i = 0; i < VGM_ARRAY_LEN(foreign); i++)
		if (vgm_slice_eq_nocase(verb, vgm_slice_str(foreign[i])))
			return true;
	/* Redis and the like: a first line that is no word at all. */
	return s->first_command && (verb.len == 0 || !is_letter(verb.data[0]));
}

static const struct command *find(struct vgm_slice verb)
{
	for (size_t i = 0; i < VGM_ARRAY_LEN(commands); i++)
		if (vgm_slice_eq_nocase(verb, vgm_slice_str(commands[i].verb)))
			return &commands[i];
	return NULL;
}

/* True when the session has had its fill of commands that move no mail. */
static bool too_many(struct vgm_smtp_session *s)
{
	if (++s->commands < s->settings->max_commands)
		return false;
	vgm_smtp_close_with(s, 421, "4.7.0", VGM_WORDS_smtp_too_many_commands);
	return true;
}

static void carry_out(struct vgm_smtp_session *s, const struct command *c, struct vgm_slice line,
    struct vgm_slice args)
{
	size_t limit = c->flags & LONG ? VGM_SMTP_LINE_MAX : VGM_SMTP_LINE_SHORT - 2;
	if ((c->flags & EMPTY) && too_many(s))
		return;
	if (line.len > limit)
		vgm_smtp_error(s, 500, "5.5.2", VGM_WORDS_smtp_line_too_long, VGM_SLICE_NONE);
	else if (!(c->flags & SELF) && !(c->states & (1u << s->state)))
		vgm_smtp_error(s, 503, "5.5.1", VGM_WORDS_smtp_sequence, line);
	else if ((c->flags & ALONE) && vgm_slice_trim(args).len)
		vgm_smtp_error(s, 501, "5.5.4", VGM_WORDS_smtp_no_arguments, line);
	else
		c->run(s, args);
}

void vgm_smtp_command(struct vgm_smtp_session *s, struct vgm_slice line)
{
	size_t space = vgm_slice_find(line, ' ');
	struct vgm_slice verb = vgm_slice_sub(line, 0, space);
	const struct command *c = find(verb);
	if (c)
		carry_out(s, c, line, vgm_slice_from(line, space + 1));
	else if (is_foreign(s, verb))
		vgm_smtp_close_with(s, 500, "5.5.1", VGM_WORDS_smtp_not_smtp);
	else if (!too_many(s))
		vgm_smtp_error(s, 500, "5.5.1", VGM_WORDS_smtp_unknown_command, line);
	s->first_command = false;
}
