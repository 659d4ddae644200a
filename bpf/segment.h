/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a TCP segment costs: tokens for its bytes, and one for every message that begins in it, so that
 * many small ones in one segment are not cheaper than each in its own. It looks at lines and reads no
 * Content-Length: a start-line follows a line feed, or it ends in SIP/2.0 wherever it begins (behind a body,
 * or in the segment before). Bodies that quote messages (message/sip) count too.
 */
#ifndef SEGMENT_H
#define SEGMENT_H

#include "packet.h"
#include "sip.h"

/* A segment costs one token for each started so many bytes. */
#define SEGMENT_TOKEN_BYTES 512

/* Bytes that are looked through at once, a full Ethernet segment and more, and how often: 33,792 bytes. */
#define SEGMENT_LOOK_BYTES 1536
#define SEGMENT_LOOKS_MAX  22

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
	__u32 classes; /* a bit for each that it takes of */
};

static __always_inline __u32 segment_tokens(__u32 bytes)
{
	return (bytes + SEGMENT_TOKEN_BYTES - 1) / SEGMENT_TOKEN_BYTES;
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

/* Counts of a look, and what it has seen of the line it is in. */
struct look {
	__u64 counts;   /* see SEGMENT_COUNT_SHIFT */
	__u64 previous; /* the word before the one that is looked at */
	__u32 started;  /* 1: this line has been counted as the beginning of a message */
	__u32 lines;    /* of the piece that is looked through */
};

/*
 * Lines in a piece beyond which nobody's messages go: six bytes each. Such a segment counts as full of
 * INVITEs, and costs no more time.
 */
#define SEGMENT_LINES_MAX 256

static __always_inline void look_count(struct look *look, __u32 class)
{
	__u32 shift = SEGMENT_COUNT_SHIFT(class & 7);

	if ((look->counts >> shift & 0xff) < SEGMENT_COUNT_MAX)
		look->counts += 1ULL << shift;
}

/*
 * At a line feed, byte `byte` of `word`: does the line end in SIP/2.0, in capitals or not? A start-line that
 * has not been seen to begin counts as the dearest it can be.
 */
static __always_inline void look_at_end(struct look *look, __u64 word, __u32 byte)
{
	const __u64 fold = 0x2020202020202020ULL;
	__u64 before = look->previous >> byte * 8 | (byte ? word << (8 - byte) * 8 : 0);

	if (look->started)
		return;
	if ((before | fold) == (SIP_TEXT8('s', 'i', 'p', '/', '2', '.', '0', '\r') | fold) ||
	    (before >> 8 | fold >> 8) == SIP_TEXT8('s', 'i', 'p', '/', '2', '.', '0', 0))
		look_count(look, SIPDAM_CLASS_INVITE);
}

/* At the line that begins at byte `start` of the payload: is it a start-line? */
static __always_inline void look_at_start(frame_t *frame, const struct packet *packet, __u32 start,
					  struct look *look)
{
	struct cursor cursor = cursor_open(frame, packet->present, packet->length);
	__u64 words[2];
	__u32 class;

	look->started = 0;
	if (start + SEGMENT_GLANCE_BYTES > packet->payload_length ||
	    cursor_load(&cursor, packet->payload_offset + start, words, sizeof(words)))
		return;
	if ((__u8)((__u8)words[0] - 'A') >= 26)
		return; /* methods and SIP/2.0 begin with a capital: most lines of an attack end here */
	class = segment_class(words[0], words[1]);
	if (!class)
		return;
	look->started = 1;
	look_count(look, class);
}

/*
 * One word at byte `at` of the payload that has line feeds in it. Returns 1 where there are too many.
 * Functions of their own so that the kernel verifies their loops apart.
 */
__noinline int look_at_word(frame_t *frame, const struct packet *packet, __u32 at, __u64 word,
			    struct look *look)
{
	__u64 feeds = bytes_equal(word, '\n');

	if (!packet || !look)
		return 0;
	for (__u32 byte = 0; byte < sizeof(word); byte++, feeds >>= 8) {
		if (!(feeds & 0x80))
			continue;
		look->lines++;
		look_at_end(look, word, byte);
		look_at_start(frame, packet, at + byte + 1, look);
	}
	if (look->lines > SEGMENT_LINES_MAX)
		look->counts = SEGMENT_COUNT_MAX << SEGMENT_COUNT_SHIFT(SIPDAM_CLASS_INVITE);
	return look->lines > SEGMENT_LINES_MAX;
}

/*
 * The word at byte `at` of the payload, with zeros behind its end. CURSOR_BEYOND where the payload has ended
 * before; a payload of fewer than eight bytes is not looked at.
 */
static __always_inline int look_word(const struct cursor *cursor, const struct packet *packet, __u32 at,
				     __u64 *word)
{
	__u32 length = packet->payload_length;
	int error;

	if (at + sizeof(*word) <= length)
		return cursor_load(cursor, packet->payload_offset + at, word, sizeof(*word));
	if (at >= length || length < sizeof(*word))
		return CURSOR_BEYOND;
	error = cursor_load(cursor, packet->payload_offset + length - sizeof(*word), word, sizeof(*word));
	if (!error)
		*word >>= (at + sizeof(*word) - length) * 8 & 63;
	return error;
}

/* SEGMENT_LOOK_BYTES from byte `from` of the payload on. Returns 0 where the payload goes on behind. */
__noinline int look_through(frame_t *frame, const struct packet *packet, __u32 from, struct look *look)
{
	struct cursor cursor;
	__u64 word;

	if (!packet || !look)
		return 1;
	look->lines = 0;
	cursor = cursor_open(frame, packet->present, packet->length);
	for (__u32 i = 0; i < SEGMENT_LOOK_BYTES; i += sizeof(word)) {
		if (look_word(&cursor, packet, from + i, &word))
			return 1;
		if (bytes_equal(word, '\n') && look_at_word(frame, packet, from + i, word, look))
			return 1;
		look->previous = word;
	}
	return 0;
}

/* Messages that begin in a segment beside the one it begins with, if look->started says so, at `skip`. */
__noinline int segment_look(frame_t *frame, const struct packet *packet, __u32 skip, struct look *look)
{
#pragma nounroll
	for (__u32 i = 0; i < SEGMENT_LOOKS_MAX; i++)
		if (look_through(frame, packet, skip + i * SEGMENT_LOOK_BYTES, look))
			break;
	return 0;
}

#endif
