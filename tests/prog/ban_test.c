/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Bans: every packet of a banned source and no other's, from the first nanosecond to the last; which drops
 * lead to one and how many; how long it lasts; what happens where there is no room. Bans by hand are made by
 * the tool's own functions.
 */
#include "prog/rates.h"

#include "sipdam/hash.h"

#define TCP 6

/* Ends are counted in units of a millisecond: a ban lasts so much longer at most. */
#define UNIT (1ULL << SIPDAM_BAN_UNIT_SHIFT)

#define SOURCE_BESIDE "192.0.2.2"

static const struct expect banned = DROPS(BANNED, INVITE, INVITE);

/* ---- by hand ---- */

static void ban(struct lab *lab, const char *address)
{
	assert_int_equal(lab_ban(lab, address, 60 * SECOND), 0);
}

static int pardon(struct lab *lab, const char *address)
{
	struct sipdam_prefix source = lab_source(lab, address);

	return bans_remove(&lab->bans, &source, lab->now);
}

/* The one ban in force. */
static struct ban_entry only_ban(struct lab *lab)
{
	struct sipdam_policy policy = lab->in_force;
	struct ban_entries entries;
	struct ban_entry entry;

	assert_int_equal(bans_list(&lab->bans, &policy, lab->now, &entries), 0);
	assert_int_equal(entries.count, 1);
	assert_int_equal(bans_count(&lab->bans, lab->now), 1);
	entry = entries.entry[0];
	ban_entries_free(&entries);
	return entry;
}

static size_t count_bans(struct lab *lab)
{
	return bans_count(&lab->bans, lab->now);
}

/* The one ban in force lasts so long from its beginning. */
static void check_lasting(struct lab *lab, __u64 lasting)
{
	struct ban_entry entry = only_ban(lab);

	assert_in_range(entry.end - entry.ban.since, lasting, lasting + UNIT - 1);
}

/* ---- step 3 ---- */

/* Both sources are banned; a row from another one is not. */
static void test_every_packet_of_the_source(void **state)
{
#define BANNED_ROW(name, expected, ...)                                                                      \
	{                                                                                                    \
		name, {__VA_ARGS__}, .expect = expected                                                      \
	}
	static const struct row rows[] = {
		BANNED_ROW("INVITE", DROPS(BANNED, INVITE, INVITE), .payload = INVITE_TEXT),
		BANNED_ROW("another source", AN_INVITE, .source = SOURCE_BESIDE, .payload = INVITE_TEXT),
		BANNED_ROW("ACK", DROPS(BANNED, DIALOG, ACK), .payload = ACK_TEXT),
		BANNED_ROW("keepalive", DROPS(BANNED, KEEPALIVE, NONE), .payload = "\r\n"),
		BANNED_ROW("garbage", DROPS(BANNED, MALFORMED, NONE), .fill = 60),
		BANNED_ROW("tagged", DROPS(BANNED, INVITE, INVITE), .tags = 2, .payload = INVITE_TEXT),
		BANNED_ROW("with options", DROPS(BANNED, INVITE, INVITE), .options = 3,
			   .payload = INVITE_TEXT),
		BANNED_ROW("SYN", DROPS(BANNED, TCP_SYN, NONE), .protocol = TCP, .flags = FLAG_SYN),
		BANNED_ROW("segment", DROPS(BANNED, TCP_DATA, NONE), .protocol = TCP, .fill = 700),
		BANNED_ROW("bare ACK", DROPS(BANNED, TCP_DATA, NONE), .protocol = TCP, .flags = FLAG_ACK),
		BANNED_ROW("FIN", DROPS(BANNED, TCP_DATA, NONE), .protocol = TCP, .flags = FLAG_FIN),
		BANNED_ROW("message over TCP", DROPS(BANNED, INVITE, INVITE), .protocol = TCP,
			   .payload = INVITE_TEXT),
		BANNED_ROW("segment of another source", PASSES(WITHIN_LIMITS, TCP_DATA, NONE),
			   .source = SOURCE_BESIDE, .protocol = TCP, .fill = 700),
		BANNED_ROW("TLS", DROPS(BANNED, TCP_DATA, NONE), .protocol = TCP, .port = TLS_PORT,
			   .fill = 60),
		BANNED_ROW("a first fragment", DROPS(BANNED, INVITE, INVITE), .more = true,
			   .payload = INVITE_TEXT, .fill = 1472, .datagram = 3000),
		BANNED_ROW("a cut first fragment", DROPS(BANNED, FRAGMENT, NONE), .more = true,
			   .payload = "INV", .datagram = 3000),
		BANNED_ROW("an orphan", DROPS(BANNED, FRAGMENT, NONE), .offset = 1480, .fill = 60),
		BANNED_ROW("an orphan of a segment", DROPS(BANNED, FRAGMENT, NONE), .protocol = TCP,
			   .offset = 1480, .fill = 60),
		BANNED_ROW("an orphan of another source", PASSES(WITHIN_LIMITS, FRAGMENT, NONE),
			   .source = SOURCE_BESIDE, .offset = 1480, .fill = 60),
		BANNED_ROW("IPv6", DROPS(BANNED, INVITE, INVITE), .family = 6, .payload = INVITE_TEXT),
		BANNED_ROW("IPv6, the last host of the /64", DROPS(BANNED, INVITE, INVITE), .family = 6,
			   .source = "2001:db8:1::ffff:ffff:ffff:ffff", .payload = INVITE_TEXT),
		BANNED_ROW("IPv6, the next /64", AN_INVITE, .family = 6, .source = "2001:db8:1:1::1",
			   .payload = INVITE_TEXT),
		BANNED_ROW("IPv6, the /64 before", AN_INVITE, .family = 6, .source = "2001:db8:0:ffff::1",
			   .payload = INVITE_TEXT),
		BANNED_ROW("IPv6, a segment", DROPS(BANNED, TCP_DATA, NONE), .family = 6, .protocol = TCP,
			   .flags = FLAG_ACK),
		/* Steps before it. */
		BANNED_ROW("to another port", NOT_OURS, .port = 9, .payload = INVITE_TEXT),
		BANNED_ROW("a first fragment to another port", NOT_OURS, .port = 9, .more = true,
			   .fill = 1472, .datagram = 3000),
		BANNED_ROW("ICMP", NOT_OURS, .protocol = 1, .fill = 8),
		BANNED_ROW("a lie", REFUSED, .payload = INVITE_TEXT, .change = UDP_LENGTH(7)),
	};
#undef BANNED_ROW
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		lab_forget(lab);
		ban(lab, SOURCE);
		ban(lab, SOURCE6);
		lab_run(lab, &rows[i]);
	}
	assert_int_equal(lab->failures, 0);
}

