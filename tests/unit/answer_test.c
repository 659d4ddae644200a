// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The reader of what the server sends, compiled natively: answers as Kamailio, Asterisk and FreeSWITCH write
 * them, in every spelling that RFC 3261 allows, and cut at every byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#pragma GCC diagnostic ignored "-Wunknown-pragmas" /* of clang, for the kernel */
#include "answer.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

/* The text in a heap buffer of its own, zeros behind it. Returns answer_begin's. */
static int read_text(const char *message, size_t length, bool lengths, struct answer *answer)
{
	struct answer_text *text = calloc(1, sizeof(*text));
	int begun;

	assert_non_null(text);
	assert_true(length <= ANSWER_BYTES);
	memcpy(text->byte, message, length);
	begun = answer_begin(text, length, answer);
	answer->lengths = lengths;
	for (int i = 0; begun && i < ANSWER_STEPS_MAX; i++)
		if (answer_step(text, answer))
			break;
	free(text);
	return begun;
}

struct row {
	const char *message;
	int status, method;
	unsigned int lifetime; /* of at most 3,600 s */
	unsigned int body;
};

#define VIA  "Via: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK1;expires=7;received=192.0.2.9\r\n"
#define IDS  "From: <sip:a@x>;tag=1\r\nTo: <sip:a@x>;tag=2\r\nCall-ID: 1@x\r\n"
#define OK   "SIP/2.0 200 OK\r\n"
#define X64  "XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX"
#define LONG X64 X64 X64 X64 X64 X64 X64 X64 X64 /* more than a step goes through */

