/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the program keeps: table lines, counters, list entries, and the few words that tell user space
 * what it is looking at.
 */
#ifndef SIPDAM_STATE_H
#define SIPDAM_STATE_H

#include <linux/types.h>
#include <stddef.h>

#include "message.h"
#include "policy.h"
#include "reason.h"

/*
 * Changes with every change of a pinned map's key, value or meaning. What an older layout means for an
 * upgrade is said in user/upgrade.c. The Makefile gives tests a later one.
 */
#ifndef SIPDAM_LAYOUT
#define SIPDAM_LAYOUT 3
#endif

#define SIPDAM_BPFFS   "/sys/fs/bpf"
#define SIPDAM_PIN_DIR "sipdam" /* below the bpffs */

/*
 * One cache line of a set-associative table. Sources and networks: word = tag:20 | arrival time:44,
 * tag = source:16 | kind:4, where the kind is the class (sources) or 1 (networks). Fragments: see
 * bpf/fragments.h. Bans: tag:20 of the source | end:44. A word of 0 is free.
 */
#define SIPDAM_WAY_BITS 3
#define SIPDAM_WAYS     (1 << SIPDAM_WAY_BITS)
struct sipdam_line {
	__u64 word[SIPDAM_WAYS];
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct sipdam_line) == 64, "one cache line");

/* The kind of source words that is no class: drops that a source is to be banned for (ban.drops). They lie in
 * the line beside that of its classes, whose number differs in the last bit. */
#define SIPDAM_KIND_STRIKES 13
_Static_assert(SIPDAM_CLASS_TLS_HELLO < SIPDAM_KIND_STRIKES && SIPDAM_CLASS_WS_UPGRADE > 14, "no class");

/* The kind that is what the server may answer to a source that it does not know, beside the strikes. */
#define SIPDAM_KIND_REFLECTION 14

/* The kind that is connections which a source has ended by its own word alone (bpf/connections.h), beside them. */
#define SIPDAM_KIND_RESETS 0

/*
 * Bans. A line of `bans` says until when: eight sources a line, times in units of a millisecond (2^20 ns)
 * since the clock's beginning; 44 bits of them hold whatever 64 bits of nanoseconds do. What else there is to
 * know of the ban in word `way` of line n is record n * SIPDAM_WAYS + way. A ban that has ended stays until
 * its place is needed: for as long as ban.max the next one of the same source lasts twice as long.
 */
#define SIPDAM_BAN_LINES      32768 /* room for 262,144: with 65,536 in force one in 7,000 finds its line full */
#define SIPDAM_BAN_UNIT_SHIFT 20    /* nanoseconds to units */
#define SIPDAM_BAN_END_BITS   44

/* X(name, number, label) */
#define SIPDAM_BAN_CAUSES(X)                                                                                 \
	X(MANUAL, 1, "manual")                                                                               \
	X(DROPS, 2, "drops")                                                                                 \
	X(FAILURES, 3, "failures")                                                                           \
	X(HANDSHAKES, 4, "handshakes")

enum sipdam_ban_cause {
#define X(name, number, label) SIPDAM_BAN_##name = number,
	SIPDAM_BAN_CAUSES(X)
#undef X
};

struct sipdam_ban {
	__u64 high, low; /* the source's prefix as an address: network byte order, IPv4 as ::ffff:a.b.c.d */
	__u64 since;     /* CLOCK_MONOTONIC nanoseconds */
	__u64 dropped;   /* packets since; several CPUs that count at once lose some */
	__u32 times;     /* bans of this source in a row, this one included */
	__u16 tag;       /* low bits of the word's: a record whose word has another is being written */
	__u8 bits;       /* of the prefix, over 128: a ban of another source_key is none */
	__u8 cause;      /* enum sipdam_ban_cause */
};
_Static_assert(sizeof(struct sipdam_ban) == 40, "struct sipdam_ban");

