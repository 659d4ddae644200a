/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `sipdam ban`: sources that are dropped for a time, by hand; those that the filter bans itself are listed
 * too. */
#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bans.h"
#include "book.h"
#include "cleanup.h"
#include "command.h"
#include "live.h"
#include "pins.h"
#include "span.h"

/* Addresses of one add or del. */
#define OPERANDS_MAX 256

#define NANOSECONDS 1000000000ULL

struct arguments {
	const char *action;
	const char *operand[OPERANDS_MAX];
	size_t operands;
	__u64 lasting; /* nanoseconds; 0: ban.for */
	bool json;
};

/* What the operands name, and what they are looked up in. */
struct change {
	const struct arguments *arguments;
	struct sipdam_policy policy;
	struct bans bans;
	struct sipdam_prefix given[OPERANDS_MAX], source[OPERANDS_MAX];
	struct book allowed, denied; /* empty until they are asked for, or where they cannot be read */
};

#define _cleanup_entries_ __attribute__((cleanup(ban_entries_free)))

/* ---- operands ---- */

/* One address, or the very prefix that counts as one source. */
static int parse_operand(const struct sipdam_policy *policy, const char *text, struct sipdam_prefix *given,
			 struct sipdam_prefix *source, struct problem *problem)
{
	char prefix[ADDRESS_PREFIX_TEXT];
	bool exact;

	if (address_parse_prefix(text, given))
		return problem_set(problem, -EINVAL, "%s is not an address such as 192.0.2.1 or 2001:db8::1",
				   text);
	*source = bans_source(policy, given, &exact);
	if (exact || !strchr(text, '/'))
		return 0;
	address_format_prefix(given, prefix);
	return problem_set(problem, -EINVAL,
			   "%s: a ban is of one source, which is a /%u (source_key): drop a prefix with "
			   "`sipdam deny add %s --for 1h`",
			   text, address_is_ipv4(given->address) ? source->bits - 96 : source->bits, prefix);
}

/* All operands are understood before anything is done. */
static int read_operands(struct change *change, struct problem *problem)
{
	int error = live_policy(&change->policy, problem);

	for (size_t i = 0; !error && i < change->arguments->operands; i++)
		error = parse_operand(&change->policy, change->arguments->operand[i], &change->given[i],
				      &change->source[i], problem);
	return error;
}

static int begin(struct change *change, struct problem *problem)
{
	int error = read_operands(change, problem);

	return error ? error : bans_open(&change->bans, problem);
}

/* ---- add ---- */

static void warn_of_lists(const struct change *change, size_t number)
{
	const char *text = change->arguments->operand[number];
	const struct sipdam_prefix *given = &change->given[number];

	if (book_holds(&change->allowed, given, book_now()))
		printf("%s is in the allow list, and allow wins: it is let in all the same\n", text);
	else if (book_holds(&change->denied, given, book_now()))
		printf("%s is in the deny list: it is dropped already, and after the ban too\n", text);
}

static void tell_ban(const struct change *change, size_t number, __u64 lasting)
{
	char source[ADDRESS_PREFIX_TEXT], span[32];

	address_format_prefix(&change->source[number], source);
	settings_format_duration(lasting, span, sizeof(span));
	printf("%s is banned for %s\n", source, span);
	warn_of_lists(change, number);
}

static int problem_of_add(int error, const struct sipdam_prefix *prefix, struct problem *problem)
{
	char source[ADDRESS_PREFIX_TEXT];

	address_format_prefix(prefix, source);
	if (error == -ENOSPC)
		return problem_set(
			problem, error,
			"%s cannot be banned: the table is full where it would be; `sipdam deny add %s "
			"--for 1h` drops it too",
			source, source);
	return problem_set(problem, error, "banning %s: %s; try again", source, strerror(-error));
}

