/* SPDX-License-Identifier: EUPL-1.2
 * ledger/bytes.h — big-endian integers of the files of the ledger. */
#ifndef VGM_LEDGER_BYTES_H
#define VGM_LEDGER_BYTES_H

#include "base/slice.h"

static inline void vgm_put_be(uint8_t *out, uint64_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		out[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
}

static inline uint64_t vgm_get_be(const uint8_t *in, size_t bytes)
{
	uint64_t value = 0;
	for (size_t i = 0; i < bytes; i++)
		value = value << 8 | in[i];
	return value;
}

static inline bool vgm_is_zero(const uint8_t *in, size_t len)
{
	return len == 0 || (in[0] == 0 && memcmp(in, in + 1, len - 1) == 0);
}

#endif
