/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which step decides: lists, limits, network, pool, monitor mode, protected addresses, what a capture hides,
 * and whose counters count. One packet a row. Ends with the test that every reason was expected by some row.
 */
#include "address.h"
#include "prog/lab.h"

#define TCP 6

/* Policies that let nothing through at one step. */
#define NOTHING_FROM_A_SOURCE   "limits: {unknown: {invite: {rate: 0, burst: 1}}}\n"
#define NOTHING_FROM_A_NETWORK  "limits: {network: {rate: 0, burst: 1}}\n"
#define NOTHING_FROM_STRANGERS  "verify: {enabled: false}\nlimits: {pool: {invite: {rate: 0, burst: 1}}}\n"
#define NOTHING_FROM_THE_LISTED "limits: {allowed: {invite: {rate: 0, burst: 1}}}\n"

#define INVITE_IS(verdict, reason) EXPECT(verdict, reason, INVITE, INVITE)

static void test_steps_in_order(void **state)
{
	static const struct row rows[] = {
		{"within every limit", {.payload = INVITE_TEXT}, .expect = AN_INVITE},
		{"source", {.payload = INVITE_TEXT}, NOTHING_FROM_A_SOURCE, INVITE_IS(DROP, SOURCE_RATE)},
		{"network", {.payload = INVITE_TEXT}, NOTHING_FROM_A_NETWORK, INVITE_IS(DROP, NETWORK_RATE)},
		{"pool", {.payload = INVITE_TEXT}, NOTHING_FROM_STRANGERS, INVITE_IS(DROP, POOL_RATE)},
		{"verification",
		 {.payload = INVITE_TEXT},
		 "limits: {pool: {invite: {rate: 0, burst: 1}}}",
		 INVITE_IS(DROP, UNVERIFIED)},
		{"a limit of another class",
		 {.payload = ACK_TEXT},
		 NOTHING_FROM_A_SOURCE,
		 PASSES(WITHIN_LIMITS, DIALOG, ACK)},
		{"a pool of another class",
		 {.payload = ACK_TEXT},
		 NOTHING_FROM_STRANGERS,
		 PASSES(WITHIN_LIMITS, DIALOG, ACK)},
		{"source before network and pool",
		 {.payload = INVITE_TEXT},
		 "limits: {unknown: {invite: {rate: 0, burst: 1}}, network: {rate: 0, burst: 1}, "
		 "pool: {invite: {rate: 0, burst: 1}}}",
		 INVITE_IS(DROP, SOURCE_RATE)},
		{"network before pool",
		 {.payload = INVITE_TEXT},
		 "limits: {network: {rate: 0, burst: 1}, pool: {invite: {rate: 0, burst: 1}}}",
		 INVITE_IS(DROP, NETWORK_RATE)},
		{"denied", {.payload = INVITE_TEXT}, "deny: [192.0.2.1]", INVITE_IS(DROP, DENIED)},
		{"denied before its limit",
		 {.payload = INVITE_TEXT},
		 "deny: [192.0.2.1]\n" NOTHING_FROM_A_SOURCE,
		 INVITE_IS(DROP, DENIED)},
		{"allowed", {.payload = INVITE_TEXT}, "allow: [192.0.2.1]", INVITE_IS(PASS, ALLOWED)},
		{"allowed, whatever strangers may",
		 {.payload = INVITE_TEXT},
		 "allow: [192.0.2.1]\nlimits: {unknown: {invite: {rate: 0, burst: 1}}, network: {rate: 0, "
		 "burst: 1}, "
		 "pool: {invite: {rate: 0, burst: 1}}}",
		 INVITE_IS(PASS, ALLOWED)},
		{"allowed within a limit",
		 {.payload = INVITE_TEXT},
		 "allow: [192.0.2.1]\nlimits: {allowed: {invite: {rate: 1, burst: 1}}}",
		 INVITE_IS(PASS, ALLOWED)},
		{"allowed over its limit",
		 {.payload = INVITE_TEXT},
		 "allow: [192.0.2.1]\n" NOTHING_FROM_THE_LISTED,
		 INVITE_IS(DROP, SOURCE_RATE)},
		{"malformed before denied",
		 {.payload = INVITE_TEXT, .change = UDP_LENGTH(7)},
		 "deny: [192.0.2.1]",
		 REFUSED},
		{"malformed before allowed",
		 {.payload = INVITE_TEXT, .change = UDP_LENGTH(7)},
		 "allow: [192.0.2.1]",
		 REFUSED},
		{"a limit of class malformed",
		 {.fill = 60},
		 "limits: {unknown: {malformed: {rate: 0, burst: 1}}}",
		 DROPS(SOURCE_RATE, MALFORMED, NONE)},
		{"an orphan over its limit",
		 {.offset = 1480, .fill = 60},
		 "limits: {unknown: {fragment: {rate: 0, burst: 1}}}",
		 DROPS(FRAGMENT, FRAGMENT, NONE)},
		{"an orphan over the network's",
		 {.offset = 1480, .fill = 60},
		 NOTHING_FROM_A_NETWORK,
		 DROPS(NETWORK_RATE, FRAGMENT, NONE)},
		{"an orphan over the pool's",
		 {.offset = 1480, .fill = 60},
		 "limits: {pool: {fragment: {rate: 0, burst: 1}}}",
		 DROPS(POOL_RATE, FRAGMENT, NONE)},
	};

	lab_rows(*state, rows, COUNT(rows));
}

