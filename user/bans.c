/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See bans.h. The shape of the tables is include/sipdam/state.h's, where a source is looked for hash.h's. */
#include "bans.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "book.h"
#include "sipdam/hash.h"
#include "table.h"

#define END_MASK ((1ULL << SIPDAM_BAN_END_BITS) - 1)

const char *ban_cause_name(int cause)
{
	switch (cause) {
#define X(name, number, label)                                                                               \
	case number:                                                                                         \
		return label;
		SIPDAM_BAN_CAUSES(X)
#undef X
	}
	return "unknown";
}

/* ---- tables ---- */

static const struct table_shape shape = {
	.lines = "bans",
	.records = "ban_records",
	.gate = "ban_gate",
	.what = "bans",
	.line_count = SIPDAM_BAN_LINES,
	.record_bytes = sizeof(struct sipdam_ban),
};

int bans_map(struct bans *bans, int lines, int records, int gate, int secrets)
{
	return table_of_maps(&bans->table, &shape, lines, records, gate, secrets);
}

int bans_open(struct bans *bans, struct problem *problem)
{
	return table_open(&bans->table, &shape, problem);
}

int bans_read(struct bans *bans, bool records, struct problem *problem)
{
	return table_read(&bans->table, &shape, records, problem);
}

void bans_close(struct bans *bans)
{
	table_close(&bans->table);
}

/* ---- sources ---- */

struct sipdam_prefix bans_source(const struct sipdam_policy *policy, const struct sipdam_prefix *given,
				 bool *exact)
{
	struct sipdam_prefix source = *given;

	source.bits = table_source_bits(policy, given->address);
	for (__u32 bit = source.bits; bit < 128; bit++)
		source.address[bit / 8] &= (__u8) ~(0x80 >> bit % 8);
	*exact = source.bits == given->bits;
	return source;
}

static struct sipdam_ban ban_of(const struct sipdam_prefix *source)
{
	struct sipdam_ban ban = {.bits = (__u8)source->bits};

	memcpy(&ban.high, source->address, 8);
	memcpy(&ban.low, source->address + 8, 8);
	return ban;
}

static struct sipdam_prefix source_of(const struct sipdam_ban *ban)
{
	struct sipdam_prefix source = {.bits = ban->bits};

	memcpy(source.address, &ban->high, 8);
	memcpy(source.address + 8, &ban->low, 8);
	return source;
}

/* ---- places ---- */

/* Where the ban of a source is or may go. */
struct place {
	__u64 *word;
	__u64 before; /* as read */
	struct sipdam_ban *record;
	bool own;
};

static __u64 word_of(__u64 hash, __u64 end)
{
	return hash >> SIPDAM_BAN_END_BITS << SIPDAM_BAN_END_BITS | end >> SIPDAM_BAN_UNIT_SHIFT;
}

static bool is_of(__u64 word, const struct sipdam_ban *record, __u64 hash, const struct sipdam_ban *source)
{
	return word && word >> SIPDAM_BAN_END_BITS == hash >> SIPDAM_BAN_END_BITS &&
	       record->high == source->high && record->low == source->low && record->bits == source->bits;
}

/* Its own place, whether the ban holds or has ended; else the free one, or that of the ban that ends first.
 */
static struct place find_place(const struct bans *bans, __u64 hash, const struct sipdam_ban *source)
{
	size_t line = hash & (SIPDAM_BAN_LINES - 1);
	struct place first = {.before = END_MASK};

	for (size_t way = 0; way < SIPDAM_WAYS; way++) {
		struct place place = {.word = &bans->table.line[line].word[way],
				      .record = &bans->table.record.ban[line * SIPDAM_WAYS + way]};

		place.before = table_word(place.word);
		place.own = is_of(place.before, place.record, hash, source);
		if (place.own)
			return place;
		if (!first.word || table_end(place.before) < table_end(first.before))
			first = place;
	}
	return first;
}

/* The record of a ban that begins now. What has been a ban up to now keeps its beginning and its count. */
static struct sipdam_ban next_record(const struct place *place, const struct sipdam_ban *source, __u64 hash,
				     __u64 now, __u64 most)
{
	struct sipdam_ban ban = *source;
	bool holds = place->own && table_end(place->before) > now;
	bool again = place->own && table_end(place->before) + most > now;

	ban.since = holds ? place->record->since : now;
	ban.dropped = holds ? place->record->dropped : 0;
	ban.times = again ? place->record->times + !holds : 1;
	ban.tag = (__u16)(hash >> SIPDAM_BAN_END_BITS);
	ban.cause = SIPDAM_BAN_MANUAL;
	return ban;
}

