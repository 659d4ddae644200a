/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Traces from a seed: a random policy as YAML and a few thousand frames with their times, most of them
 * good, many of them wrong somewhere. Few sources and networks and short bursts, so that limits are met.
 * The same seed is the same trace on every machine.
 */
#ifndef PROG_GENERATE_H
#define PROG_GENERATE_H

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "prog/packet.h"
#include "sipdam/message.h"
#include "sipdam/policy.h"

#define TRACE_PACKETS 2500
#define TRACE_SOURCES "65536" /* of the table: so many that no word is displaced by another source's */
#define TRACE_POLICY  16384
#define TRACE_FRAME   3400 /* most bytes of a frame */
#define TRACE_TEXT    3300 /* most bytes of a payload */
#define TRACE_LONG    400  /* bytes of a frame of which the end is behind what names a request */

struct generated {
	__u64 now; /* nanoseconds */
	__u8 *data;
	__u32 length;
	__u32 wire_length;              /* of a frame that the capture cut short; 0: whole */
	char by_hand[INET6_ADDRSTRLEN]; /* who is banned before it comes; empty: nobody */
	__u64 ban;                      /* for so long, nanoseconds; 0: pardoned */
	char known[INET6_ADDRSTRLEN];   /* who is known before it comes; empty: nobody */
	bool trusted;                   /* and as what */
	__u64 lasting;                  /* for so long, nanoseconds */
	int devices;                    /* behind a trusted one, at most: some ports look alike */
	bool answered;                  /* the server has answered a SYN of this connection just before */
	bool ended;                     /* the server has ended this connection just before */
};

/* Ports that a policy protects, for packets to be sent to. */
struct chosen_ports {
	int udp[8], tcp[16];
	int udps, tcps;
};

struct policy_text {
	char text[TRACE_POLICY];
	size_t bytes;
	struct chosen_ports ports;
};

/* The second policy is in force from a packet on; what the first one left in the tables stays. */
struct trace {
	__u64 seed;
	struct policy_text policy[2];
	int second_from; /* TRACE_PACKETS: never */
	struct generated packet[TRACE_PACKETS];
};

/* ---- chance ---- */

struct dice {
	__u64 state;
	int firsts; /* one fragment in so many is a first one */
	int still;  /* percent of packets that follow at the same instant */
	bool storm; /* most packets are fragments of one datagram */
	int copies; /* percent of packets that are sent again, byte for byte */
	int beat;   /* not 0: number of the one pace that all limits have, and packets come in its time */
	const char *forget; /* connections */
};

/* SplitMix64 (Steele, Lea, Flood 2014). */
static inline __u64 dice_throw(struct dice *dice)
{
	__u64 mixed = dice->state += 0x9e3779b97f4a7c15ULL;

	mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9ULL;
	mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebULL;
	return mixed ^ mixed >> 31;
}

/* 0 to limit - 1. */
static inline int below(struct dice *dice, int limit)
{
	return (int)(dice_throw(dice) % (__u64)limit);
}

static inline bool chance(struct dice *dice, int percent)
{
	return below(dice, 100) < percent;
}

#define ONE_OF(dice, table) ((table)[below(dice, COUNT(table))])

/* ---- policy ---- */

