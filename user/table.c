/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See table.h. */
#include "table.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "address.h"
#include "cleanup.h"

void *table_map(int fd, size_t bytes)
{
	void *mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return mapped == MAP_FAILED ? NULL : mapped;
}

/* By one system call: the kernel maps none that is open for reading alone. */
void *table_copy(int fd, __u32 entries, size_t size)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	_cleanup_free_ __u32 *keys = calloc(entries, sizeof(*keys));
	_cleanup_free_ void *values = calloc(entries, size);
	__u32 next, count = entries;

	if (!keys || !values) {
		errno = ENOMEM;
		return NULL;
	}
	if (bpf_map_lookup_batch(fd, NULL, &next, keys, values, &count, &opts) && errno != ENOENT)
		return NULL;
	return take_pointer(&values);
}

__u32 table_source_bits(const struct sipdam_policy *policy, const __u8 address[16])
{
	return address_is_ipv4(address) ? 96 + policy->source_prefix[SIPDAM_FAMILY_IPV4]
					: policy->source_prefix[SIPDAM_FAMILY_IPV6];
}

void table_open_gate(struct sipdam_ban_gate *gate, __u64 end)
{
	__u64 latest = table_word(&gate->latest);

	while (latest < end && !table_exchange(&gate->latest, latest, end))
		latest = table_word(&gate->latest);
}
