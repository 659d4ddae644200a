/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See book.h. Every change is one pass over two sorted sequences: a million records take milliseconds. */
#include "book.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The origins of one prefix at most: configuration, command line, feeds. */
#define RECORDS_MAX (2 + SIPDAM_FEEDS_MAX)

__u64 book_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

void book_free(struct book *book)
{
	free(book->entry);
	*book = (struct book){};
}

static int reserve(struct book *book, size_t room)
{
	struct sipdam_entry *grown;

	if (room <= book->room)
		return 0;
	grown = reallocarray(book->entry, room, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	book->entry = grown;
	book->room = room;
	return 0;
}

int book_append(struct book *book, const struct sipdam_prefix *prefix, __u32 origins, __u64 expires)
{
	int error = book->count < book->room ? 0 : reserve(book, book->room ? book->room * 2 : 64);

	if (error)
		return error;
	book->entry[book->count++] =
		(struct sipdam_entry){.prefix = *prefix, .origins = origins, .expires = expires};
	return 0;
}

/* ---- order ---- */

static __u64 word_of(const __u8 *bytes)
{
	__u64 word;

	memcpy(&word, bytes, sizeof(word));
	return be64toh(word);
}

static int compare_prefixes(const void *left, const void *right)
{
	const struct sipdam_prefix *a = left, *b = right;
	__u64 x = word_of(a->address), y = word_of(b->address);

	if (x == y) {
		x = word_of(a->address + 8);
		y = word_of(b->address + 8);
	}
	if (x == y) {
		x = a->bits;
		y = b->bits;
	}
	return (x > y) - (x < y);
}

void prefixes_sort(struct prefix_set *set)
{
	bool sorted = true;
	size_t kept = 0;

	for (size_t i = 1; sorted && i < set->count; i++)
		sorted = compare_prefixes(&set->prefix[i - 1], &set->prefix[i]) <= 0;
	if (!sorted)
		qsort(set->prefix, set->count, sizeof(*set->prefix), compare_prefixes);
	for (size_t i = 0; i < set->count; i++)
		if (!kept || compare_prefixes(&set->prefix[kept - 1], &set->prefix[i]))
			set->prefix[kept++] = set->prefix[i];
	set->count = kept;
}

/* A copy in order. 0 or -ENOMEM. */
static int copy_sorted(struct prefix_set *to, const struct prefix_set *from)
{
	*to = (struct prefix_set){};
	if (!from || !from->count)
		return 0;
	to->prefix = reallocarray(NULL, from->count, sizeof(*to->prefix));
	if (!to->prefix)
		return -ENOMEM;
	memcpy(to->prefix, from->prefix, from->count * sizeof(*to->prefix));
	to->count = to->room = from->count;
	prefixes_sort(to);
	return 0;
}

/* ---- one prefix ---- */

static bool has_expired(const struct sipdam_entry *entry, __u64 now)
{
	return entry->expires && entry->expires <= now;
}

/* Never is the last of all ends. */
static __u64 end_of(__u64 expires)
{
	return expires - 1;
}

/* The records of one prefix while they change. */
struct group {
	struct sipdam_entry entry[RECORDS_MAX + 1];
	size_t count;
};

static void group_insert(struct group *group, const struct sipdam_prefix *prefix, __u32 origin, __u64 expires)
{
	size_t at = 0;

	while (at < group->count && end_of(group->entry[at].expires) < end_of(expires))
		at++;
	if (at < group->count && group->entry[at].expires == expires) {
		group->entry[at].origins |= origin;
		return;
	}
	memmove(&group->entry[at + 1], &group->entry[at], (group->count - at) * sizeof(*group->entry));
	group->entry[at] = (struct sipdam_entry){.prefix = *prefix, .origins = origin, .expires = expires};
	group->count++;
}

/* Takes an origin's earlier record out, unless it ends later: then false, and there is nothing to add. */
static bool group_gives_way(struct group *group, __u32 origin, __u64 expires)
{
	size_t kept = 0;

	for (size_t i = 0; i < group->count; i++)
		if (group->entry[i].origins & origin && end_of(group->entry[i].expires) >= end_of(expires))
			return false;
	for (size_t i = 0; i < group->count; i++) {
		group->entry[i].origins &= ~origin;
		if (group->entry[i].origins)
			group->entry[kept++] = group->entry[i];
	}
	group->count = kept;
	return true;
}

/* ---- changes ---- */

/* Takes the prefix at *at if it is this one. */
static bool take_same(const struct prefix_set *set, size_t *at, const struct sipdam_prefix *prefix)
{
	while (*at < set->count && compare_prefixes(&set->prefix[*at], prefix) < 0)
		++*at;
	return *at < set->count && !compare_prefixes(&set->prefix[*at], prefix);
}

/* The next prefix that the book or the change has; false when both are at their end. */
static bool next_prefix(const struct book *before, size_t at, const struct prefix_set *come, size_t coming,
			struct sipdam_prefix *prefix)
{
	bool left = at < before->count, right = coming < come->count;

	if (!left && !right)
		return false;
	if (!right || (left && compare_prefixes(&before->entry[at].prefix, &come->prefix[coming]) < 0))
		*prefix = before->entry[at].prefix;
	else
		*prefix = come->prefix[coming];
	return true;
}

static int apply_sorted(const struct book *before, const struct book_change *change,
			const struct prefix_set *come, const struct prefix_set *go, __u64 now,
			struct book *after)
{
	size_t at = 0, coming = 0, going = 0;
	struct sipdam_prefix prefix;
	int error = reserve(after, before->count + come->count + 1);

	while (!error && next_prefix(before, at, come, coming, &prefix)) {
		bool forgotten = take_same(go, &going, &prefix);
		struct group group = {.count = 0};

		for (; at < before->count && !compare_prefixes(&before->entry[at].prefix, &prefix); at++) {
			const struct sipdam_entry *entry = &before->entry[at];
			__u32 origins = entry->origins & ~change->replaced;

			if (origins && !forgotten && !has_expired(entry, now))
				group_insert(&group, &prefix, origins, entry->expires);
		}
		if (coming < come->count && !compare_prefixes(&come->prefix[coming], &prefix)) {
			if (group_gives_way(&group, change->origin, change->expires))
				group_insert(&group, &prefix, change->origin, change->expires);
			coming++;
		}
		for (size_t i = 0; !error && i < group.count; i++)
			error = book_append(after, &prefix, group.entry[i].origins, group.entry[i].expires);
	}
	return error;
}

void book_sort(struct book *book)
{
	_Static_assert(offsetof(struct sipdam_entry, prefix) == 0, "entries are compared as their prefixes");

	if (book->count)
		qsort(book->entry, book->count, sizeof(*book->entry), compare_prefixes);
}

static int copy_current(const struct book *book, __u64 now, struct book *copy)
{
	int error = 0;

	*copy = (struct book){};
	for (size_t i = 0; !error && i < book->count; i++)
		if (!has_expired(&book->entry[i], now))
			error = book_append(copy, &book->entry[i].prefix, book->entry[i].origins,
					    book->entry[i].expires);
	if (error)
		book_free(copy);
	return error;
}

int book_apply(const struct book *before, const struct book_change *change, __u64 now, struct book *after)
{
	struct prefix_set come, go = {};
	int error;

	if (change->taken_over)
		return copy_current(change->taken_over, now, after);
	error = copy_sorted(&come, change->prefixes);
	*after = (struct book){};
	if (!error)
		error = copy_sorted(&go, change->forgotten);
	if (!error)
		error = apply_sorted(before, change, &come, &go, now, after);
	prefix_set_free(&come);
	prefix_set_free(&go);
	if (error)
		book_free(after);
	return error;
}

int book_merge(const struct book *book, __u64 now, struct book *merged)
{
	int error = 0;

	*merged = (struct book){};
	for (size_t i = 0; !error && i < book->count; i++) {
		const struct sipdam_entry *entry = &book->entry[i];
		struct sipdam_entry *last = merged->count ? &merged->entry[merged->count - 1] : NULL;

		if (has_expired(entry, now))
			continue;
		if (!last || compare_prefixes(&last->prefix, &entry->prefix)) {
			error = book_append(merged, &entry->prefix, entry->origins, entry->expires);
			continue;
		}
		last->origins |= entry->origins;
		if (end_of(entry->expires) > end_of(last->expires))
			last->expires = entry->expires;
	}
	if (error)
		book_free(merged);
	return error;
}

/* ---- questions ---- */

size_t book_prefixes(const struct book *book, __u64 now, __u64 *first_end)
{
	const struct sipdam_prefix *last = NULL;
	__u64 first = 0;
	size_t count = 0;

	for (size_t i = 0; i < book->count; i++) {
		const struct sipdam_entry *entry = &book->entry[i];

		if (has_expired(entry, now))
			continue;
		count += !last || compare_prefixes(last, &entry->prefix);
		last = &entry->prefix;
		if (end_of(entry->expires) < end_of(first))
			first = entry->expires;
	}
	*first_end = first;
	return count;
}

__u32 book_origins_held(const struct book *book, __u64 now)
{
	__u32 origins = 0;

	for (size_t i = 0; i < book->count; i++)
		if (!has_expired(&book->entry[i], now))
			origins |= book->entry[i].origins;
	return origins;
}

__u32 book_origins(const struct book *book, const struct sipdam_prefix *prefix, __u64 now)
{
	size_t low = 0, high = book->count;
	__u32 origins = 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_prefixes(&book->entry[middle].prefix, prefix) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < book->count && !compare_prefixes(&book->entry[low].prefix, prefix); low++)
		if (!has_expired(&book->entry[low], now))
			origins |= book->entry[low].origins;
	return origins;
}

