/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `sipdam allow` and `sipdam deny`: the two prefix lists of the running filter, by hand and by feed. */
#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "command.h"
#include "live.h"
#include "pins.h"
#include "span.h"
#include "trie.h"

/* Prefixes of one add or del; more come by import. */
#define OPERANDS_MAX 256

/* Entries of one import, as of a list (trie.h). */
#define IMPORT_MAX 1000000

struct arguments {
	int list; /* enum sipdam_list */
	const char *action;
	const char *operand[OPERANDS_MAX];
	size_t operands;
	__u64 lasting; /* nanoseconds; 0: for ever */
	bool json;
};

typedef int action_t(const struct arguments *arguments, struct problem *problem);

#define _cleanup_prefixes_ __attribute__((cleanup(prefix_set_free)))
#define _cleanup_entries_  __attribute__((cleanup(trie_entries_free)))

static int parse_operands(const struct arguments *arguments, struct prefix_set *prefixes,
			  struct problem *problem)
{
	struct sipdam_prefix prefix;
	int error = 0;

	for (size_t i = 0; !error && i < arguments->operands; i++) {
		if (address_parse_prefix(arguments->operand[i], &prefix))
			return problem_set(
				problem, -EINVAL,
				"%s is not an address or prefix such as 192.0.2.1 or 2001:db8::/32",
				arguments->operand[i]);
		error = prefix_set_add(prefixes, &prefix);
	}
	return error;
}

static __u64 expiry(const struct arguments *arguments)
{
	return arguments->lasting ? trie_now() + arguments->lasting : 0;
}

static int add(const struct arguments *arguments, struct problem *problem)
{
	_cleanup_prefixes_ struct prefix_set prefixes = {};
	int error = parse_operands(arguments, &prefixes, problem);

	for (size_t i = 0; !error && i < prefixes.count; i++)
		error = live_list_add(arguments->list, &prefixes.prefix[i], expiry(arguments), problem);
	return error;
}

static bool is_listed(const struct trie_entries *entries, const struct sipdam_prefix *prefix)
{
	for (size_t i = 0; i < entries->count; i++)
		if (!memcmp(&entries->entry[i].prefix, prefix, sizeof(*prefix)))
			return true;
	return false;
}

/* All of them are in the list, or none is taken out. */
static int check_listed(int list, const struct prefix_set *prefixes, struct problem *problem)
{
	_cleanup_entries_ struct trie_entries entries = {};
	char text[ADDRESS_PREFIX_TEXT];
	int error = live_list_read(list, &entries, problem);

	for (size_t i = 0; !error && i < prefixes->count; i++) {
		if (is_listed(&entries, &prefixes->prefix[i]))
			continue;
		address_format_prefix(&prefixes->prefix[i], text);
		error = problem_set(problem, -ENOENT,
				    "%s is not in the %s list: `sipdam %s list` shows what is", text,
				    live_list_name(list), live_list_name(list));
	}
	return error;
}

static int del(const struct arguments *arguments, struct problem *problem)
{
	_cleanup_prefixes_ struct prefix_set prefixes = {};
	int error = parse_operands(arguments, &prefixes, problem);

	if (!error && prefixes.count > 1)
		error = check_listed(arguments->list, &prefixes, problem);

	for (size_t i = 0; !error && i < prefixes.count; i++) {
		__u32 origins = 0;

		error = live_list_remove(arguments->list, &prefixes.prefix[i], &origins, problem);
		if (!error && origins & SIPDAM_ENTRY_CONFIG)
			printf("%s is in the configuration too: the next reload brings it back\n",
			       arguments->operand[i]);
	}
	return error;
}

