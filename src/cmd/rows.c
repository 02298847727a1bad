/* SPDX-License-Identifier: EUPL-1.2
 * cmd/rows.c — see rows.h. */
#include "cmd/rows.h"

#include <time.h>
#include <unistd.h>

#include "base/text.h"

#define TEXT_BYTES (64u << 10)
#define VALUE_BYTES 4000 /* of one value before escaping */

/* ---- pieces ---- */

/* Marks that change the direction of writing would let a sender rearrange a
 * line: U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069. */
static bool turns_text(const uint8_t *c, size_t left)
{
	return left >= 3 && c[0] == 0xE2 &&
	    ((c[1] == 0x80 && (c[2] == 0x8E || c[2] == 0x8F || (c[2] >= 0xAA && c[2] <= 0xAE))) ||
	        (c[1] == 0x81 && c[2] >= 0xA6 && c[2] <= 0xA9));
}

const char *vgm_rows_text(const json_t *object, const char *name, struct vgm_buf *out)
{
	const json_t *value = json_object_get(object, name);
	struct vgm_slice s =
	    vgm_slice(json_string_value(value), json_string_length(value));
	size_t start = 0;
	vgm_buf_clear(out);
	int r = 0;
	for (size_t i = 0; r == 0 && i < s.len; i++) {
		if (!turns_text(s.data + i, s.len - i))
			continue;
		r = vgm_text_escape(vgm_slice_sub(s, start, i), VALUE_BYTES, out);
		if (r == 0)
			r = vgm_buf_add_str(out, "?");
		start = i + 3;
	}
	if (r == 0)
		r = vgm_text_escape(vgm_slice_from(s, start), VALUE_BYTES, out);
	return r < 0 ? "?" : vgm_buf_str(out);
}

void vgm_rows_size(enum vgm_lang lang, uint64_t bytes, char out[32])
{
	static const char *const units[2][5] = {
	    {"o", "Ko", "Mo", "Go", "To"}, {"B", "KB", "MB", "GB", "TB"}};
	size_t unit = 0;
	uint64_t tenths = bytes * 10;
	if (bytes > UINT64_MAX / 20)
		tenths = UINT64_MAX / 2;
	for (; tenths >= 10240 && unit < 4; unit++)
		tenths = (tenths + 512) / 1024;
	if (unit == 0 || tenths >= 1000)
		snprintf(out, 32, "%llu %s", (unsigned long long)(tenths / 10), units[lang][unit]);
	else
		snprintf(out, 32, "%llu%c%llu %s", (unsigned long long)(tenths / 10),
		    lang == VGM_FR ? ',' : '.', (unsigned long long)(tenths % 10),
		    units[lang][unit]);
}

void vgm_rows_age(enum vgm_lang lang, const char *time, uint64_t now_us, char out[32])
{
	static const struct {
		uint64_t seconds;
		const char *names[2];
	} units[] = {
	    {86400, {"j", "d"}}, {3600, {"h", "h"}}, {60, {"min", "min"}}, {1, {"s", "s"}}};
	struct tm tm = {.tm_year = 0};
	out[0] = 0;
	if (!time || !strptime(time, "%Y-%m-%dT%H:%M:%S", &tm))
		return;
	time_t then = timegm(&tm);
	uint64_t now = now_us / 1000000, age = now > (uint64_t)then ? now - (uint64_t)then : 0;
	size_t u = 0;
	/* 90 min rather than 1 h: one unit up only from twice its length. */
	while (u + 1 < VGM_ARRAY_LEN(units) && age < 2 * units[u].seconds)
		u++;
	snprintf(out, 32, "%llu %s", (unsigned long long)(age / units[u].seconds),
	    units[u].names[lang]);
}

const char *vgm_rows_status(enum vgm_lang lang, const char *status)
{
	static const struct {
		const char *name;
		enum vgm_words_id words;
	} names[] = {
	    {"queued", VGM_WORDS_status_queued},
	    {"deferred", VGM_WORDS_status_deferred},
	    {"held", VGM_WORDS_status_held},
	    {"delivered", VGM_WORDS_status_delivered},
	    {"relayed", VGM_WORDS_status_relayed},
	    {"failed", VGM_WORDS_status_failed},
	    {"expired", VGM_WORDS_status_expired},
	    {"refused", VGM_WORDS_status_refused},
	    {"removed", VGM_WORDS_status_removed},
	};
	for (size_t i = 0; status && i < VGM_ARRAY_LEN(names); i++)
		if (strcmp(status, names[i].name) == 0)
			return vgm_words(names[i].words, lang);
	return status ? status : "";
}

