// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The sender of `make bench-peers`: a test run with live frames runs this program on each frame, which gets
 * its source and its branch here and leaves by the device that the test run names. And the least that a
 * receiver can do.
 */
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>

#include "branch.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* How sources vary, written by sender.c. One CPU sends. */
struct sending {
	__u64 state;    /* of the generator, or the number of the next source in order */
	__u32 base;     /* first source, host byte order */
	__u32 sources;  /* how many */
	__u32 in_order; /* one after the other instead of at random */
	__u32 sum;      /* of the IPv4 header without its source, for the checksum */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sending);
} sendings SEC(".maps");

#define CHECKSUM_OFFSET 24 /* Ethernet, then 10 bytes of IPv4; the source follows */

static __always_inline __u32 next_source(struct sending *sending)
{
	if (sending->in_order)
		return sending->base + sending->state++ % sending->sources;
	sending->state = sending->state * 6364136223846793005ULL + 1442695040888963407ULL;
	return sending->base + (__u32)(((sending->state >> 32) * sending->sources) >> 32);
}

static __always_inline __u16 checksum(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return ~((sum & 0xffff) + (sum >> 16));
}

SEC("xdp")
int send_frame(struct xdp_md *context)
{
	__u8 *data = (void *)(long)context->data;
	__u8 *end = (void *)(long)context->data_end;
	__u32 zero = 0, source;
	struct sending *sending = bpf_map_lookup_elem(&sendings, &zero);

	if (!sending || data + BRANCH_OFFSET + 8 > end)
		return XDP_ABORTED;
	source = next_source(sending);
	*(__u16 *)(data + CHECKSUM_OFFSET) =
		__builtin_bswap16(checksum(sending->sum + (source >> 16) + (source & 0xffff)));
	*(__u32 *)(data + CHECKSUM_OFFSET + 2) = __builtin_bswap32(source);
	put_branch(data, sending->state);
	return XDP_TX;
}

SEC("xdp")
int drop_frame(struct xdp_md *context)
{
	(void)context;
	return XDP_DROP;
}
