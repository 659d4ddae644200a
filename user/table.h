/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Tables that packets and the tool both write: lines of words, each with an end, and a gate that says whether
 * any of them holds. What the words are of is bans.c's and known.c's.
 */
#ifndef TABLE_H
#define TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "sipdam/state.h"

/* The table of a map of such bytes itself. NULL with errno; end with munmap. */
void *table_map(int fd, size_t bytes);

/* A copy of a whole table, for which the right to read will do. NULL with errno; end with free. */
void *table_copy(int fd, __u32 entries, size_t size);

/* What counts as one source to this policy, bits over 128. */
__u32 table_source_bits(const struct sipdam_policy *policy, const __u8 address[16]);

/* Packets look into the table up to this end, CLOCK_MONOTONIC nanoseconds, if they did not. Before the word is
 * there, or it would be looked over. */
void table_open_gate(struct sipdam_ban_gate *gate, __u64 end);

/*
 * How many words of lines of sources or networks are live: buckets that are not full at this time (ticks). By
 * bucket_ahead of the program: one further ahead than any bucket is deep (horizon) is an old word.
 */
static inline size_t table_live(const struct sipdam_line *line, size_t lines, __u64 now, __u64 horizon)
{
	size_t live = 0;

	for (size_t i = 0; i < lines * SIPDAM_WAYS; i++) {
		__u64 word = line[i / SIPDAM_WAYS].word[i % SIPDAM_WAYS];
		__u64 ahead = (word - now) & ((1ULL << SIPDAM_TAT_BITS) - 1);

		live += word && ahead && ahead <= horizon;
	}
	return live;
}

static inline __u64 table_word(const __u64 *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline bool table_exchange(__u64 *word, __u64 from, __u64 to)
{
	return __sync_bool_compare_and_swap(word, from, to);
}

/* When a word ends, CLOCK_MONOTONIC nanoseconds. */
static inline __u64 table_end(__u64 word)
{
	return (word & ((1ULL << SIPDAM_BAN_END_BITS) - 1)) << SIPDAM_BAN_UNIT_SHIFT;
}

#endif
