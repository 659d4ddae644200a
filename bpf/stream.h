/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where in a stream of TCP the server's next message begins. Who asks a server for something chooses parts of
 * what it answers, and by his window where a segment begins: without this he could have the server say what
 * he likes at the beginning of a segment. A line of `streams` has words of tag:20 of the connection | lost:1
 * | time:11 | sequence number:32; times in units of 8.6 s (2^33 ns), 0 is free. A stream that is met under
 * way is taken up where a segment begins with a message; not once any was forgotten, since who is not known
 * might be that one, forgotten at the will of who opens many.
 */
#ifndef STREAM_H
#define STREAM_H

#include "sources.h"

#define STREAM_LOST       (1ULL << 43)
#define STREAM_TIME_SHIFT 32
#define STREAM_TIME_MASK  0x7ffu
#define STREAM_UNIT_SHIFT 33
#define STREAM_TAG_SHIFT  44

/* What stream_find answers. */
enum stream_state {
	STREAM_NEW = 0,
	STREAM_KNOWN = 1,
	STREAM_GONE = 2, /* lost or over: until the connection is opened anew, nothing of it is read */
};

/* One heard of within an hour and neither lost nor over is missed when it is forgotten. */
#define STREAM_MISSED_UNITS ((__u32)(3600 * 1000000000ULL >> STREAM_UNIT_SHIFT))

static __always_inline struct sipdam_line *stream_line(__u64 hash)
{
	__u32 index = hash & (SIPDAM_STREAM_LINES - 1);

	return bpf_map_lookup_elem(&streams, &index);
}

static __always_inline __u32 stream_time(__u64 now)
{
	return now >> STREAM_UNIT_SHIFT & STREAM_TIME_MASK;
}

static __always_inline __u32 stream_age(__u64 word, __u64 now)
{
	return (stream_time(now) - (__u32)(word >> STREAM_TIME_SHIFT)) & STREAM_TIME_MASK;
}

/* Has any connection been forgotten, ever? With make it has, from now on. */
static __always_inline bool streams_forgotten(bool make)
{
	__u32 zero = 0;
	struct sipdam_line *line = bpf_map_lookup_elem(&budgets, &zero);

	if (line && make)
		*(volatile __u64 *)&line->word[SIPDAM_BUDGET_FORGOTTEN] = 1;
	return !line || line_word(line, SIPDAM_BUDGET_FORGOTTEN);
}

/* Which goes before which: one that is lost or over, then the longest silent. */
static __always_inline __u32 stream_rank(__u64 word, __u64 now)
{
	return stream_age(word, now) + (word & STREAM_LOST ? STREAM_TIME_MASK + 1 : 0);
}

static __always_inline void stream_forgets(__u64 word, __u64 now)
{
	streams_forgotten(true);
	if (!(word & STREAM_LOST) && stream_age(word, now) <= STREAM_MISSED_UNITS)
		count_table_event(SIPDAM_TABLE_STREAM_DISPLACED);
}

/* What is known of the connection of this hash. *next: the sequence number of its next message. */
__noinline int stream_find(__u64 hash, __u32 *next)
{
	struct sipdam_line *line = stream_line(hash);

	if (!line || !next)
		return STREAM_NEW;
#pragma nounroll
	for (__u32 way = 0; way < SIPDAM_WAYS; way++) {
		__u64 word = line_word(line, way);

		if (!word || word >> STREAM_TAG_SHIFT != hash >> STREAM_TAG_SHIFT)
			continue;
		*next = word;
		return word & STREAM_LOST ? STREAM_GONE : STREAM_KNOWN;
	}
	return STREAM_NEW;
}

/* Its next message begins there; lost: nobody knows where. now: nanoseconds. */
__noinline int stream_set(__u64 hash, __u32 next, __u32 lost, __u64 now)
{
	struct sipdam_line *line = stream_line(hash);
	__u64 word = hash >> STREAM_TAG_SHIFT << STREAM_TAG_SHIFT | (lost ? STREAM_LOST : 0) |
		     (__u64)stream_time(now) << STREAM_TIME_SHIFT | next;
	__u64 before;
	bool known = false;
	__u32 way = 0;

	if (!line)
		return 0;
	before = line_word(line, 0);
#pragma nounroll
	for (__u32 other = 0; other < SIPDAM_WAYS; other++) {
		__u64 found = line_word(line, other);
		bool own = found && found >> STREAM_TAG_SHIFT == hash >> STREAM_TAG_SHIFT;

		if (own || (before && (!found || stream_rank(found, now) > stream_rank(before, now)))) {
			before = found;
			way = other;
		}
		known |= own;
		if (own)
			break;
	}
	if (before && !known)
		stream_forgets(before, now);
	return bucket_swap(&line->word[way & (SIPDAM_WAYS - 1)], before, word);
}

#endif
