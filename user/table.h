/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Tables of sources that packets and the tool both write: lines of words, each with an end, a record for each
 * word, and a gate that says whether any of them holds. What the words are of is bans.c's and known.c's.
 */
#ifndef TABLE_H
#define TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "problem.h"
#include "sipdam/state.h"

/*
 * A place is taken for so long, then written, then given its end: a command that dies in between leaves one
 * that soon ends.
 */
#define TABLE_CLAIM 1000000000ULL /* nanoseconds */

/* Packets may take a place while a command looks at its line: it looks again so often. */
#define TABLE_ATTEMPTS 16

/* What is known before a table is read. */
struct table_shape {
	const char *lines, *records, *gate; /* pins */
	const char *what;                   /* "bans", for problems */
	__u32 line_count;                   /* each of SIPDAM_WAYS words */
	size_t record_bytes;
};

struct source_table {
	const struct table_shape *shape; /* not needed to look into it */
	size_t line_count;
	struct sipdam_line *line;
	union {
		void *any; /* SIPDAM_WAYS a line; NULL where only the lines were read */
		struct sipdam_ban *ban;
		struct sipdam_known *known;
	} record;
	struct sipdam_ban_gate *gate; /* one */
	struct sipdam_secret secret;  /* of mapped ones */
	bool mapped;                  /* the tables themselves, not a copy */
};

/* The running filter's, to be changed: by root, who holds pins_lock, so that two commands do not write one
 * source twice. 0 or -errno with a problem. End with table_close. */
int table_open(struct source_table *table, const struct table_shape *shape, struct problem *problem);

/* The same from descriptors of its maps and of the map secrets. 0 or -errno. */
int table_of_maps(struct source_table *table, const struct table_shape *shape, int lines, int records,
		  int gate, int secrets);

/*
 * A copy, for which the pins' group will do: some milliseconds where any word holds, some tens with the
 * records. Where none holds the gate alone. 0 or -errno with a problem. End with table_close.
 */
int table_read(struct source_table *table, const struct table_shape *shape, bool records,
	       struct problem *problem);
void table_close(struct source_table *table);

/* Places that may hold somebody at this time: none where the gate says so. */
size_t table_places(const struct source_table *table, __u64 now);

/* The table of a map of such bytes itself. NULL with errno; end with munmap. */
void *table_map(int fd, size_t bytes);

/* A copy of a whole table, for which the right to read will do. NULL with errno; end with free. */
void *table_copy(int fd, __u32 entries, size_t size);

/* What counts as one source to this policy, bits over 128. */
__u32 table_source_bits(const struct sipdam_policy *policy, const __u8 address[16]);

/* Packets look into the table up to this end, CLOCK_MONOTONIC nanoseconds, if they did not. Before the word
 * is there, or it would be looked over. */
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

/* The word of a place, counted from the first line's first. */
static inline __u64 *table_word_at(const struct source_table *table, size_t place)
{
	return &table->line[place / SIPDAM_WAYS].word[place % SIPDAM_WAYS];
}

#endif