static void test_what_stands_before_and_above_a_ban(void **state)
{
	static const struct row rows[] = {
		{"denied", {.payload = INVITE_TEXT}, "deny: [" SOURCE "]", DROPS(DENIED, INVITE, INVITE)},
		{"allowed", {.payload = INVITE_TEXT}, "allow: [" SOURCE "]", PASSES(ALLOWED, INVITE, INVITE)},
		{"allowed by its prefix",
		 {.payload = INVITE_TEXT},
		 "allow: [192.0.2.0/24]",
		 PASSES(ALLOWED, INVITE, INVITE)},
		{"another is allowed",
		 {.payload = INVITE_TEXT},
		 "allow: [" SOURCE_BESIDE "]",
		 DROPS(BANNED, INVITE, INVITE)},
		{"before its limit",
		 {.payload = INVITE_TEXT},
		 "limits: {unknown: {invite: {rate: 0, burst: 1}}}",
		 DROPS(BANNED, INVITE, INVITE)},
		{"whatever it may",
		 {.payload = INVITE_TEXT},
		 "limits: {unknown: {invite: unlimited}}",
		 DROPS(BANNED, INVITE, INVITE)},
		{"to an address that is not protected",
		 {.payload = INVITE_TEXT},
		 "addresses: [203.0.113.1]",
		 NOT_OURS},
		{"monitor mode",
		 {.payload = INVITE_TEXT},
		 "mode: monitor",
		 WOULD_DROP(BANNED, INVITE, INVITE)},
		{"bans switched off", {.payload = INVITE_TEXT}, "ban: {enabled: false}", AN_INVITE},
	};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		lab_forget(lab);
		lab_policy(lab, rows[i].policy);
		ban(lab, SOURCE);
		lab_run(lab, &rows[i]);
	}
	assert_int_equal(lab->failures, 0);
}

