/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From the first byte of a frame to the payload: Ethernet, VLAN tags, IPv4 with options, IPv6 with
 * extension headers, fragments, UDP and TCP. Pure: a cursor and the policy's ports in, a struct packet
 * and a reason out. Step 1 of the design but for the protected addresses, which need a list.
 */
#ifndef PACKET_H
#define PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/if_ether.h>
#include <linux/in.h>

#include "cursor.h"
#include "sipdam/policy.h"
#include "sipdam/reason.h"

#define VLAN_TAGS_MAX  4
#define VLAN_TAG_BYTES 4

#define IPV4_HEADER_BYTES   20
#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV4_OFFSET_MASK    0x1fff

/* RFC 8200 section 4. A longer chain has no use but to hide what comes after it. */
#define IPV6_HEADER_BYTES   40
#define IPV6_EXTENSIONS_MAX 8
#define IPV6_FRAGMENT_BYTES 8
#define IPV6_OFFSET_MASK    0xfff8
#define IPV6_MORE_FRAGMENTS 0x1
#define NEXT_HOP_BY_HOP     0
#define NEXT_ROUTING        43
#define NEXT_FRAGMENT       44
#define NEXT_AUTHENTICATION 51
#define NEXT_DESTINATION    60
#define NEXT_MOBILITY       135
#define NEXT_HIP            139
#define NEXT_SHIM6          140

/* Which of its two ports tells whether a packet is for us, or of us; the other one is of who is elsewhere. */
#ifdef FRAME_LEAVES
#define PORT_HERE 0
#else
#define PORT_HERE 1
#endif
#define PORTS_BYTES      4
#define UDP_HEADER_BYTES 8
#define TCP_HEADER_BYTES 20
#define TCP_FIN          0x01
#define TCP_SYN          0x02
#define TCP_RST          0x04
#define TCP_ACK          0x10

enum packet_fragment {
	FRAGMENT_NONE = 0,
	FRAGMENT_FIRST = 1,
	FRAGMENT_FOLLOWER = 2,
};

/* Addresses as two words in network byte order, IPv4 as ::ffff:a.b.c.d. */
struct packet_address {
	__u64 high;
	__u64 low;
};

struct packet {
	struct packet_address source;
	struct packet_address destination;
	__u32 present;          /* bytes that can be read; the first buffer's until more are asked for */
	__u32 length;           /* bytes on the wire, likewise */
	__u32 identification;   /* of a fragmented datagram, as on the wire */
	__u32 transport_offset; /* where the fragmentable part or the UDP or TCP header begins */
	__u32 end;              /* where the IP packet says it ends */
	__u32 payload_offset;
	__u32 payload_length;   /* of this packet, not of the datagram */
	__u16 port;             /* ours, which is the destination of what arrives; host byte order */
	__u8 family;            /* 4, 6; 0: addresses not known */
	__u8 protocol;          /* UDP, TCP; of an IPv6 follower what its fragment header says comes next */
	__u8 fragment_protocol; /* the same in every fragment of a datagram: part of its key */
	__u8 fragment;          /* enum packet_fragment */
	__u8 cut;               /* 1: a first fragment too short to show what it is */
	__u8 lies;              /* 1: a length in a header before the ports is impossible */
	__u8 tcp_flags;
	__u8 port_kind;     /* enum sipdam_port_kind */
	__u8 payload_whole; /* 0: the message goes on in other fragments */
};

/* Four bytes of ::ffff:0:0/96 before an IPv4 address, in memory order. */
#define MAPPED_PREFIX __builtin_bswap64(0x0000ffff00000000ULL)

static __always_inline struct packet_address address_of_ipv4(__be32 address)
{
	return (struct packet_address){.high = 0, .low = MAPPED_PREFIX | (__u64)address << 32};
}

static __always_inline bool is_mapped(const struct packet_address *address)
{
	return !address->high && (address->low & 0xffffffff) == (MAPPED_PREFIX & 0xffffffff);
}

/* A load that failed decides only where the capture is to blame; else what the caller says. */
static __always_inline int reason_of_load(int error, int otherwise)
{
	return error == CURSOR_TRUNCATED ? SIPDAM_REASON_TRUNCATED : otherwise;
}

/*
 * Has the frame bytes up to `end`? Only where the first buffer ends before is the kernel asked for the
 * length of all: the question costs as much as the rest of this file.
 */
static __always_inline bool packet_reaches(frame_t *frame, struct packet *packet, __u32 end)
{
#ifdef __bpf__
	if (end > packet->length) {
		packet->present = frame_bytes(frame);
		if (packet->present > packet->length)
			packet->length = packet->present;
	}
#else
	(void)frame;
#endif
	return end <= packet->length;
}

