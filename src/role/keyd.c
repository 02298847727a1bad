/* SPDX-License-Identifier: EUPL-1.2
 * role/keyd.c — the process that has the keys, in two instances that know
 * nothing of each other: one signs TLS handshakes, one has the ledger's keys
 * (rule 11). It blocks on nobody, sees no mail, and after its start touches no
 * file but those of its store.
 *
 * Who gets what: filters get record keys that they asked to have wrapped, and
 * the key of a job whose token they hold; ledgerd and viewd are lent routing keys
 * of days that are open; viewd its own key. Nobody is ever given a day's wrap
 * key, a signing key or the root key. A day is open as long as its keys exist
 * (rule 1), and they are destroyed only when ledgerd asks and all clocks agree. */
#include "base/clock.h"
#include "base/secret.h"
#include "crypt/daykeys.h"
#include "ledger/checkpoint.h"
#include "log/log.h"
#include "net/tls.h"
#include "os/file.h"
#include "role/keyd_jobs.h"
#include "role/keyd_passphrase.h"
#include "role/keyd_tls.h"
#include "role/role.h"

#include <openssl/crypto.h>
#include <sodium.h>

#define WRAPS_MAX 32
#define DAY_US 86400000000ull
#define DAY_CHECK_MS (10u * 60 * 1000)
#define NOTE_MAX 2000
#define VERIFIER_MAX 400
#define SECURE_HEAP_BYTES 65536u

struct keyd {
	struct vgm_keystore *store;
	struct vgm_secret passphrase; /* of the store, until it is open */
	/* the ledger's instance */
	struct vgm_daykeys *days;
	struct vgm_keyd_jobs *jobs;
	struct vgm_secret view, checkpoint;
	uint64_t signed_size; /* the largest tree that a checkpoint was signed for */
	struct vgm_timer *day_check;
	/* the TLS instance */
	struct vgm_keyd_tls *tls;
	bool from_files; /* it was configured, not made here */
	char *hostname;  /* that the one made here is for */
};

static uint32_t day_of(uint64_t wall_us)
{
	return (uint32_t)(wall_us / DAY_US);
}

static void log_failure(const char *event, const struct vgm_err *err)
{
	struct vgm_log_line line;
	vgm_log_start(&line, VGM_LOG_ERROR, event);
	vgm_log_err(&line, err);
	vgm_log_end(&line);
}

/* An asker that does not read its answers is cut off by the channel's limit;
 * what was meant for it is then lost with it. */
static void answer(struct vgm_channel *to, enum vgm_msg_type type, const void *message)
{
	struct vgm_err err;
	int r = vgm_channel_send(to, type, message);
	if (r == 0 || r == VGM_E_CLOSED)
		return;
	vgm_err_set(&err, r, "an answer could not be sent");
	log_failure("answer_lost", &err);
}

/* ---- record keys ---- */

static void prepare_days(struct keyd *k)
{
	struct vgm_err err;
	if (vgm_daykeys_prepare(k->days, day_of(vgm_clock_wall_us()), &err) < 0)
		log_failure("day_keys", &err);
}

static int wrap_keys(struct keyd *k, uint32_t entity, uint32_t day, struct vgm_wrapped_key *keys,
    size_t count, struct vgm_err *err)
{
	int r = 0;
	for (size_t i = 0; i < count && r == 0; i++) {
		vgm_random(keys[i].key, sizeof keys[i].key);
		r = vgm_daykeys_wrap(k->days, day, entity, keys[i].key, keys[i].wrap, err);
	}
	return r;
}

static void on_wrap(struct vgm_role_run *run, struct vgm_channel *from, void *message)
{
	struct keyd *k = run->state;
	const struct vgm_msg_wrap *m = message;
	struct vgm_wrapped_key keys[WRAPS_MAX];
	size_t count = vgm_min_size(m->count, WRAPS_MAX);
	uint32_t day = day_of(vgm_clock_wall_us());
	struct vgm_err err;
	int r = wrap_keys(k, (uint32_t)run->conf.entity, day, keys, count, &err);
	if (r == VGM_E_NOTFOUND) {
		/* The clock leapt over the day that was made ready. */
		prepare_days(k);
		r = wrap_keys(k, (uint32_t)run->conf.entity, day, keys, count, &err);
	}
	if (r < 0)
		log_failure("wrap", &err);
	/* None: the filter answers 451. */
	struct vgm_msg_wrapped wrapped = {
	    .day = day, .keys = keys, .keys_count = r < 0 ? 0 : count};
	answer(from, VGM_MSG_wrapped, &wrapped);
	vgm_wipe(keys, sizeof keys);
}

