/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which version of TLS a hello speaks of (RFC 8446 4.1.2, 4.1.3, 4.2.1 and 5.1), as far as one segment and
 * one record show it; and how a packet is altered whose hello is not wanted. Not for who may send one. What
 * cannot be seen, and what a server refuses anyhow (lengths that lie), is TLS_UNSEEN and never a guess.
 */
#ifndef TLS_H
#define TLS_H

#include "cursor.h"
#include "packet.h"
#include "sipdam/state.h"

#define TLS_BEGIN_BYTES 6 /* that tell what a segment begins with: a record's header, a message's type */

#define TLS_RECORD_BYTES    5
#define TLS_RECORD_MAX      16384 /* RFC 8446 5.1 */
#define TLS_HANDSHAKE       22
#define TLS_HANDSHAKE_BYTES 4
#define TLS_CLIENT_HELLO    1
#define TLS_SERVER_HELLO    2

/*
 * A ClientHello as SSL 2.0 had it (RFC 5246 appendix E.2), which servers of OpenSSL 3 and GnuTLS still take:
 * a length with the highest bit set, the message's type, the version, and three lengths.
 */
#define TLS_OLD_BYTES      11
#define TLS_OLD_LENGTH     0x80
#define TLS_OLD_TYPE_AT    2
#define TLS_OLD_VERSION_AT 3
#define TLS_OLD_SUITES_AT  5
#define TLS_OLD_CHALLENGE  16 /* at least; at most as long as a random */

/* From the record's header on: legacy_version, the random of 32 bytes, and the session's number. */
#define TLS_LEGACY_AT     (TLS_RECORD_BYTES + TLS_HANDSHAKE_BYTES)
#define TLS_RANDOM_AT     (TLS_LEGACY_AT + 2)
#define TLS_SESSION_AT    (TLS_RANDOM_AT + 32)
#define TLS_SESSION_BYTES 32 /* at most */

#define TLS_SSL3 0x0300
#define TLS_1_0  0x0301
#define TLS_1_2  0x0303
#define TLS_1_3  0x0304

/* The extension that names versions, and what its type becomes in a hello that is to be refused: one of those
 * for private use. */
#define TLS_SUPPORTED_VERSIONS 43
#define TLS_HIDDEN_VERSIONS    0xff2b

/*
 * Browsers send some 20 extensions, and three or four versions with one that means nothing (GREASE, RFC
 * 8701). A hello of more extensions is not read to its end, and of a list only so many versions count.
 */
#define TLS_EXTENSIONS_MAX 64
#define TLS_VERSIONS_MAX   16

/* Instead of a version, which is 0x0300 to 0x0304, or 0 where none is named that is known. */
#define TLS_UNSEEN (-1)

enum tls_begins {
	TLS_BEGINS_OTHER = 0,
	TLS_BEGINS_CLIENT = 1, /* a ClientHello */
	TLS_BEGINS_SERVER = 2, /* a ServerHello */
	TLS_BEGINS_OLD = 3,    /* a ClientHello as SSL 2.0 had it */
	TLS_BEGINS_CUT = 4,    /* a handshake that does not show what it begins with, as no real one does */
	TLS_BEGINS_HIDDEN = 5, /* a capture lacks the bytes */
};

/* Where a hello lies in the frame. */
struct tls_hello {
	__u32 start;     /* of its record */
	__u32 sight;     /* where the record ends, or before it the segment */
	__u32 end;       /* where the hello itself says that it ends */
	__u32 supported; /* where supported_versions is; 0: it was not seen */
	__u32 version;   /* where legacy_version is */
	__u32 spare;     /* bytes of the client's random, at a place as odd or even as that */
	__u16 bytes;     /* of what supported_versions holds */
	__u16 legacy;    /* legacy_version */
	__u32 chosen;    /* 1: a version was read of a ServerHello, and is not refused */
};

static __always_inline __u32 tls_number(const __u8 *byte)
{
	return byte[0] << 8 | byte[1];
}

