/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The packet parser and the cursor, compiled natively. Every frame lies in a heap buffer of its exact size,
 * so that one byte too far is a report, and every sample is cut at each of its bytes and given every
 * value in each of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/prog/packet.h"

#pragma GCC diagnostic ignored "-Wunknown-pragmas" /* clang's unroll */
#include "packet.h"

/* A row names what it is about and leaves the rest at zero. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#define TCP 6

static struct sipdam_policy policy;

static int make_policy(void **state)
{
	static const __u16 ports[SIPDAM_PORT_KINDS] = {5060, 5060, 5061};

	(void)state;
	for (int kind = 0; kind < SIPDAM_PORT_KINDS; kind++) {
		policy.ports[kind].count = ports[kind] != 0;
		policy.ports[kind].hint = ports[kind] ? 1ULL << (ports[kind] & 63) : 0;
		for (int i = 0; i < SIPDAM_PORTS_PER_KIND; i++)
			policy.ports[kind].port[i] = ports[kind];
	}
	return 0;
}

/* Reads the first `present` bytes of data from a buffer of that size; `length` were on the wire. */
static int read_exact(const __u8 *data, size_t present, size_t length, struct packet *packet)
{
	__u8 *exact = malloc(present);
	frame_t frame = {.data = exact};
	int reason;

	assert_non_null(exact);
	memcpy(exact, data, present);
	*packet = (struct packet){.present = (__u32)present, .length = (__u32)length};
	reason = packet_read(&frame, &policy, packet);
	free(exact);
	return reason;
}

static int read_recipe(const struct recipe *recipe, struct packet *packet)
{
	static struct frame frame;

	frame_build(&frame, recipe);
	return read_exact(frame.data, frame.length, frame.length, packet);
}

#define NONE      SIPDAM_REASON_NONE
#define NOT_SIP   SIPDAM_REASON_NOT_SIP
#define MALFORMED SIPDAM_REASON_MALFORMED

/* One of each shape; what test_samples_are_read expects of them, the others cut and change. */
static const struct sample {
	const char *name;
	struct recipe recipe;
	int reason;
	__u32 payload_offset;
	__u32 payload_length;
	__u8 fragment;
	__u8 cut;
} samples[] = {
	{"IPv4 UDP", {.payload = "payload"}, NONE, 42, 7},
	{"IPv4 UDP, empty", {.payload = ""}, NONE, 42, 0},
	{"IPv4 UDP, padded", {.payload = "payload", .padding = 11}, NONE, 42, 7},
	{"IPv4 UDP, UDP ends first", {.payload = "payload", .change = UDP_LENGTH(8 + 3)}, NONE, 42, 3},
	{"IPv4 options", {.options = 10, .payload = "payload"}, NONE, 82, 7},
	{"IPv4 TCP", {.protocol = TCP, .payload = "payload"}, NONE, 54, 7},
	{"IPv4 TCP options", {.protocol = TCP, .tcp_options = 10, .payload = "payload"}, NONE, 94, 7},
	{"four tags", {.tags = 4, .payload = "payload"}, NONE, 58, 7},
	{"five tags", {.tags = 5, .payload = "payload"}, NOT_SIP},
	{"IPv6 UDP", {.family = 6, .payload = "payload"}, NONE, 62, 7},
	{"IPv6 TCP", {.family = 6, .protocol = TCP, .payload = "payload"}, NONE, 74, 7},
	{"IPv6, eight extension headers",
	 {.family = 6, .chain = "hdrfa4dmd2", .payload = "payload"},
	 NONE,
	 158,
	 7},
	{"IPv6, nine", {.family = 6, .chain = "hdrfa4dmd2d", .payload = "payload"}, MALFORMED},
	{"first fragment", {.more = true, .payload = "payload", .datagram = 99}, NONE, 42, 7, FRAGMENT_FIRST},
	{"first fragment without ports",
	 {.more = true, .payload = "", .change = IP_LENGTH(20)},
	 NONE,
	 0,
	 0,
	 FRAGMENT_FIRST,
	 1},
	{"follower", {.offset = 8, .payload = "payload"}, NONE, 0, 0, FRAGMENT_FOLLOWER},
	{"IPv6 first fragment",
	 {.family = 6, .chain = "fd", .more = true, .payload = "payload", .datagram = 99},
	 NONE,
	 78,
	 7,
	 FRAGMENT_FIRST},
	{"IPv6 follower",
	 {.family = 6, .chain = "f", .offset = 8, .payload = "payload"},
	 NONE,
	 0,
	 0,
	 FRAGMENT_FOLLOWER},
	{"other port", {.port = 5062, .payload = "payload"}, NOT_SIP},
	{"ICMP", {.protocol = 1, .payload = "payload"}, NOT_SIP},
	{"ARP", {.ethertype = 0x0806, .payload = "payload"}, NOT_SIP},
	{"header length that lies", {.payload = "payload", .change = IP_FIRST_BYTE(0x44)}, MALFORMED},
	{"total length that lies", {.payload = "payload", .change = IP_LENGTH_BY(1)}, MALFORMED},
	{"UDP length that lies", {.payload = "payload", .change = UDP_LENGTH_BY(1)}, MALFORMED},
	{"TCP header that lies", {.protocol = TCP, .change = TCP_WORDS(6)}, MALFORMED},
};

