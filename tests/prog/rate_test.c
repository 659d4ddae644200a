/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Rates, to the packet and to the tick of 64 ns: the clock stands still until a test moves it. What is
 * charged to whom, and what a change of policy does to a debt.
 */
#include "prog/rates.h"

#define TCP 6

static const struct expect segment = PASSES(WITHIN_LIMITS, TCP_DATA, NONE);
static const struct expect segment_over = DROPS(SOURCE_RATE, TCP_DATA, NONE);

/* ---- one bucket ---- */

static void test_burst_then_rate(void **state)
{
	struct lab *lab = *state;

	lab_send_many(lab, "burst", 50, &invite, passes);
	check_refill(lab, &invite, TENTH, passes, over_source);
	lab->now += 50 * TENTH;
	lab_send_many(lab, "full again", 50, &invite, passes);
	lab_send(lab, "and no more", &invite, over_source);
	lab->now += 50 * TENTH - TICK;
	lab_send_many(lab, "one less", 49, &invite, passes);
	lab_send(lab, "a tick from full", &invite, over_source);
	lab->now += 3600 * SECOND;
	lab_send_many(lab, "never more than full", 50, &invite, passes);
	lab_send(lab, "after an hour", &invite, over_source);
}

static void test_fractions(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, "limits: {unknown: {invite: {rate: 0.1, burst: 2}}}");
	lab_send_many(lab, "burst", 2, &invite, passes);
	check_refill(lab, &invite, 10 * SECOND, passes, over_source);
	lab_forget(lab);
	lab_policy(lab, "limits: {unknown: {invite: {rate: 2.5, burst: 1}}}");
	lab_send(lab, "burst", &invite, passes);
	check_refill(lab, &invite, 400 * MILLISECOND, passes, over_source);
}

static void test_high_rates(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, "limits: {unknown: {invite: {rate: 5000, burst: 100}}, " NO_OTHER "}");
	lab_send_many(lab, "burst", 100, &invite, passes);
	check_refill(lab, &invite, SECOND / 5000, passes, over_source);
}

static void test_rate_0_admits_nothing(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, "limits: {unknown: {invite: {rate: 0, burst: 100}}}");
	lab_send(lab, "at once", &invite, over_source);
	lab->now += 24 * 3600 * SECOND;
	lab_send(lab, "a day later", &invite, over_source);
}

static bool is_zero(const struct table *table)
{
	const __u8 *bytes = table->memory;

	for (size_t i = 0; i < table->bytes; i++)
		if (bytes[i])
			return false;
	return true;
}

static void test_unlimited(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, "limits: {unknown: {invite: unlimited}, " NO_OTHER "}");
	lab_send_many(lab, "unlimited", 2000, &invite, passes);
	for (int i = 0; i < LAB_TABLES; i++)
		assert_true(is_zero(&lab->table[i]));
}

/* 192.0.2.1 owes 5 s when its limit shrinks to 2 s of debt: it owes 2 s from the first refusal on. */
static void test_a_limit_lowered_and_raised(void **state)
{
	struct lab *lab = *state;

	lab_send_many(lab, "burst", 50, &invite, passes);
	lab_policy(lab, "limits: {unknown: {invite: {rate: 1, burst: 2}}}");
	lab_send(lab, "lowered", &invite, over_source);
	lab->now += SECOND - TICK;
	lab_send(lab, "a tick early", &invite, over_source);
	lab->now += TICK;
	lab_send(lab, "an interval later", &invite, passes);
	lab_send(lab, "and no more", &invite, over_source);
	lab_policy(lab, "");
	lab_send_many(lab, "raised: three of five seconds are left", 30, &invite, passes);
	lab_send(lab, "and no more", &invite, over_source);
	lab_policy(lab, "limits: {unknown: {invite: {rate: 20, burst: 100}}}");
	check_refill(lab, &invite, 50 * MILLISECOND, passes, over_source);
}

