/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Is an address in a list? An empty list costs nothing because the policy says so; of a large one, an
 * address that is not in it costs one line of memory. How it is found: search.h.
 */
#ifndef LISTS_H
#define LISTS_H

#include "maps.h"

#include "search.h"

/* The policy in force for the whole way of a packet, and the lists that it names. */
static __always_inline const struct sipdam_policy *policy_in_force(void)
{
	__u32 slot = *(const volatile __u32 *)&active.active & 1;

	return bpf_map_lookup_elem(&policy, &slot);
}

static __always_inline const struct sipdam_line *index_line(const struct sipdam_index *index, __u32 number)
{
	__u32 piece = index->piece + (number >> SIPDAM_PIECE_SHIFT);
	__u32 within = number & (SIPDAM_PIECE_LINES - 1);
	void *lines = bpf_map_lookup_elem(&lists, &piece);

	return lines ? bpf_map_lookup_elem(lines, &within) : NULL;
}

/*
 * Prefixes, behind the gate, and all of IPv6. A function of its own, so that the kernel verifies its loops once; single
 * addresses are found without it.
 */
__noinline int list_holds(const struct sipdam_index *index, const struct packet_address *address, __u32 unit)
{
	if (!index || !address)
		return 0;
	return is_mapped(address) ? index_has_ipv4(index, index_ipv4(address), unit)
				  : index_has_ipv6(index, address, unit);
}

/* now: nanoseconds. An entry that has expired is no entry. */
static __always_inline int list_has(const struct sipdam_policy *policy, __u32 list,
				    const struct packet_address *address, __u64 now)
{
	const struct sipdam_index *index = &policy->index[list];

	__u32 unit = now >> SIPDAM_UNTIL_SHIFT;

	if (is_mapped(address)) {
		if (!index_gate4(index, index_ipv4(address)))
			return 0;
		if (index_has_single4(index, index_ipv4(address), unit))
			return 1;
		if (!index_has_prefixes4(index))
			return 0;
	}
	return list_holds(index, address, unit);
}

#endif
