/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See indexer.h. */
#include "indexer.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Eleven of the sixteen places of a line of single4 on average: one in a hundred finds its line full. */
#define SINGLE4_LOAD 11

/* Of the places in narrow and wide seven in ten are taken: then nearly every entry is in its first line. */
#define TABLE_LOAD(lines_times_ways) ((lines_times_ways)*10 / 7)

/* Moves of one entry for another before a table counts as full; at this load a few are enough. */
#define MOVES_MAX 500

/* Different ends of entries that are told apart to find the commonest. */
#define ENDS_MAX 64

#define GATE6_LINES_MAX 32768

void indexer_free(struct index_plan *plan)
{
	free(plan->ipv4.item);
	free(plan->ipv6.item);
	plan->ipv4 = plan->ipv6 = (struct index_items){};
}

/* ---- from records to items ---- */

static __u32 until_of(__u64 expires)
{
	__u64 units = (expires >> SIPDAM_UNTIL_SHIFT) + !!(expires & ((1ULL << SIPDAM_UNTIL_SHIFT) - 1));

	return !expires || units >= SIPDAM_UNTIL_NEVER ? SIPDAM_UNTIL_NEVER : units;
}

static struct index_item item_of(const struct sipdam_entry *entry)
{
	struct index_item item = {.bits = entry->prefix.bits, .until = until_of(entry->expires)};
	__u64 word[2];

	memcpy(word, entry->prefix.address, sizeof(word));
	item.high = be64toh(word[0]);
	item.low = be64toh(word[1]);
	if (prefix_is_ipv4(&entry->prefix)) {
		item.high = item.low << 32;
		item.low = 0;
		item.bits -= 96;
	}
	return item;
}

static bool item_holds(const struct index_item *a, const struct index_item *b)
{
	__u32 high = a->bits < 64 ? a->bits : 64;

	return a->bits <= b->bits && !sipdam_first_bits(a->high ^ b->high, high) &&
	       !sipdam_first_bits(a->low ^ b->low, a->bits - high);
}

/* The prefixes around the one that comes next in order, the shortest first. */
struct nest {
	struct index_item item[129];
	int depth;
};

/* Appends an item unless a shorter one around it lasts as long. */
static void items_add(struct index_items *items, struct nest *nest, struct index_item item)
{
	while (nest->depth && !item_holds(&nest->item[nest->depth - 1], &item))
		nest->depth--;
	if (nest->depth && nest->item[nest->depth - 1].until >= item.until)
		return;
	/* Records of one prefix follow one another by their ends. */
	if (nest->depth && nest->item[nest->depth - 1].bits == item.bits) {
		nest->item[nest->depth - 1] = item;
		items->item[items->count - 1] = item;
		return;
	}
	nest->item[nest->depth++] = item;
	items->item[items->count++] = item;
}

static int collect(struct index_plan *plan, const struct book *book, __u64 now)
{
	struct nest nest4 = {.depth = 0}, nest6 = {.depth = 0};

	plan->ipv4.item = calloc(book->count + 1, sizeof(*plan->ipv4.item));
	plan->ipv6.item = calloc(book->count + 1, sizeof(*plan->ipv6.item));
	if (!plan->ipv4.item || !plan->ipv6.item)
		return -ENOMEM;
	for (size_t i = 0; i < book->count; i++) {
		const struct sipdam_entry *entry = &book->entry[i];

		if (entry->expires && entry->expires <= now)
			continue;
		if (prefix_is_ipv4(&entry->prefix))
			items_add(&plan->ipv4, &nest4, item_of(entry));
		else
			items_add(&plan->ipv6, &nest6, item_of(entry));
	}
	return 0;
}

/* ---- ends ---- */

struct ends {
	__u32 until[ENDS_MAX];
	size_t times[ENDS_MAX];
	size_t count;
};

