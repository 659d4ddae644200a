/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Floods from thousands of sources, each of them over its limit. What was refused takes nothing from its bucket, so
 * that the moment is known when that can admit again, and what its source sends before is refused from memory: a
 * small one, that stays in a CPU's own cache where the lines of so many sources do not. Nothing follows from being
 * forgotten. Pure: a set, a name and a time in, an answer out.
 *
 * A set has four words, name:36 | until:28 in units of 1.05 ms (2^20 ns), which wrap after 78 hours. It says so for
 * 67 ms at most: what else may change in the meantime, a ban, a list or trust, waits no longer for it.
 */
#ifndef SPENT_H
#define SPENT_H

#include <stdbool.h>

#include "cursor.h"
#include "sipdam/state.h"

#define SPENT_UNIT_SHIFT 20
#define SPENT_TIME_BITS  28
#define SPENT_TIME_MASK  ((1ULL << SPENT_TIME_BITS) - 1)
#define SPENT_LONG_SHIFT 6 /* units that an entry is good for at most, as a power of two: 64 */

/*
 * What a bucket is called: the hash of an address that asked it, what of its messages, and the policy by which it was
 * refused, so that those of another one are not found. kind: 0 to 15; policy: any small number.
 */
static __always_inline __u64 spent_name(__u64 hash, __u32 kind, __u32 policy)
{
	return hash + (kind | (__u64)policy << 4) * 0x9e3779b97f4a7c15ULL;
}

/* By other bits than the name in a word. */
static __always_inline struct sipdam_spent_set *spent_set(struct sipdam_spent *spent, __u64 name)
{
	return &spent->set[name >> 4 & (SIPDAM_SPENT_SETS - 1)];
}
_Static_assert(4 + SIPDAM_SPENT_SET_BITS <= SPENT_TIME_BITS, "the set's bits are not in the word");

/* Units that a word of this name lies ahead of now, less one; 2^6 and more where it has another name, or is over. */
static __always_inline __u64 spent_ahead(__u64 word, __u64 name, __u64 now)
{
	return word - ((name & ~SPENT_TIME_MASK) | (now >> SPENT_UNIT_SHIFT & SPENT_TIME_MASK)) - 1;
}

/* Is this bucket known to refuse now? Without a branch for each word. now: nanoseconds. */
static __always_inline bool spent_is(const struct sipdam_spent_set *set, __u64 name, __u64 now)
{
	__u64 found = 0;

#pragma unroll
	for (int way = 0; way < SIPDAM_SPENT_WAYS; way++)
		found |= (spent_ahead(*(const volatile __u64 *)&set->word[way], name, now) >> SPENT_LONG_SHIFT) - 1;
	return found >> 63;
}

/* Units until a word ends; 0 where it has ended. */
static __always_inline __u64 spent_left(__u64 word, __u64 now)
{
	__u64 left = (word - (now >> SPENT_UNIT_SHIFT)) & SPENT_TIME_MASK;

	return left > 1ULL << SPENT_LONG_SHIFT ? 0 : left;
}

/*
 * Remembers that a bucket refuses until a moment, in place of what ends first, its own word before all others. A
 * moment within the unit is not worth it, nor one that is over. now, until: nanoseconds.
 */
static __always_inline void spent_note(struct sipdam_spent_set *set, __u64 name, __u64 now, __u64 until)
{
	__u64 units = (until >> SPENT_UNIT_SHIFT) - (now >> SPENT_UNIT_SHIFT), least = ~0ULL, place = 0;

	if ((__s64)units <= 0)
		return;
	if (units > 1ULL << SPENT_LONG_SHIFT)
		units = 1ULL << SPENT_LONG_SHIFT;
#pragma nounroll
	for (__u64 way = 0; way < SIPDAM_SPENT_WAYS; way++) {
		__u64 word = *(const volatile __u64 *)&set->word[way];
		__u64 left = (word ^ name) >> SPENT_TIME_BITS ? 1 + spent_left(word, now) : 0;

		if (left < least) {
			least = left;
			place = way;
		}
	}
	*(volatile __u64 *)&set->word[place & (SIPDAM_SPENT_WAYS - 1)] =
		(name & ~SPENT_TIME_MASK) | (((now >> SPENT_UNIT_SHIFT) + units) & SPENT_TIME_MASK);
}

#endif
