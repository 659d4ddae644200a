/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The reader of start-lines, compiled natively: every sample cut at each byte, and against a plain reader
 * of the same grammar for every value in every byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sip.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

/* The window of a text that lies in a heap buffer of its exact size. */
static struct window window_of(const char *text, size_t length)
{
	__u8 *exact = malloc(length ? length : 1);
	frame_t frame = {.data = exact};
	struct cursor cursor = cursor_open(&frame, (__u32)length, (__u32)length);
	struct window window;

	assert_non_null(exact);
	memcpy(exact, text, length);
	cursor_window(&cursor, 0, (__u32)length, &window);
	free(exact);
	return window;
}

/* more: the message goes on beyond these bytes. */
static __u32 classify(const char *text, size_t length, bool more)
{
	struct window window = window_of(text, length);

	return sip_classify(&window, more);
}

/* ---- a plain reader of the same grammar ---- */

static bool is_one_of(char byte, const char *others)
{
	return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
	       (byte && strchr(others, byte));
}

static bool is_letter(char byte)
{
	return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
}

static __u32 plain_response(const char *text, size_t length)
{
	int status = 0;

	if (length < 12 || !strchr(" \r\n", text[11]) || !text[11])
		return SIP_MALFORMED;
	for (int i = 8; i < 11; i++) {
		if (text[i] < '0' || text[i] > '9')
			return SIP_MALFORMED;
		status = status * 10 + text[i] - '0';
	}
	return SIP_MESSAGE(SIPDAM_CLASS_RESPONSE, SIPDAM_METHOD_RESPONSE, status);
}

static __u32 plain_method(const char *text, size_t length)
{
	static const struct {
		const char *name;
		__u32 message;
	} methods[] = {
#define X(name, number, label, class) {label, SIP_MESSAGE(SIPDAM_CLASS_##class, number, 0)},
		SIPDAM_METHODS(X)
#undef X
	};

	for (size_t i = 0; i < SIPDAM_METHOD_OTHER - 1; i++)
		if (strlen(methods[i].name) == length && !memcmp(methods[i].name, text, length))
			return methods[i].message;
	return SIP_MESSAGE(SIPDAM_CLASS_OTHER, SIPDAM_METHOD_OTHER, 0);
}

/* A whole message of at most one window, no blanks in front. */
static __u32 plain_classify(const char *text, size_t length)
{
	size_t method = 0, at;

	if (length >= 8 && !memcmp(text, "SIP/2.0 ", 8))
		return plain_response(text, length);
	while (method < length && is_one_of(text[method], "-.!%*_+`'~"))
		method++;
	at = method + 1;
	if (length == WINDOW_BYTES &&
	    (method == WINDOW_BYTES || (at == WINDOW_BYTES && text[method] == ' ')))
		return SIP_LONG;
	if (!method || at >= length || text[method] != ' ' || !is_letter(text[at]))
		return SIP_MALFORMED;
	while (at < length && is_one_of(text[at], "+-."))
		at++;
	if (at == WINDOW_BYTES)
		return plain_method(text, method); /* the colon may be beyond the window */
	return at < length && text[at] == ':' ? plain_method(text, method) : SIP_MALFORMED;
}

static const char *const samples[] = {
#define X(name, number, label, class) label " sip:alice@example.org SIP/2.0\r\n",
	SIPDAM_METHODS(X)
#undef X
		"INVITE sips:a@b SIP/2.0",
	"INVITE tel:1 SIP/2.0",
	"INVITE urn:service:sos SIP/2.0",
	"A b:",
	"aZ09-.!%*_+`'~ a1+-.:x",
	"SIP/2.0 200 OK\r\n",
	"SIP/2.0 100\r\n",
	"SIP/2.0 699\n",
	"SIP/3.0 200 OK\r\n",
	"SIP/2.0",
	"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
	"INVITE  sip:a@b SIP/2.0",
	"INVITE\tsip:a@b SIP/2.0",
	"MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM sip:",
	"MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM sip:",
	"INVITE abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz",
	"MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM sip:",
	"MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM sip:",
};

static size_t window_length(const char *text)
{
	size_t length = strlen(text);

	return length < WINDOW_BYTES ? length : WINDOW_BYTES;
}

static void compare(const char *text, size_t length)
{
	__u32 expected = plain_classify(text, length), got = classify(text, length, false);

	if (got != expected)
		fail_msg("\"%.*s\": expected %#x, got %#x", (int)length, text, expected, got);
}

static void test_every_value_in_every_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(samples); i++) {
		char text[200];

		strcpy(text, samples[i]);
		for (size_t at = 0; at < window_length(text); at++) {
			for (int value = 0; value < 256; value++) {
				text[at] = (char)value;
				compare(text, window_length(samples[i]));
			}
			text[at] = samples[i][at];
		}
	}
}

static void test_messages_that_end_at_every_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(samples); i++)
		for (size_t length = 0; length <= window_length(samples[i]); length++)
			compare(samples[i], length);
}

