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
	ANSWER_LINE_CALL = 6,   /* Call-ID */
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
	__u8 inside;           /* 1: `at` is inside a line, or at the beginning of one that says nothing */
	__u8 contacts;         /* 1: there is a Contact */
	__u8 ended;            /* 1: the headers have ended */
	__u8 within;           /* enum answer_within: of a Contact that is being read */
	__u8 lengths;          /* 1: Content-Length matters, as in a stream, where a message comes behind */
	__u8 calls;            /* 1: the Call-ID matters */
	__u32 escaped;         /* where a quoted byte is that a backslash made an ordinary one */
	__u32 call;            /* where the name of the Call-ID ends; 0: there is none in the text */
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

static __always_inline __u64 answer_load(const __u8 *from)
{
	__u64 word;

#ifdef __bpf__
	__builtin_memcpy(&word, __builtin_assume_aligned(from, 8), sizeof(word));
#else
	memcpy(&word, from, sizeof(word));
#endif
	return word;
}

static __always_inline __u64 answer_word(const struct answer_text *text, __u64 at)
{
	return answer_load(&text->byte[answer_at(at)]);
}

static __always_inline __u8 answer_byte(const struct answer_text *text, __u32 at)
{
	return text->byte[answer_at(at)];
}

/* Which byte of a word is the first whose high bit is set in the mask (not 0, no other bits): the bit moves
 * the byte that says so to the top. */