static void test_monitor_mode_counts_and_passes(void **state)
{
	static const struct expect would_drop = WOULD_DROP(SOURCE_RATE, INVITE, INVITE);
	struct lab *lab = *state;

	lab_policy(lab, "mode: monitor");
	lab_send_many(lab, "burst", 50, &invite, passes);
	check_refill(lab, &invite, TENTH, passes, would_drop);
}

/* ---- which bucket ---- */

static void test_classes_of_one_source(void **state)
{
	static const struct recipe ack = {.payload = ACK_TEXT};
	static const struct recipe cancel = {.payload = "CANCEL sip:a SIP/2.0\r\n"};
	struct lab *lab = *state;

	lab_send_many(lab, "INVITE", 50, &invite, passes);
	lab_send_many(lab, "dialog", 100, &ack, (struct expect)PASSES(WITHIN_LIMITS, DIALOG, ACK));
	lab_send_many(lab, "the same class", 100, &cancel,
		      (struct expect)PASSES(WITHIN_LIMITS, DIALOG, CANCEL));
	lab_send(lab, "dialog is empty", &ack, (struct expect)DROPS(SOURCE_RATE, DIALOG, ACK));
	lab_send(lab, "dialog is empty", &cancel, (struct expect)DROPS(SOURCE_RATE, DIALOG, CANCEL));
	lab->now += 20 * MILLISECOND;
	lab_send(lab, "dialog has one", &ack, (struct expect)PASSES(WITHIN_LIMITS, DIALOG, ACK));
	lab_send(lab, "INVITE has none", &invite, over_source);
}

static void test_two_sources(void **state)
{
	struct lab *lab = *state;

	send_many_from(lab, 50, "192.0.2.1", passes);
	send_from(lab, "192.0.2.1", over_source);
	send_many_from(lab, 50, "192.0.2.2", passes);
	send_from(lab, "192.0.2.2", over_source);
	send_many_from(lab, 50, "2001:db8::1", passes);
	send_from(lab, "2001:db8::1", over_source);
}

static void test_source_keys(void **state)
{
	struct lab *lab = *state;

	/* By default one IPv4 address, and one IPv6 /64. */
	send_many_from(lab, 25, "2001:db8:1:1::1", passes);
	send_many_from(lab, 25, "2001:db8:1:1:ffff::2", passes);
	send_from(lab, "2001:db8:1:1::3", over_source);
	send_from(lab, "2001:db8:1:2::1", passes);
	lab_forget(lab);
	lab_policy(lab, "source_key: {ipv4: 24, ipv6: 56}");
	send_many_from(lab, 25, "192.0.2.0", passes);
	send_many_from(lab, 25, "192.0.2.255", passes);
	send_from(lab, "192.0.2.77", over_source);
	send_from(lab, "192.0.3.0", passes);
	send_many_from(lab, 25, "2001:db8:1:100::1", passes);
	send_many_from(lab, 25, "2001:db8:1:1ff::1", passes);
	send_from(lab, "2001:db8:1:142::1", over_source);
	send_from(lab, "2001:db8:1:200::1", passes);
}

static void test_network_rate(void **state)
{
	struct lab *lab = *state;
	char text[INET_ADDRSTRLEN];

	lab_policy(lab, "limits: {network: " TEN_A_SECOND "}");
	for (int host = 0; host < 20; host++)
		send_from(lab, spoofed(text, host, true), passes);
	send_from(lab, "10.0.0.255", over_network);
	send_from(lab, "10.0.1.0", passes);
	lab->now += TENTH - TICK;
	send_from(lab, "10.0.0.254", over_network);
	lab->now += TICK;
	send_from(lab, "10.0.0.253", passes);
	send_from(lab, "10.0.0.252", over_network);
	for (int host = 0; host < 20; host++)
		send_from(lab, host % 2 ? "2001:db8:1:1::1" : "2001:db8:1:ffff::1", passes);
	send_from(lab, "2001:db8:1:7777::1", over_network);
	send_from(lab, "2001:db8:2::1", passes);
}

