// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Verification: while a pool is exhausted strangers send a request twice. Which packets must, what a copy is
 * and when it counts, what it costs, how long it lasts, and who shares half of the pool. Times to the
 * nanosecond.
 */
#include "prog/rates.h"

#define TCP  6
#define UNIT (1ULL << 23) /* times of copies are whole units */
/* The last nanosecond of the units that are within a time. */
#define IN_UNITS(time) ((time) / UNIT * UNIT)

#define CANCEL_TEXT "CANCEL sip:alice@example.org SIP/2.0\r\n\r\n"
#define BYE_TEXT    "BYE sip:alice@example.org SIP/2.0\r\n\r\n"
#define PRACK_TEXT  "PRACK sip:alice@example.org SIP/2.0\r\n\r\n"
#define ANSWER_TEXT "SIP/2.0 200 OK\r\n\r\n"

/* Sources and networks refuse nothing here; the pool has room for 20. */
#define CROWD(pool) "limits: {unknown: {invite: unlimited}, network: unlimited, pool: {invite: " pool "}}\n"
#define TWENTY      CROWD(TEN_A_SECOND)
#define A_MINUTE    "verify: {hold: 1m}\n"

static const struct expect first_copy = DROPS(UNVERIFIED, INVITE, INVITE);

/* Empties the pool of INVITEs, from sources that are seen once, and begins verification; a unit begins. */
static void exhaust(struct lab *lab, int burst)
{
	char text[INET_ADDRSTRLEN];

	lab->now = (lab->now / UNIT + 1) * UNIT;
	for (int n = 0; n < burst; n++)
		send_from(lab, spoofed(text, n, false), passes);
	send_from(lab, spoofed(text, burst, false), first_copy);
}

/* An INVITE from the n-th port of the source. */
static struct recipe invite_of(int n)
{
	return (struct recipe){.payload = INVITE_TEXT, .change = SOURCE_PORT(1024 + n)};
}

static void send_as(struct lab *lab, const char *name, int n, struct expect expect)
{
	struct recipe recipe = invite_of(n);

	lab_send(lab, name, &recipe, expect);
}

/* Another request from there. */
static void send_next(struct lab *lab, const char *name, int n, struct expect expect)
{
	struct recipe recipe = invite_of(n);

	recipe.payload = "INVITE sip:bob@example.org SIP/2.0\r\n\r\n";
	lab_send(lab, name, &recipe, expect);
}

static void send_as_many(struct lab *lab, const char *name, int from, int to, struct expect expect)
{
	for (int n = from; n < to; n++)
		send_as(lab, name, n, expect);
}

/* ---- copies ---- */

static void test_the_packet_that_finds_the_pool_empty_is_a_first_copy(void **state)
{
	struct lab *lab = *state;
	__u64 begin;

	lab_policy(lab, TWENTY);
	exhaust(lab, 20);
	begin = lab->now;
	send_as(lab, "refused", 1, first_copy);
	lab->now = begin + SECOND / 2;
	send_as(lab, "sent again", 1, passes);
	send_from(lab, "11.0.20.0", passes); /* the one that exhausted it */
}

static void test_when_a_copy_counts(void **state)
{
	static const struct {
		__u64 after;
		bool counts;
	} rows[] = {
		{0, false},
		{IN_UNITS(200 * MILLISECOND) - 1, false},
		{IN_UNITS(200 * MILLISECOND), true},
		{200 * MILLISECOND, true},
		{500 * MILLISECOND, true},
		{1500 * MILLISECOND, true},
		{31500 * MILLISECOND, true},
		{32 * SECOND, true},
		{IN_UNITS(32 * SECOND) + UNIT - 1, true},
		{IN_UNITS(32 * SECOND) + UNIT, false},
		{33 * SECOND, false},
		{40 * SECOND, false},
		{59 * SECOND, false},
	};
	struct lab *lab = *state;
	__u64 begin;

	lab_policy(lab, TWENTY A_MINUTE);
	for (size_t i = 0; i < COUNT(rows); i++) {
		lab_forget(lab);
		exhaust(lab, 20);
		begin = lab->now;
		send_as(lab, "first", 1, first_copy);
		lab->now = begin + rows[i].after;
		send_as(lab, "copy", 1, rows[i].counts ? passes : first_copy);
	}
}