/* What every packet asks first, of bans and of known sources; alone in its cache line, and written when one
 * begins. */
struct sipdam_ban_gate {
	__u64 latest; /* none of the table ends later than this: CLOCK_MONOTONIC nanoseconds */
	__u64 pad[7];
};
_Static_assert(sizeof(struct sipdam_ban_gate) == 64, "one cache line");

/*
 * Known sources, trusted and peers. A line of `known` says who and until when: tag:19 of the source | kind:1
 * | end:44, ends in the units of bans. What else there is to know of the source in word `way` of line n is
 * record n * SIPDAM_WAYS + way. One whose time has ended stays until its place is needed. A peer is anybody
 * who was called or has called, so that peers never keep trusted sources out: they have half of a line at
 * most, and give way.
 */
#define SIPDAM_KNOWN_LINES     32768 /* room for 262,144 */
#define SIPDAM_KNOWN_PEERS_MAX 4     /* of a line */
#define SIPDAM_KNOWN_TAG_SHIFT (SIPDAM_BAN_END_BITS + 1)
#define SIPDAM_KNOWN_KIND      (1ULL << SIPDAM_BAN_END_BITS) /* set: trusted */

/* X(name, number, label) */
#define SIPDAM_KNOWN_CAUSES(X)                                                                               \
	X(MANUAL, 1, "manual")                                                                               \
	X(IMPORT, 2, "import")                                                                               \
	X(REGISTRATION, 3, "registration")                                                                   \
	X(REQUEST, 4, "request")                                                                             \
	X(CALL, 5, "call")

enum sipdam_known_cause {
#define X(name, number, label) SIPDAM_KNOWN_##name = number,
	SIPDAM_KNOWN_CAUSES(X)
#undef X
};

/* A registration's end in a record: units of 69 s (2^36 ns) in 24 bits, which wrap after 36 years; a day at most. */
#define SIPDAM_REGISTERED_UNIT_SHIFT 36
#define SIPDAM_REGISTERED_MASK       0xffffffu
#define SIPDAM_REGISTERED_MOST       (86400ULL * 1000000000)

/* Distinct devices behind one address that are told apart, by their ports. */
#define SIPDAM_DEVICES_MAX 64

struct sipdam_known {
	__u64 high, low; /* the source's prefix as an address: network byte order, IPv4 as ::ffff:a.b.c.d */
	__u64 since;     /* CLOCK_MONOTONIC nanoseconds */
	__u64 ports[2];  /* a bit for each port seen, by its hash: lately, and in the time before */
	union {
		__u64 turned; /* of a trusted source: when the first of them became the second; nanoseconds */
		__u64 calls;  /* of a peer: those that it is one for, see bpf/calls.h */
	};
	__u16 tag;       /* low bits of the word's: a record whose word has another is being written */
	__u8 devices;    /* bits set in either, 1 at least: what the limits of the source grow by */
	__u8 bits;       /* of the prefix, over 128: a source by another source_key is unknown */
	__u32 cause : 8;       /* enum sipdam_known_cause */
	__u32 registered : 24; /* until when the longest registration lasts, beyond trust.ttl too; units; 0: none */
};
_Static_assert(sizeof(struct sipdam_known) == 56, "struct sipdam_known");

/* One cache line of stamps of requests that strangers must send again, see bpf/stamp.h. 0 is free. */
#define SIPDAM_STAMPS 15
struct sipdam_stamps {
	union {
		struct {
			__u32 stamp[SIPDAM_STAMPS];
			__u32 next; /* the place of the oldest, which the next one takes */
		};
		__u64 pair[8]; /* the same, two at a time */
	};
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct sipdam_stamps) == 64, "one cache line");

/* Lines of senders that have sent again: 131,072 of them, as many as all pools let in within a minute. */
#define SIPDAM_VERIFIED_LINES 16384

