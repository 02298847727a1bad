/* SPDX-License-Identifier: EUPL-1.2
 * Tests of policy/policy.h: where mail goes, and what is turned away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "policy/policy.h"

static const char yaml[] = "domains: [chu.example]\n"
			   "smtp: {max_size: 1M}\n"
			   "relay: {max_hops: 30}\n"
			   "routes:\n"
			   "  - {name: interne, domains: [chu.example], to: ['127.0.0.1:25']}\n"
			   "  - {name: cloud, domains: [cloud.example], to: ['127.0.0.1:26'], tls: verify}\n"
			   "  - {name: monde, domains: [labo.example], to: [mx], tls: encrypt}\n"
			   "  - {name: u, domains: [b\xc3\xbc" "cher.example], to: ['127.0.0.1:27']}\n"
			   "  - {name: a, domains: [xn--strae-oqa.example], to: ['127.0.0.1:28']}\n";

static struct vgm_conf conf;
static struct vgm_directory *people;

static int set_up(void **state)
{
	static const char text[] = "a@chu.example\nb@chu.example route=cloud\nc@chu.example route=gone\n";
	(void)state;
	return vgm_conf_parse(vgm_slice_str(yaml), &conf, NULL, NULL) < 0 ||
	    vgm_directory_parse(vgm_slice_str(text), &people, NULL, NULL) < 0;
}

static int tear_down(void **state)
{
	(void)state;
	vgm_conf_release(&conf);
	vgm_directory_free(&people);
	return 0;
}

static void test_routes(void **state)
{
	(void)state;
	static const struct {
		const char *address, *route, *reason;
		uint8_t tls;
	} cases[] = {
	    {"a@chu.example", "route:interne", "routes", VGM_TLS_MAY},
	    {"a@CHU.Example", "route:interne", "routes", VGM_TLS_MAY},
	    {"b@chu.example", "route:cloud", "directory", VGM_TLS_VERIFY},
	    {"c@chu.example", "route:interne", "routes", VGM_TLS_MAY}, /* its route is gone */
	    {"x@cloud.example", "route:cloud", "routes", VGM_TLS_VERIFY},
	    {"x@labo.example", "mx:labo.example", "routes", VGM_TLS_ENCRYPT},
	    {"x@else.example", "mx:else.example", "mx", VGM_TLS_MAY},
	    {"x@b\xc3\xbc" "cher.example", "route:u", "routes", VGM_TLS_MAY},
	    {"x@B\xc3\x9c" "cher.example", "route:u", "routes", VGM_TLS_MAY},
	    {"x@xn--bcher-kva.example", "route:u", "routes", VGM_TLS_MAY},
	    {"x@stra\xc3\x9f" "e.example", "route:a", "routes", VGM_TLS_MAY},
	    {"x@strasse.example", "mx:strasse.example", "mx", VGM_TLS_MAY},
	    {"\xc3\xa9@\xe4\xbe\x8b.example", "mx:xn--fsq.example", "mx", VGM_TLS_MAY},
	    {"x@\xf0\x9f\x92\xa9.example", "mx:\xf0\x9f\x92\xa9.example", "mx", VGM_TLS_MAY},
	    {"\"a@b\"@else.example", "mx:else.example", "mx", VGM_TLS_MAY},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_arena arena = VGM_ARENA_INIT(10000);
		struct vgm_recipient to = {.address = vgm_slice_str(cases[i].address)};
		struct vgm_policy_facts facts = {.size = 10};
		assert_int_equal(
		    vgm_policy_decide(&facts, &conf, people, &to, 1, &arena), VGM_POLICY_KEEP);
		assert_true(vgm_slice_eq(to.route, vgm_slice_str(cases[i].route)));
		assert_true(vgm_slice_eq(to.reason, vgm_slice_str(cases[i].reason)));
		assert_int_equal(to.policy, cases[i].tls);
		vgm_arena_release(&arena);
	}
}

static void test_verdicts(void **state)
{
	(void)state;
	static const struct {
		struct vgm_policy_facts facts;
		enum vgm_policy_verdict verdict;
		const char *route;
	} cases[] = {
	    {{.size = 1048576}, VGM_POLICY_KEEP, "route:interne"},
	    {{.size = 1048577}, VGM_POLICY_TOO_LARGE, NULL},
	    {{.received = 29}, VGM_POLICY_KEEP, "route:interne"},
	    {{.received = 30}, VGM_POLICY_LOOP, NULL},
	    {{.received = 3, .own_hops = 3}, VGM_POLICY_KEEP, "route:interne"},
	    {{.received = 4, .own_hops = 4}, VGM_POLICY_LOOP, NULL},
	    {{.seal_only = true}, VGM_POLICY_KEEP, "hold"},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_arena arena = VGM_ARENA_INIT(10000);
		struct vgm_recipient to = {.address = VGM_SLICE_LIT("a@chu.example")};
		assert_int_equal(
		    vgm_policy_decide(&cases[i].facts, &conf, people, &to, 1, &arena), cases[i].verdict);
		if (cases[i].route)
			assert_true(vgm_slice_eq(to.route, vgm_slice_str(cases[i].route)));
		vgm_arena_release(&arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_routes),
	    cmocka_unit_test(test_verdicts),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