static const struct row rows[] = {
	/* Kamailio */
	{OK VIA IDS "CSeq: 2 REGISTER\r\nContact: <sip:a@192.0.2.9:5060>;expires=600\r\n"
		    "Server: kamailio\r\nContent-Length: 0\r\n\r\n",
	 200, SIPDAM_METHOD_REGISTER, 600, 0},
	/* two bindings: the longer one */
	{OK VIA "CSeq: 2 REGISTER\r\nContact: <sip:a@1>;expires=60, <sip:a@2>;q=1;expires=1800\r\n\r\n", 200,
	 SIPDAM_METHOD_REGISTER, 1800, ANSWER_UNSAID},
	{OK "CSeq: 2 REGISTER\r\nContact: <sip:a@1>;expires=1801\r\nContact: <sip:a@2>;expires=60\r\n\r\n",
	 200, SIPDAM_METHOD_REGISTER, 1801, ANSWER_UNSAID},
	/* the header, and the most where neither says */
	{OK "CSeq: 2 REGISTER\r\nExpires: 120\r\nContact: <sip:a@1>\r\n\r\n", 200, SIPDAM_METHOD_REGISTER,
	 120, ANSWER_UNSAID},
	{OK "CSeq: 2 REGISTER\r\nContact: <sip:a@1>\r\n\r\n", 200, SIPDAM_METHOD_REGISTER, 3600,
	 ANSWER_UNSAID},
	/* a de-registration, and its near misses */
	{OK "CSeq: 2 REGISTER\r\nContact: <sip:a@1>;expires=0\r\n\r\n", 200, SIPDAM_METHOD_REGISTER, 0,
	 ANSWER_UNSAID},
	{OK "CSeq: 2 REGISTER\r\nExpires: 0\r\nContact: <sip:a@1>\r\n\r\n", 200, SIPDAM_METHOD_REGISTER, 0,
	 ANSWER_UNSAID},
	{OK "CSeq: 2 REGISTER\r\nExpires: 3600\r\n\r\n", 200, SIPDAM_METHOD_REGISTER, 0, ANSWER_UNSAID},
	/* what is in a URI or quoted is no parameter of the Contact */
	{OK "CSeq: 2 REGISTER\r\nExpires: 120\r\nContact: <sip:a@1;expires=9>;expires=60\r\n\r\n", 200,
	 SIPDAM_METHOD_REGISTER, 60, ANSWER_UNSAID},
	{OK "CSeq: 2 REGISTER\r\nExpires: 120\r\nContact: <sip:a@1;expires=0>\r\n\r\n", 200,
	 SIPDAM_METHOD_REGISTER, 120, ANSWER_UNSAID},
	{OK "CSeq: 2 REGISTER\r\nExpires: 120\r\nContact: sip:a@1;expires=61\r\n\r\n", 200,
	 SIPDAM_METHOD_REGISTER, 61, ANSWER_UNSAID},
	{OK "CSeq: 2 REGISTER\r\nExpires: 120\r\nContact: \";expires=9\" <sip:a@1>;expires=62\r\n\r\n", 200,
	 SIPDAM_METHOD_REGISTER, 62, ANSWER_UNSAID},
	{OK "CSeq: 2 REGISTER\r\nExpires: 120\r\nContact: \"a\\\";expires=9\" <sip:a@1>;expires=63\r\n\r\n",
	 200, SIPDAM_METHOD_REGISTER, 63, ANSWER_UNSAID},
	{OK "CSeq: 2 REGISTER\r\nExpires: 120\r\nContact: \"a\\\\\" <sip:a@1>;expires=64\r\n\r\n", 200,
	 SIPDAM_METHOD_REGISTER, 64, ANSWER_UNSAID},
	{OK "CSeq: 2 REGISTER\r\nExpires: 120\r\nContact: \"a > b < c\" <sip:a@1>;expires=65\r\n\r\n", 200,
	 SIPDAM_METHOD_REGISTER, 65, ANSWER_UNSAID},
	{OK "CSeq: 2 REGISTER\r\nExpires: 120\r\nContact: "
	    "<sip:a@1>;+sip.instance=\"<urn:uuid:1;expires=9>\";expires=66\r\n\r\n",
	 200, SIPDAM_METHOD_REGISTER, 66, ANSWER_UNSAID},
	{OK "CSeq: 2 REGISTER\r\nExpires: 120\r\nContact: <sip:a\"@1>;expires=67, "
	    "<sip:a@2;expires=9>;expires=68\r\n\r\n",
	 200, SIPDAM_METHOD_REGISTER, 68, ANSWER_UNSAID},
	{OK "CSeq: 2 REGISTER\r\nExpires: 120\r\nContact: \"a\r\nContact: <sip:a@1>;expires=69\r\n\r\n", 200,
	 SIPDAM_METHOD_REGISTER, 69, ANSWER_UNSAID},
	{OK "CSeq: 2 REGISTER\r\nContact: <sip:a@1>;expires=1\r\n\r\n", 200, SIPDAM_METHOD_REGISTER, 1,
	 ANSWER_UNSAID},
	/* longer than the most */
	{OK "CSeq: 2 REGISTER\r\nContact: <sip:a@1>;expires=3601\r\n\r\n", 200, SIPDAM_METHOD_REGISTER, 3600,
	 ANSWER_UNSAID},
	{OK "CSeq: 2 REGISTER\r\nContact: <sip:a@1>;expires=99999999999999\r\n\r\n", 200,
	 SIPDAM_METHOD_REGISTER, 3600, ANSWER_UNSAID},
	/* spellings: case, blanks before the colon, compact forms, folded lines, LF alone */
	{OK "cseq \t: 000002 \t REGISTER\r\nM:<sip:a@1>;EXPIRES = 61\r\nl : 5\r\n\r\nhello", 200,
	 SIPDAM_METHOD_REGISTER, 61, 5},
	{OK "CSEQ:2 REGISTER\r\ncontact:\r\n <sip:a@1>\r\n\t;expires=62\r\n\r\n", 200, SIPDAM_METHOD_REGISTER,
	 62, ANSWER_UNSAID},
	{"SIP/2.0 200 OK\nCSeq: 2 REGISTER\nContact: <sip:a@1>;expires=63\n\n", 200, SIPDAM_METHOD_REGISTER,
	 63, ANSWER_UNSAID},
	/* what only looks like it: other headers, the body */
	{OK "CSeq: 2 REGISTER\r\nContact-Like: <sip:a@1>;expires=64\r\nX-Expires: 65\r\n\r\n", 200,
	 SIPDAM_METHOD_REGISTER, 0, ANSWER_UNSAID},
	{OK "CSeqs: 2 INVITE\r\nCSeq: 2 OPTIONS\r\n\r\nCSeq: 3 REGISTER\r\nContact: <sip:a@1>\r\n\r\n", 200,
	 SIPDAM_METHOD_OPTIONS, 0, ANSWER_UNSAID},
	{"SIP/2.0 401 Unauthorized\r\n" VIA "CSeq: 1 REGISTER\r\n\r\n", 401, SIPDAM_METHOD_REGISTER, 0,
	 ANSWER_UNSAID},
	{"SIP/2.0 401 Unauthorized\r\nCSeq: 1 REGISTER\r\nCSeq: 1 BYE\r\n\r\n", 401, SIPDAM_METHOD_REGISTER,
	 0, ANSWER_UNSAID},
	{"SIP/2.0 180 Ringing\r\n" IDS "CSeq: 1 INVITE\r\n\r\n", 180, SIPDAM_METHOD_INVITE, 0, ANSWER_UNSAID},
	{OK "CSeq: 1 SUBSCRIBE\r\n\r\n", 200, SIPDAM_METHOD_SUBSCRIBE, 0, ANSWER_UNSAID},
	{OK "CSeq: 1 FOO\r\n\r\n", 200, SIPDAM_METHOD_OTHER, 0, ANSWER_UNSAID},
	{OK "CSeq: 1 INVITES\r\n\r\n", 200, SIPDAM_METHOD_OTHER, 0, ANSWER_UNSAID},
	{OK "CSeq: 1 REGISTERS\r\n\r\n", 200, SIPDAM_METHOD_OTHER, 0, ANSWER_UNSAID},
	{OK "CSeq: 1 INVITE\n\n", 200, SIPDAM_METHOD_INVITE, 0, ANSWER_UNSAID},
	{OK "CSeq: 1 REGISTER\t\r\n\r\n", 200, SIPDAM_METHOD_REGISTER, 0, ANSWER_UNSAID},
	/* what a Contact's end ends: the headers' end, and a line longer than a step goes */
	{OK "CSeq: 2 REGISTER\r\nContact: <sip:a@1>;expires=60\r\n\r\n;expires=61", 200,
	 SIPDAM_METHOD_REGISTER, 60, ANSWER_UNSAID},
	{OK "CSeq: 2 REGISTER\r\nContact: <sip:a@1>;expires=60\r\nX: " LONG ";expires=61\r\n\r\n", 200,
	 SIPDAM_METHOD_REGISTER, 60, ANSWER_UNSAID},
	{OK "CSeq: 2 REGISTER\r\nX: " LONG "\r\nContact: <sip:a@1>;expires=61\r\n\r\n", 200,
	 SIPDAM_METHOD_REGISTER, 61, ANSWER_UNSAID},
	/* numbers of one word, and of more */
	{OK "CSeq: 1234567 REGISTER\r\nContact: <sip:a@1>;expires=0003599\r\n\r\n", 200,
	 SIPDAM_METHOD_REGISTER, 3599, ANSWER_UNSAID},
	{OK "CSeq: 12345678 REGISTER\r\nContact: <sip:a@1>;expires=00003598\r\n\r\n", 200,
	 SIPDAM_METHOD_REGISTER, 3598, ANSWER_UNSAID},
	{OK "CSeq: 4294967295 REGISTER\r\nExpires: 0000003597\r\nContact: <sip:a@1>\r\n\r\n", 200,
	 SIPDAM_METHOD_REGISTER, 3597, ANSWER_UNSAID},
	{OK "CSeq: 4294967295 REGISTER\r\nContact: <sip:a@1>;expires=x\r\nContent-Length: 12345678\r\n\r\n",
	 200, SIPDAM_METHOD_REGISTER, 3600, 12345678},
	/* requests */
	{"INVITE sip:b@192.0.2.7 SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\n", 0, SIPDAM_METHOD_INVITE, 0,
	 ANSWER_UNSAID},
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct answer answer;

		print_message("%s", rows[i].message);
		assert_int_equal(read_text(rows[i].message, strlen(rows[i].message), true, &answer), 1);
		assert_int_equal(answer.status, rows[i].status);
		assert_int_equal(answer.method, rows[i].method);
		assert_int_equal(answer_lifetime(&answer, 3600), rows[i].lifetime);
		assert_int_equal(answer.body, rows[i].body);
		assert_int_equal(answer.ended, 1);
	}
}