/* What opens something is charged to the network; what carries on is not. */
static void test_classes_the_network_is_charged_for(void **state)
{
#define NETWORK_ROW(name, expected, ...)                                                                     \
	{                                                                                                    \
		name, {__VA_ARGS__}, NOTHING_FROM_A_NETWORK, expected                                        \
	}
	static const struct row rows[] = {
		NETWORK_ROW("REGISTER", DROPS(NETWORK_RATE, REGISTER, REGISTER),
			    .payload = "REGISTER sip:a SIP/2.0\r\n"),
		NETWORK_ROW("OPTIONS", DROPS(NETWORK_RATE, OPTIONS, OPTIONS),
			    .payload = "OPTIONS sip:a SIP/2.0\r\n"),
		NETWORK_ROW("MESSAGE", DROPS(NETWORK_RATE, OTHER, MESSAGE),
			    .payload = "MESSAGE sip:a SIP/2.0\r\n"),
		NETWORK_ROW("garbage", DROPS(NETWORK_RATE, MALFORMED, NONE), .fill = 60),
		NETWORK_ROW("SYN", DROPS(NETWORK_RATE, TCP_SYN, NONE), .protocol = TCP, .flags = FLAG_SYN),
		NETWORK_ROW("dialog", PASSES(WITHIN_LIMITS, DIALOG, ACK), .payload = ACK_TEXT),
		NETWORK_ROW("response", ANSWERS(200), .payload = "SIP/2.0 200 OK\r\n"),
		NETWORK_ROW("keepalive", PASSES(WITHIN_LIMITS, KEEPALIVE, NONE), .payload = "\r\n"),
		NETWORK_ROW("segment", PASSES(WITHIN_LIMITS, TCP_DATA, NONE), .protocol = TCP,
			    .flags = FLAG_ACK),
		NETWORK_ROW("in the allow list's stead", DROPS(NETWORK_RATE, INVITE, INVITE),
			    .payload = INVITE_TEXT),
	};
#undef NETWORK_ROW

	lab_rows(*state, rows, COUNT(rows));
}

