/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Bans, compiled natively: the arithmetic that packets go by (bpf/ban.h), and the tool's way with the same
 * tables (user/bans.c), which must leave what the first understands.
 */
// uses: user/bans.c user/table.c user/address.c user/problem.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <cmocka.h>

#pragma GCC diagnostic ignored "-Wunknown-pragmas" /* clang's unroll */
#include "address.h"
#include "ban.h"
#include "bans.h"
#include "book.h"
#include "pins.h"
#include "sipdam/hash.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define SECOND      1000000000ULL
#define MINUTE      (60 * SECOND)
#define DAY         (86400 * SECOND)
#define UNIT        (1ULL << SIPDAM_BAN_UNIT_SHIFT)
#define NOW         (12345 * SECOND)
#define HASH        0xabcde00000000123ULL
#define MOST        (5 * MINUTE)

/* What bans.c opens tables by, which these tests do not. */
int bpf_map_lookup_elem(int fd, const void *key, void *value)
{
	(void)fd, (void)key, (void)value;
	errno = EBADF;
	return -1;
}

int bpf_map_lookup_batch(int fd, void *from, void *next, void *keys, void *values, __u32 *count,
			 const struct bpf_map_batch_opts *opts)
{
	(void)fd, (void)from, (void)next, (void)keys, (void)values, (void)count, (void)opts;
	errno = EBADF;
	return -1;
}

__u64 book_now(void)
{
	return NOW;
}

int pins_open(const char *map, bool read_only, struct problem *problem)
{
	(void)map, (void)read_only, (void)problem;
	return -ENOENT;
}

/* ---- arithmetic ---- */

static void test_ends(void **state)
{
	static const struct {
		__u64 now, lasting, end;
	} rows[] = {
		{0, 0, 0},        {0, 1, 1},
		{0, UNIT, 1},     {0, UNIT + 1, 2},
		{1, UNIT, 2},     {UNIT, UNIT, 2},
		{UNIT - 1, 1, 1}, {NOW, SECOND, (NOW + SECOND + UNIT - 1) / UNIT},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		__u64 end = ban_end(rows[i].now, rows[i].lasting), word = ban_word(HASH, end);

		assert_true(end == rows[i].end);
		assert_true(ban_end_of(word) == end && ban_tag(word) == ban_tag(HASH));
		if (rows[i].lasting)
			assert_true(ban_holds(word, rows[i].now + rows[i].lasting - 1));
		assert_false(ban_holds(word, rows[i].now + rows[i].lasting + UNIT));
		assert_false(ban_holds(word, end * UNIT));
		assert_true(ban_is_remembered(word, end * UNIT + SECOND - 1, SECOND));
		assert_false(ban_is_remembered(word, end * UNIT + SECOND, SECOND));
	}
	assert_false(ban_holds(0, 0));
}

/* As one would write it. */
static __u64 doubled(__u64 lasting, __u64 most, __u32 times)
{
	while (--times && lasting < most)
		lasting *= 2;
	return lasting < most ? lasting : most;
}

static void test_durations(void **state)
{
	static const struct {
		__u64 lasting, most;
	} rows[] = {
		{5 * MINUTE, 60 * MINUTE}, {SECOND, 365 * DAY},     {SECOND, SECOND},
		{365 * DAY, 365 * DAY},    {100 * DAY, 300 * DAY},  {SECOND + 1, 2 * SECOND + 1},
		{SECOND, 1ULL << 30},      {SECOND + 7, 365 * DAY}, {SECOND, 33554432 * SECOND},
	};
	static const __u32 many[] = {26, 27, 63, 64, 65, 1000, UINT32_MAX};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		for (__u32 times = 1; times < 40; times++)
			assert_true(ban_duration(rows[i].lasting, rows[i].most, times) ==
				    doubled(rows[i].lasting, rows[i].most, times));
		for (size_t j = 0; j < COUNT(many); j++)
			assert_true(ban_duration(rows[i].lasting, rows[i].most, many[j]) == rows[i].most);
	}
}

