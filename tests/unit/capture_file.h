/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Capture files for tests, written byte by byte and not by libpcap, so that they can be wrong where a
 * test wants them wrong. Each lies under a name of its own in $TMPDIR until it is removed.
 */
#ifndef CAPTURE_FILE_H
#define CAPTURE_FILE_H

#include <linux/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CAPTURE_MICROSECONDS 0xa1b2c3d4u
#define CAPTURE_NANOSECONDS  0xa1b23c4du

struct capture_file {
	char path[256];
	FILE *stream;
	int big_endian;
};

static inline void capture_file_abort(const char *what)
{
	perror(what);
	abort();
}

static inline void capture_file_bytes(struct capture_file *file, const void *bytes, size_t size)
{
	if (size && fwrite(bytes, 1, size, file->stream) != size)
		capture_file_abort("writing a capture");
}

/* An integer of 2, 4 or 8 bytes in the file's byte order. */
static inline void capture_file_number(struct capture_file *file, __u64 value, int size)
{
	__u8 bytes[8];

	for (int i = 0; i < size; i++)
		bytes[file->big_endian ? size - 1 - i : i] = (__u8)(value >> 8 * i);
	capture_file_bytes(file, bytes, (size_t)size);
}

/* An empty file of that byte order. */
static inline void capture_file_create(struct capture_file *file, int big_endian)
{
	const char *folder = getenv("TMPDIR");
	int fd;

	snprintf(file->path, sizeof(file->path), "%s/sipdam-capture-XXXXXX", folder ? folder : "/tmp");
	fd = mkstemp(file->path);
	file->stream = fd < 0 ? NULL : fdopen(fd, "w");
	if (!file->stream)
		capture_file_abort(file->path);
	file->big_endian = big_endian;
}

/* The header of a pcap file; the magic says microseconds or nanoseconds. */
static inline void capture_file_pcap(struct capture_file *file, __u32 magic, __u32 snaplen, __u32 link_type)
{
	capture_file_number(file, magic, 4);
	capture_file_number(file, 2, 2);
	capture_file_number(file, 4, 2);
	capture_file_number(file, 0, 8);
	capture_file_number(file, snaplen, 4);
	capture_file_number(file, link_type, 4);
}

/* One pcap record. fraction in the unit of the magic. */
static inline void capture_file_packet(struct capture_file *file, __u32 seconds, __u32 fraction,
				       const void *data, __u32 present, __u32 wire)
{
	capture_file_number(file, seconds, 4);
	capture_file_number(file, fraction, 4);
	capture_file_number(file, present, 4);
	capture_file_number(file, wire, 4);
	capture_file_bytes(file, data, present);
}

/* One interface of a pcapng file whose stamps count nanoseconds. */
static inline void capture_file_interface(struct capture_file *file, __u32 snaplen, __u32 link_type)
{
	capture_file_number(file, 1, 4);
	capture_file_number(file, 32, 4);
	capture_file_number(file, link_type, 2);
	capture_file_number(file, 0, 2);
	capture_file_number(file, snaplen, 4);
	capture_file_number(file, 9, 2); /* if_tsresol: 10^-9, one byte and padding */
	capture_file_number(file, 1, 2);
	capture_file_bytes(file, "\x09\0\0\0", 4);
	capture_file_number(file, 0, 4); /* end of options */
	capture_file_number(file, 32, 4);
}

/* Header and first interface of such a file. */
static inline void capture_file_pcapng(struct capture_file *file, __u32 snaplen, __u32 link_type)
{
	static const __u32 section[] = {0x0a0d0d0a, 28, 0x1a2b3c4d};

	for (size_t i = 0; i < 3; i++)
		capture_file_number(file, section[i], 4);
	capture_file_number(file, 1, 2); /* version 1.0 */
	capture_file_number(file, 0, 2);
	capture_file_number(file, ~0ULL, 8); /* length of the section: not said */
	capture_file_number(file, 28, 4);
	capture_file_interface(file, snaplen, link_type);
}

/* One enhanced packet block; stamp in nanoseconds. */
static inline void capture_file_block(struct capture_file *file, __u64 stamp, const void *data, __u32 present,
				      __u32 wire)
{
	__u32 padding = -present & 3, length = 32 + present + padding;

	capture_file_number(file, 6, 4);
	capture_file_number(file, length, 4);
	capture_file_number(file, 0, 4);
	capture_file_number(file, stamp >> 32, 4);
	capture_file_number(file, stamp & 0xffffffff, 4);
	capture_file_number(file, present, 4);
	capture_file_number(file, wire, 4);
	capture_file_bytes(file, data, present);
	capture_file_bytes(file, "\0\0\0", padding);
	capture_file_number(file, length, 4);
}

/* Done writing: the file is whole on disk, or lacks its last cut bytes. */
static inline void capture_file_finish(struct capture_file *file, long cut)
{
	long size;

	fflush(file->stream);
	size = ftell(file->stream);
	if (ferror(file->stream) || ftruncate(fileno(file->stream), size - cut) < 0)
		capture_file_abort(file->path);
	fclose(file->stream);
}

static inline void capture_file_remove(const struct capture_file *file)
{
	unlink(file->path);
}

/* An Ethernet frame with an IPv4 packet of payload bytes from 192.0.2.LAST in room; its length. */
static inline __u32 capture_file_ipv4(__u8 *room, __u8 last, __u32 payload)
{
	static const __u8 header[] = {
		2,    0, 0, 0, 0, 1, 2, 0, 0,  0,  0, 2, 0x08, 0x00,                        /* Ethernet */
		0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 192,  0,    2, 0, 198, 51, 100, 1, /* IPv4 */
	};
	__u32 total = 20 + payload;

	memcpy(room, header, sizeof(header));
	room[16] = (__u8)(total >> 8);
	room[17] = (__u8)total;
	room[29] = last;
	for (__u32 i = 0; i < payload; i++)
		room[sizeof(header) + i] = (__u8)i;
	return (__u32)sizeof(header) + payload;
}

#endif