/* Which of those may be found at all, asked before a line of them is read: each sender has a place here by its hash,
 * which says in what span of 69 s the last one of that place was let in (bpf/stamp.h). 0: none ever was. */
#define SIPDAM_VERIFIED_PLACES 65536
struct sipdam_verified_gate {
	__u8 span[SIPDAM_VERIFIED_PLACES];
};

/* Buckets that are known to refuse, each in a set by its hash, see bpf/spent.h: 32,768 of them. */
#define SIPDAM_SPENT_WAYS     4
#define SIPDAM_SPENT_SET_BITS 13
#define SIPDAM_SPENT_SETS     (1 << SIPDAM_SPENT_SET_BITS)
struct sipdam_spent_set {
	__u64 word[SIPDAM_SPENT_WAYS];
};
struct sipdam_spent {
	struct sipdam_spent_set set[SIPDAM_SPENT_SETS];
};

/* Lines of messages that may come again and are not charged for it, see bpf/copies.h: 65,536 of them. */
#define SIPDAM_COPY_LINES 8192

/* Words of arrival time in the one line of `budgets`: peers and trusted sources that become known
 * (bpf/learn.h), ticks; bytes of answers to strangers (bpf/reflection.h), nanoseconds. */
#define SIPDAM_BUDGET_PEERS      0
#define SIPDAM_BUDGET_TRUSTED    1
#define SIPDAM_BUDGET_REFLECTION 2
/* And whether ever a connection was forgotten (bpf/stream.h). */
#define SIPDAM_BUDGET_FORGOTTEN 3
#define SIPDAM_BUDGET_ANSWERED   4 /* when the server was last seen to answer a SYN, nanoseconds */
#define SIPDAM_BUDGET_UNFINISHED 5 /* when a handshake of TLS was last left unfinished, the same */

/* What the server has answered to sources lately, see bpf/failures.h; and streams of TCP, see bpf/stream.h.
 */
#define SIPDAM_FAILURE_LINES 16384 /* room for 65,536 sources */
#define SIPDAM_STREAM_LINES  8192  /* room for 65,536 connections */

/*
 * Connections on SIP ports of TCP. A word of `connections` is tag:20 of both ends | state:2 | what the state
 * needs, 0 is free:
 *   half   time:10 in units of 2^28 ns | next:8 | isn:24, low bits of the server's initial sequence number
 *   open   life:5, see bpf/connections.h, 0 while it has carried no byte | port:6, its kind less one and its number among those of the
 *          policy | time:16 in units of 2^35 ns, when it was counted | next:15, a hash of the sequence number that
 *          the server expects of the client, of which an opening has the highest bits
 *   reset  as open: the client says that it is over, and the server has sent nothing since
 *   ended  time as of an opening | 1: the server has sent its FIN, and may send again what comes before that
 * A word of `conn_levels` is tag:16 of a source | lately:15 | before:15 | time:18, its open connections
 * that were counted in this span of connections.forget and in the one before; time in units of 2^35 ns.
 */
#define SIPDAM_CONNECTION_LINES 65536 /* room for 524,288: half full, one line in 50 is full */
#define SIPDAM_LEVEL_LINES      16384 /* room for 131,072 sources */

enum sipdam_connection_state {
	SIPDAM_CONNECTION_ENDED = 0, /* of a word that is not 0 */
	SIPDAM_CONNECTION_HALF = 1,
	SIPDAM_CONNECTION_OPEN = 2,
	SIPDAM_CONNECTION_RESET = 3,
};
#define SIPDAM_CONNECTION_TAG_SHIFT   44
#define SIPDAM_CONNECTION_STATE_SHIFT 42
#define SIPDAM_CONNECTION_LIFE_SHIFT  37
#define SIPDAM_CONNECTION_LIFE_MASK   0x1fu
#define SIPDAM_CONNECTION_PORT_SHIFT  31
#define SIPDAM_CONNECTION_PORT_MASK   0x3fu
#define SIPDAM_CONNECTION_KIND_SHIFT  4 /* within the port */
#define SIPDAM_CONNECTION_TIME_SHIFT  15
#define SIPDAM_CONNECTION_TIME_MASK   0xffffu
#define SIPDAM_CONNECTION_NEXT_MASK   0x7fffu
#define SIPDAM_CONNECTION_UNIT_SHIFT  35 /* nanoseconds to units: 34 s */
#define SIPDAM_LEVEL_MAX              0x7fffu

