/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `sipdam explain`: what would become of an INVITE and a REGISTER from an address now, and all that this
 * hangs on. Gathers what explain.h asks for, and prints it.
 */
#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "address.h"
#include "bans.h"
#include "book.h"
#include "cleanup.h"
#include "command.h"
#include "explain.h"
#include "lists.h"
#include "known.h"
#include "live.h"
#include "origin.h"
#include "pins.h"
#include "render.h"
#include "span.h"

#define SECOND      1000000000ULL
#define MILLISECOND 1000000ULL

/* An entry that holds the address. */
struct match {
	int list;
	struct sipdam_entry entry;
};

/* Told of: a list has one for each length at most. */
#define MATCHES_MAX (2 * 129)

/* All that is told of one address. */
struct account {
	const char *text; /* as it was given */
	struct sipdam_meta meta;
	struct sipdam_policy policy;
	struct explain_question question;
	__u64 wall; /* of the same moment: nanoseconds since 1970 */
	struct match match[MATCHES_MAX];
	size_t matches;
	struct ban_entry ban; /* in force where the question says so */
	struct known_entry known; /* trusted or a peer, where the question says so */
	bool may_read;        /* the tables of sources and networks */
	struct explanation explanation;
};

struct arguments {
	const char *address;
	bool json;
};

/* ---- gathering ---- */

static void add_match(struct account *account, int list, const struct sipdam_entry *entry)
{
	if (account->matches < MATCHES_MAX)
		account->match[account->matches++] = (struct match){list, *entry};
}

/* Whether an entry in force holds the address; those that do are kept. */
static int read_list(struct account *account, int list, bool *held, struct problem *problem)
{
	struct book book = {};
	int error = live_list_read(list, &book, problem);

	for (size_t i = 0; !error && i < book.count; i++) {
		const struct sipdam_entry *entry = &book.entry[i];

		if ((entry->expires && entry->expires <= account->question.now) ||
		    !prefix_holds(&entry->prefix, &account->question.address))
			continue;
		*held = true;
		add_match(account, list, entry);
	}
	book_free(&book);
	return error;
}

/* Found by its record: where its line is, root alone can tell. */
static int read_ban(struct account *account, struct problem *problem)
{
	struct ban_entries entries = {};
	struct sipdam_prefix source;
	struct bans bans;
	bool exact;
	int error = bans_read(&bans, true, problem);

	if (error)
		return error;
	source = bans_source(&account->policy, &account->question.address, &exact);
	error = bans_list(&bans, &account->policy, account->question.now, &entries);
	for (size_t i = 0; !error && i < entries.count; i++)
		if (!memcmp(&entries.entry[i].source, &source, sizeof(source))) {
			account->question.banned = true;
			account->ban = entries.entry[i];
		}
	ban_entries_free(&entries);
	bans_close(&bans);
	return error;
}

static int read_known(struct account *account, struct problem *problem)
{
	struct known_entries entries = {};
	struct sipdam_prefix source;
	struct known known = {};
	bool exact;
	int error = known_read(&known, true, problem);

	if (error)
		return error;
	source = bans_source(&account->policy, &account->question.address, &exact);
	error = known_list(&known, &account->policy, account->question.now, &entries);
	for (size_t i = 0; !error && i < entries.count; i++) {
		const struct known_entry *entry = &entries.entry[i];

		if (memcmp(&entry->source, &source, sizeof(source)))
			continue;
		account->question.trusted = entry->trusted;
		account->question.peer = !entry->trusted;
		account->question.devices = entry->record.devices;
		account->known = *entry;
	}
	known_entries_free(&entries);
	known_close(&known);
	return error;
}

