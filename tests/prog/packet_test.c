/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From the first byte of a frame to the payload: what is ours, what is not, and lengths that lie. What the
 * payload is belongs to sip_test.c, fragments to fragment_test.c.
 */
#include "prog/lab.h"

#define INVITE_BYTES ((int)sizeof(INVITE_TEXT) - 1)
#define ICMP         1
#define TCP          6
#define GRE          47
#define ESP          50
#define ICMP6        58
#define NO_NEXT      59
#define SCTP         132
#define OTHER_PORT   9
#define JUMBO        8000

#define A_SEGMENT   PASSES(WITHIN_LIMITS, TCP_DATA, NONE)
#define AN_ODD_ONE  PASSES(WITHIN_LIMITS, MALFORMED, NONE)
#define A_KEEPALIVE PASSES(WITHIN_LIMITS, KEEPALIVE, NONE)

static void test_what_is_ours(void **state)
{
	static const struct row rows[] = {
		{"IPv4", {.payload = INVITE_TEXT}, .expect = AN_INVITE},
		{"IPv6", {.family = 6, .payload = INVITE_TEXT}, .expect = AN_INVITE},
		{"TCP", {.protocol = TCP, .payload = INVITE_TEXT}, .expect = AN_INVITE},
		{"TCP over IPv6",
		 {.family = 6, .protocol = TCP, .payload = INVITE_TEXT},
		 .expect = AN_INVITE},
		{"TCP with options",
		 {.protocol = TCP, .tcp_options = 3, .payload = INVITE_TEXT},
		 .expect = AN_INVITE},
		{"TCP with all options",
		 {.protocol = TCP, .tcp_options = 10, .payload = INVITE_TEXT},
		 .expect = AN_INVITE},
		{"one option word", {.options = 1, .payload = INVITE_TEXT}, .expect = AN_INVITE},
		{"ten option words", {.options = 10, .payload = INVITE_TEXT}, .expect = AN_INVITE},
		{"one tag", {.tags = 1, .payload = INVITE_TEXT}, .expect = AN_INVITE},
		{"two tags", {.tags = 2, .payload = INVITE_TEXT}, .expect = AN_INVITE},
		{"three tags", {.tags = 3, .payload = INVITE_TEXT}, .expect = AN_INVITE},
		{"four tags", {.tags = 4, .payload = INVITE_TEXT}, .expect = AN_INVITE},
		{"QinQ", {.tags = 2, .tag_type = 0x88a8, .payload = INVITE_TEXT}, .expect = AN_INVITE},
		{"four tags, 88a8",
		 {.tags = 4, .tag_type = 0x88a8, .payload = INVITE_TEXT},
		 .expect = AN_INVITE},
		{"four tags, IPv6", {.tags = 4, .family = 6, .payload = INVITE_TEXT}, .expect = AN_INVITE},
		{"another port of the policy",
		 {.port = 5080, .payload = INVITE_TEXT},
		 .policy = "ports: {udp: [5060, 5080]}",
		 .expect = AN_INVITE},
		{"sixteenth port",
		 {.port = 16, .payload = INVITE_TEXT},
		 .policy = "ports: {udp: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]}",
		 .expect = AN_INVITE},
		{"WebSocket port",
		 {.port = 80, .protocol = TCP, .payload = INVITE_TEXT},
		 .policy = "ports: {ws: [80]}",
		 .expect = A_SEGMENT},
		{"secure WebSocket port",
		 {.port = 443, .protocol = TCP, .payload = INVITE_TEXT},
		 .policy = "ports: {wss: [443]}",
		 .expect = A_SEGMENT},
	};

	lab_rows(*state, rows, COUNT(rows));
}

