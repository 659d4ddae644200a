/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sends a flood of SIP requests, or of what else hits a SIP port, as raw frames, for tests and the demo: by a
 * packet socket, or with --live as the kernel's own test runs do, many times as fast. It runs on virtual
 * Ethernet pairs only, for at most ten minutes: no tool for any network that carries somebody's calls. One
 * JSON line at the end, whose seconds have all packets between them and whose least_seconds lie between the
 * first packets and the last ones, whatever the CPU did meanwhile:
 * {"sent":N,"refused":N,"seconds":S,"least_seconds":S,"rate":R,"first":ns,"last":ns}.
 */
#include "lab.h"

#include <bpf/bpf.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "live.h"
#include "live.skel.h"

#define BATCH           60   /* frames in hand; a multiple of 1, 2 and 3 methods */
#define FRAME_MAX       9216 /* a jumbo frame with its tag */
#define FIELDS_MAX      16   /* places in a request that differ from packet to packet */
#define SECONDS_MAX     600
#define COUNT_MAX       1000000000000ULL
#define FRAGMENT_OFFSET 1480                   /* bytes: behind a first fragment of a full frame */
#define LAG_MAX         (10 * LAB_MILLISECOND) /* what the clock may run ahead before the lag is given up */
#define NAP             50000                  /* nanoseconds between looks at the clock */
#define LIVE_SIZE_MAX   (LIVE_BYTES - 42)      /* of a request: Ethernet, IPv4 and UDP before it */
#define LIVE_BATCH      64                     /* frames at once of --live; a veth ring holds 256 */
#define LIVE_RUNS       (1 << 24)              /* of the program, due or not, between looks at the clock */

/* Stand-ins in a request's text: sixteen digits that differ in each packet, eight that name its source. */
#define SERIAL "\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"
#define SOURCE "\2\2\2\2\2\2\2\2"

/* Beside requests: the opening of a TCP connection, and the last fragment of an INVITE that had a first. */
enum { METHOD_INVITE, METHOD_REGISTER, METHOD_OPTIONS, METHOD_SYN, METHOD_FRAGMENT, METHODS };
static const char *const method_names[METHODS] = {"INVITE", "REGISTER", "OPTIONS", "SYN", "FRAGMENT"};

struct options {
	const char *interface;
	struct lab_prefix destination, source;
	bool have_destination, have_source, have_mac, random, live, seen;
	__u8 mac[ETH_ALEN];
	__u16 port, source_port;
	int method[METHODS];
	unsigned int methods;
	__u64 sources, stride, seed, rate, count, seconds, size, vlan;
};

struct field {
	size_t at;   /* offset in the frame */
	__u8 digits; /* 16: serial, 8: source */
	__u8 odd;    /* 1: an odd offset from the transport header, for the checksum */
};

/* A frame with everything but its source, serial and checksums. */
struct template
{
	__u8 frame[FRAME_MAX];
	size_t length, ip_at, transport_at, check_at;
	__u32 ip_sum, transport_sum; /* of all that stays the same, not folded */
	struct field field[FIELDS_MAX];
	unsigned int fields;
};

struct slot {
	__u8 frame[FRAME_MAX];
	const struct template *template;
};

struct flood {
	const struct options *options;
	int socket;
	struct template template[METHODS];
	struct slot slot[BATCH];
	struct iovec vector[BATCH];
	struct mmsghdr message[BATCH];
	__u64 serial; /* packets made */
	__u64 sent, refused;
	__u64 first, last;              /* nanoseconds: before the first packet, after the last */
	__u64 after_first, before_last; /* likewise of the first packets at once, and the last */
};

enum {
	OPTION_SOURCE_BASE = 256,
	OPTION_SOURCE_PORT,
	OPTION_STRIDE,
	OPTION_RANDOM,
	OPTION_SIZE,
	OPTION_VLAN,
	OPTION_LIVE,
	OPTION_SEEN
};

