/* SPDX-License-Identifier: EUPL-1.2
 * log/log.c — see log.h.
 *
 * Every addition is tried on the line and taken back when it does not fit, so
 * a line is a whole JSON object whatever its fields hold. The buffer of the last
 * line is kept for the next one: a busy process allocates none. */
#include "log/log.h"

#include <arpa/inet.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

/* Room at the end of a line for what vgm_log_end adds. */
#define TAIL_BYTES 16
#define CAUSES 64

struct cause {
	const char *event; /* static text, compared by content */
	uint64_t since_ms; /* when the tokens were last counted */
	uint32_t tokens;   /* thousandths of a line */
	uint64_t suppressed;
};

static struct {
	const char *source;
	enum vgm_log_level max;
	bool personal;
	vgm_log_sink *sink;
	void *context;
	struct vgm_buf spare;
	struct cause causes[CAUSES];
} process;

static const char *const level_names[] = {"", "error", "warning", "info", "debug"};

void vgm_log_setup(const char *source, enum vgm_log_level max, bool personal_data,
    vgm_log_sink *sink, void *context)
{
	process.source = source;
	process.max = max;
	process.personal = personal_data;
	process.sink = sink;
	process.context = context;
}

void vgm_log_to_stderr(void *context, enum vgm_log_level level, struct vgm_slice line)
{
	(void)context;
	(void)level;
	char whole[VGM_LOG_LINE_BYTES + 1];
	size_t n = vgm_min_size(line.len, VGM_LOG_LINE_BYTES);
	memcpy(whole, line.data, n);
	whole[n] = '\n';
	ssize_t written = write(STDERR_FILENO, whole, n + 1);
	(void)written; /* there is nowhere left to say that stderr is gone */
}

bool vgm_log_level_parse(const char *name, enum vgm_log_level *out)
{
	for (size_t i = VGM_LOG_ERROR; i < VGM_ARRAY_LEN(level_names); i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*out = (enum vgm_log_level)i;
			return true;
		}
	}
	return false;
}

const char *vgm_log_level_name(enum vgm_log_level level)
{
	return (size_t)level < VGM_ARRAY_LEN(level_names) ? level_names[level] : "";
}

/* ---- rate ---- */

/* The event's slot, or the slot that was idle longest. */
static struct cause *cause_of(const char *event, uint64_t now_ms)
{
	struct cause *idle = &process.causes[0];
	for (size_t i = 0; i < CAUSES; i++) {
		struct cause *c = &process.causes[i];
		if (c->event && strcmp(c->event, event) == 0)
			return c;
		if (!c->event || (idle->event && c->since_ms < idle->since_ms))
			idle = c;
		if (!c->event)
			break;
	}
	*idle = (struct cause){event, now_ms, VGM_LOG_BURST * 1000u, 0};
	return idle;
}

/* True when a line may pass; *out_suppressed = how many did not, before it. */
static bool pass(const char *event, uint64_t *out_suppressed)
{
	uint64_t now = vgm_clock_mono_ms();
	struct cause *c = cause_of(event, now);
	uint64_t earned = (now - c->since_ms) * VGM_LOG_PER_SECOND;
	c->tokens = (uint32_t)(earned > VGM_LOG_BURST * 1000u - c->tokens
	        ? VGM_LOG_BURST * 1000u
	        : c->tokens + earned);
	c->since_ms = now;
	if (c->tokens < 1000u) {
		c->suppressed++;
		return false;
	}
	c->tokens -= 1000u;
	*out_suppressed = c->suppressed;
	c->suppressed = 0;
	return true;
}

/* ---- JSON ---- */

/* Appends s as the inside of a JSON string. */
static int add_escaped(struct vgm_buf *out, struct vgm_slice s)
{
	int r = 0;
	for (size_t i = 0; i < s.len && r == 0;) {
		uint8_t c = s.data[i];
		size_t n = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
		if (c == '"' || c == '\\') {
			r = vgm_buf_addf(out, "\\%c", c);
		} else if (c < 0x20 || c == 0x7F) {
			r = vgm_buf_addf(out, "\\u%04x", c);
		} else if (c == 0xC2 && s.len - i > 1 && (s.data[i + 1] & 0xE0) == 0x80) {
			r = vgm_buf_addf(
			    out, "\\u%04x", s.data[i + 1]); /* C1 moves terminals too */
		} else if (n <= s.len - i && vgm_utf8_valid(vgm_slice_sub(s, i, i + n))) {
			r = vgm_buf_add(out, s.data + i, n);
		} else {
			r = vgm_buf_add_str(out, "\\ufffd");
			n = 1;
		}
		i += n;
	}
	return r;
}

/* Cut between characters, at most VGM_LOG_VALUE_BYTES. */
static size_t cut_at(struct vgm_slice s)
{
	size_t n = vgm_min_size(s.len, VGM_LOG_VALUE_BYTES);
	while (n < s.len && n > VGM_LOG_VALUE_BYTES - 4 && (s.data[n] & 0xC0) == 0x80)
		n--;
	return n;
}

static int add_string(struct vgm_buf *out, const char *name, struct vgm_slice s)
{
	size_t n = cut_at(s);
	int r = vgm_buf_addf(out, ",\"%s\":\"", name);
	if (r == 0)
		r = add_escaped(out, vgm_slice_sub(s, 0, n));
	return r ? r : vgm_buf_add_str(out, n < s.len ? "...\"" : "\"");
}