static void test_what_is_not(void **state)
{
	static const struct row rows[] = {
		{"ARP", {.ethertype = 0x0806, .payload = INVITE_TEXT}, .expect = NOT_OURS},
		{"LLDP", {.ethertype = 0x88cc, .payload = INVITE_TEXT}, .expect = NOT_OURS},
		{"MPLS", {.ethertype = 0x8847, .payload = INVITE_TEXT}, .expect = NOT_OURS},
		{"802.3 length", {.ethertype = 0x0044, .payload = INVITE_TEXT}, .expect = NOT_OURS},
		{"five tags", {.tags = 5, .payload = INVITE_TEXT}, .expect = NOT_OURS},
		{"five tags, 88a8",
		 {.tags = 5, .tag_type = 0x88a8, .payload = INVITE_TEXT},
		 .expect = NOT_OURS},
		{"a tag of no such type",
		 {.tags = 2, .tag_type = 0x9100, .payload = INVITE_TEXT},
		 .expect = NOT_OURS},
		{"version 6 as IPv4",
		 {.payload = INVITE_TEXT, .change = IP_FIRST_BYTE(0x65)},
		 .expect = NOT_OURS},
		{"version 4 as IPv6",
		 {.family = 6, .payload = INVITE_TEXT, .change = IP_FIRST_BYTE(0x40)},
		 .expect = NOT_OURS},
		{"ICMP", {.protocol = ICMP, .payload = INVITE_TEXT}, .expect = NOT_OURS},
		{"GRE", {.protocol = GRE, .payload = INVITE_TEXT}, .expect = NOT_OURS},
		{"SCTP", {.protocol = SCTP, .payload = INVITE_TEXT}, .expect = NOT_OURS},
		{"ESP", {.protocol = ESP, .payload = INVITE_TEXT}, .expect = NOT_OURS},
		{"ICMPv6", {.family = 6, .protocol = ICMP6, .payload = INVITE_TEXT}, .expect = NOT_OURS},
		{"ESP in IPv6", {.family = 6, .protocol = ESP, .payload = INVITE_TEXT}, .expect = NOT_OURS},
		{"ESP after eight headers",
		 {.family = 6, .chain = "hdddddrd", .protocol = ESP, .payload = INVITE_TEXT},
		 .expect = NOT_OURS},
		{"no next header",
		 {.family = 6, .chain = "d", .protocol = NO_NEXT, .payload = INVITE_TEXT},
		 .expect = NOT_OURS},
		{"RTP", {.port = 16384, .payload = "\x80", .fill = 172}, .expect = NOT_OURS},
		{"the port beside", {.port = 5059, .payload = INVITE_TEXT}, .expect = NOT_OURS},
		{"a port 64 higher", {.port = SIP_PORT + 64, .payload = INVITE_TEXT}, .expect = NOT_OURS},
		{"a port 64 higher, TCP",
		 {.protocol = TCP, .port = SIP_PORT + 64, .payload = INVITE_TEXT},
		 .expect = NOT_OURS},
		{"the TLS port over UDP", {.port = TLS_PORT, .payload = INVITE_TEXT}, .expect = NOT_OURS},
		{"port 0",
		 {.payload = INVITE_TEXT, .change = {LAYER_TRANSPORT, 2, 2, false, 0}},
		 .expect = NOT_OURS},
		{"our port as the source",
		 {.port = 40000, .payload = INVITE_TEXT, .change = {LAYER_TRANSPORT, 0, 2, false, SIP_PORT}},
		 .expect = NOT_OURS},
		{"no UDP port at all",
		 {.payload = INVITE_TEXT},
		 .policy = "ports: {udp: []}",
		 .expect = NOT_OURS},
		{"no UDP port at all, port 0",
		 {.payload = INVITE_TEXT, .change = {LAYER_TRANSPORT, 2, 2, false, 0}},
		 .policy = "ports: {udp: []}",
		 .expect = NOT_OURS},
		{"UDP port over TCP",
		 {.protocol = TCP, .payload = INVITE_TEXT},
		 .policy = "ports: {tcp: []}",
		 .expect = NOT_OURS},
	};

	lab_rows(*state, rows, COUNT(rows));
}