/* It takes no tokens, and what a capture hides of it does not matter. */
static void test_a_banned_packet_takes_nothing(void **state)
{
	static const struct row hidden = {"hidden",
					  {.payload = INVITE_TEXT, .keep = 42},
					  .expect = DROPS(BANNED, NONE, NONE),
					  .wire_length = 100};
	struct lab *lab = *state;

	ban(lab, SOURCE);
	lab_send_many(lab, "banned", 100, &invite, banned);
	lab_run(lab, &hidden);
	assert_int_equal(lab->failures, 0);
	assert_int_equal(only_ban(lab).ban.dropped, 101);
	assert_int_equal(pardon(lab, SOURCE), 0);
	lab_send_many(lab, "a full bucket", 50, &invite, passes);
	lab_send(lab, "and no more", &invite, over_source);
}

static void test_to_the_end_of_a_ban(void **state)
{
	struct lab *lab = *state;
	__u64 begin = lab->now, end;

	assert_int_equal(lab_ban(lab, SOURCE, SECOND), 0);
	end = only_ban(lab).end;
	assert_in_range(end, begin + SECOND, begin + SECOND + UNIT - 1);
	lab_send(lab, "at once", &invite, banned);
	lab->now = end - 1;
	lab_send(lab, "a nanosecond before its end", &invite, banned);
	lab->now = end;
	lab_send(lab, "at its end", &invite, passes);
	assert_int_equal(count_bans(lab), 0);
	assert_int_equal(pardon(lab, SOURCE), -ENOENT);
	lab->now = end - 1;
	ban(lab, SOURCE_BESIDE); /* the gate is open for longer */
	lab->now = end;
	lab_send(lab, "at its end, others are banned", &invite, passes);
	send_from(lab, SOURCE_BESIDE, banned);
}

/* Also by the clock of a capture, which counts from 1970. */
static void test_a_ban_of_a_year(void **state)
{
	static const __u64 years[] = {0, 10, 56, 290, 580};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(years); i++) {
		lab_forget(lab);
		lab->now = years[i] * 365 * 86400 * SECOND + LAB_START;
		assert_int_equal(lab_ban(lab, SOURCE, BAN_LONGEST), 0);
		lab->now += BAN_LONGEST - 1;
		lab_send(lab, "before its end", &invite, banned);
		lab->now += UNIT;
		lab_send(lab, "after", &invite, passes);
	}
}

/* Added again it gets another end, earlier or later, and goes on otherwise. */
static void test_another_end(void **state)
{
	struct lab *lab = *state;
	__u64 begin = lab->now;

	ban(lab, SOURCE);
	lab_send(lab, "banned", &invite, banned);
	lab->now += SECOND;
	assert_int_equal(lab_ban(lab, SOURCE, 2 * SECOND), 0);
	assert_int_equal(only_ban(lab).ban.since, begin);
	assert_int_equal(only_ban(lab).ban.times, 1);
	assert_int_equal(only_ban(lab).ban.dropped, 1);
	lab->now += 2 * SECOND - 1;
	lab_send(lab, "before", &invite, banned);
	lab->now += UNIT;
	lab_send(lab, "after", &invite, passes);
	assert_int_equal(lab_ban(lab, SOURCE, SECOND), 0);
	assert_int_equal(only_ban(lab).ban.times, 2);
	assert_int_equal(only_ban(lab).ban.dropped, 0);
	assert_int_equal(pardon(lab, SOURCE), 0);
	lab_send(lab, "pardoned", &invite, passes);
	ban(lab, SOURCE);
	assert_int_equal(only_ban(lab).ban.times, 1);
}

/* A first fragment passed, then its source is banned; one was dropped, then the ban ends. */
static void test_a_datagram_across_a_ban(void **state)
{
	static const struct recipe first = {
		.more = true, .payload = INVITE_TEXT, .fill = 1472, .datagram = 3000};
	static const struct recipe next = {.offset = 1480, .fill = 48};
	static const struct expect follower = PASSES(WITHIN_LIMITS, FRAGMENT, NONE);
	static const struct expect dropped = DROPS(BANNED, FRAGMENT, NONE);
	struct lab *lab = *state;

	lab_send(lab, "first", &first, passes);
	lab_send(lab, "a follower", &next, follower);
	ban(lab, SOURCE);
	lab_send(lab, "a follower, banned", &next, dropped);
	lab_send(lab, "first, banned", &first, banned);
	pardon(lab, SOURCE);
	lab_send(lab, "it follows the first one", &next, dropped);
	lab->now += 6 * SECOND;
	lab_send(lab, "that is forgotten", &next, follower);
}

/* ---- places ---- */

