/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `sipdam allow` and `sipdam deny`: the two prefix lists of the running filter, by hand and by feed. */
#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "action.h"
#include "cleanup.h"
#include "command.h"
#include "lists.h"
#include "live.h"
#include "origin.h"
#include "pins.h"
#include "span.h"

/* Prefixes of one import; a list has room for two (SIPDAM_LIST_ENTRIES_MAX). */
#define IMPORT_MAX 1000000

struct arguments {
	struct action_arguments action;
	int list;               /* enum sipdam_list */
	struct prefix_set feed; /* of an import; what comes by a pipe is read before anything is begun */
};

#define _cleanup_prefixes_ __attribute__((cleanup(prefix_set_free)))
#define _cleanup_book_     __attribute__((cleanup(book_free)))

static int parse_operands(const struct arguments *arguments, struct prefix_set *prefixes,
			  struct problem *problem)
{
	struct sipdam_prefix prefix;
	int error = 0;

	for (size_t i = 0; !error && i < arguments->action.operands; i++) {
		if (address_parse_prefix(arguments->action.operand[i], &prefix))
			return problem_set(
				problem, -EINVAL,
				"%s is not an address or prefix such as 192.0.2.1 or 2001:db8::/32",
				arguments->action.operand[i]);
		error = prefix_set_add(prefixes, &prefix);
	}
	return error;
}

static __u64 expiry(const struct arguments *arguments)
{
	return arguments->action.lasting ? book_now() + arguments->action.lasting : 0;
}

/* ---- allow wins ---- */

#define COLUMNS 80

/* Rows of those of an import that share addresses with the allow list; of `deny add` each has one. */
#define IMPORT_ROWS 10

/* Prefixes of the deny list that share addresses with the allow list, and one entry of that for each. */
struct meetings {
	size_t count;
	struct {
		struct sipdam_prefix prefix, allowed;
	} row[ACTION_OPERANDS_MAX]; /* the first of them */
};

static void meet(const struct sipdam_prefix *prefix, const struct sipdam_prefix *allowed, void *context)
{
	struct meetings *meetings = context;

	if (meetings->count < ACTION_OPERANDS_MAX) {
		meetings->row[meetings->count].prefix = *prefix;
		meetings->row[meetings->count].allowed = *allowed;
	}
	meetings->count++;
}

/* Two long prefixes of IPv6 take a line each. */
static void say_row(const struct sipdam_prefix *prefix, const struct sipdam_prefix *allowed, int width)
{
	const char *what = prefix_holds(allowed, prefix) ? "still let in: inside" : "partly let in, such as";
	char text[ADDRESS_PREFIX_TEXT], other[ADDRESS_PREFIX_TEXT];
	bool fits;

	address_format_prefix(prefix, text);
	address_format_prefix(allowed, other);
	fits = 2 + width + 2 + strlen(what) + 1 + strlen(other) <= COLUMNS;
	printf("  %-*s%s%s %s\n", fits ? width : 0, text, fits ? "  " : "\n      ", what, other);
}

static void say_meetings(const struct meetings *meetings, size_t most)
{
	size_t rows = meetings->count < most ? meetings->count : most;
	int width = 0;

	if (!meetings->count)
		return;
	printf(meetings->count == 1 ? "%zu prefix shares addresses with the allow list, and allow wins:\n"
				    : "%zu prefixes share addresses with the allow list, and allow wins:\n",
	       meetings->count);
	for (size_t i = 0; i < rows; i++) {
		char text[ADDRESS_PREFIX_TEXT];

		address_format_prefix(&meetings->row[i].prefix, text);
		if ((int)strlen(text) > width)
			width = (int)strlen(text);
	}
	for (size_t i = 0; i < rows; i++)
		say_row(&meetings->row[i].prefix, &meetings->row[i].allowed, width);
	if (rows < meetings->count)
		printf("  and %zu more\n", meetings->count - rows);
}

/* Says which of the deny list's new prefixes have no effect, or not all of it, because the allow list has them
 * too. Sorts them. */