static void test_lists(void **state)
{
	static const struct expect allowed = INVITE_IS(PASS, ALLOWED), denied = INVITE_IS(DROP, DENIED);
	static const struct expect stranger = AN_INVITE;
	static const struct {
		const char *lists, *source;
		const struct expect *expect;
	} rows[] = {
		{"allow: [192.0.2.0/24]", "192.0.2.0", &allowed},
		{"allow: [192.0.2.0/24]", "192.0.2.255", &allowed},
		{"allow: [192.0.2.0/24]", "192.0.3.0", &stranger},
		{"allow: [192.0.2.0/24]", "192.0.1.255", &stranger},
		{"allow: [192.0.2.0/31]", "192.0.2.2", &stranger},
		{"allow: [0.0.0.0/0]", "203.0.113.9", &allowed},
		{"allow: [0.0.0.0/0]", "2001:db8::1", &stranger},
		{"allow: [\"::/0\"]", "2001:db8::1", &allowed},
		{"allow: [\"::/0\"]", "192.0.2.1", &stranger}, /* IPv6 prefixes mean no IPv4 */
		{"deny: [\"::/8\"]", "192.0.2.1", &stranger},
		{"deny: [\"::/64\"]", "192.0.2.1", &stranger},
		{"deny: [0.0.0.0/0]", "192.0.2.1", &denied},
		{"allow: [\"2001:db8::/33\"]", "2001:db8:7fff::1", &allowed},
		{"allow: [\"2001:db8::/33\"]", "2001:db8:8000::1", &stranger},
		{"deny: [192.0.2.0/24]", "192.0.2.77", &denied},
		{"deny: [192.0.2.0/24]", "192.0.3.77", &stranger},
		{"deny: [\"2001:db8::1\"]", "2001:db8::1", &denied},
		{"deny: [\"2001:db8::1\"]", "2001:db8::2", &stranger},
		{"deny: [192.0.2.0/24, 192.0.2.1]", "192.0.2.1", &denied},
		/* Allow beats deny, however long the prefixes are. */
		{"allow: [192.0.2.1]\ndeny: [192.0.2.0/24]", "192.0.2.1", &allowed},
		{"allow: [192.0.2.1]\ndeny: [192.0.2.0/24]", "192.0.2.2", &denied},
		{"allow: [192.0.2.0/24]\ndeny: [192.0.2.1]", "192.0.2.1", &allowed},
		{"allow: [192.0.2.1]\ndeny: [192.0.2.1]", "192.0.2.1", &allowed},
		{"allow: [0.0.0.0/0]\ndeny: [192.0.2.1]", "192.0.2.1", &allowed},
	};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct row row = {rows[i].source, .policy = rows[i].lists, .expect = *rows[i].expect};

		row.packet = (struct recipe){.source = rows[i].source,
					     .family = strchr(rows[i].source, ':') ? 6 : 4,
					     .payload = INVITE_TEXT};
		lab_row(lab, &row);
	}
	assert_int_equal(lab->failures, 0);
}

/* Entries that end, in place of a list. */
struct lasting {
	const char *prefix;
	__u64 expires; /* nanoseconds; 0: never */
};

static void set_list(struct lab *lab, int list, const struct lasting *entries, size_t count)
{
	struct book book = {};

	for (size_t i = 0; i < count; i++) {
		struct book grown;
		struct prefix_set set = {};
		struct sipdam_prefix prefix;
		struct book_change change = {
			.origin = SIPDAM_ENTRY_MANUAL, .expires = entries[i].expires, .prefixes = &set};

		assert_int_equal(address_parse_prefix(entries[i].prefix, &prefix), 0);
		assert_int_equal(prefix_set_add(&set, &prefix), 0);
		assert_int_equal(book_apply(&book, &change, 0, &grown), 0);
		book_free(&book);
		prefix_set_free(&set);
		book = grown;
	}
	assert_int_equal(filter_trial_list(lab->filter, list, &book), 0);
	book_free(&book);
	free(lab->policy);
	lab->policy = NULL; /* the next row puts its own in force */
}

/* Ends are kept in units: an entry ends with the first one that begins at or after its time. */
#define UNIT (1ULL << SIPDAM_UNTIL_SHIFT)

static void test_entries_expire(void **state)
{
	static const struct recipe packet = {.payload = INVITE_TEXT};
	static const struct expect denied = INVITE_IS(DROP, DENIED), stranger = AN_INVITE;
	static const char *const kinds[] = {"192.0.2.1", "192.0.2.0/31", "192.0.2.0/24", "192.0.0.0/12",
					    "0.0.0.0/0"};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(kinds); i++) {
		__u64 end = lab->now + SECOND, last = end + UNIT - 1;
		struct lasting entries[] = {{"203.0.113.1", 0}, {kinds[i], end}};

		set_list(lab, SIPDAM_LIST_DENY, entries, COUNT(entries));
		lab_send(lab, "before", &packet, denied);
		lab->now = end - 1;
		lab_send(lab, "a nanosecond before", &packet, denied);
		lab->now = last;
		lab_send(lab, "a unit after its end", &packet, stranger);
		lab->now += SECOND;
		lab_send(lab, "after", &packet, stranger);
	}
}

