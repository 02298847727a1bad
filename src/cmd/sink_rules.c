/* SPDX-License-Identifier: EUPL-1.2
 * cmd/sink_rules.c — answers on order: see sink.h. */
#include <stdio.h>

#include "base/text.h"
#include "cmd/sink.h"
#include "conf/conf.h"

static const char *const stages[] = {"CONNECT", "MAIL", "RCPT", "DATA"};

/* The next word, taken off text. */
static struct vgm_slice take_word(struct vgm_slice *text)
{
	*text = vgm_slice_trim(*text);
	size_t end = vgm_slice_find(*text, ' ');
	struct vgm_slice word = vgm_slice_sub(*text, 0, end);
	*text = vgm_slice_from(*text, end);
	return word;
}

static bool copy_word(char *out, size_t bytes, struct vgm_slice word)
{
	if (word.len >= bytes)
		return false;
	memcpy(out, word.data, word.len);
	out[word.len] = '\0';
	return true;
}

/* "first 3", "for 60s", both in any order. */
static bool parse_limits(struct vgm_slice text, struct vgm_sink_rule *rule)
{
	while (vgm_slice_trim(text).len > 0) {
		struct vgm_slice what = take_word(&text), value = take_word(&text);
		if (vgm_slice_eq(what, VGM_SLICE_LIT("first"))) {
			if (!vgm_slice_to_u64(value, UINT64_MAX - 1, &rule->first))
				return false;
		} else if (!vgm_slice_eq(what, VGM_SLICE_LIT("for")) ||
		    vgm_conf_read_time(value, &rule->for_ms) < 0) {
			return false;
		}
	}
	return true;
}

/* "STAGE [PATTERN] [LIMITS]" */
static bool parse_when(struct vgm_slice text, struct vgm_sink_rule *rule)
{
	struct vgm_slice word = take_word(&text);
	size_t i = 0;
	while (i < VGM_ARRAY_LEN(stages) && !vgm_slice_eq_nocase(word, vgm_slice_str(stages[i])))
		i++;
	if (i == VGM_ARRAY_LEN(stages))
		return false;
	rule->stage = (enum vgm_sink_stage)i;
	struct vgm_slice rest = text;
	word = take_word(&rest);
	bool is_pattern =
	    vgm_slice_find(word, '@') < word.len || vgm_slice_eq(word, VGM_SLICE_LIT("*"));
	if (is_pattern)
		text = rest;
	return copy_word(
		   rule->pattern, sizeof(rule->pattern), is_pattern ? word : VGM_SLICE_LIT("*")) &&
	       parse_limits(text, rule);
}

/* "450 4.2.1": a code of 4xx or 5xx, an enhanced code of the same class. */
static bool parse_reply(struct vgm_slice text, struct vgm_sink_rule *rule)
{
	uint64_t code;
	struct vgm_slice word = take_word(&text);
	if (word.len != 3 || !vgm_slice_to_u64(word, 599, &code) || code < 400)
		return false;
	rule->code = (unsigned)code;
	struct vgm_slice enhanced = take_word(&text);
	if (enhanced.len == 0)
		enhanced = code < 500 ? VGM_SLICE_LIT("4.0.0") : VGM_SLICE_LIT("5.0.0");
	for (size_t i = 0; i < enhanced.len; i++)
		if (!vgm_is_digit(enhanced.data[i]) && enhanced.data[i] != '.')
			return false;
	return enhanced.data[0] == word.data[0] && vgm_slice_trim(text).len == 0 &&
	    copy_word(rule->enhanced, sizeof(rule->enhanced), enhanced);
}

int vgm_sink_rule_parse(struct vgm_slice text, struct vgm_sink_rule *out)
{
	struct vgm_sink_rule rule = {.first = UINT64_MAX, .for_ms = UINT64_MAX};
	size_t equals = vgm_slice_find(text, '=');
	if (equals == text.len || !parse_when(vgm_slice_sub(text, 0, equals), &rule) ||
	    !parse_reply(vgm_slice_from(text, equals + 1), &rule))
		return VGM_E_INVALID;
	*out = rule;
	return 0;
}

static bool matches(const struct vgm_sink_rule *rule, struct vgm_slice address)
{
	struct vgm_slice pattern = vgm_slice_str(rule->pattern);
	if (vgm_slice_eq(pattern, VGM_SLICE_LIT("*")))
		return true;
	if (pattern.data[0] == '@')
		address = vgm_slice_from(address, vgm_slice_rfind(address, '@'));
	return vgm_slice_eq_nocase(pattern, address);
}

const struct vgm_sink_rule *vgm_sink_rule_take(struct vgm_sink_rule *rules, size_t count,
    enum vgm_sink_stage stage, struct vgm_slice address, uint64_t elapsed_ms)
{
	for (size_t i = 0; i < count; i++) {
		struct vgm_sink_rule *rule = &rules[i];
		if (rule->stage != stage || rule->first == 0 || elapsed_ms >= rule->for_ms ||
		    !matches(rule, address))
			continue;
		if (rule->first != UINT64_MAX)
			rule->first--;
		return rule;
	}
	return NULL;
}
