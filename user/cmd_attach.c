/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `sipdam attach IFACE...`: loads the filter, or takes over from the one that runs, and attaches it.
 * Either all interfaces named are attached at the end or those that this command attached are not.
 */
#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "command.h"
#include "egress.h"
#include "filter.h"
#include "interface.h"
#include "pins.h"
#include "settled.h"
#include "live.h"
#include "upgrade.h"

struct arguments {
	const char *interface[SIPDAM_INTERFACES_MAX];
	size_t interfaces;
	const char *config;
	enum interface_mode mode;
	bool monitor;
	__u64 confirm; /* nanoseconds; 0: for good */
};

enum { OPTION_CONFIRM = 256 };

/* An operator who is cut off needs at least a moment to see it, and does not wait for more than a week. */
#define CONFIRM_LEAST (1000000000ULL)
#define CONFIRM_MOST  (7 * 86400 * 1000000000ULL)

#define _cleanup_settings_ __attribute__((cleanup(settings_free)))

static enum interface_mode parse_mode(const char *text, struct argp_state *state)
{
	if (!strcmp(text, "auto"))
		return INTERFACE_MODE_AUTO;
	if (!strcmp(text, "native"))
		return INTERFACE_MODE_NATIVE;
	if (strcmp(text, "generic"))
		argp_error(state, "--mode is auto, native or generic, not \"%s\"", text);
	return INTERFACE_MODE_GENERIC;
}

static __u64 parse_confirm(const char *text, struct argp_state *state)
{
	__u64 time = 0;

	if (settings_parse_duration(text, &time) || time < CONFIRM_LEAST || time > CONFIRM_MOST)
		argp_error(state, "--confirm takes a time from 1s to 7d such as 60s, not \"%s\"", text);
	return time;
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'c':
		arguments->config = argument;
		return 0;
	case OPTION_CONFIRM:
		arguments->confirm = parse_confirm(argument, state);
		return 0;
	case 'm':
		arguments->mode = parse_mode(argument, state);
		return 0;
	case 'n':
		arguments->monitor = true;
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->interfaces == SIPDAM_INTERFACES_MAX)
			argp_error(state, "at most %d interfaces", SIPDAM_INTERFACES_MAX);
		arguments->interface[arguments->interfaces++] = argument;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "no interface given: `ip link` lists those there are");
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{"config", 'c', "FILE", 0, "Configuration (default: " SETTINGS_PATH " if it exists, else built in)",
	 0},
	{"confirm", OPTION_CONFIRM, "TIME", 0,
	 "From then on let everything pass, unless `sipdam confirm` comes first", 0},
	{"mode", 'm', "MODE", 0, "auto (default), native, or generic", 0},
	{"monitor", 'n', NULL, 0, "Count what would be dropped, drop nothing", 0},
	{0},
};

static const struct argp parser = {
	.options = options,
	.parser = parse_option,
	.args_doc = "IFACE...",
	.doc = "Attaches the filter to network interfaces: one policy and one table of sources for all. "
	       "Where it "
	       "is attached already it is replaced by this version, without a packet unprotected and without "
	       "losing what it has learned; the policy in force stays unless --config names another.\v"
	       "Examples:\n"
	       "  sipdam attach eth0 --monitor   see first what it would do\n"
	       "  sipdam set mode=enforce        then let it\n"
	       "  sipdam attach eth0 eth1 --config sipdam.yaml\n"
	       "  sipdam attach eth0 --confirm 60s   ends by itself if you are cut off;\n"
	       "  sipdam confirm                     it stays\n\n"
	       "Put your trunks into the allow list first: `sipdam allow add 192.0.2.10`.",
};

/* The file to read, as an absolute path so that `reload` finds it from anywhere; "" for none. */
static int find_config(const char *given, char path[PATH_MAX], struct problem *problem)
{
	path[0] = '\0';
	if (!given && access(SETTINGS_PATH, F_OK))
		return 0;
	if (!realpath(given ? given : SETTINGS_PATH, path))
		return problem_set(problem, -EINVAL, "reading the configuration %s: %s",
				   given ? given : SETTINGS_PATH, strerror(errno));
	/* Refused before anything is changed: the running filter must be able to name its file. */
	if (strlen(path) >= sizeof(((struct sipdam_meta *)NULL)->config))
		return problem_set(problem, -EINVAL,
				   "reading the configuration %s: its full path may have at most %zu "
				   "characters",
				   given, sizeof(((struct sipdam_meta *)NULL)->config) - 1);
	return 0;
}

static int load_settled(struct settings *settings, const char *path, struct problem *problem)
{
	struct stat seen;
	int error = settled_wait(path, &seen, problem);

	if (!error)
		error = settings_load(settings, path, problem) ? -EINVAL : 0;
	return error ? error : settled_check(path, &seen, problem);
}

