/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How a part tells a command what went wrong: -errno as the return value and, where words are needed
 * (file, line, key, what was expected), one line of them here. Only cmd_* and main print.
 */
#ifndef PROBLEM_H
#define PROBLEM_H

struct problem {
	char text[640]; /* one line without a newline: what, on what, why, what to do */
};

/*
 * Fills the problem and returns the error given, so that a refusal is one line:
 *     return problem_set(problem, -EINVAL, "%s: no such key", key);
 * error: a negative errno. problem may be NULL. A text too long is cut, newlines become spaces.
 */
int problem_set(struct problem *problem, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