static void say_where_allow_wins(const struct arguments *arguments, struct prefix_set *prefixes, size_t most)
{
	_cleanup_book_ struct book allowed = {};
	struct meetings meetings = {};
	struct problem ignored;

	if (arguments->list != SIPDAM_LIST_DENY || live_list_read(SIPDAM_LIST_ALLOW, &allowed, &ignored))
		return;
	prefixes_sort(prefixes);
	book_overlaps(&allowed, prefixes, book_now(), meet, &meetings);
	say_meetings(&meetings, most);
}

/* ---- changes ---- */

static int add(struct arguments *arguments, struct problem *problem)
{
	_cleanup_prefixes_ struct prefix_set prefixes = {};
	int error = parse_operands(arguments, &prefixes, problem);

	if (!error)
		error = live_list_add(arguments->list, &prefixes, expiry(arguments), problem);
	if (!error)
		say_where_allow_wins(arguments, &prefixes, ACTION_OPERANDS_MAX);
	return error;
}

static int del(struct arguments *arguments, struct problem *problem)
{
	_cleanup_prefixes_ struct prefix_set prefixes = {};
	__u32 origins[ACTION_OPERANDS_MAX];
	int error = parse_operands(arguments, &prefixes, problem);

	if (!error)
		error = live_list_remove(arguments->list, &prefixes, origins, problem);
	for (size_t i = 0; !error && i < prefixes.count; i++)
		if (origins[i] & SIPDAM_ENTRY_CONFIG)
			printf("%s is in the configuration too: the next reload brings it back\n",
			       arguments->action.operand[i]);
	return error;
}

/* "-" is what comes by a pipe. */
static bool is_piped(const struct arguments *arguments)
{
	return arguments->action.action == ACTION_IMPORT && !strcmp(arguments->action.operand[0], "-");
}

static const char *feed_text(const struct arguments *arguments)
{
	return is_piped(arguments) ? "standard input" : arguments->action.operand[0];
}

/* How many prefixes there are, by the name of their feed, and where they change nothing. They are sorted. */
static void report_import(const struct arguments *arguments, struct prefix_set *prefixes)
{
	const char *text = feed_text(arguments), *slash = strrchr(text, '/');

	printf("%s: %zu prefix%s in the %s list\n", slash ? slash + 1 : text, prefixes->count,
	       prefixes->count == 1 ? "" : "es", lists_name(arguments->list));
	say_where_allow_wins(arguments, prefixes, IMPORT_ROWS);
}

static int problem_of_feed(const struct arguments *arguments, int error, size_t line, struct problem *problem)
{
	const char *text = feed_text(arguments);

	if (error == -EINVAL && !line)
		return problem_set(problem, error, "%s is not a regular file; the list is unchanged", text);
	if (error == -EINVAL)
		return problem_set(problem, error, "%s:%zu: not an address or prefix; the list is unchanged",
				   text, line);
	if (error == -EFBIG)
		return problem_set(problem, error, "%s: more than %d prefixes; the list is unchanged", text,
				   IMPORT_MAX);
	if (error == -ENODATA)
		return problem_set(problem, error,
				   "%s is empty: did what should write it fail? The list is unchanged; `sipdam "
				   "%s flush -` empties the feed",
				   text, lists_name(arguments->list));
	return problem_set(problem, error, "reading %s: %s", text, strerror(-error));
}

static int read_feed(struct arguments *arguments, struct problem *problem)
{
	const bool piped = is_piped(arguments);
	_cleanup_fclose_ FILE *file = piped ? fdopen(dup(STDIN_FILENO), "r") : NULL;
	size_t line = 0;
	int error;

	if (piped && !file)
		error = -errno;
	else if (piped)
		error = prefix_set_read_stream(&arguments->feed, file, IMPORT_MAX, &line);
	else
		error = prefix_set_read(&arguments->feed, arguments->action.operand[0], IMPORT_MAX, &line);
	return error ? problem_of_feed(arguments, error, line, problem) : 0;
}

