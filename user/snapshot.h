/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Counters and gauges of the running filter, read once and summed over CPUs; render.h turns them into
 * text, JSON or metrics.
 */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

#include "connections.h"
#include "problem.h"
#include "sipdam/state.h"

struct snapshot_interface {
	char name[IF_NAMESIZE];
	char mode[16]; /* "native", "generic", "none" where no program of ours is attached any more */
	bool learns;   /* what the server sends there is read */
	__u32 ifindex;
	struct sipdam_counters counters; /* sums over CPUs */
};

struct snapshot {
	size_t interfaces;
	size_t gone; /* devices that were deleted, or moved away, while attached */
	char gone_name[SIPDAM_INTERFACES_MAX][IF_NAMESIZE];
	size_t elsewhere; /* devices of other network namespaces */
	struct snapshot_interface interface[SIPDAM_INTERFACES_MAX];
	__u64 table_events[SIPDAM_TABLE_EVENTS]; /* sums over CPUs, by enum sipdam_table_event */
	struct sipdam_tls_meter tls;             /* sums over CPUs */
	__u64 pool_level[SIPDAM_CLASSES_MAX];    /* packets a pool would admit at once now, by class;
						  * UINT64_MAX: unlimited */
	__u64 verify_left[SIPDAM_CLASSES_MAX];   /* nanoseconds for which strangers must still send the
						  * requests of a class twice; 0: they need not */
	double source_fill;                      /* share of the table of sources that is in use, 0 to 1;
						  * negative: unknown */
	__u64 banned;                            /* sources banned now */
	__u64 trusted, peers;                    /* sources known now */
	struct connections connections;          /* open now, by port */
	__u64 connection_events[SIPDAM_CONNECTION_EVENTS]; /* by enum sipdam_connection_event */
	struct sipdam_policy policy;             /* in force */
	__u64 now;                               /* CLOCK_MONOTONIC nanoseconds of the reading */
	struct sipdam_meta meta;
};

/*
 * Reads everything through read-only pins. Costs a few system calls an interface and nothing on the
 * packet path. 0 or -errno with a problem (-ENOENT: nothing attached).
 */
int snapshot_read(struct snapshot *snapshot, struct problem *problem);

/* Does the filter let everything pass, because its deadline has passed without a `confirm`? */
static inline bool snapshot_is_overdue(const struct snapshot *snapshot)
{
	return snapshot->policy.deadline && snapshot->now >= snapshot->policy.deadline;
}

/* Packets of the server's own that were read, on all interfaces. */
static inline __u64 snapshot_sent(const struct snapshot *snapshot)
{
	__u64 sent = 0;

	for (size_t i = 0; i < snapshot->interfaces; i++)
		for (int half = 0; half < 2; half++)
			sent += snapshot->interface[i].counters.reason[half][SIPDAM_REASON_EGRESS].packets;
	return sent;
}

/*
 * Do requests come in here, and nothing that the server sends goes out? Then its answers take another way, and
 * nobody can become known. A hundred requests that passed are taken for enough of them.
 */
bool snapshot_is_one_way(const struct snapshot *snapshot);

/* Packets and bytes of one interface by verdict (enum sipdam_verdict). The three share no packet. */
static inline struct sipdam_count snapshot_total(const struct sipdam_counters *counters, int verdict)
{
	const int would_drop = verdict == SIPDAM_VERDICT_WOULD_DROP;
	struct sipdam_count total = {0};

#define X(name, number, label, kind, sentence)                                                               \
	if (would_drop || verdict == SIPDAM_VERDICT_##kind) {                                                \
		total.packets += counters->reason[would_drop][number].packets;                               \
		total.bytes += counters->reason[would_drop][number].bytes;                                   \
	}
	SIPDAM_REASONS(X)
#undef X
	return total;
}

#endif
