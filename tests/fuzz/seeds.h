/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * First inputs of a fuzzer, made by code: written into the corpus directory that it is called with, where
 * they are not there yet.
 */
#ifndef FUZZ_SEEDS_H
#define FUZZ_SEEDS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first argument that is a directory, or NULL: then inputs are given one by one. */
static inline const char *seeds_folder(int argc, char **argv)
{
	struct stat status;

	for (int i = 1; i < argc; i++) {
		if (argv[i][0] != '-' && !stat(argv[i], &status) && S_ISDIR(status.st_mode))
			return argv[i];
	}
	return NULL;
}

static inline void seed_write(const char *folder, const char *name, const void *data, size_t size)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/seed-%s", folder, name);
	file = access(path, F_OK) ? fopen(path, "w") : NULL;
	if (!file)
		return;
	if (fwrite(data, 1, size, file) != size)
		abort();
	fclose(file);
}

/* The same with a number for its name. */
static inline void seed_write_number(const char *folder, size_t number, const void *data, size_t size)
{
	char name[32];

	snprintf(name, sizeof(name), "%03zu", number);
	seed_write(folder, name, data, size);
}

#endif