static inline void say(struct policy_text *policy, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static inline void say(struct policy_text *policy, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	policy->bytes +=
		vsnprintf(policy->text + policy->bytes, TRACE_POLICY - policy->bytes, format, arguments);
	va_end(arguments);
	if (policy->bytes >= TRACE_POLICY)
		abort();
}

/* A host of few: half of all packets are from one of three. */
static inline void pick_source(struct dice *dice, int family, char text[INET6_ADDRSTRLEN])
{
	bool usual = chance(dice, 50);
	int net = usual ? 0 : below(dice, 3), host = 1 + below(dice, 3), site = usual ? 0 : below(dice, 2);

	if (chance(dice, 1)) /* from anywhere */
		net = below(dice, 256);
	if (family == 6 && chance(dice, 1))
		snprintf(text, INET6_ADDRSTRLEN, "::ffff:10.%d.%d.%d", site, net, host);
	else if (family == 6)
		snprintf(text, INET6_ADDRSTRLEN, "2001:db8:%x:%x::%x", site, net, host);
	else
		snprintf(text, INET6_ADDRSTRLEN, "10.%d.%d.%d", site, net, host);
}

static inline void pick_destination(struct dice *dice, int family, char text[INET6_ADDRSTRLEN])
{
	snprintf(text, INET6_ADDRSTRLEN, family == 6 ? "2001:db8:ffff::%d" : "198.51.100.%d",
		 1 + below(dice, 3));
}

static inline int pick_family(struct dice *dice)
{
	return chance(dice, 40) ? 6 : 4;
}

static inline void say_prefixes(struct policy_text *policy, struct dice *dice, const char *key, bool sources)
{
	static const int bits4[] = {32, 32, 31, 30, 24, 24, 16, 9};
	static const int bits6[] = {128, 128, 127, 64, 64, 48, 47, 33};
	int count = chance(dice, sources ? 30 : 20) ? 1 + below(dice, sources ? 3 : 6) : 0;

	say(policy, "%s: [", key);
	for (int i = 0; i < count; i++) {
		char text[INET6_ADDRSTRLEN];
		int family = pick_family(dice);

		if (sources)
			pick_source(dice, family, text);
		else
			pick_destination(dice, family, text);
		if (family == 6 && chance(dice, 8)) { /* one that holds ::ffff:0:0/96 */
			say(policy, "%s\"::/%d\"", i ? ", " : "", below(dice, 81));
			continue;
		}
		say(policy, "%s\"%s/%d\"", i ? ", " : "", text,
		    family == 6 && !strstr(text, "::ffff:") ? ONE_OF(dice, bits6) : ONE_OF(dice, bits4));
	}
	say(policy, "]\n");
}

/* Ports that share a hint bit, and ones that do not; the TCP kinds must not have one in common. */
static inline void say_ports(struct policy_text *policy, struct dice *dice)
{
	static const int udp[] = {5060, 5062, 5124, 443, 65535};
	static const int tcp[4][3] = {
		{5060, 5080, 5124}, {5061, 443, 5125}, {80, 8080, 5188}, {8443, 65535, 1}};
	static const char *const kinds[] = {"tcp", "tls", "ws", "wss"};
	struct chosen_ports *ports = &policy->ports;
	const char *comma = "";

	memset(ports, 0, sizeof(*ports));
	say(policy, "ports: {udp: [");
	for (size_t i = 0; i < COUNT(udp); i++) {
		if (!chance(dice, i ? 30 : 95))
			continue;
		say(policy, "%s%d", comma, udp[i]);
		ports->udp[ports->udps++] = udp[i];
		comma = ", ";
	}
	say(policy, "]");
	for (int kind = 0; kind < 4; kind++) {
		comma = "";
		say(policy, ", %s: [", kinds[kind]);
		for (int i = 0; i < 3; i++) {
			if (!chance(dice, i || kind > 1 ? 30 : 95))
				continue;
			say(policy, "%s%d", comma, tcp[kind][i]);
			ports->tcp[ports->tcps++] = tcp[kind][i];
			comma = ", ";
		}
		say(policy, "]");
	}
	say(policy, "}\n");
}

struct pace {
	const char *rate;
	__u64 millionths;
	int least; /* burst */
};

static const struct pace paces[] = {
	{"0.000005", 5, 1},         {"0.1", 100000, 1},         {"0.5", 500000, 1},
	{"1", 1000000, 1},          {"2.5", 2500000, 1},        {"3", 3000000, 1},
	{"7", 7000000, 1},          {"10", 10000000, 1},        {"20", 20000000, 1},
	{"50", 50000000, 1},        {"33.333333", 33333333, 1}, {"300", 300000000, 3},
	{"999.999", 999999000, 10}, {"5000", 5000000000, 50},
};

/* generous: percent of limits that are seldom met. */
static inline void say_limit(struct policy_text *policy, struct dice *dice, const char *key, int generous)
{
	int which = dice->beat ? dice->beat : below(dice, COUNT(paces));
	int burst = paces[which].least + below(dice, 12);

	if (!which)
		burst = 1; /* anything above takes more than 3 days to refill */
	else if (chance(dice, generous))
		burst += 20 + below(dice, 400);
	if (chance(dice, 5) || chance(dice, generous / 3))
		say(policy, "%s: unlimited\n", key);
	else if (chance(dice, 4))
		say(policy, "%s: {rate: 0, burst: %d}\n", key, burst);
	else if (which && burst > 1 && !strncmp(paces[which].rate, "0.", 2) && burst > 100)
		say(policy, "%s: {rate: %s, burst: 100}\n", key, paces[which].rate);
	else
		say(policy, "%s: {rate: %s, burst: %d}\n", key, paces[which].rate, burst);
}

static inline void say_limits(struct policy_text *policy, struct dice *dice, const char *tier, int generous)
{
	static const char *const keys[] = {
#define X(name, number, label, network) "    " label,
		SIPDAM_CLASSES(X)
#undef X
	};

	say(policy, "  %s:\n", tier);
	for (size_t i = 0; i < COUNT(keys); i++)
		say_limit(policy, dice, keys[i], generous);
}

static inline void say_keys(struct policy_text *policy, struct dice *dice)
{
	static const int source4[] = {32, 32, 32, 31, 24, 20, 8}, network4[] = {24, 24, 16, 23, 8};
	static const int source6[] = {64, 64, 128, 127, 63, 56, 48, 16}, network6[] = {48, 48, 32, 47, 16};
	int source = ONE_OF(dice, source4), network = ONE_OF(dice, network4);
	int longer = ONE_OF(dice, source6), shorter = ONE_OF(dice, network6);

	say(policy, "source_key: {ipv4: %d, ipv6: %d}\n", source, longer);
	say(policy, "network_key: {ipv4: %d, ipv6: %d}\n", network < source ? network : source,
	    shorter < longer ? shorter : longer);
}

/* In a quarter of the policies drops ban; in the others only a hand does. */
static inline void say_bans(struct policy_text *policy, struct dice *dice)
{
	static const char *const within[] = {"1s", "10s", "333ms", "1m"}, *const most[] = {"8s", "1m", "15s"};
	static const int drops[] = {1, 2, 3, 5, 10, 40};

	say(policy, "ban: {enabled: %s, drops: %d, within: %s, for: %ds, max: %s}\n",
	    chance(dice, 95) ? "true" : "false", chance(dice, 25) ? ONE_OF(dice, drops) : 0,
	    ONE_OF(dice, within), 1 + below(dice, 4), ONE_OF(dice, most));
}

/* Strangers must send twice, or not. */
static inline void say_verification(struct policy_text *policy, struct dice *dice)
{
	static const char *const least[] = {"200ms", "200ms", "0s", "1s", "8388608ns", "77ms"};
	static const char *const most[] = {"32s", "32s", "32s", "1s", "3s", "34s"};
	static const char *const hold[] = {"10s", "10s", "1s", "1m", "0s", "1ms"};

	say(policy, "verify: {enabled: %s, min: %s, max: %s, hold: %s}\n",
	    chance(dice, 65) ? "true" : "false", ONE_OF(dice, least), ONE_OF(dice, most), ONE_OF(dice, hold));
}

/* How long connections count is the same in both policies of a trace: what was counted is counted so. */
static inline void say_connections(struct policy_text *policy, struct dice *dice)
{
	static const int most[] = {0, 1, 1, 2, 2, 3, 5, 1000};

	say(policy, "connections: {per_source: %d, trusted: %d, forget: %s, syn_cookies: %s}\n",
	    ONE_OF(dice, most), ONE_OF(dice, most), dice->forget,
	    chance(dice, 50)   ? "on"
	    : chance(dice, 50) ? "off"
			       : "auto");
}

static inline void generate_policy(struct policy_text *policy, struct dice *dice)
{
	static const char *const tls_versions[] = {"none", "1.2", "1.3", "1.3"};
	int loose = below(dice, 3);                    /* which tier of limits is met least */
	bool crowd = dice->copies && chance(dice, 70); /* only pools are met */

	policy->bytes = 0;
	say(policy, "sources: " TRACE_SOURCES "\nmode: %s\n", chance(dice, 15) ? "monitor" : "enforce");
	say_ports(policy, dice);
	say_prefixes(policy, dice, "addresses", false);
	say_prefixes(policy, dice, "allow", true);
	say_prefixes(policy, dice, "deny", true);
	say_keys(policy, dice);
	say_bans(policy, dice);
	say_verification(policy, dice);
	say_connections(policy, dice);
	say(policy, "tls: {min_version: %s}\n", ONE_OF(dice, tls_versions));
	say(policy, "limits:\n");
	say_limits(policy, dice, "unknown", crowd || loose == 0 ? 90 : 40);
	if (chance(dice, 50))
		say_limits(policy, dice, "allowed", 30);
	say_limit(policy, dice, "  network", crowd || loose == 1 ? 90 : 60);
	say_limits(policy, dice, "pool", crowd ? 5 : loose == 2 ? 90 : 60);
	say_limit(policy, dice, "  cookies", 70);
}

/* ---- payloads ---- */

struct text {
	size_t bytes;
	char data[TRACE_TEXT + 1];
};

static inline void add_bytes(struct text *text, const void *data, size_t bytes)
{
	if (bytes > TRACE_TEXT - text->bytes)
		bytes = TRACE_TEXT - text->bytes;
	memcpy(text->data + text->bytes, data, bytes);
	text->bytes += bytes;
}

static inline void add_text(struct text *text, const char *words)
{
	add_bytes(text, words, strlen(words));
}

/* Up to a size; filler has line feeds in it and what looks like messages. */
static inline void add_filler(struct text *text, struct dice *dice, size_t bytes)
{
	static const char *const lines[] = {
		"Via: SIP/2.0/UDP 10.0.0.1\r\n",
		"To: <sip:a@b>\r\n",
		"x",
		"\r\n",
		"\n",
		"INVITE",
		"\nBYE\r\n",
		"\nSIP/2.0\r\n",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		"\nSUBSCRIBER sip:a",
		"\n INVITE sip:x\r\n",
		"Content-Length: 0\r\n",
	};

	while (text->bytes < bytes && text->bytes < TRACE_TEXT)
		add_text(text, ONE_OF(dice, lines));
	if (text->bytes > bytes)
		text->bytes = bytes;
}

static inline void add_line_ends(struct text *text, struct dice *dice, int most)
{
	static const char *const ends[] = {"\r\n", "\r\n", "\r\n", "\n", "\r"};

	for (int count = below(dice, most); count > 0; count--)
		add_text(text, ONE_OF(dice, ends));
}

/* Goes on with a method, up to windows and up to frames full of it. */
static inline void add_long_method(struct text *text, struct dice *dice)
{
	for (int count = below(dice, chance(dice, 70) ? 140 : 1600); count > 0; count--)
		add_text(text, "M");
}

static inline void add_request(struct text *text, struct dice *dice)
{
	static const char *const known[] = {
#define X(name, number, label, class) label,
		SIPDAM_METHODS(X)
#undef X
	};
	static const char *const odd[] = {"invite",
					  "INVITEX",
					  "INVIT",
					  "FOO",
					  "X-y.z",
					  "p1ng",
					  "a_b+c~d`e'f%g*h!",
					  "GET",
					  "I",
					  "",
					  "RE ",
					  "(x)",
					  "AVERYLONGMETHODNAMETHATGOESONANDONANDON"};
	static const char *const uris[] = {"sip:alice@example.org", "sips:bob@[2001:db8::1]:5061",
					   "tel:+15551234", "urn:service:sos", "sip:a"};
	static const char *const bad[] = {"s", "x:",   "http://example.org/", "1bad:x",
					  "/", "*",    "<sip:a@b>",           " sip:a@b",
					  "",  "\r\n", "\tsip:a@b",           "+tel:1"};

	add_text(text, chance(dice, 30)   ? known[below(dice, 6)]
		       : chance(dice, 90) ? ONE_OF(dice, known)
					  : ONE_OF(dice, odd));
	if (chance(dice, 3))
		add_long_method(text, dice);
	add_text(text, chance(dice, 98) ? " " : chance(dice, 50) ? "" : "\t");
	add_text(text, chance(dice, 94) ? ONE_OF(dice, uris) : ONE_OF(dice, bad));
	add_text(text, chance(dice, 95) ? " SIP/2.0\r\n" : "\r\n");
}

static inline void add_response(struct text *text, struct dice *dice)
{
	static const char *const odd[] = {"SIP/2.0 99",      "SIP/2.1 200 OK", "sip/2.0 200 OK",
					  "SIP/2.0 2000 OK", "SIP/2.0 000 x",  "SIP/2.0  200",
					  "SIP/2.0",         "SIP/2.0 ",       "SIP/2.0 2x0",
					  "SIP/3.0 200 OK",  "SIP/2.0 700 x",  "SIP/2.0 20"};
	char line[64];

	snprintf(line, sizeof(line), "SIP/2.0 %03d Whatever\r\n", 100 + below(dice, 600));
	add_text(text, chance(dice, 92) ? line : ONE_OF(dice, odd));
}

static inline void add_message(struct text *text, struct dice *dice)
{
	size_t room = TRACE_TEXT - text->bytes;
	int body = chance(dice, 70) ? below(dice, 60) : below(dice, 1200);

	if (chance(dice, 25))
		add_response(text, dice);
	else
		add_request(text, dice);
	add_filler(text, dice, text->bytes + ((size_t)body < room ? (size_t)body : room));
	if (chance(dice, 90))
		add_text(text, "\r\n\r\n");
}

static inline void add_random(struct text *text, struct dice *dice, int bytes)
{
	for (int i = 0; i < bytes; i++) {
		__u8 byte = (__u8)dice_throw(dice);

		add_bytes(text, &byte, 1);
	}
}

static inline void add_stun(struct text *text, struct dice *dice)
{
	static const __u8 binding[20] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42};

	add_bytes(text, binding, chance(dice, 90) ? 20 : below(dice, 20));
	if (chance(dice, 20))
		add_random(text, dice, below(dice, 40));
	if (chance(dice, 15) && text->bytes)
		text->data[below(dice, text->bytes < 8 ? (int)text->bytes : 8)] ^=
			(char)(1 << below(dice, 8));
}

