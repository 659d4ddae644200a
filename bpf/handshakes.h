/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Handshakes of TLS that were begun and never finished, as connections.h tells them, are strikes: so many of a
 * source without one that was finished, for four seconds at least, and it is banned, as with refusals
 * (failures.h). They are counted beside those, by a name of their own, and neither success forgives the other:
 * who guesses passwords over UDP is no better off for a handshake.
 */
#ifndef HANDSHAKES_H
#define HANDSHAKES_H

#include "connections.h"
#include "failures.h"

/* What the name of a source is altered by: its tag, and not its line. */
#define HANDSHAKES (0x5a5aULL << 48)

/* One more. 1 where it is one of too many. now: nanoseconds, here and below. */
static __always_inline int handshake_strikes_out(__u64 source, __u64 now, __u32 most)
{
	moment_note(SIPDAM_BUDGET_UNFINISHED, now);
	return failure_strikes_out(source ^ HANDSHAKES, now, most);
}

/*
 * One was finished, or the server sends on a connection whose handshake was. While nobody leaves any unfinished,
 * which is most of the time, nobody's are looked for.
 */
static __always_inline void handshake_forgives(__u64 source, __u64 now)
{
	if (moment_was_lately(SIPDAM_BUDGET_UNFINISHED, now))
		failure_forgive(source ^ HANDSHAKES);
}

/* May this source be struck at all? */
static __always_inline bool handshakes_count(const struct sipdam_policy *policy, __u32 tier)
{
	return tier == SIPDAM_TIER_UNKNOWN && policy->ban_enabled && policy->ban_failures && policy->trust_learn;
}

#endif
