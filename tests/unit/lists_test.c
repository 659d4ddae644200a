// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Lists: the book that the tool keeps, and the lines that the program searches, against plain loops over
 * all entries. The lines lie in a buffer of their exact size.
 */
// uses: user/book.c user/indexer.c user/address.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "indexer.h"
#pragma GCC diagnostic ignored "-Wunknown-pragmas"
#include "search.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define UNIT        (1ULL << SIPDAM_UNTIL_SHIFT)
#define NOW         (1000 * UNIT)

/* ---- a list as the program sees it ---- */

static struct sipdam_line *lines;
static size_t lines_count;
static unsigned int lines_read;

static __always_inline const struct sipdam_line *index_line(const struct sipdam_index *index, __u32 number)
{
	(void)index;
	assert_true(number < lines_count);
	lines_read++;
	return &lines[number];
}

static struct sipdam_index build(const struct book *book, __u64 now, __u64 seed)
{
	struct index_plan plan;
	struct sipdam_index index;
	int error = -EAGAIN;

	for (int tries = 0; error == -EAGAIN && tries < 3; tries++) {
		assert_int_equal(indexer_plan(&plan, book, now, seed + tries), 0);
		free(lines);
		lines_count = plan.lines;
		lines = aligned_alloc(64, (plan.lines + !plan.lines) * sizeof(*lines));
		memset(lines, 0, plan.lines * sizeof(*lines));
		error = indexer_fill(&plan, lines);
		index = plan.index;
		indexer_free(&plan);
	}
	assert_int_equal(error, 0);
	return index;
}

/* As list_has() of the program. */
static bool search(const struct sipdam_index *index, const struct packet_address *address, __u64 now)
{
	__u32 unit = now >> SIPDAM_UNTIL_SHIFT;

	lines_read = 0;
	if (!is_mapped(address))
		return index_has_ipv6(index, address, unit);
	if (!index_gate4(index, index_ipv4(address)))
		return false;
	return index_has_single4(index, index_ipv4(address), unit) ||
	       (index_has_prefixes4(index) && index_has_ipv4(index, index_ipv4(address), unit));
}

/* ---- the plain way ---- */

static bool bit_of(const __u8 *bytes, __u32 bit)
{
	return bytes[bit / 8] >> (7 - bit % 8) & 1;
}

static bool lies_in(const struct packet_address *address, const struct sipdam_prefix *prefix)
{
	const __u8 *bytes = (const __u8 *)address;

	if (is_mapped(address) && prefix->bits < 96)
		return false;
	for (__u32 bit = 0; bit < prefix->bits; bit++)
		if (bit_of(bytes, bit) != bit_of(prefix->address, bit))
			return false;
	return true;
}

/* An entry lasts to the end of the unit that its time lies in. */
static bool plain_search(const struct book *book, const struct packet_address *address, __u64 now)
{
	for (size_t i = 0; i < book->count; i++) {
		__u64 expires = book->entry[i].expires;

		if (lies_in(address, &book->entry[i].prefix) &&
		    (!expires || now / UNIT < (expires + UNIT - 1) / UNIT))
			return true;
	}
	return false;
}

/* ---- random lists ---- */

static __u64 state_of_draw;

static __u64 draw(void)
{
	state_of_draw = state_of_draw * 6364136223846793005ULL + 1442695040888963407ULL;
	return state_of_draw >> 29 ^ state_of_draw >> 61;
}

static struct sipdam_prefix make_prefix(const struct packet_address *address, __u32 bits)
{
	struct sipdam_prefix prefix = {.bits = bits};
	__u8 *bytes = prefix.address;

	memcpy(bytes, address, 16);
	for (__u32 bit = bits; bit < 128; bit++)
		bytes[bit / 8] &= ~(0x80 >> bit % 8);
	return prefix;
}

/* Few different networks, so that prefixes nest and addresses meet them. */
static struct packet_address draw_address(bool ipv6, __u32 spread)
{
	__u64 word = draw();

	if (!ipv6)
		return address_of_ipv4(__builtin_bswap32((draw() % spread) << 24 | (word & 0x010701ff)));
	return (struct packet_address){
		.high = __builtin_bswap64(0x2001000000000000ULL | (draw() % spread) << 40 |
					  (word & 0x01010003ULL)),
		.low = __builtin_bswap64(draw() & 0x8000000000010007ULL),
	};
}

