/* SPDX-License-Identifier: EUPL-1.2
 * role/build.h — which build this is. Processes of two builds never talk to
 * each other (rule 19). */
#ifndef VGM_ROLE_BUILD_H
#define VGM_ROLE_BUILD_H

/* "0.1.0-1a2b3c..." : version and a hash of the program's own bytes (the linker's
 * build id). Static storage. */
const char *vgm_build_id(void);

#endif
