/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * See live.h. Two policies, of which `active` names the one in force, and for each list two places, of
 * which the policy names the one in force. A change is built beside what is in force and takes effect by
 * one store; what was in force before is then given back.
 */
#include "live.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bans.h"
#include "cleanup.h"
#include "connections.h"
#include "known.h"
#include "lists.h"
#include "pins.h"
#include "settings_text.h"
#include "table.h"

/* An older layout's holds the number of its policy alone. */
static int read_active(__u32 *slot, struct problem *problem)
{
	_cleanup_close_ int fd = pins_open("active", true, problem);
	struct sipdam_front front = {};
	__u32 zero = 0;

	if (fd < 0)
		return fd;
	if (bpf_map_lookup_elem(fd, &zero, &front))
		return problem_set(problem, -errno, "reading which policy is in force: %s", strerror(errno));
	*slot = front.active & 1;
	return 0;
}

struct sipdam_front live_front(const struct sipdam_policy *policy, __u32 slot)
{
	struct sipdam_front front = {.active = slot, .hint_udp = policy->ports[SIPDAM_PORTS_UDP].hint};

	for (int kind = SIPDAM_PORTS_TCP; kind < SIPDAM_PORT_KINDS; kind++)
		front.hint_tcp |= policy->ports[kind].hint;
	return front;
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

/* ---- lists ---- */

#define _cleanup_book_ __attribute__((cleanup(book_free)))

/* The book that a policy names. */
static int read_book(int list, const struct sipdam_policy *policy, struct book *book)
{
	*book = (struct book){};
	return policy->list_entries[list] ? lists_read_book(list, policy->index[list].half, book) : 0;
}

static __u64 draw_seed(void)
{
	__u64 seed = 0;

	/* Without one, the index is as good and a feed could be made to fit it badly. */
	return getrandom(&seed, sizeof(seed), 0) == sizeof(seed) ? seed : book_now();
}

static bool is_same(const struct book *a, const struct book *b)
{
	return a->count == b->count &&
	       (!a->count || !memcmp(a->entry, b->entry, a->count * sizeof(*a->entry)));
}

/* A commit under way: what changes, and what is given back when it is done. */
struct commit {
	struct sipdam_policy before, after;
	int outer;
	bool changed[SIPDAM_LISTS];
};

/*
 * Puts a changed list at its idle place. The policy tells where, and how many entries it has. The book comes
 * first and goes last: where there is one at an idle place a commit was killed, and may have left pieces.
 */
static int place_list(struct commit *commit, int list, const struct book *book)
{
	struct sipdam_index *index = &commit->after.index[list];
	__u32 half = commit->before.index[list].half ^ 1;
	__u64 now = book_now();
	int error = 0;

	if (lists_has_book(list, half))
		error = lists_retire(commit->outer, list, half, SIPDAM_PIECES_MAX);
	if (error)
		return error;
	commit->changed[list] = true;
	index->pieces = SIPDAM_PIECES_MAX; /* what there may be if it fails */
	error = lists_write_book(list, half, book);
	if (!error)
		error = lists_place(commit->outer, list, half, book, now, draw_seed(), index);
	if (!error)
		commit->after.list_entries[list] = book_prefixes(book, now, &index->first_end);
	return error;
}

static int ready_list(struct commit *commit, int list, const struct book_change *change)
{
	_cleanup_book_ struct book before = {}, after = {};
	int error = 0;

	commit->after.list_entries[list] = commit->before.list_entries[list];
	commit->after.index[list] = commit->before.index[list];
	if (change)
		error = read_book(list, &commit->before, &before);
	if (!error && change)
		error = book_apply(&before, change, book_now(), &after);
	if (error || !change || is_same(&before, &after))
		return error;
	return place_list(commit, list, &after);
}

/*
 * Gives back what is not in force of the lists that changed: the old after a commit, the new after one
 * that failed. What cannot be given back now is with the next change.
 */
static void give_back(struct commit *commit, const struct sipdam_policy *in_force)
{
	const struct sipdam_policy *not_in_force =
		in_force == &commit->after ? &commit->before : &commit->after;

	for (int list = 0; list < SIPDAM_LISTS; list++) {
		__u32 idle = in_force->index[list].half ^ 1;

		if (!commit->changed[list])
			continue;
		if (!lists_retire(commit->outer, list, idle, not_in_force->index[list].pieces))
			lists_forget_book(list, idle);
	}
}

/* ---- commit ---- */

void live_wait_for_packets(void)
{
	/* Where the kernel does not wait for us (nohz_full, seccomp): much longer than a packet takes. */
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		usleep(50000);
}

static int problem_of_commit(int error, struct problem *problem)
{
	if (error == -ENOSPC)
		return problem_set(problem, error, "a list may have at most %d entries; nothing was changed",
				   SIPDAM_LIST_ENTRIES_MAX);
	return problem_set(problem, error, "changing the running filter: %s; nothing was changed",
			   strerror(-error));
}

/* Before the policy of its slot is in force, so that the two never differ. */
static int write_text(__u32 slot, const struct sipdam_policy *policy, struct problem *problem)
{
	_cleanup_free_ struct sipdam_text *text = calloc(1, sizeof(*text));
	_cleanup_close_ int fd = text ? pins_open("settings", false, problem) : -ENOMEM;
	int error = fd < 0 ? fd : settings_text_write(policy, text->text, sizeof(text->text));

	if (!error && bpf_map_update_elem(fd, &slot, text, BPF_ANY))
		error = -errno;
	return error ? problem_of_commit(error, problem) : 0;
}

/*
 * Makes the policy of a slot the one in force. The hints are first widened to what either policy needs and
 * narrowed when nobody goes by the old one any more: at no moment do they send on what the policy in force keeps.
 */
static int switch_to(int active, __u32 slot, const struct sipdam_policy *policy)
{
	struct sipdam_front front, next = live_front(policy, slot);
	__u32 zero = 0;
	int error = bpf_map_lookup_elem(active, &zero, &front);

	front.hint_udp |= next.hint_udp;
	front.hint_tcp |= next.hint_tcp;
	if (!error)
		error = bpf_map_update_elem(active, &zero, &front, BPF_ANY);
	front.active = slot;
	if (!error)
		error = bpf_map_update_elem(active, &zero, &front, BPF_ANY);
	if (error)
		return error;
	live_wait_for_packets();
	/* Hints that stay too wide cost some packets a longer way, and no verdict. */
	bpf_map_update_elem(active, &zero, &next, BPF_ANY);
	return 0;
}

static int write_slot(__u32 slot, const struct sipdam_policy *policy, struct problem *problem)
{
	_cleanup_close_ int policies = pins_open("policy", false, problem);
	_cleanup_close_ int active = policies < 0 ? -1 : pins_open("active", false, problem);
	int error;

	if (policies < 0 || active < 0)
		return policies < 0 ? policies : active;
	error = write_text(slot, policy, problem);
	if (error)
		return error;
	if (bpf_map_update_elem(policies, &slot, policy, BPF_ANY))
		return problem_of_commit(-errno, problem);
	error = switch_to(active, slot, policy);
	return error ? problem_of_commit(error, problem) : 0;
}

/* The lines of a table, to be unmapped by the caller. NULL: a problem has been set. */
static struct sipdam_line *map_lines(const char *map, size_t lines, struct problem *problem)
{
	_cleanup_close_ int fd = pins_open(map, false, problem);
	void *mapped = fd < 0 ? NULL : table_map(fd, lines * sizeof(struct sipdam_line));

