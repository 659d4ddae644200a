// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// libs: openssl gnutls
/*
 * The reader of hellos, compiled natively, on what real clients and servers say: every version, cut at every
 * byte, with every byte changed, in heap buffers of their exact size. And the packets that it alters: what a
 * server makes of them, and that their sums stay.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/prog/packet.h"
#include "tests/unit/hello.h"

#pragma GCC diagnostic ignored "-Wunknown-pragmas" /* clang's unroll */
#include "tls.h"

#define FRONT 3 /* bytes before the payload, so that offsets of the frame and of the payload differ */

/* A segment's payload in a heap buffer that ends with it. */
static struct packet exact(const unsigned char *data, size_t bytes, frame_t *frame)
{
	__u8 *copy = malloc(FRONT + bytes);

	assert_non_null(copy);
	memset(copy, 0xee, FRONT);
	memcpy(copy + FRONT, data, bytes);
	frame->data = copy;
	return (struct packet){.present = (__u32)(FRONT + bytes),
			       .length = (__u32)(FRONT + bytes),
			       .payload_offset = FRONT,
			       .payload_length = (__u32)bytes};
}

/* Read as a segment that one buffer holds, and as one that several do: both say the same. */
static int offered_both_ways(frame_t *frame, const struct packet *packet)
{
	struct tls_hello near, far;
	int version = tls_offered(frame, packet, &near);

	assert_int_equal(tls_offered_far(frame, packet, &far), version);
	assert_memory_equal(&near, &far, sizeof(near));
	return version;
}

static int offered(const unsigned char *data, size_t bytes)
{
	struct tls_hello hello;
	frame_t frame;
	struct packet packet = exact(data, bytes, &frame);
	int version = tls_look(&frame, &packet) == TLS_BEGINS_OLD ? tls_offered_old(&frame, &packet, &hello)
								  : offered_both_ways(&frame, &packet);

	free((void *)frame.data);
	return version;
}

static int chosen(const unsigned char *data, size_t bytes)
{
	struct tls_hello hello;
	frame_t frame;
	struct packet packet = exact(data, bytes, &frame);
	int version = tls_chosen(&frame, &packet, &hello);

	free((void *)frame.data);
	return version;
}

static const struct {
	int openssl;
	const char *gnutls;
	int version;
} versions[] = {
	{TLS1_VERSION, "NORMAL:-VERS-ALL:+VERS-TLS1.0", 0x0301},
	{TLS1_1_VERSION, "NORMAL:-VERS-ALL:+VERS-TLS1.1", 0x0302},
	{TLS1_2_VERSION, "NORMAL:-VERS-ALL:+VERS-TLS1.2", 0x0303},
	{TLS1_3_VERSION, "NORMAL:-VERS-ALL:+VERS-TLS1.3", 0x0304},
};

/* As it comes, with GREASE, and of a client that speaks everything below as well. */
static void check_client(struct hello hello, int version, bool sni, bool ticket)
{
	assert_int_equal(tls_begins(hello.data), TLS_BEGINS_CLIENT);
	assert_int_equal(offered(hello.data, hello.bytes), version);
	assert_int_equal(hello_extension(&hello, 0) != 0, sni);
	assert_int_equal(hello_extension(&hello, 35) != 0, ticket);
	hello_grease(&hello);
	assert_int_equal(offered(hello.data, hello.bytes), version);
}

static void test_clients_of_openssl(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(versions); i++) {
		int only = versions[i].openssl, version = versions[i].version;

		check_client(hello_openssl(only, only, HELLO_NAME, true), version, true, true);
		check_client(hello_openssl(only, only, NULL, false), version, false, false);
		check_client(hello_openssl(TLS1_VERSION, only, NULL, true), version, false, true);
	}
	assert_int_equal(offered(hello_resumed(TLS1_2_VERSION).data, hello_resumed(TLS1_2_VERSION).bytes),
			 0x0303);
}

/* Who comes again shows the ticket of his last session: the extension of TLS 1.2, or a key known before. */
static void test_with_tickets(void **state)
{
	struct hello hello = hello_resumed(TLS1_2_VERSION);

	(void)state;
	check_client(hello, 0x0303, true, true);
	assert_true(hello_number(hello.data + hello_extension(&hello, 35) + 2) > 100);
	hello = hello_resumed(TLS1_3_VERSION);
	check_client(hello, 0x0304, true, true);
	assert_true(hello_extension(&hello, 41));
}

static void test_clients_of_gnutls(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(versions); i++) {
		struct hello named = hello_gnutls(versions[i].gnutls, HELLO_NAME);
		struct hello nameless = hello_gnutls(versions[i].gnutls, NULL);

		check_client(named, versions[i].version, true, hello_extension(&named, 35));
		check_client(nameless, versions[i].version, false, hello_extension(&nameless, 35));
	}
	assert_int_equal(offered(hello_gnutls("NORMAL", NULL).data, 1000), 0x0304);
}

/* Without the extension a number above that of TLS 1.2 means TLS 1.2, and one below SSL 3.0 nothing. */
static void test_legacy_versions(void **state)
{
	static const struct {
		int number, version;
	} rows[] = {{0x0304, 0x0303}, {0x0305, 0x0303}, {0xffff, 0x0303}, {0x0303, 0x0303}, {0x0302, 0x0302},
		    {0x0301, 0x0301}, {0x0300, 0x0300}, {0x02ff, 0},      {0x0002, 0},      {0, 0}};
	struct hello hello = hello_openssl(TLS1_2_VERSION, TLS1_2_VERSION, NULL, true);

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		hello_put(hello.data + 9, (size_t)rows[i].number);
		assert_int_equal(offered(hello.data, hello.bytes), rows[i].version);
	}
	/* With it the number means nothing. */
	hello = hello_openssl(TLS1_3_VERSION, TLS1_3_VERSION, NULL, true);
	hello_put(hello.data + 9, 0x0301);
	assert_int_equal(offered(hello.data, hello.bytes), 0x0304);
}