static void test_samples_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(samples); i++) {
		const struct sample *sample = &samples[i];
		struct packet packet;
		int reason = read_recipe(&sample->recipe, &packet);

		if (reason != sample->reason)
			fail_msg("%s: expected reason %d, got %d", sample->name, sample->reason, reason);
		if (reason)
			continue;
		if (packet.payload_offset != sample->payload_offset ||
		    packet.payload_length != sample->payload_length || packet.fragment != sample->fragment ||
		    packet.cut != sample->cut)
			fail_msg("%s: payload of %u at %u, fragment %u, cut %u", sample->name,
				 packet.payload_length, packet.payload_offset, packet.fragment, packet.cut);
	}
}

static void test_fields(void **state)
{
	static const __u8 source[16] = {[10] = 0xff, 0xff, 192, 0, 2, 1};
	static const __u8 destination[16] = {[10] = 0xff, 0xff, 198, 51, 100, 1};
	__u8 source6[16], destination6[16];
	struct packet packet;

	(void)state;
	inet_pton(AF_INET6, SOURCE6, source6);
	inet_pton(AF_INET6, DESTINATION6, destination6);
	assert_int_equal(read_recipe(&(struct recipe){.payload = "x"}, &packet), NONE);
	assert_memory_equal(&packet.source, source, 16);
	assert_memory_equal(&packet.destination, destination, 16);
	assert_int_equal(packet.family, 4);
	assert_int_equal(packet.protocol, IPPROTO_UDP);
	assert_int_equal(packet.port, SIP_PORT);
	assert_int_equal(packet.port_kind, SIPDAM_PORTS_UDP);
	assert_int_equal(packet.payload_whole, 1);
	assert_int_equal(
		read_recipe(
			&(struct recipe){.family = 6, .protocol = TCP, .port = TLS_PORT, .flags = FLAG_SYN},
			&packet),
		NONE);
	assert_memory_equal(&packet.source, source6, 16);
	assert_memory_equal(&packet.destination, destination6, 16);
	assert_int_equal(packet.family, 6);
	assert_int_equal(packet.protocol, IPPROTO_TCP);
	assert_int_equal(packet.port_kind, SIPDAM_PORTS_TLS);
	assert_int_equal(packet.tcp_flags, TCP_SYN);
	assert_int_equal(packet.payload_whole, 0);
	assert_int_equal(read_recipe(&(struct recipe){.offset = 8, .fill = 9}, &packet), NONE);
	assert_int_equal(packet.identification, htons(IDENTIFICATION));
	assert_int_equal(packet.fragment_protocol, IPPROTO_UDP);
}

/* What holds of every packet, however it was made. */
static void check_bounds(const char *name, const struct packet *packet, int reason)
{
	bool has_payload = !reason && !packet->cut && packet->fragment != FRAGMENT_FOLLOWER;

	assert_in_range(reason, NONE, SIPDAM_REASONS_MAX - 1);
	if (!reason && packet->end > packet->length)
		fail_msg("%s: the packet ends at %u of %u", name, packet->end, packet->length);
	if (has_payload && packet->payload_offset + packet->payload_length > packet->end)
		fail_msg("%s: a payload of %u at %u of %u", name, packet->payload_length,
			 packet->payload_offset, packet->end);
}

/* A frame that ends early is read without a byte too far and never as longer than it is. */
static void test_every_sample_ends_at_every_byte(void **state)
{
	static struct frame frame;
	struct packet packet;

	(void)state;
	for (size_t i = 0; i < COUNT(samples); i++) {
		frame_build(&frame, &samples[i].recipe);
		for (size_t length = 14; length <= frame.length; length++)
			check_bounds(samples[i].name, &packet,
				     read_exact(frame.data, length, length, &packet));
	}
}

