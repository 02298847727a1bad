/* SPDX-License-Identifier: EUPL-1.2
 * net/addr: addresses and networks in text, and which holds which. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/addr.h"

#include <netinet/in.h>

/* What comes in and what is printed; NULL = refused. */
static const struct {
	const char *in, *out;
} ips[] = {
    {"192.0.2.1", "192.0.2.1"},
    {"0.0.0.0", "0.0.0.0"},
    {"255.255.255.255", "255.255.255.255"},
    {"::ffff:192.0.2.1", "192.0.2.1"},
    {"2001:db8::1", "2001:db8::1"},
    {"2001:0DB8:0:0:0:0:0:1", "2001:db8::1"},
    {"[2001:db8::1]", "2001:db8::1"},
    {"::", "::"},
    {"::1", "::1"},
    {"", NULL},
    {"[]", NULL},
    {"[192.0.2.1]", NULL},
    {"192.0.2", NULL},
    {"192.0.2.256", NULL},
    {"192.0.02.1", NULL},
    {"192.0.2.1 ", NULL},
    {" 192.0.2.1", NULL},
    {"0x7f.0.0.1", NULL},
    {"2130706433", NULL},
    {"fe80::1%eth0", NULL},
    {"2001:db8::1::2", NULL},
    {"2001:db8:1:2:3:4:5:6:7", NULL},
    {"example.org", NULL},
    {"2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff:1111:2222", NULL},
};

static void test_ip(void **state)
{
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(ips); i++) {
		uint8_t ip[16];
		struct vgm_err err = {0};
		int r = vgm_ip_parse(vgm_slice_str(ips[i].in), ip, &err);
		assert_int_equal(r, ips[i].out ? 0 : VGM_E_INVALID);
		assert_int_equal(err.code, r);
		if (r < 0)
			continue;
		VGM_CLEANUP(vgm_buf_release) struct vgm_buf b = VGM_BUF_INIT(64);
		assert_int_equal(vgm_ip_format(ip, &b), 0);
		assert_string_equal(vgm_buf_str(&b), ips[i].out);
	}
}

static void test_ip_with_nul(void **state)
{
	(void)state;
	uint8_t ip[16];
	assert_int_equal(vgm_ip_parse(VGM_SLICE_LIT("192.0.2.1\0"), ip, NULL), VGM_E_INVALID);
	assert_int_equal(vgm_ip_parse(VGM_SLICE_LIT("::1\0x"), ip, NULL), VGM_E_INVALID);
}

static void test_literal(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
	    {"192.0.2.1", "[192.0.2.1]"}, {"2001:db8::1", "[IPv6:2001:db8::1]"}};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		uint8_t ip[16];
		VGM_CLEANUP(vgm_buf_release) struct vgm_buf b = VGM_BUF_INIT(64);
		assert_int_equal(vgm_ip_parse(vgm_slice_str(cases[i][0]), ip, NULL), 0);
		assert_int_equal(vgm_ip_format_literal(ip, &b), 0);
		assert_string_equal(vgm_buf_str(&b), cases[i][1]);
		VGM_CLEANUP(vgm_buf_release) struct vgm_buf small = VGM_BUF_INIT(8);
		assert_int_equal(vgm_ip_format_literal(ip, &small), VGM_E_LIMIT);
		assert_int_equal(small.len, 0);
	}
}

static const struct {
	const char *in, *host;
	unsigned port;
	bool address; /* vgm_addr_parse takes it too */
} ports[] = {
    {"127.0.0.1:25", "127.0.0.1", 25, true},
    {"[::1]:65535", "::1", 65535, true},
    {"*:10025", "*", 10025, true},
    {"localhost:25", "localhost", 25, true},
    {"mx.example.org:25", "mx.example.org", 25, false},
    {"[192.0.2.1]:25", "192.0.2.1", 25, true},
    {"127.0.0.1", NULL, 0, false},
    {"127.0.0.1:", NULL, 0, false},
    {"127.0.0.1:0", NULL, 0, true}, /* to listen on any free port */
    {"127.0.0.1:65536", NULL, 0, false},
    {"127.0.0.1:-1", NULL, 0, false},
    {"127.0.0.1:25x", NULL, 0, false},
    {":25", NULL, 0, false},
    {"[]:25", NULL, 0, false},
    {"::1:25", NULL, 0, false},
    {"", NULL, 0, false},
};

static void test_ports(void **state)
{
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(ports); i++) {
		struct vgm_slice in = vgm_slice_str(ports[i].in), host;
		struct vgm_addr a;
		uint16_t port;
		int r = vgm_addr_split(in, &host, &port, NULL);
		assert_int_equal(r, ports[i].host ? 0 : VGM_E_INVALID);
		assert_int_equal(
		    vgm_addr_parse(in, &a, NULL), ports[i].address ? 0 : VGM_E_INVALID);
		if (r < 0)
			continue;
		assert_true(vgm_slice_eq(host, vgm_slice_str(ports[i].host)));
		assert_int_equal(port, ports[i].port);
		if (ports[i].address)
			assert_int_equal(a.port, ports[i].port);
	}
}