/* Two bytes that tell an old hello are few: a segment in mid-message begins so once in 65,536 times. */
static __always_inline bool tls_may_be_old(const __u8 byte[TLS_BEGIN_BYTES])
{
	return byte[0] & TLS_OLD_LENGTH && byte[TLS_OLD_TYPE_AT] == TLS_CLIENT_HELLO &&
	       byte[TLS_OLD_VERSION_AT] == 3;
}

/* What the first bytes of a segment are the beginning of; of OLD it may be. */
static __always_inline enum tls_begins tls_begins(const __u8 byte[TLS_BEGIN_BYTES])
{
	__u32 length = tls_number(byte + 3);

	if (byte[0] != TLS_HANDSHAKE)
		return tls_may_be_old(byte) ? TLS_BEGINS_OLD : TLS_BEGINS_OTHER;
	if (byte[1] != 3 || length > TLS_RECORD_MAX)
		return TLS_BEGINS_OTHER;
	if (!length)
		return TLS_BEGINS_CUT; /* OpenSSL goes on to the next record, where the hello is */
	if (byte[5] == TLS_CLIENT_HELLO)
		return TLS_BEGINS_CLIENT;
	return byte[5] == TLS_SERVER_HELLO ? TLS_BEGINS_SERVER : TLS_BEGINS_OTHER;
}

/* Do the lengths of what may be an old hello agree? */
static __always_inline bool tls_old_agrees(const __u8 byte[TLS_OLD_BYTES])
{
	__u32 suites = tls_number(byte + TLS_OLD_SUITES_AT), session = tls_number(byte + TLS_OLD_SUITES_AT + 2);
	__u32 challenge = tls_number(byte + TLS_OLD_SUITES_AT + 4);

	return suites && suites % 3 == 0 && session <= TLS_SESSION_BYTES && challenge >= TLS_OLD_CHALLENGE &&
	       challenge <= 32 &&
	       (tls_number(byte) & 0x7fff) + 2 == TLS_OLD_BYTES + suites + session + challenge;
}

/* A segment of fewer bytes than would tell, or whose first ones may be an old hello's. A rare one, and so a
 * function of its own. */
__noinline int tls_look_closer(frame_t *frame, const struct packet *packet)
{
	__u8 byte[TLS_OLD_BYTES] = {TLS_HANDSHAKE, 3};
	struct cursor cursor;
	int error;

	if (!packet || !packet->payload_length)
		return TLS_BEGINS_OTHER;
	cursor = cursor_open(frame, packet->present, packet->length);
	if (packet->payload_length >= sizeof(byte)) {
		if (cursor_load(&cursor, packet->payload_offset, byte, sizeof(byte)))
			return TLS_BEGINS_HIDDEN;
		return tls_old_agrees(byte) ? TLS_BEGINS_OLD : TLS_BEGINS_OTHER;
	}
	if (packet->payload_length >= TLS_BEGIN_BYTES)
		return TLS_BEGINS_CUT;
	error = packet->payload_length == 1 ? cursor_load(&cursor, packet->payload_offset, byte, 1)
					    : cursor_load(&cursor, packet->payload_offset, byte, 2);
	if (error)
		return TLS_BEGINS_HIDDEN;
	return byte[0] == TLS_HANDSHAKE && byte[1] == 3 ? TLS_BEGINS_CUT : TLS_BEGINS_OTHER;
}

/* What a segment begins with. */
static __always_inline enum tls_begins tls_look(frame_t *frame, const struct packet *packet)
{
	struct cursor cursor = cursor_open(frame, packet->present, packet->length);
	__u8 byte[TLS_BEGIN_BYTES];
	enum tls_begins begins;

	if (!packet->payload_length)
		return TLS_BEGINS_OTHER;
	if (packet->payload_length < sizeof(byte))
		return tls_look_closer(frame, packet);
	if (cursor_load(&cursor, packet->payload_offset, byte, sizeof(byte)))
		return TLS_BEGINS_HIDDEN;
	begins = tls_begins(byte);
	if (begins == TLS_BEGINS_OLD)
		return tls_look_closer(frame, packet);
	return begins;
}