/* Without the right to read the keys of the tables, what else there is. */
static int read_buckets(struct account *account, struct problem *problem)
{
	struct problem unread = {0};
	_cleanup_close_ int secrets = pins_open("secrets", true, &unread);
	_cleanup_close_ int sources = pins_open("sources", true, problem);
	_cleanup_close_ int networks = sources < 0 ? -1 : pins_open("networks", true, problem);
	_cleanup_close_ int pools = networks < 0 ? -1 : pins_open("pools", true, problem);
	_cleanup_close_ int verified = pools < 0 ? -1 : pins_open("verified", true, problem);
	_cleanup_close_ int levels = verified < 0 ? -1 : pins_open("conn_levels", true, problem);
	struct explain_maps maps = {sources, networks, pools, secrets, verified, levels};
	int error;

	if (levels < 0)
		return sources < 0	? sources
		       : networks < 0 ? networks
		       : pools < 0    ? pools
		       : verified < 0 ? verified
				      : levels;
	if (secrets < 0 && secrets != -EACCES && secrets != -EPERM) {
		if (problem)
			*problem = unread;
		return secrets;
	}
	account->may_read = secrets >= 0;
	error = explain(&account->question, &maps, &account->explanation);
	if (error)
		return problem_set(problem, error, "reading the tables of the running filter: %s",
				   strerror(-error));
	return 0;
}

static __u64 wall_now(void)
{
	struct timespec clock;

	clock_gettime(CLOCK_REALTIME, &clock);
	return (__u64)clock.tv_sec * SECOND + (__u64)clock.tv_nsec;
}

static int gather(struct account *account, struct problem *problem)
{
	int error = pins_check(&account->meta, problem);

	account->question.policy = &account->policy;
	if (!error)
		error = live_policy(&account->policy, problem);
	account->question.now = book_now();
	account->wall = wall_now();
	if (!error)
		error = read_list(account, SIPDAM_LIST_ALLOW, &account->question.allowed, problem);
	if (!error)
		error = read_list(account, SIPDAM_LIST_DENY, &account->question.denied, problem);
	if (!error)
		error = read_ban(account, problem);
	if (!error)
		error = read_known(account, problem);
	if (!error)
		error = read_buckets(account, problem);
	return error;
}

/* ---- words ---- */

static bool is_overdue(const struct account *account)
{
	return account->policy.deadline && account->question.now >= account->policy.deadline;
}

static json_t *origins_json(const struct sipdam_meta *meta, __u32 origins)
{
	json_t *array = json_array();

	for (int origin = 0; origin < ORIGINS; origin++)
		if (origins & 1u << origin)
			json_array_append_new(array, origin_label(meta, origin));
	return array;
}

/* Why it is of its tier. */
static const char *tier_reason(const struct account *account)
{
	switch (account->explanation.tier) {
	case EXPLAIN_ALLOWED:
		return account->question.denied ? "in the allow list, which beats the deny list"
						: "in the allow list";
	case EXPLAIN_DENIED:
		return "in the deny list";
	case EXPLAIN_TRUSTED:
		return "in no list, not banned, trusted";
	case EXPLAIN_PEER:
		return "in no list, not banned, a host that the server itself talks to";
	case EXPLAIN_BANNED:
		return "in no list, and its ban is in force";
	default:
		return account->question.banned ? "in no list; its ban has no effect: ban.enabled is false"
						: "in no list, not banned";
	}
}

/* "now", "80 ms", "1.2 s", "5m10s", "never". */
static const char *text_next(const struct explain_bucket *bucket, char text[32])
{
	__u64 next = bucket->next;

	if (!bucket->known)
		snprintf(text, 32, "?");
	else if (!next)
		snprintf(text, 32, "now");
	else if (next == EXPLAIN_NEVER)
		snprintf(text, 32, "never");
	else if (next < SECOND)
		snprintf(text, 32, "%llu ms", (next + MILLISECOND - 1) / MILLISECOND);
	else if (next < 60 * SECOND)
		snprintf(text, 32, "%.1f s", (double)next / SECOND);
	else
		span_format_left(next, text, 32);
	return text;
}

