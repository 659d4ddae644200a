/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See known.h. The shape of the tables is include/sipdam/state.h's, where a source is looked for hash.h's. */
#include "known.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "book.h"
#include "sipdam/hash.h"
#include "table.h"

const char *known_cause_name(int cause)
{
	switch (cause) {
#define X(name, number, label)                                                                               \
	case number:                                                                                         \
		return label;
		SIPDAM_KNOWN_CAUSES(X)
#undef X
	}
	return "unknown";
}

/* ---- tables ---- */

static const struct table_shape shape = {
	.lines = "known",
	.records = "known_records",
	.gate = "known_gate",
	.what = "trusted sources",
	.line_count = SIPDAM_KNOWN_LINES,
	.record_bytes = sizeof(struct sipdam_known),
};

int known_map(struct known *known, int lines, int records, int gate, int secrets)
{
	return table_of_maps(&known->table, &shape, lines, records, gate, secrets);
}

int known_open(struct known *known, struct problem *problem)
{
	return table_open(&known->table, &shape, problem);
}

int known_read(struct known *known, bool records, struct problem *problem)
{
	return table_read(&known->table, &shape, records, problem);
}

void known_close(struct known *known)
{
	table_close(&known->table);
}

/* ---- places ---- */

/* Where a source is or may go. */
struct place {
	__u64 *word;
	__u64 before; /* as read */
	struct sipdam_known *record;
	bool own;
};

static struct sipdam_known named(const struct sipdam_prefix *source)
{
	struct sipdam_known record = {.bits = (__u8)source->bits};

	memcpy(&record.high, source->address, 8);
	memcpy(&record.low, source->address + 8, 8);
	return record;
}

static struct sipdam_prefix source_of(const struct sipdam_known *record)
{
	struct sipdam_prefix source = {.bits = record->bits};

	memcpy(source.address, &record->high, 8);
	memcpy(source.address + 8, &record->low, 8);
	return source;
}

static __u64 word_of(__u64 hash, bool trusted, __u64 end)
{
	return hash >> SIPDAM_KNOWN_TAG_SHIFT << SIPDAM_KNOWN_TAG_SHIFT | (trusted ? SIPDAM_KNOWN_KIND : 0) |
	       end >> SIPDAM_BAN_UNIT_SHIFT;
}

static bool is_of(__u64 word, const struct sipdam_known *record, __u64 hash, const struct sipdam_known *name)
{
	return word && word >> SIPDAM_KNOWN_TAG_SHIFT == hash >> SIPDAM_KNOWN_TAG_SHIFT &&
	       record->high == name->high && record->low == name->low && record->bits == name->bits;
}

static bool is_trusted(__u64 word)
{
	return word & SIPDAM_KNOWN_KIND;
}

/* What gives its place up before what: one that has ended, the longest first; then a peer; then nobody. */
static bool goes_before(__u64 word, __u64 other, __u64 now)
{
	bool holds = table_end(word) > now, other_holds = table_end(other) > now;

	if (holds && other_holds && is_trusted(word) != is_trusted(other))
		return is_trusted(other);
	return table_end(word) < table_end(other);
}

static struct place find_place(const struct known *known, __u64 hash, const struct sipdam_known *name,
			       __u64 now)
{
	size_t line = hash & (SIPDAM_KNOWN_LINES - 1);
	struct place first = {};

	for (size_t way = 0; way < SIPDAM_WAYS; way++) {
		struct place place = {.word = &known->table.line[line].word[way],
				      .record = &known->table.record.known[line * SIPDAM_WAYS + way]};

		place.before = table_word(place.word);
		place.own = is_of(place.before, place.record, hash, name);
		if (place.own)
			return place;
		if (!first.word || goes_before(place.before, first.before, now))
			first = place;
	}
	return first;
}