static void test_network_key(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, "network_key: {ipv4: 16, ipv6: 32}\nlimits: {network: {rate: 1, burst: 2}}");
	send_from(lab, "10.0.0.1", passes);
	send_from(lab, "10.0.255.1", passes);
	send_from(lab, "10.0.77.1", over_network);
	send_from(lab, "10.1.0.1", passes);
	send_from(lab, "2001:db8::1", passes);
	send_from(lab, "2001:db8:ffff::1", passes);
	send_from(lab, "2001:db8:7777::1", over_network);
	send_from(lab, "2001:db9::1", passes);
}

/* What carries on costs a network nothing: after 60 of those its bucket is as full as before. */
static void test_what_the_network_is_not_charged_for(void **state)
{
	static const struct {
		struct recipe packet;
		struct expect expect;
	} rows[] = {
		{{.payload = ACK_TEXT}, PASSES(WITHIN_LIMITS, DIALOG, ACK)},
		{{.payload = "SIP/2.0 200 OK\r\n"}, ANSWERS(200)},
		{{.payload = "\r\n"}, PASSES(WITHIN_LIMITS, KEEPALIVE, NONE)},
		{{.protocol = TCP, .flags = FLAG_ACK}, PASSES(WITHIN_LIMITS, TCP_DATA, NONE)},
	};
	struct lab *lab = *state;

	lab_policy(lab, "limits: {network: " TEN_A_SECOND "}");
	for (size_t i = 0; i < COUNT(rows); i++)
		lab_send_many(lab, "carries on", 60, &rows[i].packet, rows[i].expect);
	lab_send_many(lab, "opens", 20, &invite, passes);
	lab_send(lab, "opens one more", &invite, over_network);
	for (size_t i = 0; i < COUNT(rows); i++)
		lab_send(lab, "still carries on", &rows[i].packet, rows[i].expect);
}

static void test_pool_rate(void **state)
{
	static const struct recipe options = {.payload = "OPTIONS sip:a SIP/2.0\r\n"};
	struct lab *lab = *state;
	char text[INET_ADDRSTRLEN];

	lab_policy(lab, NOT_VERIFIED "limits: {pool: {invite: " TEN_A_SECOND "}}");
	for (int n = 0; n < 20; n++)
		send_from(lab, spoofed(text, n, false), passes);
	for (int n = 20; n < 30; n++)
		send_from(lab, spoofed(text, n, false), over_pool);
	lab->now += TENTH - TICK;
	send_from(lab, spoofed(text, 30, false), over_pool);
	lab->now += TICK;
	send_from(lab, spoofed(text, 31, false), passes);
	send_from(lab, spoofed(text, 32, false), over_pool);
	send_from(lab, "2001:db8::1", over_pool);
	lab_send(lab, "another class", &options, (struct expect)PASSES(WITHIN_LIMITS, OPTIONS, OPTIONS));
}

static void test_a_pool_lowered_while_in_debt(void **state)
{
	struct lab *lab = *state;
	char text[INET_ADDRSTRLEN];

	lab_policy(lab, NOT_VERIFIED "limits: {pool: {invite: " TEN_A_SECOND "}}");
	for (int n = 0; n < 20; n++)
		send_from(lab, spoofed(text, n, false), passes);
	lab_policy(lab, NOT_VERIFIED "limits: {pool: {invite: {rate: 10, burst: 5}}}");
	send_from(lab, "192.0.2.1", over_pool);
	lab->now += TENTH - TICK;
	send_from(lab, "192.0.2.2", over_pool);
	lab->now += TICK;
	send_from(lab, "192.0.2.3", passes);
	send_from(lab, "192.0.2.4", over_pool);
}