static __always_inline bool is_vlan(__be16 type)
{
	return type == __builtin_bswap16(ETH_P_8021Q) || type == __builtin_bswap16(ETH_P_8021AD);
}

/* Skips Ethernet and up to four tags of either kind; more are not SIP to anybody. */
static __always_inline int packet_ethernet(const struct cursor *cursor, __u32 *offset, __be16 *type)
{
	int error = cursor_load(cursor, ETH_HLEN - 2, type, 2);

	*offset = ETH_HLEN;
#pragma unroll
	for (int tag = 0; tag < VLAN_TAGS_MAX; tag++) {
		if (error || !is_vlan(*type))
			break;
		error = cursor_load(cursor, *offset + 2, type, 2);
		*offset += VLAN_TAG_BYTES;
	}
	return error ? reason_of_load(error, SIPDAM_REASON_NOT_SIP) : SIPDAM_REASON_NONE;
}

static __always_inline bool is_transport(__u8 protocol)
{
	return protocol == IPPROTO_UDP || protocol == IPPROTO_TCP;
}

struct ipv4_header {
	__u8 version_length; /* version:4 | length in words:4 */
	__u8 service;
	__be16 total_length;
	__be16 identification;
	__be16 fragment;
	__u8 hops;
	__u8 protocol;
	__be16 checksum;
	__be32 source;
	__be32 destination;
};

static __always_inline int packet_ipv4(frame_t *frame, const struct cursor *cursor, __u32 offset,
				       struct packet *packet)
{
	struct ipv4_header ip;
	__u32 header, total, fragment;
	int error = cursor_load(cursor, offset, &ip, IPV4_HEADER_BYTES);

	if (error)
		return reason_of_load(error, SIPDAM_REASON_NOT_SIP);
	if (ip.version_length >> 4 != 4)
		return SIPDAM_REASON_NOT_SIP;
	header = (ip.version_length & 0xf) * 4;
	total = __builtin_bswap16(ip.total_length);
	fragment = __builtin_bswap16(ip.fragment);
	packet->family = 4;
	packet->source = address_of_ipv4(ip.source);
	packet->destination = address_of_ipv4(ip.destination);
	packet->lies = header < IPV4_HEADER_BYTES || total < header ||
		       !packet_reaches(frame, packet, offset + total);
	if (!is_transport(ip.protocol))
		return SIPDAM_REASON_NOT_SIP;
	packet->protocol = ip.protocol;
	/* The ports are looked for even so: what lies is dropped only on a port that is ours. */
	if (header < IPV4_HEADER_BYTES)
		header = IPV4_HEADER_BYTES;
	packet->transport_offset = offset + header;
	packet->end = offset + total;
	packet->identification = ip.identification;
	packet->fragment_protocol = ip.protocol;
	if (fragment & IPV4_OFFSET_MASK)
		packet->fragment = FRAGMENT_FOLLOWER;
	else if (fragment & IPV4_MORE_FRAGMENTS)
		packet->fragment = FRAGMENT_FIRST;
	return SIPDAM_REASON_NONE;
}

static __always_inline bool is_extension(__u8 next)
{
	switch (next) {
	case NEXT_HOP_BY_HOP:
	case NEXT_ROUTING:
	case NEXT_FRAGMENT:
	case NEXT_AUTHENTICATION:
	case NEXT_DESTINATION:
	case NEXT_MOBILITY:
	case NEXT_HIP:
	case NEXT_SHIM6:
		return true;
	}
	return false;
}

static __always_inline __u32 extension_bytes(__u8 kind, __u8 length)
{
	if (kind == NEXT_FRAGMENT)
		return IPV6_FRAGMENT_BYTES;
	/* RFC 4302 section 2.2: the authentication header counts in words of four bytes, less two. */
	return kind == NEXT_AUTHENTICATION ? (length + 2) * 4 : (length + 1) * 8;
}

struct ipv6_extension {
	__u8 next;
	__u8 length;
	__be16 fragment; /* of a fragment header, as the next field */
	__be32 identification;
};

/*
 * Follows the chain from packet->protocol at packet->transport_offset to UDP or TCP, or to a fragment that is
 * not the first. A chain that is longer than eight headers, or that the packet's end cuts off, is malformed;
 * in a first fragment the latter is merely cut. A function of its own so that the kernel verifies its
 * loop apart.
 */
