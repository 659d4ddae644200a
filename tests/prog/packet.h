/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Frames from recipes: a recipe of zeros is a good packet (Ethernet, IPv4, UDP to port 5060, an empty
 * payload), each field that is named makes it another good packet, and one change makes it a bad one.
 * Checksums stay 0: the filter does not look at them.
 */
#ifndef PROG_PACKET_H
#define PROG_PACKET_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <linux/types.h>

#define FRAME_BYTES_MAX 16384

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

#define SOURCE         "192.0.2.1"
#define DESTINATION    "198.51.100.1"
#define SOURCE6        "2001:db8:1::1"
#define DESTINATION6   "2001:db8:ffff::1"
#define SIP_PORT       5060
#define TLS_PORT       5061
#define IDENTIFICATION 0x1234
#define INVITE_TEXT    "INVITE sip:alice@example.org SIP/2.0\r\n\r\n"
#define ACK_TEXT       "ACK sip:alice@example.org SIP/2.0\r\n\r\n"

#define FLAG_FIN 0x01
#define FLAG_SYN 0x02
#define FLAG_RST 0x04
#define FLAG_PSH 0x08
#define FLAG_ACK 0x10

enum layer {
	LAYER_NONE = 0,
	LAYER_ETHERNET,
	LAYER_TAG, /* the first VLAN tag */
	LAYER_IP,
	LAYER_EXTENSION, /* the first extension header */
	LAYER_TRANSPORT,
	LAYER_PAYLOAD,
	LAYERS,
};

/* One field that lies: big-endian, at an offset in a layer; `by` changes it, otherwise it is set. */
struct change {
	enum layer layer;
	__u16 offset;
	__u8 bytes;
	bool by;
	int value;
};

#define IP_FIRST_BYTE(value)                                                                                 \
	{                                                                                                    \
		LAYER_IP, 0, 1, false, value                                                                 \
	}
#define IP_LENGTH(value)                                                                                     \
	{                                                                                                    \
		LAYER_IP, 2, 2, false, value                                                                 \
	}
#define IP_LENGTH_BY(value)                                                                                  \
	{                                                                                                    \
		LAYER_IP, 2, 2, true, value                                                                  \
	}
#define IP6_LENGTH(value)                                                                                    \
	{                                                                                                    \
		LAYER_IP, 4, 2, false, value                                                                 \
	}
#define IP6_LENGTH_BY(value)                                                                                 \
	{                                                                                                    \
		LAYER_IP, 4, 2, true, value                                                                  \
	}
#define EXTENSION_LENGTH(value)                                                                              \
	{                                                                                                    \
		LAYER_EXTENSION, 1, 1, false, value                                                          \
	}
#define UDP_LENGTH(value)                                                                                    \
	{                                                                                                    \
		LAYER_TRANSPORT, 4, 2, false, value                                                          \
	}
#define UDP_LENGTH_BY(value)                                                                                 \
	{                                                                                                    \
		LAYER_TRANSPORT, 4, 2, true, value                                                           \
	}
#define TCP_WORDS(value)                                                                                     \
	{                                                                                                    \
		LAYER_TRANSPORT, 12, 1, false, (value) << 4                                                  \
	}
#define PAYLOAD_BYTE(offset, value)                                                                          \
	{                                                                                                    \
		LAYER_PAYLOAD, offset, 1, false, value                                                       \
	}

struct recipe {
	int tags;           /* VLAN tags, 0x8100 */
	__u16 tag_type;     /* another type of the outer tags; the last one stays 0x8100 */
	__u16 ethertype;    /* of what follows the tags, if it is to lie about it */
	int family;         /* 6, else IPv4 */
	const char *source; /* NULL: as above */
	const char *destination;
	int options;       /* words of four bytes in the IPv4 header */
	const char *chain; /* IPv6 extension headers, one letter each (see chain_kind) and its length field */
	__u16 identification; /* of a fragment, 0: as above */
	int offset;           /* of a fragment, bytes; not 0: no transport header is written */
	bool more;            /* more fragments */
	int protocol;         /* 0: UDP; none but UDP and TCP has a header written */
	__u16 port;           /* destination, 0: 5060 */
	__u8 flags;           /* TCP, 0: PSH and ACK */
	int tcp_options;      /* words of four bytes in the TCP header */
	const char *payload;
	int payload_bytes; /* 0: to the payload's NUL */
	int fill;          /* the payload goes on with 'x' to this size */
	int datagram;      /* payload of the whole datagram in the UDP header; 0: what is here */
	int padding;       /* bytes after the IP packet */
	int keep;          /* bytes left of the frame, 0: all */
	struct change change;
};