static int add(struct change *change, struct problem *problem)
{
	const struct sipdam_policy *policy = &change->policy;
	int error = begin(change, problem);
	__u64 lasting = change->arguments->lasting ? change->arguments->lasting : policy->ban_for;

	if (!error) {
		live_list_read(SIPDAM_LIST_ALLOW, &change->allowed, NULL);
		live_list_read(SIPDAM_LIST_DENY, &change->denied, NULL);
	}
	for (size_t i = 0; !error && i < change->arguments->operands; i++) {
		error = bans_add(&change->bans, &change->source[i], book_now(), lasting, policy->ban_max);
		if (error)
			return problem_of_add(error, &change->source[i], problem);
		tell_ban(change, i, lasting);
	}
	if (!error && !policy->ban_enabled)
		printf("bans are switched off: this has no effect until `sipdam set ban.enabled=true`\n");
	return error;
}

/* ---- del ---- */

static int problem_of_del(const struct sipdam_prefix *prefix, struct problem *problem)
{
	char source[ADDRESS_PREFIX_TEXT];

	address_format_prefix(prefix, source);
	return problem_set(problem, -ENOENT, "%s is not banned: `sipdam ban list` shows who is", source);
}

/* All of them are banned, or none is let in. */
static int del(struct change *change, struct problem *problem)
{
	int error = begin(change, problem);

	for (size_t i = 0; !error && i < change->arguments->operands; i++)
		if (!bans_hold(&change->bans, &change->source[i], book_now()))
			error = problem_of_del(&change->source[i], problem);
	/* One that ends at this moment is gone as well. */
	for (size_t i = 0; !error && i < change->arguments->operands; i++)
		bans_remove(&change->bans, &change->source[i], book_now());
	return error;
}

/* ---- list ---- */

/* When it was by the wall clock of now. */
static time_t wall_time(__u64 monotonic, __u64 now)
{
	return time(NULL) - (time_t)((now - monotonic) / NANOSECONDS);
}

static json_t *entry_json(const struct ban_entry *entry, __u64 now)
{
	char address[ADDRESS_TEXT];
	bool ipv4 = address_is_ipv4(entry->source.address);

	address_format(entry->source.address, address);
	return json_pack("{s:s, s:i, s:I, s:I, s:I, s:s, s:I}", "address", address, "prefix",
			 (int)(ipv4 ? entry->source.bits - 96 : entry->source.bits), "expires_in",
			 (json_int_t)((entry->end - now) / NANOSECONDS), "since",
			 (json_int_t)wall_time(entry->ban.since, now), "times", (json_int_t)entry->ban.times,
			 "cause", ban_cause_name(entry->ban.cause), "dropped",
			 (json_int_t)entry->ban.dropped);
}

static int print_json(const struct ban_entries *entries, __u64 now)
{
	json_t *array = json_array();

	for (size_t i = 0; i < entries->count; i++)
		json_array_append_new(array, entry_json(&entries->entry[i], now));
	return command_print(json_pack("{s:o}", "bans", array), JSON_COMPACT);
}

static void print_text(const struct ban_entries *entries, __u64 now)
{
	if (entries->count)
		printf("%-25s %8s  %-19s %5s %-8s %8s\n", "source", "left", "since", "times", "cause",
		       "dropped");
	for (size_t i = 0; i < entries->count; i++) {
		const struct ban_entry *entry = &entries->entry[i];
		time_t since = wall_time(entry->ban.since, now);
		char source[ADDRESS_PREFIX_TEXT], left[32], when[32];

		address_format_prefix(&entry->source, source);
		span_format_left(entry->end - now, left, sizeof(left));
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", localtime(&since));
		printf("%-25s %8s  %-19s %5u %-8s %8llu\n", source, left, when, entry->ban.times,
		       ban_cause_name(entry->ban.cause), (unsigned long long)entry->ban.dropped);
	}
}

static bool is_asked_for(const struct change *change, const struct sipdam_prefix *source)
{
	bool asked = !change->arguments->operands;

	for (size_t i = 0; !asked && i < change->arguments->operands; i++)
		asked = !memcmp(&change->source[i], source, sizeof(*source));
	return asked;
}

/* Those that the operands name, where there are any. */
static void select_entries(const struct change *change, struct ban_entries *entries)
{
	size_t kept = 0;

	for (size_t i = 0; i < entries->count; i++)
		if (is_asked_for(change, &entries->entry[i].source))
			entries->entry[kept++] = entries->entry[i];
	entries->count = kept;
}