/* Seconds since 1970, of a time of the other clock. */
static time_t wall_time(const struct account *account, __u64 monotonic)
{
	return (time_t)((account->wall - account->question.now + monotonic) / SECOND);
}

/* ---- JSON ---- */

/* Keys of a bucket, added to what names it. */
static json_t *bucket_json(const struct explain_bucket *bucket, json_t *object)
{
	const struct sipdam_limit *limit = &bucket->limit;
	bool limited = limit->interval != 0, counted = limited && bucket->known;

	json_object_set_new(object, "rate",
			    limited ? json_real((double)limit->rate / SIPDAM_RATE_UNIT) : json_null());
	json_object_set_new(object, "burst", limited ? json_integer(limit->burst) : json_null());
	json_object_set_new(object, "level", counted ? json_integer((json_int_t)bucket->level) : json_null());
	json_object_set_new(object, "next_in",
			    !bucket->known || bucket->next == EXPLAIN_NEVER
				    ? json_null()
				    : json_real((double)bucket->next / SECOND));
	return object;
}

static json_t *buckets_json(const struct explain_bucket buckets[SIPDAM_CLASSES_MAX])
{
	json_t *array = json_array();

	for (int class = 1; class < SIPDAM_CLASSES_MAX; class ++)
		if (render_class(class))
			json_array_append_new(array,
					      bucket_json(&buckets[class],
							  json_pack("{s:s}", "class", render_class(class))));
	return array;
}

static json_t *network_json(const struct account *account)
{
	char text[ADDRESS_PREFIX_TEXT];

	address_format_prefix(&account->explanation.network, text);
	return bucket_json(&account->explanation.network_bucket, json_pack("{s:s}", "prefix", text));
}

/* Null where only root may read how many are open; `most` is null where there is no cap. */
static json_t *connections_json(const struct account *account)
{
	const struct explanation *explanation = &account->explanation;

	if (!explanation->counted)
		return json_null();
	return json_pack("{s:I, s:o}", "open", (json_int_t)explanation->connections, "most",
			 explanation->connections_most ? json_integer(explanation->connections_most) : json_null());
}

static json_t *lists_json(const struct account *account)
{
	json_t *array = json_array();

	for (size_t i = 0; i < account->matches; i++) {
		const struct match *match = &account->match[i];
		char text[ADDRESS_PREFIX_TEXT];
		json_t *left =
			match->entry.expires
				? json_integer((json_int_t)((match->entry.expires - account->question.now) /
							    SECOND))
				: json_null();

		address_format_prefix(&match->entry.prefix, text);
		json_array_append_new(array, json_pack("{s:s, s:s, s:o, s:o}", "list",
						       lists_name(match->list), "prefix", text, "origins",
						       origins_json(&account->meta, match->entry.origins),
						       "expires_in", left));
	}
	return array;
}

static json_t *ban_json(const struct account *account)
{
	const struct ban_entry *entry = &account->ban;

	if (!account->question.banned)
		return json_null();
	return json_pack("{s:I, s:I, s:I, s:I, s:s, s:I}", "since",
			 (json_int_t)wall_time(account, entry->ban.since), "until",
			 (json_int_t)wall_time(account, entry->end), "expires_in",
			 (json_int_t)((entry->end - account->question.now) / SECOND), "times",
			 (json_int_t)entry->ban.times, "cause", ban_cause_name(entry->ban.cause), "dropped",
			 (json_int_t)entry->ban.dropped);
}

static bool is_known(const struct account *account)
{
	return account->question.trusted || account->question.peer;
}

static json_t *known_json(const struct account *account)
{
	const struct known_entry *entry = &account->known;

	if (!is_known(account))
		return json_null();
	return json_pack("{s:I, s:I, s:I, s:s, s:i, s:o}", "since",
			 (json_int_t)wall_time(account, entry->record.since), "until",
			 (json_int_t)wall_time(account, entry->end), "expires_in",
			 (json_int_t)((entry->end - account->question.now) / SECOND), "cause",
			 known_cause_name(entry->record.cause), "devices", (int)entry->record.devices, "calls",
			 known_calls(entry) < 0 ? json_null() : json_integer(known_calls(entry)));
}