/* Hellos of before there were extensions end where they would begin. */
static void test_without_extensions(void **state)
{
	struct hello hello = hello_openssl(TLS1_VERSION, TLS1_VERSION, NULL, true);
	size_t at = hello_extensions(&hello);

	(void)state;
	hello_grow(&hello, -(long)(hello.bytes - at));
	assert_int_equal(hello.bytes, at);
	assert_int_equal(offered(hello.data, hello.bytes), 0x0301);
	hello.data[8]++; /* one byte more is announced: half a length */
	assert_int_equal(offered(hello.data, hello.bytes), TLS_UNSEEN);
	assert_int_equal(offered(hello.data, hello.bytes + 1), TLS_UNSEEN);
}

/* A list of versions, as it is; what it holds. */
static int offered_list(const void *list, size_t bytes)
{
	struct hello hello = hello_openssl(TLS1_3_VERSION, TLS1_3_VERSION, NULL, true);

	hello_remove_extension(&hello, 43);
	hello_add_extension(&hello, 43, bytes);
	memcpy(hello.data + hello_extension(&hello, 43) + 4, list, bytes);
	return offered(hello.data, hello.bytes);
}

static void test_lists_of_versions(void **state)
{
	__u8 many[3 + 2 * TLS_VERSIONS_MAX] = {2 + 2 * TLS_VERSIONS_MAX};

	(void)state;
	assert_int_equal(offered_list("\2\3\4", 3), 0x0304);
	assert_int_equal(offered_list("\4\3\3\3\4", 5), 0x0304); /* in any order */
	assert_int_equal(offered_list("\6\3\4\3\3\3\2", 7), 0x0304);
	assert_int_equal(offered_list("\4\xaa\xaa\3\3", 5), 0x0303); /* GREASE is nobody's version */
	assert_int_equal(offered_list("\4\3\3\xfa\xfa", 5), 0x0303);
	assert_int_equal(offered_list("\4\x7f\x1c\3\1", 5), 0x0301); /* nor are a draft, */
	assert_int_equal(offered_list("\4\3\5\3\2", 5), 0x0302);     /* one to come, */
	assert_int_equal(offered_list("\4\xfe\xfc\3\2", 5), 0x0302); /* DTLS */
	assert_int_equal(offered_list("\2\xaa\xaa", 3), 0);
	assert_int_equal(offered_list("\2\3\0", 3), 0x0300);
	assert_int_equal(offered_list("\2\2\377", 3), 0);
	/* What a server refuses for its shape. */
	assert_int_equal(offered_list("", 0), TLS_UNSEEN);
	assert_int_equal(offered_list("\0", 1), TLS_UNSEEN);
	assert_int_equal(offered_list("\1\3", 2), TLS_UNSEEN);
	assert_int_equal(offered_list("\3\3\4\3", 4), TLS_UNSEEN);
	assert_int_equal(offered_list("\2\3\4\3\4", 5), TLS_UNSEEN);
	assert_int_equal(offered_list("\4\3\4", 3), TLS_UNSEEN);
	assert_int_equal(offered_list("\377\3\4", 3), TLS_UNSEEN);
	/* So many count, and what comes behind does not. */
	hello_put(many + 1 + 2 * (TLS_VERSIONS_MAX - 1), 0x0303);
	hello_put(many + 1 + 2 * TLS_VERSIONS_MAX, 0x0304);
	assert_int_equal(offered_list(many, sizeof(many)), 0x0303);
}

/*
 * Cut at each byte: seen from the byte on that ends its list of versions, or without one from where the last
 * extension has told how long it is.
 */
static void check_cut(const struct hello *hello, int version)
{
	size_t list = hello_extension(hello, 43), from = hello_extensions(hello) + 2;

	if (list)
		from = list + 4 + hello_number(hello->data + list + 2);
	for (size_t at = from; !list && at < hello->bytes; at += 4 + hello_number(hello->data + at + 2))
		from = at + 4;
	for (size_t bytes = 0; bytes <= hello->bytes; bytes++)
		assert_int_equal(offered(hello->data, bytes), bytes < from ? TLS_UNSEEN : version);
}

static void test_cut_at_every_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(versions); i++) {
		struct hello hello =
			hello_openssl(versions[i].openssl, versions[i].openssl, HELLO_NAME, true);

		check_cut(&hello, versions[i].version);
		hello_grease(&hello);
		check_cut(&hello, versions[i].version);
		hello = hello_gnutls(versions[i].gnutls, HELLO_NAME);
		check_cut(&hello, versions[i].version);
	}
}

/* A record that ends earlier than the segment shows no more of the hello than it holds. */
static void test_cut_by_the_record(void **state)
{
	struct hello hello = hello_openssl(TLS1_3_VERSION, TLS1_3_VERSION, HELLO_NAME, true);
	size_t list = hello_extension(&hello, 43), bytes = hello_number(hello.data + 3);

	(void)state;
	hello_put(hello.data + 3, list + 4 + 3 - 5);
	assert_int_equal(offered(hello.data, hello.bytes), 0x0304);
	hello_put(hello.data + 3, list + 4 + 3 - 5 - 1);
	assert_int_equal(offered(hello.data, hello.bytes), TLS_UNSEEN);
	hello_put(hello.data + 3, 1);
	assert_int_equal(offered(hello.data, hello.bytes), TLS_UNSEEN);
	hello_put(hello.data + 3, bytes + 100); /* and one that goes on behind it is as it was */
	assert_int_equal(offered(hello.data, hello.bytes), 0x0304);
}

/* A key of 1,216 bytes pushes what comes behind it into the next segment. */
static void test_post_quantum(void **state)
{
	struct hello last = hello_openssl(TLS1_2_VERSION, TLS1_3_VERSION, HELLO_NAME, true), first = last;
	const size_t segment = 1448;

	(void)state;
	hello_post_quantum(&last, false);
	hello_post_quantum(&first, true);
	assert_true(last.bytes > segment && first.bytes == last.bytes);
	assert_int_equal(offered(last.data, last.bytes), 0x0304);
	assert_int_equal(offered(last.data, segment), 0x0304);
	assert_int_equal(offered(first.data, first.bytes), 0x0304);
	hello_add_extension(&first, 21, 200);
	assert_int_equal(offered(first.data, segment), TLS_UNSEEN);
	assert_int_equal(tls_begins(first.data + segment), TLS_BEGINS_OTHER);
}

