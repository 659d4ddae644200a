/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Token buckets as GCRA (ITU-T I.371): one theoretical arrival time a bucket, moved only by packets
 * that conform. Pure arithmetic on words, limits and a time; the compare-and-swap is here too because a
 * word is nothing without it, and it compiles natively.
 *
 * A source or network word is tag:20 | arrival time:44. It shares its cache line with seven others.
 */
#ifndef BUCKET_H
#define BUCKET_H

#include <stdbool.h>

#include "cursor.h"
#include "sipdam/state.h"

#define TAT_MASK      ((1ULL << SIPDAM_TAT_BITS) - 1)
#define TAG_KIND_BITS 4
#define TAG_BITS      20

enum bucket_answer {
	BUCKET_ADMITS = 0,
	BUCKET_REFUSES = 1,
	BUCKET_CONTENDED =
		2, /* other CPUs took the word first, twice: refused, so that no rate is exceeded */
	BUCKET_CROWDED = 3, /* more would be taken than was to be without a question */
};

/* Where a tag is in a line, or which word it may replace. */
struct bucket_slot {
	__u64 word;  /* as read */
	__u64 ahead; /* ticks by which its arrival time lies in the future; 0: a full bucket */
	__u32 way;
	bool found;
};

static __always_inline bool limit_is_unlimited(const struct sipdam_limit *limit)
{
	return !limit->interval;
}

/* tag of a source's (or network's) hash and a kind from 1 to 15: never 0, which marks a free word. */
static __always_inline __u64 bucket_tag(__u64 hash, __u32 kind)
{
	return (hash >> (64 - TAG_BITS + TAG_KIND_BITS)) << TAG_KIND_BITS | (kind & 0xf);
}

/*
 * All ones for a negative difference: a choice without a branch, which a random source would mispredict. The
 * compiler must not know what the mask is, or it makes a branch of it after all.
 */
static __always_inline __u64 sign_mask(__u64 difference)
{
	__u64 mask = (__s64)difference >> 63;

	asm volatile("" : "+r"(mask));
	return mask;
}

/*
 * How far the word's arrival time lies ahead of now, ticks. Times wrap in 44 bits; one further ahead
 * than any bucket is deep (horizon) is an old word, and an old word is a full bucket.
 */
static __always_inline __u64 bucket_ahead(__u64 word, __u64 now, __u64 horizon)
{
	__u64 ahead = (word - now) & TAT_MASK;

	return ahead & ~sign_mask(horizon - ahead);
}

/* What n packets cost, ticks: never more than a full bucket, so that a large segment can pass at all. */
static __always_inline __u64 bucket_cost(const struct sipdam_limit *limit, __u32 n)
{
	__u64 cost = limit->interval * n;

	return cost > limit->depth ? limit->depth : cost;
}

/* Whether a bucket that lies `ahead` admits this cost. A depth of 0 is a rate of 0. */
static __always_inline bool bucket_conforms(const struct sipdam_limit *limit, __u64 ahead, __u64 cost)
{
	return limit->depth && ahead + cost <= limit->depth;
}

/* Intervals that limits are grown from, ticks (17 s): longer ones are left as they are, products would not fit. */
#define GROWN_INTERVAL_MAX (1ULL << 28)

/*
 * The limit of a site of several devices: that of one, and for each further one a stranger's on top, in rate
 * and in burst. It is no deeper in time than the deeper of the two.
 */
static __always_inline void limit_grow(struct sipdam_limit *grown, const struct sipdam_limit *base,
				       const struct sipdam_limit *each, __u32 devices)
{
	__u64 further = devices > SIPDAM_DEVICES_MAX ? SIPDAM_DEVICES_MAX - 1 : devices - 1;
	__u64 burst = base->burst + further * each->burst;

	*grown = *base;
	if (devices < 2 || !base->depth || !each->depth || !base->interval || !each->interval ||
	    base->interval > GROWN_INTERVAL_MAX ||
	    each->interval > GROWN_INTERVAL_MAX)
		return;
	grown->interval = base->interval * each->interval / (each->interval + further * base->interval);
	if (!grown->interval)
		grown->interval = 1;
	grown->burst = burst < SIPDAM_NO_BURST ? burst : SIPDAM_NO_BURST - 1;
	grown->depth = grown->burst * grown->interval;
}

static __always_inline bool bucket_swap(__u64 *word, __u64 from, __u64 to)
{
	return __sync_val_compare_and_swap(word, from, to) == from;
}