static inline void add_keepalive(struct text *text, struct dice *dice)
{
	switch (below(dice, 4)) {
	case 0:
		add_random(text, dice, below(dice, 6));
		break;
	case 1:
		add_line_ends(text, dice, chance(dice, 80) ? 6 : 120);
		break;
	case 2:
		add_bytes(text, "jaK", 4);
		break;
	default:
		add_stun(text, dice);
	}
}

static inline void add_garbage(struct text *text, struct dice *dice)
{
	static const char *const odd[] = {"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
					  "HTTP/1.1 200 OK\r\n\r\n",
					  "\x16\x03\x01\x02",
					  "hello world",
					  "hello",
					  "{\"a\": 1}",
					  "INVITE",
					  "SIP/2.0",
					  "INVITE  sip:a"};

	if (chance(dice, 50))
		add_text(text, ONE_OF(dice, odd));
	else
		add_random(text, dice, below(dice, chance(dice, 90) ? 60 : 1400));
}

static inline void add_datagram(struct text *text, struct dice *dice)
{
	int kind = below(dice, 100);

	if (chance(dice, 8))
		add_line_ends(text, dice, chance(dice, 80) ? 5 : 40);
	if (kind < 76)
		add_message(text, dice);
	else if (kind < 88)
		add_keepalive(text, dice);
	else
		add_garbage(text, dice);
}