__noinline int packet_extensions(frame_t *frame, struct packet *packet)
{
	struct ipv6_extension header;
	struct cursor cursor;
	__u8 next;
	int error;

	if (!packet)
		return SIPDAM_REASON_NOT_SIP;
	next = packet->protocol;
	cursor = cursor_open(frame, packet->present, packet->length);
	for (int i = 0; i <= IPV6_EXTENSIONS_MAX; i++) {
		packet->protocol = next;
		if (is_transport(next))
			return SIPDAM_REASON_NONE;
		if (!is_extension(next))
			return SIPDAM_REASON_NOT_SIP;
		if (i == IPV6_EXTENSIONS_MAX)
			return SIPDAM_REASON_MALFORMED;
		error = cursor_load(&cursor, packet->transport_offset, &header, sizeof(header));
		if (error == CURSOR_TRUNCATED)
			return SIPDAM_REASON_TRUNCATED;
		if (error || packet->transport_offset + sizeof(header) > packet->end) {
			packet->cut = packet->fragment == FRAGMENT_FIRST;
			return packet->cut ? SIPDAM_REASON_NONE : SIPDAM_REASON_MALFORMED;
		}
		packet->transport_offset += extension_bytes(next, header.length);
		if (next == NEXT_FRAGMENT) {
			__u32 fragment = __builtin_bswap16(header.fragment);

			packet->identification = header.identification;
			packet->protocol = packet->fragment_protocol = header.next;
			if (fragment & IPV6_OFFSET_MASK) {
				packet->fragment = FRAGMENT_FOLLOWER;
				return is_transport(header.next) || is_extension(header.next)
					       ? SIPDAM_REASON_NONE
					       : SIPDAM_REASON_NOT_SIP;
			}
			if (fragment & IPV6_MORE_FRAGMENTS)
				packet->fragment = FRAGMENT_FIRST;
		}
		next = header.next;
	}
	return SIPDAM_REASON_MALFORMED;
}

struct ipv6_header {
	__u8 version_class; /* version:4 | traffic class:4 */
	__u8 flow[3];
	__be16 payload_length;
	__u8 next;
	__u8 hops;
	struct packet_address source;
	struct packet_address destination;
} __attribute__((packed));

static __always_inline int packet_ipv6(frame_t *frame, const struct cursor *cursor, __u32 offset,
				       struct packet *packet)
{
	struct ipv6_header ip;
	int error = cursor_load(cursor, offset, &ip, IPV6_HEADER_BYTES);

	if (error)
		return reason_of_load(error, SIPDAM_REASON_NOT_SIP);
	if (ip.version_class >> 4 != 6)
		return SIPDAM_REASON_NOT_SIP;
	packet->family = 6;
	packet->source = ip.source;
	packet->destination = ip.destination;
	packet->transport_offset = offset + IPV6_HEADER_BYTES;
	packet->end = packet->transport_offset + __builtin_bswap16(ip.payload_length);
	/* A mapped source never comes from a host (RFC 4291 2.5.5.2); here it would pass for an IPv4 one. */
	packet->lies = !packet_reaches(frame, packet, packet->end) || is_mapped(&packet->source);
	packet->protocol = ip.next;
	return is_transport(ip.next) ? SIPDAM_REASON_NONE : packet_extensions(frame, packet);
}

/* Could this be a protected port? Most packets are sent on their way by this one test. */
static __always_inline bool port_hinted(const struct sipdam_policy *policy, __u8 protocol, __u16 port)
{
	__u64 hint = policy->ports[SIPDAM_PORTS_UDP].hint;

	if (protocol == IPPROTO_TCP)
		hint = policy->ports[SIPDAM_PORTS_TCP].hint | policy->ports[SIPDAM_PORTS_TLS].hint |
		       policy->ports[SIPDAM_PORTS_WS].hint | policy->ports[SIPDAM_PORTS_WSS].hint;
	return hint >> (port & 63) & 1;
}

/* Which kind of protected port this is, or -1. A function of its own: its exits would multiply. */
__noinline int port_search(const struct sipdam_policy *policy, __u32 protocol, __u32 port)
{
	if (!policy || !port)
		return -1;
	for (int kind = 0; kind < SIPDAM_PORT_KINDS; kind++) {
		if ((kind == SIPDAM_PORTS_UDP) != (protocol == IPPROTO_UDP))
			continue;
		for (int i = 0; i < SIPDAM_PORTS_PER_KIND; i++)
			if (policy->ports[kind].port[i] == port)
				return kind;
	}
	return -1;
}

/* The first port of a kind is nearly always the one: it is found without a call. */
static __always_inline int port_kind(const struct sipdam_policy *policy, __u8 protocol, __u16 port)
{
	int first = protocol == IPPROTO_UDP ? SIPDAM_PORTS_UDP : SIPDAM_PORTS_TCP;

	if (port && policy->ports[first].port[0] == port)
		return first;
	if (port && protocol == IPPROTO_TCP && policy->ports[SIPDAM_PORTS_TLS].port[0] == port)
		return SIPDAM_PORTS_TLS;
	return port_search(policy, protocol, port);
}

