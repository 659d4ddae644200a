/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Memory of requests that strangers must send again: when they must, a stamp for the first copy of each, and
 * who has sent one again in time. Pure: lines, hashes and a time in, an answer out. What a request is, is
 * verify.h's.
 *
 * A line has fifteen stamps, tag:18 | time:14, in units of 8.4 ms; the oldest gives way, so that a stamp
 * lives until fifteen newer ones have met its line. They are written by plain stores: of two CPUs that write
 * the same one at once, one is forgotten, and its sender has to send once more.
 */
#ifndef STAMP_H
#define STAMP_H

#include <stdbool.h>

#include "cursor.h"
#include "sipdam/state.h"

/* Classes that requests are of: for the others nobody is made to send again. */
static __always_inline bool is_request_class(__u32 class)
{
	return class && class < SIPDAM_CLASS_RESPONSE;
}
_Static_assert(SIPDAM_CLASS_INVITE == 1 && SIPDAM_CLASS_RESPONSE == 6, "requests come first");

/* Until verify.hold after the pool's last refusal. A pool that was never exhausted is asked nothing more. */
static __always_inline bool verification_is_on(const struct sipdam_pool *pool, __u64 now,
					       const struct sipdam_policy *policy)
{
	__u64 exhausted = *(const volatile __u64 *)&pool->exhausted;

	/* Signed: the clock of another CPU may be a tick ahead. */
	return exhausted && policy->verify_enabled && (__s64)(now - exhausted) < (__s64)policy->verify_hold;
}

#define STAMP_TIME_SHIFT 23 /* nanoseconds to units: 8.4 ms */
#define STAMP_TIME_BITS  14 /* 137 s: timers end at 32 (RFC 3261 17.1.1.2), and what is later is not taken for earlier */
#define STAMP_TIME_MASK  ((1u << STAMP_TIME_BITS) - 1)
#define STAMP_TAG_SHIFT  46 /* the hash's highest 18 bits */

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

/* Units since the stamp was made, modulo 137 s. */
static __always_inline __u32 stamp_age(__u32 stamp, __u64 now)
{
	return ((__u32)(now >> STAMP_TIME_SHIFT) - stamp) & STAMP_TIME_MASK;
}

static __always_inline __u32 stamp_read(const struct sipdam_stamps *line, __u32 way)
{
	return *(const volatile __u32 *)&line->stamp[way];
}

/* The same in both halves of a word. */
#define STAMP_PAIR(half) ((__u64)(half) << 32 | (half))
#define STAMP_TAGS       STAMP_PAIR((0x80000000u - (1u << (STAMP_TIME_BITS - 1)))) /* tags, moved by one bit: the highest is free for a carry */
#define STAMP_CARRIES    STAMP_PAIR(0x80000000u)

/*
 * Has the line a stamp with this tag? Two at a time and without a branch: a difference of tags carries into the
 * bit above. The place of the oldest has no tag.
 */
static __always_inline bool stamp_is_in(const struct sipdam_stamps *line, __u32 tag)
{
	const __u64 wanted = STAMP_PAIR(tag << STAMP_TIME_BITS);
	__u64 differ = ~0ULL;

#pragma unroll
	for (int i = 0; i < 8; i++) {
		__u64 pair = *(const volatile __u64 *)&line->pair[i];

		differ &= ((pair ^ wanted) >> 1 & STAMP_TAGS) + STAMP_TAGS;
	}
	return ~differ & STAMP_CARRIES;
}

/* Where the stamp with this tag is; SIPDAM_STAMPS: it is gone. */
static __always_inline __u32 stamp_way(const struct sipdam_stamps *line, __u32 tag)
{
	__u32 way = 0;

#pragma nounroll
	while (way < SIPDAM_STAMPS && stamp_read(line, way) >> STAMP_TIME_BITS != tag)
		way++;
	return way;
}

static __always_inline void stamp_write(struct sipdam_stamps *line, __u32 way, __u32 stamp)
{
	if (way < SIPDAM_STAMPS)
		*(volatile __u32 *)&line->stamp[way] = stamp;
}

/* Remembers a first copy in the place of the oldest one. */
static __always_inline void stamp_remember(struct sipdam_stamps *line, __u32 tag, __u64 now)
{
	__u32 place = *(const volatile __u32 *)&line->next, next = place + 1;

	stamp_write(line, place, tag << STAMP_TIME_BITS | ((__u32)(now >> STAMP_TIME_SHIFT) & STAMP_TIME_MASK));
	*(volatile __u32 *)&line->next = next < SIPDAM_STAMPS ? next : 0;
}

/*
 * Looks for a copy of the request with this hash, and remembers it if there is none whose time has not run
 * out. least, most: nanoseconds between copies. Times are compared in whole units, the least rounded down: a
 * copy is never called early that was not.
 */
static __always_inline int stamp_look(struct sipdam_stamps *line, __u64 hash, __u64 now, __u64 least,
				      __u64 most)
{
	__u32 tag = stamp_tag(hash), way;
	__u64 age;

	if (stamp_is_in(line, tag)) {
		way = stamp_way(line, tag);
		if (way >= SIPDAM_STAMPS)
			return STAMP_EARLY;
		age = stamp_age(stamp_read(line, way), now);
		if (age < least >> STAMP_TIME_SHIFT)
			return STAMP_EARLY;
		if (age <= most >> STAMP_TIME_SHIFT)
			return STAMP_AGAIN;
		stamp_write(line, way, 0); /* too late: a first copy of another time */
	}
	stamp_remember(line, tag, now);
	return STAMP_FIRST;
}