/* Of a message that goes on, each byte more tells the same as before, or tells at last. */
static void test_messages_that_go_on(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(samples); i++) {
		__u32 told = SIP_CUT;

		for (size_t length = 0; length <= window_length(samples[i]); length++) {
			__u32 message = classify(samples[i], length, true);

			if (told && message != told)
				fail_msg("\"%s\": %zu bytes told %#x, one more %#x", samples[i], length - 1,
					 told, message);
			told = message;
		}
		if (window_length(samples[i]) == WINDOW_BYTES && !told)
			fail_msg("\"%s\": a whole window tells nothing", samples[i]);
	}
}

/* How many bytes it takes. */
static void test_what_the_first_bytes_tell(void **state)
{
	static const struct {
		const char *text;
		__u32 message;
	} rows[] = {
		{"", SIP_CUT},
		{"I", SIP_CUT},
		{"INVITE", SIP_CUT},
		{"INVITE ", SIP_CUT},
		{"INVITE s", SIP_MESSAGE(SIPDAM_CLASS_INVITE, SIPDAM_METHOD_INVITE, 0)},
		{"INVITE:", SIP_MALFORMED},
		{"INVITE  ", SIP_MALFORMED},
		{"SUBSCRIBE", SIP_CUT},
		{"SUBSCRIBE t", SIP_MESSAGE(SIPDAM_CLASS_OTHER, SIPDAM_METHOD_SUBSCRIBE, 0)},
		{"SIP", SIP_CUT},
		{"SIP/", SIP_CUT},
		{"SIP/2.0", SIP_CUT},
		{"SIP/2.0 ", SIP_CUT},
		{"SIP/2.0 200", SIP_CUT},
		{"SIP/2.0 200 ", SIP_MESSAGE(SIPDAM_CLASS_RESPONSE, SIPDAM_METHOD_RESPONSE, 200)},
		{"SIP/1", SIP_MALFORMED},
		{"SIP/2.1", SIP_MALFORMED},
		{"/", SIP_MALFORMED},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		if (classify(rows[i].text, strlen(rows[i].text), true) != rows[i].message)
			fail_msg("\"%s\": expected %#x, got %#x", rows[i].text, rows[i].message,
				 classify(rows[i].text, strlen(rows[i].text), true));
}

/* The short way says nothing or the same as the long one. */
static void compare_glance(const char *text)
{
	__u64 words[2];
	__u32 glance;

	memcpy(words, text, sizeof(words));
	glance = sip_glance(words[0], words[1]);
	if (glance != SIP_CUT && glance != plain_classify(text, window_length(text)))
		fail_msg("\"%s\": a glance tells %#x", text, glance);
}

static void test_a_glance(void **state)
{
	char text[200];

	(void)state;
	for (size_t i = 0; i < COUNT(samples); i++) {
		if (strlen(samples[i]) < 16)
			continue;
		strcpy(text, samples[i]);
		for (size_t at = 0; at < 16; at++) {
			for (int value = 1; value < 256; value++) {
				text[at] = (char)value;
				compare_glance(text);
			}
			text[at] = samples[i][at];
		}
	}
	for (size_t i = 0; i < SIPDAM_METHOD_OTHER - 1; i++) {
		__u64 words[2];

		memcpy(words, samples[i], sizeof(words));
		assert_int_equal(sip_glance(words[0], words[1]),
				 plain_classify(samples[i], window_length(samples[i])));
	}
}

static void test_blanks(void **state)
{
	char text[80];

	(void)state;
	for (size_t length = 0; length <= 70; length++) {
		for (size_t blank = 0; blank <= length; blank++) {
			struct window window;

			memset(text, 'x', sizeof(text));
			for (size_t i = 0; i < blank; i++)
				text[i] = i % 2 ? '\n' : '\r';
			window = window_of(text, length);
			assert_int_equal(window_blank(&window), blank < WINDOW_BYTES ? blank : WINDOW_BYTES);
		}
	}
}

static void test_stun(void **state)
{
	static const char stun[20] = {0x00, 0x01, 0x00, 0x00, 0x21, 0x12, (char)0xa4, 0x42};
	char text[20];

	(void)state;
	for (__u32 length = 0; length <= sizeof(stun); length++) {
		struct window window = window_of(stun, length);

		assert_int_equal(is_stun(&window, length), length == sizeof(stun));
		assert_int_equal(is_stun(&window, sizeof(stun)), length >= 8); /* a capture cut short */
	}
	for (size_t at = 0; at < sizeof(text); at++) {
		for (int bit = 0; bit < 8; bit++) {
			struct window window;
			bool matters = (at == 0 && bit >= 6) || (at >= 4 && at < 8);

			memcpy(text, stun, sizeof(text));
			text[at] ^= (char)(1 << bit);
			window = window_of(text, sizeof(text));
			assert_int_equal(is_stun(&window, sizeof(text)), !matters);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_value_in_every_byte),
		cmocka_unit_test(test_messages_that_end_at_every_byte),
		cmocka_unit_test(test_messages_that_go_on),
		cmocka_unit_test(test_what_the_first_bytes_tell),
		cmocka_unit_test(test_a_glance),
		cmocka_unit_test(test_blanks),
		cmocka_unit_test(test_stun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
