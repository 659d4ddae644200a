/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The table of fields: the one place that says which keys exist, what they may hold, where they live
 * and what they mean. Loader, `set`, `get`, `config show` and the manual go by it. A field's number is
 * its place in the table; policies in pinned maps hold origins by it (SIPDAM_LAYOUT).
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "nearest.h"
#include "settings_fields.h"

#define SECOND 1000000000ULL
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

static const struct field_choice modes[] = {{"enforce", 0}, {"monitor", 1}, {NULL, 0}};
static const struct field_choice tls_versions[] = {{"none", 0}, {"1.2", 0x0303}, {"1.3", 0x0304}, {NULL, 0}};

static const struct field_choice cookies[] = {
	{"auto", SIPDAM_COOKIES_AUTO}, {"on", SIPDAM_COOKIES_ON}, {"off", SIPDAM_COOKIES_OFF}, {NULL, 0}};

#define PLACE(member) offsetof(struct sipdam_policy, member)

#define CHOICE(name, member, words, text)                                                                    \
	{                                                                                                    \
		.key = name, .kind = FIELD_CHOICE, .offset = PLACE(member), .choices = words, .help = text   \
	}
#define BOOLEAN(name, member, text)                                                                          \
	{                                                                                                    \
		.key = name, .kind = FIELD_BOOLEAN, .offset = PLACE(member), .help = text                    \
	}
#define NUMBER(name, type, member, from, to, text)                                                           \
	{                                                                                                    \
		.key = name, .kind = type, .offset = PLACE(member), .least = from, .most = to, .help = text  \
	}
#define PORTS(name, number, text)                                                                            \
	{                                                                                                    \
		.key = "ports." name, .kind = FIELD_PORTS, .offset = PLACE(ports[number]),                   \
		.most = SIPDAM_PORTS_PER_KIND, .help = text                                                  \
	}
#define LIST(name, type, number, entries, text)                                                              \
	{                                                                                                    \
		.key = name, .kind = type, .offset = number, .most = entries, .help = text                   \
	}
#define LIMIT(name, member, what)                                                                            \
	NUMBER(name ".rate", FIELD_RATE, member, 0, 1000000, "Packets a second, sustained: " what "."),      \
		NUMBER(name ".burst", FIELD_BURST, member, 0, SIPDAM_NO_BURST - 1,                           \
		       "Packets at one instant: " what ".")