void vgm_rows_pad(FILE *out, const char *s, size_t width)
{
	size_t columns = 0;
	for (const char *c = s; *c; c++)
		columns += ((uint8_t)*c & 0xC0) != 0x80;
	fputs(s, out);
	for (; columns < width; columns++)
		putc(' ', out);
}

/* ---- what the rows share ---- */

static const char *word_at(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

static uint64_t number_at(const json_t *object, const char *name)
{
	json_int_t n = json_integer_value(json_object_get(object, name));
	return n < 0 ? 0 : (uint64_t)n;
}

/* "<>" is the sender of notices. */
static void put_address(FILE *out, const json_t *object, const char *name)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf text = VGM_BUF_INIT(TEXT_BYTES);
	const char *s = vgm_rows_text(object, name, &text);
	fputs(*s ? s : "<>", out);
}

/* "451 4.3.0 later (mx.example [192.0.2.1]:25, TLSv1.3)" */
static void put_reply(FILE *out, const json_t *outcome)
{
	static const char *const names[] = {"peer", "tls"};
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf text = VGM_BUF_INIT(TEXT_BYTES);
	const char *before = " (";
	fputs(vgm_rows_text(outcome, "reply", &text), out);
	for (size_t i = 0; i < VGM_ARRAY_LEN(names); i++) {
		const char *s = vgm_rows_text(outcome, names[i], &text);
		if (!*s)
			continue;
		fprintf(out, "%s%s", before, s);
		before = ", ";
	}
	if (*before == ',')
		putc(')', out);
	putc('\n', out);
}

/* ---- a list ---- */

#define AGE_COLUMNS 8
#define SIZE_COLUMNS 9
#define REFERENCE_COLUMNS 12
#define STATUS_COLUMNS 11

static void put_header(FILE *out, enum vgm_lang lang)
{
	vgm_rows_pad(out, vgm_words(VGM_WORDS_rows_reference, lang), REFERENCE_COLUMNS);
	vgm_rows_pad(out, vgm_words(VGM_WORDS_rows_age, lang), AGE_COLUMNS);
	vgm_rows_pad(out, vgm_words(VGM_WORDS_rows_size, lang), SIZE_COLUMNS);
	vgm_rows_pad(out, vgm_words(VGM_WORDS_rows_status, lang), STATUS_COLUMNS);
	fprintf(out, "%s\n", vgm_words(VGM_WORDS_rows_from_to, lang));
}

/* What stands in the way: the last word of a next hop to the first recipient
 * that is not served, or who held the message. */
static void put_trouble(FILE *out, const struct vgm_cmd_run *run, json_t *row)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf text = VGM_BUF_INIT(TEXT_BYTES);
	json_t *held = json_object_get(row, "held"), *recipient;
	size_t i;
	if (held) {
		vgm_rows_pad(out, "", REFERENCE_COLUMNS);
		fprintf(out, "%s %s\n", vgm_words(VGM_WORDS_rows_held_by, run->lang),
		    vgm_rows_text(held, "why", &text));
		return;
	}
	json_array_foreach(json_object_get(row, "recipients"), i, recipient) {
		const char *status = word_at(recipient, "status");
		const json_t *last = json_object_get(recipient, "last");
		if (!last || !status || strcmp(status, "delivered") == 0 ||
		    strcmp(status, "relayed") == 0 || !word_at(last, "reply"))
			continue;
		vgm_rows_pad(out, "", REFERENCE_COLUMNS);
		put_reply(out, last);
		return;
	}
}

int vgm_rows_message(void *context, const struct vgm_cmd_run *run, json_t *row, int fd)
{
	struct vgm_rows_list *list = context;
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf text = VGM_BUF_INIT(TEXT_BYTES);
	char age[32], size[32];
	json_t *recipients = json_object_get(row, "recipients");
	if (fd >= 0)
		close(fd);
	if (list->count++ == 0)
		put_header(list->out, run->lang);
	vgm_rows_pad(list->out, vgm_rows_text(row, "reference", &text), REFERENCE_COLUMNS);
	vgm_rows_age(run->lang, word_at(row, "time"), list->now_us, age);
	vgm_rows_pad(list->out, age, AGE_COLUMNS);
	vgm_rows_size(run->lang, number_at(row, "size"), size);
	vgm_rows_pad(list->out, size, SIZE_COLUMNS);
	vgm_rows_pad(
	    list->out, vgm_rows_status(run->lang, word_at(row, "status")), STATUS_COLUMNS);
	put_address(list->out, row, "sender");
	fputs(" → ", list->out);
	put_address(list->out, json_array_get(recipients, 0), "address");
	if (json_array_size(recipients) > 1)
		fprintf(list->out, " (+%zu)", json_array_size(recipients) - 1);
	putc('\n', list->out);
	put_trouble(list->out, run, row);
	return VGM_EXIT_OK;
}