static void test_entries_of_ipv6_expire(void **state)
{
	static const struct recipe packet = {.family = 6, .source = "2001:db8::1", .payload = INVITE_TEXT};
	static const struct expect denied = INVITE_IS(DROP, DENIED), stranger = AN_INVITE;
	static const char *const kinds[] = {"2001:db8::1",   "2001:db8::/127", "2001:db8::/64",
					    "2001:db8::/48", "2001:db8::/33",  "2001::/16",
					    "::/0"};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(kinds); i++) {
		__u64 end = lab->now + SECOND;
		struct lasting entries[] = {{"2001:db9::1", 0}, {kinds[i], end}};

		set_list(lab, SIPDAM_LIST_DENY, entries, COUNT(entries));
		lab->now = end - 1;
		lab_send(lab, kinds[i], &packet, denied);
		lab->now = end + UNIT - 1;
		lab_send(lab, kinds[i], &packet, stranger);
		lab->now += SECOND;
	}
}

/* However many expired entries lie around an address: any that lasts holds it. */
static void test_expired_entries_hide_no_others(void **state)
{
	static const struct recipe packet = {.payload = INVITE_TEXT};
	static const struct expect allowed = INVITE_IS(PASS, ALLOWED), stranger = AN_INVITE;
	struct lab *lab = *state;
	const __u64 gone = lab->now - UNIT, soon = lab->now + 1;
	const struct lasting shorter[] = {{"192.0.0.0/16", 0},    {"192.0.2.0/24", gone},
					  {"192.0.2.0/26", gone}, {"192.0.2.0/28", gone},
					  {"192.0.2.0/30", gone}, {"192.0.2.0/31", gone},
					  {"192.0.2.1", gone}};
	const struct lasting none[] = {
		{"203.0.113.1", 0}, {"0.0.0.0/0", gone}, {"192.0.2.0/24", gone}, {"::/0", gone}};
	const struct lasting longer[] = {{"0.0.0.0/0", gone}, {"192.0.2.0/24", gone}, {"192.0.2.0/25", soon}};
	const struct lasting single[] = {
		{"192.0.0.0/16", gone}, {"192.0.2.0/24", gone}, {"192.0.2.1", soon}, {"203.0.113.1", 0}};

	set_list(lab, SIPDAM_LIST_ALLOW, shorter, COUNT(shorter));
	lab_send(lab, "a shorter one", &packet, allowed);
	set_list(lab, SIPDAM_LIST_ALLOW, none, COUNT(none));
	lab_send(lab, "none", &packet, stranger);
	set_list(lab, SIPDAM_LIST_ALLOW, longer, COUNT(longer));
	lab_send(lab, "a longer one", &packet, allowed);
	set_list(lab, SIPDAM_LIST_ALLOW, single, COUNT(single));
	lab_send(lab, "the address itself", &packet, allowed);
}

