// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* How full a table of buckets is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "table.h"

#define NOW     1000000ULL /* ticks */
#define HORIZON 5000ULL
#define TAG     (7ULL << SIPDAM_TAT_BITS)
#define TURN    (1ULL << SIPDAM_TAT_BITS)

/* Of a table of two lines, as large as it is, with one word. */
static size_t live(__u64 word, __u64 now)
{
	struct sipdam_line *line = aligned_alloc(64, 2 * sizeof(*line));
	size_t found;

	line[0] = line[1] = (struct sipdam_line){};
	line[1].word[SIPDAM_WAYS - 1] = word;
	found = table_live(line, 2, now, HORIZON);
	free(line);
	return found;
}

static void test_what_is_in_use(void **state)
{
	(void)state;
	assert_int_equal(live(0, NOW), 0);
	assert_int_equal(live(TAG | (NOW + 1), NOW), 1);
	assert_int_equal(live(TAG | NOW, NOW), 0); /* a full bucket */
	assert_int_equal(live(TAG | (NOW - 1), NOW), 0);
	assert_int_equal(live(TAG | (NOW + HORIZON), NOW), 1);
	assert_int_equal(live(TAG | (NOW + HORIZON + 1), NOW), 0); /* of long ago */
}

/* Where the clock's 44 bits turn. */
static void test_around_the_turn(void **state)
{
	(void)state;
	assert_int_equal(live(TAG | 3, TURN - 1), 1);
	assert_int_equal(live(TAG | (TURN - 1), TURN + 3), 0);
	assert_int_equal(live(0, TURN - 1), 0);
}

static void test_all_of_it(void **state)
{
	struct sipdam_line line[3];

	(void)state;
	for (size_t i = 0; i < 3 * SIPDAM_WAYS; i++)
		line[i / SIPDAM_WAYS].word[i % SIPDAM_WAYS] = TAG | (NOW + 1 + i);
	assert_int_equal(table_live(line, 3, NOW, HORIZON), 3 * SIPDAM_WAYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_in_use),
		cmocka_unit_test(test_around_the_turn),
		cmocka_unit_test(test_all_of_it),
	};

	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
