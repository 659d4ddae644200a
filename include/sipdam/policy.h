/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The policy: every number that the operator can set, as the program reads it. Two slots of it lie in
 * a map; a change is written to the idle slot and takes effect by one store of the active index.
 * It carries what was configured and what is derived from it, so that one map value tells all.
 */
#ifndef SIPDAM_POLICY_H
#define SIPDAM_POLICY_H

#include <linux/types.h>

#include "index.h"
#include "message.h"

/*
 * Arrival times in source and network words count ticks of 64 ns in 44 bits: they wrap after 13 days,
 * and every round rate (1, 2, 5, 10, 50, 200, 1000, 5000 a second...) is a whole number of ticks.
 * Pools count the same ticks in 64 bits.
 */
#define SIPDAM_TICK_SHIFT       6
#define SIPDAM_TICKS_PER_SECOND 15625000ULL
#define SIPDAM_TAT_BITS         44

/* Rates are stored in millionths of a packet a second. */
#define SIPDAM_RATE_UNIT 1000000ULL

/* Longest time a bucket may take to refill: far below half of the 44-bit range. */
#define SIPDAM_DEPTH_MAX (3ULL * 86400 * SIPDAM_TICKS_PER_SECOND)

/* The burst of an unlimited limit that was given none. */
#define SIPDAM_NO_BURST 0xffffffffU

/* A token bucket in GCRA terms. A packet of cost n conforms iff ahead + n * interval <= depth. */
struct sipdam_limit {
	__u64 interval;  /* ticks a packet; 0: unlimited */
	__u64 depth;     /* burst * interval, ticks; 0 with interval != 0: admits nothing */
	__u64 rate;      /* as configured: millionths of a packet a second */
	__u32 burst;     /* as configured: packets; SIPDAM_NO_BURST: not given */
	__u32 unlimited; /* as configured: 1 for the word "unlimited" */
};
_Static_assert(sizeof(struct sipdam_limit) == 32, "struct sipdam_limit");

/* Limits by enum sipdam_class. */
struct sipdam_limits {
	struct sipdam_limit limit[SIPDAM_CLASSES_MAX];
};

enum sipdam_tier {
	SIPDAM_TIER_UNKNOWN = 0,
	SIPDAM_TIER_PEER = 1,
	SIPDAM_TIER_TRUSTED = 2,
	SIPDAM_TIER_ALLOWED = 3,
};
#define SIPDAM_TIERS 4

enum sipdam_port_kind {
	SIPDAM_PORTS_UDP = 0,
	SIPDAM_PORTS_TCP = 1,
	SIPDAM_PORTS_TLS = 2,
	SIPDAM_PORTS_WS = 3,
	SIPDAM_PORTS_WSS = 4,
};
#define SIPDAM_PORT_KINDS     5
#define SIPDAM_PORTS_PER_KIND 16

struct sipdam_ports {
	__u64 hint;                        /* bit (port & 63) of every port below: most packets end here */
	__u16 port[SIPDAM_PORTS_PER_KIND]; /* host byte order; unused entries repeat entry 0 */
	__u32 count;
	__u32 reserved;
};
_Static_assert(sizeof(struct sipdam_ports) == 48, "struct sipdam_ports");

/* 128-bit masks as two words in network byte order; IPv4 counts as ::ffff:a.b.c.d. */
struct sipdam_mask {
	__u64 high;
	__u64 low;
};

enum sipdam_list {
	SIPDAM_LIST_ALLOW = 0,
	SIPDAM_LIST_DENY = 1,
	SIPDAM_LIST_ADDRESSES = 2, /* protected destinations */
};
#define SIPDAM_LISTS 3

/* Where the pieces of a list begin in the outer map; half: 0 or 1, one in force and one to be filled. */
#define SIPDAM_LIST_PIECE(list, half) (((list) * 2 + (half)) * SIPDAM_PIECES_MAX)

enum sipdam_origin {
	SIPDAM_ORIGIN_DEFAULT = 0,
	SIPDAM_ORIGIN_FILE = 1,
	SIPDAM_ORIGIN_SET = 2,
};

#define SIPDAM_FIELDS_MAX 192

