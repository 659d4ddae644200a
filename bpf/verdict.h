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
	__u8 class;	  /* enum sipdam_class */
	__u8 method;	  /* enum sipdam_method */
	__u16 status;	  /* of a response */
	__u32 tokens;	  /* that it costs of its class */
	__u32 data_tokens; /* that it costs of tcp_data besides */
};

#define SIPDAM_PASS_BIT 0
#define SIPDAM_DROP_BIT 1
#define X(name, number, label, verdict, sentence) | (__u32)SIPDAM_##verdict##_BIT << (number)
static const __u32 drop_reasons = 0 SIPDAM_REASONS(X);
#undef X

static __always_inline void count_one(struct sipdam_count *count, __u32 bytes)
{
	count->packets++;
	count->bytes += bytes;
}

/* The counters' slot of the interface the packet came by; beyond the last one if it has none. */
static __always_inline __u32 interface_slot(const struct xdp_md *context)
{
	struct sipdam_interfaces *known;
	__u32 zero = 0;
	__u32 ifindex = context->ingress_ifindex;

	known = bpf_map_lookup_elem(&interfaces, &zero);
	if (!known)
		return SIPDAM_INTERFACES_MAX;
#pragma unroll
	for (__u32 slot = 0; slot < SIPDAM_INTERFACES_MAX; slot++)
		if (known->ifindex[slot] == ifindex)
			return slot;
	return SIPDAM_INTERFACES_MAX;
}

/* A lookup that fails loses a count, never changes a verdict. */
static __always_inline void count_packet(__u32 slot, int reason, int verdict, const struct packet *packet,
					 const struct message *message, __u32 bytes)
{
	struct sipdam_counters *count = bpf_map_lookup_elem(&counters, &slot);
	__u32 transport = packet->protocol == IPPROTO_TCP ? SIPDAM_TRANSPORT_TCP : SIPDAM_TRANSPORT_UDP;

	if (!count)
		return;
	count_one(&count->reason[verdict == SIPDAM_VERDICT_WOULD_DROP][reason & (SIPDAM_REASONS_MAX - 1)], bytes);
	if (!message->class)
		return;
	count_one(&count->class[verdict][message->class & (SIPDAM_CLASSES_MAX - 1)], bytes);
	if (message->method)
		count_one(&count->method[transport][verdict][message->method & (SIPDAM_METHODS_MAX - 1)], bytes);
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

/* Counts and ends. */
static __always_inline int verdict(struct xdp_md *context, int reason, const struct sipdam_policy *policy,
				   const struct packet *packet, const struct message *message, __u32 bytes)
{
	struct sipdam_trial *trial_run = trial_record();
	int verdict = SIPDAM_VERDICT_PASS;

	if (drop_reasons >> (reason & (SIPDAM_REASONS_MAX - 1)) & 1)
		verdict = policy->monitor ? SIPDAM_VERDICT_WOULD_DROP : SIPDAM_VERDICT_DROP;
	if (trial_run) {
		count_packet(trial_run->interface, reason, verdict, packet, message, bytes);
		report_trial(trial_run, reason, verdict, packet, message);
	} else {
		count_packet(interface_slot(context), reason, verdict, packet, message, bytes);
	}
	return verdict == SIPDAM_VERDICT_DROP ? XDP_DROP : XDP_PASS;
}

#endif
