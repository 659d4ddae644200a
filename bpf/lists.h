/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Is an address in a list? Lists are longest-prefix tries; an empty one costs nothing because the
 * policy says so.
 */
#ifndef LISTS_H
#define LISTS_H

#include "maps.h"
#include "packet.h"

/* Expired entries nested around one address that are looked behind before the address counts as unlisted. */
#define EXPIRED_NESTED_MAX 4

/* An IPv6 prefix shorter than this (::/0, ::/8 of feeds) holds ::ffff:0:0/96 too, but means no IPv4. */
#define IPV4_MAPPED_BITS 96

/*
 * now: nanoseconds. An entry that has expired is no entry: a shorter prefix around it may still hold the
 * address. A function of its own so that the kernel verifies its loop once.
 */
__noinline int list_has(__u32 slot, __u32 list, const struct packet_address *address, __u64 now)
{
	__u32 index = slot * SIPDAM_LIST_STRIDE + list;
	void *trie = bpf_map_lookup_elem(&lists, &index);
	struct sipdam_prefix key = {.bits = 128};
	int ipv4 = address && is_mapped(address);

	if (!trie || !address)
		return 0;
	__builtin_memcpy(key.address, address, sizeof(key.address));
	for (int i = 0; i <= EXPIRED_NESTED_MAX; i++) {
		struct sipdam_entry *entry = bpf_map_lookup_elem(trie, &key);

		if (!entry || (ipv4 && entry->bits < IPV4_MAPPED_BITS))
			return 0;
		if (!entry->expires || now < entry->expires)
			return 1;
		if (!entry->bits)
			return 0;
		key.bits = entry->bits - 1;
	}
	return 0;
}

#endif