static void test_what_is_no_message(void **state)
{
	static const char *const texts[] = {"",
					    "\r\n\r\n",
					    "SIP/2.0 2OO OK\r\n\r\n",
					    "HTTP/1.1 200 OK\r\n\r\n",
					    "hello, this is no message",
					    "SIP/2.0 200"};

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct answer answer;

		assert_int_equal(read_text(texts[i], strlen(texts[i]), true, &answer), 0);
	}
}

/* What is alone on its wire has no need of its length; all else of it is read the same. */
static void test_length_is_not_asked_for(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct answer asked, alone;

		read_text(rows[i].message, strlen(rows[i].message), true, &asked);
		read_text(rows[i].message, strlen(rows[i].message), false, &alone);
		assert_int_equal(alone.body, ANSWER_UNSAID);
		assert_int_equal(alone.ended, 1);
		assert_int_equal(alone.method, asked.method);
		assert_int_equal(answer_lifetime(&alone, 3600), answer_lifetime(&asked, 3600));
	}
}

/* Cut anywhere it says no more than the whole, and never more than was read. */
static void test_cut_at_every_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct answer whole, cut;

		read_text(rows[i].message, strlen(rows[i].message), true, &whole);
		for (size_t length = 0; length < strlen(rows[i].message); length++) {
			if (!read_text(rows[i].message, length, true, &cut))
				continue;
			assert_int_equal(cut.status, whole.status);
			assert_true(cut.at <= length + ANSWER_STRIDE);
			assert_true(cut.contacts <= whole.contacts);
		}
	}
}