/* Is it what a client asks for a handshake with? */
static __always_inline bool tls_asks(enum tls_begins begins)
{
	return begins == TLS_BEGINS_CLIENT || begins == TLS_BEGINS_OLD || begins == TLS_BEGINS_CUT;
}

/* Bytes of a hello that are in sight. */
static __always_inline bool tls_load(const struct cursor *cursor, const struct tls_hello *hello, __u32 at,
				     void *target, const __u32 size)
{
	return at + size <= hello->sight && cursor_load(cursor, at, target, size) == CURSOR_DONE;
}

/* Behind a vector whose length is one byte at `at`, and from `least` to `most`; 0: not in sight, or it lies.
 */
static __always_inline __u32 tls_skip(const struct cursor *cursor, const struct tls_hello *hello, __u32 at,
				      const __u32 least, const __u32 most)
{
	__u8 length;

	if (!tls_load(cursor, hello, at, &length, 1) || length < least || length > most)
		return 0;
	return at + 1 + length;
}

/* The part of a hello that all have. False where it is not in sight. */
static __always_inline bool tls_open(const struct cursor *cursor, const struct packet *packet,
				     struct tls_hello *hello)
{
	__u8 head[TLS_RANDOM_AT];
	__u32 segment = packet->payload_offset + packet->payload_length;

	*hello = (struct tls_hello){.start = packet->payload_offset,
				    .sight = segment,
				    .version = packet->payload_offset + TLS_LEGACY_AT,
				    .spare = packet->payload_offset + TLS_RANDOM_AT};
	if (!tls_load(cursor, hello, hello->start, head, sizeof(head)))
		return false;
	hello->sight = hello->start + TLS_RECORD_BYTES + tls_number(head + 3);
	if (hello->sight > segment)
		hello->sight = segment;
	hello->end = hello->start + TLS_LEGACY_AT +
		     (head[TLS_RECORD_BYTES + 1] << 16 | tls_number(head + TLS_RECORD_BYTES + 2));
	hello->legacy = tls_number(head + TLS_LEGACY_AT);
	return true;
}

/* Where the extensions of a ClientHello begin: at its end where it has none. 0: not in sight, or it lies. */
static __always_inline __u32 tls_client_extensions(const struct cursor *cursor, const struct tls_hello *hello)
{
	__u32 at = tls_skip(cursor, hello, hello->start + TLS_SESSION_AT, 0, TLS_SESSION_BYTES);
	__u8 field[2]; /* length of the cipher suites */

	if (!at || !tls_load(cursor, hello, at, field, sizeof(field)) || field[1] & 1 || !tls_number(field))
		return 0;
	return tls_skip(cursor, hello, at + 2 + tls_number(field), 1, 255); /* compression methods */
}

/* The same of a ServerHello: behind its session come a cipher suite and a compression method. */
static __always_inline __u32 tls_server_extensions(const struct cursor *cursor, const struct tls_hello *hello)
{
	__u32 at = tls_skip(cursor, hello, hello->start + TLS_SESSION_AT, 0, TLS_SESSION_BYTES);

	return at ? at + 3 : 0;
}

/* Type and length of an extension. */
static __always_inline int tls_step(const struct cursor *cursor, __u64 at, __u8 header[4])
{
	return cursor->near ? cursor_step(cursor, at, header) : cursor_load(cursor, at, header, 4);
}

/*
 * Looks for supported_versions among the extensions, whose length is at `from`. False where it is neither found
 * nor known to be absent, which it is where the last one has told its length.
 */
