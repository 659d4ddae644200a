/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See action.h. */
#include "action.h"

#include <stdio.h>
#include <string.h>

#include "pins.h"
#include "settings.h"

#define NAMES_ROOM 64

static const char *const names[ACTIONS] = {
	[ACTION_ADD] = "add",       [ACTION_DEL] = "del",     [ACTION_LIST] = "list",
	[ACTION_IMPORT] = "import", [ACTION_FLUSH] = "flush",
};

static bool takes(const struct action_rule *rule, bool lasting)
{
	return rule->known && (rule->lasting || !lasting);
}

/* The command's actions, or those that take --for: "add, del or list" with the word before the last. */
static const char *name_all(const struct action_arguments *arguments, bool lasting, const char *word,
			    char text[NAMES_ROOM])
{
	size_t left = 0, length = 0;

	for (int i = 0; i < ACTIONS; i++)
		left += takes(&arguments->rules[i], lasting);
	for (int i = 0; i < ACTIONS; i++)
		if (takes(&arguments->rules[i], lasting))
			length += (size_t)snprintf(text + length, NAMES_ROOM - length, "%s%s", names[i],
						   --left == 0 ? ""
						   : left == 1 ? word
							       : ", ");
	return text;
}

static void take_action(struct action_arguments *arguments, const char *name, struct argp_state *state)
{
	char expected[NAMES_ROOM];

	for (int i = 0; name && i < ACTIONS; i++)
		if (arguments->rules[i].known && !strcmp(names[i], name))
			arguments->action = i;
	if (arguments->action == ACTIONS)
		argp_error(state, "%s%s%s is expected", name ? name : "", name ? ": " : "",
			   name_all(arguments, false, " or ", expected));
}

static void take_operand(struct action_arguments *arguments, const char *operand, struct argp_state *state)
{
	if (arguments->operands == ACTION_OPERANDS_MAX)
		argp_error(state, "at most %d at once%s", ACTION_OPERANDS_MAX,
			   arguments->rules[ACTION_IMPORT].known ? ": import takes a file of them" : "");
	arguments->operand[arguments->operands++] = operand;
}

static void take_time(struct action_arguments *arguments, const char *text, struct argp_state *state)
{
	if (settings_parse_duration(text, &arguments->lasting) || !arguments->lasting ||
	    (arguments->longest && arguments->lasting > arguments->longest))
		argp_error(state, "--for: \"%s\" is not a duration such as 10m, 12h or 7d%s", text,
			   arguments->longest ? ", at most 365d" : "");
}

static void check(const struct action_arguments *arguments, struct argp_state *state)
{
	const struct action_rule *rule = &arguments->rules[arguments->action];
	const char *name = names[arguments->action];
	char those[NAMES_ROOM];

	if (arguments->operands < rule->least)
		argp_error(state, "%s: %s is missing", name, rule->operand);
	else if (arguments->operands > rule->most)
		argp_error(state, "%s: \"%s\" is too much", name, arguments->operand[rule->most]);
	else if (arguments->lasting && !rule->lasting)
		argp_error(state, "%s: --for belongs to %s", name, name_all(arguments, true, " and ", those));
	else if (arguments->json && arguments->action != ACTION_LIST)
		argp_error(state, "%s: --json belongs to list", name);
}

error_t action_parse(int key, char *argument, struct argp_state *state)
{
	struct action_arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		arguments->action = ACTIONS;
		return 0;
	case 'j':
		arguments->json = true;
		return 0;
	case 'f':
		take_time(arguments, argument, state);
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->action == ACTIONS)
			take_action(arguments, argument, state);
		else
			take_operand(arguments, argument, state);
		return 0;
	case ARGP_KEY_END:
		if (arguments->action == ACTIONS)
			take_action(arguments, NULL, state);
		check(arguments, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int action_check(const struct action_arguments *arguments, struct problem *problem)
{
	return arguments->action == ACTION_LIST ? pins_check(NULL, problem) : pins_check_change(problem);
}

int action_lock(const struct action_arguments *arguments, int *lock, struct problem *problem)
{
	*lock = -1;
	if (arguments->action == ACTION_LIST)
		return 0;
	*lock = pins_lock(false, problem);
	return *lock < 0 ? *lock : 0;
}