/* An early copy changes nothing, a late one is a first copy of its own. */
static void test_early_and_late_copies(void **state)
{
	struct lab *lab = *state;
	__u64 begin;

	lab_policy(lab, TWENTY A_MINUTE);
	exhaust(lab, 20);
	begin = lab->now;
	for (int tenth = 0; tenth < 2; tenth++) {
		lab->now = begin + (__u64)tenth * TENTH;
		send_as(lab, "early", 1, first_copy);
	}
	lab->now = begin + IN_UNITS(200 * MILLISECOND);
	send_as(lab, "the first one's time counts", 1, passes);
	send_as(lab, "another", 2, first_copy);
	lab->now += 33 * SECOND;
	send_as(lab, "late", 2, first_copy);
	lab->now += SECOND / 2;
	send_as(lab, "again", 2, passes);
}

/* The timers' schedule, at a pool that others have emptied each time but the last. */
static void test_the_timers_of_the_protocol(void **state)
{
	static const __u64 at[] = {500, 1500, 3500, 7500};
	struct lab *lab = *state;
	__u64 begin;

	lab_policy(lab, CROWD("{rate: 0, burst: 1}") A_MINUTE);
	lab->now = (lab->now / UNIT + 1) * UNIT;
	begin = lab->now;
	send_as(lab, "first", 1, first_copy);
	for (size_t i = 0; i < COUNT(at); i++) {
		lab->now = begin + at[i] * MILLISECOND;
		send_as(lab, "sent again, to no avail", 1, over_pool);
	}
	lab_policy(lab, TWENTY A_MINUTE);
	lab->now = begin + 15500 * MILLISECOND;
	send_as(lab, "sent again", 1, passes);
	send_as(lab, "and verified", 1, passes);
}

static void test_what_a_copy_has_in_common(void **state)
{
#define LONG_INVITE .payload = INVITE_TEXT, .fill = 400
	static const struct {
		const char *name;
		struct recipe copy;
		bool counts;
	} rows[] = {
		{"the same", {LONG_INVITE}, true},
		{"in a VLAN", {LONG_INVITE, .tags = 1}, true},
		{"with IP options", {LONG_INVITE, .options = 2}, true},
		{"with a padding", {LONG_INVITE, .padding = 6}, true},
		{"another checksum", {LONG_INVITE, .change = {LAYER_TRANSPORT, 6, 2, false, 0x1234}}, true},
		{"another identification", {LONG_INVITE, .change = {LAYER_IP, 4, 2, false, 7}}, true},
		{"another byte 0", {LONG_INVITE, .change = PAYLOAD_BYTE(0, 'J')}, false},
		{"another byte 63", {LONG_INVITE, .change = PAYLOAD_BYTE(63, 'y')}, false},
		{"another byte 64", {LONG_INVITE, .change = PAYLOAD_BYTE(64, 'y')}, false},
		{"another byte 255", {LONG_INVITE, .change = PAYLOAD_BYTE(255, 'y')}, false},
		{"another byte 256", {LONG_INVITE, .change = PAYLOAD_BYTE(256, 'y')}, true},
		{"a byte more", {.payload = INVITE_TEXT, .fill = 401}, false},
		{"a byte less", {.payload = INVITE_TEXT, .fill = 399}, false},
		{"another source", {LONG_INVITE, .source = "192.0.2.2"}, false},
		{"another destination", {LONG_INVITE, .destination = "198.51.100.2"}, false},
		{"another source port", {LONG_INVITE, .change = SOURCE_PORT(40001)}, false},
		{"another port of ours", {LONG_INVITE, .port = 5062}, false},
	};
	static const struct recipe original = {LONG_INVITE};
	static const struct expect no_invite = DROPS(UNVERIFIED, OTHER, OTHER);
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		bool renamed = rows[i].copy.change.layer == LAYER_PAYLOAD && !rows[i].copy.change.offset;

		lab_policy(lab, "ports: {udp: [5060, 5062]}\n"
				"limits: {pool: {invite: " TEN_A_SECOND ", other: {rate: 0, burst: 1}}}\n");
		lab_forget(lab);
		exhaust(lab, 20);
		lab_send(lab, "first", &original, first_copy);
		lab->now += SECOND / 2;
		lab_send(lab, rows[i].name, &rows[i].copy,
			 rows[i].counts ? passes
			 : renamed      ? no_invite
					: first_copy);
	}
}

/* ---- what it costs ---- */