/* Takes a length of so many bytes back and writes what has come since; one in some is wrong. */
static inline void close_length(struct text *text, struct dice *dice, size_t at, size_t bytes)
{
	size_t length = text->bytes - at - bytes;

	if (chance(dice, 2))
		length += (size_t)below(dice, 5) - 2;
	if (chance(dice, 1))
		length = (size_t)dice_throw(dice);
	for (size_t i = 0; i < bytes; i++)
		text->data[at + i] = (char)(length >> (bytes - 1 - i) * 8);
}

static inline size_t open_length(struct text *text, size_t bytes)
{
	size_t at = text->bytes;

	add_bytes(text, "\0\0\0", bytes);
	return at;
}

static inline void add_number(struct text *text, int number)
{
	__u8 bytes[] = {(__u8)(number >> 8), (__u8)number};

	add_bytes(text, bytes, sizeof(bytes));
}

static inline void add_versions(struct text *text, struct dice *dice)
{
	static const int versions[] = {0x0304, 0x0303, 0x0303, 0x0302, 0x0301, 0x0300, 0x0305,
				       0x7a7a, 0xfafa, 0x7f1c, 0xfefc, 0x0200, 0x0303};
	int count = chance(dice, 90) ? 1 + below(dice, 4) : below(dice, 40);
	size_t list = open_length(text, 1);

	for (int i = 0; i < count; i++)
		add_number(text, ONE_OF(dice, versions));
	if (chance(dice, 2))
		add_bytes(text, "x", 1);
	close_length(text, dice, list, 1);
}

static inline void add_extensions(struct text *text, struct dice *dice)
{
	int count = chance(dice, 95) ? below(dice, 20) : below(dice, 80);
	int place = chance(dice, 70) && count ? below(dice, count) : -1;

	for (int i = 0; i < count; i++) {
		bool listed = i == place || chance(dice, 1);
		size_t length;

		add_number(text, listed ? 43 : below(dice, 70));
		length = open_length(text, 2);
		if (listed && chance(dice, 97))
			add_versions(text, dice);
		else
			add_random(text, dice, below(dice, chance(dice, 95) ? 20 : 600));
		close_length(text, dice, length, 2);
	}
}

/* A ClientHello, most of them good ones. */
static inline void add_client_hello(struct text *text, struct dice *dice)
{
	static const int legacy[] = {0x0303, 0x0303, 0x0303, 0x0302, 0x0301, 0x0300, 0x0304, 0x02ff};
	static const __u8 suites[] = {0x13, 1, 0xc0, 0x2f, 0, 0xff};
	size_t record, hello, part;

	add_bytes(text, chance(dice, 98) ? "\x16\3\1" : "\x17\3\1", 3);
	record = open_length(text, 2);
	add_bytes(text, chance(dice, 98) ? "\1" : "\2", 1);
	hello = open_length(text, 3);
	add_number(text, ONE_OF(dice, legacy));
	add_random(text, dice, 32);
	part = open_length(text, 1);
	add_random(text, dice, chance(dice, 97) ? 32 * below(dice, 2) : below(dice, 40));
	close_length(text, dice, part, 1);
	part = open_length(text, 2);
	add_bytes(text, suites, chance(dice, 98) ? sizeof(suites) : (size_t)below(dice, 6));
	close_length(text, dice, part, 2);
	part = open_length(text, 1);
	add_bytes(text, "\0", chance(dice, 98));
	close_length(text, dice, part, 1);
	if (chance(dice, 92)) {
		part = open_length(text, 2);
		add_extensions(text, dice);
		close_length(text, dice, part, 2);
	}
	close_length(text, dice, hello, 3);
	if (chance(dice, 5))
		add_random(text, dice, below(dice, 40)); /* another message in the record */
	close_length(text, dice, record, 2);
	if (chance(dice, 5))
		add_random(text, dice, below(dice, 40)); /* another record */
	if (chance(dice, 8))
		text->bytes = (size_t)below(dice, (int)text->bytes);
}