/* A frame that ends early tells its ports or does not. */
static void test_frames_that_end_early(void **state)
{
	static const struct row rows[] = {
		{"Ethernet alone", {.payload = INVITE_TEXT, .keep = 14}, .expect = NOT_OURS},
		{"within a tag", {.tags = 1, .payload = INVITE_TEXT, .keep = 17}, .expect = NOT_OURS},
		{"after a tag", {.tags = 1, .payload = INVITE_TEXT, .keep = 18}, .expect = NOT_OURS},
		{"within IPv4", {.payload = INVITE_TEXT, .keep = 14 + 19}, .expect = NOT_OURS},
		{"after IPv4", {.payload = INVITE_TEXT, .keep = 14 + 20}, .expect = NOT_OURS},
		{"within the ports", {.payload = INVITE_TEXT, .keep = 14 + 20 + 3}, .expect = NOT_OURS},
		{"after the ports", {.payload = INVITE_TEXT, .keep = 14 + 20 + 4}, .expect = REFUSED},
		{"after other ports",
		 {.port = OTHER_PORT, .payload = INVITE_TEXT, .keep = 14 + 20 + 4},
		 .expect = NOT_OURS},
		{"one byte before the end",
		 {.payload = INVITE_TEXT, .keep = 14 + 20 + 8 + INVITE_BYTES - 1},
		 .expect = REFUSED},
		{"at the end",
		 {.payload = INVITE_TEXT, .keep = 14 + 20 + 8 + INVITE_BYTES},
		 .expect = AN_INVITE},
		{"within IPv6", {.family = 6, .payload = INVITE_TEXT, .keep = 14 + 39}, .expect = NOT_OURS},
		{"after IPv6", {.family = 6, .payload = INVITE_TEXT, .keep = 14 + 40}, .expect = NOT_OURS},
		{"within the ports, IPv6",
		 {.family = 6, .payload = INVITE_TEXT, .keep = 14 + 40 + 3},
		 .expect = NOT_OURS},
		{"after the ports, IPv6",
		 {.family = 6, .payload = INVITE_TEXT, .keep = 14 + 40 + 4},
		 .expect = REFUSED},
	};

	lab_rows(*state, rows, COUNT(rows));
}

/* Runs a packet that lies: refused on our port, not ours on another. */
static void check_lie(struct lab *lab, const char *name, const struct recipe *lie)
{
	struct row row = {.name = name, .packet = *lie, .expect = REFUSED};
	char near_miss[80];

	lab_row(lab, &row);
	snprintf(near_miss, sizeof(near_miss), "%s, other port", name);
	row = (struct row){.name = near_miss, .packet = *lie, .expect = NOT_OURS};
	row.packet.port = OTHER_PORT;
	lab_row(lab, &row);
}

