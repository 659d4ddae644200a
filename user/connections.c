/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See connections.h. Words are as include/sipdam/state.h says. */
#include "connections.h"

#include <string.h>

/*
 * Is it an open connection that counts: of this span of connections.forget, or the one before? A time that is a
 * little ahead is now: clocks are a tick apart.
 */
static int is_open(__u64 word, const struct sipdam_policy *policy, __u64 now)
{
	__u64 units = now >> SIPDAM_CONNECTION_UNIT_SHIFT;
	__u64 span = policy->connections_span ? policy->connections_span : 1;
	__u64 age = (units - (word >> SIPDAM_CONNECTION_TIME_SHIFT)) & SIPDAM_CONNECTION_TIME_MASK;

	if (age > SIPDAM_CONNECTION_TIME_MASK - 2)
		age = 0;
	return (word >> SIPDAM_CONNECTION_STATE_SHIFT & 3) == SIPDAM_CONNECTION_OPEN &&
	       units / span - (units - age) / span <= 1;
}

static void list_ports(const struct sipdam_policy *policy, struct connections *count)
{
	for (__u32 kind = SIPDAM_PORTS_TCP; kind < SIPDAM_PORT_KINDS; kind++)
		for (__u32 i = 0; i < policy->ports[kind].count && i < SIPDAM_PORTS_PER_KIND; i++)
			count->port[count->ports++] =
				(struct connection_port){.kind = kind, .port = policy->ports[kind].port[i]};
}

void connections_count(const struct sipdam_line *line, size_t lines, const struct sipdam_policy *policy, __u64 now,
		       struct connections *count)
{
	struct connection_port *by_bits[SIPDAM_CONNECTION_PORT_MASK + 1] = {NULL};

	memset(count, 0, sizeof(*count));
	list_ports(policy, count);
	for (size_t i = count->ports; i > 0; i--)
		by_bits[count->port[i - 1].port & SIPDAM_CONNECTION_PORT_MASK] = &count->port[i - 1];
	for (size_t i = 0; i < lines * SIPDAM_WAYS; i++) {
		__u64 word = line[i / SIPDAM_WAYS].word[i % SIPDAM_WAYS];
		struct connection_port *port =
			by_bits[word >> SIPDAM_CONNECTION_PORT_SHIFT & SIPDAM_CONNECTION_PORT_MASK];

		if (!word || !port || !is_open(word, policy, now))
			continue;
		port->open++;
		port->silent += !(word & SIPDAM_CONNECTION_CARRIED);
	}
}

__u64 connections_open(const struct connections *count)
{
	__u64 open = 0;

	for (size_t i = 0; i < count->ports; i++)
		open += count->port[i].open;
	return open;
}
