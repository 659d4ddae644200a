/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The tables of sources and networks: words whose time has turned, lines that are full, floods that push
 * others out, and whether sources spread over all lines.
 */
#include "prog/rates.h"

#define TCP 6

/* ---- time ---- */

#define WRAP ((1ULL << SIPDAM_TAT_BITS) * TICK) /* 13 days */

static __u64 horizon_of(const char *yaml)
{
	struct settings settings;
	__u64 horizon;

	lab_settings(&settings, yaml);
	horizon = settings.policy.horizon * TICK;
	settings_free(&settings);
	return horizon;
}

/* An arrival time that is far ahead is one of the last turn: its bucket is full. */
static void test_a_word_of_13_days_ago(void **state)
{
	__u64 depth = 50 * TENTH, horizon = horizon_of(SOURCES_ALONE);
	const __u64 later[] = {
		WRAP / 2,
		WRAP - 24 * 3600 * SECOND,
		WRAP + depth - horizon - TICK,
		WRAP + depth,
		WRAP + depth + TICK,
		WRAP + 3600 * SECOND,
		2 * WRAP + depth,
		2 * WRAP + depth - horizon - TICK,
	};
	struct lab *lab = *state;

	lab_policy(lab, SOURCES_ALONE);
	for (size_t i = 0; i < COUNT(later); i++) {
		lab_forget(lab);
		lab->now = LAB_START;
		lab_send_many(lab, "burst", 50, &invite, passes);
		lab_send(lab, "empty", &invite, over_source);
		lab->now += later[i];
		lab_send_many(lab, "full", 50, &invite, passes);
		lab_send(lab, "and no more", &invite, over_source);
	}
}

/* Less than a horizon before a turn is over it cannot be told from a debt: it is one of a full burst at most.
 */
static void test_a_word_that_looks_like_a_debt(void **state)
{
	__u64 depth = 50 * TENTH, horizon = horizon_of(SOURCES_ALONE);
	const __u64 later[] = {WRAP + depth - horizon, WRAP};
	struct lab *lab = *state;

	lab_policy(lab, SOURCES_ALONE);
	for (size_t i = 0; i < COUNT(later); i++) {
		lab_forget(lab);
		lab->now = LAB_START;
		lab_send_many(lab, "burst", 50, &invite, passes);
		lab->now += later[i];
		check_refill(lab, &invite, TENTH, passes, over_source);
	}
}

/* The clock's turn itself: words before it and after it are as near as they are. */
static void test_across_the_turn_of_the_clock(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, SOURCES_ALONE);
	lab->now = WRAP - SECOND;
	lab_send_many(lab, "burst", 50, &invite, passes);
	lab_send(lab, "empty", &invite, over_source);
	lab->now = WRAP - TICK;
	lab_send_many(lab, "nine before", 9, &invite, passes);
	lab_send(lab, "the tenth", &invite, over_source);
	lab->now = WRAP;
	lab_send(lab, "the tenth, at the turn", &invite, passes);
	lab_send(lab, "empty", &invite, over_source);
	lab->now = WRAP + 5 * SECOND;
	lab_send_many(lab, "full", 50, &invite, passes);
	lab_send(lab, "empty", &invite, over_source);
}

/* Free words are no words of time 0: near the turn that would lie ahead, and they be kept for others. */
static void test_free_words_before_the_turn(void **state)
{
	static const struct recipe options = {.payload = "OPTIONS sip:a SIP/2.0\r\n"};
	struct lab *lab = *state;

	lab->now = WRAP - SECOND;
	lab_send(lab, "a little debt", &invite, passes);
	lab_send(lab, "another class", &options, (struct expect)PASSES(WITHIN_LIMITS, OPTIONS, OPTIONS));
	lab_send_many(lab, "what the first left", 49, &invite, passes);
	lab_send(lab, "and no more", &invite, over_source);
}