static void test_protected_addresses(void **state)
{
#define ONLY_OURS "addresses: [198.51.100.1, 203.0.113.0/24, \"2001:db8:ffff::/48\"]"
	static const struct row rows[] = {
		{"ours", {.payload = INVITE_TEXT}, ONLY_OURS, AN_INVITE},
		{"in a prefix of ours",
		 {.destination = "203.0.113.200", .payload = INVITE_TEXT},
		 ONLY_OURS,
		 AN_INVITE},
		{"beside it", {.destination = "198.51.100.2", .payload = INVITE_TEXT}, ONLY_OURS, NOT_OURS},
		{"ours, IPv6", {.family = 6, .payload = INVITE_TEXT}, ONLY_OURS, AN_INVITE},
		{"not ours, IPv6",
		 {.family = 6, .destination = "2001:db8:fffe::1", .payload = INVITE_TEXT},
		 ONLY_OURS,
		 NOT_OURS},
		{"a lie to ours", {.payload = INVITE_TEXT, .change = UDP_LENGTH(7)}, ONLY_OURS, REFUSED},
		{"a lie to another",
		 {.destination = "198.51.100.2", .payload = INVITE_TEXT, .change = UDP_LENGTH(7)},
		 ONLY_OURS,
		 NOT_OURS},
		{"nine extension headers to another",
		 {.family = 6,
		  .destination = "2001:db8:fffe::1",
		  .chain = "ddddddddd",
		  .payload = INVITE_TEXT},
		 ONLY_OURS,
		 NOT_OURS},
		{"an orphan to ours",
		 {.offset = 1480, .fill = 60},
		 ONLY_OURS,
		 PASSES(WITHIN_LIMITS, FRAGMENT, NONE)},
		{"an orphan to another",
		 {.destination = "198.51.100.2", .offset = 1480, .fill = 60},
		 ONLY_OURS,
		 NOT_OURS},
		{"denied, to another",
		 {.destination = "198.51.100.2", .payload = INVITE_TEXT},
		 ONLY_OURS "\ndeny: [192.0.2.1]",
		 NOT_OURS},
		{"our address as the source",
		 {.source = DESTINATION, .destination = SOURCE, .payload = INVITE_TEXT},
		 ONLY_OURS,
		 NOT_OURS},
	};

	lab_rows(*state, rows, COUNT(rows));
}

static void test_monitor_mode_passes_all(void **state)
{
#define MONITOR "mode: monitor\n"
	static const struct row rows[] = {
		{"within", {.payload = INVITE_TEXT}, MONITOR, AN_INVITE},
		{"not ours", {.port = 9, .payload = INVITE_TEXT}, MONITOR, NOT_OURS},
		{"allowed", {.payload = INVITE_TEXT}, MONITOR "allow: [192.0.2.1]", INVITE_IS(PASS, ALLOWED)},
		{"denied",
		 {.payload = INVITE_TEXT},
		 MONITOR "deny: [192.0.2.1]",
		 INVITE_IS(WOULD_DROP, DENIED)},
		{"malformed",
		 {.payload = INVITE_TEXT, .change = UDP_LENGTH(7)},
		 MONITOR,
		 WOULD_DROP(MALFORMED, MALFORMED, NONE)},
		{"source",
		 {.payload = INVITE_TEXT},
		 MONITOR NOTHING_FROM_A_SOURCE,
		 INVITE_IS(WOULD_DROP, SOURCE_RATE)},
		{"network",
		 {.payload = INVITE_TEXT},
		 MONITOR NOTHING_FROM_A_NETWORK,
		 INVITE_IS(WOULD_DROP, NETWORK_RATE)},
		{"pool",
		 {.payload = INVITE_TEXT},
		 MONITOR NOTHING_FROM_STRANGERS,
		 INVITE_IS(WOULD_DROP, POOL_RATE)},
		{"fragment",
		 {.offset = 1480, .fill = 60},
		 MONITOR "limits: {unknown: {fragment: {rate: 0, burst: 1}}}",
		 WOULD_DROP(FRAGMENT, FRAGMENT, NONE)},
	};

	lab_rows(*state, rows, COUNT(rows));
}

/* A deadline in the policy in force, until the next lab_policy. */
static void set_deadline(struct lab *lab, __u64 deadline)
{
	int fd = filter_map(lab->filter, "policy");
	struct sipdam_policy policy;
	__u32 zero = 0;

	assert_int_equal(bpf_map_lookup_elem(fd, &zero, &policy), 0);
	policy.deadline = deadline;
	assert_int_equal(bpf_map_update_elem(fd, &zero, &policy, BPF_ANY), 0);
}

