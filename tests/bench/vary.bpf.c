// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Benchmark harness: a test run repeats one packet, so this program gives each run another IPv4 source
 * (drawn by a generator whose state lies behind the packet's payload) and jumps to the program under
 * test. Bare drop and pass go the same way, so that the difference is the filter's.
 */
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>

#include "branch.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* How the source varies, written by the benchmark between runs. */
struct vary {
	__u32 base;     /* host byte order */
	__u32 sources;  /* how many follow base; a power of two or any number */
	__u32 spread;   /* what each is multiplied by: 1, or a number that scatters them */
	__u32 requests; /* 1: each packet is a request of its own, told by its branch */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct vary);
} varying SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} under_test SEC(".maps");

#define SOURCE_OFFSET 26  /* Ethernet, then 12 bytes of IPv4; in IPv6 the third and fourth group of it */
#define STATE_OFFSET  500 /* within the body of the packets this benchmark sends */

SEC("xdp.frags")
int vary_source(struct xdp_md *context)
{
	__u8 *data = (void *)(long)context->data;
	__u8 *end = (void *)(long)context->data_end;
	__u32 zero = 0;
	struct vary *vary = bpf_map_lookup_elem(&varying, &zero);
	__u64 state;

	if (!vary || data + STATE_OFFSET + 8 > end)
		return XDP_ABORTED;
	state = *(__u64 *)(data + STATE_OFFSET);
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	*(__u64 *)(data + STATE_OFFSET) = state;
	*(__u32 *)(data + SOURCE_OFFSET) = __builtin_bswap32(
		(vary->base + (__u32)(((state >> 32) * vary->sources) >> 32)) * vary->spread);
	if (vary->requests)
		put_branch(data, state);
	bpf_tail_call(context, &under_test, 0);
	return XDP_ABORTED;
}

SEC("xdp.frags")
int bare_drop(struct xdp_md *context)
{
	(void)context;
	return XDP_DROP;
}

/* As large as the default table of sources. */
#define LINES (1 << 20)

struct line {
	__u64 word[8];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, LINES);
	__type(key, __u32);
	__type(value, struct line);
} lines SEC(".maps");

/*
 * The least that state of a source in memory can cost: one word of its line is exchanged, and what comes
 * next waits for it, as a verdict does.
 */
SEC("xdp.frags")
int bare_line(struct xdp_md *context)
{
	__u8 *data = (void *)(long)context->data;
	__u8 *end = (void *)(long)context->data_end;
	struct line *line;
	__u32 index;

	__u64 before;

	if (data + STATE_OFFSET + 8 > end)
		return XDP_ABORTED;
	index = (*(__u32 *)(data + SOURCE_OFFSET) * 2654435761u) >> 12;
	line = bpf_map_lookup_elem(&lines, &index);
	if (!line)
		return XDP_ABORTED;
	before = line->word[0];
	*(__u64 *)(data + STATE_OFFSET) += before;
	__sync_val_compare_and_swap(&line->word[0], before, before + 1);
	return XDP_DROP;
}

SEC("xdp.frags")
int bare_pass(struct xdp_md *context)
{
	(void)context;
	return XDP_PASS;
}
