// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Names of any bytes as UTF-8: by hand, and against what the JSON library takes. */
// uses: user/utf8.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "utf8.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

/* Cleans a text that lies in a buffer of its size into one of this room; to be freed. */
static char *clean(const char *text, size_t room)
{
	char *exact = strdup(text), *to = malloc(room);

	assert_non_null(exact);
	assert_non_null(to);
	utf8_clean(exact, to, room);
	free(exact);
	return to;
}

static void test_what_is_no_character_is_written_out(void **state)
{
	static const struct {
		const char *text, *clean;
	} rows[] = {
		{"", ""},
		{"eth0", "eth0"},
		{"\x01\x7f\"\\", "\x01\x7f\"\\"}, /* whoever prints it escapes what it must */
		{"a\\xff", "a\\xff"},
		{"\xc3\xa9", "\xc3\xa9"},
		{"\xe2\x82\xac\xf0\x9f\x98\x80", "\xe2\x82\xac\xf0\x9f\x98\x80"},
		{"\xff", "\\xff"},
		{"e\xe9t", "e\\xe9t"}, /* Latin-1 */
		{"\x80", "\\x80"},
		{"\xc3", "\\xc3"}, /* cut short */
		{"\xe2\x82", "\\xe2\\x82"},
		{"\xf0\x9f\x98", "\\xf0\\x9f\\x98"},
		{"\xc3\xc3\xa9", "\\xc3\xc3\xa9"},
		{"\xc1\xbf\xc2\x80", "\\xc1\\xbf\xc2\x80"}, /* longer than it need be, and near misses */
		{"\xe0\x9f\xbf\xe0\xa0\x80", "\\xe0\\x9f\\xbf\xe0\xa0\x80"},
		{"\xf0\x8f\xbf\xbf\xf0\x90\x80\x80", "\\xf0\\x8f\\xbf\\xbf\xf0\x90\x80\x80"},
		{"\xed\xa0\x80\xed\x9f\xbf", "\\xed\\xa0\\x80\xed\x9f\xbf"}, /* a surrogate */
		{"\xf4\x90\x80\x80\xf4\x8f\xbf\xbf",
		 "\\xf4\\x90\\x80\\x80\xf4\x8f\xbf\xbf"}, /* the last one */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char *made = clean(rows[i].text, strlen(rows[i].clean) + 1);

		assert_string_equal(made, rows[i].clean);
		free(made);
	}
}

static void test_it_is_cut_between_characters(void **state)
{
	static const struct {
		size_t room;
		const char *clean;
	} rows[] = {{1, ""}, {2, "a"}, {5, "a"}, {6, "a\\xff"}, {7, "a\\xff"}, {8, "a\\xff\xc3\xa9"}};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char *made = clean("a\xff\xc3\xa9", rows[i].room);

		assert_string_equal(made, rows[i].clean);
		free(made);
	}
}

/* Texts of bytes that are near each other in UTF-8. */
static void draw(char text[9])
{
	static const unsigned char bytes[] = {'a',  0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0,
					      0xbf, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xed,
					      0xee, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff};
	size_t length = (size_t)rand() % 9;

	for (size_t i = 0; i < length; i++)
		text[i] = (char)bytes[(size_t)rand() % sizeof(bytes)];
	text[length] = '\0';
}

static void test_the_json_library_takes_what_is_clean_and_nothing_else(void **state)
{
	int whole = 0;

	(void)state;
	srand(1);
	for (int i = 0; i < 200000; i++) {
		char text[9], *made;
		json_t *as_it_is, *string;

		draw(text);
		made = clean(text, UTF8_ROOM(strlen(text)));
		as_it_is = json_string(text);
		string = utf8_json(text);
		assert_non_null(string);
		assert_string_equal(json_string_value(string), made);
		assert_int_equal(as_it_is != NULL, !strcmp(text, made));
		whole += as_it_is && strlen(text) > 1;
		json_decref(as_it_is);
		json_decref(string);
		free(made);
	}
	assert_in_range(whole, 1000, 100000); /* both were seen */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_no_character_is_written_out),
		cmocka_unit_test(test_it_is_cut_between_characters),
		cmocka_unit_test(test_the_json_library_takes_what_is_clean_and_nothing_else),
	};

	return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