static const struct field fields[] = {
	CHOICE("mode", monitor, modes,
	       "enforce drops; monitor counts what would be dropped and drops nothing."),
	PORTS("udp", SIPDAM_PORTS_UDP, "UDP ports of the SIP server, at most 16."),
	PORTS("tcp", SIPDAM_PORTS_TCP, "TCP ports of the SIP server, at most 16."),
	PORTS("tls", SIPDAM_PORTS_TLS, "TLS ports of the SIP server, at most 16."),
	PORTS("ws", SIPDAM_PORTS_WS, "WebSocket ports of the SIP server, at most 16."),
	PORTS("wss", SIPDAM_PORTS_WSS, "Secure WebSocket ports of the SIP server, at most 16."),
	LIST("addresses", FIELD_PREFIXES, SIPDAM_LIST_ADDRESSES, 64,
	     "Protected destinations, at most 64 prefixes; empty: every packet that arrives."),
	LIST("allow", FIELD_LIST, SIPDAM_LIST_ALLOW, 1000000,
	     "Sources that are always let in (trunks, monitoring): prefixes, or files with one a line."),
	LIST("deny", FIELD_LIST, SIPDAM_LIST_DENY, 1000000,
	     "Sources that are always dropped, unless allowed: prefixes, or files with one a line."),
	NUMBER("source_key.ipv4", FIELD_COUNT, source_prefix[SIPDAM_FAMILY_IPV4], 8, 32,
	       "Prefix length of what counts as one IPv4 source, in bits."),
	NUMBER("source_key.ipv6", FIELD_COUNT, source_prefix[SIPDAM_FAMILY_IPV6], 16, 128,
	       "Prefix length of what counts as one IPv6 source, in bits."),
	NUMBER("network_key.ipv4", FIELD_COUNT, network_prefix[SIPDAM_FAMILY_IPV4], 8, 32,
	       "Prefix length of what counts as one IPv4 network, in bits."),
	NUMBER("network_key.ipv6", FIELD_COUNT, network_prefix[SIPDAM_FAMILY_IPV6], 16, 128,
	       "Prefix length of what counts as one IPv6 network, in bits."),
	NUMBER("sources", FIELD_SOURCES, sources, 1024, 16777216,
	       "Lines of the per-source table, 64 bytes each, a power of two; a change needs a reload."),

#define X(name, number, label, network)                                                                      \
	LIMIT("limits.unknown." label, limits[SIPDAM_TIER_UNKNOWN][number], label " from one unknown source"),
	SIPDAM_CLASSES(X)
#undef X
#define X(name, number, label, network)                                                                      \
	LIMIT("limits.trusted." label, limits[SIPDAM_TIER_TRUSTED][number],                                  \
	      label " from one source that has registered"),
		SIPDAM_CLASSES(X)
#undef X
#define X(name, number, label, network)                                                                      \
	LIMIT("limits.peer." label, limits[SIPDAM_TIER_PEER][number],                                        \
	      label " from one host that the server itself talks to"),
			SIPDAM_CLASSES(X)
#undef X
#define X(name, number, label, network)                                                                      \
	LIMIT("limits.allowed." label, limits[SIPDAM_TIER_ALLOWED][number],                                  \
	      label " from one source in the allow list"),
				SIPDAM_CLASSES(X)
#undef X
					LIMIT("limits.network", network,
					      "what opens something, from the unknown sources of one "
					      "network"),
#define X(name, number, label, network)                                                                      \
	LIMIT("limits.pool." label, pool[number], label " from all unknown sources together"),
	SIPDAM_CLASSES(X)
#undef X

	LIMIT("limits.cookies", cookies, "SYNs beyond network and pool that are left to SYN cookies"),
		BOOLEAN("verify.enabled", verify_enabled,
			"Whether strangers must retransmit while a pool is exhausted."),
	NUMBER("verify.min", FIELD_DURATION, verify_min, 0, HOUR,
	       "Earliest time after the first copy at which a retransmission counts."),
	NUMBER("verify.max", FIELD_DURATION, verify_max, SECOND / 1000, 34 * SECOND,
	       "Latest time after the first copy at which a retransmission counts."),
	NUMBER("verify.hold", FIELD_DURATION, verify_hold, 0, DAY,
	       "How long verification goes on after the last exhausted pool."),
	BOOLEAN("trust.learn", trust_learn, "Whether anybody becomes known, or is banned for failures, by what the server sends."),
	NUMBER("trust.ttl", FIELD_DURATION, trust_ttl, SECOND, 365 * DAY,
	       "How long a source stays trusted where no other time is given."),
	BOOLEAN("ban.enabled", ban_enabled, "Whether bans are in force; false lets everybody in who is banned."),
	NUMBER("ban.drops", FIELD_COUNT, ban_drops, 0, UINT32_MAX,
	       "Drops within ban.within that ban a source; 0: off, since UDP sources can be forged."),
	NUMBER("ban.within", FIELD_DURATION, ban_within, SECOND / 1000, DAY,
	       "The time in which drops are counted."),
	NUMBER("ban.failures", FIELD_COUNT, ban_failures, 0, UINT32_MAX,
	       "Refusals of REGISTER or INVITE, without a success, that ban a source; 0: off."),
	NUMBER("ban.for", FIELD_DURATION, ban_for, SECOND, 365 * DAY,
	       "How long the first ban lasts; each further one lasts twice as long."),
	NUMBER("ban.max", FIELD_DURATION, ban_max, SECOND, 365 * DAY, "How long a ban lasts at most, and is remembered after its end."),
	CHOICE("tls.min_version", tls_min_version, tls_versions,
	       "Lowest TLS version that a client may offer; none: any."),
	NUMBER("reflection.rate", FIELD_BYTES, reflection_rate, 0, 1000000000000,
	       "Bytes a second of answers to strangers, in total; per source a hundredth."),
	NUMBER("reflection.burst", FIELD_BYTES, reflection_burst, 1, 1000000000000,
	       "Bytes of answers to strangers at one instant, in total; per source a hundredth."),
	NUMBER("connections.per_source", FIELD_COUNT, connections_per_source, 0, SIPDAM_CONNECTIONS_MAX,
	       "Open connections on TCP ports from one source, of whatever tier but the next; 0: no cap."),
	NUMBER("connections.trusted", FIELD_COUNT, connections_trusted, 0, SIPDAM_CONNECTIONS_MAX,
	       "Open connections on TCP ports from one source that has registered; 0: no cap."),
	NUMBER("connections.forget", FIELD_DURATION, connections_forget, 5 * MINUTE, 7 * DAY,
	       "How long a connection counts, at the least, on which the server sends nothing."),
	CHOICE("connections.syn_cookies", syn_cookies, cookies,
	       "Whether SYNs beyond network and pool are left to the kernel's SYN cookies; auto: if they are on."),
};

