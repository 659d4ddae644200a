// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Somebody else's XDP program, which libxdp's dispatcher runs behind ours: it counts what comes to it and
 * lets it pass. sipdam has to live before it.
 */
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
#include <xdp/xdp_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} neighbour_seen SEC(".maps");

/* Ours is at 50, where a program is that does not say. */
struct {
	__uint(priority, 90);
	__uint(XDP_PASS, 1);
} XDP_RUN_CONFIG(neighbour);

SEC("xdp")
int neighbour(struct xdp_md *context)
{
	__u32 zero = 0;
	__u64 *seen = bpf_map_lookup_elem(&neighbour_seen, &zero);

	(void)context;
	if (seen)
		++*seen;
	return XDP_PASS;
}
