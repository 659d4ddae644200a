/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
// uses: user/capture.c user/problem.c
/*
 * Captures as Ethernet frames: every link type and where it is cut, the source behind VLAN tags, file
 * formats and byte orders, stamps, and files that are no captures or break off.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <pcap/pcap.h>

#include "capture.h"
#include "capture_file.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A copy in a heap buffer of exactly its size, so that one byte too far is a report. */
static __u8 *exactly(const void *bytes, size_t size)
{
	__u8 *copy = malloc(size);

	assert_non_null(copy);
	memcpy(copy, bytes, size);
	return copy;
}

/* ---- link types ---- */

#define V4                                                                                                   \
	"\x45"                                                                                               \
	"23456789abcdefghij"
#define V6                                                                                                   \
	"\x60"                                                                                               \
	"23456789abcdefghij"
#define SLL     "\0\0\0\1\0\6\2\0\0\0\0\1\0\0"
#define SLL2    "\0\0\0\0\0\2\0\1\0\6\2\0\0\0\0\1\0\0"
#define PAYLOAD 20 /* V4 and V6 with their terminating NUL */

struct link_row {
	const char *name;
	int type;
	const char *bytes;
	size_t header;
	__u16 ethertype;
};

static const struct link_row link_rows[] = {
	{"cooked, IPv4", DLT_LINUX_SLL, SLL "\x08\0" V4, 16, 0x0800},
	{"cooked, IPv6", DLT_LINUX_SLL, SLL "\x86\xdd" V6, 16, 0x86dd},
	{"cooked, VLAN", DLT_LINUX_SLL, SLL "\x81\0" V4, 16, 0x8100},
	{"cooked v2, IPv4", DLT_LINUX_SLL2, "\x08\0" SLL2 V4, 20, 0x0800},
	{"cooked v2, IPv6", DLT_LINUX_SLL2, "\x86\xdd" SLL2 V6, 20, 0x86dd},
	{"cooked v2, ARP", DLT_LINUX_SLL2, "\x08\6" SLL2 V4, 20, 0x0806},
	{"raw, IPv4", DLT_RAW, V4, 0, 0x0800},
	{"raw, IPv6", DLT_RAW, V6, 0, 0x86dd},
	{"raw, neither", DLT_RAW,
	 "\x55"
	 "23456789abcdefghij",
	 0, 0},
	{"raw, OpenBSD's number", 14, V4, 0, 0x0800},
	{"raw, the file's number", 101, V6, 0, 0x86dd},
	{"IPv4", DLT_IPV4, V4, 0, 0x0800},
	{"IPv6", DLT_IPV6, V6, 0, 0x86dd},
	{"BSD loopback, little endian", DLT_NULL, "\2\0\0\0" V4, 4, 0x0800},
	{"BSD loopback, big endian", DLT_NULL, "\0\0\0\2" V4, 4, 0x0800},
	{"BSD loopback, Darwin's IPv6", DLT_NULL, "\x1e\0\0\0" V6, 4, 0x86dd},
	{"BSD loopback, FreeBSD's IPv6", DLT_NULL, "\0\0\0\x1c" V6, 4, 0x86dd},
	{"BSD loopback, OpenBSD's IPv6", DLT_LOOP, "\0\0\0\x18" V6, 4, 0x86dd},
	{"BSD loopback, Linux's IPv6", DLT_NULL, "\x0a\0\0\0" V6, 4, 0x86dd},
	{"BSD loopback, another family", DLT_NULL, "\3\0\0\0" V4, 4, 0},
	{"OpenBSD loopback", DLT_LOOP, "\0\0\0\2" V4, 4, 0x0800},
};

static void link_whole(const struct link_row *row)
{
	__u8 room[CAPTURE_FRAME_MAX];
	size_t size = row->header + PAYLOAD;
	__u8 *data = exactly(row->bytes, size);
	struct capture_frame frame;

	assert_int_equal(capture_to_ethernet(row->type, data, size, (__u32)size + 100, room, &frame), 0);
	assert_ptr_equal(frame.data, room);
	assert_int_equal(frame.present, CAPTURE_ETHERNET + PAYLOAD);
	assert_int_equal(frame.wire_length, CAPTURE_ETHERNET + PAYLOAD + 100);
	assert_int_equal(room[12] << 8 | room[13], row->ethertype);
	assert_memory_equal(room + CAPTURE_ETHERNET, row->bytes + row->header, PAYLOAD);
	free(data);
}

