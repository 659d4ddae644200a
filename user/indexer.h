/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Builds from a list's book the lines in which the program looks an address up (sipdam/index.h). Pure:
 * first a plan, which says how many lines it takes, then the lines, in memory of the caller's.
 */
#ifndef INDEXER_H
#define INDEXER_H

#include <stddef.h>

#include "book.h"
#include "sipdam/state.h"

/* An entry as it goes into the lines. IPv4 stands in the first 32 bits of high. */
struct index_item {
	__u64 high, low; /* host byte order */
	__u32 bits;      /* of its own family */
	__u32 until;     /* units */
};

struct index_items {
	struct index_item *item;
	size_t count;
};

struct index_plan {
	struct sipdam_index index; /* but for its place: piece and half */
	size_t lines;              /* 0 for an empty list */
	struct index_items ipv4, ipv6;
};

/*
 * Plans an index of the entries that have not expired. now: CLOCK_MONOTONIC nanoseconds. 0, -ENOMEM, or
 * -ENOSPC beyond SIPDAM_LIST_ENTRIES_MAX. Free with indexer_free.
 */
int indexer_plan(struct index_plan *plan, const struct book *book, __u64 now, __u64 seed);

/* Fills plan->lines lines, which are zero. 0, or -EAGAIN where another seed is needed (rarely, and of small
 * lists). */
int indexer_fill(const struct index_plan *plan, struct sipdam_line *lines);

void indexer_free(struct index_plan *plan);

#endif
