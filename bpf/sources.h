/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From an address to its buckets: the keyed hash, and the lines of the source and network tables.
 */
#ifndef SOURCES_H
#define SOURCES_H

#include "bucket.h"
#include "maps.h"
#include "packet.h"

/*
 * Keyed mix of two words into 64 bits: secrets are added before and between multiplications by odd
 * secrets, so that neither equal lines nor equal tags can be computed from outside. Not a cryptographic
 * hash: it costs 3 ns, a SipHash ten times that.
 */
static __always_inline __u64 keyed_hash(__u64 high, __u64 low)
{
	__u64 hash = (low ^ secret.word[0]) * (secret.word[2] | 1);

	hash ^= hash >> 32;
	hash = (hash + (high ^ secret.word[1])) * (secret.word[3] | 1);
	hash ^= hash >> 29;
	hash = (hash ^ secret.word[1]) * (secret.word[2] | 1);
	return hash ^ hash >> 32;
}

static __always_inline __u32 family_index(const struct packet *packet)
{
	return packet->family == 6 ? SIPDAM_FAMILY_IPV6 : SIPDAM_FAMILY_IPV4;
}

static __always_inline __u64 masked_hash(const struct packet_address *address, const struct sipdam_mask *mask)
{
	return keyed_hash(address->high & mask->high, address->low & mask->low);
}

static __always_inline struct sipdam_line *source_line(__u64 hash)
{
	__u32 index = (__u32)hash & source_mask;

	return bpf_map_lookup_elem(&sources, &index);
}

static __always_inline struct sipdam_line *network_line(__u64 hash)
{
	__u32 index = (__u32)hash & network_mask;

	return bpf_map_lookup_elem(&networks, &index);
}

static __always_inline void count_table_event(__u32 event)
{
	__u64 *count = bpf_map_lookup_elem(&table_events, &event);

	if (count)
		(*count)++;
}

/* A bucket to be asked for n packets. */
struct demand {
	__u64 hash;    /* of the source or network */
	__u64 now;     /* ticks */
	__u64 horizon; /* ticks */
	__u32 kind;    /* low bits of the tag */
	__u32 n;
};

/* Takes from a line; what is odd about it is counted. True when n packets are admitted. */
static __always_inline bool line_admits(struct sipdam_line *line, const struct sipdam_limit *limit,
					const struct demand *demand, __u32 displaced_event)
{
	bool displaced = false;
	int answer = line_take(line, bucket_tag(demand->hash, demand->kind), demand->now, demand->horizon,
			       limit, demand->n, &displaced);

	if (displaced)
		count_table_event(displaced_event);
	if (answer == BUCKET_CONTENDED)
		count_table_event(SIPDAM_TABLE_CONTENDED);
	return answer == BUCKET_ADMITS;
}

/* The questions to the tables. A look-up in an array that fails cannot refuse anybody. */
static __always_inline bool source_takes(const struct sipdam_limit *limit, const struct demand *demand)
{
	struct sipdam_line *line = source_line(demand->hash);

	return !line || line_admits(line, limit, demand, SIPDAM_TABLE_SOURCE_DISPLACED);
}

static __always_inline bool network_takes(const struct sipdam_limit *limit, const struct demand *demand)
{
	struct sipdam_line *line = network_line(demand->hash);

	return !line || line_admits(line, limit, demand, SIPDAM_TABLE_NETWORK_DISPLACED);
}

/*
 * Both or none of two buckets of one source: a segment's class and its further bytes. Rare, and a
 * function of its own so that the kernel verifies its three searches of a line once.
 */
__noinline int source_takes_both(const struct sipdam_limit *limit, const struct sipdam_limit *data,
				 const struct demand *demand, __u32 data_tokens)
{
	struct demand besides;
	struct sipdam_line *line;

	if (!limit || !data || !demand)
		return 1;
	line = source_line(demand->hash);
	if (!line)
		return 1;
	besides = *demand;
	besides.kind = SIPDAM_CLASS_TCP_DATA;
	besides.n = data_tokens;
	if (!limit_is_unlimited(data) && !line_conforms(line, bucket_tag(besides.hash, besides.kind),
							besides.now, besides.horizon, data, data_tokens))
		return 0;
	if (!limit_is_unlimited(limit) && !line_admits(line, limit, demand, SIPDAM_TABLE_SOURCE_DISPLACED))
		return 0;
	return limit_is_unlimited(data) || line_admits(line, data, &besides, SIPDAM_TABLE_SOURCE_DISPLACED);
}

#endif