/* Every length that cuts the header or leaves nothing behind it: nothing to run, the wire's length known. */
static void link_cut(const struct link_row *row)
{
	__u8 room[CAPTURE_FRAME_MAX];

	for (size_t present = 0; present <= row->header; present++) {
		__u8 *data = exactly(row->bytes, present);
		struct capture_frame frame;

		assert_int_equal(
			capture_to_ethernet(row->type, data, present, (__u32)row->header + 100, room, &frame),
			0);
		assert_int_equal(frame.present, 0);
		assert_int_equal(frame.wire_length, CAPTURE_ETHERNET + 100);
		free(data);
	}
}

static void test_link_types(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(link_rows); i++) {
		print_message("%s\n", link_rows[i].name);
		link_whole(&link_rows[i]);
		link_cut(&link_rows[i]);
	}
}

static void test_ethernet_in_place(void **state)
{
	__u8 *data = exactly(SLL V4, 34);
	struct capture_frame frame;

	(void)state;
	for (size_t present = 0; present <= 34; present++) {
		assert_int_equal(capture_to_ethernet(DLT_EN10MB, data, present, 1500, NULL, &frame), 0);
		assert_ptr_equal(frame.data, data);
		assert_int_equal(frame.present, present);
		assert_int_equal(frame.wire_length, 1500);
	}
	free(data);
}

static void test_link_type_not_read(void **state)
{
	struct capture_frame frame = {.present = 77};
	__u8 room[CAPTURE_FRAME_MAX];

	(void)state;
	assert_int_equal(capture_to_ethernet(DLT_IEEE802_11, (const __u8 *)V4, 20, 20, room, &frame),
			 -EPROTONOSUPPORT);
	assert_int_equal(frame.present, 77);
}

static void test_long_frames_are_shortened(void **state)
{
	static const __u8 zeros[6000] = {0x45};
	__u8 room[CAPTURE_FRAME_MAX];
	struct capture_frame frame;

	(void)state;
	capture_to_ethernet(DLT_EN10MB, zeros, 3500, 3500, room, &frame);
	assert_int_equal(frame.present, 3500);
	capture_to_ethernet(DLT_EN10MB, zeros, 3501, 3501, room, &frame);
	assert_int_equal(frame.present, 3500);
	assert_int_equal(frame.wire_length, 3501);
	capture_to_ethernet(DLT_RAW, zeros, 3486, 3486, room, &frame);
	assert_int_equal(frame.present, 3500);
	assert_int_equal(frame.wire_length, 3500);
	capture_to_ethernet(DLT_RAW, zeros, 3487, 9000, room, &frame);
	assert_int_equal(frame.present, 3500);
	assert_int_equal(frame.wire_length, 9014);
}

static void test_lengths_that_lie(void **state)
{
	__u8 room[CAPTURE_FRAME_MAX];
	struct capture_frame frame;

	(void)state;
	capture_to_ethernet(DLT_EN10MB, (const __u8 *)SLL V4, 34, 10, room, &frame);
	assert_int_equal(frame.wire_length, 34);
	capture_to_ethernet(DLT_RAW, (const __u8 *)V4, 20, 0, room, &frame);
	assert_int_equal(frame.wire_length, 34);
	capture_to_ethernet(DLT_RAW, (const __u8 *)V4, 20, UINT_MAX, room, &frame);
	assert_int_equal(frame.wire_length, UINT_MAX);
	capture_to_ethernet(DLT_LINUX_SLL, (const __u8 *)SLL, 3, 15, room, &frame);
	assert_int_equal(frame.wire_length, 0);
	assert_int_equal(frame.present, 0);
	/* A raw packet of no bytes at all is whole: a header and nothing behind it. */
	capture_to_ethernet(DLT_RAW, room, 0, 0, room, &frame);
	assert_int_equal(frame.present, CAPTURE_ETHERNET);
	assert_int_equal(frame.wire_length, CAPTURE_ETHERNET);
}

/* ---- sources ---- */

#define MAC         "\2\0\0\0\0\1\2\0\0\0\0\2"
#define TAG         "\x81\0\0\7"
#define QTAG        "\x88\xa8\0\7"
#define IP4         "\x45\0\0\x14\0\0\0\0\x40\x11\0\0\xc0\0\2\7"
#define IP6         "\x60\0\0\0\0\0\x11\x40\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\7"
#define FROM4       "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\7"
#define FROM6       "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\7"
#define BYTES(text) text, sizeof(text) - 1