static __u64 hash_of(struct lab *lab, const char *address)
{
	struct sipdam_prefix source = lab_source(lab, address);
	__u64 words[2];

	memcpy(words, source.address, sizeof(words));
	return sipdam_hash(&lab->bans.table.secret, words[0], words[1]);
}

/* The n-th address from 10.0.0.0 on whose ban has its place in the line of another's; number of the last. */
static __u32 line_mate(struct lab *lab, __u64 hash, __u32 after, char text[INET_ADDRSTRLEN])
{
	do {
		spoofed(text, ++after, true);
	} while ((hash_of(lab, text) ^ hash) & (SIPDAM_BAN_LINES - 1));
	return after;
}

static void test_others_in_the_line(void **state)
{
	struct lab *lab = *state;
	__u64 hash = hash_of(lab, SOURCE);
	char mate[SIPDAM_WAYS + 1][INET_ADDRSTRLEN];
	__u32 number = 0;

	for (int i = 0; i <= SIPDAM_WAYS; i++)
		number = line_mate(lab, hash, number, mate[i]);
	for (int i = 0; i < SIPDAM_WAYS; i++) {
		lab_send(lab, "not banned with those beside it", &invite, passes);
		assert_int_equal(lab_ban(lab, mate[i], (10 + i) * SECOND), 0);
		send_from(lab, mate[i], banned);
	}
	send_from(lab, mate[SIPDAM_WAYS], passes);
	/* No place is left, until the first of them ends. */
	assert_int_equal(lab_ban(lab, SOURCE, SECOND), -ENOSPC);
	lab_send(lab, "no room", &invite, passes);
	assert_int_equal(lab_ban(lab, mate[3], 60 * SECOND), 0);
	lab->now += 10 * SECOND + UNIT;
	send_from(lab, mate[0], passes);
	assert_int_equal(lab_ban(lab, SOURCE, SECOND), 0);
	lab_send(lab, "in the place of the one that ended", &invite, banned);
	assert_int_equal(lab_ban(lab, mate[SIPDAM_WAYS], SECOND), -ENOSPC);
	for (int i = 1; i < SIPDAM_WAYS; i++)
		send_from(lab, mate[i], banned);
	assert_int_equal(pardon(lab, mate[5]), 0);
	assert_int_equal(lab_ban(lab, mate[SIPDAM_WAYS], SECOND), 0);
	send_from(lab, mate[SIPDAM_WAYS], banned);
	send_from(lab, mate[5], passes);
}

/* A word of the same tag whose record is another source's, before and behind the source's own. */
static void test_a_tag_of_another_source(void **state)
{
	struct lab *lab = *state;
	__u64 hash = hash_of(lab, SOURCE), *words;
	struct sipdam_ban *records, another;

	ban(lab, SOURCE_BESIDE);
	another = only_ban(lab).ban;
	words = lab->bans.table.line[hash & (SIPDAM_BAN_LINES - 1)].word;
	records = &lab->bans.table.record.ban[(hash & (SIPDAM_BAN_LINES - 1)) * SIPDAM_WAYS];
	words[2] = words[6] = hash >> SIPDAM_BAN_END_BITS << SIPDAM_BAN_END_BITS |
			      (lab->now + 60 * SECOND) >> SIPDAM_BAN_UNIT_SHIFT;
	records[2] = records[6] = another;
	lab_send(lab, "not its ban", &invite, passes);
	ban(lab, SOURCE);
	lab_send(lab, "its own", &invite, banned);
	words[4] = words[0];
	records[4] = records[0];
	words[0] = 0;
	lab_send(lab, "between the two", &invite, banned);
	pardon(lab, SOURCE);
	lab_send(lab, "pardoned", &invite, passes);
}

static void test_sources_of_another_length(void **state)
{
	static const struct expect unbanned = AN_INVITE;
	struct lab *lab = *state;
	struct sipdam_policy policy;

	lab_policy(lab, "source_key: {ipv4: 32, ipv6: 48}");
	ban(lab, "192.0.2.0");
	ban(lab, SOURCE6);
	send_from(lab, "192.0.2.0", banned);
	send_from(lab, "2001:db8:1:ffff::1", banned);
	assert_int_equal(count_bans(lab), 2);
	/* 192.0.2.0/32 is not 192.0.2.0/24, and 2001:db8:1::/48 not its first /64. */
	lab_policy(lab, "source_key: {ipv4: 24, ipv6: 64}");
	send_from(lab, "192.0.2.0", unbanned);
	send_from(lab, "192.0.2.1", unbanned);
	send_from(lab, "2001:db8:1::1", unbanned);
	policy = lab->in_force;
	bans_end_others(&lab->bans, &policy, lab->now);
	assert_int_equal(count_bans(lab), 0);
	ban(lab, SOURCE);
	send_from(lab, "192.0.2.255", banned);
	send_from(lab, "192.0.3.0", unbanned);
	bans_end_others(&lab->bans, &policy, lab->now);
	assert_int_equal(count_bans(lab), 1);
}

