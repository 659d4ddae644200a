/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `sipdam status`: what is attached and how, what is in force, and what fills up. */
#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cleanup.h"
#include "command.h"
#include "lists.h"
#include "loudest.h"
#include "over_limit.h"
#include "render.h"
#include "snapshot.h"
#include "utf8.h"

#define SECOND 1000000000LL

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	bool *json = state->input;

	switch (key) {
	case 'j':
		*json = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument \"%s\"", argument);
		return EINVAL;
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
	.doc = "What is attached and how, what is in force, how full the lists are, whether tables "
	       "overflow, and whom the limits refuse that may be yours.\v"
	       "Examples:\n"
	       "  sipdam status\n"
	       "  sipdam status --json | jq .interfaces",
};

static const char *const class_names[SIPDAM_CLASSES_MAX] = {
#define X(name, number, label, network) [number] = label,
	SIPDAM_CLASSES(X)
#undef X
};

/* Nanoseconds until the deadline, negative where it has passed. */
static __s64 time_left(const struct snapshot *snapshot)
{
	return (__s64)(snapshot->policy.deadline - snapshot->now);
}

/* null where nothing waits for a `confirm`. */
static json_t *confirm_json(const struct snapshot *snapshot)
{
	if (!snapshot->policy.deadline)
		return json_null();
	return json_pack("{s:f, s:b}", "seconds_left", (double)time_left(snapshot) / SECOND, "passed",
			 snapshot_is_overdue(snapshot));
}

/* The classes of which strangers must send requests twice now, and for how many seconds yet. */
static json_t *verification_json(const struct snapshot *snapshot)
{
	json_t *left = json_object();

	for (int class = 0; class < SIPDAM_CLASSES_MAX; class ++)
		if (snapshot->verify_left[class])
			json_object_set_new(left, class_names[class],
					    json_real((double)snapshot->verify_left[class] / SECOND));
	return json_pack("{s:b, s:o}", "enabled", snapshot->policy.verify_enabled != 0, "seconds_left", left);
}

static json_t *learning_json(const struct snapshot *snapshot)
{
	json_t *interfaces = json_array();

	for (size_t i = 0; i < snapshot->interfaces; i++)
		if (snapshot->interface[i].learns)
			json_array_append_new(interfaces, utf8_json(snapshot->interface[i].name));
	return json_pack("{s:b, s:o, s:I, s:b, s:I}", "enabled", snapshot->policy.trust_learn != 0, "interfaces",
			 interfaces, "sent", (json_int_t)snapshot_sent(snapshot), "one_way", snapshot_is_one_way(snapshot), "refused",
			 (json_int_t)snapshot->table_events[SIPDAM_TABLE_GRANT_REFUSED]);
}

static const char *const port_kinds[SIPDAM_PORT_KINDS] = {"udp", "tcp", "tls", "ws", "wss"};

static json_t *connections_json(const struct snapshot *snapshot)
{
	const struct connections *count = &snapshot->connections;
	const __u64 *events = snapshot->connection_events;
	json_t *ports = json_array();

	for (size_t i = 0; i < count->ports; i++)
		json_array_append_new(ports, json_pack("{s:s, s:i, s:I, s:I}", "transport",
						       port_kinds[count->port[i].kind], "port",
						       (int)count->port[i].port, "open",
						       (json_int_t)count->port[i].open, "silent",
						       (json_int_t)count->port[i].silent));
	return json_pack("{s:o, s:b, s:I, s:I, s:I, s:I, s:I}", "ports", ports, "syn_cookies",
			 snapshot->policy.cookies_on != 0, "opened",
			 (json_int_t)events[SIPDAM_CONNECTION_OPENED], "ended_silent",
			 (json_int_t)events[SIPDAM_CONNECTION_SILENT], "handshakes_unfinished",
			 (json_int_t)events[SIPDAM_CONNECTION_UNFINISHED], "uncounted",
			 (json_int_t)events[SIPDAM_CONNECTION_REFUSED], "displaced_sources",
			 (json_int_t)events[SIPDAM_CONNECTION_DISPLACED]);
}

/* What the gate asks for. */
static const char *least_tls(const struct sipdam_policy *policy)
{
	return policy->tls_min_version == 0x0304 ? "1.3" : policy->tls_min_version == 0x0303 ? "1.2" : "none";
}

static json_t *tls_json(const struct snapshot *snapshot)
{
	json_t *tls = render_json_tls(&snapshot->tls);

	json_object_set_new(tls, "min_version", json_string(least_tls(&snapshot->policy)));
	return tls;
}