/* Extensions without an end: so many are read. */
static void test_many_extensions(void **state)
{
	struct hello hello = hello_openssl(TLS1_3_VERSION, TLS1_3_VERSION, NULL, true);
	int before = 0;

	(void)state;
	for (size_t at = hello_extensions(&hello) + 2; at != hello_extension(&hello, 43);
	     at += 4 + hello_number(hello.data + at + 2))
		before++;
	for (; before < TLS_EXTENSIONS_MAX - 1; before++)
		hello_add_extension(&hello, 0x1000 + (size_t)before, 0);
	assert_int_equal(offered(hello.data, hello.bytes), 0x0304);
	hello_add_extension(&hello, 0x2000, 0);
	assert_int_equal(offered(hello.data, hello.bytes), TLS_UNSEEN);
	/* Without a list of versions so many and their end. */
	hello = hello_openssl(TLS1_2_VERSION, TLS1_2_VERSION, NULL, true);
	before = 0;
	for (size_t at = hello_extensions(&hello) + 2; at < hello.bytes;
	     at += 4 + hello_number(hello.data + at + 2))
		before++;
	for (; before < TLS_EXTENSIONS_MAX - 1; before++)
		hello_add_extension(&hello, 0x1000 + (size_t)before, 0);
	assert_int_equal(offered(hello.data, hello.bytes), 0x0303);
	hello_add_extension(&hello, 0x2000, 0);
	assert_int_equal(offered(hello.data, hello.bytes), TLS_UNSEEN);
}

/* Lengths that lie, each in its turn. */
static void test_lengths_that_lie(void **state)
{
	const struct hello good = hello_openssl(TLS1_3_VERSION, TLS1_3_VERSION, HELLO_NAME, true);
	const struct hello older = hello_openssl(TLS1_2_VERSION, TLS1_2_VERSION, HELLO_NAME, true);
	size_t extensions = hello_extensions(&good), name = hello_extension(&good, 0);
	struct hello bad = good;

	(void)state;
	for (int by = -2; by <= 2; by++) {
		int version = by ? TLS_UNSEEN : 0x0304;

		bad = good;
		hello_put(bad.data + extensions, hello_number(bad.data + extensions) + (size_t)by);
		assert_int_equal(offered(bad.data, bad.bytes), version);
		bad = good;
		hello_put(bad.data + 7, hello_number(bad.data + 7) + (size_t)by);
		assert_int_equal(offered(bad.data, bad.bytes), version);
	}
	bad = good;
	bad.data[6] = 1; /* a hello of 64 KiB and more */
	assert_int_equal(offered(bad.data, bad.bytes), TLS_UNSEEN);
	bad = good;
	hello_put(bad.data + name + 2, 0xffff);
	assert_int_equal(offered(bad.data, bad.bytes), TLS_UNSEEN);
	bad = good;
	bad.data[43] = 33; /* a session's number of 33 bytes */
	assert_int_equal(offered(bad.data, bad.bytes), TLS_UNSEEN);
	bad = good;
	bad.data[43 + 1 + 32 + 1]++; /* cipher suites of an odd length, */
	assert_int_equal(offered(bad.data, bad.bytes), TLS_UNSEEN);
	hello_put(bad.data + 43 + 1 + 32, 0); /* and none */
	assert_int_equal(offered(bad.data, bad.bytes), TLS_UNSEEN);
	bad = good;
	bad.data[extensions - 2] = 0; /* no compression method: not even "none" */
	assert_int_equal(offered(bad.data, bad.bytes), TLS_UNSEEN);
	bad = older;
	hello_put(bad.data + hello_extensions(&bad), 0); /* no extensions, and some behind them */
	assert_int_equal(offered(bad.data, bad.bytes), TLS_UNSEEN);
}

/* The same where every other length agrees with the one that lies, and the record goes on behind the hello.
 */
static void test_lies_that_agree(void **state)
{
	const struct hello good = hello_openssl(TLS1_3_VERSION, TLS1_3_VERSION, HELLO_NAME, true);
	size_t suites = 43 + 1 + 32, list;
	struct hello bad = good;

	(void)state;
	/* Cipher suites of an odd length, and none. */
	memmove(bad.data + suites + 3, bad.data + suites + 2, bad.bytes - suites - 2);
	hello_put(bad.data + suites, hello_number(bad.data + suites) + 1);
	hello_put(bad.data + 7, hello_number(bad.data + 7) + 1);
	hello_put(bad.data + 3, hello_number(bad.data + 3) + 1);
	assert_int_equal(offered(bad.data, bad.bytes + 1), TLS_UNSEEN);
	bad = good;
	memmove(bad.data + suites + 2, bad.data + suites + 2 + hello_number(good.data + suites),
		bad.bytes - suites - 2 - hello_number(good.data + suites));
	hello_put(bad.data + suites, 0);
	hello_put(bad.data + 7, hello_number(bad.data + 7) - hello_number(good.data + suites));
	assert_int_equal(offered(bad.data, bad.bytes), TLS_UNSEEN);
	/* A list that goes on behind the hello, and one that lies behind it as a whole. */
	bad = good;
	hello_remove_extension(&bad, 43);
	hello_insert(&bad, bad.bytes, "\0\53\0\3\2\3\4", 7);
	list = hello_extension(&bad, 43);
	assert_int_equal(offered(bad.data, bad.bytes), 0x0304);
	hello_put(bad.data + 3, hello_number(bad.data + 3) + 2);
	bad.data[list + 3] += 2;
	bad.data[list + 4] += 2;
	assert_int_equal(offered(bad.data, bad.bytes + 2), TLS_UNSEEN);
	bad = good;
	hello_remove_extension(&bad, 43);
	list = hello_extension(&bad, 0);
	memmove(bad.data + hello_extensions(&bad) + 2, bad.data + list, 4);
	hello_put(bad.data + hello_extensions(&bad) + 4,
		  bad.bytes - hello_extensions(&bad) - 2 - 4 + 1); /* beyond the end by a byte */
	memcpy(bad.data + bad.bytes, "x\0\53\0\3\2\3\4", 8);
	hello_put(bad.data + 3, hello_number(bad.data + 3) + 8);
	assert_int_equal(offered(bad.data, bad.bytes + 8), TLS_UNSEEN);
}