static const struct source_row {
	const char *name, *bytes;
	size_t size;
	int family;
	const char *address;
} source_rows[] = {
	{"IPv4", BYTES(MAC "\x08\0" IP4), 4, FROM4},
	{"IPv6", BYTES(MAC "\x86\xdd" IP6), 6, FROM6},
	{"one tag", BYTES(MAC TAG "\x08\0" IP4), 4, FROM4},
	{"four tags", BYTES(MAC QTAG TAG QTAG TAG "\x86\xdd" IP6), 6, FROM6},
	{"five tags", BYTES(MAC TAG TAG TAG TAG TAG "\x08\0" IP4), 0, NULL},
	{"ARP", BYTES(MAC "\x08\6" IP4), 0, NULL},
	{"IPv4 that is not", BYTES(MAC "\x08\0" IP6), 0, NULL},
	{"IPv6 that is not", BYTES(MAC "\x86\xdd" IP4 "12345678"), 0, NULL},
};

static void source_at(const struct source_row *row, size_t length)
{
	int family = length == row->size ? row->family : 0;
	__u8 *frame = exactly(row->bytes, length);
	__u8 address[16], untouched[16];

	memset(address, 0x5a, 16);
	memset(untouched, 0x5a, 16);
	assert_int_equal(capture_source(frame, length, address), family);
	assert_memory_equal(address, family ? (const void *)row->address : untouched, 16);
	free(frame);
}

static void test_sources(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(source_rows); i++) {
		print_message("%s\n", source_rows[i].name);
		for (size_t length = 0; length <= source_rows[i].size; length++)
			source_at(&source_rows[i], length);
	}
}

/* ---- files ---- */

#define SECOND 1000000000LL

static struct capture *opened(const struct capture_file *file)
{
	struct problem problem = {""};
	struct capture *capture = NULL;

	if (capture_open(&capture, file->path, &problem))
		fail_msg("%s", problem.text);
	return capture;
}

/* The next frame is these bytes at this time. */
static void expect_frame(struct capture *capture, __s64 stamp, const __u8 *data, size_t present, __u32 wire)
{
	struct capture_frame frame;
	struct problem problem = {""};

	if (capture_next(capture, &frame, &problem) != 1)
		fail_msg("no frame: %s", problem.text);
	assert_int_equal(frame.stamp, stamp);
	assert_int_equal(frame.present, present);
	assert_int_equal(frame.wire_length, wire);
	assert_memory_equal(frame.data, data, present);
}

static void expect_end(struct capture *capture)
{
	struct capture_frame frame;

	assert_int_equal(capture_next(capture, &frame, NULL), 0);
}

static void pcap_of(__u32 magic, int big_endian, __u32 snaplen, __s64 unit)
{
	struct capture_file file;
	struct capture *capture;
	__u8 room[200];
	__u32 size = capture_file_ipv4(room, 1, 8);

	capture_file_create(&file, big_endian);
	capture_file_pcap(&file, magic, snaplen, DLT_EN10MB);
	capture_file_packet(&file, 1700000000, 999999, room, size, size);
	capture_file_packet(&file, 1699999999, 1, room, 20, size);
	capture_file_finish(&file, 0);
	capture = opened(&file);
	assert_int_equal(capture_size(capture), 24 + 16 + size + 16 + 20);
	expect_frame(capture, 1700000000 * SECOND + 999999 * unit, room, size, size);
	expect_frame(capture, 1699999999 * SECOND + unit, room, 20, size);
	expect_end(capture);
	assert_int_equal(capture_offset(capture), capture_size(capture));
	capture_close(capture);
	capture_file_remove(&file);
}

static void test_pcap(void **state)
{
	(void)state;
	pcap_of(CAPTURE_MICROSECONDS, 0, 65535, 1000);
	pcap_of(CAPTURE_NANOSECONDS, 0, 65535, 1);
	pcap_of(CAPTURE_MICROSECONDS, 1, 65535, 1000);
	pcap_of(CAPTURE_NANOSECONDS, 1, 65535, 1);
}

