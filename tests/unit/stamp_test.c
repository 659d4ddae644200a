// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The memory of requests that strangers must send again, compiled natively, in lines of exact size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#pragma GCC diagnostic ignored "-Wunknown-pragmas" /* clang's unroll */
#include "stamp.h"

#define MS     1000000ULL
#define SECOND (1000 * MS)
#define UNIT   (1ULL << STAMP_TIME_SHIFT)
#define LEAST  (200 * MS)
#define MOST   (32 * SECOND)

#define SOURCES 1048576 /* lines, by default */

/* Hashes whose tags are all different. */
static __u64 hash_of(__u64 number)
{
	return (number + 1) << STAMP_TAG_SHIFT;
}

static int look(struct sipdam_stamps *line, __u64 hash, __u64 now)
{
	return stamp_look(line, hash, now, LEAST, MOST);
}

/* Copies by the clock of RFC 3261, the least and the most with their near misses. */
static void test_a_copy_in_time(void **state)
{
	static const struct {
		__u64 after;
		int answer;
	} rows[] = {
		{0, STAMP_EARLY},
		{LEAST / UNIT * UNIT - 1, STAMP_EARLY},
		{LEAST / UNIT * UNIT, STAMP_AGAIN},
		{LEAST, STAMP_AGAIN},
		{500 * MS, STAMP_AGAIN},
		{31500 * MS, STAMP_AGAIN},
		{MOST, STAMP_AGAIN},
		{(MOST / UNIT + 1) * UNIT, STAMP_FIRST},
		{34 * SECOND, STAMP_FIRST},
		{35 * SECOND, STAMP_FIRST},
		{40 * SECOND, STAMP_FIRST},
		{137 * SECOND, STAMP_FIRST},
	};
	const __u64 begin = 1000 * UNIT; /* of a unit, so that the rows count from its start */

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct sipdam_stamps *line = aligned_alloc(64, sizeof(*line));

		*line = (struct sipdam_stamps){};
		assert_int_equal(look(line, hash_of(7), begin), STAMP_FIRST);
		assert_int_equal(look(line, hash_of(8), begin + rows[i].after), STAMP_FIRST);
		assert_int_equal(look(line, hash_of(7), begin + rows[i].after), rows[i].answer);
		free(line);
	}
}

/* An early copy does not put the first one's time off. */
static void test_early_copies_change_nothing(void **state)
{
	struct sipdam_stamps line = {};

	(void)state;
	assert_int_equal(look(&line, hash_of(1), 0), STAMP_FIRST);
	for (__u64 now = UNIT; now < 20 * UNIT; now += UNIT)
		assert_int_equal(look(&line, hash_of(1), now), STAMP_EARLY);
	assert_int_equal(look(&line, hash_of(1), LEAST), STAMP_AGAIN);
}

/* A stamp outlives fourteen newer ones in its line and falls to the fifteenth. */
static void test_the_oldest_gives_way(void **state)
{
	(void)state;
	for (__u64 newer = SIPDAM_STAMPS - 1; newer <= SIPDAM_STAMPS; newer++) {
		struct sipdam_stamps line = {};

		assert_int_equal(look(&line, hash_of(0), UNIT), STAMP_FIRST);
		for (__u64 i = 1; i <= newer; i++)
			assert_int_equal(look(&line, hash_of(i), (1 + i) * UNIT), STAMP_FIRST);
		assert_int_equal(look(&line, hash_of(0), UNIT + SECOND),
				 newer < SIPDAM_STAMPS ? STAMP_AGAIN : STAMP_FIRST);
	}
}

/* The time of a stamp wraps after 16,384 units: around that instant nothing is different. */
static void test_around_the_wrap(void **state)
{
	(void)state;
	for (__u64 first = 16300; first < 16400; first++) {
		struct sipdam_stamps line = {};

		assert_int_equal(look(&line, hash_of(3), first * UNIT), STAMP_FIRST);
		assert_int_equal(look(&line, hash_of(3), first * UNIT + 100 * MS), STAMP_EARLY);
		assert_int_equal(look(&line, hash_of(3), first * UNIT + SECOND), STAMP_AGAIN);
	}
}

/* A hash whose tag would be 0 has a stamp like others. */
static void test_a_tag_of_zero(void **state)
{
	struct sipdam_stamps line = {};

	(void)state;
	assert_int_equal(look(&line, 5, 0), STAMP_FIRST);
	assert_int_equal(look(&line, 5, SECOND), STAMP_AGAIN);
}

/* Random requests pass a full line less than once in 10,000 (15 of 2^18). */
static void test_strangers_rarely_pass_by_chance(void **state)
{
	struct sipdam_stamps line = {};
	__u64 random = 88172645463325252ULL;
	const int packets = 2000000;
	int passed = 0;

	(void)state;
	for (int i = 0; i < packets; i++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		passed += look(&line, random, (__u64)i * 100 * UNIT) == STAMP_AGAIN;
	}
	assert_true(passed < packets / 10000);
	assert_true(passed > 0); /* or the line was not full and nothing was tested */
}

