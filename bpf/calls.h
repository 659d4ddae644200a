/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The calls of a peer, in one word of its record: four of 16 bits, each a hash of its Call-ID and whether it
 * was answered with a 2xx; 0 is free. A call is named and not counted, so that what is sent twice, a re-INVITE
 * and the branches of a fork all name the same one. Pure.
 */
#ifndef CALLS_H
#define CALLS_H

#include <stdbool.h>

#include "cursor.h"

#define CALL_ONES     0x0001000100010001ULL
#define CALL_NAME     0x7fffULL
#define CALL_ANSWERED 0x8000u

/* More calls than there is room for, or one that has no name: no end is told any more. */
#define CALLS_UNTOLD (~0ULL)

/* A call without a name: it makes of all calls CALLS_UNTOLD. No other has this one. */
#define CALL_NAMELESS CALL_NAME

/* The name of a call whose Call-ID has this hash: neither 0 nor CALL_NAMELESS. */
static __always_inline __u32 call_name(__u64 hash)
{
	__u32 name = hash >> 49;

	return name == 0 || name == CALL_NAMELESS ? 1 : name;
}

/* The highest bit of each part that is 0 but for that bit. */
static __always_inline __u64 calls_equal_zero(__u64 calls)
{
	const __u64 names = CALL_NAME * CALL_ONES;

	return ~((calls & names) + names) & ~names;
}

/* The highest bit of the call's part; 0: it is none of them. */
static __always_inline __u64 calls_find(__u64 calls, __u32 call)
{
	return call == CALL_NAMELESS ? 0 : calls_equal_zero(calls ^ (call & CALL_NAME) * CALL_ONES);
}

/* With this call among them: its name, and CALL_ANSWERED if it is. */
static __always_inline __u64 calls_with(__u64 calls, __u32 call)
{
	__u64 own = calls_find(calls, call & CALL_NAME), free = calls_equal_zero(calls);

	if (own)
		return call & CALL_ANSWERED ? calls | own : calls;
	if (!free || (call & CALL_NAME) == CALL_NAMELESS)
		return CALLS_UNTOLD;
	return calls | call * ((free & -free) >> 15);
}

/* Without it; if refused, only where it was not answered: a re-INVITE may be refused, and the call goes on. */
static __always_inline __u64 calls_without(__u64 calls, __u32 call, bool refused)
{
	__u64 own = calls_find(calls, call);

	if (refused)
		own &= ~calls;
	return calls & ~((own >> 15) * 0xffff);
}

#endif
