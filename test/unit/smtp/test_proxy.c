/* SPDX-License-Identifier: EUPL-1.2
 * smtp/server/proxy: headers of both versions, whole and cut at every byte. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "smtp/server/proxy.h"

#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define S(literal)                                                                                 \
	{                                                                                          \
		(const uint8_t *)(literal), sizeof(literal) - 1                                    \
	}

static const struct {
	struct vgm_slice in;
	const char *client; /* "" = local, NULL = refused */
	unsigned port;
	size_t used;
} headers[] = {
    {S("PROXY TCP4 192.0.2.1 198.51.100.1 56324 25\r\nEHLO x\r\n"), "192.0.2.1", 56324, 44},
    {S("PROXY TCP6 2001:db8::1 2001:db8::2 1 25\r\n"), "2001:db8::1", 1, 41},
    {S("PROXY UNKNOWN\r\n"), "", 0, 15},
    {S("PROXY UNKNOWN ffff:f...f:ffff ffff 65535 65535\r\n"), "", 0, 48},
    {S("PROXY TCP4 2001:db8::1 198.51.100.1 1 25\r\n"), NULL, 0, 0},
    {S("PROXY TCP6 192.0.2.1 198.51.100.1 1 25\r\n"), NULL, 0, 0},
    {S("PROXY TCP4 192.0.2.1 198.51.100.1 65536 25\r\n"), NULL, 0, 0},
    {S("PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n"), NULL, 0, 0},
    {S("PROXY TCP4 192.0.2.1  1 25\r\n"), NULL, 0, 0},
    {S("PROXY TCP4 192.0.2.1 198.51.100.1 1 25 \r\n"), NULL, 0, 0},
    {S("PROXY TCP4 192.0.2.1 198.51.100.1 1 25\n"), NULL, 0, 0},
    {S("PROXY \r\n"), NULL, 0, 0},
    {S("PROXY\r\n"), NULL, 0, 0},
    {S("EHLO x\r\n"), NULL, 0, 0},
    {S("PROXY TCP4 "
       "1111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111"
       "111111111\r\n"),
	NULL, 0, 0},
    {S(SIG "\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x01\x12\x34\0\x19x"), "192.0.2.1", 0x1234, 28},
    {S(SIG "\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
	   "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\x12\x34\0\x19"),
	"2001:db8::1", 0x1234, 52},
    {S(SIG "\x21\x11\0\x0f\xc0\0\x02\x01\xc6\x33\x64\x01\x12\x34\0\x19\x03\0\0"), "192.0.2.1",
	0x1234, 31},
    {S(SIG "\x20\0\0\0"), "", 0, 16},
    {S(SIG "\x20\x11\0\x02zz"), "", 0, 18},
    {S(SIG "\x21\0\0\0"), "", 0, 16},
    {S(SIG "\x22\x11\0\x0c............"), NULL, 0, 0},
    {S(SIG "\x11\x11\0\x0c............"), NULL, 0, 0},
    {S(SIG "\x21\x31\0\x0c............"), NULL, 0, 0},
    {S(SIG "\x21\x11\0\x0b..........."), NULL, 0, 0},
    {S(SIG "\x21\x11\xff\xff"), NULL, 0, 0},
};

static void test_headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(headers); i++) {
		struct vgm_proxy p = {0};
		size_t used = 0;
		int r = vgm_proxy_parse(headers[i].in, &p, &used);
		assert_int_equal(r, headers[i].client ? 1 : VGM_E_INVALID);
		if (r < 0)
			continue;
		assert_int_equal(used, headers[i].used);
		assert_int_equal(p.local, headers[i].client[0] == 0);
		if (p.local)
			continue;
		VGM_CLEANUP(vgm_buf_release) struct vgm_buf text = VGM_BUF_INIT(64);
		assert_int_equal(vgm_ip_format(p.client.ip, &text), 0);
		assert_string_equal(vgm_buf_str(&text), headers[i].client);
		assert_int_equal(p.client.port, headers[i].port);
	}
}

/* Each shorter piece of a good header asks for more, never errs. */
static void test_pieces(void **state)
{
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(headers); i++)
		for (size_t n = 0; headers[i].client && n < headers[i].used; n++) {
			uint8_t *copy = vgm_alloc(n + 1);
			struct vgm_proxy p;
			size_t used;
			memcpy(copy, headers[i].in.data, n);
			assert_int_equal(vgm_proxy_parse(vgm_slice(copy, n), &p, &used), 0);
			vgm_free(copy);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_headers), cmocka_unit_test(test_pieces)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
