/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See settled.h. By the time of the last change, who has it open, and what stat says before and after. */
#include "settled.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"

#define SETTLED_MS 50  /* longer than a program pauses between two files that it writes */
#define OPEN_MS	   500 /* the same while somebody has it open for writing, as some do for good */
#define WAIT_MS	   2000 /* a file that never rests is a log, not a configuration */
#define STEP_MS	   5

static int is_written(const char *path, struct problem *problem)
{
	return problem_set(problem, -EINVAL, "reading the configuration %s: somebody is writing it: try again "
					     "when it is whole",
			   path);
}

/* Milliseconds since the last change; one in the future, by a clock that was set back, is long ago. */
static long long age(const struct stat *file)
{
	struct timespec now;
	long long ms;

	clock_gettime(CLOCK_REALTIME, &now);
	ms = (now.tv_sec - file->st_mtim.tv_sec) * 1000LL + (now.tv_nsec - file->st_mtim.tv_nsec) / 1000000;
	return ms < -1000 ? OPEN_MS : ms;
}

/*
 * Has somebody the file open for writing? The kernel lends a file for reading only where nobody has; who
 * comes to write at that moment is told to wait, and we by a signal to hurry. Without the right, or on a file
 * system that lends nothing, nobody is seen.
 */
static bool is_open_for_writing(const char *path)
{
	void (*before)(int) = signal(SIGIO, SIG_IGN);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	bool busy = fd >= 0 && fcntl(fd, F_SETLEASE, F_RDLCK) && errno == EAGAIN;

	if (fd >= 0 && !busy)
		fcntl(fd, F_SETLEASE, F_UNLCK);
	signal(SIGIO, before);
	return busy;
}

int settled_wait(const char *path, struct stat *seen, struct problem *problem)
{
	static const struct timespec step = {.tv_nsec = STEP_MS * 1000000};

	for (int waited = 0; waited < WAIT_MS; waited += STEP_MS) {
		memset(seen, 0, sizeof(*seen));
		if (stat(path, seen) || !S_ISREG(seen->st_mode) || age(seen) >= OPEN_MS ||
		    (age(seen) >= SETTLED_MS && !is_open_for_writing(path)))
			return 0;
		nanosleep(&step, NULL);
	}
	return is_written(path, problem);
}

int settled_check(const char *path, const struct stat *seen, struct problem *problem)
{
	struct stat now = {};

	if (stat(path, &now) || !S_ISREG(now.st_mode))
		return 0;
	if (now.st_ino == seen->st_ino && now.st_size == seen->st_size &&
	    !memcmp(&now.st_mtim, &seen->st_mtim, sizeof(now.st_mtim)))
		return 0;
	return is_written(path, problem);
}
