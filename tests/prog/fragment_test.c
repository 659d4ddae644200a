/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Fragments: the first one is judged, the others go its way for a while, and those that follow nothing
 * have a small bucket of their own. Sequences of packets at times that are handed in.
 */
#include "prog/lab.h"

#define TCP   6
#define ICMP  1
#define ICMP6 58
#define FIRST 1472 /* payload of a first fragment over UDP: 1,480 bytes of the datagram */
#define NEXT  1480

/* An INVITE of 3,000 bytes in three fragments. */
#define DATAGRAM 3000
#define FIRST_FRAGMENT                                                                                       \
	{                                                                                                    \
		.more = true, .payload = INVITE_TEXT, .fill = FIRST, .datagram = DATAGRAM                    \
	}
#define SECOND_FRAGMENT                                                                                      \
	{                                                                                                    \
		.offset = NEXT, .more = true, .fill = NEXT                                                   \
	}
#define LAST_FRAGMENT                                                                                        \
	{                                                                                                    \
		.offset = 2 * NEXT, .fill = 48                                                               \
	}

#define A_FOLLOWER      PASSES(WITHIN_LIMITS, FRAGMENT, NONE)
#define NO_ORPHANS      "limits: {unknown: {fragment: {rate: 0, burst: 1}}}\n"
#define AN_ORPHAN       DROPS(FRAGMENT, FRAGMENT, NONE)
#define A_CUT_ONE       PASSES(WITHIN_LIMITS, FRAGMENT, NONE)
#define A_CUT_ONE_OVER  DROPS(FRAGMENT, FRAGMENT, NONE)
#define DENY_THE_SOURCE "deny: [" SOURCE "]\n"

static const struct recipe first = FIRST_FRAGMENT, second = SECOND_FRAGMENT, last = LAST_FRAGMENT;
static const struct expect invite = AN_INVITE, follower = A_FOLLOWER, orphan = AN_ORPHAN, not_ours = NOT_OURS;

/* Orphans are refused in most tests here, so that following can be told from passing alone. */
static void test_followers_follow_a_pass(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, NO_ORPHANS);
	lab_send(lab, "first", &first, invite);
	lab_send(lab, "second", &second, follower);
	lab_send(lab, "last", &last, follower);
	lab_send(lab, "last again", &last, follower);
}

static void test_orphans(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, NO_ORPHANS);
	lab_send(lab, "nothing before it", &second, orphan);
	lab_send(lab, "the first comes late", &first, invite);
	lab_send(lab, "and then it follows", &second, follower);
	lab_policy(lab, "limits: {unknown: {fragment: {rate: 1, burst: 2}}}");
	lab_forget(lab);
	lab_send(lab, "within the bucket", &second, follower);
	lab_send(lab, "the bucket's last", &last, follower);
	lab_send(lab, "over the bucket", &last, orphan);
}

static void test_followers_follow_a_drop(void **state)
{
	static const struct expect refused = DROPS(SOURCE_RATE, INVITE, INVITE);
	static const struct expect inherited = DROPS(SOURCE_RATE, FRAGMENT, NONE);
	struct lab *lab = *state;

	lab_policy(lab, "limits: {unknown: {invite: {rate: 0, burst: 1}}}");
	lab_send(lab, "first", &first, refused);
	lab_send(lab, "second", &second, inherited);
	lab_send(lab, "last", &last, inherited);
}

static void test_followers_follow_in_monitor_mode(void **state)
{
	static const struct expect refused = WOULD_DROP(SOURCE_RATE, INVITE, INVITE);
	static const struct expect inherited = WOULD_DROP(SOURCE_RATE, FRAGMENT, NONE);
	struct lab *lab = *state;

	lab_policy(lab, "mode: monitor\nlimits: {unknown: {invite: {rate: 0, burst: 1}}}");
	lab_send(lab, "first", &first, refused);
	lab_send(lab, "second", &second, inherited);
}

