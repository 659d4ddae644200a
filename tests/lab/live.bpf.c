// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The sender of `flood --live`: a test run with live frames runs this program on a frame for each packet,
 * which becomes the next one of the flood and leaves by the device that the test run names. No socket buffer
 * is made of it: the sender costs a fraction of what a packet socket does.
 */
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>

#include "live.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define IP_AT       14
#define CHECKSUM_AT (IP_AT + 10)
#define SOURCE_AT   (IP_AT + 12)
#define LAG_MAX     10000000 /* nanoseconds that are caught up with */

struct live live;

/* As lab_mix. */
static __always_inline __u64 mix(__u64 value)
{
	value += 0x9e3779b97f4a7c15ULL;
	value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
	value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
	return value ^ (value >> 31);
}

/* Eight hexadecimal digits as they stand in memory. */
static __always_inline __u64 digits_of(__u32 number)
{
	__u64 x = number, above_nine;

	x = (x | x << 16) & 0x0000ffff0000ffffULL;
	x = (x | x << 8) & 0x00ff00ff00ff00ffULL;
	x = (x | x << 4) & 0x0f0f0f0f0f0f0f0fULL;
	above_nine = (x + 0x0606060606060606ULL) >> 4 & 0x0101010101010101ULL;
	return __builtin_bswap64(x + 0x3030303030303030ULL + above_nine * ('a' - '9' - 1));
}

static __always_inline __u16 checksum(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return ~((sum & 0xffff) + (sum >> 16));
}

/* Whether the next packet may go now. A lag is given up beyond LAG_MAX. */
static __always_inline int is_due(void)
{
	__u64 now;

	if (live.serial >= live.most)
		return 0;
	if (!live.interval)
		return 1;
	now = bpf_ktime_get_ns();
	if (now < live.next)
		return 0;
	if (now - live.next > LAG_MAX)
		live.next = now - LAG_MAX;
	live.next += live.interval;
	return 1;
}

static __always_inline void write_fields(struct live_frame *frame, __u32 source, __u64 serial)
{
	__u64 high = digits_of(serial >> 32), low = digits_of(serial), name = digits_of(source);

	for (__u32 i = 0; i < LIVE_FIELDS && i < frame->fields; i++) {
		__u64 *at = (void *)(frame->bytes + (frame->field[i].at & (LIVE_BYTES - 1)));

		at[0] = frame->field[i].digits == LIVE_DIGITS ? high : name;
		if (frame->field[i].digits == LIVE_DIGITS)
			at[1] = low;
	}
}

static __always_inline void write_source(struct live_frame *frame, __u32 source)
{
	__u16 check = __builtin_bswap16(checksum(frame->ip_sum + (source >> 16) + (source & 0xffff)));
	__u32 address = __builtin_bswap32(source);

	__builtin_memcpy(frame->bytes + CHECKSUM_AT, &check, sizeof(check));
	__builtin_memcpy(frame->bytes + SOURCE_AT, &address, sizeof(address));
}

SEC("xdp")
int send_live(struct xdp_md *context)
{
	__u64 method = live.serial % live.methods, length;
	struct live_frame *frame;
	__u32 source;

	if (method >= LIVE_METHODS || !is_due())
		return XDP_DROP;
	frame = &live.frame[method];
	length = frame->length;
	if (length < IP_AT || length > LIVE_BYTES)
		return XDP_ABORTED;
	source = live.base | (mix(live.serial * 2 + live.seed) & live.noise);
	write_source(frame, source);
	write_fields(frame, source, mix(live.serial ^ live.seed));
	if (bpf_xdp_adjust_tail(context, -(int)frame->cut))
		return XDP_ABORTED;
	if (bpf_xdp_store_bytes(context, 0, frame->bytes, length))
		return XDP_ABORTED;
	live.serial++;
	return XDP_TX;
}
