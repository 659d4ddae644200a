/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses, prefixes and feeds. Text lies in heap buffers of its exact size: one byte too far is a report.
 */
// uses: user/address.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "address.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static int parse_exact(const char *text, struct sipdam_prefix *prefix)
{
	char *exact = strdup(text);
	int error = address_parse_prefix(exact, prefix);

	free(exact);
	return error;
}

static void test_prefixes_are_read_and_written(void **state)
{
	static const struct {
		const char *text;
		__u32 bits;
		const char *written;
	} rows[] = {
		{"192.0.2.1", 128, "192.0.2.1"},
		{"192.0.2.1/32", 128, "192.0.2.1"},
		{"192.0.2.129/25", 121, "192.0.2.128/25"},
		{"192.0.2.255/31", 127, "192.0.2.254/31"},
		{"192.0.2.77/24", 120, "192.0.2.0/24"},
		{"255.255.255.255/0", 96, "0.0.0.0/0"},
		{"2001:db8::1", 128, "2001:db8::1"},
		{"2001:DB8::1/128", 128, "2001:db8::1"},
		{"2001:db8:ffff::/33", 33, "2001:db8:8000::/33"},
		{"ffff::/1", 1, "8000::/1"},
		{"2001:db8::/0", 0, "::/0"},
		{"::", 128, "::"},
		{"::1", 128, "::1"},
		{"::ffff:192.0.2.1", 128, "192.0.2.1"},
		{"::ffff:192.0.2.1/120", 120, "192.0.2.0/24"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", 128,
		 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/127", 127,
		 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct sipdam_prefix prefix, again;
		char *written = malloc(ADDRESS_PREFIX_TEXT);

		assert_int_equal(parse_exact(rows[i].text, &prefix), 0);
		assert_int_equal(prefix.bits, rows[i].bits);
		address_format_prefix(&prefix, written);
		assert_string_equal(written, rows[i].written);
		assert_int_equal(parse_exact(written, &again), 0);
		assert_memory_equal(&again, &prefix, sizeof(prefix));
		free(written);
	}
}

static void test_ipv4_is_mapped_in_network_order(void **state)
{
	static const __u8 expected[16] = {[10] = 0xff, 0xff, 192, 0, 2, 129};
	struct sipdam_prefix prefix;
	__u8 address[16];

	(void)state;
	assert_int_equal(parse_exact("192.0.2.129", &prefix), 0);
	assert_memory_equal(prefix.address, expected, 16);
	assert_int_equal(address_parse("192.0.2.129", address), 0);
	assert_memory_equal(address, expected, 16);
	assert_true(address_is_ipv4(address));
	assert_int_equal(address_parse("::192.0.2.129", address), 0);
	assert_false(address_is_ipv4(address));
}

static void test_what_is_no_prefix_is_refused(void **state)
{
	static const char *const rows[] = {
		"",
		"/",
		"/24",
		"192.0.2.1/",
		"192.0.2.1/33",
		"192.0.2.1/-1",
		"192.0.2.1/+8",
		"192.0.2.1/08",
		"192.0.2.1/8 ",
		"192.0.2.1/8/8",
		" 192.0.2.1",
		"192.0.2.1 ",
		"192.0.2",
		"192.0.2.256",
		"192.0.2.01",
		"0x7f.0.0.1",
		"192.0.2.1/0x8",
		"1.2.3.4.5",
		"192.0.2.1/1000",
		"192.0.2.1/4294967304",
		":",
		":::",
		"2001:db8::/129",
		"2001:db8::g",
		"fe80::1%eth0",
		"[2001:db8::1]",
		"2001:db8::1/",
		"1:2:3:4:5:6:7:8:9",
		"192.0.2.1,192.0.2.2",
		"localhost",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		"192.0.2.1/\xd9\xa1",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct sipdam_prefix prefix, before;

		memset(&prefix, 0xa5, sizeof(prefix));
		before = prefix;
		if (parse_exact(rows[i], &prefix) != -EINVAL)
			fail_msg("\"%s\" was taken", rows[i]);
		assert_memory_equal(&prefix, &before, sizeof(prefix));
	}
}

static void test_one_address_has_no_length(void **state)
{
	__u8 address[16], before[16];

	(void)state;
	memset(address, 0xa5, sizeof(address));
	memcpy(before, address, sizeof(before));
	assert_int_equal(address_parse("192.0.2.1/32", address), -EINVAL);
	assert_int_equal(address_parse("2001:db8::1/128", address), -EINVAL);
	assert_int_equal(address_parse("", address), -EINVAL);
	assert_memory_equal(address, before, sizeof(address));
	assert_int_equal(address_parse("2001:db8::1", address), 0);
}

/* A file with these bytes; the name goes into path. */
static void write_feed(char path[32], const char *bytes, size_t length)
{
	int fd;

	strcpy(path, "/tmp/sipdam-feed-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, length), length);
	close(fd);
}

static int read_bytes(struct prefix_set *set, const char *bytes, size_t length, size_t limit, size_t *line)
{
	char path[32];
	int error;

	write_feed(path, bytes, length);
	error = prefix_set_read(set, path, limit, line);
	unlink(path);
	return error;
}

static void test_feeds_are_read(void **state)
{
	static const char feed[] =
		"# a feed\r\n\n192.0.2.0/24\r\n \t2001:db8::/32 \t# note # more\n#192.0.2.9\n"
		"198.51.100.7#x\n\r\n; Spamhaus DROP List\n1.10.16.0/20 ; SBL256894 # x\n203.0.113.0/25;";
	static const char *const expected[] = {"192.0.2.0/24", "2001:db8::/32", "198.51.100.7",
					       "1.10.16.0/20", "203.0.113.0/25"};
	struct prefix_set set = {0};
	size_t line = 77;

	(void)state;
	assert_int_equal(read_bytes(&set, feed, sizeof(feed) - 1, 5, &line), 0);
	assert_int_equal(set.count, COUNT(expected));
	for (size_t i = 0; i < COUNT(expected); i++) {
		char text[ADDRESS_PREFIX_TEXT];

		address_format_prefix(&set.prefix[i], text);
		assert_string_equal(text, expected[i]);
	}
	assert_int_equal(line, 77);
	assert_int_equal(read_bytes(&set, "", 0, 5, &line), 0);
	assert_int_equal(set.count, 5);
	prefix_set_free(&set);
	assert_null(set.prefix);
}

/* An editor's mark at the beginning, and nowhere else; a file may end within what looks like one. */
static void test_a_byte_order_mark(void **state)
{
	static const struct {
		const char *bytes;
		size_t length, line;
	} bad[] = {
		{"\xef\xbb", 2, 1},
		{"\xef"
		 "192.0.2.1\n",
		 11, 1},
		{"\xef\xbb\xbf\xef\xbb\xbf", 6, 1},
		{"192.0.2.1\n\xef\xbb\xbf"
		 "192.0.2.2\n",
		 23, 2},
	};
	struct prefix_set set = {0};
	size_t line = 0;

	(void)state;
	assert_int_equal(read_bytes(&set,
				    "\xef\xbb\xbf"
				    "192.0.2.1\n",
				    13, 4, &line),
			 0);
	assert_int_equal(read_bytes(&set, "\xef\xbb\xbf", 3, 4, &line), 0);
	assert_int_equal(set.count, 1);
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(read_bytes(&set, bad[i].bytes, bad[i].length, 4, &line), -EINVAL);
		assert_int_equal(line, bad[i].line);
	}
	prefix_set_free(&set);
}

static void test_bad_lines_are_named_and_nothing_stays(void **state)
{
	static const struct {
		const char *bytes;
		size_t length, line;
	} rows[] = {
		{"x", 1, 1},
		{"192.0.2.1\nx\n", 12, 2},
		{"192.0.2.1\n\n# c\n192.0.2.1 192.0.2.2\n", 35, 4},
		{"192.0.2.1\n192.0.\0.1\n", 20, 2},
		{"\0", 1, 1},
		{"1.2.3.4, 1.2.3.5\n", 17, 1},
		{"; c\n// c\n", 9, 2},
		{"1.2.3.4 SBL1 ; c\n", 17, 1},
		{"1111111111111111111111111111111111111111111111111111111111111111\n", 65, 1},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct prefix_set set = {0};
		struct sipdam_prefix one;
		size_t line = 0;

		assert_int_equal(parse_exact("203.0.113.1", &one), 0);
		assert_int_equal(prefix_set_add(&set, &one), 0);
		assert_int_equal(read_bytes(&set, rows[i].bytes, rows[i].length, 100, &line), -EINVAL);
		assert_int_equal(line, rows[i].line);
		assert_int_equal(set.count, 1);
		prefix_set_free(&set);
	}
}

static void test_feeds_have_a_limit(void **state)
{
	struct prefix_set set = {0};
	size_t line = 0;

	(void)state;
	assert_int_equal(read_bytes(&set, "1.1.1.1\n2.2.2.2\n", 16, 1, &line), -EFBIG);
	assert_int_equal(set.count, 0);
	assert_int_equal(read_bytes(&set, "1.1.1.1\n2.2.2.2\n", 16, 2, &line), 0);
	assert_int_equal(read_bytes(&set, "3.3.3.3\n", 8, 2, &line), -EFBIG);
	assert_int_equal(set.count, 2);
	prefix_set_free(&set);
}

static void test_only_regular_files_are_feeds(void **state)
{
	struct prefix_set set = {0};
	size_t line = 7;

	(void)state;
	assert_int_equal(prefix_set_read(&set, "/tmp", 10, &line), -EISDIR);
	assert_int_equal(prefix_set_read(&set, "/tmp/sipdam-no-such-file", 10, &line), -ENOENT);
	assert_int_equal(line, 7);
	assert_int_equal(prefix_set_read(&set, "/dev/zero", 10, &line), -EINVAL);
	assert_int_equal(line, 0);
	assert_null(set.prefix);
}

/* The same by a pipe, which takes no more than one byte back. */
static int read_piped(struct prefix_set *set, const char *bytes, size_t length, size_t *line)
{
	FILE *file;
	int fds[2], error;

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], bytes, length), length);
	close(fds[1]);
	file = fdopen(fds[0], "r");
	assert_non_null(file);
	error = prefix_set_read_stream(set, file, 4, line);
	fclose(file);
	return error;
}