static void test_followers_follow_a_pool(void **state)
{
	static const struct expect refused = DROPS(POOL_RATE, INVITE, INVITE);
	static const struct expect inherited = DROPS(POOL_RATE, FRAGMENT, NONE);
	struct lab *lab = *state;

	lab_policy(lab, "verify: {enabled: false}\nlimits: {pool: {invite: {rate: 0, burst: 1}}}");
	lab_send(lab, "first", &first, refused);
	lab_send(lab, "second", &second, inherited);
}

static void test_followers_follow_what_is_not_ours(void **state)
{
	struct recipe other = first;
	struct lab *lab = *state;

	other.port = 4500;
	lab_policy(lab, NO_ORPHANS);
	lab_send(lab, "first", &other, not_ours);
	lab_send(lab, "second", &second, not_ours);
	lab_send(lab, "last", &last, not_ours);
	lab_send(lab, "another first takes its place", &first, invite);
	lab_send(lab, "and is followed", &last, follower);
}

static void test_followers_follow_a_lie(void **state)
{
	static const struct expect refused = REFUSED, inherited = DROPS(MALFORMED, FRAGMENT, NONE);
	struct recipe lie = first;
	struct lab *lab = *state;

	lie.change = (struct change)UDP_LENGTH(7);
	lab_send(lab, "first", &lie, refused);
	lab_send(lab, "second", &second, inherited);
}

static void test_lists_come_before_the_first(void **state)
{
	static const struct expect denied = DROPS(DENIED, INVITE, INVITE),
				   inherited = DROPS(DENIED, FRAGMENT, NONE);
	static const struct expect allowed = PASSES(ALLOWED, INVITE, INVITE);
	static const struct expect allowed_follower = PASSES(ALLOWED, FRAGMENT, NONE);
	struct lab *lab = *state;

	lab_policy(lab, DENY_THE_SOURCE);
	lab_send(lab, "denied first", &first, denied);
	lab_send(lab, "denied follower", &second, inherited);
	lab_policy(lab, "allow: [" SOURCE "]\n" NO_ORPHANS);
	lab_forget(lab);
	lab_send(lab, "allowed orphan", &second, allowed_follower);
	lab_send(lab, "allowed first", &first, allowed);
	lab_send(lab, "allowed follower", &second, allowed_follower);
}

/* One datagram more to follow, then 45 followers and the 46th. */
static void test_the_46th_follower(void **state)
{
	struct recipe small = {.offset = 800, .more = true, .fill = 8};
	struct lab *lab = *state;

	lab_policy(lab, NO_ORPHANS);
	lab_send(lab, "first", &first, invite);
	for (int i = 0; i < 45; i++)
		lab_send(lab, "one of 45", &small, follower);
	lab_send(lab, "the 46th", &small, orphan);
	lab_send(lab, "the 47th", &small, orphan);
	lab_send(lab, "a first one again", &first, invite);
	lab_send(lab, "and its follower", &small, follower);
}

/* 65,536 bytes with the first one's 1,480: 8 bytes more are too many. */
static void test_64_kib_a_datagram(void **state)
{
	struct recipe large = {.offset = NEXT, .more = true, .fill = 8000};
	struct recipe rest = {.offset = 65480, .more = true, .fill = 65536 - 1480 - 8 * 8000};
	struct lab *lab = *state;

	lab_policy(lab, NO_ORPHANS);
	lab_send(lab, "first", &first, invite);
	for (int i = 0; i < 8; i++)
		lab_send(lab, "8,000 bytes", &large, follower);
	rest.fill += 1;
	lab_send(lab, "one byte more than 64 KiB", &rest, orphan);
	rest.fill -= 1;
	lab_send(lab, "up to 64 KiB", &rest, follower);
	rest.fill = 1;
	lab_send(lab, "one byte", &rest, orphan);
}

static void test_five_seconds(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, NO_ORPHANS);
	lab_send(lab, "first", &first, invite);
	lab->now += SECOND * 49 / 10;
	lab_send(lab, "4.9 s after it", &second, follower);
	lab->now += SECOND * 2 / 10;
	lab_send(lab, "5.1 s after it", &last, orphan);
	lab_send(lab, "a first one again", &first, invite);
	lab_send(lab, "is followed", &last, follower);
}

