/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Why a packet passed or was dropped: the one list from which the enum, the labels, the JSON keys,
 * the manual's table and the tests' coverage come. Numbers are never reused.
 */
#ifndef SIPDAM_REASON_H
#define SIPDAM_REASON_H

/* X(name, number, label, verdict, sentence) */
#define SIPDAM_REASONS(X)                                                                                    \
	X(NOT_SIP, 1, "not_sip", PASS, "not for a protected port or address")                                \
	X(ALLOWED, 2, "allowed", PASS, "source in the allow list")                                           \
	X(TRUSTED, 3, "trusted", PASS, "source completed a registration")                                    \
	X(PEER, 4, "peer", PASS, "source the server itself talks to")                                        \
	X(WITHIN_LIMITS, 5, "within_limits", PASS, "unknown source, within every limit")                     \
	X(EGRESS, 6, "egress", PASS, "sent by the server itself")                                            \
	X(DENIED, 7, "denied", DROP, "source in the deny list")                                              \
	X(BANNED, 8, "banned", DROP, "source banned for a time")                                             \
	X(MALFORMED, 9, "malformed", DROP, "header lengths that lie: cannot be a packet")                    \
	X(FRAGMENT, 10, "fragment", DROP, "fragment that follows no known first one, over its limit")        \
	X(SOURCE_RATE, 11, "source_rate", DROP, "over the limit of one source")                              \
	X(NETWORK_RATE, 12, "network_rate", DROP, "over the limit of the source's network")                  \
	X(POOL_RATE, 13, "pool_rate", DROP, "over the limit of all unknown sources together")                \
	X(UNVERIFIED, 14, "unverified", DROP, "first copy of a request while strangers must retransmit")     \
	X(TLS_VERSION, 15, "tls_version", DROP, "TLS version below tls.min_version")                         \
	X(SIGNATURE, 16, "signature", DROP, "matches an attack tool's signature")                            \
	X(REFLECTION, 17, "reflection", DROP, "answer to a stranger over the reflection limit")              \
	X(TRUNCATED, 18, "truncated", PASS, "replay only: the capture holds too little to judge")

enum sipdam_reason {
	SIPDAM_REASON_NONE = 0, /* undecided */
#define X(name, number, label, verdict, sentence) SIPDAM_REASON_##name = number,
	SIPDAM_REASONS(X)
#undef X
};

/* Room for reasons in tables indexed by them; a power of two so that an index can be masked. */
#define SIPDAM_REASONS_MAX 32

enum sipdam_verdict {
	SIPDAM_VERDICT_PASS = 0,
	SIPDAM_VERDICT_DROP = 1,
	SIPDAM_VERDICT_WOULD_DROP = 2, /* monitor mode: passed, though a reason said drop */
};
#define SIPDAM_VERDICTS 3

#endif