	if (fd >= 0 && !mapped)
		problem_set(problem, -errno, "map %s of the running filter: %s", map, strerror(errno));
	return mapped;
}

/* All words of a table become free, and with them whatever it says of sources. */
static int clear_lines(const char *map, size_t lines, struct problem *problem)
{
	struct sipdam_line *line = map_lines(map, lines, problem);

	if (!line)
		return -EIO;
	memset(line, 0, lines * sizeof(*line));
	munmap(line, lines * sizeof(*line));
	return 0;
}

/* Connections name their ports by number in the policy. */
static int renumber_ports(const struct sipdam_policy *before, const struct sipdam_policy *policy,
			  struct problem *problem)
{
	struct sipdam_line *line;

	if (!memcmp(before->ports, policy->ports, sizeof(policy->ports)))
		return 0;
	line = map_lines("connections", SIPDAM_CONNECTION_LINES, problem);
	if (!line)
		return -EIO;
	connections_renumber(line, SIPDAM_CONNECTION_LINES, before, policy);
	munmap(line, SIPDAM_CONNECTION_LINES * sizeof(*line));
	return 0;
}

/* Bans, trust and connections are of sources: where another length of prefix is one, those of before are of
 * nobody. */
static int end_foreign_sources(const struct sipdam_policy *before, const struct sipdam_policy *policy,
			       struct problem *problem)
{
	struct known known;
	struct bans bans;
	int error;

