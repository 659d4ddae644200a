/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the filter should say of a packet, told a second time: sections 2 and 3 of the design as plain
 * code, without a bound on memory, without a thought for speed, and without a line in common with bpf/.
 * What the design leaves open is marked "left open" and follows the program.
 */
#ifndef PROG_MODEL_H
#define PROG_MODEL_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "settings.h"
#include "sipdam/message.h"
#include "sipdam/policy.h"
#include "sipdam/reason.h"

#define MODEL_SECOND 1000000000ULL

#define MODEL_TAGS       4
#define MODEL_EXTENSIONS 8
#define MODEL_PIECE      512  /* bytes of a TCP segment that a tcp_data token pays for */
#define MODEL_WINDOW     1536 /* bytes of a TCP segment that are searched for further messages */

#define MODEL_LOOKS          22   /* left open: and how often, further on */
#define MODEL_LINES          256  /* left open: lines in so many bytes that no messages have */
#define MODEL_FURTHER        200  /* left open: further messages of a class that are counted */
#define MODEL_LINE_ENDS      9216 /* leading CR and LF that are skipped */
#define MODEL_METHOD         1536 /* bytes in which a method ends and its Request-URI begins */
#define MODEL_PIECE_READ     64   /* bytes that are read at once: a scheme may go on behind them */
#define MODEL_TLS_EXTENSIONS 64   /* left open: of a hello, and versions of its list, that are read */
#define MODEL_TLS_VERSIONS   16
#define MODEL_SLOTS          8 /* buckets that a source has at a time */

/* Left open: a datagram's five seconds are counted in units of 16.8 ms, in 16 bits. */
#define MODEL_FRAGMENT_UNIT  24
#define MODEL_FRAGMENT_LIFE  (5 * MODEL_SECOND >> MODEL_FRAGMENT_UNIT)
#define MODEL_FOLLOWERS      45
#define MODEL_DATAGRAM_UNITS (65536 / 8)

/* Left open: a ban's end, and that of a known source, is counted in units of 2^20 ns, rounded up. */
#define MODEL_BAN_UNIT (1ULL << 20)

/*
 * A request is known by its beginning. Left open: copies are 200 ms to 32 s apart in whole units of 2^23 ns,
 * of which 14 bits are counted; those 32 s and that minute after a verification are whole units too.
 */
#define MODEL_REQUEST      256
#define MODEL_VERIFY_UNIT  23
#define MODEL_VERIFY_WRAP  16384
#define MODEL_VERIFIED     (32 * MODEL_SECOND >> MODEL_VERIFY_UNIT)
#define MODEL_VERIFIED_NOW (60 * MODEL_SECOND >> MODEL_VERIFY_UNIT)

/*
 * A request that a source has paid for may come again by the timers of RFC 3261 at no cost to the source. Left open:
 * once half of the bucket is used; from a fifth early to three tenths late, in whole units of 2^20 ns; the first
 * copy after half, one or two seconds, since the first ones may have come before the bucket was half used; and
 * after 32 s of silence a request is a new one. A copy is the same as far as an Ethernet frame goes.
 */
#define MODEL_COPY        1536
#define MODEL_COPY_UNIT   20
#define MODEL_COPY_T1     (MODEL_SECOND / 2)
#define MODEL_COPY_STARTS 3
#define MODEL_COPY_LIFE   (64 * MODEL_COPY_T1 >> MODEL_COPY_UNIT)

/* Left open: an opening waits for its third segment so long, in units of 2^28 ns, and one of them longer; open
 * connections are counted in spans of whole units of 2^35 ns. */
#define MODEL_OPENING_UNIT    28
#define MODEL_OPENING         (128 * MODEL_SECOND >> MODEL_OPENING_UNIT)
#define MODEL_CONNECTION_UNIT 35

/* What either side says of a packet. */
struct answer {
	bool dropped;
	__u8 reason, class, method;
	__u16 status;
};

/* The bucket of a class. */
struct model_slot {
	__u8 class;    /* 0: free */
	__u64 full_at; /* tick at which it is full again */
};

/* The buckets of a source, or the one of a network; made when it is first charged. */
struct model_line {
	bool network;
	__u8 family;
	__u8 key[16];
	struct model_slot slot[MODEL_SLOTS];
	struct model_slot strikes; /* of a source */
};

struct model_datagram {
	__u8 family, protocol;
	__u8 source[16], destination[16];
	__u32 identification;
	__u16 expires; /* units */
	int followers;
	__u64 units; /* of eight bytes */
	__u8 reason;
};

/* The last ban of a source, in force or not. */
struct model_ban {
	__u8 family;
	__u8 key[16];
	__u32 prefix;
	__u64 end; /* nanoseconds */
	int times;
};

/* Whom the server knows, or knew. */
struct model_known {
	__u8 family;
	__u8 key[16];
	__u32 prefix;
	__u64 end; /* nanoseconds */
	bool trusted;
	__u32 devices;
};

/* A connection that the server has answered, and whether its client has opened it. */
struct model_connection {
	__u8 ends[36]; /* addresses and ports */
	__u8 family;
	__u8 key[16]; /* the source that it is counted for */
	bool half, open;
	__u32 number; /* what the client must acknowledge */
	__u64 answered, counted; /* units */
};

/* What tells a request from others; the sender is its first two fields. */
struct model_request {
	__u8 source[16];
	__u8 source_port[2];
	__u8 destination[16];
	__u8 destination_port[2], udp_length[2];
	__u8 payload[MODEL_REQUEST]; /* zeros behind its end */
};
#define MODEL_SENDER 18 /* bytes of it */

/* When a request was seen first, or a sender was let in after he had sent again. */
struct model_seen {
	struct model_request request;
	__u64 unit;
};

/* What tells a segment from others, which it may be longer or shorter than; and when it was seen first. */
struct model_segment {
	__u8 source[16], destination[16];
	__u8 ports[4], sequence[4];
	__u64 unit;
};
#define MODEL_SEGMENT offsetof(struct model_segment, unit)

struct model_memory {
	struct model_seen *seen;
	size_t count, room;
};

/* A request that was paid for, and its last copy. */
struct model_copy {
	struct model_request request;
	__u8 rest[MODEL_COPY - MODEL_REQUEST]; /* of the payload, zeros behind its end */
	__u64 unit;
	int copies; /* how many have come; -1: one at the wrong time */
};

struct model {
	const struct settings *settings;
	__u64 now; /* nanoseconds */
	struct model_line *line;
	size_t lines, line_room;
	__u64 pool_full_at[SIPDAM_CLASSES_MAX];
	__u64 half_full_at[SIPDAM_CLASSES_MAX]; /* of the half for those verified within the last minute */
	__u64 again_full_at[SIPDAM_CLASSES_MAX]; /* of the half for segments of no known connection */
	__u64 exhausted[SIPDAM_CLASSES_MAX];    /* when the pool refused last, nanoseconds; 0: never */
	struct model_memory requests, verified;
	struct model_copy *copy;
	size_t copies, copy_room;
	struct model_datagram *datagram;
	size_t datagrams, datagram_room;
	struct model_ban *ban;
	size_t bans, ban_room;
	struct model_known *known;
	size_t knowns, known_room;
	struct model_connection *connection;
	size_t connections, connection_room;
	struct model_segment *segment;
	size_t segments, segment_room;
	__u64 answered;        /* when the server answered a SYN last, nanoseconds; 0: never */
	__u64 cookies_full_at; /* tick */
};

/* Bytes on the wire, of which a capture may hold only the first. */
struct span {
	const __u8 *data;
	size_t bytes, held;
};

enum piece {
	PIECE_WHOLE,
	PIECE_FIRST,
	PIECE_LATER,
};

struct model_packet {
	bool addressed; /* the rest is known */
	int family;     /* SIPDAM_FAMILY_* */
	__u8 source[16], destination[16];
	int protocol;
	enum piece piece;
	__u32 identification;
	__u8 fragment_protocol; /* as the fragment names it */
	struct span rest;       /* from the transport header to the end of the frame */
	long room;              /* the same to the end of the IP packet; negative: it ended before */
	bool lies;              /* a length of the IP header is impossible */
	bool cut;               /* a first fragment that ends before its ports or its transport header do */
	bool whole;             /* the message ends in this packet */
	bool tcp;
	int port_kind;       /* enum sipdam_port_kind, -1: not protected */
	struct span payload; /* of UDP or TCP */
	int flags;           /* TCP */
};

struct bill {
	__u64 tokens[SIPDAM_CLASSES_MAX];
	int looked_class; /* of a segment that is looked through: what it is without the look */
	__u64 looked_tokens;
};

/* ---- bytes ---- */

static inline bool model_has(struct span span, size_t at, size_t bytes)
{
	return at <= span.bytes && bytes <= span.bytes - at;
}

/* The wire has these bytes and the capture has not. */
static inline bool model_lacks(struct span span, size_t at, size_t bytes)
{
	return model_has(span, at, bytes) && at + bytes > span.held;
}

static inline __u32 model_number(struct span span, size_t at, int bytes)
{
	__u32 value = 0;

	for (int i = 0; i < bytes; i++)
		value = value << 8 | span.data[at + i];
	return value;
}

static inline struct span model_from(struct span span, size_t at)
{
	return (struct span){span.data + at, span.bytes - at, span.held > at ? span.held - at : 0};
}

static inline struct span model_cut(struct span span, size_t bytes)
{
	return (struct span){span.data, span.bytes < bytes ? span.bytes : bytes,
			     span.held < bytes ? span.held : bytes};
}

static inline bool model_begins(struct span span, const char *text)
{
	return span.held >= strlen(text) && !memcmp(span.data, text, strlen(text));
}

/* ---- addresses ---- */

static inline bool model_in_prefix(const __u8 address[16], const __u8 prefix[16], __u32 bits)
{
	for (__u32 bit = 0; bit < bits; bit++) {
		if ((address[bit / 8] ^ prefix[bit / 8]) & (0x80 >> bit % 8))
			return false;
	}
	return true;
}

static inline bool model_is_ipv4(const __u8 address[16])
{
	static const __u8 mapped[16] = {[10] = 0xff, [11] = 0xff};

	return model_in_prefix(address, mapped, 96);
}

