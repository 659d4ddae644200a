/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See connections.h. Words are as include/sipdam/state.h says. */
#include "connections.h"

#include <string.h>

#include "table.h"

/*
 * Spans of connections.forget between a time of as many bits as the mask has and now: 0 for this one, 1 for the one
 * before, and what is older does not count. A time that is a little ahead is now: clocks are a tick apart.
 */
static __u64 spans_ago(__u64 time, __u64 mask, const struct sipdam_policy *policy, __u64 now)
{
	__u64 units = now >> SIPDAM_CONNECTION_UNIT_SHIFT;
	__u64 span = policy->connections_span ? policy->connections_span : 1;
	__u64 age = (units - time) & mask;

	if (age > mask - 2)
		age = 0;
	return units / span - (units - age) / span;
}

/* Is it an open connection that counts? */
static int is_open(__u64 word, const struct sipdam_policy *policy, __u64 now)
{
	return (word >> SIPDAM_CONNECTION_STATE_SHIFT & 3) == SIPDAM_CONNECTION_OPEN &&
	       spans_ago(word >> SIPDAM_CONNECTION_TIME_SHIFT, SIPDAM_CONNECTION_TIME_MASK, policy, now) <= 1;
}

/* What a word says of the port of this number among those of a kind. */
static __u32 number_of(__u32 kind, __u32 i)
{
	return (kind - SIPDAM_PORTS_TCP) << SIPDAM_CONNECTION_KIND_SHIFT | i;
}

static void list_ports(const struct sipdam_policy *policy, struct connection_port **by_number,
		       struct connections *count)
{
	for (__u32 kind = SIPDAM_PORTS_TCP; kind < SIPDAM_PORT_KINDS; kind++) {
		for (__u32 i = 0; i < policy->ports[kind].count && i < SIPDAM_PORTS_PER_KIND; i++) {
			struct connection_port *port = &count->port[count->ports++];

			*port = (struct connection_port){.kind = kind, .port = policy->ports[kind].port[i]};
			by_number[number_of(kind, i)] = port;
		}
	}
}

void connections_count(const struct sipdam_line *line, size_t lines, const struct sipdam_policy *policy, __u64 now,
		       struct connections *count)
{
	struct connection_port *by_number[SIPDAM_CONNECTION_PORT_MASK + 1] = {NULL};

	memset(count, 0, sizeof(*count));
	list_ports(policy, by_number, count);
	for (size_t i = 0; i < lines * SIPDAM_WAYS; i++) {
		__u64 word = line[i / SIPDAM_WAYS].word[i % SIPDAM_WAYS];
		struct connection_port *port =
			by_number[word >> SIPDAM_CONNECTION_PORT_SHIFT & SIPDAM_CONNECTION_PORT_MASK];

		if (!word || !port || !is_open(word, policy, now))
			continue;
		port->open++;
		port->silent += !(word >> SIPDAM_CONNECTION_LIFE_SHIFT & SIPDAM_CONNECTION_LIFE_MASK);
	}
}

/* The number of a port in a policy; -1: it is none of TCP's there. */
static int port_in(const struct sipdam_policy *policy, __u16 port)
{
	for (__u32 kind = SIPDAM_PORTS_TCP; kind < SIPDAM_PORT_KINDS; kind++)
		for (__u32 i = 0; i < policy->ports[kind].count && i < SIPDAM_PORTS_PER_KIND; i++)
			if (policy->ports[kind].port[i] == port)
				return (int)number_of(kind, i);
	return -1;
}

/* The word of a connection when its port has another number; 0: the port is not protected any more. */
static __u64 renumbered(__u64 word, const int *numbers)
{
	const __u64 mask = (__u64)SIPDAM_CONNECTION_PORT_MASK << SIPDAM_CONNECTION_PORT_SHIFT;
	__u32 state = word >> SIPDAM_CONNECTION_STATE_SHIFT & 3;
	int number = numbers[(word & mask) >> SIPDAM_CONNECTION_PORT_SHIFT];

	if (state != SIPDAM_CONNECTION_OPEN && state != SIPDAM_CONNECTION_RESET)
		return word;
	return number < 0 ? 0 : (word & ~mask) | (__u64)number << SIPDAM_CONNECTION_PORT_SHIFT;
}

void connections_renumber(struct sipdam_line *line, size_t lines, const struct sipdam_policy *before,
			  const struct sipdam_policy *policy)
{
	int numbers[SIPDAM_CONNECTION_PORT_MASK + 1];

	for (size_t i = 0; i <= SIPDAM_CONNECTION_PORT_MASK; i++) {
		__u32 kind = (__u32)(i >> SIPDAM_CONNECTION_KIND_SHIFT) + SIPDAM_PORTS_TCP;

		numbers[i] = port_in(policy, before->ports[kind].port[i % SIPDAM_PORTS_PER_KIND]);
	}
	for (size_t i = 0; i < lines * SIPDAM_WAYS; i++) {
		__u64 *place = &line[i / SIPDAM_WAYS].word[i % SIPDAM_WAYS];
		__u64 word = table_word(place), to = renumbered(word, numbers);

		/* Where a program is faster, the word is of the policy in force. */
		if (to != word)
			table_exchange(place, word, to);
	}
}

__u64 connections_open(const struct connections *count)
{
	__u64 open = 0;

	for (size_t i = 0; i < count->ports; i++)
		open += count->port[i].open;
	return open;
}

/* A word of conn_levels, from its highest bits on: tag, lately, before, time. */
#define LEVEL_TAG_SHIFT    48
#define LEVEL_LATELY_SHIFT 33
#define LEVEL_BEFORE_SHIFT 18
#define LEVEL_TIME_MASK    ((1ULL << LEVEL_BEFORE_SHIFT) - 1)

__u32 connections_of_source(const struct sipdam_line *line, __u64 hash, const struct sipdam_policy *policy, __u64 now)
{
	for (int way = 0; way < SIPDAM_WAYS; way++) {
		__u64 word = line->word[way], ago;
		__u32 lately = (__u32)(word >> LEVEL_LATELY_SHIFT) & SIPDAM_LEVEL_MAX;

		if (!word || (word ^ hash) >> LEVEL_TAG_SHIFT)
			continue;
		ago = spans_ago(word & LEVEL_TIME_MASK, LEVEL_TIME_MASK, policy, now);
		if (ago > 1)
			return 0;
		return ago ? lately : lately + ((__u32)(word >> LEVEL_BEFORE_SHIFT) & SIPDAM_LEVEL_MAX);
	}
	return 0;
}
