/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Known sources, trusted and peers, in the tables that the filter reads (include/sipdam/state.h), which stay
 * in force without the tool. As bans.h is of bans; a source has one place, whichever of the two it is.
 */
#ifndef KNOWN_H
#define KNOWN_H

#include <stdbool.h>
#include <stddef.h>

#include "problem.h"
#include "sipdam/state.h"
#include "table.h"

/* What a source may be trusted for at most. */
#define KNOWN_LONGEST (365ULL * 86400 * 1000000000)

struct known {
	struct source_table table;
};

/* What is to be known of a source. */
struct known_grant {
	struct sipdam_prefix source;
	bool trusted;  /* else a peer */
	int cause;     /* enum sipdam_known_cause */
	__u16 port;    /* of a device behind it; 0: not told */
	__u64 lasting; /* nanoseconds from now on */
	__u64 ttl;     /* trust.ttl: ports that were not seen for so long are forgotten */
};

/* One source known now, as it was read. */
struct known_entry {
	struct sipdam_prefix source;
	__u64 end; /* CLOCK_MONOTONIC nanoseconds */
	bool trusted;
	struct sipdam_known record;
};

struct known_entries {
	struct known_entry *entry;
	size_t count;
};

struct known_count {
	size_t trusted, peers;
};

/* The running filter's, to be changed, by table_open's rules. End with known_close. */
int known_open(struct known *known, struct problem *problem);

/* The same from descriptors of the maps known, known_records, known_gate and secrets. 0 or -errno. */
int known_map(struct known *known, int lines, int records, int gate, int secrets);

/* A copy, by table_read's: for known_count and, with records, known_list. */
int known_read(struct known *known, bool records, struct problem *problem);
void known_close(struct known *known);

/*
 * From now on the source is known; one that is gets this end instead, and a trusted one stays trusted. A
 * trusted source takes the place of a peer where its line is full. -ENOSPC: its places are taken. -EAGAIN:
 * packets took the place, again and again.
 */
int known_add(struct known *known, const struct known_grant *grant, __u64 now);

/* -ENOENT: it is not known. */
int known_remove(struct known *known, const struct sipdam_prefix *source, __u64 now);
bool known_hold(const struct known *known, const struct sipdam_prefix *source, __u64 now);

/* How many hold. Asks the lines alone. */
struct known_count known_count(const struct known *known, __u64 now);

/* Ends those that are not of sources as this policy's source_key has them. */
void known_end_others(struct known *known, const struct sipdam_policy *policy, __u64 now);

/* All that hold and are of sources as the policy's source_key has them, by address. 0 or -ENOMEM; free with
 * known_entries_free. */
int known_list(const struct known *known, const struct sipdam_policy *policy, __u64 now,
	       struct known_entries *entries);
void known_entries_free(struct known_entries *entries);

/* Calls that go on of one who is a peer for them and no longer; -1: of another one, and where none is told apart. */
int known_calls(const struct known_entry *entry);

/* "manual", "import"; "unknown" for a number of a later version. */
const char *known_cause_name(int cause);

#endif