static void test_snaplen_absurd(void **state)
{
	(void)state;
	pcap_of(CAPTURE_MICROSECONDS, 0, 0, 1000);
	pcap_of(CAPTURE_MICROSECONDS, 0, UINT_MAX, 1000);
	pcap_of(CAPTURE_MICROSECONDS, 0, INT_MAX, 1000);
}

static void test_pcapng(void **state)
{
	struct capture_file file;
	struct capture *capture;
	__u8 room[200];
	__u32 size = capture_file_ipv4(room, 1, 5);

	(void)state;
	for (int big_endian = 0; big_endian < 2; big_endian++) {
		capture_file_create(&file, big_endian);
		capture_file_pcapng(&file, 0, DLT_EN10MB);
		capture_file_block(&file, 1700000000123456789ULL, room, size, size);
		capture_file_block(&file, 1700000000123456790ULL, room, 33, size);
		capture_file_finish(&file, 0);
		capture = opened(&file);
		expect_frame(capture, 1700000000123456789LL, room, size, size);
		expect_frame(capture, 1700000000123456790LL, room, 33, size);
		expect_end(capture);
		capture_close(capture);
		capture_file_remove(&file);
	}
}

/* Stamps at the edges: the epoch, beyond 2038, and a fraction that is none. */
static void test_stamps(void **state)
{
	static const struct {
		__u32 seconds, fraction;
		__s64 stamp;
	} rows[] = {
		{0, 0, 0},
		{0x7fffffff, 999999999, 0x7fffffff * SECOND + 999999999},
		{0x80000000, 0, 0x80000000 * SECOND},
		{0xffffffff, 5, 0xffffffff * SECOND + 5},
		{100, 1000000000, 100 * SECOND},
		{100, 0xffffffff, 100 * SECOND},
	};
	struct capture_file file;
	struct capture *capture;
	__u8 room[200];
	__u32 size = capture_file_ipv4(room, 1, 0);

	(void)state;
	capture_file_create(&file, 0);
	capture_file_pcap(&file, CAPTURE_NANOSECONDS, 65535, DLT_EN10MB);
	for (size_t i = 0; i < COUNT(rows); i++)
		capture_file_packet(&file, rows[i].seconds, rows[i].fraction, room, size, size);
	capture_file_finish(&file, 0);
	capture = opened(&file);
	for (size_t i = 0; i < COUNT(rows); i++)
		expect_frame(capture, rows[i].stamp, room, size, size);
	expect_end(capture);
	capture_close(capture);
	capture_file_remove(&file);
}

static void test_raw_file(void **state)
{
	struct capture_file file;
	struct capture *capture;
	__u8 room[200], expected[200] = {0};
	__u32 size = capture_file_ipv4(room, 1, 8);

	(void)state;
	memcpy(expected + 12, room + 12, size - 12);
	capture_file_create(&file, 0);
	capture_file_pcap(&file, CAPTURE_MICROSECONDS, 65535, 101);
	capture_file_packet(&file, 1, 0, room + CAPTURE_ETHERNET, size - CAPTURE_ETHERNET, 1000);
	capture_file_finish(&file, 0);
	capture = opened(&file);
	expect_frame(capture, SECOND, expected, size, 1014);
	expect_end(capture);
	capture_close(capture);
	capture_file_remove(&file);
}

/* Two packets, the second cut by so many bytes: the first is good, then one problem that says so. */
static void breaks_off(long cut, const char *says)
{
	struct problem problem = {""};
	struct capture_frame frame;
	struct capture_file file;
	struct capture *capture;
	__u8 room[200];
	__u32 size = capture_file_ipv4(room, 1, 0);

	capture_file_create(&file, 0);
	capture_file_pcap(&file, CAPTURE_MICROSECONDS, 65535, DLT_EN10MB);
	capture_file_packet(&file, 1, 0, room, size, size);
	capture_file_packet(&file, 2, 0, room, size, size);
	capture_file_finish(&file, cut);
	capture = opened(&file);
	expect_frame(capture, SECOND, room, size, size);
	assert_int_equal(capture_next(capture, &frame, &problem), -EBADMSG);
	assert_non_null(strstr(problem.text, says));
	capture_close(capture);
	capture_file_remove(&file);
}

static void test_breaks_off(void **state)
{
	(void)state;
	breaks_off(1, "truncated");
	breaks_off(34, "truncated");
	breaks_off(35, "truncated");
	breaks_off(49, "truncated");
}