/* First copies cost the source, and nothing of what others share. */
static void test_who_pays_for_first_copies(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, TWENTY A_MINUTE);
	exhaust(lab, 20);
	send_as_many(lab, "first", 0, 100, first_copy);
	lab->now += SECOND / 2;
	send_as_many(lab, "first copies", 100, 200, first_copy);
	send_as_many(lab, "half a second's", 0, 5, passes);
	send_as(lab, "and no more", 5, over_pool);

	lab_policy(lab, A_MINUTE
		   "limits: {network: {rate: 1, burst: 5}, pool: {invite: {rate: 1000, burst: 10}}}");
	lab_forget(lab);
	exhaust(lab, 10);
	send_as_many(lab, "first copies", 0, 20, first_copy);
	lab->now += SECOND / 2;
	send_as_many(lab, "the network's", 0, 5, passes);
	send_as(lab, "and no more", 5, over_network);

	lab_policy(lab, A_MINUTE "limits: {unknown: {invite: {rate: 1, burst: 5}}, network: unlimited, "
				 "pool: {invite: " TEN_A_SECOND "}}");
	lab_forget(lab);
	exhaust(lab, 20);
	send_as_many(lab, "the source's", 0, 5, first_copy);
	send_as(lab, "and no more", 5, over_source);
}

/* While it is on, it does not matter that the pool has tokens. */
static void test_the_pool_refills(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, TWENTY);
	exhaust(lab, 20);
	lab->now += 5 * SECOND;
	send_as_many(lab, "a full pool", 0, 50, first_copy);
	lab->now += SECOND / 2;
	send_as_many(lab, "sent again", 0, 20, passes);
	send_as(lab, "and no more", 20, over_pool);
}

/* ---- how long ---- */

static void test_the_hold(void **state)
{
	struct lab *lab = *state;
	__u64 begin;

	lab_policy(lab, TWENTY);
	exhaust(lab, 20);
	begin = lab->now;
	lab->now = begin + 10 * SECOND - 1;
	send_as(lab, "the last nanosecond", 1, first_copy);
	lab->now = begin + 10 * SECOND;
	send_as(lab, "over", 2, passes);
	send_as(lab, "over", 3, passes);
}

/* It lasts from the last refusal, and first copies are none of the pool's. */
static void test_a_refusal_prolongs_it(void **state)
{
	struct lab *lab = *state;
	__u64 begin;

	lab_policy(lab, TWENTY);
	exhaust(lab, 20);
	send_as_many(lab, "first", 0, 30, first_copy);
	lab->now += 4 * SECOND;
	begin = lab->now;
	send_as_many(lab, "sent again", 0, 20, passes);
	send_as(lab, "refused", 20, over_pool);
	lab->now = begin + 10 * SECOND - 1;
	send_as(lab, "the last nanosecond", 100, first_copy);
	lab->now = begin + 10 * SECOND;
	send_as(lab, "over", 101, passes);
}

/* What is set takes effect at once. */
static void test_the_hold_is_changed(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, TWENTY);
	exhaust(lab, 20);
	lab->now += 5 * SECOND;
	lab_policy(lab, TWENTY "verify: {hold: 5s}\n");
	send_as(lab, "shorter", 1, passes);
	lab_policy(lab, TWENTY "verify: {hold: 5001ms}\n");
	send_as(lab, "longer", 2, first_copy);
	lab_policy(lab, TWENTY NOT_VERIFIED);
	send_as(lab, "off", 3, passes);
	lab_policy(lab, CROWD("unlimited"));
	send_as(lab, "no pool", 4, passes);
	lab_policy(lab, TWENTY);
	send_as(lab, "on", 5, first_copy);
}

static void test_disabled(void **state)
{
	struct lab *lab = *state;
	char text[INET_ADDRSTRLEN];

	lab_policy(lab, TWENTY NOT_VERIFIED);
	for (int n = 0; n < 20; n++)
		send_from(lab, spoofed(text, n, false), passes);
	send_as(lab, "refused", 1, over_pool);
	lab->now += SECOND / 2;
	send_as_many(lab, "half a second's", 2, 7, passes);
	send_as(lab, "sent again, to no avail", 1, over_pool);
}

/* ---- who was verified ---- */

