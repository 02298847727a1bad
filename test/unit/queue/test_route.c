/* SPDX-License-Identifier: EUPL-1.2 */
#include "queue/route.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

/* A configuration by hand: the rows are what matters. */
static char *main_domains[] = {(char[]){"hopital.example"}, (char[]){"chu.example"}};
static char *main_to[] = {(char[]){"192.0.2.1:25"}, (char[]){"[2001:db8::1]:2525"}};
static char *partner_domains[] = {
    (char[]){"partner.example"}, (char[]){"b\xc3\xbc" "cher.example"}};
static char *all_domains[] = {(char[]){"*"}};
static char *mx[] = {(char[]){"mx"}};
static char *smarthost[] = {(char[]){"smart.example:587"}};

static struct vgm_conf_route rows[] = {
    {(char[]){"main"}, {main_domains, 2}, {main_to, 2}, (char[]){"verify"}, 5},
    {(char[]){"partner"}, {partner_domains, 2}, {mx, 1}, (char[]){"encrypt"}, 7},
    {(char[]){"rest"}, {all_domains, 1}, {smarthost, 1}, (char[]){"may"}, 9},
};

static const struct {
	const char *key;
	int result;
	const char *row; /* NULL: none */
	const char *mx_domain;
	enum vgm_tls_need tls;
	size_t connections;
} keys[] = {
    {"route:main", 0, "main", "", VGM_TLS_VERIFY, 5},
    {"route:rest", 0, "rest", "", VGM_TLS_MAY, 9},
    {"route:partner", 0, "partner", "", VGM_TLS_ENCRYPT, 7},
    {"mx:partner.example", 0, "partner", "partner.example", VGM_TLS_ENCRYPT, 7},
    {"mx:Partner.EXAMPLE", 0, "partner", "Partner.EXAMPLE", VGM_TLS_ENCRYPT, 7},
    {"mx:xn--bcher-kva.example", 0, "partner", "xn--bcher-kva.example", VGM_TLS_ENCRYPT, 7},
    {"mx:other.example", 0, NULL, "other.example", VGM_TLS_MAY, 20},
    {"mx:hopital.example", 0, NULL, "hopital.example", VGM_TLS_MAY, 20},
    {"mx:[192.0.2.7]", 0, NULL, "[192.0.2.7]", VGM_TLS_MAY, 20},
    {"route:gone", VGM_E_NOTFOUND, NULL, NULL, 0, 20},
    {"route:", VGM_E_NOTFOUND, NULL, NULL, 0, 20},
    {"mx:", VGM_E_INVALID, NULL, NULL, 0, 20},
    {"hold", VGM_E_INVALID, NULL, NULL, 0, 20},
    {"", VGM_E_INVALID, NULL, NULL, 0, 20},
};

static void test_keys(void **state)
{
	struct vgm_conf conf = {.routes = rows, .routes_count = VGM_ARRAY_LEN(rows)};

	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(keys); i++) {
		struct vgm_slice key = vgm_slice_str(keys[i].key);
		struct vgm_route r;

		print_message("  %s\n", keys[i].key);
		assert_int_equal(vgm_route_connections(&conf, key), keys[i].connections);
		assert_int_equal(vgm_route_find(&conf, key, &r, NULL), keys[i].result);
		if (keys[i].result)
			continue;
		if (keys[i].row)
			assert_string_equal(r.row->name, keys[i].row);
		else
			assert_null(r.row);
		assert_true(vgm_slice_eq(r.mx_domain, vgm_slice_str(keys[i].mx_domain)));
		assert_int_equal(r.tls, keys[i].tls);
	}
}

static const struct {
	const char *text;
	int result;
	const char *host;
	uint16_t port;
} hosts[] = {
    {"mx", 0, "", 25},
    {"smart.example:587", 0, "smart.example", 587},
    {"192.0.2.1:25", 0, "192.0.2.1", 25},
    {"[2001:db8::1]:2525", 0, "2001:db8::1", 2525},
    {"smart.example", VGM_E_INVALID, NULL, 0},
    {"smart.example:0", VGM_E_INVALID, NULL, 0},
    {"smart.example:65536", VGM_E_INVALID, NULL, 0},
    {":25", VGM_E_INVALID, NULL, 0},
};