/* The expiry has 16 bits of 16.8 ms: it wraps after 18 minutes. */
static void test_an_old_verdict_does_not_come_back(void **state)
{
	struct lab *lab = *state;
	__u64 wrap = 1ULL << (16 + 24);

	lab_policy(lab, NO_ORPHANS);
	lab_send(lab, "first", &first, invite);
	lab->now += wrap / 2;
	lab_send(lab, "half a turn later", &second, orphan);
	lab->now += wrap / 2 - 6 * SECOND;
	lab_send(lab, "six seconds before a turn", &second, orphan);
}

static void test_followers_of_others(void **state)
{
	static const struct row rows[] = {
		{"another identification",
		 {.offset = NEXT, .fill = 100, .identification = 0x1235},
		 .expect = AN_ORPHAN},
		{"another source", {.offset = NEXT, .fill = 100, .source = "192.0.2.2"}, .expect = AN_ORPHAN},
		{"another destination",
		 {.offset = NEXT, .fill = 100, .destination = "198.51.100.2"},
		 .expect = AN_ORPHAN},
		{"source and destination exchanged",
		 {.offset = NEXT, .fill = 100, .source = DESTINATION, .destination = SOURCE},
		 .expect = AN_ORPHAN},
		{"another protocol", {.offset = NEXT, .fill = 100, .protocol = TCP}, .expect = AN_ORPHAN},
		{"no protocol of ours", {.offset = NEXT, .fill = 100, .protocol = ICMP}, .expect = NOT_OURS},
		{"IPv6", {.family = 6, .chain = "f", .offset = NEXT, .fill = 100}, .expect = AN_ORPHAN},
		{"its own", {.offset = NEXT, .fill = 100}, .expect = A_FOLLOWER},
		{"its own, tagged", {.tags = 2, .offset = NEXT, .fill = 100}, .expect = A_FOLLOWER},
		{"its own, with options", {.options = 3, .offset = NEXT, .fill = 100}, .expect = A_FOLLOWER},
		{"its own, whose length lies",
		 {.offset = NEXT, .fill = 100, .change = IP_LENGTH_BY(1)},
		 .expect = REFUSED},
	};
	struct lab *lab = *state;

	lab_policy(lab, NO_ORPHANS);
	for (size_t i = 0; i < COUNT(rows); i++) {
		lab_send(lab, "first", &first, invite);
		lab_send(lab, rows[i].name, &rows[i].packet, rows[i].expect);
	}
}

static void test_ipv6(void **state)
{
	static const struct recipe first6 = {.family = 6,
					     .chain = "f",
					     .more = true,
					     .payload = INVITE_TEXT,
					     .fill = FIRST,
					     .datagram = DATAGRAM};
	static const struct recipe last6 = {.family = 6, .chain = "f", .offset = NEXT, .fill = 100};
	static const struct recipe options = {.family = 6,
					      .chain = "hfd1",
					      .more = true,
					      .payload = INVITE_TEXT,
					      .fill = FIRST,
					      .datagram = DATAGRAM};
	static const struct recipe after_options = {
		.family = 6, .chain = "hf", .protocol = 60, .offset = NEXT, .fill = 100};
	static const struct recipe icmp = {
		.family = 6, .chain = "f", .protocol = ICMP6, .offset = NEXT, .fill = 9};
	struct recipe other = last6;
	struct lab *lab = *state;

	lab_policy(lab, NO_ORPHANS);
	lab_send(lab, "orphan", &last6, orphan);
	lab_send(lab, "first", &first6, invite);
	lab_send(lab, "follower", &last6, follower);
	other.identification = IDENTIFICATION + 1;
	lab_send(lab, "another identification", &other, orphan);
	lab_send(lab, "options before UDP, orphan", &after_options, orphan);
	lab_send(lab, "options before UDP", &options, invite);
	lab_send(lab, "follower of those", &after_options, follower);
	lab_send(lab, "ICMPv6", &icmp, not_ours);
}

/* More fragments is not set and the offset is 0: the header is there for nothing (RFC 6946). */
static void test_atomic_fragments(void **state)
{
	static const struct recipe atomic = {.family = 6, .chain = "f", .payload = INVITE_TEXT};
	static const struct recipe last6 = {.family = 6, .chain = "f", .offset = NEXT, .fill = 100};
	struct lab *lab = *state;

	lab_policy(lab, NO_ORPHANS);
	lab_send(lab, "atomic", &atomic, invite);
	lab_send(lab, "nothing follows it", &last6, orphan);
}

