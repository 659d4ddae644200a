/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the server answers: status, the method of the CSeq, and for how long a registration holds (RFC 3261
 * sections 7.3, 8.1.1.5, 10.3, 20.10, 20.16, 20.19). Pure: text in, a struct answer out. It reads header
 * lines by their beginnings and steps from line feed to line feed, eight bytes at a time; it is no parser of
 * SIP and trusts the server to write it as the RFC says.
 */
#ifndef ANSWER_H
#define ANSWER_H

#include "sip.h"

/* Bytes of a message that are read: its headers go before its body, and most answers have 300 to 900. */
#define ANSWER_BYTES 2048

/* Header lines, or pieces of 64 bytes of long ones, that are looked at. */
#define ANSWER_PIECE_BYTES 64
#define ANSWER_STEPS_MAX   96

/* Where the text is to be read on, if there is more of it: no line's beginning that matters is longer. */
#define ANSWER_MARGIN 256

/* Bytes that a step goes through at most while no line says anything. */
#define ANSWER_SKIP_BYTES 512

/* Blanks or digits in a row: a CSeq has at most ten digits (RFC 3261 8.1.1.5), a Content-Length fewer. */
#define ANSWER_RUN_MAX 16

/* No expiry was said. */
#define ANSWER_UNSAID (~0u)

/* Where a message is read from: behind its end are zeros. */
struct answer_text {
	__u8 byte[ANSWER_BYTES + ANSWER_PIECE_BYTES + 8];
};

enum answer_line {
	ANSWER_LINE_OTHER = 0,
	ANSWER_LINE_CSEQ = 1,
	ANSWER_LINE_EXPIRES = 2,
	ANSWER_LINE_CONTACT = 3,
	ANSWER_LINE_LENGTH = 4, /* Content-Length */
	ANSWER_LINE_END = 5,    /* the empty line behind the headers */
};

/* Where in a Contact a byte is: what is in a URI, or quoted, is no parameter of it (RFC 3261 20.10, 25.1). */
enum answer_within {
	ANSWER_WITHIN_NONE = 0,
	ANSWER_WITHIN_URI = 1,
	ANSWER_WITHIN_QUOTES = 2,
};

struct answer {
	__u32 at;              /* where the next line begins, or the rest of a long one */
	__u32 length;          /* of the text */
	__u32 body;            /* bytes of it, as Content-Length says; ANSWER_UNSAID if it does not */
	__u32 expires;         /* seconds, of the Expires header; ANSWER_UNSAID */
	__u32 contact_expires; /* the longest of the Contacts' expires parameters; ANSWER_UNSAID */
	__u16 status;          /* of a response; 0: a request */
	__u8 method;           /* enum sipdam_method: of the CSeq */
	__u8 line;             /* enum answer_line that is being read; only Contact is read to its end */
	__u8 inside;           /* 1: `at` is inside a line */
	__u8 contacts;         /* 1: there is a Contact */
	__u8 ended;            /* 1: the headers have ended */
	__u8 within;           /* enum answer_within: of a Contact that is being read */
	__u32 escaped;         /* where a quoted byte is that a backslash made an ordinary one */
};

#define ANSWER_ONES 0x0101010101010101ULL

/* The position in the text, capped in the very register that becomes part of a pointer, as in
 * cursor_capped(). */
static __always_inline __u64 answer_at(__u64 at)
{
#ifdef __bpf__
	asm volatile("%0 &= %1" : "+r"(at) : "i"(ANSWER_BYTES - 1));
	return at;
#else
	return at & (ANSWER_BYTES - 1);
#endif
}

static __always_inline __u64 answer_word(const struct answer_text *text, __u32 at)
{
	const __u8 *from = &text->byte[answer_at(at)];
	__u64 word;

#ifdef __bpf__
	__builtin_memcpy(&word, __builtin_assume_aligned(from, 8), sizeof(word));
#else
	memcpy(&word, from, sizeof(word));
#endif
	return word;
}

static __always_inline __u8 answer_byte(const struct answer_text *text, __u32 at)
{
	return text->byte[answer_at(at)];
}

/* Which byte of a word is the first whose high bit is set in the mask (not 0, no other bits). */
static __always_inline __u32 first_byte(__u64 mask)
{
	const __u64 ones = 0x0101010101010101ULL;

	return (((mask & -mask) - 1) >> 7 & ones) * ones >> 56;
}