	if (!memcmp(before->source_prefix, policy->source_prefix, sizeof(policy->source_prefix)))
		return 0;
	error = bans_open(&bans, problem);
	if (error)
		return error;
	bans_end_others(&bans, policy, book_now());
	bans_close(&bans);
	error = known_open(&known, problem);
	if (error)
		return error;
	known_end_others(&known, policy, book_now());
	known_close(&known);
	error = clear_lines("connections", SIPDAM_CONNECTION_LINES, problem);
	return error ? error : clear_lines("conn_levels", SIPDAM_LEVEL_LINES, problem);
}

static int ready_lists(struct commit *commit, const struct book_change *const changes[SIPDAM_LISTS],
		       struct problem *problem)
{
	int error = 0;

	commit->outer = pins_open("lists", false, problem);
	if (commit->outer < 0)
		return commit->outer;
	for (int list = 0; !error && list < SIPDAM_LISTS; list++)
		error = ready_list(commit, list, changes[list]);
	return error ? problem_of_commit(error, problem) : 0;
}

/* Does this network namespace's kernel answer SYNs with cookies when it has no room for more? */
static bool cookies_are_on(void)
{
	FILE *file = fopen("/proc/sys/net/ipv4/tcp_syncookies", "re");
	int value = 0;

	if (!file)
		return false;
	if (fscanf(file, "%d", &value) != 1)
		value = 0;
	fclose(file);
	return value > 0;
}

/* Policy and lists together beside those in force, then the switch. A list of no change stays. */
static int commit(const struct sipdam_policy *policy, const struct book_change *const changes[SIPDAM_LISTS],
		  struct problem *problem)
{
	struct commit commit = {.after = *policy, .outer = -1};
	__u32 slot;
	int error = read_active(&slot, problem);