static const struct {
	const char *network, *ip;
	bool has;
} networks[] = {
    {"192.0.2.0/24", "192.0.2.255", true},
    {"192.0.2.0/24", "192.0.3.0", false},
    {"192.0.2.4/30", "192.0.2.7", true},
    {"192.0.2.4/30", "192.0.2.8", false},
    {"192.0.2.1", "192.0.2.1", true},
    {"192.0.2.1", "192.0.2.2", false},
    {"192.0.2.1/32", "192.0.2.1", true},
    {"0.0.0.0/0", "203.0.113.9", true},
    {"0.0.0.0/0", "2001:db8::1", false},
    {"::/0", "203.0.113.9", true},
    {"2001:db8::/32", "2001:db8:ffff::1", true},
    {"2001:db8::/32", "2001:db9::1", false},
    {"2001:db8::/33", "2001:db8:8000::1", false},
    {"::ffff:192.0.2.0/120", "192.0.2.77", true},
    {"10.0.0.0/8", "::a00:1", false},
};

static void test_networks(void **state)
{
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(networks); i++) {
		struct vgm_network n;
		uint8_t ip[16];
		assert_int_equal(
		    vgm_network_parse(vgm_slice_str(networks[i].network), &n, NULL), 0);
		assert_int_equal(vgm_ip_parse(vgm_slice_str(networks[i].ip), ip, NULL), 0);
		assert_int_equal(vgm_network_has(&n, ip), networks[i].has);
	}
	static const char *const wrong[] = {"192.0.2.1/24", "192.0.2.0/33", "192.0.2.0/", "/24",
	    "192.0.2.0/-1", "2001:db8::1/32", "2001:db8::/129", "example.org/24", "192.0.2.0/2 4",
	    ""};
	for (size_t i = 0; i < VGM_ARRAY_LEN(wrong); i++) {
		struct vgm_network n;
		assert_int_equal(
		    vgm_network_parse(vgm_slice_str(wrong[i]), &n, NULL), VGM_E_INVALID);
	}
}

/* Every prefix length: the last address inside is in, the next is not. */
static void test_every_prefix(void **state)
{
	(void)state;
	for (unsigned bits = 1; bits <= 128; bits++) {
		struct vgm_network n = {.ip = {0}, .bits = (uint8_t)bits};
		uint8_t in[16], out[16] = {0}, masked[16];
		memset(in, 0xff, 16);
		for (unsigned b = 0; b < bits; b++)
			in[b / 8] &= (uint8_t) ~(0x80 >> (b % 8));
		out[(bits - 1) / 8] = (uint8_t)(0x80 >> ((bits - 1) % 8));
		assert_true(vgm_network_has(&n, in));
		assert_false(vgm_network_has(&n, out));
		vgm_ip_network(in, 0, bits, masked);
		if (!vgm_ip_is_v4(in))
			assert_memory_equal(masked, n.ip, 16);
	}
}

static void test_client_networks(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
	    {"192.0.2.77", "192.0.2.0"}, {"2001:db8:1:2:3::4", "2001:db8:1::"}};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		uint8_t ip[16], wanted[16], got[16];
		assert_int_equal(vgm_ip_parse(vgm_slice_str(cases[i][0]), ip, NULL), 0);
		assert_int_equal(vgm_ip_parse(vgm_slice_str(cases[i][1]), wanted, NULL), 0);
		vgm_ip_network(ip, 24, 48, got);
		assert_memory_equal(got, wanted, 16);
	}
}

static void test_loopback(void **state)
{
	(void)state;
	static const struct {
		const char *ip;
		bool loopback;
	} cases[] = {{"127.0.0.1", true}, {"127.9.9.9", true}, {"::1", true}, {"128.0.0.1", false},
	    {"::2", false}, {"::", false}, {"0.0.0.0", false}};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		uint8_t ip[16];
		assert_int_equal(vgm_ip_parse(vgm_slice_str(cases[i].ip), ip, NULL), 0);
		assert_int_equal(vgm_ip_is_loopback(ip), cases[i].loopback);
	}
}

static void test_sockaddr(void **state)
{
	(void)state;
	static const char *const cases[] = {"192.0.2.1:25", "[2001:db8::1]:587"};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_addr a, back;
		struct sockaddr_storage ss;
		assert_int_equal(vgm_addr_parse(vgm_slice_str(cases[i]), &a, NULL), 0);
		assert_int_equal(vgm_addr_to_sockaddr(&a, &ss),
		    i == 0 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
		assert_int_equal(ss.ss_family, i == 0 ? AF_INET : AF_INET6);
		assert_int_equal(vgm_addr_from_sockaddr((struct sockaddr *)&ss, &back), 0);
		assert_memory_equal(back.ip, a.ip, 16);
		assert_int_equal(back.port, a.port);
	}
	struct sockaddr other = {.sa_family = AF_UNIX};
	struct vgm_addr a;
	assert_int_equal(vgm_addr_from_sockaddr(&other, &a), VGM_E_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_ip),
	    cmocka_unit_test(test_ip_with_nul),
	    cmocka_unit_test(test_literal),
	    cmocka_unit_test(test_ports),
	    cmocka_unit_test(test_networks),
	    cmocka_unit_test(test_every_prefix),
	    cmocka_unit_test(test_client_networks),
	    cmocka_unit_test(test_loopback),
	    cmocka_unit_test(test_sockaddr),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
