/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Open connections of TCP on SIP ports, counted from the table that the programs keep. A connection that is
 * forgotten is one that does not count.
 */
#ifndef CONNECTIONS_H
#define CONNECTIONS_H

#include <stddef.h>

#include "sipdam/state.h"

#define CONNECTION_PORTS ((SIPDAM_PORT_KINDS - 1) * SIPDAM_PORTS_PER_KIND)

struct connection_port {
	__u32 kind; /* enum sipdam_port_kind */
	__u16 port;
	__u64 open;
	__u64 silent; /* of those: they have carried no byte yet */
};

struct connections {
	size_t ports;
	struct connection_port port[CONNECTION_PORTS]; /* protected ones, in the order of the configuration */
};

/* now: CLOCK_MONOTONIC nanoseconds. */
void connections_count(const struct sipdam_line *line, size_t lines, const struct sipdam_policy *policy, __u64 now,
		       struct connections *count);

/* Words number the ports as the policy does: what they say becomes right for another one. */
void connections_renumber(struct sipdam_line *line, size_t lines, const struct sipdam_policy *before,
			  const struct sipdam_policy *policy);

/* Of one source, as they count for its cap. line: of conn_levels, the one that its hash names. */
__u32 connections_of_source(const struct sipdam_line *line, __u64 hash, const struct sipdam_policy *policy, __u64 now);

/* All ports together. */
__u64 connections_open(const struct connections *count);

#endif
