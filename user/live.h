/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The running filter's policy and lists, through the pins: what is in force now, and changes that reach
 * the packet path whole. Callers that change hold pins_lock.
 */
#ifndef LIVE_H
#define LIVE_H

#include "book.h"
#include "problem.h"
#include "settings.h"
#include "sipdam/state.h"

/* No packet that read what has just been replaced is still on its way when this returns. */
void live_wait_for_packets(void);

/* What packets ask first, with this policy in force at this slot. */
struct sipdam_front live_front(const struct sipdam_policy *policy, __u32 slot);

/* The policy in force: one small read that needs no privilege beyond the pins' file modes. */
int live_policy(struct sipdam_policy *policy, struct problem *problem);

/* As above, with the configured entries of the lists. Free with settings_free. */
int live_read(struct settings *settings, struct problem *problem);

/*
 * Puts finished settings in force: idle slot written, the configured entries of lists that are
 * list_given exchanged (entries of other origins stay), active index switched by one store. A deadline
 * stays unless the settings bring one (settings.confirm). On failure the running filter is as before.
 */
int live_commit(const struct settings *settings, struct problem *problem);

/*
 * Takes the deadline out of the policy in force. *left: nanoseconds that were left, negative where it has
 * passed. -ENODATA where there is none; -ETIME where it has passed and `late` is not set: nothing is changed.
 */
int live_confirm(bool late, __s64 *left, struct problem *problem);

/* All entries of a list (enum sipdam_list), a record for each prefix, expired ones left out. Free with
 * book_free. */
int live_list_read(int list, struct book *entries, struct problem *problem);

/* How many entries a list of this policy has now; looks into its book only once some have expired. */
int live_list_count(const struct sipdam_policy *policy, int list, __u32 *entries, struct problem *problem);

/* Exchanges all entries of a list by those of a book. */
int live_list_restore(int list, const struct book *book, struct problem *problem);

/* The policy in force as text (settings_text.h), whatever version has written it. */
int live_text(char *text, size_t size, struct problem *problem);

/* Adds prefixes by the command line, all or none. expires: CLOCK_MONOTONIC nanoseconds, 0 for never. */
int live_list_add(int list, const struct prefix_set *prefixes, __u64 expires, struct problem *problem);

/*
 * Removes prefixes, whoever put them there, all or none; origins[i] says who. -ENOENT with a problem where
 * one of them is not in the list.
 */
int live_list_remove(int list, const struct prefix_set *prefixes, __u32 *origins, struct problem *problem);

/*
 * Exchanges all entries of the origins in `replaced` by the prefixes given (origin `origin`, a single
 * bit of replaced), at once: no packet sees neither or both. prefixes may be NULL for none.
 */
int live_list_replace(int list, __u32 replaced, __u32 origin, const struct prefix_set *prefixes,
		      __u64 expires, struct problem *problem);

/*
 * Number of the feed of this list and file name (its last component), made if need be and `make` is set.
 * -ENOENT, or -ENOSPC with a problem when SIPDAM_FEEDS_MAX are in use.
 */
int live_feed(int list, const char *file, bool make, struct problem *problem);

/* Gives up the numbers of this list's feeds among the origins (SIPDAM_ENTRY_*), whose entries are gone. */
int live_feeds_forget(int list, __u32 origins, struct problem *problem);

#endif
