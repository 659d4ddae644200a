/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets of a pcap or pcapng file as Ethernet frames, whatever link type the capture has. Reads only;
 * what a frame means is the filter's business.
 */
#ifndef CAPTURE_H
#define CAPTURE_H

#include <linux/types.h>
#include <stddef.h>

#include "problem.h"

#define CAPTURE_ETHERNET  14   /* bytes of an Ethernet header */
#define CAPTURE_FRAME_MAX 3500 /* most bytes of a frame that the filter takes in one piece */

struct capture;

struct capture_frame {
	const __u8 *data; /* from the Ethernet header on; valid until the next frame is read */
	size_t present;   /* bytes at data, at most CAPTURE_FRAME_MAX; 0 if the capture cut the link header */
	__u32 wire_length; /* bytes the frame had on the wire, Ethernet header included; never below present
			    */
	__s64 stamp;       /* nanoseconds since 1970 as captured, never negative; may step back */
};

/* Opens a capture file, "-" for standard input. 0 or -errno with a problem. Free with capture_close. */
int capture_open(struct capture **capture, const char *path, struct problem *problem);

/*
 * The next frame: 1, or 0 at the end of the file, or -EBADMSG with a problem where the file breaks off
 * or cannot be read further; every frame before that is good.
 */
int capture_next(struct capture *capture, struct capture_frame *frame, struct problem *problem);

/* Bytes of the file, 0 where it has no size (a pipe), and how many of them have been read. */
__u64 capture_size(const struct capture *capture);
__u64 capture_offset(struct capture *capture);

void capture_close(struct capture *capture);

/*
 * Pure: one captured packet of a link type (DLT_*) as an Ethernet frame, in place where it is one, else
 * built in room, which must live as long as the frame. present and wire_length count from the capture's
 * own link header. Does not touch frame->stamp. 0, or -EPROTONOSUPPORT for a link type that is not read.
 */
int capture_to_ethernet(int link_type, const __u8 *data, size_t present, __u32 wire_length,
			__u8 room[CAPTURE_FRAME_MAX], struct capture_frame *frame);

/*
 * Pure: the IP source of a frame, behind up to four VLAN tags, IPv4 as ::ffff:a.b.c.d. 4 or 6, or 0 with
 * the address untouched where there is none within length bytes.
 */
int capture_source(const __u8 *frame, size_t length, __u8 address[16]);

#endif