static int import(struct arguments *arguments, struct problem *problem)
{
	const char *file = arguments->action.operand[0];
	int feed, error = is_piped(arguments) ? 0 : read_feed(arguments, problem);

	if (error)
		return error;
	feed = live_feed(arguments->list, file, true, problem);
	if (feed < 0)
		return feed;
	prefixes_sort(&arguments->feed);
	error = live_list_replace(arguments->list, SIPDAM_ENTRY_FEED(feed), SIPDAM_ENTRY_FEED(feed),
				  &arguments->feed, expiry(arguments), problem);
	if (!error)
		report_import(arguments, &arguments->feed);
	return error;
}

/* One feed by its file's name, or everything. */
static int flush(struct arguments *arguments, struct problem *problem)
{
	__u32 origins = ~0u;
	int error, feed;

	if (!arguments->action.operands) {
		error = live_list_replace(arguments->list, origins, 0, NULL, 0, problem);
		return error ? error : live_feeds_forget(arguments->list, origins, problem);
	}
	feed = live_feed(arguments->list, arguments->action.operand[0], false, problem);
	if (feed == -ENOENT)
		return problem_set(problem, -ENOENT, "%s: no feed of this name was imported into the %s list",
				   arguments->action.operand[0], lists_name(arguments->list));
	if (feed < 0)
		return feed;
	origins = SIPDAM_ENTRY_FEED(feed);
	error = live_list_replace(arguments->list, origins, 0, NULL, 0, problem);
	return error ? error : live_feeds_forget(arguments->list, origins, problem);
}

/* ---- list ---- */

/* Labels of origins by their number: as text, or quoted for JSON. */
struct labels {
	char *text[ORIGINS];
};

static void labels_free(struct labels *labels)
{
	for (int i = 0; i < ORIGINS; i++)
		free(labels->text[i]);
}

#define _cleanup_labels_ __attribute__((cleanup(labels_free)))

static int labels_make(struct labels *labels, const struct sipdam_meta *meta, bool json)
{
	for (int i = 0; i < ORIGINS; i++) {
		json_t *label = origin_label(meta, i);

		if (label)
			labels->text[i] =
				json ? json_dumps(label, JSON_ENCODE_ANY) : strdup(json_string_value(label));
		json_decref(label);
		if (!labels->text[i])
			return -ENOMEM;
	}
	return 0;
}

/* One object, written as it goes: a million entries are no reason to hold them twice. */
static void print_json(const struct arguments *arguments, const struct labels *labels,
		       const struct book *book)
{
	__u64 now = book_now();

	printf("{\"list\":\"%s\",\"entries\":[", lists_name(arguments->list));
	for (size_t i = 0; i < book->count; i++) {
		const struct sipdam_entry *entry = &book->entry[i];
		char text[ADDRESS_PREFIX_TEXT];
		const char *comma = "";

		address_format_prefix(&entry->prefix, text);
		printf("%s{\"prefix\":\"%s\",\"origins\":[", i ? "," : "", text);
		for (int origin = 0; origin < ORIGINS; origin++) {
			if (!(entry->origins & 1u << origin))
				continue;
			printf("%s%s", comma, labels->text[origin]);
			comma = ",";
		}
		if (entry->expires)
			printf("],\"expires_in\":%llu}",
			       entry->expires > now ? (entry->expires - now) / 1000000000 : 0);
		else
			printf("],\"expires_in\":null}");
	}
	printf("]}\n");
}

static void print_text(const struct labels *labels, const struct book *book)
{
	__u64 now = book_now();

	for (size_t i = 0; i < book->count; i++) {
		const struct sipdam_entry *entry = &book->entry[i];
		char text[ADDRESS_PREFIX_TEXT], left[32];

		address_format_prefix(&entry->prefix, text);
		printf("%-44s", text);
		for (int origin = 0; origin < ORIGINS; origin++)
			if (entry->origins & 1u << origin)
				printf(" %s", labels->text[origin]);
		if (entry->expires) {
			span_format_left(entry->expires > now ? entry->expires - now : 0, left, sizeof(left));
			printf(", for %s more", left);
		}
		printf("\n");
	}
}

