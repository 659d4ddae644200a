// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The memory of buckets that are known to refuse, compiled natively, in sets of exact size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#pragma GCC diagnostic ignored "-Wunknown-pragmas" /* clang's unroll */
#include "spent.h"

#define UNIT    (1ULL << SPENT_UNIT_SHIFT)
#define LONGEST (64 * UNIT)
#define TURN    (UNIT << SPENT_TIME_BITS) /* when times begin anew */

/* Names that differ in what a word has of them, and in no more than one bit. */
static __u64 name_of(__u64 number)
{
	return (number + 1) << SPENT_TIME_BITS;
}

static struct sipdam_spent_set *empty_set(void)
{
	struct sipdam_spent_set *set = aligned_alloc(sizeof(*set), sizeof(*set));

	*set = (struct sipdam_spent_set){};
	return set;
}

/* To the unit: never longer than it is known, and never longer than 67 ms. */
static void test_until_the_unit_of_the_moment(void **state)
{
	static const struct {
		__u64 wait, refused; /* from the beginning of a unit */
	} rows[] = {
		{-1ULL, 0},
		{-UNIT, 0},
		{0, 0},
		{UNIT - 1, 0},
		{UNIT, UNIT},
		{2 * UNIT - 1, UNIT},
		{50 * UNIT + 7, 50 * UNIT},
		{LONGEST, LONGEST},
		{LONGEST + UNIT, LONGEST},
		{TURN, LONGEST},
		{3600 * 1000000000ULL, LONGEST},
	};
	static const __u64 begins[] = {UNIT, 1000 * UNIT, TURN - 65 * UNIT, TURN, 5 * TURN + 77 * UNIT};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		for (size_t j = 0; j < sizeof(begins) / sizeof(*begins); j++) {
			struct sipdam_spent_set *set = empty_set();
			__u64 end = begins[j] + rows[i].refused;

			spent_note(set, name_of(9), begins[j], begins[j] + rows[i].wait);
			assert_int_equal(spent_is(set, name_of(9), begins[j]), rows[i].refused > 0);
			assert_int_equal(spent_is(set, name_of(9), end - 1), rows[i].refused > 0);
			assert_false(spent_is(set, name_of(9), end));
			assert_false(spent_is(set, name_of(9), end + LONGEST));
			free(set);
		}
	}
}

/* Of what lasts over the clock's turn nothing is known before that: its source is judged. */
static void test_the_clocks_turn(void **state)
{
	struct sipdam_spent_set *set = empty_set();

	(void)state;
	spent_note(set, name_of(9), TURN - 3 * UNIT, TURN + 3 * UNIT);
	for (__u64 now = TURN - 100 * UNIT; now < TURN + 100 * UNIT; now += UNIT)
		assert_int_equal(spent_is(set, name_of(9), now), now >= TURN && now < TURN + 3 * UNIT);
	free(set);
}

/* Nothing is found in an empty set, nor what has another name by one bit, above or below. */
static void test_names(void **state)
{
	struct sipdam_spent_set *set = empty_set();
	const __u64 name = 0x5a5a5a5a5a5a5a5aULL & ~SPENT_TIME_MASK;

	(void)state;
	for (__u64 now = TURN - 100 * UNIT; now < TURN + 100 * UNIT; now += UNIT)
		for (__u64 number = 0; number < 3; number++)
			assert_false(spent_is(set, number << SPENT_TIME_BITS, now));
	spent_note(set, name, 1000 * UNIT, 1060 * UNIT);
	assert_true(spent_is(set, name, 1010 * UNIT));
	for (int bit = SPENT_TIME_BITS; bit < 64; bit++)
		assert_false(spent_is(set, name ^ 1ULL << bit, 1010 * UNIT));
	free(set);
}

/* Names of one source differ by class and by policy, also in what a word has of them. */
static void test_what_a_name_is_of(void **state)
{
	__u64 name[16 * 4];

	(void)state;
	for (__u32 i = 0; i < 16 * 4; i++) {
		name[i] = spent_name(0x0123456789abcdefULL, i & 15, i >> 4) >> SPENT_TIME_BITS;
		for (__u32 j = 0; j < i; j++)
			assert_int_not_equal(name[i], name[j]);
	}
}

/* What ends first gives way, and what has ended before that; the same name has one place. */
static void test_a_full_set(void **state)
{
	struct sipdam_spent_set *set = empty_set();
	const __u64 now = 1000 * UNIT;

	(void)state;
	for (int i = 0; i < SIPDAM_SPENT_WAYS; i++)
		spent_note(set, name_of(i), now, now + (20 + 10 * i) * UNIT);
	for (int i = 0; i < 8; i++)
		spent_note(set, name_of(3), now + i * UNIT, now + (50 + i) * UNIT);
	for (int i = 0; i < SIPDAM_SPENT_WAYS; i++)
		assert_true(spent_is(set, name_of(i), now + 8 * UNIT));
	spent_note(set, name_of(8), now + 8 * UNIT, now + 9 * UNIT);
	assert_false(spent_is(set, name_of(0), now + 8 * UNIT));
	assert_true(spent_is(set, name_of(8), now + 8 * UNIT));
	/* It has ended: its place is the next one's, and nobody is forgotten. */
	spent_note(set, name_of(9), now + 10 * UNIT, now + 60 * UNIT);
	for (int i = 1; i < SIPDAM_SPENT_WAYS; i++)
		assert_true(spent_is(set, name_of(i), now + 10 * UNIT));
	assert_true(spent_is(set, name_of(9), now + 10 * UNIT));
	free(set);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_until_the_unit_of_the_moment),
		cmocka_unit_test(test_the_clocks_turn),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_what_a_name_is_of),
		cmocka_unit_test(test_a_full_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