static __always_inline __u32 first_byte(__u64 mask)
{
	return ((mask & -mask) >> 7) * 0x0001020304050607ULL >> 56;
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

static __always_inline bool answer_is_blank(__u8 byte)
{
	return byte == ' ' || byte == '\t';
}

/* The position behind blanks: mostly none or one, and then without a call. */
static __always_inline __u32 answer_behind_blanks(const struct answer_text *text, __u32 at)
{
	__u8 byte;

	at += answer_byte(text, at) == ' ';
	byte = answer_byte(text, at);
	return answer_is_blank(byte) ? answer_skip(text, at, false) : at;
}

/* The high bit of every byte of a word that is no digit. */
static __always_inline __u64 answer_other_than_digits(__u64 word)
{
	const __u64 low = 0x7f * ANSWER_ONES;
	__u64 value = word ^ '0' * ANSWER_ONES;

	return (((value & low) + (0x80 - 10) * ANSWER_ONES) | value) & ~low;
}

/* The number that eight digits make, the first in the lowest byte: pairs, fours, all. */
static __always_inline __u32 answer_eight_digits(__u64 digits)
{
	digits = (digits & 0x0f * ANSWER_ONES) * (10 << 8 | 1) >> 8;
	digits = (digits & 0x00ff00ff00ff00ffULL) * (100 << 16 | 1) >> 16;
	return (digits & 0x0000ffff0000ffffULL) * (10000ULL << 32 | 1) >> 32;
}

/* The same of eight digits and more, capped: what is longer than ten is as good as for ever. */
__noinline __u32 answer_long_number(const struct answer_text *text, __u32 at)
{
	__u64 number = 0;
	__u32 i;

	if (!text)
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

/* The decimal number at a position; ANSWER_UNSAID where none is. */
static __always_inline __u32 answer_number(const struct answer_text *text, __u32 at)
{
	__u64 word = answer_word(text, at), others = answer_other_than_digits(word);
	__u32 digits = others ? first_byte(others) : 8;

	if (!digits)
		return ANSWER_UNSAID;
	return digits < 8 ? answer_eight_digits(word << (8 - digits) * 8) : answer_long_number(text, at);
}

/* The position behind digits: of a CSeq at most ten. */
static __always_inline __u32 answer_behind_digits(const struct answer_text *text, __u32 at)
{
	__u64 others = answer_other_than_digits(answer_word(text, at));

	return others ? at + first_byte(others) : answer_skip(text, at + 8, true);
}

#define ANSWER_NAME(word, size, a, b, c, d, e, f, g, h)                                                      \
	(((word)&SIP_MASK(size)) == (SIP_TEXT8(a, b, c, d, e, f, g, h) & SIP_MASK(size)))

/* May a line that begins with this byte say something? Yes for CR, LF, and C, E, I, L, M of either case; hardly another
 * line begins with a byte that has the same six last bits. */
static __always_inline bool answer_letter_begins(__u64 byte)
{
	const __u64 letters = 1ULL << ('c' & 63) | 1ULL << ('e' & 63) | 1ULL << ('i' & 63) | 1ULL << ('l' & 63) |
			      1ULL << ('m' & 63) | 1ULL << ('C' & 63) | 1ULL << ('E' & 63) | 1ULL << ('I' & 63) |
			      1ULL << ('L' & 63) | 1ULL << ('M' & 63) | 1ULL << '\r' | 1ULL << '\n';

	return letters >> (byte & 63) & 1;
}

/* Does the name of a header end at this byte? */
static __always_inline bool answer_ends_name(__u8 byte)
{
	return byte == ':' || answer_is_blank(byte);
}

/*
 * What the line at a position is. *value: the position behind the name; between it and the colon may be
 * blanks (RFC 3261 7.3.1). Names are compared without regard to case: 0x20 makes letters small and changes
 * no other byte into one, but for those that no name has.
 */
static __always_inline __u32 answer_line_at(const struct answer_text *text, __u64 at, __u32 *value)
{
	__u64 raw = answer_word(text, at);
	__u64 word = raw | 0x2020202020202020ULL;

	/* Most lines are told from all others by their first letter. */
	if (!answer_letter_begins(raw))
		return ANSWER_LINE_OTHER;
	if ((__u8)raw == '\n' || (__u16)raw == ('\r' | '\n' << 8))
		return ANSWER_LINE_END;
	if (ANSWER_NAME(word, 4, 'c', 's', 'e', 'q', 0, 0, 0, 0)) {
		*value = at + 4;
		return ANSWER_LINE_CSEQ;
	}
	if (ANSWER_NAME(word, 7, 'c', 'a', 'l', 'l', '-', 'i', 'd', 0)) {
		*value = at + 7;
		return ANSWER_LINE_CALL;
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
	if ((__u8)word == 'i' && answer_ends_name(raw >> 8))
		return ANSWER_LINE_CALL;
	return ANSWER_LINE_OTHER;
}

/* The word with a blank for its first CR, LF or tab, and zeros behind; unchanged if it has none. */
static __always_inline __u64 blank_at_end(__u64 word)
{
	__u64 ends = bytes_equal(word, '\r') | bytes_equal(word, '\n') | bytes_equal(word, '\t');
	__u32 bits = ends ? first_byte(ends) * 8 : 0;

	return ends ? (word & ((1ULL << bits) - 1)) | (__u64)' ' << bits : word;
}

/* Does a method end at this byte: a blank, or the line's end? */
static __always_inline bool answer_ends_method(__u8 byte)
{
	return byte == '\r' || byte == ' ' || byte == '\n' || byte == '\t';
}

/* The method that two words begin with, as an enum sipdam_method; OTHER for all unknown ones. Nearly all that is read
 * of answers is said of two. */
static __always_inline __u32 answer_method(__u64 first, __u64 second)
{
	__u32 length = 0, method;

	if (first == SIP_TEXT8('R', 'E', 'G', 'I', 'S', 'T', 'E', 'R') && answer_ends_method(second))
		return SIPDAM_METHOD_REGISTER;
	if ((first & SIP_MASK(6)) == SIP_TEXT8('I', 'N', 'V', 'I', 'T', 'E', 0, 0) && answer_ends_method(first >> 48))
		return SIPDAM_METHOD_INVITE;
	method = sip_known_method(blank_at_end(first), blank_at_end(second), &length);
	return method ? method : SIPDAM_METHOD_OTHER;
}

/* The method behind the number of a CSeq. */
static __always_inline __u32 answer_cseq(const struct answer_text *text, __u32 at)
{
	at = answer_behind_blanks(text, answer_behind_digits(text, at));
	return answer_method(answer_word(text, at), answer_word(text, at + 8));
}

/* The value of a line whose name has been read: behind blanks, a colon and blanks; 0 where no colon is. */
static __always_inline __u32 answer_value(const struct answer_text *text, __u32 at)
{
	__u64 word = answer_word(text, at);

	/* As nearly all of them are written. */
	if ((__u16)word == (':' | ' ' << 8) && !answer_is_blank(word >> 16))
		return at + 2;
	at = answer_behind_blanks(text, at);
	if (answer_byte(text, at) != ':')
		return 0;
	return answer_behind_blanks(text, at + 1);
}

/* Behind a line's name. */
static __always_inline void answer_read_line(const struct answer_text *text, struct answer *answer,
					     __u32 line, __u32 at)
{
	at = answer_value(text, at);
	answer->inside = 1;
	answer->line = at ? line : ANSWER_LINE_OTHER;
	if (!at)
		return;
	answer->at = at;
	answer->within = ANSWER_WITHIN_NONE;
	if (line == ANSWER_LINE_CSEQ)
		answer->method =
			answer->method ? answer->method : answer_cseq(text, at); /* the first counts */
	else if (line == ANSWER_LINE_EXPIRES)
		answer->expires = answer_number(text, at);
	else if (line == ANSWER_LINE_LENGTH)
		answer->body = answer_number(text, at);
	else
		answer->contacts = 1;
}

/* The line that the text is at the beginning of, and where its name ends. */
static __always_inline void answer_begin_line(const struct answer_text *text, struct answer *answer, __u32 line,
					      __u32 value)
{
	if (line != ANSWER_LINE_END) {
		answer_read_line(text, answer, line, value);
		return;
	}
	answer->ended = 1;
	answer->at += answer_byte(text, answer->at) == '\n' ? 1 : 2;
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

/* Such bytes in one word at a position, up to the line feed. */
static __always_inline void answer_parameters(const struct answer_text *text, struct answer *answer, __u32 at,
					      __u64 word, __u64 feeds)
{
	__u64 marks;

	if (!answer_has_marks(word))
		return;
	marks = bytes_equal(word, ';') | bytes_equal(word, '<') | bytes_equal(word, '>') | bytes_equal(word, '"') |
		bytes_equal(word, '\\');
	marks &= (feeds & -feeds) - 1;
#pragma nounroll
	for (int i = 0; i < 8 && marks; i++, marks &= marks - 1)
		answer_contact_mark(text, answer, at + first_byte(marks & -marks));
}

/* A piece of a Contact. */
static __always_inline void answer_read_contact(const struct answer_text *text, struct answer *answer)
{
	answer->inside = 1;
#pragma nounroll
	for (int i = 0; i < ANSWER_PIECE_BYTES / 8 && answer->at < answer->length && answer->inside; i++) {
		__u64 word = answer_word(text, answer->at), feeds = answer_feeds(word);

		answer_parameters(text, answer, answer->at, word, feeds);
		answer->at += feeds ? first_byte(feeds) + 1 : 8;
		answer->inside = !feeds;
	}
}

/* Is a Contact being read? Or is it, behind a line feed and a blank (RFC 3261 7.3.1)? */
static __always_inline bool answer_is_in_contact(const struct answer_text *text, const struct answer *answer)
{
	__u8 byte = answer_byte(text, answer->at);

	return answer->line == ANSWER_LINE_CONTACT && (answer->inside || byte == ' ' || byte == '\t');
}

/* What the line at a position says, as answer_line_at(); OTHER also where that does not matter, and of a Call-ID, where
 * all that there is to know is its place: the first counts. */
static __always_inline __u32 answer_line_that_matters(const struct answer_text *text, struct answer *answer, __u64 at,
						      __u32 *value)
{
	__u32 line = answer_line_at(text, at, value);

	if (line == ANSWER_LINE_CALL) {
		answer->call = answer->call ? answer->call : *value;
		return ANSWER_LINE_OTHER;
	}
	return line == ANSWER_LINE_LENGTH && !answer->lengths ? ANSWER_LINE_OTHER : line;
}

/*
 * The high bit but one of every byte that is plain: neither a control character nor, in UTF-8, what may follow a
 * first byte. Other bits say nothing.
 */
static __always_inline __u64 answer_plain(__u64 word)
{
	return word | word << 1;
}

#define ANSWER_PLAIN (0x40 * ANSWER_ONES)

/*
 * Behind the byte that one bit stands for, of bits of four words, one of each byte: the first byte's of all words, then
 * the second's. By the first six bits of a product with a sequence that has every six bits once.
 */
static const __u8 answer_behind[64] = {
	1, 9, 7, 17, 16, 15, 0, 25, 0, 24, 23, 22, 0, 0, 11, 0,
	0, 0, 32, 0, 0, 31, 30, 0, 0, 0, 13, 0, 4, 19, 0, 0,
	0, 0, 8, 28, 0, 14, 0, 3, 0, 29, 0, 0, 0, 5, 0, 26,
	0, 20, 6, 0, 21, 0, 0, 18, 12, 0, 27, 10, 0, 2, 0, 0,
};

static __always_inline __u32 answer_behind_bit(__u64 bit)
{
	return answer_behind[bit * 0x03f79d71b4cb0a89ULL >> 58];
}

/*
 * Behind the first line feed within so many bytes, 0 where there is none. *more: there may be more than one. Most have
 * none, and a glance tells; of one, no branch goes by where it is, which nothing predicts.
 */
#define ANSWER_STRIDE 32
static __always_inline __u32 answer_feed(const __u8 *from, __u64 *more)
{
	__u64 first = answer_load(from), second = answer_load(from + 8);
	__u64 third = answer_load(from + 16), fourth = answer_load(from + 24), all;

	*more = 0;
	if ((answer_plain(first) & answer_plain(second) & answer_plain(third) & answer_plain(fourth) & ANSWER_PLAIN) ==
	    ANSWER_PLAIN)
		return 0;
	first = answer_feeds(first) >> 7;
	second = answer_feeds(second) >> 6;
	third = answer_feeds(third) >> 5;
	fourth = answer_feeds(fourth) >> 4;
	all = first | second | third | fourth;
	if (!all)
		return 0;
	*more = all & (all - 1);
	if (*more) {
		all = third ? third : fourth;
		all = second ? second : all;
		all = first ? first : all;
	}
	return answer_behind_bit(all & -all);
}

/*
 * To the beginning of the next line that says something, as far as one step goes: most of a message are lines
 * that say nothing here, and this loop is most of what reading one costs. What is behind the text's end is
 * zeros. The position is capped in each round, so that the kernel's verifier knows the same of it in all.
 * What the line is, and in *value where its name ends; OTHER where there is none so far, or one that the text may
 * end in.
 */
static __always_inline __u32 answer_find_line(const struct answer_text *text, struct answer *answer, __u32 *value)
{
	__u64 at = answer_at(answer->at), length = answer->length;
	__u32 line = ANSWER_LINE_OTHER;

	if (!answer->inside) {
		line = answer_line_that_matters(text, answer, at, value);
		if (line)
			return line;
	}
	answer->inside = 1;
#pragma nounroll
	for (int i = 0; i < ANSWER_SKIP_BYTES / ANSWER_STRIDE && at < length; i++) {
		__u64 more, begins;
		__u32 feed;

		at = answer_at(at);
		feed = answer_feed(&text->byte[at], &more);
		begins = at + feed;
		if (feed) {
			if (begins <= ANSWER_BYTES - ANSWER_MARGIN)
				line = answer_line_that_matters(text, answer, begins, value);
			if (line || begins > ANSWER_BYTES - ANSWER_MARGIN) {
				answer->inside = 0;
				at = begins;
				break;
			}
		}
		/* Where the next stride begins does not depend on what this one has: so both are under way at once. */
		at = more ? begins : at + ANSWER_STRIDE;
		if (at > ANSWER_BYTES - ANSWER_MARGIN)
			break;
	}
	answer->at = at;
	return line;
}

/*
 * One step: to the next line that says something, and what it says; or 64 bytes of a Contact. Returns 1 when
 * there is nothing more to read. A function of its own so that the kernel verifies it once.
 */
__noinline int answer_step(const struct answer_text *text, struct answer *answer)
{
	__u32 line, value = 0;

	if (!text || !answer || answer->at >= answer->length)
		return 1;
	if (!answer_is_in_contact(text, answer)) {
		answer->line = ANSWER_LINE_OTHER;
		line = answer_find_line(text, answer, &value);
		if (!line)
			return answer->at >= answer->length;
		answer_begin_line(text, answer, line, value);
	}
	if (answer->line == ANSWER_LINE_CONTACT)
		answer_read_contact(text, answer);
	return answer->ended;
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
