/* SPDX-License-Identifier: EUPL-1.2
 * fuzz/fuzz_conf.c — vgm.yaml: what is read can be written and read again. */
#include "conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vgm_conf conf, again;
	struct vgm_conf_fault fault;
	struct vgm_buf out = VGM_BUF_INIT(64u << 20);
	if (vgm_conf_parse(vgm_slice(data, size), &conf, &fault, NULL) == 0) {
		VGM_BUG_ON(vgm_conf_write(&conf, C_ALL, true, &out) < 0);
		VGM_BUG_ON(vgm_conf_parse(vgm_buf_slice(&out), &again, &fault, NULL) < 0);
		vgm_conf_release(&again);
		vgm_conf_release(&conf);
	} else {
		VGM_BUG_ON(vgm_conf_fault_text(&fault, "f", VGM_FR, &out) < 0);
	}
	vgm_buf_release(&out);
	return 0;
}
