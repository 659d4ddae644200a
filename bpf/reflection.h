/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the server may send to strangers who may never have asked: an address over UDP can be forged, and its
 * answers are larger than the requests. A bucket of bytes for each source and one for all, in time as
 * bucket.h's are: a byte takes so many nanoseconds of the rate.
 */
#ifndef REFLECTION_H
#define REFLECTION_H

#include "sources.h"
#include "stamp.h"

/* A cost from here on does not fit 64 bits times the bytes of a packet, and its fraction does not matter. */
#define REFLECTION_COST_LARGE (1ULL << 46)

/* Nanoseconds of the whole rate. */
static __always_inline __u64 reflection_time(const struct sipdam_policy *policy, __u32 bytes)
{
	__u64 cost = policy->reflection_cost;

	return cost < REFLECTION_COST_LARGE ? bytes * cost >> SIPDAM_COST_SHIFT
					    : bytes * (cost >> SIPDAM_COST_SHIFT);
}

/* The source's hundredth, in the line of its strikes. */
static __always_inline bool reflection_of_source(const struct sipdam_policy *policy, __u64 hash, __u64 now,
						 __u64 time)
{
	struct sipdam_line *line = source_line(hash ^ 1);
	const struct sipdam_limit limit = {
		.interval = time * SIPDAM_REFLECTION_SOURCES >> SIPDAM_TICK_SHIFT,
		.depth = policy->reflection_depth >> SIPDAM_TICK_SHIFT,
	};
	const struct demand demand = {
		.hash = hash,
		.now = now >> SIPDAM_TICK_SHIFT,
		.horizon = policy->horizon,
		.kind = SIPDAM_KIND_REFLECTION,
		.n = 1,
	};

	return !line || line_admits(line, &limit, &demand, SIPDAM_TABLE_SOURCE_DISPLACED);
}

static __always_inline bool reflection_of_all(const struct sipdam_policy *policy, __u64 now, __u64 time)
{
	__u32 zero = 0;
	struct sipdam_line *line = bpf_map_lookup_elem(&budgets, &zero);

	if (!line)
		return true;
#pragma nounroll
	for (int attempt = 0; attempt < 2; attempt++) {
		__u64 *word = &line->word[SIPDAM_BUDGET_REFLECTION];
		__u64 tat = *(const volatile __u64 *)word, from = tat > now ? tat : now;

		/* A rate raised by the operator leaves a time further ahead than the burst is long. */
		if (from - now > policy->reflection_depth)
			from = now + policy->reflection_depth;
		if (from - now + time > policy->reflection_depth)
			return false;
		if (bucket_swap(word, tat, from + time))
			return true;
	}
	count_table_event(SIPDAM_TABLE_CONTENDED);
	return false;
}

/*
 * Has it sent a request twice by the protocol's timers lately? Nearly no forger does; one who does is bound
 * by the pool that let him in.
 */
static __always_inline bool is_verified(const struct packet_address *address, __be16 port, __u64 now)
{
	__u64 sender = sender_hash(address, port);
	struct sipdam_line *line = verified_line(sender);

	return line && verified_age(line, sender, now) <= VERIFIED_FREE;
}

/*
 * May so many bytes go to the source of this hash, whom nobody knows? now: nanoseconds. A function of its own
 * so that it is verified apart.
 */
__noinline int reflection_admits(const struct sipdam_policy *policy, __u64 hash, __u64 now, __u32 bytes)
{
	__u64 time;

	if (!policy || !policy->reflection_rate)
		return 0;
	time = reflection_time(policy, bytes);
	return reflection_of_source(policy, hash, now, time) && reflection_of_all(policy, now, time);
}

#endif
