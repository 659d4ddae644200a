/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `sipdam stats [IFACE] [--json]`: the counters of the running filter, once. For a graph of them over
 * time there is `sipdam serve`.
 */
#include <argp.h>
#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "command.h"
#include "render.h"

struct options {
	const char *interface; /* NULL: all */
	bool json;
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'j':
		options->json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (options->interface)
			argp_error(state, "one interface at most: %s is one too many", argument);
		options->interface = argument;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option long_options[] = {
	{"json", 'j', NULL, 0, "Print one JSON object", 0},
	{0},
};

static const struct argp parser = {
	.options = long_options,
	.parser = parse_option,
	.args_doc = "[IFACE]",
	.doc = "Packets, bytes and SIP messages that the filter let through and dropped.\v"
	       "Examples:\n"
	       "  sipdam stats\n"
	       "  sipdam stats eth0 --json | jq '.interfaces[0].reasons'",
};

static int check_interface(const struct snapshot *snapshot, const char *name, struct problem *problem)
{
	for (size_t i = 0; i < snapshot->interfaces; i++)
		if (!name || !strcmp(snapshot->interface[i].name, name))
			return 0;
	if (!name)
		return problem_set(problem, -ENOENT,
				   "nothing is attached: start with `sipdam attach INTERFACE`");
	return problem_set(problem, -ENODEV,
			   "%s: sipdam is not attached there: `sipdam status` lists where it is", name);
}

int cmd_stats(int argc, char **argv)
{
	_cleanup_free_ struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
	struct options options = {0};
	struct problem problem = {0};
	int error;

	if (command_parse(&parser, argc, argv, &options))
		return EXIT_USAGE;
	if (!snapshot)
		return command_fail("stats", -ENOMEM, &problem);
	error = snapshot_read(snapshot, &problem);
	if (!error)
		error = check_interface(snapshot, options.interface, &problem);
	if (!error && options.json)
		error = command_print(render_json_stats(snapshot, options.interface), JSON_COMPACT);
	else if (!error)
		render_text_stats(snapshot, options.interface, stdout);
	return error ? command_fail("stats", error, &problem) : EXIT_DONE;
}