static void test_lengths_that_lie(void **state)
{
	static const struct {
		const char *name;
		struct recipe packet;
	} lies[] = {
		{"header of 0 words", {.payload = INVITE_TEXT, .change = IP_FIRST_BYTE(0x40)}},
		{"header of 1 word", {.payload = INVITE_TEXT, .change = IP_FIRST_BYTE(0x41)}},
		{"header of 2 words", {.payload = INVITE_TEXT, .change = IP_FIRST_BYTE(0x42)}},
		{"header of 3 words", {.payload = INVITE_TEXT, .change = IP_FIRST_BYTE(0x43)}},
		{"header of 4 words", {.payload = INVITE_TEXT, .change = IP_FIRST_BYTE(0x44)}},
		{"header longer than the packet says",
		 {.options = 10, .payload = INVITE_TEXT, .change = IP_LENGTH(59)}},
		{"total length 0", {.payload = INVITE_TEXT, .change = IP_LENGTH(0)}},
		{"total length 19", {.payload = INVITE_TEXT, .change = IP_LENGTH(19)}},
		{"total length of the header", {.payload = INVITE_TEXT, .change = IP_LENGTH(20)}},
		{"total length within the ports", {.payload = INVITE_TEXT, .change = IP_LENGTH(23)}},
		{"total length within UDP", {.payload = INVITE_TEXT, .change = IP_LENGTH(27)}},
		{"total length after UDP", {.payload = INVITE_TEXT, .change = IP_LENGTH(28)}},
		{"total length one short", {.payload = INVITE_TEXT, .change = IP_LENGTH_BY(-1)}},
		{"total length one long", {.payload = INVITE_TEXT, .change = IP_LENGTH_BY(1)}},
		{"total length 65535", {.payload = INVITE_TEXT, .change = IP_LENGTH(65535)}},
		{"UDP length 0", {.payload = INVITE_TEXT, .change = UDP_LENGTH(0)}},
		{"UDP length 1", {.payload = INVITE_TEXT, .change = UDP_LENGTH(1)}},
		{"UDP length 2", {.payload = INVITE_TEXT, .change = UDP_LENGTH(2)}},
		{"UDP length 3", {.payload = INVITE_TEXT, .change = UDP_LENGTH(3)}},
		{"UDP length 4", {.payload = INVITE_TEXT, .change = UDP_LENGTH(4)}},
		{"UDP length 5", {.payload = INVITE_TEXT, .change = UDP_LENGTH(5)}},
		{"UDP length 6", {.payload = INVITE_TEXT, .change = UDP_LENGTH(6)}},
		{"UDP length 7", {.payload = INVITE_TEXT, .change = UDP_LENGTH(7)}},
		{"UDP length one long", {.payload = INVITE_TEXT, .change = UDP_LENGTH_BY(1)}},
		{"UDP length into the padding",
		 {.payload = INVITE_TEXT, .padding = 20, .change = UDP_LENGTH_BY(20)}},
		{"UDP length 65535", {.payload = INVITE_TEXT, .change = UDP_LENGTH(65535)}},
		{"IPv6 length 0", {.family = 6, .payload = INVITE_TEXT, .change = IP6_LENGTH(0)}},
		{"IPv6 length within UDP", {.family = 6, .payload = INVITE_TEXT, .change = IP6_LENGTH(7)}},
		{"IPv6 length one short", {.family = 6, .payload = INVITE_TEXT, .change = IP6_LENGTH_BY(-1)}},
		{"IPv6 length one long", {.family = 6, .payload = INVITE_TEXT, .change = IP6_LENGTH_BY(1)}},
		{"IPv6 length 65535", {.family = 6, .payload = INVITE_TEXT, .change = IP6_LENGTH(65535)}},
		{"IPv6 length before the last header ends",
		 {.family = 6, .chain = "d1", .payload = INVITE_TEXT, .change = IP6_LENGTH(15)}},
		{"IPv4-mapped source in IPv6",
		 {.family = 6, .source = "::ffff:192.0.2.1", .payload = INVITE_TEXT}},
		{"TCP header of 0 words", {.protocol = TCP, .payload = INVITE_TEXT, .change = TCP_WORDS(0)}},
		{"TCP header of 1 word", {.protocol = TCP, .payload = INVITE_TEXT, .change = TCP_WORDS(1)}},
		{"TCP header of 2 words", {.protocol = TCP, .payload = INVITE_TEXT, .change = TCP_WORDS(2)}},
		{"TCP header of 3 words", {.protocol = TCP, .payload = INVITE_TEXT, .change = TCP_WORDS(3)}},
		{"TCP header of 4 words", {.protocol = TCP, .payload = INVITE_TEXT, .change = TCP_WORDS(4)}},
		{"TCP header one word beyond",
		 {.protocol = TCP, .payload = "\r\n\r\n", .change = TCP_WORDS(7)}},
		{"TCP header within the last word",
		 {.protocol = TCP, .payload = "\r\n\r", .change = TCP_WORDS(6)}},
		{"TCP header of 15 words beyond",
		 {.protocol = TCP, .payload = "\r\n\r\n", .padding = 40, .change = TCP_WORDS(15)}},
		{"total length within TCP",
		 {.protocol = TCP, .payload = INVITE_TEXT, .change = IP_LENGTH(39)}},
		{"a jumbo frame's UDP length one long",
		 {.payload = INVITE_TEXT, .fill = JUMBO, .change = UDP_LENGTH_BY(1)}},
		{"a jumbo frame's total length one long",
		 {.payload = INVITE_TEXT, .fill = JUMBO, .change = IP_LENGTH_BY(1)}},
		{"UDP length 7 in the second buffer",
		 {.family = 6, .chain = "d255d255", .payload = INVITE_TEXT, .change = UDP_LENGTH(7)}},
	};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(lies); i++)
		check_lie(lab, lies[i].name, &lies[i].packet);
	assert_int_equal(lab->failures, 0);
}

