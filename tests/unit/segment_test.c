/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The look through a segment for further messages, compiled natively, on heap buffers of their exact size.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#pragma GCC diagnostic ignored "-Wunknown-pragmas" /* clang's unroll */
#include "segment.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define INVITE      "INVITE sip:a SIP/2.0\r\n\r\n"
#define ACK         "ACK sip:abcdefg SIP/2.0\r\n\r\n"
#define LINES       1000
#define ANSWER      "SIP/2.0 200 OK\r\n\r\n"

/* The further messages of a payload that begins with one: counts by class, as a look gives them. */
static __u64 further(const char *text, __u32 length, __u32 skip)
{
	__u8 *exact = malloc(length ? length : 1);
	frame_t frame = {.data = exact};
	struct packet packet = {.present = length, .length = length, .payload_length = length};
	struct look look = {.started = 1};

	assert_non_null(exact);
	memcpy(exact, text, length);
	segment_look(&frame, &packet, skip, &look);
	free(exact);
	return look.counts;
}

static int count_of(__u64 counts, int class)
{
	return counts >> SEGMENT_COUNT_SHIFT(class) & 0xff;
}

static void test_line_feeds(void **state)
{
	static const __u8 values[] = {0x0a, 0x0b, 0x09, 0x00, 0x8a, 0xff, 0x2a, 0x80};

	(void)state;
	for (__u32 choice = 0; choice < 1 << 24; choice += 7) {
		__u64 word = 0, expected = 0;

		for (int byte = 0; byte < 8; byte++) {
			__u8 value = values[choice >> byte * 3 & 7];

			word |= (__u64)value << byte * 8;
			expected |= value == '\n' ? 0x80ULL << byte * 8 : 0;
		}
		if (bytes_equal(word, '\n') != expected)
			fail_msg("%#llx: %#llx", word, bytes_equal(word, '\n'));
	}
}

static void test_counts(void **state)
{
	static const struct {
		const char *text;
		int invites, dialog, responses;
	} rows[] = {
		{"", 0, 0, 0},
		{INVITE, 0, 0, 0},
		{INVITE INVITE, 1, 0, 0},
		{INVITE INVITE ACK ANSWER ACK INVITE, 2, 2, 1},
		{INVITE "SIP/2.0 200 OK", 0, 0, 0}, /* 14 bytes */
		{INVITE "SIP/2.0 200 OK..", 0, 0, 1},
		{INVITE "\n\n\n\n\n" INVITE, 1, 0, 0},
		{INVITE "x" INVITE, 1, 0, 0},
		{INVITE "xINVITE sip:a SIP/2.0", 0, 0, 0},   /* its end is not here */
		{ACK "REGISTER sip:a SIP/2.0\r\n", 0, 0, 0}, /* of a class that is not asked for here */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		__u64 counts = further(rows[i].text, strlen(rows[i].text), 0);

		if (count_of(counts, SIPDAM_CLASS_INVITE) != rows[i].invites ||
		    count_of(counts, SIPDAM_CLASS_DIALOG) != rows[i].dialog ||
		    count_of(counts, SIPDAM_CLASS_RESPONSE) != rows[i].responses)
			fail_msg("row %zu: %#llx", i, counts);
	}
	assert_int_equal(count_of(further(INVITE "REGISTER sip:a SIP/2.0\r\n", 46, 0), SIPDAM_CLASS_REGISTER),
			 1);
}

/* Every end and every beginning: each byte less tells of as many messages or fewer. */
static void test_every_cut(void **state)
{
	static const char text[] = INVITE ACK INVITE ANSWER INVITE "\r\n\r\n" ACK;
	__u32 length = sizeof(text) - 1;

	(void)state;
	for (__u32 end = 0; end <= length; end++)
		for (__u32 skip = 0; skip <= end; skip++)
			assert_in_range(count_of(further(text, end, skip), SIPDAM_CLASS_INVITE), 0,
					count_of(further(text, length, 0), SIPDAM_CLASS_INVITE));
}

/* The shortest lines that count, as many as fit: no class runs over into the next. */
static void test_as_many_as_fit(void **state)
{
	static const char line[] = "ACK sip:\n";
	__u32 length = LINES * (sizeof(line) - 1);
	char *text = malloc(length + 1);
	__u64 counts;

	(void)state;
	for (__u32 i = 0; i < LINES; i++)
		strcpy(text + i * (sizeof(line) - 1), line);
	counts = further(text, 100 * (sizeof(line) - 1), 0);
	assert_int_equal(count_of(counts, SIPDAM_CLASS_DIALOG), 98); /* the last shows 9 of its 16 bytes */
	counts = further(text, length, 0);
	assert_int_equal(count_of(counts, SIPDAM_CLASS_DIALOG), SEGMENT_COUNT_MAX);
	assert_int_equal(counts & ~(0xffULL << SEGMENT_COUNT_SHIFT(SIPDAM_CLASS_DIALOG)), 0);
	free(text);
}

static void test_tokens(void **state)
{
	(void)state;
	assert_int_equal(segment_tokens(0), 0);
	assert_int_equal(segment_tokens(1), 1);
	assert_int_equal(segment_tokens(512), 1);
	assert_int_equal(segment_tokens(513), 2);
	assert_int_equal(segment_tokens(65535), 128);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line_feeds), cmocka_unit_test(test_counts),
		cmocka_unit_test(test_every_cut),  cmocka_unit_test(test_as_many_as_fit),
		cmocka_unit_test(test_tokens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
