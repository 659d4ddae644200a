/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `sipdam reload [--config FILE]`: puts the configuration file in force. What `set` changed since goes
 * back to the file; list entries of the command line and of feeds stay.
 */
#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "command.h"
#include "egress.h"
#include "filter.h"
#include "live.h"
#include "pins.h"
#include "settled.h"

#define _cleanup_settings_ __attribute__((cleanup(settings_free)))

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	const char **config = state->input;

	switch (key) {
	case 'c':
		*config = argument;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument \"%s\"; a file is given as --config %s", argument,
			   argument);
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{"config", 'c', "FILE", 0, "Another file than the one it was attached with", 0},
	{0},
};

static const struct argp parser = {
	.options = options,
	.parser = parse_option,
	.doc = "Reads the configuration file again and puts it in force, all or nothing: a file with a "
	       "mistake "
	       "changes nothing. Settings made by `sipdam set` go back to the file's; list entries made by "
	       "`add` "
	       "and `import` stay. A changed `sources` begins with empty buckets.\v"
	       "Examples:\n"
	       "  sipdam reload --config new.yaml\n"
	       "  sipdam config check /etc/sipdam/sipdam.yaml && sipdam reload",
};

static int find_file(const char *given, const struct sipdam_meta *meta, char path[PATH_MAX],
		     struct problem *problem)
{
	if (!given && !meta->config[0])
		return problem_set(
			problem, -EINVAL,
			"the filter was attached without a configuration file: name one with --config");
	if (!realpath(given ? given : meta->config, path))
		return problem_set(problem, -EINVAL, "reading the configuration %s: %s",
				   given ? given : meta->config, strerror(errno));
	/* Refused before anything is changed: the running filter must be able to name its file. */
	if (strlen(path) >= sizeof(meta->config))
		return problem_set(problem, -EINVAL,
				   "reading the configuration %s: its full path may have at most %zu "
				   "characters",
				   given, sizeof(meta->config) - 1);
	return 0;
}

static size_t count_set(const struct settings *before)
{
	size_t count = 0;

	for (size_t field = 0; field < settings_field_count(); field++)
		count += !strcmp(settings_field_origin(before, field), "set");
	return count;
}

static int reload(const char *given, struct problem *problem)
{
	_cleanup_settings_ struct settings settings = {}, before = {};
	struct sipdam_meta meta;
	struct stat seen;
	char path[PATH_MAX];
	int error = pins_check(&meta, problem);

	settings_default(&settings);
	if (!error)
		error = find_file(given, &meta, path, problem);
	if (!error)
		error = live_policy(&before.policy, problem);
	if (!error)
		error = settled_wait(path, &seen, problem);
	if (!error)
		error = settings_load(&settings, path, problem) ? -EINVAL : 0;
	if (!error)
		error = settled_check(path, &seen, problem);
	if (error)
		return error;
	/* A list that the file does not name any more is empty now. */
	for (int list = 0; list < SIPDAM_LISTS; list++)
		settings.list_given[list] = true;
	if (settings.policy.sources != meta.sources || strcmp(path, meta.config)) {
		error = filter_install(&settings, path, false, problem);
		/* What reads the server's packets goes on with the tables that there are now. */
		if (!error && egress_install(problem))
			fprintf(stderr, "sipdam reload: %s\n", problem->text);
	} else {
		error = live_commit(&settings, problem);
	}
	if (error)
		return error;
	printf("%s: in force\n", path);
	if (count_set(&before))
		printf("%zu setting%s made by `sipdam set` went back to the file's\n", count_set(&before),
		       count_set(&before) == 1 ? "" : "s");
	return 0;
}

int cmd_reload(int argc, char **argv)
{
	const char *config = NULL;
	struct problem problem = {0};
	_cleanup_close_ int lock = -1;
	int error;

	if (command_parse(&parser, argc, argv, &config))
		return EXIT_USAGE;
	lock = pins_lock(false, &problem);
	error = lock < 0 ? lock : reload(config, &problem);
	return error ? command_fail("reload", error, &problem) : EXIT_DONE;
}