static __always_inline int packet_udp(const struct cursor *cursor, struct packet *packet)
{
	__u32 room = packet->end - packet->transport_offset;
	__be16 field;
	__u32 length;
	int error = cursor_load(cursor, packet->transport_offset + PORTS_BYTES, &field, sizeof(field));

	if (error == CURSOR_TRUNCATED)
		return SIPDAM_REASON_TRUNCATED;
	if (error || room < UDP_HEADER_BYTES) {
		packet->cut = packet->fragment == FRAGMENT_FIRST;
		return packet->cut ? SIPDAM_REASON_NONE : SIPDAM_REASON_MALFORMED;
	}
	length = __builtin_bswap16(field);
	if (length < UDP_HEADER_BYTES || (length > room && packet->fragment == FRAGMENT_NONE))
		return SIPDAM_REASON_MALFORMED;
	packet->payload_whole = length <= room;
	packet->payload_offset = packet->transport_offset + UDP_HEADER_BYTES;
	packet->payload_length = (length < room ? length : room) - UDP_HEADER_BYTES;
	return SIPDAM_REASON_NONE;
}

static __always_inline int packet_tcp(const struct cursor *cursor, struct packet *packet)
{
	__u32 room = packet->end - packet->transport_offset;
	__u8 field[2]; /* data offset:4 | reserved:4, flags */
	__u32 header;
	int error = cursor_load(cursor, packet->transport_offset + 12, field, sizeof(field));

	if (error == CURSOR_TRUNCATED)
		return SIPDAM_REASON_TRUNCATED;
	header = (field[0] >> 4) * 4;
	if (error || room < TCP_HEADER_BYTES || (header >= TCP_HEADER_BYTES && room < header)) {
		packet->cut = packet->fragment == FRAGMENT_FIRST;
		return packet->cut ? SIPDAM_REASON_NONE : SIPDAM_REASON_MALFORMED;
	}
	if (header < TCP_HEADER_BYTES)
		return SIPDAM_REASON_MALFORMED;
	packet->tcp_flags = field[1];
	packet->payload_whole = 0; /* a segment is a piece of a stream */
	packet->payload_offset = packet->transport_offset + header;
	packet->payload_length = room - header;
	return SIPDAM_REASON_NONE;
}

/* Ports, and whether they are ours. */
static __always_inline int packet_transport(const struct cursor *cursor, const struct sipdam_policy *policy,
					    struct packet *packet)
{
	__be16 ports[2];
	int error = cursor_load(cursor, packet->transport_offset, ports, PORTS_BYTES);
	int kind;

	if (error == CURSOR_TRUNCATED)
		return SIPDAM_REASON_TRUNCATED;
	if (packet->fragment == FRAGMENT_FIRST && !packet->lies &&
	    (error || packet->transport_offset + PORTS_BYTES > packet->end)) {
		packet->cut = 1;
		return SIPDAM_REASON_NONE;
	}
	if (error)
		return SIPDAM_REASON_NOT_SIP;
	packet->port = __builtin_bswap16(ports[PORT_HERE]);
	if (!port_hinted(policy, packet->protocol, packet->port))
		return SIPDAM_REASON_NOT_SIP;
	kind = port_kind(policy, packet->protocol, packet->port);
	if (kind < 0)
		return SIPDAM_REASON_NOT_SIP;
	packet->port_kind = kind;
	if (packet->lies || packet->transport_offset > packet->end)
		return SIPDAM_REASON_MALFORMED;
	return packet->protocol == IPPROTO_UDP ? packet_udp(cursor, packet) : packet_tcp(cursor, packet);
}

/*
 * Reads a frame. The packet must be zeroed but for present and length. Returns NONE when it is for a
 * protected port, is a follower of one that may be, or is a first fragment too short to tell (packet->cut);
 * else NOT_SIP, MALFORMED, or TRUNCATED in a replay.
 */
static __always_inline int packet_read(frame_t *frame, const struct sipdam_policy *policy,
				       struct packet *packet)
{
	struct cursor opened = cursor_open(frame, packet->present, packet->length);
	const struct cursor *cursor = &opened;
	__u32 offset;
	__be16 type;
	int reason = packet_ethernet(cursor, &offset, &type);