/*
 * Who has sent again: a line of eight words, tag:32 | time:32 in the same units, which wrap after 417 days.
 * The oldest gives way.
 */
#define VERIFIED_TAG_SHIFT 32

/* One that has need not do so for its next request, the next step of a digest exchange; and shares half of the
 * pool with all that have within the last minute. */
#define VERIFIED_FREE   (32 * 1000000000ULL)
#define VERIFIED_RECENT (60 * 1000000000ULL)

/* Half a pool's rate and burst, but room for one packet. */
static __always_inline struct sipdam_limit half_of(const struct sipdam_limit *limit)
{
	struct sipdam_limit half = {.interval = limit->interval * 2, .depth = limit->depth};

	if (half.depth && half.depth < half.interval)
		half.depth = half.interval;
	return half;
}

/*
 * A byte of the gate before those lines: the span of time in which a sender of its place was let in last, marked so
 * that it is never 0. Who was within the last minute was in this span or in the one before; 2.4 hours later an old
 * byte reads so again, and a line is read in vain.
 */
#define VERIFIED_SPAN_SHIFT 36 /* 69 s */
_Static_assert(VERIFIED_RECENT < 1ULL << VERIFIED_SPAN_SHIFT, "in this span or in the one before");

static __always_inline __u8 verified_span(__u64 now)
{
	return 0x80 | (now >> VERIFIED_SPAN_SHIFT & 0x7f);
}

static __always_inline bool verified_is_near(__u8 span, __u64 now)
{
	return span == verified_span(now) || span == verified_span(now - (1ULL << VERIFIED_SPAN_SHIFT));
}

static __always_inline __u64 verified_tag(__u64 hash)
{
	return hash >> VERIFIED_TAG_SHIFT << VERIFIED_TAG_SHIFT;
}

/* Is it in the line? Nearly nobody is, in a flood: without a branch, as with stamps. */
static __always_inline bool verified_is_in(const struct sipdam_line *line, __u64 hash)
{
	__u64 found = 0;

#pragma unroll
	for (__u32 way = 0; way < SIPDAM_WAYS; way++)
		found |= ((*(const volatile __u64 *)&line->word[way] ^ hash) >> VERIFIED_TAG_SHIFT) - 1;
	return found >> 63;
}

/* Nanoseconds since the sender with this hash has sent again, in whole units; ~0 if it has not. */
static __always_inline __u64 verified_age(const struct sipdam_line *line, __u64 hash, __u64 now)
{
	__u32 units = now >> STAMP_TIME_SHIFT;

	if (!verified_is_in(line, hash))
		return ~0ULL;
#pragma nounroll
	for (__u32 way = 0; way < SIPDAM_WAYS; way++) {
		__u64 word = *(const volatile __u64 *)&line->word[way];

		if (word && !((word ^ hash) >> VERIFIED_TAG_SHIFT))
			return (__u64)(__u32)(units - (__u32)word) << STAMP_TIME_SHIFT;
	}
	return ~0ULL;
}

/* A number of which a compiler knows nothing: newer ones make branches of the arithmetic below. */
static __always_inline __u64 opaque(__u64 number)
{
	asm volatile("" : "+r"(number));
	return number;
}

/* 1 if a number is 0, without a branch: the verifier follows one way through a line, not 2^16. */
static __always_inline __u64 is_zero_bit(__u64 number)
{
	return opaque((number - 1) >> 63) & opaque(~number >> 63);
}

static __always_inline __u64 larger_of(__u64 one, __u64 other)
{
	__u64 difference = one - other;

	return one - (difference & opaque((__u64)((__s64)difference >> 63)));
}

/* Where this sender is in a line, or what a new one may replace: same:1 | free:1 | age:32 | way:3. */
#define VERIFIED_FREE_BIT (1ULL << 32)
#define VERIFIED_SAME_BIT (1ULL << 33)

static __always_inline __u64 verified_place(const struct sipdam_line *line, __u64 hash, __u64 now)
{
	__u64 best = 0;

#pragma nounroll
	for (__u32 way = 0; way < SIPDAM_WAYS; way++) {
		__u64 word = *(const volatile __u64 *)&line->word[way];
		__u64 score = (__u32)((__u32)(now >> STAMP_TIME_SHIFT) - (__u32)word) |
			      is_zero_bit(word) * VERIFIED_FREE_BIT |
			      is_zero_bit((word ^ hash) >> VERIFIED_TAG_SHIFT) * VERIFIED_SAME_BIT;

		best = larger_of(best, score << SIPDAM_WAY_BITS | way);
	}
	return best;
}

/* Remembers that it has, now. */
static __always_inline void verified_note(struct sipdam_line *line, __u64 hash, __u64 now)
{
	__u64 place = verified_place(line, hash, now);

	*(volatile __u64 *)&line->word[place & (SIPDAM_WAYS - 1)] =
		verified_tag(hash) | (__u32)(now >> STAMP_TIME_SHIFT);
}

#endif
