/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The one place that reads time. Live it is the kernel's coarse monotonic clock (a tick of 1 to 10 ms,
 * 5 ns to read; the fine one costs 28); in a trial it is what was handed in, so that tests are exact
 * and a capture replays in its own time.
 */
#ifndef CLOCK_H
#define CLOCK_H

#include "maps.h"

/* The hand-in record of a trial, NULL in a live program. */
static __always_inline struct sipdam_trial *trial_record(void)
{
	__u32 zero = 0;

	return is_trial ? bpf_map_lookup_elem(&trial, &zero) : NULL;
}

/* Nanoseconds, CLOCK_MONOTONIC. */
static __always_inline __u64 clock_now(void)
{
	struct sipdam_trial *handed_in = trial_record();

	return handed_in ? handed_in->now : bpf_ktime_get_coarse_ns();
}

#endif
