/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Token buckets, compiled natively: the arithmetic of one word and of a line, against a plain bucket that
 * counts in 64 bits, at the edges of 44 bits, and from two threads at once.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#pragma GCC diagnostic ignored "-Wunknown-pragmas" /* clang's unroll */
#include "bucket.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define TURN        (1ULL << SIPDAM_TAT_BITS)
#define HORIZON     (1ULL << 30)
#define NOW         123456789ULL
#define SOURCE      0xabcd000000000000ULL /* hashes: the tag is of the first sixteen bits */
#define OTHER       0x1234000000000000ULL

static struct sipdam_limit limit_of(__u64 interval, __u32 burst)
{
	return (struct sipdam_limit){.interval = interval, .depth = interval * burst, .burst = burst};
}

/* A line alone in memory of its exact size. */
static struct sipdam_line *new_line(void)
{
	struct sipdam_line *line = aligned_alloc(64, sizeof(*line));

	assert_non_null(line);
	memset(line, 0, sizeof(*line));
	return line;
}

/* Takes one. */
static int take(struct sipdam_line *line, __u64 tag, __u64 now, const struct sipdam_limit *limit,
		bool *displaced)
{
	*displaced = false;
	return line_take(line, tag, now, HORIZON, limit, 1, displaced);
}

static int take_many(struct sipdam_line *line, __u64 tag, __u64 now, const struct sipdam_limit *limit,
		     int tries)
{
	bool displaced;
	int admitted = 0;

	for (int i = 0; i < tries; i++)
		admitted += take(line, tag, now, limit, &displaced) == BUCKET_ADMITS;
	return admitted;
}

static void test_tags(void **state)
{
	(void)state;
	assert_int_equal(bucket_tag(0, 1), 1);
	assert_int_equal(bucket_tag(~0ULL, 15), (1 << TAG_BITS) - 1);
	assert_int_equal(bucket_tag(0xabcdULL << 48, 5), 0xabcd5);
	assert_int_equal(bucket_tag(0x0000ffffffffffffULL, 5), 5); /* the other bits choose the line */
	for (__u32 kind = 1; kind < SIPDAM_CLASSES_MAX; kind++)
		assert_true(bucket_tag(0, kind) != 0);
}