static void ends_count(struct ends *ends, __u32 until)
{
	size_t i = 0;

	while (i < ends->count && ends->until[i] != until)
		i++;
	if (i == ENDS_MAX)
		return;
	ends->until[i] = until;
	ends->times[i]++;
	ends->count += i == ends->count;
}

/* The commonest end; 0 if there is none. passing: of those that come at all, never left aside. */
static __u32 ends_commonest(const struct ends *ends, bool passing, size_t *times)
{
	__u32 until = 0;

	*times = 0;
	for (size_t i = 0; i < ends->count; i++) {
		if (ends->times[i] <= *times || (passing && ends->until[i] == SIPDAM_UNTIL_NEVER))
			continue;
		*times = ends->times[i];
		until = ends->until[i];
	}
	return until;
}

/* ---- plan of IPv4 ---- */

static __u32 ipv4_of(const struct index_item *item)
{
	return item->high >> 32;
}

static bool is_solid(const struct sipdam_index *index, const struct index_item *item)
{
	return index->solid_until && item->bits <= 32 - index->gate4_shift &&
	       item->until >= index->solid_until;
}

/* 0.0.0.0 is what a free place looks like. */
static bool is_single4(const struct sipdam_index *index, const struct index_item *item)
{
	return item->bits == 32 && item->until == index->single4_until && ipv4_of(item);
}

/*
 * A bit for each /16, /20 or /24: as coarse as may be while entries longer than that set no more than one
 * bit in sixteen. Coarse ones are small: 8 KiB, 128 KiB, 2 MiB.
 */
static __u32 gate4_shift(const struct index_items *items)
{
	size_t beyond16 = 0, beyond20 = 0;

	for (size_t i = 0; i < items->count; i++) {
		beyond16 += items->item[i].bits > 16;
		beyond20 += items->item[i].bits > 20;
	}
	if (beyond16 <= 1 << 12)
		return 16;
	return beyond20 <= 1 << 16 ? 12 : 8;
}

/*
 * One end for the whole section: of prefixes that pass, the commonest if that is a good part of them.
 * Those that pass sooner are looked for by length.
 */
static void choose_ends4(struct sipdam_index *index, const struct index_items *items)
{
	struct ends singles = {.count = 0}, prefixes = {.count = 0};
	size_t most, passing;
	__u32 until;

	for (size_t i = 0; i < items->count; i++) {
		const struct index_item *item = &items->item[i];

		if (item->bits == 32)
			ends_count(&singles, item->until);
		else if (item->bits <= 32 - index->gate4_shift)
			ends_count(&prefixes, item->until);
	}
	index->single4_until = ends_commonest(&singles, false, &most);
	index->solid_until = ends_commonest(&prefixes, false, &most);
	until = ends_commonest(&prefixes, true, &passing);
	if (passing >= most / 8)
		index->solid_until = passing ? until : index->solid_until;
}

/* A few to spare: in a table of two lines entries that have one line for both are many. */
static __u32 lines_for(size_t entries, size_t ways)
{
	return entries ? TABLE_LOAD(entries) / ways + 4 : 0;
}

static __u32 single4_line(const struct sipdam_index *index, __u32 address)
{
	return sipdam_line_of(sipdam_mix(address ^ index->seed), index->single4_lines);
}

/* Whether there is room in the line of a single address; used counts the places taken. */
static bool single4_takes(const struct sipdam_index *index, const struct index_item *item, __u8 *used)
{
	__u32 line;

	if (!is_single4(index, item))
		return false;
	line = single4_line(index, ipv4_of(item));
	if (used[line] == SIPDAM_SINGLE_WAYS)
		return false;
	used[line]++;
	return true;
}

/* Which lengths must be looked for, those that the solid section does not tell first, long ones before
 * short ones. */
static void list_lengths4(struct sipdam_index *index, const bool open[33], const bool solid[33])
{
	for (int bits = 32; bits >= 0; bits--)
		if (open[bits])
			index->length4[index->lengths4++] = bits;
	index->open4 = index->lengths4;
	for (int bits = 32; bits >= 0; bits--)
		if (solid[bits] && !open[bits])
			index->length4[index->lengths4++] = bits;
}

