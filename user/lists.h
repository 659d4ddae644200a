/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Lists in the kernel: the book of each, pinned for the tool, and the lines in which the program looks an
 * address up. A list has two places, 0 and 1; the policy says which is in force (live.c).
 */
#ifndef LISTS_H
#define LISTS_H

#include <stdbool.h>

#include "book.h"
#include "problem.h"

/* "allow", "deny", "addresses". */
const char *lists_name(int list);

/* Reads the book at a place. 0 or -errno (-ENOENT: there is none); free with book_free. */
int lists_read_book(int list, __u32 half, struct book *book);

/* Makes, fills and pins the book at a place that is not in force; an empty one is only taken away. */
int lists_write_book(int list, __u32 half, const struct book *book);

/* Is there a book at a place? */
bool lists_has_book(int list, __u32 half);

/* Takes the book of a place away, if there is one. */
void lists_forget_book(int list, __u32 half);

/*
 * Makes the lines for a book and puts them at a place that is not in force. outer: the map `lists`; now:
 * entries that have expired by then are left out; seed: of the hashes.
 * index->pieces tells lists_retire how many pieces that were. 0 or -errno (-ENOSPC: more entries than a list
 * takes).
 */
int lists_place(int outer, int list, __u32 half, const struct book *book, __u64 now, __u64 seed,
		struct sipdam_index *index);

/* Gives the first pieces of a place that is not in force back; SIPDAM_PIECES_MAX: all there may be. 0 or
 * -errno. */
int lists_retire(int outer, int list, __u32 half, __u32 pieces);

#endif