/* Left open: an IPv6 prefix that holds all of ::ffff:0:0/96 means no IPv4 address. */
static inline bool model_listed(const struct model *model, int list, const __u8 address[16])
{
	const struct prefix_set *set = &model->settings->lists[list];

	for (size_t i = 0; i < set->count; i++) {
		if (model_is_ipv4(address) && set->prefix[i].bits < 96)
			continue;
		if (model_in_prefix(address, set->prefix[i].address, set->prefix[i].bits))
			return true;
	}
	return false;
}

/* The address with all but its first bits cleared; prefix counts in the bits of the family. */
static inline void model_key(const struct model_packet *packet, const __u32 prefix[SIPDAM_FAMILIES],
			     __u8 key[16])
{
	__u32 bits = prefix[packet->family] + (packet->family == SIPDAM_FAMILY_IPV4 ? 96 : 0);

	for (__u32 bit = 0; bit < 128; bit++) {
		__u8 mask = (__u8)(0x80 >> bit % 8);

		key[bit / 8] &= (__u8)~mask;
		if (bit < bits)
			key[bit / 8] |= packet->source[bit / 8] & mask;
	}
}

/* ---- step 1: headers ---- */

static inline void model_map_ipv4(__u8 address[16], const __u8 *ipv4)
{
	memset(address, 0, 10);
	memset(address + 10, 0xff, 2);
	memcpy(address + 12, ipv4, 4);
}

static inline void model_pieces(struct model_packet *packet, __u32 offset, bool more)
{
	packet->piece = offset ? PIECE_LATER : more ? PIECE_FIRST : PIECE_WHOLE;
}

static inline int model_read_ipv4(struct model_packet *packet, struct span ip)
{
	size_t header, total;

	if (model_lacks(ip, 0, 20))
		return SIPDAM_REASON_TRUNCATED;
	if (!model_has(ip, 0, 20) || ip.data[0] >> 4 != 4)
		return SIPDAM_REASON_NOT_SIP;
	header = (ip.data[0] & 15) * 4;
	total = model_number(ip, 2, 2);
	packet->family = SIPDAM_FAMILY_IPV4;
	packet->addressed = true;
	model_map_ipv4(packet->source, ip.data + 12);
	model_map_ipv4(packet->destination, ip.data + 16);
	packet->protocol = packet->fragment_protocol = ip.data[9];
	packet->identification = model_number(ip, 4, 2);
	model_pieces(packet, model_number(ip, 6, 2) & 0x1fff, ip.data[6] & 0x20);
	packet->lies = header < 20 || total < header || total > ip.bytes;
	/* Left open: the ports of a header that is too short are looked for behind the shortest one. */
	if (header < 20)
		header = 20;
	packet->rest = model_has(ip, 0, header) ? model_from(ip, header) : (struct span){ip.data, 0, 0};
	packet->room = (long)total - (long)header;
	return SIPDAM_REASON_NONE;
}

/* Bytes of an extension header, 0 for what is none. */
static inline size_t model_extension(int kind, struct span at)
{
	switch (kind) {
	case 0:   /* hop-by-hop */
	case 43:  /* routing */
	case 60:  /* destination options */
	case 135: /* mobility */
	case 139: /* host identity */
	case 140: /* shim6 */
		return 8 + 8 * at.data[1];
	case 44: /* fragment */
		return 8;
	case 51: /* authentication */
		return 8 + 4 * at.data[1];
	}
	return 0;
}

static inline bool model_is_extension(int kind)
{
	static const __u8 eight[8];

	return model_extension(kind, (struct span){eight, 8, 8});
}

/* Left open: of several fragment headers the last one names the datagram. */
static inline void model_read_fragment(struct model_packet *packet, struct span at)
{
	__u32 field = model_number(at, 2, 2);

	packet->fragment_protocol = at.data[0];
	packet->identification = model_number(at, 4, 4);
	if (field >> 3)
		packet->piece = PIECE_LATER;
	else if (field & 1)
		packet->piece = PIECE_FIRST;
}

/* Walks to the transport header, or to a later fragment, where the chain is in the first one. */
static inline int model_read_chain(struct model_packet *packet)
{
	for (int headers = 0; packet->piece != PIECE_LATER && model_is_extension(packet->protocol);
	     headers++) {
		long bytes;

		if (headers == MODEL_EXTENSIONS)
			return SIPDAM_REASON_MALFORMED;
		if (model_lacks(packet->rest, 0, 8))
			return SIPDAM_REASON_TRUNCATED;
		if (packet->room < 8 || !model_has(packet->rest, 0, 8)) {
			packet->cut = packet->piece == PIECE_FIRST && !packet->lies;
			return packet->cut ? SIPDAM_REASON_NONE : SIPDAM_REASON_MALFORMED;
		}
		bytes = (long)model_extension(packet->protocol, packet->rest);
		if (packet->protocol == 44)
			model_read_fragment(packet, packet->rest);
		packet->protocol = packet->rest.data[0];
		packet->room -= bytes;
		packet->rest = model_has(packet->rest, 0, (size_t)bytes)
				       ? model_from(packet->rest, (size_t)bytes)
				       : (struct span){packet->rest.data, 0, 0};
	}
	return SIPDAM_REASON_NONE;
}

static inline int model_read_ipv6(struct model_packet *packet, struct span ip)
{
	size_t total;

	if (model_lacks(ip, 0, 40))
		return SIPDAM_REASON_TRUNCATED;
	if (!model_has(ip, 0, 40) || ip.data[0] >> 4 != 6)
		return SIPDAM_REASON_NOT_SIP;
	total = 40 + model_number(ip, 4, 2);
	packet->family = SIPDAM_FAMILY_IPV6;
	packet->addressed = true;
	memcpy(packet->source, ip.data + 8, 16);
	memcpy(packet->destination, ip.data + 24, 16);
	packet->protocol = ip.data[6];
	/* Left open: no host sends from ::ffff:0:0/96, where the IPv4 sources of the lists are. */
	packet->lies = total > ip.bytes || model_is_ipv4(packet->source);
	packet->rest = model_from(ip, 40);
	packet->room = (long)total - 40;
	return model_read_chain(packet);
}

static inline int model_read_ip(struct model_packet *packet, struct span frame)
{
	__u32 type = model_number(frame, 12, 2);
	size_t at = 14;

	for (int tags = 0; type == 0x8100 || type == 0x88a8; tags++) {
		if (tags < MODEL_TAGS && model_lacks(frame, at, 4))
			return SIPDAM_REASON_TRUNCATED;
		if (tags == MODEL_TAGS || !model_has(frame, at, 4))
			return SIPDAM_REASON_NOT_SIP;
		type = model_number(frame, at + 2, 2);
		at += 4;
	}
	if (type == 0x0800)
		return model_read_ipv4(packet, model_from(frame, at));
	if (type == 0x86dd)
		return model_read_ipv6(packet, model_from(frame, at));
	return SIPDAM_REASON_NOT_SIP;
}

static inline bool model_has_port(const struct sipdam_ports *ports, __u16 port)
{
	for (__u32 i = 0; i < ports->count; i++) {
		if (ports->port[i] == port)
			return true;
	}
	return false;
}

/* The kind of a protected port, or -1. */
static inline int model_port_kind(const struct model *model, bool tcp, __u16 port)
{
	for (int kind = 0; kind < SIPDAM_PORT_KINDS; kind++) {
		if (tcp == (kind != SIPDAM_PORTS_UDP) &&
		    model_has_port(&model->settings->policy.ports[kind], port))
			return kind;
	}
	return -1;
}

/* A transport header that does not fit: in a first fragment the rest of it may follow. */
static inline int model_too_short(struct model_packet *packet)
{
	packet->cut = packet->piece == PIECE_FIRST;
	return packet->cut ? SIPDAM_REASON_NONE : SIPDAM_REASON_MALFORMED;
}

static inline int model_read_udp(struct model_packet *packet)
{
	struct span datagram = model_cut(packet->rest, (size_t)packet->room);
	size_t length;

	if (model_lacks(packet->rest, 4, 2))
		return SIPDAM_REASON_TRUNCATED;
	if (!model_has(datagram, 0, 8))
		return model_too_short(packet);
	length = model_number(datagram, 4, 2);
	if (length < 8 || (length > datagram.bytes && packet->piece == PIECE_WHOLE))
		return SIPDAM_REASON_MALFORMED;
	packet->whole = length <= datagram.bytes;
	packet->payload = model_from(model_cut(datagram, length), 8);
	return SIPDAM_REASON_NONE;
}

static inline int model_read_tcp(struct model_packet *packet)
{
	struct span segment = model_cut(packet->rest, (size_t)packet->room);
	size_t header;

	if (model_lacks(packet->rest, 12, 2))
		return SIPDAM_REASON_TRUNCATED;
	if (!model_has(segment, 0, 20))
		return model_too_short(packet);
	header = (segment.data[12] >> 4) * 4;
	if (header < 20)
		return SIPDAM_REASON_MALFORMED;
	if (header > segment.bytes)
		return model_too_short(packet);
	packet->flags = segment.data[13];
	packet->payload = model_from(segment, header);
	return SIPDAM_REASON_NONE;
}

/* Ports, whether they are ours, and the header that they are in. */
static inline int model_read_transport(const struct model *model, struct model_packet *packet)
{
	bool has_ports = model_has(packet->rest, 0, 4);

	if (packet->protocol != 6 && packet->protocol != 17)
		return SIPDAM_REASON_NOT_SIP;
	if (model_lacks(packet->rest, 0, 4))
		return SIPDAM_REASON_TRUNCATED;
	if (packet->piece == PIECE_FIRST && !packet->lies && (!has_ports || packet->room < 4)) {
		packet->cut = true;
		return SIPDAM_REASON_NONE;
	}
	if (!has_ports)
		return SIPDAM_REASON_NOT_SIP;
	packet->port_kind = model_port_kind(model, packet->tcp, (__u16)model_number(packet->rest, 2, 2));
	if (packet->port_kind < 0)
		return SIPDAM_REASON_NOT_SIP;
	if (packet->lies || packet->room < 0)
		return SIPDAM_REASON_MALFORMED;
	return packet->tcp ? model_read_tcp(packet) : model_read_udp(packet);
}