/* ---- by drops ---- */

#define BAN(drops) "ban: {drops: " #drops ", within: 10s, for: 1m, max: 5m}\n"
#define NOTHING    "limits: {unknown: {invite: {rate: 0, burst: 1}}}\n"
#define MINUTE     (60 * SECOND)

static void test_the_last_drop_bans(void **state)
{
	static const struct recipe options = {.payload = "OPTIONS sip:a SIP/2.0\r\n"};
	struct lab *lab = *state;

	lab_policy(lab, BAN(5));
	lab_send_many(lab, "burst", 50, &invite, passes);
	lab_send_many(lab, "over it", 4, &invite, over_source);
	lab_send(lab, "not banned yet", &options, (struct expect)PASSES(WITHIN_LIMITS, OPTIONS, OPTIONS));
	assert_int_equal(count_bans(lab), 0);
	lab_send(lab, "the fifth drop is one by rate", &invite, over_source);
	assert_int_equal(count_bans(lab), 1);
	lab_send(lab, "banned", &invite, banned);
	lab_send(lab, "for whatever it sends", &options, (struct expect)DROPS(BANNED, OPTIONS, OPTIONS));
	send_from(lab, SOURCE_BESIDE, passes);
	assert_int_equal(only_ban(lab).ban.cause, SIPDAM_BAN_DROPS);
	assert_int_equal(only_ban(lab).ban.times, 1);
	assert_int_equal(only_ban(lab).ban.dropped, 2);
	assert_int_equal(only_ban(lab).ban.since, lab->now);
	check_lasting(lab, MINUTE);
	lab->now = only_ban(lab).end - 1;
	lab_send(lab, "to its end", &invite, banned);
	lab->now += 1;
	lab_send_many(lab, "after it", 50, &invite, passes);
	lab_send_many(lab, "and its drops are counted anew", 4, &invite, over_source);
	assert_int_equal(count_bans(lab), 0);
}

static void test_one_drop_bans(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, BAN(1) NOTHING);
	lab_send(lab, "the first", &invite, over_source);
	lab_send(lab, "banned", &invite, banned);
}

/* Two seconds each: five are forgiven after ten, one at a time. */
static void test_drops_are_forgiven(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, BAN(5) NOTHING);
	lab_send_many(lab, "four", 4, &invite, over_source);
	lab->now += 2 * SECOND - TICK;
	lab_send(lab, "a tick early", &invite, over_source);
	lab_send(lab, "so it is the fifth", &invite, banned);
	lab_forget(lab);
	lab->now = LAB_START;
	lab_send_many(lab, "four", 4, &invite, over_source);
	for (int i = 0; i < 100; i++) {
		lab->now += 2 * SECOND;
		lab_send(lab, "five in ten seconds, for ever", &invite, over_source);
	}
	assert_int_equal(count_bans(lab), 0);
	lab_send(lab, "and one more", &invite, over_source);
	lab_send(lab, "bans", &invite, banned);
}

static void test_a_steady_source_is_never_banned(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, "ban: {drops: 2, within: 10s}\n" NOTHING);
	for (int i = 0; i < 100; i++) {
		lab_send(lab, "one in five seconds", &invite, over_source);
		lab->now += 5 * SECOND;
	}
	lab->now -= TICK;
	lab_send(lab, "a tick too fast", &invite, over_source);
	lab_send(lab, "bans", &invite, banned);
}

/* A minute, two, four, and then five at most; what is long past is the first again. */
static void test_bans_double(void **state)
{
	static const int minutes[] = {1, 2, 4, 5, 5};
	struct lab *lab = *state;

	lab_policy(lab, BAN(1) NOTHING);
	for (size_t i = 0; i < COUNT(minutes); i++) {
		lab_send(lab, "bans", &invite, over_source);
		assert_int_equal(only_ban(lab).ban.times, i + 1);
		check_lasting(lab, minutes[i] * MINUTE);
		lab->now = only_ban(lab).end;
		if (i % 2)
			lab->now += 5 * MINUTE - 1; /* ban.max: still remembered */
	}
	lab->now += 5 * MINUTE;
	lab_send(lab, "forgotten", &invite, over_source);
	assert_int_equal(only_ban(lab).ban.times, 1);
	check_lasting(lab, MINUTE);
}