	if (reason)
		return reason;
	if (type == __builtin_bswap16(ETH_P_IP))
		reason = packet_ipv4(frame, cursor, offset, packet);
	else if (type == __builtin_bswap16(ETH_P_IPV6))
		reason = packet_ipv6(frame, cursor, offset, packet);
	else
		return SIPDAM_REASON_NOT_SIP;
	if (reason || packet->cut)
		return packet->cut && packet->lies ? SIPDAM_REASON_MALFORMED : reason;
	if (packet->fragment == FRAGMENT_FOLLOWER)
		return packet->lies ? SIPDAM_REASON_MALFORMED : SIPDAM_REASON_NONE;
	opened.length = packet->length; /* further buffers may have been counted since */
	return packet_transport(cursor, policy, packet);
}

/* Payload that packet_glance reads: what sip_glance needs. Frames on a wire have these bytes. */
#define GLANCE_WORDS 2
#define GLANCE_BYTES (GLANCE_WORDS * 8)

/* Where UDP begins in a plain packet. */
#define PLAIN4_TRANSPORT (ETH_HLEN + IPV4_HEADER_BYTES)
#define PLAIN6_TRANSPORT (ETH_HLEN + IPV6_HEADER_BYTES)

/* The furthest that the payload of a plain segment may begin, behind all options, and a mask for it. */
#define PLAIN_PAYLOAD_MASK 0x7f
_Static_assert(PLAIN6_TRANSPORT + 15 * 4 <= PLAIN_PAYLOAD_MASK, "the longest header of TCP");

/* What a first look can tell, and for RTP the last. */
enum packet_look {
	LOOK_NOTHING = 0, /* packet_read has to tell */
	LOOK_OTHER = 1,   /* plain UDP or TCP to a port that can be none of ours */
	LOOK_UDP4 = 2,    /* plain UDP over plain IPv4, no options or fragments, to a port that may be ours */
	LOOK_UDP6 = 3,    /* the same over IPv6, without extensions */
	LOOK_TCP4 = 4,    /* as these, TCP */
	LOOK_TCP6 = 5,
};

enum packet_glance {
	GLANCE_NOTHING = 0, /* not plain: packet_read has to look */
	GLANCE_OURS = 1,    /* a plain datagram for a protected port: the packet is read */
};

#ifdef __bpf__
/* Bytes that the first look reads: the ports behind IPv6, and no less than a glance over IPv4 does. */
#define LOOK_BYTES (PLAIN6_TRANSPORT + PORTS_BYTES)
_Static_assert(LOOK_BYTES >= PLAIN4_TRANSPORT + UDP_HEADER_BYTES + GLANCE_BYTES, "a glance at what was looked at");

/* Bit of a port by its last byte: six bits tell. */
static __always_inline bool hint_has(__u64 hint, __u8 port)
{
	return hint >> (port & 63) & 1;
}

/*
 * Is it plain UDP or TCP over plain IP, without tags, options, extensions or fragments, and could its port be
 * one of ours? Of what is OTHER packet_read would say NOT_SIP, whatever its lengths are. A trial takes both
 * ways and compares.
 */
static __always_inline int packet_look(const __u8 *data, const __u8 *end, const struct sipdam_front *front)
{
	const __u32 no_fragment = (IPV4_MORE_FRAGMENTS | IPV4_OFFSET_MASK) << 16;
	__u32 start, middle; /* type, version, header length; fragment, hops, protocol */
	__u8 port, protocol;

	if (data + LOOK_BYTES > end)
		return LOOK_NOTHING;
	start = *(const __u32 *)(data + ETH_HLEN - 2);
	if ((start & __builtin_bswap32(0xffffff00)) == __builtin_bswap32(ETH_P_IP << 16 | 0x4500)) {
		middle = *(const __u32 *)(data + ETH_HLEN + offsetof(struct ipv4_header, fragment)) &
			 __builtin_bswap32(no_fragment | 0xff);
		port = data[PLAIN4_TRANSPORT + 2 * PORT_HERE + 1];
		if (middle == __builtin_bswap32(IPPROTO_UDP))
			return hint_has(front->hint_udp, port) ? LOOK_UDP4 : LOOK_OTHER;
		if (middle != __builtin_bswap32(IPPROTO_TCP))
			return LOOK_NOTHING;
		return hint_has(front->hint_tcp, port) ? LOOK_TCP4 : LOOK_OTHER;
	} else if ((start & __builtin_bswap32(0xfffff000)) ==
		   __builtin_bswap32((__u32)ETH_P_IPV6 << 16 | 0x6000)) {
		protocol = data[ETH_HLEN + offsetof(struct ipv6_header, next)];
		port = data[PLAIN6_TRANSPORT + 2 * PORT_HERE + 1];
		if (protocol == IPPROTO_UDP)
			return hint_has(front->hint_udp, port) ? LOOK_UDP6 : LOOK_OTHER;
		if (protocol != IPPROTO_TCP)
			return LOOK_NOTHING;
		return hint_has(front->hint_tcp, port) ? LOOK_TCP6 : LOOK_OTHER;
	}
	return LOOK_NOTHING;
}