/* Where the last extension ends, by its own word: at the end of the hello, and at no other byte. */
static void test_where_the_last_extension_ends(void **state)
{
	const struct hello good = hello_openssl(TLS1_2_VERSION, TLS1_2_VERSION, HELLO_NAME, true);
	size_t last = hello_extensions(&good) + 2, behind = 16;

	(void)state;
	while (last + 4 + hello_number(good.data + last + 2) < good.bytes)
		last += 4 + hello_number(good.data + last + 2);
	for (int by = -8; by <= 8; by++) {
		struct hello bad = good;
		long length = (long)hello_number(bad.data + last + 2) + by;

		if (length < 0)
			continue;
		hello_put(bad.data + last + 2, (size_t)length);
		/* Nothing behind it; bytes of the segment; bytes of the record, which are one extension more. */
		assert_int_equal(offered(bad.data, bad.bytes), by ? TLS_UNSEEN : 0x0303);
		assert_int_equal(offered(bad.data, bad.bytes + behind), by ? TLS_UNSEEN : 0x0303);
		hello_put(bad.data + 3, bad.bytes - 5 + behind);
		assert_int_equal(offered(bad.data, bad.bytes + behind), by ? TLS_UNSEEN : 0x0303);
		memcpy(bad.data + bad.bytes + by, "\0\53\0\3\2\3\4", 7);
		if (by > 0) /* a list that no server reads */
			assert_int_equal(offered(bad.data, bad.bytes + behind), TLS_UNSEEN);
	}
}

/* Lengths of two bytes that are larger by a byte's worth, and what a walk of 16 bits would take them for. */
static void test_long_extensions(void **state)
{
	static const size_t lengths[] = {0, 1, 255, 256, 257, 511, 512, 2047};

	(void)state;
	for (size_t i = 0; i < COUNT(lengths); i++) {
		struct hello hello = hello_openssl(TLS1_3_VERSION, TLS1_3_VERSION, HELLO_NAME, true);

		hello_add_extension(&hello, 43 << 8, lengths[i]); /* and a type whose bytes are the other way round */
		hello_add_extension(&hello, 43 << 8 | 43, 1);
		hello_add_extension(&hello, 1 << 8 | 43, 1);
		assert_int_equal(offered(hello.data, hello.bytes), 0x0304);
		hello.data[hello_extension(&hello, 43 << 8) + 2]++; /* 256 bytes more than there are */
		assert_int_equal(offered(hello.data, hello.bytes), TLS_UNSEEN);
		hello.data[hello_extension(&hello, 43 << 8 | 43) + 2] = 0xff;
		assert_int_equal(offered(hello.data, hello.bytes), TLS_UNSEEN);
	}
}

/* What a frame is padded with behind the IP packet is not the segment's. */
static void test_padding_is_not_read(void **state)
{
	struct hello hello = hello_openssl(TLS1_3_VERSION, TLS1_3_VERSION, HELLO_NAME, true);
	struct tls_hello where;
	frame_t frame;
	struct packet packet = exact(hello.data, hello.bytes, &frame);

	(void)state;
	packet.payload_length = (__u32)hello_extension(&hello, 43) + 4 + 2;
	assert_int_equal(tls_offered(&frame, &packet, &where), TLS_UNSEEN);
	packet.payload_length++;
	assert_int_equal(tls_offered(&frame, &packet, &where), 0x0304);
	free((void *)frame.data);
}

/* Nor of the last extension's length, whose last byte comes behind the segment, or behind the record. */
static void test_the_last_length_is_in_sight(void **state)
{
	struct hello hello = hello_openssl(TLS1_2_VERSION, TLS1_2_VERSION, HELLO_NAME, true);
	frame_t frame;
	struct packet packet;

	(void)state;
	hello_insert(&hello, hello.bytes, "\x12\x34\0\0", 4);
	packet = exact(hello.data, hello.bytes, &frame);
	assert_int_equal(offered_both_ways(&frame, &packet), 0x0303);
	packet.payload_length--;
	assert_int_equal(offered_both_ways(&frame, &packet), TLS_UNSEEN);
	free((void *)frame.data);
	hello_put(hello.data + 3, hello_number(hello.data + 3) - 1);
	assert_int_equal(offered(hello.data, hello.bytes), TLS_UNSEEN);
}

/* Every byte with every value: nothing is read beyond the segment, and every answer is one. */
static void test_every_byte_changed(void **state)
{
	struct hello hello = hello_openssl(TLS1_2_VERSION, TLS1_3_VERSION, HELLO_NAME, true);

	(void)state;
	for (size_t at = 0; at < hello.bytes; at++)
		for (int by = 1; by < 256; by++) {
			int version;

			hello.data[at]++;
			version = offered(hello.data, hello.bytes);
			assert_true(version == TLS_UNSEEN || !version ||
				    (version >= TLS_SSL3 && version <= TLS_1_3));
			if (by == 255)
				hello.data[at]++;
		}
	assert_int_equal(offered(hello.data, hello.bytes), 0x0304);
}

