/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whom the limits of single sources refuse most, so that the operator can be asked whether it is a trunk of
 * theirs. A record, not a judgement: nothing here changes a verdict.
 */
#ifndef REFUSED_H
#define REFUSED_H

#include "sources.h"

/* A slot that is held by this many samples more than others brought is not held any faster. */
#define REFUSED_SCORE_MAX 255

/* Answers, and requests inside calls, are refused to who serves many: a flood of new requests must not hide
 * it. */
static __always_inline __u32 refused_slot(__u32 class, __u64 hash)
{
	__u32 half =
		class == SIPDAM_CLASS_RESPONSE || class == SIPDAM_CLASS_DIALOG ? SIPDAM_REFUSED_SLOTS / 2 : 0;

	return half + (hash >> 32 & (SIPDAM_REFUSED_SLOTS / 2 - 1));
}

/* Nanoseconds since a slot was written. Another interface's clock may be a tick ahead. */
static __always_inline __u64 refused_silence(const struct sipdam_refused *slot, __u64 now)
{
	return now > slot->last ? now - slot->last : 0;
}

/*
 * Whether a slot goes to another source: each sample of others takes one from its score, and each second that
 * its own source has been silent one more. So who is refused most often keeps it, and nobody longer than a
 * flood lasts.
 */
static __always_inline bool refused_gives_way(struct sipdam_refused *slot, __u64 now)
{
	__u64 silent = refused_silence(slot, now), fade = 1 + (silent >> 30);

	if (!slot->last)
		return true;
	if (slot->score > fade) {
		slot->score -= fade;
		return false;
	}
	if (silent < SIPDAM_REFUSED_EPISODE)
		count_table_event(SIPDAM_TABLE_REFUSED_DISPLACED);
	return true;
}

/*
 * Notes one refused packet in SIPDAM_REFUSED_SAMPLE. now: nanoseconds. Each CPU has its own slots, so that no
 * two write one. A function of its own so that it is verified apart.
 */
__noinline int refused_note(const struct packet *packet, const struct sipdam_policy *policy, __u64 hash,
			    __u64 now, __u32 class)
{
	__u32 index = refused_slot(class, hash);
	struct sipdam_refused *slot = bpf_map_lookup_elem(&refused, &index);
	const struct sipdam_mask *mask;
	__u64 high, low;
	bool same;

	if (!slot || !packet || !policy)
		return 0;
	mask = &policy->source_mask[family_index(packet)];
	high = packet->source.high & mask->high;
	low = packet->source.low & mask->low;
	same = slot->high == high && slot->low == low;
	if (!same && !refused_gives_way(slot, now))
		return 0;
	if (!same || refused_silence(slot, now) > SIPDAM_REFUSED_EPISODE) {
		__builtin_memset(slot, 0, sizeof(*slot));
		slot->high = high;
		slot->low = low;
		slot->first = now;
	}
	slot->last = now;
	slot->packets += SIPDAM_REFUSED_SAMPLE;
	slot->score += slot->score < REFUSED_SCORE_MAX;
	slot->classes |= 1 << (class & (SIPDAM_CLASSES_MAX - 1));
	slot->class = class;
	slot->bits = packet->family == 6 ? policy->source_prefix[SIPDAM_FAMILY_IPV6]
					 : 96 + policy->source_prefix[SIPDAM_FAMILY_IPV4];
	return 1;
}

#endif