static __u32 draw_bits(bool ipv6)
{
	if (draw() % 3 == 0)
		return 128;
	if (ipv6 && draw() % 32 == 0)
		return 0;
	if (!ipv6)
		return 96 + draw() % 33;
	return draw() % 2 ? draw() % 129 : 32 + draw() % 33;
}

/* Of four entries so many last for ever; the others end within so many units. */
static __u32 lasting = 2, ends = 8;

static __u64 draw_end(void)
{
	return draw() % 4 < lasting ? 0 : NOW + 1 + draw() % (ends * UNIT);
}

/* Puts one prefix into a book. */
static void put(struct book *book, const struct sipdam_prefix *prefix, __u32 origin, __u64 expires)
{
	struct prefix_set set = {};
	struct book_change change = {.origin = origin, .expires = expires, .prefixes = &set};
	struct book after;

	assert_int_equal(prefix_set_add(&set, prefix), 0);
	assert_int_equal(book_apply(book, &change, NOW, &after), 0);
	prefix_set_free(&set);
	book_free(book);
	*book = after;
}

static struct book draw_book(int entries, int families, __u32 spread)
{
	struct book book = {};

	for (int i = 0; i < entries; i++) {
		bool ipv6 = families == 2 || (families == 3 && draw() % 2);
		struct packet_address address = draw_address(ipv6, spread);
		struct sipdam_prefix prefix = make_prefix(&address, draw_bits(ipv6));

		/* Short ones would hold everything. */
		if (prefix.bits && prefix.bits < (ipv6 ? 20 : 104) && draw() % 8)
			continue;
		put(&book, &prefix, SIPDAM_ENTRY_MANUAL, draw_end());
	}
	return book;
}

/* Any address, or that of an entry, or the one beside it. */
static struct packet_address draw_near(const struct book *book, __u32 spread)
{
	struct packet_address address = draw_address(draw() % 2, spread);

	if (!book->count || draw() % 2)
		return address;
	memcpy(&address, book->entry[draw() % book->count].prefix.address, sizeof(address));
	if (draw() % 2)
		address.low ^= 1ULL << 56;
	return address;
}

static void test_search_agrees_with_a_plain_one(void **state)
{
	int listed = 0, searched = 0;

	(void)state;
	for (int round = 0; round < 400; round++) {
		int families = 1 + round % 3;
		struct book book;
		struct sipdam_index index;

		lasting = round / 3 % 4;
		ends = 1 + round % 8;
		book = draw_book(round % 60, families, 2 + round % 40);
		index = build(&book, NOW, draw());
		for (int i = 0; i < 200; i++) {
			struct packet_address address = draw_near(&book, 2 + round % 40);
			__u64 now = NOW + draw() % (10 * UNIT);
			bool expected = plain_search(&book, &address, now);

			if (search(&index, &address, now) != expected)
				fail_msg("round %d, %016llx %016llx at %llu: expected %d", round,
					 (unsigned long long)__builtin_bswap64(address.high),
					 (unsigned long long)__builtin_bswap64(address.low),
					 (unsigned long long)now, expected);
			listed += expected;
			searched++;
		}
		book_free(&book);
	}
	assert_in_range(listed, searched / 10, searched * 9 / 10); /* both answers were seen */
}

/* Large lists of each granularity of the gate, of singles and prefixes: all that is in them is found. */
static void check_large(size_t entries, bool ipv6, __u32 bits, size_t most_lines)
{
	struct prefix_set set = {};
	struct book none = {}, book;
	struct book_change change = {.origin = SIPDAM_ENTRY_FEED(0), .prefixes = &set};
	struct sipdam_index index;

	state_of_draw = 7;
	for (size_t i = 0; i < entries; i++) {
		struct packet_address address = {.high = draw() << 31 ^ draw(), .low = draw() << 31 ^ draw()};
		struct sipdam_prefix prefix;

		if (!ipv6)
			address = address_of_ipv4(draw());
		prefix = make_prefix(&address, bits);
		assert_int_equal(prefix_set_add(&set, &prefix), 0);
	}
	assert_int_equal(book_apply(&none, &change, NOW, &book), 0);
	index = build(&book, NOW, 42);
	assert_in_range(lines_count, 1, most_lines);
	for (size_t i = 0; i < entries; i++) {
		struct packet_address address;

		memcpy(&address, set.prefix[i].address, sizeof(address));
		address.low |= (__u64)(bits < 128) << 56; /* the last bit: not the prefix's own address */
		if (!search(&index, &address, NOW))
			fail_msg("entry %zu of %zu is not found", i, entries);
		/* Of a list of one length never more: gate, solid or single, two of a table. */
		assert_in_range(lines_read, 1, 5);
	}
	book_free(&book);
	prefix_set_free(&set);
}