static void test_what_a_segment_begins_with(void **state)
{
	static const struct {
		__u8 bytes[TLS_BEGIN_BYTES];
		enum tls_begins begins;
	} rows[] = {
		{{22, 3, 1, 2, 0, 1}, TLS_BEGINS_CLIENT},
		{{22, 3, 0, 0, 1, 1}, TLS_BEGINS_CLIENT}, /* a record that shows the type alone */
		{{22, 3, 4, 0x40, 0, 1}, TLS_BEGINS_CLIENT},
		{{22, 3, 3, 0, 80, 2}, TLS_BEGINS_SERVER},
		{{22, 3, 3, 0x40, 1, 1}, TLS_BEGINS_OTHER}, /* longer than a record may be */
		{{22, 3, 1, 0, 0, 22}, TLS_BEGINS_CUT},     /* an empty record */
		{{22, 2, 1, 2, 0, 1}, TLS_BEGINS_OTHER},
		{{22, 4, 1, 2, 0, 1}, TLS_BEGINS_OTHER},
		{{23, 3, 3, 2, 0, 1}, TLS_BEGINS_OTHER}, /* data */
		{{21, 3, 3, 0, 2, 1}, TLS_BEGINS_OTHER}, /* an alert */
		{{20, 3, 3, 0, 1, 1}, TLS_BEGINS_OTHER},
		{{22, 3, 3, 2, 0, 0}, TLS_BEGINS_OTHER},      /* HelloRequest */
		{{22, 3, 3, 2, 0, 16}, TLS_BEGINS_OTHER},     /* ClientKeyExchange */
		{{0x80, 0x2e, 1, 3, 1, 0}, TLS_BEGINS_OLD},   /* a hello as SSL 2.0 had it, */
		{{0x81, 0x2e, 1, 3, 3, 0}, TLS_BEGINS_OLD},
		{{0x7f, 0x2e, 1, 3, 1, 0}, TLS_BEGINS_OTHER}, /* and what is none */
		{{0x80, 0x2e, 2, 3, 1, 0}, TLS_BEGINS_OTHER},
		{{0x80, 0x2e, 1, 0, 2, 0}, TLS_BEGINS_OTHER},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_int_equal(tls_begins(rows[i].bytes), rows[i].begins);
}

static enum tls_begins look(const void *data, size_t bytes)
{
	frame_t frame;
	struct packet packet = exact(data, bytes, &frame);
	enum tls_begins begins = tls_look(&frame, &packet);

	free((void *)frame.data);
	return begins;
}

/* A segment of fewer bytes than tell may be the beginning of a hello as far as it goes. */
static void test_what_little_may_begin(void **state)
{
	(void)state;
	assert_int_equal(look("", 0), TLS_BEGINS_OTHER);
	assert_int_equal(look("\x16", 1), TLS_BEGINS_CUT);
	assert_int_equal(look("\x17", 1), TLS_BEGINS_OTHER);
	assert_int_equal(look("\x16\3", 2), TLS_BEGINS_CUT);
	assert_int_equal(look("\x16\2", 2), TLS_BEGINS_OTHER);
	assert_int_equal(look("\x17\3", 2), TLS_BEGINS_OTHER);
	assert_int_equal(look("\x16\3\1\2\0", 5), TLS_BEGINS_CUT);
	assert_int_equal(look("\x16\4\1\2\0", 5), TLS_BEGINS_OTHER);
	assert_int_equal(look("\x16\3\1\2\0\1", 6), TLS_BEGINS_CLIENT);
	assert_int_equal(look("\x80\x2e\1\3\3", 5), TLS_BEGINS_OTHER);
	assert_int_equal(look("\x80\x2e\1\3\3\0", 6), TLS_BEGINS_CUT);
	assert_int_equal(look("\x80\x2e\1\3\3\0\3\0\0\0", 10), TLS_BEGINS_CUT);
}

/* ---- as SSL 2.0 had it ---- */

#define OLD_SUITES 9
#define OLD_BYTES  (11 + OLD_SUITES + 16)

static struct hello old_hello(int version)
{
	static const unsigned char suites[OLD_SUITES] = {0, 0, 0x2f, 0, 0, 0x9c, 0, 0, 0xff};
	struct hello hello = {.bytes = OLD_BYTES, .data = {0x80, OLD_BYTES - 2, 1}};

	hello_put(hello.data + 3, (size_t)version);
	hello_put(hello.data + 5, OLD_SUITES);
	hello_put(hello.data + 9, 16);
	memcpy(hello.data + 11, suites, sizeof(suites));
	for (int i = 0; i < 16; i++)
		hello.data[11 + OLD_SUITES + i] = (unsigned char)(i * 29 + 7);
	return hello;
}

static void test_an_old_hello(void **state)
{
	static const int bad[][2] = {{5, 0}, {5, 10}, {5, 12}, {7, 1}, {7, 33}, {9, 15}, {9, 33}, {0, 0x8021}, {0, 0x8023}};
	struct hello hello = old_hello(0x0303);

	(void)state;
	assert_int_equal(look(hello.data, hello.bytes), TLS_BEGINS_OLD);
	assert_int_equal(look(hello.data, 11), TLS_BEGINS_OLD);
	assert_int_equal(offered(hello.data, hello.bytes), 0x0303);
	assert_int_equal(offered(hello.data, 11), 0x0303);
	assert_int_equal(offered(old_hello(0x0304).data, OLD_BYTES), 0x0303); /* it cannot offer TLS 1.3 */
	assert_int_equal(offered(old_hello(0x0301).data, OLD_BYTES), 0x0301);
	for (size_t i = 0; i < COUNT(bad); i++) { /* a length that lies */
		hello = old_hello(0x0303);
		hello_put(hello.data + bad[i][0], (size_t)bad[i][1]);
		assert_int_equal(look(hello.data, hello.bytes), TLS_BEGINS_OTHER);
	}
	/* The same where every other length agrees with it. */
	for (int challenge = 14; challenge < 36; challenge++) {
		hello = old_hello(0x0303);
		hello_put(hello.data + 9, (size_t)challenge);
		hello.data[1] = (unsigned char)(9 + OLD_SUITES + challenge);
		assert_int_equal(look(hello.data, hello.bytes),
				 challenge < 16 || challenge > 32 ? TLS_BEGINS_OTHER : TLS_BEGINS_OLD);
	}
	hello = old_hello(0x0303); /* suites of three bytes each */
	hello_put(hello.data + 5, OLD_SUITES + 1);
	hello.data[1]++;
	assert_int_equal(look(hello.data, hello.bytes), TLS_BEGINS_OTHER);
	hello = old_hello(0x0303);
	hello_put(hello.data + 7, 32);
	hello.data[1] += 32;
	assert_int_equal(look(hello.data, hello.bytes), TLS_BEGINS_OLD);
	hello.data[8]++, hello.data[1]++;
	assert_int_equal(look(hello.data, hello.bytes), TLS_BEGINS_OTHER);
}

/* ---- what servers make of odd beginnings: why they are looked at ---- */

static size_t answer_to(const struct hello *hello, const void *before, size_t bytes)
{
	struct hello whole = {.bytes = bytes + hello->bytes}, answer;

	memcpy(whole.data, before, bytes);
	memcpy(whole.data + bytes, hello->data, hello->bytes);
	answer = hello_answer(&whole, TLS1_VERSION, TLS1_3_VERSION, NULL);
	return tls_begins(answer.data) == TLS_BEGINS_SERVER ? answer.bytes : 0;
}

static void test_what_servers_take(void **state)
{
	struct hello hello = hello_openssl(TLS1_2_VERSION, TLS1_2_VERSION, HELLO_NAME, true), twice = hello;

	(void)state;
	assert_true(answer_to(&hello, "", 0));
	assert_true(answer_to(&hello, "\x16\3\1\0\0", 5)); /* an empty record */
	assert_int_equal(answer_to(&hello, "\x15\3\1\0\2\1\x5a", 7), 0); /* alerts, and a change of ciphers */
	assert_int_equal(answer_to(&hello, "\x14\3\1\0\1\1", 6), 0);
	/* Two lists of versions: nobody has to choose between them. */
	hello_insert(&twice, twice.bytes, "\0\53\0\3\2\3\3", 7);
	assert_true(answer_to(&twice, "", 0));
	hello_insert(&twice, twice.bytes, "\0\53\0\3\2\3\4", 7);
	assert_int_equal(answer_to(&twice, "", 0), 0);
	ERR_clear_error();
}

/* ---- the server's side ---- */

static void test_servers(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(versions); i++) {
		struct hello hello = hello_openssl(TLS1_VERSION, TLS1_3_VERSION, NULL, true);
		struct hello answer = hello_answer(&hello, TLS1_VERSION, versions[i].openssl, NULL);
		size_t bytes = 5 + hello_number(answer.data + 3);

		assert_int_equal(tls_begins(answer.data), TLS_BEGINS_SERVER);
		assert_int_equal(chosen(answer.data, answer.bytes), versions[i].version);
		for (size_t cut = 0; cut < 9 + hello_number(answer.data + 7); cut++)
			assert_true(chosen(answer.data, cut) == TLS_UNSEEN ||
				    chosen(answer.data, cut) == versions[i].version);
		assert_int_equal(chosen(answer.data, 60), TLS_UNSEEN);
		for (size_t at = 0; at < bytes; at++)
			for (int value = 0; value < 256; value++) {
				struct hello bad = answer;

				bad.data[at] = (unsigned char)value;
				chosen(bad.data, bad.bytes);
			}
		answer.data[8]++;
		assert_int_equal(chosen(answer.data, answer.bytes), TLS_UNSEEN);
	}
}

