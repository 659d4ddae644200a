/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Bans by hand: the running filter's tables of bans, mapped into this process or copied. Packets read and
 * write them at the same time, so each change is one exchange of a word. What a ban does to packets is
 * bpf/bans.h's.
 */
#ifndef BANS_H
#define BANS_H

#include <stdbool.h>
#include <stddef.h>

#include "problem.h"
#include "sipdam/state.h"
#include "table.h"

/* The longest ban there is, as the longest ban.max: nanoseconds. */
#define BAN_LONGEST (365ULL * 86400 * 1000000000)

struct bans {
	struct source_table table;
};

/* One ban in force, as it was read. */
struct ban_entry {
	struct sipdam_prefix source;
	__u64 end; /* CLOCK_MONOTONIC nanoseconds */
	struct sipdam_ban ban;
};

struct ban_entries {
	struct ban_entry *entry;
	size_t count;
};

/* The running filter's, to be changed, by table_open's rules. End with bans_close. */
int bans_open(struct bans *bans, struct problem *problem);

/* The same from descriptors of the maps bans, ban_records, ban_gate and secrets. 0 or -errno. */
int bans_map(struct bans *bans, int lines, int records, int gate, int secrets);

/* A copy, by table_read's: for bans_count and, with records, bans_list. End with bans_close. */
int bans_read(struct bans *bans, bool records, struct problem *problem);
void bans_close(struct bans *bans);

/*
 * The prefix that is one source to this policy and holds the address: what a ban is of. *exact: it is the
 * prefix that was given.
 */
struct sipdam_prefix bans_source(const struct sipdam_policy *policy, const struct sipdam_prefix *given,
				 bool *exact);

/*
 * Bans a source from now on for `lasting` nanoseconds; one that is banned gets this end instead. Times are
 * counted on where its last ban ended less than `most` ago. -ENOSPC: eight bans in force take the places it
 * could have. -EAGAIN: packets took the place, again and again.
 */
int bans_add(struct bans *bans, const struct sipdam_prefix *source, __u64 now, __u64 lasting, __u64 most);

/* Ends a ban, and forgets it: the next one is the first again. -ENOENT: there is none in force. */
int bans_remove(struct bans *bans, const struct sipdam_prefix *source, __u64 now);

/* Is there a ban of this source in force? */
bool bans_hold(const struct bans *bans, const struct sipdam_prefix *source, __u64 now);

/* How many bans are in force. Asks the lines alone. */
size_t bans_count(const struct bans *bans, __u64 now);

/* Ends bans that are not of sources as this policy's source_key has them. */
void bans_end_others(struct bans *bans, const struct sipdam_policy *policy, __u64 now);

/* All of them that are of sources as the policy's source_key has them, by address. 0 or -ENOMEM; free with
 * ban_entries_free. */
int bans_list(const struct bans *bans, const struct sipdam_policy *policy, __u64 now,
	      struct ban_entries *entries);
void ban_entries_free(struct ban_entries *entries);

/* "manual", "drops"; "unknown" for a number of a later version. */
const char *ban_cause_name(int cause);

#endif
