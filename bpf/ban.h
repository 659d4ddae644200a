/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One ban: its word, its end, how long it lasts. Pure arithmetic, as bucket.h is of buckets; the tables are
 * bans.h's.
 */
#ifndef BAN_H
#define BAN_H

#include "bucket.h"

#define BAN_END_MASK ((1ULL << SIPDAM_BAN_END_BITS) - 1)

/* Doublings after which every ban.for has reached every ban.max: 365 days are 2^25 seconds. */
#define BAN_DOUBLINGS_MAX 25

static __always_inline __u64 ban_tag(__u64 hash)
{
	return hash >> SIPDAM_BAN_END_BITS;
}

static __always_inline __u64 ban_word(__u64 hash, __u64 end)
{
	return ban_tag(hash) << SIPDAM_BAN_END_BITS | (end & BAN_END_MASK);
}

/* Units from which on a ban is over: it lasts what was said and up to a millisecond more. */
static __always_inline __u64 ban_end(__u64 now, __u64 lasting)
{
	return (now + lasting + (1 << SIPDAM_BAN_UNIT_SHIFT) - 1) >> SIPDAM_BAN_UNIT_SHIFT;
}

static __always_inline __u64 ban_end_of(__u64 word)
{
	return word & BAN_END_MASK;
}

/* now: nanoseconds, here and below. */
static __always_inline bool ban_holds(__u64 word, __u64 now)
{
	return ban_end_of(word) > now >> SIPDAM_BAN_UNIT_SHIFT;
}

/* One that has ended still counts towards the next one's length. */
static __always_inline bool ban_is_remembered(__u64 word, __u64 now, __u64 most)
{
	return now < (ban_end_of(word) << SIPDAM_BAN_UNIT_SHIFT) + most;
}

/* Of the times-th ban in a row: `lasting`, doubled with each, `most` at most. Nanoseconds. */
static __always_inline __u64 ban_duration(__u64 lasting, __u64 most, __u32 times)
{
	__u32 doublings = times > BAN_DOUBLINGS_MAX ? BAN_DOUBLINGS_MAX : times - 1;

	return lasting > most >> doublings ? most : lasting << doublings;
}

/*
 * Has the line a word that is this source's by its tag, and holds? One tag in a million is another source's.
 * No is the answer to nearly all who ask.
 */
static __always_inline bool ban_is_in(const struct sipdam_line *line, __u64 hash, __u64 now)
{
	__u64 least = ban_tag(hash) << SIPDAM_BAN_END_BITS | now >> SIPDAM_BAN_UNIT_SHIFT;
	__u64 room = BAN_END_MASK - (now >> SIPDAM_BAN_UNIT_SHIFT);
	bool found = false;

	/* The same tag and a later end: what is left over fits the bits behind the tag. */
#pragma unroll
	for (__u32 way = 0; way < SIPDAM_WAYS; way++)
		found |= line_word(line, way) - least - 1 < room;
	return found;
}

#endif