static void test_a_ban_by_hand_counts_for_the_next(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, BAN(1) NOTHING);
	assert_int_equal(lab_ban(lab, SOURCE, SECOND), 0);
	lab->now += SECOND + UNIT;
	lab_send(lab, "bans", &invite, over_source);
	assert_int_equal(only_ban(lab).ban.times, 2);
	check_lasting(lab, 2 * MINUTE);
}

/* Drops that are the source's own fault count, others do not. */
static void test_which_drops_count(void **state)
{
#define OFF(what) "limits: {" what ": {rate: 0, burst: 1}}\n"
	static const struct {
		const char *name;
		struct recipe packet;
		const char *policy;
		struct expect expect;
		bool bans;
	} rows[] = {
		{"source_rate", {.payload = INVITE_TEXT}, NOTHING, DROPS(SOURCE_RATE, INVITE, INVITE), true},
		{"malformed", {.payload = INVITE_TEXT, .change = UDP_LENGTH(7)}, "", REFUSED, true},
		{"fragment",
		 {.offset = 1480, .fill = 60},
		 "limits: {unknown: {fragment: {rate: 0, burst: 1}}}\n",
		 DROPS(FRAGMENT, FRAGMENT, NONE),
		 true},
		{"segment",
		 {.protocol = TCP, .fill = 60},
		 "limits: {unknown: {tcp_data: {rate: 0, burst: 1}}}\n",
		 DROPS(SOURCE_RATE, TCP_DATA, NONE),
		 true},
		{"network_rate",
		 {.payload = INVITE_TEXT},
		 OFF("network"),
		 DROPS(NETWORK_RATE, INVITE, INVITE)},
		{"pool_rate",
		 {.payload = INVITE_TEXT},
		 NOT_VERIFIED "limits: {pool: {invite: {rate: 0, burst: 1}}}\n",
		 DROPS(POOL_RATE, INVITE, INVITE)},
		{"unverified",
		 {.payload = INVITE_TEXT},
		 "limits: {pool: {invite: {rate: 0, burst: 1}}}\n",
		 DROPS(UNVERIFIED, INVITE, INVITE)},
		{"denied", {.payload = INVITE_TEXT}, "deny: [" SOURCE "]\n", DROPS(DENIED, INVITE, INVITE)},
		{"malformed and denied",
		 {.payload = INVITE_TEXT, .change = UDP_LENGTH(7)},
		 "deny: [" SOURCE "]\n",
		 REFUSED},
		{"malformed and allowed",
		 {.payload = INVITE_TEXT, .change = UDP_LENGTH(7)},
		 "allow: [" SOURCE "]\n",
		 REFUSED},
		{"allowed, over its limit",
		 {.payload = INVITE_TEXT},
		 "allow: [" SOURCE "]\nlimits: {allowed: {invite: {rate: 0, burst: 1}}}\n",
		 DROPS(SOURCE_RATE, INVITE, INVITE)},
		{"from IPv4's place in IPv6",
		 {.family = 6, .source = "::ffff:192.0.2.1", .payload = INVITE_TEXT},
		 "source_key: {ipv6: 128}\n",
		 REFUSED},
		{"IPv6", {.family = 6, .payload = INVITE_TEXT, .change = UDP_LENGTH(7)}, "", REFUSED, true},
	};
	struct lab *lab = *state;
	char policy[512];

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct row row = {rows[i].name, rows[i].packet, .expect = rows[i].expect};

		snprintf(policy, sizeof(policy), BAN(2) "%s", rows[i].policy);
		lab_forget(lab);
		lab_policy(lab, policy);
		lab_run(lab, &row);
		assert_int_equal(count_bans(lab), 0);
		lab_run(lab, &row);
		if (count_bans(lab) != rows[i].bans)
			fail_msg("%s: %zu are banned", rows[i].name, count_bans(lab));
	}
	assert_int_equal(lab->failures, 0);
}