static __always_inline bool tls_find_versions(const struct cursor *cursor, struct tls_hello *hello, __u32 from)
{
	const __u64 end = hello->end, sight = hello->sight;
	__u8 length[2];
	__u64 at = from, next;
	__u8 header[4]; /* type and length */

	if (at == end)
		return true;
	if (!tls_load(cursor, hello, from, length, sizeof(length)) || from + 2 + tls_number(length) != end)
		return false;
	at += 2;
#pragma nounroll
	for (int i = 0; i < TLS_EXTENSIONS_MAX; i++) {
		if (at == end)
			return true;
		next = at + sizeof(header);
		if (next > sight || tls_step(cursor, at, header))
			return false;
		next += header[3];
		if (!header[0] && header[1] == TLS_SUPPORTED_VERSIONS) {
			hello->supported = at;
			hello->bytes = tls_number(header + 2);
			return next + (header[2] << 8) <= end;
		}
		/* Last, what is known last: not the other way round, as a compiler may find better. */
		asm volatile("" : "+r"(next));
		at = next + (header[2] << 8);
	}
	return false;
}

static __always_inline bool tls_is_known(__u32 version)
{
	return version >= TLS_SSL3 && version <= TLS_1_3;
}

/*
 * What a hello without supported_versions speaks of: a server chooses nothing above TLS 1.2 then, whatever
 * the number is (RFC 8446 4.2.1).
 */
static __always_inline int tls_legacy_version(__u32 version)
{
	if (version > TLS_1_2)
		return TLS_1_2;
	return tls_is_known(version) ? (int)version : 0;
}

/* The highest version in a list; the others, GREASE among them, are nobody's. */
static __always_inline int tls_highest(const struct cursor *cursor, const struct tls_hello *hello)
{
	__u32 at = hello->supported + 4, versions;
	int highest = 0;
	__u8 length, field[2];

	if (!tls_load(cursor, hello, at, &length, 1) || length + 1 != hello->bytes || length & 1 || !length)
		return TLS_UNSEEN;
	at++;
	versions = length / 2;
#pragma nounroll
	for (__u32 i = 0; i < TLS_VERSIONS_MAX && i < versions; i++, at += 2) {
		if (!tls_load(cursor, hello, at, field, sizeof(field)))
			return TLS_UNSEEN;
		if (tls_is_known(tls_number(field)) && (int)tls_number(field) > highest)
			highest = tls_number(field);
	}
	return highest;
}

/* The same of an old hello, which tls_look() has found: it has no extensions. */
__noinline int tls_offered_old(frame_t *frame, const struct packet *packet, struct tls_hello *hello)
{
	struct cursor cursor;
	__u8 head[TLS_OLD_SUITES_AT];

	if (!packet || !hello)
		return TLS_UNSEEN;
	cursor = cursor_open(frame, packet->present, packet->length);
	*hello = (struct tls_hello){.start = packet->payload_offset,
				    .sight = packet->payload_offset + packet->payload_length,
				    .version = packet->payload_offset + TLS_OLD_VERSION_AT};
	if (!tls_load(&cursor, hello, hello->start, head, sizeof(head)))
		return TLS_UNSEEN;
	/* The challenge comes last, and a server makes its random of it. */
	hello->end = hello->start + 2 + (tls_number(head) & 0x7fff);
	hello->spare = hello->end - 2 - ((hello->end ^ hello->version) & 1);
	hello->legacy = tls_number(head + TLS_OLD_VERSION_AT);
	return tls_legacy_version(hello->legacy);
}

/* What a ClientHello offers, as tls_offered() says it. */
static __always_inline int tls_read_offer(const struct cursor *cursor, const struct packet *packet,
					  struct tls_hello *hello)
{
	__u32 at;

	if (!tls_open(cursor, packet, hello))
		return TLS_UNSEEN;
	at = tls_client_extensions(cursor, hello);
	if (!at || !tls_find_versions(cursor, hello, at))
		return TLS_UNSEEN;
	return hello->supported ? tls_highest(cursor, hello) : tls_legacy_version(hello->legacy);
}

