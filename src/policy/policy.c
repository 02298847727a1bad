/* SPDX-License-Identifier: EUPL-1.2
 * policy/policy.c — see policy.h. */
#include "policy/policy.h"

#include "net/idna.h"

#include <stdio.h>

static bool domain_matches(const struct vgm_conf_list *domains, struct vgm_slice domain)
{
	for (size_t i = 0; i < domains->count; i++) {
		struct vgm_slice d = vgm_slice_str(domains->text[i]);
		if (vgm_slice_eq(d, VGM_SLICE_LIT("*")) || vgm_idna_same(d, domain))
			return true;
	}
	return false;
}

static uint8_t tls_need(const char *text)
{
	return strcmp(text, "verify") == 0 ? VGM_TLS_VERIFY
	    : strcmp(text, "encrypt") == 0 ? VGM_TLS_ENCRYPT
					   : VGM_TLS_MAY;
}

static struct vgm_slice key_of(struct vgm_arena *arena, const char *kind, struct vgm_slice rest)
{
	size_t len = strlen(kind) + rest.len;
	char *key = vgm_arena_alloc(arena, len + 1, 1);
	if (!key)
		return VGM_SLICE_NONE;
	snprintf(key, len + 1, "%s%.*s", kind, VGM_SLICE_ARG(rest));
	return vgm_slice(key, len);
}

static const struct vgm_conf_route *row_named(const struct vgm_conf *conf, const char *name)
{
	for (size_t i = 0; i < conf->routes_count; i++)
		if (strcmp(conf->routes[i].name, name) == 0)
			return &conf->routes[i];
	return NULL;
}

static const struct vgm_conf_route *row_for(const struct vgm_conf *conf, struct vgm_slice domain)
{
	for (size_t i = 0; i < conf->routes_count; i++)
		if (domain_matches(&conf->routes[i].domains, domain))
			return &conf->routes[i];
	return NULL;
}

struct vgm_slice vgm_policy_route(const struct vgm_conf *conf,
    const struct vgm_directory *directory, struct vgm_slice address, uint8_t *out_tls_need,
    struct vgm_slice *out_reason, struct vgm_arena *arena)
{
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf ascii = VGM_BUF_INIT(VGM_IDNA_MAX);
	/* One form, so that all mail for a domain stands in one line. */
	struct vgm_slice domain = vgm_idna_plain(
	    vgm_slice_from(address, vgm_slice_rfind(address, '@') + 1), &ascii);
	const struct vgm_person *person = vgm_directory_find(directory, address);
	const struct vgm_conf_route *row =
	    person && person->route[0] ? row_named(conf, person->route) : NULL;
	*out_reason = row ? VGM_SLICE_LIT("directory") : VGM_SLICE_LIT("routes");
	if (!row)
		row = row_for(conf, domain);
	*out_tls_need = row ? tls_need(row->tls) : VGM_TLS_MAY;
	if (!row)
		*out_reason = VGM_SLICE_LIT("mx");
	bool by_mx = !row || (row->to.count && strcmp(row->to.text[0], "mx") == 0);
	return by_mx ? key_of(arena, "mx:", domain)
		     : key_of(arena, "route:", vgm_slice_str(row->name));
}

enum vgm_policy_verdict vgm_policy_decide(const struct vgm_policy_facts *facts,
    const struct vgm_conf *conf, const struct vgm_directory *directory,
    struct vgm_recipient *recipients, size_t count, struct vgm_arena *route_names)
{
	if (facts->received >= conf->max_hops || facts->own_hops >= VGM_POLICY_OWN_HOPS)
		return VGM_POLICY_LOOP;
	if (facts->size > conf->max_size)
		return VGM_POLICY_TOO_LARGE;
	for (size_t i = 0; i < count; i++) {
		struct vgm_recipient *to = &recipients[i];
		to->route = vgm_policy_route(
		    conf, directory, to->address, &to->policy, &to->reason, route_names);
		/* Held rather than lost: unread, or a name that found no room. */
		if (facts->seal_only || to->route.len == 0) {
			to->route = VGM_SLICE_LIT("hold");
			to->reason = VGM_SLICE_LIT("unread");
		}
	}
	return VGM_POLICY_KEEP;
}