static json_t *verdict_json(const struct account *account, int class, bool sent_twice)
{
	int reason = explain_reason(&account->explanation, class, sent_twice);
	int verdict = explain_verdict(&account->explanation, reason);
	json_t *object;

	if (!reason)
		return json_pack("{s:n, s:n}", "verdict", "reason");
	object = json_pack("{s:s, s:s}", "verdict", verdict == SIPDAM_VERDICT_DROP ? "drop" : "pass",
			   "reason", render_reason(reason));
	if (verdict == SIPDAM_VERDICT_WOULD_DROP)
		json_object_set_new(object, "would_drop", json_true());
	return object;
}

/* Do strangers' limits concern the source, and has a port of it sent twice lately? */
static bool has_senders(const struct account *account)
{
	enum explain_tier tier = account->explanation.tier;

	return account->explanation.senders && (tier == EXPLAIN_UNKNOWN || tier == EXPLAIN_PEER);
}

static json_t *senders_json(const struct account *account)
{
	const struct explanation *explanation = &account->explanation;
	json_t *ports = json_array();

	if (!has_senders(account)) {
		json_decref(ports);
		return json_null();
	}
	for (__u32 i = 0; i < explanation->senders && i < EXPLAIN_SENDERS_MAX; i++)
		json_array_append_new(ports, json_pack("{s:i, s:f}", "port", (int)explanation->sender[i].port,
						       "expires_in", (double)explanation->sender[i].left / SECOND));
	return json_pack("{s:I, s:o, s:{s:o, s:o}, s:o}", "count", (json_int_t)explanation->senders, "ports", ports,
			 "verdict", "INVITE", verdict_json(account, SIPDAM_CLASS_INVITE, true), "REGISTER",
			 verdict_json(account, SIPDAM_CLASS_REGISTER, true), "pools",
			 buckets_json(explanation->half));
}

static json_t *account_json(const struct account *account)
{
	const struct explanation *explanation = &account->explanation;
	char address[ADDRESS_TEXT], source[ADDRESS_PREFIX_TEXT];

	address_format(account->question.address.address, address);
	address_format_prefix(&explanation->source, source);
	return json_pack("{s:s, s:s, s:s, s:s, s:{s:o, s:o}, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:b, s:I, s:b}",
			 "address", address, "source", source, "tier", explain_tier_name(explanation->tier),
			 "reason", tier_reason(account), "verdict", "INVITE",
			 verdict_json(account, SIPDAM_CLASS_INVITE, false), "REGISTER",
			 verdict_json(account, SIPDAM_CLASS_REGISTER, false), "verified",
			 senders_json(account), "buckets",
			 buckets_json(explanation->bucket), "network", network_json(account), "pools",
			 buckets_json(explanation->pool), "connections", connections_json(account), "lists",
			 lists_json(account), "ban",
			 ban_json(account), "known", known_json(account), "mode", account->policy.monitor ? "monitor" : "enforce",
			 "confirm_passed", is_overdue(account), "protected_addresses",
			 (json_int_t)account->policy.list_entries[SIPDAM_LIST_ADDRESSES], "tables_read",
			 account->may_read);
}

/* ---- text ---- */

/* Whose bucket it is that refuses. */
static void print_empty(const char *whose, const struct explain_bucket *bucket)
{
	char next[32];

	if (bucket->next == EXPLAIN_NEVER)
		printf("  %s admits none (its rate is 0)\n", whose);
	else
		printf("  %s of %u is empty, next in %s\n", whose, bucket->limit.burst,
		       text_next(bucket, next));
}