/* The position behind blanks (or, if digits, behind digits). A function of its own for the verifier. */
__noinline __u32 answer_skip(const struct answer_text *text, __u32 at, __u32 digits)
{
	if (!text)
		return at;
#pragma nounroll
	for (int i = 0; i < ANSWER_RUN_MAX; i++, at++) {
		__u8 byte = answer_byte(text, at);

		if (digits ? !is_digit(byte) : byte != ' ' && byte != '\t')
			break;
	}
	return at;
}

/* The position behind blanks: mostly none or one, and then without a call. */
static __always_inline __u32 answer_behind_blanks(const struct answer_text *text, __u32 at)
{
	__u8 byte;

	at += answer_byte(text, at) == ' ';
	byte = answer_byte(text, at);
	return byte == ' ' || byte == '\t' ? answer_skip(text, at, false) : at;
}

/* The decimal number at a position, capped: what is longer than ten digits is as good as for ever. */
__noinline __u32 answer_number(const struct answer_text *text, __u32 at)
{
	__u64 number = 0;
	__u32 i;

	if (!text || !is_digit(answer_byte(text, at)))
		return ANSWER_UNSAID;
#pragma nounroll
	for (i = 0; i < 10; i++) {
		__u8 byte = answer_byte(text, at + i);

		if (!is_digit(byte))
			break;
		number = number * 10 + (byte - '0');
	}
	return number < ANSWER_UNSAID ? number : ANSWER_UNSAID - 1;
}

#define ANSWER_NAME(word, size, a, b, c, d, e, f, g, h)                                                      \
	(((word)&SIP_MASK(size)) == (SIP_TEXT8(a, b, c, d, e, f, g, h) & SIP_MASK(size)))

/* Does any line that matters begin with this byte? CR, LF, and C, E, L, M of either case. */
static __always_inline bool answer_letter_begins(__u8 byte)
{
	const __u32 letters = 1u << ('c' & 31) | 1u << ('e' & 31) | 1u << ('l' & 31) | 1u << ('m' & 31);

	return byte < 32 || letters >> (byte & 31) & 1;
}

/*
 * What the line at a position is. *value: the position behind the name; between it and the colon may be
 * blanks (RFC 3261 7.3.1). Names are compared without regard to case: 0x20 makes letters small and changes
 * no other byte into one, but for those that no name has.
 */
static __always_inline __u32 answer_line_at(const struct answer_text *text, __u32 at, __u32 *value)
{
	__u64 raw = answer_word(text, at);
	__u64 word = raw | 0x2020202020202020ULL;

	/* Most lines are told from all others by their first letter. */
	if (!answer_letter_begins((__u8)raw))
		return ANSWER_LINE_OTHER;
	if ((__u8)raw == '\n' || (__u16)raw == ('\r' | '\n' << 8))
		return ANSWER_LINE_END;
	if (ANSWER_NAME(word, 4, 'c', 's', 'e', 'q', 0, 0, 0, 0)) {
		*value = at + 4;
		return ANSWER_LINE_CSEQ;
	}
	if (ANSWER_NAME(word, 7, 'e', 'x', 'p', 'i', 'r', 'e', 's', 0)) {
		*value = at + 7;
		return ANSWER_LINE_EXPIRES;
	}
	if (ANSWER_NAME(word, 7, 'c', 'o', 'n', 't', 'a', 'c', 't', 0)) {
		*value = at + 7;
		return ANSWER_LINE_CONTACT;
	}
	if (ANSWER_NAME(word, 8, 'c', 'o', 'n', 't', 'e', 'n', 't', '-' | 0x20) &&
	    ANSWER_NAME(answer_word(text, at + 8) | 0x2020202020202020ULL, 6, 'l', 'e', 'n', 'g', 't', 'h', 0,
			0)) {
		*value = at + 14;
		return ANSWER_LINE_LENGTH;
	}
	*value = at + 1;
	if ((__u8)word == 'm')
		return ANSWER_LINE_CONTACT;
	if ((__u8)word == 'l')
		return ANSWER_LINE_LENGTH;
	return ANSWER_LINE_OTHER;
}

/* The word with a blank for its first CR, LF or tab, and zeros behind; unchanged if it has none. */
static __always_inline __u64 blank_at_end(__u64 word)
{
	__u64 ends = bytes_equal(word, '\r') | bytes_equal(word, '\n') | bytes_equal(word, '\t');
	__u32 bits = ends ? first_byte(ends) * 8 : 0;

	return ends ? (word & ((1ULL << bits) - 1)) | (__u64)' ' << bits : word;
}