static const struct argp_option flood_options[] = {
	{"interface", 'i', "IF", 0, "Virtual Ethernet interface to send on", 0},
	{"destination", 'd', "ADDRESS", 0, "Address of the SIP server", 0},
	{"destination-mac", 'm', "MAC", 0, "Its Ethernet address", 0},
	{"port", 'p', "PORT", 0, "Its port (5060)", 0},
	{"method", 'M', "LIST", 0,
	 "INVITE, REGISTER, OPTIONS, mix for these three, SYN, FRAGMENT (alone, a last one); several with "
	 "commas (INVITE)",
	 0},
	{"sources", 'n', "N", 0, "Number of sources, from the base upwards (1)", 0},
	{"source-base", OPTION_SOURCE_BASE, "ADDRESS", 0, "First source; with --random a prefix", 0},
	{"stride", OPTION_STRIDE, "N", 0, "Addresses from one source to the next (1)", 0},
	{"source-port", OPTION_SOURCE_PORT, "PORT", 0, "Port of every source (5060)", 0},
	{"random", OPTION_RANDOM, "SEED", 0, "A new random source out of the prefix for every packet", 0},
	{"rate", 'r', "PPS", 0, "Packets a second, 0 for as many as possible (1000)", 0},
	{"count", 'c', "N", 0, "Packets at most (10000000)", 0},
	{"seconds", 's', "S", 0, "Seconds at most (10, never over 600)", 0},
	{"size", OPTION_SIZE, "BYTES", 0, "Pad each request to this many bytes", 0},
	{"vlan", OPTION_VLAN, "ID", 0, "Send with this VLAN tag", 0},
	{"seen", OPTION_SEEN, NULL, 0, "Let captures on the interface see it too, which takes longer", 0},
	{"live", OPTION_LIVE, NULL, 0,
	 "Send as the kernel's own test runs do, several times as many: requests of --random IPv4 sources, "
	 "to "
	 "an end with an XDP program or GRO",
	 0},
	{0},
};

static void parse_mac(struct argp_state *state, const char *text, struct options *options)
{
	__u8 *m = options->mac;
	int end = 0;

	if (sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5],
		   &end) != 6 ||
	    text[end])
		argp_error(state, "--destination-mac '%s': six bytes such as 02:00:00:00:00:01 were expected",
			   text);
	options->have_mac = true;
}

