/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the server answered to a source lately: that it was challenged, and how often it was refused since
 * anything of it succeeded. A line of `failures` has words of tag:19 of the source | kind:1 | count:12 |
 * time:32, times in units of 4.2 ms (2^22 ns), which wrap after 208 days; 0 is free.
 */
#ifndef FAILURES_H
#define FAILURES_H

#include "bans.h"

#define FAILURE_UNIT_SHIFT  22
#define FAILURE_COUNT_SHIFT 32
#define FAILURE_COUNT_MAX   0xfffu
#define FAILURE_KIND        (1ULL << 44)
#define FAILURE_TAG_SHIFT   45

#define FAILURE_UNITS(nanoseconds)                                                                           \
	((__u32)(((nanoseconds) + (1ULL << FAILURE_UNIT_SHIFT) - 1) >> FAILURE_UNIT_SHIFT))

/* Within so long a challenged source registers with its credentials: timer F of RFC 3261 (17.1.2.2). */
#define CHALLENGE_NANOSECONDS (32 * 1000000000ULL)
#define CHALLENGE_UNITS       FAILURE_UNITS(CHALLENGE_NANOSECONDS)

/* Refusals without a success must go on for so long, or all phones of an office that register at once would
 * be taken for a guesser; and count for so long, or a phone that is switched on daily with a wrong password.
 */
#define FAILURES_LEAST_UNITS FAILURE_UNITS(4 * 1000000000ULL)
#define FAILURES_MOST_UNITS  FAILURE_UNITS(3600 * 1000000000ULL)

enum failure_kind {
	KIND_CHALLENGE = 0,
	KIND_REFUSALS = 1,
};

struct failure_slot {
	__u64 word; /* as read */
	__u32 way;
	bool found;
};

static __always_inline __u64 failure_word(__u64 hash, __u32 kind, __u32 count, __u32 time)
{
	return hash >> FAILURE_TAG_SHIFT << FAILURE_TAG_SHIFT | (kind ? FAILURE_KIND : 0) |
	       (__u64)count << FAILURE_COUNT_SHIFT | time;
}

static __always_inline __u32 failure_count(__u64 word)
{
	return word >> FAILURE_COUNT_SHIFT & FAILURE_COUNT_MAX;
}

static __always_inline __u32 failure_age(__u64 word, __u32 now)
{
	return now - (__u32)word;
}

/* Is it of any use yet? */
static __always_inline bool failure_counts(__u64 word, __u32 now)
{
	return word &&
	       failure_age(word, now) <= (word & FAILURE_KIND ? FAILURES_MOST_UNITS : CHALLENGE_UNITS);
}

static __always_inline struct sipdam_line *failure_line(__u64 hash)
{
	__u32 index = hash & (SIPDAM_FAILURE_LINES - 1);

	return bpf_map_lookup_elem(&failures, &index);
}

/* Is it a source's word of this kind? */
static __always_inline bool failure_is(__u64 word, __u64 hash, __u32 kind)
{
	return word && !((word ^ failure_word(hash, kind, 0, 0)) >> (FAILURE_TAG_SHIFT - 1));
}

/*
 * The way of its own word, else of one that is of no use any more, else of the oldest. now: units, here and below.
 * A function of its own so that the kernel verifies the search once.
 */
__noinline int failure_way(__u64 hash, __u32 kind, __u32 now)
{
	struct sipdam_line *line = failure_line(hash);
	__u64 best;
	int place = 0;

	if (!line)
		return 0;
	best = line_word(line, 0);
#pragma nounroll
	for (__u32 way = 0; way < SIPDAM_WAYS; way++) {
		__u64 word = line_word(line, way);

		if (failure_is(word, hash, kind))
			return way;
		if (failure_counts(best, now) &&
		    (!failure_counts(word, now) || failure_age(word, now) > failure_age(best, now))) {
			best = word;
			place = way;
		}
	}
	return place;
}

static __always_inline struct failure_slot failure_find(const struct sipdam_line *line, __u64 hash,
							__u32 kind, __u32 now)
{
	__u32 way = failure_way(hash, kind, now);
	__u64 word = line_word(line, way);

	return (struct failure_slot){.word = word, .way = way, .found = failure_is(word, hash, kind)};
}

static __always_inline bool failure_put(struct sipdam_line *line, const struct failure_slot *slot, __u64 word,
					__u32 now)
{
	if (!bucket_swap(&line->word[slot->way & (SIPDAM_WAYS - 1)], slot->word, word))
		return false;
	if (!slot->found && failure_counts(slot->word, now))
		count_table_event(SIPDAM_TABLE_FAILURE_DISPLACED);
	return true;
}

/* The source of this hash was challenged now; nanoseconds, here and below. */
__noinline int challenge_note(__u64 hash, __u64 now)
{
	struct sipdam_line *line = failure_line(hash);
	__u32 units = now >> FAILURE_UNIT_SHIFT;
	struct failure_slot slot;

	if (!line)
		return 0;
	slot = failure_find(line, hash, KIND_CHALLENGE, units);
	return failure_put(line, &slot, failure_word(hash, KIND_CHALLENGE, 1, units), units);
}

/* Was it challenged within the last 32 s? */
__noinline int challenge_holds(__u64 hash, __u64 now)
{
	struct sipdam_line *line = failure_line(hash);
	struct failure_slot slot;

	if (!line)
		return 0;
	slot = failure_find(line, hash, KIND_CHALLENGE, now >> FAILURE_UNIT_SHIFT);
	return slot.found && failure_counts(slot.word, now >> FAILURE_UNIT_SHIFT);
}

/* It was refused once more. 1 where it is one of too many: `most` outstanding, and long enough. */
__noinline int failure_strikes_out(__u64 hash, __u64 now, __u32 most)
{
	struct sipdam_line *line = failure_line(hash);
	__u32 units = now >> FAILURE_UNIT_SHIFT;

	if (!line)
		return 0;
	if (most > FAILURE_COUNT_MAX)
		most = FAILURE_COUNT_MAX;
#pragma nounroll
	for (int attempt = 0; attempt < 2; attempt++) {
		struct failure_slot slot = failure_find(line, hash, KIND_REFUSALS, units);
		bool goes_on = slot.found && failure_counts(slot.word, units);
		__u32 count = goes_on ? failure_count(slot.word) : 0;
		bool out;

		if (count < FAILURE_COUNT_MAX)
			count++;
		out = count >= most && goes_on && failure_age(slot.word, units) >= FAILURES_LEAST_UNITS;
		if (failure_put(line, &slot,
				out ? 0
				    : failure_word(hash, KIND_REFUSALS, count,
						   goes_on ? (__u32)slot.word : units),
				units))
			return out;
	}
	return 0;
}

/* Something of it succeeded. */
__noinline int failure_forgive(__u64 hash)
{
	struct sipdam_line *line = failure_line(hash);
	struct failure_slot slot;

	if (!line)
		return 0;
	slot = failure_find(line, hash, KIND_REFUSALS, 0);
	if (slot.found)
		bucket_swap(&line->word[slot.way & (SIPDAM_WAYS - 1)], slot.word, 0);
	return slot.found;
}

#endif
