/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * See live.h. Two slots, each a policy and a trie a list; `active` names the one in force. A change is
 * built in the idle slot, whose tries are pinned as NAME_SLOT (the bpffs allows no dot) so that they can be
 * opened again.
 */
#include "live.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bans.h"
#include "cleanup.h"
#include "pins.h"

const char *live_list_name(int list)
{
	static const char *const names[SIPDAM_LISTS] = {"allow", "deny", "addresses"};

	return names[list];
}

static int read_active(__u32 *slot, struct problem *problem)
{
	_cleanup_close_ int fd = pins_open("active", true, problem);
	__u32 zero = 0;

	if (fd < 0)
		return fd;
	if (bpf_map_lookup_elem(fd, &zero, slot))
		return problem_set(problem, -errno, "reading which policy is in force: %s", strerror(errno));
	*slot &= 1;
	return 0;
}

int live_policy(struct sipdam_policy *policy, struct problem *problem)
{
	_cleanup_close_ int fd = -1;
	__u32 slot;
	int error = read_active(&slot, problem);

	if (error)
		return error;
	fd = pins_open("policy", true, problem);
	if (fd < 0)
		return fd;
	if (bpf_map_lookup_elem(fd, &slot, policy))
		return problem_set(problem, -errno, "reading the policy in force: %s", strerror(errno));
	return 0;
}

/* ---- tries ---- */

static int trie_pin_path(char *path, size_t size, int list, __u32 slot)
{
	char name[32];

	snprintf(name, sizeof(name), "%s_%u", live_list_name(list), slot);
	return pins_path(path, size, name);
}

static int open_trie(int list, __u32 slot, bool read_only, struct problem *problem)
{
	char name[32];

	snprintf(name, sizeof(name), "%s_%u", live_list_name(list), slot);
	return pins_open(name, read_only, problem);
}

/* Puts a trie at its place in a slot that is not in force. */
static int place_trie(int outer, int list, __u32 slot, int trie)
{
	__u32 key = slot * SIPDAM_LIST_STRIDE + list;
	char path[300];
	int error = trie_pin_path(path, sizeof(path), list, slot);

	if (error)
		return error;
	if (unlink(path) && errno != ENOENT)
		return -errno;
	error = bpf_obj_pin(trie, path);
	if (error || chmod(path, 0640))
		return error ? error : -errno;
	return bpf_map_update_elem(outer, &key, &trie, BPF_ANY);
}

/* What becomes of one list in a change: entries of these origins go, these prefixes come. */
struct list_change {
	bool given;
	__u32 replaced;
	__u32 origin;
	__u64 expires;
	const struct prefix_set *prefixes;
};

/* A new trie of the entries that stay and those that come. Returns a descriptor or -errno. */
static int build_trie(int before, const struct list_change *change)
{
	struct trie_entries kept = {};
	_cleanup_close_ int fd = trie_create();
	__u64 now = trie_now();
	int error = fd < 0 ? fd : 0;

	if (!error && before >= 0)
		error = trie_read(before, &kept);
	for (size_t i = 0; !error && i < kept.count; i++) {
		const struct trie_entry *entry = &kept.entry[i];
		__u32 origins = entry->entry.origins & ~change->replaced;

		if (origins && (!entry->entry.expires || entry->entry.expires > now))
			error = trie_add(fd, &entry->prefix, origins, entry->entry.expires);
	}
	trie_entries_free(&kept);
	for (size_t i = 0; !error && change->prefixes && i < change->prefixes->count; i++)
		error = trie_add(fd, &change->prefixes->prefix[i], change->origin, change->expires);
	return error ? error : take_fd(&fd);
}

/* How many entries a trie has: 0 lets the program skip it. */
static int count_entries(int trie, __u32 *count)
{
	struct trie_entries entries = {};
	int error = trie_read(trie, &entries);

	if (!error)
		*count = entries.count;
	trie_entries_free(&entries);
	return error;
}

/*
 * Readies one list in the idle slot: the same trie as in force where nothing changes, a new one else;
 * the entries are counted only where they have changed.
 */