/* One word among those that differ in little. */
static void test_words_of_a_line(void **state)
{
	const __u64 tag = 1ULL << SIPDAM_BAN_END_BITS, now = NOW >> SIPDAM_BAN_UNIT_SHIFT;
	const struct {
		__u64 word;
		bool holds;
	} rows[] = {
		{ban_word(HASH, now + 1), true},
		{ban_word(HASH, now), false},
		{ban_word(HASH, now - 1), false},
		{ban_word(HASH, BAN_END_MASK), true},
		{ban_word(HASH, 0), false},
		{ban_word(HASH + tag, now + 1), false},
		{ban_word(HASH + tag, now), false},
		{ban_word(HASH + tag, 0), false},
		{ban_word(HASH - tag, now + 1), false},
		{ban_word(HASH - tag, BAN_END_MASK), false},
		{0, false},
		{~0ULL, false},
	};
	struct sipdam_line *line = aligned_alloc(64, sizeof(*line));

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		for (__u32 way = 0; way < SIPDAM_WAYS; way++) {
			memset(line, 0, sizeof(*line));
			line->word[way] = rows[i].word;
			assert_int_equal(ban_is_in(line, HASH, NOW), rows[i].holds);
		}
	}
	/* The tags at either end. */
	memset(line, 0xff, sizeof(*line));
	assert_true(ban_is_in(line, ~0ULL, NOW));
	assert_false(ban_is_in(line, 0, NOW));
	line->word[2] = now + 1;
	assert_true(ban_is_in(line, 0, NOW));
	line->word[2] = 0;
	assert_false(ban_is_in(line, 0, NOW));
	free(line);
}

/* ---- strikes ---- */

#define TAG       (0xabcd0ULL | SIPDAM_KIND_STRIKES)
#define TICKS_NOW 123456789ULL
#define HORIZON   (1ULL << 30)

static bool strike(struct sipdam_line *line, __u64 now, const struct sipdam_limit *strikes, bool *displaced)
{
	*displaced = false;
	return line_strikes_out(line, TAG, now, HORIZON, strikes, displaced);
}

/* The third is one too many, and the count begins anew; a word that gives way leaves it no debt. */
static void test_strikes(void **state)
{
	struct sipdam_limit two = {.interval = 10, .depth = 20, .burst = 2}, none = {.interval = 10};
	struct sipdam_line *line = aligned_alloc(64, sizeof(*line));
	bool displaced;

	(void)state;
	for (__u64 way = 0; way < SIPDAM_WAYS; way++)
		line->word[way] = (0xabcd1ULL + way) << SIPDAM_TAT_BITS | (TICKS_NOW + 500 + way);
	assert_false(strike(line, TICKS_NOW, &two, &displaced));
	assert_true(displaced);
	assert_true(line->word[0] == (TAG << SIPDAM_TAT_BITS | (TICKS_NOW + 10)));
	assert_false(strike(line, TICKS_NOW, &two, &displaced));
	assert_false(displaced);
	assert_true(strike(line, TICKS_NOW, &two, &displaced));
	assert_true(line->word[0] == (TAG << SIPDAM_TAT_BITS | TICKS_NOW));
	for (int i = 0; i < 2; i++)
		assert_false(strike(line, TICKS_NOW, &two, &displaced));
	assert_false(strike(line, TICKS_NOW + 10, &two, &displaced)); /* one is forgiven */
	assert_true(strike(line, TICKS_NOW + 19, &two, &displaced));
	memset(line, 0, sizeof(*line));
	for (int i = 0; i < 3; i++)
		assert_true(strike(line, TICKS_NOW, &none, &displaced));
	assert_true(line->word[0] == 0);
	free(line);
}

/* ---- the tool's side ---- */

struct tables {
	struct bans bans;
	struct sipdam_policy policy;
};

static int tables_open(void **state)
{
	struct tables *tables = calloc(1, sizeof(*tables));

	tables->bans.table.line = calloc(SIPDAM_BAN_LINES, sizeof(*tables->bans.table.line));
	tables->bans.table.record.ban = calloc(SIPDAM_BAN_LINES * SIPDAM_WAYS, sizeof(*tables->bans.table.record.ban));
	tables->bans.table.line_count = SIPDAM_BAN_LINES;
	tables->bans.table.gate = calloc(1, sizeof(*tables->bans.table.gate));
	tables->bans.table.secret = (struct sipdam_secret){{1, 22, 333, 4444}};
	tables->policy.source_prefix[SIPDAM_FAMILY_IPV4] = 32;
	tables->policy.source_prefix[SIPDAM_FAMILY_IPV6] = 64;
	*state = tables;
	return 0;
}

