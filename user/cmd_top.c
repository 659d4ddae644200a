/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `sipdam top`: who has most dropped. */
#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bans.h"
#include "cleanup.h"
#include "command.h"
#include "live.h"
#include "loudest.h"
#include "pins.h"
#include "top.h"

#define ROWS     10
#define ROWS_MAX 1000000

struct arguments {
	size_t most;
	bool json;
};

static size_t parse_number(const char *text, struct argp_state *state)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long number = digits && digits < 8 && !text[digits] ? strtoul(text, NULL, 10) : 0;

	if (number < 1 || number > ROWS_MAX)
		argp_error(state, "-n: \"%s\" is not a number from 1 to %d", text, ROWS_MAX);
	return number;
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'j':
		arguments->json = true;
		return 0;
	case 'n':
		arguments->most = parse_number(argument, state);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument \"%s\"", argument);
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{"number", 'n', "N", 0, "So many sources at most (10)", 0},
	{"json", 'j', NULL, 0, "Print one JSON object", 0},
	{0},
};

static const struct argp parser = {
	.options = options,
	.parser = parse_option,
	.doc = "The loudest sources whose packets are dropped for what they send: those over their own "
	       "limits in the last five minutes, and banned ones. Counts of limits are estimates from one "
	       "refused packet in sixteen.\v"
	       "Examples:\n"
	       "  sipdam top\n"
	       "  sipdam top -n 3\n"
	       "  sipdam top --json | jq -r '.sources[].address'",
};

static int read_bans(const struct sipdam_policy *policy, __u64 now, struct ban_entries *entries,
		     struct problem *problem)
{
	struct bans bans;
	int error = bans_read(&bans, true, problem);

	if (error)
		return error;
	error = bans_list(&bans, policy, now, entries);
	bans_close(&bans);
	return error;
}

static int read_top(struct top *top, struct problem *problem)
{
	_cleanup_free_ struct over_limits *over = calloc(1, sizeof(*over));
	struct ban_entries bans = {};
	struct sipdam_policy policy;
	int error = over ? pins_check(NULL, problem) : -ENOMEM;

	if (!error)
		error = live_policy(&policy, problem);
	if (!error)
		error = loudest_read(over, problem);
	if (!error)
		error = read_bans(&policy, over->now, &bans, problem);
	if (!error)
		error = top_make(top, over, &bans, &policy);
	ban_entries_free(&bans);
	return error;
}

int cmd_top(int argc, char **argv)
{
	struct arguments arguments = {.most = ROWS};
	struct problem problem = {0};
	struct top top = {};
	int error;

	if (command_parse(&parser, argc, argv, &arguments))
		return EXIT_USAGE;
	error = read_top(&top, &problem);
	if (!error && arguments.json)
		error = command_print(top_json(&top, arguments.most), JSON_COMPACT);
	else if (!error)
		top_print(&top, arguments.most, stdout);
	top_free(&top);
	return error ? command_fail("top", error, &problem) : EXIT_DONE;
}
