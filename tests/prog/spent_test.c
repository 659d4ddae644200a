/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A flood from many sources over their limits: what a bucket is known to refuse is refused from memory, which shows
 * where the bucket is refilled behind the program's back. It must end with the very tick in which the bucket would
 * admit again, or 67 ms later, and be true of nobody else.
 */
#include "prog/rates.h"

#define BURST       20
#define REFUSALS    9 /* in a row, after which a storm is expected: see is_stormy() */
#define ONLY        "network: unlimited, pool: {dialog: unlimited, invite: unlimited, tcp_syn: unlimited}"
#define FAST        "limits: {unknown: {dialog: {rate: 20, burst: 20}}, " ONLY "}"  /* 50 ms a token */
#define SLOW        "limits: {unknown: {dialog: {rate: 1, burst: 20}}, " ONLY "}"
#define A_SOURCE    "192.0.2.77"
#define BYE_TEXT    "BYE sip:alice@example.org SIP/2.0\r\n\r\n"
#define CANCEL_TEXT "CANCEL sip:alice@example.org SIP/2.0\r\n\r\n"
#define UNIT_SHIFT  20 /* SPENT_UNIT_SHIFT */

/* ACKs, which nobody sends again: of what may be a copy nothing is kept while it may be looked for. */
static const struct expect ack_passes = PASSES(WITHIN_LIMITS, DIALOG, ACK);
static const struct expect ack_over = DROPS(SOURCE_RATE, DIALOG, ACK);

static struct recipe ack_from(const char *source)
{
	return (struct recipe){.source = source, .family = strchr(source, ':') ? 6 : 4, .payload = ACK_TEXT};
}

static void send_acks(struct lab *lab, int count, const char *source, struct expect expect)
{
	struct recipe ack = ack_from(source);

	lab_send_many(lab, source, count, &ack, expect);
}

/* Every bucket is full again, and the program is not told. */
static void refill(struct lab *lab)
{
	memset(lab->table[0].memory, 0, lab->table[0].bytes);
}

/*
 * A source that has been refused so often, and has a full bucket in the tick that comes: what is kept of a tick
 * (loud.h) is over then.
 */
static void be_spent(struct lab *lab, const char *source, int refusals)
{
	send_acks(lab, BURST, source, ack_passes);
	send_acks(lab, refusals, source, ack_over);
	refill(lab);
	lab->now += TICK;
}

/* The beginning of the unit that lies so many behind the one of LAB_START. */
static __u64 unit_behind(__u64 units)
{
	return ((LAB_START >> UNIT_SHIFT) + units) << UNIT_SHIFT;
}

static void test_until_its_bucket_admits(void **state)
{
	struct lab *lab = *state;
	const __u64 admits = (LAB_START + 50 * MILLISECOND) >> UNIT_SHIFT << UNIT_SHIFT;

	lab_policy(lab, FAST);
	be_spent(lab, A_SOURCE, REFUSALS);
	send_acks(lab, 100, A_SOURCE, ack_over);
	lab->now = admits - 1;
	send_acks(lab, 1, A_SOURCE, ack_over);
	lab->now = admits;
	send_acks(lab, BURST, A_SOURCE, ack_passes);
	send_acks(lab, 1, A_SOURCE, ack_over);
}

/* With buckets as they are: one packet an interval, to the tick. */
static void test_nothing_is_lost_by_it(void **state)
{
	struct recipe ack = ack_from(A_SOURCE);
	struct lab *lab = *state;

	lab_policy(lab, FAST);
	send_acks(lab, BURST, A_SOURCE, ack_passes);
	send_acks(lab, REFUSALS, A_SOURCE, ack_over);
	check_refill(lab, &ack, 50 * MILLISECOND / TICK * TICK, ack_passes, ack_over);
	lab->now += 500 * MILLISECOND;
	send_acks(lab, 10, A_SOURCE, ack_passes);
	send_acks(lab, 1, A_SOURCE, ack_over);
}

