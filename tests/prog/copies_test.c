// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Requests that come again by the timers of RFC 3261 cost their source nothing once half of its bucket is used:
 * which copies, of what, when to a unit, what they cost others, and that a flood of one packet gains nothing by it.
 */
#include "prog/rates.h"

#pragma GCC diagnostic ignored "-Wunknown-pragmas" /* of unrolling */
#include "../bpf/copies.h"

#define TCP  6
#define UNIT (1ULL << COPY_UNIT_SHIFT)

/* Whole units that lie within a time, as the program counts them. */
#define IN_UNITS(milliseconds) ((milliseconds)*MILLISECOND / UNIT * UNIT)

/* A token in 1,000 s: within a test none comes back. */
#define BUCKET(burst) "{rate: 0.001, burst: " burst "}"
#define TWO           "limits: {unknown: {invite: " BUCKET("2") ", register: " BUCKET("2") ", dialog: " BUCKET("2") \
		      ", options: " BUCKET("2") "}, " NO_OTHER "}\n"

#define REGISTER_TEXT "REGISTER sip:example.org SIP/2.0\r\n\r\n"
#define OPTIONS_TEXT  "OPTIONS sip:alice@example.org SIP/2.0\r\n\r\n"
#define CANCEL_TEXT   "CANCEL sip:alice@example.org SIP/2.0\r\n\r\n"
#define BYE_TEXT      "BYE sip:alice@example.org SIP/2.0\r\n\r\n"
#define OF_CLASS(verdict, reason, class, method) ((struct expect)verdict(reason, class, method))

/* A unit begins. */
static void begin(struct lab *lab, const char *policy)
{
	lab_policy(lab, policy);
	lab_forget(lab);
	lab->now = (lab->now / UNIT + 1) * UNIT;
}

/* The same method from the same port, in a transaction that was not there before. */
static void send_other(struct lab *lab, const char *name, const struct recipe *recipe, struct expect expect)
{
	static int others;
	struct recipe other = *recipe;

	other.fill = 200 + others++ % 1000;
	lab_send(lab, name, &other, expect);
}

/* The request, and another with which the bucket is empty. */
static void use_up(struct lab *lab, const char *policy, const struct recipe *recipe, struct expect passes)
{
	begin(lab, policy);
	lab_send(lab, "first", recipe, passes);
	send_other(lab, "the last token", recipe, passes);
}

/* ---- the timetable ---- */

/* Milliseconds from copy to copy. */
static const int timers_of_invite[] = {500, 1000, 2000, 4000, 8000, 16000};
static const int timers_of_others[] = {500, 1000, 2000, 4000, 4000, 4000, 4000, 4000, 4000, 4000};

static void keep_timers(struct lab *lab, const struct recipe *recipe, const int *timers, size_t count, size_t from,
			struct expect pass, struct expect drop)
{
	use_up(lab, TWO, recipe, pass);
	for (size_t i = from; i < count; i++) {
		lab->now += (__u64)timers[i] * MILLISECOND;
		lab_send(lab, "sent again", recipe, pass);
		send_other(lab, "and nothing else", recipe, drop);
	}
	lab->now += (__u64)timers[count - 1] * MILLISECOND;
	lab_send(lab, "once too often", recipe, drop);
}

static void test_the_timers_of_an_invite(void **state)
{
	for (size_t from = 0; from < 3; from++)
		keep_timers(*state, &invite, timers_of_invite, COUNT(timers_of_invite), from, passes, over_source);
}

static void test_the_timers_of_others(void **state)
{
	static const struct {
		struct recipe recipe;
		__u8 class, method;
	} rows[] = {
		{{.payload = REGISTER_TEXT}, SIPDAM_CLASS_REGISTER, SIPDAM_METHOD_REGISTER},
		{{.payload = OPTIONS_TEXT}, SIPDAM_CLASS_OPTIONS, SIPDAM_METHOD_OPTIONS},
		{{.payload = BYE_TEXT}, SIPDAM_CLASS_DIALOG, SIPDAM_METHOD_BYE},
		{{.payload = REGISTER_TEXT, .family = 6}, SIPDAM_CLASS_REGISTER, SIPDAM_METHOD_REGISTER},
		{{.payload = REGISTER_TEXT, .tags = 1}, SIPDAM_CLASS_REGISTER, SIPDAM_METHOD_REGISTER},
		{{.payload = "\r\n" REGISTER_TEXT}, SIPDAM_CLASS_REGISTER, SIPDAM_METHOD_REGISTER},
	};

	for (size_t i = 0; i < COUNT(rows); i++)
		for (size_t from = 0; from < 3; from++)
			keep_timers(*state, &rows[i].recipe, timers_of_others, COUNT(timers_of_others), from,
				    (struct expect){SIPDAM_VERDICT_PASS, SIPDAM_REASON_WITHIN_LIMITS,
						    rows[i].class, rows[i].method, 0},
				    (struct expect){SIPDAM_VERDICT_DROP, SIPDAM_REASON_SOURCE_RATE, rows[i].class,
						    rows[i].method, 0});
}