	if (!error)
		error = live_policy(&commit.before, problem);
	if (error)
		return error;
	error = ready_lists(&commit, changes, problem);
	/* Words written under a policy with deeper buckets are still told from old ones. */
	if (commit.after.syn_cookies == SIPDAM_COOKIES_AUTO)
		commit.after.cookies_on = cookies_are_on();
	if (commit.before.horizon > commit.after.horizon)
		commit.after.horizon = commit.before.horizon;
	if (!error)
		error = write_slot(slot ^ 1, &commit.after, problem);
	give_back(&commit, error ? &commit.before : &commit.after);
	if (commit.outer >= 0)
		close(commit.outer);
	if (!error)
		error = renumber_ports(&commit.before, &commit.after, problem);
	return error ? error : end_foreign_sources(&commit.before, &commit.after, problem);
}

int live_commit(const struct settings *settings, struct problem *problem)
{
	const struct book_change *changes[SIPDAM_LISTS] = {};
	struct book_change configured[SIPDAM_LISTS];
	struct sipdam_policy policy = settings->policy, before;
	int error = live_policy(&before, problem);

	if (error)
		return error;
	if (before.deadline)
		policy.deadline = before.deadline;
	if (settings->confirm)
		policy.deadline = book_now() + settings->confirm;
	for (int list = 0; list < SIPDAM_LISTS; list++) {
		configured[list] = (struct book_change){
			.replaced = SIPDAM_ENTRY_CONFIG,
			.origin = SIPDAM_ENTRY_CONFIG,
			.prefixes = &settings->lists[list],
		};
		if (settings->list_given[list])
			changes[list] = &configured[list];
	}
	return commit(&policy, changes, problem);
}

int live_confirm(bool late, __s64 *left, struct problem *problem)
{
	static const struct book_change *const none[SIPDAM_LISTS];
	struct sipdam_policy policy;
	int error = live_policy(&policy, problem);

	if (error)
		return error;
	if (!policy.deadline)
		return -ENODATA;
	*left = (__s64)(policy.deadline - book_now());
	if (*left <= 0 && !late)
		return -ETIME;
	policy.deadline = 0;
	return commit(&policy, none, problem);
}

/* ---- lists of the running filter ---- */

/* Times that a reader looks again because the list was exchanged under it. */
#define READS_MAX 16

/* The book in force. A change may take it away between the policy's reading and its own: then again. */
static int read_live_book(int list, struct book *book, struct problem *problem)
{
	struct sipdam_policy policy;
	int error = -ENOENT;

	for (int tries = 0; error == -ENOENT && tries < READS_MAX; tries++) {
		error = live_policy(&policy, problem);
		if (error)
			return error;
		error = read_book(list, &policy, book);
	}
	return error ? problem_set(problem, error, "reading the %s list: %s", lists_name(list),
				   strerror(-error))
		     : 0;
}

int live_list_read(int list, struct book *entries, struct problem *problem)
{
	_cleanup_book_ struct book book = {};
	int error = read_live_book(list, &book, problem);

	if (!error && book_merge(&book, book_now(), entries))
		error = problem_set(problem, -ENOMEM, "reading the %s list: out of memory", lists_name(list));
	return error;
}

int live_list_count(const struct sipdam_policy *policy, int list, __u32 *entries, struct problem *problem)
{
	_cleanup_book_ struct book book = {};
	__u64 now = book_now(), ignored;
	int error;

	*entries = policy->list_entries[list];
	if (!policy->index[list].first_end || policy->index[list].first_end > now)
		return 0;
	error = read_live_book(list, &book, problem);
	if (!error)
		*entries = book_prefixes(&book, now, &ignored);
	return error;
}

int live_read(struct settings *settings, struct problem *problem)
{
	int error = live_policy(&settings->policy, problem);

	for (int list = 0; !error && list < SIPDAM_LISTS; list++) {
		_cleanup_book_ struct book entries = {};

		error = live_list_read(list, &entries, problem);
		for (size_t i = 0; !error && i < entries.count; i++)
			if (entries.entry[i].origins & SIPDAM_ENTRY_CONFIG)
				error = prefix_set_add(&settings->lists[list], &entries.entry[i].prefix);
	}
	return error;
}

static int change_list(int list, const struct book_change *change, struct problem *problem)
{
	const struct book_change *changes[SIPDAM_LISTS] = {};
	struct sipdam_policy policy;
	int error = live_policy(&policy, problem);

	changes[list] = change;
	return error ? error : commit(&policy, changes, problem);
}

int live_list_replace(int list, __u32 replaced, __u32 origin, const struct prefix_set *prefixes,
		      __u64 expires, struct problem *problem)
{
	const struct book_change change = {
		.replaced = replaced, .origin = origin, .expires = expires, .prefixes = prefixes};

	return change_list(list, &change, problem);
}

int live_list_restore(int list, const struct book *book, struct problem *problem)
{
	const struct book_change change = {.taken_over = book};

	return change_list(list, &change, problem);
}

int live_text(char *text, size_t size, struct problem *problem)
{
	_cleanup_free_ struct sipdam_text *found = calloc(1, sizeof(*found));
	_cleanup_close_ int fd = -1;
	__u32 slot;
	int error = found ? read_active(&slot, problem) : -ENOMEM;

	if (error)
		return error;
	fd = pins_open("settings", true, problem);
	if (fd < 0)
		return fd;
	if (bpf_map_lookup_elem(fd, &slot, found))
		return problem_set(problem, -errno, "reading the settings in force: %s", strerror(errno));
	snprintf(text, size, "%s", found->text);
	return 0;
}

int live_list_add(int list, const struct prefix_set *prefixes, __u64 expires, struct problem *problem)
{
	return live_list_replace(list, 0, SIPDAM_ENTRY_MANUAL, prefixes, expires, problem);
}

/* All of them are in the list, or none is taken out. */
static int find_origins(int list, const struct prefix_set *prefixes, __u32 *origins, struct problem *problem)
{
	_cleanup_book_ struct book book = {};
	char text[ADDRESS_PREFIX_TEXT];
	__u64 now = book_now();
	int error = read_live_book(list, &book, problem);

	for (size_t i = 0; !error && i < prefixes->count; i++) {
		origins[i] = book_origins(&book, &prefixes->prefix[i], now);
		if (origins[i])
			continue;
		address_format_prefix(&prefixes->prefix[i], text);
		error = problem_set(problem, -ENOENT,
				    "%s is not in the %s list: `sipdam %s list` shows what is", text,
				    lists_name(list), lists_name(list));
	}
	return error;
}

int live_list_remove(int list, const struct prefix_set *prefixes, __u32 *origins, struct problem *problem)
{
	const struct book_change change = {.forgotten = prefixes};
	int error = find_origins(list, prefixes, origins, problem);

	return error ? error : change_list(list, &change, problem);
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

/* Gives up the names of feeds of which no entry is in force any more. 0 or -errno. */
static int forget_expired_feeds(struct sipdam_meta *meta, struct problem *problem)
{
	static const int fed[] = {SIPDAM_LIST_ALLOW, SIPDAM_LIST_DENY};
	__u64 now = book_now();
	__u32 held = 0;
	int error = 0;

	for (size_t i = 0; !error && i < sizeof(fed) / sizeof(*fed); i++) {
		struct book book = {};

		error = live_list_read(fed[i], &book, problem);
		held |= book_origins_held(&book, now);
		book_free(&book);
	}
	for (int feed = 0; !error && feed < SIPDAM_FEEDS_MAX; feed++)
		if (!(held & SIPDAM_ENTRY_FEED(feed)))
			memset(meta->feeds[feed], 0, sizeof(meta->feeds[feed]));
	return error;
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
	if (snprintf(name, sizeof(name), "%s:%s", lists_name(list), slash ? slash + 1 : file) >=
	    (int)sizeof(name))
		return problem_set(problem, -ENAMETOOLONG,
				   "%s: a feed's file name may have at most %zu characters", file,
				   sizeof(name) - strlen(lists_name(list)) - 2);
	feed = find_feed(&meta, name, make);
	if (feed == -ENOSPC) {
		error = forget_expired_feeds(&meta, problem);
		feed = error ? error : find_feed(&meta, name, make);
	}
	if (error)
		return error;
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
	size_t length = strlen(lists_name(list));
	struct sipdam_meta meta;
	_cleanup_close_ int fd = -1;
	__u32 zero = 0;
	int error = pins_check(&meta, problem);

	if (error)
		return error;
	for (int feed = 0; feed < SIPDAM_FEEDS_MAX; feed++)
		if (origins & SIPDAM_ENTRY_FEED(feed) && meta.feeds[feed][length] == ':' &&
		    !strncmp(meta.feeds[feed], lists_name(list), length))
			memset(meta.feeds[feed], 0, sizeof(meta.feeds[feed]));
	fd = pins_open("meta", false, problem);
	if (fd < 0)
		return fd;
	if (bpf_map_update_elem(fd, &zero, &meta, BPF_ANY))
		return problem_set(problem, -errno, "giving the feed's place up: %s", strerror(errno));
	return 0;
}
