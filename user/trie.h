/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The prefix lists as the program reads them: making, filling, reading and changing a trie. Which trie
 * is in force is live.c's.
 */
#ifndef TRIE_H
#define TRIE_H

#include <stddef.h>

#include "address.h"
#include "problem.h"
#include "sipdam/state.h"

/* Entries a list may have; memory is taken only for those that are there. */
#define TRIE_ENTRIES_MAX 2000000

struct trie_entry {
	struct sipdam_prefix prefix;
	struct sipdam_entry entry;
};

struct trie_entries {
	struct trie_entry *entry;
	size_t count;
	size_t room;
};

void trie_entries_free(struct trie_entries *entries);
/* Appends; origin bits and expiry are not merged here. 0 or -ENOMEM. */
int trie_entries_add(struct trie_entries *entries, const struct sipdam_prefix *prefix, __u32 origins,
		     __u64 expires);

/* A new, empty trie. Returns a descriptor or -errno. */
int trie_create(void);

/*
 * Adds an origin to an entry, making it if need be. expires: CLOCK_MONOTONIC nanoseconds, 0 for never;
 * of several the latest counts. 0, or -errno (-ENOSPC: TRIE_ENTRIES_MAX reached).
 */
int trie_add(int fd, const struct sipdam_prefix *prefix, __u32 origins, __u64 expires);

/* Takes origins away; the entry goes with the last one. -ENOENT if it had none of them. */
int trie_remove(int fd, const struct sipdam_prefix *prefix, __u32 origins);

/* Appends all entries, in the trie's order. 0 or -errno. */
int trie_read(int fd, struct trie_entries *entries);

/* Now on the clock that entries expire by. */
__u64 trie_now(void);

#endif
