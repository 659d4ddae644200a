/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What every command does alike: one-line errors, exit codes, the habits of its argp parser. */
#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "command.h"

#define LINE_ROOM 1024

int command_fail(const char *command, int error, const struct problem *problem)
{
	int number = error < 0 ? -error : error;

	fflush(stdout);
	if (problem && problem->text[0])
		fprintf(stderr, "sipdam %s: %s\n", command, problem->text);
	else
		fprintf(stderr, "sipdam %s: %s\n", command, strerror(number));
	return number == EINVAL ? EXIT_USAGE : EXIT_FAILED;
}

int command_print(json_t *object, size_t flags)
{
	bool printed = object && (!json_dumpf(object, stdout, flags) || ferror(stdout));

	json_decref(object);
	putchar('\n');
	return printed ? 0 : -ENOMEM;
}

/* The parser that command_parse runs, for hush(); a command parses its arguments once at a time. */
static const struct argp *running;
static FILE *hushed;

/* argp's own errors come as "sipdam x: what is wrong\nTry `sipdam x --help'...\n": the first line will do. */
static ssize_t write_first_line(void *cookie, const char *text, size_t size)
{
	const char *end = memchr(text, '\n', size);
	size_t line = end ? (size_t)(end - text) : size;

	(void)cookie;
	if (line && strncmp(text, "Try `", line < 5 ? line : 5))
		fprintf(stderr, "%.*s; see --help\n", (int)line, text);
	return (ssize_t)size;
}

static error_t hush(int key, char *argument, struct argp_state *state)
{
	if (key == ARGP_KEY_INIT && hushed)
		state->err_stream = hushed;
	return running->parser(key, argument, state);
}

int command_parse(const struct argp *argp, int argc, char **argv, void *input)
{
	static char name[64], buffer[LINE_ROOM];
	struct argp quiet = *argp;
	error_t error;

	snprintf(name, sizeof(name), "sipdam %s", argv[0]);
	argv[0] = name;
	running = argp;
	quiet.parser = hush;
	hushed = fopencookie(NULL, "w", (cookie_io_functions_t){.write = write_first_line});
	if (hushed)
		setvbuf(hushed, buffer, _IOFBF, sizeof(buffer)); /* a message and its "Try" in one write */
	argp_err_exit_status = EXIT_USAGE;
	error = argp_parse(&quiet, argc, argv, 0, NULL, input);
	if (hushed)
		fclose(hushed);
	hushed = NULL;
	return error ? -EINVAL : 0;
}
