/* SPDX-License-Identifier: EUPL-1.2
 * Tests of view/filter.c: what people type. */
#include "play.h"

static const struct {
	const char *term;
	enum vgm_view_term result;
	const char *from, *to, *party;
	uint64_t after_ms, before_ms;
	uint32_t states;
	const char *id_min, *id_max; /* first and last byte range, in hex */
} cases[] = {
    {"from:a@b.example", VGM_VIEW_TERM_OK, "a@b.example", NULL, NULL, 0, 0, 0, NULL, NULL},
    {"FROM:a", VGM_VIEW_TERM_OK, "a", NULL, NULL, 0, 0, 0, NULL, NULL},
    {"to:@b.example", VGM_VIEW_TERM_OK, NULL, "@b.example", NULL, 0, 0, 0, NULL, NULL},
    {"to:", VGM_VIEW_TERM_UNKNOWN, NULL, NULL, NULL, 0, 0, 0, NULL, NULL},
    {"from:a:b", VGM_VIEW_TERM_OK, "a:b", NULL, NULL, 0, 0, 0, NULL, NULL},
    {"dupont", VGM_VIEW_TERM_OK, NULL, NULL, "dupont", 0, 0, 0, NULL, NULL},
    {"a@b.example", VGM_VIEW_TERM_OK, NULL, NULL, "a@b.example", 0, 0, 0, NULL, NULL},
    {"a@[IPv6:::1]", VGM_VIEW_TERM_OK, NULL, NULL, "a@[IPv6:::1]", 0, 0, 0, NULL, NULL},
    {"", VGM_VIEW_TERM_UNKNOWN, NULL, NULL, NULL, 0, 0, 0, NULL, NULL},
    {"subject:facture", VGM_VIEW_TERM_UNKNOWN, NULL, NULL, NULL, 0, 0, 0, NULL, NULL},
    {":", VGM_VIEW_TERM_UNKNOWN, NULL, NULL, NULL, 0, 0, 0, NULL, NULL},
    /* dates */
    {"after:1970-01-02", VGM_VIEW_TERM_OK, NULL, NULL, NULL, 86400000, 0, 0, NULL, NULL},
    {"before:2026-11-23", VGM_VIEW_TERM_OK, NULL, NULL, NULL, 0, 1795392000000, 0, NULL, NULL},
    {"before:2026-11-23T21:30", VGM_VIEW_TERM_OK, NULL, NULL, NULL, 0, 1795469400000, 0, NULL,
        NULL},
    {"after:2024-02-29T23:59:59Z", VGM_VIEW_TERM_OK, NULL, NULL, NULL, 1709251199000, 0, 0, NULL,
        NULL},
    {"after:2000-03-01 00:00:00", VGM_VIEW_TERM_OK, NULL, NULL, NULL, 951868800000, 0, 0, NULL,
        NULL},
    {"after:2023-02-29", VGM_VIEW_TERM_DATE, NULL, NULL, NULL, 0, 0, 0, NULL, NULL},
    {"after:2100-02-29", VGM_VIEW_TERM_DATE, NULL, NULL, NULL, 0, 0, 0, NULL, NULL},
    {"after:2026-13-01", VGM_VIEW_TERM_DATE, NULL, NULL, NULL, 0, 0, 0, NULL, NULL},
    {"after:2026-00-01", VGM_VIEW_TERM_DATE, NULL, NULL, NULL, 0, 0, 0, NULL, NULL},
    {"after:2026-01-32", VGM_VIEW_TERM_DATE, NULL, NULL, NULL, 0, 0, 0, NULL, NULL},
    {"after:1969-12-31", VGM_VIEW_TERM_DATE, NULL, NULL, NULL, 0, 0, 0, NULL, NULL},
    {"after:26-11-23", VGM_VIEW_TERM_DATE, NULL, NULL, NULL, 0, 0, 0, NULL, NULL},
    {"after:2026-11-23T24:00", VGM_VIEW_TERM_DATE, NULL, NULL, NULL, 0, 0, 0, NULL, NULL},
    {"after:2026-11-23T2:00", VGM_VIEW_TERM_DATE, NULL, NULL, NULL, 0, 0, 0, NULL, NULL},
    {"after:2026-11-23x21:00", VGM_VIEW_TERM_DATE, NULL, NULL, NULL, 0, 0, 0, NULL, NULL},
    {"before:yesterday", VGM_VIEW_TERM_DATE, NULL, NULL, NULL, 0, 0, 0, NULL, NULL},
    {"before:Z", VGM_VIEW_TERM_DATE, NULL, NULL, NULL, 0, 0, 0, NULL, NULL},
    /* states */
    {"status:held", VGM_VIEW_TERM_OK, NULL, NULL, NULL, 0, 0, 1u << VGM_VIEW_HELD, NULL, NULL},
    {"status:Delivered", VGM_VIEW_TERM_OK, NULL, NULL, NULL, 0, 0, 1u << VGM_VIEW_DELIVERED, NULL,
        NULL},
    {"status:lost", VGM_VIEW_TERM_STATUS, NULL, NULL, NULL, 0, 0, 0, NULL, NULL},
    {"status:?", VGM_VIEW_TERM_STATUS, NULL, NULL, NULL, 0, 0, 0, NULL, NULL},
    /* ids */
    {"0123ab", VGM_VIEW_TERM_OK, NULL, NULL, NULL, 0, 0, 0, "0123ab00000000000000000000000000",
        "0123abffffffffffffffffffffffffff"},
    {"id:0123ABC", VGM_VIEW_TERM_OK, NULL, NULL, NULL, 0, 0, 0, "0123abc0000000000000000000000000",
        "0123abcfffffffffffffffffffffffff"},
    {"0123456789", VGM_VIEW_TERM_OK, NULL, NULL, NULL, 0, 0, 0, "01234567890000000000000000000000",
        "0123456789ffffffffffffffffffffff"},
    {"00112233445566778899aabbccddeeff", VGM_VIEW_TERM_OK, NULL, NULL, NULL, 0, 0, 0,
        "00112233445566778899aabbccddeeff", "00112233445566778899aabbccddeeff"},
    {"id:01234", VGM_VIEW_TERM_ID, NULL, NULL, NULL, 0, 0, 0, NULL, NULL},
    {"id:012g456", VGM_VIEW_TERM_ID, NULL, NULL, NULL, 0, 0, 0, NULL, NULL},
    {"id:00112233445566778899aabbccddeeff0", VGM_VIEW_TERM_ID, NULL, NULL, NULL, 0, 0, 0, NULL,
        NULL},
    {"01234", VGM_VIEW_TERM_OK, NULL, NULL, "01234", 0, 0, 0, NULL, NULL},
};