/* The next step of a digest exchange is not delayed again, from the same port, for 32 s. */
static void test_the_next_request_is_free(void **state)
{
	static const struct recipe next = {.payload = "INVITE sip:bob@example.org SIP/2.0\r\n\r\n",
					   .change = SOURCE_PORT(1024)};
	static const struct recipe later = {.payload = "INVITE sip:carol@example.org SIP/2.0\r\n\r\n",
					    .change = SOURCE_PORT(1024)};
	static const struct recipe registers = {.payload = "REGISTER sip:example.org SIP/2.0\r\n\r\n",
						.change = SOURCE_PORT(1024)};
	struct lab *lab = *state;
	__u64 verified;

	lab_policy(lab, TWENTY A_MINUTE);
	exhaust(lab, 20);
	send_as(lab, "first", 0, first_copy);
	lab->now += IN_UNITS(500 * MILLISECOND);
	verified = lab->now;
	lab_send(lab, "not yet", &next, first_copy);
	send_as(lab, "sent again", 0, passes);
	lab_send(lab, "with credentials", &next, passes);
	send_as(lab, "another port", 1, first_copy);
	lab->now = verified + IN_UNITS(32 * SECOND) + UNIT - 1;
	lab_send(lab, "the last nanosecond", &later, passes);
	lab->now++;
	lab_send(lab, "over", &later, first_copy);
	lab_send(lab, "another class", &registers, (struct expect)PASSES(WITHIN_LIMITS, REGISTER, REGISTER));
}

/* Who is refused by the pool has sent again, and is not verified by it. */
static void test_only_who_is_let_in_is_verified(void **state)
{
	static const struct recipe next = {.payload = "INVITE sip:bob@example.org SIP/2.0\r\n\r\n",
					   .change = SOURCE_PORT(1024)};
	struct lab *lab = *state;

	lab_policy(lab, CROWD("{rate: 1, burst: 1}") A_MINUTE);
	exhaust(lab, 1);
	send_as(lab, "first", 0, first_copy);
	lab->now += SECOND / 2;
	send_as(lab, "sent again", 0, over_pool);
	lab_send(lab, "another request", &next, first_copy);
	lab->now += SECOND;
	send_as(lab, "sent again, let in", 0, passes);
	lab_send(lab, "another request: the pool is empty", &next, over_pool);
}

/* Twenty that were verified within the last minute have half of twenty tokens, and then five a second. */
static void test_the_verified_share_half(void **state)
{
	struct lab *lab = *state;
	__u64 verified;

	lab_policy(lab, TWENTY A_MINUTE);
	exhaust(lab, 20);
	send_as_many(lab, "first", 0, 60, first_copy);
	lab->now += 4 * SECOND;
	send_as_many(lab, "sent again: all of the pool", 0, 20, passes);
	verified = lab->now;
	lab->now += 4 * SECOND;
	send_as_many(lab, "half of it", 0, 10, passes);
	send_as_many(lab, "and no more", 10, 20, over_pool);
	send_as_many(lab, "the other half is for others", 20, 30, passes);
	send_as(lab, "and no more", 31, over_pool);
	lab->now += 200 * MILLISECOND - TICK;
	send_as(lab, "five a second", 10, over_pool);
	lab->now += TICK;
	send_as(lab, "five a second", 10, passes);
	send_as(lab, "and no more", 11, over_pool);
	send_as(lab, "for others", 31, passes);
	send_as(lab, "and no more", 32, over_pool);

	/* Past the 32 s they have to send again; the share is theirs for a minute. */
	lab->now = verified + 40 * SECOND;
	for (int n = 0; n < 20; n++)
		send_next(lab, "first", n, first_copy);
	lab->now += SECOND;
	for (int n = 0; n < 10; n++)
		send_next(lab, "half of it", n, passes);
	send_next(lab, "and no more", 10, over_pool);
}

/* Whom nobody has seen for a minute is as good as new. */
static void test_the_share_ends_after_a_minute(void **state)
{
	static const __u64 later[] = {IN_UNITS(60 * SECOND), IN_UNITS(60 * SECOND) + UNIT};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(later); i++) {
		lab_policy(lab, CROWD("{rate: 10, burst: 2}") "verify: {hold: 10m}\n");
		lab_forget(lab);
		exhaust(lab, 2);
		send_as(lab, "first", 0, first_copy);
		send_as(lab, "first", 1, first_copy);
		lab->now += IN_UNITS(SECOND);
		send_as(lab, "sent again", 0, passes);
		send_as(lab, "sent again", 1, passes);
		lab->now += later[i] - IN_UNITS(SECOND);
		send_next(lab, "first", 0, first_copy);
		send_next(lab, "first", 1, first_copy);
		lab->now += IN_UNITS(SECOND);
		send_next(lab, "one has half of two", 0, passes);
		send_next(lab, "the other", 1, i ? passes : over_pool);
	}
}

