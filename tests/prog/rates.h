/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What tests of rates and of tables share: INVITEs from chosen sources, and a bucket's refill. */
#ifndef PROG_RATES_H
#define PROG_RATES_H

#include "prog/lab.h"

#define MILLISECOND   1000000ULL
#define TENTH         (100 * MILLISECOND)
#define TEN_A_SECOND  "{rate: 10, burst: 20}"
#define NO_OTHER      "network: unlimited, pool: {invite: unlimited}"
#define NOT_VERIFIED  "verify: {enabled: false}\n" /* a pool's refusal is one at once */
#define SOURCES_ALONE "limits: {" NO_OTHER "}"

/* From another port. */
#define SOURCE_PORT(value)                                                                                   \
	{                                                                                                    \
		LAYER_TRANSPORT, 0, 2, false, value                                                          \
	}

static const struct recipe invite = {.payload = INVITE_TEXT};
static const struct expect passes = AN_INVITE;
static const struct expect over_source = DROPS(SOURCE_RATE, INVITE, INVITE);
static const struct expect over_network = DROPS(NETWORK_RATE, INVITE, INVITE);
static const struct expect over_pool = DROPS(POOL_RATE, INVITE, INVITE);
static const struct expect allowed = PASSES(ALLOWED, INVITE, INVITE);

static inline struct recipe invite_from(const char *source)
{
	return (struct recipe){
		.source = source, .family = strchr(source, ':') ? 6 : 4, .payload = INVITE_TEXT};
}

/* Sends one INVITE from an address. */
static inline void send_from(struct lab *lab, const char *source, struct expect expect)
{
	struct recipe recipe = invite_from(source);

	lab_send(lab, source, &recipe, expect);
}

static inline void send_many_from(struct lab *lab, int count, const char *source, struct expect expect)
{
	struct recipe recipe = invite_from(source);

	lab_send_many(lab, source, count, &recipe, expect);
}

/* The n-th of many addresses, each in a network of its own, or all in one. */
static inline const char *spoofed(char text[INET_ADDRSTRLEN], __u32 n, bool one_network)
{
	__be32 address = htonl(one_network ? 0x0a000000 + n : 0x0b000000 + (n << 8));

	return inet_ntop(AF_INET, &address, text, INET_ADDRSTRLEN);
}

/* Of a bucket that has just been emptied: one packet an interval, not one tick earlier. */
static inline void check_refill(struct lab *lab, const struct recipe *recipe, __u64 interval,
				struct expect pass, struct expect drop)
{
	for (int i = 0; i < 3; i++) {
		lab_send(lab, "empty", recipe, drop);
		lab->now += interval - TICK;
		lab_send(lab, "a tick early", recipe, drop);
		lab->now += TICK - 1;
		lab_send(lab, "a nanosecond early", recipe, drop);
		lab->now += 1;
		lab_send(lab, "an interval later", recipe, pass);
	}
	lab_send(lab, "empty again", recipe, drop);
}

#endif