static void print_why(const struct account *account, int class, int reason, bool sent_twice)
{
	const struct explanation *explanation = &account->explanation;

	if (reason == SIPDAM_REASON_SOURCE_RATE)
		print_empty("its bucket", &explanation->bucket[class]);
	else if (reason == SIPDAM_REASON_NETWORK_RATE)
		print_empty("the bucket of its network", &explanation->network_bucket);
	else if (reason == SIPDAM_REASON_UNVERIFIED)
		printf("  the pool of all unknown sources is exhausted: the first copy over UDP is\n"
		       "  dropped, and the one that is sent again half a second later goes on to\n"
		       "  the pool\n");
	else if (reason == SIPDAM_REASON_POOL_RATE && sent_twice && explanation->half[class].next)
		print_empty("the half of the pool for those that have sent twice", &explanation->half[class]);
	else if (reason == SIPDAM_REASON_POOL_RATE)
		print_empty("the pool of all unknown sources", &explanation->pool[class]);
}

static void print_verdict(const struct account *account, const char *what, int class, bool sent_twice)
{
	int reason = explain_reason(&account->explanation, class, sent_twice);
	int verdict = explain_verdict(&account->explanation, reason);

	printf("%s from there ", what);
	if (!reason) {
		printf("hangs on its buckets, which root alone may read\n");
		return;
	}
	if (verdict == SIPDAM_VERDICT_WOULD_DROP)
		printf("would pass now, since %s; else dropped: ",
		       is_overdue(account) ? "nobody confirmed" : "mode is monitor");
	else
		printf("would %s now: ", verdict == SIPDAM_VERDICT_DROP ? "be dropped" : "pass");
	printf("%s\n", render_reason(reason));
	print_why(account, class, reason, sent_twice);
}

/* Where it makes a difference: to which of its ports, and what the verdicts are then. */
static void print_senders(const struct account *account)
{
	const struct explanation *explanation = &account->explanation;

	if (!has_senders(account))
		return;
	printf("\nFrom port");
	for (__u32 i = 0; i < explanation->senders && i < EXPLAIN_SENDERS_MAX; i++)
		printf("%s %u", i ? "," : "", explanation->sender[i].port);
	if (explanation->senders > EXPLAIN_SENDERS_MAX)
		printf(" and %u more", explanation->senders - EXPLAIN_SENDERS_MAX);
	printf(", that sent a request twice within 32 s:\n");
	print_verdict(account, "An INVITE", SIPDAM_CLASS_INVITE, true);
	print_verdict(account, "A REGISTER", SIPDAM_CLASS_REGISTER, true);
}

static void print_matches(const struct account *account)
{
	for (size_t i = 0; i < account->matches; i++) {
		const struct match *match = &account->match[i];
		json_t *origins = origins_json(&account->meta, match->entry.origins), *origin;
		char text[ADDRESS_PREFIX_TEXT], left[32];
		size_t index;

		address_format_prefix(&match->entry.prefix, text);
		printf("%-11s %s %s:", i ? "" : "Lists", lists_name(match->list), text);
		json_array_foreach (origins, index, origin)
			printf(" %s", json_string_value(origin));
		if (match->entry.expires) {
			span_format_left(match->entry.expires - account->question.now, left, sizeof(left));
			printf(", for %s more", left);
		}
		printf("\n");
		json_decref(origins);
	}
}

/* What a source was banned for, in words. */
static const char *ban_reason_text(int cause)
{
	switch (cause) {
	case SIPDAM_BAN_MANUAL:
		return "by hand";
	case SIPDAM_BAN_DROPS:
		return "for its drops";
	case SIPDAM_BAN_FAILURES:
		return "for what the server refused it";
	case SIPDAM_BAN_HANDSHAKES:
		return "for handshakes of TLS that it left unfinished";
	}
	return ban_cause_name(cause);
}

