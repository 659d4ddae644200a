/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sources over their limits: what is gathered of the records, who is asked about by name, and the exact
 * words.
 */
// uses: user/over_limit.c user/address.c user/render.c user/utf8.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "address.h"
#include "over_limit.h"

#define SECOND 1000000000ULL
#define NOW    (10000 * SECOND)

static struct over_limits limits;
static struct sipdam_policy policy;

static int begin(void **state)
{
	(void)state;
	memset(&limits, 0, sizeof(limits));
	memset(&policy, 0, sizeof(policy));
	limits.now = NOW;
	limits.wall = 1000000;
	policy.limits[SIPDAM_TIER_UNKNOWN][SIPDAM_CLASS_INVITE].rate = 10 * SIPDAM_RATE_UNIT;
	policy.limits[SIPDAM_TIER_UNKNOWN][SIPDAM_CLASS_RESPONSE].rate = 200 * SIPDAM_RATE_UNIT;
	policy.limits[SIPDAM_TIER_UNKNOWN][SIPDAM_CLASS_DIALOG].rate = 50 * SIPDAM_RATE_UNIT;
	policy.limits[SIPDAM_TIER_UNKNOWN][SIPDAM_CLASS_MALFORMED].rate = SIPDAM_RATE_UNIT;
	policy.limits[SIPDAM_TIER_UNKNOWN][SIPDAM_CLASS_TLS_HELLO].rate = 2 * SIPDAM_RATE_UNIT;
	policy.limits[SIPDAM_TIER_UNKNOWN][SIPDAM_CLASS_TCP_SYN].rate = 5 * SIPDAM_RATE_UNIT;
	return 0;
}

/* A record: refused from so many to so many seconds ago. */
static struct sipdam_refused record(const char *source, __u32 class, __u64 packets, __u64 from, __u64 to)
{
	struct sipdam_refused noted = {.packets = packets,
				       .first = NOW - from * SECOND,
				       .last = NOW - to * SECOND,
				       .class = (__u8) class,
				       .classes = (__u16)(1 << class)};
	struct sipdam_prefix prefix;

	assert_int_equal(address_parse_prefix(source, &prefix), 0);
	memcpy(&noted.high, prefix.address, 8);
	memcpy(&noted.low, prefix.address + 8, 8);
	noted.bits = (__u8)prefix.bits;
	return noted;
}

static void add(const char *source, __u32 class, __u64 packets, __u64 from, __u64 to)
{
	struct sipdam_refused noted = record(source, class, packets, from, to);

	over_limits_add(&limits, &noted);
}

static void test_records_of_one_source_are_one(void **state)
{
	(void)state;
	add("192.0.2.1", SIPDAM_CLASS_INVITE, 160, 20, 10);
	add("192.0.2.2", SIPDAM_CLASS_INVITE, 1600, 20, 10);
	add("192.0.2.1", SIPDAM_CLASS_RESPONSE, 320, 15, 5);
	over_limits_sort(&limits);
	assert_int_equal(limits.count, 2);
	assert_int_equal(limits.source[0].refused, 1600);
	assert_int_equal(limits.source[1].refused, 480);
	assert_int_equal(limits.source[1].class, SIPDAM_CLASS_RESPONSE);
	assert_int_equal(limits.source[1].classes, 1 << SIPDAM_CLASS_RESPONSE | 1 << SIPDAM_CLASS_INVITE);
	assert_int_equal(limits.source[1].first, NOW - 20 * SECOND);
	assert_int_equal(limits.source[1].last, NOW - 5 * SECOND);
}

static void test_what_is_old_or_free_is_left_out(void **state)
{
	struct sipdam_refused nobody = {};

	(void)state;
	over_limits_add(&limits, &nobody);
	add("192.0.2.1", SIPDAM_CLASS_INVITE, 160, 400, 301);
	assert_int_equal(limits.count, 0);
	add("192.0.2.1", SIPDAM_CLASS_INVITE, 160, 400, 300);
	assert_int_equal(limits.count, 1);
	/* written after the clock was read */
	add("192.0.2.2", SIPDAM_CLASS_INVITE, 160, 400, (__u64)-1);
	assert_int_equal(limits.count, 2);
}

static void test_more_than_there_is_room_for(void **state)
{
	struct sipdam_refused noted = record("192.0.2.0", SIPDAM_CLASS_INVITE, 16, 2, 1);

	(void)state;
	for (int i = 0; i < 2 * SIPDAM_REFUSED_SLOTS; i++) {
		noted.low++;
		over_limits_add(&limits, &noted);
	}
	assert_int_equal(limits.count, SIPDAM_REFUSED_SLOTS);
}

static bool asked(void)
{
	bool answer = over_limit_may_be_yours(&limits.source[0], &policy);

	limits.count = 0;
	return answer;
}

