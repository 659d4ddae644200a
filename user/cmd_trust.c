/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `sipdam trust`: sources whose calls neither the network's limit nor the pool of strangers stops, by hand: for
 * the night when the filter is attached in the middle of an attack. */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bans.h"
#include "book.h"
#include "cleanup.h"
#include "command.h"
#include "contacts.h"
#include "known.h"
#include "live.h"
#include "pins.h"
#include "span.h"

/* Addresses of one add or del; more come by import. */
#define OPERANDS_MAX 256

#define NANOSECONDS 1000000000ULL

struct arguments {
	const char *action;
	const char *operand[OPERANDS_MAX];
	size_t operands;
	__u64 lasting; /* nanoseconds; 0: trust.ttl */
	bool json;
};

/* What the operands name, and what they are looked up in. */
struct change {
	const struct arguments *arguments;
	struct sipdam_policy policy;
	struct known known;
	struct contacts contacts; /* of an import */
	struct sipdam_prefix given[OPERANDS_MAX], source[OPERANDS_MAX];
	struct book allowed, denied; /* empty until they are asked for, or where they cannot be read */
};

#define _cleanup_entries_ __attribute__((cleanup(known_entries_free)))

/* ---- operands ---- */

/* One address, or the very prefix that counts as one source. */
static int parse_operand(const struct sipdam_policy *policy, const char *text, struct sipdam_prefix *given,
			 struct sipdam_prefix *source, struct problem *problem)
{
	bool exact;

	if (address_parse_prefix(text, given))
		return problem_set(problem, -EINVAL, "%s is not an address such as 192.0.2.1 or 2001:db8::1",
				   text);
	*source = bans_source(policy, given, &exact);
	if (exact || !strchr(text, '/'))
		return 0;
	return problem_set(problem, -EINVAL,
			   "%s: trust is of one source, which is a /%u (source_key): let a prefix in with "
			   "`sipdam allow add %s`",
			   text, address_is_ipv4(given->address) ? source->bits - 96 : source->bits, text);
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

	return error ? error : known_open(&change->known, problem);
}