static void test_ahead(void **state)
{
	static const struct {
		__u64 word, now, ahead;
	} rows[] = {
		{NOW, NOW, 0},
		{NOW + 1, NOW, 1},
		{NOW - 1, NOW, 0},
		{NOW + HORIZON, NOW, HORIZON},
		{NOW + HORIZON + 1, NOW, 0},
		{5, TURN - 5, 10},       /* behind the turn, seen from before it */
		{TURN - 5, TURN + 5, 0}, /* before the turn, seen from behind it */
		{TURN - 5, 2 * TURN - 10, 5},
		{HORIZON - 10, TURN - 10, HORIZON},
		{HORIZON - 9, TURN - 10, 0},
		{0xabcd5ULL << SIPDAM_TAT_BITS | 7, 3, 4}, /* the tag is no part of it */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		if (bucket_ahead(rows[i].word, rows[i].now, HORIZON) != rows[i].ahead)
			fail_msg("row %zu: %llu ahead", i, bucket_ahead(rows[i].word, rows[i].now, HORIZON));
}

static void test_costs(void **state)
{
	struct sipdam_limit limit = limit_of(100, 5), nothing = {.interval = 1};

	(void)state;
	assert_int_equal(bucket_cost(&limit, 0), 0);
	assert_int_equal(bucket_cost(&limit, 1), 100);
	assert_int_equal(bucket_cost(&limit, 5), 500);
	assert_int_equal(bucket_cost(&limit, 6), 500);
	assert_true(bucket_conforms(&limit, 0, 500));
	assert_false(bucket_conforms(&limit, 1, 500));
	assert_true(bucket_conforms(&limit, 400, 100));
	assert_false(bucket_conforms(&limit, 401, 100));
	assert_false(bucket_conforms(&limit, 501, 0));
	assert_false(bucket_conforms(&nothing, 0, 0));
	assert_false(limit_is_unlimited(&nothing));
}

/* A bucket as one would write it without words, turns and lines. */
struct plain {
	__u64 arrival;
};

static bool plain_take(struct plain *plain, __u64 now, const struct sipdam_limit *limit, __u32 n)
{
	__u64 ahead = plain->arrival > now ? plain->arrival - now : 0;
	__u64 cost = limit->interval * n;

	if (cost > limit->depth)
		cost = limit->depth;
	if (ahead + cost > limit->depth)
		return false;
	plain->arrival = now + ahead + cost;
	return true;
}

static __u64 random_next(__u64 *seed)
{
	*seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return *seed >> 33;
}

/* Three sources in one line and a pool, at random steps across the turn of the clock. */
static void test_against_a_plain_bucket(void **state)
{
	static const __u64 tags[] = {0xaaaa1, 0xbbbb1, 0xaaaa2};
	struct plain plain[COUNT(tags)] = {{0}}, plain_pool = {0};
	struct sipdam_limit limit = limit_of(1000, 20);
	struct sipdam_line *line = new_line();
	struct sipdam_pool pool = {0};
	__u64 seed = 1, now = TURN - 50000000;
	int refused = 0, tries = 200000;

	(void)state;
	for (int i = 0; i < tries; i++) {
		size_t which = random_next(&seed) % COUNT(tags);
		__u32 n = random_next(&seed) % 8 ? 1 : (__u32)(random_next(&seed) % 30);
		bool displaced = false, expected = plain_take(&plain[which], now, &limit, n);

		refused += !expected;
		assert_int_equal(line_conforms(line, tags[which], now, HORIZON, &limit, n), expected);
		assert_int_equal(line_take(line, tags[which], now, HORIZON, &limit, n, &displaced),
				 expected ? BUCKET_ADMITS : BUCKET_REFUSES);
		assert_false(displaced);
		expected = plain_take(&plain_pool, now, &limit, n);
		assert_int_equal(pool_conforms(&pool.tat, now, &limit, n), expected);
		assert_int_equal(pool_take(&pool.tat, now, &limit, n), expected ? BUCKET_ADMITS : BUCKET_REFUSES);
		now += random_next(&seed) % 2 ? random_next(&seed) % 2000 : 0;
	}
	assert_true(now > TURN);
	assert_in_range(refused, tries / 20, tries * 19 / 20); /* both answers were seen */
	free(line);
}

static void test_a_refusal_writes_nothing(void **state)
{
	struct sipdam_limit limit = limit_of(100, 2), nothing = {.interval = 1};
	struct sipdam_line *line = new_line(), before;
	bool displaced;

	(void)state;
	assert_int_equal(take_many(line, 0xabcd1, NOW, &limit, 2), 2);
	before = *line;
	assert_int_equal(take(line, 0xabcd1, NOW, &limit, &displaced), BUCKET_REFUSES);
	assert_int_equal(take(line, 0xabcd2, NOW, &nothing, &displaced), BUCKET_REFUSES);
	assert_memory_equal(line, &before, sizeof(before));
	free(line);
}

/* Full of others: the smallest arrival time goes, and is counted only where it is still to come. */
static void test_a_full_line(void **state)
{
	struct sipdam_limit limit = limit_of(100, 10);
	struct sipdam_line *line = new_line();
	bool displaced;

	(void)state;
	for (__u64 i = 1; i <= SIPDAM_WAYS; i++)
		assert_int_equal(take_many(line, i << TAG_KIND_BITS | 1, NOW, &limit, (int)i), (int)i);
	assert_int_equal(take(line, 0x99991, NOW, &limit, &displaced), BUCKET_ADMITS);
	assert_true(displaced);
	assert_int_equal(line->word[0] >> SIPDAM_TAT_BITS, 0x99991);
	assert_int_equal(line->word[0] & TAT_MASK, NOW + 100); /* a full bucket, less one */
	assert_int_equal(take(line, 0x88881, NOW + 100, &limit, &displaced), BUCKET_ADMITS);
	assert_false(displaced);
	free(line);
}

/* What replaces a word of its own source takes over its debt. */
static void test_a_line_full_of_one_source(void **state)
{
	struct sipdam_limit limit = limit_of(100, 10);
	struct sipdam_line *line = new_line();
	bool displaced;

	(void)state;
	for (__u32 kind = 1; kind <= SIPDAM_WAYS; kind++)
		assert_int_equal(take_many(line, bucket_tag(SOURCE, kind), NOW, &limit, 5), 5);
	assert_int_equal(take_many(line, bucket_tag(SOURCE, 9), NOW, &limit, 20), 5);
	assert_int_equal(take_many(line, bucket_tag(SOURCE, 1), NOW, &limit, 20), 5);
	assert_true(line_conforms(line, bucket_tag(OTHER, 1), NOW, HORIZON, &limit, 10));
	assert_false(line_conforms(line, bucket_tag(SOURCE, 10), NOW, HORIZON, &limit, 6));
	assert_true(line_conforms(line, bucket_tag(SOURCE, 10), NOW, HORIZON, &limit, 5));
	assert_int_equal(take(line, bucket_tag(OTHER, 1), NOW, &limit, &displaced), BUCKET_ADMITS);
	assert_true(displaced);
	free(line);
}

/* A free word lies ahead of nothing, at any time. */
static void test_free_words_are_taken_first(void **state)
{
	static const __u64 times[] = {NOW, TURN - 1, TURN - HORIZON, TURN - HORIZON / 2, TURN, 0, 1};
	struct sipdam_limit limit = limit_of(100, 10);

	(void)state;
	for (size_t i = 0; i < COUNT(times); i++) {
		struct sipdam_line *line = new_line();
		bool displaced;

		for (__u64 n = 1; n <= SIPDAM_WAYS; n++) {
			assert_int_equal(take(line, n << TAG_KIND_BITS | 1, times[i], &limit, &displaced),
					 BUCKET_ADMITS);
			assert_false(displaced);
		}
		for (__u64 n = 1; n <= SIPDAM_WAYS; n++)
			assert_int_equal(take_many(line, n << TAG_KIND_BITS | 1, times[i], &limit, 20), 9);
		free(line);
	}
}

/* Deeper in debt than the bucket is now: from the first refusal on it is an empty bucket. */
static void test_limits_lowered(void **state)
{
	struct sipdam_limit before = limit_of(100, 50), after = limit_of(1000, 2);
	struct sipdam_line *line = new_line();
	struct sipdam_pool pool = {0};
	bool displaced;

	(void)state;
	assert_int_equal(take_many(line, 0xabcd1, NOW, &before, 50), 50);
	assert_int_equal(take(line, 0xabcd1, NOW, &after, &displaced), BUCKET_REFUSES);
	assert_int_equal(take(line, 0xabcd1, NOW + 999, &after, &displaced), BUCKET_REFUSES);
	assert_int_equal(take(line, 0xabcd1, NOW + 1000, &after, &displaced), BUCKET_ADMITS);
	assert_int_equal(pool_take(&pool.tat, NOW, &before, 50), BUCKET_ADMITS);
	assert_int_equal(pool_take(&pool.tat, NOW, &after, 1), BUCKET_REFUSES);
	assert_int_equal(pool_take(&pool.tat, NOW + 999, &after, 1), BUCKET_REFUSES);
	assert_int_equal(pool_take(&pool.tat, NOW + 1000, &after, 1), BUCKET_ADMITS);
	free(line);
}

/* ---- two at once ---- */

struct rivals {
	struct sipdam_line *line;
	struct sipdam_pool pool;
	struct sipdam_limit limit;
	int from_line[2], from_pool[2];
	pthread_barrier_t start;
};

struct rival {
	struct rivals *all;
	int number;
};

/* Takes until refused; a bucket contended for is asked again. */
static void *compete(void *argument)
{
	struct rival *rival = argument;
	struct rivals *all = rival->all;
	bool displaced = false;
	int answer;

	pthread_barrier_wait(&all->start);
	while ((answer = line_take(all->line, 0xabcd1, NOW, HORIZON, &all->limit, 1, &displaced)) !=
	       BUCKET_REFUSES)
		all->from_line[rival->number] += answer == BUCKET_ADMITS;
	while ((answer = pool_take(&all->pool.tat, NOW, &all->limit, 1)) != BUCKET_REFUSES)
		all->from_pool[rival->number] += answer == BUCKET_ADMITS;
	return NULL;
}

static void test_two_at_once_get_no_more_than_one(void **state)
{
	struct rivals all = {.line = new_line(), .limit = limit_of(100, 50000)};
	struct rival rival[2] = {{&all, 0}, {&all, 1}};
	pthread_t thread[2];

	(void)state;
	pthread_barrier_init(&all.start, NULL, 2);
	/* A word of its own, so that the two do not make one each: a race that costs one packet a CPU. */
	all.line->word[3] = 0xabcd1ULL << SIPDAM_TAT_BITS | NOW;
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, compete, &rival[i]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	pthread_barrier_destroy(&all.start);
	assert_int_equal(all.from_line[0] + all.from_line[1], 50000);
	assert_int_equal(all.from_pool[0] + all.from_pool[1], 50000);
	free(all.line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_ahead),
		cmocka_unit_test(test_costs),
		cmocka_unit_test(test_against_a_plain_bucket),
		cmocka_unit_test(test_a_refusal_writes_nothing),
		cmocka_unit_test(test_a_full_line),
		cmocka_unit_test(test_a_line_full_of_one_source),
		cmocka_unit_test(test_free_words_are_taken_first),
		cmocka_unit_test(test_limits_lowered),
		cmocka_unit_test(test_two_at_once_get_no_more_than_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