/* Beside the lies: what looks odd and is true. */
static void test_lengths_that_do_not_lie(void **state)
{
	static const struct row rows[] = {
		{"padding after the IP packet", {.payload = INVITE_TEXT, .padding = 30}, .expect = AN_INVITE},
		{"padding after an empty payload", {.padding = 18}, .expect = A_KEEPALIVE},
		{"padding after a keepalive", {.payload = "\r\n\r\n", .padding = 14}, .expect = A_KEEPALIVE},
		{"padding would make it longer than a keepalive",
		 {.payload = "abcd", .padding = 14},
		 .expect = A_KEEPALIVE},
		{"padding, IPv6", {.family = 6, .payload = "\r\n", .padding = 4}, .expect = A_KEEPALIVE},
		{"UDP ends before the IP packet",
		 {.payload = INVITE_TEXT, .change = UDP_LENGTH(8 + 8)},
		 .expect = AN_ODD_ONE},
		{"UDP ends after the scheme",
		 {.payload = INVITE_TEXT, .change = UDP_LENGTH(8 + 11)},
		 .expect = AN_INVITE},
		{"UDP ends after four bytes",
		 {.payload = INVITE_TEXT, .change = UDP_LENGTH(8 + 4)},
		 .expect = A_KEEPALIVE},
		{"UDP ends after five bytes",
		 {.payload = INVITE_TEXT, .change = UDP_LENGTH(8 + 5)},
		 .expect = AN_ODD_ONE},
		{"UDP ends at its header",
		 {.payload = INVITE_TEXT, .change = UDP_LENGTH(8)},
		 .expect = A_KEEPALIVE},
		{"UDP ends within CRLFs",
		 {.payload = "\r\n\r\n\r\n" INVITE_TEXT, .change = UDP_LENGTH(8 + 6)},
		 .expect = A_KEEPALIVE},
		{"TCP header to the packet's end",
		 {.protocol = TCP, .payload = "\r\n\r\n", .change = TCP_WORDS(6)},
		 .expect = A_SEGMENT},
		/* The ports are where the header says: none of ours is there. */
		{"header of 15 words over the payload",
		 {.payload = INVITE_TEXT, .change = IP_FIRST_BYTE(0x4f)},
		 .expect = NOT_OURS},
		{"header of 15 words beyond the packet",
		 {.payload = "1234", .change = IP_FIRST_BYTE(0x4f)},
		 .expect = NOT_OURS},
		{"nearly a mapped source",
		 {.family = 6, .source = "::fffe:192.0.2.1", .payload = INVITE_TEXT},
		 .expect = AN_INVITE},
		{"nearly a mapped source, other word",
		 {.family = 6, .source = "::1:0:ffff:c000:201", .payload = INVITE_TEXT},
		 .expect = AN_INVITE},
		{"a mapped destination",
		 {.family = 6, .destination = "::ffff:192.0.2.1", .payload = INVITE_TEXT},
		 .expect = AN_INVITE},
	};

	lab_rows(*state, rows, COUNT(rows));
}

#define SEGMENT_TEXT "a segment in mid-message"

