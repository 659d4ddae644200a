/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Is an address in a list? The search through the lines that include/sipdam/index.h describes. Pure:
 * whoever includes this says first how a line is found, by index_line().
 */
#ifndef SEARCH_H
#define SEARCH_H

#include "packet.h"
#include "sipdam/state.h"

/* Line `number` of the index, or NULL. */
static __always_inline const struct sipdam_line *index_line(const struct sipdam_index *index, __u32 number);

/* Bit of a line. */
static __always_inline bool line_has_bit(const struct sipdam_line *line, __u32 bit)
{
	return line->word[bit >> 6 & (SIPDAM_WAYS - 1)] >> (bit & 63) & 1;
}

static __always_inline bool plane_has_bit(const struct sipdam_index *index, __u32 first, __u32 bit)
{
	const struct sipdam_line *line = index_line(index, first + bit / SIPDAM_LINE_BITS);

	return line && line_has_bit(line, bit & (SIPDAM_LINE_BITS - 1));
}

static __always_inline __u32 index_ipv4(const struct packet_address *address)
{
	return __builtin_bswap64(address->low);
}

/* May the list hold this IPv4 address? Nearly always no where it does not. */
static __always_inline bool index_gate4(const struct sipdam_index *index, __u32 address)
{
	return index->gate4_shift && plane_has_bit(index, index->gate4, address >> (index->gate4_shift & 31));
}

/* All of a line's addresses at once: a half of a word that becomes 0 is the address. */
static __always_inline bool single4_has(const struct sipdam_index *index, __u32 address)
{
	__u64 pattern = address | (__u64)address << 32, found = 0;
	const struct sipdam_line *line;

	if (!index->single4_lines)
		return false;
	line = index_line(index, index->single4 + sipdam_line_of(sipdam_mix(address ^ index->seed),
								 index->single4_lines));
	if (!line)
		return false;
	for (int i = 0; i < SIPDAM_WAYS; i++) {
		__u64 word = line->word[i] ^ pattern;

		found |= (word - 0x0000000100000001ULL) & ~word;
	}
	return address && found & 0x8000000080000000ULL;
}

/* unit: now, in units of 2^SIPDAM_UNTIL_SHIFT ns. */
static __always_inline bool narrow_matches(const struct sipdam_narrow *line, __u64 key, __u32 tag, __u32 unit)
{
	bool found = false;

	for (int i = 0; i < SIPDAM_NARROW_WAYS; i++)
		found |= line->key[i] == key && (line->what[i] >> 32 & 0xff) == tag &&
			 unit < (__u32)line->what[i];
	return found;
}

static __always_inline bool narrow_has(const struct sipdam_index *index, __u64 key, __u32 tag, __u32 unit)
{
	__u64 hash = sipdam_narrow_hash(index->seed, key, tag);
	const struct sipdam_narrow *line;

	line = (const void *)index_line(index, index->narrow + sipdam_line_of(hash, index->narrow_lines));
	if (!line)
		return false;
	if (narrow_matches(line, key, tag, unit))
		return true;
	if (!(line->what[0] & SIPDAM_NARROW_SPILLED))
		return false;
	hash = sipdam_second_hash(hash);
	line = (const void *)index_line(index, index->narrow + sipdam_line_of(hash, index->narrow_lines));
	return line && narrow_matches(line, key, tag, unit);
}

static __always_inline bool wide_matches(const struct sipdam_wide *line, __u64 high, __u64 low, __u32 bits,
					 __u32 unit)
{
	bool found = false;

	for (int i = 0; i < SIPDAM_WIDE_WAYS; i++)
		found |= line->high[i] == high && line->low[i] == low && line->bits[i] == bits &&
			 unit < line->until[i];
	return found;
}

static __always_inline bool wide_has(const struct sipdam_index *index, __u64 high, __u64 low, __u32 bits,
				     __u32 unit)
{
	__u64 hash = sipdam_wide_hash(index->seed, high, low, bits);
	const struct sipdam_wide *line;

	line = (const void *)index_line(index, index->wide + sipdam_line_of(hash, index->wide_lines));
	if (!line)
		return false;
	if (wide_matches(line, high, low, bits, unit))
		return true;
	if (!line->spilled)
		return false;
	hash = sipdam_second_hash(hash);
	line = (const void *)index_line(index, index->wide + sipdam_line_of(hash, index->wide_lines));
	return line && wide_matches(line, high, low, bits, unit);
}

/* Is there an entry of just this length around the address? For each family a function of its own: the
 * kernel verifies it once and not for each length. */
__noinline int prefix4_has(const struct sipdam_index *index, __u32 address, __u32 bits, __u32 unit)
{
	return index && narrow_has(index, sipdam_first_bits(address, bits + 32), SIPDAM_TAG_IPV4(bits), unit);
}

__noinline int prefix6_has(const struct sipdam_index *index, const struct packet_address *address, __u32 bits,
			   __u32 unit)
{
	__u64 high, low;

	if (!index || !address)
		return false;
	high = __builtin_bswap64(address->high);
	low = __builtin_bswap64(address->low);
	if (bits > 64)
		return wide_has(index, high, sipdam_first_bits(low, bits - 64), bits, unit);
	return narrow_has(index, sipdam_first_bits(high, bits), SIPDAM_TAG_IPV6(bits), unit);
}

/* Behind the gate, and before the prefixes: the least that a look-up in a large list costs is one line more. */
static __always_inline bool index_has_single4(const struct sipdam_index *index, __u32 address, __u32 unit)
{
	return unit < index->single4_until && single4_has(index, address);
}

/* Are there IPv4 entries other than single addresses? */
static __always_inline bool index_has_prefixes4(const struct sipdam_index *index)
{
	return index->solid_until || index->lengths4;
}

/* Is there a prefix around the address? Behind the gate. */
static __always_inline bool index_has_ipv4(const struct sipdam_index *index, __u32 address, __u32 unit)
{
	__u32 lengths = index->lengths4;

	if (unit < index->solid_until) {
		if (plane_has_bit(index, index->solid4, address >> (index->gate4_shift & 31)))
			return true;
		lengths = index->open4;
	}
	for (__u32 i = 0; i < sizeof(index->length4) && i < lengths; i++)
		if (prefix4_has(index, address, index->length4[i], unit))
			return true;
	return false;
}

static __always_inline bool index_has_ipv6(const struct sipdam_index *index,
					   const struct packet_address *address, __u32 unit)
{
	__u64 high = __builtin_bswap64(address->high);
	const struct sipdam_line *gate;
	__u32 lines = index->gate6_lines;

	if (unit < index->all6_until)
		return true;
	if (!lines)
		return false;
	gate = index_line(index, index->gate6 + (sipdam_gate6_hash(index->seed, high) >> 32 & (lines - 1)));
	if (!gate)
		return false;
	for (__u32 i = 0; i < sizeof(index->length6) && i < index->lengths6; i++) {
		__u32 bits = index->length6[i];

		if (bits >= SIPDAM_GATE6_BITS_MIN && !line_has_bit(gate, sipdam_gate6_bit(high, bits)))
			continue;
		if (prefix6_has(index, address, bits, unit))
			return true;
	}
	return false;
}

#endif