/* Lines end anywhere in what is read at once, two of them too, and behind bytes that are not ASCII. */
static void test_lines_of_every_length(void **state)
{
	static const char *const ends[] = {"\r\nCSeq: 2 REGISTER\r\n", "\nCSeq: 2 REGISTER\n",
					   "\r\nC: 1\r\nCSeq: 2 REGISTER\r\n", "\n\tCSeq: 1 ACK\nCSeq: 2 REGISTER\n",
					   "\xd0\x90\r\nCSeq: 2 REGISTER\r\n", "\r\v\n\vX\nCSeq: 2 REGISTER\r\n"};
	struct answer answer;

	(void)state;
	for (size_t i = 0; i < COUNT(ends); i++)
		for (int length = 0; length < 3 * ANSWER_STRIDE; length++) {
			char message[256];

			snprintf(message, sizeof(message), OK "X: %.*s%sm: <sip:a@1>;expires=60\r\n\r\n", length, LONG,
				 ends[i]);
			assert_int_equal(read_text(message, strlen(message), true, &answer), 1);
			assert_int_equal(answer.method, SIPDAM_METHOD_REGISTER);
			assert_int_equal(answer_lifetime(&answer, 3600), 60);
			assert_int_equal(answer.ended, 1);
			assert_int_equal(answer.at, strlen(message));
		}
}

/* A header of the longest length, and a message of nothing but line feeds: the steps end. */
static void test_bounds(void **state)
{
	char message[ANSWER_BYTES];
	struct answer answer;

	(void)state;
	memset(message, 'x', sizeof(message));
	memcpy(message, OK, strlen(OK));
	assert_int_equal(read_text(message, sizeof(message), true, &answer), 1);
	assert_true(answer.at >= sizeof(message));
	memset(message, ';', sizeof(message));
	memcpy(message, OK "m:", strlen(OK "m:"));
	assert_int_equal(read_text(message, sizeof(message), true, &answer), 1);
	memset(message, '\n', sizeof(message));
	memcpy(message, OK, strlen(OK));
	assert_int_equal(read_text(message, sizeof(message), true, &answer), 1);
	assert_int_equal(answer.ended, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_what_is_no_message),
		cmocka_unit_test(test_length_is_not_asked_for),
		cmocka_unit_test(test_cut_at_every_byte),
		cmocka_unit_test(test_lines_of_every_length),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
