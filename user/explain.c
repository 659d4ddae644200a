/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See explain.h. */
#include "explain.h"

#include <bpf/bpf.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "address.h"
#include "cleanup.h"
#include "connections.h"
#include "sipdam/hash.h"
#include "table.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunknown-pragmas" /* those for clang that unroll loops */
#include "../bpf/bucket.h"
#include "../bpf/stamp.h"
#pragma GCC diagnostic pop

/* The one kind of word in the networks' table. */
#define NETWORK_KIND 1

#define IPV4_MAPPED_BITS 96

/* ---- names ---- */

const char *explain_tier_name(enum explain_tier tier)
{
	static const char *const names[] = {
		[EXPLAIN_DENIED] = "denied",
		[EXPLAIN_BANNED] = "banned",
		[EXPLAIN_UNKNOWN] = "unknown",
		[EXPLAIN_PEER] = "peer",
		[EXPLAIN_TRUSTED] = "trusted",
		[EXPLAIN_ALLOWED] = "allowed",
	};

	return names[tier];
}

bool explain_is_network_class(int class)
{
#define X(name, number, label, network) | (__u32)(network) << (number)
	return (0 SIPDAM_CLASSES(X)) >> (class & (SIPDAM_CLASSES_MAX - 1)) & 1;
#undef X
}

/* ---- addresses ---- */

static void clear_behind(struct sipdam_prefix *prefix, __u32 bits)
{
	prefix->bits = bits;
	for (__u32 bit = bits; bit < 128; bit++)
		prefix->address[bit / 8] &= (__u8) ~(0x80 >> bit % 8);
}

/* What shares a bucket with the address, where a policy gives these lengths. */
static struct sipdam_prefix prefix_of(const struct sipdam_prefix *address,
				      const __u32 lengths[SIPDAM_FAMILIES])
{
	struct sipdam_prefix prefix = *address;

	clear_behind(&prefix, address_is_ipv4(address->address)
				      ? IPV4_MAPPED_BITS + lengths[SIPDAM_FAMILY_IPV4]
				      : lengths[SIPDAM_FAMILY_IPV6]);
	return prefix;
}

static __u64 hash_of(const struct sipdam_secret *secret, const struct sipdam_prefix *prefix)
{
	__u64 words[2];

	memcpy(words, prefix->address, sizeof(words));
	return sipdam_hash(secret, words[0], words[1]);
}

/* ---- buckets ---- */

/* One whose debt cannot be read: where there is no limit, that does not matter. */
static struct explain_bucket unknown_bucket(const struct sipdam_limit *limit)
{
	struct explain_bucket bucket = {.limit = *limit};

	if (limit_is_unlimited(limit))
		bucket = (struct explain_bucket){*limit, .known = true, .level = EXPLAIN_UNLIMITED};
	else if (!limit->depth)
		bucket = (struct explain_bucket){*limit, .known = true, .next = EXPLAIN_NEVER};
	return bucket;
}

/* debt: ticks by which its arrival time is ahead. */
static struct explain_bucket bucket_of(const struct sipdam_limit *limit, __u64 debt, __u64 now)
{
	struct explain_bucket bucket = unknown_bucket(limit);
	__u64 cost = bucket_cost(limit, 1), tick = now >> SIPDAM_TICK_SHIFT;

	if (bucket.known)
		return bucket;
	bucket.known = true;
	if (bucket_conforms(limit, debt, cost))
		bucket.level = (limit->depth - debt) / limit->interval;
	else
		bucket.next = ((tick + debt + cost - limit->depth) << SIPDAM_TICK_SHIFT) - now;
	return bucket;
}

/* The line of a hash in a table, whose lines are a power of two. */
static int read_line(int map, __u64 hash, struct sipdam_line *line)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info), index;

	if (bpf_obj_get_info_by_fd(map, &info, &size))
		return -errno;
	index = (__u32)hash & (info.max_entries - 1);
	return bpf_map_lookup_elem(map, &index, line) ? -errno : 0;
}