static int peers_of_line(const struct known *known, __u64 hash, __u64 now)
{
	const struct sipdam_line *line = &known->table.line[hash & (SIPDAM_KNOWN_LINES - 1)];
	int peers = 0;

	for (int way = 0; way < SIPDAM_WAYS; way++) {
		__u64 word = table_word(&line->word[way]);

		peers += table_end(word) > now && !is_trusted(word);
	}
	return peers;
}

/* May a source that is not known yet take this place? */
static bool may_take(const struct known *known, const struct place *place, __u64 hash, bool trusted,
		     __u64 now)
{
	if (!trusted && peers_of_line(known, hash, now) >= SIPDAM_KNOWN_PEERS_MAX)
		return false;
	return table_end(place->before) <= now || (trusted && !is_trusted(place->before));
}

/* ---- adding ---- */

/* Which bit stands for a port: any hash will do that spreads neighbours. */
static __u64 port_bit(__u16 port)
{
	return 1ULL << (port * 0x9e3779b1U >> 26);
}

/* What was seen lately is what was seen in the time before after half of trust.ttl, and then forgotten. */
static void see_port(struct sipdam_known *record, __u16 port, __u64 ttl, __u64 now)
{
	__u64 age = now - record->turned;
	int devices;

	if (age >= ttl / 2) {
		record->ports[1] = age >= ttl ? 0 : record->ports[0];
		record->ports[0] = 0;
		record->turned = now;
	}
	if (port)
		record->ports[0] |= port_bit(port);
	devices = __builtin_popcountll(record->ports[0] | record->ports[1]);
	record->devices = (__u8)(devices ? devices : 1);
}

static struct sipdam_known next_record(const struct place *place, const struct known_grant *grant, __u64 hash,
				       __u64 now)
{
	bool holds = place->own && table_end(place->before) > now;
	struct sipdam_known record = holds ? *place->record : named(&grant->source);

	if (!holds)
		record.since = now;
	if (place->own)
		record.registered = place->record->registered;
	record.tag = (__u16)(hash >> SIPDAM_KNOWN_TAG_SHIFT);
	record.cause = (__u8)grant->cause;
	if (!grant->trusted && !(holds && is_trusted(place->before))) {
		record.devices = 1;
		return record;
	}
	if (!holds || !is_trusted(place->before))
		record.turned = now; /* where a peer has its calls */
	see_port(&record, grant->port, grant->ttl, now);
	return record;
}

/* 0, -EAGAIN where a packet changed the word in between. */
static int take_place(const struct place *place, const struct sipdam_known *record, __u64 hash, bool trusted,
		      __u64 now, __u64 end)
{
	__u64 claimed = word_of(hash, false, now + TABLE_CLAIM);
	__u64 word = word_of(hash, trusted, end + (1ULL << SIPDAM_BAN_UNIT_SHIFT) - 1);

	if (place->own) {
		*place->record = *record;
		return table_exchange(place->word, place->before, word) ? 0 : -EAGAIN;
	}
	if (!table_exchange(place->word, place->before, claimed))
		return -EAGAIN;
	*place->record = *record;
	return table_exchange(place->word, claimed, word) ? 0 : -EAGAIN;
}

int known_add(struct known *known, const struct known_grant *grant, __u64 now)
{
	struct sipdam_known name = named(&grant->source);
	__u64 hash = sipdam_hash(&known->table.secret, name.high, name.low), end = now + grant->lasting;

	table_open_gate(known->table.gate, end + (1ULL << SIPDAM_BAN_UNIT_SHIFT));
	for (int attempt = 0; attempt < TABLE_ATTEMPTS; attempt++) {
		struct place place = find_place(known, hash, &name, now);
		struct sipdam_known record = next_record(&place, grant, hash, now);
		bool holds = place.own && table_end(place.before) > now;

		if (!place.own && !may_take(known, &place, hash, grant->trusted, now))
			return -ENOSPC;
		if (!take_place(&place, &record, hash, grant->trusted || (holds && is_trusted(place.before)),
				now, end))
			return 0;
	}
	return -EAGAIN;
}

