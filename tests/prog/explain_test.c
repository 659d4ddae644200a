/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What `sipdam explain` says of a source is what the program then does: in random states, before each
 * packet, for every class a datagram may have and every reason it may have; and the instants it names are
 * exact.
 */
#include "prog/rates.h"

#include "book.h"
#include "explain.h"
#include "prog/generate.h"

#pragma GCC diagnostic ignored "-Wunknown-pragmas" /* of unrolling */
#include "../bpf/stamp.h"

#define ROUNDS  40
#define PACKETS 400

/* Ports from here on are those that send again. */
#define SENDERS_PORT 60000

static const char *const allow_list[] = {"10.0.0.9", "2001:db8:9::/48"};
static const char *const deny_list[] = {"10.0.1.8/29", "2001:db8:0:8::/62", "10.0.0.9"};

/* By class; what a datagram of it may be. */
static const char *const payloads[] = {
	[SIPDAM_CLASS_INVITE] = INVITE_TEXT,
	[SIPDAM_CLASS_REGISTER] = "REGISTER sip:example.org SIP/2.0\r\n\r\n",
	[SIPDAM_CLASS_OPTIONS] = "OPTIONS sip:example.org SIP/2.0\r\n\r\n",
	[SIPDAM_CLASS_DIALOG] = "BYE sip:example.org SIP/2.0\r\n\r\n",
	[SIPDAM_CLASS_OTHER] = "MESSAGE sip:example.org SIP/2.0\r\n\r\n",
	[SIPDAM_CLASS_RESPONSE] = "SIP/2.0 200 OK\r\n\r\n",
	[SIPDAM_CLASS_KEEPALIVE] = "\r\n\r\n",
	[SIPDAM_CLASS_MALFORMED] = "GET / HTTP/1.1\r\n\r\n",
};

#define LISTS "allow: [10.0.0.9, \"2001:db8:9::/48\"]\ndeny: [10.0.1.8/29, \"2001:db8:0:8::/62\", 10.0.0.9]\n"

static const char *const policies[] = {
	"limits: {unknown: {invite: {rate: 10, burst: 3}, register: {rate: 7, burst: 2}}}",
	"limits: {unknown: {invite: {rate: 1, burst: 20}, dialog: {rate: 0}}, network: {rate: 2, burst: 5}}",
	"limits: {pool: {invite: {rate: 30, burst: 6}, register: {rate: 3, burst: 1}, response: {rate: 0}}}",
	"limits: {allowed: {invite: {rate: 5, burst: 2}}, unknown: {options: unlimited, malformed: {rate: "
	"0}},"
	" network: unlimited}",
	"limits: {unknown: {invite: unlimited, register: unlimited}, pool: {invite: unlimited}}",
	"mode: monitor\nsource_key: {ipv4: 30, ipv6: 128}\nlimits: {unknown: {invite: {rate: 2, burst: 1}}}",
	"ban: {enabled: false}\nsource_key: {ipv6: 56}\nnetwork_key: {ipv4: 16, ipv6: 32}\n"
	"limits: {network: {rate: 5, burst: 10}}",
	"ban: {drops: 5, within: 10s, for: 1s, max: 1m}\nlimits: {unknown: {invite: {rate: 10, burst: 2}}}",
};

static const char *const verification[] = {NOT_VERIFIED, NOT_VERIFIED, "", "verify: {hold: 100ms}\n",
					   "verify: {hold: 0s}\n"};

static bool is_listed(const struct sipdam_prefix *address, const char *const *list, size_t count)
{
	struct sipdam_prefix entry;

	for (size_t i = 0; i < count; i++) {
		assert_int_equal(address_parse_prefix(list[i], &entry), 0);
		if (prefix_holds(&entry, address))
			return true;
	}
	return false;
}

/* What the source is known as. With nobody known that is not asked for: a list takes longer than a packet. */
static void find_known(struct lab *lab, const struct sipdam_policy *policy, const struct sipdam_prefix *source,
		       struct explain_question *question)
{
	struct known_entries entries;