/* Two a source, three a network, four in all. */
static void test_who_is_charged(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, NOT_VERIFIED "limits: {unknown: {invite: {rate: 1, burst: 2}}, network: {rate: 1, burst: 3}, "
			"pool: {invite: {rate: 1, burst: 4}}}");
	send_many_from(lab, 2, "192.0.2.1", passes);
	send_many_from(lab, 10, "192.0.2.1", over_source); /* takes nothing of the network */
	send_from(lab, "192.0.2.2", passes);               /* the network's third */
	send_from(lab, "192.0.2.2", over_network);         /* its own second is taken */
	send_from(lab, "192.0.2.2", over_source);
	send_many_from(lab, 2, "192.0.2.3", over_network); /* takes nothing of the pool */
	send_from(lab, "203.0.113.1", passes);             /* the pool's fourth */
	send_from(lab, "203.0.113.1", over_pool);          /* its own and its network's second are taken */
	send_from(lab, "203.0.113.1", over_source);
	send_from(lab, "203.0.113.2", over_pool); /* its network's third */
	send_from(lab, "203.0.113.2", over_network);
	send_from(lab, "203.0.113.2", over_source);
}

/* ---- the allow list ---- */

static void test_the_allowed_are_unlimited(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, "allow: [" SOURCE "]");
	lab_send_many(lab, "allowed", 2000, &invite, allowed);
	for (int i = 0; i < LAB_TABLES; i++)
		assert_true(is_zero(&lab->table[i]));
}

/* Limited, they take nothing of network and pool, which have room for none. */
static void test_the_allowed_with_a_limit(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, "allow: [" SOURCE "]\nlimits: {allowed: {invite: " TEN_A_SECOND "}, "
			"network: {rate: 0, burst: 1}, pool: {invite: {rate: 0, burst: 1}}}");
	lab_send_many(lab, "burst", 20, &invite, allowed);
	check_refill(lab, &invite, TENTH, allowed, over_source);
	send_from(lab, "192.0.2.2", over_network);
}

/* ---- TCP ---- */

static void test_segments_cost_by_size(void **state)
{
	static const struct {
		int bytes, tokens;
	} rows[] = {{0, 1},    {1, 1},    {511, 1},  {512, 1},  {513, 2},
		    {1024, 2}, {1025, 3}, {1460, 3}, {5120, 10}};
	struct lab *lab = *state;

	lab_policy(lab, "limits: {unknown: {tcp_data: {rate: 1, burst: 10}}}");
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct recipe data = {.protocol = TCP, .payload = "", .fill = rows[i].bytes};
		static const struct recipe one = {.protocol = TCP, .flags = FLAG_ACK};

		lab_forget(lab);
		lab_send(lab, "segment", &data, segment);
		lab_send_many(lab, "what it left", 10 - rows[i].tokens, &one, segment);
		lab_send(lab, "nothing left", &one, segment_over);
	}
}

/* Larger than the bucket: it takes all of a full one, and passes no bucket that is not full. */
static void test_a_segment_larger_than_the_bucket(void **state)
{
	static const struct recipe large = {.protocol = TCP, .fill = 8000};
	static const struct recipe one = {.protocol = TCP, .flags = FLAG_ACK};
	struct lab *lab = *state;

	lab_policy(lab, "limits: {unknown: {tcp_data: {rate: 1, burst: 4}}}");
	lab_send(lab, "large", &large, segment);
	lab_send(lab, "nothing left", &one, segment_over);
	lab->now += 4 * SECOND - TICK;
	lab_send(lab, "nearly full", &large, segment_over);
	lab->now += TICK;
	lab_send(lab, "full", &large, segment);
	lab_forget(lab);
	lab_send(lab, "one", &one, segment);
	lab_send(lab, "no longer full", &large, segment_over);
	lab_send_many(lab, "refused, it took nothing", 3, &one, segment);
}

