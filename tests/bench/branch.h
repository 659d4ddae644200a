/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What tells the requests of a benchmark from each other: eight letters of a branch. No sum of UDP is sent. */
#ifndef BRANCH_H
#define BRANCH_H

#include <linux/types.h>

#define BRANCH_OFFSET 130 /* in a frame of UDP over IPv4 without tags, behind "branch=z9hG4bK" */

/* random: any eight bytes. Backquotes and letters from a to o, which a token may have (RFC 3261 25.1). */
static inline __attribute__((always_inline)) void put_branch(__u8 *frame, __u64 random)
{
	*(__u64 *)(frame + BRANCH_OFFSET) = (random >> 4 & 0x0f0f0f0f0f0f0f0fULL) | 0x6060606060606060ULL;
}

#endif
