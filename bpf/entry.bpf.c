// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What is attached to an interface: it jumps to the filter through a pinned program array, so that an
 * upgrade is one update of that array for all interfaces at once.
 *
 * An empty array is a promise: traffic passes. A filter that is not there must not take the host off the
 * net. It is empty between the first attach to an interface and the moment at which the filter takes over,
 * after an attach that was killed there, and never in an upgrade.
 *
 * An upgrade replaces the filter and leaves this on the interfaces: the array has one entry for ever, and
 * whoever changes this program changes it for new interfaces alone.
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