/* 0, -EAGAIN where a packet changed the word in between. */
static int take_place(const struct place *place, __u64 hash, const struct sipdam_ban *ban, __u64 now,
		      __u64 end)
{
	__u64 claimed = word_of(hash, now + TABLE_CLAIM), unit = 1ULL << SIPDAM_BAN_UNIT_SHIFT;

	if (!place->own) {
		if (!table_exchange(place->word, place->before, claimed))
			return -EAGAIN;
		*place->record = *ban;
		return table_exchange(place->word, claimed, word_of(hash, end + unit - 1)) ? 0 : -EAGAIN;
	}
	if (!table_exchange(place->word, place->before, word_of(hash, end + unit - 1)))
		return -EAGAIN;
	place->record->since = ban->since;
	place->record->times = ban->times;
	place->record->cause = ban->cause;
	if (!ban->dropped)
		place->record->dropped = 0;
	return 0;
}

int bans_add(struct bans *bans, const struct sipdam_prefix *source, __u64 now, __u64 lasting, __u64 most)
{
	struct sipdam_ban named = ban_of(source);
	__u64 hash = sipdam_hash(&bans->table.secret, named.high, named.low), end = now + lasting;

	table_open_gate(bans->table.gate, end + (1ULL << SIPDAM_BAN_UNIT_SHIFT));
	for (int attempt = 0; attempt < TABLE_ATTEMPTS; attempt++) {
		struct place place = find_place(bans, hash, &named);
		struct sipdam_ban ban = next_record(&place, &named, hash, now, most);

		if (!place.own && table_end(place.before) > now)
			return -ENOSPC;
		if (!take_place(&place, hash, &ban, now, end))
			return 0;
	}
	return -EAGAIN;
}

int bans_remove(struct bans *bans, const struct sipdam_prefix *source, __u64 now)
{
	struct sipdam_ban named = ban_of(source);
	__u64 hash = sipdam_hash(&bans->table.secret, named.high, named.low);
	bool held = false;

	/* Two CPUs that ban a source at once may have put it into two places. */
	for (int attempt = 0; attempt < TABLE_ATTEMPTS; attempt++) {
		struct place place = find_place(bans, hash, &named);

		if (!place.own)
			break;
		held |= table_end(place.before) > now;
		table_exchange(place.word, place.before, 0);
	}
	return held ? 0 : -ENOENT;
}

bool bans_hold(const struct bans *bans, const struct sipdam_prefix *source, __u64 now)
{
	struct sipdam_ban named = ban_of(source);
	struct place place =
		find_place(bans, sipdam_hash(&bans->table.secret, named.high, named.low), &named);

	return place.own && table_end(place.before) > now;
}

/* ---- all of them ---- */

static bool is_of_policy(const struct sipdam_ban *ban, const struct sipdam_policy *policy)
{
	struct sipdam_prefix source = source_of(ban);

	return ban->bits == table_source_bits(policy, source.address);
}

/* What is in force of one place; a place that is being written at this moment is none. */
static bool read_place(const struct bans *bans, const struct sipdam_policy *policy, size_t place, __u64 now,
		       struct ban_entry *entry)
{
	__u64 word = table_word(table_word_at(&bans->table, place));

	if (table_end(word) <= now)
		return false;
	entry->ban = bans->table.record.ban[place];
	entry->end = table_end(word);
	entry->source = source_of(&entry->ban);
	return entry->ban.tag == (__u16)(word >> SIPDAM_BAN_END_BITS) && is_of_policy(&entry->ban, policy);
}

size_t bans_count(const struct bans *bans, __u64 now)
{
	size_t count = 0;

	for (size_t place = 0; place < table_places(&bans->table, now); place++)
		count += table_end(*table_word_at(&bans->table, place)) > now;
	return count;
}

void bans_end_others(struct bans *bans, const struct sipdam_policy *policy, __u64 now)
{
	for (size_t place = 0; place < table_places(&bans->table, now); place++) {
		__u64 *word = table_word_at(&bans->table, place), before = table_word(word);
		const struct sipdam_ban *ban = &bans->table.record.ban[place];

		if (before && ban->tag == (__u16)(before >> SIPDAM_BAN_END_BITS) &&
		    !is_of_policy(ban, policy))
			table_exchange(word, before, 0);
	}
}

static int compare_entries(const void *left, const void *right)
{
	const struct ban_entry *a = left, *b = right;

	return memcmp(a->source.address, b->source.address, sizeof(a->source.address));
}

int bans_list(const struct bans *bans, const struct sipdam_policy *policy, __u64 now,
	      struct ban_entries *entries)
{
	struct ban_entries list = {};
	struct ban_entry entry;
	size_t room = 0;

	for (size_t place = 0; place < table_places(&bans->table, now); place++) {
		if (!read_place(bans, policy, place, now, &entry))
			continue;
		if (list.count == room) {
			struct ban_entry *grown;

			room = room ? 2 * room : 64;
			grown = reallocarray(list.entry, room, sizeof(*grown));
			if (!grown) {
				ban_entries_free(&list);
				return -ENOMEM;
			}
			list.entry = grown;
		}
		list.entry[list.count++] = entry;
	}
	if (list.count)
		qsort(list.entry, list.count, sizeof(*list.entry), compare_entries);
	*entries = list;
	return 0;
}

void ban_entries_free(struct ban_entries *entries)
{
	free(entries->entry);
	memset(entries, 0, sizeof(*entries));
}