/* Per CPU: what became of connections. */
enum sipdam_connection_event {
	SIPDAM_CONNECTION_OPENED = 0,
	SIPDAM_CONNECTION_SILENT = 1,    /* one ended, or was forgotten, that never carried a byte */
	SIPDAM_CONNECTION_REFUSED = 2,   /* one is not remembered: open ones have all places of its line */
	SIPDAM_CONNECTION_DISPLACED = 3, /* a source's count of open connections gave way to another's */
	SIPDAM_CONNECTION_UNFINISHED = 4, /* a client has left a handshake of TLS that the server had answered */
};
#define SIPDAM_CONNECTION_EVENTS 8 /* room for more */

/* A pool's arrival time alone in its cache line, so that pools do not share one. */
struct sipdam_pool {
	__u64 tat;       /* ticks, 64 bits */
	__u64 exhausted; /* CLOCK_MONOTONIC nanoseconds of the last refusal with verification on; 0: never */
	__u64 half_tat;  /* ticks: of the half that those share who were verified within the last minute */
	__u64 again_tat; /* ticks: of the half that segments of no known connection share which came again */
	__u64 pad[4];
};
_Static_assert(sizeof(struct sipdam_pool) == 64, "one cache line");

struct sipdam_count {
	__u64 packets;
	__u64 bytes;
};

#define SIPDAM_INTERFACES_MAX 16

#ifndef SIPDAM_WORK_WORDS
#define SIPDAM_WORK_WORDS 104
#endif

/* Per CPU and interface. A pass reason counts in [0]; a drop reason in [0], or in [1] in monitor mode. */
struct sipdam_counters {
	struct sipdam_count reason[2][SIPDAM_REASONS_MAX];
	struct sipdam_count method[SIPDAM_TRANSPORTS][SIPDAM_VERDICTS][SIPDAM_METHODS_MAX];
	struct sipdam_count class[SIPDAM_VERDICTS][SIPDAM_CLASSES_MAX];
	__u64 work[SIPDAM_WORK_WORDS]; /* the program's room for one packet; means nothing between two */
};

/* Counts of before an upgrade that changed what lies in `counters`, by interface: to be added to those. */
#define SIPDAM_COUNT_WORDS (offsetof(struct sipdam_counters, work) / 8)
struct sipdam_carried {
	__u64 word[(2 * SIPDAM_REASONS_MAX + SIPDAM_TRANSPORTS * SIPDAM_VERDICTS * SIPDAM_METHODS_MAX +
		    SIPDAM_VERDICTS * SIPDAM_CLASSES_MAX) *
		   2];
};
_Static_assert(sizeof(struct sipdam_carried) == SIPDAM_COUNT_WORDS * 8,
	       "the counts, and not the room to work");

/* Packets of interfaces without counters of their own work and count here; nobody reads it. */
#define SIPDAM_INTERFACE_OTHER SIPDAM_INTERFACES_MAX

#define SIPDAM_INTERFACE_NAME 16 /* IFNAMSIZ */

/*
 * Interfaces in the order of their counters; an index of 0 is a free slot. The program reads the indexes
 * alone. By the rest an interface is known again that was deleted and made anew.
 */
