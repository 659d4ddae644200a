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

/* What one CPU has read of the clock. */
struct clock_cache {
	__u64 jiffies;
	__u64 now;
};

/*
 * Nanoseconds, CLOCK_MONOTONIC. The coarse clock moves with the jiffies, which cost nothing to read, so
 * each CPU asks for it once a tick: a call in the kernel costs 5 to 15 ns. Where the jiffies move a
 * moment before the clock this is one tick behind, no more.
 */
static __always_inline __u64 clock_now(struct clock_cache *cache)
{
	struct sipdam_trial *handed_in = trial_record();
	__u64 jiffies;

	if (handed_in)
		return handed_in->now;
	jiffies = bpf_jiffies64();
	if (cache->jiffies != jiffies) {
		cache->now = bpf_ktime_get_coarse_ns();
		cache->jiffies = jiffies;
	}
	return cache->now;
}

#endif