static void test_for_67_ms_at_most(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, SLOW);
	be_spent(lab, A_SOURCE, REFUSALS);
	lab->now = unit_behind(64) - 1;
	send_acks(lab, 1, A_SOURCE, ack_over);
	lab->now = unit_behind(64);
	send_acks(lab, BURST, A_SOURCE, ack_passes);
}

static void test_eight_refusals_are_no_storm(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, SLOW);
	be_spent(lab, A_SOURCE, REFUSALS - 1);
	send_acks(lab, BURST, A_SOURCE, ack_passes);
}

/* Once the others are within their limits, sources are asked again. */
static void test_the_storm_is_over(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, SLOW);
	be_spent(lab, A_SOURCE, REFUSALS);
	send_acks(lab, 1, "192.0.2.78", ack_passes);
	send_acks(lab, 1, A_SOURCE, ack_passes);
}

static void test_others_are_judged(void **state)
{
	static const struct recipe bye = {.payload = BYE_TEXT, .source = A_SOURCE};
	static const struct recipe cancel = {.payload = CANCEL_TEXT, .source = A_SOURCE};
	struct recipe other = {.payload = INVITE_TEXT, .source = A_SOURCE};
	struct lab *lab = *state;
	char text[INET_ADDRSTRLEN];

	lab_policy(lab, SLOW);
	for (__u32 i = 1; i <= 64; i++) {
		lab_forget(lab);
		lab->now = LAB_START;
		be_spent(lab, A_SOURCE, 2 * REFUSALS);
		lab_send(lab, "the same class", &cancel, (struct expect)DROPS(SOURCE_RATE, DIALOG, CANCEL));
		lab_send(lab, "what may be a copy", &bye, (struct expect)PASSES(WITHIN_LIMITS, DIALOG, BYE));
		lab_send(lab, "another class", &other, passes);
		send_acks(lab, 1, A_SOURCE, ack_over);
		send_acks(lab, 1, spoofed(text, i, true), ack_passes);
	}
}

/*
 * Whom a list has is known by its address, whatever the source that it is of: an allowed trunk beside a flood from its
 * own /64 is none of it, and who is denied counts as that.
 */
static void test_lists_are_of_addresses(void **state)
{
	static const struct {
		const char *policy, *flood, *listed;
		struct expect expect;
	} rows[] = {
		{"allow: [\"2001:db8::8\"]\n", "2001:db8::7", "2001:db8::8", PASSES(ALLOWED, DIALOG, ACK)},
		{"deny: [\"2001:db8::8\"]\n", "2001:db8::7", "2001:db8::8", DROPS(DENIED, DIALOG, ACK)},
		{"source_key: {ipv4: 24}\nallow: [192.0.2.78]\n", A_SOURCE, "192.0.2.78",
		 PASSES(ALLOWED, DIALOG, ACK)},
	};
	struct lab *lab = *state;
	char policy[512];

	for (size_t i = 0; i < COUNT(rows); i++) {
		lab_forget(lab);
		snprintf(policy, sizeof(policy), "%s" SLOW, rows[i].policy);
		lab_policy(lab, policy);
		lab->now = LAB_START;
		be_spent(lab, rows[i].flood, 2 * REFUSALS);
		send_acks(lab, 1, rows[i].flood, ack_over);
		send_acks(lab, 1, rows[i].listed, rows[i].expect);
		send_acks(lab, 1, rows[i].flood, ack_over);
	}
}

/* Of IPv6 too, each address for itself, though they have the bucket of their /64 in common. */
static void test_of_ipv6_too(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, SLOW);
	be_spent(lab, "2001:db8::7", 2 * REFUSALS);
	send_acks(lab, 1, "2001:db8::7", ack_over);
	send_acks(lab, BURST, "2001:db8::8", ack_passes);
	send_acks(lab, 1, "2001:db8::7", ack_over);
	send_acks(lab, 1, "2001:db8::8", ack_over);
	send_acks(lab, 1, "2001:db8:0:1::7", ack_passes);
}