static void parse_methods(struct argp_state *state, const char *text, struct options *options)
{
	char list[64] = "INVITE,REGISTER,OPTIONS", *rest, *name;
	int method;

	options->methods = 0;
	if (strcmp(text, "mix"))
		snprintf(list, sizeof(list), "%s", text);
	for (name = strtok_r(list, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
		for (method = 0; method < METHODS && strcmp(name, method_names[method]); method++)
			;
		if (method == METHODS || options->methods == METHODS)
			argp_error(
				state,
				"--method '%s': INVITE, REGISTER, OPTIONS, mix, SYN or FRAGMENT was expected",
				name);
		else
			options->method[options->methods++] = method;
	}
	if (!options->methods)
		argp_error(state, "--method: at least one method was expected");
}

static bool may_be_live(const struct options *options)
{
	for (unsigned int i = 0; i < options->methods; i++)
		if (options->method[i] > METHOD_OPTIONS)
			return false;
	return options->random && options->source.family == AF_INET && !options->vlan && !options->seen &&
	       options->methods <= LIVE_METHODS && options->size <= LIVE_SIZE_MAX;
}

/* What options need from each other, once all are known. */
static void check_options(struct argp_state *state, const struct options *options)
{
	if (!options->interface || !options->have_destination || !options->have_mac || !options->have_source)
		argp_error(state,
			   "--interface, --destination, --destination-mac and --source-base are needed");
	if (options->destination.family != options->source.family)
		argp_error(state, "--destination and --source-base are of different IP versions");
	if (!options->random && options->source.bits != (options->source.family == AF_INET ? 32 : 128))
		argp_error(state, "--source-base takes a prefix only with --random");
	if (options->live && !may_be_live(options))
		argp_error(
			state,
			"--live sends requests of --random IPv4 sources alone, untagged, not --seen and of "
			"at most %d bytes",
			LIVE_SIZE_MAX);
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'i':
		options->interface = argument;
		return 0;
	case 'd':
		lab_prefix_option(state, "--destination", argument, true, &options->destination);
		options->have_destination = true;
		return 0;
	case 'm':
		parse_mac(state, argument, options);
		return 0;
	case 'p':
		options->port = (__u16)lab_number(state, "--port", argument, 1, 65535);
		return 0;
	case 'M':
		parse_methods(state, argument, options);
		return 0;
	case 'n':
		options->sources = lab_number(state, "--sources", argument, 1, 1ULL << 32);
		return 0;
	case 'r':
		options->rate = lab_number(state, "--rate", argument, 0, 100000000);
		return 0;
	case 'c':
		options->count = lab_number(state, "--count", argument, 1, COUNT_MAX);
		return 0;
	case 's':
		options->seconds = lab_number(state, "--seconds", argument, 1, SECONDS_MAX);
		return 0;
	case OPTION_SOURCE_BASE:
		lab_prefix_option(state, "--source-base", argument, false, &options->source);
		options->have_source = true;
		return 0;
	case OPTION_SOURCE_PORT:
		options->source_port = (__u16)lab_number(state, "--source-port", argument, 1, 65535);
		return 0;
	case OPTION_STRIDE:
		options->stride = lab_number(state, "--stride", argument, 1, 1ULL << 31);
		return 0;
	case OPTION_RANDOM:
		options->seed = lab_number(state, "--random", argument, 0, UINT64_MAX);
		options->random = true;
		return 0;
	case OPTION_SIZE:
		options->size = lab_number(state, "--size", argument, 1, FRAME_MAX - 128);
		return 0;
	case OPTION_VLAN:
		options->vlan = lab_number(state, "--vlan", argument, 1, 4094);
		return 0;
	case OPTION_SEEN:
		options->seen = true;
		return 0;
	case OPTION_LIVE:
		options->live = true;
		return 0;
	case ARGP_KEY_END:
		check_options(state, options);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Writes a request with its stand-ins; padded with a header field up to size. Its length, or -EINVAL. */
static int write_request(int method, const char *host, size_t size, char *text, size_t room)
{
	static const char sdp[] =
		"v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n"
		"m=audio 40000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n";
	bool invite = method == METHOD_INVITE || method == METHOD_FRAGMENT;
	const char *name = method_names[invite ? METHOD_INVITE : method], *user = invite ? "1000@" : "";
	const char *body = invite ? sdp : "";
	static char filler[FRAME_MAX];
	int pad = 0, length = 0, attempt;

	memset(filler, 'x', sizeof(filler));
	for (attempt = 0; attempt < 2; attempt++) {
		length = snprintf(text, room,
				  "%s sip:%s%s SIP/2.0\r\n"
				  "Via: SIP/2.0/UDP ua-" SOURCE ".example.net:5060;branch=z9hG4bK" SERIAL
				  "\r\n"
				  "Max-Forwards: 70\r\n"
				  "From: <sip:u" SOURCE "@example.net>;tag=" SERIAL "\r\n"
				  "To: <sip:%s@example.net>\r\n"
				  "Call-ID: " SERIAL "@ua-" SOURCE "\r\n"
				  "CSeq: 1 %s\r\n"
				  "Contact: <sip:u" SOURCE "@ua-" SOURCE ".example.net>\r\n"
				  "User-Agent: sipdam lab\r\n"
				  "%s%.*s%s"
				  "%sContent-Length: %zu\r\n\r\n%s",
				  name, user, host, invite ? "1000" : "u" SOURCE, name, pad ? "X-Pad: " : "",
				  pad, filler, pad ? "\r\n" : "",
				  *body ? "Content-Type: application/sdp\r\n" : "", strlen(body), body);
		if (!size || (size_t)length == size)
			return length;
		pad = (int)size - length - (int)strlen("X-Pad: \r\n");
		if (pad < 1)
			return -EINVAL;
	}
	return length;
}

/* Adds bytes that begin at an even offset to a checksum's sum. */
static __u32 sum_bytes(__u32 sum, const __u8 *bytes, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++)
		sum += i & 1 ? bytes[i] : (__u32)bytes[i] << 8;
	return sum;
}

static __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)((sum & 0xffff) + (sum >> 16));
}

