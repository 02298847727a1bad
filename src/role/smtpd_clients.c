/* SPDX-License-Identifier: EUPL-1.2
 * role/smtpd_clients.c — see smtpd_clients.h. */
#include "role/smtpd_clients.h"

#include "base/secret.h"
#include "net/addr.h"

#include <sodium.h>

#define CHAINS 1024u

struct vgm_smtpd_clients {
	struct vgm_smtpd_client *chain[CHAINS];
	uint8_t hash_key[crypto_shorthash_KEYBYTES];
	size_t count;
};

struct vgm_smtpd_clients *vgm_smtpd_clients_new(void)
{
	struct vgm_smtpd_clients *c = vgm_alloc(sizeof *c);
	vgm_random(c->hash_key, sizeof c->hash_key);
	return c;
}

void vgm_smtpd_clients_free(struct vgm_smtpd_clients **clients)
{
	struct vgm_smtpd_clients *c = *clients;
	if (!c)
		return;
	for (size_t i = 0; i < CHAINS; i++)
		while (c->chain[i]) {
			struct vgm_smtpd_client *next = c->chain[i]->next;
			vgm_free(c->chain[i]);
			c->chain[i] = next;
		}
	vgm_free(c);
	*clients = NULL;
}

static struct vgm_smtpd_client **chain_of(struct vgm_smtpd_clients *c, const uint8_t key[16])
{
	uint64_t h;
	_Static_assert(sizeof h == crypto_shorthash_BYTES, "64-bit hash");
	crypto_shorthash((unsigned char *)&h, key, 16, c->hash_key);
	return &c->chain[h % CHAINS];
}

struct vgm_smtpd_client *vgm_smtpd_clients_enter(struct vgm_smtpd_clients *c, const uint8_t ip[16])
{
	uint8_t key[16];
	vgm_ip_network(ip, 32, 64, key);
	struct vgm_smtpd_client **chain = chain_of(c, key), *client = *chain;
	while (client && memcmp(client->key, key, sizeof key) != 0)
		client = client->next;
	if (!client) {
		client = vgm_alloc(sizeof *client);
		memcpy(client->key, key, sizeof key);
		client->next = *chain;
		*chain = client;
		c->count++;
	}
	client->sessions++;
	return client;
}

/* Removes it when there is nothing to remember. */
static void forget(struct vgm_smtpd_clients *c, struct vgm_smtpd_client *client)
{
	struct vgm_smtpd_client **at = chain_of(c, client->key);
	if (client->sessions || client->wrong_logins)
		return;
	while (*at != client)
		at = &(*at)->next;
	*at = client->next;
	vgm_free(client);
	c->count--;
}

void vgm_smtpd_clients_leave(struct vgm_smtpd_clients *c, struct vgm_smtpd_client **client)
{
	if (!*client)
		return;
	VGM_BUG_ON((*client)->sessions == 0);
	(*client)->sessions--;
	forget(c, *client);
	*client = NULL;
}

static bool is_old(const struct vgm_smtpd_client *client, uint64_t now_ms)
{
	return now_ms - client->wrong_at_ms >= VGM_SMTPD_WRONG_FORGET_MS;
}

void vgm_smtpd_clients_sweep(struct vgm_smtpd_clients *c, uint64_t now_ms)
{
	for (size_t i = 0; i < CHAINS; i++)
		for (struct vgm_smtpd_client *client = c->chain[i], *next; client; client = next) {
			next = client->next;
			if (client->wrong_logins && is_old(client, now_ms))
				client->wrong_logins = 0;
			forget(c, client);
		}
}

size_t vgm_smtpd_clients_count(const struct vgm_smtpd_clients *c)
{
	return c->count;
}

void vgm_smtpd_client_wrong_login(struct vgm_smtpd_client *client, uint64_t now_ms)
{
	if (is_old(client, now_ms))
		client->wrong_logins = 0;
	client->wrong_logins++;
	client->wrong_at_ms = now_ms;
}

bool vgm_smtpd_client_may_sign_in(const struct vgm_smtpd_client *client, uint64_t now_ms)
{
	return client->wrong_logins < VGM_SMTPD_WRONG_LOGINS || is_old(client, now_ms);
}