static int tables_close(void **state)
{
	struct tables *tables = *state;

	free(tables->bans.table.line);
	free(tables->bans.table.record.ban);
	free(tables->bans.table.gate);
	free(tables);
	return 0;
}

static struct sipdam_prefix source(const struct tables *tables, const char *text)
{
	struct sipdam_prefix given;
	bool exact;

	assert_int_equal(address_parse_prefix(text, &given), 0);
	return bans_source(&tables->policy, &given, &exact);
}

static void test_sources(void **state)
{
	static const struct {
		const char *given, *source;
		bool exact;
	} rows[] = {
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1/32", "192.0.2.1", true},
		{"192.0.2.0/24", "192.0.2.0", false},
		{"2001:db8::1", "2001:db8::/64", false},
		{"2001:db8:0:0:ffff::/64", "2001:db8::/64", true},
		{"2001:db8:0:1::/65", "2001:db8:0:1::/64", false},
		{"2001:db8::/48", "2001:db8::/64", false},
	};
	struct tables *tables = *state;
	char text[ADDRESS_PREFIX_TEXT];

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct sipdam_prefix given, found;
		bool exact;

		assert_int_equal(address_parse_prefix(rows[i].given, &given), 0);
		found = bans_source(&tables->policy, &given, &exact);
		address_format_prefix(&found, text);
		assert_string_equal(text, rows[i].source);
		assert_int_equal(exact, rows[i].exact);
	}
}

/* The word lies where packets look and says what they would write. */
static void test_an_added_ban(void **state)
{
	struct tables *tables = *state;
	struct sipdam_prefix prefix = source(tables, "192.0.2.1");
	const struct sipdam_ban *record;
	__u64 words[2], hash;

	memcpy(words, prefix.address, sizeof(words));
	hash = sipdam_hash(&tables->bans.table.secret, words[0], words[1]);
	assert_false(bans_hold(&tables->bans, &prefix, NOW));
	assert_int_equal(bans_add(&tables->bans, &prefix, NOW, MINUTE, MOST), 0);
	assert_true(tables->bans.table.line[hash & (SIPDAM_BAN_LINES - 1)].word[0] ==
		    ban_word(hash, ban_end(NOW, MINUTE)));
	assert_true(tables->bans.table.gate->latest >= ban_end(NOW, MINUTE) * UNIT);
	record = &tables->bans.table.record.ban[(hash & (SIPDAM_BAN_LINES - 1)) * SIPDAM_WAYS];
	assert_true(record->high == words[0] && record->low == words[1] && record->since == NOW);
	assert_int_equal(record->bits, 128);
	assert_int_equal(record->cause, SIPDAM_BAN_MANUAL);
	assert_int_equal(record->tag, ban_tag(hash) & 0xffff);
	assert_true(bans_hold(&tables->bans, &prefix, NOW + MINUTE - 1));
	assert_false(bans_hold(&tables->bans, &prefix, NOW + MINUTE + UNIT));
}

static void test_bans_by_address(void **state)
{
	static const char *const given[] = {"203.0.113.1", "2001:db8::1", "192.0.2.1", "10.255.0.1"};
	static const char *const sorted[] = {"10.255.0.1", "192.0.2.1", "203.0.113.1", "2001:db8::/64"};
	struct tables *tables = *state;
	struct ban_entries entries;
	char text[ADDRESS_PREFIX_TEXT];

	assert_int_equal(bans_list(&tables->bans, &tables->policy, NOW, &entries), 0);
	assert_int_equal(entries.count, 0);
	for (size_t i = 0; i < COUNT(given); i++) {
		struct sipdam_prefix prefix = source(tables, given[i]);

		assert_int_equal(bans_add(&tables->bans, &prefix, NOW, (i + 1) * MINUTE, MOST), 0);
	}
	assert_int_equal(bans_list(&tables->bans, &tables->policy, NOW, &entries), 0);
	assert_int_equal(entries.count, COUNT(sorted));
	for (size_t i = 0; i < COUNT(sorted); i++) {
		address_format_prefix(&entries.entry[i].source, text);
		assert_string_equal(text, sorted[i]);
	}
	ban_entries_free(&entries);
	for (size_t i = 0; i <= COUNT(given); i++)
		assert_int_equal(bans_count(&tables->bans, NOW + i * MINUTE + UNIT), COUNT(given) - i);
}

