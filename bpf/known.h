/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whom the server knows: trusted sources and peers, asked for behind the bans. The table is the tool's
 * (user/known.c); here it is only read.
 */
#ifndef KNOWN_H
#define KNOWN_H

#include "bans.h"

/* The answer of known_finds: the tier, and the devices behind the address. */
#define KNOWN_AS(tier, devices) ((devices) << 8 | (tier))
#define KNOWN_TIER(known)       ((known)&0xff)
#define KNOWN_DEVICES(known)    ((known) >> 8)

/* With nobody known, as before the first registration, this is all that is asked. */
static __always_inline bool any_is_known(__u64 now)
{
	return now < *(const volatile __u64 *)&known_gate.latest;
}

static __always_inline struct sipdam_line *known_line(__u64 hash)
{
	__u32 index = hash & (SIPDAM_KNOWN_LINES - 1);

	return bpf_map_lookup_elem(&known, &index);
}

static __always_inline struct sipdam_known *known_record(__u64 hash, __u32 way)
{
	__u32 index = (hash & (SIPDAM_KNOWN_LINES - 1)) * SIPDAM_WAYS + (way & (SIPDAM_WAYS - 1));

	return bpf_map_lookup_elem(&known_records, &index);
}

static __always_inline bool known_tag_is(__u64 word, __u64 hash)
{
	return !((word ^ hash) >> SIPDAM_KNOWN_TAG_SHIFT);
}

/* Is a word this source's by its tag, of either kind, and holds? As ban_is_in. */
static __always_inline bool known_word_is(__u64 word, __u64 hash, __u64 now)
{
	__u64 least = hash >> SIPDAM_KNOWN_TAG_SHIFT << SIPDAM_KNOWN_TAG_SHIFT | now >> SIPDAM_BAN_UNIT_SHIFT;

	return (word & ~SIPDAM_KNOWN_KIND) - least - 1 < BAN_END_MASK - (now >> SIPDAM_BAN_UNIT_SHIFT);
}

/* Has the line a word that is this source's by its tag, of either kind, and holds? As ban_is_in. */
static __always_inline bool known_is_in(const struct sipdam_line *line, __u64 hash, __u64 now)
{
	__u64 least = hash >> SIPDAM_KNOWN_TAG_SHIFT << SIPDAM_KNOWN_TAG_SHIFT | now >> SIPDAM_BAN_UNIT_SHIFT;
	__u64 room = BAN_END_MASK - (now >> SIPDAM_BAN_UNIT_SHIFT);
	bool found = false;

#pragma unroll
	for (__u32 way = 0; way < SIPDAM_WAYS; way++)
		found |= (line_word(line, way) & ~SIPDAM_KNOWN_KIND) - least - 1 < room;
	return found;
}

/* As what a source is known, a KNOWN_AS; 0: as nothing. Looks at every way. */
__noinline int known_finds(const struct ban_request *source)
{
	struct sipdam_line *line = source ? known_line(source->hash) : NULL;

	if (!line || !source)
		return 0;
#pragma nounroll
	for (__u32 way = 0; way < SIPDAM_WAYS; way++) {
		__u64 word = line_word(line, way);
		struct sipdam_known *record;

		if (!known_tag_is(word, source->hash) || !ban_holds(word, source->now))
			continue;
		record = known_record(source->hash, way);
		if (!record || record->high != source->high || record->low != source->low ||
		    record->bits != source->bits)
			continue;
		return word & SIPDAM_KNOWN_KIND ? KNOWN_AS(SIPDAM_TIER_TRUSTED, record->devices)
						: KNOWN_AS(SIPDAM_TIER_PEER, 1);
	}
	return 0;
}

#endif