/* Keeps what was added since mark, or takes it back when it did not fit. */
static void settle(struct vgm_log_line *l, size_t mark, int r)
{
	if (r == 0 && l->out.len <= VGM_LOG_LINE_BYTES - TAIL_BYTES)
		return;
	vgm_buf_truncate(&l->out, mark);
	l->cut = true;
}

/* ---- a line ---- */

static void start(struct vgm_log_line *l, enum vgm_log_level level, const char *event, bool limited)
{
	uint64_t suppressed = 0;
	*l = (struct vgm_log_line){VGM_BUF_INIT(VGM_LOG_LINE_BYTES), level, false, false};
	l->off = !process.sink || level > process.max || (limited && !pass(event, &suppressed));
	if (l->off)
		return;
	if (process.spare.data) {
		l->out = process.spare;
		process.spare = (struct vgm_buf)VGM_BUF_INIT(VGM_LOG_LINE_BYTES);
	}
	int r = vgm_buf_add_str(&l->out, "{\"at\":\"");
	if (r == 0)
		r = vgm_date_rfc3339(vgm_clock_wall_us(), &l->out);
	if (r == 0)
		r = vgm_buf_addf(&l->out, "\",\"level\":\"%s\",\"source\":\"%s\",\"event\":\"%s\"",
		    level_names[level], process.source, event);
	VGM_BUG_ON(r != 0); /* names are ours and short */
	if (suppressed)
		vgm_log_u64(l, "suppressed", suppressed);
}

void vgm_log_start(struct vgm_log_line *l, enum vgm_log_level level, const char *event)
{
	start(l, level, event, level <= VGM_LOG_WARNING);
}

void vgm_log_start_limited(struct vgm_log_line *l, enum vgm_log_level level, const char *event)
{
	start(l, level, event, true);
}

void vgm_log_end(struct vgm_log_line *l)
{
	if (l->off)
		return;
	int r = vgm_buf_add_str(&l->out, l->cut ? ",\"cut\":true}" : "}");
	VGM_BUG_ON(r != 0); /* TAIL_BYTES are kept for it */
	process.sink(process.context, l->level, vgm_buf_slice(&l->out));
	vgm_buf_clear(&l->out);
	vgm_buf_release(&process.spare);
	process.spare = l->out;
	l->out = (struct vgm_buf)VGM_BUF_INIT(VGM_LOG_LINE_BYTES);
	l->off = true;
}

void vgm_log_str(struct vgm_log_line *l, const char *name, struct vgm_slice value)
{
	if (l->off)
		return;
	size_t mark = l->out.len;
	settle(l, mark, add_string(&l->out, name, value));
}

void vgm_log_text(struct vgm_log_line *l, const char *name, const char *value)
{
	vgm_log_str(l, name, vgm_slice_str(value));
}

void vgm_log_u64(struct vgm_log_line *l, const char *name, uint64_t value)
{
	if (l->off)
		return;
	size_t mark = l->out.len;
	settle(l, mark, vgm_buf_addf(&l->out, ",\"%s\":%llu", name, (unsigned long long)value));
}

void vgm_log_flag(struct vgm_log_line *l, const char *name, bool value)
{
	if (l->off)
		return;
	size_t mark = l->out.len;
	settle(l, mark, vgm_buf_addf(&l->out, ",\"%s\":%s", name, value ? "true" : "false"));
}

void vgm_log_hex(struct vgm_log_line *l, const char *name, const void *bytes, size_t len)
{
	if (l->off)
		return;
	size_t mark = l->out.len;
	int r = vgm_buf_addf(&l->out, ",\"%s\":\"", name);
	if (r == 0)
		r = vgm_hex_encode(vgm_slice(bytes, len), &l->out);
	settle(l, mark, r ? r : vgm_buf_add_byte(&l->out, '"'));
}

void vgm_log_ip(struct vgm_log_line *l, const char *name, const uint8_t ip[16])
{
	static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};
	char text[INET6_ADDRSTRLEN] = "";
	bool v4 = memcmp(ip, mapped, sizeof(mapped)) == 0;
	inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? ip + 12 : ip, text, sizeof(text));
	vgm_log_text(l, name, text);
}

void vgm_log_err(struct vgm_log_line *l, const struct vgm_err *err)
{
	vgm_log_text(l, "error", vgm_err_name(err->code));
	if (err->sys_errno)
		vgm_log_u64(l, "errno", (uint64_t)err->sys_errno);
	vgm_log_text(l, "detail", err->text);
}

void vgm_log_address(struct vgm_log_line *l, const char *name, struct vgm_slice address)
{
	if (l->off || process.personal || address.len == 0) {
		vgm_log_str(l, name, address);
		return;
	}
	struct vgm_buf masked = VGM_BUF_INIT(VGM_LOG_LINE_BYTES);
	bool fits = vgm_text_mask_address(address, &masked) == 0;
	vgm_log_str(l, name, fits ? vgm_buf_slice(&masked) : VGM_SLICE_LIT("***"));
	vgm_buf_release(&masked);
}

void vgm_log_personal(struct vgm_log_line *l, const char *name, struct vgm_slice value)
{
	vgm_log_str(l, name,
	    process.personal || value.len == 0 ? value : VGM_SLICE_LIT("***"));
}