static struct explain_bucket line_bucket(const struct sipdam_line *line, __u64 hash, __u32 kind,
					 const struct sipdam_limit *limit,
					 const struct explain_question *question)
{
	__u64 tag = bucket_tag(hash, kind), tick = question->now >> SIPDAM_TICK_SHIFT;
	struct bucket_slot slot = line_find(line, tag, tick, question->policy->horizon);

	return bucket_of(limit, slot_debt(&slot, tag), question->now);
}

/* The limit of a class in the tier of the source, grown as the program grows it. */
static struct sipdam_limit limit_of(const struct explain_question *question, int class)
{
	const struct sipdam_policy *policy = question->policy;
	struct sipdam_limit limit = policy->limits[SIPDAM_TIER_UNKNOWN][class];

	if (question->allowed)
		limit = policy->limits[SIPDAM_TIER_ALLOWED][class];
	else if (question->trusted && question->devices > 1)
		limit_grow(&limit, &policy->limits[SIPDAM_TIER_TRUSTED][class],
			   &policy->limits[SIPDAM_TIER_UNKNOWN][class], question->devices);
	else if (question->trusted || question->peer)
		limit = policy->limits[question->trusted ? SIPDAM_TIER_TRUSTED : SIPDAM_TIER_PEER][class];
	return limit;
}

static int read_source(const struct explain_question *question, int map, const struct sipdam_secret *secret,
		       struct explanation *explanation)
{
	__u64 hash = hash_of(secret, &explanation->source);
	struct sipdam_line line;
	int error = read_line(map, hash, &line);

	for (__u32 class = 0; !error && class < SIPDAM_CLASSES_MAX; class ++) {
		struct sipdam_limit limit = limit_of(question, (int)class);

		explanation->bucket[class] = line_bucket(&line, hash, class, &limit, question);
	}
	return error;
}

static int read_network(const struct explain_question *question, int map, const struct sipdam_secret *secret,
			struct explanation *explanation)
{
	__u64 hash = hash_of(secret, &explanation->network);
	struct sipdam_line line;
	int error = read_line(map, hash, &line);

	if (!error)
		explanation->network_bucket =
			line_bucket(&line, hash, NETWORK_KIND, &question->policy->network, question);
	return error;
}

/* How many it may have; 0: as many as it likes. */
static __u32 connections_most(const struct explain_question *question)
{
	if (question->allowed)
		return 0;
	return question->trusted ? question->policy->connections_trusted : question->policy->connections_per_source;
}

static int read_connections(const struct explain_question *question, int map, const struct sipdam_secret *secret,
			    struct explanation *explanation)
{
	__u64 hash = hash_of(secret, &explanation->source);
	struct sipdam_line line;
	int error = read_line(map, hash, &line);

	if (error)
		return error;
	explanation->counted = true;
	explanation->connections = connections_of_source(&line, hash, question->policy, question->now);
	return 0;
}

/* Half a pool as those share it who have sent twice lately; in packets rounded down, one at least. */
static struct sipdam_limit half_of_pool(const struct sipdam_limit *pool)
{
	struct sipdam_limit half = *pool, times = half_of(pool);

	half.interval = times.interval;
	half.depth = times.depth;
	half.rate /= 2;
	if (!half.unlimited && half.burst > 1)
		half.burst /= 2;
	return half;
}

static int read_pools(const struct explain_question *question, int map, struct explanation *explanation)
{
	const struct sipdam_policy *policy = question->policy;
	__u64 tick = question->now >> SIPDAM_TICK_SHIFT;

	explanation->verify = policy->verify_enabled;
	for (__u32 class = 0; class < SIPDAM_CLASSES_MAX; class ++) {
		struct sipdam_limit half;
		struct sipdam_pool pool;
		__u64 ahead;

		if (bpf_map_lookup_elem(map, &class, &pool))
			return -errno;
		explanation->verifying[class] = verification_is_on(&pool, question->now, policy) &&
						!policy->pool[class].unlimited;
		explanation->pool[class] = bucket_of(&question->policy->pool[class],
						     pool.tat > tick ? pool.tat - tick : 0, question->now);
		half = half_of_pool(&policy->pool[class]);
		/* That of SYNs is what is left to cookies. */
		ahead = is_request_class(class) && pool.half_tat > tick ? pool.half_tat - tick : 0;
		explanation->half[class] = bucket_of(&half, ahead, question->now);
	}
	return 0;
}