static json_t *status_json(const struct snapshot *snapshot)
{
	json_t *interfaces = json_array(), *gone = json_array(), *lists = json_object(), *displaced;

	for (size_t i = 0; i < snapshot->interfaces; i++)
		json_array_append_new(interfaces, json_pack("{s:o, s:s}", "name", utf8_json(snapshot->interface[i].name),
							    "mode", snapshot->interface[i].mode));
	for (size_t i = 0; i < snapshot->gone; i++)
		json_array_append_new(gone, utf8_json(snapshot->gone_name[i]));
	for (int list = 0; list < SIPDAM_LISTS; list++)
		json_object_set_new(lists, lists_name(list),
				    json_integer(snapshot->policy.list_entries[list]));
	displaced = json_pack("{s:I, s:I, s:I}", "sources",
			      (json_int_t)snapshot->table_events[SIPDAM_TABLE_SOURCE_DISPLACED], "networks",
			      (json_int_t)snapshot->table_events[SIPDAM_TABLE_NETWORK_DISPLACED], "fragments",
			      (json_int_t)snapshot->table_events[SIPDAM_TABLE_FRAGMENT_DISPLACED]);
	return json_pack("{s:o, s:I, s:o, s:I, s:s, s:o, s:o, s:I, s:s, s:I, s:o, s:o, s:o, s:{s:b, s:I, s:I}, s:{s:I, s:I}, s:o, s:o, s:o}", "interfaces", interfaces, "gone",
			 (json_int_t)snapshot->gone, "gone_interfaces", gone, "elsewhere",
			 (json_int_t)snapshot->elsewhere, "mode", snapshot->policy.monitor ? "monitor" : "enforce",
			 "confirm", confirm_json(snapshot),
			 "config", utf8_json(snapshot->meta.config), "since", (json_int_t)snapshot->meta.created,
			 "version", snapshot->meta.version, "sources", (json_int_t)snapshot->meta.sources,
			 "sources_in_use",
			 snapshot->source_fill < 0 ? json_null() : json_real(snapshot->source_fill),
			 "lists", lists, "displaced", displaced, "bans", "enabled",
			 snapshot->policy.ban_enabled != 0, "banned", (json_int_t)snapshot->banned, "refused",
			 (json_int_t)snapshot->table_events[SIPDAM_TABLE_BAN_REFUSED], "trust", "trusted",
			 (json_int_t)snapshot->trusted, "peers", (json_int_t)snapshot->peers, "verification",
			 verification_json(snapshot), "learning", learning_json(snapshot), "connections",
			 connections_json(snapshot));
}

static int print_json(const struct snapshot *snapshot, const struct over_limits *over)
{
	json_t *object = status_json(snapshot);
	json_t *over_limit = over_limits_json(over, &snapshot->policy);
	bool whole = object && !json_object_set_new(object, "over_limit", over_limit) &&
		     !json_object_set_new(object, "tls", tls_json(snapshot));

	if (whole)
		return command_print(object, JSON_COMPACT);
	json_decref(object);
	return -ENOMEM;
}

static void print_ports(const struct sipdam_policy *policy)
{
	printf("Ports       ");
	for (int kind = 0; kind < SIPDAM_PORT_KINDS; kind++)
		for (__u32 i = 0; i < policy->ports[kind].count; i++)
			printf("%s%s %u", kind || i ? "  " : "", port_kinds[kind], policy->ports[kind].port[i]);
	printf("\n");
}

static void print_tables(const struct snapshot *snapshot)
{
	const __u64 *events = snapshot->table_events;

	printf("Tables      %llu lines of sources", (unsigned long long)snapshot->meta.sources);
	if (snapshot->source_fill >= 0)
		printf(", %.1f %% in use", 100 * snapshot->source_fill);
	printf("\n            live entries replaced: %llu sources, %llu networks, %llu fragments\n",
	       (unsigned long long)events[SIPDAM_TABLE_SOURCE_DISPLACED],
	       (unsigned long long)events[SIPDAM_TABLE_NETWORK_DISPLACED],
	       (unsigned long long)events[SIPDAM_TABLE_FRAGMENT_DISPLACED]);
	if (events[SIPDAM_TABLE_SOURCE_DISPLACED])
		printf("            The source table was too small at times: raise `sources` and reload.\n");
}