static int list(struct change *change, struct problem *problem)
{
	_cleanup_entries_ struct ban_entries entries = {};
	__u64 now = book_now();
	int error = read_operands(change, problem);

	if (!error)
		error = bans_read(&change->bans, true, problem);
	if (!error)
		error = bans_list(&change->bans, &change->policy, now, &entries);
	if (error)
		return error;
	select_entries(change, &entries);
	if (change->arguments->json)
		return print_json(&entries, now);
	print_text(&entries, now);
	return 0;
}

/* ---- the command ---- */

static const struct {
	const char *name;
	int (*run)(struct change *change, struct problem *problem);
	size_t least, most; /* operands */
} actions[] = {
	{"add", add, 1, OPERANDS_MAX},
	{"del", del, 1, OPERANDS_MAX},
	{"list", list, 0, OPERANDS_MAX},
};
#define ACTIONS (sizeof(actions) / sizeof(*actions))

static int find_action(const char *name)
{
	for (size_t i = 0; name && i < ACTIONS; i++)
		if (!strcmp(actions[i].name, name))
			return i;
	return -ENOENT;
}

static void check_operands(const struct arguments *arguments, struct argp_state *state)
{
	int action = find_action(arguments->action);

	if (action < 0)
		argp_error(state, "%s%sadd, del or list is expected",
			   arguments->action ? arguments->action : "", arguments->action ? ": " : "");
	else if (arguments->operands < actions[action].least)
		argp_error(state, "%s: an ADDRESS is missing", arguments->action);
	else if (arguments->operands > actions[action].most)
		argp_error(state, "%s: \"%s\" is too much", arguments->action,
			   arguments->operand[actions[action].most]);
	else if (arguments->lasting && actions[action].run != add)
		argp_error(state, "%s: --for belongs to add", arguments->action);
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'j':
		arguments->json = true;
		return 0;
	case 'f':
		if (settings_parse_duration(argument, &arguments->lasting) || !arguments->lasting ||
		    arguments->lasting > BAN_LONGEST)
			argp_error(state,
				   "--for: \"%s\" is not a duration such as 10m, 12h or 7d, at most 365d",
				   argument);
		return 0;
	case ARGP_KEY_ARG:
		if (!arguments->action)
			arguments->action = argument;
		else if (arguments->operands == OPERANDS_MAX)
			argp_error(state, "at most %d addresses at once", OPERANDS_MAX);
		else
			arguments->operand[arguments->operands++] = argument;
		return 0;
	case ARGP_KEY_END:
		check_operands(arguments, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{"for", 'f', "TIME", 0, "add: the ban lasts so long (10m, 12h, 7d); without it, ban.for", 0},
	{"json", 'j', NULL, 0, "list: print one JSON object", 0},
	{0},
};

static const struct argp parser = {
	.options = options,
	.parser = parse_option,
	.args_doc = "add|del ADDRESS...\nlist [ADDRESS...]",
	.doc = "Sources that are dropped for a time, whatever they send, on open connections too. The filter "
	       "ends each ban itself. A second add gives a ban another end, del ends it at once; list shows "
	       "those that the filter made by itself too. Allow beats a ban.\v"
	       "Examples:\n"
	       "  sipdam ban add 203.0.113.7 --for 10m\n"
	       "  sipdam ban list\n"
	       "  sipdam ban del 203.0.113.7",
};

int cmd_ban(int argc, char **argv)
{
	struct arguments arguments = {};
	_cleanup_free_ struct change *change = NULL;
	_cleanup_close_ int lock = -1;
	struct problem problem = {0};
	int error, action;

	if (command_parse(&parser, argc, argv, &arguments))
		return EXIT_USAGE;
	action = find_action(arguments.action);
	change = calloc(1, sizeof(*change));
	error = change ? pins_check(NULL, &problem) : -ENOMEM;
	if (!error && actions[action].run != list) {
		lock = pins_lock(false, &problem);
		error = lock < 0 ? lock : 0;
	}
	if (!error) {
		change->arguments = &arguments;
		error = actions[action].run(change, &problem);
		bans_close(&change->bans);
		book_free(&change->allowed);
		book_free(&change->denied);
	}
	return error ? command_fail("ban", error, &problem) : EXIT_DONE;
}