static int ready_list(int outer, int list, __u32 slot, const struct list_change *change, __u32 *count)
{
	struct problem ignored;
	_cleanup_close_ int before = open_trie(list, slot ^ 1, false, &ignored);
	_cleanup_close_ int trie = -1;
	int error;

	if (before < 0 && before != -ENOENT)
		return before;
	if (!change->given && before >= 0)
		return place_trie(outer, list, slot, before);
	trie = build_trie(before, change);
	if (trie < 0)
		return trie;
	error = count_entries(trie, count);
	return error ? error : place_trie(outer, list, slot, trie);
}

/* ---- commit ---- */

/* No packet that read the old index is still on its way when this returns: it waits as the kernel does. */
static void wait_for_packets(void)
{
	syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}

static int problem_of_commit(int error, struct problem *problem)
{
	if (error == -ENOSPC)
		return problem_set(problem, error, "a list may have at most %d entries; nothing was changed",
				   TRIE_ENTRIES_MAX);
	return problem_set(problem, error, "changing the running filter: %s; nothing was changed",
			   strerror(-error));
}

static int write_slot(__u32 slot, const struct sipdam_policy *policy, struct problem *problem)
{
	_cleanup_close_ int policies = pins_open("policy", false, problem);
	_cleanup_close_ int active = policies < 0 ? -1 : pins_open("active", false, problem);
	__u32 zero = 0;

	if (policies < 0 || active < 0)
		return policies < 0 ? policies : active;
	if (bpf_map_update_elem(policies, &slot, policy, BPF_ANY) ||
	    bpf_map_update_elem(active, &zero, &slot, BPF_ANY))
		return problem_of_commit(-errno, problem);
	wait_for_packets();
	return 0;
}

/* Bans are of sources: where another length of prefix is one, those of before are of nobody. */
static int end_foreign_bans(const struct sipdam_policy *before, const struct sipdam_policy *policy,
			    struct problem *problem)
{
	struct bans bans;
	int error;

	if (!memcmp(before->source_prefix, policy->source_prefix, sizeof(policy->source_prefix)))
		return 0;
	error = bans_open(&bans, problem);
	if (error)
		return error;
	bans_end_others(&bans, policy, trie_now());
	bans_close(&bans);
	return 0;
}

/*
 * Policy and lists together into the idle slot, then the switch. The policy tells how many entries the
 * lists have that do not change here.
 */
static int commit(struct sipdam_policy *policy, const struct list_change changes[SIPDAM_LISTS],
		  struct problem *problem)
{
	struct sipdam_policy before;
	_cleanup_close_ int outer = -1;
	__u32 slot;
	int error = read_active(&slot, problem);

	if (error)
		return error;
	error = live_policy(&before, problem);
	if (error)
		return error;
	outer = pins_open("lists", false, problem);
	if (outer < 0)
		return outer;
	slot ^= 1;
	for (int list = 0; list < SIPDAM_LISTS; list++) {
		error = ready_list(outer, list, slot, &changes[list], &policy->list_entries[list]);
		if (error)
			return problem_of_commit(error, problem);
	}
	/* Words written under a policy with deeper buckets are still told from old ones. */
	if (before.horizon > policy->horizon)
		policy->horizon = before.horizon;
	error = write_slot(slot, policy, problem);
	return error ? error : end_foreign_bans(&before, policy, problem);
}

int live_commit(const struct settings *settings, struct problem *problem)
{
	struct list_change changes[SIPDAM_LISTS] = {};
	struct sipdam_policy policy = settings->policy, before;
	int error = live_policy(&before, problem);

	if (error)
		return error;
	policy.deadline = settings->confirm ? trie_now() + settings->confirm : before.deadline;
	for (int list = 0; list < SIPDAM_LISTS; list++) {
		policy.list_entries[list] = before.list_entries[list];
		changes[list] = (struct list_change){
			.given = settings->list_given[list],
			.replaced = SIPDAM_ENTRY_CONFIG,
			.origin = SIPDAM_ENTRY_CONFIG,
			.prefixes = &settings->lists[list],
		};
	}
	return commit(&policy, changes, problem);
}