static int list(struct arguments *arguments, struct problem *problem)
{
	_cleanup_labels_ struct labels labels = {};
	_cleanup_book_ struct book book = {};
	struct sipdam_meta meta;
	int error = pins_check(&meta, problem);

	if (!error)
		error = live_list_read(arguments->list, &book, problem);
	if (!error)
		error = labels_make(&labels, &meta, arguments->action.json);
	if (error)
		return error;
	if (arguments->action.json)
		print_json(arguments, &labels, &book);
	else
		print_text(&labels, &book);
	return 0;
}

/* ---- the commands ---- */

static const struct action_rule rules[ACTIONS] = {
	[ACTION_ADD] = {"a PREFIX", 1, ACTION_OPERANDS_MAX, .known = true, .lasting = true},
	[ACTION_DEL] = {"a PREFIX", 1, ACTION_OPERANDS_MAX, .known = true},
	[ACTION_LIST] = {.known = true},
	[ACTION_IMPORT] = {"a FILE", 1, 1, .known = true, .lasting = true},
	[ACTION_FLUSH] = {NULL, 0, 1, .known = true},
};

static int (*const runs[ACTIONS])(struct arguments *arguments, struct problem *problem) = {
	[ACTION_ADD] = add,       [ACTION_DEL] = del,     [ACTION_LIST] = list,
	[ACTION_IMPORT] = import, [ACTION_FLUSH] = flush,
};

static const struct argp_option options[] = {
	{"for", 'f', "TIME", 0, "add, import: the entries end after this time (10m, 12h, 7d)", 0},
	{"json", 'j', NULL, 0, "list: print one JSON object", 0},
	{0},
};

static const struct argp allow_parser = {
	.options = options,
	.parser = action_parse,
	.args_doc = "add|del PREFIX...\nlist\nimport FILE|-\nflush [FILE|-]",
	.doc = "Sources that are always let in: trunks, monitoring, your own servers. Allow beats deny. An "
	       "import "
	       "replaces what was imported before from a file of that name, at once; - is standard input, a "
	       "name like any other. A file has one prefix a "
	       "line, # or ; begins a comment. flush empties the list, or takes out one import.\v"
	       "Examples:\n"
	       "  sipdam allow add 192.0.2.10 198.51.100.0/24\n"
	       "  sipdam allow import customers.txt\n"
	       "  sipdam allow list",
};

static const struct argp deny_parser = {
	.options = options,
	.parser = action_parse,
	.args_doc = "add|del PREFIX...\nlist\nimport FILE|-\nflush [FILE|-]",
	.doc = "Sources that are always dropped, unless they are in the allow list. An import replaces what "
	       "was "
	       "imported before from a file of that name, at once; - is standard input, a name like any "
	       "other. A file has one prefix a line, # or ; "
	       "begins a comment. flush empties the list, or takes out one import.\v"
	       "Examples:\n"
	       "  sipdam deny add 203.0.113.7 --for 7d\n"
	       "  sipdam deny import drop.txt --for 2d\n"
	       "  curl -sf https://example.org/drop.txt | sipdam deny import -\n"
	       "  sipdam deny flush drop.txt",
};

static int run(struct arguments *arguments, struct problem *problem)
{
	_cleanup_close_ int lock = -1;
	int error = action_check(&arguments->action, problem);

	/* Before the lock: what comes by a pipe may take its time. */
	if (!error && is_piped(arguments))
		error = read_feed(arguments, problem);
	if (!error)
		error = action_lock(&arguments->action, &lock, problem);
	return error ? error : runs[arguments->action.action](arguments, problem);
}

static int cmd_list(int list, const struct argp *parser, int argc, char **argv)
{
	struct arguments arguments = {.action.rules = rules, .list = list};
	struct problem problem = {0};
	int error;

	if (command_parse(parser, argc, argv, &arguments.action))
		return EXIT_USAGE;
	error = run(&arguments, &problem);
	prefix_set_free(&arguments.feed);
	return error ? command_fail(lists_name(list), error, &problem) : EXIT_DONE;
}

int cmd_allow(int argc, char **argv)
{
	return cmd_list(SIPDAM_LIST_ALLOW, &allow_parser, argc, argv);
}

int cmd_deny(int argc, char **argv)
{
	return cmd_list(SIPDAM_LIST_DENY, &deny_parser, argc, argv);
}