/* Whatever the reason: it is told, and the packet passes from the deadline on. */
static void test_nothing_is_dropped_from_the_deadline_on(void **state)
{
	static const struct {
		const char *name, *policy;
		struct recipe packet;
		struct expect before, after;
	} rows[] = {
		{"denied",
		 "deny: [192.0.2.1]",
		 {.payload = INVITE_TEXT},
		 INVITE_IS(DROP, DENIED),
		 INVITE_IS(WOULD_DROP, DENIED)},
		{"malformed",
		 "deny: [203.0.113.1]",
		 {.payload = INVITE_TEXT, .change = UDP_LENGTH(7)},
		 REFUSED,
		 WOULD_DROP(MALFORMED, MALFORMED, NONE)},
		{"source",
		 NOTHING_FROM_A_SOURCE,
		 {.payload = INVITE_TEXT},
		 INVITE_IS(DROP, SOURCE_RATE),
		 INVITE_IS(WOULD_DROP, SOURCE_RATE)},
		{"network",
		 NOTHING_FROM_A_NETWORK,
		 {.payload = INVITE_TEXT},
		 INVITE_IS(DROP, NETWORK_RATE),
		 INVITE_IS(WOULD_DROP, NETWORK_RATE)},
		{"pool",
		 NOTHING_FROM_STRANGERS,
		 {.payload = INVITE_TEXT},
		 INVITE_IS(DROP, POOL_RATE),
		 INVITE_IS(WOULD_DROP, POOL_RATE)},
		{"fragment",
		 "limits: {unknown: {fragment: {rate: 0, burst: 1}}}",
		 {.offset = 1480, .fill = 60},
		 DROPS(FRAGMENT, FRAGMENT, NONE),
		 WOULD_DROP(FRAGMENT, FRAGMENT, NONE)},
		{"within every limit", "", {.payload = INVITE_TEXT}, AN_INVITE, AN_INVITE},
		{"allowed",
		 "allow: [192.0.2.1]",
		 {.payload = INVITE_TEXT},
		 INVITE_IS(PASS, ALLOWED),
		 INVITE_IS(PASS, ALLOWED)},
		{"not ours", "deny: [203.0.113.2]", {.port = 9, .payload = INVITE_TEXT}, NOT_OURS, NOT_OURS},
	};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		__u64 deadline = LAB_START + SECOND;

		lab_policy(lab, rows[i].policy);
		set_deadline(lab, deadline);
		lab->now = deadline - 1;
		lab_send(lab, rows[i].name, &rows[i].packet, rows[i].before);
		lab->now = deadline;
		lab_send(lab, rows[i].name, &rows[i].packet, rows[i].after);
		lab->now = deadline + 1000 * SECOND;
		lab_send(lab, rows[i].name, &rows[i].packet, rows[i].after);
		set_deadline(lab, 0);
		lab_send(lab, rows[i].name, &rows[i].packet, rows[i].before);
	}
}

/* A row of a capture that kept `keep` bytes of an INVITE, or of what the recipe makes of it. */
#define WIRE_BYTES (14 + 20 + 8 + (int)sizeof(INVITE_TEXT) - 1)
#define HIDDEN     PASSES(TRUNCATED, NONE, NONE)

/* wire_length is the length of the whole frame unless a row gives one. */
static void run_truncated(struct lab *lab, const struct row *row)
{
	struct row cut = *row;
	struct recipe whole = row->packet;

	whole.keep = 0;
	frame_build(&lab->frame, &whole);
	if (!cut.wire_length)
		cut.wire_length = lab->frame.length;
	lab_row(lab, &cut);
}