#define SIPDAM_FAMILY_IPV4 0
#define SIPDAM_FAMILY_IPV6 1
#define SIPDAM_FAMILIES    2

/* A source's share of reflection.rate and burst is one in so many. */
#define SIPDAM_REFLECTION_SOURCES 100
#define SIPDAM_COST_SHIFT         20
#define SIPDAM_COST_UNIT          (1ULL << SIPDAM_COST_SHIFT)

/* Highest cap on connections of a source: counts have 15 bits. */
#define SIPDAM_CONNECTIONS_MAX 30000

/* Whether this host's kernel answers SYNs that it has no room for with cookies. */
enum sipdam_cookies {
	SIPDAM_COOKIES_AUTO = 0, /* as net.ipv4.tcp_syncookies says when a policy is put in force */
	SIPDAM_COOKIES_ON = 1,
	SIPDAM_COOKIES_OFF = 2,
};

/*
 * What every packet asks first, and for nearly all of an edge's traffic the last. The hints are those of the
 * policy in force and may be more: a packet that they keep is judged by the policy itself.
 */
struct sipdam_front {
	__u32 active; /* which policy is in force; first, and of older layouts all there is */
	__u32 reserved;
	__u64 hint_udp, hint_tcp; /* bit (port & 63) of every protected port, as in struct sipdam_ports */
};
_Static_assert(sizeof(struct sipdam_front) == 24, "struct sipdam_front");

struct sipdam_policy {
	__u32 monitor;                    /* 1: count what would be dropped, drop nothing */
	__u32 list_entries[SIPDAM_LISTS]; /* 0: the program does not look the list up */
	struct sipdam_index index[SIPDAM_LISTS];
	__u64 horizon;                    /* ticks; an arrival time further ahead is an old word */
	__u64 deadline; /* CLOCK_MONOTONIC nanoseconds; from then on nothing is dropped; 0: none */
	struct sipdam_ports ports[SIPDAM_PORT_KINDS];
	struct sipdam_mask source_mask[SIPDAM_FAMILIES];
	struct sipdam_mask network_mask[SIPDAM_FAMILIES];
	struct sipdam_limit limits[SIPDAM_TIERS][SIPDAM_CLASSES_MAX]; /* by enum sipdam_class */
	struct sipdam_limit network;
	struct sipdam_limit pool[SIPDAM_CLASSES_MAX];

	/* What follows is the configuration of stages that this program may not have yet, and the
	 * configured form of what is derived above. */
	__u32 source_prefix[SIPDAM_FAMILIES];      /* bits */
	__u32 network_prefix[SIPDAM_FAMILIES];     /* bits */
	__u64 sources;                             /* lines of the source table */
	__u64 verify_min, verify_max, verify_hold; /* nanoseconds */
	__u64 trust_ttl;                           /* nanoseconds */
	__u64 ban_within, ban_for, ban_max;        /* nanoseconds */
	struct sipdam_limit strikes;               /* drops of a source before it is banned; derived */
	__u32 ban_drops, ban_failures;
	__u32 verify_enabled, trust_learn, ban_enabled;
	__u32 tls_min_version;                   /* 0, 0x0303, 0x0304 */
	__u64 reflection_rate, reflection_burst; /* bytes a second, bytes */
	__u64 reflection_cost;  /* nanoseconds a byte takes of the rate, times SIPDAM_COST_UNIT; derived */
	__u64 reflection_depth; /* nanoseconds of the burst; derived */
	__u64 connections_forget;                /* nanoseconds */
	__u32 connections_span;                  /* the same in units of connections; derived, 1 at least */
	__u32 connections_per_source, connections_trusted; /* 0: no cap */
	__u32 syn_cookies;                                 /* enum sipdam_cookies, as configured */
	__u32 cookies_on;            /* 1: SYNs beyond network and pool are left to them; derived */
	__u32 reserved;
	struct sipdam_limit cookies; /* so many of those */
	struct sipdam_limit resets, resets_trusted; /* that a source's own word ends: as many as it may have; derived */
	__u8 origin[SIPDAM_FIELDS_MAX];          /* enum sipdam_origin by number of the field */
};

#endif
