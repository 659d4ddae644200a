/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What fuzzers share beside their seeds: a fact that must hold, and an input as a file. */
#ifndef FUZZ_HARNESS_H
#define FUZZ_HARNESS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static inline void require(bool fact)
{
	if (!fact)
		abort();
}

/* A file in memory that holds these bytes and no others. */
static inline const char *file_of(const void *data, size_t size)
{
	static char path[64];
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("input", MFD_CLOEXEC);
	require(fd >= 0 && !ftruncate(fd, 0) && pwrite(fd, data, size, 0) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

#endif