/* The same of a segment that is not whole in the first buffer. */
__noinline int tls_offered_far(frame_t *frame, const struct packet *packet, struct tls_hello *hello)
{
	struct cursor cursor;

	if (!packet || !hello)
		return TLS_UNSEEN;
	cursor = cursor_open(frame, packet->present, packet->length);
	return tls_read_offer(&cursor, packet, hello);
}

/*
 * The highest version that the ClientHello at the beginning of a segment offers, 0 where it names none that
 * is known, TLS_UNSEEN. hello: where it lies.
 */
static __always_inline int tls_offered(frame_t *frame, const struct packet *packet, struct tls_hello *hello)
{
	struct cursor cursor = cursor_near(frame, packet->present, packet->length);

	if (!cursor_holds(&cursor, packet->payload_offset + packet->payload_length))
		return tls_offered_far(frame, packet, hello);
	return tls_read_offer(&cursor, packet, hello);
}

/* Is it a HelloRetryRequest, which is a ServerHello with one certain random (RFC 8446 4.1.3)? */
static __always_inline bool tls_asks_again(const __u64 random[4])
{
	return random[0] == __builtin_bswap64(0xcf21ad74e59a6111ULL) &&
	       random[1] == __builtin_bswap64(0xbe1d8c021e65b891ULL) &&
	       random[2] == __builtin_bswap64(0xc2a211167abb8c5eULL) &&
	       random[3] == __builtin_bswap64(0x079e09e2c8a8339cULL);
}

#define TLS_ASKS_AGAIN (-2)

/* The version that the ServerHello at the beginning of a segment chooses; TLS_ASKS_AGAIN where it is none
 * yet. */
__noinline int tls_chosen(frame_t *frame, const struct packet *packet, struct tls_hello *hello)
{
	struct cursor cursor;
	__u64 random[4];
	__u8 field[2];
	__u32 at;

	if (!packet || !hello)
		return TLS_UNSEEN;
	cursor = cursor_open(frame, packet->present, packet->length);
	if (!tls_open(&cursor, packet, hello) ||
	    !tls_load(&cursor, hello, hello->start + TLS_RANDOM_AT, random, sizeof(random)))
		return TLS_UNSEEN;
	if (tls_asks_again(random))
		return TLS_ASKS_AGAIN;
	at = tls_server_extensions(&cursor, hello);
	if (!at || !tls_find_versions(&cursor, hello, at))
		return TLS_UNSEEN;
	if (!hello->supported)
		return tls_is_known(hello->legacy) ? hello->legacy : 0;
	if (hello->bytes != sizeof(field) ||
	    !tls_load(&cursor, hello, hello->supported + 4, field, sizeof(field)))
		return TLS_UNSEEN;
	return tls_is_known(tls_number(field)) ? (int)tls_number(field) : 0;
}

/* The meter's row of a version. */
static __always_inline __u32 tls_row(int version)
{
	if (version < 0)
		return SIPDAM_TLS_UNSEEN;
	return version ? SIPDAM_TLS_SSL3 + version - TLS_SSL3 : SIPDAM_TLS_UNKNOWN;
}

/* ---- altering a packet whose hello is not wanted: no length changes, and no sum ---- */

/*
 * A field of 16 bits that makes up for another that goes from `before` to `after`: the ones' complement sum
 * of both stays, and so does any checksum over them, finished or not. All as they are read, in one byte
 * order; both fields at even places of what is summed, or both at odd ones.
 */