bool book_holds(const struct book *book, const struct sipdam_prefix *prefix, __u64 now)
{
	__u32 least = prefix_is_ipv4(prefix) ? 96 : 0;
	struct sipdam_prefix around = *prefix;

	while (!book_origins(book, &around, now)) {
		if (around.bits <= least)
			return false;
		around.bits--;
		around.address[around.bits / 8] &= ~(0x80 >> around.bits % 8);
	}
	return true;
}

bool prefix_is_ipv4(const struct sipdam_prefix *prefix)
{
	return prefix->bits >= 96 && address_is_ipv4(prefix->address);
}

static __u64 mask_of(__u32 bits)
{
	return !bits ? 0 : bits >= 64 ? ~0ULL : ~0ULL << (64 - bits);
}

bool prefix_holds(const struct sipdam_prefix *a, const struct sipdam_prefix *b)
{
	__u64 high = word_of(a->address) ^ word_of(b->address);
	__u64 low = word_of(a->address + 8) ^ word_of(b->address + 8);

	return a->bits <= b->bits && prefix_is_ipv4(a) == prefix_is_ipv4(b) && !(high & mask_of(a->bits)) &&
	       !(low & mask_of(a->bits < 64 ? 0 : a->bits - 64));
}

/* The shortest entry of a family that holds what comes next in order: prefixes nest, so one is enough. */
static void widen_cover(const struct book *book, const struct sipdam_prefix *prefix, bool ipv4, __u64 now,
			size_t *at, const struct sipdam_prefix **cover)
{
	for (; *at < book->count && compare_prefixes(&book->entry[*at].prefix, prefix) <= 0; ++*at) {
		const struct sipdam_prefix *entry = &book->entry[*at].prefix;

		if (has_expired(&book->entry[*at], now) || prefix_is_ipv4(entry) != ipv4)
			continue;
		if (!*cover || !prefix_holds(*cover, entry))
			*cover = entry;
	}
}

