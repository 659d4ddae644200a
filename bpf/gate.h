/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The gate of tls.min_version: the meters of what clients offer and the server chooses, whom the gate
 * refuses, and what becomes of such a packet. It comes last, behind all limits, and is for everybody, allowed
 * and trusted sources too. Where a client's versions are not in sight it lets pass, and the meter counts
 * that: what the server chose is seen on the way out, and refused there.
 */
#ifndef GATE_H
#define GATE_H

#include "maps.h"
#include "packet.h"
#include "sockets.h"
#include "tls.h"
#include "verdict.h"

/* Does the capture lack bytes of the payload? */
static __always_inline bool is_short(const struct packet *packet)
{
	return packet->payload_length && packet->payload_offset + packet->payload_length > packet->present;
}

#ifdef FRAME_LEAVES
/* ---- what the server chooses ---- */

/*
 * The reason of a segment that has a ServerHello, or may have. hello: where it lies. A version that is none
 * of those known is not below any. now: nanoseconds. A function of its own so that it is verified apart.
 */
__noinline int gate_judge(frame_t *frame, const struct sipdam_policy *policy, const struct packet *packet,
			  struct tls_hello *hello, __u64 now)
{
	struct sipdam_tls_meter *meter;
	__u32 zero = 0;
	bool refused;
	int version;

	if (!policy || !packet || !hello)
		return SIPDAM_REASON_EGRESS;
	version = tls_chosen(frame, packet, hello);
	if (version == TLS_ASKS_AGAIN)
		return SIPDAM_REASON_EGRESS;
	refused = version > 0 && (__u32)version < policy->tls_min_version;
	meter = bpf_map_lookup_elem(&tls_meter, &zero);
	if (meter && (!refused || spares_all(policy, now)))
		meter->chosen[tls_row(version) & (SIPDAM_TLS_ROWS - 1)]++;
	if (refused)
		return SIPDAM_REASON_TLS_VERSION;
	hello->chosen = version >= 0;
	if (version == TLS_UNSEEN && policy->tls_min_version && is_short(packet))
		return SIPDAM_REASON_TRUNCATED;
	return SIPDAM_REASON_EGRESS;
}

#else
/* ---- what clients offer ---- */

static __always_inline void gate_count(int version)
{
	__u32 zero = 0;
	struct sipdam_tls_meter *meter = bpf_map_lookup_elem(&tls_meter, &zero);

	if (meter)
		meter->offered[tls_row(version) & (SIPDAM_TLS_ROWS - 1)]++;
}

/* What the hello at the beginning of a segment offers; of one that does not show what it is nothing. */
static __always_inline int gate_offered(frame_t *frame, const struct packet *packet, struct tls_hello *hello,
					enum tls_begins begins)
{
	if (begins == TLS_BEGINS_OLD)
		return tls_offered_old(frame, packet, hello);
	return begins == TLS_BEGINS_CLIENT ? tls_offered(frame, packet, hello) : TLS_UNSEEN;
}

/*
 * The reason of a packet that may have a ClientHello and would pass for `reason`. hello: where it lies. A
 * function of its own so that it is verified apart, and costs others nothing.
 */
__noinline int gate_judge(frame_t *frame, const struct sipdam_policy *policy, const struct packet *packet,
			  struct tls_hello *hello, int reason)
{
	enum tls_begins begins;
	int version;

	if (!policy || !packet || !hello)
		return reason;
	begins = tls_look(frame, packet);
	if (!tls_asks(begins))
		return reason;
	version = gate_offered(frame, packet, hello, begins);
	gate_count(version);
	if (version == TLS_UNSEEN)
		return policy->tls_min_version && is_short(packet) ? SIPDAM_REASON_TRUNCATED : reason;
	return (__u32)version < policy->tls_min_version ? SIPDAM_REASON_TLS_VERSION : reason;
}

/* Has this host the connection that a packet is of, more than a port that listens? */
static __always_inline bool gate_has_connection(frame_t *frame, const struct packet *packet)
{
	int state = socket_state(frame, packet);

	return state && state != BPF_TCP_LISTEN && state != BPF_TCP_TIME_WAIT;
}

/*
 * What becomes of a packet that the gate refuses, so that the client has an error at once and waits for
 * nothing: silence would cost it a minute. A server on this host gets a reset instead of the hello, and
 * answers the client's next try with another; anybody else gets a hello that it can but refuse. Returns the
 * verdict.
 */
__noinline int gate_turn_away(frame_t *frame, const struct packet *packet, const struct tls_hello *hello)
{
	int done;

	if (!packet || !hello || packet->fragment != FRAGMENT_NONE)
		return XDP_DROP;
	if (gate_has_connection(frame, packet))
		done = tls_make_reset(frame, packet);
	else
		done = tls_make_refused(frame, packet, hello);
	return done ? XDP_PASS : XDP_DROP;
}
#endif

#endif