static void add_sender(struct explanation *explanation, __u16 port, __u64 left)
{
	if (explanation->senders < EXPLAIN_SENDERS_MAX)
		explanation->sender[explanation->senders] = (struct explain_sender){port, left};
	explanation->senders++;
}

/* Which ports of the address have sent twice: the table knows them by hashes, so all are tried. */
static int read_senders(const struct explain_question *question, int map, const struct sipdam_secret *secret,
			struct explanation *explanation)
{
	_cleanup_free_ struct sipdam_line *lines = table_copy(map, SIPDAM_VERIFIED_LINES, sizeof(*lines));
	__u64 words[2];

	if (!lines)
		return -errno;
	memcpy(words, question->address.address, sizeof(words));
	for (__u32 port = 0; port <= 0xffff; port++) {
		__u64 hash = sipdam_sender_hash(secret, words[0], words[1], htobe16((__u16)port));
		__u64 age = verified_age(&lines[hash & (SIPDAM_VERIFIED_LINES - 1)], hash, question->now);

		if (age <= VERIFIED_FREE)
			add_sender(explanation, (__u16)port, VERIFIED_FREE - age);
	}
	return 0;
}

/* ---- the whole ---- */

static enum explain_tier tier_of(const struct explain_question *question)
{
	if (question->allowed)
		return EXPLAIN_ALLOWED;
	if (question->denied)
		return EXPLAIN_DENIED;
	if (question->banned && question->policy->ban_enabled)
		return EXPLAIN_BANNED;
	if (question->trusted)
		return EXPLAIN_TRUSTED;
	return question->peer ? EXPLAIN_PEER : EXPLAIN_UNKNOWN;
}

static void know_nothing(const struct explain_question *question, struct explanation *explanation)
{
	for (int class = 0; class < SIPDAM_CLASSES_MAX; class ++) {
		struct sipdam_limit limit = limit_of(question, class), half;

		explanation->bucket[class] = unknown_bucket(&limit);
		explanation->pool[class] = unknown_bucket(&question->policy->pool[class]);
		half = half_of_pool(&question->policy->pool[class]);
		explanation->half[class] = unknown_bucket(&half);
	}
	explanation->network_bucket = unknown_bucket(&question->policy->network);
}

static int read_tables(const struct explain_question *question, const struct explain_maps *maps,
		       struct explanation *explanation)
{
	struct sipdam_secret secret;
	__u32 zero = 0;
	int error = 0;

	if (maps->secrets < 0)
		return 0;
	if (bpf_map_lookup_elem(maps->secrets, &zero, &secret))
		return -errno;
	if (maps->sources >= 0)
		error = read_source(question, maps->sources, &secret, explanation);
	if (!error && maps->networks >= 0)
		error = read_network(question, maps->networks, &secret, explanation);
	if (!error && maps->levels >= 0)
		error = read_connections(question, maps->levels, &secret, explanation);
	if (!error && maps->verified >= 0)
		error = read_senders(question, maps->verified, &secret, explanation);
	return error;
}

int explain(const struct explain_question *question, const struct explain_maps *maps,
	    struct explanation *explanation)
{
	const struct sipdam_policy *policy = question->policy;
	struct explanation found = {
		.tier = tier_of(question),
		.spared = policy->monitor || (policy->deadline && question->now >= policy->deadline),
		.source = prefix_of(&question->address, policy->source_prefix),
		.network = prefix_of(&question->address, policy->network_prefix),
		.connections_most = connections_most(question),
	};
	int error;

