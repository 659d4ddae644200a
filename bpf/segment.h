/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a TCP segment costs: tokens for its bytes, and one for every message that begins in it, so that
 * many small ones in one segment are not cheaper than each in its own. A bounded look, by lines: it reads
 * no Content-Length. A message split over two segments is seen where its start-line lies whole.
 */
#ifndef SEGMENT_H
#define SEGMENT_H

#include "packet.h"
#include "sip.h"

/* A segment costs one token for each started so many bytes. */
#define SEGMENT_TOKEN_BYTES 512

/* Bytes that are looked through for further messages: a full Ethernet segment and more. */
#define SEGMENT_LOOK_BYTES 1536

/* Words that a start-line is told by. */
#define SEGMENT_GLANCE_BYTES 16

/*
 * Messages by class, eight bits each from SIPDAM_CLASS_INVITE on. 256 of the shortest fit the bytes looked
 * at; counting ends before, so that no count runs over into the next, nor with the first message in a bill.
 */
#define SEGMENT_COUNT_MAX          200
#define SEGMENT_CLASSES            6
#define SEGMENT_COUNT_SHIFT(class) (((class) - 1) * 8)
_Static_assert(SIPDAM_CLASS_INVITE == 1 && SIPDAM_CLASS_RESPONSE == SEGMENT_CLASSES,
	       "classes of messages come first");

/* What one packet takes of each class. */
struct bill {
	__u8 n[SIPDAM_CLASSES_MAX];
};

static __always_inline __u32 segment_tokens(__u32 bytes)
{
	return (bytes + SEGMENT_TOKEN_BYTES - 1) / SEGMENT_TOKEN_BYTES;
}

/* The high bit of every byte of the word that is a line feed, exactly. */
static __always_inline __u64 line_feeds(__u64 word)
{
	const __u64 low = 0x7f7f7f7f7f7f7f7fULL;
	__u64 other = word ^ 0x0a0a0a0a0a0a0a0aULL;

	return ~(((other & low) + low) | other | low);
}

/* Class of the message that two words begin: a known method, its space and the first letter of a URI. */
static __always_inline __u32 segment_class(__u64 first, __u64 second)
{
	__u32 length = 0;
	__u32 method = sip_known_method(first, second, &length);

	if (first == SIP_VERSION_TEXT)
		return SIPDAM_CLASS_RESPONSE;
	if (!method || !(characters[(__u8)text5(first, second, length + 1)] & CHARACTER_ALPHA))
		return SIPDAM_CLASS_NONE;
	return sip_class_of(method);
}

/* Adds the message that begins at byte `start` of the payload, if one does. */
__noinline __u64 segment_count_start(frame_t *frame, const struct packet *packet, __u32 start, __u64 counts)
{
	struct cursor cursor;
	__u64 words[2];
	__u32 class, shift;

	if (!packet || start + SEGMENT_GLANCE_BYTES > packet->payload_length)
		return counts;
	cursor = cursor_open(frame, packet->present, packet->length);
	cursor_glance(&cursor, packet->payload_offset + start, words);
	class = segment_class(words[0], words[1]);
	shift = SEGMENT_COUNT_SHIFT(class & 7);
	if (!class || (counts >> shift & 0xff) == SEGMENT_COUNT_MAX)
		return counts;
	return counts + (1ULL << shift);
}

/*
 * Messages that begin after byte `skip` of the payload, where the first one begins: start-lines right
 * after a line feed. Bodies that quote messages (message/sip) count too. Functions of their own so that
 * the kernel verifies their loops apart.
 */
__noinline __u64 segment_further(frame_t *frame, const struct packet *packet, __u32 skip)
{
	struct cursor cursor;
	__u64 counts = 0, word, feeds;

	if (!packet)
		return 0;
	cursor = cursor_open(frame, packet->present, packet->length);
	for (__u32 at = 0; at < SEGMENT_LOOK_BYTES; at += sizeof(word)) {
		if (skip + at + sizeof(word) > packet->payload_length ||
		    cursor_load(&cursor, packet->payload_offset + skip + at, &word, sizeof(word)))
			break;
		feeds = line_feeds(word);
		for (__u32 byte = 0; feeds && byte < sizeof(word); byte++, feeds >>= 8)
			if (feeds & 0x80)
				counts = segment_count_start(frame, packet, skip + at + byte + 1, counts);
	}
	return counts;
}

#endif
