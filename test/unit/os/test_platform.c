/* SPDX-License-Identifier: EUPL-1.2
 * Tests of os/platform.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "os/platform.h"

#define HEADING "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"

static bool vouches(const char *name)
{
	return strcmp(name, "/dev/dm-1") == 0 || strcmp(name, "/dev/zram0") == 0;
}

static void test_swaps(void **state)
{
	(void)state;
	static const struct {
		const char *text, *found;
	} cases[] = {
	    {"", ""},
	    {HEADING, ""},
	    {HEADING "/dev/dm-1                               partition\t998396\t0\t-2\n", ""},
	    {HEADING "/dev/zram0 partition 1 0 100\n/dev/dm-1 partition 1 0 -2", ""},
	    {HEADING "/dev/sda2                               partition\t998396\t12\t-2\n",
	        "/dev/sda2"},
	    {HEADING "/dev/dm-1 partition 1 0 -2\n/swap\\040file\tfile\t1\t0\t-3\n/dev/sdb1 x\n",
	        "/swap\\040file, /dev/sdb1"},
	    {"no newline at all", ""},
	    {HEADING "\n\n", ""},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_buf out = VGM_BUF_INIT(1000);
		assert_int_equal(
		    vgm_platform_swaps(vgm_slice_str(cases[i].text), vouches, &out), 0);
		assert_string_equal(vgm_buf_str(&out), cases[i].found);
		vgm_buf_release(&out);
	}
}

static void test_limit(void **state)
{
	(void)state;
	struct vgm_buf out = VGM_BUF_INIT(4);
	assert_int_equal(
	    vgm_platform_swaps(VGM_SLICE_LIT(HEADING "/dev/sda2 x\n"), vouches, &out), VGM_E_LIMIT);
	vgm_buf_release(&out);
}

/* Whatever this machine has: an answer, not a failure. */
static void test_this_machine(void **state)
{
	(void)state;
	struct vgm_err err;
	struct vgm_buf out = VGM_BUF_INIT(4000);
	assert_int_equal(vgm_platform_swap_in_clear(&out, &err), 0);
	vgm_buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_swaps),
	    cmocka_unit_test(test_limit),
	    cmocka_unit_test(test_this_machine),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