static __always_inline __u64 line_word(const struct sipdam_line *line, __u32 way)
{
	return *(const volatile __u64 *)&line->word[way & (SIPDAM_WAYS - 1)];
}

/*
 * The word that a new one may replace: the smallest arrival time, found without branches. A free word is
 * ahead of nothing, also shortly before the clock's turn, where a time of 0 would be.
 */
static __always_inline struct bucket_slot line_victim(const struct sipdam_line *line, __u64 now,
						      __u64 horizon)
{
	__u64 least = ~0ULL >> 1; /* ahead << 3 | way */
	struct bucket_slot slot = {.found = false};

#pragma unroll
	for (__u32 way = 0; way < SIPDAM_WAYS; way++) {
		__u64 word = line_word(line, way);
		__u64 ahead = bucket_ahead(word, now, horizon) & ~sign_mask(~word & (word - 1));
		__u64 each = ahead << SIPDAM_WAY_BITS | way;

		least += (each - least) & sign_mask(each - least);
	}
	slot.way = least & (SIPDAM_WAYS - 1);
	slot.word = line_word(line, slot.way);
	slot.ahead = bucket_ahead(slot.word, now, horizon);
	return slot;
}

/* Finds the tag, or else the word it may replace. */
static __always_inline struct bucket_slot line_find(const struct sipdam_line *line, __u64 tag, __u64 now,
						    __u64 horizon)
{
#pragma unroll
	for (__u32 way = 0; way < SIPDAM_WAYS; way++) {
		__u64 word = line_word(line, way);

		if (word >> SIPDAM_TAT_BITS == tag)
			return (struct bucket_slot){word, bucket_ahead(word, now, horizon), way, true};
	}
	return line_victim(line, now, horizon);
}

/* The same where it matters only if it is there. */
static __always_inline struct bucket_slot line_own(const struct sipdam_line *line, __u64 tag, __u64 now,
						   __u64 horizon)
{
#pragma unroll
	for (__u32 way = 0; way < SIPDAM_WAYS; way++) {
		__u64 word = line_word(line, way);

		if (word >> SIPDAM_TAT_BITS == tag)
			return (struct bucket_slot){word, bucket_ahead(word, now, horizon), way, true};
	}
	return (struct bucket_slot){.found = false};
}

/* Takes what conforms from a word that was found. False where another CPU was faster. */
static __always_inline bool slot_take(struct sipdam_line *line, const struct bucket_slot *slot, __u64 tag, __u64 now,
				      __u64 cost)
{
	return bucket_swap(&line->word[slot->way & (SIPDAM_WAYS - 1)], slot->word,
			   tag << SIPDAM_TAT_BITS | ((now + slot->ahead + cost) & TAT_MASK));
}

/*
 * The debt a bucket starts with. A word of its own is its debt. A new word is a full bucket, unless the
 * one it replaces is a live word of the same source: then it takes that debt over, so that no source
 * sheds a debt by pushing it out with its other classes.
 */
static __always_inline __u64 slot_debt(const struct bucket_slot *slot, __u64 tag)
{
	bool own = (slot->word >> SIPDAM_TAT_BITS ^ tag) >> TAG_KIND_BITS == 0;

	return slot->word && (slot->found || own) ? slot->ahead : 0;
}

/*
 * A limit lowered by the operator leaves words further ahead than the bucket is deep: they are brought back
 * to an empty bucket, which is the one write of a refusal.
 */
static __always_inline void line_cap(struct sipdam_line *line, const struct bucket_slot *slot, __u64 tag,
				     __u64 now, const struct sipdam_limit *limit)
{
	if (slot->found && slot->ahead > limit->depth)
		bucket_swap(&line->word[slot->way & (SIPDAM_WAYS - 1)], slot->word,
			    tag << SIPDAM_TAT_BITS | ((now + limit->depth) & TAT_MASK));
}

/* Would n packets conform now? Takes nothing. */
static __always_inline bool line_conforms(struct sipdam_line *line, __u64 tag, __u64 now, __u64 horizon,
					  const struct sipdam_limit *limit, __u32 n)
{
	struct bucket_slot slot = line_find(line, tag, now, horizon);

	if (bucket_conforms(limit, slot_debt(&slot, tag), bucket_cost(limit, n)))
		return true;
	line_cap(line, &slot, tag, now, limit);
	return false;
}

/* Further than any bucket lies ahead. */
#define ROOM_ALL (~0ULL >> 1)

/* Ticks that a bucket may lie ahead and not be half used. A depth of 0 has room for what it admits, nothing. */
static __always_inline __u64 half_room(const struct sipdam_limit *limit)
{
	return (limit->depth - 1) >> 1;
}