int known_remove(struct known *known, const struct sipdam_prefix *source, __u64 now)
{
	struct sipdam_known name = named(source);
	__u64 hash = sipdam_hash(&known->table.secret, name.high, name.low);
	bool held = false;

	for (int attempt = 0; attempt < TABLE_ATTEMPTS; attempt++) {
		struct place place = find_place(known, hash, &name, now);

		if (!place.own)
			break;
		held |= table_end(place.before) > now;
		table_exchange(place.word, place.before, 0);
	}
	return held ? 0 : -ENOENT;
}

bool known_hold(const struct known *known, const struct sipdam_prefix *source, __u64 now)
{
	struct sipdam_known name = named(source);
	struct place place =
		find_place(known, sipdam_hash(&known->table.secret, name.high, name.low), &name, now);

	return place.own && table_end(place.before) > now;
}

/* ---- all of them ---- */

static bool is_of_policy(const struct sipdam_known *record, const struct sipdam_policy *policy)
{
	struct sipdam_prefix source = source_of(record);

	return record->bits == table_source_bits(policy, source.address);
}

/* What holds of one place; a place that is being written at this moment is none. */
static bool read_place(const struct known *known, const struct sipdam_policy *policy, size_t place, __u64 now,
		       struct known_entry *entry)
{
	__u64 word = table_word(table_word_at(&known->table, place));

	if (table_end(word) <= now)
		return false;
	entry->record = known->table.record.known[place];
	entry->end = table_end(word);
	entry->trusted = is_trusted(word);
	entry->source = source_of(&entry->record);
	return entry->record.tag == (__u16)(word >> SIPDAM_KNOWN_TAG_SHIFT) &&
	       is_of_policy(&entry->record, policy);
}

struct known_count known_count(const struct known *known, __u64 now)
{
	struct known_count count = {};

	for (size_t place = 0; place < table_places(&known->table, now); place++) {
		__u64 word = table_word(table_word_at(&known->table, place));

		if (table_end(word) <= now)
			continue;
		count.trusted += is_trusted(word);
		count.peers += !is_trusted(word);
	}
	return count;
}

void known_end_others(struct known *known, const struct sipdam_policy *policy, __u64 now)
{
	for (size_t place = 0; place < table_places(&known->table, now); place++) {
		__u64 before = table_word(table_word_at(&known->table, place));
		const struct sipdam_known *record = &known->table.record.known[place];

		if (before && record->tag == (__u16)(before >> SIPDAM_KNOWN_TAG_SHIFT) &&
		    !is_of_policy(record, policy))
			table_exchange(table_word_at(&known->table, place), before, 0);
	}
}

static int compare_entries(const void *left, const void *right)
{
	const struct known_entry *a = left, *b = right;

	return memcmp(a->source.address, b->source.address, sizeof(a->source.address));
}

int known_list(const struct known *known, const struct sipdam_policy *policy, __u64 now,
	       struct known_entries *entries)
{
	struct known_entries list = {};
	struct known_entry entry;
	size_t room = 0;

	for (size_t place = 0; place < table_places(&known->table, now); place++) {
		if (!read_place(known, policy, place, now, &entry))
			continue;
		if (list.count == room) {
			struct known_entry *grown;

			room = room ? 2 * room : 64;
			grown = reallocarray(list.entry, room, sizeof(*grown));
			if (!grown) {
				known_entries_free(&list);
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

/* As in bpf/calls.h. */
int known_calls(const struct known_entry *entry)
{
	__u64 calls = entry->record.calls;
	int count = 0;

	if (entry->trusted || entry->record.cause != SIPDAM_KNOWN_CALL || !~calls)
		return -1;
	for (; calls; calls >>= 16)
		count += !!(calls & 0xffff);
	return count;
}

void known_entries_free(struct known_entries *entries)
{
	free(entries->entry);
	memset(entries, 0, sizeof(*entries));
}