/* Segments that a glance could tell all of, but for one thing each. */
static void test_segments_that_are_nearly_plain(void **state)
{
	static const struct row rows[] = {
		{"plain", {.protocol = TCP, .port = TLS_PORT, .payload = SEGMENT_TEXT}, .expect = A_SEGMENT},
		{"plain, to an address that is not protected",
		 {.protocol = TCP, .port = TLS_PORT, .payload = SEGMENT_TEXT},
		 .policy = "addresses: [198.51.100.2]",
		 .expect = NOT_OURS},
		{"a tag",
		 {.protocol = TCP, .port = TLS_PORT, .tags = 1, .payload = SEGMENT_TEXT},
		 .expect = A_SEGMENT},
		{"options of IPv4",
		 {.protocol = TCP, .port = TLS_PORT, .options = 1, .payload = SEGMENT_TEXT},
		 .expect = A_SEGMENT},
		{"options of TCP",
		 {.protocol = TCP, .port = TLS_PORT, .tcp_options = 3, .payload = SEGMENT_TEXT},
		 .expect = A_SEGMENT},
		{"all options of TCP",
		 {.protocol = TCP, .port = TLS_PORT, .tcp_options = 10, .payload = SEGMENT_TEXT},
		 .expect = A_SEGMENT},
		{"all options of TCP over IPv6",
		 {.family = 6, .protocol = TCP, .port = TLS_PORT, .tcp_options = 10, .payload = SEGMENT_TEXT},
		 .expect = A_SEGMENT},
		{"an extension header",
		 {.family = 6, .chain = "d", .protocol = TCP, .port = TLS_PORT, .payload = SEGMENT_TEXT},
		 .expect = A_SEGMENT},
		{"a first fragment",
		 {.protocol = TCP, .port = TLS_PORT, .more = true, .payload = SEGMENT_TEXT},
		 .expect = A_SEGMENT},
		{"padding",
		 {.protocol = TCP, .port = TLS_PORT, .payload = "xxxxxx", .padding = 20},
		 .expect = A_SEGMENT},
		{"padding alone", {.protocol = TCP, .port = TLS_PORT, .padding = 20}, .expect = A_SEGMENT},
		{"padding alone, IPv6",
		 {.family = 6, .protocol = TCP, .port = TLS_PORT, .padding = 20},
		 .expect = A_SEGMENT},
		{"the shortest that shows what it begins with",
		 {.protocol = TCP, .port = TLS_PORT, .payload = "xxxxxx"},
		 .expect = A_SEGMENT},
		{"and a byte less",
		 {.protocol = TCP, .port = TLS_PORT, .payload = "xxxxx"},
		 .expect = A_SEGMENT},
		{"header to the packet's end",
		 {.protocol = TCP, .port = TLS_PORT, .payload = SEGMENT_TEXT, .change = TCP_WORDS(11)},
		 .expect = A_SEGMENT},
		{"a segment of several buffers",
		 {.protocol = TCP, .port = TLS_PORT, .payload = SEGMENT_TEXT, .fill = JUMBO},
		 .expect = A_SEGMENT},
		{"nearly a mapped source",
		 {.family = 6,
		  .source = "::fffe:192.0.2.1",
		  .protocol = TCP,
		  .port = TLS_PORT,
		  .payload = SEGMENT_TEXT},
		 .expect = A_SEGMENT},
		{"a port 64 higher",
		 {.protocol = TCP, .port = TLS_PORT + 64, .payload = SEGMENT_TEXT},
		 .expect = NOT_OURS},
		{"no port of the kind at all, port 0",
		 {.protocol = TCP, .payload = SEGMENT_TEXT, .change = {LAYER_TRANSPORT, 2, 2, false, 0}},
		 .policy = "ports: {tls: [64]}",
		 .expect = NOT_OURS},
		{"a second port",
		 {.protocol = TCP, .port = 443, .payload = SEGMENT_TEXT},
		 .policy = "ports: {tls: [5061, 443]}",
		 .expect = A_SEGMENT},
		{"in clear",
		 {.protocol = TCP, .payload = "ACK sip:a SIP/2.0\r\n"},
		 .expect = PASSES(WITHIN_LIMITS, DIALOG, ACK)},
		{"of WebSocket",
		 {.protocol = TCP, .port = 80, .payload = "GET / HTTP/1.1"},
		 .policy = "ports: {ws: [80]}",
		 .expect = PASSES(WITHIN_LIMITS, WS_UPGRADE, NONE)},
		{"of WebSocket over TLS",
		 {.protocol = TCP, .port = 443, .payload = "GET / HTTP/1.1"},
		 .policy = "ports: {wss: [443]}",
		 .expect = A_SEGMENT},
	};

	lab_rows(*state, rows, COUNT(rows));
}