/* Each of a thousand is refused as one is. */
static void test_a_thousand_sources(void **state)
{
	struct lab *lab = *state;
	char text[INET_ADDRSTRLEN];

	lab_policy(lab, "limits: {unknown: {dialog: {rate: 1, burst: 1}}, " ONLY "}");
	for (__u32 i = 0; i < 16; i++)
		send_acks(lab, 1, A_SOURCE, i ? ack_over : ack_passes);
	for (__u32 i = 0; i < 1000; i++) {
		struct recipe ack = ack_from(spoofed(text, i, false));

		assert_int_equal(lab_try(lab, &ack), SIPDAM_REASON_WITHIN_LIMITS);
		for (int again = 0; again < 2; again++)
			assert_int_equal(lab_try(lab, &ack), SIPDAM_REASON_SOURCE_RATE);
	}
	refill(lab);
	lab->now += TICK;
	for (__u32 i = 0; i < 1000; i++) {
		struct recipe ack = ack_from(spoofed(text, i, false));

		assert_int_equal(lab_try(lab, &ack), SIPDAM_REASON_SOURCE_RATE);
	}
	lab_settle(lab, SIPDAM_TABLE_SOURCE_DISPLACED);
}

/* What the operator changes is told to a trial; live a ban or trust is waited for no longer than 67 ms. */
static void test_a_change_ends_it(void **state)
{
	const struct expect banned = DROPS(BANNED, DIALOG, ACK);
	struct lab *lab = *state;
	__u32 changes;

	lab_policy(lab, SLOW);
	for (int told = 0; told < 2; told++) {
		lab_forget(lab);
		lab->now = LAB_START;
		be_spent(lab, A_SOURCE, REFUSALS);
		changes = lab->changes;
		assert_int_equal(lab_ban(lab, A_SOURCE, SECOND), 0);
		lab->changes = told ? lab->changes : changes;
		send_acks(lab, 1, A_SOURCE, told ? banned : ack_over);
		lab->now = unit_behind(64);
		send_acks(lab, 1, A_SOURCE, banned);
	}
	lab_forget(lab);
	lab->now = LAB_START;
	be_spent(lab, A_SOURCE, REFUSALS);
	lab_policy(lab, FAST);
	send_acks(lab, BURST, A_SOURCE, ack_passes);
}

static void test_in_monitor_mode_it_is_counted_as_what_would_be(void **state)
{
	const struct expect would = WOULD_DROP(SOURCE_RATE, DIALOG, ACK);
	struct lab *lab = *state;

	lab_policy(lab, "mode: monitor\n" SLOW);
	send_acks(lab, BURST, A_SOURCE, ack_passes);
	send_acks(lab, REFUSALS, A_SOURCE, would);
	lab->now += TICK;
	refill(lab);
	send_acks(lab, 4, A_SOURCE, would);
}

/* Where drops lead to a ban each is counted, and where addresses are protected others are not for us. */
static void test_not_where_a_drop_matters(void **state)
{
	static const char *const policies[] = {SLOW "\nban: {drops: 100, within: 10s}",
					       SLOW "\naddresses: [" DESTINATION "]"};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(policies); i++) {
		lab_forget(lab);
		lab_policy(lab, policies[i]);
		lab->now = LAB_START;
		be_spent(lab, A_SOURCE, 2 * REFUSALS);
		send_acks(lab, BURST, A_SOURCE, ack_passes);
	}
}

/* A request may be a copy, which is looked for before it is refused. */
static void test_not_of_what_may_be_a_copy(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, "limits: {unknown: {invite: {rate: 1, burst: 20}}, " ONLY "}");
	send_many_from(lab, BURST, A_SOURCE, passes);
	send_many_from(lab, 2 * REFUSALS, A_SOURCE, over_source);
	refill(lab);
	lab->now += TICK;
	send_many_from(lab, BURST, A_SOURCE, passes);
}