#define FIELDS (sizeof(fields) / sizeof(fields[0]))
_Static_assert(FIELDS <= SIPDAM_FIELDS_MAX, "room for the origin of every field");

const struct field *settings_field(size_t field)
{
	return &fields[field];
}

size_t settings_field_count(void)
{
	return FIELDS;
}

const char *settings_field_name(size_t field)
{
	return fields[field].key;
}

const char *settings_field_help(size_t field)
{
	return fields[field].help;
}

const char *settings_field_type(size_t field)
{
	static const char *const names[] = {
		[FIELD_CHOICE] = "word",       [FIELD_BOOLEAN] = "boolean", [FIELD_COUNT] = "count",
		[FIELD_SOURCES] = "count",     [FIELD_BYTES] = "bytes",     [FIELD_DURATION] = "duration",
		[FIELD_RATE] = "rate",         [FIELD_BURST] = "burst",     [FIELD_PORTS] = "ports",
		[FIELD_PREFIXES] = "prefixes", [FIELD_LIST] = "prefixes",
	};

	return names[fields[field].kind];
}

int settings_field_find(const char *key)
{
	for (size_t i = 0; i < FIELDS; i++) {
		if (!strcmp(fields[i].key, key))
			return (int)i;
	}
	return -ENOENT;
}

/* What a key has below the group, or NULL if it is not below it. */
static const char *below(const char *key, const char *group)
{
	size_t length = strlen(group);

	if (!length)
		return key;
	return !strncmp(key, group, length) && key[length] == '.' ? key + length + 1 : NULL;
}

int settings_path_find(const char *path)
{
	for (size_t i = 0; *path && i < FIELDS; i++) {
		if (!strcmp(fields[i].key, path) || below(fields[i].key, path))
			return (int)i;
	}
	return -ENOENT;
}

size_t settings_path_nearest(const char *group, const char *word, const char **name)
{
	size_t best = SIZE_MAX, length = 0;

	for (size_t i = 0; i < FIELDS; i++) {
		const char *rest = below(fields[i].key, group);
		char candidate[32];
		size_t part;

		if (!rest)
			continue;
		part = strcspn(rest, ".");
		if (part >= sizeof(candidate))
			continue;
		memcpy(candidate, rest, part);
		candidate[part] = 0;
		if (nearest_improves(word, candidate, &best)) {
			*name = rest;
			length = part;
		}
	}
	return length;
}

const char *settings_field_origin(const struct settings *settings, size_t field)
{
	switch (settings->policy.origin[field]) {
	case SIPDAM_ORIGIN_FILE:
		return "file";
	case SIPDAM_ORIGIN_SET:
		return "set";
	default:
		return "default";
	}
}