static int import(const struct arguments *arguments, struct problem *problem)
{
	_cleanup_prefixes_ struct prefix_set prefixes = {};
	const char *file = arguments->operand[0];
	size_t line = 0;
	int feed, error = prefix_set_read(&prefixes, file, IMPORT_MAX, &line);

	if (error == -EINVAL && !line)
		return problem_set(problem, error, "%s is not a regular file; the list is unchanged", file);
	if (error == -EINVAL)
		return problem_set(problem, error, "%s:%zu: not an address or prefix; the list is unchanged",
				   file, line);
	if (error == -EFBIG)
		return problem_set(problem, error, "%s: more than %d prefixes; the list is unchanged", file,
				   IMPORT_MAX);
	if (error)
		return problem_set(problem, error, "reading %s: %s", file, strerror(-error));
	feed = live_feed(arguments->list, file, true, problem);
	if (feed < 0)
		return feed;
	error = live_list_replace(arguments->list, SIPDAM_ENTRY_FEED(feed), SIPDAM_ENTRY_FEED(feed),
				  &prefixes, expiry(arguments), problem);
	if (!error)
		printf("%s: %zu prefix%s in the %s list\n", file, prefixes.count,
		       prefixes.count == 1 ? "" : "es", live_list_name(arguments->list));
	return error;
}

/* One feed by its file's name, or everything. */
static int flush(const struct arguments *arguments, struct problem *problem)
{
	__u32 origins = ~0u;
	int error, feed;

	if (!arguments->operands) {
		error = live_list_replace(arguments->list, origins, 0, NULL, 0, problem);
		return error ? error : live_feeds_forget(arguments->list, origins, problem);
	}
	feed = live_feed(arguments->list, arguments->operand[0], false, problem);
	if (feed == -ENOENT)
		return problem_set(problem, -ENOENT, "%s: no feed of this name was imported into the %s list",
				   arguments->operand[0], live_list_name(arguments->list));
	if (feed < 0)
		return feed;
	origins = SIPDAM_ENTRY_FEED(feed);
	error = live_list_replace(arguments->list, origins, 0, NULL, 0, problem);
	return error ? error : live_feeds_forget(arguments->list, origins, problem);
}

/* "config", "manual", and feeds by their file's name. */
static json_t *origins_json(const struct sipdam_meta *meta, __u32 origins)
{
	json_t *array = json_array();

	if (origins & SIPDAM_ENTRY_CONFIG)
		json_array_append_new(array, json_string("config"));
	if (origins & SIPDAM_ENTRY_MANUAL)
		json_array_append_new(array, json_string("manual"));
	for (int feed = 0; feed < SIPDAM_FEEDS_MAX; feed++)
		if (origins & SIPDAM_ENTRY_FEED(feed))
			json_array_append_new(
				array, json_sprintf("feed %s", strchr(meta->feeds[feed], ':')
								       ? strchr(meta->feeds[feed], ':') + 1
								       : "?"));
	return array;
}

static int print_json(const struct arguments *arguments, const struct sipdam_meta *meta,
		      const struct trie_entries *entries)
{
	json_t *array = json_array(), *object;
	__u64 now = trie_now();
	int error;

	for (size_t i = 0; i < entries->count; i++) {
		const struct trie_entry *entry = &entries->entry[i];
		char text[ADDRESS_PREFIX_TEXT];
		json_t *left = entry->entry.expires ? json_integer((entry->entry.expires - now) / 1000000000)
						    : json_null();

		address_format_prefix(&entry->prefix, text);
		json_array_append_new(array, json_pack("{s:s, s:o, s:o}", "prefix", text, "origins",
						       origins_json(meta, entry->entry.origins), "expires_in",
						       left));
	}
	object = json_pack("{s:s, s:o}", "list", live_list_name(arguments->list), "entries", array);
	error = object && !json_dumpf(object, stdout, JSON_COMPACT) ? 0 : -ENOMEM;
	json_decref(object);
	printf("\n");
	return error;
}

static void print_text(const struct sipdam_meta *meta, const struct trie_entries *entries)
{
	__u64 now = trie_now();

	for (size_t i = 0; i < entries->count; i++) {
		const struct trie_entry *entry = &entries->entry[i];
		json_t *origins = origins_json(meta, entry->entry.origins), *origin;
		char text[ADDRESS_PREFIX_TEXT], left[32];
		size_t index;

		address_format_prefix(&entry->prefix, text);
		printf("%-44s", text);
		json_array_foreach (origins, index, origin)
			printf(" %s", json_string_value(origin));
		if (entry->entry.expires) {
			span_format_left(entry->entry.expires > now ? entry->entry.expires - now : 0, left,
				    sizeof(left));
			printf(", for %s more", left);
		}
		printf("\n");
		json_decref(origins);
	}
}

