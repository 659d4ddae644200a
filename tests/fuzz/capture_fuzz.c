/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
// uses: user/capture.c user/problem.c
/*
 * Capture files: every frame that is read has the bytes it says, and one behind a link header is built
 * within its room. The input is a file; behind a '=' it is one packet of the link type in the next byte.
 */
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "capture.h"
#include "tests/fuzz/harness.h"
#include "tests/fuzz/seeds.h"
#include "tests/unit/capture_file.h"

static void check_frame(const struct capture_frame *frame)
{
	__u8 *exact = malloc(frame->present ? frame->present : 1);
	__u8 address[16];
	int family;

	require(frame->present <= CAPTURE_FRAME_MAX && frame->wire_length >= frame->present);
	memcpy(exact, frame->data, frame->present); /* reads them all */
	family = capture_source(exact, frame->present, address);
	require(family == 0 || family == 4 || family == 6);
	free(exact);
}

static void read_file(const uint8_t *data, size_t size)
{
	struct problem problem = {""};
	struct capture_frame frame;
	struct capture *capture;
	int got;

	if (capture_open(&capture, file_of(data, size), &problem)) {
		require(problem.text[0]);
		return;
	}
	while ((got = capture_next(capture, &frame, &problem)) == 1) {
		require(frame.stamp >= 0);
		check_frame(&frame);
		require(capture_offset(capture) <= capture_size(capture));
	}
	require(!got || problem.text[0]);
	capture_close(capture);
}

static void read_packet(int link_type, const uint8_t *data, size_t size)
{
	__u8 *exact = malloc(size ? size : 1), *room = malloc(CAPTURE_FRAME_MAX);
	struct capture_frame frame;

	memcpy(exact, data, size);
	if (!capture_to_ethernet(link_type, exact, size, (__u32)size + 1, room, &frame))
		check_frame(&frame);
	free(exact);
	free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int types[] = {1, 0, 12, 14, 101, 108, 113, 228, 229, 276};

	if (size >= 2 && data[0] == '=')
		read_packet(types[data[1] % (sizeof(types) / sizeof(types[0]))], data + 2, size - 2);
	else
		read_file(data, size);
	return 0;
}

static void seed_file(const char *folder, const struct capture_file *written, const char *name)
{
	static char data[4096];
	FILE *file = fopen(written->path, "r");
	size_t size = file ? fread(data, 1, sizeof(data), file) : 0;

	require(file);
	fclose(file);
	capture_file_remove(written);
	seed_write(folder, name, data, size);
}

static void seed_pcap(const char *folder, const char *name, int big_endian, __u32 magic, __u32 link_type)
{
	struct capture_file file;
	__u8 room[256] = {0};
	__u32 bytes = capture_file_ipv4(room, 1, 30);

	capture_file_create(&file, big_endian);
	capture_file_pcap(&file, magic, 65535, link_type);
	for (__u32 i = 0; i < 3; i++)
		capture_file_packet(&file, 1700000000 + i, 5, room, bytes - i, bytes);
	capture_file_finish(&file, 0);
	seed_file(folder, &file, name);
}

static void seed_pcapng(const char *folder)
{
	struct capture_file file;
	__u8 room[256] = {0};
	__u32 bytes = capture_file_ipv4(room, 1, 30);

	capture_file_create(&file, 0);
	capture_file_pcapng(&file, 0, 1);
	capture_file_block(&file, 1700000000000000000, room, bytes, bytes);
	capture_file_block(&file, 1700000000000000001, room, bytes - 7, bytes);
	capture_file_finish(&file, 0);
	seed_file(folder, &file, "pcapng");
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *folder = seeds_folder(*argc, *argv);
	__u8 packet[256] = "=";

	if (!folder)
		return 0;
	seed_pcap(folder, "ethernet", 0, CAPTURE_MICROSECONDS, 1);
	seed_pcap(folder, "big-endian", 1, CAPTURE_NANOSECONDS, 1);
	seed_pcap(folder, "any", 0, CAPTURE_NANOSECONDS, 113);
	seed_pcap(folder, "any2", 0, CAPTURE_NANOSECONDS, 276);
	seed_pcap(folder, "raw", 0, CAPTURE_MICROSECONDS, 101);
	seed_pcapng(folder);
	for (__u8 type = 0; type < 10; type++) {
		packet[1] = type;
		seed_write_number(folder, type, packet, 2 + capture_file_ipv4(packet + 2, 1, 30));
	}
	return 0;
}
