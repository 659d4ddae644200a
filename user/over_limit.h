/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The sources that their own limits have refused most lately, out of the program's record: to be asked about,
 * since one of them may be the operator's trunk. Numbers are about: one refused packet in
 * SIPDAM_REFUSED_SAMPLE is noted.
 */
#ifndef OVER_LIMIT_H
#define OVER_LIMIT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "sipdam/state.h"

struct over_limit {
	struct sipdam_prefix source;
	__u32 class;       /* of the most packets, enum sipdam_class */
	__u32 classes;     /* a bit for each */
	__u64 refused;     /* packets */
	__u64 first, last; /* CLOCK_MONOTONIC nanoseconds */
};

struct over_limits {
	struct over_limit source[SIPDAM_REFUSED_SLOTS]; /* the most refused first */
	size_t count;
	__u64 now;   /* of the reading: CLOCK_MONOTONIC nanoseconds */
	double wall; /* the same moment, seconds since 1970 */
};

/* Adds what one CPU has noted, of those refused within SIPDAM_REFUSED_EPISODE before limits->now. */
void over_limits_add(struct over_limits *limits, const struct sipdam_refused *noted);
/* Puts the most refused first. */
void over_limits_sort(struct over_limits *limits);

/* What it sends in a second, refused or not: whole packets. */
__u64 over_limit_rate(const struct over_limit *source, const struct sipdam_policy *policy);

/*
 * Whether a source may well be a trunk, a proxy or an office: it answers or carries calls on, or is refused
 * for several kinds of packets, or goes on for half a minute at less than ten times its limit; of what opens
 * connections a few seconds of it do. A flood can be made to look like it, so this is to ask, not to act.
 */
bool over_limit_may_be_yours(const struct over_limit *source, const struct sipdam_policy *policy);

/* [{"address", "class", "refused", "per_second", "first_seen", "last_seen", "maybe_yours"}], times in seconds
 * since 1970. New reference, NULL when out of memory. */
json_t *over_limits_json(const struct over_limits *limits, const struct sipdam_policy *policy);
/* At most 80 columns; nothing if nobody is refused. */
void over_limits_print(const struct over_limits *limits, const struct sipdam_policy *policy, FILE *out);

#endif
