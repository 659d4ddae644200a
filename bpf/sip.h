/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a payload is, by its beginning alone (RFC 3261 sections 7 and 25.1): request with its method,
 * response with its status, keepalive, or malformed. Pure: bytes in, a number out. It does not parse
 * headers and does not look for the end of the start-line, which may lie beyond any window.
 */
#ifndef SIP_H
#define SIP_H

#include <stdbool.h>

#include "cursor.h"
#include "sipdam/message.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "start-lines are compared as little-endian words"
#endif

/* What sip_classify returns: class, method and status in one word; 0 is SIP_CUT. */
#define SIP_MESSAGE(class, method, status) ((class) | (method) << 8 | (status) << 16)
#define SIP_CLASS(message)                 ((message)&0xff)
#define SIP_METHOD(message)                ((message) >> 8 & 0xff)
#define SIP_STATUS(message)                ((message) >> 16)
#define SIP_CUT                            0u    /* what is there could still become anything */
#define SIP_LONG                           0xfeu /* a method longer than the window: read on */
#define SIP_BLANK                          0xffu /* CR or LF: look behind them */
#define SIP_MALFORMED                      SIP_MESSAGE(SIPDAM_CLASS_MALFORMED, SIPDAM_METHOD_NONE, 0)
#define SIP_KEEPALIVE                      SIP_MESSAGE(SIPDAM_CLASS_KEEPALIVE, SIPDAM_METHOD_NONE, 0)

/* NAT pings of phones and proxies (empty, CRLF, NULs, "jaK\0") are at most this long. */
#define SIP_KEEPALIVE_BYTES 4

/* STUN (RFC 5389 section 6): a header of 20 bytes, two zero bits first, the cookie at byte 4. */
#define STUN_HEADER_BYTES 20
#define STUN_COOKIE       0x42a41221u /* 0x2112a442 as a little-endian word */

