/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whether a file is at rest: one that somebody is writing must not be put in force half. A writer that stops
 * for half a second is not seen; who replaces the file by a rename is always safe.
 */
#ifndef SETTLED_H
#define SETTLED_H

#include <sys/stat.h>

#include "problem.h"

/*
 * Waits until the file has not changed for 50 ms, for 500 ms while it is open for writing; two seconds at most: then -EINVAL with a problem.
 * *seen is what it was like. A file that is not there, or no file, is left to whoever opens it: 0.
 */
int settled_wait(const char *path, struct stat *seen, struct problem *problem);

/* After reading: 0 if it is still the same, else -EINVAL with a problem. */
int settled_check(const char *path, const struct stat *seen, struct problem *problem);

#endif
