/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The loudest sources: whose rows there are, in which order, and the exact words. */
// uses: user/top.c user/over_limit.c user/address.c user/render.c user/span.c user/utf8.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "address.h"
#include "top.h"

#define SECOND 1000000000ULL
#define NOW    (10000 * SECOND)

static struct over_limits limits;
static struct ban_entries bans;
static struct ban_entry entries[4];
static struct sipdam_policy policy;

static int begin(void **state)
{
	(void)state;
	memset(&limits, 0, sizeof(limits));
	memset(&policy, 0, sizeof(policy));
	memset(entries, 0, sizeof(entries));
	bans = (struct ban_entries){.entry = entries};
	limits.now = NOW;
	limits.wall = 1000000;
	policy.limits[SIPDAM_TIER_UNKNOWN][SIPDAM_CLASS_INVITE].rate = 10 * SIPDAM_RATE_UNIT;
	return 0;
}

static void add(const char *source, __u32 class, __u64 refused, __u64 from, __u64 to)
{
	struct over_limit *row = &limits.source[limits.count++];

	*row = (struct over_limit){
		.class = class, .refused = refused, .first = NOW - from * SECOND, .last = NOW - to * SECOND};
	assert_int_equal(address_parse_prefix(source, &row->source), 0);
}

static void add_ban(const char *source, __u64 dropped, __u64 since)
{
	struct ban_entry *entry = &entries[bans.count++];

	entry->ban = (struct sipdam_ban){.dropped = dropped, .since = NOW - since * SECOND};
	assert_int_equal(address_parse_prefix(source, &entry->source), 0);
}

static void check(size_t most, const char *text, const char *json)
{
	struct top top;
	json_t *object;
	char *printed = NULL, *dumped;
	size_t size;
	FILE *out = open_memstream(&printed, &size);

	assert_int_equal(top_make(&top, &limits, &bans, &policy), 0);
	top_print(&top, most, out);
	fclose(out);
	assert_string_equal(printed, text);
	object = top_json(&top, most);
	dumped = json_dumps(object, JSON_COMPACT);
	assert_string_equal(dumped, json);
	free(printed);
	free(dumped);
	json_decref(object);
	top_free(&top);
}

static void test_nobody(void **state)
{
	(void)state;
	add_ban("192.0.2.9", 0, 60);
	check(10, "No source is over its limits, and no ban has dropped anything.\n", "{\"sources\":[]}");
}

static void test_all_kinds(void **state)
{
	(void)state;
	add("192.0.2.1", SIPDAM_CLASS_INVITE, 1600, 16, 0);
	add("2001:db8:ffff:ffff::/64", SIPDAM_CLASS_KEEPALIVE, 123456789, 290, 200);
	add_ban("203.0.113.7", 50000, 100);
	add_ban("2001:db8:1111:2222:3333:4444:5555:6666", 7, 0);
	check(10,
	      "source                   reason      class     refused about   a second    last\n"
	      "2001:db8:ffff:ffff::/64  source_rate keepalive   123,456,789  1,371,742   3m20s\n"
	      "203.0.113.7              banned      -                50,000        500       -\n"
	      "192.0.2.1                source_rate invite            1,600        110      0s\n"
	      "2001:db8:1111:2222:3333:4444:5555:6666\n"
	      "                         banned      -                     7          7       -\n",
	      "{\"sources\":[{\"address\":\"2001:db8:ffff:ffff::/64\",\"reason\":\"source_rate\","
	      "\"class\":\"keepalive\",\"refused\":123456789,\"per_second\":1371742,\"last_seen\":999800},"
	      "{\"address\":\"203.0.113.7\",\"reason\":\"banned\",\"class\":null,\"refused\":50000,"
	      "\"per_second\":500,\"last_seen\":null},"
	      "{\"address\":\"192.0.2.1\",\"reason\":\"source_rate\",\"class\":\"invite\",\"refused\":1600,"
	      "\"per_second\":110,\"last_seen\":1000000},"
	      "{\"address\":\"2001:db8:1111:2222:3333:4444:5555:6666\",\"reason\":\"banned\",\"class\":null,"
	      "\"refused\":7,\"per_second\":7,\"last_seen\":null}]}");
}

static void test_the_first_ones(void **state)
{
	(void)state;
	add("192.0.2.2", SIPDAM_CLASS_INVITE, 16, 1, 1);
	add("192.0.2.1", SIPDAM_CLASS_INVITE, 16, 1, 1);
	add("192.0.2.3", SIPDAM_CLASS_INVITE, 32, 1, 1);
	check(2,
	      "source                   reason      class     refused about   a second    last\n"
	      "192.0.2.3                source_rate invite               32         42      1s\n"
	      "192.0.2.1                source_rate invite               16         26      1s\n"
	      "and 1 more: -n 3 shows them\n",
	      "{\"sources\":[{\"address\":\"192.0.2.3\",\"reason\":\"source_rate\",\"class\":\"invite\","
	      "\"refused\":32,\"per_second\":42,\"last_seen\":999999},"
	      "{\"address\":\"192.0.2.1\",\"reason\":\"source_rate\",\"class\":\"invite\",\"refused\":16,"
	      "\"per_second\":26,\"last_seen\":999999}]}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_nobody, begin),
		cmocka_unit_test_setup(test_all_kinds, begin),
		cmocka_unit_test_setup(test_the_first_ones, begin),
	};

	return cmocka_run_group_tests_name("top", tests, NULL, NULL);
}