/* Pools count in 64 bits. */
static void test_a_pool_13_days_later(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, NOT_VERIFIED "limits: {pool: {invite: {rate: 1, burst: 2}}}");
	lab_send_many(lab, "burst", 2, &invite, passes);
	lab_send(lab, "empty", &invite, over_pool);
	lab->now += WRAP;
	lab_send_many(lab, "full", 2, &invite, passes);
	lab_send(lab, "and no more", &invite, over_pool);
}

/* ---- full tables ---- */

#define CLASSES 11
#define TWO     ": {rate: 1, burst: 2}"
#define TWO_OF_EACH                                                                                          \
	"limits: {unknown: {invite" TWO ", register" TWO ", options" TWO ", dialog" TWO ", other" TWO        \
	", response" TWO ", keepalive" TWO ", malformed" TWO ", fragment" TWO ", tcp_syn" TWO                \
	", tcp_data" TWO "}, network: unlimited}"

/* A packet of each class that there can be. */
static const struct recipe of_class[CLASSES] = {
	{.payload = INVITE_TEXT},
	{.payload = "REGISTER sip:a SIP/2.0\r\n"},
	{.payload = "OPTIONS sip:a SIP/2.0\r\n"},
	{.payload = ACK_TEXT},
	{.payload = "MESSAGE sip:a SIP/2.0\r\n"},
	{.payload = "SIP/2.0 200 OK\r\n"},
	{.payload = "\r\n"},
	{.payload = "garbage"},
	{.offset = 1480, .fill = 8},
	{.protocol = TCP, .flags = FLAG_SYN},
	{.protocol = TCP, .flags = FLAG_ACK},
};

/* A line holds eight words: three of eleven classes push out others of their own source. */
static void test_no_debt_is_shed_by_other_classes(void **state)
{
	struct lab *lab = *state;
	int admitted[CLASSES] = {0};

	lab_policy(lab, TWO_OF_EACH);
	lab_send_many(lab, "burst", 2, &invite, passes);
	for (int round = 0; round < 10; round++)
		for (int class = 0; class < CLASSES; class ++)
			admitted[class] += lab_try(lab, &of_class[class]) == SIPDAM_REASON_WITHIN_LIMITS;
	assert_true(lab_settle(lab, SIPDAM_TABLE_SOURCE_DISPLACED) > 0);
	assert_int_equal(admitted[0], 0);
	for (int class = 1; class < CLASSES; class ++)
		assert_in_range(admitted[class], 1, 2);
	lab->now += SECOND - TICK;
	lab_send(lab, "a tick early", &invite, over_source);
	lab->now += TICK;
	lab_send(lab, "an interval later", &invite, passes);
	lab_send(lab, "and no more", &invite, over_source);
}

/* Sends one INVITE from each of many sources. Returns how many passed. */
static int flood(struct lab *lab, __u32 from, __u32 count, bool one_network)
{
	char text[INET_ADDRSTRLEN];
	int admitted = 0;

	for (__u32 n = from; n < from + count; n++) {
		struct recipe recipe = invite_from(spoofed(text, n, one_network));

		admitted += lab_try(lab, &recipe) == SIPDAM_REASON_WITHIN_LIMITS;
	}
	return admitted;
}

static int words_used(const struct table *table)
{
	const __u64 *words = table->memory;
	int used = 0;

	for (size_t i = 0; i < table->bytes / sizeof(*words); i++)
		used += words[i] != 0;
	return used;
}

/* Every source that found no free word pushed one out, and that was counted. */
static void check_flood(struct lab *lab, int table, enum sipdam_table_event event, bool one_network)
{
	__u32 flooding = 3 * LAB_SOURCES * SIPDAM_WAYS;
	__u64 displaced;
	int used;

	assert_int_equal(flood(lab, 0, 100, one_network), 100);
	assert_int_equal(lab_settle(lab, event), 0);
	lab_forget(lab);
	assert_int_equal(flood(lab, 0, flooding, one_network), flooding);
	displaced = lab_settle(lab, event);
	used = words_used(&lab->table[table]);
	assert_in_range(used, LAB_SOURCES * SIPDAM_WAYS * 99 / 100, LAB_SOURCES * SIPDAM_WAYS);
	/* Two sources of one line and one tag (16 bits) share a word: some in a thousand. */
	assert_in_range(displaced + used, flooding * 99 / 100, flooding);
	lab->now += 3600 * SECOND;
	assert_int_equal(flood(lab, flooding, 100, one_network), 100);
	assert_int_equal(lab_settle(lab, event), 0);
}