/* Its class has others that nobody sends again, which are refused without a look: their answer is not its own. */
static void test_not_of_what_may_be_a_copy_of_another_kind(void **state)
{
	static const struct recipe bye = {.payload = BYE_TEXT, .source = A_SOURCE};
	static const struct expect bye_passes = PASSES(WITHIN_LIMITS, DIALOG, BYE);
	struct lab *lab = *state;

	lab_policy(lab, SLOW);
	send_acks(lab, BURST - 1, A_SOURCE, ack_passes);
	lab_send(lab, "paid for", &bye, bye_passes);
	lab->now += 500 * MILLISECOND;
	send_acks(lab, 2 * REFUSALS, A_SOURCE, ack_over);
	lab->now += TICK;
	send_acks(lab, 1, A_SOURCE, ack_over);
	lab_send(lab, "a copy", &bye, bye_passes);
	send_acks(lab, 1, A_SOURCE, ack_over);
}

/* Of several devices behind one address: their limit is another, deeper than one's, which admits 103 a second. */
static void test_not_of_a_site(void **state)
{
	const struct expect trusted = PASSES(TRUSTED, DIALOG, ACK);
	struct lab *lab = *state;

	lab_policy(lab, "trust: {ttl: 1h}\nlimits: {unknown: {dialog: {rate: 1, burst: 20}}, trusted: {dialog: {rate: "
			"100, burst: 2}}}");
	for (__u16 port = 5060; port < 5064; port++)
		assert_int_equal(lab_know(lab, A_SOURCE, true, port, 3600 * SECOND), 0);
	send_acks(lab, 2 + 3 * 20, A_SOURCE, trusted);
	send_acks(lab, 2 * REFUSALS, A_SOURCE, ack_over);
	lab->now += 20 * MILLISECOND;
	send_acks(lab, 2, A_SOURCE, trusted);
	send_acks(lab, 1, A_SOURCE, ack_over);
}

/* SYNs as well. */
static void test_syns(void **state)
{
	const struct expect syn_passes = PASSES(WITHIN_LIMITS, TCP_SYN, NONE), syn_over = DROPS(SOURCE_RATE, TCP_SYN, NONE);
	const struct recipe syn = {
		.source = A_SOURCE, .protocol = IPPROTO_TCP, .flags = FLAG_SYN, .padding = 6, .port = TLS_PORT};
	struct lab *lab = *state;

	lab_policy(lab, "limits: {unknown: {tcp_syn: {rate: 1, burst: 20}}, " ONLY "}");
	lab_send_many(lab, "passes", BURST, &syn, syn_passes);
	lab_send_many(lab, "over its limit", REFUSALS, &syn, syn_over);
	refill(lab);
	lab->now = unit_behind(64) - 1;
	lab_send(lab, "from memory", &syn, syn_over);
	lab->now = unit_behind(64);
	lab_send_many(lab, "passes again", BURST, &syn, syn_passes);
}

/* A bucket of nothing has no word of which a moment could be told. */
static void test_of_no_bucket_nothing_is_kept(void **state)
{
	struct lab *lab = *state;
	const __u64 *words = lab->table[LAB_SPENT].memory;

	lab_policy(lab, "limits: {unknown: {dialog: {rate: 0, burst: 0}}, " ONLY "}");
	send_acks(lab, 4 * REFUSALS, A_SOURCE, ack_over);
	for (size_t i = 0; i < lab->table[LAB_SPENT].bytes / sizeof(*words); i++)
		assert_int_equal(words[i], 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		lab_test(test_until_its_bucket_admits),
		lab_test(test_nothing_is_lost_by_it),
		lab_test(test_for_67_ms_at_most),
		lab_test(test_eight_refusals_are_no_storm),
		lab_test(test_the_storm_is_over),
		lab_test(test_others_are_judged),
		lab_test(test_lists_are_of_addresses),
		lab_test(test_of_ipv6_too),
		lab_test(test_a_thousand_sources),
		lab_test(test_a_change_ends_it),
		lab_test(test_in_monitor_mode_it_is_counted_as_what_would_be),
		lab_test(test_not_where_a_drop_matters),
		lab_test(test_not_of_what_may_be_a_copy),
		lab_test(test_not_of_what_may_be_a_copy_of_another_kind),
		lab_test(test_not_of_a_site),
		lab_test(test_syns),
		lab_test(test_of_no_bucket_nothing_is_kept),
	};

	return cmocka_run_group_tests(tests, lab_open_on_one_cpu, lab_close);
}
