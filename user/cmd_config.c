/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `sipdam config check FILE` and `sipdam config show`: configuration as it would be, never the running
 * filter (that is `sipdam get`). Needs no privilege.
 */
#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "settings.h"
#include "settings_json.h"
#include "utf8.h"

#define HINTS_MAX 8

struct arguments {
	const char *file;
	bool json;
};

struct hints {
	size_t count;
	char text[HINTS_MAX][160];
};

#define _cleanup_settings_ __attribute__((cleanup(settings_free)))

static void hint(struct hints *hints, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void hint(struct hints *hints, const char *format, ...)
{
	va_list arguments;

	if (hints->count == HINTS_MAX)
		return;
	va_start(arguments, format);
	vsnprintf(hints->text[hints->count++], sizeof(hints->text[0]), format, arguments);
	va_end(arguments);
}

static bool has_ports(const struct sipdam_policy *policy)
{
	for (int kind = 0; kind < SIPDAM_PORT_KINDS; kind++) {
		if (policy->ports[kind].count)
			return true;
	}
	return false;
}

/* A deny entry that an allow entry equals does nothing. Quadratic: only for lists kept by hand. */
static void hint_lists(const struct settings *settings, struct hints *hints)
{
	const struct prefix_set *allow = &settings->lists[SIPDAM_LIST_ALLOW];
	const struct prefix_set *deny = &settings->lists[SIPDAM_LIST_DENY];

	if (!allow->count)
		hint(hints, "allow is empty: list your trunks, whose calls all come from one address");
	if (allow->count > 1000 || deny->count > 1000)
		return;
	for (size_t i = 0; i < allow->count; i++) {
		for (size_t j = 0; j < deny->count; j++) {
			char text[ADDRESS_PREFIX_TEXT];

			if (memcmp(&allow->prefix[i], &deny->prefix[j], sizeof(struct sipdam_prefix)))
				continue;
			address_format_prefix(&allow->prefix[i], text);
			hint(hints, "%s is in allow and in deny: allow wins", text);
			return;
		}
	}
}

static void find_hints(const struct settings *settings, struct hints *hints)
{
	const struct sipdam_policy *policy = &settings->policy;

	if (policy->monitor)
		hint(hints, "mode is monitor: nothing will be dropped");
	if (!has_ports(policy))
		hint(hints, "no port is listed: nothing will be filtered");
	hint_lists(settings, hints);
}

static int print_check_json(const char *file, const struct hints *hints)
{
	json_t *array = json_array();
	int error;

	for (size_t i = 0; i < hints->count; i++)
		json_array_append_new(array, json_string(hints->text[i]));
	error = command_print(json_pack("{s:o, s:b, s:o}", "file", utf8_json(file), "valid", 1, "hints", array),
			      JSON_COMPACT);
	return error ? command_fail("config check", error, NULL) : EXIT_DONE;
}

static error_t parse_check(int key, char *argument, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'j':
		arguments->json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->file)
			argp_error(state, "one file at a time, \"%s\" is one more", argument);
		arguments->file = argument;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "no file given");
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int config_check(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{"json", 'j', NULL, 0, "Print one object: file, valid, hints", 0},
		{0},
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse_check,
		.args_doc = "FILE",
		.doc = "Says whether a configuration file would be taken, and what is worth a second look in "
		       "it. "
		       "The running filter is not touched.\v"
		       "Example:\n"
		       "  sipdam config check /etc/sipdam/sipdam.yaml && sipdam reload\n\n"
		       "Exit code 2 if the file would be refused.",
	};
	struct arguments arguments = {0};
	_cleanup_settings_ struct settings settings;
	struct problem problem = {0};
	struct hints hints = {0};

	settings_default(&settings);
	if (command_parse(&argp, argc, argv, &arguments))
		return EXIT_USAGE;
	if (settings_load(&settings, arguments.file, &problem)) {
		command_fail("config check", -EINVAL, &problem);
		return EXIT_USAGE;
	}
	find_hints(&settings, &hints);
	if (arguments.json)
		return print_check_json(arguments.file, &hints);
	printf("%s: valid\n", arguments.file);
	for (size_t i = 0; i < hints.count; i++)
		printf("hint: %s\n", hints.text[i]);
	return EXIT_DONE;
}

static error_t parse_show(int key, char *argument, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'c':
		arguments->file = argument;
		return 0;
	case 'j':
		arguments->json = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument \"%s\"; a file is given as --config %s", argument,
			   argument);
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int print_settings_json(const struct settings *settings)
{
	int error = command_print(settings_json(settings), SETTINGS_JSON_FLAGS);

	return error ? command_fail("config show", error, NULL) : EXIT_DONE;
}

static int config_show(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{"config", 'c', "FILE", 0, "The file to show (" SETTINGS_PATH " if it exists)", 0},
		{"json", 'j', NULL, 0, "Print {KEY: {\"value\": ..., \"origin\": ...}}", 0},
		{0},
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse_show,
		.doc = "Prints every setting as YAML that can be used as a configuration file, each with its "
		       "origin: the file or the built-in default. What the running filter goes by is told by "
		       "`sipdam get`.\v"
		       "Examples:\n"
		       "  sipdam config show\n"
		       "  sipdam config show --config new.yaml --json",
	};
	struct arguments arguments = {0};
	_cleanup_settings_ struct settings settings;
	struct problem problem = {0};

	settings_default(&settings);
	if (command_parse(&argp, argc, argv, &arguments))
		return EXIT_USAGE;
	if (!arguments.file && (!access(SETTINGS_PATH, F_OK) || errno != ENOENT))
		arguments.file = SETTINGS_PATH;
	if (arguments.file && settings_load(&settings, arguments.file, &problem)) {
		command_fail("config show", -EINVAL, &problem);
		return EXIT_USAGE;
	}
	if (arguments.json)
		return print_settings_json(&settings);
	settings_print_yaml(&settings, stdout);
	return EXIT_DONE;
}

/* Takes the subcommand alone; its options are its own. */
static error_t parse_config(int key, char *argument, struct argp_state *state)
{
	switch (key) {
	case ARGP_KEY_ARG:
		argp_error(state, "unknown subcommand \"%.40s\", expected check or show", argument);
		return EINVAL;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "no subcommand given, expected check or show");
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int cmd_config(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse_config,
		.args_doc = "check FILE\nshow [--config FILE]",
		.doc = "Checks a configuration file, or prints the effective whole.\v"
		       "Examples:\n"
		       "  sipdam config check /etc/sipdam/sipdam.yaml\n"
		       "  sipdam config show --json\n\n"
		       "`sipdam config check --help` and `sipdam config show --help` tell more.",
	};
	static char check[] = "config check", show[] = "config show";

	if (argc > 1 && !strcmp(argv[1], "check")) {
		argv[1] = check;
		return config_check(argc - 1, argv + 1);
	}
	if (argc > 1 && !strcmp(argv[1], "show")) {
		argv[1] = show;
		return config_show(argc - 1, argv + 1);
	}
	return command_parse(&argp, argc, argv, NULL) ? EXIT_USAGE : EXIT_DONE;
}
