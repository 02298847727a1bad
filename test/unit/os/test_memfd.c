/* SPDX-License-Identifier: EUPL-1.2
 * Sealed memory: what a receiver takes and what it refuses. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "os/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static void test_round_trip(void **state)
{
	(void)state;
	static uint8_t bytes[300000];
	static const size_t sizes[] = {0, 1, 4095, 4096, 4097, sizeof bytes};
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(i * 31);
	for (size_t i = 0; i < VGM_ARRAY_LEN(sizes); i++) {
		int fd;
		struct vgm_mapping m;
		assert_int_equal(vgm_memfd_of("test", vgm_slice(bytes, sizes[i]), &fd, NULL), 0);
		assert_int_equal(vgm_mapping_open(fd, sizes[i], &m, NULL), 0);
		assert_true(vgm_slice_eq(m.bytes, vgm_slice(bytes, sizes[i])));
		vgm_mapping_release(&m);
		vgm_mapping_release(&m);
		assert_int_equal(vgm_mapping_open(fd, sizes[i] + 1, &m, NULL), VGM_E_INVALID);
		if (sizes[i])
			assert_int_equal(vgm_mapping_open(fd, sizes[i] - 1, &m, NULL), VGM_E_INVALID);
		close(fd);
	}
}

static void test_sealed_is_sealed(void **state)
{
	(void)state;
	int fd;
	assert_int_equal(vgm_memfd_of("test", VGM_SLICE_LIT("abc"), &fd, NULL), 0);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 1), -1);
	assert_int_equal(ftruncate(fd, 10), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, 0), -1);
	assert_ptr_equal(mmap(NULL, 3, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
}

/* Each seal but one: a sender could still change what we read. */
static void test_half_sealed_is_refused(void **state)
{
	(void)state;
	static const int seals[] = {F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE};
	for (size_t missing = 0; missing < VGM_ARRAY_LEN(seals); missing++) {
		int fd;
		struct vgm_mapping m;
		assert_int_equal(vgm_memfd_new("test", &fd, NULL), 0);
		assert_int_equal(vgm_memfd_write(fd, "abc", 3, NULL), 0);
		assert_int_equal(vgm_mapping_open(fd, 3, &m, NULL), VGM_E_INVALID);
		for (size_t i = VGM_ARRAY_LEN(seals); i-- > 0;)
			if (i != missing)
				assert_int_equal(fcntl(fd, F_ADD_SEALS, seals[i]), 0);
		assert_int_equal(vgm_mapping_open(fd, 3, &m, NULL), VGM_E_INVALID);
		close(fd);
	}
}

static void test_other_files_are_refused(void **state)
{
	(void)state;
	struct vgm_mapping m;
	int fds[2], file = open("/etc/passwd", O_RDONLY);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(vgm_mapping_open(file, 10, &m, NULL), VGM_E_INVALID);
	assert_int_equal(vgm_mapping_open(fds[0], 0, &m, NULL), VGM_E_INVALID);
	assert_int_equal(vgm_mapping_open(-1, 0, &m, NULL), VGM_E_INVALID);
	assert_int_equal(vgm_memfd_seal(file, NULL), VGM_E_IO);
	assert_int_equal(vgm_memfd_write(file, "x", 1, NULL), VGM_E_IO);
	close(file);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_sealed_is_sealed),
	    cmocka_unit_test(test_half_sealed_is_refused),
	    cmocka_unit_test(test_other_files_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