/* The beginning of a message: one token of its class, and tcp_data beyond 512 bytes. */
static void test_messages_cost_by_size(void **state)
{
	static const struct {
		int bytes, tokens;
	} rows[] = {{0, 0}, {511, 0}, {512, 0}, {513, 1}, {1024, 1}, {1025, 2}, {2561, 5}};
	static const struct recipe one = {.protocol = TCP, .flags = FLAG_ACK};
	struct lab *lab = *state;

	lab_policy(lab, "limits: {unknown: {invite: {rate: 1, burst: 1}, tcp_data: {rate: 1, burst: 5}}}");
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct recipe message = {.protocol = TCP, .payload = INVITE_TEXT, .fill = rows[i].bytes};

		lab_forget(lab);
		lab_send(lab, "message", &message, passes);
		lab_send(lab, "its class is empty", &message, over_source);
		lab_send_many(lab, "what it left", 5 - rows[i].tokens, &one, segment);
		lab_send(lab, "nothing left", &one, segment_over);
	}
}

static void test_a_syn_with_data(void **state)
{
	static const struct recipe syn = {.protocol = TCP, .flags = FLAG_SYN, .fill = 600};
	static const struct recipe one = {.protocol = TCP, .flags = FLAG_ACK};
	struct lab *lab = *state;

	lab_policy(lab, "limits: {unknown: {tcp_syn: {rate: 1, burst: 1}, tcp_data: {rate: 1, burst: 3}}}");
	lab_send(lab, "SYN", &syn, (struct expect)PASSES(WITHIN_LIMITS, TCP_SYN, NONE));
	lab_send(lab, "SYN again", &syn, (struct expect)DROPS(SOURCE_RATE, TCP_SYN, NONE));
	lab_send(lab, "what it left", &one, segment);
	lab_send(lab, "nothing left", &one, segment_over);
}

/* Of its class and of tcp_data: refused by one it takes nothing of the other. */
static void test_both_or_none_of_a_source(void **state)
{
	static const struct recipe large = {.protocol = TCP, .payload = INVITE_TEXT, .fill = 1025};
	static const struct recipe small = {.protocol = TCP, .payload = INVITE_TEXT};
	static const struct recipe data = {.protocol = TCP, .fill = 1024};
	struct lab *lab = *state;

	lab_policy(lab, "limits: {unknown: {invite: {rate: 1, burst: 3}, tcp_data: {rate: 1, burst: 2}}}");
	lab_send(lab, "takes both", &large, passes);
	lab_send_many(lab, "no data tokens", 5, &large, over_source);
	lab_send_many(lab, "two INVITE tokens are left", 2, &small, passes);
	lab_send(lab, "none is left", &small, over_source);
	lab_forget(lab);
	lab_send_many(lab, "the class's tokens", 3, &small, passes);
	lab_send_many(lab, "no INVITE token", 5, &large, over_source);
	lab_send(lab, "two data tokens are left", &data, segment);
	lab_send(lab, "none is left", &data, segment_over);
}

static void test_both_or_none_of_a_pool(void **state)
{
	static const struct recipe large = {.protocol = TCP, .payload = INVITE_TEXT, .fill = 1025};
	static const struct recipe small = {.protocol = TCP, .payload = INVITE_TEXT};
	static const struct recipe data = {.protocol = TCP, .fill = 1024};
	static const struct expect data_over = DROPS(POOL_RATE, TCP_DATA, NONE);
	struct lab *lab = *state;

	lab_policy(lab, "limits: {pool: {invite: {rate: 1, burst: 3}, tcp_data: {rate: 1, burst: 2}}}");
	lab_send(lab, "takes both", &large, passes);
	lab_send_many(lab, "no data tokens", 5, &large, over_pool);
	lab_send_many(lab, "two INVITE tokens are left", 2, &small, passes);
	lab_send(lab, "none is left", &small, over_pool);
	lab_forget(lab);
	lab_send_many(lab, "the class's tokens", 3, &small, passes);
	lab_send_many(lab, "no INVITE token", 5, &large, over_pool);
	lab_send(lab, "two data tokens are left", &data, segment);
	lab_send(lab, "none is left", &data, data_over);
}