static void test_who_may_be_yours(void **state)
{
	(void)state;
	/* answers, however short and loud */
	add("192.0.2.1", SIPDAM_CLASS_RESPONSE, 160000, 2, 1);
	assert_true(asked());
	add("192.0.2.1", SIPDAM_CLASS_DIALOG, 16, 1, 1);
	assert_true(asked());
	/* several kinds of packets */
	add("192.0.2.1", SIPDAM_CLASS_INVITE, 160000, 2, 1);
	add("192.0.2.1", SIPDAM_CLASS_REGISTER, 16, 2, 1);
	assert_true(asked());
	/* one kind: for half a minute, below ten times the limit */
	add("192.0.2.1", SIPDAM_CLASS_INVITE, 89 * 30, 31, 1);
	assert_true(asked());
	add("192.0.2.1", SIPDAM_CLASS_INVITE, 89 * 29, 30, 1);
	assert_false(asked());
	add("192.0.2.1", SIPDAM_CLASS_INVITE, 90 * 30, 31, 1);
	assert_false(asked());
	/* connections are opened sooner */
	add("192.0.2.1", SIPDAM_CLASS_TLS_HELLO, 17 * 3, 4, 1);
	assert_true(asked());
	add("192.0.2.1", SIPDAM_CLASS_TLS_HELLO, 17 * 2, 3, 1);
	assert_false(asked());
	add("192.0.2.1", SIPDAM_CLASS_TLS_HELLO, 18 * 3, 4, 1);
	assert_false(asked());
	add("192.0.2.1", SIPDAM_CLASS_TCP_SYN, 44 * 3, 4, 1);
	assert_true(asked());
	add("192.0.2.1", SIPDAM_CLASS_TCP_SYN, 45 * 3, 4, 1);
	assert_false(asked());
	/* junk is nobody's */
	add("192.0.2.1", SIPDAM_CLASS_MALFORMED, 160, 100, 1);
	assert_false(asked());
	add("192.0.2.1", SIPDAM_CLASS_INVITE, 160000, 2, 1);
	add("192.0.2.1", SIPDAM_CLASS_MALFORMED, 160, 100, 1);
	assert_false(asked());
}

static void says(const char *wanted)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	over_limits_sort(&limits);
	over_limits_print(&limits, &policy, out);
	assert_int_equal(fclose(out), 0);
	assert_string_equal(text, wanted);
	free(text);
}

static void test_the_words(void **state)
{
	(void)state;
	says("");
	add("198.51.100.7", SIPDAM_CLASS_RESPONSE, 4400, 43, 3);
	says("\n198.51.100.7 is over its limit: 310 responses a second,\n"
	     "4,400 packets refused in 40s, the last 3s ago.\n"
	     "If it is yours (a trunk, a proxy, an office): sipdam allow add 198.51.100.7\n");
	add("203.0.113.9", SIPDAM_CLASS_INVITE, 99900, 11, 1);
	add("2001:db8:0:1::/64", SIPDAM_CLASS_DIALOG, 1600, 7204, 4);
	says("\n198.51.100.7 is over its limit: 310 responses a second,\n"
	     "4,400 packets refused in 40s, the last 3s ago.\n"
	     "If it is yours (a trunk, a proxy, an office): sipdam allow add 198.51.100.7\n"
	     "\n2001:db8:0:1::/64 is over its limit: 50 ACKs, BYEs and CANCELs a second,\n"
	     "1,600 packets refused in 2h, the last 4s ago.\n"
	     "If it is yours (a trunk, a proxy, an office): sipdam allow add 2001:db8:0:1::/64\n"
	     "\nSources over their limits besides: 1; `sipdam top` names the loudest.\n");
}

/* A flood's sources are not printed by the hundred. */
static void test_few_are_named(void **state)
{
	char source[32], *text = NULL, *at;
	size_t size = 0, named = 0;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	for (int i = 0; i < 100; i++) {
		snprintf(source, sizeof(source), "192.0.2.%d", i);
		add(source, SIPDAM_CLASS_RESPONSE, 16, 2, 1);
	}
	over_limits_print(&limits, &policy, out);
	assert_int_equal(fclose(out), 0);
	for (at = text; (at = strstr(at, "allow add")); at++)
		named++;
	assert_int_equal(named, 5);
	assert_non_null(strstr(text, "besides: 95;"));
	free(text);
}

static void test_json(void **state)
{
	json_t *array, *wanted;

	(void)state;
	array = over_limits_json(&limits, &policy);
	assert_int_equal(json_array_size(array), 0);
	json_decref(array);
	add("198.51.100.7", SIPDAM_CLASS_RESPONSE, 4400, 43, 3);
	array = over_limits_json(&limits, &policy);
	wanted = json_pack("[{s:s, s:s, s:i, s:i, s:i, s:i, s:b}]", "address", "198.51.100.7", "class",
			   "response", "refused", 4400, "per_second", 310, "first_seen", 999957, "last_seen",
			   999997, "maybe_yours", 1);
	assert_true(json_equal(array, wanted));
	json_decref(wanted);
	json_decref(array);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_records_of_one_source_are_one, begin),
		cmocka_unit_test_setup(test_what_is_old_or_free_is_left_out, begin),
		cmocka_unit_test_setup(test_more_than_there_is_room_for, begin),
		cmocka_unit_test_setup(test_who_may_be_yours, begin),
		cmocka_unit_test_setup(test_the_words, begin),
		cmocka_unit_test_setup(test_few_are_named, begin),
		cmocka_unit_test_setup(test_json, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
