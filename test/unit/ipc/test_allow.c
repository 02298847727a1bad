/* SPDX-License-Identifier: EUPL-1.2
 * Tests of ipc/allow.h: the order in which roles may block has no cycle
 * (rule 11), and every message between processes has a row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ipc/allow.h"
#include "ipc/codec.h"

/* Longest chain of waits from a role; fails when it is longer than there are roles. */
static int waits_from(enum vgm_role_id role, int depth)
{
	int longest = depth;
	assert_true(depth < VGM_ROLE_COUNT);
	for (const struct vgm_allow *row = vgm_allow_table; row->type; row++)
		if (row->from == role && (row->flags & VGM_ALLOW_WAITS)) {
			int n = waits_from(row->to, depth + 1);
			longest = n > longest ? n : longest;
		}
	return longest;
}

static void test_no_cycle(void **state)
{
	(void)state;
	for (int role = 1; role < VGM_ROLE_COUNT; role++)
		(void)waits_from((enum vgm_role_id)role, 0);
	/* keyd and ledgerd block on nobody. */
	assert_int_equal(waits_from(VGM_ROLE_KEYD, 0), 0);
	assert_int_equal(waits_from(VGM_ROLE_LEDGERD, 0), 0);
}

static void test_every_message_has_a_row(void **state)
{
	(void)state;
	for (int type = 1; type < 200; type++) {
		bool found = false;
		for (const struct vgm_allow *row = vgm_allow_table; row->type; row++)
			found = found || row->type == type;
		assert_int_equal(found, vgm_msg_name(type) != NULL);
	}
}

static void test_no_row_twice(void **state)
{
	(void)state;
	for (const struct vgm_allow *a = vgm_allow_table; a->type; a++) {
		assert_ptr_equal(vgm_allow_find(a->from, a->to, a->type), a);
		assert_int_not_equal(a->from, a->to);
		assert_true(a->type < 200); /* parts of records never travel alone */
	}
}

/* What a taken-over process would ask for first. */
static void test_forbidden(void **state)
{
	(void)state;
	static const struct {
		enum vgm_role_id from, to;
		int type;
	} cases[] = {
	    {VGM_ROLE_ADMIT, VGM_ROLE_KEYD, VGM_MSG_unwrap},
	    {VGM_ROLE_SMTPD, VGM_ROLE_LEDGERD, VGM_MSG_append},
	    {VGM_ROLE_SMTPD, VGM_ROLE_KEYD, VGM_MSG_wrap},
	    {VGM_ROLE_RELAYD, VGM_ROLE_KEYD, VGM_MSG_unwrap},
	    {VGM_ROLE_VIEWD, VGM_ROLE_KEYD, VGM_MSG_job},
	    {VGM_ROLE_RENDER, VGM_ROLE_KEYD, VGM_MSG_job},
	    {VGM_ROLE_SHOW, VGM_ROLE_LEDGERD, VGM_MSG_append},
	    {VGM_ROLE_RESOLVERD, VGM_ROLE_KEYD, VGM_MSG_lend},
	    {VGM_ROLE_CONTROL, VGM_ROLE_LEDGERD, VGM_MSG_schedule_act},
	    {VGM_ROLE_ADMIT, VGM_ROLE_MASTER, VGM_MSG_strike},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++)
		assert_null(vgm_allow_find(cases[i].from, cases[i].to, cases[i].type));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_no_cycle),
	    cmocka_unit_test(test_every_message_has_a_row),
	    cmocka_unit_test(test_no_row_twice),
	    cmocka_unit_test(test_forbidden),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
