/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The book of a list: who put which prefix there and until when, as the tool keeps it. Pure; where books
 * lie is lists.c's, how the program looks an address up is indexer.c's.
 */
#ifndef BOOK_H
#define BOOK_H

#include <stdbool.h>
#include <stddef.h>

#include "address.h"
#include "sipdam/state.h"

/* Records sorted by address, length and end; each prefix of origins and ends as struct sipdam_entry says. */
struct book {
	struct sipdam_entry *entry;
	size_t count;
	size_t room;
};

void book_free(struct book *book);

/* Appends a record; the caller keeps the order. 0 or -ENOMEM. */
int book_append(struct book *book, const struct sipdam_prefix *prefix, __u32 origins, __u64 expires);

/* What becomes of a list: these origins lose their entries, then these prefixes come. */
struct book_change {
	__u32 replaced;                     /* SIPDAM_ENTRY_* */
	__u32 origin;                       /* of the prefixes; one bit */
	__u64 expires;                      /* of the prefixes; 0: never */
	const struct prefix_set *prefixes;  /* in any order, NULL for none */
	const struct prefix_set *forgotten; /* go whoever put them there; in any order, NULL for none */
	const struct book *taken_over;      /* comes in place of all that was there, with its own origins and
					     * ends; then nothing else does */
};

/*
 * The book after a change, expired records left out; of two ends of one origin the later counts.
 * now: CLOCK_MONOTONIC nanoseconds. 0 or -ENOMEM; free with book_free.
 */
int book_apply(const struct book *before, const struct book_change *change, __u64 now, struct book *after);

/* Puts records of prefixes that are there once in order. */
void book_sort(struct book *book);

/* The same prefixes with one record each, which has all origins and the last end; expired ones left out. */
int book_merge(const struct book *book, __u64 now, struct book *merged);

/* Prefixes that have not expired, and when the first of their records will (0: never). */
size_t book_prefixes(const struct book *book, __u64 now, __u64 *first_end);

/* Whence any entry that is in force comes. */
__u32 book_origins_held(const struct book *book, __u64 now);

/* Origins that hold a prefix, 0 if it is not there or expired. */
__u32 book_origins(const struct book *book, const struct sipdam_prefix *prefix, __u64 now);

/* Does an entry that has not expired hold all of a prefix? Without a pass over the book. */
bool book_holds(const struct book *book, const struct sipdam_prefix *prefix, __u64 now);

/*
 * Calls meet for each of the prefixes (sorted by prefixes_sort) that shares addresses with an entry of the
 * book that has not expired: with the shortest that holds all of it, or the first that lies inside it.
 */
typedef void book_meet_t(const struct sipdam_prefix *prefix, const struct sipdam_prefix *other,
			 void *context);
void book_overlaps(const struct book *book, const struct prefix_set *prefixes, __u64 now, book_meet_t *meet,
		   void *context);

/* Puts prefixes in the order of a book and takes out what is there twice. */
void prefixes_sort(struct prefix_set *set);

/* IPv4 counts as a family of its own, whatever shorter IPv6 prefixes would hold. */
bool prefix_is_ipv4(const struct sipdam_prefix *prefix);

/* Does a hold all of b? */
bool prefix_holds(const struct sipdam_prefix *a, const struct sipdam_prefix *b);

/* The clock that entries expire by. */
__u64 book_now(void);

#endif