static void test_a_feed_by_a_pipe(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
		int error;
		size_t count, line;
	} rows[] = {
		{"", 0, -ENODATA, 0, 0},
		{"\n", 1, 0, 0, 0},
		{"# none today\n", 13, 0, 0, 0},
		{"\xef\xbb\xbf", 3, 0, 0, 0},
		{"192.0.2.1\n2001:db8::/32", 23, 0, 2, 0},
		{"\xef\xbb\xbf"
		 "192.0.2.1\n",
		 13, 0, 1, 0},
		{"\xef"
		 "192.0.2.1\n",
		 11, -EINVAL, 0, 1},
		{"\xef\xbb"
		 "192.0.2.1\n",
		 12, -EINVAL, 0, 1},
		{"192.0.2.1\n<html>\n", 17, -EINVAL, 0, 2},
		{"1.1.1.1\n1.1.1.2\n1.1.1.3\n1.1.1.4\n1.1.1.5\n", 40, -EFBIG, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct prefix_set set = {0};
		size_t line = 0;

		assert_int_equal(read_piped(&set, rows[i].bytes, rows[i].length, &line), rows[i].error);
		assert_int_equal(set.count, rows[i].count);
		assert_int_equal(line, rows[i].line);
		prefix_set_free(&set);
	}
}