/* From a fifth early to three tenths late; the first that is seen may be that of half, one or two seconds. */
static void test_when_a_first_copy_is_free(void **state)
{
	static const struct {
		__u64 after;
		bool free;
	} rows[] = {
		{0, false},
		{IN_UNITS(400) - 1, false},
		{IN_UNITS(400), true},
		{500 * MILLISECOND, true},
		{IN_UNITS(650) + UNIT - 1, true},
		{IN_UNITS(650) + UNIT, false},
		{IN_UNITS(800) - 1, false},
		{IN_UNITS(800), true},
		{IN_UNITS(1300) + UNIT - 1, true},
		{IN_UNITS(1300) + UNIT, false},
		{IN_UNITS(1600) - 1, false},
		{IN_UNITS(1600), true},
		{IN_UNITS(2600) + UNIT - 1, true},
		{IN_UNITS(2600) + UNIT, false},
		{4 * SECOND, false},
		{8 * SECOND, false},
		{16 * SECOND, false},
		{32 * SECOND, false},
		{40 * SECOND, false},
	};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		use_up(lab, TWO, &invite, passes);
		lab->now += rows[i].after;
		lab_send(lab, "sent again", &invite, rows[i].free ? passes : over_source);
	}
}

/* The same of the last one, sixteen seconds behind the fifth. */
static void test_when_the_last_copy_is_free(void **state)
{
	static const struct {
		__u64 after;
		bool free;
	} rows[] = {
		{500 * MILLISECOND, false},
		{8 * SECOND, false},
		{IN_UNITS(12800) - 1, false},
		{IN_UNITS(12800), true},
		{IN_UNITS(20800) + UNIT - 1, true},
		{IN_UNITS(20800) + UNIT, false},
	};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		use_up(lab, TWO, &invite, passes);
		for (int timer = 0; timer < 5; timer++) {
			lab->now += IN_UNITS(timers_of_invite[timer]);
			lab_send(lab, "sent again", &invite, passes);
		}
		lab->now += rows[i].after;
		lab_send(lab, "the last", &invite, rows[i].free ? passes : over_source);
	}
}

/* A copy at the wrong time ends it, for as long as copies keep coming; 32 s of silence, and all begins anew. */
static void test_a_wrong_time_ends_it(void **state)
{
	struct lab *lab = *state;

	use_up(lab, TWO, &invite, passes);
	lab->now += 100 * MILLISECOND;
	lab_send(lab, "early", &invite, over_source);
	for (size_t i = 0; i < COUNT(timers_of_invite); i++) {
		lab->now += (__u64)timers_of_invite[i] * MILLISECOND;
		lab_send(lab, "in time", &invite, over_source);
	}
	lab_policy(lab, "limits: {unknown: {invite: " BUCKET("4") "}, " NO_OTHER "}");
	lab->now += IN_UNITS(32000);
	lab_send(lab, "the last unit: paid, and not remembered", &invite, passes);
	lab->now += 500 * MILLISECOND;
	lab_send(lab, "paid", &invite, passes);
	lab->now += IN_UNITS(32000) + UNIT;
	lab_send(lab, "anew", &invite, over_source);

	use_up(lab, TWO, &invite, passes);
	lab->now += 33 * SECOND;
	lab_policy(lab, "limits: {unknown: {invite: " BUCKET("3") "}, " NO_OTHER "}");
	lab_send(lab, "anew", &invite, passes);
	lab->now += 500 * MILLISECOND;
	lab_send(lab, "sent again", &invite, passes);
	send_other(lab, "and nothing else", &invite, over_source);
}

/* ---- what a copy is ---- */