#define SIP_TEXT8(a, b, c, d, e, f, g, h)                                                                    \
	((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24 | (__u64)(e) << 32 |             \
	 (__u64)(f) << 40 | (__u64)(g) << 48 | (__u64)(h) << 56)
#define SIP_VERSION_TEXT SIP_TEXT8('S', 'I', 'P', '/', '2', '.', '0', ' ')
#define SIP_MASK(bytes)  ((bytes) >= 8 ? ~0ULL : (1ULL << (bytes)*8) - 1)

static __always_inline __u8 window_byte(const struct window *window, __u32 index)
{
	return ((const __u8 *)window->word)[index & (WINDOW_BYTES - 1)];
}

static __always_inline bool is_blank(__u8 byte)
{
	return byte == '\r' || byte == '\n';
}

/* The high bit of every byte of the word that is this byte, exactly. */
static __always_inline __u64 bytes_equal(__u64 word, __u8 byte)
{
	const __u64 low = 0x7f7f7f7f7f7f7f7fULL;
	__u64 other = word ^ byte * 0x0101010101010101ULL;

	return ~(((other & low) + low) | other | low);
}

/* CRs and LFs the window begins with. A function of its own so that the kernel verifies its loop once. */
__noinline __u32 window_blank(const struct window *window)
{
	const __u64 all = 0x8080808080808080ULL;
	__u32 count = 0;
	__u64 blank = 0;

	if (!window)
		return 0;
	for (__u32 i = 0; i < WINDOW_BYTES / 8; i++) {
		blank = bytes_equal(window->word[i], '\r') | bytes_equal(window->word[i], '\n');
		if (blank != all)
			break;
		count += 8;
	}
	for (__u32 i = 0; i < 8 && blank != all && blank & 0x80; i++, blank >>= 8)
		count++;
	return count < window->length ? count : window->length;
}

static __always_inline bool is_digit(__u8 byte)
{
	return (__u8)(byte - '0') < 10;
}

/*
 * What a character may be part of (RFC 3261 section 25.1):
 * token = 1*(alphanum / "-" / "." / "!" / "%" / "*" / "_" / "+" / "`" / "'" / "~"),
 * scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )
 */
#define CHARACTER_TOKEN  1
#define CHARACTER_ALPHA  2
#define CHARACTER_SCHEME 4

static const __u8 characters[256] = {
	['A' ... 'Z'] = CHARACTER_TOKEN | CHARACTER_ALPHA | CHARACTER_SCHEME,
	['a' ... 'z'] = CHARACTER_TOKEN | CHARACTER_ALPHA | CHARACTER_SCHEME,
	['0' ... '9'] = CHARACTER_TOKEN | CHARACTER_SCHEME,
	['+'] = CHARACTER_TOKEN | CHARACTER_SCHEME,
	['-'] = CHARACTER_TOKEN | CHARACTER_SCHEME,
	['.'] = CHARACTER_TOKEN | CHARACTER_SCHEME,
	['!'] = CHARACTER_TOKEN,
	['%'] = CHARACTER_TOKEN,
	['*'] = CHARACTER_TOKEN,
	['_'] = CHARACTER_TOKEN,
	['`'] = CHARACTER_TOKEN,
	['\''] = CHARACTER_TOKEN,
	['~'] = CHARACTER_TOKEN,
};

static __always_inline bool is_stun(const struct window *window, __u32 payload_length)
{
	return payload_length >= STUN_HEADER_BYTES && window->length >= 8 && !(window->word[0] & 0xc0) &&
	       window->word[0] >> 32 == STUN_COOKIE;
}

/* What follows "SIP/2.0 ": NNN, then the space before the reason phrase or the end of the line. */
static __always_inline __u32 sip_response(__u64 rest)
{
	__u8 after = rest >> 24;

	if (!is_digit(rest) || !is_digit(rest >> 8) || !is_digit(rest >> 16) ||
	    (after != ' ' && !is_blank(after)))
		return SIP_MALFORMED;
	return SIP_MESSAGE(SIPDAM_CLASS_RESPONSE, SIPDAM_METHOD_RESPONSE,
			   ((rest & 0xf) * 100 + (rest >> 8 & 0xf) * 10 + (rest >> 16 & 0xf)));
}

/* The five bytes at offset 4 to 10 of two words: where a Request-URI begins after a known method. */
static __always_inline __u64 text5(__u64 first, __u64 second, const __u32 offset)
{
	if (offset >= 8)
		return second >> (offset - 8) * 8;
	return first >> offset * 8 | second << (8 - offset) * 8;
}

/* The schemes nearly every request has; others are read byte by byte. */
static __always_inline bool is_common_uri(__u64 text5)
{
	__u32 text = text5;
	__u8 fifth = text5 >> 32;

	const __u32 sip = SIP_TEXT8('s', 'i', 'p', ':', 0, 0, 0, 0);
	const __u32 sips = SIP_TEXT8('s', 'i', 'p', 's', 0, 0, 0, 0);
	const __u32 tel = SIP_TEXT8('t', 'e', 'l', ':', 0, 0, 0, 0);

	return text == sip || text == tel || (text == sips && fifth == ':');
}

/* What sip_request_begins needs next, where a full window has not shown it. */
#define SIP_READ_ON 8

/*
 * Reads token, one space and the beginning of a Request-URI. Returns 1 when all three are seen, 0 when
 * the bytes end before, -1 when no grammar allows what is there, SIP_READ_ON and more where a window full of
 * method leaves it open: to be handed in as `from` with the next window, 0 at the beginning. Once the URI
 * has begun, the window's end may hide its colon. A function of its own so that the kernel verifies its loop
 * apart.
 */
__noinline int sip_request_begins(const struct window *window, __u32 more, __u32 from)
{
	__u8 need = from ? from & (CHARACTER_TOKEN | CHARACTER_ALPHA) : CHARACTER_TOKEN;

	if (!window)
		return -1;
	for (__u32 i = 0; i < WINDOW_BYTES; i++) {
		__u8 byte = window_byte(window, i);

		if (i >= window->length) {
			if (!more)
				return -1;
			return need == CHARACTER_SCHEME ? 1 : 0;
		}
		if (characters[byte] & need) {
			if (need == CHARACTER_ALPHA)
				need = CHARACTER_SCHEME;
		} else if (need == CHARACTER_TOKEN && byte == ' ' && (i || from)) {
			need = CHARACTER_ALPHA;
		} else {
			return need == CHARACTER_SCHEME && byte == ':' ? 1 : -1;
		}
	}
	return need == CHARACTER_SCHEME ? 1 : SIP_READ_ON | need;
}

/* Class of a method. */
static __always_inline __u32 sip_class_of(__u32 method)
{
	switch (method) {
#define X(name, number, label, class)                                                                        \
	case SIPDAM_METHOD_##name:                                                                           \
		return SIPDAM_CLASS_##class;
		SIPDAM_METHODS(X)
#undef X
	}
	return SIPDAM_CLASS_MALFORMED;
}

/* What a request is by its method, a constant to the compiler in each place. */
#define SIP_REQUEST(name) SIP_MESSAGE(sip_class_of(SIPDAM_METHOD_##name), SIPDAM_METHOD_##name, 0)

/* The known method that two words begin with, followed by its space, as a SIP_MESSAGE; SIP_CUT for all others. */
static __always_inline __u32 sip_known_request(__u64 head, __u64 second, __u32 *length)
{

#define SIP_STARTS(name, size, a, b, c, d, e, f, g, h)                                                       \
	if ((head & SIP_MASK((size) + 1)) == (SIP_TEXT8(a, b, c, d, e, f, g, h) & SIP_MASK((size) + 1))) {   \
		*length = size;                                                                              \
		return SIP_REQUEST(name);                                                                        \
	}
	SIP_STARTS(INVITE, 6, 'I', 'N', 'V', 'I', 'T', 'E', ' ', 0)
	if (head == SIP_TEXT8('R', 'E', 'G', 'I', 'S', 'T', 'E', 'R') && (second & 0xff) == ' ') {
		*length = 8;
		return SIP_REQUEST(REGISTER);
	}
	SIP_STARTS(OPTIONS, 7, 'O', 'P', 'T', 'I', 'O', 'N', 'S', ' ')
	SIP_STARTS(ACK, 3, 'A', 'C', 'K', ' ', 0, 0, 0, 0)
	SIP_STARTS(BYE, 3, 'B', 'Y', 'E', ' ', 0, 0, 0, 0)
	SIP_STARTS(CANCEL, 6, 'C', 'A', 'N', 'C', 'E', 'L', ' ', 0)
	SIP_STARTS(PRACK, 5, 'P', 'R', 'A', 'C', 'K', ' ', 0, 0)
	SIP_STARTS(NOTIFY, 6, 'N', 'O', 'T', 'I', 'F', 'Y', ' ', 0)
	SIP_STARTS(PUBLISH, 7, 'P', 'U', 'B', 'L', 'I', 'S', 'H', ' ')
	SIP_STARTS(INFO, 4, 'I', 'N', 'F', 'O', ' ', 0, 0, 0)
	SIP_STARTS(REFER, 5, 'R', 'E', 'F', 'E', 'R', ' ', 0, 0)
	SIP_STARTS(MESSAGE, 7, 'M', 'E', 'S', 'S', 'A', 'G', 'E', ' ')
	SIP_STARTS(UPDATE, 6, 'U', 'P', 'D', 'A', 'T', 'E', ' ', 0)
#undef SIP_STARTS
	if (head == SIP_TEXT8('S', 'U', 'B', 'S', 'C', 'R', 'I', 'B') &&
	    (second & 0xffff) == ('E' | ' ' << 8)) {
		*length = 9;
		return SIP_REQUEST(SUBSCRIBE);
	}
	return SIP_CUT;
}

/* Its number; NONE for all others. */
static __always_inline __u32 sip_known_method(__u64 head, __u64 second, __u32 *length)
{
	return SIP_METHOD(sip_known_request(head, second, length));
}

/*
 * What two words tell alone: a known method before a common URI, as nearly every request begins, or a
 * response. The payload must have at least 16 bytes. SIP_CUT for all others, to be read byte by byte.
 */
static __always_inline __u32 sip_glance(__u64 first, __u64 second)
{
	__u32 length = 0;
	__u32 message = sip_known_request(first, second, &length);

	if (first == SIP_VERSION_TEXT)
		return sip_response(second);
	if (!message || !is_common_uri(text5(first, second, length + 1)))
		return SIP_CUT;
	return message;
}

/*
 * A message that begins at the window's first byte (no leading CRLF left). more: the message goes on
 * beyond the window's bytes, so that too few of them decide nothing. Returns a SIP_MESSAGE, SIP_CUT or
 * SIP_LONG.
 */
static __always_inline __u32 sip_classify(const struct window *window, bool more)
{
	__u32 length = 0;
	__u32 method;
	int begins;

	if (window->word[0] == SIP_VERSION_TEXT && window->length < 12)
		return more ? SIP_CUT : SIP_MALFORMED;
	if (window->word[0] == SIP_VERSION_TEXT)
		return sip_response(window->word[1]);
	begins = sip_request_begins(window, more, 0);
	if (begins == 0)
		return SIP_CUT;
	if (begins >= SIP_READ_ON)
		return SIP_LONG;
	if (begins < 0) {
		/* "SIP/2.0" cut short is no token ('/'): it may become a response. */
		if (more && window->length < 8 &&
		    !((window->word[0] ^ SIP_VERSION_TEXT) & SIP_MASK(window->length)))
			return SIP_CUT;
		return SIP_MALFORMED;
	}
	method = sip_known_method(window->word[0], window->word[1], &length);
	if (!method)
		method = SIPDAM_METHOD_OTHER;
	return SIP_MESSAGE(sip_class_of(method), method, 0);
}

#endif