	if (!known_hold(&lab->known, source, lab->now))
		return;
	assert_int_equal(known_list(&lab->known, policy, lab->now, &entries), 0);
	for (size_t i = 0; i < entries.count; i++) {
		if (memcmp(&entries.entry[i].source, source, sizeof(*source)))
			continue;
		question->trusted = entries.entry[i].trusted;
		question->peer = !question->trusted;
		question->devices = entries.entry[i].record.devices;
	}
	known_entries_free(&entries);
}

static struct explanation explained_by(struct lab *lab, const char *address, const struct explain_maps *maps)
{
	struct sipdam_policy policy = lab->in_force;
	struct explain_question question = {.policy = &policy, .now = lab->now};
	struct sipdam_prefix source = lab_source(lab, address);
	struct explanation explanation;

	assert_int_equal(address_parse_prefix(address, &question.address), 0);
	question.allowed = lab->policy && strstr(lab->policy, LISTS) &&
			   is_listed(&question.address, allow_list, COUNT(allow_list));
	question.denied = lab->policy && strstr(lab->policy, LISTS) &&
			  is_listed(&question.address, deny_list, COUNT(deny_list));
	question.banned = bans_hold(&lab->bans, &source, lab->now);
	find_known(lab, &policy, &source, &question);
	assert_int_equal(explain(&question, maps, &explanation), 0);
	return explanation;
}

/* senders: also which ports have sent twice, which takes a thousand times as long. */
static struct explanation explained_with(struct lab *lab, const char *address, bool senders)
{
	const struct explain_maps maps = {
		.sources = filter_map(lab->filter, "sources"),
		.networks = filter_map(lab->filter, "networks"),
		.pools = filter_map(lab->filter, "pools"),
		.secrets = filter_map(lab->filter, "secrets"),
		.verified = senders ? filter_map(lab->filter, "verified") : -1,
		.levels = filter_map(lab->filter, "conn_levels"),
	};

	return explained_by(lab, address, &maps);
}

static struct explanation explained(struct lab *lab, const char *address)
{
	return explained_with(lab, address, false);
}

/* Sends a message of a class; number: which of many requests. */
static void send_request(struct lab *lab, const char *address, int class, __u16 port, int number)
{
	struct recipe recipe = {.source = address,
				.family = strchr(address, ':') ? 6 : 4,
				.payload = payloads[class],
				.fill = class < SIPDAM_CLASS_RESPONSE ? 60 + number % 1200 : 0,
				.change = SOURCE_PORT(port)};

	frame_build(&lab->frame, &recipe);
	*lab->trial = (struct sipdam_trial){.now = lab->now};
	assert_int_equal(filter_trial_run(lab->filter, lab->frame.data, lab->frame.length), 0);
	assert_int_equal(lab->trial->class, class);
}

/* Sends what the explanation is of: from a port that was not seen before. */
static void send_class(struct lab *lab, const char *address, int class)
{
	static __u16 port;

	if (++port >= SENDERS_PORT)
		port = 1;
	send_request(lab, address, class, port, 0);
}

static bool is_sender(const struct explanation *explanation, __u16 port)
{
	for (__u32 i = 0; i < explanation->senders && i < EXPLAIN_SENDERS_MAX; i++)
		if (explanation->sender[i].port == port)
			return true;
	return false;
}

/* What it says of the next packet of a class and the packet: from a port, or from a new one. Returns the reason. */
static int check_next_from(struct lab *lab, const char *address, int class, __u16 port)
{
	struct explanation explanation = explained_with(lab, address, port);
	int reason = explain_reason(&explanation, class, port && is_sender(&explanation, port));
	int verdict = explain_verdict(&explanation, reason);
	static int number;

	if (port)
		send_request(lab, address, class, port, ++number);
	else
		send_class(lab, address, class);
	if (lab->trial->reason != reason || lab->trial->dropped != (verdict == SIPDAM_VERDICT_DROP))
		fail_msg("%s, %s: explained as %s, verdict %d; then %s: %s\npolicy: %s", address,
			 class_label(class), reason_label(reason), verdict, reason_label(lab->trial->reason),
			 lab->trial->dropped ? "dropped" : "passed", lab->policy);
	return reason;
}