/* As SSL 2.0 had it. */
static inline void add_old_hello(struct text *text, struct dice *dice)
{
	static const int versions[] = {0x0303, 0x0301, 0x0300, 0x0302, 0x0304, 0x0002};
	int suites = chance(dice, 95) ? 3 * (1 + below(dice, 10)) : below(dice, 30);
	int session = chance(dice, 90) ? 0 : below(dice, 40), challenge = chance(dice, 90) ? 16 : below(dice, 40);

	add_number(text, (chance(dice, 98) ? 0x8000 : 0) +
				 (9 + suites + session + challenge + (chance(dice, 95) ? 0 : below(dice, 5))));
	add_bytes(text, chance(dice, 98) ? "\1" : "\4", 1);
	add_number(text, ONE_OF(dice, versions));
	add_number(text, suites);
	add_number(text, session);
	add_number(text, challenge);
	add_random(text, dice, suites + session + challenge);
	if (chance(dice, 15))
		text->bytes = (size_t)below(dice, (int)text->bytes);
}

/* Handshakes as no real client begins them. */
static inline void add_odd_hello(struct text *text, struct dice *dice)
{
	int kind = below(dice, 3);

	if (kind == 0) {
		add_old_hello(text, dice);
		return;
	}
	if (kind == 1)
		add_bytes(text, "\x16\3\1\0\0", 5);
	add_client_hello(text, dice);
	if (kind == 2 && text->bytes > 7)
		text->bytes = (size_t)below(dice, 8);
}

static inline void add_upgrade(struct text *text, struct dice *dice)
{
	static const char *const requests[] = {"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
					       "GET / HTTP/1.1\r\n",
					       "GET ",
					       "GET",
					       "get / HTTP/1.1\r\n",
					       "POST / HTTP/1.1\r\n",
					       "GETX / HTTP/1.1\r\n",
					       "GET\t/ HTTP/1.1\r\n"};

	if (chance(dice, 15))
		add_line_ends(text, dice, chance(dice, 80) ? 5 : 120);
	add_text(text, chance(dice, 70) ? requests[below(dice, 2)] : ONE_OF(dice, requests));
	if (chance(dice, 20))
		add_filler(text, dice, text->bytes + (size_t)below(dice, 1200));
}

/* Messages one after the other, some of them where the search for them ends. */
static inline void add_messages(struct text *text, struct dice *dice)
{
	static const char *const small[] = {"SIP/2.0 200 OK\r\n\n", "BYE sip:a\n", "\nACK a",
					    "\nREGISTER x:"};
	int count = chance(dice, 80) ? 1 + below(dice, 4) : 1 + below(dice, 60);
	bool flood = chance(dice, 8);

	if (chance(dice, 10))
		add_line_ends(text, dice, 40);
	for (int i = 0; flood && i < 300; i++)
		add_text(text, i ? "\nACK a" : "ACK sip:a");
	for (int i = 0; i < count; i++) {
		if (i && chance(dice, 8))
			add_filler(text, dice, 1516 + below(dice, 40));
		if (i && chance(dice, 50))
			add_text(text, "\n");
		if (count > 8)
			add_text(text, ONE_OF(dice, small));
		else
			add_message(text, dice);
	}
	if (chance(dice, 10))
		add_filler(text, dice, below(dice, TRACE_TEXT));
}

/* Of the kinds of port that a policy may give this one, see say_ports(). */
static inline bool is_of(int port, int kind)
{
	static const int tls[] = {5061, 443, 5125, 8443, 65535, 1}, web[] = {80, 8080, 5188};

	for (size_t i = 0; kind == SIPDAM_PORTS_TLS && i < COUNT(tls); i++)
		if (port == tls[i])
			return true;
	for (size_t i = 0; kind == SIPDAM_PORTS_WS && i < COUNT(web); i++)
		if (port == web[i])
			return true;
	return false;
}

static inline void add_segment(struct text *text, struct dice *dice, int port)
{
	int kind = below(dice, 100);

	if (is_of(port, SIPDAM_PORTS_TLS) && chance(dice, 60))
		chance(dice, 80) ? add_client_hello(text, dice) : add_odd_hello(text, dice);
	else if (is_of(port, SIPDAM_PORTS_WS) && chance(dice, 50))
		add_upgrade(text, dice);
	else if (kind < 65)
		add_messages(text, dice);
	else if (kind < 75)
		add_filler(text, dice, below(dice, TRACE_TEXT));
	else if (kind < 80)
		add_client_hello(text, dice);
	else if (kind < 85)
		add_keepalive(text, dice);
	else if (kind < 92)
		add_garbage(text, dice);
}

/* ---- frames ---- */

struct addresses {
	char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];
	char chain[40];
};