	know_nothing(question, &found);
	error = read_tables(question, maps, &found);
	if (!error && maps->pools >= 0)
		error = read_pools(question, maps->pools, &found);
	if (!error)
		*explanation = found;
	return error;
}

/* ---- the verdict ---- */

/* `refused` where the bucket admits nothing now; 0 where it does; -1 where that is unknown. */
static int ask(const struct explain_bucket *bucket, int refused)
{
	if (!bucket->known)
		return -1;
	return bucket->next ? refused : 0;
}

/* The same of connections that are open already: does one more begin? */
static int ask_connections(const struct explanation *explanation, int class)
{
	if (class != SIPDAM_CLASS_TCP_SYN || !explanation->connections_most)
		return 0;
	if (!explanation->counted)
		return -1;
	return explanation->connections >= explanation->connections_most ? SIPDAM_REASON_SOURCE_RATE : 0;
}

/* What all strangers share says of one that its source and network let by. */
static int ask_pools(const struct explanation *explanation, int class, bool sent_twice)
{
	bool again = is_request_class((__u32)class) && explanation->verify && !sent_twice;
	int refused = 0;

	if (sent_twice && explanation->verifying[class])
		refused = ask(&explanation->half[class], SIPDAM_REASON_POOL_RATE);
	if (!refused)
		refused = ask(&explanation->pool[class], again ? SIPDAM_REASON_UNVERIFIED : SIPDAM_REASON_POOL_RATE);
	return refused;
}

int explain_reason(const struct explanation *explanation, int class, bool sent_twice)
{
	int refused;

	class &= SIPDAM_CLASSES_MAX - 1;
	if (explanation->tier == EXPLAIN_DENIED)
		return SIPDAM_REASON_DENIED;
	if (explanation->tier == EXPLAIN_BANNED)
		return SIPDAM_REASON_BANNED;
	refused = ask_connections(explanation, class);
	if (!refused)
		refused = ask(&explanation->bucket[class],
			      class == SIPDAM_CLASS_FRAGMENT ? SIPDAM_REASON_FRAGMENT
							      : SIPDAM_REASON_SOURCE_RATE);
	if (!refused && explanation->tier == EXPLAIN_ALLOWED)
		return SIPDAM_REASON_ALLOWED;
	if (!refused && explanation->tier == EXPLAIN_TRUSTED)
		return SIPDAM_REASON_TRUSTED;
	if (!refused && explanation->tier == EXPLAIN_PEER &&
	    (class == SIPDAM_CLASS_DIALOG || class == SIPDAM_CLASS_RESPONSE))
		return SIPDAM_REASON_PEER;
	sent_twice = sent_twice && is_request_class((__u32)class);
	if (!refused && !sent_twice && is_request_class((__u32)class) && explanation->verifying[class])
		return SIPDAM_REASON_UNVERIFIED;
	if (!refused && explain_is_network_class(class))
		refused = ask(&explanation->network_bucket, SIPDAM_REASON_NETWORK_RATE);
	if (!refused)
		refused = ask_pools(explanation, class, sent_twice);
	if (refused < 0)
		return SIPDAM_REASON_NONE;
	return refused ? refused : SIPDAM_REASON_WITHIN_LIMITS;
}

int explain_verdict(const struct explanation *explanation, int reason)
{
	static const bool drops[SIPDAM_REASONS_MAX] = {
#define X(name, number, label, verdict, sentence) [number] = SIPDAM_VERDICT_##verdict == SIPDAM_VERDICT_DROP,
		SIPDAM_REASONS(X)
#undef X
	};

	if (!drops[reason & (SIPDAM_REASONS_MAX - 1)])
		return SIPDAM_VERDICT_PASS;
	return explanation->spared ? SIPDAM_VERDICT_WOULD_DROP : SIPDAM_VERDICT_DROP;
}
