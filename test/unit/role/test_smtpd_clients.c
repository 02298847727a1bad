/* SPDX-License-Identifier: EUPL-1.2
 * role/smtpd_clients: who is who, counts, and what is forgotten when. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/addr.h"
#include "role/smtpd_clients.h"

static struct vgm_smtpd_client *enter(struct vgm_smtpd_clients *c, const char *ip)
{
	uint8_t bytes[16];
	assert_int_equal(vgm_ip_parse(vgm_slice_str(ip), bytes, NULL), 0);
	return vgm_smtpd_clients_enter(c, bytes);
}

static void test_who_is_who(void **state)
{
	(void)state;
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = {{"192.0.2.1", "192.0.2.1", true}, {"192.0.2.1", "192.0.2.2", false},
	    {"192.0.2.1", "::ffff:192.0.2.1", true}, {"2001:db8::1", "2001:db8::ffff:1", true},
	    {"2001:db8::1", "2001:db8:0:1::1", false}};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_smtpd_clients *c = vgm_smtpd_clients_new();
		struct vgm_smtpd_client *a = enter(c, cases[i].a), *b = enter(c, cases[i].b);
		assert_int_equal(a == b, cases[i].same);
		assert_int_equal(a->sessions, cases[i].same ? 2 : 1);
		assert_int_equal(vgm_smtpd_clients_count(c), cases[i].same ? 1 : 2);
		vgm_smtpd_clients_leave(c, &a);
		vgm_smtpd_clients_leave(c, &b);
		vgm_smtpd_clients_leave(c, &b);
		assert_null(a);
		assert_int_equal(vgm_smtpd_clients_count(c), 0);
		vgm_smtpd_clients_free(&c);
	}
}

static void test_many(void **state)
{
	(void)state;
	struct vgm_smtpd_clients *c = vgm_smtpd_clients_new();
	static struct vgm_smtpd_client *all[5000];
	for (uint32_t i = 0; i < 5000; i++) {
		uint8_t ip[16] = {0x20, 1, [4] = (uint8_t)(i >> 8), [5] = (uint8_t)i};
		all[i] = vgm_smtpd_clients_enter(c, ip);
		assert_int_equal(all[i]->sessions, 1);
	}
	assert_int_equal(vgm_smtpd_clients_count(c), 5000);
	for (size_t i = 0; i < 5000; i += 2)
		vgm_smtpd_clients_leave(c, &all[i]);
	assert_int_equal(vgm_smtpd_clients_count(c), 2500);
	vgm_smtpd_clients_free(&c); /* the others with it */
}

static void test_wrong_logins(void **state)
{
	(void)state;
	struct vgm_smtpd_clients *c = vgm_smtpd_clients_new();
	struct vgm_smtpd_client *a = enter(c, "192.0.2.1");
	uint64_t now = 1000000;
	for (unsigned i = 0; i < VGM_SMTPD_WRONG_LOGINS; i++) {
		assert_true(vgm_smtpd_client_may_sign_in(a, now));
		vgm_smtpd_client_wrong_login(a, now);
	}
	assert_false(vgm_smtpd_client_may_sign_in(a, now));
	/* a new session does not help */
	vgm_smtpd_clients_leave(c, &a);
	assert_int_equal(vgm_smtpd_clients_count(c), 1);
	a = enter(c, "192.0.2.1");
	assert_false(vgm_smtpd_client_may_sign_in(a, now + VGM_SMTPD_WRONG_FORGET_MS - 1));
	assert_true(vgm_smtpd_client_may_sign_in(a, now + VGM_SMTPD_WRONG_FORGET_MS));
	vgm_smtpd_clients_leave(c, &a);
	vgm_smtpd_clients_sweep(c, now + VGM_SMTPD_WRONG_FORGET_MS - 1);
	assert_int_equal(vgm_smtpd_clients_count(c), 1);
	vgm_smtpd_clients_sweep(c, now + VGM_SMTPD_WRONG_FORGET_MS);
	assert_int_equal(vgm_smtpd_clients_count(c), 0);
	vgm_smtpd_clients_free(&c);
	vgm_smtpd_clients_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_who_is_who),
	    cmocka_unit_test(test_many), cmocka_unit_test(test_wrong_logins)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
