/* SPDX-License-Identifier: EUPL-1.2
 * base/err.c — see err.h. Also the last words of a process: bug and fatal. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static void VGM_PRINTF(4, 0)
    fill(struct vgm_err *err, int code, int sys_errno, const char *fmt, va_list args)
{
	if (!err)
		return;
	err->code = code;
	err->sys_errno = sys_errno;
	int n = vsnprintf(err->text, sizeof err->text, fmt, args);
	if (n < 0)
		err->text[0] = '\0';
	else if (sys_errno && (size_t)n < sizeof err->text)
		snprintf(err->text + n, sizeof err->text - (size_t)n, ": %s",
		    strerrordesc_np(sys_errno));
}

int vgm_err_set(struct vgm_err *err, int code, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	fill(err, code, 0, fmt, args);
	va_end(args);
	return code;
}

int vgm_err_sys(struct vgm_err *err, const char *fmt, ...)
{
	int saved = errno;
	int code = saved == ENOSPC || saved == EDQUOT ? VGM_E_NOSPACE : VGM_E_IO;
	va_list args;
	va_start(args, fmt);
	fill(err, code, saved, fmt, args);
	va_end(args);
	return code;
}

const char *vgm_err_name(int code)
{
	static const char *const names[] = {"ok", "io", "invalid", "limit", "timeout", "closed",
	    "denied", "not found", "corrupt", "crypto", "busy", "no space", "version"};
	size_t i = (size_t)-(long)code;
	return code <= 0 && i < VGM_ARRAY_LEN(names) ? names[i] : "unknown";
}

void vgm_bug(const char *file, int line, const char *what)
{
	fprintf(stderr, "vgm: bug at %s:%d: %s\n", file, line, what);
	abort();
}

void vgm_fatal(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	fputs("vgm: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	_exit(1);
}

void *vgm_alloc(size_t bytes)
{
	void *p = calloc(1, bytes ? bytes : 1);
	if (!p)
		vgm_bug(__FILE__, __LINE__, "out of memory");
	return p;
}

void *vgm_realloc(void *old, size_t bytes)
{
	void *p = realloc(old, bytes ? bytes : 1);
	if (!p)
		vgm_bug(__FILE__, __LINE__, "out of memory");
	return p;
}

char *vgm_strdup(const char *s)
{
	size_t n = strlen(s) + 1;
	return memcpy(vgm_alloc(n), s, n);
}

void vgm_free(void *memory)
{
	free(memory);
}