/* 101 is raw IP. libpcap reads on after a second interface like the first, and breaks off at one of another kind. */
static void test_interfaces_of_two_kinds(void **state)
{
	__u8 room[200];
	__u32 size = capture_file_ipv4(room, 1, 5);

	(void)state;
	for (int other = 0; other < 2; other++) {
		struct capture_frame frame;
		struct problem problem = {""};
		struct capture_file file;
		struct capture *capture;

		capture_file_create(&file, 0);
		capture_file_pcapng(&file, 0, DLT_EN10MB);
		capture_file_block(&file, 1, room, size, size);
		capture_file_interface(&file, 0, other ? 101 : DLT_EN10MB);
		capture_file_block(&file, 2, room, size, size);
		capture_file_finish(&file, 0);
		capture = opened(&file);
		expect_frame(capture, 1, room, size, size);
		assert_int_equal(capture_next(capture, &frame, &problem), other ? -EBADMSG : 1);
		assert_int_equal(!!strstr(problem.text, "a file of its own"), other);
		capture_close(capture);
		capture_file_remove(&file);
	}
}

static void test_packet_length_absurd(void **state)
{
	struct problem problem = {""};
	struct capture_frame frame;
	struct capture_file file;
	struct capture *capture;

	(void)state;
	capture_file_create(&file, 0);
	capture_file_pcap(&file, CAPTURE_MICROSECONDS, 65535, DLT_EN10MB);
	capture_file_number(&file, 1, 8);
	capture_file_number(&file, 0xfffffff0, 4);
	capture_file_number(&file, 0xfffffff0, 4);
	capture_file_finish(&file, 0);
	capture = opened(&file);
	assert_int_equal(capture_next(capture, &frame, &problem), -EBADMSG);
	assert_string_not_equal(problem.text, "");
	capture_close(capture);
	capture_file_remove(&file);
}

/* Opening fails with this error and words. */
static void refused(const char *path, int error, const char *says)
{
	struct problem problem = {""};
	struct capture *capture = NULL;

	assert_int_equal(capture_open(&capture, path, &problem), error);
	assert_null(capture);
	if (!strstr(problem.text, path) || !strstr(problem.text, says))
		fail_msg("unexpected words: %s", problem.text);
}

static void refused_content(const void *bytes, size_t size, int error, const char *says)
{
	struct capture_file file;

	capture_file_create(&file, 0);
	capture_file_bytes(&file, bytes, size);
	capture_file_finish(&file, 0);
	refused(file.path, error, says);
	capture_file_remove(&file);
}

static void test_no_capture(void **state)
{
	(void)state;
	refused("/nonexistent/flood.pcap", -ENOENT, "No such file");
	refused("/", -EISDIR, "name a capture file");
	refused("/dev/null", -ENODATA, "empty");
	refused_content("", 0, -ENODATA, "empty");
	refused_content("\xd4\xc3", 2, -EBADMSG, "not a pcap");
	refused_content("\xd4\xc3\xb2\xa1\2\0\4\0", 8, -EBADMSG, "not a pcap");
	refused_content("INVITE sip:alice@example.com SIP/2.0\r\n", 38, -EBADMSG, "not a pcap");
}

static void test_unknown_link_type_is_named(void **state)
{
	struct capture_file file;

	(void)state;
	capture_file_create(&file, 0);
	capture_file_pcap(&file, CAPTURE_MICROSECONDS, 65535, DLT_IEEE802_11_RADIO);
	capture_file_finish(&file, 0);
	refused(file.path, -EPROTONOSUPPORT, "IEEE802_11_RADIO (127)");
	capture_file_remove(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_link_types),
		cmocka_unit_test(test_ethernet_in_place),
		cmocka_unit_test(test_link_type_not_read),
		cmocka_unit_test(test_long_frames_are_shortened),
		cmocka_unit_test(test_lengths_that_lie),
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_pcap),
		cmocka_unit_test(test_snaplen_absurd),
		cmocka_unit_test(test_pcapng),
		cmocka_unit_test(test_stamps),
		cmocka_unit_test(test_raw_file),
		cmocka_unit_test(test_breaks_off),
		cmocka_unit_test(test_interfaces_of_two_kinds),
		cmocka_unit_test(test_packet_length_absurd),
		cmocka_unit_test(test_no_capture),
		cmocka_unit_test(test_unknown_link_type_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