/* The chance that none of so many requests meets one line. */
static double none_of(int requests)
{
	double chance = 1;

	while (requests--)
		chance *= 1 - 1.0 / SOURCES;
	return chance;
}

/* How many do, as chance has it, of a fixed seed. */
static int meet_a_line(double none)
{
	static __u64 random = 88172645463325252ULL;
	double product = 1;
	int count = -1;

	for (; product > none; count++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		product *= (double)(random >> 11) / (1ULL << 53);
	}
	return count;
}

/* How many of so many first copies are forgotten when they come again behind a flood's requests. */
static int forgotten(int callers, int requests)
{
	const __u64 begin = 1000 * UNIT;
	double none = none_of(requests);
	struct sipdam_stamps line;
	__u64 strangers = 0;
	int count = 0;

	for (int i = 0; i < callers; i++) {
		line = (struct sipdam_stamps){};
		look(&line, hash_of(0), begin);
		for (int met = meet_a_line(none); met > 0; met--)
			look(&line, hash_of(1 + strangers++ % 200000), begin + LEAST / 2);
		count += look(&line, hash_of(0), begin + SECOND / 2) != STAMP_AGAIN;
	}
	return count;
}

/* What the manual says of the default size: the first retransmission, and the second one after it. */
static void test_what_a_flood_leaves_of_a_caller(void **state)
{
	const int callers = 700000;

	(void)state;
	assert_in_range(forgotten(callers, 10000000 / 2), callers / 9000, callers / 5500); /* once in 7,000 */
	assert_in_range(forgotten(callers, 10000000), callers / 18, callers / 15);         /* once in 16 */
	assert_int_equal(forgotten(callers, 1000000 / 2), 0);
}

static void test_verified_senders(void **state)
{
	struct sipdam_line line = {};
	const __u64 sender = 0x1234567800000000ULL, begin = 77 * UNIT;

	(void)state;
	assert_true(verified_age(&line, sender, begin) == ~0ULL);
	verified_note(&line, sender, begin);
	assert_true(verified_age(&line, sender, begin) == 0);
	assert_true(verified_age(&line, sender, begin + 3 * UNIT + 1) == 3 * UNIT);
	assert_true(verified_age(&line, sender ^ 1ULL << 32, begin) == ~0ULL);
	verified_note(&line, sender, begin + 9 * UNIT); /* its own word again */
	for (__u64 i = 1; i < SIPDAM_WAYS; i++) {
		assert_true(verified_age(&line, sender, begin + 9 * UNIT) == 0);
		verified_note(&line, sender + (i << 32), begin + (9 + i) * UNIT);
	}
	assert_true(verified_age(&line, sender, begin + 9 * UNIT) == 0);
	verified_note(&line, sender + ((__u64)SIPDAM_WAYS << 32), begin + 20 * UNIT);
	assert_true(verified_age(&line, sender, begin + 20 * UNIT) == ~0ULL);
}

/* Whoever was let in within a minute is looked for: spans begin at no sender's time. */
static void test_the_gate_of_verified_senders(void **state)
{
	const __u64 span = 1ULL << VERIFIED_SPAN_SHIFT, wrap = 128 * span;
	const __u64 begins[] = {0, 1, span - 1, span, 5 * span + span / 2, wrap - 1, wrap, 1000 * wrap - span};

	(void)state;
	for (size_t i = 0; i < sizeof(begins) / sizeof(*begins); i++) {
		__u8 place = verified_span(begins[i]);

		assert_true(place);
		assert_true(verified_is_near(place, begins[i]));
		assert_true(verified_is_near(place, begins[i] + VERIFIED_RECENT));
		assert_true(verified_is_near(place, begins[i] + span));
		assert_false(verified_is_near(place, begins[i] + 2 * span));
		assert_false(verified_is_near(place, begins[i] + wrap - span));
		assert_true(verified_is_near(place, begins[i] + wrap)); /* in vain */
		assert_false(verified_is_near(0, begins[i]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_copy_in_time),
		cmocka_unit_test(test_early_copies_change_nothing),
		cmocka_unit_test(test_the_oldest_gives_way),
		cmocka_unit_test(test_around_the_wrap),
		cmocka_unit_test(test_a_tag_of_zero),
		cmocka_unit_test(test_strangers_rarely_pass_by_chance),
		cmocka_unit_test(test_what_a_flood_leaves_of_a_caller),
		cmocka_unit_test(test_verified_senders),
		cmocka_unit_test(test_the_gate_of_verified_senders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