static void test_large_lists(void **state)
{
	(void)state;
	check_large(4000, false, 128, 1000);
	check_large(50000, false, 128, 10000);
	/* The target: 6 MB of addresses and a gate of 2. */
	check_large(300000, false, 128, 32768 + 300000 / 10);
	check_large(100000, false, 96 + 24, 65536 + 100000 / 2);
	check_large(100000, true, 128, 4096 + 100000 / 2);
	check_large(100000, true, 64, 4096 + 100000 / 2);
	check_large(1000, true, 20, 1000);
}

/* What is not in a large list costs one line, nearly always. */
static void test_strangers_end_at_the_gate(void **state)
{
	int further = 0, strangers = 20000;
	struct packet_address address;
	struct sipdam_index index;
	struct book book = {};

	(void)state;
	state_of_draw = 11;
	for (__u32 i = 0; i < 100000; i++) {
		struct packet_address of = address_of_ipv4(__builtin_bswap32(i * 42949 + 1));
		struct sipdam_prefix prefix = make_prefix(&of, 128);

		assert_int_equal(book_append(&book, &prefix, SIPDAM_ENTRY_MANUAL, 0), 0);
	}
	index = build(&book, NOW, 42);
	for (int i = 0; i < strangers; i++) {
		address = address_of_ipv4(draw());
		search(&index, &address, NOW);
		further += lines_read > 1;
	}
	assert_in_range(further, 1, strangers / 10);
	/* A family that the list does not have costs none. */
	address = draw_address(true, 9);
	assert_false(search(&index, &address, NOW));
	assert_int_equal(lines_read, 0);
	book_free(&book);
}

static void test_too_many_entries(void **state)
{
	struct index_plan plan = {};
	struct book book = {};

	(void)state;
	for (__u32 i = 0; i <= SIPDAM_LIST_ENTRIES_MAX; i++) {
		struct packet_address of = address_of_ipv4(__builtin_bswap32(i + 1));
		struct sipdam_prefix prefix = {.bits = 128};

		memcpy(prefix.address, &of, 16);
		assert_int_equal(book_append(&book, &prefix, SIPDAM_ENTRY_MANUAL, 0), 0);
	}
	assert_int_equal(indexer_plan(&plan, &book, NOW, 1), -ENOSPC);
	book.count--;
	assert_int_equal(indexer_plan(&plan, &book, NOW, 1), 0);
	assert_true(plan.lines <= (size_t)SIPDAM_PIECES_MAX * SIPDAM_PIECE_LINES);
	indexer_free(&plan);
	/* Whatever they are, they fit: the widest kind. */
	for (size_t i = 0; i < book.count; i++)
		book.entry[i].prefix.address[0] = 0x20;
	assert_int_equal(indexer_plan(&plan, &book, NOW, 1), 0);
	assert_true(plan.lines <= (size_t)SIPDAM_PIECES_MAX * SIPDAM_PIECE_LINES);
	indexer_free(&plan);
	book_free(&book);
}

/* ---- the book ---- */

static struct sipdam_prefix prefix_of(const char *text)
{
	struct sipdam_prefix prefix;

	assert_int_equal(address_parse_prefix(text, &prefix), 0);
	return prefix;
}

static void put_text(struct book *book, const char *text, __u32 origin, __u64 expires)
{
	struct sipdam_prefix prefix = prefix_of(text);

	put(book, &prefix, origin, expires);
}

