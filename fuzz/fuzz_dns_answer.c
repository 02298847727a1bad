/* SPDX-License-Identifier: EUPL-1.2
 * The data of a DNS record: first byte its type, the rest its wire form. */
#include "net/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf out = VGM_BUF_INIT(4096);
	uint16_t preference = 1;
	if (size == 0)
		return 0;
	int r = vgm_dns_decode(data[0], vgm_slice(data + 1, size - 1), &out, &preference);
	if (r < 0 && out.len)
		__builtin_trap();
	if (out.len > VGM_DNS_DATA_MAX)
		__builtin_trap();
	if (r == 0 && data[0] == VGM_DNS_MX && out.len && !vgm_dns_name_valid(vgm_buf_slice(&out)))
		__builtin_trap();
	return 0;
}