static void test_one_of_both_is_unlimited(void **state)
{
	static const struct recipe large = {.protocol = TCP, .payload = INVITE_TEXT, .fill = 1025};
	struct lab *lab = *state;

	lab_policy(lab,
		   "limits: {unknown: {invite: unlimited, tcp_data: {rate: 1, burst: 4}}, " NO_OTHER "}");
	lab_send_many(lab, "two of four", 2, &large, passes);
	lab_send(lab, "no data tokens", &large, over_source);
	lab_policy(lab,
		   "limits: {unknown: {invite: {rate: 1, burst: 4}, tcp_data: unlimited}, " NO_OTHER "}");
	lab_forget(lab);
	lab_send_many(lab, "one each", 4, &large, passes);
	lab_send(lab, "no INVITE tokens", &large, over_source);
	/* Of a source that has paid of both before. */
	lab_policy(lab, SOURCES_ALONE);
	lab_send(lab, "of both", &large, passes);
	lab->now += SECOND;
	lab_policy(lab,
		   "limits: {unknown: {invite: unlimited, tcp_data: {rate: 1, burst: 4}}, " NO_OTHER "}");
	lab_send_many(lab, "two of four again", 2, &large, passes);
	lab_send(lab, "no data tokens again", &large, over_source);
	lab_policy(lab, "limits: {unknown: {invite: unlimited, tcp_data: unlimited}, " NO_OTHER "}");
	lab_send_many(lab, "no limit", 3, &large, passes);
}

/* Two INVITEs of 1,025 bytes are paid for, then a limit that both are of shrinks: the debt is cut at a refusal. */
static void check_lowered(struct lab *lab, const char *before, const char *after, struct expect drops)
{
	static const struct recipe large = {.protocol = TCP, .payload = INVITE_TEXT, .fill = 1025};

	lab_forget(lab);
	lab_policy(lab, before);
	lab_send_many(lab, before, 10, &large, passes);
	lab_policy(lab, after);
	lab_send(lab, after, &large, drops);
	lab->now += 2 * SECOND - TICK;
	lab_send(lab, "a tick early", &large, drops);
	lab->now += TICK;
	lab_send(lab, "two seconds later", &large, passes);
	lab_send(lab, "and no more", &large, drops);
}

static void test_one_of_both_is_lowered(void **state)
{
	check_lowered(*state, "limits: {unknown: {invite: {rate: 1, burst: 20}}}",
		      "limits: {unknown: {invite: {rate: 0.5, burst: 1}}}", over_source);
	check_lowered(*state, "limits: {unknown: {tcp_data: {rate: 1, burst: 20}}}",
		      "limits: {unknown: {tcp_data: {rate: 1, burst: 2}}}", over_source);
	check_lowered(*state, NOT_VERIFIED "limits: {pool: {invite: {rate: 1, burst: 20}}}",
		      NOT_VERIFIED "limits: {pool: {invite: {rate: 0.5, burst: 1}}}", over_pool);
	check_lowered(*state, NOT_VERIFIED "limits: {pool: {tcp_data: {rate: 1, burst: 20}}}",
		      NOT_VERIFIED "limits: {pool: {tcp_data: {rate: 1, burst: 2}}}", over_pool);
}

/* Both at once, one word of the source's or both being there before. */
static void test_both_of_a_source_that_was_here(void **state)
{
	static const struct recipe large = {.protocol = TCP, .payload = INVITE_TEXT, .fill = 1025};
	static const struct recipe small = {.protocol = TCP, .payload = INVITE_TEXT};
	static const struct recipe data = {.protocol = TCP, .fill = 1024};
	struct lab *lab = *state;

	lab_policy(lab, "limits: {unknown: {invite: {rate: 1, burst: 4}, tcp_data: {rate: 1, burst: 8}}}");
	for (int known = 0; known < 4; known++) {
		int invites = known & 1, pieces = known >> 1;

		lab_forget(lab);
		if (invites)
			lab_send(lab, "of its class", &small, passes);
		if (pieces)
			lab_send(lab, "of tcp_data", &data, segment);
		lab_send_many(lab, "of both", 2, &large, passes);
		lab_send_many(lab, "its class again", 2 - invites, &small, passes);
		lab_send(lab, "none of its class", &large, over_source);
		lab_send_many(lab, "tcp_data again", 2 - pieces, &data, segment);
		lab_send(lab, "none of tcp_data", &data, segment_over);
	}
}