/* A command that died between its claim and the end leaves what nobody is banned by. */
static void test_a_claim_alone(void **state)
{
	struct tables *tables = *state;
	struct sipdam_prefix prefix = source(tables, "192.0.2.1"), other = source(tables, "192.0.2.2");
	struct ban_entries entries;
	__u64 words[2], hash, *word;

	assert_int_equal(bans_add(&tables->bans, &other, NOW, MINUTE, MOST), 0);
	memcpy(words, prefix.address, sizeof(words));
	hash = sipdam_hash(&tables->bans.table.secret, words[0], words[1]);
	word = &tables->bans.table.line[hash & (SIPDAM_BAN_LINES - 1)].word[0];
	*word = ban_word(hash, ban_end(NOW, SECOND));
	assert_int_equal(bans_list(&tables->bans, &tables->policy, NOW, &entries), 0);
	assert_int_equal(entries.count, 1);
	ban_entries_free(&entries);
	assert_false(bans_hold(&tables->bans, &prefix, NOW));
	assert_int_equal(bans_add(&tables->bans, &prefix, NOW, MINUTE, MOST), 0);
	assert_int_equal(bans_count(&tables->bans, NOW + SECOND + UNIT), 2);
	assert_int_equal(bans_remove(&tables->bans, &prefix, NOW), 0);
	assert_int_equal(bans_remove(&tables->bans, &prefix, NOW), -ENOENT);
	assert_int_equal(bans_count(&tables->bans, NOW + SECOND + UNIT), 1);
}

/* Two CPUs that ban one source at once may have put it into two places: it is pardoned in both. */
static void test_a_ban_in_two_places(void **state)
{
	struct tables *tables = *state;
	struct sipdam_prefix prefix = source(tables, "192.0.2.1");
	__u64 words[2], line;

	assert_int_equal(bans_add(&tables->bans, &prefix, NOW, MINUTE, MOST), 0);
	memcpy(words, prefix.address, sizeof(words));
	line = sipdam_hash(&tables->bans.table.secret, words[0], words[1]) & (SIPDAM_BAN_LINES - 1);
	tables->bans.table.line[line].word[7] = tables->bans.table.line[line].word[0];
	tables->bans.table.record.ban[line * SIPDAM_WAYS + 7] = tables->bans.table.record.ban[line * SIPDAM_WAYS];
	assert_int_equal(bans_remove(&tables->bans, &prefix, NOW), 0);
	assert_false(bans_hold(&tables->bans, &prefix, NOW));
	assert_int_equal(bans_count(&tables->bans, NOW), 0);
}

/* As many as the manual says: 65,536 in force, one in 7,000 refused, none pushed out. */
static void test_65536_bans(void **state)
{
	struct tables *tables = *state;
	size_t refused = 0;

	for (__u32 n = 0; n < 65536; n++) {
		struct sipdam_prefix prefix = {.bits = 128, .address = {[10] = 0xff, 0xff, 10}};
		int error;

		memcpy(prefix.address + 13, &n, 3);
		error = bans_add(&tables->bans, &prefix, NOW, MINUTE, MOST);
		assert_true(!error || error == -ENOSPC);
		refused += error == -ENOSPC;
	}
	assert_in_range(refused, 0, 30);
	assert_int_equal(bans_count(&tables->bans, NOW), 65536 - refused);
}

#define tables_test(function) cmocka_unit_test_setup_teardown(function, tables_open, tables_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_words_of_a_line),
		cmocka_unit_test(test_strikes),
		tables_test(test_sources),
		tables_test(test_an_added_ban),
		tables_test(test_bans_by_address),
		tables_test(test_a_claim_alone),
		tables_test(test_a_ban_in_two_places),
		tables_test(test_65536_bans),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