static int check_next(struct lab *lab, const char *address, int class)
{
	return check_next_from(lab, address, class, 0);
}

/* ---- random states ---- */

static void pick_address(struct dice *dice, char text[INET6_ADDRSTRLEN])
{
	if (chance(dice, 30))
		snprintf(text, INET6_ADDRSTRLEN, "2001:db8:%x:%x::%x", chance(dice, 20) ? 9 : 0,
			 below(dice, 12), 1 + below(dice, 3));
	else
		snprintf(text, INET6_ADDRSTRLEN, "10.0.%d.%d", below(dice, 2), 1 + below(dice, 12));
}

static void pick_policy(struct lab *lab, struct dice *dice)
{
	char yaml[1024];

	snprintf(yaml, sizeof(yaml), "%s%s%s", ONE_OF(dice, verification), chance(dice, 50) ? LISTS : "",
		 ONE_OF(dice, policies));
	lab_policy(lab, yaml);
}

/* By the next packet or up to a second later. */
static void pass_time(struct lab *lab, struct dice *dice)
{
	if (chance(dice, 20))
		lab->now += (__u64)below(dice, 100) * MILLISECOND + (__u64)below(dice, 1000000);
	else if (chance(dice, 1))
		lab->now += (__u64)below(dice, 20000) * MILLISECOND;
}

static void test_it_says_what_then_happens(void **state)
{
	struct lab *lab = *state;
	struct dice dice = {.state = 20240229};
	__u64 seen[SIPDAM_REASONS_MAX] = {0};

	for (int round = 0; round < ROUNDS; round++) {
		lab_forget(lab);
		pick_policy(lab, &dice);
		for (int packet = 0; packet < PACKETS; packet++) {
			char address[INET6_ADDRSTRLEN];

			pick_address(&dice, address);
			pass_time(lab, &dice);
			if (below(&dice, 400) == 0) /* what it left in the tables stays */
				pick_policy(lab, &dice);
			if (chance(&dice, 1))
				assert_int_equal(lab_ban(lab, address, (1 + below(&dice, 3)) * SECOND), 0);
			if (chance(&dice, 2))
				assert_int_equal(lab_know(lab, address, chance(&dice, 50),
							  (__u16)below(&dice, 9000),
							  (1 + below(&dice, 3)) * SECOND),
						 0);
			seen[check_next_from(lab, address,
					     chance(&dice, 60) ? SIPDAM_CLASS_INVITE + below(&dice, 2)
							       : 1 + below(&dice, SIPDAM_CLASS_MALFORMED),
					     (__u16)(chance(&dice, 90) ? 0 : SENDERS_PORT + below(&dice, 3)))]++;
		}
	}
	for (int reason = 0; reason < SIPDAM_REASONS_MAX; reason++)
		if (seen[reason])
			printf("  %-14s %llu\n", reason_label(reason), seen[reason]);
	assert_true(seen[SIPDAM_REASON_WITHIN_LIMITS] > 100);
	assert_true(seen[SIPDAM_REASON_ALLOWED] > 100);
	assert_true(seen[SIPDAM_REASON_DENIED] > 100);
	assert_true(seen[SIPDAM_REASON_BANNED] > 100);
	assert_true(seen[SIPDAM_REASON_TRUSTED] > 100);
	assert_true(seen[SIPDAM_REASON_PEER] > 20);
	assert_true(seen[SIPDAM_REASON_SOURCE_RATE] > 100);
	assert_true(seen[SIPDAM_REASON_NETWORK_RATE] > 100);
	assert_true(seen[SIPDAM_REASON_POOL_RATE] > 100);
	assert_true(seen[SIPDAM_REASON_UNVERIFIED] > 100);
}