/* Of one source together, whatever the reason, and whatever the class. */
static void test_drops_of_all_kinds_add_up(void **state)
{
	static const struct recipe lie = {.payload = INVITE_TEXT, .change = UDP_LENGTH(7)};
	static const struct recipe orphan = {.offset = 1480, .fill = 60};
	struct lab *lab = *state;

	lab_policy(lab,
		   BAN(4) "limits: {unknown: {invite: {rate: 0, burst: 1}, fragment: {rate: 0, burst: 1}}}");
	lab_send(lab, "rate", &invite, over_source);
	lab_send(lab, "lie", &lie, (struct expect)REFUSED);
	lab_send(lab, "orphan", &orphan, (struct expect)DROPS(FRAGMENT, FRAGMENT, NONE));
	send_from(lab, SOURCE_BESIDE, over_source);
	assert_int_equal(count_bans(lab), 0);
	lab_send(lab, "lie", &lie, (struct expect)REFUSED);
	lab_send(lab, "banned", &invite, banned);
}

static void test_no_drop_bans_where_it_is_off(void **state)
{
	static const char *const policies[] = {NOTHING, "ban: {drops: 0}\n" NOTHING,
					       "ban: {enabled: false, drops: 1}\n" NOTHING};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(policies); i++) {
		lab_policy(lab, policies[i]);
		lab_send_many(lab, "dropped", 100, &invite, over_source);
		assert_int_equal(count_bans(lab), 0);
		for (int table = 0; table < LAB_TABLES; table++)
			for (size_t word = 0; word < lab->table[table].bytes / 8; word++)
				assert_int_equal(((__u64 *)lab->table[table].memory)[word], 0);
	}
}

/* Monitor mode shows what would be, bans included. */
static void test_drops_in_monitor_mode(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, "mode: monitor\n" BAN(2) NOTHING);
	lab_send_many(lab, "two", 2, &invite, (struct expect)WOULD_DROP(SOURCE_RATE, INVITE, INVITE));
	lab_send(lab, "would be banned", &invite, (struct expect)WOULD_DROP(BANNED, INVITE, INVITE));
	lab_policy(lab, BAN(2) NOTHING);
	lab_send(lab, "is banned", &invite, banned);
}

/* Where there is no room the source is limited, as without bans, and each ban that was due is counted. */
static void test_a_full_table(void **state)
{
	struct lab *lab = *state;
	__u64 end = (lab->now + MINUTE) >> SIPDAM_BAN_UNIT_SHIFT;

	lab_policy(lab, BAN(3) NOTHING);
	ban(lab, SOURCE_BESIDE);
	for (size_t line = 0; line < SIPDAM_BAN_LINES; line++)
		for (int way = 0; way < SIPDAM_WAYS; way++)
			if (!lab->bans.table.line[line].word[way])
				lab->bans.table.line[line].word[way] =
					(__u64)way << SIPDAM_BAN_END_BITS | (end + way);
	for (int i = 0; i < 10; i++)
		assert_int_equal(lab_try(lab, &invite), SIPDAM_REASON_SOURCE_RATE);
	assert_int_equal(lab_settle(lab, SIPDAM_TABLE_BAN_REFUSED), 3);
	assert_int_equal(lab_ban(lab, SOURCE, SECOND), -ENOSPC);
	send_from(lab, SOURCE_BESIDE, banned);
	lab->now = end << SIPDAM_BAN_UNIT_SHIFT;
	for (int i = 0; i < 3; i++)
		assert_int_equal(lab_try(lab, &invite), SIPDAM_REASON_SOURCE_RATE);
	assert_int_equal(lab_settle(lab, SIPDAM_TABLE_BAN_REFUSED), 0);
	lab_send(lab, "in the place of one that has ended", &invite, banned);
}

/* ---- strikes and the words of classes ---- */

#define SLOW ": {rate: 0.01, burst: 2}"
#define SLOW_CLASSES                                                                                         \
	"limits: {unknown: {invite" SLOW ", register" SLOW ", options" SLOW ", dialog" SLOW ", other" SLOW   \
	", response" SLOW ", keepalive" SLOW ", malformed" SLOW "}, network: unlimited}\n"

static const struct recipe of_class[] = {
	{.payload = INVITE_TEXT},
	{.payload = "REGISTER sip:a SIP/2.0\r\n"},
	{.payload = "OPTIONS sip:a SIP/2.0\r\n"},
	{.payload = ACK_TEXT},
	{.payload = "MESSAGE sip:a SIP/2.0\r\n"},
	{.payload = "SIP/2.0 200 OK\r\n"},
	{.payload = "\r\n"},
	{.payload = "garbage"},
};