static void test_what_a_copy_has_in_common(void **state)
{
	static const struct {
		const char *name;
		struct recipe copy;
		bool same;
	} rows[] = {
		{"the same", {.payload = INVITE_TEXT, .fill = 400}, true},
		{"another identification",
		 {.payload = INVITE_TEXT, .fill = 400, .change = {LAYER_IP, 4, 2, false, 7}},
		 true},
		{"another byte 255", {.payload = INVITE_TEXT, .fill = 400, .change = PAYLOAD_BYTE(255, 'y')}, false},
		{"another byte 60", {.payload = INVITE_TEXT, .fill = 400, .change = PAYLOAD_BYTE(60, 'y')}, false},
		{"another byte 256", {.payload = INVITE_TEXT, .fill = 400, .change = PAYLOAD_BYTE(256, 'y')}, false},
		{"another byte 300", {.payload = INVITE_TEXT, .fill = 400, .change = PAYLOAD_BYTE(300, 'y')}, false},
		{"another last byte", {.payload = INVITE_TEXT, .fill = 400, .change = PAYLOAD_BYTE(399, 'y')}, false},
		{"a byte more", {.payload = INVITE_TEXT, .fill = 401}, false},
		{"another source port", {.payload = INVITE_TEXT, .fill = 400, .change = SOURCE_PORT(40001)}, false},
		{"another port of ours", {.payload = INVITE_TEXT, .fill = 400, .port = 5062}, false},
		{"another destination", {.payload = INVITE_TEXT, .fill = 400, .destination = "198.51.100.2"}, false},
		{"over TCP", {.protocol = TCP, .payload = INVITE_TEXT, .fill = 400}, false},
	};
	static const struct recipe original = {.payload = INVITE_TEXT, .fill = 400};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		use_up(lab, "ports: {udp: [5060, 5062]}\n" TWO, &original, passes);
		lab->now += SECOND / 2;
		lab_send(lab, rows[i].name, &rows[i].copy, rows[i].same ? passes : over_source);
	}
}

/* Eleven times by the timetable, the first included: with one response to a challenge, or with another each time. */
static void keep_guessing(struct lab *lab, bool guesses, int costs)
{
	const struct expect pass = OF_CLASS(PASSES, WITHIN_LIMITS, REGISTER, REGISTER);
	struct recipe guess = {.payload = REGISTER_TEXT, .fill = 700};

	begin(lab, "limits: {unknown: {register: " BUCKET("24") "}, " NO_OTHER "}");
	for (int i = 0; i < 12; i++)
		send_other(lab, "half of the bucket", &guess, pass);
	for (size_t i = 0; i < 11; i++) {
		lab->now += i ? (__u64)timers_of_others[i - 1] * MILLISECOND : 0;
		if (guesses)
			guess.change = (struct change)PAYLOAD_BYTE(300, 'a' + i);
		lab_send(lab, guesses ? "a guess" : "a copy", &guess, pass);
	}
	for (int i = costs; i < 12; i++)
		send_other(lab, "what is left", &guess, pass);
	send_other(lab, "nothing is left", &guess, OF_CLASS(DROPS, SOURCE_RATE, REGISTER, REGISTER));
}

static void test_guesses_are_no_copies(void **state)
{
	keep_guessing(*state, true, 11);
	keep_guessing(*state, false, 1);
}

/* Beyond an Ethernet frame nothing is read. */
static void test_how_much_a_copy_has_in_common(void **state)
{
	static const struct recipe original = {.payload = INVITE_TEXT, .fill = 1700};
	struct lab *lab = *state;

	for (int byte = 1535; byte <= 1536; byte++) {
		struct recipe copy = original;

		copy.change = (struct change)PAYLOAD_BYTE(byte, 'y');
		use_up(lab, TWO, &original, passes);
		lab->now += SECOND / 2;
		lab_send(lab, "another byte", &copy, byte == 1536 ? passes : over_source);
	}
}