static int list(const struct arguments *arguments, struct problem *problem)
{
	_cleanup_entries_ struct trie_entries entries = {};
	struct sipdam_meta meta;
	int error = pins_check(&meta, problem);

	if (!error)
		error = live_list_read(arguments->list, &entries, problem);
	if (error)
		return error;
	if (arguments->json)
		return print_json(arguments, &meta, &entries);
	print_text(&meta, &entries);
	return 0;
}

static const struct {
	const char *name;
	action_t *run;
	size_t least, most; /* operands */
} actions[] = {
	{"add", add, 1, OPERANDS_MAX}, {"del", del, 1, OPERANDS_MAX}, {"list", list, 0, 0},
	{"import", import, 1, 1},      {"flush", flush, 0, 1},
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
		argp_error(state, "%s%sadd, del, list, import or flush is expected",
			   arguments->action ? arguments->action : "", arguments->action ? ": " : "");
	else if (arguments->operands < actions[action].least)
		argp_error(state, "%s: %s is missing", arguments->action,
			   strcmp(arguments->action, "import") ? "a PREFIX" : "a FILE");
	else if (arguments->operands > actions[action].most)
		argp_error(state, "%s: \"%s\" is too much", arguments->action,
			   arguments->operand[actions[action].most]);
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'j':
		arguments->json = true;
		return 0;
	case 'f':
		if (settings_parse_duration(argument, &arguments->lasting) || !arguments->lasting)
			argp_error(state, "--for: \"%s\" is not a duration such as 10m, 12h or 7d", argument);
		return 0;
	case ARGP_KEY_ARG:
		if (!arguments->action)
			arguments->action = argument;
		else if (arguments->operands == OPERANDS_MAX)
			argp_error(state, "at most %d prefixes at once: import a file", OPERANDS_MAX);
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
	{"for", 'f', "TIME", 0, "add, import: the entries end after this time (10m, 12h, 7d)", 0},
	{"json", 'j', NULL, 0, "list: print one JSON object", 0},
	{0},
};

static const struct argp allow_parser = {
	.options = options,
	.parser = parse_option,
	.args_doc = "add|del PREFIX...\nlist\nimport FILE\nflush [FILE]",
	.doc = "Sources that are always let in: trunks, monitoring, your own servers. Allow beats deny. An "
	       "import "
	       "replaces what was imported before from a file of that name, at once; a file has one prefix a "
	       "line, # begins a comment. flush empties the list, or takes out one import.\v"
	       "Examples:\n"
	       "  sipdam allow add 192.0.2.10 198.51.100.0/24\n"
	       "  sipdam allow import customers.txt\n"
	       "  sipdam allow list",
};

static const struct argp deny_parser = {
	.options = options,
	.parser = parse_option,
	.args_doc = "add|del PREFIX...\nlist\nimport FILE\nflush [FILE]",
	.doc = "Sources that are always dropped, unless they are in the allow list. An import replaces what "
	       "was "
	       "imported before from a file of that name, at once; a file has one prefix a line, # begins a "
	       "comment. flush empties the list, or takes out one import.\v"
	       "Examples:\n"
	       "  sipdam deny add 203.0.113.7 --for 7d\n"
	       "  sipdam deny import drop.txt --for 2d\n"
	       "  sipdam deny flush drop.txt",
};

static int run(const char *command, struct arguments *arguments)
{
	int action = find_action(arguments->action);
	_cleanup_close_ int lock = -1;
	struct problem problem = {0};
	int error = pins_check(NULL, &problem);

	if (!error && actions[action].run != list) {
		lock = pins_lock(false, &problem);
		error = lock < 0 ? lock : 0;
	}
	if (!error)
		error = actions[action].run(arguments, &problem);
	if (!error && (fflush(stdout) || ferror(stdout)))
		error = -EIO;
	return error ? command_fail(command, error, &problem) : EXIT_DONE;
}

int cmd_allow(int argc, char **argv)
{
	struct arguments arguments = {.list = SIPDAM_LIST_ALLOW};

	return command_parse(&allow_parser, argc, argv, &arguments) ? EXIT_USAGE : run("allow", &arguments);
}

int cmd_deny(int argc, char **argv)
{
	struct arguments arguments = {.list = SIPDAM_LIST_DENY};

	return command_parse(&deny_parser, argc, argv, &arguments) ? EXIT_USAGE : run("deny", &arguments);
}