/* What was there before this command. */
enum before {
	BEFORE_NOTHING,
	BEFORE_THIS,  /* a filter with state of this version's layout */
	BEFORE_OLDER, /* of an older one's */
};

struct running {
	enum before before;
	struct sipdam_meta meta;
	struct upgrade upgrade; /* BEFORE_OLDER */
};

static void running_free(struct running **running)
{
	if (*running && (*running)->before == BEFORE_OLDER)
		upgrade_free(&(*running)->upgrade);
	free(*running);
}

/* What runs there, for this command to go on from; what cannot be read is left alone. */
static int find_running(struct running *running, struct problem *problem)
{
	int error = upgrade_mend(problem);

	if (!error)
		error = pins_check(&running->meta, problem);
	if (error == -ENOENT)
		return 0;
	if (!error)
		running->before = BEFORE_THIS;
	if (error != -EPROTO || !pins_is_older(&running->meta))
		return error;
	running->before = BEFORE_OLDER;
	return upgrade_read(&running->upgrade, &running->meta, problem);
}

/* The settings of what runs: they go on where no file is named. */
static int read_running(const struct running *running, struct settings *settings, struct problem *problem)
{
	settings_free(settings);
	if (running->before == BEFORE_THIS)
		return live_policy(&settings->policy, problem);
	return settings_copy(settings, &running->upgrade.settings);
}

/* What a policy hands on to the next one, whatever that is. */
static void inherit(struct settings *settings, const struct running *running)
{
	const struct sipdam_policy *before = &running->upgrade.settings.policy;

	if (running->before != BEFORE_OLDER)
		return;
	settings->policy.deadline = before->deadline;
	if (settings->policy.horizon < before->horizon)
		settings->policy.horizon = before->horizon;
}

static int read_settings(const struct arguments *arguments, const struct running *running,
			 struct settings *settings, char path[PATH_MAX], struct problem *problem)
{
	bool lists_given = arguments->config || running->before == BEFORE_NOTHING || running->upgrade.file_again;
	int error;

	if (running->before != BEFORE_NOTHING && !arguments->config) {
		path[0] = '\0';
		error = read_running(running, settings, problem);
	} else {
		error = find_config(arguments->config, path, problem);
		if (!error && path[0])
			error = load_settled(settings, path, problem);
	}
	for (int list = 0; list < SIPDAM_LISTS; list++)
		settings->list_given[list] = lists_given;
	settings->confirm = arguments->confirm;
	if (!error && arguments->monitor)
		error = settings_assign(settings, "mode=monitor", problem);
	if (!error)
		error = settings_finish(settings, problem);
	if (!error)
		inherit(settings, running);
	return error;
}

/* Back to what was before this command: nothing if nothing was, else without the new interfaces. */
static void undo(const struct arguments *arguments, const bool fresh[], const struct running *running)
{
	for (size_t i = 0; i < arguments->interfaces; i++)
		if (fresh[i])
			interface_detach(arguments->interface[i], NULL);
	if (running->before == BEFORE_NOTHING)
		pins_remove(NULL);
}

static int attach_all(const struct arguments *arguments, enum interface_mode modes[], bool fresh[],
		      struct problem *problem)
{
	for (size_t i = 0; i < arguments->interfaces; i++) {
		int error;

		modes[i] = arguments->mode;
		error = interface_attach(arguments->interface[i], &modes[i], &fresh[i], problem);
		if (error)
			return error;
		if (arguments->mode != INTERFACE_MODE_AUTO && modes[i] != arguments->mode)
			return problem_set(problem, -EBUSY,
					   "%s: attached already, %s: to change that, "
					   "`sipdam detach %s` first",
					   arguments->interface[i], interface_mode_name(modes[i]),
					   arguments->interface[i]);
	}
	return 0;
}

/*
 * Where a filter runs already, new interfaces are attached to it first: if one refuses, the policy in
 * force has not changed yet. Else once the state is there; until the filter takes over, traffic passes as
 * before.
 */
static int install_and_attach(const struct arguments *arguments, const struct settings *settings,
			      const char *config, bool running, enum interface_mode modes[], bool fresh[],
			      struct problem *problem)
{
	bool keep_policy = running && !arguments->config && !arguments->monitor && !arguments->confirm;
	struct filter *filter = NULL;
	int error = running ? attach_all(arguments, modes, fresh, problem) : 0;

	/* Without --config the running filter goes on with the file that it has. */
	if (!error)
		error = filter_prepare(&filter, settings, running && !arguments->config ? NULL : config,
				       keep_policy, problem);
	if (!error && !running)
		error = attach_all(arguments, modes, fresh, problem);
	if (!error)
		error = filter_take_over(filter, problem);
	filter_free(filter);
	return error;
}