/* The packet that finds the pool exhausted, and all strangers' after it until the hold is over. */
static void test_verification(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, "limits: {pool: {invite: {rate: 10, burst: 1}}}");
	assert_int_equal(check_next(lab, "10.0.0.1", SIPDAM_CLASS_INVITE), SIPDAM_REASON_WITHIN_LIMITS);
	assert_int_equal(check_next(lab, "10.0.0.2", SIPDAM_CLASS_INVITE), SIPDAM_REASON_UNVERIFIED);
	lab->now += SECOND;
	assert_int_equal(check_next(lab, "10.0.0.3", SIPDAM_CLASS_INVITE), SIPDAM_REASON_UNVERIFIED);
	lab->now += 9 * SECOND - 1;
	assert_int_equal(check_next(lab, "10.0.0.4", SIPDAM_CLASS_INVITE), SIPDAM_REASON_UNVERIFIED);
	lab->now += 1;
	assert_int_equal(check_next(lab, "10.0.0.5", SIPDAM_CLASS_INVITE), SIPDAM_REASON_WITHIN_LIMITS);
}

static void check_level(const struct explain_bucket *bucket, __u64 level, __u64 next)
{
	assert_true(bucket->known);
	assert_int_equal(bucket->level, level);
	assert_int_equal(bucket->next, next);
}

static void send_twice(struct lab *lab, const char *address, __u16 port, int number)
{
	send_request(lab, address, SIPDAM_CLASS_INVITE, port, number);
	assert_int_equal(lab->trial->reason, SIPDAM_REASON_UNVERIFIED);
	lab->now += SECOND / 2;
	send_request(lab, address, SIPDAM_CLASS_INVITE, port, number);
	assert_int_equal(lab->trial->reason, SIPDAM_REASON_WITHIN_LIMITS);
}

/* A port that has sent a request twice need not for 32 s, and has half of the pool with the others that have. */
static void test_senders(void **state)
{
	static const struct {
		const char *address;
		__u16 port;
	} rows[] = {{"10.0.0.1", 1}, {"10.0.0.1", 5060}, {"2001:db8::1", 65535}};
	struct lab *lab = *state;
	struct explanation explanation;

	for (size_t i = 0; i < COUNT(rows); i++) {
		lab_forget(lab);
		lab_policy(lab, "limits: {network: unlimited, pool: {invite: {rate: 1, burst: 4}}}\n"
				"verify: {hold: 1m}\n");
		for (int n = 0; n < 4; n++)
			check_next(lab, "10.0.9.1", SIPDAM_CLASS_INVITE);
		assert_int_equal(check_next(lab, "10.0.9.1", SIPDAM_CLASS_INVITE), SIPDAM_REASON_UNVERIFIED);
		lab->now = (lab->now >> STAMP_TIME_SHIFT << STAMP_TIME_SHIFT) + (4ULL << STAMP_TIME_SHIFT) + 5 * SECOND;
		explanation = explained_with(lab, rows[i].address, true);
		assert_int_equal(explanation.senders, 0);
		send_twice(lab, rows[i].address, rows[i].port, 7);
		lab->now += 3 * SECOND;
		explanation = explained_with(lab, rows[i].address, true);
		assert_int_equal(explanation.senders, 1);
		assert_int_equal(explanation.sender[0].port, rows[i].port);
		assert_in_range(explanation.sender[0].left, 29 * SECOND - (1 << STAMP_TIME_SHIFT),
				29 * SECOND + (1 << STAMP_TIME_SHIFT));
		check_level(&explanation.half[SIPDAM_CLASS_INVITE], 2, 0);
		explanation = explained_with(lab, "10.0.0.2", true);
		assert_int_equal(explanation.senders, 0);
		for (int n = 0; n < 2; n++)
			assert_int_equal(check_next_from(lab, rows[i].address, SIPDAM_CLASS_INVITE, rows[i].port),
					 SIPDAM_REASON_WITHIN_LIMITS);
		explanation = explained_with(lab, rows[i].address, true);
		check_level(&explanation.half[SIPDAM_CLASS_INVITE], 0, 2 * SECOND);
		assert_int_equal(check_next_from(lab, rows[i].address, SIPDAM_CLASS_INVITE, rows[i].port),
				 SIPDAM_REASON_POOL_RATE);
		assert_int_equal(check_next(lab, rows[i].address, SIPDAM_CLASS_INVITE), SIPDAM_REASON_UNVERIFIED);
		lab->now += 28 * SECOND;
		assert_int_equal(check_next_from(lab, rows[i].address, SIPDAM_CLASS_INVITE, rows[i].port),
				 SIPDAM_REASON_WITHIN_LIMITS);
		lab->now += 2 * SECOND;
		assert_int_equal(explained_with(lab, rows[i].address, true).senders, 0);
		assert_int_equal(check_next_from(lab, rows[i].address, SIPDAM_CLASS_INVITE, rows[i].port),
				 SIPDAM_REASON_UNVERIFIED);
	}
}