/*
 * Takes n packets from the bucket of this tag, unless it would lie further ahead than `room` then. *displaced is
 * set when a word of another bucket that was still in the future had to go.
 */
static __always_inline int line_take_within(struct sipdam_line *line, __u64 tag, __u64 now, __u64 horizon,
					    const struct sipdam_limit *limit, __u32 n, __u64 room,
					    bool *displaced)
{
	__u64 cost = bucket_cost(limit, n);

#pragma nounroll
	for (int attempt = 0; attempt < 2; attempt++) {
		struct bucket_slot slot = line_find(line, tag, now, horizon);
		__u64 *word = &line->word[slot.way & (SIPDAM_WAYS - 1)];
		__u64 debt = slot_debt(&slot, tag);

		if (debt + cost > room)
			return BUCKET_CROWDED;
		if (!bucket_conforms(limit, debt, cost)) {
			line_cap(line, &slot, tag, now, limit);
			return BUCKET_REFUSES;
		}
		if (bucket_swap(word, slot.word, tag << SIPDAM_TAT_BITS | ((now + debt + cost) & TAT_MASK))) {
			*displaced = !slot.found && slot.word && slot.ahead;
			return BUCKET_ADMITS;
		}
	}
	return BUCKET_CONTENDED;
}

static __always_inline int line_take(struct sipdam_line *line, __u64 tag, __u64 now, __u64 horizon,
				     const struct sipdam_limit *limit, __u32 n, bool *displaced)
{
	return line_take_within(line, tag, now, horizon, limit, n, ROOM_ALL, displaced);
}

/* Would the bucket of this tag be half used with n packets more? Takes nothing. */
static __always_inline bool line_is_crowded(const struct sipdam_line *line, __u64 tag, __u64 now, __u64 horizon,
					    const struct sipdam_limit *limit, __u32 n)
{
	struct bucket_slot slot = line_find(line, tag, now, horizon);

	return slot_debt(&slot, tag) + bucket_cost(limit, n) > half_room(limit);
}

/*
 * One strike more in the word of this tag: a bucket whose refusal is the answer. True where it is one too
 * many, and the count begins anew; one that another CPU was faster than does not count. No debt is taken
 * over.
 */
static __always_inline bool line_strikes_out(struct sipdam_line *line, __u64 tag, __u64 now, __u64 horizon,
					     const struct sipdam_limit *limit, bool *displaced)
{
	struct bucket_slot slot = line_find(line, tag, now, horizon);
	__u64 debt = slot.found ? slot.ahead : 0, cost = bucket_cost(limit, 1);
	bool out = !bucket_conforms(limit, debt, cost);

	if (out && !slot.found)
		return true;
	if (!bucket_swap(&line->word[slot.way & (SIPDAM_WAYS - 1)], slot.word,
			 tag << SIPDAM_TAT_BITS | ((out ? now : now + debt + cost) & TAT_MASK)))
		return false;
	*displaced = !slot.found && slot.word && slot.ahead;
	return out;
}

/* A pool's word: 64 bits of time, no tag, no wrap in 37,000 years. A refusal caps it as line_cap does. */
static __always_inline void pool_cap(__u64 *word, __u64 tat, __u64 now, const struct sipdam_limit *limit)
{
	if (tat > now && tat - now > limit->depth)
		bucket_swap(word, tat, now + limit->depth);
}

static __always_inline bool pool_conforms(__u64 *word, __u64 now, const struct sipdam_limit *limit, __u32 n)
{
	__u64 tat = *(const volatile __u64 *)word;

	if (bucket_conforms(limit, tat > now ? tat - now : 0, bucket_cost(limit, n)))
		return true;
	pool_cap(word, tat, now, limit);
	return false;
}

static __always_inline int pool_take(__u64 *word, __u64 now, const struct sipdam_limit *limit, __u32 n)
{
	__u64 cost = bucket_cost(limit, n);

#pragma nounroll
	for (int attempt = 0; attempt < 2; attempt++) {
		__u64 tat = *(const volatile __u64 *)word;
		__u64 debt = tat > now ? tat - now : 0;

		if (!bucket_conforms(limit, debt, cost)) {
			pool_cap(word, tat, now, limit);
			return BUCKET_REFUSES;
		}
		if (bucket_swap(word, tat, now + debt + cost))
			return BUCKET_ADMITS;
	}
	return BUCKET_CONTENDED;
}

#endif