static void print_ban(const struct account *account)
{
	const struct ban_entry *entry = &account->ban;
	time_t since = wall_time(account, entry->ban.since), until = wall_time(account, entry->end);
	char begin[32], end[32], left[32], count[RENDER_COUNT];

	if (!account->question.banned)
		return;
	strftime(begin, sizeof(begin), "%Y-%m-%d %H:%M:%S", localtime(&since));
	strftime(end, sizeof(end), "%Y-%m-%d %H:%M:%S", localtime(&until));
	span_format_left(entry->end - account->question.now, left, sizeof(left));
	printf("Ban         since %s until %s (%s)\n", begin, end, left);
	printf("            %s\n", ban_reason_text(entry->ban.cause));
	printf("            number %u in a row; %s packets dropped\n", entry->ban.times,
	       render_count(entry->ban.dropped, count));
}

/* What made a source known, in words. */
static const char *known_reason_text(int cause)
{
	switch (cause) {
	case SIPDAM_KNOWN_MANUAL:
		return "by hand";
	case SIPDAM_KNOWN_IMPORT:
		return "by an import";
	case SIPDAM_KNOWN_REGISTRATION:
		return "it registered";
	case SIPDAM_KNOWN_REQUEST:
		return "the server sent it a request";
	case SIPDAM_KNOWN_CALL:
		return "the server answered its call";
	}
	return known_cause_name(cause);
}

/* What goes on of a peer that is one for the length of its calls. */
static void print_calls(const struct known_entry *entry)
{
	int calls = known_calls(entry);

	if (!calls)
		printf(", which is over");
	else if (calls > 0)
		printf("; %d go%s on, and 32s after the last it ends", calls, calls == 1 ? "es" : "");
}

static void print_known(const struct account *account)
{
	const struct known_entry *entry = &account->known;
	time_t since = wall_time(account, entry->record.since), until = wall_time(account, entry->end);
	char begin[32], end[32], left[32];

	if (!is_known(account))
		return;
	strftime(begin, sizeof(begin), "%Y-%m-%d %H:%M:%S", localtime(&since));
	strftime(end, sizeof(end), "%Y-%m-%d %H:%M:%S", localtime(&until));
	span_format_left(entry->end - account->question.now, left, sizeof(left));
	printf("%-11s since %s until %s (%s)\n", entry->trusted ? "Trusted" : "Peer", begin, end, left);
	printf("            %s", known_reason_text(entry->record.cause));
	if (entry->trusted)
		printf("; %u device%s behind it", entry->record.devices, entry->record.devices == 1 ? "" : "s");
	print_calls(entry);
	printf("\n");
}

/* At its cap a source has all its calls dropped over TCP, and its buckets are full. */
static void print_connections(const struct account *account)
{
	const struct explanation *explanation = &account->explanation;
	char open[RENDER_COUNT], most[RENDER_COUNT];

	if (!explanation->connections)
		return;
	printf("Connections %s open", render_count(explanation->connections, open));
	if (explanation->connections_most)
		printf(", of %s at most", render_count(explanation->connections_most, most));
	printf("\n");
	if (explanation->connections_most && explanation->connections >= explanation->connections_most)
		printf("            a new one %s: source_rate\n",
		       explanation->spared ? "would pass, since nothing is dropped; else dropped"
					   : "would be dropped now");
}

static void print_facts(const struct account *account)
{
	char source[ADDRESS_PREFIX_TEXT];
	__u32 addresses = account->policy.list_entries[SIPDAM_LIST_ADDRESSES];

	address_format_prefix(&account->explanation.source, source);
	printf("\nAddress     %s\n", account->text);
	printf("Tier        %s: %s\n", explain_tier_name(account->explanation.tier), tier_reason(account));
	if (strcmp(source, account->text))
		printf("Source      %s\n", source);
	print_matches(account);
	print_ban(account);
	print_known(account);
	print_connections(account);
	if (account->policy.monitor)
		printf("Mode        monitor: nothing is dropped\n");
	if (is_overdue(account))
		printf("Confirm     the deadline has passed: nothing is dropped\n");
	if (addresses)
		printf("Protected   what is sent to others than the %u address%s of `addresses` passes\n",
		       addresses, addresses == 1 ? "" : "es");
}