/* More ports than are told of by number are counted all. */
static void test_many_senders(void **state)
{
	struct lab *lab = *state;
	struct explanation explanation;

	lab_policy(lab, "limits: {unknown: {invite: unlimited}, network: unlimited, pool: {invite: {rate: 100, burst: "
			"20}}}\nverify: {hold: 1m}\n");
	for (int n = 0; n < 21; n++)
		check_next(lab, "10.0.9.1", SIPDAM_CLASS_INVITE);
	lab->now += SECOND;
	for (int n = 0; n < 18; n++)
		send_twice(lab, "10.0.0.1", (__u16)(2000 + n), 7);
	explanation = explained_with(lab, "10.0.0.1", true);
	assert_int_equal(explanation.senders, 18);
	for (int n = 0; n < EXPLAIN_SENDERS_MAX; n++)
		assert_int_equal(explanation.sender[n].port, 2000 + n);
}

/* Sources beyond counting: words are displaced, tags shared. */
static void test_in_a_crowded_table(void **state)
{
	struct lab *lab = *state;
	struct dice dice = {.state = 7};

	lab_policy(lab,
		   "verify: {enabled: false}\n"
		   "limits: {unknown: {invite: {rate: 1, burst: 1}}, network: {rate: 1, burst: 2}, pool: "
		   "{invite: unlimited}}");
	for (int packet = 0; packet < 20000; packet++) {
		char address[INET6_ADDRSTRLEN];

		snprintf(address, sizeof(address), "10.%d.%d.1", below(&dice, 64), below(&dice, 256));
		lab->now += (__u64)below(&dice, 100000);
		check_next(lab, address, 1 + below(&dice, 2));
	}
}

/* ---- levels and instants ---- */

static void test_levels(void **state)
{
	struct lab *lab = *state;
	struct explanation explanation;

	lab_policy(lab, "limits: {unknown: {invite: {rate: 10, burst: 5}}, network: {rate: 20, burst: 30}, "
			"pool: {invite: {rate: 40, burst: 50}, register: unlimited, options: {rate: 0}}}");
	explanation = explained(lab, SOURCE);
	check_level(&explanation.bucket[SIPDAM_CLASS_INVITE], 5, 0);
	check_level(&explanation.network_bucket, 30, 0);
	check_level(&explanation.pool[SIPDAM_CLASS_INVITE], 50, 0);
	check_level(&explanation.pool[SIPDAM_CLASS_REGISTER], EXPLAIN_UNLIMITED, 0);
	check_level(&explanation.pool[SIPDAM_CLASS_OPTIONS], 0, EXPLAIN_NEVER);
	for (int i = 0; i < 3; i++)
		send_class(lab, SOURCE, SIPDAM_CLASS_INVITE);
	explanation = explained(lab, SOURCE);
	check_level(&explanation.bucket[SIPDAM_CLASS_INVITE], 2, 0);
	check_level(&explanation.bucket[SIPDAM_CLASS_REGISTER], 200, 0);
	check_level(&explanation.network_bucket, 27, 0);
	check_level(&explanation.pool[SIPDAM_CLASS_INVITE], 47, 0);
	explanation = explained(lab, "192.0.2.2");
	check_level(&explanation.bucket[SIPDAM_CLASS_INVITE], 5, 0);
	check_level(&explanation.network_bucket, 27, 0);
	for (int i = 0; i < 2; i++)
		send_class(lab, SOURCE, SIPDAM_CLASS_INVITE);
	explanation = explained(lab, SOURCE);
	check_level(&explanation.bucket[SIPDAM_CLASS_INVITE], 0, TENTH);
	lab->now += 99 * MILLISECOND;
	explanation = explained(lab, SOURCE);
	check_level(&explanation.bucket[SIPDAM_CLASS_INVITE], 0, MILLISECOND);
	check_level(&explanation.network_bucket, 26, 0);
}

