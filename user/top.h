/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The loudest of those whose packets are dropped for what they send: sources over their limits, by the
 * record of them (over_limit.h), and banned ones, by what their bans count. Pure.
 */
#ifndef TOP_H
#define TOP_H

#include <jansson.h>
#include <stdio.h>

#include "bans.h"
#include "over_limit.h"

struct top_row {
	struct sipdam_prefix source;
	int reason;       /* enum sipdam_reason: SOURCE_RATE or BANNED */
	__u32 class;      /* enum sipdam_class; of a ban none */
	__u64 refused;    /* packets, about */
	__u64 per_second; /* sent, refused or not; of a ban: dropped, over its whole time */
	__u64 last;       /* CLOCK_MONOTONIC nanoseconds of the last one; of a ban 0: unknown */
};

struct top {
	struct top_row *row; /* the most refused first */
	size_t count;
	__u64 now;   /* CLOCK_MONOTONIC nanoseconds */
	double wall; /* the same moment, seconds since 1970 */
};

/* Rows of both, sorted; a ban that has dropped nothing has none. 0 or -ENOMEM; free with top_free. */
int top_make(struct top *top, const struct over_limits *limits, const struct ban_entries *bans,
	     const struct sipdam_policy *policy);
void top_free(struct top *top);

/* The first `most` rows: {"sources":[...]}. New reference, NULL when out of memory. */
json_t *top_json(const struct top *top, size_t most);
/* The same as a table of 80 columns at most. */
void top_print(const struct top *top, size_t most, FILE *out);

#endif
