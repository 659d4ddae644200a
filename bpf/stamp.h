/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Memory of requests that strangers must send again: a stamp for the first copy of each, and who has sent
 * one again in time. Pure: lines, hashes and a time in, an answer out. When strangers must, and what a
 * request is, is verify.h's.
 *
 * A line has sixteen stamps, tag:20 | time:12, in units of 8.4 ms; the oldest gives way, so that a stamp
 * lives until sixteen newer ones have met its line. They are written by plain stores: of two CPUs that write
 * the same one at once, one is forgotten, and its sender has to send once more.
 */
#ifndef STAMP_H
#define STAMP_H

#include <stdbool.h>

#include "cursor.h"
#include "sipdam/state.h"

#define STAMP_TIME_SHIFT 23 /* nanoseconds to units: 8.4 ms */
#define STAMP_TIME_BITS  12 /* 34.4 s, and timers end at 32 (RFC 3261 17.1.1.2) */
#define STAMP_TIME_MASK  ((1u << STAMP_TIME_BITS) - 1)
#define STAMP_TAG_SHIFT  44 /* the hash's highest 20 bits */

enum stamp_answer {
	STAMP_FIRST = 0, /* no copy is known: this one is, now */
	STAMP_EARLY = 1, /* sooner after the first copy than timers go */
	STAMP_AGAIN = 2, /* sent again as the protocol says */
};

/* A stamp is never 0, which marks a free place: a tag of 0 counts as 1. */
static __always_inline __u32 stamp_tag(__u64 hash)
{
	__u32 tag = hash >> STAMP_TAG_SHIFT;

	return tag ? tag : 1;
}

/* Units since the stamp was made, modulo 34.4 s. */
static __always_inline __u32 stamp_age(__u32 stamp, __u64 now)
{
	return ((__u32)(now >> STAMP_TIME_SHIFT) - stamp) & STAMP_TIME_MASK;
}

static __always_inline __u32 stamp_read(const struct sipdam_stamps *line, __u32 way)
{
	return *(const volatile __u32 *)&line->stamp[way & (SIPDAM_STAMPS - 1)];
}

/*
 * Looks for a copy of the request with this hash, and remembers it if there is none whose time has not run
 * out. least, most: nanoseconds between copies. Times are compared in whole units, the least rounded down: a
 * copy is never called early that was not.
 */
static __always_inline int stamp_look(struct sipdam_stamps *line, __u64 hash, __u64 now, __u64 least,
				      __u64 most)
{
	__u32 tag = stamp_tag(hash), oldest = 0, oldest_age = 0, place = SIPDAM_STAMPS;

#pragma unroll
	for (__u32 way = 0; way < SIPDAM_STAMPS; way++) {
		__u32 stamp = stamp_read(line, way);
		__u32 age = stamp ? stamp_age(stamp, now) : STAMP_TIME_MASK + 1;

		if (stamp >> STAMP_TIME_BITS == tag)
			place = way;
		if (age > oldest_age) {
			oldest = way;
			oldest_age = age;
		}
	}
	if (place < SIPDAM_STAMPS) {
		__u64 age = stamp_age(stamp_read(line, place), now);

		if (age < least >> STAMP_TIME_SHIFT)
			return STAMP_EARLY;
		if (age <= most >> STAMP_TIME_SHIFT)
			return STAMP_AGAIN;
		oldest = place; /* too late: a first copy of another time */
	}
	*(volatile __u32 *)&line->stamp[oldest & (SIPDAM_STAMPS - 1)] =
		tag << STAMP_TIME_BITS | ((__u32)(now >> STAMP_TIME_SHIFT) & STAMP_TIME_MASK);
	return STAMP_FIRST;
}

/*
 * Who has sent again: a line of eight words, tag:32 | time:32 in the same units, which wrap after 417 days.
 * The oldest gives way.
 */
#define VERIFIED_TAG_SHIFT 32

static __always_inline __u64 verified_tag(__u64 hash)
{
	return hash >> VERIFIED_TAG_SHIFT << VERIFIED_TAG_SHIFT;
}

/* Nanoseconds since the sender with this hash has sent again, in whole units; ~0 if it has not. */
static __always_inline __u64 verified_age(const struct sipdam_line *line, __u64 hash, __u64 now)
{
	__u32 units = now >> STAMP_TIME_SHIFT;

#pragma unroll
	for (__u32 way = 0; way < SIPDAM_WAYS; way++) {
		__u64 word = *(const volatile __u64 *)&line->word[way];

		if (word && (word ^ hash) >> VERIFIED_TAG_SHIFT == 0)
			return (__u64)(units - (__u32)word) << STAMP_TIME_SHIFT;
	}
	return ~0ULL;
}

/* Remembers that it has, now. */
static __always_inline void verified_note(struct sipdam_line *line, __u64 hash, __u64 now)
{
	__u32 units = now >> STAMP_TIME_SHIFT, oldest = 0;
	__u64 oldest_age = 0;

#pragma unroll
	for (__u32 way = 0; way < SIPDAM_WAYS; way++) {
		__u64 word = *(const volatile __u64 *)&line->word[way];
		__u64 age = word ? (__u64)(units - (__u32)word) : 1ULL << 32;

		if (word && (word ^ hash) >> VERIFIED_TAG_SHIFT == 0)
			age = 1ULL << 33;
		if (age >= oldest_age) {
			oldest = way;
			oldest_age = age;
		}
	}
	*(volatile __u64 *)&line->word[oldest & (SIPDAM_WAYS - 1)] = verified_tag(hash) | units;
}

#endif
