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

#include "action.h"
#include "bans.h"
#include "book.h"
#include "cleanup.h"
#include "command.h"
#include "settings.h"
#include "span.h"
#include "targets.h"

#define NANOSECONDS 1000000000ULL

/* What the operands name, and what they are looked up in. */
struct change {
	const struct action_arguments *arguments;
	struct targets targets;
	struct bans bans;
};

#define _cleanup_entries_ __attribute__((cleanup(ban_entries_free)))

static int read_targets(struct change *change, struct problem *problem)
{
	static const struct targets_words words = {"a ban", "drop a prefix with `sipdam deny add",
						   " --for 1h"};

	return targets_read(&change->targets, change->arguments, &words, problem);
}

static int begin(struct change *change, struct problem *problem)
{
	int error = read_targets(change, problem);

	return error ? error : bans_open(&change->bans, problem);
}

/* ---- add ---- */

static void warn_of_lists(const struct targets *targets, size_t number)
{
	const struct sipdam_prefix *given = &targets->given[number];

	if (book_holds(&targets->allowed, given, book_now()))
		printf("%s is in the allow list, and allow wins: it is let in all the same\n",
		       targets->text[number]);
	else if (book_holds(&targets->denied, given, book_now()))
		printf("%s is in the deny list: it is dropped already, and after the ban too\n",
		       targets->text[number]);
}

static void tell_ban(const struct targets *targets, size_t number, __u64 lasting)
{
	char source[ADDRESS_PREFIX_TEXT], span[32];

	settings_format_duration(lasting, span, sizeof(span));
	printf("%s is banned for %s\n", targets_source(targets, number, source), span);
	warn_of_lists(targets, number);
}

static int problem_of_add(int error, const char *source, struct problem *problem)
{
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
	struct targets *targets = &change->targets;
	int error = begin(change, problem);
	__u64 lasting = change->arguments->lasting ? change->arguments->lasting : targets->policy.ban_for;

	if (!error)
		targets_read_lists(targets);
	for (size_t i = 0; !error && i < targets->count; i++) {
		char source[ADDRESS_PREFIX_TEXT];

		error = bans_add(&change->bans, &targets->source[i], book_now(), lasting,
				 targets->policy.ban_max);
		if (error)
			return problem_of_add(error, targets_source(targets, i, source), problem);
		tell_ban(targets, i, lasting);
	}
	if (!error && !targets->policy.ban_enabled)
		printf("bans are switched off: this has no effect until `sipdam set ban.enabled=true`\n");
	return error;
}

/* ---- del ---- */

/* All of them are banned, or none is let in. */
static int del(struct change *change, struct problem *problem)
{
	const struct targets *targets = &change->targets;
	int error = begin(change, problem);
	char source[ADDRESS_PREFIX_TEXT];

	for (size_t i = 0; !error && i < targets->count; i++)
		if (!bans_hold(&change->bans, &targets->source[i], book_now()))
			error = problem_set(problem, -ENOENT,
					    "%s is not banned: `sipdam ban list` shows who is",
					    targets_source(targets, i, source));
	/* One that ends at this moment is gone as well. */
	for (size_t i = 0; !error && i < targets->count; i++)
		bans_remove(&change->bans, &targets->source[i], book_now());
	return error;
}

/* ---- list ---- */