static void assert_record(const struct book *book, size_t at, const char *text, __u32 origins, __u64 expires)
{
	struct sipdam_prefix prefix = prefix_of(text);

	assert_true(at < book->count);
	assert_memory_equal(&book->entry[at].prefix, &prefix, sizeof(prefix));
	assert_int_equal(book->entry[at].origins, origins);
	assert_int_equal(book->entry[at].expires, expires);
}

static void test_origins_and_ends(void **state)
{
	const __u32 config = SIPDAM_ENTRY_CONFIG, manual = SIPDAM_ENTRY_MANUAL, feed = SIPDAM_ENTRY_FEED(3);
	struct book_change reload = {.replaced = config, .origin = config};
	struct book book = {}, after;

	(void)state;
	put_text(&book, "192.0.2.1", manual, NOW + 50);
	put_text(&book, "192.0.2.1", manual, NOW + 20); /* the later end counts */
	assert_int_equal(book.count, 1);
	assert_record(&book, 0, "192.0.2.1", manual, NOW + 50);
	put_text(&book, "192.0.2.1", manual, 0);
	assert_record(&book, 0, "192.0.2.1", manual, 0);
	put_text(&book, "192.0.2.1", feed, NOW + 30);
	put_text(&book, "192.0.2.1", config, 0);
	put_text(&book, "192.0.2.0/24", feed, NOW + 30);
	assert_int_equal(book.count, 3);
	assert_record(&book, 0, "192.0.2.0/24", feed, NOW + 30);
	assert_record(&book, 1, "192.0.2.1", feed, NOW + 30);
	assert_record(&book, 2, "192.0.2.1", config | manual, 0);

	/* A reload without it leaves the others, each with its own end. */
	assert_int_equal(book_apply(&book, &reload, NOW, &after), 0);
	assert_record(&after, 2, "192.0.2.1", manual, 0);
	book_free(&after);
	/* What has expired is swept by the next change. */
	assert_int_equal(book_apply(&book, &reload, NOW + 30, &after), 0);
	assert_int_equal(after.count, 1);
	assert_record(&after, 0, "192.0.2.1", manual, 0);
	book_free(&after);
	assert_int_equal(book_apply(&book, &reload, NOW + 29, &after), 0);
	assert_int_equal(after.count, 3);
	book_free(&after);
	book_free(&book);
}

static void test_import_replaces_its_feed(void **state)
{
	const __u32 one = SIPDAM_ENTRY_FEED(0), two = SIPDAM_ENTRY_FEED(1);
	struct prefix_set set = {};
	struct book_change import = {.replaced = one, .origin = one, .expires = NOW + 9, .prefixes = &set};
	struct sipdam_prefix prefix;
	struct book book = {}, after;

	(void)state;
	put_text(&book, "192.0.2.1", one, 0);
	put_text(&book, "192.0.2.2", one, 0);
	put_text(&book, "192.0.2.2", two, 0);
	for (int i = 3; i > 0; i--) {
		char text[] = "192.0.2.0";

		text[8] = '0' + (i % 3 + 2); /* out of order, one twice */
		prefix = prefix_of(text);
		assert_int_equal(prefix_set_add(&set, &prefix), 0);
		assert_int_equal(prefix_set_add(&set, &prefix), 0);
	}
	assert_int_equal(book_apply(&book, &import, NOW, &after), 0);
	assert_int_equal(after.count, 4);
	assert_record(&after, 0, "192.0.2.2", one, NOW + 9); /* not for ever any more */
	assert_record(&after, 1, "192.0.2.2", two, 0);
	assert_record(&after, 2, "192.0.2.3", one, NOW + 9);
	assert_record(&after, 3, "192.0.2.4", one, NOW + 9);
	prefix_set_free(&set);
	book_free(&after);
	book_free(&book);
}

/* Is an address listed at a time, by the lines of a book? */
static bool is_listed(const struct book *book, const char *text, __u64 now)
{
	struct sipdam_prefix prefix = prefix_of(text);
	struct sipdam_index index = build(book, NOW, 42);
	struct packet_address address;

	memcpy(&address, prefix.address, sizeof(address));
	return search(&index, &address, now);
}