static void test_hosts(void **state)
{
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(hosts); i++) {
		struct vgm_route_host h;

		print_message("  %s\n", hosts[i].text);
		assert_int_equal(vgm_route_host_parse(vgm_slice_str(hosts[i].text), &h, NULL),
		    hosts[i].result);
		if (hosts[i].result)
			continue;
		assert_true(vgm_slice_eq(h.host, vgm_slice_str(hosts[i].host)));
		assert_int_equal(h.port, hosts[i].port);
	}
}

static const struct {
	const char *name;
	struct {
		uint16_t preference;
		const char *host;
	} answers[5];
	size_t count;
	enum vgm_mx_verdict verdict;
	const char *order; /* without equal preferences */
} mxs[] = {
    {"by preference", {{20, "b.example"}, {10, "a.example"}, {30, "c.example"}}, 3,
	VGM_MX_HOSTS, "a.example b.example c.example "},
    {"dots at the end", {{10, "a.example."}}, 1, VGM_MX_HOSTS, "a.example "},
    {"null MX", {{0, "."}}, 1, VGM_MX_NULL, ""},
    {"null MX, dot left out", {{0, ""}}, 1, VGM_MX_NULL, ""},
    {"a null among others is left out", {{0, "."}, {10, "a.example"}}, 2, VGM_MX_HOSTS,
	"a.example "},
    {"only better ones than ourselves",
	{{20, "GW.hopital.example"}, {10, "a.example"}, {30, "c.example"}, {20, "d.example"}}, 4,
	VGM_MX_HOSTS, "a.example "},
    {"we are the best", {{10, "gw.hopital.example."}, {30, "c.example"}}, 2, VGM_MX_OURSELVES, ""},
    {"names that no host can have", {{10, "a b"}, {20, "x\ny"}, {30, "\303\251.example"}}, 3,
	VGM_MX_NONE, ""},
};

static void test_mx(void **state)
{
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(mxs); i++) {
		struct vgm_dns_answer answers[5];
		struct vgm_slice out[VGM_ROUTE_HOSTS_MAX];
		size_t count;
		struct vgm_buf order = VGM_BUF_INIT(1000);

		print_message("  %s\n", mxs[i].name);
		for (size_t k = 0; k < mxs[i].count; k++)
			answers[k] = (struct vgm_dns_answer){mxs[i].answers[k].preference,
			    vgm_slice_str(mxs[i].answers[k].host)};
		assert_int_equal(vgm_route_mx_order(answers, mxs[i].count, "gw.hopital.example", i,
				     out, &count),
		    mxs[i].verdict);
		for (size_t k = 0; k < count; k++)
			assert_int_equal(vgm_buf_addf(&order, "%.*s ", VGM_SLICE_ARG(out[k])), 0);
		assert_string_equal(vgm_buf_str(&order), mxs[i].order);
		vgm_buf_release(&order);
	}
}

/* Equal preferences: each comes first about as often; and a flood is cut, the
 * best kept. */
static void test_mx_shuffle_and_flood(void **state)
{
	static const struct vgm_dns_answer three[] = {{10, VGM_SLICE_LIT("a")},
	    {10, VGM_SLICE_LIT("b")}, {10, VGM_SLICE_LIT("c")}};
	struct vgm_dns_answer many[100];
	struct vgm_slice out[VGM_ROUTE_HOSTS_MAX];
	size_t count, first[3] = {0};

	(void)state;
	for (uint64_t seed = 0; seed < 3000; seed++) {
		assert_int_equal(vgm_route_mx_order(three, 3, "gw", seed, out, &count), VGM_MX_HOSTS);
		assert_int_equal(count, 3);
		first[out[0].data[0] - 'a']++;
	}
	for (int i = 0; i < 3; i++)
		assert_in_range(first[i], 850, 1150);
	for (uint16_t i = 0; i < 100; i++)
		many[i] = (struct vgm_dns_answer){(uint16_t)(1000 - i), VGM_SLICE_LIT("x")};
	many[99].data = VGM_SLICE_LIT("best");
	assert_int_equal(vgm_route_mx_order(many, 100, "gw", 1, out, &count), VGM_MX_HOSTS);
	assert_int_equal(count, VGM_ROUTE_HOSTS_MAX);
	assert_true(vgm_slice_eq(out[0], VGM_SLICE_LIT("best")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_keys),
	    cmocka_unit_test(test_hosts),
	    cmocka_unit_test(test_mx),
	    cmocka_unit_test(test_mx_shuffle_and_flood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
