/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Frames through the parser, the reader of start-lines and the look through segments, compiled natively.
 * Input: one byte that says how many bytes the capture lacks, then the frame, which lies in a heap buffer
 * of its exact size.
 */
#include <string.h>

#include "tests/fuzz/harness.h"
#include "tests/fuzz/seeds.h"
#include "tests/prog/packet.h"

#include "packet.h"
#include "segment.h"
#include "sip.h"

static const struct sipdam_policy *policy_make(void)
{
	static const __u16 ports[SIPDAM_PORT_KINDS] = {5060, 5060, 5061, 80, 443};
	static struct sipdam_policy policy;

	for (int kind = 0; kind < SIPDAM_PORT_KINDS && !policy.ports[kind].count; kind++) {
		policy.ports[kind].count = 1;
		policy.ports[kind].hint = 1ULL << (ports[kind] & 63);
		for (int i = 0; i < SIPDAM_PORTS_PER_KIND; i++)
			policy.ports[kind].port[i] = ports[kind];
	}
	return &policy;
}

static void check_message(__u32 message)
{
	if (message == SIP_LONG)
		return;
	require(SIP_CLASS(message) <= SIPDAM_CLASS_MALFORMED);
	require(SIP_METHOD(message) <= SIPDAM_METHOD_RESPONSE);
	require(SIP_STATUS(message) <= 999);
	require(!SIP_STATUS(message) || SIP_METHOD(message) == SIPDAM_METHOD_RESPONSE);
}

/* The payload from `skip` on, read as a datagram's and looked through as a segment's. */
static void read_payload(frame_t *frame, const struct packet *packet, __u32 skip)
{
	struct cursor cursor = cursor_open(frame, packet->present, packet->length);
	struct look look = {.started = 1};
	struct window window;

	if (skip > packet->payload_length)
		return;
	cursor_window(&cursor, packet->payload_offset + skip, packet->payload_length - skip, &window);
	require(window.length <= WINDOW_BYTES && window_blank(&window) <= window.length);
	is_stun(&window, packet->payload_length - skip);
	check_message(sip_classify(&window, false));
	check_message(sip_classify(&window, true));
	segment_look(frame, packet, skip, &look);
	for (int class = 1; class <= SEGMENT_CLASSES; class ++)
		require((look.counts >> SEGMENT_COUNT_SHIFT(class) & 0xff) <= SEGMENT_COUNT_MAX);
}

static void read_frame(const uint8_t *data, size_t present, size_t length)
{
	struct packet packet = {.present = (__u32)present, .length = (__u32)length};
	uint8_t *exact = malloc(present ? present : 1);
	frame_t frame = {.data = exact};
	int reason;

	memcpy(exact, data, present);
	reason = packet_read(&frame, policy_make(), &packet);
	require(reason == SIPDAM_REASON_NONE || reason == SIPDAM_REASON_NOT_SIP ||
		reason == SIPDAM_REASON_MALFORMED || (reason == SIPDAM_REASON_TRUNCATED && present < length));
	if (!reason && !packet.cut && packet.fragment != FRAGMENT_FOLLOWER) {
		require((__u64)packet.payload_offset + packet.payload_length <= length);
		read_payload(&frame, &packet, 0);
		read_payload(&frame, &packet, 3);
	}
	free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size >= 1 && size <= 4096)
		read_frame(data + 1, size - 1, size - 1 + data[0]);
	return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const struct recipe recipes[] = {
		{.payload = INVITE_TEXT},
		{.payload = ACK_TEXT, .tags = 4, .options = 3},
		{.payload = "SIP/2.0 200 OK\r\n\r\n", .family = 6},
		{.payload = "\r\n\r\n" INVITE_TEXT, .family = 6, .chain = "hrda"},
		{.payload = INVITE_TEXT, .more = true, .datagram = 2000},
		{.payload = "rest", .offset = 1480},
		{.payload = INVITE_TEXT, .family = 6, .chain = "fd", .more = true, .datagram = 2000},
		{.payload = "rest", .family = 6, .chain = "f", .offset = 1480},
		{.payload = INVITE_TEXT ACK_TEXT "x" INVITE_TEXT, .protocol = 6, .tcp_options = 3},
		{.payload = "", .protocol = 6, .flags = FLAG_SYN, .port = 5061},
		{.payload = "\0\1\0\0\x21\x12\xa4\x42 a transaction", .payload_bytes = 20},
	};
	const char *folder = seeds_folder(*argc, *argv);
	static struct frame frame;
	static uint8_t input[FRAME_BYTES_MAX + 1];

	for (size_t i = 0; folder && i < COUNT(recipes); i++) {
		frame_build(&frame, &recipes[i]);
		memcpy(input + 1, frame.data, frame.length);
		seed_write_number(folder, i, input, frame.length + 1);
	}
	return 0;
}