/* Eight classes fill their line with debts of 200 s: none is a strike. */
static void test_a_strike_is_no_debt(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, "ban: {drops: 10, within: 1000s}\n" SLOW_CLASSES);
	for (size_t class = 0; class < COUNT(of_class); class ++)
		for (int i = 0; i < 2; i++)
			assert_int_equal(lab_try(lab, &of_class[class]), SIPDAM_REASON_WITHIN_LIMITS);
	for (int i = 0; i < 9; i++)
		assert_int_equal(lab_try(lab, &of_class[i % COUNT(of_class)]), SIPDAM_REASON_SOURCE_RATE);
	assert_int_equal(count_bans(lab), 0);
	assert_int_equal(lab_try(lab, &of_class[3]), SIPDAM_REASON_SOURCE_RATE);
	assert_int_equal(count_bans(lab), 1);
	lab_settle(lab, SIPDAM_TABLE_SOURCE_DISPLACED);
}

/* Nor is a debt shed by strikes, or strikes by classes: all eight stay empty until each is due. */
static void test_no_debt_is_shed_by_strikes(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, "ban: {drops: 1000, within: 10000s}\n" SLOW_CLASSES);
	for (size_t class = 0; class < COUNT(of_class); class ++)
		for (int i = 0; i < 2; i++)
			assert_int_equal(lab_try(lab, &of_class[class]), SIPDAM_REASON_WITHIN_LIMITS);
	for (int i = 0; i < 999; i++)
		assert_int_equal(lab_try(lab, &of_class[i * 3 % COUNT(of_class)]), SIPDAM_REASON_SOURCE_RATE);
	assert_int_equal(count_bans(lab), 0);
	assert_int_equal(lab_try(lab, &of_class[0]), SIPDAM_REASON_SOURCE_RATE);
	assert_int_equal(count_bans(lab), 1);
	lab_settle(lab, SIPDAM_TABLE_SOURCE_DISPLACED);
}

/* A class that comes new finds a full bucket, whatever strikes there are. */
static void test_strikes_are_no_debt(void **state)
{
	struct lab *lab = *state;

	/* Strikes: 10,000 s each. Classes: of 200 s at most. */
	lab_policy(lab, "ban: {drops: 8, within: 80000s}\n" SLOW_CLASSES);
	for (size_t class = 0; class < 7; class ++)
		for (int i = 0; i < 3; i++)
			assert_int_equal(lab_try(lab, &of_class[class]),
					 i < 2 ? SIPDAM_REASON_WITHIN_LIMITS : SIPDAM_REASON_SOURCE_RATE);
	for (int i = 0; i < 2; i++)
		assert_int_equal(lab_try(lab, &of_class[7]), SIPDAM_REASON_WITHIN_LIMITS);
	assert_int_equal(count_bans(lab), 0);
	assert_int_equal(lab_try(lab, &of_class[7]), SIPDAM_REASON_SOURCE_RATE);
	assert_int_equal(count_bans(lab), 1);
	assert_int_equal(lab_settle(lab, SIPDAM_TABLE_SOURCE_DISPLACED), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		lab_test(test_every_packet_of_the_source),
		lab_test(test_what_stands_before_and_above_a_ban),
		lab_test(test_a_banned_packet_takes_nothing),
		lab_test(test_to_the_end_of_a_ban),
		lab_test(test_a_ban_of_a_year),
		lab_test(test_another_end),
		lab_test(test_a_datagram_across_a_ban),
		lab_test(test_others_in_the_line),
		lab_test(test_a_tag_of_another_source),
		lab_test(test_sources_of_another_length),
		lab_test(test_the_last_drop_bans),
		lab_test(test_one_drop_bans),
		lab_test(test_drops_are_forgiven),
		lab_test(test_a_steady_source_is_never_banned),
		lab_test(test_bans_double),
		lab_test(test_a_ban_by_hand_counts_for_the_next),
		lab_test(test_which_drops_count),
		lab_test(test_drops_of_all_kinds_add_up),
		lab_test(test_no_drop_bans_where_it_is_off),
		lab_test(test_drops_in_monitor_mode),
		lab_test(test_a_full_table),
		lab_test(test_a_strike_is_no_debt),
		lab_test(test_no_debt_is_shed_by_strikes),
		lab_test(test_strikes_are_no_debt),
	};

	return cmocka_run_group_tests(tests, lab_open, lab_close);
}
