/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sources in a storm. Time stands still for a tick of the clock (clock.h), and with it the answer to a source
 * whose bucket is empty, or that is denied: once a source was refused sixteen times in a tick, the rest of
 * what it sends in that tick is refused from memory, before any table is asked. Nothing follows from being
 * forgotten.
 */
#ifndef LOUD_H
#define LOUD_H

#include "clock.h"
#include "packet.h"

/* Places of a CPU, by three bits; two sources of one place push each other out. */
#define LOUD_PLACES 8

/* Refusals in a tick that make a source loud. */
#define LOUD_REFUSALS 16

/* One class of messages, or SYNs without data, from one address. */
struct loud {
	__u64 high, low;
	__u64 moment;
	__u32 class;
	__u16 reason; /* for which it is refused unasked; 0: not yet */
	__u16 refusals;
};

/* The tick: the jiffies by which the clock is read. A trial may change policies and tables within one, and says so. */
static __always_inline __u64 loud_moment(__u64 jiffies)
{
	struct sipdam_trial *handed_in = trial_record();

	return handed_in ? handed_in->now ^ (__u64)handed_in->changes << 32 : jiffies;
}

static __always_inline struct loud *loud_place(struct loud *places, const struct packet *packet, __u32 class)
{
	__u32 mixed = (packet->source.low >> 32 ^ packet->source.low ^ packet->source.high) * 0x9e3779b1U;
	__u64 place = mixed >> 29 ^ class;

#ifdef __bpf__
	/* As in cursor_capped(): the compiler knows what three bits are, and Linux before 6.2 not after a ^.
	 */
	asm volatile("%0 &= %1" : "+r"(place) : "i"(LOUD_PLACES - 1));
#endif
	places += place & (LOUD_PLACES - 1);
#ifdef __bpf__
	asm volatile("" : "+r"(places)); /* or clang computes it again for each field */
#endif
	return places;
}

static __always_inline bool loud_is(const struct loud *loud, const struct packet *packet, __u64 moment,
				    __u32 class)
{
	return loud->moment == moment && loud->low == packet->source.low &&
	       loud->high == packet->source.high && loud->class == class;
}

/* The reason for which a packet is dropped as those before it in this tick were; 0: it is judged. */
static __always_inline int loud_reason(const struct loud *loud, const struct packet *packet, __u64 moment,
				       __u32 class)
{
	return loud_is(loud, packet, moment, class) ? loud->reason : SIPDAM_REASON_NONE;
}

/* Notes that a packet was refused. lasts: may the next ones be refused unasked? */
static __always_inline void loud_note(struct loud *loud, const struct packet *packet, __u64 moment, __u32 class,
				      int reason, bool lasts)
{
	if (loud_is(loud, packet, moment, class)) {
		loud->refusals++;
		if (loud->refusals == LOUD_REFUSALS && lasts)
			loud->reason = reason;
		return;
	}
	*loud = (struct loud){.high = packet->source.high,
			      .low = packet->source.low,
			      .moment = moment,
			      .class = class,
			      .refusals = 1};
}

#endif