static void on_job(struct vgm_role_run *run, struct vgm_channel *from, void *message)
{
	struct keyd *k = run->state;
	const struct vgm_msg_job *m = message;
	struct vgm_keyd_job job = {.entity = m->entity, .day = m->day, .purpose = m->purpose};
	(void)from;
	memcpy(job.token, m->token, sizeof job.token);
	memcpy(job.wrap, m->wrap, sizeof job.wrap);
	vgm_keyd_jobs_add(k->jobs, &job, vgm_clock_mono_ms());
}

/* The asker's token may have been faster than ledgerd's word about it. */
static bool take_job(struct vgm_role_run *run, const uint8_t token[16], struct vgm_keyd_job *out)
{
	struct keyd *k = run->state;
	if (vgm_keyd_jobs_take(k->jobs, token, vgm_clock_mono_ms(), out))
		return true;
	struct vgm_channel *ledgerd = vgm_role_peer(run, VGM_ROLE_LEDGERD, VGM_INSTANCE_ONLY);
	if (!ledgerd)
		return false;
	vgm_channel_drain(ledgerd);
	return vgm_keyd_jobs_take(k->jobs, token, vgm_clock_mono_ms(), out);
}

static bool fits(enum vgm_role_id asker, uint8_t purpose)
{
	return (asker == VGM_ROLE_SHOW) == (purpose == VGM_PURPOSE_SHOW);
}

static void on_unwrap(struct vgm_role_run *run, struct vgm_channel *from, void *message)
{
	struct keyd *k = run->state;
	const struct vgm_msg_unwrap *m = message;
	struct vgm_msg_unwrapped unwrapped = {.ok = 0};
	struct vgm_keyd_job job;
	struct vgm_err err;
	int r =
	    take_job(run, m->token, &job) ? 0 : vgm_err_set(&err, VGM_E_NOTFOUND, "no such job");
	if (r == 0 && !fits(vgm_channel_peer(from), job.purpose))
		r = vgm_err_set(&err, VGM_E_DENIED, "a job of another pool");
	if (r == 0)
		r = vgm_daykeys_unwrap(
		    k->days, job.day, job.entity, job.wrap, unwrapped.key, &err);
	if (r < 0)
		log_failure("unwrap", &err);
	unwrapped.ok = r == 0;
	answer(from, VGM_MSG_unwrapped, &unwrapped);
	vgm_wipe(&unwrapped, sizeof unwrapped);
}

/* ---- keys that are lent ---- */

static int lend(struct keyd *k, enum vgm_role_id asker, const struct vgm_msg_lend *m,
    uint8_t out[32], struct vgm_err *err)
{
	if (m->kind == VGM_LENT_ROUTING)
		return vgm_daykeys_routing(k->days, m->day, out, err);
	if (m->kind != VGM_LENT_VIEW || asker != VGM_ROLE_VIEWD)
		return vgm_err_set(err, VGM_E_DENIED, "a key that is not this role's to have");
	memcpy(out, k->view.data, k->view.len);
	return 0;
}

static void on_lend(struct vgm_role_run *run, struct vgm_channel *from, void *message)
{
	const struct vgm_msg_lend *m = message;
	struct vgm_msg_lent lent = {.kind = m->kind, .day = m->day};
	struct vgm_err err;
	lent.ok = lend(run->state, vgm_channel_peer(from), m, lent.key, &err) == 0;
	if (!lent.ok)
		log_failure("lend", &err);
	answer(from, VGM_MSG_lent, &lent);
	vgm_wipe(&lent, sizeof lent);
}

/* ---- checkpoints ---- */

/* Signed as who the text says it is from: one key, one log. A tree that became
 * smaller is never signed, whoever asks. */
static int sign_checkpoint(struct keyd *k, struct vgm_slice body, struct vgm_buf *out_note,
    struct vgm_buf *out_verifier, struct vgm_err *err)
{
	uint8_t public_key[crypto_sign_PUBLICKEYBYTES];
	struct vgm_secret secret;
	struct vgm_checkpoint checkpoint;
	struct vgm_verifier verifier;
	int r = vgm_checkpoint_parse(body, &checkpoint, err);
	if (r == 0 && checkpoint.size < k->signed_size)
		r = vgm_err_set(err, VGM_E_DENIED, "a checkpoint of a tree that became smaller");
	if (r < 0)
		return r;
	vgm_secret_init(&secret, crypto_sign_SECRETKEYBYTES);
	crypto_sign_seed_keypair(public_key, secret.data, k->checkpoint.data);
	vgm_secret_release(&secret);
	r = vgm_verifier_of(checkpoint.origin, public_key, &verifier, err);
	if (r == 0)
		r = vgm_verifier_format(&verifier, out_verifier);
	if (r == 0)
		r = vgm_note_sign(body, checkpoint.origin, k->checkpoint.data, out_note, err);
	if (r == 0)
		k->signed_size = checkpoint.size;
	return r;
}