static void print_deadline(const struct snapshot *snapshot)
{
	long long left = time_left(snapshot) / SECOND;

	if (snapshot_is_overdue(snapshot))
		printf("Confirm     EVERYTHING PASSES: the deadline was %lld s ago, and nobody confirmed;\n"
		       "            `sipdam confirm --late` puts the filter in force again\n",
		       -left);
	else if (snapshot->policy.deadline)
		printf("Confirm     in %lld s everything passes, unless `sipdam confirm` comes first\n",
		       left);
}

static void print_bans(const struct snapshot *snapshot)
{
	const struct sipdam_policy *policy = &snapshot->policy;
	__u64 refused = snapshot->table_events[SIPDAM_TABLE_BAN_REFUSED];

	printf("Bans        %llu source%s", (unsigned long long)snapshot->banned,
	       snapshot->banned == 1 ? "" : "s");
	if (!policy->ban_enabled)
		printf("; switched off (ban.enabled): nobody is dropped for a ban\n");
	else
		printf("%s\n", policy->ban_drops ? "" : "; none is banned for drops (ban.drops is 0)");
	if (refused)
		printf("            %llu could not be banned: the table was full where they would be\n",
		       (unsigned long long)refused);
}

static void print_trust(const struct snapshot *snapshot)
{
	__u64 refused = snapshot->table_events[SIPDAM_TABLE_GRANT_REFUSED];

	printf("Trust       %llu source%s, %llu peer%s\n", (unsigned long long)snapshot->trusted,
	       snapshot->trusted == 1 ? "" : "s", (unsigned long long)snapshot->peers,
	       snapshot->peers == 1 ? "" : "s");
	printf("            packets read that the server sent: %llu\n",
	       (unsigned long long)snapshot_sent(snapshot));
	if (!snapshot->policy.trust_learn)
		printf("            switched off (trust.learn): nobody becomes known by what the server sends\n");
	for (size_t i = 0; i < snapshot->interfaces; i++)
		if (!snapshot->interface[i].learns)
			printf("            %s: what the server sends is not read there, and nobody becomes\n"
			       "            known by it: `sipdam attach %s` says why, or helps\n",
			       snapshot->interface[i].name, snapshot->interface[i].name);
	if (snapshot_is_one_way(snapshot))
		printf("            answers never seen here: requests come in, but what the server sends leaves\n"
		       "            by another way. Nobody becomes known by it: attach to that interface too\n");
	if (refused)
		printf("            %llu could not become known: no place, or too many in a second\n",
		       (unsigned long long)refused);
}

/* Ports with connections alone: on most hosts of five kinds two are used. */
static void print_connections(const struct snapshot *snapshot)
{
	const struct connections *count = &snapshot->connections;
	const __u64 *events = snapshot->connection_events;
	const char *before = "";

	printf("Connections %llu open", (unsigned long long)connections_open(count));
	for (size_t i = 0; i < count->ports; i++) {
		const struct connection_port *port = &count->port[i];

		if (!port->open)
			continue;
		printf("%s%s %u: %llu, silent %llu", before[0] ? before : "; ", port_kinds[port->kind], port->port,
		       (unsigned long long)port->open, (unsigned long long)port->silent);
		before = ";\n            ";
	}
	printf("\n            %llu were opened, %llu ended that never carried a byte\n",
	       (unsigned long long)events[SIPDAM_CONNECTION_OPENED],
	       (unsigned long long)events[SIPDAM_CONNECTION_SILENT]);
	if (events[SIPDAM_CONNECTION_UNFINISHED])
		printf("            %llu handshakes of TLS were left unfinished by who had asked for them\n",
		       (unsigned long long)events[SIPDAM_CONNECTION_UNFINISHED]);
	printf("            SYNs beyond the pool %s\n",
	       snapshot->policy.cookies_on ? "are left to the kernel's SYN cookies"
					   : "are dropped (connections.syn_cookies)");
	if (events[SIPDAM_CONNECTION_REFUSED] || events[SIPDAM_CONNECTION_DISPLACED])
		printf("            not counted, since tables were full: %llu connections, %llu sources\n",
		       (unsigned long long)events[SIPDAM_CONNECTION_REFUSED],
		       (unsigned long long)events[SIPDAM_CONNECTION_DISPLACED]);
}