/* The method behind the number of a CSeq, as an enum sipdam_method; OTHER for all unknown ones. */
static __always_inline __u32 answer_cseq(const struct answer_text *text, __u32 at)
{
	__u32 length = 0, method;

	at = answer_behind_blanks(text, answer_skip(text, at, true));
	method = sip_known_method(blank_at_end(answer_word(text, at)),
				  blank_at_end(answer_word(text, at + 8)), &length);
	return method ? method : SIPDAM_METHOD_OTHER;
}

/* The value of a line whose name has been read: behind blanks, a colon and blanks; 0 where no colon is. */
static __always_inline __u32 answer_value(const struct answer_text *text, __u32 at)
{
	at = answer_behind_blanks(text, at);
	if (answer_byte(text, at) != ':')
		return 0;
	return answer_behind_blanks(text, at + 1);
}

static __always_inline void answer_begin_line(const struct answer_text *text, struct answer *answer)
{
	__u32 at = answer->at, value = 0;
	__u8 first = answer_byte(text, at);

	/* A line that begins with a blank goes on with the one before (RFC 3261 7.3.1). */
	if (first == ' ' || first == '\t')
		return;
	answer->line = answer_line_at(text, at, &value);
	answer->within = ANSWER_WITHIN_NONE;
	if (answer->line == ANSWER_LINE_OTHER)
		return;
	if (answer->line == ANSWER_LINE_END) {
		answer->ended = 1;
		answer->at = at + (first == '\n' ? 1 : 2);
		return;
	}
	value = answer_value(text, value);
	if (!value)
		answer->line = ANSWER_LINE_OTHER;
	else if (answer->line == ANSWER_LINE_CSEQ)
		answer->method =
			answer->method ? answer->method : answer_cseq(text, value); /* the first counts */
	else if (answer->line == ANSWER_LINE_EXPIRES)
		answer->expires = answer_number(text, value);
	else if (answer->line == ANSWER_LINE_LENGTH)
		answer->body = answer_number(text, value);
	else
		answer->contacts = 1;
}

/* An expires parameter of a Contact at the semicolon (or blank) before it. */
static __always_inline void answer_contact_parameter(const struct answer_text *text, struct answer *answer,
						     __u32 at)
{
	__u32 name = answer_behind_blanks(text, at + 1), seconds;
	__u64 word = answer_word(text, name) | 0x2020202020202020ULL;

	if (!ANSWER_NAME(word, 7, 'e', 'x', 'p', 'i', 'r', 'e', 's', 0))
		return;
	name = answer_behind_blanks(text, name + 7);
	if (answer_byte(text, name) != '=')
		return;
	seconds = answer_number(text, answer_behind_blanks(text, name + 1));
	if (seconds != ANSWER_UNSAID &&
	    (answer->contact_expires == ANSWER_UNSAID || seconds > answer->contact_expires))
		answer->contact_expires = seconds;
}

/* Not 0 where the word has this byte. The lowest bit tells of the first one; those above it may err. */
static __always_inline __u64 answer_bytes(__u64 word, __u8 byte)
{
	__u64 other = word ^ byte * ANSWER_ONES;

	return (other - ANSWER_ONES) & ~other & (0x80 * ANSWER_ONES);
}

static __always_inline __u64 answer_feeds(__u64 word)
{
	return answer_bytes(word, '\n');
}

/* A byte of a Contact that means something. */
static __always_inline void answer_contact_mark(const struct answer_text *text, struct answer *answer, __u32 at)
{
	__u8 byte = answer_byte(text, at);

	if (answer->within == ANSWER_WITHIN_QUOTES) {
		if (at == answer->escaped)
			return;
		if (byte == '\\')
			answer->escaped = at + 1;
		else if (byte == '"')
			answer->within = ANSWER_WITHIN_NONE;
	} else if (answer->within == ANSWER_WITHIN_URI) {
		if (byte == '>')
			answer->within = ANSWER_WITHIN_NONE;
	} else if (byte == ';') {
		answer_contact_parameter(text, answer, at);
	} else if (byte == '<') {
		answer->within = ANSWER_WITHIN_URI;
	} else if (byte == '"') {
		answer->within = ANSWER_WITHIN_QUOTES;
	}
}

/* Not 0 where the word has such bytes: < is > but for one bit. */
static __always_inline __u64 answer_has_marks(__u64 word)
{
	return answer_bytes(word, ';') | answer_bytes(word | ('<' ^ '>') * ANSWER_ONES, '>') |
	       answer_bytes(word, '"') | answer_bytes(word, '\\');
}