static void on_sign_checkpoint(struct vgm_role_run *run, struct vgm_channel *from, void *message)
{
	const struct vgm_msg_sign_checkpoint *m = message;
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf note = VGM_BUF_INIT(NOTE_MAX);
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf verifier = VGM_BUF_INIT(VERIFIER_MAX);
	struct vgm_msg_signed_checkpoint done = {.body = m->body};
	struct vgm_err err = {.code = 0};
	if (sign_checkpoint(run->state, m->body, &note, &verifier, &err) == 0) {
		done.note = vgm_buf_slice(&note);
		done.verifier = vgm_buf_slice(&verifier);
	} else
		log_failure("sign_checkpoint", &err);
	answer(from, VGM_MSG_signed_checkpoint, &done);
}

/* ---- the end of a day ---- */

static void on_close_day(struct vgm_role_run *run, struct vgm_channel *from, void *message)
{
	struct keyd *k = run->state;
	const struct vgm_msg_close_day *m = message;
	struct vgm_daykeys_clocks clocks = {.wall = day_of(vgm_clock_wall_us()),
	    .ledger = day_of(m->ledger_us), .stamp = day_of(m->stamp_us)};
	struct vgm_msg_day_closed closed = {.day = m->day};
	struct vgm_err err;
	int r = vgm_daykeys_destroy(
	    k->days, m->day, (uint32_t)run->conf.window_days, &clocks, &err);
	closed.ok = r == 0;
	if (r < 0) {
		log_failure("close_day", &err);
		closed.why = vgm_slice(err.text, strnlen(err.text, 200));
	}
	answer(from, VGM_MSG_day_closed, &closed);
}

/* ---- filter workers ---- */

static void on_worker(struct vgm_role_run *run, struct vgm_channel *from, void *message)
{
	struct vgm_msg_worker *m = message;
	/* A template speaks for its own pool only. */
	VGM_BUG_ON(m->pool != (uint8_t)vgm_channel_peer(from) || m->channel < 0);
	(void)vgm_role_adopt(run, m->channel, vgm_channel_peer(from), VGM_INSTANCE_WORKER);
	m->channel = -1;
}

/* ---- TLS ---- */

static void on_tls_certificates(struct vgm_role_run *run, struct vgm_channel *from, void *message)
{
	struct keyd *k = run->state;
	struct vgm_msg_tls_chain chain = {.pem = vgm_keyd_tls_chain(k->tls)};
	(void)message;
	answer(from, VGM_MSG_tls_chain, &chain);
}

static bool may_sign(struct vgm_channel *asker)
{
	struct vgm_keyd_rate *rate = vgm_channel_data(asker);
	if (!rate) {
		rate = vgm_alloc(sizeof *rate);
		vgm_channel_set_data(asker, rate);
	}
	return vgm_keyd_rate_take(rate, vgm_clock_mono_ms());
}

static void on_tls_sign(struct vgm_role_run *run, struct vgm_channel *from, void *message)
{
	struct keyd *k = run->state;
	const struct vgm_msg_tls_sign *m = message;
	uint8_t signature[VGM_KEYD_TLS_SIGNATURE_MAX];
	size_t len = 0;
	struct vgm_err err;
	int r = may_sign(from) ? vgm_keyd_tls_sign(k->tls, m, signature, &len) : VGM_E_LIMIT;
	if (r < 0) {
		vgm_err_set(&err, r, "a handshake signature was refused");
		log_failure("tls_sign", &err);
	}
	struct vgm_msg_tls_signed done = {
	    .digest = m->digest, .signature = vgm_slice(signature, r < 0 ? 0 : len)};
	answer(from, VGM_MSG_tls_signed, &done);
}

/* ---- what may come, and to which instance ---- */

static const struct {
	int type;
	bool tls;
	void (*handle)(struct vgm_role_run *, struct vgm_channel *, void *);
} handlers[] = {
    {VGM_MSG_wrap, false, on_wrap},
    {VGM_MSG_job, false, on_job},
    {VGM_MSG_unwrap, false, on_unwrap},
    {VGM_MSG_lend, false, on_lend},
    {VGM_MSG_sign_checkpoint, false, on_sign_checkpoint},
    {VGM_MSG_close_day, false, on_close_day},
    {VGM_MSG_worker, false, on_worker},
    {VGM_MSG_tls_certificates, true, on_tls_certificates},
    {VGM_MSG_tls_sign, true, on_tls_sign},
};