/* Is it one of the first four? Unused entries repeat the first. port: as on the wire, not 0. */
static __always_inline bool is_first_udp_port(const struct sipdam_policy *policy, __be16 port)
{
	const __u16 *known = policy->ports[SIPDAM_PORTS_UDP].port;
	__u16 wanted = __builtin_bswap16(port);

	return known[0] == wanted || known[1] == wanted || known[2] == wanted || known[3] == wanted;
}

/*
 * Is it for a protected port, with lengths that agree? The header of UDP lies at a constant offset. end: where
 * the packet says it ends, bytes: of the first buffer.
 */
static __always_inline bool glance_ports(const __u8 *data, const __u32 offset, __u32 end, __u32 bytes,
					 const struct sipdam_policy *policy)
{
	const __be16 *field = (const void *)(data + offset); /* source port, port, length */
	__u32 length = __builtin_bswap16(field[2]);

	return end <= bytes && field[PORT_HERE] && is_first_udp_port(policy, field[PORT_HERE]) &&
	       length >= UDP_HEADER_BYTES + GLANCE_BYTES && offset + length <= end;
}

/* Whether a packet that looked like plain UDP is OURS, and who sent it. The rest is glance_fill's. */
static __always_inline int glance_ipv4(const __u8 *data, __u32 bytes, const struct sipdam_policy *policy,
				       struct packet *packet)
{
	const struct ipv4_header *ip = (const void *)(data + ETH_HLEN);
	__u32 end = ETH_HLEN + __builtin_bswap16(ip->total_length);

	if (!glance_ports(data, PLAIN4_TRANSPORT, end, bytes, policy))
		return GLANCE_NOTHING;
	packet->family = 4;
	packet->source = address_of_ipv4(ip->source);
	return GLANCE_OURS;
}

static __always_inline int glance_ipv6(const __u8 *data, __u32 bytes, const struct sipdam_policy *policy,
				       struct packet *packet)
{
	const struct ipv6_header *ip = (const void *)(data + ETH_HLEN);
	const __u64 *address = (const void *)&ip->source; /* the struct is packed: clang would read bytes */
	const __be16 *length = (const void *)&ip->payload_length;
	__u32 end = PLAIN6_TRANSPORT + __builtin_bswap16(*length);
	struct packet_address source = {address[0], address[1]};

	if (is_mapped(&source) || !glance_ports(data, PLAIN6_TRANSPORT, end, bytes, policy))
		return GLANCE_NOTHING;
	packet->family = 6;
	packet->source = source;
	return GLANCE_OURS;
}

/*
 * The short way, for nearly all requests: plain UDP over plain IP in the first buffer and with lengths that
 * agree, of which a first look said LOOK_UDP4 or LOOK_UDP6. Reads nothing but constant offsets. OURS with family
 * and source of the packet and the first words of its payload: what a source in a storm is refused by.
 */
static __always_inline int glance_source(const __u8 *data, const __u8 *end, int look,
					 const struct sipdam_policy *policy, struct packet *packet,
					 __u64 words[GLANCE_WORDS])
{
	const __u64 *payload = (const void *)(data + PLAIN4_TRANSPORT + UDP_HEADER_BYTES);
	int glance;

	if ((const void *)(payload + GLANCE_WORDS) > (const void *)end)
		return GLANCE_NOTHING;
	if (look == LOOK_UDP4) {
		glance = glance_ipv4(data, end - data, policy, packet);
	} else {
		payload = (const void *)(data + PLAIN6_TRANSPORT + UDP_HEADER_BYTES);
		if ((const void *)(payload + GLANCE_WORDS) > (const void *)end)
			return GLANCE_NOTHING;
		glance = glance_ipv6(data, end - data, policy, packet);
	}
	words[0] = payload[0];
	words[1] = payload[1];
	return glance;
}

static __always_inline void glance_fill_udp(const __u8 *data, const __u32 offset, __u32 end, struct packet *packet)
{
	const __be16 *field = (const void *)(data + offset);

	packet->transport_offset = offset;
	packet->end = end;
	packet->payload_offset = offset + UDP_HEADER_BYTES;
	packet->payload_length = __builtin_bswap16(field[2]) - UDP_HEADER_BYTES;
	packet->port = __builtin_bswap16(field[PORT_HERE]);
	packet->protocol = IPPROTO_UDP;
	packet->fragment = FRAGMENT_NONE;
	packet->cut = packet->lies = packet->tcp_flags = 0;
	packet->port_kind = SIPDAM_PORTS_UDP;
	packet->payload_whole = 1;
}