/* ---- one message ---- */

#define LABEL_COLUMNS 14

static void put_label(FILE *out, const struct vgm_cmd_run *run, enum vgm_words_id words)
{
	fputs("  ", out);
	vgm_rows_pad(out, vgm_words(words, run->lang), LABEL_COLUMNS);
}

/* "2026-11-23 21:30:05 UTC (3 min)" */
static void put_time(const struct vgm_rows_list *list, const struct vgm_cmd_run *run,
    const char *time)
{
	char age[32];
	if (!time || strlen(time) < 19)
		return;
	vgm_rows_age(run->lang, time, list->now_us, age);
	fprintf(list->out, "%.10s %.8s UTC (%s)", time, time + 11, age);
}

static void put_attempt(
    const struct vgm_rows_list *list, const struct vgm_cmd_run *run, const json_t *outcome)
{
	fprintf(list->out, "      %llu. ", (unsigned long long)number_at(outcome, "attempt"));
	put_time(list, run, word_at(outcome, "time"));
	fprintf(list->out, " %s: ", vgm_rows_status(run->lang, word_at(outcome, "status")));
	put_reply(list->out, outcome);
}

static void put_recipient(
    const struct vgm_rows_list *list, const struct vgm_cmd_run *run, json_t *recipient)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf text = VGM_BUF_INIT(TEXT_BYTES);
	json_t *outcome;
	size_t i;
	fputs("  → ", list->out);
	put_address(list->out, recipient, "address");
	fprintf(list->out, ": %s", vgm_rows_status(run->lang, word_at(recipient, "status")));
	fprintf(list->out, " (%s", vgm_rows_text(recipient, "route", &text));
	const char *reason = vgm_rows_text(recipient, "reason", &text);
	fprintf(list->out, "%s%s)\n", *reason ? "; " : "", reason);
	json_array_foreach(json_object_get(recipient, "history"), i, outcome)
		put_attempt(list, run, outcome);
}

static void put_head(
    const struct vgm_rows_list *list, const struct vgm_cmd_run *run, const json_t *row)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf text = VGM_BUF_INIT(TEXT_BYTES);
	FILE *out = list->out;
	char size[32];
	bool notice = word_at(row, "type") && strcmp(word_at(row, "type"), "notice") == 0;
	fprintf(out, "%s%s %s\n", list->count > 1 ? "\n" : "",
	    vgm_words(notice ? VGM_WORDS_rows_notice : VGM_WORDS_rows_message, run->lang),
	    vgm_rows_text(row, "id", &text));
	put_label(out, run, VGM_WORDS_rows_accepted);
	put_time(list, run, word_at(row, "time"));
	vgm_rows_size(run->lang, number_at(row, "size"), size);
	const char *door = vgm_rows_text(row, "door", &text);
	fprintf(out, ", %s%s%s", size, *door ? ", " : "", door);
	const char *machine = vgm_rows_text(row, "machine", &text);
	fprintf(out, *machine ? " (%s)\n" : "%s\n", machine);
	put_label(out, run, VGM_WORDS_rows_sender);
	put_address(out, row, "sender");
	putc('\n', out);
	put_label(out, run, VGM_WORDS_rows_state);
	fprintf(out, "%s\n", vgm_rows_status(run->lang, word_at(row, "status")));
	const json_t *held = json_object_get(row, "held");
	if (held) {
		put_label(out, run, VGM_WORDS_rows_held_by);
		fprintf(out, "%s, ", vgm_rows_text(held, "why", &text));
		put_time(list, run, word_at(held, "since"));
		putc('\n', out);
	}
	if (word_at(row, "related")) {
		put_label(out, run, VGM_WORDS_rows_related);
		fprintf(out, "%s\n", vgm_rows_text(row, "related", &text));
	}
}

int vgm_rows_track(void *context, const struct vgm_cmd_run *run, json_t *row, int fd)
{
	struct vgm_rows_list *list = context;
	json_t *recipient;
	size_t i;
	if (fd >= 0)
		close(fd);
	/* The rest of a long list of recipients has the head of the first row. */
	if (!list->inside) {
		list->count++;
		put_head(list, run, row);
	}
	list->inside = json_is_true(json_object_get(row, "continued"));
	json_array_foreach(json_object_get(row, "recipients"), i, recipient)
		put_recipient(list, run, recipient);
	return VGM_EXIT_OK;
}