/* A prefix in two feeds, one with an end: it has that end once the other feed is flushed, and none before. */
static void test_a_flushed_feed_leaves_the_end_of_the_other(void **state)
{
	const __u64 hours = 7200000000000ULL, late = NOW + hours + UNIT;
	struct book_change flush = {};

	(void)state;
	for (int first = 0; first < 2; first++) {
		struct book book = {}, after;

		for (int n = 0; n < 2; n++) {
			int feed = n ^ first;

			put_text(&book, "192.0.2.1", SIPDAM_ENTRY_FEED(feed), feed ? NOW + hours : 0);
		}
		assert_true(is_listed(&book, "192.0.2.1", late));
		flush.replaced = SIPDAM_ENTRY_FEED(0);
		assert_int_equal(book_apply(&book, &flush, NOW, &after), 0);
		assert_int_equal(after.count, 1);
		assert_record(&after, 0, "192.0.2.1", SIPDAM_ENTRY_FEED(1), NOW + hours);
		assert_true(is_listed(&after, "192.0.2.1", NOW + hours - 1));
		assert_false(is_listed(&after, "192.0.2.1", late));
		book_free(&after);
		flush.replaced = SIPDAM_ENTRY_FEED(1);
		assert_int_equal(book_apply(&book, &flush, NOW, &after), 0);
		assert_true(is_listed(&after, "192.0.2.1", late));
		book_free(&after);
		book_free(&book);
	}
}

static void test_what_holds_a_prefix(void **state)
{
	static const struct {
		const char *text;
		bool held;
	} rows[] = {
		{"192.0.2.1", true},     {"192.0.2.0/24", true},  {"192.0.2.0/23", false},
		{"192.0.3.1", false},    {"198.51.100.7", true},  {"198.51.100.6", false},
		{"2001:db8::1", true},   {"2001:db8::/32", true}, {"2001:db8::/31", false},
		{"2001:db9::1", false},  {"203.0.113.1", false},  {"::ffff:0:0/96", false},
		{"2001:db8::/64", true},
	};
	struct book book = {};

	(void)state;
	put_text(&book, "192.0.2.0/24", SIPDAM_ENTRY_MANUAL, 0);
	put_text(&book, "198.51.100.7", SIPDAM_ENTRY_MANUAL, NOW + 1);
	put_text(&book, "203.0.113.1", SIPDAM_ENTRY_MANUAL, NOW);
	put_text(&book, "2001:db8::/32", SIPDAM_ENTRY_MANUAL, 0);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct sipdam_prefix prefix = prefix_of(rows[i].text);

		if (book_holds(&book, &prefix, NOW) != rows[i].held)
			fail_msg("%s", rows[i].text);
	}
	/* No IPv6 prefix holds IPv4. */
	put_text(&book, "::/0", SIPDAM_ENTRY_MANUAL, 0);
	assert_false(book_holds(
		&book, &(struct sipdam_prefix){.bits = 128, .address = {[10] = 0xff, [11] = 0xff}}, NOW));
	book_free(&book);
}

static void test_forgotten_prefixes(void **state)
{
	struct sipdam_prefix gone[] = {prefix_of("192.0.2.0/24"), prefix_of("192.0.2.1")};
	struct prefix_set set = {.prefix = gone, .count = COUNT(gone)};
	struct book_change forget = {.forgotten = &set};
	struct book book = {}, after;

	(void)state;
	put_text(&book, "192.0.2.0/24", SIPDAM_ENTRY_CONFIG, 0);
	put_text(&book, "192.0.2.0/25", SIPDAM_ENTRY_CONFIG, 0);
	put_text(&book, "192.0.2.1", SIPDAM_ENTRY_MANUAL, 0);
	put_text(&book, "192.0.2.1", SIPDAM_ENTRY_FEED(0), NOW + 1);
	assert_int_equal(book_origins(&book, &gone[1], NOW), SIPDAM_ENTRY_MANUAL | SIPDAM_ENTRY_FEED(0));
	assert_int_equal(book_origins(&book, &gone[1], NOW + 1), SIPDAM_ENTRY_MANUAL);
	assert_int_equal(book_apply(&book, &forget, NOW, &after), 0);
	assert_int_equal(after.count, 1);
	assert_record(&after, 0, "192.0.2.0/25", SIPDAM_ENTRY_CONFIG, 0);
	assert_int_equal(book_origins(&after, &gone[0], NOW), 0);
	book_free(&after);
	book_free(&book);
}

