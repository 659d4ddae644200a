/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `sipdam get [KEY]`: what the running filter goes by. */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "live.h"
#include "pins.h"
#include "settings_json.h"

#define _cleanup_settings_ __attribute__((cleanup(settings_free)))

struct arguments {
	const char *key;
	bool json;
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'j':
		arguments->json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->key)
			argp_error(state, "one key at a time; without a key all are printed");
		arguments->key = argument;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{"json", 'j', NULL, 0, "Print {KEY: {\"value\": ..., \"origin\": ...}}", 0},
	{0},
};

static const struct argp parser = {
	.options = options,
	.parser = parse_option,
	.args_doc = "[KEY]",
	.doc = "Prints the settings that the running filter goes by: one, all below a key, or all.\v"
	       "Examples:\n"
	       "  sipdam get limits.unknown.invite.rate\n"
	       "  sipdam get limits.pool\n"
	       "  sipdam get --json",
};

/* Does the key name this field, or something above it? */
static bool names_field(const char *key, const char *field)
{
	size_t length = key ? strlen(key) : 0;

	return !key || (!strncmp(field, key, length) && (!field[length] || field[length] == '.'));
}

static int print_text(const struct settings *settings, const char *key)
{
	char value[SETTINGS_VALUE];

	for (size_t field = 0; field < settings_field_count(); field++) {
		const char *name = settings_field_name(field);

		if (!names_field(key, name))
			continue;
		settings_field_format(settings, field, value, sizeof(value));
		if (key && !strcmp(key, name))
			printf("%s\n", value);
		else
			printf("%-32s %-20s # %s\n", name, value, settings_field_origin(settings, field));
	}
	return 0;
}

static int print_json(const struct settings *settings, const char *key)
{
	json_t *object = json_object();
	int error = object ? 0 : -ENOMEM;

	for (size_t field = 0; !error && field < settings_field_count(); field++)
		if (names_field(key, settings_field_name(field)) &&
		    json_object_set_new(object, settings_field_name(field),
					settings_json_field(settings, field)))
			error = -ENOMEM;
	if (!error)
		return command_print(object, SETTINGS_JSON_FLAGS);
	json_decref(object);
	return error;
}

static bool is_known(const char *key)
{
	for (size_t field = 0; field < settings_field_count(); field++)
		if (names_field(key, settings_field_name(field)))
			return true;
	return false;
}

int cmd_get(int argc, char **argv)
{
	_cleanup_settings_ struct settings settings = {};
	struct arguments arguments = {};
	struct problem problem = {0};
	int error;

	if (command_parse(&parser, argc, argv, &arguments))
		return EXIT_USAGE;
	if (!is_known(arguments.key)) {
		problem_set(&problem, -EINVAL, "%s: no such key: `sipdam get` lists them", arguments.key);
		return command_fail("get", -EINVAL, &problem);
	}
	error = pins_check(NULL, &problem);
	if (!error)
		error = live_read(&settings, &problem);
	if (!error)
		error = arguments.json ? print_json(&settings, arguments.key)
				       : print_text(&settings, arguments.key);
	return error ? command_fail("get", error, &problem) : EXIT_DONE;
}