/* Finds the stand-ins of a request and clears them, so that they add nothing to the sums. 0 or -E2BIG. */
static int find_fields(struct template *template, size_t text_at)
{
	size_t at = text_at;
	__u8 mark, digits;

	while (at < template->length) {
		mark = template->frame[at];
		if (mark != 1 && mark != 2) {
			at++;
			continue;
		}
		if (template->fields == FIELDS_MAX)
			return -E2BIG;
		digits = mark == 1 ? 16 : 8;
		template->field[template->fields++] =
			(struct field){.at = at, .digits = digits, .odd = (at - template->transport_at) & 1};
		memset(template->frame + at, 0, digits);
		at += digits;
	}
	return 0;
}

static size_t write_ethernet(const struct options *options, const __u8 *own_mac, __u8 *frame)
{
	__u16 type = htons(options->destination.family == AF_INET ? ETHERTYPE_IP : ETHERTYPE_IPV6);
	__u16 tag[2] = {htons(ETHERTYPE_VLAN), htons((__u16)options->vlan)};
	size_t at = 2 * ETH_ALEN;

	memcpy(frame, options->mac, ETH_ALEN);
	memcpy(frame + ETH_ALEN, own_mac, ETH_ALEN);
	if (options->vlan) {
		memcpy(frame + at, tag, sizeof(tag));
		at += sizeof(tag);
	}
	memcpy(frame + at, &type, sizeof(type));
	return at + sizeof(type);
}

static __u8 protocol_of(int method)
{
	return method == METHOD_SYN ? IPPROTO_TCP : IPPROTO_UDP;
}

/*
 * Writes the IP header for a datagram of this length, without source and checksum, and the fragment
 * header of IPv6 where one is due. Returns their length.
 */
static size_t write_ip(const struct options *options, int method, size_t datagram, __u8 *at)
{
	struct iphdr ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = protocol_of(method)};
	struct ip6_hdr ip6 = {.ip6_flow = htonl(6u << 28), .ip6_nxt = ip.protocol, .ip6_hlim = 64};
	struct ip6_frag fragment = {.ip6f_nxt = ip.protocol, .ip6f_offlg = htons(FRAGMENT_OFFSET)};
	size_t added = method == METHOD_FRAGMENT ? sizeof(fragment) : 0;

	if (options->destination.family == AF_INET) {
		ip.tot_len = htons((__u16)(sizeof(ip) + datagram));
		ip.frag_off = method == METHOD_FRAGMENT ? htons(FRAGMENT_OFFSET / 8) : 0;
		memcpy(&ip.daddr, options->destination.bytes, sizeof(ip.daddr));
		memcpy(at, &ip, sizeof(ip));
		return sizeof(ip);
	}
	ip6.ip6_nxt = added ? IPPROTO_FRAGMENT : ip.protocol;
	ip6.ip6_plen = htons((__u16)(added + datagram));
	memcpy(&ip6.ip6_dst, options->destination.bytes, sizeof(ip6.ip6_dst));
	memcpy(at, &ip6, sizeof(ip6));
	memcpy(at + sizeof(ip6), &fragment, added);
	return sizeof(ip6) + added;
}

/* Writes the header before a text of this length, without checksum, whose place it names. Its length. */
static size_t write_transport(const struct options *options, int method, size_t length, __u8 *at,
			      size_t *check)
{
	struct udphdr udp = {.source = htons(options->source_port), .dest = htons(options->port)};
	struct tcphdr tcp = {.source = udp.source,
			     .dest = udp.dest,
			     .doff = sizeof(tcp) / 4,
			     .syn = 1,
			     .window = htons(64240)};

	if (method == METHOD_SYN) {
		*check = offsetof(struct tcphdr, check);
		memcpy(at, &tcp, sizeof(tcp));
		return sizeof(tcp);
	}
	*check = offsetof(struct udphdr, check);
	udp.len = htons((__u16)(sizeof(udp) + length));
	memcpy(at, &udp, sizeof(udp));
	return sizeof(udp);
}