/* Returns how many IPv4 entries go into narrow, or -ENOMEM. */
static long plan_narrow4(struct sipdam_index *index, const struct index_items *items)
{
	bool open[33] = {false}, solid[33] = {false};
	__u8 *used = calloc(index->single4_lines + 1, 1);
	long narrow = 0;

	if (!used)
		return -ENOMEM;
	for (size_t i = 0; i < items->count; i++) {
		const struct index_item *item = &items->item[i];

		if (single4_takes(index, item, used))
			continue;
		*(is_solid(index, item) ? &solid[item->bits] : &open[item->bits]) = true;
		narrow++;
	}
	free(used);
	list_lengths4(index, open, solid);
	return narrow;
}

static long plan_ipv4(struct index_plan *plan)
{
	struct sipdam_index *index = &plan->index;
	size_t singles = 0;
	__u32 gate;

	if (!plan->ipv4.count)
		return 0;
	index->gate4_shift = gate4_shift(&plan->ipv4);
	choose_ends4(index, &plan->ipv4);
	gate = (1u << (32 - index->gate4_shift)) / SIPDAM_LINE_BITS;
	index->gate4 = plan->lines;
	plan->lines += gate;
	index->solid4 = plan->lines;
	plan->lines += index->solid_until ? gate : 0;
	for (size_t i = 0; i < plan->ipv4.count; i++)
		singles += is_single4(index, &plan->ipv4.item[i]);
	index->single4 = plan->lines;
	index->single4_lines = singles ? singles / SINGLE4_LOAD + 1 : 0;
	plan->lines += index->single4_lines;
	return plan_narrow4(index, &plan->ipv4);
}

/* ---- plan of IPv6 ---- */

static __u32 power_of_two(size_t least)
{
	__u32 power = 1;

	while (power < least && power < GATE6_LINES_MAX)
		power *= 2;
	return power;
}

/* Sixteen bits an entry. Returns how many IPv6 entries go into narrow; *wide: how many into wide. */
static long plan_ipv6(struct index_plan *plan, size_t *wide)
{
	struct sipdam_index *index = &plan->index;
	bool present[129] = {false};
	long narrow = 0;

	for (size_t i = 0; i < plan->ipv6.count; i++) {
		const struct index_item *item = &plan->ipv6.item[i];

		if (!item->bits) {
			index->all6_until = item->until;
			continue;
		}
		present[item->bits] = true;
		*wide += item->bits > 64;
		narrow += item->bits <= 64;
	}
	for (int bits = 128; bits; bits--)
		if (present[bits])
			index->length6[index->lengths6++] = bits;
	if (!index->lengths6)
		return 0;
	index->gate6 = plan->lines;
	index->gate6_lines = power_of_two(plan->ipv6.count / 32);
	plan->lines += index->gate6_lines;
	return narrow;
}

int indexer_plan(struct index_plan *plan, const struct book *book, __u64 now, __u64 seed)
{
	struct sipdam_index *index = &plan->index;
	size_t wide = 0, prefixes;
	long narrow4, narrow6;
	int error;

	*plan = (struct index_plan){.index.seed = seed};
	prefixes = book_prefixes(book, now, &index->first_end);
	if (prefixes > SIPDAM_LIST_ENTRIES_MAX)
		return -ENOSPC;
	error = collect(plan, book, now);
	if (error) {
		indexer_free(plan);
		return error;
	}
	narrow4 = plan_ipv4(plan);
	narrow6 = plan_ipv6(plan, &wide);
	if (narrow4 < 0) {
		indexer_free(plan);
		return narrow4;
	}
	index->narrow = plan->lines;
	index->narrow_lines = lines_for(narrow4 + narrow6, SIPDAM_NARROW_WAYS);
	plan->lines += index->narrow_lines;
	index->wide = plan->lines;
	index->wide_lines = lines_for(wide, SIPDAM_WIDE_WAYS);
	plan->lines += index->wide_lines;
	return 0;
}