static void test_a_source_table_too_small(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, "limits: {" NO_OTHER "}");
	check_flood(lab, 0, SIPDAM_TABLE_SOURCE_DISPLACED, true);
}

static void test_a_network_table_too_small(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, "limits: {unknown: {invite: unlimited}, pool: {invite: unlimited}}");
	check_flood(lab, 1, SIPDAM_TABLE_NETWORK_DISPLACED, false);
}

/* A flood through a full table still meets the pool. */
static void test_the_pool_holds_when_tables_are_full(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, NOT_VERIFIED "limits: {pool: {invite: " TEN_A_SECOND "}}");
	assert_int_equal(flood(lab, 0, 3 * LAB_SOURCES * SIPDAM_WAYS, false), 20);
	lab->now += SECOND;
	assert_int_equal(flood(lab, 1 << 15, 1000, false), 10);
	lab_settle(lab, SIPDAM_TABLE_SOURCE_DISPLACED);
}

/* Where sources of a flood differ: in which bytes of their address. */
static const struct spread {
	const char *name;
	int family;
	int byte[2];
} spreads[] = {
	{"hosts of an IPv4 /16", 4, {2, 3}},    {"networks of an IPv4 /8", 4, {1, 2}},
	{"ends of an IPv4 address", 4, {0, 3}}, {"IPv6 /64s of a /48", 6, {6, 7}},
	{"IPv6 /56s of a /40", 6, {5, 6}},      {"IPv6 /48s of a /32", 6, {4, 5}},
	{"IPv6 /32s of a /16", 6, {2, 3}},      {"ends of an IPv6 prefix", 6, {1, 7}},
};

static const char *spread_source(char text[INET6_ADDRSTRLEN], const struct spread *spread, int n)
{
	__u8 address[16] = {0x20, 0x01, 0x0d, 0xb8, 0x12, 0x34, 0x56, 0x78, [15] = 1};

	address[spread->byte[0]] = (__u8)(n >> 8);
	address[spread->byte[1]] = (__u8)n;
	return inet_ntop(spread->family == 6 ? AF_INET6 : AF_INET, address, text, INET6_ADDRSTRLEN);
}

/*
 * Two sources a line: by chance one line in four thousand has more than its eight words (Poisson). A hash
 * that leaves bytes of the address out piles the sources up in some lines.
 */
static void test_sources_spread_over_the_table(void **state)
{
	struct lab *lab = *state;
	char text[INET6_ADDRSTRLEN];

	lab_policy(lab, SOURCES_ALONE);
	for (size_t i = 0; i < COUNT(spreads); i++) {
		__u64 displaced;

		lab_forget(lab);
		for (int n = 0; n < 2 * LAB_SOURCES; n++) {
			struct recipe recipe = invite_from(spread_source(text, &spreads[i], n * 31));

			lab_try(lab, &recipe);
		}
		displaced = lab_settle(lab, SIPDAM_TABLE_SOURCE_DISPLACED);
		if (displaced > 2 * LAB_SOURCES / 100)
			fail_msg("%s: %llu of %d pushed another out", spreads[i].name, displaced,
				 2 * LAB_SOURCES);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		lab_test(test_a_word_of_13_days_ago),
		lab_test(test_a_word_that_looks_like_a_debt),
		lab_test(test_across_the_turn_of_the_clock),
		lab_test(test_free_words_before_the_turn),
		lab_test(test_a_pool_13_days_later),
		lab_test(test_no_debt_is_shed_by_other_classes),
		lab_test(test_a_source_table_too_small),
		lab_test(test_a_network_table_too_small),
		lab_test(test_the_pool_holds_when_tables_are_full),
		lab_test(test_sources_spread_over_the_table),
	};

	return cmocka_run_group_tests(tests, lab_open, lab_close);
}