/* A capture that ends early tells the same as the whole packet, or that it cannot tell. */
static void test_every_capture_ends_at_every_byte(void **state)
{
	static struct frame frame;
	struct packet packet;

	(void)state;
	for (size_t i = 0; i < COUNT(samples); i++) {
		bool told = false;

		frame_build(&frame, &samples[i].recipe);
		for (size_t present = 0; present <= frame.length; present++) {
			int reason = read_exact(frame.data, present, frame.length, &packet);

			check_bounds(samples[i].name, &packet, reason);
			if (told && reason == SIPDAM_REASON_TRUNCATED)
				fail_msg("%s: told of %zu bytes, not of %zu", samples[i].name, present - 1,
					 present);
			if (reason == SIPDAM_REASON_TRUNCATED)
				continue;
			told = true;
			if (reason != samples[i].reason)
				fail_msg("%s: %zu bytes tell %d", samples[i].name, present, reason);
		}
		assert_true(told);
	}
}

/* Every value in every byte of every sample. */
static void test_every_byte_of_every_sample(void **state)
{
	static struct frame frame;
	struct packet packet;

	(void)state;
	for (size_t i = 0; i < COUNT(samples); i++) {
		frame_build(&frame, &samples[i].recipe);
		for (size_t at = 12; at < frame.length; at++) {
			__u8 good = frame.data[at];

			for (int value = 0; value < 256; value++) {
				frame.data[at] = (__u8)value;
				check_bounds(samples[i].name, &packet,
					     read_exact(frame.data, frame.length, frame.length, &packet));
			}
			frame.data[at] = good;
		}
	}
}

/* ---- cursor ---- */

static void test_cursor_loads(void **state)
{
	__u8 *exact = malloc(10), target[4];
	frame_t frame = {.data = exact};
	struct cursor whole = cursor_open(&frame, 10, 10), cut = cursor_open(&frame, 10, 12);

	(void)state;
	memcpy(exact, "0123456789", 10);
	assert_int_equal(cursor_load(&whole, 6, target, 4), CURSOR_DONE);
	assert_memory_equal(target, "6789", 4);
	assert_int_equal(cursor_load(&whole, 7, target, 4), CURSOR_BEYOND);
	assert_int_equal(cursor_load(&whole, 10, target, 4), CURSOR_BEYOND);
	assert_int_equal(cursor_load(&cut, 6, target, 4), CURSOR_DONE);
	assert_int_equal(cursor_load(&cut, 7, target, 4), CURSOR_TRUNCATED);
	assert_int_equal(cursor_load(&cut, 8, target, 4), CURSOR_TRUNCATED);
	assert_int_equal(cursor_load(&cut, 9, target, 4), CURSOR_BEYOND);
	assert_int_equal(cursor_load(&whole, CURSOR_OFFSET_MAX + 1, target, 4), CURSOR_BEYOND);
	assert_int_equal(cursor_load(&whole, ~0u, target, 4), CURSOR_BEYOND);
	free(exact);
}

/* A window holds what is available and present, zeros after that. */
static void check_window(__u32 present, __u32 offset, __u32 available)
{
	__u8 *exact = malloc(present ? present : 1);
	frame_t frame = {.data = exact};
	struct cursor cursor = cursor_open(&frame, present, offset + available);
	__u32 held = present > offset ? present - offset : 0;
	__u8 expected[WINDOW_BYTES] = {0};
	struct window window;

	for (__u32 i = 0; i < present; i++)
		exact[i] = (__u8)(i % 255 + 1);
	if (held > available)
		held = available;
	if (held > WINDOW_BYTES)
		held = WINDOW_BYTES;
	for (__u32 i = 0; i < held; i++)
		expected[i] = exact[offset + i];
	memset(&window, 0xee, sizeof(window));
	cursor_window(&cursor, offset, available, &window);
	assert_int_equal(window.length, held);
	assert_memory_equal(window.word, expected, WINDOW_BYTES);
	free(exact);
}

static void test_cursor_windows(void **state)
{
	(void)state;
	for (__u32 present = 0; present < 140; present++)
		for (__u32 offset = 0; offset < 80; offset += 7)
			for (__u32 available = 0; available < 70; available++)
				check_window(present, offset, available);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_samples_are_read),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_every_sample_ends_at_every_byte),
		cmocka_unit_test(test_every_capture_ends_at_every_byte),
		cmocka_unit_test(test_every_byte_of_every_sample),
		cmocka_unit_test(test_cursor_loads),
		cmocka_unit_test(test_cursor_windows),
	};

	return cmocka_run_group_tests(tests, make_policy, NULL);
}