struct frame {
	size_t length;
	size_t at[LAYERS]; /* where each layer begins */
	__u8 data[FRAME_BYTES_MAX];
};

static inline __u8 *frame_add(struct frame *frame, size_t bytes)
{
	__u8 *place = frame->data + frame->length;

	if (frame->length + bytes > FRAME_BYTES_MAX)
		abort();
	memset(place, 0, bytes);
	frame->length += bytes;
	return place;
}

static inline void put16(__u8 *place, int value)
{
	place[0] = (__u8)(value >> 8);
	place[1] = (__u8)value;
}

static inline int recipe_protocol(const struct recipe *recipe)
{
	return recipe->protocol ? recipe->protocol : IPPROTO_UDP;
}

static inline void add_ethernet(struct frame *frame, const struct recipe *recipe)
{
	int type = recipe->ethertype ? recipe->ethertype : recipe->family == 6 ? 0x86dd : 0x0800;
	__u8 *place = frame_add(frame, 12);

	memset(place, 0x02, 12);
	for (int tag = 0; tag < recipe->tags; tag++) {
		frame->at[LAYER_TAG] = frame->at[LAYER_TAG] ? frame->at[LAYER_TAG] : frame->length;
		place = frame_add(frame, 4);
		put16(place, recipe->tag_type && tag < recipe->tags - 1 ? recipe->tag_type : 0x8100);
		put16(place + 2, 100 + tag);
	}
	put16(frame_add(frame, 2), type);
}

static inline void add_ipv4(struct frame *frame, const struct recipe *recipe)
{
	__u8 *ip = frame_add(frame, 20 + recipe->options * 4);

	ip[0] = (__u8)(0x45 + recipe->options);
	put16(ip + 4, recipe->identification ? recipe->identification : IDENTIFICATION);
	put16(ip + 6, recipe->offset / 8 | (recipe->more ? 0x2000 : 0));
	ip[8] = 64;
	ip[9] = (__u8)recipe_protocol(recipe);
	inet_pton(AF_INET, recipe->source ? recipe->source : SOURCE, ip + 12);
	inet_pton(AF_INET, recipe->destination ? recipe->destination : DESTINATION, ip + 16);
	memset(ip + 20, 0x01, recipe->options * 4); /* no operation */
}

/* Number of an extension header. */
static inline int chain_kind(char letter)
{
	switch (letter) {
	case 'h':
		return 0; /* hop-by-hop */
	case 'r':
		return 43; /* routing */
	case 'f':
		return 44; /* fragment */
	case 'a':
		return 51; /* authentication */
	case 'd':
		return 60; /* destination options */
	case 'm':
		return 135; /* mobility */
	}
	abort();
}

/* The next letter of a chain, or what ends it. */
static inline int chain_next(const char *chain, int protocol)
{
	return *chain ? chain_kind(*chain) : protocol;
}

/* "h" is a header of the least size; "h3" one with 3 in its length field. */
static inline void add_chain(struct frame *frame, const struct recipe *recipe)
{
	const char *chain = recipe->chain ? recipe->chain : "";

	frame->at[LAYER_EXTENSION] = frame->length;
	while (*chain) {
		char letter = *chain++;
		long units =
			*chain >= '0' && *chain <= '9' ? strtol(chain, (char **)&chain, 10) : letter == 'a';
		__u8 *place = frame_add(frame, letter == 'a' ? (units + 2) * 4 : (units + 1) * 8);

		place[0] = (__u8)chain_next(chain, recipe_protocol(recipe));
		place[1] = (__u8)units;
		if (letter == 'f') {
			put16(place + 2, recipe->offset | recipe->more);
			put16(place + 6, recipe->identification ? recipe->identification : IDENTIFICATION);
		}
	}
}