int live_confirm(bool late, __s64 *left, struct problem *problem)
{
	static const struct list_change none[SIPDAM_LISTS];
	struct sipdam_policy policy;
	int error = live_policy(&policy, problem);

	if (error)
		return error;
	if (!policy.deadline)
		return -ENODATA;
	*left = (__s64)(policy.deadline - trie_now());
	if (*left <= 0 && !late)
		return -ETIME;
	policy.deadline = 0;
	return commit(&policy, none, problem);
}

/* ---- lists ---- */

static int read_list(int list, __u32 slot, struct trie_entries *entries, struct problem *problem)
{
	_cleanup_close_ int fd = open_trie(list, slot, true, problem);
	int error;

	if (fd < 0)
		return fd;
	error = trie_read(fd, entries);
	return error ? problem_set(problem, error, "reading the %s list: %s", live_list_name(list),
				   strerror(-error))
		     : 0;
}

int live_list_read(int list, struct trie_entries *entries, struct problem *problem)
{
	__u64 now = trie_now();
	size_t kept = 0;
	__u32 slot;
	int error = read_active(&slot, problem);

	if (!error)
		error = read_list(list, slot, entries, problem);
	for (size_t i = 0; i < entries->count; i++)
		if (!entries->entry[i].entry.expires || entries->entry[i].entry.expires > now)
			entries->entry[kept++] = entries->entry[i];
	entries->count = kept;
	return error;
}

int live_list_holds(int list, const __u8 address[16], bool *held, struct problem *problem)
{
	struct sipdam_prefix key = {.bits = 128};
	struct sipdam_entry entry;
	_cleanup_close_ int fd = -1;
	__u64 now = trie_now();
	__u32 slot;
	int error = read_active(&slot, problem);

	if (error)
		return error;
	fd = open_trie(list, slot, true, problem);
	if (fd < 0)
		return fd;
	memcpy(key.address, address, sizeof(key.address));
	*held = false;
	/* As the program looks: behind an entry that has expired there may be a shorter one. */
	while (!*held && !bpf_map_lookup_elem(fd, &key, &entry)) {
		if (address_is_ipv4(address) && entry.bits < 96)
			break;
		*held = !entry.expires || entry.expires > now;
		if (!entry.bits)
			break;
		key.bits = entry.bits - 1;
	}
	return 0;
}

int live_read(struct settings *settings, struct problem *problem)
{
	int error = live_policy(&settings->policy, problem);

	for (int list = 0; !error && list < SIPDAM_LISTS; list++) {
		struct trie_entries entries = {};

		if (settings->policy.list_entries[list])
			error = live_list_read(list, &entries, problem);
		for (size_t i = 0; !error && i < entries.count; i++)
			if (entries.entry[i].entry.origins & SIPDAM_ENTRY_CONFIG)
				error = prefix_set_add(&settings->lists[list], &entries.entry[i].prefix);
		trie_entries_free(&entries);
	}
	return error;
}

int live_list_replace(int list, __u32 replaced, __u32 origin, const struct prefix_set *prefixes,
		      __u64 expires, struct problem *problem)
{
	struct list_change changes[SIPDAM_LISTS] = {};
	struct sipdam_policy policy;
	int error = live_policy(&policy, problem);

	if (error)
		return error;
	changes[list] = (struct list_change){
		.given = true,
		.replaced = replaced,
		.origin = origin,
		.expires = expires,
		.prefixes = prefixes,
	};
	return commit(&policy, changes, problem);
}

/* The policy alone again, with one list's count changed by `step`. */
static int commit_count(int list, int step, struct problem *problem)
{
	static const struct list_change none[SIPDAM_LISTS];
	struct sipdam_policy policy;
	int error = live_policy(&policy, problem);

	if (error)
		return error;
	policy.list_entries[list] += step;
	return commit(&policy, none, problem);
}

int live_list_add(int list, const struct sipdam_prefix *prefix, __u64 expires, struct problem *problem)
{
	struct sipdam_entry entry;
	_cleanup_close_ int fd = -1;
	bool known;
	__u32 slot;
	int error = read_active(&slot, problem);

	if (error)
		return error;
	fd = open_trie(list, slot, false, problem);
	if (fd < 0)
		return fd;
	known = !bpf_map_lookup_elem(fd, prefix, &entry) && entry.bits == prefix->bits;
	/* Counted first: a command that dies between the two must not leave an entry that nobody looks up. */
	error = known ? 0 : commit_count(list, 1, problem);
	if (error)
		return error;
	error = trie_add(fd, prefix, SIPDAM_ENTRY_MANUAL, expires);
	if (error && !known)
		commit_count(list, -1, NULL);
	return error ? problem_of_commit(error, problem) : 0;
}