static inline int pick_port(struct dice *dice, const struct chosen_ports *ports, bool tcp)
{
	static const int any[] = {5060, 5080, 5124, 5061, 443, 5125, 80, 16384, 40000, 0};
	int count = tcp ? ports->tcps : ports->udps;

	if (!count || chance(dice, 12))
		return ONE_OF(dice, any);
	if (tcp && chance(dice, 60))
		return ports->tcp[0]; /* of clear SIP, nearly always */
	return tcp ? ports->tcp[below(dice, count)] : ports->udp[below(dice, count)];
}

/* Extension headers, 'f' among them if the recipe is a fragment. */
static inline void pick_chain(struct dice *dice, char chain[40], bool fragment)
{
	static const char letters[] = {'h', 'r', 'd', 'a', 'm'};
	int count = chance(dice, 80) ? below(dice, 3) : below(dice, 11);
	int place = fragment ? below(dice, count + 1) : -1, used = 0;

	for (int i = 0; i <= count; i++) {
		if (i == place)
			chain[used++] = 'f';
		if (i == count)
			break;
		chain[used++] = ONE_OF(dice, letters);
		if (chance(dice, 40))
			chain[used++] = (char)('0' + below(dice, 4));
	}
	chain[used] = '\0';
}

static inline void pick_addresses(struct dice *dice, bool storm, struct recipe *recipe,
				  struct addresses *addresses)
{
	recipe->family = storm && chance(dice, 90) ? 4 : pick_family(dice);
	pick_source(dice, recipe->family, addresses->source);
	pick_destination(dice, recipe->family, addresses->destination);
	if (storm && chance(dice, 95)) {
		strcpy(addresses->source, recipe->family == 6 ? "2001:db8::1" : "10.0.0.1");
		strcpy(addresses->destination, recipe->family == 6 ? "2001:db8:ffff::1" : "198.51.100.1");
	}
}

static inline void pick_fragment(struct dice *dice, bool storm, struct recipe *recipe)
{
	recipe->identification = (__u16)(1 + (storm ? 0 : below(dice, 3)));
	recipe->more = chance(dice, 70);
	if (below(dice, dice->firsts) == 0)
		recipe->more = chance(dice, 97);
	else
		recipe->offset = 8 * (chance(dice, 30) ? 1 + below(dice, 4) : 1 + below(dice, 8000));
	if (!recipe->offset && chance(dice, 80))
		recipe->datagram = 1400 + below(dice, 3000);
}

static inline void pick_tags(struct dice *dice, struct recipe *recipe)
{
	if (!chance(dice, 10))
		return;
	recipe->tags = 1 + below(dice, 5);
	recipe->tag_type = chance(dice, 50) ? 0x88a8 : chance(dice, 5) ? 0x9100 : 0;
}

static inline void pick_tcp(struct dice *dice, struct recipe *recipe)
{
	recipe->tcp_options = chance(dice, 50) ? 3 : below(dice, 11);
	recipe->flags = FLAG_PSH | FLAG_ACK;
	if (chance(dice, 8))
		recipe->flags = FLAG_SYN;
	else if (chance(dice, 5))
		recipe->flags = (__u8)(1 + below(dice, 63));
}

/* A good frame, as far as one recipe goes. */
static inline void generate_good(struct dice *dice, const struct chosen_ports *ports, struct frame *frame)
{
	static const int others[] = {1, 58, 132, 50, 59, 89, 255};
	struct addresses addresses;
	struct text text = {.bytes = 0};
	struct recipe recipe = {.source = addresses.source, .destination = addresses.destination};
	bool storm = dice->storm && chance(dice, 70), fragment = storm || chance(dice, 10);

	pick_addresses(dice, storm, &recipe, &addresses);
	recipe.protocol = chance(dice, 30) ? 6 : chance(dice, 97) ? 17 : ONE_OF(dice, others);
	recipe.port = (__u16)pick_port(dice, ports, recipe.protocol == 6);
	recipe.options = chance(dice, 10) ? below(dice, 11) : 0;
	recipe.padding = chance(dice, 20) ? below(dice, 30) : 0;
	pick_tags(dice, &recipe);
	pick_tcp(dice, &recipe);
	if (fragment)
		pick_fragment(dice, storm, &recipe);
	if (recipe.family == 6 && (fragment || chance(dice, 15))) {
		pick_chain(dice, addresses.chain, fragment || chance(dice, 10));
		recipe.chain = addresses.chain;
	}
	if (recipe.protocol == 6)
		add_segment(&text, dice, recipe.port);
	else
		add_datagram(&text, dice);
	if (fragment && chance(dice, 40))
		text.bytes = text.bytes ? (size_t)below(dice, (int)text.bytes) : 0;
	if (fragment && recipe.offset && chance(dice, storm ? 60 : 40))
		add_filler(&text, dice, (size_t)(1400 + below(dice, 1600)));
	text.data[text.bytes] = '\0';
	recipe.payload = text.bytes ? text.data : "";
	recipe.payload_bytes = (int)text.bytes;
	frame_build(frame, &recipe);
	/* Few sequence numbers: segments meet that are sent again. */
	if (recipe.protocol == 6 && frame->length >= frame->at[LAYER_TRANSPORT] + 8)
		frame->data[frame->at[LAYER_TRANSPORT] + 7] = (__u8)below(dice, 3);
}

/* ---- frames that are wrong somewhere ---- */

static inline void change_byte(struct dice *dice, struct frame *frame, size_t from, size_t bytes)
{
	__u8 *place;

	if (from >= frame->length)
		return;
	if (bytes > frame->length - from)
		bytes = frame->length - from;
	place = &frame->data[from + (size_t)below(dice, (int)bytes)];
	if (chance(dice, 50))
		*place ^= (__u8)(1 << below(dice, 8));
	else
		*place = (__u8)dice_throw(dice);
}