static inline void add_ipv6(struct frame *frame, const struct recipe *recipe)
{
	__u8 *ip = frame_add(frame, 40);

	ip[0] = 0x60;
	ip[6] = (__u8)chain_next(recipe->chain ? recipe->chain : "", recipe_protocol(recipe));
	ip[7] = 64;
	inet_pton(AF_INET6, recipe->source ? recipe->source : SOURCE6, ip + 8);
	inet_pton(AF_INET6, recipe->destination ? recipe->destination : DESTINATION6, ip + 24);
	add_chain(frame, recipe);
}

static inline int recipe_payload_bytes(const struct recipe *recipe)
{
	int bytes = recipe->payload_bytes ? recipe->payload_bytes
		    : recipe->payload     ? (int)strlen(recipe->payload)
					  : 0;

	return bytes < recipe->fill ? recipe->fill : bytes;
}

static inline void add_udp(struct frame *frame, const struct recipe *recipe)
{
	__u8 *udp = frame_add(frame, 8);
	int payload = recipe->datagram ? recipe->datagram : recipe_payload_bytes(recipe);

	put16(udp, 40000);
	put16(udp + 2, recipe->port ? recipe->port : SIP_PORT);
	put16(udp + 4, 8 + payload);
}

static inline void add_tcp(struct frame *frame, const struct recipe *recipe)
{
	__u8 *tcp = frame_add(frame, 20 + recipe->tcp_options * 4);

	put16(tcp, 40000);
	put16(tcp + 2, recipe->port ? recipe->port : SIP_PORT);
	tcp[12] = (__u8)((5 + recipe->tcp_options) << 4);
	tcp[13] = recipe->flags ? recipe->flags : FLAG_PSH | FLAG_ACK;
	memset(tcp + 20, 0x01, recipe->tcp_options * 4); /* no operation */
}

static inline void add_payload(struct frame *frame, const struct recipe *recipe)
{
	int bytes = recipe_payload_bytes(recipe);
	int given = recipe->payload_bytes ? recipe->payload_bytes
		    : recipe->payload     ? (int)strlen(recipe->payload)
					  : 0;
	__u8 *place = frame_add(frame, bytes);

	memset(place, 'x', bytes);
	if (given)
		memcpy(place, recipe->payload, given);
}

/* The lengths that are known only at the end. */
static inline void set_ip_length(struct frame *frame, const struct recipe *recipe)
{
	__u8 *ip = frame->data + frame->at[LAYER_IP];
	int bytes = (int)(frame->length - frame->at[LAYER_IP]);

	if (recipe->family == 6)
		put16(ip + 4, bytes - 40);
	else
		put16(ip + 2, bytes);
}

static inline void apply_change(struct frame *frame, const struct change *change)
{
	__u8 *place = frame->data + frame->at[change->layer] + change->offset;
	int value = change->value;

	if (!change->layer)
		return;
	if (change->bytes == 1) {
		*place = (__u8)(change->by ? *place + value : value);
		return;
	}
	if (change->by)
		value += place[0] << 8 | place[1];
	put16(place, value);
}

static inline void frame_build(struct frame *frame, const struct recipe *recipe)
{
	memset(frame->at, 0, sizeof(frame->at));
	frame->length = 0;
	add_ethernet(frame, recipe);
	frame->at[LAYER_IP] = frame->length;
	if (recipe->family == 6)
		add_ipv6(frame, recipe);
	else
		add_ipv4(frame, recipe);
	frame->at[LAYER_TRANSPORT] = frame->length;
	if (!recipe->offset && recipe_protocol(recipe) == IPPROTO_UDP)
		add_udp(frame, recipe);
	if (!recipe->offset && recipe_protocol(recipe) == IPPROTO_TCP)
		add_tcp(frame, recipe);
	frame->at[LAYER_PAYLOAD] = frame->length;
	add_payload(frame, recipe);
	set_ip_length(frame, recipe);
	memset(frame_add(frame, recipe->padding), 0xee, recipe->padding);
	apply_change(frame, &recipe->change);
	if (recipe->keep)
		frame->length = recipe->keep;
}

#endif