static const struct row hidden_rows[] = {
	{"Ethernet alone", {.payload = INVITE_TEXT, .keep = 14}, .expect = HIDDEN},
	{"ARP", {.ethertype = 0x0806, .payload = INVITE_TEXT, .keep = 14}, .expect = NOT_OURS},
	{"within a tag", {.tags = 1, .payload = INVITE_TEXT, .keep = 17}, .expect = HIDDEN},
	{"within IPv4", {.payload = INVITE_TEXT, .keep = 33}, .expect = HIDDEN},
	{"ICMP", {.protocol = 1, .payload = INVITE_TEXT, .keep = 34}, .expect = NOT_OURS},
	{"within the ports", {.payload = INVITE_TEXT, .keep = 37}, .expect = HIDDEN},
	{"after the ports", {.payload = INVITE_TEXT, .keep = 38}, .expect = HIDDEN},
	{"after other ports", {.port = 9, .payload = INVITE_TEXT, .keep = 38}, .expect = NOT_OURS},
	{"after UDP", {.payload = INVITE_TEXT, .keep = 42}, .expect = HIDDEN},
	{"after UDP, a keepalive",
	 {.payload = "\r\n\r\n", .keep = 42},
	 .expect = PASSES(WITHIN_LIMITS, KEEPALIVE, NONE)},
	{"after UDP, a lie",
	 {.payload = INVITE_TEXT, .keep = 42, .change = UDP_LENGTH(7)},
	 .expect = REFUSED},
	{"after the method", {.payload = INVITE_TEXT, .keep = 42 + 7}, .expect = HIDDEN},
	{"within the scheme", {.payload = INVITE_TEXT, .keep = 42 + 8}, .expect = AN_INVITE},
	{"within garbage", {.fill = 90, .keep = 42 + 30}, .expect = HIDDEN},
	{"after the first window of what may be a method", {.fill = 90, .keep = 42 + 64}, .expect = HIDDEN},
	{"after the first byte that is of no method",
	 {.payload = "@", .fill = 90, .keep = 42 + 1},
	 .expect = PASSES(WITHIN_LIMITS, MALFORMED, NONE)},
	{"within a status line", {.payload = "SIP/2.0 200 OK\r\n", .keep = 42 + 11}, .expect = HIDDEN},
	{"after the status", {.payload = "SIP/2.0 200 OK\r\n", .keep = 42 + 12}, .expect = ANSWERS(200)},
	{"within CRLFs", {.payload = "\r\n\r\n\r\n\r\n" INVITE_TEXT, .keep = 42 + 6}, .expect = HIDDEN},
	{"within IPv6", {.family = 6, .payload = INVITE_TEXT, .keep = 53}, .expect = HIDDEN},
	{"within the chain",
	 {.family = 6, .chain = "dd", .payload = INVITE_TEXT, .keep = 54 + 9},
	 .expect = HIDDEN},
	{"within TCP", {.protocol = TCP, .payload = INVITE_TEXT, .keep = 34 + 13}, .expect = HIDDEN},
	{"after TCP", {.protocol = TCP, .payload = INVITE_TEXT, .keep = 34 + 20}, .expect = HIDDEN},
	{"after a start-line over TCP: more may follow",
	 {.protocol = TCP, .payload = INVITE_TEXT, .keep = 34 + 20 + 16},
	 .expect = PASSES(TRUNCATED, INVITE, INVITE)},
	{"after TCP, SYN",
	 {.protocol = TCP, .flags = FLAG_SYN, .payload = INVITE_TEXT, .keep = 34 + 20},
	 .expect = PASSES(TRUNCATED, TCP_SYN, NONE)},
	{"after TCP to the TLS port",
	 {.protocol = TCP, .port = TLS_PORT, .payload = INVITE_TEXT, .keep = 34 + 20},
	 .expect = HIDDEN},
	{"after TCP to the TLS port, within what tells",
	 {.protocol = TCP, .port = TLS_PORT, .payload = INVITE_TEXT, .keep = 34 + 20 + 5},
	 .expect = HIDDEN},
	{"after TCP to the TLS port, behind what tells",
	 {.protocol = TCP, .port = TLS_PORT, .payload = INVITE_TEXT, .keep = 34 + 20 + 6},
	 .expect = PASSES(WITHIN_LIMITS, TCP_DATA, NONE)},
	{"denied all the same",
	 {.payload = INVITE_TEXT, .keep = 42},
	 "deny: [192.0.2.1]",
	 DROPS(DENIED, NONE, NONE)},
	{"even if allowed", {.payload = INVITE_TEXT, .keep = 42}, "allow: [192.0.2.1]", HIDDEN},
	{"the last byte alone", {.payload = INVITE_TEXT, .keep = WIRE_BYTES - 1}, .expect = AN_INVITE},
	{"nothing", {.payload = INVITE_TEXT}, .expect = AN_INVITE},
	{"nothing, and the packet ends within IPv4",
	 {.payload = INVITE_TEXT, .keep = 33},
	 .expect = NOT_OURS,
	 .wire_length = 33},
	{"more than the IP packet",
	 {.payload = INVITE_TEXT},
	 .expect = AN_INVITE,
	 .wire_length = WIRE_BYTES + 20},
	{"as much as a length that is one too long",
	 {.payload = INVITE_TEXT, .change = IP_LENGTH_BY(1)},
	 .expect = AN_INVITE,
	 .wire_length = WIRE_BYTES + 1},
	{"less than a length that is two too long",
	 {.payload = INVITE_TEXT, .change = IP_LENGTH_BY(2)},
	 .expect = REFUSED,
	 .wire_length = WIRE_BYTES + 1},
};