/* ---- lines ---- */

static void set_bits(struct sipdam_line *plane, __u32 first, __u32 count)
{
	__u64 *word = plane->word;

	for (; count && first & 63; first++, count--)
		word[first / 64] |= 1ULL << (first & 63);
	for (; count >= 64; first += 64, count -= 64)
		word[first / 64] = ~0ULL;
	for (; count; first++, count--)
		word[first / 64] |= 1ULL << (first & 63);
}

static void fill_planes4(const struct sipdam_index *index, const struct index_item *item,
			 struct sipdam_line *lines)
{
	__u32 first = ipv4_of(item) >> index->gate4_shift, unit = 32 - index->gate4_shift;
	__u32 count = item->bits < unit ? 1u << (unit - item->bits) : 1;

	set_bits(lines + index->gate4, first, count);
	if (is_solid(index, item))
		set_bits(lines + index->solid4, first, count);
}

/* What moves from line to line until it finds a place. */
struct narrow_entry {
	__u64 key, what;
};

struct wide_entry {
	__u64 high, low;
	__u32 until, bits;
};

/* A table while it fills: where its entries move is drawn from here. */
struct table {
	struct sipdam_line *line;
	__u32 lines;
	__u64 seed, draw;
};

static __u64 table_draw(struct table *table)
{
	return sipdam_mix(table->draw += SIPDAM_MIX_1) >> 32;
}

static __u64 narrow_hash(const struct table *table, const struct narrow_entry *entry)
{
	return sipdam_narrow_hash(table->seed, entry->key, entry->what >> 32 & 0xff);
}

static bool narrow_put(struct sipdam_narrow *line, const struct narrow_entry *entry)
{
	for (int way = 0; way < SIPDAM_NARROW_WAYS; way++) {
		if (line->what[way] & ~SIPDAM_NARROW_SPILLED)
			continue;
		line->key[way] = entry->key;
		line->what[way] |= entry->what;
		return true;
	}
	return false;
}

/* Puts an entry into a full line in place of another, which it then is. */
static void narrow_exchange(struct sipdam_narrow *line, int way, struct narrow_entry *entry)
{
	struct narrow_entry out = {line->key[way], line->what[way] & ~SIPDAM_NARROW_SPILLED};

	line->key[way] = entry->key;
	line->what[way] = entry->what | (line->what[way] & SIPDAM_NARROW_SPILLED);
	*entry = out;
}

static int narrow_add(struct table *table, struct narrow_entry entry)
{
	for (int moves = 0; moves < MOVES_MAX; moves++) {
		__u64 hash = narrow_hash(table, &entry);
		struct sipdam_line *first = table->line + sipdam_line_of(hash, table->lines);
		struct sipdam_line *second =
			table->line + sipdam_line_of(sipdam_second_hash(hash), table->lines);
		__u64 drawn;

		if (narrow_put((void *)first, &entry))
			return 0;
		((struct sipdam_narrow *)first)->what[0] |= SIPDAM_NARROW_SPILLED;
		if (narrow_put((void *)second, &entry))
			return 0;
		drawn = table_draw(table);
		narrow_exchange((void *)(drawn & 1 ? first : second), drawn / 2 % SIPDAM_NARROW_WAYS, &entry);
	}
	return -EAGAIN;
}

static bool wide_put(struct sipdam_wide *line, const struct wide_entry *entry)
{
	for (int way = 0; way < SIPDAM_WIDE_WAYS; way++) {
		if (line->bits[way])
			continue;
		line->high[way] = entry->high;
		line->low[way] = entry->low;
		line->until[way] = entry->until;
		line->bits[way] = entry->bits;
		return true;
	}
	return false;
}

static void wide_exchange(struct sipdam_wide *line, int way, struct wide_entry *entry)
{
	struct wide_entry out = {line->high[way], line->low[way], line->until[way], line->bits[way]};

	line->bits[way] = 0;
	wide_put(line, entry);
	*entry = out;
}