/* Adds a small delta to a field of 16 bits. */
static inline void change_length(struct dice *dice, struct frame *frame, size_t at)
{
	int delta = chance(dice, 80) ? below(dice, 17) - 8 : below(dice, 65536);

	if (at + 2 <= frame->length)
		put16(frame->data + at, (frame->data[at] << 8 | frame->data[at + 1]) + delta);
}

static inline void change_some_length(struct dice *dice, struct frame *frame)
{
	size_t ip = frame->at[LAYER_IP], transport = frame->at[LAYER_TRANSPORT];

	switch (below(dice, 5)) {
	case 0:
		change_length(dice, frame, ip + 2); /* IPv4 total length */
		break;
	case 1:
		change_length(dice, frame, ip + 4); /* IPv6 payload length */
		break;
	case 2:
		change_length(dice, frame, transport + 4); /* UDP */
		break;
	case 3:
		frame->data[ip] = (__u8)((frame->data[ip] & 0xf0) | below(dice, 16)); /* IPv4 header */
		break;
	default:
		frame->data[transport + 12] = (__u8)(below(dice, 16) << 4); /* TCP header */
	}
}

static inline void cut_frame(struct dice *dice, struct frame *frame)
{
	size_t least = chance(dice, 50) ? frame->at[LAYER_IP] : 14;
	size_t most = chance(dice, 50) ? frame->length : frame->at[LAYER_PAYLOAD] + 12;

	if (most > frame->length)
		most = frame->length;
	if (most > least)
		frame->length = least + (size_t)below(dice, (int)(most - least));
}

static inline void mutate(struct dice *dice, struct frame *frame)
{
	int kind = below(dice, 100);

	if (kind < 25)
		change_some_length(dice, frame);
	else if (kind < 35)
		cut_frame(dice, frame);
	else if (kind < 40)
		memset(frame_add(frame, 60), below(dice, 256), 60);
	else if (kind < 60)
		change_byte(dice, frame, frame->at[LAYER_PAYLOAD], 24);
	else if (kind < 90)
		change_byte(dice, frame, 12, frame->at[LAYER_PAYLOAD] - 12);
	else
		change_byte(dice, frame, 0, frame->length);
}

static inline void generate_frame(struct dice *dice, const struct chosen_ports *ports, struct frame *frame)
{
	generate_good(dice, ports, frame);
	if (!chance(dice, 18))
		return;
	for (int changes = chance(dice, 70) ? 1 : 1 + below(dice, 4); changes; changes--)
		mutate(dice, frame);
}

/* ---- time ---- */

/* A few intervals of the pace, half of them to the tick and the others one beside it, in nanoseconds. */
static inline __u64 generate_beat(struct dice *dice)
{
	__u64 interval = SIPDAM_TICKS_PER_SECOND * SIPDAM_RATE_UNIT / paces[dice->beat].millionths;
	__u64 ticks = interval * (__u64)(1 + below(dice, 3)) + (__u64)below(dice, 4) / 2;

	return (ticks - (__u64)below(dice, 2)) << SIPDAM_TICK_SHIFT;
}

/* Nanoseconds to the next packet: none, a little, seconds, seldom hours. */
static inline __u64 generate_step(struct dice *dice)
{
	int kind = below(dice, 1000);
	__u64 fraction = dice_throw(dice) % 1000000;

	if (chance(dice, dice->still))
		return 0;
	if (dice->beat && kind < 900)
		return generate_beat(dice);
	if (kind < 400)
		return fraction;
	if (kind < 900)
		return fraction * 100; /* to 100 ms */
	if (kind < 998)
		return fraction * 3000; /* to 3 s */
	if (kind < 999)
		return 5000000000ULL; /* the life of a fragment to the nanosecond */
	return fraction * 10000000;   /* to 2.8 hours */
}

/* Some time; some traces begin seconds before the 44 bits of a source's time turn. */
static inline __u64 generate_start(struct dice *dice)
{
	__u64 turn = 1ULL << (SIPDAM_TAT_BITS + SIPDAM_TICK_SHIFT);

	if (chance(dice, 10))
		return turn * (1 + (__u64)below(dice, 9)) - dice_throw(dice) % 20000000000ULL;
	return dice_throw(dice) >> (4 + below(dice, 16));
}

/* A frame of which a capture holds the first bytes. */
static inline void capture_cut(struct dice *dice, struct generated *packet, const struct frame *frame)
{
	__u32 held = packet->length;

	if (chance(dice, 50))
		held = 14 + (__u32)below(dice, (int)packet->length - 13);
	else if (frame->at[LAYER_PAYLOAD] + 20 < packet->length)
		held = (__u32)frame->at[LAYER_PAYLOAD] + (__u32)below(dice, 20);
	if (held == packet->length)
		return;
	packet->wire_length = packet->length;
	packet->length = held;
}

static inline void generate_packet(struct dice *dice, const struct chosen_ports *ports, struct frame *frame,
				   struct generated *packet)
{
	generate_frame(dice, ports, frame);
	if (frame->length > TRACE_FRAME)
		frame->length = TRACE_FRAME;
	packet->length = (__u32)frame->length;
	if (chance(dice, 3))
		capture_cut(dice, packet, frame);
	packet->data = malloc(packet->length);
	memcpy(packet->data, frame->data, packet->length);
}

/*
 * The third segment of a connection that the server has just answered, with the number that it was sent. Few
 * connections, so that they meet again.
 */
static inline void generate_connection(struct dice *dice, const struct chosen_ports *ports,
				       struct frame *frame, struct generated *packet)
{
	struct addresses addresses;
	struct recipe recipe = {.source = addresses.source,
				.destination = addresses.destination,
				.protocol = 6,
				.flags = FLAG_ACK,
				.payload = ""};
	__u8 *tcp;