/* Messages of 24 bytes and more, as they follow each other in one segment. */
#define SHORT_INVITE  "INVITE sip:a SIP/2.0\r\n\r\n"
#define SHORT_ACK     "ACK sip:abcdefg SIP/2.0\r\n\r\n"
#define SHORT_ANSWER  "SIP/2.0 200 OK\r\n\r\n"
#define FIVE_AND_FIVE "limits: {unknown: {invite: {rate: 1, burst: 5}, dialog: {rate: 1, burst: 5}}}"

/* What is left of five INVITEs and five of class dialog tells what a segment cost. */
static void test_every_message_of_a_segment_costs(void **state)
{
	static const struct {
		const char *text;
		int invites, dialog;
	} rows[] = {
		{SHORT_INVITE, 1, 0},
		{SHORT_INVITE SHORT_INVITE, 2, 0},
		{SHORT_INVITE SHORT_INVITE SHORT_INVITE SHORT_INVITE SHORT_INVITE, 5, 0},
		{SHORT_INVITE SHORT_ACK, 1, 1},
		{SHORT_INVITE SHORT_ACK SHORT_INVITE SHORT_ACK SHORT_ACK, 2, 3},
		{SHORT_INVITE SHORT_ANSWER SHORT_ACK, 1, 1},
		{"\r\n\r\n" SHORT_INVITE SHORT_INVITE, 2, 0},
		{SHORT_INVITE "\r\n\r\n" SHORT_INVITE, 2, 0},
		{SHORT_INVITE "invite sip:a\r\n\r\n", 1, 0},  /* another method */
		{SHORT_INVITE " INVITE sip:a\r\n\r\n", 1, 0}, /* not at a line's beginning */
		{SHORT_INVITE "INVITE sip:abcd", 1, 0},               /* 15 bytes of a start-line */
		{SHORT_INVITE "INVITE sip:abcde", 2, 0},
		{SHORT_INVITE "INVITEsip:a\r\n\r\n", 1, 0},
	};
	static const struct recipe ack = {.payload = ACK_TEXT};
	struct lab *lab = *state;

	lab_policy(lab, FIVE_AND_FIVE);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct recipe several = {.protocol = TCP, .payload = rows[i].text};

		lab_forget(lab);
		lab_send(lab, rows[i].text, &several, rows[i].invites ? passes : segment);
		lab_send_many(lab, rows[i].text, 5 - rows[i].invites, &invite, passes);
		lab_send(lab, rows[i].text, &invite, over_source);
		lab_send_many(lab, rows[i].text, 5 - rows[i].dialog, &ack,
			      (struct expect)PASSES(WITHIN_LIMITS, DIALOG, ACK));
		lab_send(lab, rows[i].text, &ack, (struct expect)DROPS(SOURCE_RATE, DIALOG, ACK));
	}
}

/* Six of five would empty the bucket (as a segment larger than the bucket does); three and three do not pass.
 */