static void keyd_message(
    struct vgm_role_run *run, struct vgm_channel *from, int type, void *message)
{
	bool tls = run->instance == VGM_INSTANCE_TLS;
	for (size_t i = 0; i < VGM_ARRAY_LEN(handlers); i++)
		if (handlers[i].type == type && handlers[i].tls == tls) {
			handlers[i].handle(run, from, message);
			return;
		}
	VGM_BUG_ON(true);
}

static void keyd_peer_gone(struct vgm_role_run *run, struct vgm_channel *channel)
{
	(void)run;
	vgm_free(vgm_channel_data(channel));
	vgm_channel_set_data(channel, NULL);
}

/* ---- life ---- */

static int get_passphrase(struct vgm_role_run *run, struct vgm_err *err)
{
	struct keyd *k = run->state;
	enum vgm_lang lang = vgm_lang_choose(run->conf.language);
	bool tls = run->instance == VGM_INSTANCE_TLS;
	return vgm_keyd_passphrase(tls ? "keys-tls" : "keys",
	    !vgm_keystore_has_passphrase(run->extra_fd), lang, &k->passphrase, err);
}

static int keyd_prepare(struct vgm_role_run *run, struct vgm_err *err)
{
	struct keyd *k = vgm_alloc(sizeof *k);
	run->state = k;
	vgm_tls_library_init();
	/* Where OpenSSL keeps private numbers: locked, not dumped. Best effort. */
	(void)CRYPTO_secure_malloc_init(SECURE_HEAP_BYTES, 32);
	if (strcmp(run->conf.root_key, "passphrase") == 0) {
		int r = get_passphrase(run, err);
		if (r < 0)
			return r;
	}
	k->hostname = vgm_strdup(run->conf.hostname);
	k->from_files = run->instance == VGM_INSTANCE_TLS && run->conf.tls_certificate[0];
	if (!k->from_files)
		return 0;
	return vgm_keyd_tls_load(run->conf.tls_certificate, run->conf.tls_key, &k->tls, err);
}

static void day_check_due(void *context)
{
	struct keyd *k = context;
	prepare_days(k);
	vgm_timer_in(k->day_check, DAY_CHECK_MS);
}

static int begin_ledger_keys(struct vgm_role_run *run, struct vgm_err *err)
{
	struct keyd *k = run->state;
	int r = vgm_keystore_key(k->store, VGM_KEYSTORE_VIEW, &k->view, err);
	if (r == 0)
		r = vgm_keystore_key(k->store, VGM_KEYSTORE_CHECKPOINT, &k->checkpoint, err);
	if (r < 0)
		return r;
	k->days = vgm_daykeys_new(k->store);
	k->jobs = vgm_keyd_jobs_new();
	k->day_check = vgm_timer_new(run->loop, "day keys", day_check_due, k);
	/* On a full disk tomorrow's key cannot be made yet; today's mail still goes out. */
	day_check_due(k);
	return 0;
}

static int keyd_begin(struct vgm_role_run *run, struct vgm_err *err)
{
	struct keyd *k = run->state;
	int r = vgm_keystore_open(run->extra_fd,
	    vgm_slice(k->passphrase.data, k->passphrase.len), &k->store, err);
	vgm_secret_release(&k->passphrase);
	if (r < 0)
		return r;
	if (run->instance != VGM_INSTANCE_TLS)
		return begin_ledger_keys(run, err);
	if (k->tls)
		return 0;
	uint64_t now_s = vgm_clock_wall_us() / 1000000;
	return vgm_keyd_tls_own(k->store, run->conf.hostname, now_s, &k->tls, err);
}

/* Certificates are read before the sandbox: master starts us anew with the new
 * ones, and smtpd asks again. */
static void keyd_reconfigured(struct vgm_role_run *run)
{
	const struct keyd *k = run->state;
	if (run->instance == VGM_INSTANCE_TLS &&
	    (k->from_files || run->conf.tls_certificate[0] ||
	        strcmp(k->hostname, run->conf.hostname) != 0))
		vgm_role_done(run);
}

const struct vgm_role vgm_role_keyd = {
    .id = VGM_ROLE_KEYD,
    .prepare = keyd_prepare,
    .begin = keyd_begin,
    .message = keyd_message,
    .peer_gone = keyd_peer_gone,
    .reconfigured = keyd_reconfigured,
    .sandbox = {.flags = VGM_SANDBOX_FILES, .files = 1024},
};