/* 0, -EINVAL if the request does not fit the size asked for, or -E2BIG. */
static int make_template(const struct options *options, int method, const __u8 *own_mac,
			 struct template *template)
{
	static char text[FRAME_MAX];
	char host[LAB_URI_HOST];
	size_t address = options->destination.family == AF_INET ? 4 : 16, header, datagram, check;
	__u8 headers[sizeof(struct tcphdr)];
	int length = 0;

	lab_uri_host(&options->destination, host);
	if (method != METHOD_SYN)
		length = write_request(method, host, options->size, text, sizeof(text));
	if (length < 0)
		return length;
	header = write_transport(options, method, (size_t)length, headers, &check);
	datagram = header + (size_t)length;
	template->ip_at = write_ethernet(options, own_mac, template->frame);
	template->transport_at =
		template->ip_at + write_ip(options, method, datagram, template->frame + template->ip_at);
	template->check_at = template->transport_at + check;
	template->length = template->transport_at + datagram;
	if (template->length > FRAME_MAX)
		return -E2BIG;
	memcpy(template->frame + template->transport_at, headers, header);
	memcpy(template->frame + template->transport_at + header, text, (size_t)length);
	if (find_fields(template, template->transport_at + header))
		return -E2BIG;
	template->ip_sum = sum_bytes(0, template->frame + template->ip_at, sizeof(struct iphdr));
	template->transport_sum =
		sum_bytes(protocol_of(method) + (__u32)datagram, options->destination.bytes, address);
	template->transport_sum =
		sum_bytes(template->transport_sum, template->frame + template->transport_at, datagram);
	return 0;
}

/* The source of a packet: the base plus a number that goes round, or random bits below the prefix. */
static void choose_source(const struct options *options, __u64 serial, __u8 address[16])
{
	size_t length = options->source.family == AF_INET ? 4 : 16;
	__u64 step = (serial / options->methods) % options->sources * options->stride;
	__u64 bits[2] = {lab_mix(serial * 2 + options->seed), lab_mix(serial * 2 + 1 + options->seed)};
	const __u8 *noise = (const __u8 *)bits;
	size_t i, keep;

	memcpy(address, options->source.bytes, 16);
	if (options->random) {
		for (i = options->source.bits / 8; i < length; i++) {
			keep = i == options->source.bits / 8 ? options->source.bits % 8 : 0;
			address[i] = (address[i] & ~(0xff >> keep)) | (noise[i] & (0xff >> keep));
		}
		return;
	}
	for (i = length; i-- && step; step >>= 8) {
		step += address[i];
		address[i] = (__u8)step;
	}
}

static void write_digits(__u64 value, unsigned int digits, __u8 *out)
{
	while (digits--) {
		out[digits] = (__u8) "0123456789abcdef"[value & 15];
		value >>= 4;
	}
}

/* Frames are not aligned: their numbers are written by the byte, most significant first. */
static void put16(__u8 *at, __u16 value)
{
	at[0] = (__u8)(value >> 8);
	at[1] = (__u8)value;
}

