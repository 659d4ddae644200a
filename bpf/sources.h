/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From an address to its buckets: the keyed hash, and the lines of the source and network tables.
 */
#ifndef SOURCES_H
#define SOURCES_H

#include "bucket.h"
#include "maps.h"
#include "packet.h"
#include "segment.h"
#include "stamp.h"
#include "sipdam/hash.h"

static __always_inline __u64 keyed_hash(__u64 high, __u64 low)
{
	return sipdam_hash(&secret, high, low);
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

/* Who sends, by address and port as on the wire. */
static __always_inline __u64 sender_hash(const struct packet_address *address, __be16 port)
{
	return sipdam_sender_hash(&secret, address->high, address->low, port);
}

static __always_inline struct sipdam_line *verified_line(__u64 hash)
{
	__u32 index = (__u32)hash & (SIPDAM_VERIFIED_LINES - 1);

	return bpf_map_lookup_elem(&verified, &index);
}

/* Of messages that may come again (copies.h). */
static __always_inline struct sipdam_line *copies_line(__u64 hash)
{
	__u32 index = (__u32)hash & (SIPDAM_COPY_LINES - 1);

	return bpf_map_lookup_elem(&copies, &index);
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

/* Takes from a line within a room; what is odd about it is counted. Returns an enum bucket_answer. */
static __always_inline int line_answer(struct sipdam_line *line, const struct sipdam_limit *limit,
				       const struct demand *demand, __u64 room, __u32 displaced_event)
{
	bool displaced = false;
	int answer = line_take_within(line, bucket_tag(demand->hash, demand->kind), demand->now,
				      demand->horizon, limit, demand->n, room, &displaced);

	if (displaced)
		count_table_event(displaced_event);
	if (answer == BUCKET_CONTENDED)
		count_table_event(SIPDAM_TABLE_CONTENDED);
	return answer;
}

/* True when n packets are admitted. */
static __always_inline bool line_admits(struct sipdam_line *line, const struct sipdam_limit *limit,
					const struct demand *demand, __u32 displaced_event)
{
	return line_answer(line, limit, demand, ROOM_ALL, displaced_event) == BUCKET_ADMITS;
}

/* The questions to the tables. A look-up in an array that fails cannot refuse anybody. */
static __always_inline int source_takes(const struct sipdam_limit *limit, const struct demand *demand, __u64 room)
{
	struct sipdam_line *line = source_line(demand->hash);

	return line ? line_answer(line, limit, demand, room, SIPDAM_TABLE_SOURCE_DISPLACED) : BUCKET_ADMITS;
}

/*
 * One drop more of a source that it has itself to blame for. True where it is one too many. Strikes lie in
 * the line beside the source's own: among its classes one would push the other out, and a debt be taken for
 * strikes or shed by them.
 */
static __always_inline bool source_strikes_out(const struct sipdam_limit *strikes,
					       const struct demand *demand)
{
	struct sipdam_line *line = source_line(demand->hash ^ 1);
	bool displaced = false, out;

	if (!line)
		return false;
	out = line_strikes_out(line, bucket_tag(demand->hash, demand->kind), demand->now, demand->horizon,
			       strikes, &displaced);
	if (displaced)
		count_table_event(SIPDAM_TABLE_SOURCE_DISPLACED);
	return out;
}

static __always_inline bool network_takes(const struct sipdam_limit *limit, const struct demand *demand)
{
	struct sipdam_line *line = network_line(demand->hash);

	return !line || line_admits(line, limit, demand, SIPDAM_TABLE_NETWORK_DISPLACED);
}

/* The pools' word for a class; a look-up that fails cannot refuse anybody. */
static __always_inline bool pool_takes(const struct sipdam_limit *limit, __u32 class, __u64 now, __u32 n)
{
	struct sipdam_pool *pool = bpf_map_lookup_elem(&pools, &class);
	int answer;

	if (!pool || limit_is_unlimited(limit))
		return true;
	answer = pool_take(&pool->tat, now, limit, n);
	if (answer == BUCKET_CONTENDED)
		count_table_event(SIPDAM_TABLE_CONTENDED);
	return answer == BUCKET_ADMITS;
}

/* Messages of a class in one segment that a full bucket may pay for, in bursts. */
#define BURSTS_A_SEGMENT 2

/*
 * Bills, for segments that cost more than one token: all of their parts are asked before any is taken.
 * Rare, and functions of their own so that the kernel verifies the search of a line once and the loops
 * apart from it.
 */
__noinline int source_pays_part(const struct sipdam_limit *limit, const struct demand *part, __u32 take)
{
	struct sipdam_line *line;

	if (!limit || !part || !part->n || limit_is_unlimited(limit))
		return 1;
	/* A bucket of few tokens would sell many messages for one: such a segment never passes. */
	if (part->kind <= SEGMENT_CLASSES && part->n > limit->burst * BURSTS_A_SEGMENT)
		return 0;
	line = source_line(part->hash);
	if (!line)
		return 1;
	if (!take)
		return line_conforms(line, bucket_tag(part->hash, part->kind), part->now, part->horizon,
				     limit, part->n);
	return line_admits(line, limit, part, SIPDAM_TABLE_SOURCE_DISPLACED);
}

/* Would the source have used half of a bucket with this? For a limit that lies in no policy. */
__noinline int source_is_crowded(const struct sipdam_limit *limit, const struct demand *demand)
{
	struct sipdam_line *line;

	if (!limit || !demand || limit_is_unlimited(limit))
		return 0;
	line = source_line(demand->hash);
	return line && line_is_crowded(line, bucket_tag(demand->hash, demand->kind), demand->now,
				       demand->horizon, limit, demand->n);
}

/* What is said of a bill that is looked at as a whole. */
enum bill_answer {
	BILL_REFUSED = 0,
	BILL_PAID = 1,
	BILL_OPEN = 2, /* its parts are to be asked one by one; nothing was taken */
};

/*
 * The bill of nearly all messages over TCP, one class and tcp_data: it is paid, or refused, by two words that the
 * source has in its line. Anything else about them, and what other CPUs are faster with, is OPEN. part: of the one
 * class; data: tokens of the other.
 */
__noinline int source_pays_two(const struct sipdam_limits *limits, struct demand *part, __u32 data)
{
	const struct sipdam_limit *limit, *data_limit;
	struct bucket_slot slot, data_slot;
	__u64 cost, data_cost, tag, data_tag;
	struct sipdam_line *line;

	if (!limits || !part)
		return BILL_OPEN;
	limit = &limits->limit[part->kind & (SIPDAM_CLASSES_MAX - 1)];
	data_limit = &limits->limit[SIPDAM_CLASS_TCP_DATA];
	line = source_line(part->hash);
	if (!line || limit_is_unlimited(limit) || limit_is_unlimited(data_limit))
		return BILL_OPEN;
	tag = bucket_tag(part->hash, part->kind);
	data_tag = bucket_tag(part->hash, SIPDAM_CLASS_TCP_DATA);
	slot = line_own(line, tag, part->now, part->horizon);
	data_slot = line_own(line, data_tag, part->now, part->horizon);
	if (!slot.found || !data_slot.found || slot.ahead > limit->depth || data_slot.ahead > data_limit->depth)
		return BILL_OPEN;
	cost = bucket_cost(limit, part->n);
	data_cost = bucket_cost(data_limit, data);
	if (!bucket_conforms(limit, slot.ahead, cost) || !bucket_conforms(data_limit, data_slot.ahead, data_cost))
		return BILL_REFUSED;
	if (!slot_take(line, &slot, tag, part->now, cost))
		return BILL_OPEN;
	if (slot_take(line, &data_slot, data_tag, part->now, data_cost))
		return BILL_PAID;
	part->kind = SIPDAM_CLASS_TCP_DATA;
	part->n = data;
	return source_pays_part(data_limit, part, true);
}

/*
 * devices: of a trusted source, whose limits grow with them by strangers' ones. part: hash and times; the rest
 * is written here.
 */
__noinline int source_pays(const struct sipdam_limits *limits, const struct sipdam_limits *strangers,
			   __u32 devices, const struct bill *bill, struct demand *part)
{
	struct sipdam_limit grown;
	__u32 classes;

	if (!limits || !strangers || !bill || !part)
		return 1;
	classes = bill->classes;
#pragma nounroll
	for (__u32 take = 0; take < 2; take++) {
#pragma nounroll
		for (__u32 class = 1; class < SIPDAM_CLASSES_MAX; class ++) {
			if (!(classes >> class & 1))
				continue;
			part->kind = class;
			part->n = bill->n[class];
			limit_grow(&grown, &limits->limit[class], &strangers->limit[class], devices);
			if (!source_pays_part(&grown, part, take))
				return 0;
		}
	}
	return 1;
}

/* A part of a bill to the pools; asked, or taken. */
static __always_inline bool pool_pays(const struct sipdam_limit *limit, __u32 class, __u64 now, __u32 n, bool take)
{
	struct sipdam_pool *pool = bpf_map_lookup_elem(&pools, &class);

	if (!pool || !n || limit_is_unlimited(limit))
		return true;
	return take ? pool_takes(limit, class, now, n) : pool_conforms(&pool->tat, now, limit, n);
}

__noinline int pools_pay_part(const struct sipdam_limit *limit, __u32 class, __u64 now, __u32 n, __u32 take)
{
	return !limit || pool_pays(limit, class, now, n, take);
}

/*
 * The bill of one class and of so many tokens of tcp_data, asked in the order of their numbers; of the second an
 * answer that it takes is the question too. now: ticks.
 */
__noinline int pools_pay_two(const struct sipdam_limits *limits, __u32 class, __u32 n, __u32 data, __u64 now)
{
	__u32 first = class, second = SIPDAM_CLASS_TCP_DATA, first_n = n, second_n = data;
	const struct sipdam_limit *limit, *other;

	if (!limits)
		return 1;
	if (first > second) {
		first = SIPDAM_CLASS_TCP_DATA, first_n = data;
		second = class, second_n = n;
	}
	limit = &limits->limit[first & (SIPDAM_CLASSES_MAX - 1)];
	other = &limits->limit[second & (SIPDAM_CLASSES_MAX - 1)];
	return pool_pays(limit, first, now, first_n, false) && pool_pays(other, second, now, second_n, true) &&
	       pool_pays(limit, first, now, first_n, true);
}

/*
 * A part of the bill of a segment that nothing speaks for but that it came again: asked, or taken, of the pool and of
 * the half that all such segments share, so that known connections have the other. now: ticks.
 */
__noinline int again_pays_part(const struct sipdam_limit *limit, __u32 class, __u64 now, __u32 n, __u32 take)
{
	struct sipdam_pool *pool = bpf_map_lookup_elem(&pools, &class);
	struct sipdam_limit half;

	if (!limit || !pool || !n || limit_is_unlimited(limit))
		return 1;
	half = half_of(limit);
	if (!take)
		return pool_conforms(&pool->again_tat, now, &half, n) && pool_conforms(&pool->tat, now, limit, n);
	return pool_takes(limit, class, now, n) && pool_take(&pool->again_tat, now, &half, n) == BUCKET_ADMITS;
}

/* All parts of a bill, or none. again: of a segment that nothing speaks for but that it came again. now: ticks. */
__noinline int pools_pay(const struct sipdam_limits *limits, const struct bill *bill, __u64 now, __u32 again)
{
	__u32 classes;

	if (!limits || !bill)
		return 1;
	classes = bill->classes;
#pragma nounroll
	for (__u32 take = 0; take < 2; take++)
#pragma nounroll
		for (__u32 class = 1; class < SIPDAM_CLASSES_MAX; class ++)
			if (classes >> class & 1 &&
			    !(again ? again_pays_part(&limits->limit[class], class, now, bill->n[class], take)
				    : pools_pay_part(&limits->limit[class], class, now, bill->n[class], take)))
				return 0;
	return 1;
}

#endif
