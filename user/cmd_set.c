/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `sipdam set KEY=VALUE...`: changes the running filter, all or nothing, by one switch of policies. */
#include <argp.h>
#include <errno.h>
#include <stdio.h>

#include "cleanup.h"
#include "command.h"
#include "live.h"
#include "pins.h"

#define ASSIGNMENTS_MAX    128
#define _cleanup_settings_ __attribute__((cleanup(settings_free)))

struct arguments {
	const char *assignment[ASSIGNMENTS_MAX];
	size_t count;
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (arguments->count == ASSIGNMENTS_MAX)
			argp_error(state, "at most %d settings at once", ASSIGNMENTS_MAX);
		arguments->assignment[arguments->count++] = argument;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "no KEY=VALUE given: `sipdam get` lists the keys");
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp parser = {
	.parser = parse_option,
	.args_doc = "KEY=VALUE...",
	.doc = "Changes the running filter at once, without a restart: all of the settings given or, if one "
	       "is "
	       "wrong, none. They last until the next `sipdam reload` or detach; what shall stay belongs in "
	       "the "
	       "configuration file.\v"
	       "Examples:\n"
	       "  sipdam set mode=monitor\n"
	       "  sipdam set limits.unknown.invite.rate=5 limits.unknown.invite.burst=20\n"
	       "  sipdam set 'limits.pool.register={rate: 50, burst: 100}'\n"
	       "  sipdam set limits.unknown.options=unlimited ports.udp=5060,5080",
};

static int change(const struct arguments *arguments, struct settings *settings, struct problem *problem)
{
	int error = pins_check(NULL, problem);

	if (!error)
		error = live_policy(&settings->policy, problem);
	for (size_t i = 0; !error && i < arguments->count; i++)
		error = settings_assign(settings, arguments->assignment[i], problem);
	if (!error)
		error = settings_finish(settings, problem);
	return error ? error : live_commit(settings, problem);
}

int cmd_set(int argc, char **argv)
{
	_cleanup_settings_ struct settings settings = {};
	struct arguments arguments = {};
	struct problem problem = {0};
	_cleanup_close_ int lock = -1;
	int error;

	if (command_parse(&parser, argc, argv, &arguments))
		return EXIT_USAGE;
	lock = pins_lock(false, &problem);
	error = lock < 0 ? lock : change(&arguments, &settings, &problem);
	return error ? command_fail("set", error, &problem) : EXIT_DONE;
}