/* A ServerHello chooses one version, and no list of them. */
static void test_server_chooses_one(void **state)
{
	struct hello hello = hello_openssl(TLS1_3_VERSION, TLS1_3_VERSION, NULL, true);
	struct hello answer = hello_answer(&hello, TLS1_3_VERSION, TLS1_3_VERSION, NULL);
	size_t extensions = 43 + 1 + answer.data[43] + 3;
	unsigned char *place = memmem(answer.data, answer.bytes, "\0\53\0\2\3\4", 6);

	(void)state;
	assert_non_null(place);
	place[3]++;
	memmove(place + 7, place + 6, answer.data + answer.bytes - place - 6);
	hello_put(answer.data + extensions, hello_number(answer.data + extensions) + 1);
	hello_put(answer.data + 7, hello_number(answer.data + 7) + 1);
	hello_put(answer.data + 3, hello_number(answer.data + 3) + 1);
	assert_int_equal(chosen(answer.data, answer.bytes + 1), TLS_UNSEEN);
}

/* A server that wants another key asks for it in a ServerHello that chooses TLS 1.3, as the next one will. */
static void test_asks_again(void **state)
{
	struct hello hello = hello_openssl(TLS1_3_VERSION, TLS1_3_VERSION, NULL, true);
	struct hello answer = hello_answer(&hello, TLS1_3_VERSION, TLS1_3_VERSION, "P-384");

	(void)state;
	assert_int_equal(tls_begins(answer.data), TLS_BEGINS_SERVER);
	assert_int_equal(chosen(answer.data, answer.bytes), TLS_ASKS_AGAIN);
	answer.data[TLS_RANDOM_AT + 31]++;
	assert_int_equal(chosen(answer.data, answer.bytes), 0x0304);
}

/* Without extensions a ServerHello ends behind its compression method. */
static void test_server_without_extensions(void **state)
{
	struct hello hello = hello_openssl(TLS1_2_VERSION, TLS1_2_VERSION, NULL, true);
	struct hello answer = hello_answer(&hello, TLS1_2_VERSION, TLS1_2_VERSION, NULL);
	size_t end = 43 + 1 + answer.data[43] + 3;

	(void)state;
	hello_put(answer.data + 7, end - 9);
	assert_int_equal(chosen(answer.data, answer.bytes), 0x0303);
	hello_put(answer.data + 9, 0x0305);
	assert_int_equal(chosen(answer.data, answer.bytes), 0);
	hello_put(answer.data + 9, 0x0300);
	assert_int_equal(chosen(answer.data, answer.bytes), 0x0300);
	hello_put(answer.data + 9, 0x02ff);
	assert_int_equal(chosen(answer.data, answer.bytes), 0);
}

static void test_rows_of_the_meter(void **state)
{
	(void)state;
	assert_int_equal(tls_row(TLS_UNSEEN), SIPDAM_TLS_UNSEEN);
	assert_int_equal(tls_row(0), SIPDAM_TLS_UNKNOWN);
	assert_int_equal(tls_row(0x0300), SIPDAM_TLS_SSL3);
	assert_int_equal(tls_row(0x0301), SIPDAM_TLS_1_0);
	assert_int_equal(tls_row(0x0304), SIPDAM_TLS_1_3);
}

