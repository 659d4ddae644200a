/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How a prefix list lies in memory for the program to look an address up. The tool builds it anew for
 * each change; a packet only reads it. It is a run of 64-byte lines in sections:
 *
 *   gate4    a bit for each IPv4 /16, /20 or /24: is anything listed in there? Most strangers end here.
 *   solid4   as many bits: all of it is listed, until index.solid_until.
 *   single4  single IPv4 addresses, sixteen a line, all until index.single4_until. One line is read.
 *   gate6    Bloom bits of IPv6 prefixes by length: a line for each /32, a bit for each /48 and length.
 *   narrow   other entries of which 64 bits tell all: IPv4, and IPv6 up to /64. Four a line.
 *   wide     IPv6 entries longer than /64. Three a line.
 *
 * An entry of narrow or wide is in one of two lines that its hash names, so that a look-up has a bound:
 * two lines for each length of prefix that the list has. An address is listed when any entry around it
 * has not expired. The functions here are what both sides must agree on.
 */
#ifndef SIPDAM_INDEX_H
#define SIPDAM_INDEX_H

#include <linux/types.h>

/*
 * Lines come in pieces of 2 MiB, each a map of its own: all of one size, so that reading one is no call, and
 * few, because Linux before 6.8 waits for all packets on their way, some 16 ms, with each piece that is put
 * or taken.
 */
#define SIPDAM_PIECE_SHIFT 15
#define SIPDAM_PIECE_LINES (1u << SIPDAM_PIECE_SHIFT)
#define SIPDAM_PIECES_MAX  64 /* of one list */

/* Entries a list may have: what fits into that many pieces, whatever they are. */
#define SIPDAM_LIST_ENTRIES_MAX 2000000

/* An entry's end, in units of 2^27 ns (0.134 s) rounded up: 32 bits last for 18 years of uptime. */
#define SIPDAM_UNTIL_SHIFT 27
#define SIPDAM_UNTIL_NEVER 0xffffffffu

#define SIPDAM_GATE6_BITS_MIN  32 /* a shorter IPv6 prefix has no bit in the gate: it is always looked for */
#define SIPDAM_GATE6_BITS_LONG 48
#define SIPDAM_LINE_BITS       512

struct sipdam_index {
	__u32 gate4_shift; /* an IPv4 address >> this is its number in the gate; 0: the list has no IPv4 */
	__u32 piece;       /* the list's first one in the outer map */
	__u32 gate4;       /* number of a section's first line, here and below */
	__u32 solid4;
	__u32 solid_until; /* units; 0: no solid section */
	__u32 single4;
	__u32 single4_lines;
	__u32 single4_until; /* units */
	__u64 seed;          /* of the hashes: drawn for each index, so that no feed can aim at a line */
	__u32 narrow;
	__u32 narrow_lines;
	__u32 wide;
	__u32 wide_lines;
	__u32 gate6;
	__u32 gate6_lines; /* a power of two; 0: the list has no IPv6 */
	__u32 all6_until;  /* of ::/0, units; 0: not listed */
	__u32 half;        /* which of the list's two places in the outer map, and which book */
	__u64 first_end;   /* CLOCK_MONOTONIC ns when the first entry expires; 0: never */
	__u32 lengths4;    /* of length4 */
	__u32 open4;       /* of length4: those that solid4 does not tell; they come first */
	__u32 lengths6;    /* of length6 */
	__u32 pieces;      /* at its place in the outer map */
	__u8 length4[40];  /* IPv4 prefix lengths in narrow */
	__u8 length6[136]; /* IPv6 prefix lengths, longest first */
};
_Static_assert(sizeof(struct sipdam_index) == 272, "struct sipdam_index");

#define SIPDAM_NARROW_WAYS 4
#define SIPDAM_WIDE_WAYS   3
#define SIPDAM_SINGLE_WAYS 16

/* what >> 32 & 0xff: sipdam_narrow_tag, 0 in a free place; low half: until. */
struct sipdam_narrow {
	__u64 key[SIPDAM_NARROW_WAYS];
	__u64 what[SIPDAM_NARROW_WAYS]; /* what[0]: SIPDAM_NARROW_SPILLED too */
};
_Static_assert(sizeof(struct sipdam_narrow) == 64, "one cache line");

/* An entry whose first line this is lies in its second: a search that ends here may go on there. */
#define SIPDAM_NARROW_SPILLED (1ULL << 63)

struct sipdam_wide {
	__u64 high[SIPDAM_WIDE_WAYS];
	__u64 low[SIPDAM_WIDE_WAYS];
	__u32 until[SIPDAM_WIDE_WAYS];
	__u8 bits[SIPDAM_WIDE_WAYS]; /* 0: a free place */
	__u8 spilled;
};
_Static_assert(sizeof(struct sipdam_wide) == 64, "one cache line");

/* Of IPv4 1 to 33, of IPv6 129 to 192: never 0. */
#define SIPDAM_TAG_IPV4(bits) ((bits) + 1)
#define SIPDAM_TAG_IPV6(bits) ((bits) | 0x80)

#define SIPDAM_MIX_1 0x9e3779b97f4a7c15ULL
#define SIPDAM_MIX_2 0xbf58476d1ce4e5b9ULL

/* One of `lines`, by the high half of a hash. */
static inline __attribute__((always_inline)) __u32 sipdam_line_of(__u64 hash, __u32 lines)
{
	return (hash >> 32) * lines >> 32;
}

static inline __attribute__((always_inline)) __u64 sipdam_mix(__u64 word)
{
	word *= SIPDAM_MIX_1;
	word ^= word >> 32;
	return word * SIPDAM_MIX_2;
}

static inline __attribute__((always_inline)) __u64 sipdam_narrow_hash(__u64 seed, __u64 key, __u32 tag)
{
	return sipdam_mix((key ^ seed) + (__u64)tag * SIPDAM_MIX_2);
}

static inline __attribute__((always_inline)) __u64 sipdam_wide_hash(__u64 seed, __u64 high, __u64 low,
								    __u32 bits)
{
	return sipdam_mix(sipdam_mix(high ^ seed) + low + bits);
}

/* The other line of an entry. */
static inline __attribute__((always_inline)) __u64 sipdam_second_hash(__u64 hash)
{
	return (hash ^ hash >> 29) * SIPDAM_MIX_1;
}

/* high: the first 64 bits of an IPv6 address, host byte order, here and below. */
static inline __attribute__((always_inline)) __u64 sipdam_gate6_hash(__u64 seed, __u64 high)
{
	return sipdam_mix(high >> 32 ^ seed);
}

/* Which bit of the gate's line stands for prefixes of this length (at least SIPDAM_GATE6_BITS_MIN). */
static inline __attribute__((always_inline)) __u32 sipdam_gate6_bit(__u64 high, __u32 bits)
{
	__u64 part = bits >= SIPDAM_GATE6_BITS_LONG ? high >> 16 : high >> 32;

	return (part + (__u64)bits * SIPDAM_MIX_2) * SIPDAM_MIX_1 >> 55;
}

/* The first `bits` (0 to 64) of a word. */
static inline __attribute__((always_inline)) __u64 sipdam_first_bits(__u64 word, __u32 bits)
{
	return bits ? word & ~0ULL << ((64 - bits) & 63) : 0;
}

#endif