	recipe.family = pick_family(dice);
	pick_source(dice, recipe.family, addresses.source);
	pick_destination(dice, recipe.family, addresses.destination);
	recipe.port = (__u16)pick_port(dice, ports, true);
	frame_build(frame, &recipe);
	tcp = frame->data + frame->at[LAYER_TRANSPORT];
	put16(tcp, 40000 + below(dice, 4));
	for (int at = 4; at < 12; at += 2)
		put16(tcp + at, below(dice, 65536));
	packet->answered = true;
	packet->length = (__u32)frame->length;
	packet->data = malloc(packet->length);
	memcpy(packet->data, frame->data, packet->length);
}

/* The server ends a connection that it has answered, the last one or one before. False where there is none. */
static inline bool generate_end(struct dice *dice, struct trace *trace, int number)
{
	struct generated *packet = &trace->packet[number];
	int before = number - 1;

	for (int skip = below(dice, 3); before >= 0; before--)
		if (trace->packet[before].answered && !skip--)
			break;
	if (before < 0)
		return false;
	packet->ended = true;
	packet->length = trace->packet[before].length;
	packet->data = malloc(packet->length);
	memcpy(packet->data, trace->packet[before].data, packet->length);
	return true;
}

/* Once in a while somebody is banned by hand, or pardoned. */
static inline void generate_ban(struct dice *dice, struct generated *packet)
{
	packet->by_hand[0] = 0;
	if (below(dice, 600))
		return;
	pick_source(dice, pick_family(dice), packet->by_hand);
	packet->ban = chance(dice, 80) ? 1 + dice_throw(dice) % (10 * 1000000000ULL) : 0;
}

/* And once in a while somebody becomes known: half of them with devices, of which their limits tell. */
static inline void generate_known(struct dice *dice, struct generated *packet)
{
	packet->known[0] = 0;
	if (below(dice, 150))
		return;
	pick_source(dice, pick_family(dice), packet->known);
	packet->trusted = chance(dice, 60);
	packet->devices = chance(dice, 50) ? 1 : 2 + below(dice, 20);
	packet->lasting = 1 + dice_throw(dice) % (20 * 1000000000ULL);
}

/*
 * Sends a packet before it again, mostly as late as the timers of RFC 3261 and of a policy say, or a
 * nanosecond or a unit beside it. Returns its time.
 */
static inline __u64 generate_copy(struct dice *dice, struct trace *trace, int number, __u64 now)
{
	static const __u64 after[] = {500000000ULL,  1500000000ULL,  3500000000ULL,  200000000ULL,
				      1000000000ULL, 3000000000ULL,  31500000000ULL, 32000000000ULL,
				      2000000000ULL, 4000000000ULL,  8000000000ULL,  500000000ULL,
				      400000000ULL,  651000000ULL,   1301000000ULL,  1000000000ULL};
	const struct generated *first = &trace->packet[number - 1 - below(dice, number < 20 ? number : 20)];
	struct generated *copy = &trace->packet[number];
	__u64 unit = 1ULL << 23, due = first->now + ONE_OF(dice, after) - (__u64)below(dice, 3) * unit / 2;

	*copy = *first;
	copy->data = malloc(copy->length);
	memcpy(copy->data, first->data, copy->length);
	if (copy->length > TRACE_LONG && chance(dice, 15)) /* and then it is none */
		copy->data[copy->length - 1 - below(dice, 20)] ^= 1;
	if (chance(dice, 70) && due > now && due - now < 1000000000ULL * (chance(dice, 90) ? 2 : 40))
		now = due + (__u64)below(dice, 3) - 1;
	copy->now = now;
	copy->by_hand[0] = copy->known[0] = 0;
	copy->answered = copy->ended = false;
	return now;
}

/* Fills a trace that trace_free has emptied, or that is zero. */
static inline void generate_trace(struct trace *trace, __u64 seed, struct frame *frame)
{
	struct dice dice = {.state = seed * 0x2545f4914f6cdd1dULL};
	static const char *const forget[] = {"2h", "5m", "37m"};
	__u64 now;

	trace->seed = seed;
	dice.forget = ONE_OF(&dice, forget);
	dice.firsts = chance(&dice, 70) ? 4 : 80;
	dice.still = 30 + below(&dice, 60);
	dice.storm = chance(&dice, 8);
	if (dice.storm) {
		dice.firsts = 80;
		dice.still = 98;
	}
	if (chance(&dice, 15))
		dice.beat = 1 + below(&dice, COUNT(paces) - 1);
	if (!dice.storm && chance(&dice, 60))
		dice.copies = 20 + below(&dice, 50);
	trace->second_from = chance(&dice, 30) ? below(&dice, TRACE_PACKETS) : TRACE_PACKETS;
	for (int i = 0; i < 2; i++)
		generate_policy(&trace->policy[i], &dice);
	now = generate_start(&dice);
	for (int i = 0; i < TRACE_PACKETS; i++) {
		now += generate_step(&dice);
		if (i && chance(&dice, dice.copies)) {
			now = generate_copy(&dice, trace, i, now);
			continue;
		}
		trace->packet[i].now = now;
		/* They end before the keys of sources may change: a connection is counted for one source. */
		if (chance(&dice, 2))
			generate_connection(&dice, &trace->policy[i >= trace->second_from].ports, frame,
					    &trace->packet[i]);
		else if (i >= trace->second_from || !chance(&dice, 1) || !generate_end(&dice, trace, i))
			generate_packet(&dice, &trace->policy[i >= trace->second_from].ports, frame,
					&trace->packet[i]);
		generate_ban(&dice, &trace->packet[i]);
		generate_known(&dice, &trace->packet[i]);
	}
}

static inline void trace_free(struct trace *trace)
{
	for (int i = 0; i < TRACE_PACKETS; i++)
		free(trace->packet[i].data);
	memset(trace, 0, sizeof(*trace));
}

#endif