/* A pool of one packet has half of it as often by half. */
static void test_half_of_one(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, CROWD("{rate: 1, burst: 1}") A_MINUTE);
	exhaust(lab, 1);
	send_as(lab, "first", 0, first_copy);
	lab->now += SECOND;
	send_as(lab, "sent again", 0, passes);
	lab->now += SECOND;
	send_as(lab, "verified", 0, passes);
	lab->now += SECOND;
	send_as(lab, "verified, half as often", 0, over_pool);
	lab->now += SECOND;
	send_as(lab, "verified", 0, passes);
}

/* ---- who is asked ---- */

static void test_the_allowed_are_not_asked(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, "allow: [" SOURCE "]\n" TWENTY);
	exhaust(lab, 20);
	send_as_many(lab, "allowed", 0, 100, allowed);
	send_from(lab, "192.0.2.2", first_copy);
}

/* Whom the server knows has no part in it, but for what peers do as strangers. */
static void test_the_known_are_not_asked(void **state)
{
	static const struct recipe trusted = {.source = "192.0.2.2", .payload = INVITE_TEXT};
	static const struct recipe peer = {.source = "192.0.2.3", .payload = INVITE_TEXT};
	static const struct recipe bye = {.source = "192.0.2.3", .payload = BYE_TEXT};
	static const struct recipe bye_of_strangers = {.source = "192.0.2.4", .payload = BYE_TEXT};
	struct lab *lab = *state;

	lab_policy(lab, "limits: {unknown: {invite: unlimited, dialog: unlimited}, network: unlimited, "
			"pool: {invite: " TEN_A_SECOND ", dialog: {rate: 0, burst: 1}}}\n");
	assert_int_equal(lab_know(lab, "192.0.2.2", true, 0, 60 * SECOND), 0);
	assert_int_equal(lab_know(lab, "192.0.2.3", false, 0, 60 * SECOND), 0);
	exhaust(lab, 20);
	lab_send(lab, "a stranger's BYE", &bye_of_strangers, (struct expect)DROPS(UNVERIFIED, DIALOG, BYE));
	lab_send_many(lab, "trusted", 3, &trusted, (struct expect)PASSES(TRUSTED, INVITE, INVITE));
	lab_send_many(lab, "a peer's call", 3, &bye, (struct expect)PASSES(PEER, DIALOG, BYE));
	lab_send(lab, "a peer's new call", &peer, first_copy);
	lab->now += SECOND / 2;
	lab_send(lab, "sent again", &peer, passes);
}

