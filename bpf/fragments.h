/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What became of a datagram's first fragment, so that the others follow it: 5 s, at most 45 followers
 * and 64 KiB a datagram. Nothing is reassembled. A table of lines as for sources, word:
 * tag:23 | expiry:16 (units of 16.8 ms) | bytes:14 (units of 8) | followers:6 | reason:5.
 * Full: the word that expires first is replaced, counted as SIPDAM_TABLE_FRAGMENT_DISPLACED; its
 * followers then follow nothing.
 */
#ifndef FRAGMENTS_H
#define FRAGMENTS_H

#include "sources.h"

#define FRAGMENT_REASON_BITS   5
#define FRAGMENT_FOLLOWER_BITS 6
#define FRAGMENT_BYTES_BITS    14
#define FRAGMENT_EXPIRY_BITS   16
#define FRAGMENT_BYTES_SHIFT   (FRAGMENT_REASON_BITS + FRAGMENT_FOLLOWER_BITS)
#define FRAGMENT_EXPIRY_SHIFT  (FRAGMENT_BYTES_SHIFT + FRAGMENT_BYTES_BITS)
#define FRAGMENT_TAG_SHIFT     (FRAGMENT_EXPIRY_SHIFT + FRAGMENT_EXPIRY_BITS)

#define FRAGMENT_TIME_SHIFT    24 /* nanoseconds to units of the expiry */
#define FRAGMENT_SECONDS       5
#define FRAGMENT_LIFE          (FRAGMENT_SECONDS * 1000000000ULL >> FRAGMENT_TIME_SHIFT)
#define FRAGMENT_FOLLOWERS_MAX 45
#define FRAGMENT_BYTES_MAX     (65536 / 8)

_Static_assert(SIPDAM_REASONS_MAX <= 1 << FRAGMENT_REASON_BITS, "a reason fits");

struct fragment_slot {
	__u64 word;
	__u32 life; /* units until it expires; 0: expired or free */
	__u32 way;
	bool found;
};

static __always_inline __u32 fragment_life(__u64 word, __u64 now)
{
	__u16 left = (__u16)(word >> FRAGMENT_EXPIRY_SHIFT) - (__u16)(now >> FRAGMENT_TIME_SHIFT);

	return left > FRAGMENT_LIFE ? 0 : left;
}

static __always_inline struct fragment_slot fragment_find(const struct sipdam_line *line, __u64 tag,
							  __u64 now)
{
	struct fragment_slot slot = {.life = ~0u};

#pragma unroll
	for (__u32 way = 0; way < SIPDAM_WAYS; way++) {
		__u64 word = *(const volatile __u64 *)&line->word[way];
		__u32 life = word ? fragment_life(word, now) : 0;

		if (word && word >> FRAGMENT_TAG_SHIFT == tag)
			return (struct fragment_slot){.word = word, .life = life, .way = way, .found = true};
		if (life < slot.life)
			slot = (struct fragment_slot){.word = word, .life = life, .way = way};
	}
	return slot;
}

/*
 * Source, destination, identification and protocol, keyed one after the other: mixed before the key is in,
 * neighbours of a source that write to a neighbour of a destination would share its datagrams.
 */
static __always_inline __u64 fragment_hash(const struct packet *packet)
{
	__u64 source = keyed_hash(packet->source.high, packet->source.low);
	__u64 pair = keyed_hash(source ^ packet->destination.high, packet->destination.low);

	return keyed_hash(pair, (__u64)packet->fragment_protocol << 32 | packet->identification);
}

static __always_inline struct sipdam_line *fragment_line(__u64 hash)
{
	__u32 index = hash & (FRAGMENT_LINES - 1);

	return bpf_map_lookup_elem(&fragments, &index);
}

/* Bytes of the datagram in this fragment, in units of 8, the last one rounded up. */
static __always_inline __u64 fragment_units(const struct packet *packet)
{
	__u32 bytes = packet->end > packet->transport_offset ? packet->end - packet->transport_offset : 0;

	return (bytes + 7) / 8;
}

/* Remembers the verdict of a first fragment. A second first fragment of the datagram is judged anew. */
__noinline int fragment_remember(const struct packet *packet, int reason, __u64 now)
{
	__u64 hash = packet ? fragment_hash(packet) : 0;
	struct sipdam_line *line = fragment_line(hash);
	__u64 expiry = ((now >> FRAGMENT_TIME_SHIFT) + FRAGMENT_LIFE) & ((1 << FRAGMENT_EXPIRY_BITS) - 1);
	struct fragment_slot slot;
	__u64 word;

	if (!line || !packet)
		return 0;
	slot = fragment_find(line, hash >> FRAGMENT_TAG_SHIFT, now);
	word = hash >> FRAGMENT_TAG_SHIFT << FRAGMENT_TAG_SHIFT | expiry << FRAGMENT_EXPIRY_SHIFT |
	       fragment_units(packet) << FRAGMENT_BYTES_SHIFT | (reason & (SIPDAM_REASONS_MAX - 1));
	if (bucket_swap(&line->word[slot.way & (SIPDAM_WAYS - 1)], slot.word, word) && !slot.found &&
	    slot.life)
		count_table_event(SIPDAM_TABLE_FRAGMENT_DISPLACED);
	return 0;
}

/*
 * The reason a follower inherits, and one of the datagram's 45 places with it; NONE when it follows
 * nothing that is remembered, or the datagram has had its share.
 */
__noinline int fragment_follows(const struct packet *packet, __u64 now)
{
	__u64 hash = packet ? fragment_hash(packet) : 0;
	struct sipdam_line *line = fragment_line(hash);

	if (!line || !packet)
		return SIPDAM_REASON_NONE;
#pragma nounroll
	for (int attempt = 0; attempt < 2; attempt++) {
		struct fragment_slot slot = fragment_find(line, hash >> FRAGMENT_TAG_SHIFT, now);
		__u64 followers = slot.word >> FRAGMENT_REASON_BITS & ((1 << FRAGMENT_FOLLOWER_BITS) - 1);
		__u64 units = slot.word >> FRAGMENT_BYTES_SHIFT & ((1 << FRAGMENT_BYTES_BITS) - 1);
		__u64 added = fragment_units(packet);

		if (!slot.found || !slot.life || followers >= FRAGMENT_FOLLOWERS_MAX ||
		    units + added > FRAGMENT_BYTES_MAX)
			return SIPDAM_REASON_NONE;
		if (bucket_swap(&line->word[slot.way & (SIPDAM_WAYS - 1)], slot.word,
				slot.word + (1ULL << FRAGMENT_REASON_BITS) + (added << FRAGMENT_BYTES_SHIFT)))
			return slot.word & (SIPDAM_REASONS_MAX - 1);
	}
	return SIPDAM_REASON_NONE;
}

#endif
