/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the filter would do with the next packet of one source, and why: the program's steps
 * (bpf/sipdam.bpf.c) over copies of the words it keeps, by its own arithmetic (bpf/bucket.h, stamp.h, hash.h). Takes
 * nothing and changes nothing. What lists and bans hold is asked elsewhere and handed in.
 */
#ifndef EXPLAIN_H
#define EXPLAIN_H

#include <stdbool.h>

#include "sipdam/state.h"

#define EXPLAIN_NEVER     (~0ULL)
#define EXPLAIN_UNLIMITED (~0ULL)

/* What is known beforehand. */
struct explain_question {
	const struct sipdam_policy *policy;
	struct sipdam_prefix address; /* one: 128 bits */
	__u64 now;                    /* CLOCK_MONOTONIC nanoseconds */
	bool allowed, denied;         /* an entry in force holds the address */
	bool banned;                  /* a ban of its source is in force */
	bool trusted, peer;           /* its source is known as that */
	__u32 devices;                /* behind a trusted one */
};

/* Descriptors of the maps of these names; -1: may not be read, and what it tells is unknown. */
struct explain_maps {
	int sources, networks, pools, secrets, verified, levels;
};

enum explain_tier {
	EXPLAIN_DENIED,
	EXPLAIN_BANNED,
	EXPLAIN_UNKNOWN,
	EXPLAIN_PEER,
	EXPLAIN_TRUSTED,
	EXPLAIN_ALLOWED,
};

struct explain_bucket {
	struct sipdam_limit limit;
	bool known;  /* always, where it is unlimited */
	__u64 level; /* packets that it would admit at this instant, or EXPLAIN_UNLIMITED */
	__u64 next;  /* nanoseconds until it admits one if none comes before; 0: now; or EXPLAIN_NEVER */
};

/* A port of the address that has sent a request twice, and need not for so long, nanoseconds. */
struct explain_sender {
	__u16 port;
	__u64 left;
};

/* Ports that are told of by number. */
#define EXPLAIN_SENDERS_MAX 16

struct explanation {
	enum explain_tier tier;
	bool spared; /* monitor mode, or a deadline that has passed: nothing is dropped */
	struct sipdam_prefix source, network;
	struct explain_bucket bucket[SIPDAM_CLASSES_MAX], pool[SIPDAM_CLASSES_MAX]; /* by enum sipdam_class */
	struct explain_bucket half[SIPDAM_CLASSES_MAX]; /* of the pool: of those that have sent twice lately */
	bool verify;                        /* verify.enabled: who finds a pool exhausted must send again */
	bool verifying[SIPDAM_CLASSES_MAX]; /* so must all strangers now */
	struct explain_bucket network_bucket;
	bool counted; /* its connections could be read */
	__u32 connections, connections_most; /* of TCP, open; 0: no cap */
	__u32 senders; /* ports that need not send twice now; the first of them in order */
	struct explain_sender sender[EXPLAIN_SENDERS_MAX];
};

/* 0 or -errno of reading a map. */
int explain(const struct explain_question *question, const struct explain_maps *maps,
	    struct explanation *explanation);

/*
 * Why the next packet would pass or be dropped: a datagram of this class, whole and plain, to a protected
 * port and address; a request is one that was not sent before (bpf/copies.h), and not ACK or CANCEL. Of tcp_syn: a
 * SYN, which is not left to cookies. sent_twice: it is from one of the senders. SIPDAM_REASON_NONE where it hangs on a bucket that is unknown.
 */
int explain_reason(const struct explanation *explanation, int class, bool sent_twice);

/* What becomes of it (enum sipdam_verdict). */
int explain_verdict(const struct explanation *explanation, int reason);

/* "denied", "banned", "unknown", "allowed" */
const char *explain_tier_name(enum explain_tier tier);

/* Do messages of this class draw on the bucket of their network? */
bool explain_is_network_class(int class);

#endif
