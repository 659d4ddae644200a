/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From what was configured to what the program reads: intervals, depths, hints, masks, the horizon; and
 * before that the checks of values against each other. Nothing here reads text.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "settings_derive.h"
#include "settings_value.h"
#include "sipdam/state.h"

#define DEPTH_SECONDS     (SIPDAM_DEPTH_MAX / SIPDAM_TICKS_PER_SECOND)
#define BURSTS_PER_SECOND 100 /* the coarse clock: a burst holds at least 10 ms of the rate */
#define HORIZON_SLACK     (1ULL << 24)

static int complain(struct complaint *complaint, size_t field, size_t other, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static int complain(struct complaint *complaint, size_t field, size_t other, const char *format, ...)
{
	va_list arguments;

	complaint->field = field;
	complaint->other = other;
	va_start(arguments, format);
	vsnprintf(complaint->text, sizeof(complaint->text), format, arguments);
	va_end(arguments);
	return -EINVAL;
}

static size_t field_named(const char *key)
{
	return (size_t)settings_field_find(key);
}

static __u64 divide_up(__u64 value, __u64 by)
{
	return value / by + (value % by != 0);
}

/* Least burst in the unit of the rate: scale is what the rate counts in (millionths, or 1). */
static __u64 least_burst(__u64 rate, __u64 scale)
{
	__u64 least = divide_up(rate, scale * BURSTS_PER_SECOND);

	return least ? least : 1;
}

/* The burst in force: a limit that was unlimited and got only a rate takes one second's worth. */
static __u64 burst_of(const struct sipdam_limit *limit)
{
	__u64 second = divide_up(limit->rate, SIPDAM_RATE_UNIT);

	if (limit->burst != SIPDAM_NO_BURST)
		return limit->burst;
	return second ? second : 1; /* a second's worth is never below 10 ms's */
}

/* rate_field is followed by its burst in the table. rate in 1/scale a second, not 0. */
static int check_bucket(size_t rate_field, __u64 rate, __u64 scale, __u64 burst, struct complaint *complaint)
{
	unsigned long long least = least_burst(rate, scale), most;
	char text[32];

	settings_format_rate(rate * (SIPDAM_RATE_UNIT / scale), text, sizeof(text));
	if (burst < least)
		return complain(complaint, rate_field + 1, rate_field,
				"%llu is too short for a rate of %s a second: give a burst of at least %llu "
				"(10 ms of the rate) or a lower rate",
				(unsigned long long)burst, text, least);
	most = (unsigned long long)((unsigned __int128)rate * DEPTH_SECONDS / scale);
	if (burst <= most)
		return 0;
	if (!most)
		return complain(complaint, rate_field, rate_field + 1,
				"%s a second is too slow to tell from 0: expected 0 or at least 0.000004",
				text);
	return complain(
		complaint, rate_field + 1, rate_field,
		"%llu at %s a second takes more than 3 days to refill: give a burst of at most %llu or a "
		"higher rate",
		(unsigned long long)burst, text, most);
}

static int check_limits(const struct sipdam_policy *policy, struct complaint *complaint)
{
	for (size_t i = 0; i < settings_field_count(); i++) {
		const struct field *field = settings_field(i);
		const struct sipdam_limit *limit = field_at(policy, field);

		if (field->kind != FIELD_RATE || limit->unlimited || !limit->rate)
			continue;
		if (check_bucket(i, limit->rate, SIPDAM_RATE_UNIT, burst_of(limit), complaint))
			return -EINVAL;
	}
	if (!policy->reflection_rate)
		return 0;
	return check_bucket(field_named("reflection.rate"), policy->reflection_rate, 1,
			    policy->reflection_burst, complaint);
}

static bool is_udp(const struct field *field)
{
	return field->offset == offsetof(struct sipdam_policy, ports[SIPDAM_PORTS_UDP]);
}

/* Looks for the port among the first count of a kind. */
static bool has_port(const struct sipdam_ports *ports, __u32 count, __u16 port)
{
	for (__u32 i = 0; i < count; i++) {
		if (ports->port[i] == port)
			return true;
	}
	return false;
}

/* One port of one kind against what comes before it in the table. */
static int check_port(const struct sipdam_policy *policy, size_t number, __u32 place,
		      struct complaint *complaint)
{
	const struct field *field = settings_field(number);
	const struct sipdam_ports *ports = field_at(policy, field);
	__u16 port = ports->port[place];

	if (has_port(ports, place, port))
		return complain(complaint, number, number, "port %u is there twice, expected once", port);
	for (size_t i = field_named("ports.udp"); i < number; i++) {
		const struct field *before = settings_field(i);
		const struct sipdam_ports *others = field_at(policy, before);

		if (is_udp(before) == is_udp(field) && has_port(others, others->count, port))
			return complain(complaint, number, i,
					"port %u is in %s already, and both are TCP: give it one place", port,
					before->key);
	}
	return 0;
}

static int check_ports(const struct sipdam_policy *policy, struct complaint *complaint)
{
	for (size_t i = 0; i < settings_field_count(); i++) {
		const struct field *field = settings_field(i);
		const struct sipdam_ports *ports = field_at(policy, field);

		for (__u32 place = 0; field->kind == FIELD_PORTS && place < ports->count; place++) {
			if (check_port(policy, i, place, complaint))
				return -EINVAL;
		}
	}
	return 0;
}

static int check_keys(const struct sipdam_policy *policy, struct complaint *complaint)
{
	static const char *const source[] = {"source_key.ipv4", "source_key.ipv6"};
	static const char *const network[] = {"network_key.ipv4", "network_key.ipv6"};

	for (int family = 0; family < SIPDAM_FAMILIES; family++) {
		if (policy->network_prefix[family] > policy->source_prefix[family])
			return complain(
				complaint, field_named(network[family]), field_named(source[family]),
				"%u is longer than %s (%u): a network holds its sources, expected at most %u",
				policy->network_prefix[family], source[family], policy->source_prefix[family],
				policy->source_prefix[family]);
	}
	return 0;
}

static int check_order(const struct sipdam_policy *policy, const char *shorter, const char *longer,
		       struct complaint *complaint)
{
	size_t low = field_named(shorter), high = field_named(longer);
	__u64 least = *(const __u64 *)field_at(policy, settings_field(low));
	__u64 most = *(const __u64 *)field_at(policy, settings_field(high));
	char least_text[32], most_text[32];

	if (least <= most)
		return 0;
	settings_format_duration(least, least_text, sizeof(least_text));
	settings_format_duration(most, most_text, sizeof(most_text));
	return complain(complaint, low, high, "%s is longer than %s (%s): expected at most %s", least_text,
			longer, most_text, most_text);
}

/* Strikes leak one after the other, each in a tick at least. */
static int check_drops(const struct sipdam_policy *policy, struct complaint *complaint)
{
	size_t drops = field_named("ban.drops"), within = field_named("ban.within");
	__u64 most = policy->ban_within >> SIPDAM_TICK_SHIFT;
	char text[32];

	if (policy->ban_drops <= most)
		return 0;
	settings_format_duration(policy->ban_within, text, sizeof(text));
	return complain(complaint, drops, within,
			"%u within %s (ban.within) cannot be: expected at most %llu", policy->ban_drops, text,
			most);
}

int settings_check(const struct settings *settings, struct complaint *complaint)
{
	const struct sipdam_policy *policy = &settings->policy;

	if (check_ports(policy, complaint) || check_keys(policy, complaint) ||
	    check_limits(policy, complaint) || check_order(policy, "verify.min", "verify.max", complaint) ||
	    check_order(policy, "ban.for", "ban.max", complaint) || check_drops(policy, complaint))
		return -EINVAL;
	return 0;
}

static void derive_limit(struct sipdam_limit *limit)
{
	if (limit->unlimited) {
		limit->interval = 0;
		limit->depth = UINT64_MAX;
		return;
	}
	limit->burst = (__u32)burst_of(limit);
	if (!limit->rate) {
		limit->interval = 1;
		limit->depth = 0;
		return;
	}
	limit->interval =
		(__u64)((unsigned __int128)SIPDAM_TICKS_PER_SECOND * SIPDAM_RATE_UNIT / limit->rate);
	limit->depth = limit->burst * limit->interval;
}

/* Is a limit of this tier and class as it was built in? */
static bool is_built_in(const struct sipdam_policy *policy, const char *tier, const char *class)
{
	char key[64];
	size_t rate;

	snprintf(key, sizeof(key), "limits.%s.%s.rate", tier, class);
	rate = field_named(key);
	return policy->origin[rate] == SIPDAM_ORIGIN_DEFAULT && policy->origin[rate + 1] == SIPDAM_ORIGIN_DEFAULT;
}

static void raise_to(struct sipdam_limit *limit, const struct sipdam_limit *least)
{
	if (limit->unlimited)
		return;
	if (least->unlimited) {
		*limit = *least;
		return;
	}
	if (least->rate > limit->rate)
		limit->rate = least->rate;
	if (burst_of(least) > burst_of(limit))
		limit->burst = (__u32)burst_of(least);
}

/*
 * Nobody loses by becoming known. What a peer sends beside answers and requests inside calls is a stranger's,
 * and no limit of known sources that nobody has set is below the strangers' one.
 */
static void derive_known(struct sipdam_policy *policy)
{
#define X(name, number, label, network) [number] = label,
	static const char *const labels[SIPDAM_CLASSES_MAX] = {SIPDAM_CLASSES(X)};
#undef X

	static const char *const tiers[SIPDAM_TIERS] = {[SIPDAM_TIER_PEER] = "peer",
							[SIPDAM_TIER_TRUSTED] = "trusted"};
	struct sipdam_policy built_in = {};

	settings_default_limits(&built_in);
	for (int tier = SIPDAM_TIER_PEER; tier <= SIPDAM_TIER_TRUSTED; tier++)
		for (int class = 0; class < SIPDAM_CLASSES_MAX; class ++) {
			bool in_calls = class == SIPDAM_CLASS_RESPONSE || class == SIPDAM_CLASS_DIALOG;
			const struct sipdam_limit *stranger = &policy->limits[SIPDAM_TIER_UNKNOWN][class];
			struct sipdam_limit *limit = &policy->limits[tier][class];

			if (!labels[class] || !is_built_in(policy, tiers[tier], labels[class]))
				continue;
			*limit = tier == SIPDAM_TIER_PEER && !in_calls ? *stranger : built_in.limits[tier][class];
			raise_to(limit, stranger);
		}
}

static void derive_limits(struct sipdam_policy *policy)
{
	for (size_t i = 0; i < settings_field_count(); i++) {
		const struct field *field = settings_field(i);
		struct sipdam_limit *limit = field_place(policy, field);

		if (field->kind != FIELD_RATE)
			continue;
		if (!limit->unlimited && limit->burst == SIPDAM_NO_BURST)
			policy->origin[i + 1] = policy->origin[i];
		derive_limit(limit);
	}
}

/*
 * As a bucket whose refusal bans: the last of `drops` drops at one instant is the first it does not admit,
 * and drops that come more slowly than drops / within never empty it. Unlimited: nobody is banned for drops.
 */
static void derive_strikes(struct sipdam_policy *policy)
{
	struct sipdam_limit *strikes = &policy->strikes;

	memset(strikes, 0, sizeof(*strikes));
	if (!policy->ban_enabled || !policy->ban_drops)
		return;
	strikes->interval = (policy->ban_within >> SIPDAM_TICK_SHIFT) / policy->ban_drops;
	strikes->burst = policy->ban_drops - 1;
	strikes->depth = strikes->interval * strikes->burst;
}

/* As a bucket in time: what a byte takes, and how much at once. A rate of 0 is asked for by itself. */
static void derive_reflection(struct sipdam_policy *policy)
{
	const unsigned __int128 second = 1000000000;
	__u64 rate = policy->reflection_rate;

	policy->reflection_cost = rate ? (__u64)(second * SIPDAM_COST_UNIT / rate) : 0;
	policy->reflection_depth = rate ? (__u64)(second * policy->reflection_burst / rate) : 0;
}

/* So many in the time in which connections are forgotten, and as many at once; 0: unlimited. */
static struct sipdam_limit limit_of_resets(const struct sipdam_policy *policy, __u32 most)
{
	__u64 ticks = policy->connections_forget >> SIPDAM_TICK_SHIFT;
	__u64 interval = most ? (ticks < SIPDAM_DEPTH_MAX ? ticks : SIPDAM_DEPTH_MAX) / most : 0;

	return (struct sipdam_limit){
		.interval = interval, .depth = interval * most, .burst = most, .unlimited = !most};
}

/* Spans of connections in the unit of their words. */
static void derive_connections(struct sipdam_policy *policy)
{
	policy->connections_span = (__u32)(policy->connections_forget >> SIPDAM_CONNECTION_UNIT_SHIFT);
	if (!policy->connections_span)
		policy->connections_span = 1;
	policy->resets = limit_of_resets(policy, policy->connections_per_source);
	policy->resets_trusted = limit_of_resets(policy, policy->connections_trusted);
	/* Where it is asked for what the host has, that is for who puts the policy in force to say. */
	policy->cookies_on = policy->syn_cookies == SIPDAM_COOKIES_ON;
}

/* Words of tables, not pools: only those have 44 bits. */
static void derive_horizon(struct sipdam_policy *policy)
{
	__u64 deepest = policy->network.unlimited ? 0 : policy->network.depth;

	if (policy->strikes.depth > deepest)
		deepest = policy->strikes.depth;
	if (policy->resets.depth > deepest)
		deepest = policy->resets.depth;
	if (policy->resets_trusted.depth > deepest)
		deepest = policy->resets_trusted.depth;
	if (policy->reflection_depth >> SIPDAM_TICK_SHIFT > deepest)
		deepest = policy->reflection_depth >> SIPDAM_TICK_SHIFT;

	for (int tier = 0; tier < SIPDAM_TIERS; tier++) {
		for (int class = 0; class < SIPDAM_CLASSES_MAX; class ++) {
			const struct sipdam_limit *limit = &policy->limits[tier][class];

			if (!limit->unlimited && limit->depth > deepest)
				deepest = limit->depth;
		}
	}
	policy->horizon = deepest + HORIZON_SLACK;
}

static void derive_ports(struct sipdam_ports *ports)
{
	ports->hint = 0;
	for (__u32 i = 0; i < ports->count; i++)
		ports->hint |= 1ULL << (ports->port[i] & 63);
	for (__u32 i = ports->count; i < SIPDAM_PORTS_PER_KIND; i++)
		ports->port[i] = ports->count ? ports->port[0] : 0;
}

/* bits: counted over 128. */
static struct sipdam_mask mask_of(__u32 bits)
{
	struct sipdam_mask mask;
	__u8 bytes[16] = {0};

	memset(bytes, 0xff, bits / 8);
	if (bits % 8)
		bytes[bits / 8] = (__u8)(0xff00 >> (bits % 8));
	memcpy(&mask.high, bytes, 8);
	memcpy(&mask.low, bytes + 8, 8);
	return mask;
}

static void derive_masks(struct sipdam_policy *policy)
{
	static const __u32 front[] = {[SIPDAM_FAMILY_IPV4] = 96, [SIPDAM_FAMILY_IPV6] = 0};

	for (int family = 0; family < SIPDAM_FAMILIES; family++) {
		policy->source_mask[family] = mask_of(front[family] + policy->source_prefix[family]);
		policy->network_mask[family] = mask_of(front[family] + policy->network_prefix[family]);
	}
}

/* A list not named in this change may hold more in the running filter than the configuration says. */
static void derive_entries(struct settings *settings)
{
	for (int list = 0; list < SIPDAM_LISTS; list++) {
		__u32 configured = (__u32)settings->lists[list].count;
		__u32 *entries = &settings->policy.list_entries[list];

		if (settings->list_given[list] || configured > *entries)
			*entries = configured;
	}
}

void settings_derive(struct settings *settings)
{
	derive_known(&settings->policy);
	derive_limits(&settings->policy);
	derive_strikes(&settings->policy);
	derive_reflection(&settings->policy);
	derive_connections(&settings->policy);
	derive_horizon(&settings->policy);
	for (int kind = 0; kind < SIPDAM_PORT_KINDS; kind++)
		derive_ports(&settings->policy.ports[kind]);
	derive_masks(&settings->policy);
	derive_entries(settings);
}