static void expect_text(const char *term, struct vgm_slice got, const char *expected)
{
	if (!vgm_slice_eq(got, expected ? vgm_slice_str(expected) : VGM_SLICE_NONE))
		fail_msg("%s: \"%.*s\"", term, VGM_SLICE_ARG(got));
}

static void expect_id(const char *term, const uint8_t id[16], const char *expected)
{
	char hex[33];
	for (size_t i = 0; i < 16; i++)
		snprintf(hex + 2 * i, 3, "%02x", id[i]);
	if (strcmp(hex, expected) != 0)
		fail_msg("%s: %s", term, hex);
}

static void test_terms(void **state)
{
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_view_filter filter = {.source = VGM_VIEW_FROM_ALL};
		const char *term = cases[i].term;
		enum vgm_view_term got = vgm_view_filter_add(&filter, vgm_slice_str(term));
		if (got != cases[i].result)
			fail_msg("%s: result %d", term, got);
		expect_text(term, filter.from, cases[i].from);
		expect_text(term, filter.to, cases[i].to);
		expect_text(term, filter.party, cases[i].party);
		if (filter.after_ms != cases[i].after_ms || filter.before_ms != cases[i].before_ms)
			fail_msg("%s: %llu %llu", term, (unsigned long long)filter.after_ms,
			    (unsigned long long)filter.before_ms);
		assert_int_equal(filter.states, cases[i].states);
		assert_int_equal(filter.by_id, cases[i].id_min != NULL);
		if (cases[i].id_min) {
			expect_id(term, filter.id_min, cases[i].id_min);
			expect_id(term, filter.id_max, cases[i].id_max);
		}
	}
}

static void test_terms_add_up(void **state)
{
	(void)state;
	struct vgm_view_filter f = {.source = VGM_VIEW_FROM_ALL};
	assert_int_equal(vgm_view_filter_add(&f, VGM_SLICE_LIT("status:held")), 0);
	assert_int_equal(vgm_view_filter_add(&f, VGM_SLICE_LIT("status:queued")), 0);
	assert_int_equal(vgm_view_filter_add(&f, VGM_SLICE_LIT("from:x")), 0);
	assert_int_equal(f.states, 1u << VGM_VIEW_HELD | 1u << VGM_VIEW_QUEUED);
	assert_true(f.from.len == 1);
}

static void test_long_term(void **state)
{
	(void)state;
	uint8_t term[VGM_VIEW_TERM_BYTES + 1];
	struct vgm_view_filter f = {.source = VGM_VIEW_FROM_ALL};
	memset(term, 'x', sizeof term);
	assert_int_equal(vgm_view_filter_add(&f, vgm_slice(term, sizeof term)), VGM_VIEW_TERM_LONG);
	assert_int_equal(
	    vgm_view_filter_add(&f, vgm_slice(term, sizeof term - 1)), VGM_VIEW_TERM_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_terms),
	    cmocka_unit_test(test_terms_add_up),
	    cmocka_unit_test(test_long_term),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