/* ---- altered packets ---- */

/* The ones' complement sum, as a checksum takes it. */
static unsigned int sum_of(const __u8 *data, size_t bytes)
{
	unsigned int sum = 0;

	for (size_t i = 0; i < bytes; i++)
		sum += i % 2 ? data[i] : data[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff ? 0 : sum;
}

/* The hello, made one to be refused; at an odd or even place of what is summed. */
static struct hello refused(const struct hello *hello, __u8 options)
{
	__u8 *copy = malloc(options + hello->bytes);
	frame_t frame = {.data = copy};
	struct packet packet = {.present = (__u32)(options + hello->bytes),
				.length = (__u32)(options + hello->bytes),
				.payload_offset = options,
				.payload_length = (__u32)hello->bytes};
	struct tls_hello where;
	struct hello altered = *hello;
	unsigned int sum;

	memset(copy, 1, options);
	memcpy(copy + options, hello->data, hello->bytes);
	sum = sum_of(copy, options + hello->bytes);
	if (hello->data[0] == TLS_HANDSHAKE)
		assert_true(tls_offered(&frame, &packet, &where) != TLS_UNSEEN);
	else
		assert_true(tls_offered_old(&frame, &packet, &where) != TLS_UNSEEN);
	assert_int_equal(tls_make_refused(&frame, &packet, &where), 1);
	assert_int_equal(sum_of(copy, options + hello->bytes), sum);
	memcpy(altered.data, copy + options, hello->bytes);
	free(copy);
	return altered;
}

/*
 * A server has but one answer, a fatal alert: OpenSSL does not call it "protocol version" (70) where SSL 3.0
 * was offered, which had no such alert, but "handshake failure" (40).
 */
static void check_refused(const struct hello *hello)
{
	for (__u8 options = 20; options <= 21; options++) {
		struct hello altered = refused(hello, options);
		struct hello answer = hello_answer(&altered, 0, 0, NULL);
		static const __u8 alert[] = {0, 2, 2, 40};

		assert_int_equal(offered(altered.data, altered.bytes), TLS_SSL3);
		assert_int_equal(answer.bytes, 7);
		assert_int_equal(answer.data[0], 21);
		assert_memory_equal(answer.data + 3, alert, sizeof(alert));
		/* Nothing but its two fields and the random has changed. */
		assert_memory_equal(altered.data + 43, hello->data + 43,
				    (hello_extension(hello, 43) ? hello_extension(hello, 43) : hello->bytes) -
					    43);
		assert_memory_equal(altered.data, hello->data, 9);
	}
}

static void test_a_hello_to_be_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(versions); i++) {
		for (int named = 0; named < 2; named++) { /* even and odd places of the extension */
			struct hello hello = hello_openssl(TLS1_VERSION, versions[i].openssl,
							   named ? HELLO_NAME : "a.example.org", true);

			check_refused(&hello);
			hello_add_extension(&hello, 0x1234, 1);
			check_refused(&hello);
			hello_add_extension(&hello, 0x1235, 2);
			check_refused(&hello);
		}
	}
}

/* The old form too: its version, and the end of its challenge. */
static void test_an_old_hello_to_be_refused(void **state)
{
	struct hello hello = old_hello(0x0303);

	(void)state;
	for (int more = 0; more < 2; more++) { /* of an even and an odd length */
		for (__u8 options = 20; options <= 21; options++) {
			struct hello altered = refused(&hello, options);
			struct hello answer = hello_answer(&altered, 0, 0, NULL);

			assert_int_equal(offered(altered.data, altered.bytes), TLS_SSL3);
			assert_int_equal(answer.bytes, 7);
			assert_int_equal(answer.data[0], 21);
			assert_int_equal(answer.data[5], 2);
			assert_memory_equal(altered.data + 5, hello.data + 5, OLD_BYTES - 5 - 4);
		}
		hello.data[10]++, hello.data[1]++;
		hello.data[hello.bytes++] = 0x77;
	}
}

/* A client of OpenSSL that has said its hello and hears this answer: what it says then. */
static struct hello heard(SSL *client, const struct hello *answer)
{
	struct hello says = {0};
	int bytes;

	assert_int_equal(BIO_write(SSL_get_rbio(client), answer->data, (int)answer->bytes), answer->bytes);
	assert_true(SSL_do_handshake(client) < 1);
	bytes = BIO_read(SSL_get_wbio(client), says.data, sizeof(says.data));
	says.bytes = bytes > 0 ? (size_t)bytes : 0;
	ERR_clear_error();
	return says;
}

/* The ServerHello of a flight, made useless; at an odd or even place of what is summed. */
static struct hello made_useless(const struct hello *answer, __u8 options)
{
	__u8 *copy = malloc(options + answer->bytes);
	frame_t frame = {.data = copy};
	struct packet packet = {.present = (__u32)(options + answer->bytes),
				.length = (__u32)(options + answer->bytes),
				.payload_offset = options,
				.payload_length = (__u32)answer->bytes};
	struct hello altered = *answer;
	struct tls_hello where;
	unsigned int sum;

	memset(copy, 1, options);
	memcpy(copy + options, answer->data, answer->bytes);
	sum = sum_of(copy, options + answer->bytes);
	assert_true(tls_chosen(&frame, &packet, &where) != TLS_UNSEEN);
	assert_int_equal(tls_make_useless(&frame, &packet, &where), 1);
	assert_int_equal(sum_of(copy, options + answer->bytes), sum);
	memcpy(altered.data, copy + options, answer->bytes);
	free(copy);
	return altered;
}