static void print_bucket(const char *name, const struct explain_bucket *bucket)
{
	const struct sipdam_limit *limit = &bucket->limit;
	char next[32], level[RENDER_COUNT] = "?", burst[RENDER_COUNT];

	if (!limit->interval) {
		printf("  %-24s unlimited\n", name);
		return;
	}
	if (bucket->known)
		render_count(bucket->level, level);
	printf("  %-24s %9s %9s %9.10g  %s\n", name, level, render_count(limit->burst, burst),
	       (double)limit->rate / SIPDAM_RATE_UNIT, text_next(bucket, next));
}

static void print_classes(const struct explain_bucket buckets[SIPDAM_CLASSES_MAX])
{
	for (int class = 1; class < SIPDAM_CLASSES_MAX; class ++)
		if (render_class(class))
			print_bucket(render_class(class), &buckets[class]);
}

static void print_buckets(const struct account *account)
{
	const struct explanation *explanation = &account->explanation;
	char network[ADDRESS_PREFIX_TEXT];

	printf("\n%-26s %9s %9s %9s  %s\n", "Its buckets", "left", "burst", "a second", "next");
	print_classes(explanation->bucket);
	if (explanation->tier == EXPLAIN_ALLOWED || explanation->tier == EXPLAIN_TRUSTED)
		return;
	address_format_prefix(&explanation->network, network);
	printf("\nIts network's bucket\n");
	print_bucket(network, &explanation->network_bucket);
	printf("\nPools of all unknown sources\n");
	print_classes(explanation->pool);
}

static int print_text(const struct account *account)
{
	print_verdict(account, "An INVITE", SIPDAM_CLASS_INVITE, false);
	print_verdict(account, "A REGISTER", SIPDAM_CLASS_REGISTER, false);
	print_senders(account);
	print_facts(account);
	print_buckets(account);
	if (!account->may_read)
		printf("\n?: root alone may read the levels of sources and networks.\n");
	return 0;
}

/* ---- the command ---- */

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'j':
		arguments->json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->address)
			argp_error(state, "one ADDRESS at a time: \"%s\" is too much", argument);
		arguments->address = argument;
		return 0;
	case ARGP_KEY_END:
		if (!arguments->address)
			argp_error(state, "an ADDRESS is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{"json", 'j', NULL, 0, "Print one JSON object", 0},
	{0},
};

static const struct argp parser = {
	.options = options,
	.parser = parse_option,
	.args_doc = "ADDRESS",
	.doc = "Would an INVITE and a REGISTER from this address pass now, and why: its tier, the lists that "
	       "hold it, its ban, how much its buckets, its network's and the pools of all unknown sources "
	       "have left. Takes nothing from them.\v"
	       "Examples:\n"
	       "  sipdam explain 192.0.2.7\n"
	       "  sipdam explain 2001:db8::7 --json | jq .verdict",
};

int cmd_explain(int argc, char **argv)
{
	_cleanup_free_ struct account *account = calloc(1, sizeof(*account));
	struct arguments arguments = {};
	struct problem problem = {0};
	int error = account ? 0 : -ENOMEM;

	if (command_parse(&parser, argc, argv, &arguments))
		return EXIT_USAGE;
	if (!error) {
		account->text = arguments.address;
		account->question.address.bits = 128;
		if (address_parse(arguments.address, account->question.address.address))
			error = problem_set(&problem, -EINVAL,
					    "%s is not an address such as 192.0.2.1 or 2001:db8::1",
					    arguments.address);
	}
	if (!error)
		error = gather(account, &problem);
	if (!error)
		error = arguments.json ? command_print(account_json(account), JSON_COMPACT) : print_text(account);
	return error ? command_fail("explain", error, &problem) : EXIT_DONE;
}