struct sipdam_interfaces {
	__u32 ifindex[SIPDAM_INTERFACES_MAX];
	__u8 wanted[SIPDAM_INTERFACES_MAX]; /* as asked for: 0 auto, 1 native, 2 generic */
	__u64 netns[SIPDAM_INTERFACES_MAX]; /* SO_NETNS_COOKIE of the network namespace of the index */
	char name[SIPDAM_INTERFACES_MAX][SIPDAM_INTERFACE_NAME]; /* last seen */
	__u8 made_qdisc[SIPDAM_INTERFACES_MAX]; /* 1: its clsact queueing discipline was made by us */
};
_Static_assert(sizeof(struct sipdam_interfaces) == SIPDAM_INTERFACES_MAX * 30, "struct sipdam_interfaces");

/* Per CPU: what happened to full tables. */
enum sipdam_table_event {
	SIPDAM_TABLE_SOURCE_DISPLACED = 0,   /* a source word still in the future was replaced */
	SIPDAM_TABLE_NETWORK_DISPLACED = 1,  /* a network word still in the future was replaced */
	SIPDAM_TABLE_FRAGMENT_DISPLACED = 2, /* a fragment verdict still valid was replaced */
	SIPDAM_TABLE_CONTENDED = 3,         /* a bucket was refused because other CPUs took it first, twice */
	SIPDAM_TABLE_BAN_REFUSED = 4,       /* a source was not banned: the places it may have are taken */
	SIPDAM_TABLE_REFUSED_DISPLACED = 5, /* a source lately refused lost its record to another */
	SIPDAM_TABLE_GRANT_REFUSED =
		6, /* a source was not trusted: no place, or too many grants in a second */
	SIPDAM_TABLE_FAILURE_DISPLACED = 7, /* what was lately answered to a source was forgotten */
	SIPDAM_TABLE_COPY_DISPLACED = 8, /* a message that may come again was forgotten: its copies are charged */
	SIPDAM_TABLE_STREAM_DISPLACED = 9, /* a connection was forgotten: nothing of it is learned any more */
};
#define SIPDAM_TABLE_EVENTS 16 /* room for more */

/*
 * Hellos by version: what clients offered at the highest, and what the server chose. unseen: cut by the end of
 * a segment, or unreadable; unknown: no version that is known.
 * X(name, number, label)
 */
#define SIPDAM_TLS_VERSIONS(X)                                                                               \
	X(UNSEEN, 0, "unseen")                                                                               \
	X(UNKNOWN, 1, "unknown")                                                                             \
	X(SSL3, 2, "ssl3")                                                                                   \
	X(1_0, 3, "1.0")                                                                                     \
	X(1_1, 4, "1.1")                                                                                     \
	X(1_2, 5, "1.2")                                                                                     \
	X(1_3, 6, "1.3")

enum sipdam_tls_version {
#define X(name, number, label) SIPDAM_TLS_##name = number,
	SIPDAM_TLS_VERSIONS(X)
#undef X
};
#define SIPDAM_TLS_ROWS 8

/* Per CPU. */
struct sipdam_tls_meter {
	__u64 offered[SIPDAM_TLS_ROWS]; /* by clients whose hellos no limit refused; those that the gate did count too */
	__u64 chosen[SIPDAM_TLS_ROWS];  /* by the server */
};
_Static_assert(sizeof(struct sipdam_tls_meter) == 128, "struct sipdam_tls_meter");

/*
 * Whom the limits of single sources refuse: the loudest of each CPU, slots by the source's hash. One refused
 * packet in SIPDAM_REFUSED_SAMPLE is noted, and counts for as many. The second half of the slots is for
 * answers and for requests inside calls.
 */
#define SIPDAM_REFUSED_SLOTS   256
#define SIPDAM_REFUSED_SAMPLE  16
#define SIPDAM_REFUSED_EPISODE 300000000000ULL /* nanoseconds: who was silent for as long begins anew */