/* Its client ends with the alert "protocol version", and nothing of the random is left. */
static void test_an_answer_made_useless(void **state)
{
	static const __u8 alert[] = {21, 3, 0, 0, 2, 2, 70}, nothing[30];

	(void)state;
	for (int i = 0; i < 60; i++) { /* randoms of all kinds */
		int version = versions[i % 3].openssl;
		SSL_CTX *context = SSL_CTX_new(TLS_client_method());
		SSL *client = hello_client(context, TLS1_VERSION, TLS1_3_VERSION, HELLO_NAME);
		struct hello hello, answer, altered, says;

		SSL_do_handshake(client);
		hello = hello_written(client);
		answer = hello_answer(&hello, TLS1_VERSION, version, NULL);
		altered = made_useless(&answer, 20 + i % 2);
		assert_int_equal(chosen(altered.data, altered.bytes), TLS_SSL3);
		assert_memory_equal(altered.data, answer.data, 9);
		assert_memory_equal(altered.data + 11, nothing, sizeof(nothing));
		assert_memory_equal(altered.data + 43, answer.data + 43, answer.bytes - 43);
		says = heard(client, &altered);
		assert_int_equal(says.bytes, sizeof(alert));
		assert_int_equal(says.data[0], alert[0]);
		assert_memory_equal(says.data + 3, alert + 3, 4);
		SSL_free(client);
		SSL_CTX_free(context);
	}
}

/* Sums that end at nothing, or are all ones: fields of every kind of value. */
static void test_what_makes_up(void **state)
{
	static const __u16 values[] = {0, 1, 0x00ff, 0x0300, 0x0303, 0x7fff, 0x8000, 0xfffe, 0xffff};

	(void)state;
	for (size_t i = 0; i < COUNT(values); i++)
		for (size_t j = 0; j < COUNT(values); j++)
			for (size_t k = 0; k < COUNT(values); k++) {
				__u16 made_up = tls_makes_up(values[i], values[j], values[k]);

				assert_int_equal(((__u32)values[i] + values[j]) % 0xffff,
						 ((__u32)made_up + values[k]) % 0xffff);
			}
}

static void test_not_beyond_the_packet(void **state)
{
	struct hello hello = hello_openssl(TLS1_2_VERSION, TLS1_2_VERSION, NULL, true);
	struct packet packet;
	struct tls_hello where;
	frame_t frame;

	(void)state;
	packet = exact(hello.data, hello.bytes, &frame);
	tls_offered(&frame, &packet, &where);
	where.version = packet.present - 1;
	assert_int_equal(tls_make_refused(&frame, &packet, &where), 0);
	assert_int_equal(tls_make_useless(&frame, &packet, &where), 0);
	where.start = 0; /* nothing was read */
	assert_int_equal(tls_make_refused(&frame, &packet, &where), 0);
	assert_int_equal(tls_make_useless(&frame, &packet, &where), 0);
	packet.transport_offset = packet.present - 19;
	assert_int_equal(tls_make_reset(&frame, &packet), 0);
	assert_memory_equal(frame.data + FRONT, hello.data, hello.bytes);
	free((void *)frame.data);
}

static void test_a_reset(void **state)
{
	static const __u8 flags[] = {FLAG_ACK | FLAG_PSH, FLAG_ACK, FLAG_ACK | FLAG_PSH | FLAG_FIN,
				     FLAG_ACK | FLAG_PSH | TCP_URG, 0xff};

	(void)state;
	for (size_t i = 0; i < COUNT(flags); i++) {
		static struct frame built;
		struct recipe recipe = {.protocol = 6, .payload = "hello", .tcp_options = 3};
		struct packet packet;
		frame_t frame = {.data = built.data};
		unsigned int sum;
		size_t tcp;

		frame_build(&built, &recipe);
		tcp = built.at[LAYER_TRANSPORT];
		built.data[tcp + 13] = flags[i];
		put16(built.data + tcp + 18, i ? 0xfff0 + (int)i : 0);
		packet = (struct packet){.present = (__u32)built.length,
					 .length = (__u32)built.length,
					 .transport_offset = (__u32)tcp};
		sum = sum_of(built.data + tcp, built.length - tcp);
		assert_int_equal(tls_make_reset(&frame, &packet), 1);
		assert_int_equal(built.data[tcp + 13], (flags[i] & ~0x2b) | FLAG_RST);
		assert_int_equal(built.data[tcp + 12], 8 << 4);
		assert_int_equal(sum_of(built.data + tcp, built.length - tcp), sum);
		assert_memory_equal(built.data + built.at[LAYER_PAYLOAD], "hello", 5);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clients_of_openssl),
		cmocka_unit_test(test_with_tickets),
		cmocka_unit_test(test_clients_of_gnutls),
		cmocka_unit_test(test_legacy_versions),
		cmocka_unit_test(test_without_extensions),
		cmocka_unit_test(test_lists_of_versions),
		cmocka_unit_test(test_cut_at_every_byte),
		cmocka_unit_test(test_cut_by_the_record),
		cmocka_unit_test(test_post_quantum),
		cmocka_unit_test(test_many_extensions),
		cmocka_unit_test(test_lengths_that_lie),
		cmocka_unit_test(test_lies_that_agree),
		cmocka_unit_test(test_where_the_last_extension_ends),
		cmocka_unit_test(test_long_extensions),
		cmocka_unit_test(test_padding_is_not_read),
		cmocka_unit_test(test_the_last_length_is_in_sight),
		cmocka_unit_test(test_every_byte_changed),
		cmocka_unit_test(test_what_a_segment_begins_with),
		cmocka_unit_test(test_what_little_may_begin),
		cmocka_unit_test(test_an_old_hello),
		cmocka_unit_test(test_what_servers_take),
		cmocka_unit_test(test_servers),
		cmocka_unit_test(test_server_chooses_one),
		cmocka_unit_test(test_asks_again),
		cmocka_unit_test(test_server_without_extensions),
		cmocka_unit_test(test_rows_of_the_meter),
		cmocka_unit_test(test_a_hello_to_be_refused),
		cmocka_unit_test(test_an_old_hello_to_be_refused),
		cmocka_unit_test(test_an_answer_made_useless),
		cmocka_unit_test(test_what_makes_up),
		cmocka_unit_test(test_not_beyond_the_packet),
		cmocka_unit_test(test_a_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
