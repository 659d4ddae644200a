/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See trie.h. */
#include "trie.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

__u64 trie_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

void trie_entries_free(struct trie_entries *entries)
{
	free(entries->entry);
	*entries = (struct trie_entries){};
}

int trie_entries_add(struct trie_entries *entries, const struct sipdam_prefix *prefix, __u32 origins,
		     __u64 expires)
{
	if (entries->count == entries->room) {
		size_t room = entries->room ? entries->room * 2 : 64;
		struct trie_entry *grown = reallocarray(entries->entry, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		entries->entry = grown;
		entries->room = room;
	}
	entries->entry[entries->count++] = (struct trie_entry){
		.prefix = *prefix,
		.entry = {.expires = expires, .origins = origins, .bits = prefix->bits},
	};
	return 0;
}

int trie_create(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);

	return bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "list", sizeof(struct sipdam_prefix),
			      sizeof(struct sipdam_entry), TRIE_ENTRIES_MAX, &opts);
}

/* A look-up in a trie finds the longest match; only the very prefix is wanted here. */
static int trie_get(int fd, const struct sipdam_prefix *prefix, struct sipdam_entry *entry)
{
	int error = bpf_map_lookup_elem(fd, prefix, entry);

	if (error)
		return error;
	return entry->bits == prefix->bits ? 0 : -ENOENT;
}

int trie_add(int fd, const struct sipdam_prefix *prefix, __u32 origins, __u64 expires)
{
	struct sipdam_entry entry = {.expires = expires, .origins = origins, .bits = prefix->bits};
	struct sipdam_entry before;

	if (!trie_get(fd, prefix, &before) && (!before.expires || before.expires > trie_now())) {
		entry.origins |= before.origins;
		if (!before.expires || (expires && before.expires > expires))
			entry.expires = before.expires;
	}
	return bpf_map_update_elem(fd, prefix, &entry, BPF_ANY);
}

int trie_remove(int fd, const struct sipdam_prefix *prefix, __u32 origins)
{
	struct sipdam_entry entry;
	int error = trie_get(fd, prefix, &entry);

	if (error || !(entry.origins & origins))
		return error ? error : -ENOENT;
	entry.origins &= ~origins;
	return entry.origins ? bpf_map_update_elem(fd, prefix, &entry, BPF_EXIST)
			     : bpf_map_delete_elem(fd, prefix);
}

int trie_read(int fd, struct trie_entries *entries)
{
	struct sipdam_prefix key, next;
	struct sipdam_entry entry;
	int error = bpf_map_get_next_key(fd, NULL, &next);

	while (!error) {
		key = next;
		if (!trie_get(fd, &key, &entry)) {
			error = trie_entries_add(entries, &key, entry.origins, entry.expires);
			if (error)
				return error;
		}
		error = bpf_map_get_next_key(fd, &key, &next);
	}
	return error == -ENOENT ? 0 : error;
}