/* Requests over UDP that the protocol sends again, and nothing else. */
static void test_what_has_no_copies(void **state)
{
#define NEVER(class, method) DROPS(SOURCE_RATE, class, method)
	static const struct row rows[] = {
		{"ACK", {.payload = ACK_TEXT}, .expect = NEVER(DIALOG, ACK)},
		{"CANCEL", {.payload = CANCEL_TEXT}, .expect = NEVER(DIALOG, CANCEL)},
		{"over TCP", {.protocol = TCP, .payload = BYE_TEXT}, .expect = NEVER(DIALOG, BYE)},
		{"answer",
		 {.payload = "SIP/2.0 200 OK\r\n\r\n"},
		 .expect = {SIPDAM_VERDICT_DROP, SIPDAM_REASON_SOURCE_RATE, SIPDAM_CLASS_RESPONSE,
			    SIPDAM_METHOD_RESPONSE, 200}},
		{"keepalive", {.payload = "\r\n\r\n"}, .expect = NEVER(KEEPALIVE, NONE)},
		{"garbage", {.fill = 60}, .expect = NEVER(MALFORMED, NONE)},
	};
	static const char policy[] = "limits: {unknown: {dialog: " BUCKET("2") ", response: " BUCKET("2")
		", keepalive: " BUCKET("2") ", malformed: " BUCKET("2") "}}";
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct expect passes = rows[i].expect;

		passes.verdict = SIPDAM_VERDICT_PASS;
		passes.reason = SIPDAM_REASON_WITHIN_LIMITS;
		begin(lab, policy);
		lab_send(lab, rows[i].name, &rows[i].packet, passes);
		lab->now += SECOND / 2;
		lab_send(lab, rows[i].name, &rows[i].packet, passes);
		lab->now += SECOND;
		lab_send(lab, rows[i].name, &rows[i].packet, rows[i].expect);
	}
}

/* A datagram in fragments is known by its first, and its followers go its way. */
static void test_fragments(void **state)
{
	static const struct recipe first = {.more = true, .payload = INVITE_TEXT, .fill = 1472, .datagram = 3000};
	static const struct recipe again = {
		.identification = 7, .more = true, .payload = INVITE_TEXT, .fill = 1472, .datagram = 3000};
	static const struct recipe follower = {.identification = 7, .offset = 1480, .fill = 1480};
	struct lab *lab = *state;

	begin(lab, "limits: {unknown: {invite: " BUCKET("1") "}}");
	lab_send(lab, "first", &first, passes);
	lab->now += SECOND / 2;
	lab_send(lab, "sent again", &again, passes);
	lab_send(lab, "its follower", &follower, OF_CLASS(PASSES, WITHIN_LIMITS, FRAGMENT, NONE));
}

/* What was refused is not remembered. */
static void test_a_refused_request_has_no_copies(void **state)
{
	struct lab *lab = *state;

	use_up(lab, TWO, &(struct recipe){.payload = INVITE_TEXT, .fill = 100}, passes);
	lab_send(lab, "refused", &invite, over_source);
	lab->now += SECOND / 2;
	lab_send(lab, "sent again", &invite, over_source);
	lab_policy(lab, "limits: {unknown: {invite: " BUCKET("3") "}, " NO_OTHER "}");
	lab->now += SECOND;
	lab_send(lab, "admitted now", &invite, passes);
	lab->now += 2 * SECOND;
	lab_send(lab, "and its copies", &invite, passes);
	send_other(lab, "nothing else", &invite, over_source);
}

/* ---- what it costs ---- */

/* With the packet that uses half of a bucket it begins; before, each copy takes a token. */
static void test_from_half_on(void **state)
{
	static const char *const policies[] = {
		"limits: {unknown: {invite: " BUCKET("10") "}, " NO_OTHER "}",
		"limits: {unknown: {invite: " BUCKET("11") "}, " NO_OTHER "}",
	};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(policies); i++) {
		begin(lab, policies[i]);
		for (int n = 0; n < 4; n++)
			send_other(lab, "used", &invite, passes);
		lab_send(lab, "the fifth", &invite, passes);
		lab->now += SECOND / 2;
		lab_send(lab, "free of ten, of eleven the sixth", &invite, passes);
		lab->now += SECOND;
		lab_send(lab, "free", &invite, passes);
		for (int n = 0; n < 5; n++)
			send_other(lab, "what is left", &invite, passes);
		send_other(lab, "and no more", &invite, over_source);
		lab->now += 2 * SECOND;
		lab_send(lab, "free", &invite, passes);
	}
}