/* First fragments that end too early to show what they begin. */
static void test_tiny_first_fragments(void **state)
{
#define TINY(name, expected, ...)                                                                            \
	{                                                                                                    \
		name, {.more = true, .datagram = DATAGRAM, __VA_ARGS__}, .expect = expected                  \
	}
	static const struct row rows[] = {
		TINY("no ports", A_CUT_ONE, .payload = "", .change = IP_LENGTH(20)),
		TINY("half of the ports", A_CUT_ONE, .payload = "", .change = IP_LENGTH(23)),
		TINY("ports alone", A_CUT_ONE, .payload = "", .change = IP_LENGTH(24)),
		TINY("ports alone, not ours", NOT_OURS, .port = 9, .payload = "", .change = IP_LENGTH(24)),
		TINY("UDP header but one byte", A_CUT_ONE, .payload = "", .change = IP_LENGTH(27)),
		TINY("UDP header alone", A_CUT_ONE, .payload = ""),
		TINY("a frame without ports", A_CUT_ONE, .payload = "", .change = IP_LENGTH(20), .keep = 34),
		TINY("the method", A_CUT_ONE, .payload = "INVITE"),
		TINY("method and space", A_CUT_ONE, .payload = "INVITE "),
		TINY("method, space, one letter", AN_INVITE, .payload = "INVITE s"),
		TINY("a malformed beginning", PASSES(WITHIN_LIMITS, MALFORMED, NONE), .payload = "GET / HT"),
		TINY("four bytes of a keepalive that goes on", A_CUT_ONE, .payload = "\r\n\r\n"),
		TINY("NULs that go on", PASSES(WITHIN_LIMITS, MALFORMED, NONE), .payload = "\0\0\0\0",
		     .payload_bytes = 4),
		TINY("SIP/2.0", A_CUT_ONE, .payload = "SIP/2.0"),
		TINY("SIP/2.0 and two digits", A_CUT_ONE, .payload = "SIP/2.0 20"),
		TINY("SIP/3", PASSES(WITHIN_LIMITS, MALFORMED, NONE), .payload = "SIP/3"),
		TINY("a status", ANSWERS(200), .payload = "SIP/2.0 200 "),
		TINY("a length that lies", REFUSED, .payload = INVITE_TEXT, .change = UDP_LENGTH(7)),
		TINY("a total length that lies", REFUSED, .payload = INVITE_TEXT, .change = IP_LENGTH(19)),
		TINY("a header length that lies", REFUSED, .payload = INVITE_TEXT,
		     .change = IP_FIRST_BYTE(0x44)),
		TINY("TCP ports alone", A_CUT_ONE, .protocol = TCP, .change = IP_LENGTH(24)),
		TINY("TCP header but one byte", A_CUT_ONE, .protocol = TCP, .change = IP_LENGTH(39)),
		TINY("TCP header without its options", A_CUT_ONE, .protocol = TCP, .change = TCP_WORDS(8)),
		TINY("TCP header that lies", REFUSED, .protocol = TCP, .change = TCP_WORDS(4)),
		TINY("TCP header alone", PASSES(WITHIN_LIMITS, TCP_DATA, NONE), .protocol = TCP),
		TINY("IPv6, no ports", A_CUT_ONE, .family = 6, .chain = "f", .change = IP6_LENGTH(8)),
		TINY("IPv6, UDP header alone", A_CUT_ONE, .family = 6, .chain = "f"),
		TINY("IPv6, options cut", A_CUT_ONE, .family = 6, .chain = "fd1", .change = IP6_LENGTH(12)),
		TINY("IPv6, options beyond the packet", A_CUT_ONE, .family = 6, .chain = "fd",
		     .change = {LAYER_EXTENSION, 8 + 1, 1, false, 200}),
	};
#undef TINY
	struct lab *lab = *state;

	lab_rows(lab, rows, COUNT(rows));
}

