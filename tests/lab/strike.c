/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Runs a command and kills it after so many microseconds, if it is not done before: strike MICROSECONDS
 * COMMAND [ARGUMENT...]. Says "killed" or "done"; exit 1 where the command could not be run or failed by itself.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	long after = argc > 2 ? strtol(argv[1], NULL, 10) : -1;
	struct timespec instant = {.tv_sec = after / 1000000, .tv_nsec = after % 1000000 * 1000};
	pid_t child;
	int status;

	if (after < 0) {
		fprintf(stderr, "strike: MICROSECONDS COMMAND... expected\n");
		return 2;
	}
	child = fork();
	if (!child) {
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	if (child < 0)
		return 1;
	while (nanosleep(&instant, &instant) && errno == EINTR)
		;
	kill(child, SIGKILL); /* not waited for yet, so the number is still its own */
	if (waitpid(child, &status, 0) != child)
		return 1;
	puts(WIFSIGNALED(status) ? "killed" : "done");
	return WIFEXITED(status) && WEXITSTATUS(status) != 0;
}