/* An older version's filter is replaced first: only then can interfaces be added to its state. */
static int upgrade_and_attach(const struct arguments *arguments, const struct settings *settings,
			      const char *config, struct upgrade *upgrade, enum interface_mode modes[],
			      bool fresh[], struct problem *problem)
{
	struct filter *filter = NULL;
	int error = filter_prepare_upgrade(&filter, upgrade, settings, arguments->config ? config : NULL, problem);

	if (!error)
		error = filter_take_over(filter, problem);
	filter_free(filter);
	return error ? error : attach_all(arguments, modes, fresh, problem);
}

static int attach(const struct arguments *arguments, struct running *running, enum interface_mode modes[],
		  bool fresh[], struct settings *settings, struct problem *problem)
{
	char path[PATH_MAX];
	int error = find_running(running, problem);

	if (!error)
		error = read_settings(arguments, running, settings, path, problem);
	if (error)
		return error;
	if (running->before == BEFORE_OLDER)
		error = upgrade_and_attach(arguments, settings, path, &running->upgrade, modes, fresh, problem);
	else
		error = install_and_attach(arguments, settings, path, running->before == BEFORE_THIS, modes,
					   fresh, problem);
	if (error)
		undo(arguments, fresh, running);
	return error;
}

/* What becomes of the filter if nobody says more. */
static void report_deadline(const struct arguments *arguments)
{
	struct sipdam_policy policy;
	char time[32];
	__s64 left;

	if (arguments->confirm) {
		settings_format_duration(arguments->confirm, time, sizeof(time));
		printf("in %s everything passes, unless `sipdam confirm` comes first\n", time);
		return;
	}
	if (live_policy(&policy, NULL) || !policy.deadline)
		return;
	left = (__s64)(policy.deadline - book_now());
	if (left > 0)
		printf("in %llu s everything passes, unless `sipdam confirm` comes first\n",
		       left / 1000000000ULL);
	else
		printf("its deadline has passed, so everything passes: `sipdam confirm --late` ends that\n");
}

/* What a change of version came to. */
static void report_upgrade(const struct running *running)
{
	if (running->before != BEFORE_NOTHING && strcmp(running->meta.version, SIPDAM_VERSION))
		printf("version %s -> %s\n", running->meta.version, SIPDAM_VERSION);
	if (running->before == BEFORE_OLDER && running->upgrade.anew[0])
		printf("starts anew: %s\n", running->upgrade.anew);
	if (running->before == BEFORE_OLDER && running->upgrade.file_again && running->meta.config[0])
		printf("in force: %s, read again\n", running->meta.config);
}

static void report(const struct arguments *arguments, const enum interface_mode modes[], const bool fresh[],
		   const struct settings *settings)
{
	for (size_t i = 0; i < arguments->interfaces; i++) {
		const char *note = "";

		if (fresh[i] && modes[i] == INTERFACE_MODE_GENERIC && arguments->mode == INTERFACE_MODE_AUTO)
			note = ": its driver has no native XDP, so packets cost more";
		printf("%s: %s, %s%s\n", arguments->interface[i], fresh[i] ? "attached" : "replaced in place",
		       interface_mode_name(modes[i]), note);
	}
	if (settings->policy.monitor)
		printf("monitor mode: nothing is dropped; `sipdam set mode=enforce` ends it\n");
}

int cmd_attach(int argc, char **argv)
{
	struct arguments arguments = {.mode = INTERFACE_MODE_AUTO};
	enum interface_mode modes[SIPDAM_INTERFACES_MAX];
	bool fresh[SIPDAM_INTERFACES_MAX] = {0};
	_cleanup_settings_ struct settings settings = {};
	__attribute__((cleanup(running_free))) struct running *running = calloc(1, sizeof(*running));
	_cleanup_close_ int lock = -1;
	struct problem problem = {0};
	int error;

	if (command_parse(&parser, argc, argv, &arguments))
		return EXIT_USAGE;
	if (!running)
		return command_fail("attach", -ENOMEM, &problem);
	for (size_t i = 0; i < arguments.interfaces; i++)
		if ((error = interface_check(arguments.interface[i], &problem)))
			return command_fail("attach", error, &problem);
	if ((error = filter_check_privilege(&problem)) || (lock = error = pins_lock(true, &problem)) < 0)
		return command_fail("attach", error, &problem);
	settings_default(&settings);
	error = attach(&arguments, running, modes, fresh, &settings, &problem);
	if (error)
		return command_fail("attach", error, &problem);
	report(&arguments, modes, fresh, &settings);
	if (egress_install(&problem))
		fprintf(stderr, "sipdam attach: %s\n", problem.text);
	report_upgrade(running);
	report_deadline(&arguments);
	return EXIT_DONE;
}