/* Turns the slot's last packet into the next one. */
static void renew(const struct options *options, struct slot *slot, __u64 serial)
{
	const struct template *template = slot->template;
	bool ipv4 = options->source.family == AF_INET;
	size_t address = ipv4 ? 4 : 16;
	__u8 *ip = slot->frame + template->ip_at, *at;
	__u8 source[16], *last = source + address - 4;
	__u32 source_sum, sum, odd = 0;
	__u64 number = lab_mix(serial ^ lab_mix(options->seed));
	__u64 name;
	const struct field *field;
	__u16 check;

	choose_source(options, serial, source);
	name = (__u64)last[0] << 24 | (__u64)last[1] << 16 | (__u64)last[2] << 8 | last[3];
	source_sum = sum_bytes(0, source, address);
	sum = template->transport_sum + source_sum;
	for (field = template->field; field < template->field + template->fields; field++) {
		at = slot->frame + field->at;
		write_digits(field->digits == 16 ? number : name, field->digits, at);
		if (field->odd)
			odd = sum_bytes(odd, at, field->digits);
		else
			sum = sum_bytes(sum, at, field->digits);
	}
	/* bytes at an odd offset weigh as their sum with its bytes swapped (RFC 1071) */
	check = (__u16)~fold(sum + __builtin_bswap16(fold(odd)));
	put16(slot->frame + template->check_at, check ? check : 0xffff); /* 0 would say: no checksum */
	memcpy(ip + (ipv4 ? offsetof(struct iphdr, saddr) : offsetof(struct ip6_hdr, ip6_src)), source,
	       address);
	if (ipv4)
		put16(ip + offsetof(struct iphdr, check), (__u16)~fold(template->ip_sum + source_sum));
}

/* 0, -ENOTSUP if the interface is not one end of a virtual pair, or the -errno of asking. */
static int check_interface(int socket, const char *name)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq request = {.ifr_data = (char *)&info};

	memccpy(request.ifr_name, name, '\0', IFNAMSIZ - 1);
	if (ioctl(socket, SIOCETHTOOL, &request))
		return -errno;
	return strcmp(info.driver, "veth") ? -ENOTSUP : 0;
}

/*
 * A socket that hands frames straight to the driver, or past those who capture. The interface's own address
 * in mac. 0 or -errno.
 */
static int open_interface(const char *name, bool seen, int *out, __u8 mac[ETH_ALEN])
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET};
	struct ifreq request = {0};
	int socket_fd = socket(AF_PACKET, SOCK_RAW, 0), straight = !seen, error;

	if (socket_fd < 0)
		return -errno;
	memccpy(request.ifr_name, name, '\0', IFNAMSIZ - 1);
	address.sll_ifindex = (int)if_nametoindex(name);
	error = address.sll_ifindex ? check_interface(socket_fd, name) : -ENODEV;
	if (!error && (ioctl(socket_fd, SIOCGIFHWADDR, &request) ||
		       setsockopt(socket_fd, SOL_PACKET, PACKET_QDISC_BYPASS, &straight, sizeof(straight)) ||
		       bind(socket_fd, (struct sockaddr *)&address, sizeof(address))))
		error = -errno;
	if (error) {
		close(socket_fd);
		return error;
	}
	memcpy(mac, request.ifr_hwaddr.sa_data, ETH_ALEN);
	*out = socket_fd;
	return 0;
}

static void fill_slots(struct flood *flood)
{
	unsigned int i;

	for (i = 0; i < BATCH; i++) {
		const struct template *template = &flood->template[i % flood->options->methods];

		flood->slot[i].template = template;
		memcpy(flood->slot[i].frame, template->frame, template->length);
		flood->vector[i] = (struct iovec){flood->slot[i].frame, template->length};
		flood->message[i].msg_hdr = (struct msghdr){.msg_iov = &flood->vector[i], .msg_iovlen = 1};
	}
}

static int prepare(struct flood *flood, const struct options *options)
{
	__u8 own_mac[ETH_ALEN];
	unsigned int i;
	int error;

	flood->options = options;
	error = open_interface(options->interface, options->seen, &flood->socket, own_mac);
	if (error == -ENOTSUP)
		fprintf(stderr,
			"flood: refused to send on %s: it is no virtual Ethernet pair, and this is a lab "
			"tool\n",
			options->interface);
	else if (error)
		fprintf(stderr, "flood: cannot send on %s: %s\n", options->interface, strerror(-error));
	if (error)
		return error;
	for (i = 0; i < options->methods && !error; i++)
		error = make_template(options, options->method[i], own_mac, &flood->template[i]);
	if (error)
		fprintf(stderr,
			"flood: --size %llu: no %s request can be made of it; leave it out or give 600 to "
			"9000\n",
			options->size, method_names[options->method[i - 1]]);
	else
		fill_slots(flood);
	return error;
}

