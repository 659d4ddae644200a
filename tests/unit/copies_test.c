// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The memory of messages that may come again, compiled natively, in lines of exact size; and its looks in a storm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#pragma GCC diagnostic ignored "-Wunknown-pragmas" /* clang's unroll */
#include "copies.h"

#define UNITS(milliseconds) ((__u32)((milliseconds)*1000000ULL >> COPY_UNIT_SHIFT))

static const struct timetable invite = TIMETABLE_INVITE, answer = TIMETABLE_ANSWER;

/* Hashes whose tags are all different. */
static __u64 hash_of(__u64 number)
{
	return (number + 1) << COPY_TAG_SHIFT;
}

static struct sipdam_line *empty_line(void)
{
	struct sipdam_line *line = aligned_alloc(64, sizeof(*line));

	*line = (struct sipdam_line){};
	return line;
}

/* Times wrap in 27 bits, and nothing is seen of it. */
static void test_the_clocks_turn(void **state)
{
	struct sipdam_line *line = empty_line();
	__u32 now = (1u << COPY_TIME_BITS) - UNITS(600);

	(void)state;
	assert_false(copy_remember(line, hash_of(1), now));
	assert_int_equal(copy_look(line, hash_of(1), now + UNITS(500), &invite), COPY_FREE);
	assert_int_equal(copy_look(line, hash_of(1), now + UNITS(1500), &invite), COPY_FREE);
	assert_int_equal(copy_look(line, hash_of(2), now + UNITS(1500), &invite), COPY_UNKNOWN);
	free(line);
}

/* The server's first refusal is always seen: only the copy after T1 may be the first. */
static void test_answers_begin_with_t1(void **state)
{
	static const int after[] = {500, 1000, 2000};

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct sipdam_line *line = empty_line();

		copy_remember(line, hash_of(1), 1000);
		assert_int_equal(copy_look(line, hash_of(1), 1000 + UNITS(after[i]), &answer),
				 i ? COPY_PAYS : COPY_FREE);
		assert_int_equal(copy_look(line, hash_of(1), 1000 + UNITS(after[i] + 1000), &answer),
				 i ? COPY_PAYS : COPY_FREE);
		free(line);
	}
}

/* A full line forgets the oldest, and counts one that lives; a copy makes a message younger. */
static void test_a_full_line(void **state)
{
	struct sipdam_line *line = empty_line();

	(void)state;
	for (int i = 0; i < SIPDAM_WAYS; i++)
		assert_false(copy_remember(line, hash_of(i), 1000 + i));
	assert_int_equal(copy_look(line, hash_of(0), 1000 + UNITS(500), &invite), COPY_FREE);
	assert_true(copy_remember(line, hash_of(8), 1000 + UNITS(500)));
	assert_int_equal(copy_look(line, hash_of(1), 1000 + UNITS(501), &invite), COPY_UNKNOWN);
	assert_int_equal(copy_look(line, hash_of(2), 1000 + UNITS(501), &invite), COPY_FREE);
	assert_int_equal(copy_look(line, hash_of(0), 1000 + UNITS(1500), &invite), COPY_FREE);
	/* Eight places whose time is over are free. */
	for (int i = 10; i < 10 + SIPDAM_WAYS; i++)
		assert_false(copy_remember(line, hash_of(i), 2000 + UNITS(33600)));
	assert_true(copy_remember(line, hash_of(30), 2000 + UNITS(33600)));
	free(line);
}

/* In a storm so many packets are looked for in a unit, and as many in the next. */
static void test_looks_in_a_storm(void **state)
{
	static const __u64 starts[] = {0, 1000000000000ULL, ~0ULL >> 1 >> 8 << 8};

	(void)state;
	for (int i = 0; i < 3; i++) {
		__u64 now = starts[i] >> LOOK_UNIT_SHIFT << LOOK_UNIT_SHIFT;
		__u32 place = 0;

		for (int unit = 0; unit < 3; unit++, now += 1ULL << LOOK_UNIT_SHIFT) {
			for (int look = 0; look < LOOKS_A_UNIT; look++) {
				assert_true(look_is_left(place, now + look));
				place = look_taken(place, now + look);
			}
			assert_false(look_is_left(place, now));
			assert_false(look_is_left(place, now + (1ULL << LOOK_UNIT_SHIFT) - 1));
		}
		assert_true(look_is_left(place, now));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_clocks_turn),
		cmocka_unit_test(test_answers_begin_with_t1),
		cmocka_unit_test(test_a_full_line),
		cmocka_unit_test(test_looks_in_a_storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
