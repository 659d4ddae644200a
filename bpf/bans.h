/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who is banned, and banning: step 3, and what proven offenders come to. The tool bans and pardons through
 * the same tables (user/bans.c).
 */
#ifndef BANS_H
#define BANS_H

#include "ban.h"
#include "sources.h"

/* A source, as bans name it, and what is to happen to it. */
struct ban_request {
	__u64 high, low; /* the address with all bits behind the prefix cleared */
	__u64 hash;
	__u64 now;           /* nanoseconds */
	__u64 lasting, most; /* of the first ban, and of any: nanoseconds */
	__u32 bits;          /* of the prefix, over 128 */
	__u32 cause;         /* enum sipdam_ban_cause */
};

/* With no ban in force, which is most of the time, step 3 is this one question. */
static __always_inline bool bans_are_in_force(__u64 now)
{
	return now < *(const volatile __u64 *)&ban_gate.latest;
}

static __always_inline __u32 source_bits(const struct sipdam_policy *policy, const struct packet *packet)
{
	return packet->family == 6 ? policy->source_prefix[SIPDAM_FAMILY_IPV6]
				   : 96 + policy->source_prefix[SIPDAM_FAMILY_IPV4];
}

static __always_inline struct sipdam_line *ban_line(__u64 hash)
{
	__u32 index = hash & (SIPDAM_BAN_LINES - 1);

	return bpf_map_lookup_elem(&bans, &index);
}

/* The record of a way, if it is this source's. */
static __always_inline struct sipdam_ban *ban_record(const struct ban_request *source, __u32 way)
{
	__u32 index = (source->hash & (SIPDAM_BAN_LINES - 1)) * SIPDAM_WAYS + (way & (SIPDAM_WAYS - 1));

	return bpf_map_lookup_elem(&ban_records, &index);
}

static __always_inline bool ban_is_of(const struct sipdam_ban *ban, const struct ban_request *source)
{
	return ban && ban->high == source->high && ban->low == source->low && ban->bits == source->bits;
}

/* The source of a packet; times and cause are left to who bans it. */
static __always_inline void ban_name(struct ban_request *source, const struct packet *packet,
				     const struct sipdam_policy *policy, __u64 hash, __u64 now)
{
	const struct sipdam_mask *mask = &policy->source_mask[family_index(packet)];

	source->high = packet->source.high & mask->high;
	source->low = packet->source.low & mask->low;
	source->hash = hash;
	source->now = now;
	source->bits = source_bits(policy, packet);
}

/* For how long and for what a named source is to be banned: as the policy has it. cause: enum sipdam_ban_cause. */
static __always_inline void ban_by_policy(struct ban_request *source, const struct sipdam_policy *policy, __u32 cause)
{
	source->lasting = policy->ban_for;
	source->most = policy->ban_max;
	source->cause = cause;
}

/*
 * Does a ban of this source hold? Counts the packet with the ban. A function of its own because the caller's
 * stack has no room for it; only called while some ban is in force.
 */
__noinline int ban_finds(const struct ban_request *source)
{
	struct sipdam_line *line = source ? ban_line(source->hash) : NULL;

	if (!line || !source || !ban_is_in(line, source->hash, source->now))
		return 0;
#pragma nounroll
	for (__u32 way = 0; way < SIPDAM_WAYS; way++) {
		__u64 word = line_word(line, way);
		struct sipdam_ban *ban;

		if (ban_tag(word) != ban_tag(source->hash) || !ban_holds(word, source->now))
			continue;
		ban = ban_record(source, way);
		if (!ban_is_of(ban, source))
			continue;
		ban->dropped++;
		return 1;
	}
	return 0;
}

/* Where a ban of a source is, or may go. */
struct ban_slot {
	__u64 word;
	__u32 way;
	__u32 found;
};

/*
 * Its own place, whether the ban holds or has ended; else the free one, or that of the ban that ends first. 0 where
 * there is no line. A function of its own so that its loop is verified once and not for each attempt.
 */
__noinline int ban_slot(const struct ban_request *source, struct ban_slot *slot)
{
	struct sipdam_line *line = source ? ban_line(source->hash) : NULL;

	if (!line || !source || !slot)
		return 0;
	*slot = (struct ban_slot){.word = BAN_END_MASK};
#pragma nounroll
	for (__u32 way = 0; way < SIPDAM_WAYS; way++) {
		__u64 word = line_word(line, way);

		if (word && ban_tag(word) == ban_tag(source->hash) &&
		    ban_is_of(ban_record(source, way), source)) {
			*slot = (struct ban_slot){.word = word, .way = way, .found = true};
			break;
		}
		if (ban_end_of(word) < ban_end_of(slot->word)) {
			slot->word = word;
			slot->way = way;
		}
	}
	return 1;
}

/*
 * Opens a gate up to the end of a ban. Before the ban is written, or packets would be let by for a moment.
 * Every failed exchange is another CPU's that raised it: with fewer than so many at once one succeeds.
 */
#define GATE_ATTEMPTS 8
static __always_inline bool gate_raise(struct sipdam_ban_gate *gate, __u64 end)
{
#pragma nounroll
	for (int attempt = 0; attempt < GATE_ATTEMPTS; attempt++) {
		__u64 latest = *(const volatile __u64 *)&gate->latest;

		if (latest >= end || bucket_swap(&gate->latest, latest, end))
			return true;
	}
	return false;
}

static __always_inline bool gate_open_until(__u64 end)
{
	return gate_raise(&ban_gate, end);
}

static __always_inline void ban_write(struct sipdam_ban *ban, const struct ban_request *source, __u32 times)
{
	ban->high = source->high;
	ban->low = source->low;
	ban->since = source->now;
	ban->dropped = 0;
	ban->times = times;
	ban->tag = ban_tag(source->hash);
	ban->bits = source->bits;
	ban->cause = source->cause;
}

/*
 * Bans a source. One that is banned stays so for as long as it was. Returns 1 if the source is banned now;
 * 0 is counted: bans that hold have all places of its line, or other CPUs took the place first, twice.
 */
__noinline int ban_source(const struct ban_request *source)
{
	struct sipdam_line *line = source ? ban_line(source->hash) : NULL;

	if (!line || !source)
		return 0;
#pragma nounroll
	for (int attempt = 0; attempt < 2; attempt++) {
		struct ban_slot slot = {};
		struct sipdam_ban *ban = ban_slot(source, &slot) ? ban_record(source, slot.way) : NULL;
		bool again = slot.found && ban && ban_is_remembered(slot.word, source->now, source->most);
		__u32 times = again ? ban->times + 1 : 1;
		__u64 end = ban_end(source->now, ban_duration(source->lasting, source->most, times));

		if (slot.found && ban_holds(slot.word, source->now))
			return 1;
		if (!ban || ban_holds(slot.word, source->now) ||
		    !gate_open_until(end << SIPDAM_BAN_UNIT_SHIFT))
			break;
		if (!bucket_swap(&line->word[slot.way & (SIPDAM_WAYS - 1)], slot.word,
				 ban_word(source->hash, end)))
			continue;
		ban_write(ban, source, times);
		return 1;
	}
	count_table_event(SIPDAM_TABLE_BAN_REFUSED);
	return 0;
}

#endif
