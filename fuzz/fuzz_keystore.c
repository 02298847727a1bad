/* SPDX-License-Identifier: EUPL-1.2
 * A sealed file of the key store, with the root key known: seeds are sealed
 * under the key of 32 zero bytes, so that inputs reach past the first check. */
#include "crypt/keystore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t root[32];
	struct vgm_secret out;
	uint8_t sum = 0;
	for (int kind = VGM_KEYSTORE_DAY; kind <= VGM_KEYSTORE_CLOSING; kind++) {
		if (vgm_keystore_unseal(root, (enum vgm_keystore_kind)kind, 0, vgm_slice(data, size),
		        &out, NULL) < 0)
			continue;
		for (size_t i = 0; i < out.len; i++)
			sum ^= out.data[i];
		vgm_secret_release(&out);
	}
	(void)sum;
	return 0;
}
