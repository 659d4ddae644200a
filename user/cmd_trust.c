/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `sipdam trust`: sources whose calls neither the network's limit nor the pool of strangers stops, by hand:
 * for the night when the filter is attached in the middle of an attack. */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
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
#include "contacts.h"
#include "known.h"
#include "live.h"
#include "settings.h"
#include "span.h"
#include "targets.h"

#define NANOSECONDS 1000000000ULL

/* What the operands name, and what they are looked up in. */
struct change {
	const struct action_arguments *arguments;
	struct targets targets; /* none of an import */
	struct known known;
	struct contacts contacts; /* of an import */
};

#define _cleanup_entries_ __attribute__((cleanup(known_entries_free)))

static int read_targets(struct change *change, struct problem *problem)
{
	static const struct targets_words words = {"trust", "let a prefix in with `sipdam allow add", ""};

	return targets_read(&change->targets, change->arguments, &words, problem);
}

static int begin(struct change *change, struct problem *problem)
{
	int error = read_targets(change, problem);

	return error ? error : known_open(&change->known, problem);
}

static struct known_grant grant_of(const struct change *change, const struct sipdam_prefix *source, int cause)
{
	const struct sipdam_policy *policy = &change->targets.policy;

	return (struct known_grant){.source = *source,
				    .trusted = true,
				    .cause = cause,
				    .lasting = change->arguments->lasting ? change->arguments->lasting
									  : policy->trust_ttl,
				    .ttl = policy->trust_ttl};
}

/* ---- add ---- */

static bool is_banned(const struct sipdam_policy *policy, const struct sipdam_prefix *source)
{
	struct bans bans;
	bool banned;

	if (!policy->ban_enabled || bans_open(&bans, NULL))
		return false;
	banned = bans_hold(&bans, source, book_now());
	bans_close(&bans);
	return banned;
}

/* What comes before trust on a packet's way. */
static void warn_of_others(const struct targets *targets, size_t number)
{
	const struct sipdam_prefix *given = &targets->given[number];
	const char *text = targets->text[number];

	if (book_holds(&targets->allowed, given, book_now()))
		printf("%s is in the allow list: it is let in as that, not as trusted\n", text);
	else if (book_holds(&targets->denied, given, book_now()))
		printf("%s is in the deny list, and deny wins: it is dropped all the same\n", text);
	else if (is_banned(&targets->policy, &targets->source[number]))
		printf("%s is banned, and a ban wins: `sipdam ban del %s` ends it\n", text, text);
}

static void tell_trust(const struct targets *targets, size_t number, __u64 lasting)
{
	char source[ADDRESS_PREFIX_TEXT], span[32];

	settings_format_duration(lasting, span, sizeof(span));
	printf("%s is trusted for %s\n", targets_source(targets, number, source), span);
	warn_of_others(targets, number);
}

static int problem_of_add(int error, const struct sipdam_prefix *prefix, struct problem *problem)
{
	char source[ADDRESS_PREFIX_TEXT];

	address_format_prefix(prefix, source);
	if (error == -ENOSPC)
		return problem_set(problem, error,
				   "%s cannot be trusted: the table is full where it would be; `sipdam allow "
				   "add %s --for 1h` lets it in too",
				   source, source);
	return problem_set(problem, error, "trusting %s: %s; try again", source, strerror(-error));
}

static int add(struct change *change, struct problem *problem)
{
	struct targets *targets = &change->targets;
	int error = begin(change, problem);

	if (!error)
		targets_read_lists(targets);
	for (size_t i = 0; !error && i < targets->count; i++) {
		struct known_grant grant = grant_of(change, &targets->source[i], SIPDAM_KNOWN_MANUAL);

		error = known_add(&change->known, &grant, book_now());
		if (error)
			return problem_of_add(error, &targets->source[i], problem);
		tell_trust(targets, i, grant.lasting);
	}
	return error;
}

/* ---- del ---- */

/* All of them are known, or none is forgotten. */
static int del(struct change *change, struct problem *problem)
{
	const struct targets *targets = &change->targets;
	int error = begin(change, problem);
	char source[ADDRESS_PREFIX_TEXT];

	for (size_t i = 0; !error && i < targets->count; i++)
		if (!known_hold(&change->known, &targets->source[i], book_now()))
			error = problem_set(problem, -ENOENT,
					    "%s is not trusted: `sipdam trust list` shows who is",
					    targets_source(targets, i, source));
	/* One that ends at this moment is gone as well. */
	for (size_t i = 0; !error && i < targets->count; i++)
		known_remove(&change->known, &targets->source[i], book_now());
	return error;
}