/* Each class of its own: exhausted, its requests over UDP are asked and nothing else. */
static void test_what_is_sent_again(void **state)
{
#define OVER_POOL(class, method)  DROPS(POOL_RATE, class, method)
#define FIRST_COPY(class, method) DROPS(UNVERIFIED, class, method)
	static const struct row rows[] = {
		{"INVITE", {.payload = INVITE_TEXT}, .expect = FIRST_COPY(INVITE, INVITE)},
		{"REGISTER",
		 {.payload = "REGISTER sip:a SIP/2.0\r\n"},
		 .expect = FIRST_COPY(REGISTER, REGISTER)},
		{"OPTIONS", {.payload = "OPTIONS sip:a SIP/2.0\r\n"}, .expect = FIRST_COPY(OPTIONS, OPTIONS)},
		{"SUBSCRIBE",
		 {.payload = "SUBSCRIBE sip:a SIP/2.0\r\n"},
		 .expect = FIRST_COPY(OTHER, SUBSCRIBE)},
		{"an extension", {.payload = "FOO sip:a SIP/2.0\r\n"}, .expect = FIRST_COPY(OTHER, OTHER)},
		{"BYE", {.payload = BYE_TEXT}, .expect = FIRST_COPY(DIALOG, BYE)},
		{"PRACK", {.payload = PRACK_TEXT}, .expect = FIRST_COPY(DIALOG, PRACK)},
		{"behind CRLF", {.payload = "\r\n" INVITE_TEXT}, .expect = FIRST_COPY(INVITE, INVITE)},
		{"IPv6", {.family = 6, .payload = INVITE_TEXT}, .expect = FIRST_COPY(INVITE, INVITE)},
		{"ACK", {.payload = ACK_TEXT}, .expect = OVER_POOL(DIALOG, ACK)},
		{"CANCEL", {.payload = CANCEL_TEXT}, .expect = OVER_POOL(DIALOG, CANCEL)},
		{"answer",
		 {.payload = ANSWER_TEXT},
		 .expect = {SIPDAM_VERDICT_DROP, SIPDAM_REASON_POOL_RATE, SIPDAM_CLASS_RESPONSE,
			    SIPDAM_METHOD_RESPONSE, 200}},
		{"keepalive", {.payload = "\r\n\r\n"}, .expect = OVER_POOL(KEEPALIVE, NONE)},
		{"garbage", {.fill = 60}, .expect = OVER_POOL(MALFORMED, NONE)},
		{"an orphan", {.offset = 1480, .fill = 60}, .expect = OVER_POOL(FRAGMENT, NONE)},
		{"a cut first fragment",
		 {.more = true, .payload = "INV", .datagram = 3000},
		 .expect = OVER_POOL(FRAGMENT, NONE)},
		{"INVITE over TCP",
		 {.protocol = TCP, .payload = INVITE_TEXT},
		 .expect = OVER_POOL(INVITE, INVITE)},
		{"BYE over TCP", {.protocol = TCP, .payload = BYE_TEXT}, .expect = OVER_POOL(DIALOG, BYE)},
		{"SYN", {.protocol = TCP, .flags = FLAG_SYN}, .expect = OVER_POOL(TCP_SYN, NONE)},
		{"segment", {.protocol = TCP, .fill = 700}, .expect = OVER_POOL(TCP_DATA, NONE)},
	};
#define CLOSED "{rate: 0, burst: 1}"
	static const char policy[] =
		A_MINUTE "limits: {pool: {invite: " CLOSED ", register: " CLOSED ", options: " CLOSED
			 ", dialog: " CLOSED ", other: " CLOSED ", response: " CLOSED ", keepalive: " CLOSED
			 ", malformed: " CLOSED ", fragment: " CLOSED ", tcp_syn: " CLOSED
			 ", tcp_data: " CLOSED "}}\n";
	struct lab *lab = *state;

	lab_policy(lab, policy);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct expect over = rows[i].expect;

		over.reason = SIPDAM_REASON_POOL_RATE;
		lab_forget(lab);
		lab_send(lab, rows[i].name, &rows[i].packet, rows[i].expect);
		lab_send(lab, rows[i].name, &rows[i].packet, rows[i].expect);
		lab->now += SECOND / 2;
		lab_send(lab, rows[i].name, &rows[i].packet, over);
	}
}

/* What is never sent again neither begins it where no request is of its class, nor is held up where one is.
 */
static void test_what_begins_it(void **state)
{
	static const struct recipe over_tcp = {.protocol = TCP, .payload = INVITE_TEXT};
	static const struct recipe ack = {.payload = ACK_TEXT}, bye = {.payload = BYE_TEXT};
	static const struct expect ack_passes = PASSES(WITHIN_LIMITS, DIALOG, ACK);
	struct lab *lab = *state;
	char text[INET_ADDRSTRLEN];

	lab_policy(lab, "limits: {pool: {invite: " TEN_A_SECOND ", dialog: {rate: 1, burst: 1}}}");
	for (int n = 0; n < 20; n++)
		send_from(lab, spoofed(text, n, false), passes);
	lab_send(lab, "over TCP", &over_tcp, over_pool);
	lab->now += 2 * SECOND;
	send_as(lab, "begun", 0, first_copy);
	lab_send(lab, "over TCP", &over_tcp, passes);
	lab_send(lab, "ACK", &ack, ack_passes);
	lab_send(lab, "ACK", &ack, (struct expect)DROPS(POOL_RATE, DIALOG, ACK));
	lab->now += 2 * SECOND;
	lab_send(lab, "BYE", &bye, (struct expect)DROPS(UNVERIFIED, DIALOG, BYE));
	lab_send(lab, "ACK", &ack, ack_passes);
	lab_send(lab, "a class of its own", &(struct recipe){.payload = "OPTIONS sip:a SIP/2.0\r\n"},
		 (struct expect)PASSES(WITHIN_LIMITS, OPTIONS, OPTIONS));
}

