/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `sipdam confirm`: takes the deadline of `attach --confirm` out of the policy, so that the filter stays. */
#include <argp.h>
#include <errno.h>
#include <stdio.h>

#include "cleanup.h"
#include "command.h"
#include "live.h"
#include "pins.h"

#define SECOND 1000000000LL

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	bool *late = state->input;

	switch (key) {
	case 'l':
		*late = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument \"%s\"", argument);
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{"late", 'l', NULL, 0, "Put the filter in force again if the deadline has passed", 0},
	{0},
};

static const struct argp parser = {
	.options = options,
	.parser = parse_option,
	.doc = "Keeps in force what `sipdam attach` put there with a deadline. Without it the filter lets "
	       "everything pass from the deadline on. Once that has passed, --late says that you mean it.\v"
	       "Examples:\n"
	       "  sipdam confirm         can you still log in, do calls work? Then it stays\n"
	       "  sipdam confirm --late  drop again, though the deadline has passed",
};

static int confirm(bool late, struct problem *problem)
{
	__s64 left = 0;
	int error = pins_check(NULL, problem);

	if (!error)
		error = live_confirm(late, &left, problem);
	if (error == -ENODATA) {
		printf("no deadline is set: nothing to confirm\n");
		return 0;
	}
	if (error == -ETIME)
		return problem_set(problem, error,
				   "the deadline passed %lld s ago, and the filter lets everything pass: "
				   "`sipdam confirm --late` puts it in force again",
				   (long long)(-left / SECOND));
	if (!error && left > 0)
		printf("confirmed %lld s before the deadline: the filter stays in force\n",
		       (long long)(left / SECOND));
	else if (!error)
		printf("confirmed %lld s after the deadline: the filter is in force again\n",
		       (long long)(-left / SECOND));
	return error;
}

int cmd_confirm(int argc, char **argv)
{
	struct problem problem = {0};
	_cleanup_close_ int lock = -1;
	bool late = false;
	int error;

	if (command_parse(&parser, argc, argv, &late))
		return EXIT_USAGE;
	lock = pins_lock(false, &problem);
	error = lock < 0 ? lock : confirm(late, &problem);
	return error ? command_fail("confirm", error, &problem) : EXIT_DONE;
}
