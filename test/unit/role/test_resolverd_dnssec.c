/* SPDX-License-Identifier: EUPL-1.2
 * role/resolverd.c in front of a real name server (bind9) with a signed zone:
 * what is proved is secure, what was altered is bogus. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "role_fixture.h"

#include "net/dns.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>

struct world {
	char dir[64];
	pid_t named;
	struct role_process resolverd;
	int relayd;
};

/* One that was free a moment ago, for UDP. */
static unsigned free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	close(fd);
	return ntohs(a.sin_port);
}

static pid_t start_named(const char *dir, unsigned port)
{
	char script[4096], number[16];
	const char *source = getenv("VGM_SOURCE");
	snprintf(script, sizeof script, "%s/test/unit/role/signed_zone.sh", source ? source : ".");
	snprintf(number, sizeof number, "%u", port);
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl("/bin/sh", "sh", script, dir, number, (char *)NULL);
		_exit(127);
	}
	return pid;
}

/* The trust anchor, once the script has written it. False: it never does. */
static bool read_anchor(const struct world *w, char *out, size_t len)
{
	char path[100];
	snprintf(path, sizeof path, "%s/anchor", w->dir);
	uint64_t until = vgm_clock_mono_ms() + 30000;
	while (vgm_clock_mono_ms() < until && waitpid(w->named, NULL, WNOHANG) == 0) {
		FILE *f = fopen(path, "r");
		if (f) {
			bool ok = fgets(out, (int)len, f) != NULL;
			fclose(f);
			out[strcspn(out, "\n")] = '\0';
			return ok;
		}
		usleep(20000);
	}
	return false;
}

static int world_up(void **state)
{
	struct world *w = vgm_alloc(sizeof *w);
	char anchor[500], options[1000];
	unsigned port = free_port();
	*state = w;
	if (access("/usr/sbin/named", X_OK) < 0)
		return 0; /* each test says that it is skipped */
	snprintf(w->dir, sizeof w->dir, "/tmp/vgm-test-zone-XXXXXX");
	if (!mkdtemp(w->dir))
		return -1;
	w->named = start_named(w->dir, port);
	if (!read_anchor(w, anchor, sizeof anchor))
		return -1;
	snprintf(options, sizeof options,
	    "{dns: {servers: [\"127.0.0.1:%u\"], root_anchor: \"\", trust_anchors: [\"%s\"]}}", port,
	    anchor);
	w->resolverd = role_fork(&vgm_role_resolverd);
	role_configure(&w->resolverd, VGM_INSTANCE_ONLY, options, -1);
	w->relayd = role_peer(&w->resolverd, VGM_ROLE_RELAYD, VGM_INSTANCE_ONLY);
	return role_start(&w->resolverd);
}

static int world_down(void **state)
{
	struct world *w = *state;
	if (w->named) {
		(void)role_stop(&w->resolverd);
		close(w->relayd);
		kill(w->named, SIGKILL);
		waitpid(w->named, NULL, 0);
		DIR *d = opendir(w->dir);
		for (struct dirent *e = readdir(d); e; e = readdir(d))
			(void)unlinkat(dirfd(d), e->d_name, 0);
		closedir(d);
		rmdir(w->dir);
	}
	vgm_free(w);
	return 0;
}

static const struct vgm_msg_resolved *resolve(
    struct world *w, const char *name, uint16_t type, struct vgm_received *got)
{
	struct vgm_msg_resolve m = {.tag = 5, .name = vgm_slice_str(name), .type = type};
	return role_call(w->relayd, VGM_MSG_resolve, &m, VGM_MSG_resolved, got);
}

static void test_validation(void **state)
{
	static const struct {
		const char *name;
		uint16_t type;
		uint8_t status, secure;
		size_t count;
	} cases[] = {
	    {"hosp.test", VGM_DNS_MX, VGM_DNS_OK, 1, 1},
	    {"_25._tcp.mx.hosp.test", VGM_DNS_TLSA, VGM_DNS_OK, 1, 1},
	    {"_25._tcp.bad.hosp.test", VGM_DNS_TLSA, VGM_DNS_BOGUS, 0, 0},
	    {"nobody.hosp.test", VGM_DNS_A, VGM_DNS_NXDOMAIN, 1, 0},
	    {"mx.hosp.test", VGM_DNS_AAAA, VGM_DNS_OK, 1, 0},
	    {"plain.test", VGM_DNS_MX, VGM_DNS_OK, 0, 1},
	    {"nobody.plain.test", VGM_DNS_MX, VGM_DNS_NXDOMAIN, 0, 0},
	};
	struct world *w = *state;
	VGM_CLEANUP(vgm_received_release) struct vgm_received got = VGM_RECEIVED_INIT;
	if (!w->named) {
		print_message("bind9 is not installed\n");
		skip();
	}
	/* The server may still be reading its zones. */
	uint64_t until = vgm_clock_mono_ms() + 20000;
	while (resolve(w, "plain.test", VGM_DNS_MX, &got)->answers_count == 0 &&
	    vgm_clock_mono_ms() < until)
		usleep(300000);
	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
			const struct vgm_msg_resolved *m =
			    resolve(w, cases[i].name, cases[i].type, &got);
			if (m->status != cases[i].status || m->secure != cases[i].secure)
				print_error("%s: status %u, secure %u\n", cases[i].name, m->status,
				    m->secure);
			assert_int_equal(m->status, cases[i].status);
			assert_int_equal(m->secure, cases[i].secure);
			assert_int_equal(m->answers_count, cases[i].count);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_validation)};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, world_up, world_down);
}