/* Sends the next packets, at most one round of slots. 0 or -errno; a full queue refuses one and goes on. */
static int send_some(struct flood *flood, __u64 wanted)
{
	unsigned int slot = (unsigned int)(flood->serial % BATCH), n, i;
	int sent;

	n = wanted < BATCH - slot ? (unsigned int)wanted : BATCH - slot;
	for (i = 0; i < n; i++)
		renew(flood->options, &flood->slot[slot + i], flood->serial + i);
	for (i = 0; i < n;) {
		sent = sendmmsg(flood->socket, flood->message + slot + i, n - i, 0);
		if (sent < 0 && errno != ENOBUFS && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (sent < 0 && errno == EINTR)
			continue;
		flood->sent += sent > 0 ? (unsigned int)sent : 0;
		flood->refused += sent < 0;
		i += sent > 0 ? (unsigned int)sent : 1;
	}
	flood->serial += n;
	return 0;
}

/* How many packets the clock asks for by now. A lag beyond LAG_MAX is given up, not caught up in a burst. */
static __u64 due(const struct flood *flood, __u64 now, __u64 *start)
{
	__u64 rate = flood->options->rate, lag_most = rate * LAG_MAX / LAB_SECOND + BATCH, due;

	if (!rate)
		return BATCH;
	due = (__u64)((double)(now - *start) * (double)rate / (double)LAB_SECOND) + 1;
	if (due <= flood->serial)
		return 0;
	if (due - flood->serial > lag_most) {
		*start += (due - flood->serial - lag_most) * LAB_SECOND / rate;
		due = flood->serial + lag_most;
	}
	return due - flood->serial;
}

static int run(struct flood *flood)
{
	const struct options *options = flood->options;
	const struct timespec nap = {.tv_nsec = NAP};
	__u64 start = lab_now(), now = start, end = start + options->seconds * LAB_SECOND, wanted;
	int error = 0;

	prctl(PR_SET_TIMERSLACK, 1UL);
	while (!error && !lab_stopped && flood->serial < options->count && (now = lab_now()) < end) {
		wanted = due(flood, now, &start);
		if (wanted > options->count - flood->serial)
			wanted = options->count - flood->serial;
		if (!wanted) {
			nanosleep(&nap, NULL);
			continue;
		}
		if (!flood->first)
			flood->first = now;
		flood->before_last = now;
		error = send_some(flood, wanted);
		flood->last = lab_now();
		if (!flood->after_first)
			flood->after_first = flood->last;
	}
	if (error)
		fprintf(stderr, "flood: sending on %s failed: %s\n", options->interface, strerror(-error));
	return error;
}

/* --- as live frames --- */

_Static_assert(FIELDS_MAX <= LIVE_FIELDS, "a live frame has a template's fields");

static const struct template *longest(const struct flood *flood)
{
	const struct template *found = flood->template;

	for (unsigned int i = 1; i < flood->options->methods; i++)
		if (flood->template[i].length > found->length)
			found = &flood->template[i];
	return found;
}

static void fill_live_frame(const struct template *template, size_t most, struct live_frame *frame)
{
	frame->length = template->length;
	frame->cut = most - template->length;
	frame->ip_sum = template->ip_sum;
	frame->fields = template->fields;
	memcpy(frame->bytes, template->frame, template->length);
	for (unsigned int i = 0; i < template->fields; i++)
		frame->field[i] =
			(struct live_field){.at = template->field[i].at, .digits = template->field[i].digits};
}

/* What the program is to send: 0, or -E2BIG. */
static int fill_live(const struct flood *flood, struct live *live)
{
	const struct options *options = flood->options;
	unsigned int bits = options->source.bits;
	size_t most = longest(flood)->length;
	__u32 base;

	memcpy(&base, options->source.bytes, sizeof(base));
	live->noise = bits < 32 ? 0xffffffffu >> bits : 0;
	live->base = ntohl(base) & ~live->noise;
	live->seed = lab_mix(options->seed);
	live->interval = options->rate ? LAB_SECOND / options->rate : 0;
	live->next = lab_now();
	live->most = options->count;
	live->methods = options->methods;
	if (most > LIVE_BYTES)
		return -E2BIG;
	for (unsigned int i = 0; i < options->methods; i++)
		fill_live_frame(flood->template + i, most, live->frame + i);
	return 0;
}

/* Runs the program until a signal comes or it has run so many times. 0 or -errno. */
static int run_live_once(const struct flood *flood, int program, __u32 runs)
{
	const struct template *template = longest(flood);
	struct xdp_md context = {.ingress_ifindex = if_nametoindex(flood->options->interface)};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = LIVE_BATCH,
		    .repeat = (int)runs, .ctx_in = &context, .ctx_size_in = sizeof(context));
	int error;

	opts.data_in = template->frame;
	opts.data_size_in = context.data_end = template->length;
	error = bpf_prog_test_run_opts(program, &opts);
	return error == -EINTR ? 0 : error;
}