/* What a later fragment is of is said by its first one alone. */
static inline int model_read_later(const struct model_packet *packet)
{
	bool hidden = packet->family == SIPDAM_FAMILY_IPV6 && model_is_extension(packet->protocol);

	if (packet->protocol != 6 && packet->protocol != 17 && !hidden)
		return SIPDAM_REASON_NOT_SIP;
	return packet->lies ? SIPDAM_REASON_MALFORMED : SIPDAM_REASON_NONE;
}

/* Step 1: NOT_SIP, MALFORMED, or NONE for a packet that goes on. */
static inline int model_read(const struct model *model, struct span frame, struct model_packet *packet)
{
	int reason = model_read_ip(packet, frame);

	packet->tcp = packet->protocol == 6;
	if (reason == SIPDAM_REASON_NOT_SIP || (reason == SIPDAM_REASON_TRUNCATED && !packet->addressed))
		return reason;
	if (model->settings->lists[SIPDAM_LIST_ADDRESSES].count &&
	    !model_listed(model, SIPDAM_LIST_ADDRESSES, packet->destination))
		return SIPDAM_REASON_NOT_SIP;
	if (reason || packet->cut)
		return reason;
	if (packet->piece == PIECE_LATER)
		return model_read_later(packet);
	return model_read_transport(model, packet);
}

/* ---- step 5: what the payload is ---- */

struct message {
	__u8 class, method;
	__u16 status;
	bool cut;          /* the bytes end before it is known */
	bool missing;      /* and it is the capture that ends */
	struct span hello; /* of TLS, from the record's header to the segment's end */
};

static inline bool model_is_token(__u8 byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
	       (byte && strchr("-.!%*_+`'~", byte));
}