/* What others share is charged as ever. */
static void test_network_and_pool_are_charged(void **state)
{
	struct lab *lab = *state;

	begin(lab, NOT_VERIFIED "limits: {unknown: {invite: " BUCKET("1") "}, network: " BUCKET("2") ", pool: {invite: "
		   "unlimited}}");
	lab_send(lab, "first", &invite, passes);
	lab->now += SECOND / 2;
	lab_send(lab, "the network's last", &invite, passes);
	lab->now += SECOND;
	lab_send(lab, "over", &invite, over_network);

	begin(lab, NOT_VERIFIED "limits: {unknown: {invite: " BUCKET("1") "}, network: unlimited, pool: {invite: "
		   BUCKET("2") "}}");
	lab_send(lab, "first", &invite, passes);
	lab->now += SECOND / 2;
	lab_send(lab, "the pool's last", &invite, passes);
	lab->now += SECOND;
	lab_send(lab, "over", &invite, over_pool);
}

/* While strangers must send twice, a registration costs its source two tokens as it does else. */
static void test_a_registration_under_verification(void **state)
{
	static const struct recipe registers = {.payload = REGISTER_TEXT};
	static const struct recipe with_credentials = {.payload = REGISTER_TEXT, .fill = 120};
	static const struct recipe another = {.payload = REGISTER_TEXT, .fill = 121};
	static const struct expect passes = PASSES(WITHIN_LIMITS, REGISTER, REGISTER);
	static const struct expect first_copy = DROPS(UNVERIFIED, REGISTER, REGISTER);
	struct lab *lab = *state;

	begin(lab, "verify: {hold: 1m}\nlimits: {unknown: {register: " BUCKET("2") "}, network: unlimited, pool: "
		   "{register: {rate: 10, burst: 1}}}");
	lab_send(lab, "the pool's", &(struct recipe){.source = "192.0.2.2", .payload = REGISTER_TEXT}, passes);
	lab_send(lab, "exhausted", &(struct recipe){.source = "192.0.2.3", .payload = REGISTER_TEXT}, first_copy);
	lab_send(lab, "first", &registers, first_copy);
	lab->now += SECOND / 2;
	lab_send(lab, "sent again", &registers, passes);
	lab->now += SECOND / 2;
	lab_send(lab, "with credentials", &with_credentials, passes);
	lab_send(lab, "and no more", &another, OF_CLASS(DROPS, SOURCE_RATE, REGISTER, REGISTER));
}

/* ---- whose ---- */

static void test_trusted_sources_and_peers(void **state)
{
	static const char policy[] = "limits: {trusted: {invite: " BUCKET("2") "}, peer: {invite: " BUCKET("2") "}, "
				     NO_OTHER "}";
	static const struct expect trusted = PASSES(TRUSTED, INVITE, INVITE);
	struct lab *lab = *state;

	for (int known = 0; known < 2; known++) {
		begin(lab, policy);
		assert_int_equal(lab_know(lab, SOURCE, known, 0, 600 * SECOND), 0);
		lab_send(lab, "first", &invite, known ? trusted : passes);
		send_other(lab, "the last token", &invite, known ? trusted : passes);
		lab->now += SECOND / 2;
		lab_send(lab, "sent again", &invite, known ? trusted : passes);
		send_other(lab, "and nothing else", &invite, over_source);
	}
}

/* A site of two devices has a stranger's burst on top: three and two tokens, of which the third is half. */
static void test_a_site(void **state)
{
	static const struct expect trusted = PASSES(TRUSTED, INVITE, INVITE);
	struct lab *lab = *state;

	begin(lab, "limits: {trusted: {invite: {rate: 0.1, burst: 3}}, unknown: {invite: {rate: 0.1, burst: 2}}, "
		   NO_OTHER "}");
	assert_int_equal(lab_know(lab, SOURCE, true, 5070, 600 * SECOND), 0);
	assert_int_equal(lab_know(lab, SOURCE, true, 5071, 600 * SECOND), 0);
	send_other(lab, "one", &invite, trusted);
	lab_send(lab, "two", &invite, trusted);
	lab->now += SECOND / 2;
	lab_send(lab, "three, half", &invite, trusted);
	lab->now += SECOND;
	lab_send(lab, "sent again", &invite, trusted);
	send_other(lab, "four", &invite, trusted);
	send_other(lab, "five", &invite, trusted);
	lab->now += 2 * SECOND;
	lab_send(lab, "sent again", &invite, trusted);
	send_other(lab, "and nothing else", &invite, over_source);
}

static void test_allowed_sources_pay(void **state)
{
	struct lab *lab = *state;

	begin(lab, "allow: [" SOURCE "]\nlimits: {allowed: {invite: " BUCKET("1") "}}");
	lab_send(lab, "first", &invite, allowed);
	lab->now += SECOND / 2;
	lab_send(lab, "sent again", &invite, over_source);
}