static json_t *entry_json(const struct ban_entry *entry, __u64 now)
{
	char address[ADDRESS_TEXT];
	bool ipv4 = address_is_ipv4(entry->source.address);

	address_format(entry->source.address, address);
	return json_pack("{s:s, s:i, s:I, s:I, s:I, s:s, s:I}", "address", address, "prefix",
			 (int)(ipv4 ? entry->source.bits - 96 : entry->source.bits), "expires_in",
			 (json_int_t)((entry->end - now) / NANOSECONDS), "since",
			 (json_int_t)span_wall_time(entry->ban.since, now), "times",
			 (json_int_t)entry->ban.times, "cause", ban_cause_name(entry->ban.cause), "dropped",
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
		printf("%-23s %8s  %-19s %5s %-10s %8s\n", "source", "left", "since", "times", "cause",
		       "dropped");
	for (size_t i = 0; i < entries->count; i++) {
		const struct ban_entry *entry = &entries->entry[i];
		time_t since = span_wall_time(entry->ban.since, now);
		char source[ADDRESS_PREFIX_TEXT], left[32], when[32];

		address_format_prefix(&entry->source, source);
		span_format_left(entry->end - now, left, sizeof(left));
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", localtime(&since));
		printf("%-23s %8s  %-19s %5u %-10s %8llu\n", source, left, when, entry->ban.times,
		       ban_cause_name(entry->ban.cause), (unsigned long long)entry->ban.dropped);
	}
}

/* Those that the operands name, where there are any. */
static void select_entries(const struct targets *targets, struct ban_entries *entries)
{
	size_t kept = 0;

	for (size_t i = 0; i < entries->count; i++)
		if (targets_have(targets, &entries->entry[i].source))
			entries->entry[kept++] = entries->entry[i];
	entries->count = kept;
}

static int list(struct change *change, struct problem *problem)
{
	_cleanup_entries_ struct ban_entries entries = {};
	__u64 now = book_now();
	int error = read_targets(change, problem);

	if (!error)
		error = bans_read(&change->bans, true, problem);
	if (!error)
		error = bans_list(&change->bans, &change->targets.policy, now, &entries);
	if (error)
		return error;
	select_entries(&change->targets, &entries);
	if (change->arguments->json)
		return print_json(&entries, now);
	print_text(&entries, now);
	return 0;
}

/* ---- the command ---- */

static const struct action_rule rules[ACTIONS] = {
	[ACTION_ADD] = {"an ADDRESS", 1, ACTION_OPERANDS_MAX, .known = true, .lasting = true},
	[ACTION_DEL] = {"an ADDRESS", 1, ACTION_OPERANDS_MAX, .known = true},
	[ACTION_LIST] = {NULL, 0, ACTION_OPERANDS_MAX, .known = true},
};

static int (*const runs[ACTIONS])(struct change *change, struct problem *problem) = {
	[ACTION_ADD] = add,
	[ACTION_DEL] = del,
	[ACTION_LIST] = list,
};

static const struct argp_option options[] = {
	{"for", 'f', "TIME", 0, "add: the ban lasts so long (10m, 12h, 7d); without it, ban.for", 0},
	{"json", 'j', NULL, 0, "list: print one JSON object", 0},
	{0},
};

static const struct argp parser = {
	.options = options,
	.parser = action_parse,
	.args_doc = "add|del ADDRESS...\nlist [ADDRESS...]",
	.doc = "Sources that are dropped for a time, whatever they send, on open connections too. The filter "
	       "ends each ban itself. A second add gives a ban another end, del ends it at once; list shows "
	       "those that the filter made by itself too. Allow beats a ban.\v"
	       "Examples:\n"
	       "  sipdam ban add 203.0.113.7 --for 10m\n"
	       "  sipdam ban list\n"
	       "  sipdam ban del 203.0.113.7",
};

static int run(struct change *change, struct problem *problem)
{
	_cleanup_close_ int lock = -1;
	int error = action_lock(change->arguments, &lock, problem);

	if (error)
		return error;
	error = runs[change->arguments->action](change, problem);
	bans_close(&change->bans);
	targets_free(&change->targets);
	return error;
}

int cmd_ban(int argc, char **argv)
{
	struct action_arguments arguments = {.rules = rules, .longest = BAN_LONGEST};
	_cleanup_free_ struct change *change = calloc(1, sizeof(*change));
	struct problem problem = {0};
	int error;

	if (command_parse(&parser, argc, argv, &arguments))
		return EXIT_USAGE;
	error = change ? action_check(&arguments, &problem) : -ENOMEM;
	if (!error) {
		change->arguments = &arguments;
		error = run(change, &problem);
	}
	return error ? command_fail("ban", error, &problem) : EXIT_DONE;
}