static void look_at_the_clock(int signal)
{
	(void)signal;
}

/* A test run ends early for a signal alone, and beginning one again takes the kernel 20 ms. */
static void end_by_signal(__u64 seconds)
{
	const struct sigaction action = {.sa_handler = look_at_the_clock};
	const struct itimerval timer = {.it_value = {.tv_sec = (time_t)seconds},
					.it_interval = {.tv_usec = 100000}};

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

static int run_live(struct flood *flood)
{
	const struct options *options = flood->options;
	struct live_bpf *skeleton = live_bpf__open_and_load();
	struct live *live = skeleton ? &skeleton->bss->live : NULL;
	int error = skeleton ? fill_live(flood, live) : -errno;
	__u64 end;

	end_by_signal(options->seconds);
	flood->first = flood->after_first = lab_now();
	end = flood->first + options->seconds * LAB_SECOND;
	while (!error && !lab_stopped && live->serial < live->most && lab_now() < end) {
		__u64 left = live->most - live->serial;

		error = run_live_once(flood, bpf_program__fd(skeleton->progs.send_live),
				      !live->interval && left < LIVE_RUNS ? (__u32)left : LIVE_RUNS);
		flood->last = flood->before_last = lab_now();
	}
	flood->sent = live ? live->serial : 0;
	if (error)
		fprintf(stderr, "flood: sending live frames on %s failed: %s\n", options->interface,
			strerror(-error));
	live_bpf__destroy(skeleton);
	return error;
}

static void report(const struct flood *flood)
{
	double seconds = (double)(flood->last - flood->first) / (double)LAB_SECOND;
	__u64 least = flood->before_last > flood->after_first ? flood->before_last - flood->after_first : 0;

	printf("{\"sent\":%llu,\"refused\":%llu,\"seconds\":%.3f,\"least_seconds\":%.3f,\"rate\":%.0f,",
	       flood->sent, flood->refused, seconds, (double)least / (double)LAB_SECOND,
	       seconds > 0 ? (double)flood->sent / seconds : 0.0);
	printf("\"first\":%llu,\"last\":%llu}\n", flood->first, flood->last);
}

int main(int argc, char **argv)
{
	static const struct argp parser = {
		.options = flood_options,
		.parser = parse_option,
		.doc = "Sends a flood of SIP requests on a virtual Ethernet pair.",
	};
	static struct flood flood;
	struct options options = {.port = 5060,
				  .source_port = 5060,
				  .methods = 1,
				  .sources = 1,
				  .stride = 1,
				  .rate = 1000,
				  .count = 10000000,
				  .seconds = 10,
				  .seed = lab_now()}; /* no run repeats another's packets */
	int error;

	argp_err_exit_status = 2;
	argp_parse(&parser, argc, argv, 0, NULL, &options);
	lab_stop_on_signals();
	if (prepare(&flood, &options))
		return 1;
	error = options.live ? run_live(&flood) : run(&flood);
	report(&flood);
	return error ? 1 : 0;
}