/* The program agrees to the nanosecond, at any time within a tick. */
static void test_the_next_one(void **state)
{
	struct lab *lab = *state;
	struct dice dice = {.state = 3};

	lab_policy(lab, "limits: {unknown: {invite: {rate: 17, burst: 2}}}");
	for (int i = 0; i < 200; i++) {
		struct explanation explanation;
		__u64 next;

		lab->now += (__u64)below(&dice, 30 * 1000000);
		explanation = explained(lab, SOURCE);
		next = explanation.bucket[SIPDAM_CLASS_INVITE].next;
		if (next) {
			lab->now += next - 1;
			assert_int_equal(check_next(lab, SOURCE, SIPDAM_CLASS_INVITE),
					 SIPDAM_REASON_SOURCE_RATE);
			lab->now += 1;
		}
		assert_int_equal(check_next(lab, SOURCE, SIPDAM_CLASS_INVITE), SIPDAM_REASON_WITHIN_LIMITS);
	}
}

static void test_who_shares_a_bucket(void **state)
{
	struct lab *lab = *state;
	struct explanation explanation = explained(lab, "2001:db8:1:2:3:4:5:6");
	char text[ADDRESS_PREFIX_TEXT];

	address_format_prefix(&explanation.source, text);
	assert_string_equal(text, "2001:db8:1:2::/64");
	address_format_prefix(&explanation.network, text);
	assert_string_equal(text, "2001:db8:1::/48");
	explanation = explained(lab, SOURCE);
	address_format_prefix(&explanation.source, text);
	assert_string_equal(text, SOURCE);
	address_format_prefix(&explanation.network, text);
	assert_string_equal(text, "192.0.2.0/24");
}

/* Who may not read the tables is told what is certain, and nothing else. */
static void test_without_the_right(void **state)
{
	static const struct explain_maps none = {-1, -1, -1, -1, -1, -1};
	struct explain_maps pools = none;
	struct lab *lab = *state;
	struct explanation explanation;

	pools.pools = filter_map(lab->filter, "pools");
	explanation = explained_by(lab, SOURCE, &pools);
	assert_int_equal(explain_reason(&explanation, SIPDAM_CLASS_INVITE, false), SIPDAM_REASON_NONE);
	assert_false(explanation.bucket[SIPDAM_CLASS_INVITE].known);
	assert_true(explanation.pool[SIPDAM_CLASS_INVITE].known);
	lab_policy(lab, "limits: {unknown: {invite: {rate: 0}, register: unlimited}, network: unlimited}");
	explanation = explained_by(lab, SOURCE, &pools);
	assert_int_equal(explain_reason(&explanation, SIPDAM_CLASS_INVITE, false), SIPDAM_REASON_SOURCE_RATE);
	assert_int_equal(explain_reason(&explanation, SIPDAM_CLASS_REGISTER, false), SIPDAM_REASON_WITHIN_LIMITS);
	explanation = explained_by(lab, SOURCE, &none);
	assert_int_equal(explain_reason(&explanation, SIPDAM_CLASS_REGISTER, false), SIPDAM_REASON_NONE);
	assert_int_equal(lab_ban(lab, SOURCE, SECOND), 0);
	explanation = explained_by(lab, SOURCE, &none);
	assert_int_equal(explain_reason(&explanation, SIPDAM_CLASS_REGISTER, false), SIPDAM_REASON_BANNED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		lab_test(test_it_says_what_then_happens),
		lab_test(test_verification),
		lab_test(test_senders),
		lab_test(test_many_senders),
		lab_test(test_in_a_crowded_table),
		lab_test(test_levels),
		lab_test(test_the_next_one),
		lab_test(test_who_shares_a_bucket),
		lab_test(test_without_the_right),
	};

	return cmocka_run_group_tests_name("explain", tests, lab_open, lab_close);
}
