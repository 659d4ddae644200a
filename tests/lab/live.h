/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What flood.c and live.bpf.c share for `flood --live`: the frames to send, and how far sending has come. */
#ifndef LIVE_H
#define LIVE_H

#include <linux/types.h>

#define LIVE_METHODS 3
#define LIVE_BYTES   1024 /* of a frame; a power of two */
#define LIVE_FIELDS  16
#define LIVE_DIGITS  16 /* at most, of a field */

struct live_field {
	__u16 at;     /* offset in the frame */
	__u16 digits; /* LIVE_DIGITS: the serial, half of them: the source */
};

/* A frame with everything but its source, its digits and the checksum of IPv4; there is none of UDP. */
struct live_frame {
	__u32 length, cut; /* bytes, and how many fewer than the longest has */
	__u32 ip_sum, fields;
	struct live_field field[LIVE_FIELDS];
	__u8 bytes[LIVE_BYTES + LIVE_DIGITS];
};

/* One CPU sends. */
struct live {
	__u64 seed;
	__u64 interval;     /* nanoseconds from packet to packet; 0: as many as possible */
	__u64 next;         /* when the next one is due */
	__u64 serial, most; /* packets sent, and how many at most */
	__u32 base, noise;  /* of the sources, host byte order: the first one, and the bits that are drawn */
	__u32 methods, reserved;
	struct live_frame frame[LIVE_METHODS]; /* sent in turn, each cut out of the longest */
};

#endif