struct sipdam_refused {
	__u64 high, low;   /* the source's prefix as an address: network byte order, IPv4 as ::ffff:a.b.c.d */
	__u64 first, last; /* CLOCK_MONOTONIC nanoseconds; last 0: a free slot */
	__u64 packets;     /* refused between the two, about */
	__u32 score;       /* samples it is ahead of others of the same slot */
	__u16 classes;     /* a bit for each enum sipdam_class */
	__u8 class;        /* of the last one */
	__u8 bits;         /* of the prefix, over 128 */
};
_Static_assert(sizeof(struct sipdam_refused) == 48, "struct sipdam_refused");

/* A prefix: bits counted over 128, IPv4 as ::ffff:a.b.c.d (so /24 is 120). */
struct sipdam_prefix {
	__u32 bits;
	__u8 address[16]; /* network byte order */
};
_Static_assert(sizeof(struct sipdam_prefix) == 20, "struct sipdam_prefix");

/* Whence an entry comes: an entry stays while one origin is left. */
#define SIPDAM_ENTRY_CONFIG  1u          /* the configuration */
#define SIPDAM_ENTRY_MANUAL  2u          /* the command line */
#define SIPDAM_ENTRY_FEED(n) (4u << (n)) /* an imported feed, by number */
#define SIPDAM_FEEDS_MAX     24

/*
 * A record of a list's book, which the tool keeps for itself: sorted by address, length and end. A prefix
 * that several origins hold for different times has a record for each time.
 */
struct sipdam_entry {
	struct sipdam_prefix prefix;
	__u32 origins; /* SIPDAM_ENTRY_*; each in one record of a prefix at most */
	__u64 expires; /* CLOCK_MONOTONIC nanoseconds; 0: never */
};
_Static_assert(sizeof(struct sipdam_entry) == 32, "struct sipdam_entry");

/*
 * One record that tells user space what is pinned here. Its fields keep their places for ever and new ones
 * come at its end, so that every version can read who made it.
 */
struct sipdam_meta {
	__u32 layout;
	__u32 reserved;
	__u64 created;    /* CLOCK_REALTIME seconds */
	__u64 sources;    /* lines of the source table */
	char version[32]; /* of the program that runs */
	char config[256]; /* path of the configuration file, empty: defaults */
	char feeds[SIPDAM_FEEDS_MAX]
		  [64]; /* names of imported feeds: list label, ':', file name; empty: free */
};

_Static_assert(offsetof(struct sipdam_meta, version) == 24, "known to every version");
_Static_assert(offsetof(struct sipdam_meta, config) == 56, "known to every version");
_Static_assert(offsetof(struct sipdam_meta, feeds) == 312, "known to every version");

/* A policy as later versions read it (user/settings_text.h), ends with a NUL. */
struct sipdam_text {
	char text[65536];
};

/* Keys of the hash that finds a source's line. */
struct sipdam_secret {
	__u64 word[4];
};

/* Replay and tests: what the clock reads and how long the packet was on the wire, and what came of it. */
struct sipdam_trial {
	__u64 now;         /* in: nanoseconds */
	__u32 wire_length; /* in: bytes from the Ethernet header on; 0: as handed in */
	__u32 interface;   /* in: slot of the counters */
	__u32 changes;     /* in: another number after each change of policy or tables between two packets */
	__u8 reason;       /* out: enum sipdam_reason */
	__u8 method;       /* out: enum sipdam_method */
	__u8 class;        /* out: enum sipdam_class */
	__u8 transport;    /* out: enum sipdam_transport */
	__u8 dropped;      /* out: 1 if the packet was dropped (never in monitor mode) */
	__u8 family;       /* out: 4, 6, 0 for neither */
	__u16 status;      /* out: of a response, else 0 */
	__u32 reserved;
	__u8 source[16]; /* out: IPv4 as ::ffff:a.b.c.d; valid if family is not 0 */
};
_Static_assert(sizeof(struct sipdam_trial) == 48, "struct sipdam_trial");

#endif