/*
 * The rest of a packet that is OURS. With glance_source it must say of a packet what packet_read says: the very
 * same. A trial takes both ways and compares. present and length of the packet are the caller's.
 */
static __always_inline void glance_fill(const __u8 *data, const __u8 *data_end, int look, struct packet *packet)
{
	if (data + PLAIN4_TRANSPORT + UDP_HEADER_BYTES > data_end)
		return;
	if (look == LOOK_UDP4) {
		const struct ipv4_header *ip = (const void *)(data + ETH_HLEN);

		packet->destination = address_of_ipv4(ip->destination);
		packet->identification = ip->identification;
		packet->fragment_protocol = IPPROTO_UDP;
		glance_fill_udp(data, PLAIN4_TRANSPORT, ETH_HLEN + __builtin_bswap16(ip->total_length), packet);
	} else if (data + PLAIN6_TRANSPORT + UDP_HEADER_BYTES <= data_end) {
		const struct ipv6_header *ip = (const void *)(data + ETH_HLEN);
		const __u64 *address = (const void *)&ip->destination;
		const __be16 *length = (const void *)&ip->payload_length;

		packet->destination = (struct packet_address){address[0], address[1]};
		packet->identification = 0;
		packet->fragment_protocol = 0;
		glance_fill_udp(data, PLAIN6_TRANSPORT, PLAIN6_TRANSPORT + __builtin_bswap16(*length), packet);
	}
}

/* The kind of a port that is the first of its kind, or -1. port: as on the wire. */
static __always_inline int glance_kind(const struct sipdam_policy *policy, __be16 port)
{
	__u16 wanted = __builtin_bswap16(port);

	if (!wanted)
		return -1;
	if (policy->ports[SIPDAM_PORTS_TLS].port[0] == wanted)
		return SIPDAM_PORTS_TLS;
	if (policy->ports[SIPDAM_PORTS_TCP].port[0] == wanted)
		return SIPDAM_PORTS_TCP;
	if (policy->ports[SIPDAM_PORTS_WSS].port[0] == wanted)
		return SIPDAM_PORTS_WSS;
	return policy->ports[SIPDAM_PORTS_WS].port[0] == wanted ? SIPDAM_PORTS_WS : -1;
}

/* Whether a segment is for a protected port, with lengths that agree; what tells that is left in the packet. */
static __always_inline int glance_tcp(const __u8 *data, const __u32 offset, __u32 end, __u32 bytes,
				      const struct sipdam_policy *policy, struct packet *packet)
{
	const __u8 *tcp = data + offset;
	const __be16 *ports = (const void *)tcp;
	__u32 header = (tcp[12] >> 4) * 4;
	int kind = glance_kind(policy, ports[PORT_HERE]);

	if (kind < 0 || header < TCP_HEADER_BYTES || offset + header > end || end > bytes)
		return GLANCE_NOTHING;
	packet->port_kind = kind;
	packet->tcp_flags = tcp[13];
	packet->fragment = FRAGMENT_NONE;
	packet->payload_offset = offset + header;
	packet->payload_length = end - offset - header;
	return GLANCE_OURS;
}

/*
 * The short way of TCP, for segments of which a first look said LOOK_TCP4 or LOOK_TCP6. OURS with family and
 * source of the packet, its flags, and where its payload is.
 */
static __always_inline int glance_segment(const __u8 *data, const __u8 *data_end, int look,
					  const struct sipdam_policy *policy, struct packet *packet)
{
	__u32 bytes = data_end - data;

	if (look == LOOK_TCP4 && data + PLAIN4_TRANSPORT + TCP_HEADER_BYTES <= data_end) {
		const struct ipv4_header *ip = (const void *)(data + ETH_HLEN);

		packet->family = 4;
		packet->source = address_of_ipv4(ip->source);
		packet->end = ETH_HLEN + __builtin_bswap16(ip->total_length);
		return glance_tcp(data, PLAIN4_TRANSPORT, packet->end, bytes, policy, packet);
	}
	if (look == LOOK_TCP6 && data + PLAIN6_TRANSPORT + TCP_HEADER_BYTES <= data_end) {
		const struct ipv6_header *ip = (const void *)(data + ETH_HLEN);
		const __u64 *address = (const void *)&ip->source;
		const __be16 *length = (const void *)&ip->payload_length;

		packet->family = 6;
		packet->source = (struct packet_address){address[0], address[1]};
		packet->end = PLAIN6_TRANSPORT + __builtin_bswap16(*length);
		if (is_mapped(&packet->source))
			return GLANCE_NOTHING;
		return glance_tcp(data, PLAIN6_TRANSPORT, packet->end, bytes, policy, packet);
	}
	return GLANCE_NOTHING;
}

