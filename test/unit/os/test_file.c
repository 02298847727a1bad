/* SPDX-License-Identifier: EUPL-1.2
 * Durable files: what stands after a success, what stands after a failure. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "os/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[] = "/tmp/vgm-test-file-XXXXXX";
static int dir = -1;

static int make_directory(void **state)
{
	(void)state;
	if (!mkdtemp(path))
		return -1;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0;
}

/* Names in the directory, without "." and "..". */
static size_t count_names(void)
{
	size_t n = 0;
	DIR *d = opendir(path);
	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void remove_all(void)
{
	DIR *d = opendir(path);
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		if (e->d_name[0] != '.' || strlen(e->d_name) > 2)
			if (unlinkat(dir, e->d_name, 0) < 0)
				assert_int_equal(unlinkat(dir, e->d_name, AT_REMOVEDIR), 0);
	closedir(d);
}

static int remove_directory(void **state)
{
	(void)state;
	remove_all();
	close(dir);
	return rmdir(path);
}

static void expect_content(const char *name, struct vgm_slice expected)
{
	struct vgm_buf b = VGM_BUF_INIT(1 << 20);
	assert_int_equal(vgm_file_read_at(dir, name, &b, NULL), 0);
	assert_true(vgm_slice_eq(vgm_buf_slice(&b), expected));
	vgm_buf_release(&b);
}

static void test_replace(void **state)
{
	(void)state;
	static uint8_t large[200001];
	memset(large, 'x', sizeof large);
	const struct vgm_slice contents[] = {VGM_SLICE_LIT("first"), VGM_SLICE_NONE,
	    VGM_SLICE_LIT("the third, longer"), vgm_slice(large, sizeof large), VGM_SLICE_LIT("s")};
	mode_t before = umask(077);
	for (size_t i = 0; i < VGM_ARRAY_LEN(contents); i++) {
		struct stat st;
		unsigned mode = i % 2 ? 0644 : 0600;
		assert_int_equal(vgm_file_replace_at(dir, "a", contents[i], mode, NULL), 0);
		expect_content("a", contents[i]);
		assert_int_equal(fstatat(dir, "a", &st, 0), 0);
		assert_int_equal(st.st_mode & 0777, mode);
		assert_int_equal(count_names(), 1);
	}
	umask(before);
	remove_all();
}

/* What a crash left under the temporary name, or put there to be followed. */
static void test_leftovers(void **state)
{
	(void)state;
	struct vgm_err err;
	int fd = openat(dir, ".a.new", O_WRONLY | O_CREAT, 0400);
	assert_true(fd >= 0 && write(fd, "torn and much longer than the new one", 37) == 37);
	close(fd);
	assert_int_equal(fchmodat(dir, ".a.new", 0600, 0), 0);
	assert_int_equal(vgm_file_replace_at(dir, "a", VGM_SLICE_LIT("new"), 0600, &err), 0);
	expect_content("a", VGM_SLICE_LIT("new"));
	assert_int_equal(count_names(), 1);
	assert_int_equal(symlinkat("a", dir, ".b.new"), 0);
	assert_int_equal(
	    vgm_file_replace_at(dir, "b", VGM_SLICE_LIT("led astray"), 0600, &err), VGM_E_IO);
	expect_content("a", VGM_SLICE_LIT("new"));
	remove_all();
}

static void test_replace_refused(void **state)
{
	(void)state;
	struct vgm_err err;
	char name[NAME_MAX + 2];
	memset(name, 'n', sizeof name);
	name[NAME_MAX] = '\0';
	assert_int_equal(
	    vgm_file_replace_at(dir, name, VGM_SLICE_NONE, 0600, &err), VGM_E_INVALID);
	assert_int_equal(
	    vgm_file_replace_at(dir, "../x", VGM_SLICE_NONE, 0600, &err), VGM_E_INVALID);
	name[NAME_MAX - 5] = '\0';
	assert_int_equal(vgm_file_replace_at(dir, name, VGM_SLICE_NONE, 0600, &err), 0);
	assert_int_equal(vgm_file_replace_at(-1, "x", VGM_SLICE_NONE, 0600, &err), VGM_E_IO);
	assert_int_equal(mkdirat(dir, "d", 0700), 0);
	assert_int_equal(vgm_file_replace_at(dir, "d", VGM_SLICE_NONE, 0600, &err), VGM_E_IO);
	assert_int_equal(count_names(), 2);
	remove_all();
}

/* The disk gives out in the middle: the old content stands, nothing is left. */
static void test_replace_fails_midway(void **state)
{
	(void)state;
	static uint8_t large[100000];
	struct vgm_err err;
	struct rlimit before, small;
	assert_int_equal(vgm_file_replace_at(dir, "a", VGM_SLICE_LIT("old"), 0600, NULL), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = 50000;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	int r = vgm_file_replace_at(dir, "a", vgm_slice(large, sizeof large), 0600, &err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(r, VGM_E_IO);
	expect_content("a", VGM_SLICE_LIT("old"));
	assert_int_equal(count_names(), 1);
	remove_all();
}

static void test_append(void **state)
{
	static const char *const pieces[] = {"one\n", "", "two\n"};
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf got = VGM_BUF_INIT(100);
	struct vgm_err err;
	(void)state;
	for (size_t i = 0; i < VGM_ARRAY_LEN(pieces); i++)
		assert_int_equal(
		    vgm_file_append_at(dir, "notes", vgm_slice_str(pieces[i]), &err), 0);
	assert_int_equal(vgm_file_read_at(dir, "notes", &got, &err), 0);
	assert_string_equal(vgm_buf_str(&got), "one\ntwo\n");
	assert_int_equal(symlinkat("notes", dir, "link"), 0);
	assert_int_equal(vgm_file_append_at(dir, "link", VGM_SLICE_LIT("x"), &err), VGM_E_IO);
	assert_int_equal(vgm_file_append_at(dir, "no/such", VGM_SLICE_LIT("x"), &err), VGM_E_IO);
	remove_all();
}

static void test_take_name(void **state)
{
	(void)state;
	struct vgm_err err;
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf got = VGM_BUF_INIT(100);
	assert_int_equal(vgm_file_take_name_at(dir, "new", "old", &err), VGM_E_NOTFOUND);
	assert_int_equal(vgm_file_replace_at(dir, "new", VGM_SLICE_LIT("new"), 0600, &err), 0);
	assert_int_equal(vgm_file_take_name_at(dir, "new", "old", &err), 0); /* nobody had it */
	assert_int_equal(vgm_file_replace_at(dir, "new", VGM_SLICE_LIT("newer"), 0600, &err), 0);
	assert_int_equal(vgm_file_take_name_at(dir, "new", "old", &err), 0);
	assert_int_equal(vgm_file_read_at(dir, "old", &got, &err), 0);
	assert_string_equal(vgm_buf_str(&got), "newer");
	assert_int_equal(vgm_file_take_name_at(dir, "old", "no/where", &err), VGM_E_NOTFOUND);
	assert_int_equal(count_names(), 1);
	remove_all();
}

static void test_read(void **state)
{
	(void)state;
	static uint8_t large[70000];
	struct vgm_err err;
	struct vgm_buf b = VGM_BUF_INIT(65540);
	assert_int_equal(vgm_buf_add_str(&b, "kept"), 0);
	assert_int_equal(vgm_file_read_at(dir, "absent", &b, &err), VGM_E_NOTFOUND);
	assert_int_equal(mkdirat(dir, "d", 0700), 0);
	assert_int_equal(vgm_file_read_at(dir, "d", &b, &err), VGM_E_INVALID);
	assert_int_equal(mkfifoat(dir, "fifo", 0600), 0);
	assert_int_equal(vgm_file_read_at(dir, "fifo", &b, &err), VGM_E_INVALID);
	for (size_t len = 65535; len <= 65538; len++) {
		assert_int_equal(vgm_file_replace_at(dir, "f", vgm_slice(large, len), 0600, NULL), 0);
		int expected = len <= 65536 ? 0 : VGM_E_LIMIT;
		assert_int_equal(vgm_file_read_at(dir, "f", &b, &err), expected);
		assert_int_equal(b.len, expected ? 4 : len + 4);
		vgm_buf_truncate(&b, 4);
	}
	assert_memory_equal(b.data, "kept", 4);
	vgm_buf_release(&b);
	remove_all();
}

static void test_directory(void **state)
{
	(void)state;
	struct vgm_err err;
	struct stat st;
	char name[100];
	int fd = -1;
	for (int i = 0; i < 2; i++) { /* made, then found */
		assert_int_equal(vgm_file_directory_at(dir, "d", 0700, &fd, &err), 0);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0700);
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		close(fd);
	}
	snprintf(name, sizeof name, "%s/e", path);
	assert_int_equal(vgm_file_directory_at(AT_FDCWD, name, 0700, &fd, &err), 0);
	close(fd);
	fd = -1;
	assert_int_equal(vgm_file_replace_at(dir, "f", VGM_SLICE_NONE, 0600, &err), 0);
	assert_int_equal(vgm_file_directory_at(dir, "f", 0700, &fd, &err), VGM_E_IO);
	assert_int_equal(vgm_file_directory_at(dir, "x/y", 0700, &fd, &err), VGM_E_IO);
	assert_int_equal(fd, -1);
	remove_all();
}

static void test_lock(void **state)
{
	(void)state;
	int first = -1, second = -1;
	struct vgm_err err;
	assert_int_equal(vgm_file_lock_at(dir, "lock", &first, &err), 0);
	assert_int_equal(vgm_file_lock_at(dir, "lock", &second, &err), VGM_E_BUSY);
	assert_int_equal(second, -1);
	close(first);
	assert_int_equal(vgm_file_lock_at(dir, "lock", &second, &err), 0);
	close(second);
	assert_int_equal(mkdirat(dir, "d", 0700), 0);
	assert_int_equal(vgm_file_lock_at(dir, "d", &second, &err), VGM_E_IO);
	remove_all();
}

static void test_lock_dies_with_its_process(void **state)
{
	(void)state;
	int fd, ready[2], status;
	char c;
	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0) {
		if (vgm_file_lock_at(dir, "lock", &fd, NULL) == 0 && write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(vgm_file_lock_at(dir, "lock", &fd, NULL), VGM_E_BUSY);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(vgm_file_lock_at(dir, "lock", &fd, NULL), 0);
	close(fd);
	close(ready[0]);
	close(ready[1]);
	remove_all();
}

static void test_preallocate(void **state)
{
	(void)state;
	struct stat st;
	struct vgm_err err;
	int fd = openat(dir, "segment", O_RDWR | O_CREAT, 0600);
	assert_int_equal(pwrite(fd, "head", 4, 0), 4);
	assert_int_equal(vgm_file_preallocate(fd, 0, &err), 0);
	assert_int_equal(vgm_file_preallocate(fd, 300000, &err), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 300000);
	assert_true(st.st_blocks * 512 >= 300000);
	char head[5] = "";
	assert_int_equal(pread(fd, head, 4, 0), 4);
	assert_string_equal(head, "head");
	assert_int_equal(vgm_file_preallocate(fd, 1000, &err), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 300000);
	close(fd);
	assert_int_equal(vgm_file_preallocate(-1, 10, &err), VGM_E_IO);
	int too_much = openat(dir, "large", O_RDWR | O_CREAT, 0600);
	assert_true(vgm_file_preallocate(too_much, 1ull << 60, &err) < 0);
	close(too_much);
	remove_all();
}

static void test_free_bytes(void **state)
{
	(void)state;
	uint64_t bytes = 0;
	assert_int_equal(vgm_file_free_bytes(dir, &bytes, NULL), 0);
	assert_true(bytes > 0);
	assert_int_equal(vgm_file_free_bytes(-1, &bytes, NULL), VGM_E_IO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_replace),
	    cmocka_unit_test(test_leftovers),
	    cmocka_unit_test(test_replace_refused),
	    cmocka_unit_test(test_replace_fails_midway),
	    cmocka_unit_test(test_append),
	    cmocka_unit_test(test_take_name),
	    cmocka_unit_test(test_read),
	    cmocka_unit_test(test_directory),
	    cmocka_unit_test(test_lock),
	    cmocka_unit_test(test_lock_dies_with_its_process),
	    cmocka_unit_test(test_preallocate),
	    cmocka_unit_test(test_free_bytes),
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