static void print_verification(const struct snapshot *snapshot)
{
	const char *before = "Verify      while their pools are exhausted strangers must send twice,\n"
			     "            and over TCP be of a connection:\n            ";

	for (int class = 0; class < SIPDAM_CLASSES_MAX; class ++) {
		if (!snapshot->verify_left[class])
			continue;
		printf("%s%s (%.0f s more)", before, class_names[class],
		       (double)snapshot->verify_left[class] / SECOND);
		before = ", ";
	}
	if (before[0] == ',')
		printf("\n");
	else
		printf("Verify      %s\n", snapshot->policy.verify_enabled
						    ? "no pool is exhausted: strangers need not send twice"
						    : "switched off (verify.enabled)");
}

/* Newest version first, what cannot be told last. */
static void print_versions(const char *what, const __u64 rows[SIPDAM_TLS_ROWS])
{
	const char *before = "";
	char text[RENDER_COUNT];

	printf("            %s: ", what);
	for (int row = SIPDAM_TLS_1_3; row >= 0; row--) {
		if (!rows[row])
			continue;
		printf("%s%s %s", before, render_tls_version(row), render_count(rows[row], text));
		before = ", ";
	}
	printf("%s\n", *before ? "" : "none yet");
}

static void print_tls(const struct snapshot *snapshot)
{
	const struct sipdam_policy *policy = &snapshot->policy;

	if (!policy->ports[SIPDAM_PORTS_TLS].count && !policy->ports[SIPDAM_PORTS_WSS].count)
		return;
	printf("TLS         clients may offer %s\n",
	       policy->tls_min_version == 0x0304   ? "1.3 alone (tls.min_version)"
	       : policy->tls_min_version == 0x0303 ? "1.2 and above (tls.min_version)"
						   : "any version (tls.min_version)");
	print_versions("handshakes by version offered", snapshot->tls.offered);
	print_versions("and by version chosen", snapshot->tls.chosen);
}

static void print_text(const struct snapshot *snapshot, const struct over_limits *over)
{
	const struct sipdam_policy *policy = &snapshot->policy;
	time_t created = snapshot->meta.created;
	char since[32];

	strftime(since, sizeof(since), "%Y-%m-%d %H:%M:%S", localtime(&created));
	for (size_t i = 0; i < snapshot->interfaces; i++)
		printf("%-11s %s\n", snapshot->interface[i].name, snapshot->interface[i].mode);
	for (size_t i = 0; i < snapshot->gone; i++)
		printf("%-11s gone: deleted, or moved away, while attached. If it is made again, `sipdam\n"
		       "            serve` attaches it where that runs as root; else you do\n",
		       snapshot->gone_name[i]);
	if (snapshot->elsewhere)
		printf("Elsewhere   %zu in other network namespaces\n", snapshot->elsewhere);
	printf("Mode        %s\n",
	       policy->monitor ? "monitor: counts what would be dropped, drops nothing" : "enforce");
	print_deadline(snapshot);
	printf("Since       %s, by version %s\n", since, snapshot->meta.version);
	printf("Config      %s\n", snapshot->meta.config[0] ? snapshot->meta.config : "built-in defaults");
	print_ports(policy);
	printf("Lists       allow %u, deny %u, protected addresses %s%.0u\n",
	       policy->list_entries[SIPDAM_LIST_ALLOW], policy->list_entries[SIPDAM_LIST_DENY],
	       policy->list_entries[SIPDAM_LIST_ADDRESSES] ? "" : "all",
	       policy->list_entries[SIPDAM_LIST_ADDRESSES]);
	print_bans(snapshot);
	print_trust(snapshot);
	print_verification(snapshot);
	print_connections(snapshot);
	print_tls(snapshot);
	print_tables(snapshot);
	over_limits_print(over, policy, stdout);
	if (!policy->list_entries[SIPDAM_LIST_ALLOW])
		printf("\nThe allow list is empty: inbound trunks belong in it, because all their calls\n"
		       "come from one address. `sipdam allow add ADDRESS`\n");
}

int cmd_status(int argc, char **argv)
{
	_cleanup_free_ struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
	_cleanup_free_ struct over_limits *over = calloc(1, sizeof(*over));
	struct problem problem = {0};
	bool json = false;
	int error;

	if (command_parse(&parser, argc, argv, &json))
		return EXIT_USAGE;
	error = snapshot && over ? snapshot_read(snapshot, &problem) : -ENOMEM;
	if (!error)
		error = loudest_read(over, &problem);
	if (!error && json)
		error = print_json(snapshot, over);
	else if (!error)
		print_text(snapshot, over);
	return error ? command_fail("status", error, &problem) : EXIT_DONE;
}