static int wide_add(struct table *table, struct wide_entry entry)
{
	for (int moves = 0; moves < MOVES_MAX; moves++) {
		__u64 hash = sipdam_wide_hash(table->seed, entry.high, entry.low, entry.bits);
		struct sipdam_line *first = table->line + sipdam_line_of(hash, table->lines);
		struct sipdam_line *second =
			table->line + sipdam_line_of(sipdam_second_hash(hash), table->lines);
		__u64 drawn;

		if (wide_put((void *)first, &entry))
			return 0;
		((struct sipdam_wide *)first)->spilled = 1;
		if (wide_put((void *)second, &entry))
			return 0;
		drawn = table_draw(table);
		wide_exchange((void *)(drawn & 1 ? first : second), drawn / 2 % SIPDAM_WIDE_WAYS, &entry);
	}
	return -EAGAIN;
}

static struct narrow_entry narrow_of(__u64 key, __u32 tag, __u32 until)
{
	return (struct narrow_entry){.key = key, .what = (__u64)tag << 32 | until};
}

/* Single addresses go into the place that planning counted for them. */
static void single4_put(const struct sipdam_index *index, const struct index_item *item,
			struct sipdam_line *lines)
{
	__u32 address = ipv4_of(item);
	__u32 *place = (__u32 *)lines[index->single4 + single4_line(index, address)].word;

	while (*place)
		place++;
	*place = address;
}

static int fill_ipv4(const struct index_plan *plan, struct table *narrow, struct sipdam_line *lines)
{
	const struct sipdam_index *index = &plan->index;
	__u8 *used = calloc(index->single4_lines + 1, 1);
	int error = used ? 0 : -ENOMEM;

	for (size_t i = 0; !error && i < plan->ipv4.count; i++) {
		const struct index_item *item = &plan->ipv4.item[i];

		fill_planes4(index, item, lines);
		if (single4_takes(index, item, used))
			single4_put(index, item, lines);
		else
			error = narrow_add(
				narrow, narrow_of(ipv4_of(item), SIPDAM_TAG_IPV4(item->bits), item->until));
	}
	free(used);
	return error;
}

static void fill_gate6(const struct sipdam_index *index, const struct index_item *item,
		       struct sipdam_line *lines)
{
	__u32 line = sipdam_gate6_hash(index->seed, item->high) >> 32 & (index->gate6_lines - 1);
	__u32 bit = sipdam_gate6_bit(item->high, item->bits);

	if (item->bits >= SIPDAM_GATE6_BITS_MIN)
		lines[index->gate6 + line].word[bit / 64] |= 1ULL << (bit & 63);
}

static int fill_ipv6(const struct index_plan *plan, struct table *narrow, struct table *wide,
		     struct sipdam_line *lines)
{
	int error = 0;

	for (size_t i = 0; !error && i < plan->ipv6.count; i++) {
		const struct index_item *item = &plan->ipv6.item[i];

		if (!item->bits)
			continue;
		fill_gate6(&plan->index, item, lines);
		if (item->bits <= 64)
			error = narrow_add(narrow,
					   narrow_of(item->high, SIPDAM_TAG_IPV6(item->bits), item->until));
		else
			error = wide_add(wide,
					 (struct wide_entry){item->high, item->low, item->until, item->bits});
	}
	return error;
}

int indexer_fill(const struct index_plan *plan, struct sipdam_line *lines)
{
	const struct sipdam_index *index = &plan->index;
	struct table narrow = {
		.line = lines + index->narrow, .lines = index->narrow_lines, .seed = index->seed};
	struct table wide = {.line = lines + index->wide, .lines = index->wide_lines, .seed = index->seed};
	int error = fill_ipv4(plan, &narrow, lines);

	return error ? error : fill_ipv6(plan, &narrow, &wide, lines);
}