static struct known_grant grant_of(const struct change *change, const struct sipdam_prefix *source, int cause)
{
	const struct sipdam_policy *policy = &change->policy;

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
static void warn_of_others(const struct change *change, size_t number)
{
	const char *text = change->arguments->operand[number];
	const struct sipdam_prefix *given = &change->given[number];

	if (book_holds(&change->allowed, given, book_now()))
		printf("%s is in the allow list: it is let in as that, not as trusted\n", text);
	else if (book_holds(&change->denied, given, book_now()))
		printf("%s is in the deny list, and deny wins: it is dropped all the same\n", text);
	else if (is_banned(&change->policy, &change->source[number]))
		printf("%s is banned, and a ban wins: `sipdam ban del %s` ends it\n", text, text);
}

static void tell_trust(const struct change *change, size_t number, __u64 lasting)
{
	char source[ADDRESS_PREFIX_TEXT], span[32];

	address_format_prefix(&change->source[number], source);
	settings_format_duration(lasting, span, sizeof(span));
	printf("%s is trusted for %s\n", source, span);
	warn_of_others(change, number);
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
	int error = begin(change, problem);

	if (!error) {
		live_list_read(SIPDAM_LIST_ALLOW, &change->allowed, NULL);
		live_list_read(SIPDAM_LIST_DENY, &change->denied, NULL);
	}
	for (size_t i = 0; !error && i < change->arguments->operands; i++) {
		struct known_grant grant = grant_of(change, &change->source[i], SIPDAM_KNOWN_MANUAL);

		error = known_add(&change->known, &grant, book_now());
		if (error)
			return problem_of_add(error, &change->source[i], problem);
		tell_trust(change, i, grant.lasting);
	}
	return error;
}

/* ---- del ---- */

static int problem_of_del(const struct sipdam_prefix *prefix, struct problem *problem)
{
	char source[ADDRESS_PREFIX_TEXT];

	address_format_prefix(prefix, source);
	return problem_set(problem, -ENOENT, "%s is not trusted: `sipdam trust list` shows who is", source);
}

/* All of them are known, or none is forgotten. */
static int del(struct change *change, struct problem *problem)
{
	int error = begin(change, problem);

	for (size_t i = 0; !error && i < change->arguments->operands; i++)
		if (!known_hold(&change->known, &change->source[i], book_now()))
			error = problem_of_del(&change->source[i], problem);
	/* One that ends at this moment is gone as well. */
	for (size_t i = 0; !error && i < change->arguments->operands; i++)
		known_remove(&change->known, &change->source[i], book_now());
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
	return problem_set(problem, -EINVAL,
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
	printf("%zu source%s trusted for %s, of %zu contact%s\n", sources, sources == 1 ? " is" : "s are", span,
	       contacts->count, contacts->count == 1 ? "" : "s");
	if (contacts->skipped)
		printf("%zu without an address %s skipped\n", contacts->skipped,
		       contacts->skipped == 1 ? "was" : "were");
	if (refused)
		printf("%zu could not be trusted: the table is full where they would be\n", refused);
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
		source = bans_source(&change->policy, &given, &exact);
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
	int error = live_policy(&change->policy, problem);

	if (!error)
		error = known_open(&change->known, problem);
	return error ? error : trust_contacts(change, problem);
}

/* ---- list ---- */

/* When it was by the wall clock of now. */
static time_t wall_time(__u64 monotonic, __u64 now)
{
	return time(NULL) - (time_t)((now - monotonic) / NANOSECONDS);
}

static json_t *entry_json(const struct known_entry *entry, __u64 now)
{
	char address[ADDRESS_TEXT];
	bool ipv4 = address_is_ipv4(entry->source.address);

	address_format(entry->source.address, address);
	return json_pack("{s:s, s:i, s:I, s:I, s:s, s:i}", "address", address, "prefix",
			 (int)(ipv4 ? entry->source.bits - 96 : entry->source.bits), "expires_in",
			 (json_int_t)((entry->end - now) / NANOSECONDS), "since",
			 (json_int_t)wall_time(entry->record.since, now), "cause",
			 known_cause_name(entry->record.cause), "devices", (int)entry->record.devices);
}

static int print_json(const struct known_entries *entries, __u64 now)
{
	json_t *array[2] = {json_array(), json_array()};

	for (size_t i = 0; i < entries->count; i++)
		json_array_append_new(array[entries->entry[i].trusted], entry_json(&entries->entry[i], now));
	return command_print(json_pack("{s:o, s:o}", "trusted", array[true], "peers", array[false]), JSON_COMPACT);
}

static void print_text(const struct known_entries *entries, __u64 now)
{
	if (entries->count)
		printf("%-24s %-7s %8s  %-16s %-12s %7s\n", "source", "tier", "left", "since", "cause",
		       "devices");
	for (size_t i = 0; i < entries->count; i++) {
		const struct known_entry *entry = &entries->entry[i];
		time_t since = wall_time(entry->record.since, now);
		char source[ADDRESS_PREFIX_TEXT], left[32], when[32];

		address_format_prefix(&entry->source, source);
		span_format_left(entry->end - now, left, sizeof(left));
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M", localtime(&since));
		printf("%-24s %-7s %8s  %-16s %-12s %7u\n", source, entry->trusted ? "trusted" : "peer", left,
		       when, known_cause_name(entry->record.cause), entry->record.devices);
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
static void select_entries(const struct change *change, struct known_entries *entries)
{
	size_t kept = 0;

	for (size_t i = 0; i < entries->count; i++)
		if (is_asked_for(change, &entries->entry[i].source))
			entries->entry[kept++] = entries->entry[i];
	entries->count = kept;
}

static int list(struct change *change, struct problem *problem)
{
	_cleanup_entries_ struct known_entries entries = {};
	__u64 now = book_now();
	int error = read_operands(change, problem);

	if (!error)
		error = known_read(&change->known, true, problem);
	if (!error)
		error = known_list(&change->known, &change->policy, now, &entries);
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
	{"import", import, 1, 1},
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
		argp_error(state, "%s%sadd, del, list or import is expected",
			   arguments->action ? arguments->action : "", arguments->action ? ": " : "");
	else if (arguments->operands < actions[action].least)
		argp_error(state, "%s: %s is missing", arguments->action,
			   actions[action].run == import ? "a FILE" : "an ADDRESS");
	else if (arguments->operands > actions[action].most)
		argp_error(state, "%s: \"%s\" is too much", arguments->action,
			   arguments->operand[actions[action].most]);
	else if (arguments->lasting && actions[action].run != add && actions[action].run != import)
		argp_error(state, "%s: --for belongs to add and import", arguments->action);
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
		    arguments->lasting > KNOWN_LONGEST)
			argp_error(state,
				   "--for: \"%s\" is not a duration such as 10m, 12h or 7d, at most 365d",
				   argument);
		return 0;
	case ARGP_KEY_ARG:
		if (!arguments->action)
			arguments->action = argument;
		else if (arguments->operands == OPERANDS_MAX)
			argp_error(state, "at most %d addresses at once: import takes a file of them",
				   OPERANDS_MAX);
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
	{"for", 'f', "TIME", 0, "add, import: trusted so long (10m, 12h, 7d); without it, trust.ttl", 0},
	{"json", 'j', NULL, 0, "list: print one JSON object", 0},
	{0},
};

static const struct argp parser = {
	.options = options,
	.parser = parse_option,
	.args_doc = "add|del ADDRESS...\nlist [ADDRESS...]\nimport FILE|-",
	.doc = "Sources with limits of their own (limits.trusted), that draw neither on the limit of their network "
	       "nor on the pools of strangers, so that no flood of others stops them, and that are never banned "
	       "for drops. A second add gives another end. import takes what a registrar prints of its contacts, "
	       "or an address a line. Deny and a ban beat trust; trunks belong in the allow list.\v"
	       "Examples:\n"
	       "  sipdam trust add 192.0.2.10 --for 12h\n"
	       "  kamctl ul show | sipdam trust import -\n"
	       "  asterisk -rx 'pjsip show contacts' | sipdam trust import - --for 2h\n"
	       "  sipdam trust list",
};

/* Under the lock of the pins where something changes. */
static int run(struct change *change, int action, struct problem *problem)
{
	_cleanup_close_ int lock = -1;
	int error;

	if (actions[action].run != list) {
		lock = pins_lock(false, problem);
		if (lock < 0)
			return lock;
	}
	error = actions[action].run(change, problem);
	known_close(&change->known);
	book_free(&change->allowed);
	book_free(&change->denied);
	return error;
}

int cmd_trust(int argc, char **argv)
{
	struct arguments arguments = {};
	_cleanup_free_ struct change *change = NULL;
	struct problem problem = {0};
	int error, action;

	if (command_parse(&parser, argc, argv, &arguments))
		return EXIT_USAGE;
	action = find_action(arguments.action);
	change = calloc(1, sizeof(*change));
	error = change ? pins_check(NULL, &problem) : -ENOMEM;
	/* Before the lock: what comes by a pipe may take its time. */
	if (!error && actions[action].run == import)
		error = read_contacts(arguments.operand[0], &change->contacts, &problem);
	if (!error) {
		change->arguments = &arguments;
		error = run(change, action, &problem);
	}
	if (change)
		contacts_free(&change->contacts);
	return error ? command_fail("trust", error, &problem) : EXIT_DONE;
}