/* ---- import ---- */

static int problem_of_file(int error, const char *path, struct problem *problem)
{
	if (error == -EFBIG)
		return problem_set(problem, error, "%s: more than %d contacts; nothing was changed", path,
				   CONTACTS_MAX);
	return problem_set(problem, error, "%s: %s", path, strerror(-error));
}

/* "-" is what comes by a pipe. */
static int read_contacts(const char *path, struct contacts *contacts, struct problem *problem)
{
	bool piped = !strcmp(path, "-");
	_cleanup_fclose_ FILE *file = piped ? fdopen(dup(STDIN_FILENO), "r") : fopen(path, "re");
	int error = file ? contacts_read(contacts, file) : -errno;

	if (error)
		return problem_of_file(error, piped ? "standard input" : path, problem);
	if (contacts->count)
		return 0;
	return problem_set(
		problem, -EINVAL,
		"%s: no address in it: expected what `kamctl ul show`, `kamcmd ul.dump`, `pjsip show "
		"contacts`, `sip show peers` or `database show registrar/contact` prints, or an "
		"address a line",
		piped ? "standard input" : path);
}

static int compare_contacts(const void *left, const void *right)
{
	const struct contact *a = left, *b = right;
	int order = memcmp(a->address, b->address, sizeof(a->address));

	return order ? order : a->port - b->port;
}

static void tell_import(const struct change *change, size_t sources, size_t refused, __u64 lasting)
{
	const struct contacts *contacts = &change->contacts;
	char span[32];

	settings_format_duration(lasting, span, sizeof(span));
	printf("%zu source%s trusted for %s, of %zu contact%s\n", sources, sources == 1 ? " is" : "s are",
	       span, contacts->count, contacts->count == 1 ? "" : "s");
	if (contacts->skipped)
		printf("%zu without an address %s skipped\n", contacts->skipped,
		       contacts->skipped == 1 ? "was" : "were");
	if (refused)
		printf("%zu could not be trusted: the table is full where %s would be\n", refused,
		       refused == 1 ? "it" : "they");
}

/* Contacts of one source follow each other when they are sorted: each tells of one more device. */
static int trust_contacts(struct change *change, struct problem *problem)
{
	struct contacts *contacts = &change->contacts;
	size_t sources = 0, refused = 0;
	struct sipdam_prefix last = {};
	__u64 lasting = 0;

	qsort(contacts->contact, contacts->count, sizeof(*contacts->contact), compare_contacts);
	for (size_t i = 0; i < contacts->count; i++) {
		struct sipdam_prefix given = {.bits = 128}, source;
		struct known_grant grant;
		bool exact, again;
		int error;

		memcpy(given.address, contacts->contact[i].address, sizeof(given.address));
		source = bans_source(&change->targets.policy, &given, &exact);
		again = !memcmp(&source, &last, sizeof(source));
		grant = grant_of(change, &source, SIPDAM_KNOWN_IMPORT);
		grant.port = contacts->contact[i].port;
		error = known_add(&change->known, &grant, book_now());
		if (error && error != -ENOSPC)
			return problem_of_add(error, &source, problem);
		sources += !again && !error;
		refused += !again && error;
		lasting = grant.lasting;
		last = source;
	}
	tell_import(change, sources, refused, lasting);
	return 0;
}

static int import(struct change *change, struct problem *problem)
{
	int error = live_policy(&change->targets.policy, problem);

	if (!error)
		error = known_open(&change->known, problem);
	return error ? error : trust_contacts(change, problem);
}

/* ---- list ---- */

static json_t *entry_json(const struct known_entry *entry, __u64 now)
{
	char address[ADDRESS_TEXT];
	bool ipv4 = address_is_ipv4(entry->source.address);

	address_format(entry->source.address, address);
	return json_pack("{s:s, s:i, s:I, s:I, s:s, s:i}", "address", address, "prefix",
			 (int)(ipv4 ? entry->source.bits - 96 : entry->source.bits), "expires_in",
			 (json_int_t)((entry->end - now) / NANOSECONDS), "since",
			 (json_int_t)span_wall_time(entry->record.since, now), "cause",
			 known_cause_name(entry->record.cause), "devices", (int)entry->record.devices);
}