/* Plain but for a length, with payload and, as most acknowledgements, without. */
static void test_segments_that_lie(void **state)
{
	static const struct {
		const char *name;
		struct recipe packet;
	} lies[] = {
		{"TCP header of 4 words", {.change = TCP_WORDS(4)}},
		{"TCP header of 0 words", {.change = TCP_WORDS(0)}},
		{"TCP header beyond the packet", {.change = TCP_WORDS(15)}},
		{"TCP header into the padding", {.padding = 60, .change = TCP_WORDS(12)}},
		{"total length within TCP", {.padding = 20, .change = IP_LENGTH(39)}},
		{"total length of the header", {.padding = 20, .change = IP_LENGTH(20)}},
		{"total length one long", {.change = IP_LENGTH_BY(1)}},
		{"total length 65535", {.change = IP_LENGTH(65535)}},
		{"a jumbo frame's total length one long", {.fill = JUMBO, .change = IP_LENGTH_BY(1)}},
		{"IPv6: TCP header of 4 words", {.family = 6, .change = TCP_WORDS(4)}},
		{"IPv6: TCP header beyond the packet", {.family = 6, .change = TCP_WORDS(15)}},
		{"IPv6: length within TCP", {.family = 6, .padding = 20, .change = IP6_LENGTH(19)}},
		{"IPv6: length one long", {.family = 6, .change = IP6_LENGTH_BY(1)}},
		{"IPv6: the frame ends within TCP", {.family = 6, .keep = 14 + 40 + 19}},
		{"IPv4-mapped source in IPv6", {.family = 6, .source = "::ffff:192.0.2.1"}},
	};
	struct lab *lab = *state;

	for (size_t i = 0; i < 2 * COUNT(lies); i++) {
		struct row row = {.name = lies[i / 2].name, .packet = lies[i / 2].packet, .expect = REFUSED};

		row.packet.protocol = TCP;
		row.packet.port = TLS_PORT;
		row.packet.payload = i % 2 ? SEGMENT_TEXT : "";
		lab_row(lab, &row);
	}
	assert_int_equal(lab->failures, 0);
}

static void test_extension_headers(void **state)
{
	static const struct row rows[] = {
		{"hop-by-hop", {.family = 6, .chain = "h", .payload = INVITE_TEXT}, .expect = AN_INVITE},
		{"routing", {.family = 6, .chain = "r", .payload = INVITE_TEXT}, .expect = AN_INVITE},
		{"destination options",
		 {.family = 6, .chain = "d", .payload = INVITE_TEXT},
		 .expect = AN_INVITE},
		{"mobility", {.family = 6, .chain = "m", .payload = INVITE_TEXT}, .expect = AN_INVITE},
		{"atomic fragment", {.family = 6, .chain = "f", .payload = INVITE_TEXT}, .expect = AN_INVITE},
		{"authentication counts in words",
		 {.family = 6, .chain = "a1", .payload = INVITE_TEXT},
		 .expect = AN_INVITE},
		{"authentication with a check value",
		 {.family = 6, .chain = "a4", .payload = INVITE_TEXT},
		 .expect = AN_INVITE},
		{"authentication read in units of eight",
		 {.family = 6, .chain = "a4", .payload = INVITE_TEXT, .change = EXTENSION_LENGTH(2)},
		 .expect = NOT_OURS},
		{"a longer header",
		 {.family = 6, .chain = "d3", .payload = INVITE_TEXT},
		 .expect = AN_INVITE},
		{"the longest header",
		 {.family = 6, .chain = "d255", .payload = INVITE_TEXT},
		 .expect = AN_INVITE},
		{"UDP in the second buffer",
		 {.family = 6, .chain = "d255d255", .payload = INVITE_TEXT},
		 .expect = AN_INVITE},
		{"TCP in the second buffer",
		 {.family = 6, .chain = "d255d255", .protocol = TCP, .payload = INVITE_TEXT},
		 .expect = AN_INVITE},
		{"TCP",
		 {.family = 6, .chain = "hda4", .protocol = TCP, .payload = INVITE_TEXT},
		 .expect = AN_INVITE},
		{"two", {.family = 6, .chain = "hd", .payload = INVITE_TEXT}, .expect = AN_INVITE},
		{"three", {.family = 6, .chain = "hdr", .payload = INVITE_TEXT}, .expect = AN_INVITE},
		{"four", {.family = 6, .chain = "hdrf", .payload = INVITE_TEXT}, .expect = AN_INVITE},
		{"five", {.family = 6, .chain = "hdrfa4", .payload = INVITE_TEXT}, .expect = AN_INVITE},
		{"six", {.family = 6, .chain = "hdrfa4d", .payload = INVITE_TEXT}, .expect = AN_INVITE},
		{"seven", {.family = 6, .chain = "hdrfa4dm", .payload = INVITE_TEXT}, .expect = AN_INVITE},
		{"eight", {.family = 6, .chain = "hdrfa4dmd2", .payload = INVITE_TEXT}, .expect = AN_INVITE},
		{"eight, TCP",
		 {.family = 6, .chain = "dddddddd", .protocol = TCP, .payload = INVITE_TEXT},
		 .expect = AN_INVITE},
		{"eight, other port",
		 {.family = 6, .chain = "dddddddd", .port = OTHER_PORT, .payload = INVITE_TEXT},
		 .expect = NOT_OURS},
		{"nine", {.family = 6, .chain = "ddddddddd", .payload = INVITE_TEXT}, .expect = REFUSED},
		{"nine hide every port",
		 {.family = 6, .chain = "ddddddddd", .port = OTHER_PORT, .payload = INVITE_TEXT},
		 .expect = REFUSED},
		{"the last leads beyond the packet",
		 {.family = 6, .chain = "d", .payload = INVITE_TEXT, .change = EXTENSION_LENGTH(200)},
		 .expect = NOT_OURS},
		{"one before the last leads beyond the packet",
		 {.family = 6, .chain = "dd", .payload = INVITE_TEXT, .change = EXTENSION_LENGTH(200)},
		 .expect = REFUSED},
		{"the frame ends within one",
		 {.family = 6, .chain = "dd", .payload = INVITE_TEXT, .keep = 14 + 40 + 15},
		 .expect = REFUSED},
		{"the IPv6 length ends within one",
		 {.family = 6, .chain = "dd", .payload = INVITE_TEXT, .change = IP6_LENGTH(15)},
		 .expect = REFUSED},
	};

	lab_rows(*state, rows, COUNT(rows));
}