static __always_inline __u16 tls_makes_up(__u16 field, __u16 before, __u16 after)
{
	__u32 sum = (__u32)field + before + (__u16)~after;

	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

#define TLS_RANDOM_FIELDS 16 /* of 16 bits */

/*
 * Makes a ServerHello that no client can use of one that tls_chosen() has read: it chooses SSL 3.0, which a
 * client refuses with an alert that the server hears, and of its random, without which nobody can go on,
 * nothing is left but what makes up for the rest in its last field. 1: done.
 */
__noinline int tls_make_useless(frame_t *frame, const struct packet *packet, const struct tls_hello *hello)
{
	__u16 field[1 + TLS_RANDOM_FIELDS]; /* the version, the random */
	struct cursor cursor;
	__u16 last = 0;

	if (!packet || !hello || !hello->start)
		return 0;
	cursor = cursor_open(frame, packet->present, packet->length);
	if (cursor_load(&cursor, hello->version, field, sizeof(field)))
		return 0;
	for (int i = 1; i <= TLS_RANDOM_FIELDS; i++) {
		last = tls_makes_up(last, field[i], 0);
		field[i] = 0;
	}
	field[TLS_RANDOM_FIELDS] = tls_makes_up(last, field[0], __builtin_bswap16(TLS_SSL3));
	field[0] = __builtin_bswap16(TLS_SSL3);
	return cursor_store(&cursor, hello->version, field, sizeof(field)) == CURSOR_DONE;
}

#ifndef FRAME_LEAVES
#define TCP_FLAGS_AT  12 /* the word with the header's length and the flags */
#define TCP_URGENT_AT 18
#define TCP_FIN       0x01
#define TCP_RST       0x04
#define TCP_PSH       0x08
#define TCP_URG       0x20

/* Sets a field, and makes up for it in another. False where they cannot be written: nothing is changed. */
static __always_inline bool tls_exchange(frame_t *frame, const struct packet *packet, __u32 at, __u16 value,
					 __u32 other)
{
	struct cursor cursor = cursor_open(frame, packet->present, packet->length);
	__u16 before, made_up;

	if (cursor_load(&cursor, at, &before, sizeof(before)) ||
	    cursor_load(&cursor, other, &made_up, sizeof(made_up)))
		return false;
	made_up = tls_makes_up(made_up, before, value);
	return cursor_store(&cursor, at, &value, sizeof(value)) == CURSOR_DONE &&
	       cursor_store(&cursor, other, &made_up, sizeof(made_up)) == CURSOR_DONE;
}

/*
 * Makes the segment a reset for its receiver, whose kernel then ends the connection and reads no payload.
 * What the flags change the urgent pointer makes up for, which without its flag means nothing. 1: done.
 */
__noinline int tls_make_reset(frame_t *frame, const struct packet *packet)
{
	struct cursor cursor;
	__u16 word;
	__u32 at;

	if (!packet)
		return 0;
	at = packet->transport_offset;
	cursor = cursor_open(frame, packet->present, packet->length);
	if (cursor_load(&cursor, at + TCP_FLAGS_AT, &word, sizeof(word)))
		return 0;
	word &= __builtin_bswap16((__u16) ~(TCP_PSH | TCP_FIN | TCP_URG | TCP_SYN));
	word |= __builtin_bswap16(TCP_RST);
	return tls_exchange(frame, packet, at + TCP_FLAGS_AT, word, at + TCP_URGENT_AT);
}

/*
 * Makes a hello that no server accepts of one that tls_offered() has read: it offers SSL 3.0 and nothing
 * else. The client's random makes up for it, so that a server that takes even that fails at the handshake's
 * end. 1: done.
 */
__noinline int tls_make_refused(frame_t *frame, const struct packet *packet, const struct tls_hello *hello)
{
	const __u16 oldest = __builtin_bswap16(TLS_SSL3), hidden = __builtin_bswap16(TLS_HIDDEN_VERSIONS);
	__u32 spare;

	if (!packet || !hello || !hello->start)
		return 0;
	spare = hello->spare;
	if (!tls_exchange(frame, packet, hello->version, oldest, spare))
		return 0;
	if (!hello->supported)
		return 1;
	spare += (hello->supported ^ spare) & 1 ? 3 : 2;
	return tls_exchange(frame, packet, hello->supported, hidden, spare);
}
#endif

#endif