static void test_all_messages_of_a_segment_or_none(void **state)
{
	static const struct recipe three = {.protocol = TCP,
					    .payload = SHORT_INVITE SHORT_INVITE SHORT_INVITE};
	static const struct recipe mixed = {.protocol = TCP,
					    .payload = SHORT_ACK SHORT_INVITE SHORT_INVITE SHORT_INVITE};
	static const struct recipe ack = {.payload = ACK_TEXT};
	static const struct expect ack_passes = PASSES(WITHIN_LIMITS, DIALOG, ACK);
	static const struct expect ack_over = DROPS(SOURCE_RATE, DIALOG, ACK);
	struct lab *lab = *state;

	lab_policy(lab, FIVE_AND_FIVE);
	lab_send(lab, "three", &three, passes);
	lab_send(lab, "three more", &three, over_source);
	lab_send(lab, "an ACK and three more", &mixed, ack_over);
	lab_send_many(lab, "two are left", 2, &invite, passes);
	lab_send(lab, "none is left", &invite, over_source);
	lab_send_many(lab, "of class dialog all", 5, &ack, ack_passes);
	lab_send(lab, "none is left", &ack, ack_over);
}

static void test_messages_of_a_segment_in_network_and_pool(void **state)
{
	static const struct recipe three = {.protocol = TCP,
					    .payload = SHORT_INVITE SHORT_ACK SHORT_INVITE SHORT_INVITE};
	struct lab *lab = *state;

	lab_policy(lab, "limits: {network: {rate: 1, burst: 5}}");
	lab_send(lab, "three", &three, passes);
	lab_send(lab, "three more", &three, over_network);
	lab_send_many(lab, "two are left", 2, &invite, passes);
	lab_send(lab, "none is left", &invite, over_network);
	lab_policy(lab, NOT_VERIFIED "limits: {pool: {invite: {rate: 1, burst: 5}}}");
	lab_forget(lab);
	lab_send(lab, "three", &three, passes);
	lab_send(lab, "three more", &three, over_pool);
	lab_send_many(lab, "two are left", 2, &invite, passes);
	lab_send(lab, "none is left", &invite, over_pool);
}

/* What is unlimited hides nothing that is not. */
static void test_an_unlimited_first_message(void **state)
{
	static const struct recipe mixed = {.protocol = TCP,
					    .payload = SHORT_ACK SHORT_INVITE SHORT_INVITE SHORT_INVITE};
	static const struct expect ack_passes = PASSES(WITHIN_LIMITS, DIALOG, ACK);
	struct lab *lab = *state;

	lab_policy(lab, "limits: {unknown: {dialog: unlimited, invite: {rate: 1, burst: 5}}}");
	lab_send(lab, "an ACK and three", &mixed, ack_passes);
	lab_send_many(lab, "two are left", 2, &invite, passes);
	lab_send(lab, "none is left", &invite, over_source);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		lab_test(test_burst_then_rate),
		lab_test(test_fractions),
		lab_test(test_high_rates),
		lab_test(test_rate_0_admits_nothing),
		lab_test(test_unlimited),
		lab_test(test_a_limit_lowered_and_raised),
		lab_test(test_monitor_mode_counts_and_passes),
		lab_test(test_classes_of_one_source),
		lab_test(test_two_sources),
		lab_test(test_source_keys),
		lab_test(test_network_rate),
		lab_test(test_network_key),
		lab_test(test_what_the_network_is_not_charged_for),
		lab_test(test_pool_rate),
		lab_test(test_a_pool_lowered_while_in_debt),
		lab_test(test_who_is_charged),
		lab_test(test_the_allowed_are_unlimited),
		lab_test(test_the_allowed_with_a_limit),
		lab_test(test_segments_cost_by_size),
		lab_test(test_a_segment_larger_than_the_bucket),
		lab_test(test_messages_cost_by_size),
		lab_test(test_a_syn_with_data),
		lab_test(test_both_or_none_of_a_source),
		lab_test(test_both_or_none_of_a_pool),
		lab_test(test_one_of_both_is_unlimited),
		lab_test(test_one_of_both_is_lowered),
		lab_test(test_both_of_a_source_that_was_here),
		lab_test(test_every_message_of_a_segment_costs),
		lab_test(test_all_messages_of_a_segment_or_none),
		lab_test(test_messages_of_a_segment_in_network_and_pool),
		lab_test(test_an_unlimited_first_message),
	};

	return cmocka_run_group_tests(tests, lab_open, lab_close);
}
