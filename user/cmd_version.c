/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `sipdam version`: which version this tool is; needs nothing and touches nothing. */
#include <argp.h>
#include <stdbool.h>
#include <stdio.h>

#include "command.h"

static const struct argp_option options[] = {
	{"json", 'j', NULL, 0, "Print {\"version\":\"...\"}", 0},
	{0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	bool *json = state->input;

	switch (key) {
	case 'j':
		*json = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument \"%s\"", argument);
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int cmd_version(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.doc = "Prints the version of this tool.\v"
		       "Examples:\n"
		       "  sipdam version\n"
		       "  sipdam version --json",
	};
	bool json = false;

	if (command_parse(&argp, argc, argv, &json))
		return EXIT_USAGE;
	if (json)
		printf("{\"version\":\"%s\"}\n", SIPDAM_VERSION);
	else
		printf("sipdam %s\n", SIPDAM_VERSION);
	return EXIT_DONE;
}