/* Such bytes in one word at a position, up to `end` bytes of it. */
static __always_inline void answer_parameters(const struct answer_text *text, struct answer *answer, __u32 at,
					      __u32 end)
{
	__u64 word = answer_word(text, at), marks;

	if (!answer_has_marks(word))
		return;
	marks = bytes_equal(word, ';') | bytes_equal(word, '<') | bytes_equal(word, '>') | bytes_equal(word, '"') |
		bytes_equal(word, '\\');
#pragma nounroll
	for (__u32 byte = 0; byte < 8 && byte < end; byte++, marks >>= 8)
		if (marks & 0x80)
			answer_contact_mark(text, answer, at + byte);
}

/*
 * To the next line that may say something, as far as one step goes: most of a message are lines that say
 * nothing here, and this loop is most of what reading one costs. Sixteen bytes at a time; what is behind the
 * text's end is zeros. The position is read back from the answer each time, where the kernel's verifier does
 * not know it.
 */
static __always_inline void answer_skip_lines(const struct answer_text *text, struct answer *answer)
{
#pragma nounroll
	for (int i = 0; i < ANSWER_SKIP_BYTES / 16; i++) {
		__u64 feeds;
		__u32 at;

		asm volatile("" ::: "memory");
		at = answer->at;
		if (at >= answer->length)
			break;
		feeds = answer_feeds(answer_word(text, at));
		if (!feeds) {
			at += 8;
			feeds = answer_feeds(answer_word(text, at));
		}
		answer->inside = !feeds;
		answer->at = at + (feeds ? first_byte(feeds) + 1 : 8);
		if (answer->at > ANSWER_BYTES - ANSWER_MARGIN ||
		    (feeds && answer_letter_begins(answer_byte(text, answer->at))))
			break;
	}
}

/*
 * One step: the next line's beginning, and what follows up to the next line that may say something, or 64
 * bytes of a Contact; no further than a step goes. Returns 1 when there is nothing more to read. A function
 * of its own so that the kernel verifies it once.
 */
__noinline int answer_step(const struct answer_text *text, struct answer *answer)
{
	if (!text || !answer || answer->at >= answer->length)
		return 1;
	if (!answer->inside) {
		answer_begin_line(text, answer);
		if (answer->ended)
			return 1;
	}
	if (answer->line != ANSWER_LINE_CONTACT) {
		answer_skip_lines(text, answer);
		return 0;
	}
	answer->inside = 1;
#pragma nounroll
	for (int i = 0; i < ANSWER_PIECE_BYTES / 8 && answer->at < answer->length; i++) {
		__u64 feeds = answer_feeds(answer_word(text, answer->at));
		__u32 end = feeds ? first_byte(feeds) : 8;

		answer_parameters(text, answer, answer->at, end);
		answer->at += feeds ? end + 1 : 8;
		if (feeds) {
			answer->inside = 0;
			break;
		}
	}
	return 0;
}

/*
 * Begins to read the message of `length` bytes in text (at most ANSWER_BYTES; zeros must follow). Returns 1
 * for a response, whose status is set, or a request, whose method is; 0 for anything else.
 */
static __always_inline int answer_begin(const struct answer_text *text, __u32 length, struct answer *answer)
{
	__u64 first = answer_word(text, 0), second = answer_word(text, 8);
	__u32 name = 0;

	*answer = (struct answer){
		.length = length,
		.body = ANSWER_UNSAID,
		.expires = ANSWER_UNSAID,
		.contact_expires = ANSWER_UNSAID,
		.inside = 1,
	};
	if (length < 16)
		return 0;
	if (first != SIP_VERSION_TEXT) {
		answer->method = sip_known_method(first, second, &name);
		return answer->method != SIPDAM_METHOD_NONE;
	}
	if (!is_digit(second) || !is_digit(second >> 8) || !is_digit(second >> 16))
		return 0;
	answer->status = (second & 0xf) * 100 + (second >> 8 & 0xf) * 10 + (second >> 16 & 0xf);
	return 1;
}

/*
 * Seconds that a 200 to a REGISTER lets its bindings live: the longest of its Contacts, `most` where nothing
 * is said; 0 where no binding is left.
 */
static __always_inline __u32 answer_lifetime(const struct answer *answer, __u32 most)
{
	__u32 seconds = answer->contact_expires;

	if (!answer->contacts)
		return 0;
	if (seconds == ANSWER_UNSAID)
		seconds = answer->expires;
	return seconds < most ? seconds : most;
}

#endif
