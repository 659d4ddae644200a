// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What is attached to an interface: it jumps to the filter through a pinned program array, so that an
 * upgrade is one update of that array for all interfaces at once. An empty array is a filter that could
 * not be loaded: traffic passes as before.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} programs SEC(".maps");

SEC("xdp.frags")
int sipdam_entry(struct xdp_md *context)
{
	bpf_tail_call(context, &programs, 0);
	return XDP_PASS;
}