static void test_a_stream_that_cannot_be_read(void **state)
{
	FILE *file = fopen("/tmp", "r");
	struct prefix_set set = {0};
	size_t line = 7;

	(void)state;
	assert_non_null(file);
	assert_int_equal(prefix_set_read_stream(&set, file, 4, &line), -EISDIR);
	assert_int_equal(line, 7);
	fclose(file);
}

static void test_sets_grow(void **state)
{
	struct prefix_set set = {0};

	(void)state;
	for (__u32 i = 0; i < 1000; i++) {
		struct sipdam_prefix prefix = {.bits = i % 129};

		assert_int_equal(prefix_set_add(&set, &prefix), 0);
	}
	assert_int_equal(set.count, 1000);
	for (__u32 i = 0; i < 1000; i++)
		assert_int_equal(set.prefix[i].bits, i % 129);
	prefix_set_free(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prefixes_are_read_and_written),
		cmocka_unit_test(test_ipv4_is_mapped_in_network_order),
		cmocka_unit_test(test_what_is_no_prefix_is_refused),
		cmocka_unit_test(test_one_address_has_no_length),
		cmocka_unit_test(test_feeds_are_read),
		cmocka_unit_test(test_a_byte_order_mark),
		cmocka_unit_test(test_bad_lines_are_named_and_nothing_stays),
		cmocka_unit_test(test_feeds_have_a_limit),
		cmocka_unit_test(test_only_regular_files_are_feeds),
		cmocka_unit_test(test_a_feed_by_a_pipe),
		cmocka_unit_test(test_a_stream_that_cannot_be_read),
		cmocka_unit_test(test_sets_grow),
	};

	return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