int live_list_remove(int list, const struct sipdam_prefix *prefix, __u32 *origins, struct problem *problem)
{
	char text[ADDRESS_PREFIX_TEXT];
	struct sipdam_entry entry;
	_cleanup_close_ int fd = -1;
	__u32 slot;
	int error = read_active(&slot, problem);

	if (error)
		return error;
	fd = open_trie(list, slot, false, problem);
	if (fd < 0)
		return fd;
	address_format_prefix(prefix, text);
	if (bpf_map_lookup_elem(fd, prefix, &entry) || entry.bits != prefix->bits)
		return problem_set(problem, -ENOENT,
				   "%s is not in the %s list: `sipdam %s list` shows what is", text,
				   live_list_name(list), live_list_name(list));
	error = trie_remove(fd, prefix, ~0u);
	if (error)
		return problem_of_commit(error, problem);
	*origins = entry.origins;
	return commit_count(list, -1, problem);
}

/* ---- feeds ---- */

static int find_feed(const struct sipdam_meta *meta, const char *name, bool make)
{
	for (int feed = 0; feed < SIPDAM_FEEDS_MAX; feed++)
		if (!strcmp(meta->feeds[feed], name))
			return feed;
	for (int feed = 0; make && feed < SIPDAM_FEEDS_MAX; feed++)
		if (!meta->feeds[feed][0])
			return feed;
	return make ? -ENOSPC : -ENOENT;
}

int live_feed(int list, const char *file, bool make, struct problem *problem)
{
	const char *slash = strrchr(file, '/');
	struct sipdam_meta meta;
	_cleanup_close_ int fd = -1;
	__u32 zero = 0;
	char name[sizeof(meta.feeds[0])];
	int feed, error = pins_check(&meta, problem);

	if (error)
		return error;
	if (snprintf(name, sizeof(name), "%s:%s", live_list_name(list), slash ? slash + 1 : file) >=
	    (int)sizeof(name))
		return problem_set(problem, -ENAMETOOLONG,
				   "%s: a feed's file name may have at most %zu characters", file,
				   sizeof(name) - strlen(live_list_name(list)) - 2);
	feed = find_feed(&meta, name, make);
	if (feed == -ENOSPC)
		return problem_set(problem, feed,
				   "%s: %d feeds are imported already, which is the most: flush one", file,
				   SIPDAM_FEEDS_MAX);
	if (feed < 0 || meta.feeds[feed][0])
		return feed;
	memcpy(meta.feeds[feed], name, sizeof(name));
	fd = pins_open("meta", false, problem);
	if (fd < 0)
		return fd;
	if (bpf_map_update_elem(fd, &zero, &meta, BPF_ANY))
		return problem_set(problem, -errno, "naming the feed: %s", strerror(errno));
	return feed;
}

int live_feeds_forget(int list, __u32 origins, struct problem *problem)
{
	size_t length = strlen(live_list_name(list));
	struct sipdam_meta meta;
	_cleanup_close_ int fd = -1;
	__u32 zero = 0;
	int error = pins_check(&meta, problem);

	if (error)
		return error;
	for (int feed = 0; feed < SIPDAM_FEEDS_MAX; feed++)
		if (origins & SIPDAM_ENTRY_FEED(feed) && meta.feeds[feed][length] == ':' &&
		    !strncmp(meta.feeds[feed], live_list_name(list), length))
			memset(meta.feeds[feed], 0, sizeof(meta.feeds[feed]));
	fd = pins_open("meta", false, problem);
	if (fd < 0)
		return fd;
	if (bpf_map_update_elem(fd, &zero, &meta, BPF_ANY))
		return problem_set(problem, -errno, "giving the feed's place up: %s", strerror(errno));
	return 0;
}