/* The datagram's fragments go the way of the first, both times. */
static void test_fragments(void **state)
{
	static const struct recipe first = {
		.more = true, .payload = INVITE_TEXT, .fill = 1472, .datagram = 3000};
	static const struct recipe again = {
		.identification = 7, .more = true, .payload = INVITE_TEXT, .fill = 1472, .datagram = 3000};
	static const struct recipe follower = {.offset = 1480, .fill = 1480};
	static const struct recipe follower_again = {.identification = 7, .offset = 1480, .fill = 1480};
	struct lab *lab = *state;

	lab_policy(lab, TWENTY);
	exhaust(lab, 20);
	lab_send(lab, "first copy", &first, first_copy);
	lab_send(lab, "its follower", &follower, (struct expect)DROPS(UNVERIFIED, FRAGMENT, NONE));
	lab->now += SECOND / 2;
	lab_send(lab, "sent again", &again, passes);
	lab_send(lab, "its follower", &follower_again, (struct expect)PASSES(WITHIN_LIMITS, FRAGMENT, NONE));
}

static void test_ipv6(void **state)
{
	/* Of addresses that differ in what their ports do as well. */
	static const struct recipe one = {.family = 6, .source = "2001:db8:1::1", .payload = INVITE_TEXT};
	static const struct recipe other = {.family = 6, .source = "2002:db8:1::1", .payload = INVITE_TEXT};
	struct lab *lab = *state;

	lab_policy(lab, TWENTY);
	exhaust(lab, 20);
	lab_send(lab, "first", &one, first_copy);
	lab->now += SECOND / 2;
	lab_send(lab, "another source", &other, first_copy);
	lab_send(lab, "sent again", &one, passes);
	lab_send(lab, "verified", &one, passes);
}

/* Monitor mode shows what would be. */
static void test_monitor_mode(void **state)
{
	static const struct expect would = WOULD_DROP(UNVERIFIED, INVITE, INVITE);
	struct lab *lab = *state;

	lab_policy(lab, TWENTY);
	exhaust(lab, 20);
	lab_policy(lab, TWENTY "mode: monitor\n");
	send_as(lab, "first", 1, would);
	lab->now += SECOND / 2;
	send_as(lab, "sent again", 1, passes);
}

/* A capture that lacks a request's end tells copies by what it has. */
static void test_a_capture_cut_short(void **state)
{
	static const struct recipe whole = {.payload = INVITE_TEXT, .fill = 400};
	struct lab *lab = *state;
	struct row row = {"cut", whole, .wire_length = 14 + 20 + 8 + 400,
			  .expect = DROPS(UNVERIFIED, INVITE, INVITE)};

	row.packet.keep = 14 + 20 + 8 + 60;
	lab_policy(lab, TWENTY);
	exhaust(lab, 20);
	lab_run(lab, &row);
	lab->now += SECOND / 2;
	row.expect = passes;
	lab_run(lab, &row);
	assert_int_equal(lab->failures, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		lab_test(test_the_packet_that_finds_the_pool_empty_is_a_first_copy),
		lab_test(test_when_a_copy_counts),
		lab_test(test_early_and_late_copies),
		lab_test(test_the_timers_of_the_protocol),
		lab_test(test_what_a_copy_has_in_common),
		lab_test(test_who_pays_for_first_copies),
		lab_test(test_the_pool_refills),
		lab_test(test_the_hold),
		lab_test(test_a_refusal_prolongs_it),
		lab_test(test_the_hold_is_changed),
		lab_test(test_disabled),
		lab_test(test_the_next_request_is_free),
		lab_test(test_only_who_is_let_in_is_verified),
		lab_test(test_the_verified_share_half),
		lab_test(test_the_share_ends_after_a_minute),
		lab_test(test_half_of_one),
		lab_test(test_the_allowed_are_not_asked),
		lab_test(test_the_known_are_not_asked),
		lab_test(test_what_is_sent_again),
		lab_test(test_what_begins_it),
		lab_test(test_fragments),
		lab_test(test_ipv6),
		lab_test(test_monitor_mode),
		lab_test(test_a_capture_cut_short),
	};

	return cmocka_run_group_tests(tests, lab_open, lab_close);
}
