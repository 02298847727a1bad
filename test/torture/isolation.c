/* SPDX-License-Identifier: EUPL-1.2
 * test/torture/isolation.c — a table of role × forbidden act, each tried in a
 * process that has entered the sandbox with that role's own rules, the way its
 * skeleton does. What a role may do is written here a second time, by name, so
 * that a flag added to a role does not go unnoticed.
 *
 * On sanitizer builds only what their wider profile refuses is tried (rule 14). */
#include "role/role.h"

#include "ipc/allow.h"

#include "../unit/os/acts.h"

/* Acts that a role's work is made of, besides those that everybody may do. */
#define OWN_FILES                                                                                  \
	"open in the own directory", "create in the own directory", "mkdir in the own directory",  \
	    "list the own directory", "rename in the own directory",                               \
	    "unlink in the own directory", "sync the own directory", "lock a file",                \
	    "stat a system file", "access of a system file", "readlink", "ftruncate"
#define FILTER                                                                                     \
	"fork", "fork and kill the child", "prctl", "pair of sockets", "memfd", "seal a memfd",    \
	    "ftruncate"

static const struct {
	const struct vgm_role *role;
	const char *may[20];
} table[] = {
    {&vgm_role_smtpd, {"accept", "memfd", "seal a memfd", "ftruncate"}},
    {&vgm_role_admit, {FILTER}},
    {&vgm_role_render, {FILTER}},
    {&vgm_role_show, {FILTER}},
    {&vgm_role_keyd, {OWN_FILES}},
    {&vgm_role_ledgerd, {OWN_FILES}},
    {&vgm_role_viewd, {OWN_FILES, "open in the readable directory", "accept"}},
    {&vgm_role_resolverd,
        {"TCP socket", "TCP socket over IPv6", "UDP socket", "connect", "bind",
            "send to an address", "fork", "pair of sockets"}},
    {&vgm_role_relayd, {"TCP socket", "TCP socket over IPv6", "connect"}},
};

static bool may(const char *const *list, size_t count, const struct act *act)
{
	if (act->everywhere)
		return true;
	for (size_t i = 0; i < count && list[i]; i++)
		if (strcmp(list[i], act->name) == 0)
			return true;
	return false;
}

/* Both ways: a name too many in the table would hide a hole. */
static bool as_it_should_be(bool allowed, enum fate fate)
{
	return allowed ? fate == GOES : fate == DENIED || fate == KILLED;
}

static size_t try_role(size_t row, size_t *tried, size_t *skipped)
{
	struct stage stage;
	size_t wrong = 0;
	const struct vgm_role *role = table[row].role;
	if (set_stage(&stage) < 0)
		vgm_fatal("the stage cannot be set");
	for (size_t i = 0; i < VGM_ARRAY_LEN(acts); i++) {
		if (!can_be_judged(&acts[i], role->sandbox.flags)) {
			++*skipped;
			continue;
		}
		bool allowed = may(table[row].may, VGM_ARRAY_LEN(table[row].may), &acts[i]);
		enum fate fate = fate_of(&stage, &acts[i], &role->sandbox, false);
		++*tried;
		if (as_it_should_be(allowed, fate))
			continue;
		printf("FAIL %s: %s: %s\n", vgm_role_name(role->id), acts[i].name, fate_names[fate]);
		wrong++;
	}
	clear_stage(&stage);
	return wrong;
}

int main(void)
{
	size_t tried = 0, skipped = 0, wrong = 0;
	printf("sandbox profile %s, Landlock ABI %d\n", vgm_sandbox_profile(),
	    vgm_sandbox_landlock_abi());
	for (size_t i = 0; i < VGM_ARRAY_LEN(table); i++)
		wrong += try_role(i, &tried, &skipped);
	printf("%zu passed, %zu failed, %zu skipped\n", tried - wrong, wrong, skipped);
	return wrong ? 1 : 0;
}