static void test_tiny_first_fragments_are_charged(void **state)
{
	static const struct expect over = A_CUT_ONE_OVER;
	static const struct recipe tiny = {.more = true, .payload = "INVITE", .datagram = DATAGRAM};
	static const struct recipe no_ports = {.more = true, .datagram = DATAGRAM, .change = IP_LENGTH(20)};
	struct lab *lab = *state;

	lab_policy(lab, NO_ORPHANS);
	lab_send(lab, "start-line cut", &tiny, over);
	lab_send(lab, "and its follower", &second, over);
	lab_send(lab, "ports cut", &no_ports, over);
	lab_send(lab, "and its follower", &last, over);
}

/* A stream in fragments: followers of what passed pay as orphans, followers of what was dropped follow. */
static void test_tcp(void **state)
{
	static const struct recipe first_tcp = {
		.protocol = TCP, .more = true, .payload = INVITE_TEXT, .fill = 1460};
	static const struct recipe last_tcp = {.protocol = TCP, .offset = NEXT, .fill = 100};
	static const struct expect dropped = DROPS(SOURCE_RATE, INVITE, INVITE);
	static const struct expect follows_dropped = DROPS(SOURCE_RATE, FRAGMENT, NONE);
	struct lab *lab = *state;

	lab_policy(lab, NO_ORPHANS);
	lab_send(lab, "orphan", &last_tcp, orphan);
	lab_send(lab, "first", &first_tcp, invite);
	lab_send(lab, "follower", &last_tcp, orphan);
	lab_send(lab, "not of UDP", &last, orphan);
	lab_policy(lab, "limits: {unknown: {invite: {rate: 0, burst: 1}}}");
	lab_send(lab, "first, dropped", &first_tcp, dropped);
	lab_send(lab, "its follower", &last_tcp, follows_dropped);
}

/* 65,536 words: a flood of first fragments pushes out verdicts that still hold, and that is counted. */
static void test_a_table_too_small(void **state)
{
	struct recipe recipe = {.more = true, .payload = INVITE_TEXT, .datagram = DATAGRAM};
	struct lab *lab = *state;

	lab_policy(lab,
		   "limits: {unknown: {invite: unlimited}, network: unlimited, pool: {invite: unlimited}}");
	for (int id = 1; id <= 1000; id++) {
		recipe.identification = id;
		lab_try(lab, &recipe);
	}
	assert_int_equal(lab_settle(lab, SIPDAM_TABLE_FRAGMENT_DISPLACED), 0);
	for (int id = 1; id < 65536; id++) {
		recipe.identification = id;
		recipe.destination = id % 2 ? DESTINATION : "198.51.100.2";
		lab_try(lab, &recipe);
	}
	assert_in_range(lab_settle(lab, SIPDAM_TABLE_FRAGMENT_DISPLACED), 1, 65535);
	lab->now += 6 * SECOND;
	recipe.destination = "198.51.100.3";
	for (int id = 1; id <= 1000; id++) {
		recipe.identification = id;
		lab_try(lab, &recipe);
	}
	assert_int_equal(lab_settle(lab, SIPDAM_TABLE_FRAGMENT_DISPLACED), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		lab_test(test_followers_follow_a_pass),
		lab_test(test_orphans),
		lab_test(test_followers_follow_a_drop),
		lab_test(test_followers_follow_in_monitor_mode),
		lab_test(test_followers_follow_a_pool),
		lab_test(test_followers_follow_what_is_not_ours),
		lab_test(test_followers_follow_a_lie),
		lab_test(test_lists_come_before_the_first),
		lab_test(test_the_46th_follower),
		lab_test(test_64_kib_a_datagram),
		lab_test(test_five_seconds),
		lab_test(test_an_old_verdict_does_not_come_back),
		lab_test(test_followers_of_others),
		lab_test(test_ipv6),
		lab_test(test_atomic_fragments),
		lab_test(test_tiny_first_fragments),
		lab_test(test_tiny_first_fragments_are_charged),
		lab_test(test_tcp),
		lab_test(test_a_table_too_small),
	};

	return cmocka_run_group_tests(tests, lab_open, lab_close);
}