/* The rest of a segment that is OURS, as glance_fill of a datagram. */
static __always_inline void glance_fill_segment(const __u8 *data, const __u8 *data_end, int look,
						struct packet *packet)
{
	const __be16 *port;

	if (look == LOOK_TCP4 && data + PLAIN4_TRANSPORT + PORTS_BYTES <= data_end) {
		const struct ipv4_header *ip = (const void *)(data + ETH_HLEN);

		port = (const void *)(data + PLAIN4_TRANSPORT + 2 * PORT_HERE);
		packet->destination = address_of_ipv4(ip->destination);
		packet->identification = ip->identification;
		packet->fragment_protocol = IPPROTO_TCP;
		packet->transport_offset = PLAIN4_TRANSPORT;
		packet->port = __builtin_bswap16(*port);
	} else if (look == LOOK_TCP6 && data + PLAIN6_TRANSPORT + PORTS_BYTES <= data_end) {
		const struct ipv6_header *ip = (const void *)(data + ETH_HLEN);
		const __u64 *address = (const void *)&ip->destination;

		port = (const void *)(data + PLAIN6_TRANSPORT + 2 * PORT_HERE);
		packet->destination = (struct packet_address){address[0], address[1]};
		packet->identification = 0;
		packet->fragment_protocol = 0;
		packet->transport_offset = PLAIN6_TRANSPORT;
		packet->port = __builtin_bswap16(*port);
	}
	packet->protocol = IPPROTO_TCP;
	packet->cut = packet->lies = packet->payload_whole = 0;
}

/* The other port of such a segment, as on the wire. */
static __always_inline __be16 glance_client_port(const __u8 *data, const __u8 *data_end, int look)
{
	const __be16 *port = (const void *)(data + (look == LOOK_TCP4 ? PLAIN4_TRANSPORT : PLAIN6_TRANSPORT) +
					    2 * (1 - PORT_HERE));

	return (const void *)(port + 1) <= (const void *)data_end ? *port : 0;
}
#endif

/*
 * All of the short way at once, where nobody has looked before: OURS with the whole packet and the first words of
 * its payload.
 */
static __always_inline int packet_glance(frame_t *frame, const struct sipdam_policy *policy,
					 struct packet *packet, __u64 words[GLANCE_WORDS])
{
	int glance = GLANCE_NOTHING;
#ifdef __bpf__
	const __u8 *data = (void *)(long)frame->data;
	const __u8 *end = (void *)(long)frame->data_end;
	const __be16 *type = (const void *)(data + ETH_HLEN - 2);
	const struct ipv4_header *ip = (const void *)(data + ETH_HLEN);
	const struct ipv6_header *ip6 = (const void *)(data + ETH_HLEN);
	int look = LOOK_NOTHING;

	if (data + PLAIN4_TRANSPORT + UDP_HEADER_BYTES + GLANCE_BYTES > end)
		return glance;
	if (*type == __builtin_bswap16(ETH_P_IP) && ip->version_length == 0x45 && ip->protocol == IPPROTO_UDP &&
	    !(ip->fragment & __builtin_bswap16(IPV4_MORE_FRAGMENTS | IPV4_OFFSET_MASK)))
		look = LOOK_UDP4;
	else if (*type == __builtin_bswap16(ETH_P_IPV6) && ip6->version_class >> 4 == 6 && ip6->next == IPPROTO_UDP)
		look = LOOK_UDP6;
	else
		return glance;
	glance = glance_source(data, end, look, policy, packet, words);
	if (glance == GLANCE_OURS)
		glance_fill(data, end, look, packet);
#else
	(void)frame, (void)policy, (void)packet, (void)words;
#endif
	return glance;
}

/* Do two readings of a packet agree in all that is asked of it later? */
static __always_inline bool packet_same(const struct packet *one, const struct packet *other)
{
#define SAME(field) (one->field == other->field)
	return SAME(source.high) && SAME(source.low) && SAME(destination.high) && SAME(destination.low) &&
	       SAME(present) && SAME(length) && SAME(identification) && SAME(transport_offset) && SAME(end) &&
	       SAME(payload_offset) && SAME(payload_length) && SAME(port) && SAME(family) && SAME(protocol) &&
	       SAME(fragment_protocol) && SAME(fragment) && SAME(cut) && SAME(lies) && SAME(tcp_flags) &&
	       SAME(port_kind) && SAME(payload_whole);
#undef SAME
}

#endif