/* The first entry behind `at` that lies inside the prefix, or NULL. */
static const struct sipdam_prefix *first_inside(const struct book *book, const struct sipdam_prefix *prefix,
						__u64 now, size_t at)
{
	for (; at < book->count; at++) {
		const struct sipdam_prefix *entry = &book->entry[at].prefix;

		if (!prefix_holds(prefix, entry)) {
			/* A family of its own may lie between: only what is beyond the prefix ends it. */
			if (prefix_is_ipv4(entry) == prefix_is_ipv4(prefix))
				return NULL;
			continue;
		}
		if (!has_expired(&book->entry[at], now))
			return entry;
	}
	return NULL;
}

static void overlaps_of_family(const struct book *book, const struct prefix_set *prefixes, bool ipv4,
			       __u64 now, book_meet_t *meet, void *context)
{
	const struct sipdam_prefix *cover = NULL;
	size_t at = 0;

	for (size_t i = 0; i < prefixes->count; i++) {
		const struct sipdam_prefix *prefix = &prefixes->prefix[i], *inside;

		if (prefix_is_ipv4(prefix) != ipv4)
			continue;
		widen_cover(book, prefix, ipv4, now, &at, &cover);
		if (cover && prefix_holds(cover, prefix)) {
			meet(prefix, cover, context);
			continue;
		}
		inside = first_inside(book, prefix, now, at);
		if (inside)
			meet(prefix, inside, context);
	}
}

void book_overlaps(const struct book *book, const struct prefix_set *prefixes, __u64 now, book_meet_t *meet,
		   void *context)
{
	overlaps_of_family(book, prefixes, true, now, meet, context);
	overlaps_of_family(book, prefixes, false, now, meet, context);
}
