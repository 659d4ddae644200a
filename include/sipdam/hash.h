/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From an address to its lines. It is part of the shape of the tables, as their structs are: who writes an
 * entry from outside must find the line in which the program looks for it.
 */
#ifndef SIPDAM_HASH_H
#define SIPDAM_HASH_H

#include "state.h"

/*
 * Keyed mix of two words into 64 bits: multiplications by odd secrets, the high half folded into the low
 * one after each, so that neither equal lines nor equal tags can be computed from outside. Three of them:
 * with two, sources that differ in the last bytes of a word alone share a line. Not a cryptographic hash:
 * it costs 3 ns, a SipHash ten times that.
 */
static inline __attribute__((always_inline)) __u64 sipdam_hash(const volatile struct sipdam_secret *secret,
							       __u64 high, __u64 low)
{
	__u64 hash = (low ^ secret->word[0]) * (secret->word[2] | 1);

	hash ^= hash >> 32;
	hash = (hash + (high ^ secret->word[1])) * (secret->word[3] | 1);
	hash ^= hash >> 29;
	hash = (hash ^ secret->word[1]) * (secret->word[2] | 1);
	return hash ^ hash >> 32;
}

/* Who sends: the address as two words, and the port as on the wire. */
static inline __attribute__((always_inline)) __u64
sipdam_sender_hash(const volatile struct sipdam_secret *secret, __u64 high, __u64 low, __u16 port)
{
	return sipdam_hash(secret, high + port * (secret->word[3] | 1), low);
}

#endif
