/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Fills a problem: one line, whatever the parts of it came from. */
#include <stdarg.h>
#include <stdio.h>

#include "problem.h"

/* Text from files and arguments may hold anything; a terminal must not be steered by it. */
static void one_line(char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = ' ';
	}
}

int problem_set(struct problem *problem, int error, const char *format, ...)
{
	va_list arguments;

	if (!problem)
		return error;
	va_start(arguments, format);
	if (vsnprintf(problem->text, sizeof(problem->text), format, arguments) < 0)
		problem->text[0] = 0;
	va_end(arguments);
	one_line(problem->text);
	return error;
}