static inline bool model_is_letter(__u8 byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static inline bool model_is_digit(__u8 byte)
{
	return byte >= '0' && byte <= '9';
}

/* Bytes of CR and LF at the beginning, a bounded number. */
static inline size_t model_line_ends(struct span text)
{
	size_t count = 0;

	while (count < text.held && count < MODEL_LINE_ENDS &&
	       (text.data[count] == '\r' || text.data[count] == '\n'))
		count++;
	return count;
}

struct method_row {
	const char *name;
	__u8 method, class;
};

static const struct method_row model_methods[] = {
#define X(name, number, label, class) {label, SIPDAM_METHOD_##name, SIPDAM_CLASS_##class},
	SIPDAM_METHODS(X)
#undef X
};

/* The row of a method by its name; extension methods share one. */
static inline const struct method_row *model_method(struct span name)
{
	const struct method_row *other = NULL;

	for (size_t i = 0; i < sizeof(model_methods) / sizeof(model_methods[0]); i++) {
		const struct method_row *row = &model_methods[i];

		if (row->method == SIPDAM_METHOD_OTHER)
			other = row;
		else if (row->method != SIPDAM_METHOD_RESPONSE && strlen(row->name) == name.held &&
			 !memcmp(row->name, name.data, name.held))
			return row;
	}
	return other;
}

/* more: the text goes on where it cannot be seen. Sets message->cut where that leaves it open. */
static inline bool model_response(struct span line, bool more, struct message *message)
{
	const __u8 *digit = line.data + 8;

	if (!model_begins(line, "SIP/2.0 "))
		return false;
	if (line.held < 12) {
		message->cut = more;
		return false;
	}
	if (!model_is_digit(digit[0]) || !model_is_digit(digit[1]) || !model_is_digit(digit[2]) ||
	    !strchr(" \r\n", digit[3] ? digit[3] : 'x'))
		return false;
	message->class = SIPDAM_CLASS_RESPONSE;
	message->method = SIPDAM_METHOD_RESPONSE;
	message->status = (__u16)((digit[0] - '0') * 100 + (digit[1] - '0') * 10 + digit[2] - '0');
	return true;
}

static inline bool model_is_scheme(__u8 byte)
{
	return model_is_letter(byte) || model_is_digit(byte) || byte == '+' || byte == '-' || byte == '.';
}

/* A Request-URI begins with a scheme and a colon, which may lie beyond what is seen. */
static inline bool model_uri_begins(struct span uri, bool more)
{
	size_t scheme = 0;

	while (scheme < uri.held && model_is_scheme(uri.data[scheme]))
		scheme++;
	if (!scheme || !model_is_letter(uri.data[0]))
		return false;
	return scheme == uri.held ? more : uri.data[scheme] == ':';
}

static inline bool model_request(struct span line, bool more, struct message *message)
{
	const struct method_row *row;
	size_t name = 0, seen;

	line = model_cut(line, MODEL_METHOD);

	while (name < line.held && model_is_token(line.data[name]))
		name++;
	if (name == line.held || (name && line.data[name] == ' ' && name + 1 == line.held)) {
		message->cut = more && line.held < MODEL_METHOD;
		return false;
	}
	seen = ((name + 1) / MODEL_PIECE_READ + 1) * MODEL_PIECE_READ;
	if (!name || line.data[name] != ' ' ||
	    !model_uri_begins(model_from(model_cut(line, seen), name + 1), more || line.held >= seen))
		return false;
	row = model_method(model_cut(line, name));
	message->class = row->class;
	message->method = row->method;
	return true;
}

/* A start-line by its first bytes. */
static inline bool model_start_line(struct span text, bool more, struct message *message)
{
	static const char version[] = "SIP/2.0 ";

	if (model_response(text, more, message) || model_request(text, more, message))
		return true;
	if (more && text.held < strlen(version) && !memcmp(text.data, version, text.held))
		message->cut = true;
	return false;
}

static inline bool model_is_stun(struct span payload)
{
	return payload.bytes >= 20 && payload.held >= 8 && payload.data[0] < 0x40 &&
	       model_number(payload, 4, 4) == 0x2112a442;
}

/* Left open: STUN is looked for behind line ends too. */
static inline void model_classify_udp(struct span payload, bool more, struct message *message)
{
	size_t skipped = model_line_ends(payload);
	struct span text = model_from(payload, skipped);

	message->class = SIPDAM_CLASS_KEEPALIVE;
	if (!more && (payload.bytes <= 4 || skipped == payload.bytes))
		return;
	if (model_is_stun(text))
		return;
	if (model_start_line(text, more || text.held < text.bytes, message))
		return;
	message->missing = message->cut && payload.held < payload.bytes;
	message->class = message->missing ? SIPDAM_CLASS_NONE
			 : message->cut   ? SIPDAM_CLASS_FRAGMENT
					  : SIPDAM_CLASS_MALFORMED;
}

/*
 * A start-line that follows a line feed: a known method, one space and the beginning of a Request-URI.
 * Left open: it is looked for where sixteen bytes follow the line feed. 0: none.
 */
static inline int model_further(struct span line)
{
	for (size_t i = 0; i < sizeof(model_methods) / sizeof(model_methods[0]); i++) {
		const struct method_row *row = &model_methods[i];
		size_t bytes = strlen(row->name);

		if (row->method == SIPDAM_METHOD_RESPONSE || row->method == SIPDAM_METHOD_OTHER ||
		    line.held < 16)
			continue;
		if (model_begins(line, row->name) && line.data[bytes] == ' ' &&
		    model_is_letter(line.data[bytes + 1]))
			return row->class;
	}
	return line.held >= 16 && model_begins(line, "SIP/2.0 ") ? SIPDAM_CLASS_RESPONSE : 0;
}

static inline bool model_folds_to(const __u8 *data, const char *text)
{
	for (; *text; data++, text++) {
		if ((*data | 0x20) != (*text | 0x20))
			return false;
	}
	return true;
}

/* Does the line that ends at the line feed at `end` end in SIP/2.0, in capitals or not? */
static inline bool model_ends_in_version(struct span text, size_t end)
{
	return (end >= 7 && model_folds_to(text.data + end - 7, "SIP/2.0")) ||
	       (end >= 8 && model_folds_to(text.data + end - 8, "SIP/2.0\r"));
}

static inline void model_count(struct bill *bill, int class)
{
	if (bill->tokens[class] < MODEL_FURTHER)
		bill->tokens[class]++;
}

/*
 * Messages that begin in a segment beside the one that it begins with (begun): start-lines after a line feed,
 * and lines that end in SIP/2.0 without having been seen to begin, as INVITEs. In pieces of MODEL_WINDOW; one
 * of more lines than messages have counts as full of INVITEs.
 */
static inline void model_look(struct span text, bool begun, struct bill *bill)
{
	int lines = 0;

	for (size_t at = 0; at < text.held && at < MODEL_LOOKS * MODEL_WINDOW; at++) {
		if (at % MODEL_WINDOW == 0)
			lines = 0;
		if (text.data[at] == '\n') {
			int class = model_further(model_from(text, at + 1));

			lines++;
			if (!begun && model_ends_in_version(text, at))
				model_count(bill, SIPDAM_CLASS_INVITE);
			if (class)
				model_count(bill, class);
			begun = class;
		}
		if ((at % 8 == 7 || at + 1 == text.held) && lines > MODEL_LINES) {
			memset(bill, 0, sizeof(*bill));
			bill->tokens[SIPDAM_CLASS_INVITE] = MODEL_FURTHER;
			return;
		}
	}
}

static inline __u64 model_pieces_of(size_t bytes)
{
	return (bytes + MODEL_PIECE - 1) / MODEL_PIECE;
}

/* ---- TLS and WebSocket ---- */

/* A ClientHello as SSL 2.0 had it, by its lengths; where they are not in the segment it may be one. */
static inline bool model_is_old_hello(struct span text, struct message *message)
{
	size_t suites, session, challenge;

	if (text.bytes < 11)
		return true;
	message->missing = text.held < 11;
	if (message->missing)
		return false;
	suites = model_number(text, 5, 2);
	session = model_number(text, 7, 2);
	challenge = model_number(text, 9, 2);
	return suites > 0 && suites % 3 == 0 && session <= 32 && challenge >= 16 && challenge <= 32 &&
	       model_number(text, 0, 2) - 0x8000 == 9 + suites + session + challenge;
}

/*
 * Does a client ask for a handshake of TLS? By a handshake record of SSL 3 or TLS, of a size that a record may
 * have, and a ClientHello in it, or nothing; as far as the segment goes.
 */
static inline bool model_is_hello(struct span text, struct message *message)
{
	size_t needed = text.bytes >= 6 ? 6 : text.bytes >= 2 ? 2 : text.bytes, length;

	message->missing = text.held < needed;
	if (message->missing || !needed)
		return false;
	if (needed == 6 && text.data[0] >= 0x80 && text.data[2] == 1 && text.data[3] == 3)
		return model_is_old_hello(text, message);
	if (text.data[0] != 22 || (needed > 1 && text.data[1] != 3))
		return false;
	length = needed == 6 ? model_number(text, 3, 2) : 0;
	return !length || (length <= 16384 && text.data[5] == 1);
}

/* What opens a connection, on ports whose messages are not seen. */
static inline bool model_opens(const struct model_packet *packet, struct message *message)
{
	struct span payload = packet->payload, text;
	bool web = packet->port_kind == SIPDAM_PORTS_WS;
	size_t skipped = web && payload.bytes >= 4 && payload.held >= 4 ? model_line_ends(payload) : 0;

	text = model_from(payload, skipped);
	if (web) {
		message->missing = text.bytes >= 4 && text.held < 4;
		if (text.bytes < 4 || message->missing)
			return false;
		message->class = model_begins(text, "GET ") ? SIPDAM_CLASS_WS_UPGRADE : SIPDAM_CLASS_NONE;
		return message->class;
	}
	if (!model_is_hello(text, message))
		return false;
	message->class = SIPDAM_CLASS_TLS_HELLO;
	message->hello = text;
	return true;
}

/* The body of a ClientHello as far as its record and the segment show it; length: all of it. */
static inline struct span model_hello_body(struct span segment, size_t *length)
{
	struct span record = model_cut(model_from(segment, 5), model_number(segment, 3, 2));

	if (record.held < 4)
		return (struct span){record.data, 0, 0};
	*length = model_number(record, 1, 3);
	return model_from(record, 4);
}

/* The highest version of a list. -1: no list. */
static inline int model_highest(struct span list)
{
	int highest = 0;

	if (list.held != list.bytes || !list.bytes || list.data[0] != list.bytes - 1 || list.bytes < 3 ||
	    list.bytes % 2 == 0)
		return -1;
	for (size_t i = 0; i < MODEL_TLS_VERSIONS && 1 + 2 * i < list.bytes; i++) {
		int version = (int)model_number(list, 1 + 2 * i, 2);

		if (version >= 0x0300 && version <= 0x0304 && version > highest)
			highest = version;
	}
	return highest;
}

/* -2: no extension 43 among them; -1: that cannot be seen; else the highest version of its list. */
static inline int model_extensions(struct span all, size_t left)
{
	for (int i = 0; i < MODEL_TLS_EXTENSIONS; i++) {
		size_t bytes;

		if (!left)
			return -2;
		if (all.held < 4)
			return -1;
		bytes = model_number(all, 2, 2);
		if (model_number(all, 0, 2) == 43) {
			size_t read = bytes < 1 + 2 * MODEL_TLS_VERSIONS ? bytes : 1 + 2 * MODEL_TLS_VERSIONS;
			struct span list = model_from(all, 4);

			if (4 + bytes > left || list.held < read)
				return -1;
			return model_highest((struct span){list.data, bytes, bytes});
		}
		if (4 + bytes > left || (4 + bytes > all.held && 4 + bytes != left))
			return -1;
		left -= 4 + bytes;
		all = left ? model_from(all, 4 + bytes) : all;
	}
	return -1;
}

/* What a ClientHello offers at the highest, 0: nothing that is known, -1: it cannot be seen. */
static inline int model_offered(struct span segment)
{
	size_t length = 0, at = 34;
	struct span body;
	int legacy, listed;

	if (segment.bytes >= 11 && segment.data[0] >= 0x80) {
		legacy = (int)model_number(segment, 3, 2);
		return legacy > 0x0303 ? 0x0303 : legacy;
	}
	if (segment.bytes < 6)
		return -1;
	body = model_hello_body(segment, &length);
	if (body.held <= at || body.data[at] > 32)
		return -1;
	legacy = (int)model_number(body, 0, 2);
	at += 1 + body.data[at];
	if (body.held < at + 2 || !model_number(body, at, 2) || model_number(body, at, 2) % 2)
		return -1;
	at += 2 + model_number(body, at, 2);
	if (body.held <= at || !body.data[at])
		return -1;
	at += 1 + body.data[at];
	listed = -2;
	if (at != length) {
		if (body.held < at + 2 || at + 2 + model_number(body, at, 2) != length)
			return -1;
		listed = model_extensions(model_from(body, at + 2), length - at - 2);
	}
	if (listed != -2)
		return listed;
	return legacy > 0x0303 ? 0x0303 : legacy < 0x0300 ? 0 : legacy;
}

static inline void model_classify_segment(const struct model_packet *packet, struct message *message,
					  struct bill *bill)
{
	struct span payload = packet->payload;
	struct span text = model_from(payload, model_line_ends(payload));
	__u64 pieces = model_pieces_of(payload.bytes);
	bool clear = packet->port_kind == SIPDAM_PORTS_TCP, syn = (packet->flags & 0x12) == 0x02;
	bool begins = clear && !syn && model_start_line(text, true, message);
	struct message of_syn = {0};

	if (!clear && !syn && model_opens(packet, message)) {
		bill->tokens[SIPDAM_CLASS_TCP_DATA] = pieces - 1;
		bill->tokens[message->class] = 1;
		return;
	}
	if (message->missing)
		return;
	message->missing = clear && payload.held < payload.bytes; /* messages that cannot be counted */
	if (message->missing && message->cut)
		return;
	if (clear && payload.bytes >= 8)
		model_look(begins ? text : payload, begins, bill);
	if (begins) {
		bill->tokens[SIPDAM_CLASS_TCP_DATA] = pieces - 1;
		bill->tokens[message->class]++;
		return;
	}
	message->class = syn ? SIPDAM_CLASS_TCP_SYN : SIPDAM_CLASS_TCP_DATA;
	if (syn && (packet->port_kind == SIPDAM_PORTS_TLS || packet->port_kind == SIPDAM_PORTS_WSS) &&
	    model_is_hello(payload, &of_syn))
		message->hello = payload;
	bill->tokens[SIPDAM_CLASS_TCP_DATA] = pieces || syn ? pieces : 1;
	bill->tokens[SIPDAM_CLASS_TCP_SYN] = syn;
}

static inline void model_classify_tcp(const struct model_packet *packet, struct message *message,
				      struct bill *bill)
{
	model_classify_segment(packet, message, bill);
	if (packet->port_kind != SIPDAM_PORTS_TCP || !packet->payload.bytes)
		return;
	bill->looked_class = message->class;
	bill->looked_tokens =
		message->class == SIPDAM_CLASS_TCP_DATA ? model_pieces_of(packet->payload.bytes) : 1;
}

static inline void model_classify(const struct model_packet *packet, struct message *message,
				  struct bill *bill)
{
	memset(message, 0, sizeof(*message));
	memset(bill, 0, sizeof(*bill));
	if (packet->cut || packet->piece == PIECE_LATER) {
		message->class = SIPDAM_CLASS_FRAGMENT;
		bill->tokens[SIPDAM_CLASS_FRAGMENT] = 1;
		return;
	}
	if (packet->tcp) {
		model_classify_tcp(packet, message, bill);
		return;
	}
	model_classify_udp(packet->payload, packet->piece == PIECE_FIRST && !packet->whole, message);
	bill->tokens[message->class] = 1;
}

/* ---- what comes again ---- */

static inline struct model_request model_known_as(const struct model_packet *packet)
{
	struct model_request request = {0};
	size_t bytes = packet->payload.held < MODEL_REQUEST ? packet->payload.held : MODEL_REQUEST;

	memcpy(request.source, packet->source, 16);
	memcpy(request.destination, packet->destination, 16);
	memcpy(request.source_port, packet->rest.data, 2);
	memcpy(request.destination_port, packet->rest.data + 2, 2);
	memcpy(request.udp_length, packet->rest.data + 4, 2);
	memcpy(request.payload, packet->payload.data, bytes);
	return request;
}

/* Requests over UDP, but ACK and CANCEL. */
static inline bool model_retransmits(const struct model_packet *packet, const struct message *message)
{
	return packet->protocol == 17 && message->method && message->method != SIPDAM_METHOD_ACK &&
	       message->method != SIPDAM_METHOD_CANCEL && message->method != SIPDAM_METHOD_RESPONSE;
}

/* What tells a request from all that are no copies of it; its time is left open. */
static inline struct model_copy model_copy_of(const struct model_packet *packet)
{
	struct model_copy copy = {.request = model_known_as(packet)};
	size_t held = packet->payload.held < MODEL_COPY ? packet->payload.held : MODEL_COPY;

	if (held > MODEL_REQUEST)
		memcpy(copy.rest, packet->payload.data + MODEL_REQUEST, held - MODEL_REQUEST);
	return copy;
}

static inline struct model_copy *model_copy(struct model *model, const struct model_copy *wanted)
{
	for (size_t i = 0; i < model->copies; i++) {
		struct model_copy *copy = &model->copy[i];

		if (!memcmp(&copy->request, &wanted->request, sizeof(copy->request)) &&
		    !memcmp(copy->rest, wanted->rest, sizeof(copy->rest)))
			return copy;
	}
	return NULL;
}

static inline void model_remember_copy(struct model *model, const struct model_copy *paid)
{
	struct model_copy *copy = model_copy(model, paid);

	if (!copy) {
		if (model->copies == model->copy_room) {
			model->copy_room = model->copy_room * 2 + 64;
			model->copy = realloc(model->copy, model->copy_room * sizeof(*copy));
		}
		copy = &model->copy[model->copies++];
	}
	*copy = *paid;
	copy->unit = model->now >> MODEL_COPY_UNIT;
}

/* Is this the copy of that number, so many units behind the one before? An INVITE's timer has no upper bound. */
static inline bool model_is_due(int number, bool invite, __u64 age)
{
	static const __u64 others[] = {1, 2, 4, 8, 8, 8, 8, 8, 8, 8}, invites[] = {1, 2, 4, 8, 16, 32};
	__u64 after;

	if (number > (invite ? 6 : 10))
		return false;
	after = MODEL_COPY_T1 * (invite ? invites : others)[number - 1];
	return age >= after * 8 / 10 >> MODEL_COPY_UNIT && age <= after * 13 / 10 >> MODEL_COPY_UNIT;
}

/* A copy's place among those that came before it: true where it is one that costs nothing. */
static inline bool model_goes_on(struct model *model, struct model_copy *copy, bool invite)
{
	__u64 unit = model->now >> MODEL_COPY_UNIT, age = unit - copy->unit;
	int first = copy->copies + 1, last = copy->copies ? first : MODEL_COPY_STARTS;

	copy->unit = unit;
	for (int number = first; copy->copies >= 0 && number <= last; number++) {
		if (model_is_due(number, invite, age)) {
			copy->copies = number;
			return true;
		}
	}
	copy->copies = -1;
	return false;
}

/* ---- steps 6 and 7: who pays ---- */

static inline __u64 model_tick(const struct model *model)
{
	return model->now >> SIPDAM_TICK_SHIFT;
}

/* A limit as the model counts: ticks between two packets, 0 for a rate of 0. */
struct model_limit {
	bool unlimited;
	__u64 interval, burst;
};

static inline struct model_limit model_limit(const struct sipdam_limit *limit)
{
	return (struct model_limit){
		limit->unlimited, limit->rate ? SIPDAM_TICKS_PER_SECOND * SIPDAM_RATE_UNIT / limit->rate : 0,
		limit->burst};
}

/*
 * Whether a bucket that is full again at full_at has that many tokens. *after: full_at without them, or of a
 * refusal: a debt of a deeper bucket is brought back to this one's depth.
 */
static inline bool model_conforms(const struct model_limit *limit, __u64 now, __u64 full_at, __u64 tokens,
				  __u64 *after)
{
	__u64 depth = limit->interval * limit->burst;
	__u64 ahead = full_at > now ? full_at - now : 0, cost = tokens * limit->interval;

	*after = full_at;
	if (limit->unlimited || !tokens)
		return true;
	if (ahead > depth)
		ahead = depth;
	*after = now + ahead;
	if (cost > depth)
		cost = depth;
	if (!limit->interval || ahead + cost > depth)
		return false;
	*after = now + ahead + cost;
	return true;
}

static inline struct model_line *model_line(struct model *model, const struct model_packet *packet,
					    const __u32 prefix[SIPDAM_FAMILIES], bool network)
{
	struct model_line wanted = {.network = network, .family = (__u8)packet->family};

	model_key(packet, prefix, wanted.key);
	for (size_t i = 0; i < model->lines; i++) {
		struct model_line *line = &model->line[i];

		if (line->network == network && line->family == wanted.family &&
		    !memcmp(line->key, wanted.key, 16))
			return line;
	}
	if (model->lines == model->line_room) {
		model->line_room = model->line_room * 2 + 64;
		model->line = realloc(model->line, model->line_room * sizeof(wanted));
	}
	model->line[model->lines] = wanted;
	return &model->line[model->lines++];
}

/* What a bucket lacks to be full, ticks. Further ahead than any bucket of the policy is deep: nothing. */
static inline __u64 model_debt(const struct model *model, const struct model_slot *slot)
{
	__u64 now = model_tick(model), debt = slot->full_at > now ? slot->full_at - now : 0;

	return debt > model->settings->policy.horizon ? 0 : debt;
}

/*
 * The bucket of a class, or, where the source has none of that class, the one that has to make room: that
 * with the least debt, the first of equals. The new one takes its debt over.
 */
static inline struct model_slot *model_slot(const struct model *model, struct model_line *line, __u8 class)
{
	struct model_slot *least = &line->slot[0];

	for (int i = 0; i < MODEL_SLOTS; i++) {
		if (line->slot[i].class == class)
			return &line->slot[i];
	}
	for (int i = 1; i < MODEL_SLOTS; i++) {
		if (model_debt(model, &line->slot[i]) < model_debt(model, least))
			least = &line->slot[i];
	}
	return least;
}

static inline bool model_charge_line(struct model *model, struct model_line *line,
				     const struct model_limit *limit, __u8 class, __u64 tokens, bool take)
{
	struct model_slot *slot = model_slot(model, line, class);
	__u64 now = model_tick(model), after;
	bool conforms;

	if (!tokens || limit->unlimited)
		return true;
	conforms = model_conforms(limit, now, now + model_debt(model, slot), tokens, &after);
	if ((conforms && take) || (!conforms && slot->class == class))
		*slot = (struct model_slot){class, after};
	return conforms;
}

/*
 * Of a trusted source: its limit, and for each device behind it but the first that of a stranger on top. Left
 * open: times between two packets are whole ticks, rounded down, one at least; a limit that has none, or one
 * longer than 2^28 ticks, does not grow.
 */
static inline struct model_limit model_source_limit(const struct sipdam_policy *policy, int tier, int class,
						    __u32 devices)
{
	const struct sipdam_limit *each = &policy->limits[SIPDAM_TIER_UNKNOWN][class];
	struct model_limit limit = model_limit(&policy->limits[tier][class]), other = model_limit(each);

	if (tier != SIPDAM_TIER_TRUSTED || devices < 2 || limit.unlimited || other.unlimited ||
	    !limit.interval || !limit.burst || !other.interval || !other.burst ||
	    limit.interval > 1ULL << 28 || other.interval > 1ULL << 28)
		return limit;
	limit.interval = other.interval * limit.interval / (other.interval + limit.interval * (devices - 1));
	if (!limit.interval)
		limit.interval = 1;
	limit.burst += other.burst * (devices - 1);
	return limit;
}

/* All or none. */
static inline bool model_charge_source(struct model *model, const struct model_packet *packet, int tier,
				       __u32 devices, const struct bill *bill)
{
	const struct sipdam_policy *policy = &model->settings->policy;
	struct model_line *line = model_line(model, packet, policy->source_prefix, false);

	struct model_limit known = model_source_limit(policy, tier, bill->looked_class, devices);

	/* Left open: a source that cannot pay what is known of a segment is refused before it is looked
	 * through. */
	if (!model_charge_line(model, line, &known, (__u8)bill->looked_class, bill->looked_tokens, false))
		return false;
	for (int take = 0; take < 2; take++) {
		for (__u8 class = 1; class < SIPDAM_CLASSES_MAX; class ++) {
			struct model_limit limit = model_source_limit(policy, tier, class, devices);

			/* Left open: more messages of a class than two bursts in one segment never pass. */
			if (class <= SIPDAM_CLASS_RESPONSE && !limit.unlimited &&
			    bill->tokens[class] > 2 * limit.burst)
				return false;
			if (!model_charge_line(model, line, &limit, class, bill->tokens[class], take))
				return false;
		}
	}
	return true;
}

/* Has the source used half of its bucket of the class, with this packet? */
static inline bool model_is_crowded(struct model *model, const struct model_packet *packet, int tier, __u32 devices,
				    __u8 class)
{
	const struct sipdam_policy *policy = &model->settings->policy;
	struct model_limit limit = model_source_limit(policy, tier, class, devices);
	struct model_line *line = model_line(model, packet, policy->source_prefix, false);
	__u64 debt = model_debt(model, model_slot(model, line, class));

	return !limit.unlimited && limit.interval && limit.burst &&
	       2 * (debt + limit.interval) >= limit.interval * limit.burst;
}

/* Step 6: a copy that comes when it should costs nothing. */
static inline bool model_source_admits(struct model *model, const struct model_packet *packet, int tier,
				       __u32 devices, const struct message *message, const struct bill *bill)
{
	struct model_copy request, *copy;

	if (tier == SIPDAM_TIER_ALLOWED || !model_retransmits(packet, message) ||
	    !model_is_crowded(model, packet, tier, devices, message->class))
		return model_charge_source(model, packet, tier, devices, bill);
	request = model_copy_of(packet);
	copy = model_copy(model, &request);
	if (copy && (model->now >> MODEL_COPY_UNIT) - copy->unit <= MODEL_COPY_LIFE)
		return model_goes_on(model, copy, message->method == SIPDAM_METHOD_INVITE) ||
		       model_charge_source(model, packet, tier, devices, bill);
	if (!model_charge_source(model, packet, tier, devices, bill))
		return false;
	model_remember_copy(model, &request);
	return true;
}

static inline bool model_charge_network(struct model *model, const struct model_packet *packet,
					const struct bill *bill)
{
	static const bool charged[SIPDAM_CLASSES_MAX] = {
#define X(name, number, label, network) [number] = network,
		SIPDAM_CLASSES(X)
#undef X
	};
	const struct sipdam_policy *policy = &model->settings->policy;
	struct model_line *line = model_line(model, packet, policy->network_prefix, true);
	struct model_limit limit = model_limit(&policy->network);
	__u64 tokens = 0;

	for (int class = 1; class < SIPDAM_CLASSES_MAX; class ++)
		tokens += charged[class] ? bill->tokens[class] : 0;
	return model_charge_line(model, line, &limit, 1, tokens, true);
}

/* All or none. */
static inline bool model_charge_pools(struct model *model, const struct bill *bill)
{
	for (int take = 0; take < 2; take++) {
		for (int class = 1; class < SIPDAM_CLASSES_MAX; class ++) {
			struct model_limit limit = model_limit(&model->settings->policy.pool[class]);
			__u64 *full_at = &model->pool_full_at[class], after;
			bool conforms = model_conforms(&limit, model_tick(model), *full_at,
						       bill->tokens[class], &after);

			if (take || !conforms)
				*full_at = after;
			if (!conforms)
				return false;
		}
	}
	return true;
}

/* What is known of a source, in force or not; with make, a place for it. */
static inline struct model_known *model_known(struct model *model, const struct model_packet *packet,
					      bool make)
{
	const __u32 *prefix = model->settings->policy.source_prefix;
	struct model_known wanted = {.family = (__u8)packet->family, .prefix = prefix[packet->family]};

	model_key(packet, prefix, wanted.key);
	for (size_t i = 0; i < model->knowns; i++) {
		struct model_known *known = &model->known[i];

		if (known->family == wanted.family && known->prefix == wanted.prefix &&
		    !memcmp(known->key, wanted.key, 16))
			return known;
	}
	if (!make)
		return NULL;
	if (model->knowns == model->known_room) {
		model->known_room = model->known_room * 2 + 64;
		model->known = realloc(model->known, model->known_room * sizeof(wanted));
	}
	model->known[model->knowns] = wanted;
	return &model->known[model->knowns++];
}

/* Allowed before anything; else what the server knows of it, while that lasts. */
static inline int model_tier(struct model *model, const struct model_packet *packet, __u32 *devices)
{
	struct model_known *known = model_known(model, packet, false);

	*devices = 1;
	if (model_listed(model, SIPDAM_LIST_ALLOW, packet->source))
		return SIPDAM_TIER_ALLOWED;
	if (!known || model->now >= known->end)
		return SIPDAM_TIER_UNKNOWN;
	*devices = known->devices;
	return known->trusted ? SIPDAM_TIER_TRUSTED : SIPDAM_TIER_PEER;
}

/* From now on trusted or a peer, with so many devices; one that was trusted stays so. */
static inline void model_know(struct model *model, int family, const __u8 source[16], bool trusted,
			      __u32 devices, __u64 lasting)
{
	struct model_packet packet = {.family = family};
	struct model_known *known;

	memcpy(packet.source, source, 16);
	known = model_known(model, &packet, true);
	known->trusted = trusted || (model->now < known->end && known->trusted);
	known->devices = devices;
	known->end = (model->now + lasting + MODEL_BAN_UNIT - 1) / MODEL_BAN_UNIT * MODEL_BAN_UNIT;
}

/* ---- connections ---- */

/* The connection of a segment; with make, a place for it. */
static inline struct model_connection *model_connection(struct model *model, const struct model_packet *packet,
							bool make)
{
	struct model_connection wanted = {.family = (__u8)packet->family};

	memcpy(wanted.ends, packet->source, 16);
	memcpy(wanted.ends + 16, packet->destination, 16);
	memcpy(wanted.ends + 32, packet->rest.data, 4);
	for (size_t i = 0; i < model->connections; i++)
		if (model->connection[i].family == wanted.family &&
		    !memcmp(model->connection[i].ends, wanted.ends, sizeof(wanted.ends)))
			return &model->connection[i];
	if (!make)
		return NULL;
	if (model->connections == model->connection_room) {
		model->connection_room = model->connection_room * 2 + 64;
		model->connection = realloc(model->connection, model->connection_room * sizeof(wanted));
	}
	model->connection[model->connections] = wanted;
	return &model->connection[model->connections++];
}

static inline __u64 model_span(const struct model *model, __u64 unit)
{
	__u64 span = model->settings->policy.connections_forget >> MODEL_CONNECTION_UNIT;

	return unit / (span ? span : 1);
}

/* Does a connection that is open still count? In the span after the one that it was counted in, but not later. */
static inline bool model_counts(const struct model *model, const struct model_connection *connection)
{
	__u64 now = model_span(model, model->now >> MODEL_CONNECTION_UNIT);

	return connection->open && now - model_span(model, connection->counted) <= 1;
}

static inline __u64 model_open(const struct model *model, const struct model_packet *packet)
{
	__u64 count = 0;
	__u8 key[16];

	model_key(packet, model->settings->policy.source_prefix, key);
	for (size_t i = 0; i < model->connections; i++)
		count += model->connection[i].family == packet->family &&
			 !memcmp(model->connection[i].key, key, 16) && model_counts(model, &model->connection[i]);
	return count;
}

static inline bool model_has_too_many(const struct model *model, const struct model_packet *packet, int tier,
				      const struct message *message)
{
	const struct sipdam_policy *policy = &model->settings->policy;
	__u32 most = tier == SIPDAM_TIER_TRUSTED ? policy->connections_trusted : policy->connections_per_source;

	return message->class == SIPDAM_CLASS_TCP_SYN && tier != SIPDAM_TIER_ALLOWED && most &&
	       model_open(model, packet) >= most;
}

/* Has the server a connection that this segment of a client may be of, from what leaves by this interface? */
static inline bool model_is_served(const struct model *model, const struct model_packet *packet)
{
	return packet->addressed && packet->tcp && packet->piece == PIECE_WHOLE && packet->port_kind >= 0 &&
	       !(packet->family == SIPDAM_FAMILY_IPV6 && model_is_ipv4(packet->source)) &&
	       (!model->settings->lists[SIPDAM_LIST_ADDRESSES].count ||
		model_listed(model, SIPDAM_LIST_ADDRESSES, packet->destination));
}

/* The server has answered the SYN of a connection with the number before the one that this segment has. */
static inline void model_answered(struct model *model, const struct model_packet *packet)
{
	struct model_connection *connection;

	if (!model_is_served(model, packet))
		return;
	connection = model_connection(model, packet, true);
	connection->half = true;
	connection->number = model_number(packet->rest, 8, 4);
	connection->answered = model->now >> MODEL_OPENING_UNIT;
	/* Left open: noted once a second at most. */
	if (!model->answered || model->now - model->answered > MODEL_SECOND)
		model->answered = model->now;
}

static inline void model_ended(struct model *model, const struct model_packet *packet)
{
	struct model_connection *connection;

	if (!model_is_served(model, packet))
		return;
	connection = model_connection(model, packet, false);
	if (!connection)
		return;
	if (connection->open)
		connection->open = false;
	else
		connection->half = false;
}

/* A segment that was let by: does it open what was answered? */
static inline void model_acknowledged(struct model *model, const struct model_packet *packet)
{
	struct model_connection *connection = model_connection(model, packet, false);

	if (packet->flags & (FLAG_SYN | FLAG_FIN | FLAG_RST) || packet->payload.bytes || !connection ||
	    !connection->half || connection->number != model_number(packet->rest, 8, 4) ||
	    (model->now >> MODEL_OPENING_UNIT) - connection->answered > MODEL_OPENING + 1)
		return;
	connection->half = false;
	connection->open = true;
	connection->counted = model->now >> MODEL_CONNECTION_UNIT;
	model_key(packet, model->settings->policy.source_prefix, connection->key);
}

/* Is all that a packet carries of the classes that a peer has limits of its own for? */
static inline bool model_in_progress(const struct message *message, const struct bill *bill)
{
	for (int class = 1; class <= SIPDAM_CLASS_RESPONSE; class ++) {
		if (bill->tokens[class] && class != SIPDAM_CLASS_DIALOG && class != SIPDAM_CLASS_RESPONSE)
			return false;
	}
	return message->class == SIPDAM_CLASS_DIALOG || message->class == SIPDAM_CLASS_RESPONSE;
}

/* ---- step 7: verification ---- */

enum model_standing {
	MODEL_NOT_ASKED,
	MODEL_FIRST_COPY,
	MODEL_SENT_AGAIN,
	MODEL_SENT_AGAIN_RECENT, /* and had done so within the last minute */
	MODEL_VERIFIED_ALREADY,
};

/* One of the memory that has the same first bytes, or NULL. */
static inline struct model_seen *model_seen(const struct model_memory *memory,
					    const struct model_request *request, size_t bytes)
{
	for (size_t i = 0; i < memory->count; i++) {
		if (!memcmp(&memory->seen[i].request, request, bytes))
			return &memory->seen[i];
	}
	return NULL;
}

static inline void model_see(struct model_memory *memory, const struct model_request *request, size_t bytes,
			     __u64 unit)
{
	struct model_seen *seen = model_seen(memory, request, bytes);

	if (!seen) {
		if (memory->count == memory->room) {
			memory->room = memory->room * 2 + 64;
			memory->seen = realloc(memory->seen, memory->room * sizeof(*seen));
		}
		seen = &memory->seen[memory->count++];
	}
	seen->request = *request;
	seen->unit = unit;
}

static inline __u64 model_unit(const struct model *model)
{
	return model->now >> MODEL_VERIFY_UNIT;
}

static inline enum model_standing model_standing(struct model *model, const struct model_packet *packet)
{
	const struct sipdam_policy *policy = &model->settings->policy;
	struct model_request request = model_known_as(packet);
	struct model_seen *sender = model_seen(&model->verified, &request, MODEL_SENDER);
	struct model_seen *copy = model_seen(&model->requests, &request, sizeof(request));
	__u64 age;

	if (sender && model_unit(model) - sender->unit <= MODEL_VERIFIED)
		return MODEL_VERIFIED_ALREADY;
	if (copy) {
		age = (model_unit(model) - copy->unit) % MODEL_VERIFY_WRAP;
		if (age < policy->verify_min >> MODEL_VERIFY_UNIT)
			return MODEL_FIRST_COPY; /* the first one's time counts */
		if (age <= policy->verify_max >> MODEL_VERIFY_UNIT)
			return sender && model_unit(model) - sender->unit <= MODEL_VERIFIED_NOW
				       ? MODEL_SENT_AGAIN_RECENT
				       : MODEL_SENT_AGAIN;
	}
	model_see(&model->requests, &request, sizeof(request), model_unit(model));
	return MODEL_FIRST_COPY;
}

/* Must strangers send twice now? */
static inline bool model_is_exhausted(const struct model *model, int class)
{
	const struct sipdam_policy *policy = &model->settings->policy;
	__u64 since = model->exhausted[class];

	return policy->verify_enabled && !policy->pool[class].unlimited && since && since <= model->now &&
	       model->now - since < policy->verify_hold;
}

/* Half of the pool: each packet costs twice as much as others, of a bucket as large, with room for one at
 * least. */
static inline bool model_charge_half(struct model *model, int class)
{
	struct model_limit limit = model_limit(&model->settings->policy.pool[class]), twice = limit;
	__u64 now = model_tick(model), half, pool;
	bool conforms;

	if (twice.burst == 1)
		twice.burst = 2;
	if (!model_conforms(&twice, now, model->half_full_at[class], 2, &half)) {
		model->half_full_at[class] = half;
		return false;
	}
	conforms = model_conforms(&limit, now, model->pool_full_at[class], 1, &pool);
	model->pool_full_at[class] = pool;
	if (conforms)
		model->half_full_at[class] = half;
	return conforms;
}

/*
 * What the pool has refused: verification begins or goes on, and a request that is none's second copy is a
 * first one. Left open: a segment, which may cost several pools, tells of the class that it is of.
 */
static inline int model_refused(struct model *model, const struct model_packet *packet,
				const struct message *message, const struct bill *bill,
				enum model_standing standing)
{
	const struct sipdam_policy *policy = &model->settings->policy;
	struct model_limit limit = model_limit(&policy->pool[message->class]);
	__u64 *full_at = &model->pool_full_at[message->class], after;
	__u64 tokens = message->class == SIPDAM_CLASS_TCP_DATA ? bill->tokens[message->class] : 1;

	if (!policy->verify_enabled ||
	    (message->class >= SIPDAM_CLASS_RESPONSE && message->class != SIPDAM_CLASS_TLS_HELLO &&
	     message->class != SIPDAM_CLASS_WS_UPGRADE && message->class != SIPDAM_CLASS_TCP_DATA))
		return SIPDAM_REASON_POOL_RATE;
	if (model_conforms(&limit, model_tick(model), *full_at, tokens, &after))
		return SIPDAM_REASON_POOL_RATE;
	*full_at = after;
	model->exhausted[message->class] = model->now;
	if (standing != MODEL_NOT_ASKED || !model_retransmits(packet, message))
		return SIPDAM_REASON_POOL_RATE;
	return model_standing(model, packet) == MODEL_FIRST_COPY ? SIPDAM_REASON_UNVERIFIED
								 : SIPDAM_REASON_POOL_RATE;
}

/*
 * The same for a segment that nothing speaks for but that it was sent again: of all pools that it draws on, or of
 * none.
 */
static inline bool model_charge_again(struct model *model, const struct bill *bill)
{
	__u64 now = model_tick(model);

	for (int take = 0; take < 2; take++) {
		for (int class = 1; class < SIPDAM_CLASSES_MAX; class ++) {
			struct model_limit limit = model_limit(&model->settings->policy.pool[class]), twice = limit;
			__u64 *half = &model->again_full_at[class], *pool = &model->pool_full_at[class], after;
			bool conforms;

			if (twice.burst == 1)
				twice.burst = 2;
			conforms = model_conforms(&twice, now, *half, 2 * bill->tokens[class], &after);
			if (take || !conforms)
				*half = after;
			if (!conforms)
				return false;
			conforms = model_conforms(&limit, now, *pool, bill->tokens[class], &after);
			if (take || !conforms)
				*pool = after;
			if (!conforms)
				return false;
		}
	}
	return true;
}

/* Has this segment been sent before, as long ago as a request that comes again? If not, it is from now on. */
static inline bool model_segment_comes_again(struct model *model, const struct model_packet *packet)
{
	const struct sipdam_policy *policy = &model->settings->policy;
	struct model_segment wanted = {.unit = model_unit(model)}, *seen = NULL;
	__u64 age;

	memcpy(wanted.source, packet->source, 16);
	memcpy(wanted.destination, packet->destination, 16);
	memcpy(wanted.ports, packet->rest.data, 4);
	memcpy(wanted.sequence, packet->rest.data + 4, 4);
	for (size_t i = 0; i < model->segments && !seen; i++)
		if (!memcmp(&model->segment[i], &wanted, MODEL_SEGMENT))
			seen = &model->segment[i];
	if (seen) {
		age = (model_unit(model) - seen->unit) % MODEL_VERIFY_WRAP;
		if (age <= policy->verify_max >> MODEL_VERIFY_UNIT)
			return age >= policy->verify_min >> MODEL_VERIFY_UNIT;
		seen->unit = wanted.unit;
		return false;
	}
	if (model->segments == model->segment_room) {
		model->segment_room = model->segment_room * 2 + 64;
		model->segment = realloc(model->segment, model->segment_room * sizeof(wanted));
	}
	model->segment[model->segments++] = wanted;
	return false;
}

/* Step 7: what strangers share. */
/* Left open: where it is known that answers are seen here, for an hour after the last one, to a nanosecond. */
#define MODEL_ANSWERS (3600 * MODEL_SECOND)

/*
 * Is a request in this segment of no connection, at a time when strangers must prove that they are there? Or a
 * ClientHello, or the upgrade to a WebSocket, while its own pool is exhausted? Or does it, no SYN, cost data while
 * that pool is? A trial has no sockets to ask.
 */
static inline bool model_lacks_connection(struct model *model, const struct model_packet *packet,
					  const struct bill *bill)
{
	static const int others[] = {SIPDAM_CLASS_TLS_HELLO, SIPDAM_CLASS_WS_UPGRADE, SIPDAM_CLASS_TCP_DATA};
	const int count = bill->tokens[SIPDAM_CLASS_TCP_SYN] ? 2 : 3;
	const struct model_connection *connection;
	bool needed = false;

	if (packet->protocol != 6)
		return false;
	for (int class = SIPDAM_CLASS_INVITE; class < SIPDAM_CLASS_RESPONSE; class ++)
		needed |= bill->tokens[class] && model_is_exhausted(model, class);
	for (int i = 0; i < count; i++)
		needed |= bill->tokens[others[i]] && model_is_exhausted(model, others[i]);
	if (!needed || !model->answered || model->now - model->answered >= MODEL_ANSWERS)
		return false;
	connection = model_connection(model, packet, false);
	return !connection || (!connection->open &&
			       !(connection->half && connection->number == model_number(packet->rest, 8, 4)));
}

/* A SYN beyond network or pool, where the kernel answers with cookies: as many as are left to them. */
static inline bool model_left_to_cookies(struct model *model, const struct message *message,
					 const struct bill *bill)
{
	const struct sipdam_policy *policy = &model->settings->policy;
	struct model_limit limit = model_limit(&policy->cookies);

	if (message->class != SIPDAM_CLASS_TCP_SYN || policy->syn_cookies != SIPDAM_COOKIES_ON ||
	    bill->tokens[SIPDAM_CLASS_TCP_DATA])
		return false;
	return model_conforms(&limit, model_tick(model), model->cookies_full_at, 1, &model->cookies_full_at);
}

static inline int model_charge_strangers(struct model *model, const struct model_packet *packet,
					 const struct message *message, const struct bill *bill)
{
	enum model_standing standing = MODEL_NOT_ASKED;
	struct model_request request;
	bool admitted, unconnected;

	if (model_retransmits(packet, message) && model_is_exhausted(model, message->class))
		standing = model_standing(model, packet);
	if (standing == MODEL_FIRST_COPY)
		return SIPDAM_REASON_UNVERIFIED;
	/* On a router a connection may have been forgotten: TCP sends again what does not arrive. */
	unconnected = model_lacks_connection(model, packet, bill);
	if (unconnected && !model_segment_comes_again(model, packet))
		return SIPDAM_REASON_UNVERIFIED;
	if (!model_charge_network(model, packet, bill))
		return model_left_to_cookies(model, message, bill) ? SIPDAM_REASON_WITHIN_LIMITS
								   : SIPDAM_REASON_NETWORK_RATE;
	if (standing == MODEL_SENT_AGAIN_RECENT || standing == MODEL_VERIFIED_ALREADY)
		admitted = model_charge_half(model, message->class);
	else if (unconnected)
		admitted = model_charge_again(model, bill);
	else
		admitted = model_charge_pools(model, bill);
	if (!admitted && model_left_to_cookies(model, message, bill))
		return SIPDAM_REASON_WITHIN_LIMITS;
	if (!admitted)
		return model_refused(model, packet, message, bill, standing);
	/* Left open: whom the pool refuses has sent again, and is not verified. */
	if (standing == MODEL_SENT_AGAIN || standing == MODEL_SENT_AGAIN_RECENT) {
		request = model_known_as(packet);
		model_see(&model->verified, &request, MODEL_SENDER, model_unit(model));
	}
	return SIPDAM_REASON_WITHIN_LIMITS;
}

/* Steps 6 to 8. */
static inline int model_charge(struct model *model, const struct model_packet *packet,
			       const struct message *message, const struct bill *bill)
{
	__u32 devices;
	int tier = model_tier(model, packet, &devices);

	if (model_has_too_many(model, packet, tier, message) ||
	    !model_source_admits(model, packet, tier, devices, message, bill))
		return SIPDAM_REASON_SOURCE_RATE;
	if (tier == SIPDAM_TIER_ALLOWED)
		return SIPDAM_REASON_ALLOWED;
	if (tier == SIPDAM_TIER_TRUSTED)
		return SIPDAM_REASON_TRUSTED;
	if (tier == SIPDAM_TIER_PEER && model_in_progress(message, bill))
		return SIPDAM_REASON_PEER;
	return model_charge_strangers(model, packet, message, bill);
}

/* ---- step 3: bans ---- */

/* The ban that a source has or had; with make, a place for one. */
static inline struct model_ban *model_ban(struct model *model, const struct model_packet *packet, bool make)
{
	const __u32 *prefix = model->settings->policy.source_prefix;
	struct model_ban wanted = {.family = (__u8)packet->family, .prefix = prefix[packet->family]};

	model_key(packet, prefix, wanted.key);
	for (size_t i = 0; i < model->bans; i++) {
		struct model_ban *ban = &model->ban[i];

		if (ban->family == wanted.family && ban->prefix == wanted.prefix &&
		    !memcmp(ban->key, wanted.key, 16))
			return ban;
	}
	if (!make)
		return NULL;
	if (model->bans == model->ban_room) {
		model->ban_room = model->ban_room * 2 + 64;
		model->ban = realloc(model->ban, model->ban_room * sizeof(wanted));
	}
	model->ban[model->bans] = wanted;
	return &model->ban[model->bans++];
}

static inline bool model_banned(struct model *model, const struct model_packet *packet)
{
	struct model_ban *ban = model_ban(model, packet, false);

	return model->settings->policy.ban_enabled && ban && model->now < ban->end;
}

static inline void model_begin_ban(const struct model *model, struct model_ban *ban, __u64 lasting)
{
	__u64 end = model->now + lasting;

	ban->end = (end + MODEL_BAN_UNIT - 1) / MODEL_BAN_UNIT * MODEL_BAN_UNIT;
}

/* The next ban counts on from one that is in force or ended less than ban.max ago. */
static inline bool model_remembers(const struct model *model, const struct model_ban *ban)
{
	return ban->times && model->now < ban->end + model->settings->policy.ban_max;
}

static inline void model_ban_by_drops(struct model *model, const struct model_packet *packet)
{
	const struct sipdam_policy *policy = &model->settings->policy;
	struct model_ban *ban = model_ban(model, packet, true);
	__u64 lasting = policy->ban_for;

	/* Left open: malformed packets are dropped before the ban is asked for, and make it no longer. */
	if (model->now < ban->end)
		return;
	ban->times = model_remembers(model, ban) ? ban->times + 1 : 1;
	for (int time = 1; time < ban->times && lasting < policy->ban_max; time++)
		lasting *= 2;
	model_begin_ban(model, ban, lasting < policy->ban_max ? lasting : policy->ban_max);
}

/* A ban by hand of one that is banned is the same ban, with another end. */
static inline void model_ban_by_hand(struct model *model, int family, const __u8 source[16], __u64 lasting)
{
	struct model_packet packet = {.family = family};
	struct model_ban *ban;

	memcpy(packet.source, source, 16);
	ban = model_ban(model, &packet, true);
	if (!ban->times || model->now >= ban->end)
		ban->times = model_remembers(model, ban) ? ban->times + 1 : 1;
	model_begin_ban(model, ban, lasting);
}

static inline void model_pardon(struct model *model, int family, const __u8 source[16])
{
	struct model_packet packet = {.family = family};
	struct model_ban *ban;

	memcpy(packet.source, source, 16);
	ban = model_ban(model, &packet, false);
	if (ban)
		ban->times = 0, ban->end = 0;
}

/*
 * Of drops that are the source's own fault ban.drops within ban.within ban it: a bucket that holds one fewer
 * and gets them back evenly over that time, and a drop that finds it empty bans. The bucket is full then.
 * Left open: times between two are whole ticks, rounded down.
 */
static inline void model_strike(struct model *model, const struct model_packet *packet)
{
	const struct sipdam_policy *policy = &model->settings->policy;
	struct model_line *line = model_line(model, packet, policy->source_prefix, false);
	__u64 interval = (policy->ban_within >> SIPDAM_TICK_SHIFT) / policy->ban_drops;
	__u64 now = model_tick(model), debt = model_debt(model, &line->strikes);

	if (debt + interval <= interval * (policy->ban_drops - 1)) {
		line->strikes.full_at = now + debt + interval;
		return;
	}
	line->strikes.full_at = now;
	model_ban_by_drops(model, packet);
}

/* Not for what others send, not of listed or known ones, and not from an address that no host has. */
static inline bool model_is_strike(struct model *model, const struct model_packet *packet, int reason)
{
	const struct sipdam_policy *policy = &model->settings->policy;
	bool mapped = packet->family == SIPDAM_FAMILY_IPV6 && model_is_ipv4(packet->source);
	bool own_fault = reason == SIPDAM_REASON_SOURCE_RATE || reason == SIPDAM_REASON_FRAGMENT ||
			 reason == SIPDAM_REASON_MALFORMED;
	__u32 devices;

	return policy->ban_enabled && policy->ban_drops && own_fault && packet->addressed && !mapped &&
	       model_tier(model, packet, &devices) == SIPDAM_TIER_UNKNOWN &&
	       !model_listed(model, SIPDAM_LIST_DENY, packet->source);
}

/* ---- step 4: fragments ---- */

static inline struct model_datagram *model_datagram(struct model *model, const struct model_packet *packet)
{
	for (size_t i = 0; i < model->datagrams; i++) {
		struct model_datagram *datagram = &model->datagram[i];

		if (datagram->family == packet->family && datagram->protocol == packet->fragment_protocol &&
		    datagram->identification == packet->identification &&
		    !memcmp(datagram->source, packet->source, 16) &&
		    !memcmp(datagram->destination, packet->destination, 16))
			return datagram;
	}
	return NULL;
}

static inline struct model_datagram *model_new_datagram(struct model *model,
							const struct model_packet *packet)
{
	struct model_datagram *datagram;

	if (model->datagrams == model->datagram_room) {
		model->datagram_room = model->datagram_room * 2 + 64;
		model->datagram = realloc(model->datagram, model->datagram_room * sizeof(*datagram));
	}
	datagram = &model->datagram[model->datagrams++];
	*datagram = (struct model_datagram){.family = (__u8)packet->family,
					    .protocol = packet->fragment_protocol,
					    .identification = packet->identification};
	memcpy(datagram->source, packet->source, 16);
	memcpy(datagram->destination, packet->destination, 16);
	return datagram;
}

/* Bytes of the datagram in this fragment, in units of eight. */
static inline __u64 model_units(const struct model_packet *packet)
{
	return packet->room > 0 ? ((__u64)packet->room + 7) / 8 : 0;
}

static inline void model_remember(struct model *model, const struct model_packet *packet, int reason)
{
	struct model_datagram *datagram = model_datagram(model, packet);

	if (!datagram)
		datagram = model_new_datagram(model, packet);
	datagram->expires = (__u16)((model->now >> MODEL_FRAGMENT_UNIT) + MODEL_FRAGMENT_LIFE);
	datagram->followers = 0;
	datagram->units = model_units(packet);
	datagram->reason = (__u8)reason;
}

/* The verdict of the first fragment, or NONE. */
static inline int model_follow(struct model *model, const struct model_packet *packet)
{
	struct model_datagram *datagram = model_datagram(model, packet);
	__u16 left;

	if (!datagram)
		return SIPDAM_REASON_NONE;
	left = (__u16)(datagram->expires - (model->now >> MODEL_FRAGMENT_UNIT));
	if (!left || left > MODEL_FRAGMENT_LIFE || datagram->followers == MODEL_FOLLOWERS ||
	    datagram->units + model_units(packet) > MODEL_DATAGRAM_UNITS)
		return SIPDAM_REASON_NONE;
	datagram->followers++;
	datagram->units += model_units(packet);
	return datagram->reason;
}

/* ---- the whole way ---- */

static inline bool model_is_drop(int reason)
{
	static const bool drops[SIPDAM_REASONS_MAX] = {
#define X(name, number, label, verdict, sentence) [number] = SIPDAM_VERDICT_##verdict == SIPDAM_VERDICT_DROP,
		SIPDAM_REASONS(X)
#undef X
	};

	return drops[reason];
}

/* The gate comes last, for whoever would pass. What cannot be seen passes. */
static inline int model_gate(const struct model *model, const struct message *message, int reason)
{
	__u32 least = model->settings->policy.tls_min_version;
	int version;

	if (!least || !message->hello.bytes || model_is_drop(reason))
		return reason;
	version = model_offered(message->hello);
	if (version < 0)
		return message->hello.held < message->hello.bytes ? SIPDAM_REASON_TRUNCATED : reason;
	return (__u32)version < least ? SIPDAM_REASON_TLS_VERSION : reason;
}

/* Steps 2 to 8. inherited: what the first fragment's verdict was, NONE for all other packets. */
static inline int model_judge(struct model *model, const struct model_packet *packet, int inherited,
			      struct message *message)
{
	bool allowed = model_listed(model, SIPDAM_LIST_ALLOW, packet->source);
	struct bill bill;
	int reason;

	model_classify(packet, message, &bill);
	if (!allowed && model_listed(model, SIPDAM_LIST_DENY, packet->source))
		return SIPDAM_REASON_DENIED;
	if (!allowed && model_banned(model, packet))
		return SIPDAM_REASON_BANNED;
	if (inherited)
		return inherited;
	if (message->missing)
		return SIPDAM_REASON_TRUNCATED;
	reason = model_charge(model, packet, message, &bill);
	if (reason == SIPDAM_REASON_SOURCE_RATE && message->class == SIPDAM_CLASS_FRAGMENT)
		return SIPDAM_REASON_FRAGMENT;
	return model_gate(model, message, reason);
}

/* From the deadline on, its very nanosecond included, the filter is as in monitor mode. */
static inline bool model_drops(const struct model *model, int reason)
{
	__u64 deadline = model->settings->policy.deadline;

	if (model->settings->policy.monitor || (deadline != 0 && !(model->now < deadline)))
		return false;
	return model_is_drop(reason);
}

static inline struct answer model_run(struct model *model, struct span frame)
{
	struct model_packet packet = {0};
	struct message message = {0};
	int inherited = SIPDAM_REASON_NONE;
	int reason = model_read(model, frame, &packet);

	if (reason == SIPDAM_REASON_MALFORMED)
		message.class = SIPDAM_CLASS_MALFORMED;
	if (!reason && packet.piece == PIECE_LATER)
		inherited = model_follow(model, &packet);
	/* Left open: followers of a TCP segment that passed pay as orphans, for messages hide in them. */
	if (inherited != SIPDAM_REASON_NOT_SIP && packet.protocol == IPPROTO_TCP && !model_is_drop(inherited))
		inherited = SIPDAM_REASON_NONE;
	/* Left open: what is not for us is not, though its source be denied. */
	if (inherited == SIPDAM_REASON_NOT_SIP)
		reason = inherited;
	if (!reason)
		reason = model_judge(model, &packet, inherited, &message);
	if (model_is_strike(model, &packet, reason))
		model_strike(model, &packet);
	if (packet.piece == PIECE_FIRST)
		model_remember(model, &packet, reason);
	if (reason != SIPDAM_REASON_NOT_SIP && reason != SIPDAM_REASON_MALFORMED && packet.tcp &&
	    packet.piece == PIECE_WHOLE && !model_drops(model, reason))
		model_acknowledged(model, &packet);
	return (struct answer){model_drops(model, reason), (__u8)reason, message.class, message.method,
			       message.status};
}

static inline void model_clear(struct model *model)
{
	model->lines = model->datagrams = model->bans = model->knowns = model->connections = 0;
	model->segments = 0;
	model->requests.count = model->verified.count = model->copies = 0;
	model->answered = model->cookies_full_at = 0;
	memset(model->pool_full_at, 0, sizeof(model->pool_full_at));
	memset(model->half_full_at, 0, sizeof(model->half_full_at));
	memset(model->again_full_at, 0, sizeof(model->again_full_at));
	memset(model->exhausted, 0, sizeof(model->exhausted));
}

static inline void model_free(struct model *model)
{
	free(model->line);
	free(model->datagram);
	free(model->ban);
	free(model->known);
	free(model->connection);
	free(model->segment);
	free(model->requests.seen);
	free(model->verified.seen);
	free(model->copy);
	memset(model, 0, sizeof(*model));
}

#endif
