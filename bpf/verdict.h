/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The end of every packet's way: its reason becomes one count and one verdict.
 */
#ifndef VERDICT_H
#define VERDICT_H

#include "clock.h"
#include "maps.h"
#include "packet.h"

/* What the payload is, for limits and counters. */
struct message {
	__u8 class;        /* enum sipdam_class */
	__u8 method;       /* enum sipdam_method */
	__u16 status;      /* of a response */
	__u32 tokens;      /* that it costs of its class */
	__u32 data_tokens; /* that it costs of tcp_data besides */
	__u64 further;     /* messages that begin in the same segment, see segment.h */
};

#define SIPDAM_PASS_BIT                           0
#define SIPDAM_DROP_BIT                           1
#define X(name, number, label, verdict, sentence) | (__u32)SIPDAM_##verdict##_BIT << (number)
static const __u32 drop_reasons = 0 SIPDAM_REASONS(X);
#undef X

static __always_inline bool is_drop(int reason)
{
	return drop_reasons >> (reason & (SIPDAM_REASONS_MAX - 1)) & 1;
}

static __always_inline void count_one(struct sipdam_count *count, __u32 bytes)
{
	count->packets++;
	count->bytes += bytes;
}

/* The counters' slot of the interface the packet comes or leaves by. */
static __always_inline __u32 interface_slot(__u32 ifindex)
{
	struct sipdam_trial *handed_in = trial_record();

	if (handed_in)
		return handed_in->interface;
	if (interfaces.ifindex[0] == ifindex)
		return 0;
	for (__u32 slot = 1; slot < SIPDAM_INTERFACES_MAX; slot++)
		if (interfaces.ifindex[slot] == ifindex)
			return slot;
	return SIPDAM_INTERFACE_OTHER;
}

static __always_inline struct sipdam_counters *counters_of(__u32 ifindex)
{
	__u32 slot = interface_slot(ifindex);

	return bpf_map_lookup_elem(&counters, &slot);
}

static __always_inline void count_packet(struct sipdam_counters *count, int reason, int verdict,
					 __u32 transport, __u32 bytes, const struct message *message)
{
	count_one(&count->reason[verdict == SIPDAM_VERDICT_WOULD_DROP][reason & (SIPDAM_REASONS_MAX - 1)],
		  bytes);
	if (!message->class)
		return;
	count_one(&count->class[verdict][message->class & (SIPDAM_CLASSES_MAX - 1)], bytes);
	if (message->method)
		count_one(&count->method[transport][verdict][message->method & (SIPDAM_METHODS_MAX - 1)],
			  bytes);
}

/* What a trial wants to know of the packet. */
static __always_inline void report_trial(struct sipdam_trial *report, int reason, int verdict,
					 const struct packet *packet, const struct message *message)
{
	report->reason = reason;
	report->class = message->class;
	report->method = message->method;
	report->status = message->status;
	report->dropped = verdict == SIPDAM_VERDICT_DROP;
	report->family = packet->family;
	report->transport = packet->protocol == IPPROTO_UDP   ? SIPDAM_TRANSPORT_UDP
			    : packet->protocol == IPPROTO_TCP ? SIPDAM_TRANSPORT_TCP
							      : SIPDAM_TRANSPORT_NONE;
	__builtin_memcpy(report->source, &packet->source, sizeof(report->source));
}

/*
 * Is nothing dropped: in monitor mode, or past a deadline that nobody confirmed in time? Asked of packets
 * that have a reason to be dropped, so that the others pay nothing for it. now: nanoseconds.
 */
static __always_inline bool spares_all(const struct sipdam_policy *policy, __u64 now)
{
	return policy->monitor || (policy->deadline && now >= policy->deadline);
}

/*
 * Counts and ends a packet that is dropped as those before it, a datagram where it has a method. Not in a
 * trial, which wants to know more. now: nanoseconds.
 */
static __always_inline int drop_again(struct sipdam_counters *count, int reason,
				      const struct sipdam_policy *policy, __u64 now, __u32 bytes, __u32 class,
				      __u32 method)
{
	int verdict = spares_all(policy, now) ? SIPDAM_VERDICT_WOULD_DROP : SIPDAM_VERDICT_DROP;

	count_one(&count->reason[verdict == SIPDAM_VERDICT_WOULD_DROP][reason & (SIPDAM_REASONS_MAX - 1)], bytes);
	count_one(&count->class[verdict][class & (SIPDAM_CLASSES_MAX - 1)], bytes);
	if (method)
		count_one(&count->method[SIPDAM_TRANSPORT_UDP][verdict][method & (SIPDAM_METHODS_MAX - 1)],
			  bytes);
	return verdict == SIPDAM_VERDICT_DROP ? XDP_DROP : XDP_PASS;
}

/* Counts and ends. now: nanoseconds, of a packet with a reason to be dropped; the others need none. */
static __always_inline int verdict(struct sipdam_counters *count, int reason,
				   const struct sipdam_policy *policy, __u64 now, const struct packet *packet,
				   const struct message *message)
{
	struct sipdam_trial *report = trial_record();
	int verdict = SIPDAM_VERDICT_PASS;

	if (is_drop(reason))
		verdict = spares_all(policy, now) ? SIPDAM_VERDICT_WOULD_DROP : SIPDAM_VERDICT_DROP;
	count_packet(count, reason, verdict,
		     packet->protocol == IPPROTO_TCP ? SIPDAM_TRANSPORT_TCP : SIPDAM_TRANSPORT_UDP,
		     packet->length, message);
	if (report)
		report_trial(report, reason, verdict, packet, message);
	return verdict == SIPDAM_VERDICT_DROP ? XDP_DROP : XDP_PASS;
}

#endif