static void test_merged_and_counted(void **state)
{
	struct book book = {}, merged;
	__u64 first;

	(void)state;
	put_text(&book, "192.0.2.1", SIPDAM_ENTRY_FEED(0), NOW + 5);
	put_text(&book, "192.0.2.1", SIPDAM_ENTRY_FEED(1), NOW + 9);
	put_text(&book, "192.0.2.2", SIPDAM_ENTRY_MANUAL, NOW + 7);
	put_text(&book, "2001:db8::/32", SIPDAM_ENTRY_MANUAL, 0);
	assert_int_equal(book_prefixes(&book, NOW, &first), 3);
	assert_int_equal(first, NOW + 5);
	assert_int_equal(book_prefixes(&book, NOW + 7, &first), 2);
	assert_int_equal(first, NOW + 9);
	assert_int_equal(book_prefixes(&book, NOW + 9, &first), 1);
	assert_int_equal(first, 0);
	assert_int_equal(book_merge(&book, NOW, &merged), 0);
	assert_int_equal(merged.count, 3);
	assert_record(&merged, 0, "192.0.2.1", SIPDAM_ENTRY_FEED(0) | SIPDAM_ENTRY_FEED(1), NOW + 9);
	book_free(&merged);
	assert_int_equal(book_merge(&book, NOW + 8, &merged), 0);
	assert_record(&merged, 0, "192.0.2.1", SIPDAM_ENTRY_FEED(1), NOW + 9);
	assert_int_equal(merged.count, 2);
	book_free(&merged);
	book_free(&book);
}

/* ---- what two lists share ---- */

struct met {
	const struct prefix_set *set;
	bool seen[64];
	int count;
};

static void meet(const struct sipdam_prefix *prefix, const struct sipdam_prefix *other, void *context)
{
	struct met *met = context;

	assert_true(prefix_holds(prefix, other) || prefix_holds(other, prefix));
	met->seen[prefix - met->set->prefix] = true;
	met->count++;
}

static bool shares(const struct book *book, const struct sipdam_prefix *prefix)
{
	for (size_t i = 0; i < book->count; i++)
		if (!(book->entry[i].expires && book->entry[i].expires <= NOW + UNIT) &&
		    (prefix_holds(prefix, &book->entry[i].prefix) ||
		     prefix_holds(&book->entry[i].prefix, prefix)))
			return true;
	return false;
}

static void test_overlaps_agree_with_a_plain_search(void **state)
{
	int shared = 0, all = 0;

	(void)state;
	state_of_draw = 3;
	for (int round = 0; round < 300; round++) {
		struct book book = draw_book(round % 20, 1 + round % 3, 30);
		struct prefix_set set = {};
		struct met met = {.set = &set};

		for (int i = 0; i < 40; i++) {
			bool ipv6 = draw() % 2;
			struct packet_address address = draw_address(ipv6, 30);
			struct sipdam_prefix prefix = make_prefix(&address, draw_bits(ipv6));

			assert_int_equal(prefix_set_add(&set, &prefix), 0);
		}
		prefixes_sort(&set);
		book_overlaps(&book, &set, NOW + UNIT, meet, &met);
		for (size_t i = 0; i < set.count; i++) {
			assert_int_equal(met.seen[i], shares(&book, &set.prefix[i]));
			shared += met.seen[i];
			all++;
		}
		prefix_set_free(&set);
		book_free(&book);
	}
	assert_in_range(shared, all / 10, all * 9 / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_search_agrees_with_a_plain_one),
		cmocka_unit_test(test_large_lists),
		cmocka_unit_test(test_strangers_end_at_the_gate),
		cmocka_unit_test(test_too_many_entries),
		cmocka_unit_test(test_origins_and_ends),
		cmocka_unit_test(test_import_replaces_its_feed),
		cmocka_unit_test(test_a_flushed_feed_leaves_the_end_of_the_other),
		cmocka_unit_test(test_what_holds_a_prefix),
		cmocka_unit_test(test_forgotten_prefixes),
		cmocka_unit_test(test_merged_and_counted),
		cmocka_unit_test(test_overlaps_agree_with_a_plain_search),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	free(lines);
	return failed;
}