static void test_what_a_capture_hides(void **state)
{
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(hidden_rows); i++)
		run_truncated(lab, &hidden_rows[i]);
	assert_int_equal(lab->failures, 0);
}

/* Behind the lists and before all limits; what else there is to bans has tests of its own. */
static void test_a_ban(void **state)
{
	static const struct row row = {"banned", {.payload = INVITE_TEXT}, .expect = INVITE_IS(DROP, BANNED)};
	struct lab *lab = *state;

	lab_policy(lab, NOTHING_FROM_A_SOURCE);
	assert_int_equal(lab_ban(lab, SOURCE, SECOND), 0);
	lab_run(lab, &row);
	assert_int_equal(lab->failures, 0);
}

static void test_a_known_source(void **state)
{
	static const struct recipe invite = {.payload = INVITE_TEXT}, ack = {.payload = ACK_TEXT};
	struct lab *lab = *state;

	assert_int_equal(lab_know(lab, SOURCE, false, 0, SECOND), 0);
	lab_send(lab, "a peer", &ack, (struct expect)PASSES(PEER, DIALOG, ACK));
	assert_int_equal(lab_know(lab, SOURCE, true, 0, SECOND), 0);
	lab_send(lab, "trusted", &invite, (struct expect)PASSES(TRUSTED, INVITE, INVITE));
}

/* A packet counts for the interface it came by and for no other. */
static void test_counters_by_interface(void **state)
{
	struct lab *lab = *state;

	for (__u32 interface = 0; interface < SIPDAM_INTERFACES_MAX; interface++) {
		struct row row = {
			"interface", {.payload = INVITE_TEXT}, .expect = AN_INVITE, .interface = interface};

		lab_row(lab, &row);
	}
	assert_int_equal(lab->failures, 0);
}

/* Reasons of stages that this program does not have yet, of the way out, and tls_test.c's. */
static bool reason_is_absent(int reason)
{
	switch (reason) {
	case SIPDAM_REASON_EGRESS:
	case SIPDAM_REASON_TLS_VERSION:
	case SIPDAM_REASON_SIGNATURE:
	case SIPDAM_REASON_REFLECTION:
		return true;
	}
	return false;
}

/* Last: fails when a reason has no row above. */
static void test_every_reason_had_a_row(void **state)
{
	static const int reasons[] = {
#define X(name, number, label, verdict, sentence) number,
		SIPDAM_REASONS(X)
#undef X
	};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(reasons); i++)
		if (lab->reason_seen[reasons[i]] == reason_is_absent(reasons[i]))
			fail_msg("reason %s: %s", reason_label(reasons[i]),
				 reason_is_absent(reasons[i]) ? "is absent, yet expected"
							      : "no row expects it");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		lab_test(test_steps_in_order),
		lab_test(test_classes_the_network_is_charged_for),
		lab_test(test_lists),
		lab_test(test_entries_expire),
		lab_test(test_entries_of_ipv6_expire),
		lab_test(test_expired_entries_hide_no_others),
		lab_test(test_protected_addresses),
		lab_test(test_monitor_mode_passes_all),
		lab_test(test_nothing_is_dropped_from_the_deadline_on),
		lab_test(test_what_a_capture_hides),
		lab_test(test_a_ban),
		lab_test(test_a_known_source),
		lab_test(test_counters_by_interface),
		lab_test(test_every_reason_had_a_row),
	};

	return cmocka_run_group_tests(tests, lab_open, lab_close);
}