static int print_json(const struct known_entries *entries, __u64 now)
{
	json_t *array[2] = {json_array(), json_array()};

	for (size_t i = 0; i < entries->count; i++)
		json_array_append_new(array[entries->entry[i].trusted], entry_json(&entries->entry[i], now));
	return command_print(json_pack("{s:o, s:o}", "trusted", array[true], "peers", array[false]),
			     JSON_COMPACT);
}

static void print_text(const struct known_entries *entries, __u64 now)
{
	if (entries->count)
		printf("%-24s %-7s %8s  %-16s %-12s %7s\n", "source", "tier", "left", "since", "cause",
		       "devices");
	for (size_t i = 0; i < entries->count; i++) {
		const struct known_entry *entry = &entries->entry[i];
		time_t since = span_wall_time(entry->record.since, now);
		char source[ADDRESS_PREFIX_TEXT], left[32], when[32];

		address_format_prefix(&entry->source, source);
		span_format_left(entry->end - now, left, sizeof(left));
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M", localtime(&since));
		printf("%-24s %-7s %8s  %-16s %-12s %7u\n", source, entry->trusted ? "trusted" : "peer", left,
		       when, known_cause_name(entry->record.cause), entry->record.devices);
	}
}

/* Those that the operands name, where there are any. */
static void select_entries(const struct targets *targets, struct known_entries *entries)
{
	size_t kept = 0;

	for (size_t i = 0; i < entries->count; i++)
		if (targets_have(targets, &entries->entry[i].source))
			entries->entry[kept++] = entries->entry[i];
	entries->count = kept;
}

static int list(struct change *change, struct problem *problem)
{
	_cleanup_entries_ struct known_entries entries = {};
	__u64 now = book_now();
	int error = read_targets(change, problem);

	if (!error)
		error = known_read(&change->known, true, problem);
	if (!error)
		error = known_list(&change->known, &change->targets.policy, now, &entries);
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
	[ACTION_IMPORT] = {"a FILE", 1, 1, .known = true, .lasting = true},
};

static int (*const runs[ACTIONS])(struct change *change, struct problem *problem) = {
	[ACTION_ADD] = add,
	[ACTION_DEL] = del,
	[ACTION_LIST] = list,
	[ACTION_IMPORT] = import,
};

static const struct argp_option options[] = {
	{"for", 'f', "TIME", 0, "add, import: trusted so long (10m, 12h, 7d); without it, trust.ttl", 0},
	{"json", 'j', NULL, 0, "list: print one JSON object", 0},
	{0},
};

static const struct argp parser = {
	.options = options,
	.parser = action_parse,
	.args_doc = "add|del ADDRESS...\nlist [ADDRESS...]\nimport FILE|-",
	.doc = "Sources with limits of their own (limits.trusted), that draw neither on the limit of their "
	       "network "
	       "nor on the pools of strangers, so that no flood of others stops them, and that are never "
	       "banned "
	       "for drops. A second add gives another end. import takes what a registrar prints of its "
	       "contacts, "
	       "or an address a line. Deny and a ban beat trust; trunks belong in the allow list.\v"
	       "Examples:\n"
	       "  sipdam trust add 192.0.2.10 --for 12h\n"
	       "  kamctl ul show | sipdam trust import -\n"
	       "  asterisk -rx 'pjsip show contacts' | sipdam trust import - --for 2h\n"
	       "  sipdam trust list",
};

static int run(struct change *change, struct problem *problem)
{
	_cleanup_close_ int lock = -1;
	int error = action_lock(change->arguments, &lock, problem);

	if (error)
		return error;
	error = runs[change->arguments->action](change, problem);
	known_close(&change->known);
	targets_free(&change->targets);
	return error;
}

int cmd_trust(int argc, char **argv)
{
	struct action_arguments arguments = {.rules = rules, .longest = KNOWN_LONGEST};
	_cleanup_free_ struct change *change = calloc(1, sizeof(*change));
	struct problem problem = {0};
	int error;

	if (command_parse(&parser, argc, argv, &arguments))
		return EXIT_USAGE;
	error = change ? action_check(&arguments, &problem) : -ENOMEM;
	/* Before the lock: what comes by a pipe may take its time. */
	if (!error && arguments.action == ACTION_IMPORT)
		error = read_contacts(arguments.operand[0], &change->contacts, &problem);
	if (!error) {
		change->arguments = &arguments;
		error = run(change, &problem);
	}
	if (change)
		contacts_free(&change->contacts);
	return error ? command_fail("trust", error, &problem) : EXIT_DONE;
}