/* More than about 3,500 bytes are several buffers to the program. */
static void test_jumbo_frames(void **state)
{
	static const struct row rows[] = {
		{"INVITE of 8,000 bytes", {.payload = INVITE_TEXT, .fill = JUMBO}, .expect = AN_INVITE},
		{"over IPv6", {.family = 6, .payload = INVITE_TEXT, .fill = JUMBO}, .expect = AN_INVITE},
		{"over TCP", {.protocol = TCP, .payload = INVITE_TEXT, .fill = JUMBO}, .expect = AN_INVITE},
		{"with a tag", {.tags = 1, .payload = INVITE_TEXT, .fill = JUMBO}, .expect = AN_INVITE},
		{"whose UDP length ends early",
		 {.payload = INVITE_TEXT, .fill = JUMBO, .change = UDP_LENGTH(8 + 5)},
		 .expect = AN_ODD_ONE},
		{"of garbage", {.fill = JUMBO}, .expect = AN_ODD_ONE},
		{"on another port",
		 {.port = OTHER_PORT, .payload = INVITE_TEXT, .fill = JUMBO},
		 .expect = NOT_OURS},
	};

	lab_rows(*state, rows, COUNT(rows));
}

/* The start-line lies across the seam of the first two buffers, wherever the seam is. */
static void test_start_lines_across_a_seam(void **state)
{
	struct lab *lab = *state;
	struct row row = {
		.name = "seam", .packet = {.family = 6, .payload = INVITE_TEXT}, .expect = AN_INVITE};
	char chain[16];

	/* 2,048 bytes of header, then 1,184 to 1,696 more: UDP and the payload pass every place by fours. */
	for (int units = 147 * 2; units < 212 * 2; units++) {
		snprintf(chain, sizeof(chain), "d255d%d", units / 2);
		row.packet.chain = chain;
		row.packet.tags = units % 2;
		lab_row(lab, &row);
	}
	assert_int_equal(lab->failures, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		lab_test(test_what_is_ours),
		lab_test(test_what_is_not),
		lab_test(test_frames_that_end_early),
		lab_test(test_lengths_that_lie),
		lab_test(test_lengths_that_do_not_lie),
		lab_test(test_segments_that_are_nearly_plain),
		lab_test(test_segments_that_lie),
		lab_test(test_extension_headers),
		lab_test(test_jumbo_frames),
		lab_test(test_start_lines_across_a_seam),
	};

	return cmocka_run_group_tests(tests, lab_open, lab_close);
}