/* ---- floods ---- */

/* Packets that pass in a minute at a pace, all the same or each another. */
static int pass_in_a_minute(struct lab *lab, const char *policy, const char *payload, __u64 pace, bool same)
{
	int passed = 0, n = 0;
	__u64 end;

	begin(lab, policy);
	end = lab->now + 60 * SECOND;
	for (; lab->now < end; lab->now += pace, n++) {
		struct recipe recipe = {.payload = payload, .fill = same ? 600 : 600 + n % 500,
					.change = SOURCE_PORT(same ? 2000 : 2000 + n)};

		passed += lab_try(lab, &recipe) == SIPDAM_REASON_WITHIN_LIMITS;
	}
	lab_settle(lab, 0);
	return passed;
}

/* One packet sent over and over gains one at most, at whatever rate. */
static void test_floods_of_one_packet(void **state)
{
	static const char *const texts[] = {INVITE_TEXT, REGISTER_TEXT};
	static const int milliseconds[] = {10, 100, 400, 500, 650, 1000, 1300, 2000, 4000, 8000};
	static const char *const limits[] = {"{rate: 10, burst: 20}", "{rate: 1, burst: 5}", "{rate: 0.2, burst: 4}",
					     "{rate: 0.1, burst: 1}"};
	struct lab *lab = *state;
	int gained = 0;

	for (size_t i = 0; i < COUNT(texts) * COUNT(milliseconds) * COUNT(limits); i++) {
		const char *text = texts[i % COUNT(texts)];
		const char *limit = limits[i / COUNT(texts) % COUNT(limits)];
		__u64 pace = (__u64)milliseconds[i / COUNT(texts) / COUNT(limits)] * MILLISECOND;
		char policy[256];
		int same, others;

		snprintf(policy, sizeof(policy), "limits: {unknown: {invite: %s, register: %s}, network: unlimited, "
			 "pool: {invite: unlimited, register: unlimited}}", limit, limit);
		others = pass_in_a_minute(lab, policy, text, pace, false);
		same = pass_in_a_minute(lab, policy, text, pace, true);
		if (same - others < 0 || same - others > 1)
			fail_msg("%s, %s, every %llu ms: %d passed of one packet, %d of others", text, limit,
				 pace / MILLISECOND, same, others);
		gained += same - others;
	}
	assert_in_range(gained, 1, 30);
}

/* ---- a full table ---- */

/* Who has to go for another may have come again, and is counted; one whose time is over is not. */
static void test_a_full_table(void **state)
{
	struct lab *lab = *state;
	struct table *copies = &lab->table[LAB_TABLES - 1];
	__u64 *words = copies->memory;

	for (int late = 0; late < 2; late++) {
		begin(lab, TWO);
		for (size_t i = 0; i < copies->bytes / sizeof(*words); i++)
			words[i] = copy_word(~0ULL, 0, lab->now >> COPY_UNIT_SHIFT);
		lab->now += IN_UNITS(32000) + late * UNIT;
		lab->expected.event[SIPDAM_TABLE_COPY_DISPLACED] += !late;
		lab_send(lab, "first", &invite, passes);
		lab->expected.event[SIPDAM_TABLE_COPY_DISPLACED] += !late;
		send_other(lab, "the last token", &invite, passes);
		lab->now += SECOND / 2;
		lab_send(lab, "sent again", &invite, passes);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		lab_test(test_the_timers_of_an_invite),
		lab_test(test_the_timers_of_others),
		lab_test(test_when_a_first_copy_is_free),
		lab_test(test_when_the_last_copy_is_free),
		lab_test(test_a_wrong_time_ends_it),
		lab_test(test_what_a_copy_has_in_common),
		lab_test(test_guesses_are_no_copies),
		lab_test(test_how_much_a_copy_has_in_common),
		lab_test(test_what_has_no_copies),
		lab_test(test_fragments),
		lab_test(test_a_refused_request_has_no_copies),
		lab_test(test_from_half_on),
		lab_test(test_network_and_pool_are_charged),
		lab_test(test_a_registration_under_verification),
		lab_test(test_trusted_sources_and_peers),
		lab_test(test_a_site),
		lab_test(test_allowed_sources_pay),
		lab_test(test_floods_of_one_packet),
		lab_test(test_a_full_table),
	};

	return cmocka_run_group_tests(tests, lab_open, lab_close);
}
